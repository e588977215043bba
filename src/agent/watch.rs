//! The thread that watches links and addresses, and tells who is concerned.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::net::monitor::{Change, Monitor, Watch, Woken};
use crate::sys::clock;
use crate::sys::wake::Wake;

use super::message::{Command, Entry, Heart, Job, Key, Level, Outbox};
use super::rig::{Rig, Routes};

/// Between two attempts while the kernel does not let us.
const PAUSE: Duration = Duration::from_millis(200);
/// Complaints about the same are this far apart.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// The state of the watch thread.
pub(crate) struct Watcher {
    rig: Arc<Rig>,
    heart: Heart,
    jobs: Outbox<Job>,
    journal: Outbox<Entry>,
    wake: Wake,
    ending: Arc<AtomicBool>,
}

/// What one batch of changes asks for.
#[derive(Default)]
struct Consequences {
    /// The groups that lost an address, each once however many it lost.
    lost: Vec<Key>,
    /// The links or the host's own addresses are others than before.
    rewire: bool,
    /// A link may be new, and without the gate.
    guard: bool,
}

impl Watcher {
    pub(crate) fn new(
        rig: Arc<Rig>,
        heart: Heart,
        (jobs, journal): (Outbox<Job>, Outbox<Entry>),
        wake: Wake,
        ending: Arc<AtomicBool>,
    ) -> Self {
        Self {
            rig,
            heart,
            jobs,
            journal,
            wake,
            ending,
        }
    }

    /// Watches until `ending` is set and the wake is rung.
    pub(crate) fn run(self, mut monitor: Monitor) {
        while !self.ending.load(Ordering::Acquire) {
            if let Err(error) = self.watch_once(&mut monitor) {
                self.note(
                    Level::Error,
                    format!("watching links and addresses failed: {error}"),
                );
                // The next wait reads everything anew, so that nothing is lost.
                clock::sleep(PAUSE);
            }
        }
    }

    fn watch_once(&self, monitor: &mut Monitor) -> io::Result<()> {
        let mut then = Consequences::default();
        // The routes as they are when something has happened, not as they were before the wait.
        let mut sink = |change: Change| consider(&change, &self.rig.routes(), &mut then);
        let watched = self.hear(monitor, &mut sink);
        // What was heard before an error counts too: it is not told twice.
        for key in then.lost {
            self.heart.send(Command::AddressLost(key));
        }
        if then.guard {
            self.jobs.offer(Job::Guard);
        }
        if then.rewire {
            self.rewire();
        }
        watched
    }

    fn hear(&self, monitor: &mut Monitor, sink: &mut impl FnMut(Change)) -> io::Result<()> {
        if monitor.wait(self.wake.as_fd(), sink)? == Woken::Asked {
            self.wake.clear();
            // A reload has named other interfaces.
            monitor.watch(self.wanted(), sink)?;
        }
        Ok(())
    }

    fn wanted(&self) -> Watch {
        Watch::new(self.rig.routes().interfaces.iter().cloned())
    }

    /// Until it succeeds: there may be no further event that would have it tried again.
    fn rewire(&self) {
        let mut complained_at = None;
        while let Err(error) = self.rig.rewire() {
            let now = clock::now();
            if complained_at.is_none_or(|at| now.since(at) >= COMPLAIN_EVERY) {
                complained_at = Some(now);
                let text = format!("following a change of the links failed, again soon: {error}");
                self.note(Level::Error, text);
            }
            if self.ending.load(Ordering::Acquire) {
                return;
            }
            clock::sleep(PAUSE);
        }
    }

    fn note(&self, level: Level, text: String) {
        self.journal.offer(Entry::Note(level, text));
    }
}

fn consider(change: &Change, routes: &Routes, then: &mut Consequences) {
    match change {
        Change::Link { .. } => {
            then.rewire = true;
            then.guard = true;
        }
        Change::AddressRemoved { interface, state } => {
            match routes.holder(interface, state.address) {
                Some(key) if then.lost.contains(&key) => {}
                Some(key) => then.lost.push(key),
                // One of the host's own may have been a source.
                None => then.rewire |= !routes.is_floating(interface, state.address),
            }
        }
        Change::AddressAdded { interface, state } => {
            then.rewire |= !routes.is_floating(interface, state.address);
        }
        Change::Resynced => {}
    }
}
