//! How are the neighbours on one interface asked, and heard? One packet socket a family.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockFilter;

use super::Claim;
use crate::config::Family;
use crate::core::Instant;
use crate::sys::mmsg::Inbox;
use crate::sys::packet::PacketSocket;
use crate::wire::filter::{self, Instruction};
use crate::wire::{arp, ndp};

/// So many batches are heard at a time, however many claims flood in.
const BATCHES: usize = 8;

/// An interface is not asked for its number and its hardware address again within this time.
const FRESH: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Eye {
    interface: Arc<str>,
    family: Family,
    index: u32,
    socket: PacketSocket,
    /// None: there are no neighbours that could be asked.
    mac: Option<[u8; 6]>,
    opened_at: Instant,
    is_deaf: bool,
}

impl Eye {
    /// The eye on what is behind the name now. One that was there already and is still the same
    /// interface goes on; what it heard before is forgotten if it was deaf.
    pub(super) fn open(
        interface: &Arc<str>,
        family: Family,
        known: Option<Self>,
        (now, inbox): (Instant, &mut Inbox),
    ) -> io::Result<Self> {
        let index = nix::net::if_::if_nametoindex(&**interface)?;
        let mut eye = match known.filter(|eye| eye.index == index) {
            Some(eye) => eye,
            None => Self::new(interface, family, index)?,
        };
        eye.mac = eye.socket.mac()?;
        eye.opened_at = now;
        if eye.is_deaf {
            eye.hear(inbox, drop);
            eye.socket.set_filter(&program(filter::claims(family)))?;
            eye.is_deaf = false;
        }
        Ok(eye)
    }

    fn new(interface: &Arc<str>, family: Family, index: u32) -> io::Result<Self> {
        let protocol = match family {
            Family::V4 => libc::ETH_P_ARP,
            Family::V6 => libc::ETH_P_IPV6,
        };
        let deaf = program(filter::drop_everything());
        Ok(Self {
            interface: Arc::clone(interface),
            family,
            index,
            // ETH_P_... of both fit 16 bits.
            socket: PacketSocket::hearing(index, protocol as u16, &deaf)?,
            mac: None,
            opened_at: Instant::default(),
            is_deaf: true,
        })
    }

    pub(super) fn is(&self, interface: &str, family: Family) -> bool {
        *self.interface == *interface && self.family == family
    }

    /// Whether it was compared with the system just now: hundreds of groups may look at once.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        !self.is_deaf && now.since(self.opened_at) < FRESH
    }

    pub(super) fn sees(&self) -> bool {
        self.mac.is_some()
    }

    pub(super) fn is_own(&self, mac: [u8; 6]) -> bool {
        self.mac == Some(mac)
    }

    pub(super) fn ask(&self, address: IpAddr) -> io::Result<()> {
        let Some(mac) = self.mac else {
            return Ok(());
        };
        let sent = match address {
            IpAddr::V4(v4) => self.socket.send_batch([&arp::probe(mac, v4)[..]]),
            IpAddr::V6(v6) => self.socket.send_batch([&ndp::probe(mac, v6)[..]]),
        };
        // 0: the queue of the device is full.
        match sent? {
            0 => Err(nix::errno::Errno::ENOBUFS.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn hear(&self, inbox: &mut Inbox, mut tell: impl FnMut(Claim)) {
        for _ in 0..BATCHES {
            // Nothing more, or an interface that went down.
            let Ok(count) = self.socket.receive(inbox) else {
                return;
            };
            let claims = (0..count).filter_map(|slot| self.read(inbox.datagram(slot).bytes));
            claims.for_each(&mut tell);
        }
    }

    fn read(&self, frame: &[u8]) -> Option<Claim> {
        let (address, mac) = match self.family {
            Family::V4 => arp::Claim::read(frame).map(|claim| (claim.address.into(), claim.mac)),
            Family::V6 => ndp::Claim::read(frame).map(|claim| (claim.address.into(), claim.mac)),
        }?;
        Some(Claim {
            interface: Arc::clone(&self.interface),
            address,
            mac,
        })
    }

    pub(super) fn rest(&mut self) -> io::Result<()> {
        if !self.is_deaf {
            self.socket
                .set_filter(&program(filter::drop_everything()))?;
            self.is_deaf = true;
        }
        Ok(())
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn program(instructions: Vec<Instruction>) -> Vec<SockFilter> {
    instructions.into_iter().map(Into::into).collect()
}
