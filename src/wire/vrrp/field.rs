//! Where is what in a VRRP message?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::time::Duration;

use super::Rejected;
use crate::config::{Family, Version};

pub(super) const HEADER_LEN: usize = 8;
pub(super) const AUTH_LEN: usize = 8;
pub(super) const CHECKSUM: Range<usize> = 6..8;
pub(super) const TYPE_ADVERTISEMENT: u8 = 1;

pub(super) const AUTH_NONE: u8 = 0;
pub(super) const AUTH_TEXT: u8 = 1;
pub(super) const AUTH_AH: u8 = 2;

const VERSION_AND_TYPE: usize = 0;
const VRID: usize = 1;
const PRIORITY: usize = 2;
const COUNT: usize = 3;
const AUTH_TYPE: usize = 4;
const SECONDS: usize = 5;
const CENTISECONDS_HIGH: usize = 4;
const CENTISECONDS_LOW: usize = 5;

/// The VRID of a VRRP message, for finding the group that it is meant for.
#[must_use]
pub fn vrid(payload: &[u8]) -> Option<u8> {
    payload.get(VRID).copied()
}

/// The version nibble of the first byte.
pub(super) const fn version_number(version: Version) -> u8 {
    match version {
        Version::V2 => 2,
        Version::V3 => 3,
    }
}

/// The length of one address.
pub(super) const fn address_len(family: Family) -> usize {
    match family {
        Family::V4 => 4,
        Family::V6 => 16,
    }
}

/// The length of what follows the addresses: RFC 3768, section 5.3.9, has the authentication data
/// there even when there is none. keepalived sends VRRPv2 over IPv6 without it; such a message is
/// read as far as is needed to say that its version is not ours.
pub(super) const fn trailer_len(version: Version, family: Family) -> usize {
    match (version, family) {
        (Version::V2, Family::V4) => AUTH_LEN,
        (Version::V2, Family::V6) | (Version::V3, _) => 0,
    }
}

/// A view of a message that is as long as its own fields say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    header: &'a [u8; HEADER_LEN],
    addresses: &'a [u8],
    trailer: &'a [u8],
    version: Version,
    family: Family,
}

impl<'a> Message<'a> {
    /// The message at the start of `payload`; what follows it is left out of the view.
    pub(super) fn view(payload: &'a [u8], family: Family) -> Result<Self, Rejected> {
        let header = header(payload)?;
        let version = match header[VERSION_AND_TYPE] >> 4 {
            2 => Version::V2,
            3 => Version::V3,
            theirs => return Err(Rejected::UnknownVersion { theirs }),
        };
        let addresses_end = HEADER_LEN + usize::from(header[COUNT]) * address_len(family);
        let need = addresses_end + trailer_len(version, family);
        let bytes = payload.get(..need).ok_or(Rejected::Truncated {
            len: payload.len(),
            need,
        })?;
        Ok(Self {
            bytes,
            header,
            addresses: &bytes[HEADER_LEN..addresses_end],
            trailer: &bytes[addresses_end..],
            version,
            family,
        })
    }

    pub(super) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) const fn version(&self) -> Version {
        self.version
    }

    pub(super) const fn kind(&self) -> u8 {
        self.header[VERSION_AND_TYPE] & 0x0f
    }

    pub(super) const fn priority(&self) -> u8 {
        self.header[PRIORITY]
    }

    pub(super) const fn count(&self) -> u8 {
        self.header[COUNT]
    }

    /// The interval in the unit of the version.
    pub(super) fn interval(&self) -> Duration {
        match self.version {
            Version::V2 => Duration::from_secs(u64::from(self.header[SECONDS])),
            Version::V3 => {
                // RFC 9568, section 5.2.6: the four bits before it "MUST be ignored on reception".
                let high = self.header[CENTISECONDS_HIGH] & 0x0f;
                let low = self.header[CENTISECONDS_LOW];
                Duration::from_millis(u64::from(u16::from_be_bytes([high, low])) * 10)
            }
        }
    }

    /// VRRPv2 only: the authentication type and its data, which VRRPv2 over IPv6 does not have.
    pub(super) fn auth(&self) -> (u8, Option<&'a [u8; AUTH_LEN]>) {
        (self.header[AUTH_TYPE], self.trailer.first_chunk())
    }

    pub(super) const fn addresses(&self) -> Addresses<'a> {
        Addresses {
            bytes: self.addresses,
            family: self.family,
        }
    }
}

fn header(payload: &[u8]) -> Result<&[u8; HEADER_LEN], Rejected> {
    payload.first_chunk().ok_or(Rejected::Truncated {
        len: payload.len(),
        need: HEADER_LEN,
    })
}

/// The virtual addresses that an advert names, viewed where they were received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses<'a> {
    bytes: &'a [u8],
    family: Family,
}

impl<'a> Addresses<'a> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len() / address_len(self.family)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The addresses in the order of the advert.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<'a> {
        let family = self.family;
        self.bytes
            .chunks_exact(address_len(family))
            .filter_map(move |octets| address(family, octets))
    }

    /// Whether these are `ours`, in whatever order. There are as many of either, and none of ours
    /// is there twice.
    pub(super) fn same_as(&self, ours: &[IpAddr]) -> bool {
        // Speakers of one configuration list in one order; only others pay for the search.
        self.iter().eq(ours.iter().copied())
            || ours.iter().all(|our| self.iter().any(|a| a == *our))
    }
}

fn address(family: Family, octets: &[u8]) -> Option<IpAddr> {
    match family {
        Family::V4 => <[u8; 4]>::try_from(octets)
            .ok()
            .map(|o| IpAddr::V4(Ipv4Addr::from(o))),
        Family::V6 => <[u8; 16]>::try_from(octets)
            .ok()
            .map(|o| IpAddr::V6(Ipv6Addr::from(o))),
    }
}
