//! Why does a frame not count?

use std::time::Duration;

use super::{BootId, ClusterId, KeyId, LEASE_MAX, NodeId};

/// The first check that a frame failed. They stand in the order in which they are made; those of
/// the groups are made for one group after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejected {
    /// Shorter than a frame can be, or than it says.
    #[error("{len} bytes long instead of {need}")]
    Truncated {
        /// As received.
        len: usize,
        /// As it should be.
        need: usize,
    },
    /// Does not begin with `F1 00`.
    #[error("begins with {first:02x} {second:02x}, not f1 00")]
    Magic {
        /// The first byte.
        first: u8,
        /// The second byte.
        second: u8,
    },
    /// Another format, of a later Floatlock.
    #[error("unknown format version {theirs}")]
    UnknownVersion {
        /// The sender's.
        theirs: u8,
    },
    /// Longer than it says.
    #[error("{len} bytes long instead of {need}")]
    Overlong {
        /// As received.
        len: usize,
        /// As it says.
        need: usize,
    },
    /// Of another cluster.
    #[error("is of cluster {theirs}")]
    Cluster {
        /// The sender's.
        theirs: ClusterId,
    },
    /// Signed with a key that is none of ours.
    #[error("is signed with the unknown key {theirs}")]
    KeyId {
        /// The sender's.
        theirs: KeyId,
    },
    /// The MAC is wrong: whoever sent it does not have the key, or it was damaged on its way.
    #[error("wrong MAC")]
    Mac,

    /// From the own link, and not sent with TTL (hop limit) 255: it came through a router.
    #[error("TTL {theirs} instead of 255")]
    Ttl {
        /// As received.
        theirs: u8,
    },
    /// This agent's own: a loop, or multicast that came back.
    #[error("is our own")]
    OwnFrame,
    /// Another agent speaks under the name of this node.
    #[error("comes from another agent under our own name (boot {theirs})")]
    SecondSelf {
        /// The other one's run.
        theirs: BootId,
        /// The number of the frame in it.
        sequence: u64,
    },
    /// From none of the nodes that this one knows.
    #[error("comes from an unknown node ({theirs})")]
    UnknownNode {
        /// The sender.
        theirs: NodeId,
        /// Its run.
        boot_id: BootId,
        /// The number of the frame in it.
        sequence: u64,
    },
    /// Its counts ask for more or less than there is.
    #[error("{len} bytes long, but its counts ask for {need}")]
    Counts {
        /// As received.
        len: usize,
        /// As its counts say.
        need: usize,
    },
    /// A template without a number, without groups, or with fewer than the frame has.
    #[error("refers to a template that cannot be")]
    Reference,
    /// A group with number zero.
    #[error("a group with number 0")]
    GroupNumber,
    /// A role that does not exist.
    #[error("unknown role {theirs}")]
    Role {
        /// The sender's.
        theirs: u8,
    },
    /// Not 1 to 254.
    #[error("a priority of {theirs}")]
    Priority {
        /// The sender's.
        theirs: u8,
    },
    /// A statement that does not exist.
    #[error("unknown statement {theirs}")]
    Statement {
        /// The sender's.
        theirs: u8,
    },
    /// A nonce of zero.
    #[error("a nonce of zero")]
    ZeroNonce,
    /// A lease of zero, or longer than [`LEASE_MAX`].
    #[error("a lease of {theirs:?}, which is zero or longer than {LEASE_MAX:?}")]
    Lease {
        /// The sender's.
        theirs: Duration,
    },
    /// Neither yes nor no.
    #[error("a flag of {theirs}")]
    Flag {
        /// The sender's.
        theirs: u8,
    },
    /// A reason to refuse that does not exist.
    #[error("unknown reason {theirs} of a refusal")]
    Refusal {
        /// The sender's.
        theirs: u8,
    },
    /// Bytes that mean nothing here and are not zero.
    #[error("bytes behind a statement that are not zero")]
    UnusedBytes,
    /// The ids of its groups do not rise.
    #[error("its groups are not in the order of their ids")]
    GroupOrder,
}

/// What a rejection means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Wrong by the rules of the format: counted.
    Malformed,
    /// It says that it is one of ours, and does not prove it.
    Unauthentic,
    /// Signed with our key, by somebody who is no peer of this node: the nodes were told different
    /// things about who they are.
    Stranger,
    /// Not for us to hear: counted.
    Foreign,
    /// Our own.
    Own,
}

impl Rejected {
    /// What it means.
    #[must_use]
    pub const fn class(&self) -> Class {
        use Rejected as R;
        match self {
            R::Truncated { .. } | R::Magic { .. } | R::Overlong { .. } => Class::Malformed,
            R::UnknownVersion { .. } | R::KeyId { .. } | R::Mac => Class::Unauthentic,
            R::Cluster { .. } => Class::Foreign,
            R::OwnFrame => Class::Own,
            R::SecondSelf { .. } | R::UnknownNode { .. } => Class::Stranger,
            R::Ttl { .. } | R::Counts { .. } => Class::Malformed,
            R::Reference | R::GroupNumber | R::Role { .. } | R::Priority { .. } => Class::Malformed,
            R::Statement { .. } | R::ZeroNonce | R::Lease { .. } => Class::Malformed,
            R::Flag { .. } | R::Refusal { .. } => Class::Malformed,
            R::UnusedBytes | R::GroupOrder => Class::Malformed,
        }
    }
}
