//! What is a block? 4096 bytes, aligned for direct I/O, that end in their own checksum.

use std::fmt;

use super::Malformed;

/// The length of a block, whatever the medium's own blocks are: 512e and 4Kn disks write it whole.
pub const BLOCK_LEN: usize = 4096;
/// Where the checksum is.
const SUM_AT: usize = BLOCK_LEN - 4;

/// The bytes of a block.
#[derive(Clone, PartialEq, Eq)]
#[repr(C, align(4096))]
pub struct Block([u8; BLOCK_LEN]);

impl Block {
    /// Nothing was ever written there, or it was wiped.
    pub const ZERO: Block = Block([0; BLOCK_LEN]);

    /// All of them.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; BLOCK_LEN] {
        &self.0
    }

    /// All of them, to read into.
    pub const fn bytes_mut(&mut self) -> &mut [u8; BLOCK_LEN] {
        &mut self.0
    }

    /// Writes the checksum of the rest to the end.
    pub fn seal(&mut self) {
        let sum = self.sum();
        self.0[SUM_AT..].copy_from_slice(&sum.to_le_bytes());
    }

    fn sum(&self) -> u32 {
        crc32c::crc32c(&self.0[..SUM_AT])
    }

    /// What stands before the checksum, if that is right.
    pub(super) fn sealed(&self) -> Result<&[u8], Malformed> {
        let [body @ .., a, b, c, d] = &self.0;
        let (stored, computed) = (u32::from_le_bytes([*a, *b, *c, *d]), self.sum());
        match stored == computed {
            true => Ok(body),
            false => Err(Malformed::Checksum { stored, computed }),
        }
    }

    /// Whether it begins like this; the rest may be anything.
    pub(super) fn begins(&self, magic: [u8; 16], what: &'static str) -> Result<(), Malformed> {
        if self.0.starts_with(&magic) {
            return Ok(());
        }
        match self.0.iter().all(|byte| *byte == 0) {
            true => Err(Malformed::Blank),
            false => Err(Malformed::Magic { what }),
        }
    }

    /// What stands before the checksum.
    pub(super) fn body_mut(&mut self) -> &mut [u8] {
        &mut self.0[..SUM_AT]
    }
}

impl Default for Block {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({:08x})", self.sum())
    }
}
