//! Who may hold? Authority is a lease from a majority of the voters.
//!
//! ```text
//!   a candidate or holder            every voter
//!   Request{boot, nonce} ----------> promises, for P from now, to grant nobody else
//!   until when it asked + L <------- Granted{boot, nonce}          and not to stand
//! ```
//!
//! P is longer than L on any two clocks that agree on rates, so that whoever a voter grants next
//! starts after the authority of the one before has ended, whatever was delayed, lost or repeated.
//! The arbiter, where there is one, is one more voter, asked only when the peers do not answer.
//! Two nodes without an arbiter are not exclusive: the holder goes on alone.
//!
//! `voter` is the side that promises, `candidate` the side that asks, `answers` counts. What a
//! candidate knows lives in its `Campaign` and dies with it, so that nothing of it can count later.

mod answers;
mod campaign;
mod candidate;
mod epoch;
mod proof;
#[cfg(test)]
mod tests;
mod voter;
mod words;

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::time::Instant;
use campaign::Campaign;
pub use candidate::next_beat;
use epoch::Epochs;
pub use epoch::{Epoch, NODES, NodeId};
use proof::Proof;
use voter::{Promise, Resigned};
pub use words::{
    Authority, BootId, Effect, Effects, Event, Loss, Nonce, Rank, Refusal, Request, Resign,
};

/// The most by which the clock of one node runs faster than that of another, in parts of a hundred.
const RATE_ERROR: u32 = 1;
/// What is queued below the gate when it shuts still goes out.
const QUEUED: Duration = Duration::from_millis(20);
/// The holder asks the arbiter earlier than anybody else, by one interval, but at most this.
const HEAD_START: Duration = Duration::from_millis(200);

/// A look takes 13 ms; its answer is none when it comes later than this after the question, or than L.
const LOOK: Duration = Duration::from_millis(100);
/// So soon after the question of a look that nobody answers, which takes 13 ms, no other can have looked as
/// well and begun to answer.
const FRESH: Duration = Duration::from_millis(25);
/// A look right before the gate opens counts if it is over so soon; on a host that is so slow the next one
/// may take twice as long, up to [`LOOK`].
const CONFIRMED_WITHIN: Duration = Duration::from_millis(25);
/// Two that looked at the same time: the first one looks again when the probes of the other are over.
const APART: Duration = Duration::from_millis(10);

/// A successor's question may overtake the RESIGN that frees the vote: it asks again after so long ...
const HURRY: Duration = Duration::from_millis(2);
/// ... and so often.
const HURRIES: u8 = 4;

/// A voter of a pair that is storing the epoch is asked again so soon, then after twice as long ...
const STORED: Duration = Duration::from_millis(2);
/// ... so often; then at the next beat.
const STORINGS: u8 = 6;

/// One of a pair that did nothing for more than so many intervals was deaf, perhaps together with the
/// other: two hosts of one hypervisor stand still together.
const DEAF: u32 = 2;

/// By how much the gate may shut late: its clock and its deadline are those of the kernel.
pub const GRANULARITY: Duration = Duration::from_millis(1);

/// P: how long a vote is promised that counts for `lease`, behind a gate that may shut so late.
///
/// `P >= L (1 + 2 rho) + granularity + 20 ms`.
#[must_use]
pub fn promise(lease: Duration, granularity: Duration) -> Duration {
    lease.saturating_mul(100 + 2 * RATE_ERROR) / 100 + granularity + QUEUED
}

/// Who votes: the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Voters {
    /// One bit for each node that may hold.
    pub nodes: u64,
    /// One bit for each that only votes.
    pub witnesses: u64,
    /// There is an arbiter, and its vote is exclusive.
    pub arbiter: bool,
    /// A hash of the list.
    pub hash: u64,
}

impl Voters {
    /// How many promise: all but the arbiter.
    const fn promising(&self) -> u32 {
        (self.nodes | self.witnesses).count_ones()
    }

    const fn majority(&self) -> usize {
        (self.promising() as usize + self.arbiter as usize) / 2 + 1
    }

    /// Two nodes alone: nobody outvotes them when they do not hear each other.
    const fn pair(&self) -> bool {
        !self.arbiter && self.witnesses == 0 && self.nodes.count_ones() <= 2
    }

    /// Of those that look at the same time, this one looks again at once; see [`Rank`].
    const fn is_first(&self, node: NodeId) -> bool {
        64 - self.nodes.leading_zeros() == node as u32 + 1
    }

    const fn is_node(&self, node: NodeId) -> bool {
        has(self.nodes, node)
    }

    const fn votes(&self, node: NodeId) -> bool {
        has(self.nodes | self.witnesses, node)
    }
}

const fn has(bits: u64, node: NodeId) -> bool {
    (node as u64) < NODES && bits & (1 << node) != 0
}

/// What is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Settings {
    /// Which group of addresses.
    pub group: u64,
    /// This node or witness.
    pub me: NodeId,
    /// Decides between candidates.
    pub priority: u8,
    /// Who votes.
    pub voters: Voters,
    /// L: how long a vote counts after it was asked for.
    pub lease: Duration,
    /// Between two requests.
    pub interval: Duration,
    /// By how much the gate may shut late.
    pub granularity: Duration,
    /// There is a reference in the network: one of a pair goes on by its own vote only for as long as that
    /// answers. It votes for everybody, and so keeps only those silent who are cut off from it.
    #[serde(default)]
    pub reference: bool,
    /// The arbiter's vote is one that nothing replaces: without it nobody holds, whatever the peers grant.
    #[serde(default)]
    pub always: bool,
}

impl Settings {
    const fn rank(&self) -> Rank {
        Rank {
            priority: self.priority,
            node: self.me,
        }
    }

    fn promise(&self, lease: Duration) -> Duration {
        promise(lease, self.granularity)
    }
}

/// What an agent starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Boot {
    /// Of this start.
    pub id: BootId,
    /// The highest epoch of [`Effect::Persist`] that was stored.
    pub stored: Epoch,
    /// The longest lease that the boot before may have granted, if the configuration changed.
    pub longest: Duration,
    /// No nonce of this start was above it, and none is below it from now on: a group that a reload
    /// ends and begins anew is no new start of the agent, and what it asked before stays resigned.
    #[serde(default)]
    pub nonce: Nonce,
}

/// The votes that a node gives and gets for one group of addresses.
///
/// Every instant in here is the end of something, never its beginning: two states that differ only
/// in ends that have passed behave alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    settings: Settings,
    /// P of the own lease, which every frame asks for.
    patience: Duration,
    boot: BootId,
    now: Instant,
    epochs: Epochs,
    /// The last nonce of this boot.
    nonce: Nonce,
    /// Law 8: what was promised before the restart may still run.
    quarantine_until: Instant,
    promise: Option<Promise>,
    resigned: Vec<Resigned>,
    /// When the other of a pair counts as silent.
    silent_at: Instant,
    wants: bool,
    /// No candidacy before.
    stand_at: Instant,
    /// Named as the successor: so often it asks sooner than at the next beat.
    hurry: u8,
    /// Law 10: somebody disagrees on what safety rests on. Until then nobody is promoted.
    held_until: Instant,
    proof: Proof,
    campaign: Option<Campaign>,
}

impl Lease {
    /// A voter that starts now.
    #[must_use]
    pub fn new(settings: Settings, boot: Boot, now: Instant, out: &mut Effects) -> Self {
        let promised = settings.promise(settings.lease.max(boot.longest));
        let mut lease = Self {
            settings,
            patience: settings.promise(settings.lease),
            boot: boot.id,
            now,
            epochs: Epochs::new(boot.stored),
            nonce: boot.nonce,
            quarantine_until: now + promised,
            promise: None,
            resigned: Vec::new(),
            silent_at: now + promised,
            wants: false,
            stand_at: now,
            hurry: 0,
            held_until: Instant::default(),
            proof: Proof::default(),
            campaign: None,
        };
        lease.store_ahead(boot.stored, out);
        lease
    }

    /// The only way to change: time passes first (law 1), then the event is taken.
    pub fn step(&mut self, now: Instant, event: Event, out: &mut Effects) {
        let away = now.since(self.now);
        self.now = self.now.max(now);
        if self.settings.voters.pair() && away > self.settings.interval * DEAF {
            self.wake(out);
        }
        self.lapse(out);
        self.take(event, out);
        // A peer that restarted goes on far above all epochs that were used: whoever is to grant them,
        // or to follow them, waits for no disk then.
        self.store_ahead(self.known(), out);
        self.campaign(out);
        self.proof.settle(self.is_alone());
    }

    /// One of a pair goes on after it stood still. What nobody could tell it is no silence, neither of
    /// a holder nor of who acknowledges: it may have been looked for in vain meanwhile, so that its own
    /// vote extends nothing until it has waited again.
    fn wake(&mut self, out: &mut Effects) {
        self.wait_anew();
        let acks_until = self.now + self.settings.lease / 2;
        if let Some(campaign) = &mut self.campaign {
            campaign.alone = false;
            campaign.acks_until = campaign.acks_until.max(acks_until);
        }
        self.recount(out);
    }

    fn take(&mut self, event: Event, out: &mut Effects) {
        match event {
            Event::Time => {}
            Event::Stand => self.wants = self.settings.voters.is_node(self.settings.me),
            Event::Rest => self.rest(out),
            Event::HandOver(to) => self.hand_over(to, out),
            Event::Request(from, request) => self.asked(from, request, out),
            Event::Granted(from, boot, nonce) => self.granted(from, boot, nonce),
            Event::Refused(from, floor) => self.refused(from, floor),
            Event::Storing(from, floor) => self.storing(from, floor),
            Event::Resign(from, resign) => self.peer_resigned(from, resign),
            Event::Persisted(mark) => self.epochs.persisted(mark),
            Event::Heard => self.hear(),
            Event::Late(from, request) => self.overhear(from, request, out),
            Event::Seen(epoch) => self.epochs.see(epoch),
            Event::Arbiter(ticket, until) => self.arbiter(ticket, until),
            Event::ArbiterLost(ticket) => self.arbiter(ticket, Instant::default()),
            Event::ArbiterFloor(ticket, floor) => self.arbiter_floor(ticket, floor),
            Event::Looked(ticket, answered) => self.looked(ticket, answered, out),
            Event::Probed(ticket) => self.probed(ticket, out),
            Event::Confirm => self.confirm(),
            Event::Hold(until) => self.hold(until, out),
            Event::Doubt => self.doubt(out),
            Event::Priority(priority) => self.settings.priority = priority,
            Event::Proven(asked_at) => self
                .proof
                .show(asked_at.min(self.now) + self.settings.lease),
            Event::Solo => self.proof.go_solo(),
        }
    }

    /// When to call [`Lease::step`] next, if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let deadline = match &self.campaign {
            Some(campaign) => self.campaign_deadline(campaign),
            None if self.wants => self.may_stand_at(),
            None => Instant::NEVER,
        };
        match self.settings.voters.pair() {
            // It has to know that it ran all the time.
            true => deadline.min(self.now + self.settings.interval),
            false => deadline,
        }
    }

    /// The authority that this node has now.
    #[must_use]
    pub fn authority(&self) -> Option<Authority> {
        let authority = self.campaign.as_ref()?.authority?;
        (authority.until > self.now).then_some(authority)
    }

    /// Whether the addresses went on for so long that somebody else may have begun to answer meanwhile: the
    /// right rests on the own vote and a look that nobody answered, and that was a while ago. Nobody opens
    /// the gate then before [`Event::Confirm`] and [`Effect::Confirmed`].
    #[must_use]
    pub fn must_confirm(&self, now: Instant) -> bool {
        let campaign = self.campaign.as_ref();
        let is_stale = campaign.is_some_and(|campaign| campaign.fresh_until <= now);
        let has_other = self.settings.voters.promising() > 1;
        is_stale && has_other && self.authority().is_some_and(|own| own.alone)
    }

    /// To whom the own vote is promised, and until when.
    #[must_use]
    pub fn promised(&self) -> Option<(BootId, Instant)> {
        let promise = self.promise.as_ref()?;
        (promise.until > self.now).then_some((promise.boot, promise.until))
    }

    /// Whether the node is asking for votes, or holds.
    #[must_use]
    pub const fn stands(&self) -> bool {
        self.campaign.is_some()
    }

    /// Whether the node could begin to hold as soon as it is asked to: its quarantine is over, and
    /// the epoch that it would use is stored.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let next = self.epochs.next(self.settings.me);
        let stored = next.is_some_and(|epoch| self.epochs.stored(epoch));
        self.quarantine_until.max(self.held_until) <= self.now && stored
    }

    /// The highest epoch that is known here.
    #[must_use]
    pub fn known(&self) -> Epoch {
        self.epochs.seen.max(self.epochs.floor)
    }

    /// P of the own lease: so long after the last sign of a holder another may hold.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// The same state with `now` moved to `to`: what ends in a second ends a second after `to`, and
    /// what has ended has ended for ever, and what these voters have no use for is left out. States
    /// that behave alike compare equal, as a model checker wants it.
    #[must_use]
    pub fn moved(&self, now: Instant, to: Instant) -> Self {
        let at = |end: Instant| match end {
            Instant::NEVER => Instant::NEVER,
            end if end <= now => Instant::default(),
            end => to + end.since(now),
        };
        let mut lease = self.clone();
        lease.now = to;
        lease.quarantine_until = at(self.quarantine_until);
        lease.silent_at = at(self.silent_at);
        lease.stand_at = at(self.stand_at);
        lease.held_until = at(self.held_until);
        lease.proof = match self.settings.reference {
            true => self.proof.moved(at),
            false => Proof::default(),
        };
        if let Some(promise) = &mut lease.promise {
            promise.until = at(promise.until);
        }
        if let Some(campaign) = &mut lease.campaign {
            campaign.map_ends(at);
        }
        let Voters { arbiter, .. } = self.settings.voters;
        if !self.settings.voters.pair() {
            lease.silent_at = Instant::default();
            if let Some(campaign) = lease.campaign.as_mut().filter(|_| !arbiter) {
                campaign.acks_until = Instant::default();
                campaign.contend_at = Instant::default();
                campaign.look_at = Instant::default();
                campaign.asked_until = Instant::default();
                campaign.fresh_until = Instant::default();
            }
        }
        lease
    }

    fn store_ahead(&mut self, epoch: Epoch, out: &mut Effects) {
        out.extend(self.epochs.reserve(epoch).map(Effect::Persist));
    }
}
