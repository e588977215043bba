//! `floatlock launch-script`: becomes a script of the operator, for the agent.

use std::process::ExitCode;

use crate::action::launch::{Launch, launch};

use super::args::LaunchScriptArgs;
use super::fail;

pub(crate) fn launch_script(args: LaunchScriptArgs) -> ExitCode {
    let failure = launch(Launch {
        cgroup: args.cgroup,
        user: args.user,
        program: args.program,
        args: args.args,
    });
    fail(failure.exit_code(), failure)
}
