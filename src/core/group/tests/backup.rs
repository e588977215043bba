//! When does a BACKUP stand?

use super::*;

#[test]
fn rfc9568_6_4_2_an_advert_of_a_better_or_equal_master_restarts_the_wait() {
    for priority in [100, 101, 255] {
        let mut bench = Bench::backup(settings(100));
        bench.wait(SECOND * 3);
        bench.hear(advert(priority));
        assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
    }
}

#[test]
fn rfc9568_6_4_2_a_v3_backup_adopts_the_interval_of_the_master() {
    let mut bench = Bench::backup(settings(100));
    let interval = SECOND / 10;
    bench.hear(Event::Advert(Heard {
        from: peer(9),
        priority: 200,
        interval,
        lead: true,
    }));
    assert_eq!(bench.until_change(), Duration::from_nanos(360_937_500));
}

#[test]
fn rfc3768_a_v2_backup_keeps_its_own_interval() {
    let mut bench = Bench::backup(Settings {
        version: Version::V2,
        ..settings(100)
    });
    bench.hear(advert(200));
    assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
}

#[test]
fn rfc9568_6_4_2_a_resignation_leaves_the_skew_time() {
    let mut bench = Bench::backup(settings(100));
    bench.hear(advert(200));
    bench.hear(advert(RESIGN));
    bench.hear(advert(RESIGN));
    assert_eq!(bench.until_change(), Duration::from_nanos(609_375_000));
    assert_eq!(bench.group.view().cause, Cause::Resigned { from: peer(9) });
}

#[test]
fn the_resignation_of_one_says_nothing_of_another_that_may_still_answer() {
    // The MASTER of before thaws and resigns, just when the one of now has died.
    let mut bench = Bench::backup(settings(100));
    bench.hear(advert_from(8, 200));
    for _ in 0..4 {
        bench.wait(SECOND);
        bench.hear(advert_from(9, 150));
    }
    bench.wait(SECOND * 3 / 2);
    bench.hear(advert_from(8, RESIGN));
    let down = election::master_down(Version::V3, 100, SECOND, 3);
    assert_eq!(bench.until_change(), down - SECOND * 3 / 2);
    assert!(matches!(bench.group.view().cause, Cause::Silence { .. }));
}

#[test]
fn of_two_nodes_the_other_stands_at_once_when_one_resigns() {
    let mut bench = Bench::backup(Settings {
        pair: true,
        ..settings(100)
    });
    bench.hear(advert(200));
    bench.hear(advert(RESIGN));
    assert_eq!(bench.role(), RoleName::Candidate);
    assert_eq!(bench.acquires(), 1);
}

#[test]
fn without_preempt_a_worse_master_is_followed() {
    let mut bench = Bench::backup(Settings {
        preempt: false,
        ..settings(100)
    });
    for _ in 0..10 {
        bench.hear(advert(50));
        bench.wait(SECOND);
    }
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.until_change(), Duration::from_nanos(2_609_375_000));
}

#[test]
fn with_preempt_a_worse_master_does_not_restart_the_wait() {
    let mut bench = Bench::backup(settings(100));
    for _ in 0..3 {
        bench.wait(SECOND);
        bench.hear(advert(50));
    }
    assert_eq!(bench.until_change(), Duration::from_nanos(609_375_000));
    let cause = Cause::Preempting {
        from: peer(9),
        priority: 50,
    };
    assert_eq!(bench.group.view().cause, cause);
}

#[test]
fn preempt_delay_starts_with_the_first_worse_advert() {
    let delayed = Settings {
        preempt_delay: SECOND * 10,
        ..settings(100)
    };
    let mut bench = Bench::backup(delayed);
    for _ in 0..10 {
        bench.hear(advert(50));
        assert_eq!(bench.role(), RoleName::Backup);
        bench.wait(SECOND - Duration::from_millis(1));
    }
    assert!(bench.until_change() <= Duration::from_millis(10));
}

#[test]
fn preempt_delay_does_not_delay_the_answer_to_silence() {
    let delayed = Settings {
        preempt_delay: SECOND * 60,
        ..settings(100)
    };
    let mut bench = Bench::backup(delayed);
    bench.hear(advert(50));
    assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
}

#[test]
fn law_1_a_master_whose_advert_is_due_says_it_before_it_hears() {
    let mut bench = Bench::master(settings(100));
    bench.now = bench.group.deadline();
    bench.hear(advert(200));
    assert_eq!(bench.adverts(), [100], "it spoke first, then heard");
    assert_eq!(bench.role(), RoleName::Releasing);
}

#[test]
fn what_came_before_a_backup_stands_counts_though_the_wait_was_over() {
    let mut bench = Bench::backup(settings(100));
    bench.now = bench.now + SECOND * 4;
    bench.hear(advert(200));
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
}

#[test]
fn only_the_time_makes_a_backup_stand() {
    let mut bench = Bench::backup(settings(100));
    let later = bench.now + Duration::from_nanos(3_609_375_000);
    let hear = |bench: &mut Bench, event| bench.group.step(later, event, &mut bench.said);
    hear(&mut bench, advert(50));
    hear(&mut bench, Event::AddressLost);
    assert_eq!(bench.role(), RoleName::Backup, "more may wait to be heard");
    hear(&mut bench, Event::Tick);
    assert_eq!(bench.role(), RoleName::Candidate);
}

#[test]
fn a_backup_that_is_an_interval_late_listens_again() {
    let (wait, bit) = (
        Duration::from_nanos(3_609_375_000),
        Duration::from_millis(1),
    );
    for (late, stands) in [(SECOND, true), (SECOND + bit, false)] {
        let mut bench = Bench::backup(settings(100));
        bench.now = bench.now + wait + late;
        bench.hear(Event::Tick);
        assert_eq!(bench.role() == RoleName::Candidate, stands, "{late:?} late");
        assert_eq!(bench.until_change() == wait, !stands, "{late:?} late");
    }
}

#[test]
fn a_candidate_that_hears_of_a_resignation_late_was_away() {
    let mut bench = Bench::backup(settings(200));
    for _ in 0..4 {
        bench.hear(advert(100));
        bench.wait(SECOND);
    }
    assert_eq!(bench.role(), RoleName::Candidate);
    bench.said.clear();
    let came = bench.now + SECOND / 10;
    let resignation = advert(RESIGN);
    bench.group.step(came, resignation, &mut bench.said);
    bench.now = bench.now + SECOND * 10;
    bench.hear(Event::Tick);
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!((bench.acquires(), bench.adverts()), (0, vec![]));
}

#[test]
fn a_worse_master_that_falls_silent_is_waited_for_like_any_other() {
    // A better node comes up beside a MASTER that dies shortly before it would ask.
    let mut bench = Bench::backup(settings(150));
    bench.wait(Duration::from_millis(1900));
    bench.hear(advert(100));
    let down = election::master_down(Version::V3, 150, SECOND, 3);
    assert_eq!(bench.until_change(), down);
    assert_eq!(bench.role(), RoleName::Candidate);
    assert!(matches!(bench.group.view().cause, Cause::Silence { .. }));
    assert!(bench.said.contains(&Effect::Acquire(bench.group.term)));
}
