//! Level 3: BPF classifiers, and the maps that tell them what is shut.
//!
//! A slot is `{armed, deadline, epoch, dropped}` in memory that the kernel shares with the agent, and
//! the deadline an absolute instant of the boot clock. Renewing is one store, whatever the number of
//! addresses, and a store that comes late opens nothing.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::program::{KEY_LEN, program};
use super::slots::{self, Plain, Shutter, Words};
use super::{LEFTOVERS, Look, NAME, Want, pins, scope};
use crate::net::rtnl::{Direction, Filter, LinkState, Rtnl};
use crate::sys::bpf::{self, Map, Shared};

/// The programs of this agent, and the maps behind them.
#[derive(Debug)]
pub struct Filters {
    addresses: Map,
    /// What is in that map, unless somebody else has changed it: the slots, by address.
    covered: Mutex<HashMap<[u8; KEY_LEN], u32>>,
    /// Kept open for the pin.
    slots: Map,
    plain: Arc<Plain>,
    ingress: Classifier,
    egress: Classifier,
    /// Tells the filters of this agent from those of one before.
    handle: u32,
}

/// A program in the kernel.
#[derive(Debug)]
struct Classifier {
    fd: OwnedFd,
    id: u32,
}

impl Filters {
    pub(super) fn install(want: &Want<'_>, rtnl: &mut Rtnl) -> io::Result<Self> {
        let filters = Self::load(want.groups, want.room, want.handle)?;
        for (address, index) in want.addresses {
            filters.cover(*address, *index, LEFTOVERS)?;
        }
        if let Some(shutter) = filters.shutter(LEFTOVERS) {
            shutter.arm();
        }
        let links = rtnl.links()?;
        filters.attach_all(rtnl, &links.iter().collect::<Vec<_>>())?;
        Ok(filters)
    }

    /// Loads the programs, for up to so many groups and addresses. Every slot is closed, none armed,
    /// and no interface has the programs yet.
    ///
    /// # Errors
    /// What the kernel says: `EPERM` without CAP_BPF and CAP_NET_ADMIN, `EINVAL` or `ENOSYS` where it
    /// lacks what is needed (Linux 5.8).
    pub fn load(groups: usize, addresses: usize, handle: u32) -> io::Result<Self> {
        let entries = |n: usize| u32::try_from(n).map_err(|_| io::ErrorKind::InvalidInput);
        let map = Map::hash("floatlock_addrs", KEY_LEN as u32, 4, entries(addresses)?)?;
        let slots = Map::shared_array("floatlock_slots", SLOT_LEN, entries(groups)?)?;
        let shared = Shared::map(&slots, groups * slots::WORDS)?;
        let load = |direction| Classifier::load(&program(direction, &map, &slots));
        Ok(Self {
            ingress: load(Direction::Ingress)?,
            egress: load(Direction::Egress)?,
            addresses: map,
            covered: Mutex::default(),
            slots,
            plain: Arc::new(Plain::new(shared, groups)),
            handle,
        })
    }

    /// The shutter of a slot; `None` where there are not that many.
    #[must_use]
    pub fn shutter(&self, slot: usize) -> Option<Shutter> {
        let words = Words::Kernel(Arc::clone(&self.plain));
        (slot < self.plain.len()).then_some(Shutter { words, slot })
    }

    /// Puts an address behind the shutter of a slot. A link-local one counts on its interface only.
    ///
    /// # Errors
    /// `E2BIG` when there are more addresses than were asked for.
    pub fn cover(&self, address: IpAddr, index: u32, slot: usize) -> io::Result<()> {
        let slot = u32::try_from(slot).map_err(|_| io::ErrorKind::InvalidInput)?;
        let key = key(address, index);
        let mut covered = self.covered();
        self.addresses.update(&key, &slot.to_ne_bytes())?;
        covered.insert(key, slot);
        Ok(())
    }

    /// The address is nobody's any more.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn uncover(&self, address: IpAddr, index: u32) -> io::Result<()> {
        let key = key(address, index);
        let mut covered = self.covered();
        self.addresses.delete(&key)?;
        covered.remove(&key);
        Ok(())
    }

    /// Puts the programs onto an interface, in the place of what somebody else has put there under
    /// their number.
    ///
    /// # Errors
    /// What the kernel says; `ENODEV` where the interface has gone.
    pub fn attach(&self, rtnl: &mut Rtnl, index: u32) -> io::Result<()> {
        Direction::ALL.into_iter().try_for_each(|direction| {
            let program = self.program(direction).fd.as_fd();
            rtnl.put_filter(index, direction, self.handle, program, NAME)
        })
    }

    /// Whether the programs of this agent are on the interface, both ways.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn is_attached(&self, rtnl: &mut Rtnl, index: u32) -> io::Result<bool> {
        for direction in Direction::ALL {
            let filters = rtnl.filters(index, direction)?;
            let program = Some(self.program(direction).id);
            let is_ours = |filter: &Filter| {
                filter.handle == self.handle && filter.program == program && filter.is_first()
            };
            if !filters.iter().any(is_ours) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn whole(
        &self,
        rtnl: &mut Rtnl,
        links: &[LinkState],
        look: Look,
    ) -> io::Result<BTreeSet<u32>> {
        let mut whole = BTreeSet::new();
        if !self.has_addresses(look)? || !self.plain.is_armed_as_told() {
            return Ok(whole);
        }
        for link in links {
            if self.is_attached(rtnl, link.index)? {
                whole.insert(link.index);
            }
        }
        Ok(whole)
    }

    pub(super) fn attach_all(
        &self,
        rtnl: &mut Rtnl,
        links: &[&LinkState],
    ) -> io::Result<BTreeSet<u32>> {
        self.restore()?;
        let mut attached = BTreeSet::new();
        for link in links {
            match self.attach(rtnl, link.index) {
                Ok(()) => drop(attached.insert(link.index)),
                // It has gone meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                Err(error) => {
                    let text = format!("{}: {error}", link.name);
                    return Err(io::Error::new(error.kind(), text));
                }
            }
        }
        Ok(attached)
    }

    /// Where the programs of an earlier agent are, they go; those of this one stay.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn supersede(&self, rtnl: &mut Rtnl) -> io::Result<()> {
        detach(rtnl, Some(self.handle)).map(drop)
    }

    /// Shows the programs and their maps, where it is possible.
    pub(super) fn pin(&self) {
        let objects = [
            self.addresses.as_fd(),
            self.slots.as_fd(),
            self.ingress.fd.as_fd(),
            self.egress.fd.as_fd(),
        ];
        pins::pin(objects);
    }

    /// Whether every address is behind its shutter in the kernel too, or whether a few are.
    fn has_addresses(&self, look: Look) -> io::Result<bool> {
        let most = match look {
            Look::Quick => FEW,
            Look::Full => u32::MAX,
        };
        let (keys, values) = self.addresses.entries(most)?;
        let covered = self.covered();
        let found = keys.chunks(KEY_LEN).zip(values.chunks(size_of::<u32>()));
        let is_ours = |(key, slot): &(&[u8], &[u8])| {
            let wanted = covered.get(*key).map(|slot| slot.to_ne_bytes());
            wanted.is_some_and(|wanted| wanted == *slot)
        };
        let (found, all) = (found.filter(is_ours).count(), covered.len());
        Ok(match look {
            Look::Quick => found > 0 || all == 0,
            Look::Full => found == all,
        })
    }

    /// The maps say again what was put into them.
    fn restore(&self) -> io::Result<()> {
        for (key, slot) in &*self.covered() {
            self.addresses.update(key, &slot.to_ne_bytes())?;
        }
        self.plain.arm_as_told();
        Ok(())
    }

    fn covered(&self) -> MutexGuard<'_, HashMap<[u8; KEY_LEN], u32>> {
        self.covered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn program(&self, direction: Direction) -> &Classifier {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

impl Classifier {
    fn load(instructions: &[u64]) -> io::Result<Self> {
        let fd = bpf::load_classifier(NAME, instructions)?;
        let id = bpf::program_id(fd.as_fd())?;
        Ok(Self { fd, id })
    }
}

/// So many addresses are enough to see that the map was emptied.
const FEW: u32 = 16;

/// A slot in the array, in bytes.
const SLOT_LEN: u32 = (slots::WORDS * 8) as u32;

/// Takes every program of Floatlock off every interface, except those with this handle; returns the
/// interfaces that had one. Only when no floating address is on this host any more.
///
/// # Errors
/// What the kernel says.
pub fn detach(rtnl: &mut Rtnl, except: Option<u32>) -> io::Result<BTreeSet<u32>> {
    let mut had = BTreeSet::new();
    for link in rtnl.links()? {
        for direction in Direction::ALL {
            let filters = rtnl.filters(link.index, direction)?;
            let ours = |f: &&Filter| is_named(f) && Some(f.handle) != except;
            for filter in filters.iter().filter(ours) {
                rtnl.delete_filter(link.index, direction, filter)?;
                had.insert(link.index);
            }
        }
        if had.contains(&link.index) {
            rtnl.delete_bare_clsact(link.index)?;
        }
    }
    Ok(had)
}

fn is_named(filter: &Filter) -> bool {
    filter.name.as_deref() == Some(NAME)
}

fn key(address: IpAddr, index: u32) -> [u8; KEY_LEN] {
    let octets = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let mut key = [0; KEY_LEN];
    key[..16].copy_from_slice(&octets);
    key[16..].copy_from_slice(&scope(address, index).to_ne_bytes());
    key
}
