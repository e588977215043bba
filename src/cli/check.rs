//! `floatlock check`: is the file good, and what follows from it?

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::config::{self, Failure, Loaded, Problems, Severity};

use super::args::CheckArgs;
use super::disks::{self, Looked};
use super::gate::Gate;
use super::run::{hostname, paint, refuse};
use super::scripts::{self, Finding};

pub(crate) fn check(args: &CheckArgs) -> ExitCode {
    let hostname = hostname();
    let peers: Vec<_> = args
        .peer
        .iter()
        .map(|file| config::load(file, &hostname))
        .collect();
    match config::load(&args.config, &hostname) {
        Ok(loaded) => good(args, &loaded, &peers),
        Err(failure) => bad(args, &failure, &peers),
    }
}

/// What is wrong with the peers' files too, though there is nothing to hold them against.
fn bad(args: &CheckArgs, failure: &Failure, peers: &[Result<Loaded, Failure>]) -> ExitCode {
    let found = all(peers, |peer| peer.warnings.clone());
    match failure {
        Failure::Invalid(problems) if args.json => {
            println!(
                "{}",
                json!({ "problems": problems.rows(), "peers": rows(&found) })
            );
            ExitCode::from(2)
        }
        _ => {
            show_peers(&found);
            refuse(failure)
        }
    }
}

fn good(args: &CheckArgs, loaded: &Loaded, peers: &[Result<Loaded, Failure>]) -> ExitCode {
    let gate = Gate::of(&loaded.config);
    let summary = config::summary(&gate.as_it_is());
    let missing = missing_interfaces(loaded);
    let disks = disks::look(&loaded.config);
    let scripts = scripts::look(&loaded.config);
    let found = all(peers, |peer| config::compare(loaded, peer));
    let mut files = vec![gate.as_it_is()];
    files.extend(peers.iter().flatten().map(|peer| peer.config.clone()));
    let together = config::together(&files.iter().collect::<Vec<_>>());
    if args.json {
        let json = json!({
            "problems": loaded.warnings.rows(),
            "missing_interfaces": missing,
            "disks": disks,
            "scripts": scripts,
            "peers": rows(&found),
            "together": together,
            "derived": summary,
            "gate": gate.json(),
        });
        println!("{json}");
    } else {
        warn(&loaded.warnings, &missing, &disks, &scripts, gate.warning());
        show_peers(&found);
        for line in summary.lines().iter().chain(&gate.lines()) {
            println!("{line}");
        }
        for group in &together {
            println!("{}", group.line());
        }
        for text in others(&summary.not_survived, peers) {
            println!("{text}");
        }
    }
    let are_usable = disks.iter().all(|disk| disk.trouble.is_none());
    let can_run = missing.is_empty() && scripts.is_empty();
    let is_here = can_run && are_usable && gate.warning().is_none();
    let good = loaded.warnings.is_empty() && is_here;
    let worst = found.iter().map(code).max().unwrap_or(0);
    ExitCode::from(worst.max(u8::from(!good)))
}

/// What the files of other nodes say not to survive, where that is something else.
fn others(ours: &str, peers: &[Result<Loaded, Failure>]) -> Vec<String> {
    let theirs = peers.iter().flatten().map(|peer| {
        let text = config::summary(&peer.config).not_survived;
        (peer.warnings.file(), text)
    });
    let differing = theirs.filter(|(_, text)| text != ours);
    differing
        .map(|(file, text)| format!("{file}: {text}"))
        .collect()
}

/// What was found in the file of a peer, or why nothing could be.
type Found<'f> = Result<Problems, &'f Failure>;

fn all<'f>(
    peers: &'f [Result<Loaded, Failure>],
    find: impl Fn(&Loaded) -> Problems,
) -> Vec<Found<'f>> {
    let of_peer = |peer: &'f Result<Loaded, Failure>| peer.as_ref().map(&find);
    peers.iter().map(of_peer).collect()
}

fn code(found: &Found<'_>) -> u8 {
    match found {
        Ok(problems) if problems.is_empty() => 0,
        Ok(problems) if problems.count(Severity::Error) == 0 => 1,
        Ok(_) | Err(_) => 2,
    }
}

fn rows(found: &[Found<'_>]) -> Value {
    let rows = found.iter().map(|found| match found {
        Ok(problems) | Err(Failure::Invalid(problems)) => {
            json!({ "file": problems.file(), "problems": problems.rows() })
        }
        Err(Failure::Unreadable(unreadable)) => {
            json!({ "file": unreadable.path, "error": unreadable.to_string() })
        }
    });
    rows.collect()
}

fn show_peers(found: &[Found<'_>]) {
    for found in found {
        match found {
            Ok(problems) => eprint!("{}", problems.render(paint())),
            Err(failure) => {
                refuse(failure);
            }
        }
    }
}

fn warn(
    warnings: &Problems,
    missing: &[String],
    disks: &[Looked],
    scripts: &[Finding],
    gate: Option<String>,
) {
    eprint!("{}", warnings.render(paint()));
    for name in missing {
        eprintln!(
            "warning: there is no interface {name} on this host; `floatlock run` refuses to start \
             without it"
        );
    }
    for trouble in disks.iter().filter_map(|disk| disk.trouble.as_ref()) {
        eprintln!("warning: {trouble}");
    }
    for finding in scripts {
        eprintln!("warning: {}", finding.line());
    }
    if let Some(gate) = gate {
        eprintln!("warning: {gate}");
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
