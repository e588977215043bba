//! Who answers for an address, at every moment? A watch asks from a host and writes down.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::capture::Capture;
use super::frame::{self, Meaning};
use super::ping::Pinger;
use super::{Advert, Announcement, Host, LabError, Mac, Observation, Question, clock};
use crate::core::Instant;
use crate::sys::realtime;

/// Below the heartbeats of the agents that are watched.
const PRIORITY: u8 = 10;

/// Tells the answers to one watch from those to another.
static NEXT_ID: AtomicU16 = AtomicU16::new(1);

/// Whom a watch asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Whoever the kernel's neighbour table names: what a client or gateway sees.
    Address,
    /// Each of these interfaces, whoever is said to have the address: sees two holders at once.
    Hosts(Vec<Mac>),
}

/// What to watch.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// The interface of the watching host.
    pub interface: String,
    /// The addresses to ask for; none: only listen.
    pub addresses: Vec<IpAddr>,
    /// Between two questions to the same address.
    pub every: Duration,
    /// Whom to ask.
    pub ask: Ask,
    /// Asks each of [`Ask::Hosts`] by ARP or neighbour solicitation too, and counts these answers.
    pub neighbours: bool,
    /// Under which priority of SCHED_FIFO to ask.
    pub priority: u8,
}

impl WatchOptions {
    /// Asks on `eth0`, every 2 ms, whoever has the address.
    #[must_use]
    pub fn new(addresses: &[IpAddr]) -> Self {
        Self {
            interface: "eth0".to_owned(),
            addresses: addresses.to_vec(),
            every: Duration::from_millis(2),
            ask: Ask::Address,
            neighbours: false,
            priority: PRIORITY,
        }
    }
}

/// A running watch; it ends when it is dropped.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    id: u16,
    owners: HashMap<Mac, Arc<str>>,
    stop: AtomicBool,
    asked: AtomicU64,
    /// Those whose answers of ARP and neighbour discovery count: a host answers for its own ones, too,
    /// and not to this watch alone.
    neighbours: Vec<IpAddr>,
    priority: u8,
    rounds: Mutex<Vec<Instant>>,
    seen: Mutex<Observation>,
    changed: Condvar,
}

impl Watch {
    /// Starts to watch from `host`.
    ///
    /// # Errors
    /// [`LabError::Off`], or which socket was refused.
    pub fn start(host: &Host, options: WatchOptions) -> Result<Self, LabError> {
        let seen = Observation {
            every: options.every,
            ..Observation::default()
        };
        let shared = Arc::new(Shared {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            owners: host.fabric().owners().clone(),
            stop: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            neighbours: match options.neighbours {
                true => options.addresses.clone(),
                false => Vec::new(),
            },
            priority: options.priority,
            rounds: Mutex::default(),
            seen: Mutex::new(seen),
            changed: Condvar::new(),
        });
        let mine = Arc::clone(&shared);
        let threads = host
            .run(move || start_threads(&options, &mine))?
            .map_err(LabError::io(format!("watching from {}", host.name())))?;
        Ok(Self { shared, threads })
    }

    /// What was seen so far.
    #[must_use]
    pub fn observation(&self) -> Observation {
        let mut seen = self.shared.seen().clone();
        seen.asked = self.shared.asked.load(Ordering::Relaxed);
        seen.rounds.clone_from(&lock(&self.shared.rounds));
        seen
    }

    /// Puts a question to what was seen so far, without a copy of it.
    pub fn look<T>(&self, question: impl FnOnce(&Observation) -> T) -> T {
        question(&self.shared.seen())
    }

    /// Waits until what was seen has an answer to the question.
    pub fn wait_for<T>(
        &self,
        within: Duration,
        question: impl Fn(&Observation) -> Option<T>,
    ) -> Option<T> {
        let seen = self.shared.seen();
        let nothing_yet = |seen: &mut Observation| question(seen).is_none();
        let wait = self
            .shared
            .changed
            .wait_timeout_while(seen, within, nothing_yet);
        let (seen, _) = wait.unwrap_or_else(PoisonError::into_inner);
        question(&seen)
    }

    /// Ends it and returns what was seen.
    #[must_use]
    pub fn stop(self) -> Observation {
        self.observation()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // They do not panic, and their end is what counts.
            let _ = thread.join();
        }
    }
}

fn start_threads(options: &WatchOptions, shared: &Arc<Shared>) -> io::Result<Vec<JoinHandle<()>>> {
    let mut capture = Capture::open(&options.interface)?;
    let mine = Arc::clone(shared);
    let see = thread::Builder::new().name("watch see".to_owned());
    let mut threads = vec![see.spawn(move || mine.listen(&mut capture))?];
    if options.addresses.is_empty() {
        return Ok(threads);
    }
    let pinger = Pinger::new(options, shared.id)?;
    let rhythm = rhythm(options.every)?;
    let mine = Arc::clone(shared);
    let ask = thread::Builder::new().name("watch ask".to_owned());
    threads.push(ask.spawn(move || mine.ask(&pinger, &rhythm))?);
    Ok(threads)
}

/// A timer that keeps its rhythm, however late its reader is now and then.
fn rhythm(every: Duration) -> io::Result<TimerFd> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
    let every = TimeSpec::from_duration(every);
    timer.set(Expiration::Interval(every), TimerSetTimeFlags::empty())?;
    Ok(timer)
}

impl Shared {
    fn ask(&self, pinger: &Pinger, rhythm: &TimerFd) {
        // A question that is late looks like an answer that is. Where it is refused, a busy machine
        // shows in the figures.
        let _ = realtime::schedule_fifo(self.priority);
        let mut sequence = 0_u16;
        while !self.stop.load(Ordering::Relaxed) && rhythm.wait().is_ok() {
            let at = clock::now();
            let sent = pinger.ask(sequence);
            self.asked.fetch_add(sent, Ordering::Relaxed);
            lock(&self.rounds).push(at);
            sequence = sequence.wrapping_add(1);
        }
    }

    fn listen(&self, capture: &mut Capture) {
        while !self.stop.load(Ordering::Relaxed) {
            let missed = capture.missed();
            match capture.next() {
                Ok(Some((at, frame))) => self.take(at, frame, missed),
                Ok(None) => {}
                // The interface has gone, with its host: nothing more to see.
                Err(_) => return,
            }
        }
    }

    fn take(&self, at: Instant, frame: &[u8], missed: u32) {
        let Some((mac, meaning)) = frame::read(frame) else {
            return;
        };
        let from = self.name_of(mac);
        let mut seen = self.seen();
        seen.missed = missed;
        match meaning {
            Meaning::EchoReply { address, id } if id == self.id => {
                seen.reply(at, address, from, Question::Echo);
            }
            Meaning::Neighbour { address } if self.neighbours.contains(&address) => {
                seen.reply(at, address, from, Question::Neighbour);
            }
            Meaning::EchoReply { .. } | Meaning::Neighbour { .. } => return,
            Meaning::Announcement { address } => {
                seen.announcements.push(Announcement { at, from, address });
            }
            Meaning::Advert {
                source,
                version,
                id,
                priority,
            } => seen.adverts.push(Advert {
                at,
                from,
                source,
                version,
                id,
                priority,
            }),
        }
        drop(seen);
        self.changed.notify_all();
    }

    fn name_of(&self, mac: Mac) -> Arc<str> {
        let known = self.owners.get(&mac).cloned();
        known.unwrap_or_else(|| Arc::from(mac.to_string()))
    }

    fn seen(&self) -> MutexGuard<'_, Observation> {
        lock(&self.seen)
    }
}

/// What was written down before a panic elsewhere is still true.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
