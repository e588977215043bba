//! Is a script run as any process is, heard, and ended in time? Needs root.

// Helpers of tests are tests too, which the lints do not know.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "action/endings.rs"]
mod endings;
#[path = "action/inheritance.rs"]
mod inheritance;
#[path = "action/output.rs"]
mod output;
#[path = "action/refusals.rs"]
mod refusals;
#[path = "action/stage.rs"]
mod stage;
