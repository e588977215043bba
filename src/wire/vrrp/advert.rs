//! Which bytes say that this node is MASTER? Writing an advert.

use std::net::IpAddr;
use std::time::Duration;

use super::checksum::Sum;
use super::field::{
    AUTH_NONE, AUTH_TEXT, CHECKSUM, HEADER_LEN, TYPE_ADVERTISEMENT, address_len, trailer_len,
    version_number,
};
use crate::config::{Checksum, Family, Version};

const SECONDS_MAX: u64 = 255;
const CENTISECONDS_MAX: u128 = 0x0fff;

/// An advert to send.
#[derive(Clone, Copy, Debug)]
pub struct Advert<'a> {
    /// VRRPv2 over IPv4, or VRRPv3 over either.
    pub version: Version,
    /// The virtual router.
    pub vrid: u8,
    /// 0 resigns, 1 to 254, 255 owns the addresses.
    pub priority: u8,
    /// Whole seconds up to 255 (v2); hundredths up to 40.95 s (v3).
    pub interval: Duration,
    /// All of the family of `source`; 1 to 255.
    pub addresses: &'a [IpAddr],
    /// VRRPv2: the password; VRRPv3 has none and ignores it.
    pub auth: Option<[u8; 8]>,
    /// Where it comes from: part of the checksum where there is a pseudo-header.
    pub source: IpAddr,
    /// Where it goes to: part of the checksum where there is a pseudo-header.
    pub destination: IpAddr,
    /// The form of the VRRPv3 checksum over IPv4.
    pub checksum: Checksum,
}

/// Why an advert cannot be written. A checked configuration never asks for such a one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// Not a number of the version's unit that its field can hold, or zero.
    #[error("the protocol cannot express an interval of {0:?}")]
    Interval(Duration),
    /// None, or more than the count field can say.
    #[error("an advert carries 1 to 255 addresses, not {0}")]
    AddressCount(usize),
    /// Source, destination and addresses are not all of one family.
    #[error("the addresses of an advert must be of one family")]
    MixedFamilies,
    /// VRRPv2 over IPv6.
    #[error("VRRPv2 has no IPv6")]
    V2OverIpv6,
}

impl Advert<'_> {
    /// Writes the message (what follows the IP header) into `message`, whose old content goes.
    /// Nothing is allocated while [`message_len`] of its addresses fits.
    ///
    /// # Errors
    /// [`Unsendable`]; `message` is then empty.
    pub fn emit(&self, message: &mut Vec<u8>) -> Result<(), Unsendable> {
        message.clear();
        let count = self.checked_count()?;
        let timing = self.timing()?;
        let version_and_type = version_number(self.version) << 4 | TYPE_ADVERTISEMENT;
        message.extend_from_slice(&[version_and_type, self.vrid, self.priority, count]);
        message.extend_from_slice(&timing);
        message.extend_from_slice(&[0, 0]);
        for address in self.addresses {
            match address {
                IpAddr::V4(address) => message.extend_from_slice(&address.octets()),
                IpAddr::V6(address) => message.extend_from_slice(&address.octets()),
            }
        }
        if self.version == Version::V2 {
            message.extend_from_slice(&self.auth.unwrap_or_default());
        }
        let checksum = self.sum(message).checksum();
        message[CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
        Ok(())
    }

    fn checked_count(&self) -> Result<u8, Unsendable> {
        let family = Family::of(self.source);
        let same = |address: &IpAddr| Family::of(*address) == family;
        if !same(&self.destination) || !self.addresses.iter().all(same) {
            return Err(Unsendable::MixedFamilies);
        }
        if (self.version, family) == (Version::V2, Family::V6) {
            return Err(Unsendable::V2OverIpv6);
        }
        match u8::try_from(self.addresses.len()) {
            Ok(count @ 1..) => Ok(count),
            _ => Err(Unsendable::AddressCount(self.addresses.len())),
        }
    }

    /// Bytes 4 and 5: (authentication type, seconds) in v2, centiseconds in v3.
    fn timing(&self) -> Result<[u8; 2], Unsendable> {
        let bad = Unsendable::Interval(self.interval);
        match self.version {
            Version::V2 => match self.interval.as_secs() {
                seconds @ 1..=SECONDS_MAX if self.interval.subsec_nanos() == 0 => {
                    let auth_type = self.auth.map_or(AUTH_NONE, |_| AUTH_TEXT);
                    Ok([auth_type, seconds as u8])
                }
                _ => Err(bad),
            },
            Version::V3 => match self.interval.as_millis() / 10 {
                hundredths @ 1..=CENTISECONDS_MAX
                    if self.interval.subsec_nanos().is_multiple_of(10_000_000) =>
                {
                    Ok((hundredths as u16).to_be_bytes())
                }
                _ => Err(bad),
            },
        }
    }

    fn sum(&self, message: &[u8]) -> Sum {
        let plain = Sum::default().add(message);
        let pseudo = || plain.add_pseudo_header(self.source, self.destination, message.len());
        match (self.version, self.checksum, self.source) {
            (Version::V2, _, _) | (Version::V3, Checksum::Plain, IpAddr::V4(_)) => plain,
            (Version::V3, _, IpAddr::V6(_)) => pseudo(),
            (Version::V3, Checksum::PseudoHeader, IpAddr::V4(_)) => pseudo(),
        }
    }
}

/// The length of a message with so many addresses of a family, in bytes: what [`Advert::emit`] writes.
#[must_use]
pub const fn message_len(version: Version, family: Family, addresses: usize) -> usize {
    HEADER_LEN + addresses * address_len(family) + trailer_len(version, family)
}

/// How many addresses fit one advert on a link with this MTU.
///
/// keepalived's arithmetic, which takes the Ethernet header off the MTU although it is not part of
/// it: with one more address than keepalived counts, two nodes with the same list would split it
/// differently and each would find the other's list odd.
#[must_use]
pub fn max_addresses(version: Version, family: Family, mtu: usize) -> usize {
    const ETHERNET_HEADER_LEN: usize = 14;
    let headers = ETHERNET_HEADER_LEN + ip_header_len(family) + HEADER_LEN;
    let room = mtu.saturating_sub(headers + trailer_len(version, family));
    (room / address_len(family)).min(usize::from(u8::MAX))
}

/// The length of an IP header without options.
pub(super) const fn ip_header_len(family: Family) -> usize {
    match family {
        Family::V4 => 20,
        Family::V6 => 40,
    }
}
