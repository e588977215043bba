//! Is what an agent writes down what its core decided, and all of it?

use floatlock::core::record::{Line, Replay, What};
use floatlock::lab::Host;
use serde_json::Value;

use crate::agent::Agent;
use crate::config::{Config, Group};
use crate::site::{NODES, Site};

const FILE: &str = "/run/lab/recording.jsonl";

fn start(host: &Host, node: &str, priority: u8) -> Agent {
    let config = Config::new(node, &[Group::web(priority)]);
    Agent::start_as(host, &config, |command| {
        command.args(["--record", FILE]);
    })
}

fn lines(host: &Host) -> Vec<Line<Value>> {
    let text = host.sh(&format!("cat {FILE}")).unwrap();
    let line = |line| serde_json::from_str(line).unwrap();
    text.lines().map(line).collect()
}

#[test]
fn a_takeover_is_recorded_and_a_replay_decides_the_same() {
    let site = Site::new();
    let a = start(&site.hosts[0], NODES[0], 150);
    a.becomes("MASTER");
    let b = start(&site.hosts[1], NODES[1], 100);
    b.hears_a_master();
    a.stop();
    b.becomes("MASTER");
    b.stop();
    for host in &site.hosts {
        let (mut replay, all) = (Replay::default(), lines(host));
        assert!(all.len() > 4, "{all:?}");
        for line in &all {
            assert!(!matches!(line.what, What::Lost(_)), "{line:?}");
            let said = replay.play(line.group, line.at, line.what).unwrap();
            let said: Vec<Value> = said
                .iter()
                .map(|effect| serde_json::to_value(effect).unwrap())
                .collect();
            assert_eq!(said, line.effects, "{:?}", line.what);
        }
        let text = format!("{:?}", all.last().unwrap());
        assert!(text.contains("Stopped"), "the last line is the end: {text}");
    }
}
