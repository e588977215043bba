//! (being built)

pub mod announce;
pub mod heartbeat;
