//! Which ways do the adverts take? Families, unicast, redundant paths, the same id twice.

use std::net::IpAddr;

use floatlock::control::status::GroupStatus;
use floatlock::core::Instant;
use floatlock::lab::{Traffic, clock};

use crate::agent::Agent;
use crate::config::{Config, Group};
use crate::site::{NODES, Site, adverts, announces, answers, await_address, has};

const VIP: &str = "10.77.0.100";
const VIP6: &str = "fd77::100";

#[test]
fn a_group_with_ipv6_alone_fails_over() {
    let site = Site::new();
    let watch = site.watch(&[VIP6]);
    let [a, b] = site.pair(|p| Group::web(p).addresses(&["fd77::100/64"]));
    answers(&watch, "lb-a", VIP6, Instant::default());
    a.host.power_off().unwrap();
    let lost = clock::now();
    b.becomes("MASTER");
    answers(&watch, "lb-b", VIP6, lost);
    announces(&watch, "lb-b", VIP6, lost);
    let seen = watch.stop();
    let source = |advert: &floatlock::lab::Advert| advert.source;
    // RFC 9568, section 5.1.2.1: from the link-local address.
    let of_ipv6 = |source: IpAddr| matches!(source, IpAddr::V6(s) if s.is_unicast_link_local());
    assert!(seen.adverts.iter().map(source).all(of_ipv6));
}

#[test]
fn both_families_of_a_group_move_together() {
    let site = Site::new();
    let watch = site.watch_all(&[VIP, VIP6], &[&site.hosts[0], &site.hosts[1]]);
    let [a, b] = site.pair(|p| Group::web(p).addresses(&["10.77.0.100/24", "fd77::100/64"]));
    for address in [VIP, VIP6] {
        answers(&watch, "lb-a", address, Instant::default());
    }
    let asked = clock::now();
    a.stop();
    b.becomes("MASTER");
    for address in [VIP, VIP6] {
        answers(&watch, "lb-b", address, asked);
    }
    let seen = watch.stop();
    let of = |host: &'static str| seen.replies.iter().filter(move |r| &*r.from == host);
    let last_of_a = of("lb-a").map(|r| r.at).max();
    let first_of_b = of("lb-b").map(|r| r.at).min();
    assert!(
        last_of_a < first_of_b,
        "neither moved before the other was off"
    );
    let versions = |v4: bool| seen.adverts.iter().any(|a| a.source.is_ipv4() == v4);
    assert!(
        versions(true) && versions(false),
        "one virtual router a family"
    );
}

/// A pair that speaks by unicast; `own` and `other` are the sources.
fn unicast_pair(site: &Site, address: &str, ends: [&str; 2]) -> [Agent; 2] {
    let group = |number: usize, priority| {
        let (own, other) = (ends[number], ends[1 - number]);
        let lines = format!("peers = [\"{other}\"]\nsource = \"{own}\"");
        Group::web(priority)
            .addresses(&[address])
            .table("heartbeat", &lines)
    };
    let a = site.start(0, group(0, 150));
    a.becomes("MASTER");
    let b = site.start(1, group(1, 100));
    b.hears_a_master();
    [a, b]
}

fn unicast_fails_over(address: &str, ends: [&str; 2]) {
    let site = Site::new();
    let vip = address.split('/').next().unwrap();
    let watch = site.watch(&[vip]);
    let [a, b] = unicast_pair(&site, address, ends);
    answers(&watch, "lb-a", vip, Instant::default());
    let path = &b.group("web").paths[0];
    assert_eq!(path.peers, [ends[0].parse::<IpAddr>().unwrap()]);
    assert_eq!(path.last.as_ref().unwrap().address.to_string(), ends[0]);
    assert_eq!(b.roles("web"), ["BACKUP"], "{}", b.log());
    a.host.power_off().unwrap();
    let lost = clock::now();
    b.becomes("MASTER");
    answers(&watch, "lb-b", vip, lost);
}

#[test]
fn unicast_peers_of_ipv4_fail_over() {
    unicast_fails_over("10.77.0.100/24", ["10.77.0.1", "10.77.0.2"]);
}

#[test]
fn unicast_peers_of_ipv6_fail_over() {
    unicast_fails_over("fd77::100/64", ["fd77::1", "fd77::2"]);
}

#[test]
fn a_cut_of_one_path_changes_nothing_while_another_one_lives() {
    let site = Site::new();
    let link = site.second_lan();
    let [a, b] = site.pair_of(|node, priority| {
        Config::new(node, &[Group::web(priority)]).path("interface = \"eth1\"")
    });
    let heard_twice = |group: &GroupStatus| group.paths.iter().all(|path| path.received > 0);
    b.group_until("web", "heard on both paths", |g| {
        g.paths.len() == 2 && heard_twice(g)
    });
    let (mark_a, mark_b) = (a.mark(), b.mark());
    let watch = site.listen();
    for (from, to) in [(&a.host, &b.host), (&b.host, &a.host)] {
        site.lan.drop_one_way(from, to, Traffic::Vrrp).unwrap();
    }
    adverts(&watch, "lb-a", 12);
    a.demand_no_change_since(mark_a);
    b.demand_no_change_since(mark_b);
    // Without the second path either, it is alive all the same: it answers.
    link.cut_silently(&b.host).unwrap();
    b.said("another host answers for an address");
    b.demand_no_change_since(mark_b);
    site.lan.cut_silently(&b.host).unwrap();
    b.becomes_after(mark_b, "web", "MASTER");
    site.lan.heal(&b.host).unwrap();
    link.heal(&b.host).unwrap();
    b.becomes_after(mark_b, "web", "BACKUP");
    a.demand_no_change_since(mark_a);
    await_address(&b.host, VIP, false);
}

#[test]
fn the_same_id_on_two_interfaces_is_two_groups() {
    let site = Site::new();
    let inside = site.second_lan();
    let config = |node: &str, priority| {
        let second = Group::web(priority)
            .key("name", "\"inside\"")
            .key("interface", "\"eth1\"")
            .addresses(&["10.78.0.100/24"]);
        Config::new(node, &[Group::web(priority), second])
    };
    let [a, b] = site.pair_of(config);
    a.becomes_after(0, "inside", "MASTER");
    b.hears_a_master_of("inside");
    let rival = |name: &str| b.group(name).rival.map(|rival| rival.address.to_string());
    assert_eq!(rival("web").as_deref(), Some("10.77.0.1"));
    assert_eq!(rival("inside").as_deref(), Some("10.78.0.1"));
    inside.cut(&a.host).unwrap();
    b.becomes_after(0, "inside", "MASTER");
    a.becomes_after(0, "inside", "FAULT");
    assert_eq!(b.roles("web"), ["BACKUP"], "{}", b.log());
    assert!(has(&a.host, VIP) && !has(&b.host, VIP));
    assert!(has(&b.host, "10.78.0.100") && !has(&a.host, "10.78.0.100"));
}

#[test]
fn an_address_on_another_interface_moves_with_its_group() {
    let site = Site::new();
    let inside = site.second_lan();
    let both = "[\"10.77.0.100/24\", { address = \"10.78.0.100/24\", interface = \"eth1\" }]";
    let [a, b] = site.pair(|priority| Group::web(priority).key("addresses", both));
    let on_eth1 = |agent: &Agent| {
        let wanted = ("eth1".to_owned(), "10.78.0.100/32".parse().unwrap());
        agent.host.addresses().unwrap().contains(&wanted)
    };
    assert!(on_eth1(&a) && !on_eth1(&b));
    // Only the group's own interface decides; the address goes where it belongs all the same.
    inside.cut(&a.host).unwrap();
    let watch = site.listen();
    adverts(&watch, "lb-a", 6);
    assert_eq!(a.roles("web").last().unwrap(), "MASTER");
    site.lan.cut(&a.host).unwrap();
    b.becomes("MASTER");
    assert!(on_eth1(&b));
    a.becomes("FAULT");
    assert!(!on_eth1(&a));
}

#[test]
fn a_node_without_a_source_address_waits_for_it_in_fault() {
    let site = Site::new();
    site.hosts[0].sh("ip addr flush dev eth0").unwrap();
    let a = site.start(0, Group::web(150));
    let fault = a.becomes("FAULT");
    assert!(
        fault.cause.contains("no address to send adverts from"),
        "{fault:?}"
    );
    a.host.sh("ip addr add 10.77.0.1/24 dev eth0").unwrap();
    a.becomes("MASTER");
    assert_eq!(a.group("web").paths[0].source.to_string(), "10.77.0.1");
    assert_eq!(a.status().node, NODES[0]);
}
