//! Floatlock: a high-availability agent for virtual IP addresses on Linux.
//!
//! A pure core decides; thin shells act. Everything goes in one direction:
//!
//! ```text
//!  heartbeat sockets -> wire: decode -+                  +- Advertise -------> heartbeat sockets
//!  timer -----------------------------+                  +- Acquire/Release -> actuator: netlink -+
//!  monitor: links, addresses ---------+-> Event -> Group +- Announce --------> actuator: ARP, NA  |
//!  operator: stop, reload ------------+     (core, pure) +- Report ----------> log, status        |
//!        ^                                                                                        |
//!        +------------ Acquired / Released, each with the term that it belongs to ----------------+
//! ```
//!
//! [`core::Group::step`] is the only way in which a decision is made: an event and the time go in,
//! effects come out. The agent carries the effects out, and what comes of them is an event again.
//! The same core runs in production and in every test.
//!
//! | module | question |
//! |---|---|
//! | [`core`] | who is MASTER, and what follows? Decisions: no socket, clock, thread or log |
//! | [`wire`] | which bytes went out, and which came in? No socket and no clock either |
//! | [`config`] | what does the file say? |
//! | [`sys`] | what does the kernel offer that no crate does safely? The only unsafe code |
//! | [`net`] | how do adverts, announcements and addresses reach the kernel? |
//! | [`gate`] | how does the kernel itself end the right to answer? |
//! | [`action`] | how does a script of the operator run, and how is it ended? |
//! | [`disk`] | what is on a shared disk, and how does an operator prepare it? |
//! | [`control`] | what may an operator ask of a running agent? |
//! | [`agent`] | how do the parts run together? Threads and queues, from start to stop |
//! | [`lab`] | hosts, networks and faults on one machine: the demo, tests, benchmarks |
//! | [`cli`] | what was typed? One file a command |
//!
//! [`core`] uses nothing of the others. Everybody uses [`core`] and [`config::types`]; beyond that,
//! a module uses only those that stand above it in the table.
//!
//! Where does X go? A decision: [`core`]. Bytes: [`wire`]. A key in the file: [`config`], where one
//! table names them all. A system call: [`net`], or [`sys`] if it needs `unsafe`. A thread or a
//! queue: [`agent`]. Something that a person asks for: [`control`], and [`cli`] to type it. A
//! broken network: [`lab`].
//!
//! Good places to start reading: [`core::group`] for the roles, [`agent::run`] for the threads,
//! [`wire::vrrp`] for what an advert is.

pub mod action;
pub mod agent;
pub mod cli;
pub mod config;
pub mod control;
pub mod core;
pub mod disk;
pub mod gate;
pub mod lab;
pub mod net;
pub mod sys;
pub mod wire;
