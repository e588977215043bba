//! Does another host answer for an address? Probes out, and what the neighbours claim in.
//!
//! [`Lookout`] is driven by its owner. A probe comes from nobody (RFC 5227, RFC 4862), so that it
//! changes no neighbour's cache and needs no address of this host's own in the network of the one
//! that is asked for.

mod eye;
mod sample;

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use crate::config::Family;
use crate::core::Instant;
use crate::net::addresses::Placed;
use crate::sys::link;
use crate::sys::mmsg::Inbox;

use eye::Eye;
pub use sample::sample;

/// What a neighbour does about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It says that it has it.
    Has,
    /// It asks who has it, and is about to take it.
    Probes,
}

/// A neighbour that has an address, or is about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Where it was heard.
    pub interface: Arc<str>,
    /// The address.
    pub address: IpAddr,
    /// The neighbour's hardware address.
    pub mac: [u8; 6],
    /// Which of the two.
    pub sign: Sign,
}

/// Asks and hears on any number of interfaces.
#[derive(Debug, Default)]
pub struct Lookout {
    /// Kept open, and deaf while nobody looks: closing a packet socket waits for the kernel's
    /// readers (milliseconds), and the next question may come meanwhile.
    eyes: Vec<Eye>,
    inbox: Inbox,
    /// The hardware addresses of this host, where somebody's claim made it necessary to know them.
    own: Option<Vec<[u8; 6]>>,
}

impl Lookout {
    /// Hears from `now` on what neighbours of this family on this interface claim. Returns whether
    /// there can be any: loopback and tunnels have none to ask.
    ///
    /// # Errors
    /// The interface is gone, or the socket cannot be opened (`EPERM` without CAP_NET_RAW).
    pub fn open(&mut self, interface: &Arc<str>, family: Family, now: Instant) -> io::Result<bool> {
        let known = self.eyes.iter().position(|eye| eye.is(interface, family));
        if let Some(eye) = known.and_then(|place| self.eyes.get(place))
            && eye.is_fresh(now)
        {
            return Ok(eye.sees());
        }
        let known = known.map(|place| self.eyes.swap_remove(place));
        let eye = Eye::open(interface, family, known, (now, &mut self.inbox))?;
        let sees = eye.sees();
        self.eyes.push(eye);
        Ok(sees)
    }

    /// Is ready to hear who else probes for this one; [`Lookout::open`] comes before it.
    ///
    /// # Errors
    /// What the kernel says: `ENOBUFS` for too many, `ENODEV`. Those who have it are heard all the same.
    pub fn expect(&mut self, placed: &Placed) -> io::Result<()> {
        let IpAddr::V6(address) = placed.address else {
            return Ok(());
        };
        let mut eyes = self.eyes.iter_mut();
        let eye = eyes.find(|eye| eye.is(&placed.interface, Family::V6));
        eye.map_or(Ok(()), |eye| eye.join(address))
    }

    /// Sends one probe; [`Lookout::open`] comes before it.
    ///
    /// # Errors
    /// What the kernel says: `ENETDOWN`, `ENODEV`, `ENOBUFS`.
    pub fn ask(&self, placed: &Placed) -> io::Result<()> {
        let family = Family::of(placed.address);
        let mut eyes = self.eyes.iter();
        let eye = eyes.find(|eye| eye.is(&placed.interface, family));
        eye.map_or(Ok(()), |eye| eye.ask(placed.address))
    }

    /// Tells what was claimed since the last time.
    pub fn hear(&mut self, mut tell: impl FnMut(Claim)) {
        for eye in &self.eyes {
            eye.hear(&mut self.inbox, &mut tell);
        }
    }

    /// Whether an interface of this host has the hardware address: its own answer, on a network
    /// that it is connected to twice, or its own frame that a loop brings back, is no answer.
    pub fn is_own(&mut self, mac: [u8; 6]) -> bool {
        if self.eyes.iter().any(|eye| eye.is_own(mac)) {
            return true;
        }
        let own = self
            .own
            .get_or_insert_with(|| link::macs().unwrap_or_default());
        own.contains(&mac)
    }

    /// Nobody looks any more.
    pub fn rest(&mut self) {
        // One that cannot be made deaf is opened anew the next time.
        self.eyes.retain_mut(|eye| eye.rest().is_ok());
        self.own = None;
    }

    /// What becomes readable when somebody claims something.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.eyes.iter().map(Eye::descriptor)
    }
}
