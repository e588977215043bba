//! `floatlock lock test`: how fast the disk is, and whom one sees on it.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::args::LockTestArgs;
use super::super::print_json;
use super::super::run::hostname;
use super::{cluster, date, refused};
use crate::core::words::Length;
use crate::disk::{self, Latency, Other, Tried, Unseen, Wish};
use crate::wire::disk::Malformed;

/// The longest bar of a histogram.
const BAR: usize = 40;

pub(crate) fn test(args: &LockTestArgs) -> ExitCode {
    let (node, cluster) = match identity(args) {
        Ok(identity) => identity,
        Err(code) => return code,
    };
    let wish = Wish {
        node: &node,
        host: &hostname(),
        cluster: cluster.as_deref(),
        count: args.count,
        watch_for: args.watch_for,
    };
    let tried = match disk::test(&args.device, &wish) {
        Ok(tried) => tried,
        Err(why) => return refused(&why),
    };
    warn(&tried);
    if args.json {
        return print_json(&json!({
            "area": tried.area.header.area.to_string(),
            "cluster": tried.area.header.cluster,
            "node": node,
            "writes": tried.writes.summary(),
            "reads": tried.reads.summary(),
            "others": tried.others.iter().map(row).collect::<Vec<_>>(),
        }));
    }
    println!(
        "area {} of cluster {}: test block of {node}",
        tried.area.header.area, tried.area.header.cluster
    );
    print_latency("writes", &tried.writes);
    print_latency("reads", &tried.reads);
    for other in &tried.others {
        println!("{}: {}", other.member.name, sentence(other));
    }
    ExitCode::SUCCESS
}

/// This node, and its cluster if the file was asked.
fn identity(args: &LockTestArgs) -> Result<(String, Option<String>), ExitCode> {
    if let Some(node) = &args.node {
        return Ok((node.clone(), None));
    }
    let config = cluster(&args.config, "--node NAME")?;
    Ok((config.node.name, config.cluster.map(|cluster| cluster.name)))
}

/// A disk that is often this slow loses leases.
fn warn(tried: &Tried) {
    let lease = tried.area.header.times.lease();
    let slow = lease.as_secs_f64() * 1e3 / 4.0;
    let slowest = tried.writes.summary().map_or(0.0, |writes| writes.max_ms);
    if slowest > slow {
        eprintln!(
            "floatlock: warning: the slowest write took {slowest:.0} ms, more than a quarter of \
             the lease, {}: a disk that is slow for longer than the lease loses it. Make the area \
             anew with a longer one (lock init --lease)",
            Length(lease)
        );
    }
}

fn print_latency(what: &str, latency: &Latency) {
    let Some(summary) = latency.summary() else {
        return;
    };
    println!(
        "{} {what}: min {:.2} ms, median {:.2} ms, 99 % within {:.2} ms, max {:.2} ms",
        summary.count, summary.min_ms, summary.median_ms, summary.p99_ms, summary.max_ms
    );
    for (bound, count) in latency.histogram() {
        println!(
            "  up to {:>9.3} ms  {:<BAR$}  {count}",
            bound.as_secs_f64() * 1e3,
            bar(count, summary.count)
        );
    }
}

/// Something is drawn for one of a thousand too.
fn bar(count: usize, of: usize) -> String {
    "#".repeat((count * BAR).div_ceil(of.max(1)))
}

fn row(other: &Other) -> Value {
    let trial = other.last.as_ref().ok();
    json!({
        "node": other.member.name,
        "seen": other.changes > 0,
        "changes": other.changes,
        "first_after_ms": other.first_after.map(|length| length.as_millis()),
        "counter": trial.map(|trial| trial.counter),
        "host": trial.map(|trial| trial.host.to_string()),
        "wall_ms": trial.map(|trial| trial.wall_ms),
        "why": other.last.as_ref().err().map(Unseen::to_string),
    })
}

fn sentence(other: &Other) -> String {
    match (&other.last, other.first_after) {
        (Ok(trial), Some(after)) => format!(
            "seen: its test block changed {} times, first after {}; host {}",
            other.changes,
            Length(Duration::from_millis(after.as_millis() as u64)),
            trial.host
        ),
        (Ok(trial), None) => format!(
            "not seen: its test block does not change, and is of {} by the clock of host {}. Run \
             this there at the same time",
            date(trial.wall_ms),
            trial.host
        ),
        (Err(Unseen::Malformed(Malformed::Blank)), _) => {
            "not seen: nobody has tested there yet. Run this there at the same time".to_owned()
        }
        (Err(why), _) => format!("not seen: its test block cannot be read: {why}"),
    }
}
