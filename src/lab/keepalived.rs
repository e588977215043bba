//! How is keepalived told the same as our agent, and started so that all of it ends with the lab?

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use ipnet::IpNet;

use super::agent::{GroupSetup, Setup};
use super::{Host, LabError, Process, tool};
use crate::core::election::Version;

/// The text of `keepalived.conf`.
pub(super) fn config(setup: &Setup) -> String {
    let mut text = format!("global_defs {{\n    router_id {}\n}}\n", setup.node);
    for group in &setup.groups {
        for v4 in [true, false] {
            text += &instance(group, v4).unwrap_or_default();
        }
    }
    text
}

/// Starts it: in the foreground, VRRP only, logging to its output.
pub(super) fn start(host: &Host, config: &str) -> Result<Process, LabError> {
    let program = tool::find("keepalived").ok_or_else(|| LabError::Tool {
        program: "keepalived".to_owned(),
        package: "keepalived",
        source: std::io::ErrorKind::NotFound.into(),
    })?;
    let file = host.write("keepalived.conf", config)?;
    let mut command = Command::new(program);
    command.args(["--dont-fork", "--log-console", "--log-detail", "--vrrp"]);
    // The host's /run is its own: the usual files do not collide.
    command.args([
        "--pid",
        "/run/keepalived.pid",
        "--vrrp_pid",
        "/run/keepalived_vrrp.pid",
    ]);
    command.arg("--use-file").arg(file);
    host.spawn(command)
}

/// The virtual router of one family; none where the group has no address of it.
fn instance(group: &GroupSetup, v4: bool) -> Option<String> {
    let of_family = |nets: &[IpNet]| -> Vec<String> {
        let nets = nets.iter().filter(|net| net.addr().is_ipv4() == v4);
        nets.map(|net| format!("{net} dev {}", group.interface))
            .collect()
    };
    let addresses = of_family(&group.addresses);
    if addresses.is_empty() {
        return None;
    }
    let mut lines = vec![
        "state BACKUP".to_owned(),
        format!("interface {}", group.interface),
        format!("virtual_router_id {}", group.id),
        format!("priority {}", group.priority),
        format!("advert_int {}", seconds(group.interval)),
        format!(
            "version {}",
            if group.version == Version::V2 { 2 } else { 3 }
        ),
    ];
    if !group.preempt {
        lines.push("nopreempt".to_owned());
    }
    if let Some(word) = &group.auth_pass {
        lines.push(format!(
            "authentication {{\n        auth_type PASS\n        auth_pass {word}\n    }}"
        ));
    }
    lines.extend(unicast(group, v4));
    lines.push(block("virtual_ipaddress", &addresses));
    let excluded = of_family(&group.unadvertised);
    lines.extend((!excluded.is_empty()).then(|| block("virtual_ipaddress_excluded", &excluded)));
    let name = format!("{}{}", group.name, if v4 { "" } else { "-v6" });
    Some(format!(
        "\nvrrp_instance {name} {{\n    {}\n}}\n",
        lines.join("\n    ")
    ))
}

fn unicast(group: &GroupSetup, v4: bool) -> Vec<String> {
    let of_family = |addresses: &[IpAddr]| -> Vec<String> {
        let addresses = addresses.iter().filter(|address| address.is_ipv4() == v4);
        addresses.map(IpAddr::to_string).collect()
    };
    let peers = of_family(&group.peers);
    let mut lines = Vec::new();
    if let Some(source) = of_family(&group.source).first() {
        let keyword = if peers.is_empty() {
            "mcast_src_ip"
        } else {
            "unicast_src_ip"
        };
        lines.push(format!("{keyword} {source}"));
    }
    lines.extend((!peers.is_empty()).then(|| block("unicast_peer", &peers)));
    lines
}

fn block(name: &str, entries: &[String]) -> String {
    format!("{name} {{\n        {}\n    }}", entries.join("\n        "))
}

/// Whole seconds without a point, as VRRPv2 wants them.
fn seconds(interval: Duration) -> String {
    match interval.subsec_millis() {
        0 => interval.as_secs().to_string(),
        millis => format!("{}.{millis:03}", interval.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_both_families_is_two_instances() {
        let addresses = ["10.77.0.100/24", "fd77::100/64"].map(|net| net.parse().unwrap());
        let mut group = GroupSetup::new(150, &addresses);
        group.preempt = false;
        group.peers = vec!["10.77.0.2".parse().unwrap()];
        let setup = Setup {
            node: "lb-a".to_owned(),
            nodes: Vec::new(),
            groups: vec![group],
        };
        let expected = "\
global_defs {
    router_id lb-a
}

vrrp_instance web {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 0.200
    version 3
    nopreempt
    unicast_peer {
        10.77.0.2
    }
    virtual_ipaddress {
        10.77.0.100/24 dev eth0
    }
}

vrrp_instance web-v6 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 0.200
    version 3
    nopreempt
    virtual_ipaddress {
        fd77::100/64 dev eth0
    }
}
";
        assert_eq!(config(&setup), expected);
    }

    #[test]
    fn seconds_have_a_point_only_where_they_need_one() {
        let texts = [1000, 100, 1500].map(|ms| seconds(Duration::from_millis(ms)));
        assert_eq!(texts, ["1", "0.100", "1.500"]);
    }
}
