//! `floatlock demo`: a real failover before your eyes.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use crate::lab::demo::{self, Options, Scenario};
use crate::lab::responder;

use super::args::{DemoArgs, ResponderArgs};
use super::fail;

pub(crate) fn demo(args: &DemoArgs) -> ExitCode {
    if args.list {
        for scenario in Scenario::ALL {
            println!("{:<12} {}", scenario.name(), scenario.about());
        }
        return ExitCode::SUCCESS;
    }
    let scenario = match args.scenario.parse() {
        Ok(scenario) => scenario,
        Err(error) => return fail(2, error),
    };
    let floatlock = match std::env::current_exe() {
        Ok(path) => path,
        Err(error) => {
            return fail(
                1,
                format!("finding this program's own file failed: {error}"),
            );
        }
    };
    let options = Options {
        scenario,
        colour: io::stdout().is_terminal(),
        ..Options::new(floatlock)
    };
    let ended = demo::run(&options, &mut io::stdout(), &mut io::stderr());
    ExitCode::from(ended.code())
}

pub(crate) fn responder(args: &ResponderArgs) -> ExitCode {
    match responder::serve(&args.name, args.listen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, format!("answering on {}: {error}", args.listen)),
    }
}
