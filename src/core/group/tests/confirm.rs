//! One of a pair that hears nobody, and whose addresses go on slowly: it looks once more.

use super::native::settings as voting;
use super::*;
use crate::core::lease::{self, Boot, BootId, Epoch};

const SLOW: Duration = Duration::from_millis(40);

/// A candidate whose addresses have been going on for a while; its first look is long over.
fn slow() -> Bench {
    let now = Instant::from_nanos(1_000_000_000_000);
    let boot = Boot {
        id: BootId(1),
        stored: Epoch::default(),
        longest: Duration::ZERO,
        nonce: 0,
    };
    let mut said = Vec::new();
    let group = Group::native(voting(1, 100, 0b11, 0), boot, UP, (now, now), &mut said);
    let mut bench = Bench {
        group,
        now,
        said,
        answered: None,
        looks: 0,
    };
    let stored = lease::Event::Persisted(Epoch::from_number(1 << 20));
    bench.hear(Event::Vote(stored));
    bench.released(Ok(()));
    while bench.looks().is_empty() {
        bench.wait(Duration::from_millis(10));
    }
    bench.looked(false);
    assert_eq!(bench.role(), RoleName::Candidate);
    bench.wait(SLOW);
    bench
}

impl Bench {
    /// What the last look finds.
    fn looked(&mut self, answered: bool) {
        let ticket = *self.looks().last().expect("a look");
        self.hear(Event::Looked(ticket, answered));
    }

    fn opens(&self) -> bool {
        self.says(Effect::Open)
    }
}

#[test]
fn addresses_that_went_on_slowly_wait_for_one_more_look() {
    let mut bench = slow();
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Candidate);
    assert!(!bench.opens());
    assert_eq!(bench.looks().len(), 2);
    bench.looked(false);
    assert_eq!(bench.role(), RoleName::Master);
    assert!(bench.opens());
}

#[test]
fn whoever_is_answered_then_takes_its_addresses_off_again() {
    let mut bench = slow();
    bench.acquired(Ok(()));
    bench.looked(true);
    assert_eq!(bench.role(), RoleName::Releasing);
    assert_eq!(bench.group.view().cause, Cause::Answered);
    assert!(bench.alarms().contains(&Alarm::Answered));
    bench.wait(SECOND);
    assert!(!bench.opens());
}

#[test]
fn the_last_of_thousands_may_go_on_during_the_look_or_after_it() {
    let mut during = slow();
    let term = during.group.term;
    during.hear(Event::Answering(term));
    assert_eq!(during.role(), RoleName::Candidate);
    during.acquired(Ok(()));
    assert_eq!(during.looks().len(), 2, "one look for both");
    during.looked(false);
    assert_eq!(during.role(), RoleName::Master);

    let mut after = slow();
    after.hear(Event::Answering(term));
    after.hear(Event::Answering(term));
    after.looked(false);
    assert_eq!(after.role(), RoleName::Master);
    assert_eq!(after.looks().len(), 2);
    after.hear(Event::Acquired(term, Err(FAULT)));
    assert!(
        after.alarms().contains(&Alarm::Retry(FAULT)),
        "it is mended"
    );
}

#[test]
fn an_address_that_fails_during_the_look_is_tried_again_and_looked_for_again() {
    let mut bench = slow();
    let term = bench.group.term;
    bench.hear(Event::Answering(term));
    bench.hear(Event::Acquired(term, Err(FAULT)));
    bench.looked(false);
    assert_eq!(bench.role(), RoleName::Candidate);
    assert!(!bench.opens());
    bench.wait(SECOND);
    assert_eq!(bench.acquires(), 2);
    bench.acquired(Ok(()));
    assert!(!bench.opens());
    bench.looked(false);
    assert!(bench.opens());
}

#[test]
fn law7_a_look_that_never_ends_is_late_as_any_other_result() {
    let mut bench = slow();
    bench.acquired(Ok(()));
    bench.wait(ANSWER_WITHIN + SECOND);
    assert!(!bench.opens());
    let late = |alarm: &Alarm| matches!(alarm, Alarm::Retry(fault) if *fault == LATE);
    assert!(bench.alarms().iter().any(late), "{:?}", bench.alarms());
    bench.acquired(Ok(()));
    bench.looked(false);
    assert!(bench.opens());
}

#[test]
fn a_result_that_never_comes_during_the_look_is_late_as_ever() {
    let mut bench = slow();
    let term = bench.group.term;
    bench.hear(Event::Answering(term));
    bench.wait(ANSWER_WITHIN + SECOND);
    assert!(bench.acquires() >= 2, "asked again");
    assert!(!bench.opens());
}
