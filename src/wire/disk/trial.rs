//! What does `lock test` write? A block of each node beside its slot, which no lease depends on.

use super::bytes::{Fields, Room};
use super::{AreaId, Block, Host, Malformed, NODES_MAX};

/// How a test block begins.
pub const TRIAL_MAGIC: [u8; 16] = *b"FLOATLOCK TEST\0\0";

/// What one run of `lock test` says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The number of the node.
    pub node: u8,
    /// Which run: 128 random bits.
    pub run: [u8; 16],
    /// Rises with every write.
    pub counter: u64,
    /// The wall clock as it was written, in milliseconds since 1970, for people.
    pub wall_ms: u64,
    /// The host, for people.
    pub host: Host,
}

impl Trial {
    /// What this block says, which should be the test block of `node` in `area`.
    ///
    /// # Errors
    /// The first check that it fails; [`Malformed::Blank`] where nobody has tested yet.
    pub fn decode(block: &Block, area: AreaId, node: u8) -> Result<Self, Malformed> {
        block.begins(TRIAL_MAGIC, "a test block")?;
        let mut fields = Fields(&block.sealed()?[TRIAL_MAGIC.len()..]);
        let (theirs, trial) = Self::take(&mut fields).ok_or(Malformed::NoRoom)?;
        if theirs != area {
            return Err(Malformed::Area { theirs });
        }
        match trial.node == node && usize::from(node) < NODES_MAX {
            true => Ok(trial),
            false => Err(Malformed::Node { theirs: trial.node }),
        }
    }

    fn take(fields: &mut Fields<'_>) -> Option<(AreaId, Trial)> {
        let area = AreaId(fields.array()?);
        let [node, _, _, _] = fields.array()?;
        let trial = Trial {
            node,
            run: fields.array()?,
            counter: fields.u64()?,
            wall_ms: fields.u64()?,
            host: Host(fields.array()?),
        };
        Some((area, trial))
    }

    /// The block that says this in `area`.
    ///
    /// # Errors
    /// There is no such node.
    pub fn emit(&self, area: AreaId) -> Result<Block, Malformed> {
        if usize::from(self.node) >= NODES_MAX {
            return Err(Malformed::Node { theirs: self.node });
        }
        let mut block = Block::ZERO;
        self.put(area, &mut Room(block.body_mut()))
            .ok_or(Malformed::NoRoom)?;
        block.seal();
        Ok(block)
    }

    fn put(&self, area: AreaId, room: &mut Room<'_>) -> Option<()> {
        room.put(&TRIAL_MAGIC)?;
        room.put(&area.0)?;
        room.put(&[self.node, 0, 0, 0])?;
        room.put(&self.run)?;
        room.u64(self.counter)?;
        room.u64(self.wall_ms)?;
        room.put(&self.host.0)
    }
}
