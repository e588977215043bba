//! Can the key be changed while the cluster serves, and what does a wrong one do?

use crate::agent::Agent;
use crate::config::{Config, Group};
use crate::site::{NODES, Site, has, write_key};

const VIP: &str = "10.77.0.100";

/// Signs with the one and accepts the other too.
fn config(number: usize, sign: &str, accept: Option<&str>) -> Config {
    let groups = [Group::web([150, 100][number])];
    let config = Config::new(NODES[number], &groups)
        .heartbeat("interval = \"100ms\"\nmisses = 5\n")
        .cluster(&format!("key-file = \"/run/lab/{sign}.key\""));
    match accept {
        Some(accept) => config.cluster(&format!("old-key-file = \"/run/lab/{accept}.key\"")),
        None => config,
    }
}

fn counter(agent: &Agent, name: &str) -> u64 {
    let cluster = agent.status().cluster.expect("a cluster");
    cluster.paths[0].counters.get(name).copied().unwrap_or(0)
}

fn received(agent: &Agent) -> u64 {
    agent.status().cluster.expect("a cluster").paths[0].received
}

fn await_more(agent: &Agent, what: &str, count: impl Fn(&Agent) -> u64) {
    let before = count(agent);
    agent.group_until("web", what, |_| count(agent) > before + 3);
}

#[test]
fn a_key_is_changed_in_three_rounds_without_a_change_of_role() {
    let site = Site::keyed();
    for host in &site.hosts {
        write_key(host, "new", 9);
    }
    let [a, b] = site.native_pair();
    let marks = [a.mark(), b.mark()];
    let rounds = [
        ("cluster", Some("new")),
        ("new", Some("cluster")),
        ("new", None),
    ];
    for (sign, accept) in rounds {
        for (number, agent) in [&a, &b].into_iter().enumerate() {
            agent.reload(&config(number, sign, accept));
            // In the middle of a round they understand each other too.
            await_more(&a, "heard from b", received);
            await_more(&b, "heard from a", received);
        }
    }
    for agent in [&a, &b] {
        assert_eq!((counter(agent, "mac"), counter(agent, "key_id")), (0, 0));
        assert!(counter(agent, "old_key") > 0);
    }
    a.demand_no_change_since(marks[0]);
    b.demand_no_change_since(marks[1]);
    assert!(!a.group("web").alone && b.group("web").ready);
}

#[test]
fn a_wrong_key_is_counted_and_alarms_and_demotes_nobody() {
    let site = Site::keyed();
    let [a, b] = site.native_pair();
    let mark = a.mark();
    write_key(&b.host, "new", 9);
    b.reload(&config(1, "new", None));
    a.said("fail authentication");
    b.said("fail authentication");
    await_more(&a, "frames of another key", |agent| {
        counter(agent, "key_id")
    });
    await_more(&b, "frames of another key", |agent| {
        counter(agent, "key_id")
    });
    a.group_until("web", "alone", |web| web.alone);
    a.demand_no_change_since(mark);
    assert!(has(&a.host, VIP));
    b.reload(&config(1, "cluster", None));
    a.group_until("web", "acknowledged again", |web| !web.alone);
    a.demand_no_change_since(mark);
}

/// Nobody has ever proved who that is: it is said, and nothing follows from it.
#[test]
fn a_wrong_key_from_the_first_start_is_said_and_decides_nothing() {
    let site = Site::keyed();
    for host in &site.hosts {
        write_key(host, "new", 9);
    }
    let a = site.start_with(0, &config(0, "cluster", None));
    a.becomes("MASTER");
    let mark = a.mark();
    let b = site.start_with(1, &config(1, "new", None));
    for (agent, peer) in [(&a, "10.77.0.2"), (&b, "10.77.0.1")] {
        let said = agent.said(&format!("{peer} on eth0 says that it is of this cluster"));
        assert!(said.contains("key-file"), "{said}");
        await_more(agent, "frames of another key", |agent| {
            counter(agent, "key_id")
        });
        // Not for each of them.
        assert_eq!(agent.count("says that it is of this cluster"), 1);
        assert_eq!(agent.count("fail authentication"), 0);
    }
    a.demand_no_change_since(mark);
    assert!(has(&a.host, VIP));
}
