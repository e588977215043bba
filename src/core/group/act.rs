//! At which steps of a change of role do an operator's scripts run, and who waits for them?
//!
//! Before the addresses go on somebody may have to be ready, and can say no: CANDIDATE waits. In a planned move
//! somebody may have to be put in order while the addresses still answer: MASTER waits. Once they do not, nobody
//! waits. Every wait has an end.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::role::{Claim, Role};
use super::{Group, HOLD_OFF, HOLD_OFF_MAX, LOOK_WITHIN};
use crate::core::event::{Alarm, Blocked, Cause, Effect};
use crate::core::time::Instant;

/// How long the scripts of a group may take, all of one kind together; nothing where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actions {
    /// Before the addresses go on.
    pub promote: Duration,
    /// Before they come off.
    pub demote: Duration,
    /// What may still run when one of those is asked for, and goes first.
    pub others: Duration,
}

impl Actions {
    /// How long a promotion is waited for at most: what still runs goes first.
    #[must_use]
    pub fn promotion(self) -> Duration {
        match self.promote.is_zero() {
            true => Duration::ZERO,
            false => self.promote + self.demote + self.others,
        }
    }

    /// The same of a planned end.
    #[must_use]
    pub fn demotion(self) -> Duration {
        match self.demote.is_zero() {
            true => Duration::ZERO,
            false => self.demote + self.others,
        }
    }

    const fn are_there(self) -> bool {
        !self.promote.is_zero() || !self.demote.is_zero() || !self.others.is_zero()
    }
}

/// A step of a change of role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Act {
    /// The addresses are about to go on; answer with [`crate::core::Event::Acted`].
    Promote,
    /// They are about to come off, as planned; answer likewise.
    Demote,
    /// They do not answer any more, and nobody has prepared that.
    Silenced {
        /// The right to answer was lost: what still acts for a MASTER ends at once.
        lost: bool,
    },
}

/// MASTER, and on the way to give the addresses up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Demotion {
    id: u64,
    pub(super) until: Instant,
    cause: Cause,
}

impl Group {
    /// What a group does that may claim: first its scripts, if it has any for that.
    pub(super) fn prepare(&mut self, out: &mut Vec<Effect>) -> Option<Claim> {
        let within = self.settings.actions.promotion();
        // The addresses of their owner are on, whatever scripts say.
        let waits = !within.is_zero() && !self.is_owner();
        waits.then(|| Claim::Promoting {
            id: self.act(Act::Promote, out),
            until: self.now + within,
            look: None,
        })
    }

    fn act(&mut self, act: Act, out: &mut Vec<Effect>) -> u64 {
        self.acts += 1;
        out.push(Effect::Act(self.acts, act));
        self.acts
    }

    /// The scripts have ended, and say whether it may go on.
    pub(super) fn on_acted(&mut self, id: u64, is_good: bool, out: &mut Vec<Effect>) {
        if let Role::Candidate {
            advert_at,
            claim:
                Claim::Promoting {
                    id: waits_for,
                    look: None,
                    ..
                },
        } = self.role
            && waits_for == id
        {
            return match is_good {
                // Votes are confirmed when the addresses are on.
                true if self.is_native() => self.put_on(advert_at, out),
                true => self.look_again(advert_at, id, out),
                false => self.not_promoted(false, out),
            };
        }
        if self.demotion.is_some_and(|demotion| demotion.id == id) {
            self.demoted(out);
        }
    }

    /// That may have taken long, and others need not have heard of this claim: answered means alive.
    fn look_again(&mut self, advert_at: Instant, id: u64, out: &mut Vec<Effect>) {
        self.ticket += 1;
        out.push(Effect::Look(self.ticket));
        let claim = Claim::Promoting {
            id,
            until: self.now + LOOK_WITHIN,
            look: Some(self.ticket),
        };
        self.role = Role::Candidate { advert_at, claim };
    }

    /// What was asked once more; an older answer is none.
    pub(super) fn looked_again(&mut self, of: u64, answered: bool, out: &mut Vec<Effect>) {
        let Role::Candidate {
            advert_at,
            claim: Claim::Promoting {
                look: Some(ticket), ..
            },
        } = self.role
        else {
            return;
        };
        match of == ticket {
            true if answered => {
                self.raise(Alarm::Answered, out);
                self.release(Cause::Answered, out);
            }
            true => self.put_on(advert_at, out),
            false => {}
        }
    }

    /// They said no, or nothing: another one may be able to. It stands again after a pause that doubles.
    pub(super) fn not_promoted(&mut self, late: bool, out: &mut Vec<Effect>) {
        self.hold_off(Blocked::Promote { late }, out);
    }

    pub(super) fn hold_off(&mut self, why: Blocked, out: &mut Vec<Effect>) {
        let doubled = HOLD_OFF * 2u32.pow(self.failures.min(5));
        self.failures = self.failures.saturating_add(1);
        self.hold = Some((why, self.now + doubled.min(HOLD_OFF_MAX)));
        self.release(Cause::Blocked(why), out);
    }

    /// A planned move: a MASTER with scripts for that first has them run, and goes on meanwhile. Who is on the way
    /// already goes for the newer reason.
    pub(super) fn leave(&mut self, cause: Cause, out: &mut Vec<Effect>) {
        let within = self.settings.actions.demotion();
        if within.is_zero() || !matches!(self.role, Role::Master { .. }) {
            return self.release(cause, out);
        }
        if let Some(demotion) = &mut self.demotion {
            demotion.cause = cause;
            return;
        }
        let id = self.act(Act::Demote, out);
        let until = self.now + within;
        self.demotion = Some(Demotion { id, until, cause });
    }

    /// Done, or not done in time.
    pub(super) fn demoted(&mut self, out: &mut Vec<Effect>) {
        let Some(Demotion { cause, .. }) = self.demotion else {
            return;
        };
        // Who was ready then need not be now.
        self.confirm_successor();
        self.release(cause, out);
    }

    /// The addresses do not answer any more. Who prepared that has nothing left to do.
    pub(super) fn silenced(&mut self, cause: Cause, out: &mut Vec<Effect>) {
        let is_prepared = self.demotion.take().is_some();
        let lost = cause.is_loss();
        if self.settings.actions.are_there() && (lost || !is_prepared) {
            self.act(Act::Silenced { lost }, out);
        }
    }

    pub(super) fn leaving(&self) -> Option<Cause> {
        self.demotion.map(|demotion| demotion.cause)
    }

    pub(super) fn acting(&self) -> Option<Act> {
        match self.role {
            Role::Candidate {
                claim: Claim::Promoting { .. },
                ..
            } => Some(Act::Promote),
            _ => self.demotion.map(|_| Act::Demote),
        }
    }
}
