//! What does the whole file say? Its tables, read top to bottom.

use std::sync::Arc;

use toml::de::DeTable;

use super::across;
use super::cluster::{self, Members};
use super::group::{Draft, Inherited};
use super::heartbeat::Given;
use super::paths;
use super::problem::{Checked, Problem, Problems, Reported};
use super::reader::Section;
use super::types::{Config, GroupConfig};

/// The checked configuration; what is wrong with it is put into the list, all of it.
pub(super) fn read(root: &DeTable<'_>, hostname: &str, out: &mut Problems) -> Checked<Config> {
    let root = Section::open(root, "", 0..0, out);
    let cluster = root.section("cluster", out);
    let members = cluster.and_then(|section| Members::read(&section, out));
    let node = root.section("node", out);
    let known_members = members.as_ref().ok().and_then(Option::as_ref);
    let node = node.and_then(|s| cluster::read_node(&s, known_members, hostname, out));
    let realtime = node.as_ref().map_or(true, |node| node.realtime);
    let groups = read_groups(&root, realtime, out);
    if out.has_errors() {
        return Err(Reported);
    }
    Ok(Config {
        cluster: members?.map(Members::cluster),
        node: node?,
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
    let heartbeat = heartbeat?;
    let lines = paths::read(&heartbeat, out);
    let all_lines_known = lines.is_ok();
    let lines = lines.unwrap_or_default();
    let inherited = Inherited {
        heartbeat: &Given::read(&heartbeat, out),
        heartbeat_at: heartbeat.exists().then(|| heartbeat.at.clone()),
        lines: &lines,
        realtime,
    };
    let drafts = sections.iter().map(|s| Draft::read(s, &inherited, out));
    let drafts: Vec<Draft> = drafts.collect::<Vec<_>>().into_iter().flatten().collect();
    across::check(&drafts, &lines, out);
    if out.has_errors() || !all_lines_known {
        return Err(Reported);
    }
    drafts.into_iter().map(Draft::build).collect()
}
