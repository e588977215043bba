//! Why is a device not used, or a command not carried out, and what is to be done instead?

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::signature::Signature;
use crate::core::words::Length;
use crate::wire::disk::{AREA_LEN, AreaId, BLOCK_LEN, Malformed};

/// What was refused or failed, on which device.
#[derive(Debug, thiserror::Error)]
#[error("the lock area on {}: {why}", .path.display())]
pub struct Refused {
    /// As it was named.
    pub path: PathBuf,
    /// The reason and the way out.
    pub why: Why,
}

impl Refused {
    /// Of this device.
    #[must_use]
    pub fn new(path: &Path, why: Why) -> Self {
        Self {
            path: path.to_owned(),
            why,
        }
    }

    /// 4 where permission is missing, 1 for everything else.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self.why {
            Why::Permission(_) => 4,
            _ => 1,
        }
    }
}

/// The reason and the way out.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// Nothing has this name.
    #[error(
        "there is no such device or file: name a disk that all nodes see (ls -l \
         /dev/disk/by-id), or make a file for trials: truncate -s 1M FILE"
    )]
    Missing,
    /// A directory, a pipe, a terminal.
    #[error("it is neither a block device nor a regular file: name a disk that all nodes see")]
    Kind,
    /// Not permitted.
    #[error("{0}: run this as root, and in a container that may open the device")]
    Permission(io::Error),
    /// The disk or its file system is read-only.
    #[error(
        "it is read-only: `blockdev --getro` and the mount options say why; name one that this \
         node may write"
    )]
    ReadOnly,
    /// Somebody has claimed the device.
    #[error(
        "it is in use: mounted, or part of an LVM, RAID, multipath or swap device. `lsblk` shows \
         which; name the device on top, or one that nothing else uses"
    )]
    InUse,
    /// The medium says nothing of direct I/O.
    #[error(
        "it cannot be read and written past the page cache (statx names no alignment for direct \
         I/O: so do tmpfs, and kernels before 6.1). Name a block device or, for trials, a file on \
         ext4 or XFS"
    )]
    Cached,
    /// Its own blocks are larger than ours.
    #[error("its blocks are {need} bytes long, those of a lock area {BLOCK_LEN}: name another")]
    Alignment {
        /// As the medium says.
        need: u32,
    },
    /// No room for an area.
    #[error("it has {len} bytes, and a lock area takes {AREA_LEN}: name a larger one")]
    TooSmall {
        /// How many there are.
        len: u64,
    },
    /// It holds something else.
    #[error(
        "{0} is on it. If nobody needs that any more, remove it with `wipefs --all` (or zero the \
         first and last MiB with dd), and try again"
    )]
    Taken(Signature),
    /// It is an area already.
    #[error(
        "it is the area {area} of cluster {cluster} already: `floatlock lock show` shows who uses \
         it. To make it anew, stop the agents of that cluster and add --force"
    )]
    Initialised {
        /// Which.
        area: AreaId,
        /// Whose.
        cluster: String,
    },
    /// Named twice.
    #[error("it is the same disk as {}: name three that do not fail together", .0.display())]
    Twice(PathBuf),
    /// One of several.
    #[error("it is one of the {of} disks of a lock area: name all of them in `disk-lock`")]
    OneOf {
        /// So many.
        of: usize,
    },
    /// Where several are named.
    #[error(
        "it has a lock area of its own: prepare the disks together, with one `floatlock lock init`"
    )]
    Alone,
    /// Named twice, or copied.
    #[error("it is the same disk as {}, or a copy of it", .0.display())]
    Copied(PathBuf),
    /// Of three disks.
    #[error(
        "its lock area is not that of the other disks: prepare them together, with one \
         `floatlock lock init`"
    )]
    OtherArea,
    /// Times that were reckoned with are not those of the area.
    #[error(
        "it grants for {lease:?}, and the configuration reckons with {reckoned:?}: correct \
         `disk-lease`, or prepare it anew with `floatlock lock init --lease`"
    )]
    OtherLease {
        /// As the header says.
        lease: Duration,
        /// As the configuration says, or leaves unsaid.
        reckoned: Duration,
    },
    /// It was an area, and is damaged.
    #[error(
        "it was a lock area, and its header is damaged ({0}). To make it anew, stop the agents \
         that use it and add --force"
    )]
    Remains(Malformed),
    /// Of another cluster than the configuration.
    #[error(
        "it belongs to cluster {theirs}, and this is {ours}: name the disk of this cluster. \
         `floatlock lock init --force` would take it away from the other one"
    )]
    OtherCluster {
        /// As the header says.
        theirs: String,
        /// As the configuration says.
        ours: String,
    },
    /// There is no area.
    #[error(
        "there is none: block 0: {first}; block 1: {copy}. `floatlock lock init` makes one, and \
         makes a damaged one anew with --force"
    )]
    NoHeader {
        /// What is wrong with block 0.
        first: Malformed,
        /// What is wrong with block 1.
        copy: Malformed,
    },
    /// Its header and the copy are of two areas.
    #[error(
        "its header and the copy differ, and nobody knows which is true: stop the agents that use \
         it and make it anew with `floatlock lock init --force`"
    )]
    HeadersDiffer,
    /// The area has no slot for this node.
    #[error(
        "it has no slot for {node}, only for {known}: name one of them, or make the area anew with \
         `floatlock lock init --force` while no agent uses it"
    )]
    UnknownNode {
        /// As asked for.
        node: String,
        /// As in the header.
        known: String,
    },
    /// An agent writes to it.
    #[error(
        "the slot of {node} changes: its agent lives, and what it holds must not be taken from it. \
         Stop that agent first (systemctl stop floatlock, on {host}); a planned stop frees the slot"
    )]
    Alive {
        /// Whose slot.
        node: String,
        /// Where its agent runs.
        host: String,
    },
    /// Only with `--force`.
    #[error("nothing was written. {0}")]
    Unforced(String),
    /// A block was written, and something else was read.
    #[error(
        "block {at} does not hold what was written to it a moment ago: the disk lies, or somebody \
         else writes to it. Do not use it"
    )]
    NotThere {
        /// Which block.
        at: u64,
    },
    /// Reading or writing failed.
    #[error("{doing} failed: {source}. `dmesg` may say why")]
    Io {
        /// What was being done.
        doing: Doing,
        /// What the medium said.
        source: io::Error,
    },
    /// What should have been written cannot be said in a block.
    #[error("{0}")]
    Unsayable(#[from] Malformed),
}

impl Why {
    pub(super) fn opening(source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Why::Missing,
            Some(libc::EACCES | libc::EPERM) => Why::Permission(source),
            Some(libc::EROFS) => Why::ReadOnly,
            Some(libc::EBUSY) => Why::InUse,
            _ => Why::Io {
                doing: Doing::Opening,
                source,
            },
        }
    }
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// The device itself.
    Opening,
    /// This block.
    Reading(u64),
    /// This block.
    Writing(u64),
    /// The whole area.
    Wiping,
    /// Random bits.
    Drawing,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doing::Opening => f.write_str("opening it"),
            Doing::Reading(at) => write!(f, "reading block {at}"),
            Doing::Writing(at) => write!(f, "writing block {at}"),
            Doing::Wiping => f.write_str("wiping it"),
            Doing::Drawing => f.write_str("drawing random bits"),
        }
    }
}

impl Doing {
    pub(super) fn failed(self, source: io::Error) -> Why {
        match source.raw_os_error() {
            // Most disks that are read-only may be opened for writing; the first write says it.
            Some(libc::EPERM | libc::EROFS) => Why::ReadOnly,
            _ => Why::Io {
                doing: self,
                source,
            },
        }
    }
}

/// What `lock clear` would do, for those who have not said `--force`.
pub(super) fn unforced(nodes: &str, wait: Duration) -> Why {
    Why::Unforced(format!(
        "With --force, the slot of {nodes} would be watched for {} and, if it does not change, be \
         marked as free and cleanly given up. Then another node takes the lock without waiting: if \
         that node still answers for addresses (its agent is frozen, or its path to the disk is \
         slow), two nodes answer. Switch it off, or stop its agent and see with `ip address` that \
         its addresses are gone; then add --force",
        Length(wait)
    ))
}
