//! Floatlock: a high-availability agent for virtual IP addresses on Linux.

pub mod agent;
pub mod cli;
pub mod config;
pub mod control;
pub mod core;
pub mod lab;
pub mod net;
pub mod sys;
pub mod wire;
