//! How long may a group answer? What its adverts renew, and what the gate knows of it.

use std::time::Duration;

use crate::core::Instant;
use crate::gate::Shutter;

use super::board::LeaseRow;

/// The right of one group to answer, as the heartbeat thread keeps it.
pub(crate) struct Lease {
    pub(crate) shutter: Shutter,
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
const LATE: Duration = Duration::from_millis(100);

impl Lease {
    /// A lease that allows nothing yet: whatever is on the host already is shut off first.
    pub(crate) fn new(shutter: Shutter) -> Self {
        shutter.close();
        shutter.arm();
        Self {
            shutter,
            asked: None,
            renewed: Instant::default(),
            warrant: Instant::NEVER,
            first: Instant::default(),
            open: false,
        }
    }

    fn granted(&self) -> Instant {
        self.renewed.min(self.warrant)
    }

    /// When the right to answer ends, if it is made use of: by the votes or adverts, or since the gate
    /// was not renewed.
    pub(crate) fn ends(&self) -> Instant {
        match self.open {
            true => self.granted().min(self.gate_ends()),
            false => Instant::NEVER,
        }
    }

    /// Whether the group might answer for longer, and its gate has shut all the same.
    pub(crate) fn is_stuck(&self, now: Instant) -> bool {
        self.open && now < self.granted() && self.gate_ends() <= now
    }

    fn gate_ends(&self) -> Instant {
        self.shutter.stands_until().max(self.first) + LATE
    }

    /// Whether it has ended by now. The first renewal may still wait for the end of this turn: what
    /// has not begun does not end.
    pub(crate) fn has_ended(&self, now: Instant) -> bool {
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
        self.shutter.open_until(self.granted());
    }

    /// The votes allow it until then: later than before, or earlier.
    pub(crate) fn extend(&mut self, until: Instant) {
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
    pub(crate) fn ask(&mut self, until: Instant) {
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
        self.shutter.close();
        self.shutter.arm();
    }

    /// An advert that has not left renews nothing; nor does one that left only at a time, `now`, when
    /// the right before it had ended, since the agent stood still in between: whoever looked then
    /// found the gate shut, and may answer by now.
    pub(crate) fn settle(&mut self, sent: bool, now: Instant) {
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

    pub(crate) fn row(&self) -> LeaseRow {
        LeaseRow {
            until: self.open.then_some(self.granted()),
            dropped: self.shutter.dropped(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(1);
    const START: Instant = Instant::from_nanos(5_000_000_000);

    /// A lease that is open, and the pen that tells the kernel of it.
    fn open(at: Instant) -> (Lease, impl Fn()) {
        let (shutter, tell) = Shutter::untold();
        let mut lease = Lease::new(shutter);
        lease.asked = Some(at + LEASE);
        lease.open();
        lease.settle(true, at);
        (lease, tell)
    }

    fn renew(lease: &mut Lease, at: Instant) {
        lease.asked = Some(at + LEASE);
        lease.settle(true, at);
    }

    #[test]
    fn an_advert_of_a_shorter_interval_ends_the_right_sooner() {
        let (mut lease, _) = open(START);
        lease.asked = Some(START + LEASE / 2);
        lease.settle(true, START);
        assert_eq!(lease.row().until, Some(START + LEASE / 2));
    }

    #[test]
    fn the_right_ends_with_what_speaks_for_the_node_and_moves_with_it() {
        let (mut lease, _) = open(START);
        lease.warrant(START + LEASE / 4, START);
        assert_eq!(lease.row().until, Some(START + LEASE / 4));
        lease.warrant(START + LEASE / 2, START);
        assert_eq!(lease.row().until, Some(START + LEASE / 2));
        lease.warrant(START + LEASE * 9, START);
        assert_eq!(lease.row().until, Some(START + LEASE), "the adverts' end");
    }

    #[test]
    fn what_has_ended_is_not_begun_anew_by_what_speaks_for_the_node() {
        let (mut lease, _) = open(START);
        lease.warrant(START + LEASE / 4, START);
        lease.warrant(START + LEASE, START + LEASE / 2);
        assert!(lease.has_ended(START + LEASE / 2));
    }

    #[test]
    fn a_lease_that_the_kernel_is_told_of_ends_when_the_adverts_say() {
        let (mut lease, tell) = open(START);
        tell();
        renew(&mut lease, START + LEASE / 2);
        tell();
        let ends = START + LEASE * 3 / 2;
        assert_eq!(lease.ends(), ends);
        assert!(!lease.is_stuck(ends - Duration::from_nanos(1)));
        assert!(lease.has_ended(ends) && !lease.is_stuck(ends));
    }

    #[test]
    fn a_heartbeat_that_leaves_when_the_gate_has_shut_does_not_open_it_again() {
        let (mut lease, tell) = open(START);
        tell();
        let ends = START + LEASE;
        for (left_at, until) in [
            (ends - Duration::from_nanos(1), ends + LEASE / 2),
            (ends + LEASE / 2, ends + LEASE / 2),
        ] {
            lease.asked = Some(until);
            lease.settle(true, left_at);
            tell();
            assert_eq!(lease.ends(), ends + LEASE / 2);
        }
        lease.asked = Some(ends + LEASE);
        lease.settle(true, ends + LEASE / 2);
        assert_eq!(lease.ends(), ends + LEASE / 2);
        assert!(lease.has_ended(ends + LEASE / 2), "the group is told");
    }

    #[test]
    fn a_lease_whose_renewals_do_not_reach_the_kernel_ends_with_the_last_that_did() {
        let (mut lease, tell) = open(START);
        tell();
        for tenth in 1..20 {
            renew(&mut lease, START + LEASE * tenth / 10);
        }
        let ends = START + LEASE + LATE;
        assert_eq!(lease.ends(), ends);
        assert!(!lease.is_stuck(ends - Duration::from_nanos(1)));
        assert!(lease.is_stuck(ends) && lease.has_ended(ends));
        lease.shut();
        assert!(!lease.is_stuck(ends) && !lease.has_ended(ends));
    }

    /// Law 6: the peers are told before the addresses are off.
    #[test]
    fn giving_up_shuts_the_gate_at_once_and_leaves_it_armed() {
        let (mut lease, _) = open(START);
        assert_eq!(lease.shutter.until(), START + LEASE);
        lease.shut();
        assert_eq!(lease.shutter.until(), Instant::default());
        assert!(lease.shutter.is_armed());
    }

    #[test]
    fn a_lease_that_never_reached_the_kernel_ends_with_the_first() {
        let (mut lease, _) = open(START);
        assert!(!lease.has_ended(START));
        for tenth in 1..20 {
            renew(&mut lease, START + LEASE * tenth / 10);
        }
        assert_eq!(lease.ends(), START + LEASE + LATE);
        // The next time counts anew.
        lease.shut();
        lease.open();
        renew(&mut lease, START + LEASE * 5);
        assert_eq!(lease.ends(), START + LEASE * 6);
    }
}
