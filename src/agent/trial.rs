//! Which gate would this host give? Tried where nobody is disturbed: in a network namespace that ends
//! with the trial.

use std::thread;

use nix::sched::{CloneFlags, unshare};

use crate::config::GateChoice;
use crate::gate::{Gate, Level, Want};
use crate::net::rtnl::Rtnl;

use super::install::{ADDRESSES, GROUPS, first, reason};

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// What `floatlock run` would get; none: no gate.
    pub level: Option<Level>,
    /// The same in one line, as `status` shows it, with the reason where there is no better one.
    pub report: String,
}

/// Tries the gates that the choice allows, best first. `None` where there is nothing to try, or not
/// the right to make a namespace.
#[must_use]
pub fn try_gate(choice: GateChoice) -> Option<Trial> {
    // What a thread has unshared ends with it.
    thread::spawn(move || trial(choice)).join().ok().flatten()
}

fn trial(choice: GateChoice) -> Option<Trial> {
    let only = match choice {
        GateChoice::Off => return None,
        GateChoice::Auto => None,
        GateChoice::Bpf => Some(Level::Bpf),
        GateChoice::Nftables => Some(Level::Nftables),
    };
    unshare(CloneFlags::CLONE_NEWNET).ok()?;
    let mut rtnl = Rtnl::open().ok()?;
    let want = Want {
        groups: GROUPS,
        room: ADDRESSES,
        addresses: &[],
        handle: 1,
    };
    let mut take = |level| Gate::install(level, &want, &mut rtnl).map(|_| level);
    let (level, report) = match only {
        None => first(take),
        Some(level) => match take(level) {
            Ok(level) => (Some(level), level.to_string()),
            Err(error) => (None, reason(level, &error)),
        },
    };
    Some(Trial { level, report })
}
