//! `floatlock maintenance`: this node out of service, or back.

use std::process::ExitCode;
use std::time::Duration;

use crate::control::status::MaintenanceStatus;
use crate::control::{Maintained, Request, Response};
use crate::core::words::Length;

use super::args::{MaintenanceArgs, Switch};
use super::{print_json, talk};

pub(crate) fn maintenance(args: &MaintenanceArgs) -> ExitCode {
    let Some(switch) = args.switch else {
        return show(args);
    };
    let length = args.length.map(|length| length.as_millis());
    let request = Request::Maintenance {
        on: switch == Switch::On,
        for_ms: length.map(|millis| u64::try_from(millis).unwrap_or(u64::MAX)),
        force: args.force,
    };
    match talk::ask(&args.talk, &request) {
        Ok(Response::Maintenance { maintenance }) if args.talk.json => print_json(&maintenance),
        Ok(Response::Maintenance { maintenance }) => {
            report(&maintenance);
            ExitCode::SUCCESS
        }
        Ok(_) => talk::mismatch(),
        Err(code) => code,
    }
}

fn report(maintained: &Maintained) {
    println!("{}", sentence(maintained.on, maintained.left_ms));
    let lists = [
        ("handed over", &maintained.handed_over),
        ("given up, and nobody has taken over", &maintained.untaken),
    ];
    for (what, groups) in lists.into_iter().filter(|(_, groups)| !groups.is_empty()) {
        println!("{what}: {}", groups.join(" "));
    }
}

fn show(args: &MaintenanceArgs) -> ExitCode {
    let status = match talk::ask(&args.talk, &Request::Status {}) {
        Ok(Response::Status { status }) => status,
        Ok(_) => return talk::mismatch(),
        Err(code) => return code,
    };
    let maintenance = status.maintenance;
    let left_ms = maintenance
        .as_ref()
        .and_then(|m: &MaintenanceStatus| m.left_ms);
    if args.talk.json {
        return print_json(&serde_json::json!({ "on": maintenance.is_some(), "left_ms": left_ms }));
    }
    println!("{}", sentence(maintenance.is_some(), left_ms));
    ExitCode::SUCCESS
}

fn sentence(on: bool, left_ms: Option<u64>) -> String {
    match (on, left_ms) {
        (false, _) => "this node is in service".to_owned(),
        (true, None) => "this node is out of service until further notice".to_owned(),
        (true, Some(left)) => {
            let left = Length(Duration::from_millis(left));
            format!("this node is out of service for {left}")
        }
    }
}
