//! How do IPv4 neighbours learn who answers now? The gratuitous ARP frame.

use std::net::Ipv4Addr;

use pnet_base::MacAddr;
use pnet_packet::arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket};
use pnet_packet::ethernet::{EtherTypes, MutableEthernetPacket};

/// The length of the frame: Ethernet 14, ARP 28. The card pads it.
pub const FRAME_LEN: usize = 42;

/// A broadcast ARP *request* with sender = target = `address`, as keepalived sends it.
///
/// RFC 5227, section 3, explains why not a reply: more hosts update their cache on a request.
#[must_use]
#[expect(clippy::expect_used, reason = "the array is as long as both headers")]
pub fn gratuitous(mac: [u8; 6], address: Ipv4Addr) -> [u8; FRAME_LEN] {
    let mut frame = [0; FRAME_LEN];
    let mut ethernet = MutableEthernetPacket::new(&mut frame[..14]).expect("14 bytes");
    ethernet.set_destination(MacAddr::broadcast());
    ethernet.set_source(mac.into());
    ethernet.set_ethertype(EtherTypes::Arp);

    let mut arp = MutableArpPacket::new(&mut frame[14..]).expect("28 bytes");
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    arp.set_operation(ArpOperations::Request);
    arp.set_sender_hw_addr(mac.into());
    arp.set_sender_proto_addr(address);
    arp.set_target_hw_addr(MacAddr::broadcast());
    arp.set_target_proto_addr(address);
    frame
}
