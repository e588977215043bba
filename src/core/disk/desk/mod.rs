//! Which groups want the disk's vote? One lock area serves all groups of a node.
//!
//! The vote is the node's: whoever has it, has it for every group whose own epoch it covers. A group asks
//! with a ticket and keeps the vote until it gives the ticket back.

#[cfg(test)]
mod tests;

use super::{Blocked, DiskLock, Effect as Said, Event, Op, Record, Settings, Sight, Tenancy, Vote};
use crate::core::lease::{self, BootId, Epoch, Nonce};
use crate::core::time::Instant;

/// Which group, by a number that the caller chooses.
pub type GroupKey = u64;

/// What to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Read all slots, and say [`Desk::read`].
    Read(Op),
    /// Write the own slot, and say [`Desk::written`].
    Write(Op, Record),
    /// The arbiter's vote for the contest of this ticket of the group, see
    /// [`lease::Event::Arbiter`].
    Vote(GroupKey, Nonce, Instant),
    /// It is lost, see [`lease::Event::ArbiterLost`]. The ticket stays.
    Lost(GroupKey, Nonce),
    /// Another has served with this epoch: the ticket is worth nothing, the group asks again with a
    /// higher one, see [`lease::Event::ArbiterFloor`].
    Floor(GroupKey, Nonce, Epoch),
}

impl Effect {
    /// What a group is told, if it is for one.
    #[must_use]
    pub const fn word(self) -> Option<(GroupKey, lease::Event)> {
        match self {
            Effect::Vote(group, nonce, until) => Some((group, lease::Event::Arbiter(nonce, until))),
            Effect::Lost(group, nonce) => Some((group, lease::Event::ArbiterLost(nonce))),
            Effect::Floor(group, nonce, floor) => {
                Some((group, lease::Event::ArbiterFloor(nonce, floor)))
            }
            Effect::Read(_) | Effect::Write(..) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ticket {
    group: GroupKey,
    nonce: Nonce,
    epoch: Epoch,
    /// It was told of a vote that still counts.
    voted: bool,
    /// It had the vote, and without a break since: nobody else can have served meanwhile.
    holds: bool,
}

/// The groups of a node before the disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Desk {
    lock: DiskLock,
    tickets: Vec<Ticket>,
    /// The last vote, while it counts.
    vote: Option<Vote>,
    /// Reused.
    said: Vec<Said>,
}

impl Desk {
    /// A node that starts now.
    #[must_use]
    pub fn new(settings: Settings, boot: BootId, now: Instant) -> Self {
        Self {
            lock: DiskLock::new(settings, boot, now),
            tickets: Vec::new(),
            vote: None,
            said: Vec::with_capacity(4),
        }
    }

    /// The group wants the vote, see [`lease::Effect::Contend`]. Epoch 0 is none: the group has no order of its
    /// own terms (VRRP), and the vote is good for it as it is.
    pub fn contend(
        &mut self,
        now: Instant,
        (group, nonce, epoch): (GroupKey, Nonce, Epoch),
        out: &mut Vec<Effect>,
    ) {
        self.tickets.retain(|ticket| ticket.group != group);
        self.tickets.push(Ticket {
            group,
            nonce,
            epoch,
            voted: false,
            holds: false,
        });
        self.step(now, Event::Floor(epoch), out);
        self.step(now, Event::Want, out);
    }

    /// The group gives its ticket back, see [`lease::Effect::Withdraw`]. With the last one the vote
    /// goes; the slot says so after [`Desk::clean`].
    pub fn withdraw(&mut self, now: Instant, group: GroupKey, nonce: Nonce, out: &mut Vec<Effect>) {
        let before = self.tickets.len();
        let is_it = |ticket: &Ticket| (ticket.group, ticket.nonce) == (group, nonce);
        self.tickets.retain(|ticket| !is_it(ticket));
        if self.tickets.is_empty() && before > 0 {
            self.step(now, Event::Rest, out);
        }
    }

    /// Nothing that rested on a vote that was given back is left on this node: the gates are shut, or
    /// where there are none the addresses are off. Nothing happens while a group has a ticket.
    /// `served`: the greatest epoch that was served with here, or a greater one, which a slot that nobody can read
    /// is written anew with.
    pub fn clean(&mut self, now: Instant, served: Epoch, out: &mut Vec<Effect>) {
        if self.tickets.is_empty() {
            self.step(now, Event::Floor(served), out);
            self.step(now, Event::Clean, out);
        }
    }

    /// The peers are silent, or not any more: the wait for a slot that is held begins now.
    pub fn watch(&mut self, now: Instant, on: bool, out: &mut Vec<Effect>) {
        self.step(now, Event::Watch(on), out);
    }

    /// The read has come back.
    pub fn read(&mut self, now: Instant, op: Op, slots: Vec<Sight>, out: &mut Vec<Effect>) {
        self.step(now, Event::Read(op, slots), out);
    }

    /// The write has landed.
    pub fn written(&mut self, now: Instant, op: Op, out: &mut Vec<Effect>) {
        self.step(now, Event::Written(op), out);
    }

    /// The read or write has failed.
    pub fn failed(&mut self, now: Instant, op: Op, out: &mut Vec<Effect>) {
        self.step(now, Event::Failed(op), out);
    }

    /// Nothing but time.
    pub fn pass(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.step(now, Event::Time, out);
    }

    /// When to call [`Desk::pass`], if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.lock.deadline()
    }

    /// Until when the node has the vote.
    #[must_use]
    pub fn vote(&self) -> Option<Instant> {
        self.lock.vote()
    }

    /// Why it has not, or is about to lose it.
    #[must_use]
    pub fn blocked(&self) -> Option<Blocked> {
        self.lock.blocked()
    }

    /// Whose the own slot is.
    #[must_use]
    pub fn tenancy(&self) -> Tenancy {
        self.lock.tenancy()
    }

    /// Whether nothing is being written, nor has to be.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.lock.is_at_rest()
    }

    /// The own slot, as it was last read or written.
    #[cfg(test)]
    pub(super) fn own(&self) -> Option<Record> {
        self.lock.own
    }

    fn step(&mut self, now: Instant, event: Event, out: &mut Vec<Effect>) {
        let mut said = std::mem::take(&mut self.said);
        self.lock.step(now, event, &mut said);
        for effect in said.drain(..) {
            match effect {
                Said::Read(op) => out.push(Effect::Read(op)),
                Said::Write(op, record) => out.push(Effect::Write(op, record)),
                Said::Vote(vote) => {
                    self.vote = Some(vote);
                    self.tickets
                        .iter_mut()
                        .for_each(|ticket| ticket.voted = false);
                }
                Said::Lost => self.lose(out),
            }
        }
        self.said = said;
        let before = self.tickets.len();
        self.hand_out(out);
        if self.tickets.is_empty() && before > 0 {
            // Whoever asks again does so with another ticket, or not at all.
            self.step(now, Event::Rest, out);
        }
    }

    fn lose(&mut self, out: &mut Vec<Effect>) {
        self.vote = None;
        for ticket in &mut self.tickets {
            (ticket.voted, ticket.holds) = (false, false);
            out.push(Effect::Lost(ticket.group, ticket.nonce));
        }
    }

    /// S2: the vote is good for epochs above all that others have served with, and for those that the
    /// slot has said when it was renewed; the others follow with the next renewal.
    fn hand_out(&mut self, out: &mut Vec<Effect>) {
        let Some(vote) = self.vote else {
            return;
        };
        self.tickets.retain_mut(|ticket| {
            let Ticket { group, nonce, .. } = *ticket;
            let is_new = ticket.epoch != Epoch::default() && !ticket.holds;
            if ticket.epoch <= vote.above && is_new {
                out.push(Effect::Floor(group, nonce, vote.above));
                return false;
            }
            if ticket.epoch <= vote.floor && !ticket.voted {
                (ticket.voted, ticket.holds) = (true, true);
                out.push(Effect::Vote(group, nonce, vote.until));
            }
            true
        });
    }
}
