//! What does a Floatlock heartbeat of its own protocol say?

mod key;
mod name;

pub use key::{BadKey, KEY_LEN_MIN, KEY_TEXT_LEN_MAX, Key, KeyAge, KeyId, Keyring, MAC_LEN};
pub use name::{ClusterId, Digest, GroupId, NodeId};
