//! What do the threads say to each other? Every queue has a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::config::Announce;
use crate::core::disk::Tenancy;
use crate::core::lease::{self, Epoch, NodeId};
use crate::core::{Cause, Immovable, Instant, Outcome, Report, Term};
use crate::net::addresses::Placed;
use crate::sys::wake::Waker;

use super::plan::{Ear, Plan};

/// Names a group for the life of the agent: a name of the file may come and go, a key never
/// means two groups.
pub(crate) type Key = u32;

/// To the heartbeat thread.
pub(crate) enum Command {
    Acquired(Key, Term, Outcome),
    Released(Key, Term, Outcome),
    /// All addresses answer, some are still going on.
    Answering(Key, Term),
    /// Somebody works on it, or on what comes before it.
    Working(Key, Term),
    /// Whether another host answers for one of its addresses.
    Looked(Key, u64, bool),
    /// Nobody does, but another one looks as well.
    Probed(Key, u64),
    AddressLost(Key),
    /// The scripts that were asked for under this number have ended, and whether the step may be taken.
    Acted(Key, u64, bool),
    /// The epoch is stored.
    Persisted(Key, Epoch),
    /// What the arbiter says to a ticket of the group.
    Arbiter(Key, lease::Event),
    /// The reference has answered what was sent then, as seen by the interface of these groups.
    Proven(Arc<[Key]>, Instant),
    /// The arbiter can be read and written, or not any more.
    ArbiterSound(bool),
    /// Whose this node's slot of the disk is.
    Slot(Tenancy),
    /// Move the addresses to this node, or to whoever is ready; by force, whether or not one is.
    HandOver(Key, Option<NodeId>, bool, SyncSender<Result<(), Immovable>>),
    /// Could this node be taken out of service?
    MayRest(SyncSender<Result<(), (Key, Immovable)>>),
    /// Out of service or back; by force, whether or not others are ready.
    Maintenance(bool, bool, SyncSender<Result<(), (Key, Immovable)>>),
    /// Somebody took the gate away: this is about every group.
    GateLost,
    /// It cannot be put back, or is back.
    GateWhole(bool),
    Rewire(Box<Plan>),
    Stop,
}

/// The way to the heartbeat thread.
#[derive(Clone)]
pub(crate) struct Heart {
    queue: SyncSender<Command>,
    waker: Waker,
}

/// What the heartbeat thread may be sent at a time.
const HEART_QUEUE: usize = 4096;

impl Heart {
    pub(crate) fn new(waker: Waker) -> (Self, Receiver<Command>) {
        let (queue, inbox) = sync_channel(HEART_QUEUE);
        (Self { queue, waker }, inbox)
    }

    /// What ends its wait, for those who have nothing to say but want to be noticed.
    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Sends, and waits while the queue is full: nobody who calls this is the heartbeat thread,
    /// which never waits for them. Nothing happens when the heartbeat thread has ended.
    pub(crate) fn send(&self, command: Command) {
        if self.queue.send(command).is_ok() {
            self.waker.wake();
        }
    }
}

/// The addresses of a group, as the actuator needs them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Addresses {
    /// Put on and taken off; none for an address owner.
    pub(crate) managed: Arc<[Placed]>,
    /// Announced to the neighbours.
    pub(crate) announced: Arc<[Placed]>,
    pub(crate) announce: Announce,
}

impl Addresses {
    /// These addresses, where a list that has not changed is the same object as before.
    pub(crate) fn keeping(mut self, before: &Self) -> Self {
        if self.managed == before.managed {
            self.managed = Arc::clone(&before.managed);
        }
        self
    }
}

/// Who had the addresses until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nobody who could still take them off: a dead MASTER, this node itself.
    Nobody,
    /// A MASTER that lives and is taking them off.
    Leaving,
}

impl From<Cause> for Before {
    /// By the reason why this node claims.
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Resigned { .. } | Cause::Preempting { .. } | Cause::Elected { .. } => {
                Before::Leaving
            }
            _ => Before::Nobody,
        }
    }
}

/// To the actuator, which does one after the other.
pub(crate) enum Job {
    Acquire(Key, Term, Arc<Addresses>, Before),
    Release(Key, Term, Arc<Addresses>),
    /// Addresses that a reload has taken away from a group; nobody waits for an answer, and
    /// nobody asks again.
    Withdraw(Key, Arc<[Placed]>),
    Announce(Key, Term, Arc<Addresses>),
    Hush(Key),
    /// Links have come or gone: each that is there needs the gate.
    Guard,
    Stop,
}

/// To the look thread: does another host answer for these addresses? It replaces what the group has
/// asked before.
pub(crate) struct Ask {
    pub(crate) key: Key,
    pub(crate) name: Arc<str>,
    pub(crate) what: Question,
    pub(crate) addresses: Arc<Addresses>,
}

/// What the look thread is to do for a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Be ready: opening sockets takes longer than a look may.
    Ready,
    /// Ask, and answer with this number.
    Look(u64),
    /// The addresses are going on by this node's own vote alone: whoever probes for them is probed, too,
    /// and so learns of it before they answer.
    Guard,
    /// They answer now, or are given up.
    Rest,
}

/// A queue that its sender never waits for: what does not fit is counted.
pub(crate) struct Outbox<T> {
    queue: SyncSender<T>,
    waker: Option<Waker>,
    lost: Arc<AtomicU64>,
}

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        let Self { queue, waker, lost } = self;
        Self {
            queue: queue.clone(),
            waker: waker.clone(),
            lost: Arc::clone(lost),
        }
    }
}

impl<T> Outbox<T> {
    pub(crate) fn new(bound: usize, waker: Option<Waker>) -> (Self, Receiver<T>) {
        let (queue, inbox) = sync_channel(bound);
        (
            Self {
                queue,
                waker,
                lost: Arc::default(),
            },
            inbox,
        )
    }

    pub(crate) fn offer(&self, item: T) {
        self.takes(item);
    }

    /// Offers, and says whether the item is off our hands: it was taken, or nobody takes anything
    /// any more.
    pub(crate) fn takes(&self, item: T) -> bool {
        match self.queue.try_send(item) {
            Ok(()) => {
                if let Some(waker) = &self.waker {
                    waker.wake();
                }
                true
            }
            Err(TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                false
            }
            // The reader has ended: the agent is stopping.
            Err(TrySendError::Disconnected(_)) => true,
        }
    }

    /// Waits for room: for threads that may, and a reader that always goes on.
    pub(crate) fn send(&self, item: T) {
        if self.queue.send(item).is_ok()
            && let Some(waker) = &self.waker
        {
            waker.wake();
        }
    }

    /// The number of those that did not fit, for whoever reads what does.
    pub(crate) fn losses(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    /// How many did not fit.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// To the journal thread, which alone writes logs.
pub(crate) enum Entry {
    /// A group said something.
    Group(Arc<str>, Report),
    /// The agent itself has something to say.
    Note(Level, String),
    /// Sockets that nobody listens at any more. Leaving a multicast group waits for a lock that
    /// any network configuration of the machine holds: nobody but this thread has the time.
    Close(Vec<Ear>),
    /// Everything was said.
    End,
}

/// How much an operator should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Info,
    Warning,
    Error,
}
