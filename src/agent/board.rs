//! What may observers know? Snapshots that the heartbeat thread publishes without ever waiting.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Family;
use crate::core::{Instant, View};
use crate::wire::vrrp::Counters;

use super::message::Key;

/// One group as published.
#[derive(Clone, Debug)]
pub(crate) struct GroupRow {
    pub(crate) key: Key,
    pub(crate) view: View,
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

/// All rows of one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) groups: Vec<GroupRow>,
    pub(crate) lines: Vec<LineRow>,
}

/// Where the heartbeat thread writes and everybody reads.
#[derive(Debug, Default)]
pub(crate) struct Board {
    rows: Mutex<Rows>,
    /// Turns of the heartbeat loop, for the watchdog.
    pub(crate) turns: AtomicU64,
    /// The longest that the heartbeat thread came after its deadline, in nanoseconds.
    pub(crate) late_max: AtomicU64,
    /// Frames that could not be sent.
    pub(crate) send_failed: AtomicU64,
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
    /// For the heartbeat thread: writes the rows, unless an observer is reading at this moment.
    pub(crate) fn publish(&self, write: impl FnOnce(&mut Rows)) -> bool {
        let Ok(mut rows) = self.rows.try_lock() else {
            return false;
        };
        rows.groups.clear();
        rows.lines.clear();
        write(&mut rows);
        true
    }

    /// For observers.
    pub(crate) fn read(&self) -> Rows {
        // A panic aborts the agent, so that the lock cannot be poisoned by half a write.
        self.rows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn late(&self, nanos: u64) {
        self.late_max.fetch_max(nanos, Ordering::Relaxed);
    }
}

/// Whether the addresses of a group may be on, for the monitor thread.
pub(crate) type Holding = Arc<AtomicBool>;
