//! What is the agent built from, and how is it rebuilt? Start, reload, and changes of the links
//! all go through here, so that they cannot differ.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::{self, Config, Failure, GroupConfig, Paint, Protocol};
use crate::control::Reloaded;
use crate::core::election::OWNER;
use crate::gate::{Gate, Shutter};
use crate::net::addresses::Placed;
use crate::net::heartbeat::OpenError;
use crate::net::rtnl::Rtnl;

use super::board::Holding;
use super::links::Links;
use super::message::{Addresses, Command, Entry, Heart, Key, Level, Outbox};
use super::plan::{Demand, Plan, Wanted, plan};
use super::reference::{self, Aims, Watched};
use super::scripts::Scripts;
use super::store::Store;
use super::voting::Elector;
use super::warden;

/// Shared by everybody who may cause a new plan.
pub(crate) struct Rig {
    pub(crate) file: PathBuf,
    hostname: String,
    heart: Heart,
    /// Who asks the reference, where there is one.
    reference: Option<Watched>,
    journal: Outbox<Entry>,
    /// Held from before the file is read: of two reloads the later file wins. Apart from the
    /// state, which nobody may wait for because a file system hangs.
    reloading: Mutex<()>,
    state: Mutex<State>,
    /// Apart from the rest, which is locked for as long as a plan is made.
    routes: Mutex<Arc<Routes>>,
    /// The notes of the last plan: what is still so is not said again.
    told: Mutex<Vec<String>>,
}

struct State {
    config: Arc<Config>,
    groups: HashMap<String, Known>,
    next_key: Key,
    rtnl: Rtnl,
    gate: Option<Arc<Gate>>,
    /// This node's votes, where a group is native.
    elector: Option<Elector>,
    store: Store,
}

/// A group that the agent runs.
#[derive(Clone)]
struct Known {
    key: Key,
    config: Arc<GroupConfig>,
    addresses: Arc<Addresses>,
    holding: Holding,
}

/// To whom an address belongs, for the monitor.
#[derive(Default)]
pub(crate) struct Routes {
    owners: HashMap<(Arc<str>, IpAddr), (Key, Holding)>,
    /// Every interface that some group or path names.
    pub(crate) interfaces: Vec<String>,
}

impl Routes {
    /// The group that should hold this address now, if any.
    pub(crate) fn holder(&self, interface: &str, address: IpAddr) -> Option<Key> {
        let (key, holding) = self.owners.get(&(Arc::from(interface), address))?;
        holding.load(Ordering::Acquire).then_some(*key)
    }

    /// Whether the address belongs to a group, held now or not.
    pub(crate) fn is_floating(&self, interface: &str, address: IpAddr) -> bool {
        self.owners.contains_key(&(Arc::from(interface), address))
    }
}

/// Why there is no (new) plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RigError {
    /// The file; the old one, if any, goes on.
    #[error("{0}")]
    Config(String),
    /// A socket that must be there.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// Netlink.
    #[error("reading the interfaces of this host failed: {0}")]
    Netlink(#[from] io::Error),
}

impl RigError {
    /// The exit code of the contract.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            RigError::Config(_) => 2,
            RigError::Open(error) if error.is_permission() => 4,
            RigError::Netlink(error) if error.kind() == io::ErrorKind::PermissionDenied => 4,
            RigError::Open(_) | RigError::Netlink(_) => 1,
        }
    }
}

impl Rig {
    /// Builds the first plan and hands it to the heartbeat thread.
    pub(crate) fn start(
        file: PathBuf,
        hostname: String,
        config: Config,
        (rtnl, gate): (Rtnl, Option<Arc<Gate>>),
        (elector, store): (Option<Elector>, Store),
        (heart, reference): (Heart, Option<Watched>),
        journal: Outbox<Entry>,
    ) -> Result<Self, RigError> {
        let config = Arc::new(config);
        let mut state = State {
            config: Arc::clone(&config),
            groups: HashMap::new(),
            next_key: 1,
            rtnl,
            gate,
            elector,
            store,
        };
        let links = Links::read(&mut state.rtnl)?;
        demand_interfaces(&config, &links)?;
        let (plan, next) = state.draft(&config, &links, Demand::Every)?;
        let routes = Mutex::new(Arc::new(routes(&config, &next)));
        let aims = state.aims(&config, &links, &next);
        state.adopt(config, next);
        let rig = Self {
            file,
            hostname,
            heart,
            reference,
            journal,
            reloading: Mutex::default(),
            state: Mutex::new(state),
            routes,
            told: Mutex::default(),
        };
        rig.send(plan, aims);
        Ok(rig)
    }

    /// Reads the file again. A bad one changes nothing and is explained.
    pub(crate) fn reload(&self) -> Result<Reloaded, RigError> {
        let _alone = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let loaded =
            config::load(&self.file, &self.hostname).map_err(|failure| explain(&failure))?;
        let config = Arc::new(loaded.config);
        let mut state = self.state();
        state.demand_same_node(&config)?;
        let links = Links::read(&mut state.rtnl)?;
        demand_interfaces(&config, &links)?;
        let (plan, next) = state.draft(&config, &links, Demand::Every)?;
        let mut summary = state.compare(&config);
        summary.warnings = loaded.warnings.render(Paint::Plain);
        let aims = state.aims(&config, &links, &next);
        self.adopt(&mut state, config, next);
        self.send(plan, aims);
        Ok(summary)
    }

    /// The same configuration on changed links.
    pub(crate) fn rewire(&self) -> Result<(), RigError> {
        let mut state = self.state();
        let config = Arc::clone(&state.config);
        let links = Links::read(&mut state.rtnl)?;
        let (plan, next) = state.draft(&config, &links, Demand::Possible)?;
        let aims = state.aims(&config, &links, &next);
        self.adopt(&mut state, config, next);
        self.send(plan, aims);
        Ok(())
    }

    pub(crate) fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.state().config)
    }

    /// The groups in the order of the file, with their keys.
    pub(crate) fn groups(&self) -> Vec<(Key, Arc<GroupConfig>)> {
        let state = self.state();
        let known = |group: &Arc<GroupConfig>| state.groups.get(&group.name);
        let row = |known: &Known| (known.key, Arc::clone(&known.config));
        state
            .config
            .groups
            .iter()
            .filter_map(known)
            .map(row)
            .collect()
    }

    /// The routes change before the plan is sent: an address that the plan takes off is no longer
    /// anybody's loss by then.
    fn adopt(&self, state: &mut State, config: Arc<Config>, next: HashMap<String, Known>) {
        let routes = Arc::new(routes(&config, &next));
        *self.routes.lock().unwrap_or_else(PoisonError::into_inner) = routes;
        state.adopt(config, next);
    }

    fn send(&self, plan: Plan, aims: Aims) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for note in plan.notes.iter().filter(|note| !told.contains(note)) {
            self.journal
                .offer(Entry::Note(Level::Warning, note.clone()));
        }
        told.clone_from(&plan.notes);
        self.heart.send(Command::Rewire(Box::new(plan)));
        if let Some(reference) = &self.reference {
            reference.aims.send(aims);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic aborts the agent, so that the lock cannot be poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A plan for `config`, and what the agent will know once it is adopted.
    fn draft(
        &mut self,
        config: &Config,
        links: &Links,
        demand: Demand,
    ) -> Result<(Plan, HashMap<String, Known>), OpenError> {
        let mut next = HashMap::with_capacity(config.groups.len());
        let mut wanted = Vec::with_capacity(config.groups.len());
        let stored = self.store.read();
        let voted = self.elector.zip(config.native.as_ref());
        for group in &config.groups {
            let (known, withdrawn) = self.know(group, config.is_witness());
            let native = voted.filter(|_| group.is_native());
            let native = native.map(|(elector, native)| {
                let voting = elector.voting(native, group);
                (voting, elector.boot(&stored, &group.name))
            });
            wanted.push(Wanted {
                key: known.key,
                config: Arc::clone(&known.config),
                addresses: Arc::clone(&known.addresses),
                withdrawn,
                holding: Arc::clone(&known.holding),
                shutter: self.shutter(&known),
                native,
                scripts: Scripts::of(config, group),
            });
            next.insert(group.name.clone(), known);
        }
        let identity = voted.map(|(elector, native)| elector.identity(config, native));
        Ok((plan(config, wanted, identity, links, demand)?, next))
    }

    fn aims(&self, config: &Config, links: &Links, groups: &HashMap<String, Known>) -> Aims {
        reference::aims(config, links, |name| Some(groups.get(name)?.key))
    }

    /// What ends the right of a group to answer, where something does.
    fn shutter(&self, known: &Known) -> Option<Shutter> {
        known.config.lease()?;
        self.gate.as_ref()?.shutter(warden::slot(known.key))
    }

    /// A group that is still the same virtual router keeps its key, and with it its role.
    fn know(&mut self, group: &Arc<GroupConfig>, witness: bool) -> (Known, Arc<[Placed]>) {
        let addresses = addresses(group, witness);
        let before = self
            .groups
            .get(&group.name)
            .filter(|old| is_same_router(&old.config, group));
        let Some(old) = before else {
            self.next_key += 1;
            let holding = Arc::new(AtomicBool::new(false));
            let (key, config) = (self.next_key, Arc::clone(group));
            return (
                Known {
                    key,
                    config,
                    addresses: Arc::new(addresses),
                    holding,
                },
                Arc::new([]),
            );
        };
        let kept: std::collections::HashSet<&Placed> = addresses.managed.iter().collect();
        let gone = old
            .addresses
            .managed
            .iter()
            .filter(|placed| !kept.contains(placed));
        let withdrawn: Arc<[Placed]> = gone.cloned().collect();
        let known = Known {
            key: old.key,
            config: Arc::clone(group),
            holding: Arc::clone(&old.holding),
            addresses: Arc::new(addresses.keeping(&old.addresses)),
        };
        (known, withdrawn)
    }

    fn adopt(&mut self, config: Arc<Config>, groups: HashMap<String, Known>) {
        self.groups = groups;
        self.config = config;
    }

    fn compare(&self, config: &Config) -> Reloaded {
        let mut summary = Reloaded::default();
        for group in &config.groups {
            match self.groups.get(&group.name) {
                None => summary.added.push(group.name.clone()),
                Some(old) if old.config == *group => summary.unchanged += 1,
                Some(_) => summary.changed.push(group.name.clone()),
            }
        }
        let stays = |name: &String| config.groups.iter().any(|group| group.name == *name);
        summary.removed = self
            .groups
            .keys()
            .filter(|name| !stays(name))
            .cloned()
            .collect();
        summary.removed.sort_unstable();
        summary
    }

    /// What the process was built with cannot change while it runs.
    fn demand_same_node(&self, config: &Config) -> Result<(), RigError> {
        let (old, new) = (&self.config.node, &config.node);
        let changed = [
            ("node.name", old.name != new.name),
            ("node.runtime-dir", old.runtime_dir != new.runtime_dir),
            ("node.state-dir", old.state_dir != new.state_dir),
            ("node.realtime", old.realtime != new.realtime),
            (
                "fencing.gate",
                self.config.fencing.gate != config.fencing.gate,
            ),
            (
                "fencing.disk-lock",
                self.config.fencing.disk_lock != config.fencing.disk_lock,
            ),
            (
                "fencing.disk-lock-mode",
                self.config.fencing.disk_lock_mode != config.fencing.disk_lock_mode,
            ),
            (
                "fencing.disk-lease",
                self.config.fencing.disk_lease != config.fencing.disk_lease,
            ),
            (
                "fencing.reference (whether there is one)",
                self.config.fencing.reference.is_some() != config.fencing.reference.is_some(),
            ),
            (
                "the shortest interval, or the shortest lease, beside a reference",
                config.fencing.reference.is_some()
                    && reference::pace(&self.config) != reference::pace(config),
            ),
            (
                "fencing.watchdog, or the times that it follows from",
                self.config.fencing.watchdog != config.fencing.watchdog
                    || config::watchdog(&self.config) != config::watchdog(config),
            ),
            (
                "fencing.on-lease-lost",
                self.config.fencing.on_lease_lost != config.fencing.on_lease_lost,
            ),
            (
                "heartbeat.protocol",
                self.config.native.is_some() != config.native.is_some(),
            ),
            (
                "the list of nodes and witnesses",
                self.config.native.is_some() && self.config.voters() != config.voters(),
            ),
            (
                "heartbeat.interval or heartbeat.misses",
                timing(&self.config) != timing(config),
            ),
        ];
        match changed.iter().find(|(_, changed)| *changed) {
            None => Ok(()),
            Some((key, _)) => Err(RigError::Config(format!(
                "{key} has changed: that needs a restart of the agent; nothing was changed"
            ))),
        }
    }
}

/// The same id on the same interface in the same protocol and families is the same virtual router;
/// anything else is another one, which begins as BACKUP while the old one hands over.
fn is_same_router(old: &GroupConfig, new: &GroupConfig) -> bool {
    let identity = |group: &GroupConfig| -> (u8, Protocol, bool, bool) {
        let owner = group.priority == OWNER;
        (group.id, group.protocol, owner, group.lease().is_some())
    };
    identity(old) == identity(new)
        && old.interface == new.interface
        && old.families() == new.families()
}

/// What the promises of the other nodes rest on.
fn timing(config: &Config) -> Option<(std::time::Duration, u32)> {
    let native = config.native.as_ref()?;
    Some((native.interval, native.misses))
}

/// A witness has nothing to put on.
fn addresses(group: &GroupConfig, witness: bool) -> Addresses {
    let mut interfaces: HashMap<&str, Arc<str>> = HashMap::new();
    let mut announced = Vec::new();
    for address in group.all_addresses().filter(|_| !witness) {
        let name = address.interface.as_str();
        let interface = interfaces.entry(name).or_insert_with(|| Arc::from(name));
        let (interface, address) = (Arc::clone(interface), address.net.addr());
        announced.push(Placed { interface, address });
    }
    let announced: Arc<[Placed]> = announced.into();
    // The addresses of an owner are the host's own: never added, never removed.
    let owner = group.priority == OWNER;
    let managed = if owner {
        Arc::new([])
    } else {
        Arc::clone(&announced)
    };
    Addresses {
        managed,
        announced,
        announce: group.announce,
    }
}

fn routes(config: &Config, groups: &HashMap<String, Known>) -> Routes {
    let mut interfaces: Vec<String> = config
        .groups
        .iter()
        .flat_map(|group| {
            let paths = group.paths.iter().map(|path| path.interface.clone());
            paths.chain(
                group
                    .all_addresses()
                    .map(|address| address.interface.clone()),
            )
        })
        .collect();
    let native = config.native.iter().flat_map(|native| &native.paths);
    interfaces.extend(native.map(|path| path.interface.clone()));
    interfaces.sort_unstable();
    interfaces.dedup();
    let owners = groups
        .values()
        .flat_map(|known| {
            let row = |placed: &Placed| {
                let place = (Arc::clone(&placed.interface), placed.address);
                (place, (known.key, Arc::clone(&known.holding)))
            };
            known.addresses.managed.iter().map(row).collect::<Vec<_>>()
        })
        .collect();
    Routes { owners, interfaces }
}

/// An interface that is not there is a mistake in the file, or a boot that is not far enough:
/// either way nothing could be served.
fn demand_interfaces(config: &Config, links: &Links) -> Result<(), RigError> {
    for path in config.native.iter().flat_map(|native| &native.paths) {
        if links.index(&path.interface).is_none() {
            return Err(RigError::Config(format!(
                "heartbeat: there is no interface {} on this host; there are: {}",
                path.interface,
                links.names().join(", ")
            )));
        }
    }
    for group in config.groups.iter().filter(|_| !config.is_witness()) {
        let paths = group.paths.iter().map(|path| &path.interface);
        let all = paths.chain(group.all_addresses().map(|address| &address.interface));
        for interface in all {
            if links.index(interface).is_none() {
                return Err(RigError::Config(format!(
                    "group {}: there is no interface {interface} on this host; there are: {}",
                    group.name,
                    links.names().join(", ")
                )));
            }
        }
    }
    Ok(())
}

fn explain(failure: &Failure) -> RigError {
    match failure {
        Failure::Invalid(problems) => {
            RigError::Config(format!("{failure}\n{}", problems.render(Paint::Plain)))
        }
        Failure::Unreadable(unreadable) => RigError::Config(unreadable.to_string()),
    }
}
