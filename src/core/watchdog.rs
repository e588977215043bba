//! When may the watchdog be petted? Only while freezing this instant would be harmless (law 11).
//!
//! ```text
//!   s ......................... renewal asked for
//!   |------------- L -----------------------------| the right to answer ends
//!        p ......................................... the last pet
//!        |------- T (1 + rho) ----------|-- reset --| and nothing answers any more
//! ```
//!
//! A host that freezes right after `p` is reset before its right ends, so that nobody else answers yet,
//! whatever has become of its gate. Where L is too short for a device that counts whole seconds, the watchdog
//! backs up the gate only: it is petted while the gate is whole and the heartbeat turns.

use std::time::Duration;

use super::time::Instant;

/// How fast or slow a device may be by its own clock.
const RATE_PERCENT: u32 = 1;
/// From the end of the device's time until the host is silent.
pub const RESET: Duration = Duration::from_millis(100);
/// How late whoever pets may be, beside real-time programs of others.
const LAG: Duration = Duration::from_millis(100);
/// The end of a right is noticed and the gate shut within this.
const SHUT: Duration = Duration::from_millis(50);
/// What holds without a renewal is worth little: so many of them fit into what is left of a lease.
const RENEWALS: u32 = 3;
/// Devices count whole seconds ...
const SECOND: Duration = Duration::from_secs(1);
/// ... and more than these are nobody's fence.
const SECONDS_MOST: u32 = 60;
/// What is asked for where the gate is the fence: a host that is only busy goes on, ...
const BACKUP_LEAST: Duration = Duration::from_secs(5);
/// ... and addresses that will not come off within this are reset away.
pub const OFF_WITHIN: Duration = Duration::from_secs(30);
/// So often a device is petted within its time.
const PETS: u32 = 8;

/// How long the rights of one group last, and how often they are renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// L: from asking for a renewal to the end of the right that it gives.
    pub lease: Duration,
    /// Between two of them.
    pub interval: Duration,
}

/// What the watchdog is good for with the given times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A host that hangs is reset before another node answers, also without its gate.
    Fences,
    /// A host that hangs is reset, perhaps later than another node answers: the gate is the fence.
    BacksUp,
}

/// How the device is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// T: the host is reset so long after the last pet.
    pub timeout: Duration,
    /// What that is good for.
    pub reach: Reach,
    /// So much before its right ends a holder gives it up: at the end the device might be faster.
    pub early: Duration,
}

impl Plan {
    /// The longest T that fences every group; else one that backs up their gates. Without a `gate` nothing
    /// could be given up early.
    #[must_use]
    pub fn of(groups: &[Times], gate: bool) -> Self {
        let fences = |timeout: &Duration| gate && groups.iter().all(|of| fits(*of, *timeout));
        let longest = (1..=SECONDS_MOST).rev().map(|seconds| SECOND * seconds);
        match longest.into_iter().find(fences) {
            Some(timeout) if !groups.is_empty() => Self {
                timeout,
                reach: Reach::Fences,
                early: early(timeout),
            },
            _ => {
                let longest = groups.iter().map(|of| of.lease).max().unwrap_or_default();
                Self {
                    timeout: whole_seconds(longest * 2).max(BACKUP_LEAST),
                    reach: Reach::BacksUp,
                    early: Duration::ZERO,
                }
            }
        }
    }

    /// The same with the time that the device has taken instead of what it was asked for: a shorter one
    /// fences as well, a longer one does not.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        match timeout <= self.timeout {
            true => Self { timeout, ..self },
            false => Self {
                timeout,
                reach: Reach::BacksUp,
                ..self
            },
        }
    }

    /// Between two pets.
    #[must_use]
    pub fn every(&self) -> Duration {
        self.timeout / PETS
    }
}

/// What a group's L has to last at least for T.
#[must_use]
pub fn needs(interval: Duration, timeout: Duration) -> Duration {
    let pets = interval + slow(timeout) + RESET + timeout / PETS + LAG;
    pets.max(early(timeout) + interval * RENEWALS)
}

fn fits(of: Times, timeout: Duration) -> bool {
    needs(of.interval, timeout) <= of.lease
}

/// As long as a device may take whose clock is slow.
fn slow(timeout: Duration) -> Duration {
    timeout + timeout * RATE_PERCENT / 100
}

/// The last pet is as early as its bound allows, and one turn of whoever pets; from there on the device may
/// be fast.
fn early(timeout: Duration) -> Duration {
    timeout * RATE_PERCENT * 2 / 100 + RESET + timeout / PETS + LAG + SHUT
}

fn whole_seconds(length: Duration) -> Duration {
    let seconds = length.as_nanos().div_ceil(SECOND.as_nanos());
    Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
}

/// What a group has on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stake {
    /// Its addresses are off, verified.
    Nothing,
    /// It is about to hold, behind a shut gate.
    Contends,
    /// It may answer until then, and the gate ends that.
    Answers(Instant),
    /// It answers, and nothing ends that (`gate = "off"`, adverts too fast for a gate).
    Endless,
    /// Its right has ended at that time, and addresses may still be on, behind a shut gate.
    Lingers(Instant),
}

/// What follows for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The device is armed.
    pub armed: bool,
    /// Until then it may be petted.
    pub harmless_until: Instant,
}

/// What all groups together have at stake at `now`, and whether the gate is where it must be, said by the heartbeat itself in its own turn: until the
/// next one whoever pets knows no better, and not for longer than half of T.
#[must_use]
pub fn read(
    plan: &Plan,
    now: Instant,
    gate_is_whole: bool,
    stakes: impl Iterator<Item = Stake>,
) -> Reading {
    let mut reading = Reading {
        armed: false,
        harmless_until: now + plan.timeout / 2,
    };
    for stake in stakes {
        let until = match (stake, plan.reach) {
            (Stake::Nothing, _) => continue,
            (Stake::Contends | Stake::Endless, _) => Instant::NEVER,
            (Stake::Answers(until), Reach::Fences) => until - slow(plan.timeout) - RESET,
            (Stake::Answers(_), Reach::BacksUp) if gate_is_whole => Instant::NEVER,
            (Stake::Lingers(since), _) if gate_is_whole => since + OFF_WITHIN,
            (Stake::Answers(_) | Stake::Lingers(_), _) => Instant::default(),
        };
        reading.armed = true;
        reading.harmless_until = reading.harmless_until.min(until);
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_nanos(1_000_000_000_000);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn times(lease: u64, interval: u64) -> Times {
        Times {
            lease: millis(lease),
            interval: millis(interval),
        }
    }

    fn plan(lease: u64, interval: u64) -> Plan {
        Plan::of(&[times(lease, interval)], true)
    }

    #[test]
    fn the_defaults_are_too_short_for_a_device_of_whole_seconds() {
        let plan = plan(1000, 200);
        assert_eq!(plan.reach, Reach::BacksUp);
        assert_eq!(plan.timeout, millis(5000));
        assert_eq!(plan.early, Duration::ZERO);
    }

    #[test]
    fn a_longer_lease_is_fenced_by_the_longest_time_that_fits() {
        // 1 + 3.03 + 0.1 + 0.375 + 0.1 <= 5 < 1 + 4.04 + ...
        let plan = plan(5000, 1000);
        assert_eq!((plan.reach, plan.timeout), (Reach::Fences, millis(3000)));
        assert_eq!(plan.early, millis(60 + 100 + 375 + 100 + 50));
    }

    #[test]
    fn the_shortest_of_all_groups_decides() {
        let groups = [times(5000, 1000), times(1600, 200)];
        let plan = Plan::of(&groups, true);
        assert_eq!((plan.reach, plan.timeout), (Reach::Fences, millis(1000)));
        let groups = [times(20_000, 1000), times(1000, 200)];
        let plan = Plan::of(&groups, true);
        assert_eq!((plan.reach, plan.timeout), (Reach::BacksUp, millis(40_000)));
    }

    #[test]
    fn what_is_left_of_a_lease_that_is_given_up_early_has_room_for_renewals() {
        for interval in [100, 200, 500, 1000, 2000] {
            for lease in (interval * 4..interval * 40).step_by(50) {
                let plan = plan(lease, interval);
                if plan.reach == Reach::Fences {
                    assert!(millis(lease) - plan.early >= millis(interval) * 3);
                }
            }
        }
    }

    #[test]
    fn without_a_gate_nothing_is_fenced() {
        assert_eq!(Plan::of(&[times(5000, 1000)], false).reach, Reach::BacksUp);
    }

    #[test]
    fn a_device_that_takes_longer_than_it_was_asked_for_fences_nothing() {
        let plan = plan(5000, 1000);
        assert_eq!(plan.with_timeout(millis(1000)).reach, Reach::Fences);
        assert_eq!(plan.with_timeout(millis(16_000)).reach, Reach::BacksUp);
        // Who gives up early does so before the device is open.
        assert_eq!(plan.with_timeout(millis(16_000)).early, plan.early);
    }

    /// Law 11, for every time at which the host may freeze, and for the slowest device.
    #[test]
    fn whoever_freezes_after_a_pet_is_reset_before_its_right_ends() {
        let plan = plan(5000, 1000);
        let until = NOW + millis(5000);
        let stakes = || [Stake::Answers(until)].into_iter();
        let reading = read(&plan, NOW, false, stakes());
        assert!(reading.armed);
        let last = (0..5000)
            .map(|at| NOW + millis(at))
            .take_while(|at| *at <= read(&plan, *at, false, stakes()).harmless_until)
            .last();
        let silent = last.unwrap() + millis(3030) + RESET;
        assert!(silent <= until && until < silent + millis(2), "{silent:?}");
    }

    /// Else every lease that ends would cost a reset.
    #[test]
    fn whoever_gives_up_early_is_not_reset_by_the_fastest_device() {
        let plan = plan(5000, 1000);
        let until = NOW + millis(5000);
        let bound = read(&plan, until, true, [Stake::Answers(until)].into_iter()).harmless_until;
        let last = bound - plan.every() - LAG;
        let fires = last + millis(3000) - millis(30);
        let gives_up = until - plan.early;
        assert!(gives_up + SHUT <= fires, "{gives_up:?} {fires:?}");
        let lingers = [Stake::Lingers(gives_up)].into_iter();
        let reading = read(&plan, gives_up, true, lingers);
        assert!(reading.harmless_until > gives_up, "petted again");
    }

    #[test]
    fn a_loop_that_does_not_turn_is_petted_for_half_of_its_time() {
        for plan in [plan(5000, 1000), plan(1000, 200)] {
            let reading = read(&plan, NOW, true, [Stake::Contends].into_iter());
            assert_eq!(reading.harmless_until, NOW + plan.timeout / 2);
        }
    }

    #[test]
    fn without_its_gate_a_holder_is_not_petted_where_the_gate_is_the_fence() {
        let plan = plan(1000, 200);
        let answers = || [Stake::Answers(NOW + millis(900))].into_iter();
        assert_eq!(
            read(&plan, NOW, true, answers()).harmless_until,
            NOW + millis(2500)
        );
        assert_eq!(
            read(&plan, NOW, false, answers()).harmless_until,
            Instant::default()
        );
    }

    #[test]
    fn addresses_that_will_not_come_off_are_reset_away() {
        for plan in [plan(5000, 1000), plan(1000, 200)] {
            let lingers = || [Stake::Lingers(NOW)].into_iter();
            let at = |after: Duration, whole| read(&plan, NOW + after, whole, lingers());
            assert!(at(millis(1), true).harmless_until > NOW + millis(1));
            assert_eq!(at(OFF_WITHIN, true).harmless_until, NOW + OFF_WITHIN);
            assert_eq!(at(millis(1), false).harmless_until, Instant::default());
        }
    }

    #[test]
    fn the_device_is_armed_only_while_something_is_at_stake() {
        let plan = plan(1000, 200);
        let armed = |stake| read(&plan, NOW, true, [Stake::Nothing, stake].into_iter()).armed;
        assert!(!armed(Stake::Nothing));
        assert!(armed(Stake::Contends) && armed(Stake::Lingers(NOW)));
        assert!(armed(Stake::Answers(NOW)));
    }
}
