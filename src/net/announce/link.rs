//! How do announcements leave one interface? Built for its MAC, kept while its queue is full.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;

use super::Frames;
use crate::core::Instant;
use crate::sys::packet::PacketSocket;

/// One interface, by name; its socket follows when another interface takes the name.
#[derive(Debug)]
pub(super) struct Link {
    interface: Arc<str>,
    device: Option<Device>,
    /// When `device` was last compared with the system.
    looked_at: Option<Instant>,
    waiting: VecDeque<Waiting>,
    full_since: Option<Instant>,
    retry_at: Option<Instant>,
}

/// The interface as it is now.
#[derive(Debug)]
struct Device {
    index: u32,
    socket: PacketSocket,
    /// None: it has no neighbours to tell.
    mac: Option<[u8; 6]>,
    router: bool,
}

#[derive(Debug)]
struct Waiting {
    group: u32,
    frame: Frame,
}

#[derive(Debug)]
enum Frame {
    Gratuitous([u8; 42]),
    Unsolicited([u8; 86]),
}

/// What became of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Outcome {
    pub(super) sent: u32,
    pub(super) failed: u32,
}

const FAILED: Outcome = Outcome { sent: 0, failed: 1 };

/// Frames that wait for a full queue at most; more than that are given up.
const WAITING: usize = 128;
/// How soon a full queue is tried again, and for how long.
const RETRY: Duration = Duration::from_millis(1);
const GIVE_UP: Duration = Duration::from_secs(1);

impl Link {
    pub(super) fn new(interface: Arc<str>) -> Self {
        Self {
            interface,
            device: None,
            looked_at: None,
            waiting: VecDeque::with_capacity(WAITING),
            full_since: None,
            retry_at: None,
        }
    }

    /// When a full queue is to be tried again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Queues the announcement of one address for [`Link::flush`].
    pub(super) fn queue(
        &mut self,
        now: Instant,
        group: u32,
        address: IpAddr,
        frames: Frames,
    ) -> Outcome {
        if self.waiting.len() == WAITING {
            return FAILED;
        }
        let Ok(device) = self.device(now) else {
            return FAILED;
        };
        let Some(mac) = device.mac else {
            return Outcome::default();
        };
        let frame = match address {
            IpAddr::V4(v4) => Frame::Gratuitous((frames.gratuitous)(mac, v4)),
            IpAddr::V6(v6) => Frame::Unsolicited((frames.unsolicited)(mac, v6, device.router)),
        };
        self.waiting.push_back(Waiting { group, frame });
        Outcome::default()
    }

    /// Drops what a group has waiting.
    pub(super) fn forget(&mut self, group: u32) {
        self.waiting.retain(|w| w.group != group);
        if self.waiting.is_empty() {
            self.emptied();
        }
    }

    /// Sends what waits, as far as the queue of the interface takes it.
    pub(super) fn flush(&mut self, now: Instant) -> Outcome {
        let mut outcome = Outcome::default();
        while !self.waiting.is_empty() {
            match self.send_some() {
                Ok(0) => return outcome.and(self.wait(now)),
                Ok(sent) => outcome.sent += sent,
                Err(_) => outcome.failed += self.give_up(),
            }
        }
        self.emptied();
        outcome
    }

    fn send_some(&mut self) -> io::Result<u32> {
        let device = self.device.as_ref().ok_or(Errno::ENODEV)?;
        let sent = device
            .socket
            .send_batch(self.waiting.iter().map(|w| w.frame.bytes()))?;
        if sent > 0 {
            self.waiting.drain(..sent);
            self.full_since = None;
        }
        Ok(u32::try_from(sent).unwrap_or(u32::MAX))
    }

    /// The queue is full: soon again, but not for ever.
    fn wait(&mut self, now: Instant) -> Outcome {
        let since = *self.full_since.get_or_insert(now);
        if now.since(since) < GIVE_UP {
            self.retry_at = Some(now + RETRY);
            return Outcome::default();
        }
        let failed = self.give_up();
        self.emptied();
        Outcome { sent: 0, failed }
    }

    /// Errors other than a full queue are those of the interface (gone, down), not of a frame.
    fn give_up(&mut self) -> u32 {
        let failed = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        self.waiting.clear();
        failed
    }

    fn emptied(&mut self) {
        self.full_since = None;
        self.retry_at = None;
    }

    /// The interface as it is at `now`, looked at once for each instant.
    fn device(&mut self, now: Instant) -> io::Result<&Device> {
        if self.looked_at != Some(now) {
            self.looked_at = Some(now);
            let known = self.device.take();
            self.device = look(&self.interface, known).ok();
        }
        self.device.as_ref().ok_or_else(|| Errno::ENODEV.into())
    }
}

impl Outcome {
    fn and(self, other: Outcome) -> Outcome {
        Outcome {
            sent: self.sent + other.sent,
            failed: self.failed + other.failed,
        }
    }
}

impl Frame {
    fn bytes(&self) -> &[u8] {
        match self {
            Frame::Gratuitous(bytes) => bytes,
            Frame::Unsolicited(bytes) => bytes,
        }
    }
}

/// What is behind the name now; the socket is kept where it is still the same interface.
fn look(interface: &str, known: Option<Device>) -> io::Result<Device> {
    let index = nix::net::if_::if_nametoindex(interface)?;
    let socket = match known {
        Some(device) if device.index == index => device.socket,
        _ => PacketSocket::open(index)?,
    };
    Ok(Device {
        index,
        mac: socket.mac()?,
        router: forwards(interface),
        socket,
    })
}

/// The router flag of an NA tells whether the interface forwards IPv6 (RFC 4861, section 7.2.4:
/// routers set it). `/proc/sys/net` shows the namespace of the thread that reads it.
fn forwards(interface: &str) -> bool {
    let setting = format!("/proc/sys/net/ipv6/conf/{interface}/forwarding");
    fs::read(setting).is_ok_and(|text| text.starts_with(b"1"))
}
