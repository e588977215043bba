//! How are the addresses given up? RELEASING.

use std::cmp::Ordering;

use super::role::{Attempt, Claim, Leave, Role, Wait};
use super::{ATTEMPT_PAUSE, Group, LATE, RELEASE_WITHIN};
use crate::core::event::{AddressFaultKind, Blocked, Cause, Effect, Heard, Outcome};
use crate::core::time::Instant;

impl Group {
    pub(super) fn step_down(&mut self, heard: Heard, out: &mut Vec<Effect>) {
        self.remember(heard);
        self.let_in();
        self.release(outranked_by(heard), out);
    }

    /// Law 6: addresses off, verified off, and only then are the peers told, unless a gate keeps this
    /// host silent from now on.
    ///
    /// A node that leaves of its own accord goes on advertising until then, so that nobody takes
    /// over while it still answers. One that gives way to a better router is silent, since its
    /// adverts would only be heard as a living MASTER's; so is one that was away, since others
    /// may be MASTER by now.
    pub(super) fn release(&mut self, cause: Cause, out: &mut Vec<Effect>) {
        let claiming = match self.role {
            Role::Candidate {
                claim: Claim::Asking { .. },
                ..
            } => return self.withdraw(cause, out),
            Role::Candidate { advert_at, .. } | Role::Master { advert_at, .. } => Some(advert_at),
            _ => None,
        };
        let leaves = matches!(cause, Cause::Stop | Cause::Blocked(_) | Cause::GateLost);
        out.push(Effect::Hush);
        self.announce_at = Instant::NEVER;
        let attempt = self.ask(0);
        out.push(Effect::Release(attempt.term));
        // Law 6: closed counts as off. The others need not wait for thousands of addresses.
        let tells = claiming.is_some() && self.is_shut(cause);
        if tells {
            self.resign(out);
        }
        let leave = Leave {
            advert_at: claiming.filter(|_| leaves && !tells),
            attempt,
            until: self.now + RELEASE_WITHIN,
            resigns: !tells,
        };
        self.become_role(Role::Releasing(leave), cause, out);
        if claiming.is_some() {
            self.silenced(cause, out);
        }
    }

    /// Whether the gate keeps this host silent while its addresses go off.
    fn is_shut(&self, cause: Cause) -> bool {
        let no_gate = match cause {
            Cause::GateLost => true,
            Cause::Blocked(Blocked::Addresses(fault)) => fault.kind == AddressFaultKind::NoGate,
            _ => false,
        };
        self.settings.lease.is_some() && self.settings.shuts_at_once && !no_gate
    }

    /// A stop that comes while the table is still being cleared ends like any other.
    pub(super) fn stop_scrubbing(&mut self, scrub: Attempt, out: &mut Vec<Effect>) {
        let until = self.now + RELEASE_WITHIN;
        let leave = Leave {
            advert_at: None,
            attempt: scrub,
            until,
            resigns: false,
        };
        self.become_role(Role::Releasing(leave), Cause::Stop, out);
    }

    /// A candidate that has put nothing on yet has nothing to take off. One that was away says
    /// nothing either: somebody else may be MASTER by now.
    fn withdraw(&mut self, cause: Cause, out: &mut Vec<Effect>) {
        if !matches!(cause, Cause::Away(_)) {
            self.resign(out);
        }
        self.settle(cause, out);
    }

    pub(super) fn fire_releasing(&mut self, mut leave: Leave, out: &mut Vec<Effect>) {
        let present = leave.advert_at.filter(|at| self.was_away(*at).is_none());
        leave.advert_at = present.map(|at| self.advertise_if_due(at, out));
        self.role = Role::Releasing(leave);
        match leave.attempt.wait {
            _ if leave.until <= self.now => self.stuck(out),
            Wait::Pause { again_at } if again_at <= self.now => {
                leave.attempt = self.ask(leave.attempt.failed);
                out.push(Effect::Release(leave.attempt.term));
                self.role = Role::Releasing(leave);
            }
            Wait::Answer { late_at } if late_at <= self.now => {
                self.release_answered(leave, Err(LATE), out);
            }
            _ => {}
        }
    }

    pub(super) fn release_answered(
        &mut self,
        mut leave: Leave,
        outcome: Outcome,
        out: &mut Vec<Effect>,
    ) {
        let Err(fault) = outcome else {
            out.push(Effect::Disarm);
            if leave.resigns {
                self.resign(out);
            }
            return self.settle(Cause::AddressesOff, out);
        };
        leave.attempt = self.failed(leave.attempt, ATTEMPT_PAUSE, fault, out);
        self.role = Role::Releasing(leave);
    }

    /// The addresses will not come off. Say so, and go on trying for as long as it takes: the
    /// peers are not told that they are off, because they are not.
    fn stuck(&mut self, out: &mut Vec<Effect>) {
        if self.stopping {
            let why = Blocked::Stuck(LATE);
            return self.become_role(Role::Stopped, Cause::Blocked(why), out);
        }
        self.fault(Blocked::Stuck(LATE), self.now, out);
    }

    pub(super) fn release_again(&mut self, out: &mut Vec<Effect>) {
        self.release(Cause::Blocked(Blocked::Stuck(LATE)), out);
    }

    pub(super) fn hear_while_releasing(&mut self, mut leave: Leave, heard: Heard) {
        self.remember(heard);
        if self.compare(heard) == Some(Ordering::Greater) {
            leave.advert_at = None;
            self.role = Role::Releasing(leave);
        }
    }
}

pub(super) fn outranked_by(heard: Heard) -> Cause {
    Cause::Outranked {
        from: heard.from,
        priority: heard.priority,
    }
}
