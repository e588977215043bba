//! The text of the file: parsed, checked in one pass, every problem with its place and advice.

pub mod types;

pub use types::{
    Announce, Checksum, Cluster, Config, Family, GroupConfig, Node, PathConfig, Version,
    VirtualAddress,
};
