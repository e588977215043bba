//! May the gate open, though the addresses went on slowly? One more look, right before.

use super::*;

/// One of a pair that holds alone from 2013 on, since nobody answered its look.
fn alone(me: NodeId) -> Node {
    let (mut node, ticket) = looking(me);
    node.at(2013, Event::Looked(ticket, false));
    assert!(node.lease.authority().is_some_and(|own| own.alone));
    node
}

/// The same at 2100, which asks once more; with the number of that look.
fn confirming(me: NodeId) -> (Node, Nonce) {
    let mut node = alone(me);
    node.runs(2050, 2100);
    let ticket = look(&node.at(2100, Event::Confirm)).expect("a look");
    (node, ticket)
}

fn look(out: &[Effect]) -> Option<Nonce> {
    out.iter().find_map(|effect| match effect {
        Effect::Look(ticket) => Some(*ticket),
        _ => None,
    })
}

#[test]
fn a_look_is_worth_nothing_after_so_long_as_another_needs_to_look_and_to_open() {
    let node = alone(1);
    assert!(!node.lease.must_confirm(ms(2024)));
    assert!(
        node.lease.must_confirm(ms(2025)),
        "25 ms after its question"
    );
}

/// Its host stood still meanwhile, for less than two intervals: the other one may have looked as well.
#[test]
fn law2_a_look_whose_answer_came_late_is_as_old_as_its_question() {
    let (mut node, ticket) = looking(1);
    node.at(2350, Event::Looked(ticket, false));
    assert!(node.until().is_some());
    assert!(node.lease.must_confirm(ms(2350)));
}

#[test]
fn a_cluster_of_one_asks_nobody() {
    let mut alone = settings(0, With::Nobody);
    alone.voters.nodes = 0b1;
    let boot = Boot {
        id: boot_id(0),
        stored: round(64, 0),
        longest: Duration::ZERO,
        nonce: 0,
    };
    let mut out = Effects::new();
    let mut lease = Lease::new(alone, boot, ms(0), &mut out);
    lease.step(ms(0), Event::Persisted(round(128, 0)), &mut out);
    for at in (1_100..5_000).step_by(100) {
        lease.step(ms(at), Event::Stand, &mut out);
    }
    assert!(lease.authority().is_some());
    assert!(!lease.must_confirm(ms(4_900)));
}

#[test]
fn whoever_was_granted_need_not_look() {
    let mut holder = Node::holding(0, With::Nobody);
    holder.at(2200, Event::Time);
    assert!(!holder.lease.must_confirm(ms(2200)));
    let mut third = Node::holding(0, With::Witness);
    third.at(2200, Event::Time);
    assert!(!third.lease.must_confirm(ms(2200)));
}

#[test]
fn when_still_nobody_answers_the_gate_may_open() {
    let (mut node, ticket) = confirming(1);
    let out = node.at(2113, Event::Looked(ticket, false));
    assert_eq!(out, [Effect::Confirmed]);
    assert!(!node.lease.must_confirm(ms(2113)));
    assert!(
        node.lease.must_confirm(ms(2125)),
        "25 ms after the last question"
    );
}

#[test]
fn when_somebody_answers_by_now_it_gives_way_and_waits() {
    let (mut node, ticket) = confirming(1);
    let out = node.at(2101, Event::Looked(ticket, true));
    assert_eq!(out, [Effect::Lost(Loss::Answered)]);
    node.runs(2101, 3142);
    assert!(!node.lease.stands(), "P after the answer, at 3142");
}

#[test]
fn of_two_that_confirm_at_the_same_time_one_looks_again_and_the_other_gives_way() {
    let (mut first, ticket) = confirming(1);
    assert_eq!(first.at(2113, Event::Probed(ticket)), []);
    assert_eq!(look(&first.at(2122, Event::Time)), None);
    let again = look(&first.at(2123, Event::Time)).expect("a look");
    let out = first.at(2136, Event::Looked(again, false));
    assert_eq!(out, [Effect::Confirmed]);

    let (mut second, ticket) = confirming(0);
    let out = second.at(2113, Event::Probed(ticket));
    assert_eq!(out, [Effect::Lost(Loss::Answered)]);
}

#[test]
fn law4_a_look_that_took_long_is_repeated_with_more_time_each() {
    let (mut node, mut ticket) = confirming(1);
    let mut now = 2100;
    for within in [25, 50, 100, 100] {
        let early = node.at(now + within - 1, Event::Time);
        assert_eq!(look(&early), None);
        now += within;
        let out = node.at(now, Event::Looked(ticket, false));
        assert!(!out.contains(&Effect::Confirmed), "after {within} ms");
        let again = look(&out).expect("a look");
        assert!(again > ticket);
        ticket = again;
    }
    let out = node.at(now + 99, Event::Looked(ticket, false));
    assert!(out.contains(&Effect::Confirmed), "{out:?}");
}

#[test]
fn an_answer_to_the_look_of_before_confirms_nothing() {
    let (mut node, ticket) = confirming(1);
    assert_eq!(node.at(2101, Event::Looked(ticket - 1, false)), []);
    assert_eq!(node.at(2102, Event::Confirm), [], "it is under way");
    let out = node.at(2113, Event::Looked(ticket, false));
    assert_eq!(out, [Effect::Confirmed]);
}

#[test]
fn when_the_other_one_grants_meanwhile_nobody_need_be_asked() {
    let mut node = alone(1);
    let request = asked(&node.at(2200, Event::Time));
    let ticket = look(&node.at(2201, Event::Confirm)).expect("a look");
    let out = node.at(2202, Event::Granted(0, boot_id(1), request.nonce));
    assert!(out.contains(&Effect::Confirmed), "{out:?}");
    assert!(!node.lease.authority().unwrap().alone);
    assert_eq!(node.at(2203, Event::Looked(ticket, true)), []);
    assert!(node.until().is_some(), "an answer from before it granted");
}
