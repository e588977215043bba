//! How do two agents of the native protocol agree, and do they move the addresses as they are told?

use floatlock::control::cluster::WayState;
use floatlock::core::Instant;
use floatlock::lab::{Traffic, clock};

use crate::agent::{Agent, Ran, floatlock};
use crate::config::{Config, Group};
use crate::site::{SOON, Site, answers, await_address, has};

const VIP: &str = "10.77.0.100";
const DIR: [&str; 2] = ["--runtime-dir", "/run/floatlock"];

fn ask(agent: &Agent, arguments: &[&str]) -> Ran {
    floatlock(&agent.host, &[arguments, &DIR].concat())
}

fn demand(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{}", ran.output);
    for word in words {
        assert!(ran.output.contains(word), "{word:?}:\n{}", ran.output);
    }
}

/// Waits until the MASTER knows whom it could hand over to.
fn could_hand_over_to(agent: &Agent, other: Option<&str>) {
    agent.group_until("web", "a successor, or none", |web| {
        web.successor.as_deref() == other
    });
}

#[test]
fn a_pair_elects_one_and_a_switchover_goes_there_and_back() {
    let site = Site::keyed();
    let watch = site.watch_all(&[VIP], &[&site.hosts[0], &site.hosts[1]]);
    let [a, b] = site.native_pair();
    assert_eq!(
        a.roles("web"),
        ["BACKUP", "CANDIDATE", "MASTER"],
        "{}",
        a.log()
    );
    a.said("cluster lab: 2 node(s), 0 witness(es): two nodes vote");
    answers(&watch, "lb-a", VIP, Instant::default());
    let asked = clock::now();
    let ran = ask(&a, &["switchover", "web", "--json"]);
    demand(
        &ran,
        0,
        &["\"group\":\"web\"", "\"to\":\"lb-b\"", "\"took_ms\":"],
    );
    assert!(has(&b.host, VIP), "it returned when the other one held");
    answers(&watch, "lb-b", VIP, asked);
    await_address(&a.host, VIP, false);
    // The better node does not ask back what an operator moved away.
    could_hand_over_to(&b, Some("lb-a"));
    let mark = b.mark();
    let ran = ask(&b, &["switchover", "web", "--to", "lb-a"]);
    demand(&ran, 0, &["web: lb-a holds the addresses, after "]);
    assert!(has(&a.host, VIP));
    let away = b.changes().into_iter().nth(mark).unwrap();
    assert_eq!(away.cause, "an operator moved the addresses to lb-a");
    let seen = watch.stop();
    let gap = seen.longest_gap(VIP.parse().unwrap(), asked, clock::now());
    let gap = gap.expect("it was asked").length();
    assert!(gap < SOON / 4, "{gap:?}");
}

#[test]
fn a_switchover_that_cannot_be_is_refused_and_changes_nothing() {
    let site = Site::keyed();
    let [a, b] = site.native_pair();
    let (mark_a, mark_b) = (a.mark(), b.mark());
    demand(
        &ask(&a, &["switchover", "mail"]),
        1,
        &["the agent runs no group mail; it runs: web"],
    );
    demand(
        &ask(&a, &["switchover", "web", "--to", "lb-z"]),
        1,
        &["lb-z is no node that may hold; the other nodes are: lb-b"],
    );
    demand(
        &ask(&a, &["switchover", "web", "--to", "lb-a"]),
        1,
        &["lb-a is this node; the other nodes are: lb-b"],
    );
    demand(
        &ask(&b, &["switchover", "web"]),
        1,
        &["this node is BACKUP", "lb-a holds web: do it there"],
    );
    a.demand_no_change_since(mark_a);
    b.demand_no_change_since(mark_b);
    b.stop();
    could_hand_over_to(&a, None);
    for arguments in [
        &["switchover", "web"][..],
        &["switchover", "web", "--to", "lb-b"],
    ] {
        demand(
            &ask(&a, arguments),
            1,
            &[
                "web stays where it is",
                "--force gives the addresses up all the same",
            ],
        );
    }
    demand(
        &ask(&a, &["maintenance", "on"]),
        1,
        &["web stays where it is: no other node could take over at once"],
    );
    demand(&ask(&a, &["maintenance"]), 0, &["in service"]);
    a.demand_no_change_since(mark_a);
    assert!(has(&a.host, VIP));
    // By force it goes, and comes back to whoever is there.
    demand(
        &ask(&a, &["switchover", "web", "--force"]),
        1,
        &["nobody has taken the addresses"],
    );
    a.becomes_after(mark_a, "web", "RELEASING");
    a.becomes_after(mark_a + 2, "web", "MASTER");
    a.stop();
    let ran = ask(&a, &["switchover", "web"]);
    assert_eq!(ran.code, 3, "{ran:?}");
}

#[test]
fn under_vrrp_a_switchover_needs_force() {
    let site = Site::new();
    let [a, b] = site.pair(Group::web);
    let mark = a.mark();
    demand(
        &ask(&a, &["switchover", "web"]),
        1,
        &["under VRRP a BACKUP says nothing", "--force"],
    );
    a.demand_no_change_since(mark);
    demand(
        &ask(&a, &["switchover", "web", "--force"]),
        0,
        &["web: 10.77.0.2 holds the addresses, after "],
    );
    b.becomes("MASTER");
    assert!(has(&b.host, VIP) && !has(&a.host, VIP));
}

#[test]
fn status_shows_the_votes_and_the_ways_to_the_other_node() {
    let site = Site::keyed();
    let [a, b] = site.native_pair();
    let status = b.status();
    let cluster = status.cluster.as_ref().expect("a cluster");
    assert_eq!((cluster.name.as_str(), cluster.exclusive), ("lab", false));
    assert!(
        cluster.not_survived.contains("are not exclusive"),
        "{cluster:?}"
    );
    let peer = &cluster.peers[0];
    assert_eq!((peer.node.as_str(), peer.heard), ("lb-a", true));
    assert_eq!(peer.paths[0].state, WayState::Both, "{peer:?}");
    assert!(cluster.paths[0].sent > 0 && cluster.paths[0].received > 0);
    let web = a.group_until("web", "the same epoch", |web| {
        web.epoch == b.group("web").epoch && web.epoch > Some(0)
    });
    assert_eq!(web.holder.as_deref(), Some("lb-a"));
    assert!(!web.alone && !web.maintenance);
    b.group_until("web", "a promise", |web| web.promised_ms.is_some());
    let text = b.status().text();
    for words in [
        "cluster lab: NOT exclusive; not survived: ",
        "  peer lb-a: heard; eth0 ipv4 both ways",
        "  lb-a holds, epoch ",
        ", ready to take over",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    let text = a.status().text();
    assert!(text.contains("unless the votes renew it"), "{text}");
}

#[test]
fn a_line_that_carries_one_way_is_told_once_and_again_when_it_is_whole() {
    let site = Site::keyed();
    let second = site.second_lan();
    let [a, b] = site.native_pair_of(|node, priority| {
        Config::native(node, &[Group::web(priority)])
            .path("interface = \"eth0\"")
            .path("interface = \"eth1\"")
    });
    let (mark_a, mark_b) = (a.mark(), b.mark());
    second
        .drop_one_way(&a.host, &b.host, Traffic::Vrrp)
        .unwrap();
    a.said("eth1 ipv4: one way: lb-b does not hear this node");
    b.said("eth1 ipv4: one way: lb-a is not heard by this node");
    let way = |agent: &Agent| agent.status().cluster.unwrap().peers[0].paths[1].state;
    assert_eq!((way(&a), way(&b)), (WayState::OnlyIn, WayState::OnlyOut));
    second.drop_nothing().unwrap();
    a.said("eth1 ipv4: the line to lb-b carries both ways again");
    b.said("eth1 ipv4: the line to lb-a carries both ways again");
    assert_eq!(a.count("one way"), 1, "{}", a.log());
    assert_eq!(a.count("carries both ways"), 1, "{}", a.log());
    a.demand_no_change_since(mark_a);
    b.demand_no_change_since(mark_b);
}

/// `lb-b` was told something else: the MASTER goes on, nobody is promoted, both say why.
fn demand_conflict(field: &str, other: impl Fn(Config, Group) -> Config) {
    demand_conflict_of("lb-b", field, other);
}

/// The second agent has this name.
fn demand_conflict_of(node: &str, field: &str, other: impl Fn(Config, Group) -> Config) {
    let site = Site::keyed();
    let a = site.start_with(0, &Config::native("lb-a", &[Group::web(150)]));
    a.becomes("MASTER");
    let mark = a.mark();
    let group = Group::web(100);
    let told = other(Config::native(node, std::slice::from_ref(&group)), group);
    let b = site.start_with(1, &told);
    a.said(&format!("with another {field}"));
    b.said(&format!("with another {field}"));
    b.becomes("BACKUP");
    let mark_b = b.mark();
    // Nothing can be moved there.
    demand(
        &ask(&a, &["switchover", "web"]),
        1,
        &["no other node could take over at once"],
    );
    a.demand_no_change_since(mark);
    b.demand_no_change_since(mark_b);
    assert!(has(&a.host, VIP) && !has(&b.host, VIP));
}

#[test]
fn other_addresses_are_a_conflict() {
    demand_conflict("list of addresses", |_, group| {
        Config::native(
            "lb-b",
            &[group.addresses(&["10.77.0.100/24", "10.77.0.101/24"])],
        )
    });
}

#[test]
fn another_interval_is_a_conflict() {
    demand_conflict("interval or number of misses", |config, _| {
        config.heartbeat("interval = \"120ms\"\nmisses = 5\n")
    });
}

/// Or the one without would go on where the other one falls silent.
#[test]
fn a_reference_on_one_side_only_is_a_conflict() {
    demand_conflict(
        "list of nodes and witnesses, disk or reference",
        |config, _| config.fencing("reference = [\"10.77.0.9\"]\n"),
    );
}

#[test]
fn another_list_of_nodes_is_a_conflict() {
    demand_conflict("list of nodes and witnesses", |config, _| {
        config.nodes(&["lb-a", "lb-b", "lb-c"])
    });
}

#[test]
fn another_name_of_the_cluster_is_a_conflict() {
    demand_conflict("name of the cluster", |config, _| config.name("lap"));
}

#[test]
fn a_node_that_the_other_one_does_not_know_is_a_conflict() {
    demand_conflict_of("lb-x", "list of nodes and witnesses", |config, _| {
        config.nodes(&["lb-a", "lb-x"])
    });
}

#[test]
fn two_nodes_of_one_name_are_a_conflict() {
    demand_conflict_of("lb-a", "host under this node's name", |config, _| config);
}

#[test]
fn another_id_of_a_group_is_a_conflict() {
    demand_conflict("list of groups and ids", |_, group| {
        Config::native("lb-b", &[group.key("id", "52")])
    });
}
