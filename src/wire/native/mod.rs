//! What does a heartbeat of Floatlock's own protocol say, and which ones count?
//!
//! One frame speaks for all groups of a node, as far as they fit: IP protocol 112, beginning with
//! `F1 00`, which to a VRRP router is an unknown version of virtual router 0. Network byte order,
//! fixed widths, no padding; format version 1:
//!
//! ```text
//!   at  bytes  header
//!    0    1    0xF1
//!    1    1    0
//!    2    1    format version: 1
//!    3    1    path: the sender's number of the line that it sends this frame on
//!    4    2    length of the whole frame, MAC included
//!    6    4    key id
//!   10    8    cluster id
//!   18    8    node: who speaks
//!   26   16    boot_id: 128 random bits, new at each start of the agent
//!   42    8    sequence: the number of the frame within this boot; what an echo names
//!   50    8    boot time: CLOCK_BOOTTIME of the sender as it sends, in nanoseconds
//!   58    8    digest of the voters
//!   66    8    digest of the groups
//!   74    8    digest of the timing
//!   82    8    digest of the rest of what the nodes should agree on
//!   90    2    h: how many entries of what the sender hears
//!   92    2    g: how many entries of groups
//!   94    4    template: the number of what is said of many groups, or 0
//!   98    4    advance: the nonces are by so much greater than those of the template
//!  102    2    the place of the first group of this frame in the template
//!  104    2    how many groups the template has
//!  106  50*h   what the sender hears
//!   ..  62*g   groups; without any, a frame with a template speaks of all of its groups
//!   ..   32    HMAC-SHA256 over all bytes before it
//!
//!   at  bytes  what the sender hears: one entry for a node and a path of that node
//!    0    8    node: who was heard
//!    8   16    boot_id of the latest frame
//!   24    8    sequence of the latest frame: the echo
//!   32    1    path that is written in that frame
//!   33    1    path of the sender of this entry by which it came in
//!   34   16    four templates of that boot that the sender of this entry remembers, 4 bytes each:
//!              the first has a number that 4 divides, the next leaves 1, 2, 3; or 0
//!
//!   at  bytes  a group; the ids of the groups of a frame rise from entry to entry
//!    0    8    group id
//!    8    1    number: the `id` of the file, 1 to 255
//!    9    1    role: 1 INIT, 2 BACKUP, 3 CANDIDATE, 4 MASTER, 5 RELEASING, 6 FAULT, 7 STOPPED,
//!              8 WITNESS
//!   10    1    priority, 1 to 254; the rank is (priority, node)
//!   11    1    statement: 0 nothing, 1 request, 2 ack, 3 resign, 4 ask, 5 refusal
//!   12    2    fitness: 0 is unfit, more is fitter
//!   14    8    digest of the addresses
//!   22    8    epoch: of the request, of the authority that is given up, else the highest known
//!   30   32    the statement
//!
//!              request                ack                      resign
//!   30         nonce, 8 bytes         boot_id of the           to (node), 8 bytes
//!   38         L, ns, 8 bytes           requester, 16 bytes    boot_id of the resigning
//!   46         holding: 0 or 1,       nonce, 8 bytes             one, 16 bytes
//!              zero                 zero                     nonce_last, 8 bytes
//!
//!              refusal                ask, nothing
//!   30         boot_id of the         zero
//!                requester, 16 bytes
//!   46         nonce, 8 bytes
//!   54         reason, 1 byte, zero
//! ```
//! A request is of the boot that the header names. The list of the voters is the same for all
//! groups of a node, and for as long as its agent runs, so its digest is in the header, where it
//! can also be compared while nobody requests anything.
//!
//! [`Heartbeat::emit`] writes a frame, [`decode`] judges one. It checks in this order and says the
//! first failure: length, magic, version, length again, cluster, key id, MAC, and only then the
//! rest, so that nothing of an unauthentic frame is ever interpreted. A later format keeps the
//! first six bytes.
//!
//! **Freshness** needs no clock: the sender of a frame counts as heard when an entry of what it
//! hears names our node, our boot and a sequence number that we sent a moment ago. Every frame of a
//! heartbeat that is split carries these entries, so each one proves itself.

mod bytes;
mod counters;
mod decode;
mod emit;
mod group;
mod header;
mod key;
mod name;
mod rejected;
mod template;

pub use counters::Counters;
pub use decode::{Expect, Frame, Received, decode, decode_of};
pub use emit::{Heartbeat, Unsendable, frames, max_groups, split};
pub use group::{Group, LEASE_MAX, Nonce, Role, Statement, Why};
pub use header::{BootId, Configuration, Header, Heard};
pub use key::{BadKey, KEY_LEN_MIN, KEY_TEXT_LEN_MAX, Key, KeyAge, KeyId, Keyring, MAC_LEN};
pub use name::{ClusterId, Digest, GroupId, NodeId};
pub use rejected::{Class, Rejected};
pub use template::{
    Learned, Reference, Remembered, TEMPLATE_GROUPS_MAX, TEMPLATES, Templates, remembers,
};

/// How a frame begins: version 15 and type 1 to a VRRP router, and a VRID that none has.
pub const MAGIC: [u8; 2] = [0xf1, 0];
/// The format that is described above.
pub const VERSION: u8 = 1;
/// The length of a frame without entries, its MAC left out.
pub const HEADER_LEN: usize = 106;
/// The length of an entry of what the sender hears.
pub const HEARD_LEN: usize = 50;
/// The length of an entry of a group.
pub const GROUP_LEN: usize = 62;
/// The length of the shortest frame.
pub const FRAME_LEN_MIN: usize = HEADER_LEN + MAC_LEN;
/// The length of the longest frame: what fits an IPv4 datagram.
pub const FRAME_LEN_MAX: usize = 65_535 - 20;
