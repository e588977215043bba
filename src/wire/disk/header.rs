//! Whose area is it, who has which slot, and how long do its leases last?

use std::fmt;
use std::time::Duration;

use super::bytes::{Fields, Room};
use super::{BLOCK_LEN, Block, Malformed};
use crate::wire::native::ClusterId;

/// How the header begins.
pub const MAGIC: [u8; 16] = *b"FLOATLOCK HEADER";
/// The layout that [`super`] describes.
pub const MAJOR: u16 = 1;
/// What was added to it: copies.
pub const MINOR: u16 = 1;
/// The most nodes of an area: a ballot has room for 64.
pub const NODES_MAX: usize = 64;
/// The shortest lease; a disk that is slow for a moment must not end it.
pub const LEASE_MIN: Duration = Duration::from_millis(100);
/// The longest lease; it is as long as everybody waits for a dead node.
pub const LEASE_MAX: Duration = Duration::from_secs(3600);

/// The longest name of a cluster or a node.
const NAME_MAX: usize = 64;

/// One `lock init`: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AreaId(pub [u8; 16]);

impl fmt::Display for AreaId {
    /// As a UUID is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let dash = if [4, 6, 8, 10].contains(&at) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for AreaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How long things last in an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// L: how long a completed write grants, from before it was submitted.
    pub lease_ms: u32,
    /// W: how long a held slot must stay unchanged until it counts as abandoned.
    pub wait_ms: u32,
    /// How often a holder writes.
    pub renew_ms: u32,
}

impl Times {
    /// The usual ones for this lease: W is longer by the clocks' error (twice 1 %) and 100 ms.
    #[must_use]
    pub fn of(lease: Duration) -> Option<Self> {
        let lease_ms = u32::try_from(lease.as_millis()).ok()?;
        let times = Times {
            lease_ms,
            wait_ms: least_wait(lease_ms)?.checked_add(100)?,
            renew_ms: lease_ms / 5,
        };
        times.check().ok().map(|()| times)
    }

    /// L.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms as u64)
    }

    /// W.
    #[must_use]
    pub const fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms as u64)
    }

    /// The time between two writes of a holder.
    #[must_use]
    pub const fn renew(&self) -> Duration {
        Duration::from_millis(self.renew_ms as u64)
    }

    fn check(&self) -> Result<(), Malformed> {
        let &Times {
            lease_ms,
            wait_ms,
            renew_ms,
        } = self;
        let lease = (LEASE_MIN..=LEASE_MAX).contains(&self.lease());
        let wait = least_wait(lease_ms).is_some_and(|least| least <= wait_ms);
        let wait = wait && self.wait() <= 2 * LEASE_MAX;
        let renew = (1..=lease_ms / 3).contains(&renew_ms);
        match lease && wait && renew {
            true => Ok(()),
            false => Err(Malformed::Times {
                lease_ms,
                wait_ms,
                renew_ms,
            }),
        }
    }
}

/// L(1 + 2 rho), with rho = 1 %, rounded up.
fn least_wait(lease_ms: u32) -> Option<u32> {
    lease_ms.checked_add(lease_ms.div_ceil(50))
}

/// A node, and the number of its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// 0 to 63; the node's part of every ballot of its own.
    pub number: u8,
    /// Its name in `cluster.nodes`.
    pub name: String,
}

/// What `lock init` wrote to block 0 and, as its copy, to block 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which area: every other block of it says the same.
    pub area: AreaId,
    /// When it was made, in milliseconds since 1970, for people.
    pub created_ms: u64,
    /// How long its leases last.
    pub times: Times,
    /// The name of the cluster that it belongs to.
    pub cluster: String,
    /// The nodes in the order of their numbers.
    pub members: Vec<Member>,
    /// On how many disks the area stands, and on which of them, from 0.
    pub copy: CopyOf,
}

/// One disk of those that have an area together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyOf {
    /// How many there are: an odd number.
    pub disks: u8,
    /// Which this is, from 0.
    pub number: u8,
}

impl CopyOf {
    /// The only one.
    pub const ALONE: Self = Self {
        disks: 1,
        number: 0,
    };

    const fn is_good(self) -> bool {
        self.disks % 2 == 1 && self.number < self.disks
    }
}

impl Header {
    /// The header in this block.
    ///
    /// # Errors
    /// The first check that it fails.
    pub fn decode(block: &Block) -> Result<Self, Malformed> {
        block.begins(MAGIC, "a header")?;
        let mut version = Fields(&block.bytes()[MAGIC.len()..]);
        let major = version.u16().unwrap_or(0);
        let minor = version.u16().unwrap_or(0);
        if major != MAJOR {
            // Before the checksum, which may be elsewhere in that format.
            return Err(Malformed::Version { major, minor });
        }
        let mut fields = Fields(&block.sealed()?[20..]);
        let header = Self::take(&mut fields)?;
        header.check().map(|()| header)
    }

    fn take(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        let none = Malformed::NoRoom;
        let theirs = fields.u32().ok_or(none)?;
        if theirs as usize != BLOCK_LEN {
            return Err(Malformed::BlockLen { theirs });
        }
        let area = AreaId(fields.array().ok_or(none)?);
        let created_ms = fields.u64().ok_or(none)?;
        let times = Times {
            lease_ms: fields.u32().ok_or(none)?,
            wait_ms: fields.u32().ok_or(none)?,
            renew_ms: fields.u32().ok_or(none)?,
        };
        let count = fields.byte().ok_or(none)?;
        if usize::from(count) > NODES_MAX {
            return Err(Malformed::NodeCount { count });
        }
        let cluster = name(fields.counted().ok_or(none)?)?;
        let member = |_| {
            let number = fields.byte().ok_or(none)?;
            let name = name(fields.counted().ok_or(none)?)?;
            Ok(Member { number, name })
        };
        Ok(Header {
            area,
            created_ms,
            times,
            cluster,
            members: (0..count).map(member).collect::<Result<_, _>>()?,
            // Zero in minor version 0, and no room for it beside 62 of the longest names.
            copy: match (fields.byte(), fields.byte()) {
                (Some(disks @ 1..), Some(number)) => CopyOf { disks, number },
                _ => CopyOf::ALONE,
            },
        })
    }

    /// The block that says this.
    ///
    /// # Errors
    /// Nobody could read it: what [`Header::decode`] would say.
    pub fn emit(&self) -> Result<Block, Malformed> {
        self.check()?;
        let mut block = Block::ZERO;
        self.put(&mut Room(block.body_mut()))
            .ok_or(Malformed::NoRoom)?;
        block.seal();
        Ok(block)
    }

    fn put(&self, room: &mut Room<'_>) -> Option<()> {
        room.put(&MAGIC)?;
        room.u16(MAJOR)?;
        // What one disk says, every version understands.
        room.u16(if self.copy == CopyOf::ALONE { 0 } else { MINOR })?;
        room.u32(u32::try_from(BLOCK_LEN).ok()?)?;
        room.put(&self.area.0)?;
        room.u64(self.created_ms)?;
        let times = &self.times;
        for millis in [times.lease_ms, times.wait_ms, times.renew_ms] {
            room.u32(millis)?;
        }
        room.byte(u8::try_from(self.members.len()).ok()?)?;
        room.counted(self.cluster.as_bytes())?;
        self.members.iter().try_for_each(|member| {
            room.byte(member.number)?;
            room.counted(member.name.as_bytes())
        })?;
        match self.copy {
            CopyOf::ALONE => Some(()),
            CopyOf { disks, number } => room.put(&[disks, number]),
        }
    }

    fn check(&self) -> Result<(), Malformed> {
        self.times.check()?;
        let members = &self.members;
        if !(1..=NODES_MAX).contains(&members.len()) {
            let count = u8::try_from(members.len()).unwrap_or(u8::MAX);
            return Err(Malformed::NodeCount { count });
        }
        name(self.cluster.as_bytes())?;
        for member in members {
            name(member.name.as_bytes())?;
        }
        let rise = members.is_sorted_by(|a, b| a.number < b.number);
        let fit = members.iter().all(|m| usize::from(m.number) < NODES_MAX);
        if !(rise && fit) {
            return Err(Malformed::Numbers);
        }
        if !self.copy.is_good() {
            return Err(Malformed::Copy);
        }
        let mut names: Vec<&str> = members.iter().map(|m| m.name.as_str()).collect();
        names.sort_unstable();
        match names.is_sorted_by(|a, b| a < b) {
            true => Ok(()),
            false => Err(Malformed::NameTwice),
        }
    }

    /// Whether the other disk has the same area.
    #[must_use]
    pub fn is_copy_of(&self, other: &Self) -> bool {
        let mut same = self.clone();
        same.copy.number = other.copy.number;
        same == *other
    }

    /// The cluster, as heartbeats name it.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        ClusterId::of(&self.cluster)
    }

    /// The node of this name, if it has a slot.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

/// The rule of the configuration file: names end up on terminals.
fn name(bytes: &[u8]) -> Result<String, Malformed> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"._-".contains(b);
    let good = (1..=NAME_MAX).contains(&bytes.len()) && bytes.iter().all(plain);
    let text = std::str::from_utf8(bytes).ok().filter(|_| good);
    text.map(str::to_owned).ok_or(Malformed::Name)
}

/// What blocks 0 and 1 say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Headers {
    /// The same.
    Good(Header),
    /// One cannot be read: a write was torn, or a block has been overwritten. The other one counts.
    One {
        /// As the good one says.
        header: Header,
        /// The block that is bad, 0 or 1.
        bad: u64,
        /// What is wrong with it.
        why: Malformed,
    },
    /// Both can be read, and differ: nobody knows which is true.
    Differ,
    /// Neither can be read.
    None {
        /// What is wrong with block 0.
        first: Malformed,
        /// What is wrong with block 1.
        copy: Malformed,
    },
}

impl Headers {
    /// From blocks 0 and 1.
    #[must_use]
    pub fn read(first: &Block, copy: &Block) -> Self {
        match (Header::decode(first), Header::decode(copy)) {
            (Ok(header), Ok(copy)) if header == copy => Self::Good(header),
            (Ok(_), Ok(_)) => Self::Differ,
            (Ok(header), Err(why)) => Self::One {
                header,
                bad: 1,
                why,
            },
            (Err(why), Ok(header)) => Self::One {
                header,
                bad: 0,
                why,
            },
            (Err(first), Err(copy)) => Self::None { first, copy },
        }
    }
}
