//! What if the agent did not run?

use super::*;

#[test]
fn a_master_that_was_away_for_as_long_as_the_others_wait_gives_way_and_listens() {
    let mut bench = Bench::master(Settings {
        preempt: false,
        ..settings(200)
    });
    bench.now = bench.now + SECOND * 8;
    bench.hear(Event::Tick);
    assert_eq!(bench.role(), RoleName::Releasing);
    assert!(
        !bench.adverts().contains(&200),
        "others may be MASTER by now"
    );
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
    bench.hear(advert(100));
    bench.wait(SECOND);
    bench.hear(advert(100));
    bench.wait(SECOND);
    assert_eq!(
        bench.role(),
        RoleName::Backup,
        "without preempt the new MASTER stays"
    );
}

#[test]
fn a_master_that_was_away_alone_is_back_after_little_more_than_an_interval() {
    let mut bench = Bench::master(settings(200));
    bench.now = bench.now + SECOND * 8;
    bench.hear(Event::Tick);
    bench.released(Ok(()));
    assert!(bench.until_change() < SECOND * 2);
}

#[test]
fn a_short_delay_is_not_an_absence() {
    let mut bench = Bench::master(Settings {
        misses: 1,
        ..settings(200)
    });
    for _ in 0..10 {
        bench.now = bench.group.deadline() + SECOND / 2;
        bench.hear(Event::Tick);
    }
    assert_eq!(bench.role(), RoleName::Master);
}
