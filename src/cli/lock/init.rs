//! `floatlock lock init`: an area on a device.

use std::process::ExitCode;

use serde_json::json;

use super::super::args::LockInitArgs;
use super::super::{fail, print_json};
use super::{cluster, refused, warn_of_a_file};
use crate::config::{Config, VoterKind};
use crate::core::words::Length;
use crate::disk::{self, Made, Plan};
use crate::wire::disk::{AreaId, LEASE_MAX, LEASE_MIN, Member, Times};

pub(crate) fn init(args: &LockInitArgs) -> ExitCode {
    let plan = match plan(args) {
        Ok(plan) => plan,
        Err(code) => return code,
    };
    // What cannot be said in a header is a mistake in what was typed, whatever the device is.
    if let Err(malformed) = plan.header(AreaId([0; 16])) {
        return fail(2, format!("the new lock area: {malformed}"));
    }
    if args.devices.len() == 2 {
        let message = "an area is on one disk or on three: of two, neither is more than half";
        return fail(2, message);
    }
    match disk::init(&args.devices, &plan, args.force) {
        Ok(made) => report(args, &made),
        Err(why) => refused(&why),
    }
}

fn plan(args: &LockInitArgs) -> Result<Plan, ExitCode> {
    let Some(times) = Times::of(args.lease) else {
        let message = format!("a lease lasts {LEASE_MIN:?} to {LEASE_MAX:?}");
        return Err(fail(2, message));
    };
    let (cluster, members) = match &args.cluster {
        Some(name) => (name.clone(), typed(&args.node)),
        None => {
            let config = cluster(&args.config, "--cluster NAME and --node NAME...")?;
            let name = config.cluster.as_ref().map(|cluster| cluster.name.clone());
            (name.unwrap_or_default(), configured(&config))
        }
    };
    Ok(Plan {
        cluster,
        members,
        times,
    })
}

/// Numbered as the agents number them, so that the order in which they were typed decides nothing.
fn typed(names: &[String]) -> Vec<Member> {
    let mut names = names.to_vec();
    names.sort_unstable();
    let numbered = (0..=u8::MAX).zip(names);
    numbered
        .map(|(number, name)| Member { number, name })
        .collect()
}

/// A node's number is its place among all who vote; a witness never holds, and has no slot.
fn configured(config: &Config) -> Vec<Member> {
    let numbered = (0..=u8::MAX).zip(config.voters());
    let nodes = numbered.filter(|(_, voter)| voter.kind == VoterKind::Node);
    nodes
        .map(|(number, voter)| Member {
            number,
            name: voter.name.to_owned(),
        })
        .collect()
}

fn report(args: &LockInitArgs, made: &[Made]) -> ExitCode {
    for made in made {
        warn_of_a_file(&made.path, made.medium);
    }
    let Some(Made { header, .. }) = made.first() else {
        // One device is there, which clap sees to.
        return ExitCode::SUCCESS;
    };
    let slots = header.members.iter();
    let devices: Vec<String> = made
        .iter()
        .map(|made| made.path.display().to_string())
        .collect();
    if args.json {
        let slots: Vec<_> = slots
            .map(|member| json!({ "node": member.name, "number": member.number }))
            .collect();
        return print_json(&json!({
            "area": header.area.to_string(),
            "cluster": header.cluster,
            "devices": devices,
            "lease_ms": header.times.lease_ms,
            "wait_ms": header.times.wait_ms,
            "renew_ms": header.times.renew_ms,
            "slots": slots,
        }));
    }
    println!(
        "made area {} on {} for cluster {}",
        header.area,
        devices.join(", "),
        header.cluster
    );
    println!(
        "lease {}, wait {}, renewal {}",
        Length(header.times.lease()),
        Length(header.times.wait()),
        Length(header.times.renew())
    );
    for member in slots {
        println!("slot {:<2}  {}", member.number, member.name);
    }
    let each = if devices.len() > 1 {
        ", for each disk"
    } else {
        ""
    };
    println!(
        "next, on every node at once{each}: floatlock lock test {}",
        devices[0]
    );
    ExitCode::SUCCESS
}
