//! `floatlock demo`: a real failover before your eyes.

use std::process::ExitCode;

use super::args::{DemoArgs, ResponderArgs};
use super::fail;

pub(crate) fn demo(_args: &DemoArgs) -> ExitCode {
    fail(1, "x")
}

pub(crate) fn responder(_args: &ResponderArgs) -> ExitCode {
    fail(1, "x")
}
