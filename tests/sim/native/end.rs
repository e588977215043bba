//! Does it all end well? Everything is healed, and within a bound one node serves, for good.

use std::time::Duration;

use floatlock::core::{Event, RoleName};

use super::host::{Agent, Host, Slot};
use super::reference::PENALTY;
use super::scenario::{ADDRESSES, MILLI, VOTERS};
use super::world::{Act, Passing, World};

/// Whether an operator has to start it again: it was told something else, or its actuator still works
/// on something that takes very long, or it pauses because the addresses would not go on.
fn is_odd(agent: &Agent) -> bool {
    let is_stuck = |slot: &Slot| {
        let role = slot.group.view().role;
        let is_blocked = [RoleName::Init, RoleName::Releasing, RoleName::Fault].contains(&role);
        // Scripts that have been asked already need not answer.
        let is_blocked = is_blocked || slot.group.view().acting.is_some();
        is_blocked || !slot.jobs.is_empty()
    };
    agent.voters != VOTERS || agent.slots.iter().any(is_stuck)
}

impl World {
    /// The whole story.
    pub(crate) fn play(&mut self) {
        self.run_until(self.now + self.scenario.length);
        if self.broken.is_some() {
            return;
        }
        self.heal();
        let (healed, bound) = (self.now, self.bound());
        self.change(|| format!("=== healed; one serves within {bound:?} ==="));
        while self.now < healed + bound && self.broken.is_none() && !self.is_served() {
            self.run_until(self.now + self.scenario.interval);
        }
        let after = self.now.since(healed).as_micros() * 1000 / self.scenario.promise.as_micros();
        self.served_after = u64::try_from(after).unwrap_or(u64::MAX);
        self.run_until(healed + bound);
        self.demand_one();
        self.act = Act::Still;
        self.change(|| "=== nothing changes any more ===".to_owned());
        self.run_until(self.now + self.scenario.promise * 2);
        self.demand_one();
    }

    fn is_served(&self) -> bool {
        self.court.iter().all(|court| court.answering.len() == 1)
    }

    fn heal(&mut self) {
        self.act = Act::Healed;
        self.wire.heal();
        self.heal_reference();
        self.heal_disk();
        for node in 0..self.hosts.len() {
            self.heal_host(node);
        }
    }

    fn heal_host(&mut self, node: usize) {
        let now = self.now;
        let host = &mut self.hosts[node];
        host.sluggish_until = now;
        host.failing_until = now;
        host.hung_until = now;
        host.slow_disk_until = now;
        if host.paused {
            self.resume(node);
        }
        let boots = self.hosts[node].boots;
        self.thaw(node, boots);
        if !self.hosts[node].is_up {
            self.power_on(node);
        }
        if !self.hosts[node].has_link {
            self.is_over(node, Passing::Link);
        }
        if self.hosts[node].maintenance {
            self.is_over(node, Passing::Maintenance);
        }
        self.hosts[node].addresses = ADDRESSES;
        self.hosts[node].voters = VOTERS;
        self.hosts[node].returns_after = Some(Duration::ZERO);
        if self.hosts[node].agent.as_ref().is_none_or(is_odd) {
            self.end(node);
        }
    }

    /// After the last fault somebody serves within this time: whoever starts now waits P; who resigned
    /// or rested waits 2P; delays of start and preemption; a conflict or a forged frame holds votes for
    /// P; and a takeover. Then everybody has come to rest.
    fn bound(&self) -> Duration {
        let of = |host: &Host| {
            let delays = host.settings.iter();
            let delays = delays.map(|settings| settings.start_delay + settings.preempt_delay);
            delays.max().unwrap_or_default()
        };
        let delays = self.hosts.iter().map(of).max().unwrap_or_default();
        self.wire.last_arrival.since(self.now)
            + delays
            + match self.scenario.reference {
                true => PENALTY,
                false => Duration::ZERO,
            }
            + self
                .disk
                .as_ref()
                .map_or(Duration::ZERO, |disk| disk.wait() * 4)
            + self.scenario.longest_action() * 2
            + self.scenario.promise * 6
            + self.scenario.interval * 4
            + MILLI * 100
    }

    fn demand_one(&mut self) {
        if self.broken.is_some() {
            return;
        }
        for group in 0..self.scenario.groups {
            let role = |host: &Host| {
                let slot = host.agent.as_ref().and_then(|agent| agent.slots.get(group));
                slot.map(|slot| slot.group.view().role)
            };
            let answering = self.court[group].answering.clone();
            let is_master = |node: &usize| role(&self.hosts[*node]) == Some(RoleName::Master);
            let serves = answering.len() == 1 && answering.iter().all(is_master);
            let others = self.hosts.iter().enumerate().all(|(node, host)| {
                answering.contains(&node)
                    || matches!(role(host), Some(RoleName::Backup | RoleName::Witness))
            });
            self.uphold(serves, "L1: once all is healed, one node serves");
            self.uphold(others, "L2: everybody else is BACKUP or WITNESS");
            self.saw("served in the end");
        }
    }

    /// An operator tells an agent something.
    pub(crate) fn order(&mut self, node: usize, event: Event) {
        self.send_command(node, None, event);
    }

    /// For the report of a failure.
    pub(crate) fn describe(&self) -> String {
        let s = &self.scenario;
        let mut text = format!(
            "native seed {}, {:?}: {} nodes, {} witnesses, {} groups, interval {:?}, L {:?}, P {:?}\n",
            s.seed,
            s.mood,
            s.nodes,
            s.voters - s.nodes,
            s.groups,
            s.interval,
            s.lease,
            s.promise
        );
        for (node, (plan, settings)) in s.hosts.iter().zip(&s.settings).enumerate() {
            let settings: Vec<_> = settings
                .iter()
                .map(|s| {
                    let delays = (s.preempt_delay, s.start_delay);
                    format!("priority {}, preempt {} {delays:?}", s.priority, s.preempt)
                })
                .collect();
            text += &format!("n{node}: {plan:?}, {settings:?}\n");
        }
        if let Some(lease) = s.disk {
            text += &format!("{} disks, L {lease:?}, always {}\n", s.disks, s.always);
        }
        text + &format!("paths: {:?}\nfaults: {:?}\n", s.lines, s.faults)
    }
}
