//! Can there be two agents on one host?

use std::process::Command;

use crate::agent::{floatlock, run};
use crate::config::Group;
use crate::site::{Site, has};

const VIP: &str = "10.77.0.100";

#[test]
fn a_second_agent_in_the_same_namespace_refuses_to_start() {
    let site = Site::new();
    let a = site.start(0, Group::web(150));
    a.becomes("MASTER");
    let mark = a.mark();
    // Another file and another directory do not make another host.
    let other = "sed s,/run/floatlock,/run/other, /run/lab/floatlock.toml > /run/lab/other.toml";
    a.host.sh(other).unwrap();
    let ran = floatlock(&a.host, &["run", "-c", "/run/lab/other.toml"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.output
            .contains("another agent runs in this network namespace: process"),
        "{ran:?}"
    );
    a.demand_no_change_since(mark);
    assert!(has(&a.host, VIP));
    a.shows("MASTER");
}

#[test]
fn release_refuses_while_an_agent_runs() {
    let site = Site::new();
    let a = site.start(0, Group::web(150));
    a.becomes("MASTER");
    let mark = a.mark();
    let ran = floatlock(&a.host, &["release", "-c", "/run/lab/floatlock.toml"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.output.contains("another agent runs"), "{ran:?}");
    assert!(ran.output.contains("stop the agent instead"), "{ran:?}");
    a.demand_no_change_since(mark);
    assert!(has(&a.host, VIP));
}

#[test]
fn an_agent_on_another_host_of_the_machine_is_none_of_its_business() {
    let site = Site::new();
    let [a, b] = site.pair(Group::web);
    assert!(a.is_running() && b.is_running());
    let mut list = Command::new("ls");
    list.arg("/run/floatlock/control.sock");
    assert_eq!(run(&b.host, list).code, 0);
}
