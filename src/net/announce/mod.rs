//! How do neighbours learn that an address has moved? By gratuitous ARP and unsolicited NA.
//!
//! [`Announcer`] is driven by its owner: [`Announcer::run`] at [`Announcer::deadline`]. What is
//! due when is decided in `schedule`, which knows no socket; `link` sends.

mod link;
mod pace;
mod schedule;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::config::Announce;
use crate::core::{Instant, Term};
use crate::net::addresses::Placed;

use link::{Link, Outcome};
use schedule::Schedule;

/// Who builds the frames: `wire`.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    /// A gratuitous ARP request from this MAC for this address.
    pub gratuitous: fn([u8; 6], Ipv4Addr) -> [u8; 42],
    /// An unsolicited neighbour advertisement from this MAC for this address, with the router
    /// flag or not.
    pub unsolicited: fn([u8; 6], Ipv6Addr, bool) -> [u8; 86],
}

/// Announces the addresses of groups, for as long as their term lasts.
#[derive(Debug)]
pub struct Announcer {
    frames: Frames,
    schedule: Schedule,
    /// Kept when there is nothing left to say: closing a packet socket waits for the kernel's
    /// readers (milliseconds), and this thread has addresses to move.
    links: BTreeMap<Arc<str>, Link>,
}

/// What one [`Announcer::run`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[must_use]
pub struct Sent {
    /// Frames that the kernel took.
    pub frames: u32,
    /// Frames given up: the interface is gone or down, or its queue stayed full.
    pub failed: u32,
}

/// Frames handled by one run at most, so that the actuator's next task waits no longer than that.
const SLICE: u32 = 64;

impl Announcer {
    /// One that has nothing to announce, and no socket.
    #[must_use]
    pub fn new(frames: Frames) -> Self {
        Self {
            frames,
            schedule: Schedule::default(),
            links: BTreeMap::new(),
        }
    }

    /// Announces all `addresses` of a group at once, again after `repeat_after`, and every
    /// `refresh` from then on. Replaces what the group has running, unless that is of a later
    /// term.
    pub fn start(
        &mut self,
        group: u32,
        term: Term,
        addresses: Arc<[Placed]>,
        how: Announce,
        now: Instant,
    ) {
        if self.schedule.start(group, term, addresses, how, now) {
            self.forget(group);
        }
    }

    /// Ends the announcements of a group: no frame of it leaves after this.
    pub fn cancel(&mut self, group: u32) {
        self.schedule.cancel(group);
        self.forget(group);
    }

    /// When to call [`Announcer::run`] next; `None` while there is nothing to announce.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let retries = self.links.values().filter_map(Link::retry_at);
        retries.chain(self.schedule.deadline()).min()
    }

    /// Whether there are addresses that were not announced even once, so that the neighbours may
    /// still send to somebody else.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.schedule.has_news()
    }

    /// Sends what is due, at most 64 frames and never faster than the rate, without blocking.
    pub fn run(&mut self, now: Instant) -> Sent {
        let mut sent = Sent::default();
        for _ in 0..SLICE {
            let Some(due) = self.schedule.next(now) else {
                break;
            };
            let link = link_of(&mut self.links, &due.placed.interface);
            sent.add(link.queue(now, due.group, due.placed.address, self.frames));
        }
        for link in self.links.values_mut() {
            sent.add(link.flush(now));
        }
        sent
    }

    fn forget(&mut self, group: u32) {
        for link in self.links.values_mut() {
            link.forget(group);
        }
    }
}

fn link_of<'a>(links: &'a mut BTreeMap<Arc<str>, Link>, interface: &Arc<str>) -> &'a mut Link {
    links
        .entry(Arc::clone(interface))
        .or_insert_with(|| Link::new(Arc::clone(interface)))
}

impl Sent {
    fn add(&mut self, outcome: Outcome) {
        self.frames += outcome.sent;
        self.failed += outcome.failed;
    }
}
