//! What does a gate change?

use super::*;

const LEASE: Duration = Duration::from_millis(2919);

fn leased(priority: u8) -> Settings {
    Settings {
        lease: Some(LEASE),
        ..settings(priority)
    }
}

fn place(said: &[Effect], what: impl Fn(&Effect) -> bool) -> usize {
    let found = said.iter().position(what);
    found.unwrap_or_else(|| panic!("not among {said:?}"))
}

#[test]
fn law_2_every_advert_renews_the_lease_from_before_it_is_sent() {
    let mut bench = Bench::master(leased(100));
    for _ in 0..3 {
        bench.said.clear();
        bench.now = bench.group.deadline();
        bench.hear(Event::Tick);
        let advert = place(&bench.said, |e| matches!(e, Effect::Advertise { .. }));
        assert_eq!(bench.said[advert + 1], Effect::Renew(bench.now + LEASE));
    }
}

#[test]
fn law_6_the_gate_opens_after_the_read_back_and_before_the_announcement() {
    let mut bench = Bench::backup(leased(100));
    bench.until_change();
    assert!(!bench.said.contains(&Effect::Open));
    bench.said.clear();
    bench.acquired(Ok(()));
    let open = place(&bench.said, |e| *e == Effect::Open);
    let announce = place(&bench.said, |e| matches!(e, Effect::Announce(_)));
    let report = place(&bench.said, |e| matches!(e, Effect::Report(_)));
    assert!(open < announce && announce < report, "{:?}", bench.said);
}

#[test]
fn law_6_closed_counts_as_off_and_the_gate_is_disarmed_after_the_read_back() {
    for cause in [Event::Stop, advert(200)] {
        let mut bench = Bench::master(leased(100));
        bench.hear(cause);
        let release = place(&bench.said, |e| matches!(e, Effect::Release(_)));
        let resign = place(&bench.said, |e| *e == Effect::Advertise { priority: 0 });
        assert!(release < resign, "shut first: {:?}", bench.said);
        assert!(!bench.said.contains(&Effect::Disarm));
        bench.said.clear();
        bench.wait(SECOND * 2);
        assert_eq!(bench.said, [], "it is silent until the addresses are off");
        bench.released(Ok(()));
        assert!(bench.said.contains(&Effect::Disarm));
        assert_eq!(bench.adverts(), [0_u8; 0], "the others know");
    }
}

#[test]
fn without_its_gate_closed_does_not_count_as_off() {
    let mut bench = Bench::master(leased(100));
    bench.hear(Event::GateLost);
    assert_eq!(bench.role(), RoleName::Releasing);
    assert_eq!(bench.group.view().cause, Cause::GateLost);
    bench.wait(SECOND * 2);
    assert_eq!(bench.adverts(), [100, 100], "nobody takes over yet");
    bench.released(Ok(()));
    assert_eq!(bench.adverts(), [100, 100, 0]);
}

#[test]
fn a_gate_that_nobody_asked_for_cannot_be_lost() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::GateLost);
    assert_eq!(bench.role(), RoleName::Master);
    let mut bench = Bench::backup(leased(100));
    bench.hear(Event::GateLost);
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn a_lease_that_has_ended_ends_the_role() {
    let mut bench = Bench::master(leased(100));
    bench.hear(Event::Lapsed);
    assert_eq!(bench.role(), RoleName::Releasing);
    assert_eq!(bench.group.view().cause, Cause::Lapsed);
    let mut bench = Bench::backup(leased(100));
    bench.hear(Event::Lapsed);
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn a_master_whose_lease_ended_in_a_pause_does_not_renew_it() {
    let advert_at = |bench: &Bench| bench.group.deadline() - SECOND;
    let mut bench = Bench::master(leased(100));
    bench.now = advert_at(&bench) + LEASE;
    bench.said.clear();
    bench.hear(Event::Tick);
    assert_eq!(bench.role(), RoleName::Releasing);
    assert!(!bench.said.iter().any(|e| matches!(e, Effect::Renew(_))));

    let mut bench = Bench::master(leased(100));
    bench.now = advert_at(&bench) + LEASE - Duration::from_millis(1);
    bench.hear(Event::Tick);
    assert_eq!(bench.role(), RoleName::Master);
}

#[test]
fn what_a_dead_agent_left_is_disarmed_when_it_is_off() {
    let mut bench = Bench::new(leased(100));
    assert!(!bench.said.contains(&Effect::Disarm));
    bench.released(Ok(()));
    assert!(bench.said.contains(&Effect::Disarm));
}

#[test]
fn law_6_a_gate_that_takes_a_moment_to_shut_does_not_count_as_off() {
    let mut bench = Bench::master(Settings {
        shuts_at_once: false,
        ..leased(100)
    });
    bench.hear(Event::Stop);
    assert!(!bench.said.contains(&Effect::Advertise { priority: 0 }));
    bench.said.clear();
    bench.released(Ok(()));
    let disarm = place(&bench.said, |e| *e == Effect::Disarm);
    let resign = place(&bench.said, |e| *e == Effect::Advertise { priority: 0 });
    assert!(disarm < resign, "{:?}", bench.said);
}
