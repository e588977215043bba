//! The bytes: what goes out as which octets, and what came in. Pure: no socket, no clock.
//!
//! | module | question |
//! |---|---|
//! | [`vrrp`] | what is an advert, and which ones count? |
//! | [`native`] | the same for the heartbeat of Floatlock's own protocol |
//! | [`ipv4`] | what does the header around an advert say? |
//! | [`arp`], [`ndp`] | how are the neighbours told who answers now, and asked? |
//! | [`echo`] | how is a host asked whether it is there? |
//! | [`disk`] | what stands in a lock area on a shared disk? |
//! | [`filter`] | which packets does the kernel wake us for? |
//!
//! Reading never panics, and never allocates by a sender's wish: what was received is viewed, not
//! copied. Frames are built with `pnet_packet`; its option iterators are never let near bytes that
//! came from outside, since they can panic on them.

pub mod arp;
pub mod disk;
pub mod echo;
pub mod filter;
pub mod ipv4;
pub mod native;
pub mod ndp;
pub mod vrrp;
