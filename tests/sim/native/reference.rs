//! Something in the network that answers, or is hidden from some of the hosts.

use std::time::Duration;

use floatlock::core::{Event, Instant, Reference};

use super::scenario::{MICRO, Mood, Scenario};
use super::world::{What, World};
use crate::dice::Dice;

/// A reference that flapped keeps a node from standing for so long at most, and then it must be steady.
pub(crate) const PENALTY: Duration = Duration::from_secs(62);

/// What a host has of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    pub(super) hidden_until: Instant,
    /// When its last question was sent that is answered: of its own clock.
    pub(crate) proven: Instant,
}

/// The same cluster, whose nodes have a reference.
pub(crate) fn add(scenario: &mut Scenario, dice: &mut Dice) {
    let after = scenario.promise * 2;
    let solo_after = dice.chance(20).then_some(after);
    for (node, settings) in scenario.settings.iter_mut().enumerate() {
        for settings in settings {
            settings.reference = (node < scenario.nodes).then_some(Reference { solo_after });
            if let Some(voting) = &mut settings.native {
                voting.lease.reference = true;
            }
        }
    }
    scenario.reference = true;
    scenario.solo = solo_after.is_some();
}

impl World {
    /// The thread that asks, in each interval; one that stands still asks nothing.
    pub(crate) fn ask_reference(&mut self, node: usize, boots: u32) {
        if self.hosts[node].boots != boots || self.hosts[node].agent.is_none() {
            return;
        }
        self.after(self.scenario.interval, What::Ask { node, boots });
        let asked_at = self.local(node);
        let host = &self.hosts[node];
        let is_reached = host.is_up && host.has_link && host.reference.hidden_until <= self.now;
        if host.paused || host.frozen || !is_reached {
            return;
        }
        if self.scenario.mood != Mood::Frost && self.dice.chance(5) {
            // Lost.
            return;
        }
        self.hosts[node].reference.proven = asked_at;
        let most = match self.dice.chance(3) {
            true => self.scenario.promise * 2,
            false => self.scenario.interval / 4,
        };
        let wait = self.dice.spread(MICRO * 50, most);
        let what = What::Command {
            node,
            boots,
            group: None,
            event: Box::new(Event::Proven(asked_at)),
        };
        self.after(wait, what);
    }

    /// Hidden from one host, or from all.
    pub(crate) fn hide_reference(&mut self, node: usize, until: Instant) {
        let all = self.dice.chance(40);
        for (at, host) in self.hosts.iter_mut().enumerate() {
            if all || at == node {
                host.reference.hidden_until = host.reference.hidden_until.max(until);
            }
        }
        self.saw(if all {
            "reference lost"
        } else {
            "reference hidden"
        });
    }

    pub(crate) fn heal_reference(&mut self) {
        for host in &mut self.hosts {
            host.reference.hidden_until = self.now;
        }
    }

    /// Law 2, for whoever goes on alone: until when it may, by what was answered.
    pub(crate) fn alone_until(&self, node: usize) -> Instant {
        match self.scenario.reference && !self.scenario.solo {
            true => self.hosts[node].reference.proven + self.scenario.lease,
            false => Instant::NEVER,
        }
    }

    /// Whether a host may go on alone just now, or its gate is not shut yet.
    pub(crate) fn may_be_alone(&self, node: usize) -> bool {
        let late = self.hosts[node].late;
        self.alone_until(node) + late > self.local(node)
    }
}
