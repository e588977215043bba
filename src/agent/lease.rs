//! What is a lease under a gate? A right to answer that a shutter ends, and what observers know of it.

use crate::core::Instant;
use crate::core::right::{Gate, Right};
use crate::gate::Shutter;

use super::board::LeaseRow;

pub(crate) type Lease = Right<Shutter>;

impl Lease {
    pub(crate) fn row(&self) -> LeaseRow {
        LeaseRow {
            until: self.until(),
            dropped: self.gate.dropped(),
        }
    }
}

impl Gate for Shutter {
    fn arm(&self) {
        Shutter::arm(self);
    }

    fn disarm(&self) {
        Shutter::disarm(self);
    }

    fn open_until(&self, until: Instant) {
        Shutter::open_until(self, until);
    }

    fn close(&self) {
        Shutter::close(self);
    }

    fn stands_until(&self) -> Instant {
        Shutter::stands_until(self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::Effect;
    use crate::core::right::LATE;

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
    fn what_has_ended_is_not_begun_anew_by_votes_that_were_counted_before() {
        let (mut lease, _) = open(START);
        let ends = START + LEASE;
        let extend = |lease: &mut Lease, until, now| {
            lease.carry_out(Effect::Extend(until), Duration::ZERO, || now);
        };
        extend(&mut lease, ends + LEASE / 2, ends - Duration::from_nanos(1));
        assert_eq!(lease.row().until, Some(ends + LEASE / 2));
        // The agent stood still after it had read the time.
        extend(&mut lease, ends + LEASE, ends + LEASE / 2);
        assert_eq!(lease.row().until, Some(ends + LEASE / 2));
        assert!(lease.has_ended(ends + LEASE / 2), "the group is told");
        // Shut, and opened with a right of its own.
        lease.shut();
        extend(&mut lease, ends + LEASE * 2, ends + LEASE);
        lease.open();
        assert_eq!(lease.row().until, Some(ends + LEASE * 2));
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
        assert_eq!(lease.gate.until(), START + LEASE);
        lease.shut();
        assert_eq!(lease.gate.until(), Instant::default());
        assert!(lease.gate.is_armed());
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
