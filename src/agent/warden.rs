//! Is the gate where it must be? On every interface, around every address that may be on.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::core::Instant;
use crate::gate::Gate;
use crate::net::addresses::Placed;
use crate::net::rtnl::{LinkState, Rtnl};

use super::message::Key;

/// How often it is looked whether the gate is still there: while addresses may be on ...
const CHECK_EVERY: Duration = Duration::from_millis(100);
/// ... and while none is.
const CHECK_IDLE_EVERY: Duration = Duration::from_secs(5);
/// Two hundred groups that begin together look once.
const JUST: Duration = Duration::from_millis(10);

/// Keeps the gate in place, for the actuator thread.
pub(crate) struct Warden {
    gate: Arc<Gate>,
    /// By address: its group, and the interface that it was covered on.
    covered: HashMap<Placed, (Key, u32)>,
    /// The groups that have, or had, such addresses.
    keys: BTreeSet<Key>,
    attached: BTreeSet<u32>,
    checked_at: Instant,
}

/// What a check has found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// Interfaces that had the gate and were without it; they have it again.
    pub(crate) lost: Vec<String>,
}

impl Warden {
    pub(crate) fn new(gate: Arc<Gate>, attached: BTreeSet<u32>, now: Instant) -> Self {
        Self {
            gate,
            covered: HashMap::new(),
            keys: BTreeSet::new(),
            attached,
            checked_at: now,
        }
    }

    /// When to check next.
    pub(crate) fn deadline(&self) -> Instant {
        let holds = self.keys.iter().any(|key| self.is_armed(*key));
        self.checked_at
            + match holds {
                true => CHECK_EVERY,
                false => CHECK_IDLE_EVERY,
            }
    }

    /// Puts the addresses behind the shutter of their group, before one of them goes on or off.
    ///
    /// # Errors
    /// The kernel has no room for more, or refuses.
    pub(crate) fn cover(&mut self, key: Key, placed: &[Placed]) -> io::Result<()> {
        self.keys.insert(key);
        let mut indices: HashMap<&str, u32> = HashMap::new();
        for one in placed {
            let name = &*one.interface;
            let index = *indices.entry(name).or_insert_with(|| index_of(name));
            if self.covered.get(one) == Some(&(key, index)) {
                continue;
            }
            self.gate.cover(one.address, index, slot(key))?;
            self.covered.insert(one.clone(), (key, index));
        }
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

    /// Looks at every interface: new ones get the gate, and those that have lost it get it back.
    ///
    /// # Errors
    /// The gate is not on every interface, and cannot be put there.
    pub(crate) fn check(&mut self, rtnl: &mut Rtnl, now: Instant) -> io::Result<Found> {
        self.checked_at = now;
        let links = rtnl.links()?;
        let mut found = Found::default();
        let mut attached = BTreeSet::new();
        for link in &links {
            let had = self.attached.contains(&link.index);
            if had && self.gate.is_attached(rtnl, link.index)? {
                attached.insert(link.index);
                continue;
            }
            if had {
                found.lost.push(link.name.clone());
            }
            if attach(&self.gate, rtnl, link)? {
                attached.insert(link.index);
            }
        }
        self.attached = attached;
        Ok(found)
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

/// Puts the gate onto every interface of the host.
///
/// # Errors
/// What the kernel says, with the interface.
pub(crate) fn attach_everywhere(gate: &Gate, rtnl: &mut Rtnl) -> io::Result<BTreeSet<u32>> {
    let mut attached = BTreeSet::new();
    for link in rtnl.links()? {
        if attach(gate, rtnl, &link)? {
            attached.insert(link.index);
        }
    }
    Ok(attached)
}

/// `false`: the interface has gone meanwhile.
fn attach(gate: &Gate, rtnl: &mut Rtnl, link: &LinkState) -> io::Result<bool> {
    match gate.attach(rtnl, link.index) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
        Err(error) => {
            let text = format!("{}: {error}", link.name);
            Err(io::Error::new(error.kind(), text))
        }
    }
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
