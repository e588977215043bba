//! Is the sum right, and by whose rule? The internet checksum, and the forms that VRRP knows.

use std::net::IpAddr;

use super::{GROUP_V4, PROTOCOL};
use crate::config::{Family, Version};

/// The form of the checksum that an advert came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumForm {
    /// The only one there is: VRRPv2, and VRRPv3 over IPv6 with its pseudo-header.
    Only,
    /// VRRPv3 over IPv4 with a pseudo-header: keepalived's default.
    PseudoHeader,
    /// VRRPv3 over IPv4 without a pseudo-header: RFC 9568, section 5.2.8.
    Plain,
    /// VRRPv3 over unicast IPv4 with a pseudo-header that says 224.0.0.18: keepalived until 1.3.6.
    OldUnicast,
}

/// The form in which the sum over a whole message, its checksum included, comes out right.
pub(super) fn matching_form(
    version: Version,
    message: &[u8],
    source: IpAddr,
    destination: IpAddr,
) -> Option<ChecksumForm> {
    let plain = Sum::default().add(message);
    let pseudo = |to| plain.add_pseudo_header(source, to, message.len());
    let only = |sum: Sum| sum.is_right().then_some(ChecksumForm::Only);
    match (version, Family::of(source)) {
        (_, Family::V6) => only(pseudo(destination)),
        (Version::V2, Family::V4) => only(plain),
        (Version::V3, Family::V4) if pseudo(destination).is_right() => {
            Some(ChecksumForm::PseudoHeader)
        }
        (Version::V3, Family::V4) if plain.is_right() => Some(ChecksumForm::Plain),
        (Version::V3, Family::V4) => {
            let old = !destination.is_multicast() && pseudo(IpAddr::V4(GROUP_V4)).is_right();
            old.then_some(ChecksumForm::OldUnicast)
        }
    }
}

/// A ones' complement sum on its way (RFC 1071).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum(u64);

impl Sum {
    /// With `bytes`, which start at an even offset; an odd last byte counts as followed by a zero.
    pub(super) fn add(self, bytes: &[u8]) -> Self {
        let pairs = bytes.chunks_exact(2);
        let odd = pairs.remainder().first().map_or(0, |last| word(*last, 0));
        Self(pairs.fold(self.0 + odd, |sum, pair| sum + word(pair[0], pair[1])))
    }

    /// With the pseudo-header of RFC 8200, section 8.1; the one of IPv4 has the same sum.
    pub(super) fn add_pseudo_header(self, source: IpAddr, to: IpAddr, len: usize) -> Self {
        let rest = Self(self.0 + len as u64 + u64::from(PROTOCOL));
        rest.add_address(source).add_address(to)
    }

    fn add_address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.add(&address.octets()),
            IpAddr::V6(address) => self.add(&address.octets()),
        }
    }

    /// What goes into the checksum field, which was summed as zero.
    pub(super) fn checksum(self) -> u16 {
        !self.folded()
    }

    /// Whether a sum that includes the checksum field is what it must be.
    fn is_right(self) -> bool {
        self.folded() == u16::MAX
    }

    fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > u64::from(u16::MAX) {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum as u16
    }
}

fn word(high: u8, low: u8) -> u64 {
    u64::from(u16::from_be_bytes([high, low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc1071_section_3_the_worked_example() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().add(&bytes).folded(), 0xddf2);
    }

    #[test]
    fn an_odd_last_byte_is_the_high_half_of_a_word() {
        assert_eq!(Sum::default().add(&[0x12, 0x34, 0x56]).folded(), 0x6834);
    }
}
