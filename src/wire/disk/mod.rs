//! What stands on a shared disk that several nodes use as a lock? The bytes of a lock area.
//!
//! An area is the first MiB of a device: 4096-byte blocks, little-endian, each ending in the CRC32C
//! of the 4092 bytes before it. Major version 1:
//!
//! ```text
//!  block  0          header, written by `lock init` alone
//!  block  1          its copy
//!  block  8 + 2i     slot of node number i, written by that node alone
//!  block  9 + 2i     test block of that node, written by `lock test` there
//!  others            zero
//!
//!   at  bytes  header                          at  bytes  slot
//!    0   16    "FLOATLOCK HEADER"               0   16    "FLOATLOCK SLOT", two zeroes
//!   16    2    major version: 1                16   16    area
//!   18    2    minor version: 0, 1                32    1    node number
//!   20    4    block length: 4096              33    1    flags: 1 HELD, 2 FREE, 4 CLEAN
//!   24   16    area: 128 random bits           34    2    zero
//!   40    8    made at, ms since 1970          36    4    digest of the groups
//!   48    4    lease, ms                       40   16    boot_id: 128 random bits, new at each
//!   52    4    wait, ms                                   start of the agent
//!   56    4    renewal, ms                     56    8    intent: a ballot
//!   60    1    n: how many nodes               64    8    owned: a ballot
//!   61    1    length of the cluster's name    72    8    seq: rises with every write
//!   62    ..   the cluster's name              80    8    boot clock, ms
//!   then n times:                              88    8    wall clock, ms since 1970
//!         1    number of the node              96   64    host name, filled up with zeroes
//!         1    length of its name
//!         ..   its name                        at  bytes  test block
//!   then  1    on how many disks the area is    0   16    "FLOATLOCK TEST", two zeroes
//!         1    which of them, from 0           16   16    area
//!                                              32    1    node number
//!  4092   4    CRC32C, in every block          33    3    zero
//!                                              36   16    run: 128 random bits
//!                                              52    8    counter: rises with every write
//!                                              60    8    wall clock, ms since 1970
//!                                              68   64    host name, filled up with zeroes
//! ```
//! The numbers of the nodes rise from entry to entry. On how many disks the area is: zero
//! for one (minor version 0), else 3 (1), all of them
//! of the same area and made together, each with a number of its own.
//!
//! A ballot is an epoch, `round * 64 + node`, and zero before the first. What is zero here may mean
//! something in a later minor version; readers look past it.
//!
//! **A slot that cannot be read is held.** So is one that was never written: `lock init` writes
//! every slot as FREE and CLEAN, and after that only [`View::Known`] says that a node holds nothing.

mod block;
mod bytes;
mod header;
mod malformed;
mod slot;
mod trial;

pub use block::{BLOCK_LEN, Block};
pub use header::{
    AreaId, CopyOf, Header, Headers, LEASE_MAX, LEASE_MIN, MAGIC, MAJOR, MINOR, Member, NODES_MAX,
    Times,
};
pub use malformed::Malformed;
pub use slot::{Host, SLOT_MAGIC, Slot, State, View};
pub use trial::{TRIAL_MAGIC, Trial};

/// The length of an area: room for 64 nodes, and for what a later version adds.
pub const AREA_LEN: u64 = 1 << 20;
/// Where the header is.
pub const HEADER_AT: u64 = 0;
/// Where its copy is.
pub const COPY_AT: u64 = 1;

/// The block of the slot of node number `node`.
#[must_use]
pub const fn slot_at(node: u8) -> u64 {
    8 + 2 * node as u64
}

/// The test block of node number `node`.
#[must_use]
pub const fn trial_at(node: u8) -> u64 {
    slot_at(node) + 1
}
