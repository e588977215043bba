//! Does every command say what it did, by its exit code and in words? Needs root.

// Helpers of tests are tests too, which the lints do not know.
#![allow(clippy::unwrap_used, clippy::expect_used)]

// What is shared with the tests of the agent; each of the two uses a part of it.
#[path = "netns/agent.rs"]
#[allow(dead_code)]
mod agent;
#[path = "netns/config.rs"]
#[allow(dead_code)]
mod config;
#[path = "netns/site.rs"]
#[allow(dead_code)]
mod site;

#[path = "cli/control.rs"]
mod control;
#[path = "cli/refusals.rs"]
mod refusals;
#[path = "cli/words.rs"]
mod words;
