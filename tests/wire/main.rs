//! Do our bytes mean what others take them to mean? Frames of keepalived, a hundred thousand
//! broken ones, tshark's opinion, and the kernel's on our socket filter.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod checks;
mod dice;
mod golden;
mod kernel;
mod mutation;
mod properties;
mod scene;
mod tshark;
mod weather;
