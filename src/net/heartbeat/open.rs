//! What do receiver and sender share while they are opened? The raw socket, and the error.

use std::fmt;
use std::io;
use std::net::IpAddr;

use nix::errno::Errno;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::config::Family;

/// Why a heartbeat socket could not be opened: what was being done, to what, what happened, and
/// what to do next.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} on {interface}: {source}{}", self.advice().unwrap_or_default())]
pub struct OpenError {
    /// What was being done.
    pub step: Step,
    /// The interface.
    pub interface: String,
    /// What the system said.
    pub source: io::Error,
}

impl OpenError {
    /// The system's error number, if it is one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        self.source.raw_os_error().map(Errno::from_raw)
    }

    /// Whether time may mend it: the interface or the address is not there (yet, or any more), and
    /// the monitor says when it is.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        let gone = [
            Errno::EADDRNOTAVAIL,
            Errno::ENODEV,
            Errno::ENXIO,
            Errno::ENETDOWN,
        ];
        self.errno().is_some_and(|errno| gone.contains(&errno))
    }

    /// Whether a capability is missing.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self.errno(), Some(Errno::EPERM | Errno::EACCES))
    }

    fn advice(&self) -> Option<&'static str> {
        Some(match (self.errno()?, self.step) {
            (Errno::EPERM | Errno::EACCES, _) => {
                "; raw sockets need CAP_NET_RAW: run as root, or grant it \
                 (AmbientCapabilities= in the unit)"
            }
            (Errno::EADDRNOTAVAIL, Step::Source(IpAddr::V6(_))) => {
                "; the address is not on this host, or its duplicate address detection has not \
                 ended yet"
            }
            (Errno::EADDRNOTAVAIL, Step::Source(IpAddr::V4(_))) => {
                "; the address is not on this host (yet)"
            }
            (Errno::ENODEV, _) => {
                "; this network namespace has no such interface (see `ip link`), or it was \
                 replaced just now"
            }
            (Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL, _) => {
                "; the address family is disabled on this host or interface"
            }
            (Errno::ENOBUFS, Step::Join(_)) => {
                "; too many groups joined: raise net.ipv4.igmp_max_memberships"
            }
            _ => return None,
        })
    }
}

/// What is done while a heartbeat socket is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Opening the raw socket.
    Socket(Family),
    /// Binding it to the interface.
    Device,
    /// Binding it to the source address.
    Source(IpAddr),
    /// Joining the multicast group.
    Join(IpAddr),
    /// Attaching the filter.
    Filter,
    /// Setting the option of this name.
    Option(&'static str),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Socket(Family::V4) => f.write_str("open a raw IPv4 socket for VRRP"),
            Step::Socket(Family::V6) => f.write_str("open a raw IPv6 socket for VRRP"),
            Step::Device => f.write_str("bind a VRRP socket"),
            Step::Source(address) => write!(f, "send VRRP from {address}"),
            Step::Join(group) => write!(f, "join the VRRP group {group}"),
            Step::Filter => f.write_str("filter VRRP in the kernel"),
            Step::Option(name) => write!(f, "set {name} for VRRP"),
        }
    }
}

/// A raw socket being set up; every failure names the step and the interface.
#[derive(Debug)]
pub(super) struct Opening<'a> {
    pub(super) socket: Socket,
    interface: &'a str,
}

impl<'a> Opening<'a> {
    /// A socket that receives nothing yet, bound to the interface of this name *and* index.
    pub(super) fn new(interface: &'a str, index: u32, family: Family) -> Result<Self, OpenError> {
        let domain = match family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let flags = Type::RAW.nonblocking().cloexec();
        let socket = Socket::new_raw(domain, flags, Some(Protocol::from(VRRP)));
        let socket = blame(interface, Step::Socket(family), socket)?;
        let opening = Self { socket, interface };
        opening.step(Step::Filter, |s| s.attach_filter(DROP_ALL))?;
        opening.step(Step::Device, |s| s.bind_device(Some(interface.as_bytes())))?;
        opening.step(Step::Device, |_| has_index(interface, index))?;
        Ok(opening)
    }

    /// One step of the setting-up.
    pub(super) fn step<T>(
        &self,
        step: Step,
        act: impl FnOnce(&Socket) -> io::Result<T>,
    ) -> Result<T, OpenError> {
        blame(self.interface, step, act(&self.socket))
    }

    /// A step that is [`Step::Option`].
    pub(super) fn option(
        &self,
        name: &'static str,
        act: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> Result<(), OpenError> {
        self.step(Step::Option(name), act)
    }
}

/// A raw socket receives from the moment it exists, from every interface.
const DROP_ALL: &[SockFilter] = &[SockFilter::new(RET, 0, 0, 0)];
/// `BPF_RET | BPF_K`: 0 bytes of the packet are kept.
const RET: u16 = 0x06;

/// The IP protocol number of VRRP.
const VRRP: i32 = 112;

fn blame<T>(interface: &str, step: Step, done: io::Result<T>) -> Result<T, OpenError> {
    done.map_err(|source| OpenError {
        step,
        interface: interface.to_owned(),
        source,
    })
}

/// Binding goes by name: make sure that the name still means the interface that was looked at.
fn has_index(interface: &str, index: u32) -> io::Result<()> {
    if nix::net::if_::if_nametoindex(interface)? == index {
        return Ok(());
    }
    Err(Errno::ENODEV.into())
}
