//! Which agent keeps the addresses on the hosts? Ours or keepalived, told the same.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ipnet::IpNet;

use super::{Host, LabError, Process, keepalived};
use crate::core::election::Version;

/// Which program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentKind {
    /// This file, started with `run -c`.
    Floatlock(PathBuf),
    /// The one that is installed.
    Keepalived,
}

/// What the agent of one node is told.
#[derive(Clone, Debug)]
pub struct Setup {
    /// This node.
    pub node: String,
    /// All nodes; none: the file does not say which there are.
    pub nodes: Vec<String>,
    /// At least one.
    pub groups: Vec<GroupSetup>,
}

/// What the agent is told of one group; keepalived makes a virtual router of each family in it.
#[derive(Clone, Debug)]
pub struct GroupSetup {
    /// Its name.
    pub name: String,
    /// The VRID.
    pub id: u8,
    /// 1 to 255.
    pub priority: u8,
    /// The service interface.
    pub interface: String,
    /// Addresses that are advertised.
    pub addresses: Vec<IpNet>,
    /// Addresses that move along.
    pub unadvertised: Vec<IpNet>,
    /// On the wire.
    pub version: Version,
    /// Between two adverts.
    pub interval: Duration,
    /// Whether the better node takes over from a living MASTER.
    pub preempt: bool,
    /// Unicast peers; none: multicast.
    pub peers: Vec<IpAddr>,
    /// The addresses to send from; none: the agent chooses.
    pub source: Vec<IpAddr>,
    /// VRRPv2 plain-text authentication.
    pub auth_pass: Option<String>,
}

impl GroupSetup {
    /// VRRPv3 by multicast on `eth0` every 200 ms, the better node takes over.
    #[must_use]
    pub fn new(priority: u8, addresses: &[IpNet]) -> Self {
        Self {
            name: "web".to_owned(),
            id: 51,
            priority,
            interface: "eth0".to_owned(),
            addresses: addresses.to_vec(),
            unadvertised: Vec::new(),
            version: Version::V3,
            interval: Duration::from_millis(200),
            preempt: true,
            peers: Vec::new(),
            source: Vec::new(),
            auth_pass: None,
        }
    }
}

impl AgentKind {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            AgentKind::Floatlock(_) => "floatlock",
            AgentKind::Keepalived => "keepalived",
        }
    }

    /// The text of its configuration file.
    #[must_use]
    pub fn config(&self, setup: &Setup) -> String {
        match self {
            AgentKind::Floatlock(_) => floatlock_config(setup),
            AgentKind::Keepalived => keepalived::config(setup),
        }
    }

    /// Writes its configuration to the host's disk and starts it there.
    ///
    /// # Errors
    /// [`LabError::Off`], or why it did not start.
    pub fn start(&self, host: &Host, setup: &Setup) -> Result<Process, LabError> {
        self.start_with(host, &self.config(setup))
    }

    /// Like [`AgentKind::start`], with this text as the configuration file.
    ///
    /// # Errors
    /// [`LabError::Off`], or why it did not start.
    pub fn start_with(&self, host: &Host, text: &str) -> Result<Process, LabError> {
        match self {
            AgentKind::Floatlock(program) => {
                let file = host.write("floatlock.toml", text)?;
                let mut command = Command::new(program);
                command.args(["run", "-c"]).arg(file);
                host.spawn(command)
            }
            AgentKind::Keepalived => keepalived::start(host, text),
        }
    }
}

fn floatlock_config(setup: &Setup) -> String {
    let mut text = String::new();
    if !setup.nodes.is_empty() {
        text += &format!("[cluster]\nname = \"lab\"\nnodes = {:?}\n", setup.nodes);
    }
    text += &format!("\n[node]\nname = {:?}\n", setup.node);
    text += "runtime-dir = \"/run/floatlock\"\nstate-dir = \"/run/lab/state\"\n";
    if let Some(first) = setup.groups.first() {
        text += &format!("\n[heartbeat]\n{}", rhythm(first));
    }
    for group in &setup.groups {
        text += &floatlock_group(group);
    }
    text
}

fn floatlock_group(group: &GroupSetup) -> String {
    let list = |nets: &[IpNet]| -> Vec<String> { nets.iter().map(IpNet::to_string).collect() };
    let mut text = format!("\n[[group]]\nname = {:?}\nid = {}\n", group.name, group.id);
    let mut line = |key: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{key} = {value}");
    };
    line("priority", group.priority.to_string());
    line("interface", format!("{:?}", group.interface));
    line("addresses", format!("{:?}", list(&group.addresses)));
    line("preempt", group.preempt.to_string());
    text += &format!("\n[group.heartbeat]\n{}", rhythm(group));
    for (key, addresses) in [("peers", &group.peers), ("source", &group.source)] {
        if !addresses.is_empty() {
            let texts: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
            text += &format!("{key} = {texts:?}\n");
        }
    }
    text + &floatlock_vrrp(group, &list(&group.unadvertised))
}

fn floatlock_vrrp(group: &GroupSetup, unadvertised: &[String]) -> String {
    let mut text = String::new();
    if !unadvertised.is_empty() {
        text += &format!("unadvertised = {unadvertised:?}\n");
    }
    if let Some(word) = &group.auth_pass {
        text += &format!("auth-pass = {word:?}\n");
    }
    if text.is_empty() {
        return text;
    }
    format!("\n[group.vrrp]\n{text}")
}

fn rhythm(group: &GroupSetup) -> String {
    let protocol = match group.version {
        Version::V2 => "vrrp2",
        Version::V3 => "vrrp3",
    };
    let millis = group.interval.as_millis();
    format!("protocol = \"{protocol}\"\ninterval = \"{millis}ms\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_what_the_contract_says() {
        let mut web = GroupSetup::new(150, &["10.77.0.100/24".parse().unwrap()]);
        web.peers = vec![IpAddr::from([10, 77, 0, 2])];
        web.auth_pass = Some("1111".to_owned());
        let setup = Setup {
            node: "lb-a".to_owned(),
            nodes: vec!["lb-a".to_owned(), "lb-b".to_owned()],
            groups: vec![web],
        };
        let text = floatlock_config(&setup);
        let file: toml::Table = text.parse().expect("TOML");
        assert_eq!(file["cluster"]["nodes"][1].as_str(), Some("lb-b"));
        assert_eq!(file["heartbeat"]["interval"].as_str(), Some("200ms"));
        let group = &file["group"][0];
        assert_eq!(group["addresses"][0].as_str(), Some("10.77.0.100/24"));
        assert_eq!(group["heartbeat"]["peers"][0].as_str(), Some("10.77.0.2"));
        assert_eq!(group["vrrp"]["auth-pass"].as_str(), Some("1111"));
    }
}
