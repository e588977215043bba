//! What if the link goes, the settings change, or a stop is asked for?

use super::*;

#[test]
fn a_master_without_link_takes_its_addresses_off_and_is_back_after_the_wait() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::Facts(Facts { link: false, ..UP }));
    assert_eq!(bench.role(), RoleName::Releasing);
    bench.released(Ok(()));
    assert_eq!(bench.group.view().blocked, Some(Blocked::Link));
    bench.hear(Event::Facts(UP));
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
}

#[test]
fn a_link_that_comes_back_while_the_addresses_go_off_is_no_fault() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::Facts(Facts { link: false, ..UP }));
    bench.hear(Event::Facts(UP));
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn a_backup_without_an_address_to_send_from_waits_for_one_visibly() {
    let mut bench = Bench::backup(settings(100));
    bench.hear(Event::Facts(Facts {
        link: true,
        source: None,
    }));
    assert_eq!(bench.group.view().blocked, Some(Blocked::Source));
    bench.wait(SECOND * 100);
    assert_eq!(bench.role(), RoleName::Fault);
    bench.hear(Event::Facts(UP));
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn new_settings_do_not_move_the_addresses() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::Settings(settings(90)));
    assert_eq!(bench.role(), RoleName::Master);
    assert_eq!(bench.adverts(), [90], "the others learn it at once");
    bench.hear(Event::AddressesChanged);
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Master);
    assert_eq!(bench.group.view().restored, 0);
}

#[test]
fn a_claim_that_is_stopped_before_it_holds_anything_resigns() {
    let mut bench = Bench::backup(settings(100));
    bench.wait(SECOND * 3);
    bench.hear(advert(50));
    bench.until_change();
    bench.hear(Event::Stop);
    assert_eq!(bench.adverts(), [100, RESIGN]);
    assert_eq!(bench.role(), RoleName::Stopped);
}

#[test]
fn a_stop_ends_every_role() {
    for link in [true, false] {
        let mut bench = Bench::backup(settings(100));
        bench.hear(Event::Facts(Facts { link, ..UP }));
        bench.hear(Event::Stop);
        assert_eq!(bench.role(), RoleName::Stopped);
    }
    let mut bench = Bench::new(settings(100));
    bench.hear(Event::Stop);
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Stopped);
}
