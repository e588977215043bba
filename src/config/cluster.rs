//! Who is this node, and who are the others? `[cluster]` and `[node]`.

use std::collections::HashMap;
use std::path::PathBuf;

use super::fencing::Voting;
use super::problem::{Checked, Problem, Problems, Span};
use super::reader::{At, Section};
use super::types::{Cluster, Node};
use super::values;
use super::wording::quoted;

/// The most nodes and witnesses of a cluster: an epoch has room for 64.
const MOST_NODES: usize = 64;

/// Where the key of the native protocol is, if the file does not say.
const KEY_FILE: &str = "/etc/floatlock/cluster.key";

/// A Unix socket's path has room for 107 bytes, and `/control.sock` is 13 of them.
const RUNTIME_DIR_LONGEST: usize = 94;

/// `[cluster]` with the places of its nodes.
pub(super) struct Members {
    name: String,
    nodes: At<Vec<At<String>>>,
    pub(super) witnesses: At<Vec<At<String>>>,
}

impl Members {
    /// How many vote.
    pub(super) fn voting(&self) -> Voting {
        Voting {
            nodes: self.nodes.value.len(),
            witnesses: self.witnesses.value.len(),
        }
    }

    pub(super) fn read(section: &Section<'_>, out: &mut Problems) -> Checked<Option<Self>> {
        if !section.exists() {
            return Ok(None);
        }
        let name = section.text("name", out);
        let name = section.need("name", name, out);
        let name = name.and_then(|text| values::name(text, out));
        let nodes = read_nodes(section, out);
        let witnesses = read_witnesses(section, out);
        let (nodes, witnesses) = (nodes?, witnesses?);
        check_unique(nodes.value.iter().chain(&witnesses.value), out)?;
        check_total(&nodes, &witnesses, out)?;
        let name = name?.value;
        Ok(Some(Members {
            name,
            nodes,
            witnesses,
        }))
    }

    pub(super) fn cluster(self, keys: KeyFiles) -> Cluster {
        let names = |list: At<Vec<At<String>>>| list.value.into_iter().map(|n| n.value).collect();
        Cluster {
            name: self.name,
            nodes: names(self.nodes),
            witnesses: names(self.witnesses),
            key_file: keys.current.value,
            old_key_file: keys.old.map(|old| old.value),
        }
    }

    /// Nodes and witnesses.
    fn all(&self) -> impl Iterator<Item = &At<String>> {
        self.nodes.value.iter().chain(&self.witnesses.value)
    }

    /// Whether this one only votes.
    pub(super) fn is_witness(&self, name: &str) -> bool {
        self.witnesses.value.iter().any(|w| w.value == name)
    }
}

/// Where the keys are, with the places where that is said.
pub(super) struct KeyFiles {
    table: Span,
    pub(super) current: At<PathBuf>,
    pub(super) old: Option<At<PathBuf>>,
}

impl KeyFiles {
    pub(super) fn read(section: &Section<'_>, out: &mut Problems) -> Checked<Self> {
        let current = section.text("key-file", out);
        let current = section.or(current, KEY_FILE);
        let current = current.and_then(|path| key_file("key-file", path, out));
        let old = match section.text("old-key-file", out) {
            Ok(Some(path)) => key_file("old-key-file", path, out).map(Some),
            Ok(None) => Ok(None),
            Err(reported) => Err(reported),
        };
        Ok(KeyFiles {
            table: section.at.clone(),
            current: current?,
            old: old?,
        })
    }

    /// Whether the file names it, or it is where keys are by default.
    pub(super) fn is_written(&self, file: &At<PathBuf>) -> bool {
        file.span != self.table
    }
}

/// An absolute path that can be shown to a person, who will type it.
fn key_file(key: &str, path: At<&str>, out: &mut Problems) -> Checked<At<PathBuf>> {
    if path.value.contains(char::is_control) {
        let message = format!("`{key}` has a control character in it");
        return Err(out.error(path.span, message));
    }
    absolute(key, path, out).map(|path| path.map(PathBuf::from))
}

fn read_nodes(section: &Section<'_>, out: &mut Problems) -> Checked<At<Vec<At<String>>>> {
    let texts = section.texts("nodes", out);
    let texts = section.need("nodes", texts, out)?;
    if !(1..=MOST_NODES).contains(&texts.value.len()) {
        let message = format!("a cluster has 1 to {MOST_NODES} nodes");
        return Err(out.error(texts.span, message));
    }
    names(texts, out)
}

fn read_witnesses(section: &Section<'_>, out: &mut Problems) -> Checked<At<Vec<At<String>>>> {
    let texts = section.texts("witnesses", out);
    names(section.or(texts, Vec::new())?, out)
}

fn names(texts: At<Vec<Checked<At<&str>>>>, out: &mut Problems) -> Checked<At<Vec<At<String>>>> {
    let named = |text: Checked<At<&str>>| text.and_then(|text| values::name(text, out));
    let names: Vec<Checked<At<String>>> = texts.value.into_iter().map(named).collect();
    let span = texts.span;
    if names.iter().any(Result::is_err) {
        // Here, since nobody sees the list any more.
        check_unique(names.iter().flatten(), out)?;
    }
    let value = names.into_iter().collect::<Checked<_>>()?;
    Ok(At { value, span })
}

fn check_total(
    nodes: &At<Vec<At<String>>>,
    witnesses: &At<Vec<At<String>>>,
    out: &mut Problems,
) -> Checked<()> {
    let total = nodes.value.len() + witnesses.value.len();
    if total <= MOST_NODES {
        return Ok(());
    }
    let message = format!("a cluster has at most {MOST_NODES} nodes and witnesses, not {total}");
    let problem = Problem::error(witnesses.span.clone(), message);
    Err(out.push(problem.relate(nodes.span.clone(), "the nodes")))
}

fn check_unique<'n>(
    names: impl Iterator<Item = &'n At<String>>,
    out: &mut Problems,
) -> Checked<()> {
    let mut seen = HashMap::new();
    let mut all = Ok(());
    for name in names {
        if let Some(first) = seen.insert(name.value.as_str(), &name.span) {
            let message = format!("node `{}` is listed twice", name.value);
            let problem = Problem::error(name.span.clone(), message);
            all = Err(out.push(problem.relate(first.clone(), "first here")));
        }
    }
    all
}

/// `[node]`, with this host's name where the file has none.
pub(super) fn read_node(
    section: &Section<'_>,
    members: Option<&Members>,
    hostname: &str,
    out: &mut Problems,
) -> Checked<Node> {
    let name = node_name(section, hostname, out);
    let name = name.and_then(|name| is_member(name, members, section, out));
    let runtime_dir = directory(section, "runtime-dir", "/run/floatlock", out);
    let state_dir = directory(section, "state-dir", "/var/lib/floatlock", out);
    let realtime = section.boolean("realtime", out);
    let runtime_dir = runtime_dir.and_then(|dir| has_room_for_socket(dir, out));
    Ok(Node {
        name: name?.value,
        runtime_dir: runtime_dir?.value.into(),
        state_dir: PathBuf::from(state_dir?.value),
        realtime: section.or(realtime, true)?.value,
    })
}

fn node_name(section: &Section<'_>, hostname: &str, out: &mut Problems) -> Checked<At<String>> {
    if let Some(text) = section.text("name", out)? {
        return values::name(text, out);
    }
    let span = section.at.clone();
    if values::is_name(hostname) {
        let value = hostname.to_owned();
        return Ok(At { value, span });
    }
    let message = format!(
        "the host name {} cannot be this node's name",
        quoted(hostname)
    );
    Err(out.push(Problem::absent(span, message).advise("set `name` in [node]")))
}

fn is_member(
    name: At<String>,
    members: Option<&Members>,
    node: &Section<'_>,
    out: &mut Problems,
) -> Checked<At<String>> {
    let Some(members) = members else {
        return Ok(name);
    };
    if members.all().any(|node| node.value == name.value) {
        return Ok(name);
    }
    let nodes = &members.nodes;
    let lists = match members.witnesses.value.is_empty() {
        true => "is not in `cluster.nodes`",
        false => "is neither in `cluster.nodes` nor in `cluster.witnesses`",
    };
    let named_in_file = name.span != node.at;
    let from = if named_in_file {
        ""
    } else {
        " by its host name"
    };
    let message = format!("this node, `{}`{from}, {lists}", name.value);
    let problem = match named_in_file {
        true => Problem::error(name.span, message).relate(nodes.span.clone(), "the nodes"),
        false => Problem::error(nodes.span.clone(), message),
    };
    let advice = match without_domain(&name.value, members) {
        Some(short) => format!("write `name = \"{short}\"` in [node]"),
        None => "set `name` in [node] to one of these, or add this node to them".to_owned(),
    };
    Err(out.push(problem.advise(advice)))
}

/// The node that a full host name means.
fn without_domain<'n>(name: &'n str, members: &Members) -> Option<&'n str> {
    let (short, _) = name.split_once('.')?;
    members
        .all()
        .any(|node| node.value == short)
        .then_some(short)
}

fn directory<'t>(
    section: &Section<'t>,
    key: &str,
    default: &'static str,
    out: &mut Problems,
) -> Checked<At<&'t str>> {
    let read = section.text(key, out);
    let path = section.or(read, default)?;
    absolute(key, path, out)
}

fn absolute<'t>(key: &str, path: At<&'t str>, out: &mut Problems) -> Checked<At<&'t str>> {
    if path.value.starts_with('/') && !path.value.contains('\0') {
        return Ok(path);
    }
    let message = format!("`{key}` is not an absolute path");
    let advice = "write a path that starts with `/`";
    Err(out.push(Problem::error(path.span, message).advise(advice)))
}

fn has_room_for_socket<'t>(dir: At<&'t str>, out: &mut Problems) -> Checked<At<&'t str>> {
    if dir.value.len() <= RUNTIME_DIR_LONGEST {
        return Ok(dir);
    }
    let message = format!("`runtime-dir` is longer than {RUNTIME_DIR_LONGEST} bytes");
    let advice = "the path of the socket in it must fit 107 bytes";
    Err(out.push(Problem::error(dir.span, message).advise(advice)))
}
