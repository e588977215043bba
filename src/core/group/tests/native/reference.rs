//! Who is cut off from everybody, and who only from the other one? Both ask something in the network.

use super::*;
use crate::core::group::Reference;

const SECOND: Duration = Duration::from_secs(1);

fn with(solo_after: Option<Duration>) -> impl Iterator<Item = Settings> {
    let of = move |(me, priority)| {
        let mut chosen = settings(me, priority, 0b11, 0);
        chosen.reference = Some(Reference { solo_after });
        if let Some(voting) = &mut chosen.native {
            voting.lease.reference = true;
        }
        chosen
    };
    [(0, 150), (1, 100)].into_iter().map(of)
}

/// Both reach it, and each other.
fn served() -> World {
    let mut world = World::of(with(None));
    world.until_master(0, SECOND * 3);
    world.run(SECOND * 2);
    assert_eq!(world.master(), 0);
    world
}

fn nobody_serves(world: &World) {
    assert_eq!(world.answering().count(), 0);
    assert_eq!(world.role(0), RoleName::Backup);
}

fn alarms(world: &World, at: usize, wanted: Alarm) -> usize {
    let reports = world.nodes[at].reports.iter();
    reports.filter(|r| **r == Report::Alarm(wanted)).count()
}

fn became(world: &World, at: usize, to: RoleName) -> Option<Cause> {
    let reports = world.nodes[at].reports.iter().rev();
    reports.into_iter().find_map(|report| match report {
        Report::Role {
            to: role, cause, ..
        } if *role == to => Some(*cause),
        _ => None,
    })
}

#[test]
fn a_holder_that_is_cut_off_from_everybody_is_silent_within_a_lease_and_the_other_takes_over() {
    let mut world = served();
    (world.nodes[0].cut, world.nodes[0].reaches) = (true, false);
    let began = world.now;
    while world.answering().any(|at| at == 0) {
        world.run(TICK);
        assert!(world.now.since(began) <= L, "it answers still");
    }
    assert_eq!(
        became(&world, 0, RoleName::Releasing),
        Some(Cause::Unproven)
    );
    world.until_master(1, ms(400));
    world.run(SECOND * 60);
    assert_eq!(world.role(0), RoleName::Backup);
    assert_eq!(
        world.nodes[0].group.view().blocked,
        Some(Blocked::Reference)
    );
}

#[test]
fn a_holder_that_goes_on_alone_falls_silent_when_the_reference_does() {
    let mut world = served();
    world.nodes[1].dead = true;
    world.run(SECOND * 5);
    assert!(world.is_master(0), "the other one is dead");
    world.nodes[0].reaches = false;
    let began = world.now;
    while world.is_master(0) {
        world.run(TICK);
        assert!(world.now.since(began) <= L);
    }
    assert_eq!(
        became(&world, 0, RoleName::Releasing),
        Some(Cause::Unproven)
    );
    world.run(SECOND * 30);
    nobody_serves(&world);
    world.nodes[0].reaches = true;
    let took = world.until_master(0, SECOND * 3);
    assert!(took >= SECOND, "steady first: {took:?}");
}

#[test]
fn a_standby_that_is_cut_off_from_everybody_never_contends() {
    let mut world = served();
    (world.nodes[1].cut, world.nodes[1].reaches) = (true, false);
    world.run(SECOND * 60);
    assert_eq!(world.master(), 0);
    assert_eq!(world.role(1), RoleName::Backup);
    let view = world.nodes[1].group.view();
    assert_eq!(view.blocked, Some(Blocked::Reference));
    assert_eq!(view.promotions, 0);
}

#[test]
fn when_both_have_lost_it_the_reference_is_at_fault_and_the_holder_goes_on() {
    let mut world = served();
    world.nodes.iter_mut().for_each(|node| node.reaches = false);
    world.run(SECOND * 30);
    assert_eq!(world.master(), 0);
    assert_eq!(world.nodes[0].group.view().promotions, 1);
    assert_eq!(alarms(&world, 0, Alarm::Unreached), 1);
    world.nodes.iter_mut().for_each(|node| node.reaches = true);
    world.run(SECOND * 30);
    assert_eq!(world.master(), 0);
    assert_eq!(world.nodes[0].group.view().promotions, 1);
    assert_eq!(alarms(&world, 0, Alarm::Reached), 1);
}

#[test]
fn whoever_has_lost_it_hands_over_to_the_one_that_reaches_it_and_gets_it_back() {
    let mut world = served();
    world.nodes[0].reaches = false;
    let began = world.now;
    while world.is_master(0) {
        world.run(TICK);
        assert!(world.now.since(began) <= L + INTERVAL * 4, "it keeps them");
    }
    let gap = world.until_master(1, ms(20));
    assert!(gap <= ms(8), "{gap:?}");
    let cause = became(&world, 0, RoleName::Releasing);
    assert!(
        matches!(cause, Some(Cause::Unreached { by }) if by.0 == "lb-b"),
        "{cause:?}"
    );
    world.run(SECOND * 10);
    assert_eq!(world.master(), 1, "the better one is unfit");
    world.nodes[0].reaches = true;
    world.until_master(0, SECOND * 4);
}

/// A deadline that is not needed any more goes, or time would stand still at it.
#[test]
fn a_reference_that_was_lost_for_a_moment_only_moves_nothing() {
    let mut world = served();
    world.nodes[0].reaches = false;
    world.run(L + ms(100));
    world.nodes[0].reaches = true;
    world.run(SECOND * 30);
    assert_eq!(world.master(), 0);
    assert_eq!(world.nodes[0].group.view().promotions, 1);
}

#[test]
fn without_preempt_it_hands_over_all_the_same() {
    let mut world = served();
    for at in [0, 1] {
        let settings = Settings {
            preempt: false,
            ..*world.nodes[at].group.settings()
        };
        world.step(at, Event::Settings(settings));
    }
    world.nodes[0].reaches = false;
    world.until_master(1, L * 2);
    world.nodes[0].reaches = true;
    world.run(SECOND * 30);
    assert_eq!(world.master(), 1, "it stays there");
}

#[test]
fn nobody_holds_for_the_first_time_before_the_reference_has_answered_for_a_while() {
    let mut world = World::of(with(None));
    world.nodes[1].dead = true;
    world.nodes[0].reaches = false;
    world.run(SECOND * 60);
    nobody_serves(&world);
    world.nodes[0].reaches = true;
    let took = world.until_master(0, SECOND * 3);
    assert!(took >= SECOND, "{took:?}");
}

#[test]
fn of_two_that_hear_each_other_and_nothing_else_one_holds() {
    let mut world = World::of(with(None));
    world.nodes.iter_mut().for_each(|node| node.reaches = false);
    let took = world.until_master(0, P + SECOND * 3);
    assert!(took >= P + SECOND, "the other one may be fitter: {took:?}");
    world.run(SECOND * 30);
    assert_eq!(world.master(), 0);
    world.nodes[1].reaches = true;
    world.until_master(1, SECOND * 2);
}

#[test]
fn a_node_that_has_heard_nobody_stands_after_solo_after() {
    let mut world = World::of(with(Some(SECOND * 10)));
    world.nodes[1].dead = true;
    world.nodes[0].reaches = false;
    world.run(SECOND * 9);
    nobody_serves(&world);
    world.until_master(0, SECOND * 3);
    assert_eq!(alarms(&world, 0, Alarm::Solo), 1);
    world.run(SECOND * 30);
    assert_eq!(world.master(), 0);
}

#[test]
fn solo_after_counts_from_when_the_link_is_there() {
    let mut world = World::of(with(Some(SECOND * 10)));
    world.nodes[1].dead = true;
    world.nodes[0].reaches = false;
    world.step(0, Event::Facts(Facts { link: false, ..UP }));
    world.run(SECOND * 60);
    world.step(0, Event::Facts(UP));
    world.run(SECOND * 9);
    nobody_serves(&world);
    world.until_master(0, SECOND * 3);
}

#[test]
fn whoever_has_heard_the_other_one_goes_on_alone_only_with_the_reference() {
    let mut world = World::of(with(Some(SECOND * 10)));
    world.nodes.iter_mut().for_each(|node| node.reaches = false);
    world.nodes[1].dead = true;
    world.until_master(0, SECOND * 15);
    world.nodes[1].dead = false;
    world.restart(1);
    world.run(SECOND * 5);
    assert_eq!(world.master(), 0, "its lease did not end for that");
    world.nodes[1].dead = true;
    world.run(L * 3);
    nobody_serves(&world);
    world.run(SECOND * 60);
    nobody_serves(&world);
}

#[test]
fn a_reference_that_flaps_makes_a_node_wait_longer_each_time_and_is_forgiven() {
    let mut world = served();
    let wait = |world: &mut World, quiet: Duration| {
        world.run(quiet);
        world.nodes[1].reaches = false;
        world.run(L + ms(300));
        assert!(!world.nodes[1].group.is_ready());
        world.nodes[1].reaches = true;
        let began = world.now;
        while !world.nodes[1].group.is_ready() {
            world.run(TICK);
            assert!(world.now.since(began) < SECOND * 70);
        }
        let wait = world.now.since(began);
        // Until the next question.
        Duration::from_secs(wait.saturating_sub(INTERVAL).as_millis().div_ceil(1000) as u64)
    };
    let quick = |world: &mut World| wait(world, SECOND);
    let waits = [0; 7].map(|_| quick(&mut world).as_secs());
    assert_eq!(waits, [1, 5, 10, 20, 40, 60, 60]);
    assert_eq!(wait(&mut world, SECOND * 200).as_secs(), 1, "forgiven");
    assert_eq!(world.master(), 0, "and the holder has gone on");
}

#[test]
fn damping_keeps_nobody_from_standing_where_nobody_else_is_fit() {
    let mut world = served();
    for _ in 0..5 {
        world.nodes[1].reaches = false;
        world.run(L + ms(300));
        world.nodes[1].reaches = true;
        world.run(SECOND * 2);
    }
    assert!(!world.nodes[1].group.is_ready());
    let node = &mut world.nodes[0];
    (node.dead, node.cut, node.open) = (true, true, false);
    world.until_master(1, SECOND * 2);
}

#[test]
fn a_holder_alone_whose_reference_flaps_is_back_a_second_after_it() {
    let mut world = served();
    world.nodes[1].dead = true;
    world.run(SECOND * 5);
    for _ in 0..5 {
        world.nodes[0].reaches = false;
        world.run(L + ms(300));
        assert_eq!(world.answering().count(), 0);
        world.nodes[0].reaches = true;
        world.until_master(0, SECOND * 3);
        world.run(SECOND * 2);
    }
}

/// Two that are damped are fit at the same time, and stay so.
#[test]
fn of_two_that_were_damped_one_holds() {
    let mut world = World::of(with(None));
    for _ in 0..5 {
        world.nodes.iter_mut().for_each(|node| node.reaches = false);
        world.run(L + ms(300));
        world.nodes.iter_mut().for_each(|node| node.reaches = true);
        world.run(ms(500));
    }
    world.until_master(0, SECOND * 4);
    world.run(SECOND * 30);
    assert_eq!(world.master(), 0);
    assert_eq!(world.nodes[0].group.view().promotions, 1);
}

#[test]
fn a_planned_stop_hands_over_though_nobody_reaches_it() {
    let mut world = served();
    world.nodes.iter_mut().for_each(|node| node.reaches = false);
    world.run(SECOND * 10);
    assert_eq!(world.master(), 0);
    world.step(0, Event::Stop);
    let gap = world.until_master(1, ms(20));
    assert!(gap <= ms(8), "{gap:?}");
}

/// Somebody answers its look once: it waits, and looks again.
#[test]
fn a_node_on_its_own_goes_on_looking() {
    let mut world = World::of(with(Some(SECOND * 10)));
    world.nodes[1].dead = true;
    world.nodes[0].reaches = false;
    // A host that is no node has the address for a while.
    (world.nodes[1].open, world.nodes[1].until) = (true, Instant::NEVER);
    world.run(SECOND * 30);
    assert_eq!(world.role(0), RoleName::Backup);
    world.nodes[1].open = false;
    world.until_master(0, SECOND * 3);
}

#[test]
fn with_a_witness_it_only_says_who_is_fit() {
    let of = |(me, priority): (NodeId, u8)| {
        let mut chosen = settings(me, priority, 0b011, 0b100);
        chosen.reference = (me < 2).then_some(Reference { solo_after: None });
        if let Some(voting) = &mut chosen.native {
            voting.lease.reference = true;
        }
        chosen
    };
    let mut world = World::of([(0, 150), (1, 100), (2, 100)].into_iter().map(of));
    world.until_master(0, SECOND * 3);
    world.run(SECOND * 2);
    // Its last word is that it reaches it.
    world.nodes[0].reaches = false;
    world.run(ms(900));
    world.nodes[1].dead = true;
    world.run(SECOND * 30);
    assert!(world.is_master(0), "a majority grants");
    assert_eq!(world.nodes[0].group.view().promotions, 1);
    world.nodes[1].dead = false;
    world.restart(1);
    world.until_master(1, SECOND * 4);
}
