//! Who speaks, when, and whom does it hear? What a frame says before it comes to the groups.

use std::fmt;

use super::bytes::{Fields, Room};
use super::{Digest, NodeId, Remembered};
use crate::core::Instant;

/// One run of an agent: 128 random bits, so that no number it gave out is ever given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BootId(pub [u8; 16]);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// What a node was told, for the others to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Configuration {
    /// The names of those who vote, sorted.
    pub voters: Digest,
    /// The names and numbers of the groups, sorted.
    pub groups: Digest,
    /// Intervals and misses.
    pub timing: Digest,
    /// The rest of what should be the same everywhere; a difference is only odd.
    pub rest: Digest,
}

/// Who speaks, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sender's number of the line that the frame goes out by.
    pub path: u8,
    /// The sender.
    pub node: NodeId,
    /// The sender's run.
    pub boot_id: BootId,
    /// The number of the frame: it rises within a run, whatever the path.
    pub sequence: u64,
    /// The sender's boot clock.
    pub boot_time: Instant,
    /// What the sender was told.
    pub configuration: Configuration,
}

impl Header {
    /// From the node on: what is before it was judged already, but for the path.
    pub(super) fn take(path: u8, fields: &mut Fields<'_>) -> Self {
        Self {
            path,
            node: NodeId(fields.long()),
            boot_id: BootId(fields.array()),
            sequence: fields.long(),
            boot_time: Instant::from_nanos(fields.long()),
            configuration: Configuration {
                voters: Digest(fields.long()),
                groups: Digest(fields.long()),
                timing: Digest(fields.long()),
                rest: Digest(fields.long()),
            },
        }
    }

    pub(super) fn put(&self, room: &mut Room<'_>) {
        room.long(self.node.0);
        room.put(self.boot_id.0);
        room.long(self.sequence);
        room.long(self.boot_time.as_nanos());
        let told = &self.configuration;
        for digest in [told.voters, told.groups, told.timing, told.rest] {
            room.long(digest.0);
        }
    }
}

/// The latest frame that the sender has heard from a node by one of that node's paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Who was heard.
    pub node: NodeId,
    /// Its run.
    pub boot_id: BootId,
    /// The number of that frame: to its sender, the echo.
    pub sequence: u64,
    /// The path that the frame names.
    pub path: u8,
    /// The path, as the hearing node numbers them, by which it came in.
    pub by: u8,
    /// What the sender remembers of that run.
    pub remembered: Remembered,
}

impl Heard {
    pub(super) fn take(fields: &mut Fields<'_>) -> Self {
        Self {
            node: NodeId(fields.long()),
            boot_id: BootId(fields.array()),
            sequence: fields.long(),
            path: fields.byte(),
            by: fields.byte(),
            remembered: std::array::from_fn(|_| fields.word()),
        }
    }

    pub(super) fn put(&self, room: &mut Room<'_>) {
        room.long(self.node.0);
        room.put(self.boot_id.0);
        room.long(self.sequence);
        room.byte(self.path);
        room.byte(self.by);
        for number in self.remembered {
            room.word(number);
        }
    }
}
