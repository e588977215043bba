//! What does the kernel say of links and addresses?

use std::borrow::Cow;
use std::net::IpAddr;

use netlink_packet_core::NlasIterator;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressFlags, AddressHeader, AddressScope};
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use netlink_packet_route::route::{RouteHeader, RouteType};

// linux/if_link.h and linux/if_addr.h
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;
// linux/rtnetlink.h
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// The kernel's number for it; an interface that is made anew gets a new one.
    pub index: u32,
    /// Its name, which can change.
    pub name: String,
    /// Switched on, with a carrier, and operational (RFC 2863 `up`, or `unknown` for drivers that
    /// do not say).
    pub up: bool,
    /// The longest frame payload in bytes.
    pub mtu: u32,
    /// Its Ethernet address, if it has one.
    pub mac: Option<[u8; 6]>,
}

/// An address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressState {
    /// The interface's index.
    pub index: u32,
    /// The address itself.
    pub address: IpAddr,
    /// The length of its network.
    pub prefix_len: u8,
    /// The other end, for a point-to-point address.
    pub peer: Option<IpAddr>,
    /// Who put it on (IFA_PROTO); none when nobody said.
    pub protocol: Option<u8>,
    /// `IFA_F_...`.
    pub flags: AddressFlags,
    /// Whether it means something on its own link only.
    pub link_local: bool,
}

impl AddressState {
    /// Not usable yet, or found in use elsewhere: duplicate address detection is not through.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        self.address.is_ipv6()
            && self
                .flags
                .intersects(AddressFlags::Tentative | AddressFlags::Dadfailed)
            && !self.flags.contains(AddressFlags::Optimistic)
    }

    /// Whether the kernel removes this IPv4 address along with the primary one of its network.
    /// (For IPv6 the same bit means something else.)
    #[must_use]
    pub fn is_secondary(&self) -> bool {
        self.address.is_ipv4() && self.flags.contains(AddressFlags::Secondary)
    }

    /// Whether it stands alone: /32 or /128 without another end.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.prefix_len == host_prefix(self.address) && self.peer.is_none()
    }

    /// Reads RTM_NEWADDR and RTM_DELADDR.
    pub(in crate::net) fn parse(payload: &[u8]) -> Option<Self> {
        let header = AddressHeader::parse(payload).ok()?;
        let (mut address, mut local, mut protocol) = (None, None, None);
        let mut flags = AddressFlags::from_bits_retain(u32::from(header.flags.bits()));
        for attribute in NlasIterator::new(payload.get(8..)?) {
            let attribute = attribute.ok()?;
            match attribute.kind() {
                IFA_ADDRESS => address = ip(header.family, attribute.value()),
                IFA_LOCAL => local = ip(header.family, attribute.value()),
                IFA_FLAGS => flags = AddressFlags::from_bits_retain(number(attribute.value())?),
                IFA_PROTO => protocol = attribute.value().first().copied(),
                _ => {}
            }
        }
        // IFA_ADDRESS is the other end when IFA_LOCAL is there and differs.
        let own = local.or(address)?;
        Some(Self {
            index: header.index,
            address: own,
            prefix_len: header.prefix_len,
            peer: address.filter(|other| *other != own),
            protocol: protocol.filter(|p| *p != 0),
            flags,
            link_local: header.scope == AddressScope::Link,
        })
    }
}

/// An address for which the host answers by a route of its local table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalRoute {
    /// The interface's index.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Where the route is from: the kernel makes its own (`kernel`, 2) for each address.
    pub protocol: u8,
}

impl LocalRoute {
    /// Reads RTM_NEWROUTE; `None` for anything but one address that is local on one interface.
    pub(in crate::net) fn parse(payload: &[u8]) -> Option<Self> {
        let header = RouteHeader::parse(payload).ok()?;
        let of_local = header.table == libc::RT_TABLE_LOCAL && header.kind == RouteType::Local;
        let (mut index, mut address) = (None, None);
        for attribute in NlasIterator::new(payload.get(12..)?) {
            let attribute = attribute.ok()?;
            match attribute.kind() {
                RTA_DST => address = ip(header.address_family, attribute.value()),
                RTA_OIF => index = number(attribute.value()),
                _ => {}
            }
        }
        let (index, address) = (index?, address?);
        let whole = header.destination_prefix_length == host_prefix(address);
        (of_local && whole).then_some(Self {
            index,
            address,
            protocol: header.protocol.into(),
        })
    }
}

/// The prefix length of a network of one.
#[must_use]
pub const fn host_prefix(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The interface that an address message is about, without reading the rest of it.
pub(in crate::net) fn address_index(payload: &[u8]) -> Option<u32> {
    number(payload.get(4..8)?)
}

/// A link message, as far as it goes: some events carry little more than a name.
#[derive(Debug)]
pub(in crate::net) struct LinkMessage<'a> {
    pub(in crate::net) index: u32,
    pub(in crate::net) name: Option<Cow<'a, str>>,
    up: bool,
    mtu: Option<u32>,
    mac: Option<[u8; 6]>,
}

impl<'a> LinkMessage<'a> {
    /// Reads RTM_NEWLINK and RTM_DELLINK of the link itself. `None` for what a bridge says of its
    /// ports in messages of the same kind: a port that leaves its bridge is not gone.
    pub(in crate::net) fn parse(payload: &'a [u8]) -> Option<Self> {
        let header = LinkHeader::parse(payload).ok()?;
        if header.interface_family != AddressFamily::Unspec {
            return None;
        }
        let up = LinkFlags::Up | LinkFlags::LowerUp | LinkFlags::Running;
        let mut link = Self {
            index: header.index,
            name: None,
            up: header.flags.contains(up),
            mtu: None,
            mac: None,
        };
        let mut rest = payload.get(16..)?;
        while let Some((kind, value)) = next_attribute(&mut rest) {
            match kind {
                IFLA_IFNAME => link.name = Some(text(value)),
                IFLA_MTU => link.mtu = number(value),
                IFLA_ADDRESS => link.mac = value.try_into().ok(),
                _ => {}
            }
        }
        Some(link)
    }

    /// The state of the link, where the message leaves out what has not changed since `before`.
    pub(in crate::net) fn state(&self, before: Option<&LinkState>) -> Option<LinkState> {
        let name = self.name.as_deref().or(before.map(|b| b.name.as_str()))?;
        Some(LinkState {
            index: self.index,
            name: name.to_owned(),
            up: self.up,
            mtu: self.mtu.or(before.map(|b| b.mtu)).unwrap_or_default(),
            mac: self.mac.or(before.and_then(|b| b.mac)),
        })
    }
}

/// Takes one attribute off the front. Unlike [`NlasIterator`] its value outlives the step.
pub(in crate::net) fn next_attribute<'a>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let head = NlasIterator::new(*rest).next()?.ok()?;
    let (kind, length) = (head.kind(), usize::from(head.length()));
    let value = rest.get(4..length)?;
    *rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, value))
}

/// What an error reply says beyond its number, where the kernel explains itself (NETLINK_EXT_ACK).
pub(super) fn explanation(payload: &[u8], capped: bool) -> Option<String> {
    const NLMSGERR_ATTR_MSG: u16 = 1;
    let quoted = number(payload.get(4..8)?)? as usize;
    let quoted = if capped { 16 } else { quoted };
    let start = quoted.checked_next_multiple_of(4)?.checked_add(4)?;
    let mut rest = payload.get(start..)?;
    while let Some((kind, value)) = next_attribute(&mut rest) {
        if kind == NLMSGERR_ATTR_MSG {
            return Some(text(value).into_owned());
        }
    }
    None
}

/// The errno of an NLMSG_ERROR or NLMSG_DONE; 0 is success.
pub(in crate::net) fn errno(payload: &[u8]) -> i32 {
    let code: Option<[u8; 4]> = payload.get(..4).and_then(|bytes| bytes.try_into().ok());
    code.map_or(0, |bytes| i32::from_ne_bytes(bytes).saturating_neg())
}

pub(super) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

pub(in crate::net) fn text(value: &[u8]) -> Cow<'_, str> {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end])
}

fn ip(family: AddressFamily, value: &[u8]) -> Option<IpAddr> {
    match family {
        AddressFamily::Inet => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
        AddressFamily::Inet6 => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    const ADDRESS: [u8; 48] = [
        2, 24, 0x80, 0, /* index */ 3, 0, 0, 0, //
        8, 0, 1, 0, 192, 0, 2, 1, // IFA_ADDRESS
        8, 0, 2, 0, 192, 0, 2, 10, // IFA_LOCAL
        8, 0, 8, 0, 0x80, 2, 0, 0, // IFA_FLAGS: permanent, noprefixroute
        5, 0, 11, 0, 112, 0, 0, 0, // IFA_PROTO
        8, 0, 77, 0, 1, 2, 3, 4, // something newer
    ];

    const LOCAL: [u8; 36] = [
        2, 32, 0, 0, /* table */ 255, /* protocol */ 112, 254, /* local */ 2, 0, 0,
        0, 0, 8, 0, 15, 0, 255, 0, 0, 0, // RTA_TABLE
        8, 0, 1, 0, 192, 0, 2, 10, // RTA_DST
        8, 0, 4, 0, 3, 0, 0, 0, // RTA_OIF
    ];

    const LINK: [u8; 52] = [
        0, 0, 1, 0, /* index */ 7, 0, 0, 0, /* flags */ 0x43, 0, 1, 0, 0, 0, 0,
        0, //
        9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0, // IFLA_IFNAME
        8, 0, 4, 0, 0xdc, 5, 0, 0, // IFLA_MTU
        10, 0, 1, 0, 2, 0, 0, 0, 0, 9, 0, 0, // IFLA_ADDRESS
        4, 0, 99, 0, // something newer
    ];

    #[test]
    fn an_address_is_read_with_its_other_end_and_its_tag() {
        let state = AddressState::parse(&ADDRESS).unwrap();
        assert_eq!(state.index, 3);
        assert_eq!(state.address, IpAddr::from([192, 0, 2, 10]));
        assert_eq!(state.peer, Some(IpAddr::from([192, 0, 2, 1])));
        assert_eq!((state.prefix_len, state.protocol), (24, Some(112)));
        let flags = AddressFlags::Permanent | AddressFlags::Noprefixroute;
        assert_eq!(state.flags, flags);
    }

    #[test]
    fn a_local_route_of_one_address_is_read_and_no_other() {
        let route = LocalRoute::parse(&LOCAL).unwrap();
        let address = IpAddr::from([192, 0, 2, 10]);
        let expected = LocalRoute {
            index: 3,
            address,
            protocol: 112,
        };
        assert_eq!(route, expected);
        for (at, other) in [(1, 24), (4, 254), (7, 1)] {
            let mut bytes = LOCAL;
            bytes[at] = other;
            assert_eq!(LocalRoute::parse(&bytes), None, "byte {at}");
        }
    }

    #[test]
    fn a_link_is_read() {
        let state = LinkMessage::parse(&LINK).unwrap().state(None).unwrap();
        let expected = LinkState {
            index: 7,
            name: "eth0".into(),
            up: true,
            mtu: 1500,
            mac: Some([2, 0, 0, 0, 0, 9]),
        };
        assert_eq!(state, expected);
    }

    #[test]
    fn a_link_without_carrier_or_not_operational_is_not_up() {
        for (byte, missing) in [(8, 0x01), (8, 0x40), (10, 0x01)] {
            let mut bytes = LINK;
            bytes[byte] &= !missing;
            let state = LinkMessage::parse(&bytes).unwrap().state(None).unwrap();
            assert!(!state.up, "without {missing:#x}");
        }
    }

    #[test]
    fn a_short_link_event_keeps_what_it_does_not_mention() {
        let before = LinkMessage::parse(&LINK).unwrap().state(None).unwrap();
        let short = LinkMessage::parse(&LINK[..28]).unwrap();
        assert_eq!(short.state(Some(&before)), Some(before));
    }

    #[test]
    fn what_a_bridge_says_of_a_port_is_not_about_the_link() {
        let mut bytes = LINK;
        bytes[0] = 7; // AF_BRIDGE
        assert!(LinkMessage::parse(&bytes).is_none());
    }

    #[test]
    fn cut_and_mutated_messages_never_panic() {
        for sample in [&ADDRESS[..], &LINK[..], &LOCAL[..]] {
            for end in 0..=sample.len() {
                let _ = AddressState::parse(&sample[..end]);
                let _ = LocalRoute::parse(&sample[..end]);
                let _ = LinkMessage::parse(&sample[..end]).map(|m| m.state(None));
                let _ = (errno(&sample[..end]), address_index(&sample[..end]));
            }
            for at in 0..sample.len() {
                for byte in [0, 1, 3, 4, 5, 0x7f, 0x80, 0xff] {
                    let mut bytes = sample.to_vec();
                    bytes[at] = byte;
                    let _ = AddressState::parse(&bytes);
                    let _ = LocalRoute::parse(&bytes);
                    let _ = LinkMessage::parse(&bytes).map(|m| m.state(None));
                    let _ = (explanation(&bytes, true), explanation(&bytes, false));
                }
            }
        }
    }
}
