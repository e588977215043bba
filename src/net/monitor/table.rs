//! What is known of the watched interfaces, and what changes when the kernel says something?

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::{Change, Watch};
use crate::net::rtnl::{AddressState, LinkMessage, LinkState};

/// The watched interfaces by name, with their addresses. Others leave no trace in it.
#[derive(Debug, Default)]
pub struct Table {
    interfaces: HashMap<Arc<str>, Option<Interface>>,
    names: HashMap<u32, Arc<str>>,
    serial: u64,
}

#[derive(Debug)]
struct Interface {
    link: LinkState,
    addresses: BTreeMap<Key, Kept>,
}

/// What makes an address one: the same one can be there with several prefix lengths.
type Key = (IpAddr, u8, Option<IpAddr>);

#[derive(Clone, Copy, Debug)]
struct Kept {
    state: AddressState,
    serial: u64,
}

impl Table {
    pub(super) fn new(watch: &Watch) -> Self {
        let mut table = Self::default();
        table.rewatch(watch);
        table
    }

    /// The watched interface of this name, if it exists.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&LinkState> {
        Some(&self.interface(name)?.link)
    }

    /// The addresses of a watched interface in the order in which they appeared.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Vec<AddressState> {
        let kept = self.interface(name).map(|i| i.addresses.values());
        let mut kept: Vec<Kept> = kept.into_iter().flatten().copied().collect();
        kept.sort_unstable_by_key(|kept| kept.serial);
        kept.into_iter().map(|kept| kept.state).collect()
    }

    /// The first address of a watched interface, in the order in which they appeared, that `fits`.
    pub fn first(&self, name: &str, fits: impl Fn(&AddressState) -> bool) -> Option<AddressState> {
        let kept = self.interface(name)?.addresses.values();
        let kept = kept.filter(|kept| fits(&kept.state));
        Some(kept.min_by_key(|kept| kept.serial)?.state)
    }

    /// Whether a watched interface has this address, with whichever prefix length.
    #[must_use]
    pub fn has(&self, name: &str, address: IpAddr) -> bool {
        let mut twins = self
            .interface(name)
            .map(|i| i.addresses.range((address, 0, None)..))
            .into_iter()
            .flatten();
        twins
            .next()
            .is_some_and(|((first, ..), _)| *first == address)
    }

    pub(super) fn knows(&self, index: u32) -> bool {
        self.names.contains_key(&index)
    }

    fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.get(name)?.as_ref()
    }

    fn at(&mut self, index: u32) -> Option<(Arc<str>, &mut Interface)> {
        let name = self.names.get(&index)?;
        let interface = self.interfaces.get_mut(name)?.as_mut()?;
        Some((name.clone(), interface))
    }

    /// From now on these names and no others; what is known of the others is forgotten.
    pub(super) fn rewatch(&mut self, watch: &Watch) {
        self.interfaces.retain(|name, _| watch.0.contains(name));
        self.names.retain(|_, name| watch.0.contains(name));
        for name in &watch.0 {
            self.interfaces.entry(name.clone()).or_default();
        }
    }

    /// A link was said to be so. Returns true when an interface came under a watched name: its
    /// addresses, passed over so far, must be read.
    pub(super) fn link_said(
        &mut self,
        message: &LinkMessage<'_>,
        sink: &mut impl FnMut(Change),
    ) -> bool {
        let before = self.at(message.index).map(|(_, i)| i.link.clone());
        let Some(link) = message.state(before.as_ref()) else {
            return false;
        };
        if before.as_ref() == Some(&link) {
            return false;
        }
        if before.is_some_and(|before| before.name != link.name) {
            self.link_gone(link.index, sink);
        }
        self.set_link(link, sink)
    }

    fn set_link(&mut self, link: LinkState, sink: &mut impl FnMut(Change)) -> bool {
        let Some((name, slot)) = self.interfaces.get_key_value(link.name.as_str()) else {
            return false;
        };
        let (name, known) = (name.clone(), slot.as_ref().map(|i| i.link.index));
        let new = known != Some(link.index);
        if let Some(known) = known.filter(|_| new) {
            self.link_gone(known, sink);
        }
        self.names.insert(link.index, name.clone());
        let state = Some(link.clone());
        match self.interfaces.get_mut(&name).and_then(Option::as_mut) {
            Some(interface) if interface.link == link => return new,
            Some(interface) => interface.link = link,
            None => {
                let addresses = BTreeMap::new();
                let interface = Interface { link, addresses };
                self.interfaces.insert(name.clone(), Some(interface));
            }
        }
        sink(Change::Link { name, state });
        new
    }

    /// A link was said to be gone, or goes by another name.
    pub(super) fn link_gone(&mut self, index: u32, sink: &mut impl FnMut(Change)) {
        let Some(name) = self.names.remove(&index) else {
            return;
        };
        let slot = self.interfaces.get_mut(&name);
        let Some(interface) = slot.and_then(Option::take) else {
            return;
        };
        for kept in interface.addresses.into_values() {
            sink(removed(&name, kept.state));
        }
        sink(Change::Link { name, state: None });
    }

    /// An address was said to be there.
    pub(super) fn address_said(&mut self, state: AddressState, sink: &mut impl FnMut(Change)) {
        let serial = self.serial;
        let Some((interface, known)) = self.at(state.index) else {
            return;
        };
        let kept = known.addresses.entry(key(&state));
        let fresh = matches!(kept, std::collections::btree_map::Entry::Vacant(_));
        let kept = kept.or_insert(Kept { state, serial });
        let same = kept.state == state && !fresh;
        kept.state = state;
        self.serial += 1;
        if !same {
            sink(Change::AddressAdded { interface, state });
        }
    }

    /// An address was said to be gone.
    pub(super) fn address_gone(&mut self, state: &AddressState, sink: &mut impl FnMut(Change)) {
        if let Some((name, interface)) = self.at(state.index)
            && let Some(kept) = interface.addresses.remove(&key(state))
        {
            sink(removed(&name, kept.state));
        }
    }

    /// These are all links there are. Returns the indices of the watched ones.
    pub(super) fn links_are(
        &mut self,
        links: Vec<LinkState>,
        sink: &mut impl FnMut(Change),
    ) -> Vec<u32> {
        let same = |name: &Arc<str>, index: u32| {
            let mut all = links.iter();
            all.any(|link| link.index == index && *link.name == **name)
        };
        let gone: Vec<u32> = (self.names.iter())
            .filter(|(index, name)| !same(name, **index))
            .map(|(index, _)| *index)
            .collect();
        for index in gone {
            self.link_gone(index, sink);
        }
        for link in links {
            self.set_link(link, sink);
        }
        self.names.keys().copied().collect()
    }

    /// These are all addresses of the interface of this index.
    pub(super) fn addresses_are(
        &mut self,
        index: u32,
        states: Vec<AddressState>,
        sink: &mut impl FnMut(Change),
    ) {
        let there: std::collections::HashSet<Key> = states.iter().map(key).collect();
        if let Some((name, interface)) = self.at(index) {
            interface.addresses.retain(|key, kept| {
                let stays = there.contains(key);
                if !stays {
                    sink(removed(&name, kept.state));
                }
                stays
            });
        }
        for state in states {
            self.address_said(state, sink);
        }
    }
}

fn key(state: &AddressState) -> Key {
    (state.address, state.prefix_len, state.peer)
}

fn removed(interface: &Arc<str>, state: AddressState) -> Change {
    let interface = interface.clone();
    Change::AddressRemoved { interface, state }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::address::AddressFlags;

    use super::*;

    fn link(index: u32, name: &str) -> LinkState {
        LinkState {
            index,
            name: name.to_owned(),
            up: true,
            mtu: 1500,
            mac: None,
        }
    }

    fn address(index: u32, address: &str, prefix_len: u8) -> AddressState {
        AddressState {
            index,
            address: address.parse().unwrap(),
            prefix_len,
            peer: None,
            protocol: None,
            flags: AddressFlags::Permanent,
            link_local: false,
        }
    }

    fn table() -> Table {
        let mut table = Table::new(&Watch::new(["eth0", "eth1"]));
        assert_eq!(
            table.links_are(vec![link(2, "eth0"), link(9, "other")], &mut |_| {}),
            [2]
        );
        let own = [address(2, "192.0.2.9", 24), address(2, "192.0.2.1", 24)];
        table.addresses_are(2, own.to_vec(), &mut |_| {});
        table
    }

    /// Each change as one word and a name, in order.
    fn told(act: impl FnOnce(&mut dyn FnMut(Change))) -> Vec<String> {
        let mut told = Vec::new();
        act(&mut |change| {
            told.push(match change {
                Change::Link { name, state } => match state {
                    Some(state) => format!("{name} up={}", state.up),
                    None => format!("{name} gone"),
                },
                Change::AddressAdded { state, .. } => format!("+{}", state.address),
                Change::AddressRemoved { state, .. } => format!("-{}", state.address),
                Change::Resynced => "resynced".to_owned(),
            });
        });
        told
    }

    #[test]
    fn addresses_keep_the_order_in_which_they_appeared() {
        let mut table = table();
        table.address_said(address(2, "192.0.2.5", 24), &mut |_| {});
        let list: Vec<_> = table.addresses("eth0").iter().map(|s| s.address).collect();
        let expected = ["192.0.2.9", "192.0.2.1", "192.0.2.5"].map(|a| a.parse().unwrap());
        assert_eq!(list, expected as [IpAddr; 3]);
        let first = table.first("eth0", |state| state.address != list[0]);
        assert_eq!(first.map(|state| state.address), Some(list[1]));
    }

    #[test]
    fn a_resync_tells_what_was_missed_and_nothing_else() {
        let mut table = table();
        let links = || vec![link(2, "eth0"), link(5, "eth1")];
        let told = told(|sink| {
            table.links_are(links(), &mut |change| sink(change));
            let now = [address(2, "192.0.2.1", 24), address(2, "192.0.2.10", 32)];
            table.addresses_are(2, now.to_vec(), &mut |change| sink(change));
            table.links_are(links(), &mut |change| sink(change));
            table.addresses_are(2, now.to_vec(), &mut |change| sink(change));
        });
        assert_eq!(told, ["eth1 up=true", "-192.0.2.9", "+192.0.2.10"]);
    }

    #[test]
    fn an_interface_made_anew_has_lost_its_addresses() {
        let mut table = table();
        let told = told(|sink| {
            table.links_are(vec![link(3, "eth0")], &mut |change| sink(change));
        });
        let expected = ["-192.0.2.1", "-192.0.2.9", "eth0 gone", "eth0 up=true"];
        assert_eq!(told, expected);
        assert!(table.knows(3) && !table.knows(2));
        // Also when nobody said that the old one is gone.
        table.set_link(link(4, "eth0"), &mut |_| {});
        assert!(table.knows(4) && !table.knows(3));
    }

    #[test]
    fn two_interfaces_that_swap_names_are_told_apart() {
        let mut table = table();
        table.links_are(vec![link(2, "eth0"), link(5, "eth1")], &mut |_| {});
        table.links_are(vec![link(2, "eth1"), link(5, "eth0")], &mut |_| {});
        let index = |name| table.link(name).map(|link| link.index);
        assert_eq!((index("eth0"), index("eth1")), (Some(5), Some(2)));
        assert_eq!(table.addresses("eth0"), []);
    }

    #[test]
    fn a_name_that_is_watched_no_more_is_forgotten() {
        let mut table = table();
        table.rewatch(&Watch::new(["eth1"]));
        assert!(!table.knows(2) && table.link("eth0").is_none());
        let told = told(|sink| {
            table.address_gone(&address(2, "192.0.2.9", 24), &mut |change| sink(change));
        });
        assert_eq!(told, [""; 0]);
    }

    #[test]
    fn an_address_is_there_until_its_last_twin_is_gone() {
        let mut table = table();
        let ours: IpAddr = "192.0.2.10".parse().unwrap();
        for prefix_len in [24, 32] {
            table.address_said(address(2, "192.0.2.10", prefix_len), &mut |_| {});
        }
        for prefix_len in [32, 24] {
            assert!(table.has("eth0", ours));
            table.address_gone(&address(2, "192.0.2.10", prefix_len), &mut |_| {});
        }
        assert!(!table.has("eth0", ours));
        assert!(!table.has("eth1", ours));
    }
}
