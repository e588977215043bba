//! What does a candidate know? Its questions, and the votes that it got.

use smallvec::SmallVec;
use std::time::Duration;

use super::epoch::{Epoch, NodeId};
use super::words::{Authority, Nonce};
use crate::core::time::Instant;

/// A question that may still be answered. Law 2: the vote ends L after it was sent, whenever the
/// answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    pub(super) nonce: Nonce,
    pub(super) epoch: Epoch,
    pub(super) until: Instant,
}

/// Whose vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Voice {
    Node(NodeId),
    Arbiter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Vote {
    pub(super) from: Voice,
    pub(super) epoch: Epoch,
    pub(super) until: Instant,
}

/// As many as run at the same time where `misses` is as it comes, and those of a pair or of three: what
/// hundreds of groups look at for every heartbeat lies side by side.
const ASKED: usize = 7;
const VOTES: usize = 3;

/// What a candidate or holder knows. It ends as a whole: what is asked in one campaign is no
/// answer in the next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Campaign {
    /// Of the requests; while serving it only rises.
    pub(super) epoch: Epoch,
    /// Below this a voter would not grant.
    pub(super) asked_for: Epoch,
    /// A candidate of a pair was refused for the first time for the sake of its epoch: it asks again as
    /// soon as the one above is stored, and only later refusals have it wait for the beat.
    pub(super) again: bool,
    /// So often it has asked sooner, since a voter was storing the epoch.
    pub(super) storings: u8,
    pub(super) authority: Option<Authority>,
    pub(super) ask_at: Instant,
    /// In the order of their ends: each counts for the same L.
    pub(super) asked: SmallVec<[Asked; ASKED]>,
    pub(super) votes: SmallVec<[Vote; VOTES]>,
    /// From then on, acknowledgements have stopped.
    pub(super) acks_until: Instant,
    pub(super) contend_at: Instant,
    /// The ticket at the arbiter and its ballot.
    pub(super) contest: Option<(Nonce, Epoch)>,
    pub(super) look_at: Instant,
    pub(super) look: Option<Nonce>,
    /// Until then, the last look is as good as one of now, if nobody answered it.
    pub(super) asked_until: Instant,
    /// The same of one that nobody has answered.
    pub(super) fresh_until: Instant,
    /// The gate is to open after one more look, which counts if it is over so soon.
    pub(super) confirm: Option<Duration>,
    /// The own vote is enough: one of a pair goes on without the other.
    pub(super) alone: bool,
    /// A candidate that keeps others from winning does not do so for ever.
    pub(super) rest_at: Instant,
}

impl Campaign {
    pub(super) fn new(epoch: Epoch, now: Instant, head_start: Duration) -> Self {
        Self {
            epoch,
            asked_for: epoch,
            again: false,
            storings: 0,
            authority: None,
            ask_at: now,
            asked: SmallVec::new(),
            votes: SmallVec::new(),
            acks_until: now,
            contend_at: now + head_start,
            contest: None,
            look_at: now,
            look: None,
            asked_until: now,
            fresh_until: now,
            confirm: None,
            alone: false,
            rest_at: Instant::NEVER,
        }
    }

    pub(super) fn vote(&mut self, vote: Vote) {
        match self.votes.iter_mut().find(|old| old.from == vote.from) {
            None => {
                self.votes.push(vote);
                self.votes.sort_by_key(|vote| vote.from);
            }
            Some(old) => {
                old.until = old.until.max(vote.until);
                old.epoch = old.epoch.max(vote.epoch);
            }
        }
    }

    /// Law 4: what is past its bound is no answer.
    pub(super) fn forget(&mut self, now: Instant) {
        while self.asked.first().is_some_and(|asked| asked.until <= now) {
            self.asked.remove(0);
        }
        self.votes.retain(|vote| vote.until > now);
    }

    /// Until when, and for which epoch, a majority agrees.
    pub(super) fn agreed(
        &self,
        majority: usize,
        counts: impl Fn(&Vote) -> bool,
    ) -> Option<(Instant, Epoch)> {
        // Few votes, and for every group and frame: nothing is sorted.
        let all = || self.votes.iter().filter(|vote| counts(vote));
        let until = |end: Instant| all().filter(|vote| vote.until >= end).count() >= majority;
        let ends = all().map(|vote| vote.until).filter(|end| until(*end));
        let reach = |epoch: Epoch| all().filter(|vote| vote.epoch >= epoch).count() >= majority;
        let epochs = all().map(|vote| vote.epoch).filter(|epoch| reach(*epoch));
        Some((ends.max()?, epochs.max()?))
    }

    /// Until when the arbiter's vote counts, where it does.
    pub(super) fn arbiter(&self) -> Option<Instant> {
        let vote = self.votes.iter().find(|vote| vote.from == Voice::Arbiter)?;
        Some(vote.until)
    }

    pub(super) fn own(&self, me: NodeId) -> Option<(Instant, Epoch)> {
        let own = self
            .votes
            .iter()
            .find(|vote| vote.from == Voice::Node(me))?;
        Some((own.until, own.epoch))
    }

    pub(super) fn map_ends(&mut self, at: impl Fn(Instant) -> Instant) {
        let asked = self.asked.iter_mut().map(|asked| &mut asked.until);
        let votes = self.votes.iter_mut().map(|vote| &mut vote.until);
        let authority = self.authority.iter_mut().map(|own| &mut own.until);
        let own = [
            &mut self.ask_at,
            &mut self.acks_until,
            &mut self.contend_at,
            &mut self.look_at,
            &mut self.asked_until,
            &mut self.fresh_until,
            &mut self.rest_at,
        ];
        for end in own.into_iter().chain(asked).chain(votes).chain(authority) {
            *end = at(*end);
        }
    }
}
