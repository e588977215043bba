//! What must speak for a group under VRRP, whose peers grant nothing? An arbiter's vote, a reference that
//! answers, or both.
//!
//! The election decides who would hold; this decides who may. A BACKUP whose turn it is asks the arbiter in
//! silence, and claims when it has its vote: an advert before that would keep others from asking. Only a better
//! node that asks a living MASTER to go advertises meanwhile. Whoever loses what spoke for it gives the addresses
//! up, and no advert renews a right for longer.

use std::time::Duration;

use super::role::{Claim, Look, Role, Vigil};
use super::{Group, LOOK_WITHIN};
use crate::core::event::{Blocked, Cause, Effect};
use crate::core::lease::{self, Epoch, Nonce};
use crate::core::time::Instant;

/// A better node that has made a MASTER go, and then got no vote, leaves the next one alone for so long; doubled
/// with every time ...
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// ... so often at most.
const DOUBLINGS: u32 = 6;
/// Who gave way to a better node leaves it so long to get the vote.
const YIELDS: Duration = Duration::from_secs(1);

/// The arbiter's side of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Warrant {
    /// The ticket that the arbiter has, and the last one that it had.
    ticket: Option<Nonce>,
    last: Nonce,
    /// Until when its vote counts.
    until: Instant,
    /// Who holds is about to lay it down: it is asked once more, and looks at once.
    hurries: bool,
    /// So often it was asked in vain while somebody else became MASTER, ...
    vain: u32,
    /// ... which is left alone until then.
    patient_until: Instant,
    /// A better node was let in, and is given the time to get the vote.
    yields_until: Instant,
}

impl Group {
    /// Until when this node may hold, as far as it is not the election that says so.
    pub(super) fn warranted_until(&self) -> Instant {
        let vote = self.warrant.map_or(Instant::NEVER, |warrant| warrant.until);
        let reached = match &self.reach {
            Some(reach) if !self.is_native() => reach.counts_until(),
            _ => Instant::NEVER,
        };
        vote.min(reached)
    }

    /// Whether nothing but who asks first keeps this node from the arbiter's vote, where it needs that: without a disk
    /// that it can write it is in nobody's way, and asks nobody to go.
    pub(super) fn could_be_voted_for(&self) -> bool {
        let is_needed = match &self.native {
            Some(native) => native.voting.lease.always,
            None => self.settings.arbiter,
        };
        !is_needed || self.arbiter_sound
    }

    /// When whoever holds has to give up.
    pub(super) fn warrant_ends(&self) -> Instant {
        match self.role {
            Role::Master { .. }
            | Role::Candidate {
                claim: Claim::Promoting { .. } | Claim::Acquiring(_),
                ..
            } => self.warranted_until(),
            _ => Instant::NEVER,
        }
    }

    pub(super) fn is_warranted(&self) -> bool {
        self.warranted_until() > self.now
    }

    /// Whether the right ended with what speaks for this node, and not with its adverts.
    pub(super) fn is_unwarranted(&self) -> bool {
        !self.is_native() && self.warranted_until() < self.renewed
    }

    /// Nothing speaks for this node any more: what ended first.
    pub(super) fn forfeit_warrant(&mut self, out: &mut Vec<Effect>) {
        let vote = self.warrant.map_or(Instant::NEVER, |warrant| warrant.until);
        let cause = match vote == self.warranted_until() {
            true => Cause::Unarbitrated,
            false => Cause::Blocked(Blocked::Reference),
        };
        self.release(cause, out);
    }

    /// It is this node's turn, and nothing speaks for it yet: it waits without a word.
    pub(super) fn seek(&mut self, out: &mut Vec<Effect>) {
        let (vigil, lacks) = match self.warrant.is_some() && self.is_fit() {
            true => {
                let again_at = self.now + self.master_down(self.settings.interval);
                (Vigil::seeking(again_at), Blocked::Arbiter)
            }
            false => (self.vigil(), Blocked::Reference),
        };
        match self.role {
            Role::Backup(_) => self.role = Role::Backup(vigil),
            _ => {
                self.become_role(Role::Backup(vigil), Cause::Blocked(lacks), out);
                self.hurry();
            }
        }
    }

    pub(super) fn seeks(&self) -> bool {
        let is_seeking = |vigil: Vigil| vigil.look == Look::Sought;
        matches!(self.role, Role::Backup(vigil) if is_seeking(vigil))
    }

    /// Somebody else is MASTER while this node asks the arbiter; whether it did.
    pub(super) fn stop_seeking(&mut self) -> bool {
        if !self.seeks() {
            return false;
        }
        if let Some(warrant) = &mut self.warrant {
            let length = AGAIN_AFTER * 2u32.pow(warrant.vain.min(DOUBLINGS));
            warrant.vain = warrant.vain.saturating_add(1);
            warrant.patient_until = self.now + length;
        }
        true
    }

    /// A worse MASTER is left alone until then.
    pub(super) fn patient_until(&self) -> Instant {
        let patient = |warrant: Warrant| warrant.patient_until;
        self.warrant.map_or(Instant::default(), patient)
    }

    /// Who was let in needs a moment for the vote: nobody else asks for it meanwhile.
    pub(super) fn let_in(&mut self) {
        if let Some(warrant) = &mut self.warrant {
            warrant.yields_until = self.now + YIELDS;
        }
    }

    pub(super) fn yields_until(&self) -> Instant {
        let yields = |warrant: Warrant| warrant.yields_until;
        self.warrant.map_or(Instant::default(), yields)
    }

    /// A MASTER resigns while this node asks the arbiter: its slot is about to be laid down.
    pub(super) fn hurry(&mut self) {
        if let Some(warrant) = &mut self.warrant {
            warrant.hurries = true;
        }
    }

    /// What the arbiter says to a ticket.
    pub(super) fn on_warrant(&mut self, word: lease::Event) {
        let (now, seeks) = (self.now, self.seeks());
        let Some(warrant) = &mut self.warrant else {
            return;
        };
        match word {
            lease::Event::Arbiter(ticket, until) if warrant.ticket == Some(ticket) => {
                warrant.until = until;
            }
            lease::Event::ArbiterLost(ticket) if warrant.ticket == Some(ticket) => {
                warrant.until = Instant::default();
            }
            // It is worth nothing any more: asked again, if it is needed, with another one.
            lease::Event::ArbiterFloor(ticket, _) if warrant.ticket == Some(ticket) => {
                (warrant.ticket, warrant.until) = (None, Instant::default());
            }
            _ => return,
        }
        if seeks && warrant.until > now {
            // That may have taken long: it looks once more who answers, unless it knows.
            self.role = Role::Backup(Vigil::until(now.max(self.earliest())));
        }
    }

    /// To be called when all else is decided.
    pub(super) fn settle_warrant(&mut self, out: &mut Vec<Effect>) {
        if self.is_native() {
            return;
        }
        self.settle_ticket(out);
        let until = self.warranted_until();
        if std::mem::replace(&mut self.warranted, until) != until {
            out.push(Effect::Warrant(until));
        }
    }

    /// A ticket while it is needed, and none while it is not.
    fn settle_ticket(&mut self, out: &mut Vec<Effect>) {
        let needs = match self.role {
            Role::Backup(vigil) => {
                let is_about_to = vigil.stand_at <= self.now + LOOK_WITHIN;
                self.seeks() || is_about_to && self.has_vote()
            }
            Role::Candidate { .. } | Role::Master { .. } => true,
            _ => false,
        };
        let is_master = matches!(self.role, Role::Master { .. });
        let Some(warrant) = &mut self.warrant else {
            return;
        };
        if is_master {
            (warrant.vain, warrant.patient_until) = (0, Instant::default());
        }
        let hurries = std::mem::take(&mut warrant.hurries);
        match (needs, warrant.ticket) {
            (true, Some(ticket)) if hurries => {
                out.push(Effect::Contend(ticket, Epoch::default()));
            }
            (true, None) => {
                warrant.last += 1;
                warrant.ticket = Some(warrant.last);
                // Without an epoch, which VRRP does not know.
                out.push(Effect::Contend(warrant.last, Epoch::default()));
            }
            (false, Some(ticket)) => {
                (warrant.ticket, warrant.until) = (None, Instant::default());
                out.push(Effect::Withdraw(ticket));
            }
            _ => {}
        }
    }

    fn has_vote(&self) -> bool {
        self.warrant.is_some_and(|warrant| warrant.until > self.now)
    }
}
