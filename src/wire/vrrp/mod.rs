//! What is an advert, and which ones count? VRRPv2 (RFC 3768) and VRRPv3 (RFC 9568).
//!
//! ```text
//!  0                   1                   2                   3
//! |Version| Type  | Virtual Rtr ID|   Priority    | Count of addr |
//! | v2: Auth Type | v2: seconds   |           Checksum            |
//! | v3: rsvd, 12 bits centiseconds|
//! |                  addresses, 4 or 16 bytes each                |
//! |                v2: always 8 bytes of authentication           |
//! ```
//!
//! [`Advert::emit`] writes one, [`receive`] judges one. Not supported: sending with the IP
//! Authentication Header (RFC 2338 knew it, RFC 3768 dropped it), VRRPv2 over IPv6.

mod advert;
mod checksum;
mod counters;
mod field;
mod receive;
mod rejected;
mod warning;

pub use advert::{Advert, Unsendable, max_addresses, message_len};
pub use checksum::ChecksumForm;
pub use counters::Counters;
pub use field::{Addresses, vrid};
pub use receive::{Accepted, Expect, Received, receive};
pub use rejected::{Class, Rejected};
pub use warning::{Warning, Warnings};

use std::net::{Ipv4Addr, Ipv6Addr};

/// The IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;
/// The IP protocol number of the Authentication Header, which VRRPv2 once used.
pub const PROTOCOL_AH: u8 = 51;
/// Adverts are sent, and over multicast accepted, with this TTL or hop limit only
/// (RFC 9568, section 5.1.1.3): nobody outside the link can forge it.
pub const TTL: u8 = 255;
/// The TOS or traffic class of adverts: internetwork control, as keepalived sends it.
pub const TRAFFIC_CLASS: u8 = 0xc0;
/// Where IPv4 adverts go (RFC 9568, section 5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Where IPv6 adverts go (RFC 9568, section 5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
