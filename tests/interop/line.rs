//! What do both agents speak, and where? The version, the family, multicast or unicast.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use floatlock::core::election::{self, Version};
use floatlock::lab::agent::GroupSetup;
use ipnet::IpNet;

/// One way of speaking VRRP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) version: Version,
    pub(crate) v4: bool,
    pub(crate) unicast: bool,
    pub(crate) interval: Duration,
}

/// Every way that both agents know.
pub(crate) const LINES: [Line; 6] = [
    Line::new(Version::V2, true, false),
    Line::new(Version::V2, true, true),
    V4,
    Line::new(Version::V3, true, true),
    V6,
    Line::new(Version::V3, false, true),
];
/// VRRPv2 by multicast.
pub(crate) const V2: Line = LINES[0];
/// VRRPv3 over IPv4 by unicast.
pub(crate) const V4_UNICAST: Line = LINES[3];
/// VRRPv3 over IPv4 by multicast.
pub(crate) const V4: Line = Line::new(Version::V3, true, false);
/// VRRPv3 over IPv6 by multicast.
pub(crate) const V6: Line = Line::new(Version::V3, false, false);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.version == Version::V2 {
            "v2"
        } else {
            "v3"
        };
        let family = if self.v4 { "IPv4" } else { "IPv6" };
        let mode = if self.unicast { "unicast" } else { "multicast" };
        write!(f, "{version} {family} {mode}")
    }
}

impl Line {
    /// At the shortest interval that suits a test: VRRPv2 knows whole seconds only.
    const fn new(version: Version, v4: bool, unicast: bool) -> Self {
        let interval = match version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => Duration::from_millis(100),
        };
        Self {
            version,
            v4,
            unicast,
            interval,
        }
    }

    /// The same with another interval.
    pub(crate) const fn every(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// How long a BACKUP of this priority hears nothing before it stands.
    pub(crate) fn master_down(self, priority: u8) -> Duration {
        election::master_down(self.version, priority, self.interval, 3)
    }

    /// The own address of the host with this number.
    pub(crate) fn host(self, number: usize) -> IpAddr {
        let text = if self.v4 { "10.77.0." } else { "fd77::" };
        format!("{text}{number}").parse().unwrap()
    }

    /// So many floating addresses.
    pub(crate) fn floating(self, count: usize) -> Vec<IpNet> {
        let net = |number| match self.v4 {
            true => format!("10.77.0.{number}/24"),
            false => format!("fd77::{number}/64"),
        };
        (100..)
            .take(count)
            .map(|n| net(n).parse().unwrap())
            .collect()
    }

    /// What the agent on host `number` of `hosts` is told.
    pub(crate) fn group(self, priority: u8, number: usize, hosts: usize) -> GroupSetup {
        let others = (1..=hosts).filter(|&other| self.unicast && other != number);
        GroupSetup {
            version: self.version,
            interval: self.interval,
            peers: others.map(|other| self.host(other)).collect(),
            source: self
                .unicast
                .then(|| self.host(number))
                .into_iter()
                .collect(),
            ..GroupSetup::new(priority, &self.floating(1))
        }
    }
}
