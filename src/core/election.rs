//! Who is better, and how long is silence? The rank and the timers of VRRP.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// The protocol version on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Version {
    /// RFC 3768: IPv4, whole seconds, eight authentication bytes.
    V2,
    /// RFC 9568 (before it RFC 5798): IPv4 and IPv6, centiseconds.
    V3,
}

/// The priority of a router that resigns (RFC 9568, section 5.2.4).
pub const RESIGN: u8 = 0;
/// The priority of the router whose own addresses the virtual router answers for.
pub const OWNER: u8 = 255;

/// The skew time of a router of this priority: the better it is, the earlier it stands.
///
/// RFC 3768, section 6.1: `(256 - Priority) / 256` seconds, whatever the interval is.
/// RFC 9568, section 6.1: `((256 - Priority) * Active_Adver_Interval) / 256`.
#[must_use]
pub fn skew(version: Version, priority: u8, interval: Duration) -> Duration {
    let unit = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval,
    };
    unit * (256 - u32::from(priority)) / 256
}

/// How long a BACKUP hears nothing before it stands: `misses * interval + skew`.
///
/// RFC 3768 and RFC 9568, section 6.1, where `misses` is 3.
#[must_use]
pub fn master_down(version: Version, priority: u8, interval: Duration, misses: u32) -> Duration {
    interval * misses + skew(version, priority, interval)
}

/// The most by which the clock of one node runs faster than that of another, in parts of a hundred.
const RATE_ERROR: u32 = 1;
/// What is queued below the gate when it shuts still goes out, and the gate itself is this late.
const RESIDUE: Duration = Duration::from_millis(21);

/// How long an advert lets its sender answer: less than every peer waits after it, by the error of
/// the clocks and what is still on its way when the gate shuts. `None` where that is less than two
/// intervals: a single late advert would silence a healthy MASTER.
#[must_use]
pub fn lease(interval: Duration, peer_misses: u32) -> Option<Duration> {
    let wait = interval * peer_misses;
    let lease = (wait * (100 - 2 * RATE_ERROR) / 100).saturating_sub(RESIDUE);
    (lease >= interval * 2).then_some(lease)
}

/// The order of two routers that both say MASTER: the higher priority, then the higher address.
///
/// RFC 9568, section 6.4.3: "If the Priority in the ADVERTISEMENT is equal to the local Priority
/// and the primary IPvX address of the sender is greater than the local primary IPvX address".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// 1 to 255.
    pub priority: u8,
    /// The address that the adverts come from.
    pub address: IpAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3768_6_1_skew_does_not_depend_on_the_interval() {
        let skews = [1, 5].map(|s| skew(Version::V2, 100, Duration::from_secs(s)));
        assert_eq!(skews, [Duration::from_nanos(609_375_000); 2]);
    }

    #[test]
    fn rfc9568_6_1_skew_is_a_part_of_the_interval() {
        let interval = Duration::from_millis(100);
        assert_eq!(
            skew(Version::V3, 100, interval),
            Duration::from_nanos(60_937_500)
        );
        assert_eq!(
            skew(Version::V3, 255, interval),
            Duration::from_nanos(390_625)
        );
    }

    #[test]
    fn master_down_is_three_intervals_and_the_skew() {
        let second = Duration::from_secs(1);
        let down = master_down(Version::V2, 100, second, 3);
        assert_eq!(down, Duration::from_nanos(3_609_375_000));
        let down = master_down(Version::V3, 254, second, 3);
        assert_eq!(down, Duration::from_nanos(3_007_812_500));
    }

    #[test]
    fn a_lease_ends_before_any_peer_gives_up() {
        let millis = Duration::from_millis;
        assert_eq!(lease(millis(1000), 3), Some(millis(2919)));
        assert_eq!(lease(millis(100), 3), Some(millis(273)));
        assert_eq!(lease(millis(30), 3), Some(Duration::from_micros(67_200)));
        assert_eq!(lease(millis(20), 3), None, "less than two intervals");
        assert_eq!(lease(millis(1000), 2), None);
        for interval in [30, 100, 255_000].map(millis) {
            let best = master_down(Version::V3, 254, interval, 3);
            assert!(lease(interval, 3).unwrap() < best);
        }
    }

    #[test]
    fn equal_priorities_are_decided_by_the_address() {
        let rank = |priority, last| Rank {
            priority,
            address: IpAddr::from([192, 0, 2, last]),
        };
        assert!(rank(101, 1) > rank(100, 9));
        assert!(rank(100, 9) > rank(100, 1));
    }
}
