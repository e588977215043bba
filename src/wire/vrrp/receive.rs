//! Does this frame count? The receive checks, in keepalived's order.

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Duration;

use super::advert::ip_header_len;
use super::checksum::matching_form;
use super::field::{AUTH_AH, AUTH_NONE, AUTH_TEXT, Message, TYPE_ADVERTISEMENT, vrid};
use super::{Addresses, ChecksumForm, PROTOCOL, PROTOCOL_AH, Rejected, TTL, Warning, Warnings};
use crate::config::{Family, Version};
use crate::wire::ipv4;

/// A frame as a raw socket hands it over.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// From the IP header.
    pub source: IpAddr,
    /// From the IP header.
    pub destination: IpAddr,
    /// The TTL, or the hop limit.
    pub ttl: u8,
    /// What follows the IP header, padding included.
    pub payload: &'a [u8],
    /// How long the IP header says that the payload is, where that is known.
    pub ip_payload_len: Option<usize>,
    /// The IP protocol was 51 (Authentication Header) instead of 112.
    pub authentication_header: bool,
}

impl<'a> Received<'a> {
    /// From what a raw IPv4 socket delivers, which begins with the IP header.
    ///
    /// # Errors
    /// The header is not one.
    pub fn from_ipv4(datagram: &'a [u8]) -> Result<Self, ipv4::Malformed> {
        let (header, payload) = ipv4::parse(datagram)?;
        Ok(Self {
            source: header.source.into(),
            destination: header.destination.into(),
            ttl: header.ttl,
            payload,
            ip_payload_len: Some(header.payload_len()),
            authentication_header: header.protocol == PROTOCOL_AH,
        })
    }

    fn family(&self) -> Family {
        Family::of(self.source)
    }
}

/// What a virtual router expects on one of its lines.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// The version that it speaks.
    pub version: Version,
    /// Its id.
    pub vrid: u8,
    /// Its own interval.
    pub interval: Duration,
    /// VRRPv2: its password; `None`: authentication type 0.
    pub auth: Option<[u8; 8]>,
    /// Whether this line is multicast.
    pub multicast: bool,
    /// Unicast: who may speak; empty: anybody.
    pub peers: &'a [IpAddr],
    /// The address that this node sends from on this line.
    pub local: IpAddr,
    /// The advertised addresses of this line's family, none twice.
    pub addresses: &'a [IpAddr],
    /// Whether this node owns the addresses (priority 255).
    pub owner: bool,
}

/// An advert that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// 0 resigns, 1 to 254, 255 owns the addresses.
    pub priority: u8,
    /// The sender's interval: in v3 to be adopted from a MASTER.
    pub interval: Duration,
    /// The addresses that it names.
    pub addresses: Addresses<'a>,
    /// The form that its checksum had.
    pub checksum: ChecksumForm,
    /// What is odd about it.
    pub warnings: Warnings,
}

/// Judges a frame.
///
/// The law: a frame raises [`Class::Conflict`](super::Class) or `Unauthentic` only if it is right
/// by the rules of its *own* version, of our virtual router, and from somebody who may speak here.
/// So a disagreement on version, authentication or interval is remembered in the place where
/// keepalived drops the frame, and said only when everything after it has held: garbage whose
/// version nibble is off is malformed, it is not a neighbour who speaks another version.
///
/// # Errors
/// The first check that failed, such disagreements last.
pub fn receive<'a>(received: &Received<'a>, expect: &Expect<'_>) -> Result<Accepted<'a>, Rejected> {
    let envelope = Envelope::open(received)?;
    check_vrid(envelope.payload, expect.vrid)?;
    let message = Message::view(envelope.payload, received.family())?;
    envelope.check_length(&message)?;
    check_ttl(received)?;
    let disagreement = disagreement(&message, received, expect);
    check_content(&message)?;
    envelope.check_total_length(&message)?;
    let checksum = check_checksum(&message, received)?;
    check_sender(&message, received, expect)?;
    match disagreement {
        Some(rejected) => Err(rejected),
        None => Ok(Accepted {
            priority: message.priority(),
            interval: message.interval(),
            addresses: message.addresses(),
            checksum,
            warnings: warnings(&message, expect),
        }),
    }
}

/// What lies around the message.
struct Envelope<'a> {
    payload: &'a [u8],
    ip_payload_len: Option<usize>,
    /// The least that the headers before the message take in the Ethernet frame.
    headers_len: usize,
}

impl<'a> Envelope<'a> {
    fn open(received: &Received<'a>) -> Result<Self, Rejected> {
        let header_len = match received.authentication_header {
            true => authentication_header_len(received.payload)?,
            false => 0,
        };
        let behind = |len: usize| len.saturating_sub(header_len);
        Ok(Self {
            payload: received.payload.get(header_len..).unwrap_or_default(),
            ip_payload_len: received.ip_payload_len.map(behind),
            headers_len: ip_header_len(received.family()) + header_len,
        })
    }

    fn check_length(&self, message: &Message<'_>) -> Result<(), Rejected> {
        let (len, need) = (self.payload.len(), message.bytes().len());
        match self.is_padding(len, need) {
            true => Ok(()),
            false => Err(Rejected::Overlong { len, need }),
        }
    }

    fn check_total_length(&self, message: &Message<'_>) -> Result<(), Rejected> {
        let need = message.bytes().len();
        match self.ip_payload_len {
            Some(len) if len < need || !self.is_padding(len, need) => {
                Err(Rejected::TotalLength { len, need })
            }
            _ => Ok(()),
        }
    }

    /// Whether what goes beyond `need` bytes may be Ethernet's padding to its smallest frame, which
    /// some cards hand up, and some senders count into the IP length.
    fn is_padding(&self, len: usize, need: usize) -> bool {
        const ETHERNET_PAYLOAD_MIN: usize = 46;
        len == need || self.headers_len + len <= ETHERNET_PAYLOAD_MIN
    }
}

/// RFC 4302, section 2: next header, length in 4-byte units less 2, then what we cannot check.
fn authentication_header_len(payload: &[u8]) -> Result<usize, Rejected> {
    match payload {
        [PROTOCOL, units, ..] => Ok((usize::from(*units) + 2) * 4),
        _ => Err(Rejected::AuthHeader),
    }
}

fn check_vrid(payload: &[u8], ours: u8) -> Result<(), Rejected> {
    match vrid(payload) {
        Some(theirs) if theirs != ours => Err(Rejected::VridOther { theirs }),
        _ => Ok(()),
    }
}

/// RFC 9568, section 7.1: "It MUST verify that the IPv4 TTL is 255." Over unicast, which may go
/// through routers, keepalived does not ask for it, and neither do we.
fn check_ttl(received: &Received<'_>) -> Result<(), Rejected> {
    match received.ttl {
        theirs if received.destination.is_multicast() && theirs != TTL => {
            Err(Rejected::Ttl { theirs })
        }
        _ => Ok(()),
    }
}

/// What a frame that may be right in itself disagrees on.
fn disagreement(
    message: &Message<'_>,
    received: &Received<'_>,
    expect: &Expect<'_>,
) -> Option<Rejected> {
    if received.authentication_header {
        return Some(Rejected::AuthType { theirs: AUTH_AH });
    }
    if message.version() != expect.version {
        let (theirs, interval) = (message.version(), message.interval());
        return Some(Rejected::Version { theirs, interval });
    }
    match message.version() {
        Version::V2 => auth_disagreement(message, expect).or_else(|| {
            // RFC 3768, section 7.1: "MUST verify that the Adver Interval in the packet is the
            // same as the locally configured for this virtual router".
            let theirs = message.interval();
            (theirs != expect.interval).then_some(Rejected::Interval { theirs })
        }),
        Version::V3 => None,
    }
}

fn auth_disagreement(message: &Message<'_>, expect: &Expect<'_>) -> Option<Rejected> {
    match (message.auth(), expect.auth) {
        ((AUTH_NONE, _), None) => None,
        ((AUTH_TEXT, Some(theirs)), Some(ours)) if same_secret(theirs, &ours) => None,
        ((AUTH_TEXT, _), Some(_)) => Some(Rejected::AuthMismatch),
        ((theirs, _), _) => Some(Rejected::AuthType { theirs }),
    }
}

/// Takes as long for a wrong first byte as for a wrong last one.
fn same_secret(a: &[u8; 8], b: &[u8; 8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |bits, (a, b)| bits | (a ^ b));
    black_box(differing) == 0
}

fn check_content(message: &Message<'_>) -> Result<(), Rejected> {
    let theirs = message.kind();
    if theirs != TYPE_ADVERTISEMENT {
        return Err(Rejected::Type { theirs });
    }
    if message.interval().is_zero() {
        return Err(Rejected::ZeroInterval);
    }
    // RFC 9568, section 5.2.5: "If the received count is 0, the VRRP advertisement MUST be
    // ignored." RFC 3768 has no such rule.
    if message.version() == Version::V3 && message.count() == 0 {
        return Err(Rejected::NoAddresses);
    }
    Ok(())
}

fn check_checksum(
    message: &Message<'_>,
    received: &Received<'_>,
) -> Result<ChecksumForm, Rejected> {
    let (source, destination) = (received.source, received.destination);
    matching_form(message.version(), message.bytes(), source, destination).ok_or(Rejected::Checksum)
}

/// Whether this sender may speak here.
fn check_sender(
    message: &Message<'_>,
    received: &Received<'_>,
    expect: &Expect<'_>,
) -> Result<(), Rejected> {
    let multicast = received.destination.is_multicast();
    if multicast != expect.multicast {
        return Err(Rejected::Mode { multicast });
    }
    if received.source == expect.local {
        return Err(Rejected::OwnAdvert);
    }
    let unlisted = !expect.peers.is_empty() && !expect.peers.contains(&received.source);
    if !multicast && unlisted {
        return Err(Rejected::UnlistedSource);
    }
    // RFC 9568, section 7.1: "It MUST verify that [...] the local router is not the IPvX address
    // owner".
    match (expect.owner, message.priority()) {
        (false, _) => Ok(()),
        (true, crate::core::election::OWNER) => Err(Rejected::SecondOwner),
        (true, _) => Err(Rejected::LocalOwner),
    }
}

fn warnings(message: &Message<'_>, expect: &Expect<'_>) -> Warnings {
    let theirs = message.addresses();
    let interval = (message.interval() != expect.interval).then_some(Warning::Interval);
    let addresses = if theirs.len() != expect.addresses.len() {
        Some(Warning::AddressCount)
    } else if !theirs.same_as(expect.addresses) {
        Some(Warning::AddressList)
    } else {
        None
    };
    interval.into_iter().chain(addresses).collect()
}
