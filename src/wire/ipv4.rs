//! What does the IPv4 header around an advert say? Reading what a raw socket delivers, building
//! what one with `IP_HDRINCL` sends.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv4::{Ipv4Packet, MutableIpv4Packet, checksum};

use super::vrrp;

/// The length of a header without options.
pub const HEADER_LEN: usize = 20;

/// The fields of a received header that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// To whom.
    pub destination: Ipv4Addr,
    /// What is left of its time to live.
    pub ttl: u8,
    /// The protocol of the payload.
    pub protocol: u8,
    /// Header and payload, in bytes.
    pub total_len: usize,
    /// The header with its options, in bytes.
    pub header_len: usize,
}

impl Header {
    /// The payload, in bytes.
    #[must_use]
    pub const fn payload_len(&self) -> usize {
        self.total_len - self.header_len
    }
}

/// Why a datagram has no readable header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than the smallest header.
    #[error("{0} bytes are too few for an IPv4 header")]
    Truncated(usize),
    /// Not IPv4.
    #[error("IP version {0} instead of 4")]
    Version(u8),
    /// The header length is below 20, or beyond the end.
    #[error("a header length of {0} bytes")]
    HeaderLength(usize),
    /// The total length is below the header's, or beyond the end.
    #[error("a total length of {0} bytes")]
    TotalLength(usize),
}

/// Reads the header of a datagram; the second value is everything behind it, padding included.
///
/// # Errors
/// [`Malformed`]. The header's checksum is not looked at: the kernel has done so.
pub fn parse(datagram: &[u8]) -> Result<(Header, &[u8]), Malformed> {
    let packet = Ipv4Packet::new(datagram).ok_or(Malformed::Truncated(datagram.len()))?;
    if packet.get_version() != 4 {
        return Err(Malformed::Version(packet.get_version()));
    }
    let header_len = usize::from(packet.get_header_length()) * 4;
    if header_len < HEADER_LEN || header_len > datagram.len() {
        return Err(Malformed::HeaderLength(header_len));
    }
    let total_len = usize::from(packet.get_total_length());
    if total_len < header_len || total_len > datagram.len() {
        return Err(Malformed::TotalLength(total_len));
    }
    let header = Header {
        source: packet.get_source(),
        destination: packet.get_destination(),
        ttl: packet.get_ttl(),
        protocol: packet.get_next_level_protocol().0,
        total_len,
        header_len,
    };
    Ok((header, &datagram[header_len..]))
}

/// The header of an advert to send, as keepalived writes it: no options, fragmenting allowed.
///
/// `id` is the caller's counter: with 0 the kernel would put one of its own in.
/// `payload_len` is the length of a VRRP message, so that the sum fits the field.
#[must_use]
#[expect(clippy::expect_used, reason = "the array is as long as the header")]
pub fn advert_header(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    id: NonZeroU16,
    payload_len: usize,
) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    let total_len = u16::try_from(HEADER_LEN + payload_len).unwrap_or(u16::MAX);
    let mut packet = MutableIpv4Packet::new(&mut header).expect("20 bytes");
    packet.set_version(4);
    packet.set_header_length(5);
    packet.set_dscp(vrrp::TRAFFIC_CLASS >> 2);
    packet.set_total_length(total_len);
    packet.set_identification(id.get());
    packet.set_ttl(vrrp::TTL);
    packet.set_next_level_protocol(IpNextHeaderProtocols::Vrrp);
    packet.set_source(source);
    packet.set_destination(destination);
    let sum = checksum(&packet.to_immutable());
    packet.set_checksum(sum);
    header
}
