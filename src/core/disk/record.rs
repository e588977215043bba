//! What does a slot say?

use crate::core::lease::{BootId, Epoch};

/// What a node has written into its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Of the start that wrote it.
    pub boot: BootId,
    /// The ballot with which the node last meant to hold.
    pub intent: Epoch,
    /// The ballot with which it last did.
    pub owned: Epoch,
    /// Grows with every write.
    pub seq: u64,
    /// Whether it holds.
    pub hold: Hold,
    /// No epoch that the node has served under the disk's vote is above this one.
    pub floor: Epoch,
}

impl Record {
    /// The highest ballot of the slot.
    #[must_use]
    pub fn ballot(&self) -> Epoch {
        self.intent.max(self.owned)
    }
}

/// As a fresh area has it: nobody has ever held.
impl Default for Record {
    fn default() -> Self {
        Self {
            boot: BootId(0),
            intent: Epoch::default(),
            owned: Epoch::default(),
            seq: 0,
            hold: Hold::Clean,
            floor: Epoch::default(),
        }
    }
}

/// Whether a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// It does, or did when it was last heard of.
    Held,
    /// It has just claimed the slot, and does not know yet what stood there meanwhile: it may be held.
    Claimed,
    /// It means to.
    Free,
    /// It does not, and nothing of what it held is left.
    Clean,
}

/// What was seen in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sight {
    /// This.
    Slot(Record),
    /// What cannot be read: it counts as changed, unknown and held.
    Torn,
}

impl Sight {
    /// What can be read.
    #[must_use]
    pub const fn record(&self) -> Option<&Record> {
        match self {
            Self::Slot(record) => Some(record),
            Self::Torn => None,
        }
    }

    /// Whether its node may hold.
    #[must_use]
    pub fn may_be_held(&self) -> bool {
        self.record()
            .is_none_or(|record| matches!(record.hold, Hold::Held | Hold::Claimed))
    }
}
