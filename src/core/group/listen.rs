//! When does a BACKUP stand? Silence, resignations, worse MASTERs, and frames that disagree.
//!
//! Silence is not the death of the MASTER: its adverts may be lost while its clients reach it. So
//! whoever is about to stand after silence asks first whether another host answers for the
//! addresses. A host whose agent is dead or frozen does not: its gate is shut by then.

use std::net::IpAddr;
use std::time::Duration;

use super::role::{Claim, Look, Role, Vigil};
use super::{Group, LOOK_PAUSE, LOOK_WITHIN, Rival};
use crate::core::election::{self, RESIGN};
use crate::core::event::{Alarm, Cause, Effect, Heard};
use crate::core::lease;
use crate::core::time::Instant;

impl Group {
    /// RFC 9568, section 6.4.2: what a BACKUP makes of an advert.
    pub(super) fn listen(&mut self, stand_at: Instant, heard: Heard) {
        let stand_at = if heard.priority == RESIGN {
            self.hear_resignation(stand_at, heard.from)
        } else if heard.priority >= self.settings.priority || !self.preempts() {
            self.preempt_at = None;
            self.follow(heard)
        } else {
            self.hear_worse(stand_at, heard)
        };
        self.role = Role::Backup(Vigil::until(stand_at.max(self.earliest())));
    }

    /// "Set the Active_Down_Timer to Skew_Time": earlier, never later, since copies of one
    /// resignation come on several lines. While another MASTER lives, or may still answer though it
    /// is dead, it is that one's silence that counts: whoever gives way to a better router resigns as
    /// well, and so does one that was frozen while another took over.
    fn hear_resignation(&mut self, stand_at: Instant, from: IpAddr) -> Instant {
        let interval = self.interval();
        let was_master = self.rivals.resign(from);
        if self.living_rival().is_some() || self.dying_until(self.now).is_some() {
            return stand_at;
        }
        self.preempt_at = None;
        self.resigned = Some(from);
        let skew = election::skew(self.settings.version, self.settings.priority, interval);
        // The other node of a pair, and not a stranger with the same id.
        let alone = self.settings.pair && was_master;
        let wait = if alone { Duration::ZERO } else { skew };
        stand_at.min(self.now + wait)
    }

    /// A MASTER to follow: the wait for its silence starts again.
    fn follow(&mut self, heard: Heard) -> Instant {
        self.remember(heard);
        self.now + self.master_down(self.interval_of(heard))
    }

    /// A worse MASTER is not followed: the wait that runs goes on to its end, and a
    /// `preempt-delay`, which starts with the first such advert, may prolong it.
    fn hear_worse(&mut self, stand_at: Instant, heard: Heard) -> Instant {
        let preempt_at = *self
            .preempt_at
            .get_or_insert(self.now + self.settings.preempt_delay);
        let preempt_at = preempt_at.max(self.patient_until());
        if self.now >= preempt_at {
            self.remember(heard);
            return stand_at;
        }
        self.follow(heard).min(preempt_at)
    }

    pub(super) fn remember(&mut self, heard: Heard) {
        if heard.priority == RESIGN {
            self.rivals.resign(heard.from);
            return;
        }
        self.resigned = None;
        self.rivals.hear(Rival {
            heard,
            at: self.now,
        });
    }

    /// Of the MASTER that was heard last; our own where there was none.
    fn interval(&self) -> Duration {
        let last = self.rivals.last();
        last.map_or(self.settings.interval, |rival| {
            self.interval_of(rival.heard)
        })
    }

    /// Not before, whatever is heard.
    pub(super) fn earliest(&self) -> Instant {
        match self.maintenance || !self.is_fit() {
            true => Instant::NEVER,
            false => self
                .start_at()
                .max(self.held_until)
                .max(self.yields_until()),
        }
    }

    /// A node on which the addresses would not go on does not push a living MASTER aside.
    pub(super) fn preempts(&self) -> bool {
        let is_able = self.failures == 0 && self.could_be_voted_for();
        (self.settings.preempt && is_able && !self.ceded) || self.is_owner()
    }

    pub(super) fn start_at(&self) -> Instant {
        self.born + self.settings.start_delay
    }

    /// The instant at which a BACKUP that hears nothing from now on stands.
    ///
    /// RFC 9568, section 6.4.1: the owner (priority 255) becomes MASTER at once.
    pub(super) fn stand_at(&self) -> Instant {
        if self.is_native() {
            let start_at = self.start_at();
            return if start_at > self.now {
                start_at
            } else {
                Instant::NEVER
            };
        }
        if self.is_owner() {
            return self.now.max(self.earliest());
        }
        let interval = self.interval();
        let wait = if matches!(self.cause, Cause::Away(_)) {
            // Anyone who took over meanwhile is heard within one interval.
            let settings = &self.settings;
            interval + election::skew(settings.version, settings.priority, interval)
        } else {
            self.master_down(interval)
        };
        (self.now + wait).max(self.earliest())
    }

    /// The wait that begins now.
    pub(super) fn vigil(&self) -> Vigil {
        let stand_at = self.stand_at();
        match self.is_native() {
            true => Vigil::without_look(stand_at),
            false => Vigil::until(stand_at),
        }
    }

    /// The wait is over, or nearly so. Who comes to know of it late did not run meanwhile, and
    /// somebody else had the time to take over: it listens again, from now on.
    pub(super) fn fire_backup(&mut self, vigil: Vigil, out: &mut Vec<Effect>) {
        if self.now.since(vigil.ends()) > self.interval() {
            self.role = Role::Backup(Vigil::until(self.stand_at()));
            return;
        }
        let end = self.now.max(vigil.stand_at);
        match vigil.look {
            Look::Ahead | Look::Needless if self.is_silence(end) => self.look(vigil, out),
            Look::Ahead => {
                let look = Look::Needless;
                self.role = Role::Backup(Vigil { look, ..vigil });
            }
            _ => self.stand(out),
        }
    }

    /// Whether nothing but silence, until then, makes this node stand.
    fn is_silence(&self, at: Instant) -> bool {
        let goes = self.resigned.is_some() || self.is_owner();
        !goes && self.living_rival_at(at).is_none() && self.dying_until(at).is_none()
    }

    fn look(&mut self, vigil: Vigil, out: &mut Vec<Effect>) {
        self.ticket += 1;
        out.push(Effect::Look(self.ticket));
        let look = Look::Asked {
            ticket: self.ticket,
            until: self.now + LOOK_WITHIN,
        };
        self.role = Role::Backup(Vigil { look, ..vigil });
    }

    /// Answered means alive: stay, say so, and ask again every interval.
    pub(super) fn on_looked(&mut self, of: u64, answered: bool, out: &mut Vec<Effect>) {
        if self.is_native() {
            if answered {
                self.raise(Alarm::Answered, out);
            }
            return self.vote(lease::Event::Looked(of, answered), out);
        }
        let Role::Backup(vigil) = self.role else {
            return self.looked_again(of, answered, out);
        };
        let Look::Asked { ticket, until } = vigil.look else {
            return;
        };
        if of != ticket {
            return;
        }
        if !answered {
            let look = Look::Unanswered { until };
            self.role = Role::Backup(Vigil { look, ..vigil });
            return;
        }
        self.raise(Alarm::Answered, out);
        let again_at = self.now + self.interval().max(LOOK_PAUSE);
        self.role = Role::Backup(Vigil {
            answered: true,
            ..Vigil::until(again_at.max(self.earliest()))
        });
    }

    /// Under VRRP who is to stand is known by the priorities already, and a second look would delay a
    /// takeover; of two of the native protocol that do not hear each other, one must give way.
    pub(super) fn on_probed(&mut self, of: u64, out: &mut Vec<Effect>) {
        match self.is_native() {
            true => self.vote(lease::Event::Probed(of), out),
            false => self.on_looked(of, false, out),
        }
    }

    fn stand(&mut self, out: &mut Vec<Effect>) {
        if let Some(gone_at) = self.dying_until(self.now) {
            self.role = Role::Backup(Vigil::until(gone_at));
            return;
        }
        let rival = self.living_rival();
        if rival.is_none() && !self.is_warranted() {
            return self.seek(out);
        }
        self.advertise(out);
        let advert_at = self.next_beat();
        match rival {
            Some(rival) => {
                let cause = Cause::Preempting {
                    from: rival.heard.from,
                    priority: rival.heard.priority,
                };
                // A MASTER that goes on is heard at its own interval, not at ours.
                let interval = self.settings.interval.max(self.interval_of(rival.heard));
                let give_up_at = self.now + self.master_down(interval);
                let claim = Claim::Asking {
                    clear_at: self.clear_at(rival),
                    give_up_at,
                };
                self.become_role(Role::Candidate { advert_at, claim }, cause, out);
            }
            None => {
                let cause = self.why_alone();
                self.acquire(advert_at, cause, out);
            }
        }
    }

    pub(super) fn living_rival(&self) -> Option<Rival> {
        self.living_rival_at(self.now)
    }

    /// The MASTER that will still count as living then, if nothing is heard until then.
    fn living_rival_at(&self, at: Instant) -> Option<Rival> {
        let longest = self.rivals.longest(|rival| self.clear_at(rival));
        longest.filter(|&rival| at < self.clear_at(rival))
    }

    /// Until when a MASTER may still answer that has missed an advert and has not resigned: it is dead
    /// perhaps, and until its lease ends its gate is open. This is so where a better node waits to
    /// push a living one aside, whose adverts do not prolong the wait.
    fn dying_until(&self, at: Instant) -> Option<Instant> {
        let gone_at = |rival: Rival| rival.at + self.master_down(self.interval_of(rival.heard));
        let rival = self.rivals.longest(gone_at)?;
        let is_dying = self.living_rival_at(at).is_none() && at < gone_at(rival);
        (is_dying && self.resigned.is_none() && !self.is_owner()).then(|| gone_at(rival))
    }

    /// When a MASTER that said nothing more has gone: the next advert would have come after one
    /// interval, and may be a quarter late.
    pub(super) fn clear_at(&self, rival: Rival) -> Instant {
        rival.at + self.interval_of(rival.heard) * 5 / 4
    }

    fn why_alone(&self) -> Cause {
        if self.is_owner() {
            Cause::Owner
        } else if let Some(from) = self.resigned {
            Cause::Resigned { from }
        } else {
            let rival = self.rivals.last();
            let last = rival.map_or(self.since, |rival| rival.at);
            let from = rival.map(|rival| rival.heard.from);
            Cause::Silence {
                from,
                lasting: self.now.since(last),
            }
        }
    }

    /// Law 10: a well-formed frame that disagrees on what the election rests on is not silence.
    /// Nobody is promoted while such frames arrive, which may be seldom; who serves, goes on
    /// serving.
    pub(super) fn on_conflict(&mut self, alarm: Alarm, interval: Duration, out: &mut Vec<Effect>) {
        self.raise(alarm, out);
        if self.is_native() {
            return self.hold_votes(out);
        }
        let longer = interval.max(self.settings.interval);
        self.held_until = self.held_until.max(self.now + self.master_down(longer));
        let cause = Cause::Disagreement;
        match self.role {
            Role::Backup(vigil) => {
                let waited = if self.seeks() {
                    self.now
                } else {
                    vigil.stand_at
                };
                let stand_at = waited.max(self.held_until);
                self.role = Role::Backup(Vigil::until(stand_at));
            }
            Role::Candidate {
                claim: Claim::Asking { .. },
                ..
            } => self.settle(cause, out),
            Role::Candidate { .. } => self.release(cause, out),
            _ => {}
        }
    }

    /// Law 10: a frame that fails authentication delays a promotion once, and never demotes.
    pub(super) fn on_unauthentic(&mut self, from: IpAddr, out: &mut Vec<Effect>) {
        self.raise(Alarm::Unauthentic { from }, out);
        if self.is_native() && !self.delayed {
            self.delayed = true;
            return self.hold_votes(out);
        }
        if let Role::Backup(vigil) = self.role
            && !self.delayed
            && !self.is_native()
        {
            self.delayed = true;
            let later = self.now + self.master_down(self.settings.interval);
            let waited = if self.seeks() {
                self.now
            } else {
                vigil.stand_at
            };
            self.role = Role::Backup(Vigil::until(waited.max(later)));
        }
    }
}
