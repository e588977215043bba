//! What if nobody holds without the arbiter?

use super::*;

/// It wants to hold since 2 s.
fn standing(me: NodeId) -> (Node, Vec<Effect>) {
    let mut node = Node::booted_with(Settings {
        always: true,
        ..settings(me, With::Arbiter)
    });
    let out = node.at(2000, Event::Stand);
    (node, out)
}

fn ticket(out: &[Effect]) -> Option<(Nonce, Epoch)> {
    out.iter().find_map(|effect| match effect {
        Effect::Contend(ticket, epoch) => Some((*ticket, *epoch)),
        _ => None,
    })
}

fn requests(out: &[Effect]) -> bool {
    out.iter().any(|e| matches!(e, Effect::Request(_)))
}

/// By the arbiter's vote until then, since 2.1 s.
fn holding(until: u64) -> (Node, Nonce) {
    let (mut node, out) = standing(0);
    let (ticket, _) = ticket(&out).expect("it asks");
    node.at(2100, Event::Arbiter(ticket, ms(until)));
    assert!(node.until().is_some());
    (node, ticket)
}

#[test]
fn the_arbiter_is_asked_at_once_and_the_peers_when_it_has_voted() {
    let (mut node, out) = standing(0);
    let (ticket, epoch) = ticket(&out).expect("it asks");
    assert_eq!(epoch, round(1, 0));
    assert!(!requests(&out), "a question would bind them: {out:?}");
    for at in (2100..9000).step_by(100) {
        assert_eq!(node.at(at, Event::Time), []);
        assert!(node.lease.deadline() > ms(at));
    }
    let out = node.at(9000, Event::Arbiter(ticket, ms(14_000)));
    assert!(requests(&out));
    assert_eq!(until(&out), Some(ms(10_000)), "L after the own vote");
}

#[test]
fn the_right_ends_with_the_arbiters_vote_whatever_the_peers_grant() {
    let (mut node, _) = holding(3000);
    let mut last = node.until();
    for at in (2200..3000).step_by(200) {
        let out = node.at(at, Event::Time);
        let nonce = asked(&out).nonce;
        node.at(at + 5, Event::Granted(1, boot_id(0), nonce));
        last = node.until();
    }
    assert_eq!(last, Some(ms(3000)));
    let out = node.at(3000, Event::Time);
    assert_eq!(out[0], Effect::Lost(Loss::Unarbitrated));
}

#[test]
fn the_arbiters_vote_is_kept_while_the_peers_grant_and_moves_the_end() {
    let (mut node, ticket) = holding(3000);
    for at in (2200..9000).step_by(200) {
        let nonce = asked(&node.at(at, Event::Time)).nonce;
        let out = node.at(at + 5, Event::Granted(1, boot_id(0), nonce));
        assert!(!out.iter().any(|e| matches!(e, Effect::Withdraw(_))));
        node.at(at + 10, Event::Arbiter(ticket, ms(at + 800)));
        assert_eq!(node.until(), Some(ms(at + 800)));
    }
}

#[test]
fn a_vote_that_is_lost_ends_the_right_at_once_and_the_ticket_goes_back() {
    let (mut node, ticket) = holding(9000);
    let out = node.at(2150, Event::ArbiterLost(ticket));
    assert_eq!(out[0], Effect::Lost(Loss::Unarbitrated));
    assert!(out.contains(&Effect::Withdraw(ticket)), "{out:?}");
}

#[test]
fn who_only_waits_for_the_arbiter_grants_the_one_that_has_its_vote() {
    let (mut node, out) = standing(0);
    let (ticket, _) = ticket(&out).expect("it asks");
    let out = node.at(2300, Event::Request(1, request(1, 1, round(2, 1))));
    assert_eq!(out[0], Effect::Withdraw(ticket));
    assert!(grants(&out), "{out:?}");
}
