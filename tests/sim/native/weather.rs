//! What goes wrong? Faults of hosts, disks, clocks and networks, and what operators do.

use std::time::Duration;

use floatlock::core::{Event, Facts, Immovable, Instant};

use super::clock::Clock;
use super::host::{Kernel, Stage};
use super::laws::Watch;
use super::scenario::{Fault, MICRO, Mood, Scenario};
use super::voice::UNAUTHENTIC;
use super::world::{Act, Passing, What, World};

impl World {
    pub(crate) fn fault(&mut self) {
        if self.act != Act::Weather {
            return;
        }
        let gap = self.scenario.gap;
        let wait = match self.scenario.mood {
            Mood::Calm => gap,
            _ => self.dice.between(gap / 4, gap * 2),
        };
        self.after(wait, What::Fault);
        let fault = self.scenario.faults[self.dice.below(self.scenario.faults.len())];
        let node = self.target();
        if self.scenario.mood == Mood::Calm {
            return self.calm(node, fault);
        }
        self.change(|| format!("{fault:?}, n{node}"));
        let promise = self.scenario.promise;
        let length = self.dice.spread(promise / 16, promise * 3);
        self.happens(node, fault, length);
    }

    /// Rather one that answers.
    fn target(&mut self) -> usize {
        let group = self.dice.below(self.scenario.groups);
        let answering = &self.court[group].answering;
        match answering.first() {
            Some(node) if self.dice.coin() => *node,
            _ => self.dice.below(self.hosts.len()),
        }
    }

    fn happens(&mut self, node: usize, fault: Fault, length: Duration) {
        let until = self.now + length;
        let (wire, dice) = (&mut self.wire, &mut self.dice);
        match fault {
            Fault::Loss => wire.lose(until, dice),
            Fault::Cut => wire.cut(until, dice),
            Fault::Partition => wire.part(until, dice),
            Fault::Slow => {
                let (interval, promise) = (self.scenario.interval, self.scenario.promise);
                let most = dice.pick(&[interval, interval * 3, promise, promise * 3]);
                wire.slow(most, until, dice);
            }
            Fault::Echo => {
                let later = dice.spread(MICRO * 100, self.scenario.promise * 4);
                wire.echo(later, until, dice);
            }
            Fault::Replay => self.replay(),
            Fault::Freeze => self.will_freeze(node, length),
            Fault::Pause => self.pause(node, length, false),
            Fault::Standstill => self.pause(node, length, true),
            Fault::Crash => self.crash(node, length),
            Fault::PowerLoss => self.lose_power(node, length),
            Fault::Stop => self.stop(node, length),
            Fault::HandOver => self.hand_over(node),
            Fault::Maintenance => self.maintain(node, length),
            Fault::Priority => self.change_priority(node),
            Fault::Sluggish => self.hosts[node].sluggish_until = until,
            Fault::Failing => self.hosts[node].failing_until = until,
            Fault::Hung => self.hosts[node].hung_until = until,
            Fault::SlowDisk => self.hosts[node].slow_disk_until = until,
            Fault::LinkDown => self.set_link(node, length),
            Fault::Addresses => {
                self.hosts[node].addresses = 2;
                self.after(length, What::Over(node, Passing::Addresses));
            }
            Fault::Voters => {
                self.hosts[node].voters = 2;
                self.after(length, What::Over(node, Passing::Voters));
                self.crash(node, MICRO * 100);
            }
            Fault::Reference => self.hide_reference(node, until),
            Fault::Disk => self.harm_disk(node, until),
            Fault::Unauthentic => self.order(node, UNAUTHENTIC),
        }
    }

    // --- one thing after the other ----------------------------------------------------------

    /// On a network that works: everything is measured.
    fn calm(&mut self, node: usize, fault: Fault) {
        let promise = self.scenario.promise;
        let holds = |court: &super::laws::Court| court.answering.contains(&node);
        let holds = self.court.iter().any(holds);
        let (what, gap) = match fault {
            Fault::HandOver if !holds || !self.may_leave(node) => return,
            Fault::Stop | Fault::Maintenance if !self.may_leave(node) => return,
            Fault::HandOver => ("planned: handover", self.planned()),
            Fault::Stop => ("planned: stop", self.planned()),
            Fault::Maintenance => ("planned: maintenance", self.planned()),
            Fault::Priority => ("planned: priority", self.planned()),
            _ if holds => ("death of the holder", self.unplanned()),
            _ => ("death of another", self.planned()),
        };
        self.change(|| format!("{fault:?}, n{node}: {what}"));
        let until = self.now + promise * 5;
        for court in &mut self.court {
            court.watch = Some(Watch { what, gap, until });
        }
        self.at(until, What::Due);
        let length = match fault {
            Fault::Freeze => promise * 2,
            Fault::Maintenance => promise * 2,
            _ => promise,
        };
        self.happens(node, fault, length);
    }

    /// Whether all groups that the node holds have somebody ready to take them.
    fn may_leave(&self, node: usize) -> bool {
        let Some(agent) = &self.hosts[node].agent else {
            return false;
        };
        let mut slots = agent.slots.iter();
        slots.all(|slot| match slot.group.successor(None) {
            Ok(_) | Err(Immovable::NotMaster(_)) => true,
            Err(_) => false,
        })
    }

    // --- hosts and agents -------------------------------------------------------------------

    /// Now, or in the middle of the next turn.
    fn will_freeze(&mut self, node: usize, length: Duration) {
        let stages = [Stage::Obey, Stage::Pass, Stage::Speak, Stage::Settle];
        let (stage, is_stale) = (self.dice.pick(&stages), self.dice.coin());
        if self.dice.coin() {
            return self.freeze(node, length);
        }
        if let Some(agent) = &mut self.hosts[node].agent {
            agent.trap = Some((stage, is_stale, length));
        }
    }

    pub(crate) fn freeze(&mut self, node: usize, length: Duration) {
        let host = &mut self.hosts[node];
        if host.agent.is_none() || host.frozen {
            return;
        }
        host.frozen = true;
        let boots = host.boots;
        self.saw("freeze");
        self.change(|| format!("n{node} is frozen"));
        self.after(length, What::Thaw { node, boots });
    }

    pub(crate) fn thaw(&mut self, node: usize, boots: u32) {
        let host = &mut self.hosts[node];
        if !host.frozen || host.boots != boots {
            return;
        }
        host.frozen = false;
        self.change(|| format!("n{node} goes on"));
        self.turn(node);
    }

    fn pause(&mut self, node: usize, length: Duration, stands: bool) {
        let (now, host) = (self.now, &mut self.hosts[node]);
        if host.paused || !host.is_up {
            return;
        }
        host.paused = true;
        host.paused_at = Some(now);
        let held = (0..host.kernel.len()).filter(|group| host.may_answer(*group, now));
        host.held_then = held.fold(0, |bits, group| bits | 1 << group);
        if stands {
            host.clock.stand(now, true);
        }
        self.saw(if stands { "standstill" } else { "pause" });
        self.after(length, What::Resume(node));
    }

    pub(crate) fn resume(&mut self, node: usize) {
        let (now, lease) = (self.now, self.scenario.lease);
        let host = &mut self.hosts[node];
        if !host.paused {
            return;
        }
        host.paused = false;
        if host.clock.stands() {
            host.clock.stand(now, false);
            host.residue_until = now + lease * 101 / 100 + host.late;
        }
        let held = std::mem::take(&mut host.held);
        self.change(|| format!("n{node} is resumed"));
        for (path, frame) in held {
            self.arrive(node, path, frame);
        }
        self.turn(node);
    }

    fn crash(&mut self, node: usize, length: Duration) {
        if self.hosts[node].agent.is_none() {
            return;
        }
        self.saw("crash");
        self.hosts[node].returns_after = Some(length);
        self.end(node);
    }

    fn lose_power(&mut self, node: usize, length: Duration) {
        let host = &mut self.hosts[node];
        if !host.is_up || host.paused {
            return;
        }
        host.returns_after = None;
        host.is_up = false;
        host.clerk.starts = (None, None);
        host.kernel.fill_with(Kernel::default);
        self.saw("power loss");
        self.end(node);
        self.after(length, What::PowerOn(node));
    }

    /// Its clock begins anew.
    pub(crate) fn power_on(&mut self, node: usize) {
        let shows = self
            .dice
            .between(Duration::from_secs(1), Duration::from_secs(40));
        let (now, drift) = (self.now, self.scenario.hosts[node].drift);
        let host = &mut self.hosts[node];
        if host.is_up {
            return;
        }
        let new = Clock::new(now, Instant::default() + shows, drift);
        let old = std::mem::replace(&mut host.clock, new);
        host.is_up = true;
        host.reference.proven = Instant::default();
        for court in &mut self.court {
            if let Some((_, _, until)) = &mut court.promised[node] {
                *until = new.local(old.world(*until));
            }
        }
        self.after(MICRO * 100, What::Start(node));
    }

    fn set_link(&mut self, node: usize, length: Duration) {
        if !self.hosts[node].has_link {
            return;
        }
        self.hosts[node].has_link = false;
        self.tell_facts(node);
        self.after(length, What::Over(node, Passing::Link));
    }

    fn tell_facts(&mut self, node: usize) {
        let link = self.hosts[node].has_link;
        self.order(node, Event::Facts(Facts { link, source: None }));
    }

    // --- operators --------------------------------------------------------------------------

    fn stop(&mut self, node: usize, length: Duration) {
        let host = &mut self.hosts[node];
        if host.agent.as_ref().is_none_or(|agent| agent.stopping) {
            return;
        }
        host.returns_after = Some(length);
        self.saw("stop");
        self.order(node, Event::Stop);
    }

    fn hand_over(&mut self, node: usize) {
        let others = self.scenario.nodes - 1;
        let other = (node + 1 + self.dice.below(others.max(1))) % self.scenario.nodes;
        let to = self.dice.pick(&[None, Some(other as u8)]);
        let is_forced = self.scenario.mood != Mood::Calm && self.dice.chance(20);
        for group in 0..self.scenario.groups {
            let Some(agent) = &self.hosts[node].agent else {
                return;
            };
            let to = match agent.slots[group].group.successor(to) {
                Ok(to) => to,
                Err(Immovable::NotMaster(_)) => continue,
                Err(_) if is_forced => to,
                Err(_) => continue,
            };
            self.saw("handover");
            self.send_command(node, Some(group), Event::HandOver(to));
        }
    }

    fn maintain(&mut self, node: usize, length: Duration) {
        let is_forced = self.scenario.mood != Mood::Calm && self.dice.chance(20);
        if !is_forced && !self.may_leave(node) {
            return;
        }
        self.saw("maintenance");
        self.hosts[node].maintenance = true;
        self.order(node, Event::Maintenance(true));
        self.after(length, What::Over(node, Passing::Maintenance));
    }

    fn change_priority(&mut self, node: usize) {
        let group = self.dice.below(self.scenario.groups);
        let priority = Scenario::draw_priority(&mut self.dice);
        let settings = &mut self.hosts[node].settings[group];
        settings.priority = priority;
        if let Some(voting) = &mut settings.native {
            voting.lease.priority = priority;
        }
        let settings = *settings;
        self.send_command(node, Some(group), Event::Settings(settings));
    }

    pub(crate) fn is_over(&mut self, node: usize, what: Passing) {
        let host = &mut self.hosts[node];
        match what {
            Passing::Maintenance => {
                host.maintenance = false;
                self.order(node, Event::Maintenance(false));
            }
            Passing::Link => {
                host.has_link = true;
                self.tell_facts(node);
            }
            Passing::Addresses => host.addresses = super::scenario::ADDRESSES,
            Passing::Voters => {
                host.voters = super::scenario::VOTERS;
                self.crash(node, MICRO * 100);
            }
        }
    }

    // --- the attacker -----------------------------------------------------------------------

    /// Sends some of what it has recorded to anybody, by any path.
    fn replay(&mut self) {
        for _ in 0..1 + self.dice.below(8) {
            let Some(frame) = self.wire.recorded(&mut self.dice) else {
                return;
            };
            let to = self.dice.below(self.hosts.len());
            if to == usize::from(frame.node) {
                continue;
            }
            let path = self.dice.below(self.wire.paths());
            let wait = self.dice.between(MICRO, self.scenario.interval);
            self.saw("replay");
            self.after(wait, What::Frame { to, path, frame });
        }
    }
}
