//! What can happen to three copies of an area? Each takes for ever, lands late, tears or fails by itself, and one
//! may be replaced by a new one; nodes crash and start again, and clocks differ.
//!
//! A copy is read, or written, at one go, at any time after the question. A write of a dead node may land later,
//! though not after the next run of that node has begun to read and write that copy.

use std::time::Duration;

use floatlock::core::Instant;
use floatlock::core::disk::mirror::{self, Answer, CopyId, Mirror, What};
use floatlock::core::disk::{DiskLock, Effect, Event, Op, Record, Settings, Sight, Vote};
use floatlock::core::lease::{BootId, Epoch};

use crate::search::{World, search, wander};
use crate::states;

const TICK: u64 = 100_000_000;
/// The lease, in ticks.
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
    /// W, in ticks: the lease and twice the skew is just enough.
    pub(crate) wait: u64,
    pub(crate) crashes: u8,
    /// Reads and writes that fail.
    pub(crate) failures: u8,
    /// Writes of the dead that tear.
    pub(crate) tears: u8,
    /// Votes that are given back.
    pub(crate) rests: u8,
    /// Copies that are replaced by new ones.
    pub(crate) blanks: u8,
    /// Writes that the first copy says it has taken, and drops.
    pub(crate) drops: u8,
    /// How many copies there are.
    pub(crate) copies: u8,
    /// Two copies answer at one go, and what is left over by itself.
    pub(crate) quick: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Node {
    runs: Option<(DiskLock, Mirror)>,
    boots: u8,
    clock: u64,
    /// Open until then.
    gate: u64,
    /// What it serves with.
    epoch: Epoch,
    wants: bool,
    /// What each copy was asked for.
    ios: Vec<Option<(Op, What)>>,
    /// A write of the run before that may still land, by copy.
    strays: Vec<Option<Record>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick(u8),
    Wake(u8),
    Want(u8),
    Rest(u8),
    Clean(u8),
    /// A copy does what that node asked it for.
    Serve(u8, CopyId),
    /// Two copies do.
    ServeBoth(u8, CopyId, CopyId),
    Fail(u8, CopyId),
    Drop(u8),
    Crash(u8),
    /// The write under way on that copy has torn.
    CrashAndTear(u8, CopyId),
    Stray(u8, CopyId),
    Restart(u8),
    Blank(CopyId),
}

/// The disk and those who write it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    bounds: Bounds,
    nodes: Vec<Node>,
    /// By copy.
    slots: Vec<Vec<Sight>>,
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
    blanks: u8,
    drops: u8,
}

const fn at(ticks: u64) -> Instant {
    Instant::from_nanos((ticks + 1) * TICK)
}

const fn ticks(at: Instant) -> u64 {
    at.as_nanos() / TICK - 1
}

impl Node {
    fn runs(&self) -> bool {
        self.runs.is_some()
    }

    fn serves(&self) -> bool {
        self.clock < self.gate
    }
}

impl State {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let node = |_| Node {
            runs: None,
            boots: 0,
            clock: 0,
            gate: 0,
            epoch: Epoch::default(),
            wants: false,
            ios: vec![None; bounds.copies.into()],
            strays: vec![None; bounds.copies.into()],
        };
        let mut state = Self {
            bounds,
            nodes: (0..bounds.nodes).map(node).collect(),
            slots: vec![
                vec![Sight::Slot(Record::default()); usize::from(bounds.nodes)];
                bounds.copies.into()
            ],
            last: None,
            moves: 0,
            handed: false,
            rested: false,
            crashes: bounds.crashes,
            failures: bounds.failures,
            tears: bounds.tears,
            rests: bounds.rests,
            blanks: bounds.blanks,
            drops: bounds.drops,
        };
        (0..bounds.nodes).for_each(|id| state.start(id));
        state
    }

    fn start(&mut self, id: u8) {
        let settings = Settings {
            me: id,
            lease: Duration::from_nanos(L * TICK),
            wait: Duration::from_nanos(self.bounds.wait * TICK),
            poll: Duration::from_nanos(TICK),
            hurry: Duration::from_nanos(TICK),
            guard: None,
        };
        let bounds = self.bounds;
        let node = &mut self.nodes[usize::from(id)];
        node.boots += 1;
        let boot = BootId(u128::from(id) << 8 | u128::from(node.boots));
        let mirror = Mirror::new(bounds.copies.into(), id, Duration::from_nanos(TICK));
        node.runs = Some((DiskLock::new(settings, boot, at(node.clock)), mirror));
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
        if let Some((lock, _)) = &mut node.runs {
            lock.step(now, event, &mut said);
        }
        for effect in said {
            match effect {
                Effect::Read(op) => {
                    self.mirror(id, |m, now, out| m.ask(now, op, What::Read, out))?
                }
                Effect::Write(op, record) => {
                    self.mirror(id, |m, now, out| m.ask(now, op, What::Write(record), out))?;
                }
                Effect::Lost => self.node(id).gate = 0,
                Effect::Vote(vote) => self.voted(id, vote)?,
            }
        }
        Ok(())
    }

    fn mirror(
        &mut self,
        id: u8,
        say: impl FnOnce(&mut Mirror, Instant, &mut Vec<mirror::Effect>),
    ) -> Result<(), String> {
        let node = self.node(id);
        let (now, mut out) = (at(node.clock), Vec::new());
        if let Some((_, mirror)) = &mut node.runs {
            say(mirror, now, &mut out);
        }
        for effect in out {
            let (copy, order, what) = match effect {
                mirror::Effect::Read(copy, order) => (copy, order, What::Read),
                mirror::Effect::Write(copy, order, record) => (copy, order, What::Write(record)),
                mirror::Effect::Done(event) => {
                    self.tell(id, event)?;
                    continue;
                }
            };
            let node = self.node(id);
            let place = usize::from(copy);
            // What the run before has left under way has landed by now, or never will.
            node.strays[place] = None;
            if node.ios[place].replace((order, what)).is_some() {
                return Err("two questions at a time".into());
            }
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
        node.gate = ticks(vote.until);
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

    fn actions_of(&self, id: u8, node: &Node, actions: &mut Vec<Action>) {
        if self.may_tick(id) {
            actions.push(Action::Tick(id));
        }
        for copy in 0..self.bounds.copies {
            if node.strays[usize::from(copy)].is_some() {
                actions.push(Action::Stray(id, copy));
            }
        }
        let Some((lock, mirror)) = &node.runs else {
            actions.push(Action::Restart(id));
            return;
        };
        if lock.deadline().min(mirror.deadline()) <= at(node.clock) {
            actions.push(Action::Wake(id));
        }
        if !node.wants {
            actions.push(Action::Want(id));
        } else if node.serves() && self.rests > 0 {
            actions.push(Action::Rest(id));
        }
        if !node.wants && !node.serves() && node.boots > 0 && self.rested {
            actions.push(Action::Clean(id));
        }
        let asked = (0..self.bounds.copies).filter(|copy| node.ios[usize::from(*copy)].is_some());
        let asked: Vec<CopyId> = asked.collect();
        for (place, &copy) in asked.iter().enumerate() {
            let Some((_, what)) = &node.ios[usize::from(copy)] else {
                continue;
            };
            if self.bounds.quick && asked.len() > 1 {
                let others = &asked[place + 1..];
                actions.extend(
                    others
                        .iter()
                        .map(|other| Action::ServeBoth(id, copy, *other)),
                );
            } else {
                actions.push(Action::Serve(id, copy));
            }
            if self.failures > 0 {
                actions.push(Action::Fail(id, copy));
            }
            if self.drops > 0 && copy == 0 && matches!(what, What::Write(_)) {
                actions.push(Action::Drop(id));
            }
            if self.crashes > 0 && self.tears > 0 && matches!(what, What::Write(_)) {
                actions.push(Action::CrashAndTear(id, copy));
            }
        }
        if self.crashes > 0 {
            actions.push(Action::Crash(id));
        }
    }

    fn serve(&mut self, id: u8, copy: CopyId) -> Result<(), String> {
        let place = usize::from(copy);
        let Some((order, what)) = self.node(id).ios[place].take() else {
            return Ok(());
        };
        let answer = match what {
            What::Read => Answer::Slots(self.slots[place].clone()),
            What::Write(record) => {
                self.slots[place][usize::from(id)] = Sight::Slot(record);
                Answer::Landed
            }
        };
        self.mirror(id, |m, now, out| m.answer(now, copy, order, answer, out))
    }

    fn fail(&mut self, id: u8, copy: CopyId) -> Result<(), String> {
        self.failures -= 1;
        match self.node(id).ios[usize::from(copy)].take() {
            Some((order, _)) => self.mirror(id, |m, now, out| {
                m.answer(now, copy, order, Answer::Failed, out);
            }),
            None => Ok(()),
        }
    }

    fn drop_write(&mut self, id: u8) -> Result<(), String> {
        self.drops -= 1;
        match self.node(id).ios[0].take() {
            Some((order, _)) => self.mirror(id, |m, now, out| {
                m.answer(now, 0, order, Answer::Landed, out);
            }),
            None => Ok(()),
        }
    }

    /// The gate stays as it is: the kernel does not die with the agent.
    fn crash(&mut self, id: u8) {
        self.crashes -= 1;
        let node = self.node(id);
        node.runs = None;
        for (io, stray) in node.ios.iter_mut().zip(&mut node.strays) {
            if let Some((_, What::Write(record))) = io.take() {
                *stray = Some(record);
            }
        }
    }
}

impl World for State {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (id, node) in (0u8..).zip(&self.nodes) {
            self.actions_of(id, node, &mut actions);
        }
        if self.blanks > 0 {
            actions.extend((0..self.bounds.copies).map(Action::Blank));
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
            Action::Wake(id) => {
                self.mirror(id, |m, now, out| m.pass(now, out))?;
                self.tell(id, Event::Time)?;
            }
            Action::Want(id) => {
                let node = self.node(id);
                node.wants = true;
                let epoch = 64 * u64::from(node.boots) + u64::from(id);
                self.tell(id, Event::Floor(Epoch::from_number(epoch)))?;
                self.tell(id, Event::Want)?;
            }
            Action::Rest(id) => {
                (self.rests, self.rested) = (self.rests - 1, true);
                self.node(id).wants = false;
                self.tell(id, Event::Rest)?;
            }
            Action::Clean(id) => {
                let epoch = self.node(id).epoch;
                self.tell(id, Event::Floor(epoch))?;
                self.tell(id, Event::Clean)?;
            }
            Action::Serve(id, copy) => self.serve(id, copy)?,
            Action::ServeBoth(id, first, second) => {
                self.serve(id, first)?;
                self.serve(id, second)?;
            }
            Action::Fail(id, copy) => self.fail(id, copy)?,
            Action::Drop(id) => self.drop_write(id)?,
            Action::Crash(id) => self.crash(id),
            Action::CrashAndTear(id, copy) => {
                self.tears -= 1;
                self.crash(id);
                self.node(id).strays[usize::from(copy)] = None;
                self.slots[usize::from(copy)][usize::from(id)] = Sight::Torn;
            }
            Action::Stray(id, copy) => {
                if let Some(record) = self.node(id).strays[usize::from(copy)].take() {
                    self.slots[usize::from(copy)][usize::from(id)] = Sight::Slot(record);
                }
            }
            Action::Blank(copy) => {
                self.blanks -= 1;
                let slots = &mut self.slots[usize::from(copy)];
                // `lock init` of one of three writes no slots: nobody knows what stood there.
                slots.fill(Sight::Torn);
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
        let (sort, id, copy) = match action {
            Action::Tick(id) => (0, id, 0),
            Action::Wake(id) => (1, id, 0),
            Action::Want(id) | Action::Restart(id) => (2, id, 0),
            Action::Rest(id) | Action::Clean(id) => (3, id, 0),
            Action::Serve(id, copy) | Action::ServeBoth(id, copy, _) => (4, id, copy),
            Action::Fail(id, copy) | Action::CrashAndTear(id, copy) => (5, id, copy),
            Action::Crash(id) => (6, id, 0),
            Action::Stray(id, copy) => (7, id, copy),
            Action::Blank(copy) => (8, 0, copy),
            Action::Drop(id) => (9, id, 0),
        };
        sort << 16 | u64::from(id) << 8 | u64::from(copy)
    }
}

/// Two nodes at three copies on which everything goes well.
const MIRRORED: Bounds = Bounds {
    nodes: 2,
    horizon: 6,
    skew: 0,
    wait: L,
    crashes: 0,
    failures: 0,
    tears: 0,
    rests: 0,
    blanks: 0,
    drops: 0,
    copies: 3,
    quick: true,
};

fn is_safe(name: &str, bounds: Bounds) {
    let found = search(State::new(bounds), states(300_000), |_| None);
    let (count, depth) = (found.states, found.depth);
    println!(
        "three disks, {name}: {count} states, depth {depth}, all: {}",
        found.complete
    );
    if let Some((invariant, way)) = found.way {
        panic!("three disks, {name}: {invariant}, after {way:#?}");
    }
}

#[test]
fn no_delay_of_one_of_three_disks_makes_two_hold() {
    is_safe("two", MIRRORED);
    is_safe(
        "given back",
        Bounds {
            rests: 1,
            ..MIRRORED
        },
    );
    is_safe(
        "two, one by one",
        Bounds {
            quick: false,
            ..MIRRORED
        },
    );
}

#[test]
fn no_failure_of_one_of_three_disks_makes_two_hold() {
    is_safe(
        "failures",
        Bounds {
            failures: 2,
            ..MIRRORED
        },
    );
    is_safe(
        "crashes",
        Bounds {
            crashes: 1,
            ..MIRRORED
        },
    );
    is_safe(
        "torn",
        Bounds {
            crashes: 1,
            tears: 1,
            ..MIRRORED
        },
    );
    is_safe(
        "a new disk",
        Bounds {
            blanks: 1,
            ..MIRRORED
        },
    );
}

/// Far beyond what is searched: each way is one that may happen.
const FAR: Bounds = Bounds {
    horizon: 60,
    crashes: 3,
    failures: 6,
    tears: 1,
    rests: 3,
    blanks: 1,
    ..MIRRORED
};

/// What went wrong on one of so many ways, and how often the vote moved on one at most.
fn stray(bounds: Bounds, ways: usize) -> (Option<String>, u8) {
    let moves = std::cell::Cell::new(0);
    let found = wander(&State::new(bounds), (7, ways as u64, 600), |state| {
        moves.set(moves.get().max(state.moves));
        None
    });
    let (states, moves) = (found.states, moves.get());
    println!("three disks, {ways} ways: {states} states, at most {moves} moves");
    let told = found
        .way
        .map(|(what, way)| format!("{what}, after {way:#?}"));
    (told, moves)
}

#[test]
fn no_way_at_three_disks_makes_two_hold() {
    let failing = Bounds {
        crashes: 0,
        failures: 60,
        tears: 0,
        blanks: 0,
        quick: false,
        ..FAR
    };
    for bounds in [
        FAR,
        Bounds {
            quick: false,
            ..FAR
        },
        failing,
    ] {
        let (told, moves) = stray(bounds, states(3_000));
        assert_eq!(told, None);
        assert!(moves > 1, "nobody took over");
    }
}

/// Nothing but one disk that drops what it took, and nodes that die and give back.
#[test]
fn one_of_three_disks_that_drops_what_it_took_makes_no_two_hold() {
    for quick in [true, false] {
        let bounds = Bounds {
            quick,
            drops: 60,
            failures: 0,
            tears: 0,
            blanks: 0,
            ..FAR
        };
        let (told, moves) = stray(bounds, states(3_000));
        assert_eq!(told, None);
        assert!(moves > 1, "nobody took over");
    }
}

#[test]
fn a_wait_at_three_disks_that_is_a_tick_too_short_is_found() {
    let (told, _) = stray(Bounds { wait: L - 1, ..FAR }, 20_000);
    let told = told.unwrap_or_default();
    assert!(told.starts_with("S1: two serve"), "{told}");
}
