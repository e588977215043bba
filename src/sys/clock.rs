//! What time is it? The one place that reads clocks, and the one that sleeps.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

use crate::core::Instant;

/// Now, on the boot clock (`CLOCK_BOOTTIME`).
#[must_use]
pub fn now() -> Instant {
    let nanos = nanos(ClockId::CLOCK_BOOTTIME);
    Instant::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// Now, on the wall clock: for logs and people, never for a decision.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is where the clock is read")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// Waits for `length`. For polling what offers no event; nothing else in the crate sleeps.
#[allow(clippy::disallowed_methods, reason = "this is where sleeping is done")]
pub fn sleep(length: Duration) {
    std::thread::sleep(length);
}

/// How far the wall clock is ahead of the boot clock, as last looked at.
///
/// The kernel stamps frames with the wall clock (`SO_TIMESTAMPNS`), and decisions are made on the
/// boot clock. Take a new offset for every batch of frames: the wall clock may be stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallOffset(i64);

impl WallOffset {
    /// Looks at both clocks.
    #[must_use]
    pub fn read() -> Self {
        let before = nanos(ClockId::CLOCK_BOOTTIME);
        let wall = nanos(ClockId::CLOCK_REALTIME);
        let after = nanos(ClockId::CLOCK_BOOTTIME);
        let boot = before + (after - before) / 2;
        Self(wall - boot)
    }

    /// An offset of `ahead` nanoseconds, for tests and replays.
    #[must_use]
    pub const fn from_nanos(ahead: i64) -> Self {
        Self(ahead)
    }

    /// The boot-clock instant of `stamp` (wall-clock time since 1970), kept within what is known
    /// without it.
    ///
    /// A step of the wall clock between the stamp and the offset shifts the result by the step.
    /// The bounds undo that: a frame came after its queue was last seen empty (`not_before`) and
    /// before it was read (`not_after`).
    #[must_use]
    pub fn instant(self, stamp: Duration, not_before: Instant, not_after: Instant) -> Instant {
        let stamp = i64::try_from(stamp.as_nanos()).unwrap_or(i64::MAX);
        let boot = u64::try_from(stamp.saturating_sub(self.0)).unwrap_or(0);
        Instant::from_nanos(boot).min(not_after).max(not_before)
    }
}

#[expect(
    clippy::expect_used,
    reason = "Linux has had these clocks since 2.6.39, and reading one has no other failure"
)]
fn nanos(clock: ClockId) -> i64 {
    let time = clock_gettime(clock).expect("the kernel has this clock");
    time.tv_sec() * 1_000_000_000 + time.tv_nsec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_goes_on() {
        let first = now();
        sleep(Duration::from_millis(2));
        assert!(now().since(first) >= Duration::from_millis(2));
    }

    #[test]
    fn a_stamp_of_now_becomes_now() {
        let before = now();
        let offset = WallOffset::read();
        let stamp = wall().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let at = offset.instant(stamp, Instant::default(), Instant::NEVER);
        assert!(at.since(before) < Duration::from_millis(100), "{at:?}");
        assert!(before.since(at) < Duration::from_millis(100), "{at:?}");
    }

    #[test]
    fn a_stepped_wall_clock_cannot_move_a_frame_out_of_its_bounds() {
        let (from, to) = (Instant::from_nanos(1_000), Instant::from_nanos(2_000));
        let offset = WallOffset::from_nanos(500);
        let at = |stamp| offset.instant(Duration::from_nanos(stamp), from, to);
        assert_eq!(at(2_000), Instant::from_nanos(1_500));
        assert_eq!(at(100), from, "stepped forward after the stamp");
        assert_eq!(at(1_000_000), to, "stepped back after the stamp");
    }
}
