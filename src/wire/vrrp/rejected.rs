//! Why does a frame not count?

use std::time::Duration;

use super::field::version_number;
use crate::config::Version;
use crate::core::event::ConflictField;

/// The first check that a frame failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejected {
    /// Shorter than its own fields say.
    #[error("{len} bytes long, but its fields ask for {need}")]
    Truncated {
        /// As received.
        len: usize,
        /// As its fields say.
        need: usize,
    },
    /// Longer than its own fields say, by more than Ethernet pads.
    #[error("{len} bytes long, but its fields end after {need}")]
    Overlong {
        /// As received.
        len: usize,
        /// As its fields say.
        need: usize,
    },
    /// Neither VRRPv2 nor VRRPv3.
    #[error("unknown version {theirs}")]
    UnknownVersion {
        /// The version nibble.
        theirs: u8,
    },
    /// An Authentication Header with something else than VRRP behind it.
    #[error("no VRRP message behind the authentication header")]
    AuthHeader,
    /// Multicast, and not sent with TTL (hop limit) 255: it came through a router.
    #[error("TTL {theirs} instead of 255")]
    Ttl {
        /// As received.
        theirs: u8,
    },
    /// Not an ADVERTISEMENT.
    #[error("unknown type {theirs}")]
    Type {
        /// The type nibble.
        theirs: u8,
    },
    /// An interval of zero.
    #[error("an interval of zero")]
    ZeroInterval,
    /// VRRPv3 without any address.
    #[error("no address")]
    NoAddresses,
    /// The IP header tells of another length than the fields do.
    #[error("the IP header says {len} bytes, its fields say {need}")]
    TotalLength {
        /// As the IP header says.
        len: usize,
        /// As its fields say.
        need: usize,
    },
    /// The checksum is wrong in every known form.
    #[error("wrong checksum")]
    Checksum,

    /// Right in itself, but of the other version.
    #[error("speaks VRRPv{}", version_number(*theirs))]
    Version {
        /// The sender's.
        theirs: Version,
        /// The sender's.
        interval: Duration,
    },
    /// VRRPv2, right in itself, but with another interval.
    #[error("has an interval of {}s", theirs.as_secs())]
    Interval {
        /// The sender's.
        theirs: Duration,
    },

    /// VRRPv2, right in itself, but with another authentication type.
    #[error("uses authentication type {theirs}")]
    AuthType {
        /// 0 none, 1 text, 2 Authentication Header.
        theirs: u8,
    },
    /// VRRPv2, right in itself, but with another password.
    #[error("has another password")]
    AuthMismatch,

    /// Of another virtual router.
    #[error("is of virtual router {theirs}")]
    VridOther {
        /// The sender's.
        theirs: u8,
    },
    /// Multicast to a unicast group, or the reverse.
    #[error("came by {}", if *.multicast { "multicast" } else { "unicast" })]
    Mode {
        /// Whether the frame was multicast.
        multicast: bool,
    },
    /// From an address that is not among the unicast peers.
    #[error("is from none of our peers")]
    UnlistedSource,
    /// This node owns the addresses and listens to nobody.
    #[error("is not asked: the addresses are our own")]
    LocalOwner,
    /// This node owns the addresses, and so, it says, does the sender.
    #[error("also says that it owns the addresses")]
    SecondOwner,

    /// From our own address: a loop, or a duplicate of this host.
    #[error("came from our own address")]
    OwnAdvert,
}

/// What a rejection means for the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Wrong by its own version's rules: counted.
    Malformed,
    /// Right by its own version's rules and of our virtual router, but it disagrees on what the
    /// election rests on.
    Conflict(ConflictField),
    /// Right by its own version's rules and of our virtual router, but not by the password.
    Unauthentic,
    /// Not for us to hear: counted.
    Foreign,
    /// Our own.
    Own,
}

impl Rejected {
    /// The interval of a sender who disagrees on what the election rests on.
    #[must_use]
    pub const fn interval(&self) -> Option<Duration> {
        match *self {
            Rejected::Version { interval, .. } | Rejected::Interval { theirs: interval } => {
                Some(interval)
            }
            _ => None,
        }
    }

    /// What it means for the election.
    #[must_use]
    pub const fn class(&self) -> Class {
        use Rejected as R;
        match self {
            R::Truncated { .. } | R::Overlong { .. } | R::TotalLength { .. } => Class::Malformed,
            R::UnknownVersion { .. } | R::AuthHeader | R::Ttl { .. } => Class::Malformed,
            R::Type { .. } | R::ZeroInterval | R::NoAddresses | R::Checksum => Class::Malformed,
            R::Version { .. } => Class::Conflict(ConflictField::Version),
            R::Interval { .. } => Class::Conflict(ConflictField::Interval),
            R::AuthType { .. } | R::AuthMismatch => Class::Unauthentic,
            R::VridOther { .. } | R::Mode { .. } | R::UnlistedSource => Class::Foreign,
            R::LocalOwner | R::SecondOwner => Class::Foreign,
            R::OwnAdvert => Class::Own,
        }
    }
}
