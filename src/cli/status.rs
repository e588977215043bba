//! `floatlock status`: who is MASTER, since when and why.

use std::process::ExitCode;
use std::time::Duration;

use crate::control::status::Status;
use crate::control::{Request, Response};
use crate::sys::clock;

use super::args::StatusArgs;
use super::{fail, talk};

const WATCH_EVERY: Duration = Duration::from_secs(1);

pub(crate) fn status(args: &StatusArgs) -> ExitCode {
    loop {
        if let Err(code) = once(args) {
            return code;
        }
        if !args.watch {
            return ExitCode::SUCCESS;
        }
        clock::sleep(WATCH_EVERY);
    }
}

fn once(args: &StatusArgs) -> Result<(), ExitCode> {
    let status = fetch(args)?;
    if args.talk.json {
        println!(
            "{}",
            serde_json::to_string(&status).map_err(|error| fail(1, error))?
        );
        return Ok(());
    }
    if args.watch {
        // Home, then clear to the end of the screen.
        print!("\x1b[H\x1b[J");
    }
    print!("{}", status.text());
    Ok(())
}

fn fetch(args: &StatusArgs) -> Result<Status, ExitCode> {
    let Response::Status { status } = talk::ask(&args.talk, &Request::Status {})? else {
        return Err(talk::mismatch());
    };
    let status = status.only(args.group.as_deref());
    match &args.group {
        Some(group) if status.groups.is_empty() => {
            Err(fail(1, format!("the agent runs no group {group}")))
        }
        _ => Ok(status),
    }
}
