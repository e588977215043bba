//! What is the agent of a test told? The text of its file, with the keys that matter to the test.

use std::fmt::Write as _;
use std::time::Duration;

/// A BACKUP that hears nothing for longer than this, five intervals, stands. Adverts come often,
/// so that tests are short, but a machine with other work may lose its breath for a while.
pub(crate) const SILENCE: Duration = Duration::from_millis(500);

/// A configuration of one node.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    node: String,
    name: String,
    nodes: Vec<String>,
    /// Other lines under `[cluster]`.
    cluster: String,
    /// What follows `[heartbeat]`, and the tables after it.
    heartbeat: String,
    groups: Vec<Group>,
}

impl Config {
    /// VRRPv3 every 100 ms, five of which may be missing, for the nodes of a pair.
    pub(crate) fn new(node: &str, groups: &[Group]) -> Self {
        Self {
            node: node.to_owned(),
            name: "lab".to_owned(),
            nodes: vec!["lb-a".to_owned(), "lb-b".to_owned()],
            cluster: String::new(),
            heartbeat: "protocol = \"vrrp3\"\ninterval = \"100ms\"\nmisses = 5\n".to_owned(),
            groups: groups.to_vec(),
        }
    }

    /// The native heartbeat every 100 ms, with leases of 500 ms, and the key that
    /// [`crate::site::Site::keyed`] has given to every host.
    pub(crate) fn native(node: &str, groups: &[Group]) -> Self {
        let config = Self::new(node, groups).heartbeat("interval = \"100ms\"\nmisses = 5\n");
        config.cluster("key-file = \"/run/lab/cluster.key\"")
    }

    /// Another line under `[cluster]`.
    pub(crate) fn cluster(mut self, line: &str) -> Self {
        let _ = writeln!(self.cluster, "{line}");
        self
    }

    /// Of the cluster; the others know it as `lab`.
    #[allow(dead_code, reason = "not by all who share this file")]
    pub(crate) fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    pub(crate) fn nodes(mut self, nodes: &[&str]) -> Self {
        self.nodes = nodes.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// Other lines under `[heartbeat]`, and tables after it.
    pub(crate) fn heartbeat(mut self, text: &str) -> Self {
        text.clone_into(&mut self.heartbeat);
        self
    }

    /// A redundant line, or how to speak on a group's own interface.
    pub(crate) fn path(mut self, lines: &str) -> Self {
        let _ = write!(self.heartbeat, "\n[[heartbeat.path]]\n{lines}\n");
        self
    }

    /// Lines under `[fencing]`.
    #[allow(dead_code, reason = "not by all who share this file")]
    pub(crate) fn fencing(mut self, lines: &str) -> Self {
        let _ = write!(self.heartbeat, "\n[fencing]\n{lines}");
        self
    }

    pub(crate) fn text(&self) -> String {
        let Self {
            node,
            name,
            nodes,
            cluster,
            heartbeat,
            groups,
        } = self;
        let groups: Vec<String> = groups.iter().map(Group::text).collect();
        format!(
            "[cluster]\nname = {name:?}\nnodes = {nodes:?}\n{cluster}\n\
             [node]\nname = \"{node}\"\nruntime-dir = \"/run/floatlock\"\n\
             state-dir = \"/run/lab/state\"\n\n\
             [heartbeat]\n{heartbeat}\n{}",
            groups.concat()
        )
    }
}

/// One `[[group]]`.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    keys: Vec<(String, String)>,
    tables: String,
}

impl Group {
    /// Group `web`, id 51, with 10.77.0.100 on eth0.
    pub(crate) fn web(priority: u8) -> Self {
        Self {
            keys: Vec::new(),
            tables: String::new(),
        }
        .key("name", "\"web\"")
        .key("id", "51")
        .key("priority", &priority.to_string())
        .key("interface", "\"eth0\"")
        .addresses(&["10.77.0.100/24"])
    }

    pub(crate) fn named(self, name: &str, id: u8) -> Self {
        self.key("name", &format!("{name:?}"))
            .key("id", &id.to_string())
    }

    pub(crate) fn addresses<T: std::fmt::Debug>(self, addresses: &[T]) -> Self {
        self.key("addresses", &format!("{addresses:?}"))
    }

    /// Says a key, or says it differently.
    pub(crate) fn key(mut self, key: &str, value: &str) -> Self {
        self.keys.retain(|(name, _)| name != key);
        self.keys.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Adds a table of the group, `vrrp` for `[group.vrrp]`.
    pub(crate) fn table(mut self, name: &str, lines: &str) -> Self {
        let _ = write!(self.tables, "\n[group.{name}]\n{lines}\n");
        self
    }

    /// Adds a `[[group.action]]`.
    #[allow(dead_code, reason = "not by all who share this file")]
    pub(crate) fn action(mut self, on: &str, run: &str, lines: &str) -> Self {
        let _ = write!(
            self.tables,
            "\n[[group.action]]\non = {on:?}\nrun = [{run:?}]\n{lines}\n"
        );
        self
    }

    fn text(&self) -> String {
        let keys = self.keys.iter();
        let keys: String = keys
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        format!("\n[[group]]\n{keys}{}", self.tables)
    }
}
