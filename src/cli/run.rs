//! `floatlock run`: the agent.

use std::process::ExitCode;

use crate::agent;
use crate::config::{self, Failure, Paint};

use super::args::RunArgs;
use super::fail;

pub(crate) fn run(args: &RunArgs) -> ExitCode {
    let hostname = hostname();
    let loaded = match config::load(&args.config, &hostname) {
        Ok(loaded) => loaded,
        Err(failure) => return refuse(&failure),
    };
    let start = agent::Start {
        file: &args.config,
        hostname: &hostname,
        record: args.record.as_deref(),
    };
    match agent::run(start, loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.exit_code(), error),
    }
}

/// A configuration that cannot be used.
pub(crate) fn refuse(failure: &Failure) -> ExitCode {
    match failure {
        Failure::Invalid(problems) => {
            eprint!("{}", problems.render(paint()));
            fail(2, failure)
        }
        Failure::Unreadable(unreadable) => fail(2, unreadable),
    }
}

/// The default of `node.name`.
pub(crate) fn hostname() -> String {
    let name = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "localhost".to_owned())
}

/// Colours where a person reads.
pub(crate) fn paint() -> Paint {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() {
        Paint::Coloured
    } else {
        Paint::Plain
    }
}
