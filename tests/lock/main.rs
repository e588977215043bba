//! Is the disk lock's area what it says, and do its commands refuse what they should? Needs root and,
//! for some, loop devices.

// Helpers of tests are tests too, which the lints do not know.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod clerk;
mod commands;
#[path = "../wire/dice.rs"]
#[allow(dead_code, reason = "shared with the tests of the protocols")]
mod dice;
mod garbage;
mod golden;
mod properties;
mod refusals;
mod scene;
mod stage;
mod steward;
