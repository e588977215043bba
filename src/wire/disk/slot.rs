//! What does a node want, and what does it hold? Its slot, which it alone writes.

use std::fmt;

use super::bytes::{Fields, Room};
use super::{AreaId, Block, Malformed, NODES_MAX};
use crate::core::lease::Epoch;
use crate::wire::native::BootId;

/// How a slot begins.
pub const SLOT_MAGIC: [u8; 16] = *b"FLOATLOCK SLOT\0\0";

const HELD: u8 = 1;
const FREE: u8 = 2;
const CLEAN: u8 = 4;

/// What a slot says of its node: four of the eight values that the flags could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It held the lock when it last wrote (`HELD`).
    Held,
    /// Its agent has just claimed the slot, and finds out whether another host does, too: it may be held (`HELD` and
    /// `FREE`).
    Claimed,
    /// It holds nothing; it contends, or died while it did (`FREE`).
    Free,
    /// It holds nothing, and gave up what it held after its addresses were silent (`FREE` and
    /// `CLEAN`).
    Clean,
}

impl State {
    const fn flags(self) -> u8 {
        match self {
            State::Held => HELD,
            State::Claimed => HELD | FREE,
            State::Free => FREE,
            State::Clean => FREE | CLEAN,
        }
    }

    fn of(flags: u8) -> Result<Self, Malformed> {
        let all = [State::Held, State::Claimed, State::Free, State::Clean];
        let state = all.into_iter().find(|state| state.flags() == flags);
        state.ok_or(Malformed::Flags { flags })
    }
}

/// A host's name, cut to 64 bytes: for people only.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Host(pub [u8; 64]);

impl Host {
    /// Of this text.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut host = [0; 64];
        for (place, byte) in host.iter_mut().zip(name.bytes()) {
            *place = byte;
        }
        Self(host)
    }
}

impl fmt::Display for Host {
    /// Whatever the bytes are, nothing that a terminal would obey.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(self.0.len());
        self.0[..end].escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a node says in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The number of the node; its part of both ballots.
    pub node: u8,
    /// Which run of its agent; zero when no agent has written here.
    pub boot_id: BootId,
    /// The highest ballot that it has contended with; zero before the first.
    pub intent: Epoch,
    /// The highest ballot that it has held with; zero before the first.
    pub owned: Epoch,
    /// Rises with every write.
    pub seq: u64,
    /// No epoch that it has served with under the lock is above this one, see
    /// [`crate::core::disk::Record::floor`].
    pub floor: Epoch,
    /// What it holds.
    pub state: State,
    /// Its boot clock as it wrote, in milliseconds, for people.
    pub boottime_ms: u64,
    /// Its wall clock as it wrote, in milliseconds since 1970, for people.
    pub wall_ms: u64,
    /// Its host, for people.
    pub host: Host,
    /// A digest of the groups that hang on the lock there, for people.
    pub groups: u32,
}

impl Slot {
    /// One of a node that has never held anything, as `lock init` writes it.
    #[must_use]
    pub fn clean(node: u8) -> Self {
        Slot {
            node,
            boot_id: BootId([0; 16]),
            intent: Epoch::default(),
            owned: Epoch::default(),
            seq: 0,
            floor: Epoch::default(),
            state: State::Clean,
            boottime_ms: 0,
            wall_ms: 0,
            host: Host([0; 64]),
            groups: 0,
        }
    }

    /// What this block says, which should be the slot of `node` in `area`.
    ///
    /// # Errors
    /// The first check that it fails; then nobody knows what the node holds. See [`View`].
    pub fn decode(block: &Block, area: AreaId, node: u8) -> Result<Self, Malformed> {
        block.begins(SLOT_MAGIC, "a slot")?;
        let mut fields = Fields(&block.sealed()?[SLOT_MAGIC.len()..]);
        let (theirs, slot, flags) = Self::take(&mut fields).ok_or(Malformed::NoRoom)?;
        if theirs != area {
            return Err(Malformed::Area { theirs });
        }
        if slot.node != node {
            return Err(Malformed::Node { theirs: slot.node });
        }
        let state = State::of(flags)?;
        let slot = Slot { state, ..slot };
        slot.check().map(|()| slot)
    }

    fn take(fields: &mut Fields<'_>) -> Option<(AreaId, Slot, u8)> {
        let area = AreaId(fields.array()?);
        let node = fields.byte()?;
        let flags = fields.byte()?;
        let [_, _] = fields.array()?;
        let slot = Slot {
            node,
            groups: fields.u32()?,
            boot_id: BootId(fields.array()?),
            intent: Epoch::from_number(fields.u64()?),
            owned: Epoch::from_number(fields.u64()?),
            seq: fields.u64()?,
            floor: Epoch::from_number(fields.u64()?),
            boottime_ms: fields.u64()?,
            wall_ms: fields.u64()?,
            host: Host(fields.array()?),
            // Judged by the caller, who knows whose slot it should be.
            state: State::Held,
        };
        Some((area, slot, flags))
    }

    /// The block that says this in `area`.
    ///
    /// # Errors
    /// Everybody would take it for damaged: what [`Slot::decode`] would say.
    pub fn emit(&self, area: AreaId) -> Result<Block, Malformed> {
        self.check()?;
        let mut block = Block::ZERO;
        self.put(area, &mut Room(block.body_mut()))
            .ok_or(Malformed::NoRoom)?;
        block.seal();
        Ok(block)
    }

    fn put(&self, area: AreaId, room: &mut Room<'_>) -> Option<()> {
        room.put(&SLOT_MAGIC)?;
        room.put(&area.0)?;
        room.put(&[self.node, self.state.flags(), 0, 0])?;
        room.u32(self.groups)?;
        room.put(&self.boot_id.0)?;
        for number in [self.intent.number(), self.owned.number(), self.seq] {
            room.u64(number)?;
        }
        room.u64(self.floor.number())?;
        room.u64(self.boottime_ms)?;
        room.u64(self.wall_ms)?;
        room.put(&self.host.0)
    }

    fn check(&self) -> Result<(), Malformed> {
        if usize::from(self.node) >= NODES_MAX {
            return Err(Malformed::Node { theirs: self.node });
        }
        for ballot in [self.intent.number(), self.owned.number()] {
            if ballot != 0 && ballot % NODES_MAX as u64 != u64::from(self.node) {
                return Err(Malformed::Ballot { ballot });
            }
        }
        Ok(())
    }
}

/// What is known of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// What its node wrote.
    Known(Slot),
    /// Torn, damaged, never written or somebody else's. Its node may hold the lock.
    Unknown(Malformed),
}

impl View {
    /// Of the slot of `node` in `area`.
    #[must_use]
    pub fn of(block: &Block, area: AreaId, node: u8) -> Self {
        Slot::decode(block, area, node).map_or_else(View::Unknown, View::Known)
    }

    /// Whether its node may hold the lock. Only a slot that says otherwise, and can be believed,
    /// is not held.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        match self {
            View::Known(slot) => matches!(slot.state, State::Held),
            View::Unknown(_) => true,
        }
    }
}
