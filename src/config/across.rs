//! Do the groups get on with each other? Names, ids and addresses that must not meet.

use std::collections::HashMap;
use std::net::IpAddr;

use super::address::Entry;
use super::group::Draft;
use super::paths::Line;
use super::problem::{Problem, Problems};
use super::reader::At;
use super::spread::{Piece, Spread};
use super::types::Family;
use super::values::is_link_local;

/// The most addresses of all groups together.
const MOST_IN_FILE: u64 = 262_144;

/// Reports everything that two places of the file say against each other.
pub(super) fn check(groups: &[Draft], lines: &[Line], out: &mut Problems) {
    check_names(groups, out);
    check_ids(groups, out);
    check_addresses(groups, out);
    check_ends(groups, lines, out);
    check_use(groups, lines, out);
    check_total(groups, out);
}

fn check_names(groups: &[Draft], out: &mut Problems) {
    let mut firsts = HashMap::new();
    for name in groups.iter().filter_map(|group| group.name.as_ref().ok()) {
        let first = *firsts.entry(&name.value).or_insert(&name.span);
        if *first != name.span {
            let message = format!("there are two groups `{}`", name.value);
            let problem = Problem::error(name.span.clone(), message);
            out.push(problem.relate(first.clone(), "first here"));
        }
    }
}

/// Two virtual routers with one id, in one family, on one wire, would be one router.
fn check_ids(groups: &[Draft], out: &mut Problems) {
    let mut firsts = HashMap::new();
    for group in groups {
        let Ok(id) = &group.id else { continue };
        for (interface, family) in wires(group) {
            let wire = (id.value, interface, family);
            let (first, owner) = *firsts.entry(wire).or_insert((&id.span, group));
            if *first != id.span {
                let message = format!("id {} is taken on `{interface}`", id.value);
                let problem = Problem::error(id.span.clone(), message)
                    .relate(first.clone(), format!("by {}", owner.label()))
                    .advise("each group on a wire has its own id, redundant paths included");
                out.push(problem);
                break;
            }
        }
    }
}

/// Every interface and family that a group speaks on.
///
/// The native heartbeat names groups by their names; what a person sees of a native group's id is
/// where its addresses are.
fn wires(group: &Draft) -> Vec<(&str, Family)> {
    let families = group.families();
    if let (Some(_), Ok(interface)) = (group.timing.native(), &group.interface) {
        let spoken = families.iter();
        return spoken.map(|f| (interface.value.as_str(), f.0)).collect();
    }
    let spoken = group.lines.iter().flat_map(|line| {
        let heard = families
            .iter()
            .filter(|(family, _)| line.ends.speaks(*family));
        heard.map(|(family, _)| (line.interface.value.as_str(), *family))
    });
    let mut wires: Vec<_> = spoken.collect();
    wires.sort_unstable();
    wires.dedup();
    wires
}

/// An entry with the group that it belongs to.
struct Owned<'g> {
    group: &'g Draft,
    number: usize,
    entry: &'g Entry,
}

impl<'g> Owned<'g> {
    fn interface(&self) -> Option<&'g str> {
        let of_group = || self.group.interface.as_ref().ok().map(|i| i.value.as_str());
        self.entry.interface.as_deref().or_else(of_group)
    }
}

fn owned(groups: &[Draft]) -> Vec<Owned<'_>> {
    let numbered = groups.iter().enumerate();
    let entries = numbered.flat_map(|(number, group)| {
        let owned = move |entry| Owned {
            group,
            number,
            entry,
        };
        group.entries.iter().map(owned)
    });
    entries.collect()
}

fn check_addresses(groups: &[Draft], out: &mut Problems) {
    let entries = owned(groups);
    for (earlier, later) in clashes(&entries, Owned::interface) {
        out.push(clash(&entries[earlier], &entries[later]));
    }
    if entries.iter().all(|owned| owned.entry.interface.is_none()) {
        return;
    }
    // One advert lists an address once, whatever interface it goes on; but a link-local address
    // is another one on each interface.
    let in_group = |owned: &Owned<'_>| {
        let routed = !is_link_local(owned.entry.first());
        routed.then_some(owned.number)
    };
    for (earlier, later) in clashes(&entries, in_group) {
        out.push(clash(&entries[earlier], &entries[later]));
    }
}

fn clashes<'g, K: Ord>(
    entries: &[Owned<'g>],
    scope: impl Fn(&Owned<'g>) -> Option<K>,
) -> Vec<(usize, usize)> {
    let numbered = entries.iter().enumerate();
    let pieces =
        numbered.filter_map(|(number, owned)| Some(Piece::of(scope(owned)?, owned.entry, number)));
    Spread::of(pieces.collect()).clashes()
}

fn clash(earlier: &Owned<'_>, later: &Owned<'_>) -> Problem {
    let address = earlier.entry.first().max(later.entry.first());
    let (one, two) = (earlier.group.label(), later.group.label());
    let (message, label) = match earlier.number == later.number {
        true => (
            format!("`{address}` is twice in {two}"),
            "first here".to_owned(),
        ),
        false => (
            format!("`{address}` moves with two groups, {one} and {two}"),
            format!("in {one}"),
        ),
    };
    Problem::error(later.entry.span.clone(), message)
        .relate(earlier.entry.span.clone(), label)
        .advise("an address belongs to one group, once")
}

/// A heartbeat that comes from, or goes to, an address that moves would move with it.
fn check_ends(groups: &[Draft], lines: &[Line], out: &mut Problems) {
    let own_lines = groups.iter().filter_map(|group| group.lines.first());
    let ends: Vec<_> = lines.iter().chain(own_lines).flat_map(ends).collect();
    if ends.is_empty() {
        return;
    }
    let entries = owned(groups);
    let pieces = entries.iter().enumerate().filter_map(|(number, owned)| {
        let scope = scope(owned.entry.first(), owned.interface()?);
        Some(Piece::of(scope, owned.entry, number))
    });
    let floating = Spread::of(pieces.collect());
    for (end, role, interface) in ends {
        if let Some(number) = floating.find(&scope(end.value, interface), end.value) {
            out.push(floats(end, role, &entries[number]));
        }
    }
}

/// Both ends of a line, with what each one is and the interface.
fn ends(line: &Line) -> impl Iterator<Item = (&At<IpAddr>, &'static str, &str)> {
    let interface = line.interface.value.as_str();
    let sources = line
        .ends
        .source
        .iter()
        .map(move |end| (end, "source", interface));
    let peers = line
        .ends
        .peers
        .iter()
        .map(move |end| (end, "peer", interface));
    sources.chain(peers)
}

/// Where an address means one thing: everywhere, or on its interface.
fn scope(address: IpAddr, interface: &str) -> &str {
    if is_link_local(address) {
        interface
    } else {
        ""
    }
}

fn floats(end: &At<IpAddr>, role: &str, owned: &Owned<'_>) -> Problem {
    let group = owned.group.label();
    let message = format!("the {role} `{}` moves with {group}", end.value);
    Problem::error(end.span.clone(), message)
        .relate(owned.entry.span.clone(), "moves with this")
        .advise("write an address that stays on its host")
}

/// A path that no group uses, or a source of a family that nobody speaks there.
fn check_use(groups: &[Draft], lines: &[Line], out: &mut Problems) {
    if groups
        .iter()
        .any(|group| group.lines.is_empty() || !group.complete)
    {
        return; // what these groups would use is not known
    }
    for line in lines {
        let uses = |group: &&Draft| group.lines.iter().any(|l| l.at == line.at);
        let users: Vec<&Draft> = groups.iter().filter(uses).collect();
        if users.is_empty() {
            let problem = Problem::warning(line.at.clone(), "no group uses this path");
            out.push(problem.advise("groups with `peers` of their own speak to these alone"));
            continue;
        }
        if users.iter().any(|group| group.timing.native().is_some()) {
            continue; // a native heartbeat takes the family of its source
        }
        let spoken: Vec<Family> = users
            .iter()
            .flat_map(|g| g.families())
            .map(|f| f.0)
            .collect();
        for source in &line.ends.source {
            if !spoken.contains(&Family::of(source.value)) {
                let message = "this source is never used: no group here speaks its family";
                let problem = Problem::warning(source.span.clone(), message);
                out.push(problem.advise("leave it out"));
            }
        }
    }
}

fn check_total(groups: &[Draft], out: &mut Problems) {
    let mut total: u64 = 0;
    for group in groups {
        let counts = group.entries.iter().map(Entry::count);
        total = counts.fold(total, u64::saturating_add);
        if let Some(entry) = group.entries.first().filter(|_| total > MOST_IN_FILE) {
            let message = format!("all groups together have more than {MOST_IN_FILE} addresses");
            out.error(entry.span.clone(), message);
            return;
        }
    }
}
