//! What is on a shared disk, and how does an operator prepare it? Lock areas, read and written.
//!
//! ```text
//! device      whole blocks, direct and synchronous; what a lock area cannot be on is refused
//! signature   what else may be there
//! area        header and slots, as they are now
//! watch       who changes its slot: a living holder does
//! init, clear, trial   what `floatlock lock` does; each refuses rather than guesses
//! clerk       the process that reads and writes for an agent
//! drive       one disk: its clerk, and what is wrong with it
//! steward     what stands between the groups of an agent and its disks
//! ```
//! [`crate::wire::disk`] says what the bytes mean.

mod area;
mod clear;
pub mod clerk;
mod device;
mod drive;
mod init;
mod latency;
mod refused;
mod signature;
pub mod steward;
mod trial;
mod watch;

pub use area::{Area, Look};
pub use clear::{Cleared, Whose, clear};
pub use device::{Access, Blocks, Device, Medium};
pub use init::{Made, Plan, init};
pub use latency::{Latency, Summary};
pub use refused::{Doing, Refused, Why};
pub use signature::Signature;
pub use trial::{Other, Tried, Unseen, Wish, test};
pub use watch::{Watched, watch};
