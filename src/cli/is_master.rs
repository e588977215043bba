//! `floatlock is-master`: the question of scripts.

use std::process::ExitCode;

use crate::control::{Request, Response};

use super::args::IsMasterArgs;
use super::{fail, talk};

pub(crate) fn is_master(args: &IsMasterArgs) -> ExitCode {
    let status = match talk::ask(&args.talk, &Request::Status {}) {
        Ok(Response::Status { status }) => status,
        Ok(_) => return talk::mismatch(),
        // Everything that is not an answer is "no agent" to a script; 1 would mean "not MASTER".
        Err(_) => return ExitCode::from(3),
    };
    let Some(group) = status.groups.iter().find(|group| group.name == args.group) else {
        return fail(1, format!("the agent runs no group {}", args.group));
    };
    if args.talk.json {
        let answer = serde_json::json!({ "group": group.name, "role": group.role });
        println!("{answer}");
    }
    ExitCode::from(u8::from(group.role != "MASTER"))
}
