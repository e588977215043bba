//! What goes wrong? Faults, each for a while.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use floatlock::core::{ConflictField, Event, Instant};

use super::host::{ALL, KEPT, Packet};
use super::scenario::{Fault, Mood, longest_interval};
use super::world::{Act, What, World};

const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

impl World {
    /// The longest interval of the cluster: the measure of all pauses.
    pub(crate) fn beat(&self) -> Duration {
        let settings: Vec<_> = self.hosts.iter().map(|host| host.settings).collect();
        longest_interval(&settings)
    }

    /// A fault happens, and after a while the next one.
    pub(crate) fn fault(&mut self) {
        if self.act != Act::Weather {
            return;
        }
        let gap = self.scenario.gap;
        let wait = match self.scenario.mood {
            Mood::Calm => self.dice.between(gap, gap * 2),
            Mood::Frost | Mood::Weather => self.dice.between(Duration::ZERO, gap * 2),
        };
        let faults = self.scenario.faults.clone();
        let (node, fault) = (self.dice.below(self.hosts.len()), self.dice.pick(&faults));
        self.befall(node, fault);
        self.after(wait, What::Fault);
    }

    fn befall(&mut self, node: usize, fault: Fault) {
        self.note(Some(node), || format!("--- {fault:?} ---"));
        let beat = self.beat();
        let most = beat * 20;
        let length = self.dice.spread(beat / 10, most);
        let until = self.now + length;
        match fault {
            Fault::Loss => self.network.lose(until, &mut self.dice),
            Fault::Cut => self.network.cut(until, &mut self.dice),
            Fault::Partition => self.network.part(until, &mut self.dice),
            Fault::Slow => self.network.slow(beat * 2, until, &mut self.dice),
            Fault::Echo => self.network.echo(beat * 4, until, &mut self.dice),
            Fault::Freeze => {
                let whole = self.dice.coin();
                self.freeze(node, whole, length);
            }
            Fault::Crash => self.crash(node, length),
            Fault::PowerLoss => self.lose_power(node, length),
            Fault::Stop => self.stop(node, length),
            Fault::Sluggish => self.hosts[node].sluggish_until = self.now + most,
            Fault::Failing => self.hosts[node].failing_until = self.now + most,
            Fault::Hung => self.hosts[node].hung_until = self.now + most.max(length),
            Fault::Mute => self.hosts[node].mute_until = self.now + most,
            Fault::Deletion => self.tear(node),
            Fault::Arbiter => self.cut_arbiter(node, until),
            Fault::Reference => self.hide_reference(),
            Fault::Fight => {
                self.hosts[node].fight_until = until;
                self.tear_again(node);
            }
            Fault::LinkDown => {
                let (down, up) = (false, true);
                self.after(Duration::ZERO, What::Link { node, is_up: down });
                self.after(length, What::Link { node, is_up: up });
            }
            Fault::SourceLost => {
                let (gone, back) = (false, true);
                self.after(
                    Duration::ZERO,
                    What::Source {
                        node,
                        is_there: gone,
                    },
                );
                self.after(
                    length,
                    What::Source {
                        node,
                        is_there: back,
                    },
                );
            }
            Fault::Conflict | Fault::Unauthentic | Fault::OwnAdvert => {
                let event = self.strange(node, fault);
                self.noise(node, event, until);
            }
            Fault::Settings => self.reconfigure(node),
            Fault::Addresses => self.send_command(node, Event::AddressesChanged),
        }
    }

    fn crash(&mut self, node: usize, away: Duration) {
        if self.hosts[node].agent.is_none() {
            return;
        }
        self.hosts[node].returns_after = self.dice.chance(70).then_some(away);
        // What the kernel was just told, it does.
        let host = &mut self.hosts[node];
        let agent = host.agent.as_ref();
        let current = agent.and_then(|agent| Some((*agent.jobs.front()?, agent.list)));
        if let Some((job, list)) = current.filter(|_| self.dice.coin()) {
            host.execute(job, list, true);
        }
        self.end(node);
    }

    fn lose_power(&mut self, node: usize, away: Duration) {
        self.crash(node, away);
        if !self.hosts[node].is_owner() {
            self.hosts[node].kernel = Default::default();
            self.hosts[node].gate = Default::default();
        }
    }

    /// An operator stops the agent; later it is started again. In calm one node always runs.
    fn stop(&mut self, node: usize, away: Duration) {
        if self.hosts[node].agent.is_none() {
            return;
        }
        let (returns, settle) = (self.dice.chance(85), self.scenario.gap);
        self.hosts[node].returns_after = match self.scenario.mood {
            Mood::Calm => Some(settle / 2),
            Mood::Frost | Mood::Weather => returns.then_some(away),
        };
        self.send_command(node, Event::Stop);
    }

    fn reconfigure(&mut self, node: usize) {
        let (old, scenario) = (self.hosts[node].settings, &self.scenario);
        let new = scenario.redraw(node, &old, &mut self.dice);
        self.send_command(node, Event::Settings(new));
    }

    fn tear(&mut self, node: usize) {
        let (gone, now) = (self.dice.pick(&[ALL, KEPT, ALL & !KEPT]), self.now);
        if !self.hosts[node].tear(gone, now) {
            return;
        }
        self.note(Some(node), || "somebody took addresses off".to_owned());
        self.look(node);
        self.send_command(node, Event::AddressLost);
    }

    pub(crate) fn tear_again(&mut self, node: usize) {
        if self.now >= self.hosts[node].fight_until {
            return;
        }
        self.tear(node);
        let again = self.hosts[node].settings.interval / 3;
        self.after(again, What::Tear { node });
    }

    fn strange(&mut self, node: usize, fault: Fault) -> Event {
        let interval = self.hosts[node].settings.interval;
        match fault {
            Fault::Conflict => Event::Conflict {
                from: STRANGER,
                field: ConflictField::Version,
                interval: interval * self.dice.pick(&[1, 1, 5]),
            },
            Fault::Unauthentic => Event::Unauthentic { from: STRANGER },
            _ => Event::OwnAdvert {
                from: self.hosts[node].source,
            },
        }
    }

    pub(crate) fn noise(&mut self, to: usize, event: Event, until: Instant) {
        if self.now >= until || self.act != Act::Weather {
            return;
        }
        let packet = Packet {
            sender: None,
            holds: false,
            event,
        };
        self.after(
            Duration::ZERO,
            What::Frame {
                to,
                line: 0,
                packet,
            },
        );
        let interval = match event {
            Event::Conflict { interval, .. } => interval,
            _ => self.hosts[to].settings.interval,
        };
        let again = interval * self.dice.pick(&[1, 1, 3]) / 2;
        self.after(again, What::Noise { to, event, until });
    }
}
