//! Do the frames of the native heartbeat say what they are meant to say, and does no other frame
//! count? Golden frames, every check, and a hundred thousand broken ones.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod checks;
#[path = "../wire/dice.rs"]
#[allow(dead_code, reason = "shared with the tests of the other protocol")]
mod dice;
mod document;
mod golden;
mod mutants;
mod properties;
mod scene;
mod splitting;
mod templates;
