//! What do all native groups share? Their timing, their lines, and the keys that sign for them.

use std::collections::HashSet;
use std::path::PathBuf;

use super::cluster::{KeyFiles, Members};
use super::file::Source;
use super::group::Draft;
use super::paths::{Line, MOST_PATHS};
use super::problem::{Checked, Problem, Problems, Reported};
use super::reader::At;
use super::types::{Keys, Native, Node, PathConfig, Protocol};
use crate::wire::native::Key;

/// What the rest of the file says, as far as it could be read.
pub(super) struct Around<'f> {
    pub(super) node: Option<&'f Node>,
    pub(super) members: Checked<Option<&'f Members>>,
    pub(super) key_files: Option<&'f KeyFiles>,
    pub(super) source: &'f Source<'f>,
}

impl Around<'_> {
    pub(super) fn realtime(&self) -> bool {
        self.node.is_none_or(|node| node.realtime)
    }

    /// The file has no `[cluster]`.
    fn is_without_cluster(&self) -> bool {
        matches!(self.members, Ok(None))
    }
}

/// What all native groups share; nothing without a native group, or without keys.
pub(super) fn read(
    groups: &[Draft],
    lines: &[Line],
    around: &Around<'_>,
    out: &mut Problems,
) -> Checked<Option<Native>> {
    check_witnesses(groups, around, out);
    let Some((first, protocol)) = groups.iter().find_map(|g| Some((g, g.timing.native()?))) else {
        return Ok(None);
    };
    if around.is_without_cluster() {
        return Err(out.push(no_cluster(protocol)));
    }
    let paths = paths(groups, lines, protocol, out);
    let Some(keys) = read_keys(around, out)? else {
        return Ok(None);
    };
    let timing = &first.timing;
    Ok(Some(Native {
        interval: timing.interval.as_ref().map_err(|e| *e)?.value,
        misses: timing.misses.as_ref().map_err(|e| *e)?.value,
        paths: paths?,
        keys,
    }))
}

fn no_cluster(protocol: &At<Protocol>) -> Problem {
    let message = "native groups need a [cluster]: who votes, and the key that all nodes share";
    let advice = "write these three lines, the same on every node,\n\
                  [cluster]\n\
                  name = \"my-cluster\"\n\
                  nodes = [\"lb-a\", \"lb-b\"]\n\
                  make the key on one node, and copy it to the others,\n\
                  (umask 077; head -c 32 /dev/urandom | base64 >/etc/floatlock/cluster.key)\n\
                  or, if the other nodes speak VRRP, write `protocol = \"vrrp3\"` in [heartbeat]";
    Problem::absent(protocol.span.clone(), message).advise(advice)
}

/// Every line between the nodes, each once.
fn paths(
    groups: &[Draft],
    lines: &[Line],
    protocol: &At<Protocol>,
    out: &mut Problems,
) -> Checked<Vec<PathConfig>> {
    let config = |line: &Line| line.clone().config();
    if !lines.is_empty() {
        return Ok(lines.iter().map(config).collect());
    }
    let native = groups
        .iter()
        .filter(|group| group.timing.native().is_some());
    let mut own: Vec<PathConfig> = Vec::new();
    let mut seen = HashSet::new();
    for line in native.flat_map(|group| &group.lines) {
        if seen.insert(&line.interface.value) {
            own.push(config(line));
        }
    }
    if own.len() <= MOST_PATHS {
        return Ok(own);
    }
    let message = format!(
        "native groups are on {} interfaces, and a heartbeat goes over at most {MOST_PATHS}",
        own.len()
    );
    let problem = Problem::error(protocol.span.clone(), message);
    Err(out.push(problem.advise("name the lines between the nodes in [[heartbeat.path]]")))
}

/// Both keys; none where keys are not looked at.
fn read_keys(around: &Around<'_>, out: &mut Problems) -> Checked<Option<Keys>> {
    let Some(reader) = around.source.keys else {
        return Ok(None);
    };
    let files = around.key_files.ok_or(Reported)?;
    let mut read = |file: &At<PathBuf>| -> Checked<Key> {
        reader(&file.value).map_err(|error| {
            let message = format!("cannot use the key {}: {}", error.path.display(), error.why);
            let problem = match files.is_written(file) {
                true => Problem::error(file.span.clone(), message),
                false => Problem::absent(file.span.clone(), message),
            };
            out.push(problem.advise(error.why.advice(&error.path)))
        })
    };
    let current = read(&files.current);
    let old = files.old.as_ref().map(read).transpose();
    let (current, old) = (current?, old?);
    if let (Some(old), Some(file)) = (&old, &files.old)
        && old.id() == current.id()
    {
        let message = "`old-key-file` holds the same key as `key-file`";
        let problem = Problem::warning(file.span.clone(), message);
        out.push(problem.advise("leave it out when the change of keys is over"));
    }
    Ok(Some(Keys { current, old }))
}

/// A witness votes about native groups, and holds nothing.
fn check_witnesses(groups: &[Draft], around: &Around<'_>, out: &mut Problems) {
    let Ok(Some(members)) = &around.members else {
        return;
    };
    let others = groups
        .iter()
        .filter(|group| group.timing.native().is_none());
    let vrrp: Vec<(&Draft, &At<Protocol>)> = others
        .filter_map(|group| Some((group, group.timing.protocol.as_ref().ok()?)))
        .collect();
    if vrrp.len() == groups.len() && !members.witnesses.value.is_empty() {
        let span = members.witnesses.span.clone();
        let problem = Problem::warning(span, "no group is native: `witnesses` have no say");
        out.push(problem.advise("leave them out: vrrp2 and vrrp3 do not vote"));
    }
    if !around
        .node
        .is_some_and(|node| members.is_witness(&node.name))
    {
        return;
    }
    for (group, protocol) in vrrp {
        let Ok(name) = &group.name else { continue };
        let word = protocol.value.word();
        let message = format!(
            "this node is a witness, but `{}` is a group of {word}",
            name.value
        );
        let problem = Problem::error(name.span.clone(), message)
            .relate(protocol.span.clone(), "its protocol")
            .relate(members.witnesses.span.clone(), "the witnesses")
            .advise("leave the group out of this node's file: a witness holds no address");
        out.push(problem);
    }
}
