//! How long may a group answer? What its adverts or votes renew, and what its gate is told of it.

use std::time::Duration;

use super::{Effect, Instant};

/// The part of the gate that is a group's: it stays as it is when the agent ends. Nothing here waits
/// for anything.
pub trait Gate {
    /// From now on nothing passes but while it is open.
    fn arm(&self);
    /// Everything passes again: none of the addresses is on this host.
    fn disarm(&self);
    /// Open until then.
    fn open_until(&self, until: Instant);
    /// Closed with the next packet.
    fn close(&self);

    /// Until when it lets frames pass, if it is told nothing more: for a kernel that has to be told,
    /// which may come too late. Where it looks by itself, that is no limit.
    fn stands_until(&self) -> Instant {
        Instant::NEVER
    }
}

/// The right of one group to answer, as the heartbeat thread keeps it.
#[derive(Debug)]
pub struct Right<G> {
    pub(crate) gate: G,
    /// Until then, if the adverts of this turn leave the host.
    pub(crate) asked: Option<Instant>,
    /// Until then, by the last advert that did, or by votes.
    renewed: Instant,
    /// Until then, besides, by what speaks for this node under VRRP.
    warrant: Instant,
    /// Until then, by the first that was asked of the gate since it is open: what comes before it
    /// has been written is nobody's failure.
    first: Instant,
    open: bool,
}

/// A kernel that has to be told may take a moment. So long after the gate has shut since nobody could
/// tell it, the group knows.
pub(crate) const LATE: Duration = Duration::from_millis(100);

impl<G: Gate> Right<G> {
    /// One that allows nothing yet: whatever is on the host already is shut off first.
    pub fn new(gate: G) -> Self {
        gate.close();
        gate.arm();
        Self {
            gate,
            asked: None,
            renewed: Instant::default(),
            warrant: Instant::NEVER,
            first: Instant::default(),
            open: false,
        }
    }

    /// What the group says counts for the gate at once, but for a renewal ([`Right::settle`]). Whoever
    /// is fenced by a watchdog gives up so `early`. The time is asked for only where it matters.
    pub fn carry_out(&mut self, effect: Effect, early: Duration, now: impl FnOnce() -> Instant) {
        match effect {
            Effect::Renew(until) => self.ask(until - early),
            Effect::Extend(until) => self.extend(until - early, now()),
            Effect::Warrant(until) => self.warrant(until - early, now()),
            Effect::Open => self.open(),
            Effect::Release(_) => self.shut(),
            Effect::Acquire(_) => self.gate.arm(),
            Effect::Disarm => self.gate.disarm(),
            _ => {}
        }
    }

    fn granted(&self) -> Instant {
        self.renewed.min(self.warrant)
    }

    /// When the right to answer ends, if it is made use of: by the votes or adverts, or since the gate
    /// was not renewed.
    #[must_use]
    pub fn ends(&self) -> Instant {
        match self.open {
            true => self.granted().min(self.gate_ends()),
            false => Instant::NEVER,
        }
    }

    /// Whether the group might answer for longer, and its gate has shut all the same.
    #[must_use]
    pub fn is_stuck(&self, now: Instant) -> bool {
        self.open && now < self.granted() && self.gate_ends() <= now
    }

    fn gate_ends(&self) -> Instant {
        self.gate.stands_until().max(self.first) + LATE
    }

    /// Whether it has ended by now. The first renewal may still wait for the end of this turn: what
    /// has not begun does not end.
    #[must_use]
    pub fn has_ended(&self, now: Instant) -> bool {
        let begins = self.asked.is_some() && self.renewed == Instant::default();
        !begins && self.ends() <= now
    }

    pub(crate) fn open(&mut self) {
        self.open = true;
        self.first = Instant::default();
        self.ask_gate();
    }

    fn ask_gate(&mut self) {
        if self.first == Instant::default() {
            self.first = self.granted();
        }
        self.gate.open_until(self.granted());
    }

    /// The votes allow it until then: later than before, or earlier. What has ended, since the agent stood still after
    /// it read the time, is not begun anew by that: whoever looked meanwhile found the gate shut.
    fn extend(&mut self, until: Instant, now: Instant) {
        let has_begun = self.open && self.renewed != Instant::default();
        if has_begun && self.granted() <= now {
            return;
        }
        self.renewed = until;
        self.asked = None;
        if self.open {
            self.ask_gate();
        }
    }

    /// What speaks for this node does so until then. What has ended is not begun anew by that: whoever looked meanwhile
    /// found the gate shut.
    pub(crate) fn warrant(&mut self, until: Instant, now: Instant) {
        if self.open && self.granted() <= now {
            return;
        }
        self.warrant = until;
        if self.open {
            self.ask_gate();
        }
    }

    /// Before an advert goes out by which the others wait for less than by the ones before: its own end, at once.
    fn ask(&mut self, until: Instant) {
        self.asked = Some(until);
        if until < self.renewed {
            self.renewed = until;
            if self.open {
                self.ask_gate();
            }
        }
    }

    /// The gate is shut, and stays armed while an address may be on.
    pub(crate) fn shut(&mut self) {
        self.open = false;
        self.renewed = Instant::default();
        self.asked = None;
        self.gate.close();
        self.gate.arm();
    }

    /// An advert that has not left renews nothing; nor does one that left only at a time, `now`, when
    /// the right before it had ended, since the agent stood still in between: whoever looked then
    /// found the gate shut, and may answer by now.
    pub fn settle(&mut self, sent: bool, now: Instant) {
        let begins = !self.open || self.renewed == Instant::default();
        let in_time = begins || now < self.granted();
        let Some(until) = self.asked.take().filter(|_| sent && in_time) else {
            return;
        };
        // Earlier than before, where a reload has shortened the interval: the others wait for less from this advert on.
        self.renewed = until;
        if self.open {
            self.ask_gate();
        }
    }

    /// Until when the group may answer, if it does.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        self.open.then_some(self.granted())
    }

    /// From when on an advert that claims the addresses must not leave any more: somebody else may hold them
    /// by then, who would give way to it. A right that has not begun ends no claim.
    #[must_use]
    pub fn claims_until(&self) -> Instant {
        match self.open && self.renewed != Instant::default() {
            true => self.granted(),
            false => Instant::NEVER,
        }
    }
}
