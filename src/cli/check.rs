//! `floatlock check`: is the file good, and what follows from it?

use std::process::ExitCode;

use serde_json::json;

use crate::config::{self, Failure, Loaded, Problems};

use super::args::CheckArgs;
use super::run::{hostname, paint, refuse};

pub(crate) fn check(args: &CheckArgs) -> ExitCode {
    match config::load(&args.config, &hostname()) {
        Ok(loaded) => good(args, &loaded),
        Err(Failure::Invalid(problems)) if args.json => {
            println!("{}", json!({ "problems": problems.rows() }));
            ExitCode::from(2)
        }
        Err(failure) => refuse(&failure),
    }
}

fn good(args: &CheckArgs, loaded: &Loaded) -> ExitCode {
    let summary = config::summary(&loaded.config);
    let missing = missing_interfaces(loaded);
    if args.json {
        let json = json!({
            "problems": loaded.warnings.rows(),
            "missing_interfaces": missing,
            "derived": summary,
        });
        println!("{json}");
    } else {
        warn(&loaded.warnings, &missing);
        for line in summary.lines() {
            println!("{line}");
        }
    }
    let good = loaded.warnings.is_empty() && missing.is_empty();
    ExitCode::from(u8::from(!good))
}

fn warn(warnings: &Problems, missing: &[String]) {
    eprint!("{}", warnings.render(paint()));
    for name in missing {
        eprintln!(
            "warning: there is no interface {name} on this host; `floatlock run` refuses to start \
             without it"
        );
    }
}

/// The file may be meant for another host: a warning, no more.
fn missing_interfaces(loaded: &Loaded) -> Vec<String> {
    let groups = loaded.config.groups.iter();
    let mut names: Vec<&str> = groups
        .flat_map(|group| {
            let paths = group.paths.iter().map(|path| path.interface.as_str());
            paths.chain(
                group
                    .all_addresses()
                    .map(|address| address.interface.as_str()),
            )
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let is_missing = |name: &&str| nix::net::if_::if_nametoindex(*name).is_err();
    names
        .into_iter()
        .filter(is_missing)
        .map(str::to_owned)
        .collect()
}
