//! A pair with a disk lock: peers' grants, the disk's vote and the handover together, on the real core.
//!
//! A message stays in flight for ever: it arrives never, late, twice and in any order. A question to the
//! disk is answered at any time, its write landing before. Clocks agree, or differ by a tick.

use std::time::Duration;

use floatlock::core::Instant;
use floatlock::core::disk::{self, Desk, DeskEffect, Op, Record, Sight};
use floatlock::core::lease::{
    Boot, BootId, Effect, Effects, Epoch, Event, Lease, NodeId, Settings, Voters,
};

use crate::search::World;
use crate::world::{L, Message};

const TICK: u64 = 100_000_000;
/// Of the disk's vote, in ticks.
pub(crate) const L_DISK: u64 = 2;
const GROUP: u64 = 1;

/// How much may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    pub(crate) nodes: NodeId,
    /// Ticks of the fastest clock.
    pub(crate) horizon: u64,
    /// By so many ticks may the clocks differ.
    pub(crate) skew: u64,
    /// P and W in ticks: the lease and twice the skew, and one for whoever reads between two ticks.
    pub(crate) promise: u64,
    pub(crate) wait: u64,
    /// Requests that are kept in flight, of each node.
    pub(crate) requests: usize,
    pub(crate) crashes: u8,
    pub(crate) handovers: u8,
    /// Reads and writes that fail, whether or not a write has landed.
    pub(crate) failures: u8,
    /// Slots that nobody can read any more.
    pub(crate) tears: u8,
    /// Nobody holds without the disk.
    pub(crate) always: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Io {
    Read(Op),
    Write(Op, Record, bool),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Node {
    /// None: crashed.
    runs: Option<(Lease, Desk)>,
    boots: u8,
    told: bool,
    stored: Epoch,
    clock: u64,
    gate: u64,
    serving: bool,
    io: Option<Io>,
    stray: Option<Record>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick(NodeId),
    Wake(NodeId),
    Stand(NodeId),
    Arrive(Message, NodeId),
    Land(NodeId),
    Serve(NodeId),
    HandOver(NodeId),
    Crash(NodeId),
    Stray(NodeId),
    Fail(NodeId),
    Tear(NodeId),
    Restart(NodeId),
}

/// All nodes, the disk, and all that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    bounds: Bounds,
    nodes: Vec<Node>,
    slots: Vec<Sight>,
    sent: Vec<Message>,
    /// The highest epoch of any authority, and whose.
    epoch: Epoch,
    pub(crate) holder: Option<NodeId>,
    /// How often another began to hold.
    pub(crate) moves: u8,
    /// The holder has the disk's vote.
    pub(crate) by_disk: bool,
    /// A node began to hold by the disk's vote after another had held.
    pub(crate) taken_by_disk: bool,
    pub(crate) handed_over: bool,
    crashes: u8,
    handovers: u8,
    failures: u8,
    tears: u8,
}

const fn at(ticks: u64) -> Instant {
    Instant::from_nanos((ticks + 1) * TICK)
}

const fn ticks(at: Instant) -> u64 {
    at.as_nanos() / TICK - 1
}

impl Node {
    fn serves(&self) -> bool {
        self.clock < self.gate
    }

    fn deadline(&self) -> Instant {
        let runs = self.runs.as_ref();
        runs.map_or(Instant::NEVER, |(lease, desk)| {
            lease.deadline().min(desk.deadline())
        })
    }
}

impl State {
    /// Both are up, and their quarantine is over.
    pub(crate) fn new(bounds: Bounds) -> Self {
        let node = |_| Node {
            runs: None,
            boots: 0,
            told: false,
            stored: Epoch::default(),
            clock: 0,
            gate: 0,
            serving: false,
            io: None,
            stray: None,
        };
        let mut state = Self {
            bounds,
            nodes: (0..bounds.nodes).map(node).collect(),
            slots: vec![Sight::Slot(Record::default()); usize::from(bounds.nodes)],
            sent: Vec::new(),
            epoch: Epoch::default(),
            holder: None,
            moves: 0,
            by_disk: false,
            taken_by_disk: false,
            handed_over: false,
            crashes: bounds.crashes,
            handovers: bounds.handovers,
            failures: bounds.failures,
            tears: bounds.tears,
        };
        for id in 0..bounds.nodes {
            // Nothing is sent or stored in vain before anything has happened.
            let started = state.boot(id);
            assert_eq!(started, Ok(()));
            state.nodes[usize::from(id)].clock = bounds.promise;
            let waited = state.step(id, Event::Time);
            assert_eq!(waited, Ok(()));
        }
        state
    }

    fn boot(&mut self, id: NodeId) -> Result<(), String> {
        let settings = settings(self.bounds, id);
        let disk = disk::Settings {
            me: id,
            lease: Duration::from_nanos(L_DISK * TICK),
            wait: Duration::from_nanos(self.bounds.wait * TICK),
            poll: Duration::from_nanos(TICK),
            hurry: Duration::from_nanos(TICK),
            guard: None,
        };
        let mut said = Effects::new();
        let node = &mut self.nodes[usize::from(id)];
        // Law 8: the old gate is closed first.
        (node.gate, node.serving, node.told) = (0, false, false);
        node.boots += 1;
        let now = at(node.clock);
        let boot = BootId(u128::from(id) << 8 | u128::from(node.boots));
        let start = Boot {
            id: boot,
            stored: node.stored,
            longest: Duration::ZERO,
            nonce: 0,
        };
        let lease = Lease::new(settings, start, now, &mut said);
        let served = lease.known();
        node.runs = Some((lease, Desk::new(disk, boot, now)));
        self.carry_out_all(id, said)?;
        self.ask_desk(id, |desk, now, out| desk.clean(now, served, out))
    }

    fn step(&mut self, id: NodeId, event: Event) -> Result<(), String> {
        let node = &mut self.nodes[usize::from(id)];
        let now = at(node.clock);
        let mut said = Effects::new();
        if let Some((lease, _)) = &mut node.runs {
            lease.step(now, event, &mut said);
        }
        let dull = |effect: &Effect| match (effect, event) {
            (Effect::Refuse(_, _, floor), Event::Request(_, request)) => *floor <= request.epoch,
            _ => false,
        };
        said.retain(|effect| !dull(effect));
        self.carry_out_all(id, said)
    }

    fn carry_out_all(&mut self, id: NodeId, said: Effects) -> Result<(), String> {
        said.into_iter()
            .try_for_each(|effect| self.carry_out(id, effect))
    }

    fn carry_out(&mut self, id: NodeId, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Request(request) => self.send(Message::Request(id, request)),
            Effect::Grant(to, boot, nonce) => {
                if self.nodes[usize::from(id)].serves() {
                    return Err(format!("{id} grants while its gate is open"));
                }
                self.send(Message::Granted(id, to, boot, nonce));
            }
            Effect::Refuse(to, why, floor) => self.send(Message::Refused(id, to, why, floor)),
            Effect::Resign(resign) => self.send(Message::Resign(id, resign)),
            Effect::Persist(mark) => {
                let node = &mut self.nodes[usize::from(id)];
                node.stored = node.stored.max(mark);
                return self.step(id, Event::Persisted(mark));
            }
            Effect::Lost(_) => {
                let node = &mut self.nodes[usize::from(id)];
                (node.gate, node.serving) = (0, false);
            }
            Effect::Authority(own) => return self.authorised(id, own.epoch, own.until),
            Effect::Contend(nonce, epoch) => {
                return self.ask_desk(id, |desk, now, out| {
                    desk.contend(now, (GROUP, nonce, epoch), out);
                });
            }
            Effect::Withdraw(nonce) => {
                let runs = &self.nodes[usize::from(id)].runs;
                let served = runs.as_ref().map(|(lease, _)| lease.known());
                return self.ask_desk(id, |desk, now, out| {
                    desk.withdraw(now, GROUP, nonce, out);
                    // The gate is shut, or open by the peer's vote.
                    desk.clean(now, served.unwrap_or_default(), out);
                });
            }
            Effect::Announce => {}
            Effect::Look(_) | Effect::Confirmed => {
                return Err("a look, though there is an arbiter".into());
            }
        }
        Ok(())
    }

    fn authorised(&mut self, id: NodeId, epoch: Epoch, until: Instant) -> Result<(), String> {
        let node = &mut self.nodes[usize::from(id)];
        node.gate = ticks(until);
        let by_disk = node
            .runs
            .as_ref()
            .is_some_and(|(_, desk)| desk.vote().is_some());
        if !node.serving {
            node.serving = true;
            if epoch <= self.epoch {
                return Err(format!(
                    "S2: {id} begins with {epoch:?} after {:?}",
                    self.epoch
                ));
            }
            if self.holder.is_some_and(|holder| holder != id) {
                self.moves += 1;
                self.taken_by_disk |= by_disk;
                self.handed_over |= self.handovers < self.bounds.handovers;
            }
            self.holder = Some(id);
        }
        self.by_disk = by_disk;
        self.epoch = self.epoch.max(epoch);
        Ok(())
    }

    fn ask_desk(
        &mut self,
        id: NodeId,
        ask: impl FnOnce(&mut Desk, Instant, &mut Vec<DeskEffect>),
    ) -> Result<(), String> {
        let node = &mut self.nodes[usize::from(id)];
        let now = at(node.clock);
        let mut said = Vec::new();
        if let Some((_, desk)) = &mut node.runs {
            ask(desk, now, &mut said);
        }
        for effect in said {
            match effect {
                DeskEffect::Read(op) => self.ask_disk(id, Io::Read(op))?,
                DeskEffect::Write(op, record) => self.ask_disk(id, Io::Write(op, record, false))?,
                DeskEffect::Vote(_, nonce, until) => self.step(id, Event::Arbiter(nonce, until))?,
                DeskEffect::Lost(_, nonce) => self.step(id, Event::ArbiterLost(nonce))?,
                DeskEffect::Floor(_, nonce, floor) => {
                    self.step(id, Event::ArbiterFloor(nonce, floor))?;
                }
            }
        }
        Ok(())
    }

    fn ask_disk(&mut self, id: NodeId, io: Io) -> Result<(), String> {
        let node = &mut self.nodes[usize::from(id)];
        node.stray = None;
        match node.io.replace(io) {
            None => Ok(()),
            Some(_) => Err("two questions at a time".into()),
        }
    }

    fn send(&mut self, message: Message) {
        let of = |message: &Message| match message {
            Message::Request(from, _) => Some(*from),
            _ => None,
        };
        if let Some(from) = of(&message) {
            let older = |sent: &&Message| of(sent) == Some(from);
            if self.sent.iter().filter(older).count() >= self.bounds.requests {
                // The oldest is lost for good.
                if let Some(place) = self.sent.iter().position(|sent| of(sent) == Some(from)) {
                    self.sent.remove(place);
                }
            }
        }
        if let Err(place) = self.sent.binary_search(&message) {
            self.sent.insert(place, message);
        }
    }

    fn land(&mut self, id: NodeId) {
        if let Some(Io::Write(_, record, landed)) = &mut self.nodes[usize::from(id)].io {
            *landed = true;
            self.slots[usize::from(id)] = Sight::Slot(*record);
        }
    }

    fn serve(&mut self, id: NodeId) -> Result<(), String> {
        if matches!(self.nodes[usize::from(id)].io, Some(Io::Write(_, _, false))) {
            self.land(id);
        }
        let slots = self.slots.clone();
        match self.nodes[usize::from(id)].io.take() {
            Some(Io::Read(op)) => {
                self.ask_desk(id, |desk, now, out| desk.read(now, op, slots, out))
            }
            Some(Io::Write(op, ..)) => {
                self.ask_desk(id, |desk, now, out| desk.written(now, op, out))
            }
            None => Ok(()),
        }
    }

    fn fail(&mut self, id: NodeId) -> Result<(), String> {
        self.failures -= 1;
        let (Io::Read(op) | Io::Write(op, ..)) = match self.nodes[usize::from(id)].io.take() {
            Some(io) => io,
            None => return Ok(()),
        };
        self.ask_desk(id, |desk, now, out| desk.failed(now, op, out))
    }

    fn arrive(&mut self, message: Message, to: NodeId) -> Result<(), String> {
        let event = match message {
            Message::Request(from, request) => Event::Request(from, request),
            Message::Granted(from, _, boot, nonce) => Event::Granted(from, boot, nonce),
            Message::Refused(from, _, why, floor) => Event::refused(from, why, floor),
            Message::Resign(from, resign) => Event::Resign(from, resign),
        };
        self.step(to, event)
    }

    fn crash(&mut self, id: NodeId) {
        self.crashes -= 1;
        let node = &mut self.nodes[usize::from(id)];
        node.runs = None;
        node.stray = match node.io.take() {
            Some(Io::Write(_, record, false)) => Some(record),
            _ => None,
        };
    }

    fn may_tick(&self, id: NodeId) -> bool {
        let clock = self.nodes[usize::from(id)].clock;
        let skew = self.bounds.skew;
        let slowest = self.nodes.iter().map(|node| node.clock).min();
        let ahead = |slow| clock < slow + skew || skew == 0 && id == 0;
        clock < self.bounds.horizon + self.bounds.promise && slowest.is_some_and(ahead)
    }

    fn check(&self) -> Result<(), String> {
        match self.nodes.iter().filter(|node| node.serves()).count() {
            0 | 1 => Ok(()),
            _ => Err("S1: two serve".into()),
        }
    }

    fn actions_of(&self, id: NodeId, node: &Node, actions: &mut Vec<Action>) {
        if self.may_tick(id) {
            actions.push(Action::Tick(id));
        }
        if node.stray.is_some() {
            actions.push(Action::Stray(id));
        }
        if self.tears > 0 && self.slots[usize::from(id)] != Sight::Torn {
            actions.push(Action::Tear(id));
        }
        if node.runs.is_none() {
            actions.push(Action::Restart(id));
            return;
        }
        if node.deadline() <= at(node.clock) {
            actions.push(Action::Wake(id));
        }
        if !node.told {
            actions.push(Action::Stand(id));
        }
        if self.failures > 0 && node.io.is_some() {
            actions.push(Action::Fail(id));
        }
        match node.io {
            Some(Io::Write(_, _, false)) => actions.extend([Action::Land(id), Action::Serve(id)]),
            Some(_) => actions.push(Action::Serve(id)),
            None => {}
        }
        if self.crashes > 0 {
            actions.push(Action::Crash(id));
        }
        if self.handovers > 0 && node.serves() {
            actions.push(Action::HandOver(id));
        }
    }
}

fn settings(bounds: Bounds, me: NodeId) -> Settings {
    Settings {
        group: GROUP,
        me,
        priority: 100 - me,
        voters: Voters {
            nodes: (1 << bounds.nodes) - 1,
            witnesses: 0,
            arbiter: true,
            hash: 7,
        },
        lease: Duration::from_nanos(L * TICK),
        interval: Duration::from_nanos(TICK),
        // 2 ticks of 100 ms, 2 %, this and 20 ms are the promise.
        granularity: Duration::from_millis(bounds.promise * 100 - 224),
        reference: false,
        always: bounds.always,
    }
}

impl World for State {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (id, node) in (0u8..).zip(&self.nodes) {
            self.actions_of(id, node, &mut actions);
        }
        for message in &self.sent {
            let (from, to) = match message {
                Message::Request(from, _) | Message::Resign(from, _) => (*from, None),
                Message::Granted(from, to, ..) | Message::Refused(from, to, ..) => {
                    (*from, Some(*to))
                }
            };
            let hears = |id: &NodeId| *id != from && to.is_none_or(|to| to == *id);
            let runs = |id: &NodeId| self.nodes[usize::from(*id)].runs.is_some();
            let hearers = (0..self.bounds.nodes).filter(hears).filter(runs);
            actions.extend(hearers.map(|id| Action::Arrive(*message, id)));
        }
        actions
    }

    fn apply(&mut self, action: Action) -> Result<(), String> {
        match action {
            // Clocks that agree stand for one clock.
            Action::Tick(_) if self.bounds.skew == 0 => {
                self.nodes.iter_mut().for_each(|node| node.clock += 1);
            }
            Action::Tick(id) => self.nodes[usize::from(id)].clock += 1,
            Action::Wake(id) => {
                self.step(id, Event::Time)?;
                self.ask_desk(id, |desk, now, out| desk.pass(now, out))?;
            }
            Action::Stand(id) => {
                self.nodes[usize::from(id)].told = true;
                self.step(id, Event::Stand)?;
            }
            Action::Arrive(message, to) => self.arrive(message, to)?,
            Action::Land(id) => self.land(id),
            Action::Serve(id) => self.serve(id)?,
            Action::HandOver(id) => {
                self.handovers -= 1;
                let to = (id + 1) % self.bounds.nodes;
                self.step(id, Event::HandOver(to))?;
            }
            Action::Crash(id) => self.crash(id),
            Action::Stray(id) => {
                if let Some(record) = self.nodes[usize::from(id)].stray.take() {
                    self.slots[usize::from(id)] = Sight::Slot(record);
                }
            }
            Action::Fail(id) => self.fail(id)?,
            Action::Tear(id) => {
                self.tears -= 1;
                self.nodes[usize::from(id)].stray = None;
                self.slots[usize::from(id)] = Sight::Torn;
            }
            Action::Restart(id) => self.boot(id)?,
        }
        self.check()
    }

    fn within_bounds(&self) -> bool {
        true
    }

    fn sort(action: Action) -> u64 {
        let (sort, id) = match action {
            Action::Tick(id) => (0, id),
            Action::Wake(id) => (1, id),
            Action::Stand(id) => (2, id),
            Action::Arrive(Message::Request(..), id) => (3, id),
            Action::Arrive(Message::Granted(..), id) => (4, id),
            Action::Arrive(_, id) => (5, id),
            Action::Land(id) => (6, id),
            Action::Serve(id) => (7, id),
            Action::HandOver(id) => (8, id),
            Action::Crash(id) => (9, id),
            Action::Stray(id) => (10, id),
            Action::Fail(id) => (11, id),
            Action::Tear(id) => (12, id),
            Action::Restart(id) => (13, id),
        };
        8 * sort + u64::from(id)
    }
}
