//! Do we stand? The side that asks for votes.

use std::time::Duration;

use super::campaign::{Asked, Campaign, Voice, Vote};
use super::epoch::{Epoch, NodeId};
use super::words::{Effect, Effects, Loss, Request, Resign};
use super::{FRESH, HEAD_START, HURRY, LOOK, Lease};
use crate::core::time::Instant;

impl Lease {
    /// Ends what has ended by now.
    pub(super) fn lapse(&mut self, out: &mut Effects) {
        let now = self.now;
        let is_cut_off = self.proven_until() <= now;
        let always = self.settings.always;
        let Some(campaign) = &mut self.campaign else {
            return;
        };
        campaign.forget(now);
        if campaign.authority.is_some_and(|own| own.until <= now) {
            let why = match campaign.alone && is_cut_off {
                true => Loss::Unproven,
                false if always && campaign.arbiter().is_none() => Loss::Unarbitrated,
                false => Loss::Lapsed,
            };
            self.lose(why, out);
        } else if campaign.authority.is_none() && campaign.rest_at <= now {
            self.give_up(None, out);
            // The better rank did not win; twice a promise is enough for the others.
            self.pause(self.patience * 2);
        }
    }

    /// What a candidate or holder does now, begun if it may be.
    pub(super) fn campaign(&mut self, out: &mut Effects) {
        if self.campaign.is_none() && self.wants && self.may_stand_at() <= self.now {
            self.stand();
        }
        self.ask(out);
        self.recount(out);
        self.need_not_confirm(out);
        self.dispense(out);
        self.contend(out);
        self.look(out);
    }

    pub(super) fn may_stand_at(&self) -> Instant {
        let promised = self.promise.map_or(self.stand_at, |promise| promise.until);
        let stand_at = self.stand_at.max(self.held_until);
        promised.max(stand_at).max(self.quarantine_until)
    }

    fn stand(&mut self) {
        let Some(epoch) = self.epochs.next(self.settings.me) else {
            self.stand_at = Instant::NEVER;
            return;
        };
        let head_start = match self.settings.always {
            // Nobody holds who could ask first.
            true => Duration::ZERO,
            false => self.settings.interval.min(HEAD_START),
        };
        self.campaign = Some(Campaign::new(epoch, self.now, head_start));
    }

    fn ask(&mut self, out: &mut Effects) {
        let now = self.now;
        let until = now + self.settings.lease;
        let is_proven = self.proven_until() > now;
        let Some(campaign) = &mut self.campaign else {
            return;
        };
        // Raised by a refusal; used once it is stored.
        let epoch = match self.epochs.next(self.settings.me) {
            Some(above) if campaign.asked_for > campaign.epoch => above,
            _ => campaign.epoch,
        };
        let again = campaign.again && self.epochs.stored(epoch);
        if campaign.ask_at > now && !again {
            return;
        }
        campaign.again &= !again;
        out.extend(self.epochs.reserve(epoch).map(Effect::Persist));
        if self.epochs.stored(epoch) {
            campaign.epoch = epoch;
        } else if !self.epochs.stored(campaign.epoch) {
            return;
        }
        let epoch = campaign.epoch;
        if self.settings.always && campaign.arbiter().is_none() {
            // A question would bind the peers, and one of them may be who reaches the arbiter.
            return;
        }
        self.nonce += 1;
        campaign.ask_at = next_beat(now, self.settings.interval);
        if campaign.authority.is_none() && self.hurry > 0 {
            self.hurry -= 1;
            campaign.ask_at = campaign.ask_at.min(now + HURRY);
        }
        let nonce = self.nonce;
        campaign.asked.push(Asked {
            nonce,
            epoch,
            until,
        });
        // The own vote: nothing is promised to anybody, or there would be no campaign.
        let from = Voice::Node(self.settings.me);
        campaign.vote(Vote { from, epoch, until });
        let stopped = campaign.acks_until <= now && campaign.authority.is_some();
        campaign.alone |= stopped && self.settings.voters.pair() && is_proven;
        let holding = campaign.authority.is_some();
        self.epochs.floor = self.epochs.floor.max(epoch);
        self.epochs.see(epoch);
        out.push(Effect::Request(self.request(epoch, holding)));
    }

    fn request(&self, epoch: Epoch, holding: bool) -> Request {
        Request {
            group: self.settings.group,
            epoch,
            boot: self.boot,
            nonce: self.nonce,
            lease: self.settings.lease,
            voters: self.settings.voters.hash,
            priority: self.settings.priority,
            holding,
        }
    }

    fn contend(&mut self, out: &mut Effects) {
        let at = self
            .campaign
            .as_ref()
            .map(|campaign| self.contend_at(campaign));
        if at.is_none_or(|at| at > self.now) {
            return;
        }
        self.nonce += 1;
        if let Some(campaign) = &mut self.campaign {
            campaign.contest = Some((self.nonce, campaign.epoch));
            out.push(Effect::Contend(self.nonce, campaign.epoch));
        }
    }

    fn look(&mut self, out: &mut Effects) {
        let at = self
            .campaign
            .as_ref()
            .map(|campaign| self.look_at(campaign));
        if at.is_none_or(|at| at > self.now) {
            return;
        }
        self.nonce += 1;
        if let Some(campaign) = &mut self.campaign {
            campaign.look = Some(self.nonce);
            let within = match &mut campaign.confirm {
                Some(within) => std::mem::replace(within, (*within * 2).min(LOOK)),
                None => self.settings.lease.max(LOOK),
            };
            campaign.look_at = self.now + within;
            campaign.asked_until = self.now + FRESH;
            out.push(Effect::Look(self.nonce));
        }
    }

    fn contend_at(&self, campaign: &Campaign) -> Instant {
        if !self.settings.voters.arbiter
            || campaign.contest.is_some()
            || campaign.asked_for > campaign.epoch
            || !self.epochs.stored(campaign.epoch)
        {
            return Instant::NEVER;
        }
        match self.settings.always {
            true => campaign.contend_at,
            false => campaign.contend_at.max(campaign.acks_until),
        }
    }

    fn look_at(&self, campaign: &Campaign) -> Instant {
        if campaign.confirm.is_some() {
            return campaign.look_at;
        }
        if !self.settings.voters.pair()
            || campaign.authority.is_some()
            || !self.epochs.stored(campaign.epoch)
            || self.proven_until() <= self.now
        {
            return Instant::NEVER;
        }
        campaign.look_at.max(self.silent_at)
    }

    pub(super) fn campaign_deadline(&self, campaign: &Campaign) -> Instant {
        let waits = self.settings.always && campaign.arbiter().is_none();
        let ask_at = match self.epochs.stored(campaign.epoch) && !waits {
            true => campaign.ask_at,
            false => Instant::NEVER,
        };
        let end = campaign.authority.map_or(campaign.rest_at, |own| own.until);
        let ask_at = ask_at.min(self.contend_at(campaign));
        ask_at.min(self.look_at(campaign)).min(end)
    }

    /// Law of the grantor: it holds nothing, neither from peers nor from the arbiter.
    pub(super) fn holds_any(&self) -> bool {
        let Some(campaign) = &self.campaign else {
            return false;
        };
        let arbiter = |vote: &Vote| vote.from == Voice::Arbiter;
        campaign.authority.is_some() || campaign.votes.iter().any(arbiter)
    }

    /// A worse candidate was refused for our sake: that has an end. It gives way as soon as it is asked
    /// itself, which is now.
    pub(super) fn defy(&mut self) {
        let rest_at = self.now + self.settings.lease;
        if let Some(campaign) = &mut self.campaign {
            campaign.rest_at = campaign.rest_at.min(rest_at);
            campaign.ask_at = self.now;
        }
    }

    /// No candidacy for so long.
    pub(super) fn pause(&mut self, length: Duration) {
        self.stand_at = self.stand_at.max(self.now + length);
    }

    /// Law 10: who serves goes on, nobody else is promoted.
    pub(super) fn hold(&mut self, until: Instant, out: &mut Effects) {
        self.held_until = self.held_until.max(until);
        if self.authority().is_none() {
            self.give_up(None, out);
        }
    }

    pub(super) fn doubt(&mut self, out: &mut Effects) {
        match self.authority() {
            Some(_) => self.lose(Loss::Lapsed, out),
            None => self.abandon(out),
        }
    }

    /// A candidate that has not won gives the votes back that it may have got: they would keep others
    /// from winning for one promise.
    pub(super) fn give_up(&mut self, to: Option<NodeId>, out: &mut Effects) {
        let campaign = self.campaign.as_ref();
        let asked = campaign.filter(|campaign| !campaign.asked.is_empty());
        let epoch = asked.map(|campaign| campaign.epoch);
        self.abandon(out);
        if let Some(epoch) = epoch {
            self.lay_down(epoch, to, out);
        }
    }

    /// Forgets all that was asked, of voters and arbiter.
    pub(super) fn abandon(&mut self, out: &mut Effects) {
        let contest = self.campaign.take().and_then(|campaign| campaign.contest);
        out.extend(contest.map(|(ticket, _)| Effect::Withdraw(ticket)));
    }

    /// Closes the gate; what was asked before counts no more.
    pub(super) fn lose(&mut self, why: Loss, out: &mut Effects) {
        out.push(Effect::Lost(why));
        self.abandon(out);
        if self.settings.voters.pair() {
            // What has lapsed was not kept alive by anybody: another may hold. Wait and look.
            self.pause(self.patience);
        }
    }

    pub(super) fn rest(&mut self, out: &mut Effects) {
        self.wants = false;
        match self.authority() {
            Some(own) => self.resign(own.epoch, None, out),
            None => self.give_up(None, out),
        }
    }

    /// Only to one that is known to be ready, see [`Lease::is_ready`].
    pub(super) fn hand_over(&mut self, to: NodeId, out: &mut Effects) {
        let Some(own) = self.authority().filter(|_| self.is_peer_node(to)) else {
            return;
        };
        self.resign(own.epoch, Some(to), out);
        self.pause(self.patience * 2);
    }

    fn resign(&mut self, epoch: Epoch, to: Option<NodeId>, out: &mut Effects) {
        self.lose(Loss::Resigned, out);
        self.lay_down(epoch, to, out);
    }

    /// Nothing that was asked up to here counts any more.
    fn lay_down(&self, epoch: Epoch, to: Option<NodeId>, out: &mut Effects) {
        out.push(Effect::Resign(Resign {
            group: self.settings.group,
            epoch,
            to,
            boot: self.boot,
            nonce_last: self.nonce,
        }));
    }
}

/// The next beat of the boot clock: all groups of a node ask with one frame.
#[must_use]
pub fn next_beat(now: Instant, interval: Duration) -> Instant {
    let interval = u64::try_from(interval.as_nanos())
        .unwrap_or(u64::MAX)
        .max(1);
    let beats = now.as_nanos() / interval + 1;
    Instant::from_nanos(beats.saturating_mul(interval))
}
