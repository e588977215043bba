//! Sockets and netlink: how adverts, announcements, questions and addresses reach the kernel.

pub mod addresses;
pub mod announce;
pub mod heartbeat;
pub mod look;
pub mod monitor;
pub mod nft;
pub mod reference;
pub mod rtnl;
