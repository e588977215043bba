//! How do adverts leave and reach this host? Raw sockets of IP protocol 112, bound to a device.
//!
//! Nothing here blocks, and nothing allocates once a socket is open.

mod open;
mod receiver;
mod sender;

pub use open::{OpenError, Step};
pub use receiver::{Datagram, Drained, Receiver};
pub use sender::{Flushed, Sender};

use std::net::{Ipv4Addr, Ipv6Addr};

/// 224.0.0.18: all VRRP routers (RFC 9568, section 5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// ff02::12: all VRRP routers (RFC 9568, section 5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
