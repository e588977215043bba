//! What is the `nft` program told to set up? One transaction each, which an operator can read again
//! with `nft list table netdev floatlock`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use super::NAME;

/// The rules of the two shared chains. What they jump to returns while it is open. Shut means: out
/// goes no IP packet from the address, no ARP with it as sender, no neighbour advertisement for it;
/// in comes no IP packet to it, and no ARP request or neighbour solicitation for it, except probes
/// (RFC 5227; RFC 4862, section 5.4: from nobody).
pub(super) const SHARED: [(&str, &[&str]); 2] = [
    (
        "ingress",
        &[
            "meta protocol ip ip daddr vmap @v4",
            "meta protocol arp arp hlen 6 arp plen 4 arp operation request \
             arp saddr ip != 0.0.0.0 arp daddr ip vmap @v4",
            "meta protocol ip6 ip6 daddr vmap @v6",
            "meta protocol ip6 iif . ip6 daddr vmap @scoped",
            "meta protocol ip6 ip6 nexthdr 58 @nh,320,8 135 ip6 saddr != :: @nh,384,128 vmap @nd",
            "meta protocol ip6 ip6 nexthdr 58 @nh,320,8 135 ip6 saddr != :: \
             iif . @nh,384,128 vmap @nd_scoped",
        ],
    ),
    (
        "egress",
        &[
            "meta protocol ip ip saddr vmap @v4",
            "meta protocol arp arp hlen 6 arp plen 4 arp saddr ip vmap @v4",
            "meta protocol ip6 ip6 saddr vmap @v6",
            "meta protocol ip6 oif . ip6 saddr vmap @scoped",
            "meta protocol ip6 ip6 nexthdr 58 @nh,320,8 136 @nh,384,128 vmap @nd",
            "meta protocol ip6 ip6 nexthdr 58 @nh,320,8 136 oif . @nh,384,128 vmap @nd_scoped",
        ],
    ),
];

/// The maps from an address to the chain of its slot. Older versions of nft know no name for the
/// target of a neighbour solicitation, only its place (`nd`).
pub(super) const MAPS: [(&str, &str); 5] = [
    ("v4", "type ipv4_addr"),
    ("v6", "type ipv6_addr"),
    ("nd", "typeof @nh,384,128"),
    ("scoped", "type iface_index . ipv6_addr"),
    ("nd_scoped", "typeof iif . @nh,384,128"),
];

/// Rules in the chain of a slot.
pub(super) const SLOT_RULES: usize = 2;
/// And in the chain of one direction of an interface.
pub(super) const LINK_RULES: usize = 1;

/// The first to see what comes in, and the last to see what goes out.
const DIRECTIONS: [(&str, &str, i32); 2] = [("in", "ingress", -1000), ("out", "egress", 1000)];

/// An address, with the interface on which it counts (0: all).
pub(super) type Guarded = (IpAddr, u32);

/// The set whose elements let a slot's frames pass.
pub(super) fn open_set(slot: usize) -> String {
    format!("open_{slot}")
}

/// The chain in which a slot decides.
pub(super) fn slot_chain(slot: usize) -> String {
    format!("slot_{slot}")
}

/// The chains on an interface: ingress and egress.
pub(super) fn link_chains(index: u32) -> [String; 2] {
    DIRECTIONS.map(|(prefix, _, _)| format!("{prefix}_{index}"))
}

/// A transaction being written.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// The table anew, whatever there was before, with the maps and the shared chains.
    pub(super) fn anew() -> Self {
        let mut text = Self::default();
        // Deleting what is not there would be an error.
        for verb in ["add", "delete", "add"] {
            text.line(format_args!("{verb} table netdev {NAME}"));
        }
        for (map, key) in MAPS {
            text.line(format_args!(
                "add map netdev {NAME} {map} {{ {key} : verdict; }}"
            ));
        }
        for (chain, rules) in SHARED {
            text.line(format_args!("add chain netdev {NAME} {chain}"));
            for rule in rules {
                text.line(format_args!("add rule netdev {NAME} {chain} {rule}"));
            }
        }
        text
    }

    /// A slot that is armed and shut.
    pub(super) fn slot(&mut self, slot: usize) {
        let (set, chain) = (open_set(slot), slot_chain(slot));
        self.line(format_args!(
            "add set netdev {NAME} {set} {{ type ether_type; flags timeout; }}"
        ));
        self.line(format_args!("add chain netdev {NAME} {chain}"));
        self.line(format_args!(
            "add rule netdev {NAME} {chain} meta protocol @{set} return"
        ));
        self.line(format_args!("add rule netdev {NAME} {chain} counter drop"));
    }

    /// The two directions of an interface, whatever there was of them before.
    ///
    /// # Errors
    /// nft has no way to write the name.
    pub(super) fn link(&mut self, index: u32, name: &str) -> io::Result<()> {
        if name.contains(['"', '*', '\\', '\n']) {
            let text = format!("nft cannot be told of an interface with the name {name:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.no_link(index);
        for (prefix, hook, priority) in DIRECTIONS {
            let chain = format!("{prefix}_{index}");
            self.line(format_args!(
                "add chain netdev {NAME} {chain} {{ type filter hook {hook} device \"{name}\" \
                 priority {priority}; policy accept; }}"
            ));
            self.line(format_args!("add rule netdev {NAME} {chain} jump {hook}"));
        }
        Ok(())
    }

    /// The interface has gone.
    pub(super) fn no_link(&mut self, index: u32) {
        for chain in link_chains(index) {
            // Some kernels take the chain away with the interface; deleting what is not there is an
            // error.
            self.line(format_args!("add chain netdev {NAME} {chain}"));
            self.line(format_args!("flush chain netdev {NAME} {chain}"));
            self.line(format_args!("delete chain netdev {NAME} {chain}"));
        }
    }

    /// Puts addresses behind slots, or (`delete`) takes them from there.
    pub(super) fn elements<'a>(
        &mut self,
        verb: &str,
        guarded: impl Iterator<Item = (&'a Guarded, usize)>,
    ) {
        let mut maps: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (one, slot) in guarded {
            let chain = slot_chain(slot);
            for (map, key) in keys(*one) {
                let items = maps.entry(map).or_default();
                items.push(format!("{key} : jump {chain}"));
            }
        }
        for (map, items) in maps {
            let items = items.join(", ");
            self.line(format_args!(
                "{verb} element netdev {NAME} {map} {{ {items} }}"
            ));
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A String takes everything.
        let _ = writeln!(self.0, "{line}");
    }
}

/// The maps that an address is in, and its key in each.
pub(super) fn keys((address, index): Guarded) -> Vec<(&'static str, String)> {
    match (address, index) {
        (IpAddr::V4(v4), _) => vec![("v4", v4.to_string())],
        (IpAddr::V6(v6), 0) => vec![("v6", v6.to_string()), ("nd", hex(v6))],
        (IpAddr::V6(v6), index) => vec![
            ("scoped", format!("{index} . {v6}")),
            ("nd_scoped", format!("{index} . {}", hex(v6))),
        ],
    }
}

/// The same keys as the kernel has them.
pub(super) fn raw_keys((address, index): Guarded) -> [Option<(&'static str, Vec<u8>)>; 2] {
    let scoped = |v6: Ipv6Addr| [&index.to_ne_bytes()[..], &v6.octets()].concat();
    match (address, index) {
        (IpAddr::V4(v4), _) => [Some(("v4", v4.octets().to_vec())), None],
        (IpAddr::V6(v6), 0) => {
            let key = v6.octets().to_vec();
            [Some(("v6", key.clone())), Some(("nd", key))]
        }
        (IpAddr::V6(v6), _) => [
            Some(("scoped", scoped(v6))),
            Some(("nd_scoped", scoped(v6))),
        ],
    }
}

fn hex(address: Ipv6Addr) -> String {
    format!("0x{:032x}", address.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_maps_of_its_kind() {
        let of = |address: &str, index| keys((address.parse().unwrap(), index));
        assert_eq!(of("192.0.2.10", 0), [("v4", "192.0.2.10".to_owned())]);
        let global = of("2001:db8::1", 0);
        assert_eq!(global[1].1, "0x20010db8000000000000000000000001");
        assert_eq!(of("fe80::1", 3)[0], ("scoped", "3 . fe80::1".to_owned()));
    }

    #[test]
    fn a_name_that_would_be_read_as_something_else_is_refused() {
        for name in ["a\"b", "eth*", "a\\b"] {
            let mut text = Text::default();
            assert!(text.link(3, name).is_err(), "{name}");
            assert!(text.is_empty());
        }
        Text::default().link(3, "br-lan.7@x").unwrap();
    }
}
