//! The thread that pets the watchdog, for as long as the heartbeat thread says that it may.
//!
//! It knows nothing itself: whether the device is armed and until when it may be petted is said by the
//! heartbeat in each of its turns ([`Leash`]). A heartbeat that hangs says nothing more, and the device is not
//! petted for longer than half of its time.

use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::config::{self, Config};
use crate::control::status::WatchdogStatus;
use crate::core::Instant;
use crate::core::watchdog::{Plan, Reach, Reading, Stake, read};
use crate::core::words::Length;
use crate::sys::clock;
use crate::sys::wake::{self, Wake, Waker};
use crate::sys::watchdog::{Device, Facts, facts};

use super::AgentError;
use super::message::{Entry, Level, Outbox};
use super::observe::millis;
use super::threads::{pet, spawn};

/// Between two attempts to open it ...
const RETRY: Duration = Duration::from_secs(5);
/// ... and if it runs already.
const SOON: Duration = Duration::from_millis(200);
/// The heartbeat thread looks at all groups so often at least, as a part of T.
const READS: u32 = 16;
/// What a reboot may take before the device ends it, where it takes so long a time.
const REBOOT_WITHIN: Duration = Duration::from_secs(10);
/// A device that cannot be stopped gives a restart of the agent the longest of these that it takes.
const REST: [u64; 4] = [60, 30, 15, 10];
/// No device is asked for a longer time.
const SECONDS_MOST: u64 = 60;

/// What the heartbeat thread tells the one that pets.
#[derive(Debug)]
pub(crate) struct Leash {
    armed: AtomicBool,
    /// By the one that pets: the device runs, armed or not.
    runs: AtomicBool,
    harmless_until: AtomicU64,
    /// What the device has taken, in nanoseconds; 0: nothing is known.
    timeout: AtomicU64,
    /// The host is to be reset.
    forsaken: AtomicBool,
    ending: AtomicBool,
    waker: Waker,
}

impl Leash {
    fn reading(&self) -> Reading {
        Reading {
            armed: self.armed.load(Ordering::Acquire),
            harmless_until: Instant::from_nanos(self.harmless_until.load(Ordering::Acquire)),
        }
    }

    /// From now on it is not petted any more.
    pub(crate) fn forsake(&self) {
        self.forsaken.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// It is again.
    pub(crate) fn recall(&self) {
        self.forsaken.store(false, Ordering::Release);
        self.waker.wake();
    }
}

/// The heartbeat thread's end of the leash.
pub(crate) struct Handler {
    leash: Arc<Leash>,
    plan: Plan,
    read_at: Instant,
    /// The gate is where it must be.
    gate_is_whole: bool,
}

impl Handler {
    pub(crate) fn gate_is_whole(&mut self, whole: bool) {
        self.gate_is_whole = whole;
    }

    /// When to read again, if nothing changes before.
    pub(crate) fn deadline(&self) -> Instant {
        let leash = &self.leash;
        let needed = leash.armed.load(Ordering::Relaxed) || leash.runs.load(Ordering::Relaxed);
        let taken = match leash.timeout.load(Ordering::Relaxed) {
            0 => self.plan.timeout,
            nanos => Duration::from_nanos(nanos),
        };
        match needed {
            true => self.read_at + taken.min(self.plan.timeout) / READS,
            false => Instant::NEVER,
        }
    }

    /// What all groups have at stake; `has_news` if that may have changed.
    pub(crate) fn read(
        &mut self,
        now: Instant,
        has_news: bool,
        stakes: impl Iterator<Item = Stake>,
    ) {
        if !has_news && now < self.deadline() {
            return;
        }
        self.read_at = now;
        let plan = match self.leash.timeout.load(Ordering::Relaxed) {
            0 => self.plan,
            nanos => self.plan.with_timeout(Duration::from_nanos(nanos)),
        };
        let reading = read(&plan, now, self.gate_is_whole, stakes);
        let (until, now) = (reading.harmless_until.as_nanos(), now.as_nanos());
        let before = self.leash.harmless_until.swap(until, Ordering::AcqRel);
        let armed = self.leash.armed.swap(reading.armed, Ordering::AcqRel);
        // A device that was not petted for a while may have no time for the next look.
        if armed != reading.armed || (before <= now && now < until) {
            self.leash.waker.wake();
        }
    }
}

/// What an observer may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DogRow {
    pub(crate) path: PathBuf,
    pub(crate) facts: Facts,
    /// It is a file.
    pub(crate) stand_in: bool,
    /// What it runs with, while it runs.
    pub(crate) armed: Option<Plan>,
    pub(crate) trouble: Option<String>,
}

type DogBoard = Arc<Mutex<DogRow>>;

fn lock(board: &Mutex<DogRow>) -> MutexGuard<'_, DogRow> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread that was started.
pub(super) struct Dog {
    pub(super) leash: Arc<Leash>,
    pub(super) watched: Watched,
    plan: Plan,
    thread: JoinHandle<()>,
}

/// Where observers look.
#[derive(Clone)]
pub(crate) struct Watched(DogBoard);

impl Watched {
    pub(crate) fn status(&self) -> WatchdogStatus {
        let row = lock(&self.0);
        WatchdogStatus {
            device: row.path.display().to_string(),
            identity: row.facts.identity.clone(),
            armed: row.armed.is_some(),
            timeout_ms: row.armed.map(|plan| millis(plan.timeout)),
            fences: row.armed.map(|plan| plan.reach == Reach::Fences),
            nowayout: row.facts.nowayout,
            has_reset: row.facts.has_reset,
            stand_in: row.stand_in,
            trouble: row.trouble.clone(),
        }
    }
}

impl Dog {
    pub(super) fn handler(&self) -> Handler {
        Handler {
            leash: Arc::clone(&self.leash),
            plan: self.plan,
            read_at: Instant::default(),
            gate_is_whole: true,
        }
    }

    /// Every group has ended. `clean`: nothing of theirs is left on this host; else the device runs on.
    pub(super) fn end(self, clean: bool) {
        if !clean {
            return self.leash.forsake();
        }
        self.leash.armed.store(false, Ordering::Release);
        self.leash.ending.store(true, Ordering::Release);
        self.leash.waker.wake();
        super::threads::wait_for(&self.thread);
    }
}

/// Starts the thread, where there is a device. What an agent that died has left running is stopped: its
/// addresses are off by now.
pub(super) fn start(config: &Config, journal: &Outbox<Entry>) -> Result<Option<Dog>, AgentError> {
    let device = config.fencing.watchdog.clone();
    let Some((path, plan)) = device.zip(config::watchdog(config)) else {
        return Ok(None);
    };
    let (waker, wake) = wake::pair().map_err(AgentError::system("opening an eventfd"))?;
    let leash = Arc::new(Leash {
        armed: AtomicBool::new(false),
        runs: AtomicBool::new(false),
        harmless_until: AtomicU64::new(0),
        timeout: AtomicU64::new(0),
        forsaken: AtomicBool::new(false),
        ending: AtomicBool::new(false),
        waker,
    });
    let facts = facts(&path);
    let row = DogRow {
        facts: facts.clone(),
        path: path.clone(),
        stand_in: false,
        armed: None,
        trouble: None,
    };
    let board = Arc::new(Mutex::new(row));
    let mut keeper = Keeper {
        leash: Arc::clone(&leash),
        plan,
        kennel: File(path),
        journal: journal.clone(),
        board: Arc::clone(&board),
        state: State::Closed,
        nowayout: facts.nowayout,
        runs_on: false,
        retry_at: Instant::default(),
    };
    keeper.begin(&facts, clock::now());
    let realtime = config.node.realtime;
    let thread = spawn("watchdog", move || pet(keeper, wake, realtime))?;
    Ok(Some(Dog {
        leash,
        watched: Watched(board),
        plan,
        thread,
    }))
}

/// Where devices come from.
pub(super) trait Kennel {
    type Dog: Leashed;

    fn open(&self) -> io::Result<Self::Dog>;
    fn facts(&self) -> Facts;
    fn path(&self) -> &Path;
}

/// A device that runs.
pub(super) trait Leashed {
    fn set_timeout(&self, wanted: Duration) -> io::Result<Duration>;
    fn timeout(&self) -> io::Result<Duration>;
    fn pet(&self) -> io::Result<()>;
    fn disarm(self) -> io::Result<()>;
    fn is_stand_in(&self) -> bool;
}

pub(super) struct File(PathBuf);

impl Kennel for File {
    type Dog = Device;

    fn open(&self) -> io::Result<Device> {
        Device::open(&self.0)
    }

    fn facts(&self) -> Facts {
        facts(&self.0)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Leashed for Device {
    fn set_timeout(&self, wanted: Duration) -> io::Result<Duration> {
        Device::set_timeout(self, wanted)
    }

    fn timeout(&self) -> io::Result<Duration> {
        Device::timeout(self)
    }

    fn pet(&self) -> io::Result<()> {
        Device::pet(self)
    }

    fn disarm(self) -> io::Result<()> {
        Device::disarm(self)
    }

    fn is_stand_in(&self) -> bool {
        Device::is_stand_in(self)
    }
}

/// What is known of the device.
enum State<D> {
    Closed,
    Runs {
        device: D,
        plan: Plan,
        petted_at: Instant,
        /// It was said that it is not petted.
        denied: bool,
        /// It cannot be stopped, and waits as long as it can.
        rests: bool,
    },
    /// It is to fire.
    Forsaken(Option<(D, Plan)>),
}

pub(super) struct Keeper<K: Kennel> {
    leash: Arc<Leash>,
    plan: Plan,
    kennel: K,
    journal: Outbox<Entry>,
    board: DogBoard,
    state: State<K::Dog>,
    /// Its driver does not let it be stopped.
    nowayout: bool,
    /// It runs, whoever has opened it, and nobody pets it: it is opened, whatever is held.
    runs_on: bool,
    retry_at: Instant,
}

impl<K: Kennel> Keeper<K> {
    /// Says what there is, and stops what runs already.
    fn begin(&mut self, facts: &Facts, now: Instant) {
        let path = self.kennel.path().display().to_string();
        if facts.has_reset {
            self.note(
                Level::Warning,
                format!("watchdog {path}: it has reset this host the last time"),
            );
        }
        if facts.identity.as_deref() == Some("Software Watchdog") {
            let text = format!(
                "watchdog {path}: it is a program in the kernel (softdog), which hangs when the kernel does"
            );
            self.note(Level::Warning, text);
        }
        if facts.nowayout {
            let text = format!(
                "watchdog {path}: its driver has `nowayout`: once this node has held addresses it cannot be \
                 stopped, and an agent that ends and is not started again soon resets this host"
            );
            self.note(Level::Warning, text);
        }
        if facts.runs {
            let text = format!("watchdog {path}: an earlier agent left it running");
            self.note(Level::Warning, text);
            self.runs_on = true;
            self.open(now);
            if !facts.nowayout {
                self.disarm(now);
            }
        }
    }

    /// Until the agent ends.
    pub(super) fn run(mut self, wake: &Wake) {
        loop {
            wake.clear();
            let next = self.turn(clock::now());
            if self.leash.ending.load(Ordering::Acquire) {
                return self.farewell();
            }
            let wait = next.since(clock::now()).min(Duration::from_secs(3600));
            let mut fds = [PollFd::new(wake.as_fd(), PollFlags::POLLIN)];
            match ppoll(&mut fds, Some(TimeSpec::from(wait)), None) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => {
                    eprintln!("floatlock: the watchdog thread cannot wait: {error}");
                    std::process::abort();
                }
            }
        }
    }

    /// Does what is due at `now`; returns when it wants to be called next.
    fn turn(&mut self, now: Instant) -> Instant {
        if self.leash.forsaken.load(Ordering::Acquire) {
            return self.forsake();
        }
        let reading = self.leash.reading();
        match &self.state {
            State::Forsaken(_) => self.be_recalled(now),
            State::Closed if (reading.armed || self.runs_on) && self.retry_at <= now => {
                self.open(now)
            }
            State::Closed if reading.armed || self.runs_on => self.retry_at,
            State::Closed => Instant::NEVER,
            State::Runs { .. } if !reading.armed && !self.nowayout => self.disarm(now),
            State::Runs { .. } => self.pet(reading, now),
        }
    }

    fn pet(&mut self, reading: Reading, now: Instant) -> Instant {
        let State::Runs {
            device,
            plan,
            petted_at,
            denied,
            rests,
        } = &mut self.state
        else {
            return Instant::NEVER;
        };
        if *rests == reading.armed {
            *rests = !reading.armed;
            match reading.armed {
                // What it refuses now it has taken before.
                true => drop(device.set_timeout(plan.timeout)),
                false => rest(device),
            }
        }
        let due = *petted_at + plan.every();
        if now < due {
            return due;
        }
        if reading.harmless_until <= now {
            if !*rests && !std::mem::replace(denied, true) {
                let left = (*petted_at + plan.timeout).since(now);
                let text = format!(
                    "the watchdog is not petted, since a host that freezes now could answer too long: it resets \
                     this host in {}, unless that changes",
                    Length(left)
                );
                self.journal.offer(Entry::Note(Level::Error, text));
            }
            return now + plan.every() / 4;
        }
        let every = plan.every();
        if let Err(error) = device.pet() {
            // It runs, and closing it would not stop it.
            self.trouble("petting it", &error);
            return now + every;
        }
        *petted_at = now;
        lock(&self.board).trouble = None;
        if std::mem::take(denied) {
            let text = "the watchdog is petted again".to_owned();
            self.journal.offer(Entry::Note(Level::Info, text));
        }
        now + every
    }

    fn open(&mut self, now: Instant) -> Instant {
        // A driver that came later, or with other parameters.
        let facts = self.kennel.facts();
        self.nowayout |= facts.nowayout;
        lock(&self.board).facts.nowayout = self.nowayout;
        let opened = self.kennel.open().and_then(|device| {
            let taken = set(&device, self.plan.timeout)?;
            Ok((device, taken))
        });
        let (device, taken) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.trouble("opening it", &error);
                self.retry_at = now + if self.runs_on { SOON } else { RETRY };
                return self.retry_at;
            }
        };
        let plan = self.plan.with_timeout(taken);
        let nanos = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX);
        self.leash.timeout.store(nanos, Ordering::Relaxed);
        self.runs_on = false;
        self.leash.runs.store(true, Ordering::Release);
        let path = self.kennel.path().display();
        let kind = match device.is_stand_in() {
            true => " (a file for trials: nothing resets this host)",
            false => "",
        };
        let mut level = Level::Info;
        let mut text = format!("watchdog {path}: armed{kind}, set to {}", Length(taken));
        if plan.reach == Reach::BacksUp && self.plan.reach == Reach::Fences {
            level = Level::Warning;
            text += &format!(
                " instead of {}: it backs up the gate only",
                Length(self.plan.timeout)
            );
        }
        self.note(level, text);
        let mut board = lock(&self.board);
        (board.armed, board.trouble) = (Some(plan), None);
        board.stand_in = device.is_stand_in();
        drop(board);
        self.state = State::Runs {
            device,
            plan,
            petted_at: now,
            denied: false,
            rests: false,
        };
        now + plan.every()
    }

    fn disarm(&mut self, now: Instant) -> Instant {
        let path = self.kennel.path().display().to_string();
        let State::Runs { device, .. } = std::mem::replace(&mut self.state, State::Closed) else {
            return Instant::NEVER;
        };
        let written = device.disarm();
        lock(&self.board).armed = None;
        self.leash.runs.store(false, Ordering::Release);
        if written.is_ok() && !self.kennel.facts().runs {
            self.note(Level::Info, format!("watchdog {path}: stopped"));
            return Instant::NEVER;
        }
        let text = format!(
            "watchdog {path}: it cannot be stopped, and is petted on; an agent that ends and is not started \
             again soon resets this host"
        );
        self.note(Level::Error, text);
        (self.nowayout, self.runs_on) = (true, true);
        self.open(now)
    }

    /// Said once, while it lasts.
    fn trouble(&self, doing: &str, error: &io::Error) {
        let text = format!("{doing}: {error}");
        let path = self.kennel.path().display();
        let mut board = lock(&self.board);
        if board.trouble.as_ref() != Some(&text) {
            let text = format!("watchdog {path}: {text}; nothing resets this host if it hangs");
            self.note(Level::Error, text);
        }
        board.trouble = Some(text);
    }

    fn forsake(&mut self) -> Instant {
        match std::mem::replace(&mut self.state, State::Forsaken(None)) {
            State::Runs { device, plan, .. } => {
                // One that takes no such time fires all the same.
                let _ = device.set_timeout(REBOOT_WITHIN);
                self.state = State::Forsaken(Some((device, plan)));
            }
            before @ State::Forsaken(_) => self.state = before,
            State::Closed => {}
        }
        Instant::NEVER
    }

    /// The reboot has failed.
    fn be_recalled(&mut self, now: Instant) -> Instant {
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Forsaken(Some((device, plan))) => {
                // What it has taken before.
                let _ = device.set_timeout(plan.timeout);
                State::Runs {
                    device,
                    plan,
                    petted_at: Instant::default(),
                    denied: false,
                    rests: false,
                }
            }
            _ => State::Closed,
        };
        now
    }

    /// One that cannot be stopped waits for the next start of the agent as long as it can.
    fn farewell(self) {
        if let State::Runs { device, .. } = self.state {
            rest(&device);
            let _ = device.pet();
        }
    }

    fn note(&self, level: Level, text: String) {
        self.journal.offer(Entry::Note(level, text));
    }
}

/// This time, or the next longer one that the device takes, or what it has.
fn set(device: &impl Leashed, wanted: Duration) -> io::Result<Duration> {
    for seconds in wanted.as_secs()..=SECONDS_MOST.max(wanted.as_secs()) {
        if let Ok(taken) = device.set_timeout(Duration::from_secs(seconds)) {
            return Ok(taken);
        }
    }
    device.timeout()
}

/// The longest time that it takes.
fn rest(device: &impl Leashed) {
    let _taken = REST
        .into_iter()
        .map(Duration::from_secs)
        .find(|wanted| device.set_timeout(*wanted).is_ok());
}

#[cfg(test)]
mod tests;
