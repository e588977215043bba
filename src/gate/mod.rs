//! How does the right to answer end, whatever happens to the agent?
//!
//! On every interface, in both directions, the kernel knows each floating address and the slot of
//! its group. While a slot is armed, frames for and from its addresses pass only before its deadline.
//! An agent that is killed, frozen or starved renews nothing, so that its host falls silent by
//! itself; what is in the kernel stays when the agent ends, and stays shut.
//!
//! A slot that is not armed lets everything pass: a standby that bridges or routes the addresses of
//! the others is not in the way.
//!
//! | level | the kernel compares | a renewal | shut |
//! |---|---|---|---|
//! | `bpf`: [`Filters`] | the boot clock with an absolute deadline, for each frame | one store | with the next frame |
//! | `nftables`: [`Table`] | whether an element of a set is there, which goes when its time is over | one transaction of the [`Writer`] | when the transaction is through |
//!
//! A store that comes late opens nothing, since the deadline is absolute. The time of an element is
//! relative: it is worked out right before the transaction, and again after one that took long, so
//! that only a pause of the agent in between leaves a gate open for too long, by that pause.

mod assemble;
mod filters;
mod pins;
mod program;
mod slots;
mod table;
mod text;
mod wishes;
mod writer;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::net::rtnl::{LinkState, Rtnl};
use crate::net::{nft, rtnl};

pub use filters::{Filters, detach};
pub use slots::Shutter;
pub use table::Table;
pub use writer::Writer;

/// What the filters and the table are called.
pub const NAME: &str = "floatlock";

/// The slot of no group: what a dead agent may have left on is shut off under it.
pub const LEFTOVERS: usize = 0;

/// What the kernel enforces a lease with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// BPF classifiers.
    Bpf,
    /// A table of nftables.
    Nftables,
}

/// What a gate is to be for.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a> {
    /// Slots below this number.
    pub groups: usize,
    /// So many addresses at most.
    pub room: usize,
    /// These, each on the interface of this index, are shut off from the start ([`LEFTOVERS`]).
    pub addresses: &'a [(IpAddr, u32)],
    /// Tells the gate of this agent from that of one before.
    pub handle: u32,
}

/// How closely the gate is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Whether it is there, armed, and has addresses: what a program that cleans up would end.
    Quick,
    /// Whether it has all of them.
    Full,
}

/// The gate of this agent.
#[derive(Debug)]
pub enum Gate {
    /// Level 3.
    Bpf(Filters),
    /// Level 2.
    Nftables(Table),
}

/// What tells that somebody may have changed the gate.
#[derive(Debug)]
pub enum Events {
    /// Filters came or went.
    Bpf(rtnl::FilterEvents),
    /// Something was done to the table.
    Nftables(nft::Events),
}

impl Gate {
    /// Puts the gate onto every interface, around these addresses: shut, and armed. The gate of an
    /// earlier agent stays where it is ([`Gate::supersede`]), unless this one replaces it in one
    /// step. The writer, where there is one, has to run for the gate to open.
    ///
    /// # Errors
    /// What the kernel says, or what the `nft` program does.
    pub fn install(
        level: Level,
        want: &Want<'_>,
        rtnl: &mut Rtnl,
    ) -> io::Result<(Self, Option<Writer>)> {
        Ok(match level {
            Level::Bpf => (Gate::Bpf(Filters::install(want, rtnl)?), None),
            Level::Nftables => {
                let (table, writer) = Table::install(want, &rtnl.links()?)?;
                (Gate::Nftables(table), Some(writer))
            }
        })
    }

    /// Which one it is.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Gate::Bpf(_) => Level::Bpf,
            Gate::Nftables(_) => Level::Nftables,
        }
    }

    /// The shutter of a slot; `None` where there are not that many.
    #[must_use]
    pub fn shutter(&self, slot: usize) -> Option<Shutter> {
        match self {
            Gate::Bpf(filters) => filters.shutter(slot),
            Gate::Nftables(table) => table.shutter(slot),
        }
    }

    /// Puts addresses, each on the interface of this index, behind the shutter of a slot. A
    /// link-local one counts on its interface only.
    ///
    /// # Errors
    /// There is no room for more, or the kernel refuses: some of them are behind it then, perhaps.
    pub fn cover(&self, addresses: &[(IpAddr, u32)], slot: usize) -> io::Result<()> {
        match self {
            Gate::Bpf(filters) => addresses
                .iter()
                .try_for_each(|(address, index)| filters.cover(*address, *index, slot)),
            Gate::Nftables(table) => table.cover(addresses, slot),
        }
    }

    /// The address is nobody's any more.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn uncover(&self, address: IpAddr, index: u32) -> io::Result<()> {
        match self {
            Gate::Bpf(filters) => filters.uncover(address, index),
            Gate::Nftables(table) => table.uncover(address, index),
        }
    }

    /// Waits until what was last asked of a shutter holds in the kernel.
    ///
    /// # Errors
    /// `TimedOut`, or why it does not.
    pub fn settle(&self, slot: usize, within: Duration) -> io::Result<()> {
        match self {
            Gate::Bpf(_) => Ok(()),
            Gate::Nftables(table) => table.settle(slot, within),
        }
    }

    /// On which of these interfaces, which are all that the host has, the gate is whole.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn whole(
        &self,
        rtnl: &mut Rtnl,
        links: &[LinkState],
        look: Look,
    ) -> io::Result<BTreeSet<u32>> {
        match self {
            Gate::Bpf(filters) => filters.whole(rtnl, links, look),
            Gate::Nftables(table) => table.whole(links),
        }
    }

    /// Whether nothing can have changed since [`Gate::whole`] last found it on all of these interfaces:
    /// where that is much less work than to look again.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn is_untouched(&self, links: &[LinkState]) -> io::Result<bool> {
        match self {
            Gate::Bpf(_) => Ok(false),
            Gate::Nftables(table) => table.is_untouched(links),
        }
    }

    /// Puts the gate onto these interfaces, after a look that found it not whole there; returns
    /// those that have it now. One that has gone meanwhile has not.
    ///
    /// # Errors
    /// What the kernel says, with the interface.
    pub fn attach(&self, rtnl: &mut Rtnl, links: &[&LinkState]) -> io::Result<BTreeSet<u32>> {
        match self {
            Gate::Bpf(filters) => filters.attach_all(rtnl, links),
            Gate::Nftables(table) => table.attach(rtnl, links),
        }
    }

    /// What an earlier agent left goes; what is of this one stays.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn supersede(&self, rtnl: &mut Rtnl) -> io::Result<()> {
        match self {
            Gate::Bpf(filters) => {
                filters.supersede(rtnl)?;
                filters.pin();
                table::remove()
            }
            Gate::Nftables(_) => {
                pins::unpin();
                detach(rtnl, None).map(drop)
            }
        }
    }

    /// What tells that somebody may have changed it.
    ///
    /// # Errors
    /// What socket(2), bind(2) and setsockopt(2) say.
    pub fn events(&self) -> io::Result<Events> {
        Ok(match self {
            Gate::Bpf(_) => Events::Bpf(rtnl::FilterEvents::open()?),
            Gate::Nftables(table) => Events::Nftables(table.events()?),
        })
    }

    /// Ends the writer, where there is one.
    pub fn end(&self) {
        if let Gate::Nftables(table) = self {
            table.end();
        }
    }
}

impl Events {
    /// Whether there was anything since the last call.
    pub fn heard(&mut self) -> bool {
        match self {
            Events::Bpf(events) => events.heard(),
            Events::Nftables(events) => events.heard(),
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Events::Bpf(events) => events.as_fd(),
            Events::Nftables(events) => events.as_fd(),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Bpf => "bpf",
            Level::Nftables => "nftables",
        })
    }
}

/// Takes away whatever of a gate there is on this host, of either level and of whichever agent. Only
/// when no floating address is on this host any more.
///
/// # Errors
/// What the kernel says.
pub fn remove(rtnl: &mut Rtnl) -> io::Result<()> {
    pins::unpin();
    let detached = detach(rtnl, None).map(drop);
    table::remove().and(detached)
}

/// On which interface an address counts: a link-local one on its own, all others on every one (0).
fn scope(address: IpAddr, index: u32) -> u32 {
    match is_link_local(address) {
        true => index,
        false => 0,
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}
