//! Who may speak in this cluster? Keys, and the sum that only their owners can make.

use std::fmt;

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The fewest bytes of a key: as strong as the sum itself.
pub const KEY_LEN_MIN: usize = 32;
/// The most bytes of what a key is read from.
pub const KEY_TEXT_LEN_MAX: usize = 1024;
/// The length of the sum at the end of a frame.
pub const MAC_LEN: usize = 32;

/// What a key's id is the sum of. No frame begins like this.
const ID_LABEL: &[u8] = b"floatlock key id";

/// A secret that all nodes of a cluster share, prepared for use.
#[derive(Clone)]
pub struct Key {
    id: KeyId,
    prepared: Hmac<Sha256>,
}

/// Which key a frame is signed with: the first four bytes of HMAC-SHA256(key, `floatlock key id`),
/// so that nobody has to number keys, and it says nothing about the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// Why something is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Fewer bytes than [`KEY_LEN_MIN`]; of base64, those that it says.
    #[error("a key of {0} bytes instead of {KEY_LEN_MIN} or more")]
    Short(usize),
    /// More bytes than [`KEY_TEXT_LEN_MAX`].
    #[error("more than {KEY_TEXT_LEN_MAX} bytes")]
    Long,
    /// Text that is no base64. A passphrase is no key: who records one frame can try them all.
    #[error("text, but not base64")]
    NotBase64,
}

impl Key {
    /// The key that these bytes are.
    ///
    /// # Errors
    /// [`BadKey::Short`].
    #[expect(clippy::expect_used, reason = "RFC 2104: a key of any length")]
    pub fn new(bytes: &[u8]) -> Result<Self, BadKey> {
        if bytes.len() < KEY_LEN_MIN {
            return Err(BadKey::Short(bytes.len()));
        }
        let prepared = Hmac::<Sha256>::new_from_slice(bytes).expect("any length");
        let [a, b, c, d, ..] = sum(&prepared, ID_LABEL);
        let id = KeyId([a, b, c, d]);
        Ok(Self { id, prepared })
    }

    /// The key that the content of a file stands for: text is base64 (spaces and ends of lines do
    /// not count), anything else is the key itself.
    ///
    /// Text is never a key itself, or a passphrase would be one, and two nodes would have different
    /// keys if one editor ends the line and another does not. 32 random bytes look like text once
    /// in 10^13 times.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn read(content: &[u8]) -> Result<Self, BadKey> {
        if content.len() > KEY_TEXT_LEN_MAX {
            return Err(BadKey::Long);
        }
        let is_text = |b: &u8| b.is_ascii_graphic() || b.is_ascii_whitespace();
        if !content.iter().all(is_text) {
            return Self::new(content);
        }
        let spaceless = content.iter().filter(|b| !b.is_ascii_whitespace());
        let digits: Vec<u8> = spaceless.copied().collect();
        let mut room = [0; KEY_TEXT_LEN_MAX];
        let bytes = Base64::decode(&digits, &mut room).map_err(|_| BadKey::NotBase64)?;
        Self::new(bytes)
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// HMAC-SHA256 of these bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; MAC_LEN] {
        sum(&self.prepared, bytes)
    }

    /// Takes as long for a wrong first byte as for a wrong last one.
    fn signed(&self, bytes: &[u8], mac: &[u8; MAC_LEN]) -> bool {
        let sum = self.prepared.clone().chain_update(bytes);
        sum.verify_slice(mac).is_ok()
    }
}

/// A key shows its id only.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

fn sum(prepared: &Hmac<Sha256>, bytes: &[u8]) -> [u8; MAC_LEN] {
    let sum = prepared.clone().chain_update(bytes);
    sum.finalize().into_bytes().into()
}

/// Which of the two keys a frame came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyAge {
    /// The one that we sign with.
    Current,
    /// The one that is also accepted, during a change.
    Old,
}

/// The keys of a node: it signs with one and accepts up to two.
#[derive(Clone, Debug)]
pub struct Keyring {
    current: Key,
    old: Option<Key>,
}

impl Keyring {
    /// A node that signs with `current` and accepts `old` as well.
    #[must_use]
    pub const fn new(current: Key, old: Option<Key>) -> Self {
        Self { current, old }
    }

    /// The key that is signed with.
    #[must_use]
    pub const fn current(&self) -> &Key {
        &self.current
    }

    fn all(&self) -> impl Iterator<Item = (KeyAge, &Key)> {
        let old = self.old.as_ref().map(|key| (KeyAge::Old, key));
        std::iter::once((KeyAge::Current, &self.current)).chain(old)
    }

    /// Whether a key of this id is accepted.
    #[must_use]
    pub fn knows(&self, id: KeyId) -> bool {
        self.all().any(|(_, key)| key.id == id)
    }

    /// The key of this id that `mac` over `bytes` was made with. (Two keys may share an id, once in
    /// four thousand million changes; then either is tried.)
    #[must_use]
    pub fn verify(&self, id: KeyId, bytes: &[u8], mac: &[u8; MAC_LEN]) -> Option<KeyAge> {
        self.all()
            .filter(|(_, key)| key.id == id)
            .find(|(_, key)| key.signed(bytes, mac))
            .map(|(age, _)| age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 32] = *b"\x00\x01\x02\x03456789abcdefghijklmnopqrstuv";

    fn key(byte: u8) -> Key {
        Key::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_key_has_32_bytes_or_more() {
        assert_eq!(Key::new(&[7; 31]).unwrap_err(), BadKey::Short(31));
        assert_eq!(Key::read(&[0; 31]).unwrap_err(), BadKey::Short(31));
        assert!(Key::new(&[7; 32]).is_ok());
        assert!(Key::new(&[7; 200]).is_ok());
        assert_eq!(Key::read(&[]).unwrap_err(), BadKey::Short(0));
        assert_eq!(Key::read(&[0; 1025]).unwrap_err(), BadKey::Long);
        assert!(Key::read(&[0; 1024]).is_ok());
    }

    #[test]
    fn base64_is_the_key_that_it_stands_for_however_its_lines_end() {
        let raw = Key::read(&BYTES).unwrap().id();
        for text in [
            "AAECAzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=",
            "AAECAzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=\n",
            "AAECAzQ1Njc4OWFiY2Rl\r\nZmdoaWprbG1ub3BxcnN0dXY=\r\n",
        ] {
            assert_eq!(Key::read(text.as_bytes()).unwrap().id(), raw, "{text:?}");
        }
    }

    #[test]
    fn text_that_is_not_base64_is_no_key() {
        for text in [
            "correct horse battery staple, and so on and on",
            "secret\n",
            "AAECAzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY", // not padded
            "AAECAzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXZ=", // bits behind the end
        ] {
            assert_eq!(Key::read(text.as_bytes()).unwrap_err(), BadKey::NotBase64);
        }
        let short = Key::read(b"AAECAzQ1Njc4OWFiY2RlZmdoaWprbG1ub3Bx").unwrap_err();
        assert_eq!(short, BadKey::Short(27));
    }

    /// RFC 4231, test case 6: the longest key of those.
    #[test]
    fn rfc4231_the_sum_is_hmac_sha256() {
        let key = Key::new(&[0xaa; 131]).unwrap();
        let sum = key.sign(b"Test Using Larger Than Block-Size Key - Hash Key First");
        let start = [0x60, 0xe4, 0x31, 0x59, 0x1e, 0xe0, 0xb6, 0x7f];
        assert_eq!(sum[..8], start);
    }

    #[test]
    fn a_key_shows_its_id_only() {
        let key = key(7);
        assert_eq!(format!("{key:?}"), format!("Key({})", key.id()));
        assert_eq!(KeyId([0, 1, 2, 0xff]).to_string(), "000102ff");
    }

    #[test]
    fn two_keys_are_accepted_and_no_third() {
        let ring = Keyring::new(key(1), Some(key(2)));
        let verify = |key: &Key| ring.verify(key.id(), b"frame", &key.sign(b"frame"));
        assert_eq!(verify(&key(1)), Some(KeyAge::Current));
        assert_eq!(verify(&key(2)), Some(KeyAge::Old));
        assert_eq!(verify(&key(3)), None);
        assert!(ring.knows(key(2).id()) && !ring.knows(key(3).id()));
        let forged = ring.verify(key(1).id(), b"frame", &key(2).sign(b"frame"));
        assert_eq!(forged, None, "the id names the key");
        assert_eq!(ring.verify(key(1).id(), b"frame", &[0; 32]), None);
    }
}
