//! How are the addresses kept? MASTER.

use super::*;

#[test]
fn rfc9568_6_4_3_a_master_advertises_every_interval() {
    let mut bench = Bench::master(settings(100));
    bench.wait(SECOND * 10);
    assert_eq!(bench.adverts(), [100; 10]);
}

#[test]
fn groups_of_one_interval_share_the_beats_of_their_phase() {
    let phase = Duration::from_millis(250);
    let mut bench = Bench::backup(Settings {
        phase,
        ..settings(100)
    });
    bench.until_change();
    let claimed = bench.now.as_nanos();
    let beats: Vec<u64> = std::iter::repeat_with(|| {
        bench.now = bench.group.deadline();
        bench.hear(Event::Tick);
        bench.now.as_nanos()
    })
    .take(3)
    .collect();
    assert!(
        beats[0] - claimed <= 1_000_000_000,
        "never more than an interval without an advert"
    );
    assert!(
        beats.iter().all(|beat| beat % 1_000_000_000 == 250_000_000),
        "{beats:?}"
    );
}

#[test]
fn an_address_lost_right_after_the_read_back_is_put_back() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    bench.hear(Event::AddressLost);
    bench.acquired(Ok(()));
    assert_eq!((bench.role(), bench.acquires()), (RoleName::Master, 2));
}

#[test]
fn of_two_nodes_a_stranger_does_not_make_the_other_stand_at_once() {
    let mut bench = Bench::backup(Settings {
        pair: true,
        ..settings(100)
    });
    bench.wait(SECOND);
    bench.hear(advert_from(8, RESIGN));
    assert_eq!(bench.until_change(), Duration::from_nanos(609_375_000));
}

#[test]
fn a_living_master_with_a_longer_interval_is_given_the_time_to_go() {
    let slow = |priority| {
        Event::Advert(Heard {
            from: peer(9),
            priority,
            interval: SECOND,
            lead: true,
        })
    };
    let mut bench = Bench::backup(Settings {
        interval: SECOND / 10,
        ..settings(150)
    });
    bench.wait(SECOND / 4);
    bench.hear(slow(100));
    bench.until_change();
    bench.wait(SECOND * 5 / 4);
    assert_eq!((bench.role(), bench.acquires()), (RoleName::Candidate, 1));
}

#[test]
fn law_5_a_result_of_an_old_term_changes_nothing() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    let old = bench.group.term;
    bench.hear(Event::AddressesChanged);
    bench.hear(Event::Acquired(old, Ok(())));
    assert_eq!(bench.role(), RoleName::Candidate, "of other addresses");
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Master);

    bench.hear(Event::AddressLost);
    let old = bench.group.term;
    bench.hear(Event::AddressesChanged);
    bench.hear(Event::Acquired(old, Ok(())));
    assert_eq!(bench.announces(), 1, "they are not all back");

    bench.hear(Event::Stop);
    let old = bench.group.term;
    bench.wait(ANSWER_WITHIN + SECOND);
    assert!(bench.group.term > old, "it was asked for again");
    bench.hear(Event::Released(old, Ok(())));
    assert_eq!(bench.role(), RoleName::Releasing);
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Stopped);
}

#[test]
fn law_5_a_result_counts_once() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    for _ in 0..ATTEMPTS {
        bench.acquired(Err(FAULT));
    }
    assert_eq!(bench.role(), RoleName::Candidate);
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Candidate, "it had failed");
}

#[test]
fn work_that_takes_long_is_not_late() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    for _ in 0..60 {
        bench.hear(Event::Working(bench.group.term));
        bench.wait(SECOND);
    }
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Master);
    bench.hear(Event::Stop);
    for _ in 0..60 {
        bench.hear(Event::Working(bench.group.term));
        bench.wait(SECOND);
    }
    assert_eq!(bench.role(), RoleName::Releasing);
}

#[test]
fn law_5_work_on_an_old_term_does_not_count() {
    let mut bench = Bench::new(settings(100));
    let old = bench.group.term;
    bench.wait(ANSWER_WITHIN + SCRUB_PAUSE);
    assert_eq!(bench.group.term, old + 1, "it was asked for again");
    for _ in 0..=ANSWER_WITHIN.as_secs() {
        bench.hear(Event::Working(old));
        bench.wait(SECOND);
    }
    assert_eq!(bench.group.term, old + 2, "nobody works on the second");
}

#[test]
fn what_a_stranger_causes_does_not_fill_the_log() {
    let mut bench = Bench::master(settings(100));
    for last in 0..=255 {
        bench.hear(Event::OwnAdvert { from: peer(last) });
        bench.hear(advert_from(last, 1 + last / 4));
    }
    assert_eq!(bench.alarms().len(), 2);
}

#[test]
fn a_resignation_of_somebody_else_is_not_the_silence_of_the_master() {
    let mut bench = Bench::backup(settings(100));
    bench.hear(advert_from(9, 200));
    bench.hear(advert_from(8, 150));
    bench.hear(advert_from(8, RESIGN));
    assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
}

#[test]
fn a_router_with_two_lines_has_resigned_when_both_say_so() {
    let mut bench = Bench::backup(settings(100));
    bench.hear(advert_from(9, 200));
    bench.hear(advert_from(8, 200));
    bench.hear(advert_from(9, RESIGN));
    bench.hear(advert_from(8, RESIGN));
    assert_eq!(bench.until_change(), Duration::from_nanos(609_375_000));
}

#[test]
fn law_10_a_resignation_does_not_shorten_the_wait_after_a_conflict() {
    let mut bench = Bench::backup(Settings {
        pair: true,
        ..settings(100)
    });
    bench.hear(advert(200));
    bench.hear(Event::Conflict {
        from: peer(8),
        field: ConflictField::Version,
        interval: SECOND,
    });
    bench.hear(advert(RESIGN));
    assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
}

#[test]
fn law_10_a_conflict_counts_whatever_the_role_was_when_it_came() {
    let mut bench = Bench::new(settings(OWNER));
    bench.hear(Event::Conflict {
        from: peer(8),
        field: ConflictField::Version,
        interval: SECOND,
    });
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
    assert!(bench.until_change() > SECOND * 3);
}

#[test]
fn a_candidate_that_was_away_does_not_speak_as_if_it_were_not() {
    let mut bench = Bench::backup(settings(200));
    bench.until_change();
    bench.said.clear();
    bench.now = bench.now + SECOND * 8;
    bench.hear(Event::Tick);
    assert_eq!(
        (bench.role(), bench.adverts()),
        (RoleName::Releasing, vec![])
    );
}

#[test]
fn who_was_away_while_releasing_does_not_hold_the_others_back() {
    let mut bench = Bench::master(settings(200));
    bench.hear(Event::Stop);
    bench.now = bench.now + SECOND * 8;
    bench.hear(Event::Tick);
    bench.wait(SECOND * 3);
    assert!(bench.adverts().is_empty());
}

#[test]
fn a_stop_ends_even_when_the_table_cannot_be_cleared() {
    let mut bench = Bench::new(settings(100));
    bench.hear(Event::Stop);
    bench.released(Err(FAULT));
    bench.wait(RELEASE_WITHIN + SECOND);
    assert_eq!(bench.role(), RoleName::Stopped);
    assert!(
        bench.adverts().is_empty(),
        "who never claimed anything has nothing to resign"
    );
}

#[test]
fn rfc9568_6_4_3_a_master_answers_a_resignation_with_an_advert() {
    let mut bench = Bench::master(settings(100));
    bench.hear(advert(RESIGN));
    assert_eq!(bench.adverts(), [100]);
    assert_eq!(bench.role(), RoleName::Master);
}

#[test]
fn rfc9568_6_4_3_the_better_of_two_masters_stays_and_announces_again() {
    let mut bench = Bench::master(settings(100));
    bench.wait(SECOND * 2);
    bench.said.clear();
    bench.hear(advert(99));
    assert_eq!((bench.adverts(), bench.announces()), (vec![100], 1));
    bench.hear(advert(RESIGN));
    bench.said.clear();
    bench.wait(ANNOUNCE_PAUSE);
    assert_eq!(
        bench.announces(),
        1,
        "the loser is off now; who asked before may have it wrong"
    );
    assert_eq!(bench.role(), RoleName::Master);
}

#[test]
fn a_flood_of_worse_adverts_is_not_answered_by_a_flood() {
    let mut bench = Bench::master(settings(100));
    bench.wait(SECOND * 2);
    bench.said.clear();
    for _ in 0..1000 {
        bench.hear(advert(99));
    }
    assert_eq!((bench.adverts().len(), bench.announces()), (1, 1));
}

#[test]
fn rfc9568_6_4_3_equal_priorities_are_decided_by_the_address() {
    let mut bench = Bench::master(settings(100));
    bench.hear(advert_from(4, 100));
    assert_eq!(bench.role(), RoleName::Master);
    bench.hear(advert_from(6, 100));
    assert_eq!(bench.role(), RoleName::Releasing);
}

#[test]
fn only_the_leading_line_decides_between_equal_priorities() {
    let mut bench = Bench::master(settings(100));
    let from: IpAddr = "fe80::9".parse().unwrap();
    bench.hear(Event::Advert(Heard {
        from,
        priority: 100,
        interval: SECOND,
        lead: false,
    }));
    assert_eq!(bench.role(), RoleName::Master);
    bench.hear(Event::Advert(Heard {
        from,
        priority: 101,
        interval: SECOND,
        lead: false,
    }));
    assert_eq!(bench.role(), RoleName::Releasing);
}

#[test]
fn an_advert_with_our_own_address_is_an_alarm_and_nothing_else() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::OwnAdvert { from: OURS });
    assert_eq!(bench.role(), RoleName::Master);
    assert_eq!(bench.alarms(), [Alarm::OwnAdvert { from: OURS }]);
}

#[test]
fn law_6_who_is_outranked_is_silent_until_the_addresses_are_off_and_then_resigns() {
    let mut bench = Bench::master(settings(100));
    bench.hear(advert(200));
    bench.wait(SECOND * 3);
    assert!(bench.adverts().is_empty());
    bench.released(Ok(()));
    assert_eq!(bench.adverts(), [RESIGN]);
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn law_6_who_stops_advertises_until_the_addresses_are_off_and_then_resigns() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::Stop);
    assert!(bench.says(Effect::Hush));
    bench.wait(SECOND * 3);
    assert_eq!(bench.adverts(), [100; 3]);
    bench.released(Ok(()));
    assert_eq!(bench.adverts(), [100, 100, 100, RESIGN]);
    assert_eq!(bench.role(), RoleName::Stopped);
    assert_eq!(bench.group.deadline(), Instant::NEVER);
}

#[test]
fn addresses_that_will_not_come_off_are_tried_again_and_never_resigned() {
    let mut bench = Bench::master(settings(100));
    bench.hear(advert(200));
    for _ in 0..200 {
        bench.released(Err(FAULT));
        bench.wait(ATTEMPT_PAUSE);
    }
    assert!(bench.adverts().is_empty());
    assert_eq!(bench.role(), RoleName::Releasing);
    assert_eq!(
        bench.group.view().cause,
        Cause::Blocked(Blocked::Stuck(LATE))
    );
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn a_stop_ends_even_when_the_addresses_will_not_come_off() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::Stop);
    bench.wait(RELEASE_WITHIN + SECOND);
    assert_eq!(bench.role(), RoleName::Stopped);
    assert!(!bench.adverts().contains(&RESIGN));
}
