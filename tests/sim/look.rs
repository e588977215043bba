//! Who answers for the addresses, when a BACKUP asks? Whoever has them on behind an open gate, if
//! probe and answer arrive in time.

use std::time::Duration;

use floatlock::core::election::master_down;
use floatlock::core::{Event, Instant, RoleName};

use super::dice::Dice;
use super::host::Look;
use super::scenario::Scenario;
use super::timeline::Timeline;
use super::world::{Asker, MICRO, What, World};

const SEEDS: u64 = 60;
const MILLI: Duration = Duration::from_millis(1);
/// When the probes leave, and when the look is over.
const PROBES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(4),
    Duration::from_millis(8),
];
const OVER: Duration = Duration::from_millis(13);

impl World {
    pub(crate) fn look_around(&mut self, node: usize, ticket: u64) {
        let boot = self.boot(node);
        let asker = Asker { node, boot, ticket };
        let Some(agent) = &mut self.hosts[node].agent else {
            return;
        };
        let answered = false;
        agent.look = Some(Look { ticket, answered });
        let began = self.now + self.look_dice.between(MICRO * 5, MICRO * 200);
        if self.hosts[node].has_link {
            self.send_probes(asker, began);
        }
        self.at(began + OVER, What::LookOver(asker));
    }

    fn send_probes(&mut self, asker: Asker, began: Instant) {
        for wait in PROBES {
            for at in (0..self.hosts.len()).filter(|&at| at != asker.node) {
                let (sent, way) = (began + wait, (asker.node, at));
                let arrival = self.network.probe(sent, way, &mut self.look_dice);
                if let Some(arrival) = arrival {
                    self.at(arrival, What::Probe { asker, at });
                }
            }
        }
    }

    /// A kernel answers, whatever its agent does.
    pub(crate) fn probe(&mut self, asker: Asker, at: usize) {
        let host = &self.hosts[at];
        if !host.has_link || !host.answers(self.now) {
            return;
        }
        let way = (at, asker.node);
        if let Some(arrival) = self.network.probe(self.now, way, &mut self.look_dice) {
            self.at(arrival, What::Answer(asker));
        }
    }

    pub(crate) fn answered(&mut self, asker: Asker) {
        if !self.hosts[asker.node].has_link {
            return;
        }
        if let Some(look) = self.look_of(asker) {
            look.answered = true;
            self.tell_look(asker);
        }
    }

    pub(crate) fn look_over(&mut self, asker: Asker) {
        if self.look_of(asker).is_some() {
            self.tell_look(asker);
        }
    }

    fn look_of(&mut self, asker: Asker) -> Option<&mut Look> {
        let host = &mut self.hosts[asker.node];
        let agent = host.agent.as_mut().filter(|_| host.boot == asker.boot)?;
        agent
            .look
            .as_mut()
            .filter(|look| look.ticket == asker.ticket)
    }

    /// The look thread says what it knows, once, unless it is frozen with the whole agent.
    fn tell_look(&mut self, asker: Asker) {
        let host = &self.hosts[asker.node];
        if host.frozen.is_some_and(|freeze| freeze.whole) {
            let again = host.settings.interval / 10;
            return self.after(again, What::LookOver(asker));
        }
        let agent = self.hosts[asker.node].agent.as_mut();
        let Some(look) = agent.and_then(|agent| agent.look.take()) else {
            return;
        };
        let wait = self.look_dice.between(MICRO * 5, MICRO * 200);
        let Asker { node, boot, .. } = asker;
        let event = Event::Looked(look.ticket, look.answered);
        self.after(
            wait,
            What::Command {
                to: node,
                boot,
                event,
            },
        );
    }
}

/// Two nodes behind gates on a quiet network; node 0 is MASTER.
fn pair(seed: u64) -> World {
    let mut dice = Dice::new(seed);
    let scenario = Scenario::quiet_pair(seed, &mut dice);
    let mut world = World::new(scenario, dice, Timeline::recording(true));
    world.run_until(world.now + wait_of(&world, 1) * 4);
    assert_eq!(
        roles(&world),
        [Some(RoleName::Master), Some(RoleName::Backup)]
    );
    world
}

fn roles(world: &World) -> [Option<RoleName>; 2] {
    let role = |node: usize| {
        let agent = world.hosts[node].agent.as_ref();
        agent.map(|agent| agent.group.view().role)
    };
    [role(0), role(1)]
}

fn demand_lawful(world: &World) {
    let story = || format!("{}{}", world.describe(), world.timeline.text());
    assert_eq!(world.broken, None, "{}", story());
}

/// How long after now node 1 is MASTER, to a millisecond.
fn takeover(world: &mut World) -> Duration {
    let began = world.now;
    while roles(world)[1] != Some(RoleName::Master) {
        let lasts = world.now.since(began);
        assert!(lasts < Duration::from_secs(60), "{}", world.timeline.text());
        world.run_until(world.now + MILLI);
    }
    world.now.since(began)
}

/// Until the middle between two adverts of node 0; how long ago node 1 has heard the last one.
fn until_no_advert_is_under_way(world: &mut World) -> Duration {
    let interval = world.hosts[1].settings.interval;
    loop {
        let agent = world.hosts[1].agent.as_ref();
        let rival = agent.and_then(|agent| agent.group.view().rival).unwrap();
        let silent_for = world.hosts[1].clock(world.now).since(rival.at);
        if silent_for >= interval / 3 && silent_for <= interval * 2 / 3 {
            return silent_for;
        }
        world.run_until(world.now + MILLI);
    }
}

fn wait_of(world: &World, node: usize) -> Duration {
    let settings = &world.hosts[node].settings;
    master_down(
        settings.version,
        settings.priority,
        settings.interval,
        settings.misses,
    )
}

#[test]
fn nobody_takes_over_from_a_master_whose_adverts_alone_are_lost() {
    for seed in 0..SEEDS {
        let mut world = pair(seed);
        world.network.cut_adverts();
        world.run_until(world.now + wait_of(&world, 1) * 30);
        assert_eq!(
            roles(&world),
            [Some(RoleName::Master), Some(RoleName::Backup)]
        );
        assert!(world.seen.contains_key("answered"));
        assert!(world.hosts[0].answers(world.now));

        // Its agent dies: the gate shuts, nobody answers.
        world.end(0);
        let interval = world.hosts[1].settings.interval;
        let lease = world.hosts[0].settings.lease.unwrap_or_default();
        let took = takeover(&mut world);
        let most = lease + interval.max(MILLI * 100) * 2;
        assert!(took <= most, "{took:?}, not {most:?}");
        demand_lawful(&world);
    }
}

#[test]
fn a_look_delays_no_takeover_from_a_host_that_is_off() {
    for seed in 0..SEEDS {
        let mut world = pair(seed);
        let silent_for = until_no_advert_is_under_way(&mut world);
        world.end(0);
        world.hosts[0].kernel = Default::default();
        let took = silent_for + takeover(&mut world);
        let least = wait_of(&world, 1);
        // The way of the last advert, the addresses, and a step of this test.
        let most = least + world.hosts[1].settings.interval / 10 + MILLI * 2;
        assert!(
            took >= least && took <= most,
            "{took:?}, not {least:?} to {most:?}"
        );
        demand_lawful(&world);
    }
}
