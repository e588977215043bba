//! What may observers know? Snapshots that the heartbeat thread publishes without ever waiting.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::config::Family;
use crate::core::{Instant, View};
use crate::wire::vrrp::Counters;

use crate::sys::wake::Waker;

use super::herald::Passed;
use super::message::Key;

/// An observer waits so long for rows of its own moment; a heartbeat thread that is frozen shows
/// its last ones.
const FRESH_WITHIN: Duration = Duration::from_millis(200);

/// One group as published.
#[derive(Clone, Debug)]
pub(crate) struct GroupRow {
    pub(crate) key: Key,
    pub(crate) view: View,
    pub(crate) lease: Option<LeaseRow>,
}

/// The lease of a group as published, where a gate ends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseRow {
    /// Until when it may answer, if it does.
    pub(crate) until: Option<Instant>,
    /// Frames that the gate has dropped.
    pub(crate) dropped: u64,
}

/// One line of a group as published.
#[derive(Clone, Debug)]
pub(crate) struct LineRow {
    pub(crate) key: Key,
    pub(crate) facts: Arc<LineFacts>,
    pub(crate) traffic: Traffic,
}

/// What does not change about a line while it lives.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LineFacts {
    pub(crate) interface: String,
    pub(crate) family: Family,
    pub(crate) source: IpAddr,
    /// Empty: multicast.
    pub(crate) peers: Vec<IpAddr>,
}

/// What went through a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) last: Option<LastHeard>,
    pub(crate) counters: Counters,
}

/// The last advert that was accepted on a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastHeard {
    pub(crate) from: IpAddr,
    pub(crate) priority: u8,
    pub(crate) at: Instant,
}

/// What is known of one line to one other node.
#[derive(Clone, Debug)]
pub(crate) struct PeerRow {
    pub(crate) node: &'static str,
    pub(crate) facts: Arc<LineFacts>,
    /// When a frame came in by it, whether or not it proved that it was of now.
    pub(crate) heard: Option<Instant>,
    /// When the node last said that it hears us by it.
    pub(crate) echoed: Option<Instant>,
    /// Whether the node was heard within the lease, by whatever line.
    pub(crate) heard_lately: bool,
    pub(crate) lease: Duration,
}

/// What went through a wire of the native heartbeat.
#[derive(Clone, Debug)]
pub(crate) struct WireRow {
    pub(crate) facts: Arc<LineFacts>,
    pub(crate) passed: Passed,
}

/// All rows of one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    /// Of when those of the groups are.
    pub(crate) at: Instant,
    pub(crate) groups: Vec<GroupRow>,
    pub(crate) lines: Vec<LineRow>,
    /// Of when those of the peers are.
    pub(crate) peers_at: Instant,
    pub(crate) peers: Vec<PeerRow>,
    pub(crate) wires: Vec<WireRow>,
}

/// Where the heartbeat thread writes and everybody reads.
#[derive(Debug, Default)]
pub(crate) struct Board {
    rows: Mutex<Rows>,
    published: Condvar,
    /// How many observers have asked for rows ...
    asked: AtomicU64,
    /// ... and how many of them had asked when the last ones were published.
    answered: AtomicU64,
    /// When the heartbeat loop has turned last, in nanoseconds of the boot clock.
    turned_at: AtomicU64,
    /// The longest that the heartbeat thread came after its deadline, in nanoseconds.
    pub(crate) late_max: AtomicU64,
    /// Frames that could not be sent.
    pub(crate) send_failed: AtomicU64,
    /// Adverts that were not sent, since the right that they spoke of had ended meanwhile.
    pub(crate) send_late: AtomicU64,
    /// Times that the kernel had an error instead of a frame.
    pub(crate) receive_failed: AtomicU64,
    /// Announcements sent, and given up.
    pub(crate) announced: AtomicU64,
    pub(crate) announce_failed: AtomicU64,
    /// Frames for ids that nobody here has.
    pub(crate) foreign: AtomicU64,
    /// Whether the heartbeat thread runs with real-time priority and locked memory.
    pub(crate) realtime: AtomicBool,
}

impl Board {
    /// For the heartbeat thread: writes the rows, unless an observer is reading at this moment. `write`
    /// is told whether one waits for them.
    pub(crate) fn publish(&self, write: impl FnOnce(&mut Rows, bool)) {
        // Before the rows are written: who asks later may want later ones.
        let asked = self.asked.load(Ordering::Acquire);
        let Ok(mut rows) = self.rows.try_lock() else {
            return;
        };
        write(&mut rows, asked != self.answered.load(Ordering::Acquire));
        self.answered.store(asked, Ordering::Release);
        drop(rows);
        self.published.notify_all();
    }

    /// Whether an observer waits for rows.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire) != self.answered.load(Ordering::Acquire)
    }

    /// For observers: what is true now, or was not long ago, of the thread that `heart` wakes.
    pub(crate) fn read(&self, heart: &Waker) -> Rows {
        let mine = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        heart.wake();
        // A panic aborts the agent, so that the lock cannot be poisoned by half a write.
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |_: &mut Rows| self.answered.load(Ordering::Acquire) < mine;
        let waited = self
            .published
            .wait_timeout_while(rows, FRESH_WITHIN, is_old);
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Looks at what was published last, without asking for more.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Rows) -> T) -> T {
        look(&self.rows.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The heartbeat loop has turned.
    pub(crate) fn turned(&self, now: Instant) {
        self.turned_at.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// When it has turned last: it does several times a second, whatever happens.
    pub(crate) fn turned_at(&self) -> Instant {
        Instant::from_nanos(self.turned_at.load(Ordering::Relaxed))
    }

    pub(crate) fn late(&self, nanos: u64) {
        self.late_max.fetch_max(nanos, Ordering::Relaxed);
    }
}

/// Whether the addresses of a group may be on, for the monitor thread.
pub(crate) type Holding = Arc<AtomicBool>;
