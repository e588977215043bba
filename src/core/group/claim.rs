//! How are the addresses claimed? CANDIDATE.

use std::cmp::Ordering;

use super::leave::outranked_by;
use super::rivals::Rivals;
use super::role::{Attempt, Claim, Restore, Role, Verdict, Wait};
use super::{ANSWER_WITHIN, Group, LATE};
use crate::core::election::RESIGN;
use crate::core::event::{AddressFault, Blocked, Cause, Effect, Heard, Outcome, Term};
use crate::core::lease;
use crate::core::time::Instant;

impl Group {
    /// Nobody is in the way: the addresses go on. Adverts go out meanwhile, since the others
    /// time out on silence; MASTER is said after the read-back.
    pub(super) fn acquire(&mut self, advert_at: Instant, cause: Cause, out: &mut Vec<Effect>) {
        self.rivals = Rivals::default();
        self.lost = false;
        let claim = match self.prepare(out) {
            Some(promoting) => promoting,
            None => self.acquiring(out),
        };
        self.become_role(Role::Candidate { advert_at, claim }, cause, out);
    }

    /// What had to be ready is.
    pub(super) fn put_on(&mut self, advert_at: Instant, out: &mut Vec<Effect>) {
        let claim = self.acquiring(out);
        self.role = Role::Candidate { advert_at, claim };
    }

    fn acquiring(&mut self, out: &mut Vec<Effect>) -> Claim {
        let attempt = self.ask(0);
        out.push(Effect::Acquire(attempt.term));
        Claim::Acquiring(attempt)
    }

    pub(super) fn fire_candidate(
        &mut self,
        advert_at: Instant,
        claim: Claim,
        out: &mut Vec<Effect>,
    ) {
        if let Some(silent_for) = self.was_away(advert_at) {
            return self.release(Cause::Away(silent_for), out);
        }
        let advert_at = self.advertise_if_due(advert_at, out);
        self.role = Role::Candidate { advert_at, claim };
        match claim {
            Claim::Asking { clear_at, .. } if clear_at <= self.now && !self.is_warranted() => {
                self.seek(out);
            }
            Claim::Asking { clear_at, .. } if clear_at <= self.now => {
                self.acquire(advert_at, self.cause, out);
            }
            Claim::Asking { give_up_at, .. } if give_up_at <= self.now => self.give_up(out),
            Claim::Promoting { until, look, .. } if until <= self.now => match look {
                // Without an answer by then nobody answers.
                Some(_) => self.put_on(advert_at, out),
                None => self.not_promoted(true, out),
            },
            Claim::Acquiring(attempt) => self.fire_acquiring(advert_at, attempt, out),
            Claim::Asking { .. } | Claim::Promoting { .. } => {}
        }
    }

    fn fire_acquiring(&mut self, advert_at: Instant, attempt: Attempt, out: &mut Vec<Effect>) {
        match attempt.wait {
            Wait::Pause { again_at } if again_at <= self.now => {
                let attempt = self.ask(attempt.failed);
                out.push(Effect::Acquire(attempt.term));
                self.role = Role::Candidate {
                    advert_at,
                    claim: Claim::Acquiring(attempt),
                };
            }
            Wait::Answer { late_at } | Wait::Look { late_at, .. } if late_at <= self.now => {
                self.acquired_as_candidate(advert_at, attempt, Err(LATE), out);
            }
            _ => {}
        }
    }

    pub(super) fn acquired_as_candidate(
        &mut self,
        advert_at: Instant,
        attempt: Attempt,
        outcome: Outcome,
        out: &mut Vec<Effect>,
    ) {
        let Err(fault) = outcome else {
            return self.confirm(advert_at, attempt, false, out);
        };
        match self.judge(attempt, fault, out) {
            Verdict::Again(attempt) => {
                self.role = Role::Candidate {
                    advert_at,
                    claim: Claim::Acquiring(attempt),
                };
            }
            Verdict::Enough(fault) => self.will_not_go_on(fault, out),
        }
    }

    /// The host answers for every address before the last of thousands is on: MASTER, and what is
    /// left to put on is mended like a loss.
    pub(super) fn on_answering(&mut self, term: Term, out: &mut Vec<Effect>) {
        self.on_working(term);
        let Role::Candidate {
            advert_at,
            claim: Claim::Acquiring(attempt),
        } = self.role
        else {
            return;
        };
        if attempt.awaits(term) && matches!(attempt.wait, Wait::Answer { .. }) {
            self.confirm(advert_at, attempt, true, out);
        }
    }

    /// The addresses answer, though some of them may not be on yet: MASTER, unless that took so long that
    /// another may answer by now.
    fn confirm(
        &mut self,
        advert_at: Instant,
        attempt: Attempt,
        is_partial: bool,
        out: &mut Vec<Effect>,
    ) {
        let native = self.native.as_ref();
        if !native.is_some_and(|native| native.must_confirm(self.now)) {
            return self.promote(advert_at, attempt, is_partial, out);
        }
        let wait = Wait::Look {
            late_at: self.now + ANSWER_WITHIN,
            is_partial,
        };
        self.role = Role::Candidate {
            advert_at,
            claim: Claim::Acquiring(Attempt { wait, ..attempt }),
        };
        self.vote(lease::Event::Confirm, out);
    }

    pub(super) fn confirmed(&mut self, out: &mut Vec<Effect>) {
        if let Role::Candidate {
            advert_at,
            claim: Claim::Acquiring(attempt),
        } = self.role
            && let Wait::Look { is_partial, .. } = attempt.wait
        {
            self.promote(advert_at, attempt, is_partial, out);
        }
    }

    fn promote(
        &mut self,
        advert_at: Instant,
        attempt: Attempt,
        is_partial: bool,
        out: &mut Vec<Effect>,
    ) {
        let late_at = self.now + ANSWER_WITHIN;
        let restore = is_partial.then_some(Restore {
            attempt: Attempt {
                wait: Wait::Answer { late_at },
                ..attempt
            },
            again: false,
            announced: true,
        });
        let cause = match restore {
            Some(_) => Cause::Answering,
            None => Cause::AddressesOn,
        };
        self.failures = 0;
        self.promotions += 1;
        self.ceded = false;
        self.answered_at = None;
        // Law 6: read back, then the gate, then the neighbours.
        out.push(Effect::Open);
        self.announce(out);
        self.become_role(Role::Master { advert_at, restore }, cause, out);
        if std::mem::take(&mut self.lost) {
            self.on_address_lost(out);
        }
    }

    /// Never MASTER without its addresses: give way, and stand again after a pause that doubles.
    pub(super) fn will_not_go_on(&mut self, fault: AddressFault, out: &mut Vec<Effect>) {
        self.hold_off(Blocked::Addresses(fault), out);
    }

    /// The living MASTER goes on although we are better: it does not hear us. Two MASTERs would
    /// be worse than the wrong one; ask again later.
    fn give_up(&mut self, out: &mut Vec<Effect>) {
        let from = self.rivals.last().map(|rival| rival.heard.from);
        let cause = from.map_or(Cause::Recovered, |from| Cause::NotHeard { from });
        self.settle(cause, out);
    }

    pub(super) fn hear_as_candidate(
        &mut self,
        advert_at: Instant,
        claim: Claim,
        heard: Heard,
        out: &mut Vec<Effect>,
    ) {
        match (self.compare(heard), claim) {
            (Some(Ordering::Greater), Claim::Asking { .. }) => {
                self.remember(heard);
                self.settle(outranked_by(heard), out);
            }
            (Some(Ordering::Greater), Claim::Promoting { .. } | Claim::Acquiring(_)) => {
                self.step_down(heard, out);
            }
            (_, Claim::Asking { give_up_at, .. }) => {
                self.remember(heard);
                // A third router must not take a resignation for ours.
                let advert_at = match heard.priority {
                    RESIGN => advert_at.min(self.now),
                    _ => advert_at,
                };
                self.go_on_asking(advert_at, give_up_at);
            }
            (Some(Ordering::Less), Claim::Promoting { .. } | Claim::Acquiring(_)) => {
                self.answer(heard.priority, out);
            }
            (Some(Ordering::Equal) | None, Claim::Promoting { .. } | Claim::Acquiring(_)) => {}
        }
    }

    /// Until the last MASTER has resigned on all its lines, or is silent.
    fn go_on_asking(&mut self, advert_at: Instant, give_up_at: Instant) {
        let rival = self.living_rival();
        let clear_at = rival.map_or(self.now, |rival| self.clear_at(rival));
        let claim = Claim::Asking {
            clear_at,
            give_up_at,
        };
        self.role = Role::Candidate { advert_at, claim };
    }
}
