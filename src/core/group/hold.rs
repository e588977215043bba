//! How are the addresses claimed, kept and given up? CANDIDATE, MASTER and RELEASING.

use std::cmp::Ordering;
use std::time::Duration;

use super::role::{Attempt, Claim, Restore, Role, Verdict, Wait};
use super::{
    ATTEMPT_PAUSE, FIGHT_BUDGET, FIGHT_HOLD_OFF, FIGHT_WINDOW, Fight, Group, HOLD_OFF,
    HOLD_OFF_MAX, LATE, RELEASE_WITHIN, Rival,
};
use crate::core::election::{RESIGN, Rank};
use crate::core::event::{AddressFault, Alarm, Blocked, Cause, Effect, Heard, Outcome};
use crate::core::time::Instant;

impl Group {
    // --- claiming -----------------------------------------------------------------------------

    /// Nobody is in the way: the addresses go on. Adverts go out meanwhile, since the others
    /// time out on silence; MASTER is said after the read-back.
    pub(super) fn acquire(&mut self, advert_at: Instant, cause: Cause, out: &mut Vec<Effect>) {
        self.rival = None;
        self.lost = false;
        let attempt = self.ask(0);
        out.push(Effect::Acquire(attempt.term));
        let claim = Claim::Acquiring(attempt);
        self.become_role(Role::Candidate { advert_at, claim }, cause, out);
    }

    pub(super) fn fire_candidate(
        &mut self,
        advert_at: Instant,
        claim: Claim,
        out: &mut Vec<Effect>,
    ) {
        let advert_at = self.advertise_if_due(advert_at, out);
        self.role = Role::Candidate { advert_at, claim };
        match claim {
            Claim::Asking { clear_at, .. } if clear_at <= self.now => {
                self.acquire(advert_at, self.cause, out);
            }
            Claim::Asking { give_up_at, .. } if give_up_at <= self.now => self.give_up(out),
            Claim::Acquiring(attempt) => self.fire_acquiring(advert_at, attempt, out),
            Claim::Asking { .. } => {}
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
            Wait::Answer { late_at } if late_at <= self.now => {
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
            self.failures = 0;
            self.promotions += 1;
            self.answered_at = None;
            out.push(Effect::Announce(attempt.term));
            let role = Role::Master {
                advert_at,
                restore: None,
            };
            self.become_role(role, Cause::AddressesOn, out);
            if std::mem::take(&mut self.lost) {
                self.on_address_lost(out);
            }
            return;
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

    /// Never MASTER without its addresses: give way, and stand again after a pause that doubles.
    fn will_not_go_on(&mut self, fault: AddressFault, out: &mut Vec<Effect>) {
        let doubled = HOLD_OFF * 2u32.pow(self.failures.min(5));
        self.failures = self.failures.saturating_add(1);
        let why = Blocked::Addresses(fault);
        self.hold = Some((why, self.now + doubled.min(HOLD_OFF_MAX)));
        self.release(Cause::Blocked(why), out);
    }

    /// The living MASTER goes on although we are better: it does not hear us. Two MASTERs would
    /// be worse than the wrong one; ask again later.
    fn give_up(&mut self, out: &mut Vec<Effect>) {
        let from = self.rival.map(|rival| rival.heard.from);
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
            (_, Claim::Asking { .. }) if heard.priority == RESIGN => {
                self.advertise(out);
                self.acquire(self.next_beat(), self.cause, out);
            }
            (Some(Ordering::Greater), Claim::Asking { .. }) => {
                self.remember(heard);
                self.settle(outranked_by(heard), out);
            }
            (Some(Ordering::Greater), Claim::Acquiring(_)) => self.step_down(heard, out),
            (_, Claim::Asking { give_up_at, .. }) => {
                self.remember(heard);
                let clear_at = self.clear_at(Rival {
                    heard,
                    at: self.now,
                });
                let claim = Claim::Asking {
                    clear_at,
                    give_up_at,
                };
                self.role = Role::Candidate { advert_at, claim };
            }
            (Some(Ordering::Less), Claim::Acquiring(_)) => {
                self.answer(out);
            }
            (Some(Ordering::Equal) | None, Claim::Acquiring(_)) => {}
        }
    }

    // --- holding ------------------------------------------------------------------------------

    pub(super) fn fire_master(
        &mut self,
        advert_at: Instant,
        restore: Option<Restore>,
        out: &mut Vec<Effect>,
    ) {
        let last_sent = advert_at - self.settings.interval;
        let silent_for = self.now.since(last_sent);
        let others_wait = self.settings.interval * self.settings.misses.max(2);
        if silent_for >= others_wait && !self.is_owner() {
            return self.release(Cause::Away(silent_for), out);
        }
        let advert_at = self.advertise_if_due(advert_at, out);
        self.role = Role::Master { advert_at, restore };
        if let Some(restore) = restore {
            self.fire_restore(advert_at, restore, out);
        }
    }

    /// RFC 9568, section 6.4.3: what a MASTER makes of an advert.
    pub(super) fn hear_as_master(&mut self, heard: Heard, out: &mut Vec<Effect>) {
        match self.compare(heard) {
            Some(Ordering::Greater) => self.step_down(heard, out),
            Some(Ordering::Less) => {
                let gone = self.rival.is_some() && heard.priority == RESIGN;
                self.remember(heard);
                if self.answer(out) || gone {
                    // Whoever asked while two answered may have learnt the wrong one.
                    out.push(Effect::Announce(self.term));
                }
                if heard.priority != RESIGN {
                    let Heard { from, priority, .. } = heard;
                    self.raise(Alarm::SecondMaster { from, priority }, out);
                }
            }
            Some(Ordering::Equal) | None => {}
        }
    }

    /// "Send an ADVERTISEMENT immediately", but not more often than an interval's quarter, so
    /// that a stranger's flood is not answered by one of ours.
    fn answer(&mut self, out: &mut Vec<Effect>) -> bool {
        let pause = self.settings.interval / 4;
        if self
            .answered_at
            .is_some_and(|at| self.now.since(at) < pause)
        {
            return false;
        }
        self.answered_at = Some(self.now);
        self.advertise(out);
        let next = self.next_beat();
        if let Role::Master { advert_at, .. } | Role::Candidate { advert_at, .. } = &mut self.role {
            *advert_at = next;
        }
        true
    }

    pub(super) fn on_address_lost(&mut self, out: &mut Vec<Effect>) {
        let Role::Master { advert_at, restore } = self.role else {
            // Perhaps after the read-back: look again when the answer is there.
            self.lost = matches!(
                self.role,
                Role::Candidate {
                    claim: Claim::Acquiring(_),
                    ..
                }
            );
            return;
        };
        if let Some(restore) = restore {
            let restore = Some(Restore {
                again: true,
                ..restore
            });
            self.role = Role::Master { advert_at, restore };
            return;
        }
        if self.is_fight() {
            self.hold = Some((Blocked::Fight, self.now + FIGHT_HOLD_OFF));
            return self.release(Cause::Blocked(Blocked::Fight), out);
        }
        self.restored += 1;
        self.raise(
            Alarm::AddressRestored {
                times: self.restored,
            },
            out,
        );
        self.reacquire(advert_at, out);
    }

    fn is_fight(&mut self) -> bool {
        if self.now.since(self.fight.began) >= FIGHT_WINDOW {
            self.fight = Fight {
                began: self.now,
                rounds: 0,
            };
        }
        self.fight.rounds += 1;
        self.fight.rounds > FIGHT_BUDGET
    }

    pub(super) fn on_addresses_changed(&mut self, out: &mut Vec<Effect>) {
        match self.role {
            Role::Master { advert_at, .. } => self.reacquire(advert_at, out),
            Role::Candidate {
                advert_at,
                claim: Claim::Acquiring(_),
            } => {
                let attempt = self.ask(0);
                out.push(Effect::Acquire(attempt.term));
                self.role = Role::Candidate {
                    advert_at,
                    claim: Claim::Acquiring(attempt),
                };
            }
            _ => {}
        }
    }

    fn reacquire(&mut self, advert_at: Instant, out: &mut Vec<Effect>) {
        let attempt = self.ask(0);
        out.push(Effect::Acquire(attempt.term));
        let restore = Some(Restore {
            attempt,
            again: false,
        });
        self.role = Role::Master { advert_at, restore };
    }

    fn fire_restore(&mut self, advert_at: Instant, restore: Restore, out: &mut Vec<Effect>) {
        match restore.attempt.wait {
            Wait::Pause { again_at } if again_at <= self.now => {
                let attempt = self.ask(restore.attempt.failed);
                out.push(Effect::Acquire(attempt.term));
                let restore = Some(Restore { attempt, ..restore });
                self.role = Role::Master { advert_at, restore };
            }
            Wait::Answer { late_at } if late_at <= self.now => {
                self.restored_as_master(advert_at, restore, Err(LATE), out);
            }
            _ => {}
        }
    }

    pub(super) fn restored_as_master(
        &mut self,
        advert_at: Instant,
        restore: Restore,
        outcome: Outcome,
        out: &mut Vec<Effect>,
    ) {
        let Err(fault) = outcome else {
            out.push(Effect::Announce(restore.attempt.term));
            self.role = Role::Master {
                advert_at,
                restore: None,
            };
            if restore.again {
                self.on_address_lost(out);
            }
            return;
        };
        match self.judge(restore.attempt, fault, out) {
            Verdict::Again(attempt) => {
                let restore = Some(Restore { attempt, ..restore });
                self.role = Role::Master { advert_at, restore };
            }
            Verdict::Enough(fault) => self.will_not_go_on(fault, out),
        }
    }

    // --- giving up ----------------------------------------------------------------------------

    fn step_down(&mut self, heard: Heard, out: &mut Vec<Effect>) {
        self.remember(heard);
        self.release(outranked_by(heard), out);
    }

    /// Law 6: addresses off, verified off, and only then are the peers told.
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
        let leaves = matches!(cause, Cause::Stop | Cause::Blocked(_));
        let advert_at = claiming.filter(|_| leaves);
        out.push(Effect::Hush);
        let attempt = self.ask(0);
        out.push(Effect::Release(attempt.term));
        let until = self.now + RELEASE_WITHIN;
        self.become_role(
            Role::Releasing {
                advert_at,
                attempt,
                until,
                cause,
            },
            cause,
            out,
        );
    }

    /// A candidate that has put nothing on yet has nothing to take off.
    fn withdraw(&mut self, cause: Cause, out: &mut Vec<Effect>) {
        Self::resign(out);
        self.settle(cause, out);
    }

    pub(super) fn fire_releasing(
        &mut self,
        advert_at: Option<Instant>,
        attempt: Attempt,
        until: Instant,
        cause: Cause,
        out: &mut Vec<Effect>,
    ) {
        let advert_at = advert_at.map(|at| self.advertise_if_due(at, out));
        self.role = Role::Releasing {
            advert_at,
            attempt,
            until,
            cause,
        };
        match attempt.wait {
            _ if until <= self.now => self.stuck(out),
            Wait::Pause { again_at } if again_at <= self.now => {
                let attempt = self.ask(attempt.failed);
                out.push(Effect::Release(attempt.term));
                self.role = Role::Releasing {
                    advert_at,
                    attempt,
                    until,
                    cause,
                };
            }
            Wait::Answer { late_at } if late_at <= self.now => {
                self.release_answered(attempt, Err(LATE), out);
            }
            _ => {}
        }
    }

    pub(super) fn release_answered(
        &mut self,
        attempt: Attempt,
        outcome: Outcome,
        out: &mut Vec<Effect>,
    ) {
        let Err(fault) = outcome else {
            Self::resign(out);
            return self.settle(Cause::AddressesOff, out);
        };
        let attempt = self.failed(attempt, ATTEMPT_PAUSE, fault, out);
        if let Role::Releasing {
            advert_at,
            until,
            cause,
            ..
        } = self.role
        {
            self.role = Role::Releasing {
                advert_at,
                attempt,
                until,
                cause,
            };
        }
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

    pub(super) fn hear_while_releasing(&mut self, heard: Heard) {
        if self.compare(heard) == Some(Ordering::Greater) {
            self.remember(heard);
            if let Role::Releasing { advert_at, .. } = &mut self.role {
                *advert_at = None;
            }
        }
    }

    // --- ranks and adverts --------------------------------------------------------------------

    /// How the sender ranks against this node; `None` where only another line may decide.
    fn compare(&self, heard: Heard) -> Option<Ordering> {
        let ours = Rank {
            priority: self.settings.priority,
            address: self.facts.source?,
        };
        let theirs = Rank {
            priority: heard.priority,
            address: heard.from,
        };
        let undecided = theirs.priority == ours.priority && !heard.lead;
        (!undecided).then(|| theirs.cmp(&ours))
    }

    /// A beat that was missed is not sent twice.
    fn advertise_if_due(&mut self, advert_at: Instant, out: &mut Vec<Effect>) -> Instant {
        if advert_at > self.now {
            return advert_at;
        }
        self.advertise(out);
        self.next_beat()
    }

    /// The next advert, within one interval: groups of one interval share the beats of the boot
    /// clock, so that hundreds of them are sent in a few wake-ups instead of one each.
    pub(super) fn next_beat(&self) -> Instant {
        let nanos = |length: Duration| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        let interval = nanos(self.settings.interval).max(1);
        let offset = nanos(self.settings.phase) % interval;
        let beats = (self.now.as_nanos() + interval - offset) / interval;
        Instant::from_nanos(beats * interval + offset)
    }
}

fn outranked_by(heard: Heard) -> Cause {
    Cause::Outranked {
        from: heard.from,
        priority: heard.priority,
    }
}
