//! An operator's scripts: quick, slow, refusing, silent; and what the core asks of them, and when.

use std::time::Duration;

use floatlock::core::{Act, Actions, Event, RoleName};

use super::super::dice::Dice;
use super::scenario::{Mood, Scenario};
use super::world::{Act as Stage, What, World};

/// One story in so many has scripts.
const ONE_IN: u64 = 4;

/// Scripts for every group of the cluster, in some stories: those that have none are what they were.
pub(crate) fn add(scenario: &mut Scenario) {
    if scenario.seed % ONE_IN != ONE_IN - 1 || scenario.mood == Mood::Calm {
        return;
    }
    let mut dice = dice(scenario.seed);
    let promise = scenario.promise;
    let mut length = |there: u64| match dice.chance(there) {
        true => dice.spread(promise / 4, promise * 3),
        false => Duration::ZERO,
    };
    let actions = Actions {
        promote: length(80),
        demote: length(80),
        others: length(50),
    };
    let all = scenario.settings.iter_mut().flatten();
    all.for_each(|settings| settings.actions = actions);
}

/// Of their own: a story draws the same faults whatever its scripts do.
pub(crate) fn dice(seed: u64) -> Dice {
    Dice::new(seed ^ 0x0073_6372_6970_7473)
}

impl Scenario {
    pub(crate) fn actions(&self) -> Actions {
        self.settings[0][0].actions
    }

    /// Nothing that they are asked for takes longer.
    pub(crate) fn longest_action(&self) -> Duration {
        let Actions {
            promote,
            demote,
            others,
        } = self.actions();
        promote + demote + others
    }
}

impl World {
    /// The core asks for scripts.
    pub(crate) fn run_scripts(&mut self, node: usize, group: usize, id: u64, act: Act) {
        let actions = self.scenario.actions();
        let host = &mut self.hosts[node];
        let is_on = host.kernel[group].on;
        let answers = host.answers(group, self.now);
        let Some(agent) = &mut host.agent else {
            return;
        };
        let slot = &mut agent.slots[group];
        let role = slot.group.view().role;
        let within = match act {
            Act::Promote => {
                slot.promoting = Some(id);
                self.saw("promote");
                self.uphold(!is_on, "a promotion is prepared before the addresses go on");
                self.uphold(
                    !actions.promote.is_zero(),
                    "nobody waits for scripts that are not there",
                );
                actions.promote
            }
            Act::Demote => {
                self.saw("demote");
                let is_master = role == RoleName::Master;
                self.uphold(is_master, "who prepares its end is still MASTER");
                self.uphold(
                    !actions.demote.is_zero(),
                    "nobody waits for scripts that are not there",
                );
                actions.demote
            }
            Act::Silenced { lost } => {
                slot.promoting = None;
                self.saw(if lost {
                    "lost, and silenced"
                } else {
                    "silenced"
                });
                self.uphold(!answers, "who is silenced does not answer any more");
                return;
            }
        };
        self.scripts_end(node, group, id, within);
    }

    /// When, and how.
    fn scripts_end(&mut self, node: usize, group: usize, id: u64, within: Duration) {
        let is_healed = self.act != Stage::Weather;
        let dice = &mut self.scripts;
        let (wait, is_good) = match dice.below(20) {
            _ if is_healed => (dice.between(Duration::ZERO, within / 2), true),
            0..=14 => (dice.between(Duration::ZERO, within / 2), true),
            15 | 16 => (dice.between(Duration::ZERO, within), false),
            17 | 18 => (dice.between(within, within * 3), true),
            _ => return,
        };
        let boots = self.hosts[node].boots;
        let event = Box::new(Event::Acted(id, is_good));
        let what = What::Command {
            node,
            boots,
            group: Some(group),
            event,
        };
        self.after(wait, what);
    }

    /// The gate opens for who said that it may.
    pub(crate) fn hear_acted(&mut self, node: usize, group: usize, event: Event) {
        let Event::Acted(id, is_good) = event else {
            return;
        };
        let slot = self.hosts[node].agent.as_mut();
        let slot = slot.and_then(|agent| agent.slots.get_mut(group));
        if let Some(slot) = slot.filter(|slot| slot.promoting == Some(id) && is_good) {
            slot.prepared = true;
        }
    }

    /// The addresses go on, or not for this time.
    pub(crate) fn demand_prepared(&mut self, node: usize, group: usize) {
        let slot = self.hosts[node].agent.as_mut();
        let Some(slot) = slot.and_then(|agent| agent.slots.get_mut(group)) else {
            return;
        };
        let is_needed = !slot.group.settings().actions.promote.is_zero();
        let is_prepared = slot.prepared || !is_needed;
        self.uphold(
            is_prepared,
            "the addresses go on when the scripts for that have said so",
        );
    }

    pub(crate) fn forget_prepared(&mut self, node: usize, group: usize) {
        let slot = self.hosts[node].agent.as_mut();
        if let Some(slot) = slot.and_then(|agent| agent.slots.get_mut(group)) {
            (slot.prepared, slot.promoting) = (false, None);
        }
    }
}
