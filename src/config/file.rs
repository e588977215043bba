//! What does the whole file say? Its tables, read top to bottom.

use std::sync::Arc;

use toml::de::DeTable;

use super::across;
use super::cluster::{self, Members};
use super::fencing;
use super::group::{Draft, Inherited};
use super::heartbeat::Given;
use super::paths;
use super::problem::{Checked, Problem, Problems, Reported};
use super::reader::Section;
use super::types::{Config, GroupConfig};

/// The most groups of one file.
const MOST_GROUPS: usize = 1024;

/// The checked configuration; what is wrong with it is put into the list, all of it.
pub(super) fn read(root: &DeTable<'_>, hostname: &str, out: &mut Problems) -> Checked<Config> {
    let root = Section::open(root, "", 0..0, out);
    let cluster = root.section("cluster", out);
    let members = Members::read(&cluster, out);
    let node = root.section("node", out);
    let known_members = members.as_ref().ok().and_then(Option::as_ref);
    let node = cluster::read_node(&node, known_members, hostname, out);
    let fencing = fencing::read(&root.section("fencing", out), out);
    let realtime = node.as_ref().map_or(true, |node| node.realtime);
    let groups = read_groups(&root, realtime, out);
    if out.has_errors() {
        return Err(Reported);
    }
    Ok(Config {
        cluster: members?.map(Members::cluster),
        node: node?,
        fencing: fencing?,
        groups: groups?,
    })
}

fn read_groups(
    root: &Section<'_>,
    realtime: bool,
    out: &mut Problems,
) -> Checked<Vec<Arc<GroupConfig>>> {
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
        realtime,
    };
    let read_group = |section| Draft::read(section, &inherited, out);
    let groups: Vec<Draft> = sections.iter().map(read_group).collect();
    across::check(&groups, &lines, out);
    if out.has_errors() {
        return Err(Reported);
    }
    groups.into_iter().map(Draft::build).collect()
}
