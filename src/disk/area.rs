//! What stands in an area now? Its header, and the slots of its nodes.

use std::io;

use super::device::Blocks;
use super::refused::{Doing, Why};
use crate::wire::disk::{
    Block, COPY_AT, HEADER_AT, Header, Headers, Malformed, Member, Slot, View, slot_at,
};

/// An area, as its header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// The good header.
    pub header: Header,
    /// The bad one, 0 or 1, and what is wrong with it.
    pub torn: Option<(u64, Malformed)>,
}

impl Area {
    /// Reads the header and its copy.
    ///
    /// # Errors
    /// There is no area, or reading failed.
    pub fn read(blocks: &impl Blocks) -> Result<Self, Why> {
        let read = |at| {
            blocks
                .read(at)
                .map_err(|error| Doing::Reading(at).failed(error))
        };
        match Headers::read(&read(HEADER_AT)?, &read(COPY_AT)?) {
            Headers::Good(header) => Ok(Area { header, torn: None }),
            Headers::One { header, bad, why } => Ok(Area {
                header,
                torn: Some((bad, why)),
            }),
            Headers::Differ => Err(Why::HeadersDiffer),
            Headers::None { first, copy } => Err(Why::NoHeader { first, copy }),
        }
    }

    /// The node of this name.
    ///
    /// # Errors
    /// It has no slot.
    pub fn member(&self, name: &str) -> Result<&Member, Why> {
        self.header.member(name).ok_or_else(|| {
            let known: Vec<&str> = self
                .header
                .members
                .iter()
                .map(|m| m.name.as_str())
                .collect();
            Why::UnknownNode {
                node: name.to_owned(),
                known: known.join(" "),
            }
        })
    }

    /// Reads the slot of a node. Whatever goes wrong is an answer too.
    #[must_use]
    pub fn look(&self, blocks: &impl Blocks, member: &Member) -> Look {
        match blocks.read(slot_at(member.number)) {
            Ok(block) => {
                let view = View::of(&block, self.header.area, member.number);
                Look::Read {
                    block: Box::new(block),
                    view,
                }
            }
            Err(error) => Look::Failed(error),
        }
    }
}

/// One look at a slot.
#[derive(Debug)]
pub enum Look {
    /// A block came.
    Read {
        /// Its bytes, to be compared with the next look.
        block: Box<Block>,
        /// What they say.
        view: View,
    },
    /// None came.
    Failed(io::Error),
}

impl Look {
    /// Whether the node may hold the lock.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        match self {
            Look::Read { view, .. } => view.is_held(),
            Look::Failed(_) => true,
        }
    }

    /// What the node says, if that can be read.
    #[must_use]
    pub const fn slot(&self) -> Option<&Slot> {
        match self {
            Look::Read {
                view: View::Known(slot),
                ..
            } => Some(slot),
            _ => None,
        }
    }

    /// Whether something was written between the two, as far as that can be known.
    #[must_use]
    pub fn differs(&self, other: &Look) -> bool {
        match (self, other) {
            (Look::Read { block: a, .. }, Look::Read { block: b, .. }) => a != b,
            _ => false,
        }
    }
}
