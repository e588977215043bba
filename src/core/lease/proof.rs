//! Is this node cut off from everybody? What a reference in the network shows to one of a pair.
//!
//! A reference that answers is a voter that votes for everybody: it outvotes nobody, but whoever does not
//! reach it is silent by the end of a lease, so that the other one may hold.

use super::Lease;
use crate::core::time::Instant;

/// What was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Proof {
    /// Law 2: L after the last question that was answered.
    until: Instant,
    /// An operator wanted it to go on without, since nobody was heard.
    solo: bool,
    /// The other node was heard.
    has_company: bool,
}

impl Proof {
    pub(super) fn show(&mut self, until: Instant) {
        self.until = self.until.max(until);
        self.solo = false;
    }

    pub(super) fn go_solo(&mut self) {
        self.solo = !self.has_company;
    }

    pub(super) fn meet(&mut self) {
        self.has_company = true;
    }

    /// Whoever has company counts on that from now on; one that serves already goes on until it is
    /// acknowledged.
    pub(super) fn settle(&mut self, is_alone: bool) {
        self.solo &= !self.has_company || is_alone;
    }

    pub(super) fn moved(self, at: impl Fn(Instant) -> Instant) -> Self {
        Self {
            until: at(self.until),
            ..self
        }
    }
}

impl Lease {
    /// Until when the own vote may be enough.
    pub(super) fn proven_until(&self) -> Instant {
        match self.settings.reference && !self.proof.solo {
            true => self.proof.until,
            false => Instant::NEVER,
        }
    }

    pub(super) fn is_alone(&self) -> bool {
        self.authority().is_some_and(|own| own.alone)
    }
}
