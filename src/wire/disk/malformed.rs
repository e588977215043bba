//! Why does a block not count?

use super::{AreaId, BLOCK_LEN, LEASE_MAX, LEASE_MIN, NODES_MAX};

/// The first check that a block failed. They stand in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// All zeroes: nothing was ever written there.
    #[error("it is all zeroes")]
    Blank,
    /// Something else is there.
    #[error("it does not begin as {what} does")]
    Magic {
        /// What should be there.
        what: &'static str,
    },
    /// A format of a later Floatlock.
    #[error("its format is {major}.{minor}, this program knows 1.x")]
    Version {
        /// Another one is another layout.
        major: u16,
        /// Another one adds to the layout.
        minor: u16,
    },
    /// Torn, or damaged.
    #[error("its checksum is {stored:08x}, that of its bytes {computed:08x}")]
    Checksum {
        /// As it stands in the block.
        stored: u32,
        /// As it should be.
        computed: u32,
    },
    /// Written for blocks of another length.
    #[error("it is for blocks of {theirs} bytes, not {BLOCK_LEN}")]
    BlockLen {
        /// As it stands in the header.
        theirs: u32,
    },
    /// Too short or too long a lease, or times that do not go together.
    #[error(
        "lease {lease_ms} ms, wait {wait_ms} ms and renewal {renew_ms} ms do not go together: a \
         lease is {LEASE_MIN:?} to {LEASE_MAX:?}, a wait more by 2 % at least, a renewal at most a \
         third"
    )]
    Times {
        /// How long a write grants.
        lease_ms: u32,
        /// How long others wait.
        wait_ms: u32,
        /// How often it is renewed.
        renew_ms: u32,
    },
    /// No nodes, or too many.
    #[error("it names {count} nodes; there are 1 to {NODES_MAX}")]
    NodeCount {
        /// As it stands in the header.
        count: u8,
    },
    /// Not what a cluster or a node can be called.
    #[error("a name in it is not one: 1 to 64 letters, digits, `.`, `_` or `-`")]
    Name,
    /// The numbers of the nodes do not rise, or one is too large.
    #[error("the numbers of its nodes do not rise from 0 to 63")]
    Numbers,
    /// One of an even number of disks, or of fewer than it is told.
    #[error("it says nothing of how many disks have this area, and which it is")]
    Copy,
    /// Two nodes of one name.
    #[error("it names a node twice")]
    NameTwice,
    /// The names do not fit one block.
    #[error("the names of the nodes do not fit one block: use shorter ones")]
    NoRoom,
    /// Of another area, written before this one was made, or copied from elsewhere.
    #[error("it is of another lock area, {theirs}")]
    Area {
        /// As it stands in the block.
        theirs: AreaId,
    },
    /// Another node's block.
    #[error("it is of node number {theirs}")]
    Node {
        /// As it stands in the block.
        theirs: u8,
    },
    /// Flags that no node writes.
    #[error("its flags are {flags:#04x}, which no node writes")]
    Flags {
        /// As they stand in the block.
        flags: u8,
    },
    /// A ballot that this node cannot have used.
    #[error("its ballot {ballot} belongs to another node")]
    Ballot {
        /// As it stands in the block.
        ballot: u64,
    },
}
