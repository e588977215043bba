//! One node at the disk, driven by hand: what it reads and writes, and when it holds.

use std::time::Duration;

use super::*;

const LEASE: Duration = Duration::from_secs(5);
const WAIT: Duration = Duration::from_millis(5_200);
const POLL: Duration = Duration::from_millis(500);
const ME: usize = 0;
const OTHER: usize = 1;

fn at(millis: u64) -> Instant {
    Instant::from_nanos(1_000_000 * (1_000 + millis))
}

/// A node, and what its disk says.
struct Bench {
    lock: DiskLock,
    now: Instant,
    slots: Vec<Sight>,
    said: Vec<Effect>,
}

impl Bench {
    fn new() -> Self {
        Self::with_hurry(POLL)
    }

    fn with_hurry(hurry: Duration) -> Self {
        let settings = Settings {
            me: ME as u8,
            lease: LEASE,
            wait: WAIT,
            poll: POLL,
            hurry,
            guard: None,
        };
        Self {
            lock: DiskLock::new(settings, BootId(7), at(0)),
            now: at(0),
            slots: vec![Sight::Slot(Record::default()); 2],
            said: Vec::new(),
        }
    }

    fn tell(&mut self, event: Event) -> &mut Self {
        self.lock.step(self.now, event, &mut self.said);
        self
    }

    fn wait_until(&mut self, millis: u64) -> &mut Self {
        self.now = at(millis);
        self.tell(Event::Time)
    }

    fn said(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.said)
    }

    /// The one thing that was asked of the disk, done.
    fn served(&mut self) -> &mut Self {
        let said = self.said();
        let asked: Vec<_> = said
            .iter()
            .filter(|said| matches!(said, Effect::Read(_) | Effect::Write(..)))
            .collect();
        assert_eq!(asked.len(), 1, "{said:?}");
        match *asked[0] {
            Effect::Read(op) => {
                let slots = self.slots.clone();
                self.tell(Event::Read(op, slots))
            }
            Effect::Write(op, record) => {
                self.slots[ME] = Sight::Slot(record);
                self.tell(Event::Written(op))
            }
            _ => unreachable!("only these were kept"),
        }
    }

    fn own(&self) -> Record {
        *self.slots[ME].record().expect("it is written by us")
    }

    /// Wants the vote and gets it, undisturbed.
    fn holding() -> Self {
        let mut bench = Self::new();
        bench.tell(Event::Want);
        for _ in 0..5 {
            bench.served();
        }
        assert_eq!(bench.lock.vote(), Some(at(0) + LEASE), "{bench:?}");
        bench
    }
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#?}\n{:#?}\n{:?}", self.lock, self.slots, self.said)
    }
}

fn held(ballot: u64, seq: u64) -> Sight {
    Sight::Slot(Record {
        boot: BootId(8),
        intent: Epoch::from_number(ballot),
        owned: Epoch::from_number(ballot),
        seq,
        hold: Hold::Held,
        floor: Epoch::from_number(ballot),
    })
}

#[test]
fn the_disk_is_not_touched_before_it_is_needed() {
    let mut bench = Bench::new();
    bench.wait_until(100_000);
    assert_eq!(bench.said(), []);
    assert_eq!(bench.lock.deadline(), Instant::NEVER);
}

#[test]
fn a_free_disk_is_taken_with_an_intent_a_claim_and_two_looks() {
    let mut bench = Bench::new();
    bench.tell(Event::Want);
    assert!(matches!(bench.said[..], [Effect::Read(_)]), "{bench:?}");
    bench.served();
    let [Effect::Write(_, intent)] = bench.said[..] else {
        panic!("{bench:?}");
    };
    assert_eq!((intent.hold, intent.owned), (Hold::Free, Epoch::default()));
    bench.served();
    assert!(matches!(bench.said[..], [Effect::Read(_)]), "{bench:?}");
    bench.served();
    let [Effect::Write(_, claim)] = bench.said[..] else {
        panic!("{bench:?}");
    };
    assert_eq!((claim.hold, claim.owned), (Hold::Held, intent.intent));
    assert!(claim.seq > intent.seq);
    bench.served();
    assert_eq!(bench.lock.vote(), None, "not before the second look");
    bench.served();
    assert_eq!(bench.lock.vote(), Some(at(0) + LEASE));
}

#[test]
fn the_vote_counts_from_before_the_write_was_asked_for() {
    let mut bench = Bench::new();
    bench.tell(Event::Want).served().served().served();
    bench.now = at(3_000);
    bench.served();
    bench.now = at(4_000);
    bench.served();
    let said = bench.said();
    let [Effect::Vote(vote), Effect::Write(..)] = said[..] else {
        panic!("{said:?}: the vote, and its renewal, which is due");
    };
    assert_eq!(vote.until, at(0) + LEASE);
}

#[test]
fn a_claim_that_lands_after_its_lease_gives_nothing() {
    let mut bench = Bench::new();
    bench.tell(Event::Want).served().served().served();
    bench.now = at(6_000);
    bench.served().served();
    assert_eq!(bench.lock.vote(), None);
    assert!(
        !bench
            .said
            .iter()
            .any(|said| matches!(said, Effect::Vote(_)))
    );
}

#[test]
fn a_slot_that_is_held_is_waited_for_from_the_read_that_saw_it_last_change() {
    let mut bench = Bench::new();
    bench.slots[OTHER] = held(65, 1);
    bench.tell(Event::Want).served();
    bench.wait_until(3_000).served();
    bench.slots[OTHER] = held(65, 2);
    bench.wait_until(3_600).served();
    for look in 1..=10 {
        bench.wait_until(3_600 + look * 500).served();
    }
    bench.wait_until(3_600 + 5_199);
    assert_eq!(bench.said(), []);
    assert_eq!(bench.lock.blocked(), Some(Blocked::Held(OTHER as u8)));
    assert_eq!(bench.lock.deadline(), at(3_600) + WAIT);
    bench.wait_until(3_600 + 5_200);
    assert!(matches!(bench.said[..], [Effect::Read(_)]), "{bench:?}");
    bench.served();
    assert!(
        matches!(bench.said[..], [Effect::Write(_, record)] if record.hold == Hold::Free),
        "{bench:?}"
    );
}

#[test]
fn who_did_not_look_for_a_while_looks_again_before_it_declares() {
    let mut bench = Bench::new();
    bench.slots[OTHER] = held(65, 1);
    bench.tell(Event::Want).served();
    // Nobody reads for it, and the other one renews.
    bench.now = at(6_000);
    bench.slots[OTHER] = held(65, 9);
    bench.tell(Event::Time).served();
    assert_eq!(bench.said(), [], "it waits anew");
    assert_eq!(bench.lock.deadline(), at(6_500));
    let mut bench = Bench::new();
    bench.tell(Event::Watch(true)).served();
    bench.now = at(6_000);
    bench.slots[OTHER] = held(65, 9);
    bench.tell(Event::Want).served();
    assert_eq!(bench.said(), [], "though nobody held when it looked last");
}

#[test]
fn a_holder_that_wakes_between_the_wait_and_the_look_is_seen() {
    let mut bench = Bench::new();
    bench.slots[OTHER] = held(65, 1);
    bench.tell(Event::Want).served();
    bench.wait_until(5_200);
    bench.served();
    bench.slots[OTHER] = held(65, 2);
    bench.served();
    assert_eq!(bench.lock.blocked(), Some(Blocked::Held(OTHER as u8)));
    bench.wait_until(5_200 + 5_199);
    assert_eq!(bench.own().hold, Hold::Free, "it waits anew");
}

#[test]
fn a_higher_intent_ends_the_candidacy_before_the_claim_and_after_it() {
    for after in [3, 5] {
        let mut bench = Bench::new();
        bench.tell(Event::Want);
        for _ in 0..after - 1 {
            bench.served();
        }
        let Sight::Slot(mut other) = held(6_400, 1) else {
            unreachable!("it is one")
        };
        (other.hold, other.owned) = (Hold::Free, Epoch::default());
        bench.slots[OTHER] = Sight::Slot(other);
        bench.served();
        assert_eq!(bench.lock.vote(), None);
        assert_eq!(bench.lock.blocked(), Some(Blocked::Outbid(OTHER as u8)));
        assert_eq!(bench.said(), [], "it leaves the field for a while");
    }
}

#[test]
fn a_holder_that_sees_a_higher_intent_stops_at_once() {
    let mut bench = Bench::holding();
    bench.said();
    bench.slots[OTHER] = held(6_400, 1);
    bench.wait_until(500).served().served();
    assert!(bench.said.contains(&Effect::Lost), "{bench:?}");
    assert_eq!(bench.lock.vote(), None);
}

#[test]
fn a_renewal_counts_when_it_was_written_and_looked_after() {
    let mut bench = Bench::holding();
    bench.said();
    let before = bench.own().seq;
    bench.wait_until(500);
    bench.now = at(700);
    bench.served();
    assert_eq!(bench.own().seq, before + 1);
    assert_eq!(bench.lock.vote(), Some(at(0) + LEASE));
    bench.now = at(900);
    bench.served();
    assert_eq!(bench.lock.vote(), Some(at(500) + LEASE));
}

#[test]
fn a_write_that_hangs_lets_the_vote_end_and_gives_nothing_when_it_lands() {
    let mut bench = Bench::holding();
    bench.said();
    bench.wait_until(500);
    let [Effect::Write(op, record)] = bench.said()[..] else {
        panic!("{bench:?}");
    };
    bench.wait_until(4_999);
    assert_eq!(bench.said(), []);
    assert_eq!(bench.lock.blocked(), Some(Blocked::Stuck(at(500))));
    bench.wait_until(5_000);
    assert_eq!(bench.said(), [Effect::Lost]);
    bench.wait_until(60_000);
    assert_eq!(bench.said(), [], "nothing is begun while it is stuck");
    bench.slots[ME] = Sight::Slot(record);
    bench.tell(Event::Written(op));
    assert_eq!(bench.lock.vote(), None);
    assert!(matches!(bench.said[..], [Effect::Read(_)]), "{bench:?}");
}

#[test]
fn what_cannot_be_read_counts_as_held_however_long_it_stays() {
    let mut bench = Bench::new();
    bench.slots[OTHER] = Sight::Torn;
    bench.tell(Event::Want).served();
    for look in 1..=40 {
        bench.wait_until(look * 500).served();
    }
    assert_eq!(bench.lock.blocked(), Some(Blocked::Torn(OTHER as u8)));
    assert_eq!(bench.slots[ME], Sight::Slot(Record::default()));
}

#[test]
fn what_cannot_be_read_extends_nothing_and_ends_nothing_before_its_time() {
    let mut bench = Bench::holding();
    bench.said();
    bench.slots[OTHER] = Sight::Torn;
    bench.wait_until(500).served().served();
    assert_eq!(bench.lock.vote(), Some(at(0) + LEASE));
    bench.slots[OTHER] = Sight::Slot(Record::default());
    bench.wait_until(1_000).served().served();
    assert_eq!(bench.lock.vote(), Some(at(1_000) + LEASE));
}

#[test]
fn a_disk_that_does_not_show_what_it_took_gives_no_vote() {
    let mut bench = Bench::holding();
    bench.said();
    bench.wait_until(500);
    let [Effect::Write(op, _)] = bench.said()[..] else {
        panic!("{bench:?}");
    };
    bench.tell(Event::Written(op)).served();
    assert_eq!(bench.lock.vote(), Some(at(0) + LEASE));
    assert_eq!(bench.lock.blocked(), Some(Blocked::Lying));
}

#[test]
fn a_slot_is_laid_down_only_when_what_it_allowed_is_over() {
    let mut bench = Bench::holding();
    bench.said();
    bench.tell(Event::Rest);
    assert_eq!(bench.said(), [Effect::Lost]);
    bench.wait_until(60_000);
    assert_eq!(bench.said(), []);
    assert_eq!(bench.own().hold, Hold::Held);
    bench.tell(Event::Clean).served();
    assert_eq!(bench.own().hold, Hold::Clean);
    assert_eq!(bench.lock.deadline(), Instant::NEVER);
}

#[test]
fn the_wait_counts_from_when_the_read_came_back() {
    let mut bench = Bench::new();
    bench.slots[OTHER] = held(65, 1);
    bench.tell(Event::Want);
    bench.now = at(400);
    bench.served();
    for look in 1..=10 {
        bench.wait_until(400 + look * 500).served();
    }
    assert_eq!(bench.lock.deadline(), at(400) + WAIT);
}

#[test]
fn what_was_clean_before_a_vote_is_not_clean_after_it() {
    for said_late in [false, true] {
        let mut bench = Bench::new();
        bench.tell(Event::Clean).tell(Event::Want);
        for _ in 0..5 {
            bench.served();
        }
        if said_late {
            // Of what was there before; the vote is wanted.
            bench.tell(Event::Clean);
        }
        bench.said();
        bench.wait_until(500);
        let [Effect::Write(op, record)] = bench.said()[..] else {
            panic!("{bench:?}");
        };
        bench.wait_until(5_000).tell(Event::Rest);
        bench.slots[ME] = Sight::Slot(record);
        bench.tell(Event::Written(op));
        assert_eq!(bench.said(), [Effect::Lost], "its addresses may be on");
        assert_eq!(bench.lock.deadline(), Instant::NEVER);
    }
}

#[test]
fn who_still_wants_the_vote_that_ran_out_does_not_lay_its_slot_down() {
    let mut bench = Bench::holding();
    bench.said();
    bench.wait_until(500);
    let [Effect::Write(op, _)] = bench.said()[..] else {
        panic!("{bench:?}");
    };
    bench.wait_until(5_000).tell(Event::Failed(op));
    assert_eq!(bench.said(), [Effect::Lost]);
    bench.wait_until(5_500);
    assert!(matches!(bench.said[..], [Effect::Read(_)]), "{bench:?}");
}

/// So that of two answers about a slot the later one is known, or that nobody knows it.
#[test]
fn a_start_goes_on_with_the_numbers_of_the_one_before_and_says_which_it_is() {
    let mut bench = Bench::new();
    bench.slots[ME] = Sight::Slot(Record {
        boot: BootId(6),
        seq: 41,
        ..Record::default()
    });
    bench.tell(Event::Want).served().served();
    assert_eq!((bench.own().boot, bench.own().seq), (BootId(7), 42));
}

#[test]
fn a_slot_never_says_fewer_epochs_than_an_earlier_start_has_served_with() {
    let mut bench = Bench::new();
    let served = Epoch::from_number(640);
    bench.slots[ME] = Sight::Slot(Record {
        floor: served,
        ..Record::default()
    });
    bench.tell(Event::Floor(Epoch::from_number(64)));
    bench.tell(Event::Want);
    for _ in 0..5 {
        bench.served();
    }
    assert_eq!(bench.own().floor, served);
}

#[test]
fn an_epoch_that_comes_up_during_a_write_is_good_after_the_next_one() {
    let mut bench = Bench::holding();
    bench.said();
    let next = Epoch::from_number(640);
    for (millis, floor) in [(500, Epoch::default()), (1_000, next)] {
        bench.wait_until(millis).tell(Event::Floor(next));
        bench.served().served();
        let said = bench.said();
        let [Effect::Vote(vote)] = said[..] else {
            panic!("{said:?}");
        };
        assert_eq!(vote.floor, floor);
    }
}

#[test]
fn who_is_outbid_again_leaves_the_field_for_longer() {
    let mut bench = Bench::new();
    bench.tell(Event::Want).served();
    let mut away = Vec::new();
    for ballot in [6_400, 64_000] {
        let Sight::Slot(other) = held(ballot, 1) else {
            unreachable!("it is one")
        };
        bench.served();
        bench.slots[OTHER] = Sight::Slot(Record {
            hold: Hold::Free,
            ..other
        });
        bench.served();
        away.push(bench.lock.deadline().since(bench.now));
        bench.now = bench.lock.deadline();
        bench.tell(Event::Time);
    }
    assert!(away[0] < away[1], "{away:?}");
}

#[test]
fn a_vote_that_ran_out_or_was_outbid_is_laid_down_no_sooner_than_one_that_was_given_up() {
    for outbid in [false, true] {
        let mut bench = Bench::holding();
        bench.said();
        if outbid {
            bench.slots[OTHER] = held(6_400, 1);
            bench.wait_until(500).served().served();
        } else {
            // The renewal hangs.
            bench.wait_until(500).wait_until(5_000);
        }
        assert!(bench.said().contains(&Effect::Lost));
        bench.tell(Event::Rest).wait_until(60_000);
        let writes = |said: &Effect| matches!(said, Effect::Write(..));
        assert!(!bench.said().iter().any(writes), "{outbid}: {bench:?}");
    }
}

#[test]
fn who_was_outbid_says_held_for_as_long_as_its_vote_was_good() {
    let mut bench = Bench::holding();
    bench.said();
    let Sight::Slot(mut other) = held(6_400, 1) else {
        unreachable!("it is one")
    };
    other.hold = Hold::Free;
    bench.slots[OTHER] = Sight::Slot(other);
    bench.wait_until(500).served().served();
    bench.said();
    bench.slots[OTHER] = Sight::Slot(Record::default());
    bench.wait_until(4_999);
    assert_eq!(bench.said(), []);
    bench.wait_until(5_000);
    assert_eq!(bench.said().len(), 1, "it goes on");
}

#[test]
fn a_read_that_shows_fewer_slots_hides_nobody_who_holds() {
    let mut bench = Bench::new();
    bench.slots[OTHER] = held(6_400, 1);
    bench.tell(Event::Want).served();
    let all = std::mem::take(&mut bench.slots);
    // A read that says nothing of anybody.
    bench.wait_until(500);
    let [Effect::Read(op)] = bench.said()[..] else {
        panic!("{bench:?}");
    };
    bench.tell(Event::Read(op, Vec::new()));
    bench.slots = all;
    for _ in 0..6 {
        if bench
            .said
            .iter()
            .any(|said| matches!(said, Effect::Read(_) | Effect::Write(..)))
        {
            bench.served();
        }
    }
    assert_eq!(bench.lock.vote(), None);
}

#[test]
fn a_write_under_way_when_the_vote_is_given_up_is_waited_for_before_the_slot_is_laid_down() {
    let mut bench = Bench::holding();
    bench.said();
    bench.wait_until(500);
    let [Effect::Write(op, record)] = bench.said()[..] else {
        panic!("{bench:?}");
    };
    bench.tell(Event::Rest).tell(Event::Clean);
    assert_eq!(bench.said(), [Effect::Lost]);
    bench.slots[ME] = Sight::Slot(record);
    bench.tell(Event::Written(op)).served();
    assert_eq!(bench.own().hold, Hold::Clean);
}

#[test]
fn a_claim_given_up_before_it_was_looked_after_is_laid_down_too() {
    let mut bench = Bench::new();
    bench.tell(Event::Want).served().served().served();
    bench.tell(Event::Rest).tell(Event::Clean).served();
    assert_eq!(bench.own().hold, Hold::Held, "it had been on its way");
    bench.served();
    assert_eq!(bench.own().hold, Hold::Clean);
}

#[test]
fn who_only_watches_writes_nothing_and_has_waited_when_it_may_contend() {
    let mut bench = Bench::new();
    bench.slots[OTHER] = held(65, 1);
    bench.tell(Event::Watch(true)).served();
    for look in 1..=11 {
        bench.wait_until(look * 500).served();
    }
    assert_eq!(bench.slots[ME], Sight::Slot(Record::default()));
    bench.tell(Event::Want);
    assert!(matches!(bench.said[..], [Effect::Write(..)]), "{bench:?}");
}

#[test]
fn the_vote_says_which_epochs_it_is_good_for() {
    let mut bench = Bench::new();
    let Sight::Slot(other) = held(6_401, 1) else {
        unreachable!("it is one")
    };
    bench.slots[OTHER] = Sight::Slot(Record {
        hold: Hold::Clean,
        ..other
    });
    bench.tell(Event::Floor(Epoch::from_number(12_800)));
    bench.tell(Event::Want);
    for _ in 0..5 {
        bench.served();
    }
    let said = bench.said();
    let [Effect::Vote(vote)] = said[..] else {
        panic!("{said:?}");
    };
    assert_eq!(vote.above, Epoch::from_number(6_401));
    assert_eq!(vote.floor, Epoch::from_number(12_800));
    assert_eq!(bench.own().floor, vote.floor);
}

#[test]
fn a_failed_write_is_begun_anew_and_a_holder_tries_until_its_vote_ends() {
    let mut bench = Bench::holding();
    bench.said();
    bench.wait_until(500);
    let [Effect::Write(op, _)] = bench.said()[..] else {
        panic!("{bench:?}");
    };
    bench.tell(Event::Failed(op));
    assert_eq!(bench.lock.blocked(), Some(Blocked::Failed));
    assert_eq!(bench.lock.vote(), Some(at(0) + LEASE));
    bench.wait_until(1_000).served().served();
    assert_eq!(bench.lock.vote(), Some(at(1_000) + LEASE));
}

#[test]
fn an_answer_to_another_question_is_none() {
    let mut bench = Bench::new();
    bench.tell(Event::Want);
    let slots = bench.slots.clone();
    bench.tell(Event::Read(99, slots)).tell(Event::Written(1));
    bench.tell(Event::Failed(7));
    assert_eq!(bench.said.len(), 1, "{bench:?}");
}

/// A read that comes back after the whole wait has seen what was there when it was asked for, perhaps.
#[test]
fn a_living_holder_is_not_taken_for_dead_because_a_read_took_long() {
    let mut bench = Bench::new();
    bench.slots[OTHER] = held(65, 1);
    bench.tell(Event::Want).served();
    bench.wait_until(500);
    let [Effect::Read(op)] = bench.said()[..] else {
        panic!("{bench:?}");
    };
    let seen = bench.slots.clone();
    // The holder renews meanwhile; the answer of before comes late.
    bench.slots[OTHER] = held(65, 9);
    bench.wait_until(6_000);
    bench.tell(Event::Read(op, seen));
    assert!(
        matches!(bench.said[..], [Effect::Read(_)]),
        "it looks again: {bench:?}"
    );
    bench.served();
    assert_eq!(bench.said(), [], "and sees that it lives");
    assert_eq!(bench.lock.blocked(), Some(Blocked::Held(OTHER as u8)));
}

#[test]
fn who_begins_to_want_the_vote_looks_again_soon_and_then_ever_later() {
    let mut bench = Bench::with_hurry(Duration::from_millis(5));
    bench.slots[OTHER] = held(65, 1);
    bench.tell(Event::Want).served();
    for at in [5, 15, 35, 75, 155, 315, 635, 1_135, 1_635] {
        assert_eq!(bench.lock.deadline(), super::tests::at(at), "{bench:?}");
        bench.wait_until(at).served();
    }
}

#[test]
fn an_own_slot_that_cannot_be_read_is_mended_once_nothing_is_left_of_what_it_allowed() {
    let mut bench = Bench::new();
    bench.slots = vec![Sight::Torn, held(65, 1)];
    bench.tell(Event::Watch(true)).served();
    bench.wait_until(500).served();
    assert_eq!(bench.said(), [], "an earlier agent's addresses may be on");
    let served = Epoch::from_number(640);
    bench.tell(Event::Floor(served)).tell(Event::Clean);
    bench.served();
    let own = bench.own();
    assert_eq!((own.hold, own.floor), (Hold::Clean, served));
    bench.wait_until(1_000);
    assert!(matches!(bench.said[..], [Effect::Read(_)]), "{bench:?}");
}

#[test]
fn a_slot_that_tears_while_it_is_held_is_written_by_the_next_renewal_alone() {
    let mut bench = Bench::holding();
    bench.said();
    bench.slots[ME] = Sight::Torn;
    bench.wait_until(500).served();
    assert_eq!(bench.own().hold, Hold::Held);
    bench.served();
    assert_eq!(bench.lock.vote(), Some(at(500) + LEASE));
}

#[test]
fn a_write_that_failed_is_made_good_though_the_vote_is_not_wanted_any_more() {
    let mut bench = Bench::new();
    bench.tell(Event::Want).served();
    let [Effect::Write(op, _)] = bench.said()[..] else {
        panic!("{bench:?}");
    };
    bench
        .tell(Event::Failed(op))
        .tell(Event::Rest)
        .tell(Event::Clean);
    bench.wait_until(500).served();
    assert_eq!(bench.own().hold, Hold::Clean);
    assert_eq!(
        (bench.said(), bench.lock.deadline()),
        (vec![], Instant::NEVER)
    );
}

#[test]
fn a_medium_that_drops_what_is_written_is_not_written_without_end() {
    let mut bench = Bench::new();
    bench.tell(Event::Watch(true)).tell(Event::Clean);
    let mut writes = 0;
    for _ in 0..20 {
        bench.slots[ME] = Sight::Torn;
        if bench.said.is_empty() {
            break;
        }
        writes += usize::from(matches!(bench.said[..], [Effect::Write(..)]));
        bench.served();
    }
    assert_eq!(writes, 1, "and then it waits: {bench:?}");
}
