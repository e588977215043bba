//! Is the own slot this agent's? A copy of a node, started on another host, would write the same one.
//!
//! ```text
//!   unknown   not read yet
//!   foreign   another start's record stands there. HELD: it may be alive until it was unchanged for W
//!   claimed   written by this start, as if it were held; nobody must have written over it for [`SETTLE`] looks
//!   ours      looked at so often that a claim of somebody else is seen, and answered with one, before it
//!             has settled
//! ```
//! Whoever finds a claim of its own written over leaves the slot alone for a while, so that of two the one
//! that was there keeps it, as long as it can read and write the disk. The record of the start before this one on the
//! same host is no stranger's: that agent is dead.
//!
//! A single slot cannot tell two writers apart that write in the same moment: this needs reads and writes
//! that take less than a look, as no other rule of the disk lock does.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::{Hold, Record, Sight};
use crate::core::lease::BootId;
use crate::core::time::Instant;

/// A claim counts when it has stood for so many looks.
pub const SETTLE: u32 = 3;
/// Whoever's claim was written over waits twice as long each time, so often.
const DOUBLINGS: u32 = 6;

/// How a node keeps its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Guard {
    /// Between two looks at the own slot.
    pub look: Duration,
    /// The start of the agent before this one on this host, since the host was booted.
    pub before: Option<BootId>,
}

/// Whose the own slot is, for those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Tenancy {
    /// This agent's; or nobody knows, since it was not read yet.
    #[default]
    Settled,
    /// It is being claimed.
    Claiming,
    /// Somebody else writes there, too.
    Contested,
}

/// What is known of the own slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Unknown,
    /// It was found like this, and is claimed then at the earliest.
    Foreign {
        found: Sight,
        claim_at: Instant,
        defends: bool,
    },
    /// The claim has landed by then.
    Claimed {
        at: Instant,
        /// Against another claim, of a slot that was this agent's.
        defends: bool,
    },
    Ours,
}

/// Whose the own slot is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tenure {
    guard: Guard,
    boot: BootId,
    state: State,
    /// When the last read that has come back was asked for.
    looked_at: Instant,
    /// Somebody else was there, and had the better right, so often in a row.
    lost: u32,
}

impl Tenure {
    pub(super) const fn new(guard: Guard, boot: BootId, now: Instant) -> Self {
        Self {
            guard,
            boot,
            state: State::Unknown,
            looked_at: now,
            lost: 0,
        }
    }

    pub(super) fn tenancy(&self) -> Tenancy {
        match self.state {
            State::Unknown | State::Ours => Tenancy::Settled,
            State::Foreign { defends: true, .. } | State::Claimed { defends: true, .. } => {
                Tenancy::Settled
            }
            _ if self.lost > 0 => Tenancy::Contested,
            State::Foreign { .. } | State::Claimed { .. } => Tenancy::Claiming,
        }
    }

    pub(super) fn is_ours(&self) -> bool {
        self.state == State::Ours
    }

    /// Whether what stands there may be somebody else's.
    pub(super) fn is_foreign(&self) -> bool {
        matches!(self.state, State::Foreign { .. })
    }

    fn settle(&self) -> Duration {
        self.guard.look * SETTLE
    }

    /// When the last read that has come back was asked for.
    pub(super) const fn looked_at(&self) -> Instant {
        self.looked_at
    }

    /// Whether no claim of somebody else can have settled since the last look.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.is_fresh_since(self.looked_at, now)
    }

    fn is_fresh_since(&self, looked_at: Instant, now: Instant) -> bool {
        now < looked_at + self.guard.look * (SETTLE - 1)
    }

    /// When to look next.
    pub(super) fn look_at(&self) -> Instant {
        match self.state {
            State::Unknown => Instant::default(),
            State::Claimed { at, .. } => at + self.settle(),
            State::Foreign { .. } | State::Ours => self.looked_at + self.guard.look,
        }
    }

    /// When the slot may be claimed.
    pub(super) fn claim_at(&self) -> Instant {
        match self.state {
            State::Foreign { claim_at, .. } => claim_at,
            _ => Instant::NEVER,
        }
    }

    /// The claim has landed.
    pub(super) fn claimed(&mut self, now: Instant) {
        let defends = matches!(self.state, State::Foreign { defends: true, .. });
        self.state = State::Claimed { at: now, defends };
    }

    /// This stands there, as a read says that was asked for then. A slot that is held is nobody's after `wait`.
    pub(super) fn look(&mut self, own: &Sight, (asked, now): (Instant, Instant), wait: Duration) {
        let (looked_at, settle) = (self.looked_at, self.settle());
        self.looked_at = asked;
        if self.is_own(own) {
            self.state = match self.state {
                State::Unknown | State::Ours => State::Ours,
                State::Claimed { at, .. } if asked >= at + settle => State::Ours,
                // Written before it was given up, and landed late.
                State::Foreign { defends, .. } => State::Claimed { at: now, defends },
                claimed @ State::Claimed { .. } => claimed,
            };
            if self.is_ours() {
                self.lost = 0;
            }
            return;
        }
        // Whoever was not looking for long may have missed that somebody else's claim has settled.
        let is_fresh = self.is_fresh_since(looked_at, now);
        let pause = match self.state {
            State::Unknown => Duration::ZERO,
            State::Ours if is_fresh => Duration::ZERO,
            State::Foreign { found, .. } if found == *own => return,
            // Whoever writes there lives.
            State::Foreign { .. } => self.lose(self.lost.max(1)),
            State::Ours | State::Claimed { .. } => self.lose(self.lost + 1),
        };
        // A claim is answered with one, which says as much: whoever waits for this slot goes on waiting.
        let is_claim = own.record().is_some_and(|own| own.hold == Hold::Claimed);
        let pause = match own.may_be_held() && !is_claim {
            true => pause.max(wait),
            false => pause,
        };
        self.state = State::Foreign {
            found: *own,
            claim_at: now + pause,
            defends: self.is_ours() && is_fresh && is_claim,
        };
    }

    /// Somebody else has the slot, and had it so often in a row: how long it is left alone.
    fn lose(&mut self, times: u32) -> Duration {
        self.lost = times.min(DOUBLINGS);
        self.settle() * 2_u32.pow(self.lost)
    }

    /// What cannot be read may be this agent's own as long as nothing else was seen there.
    fn is_own(&self, own: &Sight) -> bool {
        match own {
            Sight::Slot(Record { boot, .. }) => {
                *boot == self.boot || Some(*boot) == self.guard.before
            }
            Sight::Torn => matches!(self.state, State::Ours | State::Claimed { .. }),
        }
    }
}
