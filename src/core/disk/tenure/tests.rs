//! A node, a copy of it that somebody starts, and their peer, at one area whose reads and writes take a while.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::super::{DiskLock, Effect, Event, Hold, Record, Settings, Sight};
use super::*;

const LOOK: Duration = Duration::from_millis(400);
const LEASE: Duration = Duration::from_secs(2);
const WAIT: Duration = Duration::from_millis(2_100);
const POLL: Duration = Duration::from_millis(250);

const A: usize = 0;
const CLONE: usize = 1;
const PEER: usize = 2;

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

/// What happens to whom, or what becomes of a read or write that it has asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Start { before: bool },
    End,
    Want,
    Rest,
    Clean,
    Timer,
    Samples(u64),
    Lands(u64, usize),
    Answers(u64, usize),
}

struct Host {
    slot: usize,
    lock: Option<DiskLock>,
    boots: u32,
    frozen_until: u64,
    /// Writes under way: as long as there are any, no other start writes.
    writes: u32,
    /// Holds, as it was told.
    until: u64,
}

/// When, in which order, to whom, for which of its starts, and what.
type Entry = (u64, u64, usize, u32, What);

/// A way that the world may go.
struct World {
    seed: u64,
    now: u64,
    slots: Vec<Sight>,
    hosts: Vec<Host>,
    queue: BinaryHeap<Reverse<Entry>>,
    order: u64,
    answers: Vec<Event>,
    written: Vec<Record>,
    slowest: u64,
}

impl World {
    fn new(seed: u64, slowest: u64) -> Self {
        let host = |slot| Host {
            slot,
            lock: None,
            boots: 0,
            frozen_until: 0,
            writes: 0,
            until: 0,
        };
        Self {
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            now: 1_000,
            slots: vec![Sight::Slot(Record::default()); 2],
            hosts: vec![host(0), host(0), host(1)],
            queue: BinaryHeap::new(),
            order: 0,
            answers: Vec::new(),
            written: Vec::new(),
            slowest,
        }
    }

    /// Marsaglia, "Xorshift RNGs", 2003.
    fn below(&mut self, most: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % most
    }

    fn at(&mut self, millis: u64, host: usize, what: What) {
        let boots = match what {
            What::Start { .. } | What::Want | What::Rest | What::Clean | What::End => u32::MAX,
            _ => self.hosts[host].boots,
        };
        self.order += 1;
        self.queue
            .push(Reverse((millis, self.order, host, boots, what)));
    }

    fn run_until(&mut self, end: u64) {
        while let Some(Reverse((when, ..))) = self.queue.peek()
            && *when <= end
        {
            let Some(Reverse((when, _, host, boots, what))) = self.queue.pop() else {
                return;
            };
            self.now = self.now.max(when);
            self.happens(host, boots, what);
            self.judge();
        }
        self.now = end;
    }

    fn happens(&mut self, host: usize, boots: u32, what: What) {
        // What was written lands whoever still waits for it.
        if let What::Lands(op, at) = what {
            self.slots[self.hosts[host].slot] = Sight::Slot(self.written[at]);
            self.hosts[host].writes -= 1;
            let answer = self.answer(Event::Written(op));
            return self.push_answer(host, boots, op, answer);
        }
        if let What::Start { before } = what {
            let Host { lock, writes, .. } = &self.hosts[host];
            return match (lock.is_some(), *writes > 0) {
                (true, _) => {}
                (false, true) => self.at(self.now + 10, host, What::Start { before }),
                (false, false) => self.start(host, before),
            };
        }
        let is_of_now = boots == u32::MAX || boots == self.hosts[host].boots;
        if !is_of_now || self.hosts[host].lock.is_none() {
            return;
        }
        let later = self.hosts[host].frozen_until;
        if later > self.now && !matches!(what, What::Samples(_)) {
            self.order += 1;
            let again = Reverse((later, self.order, host, boots, what));
            return self.queue.push(again);
        }
        match what {
            What::Samples(op) => {
                let slots = self.slots.clone();
                let answer = self.answer(Event::Read(op, slots));
                self.push_answer(host, boots, op, answer);
            }
            What::Answers(_, at) => self.tell(host, self.answers[at].clone()),
            What::Want => self.tell(host, Event::Want),
            What::Rest => {
                self.tell(host, Event::Rest);
                self.hosts[host].until = 0;
            }
            What::Clean => self.tell(host, Event::Clean),
            What::Timer => self.tell(host, Event::Time),
            What::End => (self.hosts[host].lock, self.hosts[host].until) = (None, 0),
            What::Lands(..) | What::Start { .. } => {}
        }
    }

    fn answer(&mut self, event: Event) -> usize {
        self.answers.push(event);
        self.answers.len() - 1
    }

    fn push_answer(&mut self, host: usize, boots: u32, op: u64, answer: usize) {
        let after = self.now + self.seed % (self.slowest / 2);
        self.order += 1;
        let what = What::Answers(op, answer);
        self.queue
            .push(Reverse((after, self.order, host, boots, what)));
    }

    fn start(&mut self, host: usize, before: bool) {
        let (now, slot) = (at(self.now), self.hosts[host].slot);
        let host_bits = (host as u128 + 1) << 32;
        let boots = self.hosts[host].boots;
        let boot = |boots: u32| BootId(host_bits | u128::from(boots));
        let guard = Guard {
            look: LOOK,
            before: (before && boots > 0).then(|| boot(boots)),
        };
        let settings = Settings {
            me: slot as u8,
            lease: LEASE,
            wait: WAIT,
            poll: POLL,
            hurry: Duration::from_millis(5),
            guard: Some(guard),
        };
        let new = &mut self.hosts[host];
        new.boots += 1;
        new.lock = Some(DiskLock::new(settings, boot(boots + 1), now));
        self.tell(host, Event::Time);
        self.tell(host, Event::Clean);
    }

    fn tell(&mut self, host: usize, event: Event) {
        let mut said = Vec::new();
        let now = at(self.now);
        let Some(lock) = &mut self.hosts[host].lock else {
            return;
        };
        lock.step(now, event, &mut said);
        let deadline = lock.deadline();
        for effect in said {
            let half = self.slowest / 2;
            let takes = self.below(half);
            match effect {
                Effect::Read(op) => self.at(self.now + takes, host, What::Samples(op)),
                Effect::Write(op, record) => {
                    self.written.push(record);
                    self.hosts[host].writes += 1;
                    let written = self.written.len() - 1;
                    self.at(self.now + takes, host, What::Lands(op, written));
                }
                Effect::Vote(vote) => self.hosts[host].until = vote.until.as_nanos() / 1_000_000,
                Effect::Lost => self.hosts[host].until = 0,
            }
        }
        if deadline != Instant::NEVER {
            let when = deadline.as_nanos().div_ceil(1_000_000).max(self.now);
            self.at(when, host, What::Timer);
        }
    }

    fn judge(&self) {
        let holds = |host: &Host| host.until > self.now;
        let holders: Vec<usize> = (0..3).filter(|host| holds(&self.hosts[*host])).collect();
        assert!(
            holders.len() < 2,
            "{holders:?} hold at {}: {:#?}",
            self.now,
            self.slots
        );
    }

    fn tenancy(&self, host: usize) -> Option<Tenancy> {
        self.hosts[host].lock.as_ref().map(DiskLock::tenancy)
    }

    fn is_tenant(&self, host: usize) -> bool {
        let lock = self.hosts[host].lock.as_ref();
        lock.is_some_and(DiskLock::is_tenant)
    }

    fn own(&self) -> Record {
        *self.slots[0].record().expect("nothing tears here")
    }
}

#[test]
fn a_slot_is_claimed_once_and_then_only_looked_at() {
    let mut world = World::new(1, 20);
    world.start(A, false);
    world.run_until(1_100);
    assert_eq!(world.tenancy(A), Some(Tenancy::Claiming));
    assert_eq!(world.own().hold, Hold::Claimed);
    world.run_until(2_500);
    assert_eq!(world.tenancy(A), Some(Tenancy::Settled));
    assert_eq!((world.own().hold, world.own().seq), (Hold::Clean, 2));
    world.run_until(60_000);
    assert_eq!(world.own().seq, 2, "nothing more is written");
}

#[test]
fn who_waits_for_its_claim_to_settle_asks_for_the_vote_then() {
    let mut world = World::new(2, 20);
    world.start(A, false);
    world.at(1_010, A, What::Want);
    world.run_until(2_150);
    assert_eq!(world.hosts[A].until, 0);
    world.run_until(2_500);
    assert!(world.hosts[A].until > 2_500);
}

#[test]
fn the_next_start_on_the_same_host_has_the_slot_at_once_though_it_is_held() {
    let mut world = World::new(3, 20);
    world.start(A, false);
    world.at(2_600, A, What::Want);
    world.at(4_000, A, What::End);
    world.at(4_100, A, What::Start { before: true });
    world.at(4_200, A, What::Want);
    world.run_until(4_350);
    assert!(world.hosts[A].until > 4_350);
}

#[test]
fn another_host_waits_for_a_slot_of_this_name_that_is_held() {
    let mut world = World::new(4, 20);
    world.start(A, false);
    world.at(2_600, A, What::Want);
    world.at(4_000, CLONE, What::Start { before: false });
    world.at(4_010, CLONE, What::Want);
    world.run_until(20_000);
    assert_eq!(world.tenancy(CLONE), Some(Tenancy::Contested));
    assert!(world.hosts[A].until > 20_000);
    world.at(20_001, A, What::End);
    world.run_until(20_000 + 2_100);
    assert_eq!(world.hosts[CLONE].until, 0, "it may be alive");
    world.run_until(20_000 + 2_100 + 2_400);
    assert!(world.hosts[CLONE].until > 24_500);
}

#[test]
fn of_two_that_run_the_one_that_was_there_keeps_the_slot_and_the_other_one_says_so() {
    for seed in 0..200 {
        let mut world = World::new(seed, 100);
        world.start(A, false);
        let late = 4_000 + seed * 7;
        world.at(late, CLONE, What::Start { before: false });
        for when in (late..late + 4_000).step_by(10) {
            world.run_until(when);
            let tenancy = world.tenancy(A);
            assert_eq!(
                tenancy,
                Some(Tenancy::Settled),
                "{seed}: it may stand as before"
            );
        }
        assert_eq!(world.tenancy(CLONE), Some(Tenancy::Contested), "{seed}");
        world.at(world.now + 1, A, What::End);
        world.run_until(late + 4_000 + 160_000);
        assert!(world.is_tenant(CLONE), "{seed}: it has the slot in the end");
    }
}

#[test]
fn of_two_that_start_together_one_gets_the_slot() {
    for seed in 0..200 {
        let mut world = World::new(seed, 100);
        world.start(A, false);
        world.at(1_000 + seed % 50, CLONE, What::Start { before: false });
        let mut settled_at = None;
        for when in (1_100..200_000).step_by(100) {
            world.run_until(when);
            let both = world.is_tenant(A) && world.is_tenant(CLONE);
            assert!(!both, "{seed}: at {when}");
            if world.is_tenant(A) || world.is_tenant(CLONE) {
                settled_at.get_or_insert(when);
            }
        }
        assert!(
            settled_at.is_some_and(|at| at < 20_000),
            "{seed}: {settled_at:?}"
        );
    }
}

/// Both want the vote whenever they like, stand still for a while, end and are started again, beside their peer.
#[test]
fn a_node_its_clone_and_their_peer_never_hold_together() {
    let mut held = [0; 3];
    for seed in 0..4_000 {
        let mut world = World::new(seed, 300);
        world.start(A, false);
        world.start(PEER, false);
        for _ in 0..40 {
            let when = 1_000 + world.below(60_000);
            let host = world.below(3) as usize;
            let what = match world.below(8) {
                0 => What::Start {
                    before: host != CLONE,
                },
                1 => What::End,
                2 | 3 => What::Rest,
                _ => What::Want,
            };
            if what == What::Rest {
                world.at(when + 1, host, What::Clean);
            }
            world.at(when, host, what);
        }
        for when in (1_000..61_000).step_by(500) {
            if world.below(20) == 0 {
                let (host, long) = (world.below(3) as usize, world.below(5_000));
                world.hosts[host].frozen_until = world.now + long;
            }
            world.run_until(when);
            for (host, count) in held.iter_mut().enumerate() {
                *count += usize::from(world.hosts[host].until > world.now);
            }
        }
    }
    assert!(held.iter().all(|count| *count > 4_000), "{held:?}");
}

/// One node that has its slot, driven by hand.
struct Bench {
    lock: DiskLock,
    now: u64,
    own: Record,
    said: Vec<Effect>,
}

impl Bench {
    fn settled() -> Self {
        let guard = Guard {
            look: LOOK,
            before: None,
        };
        let settings = Settings {
            me: 0,
            lease: LEASE,
            wait: WAIT,
            poll: POLL,
            hurry: POLL,
            guard: Some(guard),
        };
        let mut bench = Self {
            lock: DiskLock::new(settings, BootId(7), at(1_000)),
            now: 1_000,
            own: Record::default(),
            said: Vec::new(),
        };
        bench.tell(Event::Time).tell(Event::Clean);
        while bench.own.hold != Hold::Clean || bench.own.seq == 0 {
            bench.serve();
        }
        bench
    }

    fn tell(&mut self, event: Event) -> &mut Self {
        self.lock.step(at(self.now), event, &mut self.said);
        self
    }

    /// What is asked of the disk is done at once, and then time passes until more is.
    fn serve(&mut self) {
        let Some(asked) = self.asked() else {
            let deadline = self.lock.deadline().as_nanos() / 1_000_000;
            self.now = self.now.max(deadline);
            self.tell(Event::Time);
            return;
        };
        match asked {
            Effect::Write(op, record) => {
                self.own = record;
                self.tell(Event::Written(op));
            }
            Effect::Read(op) => self.answer(op, self.own),
            other => panic!("{other:?}"),
        }
    }

    fn asked(&mut self) -> Option<Effect> {
        let said = std::mem::take(&mut self.said);
        let is_order = |said: &Effect| matches!(said, Effect::Read(_) | Effect::Write(..));
        said.into_iter().find(is_order)
    }

    fn reads(&mut self) -> u64 {
        match self.asked() {
            Some(Effect::Read(op)) => op,
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, op: u64, own: Record) {
        let slots = vec![Sight::Slot(own), Sight::Slot(Record::default())];
        self.tell(Event::Read(op, slots));
    }

    fn until_it_holds(&mut self) {
        self.tell(Event::Want);
        while self.lock.vote().is_none() {
            self.serve();
        }
    }
}

fn claim(seq: u64) -> Record {
    Record {
        boot: BootId(9),
        seq,
        hold: Hold::Claimed,
        ..Record::default()
    }
}

#[test]
fn whoever_looked_long_ago_looks_again_before_it_declares() {
    let mut bench = Bench::settled();
    bench.tell(Event::Want);
    while bench.said.is_empty() {
        bench.serve();
    }
    let op = bench.reads();
    // It stood still: somebody else's claim may have settled since.
    bench.now += 5_000;
    bench.answer(op, bench.own);
    bench.reads();
}

#[test]
fn whoever_looked_long_ago_looks_again_before_it_says_that_it_holds() {
    let mut bench = Bench::settled();
    bench.tell(Event::Want);
    while bench.own.hold != Hold::Free {
        bench.serve();
    }
    let op = bench.reads();
    bench.now += 1_000;
    bench.answer(op, bench.own);
    bench.reads();
}

#[test]
fn a_holder_looks_before_it_renews_and_has_no_vote_any_more_if_somebody_else_has_written() {
    let mut bench = Bench::settled();
    bench.until_it_holds();
    bench.said.clear();
    bench.now = bench.lock.deadline().as_nanos() / 1_000_000;
    bench.tell(Event::Time);
    let op = bench.reads();
    bench.answer(op, claim(bench.own.seq + 1));
    assert!(bench.said.contains(&Effect::Lost), "{:?}", bench.said);
    assert_eq!(bench.lock.vote(), None);
}

#[test]
fn a_claim_that_may_have_settled_is_not_answered_with_one() {
    let mut bench = Bench::settled();
    while bench.said.is_empty() {
        bench.serve();
    }
    let op = bench.reads();
    bench.now += 5_000;
    bench.answer(op, bench.own);
    while bench.said.is_empty() {
        bench.serve();
    }
    // The host stood still meanwhile.
    let op = bench.reads();
    bench.now += 5_000;
    bench.answer(op, claim(bench.own.seq + 1));
    assert_eq!(bench.lock.tenancy(), Tenancy::Contested);
    let later = bench.now + 1_200;
    while bench.now < later {
        let asked = bench.asked();
        assert!(!matches!(asked, Some(Effect::Write(..))), "{asked:?}");
        bench.now += 100;
        bench.tell(Event::Time);
    }
}
