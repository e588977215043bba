//! How long may a group answer? What its adverts renew, and what the gate knows of it.

use crate::core::Instant;
use crate::gate::Shutter;

use super::board::LeaseRow;

/// The right of one group to answer, as the heartbeat thread keeps it.
pub(crate) struct Lease {
    pub(crate) shutter: Shutter,
    /// Until then, if the adverts of this turn leave the host.
    pub(crate) asked: Option<Instant>,
    /// Until then, by the last advert that did.
    granted: Instant,
    open: bool,
}

impl Lease {
    /// A lease that allows nothing yet: whatever is on the host already is shut off first.
    pub(crate) fn new(shutter: Shutter) -> Self {
        shutter.close();
        shutter.arm();
        Self {
            shutter,
            asked: None,
            granted: Instant::default(),
            open: false,
        }
    }

    /// When the right to answer ends, if it is made use of.
    pub(crate) fn ends(&self) -> Instant {
        match self.open {
            true => self.granted,
            false => Instant::NEVER,
        }
    }

    /// Whether it has ended by now. The first renewal may still wait for the end of this turn: what
    /// has not begun does not end.
    pub(crate) fn has_ended(&self, now: Instant) -> bool {
        let begins = self.asked.is_some() && self.granted == Instant::default();
        !begins && self.ends() <= now
    }

    pub(crate) fn open(&mut self) {
        self.open = true;
        self.shutter.open_until(self.granted);
    }

    /// The votes allow it until then: later than before, or earlier.
    pub(crate) fn extend(&mut self, until: Instant) {
        self.granted = until;
        self.asked = None;
        if self.open {
            self.shutter.open_until(until);
        }
    }

    /// The gate is shut, and stays armed while an address may be on.
    pub(crate) fn shut(&mut self) {
        self.open = false;
        self.granted = Instant::default();
        self.asked = None;
        self.shutter.close();
        self.shutter.arm();
    }

    /// An advert that has not left renews nothing.
    pub(crate) fn settle(&mut self, sent: bool) {
        let Some(until) = self.asked.take().filter(|_| sent) else {
            return;
        };
        self.granted = self.granted.max(until);
        if self.open {
            self.shutter.open_until(self.granted);
        }
    }

    pub(crate) fn row(&self) -> LeaseRow {
        LeaseRow {
            until: self.open.then_some(self.granted),
            dropped: self.shutter.dropped(),
        }
    }
}
