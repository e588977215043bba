//! The text of the file: parsed, checked in one pass, every problem with its place and advice.
//!
//! ```text
//! text -> toml -> file ---> cluster           who
//!                   |-----> heartbeat, paths  how, and over which lines
//!                   |-----> group ----------> address, vrrp, actions
//!                   |-----> native            what native groups share; the keys
//!                   `-----> across            what two places say against each other
//! ```
//! Each of these reads through `reader`, which looks up in [`keys`] what a table may hold,
//! puts every problem into one list and goes on. Only a file without an error becomes a [`Config`].
//! [`load_key`] reads the other file there is, the key of the native heartbeat.

mod across;
mod actions;
mod address;
mod cluster;
mod compare;
mod derived;
pub mod digest;
mod duration;
mod fencing;
mod file;
mod group;
mod heartbeat;
mod key;
pub mod keys;
mod lines;
mod load;
mod native;
mod paths;
mod problem;
mod reader;
mod reference;
mod render;
mod spread;
mod suggest;
mod survival;
mod syntax;
pub mod types;
mod values;
mod vrrp;
mod watchdog;
mod whole;
mod wording;

pub use compare::compare;
pub use derived::{Derived, Summary, derived, summary};
pub use key::{KeyProblem, UnusableKey, load_key};
pub use load::{Failure, KeyReader, Loaded, Unreadable, load, load_keyless, parse, parse_with};
pub use problem::{Also, Problem, Problems, Related, Row, Severity, Span};
pub use render::Paint;
pub use types::{
    ActionConfig, ActionEvent, Announce, Checksum, Cluster, Config, Family, Fencing, GateChoice,
    GroupConfig, Keys, Native, Node, OnLeaseLost, PathConfig, Protocol, Reference, Version,
    VirtualAddress, Voter, VoterKind,
};
pub use watchdog::{Watchdog, watchdog};
pub use whole::{Silence, Together, together};
