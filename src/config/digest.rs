//! Were the nodes told the same? What a native heartbeat says of its node's file, in eight bytes each.
//!
//! Only what should be the same everywhere goes in, and everything sorted: neither the order of a
//! file nor the names of a host's interfaces make a difference.

use std::net::IpAddr;

use super::survival;
use super::types::{Config, GroupConfig, Native, VoterKind};
use crate::wire::native::{Configuration, Digest};

/// What the heartbeats of this node say about its file.
#[must_use]
pub fn configuration(config: &Config, native: &Native) -> Configuration {
    let groups = config.groups.iter().filter(|group| group.is_native());
    let mut groups: Vec<&GroupConfig> = groups.map(AsRef::as_ref).collect();
    groups.sort_unstable_by_key(|group| &group.name);
    Configuration {
        voters: voters(config),
        groups: of_groups("groups", &groups, |group| [group.id.to_string()]),
        timing: of("timing", timing(native)),
        rest: of_groups("rest", &groups, rest),
    }
}

/// What the heartbeats say about the addresses of a group. Not their prefix lengths: an address
/// goes on alone.
#[must_use]
pub fn addresses(group: &GroupConfig) -> Digest {
    let all = group.all_addresses().map(|address| address.net.addr());
    let mut all: Vec<IpAddr> = all.collect();
    all.sort_unstable();
    of("addresses", all.iter().map(IpAddr::to_string))
}

/// Of who votes.
#[must_use]
pub fn voters(config: &Config) -> Digest {
    let voters = config.voters();
    let parts = voters.iter().flat_map(|voter| {
        let kind = match voter.kind {
            VoterKind::Node => "node",
            VoterKind::Witness => "witness",
        };
        [voter.name, kind]
    });
    let disk = match config.fencing.disk_lock.len() {
        0 => None,
        1 => Some(["", "disk"]),
        _ => Some(["", "disks"]),
    };
    // Of two nodes alone, a weak voter: the one that does not ask it goes on where the other falls silent.
    let reference = config.fencing.reference.as_ref();
    let reference = reference.filter(|_| !survival::is_exclusive(config));
    let reference = reference.map(|_| ["", "reference"]);
    let others = disk.into_iter().chain(reference).flatten();
    Digest::of("voters", parts.chain(others))
}

fn timing(native: &Native) -> [String; 2] {
    let nanos = native.interval.as_nanos();
    [nanos.to_string(), native.misses.to_string()]
}

/// What nodes that differ in it can live with. (A node may start late by itself: `start-delay` is
/// not in here.)
fn rest(group: &GroupConfig) -> [String; 2] {
    let delay = group.preempt_delay.as_nanos();
    [group.preempt.to_string(), delay.to_string()]
}

/// Of every group its name, and what `parts` says of it.
fn of_groups<const N: usize>(
    label: &str,
    groups: &[&GroupConfig],
    parts: impl Fn(&GroupConfig) -> [String; N],
) -> Digest {
    let of_group = |group: &&GroupConfig| [group.name.clone()].into_iter().chain(parts(group));
    of(label, groups.iter().flat_map(of_group))
}

fn of(label: &str, parts: impl IntoIterator<Item = String>) -> Digest {
    let parts: Vec<String> = parts.into_iter().collect();
    Digest::of(label, parts.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{UnusableKey, parse_with};
    use crate::wire::native::Key;

    const FILE: &str = r#"
[cluster]
name = "shop-front"
nodes = ["lb-a", "lb-b", "lb-c"]
witnesses = ["lb-w"]

[heartbeat]
interval = "200ms"
misses = 5

[[group]]
name = "web"
id = 51
priority = 150
interface = "eth0"
addresses = ["192.0.2.10/24", "2001:db8::10/64", { address = "198.51.100.7/32", interface = "eth1" }]
preempt = true
preempt-delay = "1s"
start-delay = "1s"

[[group]]
name = "db"
id = 52
interface = "eth0"
addresses = ["192.0.2.11/24"]
"#;

    fn key(_: &Path) -> Result<Key, UnusableKey> {
        Ok(Key::new(&[7; 32]).unwrap())
    }

    fn read(text: &str) -> Config {
        parse_with("f", text, "lb-a", &key).unwrap().config
    }

    /// The four digests of the header, and those of the addresses of `web` and `db`.
    fn digests(text: &str) -> [Digest; 6] {
        let config = read(text);
        let told = configuration(&config, config.native.as_ref().unwrap());
        let of = |name: &str| {
            let group = config.groups.iter().find(|g| g.name == name);
            group.map_or(Digest::default(), |group| addresses(group))
        };
        let Configuration {
            voters,
            groups,
            timing,
            rest,
        } = told;
        [voters, groups, timing, rest, of("web"), of("db")]
    }

    /// Which of them a change changes.
    fn changed(from: &str, to: &str) -> Vec<usize> {
        assert!(FILE.contains(from), "{from}");
        let (before, after) = (digests(FILE), digests(&FILE.replacen(from, to, 1)));
        (0..6).filter(|i| before[*i] != after[*i]).collect()
    }

    #[test]
    fn each_difference_is_in_its_own_digest_only() {
        for (from, to, expected) in [
            (r#", "lb-c"]"#, "]", vec![0]),
            (r#""lb-c""#, r#""lb-d""#, vec![0]),
            (
                r#", "lb-c"]
witnesses = ["lb-w""#,
                r#"]
witnesses = ["lb-w", "lb-c""#,
                vec![0],
            ),
            (r#"name = "web""#, r#"name = "www""#, vec![1, 3, 4]),
            ("id = 51", "id = 53", vec![1]),
            (r#""200ms""#, r#""200001us""#, vec![2]),
            ("misses = 5", "misses = 4", vec![2]),
            ("preempt = true", "preempt = false", vec![3]),
            (
                r#"preempt-delay = "1s""#,
                r#"preempt-delay = "2s""#,
                vec![3],
            ),
            ("192.0.2.10/24", "192.0.2.12/24", vec![4]),
            ("2001:db8::10/64", "2001:db8::12/64", vec![4]),
            (r#"["192.0.2.10/24", "#, "[", vec![4]),
            ("192.0.2.11/24", "192.0.2.12/24", vec![5]),
        ] {
            assert_eq!(changed(from, to), expected, "{from} -> {to}");
        }
    }

    #[test]
    fn what_may_differ_by_host_is_in_no_digest() {
        for (from, to) in [
            (r#""shop-front""#, r#""other-name""#),
            ("priority = 150", "priority = 100"),
            (r#"interface = "eth0""#, r#"interface = "bond0""#),
            (r#"interface = "eth1""#, r#"interface = "bond1""#),
            (r#"start-delay = "1s""#, r#"start-delay = "2s""#),
            ("192.0.2.10/24", "192.0.2.10/32"),
            (
                r#"start-delay = "1s""#,
                "start-delay = \"1s\"\n[[group.action]]\non = \"promote\"\nrun = [\"/bin/true\"]",
            ),
            (
                "[heartbeat]",
                "[[heartbeat.path]]\ninterface = \"eth9\"\n[heartbeat]",
            ),
        ] {
            assert!(changed(from, to).is_empty(), "{from} -> {to}");
        }
    }

    #[test]
    fn the_order_of_the_file_decides_nothing() {
        for (from, to) in [
            (r#"["lb-a", "lb-b", "lb-c"]"#, r#"["lb-c", "lb-a", "lb-b"]"#),
            (
                r#"["192.0.2.10/24", "2001:db8::10/64", "#,
                r#"["2001:db8::10/64", "192.0.2.10/24", "#,
            ),
        ] {
            assert!(changed(from, to).is_empty(), "{from} -> {to}");
        }
        let (head, groups) = FILE.split_once("[[group]]").unwrap();
        let (web, db) = groups.split_once("[[group]]").unwrap();
        let turned = format!("{head}[[group]]{db}\n[[group]]{web}");
        assert_eq!(digests(&turned), digests(FILE));
    }

    #[test]
    fn a_group_that_speaks_vrrp_is_in_no_digest() {
        let vrrp = "[[group]]\nname = \"old\"\nid = 9\ninterface = \"eth0\"\n\
                    addresses = [\"192.0.2.9/24\"]\n[group.heartbeat]\nprotocol = \"vrrp3\"\n";
        assert_eq!(digests(&format!("{FILE}{vrrp}")), digests(FILE));
    }

    /// A change of what goes into a digest is a change of the protocol: nodes of two versions would
    /// take each other for misconfigured. (Worked out apart, as docs/protocol.md says it.)
    #[test]
    fn the_digests_of_a_file_are_the_same_for_ever() {
        let shown = digests(FILE).map(|digest| digest.to_string());
        let expected = [
            "e6135a2537934355",
            "5b4eb25c1dc9d38d",
            "61186e051dd4181a",
            "0fbfc69058d172c7",
            "45953960d13e11ec",
            "6471e4cbf5d90913",
        ];
        assert_eq!(shown, expected);
    }
}
