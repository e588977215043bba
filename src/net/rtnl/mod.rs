//! How is the kernel asked about links and addresses, and told to change them?
//!
//! Blocking requests on a NETLINK_ROUTE socket. The kernel works inside the send, under a lock that
//! any other network configuration on the host holds too, so that a call can take long however
//! short its timeout is: never call from the heartbeat thread.

mod edit;
mod filter;
pub(in crate::net) mod message;
pub(in crate::net) mod socket;

use std::collections::HashSet;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use netlink_packet_core::{
    DefaultNla, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST,
    NLMSG_DONE, NLMSG_ERROR,
};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressHeader;
use netlink_packet_route::link::LinkHeader;
use netlink_packet_route::route::{RouteHeader, RouteProtocol, RouteType};

use crate::config::Family;
use socket::{Message, Socket};

pub use edit::{Act, Edit};
pub use filter::{Direction, Filter, FilterEvents};
pub use message::{AddressState, LinkState, LocalRoute, host_prefix};
pub(in crate::net) use message::{LinkMessage, address_index};

/// The longest wait for one reply.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Changes of addresses while a dump is being read spoil it; it is repeated this often at most.
const DUMP_TRIES: u32 = 20;
/// More datagrams than any dump has (some five million addresses).
const DUMP_DATAGRAMS: u32 = 16 << 10;
/// So many addresses do not fit one datagram of a dump,
const CROWDED: usize = 500;
/// and so few do.
const UNCROWDED: usize = 100;

const IFLA_IFNAME: u16 = 3;
const IFLA_EXT_MASK: u16 = 29;
/// Counters are most of the work of reading a link.
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

/// A socket for requests to the kernel. It opens itself anew after an error.
#[derive(Debug)]
pub struct Rtnl {
    socket: Option<Socket>,
    timeout: Duration,
    sequence: u32,
    out: Vec<u8>,
    /// Interfaces with too many addresses for one datagram of a dump.
    crowded: HashSet<(u32, Family)>,
    tags: bool,
}

/// A change that the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which one of the changes asked for.
    pub position: usize,
    /// Why.
    pub errno: i32,
    /// Why, in the kernel's own words, where it has some.
    pub said: Option<String>,
}

impl Rtnl {
    /// Changes sent to the kernel at once. More gain nothing: at 10 000 addresses on an interface
    /// the kernel, which walks lists of them, takes 0.1 to 0.3 ms for each change.
    pub const BATCH: usize = 32;

    /// Opens a socket in the network namespace of this thread.
    ///
    /// # Errors
    /// What socket(2) and bind(2) say.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Some(Socket::requests(TIMEOUT)?),
            timeout: TIMEOUT,
            sequence: 0,
            out: Vec::new(),
            crowded: HashSet::new(),
            tags: tags(&std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default()),
        })
    }

    /// Whether the kernel keeps IFA_PROTO, the tag of an address (Linux 5.18). Without, nobody can
    /// tell who put an address on.
    #[must_use]
    pub fn tags(&self) -> bool {
        self.tags
    }

    /// All interfaces of this host.
    ///
    /// # Errors
    /// `TimedOut`, or what the kernel says.
    pub fn links(&mut self) -> io::Result<Vec<LinkState>> {
        self.consistent(|rtnl| {
            let mut links = Vec::new();
            let sequence = rtnl.next_sequence();
            rtnl.link_request(NLM_F_DUMP, sequence, 0, None);
            let dumped = rtnl.dump(sequence, &mut |kind, payload| {
                if kind == libc::RTM_NEWLINK {
                    let link = LinkMessage::parse(payload);
                    links.extend(link.and_then(|link| link.state(None)));
                }
            })?;
            Ok((links, dumped))
        })
    }

    /// The interface of this name, if there is one.
    ///
    /// # Errors
    /// `TimedOut`, or what the kernel says.
    pub fn link(&mut self, name: &str) -> io::Result<Option<LinkState>> {
        const IFNAMSIZ: usize = 16;
        if name.is_empty() || name.len() >= IFNAMSIZ {
            return Ok(None);
        }
        self.one_link(0, Some(name))
    }

    /// The interface of this index, if there is one.
    ///
    /// # Errors
    /// `TimedOut`, or what the kernel says.
    pub fn link_at(&mut self, index: u32) -> io::Result<Option<LinkState>> {
        self.one_link(index, None)
    }

    /// All addresses of this host.
    ///
    /// # Errors
    /// `TimedOut`, `Interrupted` when they change too fast to be read, or what the kernel says.
    pub fn addresses(&mut self) -> io::Result<Vec<AddressState>> {
        let mut all = self.addresses_where(Family::V4, |_| true)?;
        all.append(&mut self.addresses_where(Family::V6, |_| true)?);
        Ok(all)
    }

    /// Spares a first attempt that fails where more addresses are expected than one datagram takes.
    pub fn expect(&mut self, index: u32, family: Family, addresses: usize) {
        if addresses > CROWDED {
            self.crowded.insert((index, family));
        }
    }

    /// The addresses of one family on one interface; none when there is no such interface.
    ///
    /// # Errors
    /// As [`Rtnl::addresses`].
    pub fn addresses_on(&mut self, index: u32, family: Family) -> io::Result<Vec<AddressState>> {
        let crowd = (index, family);
        if !self.crowded.contains(&crowd) {
            match self.dump_addresses(family, index, |state| state.index == index) {
                Ok((states, dumped)) if dumped.pieces <= 1 => return Ok(states),
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(Vec::new()),
                Err(error) => return Err(error),
                // The kernel does not mark a dump of one interface that was spoilt between two
                // datagrams (seen on 6.18), only one of all interfaces.
                Ok(_) => self.crowded.insert(crowd),
            };
        }
        let states = self.addresses_where(family, |state| state.index == index)?;
        if states.len() < UNCROWDED {
            self.crowded.remove(&crowd);
        }
        Ok(states)
    }

    /// The IPv4 addresses for which this host answers by a route of its local table, of this
    /// origin or (none) of any.
    ///
    /// # Errors
    /// As [`Rtnl::addresses`].
    pub fn local_routes(&mut self, protocol: Option<u8>) -> io::Result<Vec<LocalRoute>> {
        let body = RouteHeader {
            address_family: AddressFamily::Inet,
            table: libc::RT_TABLE_LOCAL,
            protocol: RouteProtocol::from(protocol.unwrap_or_default()),
            kind: RouteType::Local,
            ..RouteHeader::default()
        };
        // The kernel filters where it can (Linux 4.20), which spares most of the work.
        let wanted = |route: &LocalRoute| protocol.is_none_or(|p| p == route.protocol);
        self.consistent(|rtnl| {
            let mut routes = Vec::new();
            let sequence = rtnl.next_sequence();
            let (flags, none) = (NLM_F_REQUEST | NLM_F_DUMP, [].as_slice() as &[DefaultNla]);
            rtnl.out.clear();
            let out = &mut rtnl.out;
            edit::request(libc::RTM_GETROUTE, flags, sequence, &body, &none, out);
            let dumped = rtnl.dump(sequence, &mut |kind, payload| {
                let route = LocalRoute::parse(payload).filter(|_| kind == libc::RTM_NEWROUTE);
                routes.extend(route.filter(&wanted));
            })?;
            Ok((routes, dumped))
        })
    }

    fn addresses_where(
        &mut self,
        family: Family,
        wanted: impl Fn(&AddressState) -> bool,
    ) -> io::Result<Vec<AddressState>> {
        self.consistent(|rtnl| rtnl.dump_addresses(family, 0, &wanted))
    }

    /// Makes the changes, in order, going on after a failed one. Those that fail are told to
    /// `refused`.
    ///
    /// # Errors
    /// When the answers cannot be had: nothing is known then of what was done.
    pub fn apply(&mut self, edits: &[Edit], refused: &mut impl FnMut(Refusal)) -> io::Result<()> {
        for (batch, edits) in edits.chunks(Self::BATCH).enumerate() {
            let first = self.sequence.wrapping_add(1);
            self.out.clear();
            for (position, edit) in edits.iter().enumerate() {
                let sequence = self.next_sequence();
                edit.emit(sequence, position + 1 == edits.len(), &mut self.out);
            }
            self.send()?;
            let last = self.sequence;
            self.answers(first, last, &mut |mut refusal| {
                refusal.position += batch * Self::BATCH;
                refused(refusal);
            })?;
        }
        Ok(())
    }

    /// Whether this process may change addresses here: the kernel is asked for a change that
    /// cannot have an effect, and checks the right to it first.
    ///
    /// # Errors
    /// As [`Rtnl::apply`].
    pub fn may_change(&mut self) -> io::Result<bool> {
        let nowhere = Edit {
            index: i32::MAX as u32,
            address: Ipv4Addr::UNSPECIFIED.into(),
            act: Act::Delete {
                prefix_len: 32,
                peer: None,
            },
        };
        let mut allowed = true;
        self.apply(&[nowhere], &mut |refusal| {
            allowed = !matches!(refusal.errno, libc::EPERM | libc::EACCES);
        })?;
        Ok(allowed)
    }

    fn answers(
        &mut self,
        first: u32,
        last: u32,
        refused: &mut impl FnMut(Refusal),
    ) -> io::Result<()> {
        let count = last.wrapping_sub(first);
        let mut over = false;
        while !over {
            self.receive(|message| {
                let position = message.sequence.wrapping_sub(first);
                if message.kind != NLMSG_ERROR || position > count {
                    return;
                }
                over |= message.sequence == last;
                let errno = message::errno(message.payload);
                if errno != 0 {
                    refused(Refusal {
                        position: position as usize,
                        errno,
                        said: explained(&message),
                    });
                }
            })?;
        }
        Ok(())
    }

    fn one_link(&mut self, index: u32, name: Option<&str>) -> io::Result<Option<LinkState>> {
        let sequence = self.next_sequence();
        self.link_request(0, sequence, index, name);
        self.send()?;
        let mut answer = None;
        while answer.is_none() {
            self.receive(|message| {
                if message.sequence != sequence {
                    return;
                }
                answer = Some(match message.kind {
                    libc::RTM_NEWLINK => {
                        Ok(LinkMessage::parse(message.payload).and_then(|link| link.state(None)))
                    }
                    _ => match message::errno(message.payload) {
                        libc::ENODEV | libc::ENXIO => Ok(None),
                        errno => Err(io::Error::from_raw_os_error(errno)),
                    },
                });
            })?;
        }
        answer.unwrap_or(Ok(None))
    }

    fn link_request(&mut self, flags: u16, sequence: u32, index: u32, name: Option<&str>) {
        let body = LinkHeader {
            index,
            ..LinkHeader::default()
        };
        let mask = RTEXT_FILTER_SKIP_STATS.to_ne_bytes().to_vec();
        let mut attributes = vec![DefaultNla::new(IFLA_EXT_MASK, mask)];
        if let Some(name) = name {
            let name = [name.as_bytes(), b"\0"].concat();
            attributes.push(DefaultNla::new(IFLA_IFNAME, name));
        }
        self.out.clear();
        let flags = flags | NLM_F_REQUEST;
        let attributes = attributes.as_slice();
        let out = &mut self.out;
        edit::request(libc::RTM_GETLINK, flags, sequence, &body, &attributes, out);
    }

    fn dump_addresses(
        &mut self,
        family: Family,
        index: u32,
        wanted: impl Fn(&AddressState) -> bool,
    ) -> io::Result<(Vec<AddressState>, Dumped)> {
        let body = AddressHeader {
            family: match family {
                Family::V4 => AddressFamily::Inet,
                Family::V6 => AddressFamily::Inet6,
            },
            index,
            ..AddressHeader::default()
        };
        let sequence = self.next_sequence();
        let (flags, none) = (NLM_F_REQUEST | NLM_F_DUMP, [].as_slice() as &[DefaultNla]);
        self.out.clear();
        let out = &mut self.out;
        edit::request(libc::RTM_GETADDR, flags, sequence, &body, &none, out);
        let mut states = Vec::new();
        let dumped = self.dump(sequence, &mut |kind, payload| {
            // Without IPv6 in the kernel, a request for it is answered with everything else.
            let state = AddressState::parse(payload)
                .filter(|state| kind == libc::RTM_NEWADDR && Family::of(state.address) == family);
            states.extend(state.filter(&wanted));
        })?;
        Ok((states, dumped))
    }

    /// Repeats a dump that was spoilt by changes in between.
    fn consistent<T>(
        &mut self,
        dump: impl Fn(&mut Self) -> io::Result<(T, Dumped)>,
    ) -> io::Result<T> {
        for _ in 0..DUMP_TRIES {
            let (result, dumped) = dump(self)?;
            if !dumped.spoilt {
                return Ok(result);
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Sends the request in `out` and reads the dump to its end.
    fn dump(&mut self, sequence: u32, each: &mut impl FnMut(u16, &[u8])) -> io::Result<Dumped> {
        self.send()?;
        let mut dumped = Dumped::default();
        let mut end = None;
        for _ in 0..DUMP_DATAGRAMS {
            let mut piece = 0;
            self.receive(|message| {
                if message.sequence != sequence {
                    return;
                }
                dumped.spoilt |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_DONE | NLMSG_ERROR => end = Some(message::errno(message.payload)),
                    kind => {
                        piece = 1;
                        each(kind, message.payload);
                    }
                }
            })?;
            dumped.pieces += piece;
            match end {
                Some(0) => return Ok(dumped),
                Some(errno) => return Err(io::Error::from_raw_os_error(errno)),
                None => {}
            }
        }
        self.socket = None;
        Err(io::ErrorKind::OutOfMemory.into())
    }

    fn send(&mut self) -> io::Result<()> {
        if self.socket.is_none() {
            self.socket = Some(Socket::requests(self.timeout)?);
        }
        let sent = match &self.socket {
            Some(socket) => socket.send(&self.out),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        sent.inspect_err(|_| self.socket = None)
    }

    /// Reads one datagram. After an error the socket is given up: a late answer or a dump that
    /// still runs must not meet the next request.
    fn receive(&mut self, mut each: impl FnMut(Message<'_>)) -> io::Result<()> {
        let received = match &mut self.socket {
            Some(socket) => socket
                .receive()
                .map(|messages| messages.for_each(&mut each)),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        received.inspect_err(|_| self.socket = None)
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }
}

/// How a dump went.
#[derive(Clone, Copy, Debug, Default)]
struct Dumped {
    /// Datagrams that had something in them.
    pieces: u32,
    /// Something changed in between: entries may be missing that were there all the time.
    spoilt: bool,
}

fn explained(message: &Message<'_>) -> Option<String> {
    let capped = message.flags & NLM_F_CAPPED != 0;
    (message.flags & NLM_F_ACK_TLVS != 0)
        .then(|| message::explanation(message.payload, capped))
        .flatten()
}

/// Unknown releases count as new.
fn tags(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) >= (5_u32, 18_u32),
        _ => true,
    }
}

/// Whether deleting a primary IPv4 address promotes a secondary one instead of taking it along.
pub(in crate::net) fn promotes_secondaries(interface: &str) -> bool {
    // The kernel obeys either; what cannot be read counts as off, the default.
    [interface, "all"].iter().any(|name| {
        let path = format!("/proc/sys/net/ipv4/conf/{name}/promote_secondaries");
        std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "1")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_loopback_is_found_by_name_and_by_index() {
        let mut rtnl = Rtnl::open().unwrap();
        let link = rtnl.link("lo").unwrap().unwrap();
        assert_eq!(rtnl.link_at(link.index).unwrap(), Some(link.clone()));
        assert!(rtnl.links().unwrap().contains(&link));
    }

    #[test]
    fn no_interface_is_an_answer_and_no_error() {
        let mut rtnl = Rtnl::open().unwrap();
        for name in ["", "nosuchlink", "a-name-that-no-interface-can-have"] {
            assert_eq!(rtnl.link(name).unwrap(), None, "{name}");
        }
        assert_eq!(rtnl.link_at(0x7fff_fff0).unwrap(), None);
        assert_eq!(rtnl.addresses_on(0x7fff_fff0, Family::V4).unwrap(), []);
    }

    #[test]
    fn kernels_keep_the_tag_of_an_address_since_5_18() {
        for release in ["4.19.0-27-amd64", "5.14.0-427.el9.x86_64", "5.17.15"] {
            assert!(!tags(release), "{release}");
        }
        for release in ["5.18.0", "6.1.0-18-amd64", "7.0-rc1", "", "unknown"] {
            assert!(tags(release), "{release}");
        }
    }

    #[test]
    fn an_interface_that_cannot_be_asked_promotes_nothing() {
        assert!(!promotes_secondaries("nosuchlink"));
    }
}
