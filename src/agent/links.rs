//! What interfaces and addresses does this host have right now? And which one is a source?

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::Family;
use crate::net::addresses::OURS;
use crate::net::reference::Source;
use crate::net::rtnl::{AddressState, LinkState, Rtnl};

/// Receive buffers hold no more, whatever an interface takes.
const ETHERNET_MTU: usize = 1500;

/// One look at the host.
pub(crate) struct Links {
    by_name: HashMap<String, LinkState>,
    addresses: Vec<AddressState>,
}

impl Links {
    pub(crate) fn read(rtnl: &mut Rtnl) -> std::io::Result<Self> {
        let by_name = rtnl
            .links()?
            .into_iter()
            .map(|link| (link.name.clone(), link))
            .collect();
        Ok(Self {
            by_name,
            addresses: rtnl.addresses()?,
        })
    }

    pub(crate) fn index(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).map(|link| link.index)
    }

    pub(crate) fn is_up(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|link| link.up)
    }

    /// The longest packet that the interface takes; Ethernet's where it is not there.
    pub(crate) fn mtu(&self, name: &str) -> usize {
        let mtu = self.by_name.get(name).map(|link| link.mtu);
        mtu.and_then(|mtu| usize::try_from(mtu).ok())
            .map_or(ETHERNET_MTU, |mtu| mtu.min(ETHERNET_MTU))
    }

    /// The names of all interfaces, for an error message.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The address to send from: the explicit one once it is there, else the first one of the
    /// interface that is this host's own.
    ///
    /// IPv6 adverts come from the link-local address (RFC 9568, section 5.1.2.1), except to
    /// unicast peers that are not on the link.
    pub(crate) fn source(
        &self,
        interface: &str,
        family: Family,
        explicit: Option<IpAddr>,
        peers: &[IpAddr],
        is_floating: &dyn Fn(IpAddr) -> bool,
    ) -> Option<IpAddr> {
        let index = self.index(interface)?;
        let link_local = peers.is_empty() || peers.iter().any(|peer| is_link_local(*peer));
        let fits = |state: &&AddressState| match explicit {
            Some(wanted) => state.address == wanted,
            None => {
                Family::of(state.address) == family
                    && state.protocol != Some(OURS)
                    && !is_floating(state.address)
                    && (family == Family::V4 || is_link_local(state.address) == link_local)
            }
        };
        let of_interface = self.addresses.iter().filter(|state| state.index == index);
        let usable = of_interface.filter(|state| !state.in_doubt());
        usable.filter(fits).map(|state| state.address).next()
    }
}

impl Links {
    /// Whether this host has the address.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|state| state.address == address)
    }

    /// Where a target may be asked from on this interface: addresses that do not move, first those in whose
    /// network the target is.
    pub(crate) fn sources(
        &self,
        interface: &str,
        target: IpAddr,
        is_floating: &dyn Fn(IpAddr) -> bool,
    ) -> Vec<Source> {
        let Some(index) = self.index(interface) else {
            return Vec::new();
        };
        let fits = |state: &&AddressState| {
            state.index == index
                && Family::of(state.address) == Family::of(target)
                && state.protocol != Some(OURS)
                && !is_floating(state.address)
                && !state.in_doubt()
                // What means something on this link only has no router behind it, and the other way round.
                && (Family::of(target) == Family::V4 || !is_link_local(target) || is_link_local(state.address))
        };
        let source = |state: &AddressState| Source {
            address: state.address,
            on_link: is_link_local(target) || is_in_network(state, target),
        };
        let mut sources: Vec<Source> = self.addresses.iter().filter(fits).map(source).collect();
        let rank = |source: &Source| {
            (
                !source.on_link,
                is_link_local(source.address) != is_link_local(target),
            )
        };
        sources.sort_by_key(rank);
        sources
    }
}

fn is_in_network(state: &AddressState, target: IpAddr) -> bool {
    let network = IpNet::new(state.address, state.prefix_len);
    network.is_ok_and(|network| network.contains(&target))
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
