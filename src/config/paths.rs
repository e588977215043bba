//! Over which lines does a group speak? `[[heartbeat.path]]`, and a group's own `peers` and
//! `source`.

use std::net::IpAddr;

use super::problem::{Checked, Problem, Problems, Reported, Span};
use super::reader::{At, ReadList, Section};
use super::types::{Family, PathConfig};
use super::values;

/// The most peers of one path: a cluster has at most 64 nodes, each of two families.
const MOST_PEERS: usize = 128;

/// The most paths of one file.
pub(super) const MOST_PATHS: usize = 16;

/// The two ends of a line.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    /// None: multicast.
    pub(super) peers: Vec<At<IpAddr>>,
    /// None: the interface's own.
    pub(super) source: Vec<At<IpAddr>>,
    /// Something in them was reported: what is missing from them says nothing.
    pub(super) broken: bool,
}

/// A line, with its places in the file.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The header of its `[[heartbeat.path]]`, or else the interface of its group.
    pub(super) at: Span,
    pub(super) interface: At<String>,
    pub(super) ends: Ends,
}

impl Ends {
    /// Of `[[heartbeat.path]]` or `[group.heartbeat]`.
    pub(super) fn read(section: &Section<'_>, out: &mut Problems) -> Self {
        let peers = section.texts("peers", out);
        let peers = values::hosts(peers, out);
        let source = section.text_or_texts("source", out);
        let source = values::hosts(source, out);
        let checks = [check_peers(&peers, out), check_source(&source, out)];
        let good = |read: ReadList<IpAddr>| {
            let list = read.ok().flatten().map(|list| list.value);
            list.into_iter().flatten().flatten().collect()
        };
        Ends {
            broken: checks.contains(&Err(Reported)) || is_broken(&peers) || is_broken(&source),
            peers: good(peers),
            source: good(source),
        }
    }

    pub(super) fn is_multicast(&self) -> bool {
        self.peers.is_empty()
    }

    /// Whether adverts of this family go out: to the group, or to a peer of that family.
    pub(super) fn speaks(&self, family: Family) -> bool {
        !self.broken && (self.is_multicast() || has(&self.peers, family))
    }

    /// What is wrong between its two ends.
    fn check(&self, out: &mut Problems) {
        for source in self.source.iter().filter(|_| !self.broken) {
            let family = Family::of(source.value);
            if let Some(peer) = self.peers.iter().find(|peer| peer.value == source.value) {
                let message = format!("`{}` is both `source` and a peer", source.value);
                let problem = Problem::error(source.span.clone(), message);
                let advice = "`source` is this node's address, `peers` are the other nodes'";
                out.push(problem.relate(peer.span.clone(), "the peer").advise(advice));
            } else if !self.speaks(family) {
                let message = format!("`source` is {}, but no peer is", name(family));
                let problem = Problem::error(source.span.clone(), message);
                out.push(problem.advise("write a source of the peers' family"));
            } else if self.is_multicast() && is_routed_v6(source.value) {
                let message = "IPv6 multicast adverts come from a link-local address";
                let problem = Problem::error(source.span.clone(), message);
                let advice = "write this interface's fe80:: address, or leave `source` out";
                out.push(problem.advise(advice));
            }
        }
    }
}

/// RFC 9568, section 5.1.2.1: the source is "the IPv6 link-local address of the interface".
fn is_routed_v6(address: IpAddr) -> bool {
    address.is_ipv6() && !values::is_link_local(address)
}

fn has(addresses: &[At<IpAddr>], family: Family) -> bool {
    addresses.iter().any(|a| Family::of(a.value) == family)
}

fn is_broken(read: &ReadList<IpAddr>) -> bool {
    match read {
        Ok(Some(list)) => list.value.iter().any(Result::is_err),
        Ok(None) => false,
        Err(Reported) => true,
    }
}

fn check_peers(peers: &ReadList<IpAddr>, out: &mut Problems) -> Checked<()> {
    let Ok(Some(peers)) = peers else {
        return Ok(());
    };
    if !(1..=MOST_PEERS).contains(&peers.value.len()) {
        let message = format!("`peers` has 1 to {MOST_PEERS} addresses");
        let problem = Problem::error(peers.span.clone(), message);
        return Err(out.push(problem.advise("leave `peers` out for multicast")));
    }
    let mut all = Ok(());
    let good: Vec<_> = peers.value.iter().flatten().collect();
    for (index, peer) in good.iter().enumerate() {
        if let Some(first) = good[..index].iter().find(|p| p.value == peer.value) {
            let message = format!("peer `{}` is listed twice", peer.value);
            let problem = Problem::error(peer.span.clone(), message);
            all = Err(out.push(problem.relate(first.span.clone(), "first here")));
        }
    }
    all
}

fn check_source(source: &ReadList<IpAddr>, out: &mut Problems) -> Checked<()> {
    let Ok(Some(source)) = source else {
        return Ok(());
    };
    let of = |family| {
        let good = source.value.iter().flatten();
        good.filter(|source| Family::of(source.value) == family)
            .count()
    };
    if of(Family::V4) <= 1 && of(Family::V6) <= 1 && !source.value.is_empty() {
        return Ok(());
    }
    let message = "`source` is one address, or one of each family";
    Err(out.error(source.span.clone(), message))
}

/// Every `[[heartbeat.path]]` whose interface is known.
pub(super) fn read(heartbeat: &Section<'_>, out: &mut Problems) -> Vec<Line> {
    let sections = heartbeat.sections("path", out).unwrap_or_default();
    if let Some(excess) = sections.get(MOST_PATHS) {
        let message = format!("there are more than {MOST_PATHS} paths");
        out.error(excess.at.clone(), message);
        return Vec::new();
    }
    let lines = sections.iter().flat_map(|section| read_line(section, out));
    let lines: Vec<Line> = lines.collect();
    warn_of_same_interface(&lines, out);
    for line in &lines {
        line.ends.check(out);
    }
    lines
}

fn read_line(section: &Section<'_>, out: &mut Problems) -> Checked<Line> {
    let interface = section.text("interface", out);
    let interface = section.need("interface", interface, out);
    let interface = interface.and_then(|text| values::interface(text, out));
    let ends = Ends::read(section, out);
    Ok(Line {
        at: section.at.clone(),
        interface: interface?,
        ends,
    })
}

fn warn_of_same_interface(lines: &[Line], out: &mut Problems) {
    for (index, line) in lines.iter().enumerate() {
        let same = |l: &&Line| l.interface.value == line.interface.value;
        if let Some(first) = lines[..index].iter().find(same) {
            let message = format!("`{}` already is a path", line.interface.value);
            let problem = Problem::warning(line.interface.span.clone(), message)
                .relate(first.interface.span.clone(), "first here")
                .advise("a redundant path helps when it is another wire");
            out.push(problem);
        }
    }
}

/// The lines of one group: its own interface first, then every other path.
///
/// A group with `peers` of its own speaks to these and to nobody else.
pub(super) fn of_group(interface: &At<String>, own: &Ends, all: &[Line]) -> Vec<Line> {
    let on_interface = all
        .iter()
        .position(|l| l.interface.value == interface.value);
    let inherited = on_interface.map(|index| &all[index]);
    if !own.is_multicast() {
        return vec![alone(interface, own, inherited)];
    }
    let mut first = inherited
        .cloned()
        .unwrap_or_else(|| Line::multicast(interface));
    if !own.source.is_empty() {
        first.ends.source = own.source.clone();
    }
    let others = (0..all.len()).filter(|index| Some(*index) != on_interface);
    let redundant = others.map(|index| all[index].clone());
    std::iter::once(first).chain(redundant).collect()
}

/// The one line of a group with its own `peers`: a source of their family is still inherited.
fn alone(interface: &At<String>, own: &Ends, inherited: Option<&Line>) -> Line {
    let mut ends = own.clone();
    if own.source.is_empty() {
        let sources = inherited.into_iter().flat_map(|line| &line.ends.source);
        let usable = sources.filter(|source| has(&own.peers, Family::of(source.value)));
        ends.source = usable.cloned().collect();
    }
    Line {
        at: interface.span.clone(),
        interface: interface.clone(),
        ends,
    }
}

/// The group is mute in a family if its first line, the one to be heard on, has no peer of it.
pub(super) fn check_heard(line: &Line, spoken: &[(Family, Span)], group: &str, out: &mut Problems) {
    line.ends.check(out);
    for (family, example) in spoken.iter().filter(|_| !line.ends.broken) {
        if let Some(peer) = line
            .ends
            .peers
            .first()
            .filter(|_| !line.ends.speaks(*family))
        {
            let family = name(*family);
            let message = format!("no peer on `{}` is {family}", line.interface.value);
            let problem = Problem::error(peer.span.clone(), message)
                .relate(
                    example.clone(),
                    format!("{group} would be mute in {family}"),
                )
                .advise(format!("add the peers' {family} addresses"));
            out.push(problem);
        }
    }
}

/// A group's own source is of a family that it speaks.
pub(super) fn check_own_source(
    own: &Ends,
    spoken: &[(Family, Span)],
    group: &str,
    out: &mut Problems,
) {
    for source in &own.source {
        let family = Family::of(source.value);
        if !spoken.iter().any(|(spoken, _)| *spoken == family) {
            let message = format!("`source` is {}, but no address of {group} is", name(family));
            let problem = Problem::error(source.span.clone(), message);
            out.push(problem.advise("leave it out, or write one of the addresses' family"));
        }
    }
}

fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

impl Line {
    /// A line that no `[[heartbeat.path]]` says.
    pub(super) fn multicast(interface: &At<String>) -> Self {
        Line {
            at: interface.span.clone(),
            interface: interface.clone(),
            ends: Ends::default(),
        }
    }

    pub(super) fn config(self) -> PathConfig {
        let values = |list: Vec<At<IpAddr>>| list.into_iter().map(|at| at.value).collect();
        PathConfig {
            interface: self.interface.value,
            peers: values(self.ends.peers),
            source: values(self.ends.source),
        }
    }
}
