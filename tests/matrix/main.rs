//! What does each way of fencing survive? Two racks with a trunk between them and a client in each, real agents,
//! a gateway, a witness or a shared disk, and one fault after the other. Needs root.
//!
//! `FLOATLOCK_RUNS=20 cargo test --test matrix -- --nocapture --test-threads=1` plays each fault so often in each
//! mode and prints the table of the README; without it each is played once. `FLOATLOCK_MODES="disk lock; witness"` plays
//! those columns alone. See `docs/fault-matrix.md`.

// Helpers of tests are tests too, which the lints do not know.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod disk;
mod field;
mod rows;
mod table;

// What is shared with the other tests of the agent; each uses a part of it.
#[path = "../netns/agent.rs"]
#[allow(dead_code)]
mod agent;
#[path = "../netns/config.rs"]
#[allow(dead_code)]
mod config;
#[path = "../netns/held.rs"]
#[allow(dead_code)]
mod held;
#[path = "../interop/pulse.rs"]
#[allow(dead_code)]
mod pulse;
#[path = "../netns/site.rs"]
#[allow(dead_code)]
mod site;
