//! What is put in order before the agent runs, and when it has run?

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::message::{Entry, Level, Outbox};
use super::store::Store;
use super::threads::spawn;
use super::{AgentError, operator};
use crate::config::Config;
use crate::core::lease::{GRANULARITY, promise};
use crate::gate;
use crate::net::addresses::sweep;
use crate::net::rtnl::Rtnl;
use crate::sys::{clock, realtime};

/// A group that votes needs what is stored; under VRRP only maintenance would be forgotten.
pub(super) fn open_store(config: &Config, journal: &Outbox<Entry>) -> Result<Store, AgentError> {
    let directory = &config.node.state_dir;
    match Store::open(directory) {
        Ok(store) => Ok(store),
        Err(error) if config.native.is_none() => {
            let text = format!(
                "{}: {error}: that this node is out of service would not survive a restart",
                directory.display()
            );
            journal.offer(Entry::Note(Level::Warning, text));
            Ok(Store::empty(directory))
        }
        Err(error) => {
            let doing = format!("reading {}", directory.display());
            Err(AgentError::system(doing)(error))
        }
    }
}

/// What this start may grant is what the next one waits for, if its configuration is another.
pub(super) fn remember_lease(
    config: &Config,
    store: &Store,
    journal: &Outbox<Entry>,
) -> Result<(), AgentError> {
    let Some(native) = &config.native else {
        return Ok(());
    };
    let lease = native.interval.saturating_mul(native.misses);
    let nanos = u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX);
    let say = {
        let journal = journal.clone();
        move |stored: io::Result<()>| {
            if let Err(error) = stored {
                let text = format!("storing the length of the lease: {error}");
                journal.offer(Entry::Note(Level::Error, text));
            }
        }
    };
    let mut longer = None;
    say(store.change(|state| longer = state.remember_lease(nanos)));
    let Some(longer) = longer else {
        return Ok(());
    };
    let store = store.clone();
    let forget = move || {
        clock::sleep(promise(longer, GRANULARITY));
        say(store.change(|state| state.lease_ns = nanos));
    };
    spawn("lease", forget).map(drop)
}

/// An operator took this node out of service before it was started, and that has not ended.
pub(super) fn is_out_of_service(store: &Store) -> bool {
    let maintenance = store.read().maintenance;
    maintenance.is_some_and(|maintenance| maintenance.holds_at(operator::unix_now()))
}

pub(super) fn lock_memory(journal: &Outbox<Entry>) {
    if let Err(error) = realtime::lock_memory() {
        let text = format!("the agent's memory may be paged out: {error}");
        journal.offer(Entry::Note(Level::Warning, text));
    }
}

/// Without it, the agent would stand in every election and fail each time.
pub(super) fn demand_right(rtnl: &mut Rtnl) -> Result<(), AgentError> {
    let doing = "asking whether addresses may be changed here";
    match rtnl.may_change().map_err(AgentError::system(doing))? {
        true => Ok(()),
        false => Err(
            AgentError::system("changing addresses needs CAP_NET_ADMIN")(
                io::ErrorKind::PermissionDenied.into(),
            ),
        ),
    }
}

/// Start-up cleans up what a dead agent left, whatever its configuration was.
pub(super) fn clear_leftovers(rtnl: &mut Rtnl, journal: &Outbox<Entry>) -> Result<(), AgentError> {
    let doing = "removing addresses that an earlier agent left (needs CAP_NET_ADMIN)";
    let removed = sweep(rtnl, |_| false).map_err(AgentError::system(doing))?;
    for state in removed {
        let text = format!("removed {}, which an earlier agent left", state.address);
        journal.offer(Entry::Note(Level::Warning, text));
    }
    Ok(())
}

/// Nothing of ours stays behind, whatever went wrong before.
pub(super) fn sweep_all() -> Result<(), AgentError> {
    let clear = || sweep(&mut Rtnl::open()?, |_| false);
    clear()
        .map(drop)
        .map_err(|error| AgentError::LeftBehind(error.to_string()))
}

/// With no address left, nothing has to be shut off any more.
pub(super) fn remove_gate() -> Result<(), AgentError> {
    let doing = "taking the gate off the interfaces";
    let remove = || gate::remove(&mut Rtnl::open()?);
    remove().map_err(AgentError::system(doing))
}

pub(super) fn interfaces(config: &Config) -> Vec<String> {
    let of_group = |group: &Arc<crate::config::GroupConfig>| {
        let paths = group.paths.iter().map(|path| path.interface.clone());
        let addresses = group
            .all_addresses()
            .map(|address| address.interface.clone());
        paths.chain(addresses).collect::<Vec<_>>()
    };
    let native = config.native.iter().flat_map(|native| &native.paths);
    let groups = config.groups.iter().flat_map(of_group);
    groups
        .chain(native.map(|path| path.interface.clone()))
        .collect()
}

/// The directory is the agent's; the socket in it has a mode of its own.
pub(super) fn prepare_runtime_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)?;
    let found = std::fs::metadata(path)?;
    let ours = [0, nix::unistd::geteuid().as_raw()].contains(&found.uid());
    if ours && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "others can write there (owner {}, mode {:o}), and could replace the control socket; \
         chown it to root and chmod it to 755",
        found.uid(),
        found.mode() & 0o7777
    )))
}
