//! What do the answers give? Votes that come in, and what they add up to.

use super::campaign::{Asked, Campaign, Voice, Vote};
use super::epoch::{Epoch, NodeId};
use super::words::{Authority, BootId, Effect, Effects, Loss, Nonce};
use super::{APART, CONFIRMED_WITHIN, Lease, STORED, STORINGS};
use crate::core::time::Instant;

impl Lease {
    pub(super) fn granted(&mut self, from: NodeId, boot: BootId, nonce: Nonce) {
        if !self.is_peer(from) || boot != self.boot {
            return;
        }
        self.hear();
        let Some(campaign) = &mut self.campaign else {
            return;
        };
        let asked = campaign.asked.iter().rfind(|asked| asked.nonce == nonce);
        let Some(&Asked { epoch, until, .. }) = asked else {
            return;
        };
        let from = Voice::Node(from);
        campaign.vote(Vote { from, epoch, until });
        // Whoever waits longer than that for the next one has no heartbeat left before its end: an answer
        // that took so long is worth its vote, and is no sign that more will come in time.
        let in_time = until - self.settings.interval * 3 / 2;
        let acks_until = in_time.min(self.now + self.settings.lease / 2);
        campaign.acks_until = campaign.acks_until.max(acks_until);
        campaign.alone &= campaign.acks_until <= self.now;
    }

    pub(super) fn refused(&mut self, from: NodeId, floor: Epoch) {
        if !self.is_peer(from) {
            return;
        }
        self.hear();
        self.epochs.see(floor);
        // Of several voters, the others may have granted what this one refuses.
        let is_needed = self.settings.voters.pair();
        if let Some(campaign) = &mut self.campaign {
            let first = campaign.asked_for == campaign.epoch && floor > campaign.asked_for;
            campaign.again |= is_needed && first && campaign.authority.is_none();
            campaign.asked_for = campaign.asked_for.max(floor);
        }
    }

    /// A voter of a pair that was dead itself, and is back just now, would have the candidate wait for a
    /// whole interval; of several voters, the others may have granted.
    pub(super) fn storing(&mut self, from: NodeId, floor: Epoch) {
        self.refused(from, floor);
        let is_needed = self.settings.voters.pair() && self.is_peer(from);
        let Some(campaign) = self.campaign.as_mut().filter(|_| is_needed) else {
            return;
        };
        let again_at = self.now + STORED * (1 << campaign.storings);
        let helps = campaign.authority.is_none() && again_at < campaign.ask_at;
        if helps && campaign.storings < STORINGS {
            campaign.storings += 1;
            campaign.ask_at = again_at;
        }
    }

    pub(super) fn arbiter(&mut self, ticket: Nonce, until: Instant) {
        let Some(campaign) = &mut self.campaign else {
            return;
        };
        let Some((_, epoch)) = campaign.contest.filter(|contest| contest.0 == ticket) else {
            return;
        };
        let from = Voice::Arbiter;
        campaign.votes.retain(|vote| vote.from != from);
        campaign.vote(Vote { from, epoch, until });
        campaign.forget(self.now);
    }

    pub(super) fn arbiter_floor(&mut self, ticket: Nonce, floor: Epoch) {
        let Some(campaign) = &mut self.campaign else {
            return;
        };
        if campaign.contest.is_some_and(|contest| contest.0 == ticket) {
            self.epochs.see(floor);
            campaign.asked_for = campaign.asked_for.max(floor);
            campaign.votes.retain(|vote| vote.from != Voice::Arbiter);
            campaign.contest = None;
        }
    }

    pub(super) fn looked(&mut self, ticket: Nonce, answered: bool, out: &mut Effects) {
        let silent = self.silent_at <= self.now;
        let proven = self.proven_until() > self.now;
        let Some(campaign) = self.look_ends(ticket) else {
            return;
        };
        let confirms = campaign.confirm.is_some();
        if !answered {
            // Whoever stood still since it asked comes late with it.
            campaign.fresh_until = campaign.asked_until;
        }
        if answered {
            // A sign of life like any other: the gate was open then, and may be for as long as L, though
            // the host stands still when it is asked again.
            self.wait_anew();
            if confirms {
                self.lose(Loss::Answered, out);
            }
            return;
        }
        if confirms {
            campaign.confirm = None;
            out.push(Effect::Confirmed);
            return;
        }
        let epoch = campaign.epoch;
        if !silent || !proven || !self.epochs.stored(epoch) {
            return;
        }
        if let Some(campaign) = &mut self.campaign {
            // The deadline counts from a heartbeat that goes out now.
            campaign.alone = true;
            campaign.ask_at = self.now;
        }
    }

    /// RFC 5227, section 2.1.1: a probe of another host for the address "SHOULD" be treated as a
    /// conflict. Both have seen nobody, and if both went on, both would hold. One looks again as soon as
    /// the other is silent; that one waits as if it had been answered, and then finds the first.
    pub(super) fn probed(&mut self, ticket: Nonce, out: &mut Effects) {
        let now = self.now;
        let is_first = self.settings.voters.is_first(self.settings.me);
        let Some(campaign) = self.look_ends(ticket) else {
            return;
        };
        campaign.look_at = now + APART;
        let confirms = campaign.confirm.is_some();
        if !is_first {
            self.wait_anew();
            if confirms {
                self.lose(Loss::Answered, out);
            }
        }
    }

    /// The addresses went on slowly, or this node stood still meanwhile.
    pub(super) fn confirm(&mut self) {
        let now = self.now;
        if let Some(campaign) = &mut self.campaign
            && campaign.confirm.is_none()
        {
            campaign.confirm = Some(CONFIRMED_WITHIN);
            (campaign.look, campaign.look_at) = (None, now);
        }
    }

    /// The other one grants: it does not answer, and will not.
    pub(super) fn need_not_confirm(&mut self, out: &mut Effects) {
        let Some(campaign) = &mut self.campaign else {
            return;
        };
        let is_granted = campaign.authority.is_some_and(|own| !own.alone);
        if is_granted && campaign.confirm.take().is_some() {
            campaign.look = None;
            out.push(Effect::Confirmed);
        }
    }

    fn look_ends(&mut self, ticket: Nonce) -> Option<&mut Campaign> {
        let now = self.now;
        let campaign = self.campaign.as_mut()?;
        let is_done = campaign.authority.is_some() && campaign.confirm.is_none();
        if campaign.look != Some(ticket) || is_done {
            return None;
        }
        // Law 4: who stood still since it asked looks again; another may have taken over.
        if campaign.look_at <= now {
            return None;
        }
        campaign.look = None;
        Some(campaign)
    }

    /// Counts the votes: begins, moves or ends the authority.
    pub(super) fn recount(&mut self, out: &mut Effects) {
        let (now, floor) = (self.now, self.epochs.floor);
        let proven_until = self.proven_until();
        let majority = self.settings.voters.majority();
        let Some(campaign) = &mut self.campaign else {
            return;
        };
        let own = campaign.own(self.settings.me).filter(|_| campaign.alone);
        let own = own.map(|(until, epoch)| (until.min(proven_until), epoch));
        let agreed = campaign.agreed(majority, |_| true);
        let (best, alone) = (agreed.max(own), own > agreed);
        let best = match self.settings.always {
            true => best
                .zip(campaign.arbiter())
                .map(|((until, epoch), vote)| (until.min(vote), epoch)),
            false => best,
        };
        let old = campaign.authority;
        let new = best.filter(|(until, _)| *until > now);
        let Some((until, epoch)) = new else {
            if old.is_some() {
                let is_arbiter = self.settings.always && campaign.arbiter().is_none();
                let why = if is_arbiter {
                    Loss::Unarbitrated
                } else {
                    Loss::Lapsed
                };
                self.lose(why, out);
            }
            return;
        };
        if old.is_none() && epoch < floor {
            return;
        }
        let epoch = old.map_or(epoch, |old| old.epoch.max(epoch));
        let new = Authority {
            until,
            epoch,
            alone,
        };
        if old.is_none() {
            // A holder asks the arbiter as soon as it has to.
            campaign.contend_at = now;
        }
        if old != Some(new) {
            campaign.authority = Some(new);
            out.push(Effect::Authority(new));
        }
    }

    /// Gives the arbiter's vote back once the peers' votes are enough.
    pub(super) fn dispense(&mut self, out: &mut Effects) {
        let majority = self.settings.voters.majority();
        let always = self.settings.always;
        let Some(campaign) = self.campaign.as_mut().filter(|_| !always) else {
            return;
        };
        if campaign.contest.is_none() {
            return;
        }
        let enough = campaign.agreed(majority, |vote| vote.from != Voice::Arbiter);
        if campaign.authority.is_none() || campaign.acks_until <= self.now || enough.is_none() {
            return;
        }
        let Some((ticket, _)) = campaign.contest.take() else {
            return;
        };
        campaign.votes.retain(|vote| vote.from != Voice::Arbiter);
        self.recount(out);
        out.push(Effect::Withdraw(ticket));
    }
}
