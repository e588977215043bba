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
}

const NOTHING: u8 = 0;
const REQUEST: u8 = 1;
const ACK: u8 = 2;
const RESIGN: u8 = 3;

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
        }
    }

    /// The last of an entry: all of it is read, or zero.
    fn take(kind: u8, fields: &mut Fields<'_>) -> Result<Self, Rejected> {
        let statement = match kind {
            NOTHING => Statement::Nothing,
            REQUEST => Statement::Request {
                nonce: nonce(fields)?,
                lease: lease(fields)?,
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
            theirs => return Err(Rejected::Statement { theirs }),
        };
        match fields.0.iter().all(|byte| *byte == 0) {
            true => Ok(statement),
            false => Err(Rejected::UnusedBytes),
        }
    }

    fn put(&self, room: &mut Room<'_>) {
        match *self {
            Statement::Nothing => room.put([0; 32]),
            Statement::Request { nonce, lease } => {
                room.long(nonce.get());
                room.long(lease_nanos(lease).unwrap_or_default());
                room.put([0; 16]);
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
        }
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
