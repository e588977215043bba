//! Does the agent do on real hosts what it promises? Each test plays in a laboratory of its own.
//! Needs root.

// Helpers of tests are tests too, which the lints do not know.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod acd;
mod actions;
mod addresses;
mod agent;
mod announcements;
mod config;
mod disk_always;
mod elections;
mod exclusive;
mod failures;
mod freezes;
mod gate;
#[allow(dead_code)]
mod held;
mod hostile;
mod lease;
mod lines;
mod missed;
mod native;
mod native_hostile;
mod native_keys;
mod native_service;
mod passage;
mod recordings;
mod reference;
mod reloads;
mod renewal;
mod resumption;
mod returns;
mod shortest;
mod site;
mod stops;
mod systemd;
mod watchdog;
mod wire;

#[path = "../matrix/disk.rs"]
#[allow(dead_code)]
mod disk;
#[path = "../interop/pulse.rs"]
#[allow(dead_code)]
mod pulse;
#[path = "../gate/tamper.rs"]
#[allow(dead_code)]
mod tamper;

// The generator of broken frames, as it is used on the decoder.
#[path = "../wire/dice.rs"]
#[allow(dead_code)]
mod dice;
#[path = "../wire/mutation.rs"]
#[allow(dead_code)]
mod mutation;
#[path = "../wire/scene.rs"]
#[allow(dead_code)]
mod scene;
