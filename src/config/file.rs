//! What does the whole file say? Its tables, read top to bottom.

use std::sync::Arc;

use toml::de::DeTable;

use super::across;
use super::cluster::{self, KeyFiles, Members};
use super::fencing;
use super::group::{Draft, Inherited};
use super::heartbeat::Given;
use super::load::KeyReader;
use super::native::{self, Around};
use super::paths;
use super::problem::{Checked, Problem, Problems, Reported};
use super::reader::Section;
use super::reference;
use super::types::{Config, GroupConfig, Native};

/// The most groups of one file.
const MOST_GROUPS: usize = 1024;

/// What the text does not say about itself.
pub(super) struct Source<'s> {
    /// Names this node where the text does not.
    pub(super) hostname: &'s str,
    /// None: keys are not read.
    pub(super) keys: Option<&'s KeyReader<'s>>,
    /// Some of the text was not understood, and is blank.
    pub(super) gaps: bool,
}

/// The checked configuration; what is wrong with it is put into the list, all of it.
///
pub(super) fn read(root: &DeTable<'_>, source: &Source<'_>, out: &mut Problems) -> Checked<Config> {
    let root = Section::open(root, "", 0..0, out);
    let cluster = root.section("cluster", out);
    let members = Members::read(&cluster, out);
    let key_files = KeyFiles::read(&cluster, out);
    let node = root.section("node", out);
    let known_members = members.as_ref().ok().and_then(Option::as_ref);
    let node = cluster::read_node(&node, known_members, source.hostname, out);
    let voting = known_members.map(Members::voting);
    let fencing = fencing::read(&root.section("fencing", out), voting.as_ref(), out);
    let around = Around {
        node: node.as_ref().ok(),
        members: members.as_ref().map(Option::as_ref).map_err(|e| *e),
        key_files: key_files.as_ref().ok(),
        source,
    };
    let groups = read_groups(&root, &around, out);
    if out.has_errors() {
        return Err(Reported);
    }
    let ((groups, native), fencing) = (groups?, fencing?);
    let at = root.section("fencing", out).at;
    fencing::check_groups(&fencing, &groups, &at, out)?;
    if let Some(reference) = &fencing.reference {
        reference::check_groups(reference, &groups, &at, out)?;
    }
    let key_files = key_files?;
    Ok(Config {
        cluster: members?.map(|members| members.cluster(key_files)),
        node: node?,
        fencing,
        native,
        groups,
    })
}

fn read_groups(
    root: &Section<'_>,
    around: &Around<'_>,
    out: &mut Problems,
) -> Checked<(Vec<Arc<GroupConfig>>, Option<Native>)> {
    let heartbeat = root.section("heartbeat", out);
    let sections = root.sections("group", out)?;
    if sections.is_empty() {
        let problem = Problem::absent(0..0, "there is no [[group]]: nothing would move");
        out.push(problem.advise("add a [[group]] with name, id, interface and addresses"));
    }
    if let Some(excess) = sections.get(MOST_GROUPS) {
        let message = format!("there are more than {MOST_GROUPS} groups");
        return Err(out.error(excess.at.clone(), message));
    }
    let lines = paths::read(&heartbeat, out);
    let inherited = Inherited {
        heartbeat: &Given::read(&heartbeat, out),
        heartbeat_at: heartbeat.exists().then(|| heartbeat.at.clone()),
        lines: &lines,
        realtime: around.realtime(),
        gaps: around.source.gaps,
    };
    let read_group = |section| Draft::read(section, &inherited, out);
    let groups: Vec<Draft> = sections.iter().map(read_group).collect();
    across::check(&groups, &lines, out);
    let native = native::read(&groups, &lines, around, out);
    if out.has_errors() {
        return Err(Reported);
    }
    let groups: Checked<_> = groups.into_iter().map(Draft::build).collect();
    Ok((groups?, native?))
}
