//! What must be true, whatever the weather? Safety is judged on who answers.

use std::collections::BTreeSet;
use std::time::Duration;

use floatlock::core::lease::{self, BootId, Epoch, Nonce};
use floatlock::core::{Blocked, Cause, Effect, Event, Instant, RoleName, Say};

use super::host::Host;
use super::scenario::{MICRO, MILLI, Mood};
use super::voice::epoch_text;
use super::wire::Frame;
use super::world::{Act, World};

/// What an observer of one group in one agent remembers; times are of its host's clock.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// L after the last question was stamped.
    bound: Instant,
    /// Until when others have granted.
    granted: Instant,
}

/// What is known of one group in the whole cluster.
#[derive(Debug)]
pub(crate) struct Court {
    /// The highest epoch of any authority.
    epoch: Epoch,
    promoted: BTreeSet<Epoch>,
    /// By host: to whom its vote is promised, with the highest nonce, until then of its clock.
    pub(crate) promised: Vec<Option<(BootId, Nonce, Instant)>>,
    /// By host: the latest that its group was told, of its clock. What comes in by another ear is of
    /// before, and does not turn it back.
    told: Vec<Instant>,
    /// Who answers.
    pub(crate) answering: Vec<usize>,
    /// Two of a pair answer that could not know of each other.
    excused: bool,
    /// The same by their agents, whatever the gates make of it.
    excused_agents: bool,
    /// Since when nobody answers.
    pub(crate) silent_since: Instant,
    /// What was asked for, and how long nobody may answer for its sake.
    pub(crate) watch: Option<Watch>,
    /// When the LAN was parted last between two nodes alone.
    parted_at: Option<Instant>,
    /// By host: when it asked the LAN last, ...
    looked_at: Vec<Instant>,
    /// ... and when it did so before it was promoted, if it was on its own vote, after which silence.
    claimed: Vec<Option<(Instant, Duration)>>,
    /// By host: when a frame came last, of a run that it knows, whose node says that it holds or is about to.
    warned: Vec<Instant>,
}

/// A takeover that is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    pub(crate) what: &'static str,
    /// Nobody answers for so long at most.
    pub(crate) gap: Duration,
    /// And from then on somebody does.
    pub(crate) until: Instant,
}

impl Court {
    pub(crate) fn new(voters: usize) -> Self {
        Self {
            epoch: Epoch::default(),
            promoted: BTreeSet::new(),
            promised: vec![None; voters],
            told: vec![Instant::default(); voters],
            answering: Vec::new(),
            excused: false,
            excused_agents: false,
            silent_since: Instant::default(),
            watch: None,
            parted_at: None,
            looked_at: vec![Instant::default(); voters],
            claimed: vec![None; voters],
            warned: vec![Instant::default(); voters],
        }
    }
}

impl World {
    /// S1, at every event; a deadline only ever ends an answer.
    pub(crate) fn who_answers(&mut self) {
        for group in 0..self.scenario.groups {
            self.note_partition(group);
            self.end_excuse(group);
            let now = self.now;
            let answers = |node: &usize| self.hosts[*node].answers(group, now);
            let same = {
                let mut all = (0..self.hosts.len()).filter(answers);
                let known = &self.court[group].answering;
                known.iter().all(|known| all.next() == Some(*known)) && all.next().is_none()
            };
            if same {
                continue;
            }
            let answering: Vec<usize> = (0..self.hosts.len()).filter(answers).collect();
            self.answering_changed(group, answering);
        }
    }

    /// S1 with every gate off: if their deadlines ended nothing, those agents that run would still not
    /// let two answer. (With the agents off, as they are while they are frozen, the gates alone keep it.)
    pub(crate) fn who_opens(&mut self) {
        for group in 0..self.scenario.groups {
            let opens = |node: &usize| self.hosts[*node].opens(group);
            let mut open = (0..self.hosts.len()).filter(opens);
            let (Some(first), Some(second)) = (open.next(), open.next()) else {
                continue;
            };
            let both = [first, second];
            let is_legal = self.court[group].excused_agents || self.may_be_two(group, &both);
            self.court[group].excused_agents = is_legal;
            self.uphold(
                is_legal,
                "S1 without gates: at most one agent opens its own",
            );
        }
    }

    /// Two that may answer go on to do so when a host that stood still goes on, or its link comes back.
    fn end_excuse(&mut self, group: usize) {
        let court = &self.court[group];
        if court.excused || court.excused_agents {
            let holds = |host: &&Host| host.is_up && host.may_answer(group, self.now);
            if self.hosts.iter().filter(holds).count() < 2 {
                let court = &mut self.court[group];
                (court.excused, court.excused_agents) = (false, false);
            }
        }
    }

    fn note_partition(&mut self, group: usize) {
        if self.scenario.is_pair() && !self.are_neighbours(0, 1) {
            self.court[group].parted_at = Some(self.now);
        }
    }

    fn answering_changed(&mut self, group: usize, answering: Vec<usize>) {
        self.change(|| format!("g{group}: {answering:?} answer"));
        let (now, count) = (self.now, answering.len());
        let before = std::mem::replace(&mut self.court[group].answering, answering);
        if before.is_empty() && count > 0 {
            self.gap_ends(group);
        }
        let court = &mut self.court[group];
        if count == 0 {
            court.silent_since = now;
        }
        if count <= 1 {
            return;
        }
        let is_legal = court.excused || self.may_be_two(group, &self.court[group].answering);
        self.court[group].excused = is_legal;
        if is_legal {
            self.saw("two answer, as they may");
        }
        self.uphold(is_legal, "S1: at most one answers");
    }

    fn may_be_two(&self, group: usize, who: &[usize]) -> bool {
        let residue = |node: &usize| self.hosts[*node].residue_until > self.now;
        if who.iter().any(residue) {
            return true;
        }
        // Two nodes alone do not survive that the LAN is parted; the promotion began a little
        // earlier than the second answer.
        let lately = |at: Instant| self.now.since(at) <= self.scenario.promise;
        let is_parted = self.court[group].parted_at.is_some_and(lately);
        let is_unseen = (0..2).any(|node| self.is_unseen(group, node));
        // Who is cut off from everybody is silent.
        let are_proven = who.iter().all(|node| self.may_be_alone(*node));
        self.scenario.is_pair() && are_proven && (is_parted || is_unseen)
    }

    /// No word of a holder came to this node for a promise, lost or on the way for longer than that, or
    /// none of a run that it knows; and
    /// the host of the holder was paused for a part of its lease just when it was looked for: one fault
    /// more than two nodes alone survive.
    fn is_unseen(&self, group: usize, node: usize) -> bool {
        let court = &self.court[group];
        let other = &self.hosts[1 - node];
        let paused_at = other
            .paused_at
            .filter(|_| other.held_then >> group & 1 == 1);
        let claimed = court.claimed[node].zip(paused_at);
        claimed.is_some_and(|((looked, silence), paused)| {
            // By its own clock, which may be fast by a hundredth.
            silence * 101 / 100 >= self.scenario.promise
                && paused <= looked
                && self.now.since(paused) <= self.scenario.promise
        })
    }

    /// A frame comes to this node that proves itself, or whose run has done so: any other may be a
    /// recording.
    pub(crate) fn is_told(&mut self, node: usize, frame: &Frame) {
        for entry in frame.entries.iter() {
            if matches!(entry.role, RoleName::Master | RoleName::Candidate) {
                self.court[entry.group].warned[node] = self.now;
            }
        }
    }

    /// The time at which a group of a host acts that is told of `at`.
    pub(crate) fn time_of(&mut self, node: usize, group: usize, at: Instant) -> Instant {
        let told = &mut self.court[group].told[node];
        *told = at.max(*told);
        *told
    }

    /// An agent starts, whose groups were told nothing.
    pub(crate) fn begins(&mut self, node: usize) {
        for court in &mut self.court {
            court.told[node] = Instant::default();
        }
    }

    fn gap_ends(&mut self, group: usize) {
        let gap = self.now.since(self.court[group].silent_since);
        if let Some(watch) = self.court[group].watch {
            let law = format!(
                "{}: nobody answers for {gap:?}, more than {:?}",
                watch.what, watch.gap
            );
            self.uphold(gap <= watch.gap, &law);
        }
    }

    /// What was asked for is done by now.
    pub(crate) fn is_due(&mut self) {
        for group in 0..self.scenario.groups {
            let due = |watch: &Watch| watch.until <= self.now;
            let Some(watch) = self.court[group].watch.filter(due) else {
                continue;
            };
            self.court[group].watch = None;
            self.saw(watch.what);
            let law = format!("{}: one node serves after it", watch.what);
            let court = &self.court[group];
            let is_moving = self.now.since(court.silent_since) <= self.planned();
            let serves = match court.answering.len() {
                0 => is_moving,
                count => count == 1,
            };
            self.uphold(serves, &law);
        }
    }

    /// A step says this; it is not done yet.
    pub(crate) fn judge(
        &mut self,
        node: usize,
        group: usize,
        cause: (Instant, Event),
        effect: Effect,
    ) {
        match effect {
            Effect::Say(Say::Request(request)) => self.asks(node, group, cause.0, request),
            Effect::Say(Say::Grant(_, boot, nonce)) => {
                self.grants(node, group, cause, (boot, nonce))
            }
            Effect::Say(Say::Resign(_)) => self.resigns(node, group),
            Effect::Renew(until) | Effect::Extend(until) => self.renews(node, group, until),
            Effect::Look(_) => self.court[group].looked_at[node] = self.now,
            Effect::Open => {
                let on = self.hosts[node].kernel[group].on;
                self.uphold(on, "law 6: the gate opens when the addresses are on");
            }
            Effect::Disarm => {
                let on = self.hosts[node].kernel[group].on;
                self.uphold(
                    !on,
                    "law 6: the gate is disarmed when the addresses are off",
                );
            }
            _ => {}
        }
    }

    fn asks(&mut self, node: usize, group: usize, at: Instant, request: lease::Request) {
        let promise = self.court[group].promised[node];
        let is_free = promise.is_none_or(|(_, _, until)| until <= at);
        let lease = self.scenario.lease;
        let host = &mut self.hosts[node];
        let is_stored = request.epoch <= host.stored[group];
        if let Some(agent) = &mut host.agent {
            agent.slots[group].ledger.bound = at + lease;
        }
        self.uphold(is_free, "a voter does not stand while its vote is promised");
        self.uphold(is_stored, "S2: an epoch is used when it is stored");
    }

    fn grants(
        &mut self,
        node: usize,
        group: usize,
        (at, event): (Instant, Event),
        (boot, nonce): (BootId, Nonce),
    ) {
        let host = &self.hosts[node];
        let holds = host.may_answer(group, self.now);
        let is_stored = match event {
            Event::Said(_, lease::Event::Request(_, request)) => {
                request.epoch <= host.stored[group]
            }
            _ => false,
        };
        let running = self.court[group].promised[node].filter(|promise| promise.2 > at);
        let other = running.is_some_and(|promise| promise.0 != boot);
        let (old, until) = running.map_or((0, Instant::default()), |old| (old.1, old.2));
        let until = until.max(at + self.scenario.promise);
        self.court[group].promised[node] = Some((boot, nonce.max(old), until));
        self.uphold(!holds, "no vote is given by one that holds");
        self.uphold(!other, "a promise is kept");
        self.uphold(is_stored, "S2: a voter stores an epoch before it grants it");
    }

    /// What ends a promise.
    pub(crate) fn heard_resign(&mut self, node: usize, group: usize, event: Event) {
        if let Event::Said(_, lease::Event::Resign(_, resign)) = event {
            let promise = &mut self.court[group].promised[node];
            let is_freed = |(boot, nonce, _): &(BootId, Nonce, Instant)| {
                *boot == resign.boot && *nonce <= resign.nonce_last
            };
            *promise = promise.filter(|promise| !is_freed(promise));
        }
    }

    fn resigns(&mut self, node: usize, group: usize) {
        let holds = self.hosts[node].may_answer(group, self.now);
        self.uphold(
            !holds,
            "law 6: the gate is shut before the votes are given back",
        );
    }

    fn renews(&mut self, node: usize, group: usize, until: Instant) {
        let Some(agent) = &self.hosts[node].agent else {
            return;
        };
        let slot = &agent.slots[group];
        let (bound, granted) = (slot.ledger.bound, slot.ledger.granted);
        let own = slot.group.view().authority;
        self.uphold(
            until <= bound,
            "law 2: a vote counts from before it was asked for",
        );
        let is_alone = own.is_some_and(|own| own.alone);
        if let Some(agent) = self.hosts[node].agent.as_mut().filter(|_| !is_alone) {
            agent.slots[group].ledger.granted = until.max(granted);
        }
        self.uphold(
            !is_alone || until <= self.alone_until(node).max(granted),
            "law 2: who goes on alone does so as long as the reference answers",
        );
        let court = &mut self.court[group];
        court.epoch = court
            .epoch
            .max(own.map_or(Epoch::default(), |own| own.epoch));
    }

    pub(crate) fn turned(&mut self, node: usize, group: usize, to: RoleName, cause: Cause) {
        self.change(|| format!("n{node} g{group}: {to}: {cause}"));
        if self.act == Act::Still {
            self.uphold(
                false,
                "L1: nobody changes its role any more once all is healed",
            );
        }
        match cause {
            Cause::Unproven => self.saw("cut off"),
            Cause::Unreached { .. } => self.saw("yielded to who reaches it"),
            Cause::Blocked(Blocked::Promote { .. }) => self.saw("cause: promote"),
            _ => {}
        }
        if let (RoleName::Candidate, Cause::Elected { epoch } | Cause::Alone { epoch }) =
            (to, cause)
        {
            self.saw(if matches!(cause, Cause::Alone { .. }) {
                "alone"
            } else {
                "elected"
            });
            let court = &mut self.court[group];
            let is_alone = matches!(cause, Cause::Alone { .. });
            let looked_at = court.looked_at[node];
            let silence = looked_at.since(court.warned[node]);
            court.claimed[node] = is_alone.then_some((looked_at, silence));
            self.promoted(node, group, epoch);
        }
    }

    fn promoted(&mut self, node: usize, group: usize, epoch: Epoch) {
        let is_blurred = self.scenario.mood == Mood::Standstill;
        let is_pair = self.scenario.is_pair();
        let court = &mut self.court[group];
        let is_new = court.promoted.insert(epoch);
        let last = court.promoted.range(..epoch).next_back().copied();
        let rises = court.promoted.last() == Some(&epoch);
        let own = |other: &&Epoch| other.number() % lease::NODES == node as u64;
        let rises_here = court.promoted.iter().rfind(own) == Some(&epoch);
        let law = format!("S2: {} after {:?}", epoch_text(epoch), last.map(epoch_text));
        self.uphold(is_new && rises_here, &law);
        self.uphold(is_pair || is_blurred || rises, &law);
    }

    /// A frame that counts was sent after we sent what it names, which is no longer ago than L.
    pub(crate) fn is_of_now(&mut self, node: usize, at: Instant, frame: &Frame) {
        let came = self.hosts[node].clock.world(at);
        let age = came.since(frame.sent);
        let most = self.scenario.lease * 101 / 100 + MICRO;
        let is_blurred = self.scenario.mood == Mood::Standstill;
        self.uphold(
            age <= most || is_blurred,
            "section 8: what counts is of now",
        );
    }

    /// After a turn: who may not answer any more does not think that it does.
    pub(crate) fn check_roles(&mut self, node: usize) {
        let now = self.local(node);
        let Some(agent) = &self.hosts[node].agent else {
            return;
        };
        let holds = agent.slots.iter().all(|slot| {
            let is_master = slot.group.view().role == RoleName::Master;
            !is_master || slot.right.until().is_some_and(|until| until > now)
        });
        self.uphold(holds, "a MASTER has the right to answer");
    }

    /// How long nobody answers when the holder hands over.
    pub(crate) fn planned(&self) -> Duration {
        MILLI * 10 + self.delay() * 6 + self.scenario.work * 2
    }

    /// How long nobody answers when the holder dies, as `check` says it.
    pub(crate) fn unplanned(&self) -> Duration {
        // By a clock that may be slow by a hundredth.
        self.scenario.derived().takeover_max * 101 / 100 + self.delay() * 6 + self.scenario.work * 2
    }

    pub(crate) fn delay(&self) -> Duration {
        let lines = self.scenario.lines.iter();
        lines.map(|line| line.delay.1).max().unwrap_or_default()
    }
}
