//! Does a host fall silent before another one answers, whatever happens to it? A client asks every
//! host by its MAC, every 2 ms, by echo, ARP and neighbour discovery. Needs root.
//!
//! `FLOATLOCK_RUNS=50 cargo test --test leases -- --nocapture` plays each row so often, one at a
//! time, and prints a table; with `FLOATLOCK_WAY="vrrp3 30 ms"` in that way of speaking only, and with
//! `FLOATLOCK_TELL=20` what everybody said in runs in which nobody answered for longer than that, in ms. See
//! `docs/benchmark.md`.

// Helpers of tests are tests too, which the lints do not know.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod gateway;
mod hog;
mod outcome;
mod rows;
mod series;
mod stage;

// What is shared with the other tests of the agent; each uses a part of it.
#[path = "../netns/agent.rs"]
#[allow(dead_code)]
mod agent;
#[path = "../netns/config.rs"]
#[allow(dead_code)]
mod config;
#[path = "../interop/pulse.rs"]
#[allow(dead_code)]
mod pulse;
#[path = "../interop/report.rs"]
#[allow(dead_code)]
mod report;
#[path = "../netns/site.rs"]
#[allow(dead_code)]
mod site;
