//! `floatlock lock clear`: a dead node's slot freed.

use std::process::ExitCode;

use serde_json::json;

use super::super::args::LockClearArgs;
use super::super::print_json;
use super::super::run::hostname;
use super::refused;
use crate::disk::{self, Whose};

pub(crate) fn clear(args: &LockClearArgs) -> ExitCode {
    // One of the two is there, which clap sees to.
    let whose = args.node.as_deref().map_or(Whose::All, Whose::Node);
    let cleared = match disk::clear(&args.device, whose, args.force, &hostname()) {
        Ok(cleared) => cleared,
        Err(why) => return refused(&why),
    };
    if args.json {
        return print_json(&json!({
            "cleared": cleared.cleared,
            "were_free": cleared.were_free,
        }));
    }
    for node in &cleared.cleared {
        println!("the slot of {node} was cleared");
    }
    for node in &cleared.were_free {
        println!("the slot of {node} is free already");
    }
    ExitCode::SUCCESS
}
