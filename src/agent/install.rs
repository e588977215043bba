//! How does the gate get in place at the start, and what if it does not?

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::config::{Config, GateChoice};
use crate::core::election::OWNER;
use crate::gate::{Gate, Shutter};
use crate::net::rtnl::Rtnl;
use crate::sys::clock;

use super::AgentError;
use super::message::{Entry, Level, Outbox};
use super::warden::{Warden, attach_everywhere};

/// Room for so many groups and addresses at least: a reload may bring more.
const GROUPS: usize = 1024;
const ADDRESSES: usize = 4096;
/// What a dead agent may have left is shut off under this slot, which no group has.
const LEFTOVERS: usize = 0;

/// The gate as the agent uses it.
pub(super) struct Installed {
    pub(super) gate: Option<Arc<Gate>>,
    pub(super) warden: Option<Warden>,
    /// In one line, for operators.
    pub(super) report: String,
}

/// A gate that is in place and shut around every address of the configuration.
pub(super) struct Shut {
    gate: Option<(Gate, BTreeSet<u32>)>,
    report: String,
    is_unsafe: bool,
}

/// Puts the best gate there is onto every interface.
///
/// # Errors
/// A gate is demanded, and this host has none.
pub(super) fn gate(config: &Config, rtnl: &mut Rtnl) -> Result<Shut, AgentError> {
    let without = |report: String| Shut {
        gate: None,
        report,
        is_unsafe: true,
    };
    if config.fencing.gate == GateChoice::Off {
        return Ok(without("off, as configured".to_owned()));
    }
    match shut(config, rtnl) {
        Ok(gate) => Ok(Shut {
            gate: Some(gate),
            report: "bpf".to_owned(),
            is_unsafe: false,
        }),
        Err(error) if config.fencing.gate == GateChoice::Bpf => {
            let doing = "installing the gate (needs Linux 5.8, CAP_BPF and CAP_NET_ADMIN)";
            Err(AgentError::system(doing)(error))
        }
        Err(error) => Ok(without(format!("off, since {}", reason(&error)))),
    }
}

fn reason(error: &io::Error) -> String {
    let needs = match error.kind() {
        io::ErrorKind::PermissionDenied => " (needs CAP_BPF and CAP_NET_ADMIN)",
        _ => " (needs Linux 5.8 with BPF classifiers)",
    };
    format!("the kernel refuses it: {error}{needs}")
}

fn shut(config: &Config, rtnl: &mut Rtnl) -> io::Result<(Gate, BTreeSet<u32>)> {
    let addresses = || {
        let groups = config.groups.iter().filter(|group| group.priority != OWNER);
        groups.flat_map(|group| group.all_addresses())
    };
    let groups = GROUPS.max(config.groups.len() * 4);
    let room = ADDRESSES.max(addresses().count() * 4);
    let gate = Gate::load(groups, room, handle())?;
    for address in addresses() {
        let index = nix::net::if_::if_nametoindex(address.interface.as_str()).unwrap_or(0);
        gate.cover(address.net.addr(), index, LEFTOVERS)?;
    }
    if let Some(shutter) = gate.shutter(LEFTOVERS) {
        shutter.arm();
    }
    let attached = attach_everywhere(&gate, rtnl)?;
    Ok((gate, attached))
}

/// Unlike that of the agent before, which may still be there.
fn handle() -> u32 {
    let micros = clock::now().as_nanos() / 1000;
    (micros & 0x7fff_ffff) as u32 | 1
}

impl Shut {
    /// What a dead agent left is off: its gate goes, and ours is in nobody's way until a group holds
    /// its addresses.
    pub(super) fn finish(
        self,
        rtnl: &mut Rtnl,
        journal: &Outbox<Entry>,
    ) -> Result<Installed, AgentError> {
        let level = match self.is_unsafe {
            true => Level::Warning,
            false => Level::Info,
        };
        let mut text = format!("gate: {}", self.report);
        if self.is_unsafe {
            text += "; the addresses of a dead or frozen agent go on answering";
        }
        journal.offer(Entry::Note(level, text));
        let doing = "removing the gate of an earlier agent";
        let Some((gate, attached)) = self.gate else {
            crate::gate::detach(rtnl, None).map_err(AgentError::system(doing))?;
            return Ok(Installed {
                gate: None,
                warden: None,
                report: self.report,
            });
        };
        gate.supersede(rtnl).map_err(AgentError::system(doing))?;
        if let Some(shutter) = gate.shutter(LEFTOVERS) {
            Shutter::disarm(&shutter);
        }
        let gate = Arc::new(gate);
        let warden = Warden::new(Arc::clone(&gate), attached, clock::now());
        Ok(Installed {
            gate: Some(gate),
            warden: Some(warden),
            report: self.report,
        })
    }
}
