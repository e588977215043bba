//! What time is it in the laboratory? The boot clock, also for the kernel's packet stamps.

use std::time::Duration;

use nix::poll::{PollTimeout, poll};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use crate::core::Instant;

/// How often a condition without an event of its own is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Now.
#[must_use]
pub fn now() -> Instant {
    read(ClockId::CLOCK_BOOTTIME)
}

/// Waits without an event.
pub fn pause(length: Duration) {
    let until = now() + length;
    loop {
        let left = until.since(now());
        if left.is_zero() {
            return;
        }
        // Rounded up: a wait that ends early would be spent in a busy loop.
        let millis = left.as_millis().saturating_add(1).min(60_000);
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        // An interrupted wait is resumed by the loop.
        let _ = poll(&mut [], timeout);
    }
}

/// Looks at a condition until it holds, where no event tells; false when it never did.
pub fn wait_until(within: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let until = now() + within;
    loop {
        if holds() {
            return true;
        }
        if now() >= until {
            return false;
        }
        pause(LOOK_EVERY);
    }
}

/// The kernel stamps packets with the wall clock; this is the same moment on the boot clock.
///
/// The distance of the two clocks is read anew for each stamp, so that a step of the wall clock
/// falsifies only the packets that were in the queue at that moment.
#[must_use]
pub(super) fn from_wall(stamp: TimeSpec) -> Instant {
    let wall = read(ClockId::CLOCK_REALTIME);
    let age = wall.since(instant(stamp));
    now() - age
}

fn read(clock: ClockId) -> Instant {
    // These clocks exist on every Linux that Rust runs on.
    clock_gettime(clock).map_or(Instant::default(), instant)
}

fn instant(time: TimeSpec) -> Instant {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
    Instant::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_of_now_is_now_on_the_boot_clock() {
        let before = now();
        let stamp = clock_gettime(ClockId::CLOCK_REALTIME).unwrap();
        let translated = from_wall(stamp);
        let slack = Duration::from_micros(1);
        assert!(translated + slack >= before);
        assert!(translated <= now() + slack);
    }

    #[test]
    fn a_pause_is_not_shorter_than_asked() {
        let start = now();
        pause(Duration::from_millis(3));
        assert!(now().since(start) >= Duration::from_millis(3));
    }
}
