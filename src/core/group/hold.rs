//! How are the addresses claimed, kept and given up? CANDIDATE, MASTER and RELEASING.

use std::cmp::Ordering;
use std::time::Duration;

use super::rivals::Rivals;
use super::role::{Attempt, Claim, Leave, Restore, Role, Verdict, Wait};
use super::{
    ANNOUNCE_PAUSE, ATTEMPT_PAUSE, FIGHT_BUDGET, FIGHT_HOLD_OFF, FIGHT_WINDOW, Group, HOLD_OFF,
    HOLD_OFF_MAX, LATE, ONE_LOSS, RELEASE_WITHIN,
};
use crate::core::election::{RESIGN, Rank};
use crate::core::event::{
    AddressFault, AddressFaultKind, Alarm, Blocked, Cause, Effect, Heard, Outcome, Term,
};
use crate::core::time::Instant;

impl Group {
    // --- claiming -----------------------------------------------------------------------------

    /// Nobody is in the way: the addresses go on. Adverts go out meanwhile, since the others
    /// time out on silence; MASTER is said after the read-back.
    pub(super) fn acquire(&mut self, advert_at: Instant, cause: Cause, out: &mut Vec<Effect>) {
        self.rivals = Rivals::default();
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
        if let Some(silent_for) = self.was_away(advert_at) {
            return self.release(Cause::Away(silent_for), out);
        }
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
            return self.promote(advert_at, None, Cause::AddressesOn, out);
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
        if attempt.awaits(term) {
            let restore = Restore {
                attempt,
                again: false,
                announced: true,
            };
            self.promote(advert_at, Some(restore), Cause::Answering, out);
        }
    }

    fn promote(
        &mut self,
        advert_at: Instant,
        restore: Option<Restore>,
        cause: Cause,
        out: &mut Vec<Effect>,
    ) {
        self.failures = 0;
        self.promotions += 1;
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
            (Some(Ordering::Greater), Claim::Acquiring(_)) => self.step_down(heard, out),
            (_, Claim::Asking { give_up_at, .. }) => {
                self.remember(heard);
                // A third router must not take a resignation for ours.
                let advert_at = match heard.priority {
                    RESIGN => advert_at.min(self.now),
                    _ => advert_at,
                };
                self.go_on_asking(advert_at, give_up_at);
            }
            (Some(Ordering::Less), Claim::Acquiring(_)) => {
                self.answer(heard.priority, out);
            }
            (Some(Ordering::Equal) | None, Claim::Acquiring(_)) => {}
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

    // --- holding ------------------------------------------------------------------------------

    pub(super) fn fire_master(
        &mut self,
        advert_at: Instant,
        restore: Option<Restore>,
        out: &mut Vec<Effect>,
    ) {
        if let Some(silent_for) = self.was_away(advert_at) {
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
                self.remember(heard);
                self.answer(heard.priority, out);
                // Whoever asked while two answered may have learnt the wrong one.
                self.announce_again();
                if heard.priority != RESIGN {
                    let Heard { from, priority, .. } = heard;
                    self.raise(Alarm::SecondMaster { from, priority }, out);
                }
            }
            Some(Ordering::Equal) | None => {}
        }
    }

    /// "Send an ADVERTISEMENT immediately", but not more often than so many times an interval, so
    /// that a stranger's flood is not answered by one of ours. A resignation is answered sooner:
    /// a third router may stand after the skew time.
    fn answer(&mut self, to: u8, out: &mut Vec<Effect>) {
        let share = if to == RESIGN { 16 } else { 4 };
        let pause = self.settings.interval / share;
        if self
            .answered_at
            .is_some_and(|at| self.now.since(at) < pause)
        {
            return;
        }
        self.answered_at = Some(self.now);
        self.advertise(out);
        let next = self.next_beat();
        if let Role::Master { advert_at, .. } | Role::Candidate { advert_at, .. } = &mut self.role {
            *advert_at = next;
        }
    }

    /// Soon, but not so often that an announcement of many addresses never comes to its end.
    fn announce_again(&mut self) {
        let soonest = (self.announced_at + ANNOUNCE_PAUSE).max(self.now);
        self.announce_at = self.announce_at.min(soonest);
    }

    pub(super) fn announce(&mut self, out: &mut Vec<Effect>) {
        self.announced_at = self.now;
        self.announce_at = Instant::NEVER;
        out.push(Effect::Announce(self.term));
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

    /// What went while the same loss was being mended is put back, and counts with it.
    fn lost_meanwhile(&mut self, advert_at: Instant, out: &mut Vec<Effect>) {
        match self.now.since(self.fight.lost_at) < ONE_LOSS {
            true => self.reacquire(advert_at, out),
            false => self.on_address_lost(out),
        }
    }

    fn is_fight(&mut self) -> bool {
        self.fight.lost_at = self.now;
        if self.now.since(self.fight.began) >= FIGHT_WINDOW {
            self.fight.began = self.now;
            self.fight.rounds = 0;
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
            announced: false,
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
            if !restore.announced {
                self.announce(out);
            }
            self.role = Role::Master {
                advert_at,
                restore: None,
            };
            if restore.again {
                self.lost_meanwhile(advert_at, out);
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

    /// The gate has shut by itself, and the others are about to take over.
    pub(super) fn on_lapsed(&mut self, out: &mut Vec<Effect>) {
        if matches!(self.role, Role::Master { .. }) {
            self.release(Cause::Lapsed, out);
        }
    }

    /// Without it a dead agent would answer for ever: no authority until it is back.
    pub(super) fn on_gate_lost(&mut self, out: &mut Vec<Effect>) {
        let may_hold = matches!(
            self.role,
            Role::Master { .. }
                | Role::Candidate {
                    claim: Claim::Acquiring(_),
                    ..
                }
        );
        if may_hold && self.settings.lease.is_some() {
            self.release(Cause::GateLost, out);
        }
    }

    // --- giving up ----------------------------------------------------------------------------

    fn step_down(&mut self, heard: Heard, out: &mut Vec<Effect>) {
        self.remember(heard);
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
            Self::resign(out);
        }
        let leave = Leave {
            advert_at: claiming.filter(|_| leaves && !tells),
            attempt,
            until: self.now + RELEASE_WITHIN,
            resigns: !tells,
        };
        self.become_role(Role::Releasing(leave), cause, out);
    }

    /// Whether the gate keeps this host silent while its addresses go off.
    fn is_shut(&self, cause: Cause) -> bool {
        let no_gate = match cause {
            Cause::GateLost => true,
            Cause::Blocked(Blocked::Addresses(fault)) => fault.kind == AddressFaultKind::NoGate,
            _ => false,
        };
        self.settings.lease.is_some() && !no_gate
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
            Self::resign(out);
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
                Self::resign(out);
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

    /// For how long a router that should have spoken at `advert_at` was silent, if for so long
    /// that the others may have taken over. The owner yields to nobody.
    fn was_away(&self, advert_at: Instant) -> Option<Duration> {
        let silent_for = self.now.since(advert_at - self.settings.interval);
        let others_wait = self.settings.interval * self.settings.misses.max(2);
        // A lease that has ended is not renewed: others may have counted on its end.
        let others_wait = self.settings.lease.unwrap_or(others_wait).min(others_wait);
        (silent_for >= others_wait && !self.is_owner()).then_some(silent_for)
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
