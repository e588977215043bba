//! What does a frame on the wire mean to the laboratory? An answer, an advert, an announcement.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use pnet_packet::Packet;
use pnet_packet::arp::{ArpOperations, ArpPacket};
use pnet_packet::ethernet::{EtherTypes, EthernetPacket};
use pnet_packet::icmp::echo_reply::EchoReplyPacket;
use pnet_packet::icmp::{IcmpPacket, IcmpTypes};
use pnet_packet::icmpv6::echo_reply::EchoReplyPacket as EchoReplyV6Packet;
use pnet_packet::icmpv6::ndp::NeighborAdvertPacket;
use pnet_packet::icmpv6::{Icmpv6Packet, Icmpv6Types};
use pnet_packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;

use crate::core::Instant;

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A VRRP advert that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// When the kernel received it.
    pub at: Instant,
    /// The host that sent it, by its hardware address.
    pub from: Arc<str>,
    /// The address that it was sent from.
    pub source: IpAddr,
    /// 2 or 3.
    pub version: u8,
    /// The VRID.
    pub id: u8,
    /// 0 resigns.
    pub priority: u8,
}

/// A gratuitous ARP or an unsolicited neighbour advertisement that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// When the kernel received it.
    pub at: Instant,
    /// The host that sent it, by its hardware address.
    pub from: Arc<str>,
    /// The address that it is about.
    pub address: IpAddr,
}

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    EchoReply {
        address: IpAddr,
        id: u16,
    },
    Advert {
        source: IpAddr,
        version: u8,
        id: u8,
        priority: u8,
    },
    Announcement {
        address: IpAddr,
    },
    /// An answer to an ARP request, or to a neighbour solicitation.
    Neighbour {
        address: IpAddr,
    },
}

/// Who sent the frame and what it says, if it says anything of interest.
pub(super) fn read(bytes: &[u8]) -> Option<(Mac, Meaning)> {
    let ethernet = EthernetPacket::new(bytes)?;
    let meaning = match ethernet.get_ethertype() {
        EtherTypes::Arp => arp(&ArpPacket::new(ethernet.payload())?),
        EtherTypes::Ipv4 => {
            let packet = Ipv4Packet::new(ethernet.payload())?;
            let source = packet.get_source().into();
            ip(source, packet.get_next_level_protocol(), packet.payload())
        }
        EtherTypes::Ipv6 => {
            let packet = Ipv6Packet::new(ethernet.payload())?;
            let source = packet.get_source().into();
            ip(source, packet.get_next_header(), packet.payload())
        }
        _ => None,
    };
    let mac = ethernet.get_source().octets();
    meaning.map(|meaning| (Mac(mac), meaning))
}

fn arp(packet: &ArpPacket<'_>) -> Option<Meaning> {
    let (sender, target) = (
        packet.get_sender_proto_addr(),
        packet.get_target_proto_addr(),
    );
    let address = sender.into();
    match packet.get_operation() {
        _ if sender == target => Some(Meaning::Announcement { address }),
        ArpOperations::Reply => Some(Meaning::Neighbour { address }),
        _ => None,
    }
}

fn ip(source: IpAddr, protocol: IpNextHeaderProtocol, payload: &[u8]) -> Option<Meaning> {
    match protocol {
        IpNextHeaderProtocols::Icmp => icmp(source, payload),
        IpNextHeaderProtocols::Icmpv6 => icmpv6(source, payload),
        IpNextHeaderProtocols::Vrrp => advert(source, payload),
        _ => None,
    }
}

fn icmp(address: IpAddr, payload: &[u8]) -> Option<Meaning> {
    if IcmpPacket::new(payload)?.get_icmp_type() != IcmpTypes::EchoReply {
        return None;
    }
    let id = EchoReplyPacket::new(payload)?.get_identifier();
    Some(Meaning::EchoReply { address, id })
}

fn icmpv6(address: IpAddr, payload: &[u8]) -> Option<Meaning> {
    match Icmpv6Packet::new(payload)?.get_icmpv6_type() {
        Icmpv6Types::EchoReply => {
            let id = EchoReplyV6Packet::new(payload)?.get_identifier();
            Some(Meaning::EchoReply { address, id })
        }
        Icmpv6Types::NeighborAdvert => Some(advertised(&NeighborAdvertPacket::new(payload)?)),
        _ => None,
    }
}

fn advertised(packet: &NeighborAdvertPacket<'_>) -> Meaning {
    /// RFC 4861, section 4.4: set in an answer to a solicitation.
    const SOLICITED: u8 = 0x40;
    let address = packet.get_target_addr().into();
    match packet.get_flags() & SOLICITED {
        0 => Meaning::Announcement { address },
        _ => Meaning::Neighbour { address },
    }
}

/// RFC 9568, section 5.1: the fields that both versions have in the same place.
fn advert(source: IpAddr, payload: &[u8]) -> Option<Meaning> {
    let &[head, id, priority, ..] = payload else {
        return None;
    };
    Some(Meaning::Advert {
        source,
        version: head >> 4,
        id,
        priority,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: Mac = Mac([0x02, 0xf1, 0, 1, 0, 1]);

    fn framed(kind: [u8; 2], payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0xff; 6];
        frame.extend(ROUTER.0);
        frame.extend(kind);
        frame.extend(payload);
        frame
    }

    fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(20 + payload.len()).unwrap();
        let mut packet = vec![0x45, 0, 0, length, 0, 1, 0, 0, 255, protocol, 0, 0];
        packet.extend([192, 0, 2, 1, 224, 0, 0, 18]);
        packet.extend(payload);
        framed([0x08, 0x00], &packet)
    }

    #[test]
    fn an_advert_is_read() {
        let frame = ipv4(112, &[0x31, 51, 150, 1, 0, 100, 0, 0, 192, 0, 2, 10]);
        let expected = Meaning::Advert {
            source: IpAddr::from([192, 0, 2, 1]),
            version: 3,
            id: 51,
            priority: 150,
        };
        assert_eq!(read(&frame), Some((ROUTER, expected)));
    }

    #[test]
    fn an_echo_reply_is_read_and_a_request_is_not() {
        let reply = ipv4(1, &[0, 0, 0, 0, 0x12, 0x34, 0, 1]);
        let expected = Meaning::EchoReply {
            address: IpAddr::from([192, 0, 2, 1]),
            id: 0x1234,
        };
        assert_eq!(read(&reply), Some((ROUTER, expected)));
        let request = ipv4(1, &[8, 0, 0, 0, 0x12, 0x34, 0, 1]);
        assert_eq!(read(&request), None);
    }

    #[test]
    fn a_gratuitous_arp_is_an_announcement_a_reply_an_answer_and_a_request_nothing() {
        let arp = |target: u8, operation: u8| {
            let mut packet = vec![0, 1, 8, 0, 6, 4, 0, operation];
            packet.extend(ROUTER.0);
            packet.extend([192, 0, 2, 10]);
            packet.extend([0xff; 6]);
            packet.extend([192, 0, 2, target]);
            framed([0x08, 0x06], &packet)
        };
        let address = IpAddr::from([192, 0, 2, 10]);
        let announcement = Meaning::Announcement { address };
        assert_eq!(read(&arp(10, 1)), Some((ROUTER, announcement)));
        assert_eq!(read(&arp(10, 2)), Some((ROUTER, announcement)));
        assert_eq!(read(&arp(11, 1)), None);
        let reply = Meaning::Neighbour { address };
        assert_eq!(read(&arp(11, 2)), Some((ROUTER, reply)));
    }

    #[test]
    fn a_cut_frame_says_nothing() {
        let frame = ipv4(112, &[0x31, 51, 150]);
        for length in 0..frame.len() {
            assert_eq!(read(&frame[..length]), None, "{length} bytes");
        }
    }
}
