//! How is an address change put to the kernel?

use std::net::IpAddr;

use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkHeader,
};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeader, AddressProtocol, CacheInfo,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteProtocol, RouteScope, RouteType,
};

use super::message::{AddressState, host_prefix};

/// One change of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The interface's index.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// What to do with it.
    pub act: Act,
}

/// What is done with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Put it on, alone (/32, /128), with this tag. Refused (EEXIST) where it is there already.
    Add {
        /// IFA_PROTO.
        protocol: u8,
    },
    /// Tag one that is there, and let nobody choose it as a source address any more.
    Adopt {
        /// IFA_PROTO.
        protocol: u8,
        /// As it is.
        prefix_len: u8,
        /// Whether it came with a route to its network, which stays.
        prefix_route: bool,
    },
    /// Take it off.
    Delete {
        /// As it is.
        prefix_len: u8,
        /// As it is.
        peer: Option<IpAddr>,
    },
    /// Let the host answer for it at once, by a local route of this origin alone. Refused (EEXIST)
    /// where the host answers already.
    Lead {
        /// The route's protocol.
        protocol: u8,
    },
    /// Take such a route away; the address itself is not touched.
    Unlead {
        /// The route's protocol.
        protocol: u8,
    },
    /// Put the local route there that the kernel makes for each address. Refused (EEXIST) where it
    /// is there.
    Route,
    /// Take that one away; the address itself is not touched.
    Unroute,
}

impl Edit {
    /// Tags an address that is there.
    #[must_use]
    pub fn adopt(state: &AddressState, protocol: u8) -> Self {
        let act = Act::Adopt {
            protocol,
            prefix_len: state.prefix_len,
            prefix_route: !state.flags.contains(AddressFlags::Noprefixroute),
        };
        Self::of(state, act)
    }

    /// Takes off an address that is there.
    #[must_use]
    pub fn delete(state: &AddressState) -> Self {
        let act = Act::Delete {
            prefix_len: state.prefix_len,
            peer: state.peer,
        };
        Self::of(state, act)
    }

    fn of(state: &AddressState, act: Act) -> Self {
        Self {
            index: state.index,
            address: state.address,
            act,
        }
    }

    /// Appends the request. Only the last of a batch asks for an answer in any case: those that
    /// fail are answered anyway, and the kernel works in order.
    pub(super) fn emit(&self, sequence: u32, last: bool, out: &mut Vec<u8>) {
        let (kind, flags) = match self.act {
            Act::Lead { .. } | Act::Unlead { .. } | Act::Route | Act::Unroute => {
                return self.emit_route(sequence, last, out);
            }
            Act::Add { .. } => (libc::RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL),
            Act::Adopt { .. } => (libc::RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE),
            Act::Delete { .. } => (libc::RTM_DELADDR, 0),
        };
        let flags = flags | NLM_F_REQUEST | if last { NLM_F_ACK } else { 0 };
        let body = AddressHeader {
            family: family(self.address),
            prefix_len: match self.act {
                Act::Adopt { prefix_len, .. } | Act::Delete { prefix_len, .. } => prefix_len,
                _ => host_prefix(self.address),
            },
            index: self.index,
            ..AddressHeader::default()
        };
        let attributes = self.attributes();
        request(kind, flags, sequence, &body, &attributes.as_slice(), out);
    }

    fn emit_route(&self, sequence: u32, last: bool, out: &mut Vec<u8>) {
        let (kind, flags) = match self.act {
            Act::Lead { .. } => (libc::RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL),
            // Behind another route to the same address, as the kernel puts it.
            Act::Route => (libc::RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND),
            _ => (libc::RTM_DELROUTE, 0),
        };
        let protocol = match self.act {
            Act::Lead { protocol } | Act::Unlead { protocol } => RouteProtocol::from(protocol),
            _ => RouteProtocol::Kernel,
        };
        let flags = flags | NLM_F_REQUEST | if last { NLM_F_ACK } else { 0 };
        let body = RouteHeader {
            address_family: family(self.address),
            destination_prefix_length: host_prefix(self.address),
            table: libc::RT_TABLE_LOCAL,
            protocol,
            scope: RouteScope::Host,
            kind: RouteType::Local,
            ..RouteHeader::default()
        };
        let to = match self.address {
            IpAddr::V4(address) => RouteAddress::Inet(address),
            IpAddr::V6(address) => RouteAddress::Inet6(address),
        };
        let attributes = [
            RouteAttribute::Destination(to.clone()),
            RouteAttribute::Oif(self.index),
            RouteAttribute::PrefSource(to),
        ];
        // All that lead share one entry of the kernel, whose own have one each.
        let attributes = match protocol {
            RouteProtocol::Kernel => attributes.as_slice(),
            _ => &attributes[..2],
        };
        request(kind, flags, sequence, &body, &attributes, out);
    }

    fn attributes(&self) -> Vec<AddressAttribute> {
        let local = AddressAttribute::Local(self.address);
        let (protocol, prefix_route) = match self.act {
            Act::Add { protocol } | Act::Lead { protocol } | Act::Unlead { protocol } => {
                (protocol, false)
            }
            Act::Route | Act::Unroute => return Vec::new(),
            Act::Adopt {
                protocol,
                prefix_route,
                ..
            } => (protocol, prefix_route),
            Act::Delete { peer, .. } => {
                let address = peer.unwrap_or(self.address);
                return vec![local, AddressAttribute::Address(address)];
            }
        };
        let mut flags = AddressFlags::empty();
        flags.set(AddressFlags::Noprefixroute, !prefix_route);
        // No duplicate address detection: it would keep the address silent for a second.
        flags.set(AddressFlags::Nodad, self.address.is_ipv6());
        let mut attributes = vec![
            local,
            AddressAttribute::Address(self.address),
            AddressAttribute::Flags(flags),
            AddressAttribute::Protocol(AddressProtocol::from(protocol)),
        ];
        if self.address.is_ipv6() {
            // Valid for ever, preferred never: source selection (RFC 6724, rule 3) avoids it.
            let mut lifetime = CacheInfo::default();
            lifetime.ifa_valid = u32::MAX;
            attributes.push(AddressAttribute::CacheInfo(lifetime));
        }
        attributes
    }
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// Appends one request.
pub(super) fn request(
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &impl Emitable,
    attributes: &impl Emitable,
    out: &mut Vec<u8>,
) {
    let mut header = NetlinkHeader::default();
    let (start, body_at) = (out.len(), out.len() + header.buffer_len());
    let attributes_at = body_at + body.buffer_len();
    let end = attributes_at + attributes.buffer_len();
    out.resize(end, 0);
    header.length = u32::try_from(end - start).unwrap_or(u32::MAX);
    header.message_type = kind;
    header.flags = flags;
    header.sequence_number = sequence;
    header.emit(&mut out[start..body_at]);
    body.emit(&mut out[body_at..attributes_at]);
    attributes.emit(&mut out[attributes_at..end]);
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_goes_on_alone_and_tagged() {
        let edit = Edit {
            index: 3,
            address: IpAddr::from([192, 0, 2, 10]),
            act: Act::Add { protocol: 112 },
        };
        let mut bytes = Vec::new();
        edit.emit(9, true, &mut bytes);
        let expected = [
            56, 0, 0, 0, 20, 0, /* request ack excl create */ 5, 6, 9, 0, 0, 0, 0, 0, 0,
            0, //
            2, 32, 0, 0, 3, 0, 0, 0, //
            8, 0, 2, 0, 192, 0, 2, 10, // IFA_LOCAL
            8, 0, 1, 0, 192, 0, 2, 10, // IFA_ADDRESS
            8, 0, 8, 0, 0, 2, 0, 0, // IFA_FLAGS: noprefixroute
            5, 0, 11, 0, 112, 0, 0, 0, // IFA_PROTO
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_leading_route_makes_the_host_answer_and_nothing_else() {
        let edit = Edit {
            index: 3,
            address: IpAddr::from([192, 0, 2, 10]),
            act: Act::Lead { protocol: 112 },
        };
        let mut bytes = Vec::new();
        edit.emit(9, true, &mut bytes);
        let expected = [
            44, 0, 0, 0, 24, 0, /* request ack excl create */ 5, 6, 9, 0, 0, 0, 0, 0, 0,
            0, //
            2, 32, 0, 0, /* local */ 255, 112, /* host */ 254, /* local */ 2, 0, 0,
            0, 0, 8, 0, 1, 0, 192, 0, 2, 10, // RTA_DST
            8, 0, 4, 0, 3, 0, 0, 0, // RTA_OIF
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_point_to_point_address_is_deleted_by_its_other_end_too() {
        let edit = Edit {
            index: 3,
            address: IpAddr::from([192, 0, 2, 10]),
            act: Act::Delete {
                prefix_len: 24,
                peer: Some(IpAddr::from([192, 0, 2, 1])),
            },
        };
        let mut bytes = Vec::new();
        edit.emit(9, false, &mut bytes);
        let expected = [
            40, 0, 0, 0, 21, 0, /* request */ 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, //
            2, 24, 0, 0, 3, 0, 0, 0, //
            8, 0, 2, 0, 192, 0, 2, 10, // IFA_LOCAL
            8, 0, 1, 0, 192, 0, 2, 1, // IFA_ADDRESS
        ];
        assert_eq!(bytes, expected);
    }
}
