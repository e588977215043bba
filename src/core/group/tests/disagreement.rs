//! What is not silence? Frames that disagree or fail authentication.

use super::*;

#[test]
fn law_10_nobody_is_promoted_while_frames_that_disagree_arrive() {
    let mut bench = Bench::backup(settings(100));
    let conflict = Event::Conflict {
        from: peer(9),
        field: ConflictField::Interval,
        interval: SECOND,
    };
    for _ in 0..20 {
        bench.hear(conflict);
        bench.wait(SECOND * 2);
    }
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(
        bench.alarms().len(),
        4,
        "said now and then, not with every frame"
    );
    assert_eq!(bench.until_change(), Duration::from_nanos(1_609_375_000));
}

#[test]
fn law_10_who_disagrees_is_waited_for_by_the_longer_interval() {
    for (version, theirs, wait) in [
        (Version::V3, SECOND * 5, 18_046_875_000),
        (Version::V2, SECOND * 5, 15_609_375_000),
        (Version::V3, SECOND / 10, 3_609_375_000),
    ] {
        let mut bench = Bench::backup(Settings {
            version,
            ..settings(100)
        });
        let conflict = |interval| Event::Conflict {
            from: peer(9),
            field: ConflictField::Version,
            interval,
        };
        bench.hear(conflict(theirs));
        // Somebody else's shorter one does not shorten it, and a resignation does not either.
        bench.hear(conflict(SECOND));
        bench.hear(advert(RESIGN));
        assert_eq!(bench.until_change(), Duration::from_nanos(wait));
    }
}

#[test]
fn law_10_who_serves_goes_on_serving_in_conflict() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::Conflict {
        from: peer(9),
        field: ConflictField::Version,
        interval: SECOND,
    });
    bench.hear(Event::Unauthentic { from: peer(9) });
    assert_eq!(bench.role(), RoleName::Master);
}

#[test]
fn law_10_a_frame_that_fails_authentication_delays_once() {
    let mut bench = Bench::backup(settings(100));
    let mut waited = Duration::ZERO;
    while bench.role() == RoleName::Backup {
        bench.hear(Event::Unauthentic { from: peer(9) });
        bench.wait(SECOND / 10);
        waited += SECOND / 10;
    }
    assert!(waited < SECOND * 8, "{waited:?}");
    assert_eq!(bench.role(), RoleName::Candidate);
}
