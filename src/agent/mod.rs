//! The running program, from start to stop.
//!
//! | thread | does | waits for |
//! |---|---|---|
//! | main | signals; start and stop | signals |
//! | heartbeat | core, adverts in and out; real-time | its one poll |
//! | gate | tells nftables until when groups may answer, where it is the gate; real-time | the kernel |
//! | actuator | addresses and announcements, one after the other | the kernel |
//! | look | whether another host answers for addresses; real-time | neighbours, milliseconds |
//! | watchdog | pets the device that resets a host that hangs, while the heartbeat turns; real-time | its time |
//! | actions | waits for the first script of an operator, and begins the next thread | the heartbeat |
//! | scripts | runs them, one of a group at a time | the scripts |
//! | watch | links and addresses changed by others | netlink |
//! | service | control socket, systemd's watchdog, reload (tokio) | clients |
//! | reload | a reload by signal | the disk, if need be |
//! | dump | the status into the log | a plan that is being made |
//! | journal | the log | the disk, if need be |

mod actuator;
mod arbiter;
mod board;
mod due;
mod errand;
mod heartbeat;
mod herald;
mod install;
mod journal;
mod ladder;
mod lease;
mod line;
mod links;
mod look;
mod message;
mod observe;
mod operator;
mod peers;
mod plan;
mod prepare;
mod recorder;
mod reference;
mod rig;
mod scripts;
mod service;
mod slot;
mod store;
mod threads;
mod trial;
mod voting;
mod warden;
mod watch;
mod watchdog;
mod withdraw;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::config::{Config, GateChoice, Loaded, OnLeaseLost, Paint, summary};
use crate::control::SOCKET;
use crate::control::server::Server;
use crate::core::words::Length;
use crate::gate::Gate;
use crate::net::announce::{Announcer, Frames};
use crate::net::monitor::{Monitor, Watch};
use crate::net::rtnl::Rtnl;
use crate::sys::lock::{self, Held, LockError};
use crate::sys::wake::{self, Waker};
use crate::sys::{clock, notify};
use crate::wire::{arp, ndp};

use actuator::Actuator;
use arbiter::{Disk, ToDisk};
use board::Board;
use errand::Errand;
use heartbeat::Heartbeat;
use ladder::Rebooter;
use look::Looker;
use message::{Command, Entry, Heart, Job, Level, Outbox};
use observe::Observer;
use prepare::{
    clear_leftovers, demand_right, interfaces, is_out_of_service, lock_memory, open_store,
    prepare_runtime_dir, remember_lease, remove_gate, sweep_all,
};
use rig::{Rig, RigError};
use store::Task;
use threads::{act, beat, end_journal, join, look, record, spawn, wait_for, write_gate};
pub use trial::{Trial, try_gate};
use voting::Elector;
use watch::Watcher;
use watchdog::Dog;

/// How long the start waits for the first snapshot of the groups ...
const READY_WITHIN: Duration = Duration::from_secs(2);
/// ... and how often it looks.
const READY_LOOK: Duration = Duration::from_millis(5);
/// Jobs for the actuator that may wait.
const JOBS: usize = 8192;
/// Questions for the look thread that may wait; a group has one at a time, and the gate has places
/// for so many groups.
const LOOKS: usize = 1024;

/// How announcements are written.
const FRAMES: Frames = Frames {
    gratuitous: arp::gratuitous,
    unsolicited: ndp::unsolicited,
};

/// Why the agent did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Another one runs in this network namespace.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The plan could not be made.
    #[error("{0}")]
    Plan(String, u8),
    /// Something that the system should provide.
    #[error("{doing}: {source}")]
    System {
        /// What was being done, to what.
        doing: String,
        /// What happened.
        source: io::Error,
    },
    /// Addresses are still on.
    #[error(
        "addresses are still on this host: {0}\n\
         remove them with `floatlock release`, or with `ip address del`"
    )]
    LeftBehind(String),
}

impl AgentError {
    /// The exit code of the contract.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            AgentError::Plan(_, code) => *code,
            AgentError::System { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                4
            }
            _ => 1,
        }
    }

    fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| AgentError::System { doing, source }
    }
}

impl From<RigError> for AgentError {
    fn from(error: RigError) -> Self {
        AgentError::Plan(error.to_string(), error.exit_code())
    }
}

/// What a start is told by the command line.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The configuration.
    pub file: &'a Path,
    /// Of this host.
    pub hostname: &'a str,
    /// Where everything that the groups are told and say is written down.
    pub record: Option<&'a Path>,
}

/// Runs the agent until a signal ends it.
///
/// # Errors
/// It could not start, or left something behind; the reason names what to do.
pub fn run(start: Start<'_>, loaded: Loaded) -> Result<(), AgentError> {
    // A thread that panics takes the agent with it: the rest would go on without its parts.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("floatlock: {panic}");
        std::process::abort();
    }));
    // Before anything else, so that a signal during the start is a stop and not a death.
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])
        .map_err(AgentError::system("installing signal handlers"))?;
    journal::open();
    let lock = lock::acquire()?;
    let agent = Agent::start(start, loaded, lock)?;
    agent.obey(signals);
    agent.stop()
}

/// All threads, and what ends them.
struct Agent {
    _lock: Held,
    config: Config,
    heart: Heart,
    jobs: Outbox<Job>,
    journal: Outbox<Entry>,
    observer: Arc<Observer>,
    ending: Arc<AtomicBool>,
    watcher_waker: Waker,
    reload: Errand,
    dump: Errand,
    to_store: Outbox<Task>,
    store_thread: JoinHandle<()>,
    record_thread: Option<JoinHandle<()>>,
    disk: Option<Disk>,
    dog: Option<Dog>,
    scripts: scripts::Thread,
    gate: Option<Arc<Gate>>,
    gate_thread: Option<JoinHandle<()>>,
    heartbeat_thread: JoinHandle<()>,
    actuator_thread: JoinHandle<()>,
    watch_thread: JoinHandle<()>,
    journal_thread: JoinHandle<()>,
}

impl Agent {
    fn start(start: Start<'_>, loaded: Loaded, lock: Held) -> Result<Self, AgentError> {
        let started = clock::now();
        let config = loaded.config;
        let runtime_dir = config.node.runtime_dir.clone();
        let doing = format!("preparing {}", runtime_dir.display());
        prepare_runtime_dir(&runtime_dir).map_err(AgentError::system(doing))?;

        let (journal, entries) = Outbox::new(journal::BOUND, None);
        let board = Arc::new(Board::default());
        if config.node.realtime {
            lock_memory(&journal);
        }

        let netlink = || AgentError::system("opening a netlink socket (needs CAP_NET_ADMIN)");
        let mut rtnl = Rtnl::open().map_err(netlink())?;
        demand_right(&mut rtnl)?;
        // Shut before anything else: an agent that died may have left addresses and an open gate.
        let installed = install::gate(&config, &mut rtnl)?;
        clear_leftovers(&mut rtnl, &journal)?;
        let gate = installed.finish(&mut rtnl, &journal)?;
        // Watching begins before the first look, so that nothing changes unseen in between.
        let monitor = Monitor::open(Watch::new(interfaces(&config))).map_err(netlink())?;

        let pipes = || wake::pair().map_err(AgentError::system("opening an eventfd"));
        let (heart_wake, jobs_wake, watch_wake) = (pipes()?, pipes()?, pipes()?);
        let looks_wake = pipes()?;
        let (heart, commands) = Heart::new(heart_wake.0.clone());
        let (to_store, store_inbox) = Outbox::new(store::BOUND, None);
        let store = open_store(&config, &journal)?;
        let elector = Elector::new(&config, &store.read())
            .map_err(AgentError::system("reading random numbers"))?;
        remember_lease(&config, &store, &journal)?;
        let (jobs, job_inbox) = Outbox::new(JOBS, Some(jobs_wake.0.clone()));
        let (looks, look_inbox) = Outbox::new(LOOKS, Some(looks_wake.0));
        let looker = Looker::new((look_inbox, looks_wake.1), heart.clone(), journal.clone());
        let gate_thread = match gate.writer {
            Some(writer) => Some(spawn("gate", {
                let (realtime, jobs, journal) =
                    (config.node.realtime, jobs.clone(), journal.clone());
                move || write_gate(writer, realtime, &jobs, &journal)
            })?),
            None => None,
        };
        let closing = gate.gate.clone();
        let mut heartbeat = Heartbeat::new(
            commands,
            heart_wake,
            (jobs.clone(), looks),
            (journal.clone(), to_store.clone()),
            Arc::clone(&board),
            is_out_of_service(&store),
        )
        .map_err(AgentError::system("setting up the heartbeat"))?;
        let disk = arbiter::start(&config, start.hostname, elector, (&heart, &journal, &board))?;
        if let Some(disk) = &disk {
            heartbeat.plead_to(disk.pleas.clone());
        }
        let reference = reference::start(&config, (&heart, &journal))?;
        let dog = watchdog::start(&as_it_is(&config, gate.gate.is_some()), &journal)?;
        let leash = dog.as_ref().map(|dog| Arc::clone(&dog.leash));
        let rebooter = match config.fencing.on_lease_lost {
            OnLeaseLost::Silence => None,
            OnLeaseLost::Reboot => Some(Rebooter::start(leash, &journal)?),
        };
        let scripts = scripts::start(&heart, &journal)?;
        heartbeat.act_through(scripts.steps.clone());
        heartbeat.be_watched(dog.as_ref().map(Dog::handler), rebooter);
        let mut record_thread = None;
        if let Some(path) = start.record {
            let (record, thread) = record(path, &journal)?;
            heartbeat.record(record);
            record_thread = Some(thread);
        }
        let actuator = Actuator::new(
            (job_inbox, jobs_wake.1),
            (Rtnl::open().map_err(netlink())?, Announcer::new(FRAMES)),
            gate.warden,
            heart.clone(),
            journal.clone(),
            Arc::clone(&board),
        );
        let rig = Arc::new(Rig::start(
            start.file.to_owned(),
            start.hostname.to_owned(),
            config.clone(),
            (rtnl, gate.gate),
            (elector, store.clone()),
            (heart.clone(), reference.clone()),
            journal.clone(),
        )?);
        let doing = format!("binding {}", runtime_dir.join(SOCKET).display());

        let ending = Arc::new(AtomicBool::new(false));
        let watcher = Watcher::new(
            Arc::clone(&rig),
            heart.clone(),
            (jobs.clone(), journal.clone()),
            watch_wake.1,
            Arc::clone(&ending),
        );
        let observer = Arc::new(Observer {
            rig,
            board: Arc::clone(&board),
            heart: heart.clone(),
            elector,
            store: store.clone(),
            service: Mutex::default(),
            one_way: Mutex::default(),
            disk: disk.as_ref().map(|disk| disk.watched.clone()),
            watchdog: dog.as_ref().map(|dog| dog.watched.clone()),
            reference,
            jobs: jobs.clone(),
            journal: journal.clone(),
            watcher: watch_wake.0.clone(),
            gate: gate.report,
            started,
        });
        let runtime = service::runtime().map_err(AgentError::system("starting the service"))?;
        let (server, warning) = {
            let _inside = runtime.enter();
            Server::bind(&runtime_dir).map_err(AgentError::system(doing))?
        };
        if let Some(warning) = warning {
            journal.offer(Entry::Note(Level::Warning, warning));
        }

        let agent = Self {
            _lock: lock,
            heart: heart.clone(),
            jobs,
            ending,
            watcher_waker: watch_wake.0,
            disk,
            dog,
            scripts,
            gate: closing,
            gate_thread,
            journal_thread: spawn("journal", {
                let journal = journal.clone();
                move || journal::run(&entries, &journal)
            })?,
            actuator_thread: spawn("actuator", {
                let (realtime, journal) = (config.node.realtime, journal.clone());
                move || act(actuator, realtime, &journal)
            })?,
            store_thread: spawn("store", {
                let (heart, journal) = (heart.clone(), journal.clone());
                move || store.run(&store_inbox, &heart, &journal)
            })?,
            to_store,
            record_thread,
            heartbeat_thread: spawn("heartbeat", {
                let (realtime, board, journal) =
                    (config.node.realtime, Arc::clone(&board), journal.clone());
                move || beat(heartbeat, realtime, &board, &journal)
            })?,
            watch_thread: spawn("watch", move || watcher.run(monitor))?,
            reload: Errand::new("reload", {
                let observer = Arc::clone(&observer);
                move || drop(observer.reload())
            })?,
            dump: Errand::new("dump", {
                let observer = Arc::clone(&observer);
                move || observer.dump()
            })?,
            observer: Arc::clone(&observer),
            config,
            journal,
        };
        // Not joined: they hold nothing that must be put in order, and end with the process.
        let realtime = agent.config.node.realtime;
        spawn("look", move || look(looker, realtime))?;
        spawn("service", move || {
            service::run(&runtime, server, observer, &board)
        })?;
        agent.greet(&loaded.warnings.render(Paint::Plain));
        Ok(agent)
    }

    fn greet(&self, warnings: &str) {
        let (node, groups) = (&self.config.node.name, self.config.groups.len());
        let version = env!("CARGO_PKG_VERSION");
        self.note(
            Level::Info,
            format!("floatlock {version} on {node}: {groups} group(s)"),
        );
        if !warnings.is_empty() {
            self.note(Level::Warning, warnings.to_owned());
        }
        if let Some(mode) = mode(&self.config) {
            self.note(Level::Info, mode);
        }
        self.note(Level::Warning, summary(&self.config).not_survived);
        let actual = as_it_is(&self.config, self.gate.is_some());
        if let Some(watchdog) = summary(&actual).watchdog {
            self.note(Level::Info, watchdog.text);
        }
        if is_out_of_service(&self.observer.store) {
            let text = "out of service: `floatlock maintenance off` ends that".to_owned();
            self.note(Level::Warning, text);
        }
        self.wait_for_groups();
        tell(notify::ready(&self.observer.status().line()));
    }

    /// READY means that a status shows every group; should the heartbeat be slow to say so, it is
    /// not waited for.
    fn wait_for_groups(&self) {
        let started = clock::now();
        while self.observer.status().groups.len() < self.config.groups.len()
            && clock::now().since(started) < READY_WITHIN
        {
            clock::sleep(READY_LOOK);
        }
    }

    /// Until a signal says stop. Nothing else is done here, so that it is heard at once.
    fn obey(&self, mut signals: Signals) {
        for signal in signals.forever() {
            match signal {
                SIGHUP => self.reload.ask(),
                SIGUSR1 => self.dump.ask(),
                _ => return,
            }
        }
    }

    /// Hands over, group by group, then ends thread by thread, each after those that need it.
    fn stop(self) -> Result<(), AgentError> {
        tell(notify::stopping());
        self.note(Level::Info, "stopping: handing over".to_owned());
        self.heart.send(Command::Stop);
        join(self.heartbeat_thread);
        if let Some(disk) = &self.disk {
            disk.pleas.send(ToDisk::Stop);
            wait_for(&disk.thread);
        }
        if let Some(thread) = &self.record_thread {
            wait_for(thread);
        }
        // Not joined: a disk that hangs keeps nobody from stopping.
        self.to_store.offer(Task::Stop);
        drop(self.store_thread);
        self.jobs.send(Job::Stop);
        join(self.actuator_thread);
        if let Some(gate) = self.gate {
            gate.end();
        }
        if let Some(thread) = self.gate_thread {
            join(thread);
        }
        self.ending.store(true, Ordering::Release);
        self.watcher_waker.wake();
        join(self.watch_thread);
        let swept = sweep_all();
        if let Some(dog) = self.dog {
            dog.end(swept.is_ok());
        }
        // After all that nobody may wait for.
        self.scripts.end();
        let left = swept.and_then(|()| remove_gate());
        self.journal
            .offer(Entry::Note(Level::Info, "stopped".to_owned()));
        end_journal(&self.journal, &self.journal_thread);
        // Gone already if somebody cleared the directory.
        let _ = std::fs::remove_file(self.config.node.runtime_dir.join(SOCKET));
        left
    }

    fn note(&self, level: Level, text: String) {
        self.journal.offer(Entry::Note(level, text));
    }
}

/// The configuration with the gate that this host has.
fn as_it_is(config: &Config, has_gate: bool) -> Config {
    let mut config = config.clone();
    if !has_gate {
        config.fencing.gate = GateChoice::Off;
    }
    config
}

/// How the cluster decides who holds, where it votes.
fn mode(config: &Config) -> Option<String> {
    let (cluster, native) = config.cluster.as_ref().zip(config.native.as_ref())?;
    let (nodes, witnesses) = (cluster.nodes.len(), cluster.witnesses.len());
    let mode = match summary(config).exclusive {
        true if config.fencing.needs_disk() => {
            "the two of them elect, and nobody holds without the disk, so that there is at most one MASTER"
        }
        true if config.fencing.has_disk() => {
            "the two of them elect, and the disk decides when one of them is silent, so that there is \
             at most one MASTER"
        }
        true => "a majority of them elects, so that there is at most one MASTER",
        false if nodes + witnesses < 2 => "it votes for itself",
        false if config.fencing.reference.is_some() => {
            "two nodes vote, and one of them goes on alone while the other is silent and the reference \
             answers"
        }
        false => "two nodes vote, and one of them goes on alone while the other is silent",
    };
    let lease = Length(native.interval.saturating_mul(native.misses));
    let every = Length(native.interval);
    let name = &cluster.name;
    Some(format!(
        "cluster {name}: {nodes} node(s), {witnesses} witness(es): {mode}; leases of {lease}, \
         renewed every {every}"
    ))
}

/// systemd that does not listen to us is no reason to stop serving.
fn tell(_told: io::Result<()>) {}
