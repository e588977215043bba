//! What does a frame say about one group?

use std::num::{NonZeroU8, NonZeroU64};
use std::time::Duration;

use super::bytes::{Fields, Room};
use super::{BootId, Digest, GROUP_LEN, GroupId, NodeId, Rejected};

/// The longest lease that can be asked for: a hundred of the longest intervals. A voter is bound
/// by what it grants, so this also bounds for how long a mistake can bind it.
pub const LEASE_MAX: Duration = Duration::from_secs(25_500);

/// The number of a request within one run of the requester.
pub type Nonce = NonZeroU64;

/// What a node says about one of its groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub id: GroupId,
    /// Its `id` in the file.
    pub number: NonZeroU8,
    /// What the sender is in it.
    pub role: Role,
    /// 1 to 254; with the node it makes the rank.
    pub priority: u8,
    /// 0: unfit. More is fitter.
    pub fitness: u16,
    /// The addresses that move, sorted.
    pub addresses: Digest,
    /// That of the request, that of the authority that is given up, or else the highest that the
    /// sender knows.
    pub epoch: u64,
    /// What it wants, or grants.
    pub statement: Statement,
}

/// What a node is in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Clears what a dead agent may have left.
    Init,
    /// Listens.
    Backup,
    /// Claims.
    Candidate,
    /// Holds.
    Master,
    /// Gives way.
    Releasing,
    /// Cannot hold.
    Fault,
    /// The group has ended.
    Stopped,
    /// Votes and never holds.
    Witness,
}

/// What a node wants of the others for a group, or grants. One at a time: who grants has abandoned
/// its own request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Neither.
    Nothing,
    /// The sender asks for a vote.
    Request {
        /// Greater than that of each earlier request of this run.
        nonce: Nonce,
        /// L: how long a grant of it gives authority, from before it was sent. Not zero, at most
        /// [`LEASE_MAX`].
        lease: Duration,
        /// The sender holds already, and renews.
        holding: bool,
    },
    /// The sender grants a request: for P it grants nobody else, and does not contend.
    Ack {
        /// The run that requested.
        boot_id: BootId,
        /// The request.
        nonce: Nonce,
    },
    /// The sender gives its authority up, and frees whoever granted it.
    Resign {
        /// Who is to take over.
        to: NodeId,
        /// The run that gives up.
        boot_id: BootId,
        /// The highest nonce that this run ever sent: later requests are not given up.
        nonce_last: Nonce,
    },
    /// The sender is better than the MASTER, ready, and asks it to hand over.
    Ask,
    /// The sender grants a request not: nothing below the epoch of the entry.
    Refusal {
        /// The run that requested.
        boot_id: BootId,
        /// The request.
        nonce: Nonce,
        /// Why, for those who read logs.
        why: Why,
    },
}

/// Why a voter refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// It restarted less than one promise ago.
    Quarantine,
    /// It holds itself.
    Holding,
    /// It is promised to another, or to another run.
    Promised,
    /// The epoch is too low.
    Epoch,
    /// The epoch is not stored yet.
    Storing,
    /// The asker has resigned since.
    Resigned,
    /// The voter is a candidate of better rank.
    Outranked,
    /// The list of voters is another.
    Voters,
    /// The lease is longer than its own.
    Lease,
    /// The nodes were told different things.
    Conflict,
}

const NOTHING: u8 = 0;
const REQUEST: u8 = 1;
const ACK: u8 = 2;
const RESIGN: u8 = 3;
const ASK: u8 = 4;
const REFUSAL: u8 = 5;

impl Group {
    pub(super) fn read(entry: &[u8; GROUP_LEN]) -> Result<Self, Rejected> {
        let mut fields = Fields(entry);
        let id = GroupId(fields.long());
        let number = NonZeroU8::new(fields.byte()).ok_or(Rejected::GroupNumber)?;
        let role = Role::of(fields.byte())?;
        let priority = fields.byte();
        if !is_priority(priority) {
            return Err(Rejected::Priority { theirs: priority });
        }
        let kind = fields.byte();
        Ok(Self {
            id,
            number,
            role,
            priority,
            fitness: fields.short(),
            addresses: Digest(fields.long()),
            epoch: fields.long(),
            statement: Statement::take(kind, &mut fields)?,
        })
    }

    pub(super) fn put(&self, room: &mut Room<'_>) {
        room.long(self.id.0);
        room.byte(self.number.get());
        room.byte(self.role.code());
        room.byte(self.priority);
        room.byte(self.statement.code());
        room.short(self.fitness);
        room.long(self.addresses.0);
        room.long(self.epoch);
        self.statement.put(room);
    }
}

pub(super) fn is_priority(priority: u8) -> bool {
    (1..=254).contains(&priority)
}

/// The nanoseconds of a lease that can be asked for.
pub(super) fn lease_nanos(lease: Duration) -> Option<u64> {
    let nanos = u64::try_from(lease.as_nanos()).ok()?;
    (!lease.is_zero() && lease <= LEASE_MAX).then_some(nanos)
}

impl Role {
    const ALL: [Role; 8] = [
        Role::Init,
        Role::Backup,
        Role::Candidate,
        Role::Master,
        Role::Releasing,
        Role::Fault,
        Role::Stopped,
        Role::Witness,
    ];

    const fn code(self) -> u8 {
        match self {
            Role::Init => 1,
            Role::Backup => 2,
            Role::Candidate => 3,
            Role::Master => 4,
            Role::Releasing => 5,
            Role::Fault => 6,
            Role::Stopped => 7,
            Role::Witness => 8,
        }
    }

    fn of(theirs: u8) -> Result<Self, Rejected> {
        let role = Self::ALL.into_iter().find(|role| role.code() == theirs);
        role.ok_or(Rejected::Role { theirs })
    }
}

impl Statement {
    const fn code(&self) -> u8 {
        match self {
            Statement::Nothing => NOTHING,
            Statement::Request { .. } => REQUEST,
            Statement::Ack { .. } => ACK,
            Statement::Resign { .. } => RESIGN,
            Statement::Ask => ASK,
            Statement::Refusal { .. } => REFUSAL,
        }
    }

    /// The last of an entry: all of it is read, or zero.
    fn take(kind: u8, fields: &mut Fields<'_>) -> Result<Self, Rejected> {
        let statement = match kind {
            NOTHING => Statement::Nothing,
            REQUEST => Statement::Request {
                nonce: nonce(fields)?,
                lease: lease(fields)?,
                holding: flag(fields)?,
            },
            ACK => Statement::Ack {
                boot_id: BootId(fields.array()),
                nonce: nonce(fields)?,
            },
            RESIGN => Statement::Resign {
                to: NodeId(fields.long()),
                boot_id: BootId(fields.array()),
                nonce_last: nonce(fields)?,
            },
            ASK => Statement::Ask,
            REFUSAL => Statement::Refusal {
                boot_id: BootId(fields.array()),
                nonce: nonce(fields)?,
                why: Why::of(fields.byte())?,
            },
            theirs => return Err(Rejected::Statement { theirs }),
        };
        match fields.0.iter().all(|byte| *byte == 0) {
            true => Ok(statement),
            false => Err(Rejected::UnusedBytes),
        }
    }

    fn put(&self, room: &mut Room<'_>) {
        match *self {
            Statement::Nothing | Statement::Ask => room.put([0; 32]),
            Statement::Request {
                nonce,
                lease,
                holding,
            } => {
                room.long(nonce.get());
                room.long(lease_nanos(lease).unwrap_or_default());
                room.byte(holding.into());
                room.put([0; 15]);
            }
            Statement::Ack { boot_id, nonce } => {
                room.put(boot_id.0);
                room.long(nonce.get());
                room.put([0; 8]);
            }
            Statement::Resign {
                to,
                boot_id,
                nonce_last,
            } => {
                room.long(to.0);
                room.put(boot_id.0);
                room.long(nonce_last.get());
            }
            Statement::Refusal {
                boot_id,
                nonce,
                why,
            } => {
                room.put(boot_id.0);
                room.long(nonce.get());
                room.byte(why.code());
                room.put([0; 7]);
            }
        }
    }
}

impl Why {
    const ALL: [Why; 10] = [
        Why::Quarantine,
        Why::Holding,
        Why::Promised,
        Why::Epoch,
        Why::Storing,
        Why::Resigned,
        Why::Outranked,
        Why::Voters,
        Why::Lease,
        Why::Conflict,
    ];

    const fn code(self) -> u8 {
        self as u8 + 1
    }

    fn of(theirs: u8) -> Result<Self, Rejected> {
        let why = Self::ALL.into_iter().find(|why| why.code() == theirs);
        why.ok_or(Rejected::Refusal { theirs })
    }
}

fn flag(fields: &mut Fields<'_>) -> Result<bool, Rejected> {
    match fields.byte() {
        0 => Ok(false),
        1 => Ok(true),
        theirs => Err(Rejected::Flag { theirs }),
    }
}

fn nonce(fields: &mut Fields<'_>) -> Result<Nonce, Rejected> {
    Nonce::new(fields.long()).ok_or(Rejected::ZeroNonce)
}

fn lease(fields: &mut Fields<'_>) -> Result<Duration, Rejected> {
    let theirs = Duration::from_nanos(fields.long());
    match lease_nanos(theirs) {
        Some(_) => Ok(theirs),
        None => Err(Rejected::Lease { theirs }),
    }
}
