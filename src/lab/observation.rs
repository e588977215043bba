//! What was seen, and what does it say? Gaps, takeovers and overlaps from the replies on the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::frame::{Advert, Announcement};
use crate::core::Instant;

/// An answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// When the kernel received it.
    pub at: Instant,
    /// The address that answered.
    pub address: IpAddr,
    /// The host that answered, by its hardware address.
    pub from: Arc<str>,
    /// What it answered.
    pub question: Question,
}

/// What the client asks for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// An echo, of ICMP or ICMPv6.
    Echo,
    /// The hardware address, by ARP or neighbour solicitation.
    Neighbour,
}

/// A time without an answer, between two answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last answer before.
    pub from: Instant,
    /// The first answer after.
    pub until: Instant,
    /// Who answered before.
    pub before: Arc<str>,
    /// Who answered after.
    pub after: Arc<str>,
}

impl Gap {
    /// How long nobody answered.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.until.since(self.from)
    }

    fn between(pair: &[&Reply]) -> Option<Gap> {
        let &[before, after] = pair else {
            return None;
        };
        Some(Gap {
            from: before.at,
            until: after.at,
            before: Arc::clone(&before.from),
            after: Arc::clone(&after.from),
        })
    }
}

/// Everything that a watch has seen, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Between two questions to the same address.
    pub every: Duration,
    /// Answers to the questions.
    pub replies: Vec<Reply>,
    /// VRRP adverts of everybody.
    pub adverts: Vec<Advert>,
    /// Gratuitous ARP and unsolicited NA of everybody.
    pub announcements: Vec<Announcement>,
    /// Questions that were sent.
    pub asked: u64,
    /// When each round of questions began.
    pub rounds: Vec<Instant>,
    /// Frames that came too fast to be seen: with any, the figures are in doubt.
    pub missed: u32,
}

impl Observation {
    pub(super) fn reply(
        &mut self,
        at: Instant,
        address: IpAddr,
        from: Arc<str>,
        question: Question,
    ) {
        self.replies.push(Reply {
            at,
            address,
            from,
            question,
        });
    }

    /// The answers for one address from `after` on.
    pub fn replies_for(&self, address: IpAddr, after: Instant) -> impl Iterator<Item = &Reply> {
        let first = self.replies.partition_point(|reply| reply.at < after);
        self.replies[first..]
            .iter()
            .filter(move |reply| reply.address == address)
    }

    /// The first answer of `host` for the address from `after` on.
    #[must_use]
    pub fn first_reply_from(&self, host: &str, address: IpAddr, after: Instant) -> Option<&Reply> {
        self.replies_for(address, after)
            .find(|reply| &*reply.from == host)
    }

    /// The last answer for the address.
    #[must_use]
    pub fn last_reply(&self, address: IpAddr) -> Option<&Reply> {
        self.replies
            .iter()
            .rev()
            .find(|reply| reply.address == address)
    }

    /// Who has answered for the address from `after` on and has not been followed by another one: a host whose
    /// last answer came before the first of another one there has given the address up.
    #[must_use]
    pub fn holders(&self, address: IpAddr, after: Instant) -> BTreeSet<&str> {
        let mut spans: BTreeMap<&str, Span> = BTreeMap::new();
        for reply in self.replies_for(address, after) {
            let span = spans.entry(&reply.from).or_insert(Span::at(reply.at));
            span.until = reply.at;
        }
        let is_followed = |span: &Span| spans.values().any(|other| span.until < other.from);
        let holding = spans.iter().filter(|(_, span)| !is_followed(span));
        holding.map(|(host, _)| *host).collect()
    }

    /// From the last answer of another host to the first one of `host` from `after` on.
    #[must_use]
    pub fn takeover(&self, host: &str, address: IpAddr, after: Instant) -> Option<Gap> {
        let first = self.first_reply_from(host, address, after)?;
        let of_others = |reply: &&Reply| {
            reply.address == address && reply.at <= first.at && &*reply.from != host
        };
        let last = self.replies.iter().rev().find(of_others)?;
        Gap::between(&[last, first])
    }

    /// The longest time without an answer for the address between two instants.
    #[must_use]
    pub fn longest_gap(&self, address: IpAddr, from: Instant, until: Instant) -> Option<Gap> {
        let within = self
            .replies_for(address, from)
            .take_while(|reply| reply.at <= until);
        let replies: Vec<&Reply> = within.collect();
        replies
            .windows(2)
            .filter_map(Gap::between)
            .max_by_key(Gap::length)
    }

    /// The longest time without an answer for the address between two instants, the begin and the
    /// end of which need no answers.
    #[must_use]
    pub fn longest_silence(&self, address: IpAddr, from: Instant, until: Instant) -> Duration {
        let within = self
            .replies_for(address, from)
            .take_while(|reply| reply.at <= until);
        let mut longest = Duration::ZERO;
        let mut last = from;
        for at in within.map(|reply| reply.at).chain([until]) {
            longest = longest.max(at.since(last));
            last = at;
        }
        longest
    }

    /// The time without an answer for the address in which `at` lies.
    #[must_use]
    pub fn gap_around(&self, address: IpAddr, at: Instant) -> Option<Gap> {
        let after = self.replies_for(address, at).next()?;
        let earlier = |reply: &&Reply| reply.address == address && reply.at < at;
        let before = self.replies.iter().rev().find(earlier)?;
        Gap::between(&[before, after])
    }

    /// For how long more than one host answered for the address.
    ///
    /// A host answers from one reply to its next when these are at most ten questions apart.
    /// Only [`super::Ask::Hosts`] can see it all: otherwise each question goes to one host.
    #[must_use]
    pub fn overlap(&self, address: IpAddr) -> Duration {
        let mut spans: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
        let together = self.every * 10;
        for reply in self.replies_for(address, Instant::default()) {
            let of_host = spans.entry(&reply.from).or_default();
            match of_host.last_mut() {
                Some(span) if reply.at.since(span.until) <= together => span.until = reply.at,
                _ => of_host.push(Span::at(reply.at)),
            }
        }
        let spans: Vec<Vec<Span>> = spans.into_values().collect();
        let pairs = (0..spans.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        pairs.map(|(a, b)| common(&spans[a], &spans[b])).sum()
    }

    /// Rounds of questions in which more than one host answered for the address: between a round
    /// and the next.
    #[must_use]
    pub fn rounds_of_two(&self, address: IpAddr) -> usize {
        let mut replies = self.replies_for(address, Instant::default()).peekable();
        let ends = self.rounds.iter().skip(1).copied();
        let answered_twice = |end: &Instant| {
            let mut first: Option<&str> = None;
            let mut two = false;
            while let Some(reply) = replies.next_if(|reply| reply.at < *end) {
                two |= first.get_or_insert(&reply.from) != &&*reply.from;
            }
            two
        };
        ends.chain([Instant::NEVER]).filter(answered_twice).count()
    }

    /// The longest that a round of questions came after its time, between two instants.
    #[must_use]
    pub fn asked_late(&self, from: Instant, until: Instant) -> Duration {
        let within = self.rounds.iter().filter(|at| (from..=until).contains(at));
        let mut last = from;
        let waits = within.chain([&until]).map(|at| {
            let wait = at.since(last);
            last = *at;
            wait
        });
        let longest = waits.max().unwrap_or_default();
        longest.saturating_sub(self.every)
    }

    /// The adverts of one host from `after` on.
    pub fn adverts_from<'a>(
        &'a self,
        host: &'a str,
        after: Instant,
    ) -> impl Iterator<Item = &'a Advert> {
        let first = self.adverts.partition_point(|advert| advert.at < after);
        self.adverts[first..]
            .iter()
            .filter(move |advert| &*advert.from == host)
    }
}

/// From one reply of a host to a later one, without a break.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Instant,
    until: Instant,
}

impl Span {
    fn at(instant: Instant) -> Self {
        Self {
            from: instant,
            until: instant,
        }
    }

    fn common(self, other: Span) -> Duration {
        let from = self.from.max(other.from);
        self.until.min(other.until).since(from)
    }
}

fn common(spans: &[Span], others: &[Span]) -> Duration {
    let pairs = spans
        .iter()
        .flat_map(|a| others.iter().map(|b| a.common(*b)));
    pairs.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10));

    fn ms(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn seen(replies: &[(u64, &str)]) -> Observation {
        let reply = |&(at, from): &(u64, &str)| Reply {
            question: Question::Echo,
            at: ms(at),
            address: VIP,
            from: Arc::from(from),
        };
        Observation {
            every: Duration::from_millis(1),
            replies: replies.iter().map(reply).collect(),
            ..Observation::default()
        }
    }

    #[test]
    fn a_takeover_runs_from_the_last_answer_of_the_other_to_the_first_of_the_new() {
        let seen = seen(&[(1, "a"), (2, "a"), (600, "b"), (601, "b")]);
        let gap = seen.takeover("b", VIP, ms(0)).unwrap();
        assert_eq!((gap.from, gap.until), (ms(2), ms(600)));
        assert_eq!((&*gap.before, &*gap.after), ("a", "b"));
        assert_eq!(seen.takeover("b", VIP, ms(601)).unwrap().until, ms(601));
        assert_eq!(seen.takeover("b", VIP, ms(602)), None);
        assert_eq!(seen.takeover("c", VIP, ms(0)), None);
    }

    #[test]
    fn gaps_are_found_by_length_and_by_place() {
        let seen = seen(&[(1, "a"), (20, "a"), (21, "a"), (31, "b")]);
        let length = |gap: Option<Gap>| gap.unwrap().length().as_millis();
        assert_eq!(length(seen.longest_gap(VIP, ms(0), ms(99))), 19);
        assert_eq!(length(seen.longest_gap(VIP, ms(20), ms(99))), 10);
        assert_eq!(length(seen.gap_around(VIP, ms(25))), 10);
        let silence = |until| seen.longest_silence(VIP, ms(0), ms(until)).as_millis();
        assert_eq!([10, 40, 99].map(silence), [9, 19, 68]);
        assert_eq!(seen.gap_around(VIP, ms(32)), None);
        assert_eq!(seen.longest_gap(VIP, ms(30), ms(99)), None);
    }

    #[test]
    fn two_hosts_that_answer_in_turn_overlap_and_two_after_each_other_do_not() {
        assert_eq!(
            seen(&[(1, "a"), (2, "a"), (3, "b"), (4, "b")]).overlap(VIP),
            Duration::ZERO
        );
        let both = seen(&[(1, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "a"), (6, "b")]);
        assert_eq!(both.overlap(VIP), Duration::from_millis(3));
    }

    #[test]
    fn who_is_followed_by_another_one_holds_no_longer_and_two_in_turn_both_do() {
        let holders = |replies: &[(u64, &str)], after| -> Vec<String> {
            let seen = seen(replies);
            let holders = seen.holders(VIP, ms(after));
            holders.into_iter().map(str::to_owned).collect()
        };
        let over = [(1, "a"), (2, "a"), (50, "b"), (51, "b")];
        assert_eq!(holders(&over, 0), ["b"]);
        assert_eq!(holders(&over, 51), ["b"]);
        assert!(holders(&over, 52).is_empty());
        assert_eq!(
            holders(&[(1, "a"), (2, "b"), (3, "a"), (4, "b")], 0),
            ["a", "b"]
        );
        // It answers at the moment at which the other one begins: both.
        assert_eq!(holders(&[(1, "a"), (2, "a"), (2, "b")], 0), ["a", "b"]);
        // There and back.
        assert_eq!(holders(&[(1, "a"), (50, "b"), (99, "a")], 0), ["a", "b"]);
    }

    #[test]
    fn a_round_of_two_has_answers_of_two_hosts_and_two_rounds_of_one_each_have_none() {
        let with_rounds = |rounds: &[u64], replies: &[(u64, &str)]| Observation {
            rounds: rounds.iter().map(|at| ms(*at)).collect(),
            ..seen(replies)
        };
        let one_each = [(11, "a"), (21, "b"), (31, "b")];
        let rounds = [10, 20, 30];
        assert_eq!(with_rounds(&rounds, &one_each).rounds_of_two(VIP), 0);
        let both = [(11, "a"), (12, "b"), (21, "b"), (31, "b"), (32, "a")];
        assert_eq!(with_rounds(&rounds, &both).rounds_of_two(VIP), 2);
    }

    #[test]
    fn an_asker_is_late_by_what_a_round_took_longer() {
        let mut seen = seen(&[]);
        seen.rounds = [1, 2, 3, 9, 10].map(ms).to_vec();
        let late = |from, until| seen.asked_late(ms(from), ms(until)).as_millis();
        assert_eq!([late(0, 3), late(0, 10), late(9, 30)], [0, 5, 19]);
    }

    #[test]
    fn a_host_that_comes_back_did_not_answer_in_between() {
        let seen = seen(&[(1, "a"), (100, "b"), (101, "b"), (200, "a")]);
        assert_eq!(seen.overlap(VIP), Duration::ZERO);
    }
}
