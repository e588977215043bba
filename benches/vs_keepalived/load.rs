//! What does it cost to be MASTER, and to be BACKUP? CPU and memory with few and with many groups.

use std::net::Ipv4Addr;
use std::time::Duration;

use floatlock::lab::agent::GroupSetup;
use floatlock::lab::{Host, clock};

use crate::figures::{Row, Target};
use crate::stage::{Failure, PATIENCE, Part, Program, Stage, alone};
use crate::usage;

const INTERVAL: Duration = Duration::from_millis(100);
/// After the last address is on: both programs announce at once and again after 5 s.
const SETTLE: Duration = Duration::from_secs(7);
/// How long the CPU time is counted.
const COUNTED: Duration = Duration::from_secs(20);

pub(crate) fn rows(groups: u8, native: bool) -> Vec<Row> {
    let half = match (groups, native) {
        (1, false) => Target::Nothing,
        (_, false) => Target::Ratio(0.5),
        (_, true) => Target::Ratio(0.1),
    };
    let how = if native { ", native" } else { "" };
    let small = Target::Worst(10.0);
    let name = |what: &str| format!("{groups} group(s) at 100 ms{how}: {what}");
    vec![
        Row::new(name("CPU of the MASTER"), "%", half),
        Row::new(name("CPU of the BACKUP"), "%", Target::Nothing),
        Row::new(name("memory (PSS) of the MASTER"), "MiB", small),
        Row::new(name("memory (PSS) of the BACKUP"), "MiB", small),
    ]
}

/// In the order of the rows.
pub(crate) fn play(stage: &Stage, program: Program, part: &Part) -> Result<Vec<f64>, Failure> {
    let pair = stage.start_pair_of(program, part)?;
    wait_for_all(&stage.a, part.groups.len())?;
    clock::pause(SETTLE);
    let hosts = [&stage.a, &stage.b];
    let before = [usage::cpu(hosts[0])?, usage::cpu(hosts[1])?];
    let began = clock::now();
    clock::pause(COUNTED);
    let mut costs = Vec::new();
    for (host, before) in hosts.into_iter().zip(before) {
        let used = usage::cpu(host)?.saturating_sub(before);
        let share = used.as_secs_f64() / clock::now().since(began).as_secs_f64();
        costs.push(share * 100.0);
    }
    for host in hosts {
        costs.push(usage::pss(host)?);
    }
    pair.stop()?;
    Ok(costs)
}

/// So many groups with an address each.
pub(crate) fn setup(groups: u8) -> Vec<GroupSetup> {
    let one = |number: u8| GroupSetup {
        name: format!("g{number}"),
        id: number,
        interval: INTERVAL,
        ..GroupSetup::new(100, &[alone(Ipv4Addr::new(10, 77, 1, number).into())])
    };
    (1..=groups).map(one).collect()
}

fn wait_for_all(host: &Host, groups: usize) -> Result<(), Failure> {
    let on = clock::wait_until(PATIENCE, || {
        let all = host.addresses().unwrap_or_default();
        let floating = all.iter().filter(|(_, net)| net.prefix_len() == 32);
        floating.count() == groups
    });
    if on {
        return Ok(());
    }
    Err(format!("{} has not become MASTER of {groups} groups", host.name()).into())
}
