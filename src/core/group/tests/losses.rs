//! What if somebody takes the addresses off?

use super::*;

#[test]
fn a_deleted_address_is_put_back_without_a_change_of_role() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::AddressLost);
    bench.hear(Event::AddressLost);
    assert_eq!((bench.role(), bench.acquires()), (RoleName::Master, 1));
    bench.acquired(Ok(()));
    assert_eq!(bench.acquires(), 2, "another was lost meanwhile");
    bench.acquired(Ok(()));
    assert_eq!(
        (bench.role(), bench.group.view().restored),
        (RoleName::Master, 1)
    );
    assert_eq!(bench.announces(), 2);
}

#[test]
fn one_flush_is_one_loss_however_often_it_looks() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::AddressLost);
    for _ in 0..3 * FIGHT_BUDGET {
        bench.hear(Event::AddressLost);
        bench.wait(ONE_LOSS / (4 * FIGHT_BUDGET));
        bench.acquired(Ok(()));
    }
    bench.acquired(Ok(()));
    assert_eq!(bench.group.view().restored, 1);
    assert_eq!(bench.acquires(), 1 + 3 * FIGHT_BUDGET as usize);
    bench.wait(ONE_LOSS);
    bench.hear(Event::AddressLost);
    assert_eq!(bench.group.view().restored, 2);
}

#[test]
fn a_persistent_fight_over_the_addresses_ends_in_a_yield() {
    let mut bench = Bench::master(settings(100));
    let mut rounds = 0;
    while bench.role() == RoleName::Master && rounds <= 2 * FIGHT_BUDGET {
        bench.hear(Event::AddressLost);
        bench.acquired(Ok(()));
        bench.wait(SECOND / 10);
        rounds += 1;
    }
    assert_eq!(rounds, FIGHT_BUDGET + 1);
    bench.said.clear();
    bench.released(Ok(()));
    assert_eq!(bench.adverts(), [RESIGN]);
    assert_eq!(bench.group.view().blocked, Some(Blocked::Fight));
    bench.until_change();
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn a_fight_in_which_no_restore_is_in_time_ends_too() {
    let mut bench = Bench::master(settings(100));
    let began = bench.now;
    bench.hear(Event::AddressLost);
    while bench.role() == RoleName::Master {
        bench.hear(Event::AddressLost);
        bench.wait(SECOND / 100);
        bench.acquired(Ok(()));
    }
    assert!(bench.now.since(began) < FIGHT_WINDOW);
}

#[test]
fn now_and_then_a_deletion_is_not_a_fight() {
    let mut bench = Bench::master(settings(100));
    for _ in 0..100 {
        bench.hear(Event::AddressLost);
        bench.acquired(Ok(()));
        bench.wait(SECOND * 2);
    }
    assert_eq!(bench.role(), RoleName::Master);
}
