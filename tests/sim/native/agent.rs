//! What does an agent do with its time? Turns of the heartbeat thread, as `agent::heartbeat` makes
//! them, each of which may be cut off by a freeze at any of its stages.

use std::time::Duration;

use floatlock::core::disk::Plea;
use floatlock::core::lease::{self, Boot, BootId};
use floatlock::core::mesh::Mesh;
use floatlock::core::right::Right;
use floatlock::core::{Effect, Event, Facts, Group, Instant, Report, RoleName};

use super::disk::Stake;
use super::host::{Agent, Change, Slot, Stage};
use super::laws::Ledger;
use super::score::Detail;
use super::world::{What, World};

/// A socket holds no more frames than this.
const EAR: usize = 128;
/// Turns without the time going on.
const TURNS: u32 = 50;
const STAGES: [Stage; 5] = [
    Stage::Listen,
    Stage::Obey,
    Stage::Pass,
    Stage::Speak,
    Stage::Settle,
];

const fn is_of_arbiter(word: &lease::Event) -> bool {
    matches!(
        word,
        lease::Event::Arbiter(..) | lease::Event::ArbiterLost(_) | lease::Event::ArbiterFloor(..)
    )
}

impl World {
    pub(crate) fn start(&mut self, node: usize) {
        let (now, boots) = (self.now, &mut self.boots);
        let host = &mut self.hosts[node];
        if host.agent.is_some() || !host.is_up {
            return;
        }
        *boots += 1;
        host.boots += 1;
        let (boot, local) = (BootId(u128::from(*boots)), host.clock.local(now));
        let (voters, lease) = (self.scenario.voters, self.scenario.lease);
        host.agent = Some(Agent {
            boot,
            slots: Vec::new(),
            mesh: Mesh::new(boot, voters, self.wire.paths(), lease),
            beat_at: local,
            told_all_at: Instant::default(),
            spoke_at: Instant::default(),
            answer: false,
            has_news: false,
            has_sent: false,
            says: Vec::new(),
            looks: Vec::new(),
            inbox: Default::default(),
            ears: vec![Default::default(); self.wire.paths()],
            trap: None,
            cut_off: None,
            heard_until: Instant::default(),
            timer_at: Instant::NEVER,
            stopping: false,
            voters: host.voters,
        });
        if self.scenario.voters == 2 {
            // One of two may grant at once: nobody else could have been promised anything.
            for court in &mut self.court {
                court.promised[node] = None;
            }
        }
        self.begins(node);
        self.start_clerk(node);
        if self.scenario.reference && node < self.scenario.nodes {
            let boots = self.hosts[node].boots;
            self.after(self.scenario.interval, What::Ask { node, boots });
        }
        self.saw("start");
        self.change(|| format!("n{node} starts"));
        for group in 0..self.scenario.groups {
            self.start_group(node, group, boot, local);
        }
        if self.hosts[node].maintenance {
            self.tell_all(node, Event::Maintenance(true), (local, local));
        }
        self.turn(node);
    }

    fn start_group(&mut self, node: usize, group: usize, boot: BootId, local: Instant) {
        let host = &mut self.hosts[node];
        let mut settings = host.settings[group];
        if let Some(voting) = &mut settings.native {
            voting.lease.voters.hash = host.voters;
        }
        let boot = Boot {
            id: boot,
            stored: host.stored[group],
            longest: self.scenario.lease,
            nonce: local.as_nanos(),
        };
        let mut said = Vec::new();
        let facts = Facts {
            link: host.has_link,
            source: None,
        };
        let times = (local, local);
        let slot = Slot {
            group: Group::native(settings, boot, facts, times, &mut said),
            // Law 8: whatever is on the host already is shut off first.
            right: Right::new(host.kernel[group].gate.clone()),
            jobs: Default::default(),
            work: 0,
            ledger: Ledger::default(),
            look: None,
            guards: false,
            stake: Stake::new(),
            promoting: None,
            prepared: false,
        };
        if let Some(agent) = &mut host.agent {
            agent.slots.push(slot);
        }
        self.plead(node, Plea::Owes(group as u64));
        for effect in said {
            self.carry_out(node, group, (local, Event::Tick), effect);
        }
    }

    /// The agent is gone; what the kernel has stays.
    pub(crate) fn end(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        host.agent = None;
        host.frozen = false;
        if let Some(wait) = host.returns_after.take() {
            self.after(wait, What::Start(node));
        }
    }

    pub(crate) fn arrive(
        &mut self,
        node: usize,
        path: usize,
        frame: std::rc::Rc<super::wire::Frame>,
    ) {
        if !self.is_usable(node, path) {
            return;
        }
        let host = &mut self.hosts[node];
        if host.paused {
            host.held.push((path, frame));
            host.held.truncate(EAR);
            return;
        }
        let at = host.clock.local(self.now);
        let Some(agent) = &mut host.agent else {
            return;
        };
        if agent.ears[path].len() < EAR {
            agent.ears[path].push_back((at, frame));
        }
        self.turn(node);
    }

    /// Another thread of the agent, or an operator, tells its heartbeat thread something.
    pub(crate) fn command(&mut self, node: usize, boots: u32, group: Option<usize>, event: Event) {
        let host = &mut self.hosts[node];
        let Some(agent) = host.agent.as_mut().filter(|_| host.boots == boots) else {
            return;
        };
        agent.inbox.push_back((group, event));
        self.turn(node);
    }

    /// Turns, until nothing waits.
    pub(crate) fn turn(&mut self, node: usize) {
        let (mut from, mut read) = (Stage::Listen, None);
        let cut_off = self.running(node).and_then(|agent| agent.cut_off.take());
        if let Some((stage, time)) = cut_off {
            (from, read) = (stage, time);
        }
        for _ in 0..TURNS {
            for stage in STAGES.into_iter().filter(|stage| *stage >= from) {
                let local = self.local(node);
                let Some(agent) = self.running(node) else {
                    return;
                };
                let now = read.take().unwrap_or(local);
                if let Some((_, is_stale, length)) = agent.trap.take_if(|trap| trap.0 == stage) {
                    agent.cut_off = Some((stage, is_stale.then_some(now)));
                    return self.freeze(node, length);
                }
                self.do_stage(node, stage, now);
                if self.broken.is_some() {
                    return;
                }
            }
            from = Stage::Listen;
            if self.has_ended(node) {
                return self.end(node);
            }
            let now = self.local(node);
            let Some(agent) = self.running(node) else {
                return;
            };
            if agent.is_idle() && agent.deadline() > now {
                self.note_silence(node);
                self.check_roles(node);
                return self.rearm(node);
            }
        }
        self.uphold(false, "no deadline lies in the past: no busy loop");
    }

    fn do_stage(&mut self, node: usize, stage: Stage, now: Instant) {
        match stage {
            Stage::Listen => {
                if let Some(agent) = self.running(node) {
                    agent.heard_until = Instant::default();
                }
                self.listen(node, now);
            }
            Stage::Obey => self.obey(node, now),
            Stage::Pass => self.pass(node, now),
            Stage::Speak => self.speak(node, now),
            Stage::Settle => self.settle(node),
        }
    }

    /// The agent, if it can do something now.
    pub(crate) fn running(&mut self, node: usize) -> Option<&mut Agent> {
        let host = &mut self.hosts[node];
        let runs = !host.frozen && !host.paused;
        host.agent.as_mut().filter(|_| runs)
    }

    pub(crate) fn local(&self, node: usize) -> Instant {
        self.hosts[node].clock.local(self.now)
    }

    fn listen(&mut self, node: usize, now: Instant) {
        for path in 0..self.wire.paths() {
            while let Some(agent) = self.running(node) {
                let Some((at, frame)) = agent.ears[path].pop_front() else {
                    break;
                };
                self.hear(node, path, at, now, &frame);
            }
        }
    }

    fn obey(&mut self, node: usize, now: Instant) {
        let Some(agent) = self.running(node) else {
            return;
        };
        if agent.inbox.is_empty() && !agent.is_a_wait_over(now) {
            return;
        }
        self.listen(node, now);
        while let Some(agent) = self.running(node) {
            agent.heard_until = now;
            let Some((group, event)) = agent.inbox.pop_front() else {
                return;
            };
            match (group, event) {
                (Some(group), Event::Vote(word)) if is_of_arbiter(&word) => {
                    self.hear_arbiter(node, group, word);
                }
                (Some(group), event) => self.step(node, group, now, event),
                (None, event) => self.tell_all(node, event, (now, now)),
            }
        }
    }

    fn pass(&mut self, node: usize, now: Instant) {
        for group in 0..self.scenario.groups {
            let Some(agent) = self.running(node) else {
                return;
            };
            let time = agent.time(group, now, agent.heard_until);
            if agent.slots[group].group.deadline() <= time {
                self.step(node, group, now, Event::Tick);
            }
            let Some(agent) = self.running(node) else {
                return;
            };
            if agent.slots[group].right.has_ended(now) {
                self.step(node, group, now, Event::Lapsed);
            }
        }
    }

    /// What the frames of this turn renew holds if one of them has left; and what was asked of the
    /// other threads is under way.
    fn settle(&mut self, node: usize) {
        let now = self.local(node);
        let host = &mut self.hosts[node];
        let Some(agent) = &mut host.agent else {
            return;
        };
        for slot in &mut agent.slots {
            slot.right.settle(agent.has_sent, now);
        }
        let boots = host.boots;
        for (group, ticket) in std::mem::take(&mut agent.looks) {
            self.begin_look(node, boots, group, ticket);
        }
    }

    fn has_ended(&mut self, node: usize) -> bool {
        let Some(agent) = self.running(node) else {
            return false;
        };
        let ended = |slot: &Slot| slot.group.view().role == RoleName::Stopped;
        agent.stopping && agent.slots.iter().all(ended)
    }

    pub(crate) fn rearm(&mut self, node: usize) {
        let (now, boots) = (self.now, self.hosts[node].boots);
        let host = &mut self.hosts[node];
        let Some(agent) = &mut host.agent else {
            return;
        };
        let at = host.clock.world(agent.deadline());
        if at != agent.timer_at && at != Instant::NEVER {
            agent.timer_at = at;
            self.at(at.max(now), What::Timer { node, boots });
        }
    }

    pub(crate) fn step(&mut self, node: usize, group: usize, at: Instant, event: Event) {
        self.steps += 1;
        if self.score.takes(Detail::Everything) && !matches!(event, Event::Peer(_)) {
            let what = format!("g{group} at {at:?}: {event:?}");
            self.score.note(self.now, node, &what);
        }
        let acts_at = self.time_of(node, group, at);
        let mut said = std::mem::take(&mut self.said);
        let Some(agent) = &mut self.hosts[node].agent else {
            return;
        };
        if event == Event::Stop {
            agent.stopping = true;
        }
        self.hear_acted(node, group, event);
        let Some(agent) = &mut self.hosts[node].agent else {
            return;
        };
        agent.slots[group].group.step(at, event, &mut said);
        self.heard_resign(node, group, event);
        for effect in said.drain(..) {
            self.carry_out(node, group, (acts_at, event), effect);
        }
        self.said = said;
    }

    fn carry_out(&mut self, node: usize, group: usize, cause: (Instant, Event), effect: Effect) {
        if self.score.takes(Detail::Everything) && !matches!(effect, Effect::Report(_)) {
            let what = format!("g{group} -> {effect:?}");
            self.score.note(self.now, node, &what);
        }
        self.judge(node, group, cause, effect);
        let host = &mut self.hosts[node];
        let boots = host.boots;
        let Some(agent) = &mut host.agent else {
            return;
        };
        let (slot, clock) = (&mut agent.slots[group], &host.clock);
        slot.right
            .carry_out(effect, Duration::ZERO, || clock.local(self.now));
        match effect {
            Effect::Say(say) => agent.says.push((group, say)),
            Effect::Act(id, act) => self.run_scripts(node, group, id, act),
            Effect::Renew(_) => {
                let own = slot.group.view().authority;
                slot.guards |= slot.group.is_claiming() && own.is_some_and(|own| own.alone);
            }
            Effect::Persist(epoch) => self.store(node, boots, group, epoch),
            Effect::Look(ticket) => agent.looks.push((group, ticket)),
            Effect::Open => {
                slot.guards = false;
                agent.has_news = true;
            }
            Effect::Disarm => self.is_on(node, group, false),
            Effect::Acquire(term) => {
                let own = slot.group.view().authority;
                slot.guards = own.is_some_and(|own| own.alone);
                self.demand_prepared(node, group);
                self.is_on(node, group, true);
                self.ask(node, group, Change::Acquire, term);
            }
            Effect::Release(term) => {
                slot.guards = false;
                self.forget_prepared(node, group);
                self.ask(node, group, Change::Release, term);
            }
            Effect::Report(Report::Role { to, cause, .. }) => {
                self.saw(to.as_str());
                self.turned(node, group, to, cause);
                if to == RoleName::Stopped {
                    self.leave_disk(node, group);
                }
            }
            Effect::Advertise { .. } | Effect::Warrant(_) => {
                self.uphold(
                    false,
                    "a native group sends no adverts, and needs no warrant",
                );
            }
            Effect::Contend(..) | Effect::Withdraw(_) if self.disk.is_none() => {
                self.uphold(false, "nobody asks an arbiter where there is none");
            }
            Effect::Contend(ticket, epoch) => self.contend(node, group, ticket, epoch),
            Effect::Withdraw(ticket) => self.give_back(node, group, ticket),
            Effect::Extend(_) | Effect::Announce(_) | Effect::Hush | Effect::Report(_) => {}
        }
        self.who_answers();
    }

    /// The store writes it, some time.
    fn store(&mut self, node: usize, boots: u32, group: usize, epoch: lease::Epoch) {
        let is_slow = self.now < self.hosts[node].slow_disk_until;
        let most = match is_slow {
            true => self.scenario.promise * 2,
            false => self.scenario.work,
        };
        let wait = self.dice.between(super::scenario::MICRO * 50, most);
        let what = What::Stored {
            node,
            boots,
            group,
            epoch,
        };
        self.after(wait, what);
    }

    pub(crate) fn stored(&mut self, node: usize, boots: u32, group: usize, epoch: lease::Epoch) {
        let host = &mut self.hosts[node];
        if host.boots != boots || host.agent.is_none() {
            return;
        }
        host.stored[group] = host.stored[group].max(epoch);
        let told = Event::Vote(lease::Event::Persisted(epoch));
        self.send_command(node, Some(group), told);
    }
}
