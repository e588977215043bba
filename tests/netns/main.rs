//! Does the agent do on real hosts what it promises? Each test plays in a laboratory of its own.
//! Needs root.

// Helpers of tests are tests too, which the lints do not know.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod addresses;
mod agent;
mod announcements;
mod config;
mod elections;
mod failures;
mod freezes;
mod lines;
mod reloads;
mod returns;
mod site;
mod stops;
