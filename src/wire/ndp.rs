//! How do IPv6 neighbours learn who answers now, and how does one learn it from them? The frames
//! of neighbour discovery.

use std::net::Ipv6Addr;

use pnet_base::MacAddr;
use pnet_packet::ethernet::{EtherTypes, MutableEthernetPacket};
use pnet_packet::icmpv6::ndp::{
    MutableNdpOptionPacket, MutableNeighborAdvertPacket, MutableNeighborSolicitPacket,
    NdpOptionType, NdpOptionTypes, NeighborAdvertFlags,
};
use pnet_packet::icmpv6::{Icmpv6Packet, Icmpv6Types, checksum};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv6::MutableIpv6Packet;

/// The length of the frame: Ethernet 14, IPv6 40, advertisement 24, option 8.
pub const FRAME_LEN: usize = 86;

/// All nodes on the link, and its Ethernet address (RFC 2464, section 7).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const IPV6_AT: usize = 14;
const ICMPV6_AT: usize = IPV6_AT + 40;
const OPTION_AT: usize = ICMPV6_AT + 24;

/// The length of a probe: Ethernet 14, IPv6 40, solicitation 24.
pub const PROBE_LEN: usize = 78;

/// An unsolicited advertisement of `address` to all nodes, overriding what they knew (RFC 4861,
/// section 7.2.6). `router`: whether this host forwards; a wrong answer makes hosts drop or invent
/// a default router.
#[must_use]
pub fn unsolicited(mac: [u8; 6], address: Ipv6Addr, router: bool) -> [u8; FRAME_LEN] {
    let mut frame = [0; FRAME_LEN];
    write_ethernet(&mut frame[..IPV6_AT], mac, ALL_NODES_MAC);
    let payload = (FRAME_LEN - ICMPV6_AT) as u16;
    write_ipv6(&mut frame[IPV6_AT..ICMPV6_AT], address, ALL_NODES, payload);
    write_option(&mut frame[OPTION_AT..], NdpOptionTypes::TargetLLAddr, mac);
    write_advertisement(&mut frame[ICMPV6_AT..], address, router);
    frame
}

/// A solicitation of `address` from nobody: whoever has it answers to all nodes, and nobody's cache
/// changes (RFC 4862, section 5.4.2: "the IP source is set to the unspecified address and the IP
/// destination is set to the solicited-node multicast address of the target address").
///
/// RFC 4861, section 4.3: the source link-layer option "MUST NOT be included when the source IP
/// address is the unspecified address".
#[must_use]
pub fn probe(mac: [u8; 6], address: Ipv6Addr) -> [u8; PROBE_LEN] {
    let mut frame = [0; PROBE_LEN];
    let [.., a, b, c] = address.octets();
    write_ethernet(&mut frame[..IPV6_AT], mac, [0x33, 0x33, 0xff, a, b, c]);
    let (nobody, solicited) = (Ipv6Addr::UNSPECIFIED, solicited_node(address));
    let payload = (PROBE_LEN - ICMPV6_AT) as u16;
    write_ipv6(&mut frame[IPV6_AT..ICMPV6_AT], nobody, solicited, payload);
    write_solicitation(&mut frame[ICMPV6_AT..], address, (nobody, solicited));
    frame
}

/// The length of a question: a probe with an option of 8.
pub const QUESTION_LEN: usize = PROBE_LEN + 8;

/// A solicitation of `target` from the address `own`, as any host sends it that is about to send to it (RFC
/// 4861, section 7.2.2). It is no probe, which would make a host that is just starting give its address up.
#[must_use]
pub fn question(mac: [u8; 6], own: Ipv6Addr, target: Ipv6Addr) -> [u8; QUESTION_LEN] {
    let mut frame = [0; QUESTION_LEN];
    let [.., a, b, c] = target.octets();
    write_ethernet(&mut frame[..IPV6_AT], mac, [0x33, 0x33, 0xff, a, b, c]);
    let solicited = solicited_node(target);
    let payload = (QUESTION_LEN - ICMPV6_AT) as u16;
    write_ipv6(&mut frame[IPV6_AT..ICMPV6_AT], own, solicited, payload);
    write_option(&mut frame[OPTION_AT..], NdpOptionTypes::SourceLLAddr, mac);
    write_solicitation(&mut frame[ICMPV6_AT..], target, (own, solicited));
    frame
}

/// Whether a frame is the answer of `target` to a [`question`] of this host: a solicited advertisement (RFC
/// 4861, section 4.4) to its address and its card.
#[must_use]
pub fn is_answer(frame: &[u8], mac: [u8; 6], own: Ipv6Addr, target: Ipv6Addr) -> bool {
    let Some(frame) = frame.first_chunk::<OPTION_AT>() else {
        return false;
    };
    let is_solicited = frame[ICMPV6_AT + 4] & NeighborAdvertFlags::Solicited != 0;
    let to_us = frame[..6] == mac && frame[IPV6_AT + 24..IPV6_AT + 40] == own.octets();
    let claim = Claim::of(frame, 136).filter(|claim| claim.mac != mac);
    is_solicited && to_us && claim.is_some_and(|claim| claim.address == target)
}

/// The multicast address that solicitations of `address` go to (RFC 4291, section 2.7.1).
#[must_use]
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let mut solicited = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).octets();
    solicited[13..].copy_from_slice(&[a, b, c]);
    solicited.into()
}

/// An address that somebody says is his, and by which hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Where the frame came from.
    pub mac: [u8; 6],
    /// The target of the advertisement.
    pub address: Ipv6Addr,
}

impl Claim {
    /// What a frame from the Ethernet header on claims: `None` where it is no neighbour
    /// advertisement that came from this link (RFC 4861, section 7.1.2).
    ///
    /// Its checksum is not looked at: a frame that was damaged on the way did not arrive, and a lie
    /// would carry the right one.
    #[must_use]
    pub fn read(frame: &[u8]) -> Option<Self> {
        Self::of(frame.first_chunk()?, 136)
    }

    /// The address that somebody solicits from nobody's, who is about to claim it.
    ///
    /// RFC 4862, section 5.4.3: "If the source address of the Neighbor Solicitation is the unspecified
    /// address, the solicitation is from a node performing Duplicate Address Detection."
    #[must_use]
    pub fn ahead(frame: &[u8]) -> Option<Self> {
        let frame = frame.first_chunk::<OPTION_AT>()?;
        let is_from_nobody = frame[IPV6_AT + 8..IPV6_AT + 24] == [0; 16];
        Self::of(frame, 135).filter(|_| is_from_nobody)
    }

    /// The target of an ICMPv6 message of this type that came from this link.
    fn of(frame: &[u8; OPTION_AT], kind: u8) -> Option<Self> {
        let is_ipv6 = frame[12..14] == [0x86, 0xdd] && frame[IPV6_AT] >> 4 == 6;
        let is_on_link = frame[IPV6_AT + 6..IPV6_AT + 8] == [58 /* ICMPv6 */, 255];
        let is_of_kind = frame[ICMPV6_AT..ICMPV6_AT + 2] == [kind, 0];
        let mac = *frame[6..].first_chunk()?;
        let address = Ipv6Addr::from(*frame[ICMPV6_AT + 8..].first_chunk::<16>()?);
        (is_ipv6 && is_on_link && is_of_kind).then_some(Self { mac, address })
    }
}

#[expect(
    clippy::expect_used,
    reason = "the caller's range is as long as the header"
)]
fn write_ethernet(bytes: &mut [u8], mac: [u8; 6], to: [u8; 6]) {
    let mut ethernet = MutableEthernetPacket::new(bytes).expect("14 bytes");
    ethernet.set_destination(to.into());
    ethernet.set_source(mac.into());
    ethernet.set_ethertype(EtherTypes::Ipv6);
}

#[expect(
    clippy::expect_used,
    reason = "the caller's range is as long as the header"
)]
fn write_ipv6(bytes: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr, payload: u16) {
    let mut ipv6 = MutableIpv6Packet::new(bytes).expect("40 bytes");
    ipv6.set_version(6);
    ipv6.set_payload_length(payload);
    ipv6.set_next_header(IpNextHeaderProtocols::Icmpv6);
    // RFC 4861, section 7.1.2: receivers drop it with any other hop limit.
    ipv6.set_hop_limit(255);
    ipv6.set_source(source);
    ipv6.set_destination(destination);
}

#[expect(
    clippy::expect_used,
    reason = "the caller's range is as long as the option"
)]
fn write_option(bytes: &mut [u8], kind: NdpOptionType, mac: [u8; 6]) {
    let mut option = MutableNdpOptionPacket::new(bytes).expect("8 bytes");
    option.set_option_type(kind);
    option.set_length(1);
    option.set_data(&MacAddr::from(mac).octets());
}

/// Last, since its checksum covers the option too.
#[expect(clippy::expect_used, reason = "the caller's range is as long as both")]
fn write_advertisement(bytes: &mut [u8], address: Ipv6Addr, router: bool) {
    let mut advertisement = MutableNeighborAdvertPacket::new(bytes).expect("32 bytes");
    advertisement.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
    let router = if router {
        NeighborAdvertFlags::Router
    } else {
        0
    };
    advertisement.set_flags(NeighborAdvertFlags::Override | router);
    advertisement.set_target_addr(address);
    let icmpv6 = Icmpv6Packet::new(bytes).expect("32 bytes");
    let sum = checksum(&icmpv6, &address, &ALL_NODES);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
}

#[expect(
    clippy::expect_used,
    reason = "the caller's range is as long as the message"
)]
fn write_solicitation(bytes: &mut [u8], address: Ipv6Addr, (from, to): (Ipv6Addr, Ipv6Addr)) {
    let mut solicitation = MutableNeighborSolicitPacket::new(bytes).expect("24 bytes");
    solicitation.set_icmpv6_type(Icmpv6Types::NeighborSolicit);
    solicitation.set_target_addr(address);
    let icmpv6 = Icmpv6Packet::new(bytes).expect("24 bytes");
    let sum = checksum(&icmpv6, &from, &to);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];
    const VIP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);

    #[test]
    fn rfc4862_5_4_2_a_probe_comes_from_nobody_and_goes_to_the_solicited_node() {
        let frame = probe(MAC, VIP);
        #[rustfmt::skip]
        let ethernet = [
            0x33, 0x33, 0xff, 0x12, 0x34, 0x56,
            2, 0, 0, 0, 0, 7,
            0x86, 0xdd,
        ];
        assert_eq!(frame[..14], ethernet);
        assert_eq!(frame[14..22], [0x60, 0, 0, 0, 0, 24, 58, 255]);
        assert_eq!(frame[22..38], [0; 16], "from nobody");
        let to: Ipv6Addr = "ff02::1:ff12:3456".parse().unwrap();
        assert_eq!(frame[38..54], to.octets());
        assert_eq!(frame[54..56], [135, 0]);
        assert_eq!(frame[58..62], [0; 4]);
        assert_eq!(frame[62..], VIP.octets());
        assert_eq!(internet_sum(&frame), 0xffff);
    }

    #[test]
    fn rfc4861_4_3_a_question_comes_from_an_address_of_its_own() {
        let own: Ipv6Addr = "fe80::7".parse().unwrap();
        let frame = question(MAC, own, VIP);
        assert_eq!(frame[14..22], [0x60, 0, 0, 0, 0, 32, 58, 255]);
        assert_eq!(frame[22..38], own.octets());
        assert_eq!(frame[54..56], [135, 0]);
        assert_eq!(frame[62..78], VIP.octets());
        assert_eq!(frame[78..], [1, 1, 2, 0, 0, 0, 0, 7], "by which card");
        let pseudo = [&frame[22..54], &[0, 0, 0, 32, 0, 0, 0, 58], &frame[54..]].concat();
        let words = pseudo.chunks(2);
        let sum: u32 = words.map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }

    #[test]
    fn only_a_solicited_advertisement_to_this_host_is_an_answer() {
        const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 9];
        let own: Ipv6Addr = "fe80::7".parse().unwrap();
        let mut frame = unsolicited(THEIRS, VIP, true);
        assert!(!is_answer(&frame, MAC, own, VIP));
        frame[..6].copy_from_slice(&MAC);
        frame[38..54].copy_from_slice(&own.octets());
        assert!(!is_answer(&frame, MAC, own, VIP), "nobody asked for it");
        frame[58] |= 0x40;
        assert!(is_answer(&frame, MAC, own, VIP));
        assert!(!is_answer(&frame, MAC, VIP, VIP), "to another one");
        assert!(!is_answer(&frame, MAC, own, own), "of another one");
        assert!(!is_answer(&frame, THEIRS, own, VIP), "to another card");
        assert!(!is_answer(&frame[..77], MAC, own, VIP));
    }

    /// Of the pseudo-header and the message, the checksum included (RFC 1071).
    fn internet_sum(frame: &[u8; PROBE_LEN]) -> u32 {
        let pseudo = [&frame[22..54], &[0, 0, 0, 24, 0, 0, 0, 58], &frame[54..]].concat();
        let words = pseudo
            .chunks(2)
            .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]));
        let sum: u32 = words.sum();
        (sum & 0xffff) + (sum >> 16)
    }

    #[test]
    fn an_advertisement_claims_its_target() {
        let claim = Claim {
            mac: MAC,
            address: VIP,
        };
        assert_eq!(Claim::read(&unsolicited(MAC, VIP, false)), Some(claim));
        let without_option = &unsolicited(MAC, VIP, true)[..OPTION_AT];
        assert_eq!(Claim::read(without_option), Some(claim));
    }

    #[test]
    fn somebody_else_s_probe_claims_nothing() {
        assert_eq!(Claim::read(&probe(MAC, VIP)), None);
    }

    #[test]
    fn rfc4862_5_4_3_a_probe_tells_of_the_address_that_somebody_is_about_to_claim() {
        let claim = Claim {
            mac: MAC,
            address: VIP,
        };
        let mut asked = probe(MAC, VIP);
        assert_eq!(Claim::ahead(&asked), Some(claim));
        assert_eq!(Claim::ahead(&unsolicited(MAC, VIP, false)), None);
        asked[IPV6_AT + 8] = 0xfe;
        assert_eq!(Claim::ahead(&asked), None, "only a neighbour that resolves");
    }

    #[test]
    fn what_is_no_advertisement_of_this_link_claims_nothing() {
        for (at, value) in [(12, 8), (14, 0x40), (20, 17), (21, 254), (54, 135), (55, 1)] {
            let mut frame = unsolicited(MAC, VIP, false);
            frame[at] = value;
            assert_eq!(Claim::read(&frame), None, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = (Claim::read(&bytes), Claim::ahead(&bytes));
        }

        #[test]
        fn what_is_cut_short_claims_nothing(length in 0..OPTION_AT) {
            prop_assert_eq!(Claim::read(&unsolicited(MAC, VIP, false)[..length]), None);
        }
    }
}
