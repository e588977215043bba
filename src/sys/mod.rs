//! System calls: clocks, timers, scheduling, and the few sockets that no crate offers in safe form.
//!
//! The only unsafe code outside the gate lives here, each block with the reason why it is sound.
//! What socket2 and nix offer safely is used from there; see [`mmsg`] and [`packet`] for what they
//! lack.

pub mod bpf;
pub mod clock;
pub mod inherit;
pub mod link;
pub mod lock;
pub mod mmsg;
pub mod notify;
pub mod packet;
pub mod pidfd;
pub mod realtime;
pub mod sockopt;
pub mod timer;
pub mod wake;
pub mod watchdog;
