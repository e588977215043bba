//! `floatlock lock show`: whose area it is, and what each slot says.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::super::args::LockShowArgs;
use super::super::print_json;
use super::{date, refused};
use crate::core::words::Length;
use crate::disk::{self, Access, Area, Device, Look, Refused, Watched};
use crate::wire::disk::{CopyOf, Slot, State, View};

/// Renewals that a living holder makes while it is watched.
const RENEWALS: u32 = 3;

pub(crate) fn show(args: &LockShowArgs) -> ExitCode {
    let (area, watched, length) = match look(args) {
        Ok(seen) => seen,
        Err(why) => return refused(&why),
    };
    if let Some((block, why)) = &area.torn {
        eprintln!(
            "floatlock: warning: block {block} of {}, one of the two headers, cannot be read: {why}. \
             The other one counts. `floatlock lock init --force` writes both anew, while no agent \
             uses the area",
            args.device.display()
        );
    }
    let slots: Vec<Row> = watched.iter().map(|one| Row::of(one, length)).collect();
    if args.json {
        print_json(&report(&args.device, &area, length, &slots));
    } else {
        print!("{}", text(&args.device, &area, length, &slots));
    }
    let unreadable = slots.iter().any(|row| row.state == "unknown");
    ExitCode::from(u8::from(unreadable))
}

fn look(args: &LockShowArgs) -> Result<(Area, Vec<Watched>, Duration), Refused> {
    let device = Device::open(&args.device, Access::Read)?;
    let area = Area::read(&device).map_err(|why| Refused::new(&args.device, why))?;
    let usual = area.header.times.renew() * RENEWALS;
    let length = args.watch_for.unwrap_or(usual);
    let watched = disk::watch(&device, &area, &area.header.members, length);
    Ok((area, watched, length))
}

/// Everything, for programs.
#[derive(Debug, Serialize)]
struct Report<'r> {
    device: String,
    area: String,
    cluster: &'r str,
    created_ms: u64,
    lease_ms: u32,
    wait_ms: u32,
    renew_ms: u32,
    /// On how many disks the area is, and which of them this is, from 1.
    disks: u8,
    disk: u8,
    bad_header: Option<u64>,
    watched_ms: u64,
    slots: &'r [Row],
}

fn report<'r>(device: &Path, area: &'r Area, length: Duration, slots: &'r [Row]) -> Report<'r> {
    let header = &area.header;
    Report {
        device: device.display().to_string(),
        area: header.area.to_string(),
        cluster: &header.cluster,
        created_ms: header.created_ms,
        lease_ms: header.times.lease_ms,
        wait_ms: header.times.wait_ms,
        renew_ms: header.times.renew_ms,
        disks: header.copy.disks,
        disk: header.copy.number.saturating_add(1),
        bad_header: area.torn.as_ref().map(|(block, _)| *block),
        watched_ms: millis(length),
        slots,
    }
}

/// What is known of a slot.
#[derive(Debug, Serialize)]
struct Row {
    node: String,
    number: u8,
    /// `held`, `free`, `clean` or `unknown`.
    state: &'static str,
    /// Whether the node may hold the lock; what is unknown counts as held.
    held: bool,
    changes: u64,
    unchanged_ms: u64,
    boot_id: Option<String>,
    intent: Option<u64>,
    owned: Option<u64>,
    seq: Option<u64>,
    /// No epoch that it has served with is above.
    floor: Option<u64>,
    host: Option<String>,
    wall_ms: Option<u64>,
    why: Option<String>,
    /// The same for people.
    #[serde(skip)]
    sentence: String,
}

impl Row {
    fn of(watched: &Watched, length: Duration) -> Self {
        let slot = watched.last.slot();
        let why = why(&watched.last);
        Row {
            node: watched.member.name.clone(),
            number: watched.member.number,
            state: match slot.map(|slot| slot.state) {
                Some(State::Held) => "held",
                Some(State::Claimed) => "claimed",
                Some(State::Free) => "free",
                Some(State::Clean) => "clean",
                None => "unknown",
            },
            held: watched.last.is_held(),
            changes: watched.changes,
            unchanged_ms: millis(watched.unchanged),
            boot_id: slot.map(|slot| slot.boot_id.to_string()),
            intent: slot.map(|slot| slot.intent.number()),
            owned: slot.map(|slot| slot.owned.number()),
            seq: slot.map(|slot| slot.seq),
            floor: slot.map(|slot| slot.floor.number()),
            host: slot.map(|slot| slot.host.to_string()),
            wall_ms: slot.map(|slot| slot.wall_ms),
            sentence: sentence(watched, why.as_deref(), length),
            why,
        }
    }
}

fn why(look: &Look) -> Option<String> {
    match look {
        Look::Read {
            view: View::Known(_),
            ..
        } => None,
        Look::Read {
            view: View::Unknown(why),
            ..
        } => Some(why.to_string()),
        Look::Failed(error) => Some(format!("reading it failed: {error}")),
    }
}

fn sentence(watched: &Watched, why: Option<&str>, length: Duration) -> String {
    let Some(slot) = watched.last.slot() else {
        let why = why.unwrap_or_default();
        let life = match watched.changes {
            0 => "",
            _ => "; and it changes",
        };
        return format!("cannot be read, so it counts as held: {why}{life}");
    };
    match slot.state {
        State::Held => format!("held: {}. {}", life(watched, length), writer(slot)),
        State::Claimed => format!(
            "claimed, so it counts as held: its agent has just started: {}. {}",
            life(watched, length),
            writer(slot)
        ),
        State::Free => format!(
            "free, not cleanly given up: its agent contends, or died while it did: {}. {}",
            life(watched, length),
            writer(slot)
        ),
        State::Clean if watched.changes > 0 => format!("free, given up just now. {}", writer(slot)),
        State::Clean => "free".to_owned(),
    }
}

fn life(watched: &Watched, length: Duration) -> String {
    match watched.changes {
        _ if length.is_zero() => "looked at once".to_owned(),
        0 => format!(
            "unchanged for {}, so its agent is dead or frozen",
            Length(watched.unchanged)
        ),
        1 => "changed once, so its agent lives".to_owned(),
        times => format!("changed {times} times, so its agent lives"),
    }
}

fn writer(slot: &Slot) -> String {
    let ballot = slot.owned.max(slot.intent);
    format!(
        "Host {}, boot {}, ballot {ballot}, written at {} by its clock",
        slot.host,
        slot.boot_id,
        date(slot.wall_ms)
    )
}

fn text(device: &Path, area: &Area, length: Duration, slots: &[Row]) -> String {
    use std::fmt::Write as _;
    let header = &area.header;
    let mut text = format!(
        "area {} on {}{}: cluster {}, made at {}\nlease {}, wait {}, renewal {}; watched for {}\n",
        header.area,
        device.display(),
        which(header.copy),
        header.cluster,
        date(header.created_ms),
        Length(header.times.lease()),
        Length(header.times.wait()),
        Length(header.times.renew()),
        Length(length)
    );
    let width = slots.iter().map(|row| row.node.len()).max().unwrap_or(0);
    for row in slots {
        let Row {
            node,
            number,
            sentence,
            ..
        } = row;
        // Writing to a String does not fail.
        let _ = writeln!(text, "slot {number:<2}  {node:<width$}  {sentence}");
    }
    text
}

/// Of several disks, this one.
fn which(copy: CopyOf) -> String {
    match copy.disks {
        1 => String::new(),
        disks => format!(", disk {} of {disks}", copy.number.saturating_add(1)),
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
