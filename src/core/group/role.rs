//! What can a group be doing? The roles, each with its own deadlines.

use std::time::Duration;

use crate::core::event::{AddressFault, Blocked, RoleName, Term};
use crate::core::time::Instant;

/// A role carries everything that waits in it, with the instant at which the waiting ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    /// Clearing what a dead agent may have left; `failed` says why the last attempt did not.
    Init {
        scrub: Attempt,
        failed: Option<AddressFault>,
    },
    /// Listening.
    Backup(Vigil),
    /// Advertising, the addresses not all on yet.
    Candidate { advert_at: Instant, claim: Claim },
    /// Advertising, the addresses on. `restore` while somebody's deletion is being mended.
    Master {
        advert_at: Instant,
        restore: Option<Restore>,
    },
    /// Taking the addresses off.
    Releasing(Leave),
    /// Not able to hold the addresses; `retry_at` where time alone may mend it.
    Fault { why: Blocked, retry_at: Instant },
    /// Native: the addresses are off, and the successor still needs this node's vote.
    Staying { until: Instant },
    /// Native: votes, and never holds.
    Witness,
    /// Ended.
    Stopped,
}

impl Role {
    pub(super) const fn name(&self) -> RoleName {
        match self {
            Role::Init { .. } => RoleName::Init,
            Role::Backup(_) => RoleName::Backup,
            Role::Candidate { .. } => RoleName::Candidate,
            Role::Master { .. } => RoleName::Master,
            Role::Releasing(_) | Role::Staying { .. } => RoleName::Releasing,
            Role::Witness => RoleName::Witness,
            Role::Fault { .. } => RoleName::Fault,
            Role::Stopped => RoleName::Stopped,
        }
    }

    /// The change of addresses that the role waits for, if any.
    pub(super) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match self {
            Role::Init { scrub, .. } => Some(scrub),
            Role::Candidate {
                claim: Claim::Acquiring(attempt),
                ..
            } => Some(attempt),
            Role::Master {
                restore: Some(restore),
                ..
            } => Some(&mut restore.attempt),
            Role::Releasing(leave) => Some(&mut leave.attempt),
            _ => None,
        }
    }

    /// When the role wants to be looked at next.
    pub(super) fn deadline(&self) -> Instant {
        match *self {
            Role::Init { scrub, .. } => scrub.deadline(),
            Role::Backup(vigil) => vigil.deadline(),
            Role::Candidate { advert_at, claim } => advert_at.min(claim.deadline()),
            Role::Master { advert_at, restore } => {
                advert_at.min(restore.map_or(Instant::NEVER, |r| r.attempt.deadline()))
            }
            Role::Releasing(leave) => leave.deadline(),
            Role::Fault { retry_at, .. } => retry_at,
            Role::Staying { until } => until,
            Role::Witness | Role::Stopped => Instant::NEVER,
        }
    }
}

/// The wait of a BACKUP, which stands when `stand_at` comes. Whatever is heard makes another one of
/// it, so that an answer to a question of before is void.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Vigil {
    pub(super) stand_at: Instant,
    pub(super) look: Look,
    /// When somebody was asked before, another host answered.
    pub(super) answered: bool,
}

impl Vigil {
    pub(super) fn until(stand_at: Instant) -> Self {
        Self {
            stand_at,
            look: Look::Ahead,
            answered: false,
        }
    }

    /// A wait for a time, and not for silence.
    pub(super) fn without_look(stand_at: Instant) -> Self {
        Self {
            look: Look::Needless,
            ..Self::until(stand_at)
        }
    }

    /// Nobody holds, and an arbiter is asked whether this node may: its answer ends the wait.
    /// Without one it looks again what it waits for.
    pub(super) fn seeking(again_at: Instant) -> Self {
        Self {
            look: Look::Sought,
            ..Self::until(again_at)
        }
    }

    /// The end of the wait: who comes to know of it much later did not run.
    pub(super) fn ends(&self) -> Instant {
        match self.look {
            Look::Ahead | Look::Needless | Look::Sought => self.stand_at,
            Look::Asked { until, .. } | Look::Unanswered { until } => until,
        }
    }

    fn deadline(&self) -> Instant {
        match self.look {
            Look::Ahead => self.stand_at - LOOK_AHEAD,
            Look::Needless | Look::Sought | Look::Unanswered { .. } => self.stand_at,
            Look::Asked { until, .. } => until,
        }
    }
}

/// The probes of a look begin so long before the wait for silence is over. All of them lie behind
/// the end of the lease of a MASTER that is frozen since its last advert, with which its host falls
/// silent, and inside the margin between that and the wait: a takeover is not delayed.
const LOOK_AHEAD: Duration = Duration::from_millis(15);

/// Whether another host answers for the addresses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Look {
    /// To be decided shortly before the end of the wait.
    Ahead,
    /// The end of the wait is no silence.
    Needless,
    /// That comes when the arbiter has voted.
    Sought,
    /// The question is out; nobody waits longer for its answer than `until`.
    Asked { ticket: u64, until: Instant },
    /// Nobody does.
    Unanswered { until: Instant },
}

/// How far a candidate is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Claim {
    /// A living MASTER was asked, by a better advert, to go. It has gone when it resigns, or when
    /// `clear_at` comes without another advert of its; it does not hear us when `give_up_at` comes.
    Asking {
        clear_at: Instant,
        give_up_at: Instant,
    },
    /// Nobody is in the way, and an operator's scripts make ready, until then at most. They are when `look` says by
    /// which number the network is asked once more who answers.
    Promoting {
        id: u64,
        until: Instant,
        look: Option<u64>,
    },
    /// The addresses are going on.
    Acquiring(Attempt),
}

impl Claim {
    fn deadline(&self) -> Instant {
        match *self {
            Claim::Asking {
                clear_at,
                give_up_at,
            } => clear_at.min(give_up_at),
            Claim::Promoting { until, .. } => until,
            Claim::Acquiring(attempt) => attempt.deadline(),
        }
    }
}

/// A change of addresses that was asked for and has not succeeded yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Attempt {
    /// The term of the request that is out, or of the last one that failed.
    pub(super) term: Term,
    /// How many have failed.
    pub(super) failed: u32,
    pub(super) wait: Wait,
}

/// What an attempt waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wait {
    /// The answer; without one by then it counts as failed.
    Answer { late_at: Instant },
    /// The time to ask again.
    Pause { again_at: Instant },
    /// The addresses answer, and the gate opens when the network was asked once more who else does.
    Look {
        late_at: Instant,
        /// Some of many addresses are not on yet: the answer is still to come.
        is_partial: bool,
    },
}

impl Attempt {
    fn deadline(&self) -> Instant {
        match self.wait {
            Wait::Answer { late_at } => late_at,
            Wait::Pause { again_at } => again_at,
            Wait::Look { late_at, .. } => late_at,
        }
    }

    /// Whether an answer of this term is the one that is waited for.
    pub(super) fn awaits(&self, term: Term) -> bool {
        let waits = matches!(
            self.wait,
            Wait::Answer { .. }
                | Wait::Look {
                    is_partial: true,
                    ..
                }
        );
        self.term == term && waits
    }
}

/// The way from holding the addresses to not holding them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Leave {
    /// While the others are to be held back meanwhile.
    pub(super) advert_at: Option<Instant>,
    pub(super) attempt: Attempt,
    /// When it counts as stuck.
    pub(super) until: Instant,
    /// Whether the others are told when it is done: not by one that never claimed anything.
    pub(super) resigns: bool,
}

impl Leave {
    fn deadline(&self) -> Instant {
        let advert_at = self.advert_at.unwrap_or(Instant::NEVER);
        self.until.min(self.attempt.deadline()).min(advert_at)
    }
}

/// An address that somebody else took off is being put back, or the last of many are going on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Restore {
    pub(super) attempt: Attempt,
    /// Another one was lost meanwhile.
    pub(super) again: bool,
    /// The neighbours have been told already.
    pub(super) announced: bool,
}

/// What to do about a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It is repeated after a pause.
    Again(Attempt),
    /// Enough: give way for this reason.
    Enough(AddressFault),
}
