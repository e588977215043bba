//! Which changes turn the addresses that are there into those that should be?

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::OURS;
use crate::net::rtnl::{Act, AddressState, Edit, LocalRoute};

/// The addresses that a change is about, found by interface and address.
#[derive(Debug, Default)]
pub(super) struct Targets {
    list: Vec<(u32, IpAddr)>,
    place: HashMap<(u32, IpAddr), usize>,
    /// Addresses whose interface is gone, or has another name now: on whichever interface they are
    /// with our tag, they are ours.
    strays: HashSet<IpAddr>,
}

impl Targets {
    pub(super) fn add(&mut self, index: u32, address: IpAddr) {
        if let std::collections::hash_map::Entry::Vacant(free) = self.place.entry((index, address))
        {
            free.insert(self.list.len());
            self.list.push((index, address));
        }
    }

    /// A link-local address means something on its interface only, so it cannot stray.
    pub(super) fn add_stray(&mut self, address: IpAddr) {
        let link_local = match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        if !link_local {
            self.strays.insert(address);
        }
    }

    pub(super) fn has_strays(&self) -> bool {
        !self.strays.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, IpAddr)> + '_ {
        self.list.iter().copied()
    }

    /// Whether this address goes or stays by our word.
    pub(super) fn covers(&self, state: &AddressState) -> bool {
        self.place.contains_key(&(state.index, state.address))
            || is_ours(state) && self.strays.contains(&state.address)
    }

    /// Whether this route of ours leads an address that goes or stays by our word.
    pub(super) fn covers_route(&self, route: &LocalRoute) -> bool {
        self.place.contains_key(&(route.index, route.address))
            || self.strays.contains(&route.address)
    }

    /// Brings removals into the order in which another host puts these addresses on.
    pub(super) fn sort(&self, removals: &mut [Edit]) {
        let place = |edit: &Edit| self.place.get(&(edit.index, edit.address)).copied();
        removals.sort_by_key(|edit| place(edit).unwrap_or(usize::MAX));
    }

    /// Blindly: each address on, refused where it is there.
    pub(super) fn additions(&self) -> Vec<Edit> {
        self.iter().map(addition).collect()
    }

    /// What is left to do until every address is on and out of doubt, and, if we `adopt`, ours.
    pub(super) fn missing(&self, seen: &[AddressState], adopt: bool) -> Vec<Edit> {
        let mut best = vec![Standing::Missing; self.list.len()];
        for state in seen {
            if let Some(&at) = self.place.get(&(state.index, state.address)) {
                best[at] = best[at].max(standing(state));
            }
        }
        let mut edits = Vec::new();
        for (target, standing) in self.iter().zip(best) {
            match standing {
                Standing::Missing => edits.push(addition(target)),
                Standing::InDoubt(state) => {
                    edits.extend([Edit::delete(&state), addition(target)]);
                }
                Standing::Untagged(state) if adopt => edits.push(Edit::adopt(&state, OURS)),
                Standing::Untagged(_) | Standing::On => {}
            }
        }
        edits
    }
}

fn addition((index, address): (u32, IpAddr)) -> Edit {
    let act = Act::Add { protocol: OURS };
    Edit {
        index,
        address,
        act,
    }
}

/// What is to come off, and what cannot.
#[derive(Debug, Default)]
pub(super) struct Removal {
    pub(super) edits: Vec<Edit>,
    /// Primary addresses whose removal would take the host's own addresses along.
    pub(super) held_back: Vec<AddressState>,
}

/// What must go for every address that `condemned` names to be off. `seen` has all addresses of
/// their interfaces; `promotes` says whether an interface promotes secondary addresses.
///
pub(super) fn removal(
    seen: &[AddressState],
    condemned: impl Fn(&AddressState) -> bool,
    mut promotes: impl FnMut(u32) -> bool,
) -> Removal {
    let (go, stay): (Vec<_>, Vec<_>) = seen.iter().partition(|state| condemned(state));
    let mut result = Removal::default();
    for state in go {
        let takes_along = is_network_v4(state)
            && !state.is_secondary()
            && stay.iter().any(|other| depends(other, state))
            && !promotes(state.index);
        match takes_along {
            true => result.held_back.push(*state),
            false => result.edits.push(Edit::delete(state)),
        }
    }
    result
}

pub(super) fn is_ours(state: &AddressState) -> bool {
    state.protocol == Some(OURS)
}

/// How good an entry for an address is, the best last.
#[derive(Clone, Copy, Debug)]
enum Standing {
    Missing,
    InDoubt(AddressState),
    Untagged(AddressState),
    On,
}

impl Standing {
    fn max(self, other: Self) -> Self {
        if other.rank() > self.rank() {
            return other;
        }
        self
    }

    fn rank(self) -> u8 {
        match self {
            Standing::Missing => 0,
            Standing::InDoubt(_) => 1,
            Standing::Untagged(_) => 2,
            Standing::On => 3,
        }
    }
}

/// IPv4 keeps several prefix lengths of an address side by side, so that ours stands beside a
/// /24 twin. IPv6 has room for one, so that what is there must do.
fn standing(state: &AddressState) -> Standing {
    if state.address.is_ipv4() && !state.is_host() {
        return Standing::Missing;
    }
    match (state.in_doubt(), is_ours(state)) {
        (true, _) => Standing::InDoubt(*state),
        (false, false) => Standing::Untagged(*state),
        (false, true) => Standing::On,
    }
}

fn is_network_v4(state: &AddressState) -> bool {
    state.address.is_ipv4() && state.prefix_len < 32
}

/// Whether `other` is secondary to `primary` (Linux: same interface, same prefix, same network).
fn depends(other: &AddressState, primary: &AddressState) -> bool {
    other.is_secondary()
        && other.index == primary.index
        && other.prefix_len == primary.prefix_len
        && network_v4(other) == network_v4(primary)
}

fn network_v4(state: &AddressState) -> Option<u32> {
    let IpAddr::V4(address) = state.peer.unwrap_or(state.address) else {
        return None;
    };
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(state.prefix_len.into()));
    Some(address.to_bits() & mask.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::address::AddressFlags;

    use super::*;

    fn state(address: &str, prefix_len: u8) -> AddressState {
        AddressState {
            index: 3,
            address: address.parse().unwrap(),
            prefix_len,
            peer: None,
            protocol: None,
            flags: AddressFlags::Permanent,
            link_local: false,
        }
    }

    fn ours(state: AddressState) -> AddressState {
        AddressState {
            protocol: Some(OURS),
            ..state
        }
    }

    fn secondary(state: AddressState) -> AddressState {
        let flags = state.flags | AddressFlags::Secondary;
        AddressState { flags, ..state }
    }

    fn targets(addresses: &[&str]) -> Targets {
        let mut targets = Targets::default();
        for address in addresses {
            targets.add(3, address.parse().unwrap());
        }
        targets
    }

    fn acts(edits: &[Edit]) -> Vec<(String, Act)> {
        let act = |edit: &Edit| (edit.address.to_string(), edit.act);
        edits.iter().map(act).collect()
    }

    const ADD: Act = Act::Add { protocol: OURS };

    #[test]
    fn only_what_is_missing_is_added() {
        let targets = targets(&["192.0.2.10", "192.0.2.11", "192.0.2.10", "2001:db8::10"]);
        let seen = [
            ours(state("192.0.2.10", 32)),
            ours(state("2001:db8::10", 128)),
        ];
        assert_eq!(
            acts(&targets.missing(&seen, true)),
            [("192.0.2.11".to_owned(), ADD)]
        );
        assert_eq!(
            targets.additions().len(),
            3,
            "a repeated address goes on once"
        );
    }

    #[test]
    fn the_same_address_on_another_interface_is_no_help() {
        let elsewhere = AddressState {
            index: 4,
            ..ours(state("192.0.2.10", 32))
        };
        assert_eq!(
            targets(&["192.0.2.10"]).missing(&[elsewhere], true).len(),
            1
        );
    }

    #[test]
    fn an_ipv4_twin_does_not_stand_in_for_ours_and_an_ipv6_one_is_adopted() {
        let targets = targets(&["192.0.2.10", "2001:db8::10"]);
        let seen = [state("192.0.2.10", 24), state("2001:db8::10", 64)];
        let adopt = Act::Adopt {
            protocol: OURS,
            prefix_len: 64,
            prefix_route: true,
        };
        let expected = [
            ("192.0.2.10".to_owned(), ADD),
            ("2001:db8::10".to_owned(), adopt),
        ];
        assert_eq!(acts(&targets.missing(&seen, true)), expected);
        assert_eq!(acts(&targets.missing(&seen, false)), expected[..1]);
    }

    #[test]
    fn an_address_in_doubt_is_put_on_anew() {
        let mut doubtful = state("2001:db8::10", 64);
        doubtful.flags |= AddressFlags::Tentative;
        let delete = Act::Delete {
            prefix_len: 64,
            peer: None,
        };
        let expected = [delete, ADD].map(|act| ("2001:db8::10".to_owned(), act));
        let edits = targets(&["2001:db8::10"]).missing(&[doubtful], true);
        assert_eq!(acts(&edits), expected);
    }

    #[test]
    fn what_goes_first_on_the_next_host_comes_off_first_here() {
        let targets = targets(&["192.0.2.12", "192.0.2.10", "192.0.2.11"]);
        let on = |address| ours(state(address, 32));
        let seen = ["203.0.113.1", "192.0.2.10", "192.0.2.11", "192.0.2.12"].map(on);
        let mut edits = removal(&seen, |_| true, |_| false).edits;
        targets.sort(&mut edits);
        let (known, stray) = edits.split_at(3);
        let addresses = |edits: &[Edit]| edits.iter().map(|edit| edit.address).collect::<Vec<_>>();
        let added = targets.additions();
        assert_eq!(addresses(known), addresses(&added));
        assert_eq!(stray, [Edit::delete(&seen[0])]);
    }

    #[test]
    fn every_twin_comes_off_and_nothing_else() {
        let targets = targets(&["192.0.2.10"]);
        let seen = [
            state("192.0.2.1", 24),
            secondary(state("192.0.2.10", 24)),
            ours(state("192.0.2.10", 32)),
            secondary(state("192.0.2.2", 24)),
        ];
        let removal = removal(&seen, |state| targets.covers(state), |_| false);
        assert_eq!(removal.edits, [&seen[1], &seen[2]].map(Edit::delete));
        assert_eq!(removal.held_back, []);
    }

    #[test]
    fn a_primary_twin_stays_when_it_would_take_the_hosts_own_address_along() {
        let targets = targets(&["192.0.2.10"]);
        let twin = state("192.0.2.10", 24);
        let own = secondary(state("192.0.2.1", 24));
        let covers = |state: &AddressState| targets.covers(state);

        let stays = removal(&[twin, own], covers, |_| false);
        assert_eq!((stays.edits.len(), stays.held_back), (0, vec![twin]));

        let promoted = removal(&[twin, own], covers, |_| true);
        assert_eq!((promoted.edits.len(), promoted.held_back.len()), (1, 0));

        let others = [state("192.0.2.1", 24), secondary(state("198.51.100.1", 24))];
        let alone = removal(&[twin, others[0], others[1]], covers, |_| false);
        assert_eq!((alone.edits.len(), alone.held_back.len()), (1, 0));
    }

    #[test]
    fn a_stray_is_covered_by_its_tag_on_any_interface() {
        let mut targets = Targets::default();
        targets.add_stray("192.0.2.10".parse().unwrap());
        targets.add_stray("fe80::10".parse().unwrap());
        assert!(targets.covers(&ours(state("192.0.2.10", 32))));
        assert!(!targets.covers(&state("192.0.2.10", 32)));
        assert!(!targets.covers(&ours(state("192.0.2.11", 32))));
        assert!(!targets.covers(&ours(state("fe80::10", 128))));
    }
}
