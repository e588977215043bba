//! How does a group of the native protocol come to hold? Not by silence, as with VRRP, but by votes.
//!
//! The addresses go on, are kept and go off as under VRRP; only the right to hold them comes from
//! elsewhere: [`Lease`] says when it begins and when it ends.

use serde::{Deserialize, Deserializer, Serialize};
use smallvec::SmallVec;
use std::time::Duration;

use super::reference::Reach;
use super::role::Role;
use super::{Group, Settings};
use crate::core::disk::Tenancy;
use crate::core::event::{
    Alarm, Cause, Effect, Facts, Fitness, NodeName, PeerState, RoleName, Say,
};
use crate::core::lease::{self, Authority, Boot, Lease, Loss, NodeId};
use crate::core::time::Instant;

/// What an operator chose for the native protocol.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Voting {
    /// Who votes, how often and for how long.
    pub lease: lease::Settings,
    /// The names of the voters, by their ids.
    #[serde(deserialize_with = "for_ever")]
    pub names: &'static [&'static str],
}

/// A recording is read once, and its names live as long as whoever reads it.
fn for_ever<'de, D: Deserializer<'de>>(names: D) -> Result<&'static [&'static str], D::Error> {
    let names = Vec::<String>::deserialize(names)?;
    let leaked = names.into_iter().map(|name| &*name.leak());
    Ok(leaked.collect::<Vec<_>>().leak())
}

impl Voting {
    pub(super) fn name(&self, node: NodeId) -> NodeName {
        NodeName(self.names.get(usize::from(node)).copied().unwrap_or("?"))
    }

    const fn is_witness(&self) -> bool {
        self.lease.voters.witnesses >> self.lease.me & 1 == 1
    }
}

/// The native side of a group.
#[derive(Clone, Debug)]
pub(super) struct Native {
    pub(super) voting: Voting,
    lease: Lease,
    /// By id: what each said last, and when.
    peers: SmallVec<[Option<(PeerState, Instant)>; 3]>,
    /// To whom the addresses go when they are given up, if to anybody in particular.
    successor: Option<NodeId>,
    /// When the MASTER was asked last.
    asked_at: Option<Instant>,
    /// Nobody acknowledges.
    alone: bool,
    /// For how long nothing was done before this step.
    pause: Duration,
}

impl Native {
    /// And what it says first.
    fn new(voting: Voting, boot: Boot, now: Instant) -> (Self, lease::Effects) {
        let mut said = lease::Effects::new();
        let native = Self {
            voting,
            lease: Lease::new(voting.lease, boot, now, &mut said),
            peers: SmallVec::from_elem(None, voting.names.len()),
            successor: None,
            asked_at: None,
            alone: false,
            pause: Duration::ZERO,
        };
        (native, said)
    }

    pub(super) fn deadline(&self) -> Instant {
        self.lease.deadline()
    }

    pub(super) const fn stands(&self) -> bool {
        self.lease.stands()
    }

    pub(super) fn authority(&self) -> Option<Authority> {
        self.lease.authority()
    }

    pub(super) fn must_confirm(&self, now: Instant) -> bool {
        self.lease.must_confirm(now)
    }

    pub(super) fn known(&self) -> lease::Epoch {
        self.lease.known()
    }

    pub(super) fn promised(&self) -> Option<Instant> {
        self.lease.promised().map(|(_, until)| until)
    }

    /// What the peers said that were heard lately.
    fn living(&self, now: Instant) -> impl Iterator<Item = PeerState> + '_ {
        self.lately(now).map(|(state, _)| *state)
    }

    /// Whether so many others that may hold live that a majority of the nodes is here, and none of them
    /// is fit.
    pub(super) fn all_are_unfit(&self, now: Instant) -> bool {
        let nodes = self.voting.lease.voters.nodes;
        let may_hold = |peer: &PeerState| nodes >> peer.node & 1 == 1;
        let others = || self.living(now).filter(may_hold);
        let majority = nodes.count_ones() as usize / 2 + 1;
        let is_fit = |peer: PeerState| peer.fitness == Fitness::Fit;
        others().count() + 1 >= majority && !others().any(is_fit)
    }

    pub(super) fn is_another_fit(&self, now: Instant) -> bool {
        self.living(now).any(|peer| peer.fitness == Fitness::Fit)
    }

    pub(super) fn has_company(&self) -> bool {
        self.peers.iter().any(Option::is_some)
    }

    pub(super) fn patience(&self) -> Duration {
        self.lease.patience()
    }

    pub(super) fn lease_length(&self) -> Duration {
        self.voting.lease.lease
    }

    fn lately(&self, now: Instant) -> impl Iterator<Item = &(PeerState, Instant)> {
        let patience = self.lease.patience();
        let said = self.peers.iter().flatten();
        said.filter(move |(_, at)| now.since(*at) < patience)
    }

    /// The peer that says MASTER; of several, who said it last.
    fn master(&self, now: Instant) -> Option<NodeId> {
        let masters = self.lately(now).filter(|(p, _)| p.role == RoleName::Master);
        masters.max_by_key(|(_, at)| *at).map(|(peer, _)| peer.node)
    }

    pub(super) fn best_ready(&self, now: Instant) -> Option<NodeId> {
        let ready = self
            .living(now)
            .filter(|peer| peer.fitness > Fitness::Unfit);
        let best = ready.max_by_key(|peer| (peer.fitness, peer.priority, peer.node));
        best.map(|peer| peer.node)
    }

    /// Who has said since then that nothing is missing there.
    pub(super) fn best_fit(&self, since: Instant) -> Option<NodeId> {
        let said = self.peers.iter().flatten();
        let fit = said.filter(|(peer, at)| peer.fitness == Fitness::Fit && *at >= since);
        let best = fit.max_by_key(|(peer, _)| (peer.priority, peer.node));
        best.map(|(peer, _)| peer.node)
    }
}

/// Why the addresses are not moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Immovable {
    /// This node does not hold them.
    NotMaster(RoleName),
    /// The node is this one, or none of those that may hold.
    NoSuchNode,
    /// The named node could not hold them at once.
    NotReady(NodeName),
    /// No node could hold them at once.
    NobodyReady,
    /// Under VRRP a BACKUP says nothing, so nobody knows whether one is there.
    Unknown,
}

impl Immovable {
    /// Whether an operator who insists has it done all the same: what cannot be is no risk to take.
    #[must_use]
    pub const fn yields_to_force(self) -> bool {
        !matches!(self, Self::NotMaster(_) | Self::NoSuchNode)
    }
}

impl Group {
    /// A group of the native protocol that starts now, see [`Group::new`]. `boot` is what the agent
    /// starts with.
    ///
    /// [`Settings::native`] is set.
    #[must_use]
    pub fn native(
        settings: Settings,
        boot: Boot,
        facts: Facts,
        times: (Instant, Instant),
        out: &mut Vec<Effect>,
    ) -> Self {
        let mut group = Self::build(settings, facts, times);
        if let Some(voting) = settings.native {
            let (native, said) = Native::new(voting, boot, times.1);
            group.native = Some(Box::new(native));
            group.reach = settings.reference.map(|_| Box::new(Reach::new(times.1)));
            group.say_all(said, None, out);
        }
        group.pass(true, out);
        group
    }

    /// What a heartbeat says of it: the role, the highest epoch that is known here, and whether this
    /// node could hold the addresses, or does.
    #[must_use]
    pub fn standing(&self) -> (RoleName, lease::Epoch, Fitness) {
        let known = self.native.as_ref().map(|native| native.known());
        let role = self.role.name();
        let holds = matches!(role, RoleName::Master | RoleName::Candidate);
        let fitness = match holds {
            true if self.is_level() => Fitness::Level,
            true => Fitness::Fit,
            false => self.fitness(),
        };
        (role, known.unwrap_or_default(), fitness)
    }

    /// How well this node, which does not hold, could hold the addresses now.
    #[must_use]
    pub fn fitness(&self) -> Fitness {
        match self.is_ready() {
            false => Fitness::Unfit,
            true if self.is_level() => Fitness::Level,
            true => Fitness::Fit,
        }
    }

    /// Whether this node could hold the addresses at once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let Some(native) = &self.native else {
            return false;
        };
        let is_able = self.may_stand() && self.could_be_voted_for();
        matches!(self.role, Role::Backup(_)) && is_able && native.lease.is_ready()
    }

    /// To whom the addresses would be moved.
    ///
    /// # Errors
    /// [`Immovable`]; nothing was changed.
    pub fn successor(&self, to: Option<NodeId>) -> Result<Option<NodeId>, Immovable> {
        if !matches!(self.role, Role::Master { .. }) {
            return Err(Immovable::NotMaster(self.role.name()));
        }
        let native = self.native.as_ref().ok_or(Immovable::Unknown)?;
        let Some(to) = to else {
            let best = native.best_ready(self.now);
            return best.map(Some).ok_or(Immovable::NobodyReady);
        };
        let voting = &native.voting;
        if to == voting.lease.me || voting.lease.voters.nodes >> to & 1 == 0 {
            return Err(Immovable::NoSuchNode);
        }
        let mut living = native.living(self.now);
        match living.any(|peer| peer.node == to && peer.fitness > Fitness::Unfit) {
            true => Ok(Some(to)),
            false => Err(Immovable::NotReady(voting.name(to))),
        }
    }

    /// Who says MASTER: this node, or the one that said so last and was heard lately.
    pub(super) fn holder(&self) -> Option<NodeName> {
        let native = self.native.as_ref()?;
        let node = match self.role {
            Role::Master { .. } => native.voting.lease.me,
            _ => native.master(self.now)?,
        };
        Some(native.voting.name(node))
    }

    pub(super) fn next_holder(&self) -> Option<NodeName> {
        let next = self.successor(None).ok()?;
        Some(self.native.as_ref()?.voting.name(next?))
    }

    pub(super) fn is_native(&self) -> bool {
        self.native.is_some()
    }

    pub(super) fn is_witness(&self) -> bool {
        let native = self.native.as_ref();
        native.is_some_and(|native| native.voting.is_witness())
    }

    /// Nothing on this node is against holding.
    fn may_stand(&self) -> bool {
        let may_serve = !self.stopping && !self.maintenance && self.is_tenant();
        may_serve && self.start_at() <= self.now && self.is_fit()
    }

    /// BACKUP: from now on, or from the end of its `start-delay`, it wants to hold.
    pub(super) fn aspire(&mut self, out: &mut Vec<Effect>) {
        if matches!(self.role, Role::Backup(_)) && self.may_stand() {
            self.vote(lease::Event::Stand, out);
        }
    }

    /// How long nothing was done is kept for the reason, if the votes have run out meanwhile.
    pub(super) fn note_pause(&mut self, pause: Duration) {
        if let Some(native) = &mut self.native {
            native.pause = pause;
        }
    }

    /// Nobody else writes this node's slot of the disk. Under VRRP nobody holds without the disk's vote, which
    /// says the same.
    pub(super) fn is_tenant(&self) -> bool {
        self.tenancy == Tenancy::Settled || !self.is_native()
    }

    /// What two agents of one name had promised would be counted as one promise: who has not the slot promises nothing,
    /// and holds nothing.
    pub(super) fn on_tenancy(&mut self, tenancy: Tenancy, out: &mut Vec<Effect>) {
        self.tenancy = tenancy;
        if !self.is_native() {
            return;
        }
        if tenancy == Tenancy::Contested {
            self.forfeit(Cause::Namesake, out);
        }
        self.reconsider(out);
    }

    pub(super) fn vote(&mut self, event: lease::Event, out: &mut Vec<Effect>) {
        if matches!(event, lease::Event::Request(..)) && !self.is_tenant() {
            self.hold_votes(out);
        }
        let Some(native) = &mut self.native else {
            return;
        };
        let mut said = lease::Effects::new();
        native.lease.step(self.now, event, &mut said);
        let asked = match event {
            lease::Event::Request(_, request) => Some(request),
            _ => None,
        };
        self.say_all(said, asked, out);
    }

    fn say_all(
        &mut self,
        said: lease::Effects,
        asked: Option<lease::Request>,
        out: &mut Vec<Effect>,
    ) {
        for effect in said {
            self.voted(effect, asked, out);
        }
    }

    fn voted(
        &mut self,
        effect: lease::Effect,
        asked: Option<lease::Request>,
        out: &mut Vec<Effect>,
    ) {
        use lease::Effect as Voted;
        match effect {
            Voted::Request(request) => out.push(Effect::Say(Say::Request(request))),
            Voted::Grant(to, boot, nonce) => out.push(Effect::Say(Say::Grant(to, boot, nonce))),
            Voted::Refuse(to, why, floor) => {
                let refuse = asked.map(|r| Say::Refuse(to, r.boot, r.nonce, why, floor));
                out.extend(refuse.map(Effect::Say));
            }
            Voted::Resign(resign) => out.push(Effect::Say(Say::Resign(resign))),
            Voted::Persist(epoch) => out.push(Effect::Persist(epoch)),
            Voted::Look(ticket) => out.push(Effect::Look(ticket)),
            Voted::Authority(authority) => self.authorised(authority, out),
            Voted::Lost(Loss::Lapsed) => self.unvoted(out),
            Voted::Lost(Loss::Unproven) => self.forfeit(Cause::Unproven, out),
            Voted::Lost(Loss::Unarbitrated) => self.forfeit(Cause::Unarbitrated, out),
            Voted::Confirmed => self.confirmed(out),
            Voted::Lost(Loss::Answered) => self.forfeit(Cause::Answered, out),
            Voted::Lost(Loss::Outranked) => self.forfeit(Cause::Outvoted, out),
            // We did it ourselves, and are on our way.
            Voted::Lost(Loss::Resigned) => {}
            Voted::Announce => self.announce_again(),
            Voted::Contend(ticket, epoch) => out.push(Effect::Contend(ticket, epoch)),
            Voted::Withdraw(ticket) => out.push(Effect::Withdraw(ticket)),
        }
    }

    fn authorised(&mut self, authority: Authority, out: &mut Vec<Effect>) {
        // Law of going on alone: only together with a heartbeat that leaves.
        out.push(match authority.alone {
            true => Effect::Renew(authority.until),
            false => Effect::Extend(authority.until),
        });
        self.note_company(authority.alone, out);
        let epoch = authority.epoch;
        match self.role {
            Role::Backup(_) => {
                let cause = match authority.alone {
                    true => Cause::Alone { epoch },
                    false => Cause::Elected { epoch },
                };
                self.acquire(Instant::NEVER, cause, out);
            }
            Role::Candidate { .. } | Role::Master { .. } | Role::Releasing(_) => {}
            _ => self.vote(lease::Event::Rest, out),
        }
    }

    fn note_company(&mut self, alone: bool, out: &mut Vec<Effect>) {
        let serves = !matches!(self.role, Role::Backup(_));
        let Some(native) = &mut self.native else {
            return;
        };
        let was_alone = std::mem::replace(&mut native.alone, alone);
        match (was_alone, alone) {
            (false, true) if serves => self.raise(Alarm::Unheard, out),
            (true, false) => self.raise(Alarm::Heard, out),
            _ => {}
        }
    }

    fn unvoted(&mut self, out: &mut Vec<Effect>) {
        let native = self.native.as_ref();
        let long = native.filter(|n| n.pause > n.voting.lease.interval * 2);
        let cause = long.map_or(Cause::Unvoted, |native| Cause::Away(native.pause));
        self.forfeit(cause, out);
    }

    /// The right to hold has ended; the gate is shut, or shuts now.
    fn forfeit(&mut self, cause: Cause, out: &mut Vec<Effect>) {
        if matches!(self.role, Role::Candidate { .. } | Role::Master { .. }) {
            self.release(cause, out);
            self.rest(out);
        }
    }

    /// Whoever takes its addresses off stands again when that is done, and looks who holds by then.
    fn rest(&mut self, out: &mut Vec<Effect>) {
        self.vote(lease::Event::Rest, out);
    }

    /// Gives the votes back: to the successor, if one was chosen.
    pub(super) fn lay_down(&mut self, out: &mut Vec<Effect>) {
        let native = self.native.as_mut();
        let successor = native.and_then(|native| native.successor.take());
        if let Some(to) = successor {
            self.vote(lease::Event::HandOver(to), out);
        }
        self.rest(out);
    }

    /// Every word of a peer is a sign of life as well.
    pub(super) fn on_peer(&mut self, peer: PeerState, word: lease::Event, out: &mut Vec<Effect>) {
        let Some(native) = &mut self.native else {
            return;
        };
        if let Some(place) = native.peers.get_mut(usize::from(peer.node)) {
            *place = Some((peer, self.now));
        }
        self.vote(word, out);
        self.weigh(out);
        if peer.role == RoleName::Master {
            // There is no promotion that was delayed. The other voters say nothing of that.
            self.delayed = false;
            match self.role {
                Role::Staying { .. } => {
                    self.become_role(Role::Stopped, Cause::Stop, out);
                }
                Role::Backup(_) => self.consider_asking(peer, out),
                _ => {}
            }
        }
    }

    /// A better node asks the MASTER to go, when it is ready and `preempt-delay` is over.
    fn consider_asking(&mut self, master: PeerState, out: &mut Vec<Effect>) {
        let is_worse = master.priority < self.settings.priority;
        if !is_worse || !self.preempts() || self.fitness() < Fitness::Fit {
            self.preempt_at = None;
            return;
        }
        let delay = self.settings.preempt_delay;
        let preempt_at = *self.preempt_at.get_or_insert(self.now + delay);
        let (now, interval) = (self.now, self.settings.interval);
        let Some(native) = &mut self.native else {
            return;
        };
        let lately = native.asked_at.is_some_and(|at| now.since(at) < interval);
        if now >= preempt_at && !lately {
            native.asked_at = Some(now);
            out.push(Effect::Say(Say::Ask(master.node)));
        }
    }

    /// Design, section 6: preemption is a handover by the one that holds.
    pub(super) fn on_ask(&mut self, from: NodeId, out: &mut Vec<Effect>) {
        // Who is on the way already goes where it was to go.
        let (Role::Master { .. }, None) = (self.role, self.demotion) else {
            return;
        };
        let (now, priority) = (self.now, self.settings.priority);
        let Some(native) = &self.native else {
            return;
        };
        let is_better = |peer: PeerState| {
            peer.node == from && peer.fitness == Fitness::Fit && peer.priority > priority
        };
        if native.living(now).any(is_better) {
            let by = native.voting.name(from);
            self.give_to(Some(from), Cause::Preempted { by }, out);
        }
    }

    pub(super) fn give_to(&mut self, to: Option<NodeId>, cause: Cause, out: &mut Vec<Effect>) {
        if let Some(native) = &mut self.native {
            native.successor = to;
        }
        self.leave(cause, out);
    }

    /// Whoever is ready, or else nobody in particular.
    pub(super) fn choose_successor(&mut self) {
        let now = self.now;
        if let Some(native) = &mut self.native {
            native.successor = native.best_ready(now);
        }
    }

    /// Whom it was to go to, if that one is still ready; else whoever is.
    pub(super) fn confirm_successor(&mut self) {
        let now = self.now;
        let Some(native) = &mut self.native else {
            return;
        };
        let is_ready = |to: NodeId| {
            let mut living = native.living(now);
            living.any(|peer| peer.node == to && peer.fitness > Fitness::Unfit)
        };
        if !native.successor.is_some_and(is_ready) {
            native.successor = native.best_ready(now);
        }
    }

    pub(super) fn on_hand_over(&mut self, to: Option<NodeId>, out: &mut Vec<Effect>) {
        let Role::Master { .. } = self.role else {
            return;
        };
        self.ceded = true;
        let name = |to| Some(self.native.as_ref()?.voting.name(to));
        let cause = Cause::Moved {
            to: to.and_then(name),
        };
        self.give_to(to, cause, out);
    }

    pub(super) fn on_maintenance(&mut self, on: bool, out: &mut Vec<Effect>) {
        if std::mem::replace(&mut self.maintenance, on) == on {
            return;
        }
        match self.role {
            Role::Candidate { .. } | Role::Master { .. } if on => {
                self.choose_successor();
                self.leave(Cause::Maintenance, out);
            }
            _ => self.reconsider(out),
        }
    }

    /// BACKUP: stands or rests, by what holds from now on.
    pub(super) fn reconsider(&mut self, out: &mut Vec<Effect>) {
        if !matches!(self.role, Role::Backup(_)) {
            return;
        }
        self.role = Role::Backup(self.vigil());
        match self.may_stand() {
            true => self.vote(lease::Event::Stand, out),
            false => self.vote(lease::Event::Rest, out),
        }
    }

    /// Law of the stopping holder: it grants until the successor is MASTER, or two promises long.
    pub(super) fn stays_to_grant(&self) -> Option<Instant> {
        let native = self.native.as_ref()?;
        let living = || native.living(self.now);
        let has = |role| living().any(|peer| peer.role == role);
        let is_ready = |peer: PeerState| peer.fitness > Fitness::Unfit;
        let waits = has(RoleName::Candidate) || living().any(is_ready);
        let waits = waits && !has(RoleName::Master) && matches!(self.role, Role::Releasing(_));
        waits.then(|| self.now + native.lease.patience() * 2)
    }

    /// Law 10: for a conflict, and for the first frame that fails authentication.
    pub(super) fn hold_votes(&mut self, out: &mut Vec<Effect>) {
        if let Some(native) = &self.native {
            let until = self.now + native.lease.patience();
            self.vote(lease::Event::Hold(until), out);
        }
    }

    pub(super) fn on_doubt(&mut self, pause: Duration, out: &mut Vec<Effect>) {
        if let Some(native) = &mut self.native {
            native.pause = pause;
            self.vote(lease::Event::Doubt, out);
        }
    }

    /// What the settings of a reload change about the votes.
    pub(super) fn revote(&mut self, out: &mut Vec<Effect>) {
        if let Some(native) = &mut self.native {
            native.voting.lease.priority = self.settings.priority;
            self.vote(lease::Event::Priority(self.settings.priority), out);
        }
        if self.settings.reference.is_some() != self.reach.is_some() {
            let begins = self.settings.reference.is_some();
            self.reach = begins.then(|| Box::new(Reach::new(self.now)));
        }
        self.weigh(out);
        self.reconsider(out);
    }
}
