//! Does it all end well? Everything is healed, and within a bound the right node serves, for good.

use std::time::Duration;

use floatlock::core::RoleName;
use floatlock::core::election::master_down;

use super::actuator::LONG_WORK;
use super::arbiter::Arbiter;
use super::dice::Dice;
use super::host::{ALL, Host};
use super::reference::PENALTY;
use super::scenario::{Fault, Mood, Scenario};
use super::timeline::Timeline;
use super::world::{Act, World};

impl World {
    pub(crate) fn of((scenario, dice): (Scenario, Dice), is_recording: bool) -> Self {
        Self::new(scenario, dice, Timeline::recording(is_recording))
    }

    /// The whole story.
    pub(crate) fn play(&mut self) {
        self.run_until(self.now + self.scenario.length);
        self.heal();
        let bound = self.bound();
        self.note(None, || format!("=== healed; at rest within {bound:?} ==="));
        self.run_until(self.now + bound);
        self.let_it_move();
        self.find_the_right_one();
        self.act = Act::Still;
        self.note(None, || "=== nothing changes any more ===".to_owned());
        self.run_until(self.now + self.beat() * 30 + self.master_down_max() * 3);
        self.let_it_move();
        self.find_the_right_one();
    }

    /// A better node that got no vote when it was let in asks again after a minute or more, and may be let in just
    /// now.
    fn let_it_move(&mut self) {
        let role = |host: &Host| host.agent.as_ref().map(|agent| agent.group.view().role);
        let serves = |host: &Host| role(host) == Some(RoleName::Master);
        if let Some(arbiter) = &self.arbiter
            && !self.hosts.iter().any(serves)
        {
            let wait = arbiter.settles_within() + self.master_down_max() * 4;
            self.run_until(self.now + wait + Duration::from_secs(1));
        }
    }

    fn heal(&mut self) {
        self.act = Act::Healed;
        self.network.heal();
        self.heal_arbiter();
        self.heal_reference();
        for node in 0..self.hosts.len() {
            self.heal_host(node);
        }
        let away = |host: &Host| {
            host.agent.as_ref().is_none_or(|agent| agent.stopping) && host.returns_after.is_none()
        };
        if self.hosts.iter().all(away) {
            self.return_to(0);
        }
    }

    fn heal_host(&mut self, node: usize) {
        let (now, host) = (self.now, &mut self.hosts[node]);
        host.sluggish_until = now;
        host.failing_until = now;
        host.hung_until = now;
        host.mute_until = now;
        host.fight_until = now;
        if !(host.has_link && host.has_source) {
            (host.has_link, host.has_source) = (true, true);
            self.tell_facts(node);
        }
        let boot = self.boot(node);
        self.thaw(node, boot);
        if self.hosts[node].agent.is_some() {
            return;
        }
        if self.dice.chance(70) {
            self.return_to(node);
        } else {
            // Gone for good: `floatlock release` has cleared what it left, and an owner is off.
            self.hosts[node].returns_after = None;
            self.hosts[node].kernel = Default::default();
        }
    }

    /// The same where the agent ends only now, and its addresses would not go off. An owner's are its
    /// own.
    pub(crate) fn clear_up_after(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        if self.act != Act::Weather && !host.is_owner() {
            host.kernel = Default::default();
        }
    }

    /// The agent runs again: at once, or as soon as the one that is stopping has ended.
    fn return_to(&mut self, node: usize) {
        self.hosts[node].returns_after = Some(Duration::ZERO);
        if self.hosts[node].agent.is_none() {
            self.end(node);
        }
    }

    fn master_down_max(&self) -> Duration {
        let beat = self.beat();
        let down = |host: &Host| {
            let settings = host.settings;
            master_down(settings.version, settings.priority, beat, settings.misses)
        };
        self.hosts.iter().map(down).max().unwrap_or_default()
    }

    /// After the last fault the cluster is at rest within this time.
    fn bound(&self) -> Duration {
        let longest = |of: fn(&Host) -> Duration| self.hosts.iter().map(of).max();
        let delays = longest(|host| host.settings.start_delay + host.settings.preempt_delay);
        let pauses = self.hosts.iter().map(|host| self.pause_of(host)).max();
        let actuator = self
            .scenario
            .faults
            .iter()
            .any(|fault| fault.is_of_actuator());
        // An answer that never comes, or a release that has just begun to be stuck.
        let late = match actuator {
            true => Duration::from_secs(27) + LONG_WORK,
            false => Duration::from_secs(1),
        };
        self.network.last_arrival.since(self.now)
            + delays.unwrap_or_default()
            + pauses.unwrap_or_default()
            + late
            + self
                .arbiter
                .as_ref()
                .map_or(Duration::ZERO, Arbiter::settles_within)
            + match self.scenario.reference {
                true => PENALTY,
                false => Duration::ZERO,
            }
            + self.master_down_max() * 8
    }

    /// For how long a node may still stay away from addresses that would not go on.
    fn pause_of(&self, host: &Host) -> Duration {
        let Some(agent) = &host.agent else {
            return Duration::ZERO;
        };
        let held = agent.ledger.hold_until.since(host.clock(self.now));
        let next = match agent.ledger.failures {
            // A fight whose last deletion is being mended.
            0 if agent.holding && self.scenario.faults.contains(&Fault::Fight) => 60,
            0 if agent.jobs.is_empty() => 0,
            failures => (10 << failures.min(5)).min(300),
        };
        held.max(Duration::from_secs(next))
    }

    fn find_the_right_one(&mut self) {
        if self.broken.is_some() {
            return;
        }
        let role = |host: &Host| host.agent.as_ref().map(|agent| agent.group.view().role);
        let masters = || {
            self.hosts
                .iter()
                .filter(|host| role(host) == Some(RoleName::Master))
        };
        let may_ask = self.arbiter.is_some();
        let others = |host: &&Host| match role(host) {
            None | Some(RoleName::Master | RoleName::Backup) => true,
            // The same.
            Some(RoleName::Candidate) => may_ask,
            _ => false,
        };
        let verdict = match (masters().next(), masters().count()) {
            (Some(master), 1) if master.kernel.on == ALL && self.arbiter.is_some() => Ok(()),
            (Some(master), 1) if master.kernel.on == ALL => self.is_best(master),
            (Some(_), 1) => Err("the MASTER has its addresses on".to_owned()),
            (None, _) if self.is_owner_alone() => Ok(()),
            (_, count) => Err(format!("exactly one node is MASTER, not {count}")),
        };
        let verdict = verdict.and_then(|()| match self.hosts.iter().all(|host| others(&host)) {
            true => Ok(()),
            false => Err("everybody else is BACKUP".to_owned()),
        });
        if verdict.is_ok() {
            self.saw(match self.scenario.mood {
                Mood::Calm => "served in calm",
                Mood::Frost => "served after deaths",
                Mood::Weather => "served by the best",
            });
        }
        let verdict = verdict.map_err(|law| format!("liveness: once all is healed, {law}"));
        self.uphold(0, verdict);
    }

    /// An owner was stopped, and its host, which is on, goes on answering for the address: it was its
    /// own before there was an agent. Whoever is left has asked, and was answered.
    fn is_owner_alone(&self) -> bool {
        let answers =
            |host: &Host| host.is_owner() && host.agent.is_none() && host.answers(self.now);
        let mut agents = self.hosts.iter().filter_map(|host| host.agent.as_ref());
        self.hosts.iter().any(|host| answers(host) && host.has_link)
            && agents.all(|agent| agent.ledger.was_answered())
    }

    /// Nobody who would preempt is better.
    fn is_best(&self, master: &Host) -> Result<(), String> {
        let preempts = |host: &&Host| {
            let agent = host.agent.as_ref();
            let willing =
                host.settings.preempt && agent.is_some_and(|agent| agent.ledger.failures == 0);
            willing || (host.is_owner() && agent.is_some())
        };
        let better = |host: &Host| host.settings.priority > master.settings.priority;
        match self.hosts.iter().filter(preempts).any(better) {
            false => Ok(()),
            true => Err("no better node that preempts is BACKUP".to_owned()),
        }
    }

    /// For the report of a failure.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("seed {}, {:?}\n", self.scenario.seed, self.scenario.mood);
        for (node, settings) in self.scenario.settings.iter().enumerate() {
            let sources: Vec<String> = self
                .scenario
                .lines
                .iter()
                .map(|line| line.sources[node].to_string())
                .collect();
            text += &format!(
                "node {node}: {settings:?}\n        from {}\n",
                sources.join(", ")
            );
        }
        for (nth, line) in self.scenario.lines.iter().enumerate() {
            text += &format!(
                "line {nth}: {:?}..{:?}, keeps order: {}, service link: {}\n",
                line.delay.0, line.delay.1, line.keeps_order, line.on_service_link
            );
        }
        text + &format!("faults: {:?}\n", self.scenario.faults)
    }
}
