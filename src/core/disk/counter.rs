//! Who may stand before the desk? A group that asks waits until nothing is left here of an earlier vote, or of an
//! earlier agent: others wait for the slot to say so.

use std::collections::{BTreeMap, BTreeSet};

use super::{Blocked, Desk, DeskEffect, GroupKey, Op, Settings, Sight};
#[cfg(doc)]
use crate::core::lease;
use crate::core::lease::{BootId, Epoch, Nonce};
use crate::core::time::Instant;

/// What a group says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plea {
    /// It wants the vote, see [`lease::Effect::Contend`].
    Contend(GroupKey, Nonce, Epoch),
    /// It gives its ticket back, see [`lease::Effect::Withdraw`].
    Withdraw(GroupKey, Nonce),
    /// Its addresses may be on, or its gate open, by an earlier vote or an earlier agent: nobody here asks
    /// for the vote before [`Plea::Clean`]. Who gives a ticket back owes as well.
    Owes(GroupKey),
    /// Nothing of that is left: its gate is shut and its addresses are off, or the peers' votes allow them. Every
    /// epoch that it has served with here, under whatever agent, is at most this one.
    Clean(GroupKey, Epoch),
    /// No other node is heard, or one is again.
    Silence(bool),
}

/// The groups of a node, and the desk once its area is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counter {
    desk: Option<Desk>,
    /// What groups have asked for and not given back.
    tickets: BTreeMap<GroupKey, (Nonce, Epoch)>,
    /// Those that are not clean: meanwhile tickets wait here, unless this node has the vote.
    debtors: BTreeSet<GroupKey>,
    /// Every epoch that was served with here is at most this one.
    served: Epoch,
    silence: bool,
}

impl Counter {
    /// The area is known: what was asked for meanwhile is asked for now. Nothing happens if it was before.
    pub fn open(
        &mut self,
        settings: Settings,
        boot: BootId,
        now: Instant,
        out: &mut Vec<DeskEffect>,
    ) {
        if self.desk.is_some() {
            return;
        }
        let desk = self.desk.insert(Desk::new(settings, boot, now));
        desk.watch(now, self.silence, out);
        if self.debtors.is_empty() {
            self.settle(now, out);
        }
    }

    /// A group says something.
    pub fn hear(&mut self, now: Instant, plea: Plea, out: &mut Vec<DeskEffect>) {
        match plea {
            Plea::Contend(group, nonce, epoch) => {
                self.tickets.insert(group, (nonce, epoch));
                if self.debtors.is_empty() || self.vote().is_some() {
                    self.contend(now, group, out);
                }
            }
            Plea::Withdraw(group, nonce) => {
                self.debtors.insert(group);
                if self.tickets.get(&group).is_some_and(|own| own.0 == nonce) {
                    self.tickets.remove(&group);
                }
                self.at_desk(out, |desk, said| desk.withdraw(now, group, nonce, said));
            }
            Plea::Owes(group) => drop(self.debtors.insert(group)),
            Plea::Clean(group, epoch) => {
                self.served = self.served.max(epoch);
                if self.debtors.remove(&group) && self.debtors.is_empty() {
                    self.settle(now, out);
                }
            }
            Plea::Silence(on) => {
                self.silence = on;
                self.at_desk(out, |desk, said| desk.watch(now, on, said));
            }
        }
    }

    /// See [`Desk::read`].
    pub fn read(&mut self, now: Instant, op: Op, slots: Vec<Sight>, out: &mut Vec<DeskEffect>) {
        self.at_desk(out, |desk, said| desk.read(now, op, slots, said));
    }

    /// See [`Desk::written`].
    pub fn written(&mut self, now: Instant, op: Op, out: &mut Vec<DeskEffect>) {
        self.at_desk(out, |desk, said| desk.written(now, op, said));
    }

    /// See [`Desk::failed`].
    pub fn failed(&mut self, now: Instant, op: Op, out: &mut Vec<DeskEffect>) {
        self.at_desk(out, |desk, said| desk.failed(now, op, said));
    }

    /// Nothing but time.
    pub fn pass(&mut self, now: Instant, out: &mut Vec<DeskEffect>) {
        self.at_desk(out, |desk, said| desk.pass(now, said));
    }

    /// When to call [`Counter::pass`], if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.desk.as_ref().map_or(Instant::NEVER, Desk::deadline)
    }

    /// Until when the node has the vote.
    #[must_use]
    pub fn vote(&self) -> Option<Instant> {
        self.desk.as_ref()?.vote()
    }

    /// Why it has not, or is about to lose it.
    #[must_use]
    pub fn blocked(&self) -> Option<Blocked> {
        self.desk.as_ref()?.blocked()
    }

    /// Whether nothing has to be written any more that others wait for.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let is_clean = self.tickets.is_empty() && self.debtors.is_empty();
        is_clean && self.deadline() == Instant::NEVER
    }

    fn contend(&mut self, now: Instant, group: GroupKey, out: &mut Vec<DeskEffect>) {
        if let Some((nonce, epoch)) = self.tickets.get(&group).copied() {
            self.at_desk(out, |desk, said| {
                desk.contend(now, (group, nonce, epoch), said);
            });
        }
    }

    /// Nothing of earlier votes is left: the slot may say so, or those who wait here may ask.
    fn settle(&mut self, now: Instant, out: &mut Vec<DeskEffect>) {
        let served = self.served;
        self.at_desk(out, |desk, said| desk.clean(now, served, said));
        let waiting: Vec<GroupKey> = self.tickets.keys().copied().collect();
        for group in waiting {
            self.contend(now, group, out);
        }
    }

    fn at_desk(
        &mut self,
        out: &mut Vec<DeskEffect>,
        say: impl FnOnce(&mut Desk, &mut Vec<DeskEffect>),
    ) {
        let Some(desk) = &mut self.desk else {
            return;
        };
        let before = out.len();
        say(desk, out);
        for effect in &out[before..] {
            if let DeskEffect::Floor(group, ..) = effect {
                // The ticket is worth nothing any more.
                self.tickets.remove(group);
                self.debtors.insert(*group);
            }
        }
    }
}
