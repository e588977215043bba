//! How are the addresses kept? MASTER.

use std::cmp::Ordering;
use std::time::Duration;

use super::role::{Claim, Restore, Role, Verdict, Wait};
use super::{ANNOUNCE_PAUSE, FIGHT_BUDGET, FIGHT_HOLD_OFF, FIGHT_WINDOW, Group, LATE, ONE_LOSS};
use crate::core::election::{RESIGN, Rank};
use crate::core::event::{Alarm, Blocked, Cause, Effect, Heard, Outcome};
use crate::core::time::Instant;

impl Group {
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
    pub(super) fn answer(&mut self, to: u8, out: &mut Vec<Effect>) {
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
    pub(super) fn announce_again(&mut self) {
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
        if matches!(self.role, Role::Master { .. }) && self.is_unwarranted() {
            self.forfeit_warrant(out);
        } else if matches!(self.role, Role::Master { .. }) {
            self.release(Cause::Lapsed, out);
        }
    }

    /// Without it a dead agent would answer for ever: no authority until it is back.
    pub(super) fn on_gate_lost(&mut self, out: &mut Vec<Effect>) {
        let may_hold = matches!(
            self.role,
            Role::Master { .. }
                | Role::Candidate {
                    claim: Claim::Promoting { .. } | Claim::Acquiring(_),
                    ..
                }
        );
        if may_hold && self.settings.lease.is_some() {
            self.release(Cause::GateLost, out);
        }
    }

    /// How the sender ranks against this node; `None` where only another line may decide.
    pub(super) fn compare(&self, heard: Heard) -> Option<Ordering> {
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
    pub(super) fn was_away(&self, advert_at: Instant) -> Option<Duration> {
        let silent_for = self.now.since(advert_at - self.settings.interval);
        let others_wait = self.settings.interval * self.settings.misses.max(2);
        // A lease that has ended is not renewed: others may have counted on its end.
        let others_wait = self.settings.lease.unwrap_or(others_wait).min(others_wait);
        (silent_for >= others_wait && !self.is_owner()).then_some(silent_for)
    }

    /// A beat that was missed is not sent twice.
    pub(super) fn advertise_if_due(
        &mut self,
        advert_at: Instant,
        out: &mut Vec<Effect>,
    ) -> Instant {
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
