//! `floatlock switchover`: a planned move to another node.

use std::process::ExitCode;
use std::time::Duration;

use crate::control::{Request, Response};
use crate::core::words::Length;

use super::args::SwitchoverArgs;
use super::{print_json, talk};

pub(crate) fn switchover(args: &SwitchoverArgs) -> ExitCode {
    let request = Request::Switchover {
        group: args.group.clone(),
        to: args.to.clone(),
        force: args.force,
    };
    let moved = match talk::ask(&args.talk, &request) {
        Ok(Response::Switchover { switchover }) => switchover,
        Ok(_) => return talk::mismatch(),
        Err(code) => return code,
    };
    if args.talk.json {
        return print_json(&moved);
    }
    let took = Length(Duration::from_millis(moved.took_ms));
    println!(
        "{}: {} holds the addresses, after {took}",
        moved.group, moved.to
    );
    ExitCode::SUCCESS
}
