//! How do IPv6 neighbours learn who answers now? The unsolicited neighbour advertisement frame.

use std::net::Ipv6Addr;

use pnet_base::MacAddr;
use pnet_packet::ethernet::{EtherTypes, MutableEthernetPacket};
use pnet_packet::icmpv6::ndp::{
    MutableNdpOptionPacket, MutableNeighborAdvertPacket, NdpOptionTypes, NeighborAdvertFlags,
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

/// An unsolicited advertisement of `address` to all nodes, overriding what they knew (RFC 4861,
/// section 7.2.6). `router`: whether this host forwards; a wrong answer makes hosts drop or invent
/// a default router.
#[must_use]
pub fn unsolicited(mac: [u8; 6], address: Ipv6Addr, router: bool) -> [u8; FRAME_LEN] {
    let mut frame = [0; FRAME_LEN];
    write_ethernet(&mut frame[..IPV6_AT], mac);
    write_ipv6(&mut frame[IPV6_AT..ICMPV6_AT], address);
    write_option(&mut frame[OPTION_AT..], mac);
    write_advertisement(&mut frame[ICMPV6_AT..], address, router);
    frame
}

#[expect(
    clippy::expect_used,
    reason = "the caller's range is as long as the header"
)]
fn write_ethernet(bytes: &mut [u8], mac: [u8; 6]) {
    let mut ethernet = MutableEthernetPacket::new(bytes).expect("14 bytes");
    ethernet.set_destination(ALL_NODES_MAC.into());
    ethernet.set_source(mac.into());
    ethernet.set_ethertype(EtherTypes::Ipv6);
}

#[expect(
    clippy::expect_used,
    reason = "the caller's range is as long as the header"
)]
fn write_ipv6(bytes: &mut [u8], source: Ipv6Addr) {
    let mut ipv6 = MutableIpv6Packet::new(bytes).expect("40 bytes");
    ipv6.set_version(6);
    ipv6.set_payload_length((FRAME_LEN - ICMPV6_AT) as u16);
    ipv6.set_next_header(IpNextHeaderProtocols::Icmpv6);
    // RFC 4861, section 7.1.2: receivers drop it with any other hop limit.
    ipv6.set_hop_limit(255);
    ipv6.set_source(source);
    ipv6.set_destination(ALL_NODES);
}

#[expect(
    clippy::expect_used,
    reason = "the caller's range is as long as the option"
)]
fn write_option(bytes: &mut [u8], mac: [u8; 6]) {
    let mut option = MutableNdpOptionPacket::new(bytes).expect("8 bytes");
    option.set_option_type(NdpOptionTypes::TargetLLAddr);
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
