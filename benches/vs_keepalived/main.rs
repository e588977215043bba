//! How does floatlock compare with keepalived? Both run in turn on the same namespaces; needs root.
//!
//! `cargo bench --bench vs_keepalived [-- CASE... --runs N]`; see `docs/benchmark.md`.

mod arguments;
mod case;
mod figures;
mod heal;
mod load;
mod many;
mod native;
mod planned;
mod stage;
mod takeover;
mod timeline;
mod usage;
// Threads that notice when a processor stands still.
#[path = "../../tests/interop/pulse.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used)]
mod pulse;

use std::process::ExitCode;

use arguments::Arguments;
use figures::Report;
use stage::{Failure, Stage};

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(text) => {
            println!("{text}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        // Missed targets too: this tells figures, tests demand them.
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("vs_keepalived: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut report = Report::new(arguments.json);
    let stage = Stage::new(&arguments.floatlock)?;
    pulse::start_processors();
    for case in &arguments.cases {
        let runs = arguments.runs.unwrap_or(case.runs);
        let rows = case.pairs(&stage, runs)?;
        report.take(rows);
    }
    report.end();
    Ok(())
}
