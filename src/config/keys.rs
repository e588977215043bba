//! Which keys does the file have? One table: what is accepted, its kind, its default, its meaning.
//!
//! The parser looks kinds and ranges up here, and tests hold `conf/floatlock.toml` and
//! `docs/configuration.md` against it.

use std::fmt;
use std::time::Duration;

use super::duration::shown;

/// One key of the file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The table that it stands in (`group.vrrp`); empty at the top of the file.
    pub table: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// What holds without it.
    pub absent: Absent,
    /// Its meaning, in one line.
    pub doc: &'static str,
}

/// What the value of a key must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `[name]`
    Table,
    /// `[[name]]`
    Tables,
    /// Text.
    Text,
    /// An array of text.
    Texts,
    /// Text, or an array of it.
    TextOrTexts,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer {
        /// The smallest.
        min: u32,
        /// The largest.
        max: u32,
    },
    /// Text with a unit.
    Duration {
        /// The shortest (besides zero, where that is the default).
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// An array of addresses, each with a prefix length, or `{ address, interface }`.
    Addresses,
}

/// What holds when a key is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It must be there.
    Required,
    /// This value, as it would stand in the file.
    Default(&'static str),
    /// Something that depends on the rest.
    Otherwise(&'static str),
    /// The key is for a later version: an error, whatever it says.
    NotYet,
}

impl Key {
    /// The key with its table: `group.vrrp.checksum`.
    #[must_use]
    pub fn path(&self) -> String {
        join(self.table, self.name)
    }
}

/// A table as its header stands in the file: `[node]`, `[[group]]`.
#[must_use]
pub fn header(table: &str) -> String {
    let is_list = KEYS
        .iter()
        .any(|key| key.kind == Kind::Tables && key.path() == table);
    match (table, is_list) {
        ("", _) => "the top of the file".to_owned(),
        (ADDRESS, _) => "an entry of `addresses`".to_owned(),
        (_, true) => format!("[[{table}]]"),
        (_, false) => format!("[{table}]"),
    }
}

/// The key of that name in that table.
#[must_use]
pub fn find(table: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.table == table && k.name == name)
}

pub(super) fn join(table: &str, name: &str) -> String {
    match table {
        "" => name.to_owned(),
        _ => format!("{table}.{name}"),
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Table => f.write_str("table"),
            Kind::Tables => f.write_str("tables"),
            Kind::Text => f.write_str("text"),
            Kind::Texts => f.write_str("array of text"),
            Kind::TextOrTexts => f.write_str("text, or an array of it"),
            Kind::Boolean => f.write_str("`true` or `false`"),
            Kind::Integer { min, max } => write!(f, "integer, {min} to {max}"),
            Kind::Duration { min, max } => {
                write!(f, "duration, {} to {}", shown(*min), shown(*max))
            }
            Kind::Addresses => f.write_str("array of addresses"),
        }
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Absent::Required => f.write_str("required"),
            Absent::Default(value) => write!(f, "`{value}`"),
            Absent::Otherwise(words) => f.write_str(words),
            Absent::NotYet => f.write_str("not supported yet"),
        }
    }
}

/// The table of an address that names its interface.
pub(super) const ADDRESS: &str = "group.addresses";

/// Every key that the parser knows. (A table: one row a key.)
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    section("", "cluster", Kind::Table, "The same on every node"),
    section("", "node", Kind::Table, "This host"),
    section("", "heartbeat", Kind::Table, "How the nodes hear each other; every group inherits it"),
    required("", "group", Kind::Tables, "Addresses that move together; one or more"),
    section("", "fencing", Kind::Table, "What ends the right to answer"),
    not_yet("", "metrics", Kind::Table, "The HTTP endpoint"),
    //
    required("cluster", "name", Kind::Text, "The cluster's name"),
    required("cluster", "nodes", Kind::Texts, "The nodes that may hold addresses, at most 64"),
    default("cluster", "witnesses", Kind::Texts, "[]", "Those that only vote; at most 64 with the nodes"),
    default("cluster", "key-file", Kind::Text, "\"/etc/floatlock/cluster.key\"", "The key of the native protocol"),
    key("cluster", "old-key-file", Kind::Text, Absent::Otherwise("no other key"), "A key that is also accepted, during a change"),
    //
    key("node", "name", Kind::Text, Absent::Otherwise("the host name"), "This node's name, one of `cluster.nodes` or `cluster.witnesses`"),
    default("node", "runtime-dir", Kind::Text, "\"/run/floatlock\"", "Where `control.sock` lives"),
    default("node", "state-dir", Kind::Text, "\"/var/lib/floatlock\"", "Where lives what survives a restart"),
    default("node", "realtime", Kind::Boolean, "true", "SCHED_FIFO and locked memory for the heartbeat thread"),
    //
    default("heartbeat", "protocol", Kind::Text, "\"native\"", "`native`, `vrrp3` or `vrrp2`"),
    key("heartbeat", "interval", INTERVAL, Absent::Otherwise("`\"200ms\"`; vrrp: `\"1s\"`"), "The time between two heartbeats or adverts"),
    key("heartbeat", "misses", MISSES, Absent::Otherwise("`5`; vrrp: `3`"), "Silent intervals until the MASTER counts as lost"),
    section("heartbeat", "path", Kind::Tables, "A line between the nodes"),
    //
    required("heartbeat.path", "interface", Kind::Text, "The interface that it goes out of and comes in by"),
    key("heartbeat.path", "peers", Kind::Texts, Absent::Otherwise("multicast"), "The other nodes' addresses: unicast"),
    key("heartbeat.path", "source", Kind::TextOrTexts, Absent::Otherwise("the interface's first address of its own"), "The address to send from, at most one a family"),
    //
    default("fencing", "gate", Kind::Text, "\"auto\"", "The kernel-enforced end of a lease: `auto` (the best there is), `bpf` or `nftables` (or no start), `off`"),
    key("fencing", "reference", Kind::Texts, Absent::Otherwise("none"), "Addresses that a node must reach to hold; see [reference](reference.md)"),
    default("fencing", "reference-need", Kind::Integer { min: 1, max: 16 }, "1", "How many of them"),
    key("fencing", "disk-lock", Kind::Texts, Absent::Otherwise("no arbiter"), "The shared disk that has the third vote of two nodes, or three that have it together; see [disk lock](disk-lock.md)"),
    key("fencing", "disk-lock-mode", Kind::Text, Absent::Otherwise("`\"smart\"`"), "When the disk is used: `smart`, only while the other node is not heard; `always`, and without it nobody holds"),
    key("fencing", "disk-lease", UP_TO_A_DAY, Absent::Otherwise("`\"5s\"`"), "How long the disk grants: what `lock init --lease` has written to it"),
    key("fencing", "solo-after", UP_TO_A_DAY, Absent::Otherwise("never"), "After so long a node that has heard neither a reference nor another node since it began stands all the same"),
    not_yet("fencing", "etcd", Kind::Texts, "A lease engine"),
    not_yet("fencing", "zookeeper", Kind::Texts, "A lease engine"),
    key("fencing", "watchdog", Kind::Text, Absent::Otherwise("not used"), "The device that resets a host that hangs, `/dev/watchdog`; see [watchdog](watchdog.md)"),
    default("fencing", "on-lease-lost", Kind::Text, "\"silence\"", "What a MASTER does that has lost its lease: `silence`, or `reboot` as well"),
    //
    required("group", "name", Kind::Text, "The group's name, unique in the file"),
    required("group", "id", Kind::Integer { min: 1, max: 255 }, "The VRID, unique on its lines"),
    default("group", "priority", Kind::Integer { min: 1, max: 255 }, "100", "The greater one is MASTER; 255: the addresses are this host's own"),
    required("group", "interface", Kind::Text, "The service interface"),
    required("group", "addresses", Kind::Addresses, "What moves, and is in the adverts"),
    default("group", "preempt", Kind::Boolean, "true", "Whether a better node takes over from a living MASTER"),
    default("group", "preempt-delay", UP_TO_A_DAY, "\"0s\"", "How long a better node waits before it does"),
    default("group", "start-delay", UP_TO_A_DAY, "\"0s\"", "How long after the agent's start this node does not stand"),
    not_yet("group", "on-unfit", Kind::Text, "What an unfit holder does"),
    section("group", "heartbeat", Kind::Table, "What this group does not inherit from `[heartbeat]`"),
    section("group", "vrrp", Kind::Table, "Details of the protocol"),
    section("group", "announce", Kind::Table, "Gratuitous ARP and unsolicited NA"),
    not_yet("group", "probe", Kind::Tables, "Health of this node for this group"),
    section("group", "action", Kind::Tables, "Scripts that run at a change of role; see [actions](actions.md)"),
    not_yet("group", "mover", Kind::Table, "A script that moves the addresses"),
    //
    required(ADDRESS, "address", Kind::Text, "The address with its prefix length"),
    key(ADDRESS, "interface", Kind::Text, Absent::Otherwise("the group's"), "The interface that it goes on"),
    //
    inherited("protocol", Kind::Text, "As in `[heartbeat]`, for this group"),
    inherited("interval", INTERVAL, "As in `[heartbeat]`, for this group"),
    inherited("misses", MISSES, "As in `[heartbeat]`, for this group"),
    key("group.heartbeat", "peers", Kind::Texts, Absent::Otherwise("that of the paths"), "Unicast on the group's interface, and no other path"),
    key("group.heartbeat", "source", Kind::TextOrTexts, Absent::Otherwise("that of the path"), "The address to send from on the group's interface"),
    //
    key("group.vrrp", "peer-misses", MISSES, Absent::Otherwise("3, or `misses` if that is less"), "The smallest number of silent intervals after which a peer gives up"),
    default("group.vrrp", "unadvertised", Kind::Addresses, "[]", "What moves along without being in the adverts; ranges too"),
    key("group.vrrp", "auth-pass", Kind::Text, Absent::Otherwise("no authentication"), "VRRPv2 password, 1 to 8 characters, sent as plain text"),
    default("group.vrrp", "checksum", Kind::Text, "\"pseudo-header\"", "VRRPv3 over IPv4: `pseudo-header` (keepalived) or `plain` (RFC 9568)"),
    //
    default("group.announce", "count", Kind::Integer { min: 1, max: 100 }, "5", "Frames for each address, at once and again after `repeat-after`"),
    default("group.announce", "repeat-after", Kind::Duration { min: Duration::ZERO, max: Duration::from_secs(3600) }, "\"5s\"", "When the second burst comes; `0s`: never"),
    default("group.announce", "refresh", Kind::Duration { min: Duration::from_secs(1), max: DAY }, "\"0s\"", "While MASTER, one frame for each address this often; `0s`: never"),
    default("group.announce", "rate", Kind::Integer { min: 1, max: 1_000_000 }, "100000", "The most frames a second"),
    //
    required("group.action", "on", Kind::Text, "When it runs: `promote`, `promoted`, `demote`, `demoted`, `fault`, `stop`; `any` of those but `promote` and `demote`"),
    required("group.action", "run", Kind::Texts, "The program, by its absolute path, and its arguments"),
    default("group.action", "timeout", Kind::Duration { min: Duration::from_millis(100), max: Duration::from_secs(3600) }, "\"10s\"", "It is ended when it has not ended by then"),
    default("group.action", "required", Kind::Boolean, "true", "`promote` only: if it fails or is late, there is no promotion"),
    default("group.action", "keepalived-args", Kind::Boolean, "false", "Whether keepalived's `INSTANCE NAME STATE PRIORITY` follow the arguments; not with `promote` and `demote`"),
    key("group.action", "user", Kind::Text, Absent::Otherwise("`floatlock-script`, if there is one; else the agent's"), "Whom it runs as"),
];

const DAY: Duration = Duration::from_secs(86_400);
const MISSES: Kind = Kind::Integer { min: 1, max: 100 };
const UP_TO_A_DAY: Kind = Kind::Duration {
    min: Duration::ZERO,
    max: DAY,
};

/// What one of the protocols can say; each one's own limits are checked when it is known.
const INTERVAL: Kind = Kind::Duration {
    min: Duration::from_millis(1),
    max: Duration::from_secs(255),
};

const fn key(
    table: &'static str,
    name: &'static str,
    kind: Kind,
    absent: Absent,
    doc: &'static str,
) -> Key {
    Key {
        table,
        name,
        kind,
        absent,
        doc,
    }
}

const fn required(table: &'static str, name: &'static str, kind: Kind, doc: &'static str) -> Key {
    key(table, name, kind, Absent::Required, doc)
}

const fn section(table: &'static str, name: &'static str, kind: Kind, doc: &'static str) -> Key {
    key(table, name, kind, Absent::Otherwise("optional"), doc)
}

const fn default(
    table: &'static str,
    name: &'static str,
    kind: Kind,
    value: &'static str,
    doc: &'static str,
) -> Key {
    key(table, name, kind, Absent::Default(value), doc)
}

const fn not_yet(table: &'static str, name: &'static str, kind: Kind, doc: &'static str) -> Key {
    key(table, name, kind, Absent::NotYet, doc)
}

const fn inherited(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    let absent = Absent::Otherwise("that of `[heartbeat]`");
    key("group.heartbeat", name, kind, absent, doc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_once_and_in_a_table_that_exists() {
        for key in KEYS {
            let same = KEYS.iter().filter(|k| k.path() == key.path()).count();
            assert_eq!(same, 1, "{} stands twice", key.path());
            let table_exists = key.table.is_empty() || KEYS.iter().any(|k| k.path() == key.table);
            assert!(table_exists, "no table for {}", key.path());
        }
    }

    #[test]
    fn headers_are_written_as_in_the_file() {
        let headers = ["node", "group", "heartbeat.path", "group.vrrp"].map(header);
        assert_eq!(
            headers,
            ["[node]", "[[group]]", "[[heartbeat.path]]", "[group.vrrp]"]
        );
    }
}
