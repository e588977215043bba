//! Does the own vote count? Only while the reference answers.

use super::*;

/// One of a pair that hears nobody, with a reference.
fn cut() -> Node {
    let boot = Boot {
        id: boot_id(1),
        stored: Epoch::default(),
        longest: Duration::ZERO,
        nonce: 0,
    };
    let chosen = Settings {
        reference: true,
        always: false,
        ..settings(1, With::Nobody)
    };
    let mut out = Effects::new();
    let lease = Lease::new(chosen, boot, ms(0), &mut out);
    let mut node = Node { lease, out };
    node.at(0, Event::Persisted(round(64, 0)));
    node.runs(50, 500);
    node
}

fn look(out: &[Effect]) -> Option<Nonce> {
    out.iter().find_map(|effect| match effect {
        Effect::Look(ticket) => Some(*ticket),
        _ => None,
    })
}

/// Stands from 1050 on, runs until then, and has looked by then or not.
fn looks_until(node: &mut Node, to: u64) -> Option<Nonce> {
    let mut found = look(&node.at(1050, Event::Stand));
    for at in (1100..=to).step_by(50) {
        found = found.or(look(&node.at(at, Event::Time)));
    }
    found
}

/// The same until 1000, where the reference has answered what it was asked at `asked_at`.
fn proven(asked_at: u64) -> Node {
    let mut node = cut();
    node.runs(500, 1000);
    node.at(1000, Event::Proven(ms(asked_at)));
    node
}

fn solo() -> Node {
    let mut node = cut();
    node.runs(500, 1000);
    node.at(1000, Event::Solo);
    node
}

/// It holds from 1063 on.
fn alone(mut node: Node) -> Node {
    let ticket = looks_until(&mut node, 1050).expect("a look");
    node.at(1063, Event::Looked(ticket, false));
    node
}

#[test]
fn without_proof_nobody_even_looks() {
    assert_eq!(looks_until(&mut cut(), 9000), None);
}

#[test]
fn with_proof_the_right_ends_a_lease_after_the_question_that_was_answered_last() {
    let mut node = alone(proven(990));
    assert_eq!(node.until(), Some(ms(1990)), "law 2");
    node.at(1150, Event::Proven(ms(1140)));
    assert_eq!(node.until(), Some(ms(2063)), "its own vote ends first");
    node.at(1160, Event::Proven(ms(1000)));
    assert_eq!(
        node.until(),
        Some(ms(2063)),
        "an answer that comes late takes nothing back"
    );
    node.runs(1200, 2140);
    assert_eq!(node.until(), Some(ms(2140)), "the proof ends first");
    let out = node.at(2140, Event::Time);
    assert_eq!(out[0], Effect::Lost(Loss::Unproven));
    assert_eq!(node.until(), None);
}

#[test]
fn law1_an_answer_that_comes_after_the_end_brings_nothing_back() {
    let mut node = alone(proven(990));
    node.runs(1100, 1990);
    let out = node.at(1990, Event::Proven(ms(1985)));
    assert_eq!(out[0], Effect::Lost(Loss::Unproven));
    assert_eq!(node.until(), None);
}

#[test]
fn a_look_that_ends_without_proof_is_worth_nothing() {
    let mut node = alone(proven(60));
    assert_eq!(node.until(), None);
    node.at(1070, Event::Proven(ms(1065)));
    assert_eq!(node.until(), None, "nor later");
}

#[test]
fn who_is_acknowledged_needs_no_proof() {
    let mut node = cut();
    node.runs(500, 1050);
    let out = node.at(1050, Event::Stand);
    let request = asked(&out);
    node.at(1060, Event::Granted(0, boot_id(1), request.nonce));
    assert_eq!(node.until(), Some(ms(2050)));
    // And when the other one is silent, its own vote does not take over.
    node.runs(1100, 2050);
    assert_eq!(node.until(), Some(ms(2050)));
    let out = node.at(2050, Event::Time);
    assert_eq!(out[0], Effect::Lost(Loss::Lapsed));
}

#[test]
fn solo_is_for_those_who_have_heard_nobody() {
    let mut node = alone(solo());
    node.runs(1100, 5000);
    assert!(
        node.until().is_some_and(|until| until > ms(5500)),
        "its own vote"
    );

    let mut met = cut();
    met.at(500, Event::Heard);
    met.runs(550, 1000);
    met.at(1000, Event::Solo);
    assert_eq!(looks_until(&mut met, 9000), None);
}

#[test]
fn solo_ends_when_the_other_one_acknowledges_and_not_before() {
    let mut node = alone(solo());
    node.runs(1100, 3000);
    node.at(3000, Event::Heard);
    node.runs(3050, 5000);
    assert!(node.until().is_some(), "a word is no vote");
    let out = node.at(5000, Event::Time);
    let request = asked(&out);
    node.at(5010, Event::Granted(0, boot_id(1), request.nonce));
    assert_eq!(node.until(), Some(ms(6000)));
    node.runs(5050, 6000);
    let out = node.at(6000, Event::Time);
    assert_eq!(out[0], Effect::Lost(Loss::Lapsed));
}

/// What the peers have granted rests on no proof, however late they say so.
#[test]
fn a_vote_that_comes_too_late_to_rely_on_outlasts_the_proof_all_the_same() {
    let mut node = proven(990);
    let ticket = looks_until(&mut node, 1050).expect("a look");
    let request = asked(&node.at(1063, Event::Looked(ticket, false)));
    let is_alone = |node: &Node| node.lease.authority().is_some_and(|own| own.alone);
    node.runs(1100, 1770);
    assert_eq!(node.until(), Some(ms(1990)), "as far as it is proven");
    assert!(is_alone(&node));
    node.at(1770, Event::Granted(0, boot_id(1), request.nonce));
    assert_eq!(node.until(), Some(ms(2063)));
    assert!(!is_alone(&node), "by the other one's vote");
}
