//! What time is it on a host? Its boot clock: begun at some time, a little too fast or too slow, and
//! in some machines stopped together with the host.

use floatlock::core::Instant;

const MILLION: i64 = 1_000_000;

/// Tells the host's time by that of the world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The world's time, and what the host's clock shows then.
    since: Instant,
    shows: Instant,
    /// Too fast by so many parts of a million; may be negative.
    drift: i64,
    stands: bool,
}

impl Clock {
    pub(crate) const fn new(since: Instant, shows: Instant, drift: i64) -> Self {
        Self {
            since,
            shows,
            drift,
            stands: false,
        }
    }

    /// What it shows at `at` of the world.
    pub(crate) fn local(&self, at: Instant) -> Instant {
        let passed = match self.stands {
            true => 0,
            false => i128::from(at.as_nanos()) - i128::from(self.since.as_nanos()),
        };
        let passed = passed + scaled(passed, self.drift, MILLION);
        let shows = i128::from(self.shows.as_nanos()) + passed;
        Instant::from_nanos(u64::try_from(shows.max(0)).unwrap_or(u64::MAX))
    }

    /// When in the world it shows `local`, or has shown it; [`Instant::NEVER`] for what never comes.
    pub(crate) fn world(&self, local: Instant) -> Instant {
        if local == Instant::NEVER || (self.stands && local > self.shows) {
            return Instant::NEVER;
        }
        let ahead = i128::from(local.as_nanos()) - i128::from(self.shows.as_nanos());
        if ahead <= 0 {
            return self.since;
        }
        let passed = scaled(ahead, MILLION, MILLION + self.drift);
        let mut nanos = (i128::from(self.since.as_nanos()) + passed) as u64;
        while self.local(Instant::from_nanos(nanos)) < local {
            nanos += 1;
        }
        Instant::from_nanos(nanos)
    }

    pub(crate) const fn stands(&self) -> bool {
        self.stands
    }

    /// From now on it stands, or goes again.
    pub(crate) fn stand(&mut self, now: Instant, stands: bool) {
        self.shows = self.local(now);
        self.since = now;
        self.stands = stands;
    }
}

/// `time * part / whole`: in 64 bits where they hold it, for it is asked at every step.
fn scaled(time: i128, part: i64, whole: i64) -> i128 {
    let short = i64::try_from(time).ok();
    match short.and_then(|time| time.checked_mul(part)) {
        Some(product) => i128::from(product / whole),
        None => time * i128::from(part) / i128::from(whole),
    }
}
