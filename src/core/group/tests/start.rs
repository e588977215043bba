//! How does a group begin? INIT, and the first wait.

use super::*;

#[test]
fn a_group_clears_the_table_before_it_listens() {
    let mut bench = Bench::new(settings(100));
    assert_eq!(bench.role(), RoleName::Init);
    assert!(bench.says(Effect::Release(1)));
    bench.hear(Event::Released(7, Ok(())));
    assert_eq!(
        bench.role(),
        RoleName::Init,
        "a result of another term changes nothing"
    );
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn clearing_the_table_is_repeated_until_it_succeeds() {
    let mut bench = Bench::new(settings(100));
    for _ in 0..5 {
        bench.released(Err(FAULT));
        assert_eq!(bench.role(), RoleName::Init);
        assert_eq!(bench.group.view().blocked, Some(Blocked::Stuck(FAULT)));
        bench.wait(SECOND);
        assert_eq!(bench.group.view().blocked, Some(Blocked::Stuck(FAULT)));
    }
    bench.wait(ANSWER_WITHIN + SECOND);
    assert_eq!(bench.group.view().blocked, Some(Blocked::Stuck(LATE)));
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.group.view().blocked, None);
}

#[test]
fn rfc9568_6_4_1_the_owner_stands_at_once() {
    let bench = Bench::backup(settings(OWNER));
    assert_eq!(bench.role(), RoleName::Candidate);
    assert_eq!(bench.adverts(), [OWNER]);
}

#[test]
fn rfc9568_6_4_1_everyone_else_waits_the_master_down_time() {
    let mut bench = Bench::backup(settings(100));
    assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
    assert_eq!(bench.role(), RoleName::Candidate);
}

#[test]
fn start_delay_holds_whatever_is_heard() {
    let delayed = Settings {
        start_delay: SECOND * 20,
        pair: true,
        ..settings(100)
    };
    let mut bench = Bench::backup(delayed);
    bench.wait(SECOND * 10);
    bench.hear(advert(RESIGN));
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.until_change(), SECOND * 10);
}

#[test]
fn start_delay_counts_from_the_start_of_the_agent() {
    let delayed = Settings {
        start_delay: SECOND * 20,
        ..settings(100)
    };
    for (up_for, wait) in [
        (SECOND * 10, SECOND * 10),
        (SECOND * 60, Duration::from_nanos(3_609_375_000)),
    ] {
        let mut bench = Bench::new(delayed);
        bench.said.clear();
        let times = (bench.now - up_for, bench.now);
        bench.group = Group::new(delayed, UP, times, &mut bench.said);
        bench.released(Ok(()));
        assert_eq!(bench.until_change(), wait, "up for {up_for:?}");
    }
}
