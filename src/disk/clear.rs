//! How is a dead node's slot given up in its place? Only when it does not change, and never quietly.

use std::path::Path;

use super::area::Area;
use super::device::{Access, Device};
use super::init::{all_dead, put, wall_ms};
use super::refused::{Refused, Why, unforced};
use crate::sys::clock;
use crate::wire::disk::{Host, Member, Slot, State, slot_at};

/// Whose slots are meant.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'n> {
    /// That of this node.
    Node(&'n str),
    /// All of them.
    All,
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Cleared {
    /// These slots are free now.
    pub cleared: Vec<String>,
    /// These were.
    pub were_free: Vec<String>,
}

/// Writes FREE and CLEAN into slots. `host` is this host's name, for people.
///
/// # Errors
/// Nothing was written: without `force`, or if one of them changes. Or that itself failed.
pub fn clear(path: &Path, whose: Whose<'_>, force: bool, host: &str) -> Result<Cleared, Refused> {
    let device = Device::open(path, Access::Exclusive)?;
    let run = || clear_on(&device, whose, force, host);
    run().map_err(|why| Refused::new(path, why))
}

fn clear_on(device: &Device, whose: Whose<'_>, force: bool, host: &str) -> Result<Cleared, Why> {
    let area = Area::read(device)?;
    let members = match whose {
        Whose::All => area.header.members.clone(),
        Whose::Node(name) => vec![area.member(name)?.clone()],
    };
    let is_clean = |member: &Member| {
        let look = area.look(device, member);
        look.slot().is_some_and(|slot| slot.state == State::Clean)
    };
    let (clean, taken): (Vec<Member>, Vec<Member>) = members.into_iter().partition(is_clean);
    let cleared = Cleared {
        cleared: names(&taken),
        were_free: names(&clean),
    };
    if taken.is_empty() {
        return Ok(cleared);
    }
    let wait = area.header.times.wait();
    if !force {
        return Err(unforced(&cleared.cleared.join(" "), wait));
    }
    all_dead(device, &area, &taken, wait)?;
    for member in &taken {
        let slot = given_up(area.look(device, member).slot(), member.number, host);
        put(
            device,
            slot_at(member.number),
            &slot.emit(area.header.area)?,
        )?;
    }
    Ok(cleared)
}

fn names(members: &[Member]) -> Vec<String> {
    members.iter().map(|member| member.name.clone()).collect()
}

/// What the node would have written. Its ballots stay, so that the next one is above them; of a slot
/// that cannot be read they are lost, and the other slots and what each node has stored must do.
fn given_up(slot: Option<&Slot>, number: u8, host: &str) -> Slot {
    let slot = slot.copied().unwrap_or(Slot::clean(number));
    Slot {
        state: State::Clean,
        seq: slot.seq.wrapping_add(1),
        boottime_ms: clock::now().as_nanos() / 1_000_000,
        wall_ms: wall_ms(),
        host: Host::new(host),
        ..slot
    }
}
