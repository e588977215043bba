//! Decisions, and nothing else: no socket, clock, thread, file or logger.
//!
//! Events and `now` go in, effects come out. The same code runs in production and in every test,
//! because nothing here can tell the difference.

pub mod disk;
pub mod election;
pub mod event;
pub mod group;
pub mod lease;
pub mod mesh;
pub mod record;
pub mod right;
pub mod time;
pub mod watchdog;
pub mod words;

pub use event::{
    AddressFault, AddressFaultKind, Alarm, Blocked, Cause, ConflictField, Effect, Event, Facts,
    Fitness, Heard, NodeName, Outcome, PeerState, Report, RoleName, Say, Term,
};
pub use group::{Act, Actions, Group, Immovable, Reference, Rival, Settings, View, Voting};
pub use time::Instant;
