//! What can happen to a disk and to those who write it? Reads and writes that take for ever, land late,
//! tear or fail, nodes that freeze, crash and start again, and clocks that differ.
//!
//! A slot is read by itself, at any time between the question and the answer; a write lands at any time
//! between the question and the answer, or after its writer's death, though not after the next run of
//! that node has begun to read and write. A node that is not woken is frozen, and its gate goes by its
//! clock alone.

use std::time::Duration;

use floatlock::core::Instant;
use floatlock::core::disk::{DiskLock, Effect, Event, Hold, Op, Record, Settings, Sight, Vote};
use floatlock::core::lease::{BootId, Epoch};

use crate::search::World;

const TICK: u64 = 100_000_000;
/// The shortest lease, in ticks.
pub(crate) const L: u64 = 2;

/// How much may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    pub(crate) nodes: u8,
    /// Ticks of the fastest clock.
    pub(crate) horizon: u64,
    /// By so many ticks may clocks differ. One that is as much behind and then as much ahead has run
    /// twice as far ahead of another meanwhile.
    pub(crate) skew: u64,
    /// L, in ticks: how long a vote counts.
    pub(crate) lease: u64,
    /// W, in ticks: the lease and twice the skew is just enough.
    pub(crate) wait: u64,
    pub(crate) crashes: u8,
    /// Reads and writes that fail, and writes that are dropped.
    pub(crate) failures: u8,
    /// Writes of the dead that tear.
    pub(crate) tears: u8,
    /// Votes that are given back.
    pub(crate) rests: u8,
    /// Every question is answered at one go; only how long that takes is open.
    pub(crate) eager: bool,
}

/// A question to the disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Io {
    Read(Op, Vec<Option<Sight>>),
    Write(Op, Record, bool),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Node {
    lock: Option<DiskLock>,
    boots: u8,
    clock: u64,
    /// Open until then.
    gate: u64,
    /// What it serves with.
    epoch: Epoch,
    wants: bool,
    /// Something that it served with, or an earlier run of it, may be on.
    owes: bool,
    io: Option<Io>,
    /// A write of the run before that may still land.
    stray: Option<Record>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick(u8),
    Wake(u8),
    Want(u8),
    Rest(u8),
    Clean(u8),
    /// A node's read passes over a slot.
    See(u8, u8),
    Land(u8),
    Answer(u8),
    /// All of the question at one go.
    Serve(u8),
    Fail(u8),
    /// A half of the write has landed.
    FailAndTear(u8),
    /// The medium says that it has landed, and has dropped it.
    Drop(u8),
    Crash(u8),
    /// The write under way has torn.
    CrashAndTear(u8),
    Stray(u8),
    Restart(u8),
}

/// The disk and those who write it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    bounds: Bounds,
    nodes: Vec<Node>,
    slots: Vec<Sight>,
    /// Who held last, with which epoch.
    last: Option<(u8, Epoch)>,
    /// How often the vote has gone from one to another.
    pub(crate) moves: u8,
    /// Given back, then taken by another.
    pub(crate) handed: bool,
    rested: bool,
    crashes: u8,
    failures: u8,
    tears: u8,
    rests: u8,
}

const fn at(ticks: u64) -> Instant {
    Instant::from_nanos((ticks + 1) * TICK)
}

const fn ticks(at: Instant) -> u64 {
    at.as_nanos() / TICK - 1
}

impl Node {
    fn runs(&self) -> bool {
        self.lock.is_some()
    }

    fn serves(&self) -> bool {
        self.clock < self.gate
    }
}

impl State {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let node = |_| Node {
            lock: None,
            boots: 0,
            clock: 0,
            gate: 0,
            epoch: Epoch::default(),
            wants: false,
            owes: true,
            io: None,
            stray: None,
        };
        let mut state = Self {
            bounds,
            nodes: (0..bounds.nodes).map(node).collect(),
            slots: vec![Sight::Slot(Record::default()); usize::from(bounds.nodes)],
            last: None,
            moves: 0,
            handed: false,
            rested: false,
            crashes: bounds.crashes,
            failures: bounds.failures,
            tears: bounds.tears,
            rests: bounds.rests,
        };
        (0..bounds.nodes).for_each(|id| state.start(id));
        state
    }

    fn start(&mut self, id: u8) {
        let settings = Settings {
            me: id,
            lease: Duration::from_nanos(self.bounds.lease * TICK),
            wait: Duration::from_nanos(self.bounds.wait * TICK),
            poll: Duration::from_nanos(TICK),
            hurry: Duration::from_nanos(TICK),
            guard: None,
        };
        let node = &mut self.nodes[usize::from(id)];
        node.boots += 1;
        let boot = BootId(u128::from(id) << 8 | u128::from(node.boots));
        node.lock = Some(DiskLock::new(settings, boot, at(node.clock)));
        // A run that starts shuts the gate of the one before.
        (node.gate, node.wants) = (0, false);
    }

    fn node(&mut self, id: u8) -> &mut Node {
        &mut self.nodes[usize::from(id)]
    }

    fn tell(&mut self, id: u8, event: Event) -> Result<(), String> {
        let mut said = Vec::new();
        let node = self.node(id);
        let now = at(node.clock);
        if let Some(lock) = &mut node.lock {
            lock.step(now, event, &mut said);
        }
        for effect in said {
            self.carry_out(id, effect)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, id: u8, effect: Effect) -> Result<(), String> {
        let count = self.nodes.len();
        let node = self.node(id);
        match effect {
            Effect::Read(op) => {
                // What the run before has left under way has landed by now, or never will.
                node.stray = None;
                if node.io.is_some() {
                    return Err("two questions at a time".into());
                }
                node.io = Some(Io::Read(op, vec![None; count]));
            }
            Effect::Write(op, record) => {
                node.stray = None;
                if node.io.is_some() {
                    return Err("two questions at a time".into());
                }
                if node.owes && record.hold == Hold::Clean {
                    return Err("a slot is laid down before what it allowed is off".into());
                }
                node.io = Some(Io::Write(op, record, false));
            }
            // Who hears it may be frozen: the gate goes by its own time.
            Effect::Lost => {}
            Effect::Vote(vote) => return self.voted(id, vote),
        }
        Ok(())
    }

    fn voted(&mut self, id: u8, vote: Vote) -> Result<(), String> {
        let node = self.node(id);
        let serves = node.serves();
        if !serves {
            // The node serves with the highest epoch that its slot says, or asks for a higher one.
            if vote.floor <= vote.above {
                let next = vote.above.next(id).unwrap_or_default();
                return self.tell(id, Event::Floor(next));
            }
            node.epoch = vote.floor;
        }
        (node.gate, node.owes) = (ticks(vote.until), true);
        let (epoch, serves_now) = (node.epoch, node.serves());
        if !serves_now {
            return Ok(());
        }
        if let Some((last, before)) = self.last
            && last != id
        {
            if epoch <= before {
                return Err("S2: a successor serves below its predecessor".into());
            }
            self.moves += 1;
            self.handed |= self.rested;
        }
        self.rested = false;
        self.last = Some((id, epoch));
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let serving = self.nodes.iter().filter(|node| node.serves()).count();
        match serving {
            0 | 1 => Ok(()),
            _ => Err("S1: two serve".into()),
        }
    }

    fn may_tick(&self, id: u8) -> bool {
        let clock = self.nodes[usize::from(id)].clock;
        let slowest = self.nodes.iter().map(|node| node.clock).min();
        let skew = self.bounds.skew;
        let ahead = |slow| clock < slow + skew || skew == 0 && id == 0;
        clock < self.bounds.horizon && slowest.is_some_and(ahead)
    }

    fn actions_of_io(&self, id: u8, io: &Io, actions: &mut Vec<Action>) {
        actions.push(Action::Serve(id));
        if self.bounds.eager {
            return;
        }
        match io {
            Io::Read(_, seen) => {
                // Only its node writes a slot: the own one reads the same at any time.
                let others = (0..self.bounds.nodes).zip(seen);
                let others = others.filter(|(slot, _)| *slot != id);
                let unseen = others.filter(|(_, seen)| seen.is_none());
                let unseen: Vec<_> = unseen.map(|(slot, _)| Action::See(id, slot)).collect();
                match unseen.is_empty() {
                    true => actions.push(Action::Answer(id)),
                    false => actions.extend(unseen),
                }
            }
            Io::Write(_, _, landed) => actions.push(match landed {
                true => Action::Answer(id),
                false => Action::Land(id),
            }),
        }
        if self.failures > 0 {
            actions.push(Action::Fail(id));
            if self.tears > 0 && matches!(io, Io::Write(..)) {
                actions.push(Action::FailAndTear(id));
            }
            if matches!(io, Io::Write(_, _, false)) {
                actions.push(Action::Drop(id));
            }
        }
    }

    fn actions_of(&self, id: u8, node: &Node, actions: &mut Vec<Action>) {
        if self.may_tick(id) {
            actions.push(Action::Tick(id));
        }
        if node.stray.is_some() {
            actions.push(Action::Stray(id));
        }
        let Some(lock) = &node.lock else {
            actions.push(Action::Restart(id));
            return;
        };
        if lock.deadline() <= at(node.clock) {
            actions.push(Action::Wake(id));
        }
        if !node.wants {
            actions.push(Action::Want(id));
        } else if node.owes && self.rests > 0 {
            actions.push(Action::Rest(id));
        }
        if !node.wants && !node.serves() && node.owes && self.bounds.rests > 0 {
            actions.push(Action::Clean(id));
        }
        if let Some(io) = &node.io {
            self.actions_of_io(id, io, actions);
        }
        if self.crashes > 0 {
            actions.push(Action::Crash(id));
            let writes = matches!(node.io, Some(Io::Write(_, _, false)));
            if self.tears > 0 && writes {
                actions.push(Action::CrashAndTear(id));
            }
        }
    }

    fn see(&mut self, id: u8, slot: u8) {
        let sight = self.slots[usize::from(slot)];
        if let Some(Io::Read(_, seen)) = &mut self.node(id).io {
            seen[usize::from(slot)] = Some(sight);
        }
    }

    fn land(&mut self, id: u8) {
        if let Some(Io::Write(_, record, landed)) = &mut self.node(id).io {
            *landed = true;
            let record = *record;
            self.slots[usize::from(id)] = Sight::Slot(record);
        }
    }

    fn serve(&mut self, id: u8) -> Result<(), String> {
        if let Some(Io::Read(_, seen)) = &self.nodes[usize::from(id)].io {
            let unseen: Vec<_> = (0..self.bounds.nodes)
                .zip(seen)
                .filter_map(|(slot, seen)| seen.is_none().then_some(slot))
                .collect();
            unseen.into_iter().for_each(|slot| self.see(id, slot));
        }
        if let Some(Io::Write(_, _, false)) = &self.nodes[usize::from(id)].io {
            self.land(id);
        }
        self.answer(id)
    }

    fn answer(&mut self, id: u8) -> Result<(), String> {
        self.see(id, id);
        match self.node(id).io.take() {
            Some(Io::Read(op, seen)) => {
                let seen = seen.into_iter().flatten().collect();
                self.tell(id, Event::Read(op, seen))
            }
            Some(Io::Write(op, ..)) => self.tell(id, Event::Written(op)),
            None => Ok(()),
        }
    }

    fn fail(&mut self, id: u8) -> Result<(), String> {
        self.failures -= 1;
        match self.node(id).io.take() {
            Some(Io::Read(op, _) | Io::Write(op, ..)) => self.tell(id, Event::Failed(op)),
            None => Ok(()),
        }
    }

    /// The gate stays as it is: the kernel does not die with the agent.
    fn crash(&mut self, id: u8) {
        self.crashes -= 1;
        let node = self.node(id);
        node.lock = None;
        node.stray = match node.io.take() {
            Some(Io::Write(_, record, false)) => Some(record),
            _ => None,
        };
    }
}

impl World for State {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (id, node) in (0u8..).zip(&self.nodes) {
            self.actions_of(id, node, &mut actions);
        }
        actions
    }

    fn apply(&mut self, action: Action) -> Result<(), String> {
        match action {
            // Clocks that agree stand for one clock.
            Action::Tick(_) if self.bounds.skew == 0 => {
                self.nodes.iter_mut().for_each(|node| node.clock += 1);
            }
            Action::Tick(id) => self.node(id).clock += 1,
            Action::Wake(id) => self.tell(id, Event::Time)?,
            Action::Want(id) => {
                let node = self.node(id);
                // Whoever asks has nothing left of before.
                (node.wants, node.owes) = (true, false);
                let epoch = 64 * u64::from(node.boots) + u64::from(id);
                self.tell(id, Event::Floor(Epoch::from_number(epoch)))?;
                self.tell(id, Event::Want)?;
            }
            Action::Rest(id) => {
                (self.rests, self.rested) = (self.rests - 1, true);
                let node = self.node(id);
                (node.wants, node.gate) = (false, 0);
                self.tell(id, Event::Rest)?;
            }
            Action::Clean(id) => {
                let node = self.node(id);
                node.owes = false;
                let epoch = node.epoch;
                self.tell(id, Event::Floor(epoch))?;
                self.tell(id, Event::Clean)?;
            }
            Action::See(id, slot) => self.see(id, slot),
            Action::Land(id) => self.land(id),
            Action::Answer(id) => self.answer(id)?,
            Action::Serve(id) => self.serve(id)?,
            Action::Fail(id) => self.fail(id)?,
            Action::FailAndTear(id) => {
                self.tears -= 1;
                self.slots[usize::from(id)] = Sight::Torn;
                self.fail(id)?;
            }
            Action::Drop(id) => {
                self.failures -= 1;
                self.answer(id)?;
            }
            Action::Crash(id) => self.crash(id),
            Action::CrashAndTear(id) => {
                self.tears -= 1;
                self.crash(id);
                self.node(id).stray = None;
                self.slots[usize::from(id)] = Sight::Torn;
            }
            Action::Stray(id) => {
                if let Some(record) = self.node(id).stray.take() {
                    self.slots[usize::from(id)] = Sight::Slot(record);
                }
            }
            Action::Restart(id) => {
                assert!(!self.nodes[usize::from(id)].runs(), "it runs");
                self.start(id);
            }
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
            Action::Want(id) | Action::Restart(id) => (2, id),
            Action::Rest(id) => (3, id),
            Action::Clean(id) => (4, id),
            Action::See(id, _) => (5, id),
            Action::Land(id) => (6, id),
            Action::Answer(id) => (7, id),
            Action::Serve(id) => (8, id),
            Action::Fail(id) | Action::FailAndTear(id) | Action::Drop(id) => (9, id),
            Action::Crash(id) | Action::CrashAndTear(id) => (10, id),
            Action::Stray(id) => (11, id),
        };
        sort << 8 | u64::from(id)
    }
}
