//! When do thousands of addresses count as on?

use super::*;

#[test]
fn a_host_that_answers_for_thousands_of_addresses_is_master_before_the_last_is_on() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    let term = bench.group.term;
    bench.hear(Event::Answering(term));
    assert_eq!(bench.role(), RoleName::Master);
    assert_eq!(bench.group.view().cause, Cause::Answering);
    let announced = |bench: &Bench| bench.said.contains(&Effect::Announce(term));
    assert!(announced(&bench));

    bench.said.clear();
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Master);
    assert!(!announced(&bench), "the neighbours know already");
    let view = bench.group.view();
    assert_eq!((view.promotions, view.restored), (1, 0));
}

#[test]
fn a_master_whose_last_addresses_do_not_go_on_gives_way() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    bench.hear(Event::Answering(bench.group.term));
    for _ in 0..10 {
        bench.acquired(Err(FAULT));
        bench.wait(SECOND);
    }
    let cause = bench.group.view().cause;
    assert_eq!(cause, Cause::Blocked(Blocked::Addresses(FAULT)));
    assert_eq!(bench.role(), RoleName::Releasing);
}

#[test]
fn answering_under_an_old_term_changes_nothing() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    let old = bench.group.term;
    bench.hear(Event::AddressesChanged);
    assert_ne!(bench.group.term, old);
    bench.hear(Event::Answering(old));
    assert_eq!(bench.role(), RoleName::Candidate);
}

#[test]
fn an_address_that_is_lost_while_the_last_go_on_is_put_back_after_them() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    bench.hear(Event::Answering(bench.group.term));
    bench.said.clear();
    bench.hear(Event::AddressLost);
    assert_eq!(bench.said, [], "one change at a time");
    bench.acquired(Ok(()));
    assert!(bench.said.contains(&Effect::Acquire(bench.group.term)));
    assert_eq!(bench.role(), RoleName::Master);
}
