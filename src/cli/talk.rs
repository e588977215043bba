//! How is the running agent found and asked?

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config;
use crate::control::{Request, Response, client};

use super::args::TalkArgs;
use super::fail;
use super::run::{hostname, refuse};

/// The answer, or the exit code of an error that has been printed.
pub(crate) fn ask(args: &TalkArgs, request: &Request) -> Result<Response, ExitCode> {
    let runtime_dir = runtime_dir(args)?;
    match client::ask(&runtime_dir, request) {
        Ok(Response::Error { error, code }) => Err(fail(code, error)),
        Ok(response) => Ok(response),
        Err(error) => Err(fail(error.exit_code(), error)),
    }
}

fn runtime_dir(args: &TalkArgs) -> Result<PathBuf, ExitCode> {
    if let Some(dir) = &args.runtime_dir {
        return Ok(dir.clone());
    }
    let loaded = config::load_keyless(&args.config, &hostname());
    loaded
        .map(|loaded| loaded.config.node.runtime_dir)
        .map_err(|failure| {
            eprintln!("floatlock: the configuration, which says where the agent's socket is:");
            let code = refuse(&failure);
            eprintln!("floatlock: name the runtime directory with --runtime-dir instead");
            code
        })
}

/// What came is no answer to what was asked: the agent is of another version.
pub(crate) fn mismatch() -> ExitCode {
    fail(
        1,
        "the agent answered something else than it was asked: is it of another version?",
    )
}
