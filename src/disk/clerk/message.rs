//! What do the agent and a clerk say to each other? One message a packet.
//!
//! ```text
//!  at  bytes                 kind, to the clerk        kind, from it
//!   0    1   kind             1 read all slots          1 ready: the number, the header's block
//!   1    1   number of slot   2 write the own slot:     2 another process has the slot: waiting
//!   2    6   zero               its block               3 a slot: the number, its block
//!   8    8   op                                         4 all slots were read
//!  16   ..   block, or text                             5 the write has landed
//!                                                       6 failed: why
//!                                                       7 refused, and gone: why
//! ```
//! Both ends are the same program, so that bytes that say nothing are a fault and end the clerk.

use crate::core::disk::Op;
use crate::wire::disk::{BLOCK_LEN, Block};

const HEAD: usize = 16;
/// The longest message.
pub(super) const LEN: usize = HEAD + BLOCK_LEN;
/// The longest reason that is passed on.
const TEXT_LEN: usize = 1024;

/// What the agent wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// All slots, in the order of their numbers.
    Read(Op),
    /// The own slot.
    Write(Op, Box<Block>),
}

/// What the clerk says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has the device open and the slot of this number to itself; the header as it was read.
    Ready(u8, Box<Block>),
    /// Another process of this host has the slot, perhaps one that hangs: it waits for its end.
    Waits,
    /// One of the slots that were asked for.
    Slot(Op, u8, Box<Block>),
    /// That were all.
    Read(Op),
    /// The block is on the medium.
    Written(Op),
    /// The medium said no; what was written may be there all the same.
    Failed(Op, String),
    /// The device cannot be used, and the clerk is gone.
    Refused(String),
}

impl Ask {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Read(op) => message(1, 0, *op, &[]),
            Self::Write(op, block) => message(2, 0, *op, block.bytes()),
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, _, op, rest) = parts(bytes)?;
        match kind {
            1 if rest.is_empty() => Some(Self::Read(op)),
            2 => Some(Self::Write(op, block(rest)?)),
            _ => None,
        }
    }
}

impl Answer {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready(number, header) => message(1, *number, 0, header.bytes()),
            Self::Waits => message(2, 0, 0, &[]),
            Self::Slot(op, number, block) => message(3, *number, *op, block.bytes()),
            Self::Read(op) => message(4, 0, *op, &[]),
            Self::Written(op) => message(5, 0, *op, &[]),
            Self::Failed(op, why) => message(6, 0, *op, short(why)),
            Self::Refused(why) => message(7, 0, 0, short(why)),
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, number, op, rest) = parts(bytes)?;
        let text = || String::from_utf8_lossy(rest).into_owned();
        match kind {
            1 => Some(Self::Ready(number, block(rest)?)),
            2 => Some(Self::Waits),
            3 => Some(Self::Slot(op, number, block(rest)?)),
            4 => Some(Self::Read(op)),
            5 => Some(Self::Written(op)),
            6 => Some(Self::Failed(op, text())),
            7 => Some(Self::Refused(text())),
            _ => None,
        }
    }
}

fn message(kind: u8, number: u8, op: Op, rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + rest.len());
    bytes.extend([kind, number, 0, 0, 0, 0, 0, 0]);
    bytes.extend(op.to_le_bytes());
    bytes.extend(rest);
    bytes
}

fn parts(bytes: &[u8]) -> Option<(u8, u8, Op, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let (kind, op) = head.split_first_chunk::<8>()?;
    Some((
        kind[0],
        kind[1],
        Op::from_le_bytes(op.try_into().ok()?),
        rest,
    ))
}

fn block(bytes: &[u8]) -> Option<Box<Block>> {
    let mut block = Box::<Block>::default();
    block.bytes_mut().copy_from_slice(bytes.get(..BLOCK_LEN)?);
    (bytes.len() == BLOCK_LEN).then_some(block)
}

fn short(text: &str) -> &[u8] {
    let bytes = text.as_bytes();
    &bytes[..bytes.len().min(TEXT_LEN)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks() -> Box<Block> {
        let mut block = Box::<Block>::default();
        block.bytes_mut()[..3].copy_from_slice(b"abc");
        block.seal();
        block
    }

    #[test]
    fn what_is_said_is_understood() {
        for ask in [Ask::Read(7), Ask::Write(u64::MAX, blocks())] {
            assert_eq!(Ask::decode(&ask.encode()), Some(ask));
        }
        let answers = [
            Answer::Ready(63, blocks()),
            Answer::Waits,
            Answer::Slot(1, 2, blocks()),
            Answer::Read(1),
            Answer::Written(2),
            Answer::Failed(3, "no".into()),
            Answer::Refused(String::new()),
        ];
        for answer in answers {
            let bytes = answer.encode();
            assert!(bytes.len() <= LEN);
            assert_eq!(Answer::decode(&bytes), Some(answer));
        }
    }

    #[test]
    fn a_long_reason_is_cut() {
        let answer = Answer::Failed(1, "é".repeat(5000)).encode();
        assert!(answer.len() <= LEN);
        assert!(matches!(
            Answer::decode(&answer),
            Some(Answer::Failed(1, _))
        ));
    }

    proptest! {
        #[test]
        fn bytes_that_say_nothing_are_no_message(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            // No block fits in there.
            let ask = Ask::decode(&bytes);
            prop_assert!(matches!(ask, None | Some(Ask::Read(_))));
            prop_assert!(!matches!(
                Answer::decode(&bytes),
                Some(Answer::Slot(..) | Answer::Ready(..))
            ));
        }
    }
}
