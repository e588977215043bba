//! May the next frame leave yet? A token bucket.

use std::time::Duration;

use crate::core::Instant;

/// Paces frames on a line that takes `rate` of them a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long the line takes for one frame; rounded up, so that the rate is never exceeded.
    share: Duration,
    /// The line is taken until then.
    taken_until: Instant,
}

/// How much may leave at once after a pause: what the line takes in this time, [`BURST`] frames
/// at most.
const AHEAD: Duration = Duration::from_millis(10);
const BURST: u32 = 64;

impl Pace {
    pub(super) fn new(rate: u32) -> Self {
        let nanos = 1_000_000_000_u64.div_ceil(u64::from(rate.max(1)));
        Self {
            share: Duration::from_nanos(nanos),
            taken_until: Instant::default(),
        }
    }

    /// Whether the line is free enough for one frame.
    pub(super) fn allows(self, now: Instant) -> bool {
        self.taken_until <= now + self.ahead()
    }

    /// Takes the line for one frame.
    pub(super) fn take(&mut self, now: Instant) {
        self.taken_until = self.taken_until.max(now) + self.share;
    }

    /// When it is worth asking again: not at every single frame, but when half of what may leave
    /// at once is free.
    pub(super) fn free_at(self, now: Instant) -> Instant {
        if self.allows(now) {
            return now;
        }
        self.taken_until - self.ahead() / 2
    }

    fn ahead(self) -> Duration {
        AHEAD.min(self.share * (BURST - 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Instant = Instant::from_nanos(1_000_000_000);

    fn burst(pace: &mut Pace, now: Instant) -> u32 {
        let mut taken = 0;
        while pace.allows(now) {
            pace.take(now);
            taken += 1;
        }
        taken
    }

    #[test]
    fn after_a_pause_ten_milliseconds_worth_may_leave_at_once() {
        for (rate, frames) in [(1, 1), (100, 2), (1_000, 11), (5_000, 51), (1_000_000, 64)] {
            assert_eq!(burst(&mut Pace::new(rate), START), frames, "rate {rate}");
        }
    }

    #[test]
    fn a_rate_of_zero_is_one_a_second_and_not_a_crash() {
        let mut pace = Pace::new(0);
        assert_eq!(burst(&mut pace, START), 1);
        assert_eq!(pace.free_at(START), START + Duration::from_millis(995));
    }

    proptest! {
        #[test]
        fn the_rate_is_kept_and_also_reached(rate in 1_u32..100_000, seconds in 1_u32..4) {
            let mut pace = Pace::new(rate);
            let (mut now, mut sent) = (START, 0);
            let end = START + Duration::from_secs(u64::from(seconds));
            while now < end {
                let slice = burst(&mut pace, now);
                prop_assert!(slice > 0, "woken for nothing");
                sent += slice;
                let elapsed = now.since(START).as_secs_f64();
                let most = f64::from(rate) * elapsed + f64::from(BURST) + 1.0;
                prop_assert!(f64::from(sent) <= most, "{sent} after {elapsed} s");
                now = pace.free_at(now);
            }
            prop_assert!(sent >= rate * seconds - rate / 50, "{sent}");
        }
    }
}
