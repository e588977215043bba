//! Do the files of two nodes agree? What they say differently, at its place in the second one.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;

use toml::de::DeTable;

use super::duration::shown;
use super::load::Loaded;
use super::problem::{Problem, Problems, Span};
use super::survival;
use super::types::{Config, Fencing, GroupConfig, Keys, Protocol, VoterKind};

/// How many addresses a message names.
const MOST_NAMED: usize = 3;

/// What the file of another node says otherwise than `ours`, and its own warnings, in the order of
/// its text. An error is what safety rests on.
#[must_use]
pub fn compare(ours: &Loaded, theirs: &Loaded) -> Problems {
    let mut found = theirs.warnings.clone();
    let text = theirs.warnings.text().to_owned();
    let (root, _) = DeTable::parse_recoverable(&text);
    let mut comparison = Comparison {
        file: ours.warnings.file(),
        root: root.get_ref(),
        out: &mut found,
    };
    comparison.nodes(&ours.config, &theirs.config);
    comparison.native(&ours.config, &theirs.config);
    comparison.arbiters(&ours.config, &theirs.config);
    comparison.groups(&ours.config, &theirs.config);
    found.sorted()
}

struct Comparison<'c> {
    /// The other file's name.
    file: &'c str,
    root: &'c DeTable<'c>,
    out: &'c mut Problems,
}

impl Comparison<'_> {
    fn nodes(&mut self, ours: &Config, theirs: &Config) {
        if ours.node.name == theirs.node.name {
            let message = format!("this is node `{}`, as is {}", theirs.node.name, self.file);
            let at = self.place(&["node", "name"]);
            self.error(at, message, "set `name` in [node]: each node has its own");
        }
        let (Some(our), Some(their)) = (&ours.cluster, &theirs.cluster) else {
            return;
        };
        let at = self.place(&["cluster", "name"]);
        self.differ(at, "the cluster's name", &our.name, &their.name);
        let voters = |config: &Config| -> BTreeSet<String> {
            let voters = config.voters().into_iter();
            let named = voters.map(|voter| match voter.kind {
                VoterKind::Node => format!("node `{}`", voter.name),
                VoterKind::Witness => format!("witness `{}`", voter.name),
            });
            named.collect()
        };
        if let Some(difference) = self.sets(&voters(ours), &voters(theirs)) {
            let message = format!(
                "other nodes or witnesses than in {}: {difference}",
                self.file
            );
            let at = self.place(&["cluster", "nodes"]);
            self.error(at, message, "write the same lists on every node");
        }
    }

    /// What native groups share.
    fn native(&mut self, ours: &Config, theirs: &Config) {
        let (Some(our), Some(their)) = (&ours.native, &theirs.native) else {
            return;
        };
        let at = self.place(&["heartbeat", "interval"]);
        self.differ(at, "`interval`", shown(our.interval), shown(their.interval));
        let at = self.place(&["heartbeat", "misses"]);
        self.differ(at, "`misses`", our.misses, their.misses);
        if !accepts(&our.keys, &their.keys) || !accepts(&their.keys, &our.keys) {
            let (us, they) = (our.keys.current.id(), their.keys.current.id());
            let message = format!("signs with key {they}, and {} with key {us}", self.file);
            let at = self.place(&["cluster", "key-file"]);
            let advice = "copy one key to every node; during a change, each accepts the other's as \
                          `old-key-file`";
            self.error(at, message, advice);
        }
    }

    fn arbiters(&mut self, ours: &Config, theirs: &Config) {
        self.arbiter("disk-lock", "a disk lock", [ours, theirs], |config| {
            config.fencing.has_disk()
        });
        // Beside an arbiter it only says who is fit.
        let is_vote = |config: &Config| {
            !survival::is_exclusive(config) || !config.groups.iter().all(|group| group.is_native())
        };
        if is_vote(ours) || is_vote(theirs) {
            self.arbiter("reference", "a reference", [ours, theirs], |config| {
                config.fencing.reference.is_some()
            });
        }
        let (our, their) = (&ours.fencing, &theirs.fencing);
        if !our.has_disk() || !their.has_disk() {
            return;
        }
        let at = self.place(&["fencing", "disk-lock"]);
        let disks = |fencing: &Fencing| fencing.disk_lock.len().to_string();
        self.differ(
            at,
            "the number of disks in `disk-lock`",
            disks(our),
            disks(their),
        );
        let at = self.place(&["fencing", "disk-lock-mode"]);
        let word = |fencing: &Fencing| fencing.disk_lock_mode.word();
        self.differ(at, "`disk-lock-mode`", word(our), word(their));
        let at = self.place(&["fencing", "disk-lease"]);
        let lease = |fencing: &Fencing| shown(fencing.disk_lease());
        self.differ(at, "`disk-lease`", lease(our), lease(their));
    }

    fn arbiter(&mut self, key: &str, what: &str, files: [&Config; 2], has: fn(&Config) -> bool) {
        let at = self.place(&["fencing", key]);
        let message = match files.map(has) {
            [false, true] => format!("{what} here, and none in {}", self.file),
            [true, false] => format!("no `{key}` here, and {what} in {}", self.file),
            _ => return,
        };
        self.error(at, message, "write it on every node, or on none");
    }

    fn groups(&mut self, ours: &Config, theirs: &Config) {
        for our in &ours.groups {
            if let Some(their) = theirs.groups.iter().find(|their| their.name == our.name) {
                self.group(our, their);
            } else if our.is_native() || !theirs.is_witness() {
                let message = format!("group `{}` of {} is not here", our.name, self.file);
                self.one_sided(our, 0..0, message);
            }
        }
        for their in &theirs.groups {
            let is_there = ours.groups.iter().any(|our| our.name == their.name);
            if !is_there && (their.is_native() || !ours.is_witness()) {
                let at = self.place_in(&their.name, &["name"]);
                let message = format!("group `{}` is not in {}", their.name, self.file);
                self.one_sided(their, at, message);
            }
        }
    }

    fn one_sided(&mut self, group: &GroupConfig, at: Span, message: String) {
        if group.is_native() {
            self.error(at, message, "every node and witness has every native group");
        } else {
            let problem = Problem::warning(at, message);
            let advice = "leave it so if another node takes it over";
            self.out.push(problem.advise(advice));
        }
    }

    fn group(&mut self, our: &GroupConfig, their: &GroupConfig) {
        let name = &their.name;
        let at = self.place_in(name, &["heartbeat", "protocol"]);
        let words = (our.protocol.word(), their.protocol.word());
        self.differ(at, &format!("`protocol` of `{name}`"), words.0, words.1);
        let at = self.place_in(name, &["id"]);
        self.differ(at, &format!("`id` of `{name}`"), our.id, their.id);
        self.addresses(our, their);
        if our.protocol != their.protocol {
            return;
        }
        match our.protocol {
            Protocol::Native => self.rest(our, their),
            Protocol::Vrrp2 | Protocol::Vrrp3 => self.vrrp(our, their),
        }
    }

    fn addresses(&mut self, our: &GroupConfig, their: &GroupConfig) {
        let all = |group: &GroupConfig| -> BTreeSet<IpAddr> {
            let addresses = group.all_addresses().map(|a| a.net.addr());
            addresses.collect()
        };
        if let Some(difference) = self.sets(&all(our), &all(their)) {
            let message = format!("`{}` has other addresses: {difference}", their.name);
            let at = self.place_in(&their.name, &["addresses"]);
            self.error(at, message, "a group has the same addresses on every node");
        }
    }

    /// What native nodes that differ in it can live with.
    fn rest(&mut self, our: &GroupConfig, their: &GroupConfig) {
        let rows = [
            (
                "preempt",
                our.preempt.to_string(),
                their.preempt.to_string(),
            ),
            (
                "preempt-delay",
                shown(our.preempt_delay),
                shown(their.preempt_delay),
            ),
        ];
        for (key, our, theirs) in rows.into_iter().filter(|(_, our, their)| our != their) {
            let at = self.place_in(&their.name, &[key]);
            let name = &their.name;
            let message = format!(
                "`{key}` of `{name}` is {theirs} here, and {our} in {}",
                self.file
            );
            let advice = "write the same on every node: it decides whoever is better there";
            self.out.push(Problem::warning(at, message).advise(advice));
        }
    }

    fn vrrp(&mut self, our: &GroupConfig, their: &GroupConfig) {
        let name = &their.name;
        if their.protocol == Protocol::Vrrp2 {
            // RFC 3768, section 7.1: another interval, and the advert is discarded.
            let at = self.place_in(name, &["heartbeat", "interval"]);
            let (us, they) = (shown(our.interval), shown(their.interval));
            self.differ(at, &format!("`interval` of `{name}`"), us, they);
            if our.auth_pass != their.auth_pass {
                let message = format!("`auth-pass` of `{name}` is not that of {}", self.file);
                let at = self.place_in(name, &["vrrp", "auth-pass"]);
                self.error(at, message, "write the same on every node");
            }
        }
        let waits = [
            (our, their.misses, "here".to_owned()),
            (their, our.misses, format!("in {}", self.file)),
        ];
        for (relies, misses, place) in waits {
            if misses < relies.peer_misses {
                let message = format!(
                    "`{name}`: {place} a MASTER is given up after {misses} silent intervals, and the \
                     other node relies on {}",
                    relies.peer_misses
                );
                let at = self.place_in(name, &["heartbeat", "misses"]);
                let advice = format!("write `peer-misses = {misses}` in [group.vrrp] there");
                self.error(at, message, &advice);
            }
        }
    }

    /// What is only on one side.
    fn sets<T: Ord + Display>(&self, ours: &BTreeSet<T>, theirs: &BTreeSet<T>) -> Option<String> {
        let some = |names: Vec<&T>, place: &str| -> Option<String> {
            let named: Vec<String> = names
                .iter()
                .take(MOST_NAMED)
                .map(|n| n.to_string())
                .collect();
            let more = match names.len().saturating_sub(MOST_NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            (!named.is_empty()).then(|| format!("only {place}: {}{more}", named.join(", ")))
        };
        let sides = [
            some(theirs.difference(ours).collect(), "here"),
            some(ours.difference(theirs).collect(), "there"),
        ];
        let sides: Vec<String> = sides.into_iter().flatten().collect();
        (!sides.is_empty()).then(|| sides.join("; "))
    }

    fn differ<T: PartialEq + Display>(&mut self, at: Span, what: &str, ours: T, theirs: T) {
        if ours != theirs {
            let message = format!("{what} is {theirs} here, and {ours} in {}", self.file);
            self.error(at, message, "write the same on every node");
        }
    }

    fn error(&mut self, at: Span, message: String, advice: &str) {
        self.out.push(Problem::error(at, message).advise(advice));
    }

    /// Where a key stands, or else its table, or else the beginning of the file.
    fn place(&self, path: &[&str]) -> Span {
        place(self.root, path).unwrap_or(0..0)
    }

    /// The same in a group; what it inherits is in `[heartbeat]`.
    fn place_in(&self, group: &str, path: &[&str]) -> Span {
        let groups = self.root.get("group").and_then(|v| v.get_ref().as_array());
        let is_it = |table: &&DeTable<'_>| {
            let name = table.get("name").and_then(|name| name.get_ref().as_str());
            name == Some(group)
        };
        let mut tables = groups.into_iter().flat_map(|groups| groups.iter());
        let table = tables.find(|v| v.get_ref().as_table().as_ref().is_some_and(is_it));
        let Some(table) = table else { return 0..0 };
        let inner = table.get_ref().as_table();
        inner
            .and_then(|inner| exact(inner, path))
            .or_else(|| exact(self.root, path))
            .unwrap_or_else(|| table.span())
    }
}

/// Each accepts what the other signs.
fn accepts(keys: &Keys, other: &Keys) -> bool {
    let signs = other.current.id();
    keys.current.id() == signs || keys.old.as_ref().is_some_and(|old| old.id() == signs)
}

fn exact(table: &DeTable<'_>, path: &[&str]) -> Option<Span> {
    let (first, rest) = path.split_first()?;
    let value = table.get(*first)?;
    match rest.is_empty() {
        true => Some(value.span()),
        false => exact(value.get_ref().as_table()?, rest),
    }
}

fn place(table: &DeTable<'_>, path: &[&str]) -> Option<Span> {
    let above = path.split_last()?.1;
    exact(table, path).or_else(|| exact(table, above))
}
