//! The sockets of one target: raw ICMP in its family, and a packet socket where it is on the link.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

use super::{Aim, Source};
use crate::config::Family;
use crate::sys::mmsg::Inbox;
use crate::sys::packet::PacketSocket;
use crate::wire::echo::{self, Echo};
use crate::wire::filter::{self, Instruction};
use crate::wire::{arp, ndp};

/// So much is heard at a time, however much floods in.
const BUDGET: usize = 64;
/// The longest IPv4 header, and a message that was padded.
const LONGEST: usize = 256;

#[derive(Debug)]
pub(super) struct Line {
    own: IpAddr,
    /// It is none: what socket2 reads into is not initialised, and this one's is.
    echo: UdpSocket,
    neighbour: Option<Neighbour>,
}

#[derive(Debug)]
struct Neighbour {
    socket: PacketSocket,
    mac: [u8; 6],
}

impl Line {
    pub(super) fn open(aim: &Aim, source: Source, id: u16) -> io::Result<Self> {
        let neighbour = match source.on_link {
            true => Neighbour::open(aim)?,
            false => None,
        };
        Ok(Self {
            own: source.address,
            echo: echo_socket(aim, source.address, id)?,
            neighbour,
        })
    }

    pub(super) fn has_neighbours(&self) -> bool {
        self.neighbour.is_some()
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let neighbour = self.neighbour.as_ref().map(|n| n.socket.as_fd());
        std::iter::once(self.echo.as_fd()).chain(neighbour)
    }

    pub(super) fn ask(&self, aim: &Aim, echo: Echo) -> io::Result<()> {
        let message = echo::request(Family::of(aim.target), echo);
        let to = on(aim, aim.target);
        self.echo.send_to(&message, to).map(drop)
    }

    pub(super) fn ask_neighbour(&mut self, aim: &Aim) -> io::Result<()> {
        let Some(Neighbour { socket, mac }) = &mut self.neighbour else {
            return Ok(());
        };
        // A bond may have changed it: a question that gave the old one would mislead the target.
        if let Some(now) = socket.mac()? {
            *mac = now;
        }
        let sent = match (self.own, aim.target) {
            (IpAddr::V4(own), IpAddr::V4(target)) => {
                socket.send_batch([&arp::question(*mac, own, target)[..]])?
            }
            (IpAddr::V6(own), IpAddr::V6(target)) => {
                socket.send_batch([&ndp::question(*mac, own, target)[..]])?
            }
            _ => return Ok(()),
        };
        match sent {
            0 => Err(nix::errno::Errno::ENOBUFS.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn hear(&self, aim: &Aim, mut tell: impl FnMut(Echo)) {
        let mut bytes = [0; LONGEST];
        for _ in 0..BUDGET {
            // Nothing more, or an error that an earlier question has met.
            let Ok((length, from)) = self.echo.recv_from(&mut bytes) else {
                return;
            };
            let message = bytes.get(..length).unwrap_or_default();
            let answer = match Family::of(aim.target) {
                Family::V4 => echo::reply_in(message).map(|(from, echo)| (from.into(), echo)),
                Family::V6 => echo::reply(Family::V6, message).map(|echo| (from.ip(), echo)),
            };
            if let Some((from, echo)) = answer
                && from == aim.target
            {
                tell(echo);
            }
        }
    }

    pub(super) fn hear_neighbour(&self, aim: &Aim, inbox: &mut Inbox, mut tell: impl FnMut()) {
        let Some(Neighbour { socket, mac }) = &self.neighbour else {
            return;
        };
        let is_answer = |frame: &[u8]| match (self.own, aim.target) {
            (IpAddr::V4(own), IpAddr::V4(target)) => arp::is_answer(frame, *mac, own, target),
            (IpAddr::V6(own), IpAddr::V6(target)) => ndp::is_answer(frame, *mac, own, target),
            _ => false,
        };
        for _ in 0..BUDGET {
            let Ok(count) = socket.receive(inbox) else {
                return;
            };
            for slot in 0..count {
                if is_answer(inbox.datagram(slot).bytes) {
                    tell();
                }
            }
        }
    }
}

impl Neighbour {
    /// None where the interface has no neighbours to ask.
    fn open(aim: &Aim) -> io::Result<Option<Self>> {
        let family = Family::of(aim.target);
        let protocol = match family {
            Family::V4 => libc::ETH_P_ARP,
            Family::V6 => libc::ETH_P_IPV6,
        };
        let filter = program(filter::claims(family));
        // ETH_P_... of both fit 16 bits.
        let socket = PacketSocket::hearing(aim.index, protocol as u16, &filter)?;
        let mac = socket.mac()?;
        Ok(mac.map(|mac| Self { socket, mac }))
    }
}

/// By the service interface alone, from an address of this host that does not move.
fn echo_socket(aim: &Aim, source: IpAddr, id: u16) -> io::Result<UdpSocket> {
    let family = Family::of(aim.target);
    let (domain, protocol) = match family {
        Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
        Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
    };
    let kind = Type::RAW.nonblocking().cloexec();
    let socket = Socket::new(domain, kind, Some(protocol))?;
    socket.attach_filter(&program(filter::echo_replies(family, id)))?;
    socket.bind_device(Some(aim.interface.as_bytes()))?;
    socket.bind(&on(aim, source).into())?;
    Ok(socket.into())
}

/// An address with its scope; a raw socket has no ports.
fn on(aim: &Aim, address: IpAddr) -> SocketAddr {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            SocketAddrV6::new(v6, 0, 0, aim.index).into()
        }
        other => SocketAddr::new(other, 0),
    }
}

fn program(instructions: Vec<Instruction>) -> Vec<socket2::SockFilter> {
    instructions.into_iter().map(Into::into).collect()
}
