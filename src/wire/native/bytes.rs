//! How is a field taken from a buffer, and put into one? In order, in network byte order.

/// Takes fields from the front. The caller has checked that they are all there.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        let field = self.0.split_first_chunk();
        debug_assert!(field.is_some(), "the length was checked");
        let (field, rest) = field.unwrap_or((&[0; N], &[]));
        self.0 = rest;
        *field
    }

    pub(super) fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    pub(super) fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub(super) fn word(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    pub(super) fn long(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }
}

/// Puts fields to the front of what is left. The caller has checked that there is room for them.
pub(super) struct Room<'a>(pub(super) &'a mut [u8]);

impl Room<'_> {
    pub(super) fn put<const N: usize>(&mut self, field: [u8; N]) {
        let room = std::mem::take(&mut self.0).split_first_chunk_mut();
        debug_assert!(room.is_some(), "the room was checked");
        if let Some((place, rest)) = room {
            *place = field;
            self.0 = rest;
        }
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.put([byte]);
    }

    pub(super) fn short(&mut self, short: u16) {
        self.put(short.to_be_bytes());
    }

    pub(super) fn word(&mut self, word: u32) {
        self.put(word.to_be_bytes());
    }

    pub(super) fn long(&mut self, long: u64) {
        self.put(long.to_be_bytes());
    }
}
