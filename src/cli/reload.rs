//! `floatlock reload`: as SIGHUP, but it reports.

use std::process::ExitCode;

use crate::control::{Reloaded, Request, Response};

use super::args::TalkArgs;
use super::{print_json, talk};

pub(crate) fn reload(args: &TalkArgs) -> ExitCode {
    match talk::ask(args, &Request::Reload {}) {
        Ok(Response::Reload { reload }) if args.json => print_json(&reload),
        Ok(Response::Reload { reload }) => {
            report(&reload);
            ExitCode::SUCCESS
        }
        Ok(_) => talk::mismatch(),
        Err(code) => code,
    }
}

fn report(reload: &Reloaded) {
    eprint!("{}", reload.warnings);
    let lists = [
        ("added", &reload.added),
        ("removed", &reload.removed),
        ("changed", &reload.changed),
    ];
    for (what, groups) in lists.into_iter().filter(|(_, groups)| !groups.is_empty()) {
        println!("{what}: {}", groups.join(" "));
    }
    println!("unchanged: {} group(s)", reload.unchanged);
}
