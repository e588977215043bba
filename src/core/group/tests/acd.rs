//! Is silence the death of the MASTER? Whoever is about to stand asks first (address conflict
//! detection).

use super::*;

/// The wait of priority 100 for a MASTER with adverts every second.
const WAIT: Duration = Duration::from_nanos(3_609_375_000);
const AHEAD: Duration = Duration::from_millis(15);

/// A BACKUP of a living MASTER, which has just been heard for the last time.
fn following(settings: Settings) -> Bench {
    let mut bench = Bench::backup(settings);
    bench.hear(advert(200));
    bench.said.clear();
    bench
}

/// The same when it has just asked.
fn looking(settings: Settings) -> Bench {
    let mut bench = following(settings);
    bench.answered = None;
    bench.wait(WAIT - AHEAD);
    assert_eq!(bench.looks().len(), 1);
    bench
}

#[test]
fn acd_a_backup_asks_shortly_before_the_wait_for_silence_is_over() {
    let mut bench = following(settings(100));
    bench.wait(WAIT - AHEAD - Duration::from_nanos(1));
    assert!(bench.looks().is_empty());
    bench.wait(Duration::from_nanos(1));
    assert_eq!(bench.looks(), [1]);
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn acd_who_is_not_answered_stands_when_the_wait_is_over_and_no_later() {
    let mut bench = following(settings(100));
    assert_eq!(bench.until_change(), WAIT);
    assert_eq!(bench.role(), RoleName::Candidate);
    assert!(matches!(bench.group.view().cause, Cause::Silence { .. }));
    assert_eq!(bench.looks().len(), 1, "one question is enough");
    assert_eq!(bench.alarms(), []);
}

#[test]
fn acd_the_probes_lie_behind_the_lease_of_a_frozen_master_and_before_the_end_of_the_wait() {
    for millis in [30, 50, 100, 250, 1000, 10_000] {
        let interval = Duration::from_millis(millis);
        let lease = election::lease(interval, 3).unwrap();
        let shut = lease * 102 / 100 + Duration::from_millis(1);
        let wait = election::master_down(Version::V3, 254, interval, 3);
        assert!(wait - AHEAD > shut, "{interval:?}");
    }
}

#[test]
fn acd_answered_means_alive_so_it_stays_says_so_and_asks_again_every_interval() {
    let mut bench = following(settings(100));
    bench.answered = Some(true);
    bench.wait(WAIT);
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.alarms(), [Alarm::Answered]);
    assert_eq!(bench.group.view().blocked, Some(Blocked::Answered));
    bench.said.clear();
    bench.wait(SECOND * 5);
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.looks().len(), 5);
    assert!(bench.adverts().is_empty());
}

#[test]
fn acd_who_falls_silent_at_last_is_taken_over_within_an_interval() {
    let mut bench = following(settings(100));
    bench.answered = Some(true);
    bench.wait(SECOND * 20);
    bench.answered = Some(false);
    assert!(bench.until_change() <= SECOND);
    assert_eq!(bench.role(), RoleName::Candidate);
    assert!(matches!(bench.group.view().cause, Cause::Silence { .. }));
    assert_eq!(bench.group.view().blocked, None);
}

#[test]
fn acd_however_short_the_interval_is_the_network_is_not_flooded() {
    let fast = Settings {
        interval: Duration::from_millis(10),
        ..settings(100)
    };
    let mut bench = Bench::backup(fast);
    bench.answered = Some(true);
    bench.wait(SECOND);
    assert!(bench.looks().len() <= 12, "{:?}", bench.looks());
}

#[test]
fn acd_an_answer_that_is_late_is_waited_for_a_little_and_no_longer() {
    let late = Duration::from_millis(20);
    let mut bench = looking(settings(100));
    assert_eq!(bench.until_change(), AHEAD + late);
    assert_eq!(bench.role(), RoleName::Candidate);

    let mut bench = looking(settings(100));
    bench.wait(AHEAD + late / 2);
    assert_eq!(bench.role(), RoleName::Backup);
    bench.hear(Event::Looked(1, false));
    assert_eq!(bench.role(), RoleName::Candidate, "as soon as it is known");

    let mut bench = looking(settings(100));
    bench.wait(AHEAD + late / 2);
    bench.hear(Event::Looked(1, true));
    bench.wait(SECOND / 2);
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn acd_waiting_for_an_answer_is_not_being_late() {
    let fast = Settings {
        interval: Duration::from_millis(10),
        ..settings(100)
    };
    let mut bench = Bench::backup(fast);
    bench.answered = None;
    bench.wait(Duration::from_millis(80));
    assert_eq!(bench.role(), RoleName::Candidate);
}

#[test]
fn acd_who_was_away_while_it_waited_for_an_answer_listens_again() {
    let mut bench = looking(settings(100));
    bench.now = bench.now + AHEAD + SECOND * 2;
    bench.hear(Event::Looked(1, false));
    assert_eq!(bench.role(), RoleName::Backup);
    bench.answered = Some(false);
    assert_eq!(bench.until_change(), WAIT);
    assert_eq!(bench.looks(), [1, 2]);
}

#[test]
fn acd_an_advert_that_comes_meanwhile_makes_the_answer_void() {
    for answered in [true, false] {
        let mut bench = looking(settings(100));
        bench.hear(advert(200));
        bench.hear(Event::Looked(1, answered));
        assert_eq!(bench.alarms(), []);
        assert_eq!(bench.group.view().blocked, None);
        bench.answered = Some(false);
        assert_eq!(bench.until_change(), WAIT);
        assert_eq!(bench.looks(), [1, 2]);
    }
}

#[test]
fn acd_an_answer_to_an_older_question_is_none() {
    let mut bench = looking(settings(100));
    bench.hear(advert(200));
    bench.wait(WAIT - AHEAD);
    assert_eq!(bench.looks(), [1, 2]);
    bench.hear(Event::Looked(1, true));
    assert_eq!(bench.group.view().blocked, None);
    bench.hear(Event::Looked(1, false));
    bench.wait(AHEAD);
    assert_eq!(
        bench.role(),
        RoleName::Backup,
        "still waiting for the second"
    );
    bench.hear(Event::Looked(2, false));
    assert_eq!(bench.role(), RoleName::Candidate);
}

#[test]
fn acd_a_resignation_is_no_silence() {
    let mut bench = following(settings(100));
    bench.hear(advert(RESIGN));
    bench.until_change();
    assert_eq!(bench.role(), RoleName::Candidate);
    assert!(bench.looks().is_empty());

    let mut bench = looking(settings(100));
    bench.hear(advert(RESIGN));
    bench.until_change();
    assert!(matches!(bench.group.view().cause, Cause::Resigned { .. }));
    assert_eq!(bench.looks(), [1]);
}

#[test]
fn acd_a_living_master_that_is_asked_to_go_is_not_looked_for() {
    let mut bench = Bench::backup(settings(150));
    bench.answered = Some(true);
    for _ in 0..4 {
        bench.hear(advert(100));
        bench.wait(SECOND);
    }
    assert_eq!(bench.role(), RoleName::Candidate);
    assert!(matches!(bench.group.view().cause, Cause::Preempting { .. }));
    assert!(bench.looks().is_empty());
}

#[test]
fn acd_a_worse_master_that_fell_silent_is_looked_for_like_any_other() {
    let mut bench = Bench::backup(settings(150));
    bench.wait(Duration::from_millis(1900));
    bench.hear(advert(100));
    let down = election::master_down(Version::V3, 150, SECOND, 3);
    bench.wait(down - AHEAD);
    assert_eq!(bench.looks(), [1]);
    assert_eq!(bench.until_change(), AHEAD);
    assert_eq!(bench.role(), RoleName::Candidate);
}

#[test]
fn acd_the_owner_asks_nobody() {
    let mut bench = Bench::backup(settings(OWNER));
    bench.until_change();
    assert!(bench.looks().is_empty());
}

#[test]
fn acd_an_empty_network_at_the_start_is_looked_into_too() {
    let mut bench = Bench::backup(settings(100));
    bench.answered = Some(true);
    bench.wait(SECOND * 10);
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.alarms(), [Alarm::Answered]);
}

#[test]
fn acd_an_answer_to_somebody_who_no_longer_waits_changes_nothing() {
    let mut bench = Bench::master(settings(100));
    let ticket = bench.group.ticket;
    for event in [Event::Looked(ticket, true), Event::Looked(ticket + 1, true)] {
        bench.hear(event);
        assert_eq!(bench.role(), RoleName::Master);
    }
    assert_eq!(bench.said, []);
}

#[test]
fn acd_a_conflict_holds_whatever_was_answered() {
    let mut bench = looking(settings(100));
    bench.hear(Event::Conflict {
        from: peer(9),
        field: ConflictField::Version,
        interval: SECOND,
    });
    bench.hear(Event::Looked(1, false));
    bench.answered = Some(false);
    assert_eq!(bench.until_change(), WAIT);
}

#[test]
fn acd_a_master_that_was_to_be_asked_to_go_and_is_gone_when_it_is_time_is_looked_for() {
    let millis = Duration::from_millis;
    let short = Settings {
        misses: 2,
        ..settings(254)
    };
    let mut bench = Bench::backup(short);
    bench.answered = Some(true);
    bench.wait(millis(800));
    bench.hear(advert(100));
    // It is alive as far as can be told shortly before the end of the wait ...
    bench.wait(millis(1200));
    assert!(bench.looks().is_empty());
    // ... at which this node does not run for a moment.
    bench.now = bench.now + millis(950);
    bench.hear(Event::Tick);
    assert_eq!(bench.looks(), [1]);
    assert_eq!(bench.role(), RoleName::Backup);
}
