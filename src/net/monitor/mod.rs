//! What happens to the interfaces that matter, and to their addresses?
//!
//! The kernel tells of every change on the host. What is not about a watched interface is dropped
//! after a look at its index. When the kernel drops something because it was not read in time,
//! everything is read anew and compared, so that no change is lost, only late.

mod table;

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::rtnl::socket::{Message, Socket};
use super::rtnl::{AddressState, LinkMessage, LinkState, Rtnl, address_index};
use crate::config::Family;

pub use table::Table;

/// Room for some thousand events that nobody has read yet.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Events read before the caller has its turn.
const AT_ONCE: usize = 1024;
/// How long to wait, in milliseconds, for changes to calm down.
const CALM: u16 = 50;
const GROUPS: [u32; 3] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
];

/// The names of the interfaces to watch, whether they exist yet or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch(HashSet<Arc<str>>);

impl Watch {
    /// These names.
    pub fn new<N: Into<Arc<str>>>(names: impl IntoIterator<Item = N>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A watched interface appeared, changed, or is gone.
    Link {
        /// Its watched name.
        name: Arc<str>,
        /// How it is now; none when there is no interface of this name.
        state: Option<LinkState>,
    },
    /// An address appeared, or changed its flags or its tag.
    AddressAdded {
        /// The watched interface.
        interface: Arc<str>,
        /// How the address is now.
        state: AddressState,
    },
    /// An address is gone.
    AddressRemoved {
        /// The watched interface.
        interface: Arc<str>,
        /// How the address was.
        state: AddressState,
    },
    /// Events were lost. What they would have told has just been told in other words, except
    /// what was undone again meanwhile.
    Resynced,
}

/// Why [`Monitor::wait`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The kernel had something to say; perhaps nothing of interest.
    Heard,
    /// `wake` is readable.
    Asked,
}

/// Hears what happens to links and addresses in the network namespace that it was opened in.
#[derive(Debug)]
pub struct Monitor {
    events: Socket,
    rtnl: Rtnl,
    receive_buffer: usize,
    watch: Watch,
    table: Table,
    /// Something was lost that has not been read anew yet.
    stale: bool,
}

impl Monitor {
    /// Starts to listen, then reads how things are.
    ///
    /// # Errors
    /// When the sockets cannot be opened or read.
    pub fn open(watch: Watch) -> io::Result<Self> {
        Self::open_with(watch, RECEIVE_BUFFER)
    }

    /// The same with another size of the receive buffer in bytes.
    ///
    /// # Errors
    /// As [`Monitor::open`].
    pub fn open_with(watch: Watch, receive_buffer: usize) -> io::Result<Self> {
        let mut monitor = Self {
            events: Socket::events(&GROUPS, receive_buffer)?,
            rtnl: Rtnl::open()?,
            receive_buffer,
            table: Table::new(&watch),
            watch,
            stale: false,
        };
        monitor.read_all(&mut |_| {})?;
        Ok(monitor)
    }

    /// How things are, as far as the events have been read.
    #[must_use]
    pub fn snapshot(&self) -> &Table {
        &self.table
    }

    /// Watches these names from now on. Tells what is there under the new ones; what is watched no
    /// more is forgotten without a word.
    ///
    /// # Errors
    /// As [`Monitor::wait`].
    pub fn watch(&mut self, watch: Watch, sink: &mut impl FnMut(Change)) -> io::Result<()> {
        self.table.rewatch(&watch);
        self.watch = watch;
        self.stale = true;
        self.read_all(sink)?;
        self.stale = false;
        Ok(())
    }

    /// Blocks until the kernel says something or `wake` is readable, and tells `sink` what changed.
    ///
    /// # Errors
    /// When the sockets cannot be read. Call again, after a pause, and everything is read anew:
    /// still nothing is lost.
    pub fn wait(
        &mut self,
        wake: BorrowedFd<'_>,
        sink: &mut impl FnMut(Change),
    ) -> io::Result<Woken> {
        if self.stale {
            match self.resync(sink) {
                // Too much changes to be read in one piece: the caller has its turn first.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    return Ok(woken(ready([wake], CALM.into())?[0]));
                }
                done => done?,
            }
        }
        let [heard, asked] = ready([self.events.as_fd(), wake], PollTimeout::NONE)?;
        if heard {
            match self.drain(sink) {
                Err(error) if is_loss(&error) => self.stale = true,
                Err(error) => {
                    self.stale = true;
                    return Err(error);
                }
                Ok(()) => {}
            }
        }
        Ok(woken(asked))
    }

    fn drain(&mut self, sink: &mut impl FnMut(Change)) -> io::Result<()> {
        let mut appeared = Vec::new();
        for _ in 0..AT_ONCE {
            let Some(messages) = self.events.receive_now()? else {
                break;
            };
            for message in messages {
                appeared.extend(hear(&mut self.table, &message, sink));
            }
        }
        for index in appeared {
            self.read_addresses(index, sink)?;
        }
        Ok(())
    }

    /// Starts over with an empty queue: what is still in the old one is older than the dump, and
    /// would undo it.
    fn resync(&mut self, sink: &mut impl FnMut(Change)) -> io::Result<()> {
        self.stale = true;
        self.events = Socket::events(&GROUPS, self.receive_buffer)?;
        self.read_all(sink)?;
        self.stale = false;
        sink(Change::Resynced);
        Ok(())
    }

    fn read_all(&mut self, sink: &mut impl FnMut(Change)) -> io::Result<()> {
        let links = self.rtnl.links()?;
        for index in self.table.links_are(links, sink) {
            self.read_addresses(index, sink)?;
        }
        Ok(())
    }

    fn read_addresses(&mut self, index: u32, sink: &mut impl FnMut(Change)) -> io::Result<()> {
        let mut states = self.rtnl.addresses_on(index, Family::V4)?;
        states.append(&mut self.rtnl.addresses_on(index, Family::V6)?);
        self.table.addresses_are(index, states, sink);
        Ok(())
    }
}

/// Events were lost, or what they led to could not be read: it must all be read anew.
fn is_loss(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS) || error.kind() == io::ErrorKind::Interrupted
}

fn woken(asked: bool) -> Woken {
    if asked { Woken::Asked } else { Woken::Heard }
}

/// Which of these can be read, once one can or the time is over.
fn ready<const N: usize>(fds: [BorrowedFd<'_>; N], timeout: PollTimeout) -> io::Result<[bool; N]> {
    let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    loop {
        match poll(&mut fds, timeout) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(fds.map(|fd| fd.any().unwrap_or(true))),
        }
    }
}

/// Takes one event. Returns the index of an interface that came under a watched name.
fn hear(table: &mut Table, message: &Message<'_>, sink: &mut impl FnMut(Change)) -> Option<u32> {
    match message.kind {
        libc::RTM_NEWADDR | libc::RTM_DELADDR => {
            if table.knows(address_index(message.payload)?) {
                let state = AddressState::parse(message.payload)?;
                match message.kind {
                    libc::RTM_NEWADDR => table.address_said(state, sink),
                    _ => table.address_gone(&state, sink),
                }
            }
            None
        }
        libc::RTM_NEWLINK => {
            let link = LinkMessage::parse(message.payload)?;
            table.link_said(&link, sink).then_some(link.index)
        }
        libc::RTM_DELLINK => {
            let link = LinkMessage::parse(message.payload)?;
            table.link_gone(link.index, sink);
            None
        }
        _ => None,
    }
}
