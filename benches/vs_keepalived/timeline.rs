//! When did each address go on and off a host? The kernel's own events, in order.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Host, clock};
use floatlock::sys::realtime;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeSpec;

use crate::stage::Failure;

/// Room for the events of many thousand addresses.
const QUEUE_BYTES: usize = 64 << 20;
/// Before every wait for the next event, so that this thread does not follow each single change
/// and slow down the program that makes it: the figures are exact to this.
const NAP: Duration = Duration::from_micros(300);
/// How long the reader waits before it looks whether it should stop.
const LOOK_EVERY_MS: u8 = 50;
/// Below the heartbeat thread of floatlock, above everything that keeps a machine busy.
const PRIORITY: u8 = 20;

/// One address on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) at: Instant,
    pub(crate) address: IpAddr,
    pub(crate) on: bool,
}

/// A running record of a host's IPv4 addresses.
pub(crate) struct Timeline {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    changes: Mutex<Vec<Change>>,
}

impl Timeline {
    /// Begins now.
    pub(crate) fn start(host: &Host) -> Result<Self, Failure> {
        let shared = Arc::new(Shared::default());
        let mine = Arc::clone(&shared);
        let thread = host.run(move || {
            let socket = open()?;
            thread::Builder::new().spawn(move || mine.record(&socket))
        })??;
        let thread = Some(thread);
        Ok(Self { shared, thread })
    }

    /// What has happened so far.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.shared.changes().clone()
    }

    /// How many addresses went on (off) since then, and when the last of them did.
    pub(crate) fn count(&self, on: bool, since: Instant) -> (usize, Option<Instant>) {
        let changes = self.shared.changes();
        let of_kind = changes.iter().filter(|c| c.on == on && c.at >= since);
        let times: Vec<Instant> = of_kind.map(|change| change.at).collect();
        (times.len(), times.last().copied())
    }

    /// Waits until so many addresses went on (off) since then; returns when the last of them did.
    pub(crate) fn wait(
        &self,
        on: bool,
        count: usize,
        since: Instant,
        within: Duration,
    ) -> Option<Instant> {
        let mut last = None;
        let done = clock::wait_until(within, || {
            let (seen, at) = self.count(on, since);
            last = at;
            seen >= count
        });
        last.filter(|_| done)
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It does not panic, and its end is what counts.
            let _ = thread.join();
        }
    }
}

/// For how long `b`, which gets them, had each address together with `a`, which had all of them at
/// first; only those that both had at once. What `a` does not take off it still has at `until`.
pub(crate) fn overlaps(
    a: &[Change],
    b: &[Change],
    since: Instant,
    until: Instant,
) -> Vec<Duration> {
    let gone = a.iter().filter(|c| !c.on && c.at >= since);
    let gone: HashMap<IpAddr, Instant> = gone.map(|c| (c.address, c.at)).collect();
    let came = b.iter().filter(|c| c.on && c.at >= since);
    let both = came.map(|change| {
        let off = gone.get(&change.address).copied().unwrap_or(until);
        off.since(change.at)
    });
    both.filter(|length| !length.is_zero()).collect()
}

impl Shared {
    fn record(&self, socket: &Socket) {
        // Late stamps are what becomes of a refusal.
        let _ = realtime::schedule_fifo(PRIORITY);
        let mut bytes = Vec::with_capacity(64 << 10);
        while !self.stop.load(Ordering::Relaxed) {
            let mut waiting = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            if matches!(
                poll(&mut waiting, PollTimeout::from(LOOK_EVERY_MS)),
                Ok(1..)
            ) {
                self.drain(socket, &mut bytes);
                // Interrupted: the next wait comes a little earlier.
                let _ = ppoll(&mut [], Some(TimeSpec::from(NAP)), None);
            }
        }
    }

    fn drain(&self, socket: &Socket, bytes: &mut Vec<u8>) {
        loop {
            bytes.clear();
            if socket.recv(bytes, libc::MSG_DONTWAIT).is_err() {
                return;
            }
            let at = clock::now();
            let mut changes = self.changes();
            let read = messages(bytes).filter_map(|message| change(at, message));
            changes.extend(read);
        }
    }

    fn changes(&self) -> MutexGuard<'_, Vec<Change>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    setsockopt(&socket, sockopt::RcvBufForce, &QUEUE_BYTES)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    socket.add_membership(libc::RTNLGRP_IPV4_IFADDR)?;
    Ok(socket)
}

/// Type and payload of each message: `struct nlmsghdr` is 16 bytes, each message aligned to 4.
fn messages(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*rest.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
        let payload = rest.get(16..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    })
}

/// `struct ifaddrmsg` is 8 bytes; the attributes follow, each with 4 bytes of header.
fn change(at: Instant, (kind, payload): (u16, &[u8])) -> Option<Change> {
    let on = match kind {
        libc::RTM_NEWADDR => true,
        libc::RTM_DELADDR => false,
        _ => return None,
    };
    let mut rest = payload.get(8..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let attribute = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
        if attribute == libc::IFA_LOCAL {
            let octets: [u8; 4] = *rest.get(4..)?.first_chunk()?;
            let address = Ipv4Addr::from(octets).into();
            return Some(Change { at, address, on });
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}
