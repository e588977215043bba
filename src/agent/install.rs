//! How does the gate get in place at the start, and what if it does not?

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::{Config, GateChoice};
use crate::core::election::OWNER;
use crate::gate::{self, Gate, LEFTOVERS, Level, Want, Writer};
use crate::net::addresses::OURS;
use crate::net::rtnl::Rtnl;
use crate::sys::clock;

use super::AgentError;
use super::message::{Entry, Level as Grade, Outbox};
use super::warden::Warden;

/// Room for so many groups and addresses at least: a reload may bring more.
pub(super) const GROUPS: usize = 1024;
pub(super) const ADDRESSES: usize = 4096;

/// The gate as the agent uses it.
pub(super) struct Installed {
    pub(super) gate: Option<Arc<Gate>>,
    pub(super) warden: Option<Warden>,
    /// Has to run in a thread, where there is one.
    pub(super) writer: Option<Writer>,
    /// In one line, for operators.
    pub(super) report: String,
}

/// A gate that is in place and shut around every address of the configuration.
pub(super) struct Shut {
    gate: Option<(Gate, Option<Writer>)>,
    report: String,
    is_unsafe: bool,
}

/// Puts the best gate there is onto every interface.
///
/// # Errors
/// A gate is demanded, and this host has none.
pub(super) fn gate(config: &Config, rtnl: &mut Rtnl) -> Result<Shut, AgentError> {
    match config.fencing.gate {
        GateChoice::Off => Ok(Shut::off("off, as configured".to_owned())),
        GateChoice::Bpf => demanded(Level::Bpf, config, rtnl),
        GateChoice::Nftables => demanded(Level::Nftables, config, rtnl),
        GateChoice::Auto => safe(config, best(config, rtnl)),
    }
}

/// A disk's vote that nothing ends is none.
fn safe(config: &Config, shut: Shut) -> Result<Shut, AgentError> {
    if shut.gate.is_some() || !config.fencing.has_disk() {
        return Ok(shut);
    }
    let doing = format!(
        "a disk lock needs a gate, without which a frozen node would answer on (gate: {})",
        shut.report
    );
    let none = io::Error::other("this host has none");
    Err(AgentError::system(doing)(none))
}

fn demanded(level: Level, config: &Config, rtnl: &mut Rtnl) -> Result<Shut, AgentError> {
    let doing = format!("installing the gate {level} (needs {})", needs(level));
    match shut(level, config, rtnl) {
        Ok(gate) => Ok(Shut::with(gate, level.to_string())),
        Err(error) => Err(AgentError::system(doing)(error)),
    }
}

fn best(config: &Config, rtnl: &mut Rtnl) -> Shut {
    match first(|level| shut(level, config, rtnl)) {
        (Some(gate), report) => Shut::with(gate, report),
        (None, report) => Shut::off(report),
    }
}

/// The best gate that can be had, and in one line which it is, and why it is no better one.
pub(super) fn first<T>(mut take: impl FnMut(Level) -> io::Result<T>) -> (Option<T>, String) {
    let no_bpf = match take(Level::Bpf) {
        Ok(gate) => return (Some(gate), Level::Bpf.to_string()),
        Err(error) => reason(Level::Bpf, &error),
    };
    match take(Level::Nftables) {
        Ok(gate) => (Some(gate), format!("{}, since {no_bpf}", Level::Nftables)),
        Err(error) => {
            let no_nftables = reason(Level::Nftables, &error);
            (None, format!("off, since {no_bpf}, and {no_nftables}"))
        }
    }
}

/// Why there is no such gate.
pub(super) fn reason(level: Level, error: &io::Error) -> String {
    format!("{level} is refused: {error} (needs {})", needs(level))
}

fn needs(level: Level) -> &'static str {
    match level {
        Level::Bpf => "Linux 5.8 with BPF classifiers, CAP_BPF and CAP_NET_ADMIN",
        Level::Nftables => "Linux 5.16 with the netdev egress hook, the program nft, CAP_NET_ADMIN",
    }
}

fn shut(level: Level, config: &Config, rtnl: &mut Rtnl) -> io::Result<(Gate, Option<Writer>)> {
    let addresses = addresses(config, rtnl)?;
    let want = Want {
        groups: GROUPS.max(config.groups.len() * 4),
        room: ADDRESSES.max(addresses.len() * 4),
        addresses: &addresses,
        handle: handle(),
    };
    Gate::install(level, &want, rtnl)
}

/// Those of the configuration, and those that an earlier agent has left: its gate may be replaced.
fn addresses(config: &Config, rtnl: &mut Rtnl) -> io::Result<Vec<(IpAddr, u32)>> {
    let groups = config.groups.iter().filter(|group| group.priority != OWNER);
    let placed = groups.flat_map(|group| group.all_addresses());
    let index_of = |name: &str| nix::net::if_::if_nametoindex(name).unwrap_or(0);
    let configured = placed.map(|address| {
        let index = index_of(address.interface.as_str());
        (address.net.addr(), index)
    });
    let left = rtnl.addresses()?.into_iter();
    let left = left.filter(|state| state.protocol == Some(OURS));
    let mut all: Vec<_> = configured
        .chain(left.map(|state| (state.address, state.index)))
        .collect();
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Unlike that of the agent before, which may still be there.
fn handle() -> u32 {
    let micros = clock::now().as_nanos() / 1000;
    (micros & 0x7fff_ffff) as u32 | 1
}

impl Shut {
    fn with(gate: (Gate, Option<Writer>), report: String) -> Self {
        Self {
            gate: Some(gate),
            report,
            is_unsafe: false,
        }
    }

    fn off(report: String) -> Self {
        Self {
            gate: None,
            report,
            is_unsafe: true,
        }
    }

    /// What a dead agent left is off: its gate goes, and ours is in nobody's way until a group holds
    /// its addresses.
    pub(super) fn finish(
        self,
        rtnl: &mut Rtnl,
        journal: &Outbox<Entry>,
    ) -> Result<Installed, AgentError> {
        let grade = match self.is_unsafe {
            true => Grade::Warning,
            false => Grade::Info,
        };
        let mut text = format!("gate: {}", self.report);
        if self.is_unsafe {
            text += "; the addresses of a dead or frozen agent go on answering";
        }
        journal.offer(Entry::Note(grade, text));
        let removing = || AgentError::system("removing the gate of an earlier agent");
        let Some((gate, writer)) = self.gate else {
            gate::remove(rtnl).map_err(removing())?;
            return Ok(Installed {
                gate: None,
                warden: None,
                writer: None,
                report: self.report,
            });
        };
        gate.supersede(rtnl).map_err(removing())?;
        if let Some(shutter) = gate.shutter(LEFTOVERS) {
            shutter.disarm();
        }
        let gate = Arc::new(gate);
        let events = gate.events().inspect_err(|error| {
            let text = format!(
                "a gate that is taken away is missed after 100 ms, since no events come: {error}"
            );
            journal.offer(Entry::Note(Grade::Warning, text));
        });
        let mut warden = Warden::new(Arc::clone(&gate), events.ok(), clock::now());
        let doing = "looking whether the gate is in place";
        let checked = warden.check(rtnl, clock::now(), || ());
        checked.map_err(AgentError::system(doing))?;
        Ok(Installed {
            gate: Some(gate),
            warden: Some(warden),
            writer,
            report: self.report,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_gate_that_is_not_refused_is_taken() {
        let refuse = |refused: &[Level]| {
            first(|level| match refused.contains(&level) {
                true => Err(io::Error::from(io::ErrorKind::Unsupported)),
                false => Ok(level),
            })
        };
        assert_eq!(refuse(&[]), (Some(Level::Bpf), "bpf".to_owned()));
        let (taken, report) = refuse(&[Level::Bpf]);
        assert_eq!(taken, Some(Level::Nftables));
        assert!(
            report.starts_with("nftables, since bpf is refused: "),
            "{report}"
        );
        let (taken, report) = refuse(&[Level::Bpf, Level::Nftables]);
        assert_eq!(taken, None);
        assert!(report.contains(", and nftables is refused: "), "{report}");
    }
}
