//! How is a field taken from a block, and put into one? In order, little-endian.

/// Takes fields from the front; none when they are not all there.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// As many bytes as the byte before them says.
    pub(super) fn counted(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(self.byte()?);
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(text)
    }
}

/// Puts fields to the front of what is left; none when there is no room.
pub(super) struct Room<'a>(pub(super) &'a mut [u8]);

impl Room<'_> {
    pub(super) fn put(&mut self, field: &[u8]) -> Option<()> {
        let (place, rest) = std::mem::take(&mut self.0).split_at_mut_checked(field.len())?;
        place.copy_from_slice(field);
        self.0 = rest;
        Some(())
    }

    pub(super) fn byte(&mut self, byte: u8) -> Option<()> {
        self.put(&[byte])
    }

    pub(super) fn u16(&mut self, number: u16) -> Option<()> {
        self.put(&number.to_le_bytes())
    }

    pub(super) fn u32(&mut self, number: u32) -> Option<()> {
        self.put(&number.to_le_bytes())
    }

    pub(super) fn u64(&mut self, number: u64) -> Option<()> {
        self.put(&number.to_le_bytes())
    }

    pub(super) fn counted(&mut self, text: &[u8]) -> Option<()> {
        self.byte(u8::try_from(text.len()).ok()?)?;
        self.put(text)
    }
}
