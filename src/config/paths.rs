//! Over which lines does a group speak? `[[heartbeat.path]]`, and a group's own `peers` and
//! `source`.

use std::net::IpAddr;

use super::problem::{Checked, Problem, Problems, Reported, Span};
use super::reader::{At, Section};
use super::types::{Family, PathConfig};
use super::values;

/// The most peers of one path: a cluster has at most 64 nodes, each of two families.
const MOST_PEERS: usize = 128;

/// The most paths of one file.
const MOST_PATHS: usize = 16;

/// The two ends of a line.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    /// None: multicast.
    pub(super) peers: Vec<At<IpAddr>>,
    /// None: the interface's own.
    pub(super) source: Vec<At<IpAddr>>,
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
    pub(super) fn read(section: &Section<'_>, out: &mut Problems) -> Checked<Self> {
        let peers = section.texts("peers", out);
        let peers = values::hosts(peers, out);
        let source = section.text_or_texts("source", out);
        let source = values::hosts(source, out);
        if let Ok(Some(peers)) = &peers {
            check_peers(peers, out)?;
        }
        if let Ok(Some(source)) = &source {
            check_source(source, out)?;
        }
        let list = |read: Option<At<Vec<_>>>| read.map(|at| at.value).unwrap_or_default();
        Ok(Ends {
            peers: list(peers?),
            source: list(source?),
        })
    }

    pub(super) fn is_multicast(&self) -> bool {
        self.peers.is_empty()
    }

    /// Whether adverts of this family go out: to the group, or to a peer of that family.
    pub(super) fn speaks(&self, family: Family) -> bool {
        self.is_multicast() || has(&self.peers, family)
    }

    /// What is wrong between its two ends.
    fn check(&self, out: &mut Problems) {
        for source in &self.source {
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

fn check_peers(peers: &At<Vec<At<IpAddr>>>, out: &mut Problems) -> Checked<()> {
    if !(1..=MOST_PEERS).contains(&peers.value.len()) {
        let message = format!("`peers` has 1 to {MOST_PEERS} addresses");
        let problem = Problem::error(peers.span.clone(), message);
        return Err(out.push(problem.advise("leave `peers` out for multicast")));
    }
    let mut all = Ok(());
    for (index, peer) in peers.value.iter().enumerate() {
        let first = peers.value[..index].iter().find(|p| p.value == peer.value);
        if let Some(first) = first {
            let message = format!("peer `{}` is listed twice", peer.value);
            let problem = Problem::error(peer.span.clone(), message);
            all = Err(out.push(problem.relate(first.span.clone(), "first here")));
        }
    }
    all
}

fn check_source(source: &At<Vec<At<IpAddr>>>, out: &mut Problems) -> Checked<()> {
    let [v4, v6] = [Family::V4, Family::V6].map(|family| {
        let of_family = source
            .value
            .iter()
            .filter(|s| Family::of(s.value) == family);
        of_family.count()
    });
    if v4 <= 1 && v6 <= 1 && v4 + v6 > 0 {
        return Ok(());
    }
    let message = "`source` is one address, or one of each family";
    Err(out.error(source.span.clone(), message))
}

/// Every `[[heartbeat.path]]`.
pub(super) fn read(heartbeat: &Section<'_>, out: &mut Problems) -> Checked<Vec<Line>> {
    let sections = heartbeat.sections("path", out)?;
    if let Some(excess) = sections.get(MOST_PATHS) {
        let message = format!("there are more than {MOST_PATHS} paths");
        return Err(out.error(excess.at.clone(), message));
    }
    let lines: Vec<Checked<Line>> = sections.iter().map(|s| read_line(s, out)).collect();
    let good: Vec<Line> = lines.iter().flatten().cloned().collect();
    warn_of_same_interface(&good, out);
    for line in &good {
        line.ends.check(out);
    }
    match good.len() == sections.len() {
        true => Ok(good),
        false => Err(Reported),
    }
}

fn read_line(section: &Section<'_>, out: &mut Problems) -> Checked<Line> {
    let interface = section.text("interface", out);
    let interface = section.need("interface", interface, out);
    let interface = interface.and_then(|text| values::interface(text, out));
    let ends = Ends::read(section, out);
    Ok(Line {
        at: section.at.clone(),
        interface: interface?,
        ends: ends?,
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
    let mut first = inherited.cloned().unwrap_or_else(|| Line {
        at: interface.span.clone(),
        interface: interface.clone(),
        ends: Ends::default(),
    });
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

/// What is wrong with a group's first line: the one that it must be heard on.
pub(super) fn check_first(
    line: &Line,
    own: &Ends,
    spoken: &[(Family, Span)],
    group: &str,
    out: &mut Problems,
) {
    line.ends.check(out);
    for (family, example) in spoken {
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
                    format!("`{group}` would be mute in {family}"),
                )
                .advise(format!("add the peers' {family} addresses"));
            out.push(problem);
        }
    }
    for source in &own.source {
        let family = Family::of(source.value);
        if !spoken.is_empty() && !spoken.iter().any(|(spoken, _)| *spoken == family) {
            let message = format!(
                "`source` is {}, but no address of `{group}` is",
                name(family)
            );
            out.error(source.span.clone(), message);
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
    pub(super) fn config(self) -> PathConfig {
        let values = |list: Vec<At<IpAddr>>| list.into_iter().map(|at| at.value).collect();
        PathConfig {
            interface: self.interface.value,
            peers: values(self.ends.peers),
            source: values(self.ends.source),
        }
    }
}
