//! When does which group want something? Side by side, so that a turn in which most want nothing asks
//! two hundred and fifty groups without visiting them.

use crate::core::Instant;

/// When one slot is to be looked at, at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// The end of its wait or of its right to answer. It may have moved on: a pen tells the kernel of a
    /// renewal, and says so, while nobody looks.
    pub(crate) at: Instant,
    /// The same, if it waits for others to be silent.
    pub(crate) silence_ends: Instant,
}

impl Default for Due {
    fn default() -> Self {
        Self {
            at: Instant::NEVER,
            silence_ends: Instant::NEVER,
        }
    }
}

/// Those of all slots, by their places, and what some of them wait for at the end of a turn.
#[derive(Debug, Default)]
pub(crate) struct Dues {
    all: Vec<Due>,
    /// A slot renews its right to answer if what it said leaves.
    pub(crate) renewal: bool,
    /// A slot has an epoch that found the store's queue full.
    pub(crate) unstored: bool,
}

impl Dues {
    /// For so many slots, each of which says anew when it is due.
    pub(crate) fn resize(&mut self, slots: usize) {
        self.all.clear();
        self.all.resize(slots, Due::default());
    }

    /// A slot that has no place yet gets one soon, and is asked then.
    pub(crate) fn set(&mut self, place: usize, due: Due) {
        if let Some(old) = self.all.get_mut(place) {
            *old = due;
        }
    }

    /// The first of all.
    pub(crate) fn first(&self) -> Instant {
        let all = self.all.iter().map(|due| due.at);
        all.min().unwrap_or(Instant::NEVER)
    }

    /// Whether somebody who listens is about to act on what it did not hear.
    pub(crate) fn is_a_silence_over(&self, now: Instant) -> bool {
        self.all.iter().any(|due| due.silence_ends <= now)
    }

    /// The first slot from this one on that wants something.
    pub(crate) fn next(&self, from: usize, now: Instant) -> Option<usize> {
        let rest = self.all.get(from..)?;
        let found = rest.iter().position(|due| due.at <= now)?;
        Some(from + found)
    }
}
