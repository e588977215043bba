//! Sockets and netlink: how adverts, announcements and addresses reach the kernel.

pub mod addresses;
pub mod announce;
pub mod heartbeat;
pub mod monitor;
pub mod rtnl;
