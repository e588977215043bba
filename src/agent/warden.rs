//! Is the gate where it must be? On every interface, around every address that may be on.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use crate::core::Instant;
use crate::gate::{Events, Gate, Look};
use crate::net::addresses::Placed;
use crate::net::rtnl::{LinkState, Rtnl};

use super::message::Key;

/// How often it is looked whether the gate is still there: while addresses may be on, whatever the
/// kernel tells, since it does not tell of everything, ...
const CHECK_EVERY: Duration = Duration::from_millis(100);
/// ... and while none is on.
const CHECK_IDLE_EVERY: Duration = Duration::from_secs(5);
/// A gate that nobody can have touched is looked at only so often, and the addresses in its map are: what it has
/// dropped is counted then.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// What a group has asked of the gate holds within this, unless another program that changes a
/// ruleset holds it up.
const SETTLE_WITHIN: Duration = Duration::from_millis(500);
/// Not for each of a thousand events: what another program does comes in many.
const CHECK_ALARMED_EVERY: Duration = Duration::from_millis(50);
/// Two hundred groups that begin together look once.
const JUST: Duration = Duration::from_millis(10);

/// Keeps the gate in place, for the actuator thread.
pub(crate) struct Warden {
    gate: Arc<Gate>,
    /// By address: its group, and the interface that it was covered on.
    covered: HashMap<Placed, (Key, u32)>,
    /// The groups that have, or had, such addresses.
    keys: BTreeSet<Key>,
    /// The interfaces that have the gate, by index.
    attached: HashMap<u32, String>,
    checked_at: Instant,
    /// When everything was last looked at.
    counted_at: Instant,
    /// None where the kernel does not tell.
    events: Option<Events>,
    /// It has told something since the last look.
    is_alarmed: bool,
}

/// What a check has found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// Interfaces that had the gate and were without it; they have it again.
    pub(crate) lost: Vec<String>,
}

impl Warden {
    /// For a gate that is on every interface.
    pub(crate) fn new(gate: Arc<Gate>, events: Option<Events>, now: Instant) -> Self {
        Self {
            gate,
            covered: HashMap::new(),
            keys: BTreeSet::new(),
            attached: HashMap::new(),
            checked_at: now,
            counted_at: Instant::default(),
            events,
            is_alarmed: false,
        }
    }

    /// When to check next.
    pub(crate) fn deadline(&self) -> Instant {
        let holds = self.keys.iter().any(|key| self.is_armed(*key));
        let every = match holds {
            _ if self.is_alarmed => CHECK_ALARMED_EVERY,
            true => CHECK_EVERY,
            false => CHECK_IDLE_EVERY,
        };
        self.checked_at + every
    }

    /// Readable when there is something to hear.
    pub(crate) fn events(&self) -> Option<BorrowedFd<'_>> {
        self.events.as_ref().map(Events::as_fd)
    }

    /// Hears what the kernel tells: the next look may be due at once.
    pub(crate) fn hear(&mut self) {
        if let Some(events) = &mut self.events {
            self.is_alarmed |= events.heard();
        }
    }

    /// Waits until the kernel knows what the group last asked of its shutter.
    ///
    /// # Errors
    /// It does not, and why.
    pub(crate) fn settle(&self, key: Key) -> io::Result<()> {
        self.gate.settle(slot(key), SETTLE_WITHIN)
    }

    /// Puts the addresses behind the shutter of their group, before one of them goes on or off.
    ///
    /// # Errors
    /// The kernel has no room for more, or refuses.
    pub(crate) fn cover(&mut self, key: Key, placed: &[Placed]) -> io::Result<()> {
        self.keys.insert(key);
        let mut indices: HashMap<&str, u32> = HashMap::new();
        let mut missing = Vec::new();
        for one in placed {
            let name = &*one.interface;
            let index = *indices.entry(name).or_insert_with(|| index_of(name));
            if self.covered.get(one) != Some(&(key, index)) {
                missing.push((one, index));
            }
        }
        let addresses: Vec<_> = missing.iter().map(|(one, at)| (one.address, *at)).collect();
        self.gate.cover(&addresses, slot(key))?;
        let covered = missing
            .into_iter()
            .map(|(one, index)| (one.clone(), (key, index)));
        self.covered.extend(covered);
        Ok(())
    }

    /// They left the configuration and are off: frames for them are nobody's business here, unless
    /// another group has them now.
    pub(crate) fn uncover(&mut self, key: Key, placed: &[Placed]) {
        for one in placed {
            let Some(&(of, index)) = self.covered.get(one) else {
                continue;
            };
            let elsewhere = |other: &Placed| other != one && is_same(other.address, one.address);
            if of == key {
                self.covered.remove(one);
                if !self.covered.keys().any(elsewhere) {
                    // It stays behind a shutter that nobody arms, at worst.
                    let _ = self.gate.uncover(one.address, index);
                }
            }
        }
    }

    /// Whether so little time has passed since the last look that another shows nothing new.
    pub(crate) fn has_just_checked(&self, now: Instant) -> bool {
        now.since(self.checked_at) < JUST
    }

    /// Looks at every interface: new ones get the gate, and those that have lost it get it back. Before
    /// they do, which may take a program of its own, `alarm` is called.
    ///
    /// # Errors
    /// The gate is not on every interface, and cannot be put there.
    pub(crate) fn check(
        &mut self,
        rtnl: &mut Rtnl,
        now: Instant,
        alarm: impl FnOnce(),
    ) -> io::Result<Found> {
        self.checked_at = now;
        // What is told from here on is looked at the next time.
        self.is_alarmed = false;
        let links = rtnl.links()?;
        let look = match now.since(self.counted_at) < COUNT_EVERY {
            true if self.gate.is_untouched(&links)? => return Ok(Found::default()),
            true => Look::Quick,
            false => Look::Full,
        };
        if look == Look::Full {
            self.counted_at = now;
        }
        let mut attached = self.gate.whole(rtnl, &links, look)?;
        let is_missing = |link: &&LinkState| !attached.contains(&link.index);
        let missing: Vec<&LinkState> = links.iter().filter(is_missing).collect();
        // One that gets another name may lose it by that, which is nobody's doing.
        let had = |link: &&&LinkState| self.attached.get(&link.index) == Some(&link.name);
        let lost = missing.iter().filter(had).map(|link| link.name.clone());
        let lost: Vec<String> = lost.collect();
        if !lost.is_empty() {
            alarm();
        }
        if !missing.is_empty() {
            attached.extend(self.gate.attach(rtnl, &missing)?);
        }
        let links = links.into_iter().map(|link| (link.index, link.name));
        let has = |(index, _): &(u32, String)| attached.contains(index);
        self.attached = links.filter(has).collect();
        Ok(Found { lost })
    }

    fn is_armed(&self, key: Key) -> bool {
        let shutter = self.gate.shutter(slot(key));
        shutter.is_some_and(|shutter| shutter.is_armed())
    }
}

/// The slot of a group: a key is never used twice.
pub(crate) fn slot(key: Key) -> usize {
    key as usize
}

fn index_of(interface: &str) -> u32 {
    nix::net::if_::if_nametoindex(interface).unwrap_or(0)
}

/// Whether two addresses share an entry of the gate.
fn is_same(one: IpAddr, other: IpAddr) -> bool {
    let is_link_local = match one {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    one == other && !is_link_local
}
