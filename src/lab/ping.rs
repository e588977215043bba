//! Who is asked whether it answers? Echo requests, through the neighbour table or to every host.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use pnet_base::MacAddr;
use pnet_packet::MutablePacket;
use pnet_packet::arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket};
use pnet_packet::ethernet::{EtherTypes, MutableEthernetPacket};
use pnet_packet::icmp::{self, IcmpPacket};
use pnet_packet::icmpv6::{self, Icmpv6Packet};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv4::{self, MutableIpv4Packet};
use pnet_packet::ipv6::MutableIpv6Packet;
use socket2::{Domain, Protocol, Socket, Type};

use super::capture::{link_address, nothing, packet_socket};
use super::{Ask, Mac, WatchOptions};

/// Header and payload of an echo request.
const ECHO_BYTES: usize = 16;
const ETHERNET_BYTES: usize = 14;
const ARP_BYTES: usize = 28;
const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;

/// Asks; made in the network namespace that it asks from.
#[derive(Debug)]
pub(super) enum Pinger {
    /// As any client does: the kernel finds the host.
    Address(ByAddress),
    /// A frame to every host, whoever is said to have the address.
    Hosts(ByHost),
}

impl Pinger {
    pub(super) fn new(options: &WatchOptions, id: u16) -> io::Result<Self> {
        match &options.ask {
            Ask::Address => ByAddress::new(options, id).map(Pinger::Address),
            Ask::Hosts(macs) => ByHost::new(options, macs, id).map(Pinger::Hosts),
        }
    }

    /// Sends one question of each kind; returns how many left.
    pub(super) fn ask(&self, sequence: u16) -> u64 {
        match self {
            Pinger::Address(by_address) => by_address.ask(sequence),
            Pinger::Hosts(by_host) => by_host.ask(),
        }
    }
}

#[derive(Debug)]
pub(super) struct ByAddress {
    v4: Option<Socket>,
    v6: Option<Socket>,
    addresses: Vec<SocketAddr>,
    id: u16,
}

impl ByAddress {
    fn new(options: &WatchOptions, id: u16) -> io::Result<Self> {
        let index = if_nametoindex(options.interface.as_str())?;
        let raw = |domain, protocol, wanted: bool| -> io::Result<Option<Socket>> {
            if !wanted {
                return Ok(None);
            }
            let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
            // Answers are captured elsewhere.
            socket.attach_filter(&nothing())?;
            socket.set_nonblocking(true)?;
            Ok(Some(socket))
        };
        let (v4, v6): (Vec<&IpAddr>, Vec<&IpAddr>) = options
            .addresses
            .iter()
            .partition(|address| address.is_ipv4());
        Ok(Self {
            v4: raw(Domain::IPV4, Protocol::ICMPV4, !v4.is_empty())?,
            v6: raw(Domain::IPV6, Protocol::ICMPV6, !v6.is_empty())?,
            addresses: options
                .addresses
                .iter()
                .map(|a| destination(*a, index))
                .collect(),
            id,
        })
    }

    fn ask(&self, sequence: u16) -> u64 {
        let sent = self.addresses.iter().filter(|to| {
            let (socket, echo) = match to {
                SocketAddr::V4(_) => (&self.v4, echo_v4(self.id, sequence)),
                // The kernel fills the checksum of ICMPv6 sockets.
                SocketAddr::V6(_) => (&self.v6, echo(ECHO_REQUEST_V6, self.id, sequence)),
            };
            // Nobody has the address just now, or the queue is full: not sent, and so counted.
            socket
                .as_ref()
                .is_some_and(|s| s.send_to(&echo, &(**to).into()).is_ok())
        });
        sent.count() as u64
    }
}

#[derive(Debug)]
pub(super) struct ByHost {
    socket: Socket,
    /// The same in every round.
    frames: Vec<Vec<u8>>,
}

/// From here to one address at one host.
#[derive(Clone, Copy, Debug)]
enum Way {
    V4(Mac, Ipv4Addr, Mac, Ipv4Addr),
    V6(Mac, Ipv6Addr, Mac, Ipv6Addr),
}

impl ByHost {
    fn new(options: &WatchOptions, macs: &[Mac], id: u16) -> io::Result<Self> {
        let socket = packet_socket(&options.interface)?;
        socket.attach_filter(&nothing())?;
        socket.set_nonblocking(true)?;
        let own = link_address(&options.interface)?.addr().unwrap_or_default();
        let mut ways = Vec::new();
        for &to in &options.addresses {
            let from = own_address(&options.interface, to)?;
            ways.extend(
                macs.iter()
                    .filter_map(|&mac| Way::new(Mac(own), from, mac, to)),
            );
        }
        let mut frames: Vec<Vec<u8>> = ways.iter().filter_map(|way| way.frame(id, 0)).collect();
        if options.neighbours {
            frames.extend(ways.iter().filter_map(|way| way.neighbour()));
        }
        Ok(Self { socket, frames })
    }

    fn ask(&self) -> u64 {
        let sent = self.frames.iter();
        sent.filter(|frame| self.socket.send(frame).is_ok()).count() as u64
    }
}

impl Way {
    fn new(own: Mac, from: IpAddr, host: Mac, to: IpAddr) -> Option<Self> {
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Some(Way::V4(own, from, host, to)),
            (IpAddr::V6(from), IpAddr::V6(to)) => Some(Way::V6(own, from, host, to)),
            _ => None,
        }
    }

    fn frame(self, id: u16, sequence: u16) -> Option<Vec<u8>> {
        match self {
            Way::V4(own, from, host, to) => {
                let mut frame = vec![0; ETHERNET_BYTES + IPV4_BYTES + ECHO_BYTES];
                let mut ethernet = ethernet(&mut frame, own, host)?;
                ethernet.set_ethertype(EtherTypes::Ipv4);
                packet_v4(ethernet.payload_mut(), from, to, &echo_v4(id, sequence))?;
                Some(frame)
            }
            Way::V6(own, from, host, to) => {
                let mut frame = vec![0; ETHERNET_BYTES + IPV6_BYTES + ECHO_BYTES];
                let mut ethernet = ethernet(&mut frame, own, host)?;
                ethernet.set_ethertype(EtherTypes::Ipv6);
                packet_v6(
                    ethernet.payload_mut(),
                    (from, to),
                    64,
                    &mut echo(ECHO_REQUEST_V6, id, sequence),
                )?;
                Some(frame)
            }
        }
    }

    /// Who has the address? Asked of this host alone.
    fn neighbour(self) -> Option<Vec<u8>> {
        match self {
            Way::V4(own, from, host, to) => {
                let mut frame = vec![0; ETHERNET_BYTES + ARP_BYTES];
                let mut ethernet = ethernet(&mut frame, own, host)?;
                ethernet.set_ethertype(EtherTypes::Arp);
                let mut arp = MutableArpPacket::new(ethernet.payload_mut())?;
                arp.set_hardware_type(ArpHardwareTypes::Ethernet);
                arp.set_protocol_type(EtherTypes::Ipv4);
                arp.set_hw_addr_len(6);
                arp.set_proto_addr_len(4);
                arp.set_operation(ArpOperations::Request);
                arp.set_sender_hw_addr(MacAddr::from(own.0));
                arp.set_sender_proto_addr(from);
                arp.set_target_proto_addr(to);
                Some(frame)
            }
            Way::V6(own, from, host, to) => {
                // RFC 4861, section 4.3, with the source's link-layer address.
                let mut solicitation = [0; 32];
                solicitation[0] = NEIGHBOUR_SOLICITATION;
                solicitation[8..24].copy_from_slice(&to.octets());
                solicitation[24..26].copy_from_slice(&[1, 1]);
                solicitation[26..].copy_from_slice(&own.0);
                let mut frame = vec![0; ETHERNET_BYTES + IPV6_BYTES + solicitation.len()];
                let mut ethernet = ethernet(&mut frame, own, host)?;
                ethernet.set_ethertype(EtherTypes::Ipv6);
                packet_v6(ethernet.payload_mut(), (from, to), 255, &mut solicitation)?;
                Some(frame)
            }
        }
    }
}

fn ethernet(frame: &mut [u8], own: Mac, host: Mac) -> Option<MutableEthernetPacket<'_>> {
    let mut ethernet = MutableEthernetPacket::new(frame)?;
    ethernet.set_source(MacAddr::from(own.0));
    ethernet.set_destination(MacAddr::from(host.0));
    Some(ethernet)
}

fn packet_v4(bytes: &mut [u8], from: Ipv4Addr, to: Ipv4Addr, echo: &[u8]) -> Option<()> {
    let mut packet = MutableIpv4Packet::new(bytes)?;
    packet.set_version(4);
    packet.set_header_length(5);
    packet.set_total_length((IPV4_BYTES + ECHO_BYTES) as u16);
    packet.set_ttl(64);
    packet.set_next_level_protocol(IpNextHeaderProtocols::Icmp);
    packet.set_source(from);
    packet.set_destination(to);
    packet.set_payload(echo);
    packet.set_checksum(ipv4::checksum(&packet.to_immutable()));
    Some(())
}

fn packet_v6(
    bytes: &mut [u8],
    (from, to): (Ipv6Addr, Ipv6Addr),
    hop_limit: u8,
    message: &mut [u8],
) -> Option<()> {
    let checksum = icmpv6::checksum(&Icmpv6Packet::new(message)?, &from, &to);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let mut packet = MutableIpv6Packet::new(bytes)?;
    packet.set_version(6);
    packet.set_payload_length(u16::try_from(message.len()).ok()?);
    packet.set_hop_limit(hop_limit);
    packet.set_next_header(IpNextHeaderProtocols::Icmpv6);
    packet.set_source(from);
    packet.set_destination(to);
    packet.set_payload(message);
    Some(())
}

const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
const NEIGHBOUR_SOLICITATION: u8 = 135;

/// RFC 792 and RFC 4443, section 4.1: the same form in both, the checksum left to be filled.
fn echo(kind: u8, id: u16, sequence: u16) -> [u8; ECHO_BYTES] {
    let mut echo = [0; ECHO_BYTES];
    echo[0] = kind;
    echo[4..6].copy_from_slice(&id.to_be_bytes());
    echo[6..8].copy_from_slice(&sequence.to_be_bytes());
    echo
}

fn echo_v4(id: u16, sequence: u16) -> [u8; ECHO_BYTES] {
    let mut echo = echo(ECHO_REQUEST_V4, id, sequence);
    if let Some(packet) = IcmpPacket::new(&echo) {
        let checksum = icmp::checksum(&packet);
        echo[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    echo
}

fn destination(address: IpAddr, interface: u32) -> SocketAddr {
    match address {
        // Only link-local addresses look at the scope.
        IpAddr::V6(v6) => SocketAddrV6::new(v6, 0, 0, interface).into(),
        IpAddr::V4(_) => SocketAddr::new(address, 0),
    }
}

/// The interface's own address to ask `to` from.
fn own_address(interface: &str, to: IpAddr) -> io::Result<IpAddr> {
    let link_local = |a: IpAddr| matches!(a, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let fits = |a: &IpAddr| a.is_ipv4() == to.is_ipv4() && link_local(*a) == link_local(to);
    let own = getifaddrs()?
        .filter(|found| found.interface_name == interface)
        .filter_map(|found| super::host::ip(found.address?))
        .find(fits);
    let missing = || {
        let text = format!("{interface} has no address to ask {to} from");
        io::Error::new(io::ErrorKind::AddrNotAvailable, text)
    };
    own.ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pnet_packet::Packet;
    use pnet_packet::ipv4::Ipv4Packet;

    #[test]
    fn a_question_to_a_host_is_a_whole_frame_with_its_checksums() {
        let (own, host) = (Mac([2, 0, 0, 0, 0, 9]), Mac([2, 0, 0, 0, 0, 1]));
        let (from, to) = (Ipv4Addr::new(192, 0, 2, 9), Ipv4Addr::new(192, 0, 2, 10));
        let frame = Way::V4(own, from, host, to).frame(7, 1).unwrap();
        let addresses = [host.0, own.0].concat();
        assert_eq!(frame[..12], addresses);
        let packet = Ipv4Packet::new(&frame[14..]).unwrap();
        assert_eq!(packet.get_checksum(), ipv4::checksum(&packet));
        let echo = IcmpPacket::new(packet.payload()).unwrap();
        assert_eq!(echo.get_checksum(), icmp::checksum(&echo));
    }
}
