//! Which MASTERs were heard lately? One entry for each address that they speak from.

use std::net::IpAddr;

use crate::core::event::Heard;
use crate::core::time::Instant;

/// A MASTER that was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rival {
    /// Its last advert.
    pub heard: Heard,
    /// When it came.
    pub at: Instant,
}

/// More addresses than this at a time are a network that no count of ours would mend: the one
/// that was silent for longest is forgotten.
const MOST: usize = 8;

/// A router with several lines speaks from several addresses, and has resigned only when each of
/// them has; the resignation of one router says nothing about another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rivals([Option<Rival>; MOST]);

impl Rivals {
    pub(super) fn hear(&mut self, rival: Rival) {
        let from = rival.heard.from;
        let same = self
            .0
            .iter()
            .position(|known| known.is_some_and(|r| r.heard.from == from));
        // `None` is the oldest of all.
        let oldest = || (0..MOST).min_by_key(|&place| self.0[place].map(|known| known.at));
        if let Some(place) = same.or_else(oldest) {
            self.0[place] = Some(rival);
        }
    }

    /// Whether it was known at all.
    pub(super) fn resign(&mut self, from: IpAddr) -> bool {
        let known = self
            .0
            .iter_mut()
            .find(|known| known.is_some_and(|r| r.heard.from == from));
        known.and_then(Option::take).is_some()
    }

    /// The one that was heard last.
    pub(super) fn last(&self) -> Option<Rival> {
        self.0
            .iter()
            .flatten()
            .max_by_key(|rival| rival.at)
            .copied()
    }

    /// The one whose next advert is waited for longest.
    pub(super) fn longest(&self, clear_at: impl Fn(Rival) -> Instant) -> Option<Rival> {
        self.0
            .iter()
            .flatten()
            .copied()
            .max_by_key(|rival| clear_at(*rival))
    }
}
