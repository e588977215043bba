//! Three copies, driven by hand: when they have answered, and what they say together.

use super::*;
use crate::core::disk::Hold;
use crate::core::lease::{BootId, Epoch};

const PATIENCE: Duration = Duration::from_millis(100);
const ME: usize = 0;
const OTHER: usize = 1;

fn at(millis: u64) -> Instant {
    Instant::from_nanos(1_000_000 * (1_000 + millis))
}

fn record(boot: u128, seq: u64) -> Record {
    Record {
        boot: BootId(boot),
        seq,
        hold: Hold::Held,
        ..Record::default()
    }
}

/// The own slot is fresh; the other one says this.
fn slots(other: Sight) -> Answer {
    Answer::Slots(vec![Sight::Slot(Record::default()), other])
}

fn written(boot: u128, seq: u64) -> Answer {
    slots(Sight::Slot(record(boot, seq)))
}

/// A copy shows the own slot so.
fn own(record: Record) -> Answer {
    let slots = vec![Sight::Slot(record), Sight::Slot(Record::default())];
    Answer::Slots(slots)
}

struct Bench {
    mirror: Mirror,
    now: Instant,
    said: Vec<Effect>,
}

impl Bench {
    fn new() -> Self {
        Self {
            mirror: Mirror::new(3, ME as SlotId, PATIENCE),
            now: at(0),
            said: Vec::new(),
        }
    }

    fn asked(what: What) -> Self {
        let mut bench = Self::new();
        bench.ask(1, what);
        bench
    }

    fn ask(&mut self, op: Op, what: What) {
        self.mirror.ask(self.now, op, what, &mut self.said);
    }

    /// The last thing that this copy was asked for.
    fn order(&self, of: CopyId) -> Op {
        let order = |said: &Effect| match said {
            Effect::Read(copy, order) | Effect::Write(copy, order, _) if *copy == of => {
                Some(*order)
            }
            _ => None,
        };
        let asked = self.said.iter().filter_map(order).next_back();
        asked.expect("it was asked for something")
    }

    fn answer(&mut self, copy: CopyId, answer: Answer) -> &mut Self {
        let order = self.order(copy);
        self.mirror
            .answer(self.now, copy, order, answer, &mut self.said);
        self
    }

    fn wait_until(&mut self, millis: u64) -> &mut Self {
        self.now = at(millis);
        self.mirror.pass(self.now, &mut self.said);
        self
    }

    fn done(&self) -> Option<&Event> {
        self.said.iter().rev().find_map(|said| match said {
            Effect::Done(event) => Some(event),
            _ => None,
        })
    }

    /// What the desk is told of the other one's slot.
    fn sight(&self) -> Option<Sight> {
        match self.done()? {
            Event::Read(_, slots) => slots.get(OTHER).copied(),
            _ => None,
        }
    }

    fn writes_to(&self, of: CopyId) -> Vec<Record> {
        let writes = |said: &Effect| match said {
            Effect::Write(copy, _, record) if *copy == of => Some(*record),
            _ => None,
        };
        self.said.iter().filter_map(writes).collect()
    }
}

#[test]
fn more_than_half_of_the_copies_have_to_answer() {
    let mut bench = Bench::asked(What::Read);
    bench.answer(0, written(8, 5));
    assert_eq!(bench.done(), None, "one of three");
    bench.answer(1, written(8, 5));
    assert_eq!(bench.sight(), Some(Sight::Slot(record(8, 5))));
}

#[test]
fn of_one_start_the_highest_number_is_the_slot() {
    let mut bench = Bench::asked(What::Read);
    bench.answer(0, written(8, 5)).answer(1, written(8, 6));
    assert_eq!(bench.sight(), Some(Sight::Slot(record(8, 6))));
}

#[test]
fn of_two_starts_nobody_knows_before_more_than_half_are_of_one() {
    let mut bench = Bench::asked(What::Read);
    bench.answer(0, written(8, 90)).answer(1, written(9, 1));
    assert_eq!(bench.done(), None, "the third may know");
    bench.answer(2, written(9, 2));
    assert_eq!(bench.sight(), Some(Sight::Slot(record(9, 2))));

    let mut bench = Bench::asked(What::Read);
    bench.answer(0, written(8, 90)).answer(1, written(9, 1));
    bench.wait_until(99);
    assert_eq!(bench.done(), None, "it is waited for");
    assert_eq!(bench.mirror.deadline(), at(0) + PATIENCE);
    bench.wait_until(100);
    assert_eq!(bench.sight(), Some(Sight::Torn), "though not for ever");
}

#[test]
fn a_copy_that_cannot_be_read_is_no_answer_about_that_slot() {
    let mut bench = Bench::asked(What::Read);
    bench.answer(0, slots(Sight::Torn));
    bench.answer(1, slots(Sight::Torn));
    bench.answer(2, written(8, 5));
    assert_eq!(bench.sight(), Some(Sight::Torn), "one of three knows");
}

#[test]
fn a_write_has_landed_when_more_than_half_have_taken_it() {
    let mut bench = Bench::asked(What::Write(record(7, 1)));
    bench.answer(0, Answer::Failed).answer(1, Answer::Landed);
    assert_eq!(bench.done(), None);
    bench.answer(2, Answer::Landed);
    assert_eq!(bench.done(), Some(&Event::Written(1)));
}

#[test]
fn a_write_that_half_of_the_copies_have_not_taken_has_failed() {
    let mut bench = Bench::asked(What::Write(record(7, 1)));
    bench.answer(0, Answer::Failed).answer(1, Answer::Failed);
    bench.answer(2, Answer::Landed);
    assert_eq!(bench.done(), Some(&Event::Failed(1)));
}

#[test]
fn a_copy_that_hangs_keeps_nobody_waiting_and_gets_the_last_record_when_it_is_back() {
    let mut bench = Bench::asked(What::Write(record(7, 1)));
    let hangs = bench.order(2);
    for op in 1..=3 {
        if op > 1 {
            bench.ask(op, What::Write(record(7, op)));
        }
        bench.answer(0, Answer::Landed).answer(1, Answer::Landed);
        assert_eq!(bench.done(), Some(&Event::Written(op)));
    }
    assert_eq!(bench.writes_to(2), [record(7, 1)], "one at a time");
    let Bench { mirror, now, said } = &mut bench;
    mirror.answer(*now, 2, hangs, Answer::Landed, said);
    assert_eq!(bench.writes_to(2), [record(7, 1), record(7, 3)]);
}

#[test]
fn what_a_copy_answers_to_the_question_before_is_no_answer_to_this_one() {
    let mut bench = Bench::asked(What::Read);
    bench.answer(0, written(8, 5)).answer(1, written(8, 5));
    let late = bench.order(2);
    bench.ask(2, What::Read);
    bench.said.retain(|said| !matches!(said, Effect::Done(_)));
    bench.answer(0, written(8, 6));
    let Bench { mirror, now, said } = &mut bench;
    mirror.answer(*now, 2, late, written(8, 5), said);
    assert_eq!(bench.done(), None);
    // It is asked again, and an answer that comes twice is one.
    assert_ne!(bench.order(2), late);
    let Bench { mirror, now, said } = &mut bench;
    mirror.answer(*now, 2, late, written(8, 5), said);
    assert_eq!(bench.done(), None);
    bench.answer(2, written(8, 7));
    assert_eq!(bench.sight(), Some(Sight::Slot(record(8, 7))));
}

#[test]
fn a_copy_that_drops_what_it_took_does_not_count_until_it_shows_the_last_record() {
    let (before, last) = (record(7, 1), record(7, 2));
    let mut bench = Bench::new();
    for (op, record) in [(1, before), (2, last)] {
        bench.ask(op, What::Write(record));
        for copy in 0..3 {
            bench.answer(copy, Answer::Landed);
        }
    }
    for op in 3..5 {
        bench.ask(op, What::Read);
        bench.said.retain(|said| !matches!(said, Effect::Done(_)));
        bench.answer(0, own(before));
        assert!(bench.mirror.lies(0));
        assert_eq!(bench.writes_to(0).last(), Some(&last));
        // It is given the record again, and drops it again.
        bench.answer(0, Answer::Landed).answer(1, own(last));
        assert_eq!(bench.done(), None, "one of three");
        bench.answer(2, own(last));
        assert!(matches!(bench.done(), Some(Event::Read(..))));
    }
    bench.ask(5, What::Read);
    bench.answer(0, own(last));
    assert!(!bench.mirror.lies(0));
}

#[test]
fn a_copy_that_lied_is_not_believed_because_it_shows_the_same_twice() {
    let mut bench = Bench::asked(What::Write(record(7, 1)));
    bench.answer(0, Answer::Landed).answer(1, Answer::Landed);
    let old = [
        Sight::Slot(Record::default()),
        Sight::Slot(Record::default()),
    ];
    bench.answer(2, Answer::Landed);
    let Bench { mirror, said, .. } = &mut bench;
    mirror.saw(0, &old, said);
    assert!(mirror.lies(0));
    bench.answer(0, Answer::Failed);
    let Bench { mirror, said, .. } = &mut bench;
    mirror.saw(0, &old, said);
    assert!(mirror.lies(0), "it never showed the record");
}

#[test]
fn a_copy_whose_write_failed_is_looked_at_and_written_again() {
    let mut bench = Bench::asked(What::Write(record(7, 1)));
    bench.answer(0, Answer::Failed).answer(1, Answer::Landed);
    bench.answer(2, Answer::Landed);
    assert_eq!(bench.writes_to(0).len(), 1, "nobody knows what is there");
    bench.ask(2, What::Read);
    bench.answer(0, own(Record::default()));
    assert!(!bench.mirror.lies(0), "it never said that it had landed");
    assert_eq!(bench.writes_to(0).len(), 2);
}

#[test]
fn a_single_copy_is_the_disk_itself() {
    let mut mirror = Mirror::new(1, ME as SlotId, PATIENCE);
    let mut said = Vec::new();
    mirror.ask(at(0), 1, What::Write(record(7, 1)), &mut said);
    mirror.answer(at(0), 0, 1, Answer::Landed, &mut said);
    mirror.ask(at(0), 2, What::Read, &mut said);
    let seen = vec![
        Sight::Torn,
        Sight::Slot(Record {
            owned: Epoch::from_number(65),
            ..record(8, 5)
        }),
    ];
    mirror.answer(at(0), 0, 2, Answer::Slots(seen.clone()), &mut said);
    assert_eq!(said.last(), Some(&Effect::Done(Event::Read(2, seen))));
}

#[test]
fn one_copy_that_fails_at_once_leaves_the_others_the_time_that_they_need() {
    let mut bench = Bench::asked(What::Write(record(7, 1)));
    for round in 1..5 {
        bench.answer(0, Answer::Failed);
        assert_eq!(bench.mirror.deadline(), at(100 * round));
        bench.wait_until(100 * round);
        assert_eq!(bench.done(), None);
        assert_eq!(
            bench.writes_to(0).len(),
            1 + round as usize,
            "it is asked again"
        );
    }
    bench.answer(1, Answer::Landed).answer(2, Answer::Landed);
    assert_eq!(bench.done(), Some(&Event::Written(1)));
    assert!(!bench.mirror.writes());
}

#[test]
fn one_copy_that_hangs_and_one_that_is_well_again_are_enough() {
    let mut bench = Bench::asked(What::Write(record(7, 1)));
    bench.answer(0, Answer::Landed).answer(1, Answer::Failed);
    assert_eq!(bench.done(), None);
    bench.wait_until(100).answer(1, Answer::Landed);
    assert_eq!(bench.done(), Some(&Event::Written(1)));
}

#[test]
fn two_copies_that_fail_are_a_failure_at_once() {
    let mut bench = Bench::asked(What::Read);
    bench.answer(2, Answer::Failed).answer(1, Answer::Failed);
    assert_eq!(bench.done(), Some(&Event::Failed(1)));
}

/// Somebody else has written there.
#[test]
fn two_records_of_one_number_are_unknown() {
    let free = Record {
        hold: Hold::Free,
        ..record(8, 5)
    };
    let mut bench = Bench::asked(What::Read);
    bench
        .answer(0, written(8, 5))
        .answer(1, slots(Sight::Slot(free)));
    assert_eq!(bench.done(), None, "the third may know");
    bench.answer(2, written(8, 5));
    assert_eq!(bench.sight(), Some(Sight::Torn));
}

/// A host of the same name: what it has written is not what a copy has missed.
#[test]
fn a_copy_in_which_another_start_has_written_the_own_slot_since_is_left_alone() {
    let mut bench = Bench::asked(What::Write(record(7, 5)));
    for copy in 0..3 {
        bench.answer(copy, Answer::Landed);
    }
    let writes = bench.writes_to(2).len();
    let shows = |record| [Sight::Slot(record), Sight::Slot(Record::default())];
    bench.mirror.saw(2, &shows(record(9, 6)), &mut bench.said);
    assert_eq!(
        (bench.writes_to(2).len(), bench.mirror.lies(2)),
        (writes, false)
    );
    // What an earlier start has left there is.
    bench.mirror.saw(2, &shows(record(8, 4)), &mut bench.said);
    assert_eq!(bench.writes_to(2).len(), writes + 1);
}
