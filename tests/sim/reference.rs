//! Something in the network that answers every node, some of them, or none: under VRRP a condition for holding.

use std::time::Duration;

use floatlock::core::{Alarm, Effect, Event, Instant, Reference, Report, RoleName};

use super::arbiter;
use super::dice::Dice;
use super::host::Host;
use super::scenario::{Fault, Mood, Scenario, longest_interval};
use super::world::{Act, MICRO, What, World};

/// Who lost it again and again stands when it has answered for so long, and nobody waits for longer.
pub(crate) const PENALTY: Duration = Duration::from_secs(62);
/// Nobody stands before it has answered for so long.
const STEADY: Duration = Duration::from_secs(1);
const SECOND: Duration = Duration::from_secs(1);

/// What a host has of it, and what its agent knows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sight {
    /// Of the world's clock.
    hidden_until: Instant,
    /// Until then its answers count: of the host's clock, like what follows.
    counts_until: Instant,
    /// Since then there was no gap between them.
    since: Instant,
    /// It stands without.
    solo: bool,
    /// It was reached, once.
    was_reached: bool,
}

/// The same cluster, whose nodes have a reference: behind gates, and not in calm. A quarter of them have an arbiter, too.
pub(crate) fn draw(seed: u64) -> (Scenario, Dice) {
    let seeds = (0..).map(|nth| seed ^ nth << 40);
    let mut all = seeds.map(Scenario::draw);
    let is_fit = |(scenario, _): &(Scenario, Dice)| {
        let is_gated = scenario.settings.iter().all(|one| one.lease.is_some());
        // For those that are quicker the wait after a loss would be a thousand leases.
        let is_quick = longest_interval(&scenario.settings) < Duration::from_millis(50);
        is_gated && !is_quick && scenario.mood != Mood::Calm
    };
    let (mut scenario, mut dice) = all.find(is_fit).expect("one of five is");
    scenario.seed = seed;
    add(&mut scenario, &mut dice);
    if dice.chance(25) {
        arbiter::add(&mut scenario, &mut dice);
    }
    (scenario, dice)
}

fn add(scenario: &mut Scenario, dice: &mut Dice) {
    let beat = longest_interval(&scenario.settings);
    let solo_after = (SECOND + beat * 4).max(dice.spread(SECOND, SECOND * 8));
    let solo_after = dice.chance(30).then_some(solo_after);
    for settings in &mut scenario.settings {
        settings.reference = Some(Reference { solo_after });
    }
    scenario.reference = true;
    scenario.faults.extend([Fault::Reference; 3]);
    // Nobody stands in the first second of it, nor in the one after a loss.
    scenario.length += SECOND * dice.pick(&[2, 5, 20]);
}

impl Host {
    /// What it was told at `now`: that it answered a question of then.
    pub(crate) fn count_answer(&mut self, asked_at: Instant, now: Instant) {
        let Some(lease) = self.settings.lease else {
            return;
        };
        let sight = &mut self.sight;
        if asked_at > sight.counts_until {
            sight.since = now;
        }
        sight.counts_until = sight.counts_until.max(asked_at + lease);
        sight.was_reached |= sight.counts_until > now;
        sight.solo &= !sight.was_reached;
    }
}

impl World {
    /// A new agent knows of no answer.
    pub(crate) fn begin_at_reference(&mut self, node: usize) {
        if self.scenario.reference {
            let hidden_until = self.hosts[node].sight.hidden_until;
            self.hosts[node].sight = Sight {
                hidden_until,
                ..Sight::default()
            };
            let boot = self.boot(node);
            self.after(Duration::ZERO, What::AskReference { node, boot });
        }
    }

    /// The thread that asks, in each interval; where the whole agent stands still it asks nothing.
    pub(crate) fn ask_reference(&mut self, node: usize, boot: u32) {
        let host = &self.hosts[node];
        if host.boot != boot || host.agent.is_none() {
            return;
        }
        let interval = host.settings.interval;
        let asked_at = host.clock(self.now);
        let stands_still = host.frozen.is_some_and(|freeze| freeze.whole);
        let reaches = host.has_link && host.has_source && host.sight.hidden_until <= self.now;
        self.after(interval, What::AskReference { node, boot });
        let is_steady = self.scenario.mood == Mood::Frost || self.act != Act::Weather;
        if stands_still || !reaches || !is_steady && self.dice.chance(5) {
            return;
        }
        let most = match !is_steady && self.dice.chance(5) {
            true => interval * 4,
            false => interval / 4,
        };
        let wait = self.dice.spread(MICRO * 50, most);
        let event = Event::Proven(asked_at);
        let to = node;
        self.after(wait, What::Command { to, boot, event });
    }

    /// Hidden from some of the nodes, or from all.
    pub(crate) fn hide_reference(&mut self) {
        let beat = self.beat();
        let length = self.dice.spread(beat, beat * 20 + SECOND * 10);
        let (all, until) = ((1 << self.hosts.len()) - 1, self.now + length);
        let chosen = match self.dice.chance(30) {
            true => all,
            false => 1 + self.dice.below(all),
        };
        for (node, host) in self.hosts.iter_mut().enumerate() {
            if chosen >> node & 1 == 1 {
                host.sight.hidden_until = host.sight.hidden_until.max(until);
            }
        }
        self.saw(match chosen == all {
            true => "reference lost",
            false => "reference hidden",
        });
    }

    pub(crate) fn heal_reference(&mut self) {
        for host in &mut self.hosts {
            host.sight.hidden_until = self.now;
        }
    }

    /// What nobody does without it.
    pub(crate) fn answer_to_reference(&mut self, node: usize, effect: Effect) {
        if !self.scenario.reference {
            return;
        }
        let (host, now) = (&self.hosts[node], self.hosts[node].clock(self.now));
        let sight = host.sight;
        let is_reached = sight.counts_until > now;
        let (is_kept, law) = match effect {
            Effect::Warrant(until) => (
                until <= now || until <= sight.counts_until || sight.solo,
                "nobody says that the reference speaks for it for longer than a lease after it asked",
            ),
            Effect::Acquire(_) => (
                is_reached || sight.solo,
                "nobody claims without the reference",
            ),
            Effect::Report(Report::Role {
                to: RoleName::Candidate,
                ..
            }) => (
                is_reached && now.since(sight.since) >= STEADY || sight.solo,
                "nobody stands before the reference has answered for a second",
            ),
            Effect::Report(Report::Alarm(Alarm::Solo)) => (
                self.may_go_solo(node),
                "nobody stands alone who has heard another node or the reference, or not waited",
            ),
            _ => return,
        };
        if matches!(effect, Effect::Report(Report::Alarm(Alarm::Solo))) {
            self.hosts[node].sight.solo = true;
            self.saw("solo");
        }
        self.uphold(node, is_kept.then_some(()).ok_or(law.to_owned()));
    }

    fn may_go_solo(&self, node: usize) -> bool {
        let host = &self.hosts[node];
        let chosen = host.settings.reference;
        let after = chosen.and_then(|chosen| chosen.solo_after);
        let waited = |agent: &super::host::Agent| {
            !agent.ledger.has_met() && after.is_some_and(|after| agent.ledger.age() >= after)
        };
        !host.sight.was_reached && host.agent.as_ref().is_some_and(waited)
    }

    /// After everything that happens to a node.
    pub(crate) fn look_for_reference(&mut self, node: usize) {
        let host = &self.hosts[node];
        if !self.scenario.reference || !host.answers(self.now) {
            return;
        }
        let is_kept = host.clock(self.now) < host.sight.counts_until || host.sight.solo;
        let law = "nobody answers for longer than a lease after it asked the reference";
        self.uphold(node, is_kept.then_some(()).ok_or(law.to_owned()));
    }
}
