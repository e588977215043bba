//! `floatlock release`: what a dead agent left, off.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::config;
use crate::core::Outcome;
use crate::core::election::OWNER;
use crate::gate::{self, Gate, Level, Want};
use crate::net::addresses::{Change, OURS, Placed, Progress, sweep};
use crate::net::rtnl::{AddressState, Rtnl};
use crate::sys::lock::{self, LockError};
use crate::sys::watchdog;

use super::args::ReleaseArgs;
use super::fail;
use super::run::hostname;

pub(crate) fn release(args: &ReleaseArgs) -> ExitCode {
    // Held to the end: no agent starts while its addresses are being removed.
    let _lock = match lock::acquire() {
        Ok(lock) => lock,
        Err(busy @ LockError::Busy { .. }) => {
            return fail(1, format!("{busy}: stop the agent instead, it hands over"));
        }
        Err(error) => return fail(1, error),
    };
    match clear(&args.config) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(fault)) => fail(1, format!("addresses are still on this host: {fault}")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => fail(
            4,
            format!("removing addresses needs CAP_NET_ADMIN: {error}"),
        ),
        Err(error) => fail(1, format!("removing addresses failed: {error}")),
    }
}

/// Everything with our tag, and the addresses of the file's groups whoever put them up: without
/// an agent, none of them may be on this host.
fn clear(file: &Path) -> io::Result<Outcome> {
    let mut rtnl = Rtnl::open()?;
    // Kept until the end: it closes with the next packet what a dead agent left open.
    let _shut = shut(&mut rtnl);
    let swept = sweep(&mut rtnl, |_| false);
    for state in swept.iter().flatten() {
        println!("removed {}/{}", state.address, state.prefix_len);
    }
    // One that will not come off does not keep the others on.
    let outcome = release_all(&mut rtnl, file);
    if swept.is_ok() && outcome.is_ok() {
        stop_watchdog(file);
        gate::remove(&mut rtnl)?;
    }
    swept.map(|_| outcome)
}

/// One that a dead agent left running would reset a host that holds nothing any more.
fn stop_watchdog(file: &Path) {
    let loaded = config::load_keyless(file, &hostname());
    let device = loaded
        .ok()
        .and_then(|loaded| loaded.config.fencing.watchdog);
    let Some(device) = device.filter(|device| watchdog::facts(device).runs) else {
        return;
    };
    match watchdog::Device::open(&device).and_then(watchdog::Device::disarm) {
        Ok(()) if watchdog::facts(&device).runs => eprintln!(
            "warning: {} cannot be stopped (nowayout): start the agent soon, or it resets this host",
            device.display()
        ),
        Ok(()) => println!("stopped {}", device.display()),
        Err(error) => eprintln!(
            "warning: {} runs and cannot be stopped: {error}",
            device.display()
        ),
    }
}

/// A gate of our own around every address with our tag, shut; none where there can be none.
fn shut(rtnl: &mut Rtnl) -> Option<Gate> {
    let ours = |state: &AddressState| state.protocol == Some(OURS);
    let left = rtnl.addresses().ok()?.into_iter().filter(ours);
    let left: Vec<_> = left.map(|state| (state.address, state.index)).collect();
    if left.is_empty() {
        return None;
    }
    let want = Want {
        groups: 1,
        room: left.len() * 2,
        addresses: &left,
        handle: std::process::id(),
    };
    let mut levels = [Level::Bpf, Level::Nftables].into_iter();
    // Nothing has to open it: it needs no writer.
    let (gate, _) = levels.find_map(|level| Gate::install(level, &want, rtnl).ok())?;
    Some(gate)
}

fn release_all(rtnl: &mut Rtnl, file: &Path) -> Outcome {
    let mut change = Change::release(configured(file).into());
    loop {
        if let Progress::Done(outcome, stats) = change.step(rtnl) {
            if stats.changed > 0 {
                println!("removed {} address(es) of configured groups", stats.changed);
            }
            return outcome;
        }
    }
}

fn configured(file: &Path) -> Vec<Placed> {
    let Ok(loaded) = config::load_keyless(file, &hostname()) else {
        eprintln!(
            "floatlock: {} cannot be used: only addresses with Floatlock's tag are removed",
            file.display()
        );
        return Vec::new();
    };
    let groups = loaded
        .config
        .groups
        .iter()
        .filter(|group| group.priority != OWNER);
    let place = |address: &config::VirtualAddress| Placed {
        interface: Arc::from(address.interface.as_str()),
        address: address.net.addr(),
    };
    groups
        .flat_map(|group| group.all_addresses().map(place).collect::<Vec<_>>())
        .collect()
}
