//! How are the neighbours on one interface asked, and heard? One packet socket a family.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockFilter, Socket, Type};

use super::{Claim, Sign};
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
    /// RFC 4862, section 5.4.2: who probes joins "the solicited-node multicast address of the tentative
    /// address", or the card and the switches would keep the probes of others away.
    groups: Option<Socket>,
    joined: BTreeSet<Ipv6Addr>,
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
            groups: None,
            joined: BTreeSet::new(),
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

    /// Joins what probes for the address are sent to: once, since the kernel may take its time.
    pub(super) fn join(&mut self, address: Ipv6Addr) -> io::Result<()> {
        let group = ndp::solicited_node(address);
        if self.joined.contains(&group) {
            return Ok(());
        }
        if self.groups.is_none() {
            // Not bound: it only joins.
            self.groups = Some(Socket::new(Domain::IPV6, Type::DGRAM.cloexec(), None)?);
        }
        if let Some(socket) = &self.groups {
            socket.join_multicast_v6(&group, self.index)?;
        }
        self.joined.insert(group);
        Ok(())
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
        let has = self.claim(frame, arp::Claim::read, ndp::Claim::read);
        let probes = || self.claim(frame, arp::Claim::ahead, ndp::Claim::ahead);
        let (sign, (address, mac)) = match has {
            Some(claim) => (Sign::Has, claim),
            None => (Sign::Probes, probes()?),
        };
        Some(Claim {
            interface: Arc::clone(&self.interface),
            address,
            mac,
            sign,
        })
    }

    fn claim(
        &self,
        frame: &[u8],
        v4: fn(&[u8]) -> Option<arp::Claim>,
        v6: fn(&[u8]) -> Option<ndp::Claim>,
    ) -> Option<(IpAddr, [u8; 6])> {
        match self.family {
            Family::V4 => v4(frame).map(|claim| (claim.address.into(), claim.mac)),
            Family::V6 => v6(frame).map(|claim| (claim.address.into(), claim.mac)),
        }
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
