//! Several groups before one disk: who gets the vote, and who has to ask with a higher epoch.

use std::time::Duration;

use super::*;
use crate::core::disk::Hold;

const LEASE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(500);
const WEB: GroupKey = 1;
const DB: GroupKey = 2;

fn at(millis: u64) -> Instant {
    Instant::from_nanos(1_000_000 * (1_000 + millis))
}

fn epoch(round: u64) -> Epoch {
    Epoch::from_number(64 * round)
}

/// A desk, and a disk that answers at once.
struct Bench {
    desk: Desk,
    now: Instant,
    slots: Vec<Sight>,
    /// What the groups were told.
    told: Vec<Effect>,
}

impl Bench {
    fn new() -> Self {
        let settings = Settings {
            me: 0,
            lease: LEASE,
            wait: LEASE * 2,
            poll: POLL,
            hurry: POLL,
            guard: None,
        };
        Self {
            desk: Desk::new(settings, BootId(7), at(0)),
            now: at(0),
            slots: vec![Sight::Slot(Record::default()); 2],
            told: Vec::new(),
        }
    }

    fn run(&mut self, ask: impl FnOnce(&mut Desk, Instant, &mut Vec<Effect>)) {
        let mut said = Vec::new();
        ask(&mut self.desk, self.now, &mut said);
        while let Some(effect) = (!said.is_empty()).then(|| said.remove(0)) {
            match effect {
                Effect::Read(op) => {
                    self.desk.read(self.now, op, self.slots.clone(), &mut said);
                }
                Effect::Write(op, record) => {
                    self.slots[0] = Sight::Slot(record);
                    self.desk.written(self.now, op, &mut said);
                }
                other => self.told.push(other),
            }
        }
    }

    fn contend(&mut self, group: GroupKey, nonce: Nonce, round: u64) {
        self.run(|desk, now, out| desk.contend(now, (group, nonce, epoch(round)), out));
    }

    fn withdraw(&mut self, group: GroupKey, nonce: Nonce) {
        self.run(|desk, now, out| desk.withdraw(now, group, nonce, out));
    }

    fn wait_until(&mut self, millis: u64) {
        self.now = at(millis);
        self.run(|desk, now, out| desk.pass(now, out));
    }

    fn told(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.told)
    }

    fn own(&self) -> Record {
        *self.slots[0].record().expect("it is written by us")
    }
}

#[test]
fn one_vote_serves_all_groups_and_each_renewal_tells_them_all() {
    let mut bench = Bench::new();
    bench.contend(WEB, 11, 1);
    assert_eq!(bench.told(), [Effect::Vote(WEB, 11, at(0) + LEASE)]);
    bench.contend(DB, 21, 1);
    assert_eq!(bench.told(), [Effect::Vote(DB, 21, at(0) + LEASE)]);
    bench.wait_until(500);
    let until = at(500) + LEASE;
    let both = [Effect::Vote(WEB, 11, until), Effect::Vote(DB, 21, until)];
    assert_eq!(bench.told(), both);
}

#[test]
fn a_higher_epoch_gets_the_vote_when_the_slot_has_said_it() {
    let mut bench = Bench::new();
    bench.contend(WEB, 11, 1);
    bench.told();
    bench.contend(WEB, 12, 3);
    assert_eq!(bench.told(), []);
    assert_eq!(bench.own().floor, epoch(1));
    bench.wait_until(500);
    assert_eq!(bench.own().floor, epoch(3));
    assert_eq!(bench.told(), [Effect::Vote(WEB, 12, at(500) + LEASE)]);
}

#[test]
fn an_epoch_that_another_has_served_with_is_worth_nothing() {
    let mut bench = Bench::new();
    let other = Record {
        floor: Epoch::from_number(64 * 5 + 1),
        ..Record::default()
    };
    bench.slots[1] = Sight::Slot(other);
    bench.contend(WEB, 11, 5);
    assert_eq!(bench.told(), [Effect::Floor(WEB, 11, other.floor)]);
    assert_eq!(bench.desk.vote(), None, "nobody wants it any more");
    bench.contend(WEB, 12, 6);
    assert_eq!(bench.told(), [Effect::Vote(WEB, 12, at(0) + LEASE)]);
}

#[test]
fn the_vote_goes_with_the_last_ticket_and_the_slot_when_all_is_over() {
    let mut bench = Bench::new();
    bench.contend(WEB, 11, 1);
    bench.contend(DB, 21, 1);
    bench.withdraw(WEB, 11);
    bench.run(|desk, now, out| desk.clean(now, Epoch::default(), out));
    assert!(bench.desk.vote().is_some());
    assert_eq!(bench.own().hold, Hold::Held);
    // A ticket of before is no ticket.
    bench.withdraw(DB, 20);
    assert!(bench.desk.vote().is_some());
    bench.withdraw(DB, 21);
    assert_eq!(bench.desk.vote(), None);
    assert_eq!(bench.own().hold, Hold::Held);
    bench.run(|desk, now, out| desk.clean(now, Epoch::default(), out));
    assert_eq!(bench.own().hold, Hold::Clean);
}

#[test]
fn every_group_hears_that_the_vote_is_lost_and_gets_it_again() {
    let mut bench = Bench::new();
    bench.contend(WEB, 11, 1);
    bench.contend(DB, 21, 1);
    bench.told();
    bench.slots[1] = Sight::Torn;
    bench.wait_until(500);
    assert_eq!(bench.told(), []);
    bench.wait_until(5_000);
    let lost = [Effect::Lost(WEB, 11), Effect::Lost(DB, 21)];
    assert_eq!(bench.told(), lost);
    bench.slots[1] = Sight::Slot(Record::default());
    bench.wait_until(5_500);
    let until = at(5_500) + LEASE;
    let both = [Effect::Vote(WEB, 11, until), Effect::Vote(DB, 21, until)];
    assert_eq!(bench.told(), both);
}

#[test]
fn who_had_the_vote_before_it_was_lost_asks_with_a_higher_epoch_than_others_served_with_meanwhile()
{
    let mut bench = Bench::new();
    bench.contend(WEB, 11, 1);
    bench.slots[1] = Sight::Torn;
    bench.wait_until(500);
    bench.wait_until(5_000);
    bench.told();
    let other = Record {
        floor: Epoch::from_number(64 * 5 + 1),
        ..Record::default()
    };
    bench.slots[1] = Sight::Slot(other);
    bench.wait_until(5_500);
    assert_eq!(bench.told(), [Effect::Floor(WEB, 11, other.floor)]);
}

/// A standby that mends its slot writes an epoch there that it may have served with at some time.
#[test]
fn an_epoch_that_comes_up_while_the_vote_is_held_is_none_that_another_serves_with() {
    let mut bench = Bench::new();
    bench.contend(WEB, 11, 1);
    bench.told();
    bench.slots[1] = Sight::Slot(Record {
        floor: Epoch::from_number(64 * 5 + 1),
        ..Record::default()
    });
    bench.wait_until(500);
    assert_eq!(bench.told(), [Effect::Vote(WEB, 11, at(500) + LEASE)]);
}
