//! How do frames that nobody should send come onto the network? From a socket of the client's.

use std::io::Read;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use floatlock::lab::Host;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, bind};
use pnet_base::MacAddr;
use pnet_packet::MutablePacket;
use pnet_packet::ethernet::{EtherTypes, MutableEthernetPacket};
use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{self, MutableIpv4Packet};
use pnet_packet::ipv6::MutableIpv6Packet;
use socket2::{Domain, Protocol, Socket, Type};

use crate::scene::Scene;
use crate::site::SOON;

/// Longer than any frame here.
const FRAME_MAX: usize = 2048;
const ETHERNET_BYTES: usize = 14;
const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
const VRRP: u8 = 112;
const AUTHENTICATION_HEADER: u8 = 51;

/// Sends whole Ethernet frames from a host's `eth0`.
pub(crate) struct Injector {
    socket: Socket,
}

impl Injector {
    pub(crate) fn on(host: &Host) -> Self {
        // Protocol 0: nothing is received.
        let socket = host.run(|| open(0)).unwrap();
        Self { socket }
    }

    pub(crate) fn send(&self, scene: &Scene) {
        self.send_frame(&frame(scene));
    }

    pub(crate) fn send_frame(&self, frame: &[u8]) {
        self.socket.send(frame).unwrap();
    }
}

/// Hears whole Ethernet frames with IPv4 on a host's `eth0`, for whomever they are.
pub(crate) struct Tap {
    socket: Socket,
}

impl Tap {
    pub(crate) fn on(host: &Host) -> Self {
        let protocol = i32::from((libc::ETH_P_IP as u16).to_be());
        let socket = host.run(move || open(protocol)).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self { socket }
    }

    /// Waits for the next one.
    pub(crate) fn next(&self) -> Vec<u8> {
        let mut frame = vec![0; FRAME_MAX];
        let length = (&self.socket).read(&mut frame).unwrap();
        frame.truncate(length);
        frame
    }
}

fn open(protocol: i32) -> Socket {
    let protocol = Some(Protocol::from(protocol));
    let socket = Socket::new(Domain::PACKET, Type::RAW, protocol).unwrap();
    let mut all = getifaddrs()
        .unwrap()
        .filter(|found| found.interface_name == "eth0");
    let link = all.find_map(|found| found.address?.as_link_addr().copied());
    let link: LinkAddr = link.expect("eth0");
    bind(socket.as_raw_fd(), &link).unwrap();
    socket
}

/// The scene's frame as it is on the wire, wrong lengths and all.
fn frame(scene: &Scene) -> Vec<u8> {
    let header = match scene.source {
        IpAddr::V4(_) => IPV4_BYTES,
        IpAddr::V6(_) => IPV6_BYTES,
    };
    let mut payload = scene.authentication_header.clone().unwrap_or_default();
    payload.extend(&scene.message);
    // The kernel takes off what the header does not claim.
    payload.extend(&scene.padding);
    let off = scene.ip_len_off.unwrap_or(0);
    let claimed = payload.len().checked_add_signed(off).unwrap_or(0);
    let claimed = u16::try_from(claimed).unwrap();
    let mut bytes = vec![0; ETHERNET_BYTES + header];
    let mut ethernet = MutableEthernetPacket::new(&mut bytes).unwrap();
    ethernet.set_source(MacAddr::new(0x02, 0xbd, 0, 0, 0, 7));
    match (scene.source, scene.destination) {
        (IpAddr::V4(_), IpAddr::V4(to)) => {
            let [_, b, c, d] = to.octets();
            ethernet.set_destination(MacAddr::new(0x01, 0x00, 0x5e, b & 0x7f, c, d));
            ethernet.set_ethertype(EtherTypes::Ipv4);
            write_v4(ethernet.payload_mut(), scene, claimed);
        }
        (IpAddr::V6(_), IpAddr::V6(to)) => {
            let [.., a, b, c, d] = to.octets();
            ethernet.set_destination(MacAddr::new(0x33, 0x33, a, b, c, d));
            ethernet.set_ethertype(EtherTypes::Ipv6);
            write_v6(ethernet.payload_mut(), scene, claimed);
        }
        ends => panic!("{ends:?}"),
    }
    bytes.extend(payload);
    bytes
}

fn protocol(scene: &Scene) -> IpNextHeaderProtocol {
    match scene.authentication_header {
        Some(_) => IpNextHeaderProtocol(AUTHENTICATION_HEADER),
        None => IpNextHeaderProtocol(VRRP),
    }
}

fn write_v4(bytes: &mut [u8], scene: &Scene, claimed: u16) {
    let (IpAddr::V4(source), IpAddr::V4(to)) = (scene.source, scene.destination) else {
        return;
    };
    let mut packet = MutableIpv4Packet::new(bytes).unwrap();
    packet.set_version(4);
    packet.set_header_length(5);
    packet.set_total_length(IPV4_BYTES as u16 + claimed);
    packet.set_ttl(scene.ttl);
    packet.set_next_level_protocol(protocol(scene));
    packet.set_source(source);
    packet.set_destination(to);
    packet.set_checksum(ipv4::checksum(&packet.to_immutable()));
}

fn write_v6(bytes: &mut [u8], scene: &Scene, claimed: u16) {
    let (IpAddr::V6(source), IpAddr::V6(to)) = (scene.source, scene.destination) else {
        return;
    };
    let mut packet = MutableIpv6Packet::new(bytes).unwrap();
    packet.set_version(6);
    packet.set_payload_length(claimed);
    packet.set_next_header(protocol(scene));
    packet.set_hop_limit(scene.ttl);
    packet.set_source(source);
    packet.set_destination(to);
}
