//! Each rule by its name; `tests/model.rs` looks for what they forget together.

mod always;
mod confirm;
mod proof;

use std::time::Duration;

use super::*;

const L: Duration = Duration::from_millis(1000);
const P: Duration = Duration::from_millis(1041);
const INTERVAL: Duration = Duration::from_millis(200);
/// Node 2 is a witness where there is one.
const WITNESS: NodeId = 2;

fn ms(ms: u64) -> Instant {
    Instant::from_nanos((1_000_000 + ms) * 1_000_000)
}

fn boot_id(node: NodeId) -> BootId {
    BootId(1000 + u128::from(node))
}

fn round(round: u64, node: NodeId) -> Epoch {
    Epoch::from_number(round * NODES + u64::from(node))
}

#[derive(Clone, Copy)]
enum With {
    Nobody,
    Witness,
    Arbiter,
}

fn settings(me: NodeId, with: With) -> Settings {
    Settings {
        group: 9,
        me,
        priority: 100,
        voters: Voters {
            nodes: 0b011,
            witnesses: if matches!(with, With::Witness) {
                0b100
            } else {
                0
            },
            arbiter: matches!(with, With::Arbiter),
            hash: 77,
        },
        lease: L,
        interval: INTERVAL,
        granularity: Duration::from_millis(1),
        reference: false,
        always: false,
    }
}

struct Node {
    lease: Lease,
    out: Effects,
}

impl Node {
    /// Starts at 0.
    fn booted(me: NodeId, with: With) -> Self {
        Self::booted_with(settings(me, with))
    }

    fn booted_with(settings: Settings) -> Self {
        let boot = Boot {
            id: boot_id(settings.me),
            stored: Epoch::default(),
            longest: Duration::ZERO,
            nonce: 0,
        };
        let mut out = Effects::new();
        let lease = Lease::new(settings, boot, ms(0), &mut out);
        let mut node = Self { lease, out };
        assert_eq!(node.at(0, Event::Persisted(round(64, 0))), []);
        node
    }

    fn at(&mut self, at: u64, event: Event) -> Vec<Effect> {
        self.out.clear();
        self.lease.step(ms(at), event, &mut self.out);
        self.out.to_vec()
    }

    /// Nothing happens, and it does not stand still.
    fn runs(&mut self, from: u64, to: u64) {
        for at in (from..to).step_by(50) {
            self.at(at, Event::Time);
        }
    }

    /// A candidate from 2 s on, and what it asked.
    fn standing(me: NodeId, with: With) -> (Self, Request) {
        let mut node = Self::booted(me, with);
        let out = node.at(2000, Event::Stand);
        let request = asked(&out);
        (node, request)
    }

    /// A holder from 2010 on, granted by the other node.
    fn holding(me: NodeId, with: With) -> Self {
        let (mut node, request) = Self::standing(me, with);
        let out = node.at(2010, Event::Granted(1 - me, boot_id(me), request.nonce));
        assert_eq!(until(&out), Some(ms(3000)));
        node
    }

    fn until(&self) -> Option<Instant> {
        self.lease.authority().map(|own| own.until)
    }
}

fn asked(out: &[Effect]) -> Request {
    let request = |effect: &Effect| match effect {
        Effect::Request(request) => Some(*request),
        _ => None,
    };
    out.iter().find_map(request).expect("a request")
}

fn until(out: &[Effect]) -> Option<Instant> {
    let until = |effect: &Effect| match effect {
        Effect::Authority(own) => Some(own.until),
        _ => None,
    };
    out.iter().find_map(until)
}

fn request(node: NodeId, nonce: Nonce, epoch: Epoch) -> Request {
    Request {
        group: 9,
        epoch,
        boot: boot_id(node),
        nonce,
        lease: L,
        voters: 77,
        priority: 100,
        holding: false,
    }
}

fn resign(node: NodeId, to: NodeId, nonce_last: Nonce) -> Resign {
    Resign {
        group: 9,
        epoch: round(1, node),
        to: Some(to),
        boot: boot_id(node),
        nonce_last,
    }
}

fn refused(why: Refusal, out: &[Effect]) -> bool {
    matches!(out, [Effect::Refuse(_, told, _)] if *told == why)
}

fn grants(out: &[Effect]) -> bool {
    out.iter().any(|effect| matches!(effect, Effect::Grant(..)))
}

#[test]
fn law1_time_passes_before_the_event_is_taken() {
    let mut holder = Node::holding(0, With::Witness);
    let next = asked(&holder.at(2200, Event::Time));
    let out = holder.at(3000, Event::Granted(1, boot_id(0), next.nonce));
    assert_eq!(out[0], Effect::Lost(Loss::Lapsed), "it came at the end");
    assert!(asked(&out).epoch > next.epoch, "and a new candidacy began");
    assert_eq!(holder.until(), None);
}

#[test]
fn law1_at_the_end_of_its_authority_the_vote_is_free() {
    let mut holder = Node::holding(0, With::Witness);
    let asks = Event::Request(1, request(1, 1, round(2, 1)));
    assert!(refused(Refusal::Holding, &holder.at(2999, asks)[..1]));
    let mut holder = Node::holding(0, With::Witness);
    let out = holder.at(3000, asks);
    assert_eq!(out[0], Effect::Lost(Loss::Lapsed));
    assert!(grants(&out), "{out:?}");
}

#[test]
fn law2_a_grant_counts_from_before_the_question() {
    let (mut node, request) = Node::standing(0, With::Witness);
    let out = node.at(2150, Event::Granted(WITNESS, boot_id(0), request.nonce));
    assert_eq!(until(&out), Some(ms(3000)), "asked at 2000, L = 1000");
}

#[test]
fn law2_a_promise_is_longer_than_the_lease_by_clocks_gate_and_queue() {
    let mut voter = Node::booted(1, With::Witness);
    assert!(grants(
        &voter.at(5000, Event::Request(0, request(0, 1, round(1, 0))))
    ));
    assert_eq!(voter.lease.promised(), Some((boot_id(0), ms(5000) + P)));
    let short = Request {
        lease: L / 2,
        ..request(0, 2, round(1, 0))
    };
    let mut voter = Node::booted(1, With::Witness);
    voter.at(5000, Event::Request(0, short));
    let p = Duration::from_millis(510 + 1 + 20);
    assert_eq!(
        voter.lease.promised(),
        Some((boot_id(0), ms(5000) + p)),
        "its L counts"
    );
}

#[test]
fn law4_an_answer_to_another_nonce_or_boot_or_after_its_bound_is_none() {
    let (mut node, request) = Node::standing(0, With::Witness);
    let nonce = request.nonce;
    assert_eq!(node.at(2001, Event::Granted(1, boot_id(0), nonce + 1)), []);
    assert_eq!(node.at(2001, Event::Granted(1, boot_id(7), nonce)), []);
    assert_eq!(
        node.at(2001, Event::Granted(9, boot_id(0), nonce)),
        [],
        "no voter"
    );
    assert_eq!(
        node.at(2001, Event::Granted(0, boot_id(0), nonce)),
        [],
        "itself"
    );
    let out = node.at(3000, Event::Granted(1, boot_id(0), nonce));
    assert_eq!(until(&out), None, "too old");
    let (mut node, _) = Node::standing(0, With::Witness);
    assert!(until(&node.at(2999, Event::Granted(1, boot_id(0), nonce))).is_some());
}

#[test]
fn law8_a_restarted_voter_of_three_neither_stands_nor_grants_for_one_promise() {
    let mut voter = Node::booted(1, With::Witness);
    assert_eq!(voter.at(0, Event::Stand), []);
    let asks = Event::Request(0, request(0, 1, round(1, 0)));
    assert!(refused(Refusal::Quarantine, &voter.at(1040, asks)));
    assert_eq!(voter.lease.deadline(), ms(0) + P);
    let out = voter.at(1041, Event::Request(0, request(0, 2, round(1, 0))));
    assert!(grants(&out), "{out:?}");
}

#[test]
fn law8_resign_does_not_shorten_the_quarantine() {
    let mut voter = Node::booted(1, With::Witness);
    voter.at(0, Event::Stand);
    assert_eq!(voter.at(10, Event::Resign(0, resign(0, 1, 5))), []);
    assert_eq!(voter.lease.deadline(), ms(0) + P);
    let asks = Event::Request(0, request(0, 6, round(1, 0)));
    assert!(refused(Refusal::Quarantine, &voter.at(11, asks)));
}

#[test]
fn law8_one_of_two_grants_at_once_but_does_not_stand() {
    for with in [With::Nobody, With::Arbiter] {
        let mut voter = Node::booted(1, with);
        assert_eq!(voter.at(0, Event::Stand), []);
        assert!(grants(
            &voter.at(1, Event::Request(0, request(0, 1, round(1, 0))))
        ));
        assert_eq!(voter.at(1041, Event::Time), [], "now for the promise");
    }
}

#[test]
fn law8_the_quarantine_covers_the_longer_lease_of_before() {
    let boot = Boot {
        id: boot_id(1),
        stored: Epoch::default(),
        longest: L * 2,
        nonce: 0,
    };
    let mut lease = Lease::new(settings(1, With::Witness), boot, ms(0), &mut Effects::new());
    lease.step(ms(0), Event::Stand, &mut Effects::new());
    assert_eq!(lease.deadline(), ms(2040 + 21));
}

#[test]
fn a_promise_refuses_every_other_boot_and_keeps_the_highest_nonce() {
    let mut voter = Node::booted(1, With::Witness);
    voter.at(5000, Event::Request(0, request(0, 7, round(1, 0))));
    let other = Request {
        boot: BootId(5),
        ..request(0, 8, round(2, 0))
    };
    assert!(refused(
        Refusal::Promised,
        &voter.at(5001, Event::Request(0, other))
    ));
    assert!(grants(
        &voter.at(5100, Event::Request(0, request(0, 3, round(1, 0))))
    ));
    assert_eq!(
        voter.lease.promised(),
        Some((boot_id(0), ms(5100) + P)),
        "extended"
    );
    voter.at(5101, Event::Resign(0, resign(0, 1, 6)));
    assert!(voter.lease.promised().is_some(), "nonce 7 is not covered");
    voter.at(5102, Event::Resign(0, resign(4, 1, 9)));
    assert!(voter.lease.promised().is_some(), "another boot");
    voter.at(5103, Event::Resign(0, resign(0, 1, 7)));
    assert_eq!(voter.lease.promised(), None);
}

#[test]
fn what_was_asked_before_a_resign_is_never_granted() {
    let mut voter = Node::booted(1, With::Witness);
    voter.at(5000, Event::Resign(0, resign(0, 1, 7)));
    let late = Event::Request(0, request(0, 7, round(1, 0)));
    assert!(refused(Refusal::Resigned, &voter.at(5001, late)));
    voter.at(5002, Event::Resign(0, resign(0, 1, 3)));
    assert!(
        refused(Refusal::Resigned, &voter.at(5003, late)),
        "an older RESIGN"
    );
    assert!(grants(
        &voter.at(5004, Event::Request(0, request(0, 8, round(1, 0))))
    ));
}

#[test]
fn a_group_that_begins_again_in_one_boot_asks_what_was_not_resigned() {
    let mut voter = Node::booted(1, With::Nobody);
    let mut holder = Node::holding(0, With::Nobody);
    let out = holder.at(2900, Event::HandOver(1));
    let Some(Effect::Resign(resign)) = out.last() else {
        panic!("{out:?}");
    };
    voter.at(2901, Event::Resign(0, *resign));
    let mut answer = |nonce| {
        let boot = Boot {
            id: boot_id(0),
            stored: round(2, 0),
            longest: Duration::ZERO,
            nonce,
        };
        let mut out = Effects::new();
        let lease = Lease::new(settings(0, With::Nobody), boot, ms(3000), &mut out);
        let mut again = Node { lease, out };
        again.at(3001, Event::Persisted(round(64, 0)));
        let asks = asked(&again.at(5000, Event::Stand));
        voter.at(5001, Event::Request(0, asks))
    };
    assert!(refused(Refusal::Resigned, &answer(0)));
    assert!(grants(&answer(2_900_000_000)));
}

#[test]
fn another_list_of_voters_a_longer_lease_or_a_stranger_gets_nothing() {
    let mut voter = Node::booted(1, With::Witness);
    let ask = request(0, 1, round(1, 0));
    let other = Request { voters: 78, ..ask };
    assert!(refused(
        Refusal::Voters,
        &voter.at(5000, Event::Request(0, other))
    ));
    let longer = Request {
        lease: L * 2,
        ..ask
    };
    assert!(refused(
        Refusal::Lease,
        &voter.at(5000, Event::Request(0, longer))
    ));
    for from in [1, WITNESS, 63, 64, 255] {
        assert_eq!(voter.at(5000, Event::Request(from, ask)), []);
    }
    let group = Request { group: 8, ..ask };
    assert_eq!(voter.at(5000, Event::Request(0, group)), []);
}

#[test]
fn an_epoch_is_stored_before_it_is_granted_and_a_lower_one_refused() {
    let mut voter = Node::booted(1, With::Witness);
    let high = Event::Request(0, request(0, 1, round(100, 0)));
    let out = voter.at(5000, high);
    assert_eq!(out[0], Effect::Persist(round(164, 0)));
    assert!(refused(Refusal::Storing, &out[1..]));
    assert!(!grants(&voter.at(5001, high)), "not stored yet");
    assert_eq!(voter.at(5002, Event::Persisted(round(164, 0))), []);
    assert!(grants(&voter.at(5003, high)));
    let out = voter.at(5004, Event::Request(0, request(0, 2, round(99, 0))));
    assert_eq!(out, [Effect::Refuse(0, Refusal::Epoch, round(100, 0))]);
}

#[test]
fn what_was_seen_is_stored_before_anybody_asks_for_it() {
    let (mut node, _) = Node::standing(1, With::Witness);
    node.at(2010, Event::Rest);
    assert!(node.lease.is_ready());
    let restarted = round(100, 0);
    let out = node.at(2020, Event::Seen(restarted));
    assert_eq!(out, [Effect::Persist(round(164, 0))]);
    assert!(!node.lease.is_ready(), "the next epoch is not stored");
    assert_eq!(node.at(2021, Event::Seen(restarted)), [], "it is under way");
    node.at(2030, Event::Persisted(round(164, 0)));
    assert!(node.lease.is_ready());
    let out = node.at(2040, Event::Request(0, request(0, 1, restarted)));
    assert!(grants(&out), "{out:?}");
}

#[test]
fn a_restart_grants_nothing_below_what_was_stored_ahead() {
    let boot = Boot {
        id: boot_id(1),
        stored: round(64, 0),
        longest: Duration::ZERO,
        nonce: 0,
    };
    let mut out = Effects::new();
    let mut lease = Lease::new(settings(1, With::Nobody), boot, ms(0), &mut out);
    assert_eq!(out[..], [Effect::Persist(round(128, 0))]);
    out.clear();
    lease.step(
        ms(1),
        Event::Request(0, request(0, 1, round(63, 0))),
        &mut out,
    );
    assert_eq!(out[..], [Effect::Refuse(0, Refusal::Epoch, round(64, 0))]);
}

#[test]
fn a_candidate_asks_nothing_before_its_epoch_is_stored() {
    let boot = Boot {
        id: boot_id(0),
        stored: Epoch::default(),
        longest: Duration::ZERO,
        nonce: 0,
    };
    let mut out = Effects::new();
    let mut lease = Lease::new(settings(0, With::Arbiter), boot, ms(0), &mut out);
    out.clear();
    lease.step(ms(2000), Event::Stand, &mut out);
    lease.step(ms(2500), Event::Time, &mut out);
    assert_eq!(out[..], []);
    assert_eq!(
        lease.deadline(),
        Instant::NEVER,
        "it waits, and is not woken in vain"
    );
    lease.step(ms(2600), Event::Persisted(round(64, 0)), &mut out);
    assert_eq!(asked(&out).epoch, round(1, 0));
}

#[test]
fn a_holder_does_not_grant() {
    let mut holder = Node::holding(0, With::Witness);
    let better = Request {
        priority: 200,
        ..request(1, 1, round(9, 1))
    };
    let out = holder.at(2100, Event::Request(1, better));
    assert!(refused(Refusal::Holding, &out));
    assert!(holder.until().is_some());
}

#[test]
fn who_grants_abandons_what_it_asked_itself() {
    let (mut node, asked) = Node::standing(0, With::Witness);
    let out = node.at(2001, Event::Request(1, request(1, 1, round(2, 1))));
    assert!(grants(&out), "the better rank");
    let late = Event::Granted(WITNESS, boot_id(0), asked.nonce);
    assert_eq!(node.at(2002, late), []);
    assert_eq!(node.lease.deadline(), ms(2001) + P);
}

#[test]
fn a_candidate_refuses_a_worse_one_but_not_for_ever() {
    let (mut node, own) = Node::standing(1, With::Witness);
    let worse = |nonce| Event::Request(0, request(0, nonce, round(3, 0)));
    let out = node.at(2001, worse(1));
    assert!(refused(Refusal::Outranked, &out[..1]));
    assert!(asked(&out).nonce > own.nonce, "so that it gives way");
    node.at(3001, Event::Time);
    assert!(!node.lease.stands(), "it did not win within L");
    assert!(grants(&node.at(3002, worse(2))));
}

#[test]
fn a_refused_holder_raises_its_epoch_and_serves_on() {
    let mut holder = Node::holding(0, With::Witness);
    let before = holder.lease.authority().unwrap();
    holder.at(2100, Event::Refused(1, round(40, 1)));
    let raised = asked(&holder.at(2200, Event::Time));
    assert_eq!(raised.epoch, round(41, 0));
    assert_eq!(holder.lease.authority().unwrap().epoch, before.epoch);
    holder.at(2210, Event::Granted(1, boot_id(0), raised.nonce));
    let after = holder.lease.authority().unwrap();
    assert_eq!((after.epoch, after.until), (round(41, 0), ms(3200)));
}

#[test]
fn a_candidate_that_is_refused_for_its_epoch_asks_again_once_as_soon_as_it_is_stored() {
    let (mut node, first) = Node::standing(0, With::Nobody);
    let said = |out: &[Effect]| out.iter().any(|e| matches!(e, Effect::Request(_)));
    assert!(said(&node.at(2200, Event::Time)));
    let out = node.at(2201, Event::Refused(1, round(100, 1)));
    assert!(!said(&out), "101 is not stored: {out:?}");
    let out = node.at(2202, Event::Refused(1, round(100, 1)));
    assert!(!said(&out), "the same by another path");
    let raised = asked(&node.at(2203, Event::Persisted(round(192, 0))));
    assert_eq!((raised.epoch, raised.holding), (round(101, 0), false));
    assert!(raised.nonce > first.nonce);

    let out = node.at(2204, Event::Refused(1, round(120, 1)));
    assert!(!said(&out), "two that outbid each other do so by the beat");
    assert_eq!(asked(&node.at(2400, Event::Time)).epoch, round(121, 0));
}

#[test]
fn of_several_voters_one_that_refuses_does_not_make_the_grants_of_the_others_worthless() {
    let (mut node, first) = Node::standing(0, With::Witness);
    let out = node.at(2001, Event::Refused(1, round(40, 1)));
    let asks = |effect: &Effect| matches!(effect, Effect::Request(_));
    assert!(!out.iter().any(asks), "41 is stored: {out:?}");
    node.at(2002, Event::Granted(WITNESS, boot_id(0), first.nonce));
    assert_eq!(node.until(), Some(ms(3000)));
}

#[test]
fn a_voter_in_quarantine_does_not_raise_the_epoch_of_others() {
    let boot = Boot {
        id: boot_id(1),
        stored: round(64, 0),
        longest: Duration::ZERO,
        nonce: 0,
    };
    let mut out = Effects::new();
    let lease = Lease::new(settings(1, With::Witness), boot, ms(0), &mut out);
    let mut voter = Node { lease, out };
    voter.at(1, Event::Persisted(round(128, 0)));
    let low = round(2, 0);
    let floor = |out: &[Effect]| match out.first() {
        Some(&Effect::Refuse(0, why, floor)) => (why, floor),
        other => panic!("{other:?}"),
    };
    let asks = |nonce| Event::Request(0, request(0, nonce, low));
    let refused = floor(&voter.at(2, asks(1)));
    assert_eq!(refused, (Refusal::Quarantine, low));
    let refused = floor(&voter.at(1500, asks(2)));
    assert_eq!(
        refused,
        (Refusal::Epoch, round(64, 0)),
        "when it could grant"
    );
}

#[test]
fn an_authority_below_the_own_epoch_is_not_used() {
    let (mut node, first) = Node::standing(0, With::Witness);
    node.at(2001, Event::Refused(1, round(40, 1)));
    node.at(2200, Event::Time);
    assert_eq!(
        node.at(2201, Event::Granted(WITNESS, boot_id(0), first.nonce)),
        []
    );
}

#[test]
fn resign_closes_first_and_forgets_every_outstanding_nonce() {
    let mut holder = Node::holding(0, With::Witness);
    let last = asked(&holder.at(2200, Event::Time));
    let out = holder.at(2210, Event::HandOver(1));
    assert_eq!(out[0], Effect::Lost(Loss::Resigned));
    let told = resign(0, 1, last.nonce);
    assert_eq!(out[1..], [Effect::Resign(told)]);
    for voter in [1, WITNESS] {
        let late = Event::Granted(voter, boot_id(0), last.nonce);
        assert_eq!(holder.at(2211, late), []);
    }
    assert_eq!(holder.lease.authority(), None);
    let asks = Event::Request(1, request(1, 1, round(2, 1)));
    assert!(
        grants(&holder.at(2212, asks)),
        "its own vote is free for the successor"
    );
}

#[test]
fn the_named_successor_stands_at_once_and_others_wait() {
    for (to, stands) in [(1, true), (0, false)] {
        let mut voter = Node::booted(1, With::Witness);
        voter.at(2000, Event::Request(0, request(0, 1, round(1, 0))));
        voter.at(2001, Event::Stand);
        assert!(!voter.lease.stands(), "promised");
        voter.at(2002, Event::Resign(0, resign(0, to, 1)));
        assert_eq!(voter.lease.stands(), stands);
    }
}

#[test]
fn the_named_successor_asks_at_once_though_it_was_refused_a_moment_ago() {
    let (mut node, first) = Node::standing(1, With::Witness);
    node.at(2001, Event::Refused(0, round(1, 0)));
    let out = node.at(2002, Event::Resign(0, resign(0, 1, 7)));
    assert!(asked(&out).nonce > first.nonce);
}

#[test]
fn the_named_successor_stands_anew_though_it_stood_in_the_way_of_the_holder() {
    let (mut node, _) = Node::standing(1, With::Witness);
    let renews = Request {
        holding: true,
        ..request(0, 7, round(3, 0))
    };
    node.at(2001, Event::Request(0, renews));
    node.at(3000, Event::Resign(0, resign(0, 1, 7)));
    node.at(3001, Event::Time);
    assert!(node.lease.stands(), "L after it refused the holder");
    let nonce = node.lease.nonce;
    assert!(until(&node.at(3002, Event::Granted(WITNESS, boot_id(1), nonce))).is_some());
}

#[test]
fn the_named_successor_asks_again_soon_if_its_question_came_before_the_resign() {
    let mut node = Node::booted(1, With::Witness);
    node.at(2000, Event::Stand);
    node.at(2001, Event::Resign(0, resign(0, 1, 7)));
    let again = |out: &[Effect]| out.iter().any(|e| matches!(e, Effect::Request(_)));
    let asks = (2002..2190).filter(|at| again(&node.at(*at, Event::Time)));
    assert_eq!(asks.collect::<Vec<_>>(), [2003, 2005, 2007, 2009]);
    node.at(2200, Event::Time);
    let first = node.at(2210, Event::Granted(WITNESS, boot_id(1), node.lease.nonce));
    assert!(until(&first).is_some());
    assert_eq!(node.lease.deadline(), ms(2400));
}

#[test]
fn who_handed_over_takes_back_at_once_when_it_is_named() {
    let mut node = Node::holding(0, With::Witness);
    node.at(2100, Event::HandOver(1));
    node.at(2110, Event::Request(1, request(1, 1, round(2, 1))));
    let out = node.at(2200, Event::Resign(1, resign(1, 0, 1)));
    assert!(asked(&out).epoch > round(2, 1));
}

#[test]
fn a_witness_never_stands() {
    let mut witness = Node::booted(WITNESS, With::Witness);
    assert_eq!(witness.at(9000, Event::Stand), []);
    assert_eq!(witness.lease.deadline(), Instant::NEVER);
}

#[test]
fn the_arbiter_is_asked_only_when_acks_have_stopped_and_given_back_when_they_return() {
    let mut holder = Node::holding(0, With::Arbiter);
    let quiet = holder.at(2500, Event::Time);
    assert!(
        !quiet.iter().any(|e| matches!(e, Effect::Contend(..))),
        "{quiet:?}"
    );
    let out = holder.at(2510, Event::Time);
    let &[Effect::Contend(ticket, epoch)] = &out[..] else {
        panic!("{out:?}");
    };
    assert_eq!(epoch, round(1, 0));
    holder.at(2515, Event::Arbiter(ticket + 9, ms(9000)));
    assert_eq!(holder.until(), Some(ms(3000)), "another contest");
    let out = holder.at(2520, Event::Arbiter(ticket, ms(9000)));
    assert_eq!(until(&out), Some(ms(3500)), "its own vote, renewed at 2500");
    let next = asked(&holder.at(2700, Event::Time));
    let out = holder.at(2710, Event::Granted(1, boot_id(0), next.nonce));
    assert_eq!(out.last(), Some(&Effect::Withdraw(ticket)));
    assert_eq!(holder.until(), Some(ms(3700)));
}

#[test]
fn the_standby_leaves_the_holder_a_head_start_at_the_arbiter() {
    let (mut node, _) = Node::standing(1, With::Arbiter);
    let asks = |out: Vec<Effect>| out.iter().any(|e| matches!(e, Effect::Contend(..)));
    assert!(!asks(node.at(2199, Event::Time)));
    assert!(asks(node.at(2200, Event::Time)));
}

#[test]
fn who_grants_withdraws_from_the_arbiter_and_a_late_win_gives_nothing() {
    let (mut node, _) = Node::standing(0, With::Arbiter);
    let out = node.at(2200, Event::Time);
    let Some(&Effect::Contend(ticket, _)) = out.last() else {
        panic!("{out:?}");
    };
    let out = node.at(2201, Event::Request(1, request(1, 1, round(2, 1))));
    assert_eq!(out[0], Effect::Withdraw(ticket));
    assert!(grants(&out));
    assert_eq!(node.at(2202, Event::Arbiter(ticket, ms(9000))), []);
}

#[test]
fn with_the_arbiters_vote_nothing_is_granted_and_its_loss_closes() {
    let (mut node, _) = Node::standing(0, With::Arbiter);
    let out = node.at(2200, Event::Time);
    let Some(&Effect::Contend(ticket, _)) = out.last() else {
        panic!("{out:?}");
    };
    node.at(2201, Event::Arbiter(ticket, ms(9000)));
    let asks = Event::Request(1, request(1, 1, round(2, 1)));
    assert!(refused(Refusal::Holding, &node.at(2202, asks)));
    let out = node.at(2203, Event::ArbiterLost(ticket));
    assert_eq!(out[0], Effect::Lost(Loss::Lapsed));
}

#[test]
fn one_of_a_pair_goes_on_alone_but_only_while_it_lives() {
    let mut holder = Node::holding(0, With::Nobody);
    for at in (2200..2510).step_by(200) {
        holder.at(at, Event::Time);
        assert_eq!(holder.until(), Some(ms(3000)), "acks have not stopped");
    }
    holder.at(2600, Event::Time);
    assert_eq!(holder.until(), Some(ms(3600)), "with the heartbeat of now");
    assert!(holder.lease.authority().unwrap().alone);
    let out = holder.at(3600, Event::Time);
    assert_eq!(out, [Effect::Lost(Loss::Lapsed)], "frozen for L");
    holder.runs(3600, 4641);
    assert!(!holder.lease.stands(), "it waits ...");
    holder.at(4641, Event::Time);
    assert!(holder.lease.stands(), "... and looks");
}

#[test]
fn one_of_a_pair_goes_on_alone_before_its_end_where_acks_come_late() {
    let mut holder = Node::holding(0, With::Nobody);
    let request = asked(&holder.at(2200, Event::Time));
    holder.at(2400, Event::Time);
    let late = Event::Granted(1, boot_id(0), request.nonce);
    holder.at(2590, late);
    assert_eq!(holder.until(), Some(ms(3200)));
    for at in (2600..2801).step_by(200) {
        holder.at(at, Event::Time);
        assert_eq!(holder.until(), Some(ms(3200)), "acks have not stopped");
    }
    holder.at(3000, Event::Time);
    assert_eq!(holder.until(), Some(ms(4000)));
    holder.at(3010, late);
    assert_eq!(holder.until(), Some(ms(4000)), "too old to rely on");
}

#[test]
fn one_of_a_pair_begins_alone_only_after_silence_and_an_unanswered_look() {
    let mut node = Node::booted(0, With::Nobody);
    node.runs(0, 1500);
    node.at(1500, Event::Refused(1, round(3, 1)));
    node.runs(1500, 2000);
    let out = node.at(2000, Event::Stand);
    assert!(
        !out.iter().any(|e| matches!(e, Effect::Look(_))),
        "heard at 1500"
    );
    node.runs(2000, 2541);
    let out = node.at(2541, Event::Time);
    let Some(&Effect::Look(ticket)) = out.last() else {
        panic!("{out:?}");
    };
    node.at(2545, Event::Looked(ticket, true));
    assert_eq!(node.until(), None, "somebody answers: stay");
    let looks = |effect: &Effect| matches!(effect, Effect::Look(_));
    for at in (2550..3586).step_by(50) {
        let out = node.at(at, Event::Time);
        assert!(!out.iter().any(looks), "its gate may be open, at {at}");
    }
    let out = node.at(3586, Event::Time);
    let Some(&Effect::Look(ticket)) = out.iter().find(|effect| looks(effect)) else {
        panic!("{out:?}");
    };
    let out = node.at(3590, Event::Looked(ticket, false));
    assert!(asked(&out).nonce > ticket, "together with a heartbeat");
    assert_eq!(node.until(), Some(ms(4590)));
}

/// One of a pair that has just asked the network; with the number of its look.
fn looking(node: u8) -> (Node, u64) {
    let mut node = Node::booted(node, With::Nobody);
    node.runs(0, 2000);
    let out = node.at(2000, Event::Stand);
    let Some(&Effect::Look(ticket)) = out.last() else {
        panic!("{out:?}");
    };
    (node, ticket)
}

/// Nobody acknowledges what it asks now, so that it goes on by its own vote.
#[test]
fn law4_an_answer_of_long_ago_is_no_acknowledgement() {
    let mut node = Node::holding(1, With::Nobody);
    let (mut old, mut at) = (None, 2050);
    while at < 3400 {
        let out = node.at(at, Event::Time);
        let request = out.iter().find_map(|effect| match effect {
            Effect::Request(request) => Some(request.nonce),
            _ => None,
        });
        old = old.or(request);
        at += 50;
    }
    let is_alone = |node: &Node| node.lease.authority().is_some_and(|own| own.alone);
    assert!(is_alone(&node));
    let nonce = old.expect("it asked");
    node.at(3400, Event::Granted(0, boot_id(1), nonce));
    assert!(is_alone(&node));
}

/// Story 903160: the other one was dead, came back just when this one stood, and stored its epoch first.
#[test]
fn a_voter_of_a_pair_that_is_storing_the_epoch_is_asked_again_soon() {
    let (mut node, _) = Node::standing(1, With::Nobody);
    let out = node.at(2001, Event::Storing(0, Epoch::default()));
    assert!(
        !out.iter().any(|e| matches!(e, Effect::Request(_))),
        "a moment later"
    );
    let first = asked(&node.at(2003, Event::Time));
    // By a second path.
    node.at(2004, Event::Storing(0, Epoch::default()));
    node.at(2004, Event::Storing(0, Epoch::default()));
    assert_eq!(node.lease.deadline(), ms(2008));
    let second = asked(&node.at(2008, Event::Time));
    assert!(second.nonce > first.nonce);
    // Not for ever, and never later than the beat.
    for at in 2009..2200 {
        node.at(at, Event::Storing(0, Epoch::default()));
    }
    assert!(node.lease.nonce < second.nonce + 6);
    assert!(node.lease.deadline() <= ms(2200));
}

#[test]
fn of_several_voters_none_is_asked_again_sooner() {
    let (mut node, _) = Node::standing(1, With::Witness);
    node.at(2001, Event::Storing(0, Epoch::default()));
    assert_eq!(node.lease.deadline(), ms(2200));
}

#[test]
fn of_two_that_look_at_the_same_time_one_looks_again_at_once_and_the_other_waits() {
    let looks = |out: &[Effect]| out.iter().any(|e| matches!(e, Effect::Look(_)));
    let (mut first, ticket) = looking(1);
    first.at(2013, Event::Probed(ticket));
    assert_eq!(first.until(), None, "it does not hold");
    assert!(!looks(&first.at(2022, Event::Time)), "the other one probes");
    let out = first.at(2023, Event::Time);
    let Some(&Effect::Look(ticket)) = out.last() else {
        panic!("{out:?}");
    };
    first.at(2036, Event::Looked(ticket, false));
    assert!(first.until().is_some());

    let (mut second, ticket) = looking(0);
    second.at(2013, Event::Probed(ticket));
    for at in (2050..3050).step_by(50) {
        assert!(!looks(&second.at(at, Event::Time)), "at {at}");
    }
    assert!(looks(&second.at(3054, Event::Time)), "P after the look");
    assert_eq!(second.until(), None);
}

#[test]
fn a_probe_during_a_look_of_before_is_none() {
    let (mut node, ticket) = looking(1);
    node.at(2001, Event::Probed(ticket + 1));
    node.at(2013, Event::Looked(ticket, false));
    let until = node.until();
    assert!(until.is_some());
    node.at(2014, Event::Probed(ticket));
    assert_eq!(node.until(), until);
}

#[test]
fn a_sign_of_life_during_the_look_makes_its_answer_worthless() {
    let (mut node, _) = Node::standing(0, With::Nobody);
    node.runs(2050, 3050);
    let out = node.at(3050, Event::Time);
    let Some(&Effect::Look(ticket)) = out.last() else {
        panic!("{out:?}");
    };
    node.at(3055, Event::Heard);
    node.at(3063, Event::Looked(ticket, false));
    assert_eq!(node.until(), None);
}

#[test]
fn one_of_a_pair_that_stood_still_waits_again_for_a_sign_of_life() {
    let mut node = Node::booted(0, With::Nobody);
    node.runs(0, 800);
    let looks = |out: &[Effect]| out.iter().any(|e| matches!(e, Effect::Look(_)));
    assert!(!looks(&node.at(1300, Event::Stand)), "it was deaf");
    for at in (1350..2341).step_by(50) {
        assert!(!looks(&node.at(at, Event::Time)), "at {at}");
    }
    assert!(looks(&node.at(2341, Event::Time)), "P after it could hear");
}

#[test]
fn one_of_a_pair_that_stood_still_extends_nothing_by_its_own_vote() {
    let mut alone = Node::holding(0, With::Nobody);
    for at in (2200..2801).step_by(200) {
        alone.at(at, Event::Time);
    }
    assert!(alone.lease.authority().unwrap().alone);
    let mut slept = Node {
        lease: alone.lease.clone(),
        out: Effects::new(),
    };
    alone.at(3200, Event::Time);
    assert_eq!(alone.until(), Some(ms(4200)), "late, and it was awake");
    let out = slept.at(3201, Event::Time);
    assert_eq!(out, [Effect::Lost(Loss::Lapsed)], "L is over at 3800 only");
    slept.runs(3201, 4242);
    assert!(!slept.lease.stands(), "another may hold");
}

#[test]
fn a_holder_that_stood_still_is_acknowledged_again_or_ends() {
    let stood_still = || {
        let mut holder = Node::holding(0, With::Nobody);
        holder.at(2300, Event::Time);
        let request = asked(&holder.at(2910, Event::Time));
        assert_eq!(holder.until(), Some(ms(3000)), "not by its own vote");
        (holder, request)
    };
    let (mut holder, request) = stood_still();
    holder.at(2912, Event::Granted(1, boot_id(0), request.nonce));
    assert_eq!(holder.until(), Some(ms(3910)));

    let (mut unheard, _) = stood_still();
    assert_eq!(unheard.at(3000, Event::Time)[0], Effect::Lost(Loss::Lapsed));
}

#[test]
fn a_look_that_takes_longer_than_a_lease_is_waited_for() {
    let short = Settings {
        lease: Duration::from_millis(4),
        interval: Duration::from_millis(1),
        ..settings(0, With::Nobody)
    };
    let boot = Boot {
        id: boot_id(0),
        stored: round(64, 0),
        longest: Duration::ZERO,
        nonce: 0,
    };
    let mut out = Effects::new();
    let mut lease = Lease::new(short, boot, ms(0), &mut out);
    lease.step(ms(0), Event::Persisted(round(128, 0)), &mut out);
    out.clear();
    let mut looked = None;
    for at in 0..60 {
        let event = if at == 0 { Event::Stand } else { Event::Time };
        lease.step(ms(at), event, &mut out);
        for effect in out.drain(..) {
            if let Effect::Look(ticket) = effect {
                looked.get_or_insert((ticket, at));
            }
        }
        if let Some((ticket, begun)) = looked
            && at == begun + 13
        {
            lease.step(ms(at), Event::Looked(ticket, false), &mut out);
            assert!(lease.authority().is_some_and(|own| own.alone), "{out:?}");
            return;
        }
    }
    panic!("it never looked");
}

#[test]
fn law4_an_answer_to_a_look_of_long_ago_is_none() {
    let mut node = Node::booted(0, With::Nobody);
    node.runs(0, 2000);
    let out = node.at(2000, Event::Stand);
    let Some(&Effect::Look(ticket)) = out.last() else {
        panic!("{out:?}");
    };
    // The agent stood still; meanwhile the other one looked as well, and holds.
    node.at(9000, Event::Looked(ticket, false));
    assert_eq!(node.until(), None);
    // It waits for a sign of life, and looks again.
    let looks = |out: &[Effect]| out.iter().any(|e| matches!(e, Effect::Look(_)));
    let mut times = (9050..10_100).step_by(50);
    assert!(times.any(|at| looks(&node.at(at, Event::Time))));
}

#[test]
fn of_two_that_hold_the_lesser_closes_at_once_and_the_other_announces() {
    let meet = |epoch| Request {
        holding: true,
        ..request(1, 1, epoch)
    };
    let mut holder = Node::holding(0, With::Nobody);
    let out = holder.at(2100, Event::Request(1, meet(round(0, 1))));
    assert_eq!(out[0], Effect::Announce);
    assert!(refused(Refusal::Holding, &out[1..]));
    let out = holder.at(2101, Event::Request(1, meet(round(1, 1))));
    assert_eq!(out[0], Effect::Lost(Loss::Outranked));
    assert_eq!(holder.until(), None);
}

#[test]
fn a_late_word_of_a_later_holder_closes_one_of_a_pair_and_counts_for_nothing_else() {
    let late = |epoch, holding| {
        let request = request(1, 1, epoch);
        Event::Late(1, Request { holding, ..request })
    };
    let mut holder = Node::holding(0, With::Nobody);
    assert_eq!(holder.at(2100, late(round(9, 1), false)), [], "no holder");
    assert_eq!(holder.at(2101, late(round(0, 1), true)), [Effect::Announce]);
    assert!(holder.until().is_some());
    let out = holder.at(2102, late(round(1, 1), true));
    assert_eq!(out[0], Effect::Lost(Loss::Outranked));
    assert_eq!(holder.until(), None);
    let mut standby = Node::booted(1, With::Nobody);
    standby.at(2000, Event::Late(0, request(0, 1, round(1, 0))));
    assert_eq!(standby.lease.promised(), None, "nor is it granted");
    let mut holder = Node::holding(0, With::Witness);
    assert_eq!(holder.at(2100, late(round(9, 1), true)), []);
    assert!(holder.until().is_some(), "a majority knows better");
}

#[test]
fn who_rests_resigns_to_nobody_and_the_votes_are_free() {
    let mut holder = Node::holding(0, With::Witness);
    let out = holder.at(2100, Event::Rest);
    assert!(matches!(
        out[..],
        [Effect::Lost(_), Effect::Resign(Resign { to: None, .. })]
    ));
    assert_eq!(holder.lease.deadline(), Instant::NEVER);
    let (mut node, _) = Node::standing(0, With::Witness);
    let out = node.at(2100, Event::Rest);
    assert!(
        matches!(out[..], [Effect::Resign(Resign { to: None, .. })]),
        "a candidate as well: somebody may have granted"
    );
    assert_eq!(node.at(2101, Event::Rest), [], "once");
    assert_eq!(node.lease.deadline(), Instant::NEVER);
}

#[test]
fn a_candidate_that_gives_way_frees_the_votes_that_it_got_already() {
    let (mut worse, asked) = Node::standing(0, With::Witness);
    let mut witness = Node::booted(WITNESS, With::Witness);
    assert!(grants(&witness.at(2001, Event::Request(0, asked))));
    let (mut better, _) = Node::standing(1, With::Witness);
    better.at(2002, Event::Refused(WITNESS, asked.epoch));
    let theirs = super::tests::asked(&better.at(2200, Event::Time));
    let out = witness.at(2201, Event::Request(1, theirs));
    assert!(refused(Refusal::Promised, &out));
    let out = worse.at(2202, Event::Request(1, theirs));
    let [Effect::Resign(resign), Effect::Grant(1, ..)] = out[..] else {
        panic!("{out:?}");
    };
    assert_eq!((resign.to, resign.nonce_last), (Some(1), asked.nonce));
    witness.at(2203, Event::Resign(0, resign));
    let again = super::tests::asked(&better.at(2400, Event::Time));
    assert!(grants(&witness.at(2401, Event::Request(1, again))));
}

#[test]
fn the_end_of_all_numbers_is_no_candidacy_and_no_panic() {
    let mut node = Node::booted(0, With::Witness);
    node.at(2000, Event::Seen(Epoch::from_number(u64::MAX)));
    assert_eq!(node.at(2001, Event::Stand), []);
    assert_eq!(node.lease.deadline(), Instant::NEVER);
}
