//! Arguments as typed become arguments as meant; one file a command.

mod args;
mod check;
mod demo;
mod disks;
mod gate;
mod is_master;
mod launch_script;
mod lock;
mod maintenance;
mod print;
mod release;
mod reload;
mod run;
mod scripts;
mod status;
mod switchover;
mod talk;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// Runs the command that the arguments ask for.
#[must_use]
pub fn main() -> ExitCode {
    match Args::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Status(args) => status::status(&args),
        Command::IsMaster(args) => is_master::is_master(&args),
        Command::Reload(args) => reload::reload(&args),
        Command::Switchover(args) => switchover::switchover(&args),
        Command::Maintenance(args) => maintenance::maintenance(&args),
        Command::Release(args) => release::release(&args),
        Command::Lock(args) => lock::lock(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Completions(args) => print::completions(&args),
        Command::Man(args) => print::man(&args),
        Command::LabResponder(args) => demo::responder(&args),
        Command::DiskClerk(args) => lock::clerk(&args),
        Command::LaunchScript(args) => launch_script::launch_script(args),
    }
}

/// An error on standard error, and the exit code that goes with it.
fn fail(code: u8, error: impl std::fmt::Display) -> ExitCode {
    eprintln!("floatlock: {error}");
    ExitCode::from(code)
}

/// An answer as one line of JSON.
fn print_json(answer: &impl serde::Serialize) -> ExitCode {
    match serde_json::to_string(answer) {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(1, error),
    }
}
