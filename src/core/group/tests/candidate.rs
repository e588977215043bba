//! How are the addresses claimed? CANDIDATE.

use super::*;

#[test]
fn law_6_adverts_go_out_from_the_claim_on_and_master_is_said_after_the_read_back() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    bench.wait(SECOND * 2);
    assert_eq!(bench.adverts(), [100; 3]);
    assert_eq!(bench.role(), RoleName::Candidate);
    assert_eq!(bench.announces(), 0);
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Master);
    assert_eq!(bench.announces(), 1);
}

#[test]
fn law_6_a_claim_on_a_living_master_waits_for_its_resignation() {
    let mut bench = Bench::backup(settings(100));
    bench.wait(SECOND * 3);
    bench.hear(advert(50));
    bench.until_change();
    assert_eq!((bench.role(), bench.acquires()), (RoleName::Candidate, 0));
    assert_eq!(bench.adverts(), [100]);
    bench.hear(advert(RESIGN));
    assert_eq!(bench.acquires(), 1);
    assert_eq!(
        bench.adverts(),
        [100, 100],
        "a third router must not take the resignation as ours"
    );
}

#[test]
fn law_6_a_claim_on_a_living_master_goes_on_after_an_interval_without_its_adverts() {
    let mut bench = Bench::backup(settings(100));
    bench.wait(SECOND * 3);
    bench.hear(advert(50));
    bench.until_change();
    let began = bench.now;
    while bench.acquires() == 0 {
        bench.now = bench.group.deadline();
        bench.hear(Event::Tick);
    }
    assert_eq!(bench.now.since(began), Duration::from_nanos(640_625_000));
}

#[test]
fn a_living_master_that_does_not_hear_us_is_not_joined_but_reported() {
    let mut bench = Bench::backup(settings(100));
    for _ in 0..60 {
        bench.hear(advert(50));
        bench.wait(SECOND);
    }
    assert_eq!(bench.acquires(), 0);
    let gave_up = bench.said.iter().any(|effect| {
        matches!(
            effect,
            Effect::Report(Report::Role {
                cause: Cause::NotHeard { .. },
                ..
            })
        )
    });
    assert!(gave_up);
}

#[test]
fn a_candidate_gives_way_to_a_better_one() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    bench.hear(advert(101));
    assert_eq!(bench.role(), RoleName::Releasing);
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn never_master_without_its_addresses() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    for _ in 0..ATTEMPTS {
        assert_eq!(bench.role(), RoleName::Candidate);
        bench.acquired(Err(FAULT));
        bench.wait(ATTEMPT_PAUSE);
    }
    assert_eq!(bench.role(), RoleName::Releasing);
    bench.said.clear();
    bench.released(Ok(()));
    assert_eq!(bench.adverts(), [RESIGN]);
    assert_eq!(bench.role(), RoleName::Fault);
    assert_eq!(bench.group.view().blocked, Some(Blocked::Addresses(FAULT)));
    assert_eq!(bench.until_change() + ATTEMPT_PAUSE, HOLD_OFF);
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn who_could_not_hold_the_addresses_does_not_push_a_living_master_aside() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    for _ in 0..ATTEMPTS {
        bench.acquired(Err(FAULT));
        bench.wait(ATTEMPT_PAUSE);
    }
    bench.released(Ok(()));
    for _ in 0..30 {
        bench.hear(advert(50));
        bench.wait(SECOND);
    }
    assert_eq!(bench.role(), RoleName::Backup);
    bench.until_change();
    bench.acquired(Ok(()));
    assert_eq!(
        bench.role(),
        RoleName::Master,
        "but it serves when nobody else does"
    );
}

#[test]
fn a_change_of_addresses_without_an_answer_counts_as_failed() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    bench.wait((ANSWER_WITHIN + ATTEMPT_PAUSE) * ATTEMPTS);
    assert_eq!(bench.role(), RoleName::Releasing);
}
