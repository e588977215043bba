//! `floatlock completions` and `floatlock man`: made from the table of arguments.

use std::io;
use std::process::ExitCode;

use clap::CommandFactory;

use super::args::{Args, CompletionsArgs, ManArgs};
use super::fail;

pub(crate) fn completions(args: &CompletionsArgs) -> ExitCode {
    clap_complete::generate(
        args.shell,
        &mut Args::command(),
        "floatlock",
        &mut io::stdout(),
    );
    ExitCode::SUCCESS
}

pub(crate) fn man(args: &ManArgs) -> ExitCode {
    let mut command = Args::command();
    command.build();
    let page = args.command.iter().try_fold(command, |command, name| {
        command.find_subcommand(name).cloned()
    });
    let Some(page) = page else {
        return fail(2, "there is no such command; `floatlock help` lists them");
    };
    match clap_mangen::Man::new(page).render(&mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, format!("writing the man page failed: {error}")),
    }
}
