//! Are the addresses where they must be, whatever others do to them?

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Host, clock};

use crate::agent::floatlock;
use crate::config::{Group, SILENCE};
use crate::site::{SOON, Site, adverts, announces, answers, await_address, has, pin, unpin};

const VIP: &str = "10.77.0.100";

/// The /32 of a host: only Floatlock's addresses have that prefix length here.
fn floating(host: &Host) -> BTreeSet<IpAddr> {
    let all = host.addresses().unwrap().into_iter();
    let floating = all.filter(|(_, net)| net.prefix_len() == net.max_prefix_len());
    floating.map(|(_, net)| net.addr()).collect()
}

/// Waits until the host has that many floating addresses.
fn await_floating(host: &Host, count: usize) {
    let came = clock::wait_until(SOON, || floating(host).len() == count);
    assert!(
        came,
        "{count} wanted on {host:?}, {} there",
        floating(host).len()
    );
}

#[test]
fn unadvertised_addresses_move_along() {
    let site = Site::new();
    let group = |p| {
        Group::web(p).table(
            "vrrp",
            "unadvertised = [\"10.77.1.0/28\", \"fd77::200/64\"]",
        )
    };
    let [a, b] = site.pair(group);
    assert_eq!(floating(&a.host).len(), 18);
    assert_eq!(floating(&b.host).len(), 0);
    let moved = floating(&a.host);
    assert!(moved.contains(&"10.77.1.15".parse().unwrap()));
    assert!(moved.contains(&"fd77::200".parse().unwrap()));
    assert_eq!(a.group("web").unadvertised, 17);
    a.stop();
    b.becomes("MASTER");
    assert_eq!(floating(&b.host), moved);
    assert_eq!(floating(&a.host).len(), 0);
}

#[test]
fn more_addresses_than_an_advert_holds_are_held_all_the_same() {
    let site = Site::new();
    let addresses: Vec<String> = (0..300_u16)
        .map(|n| format!("10.77.{}.{}/16", 1 + n / 250, 1 + n % 250))
        .collect();
    let [a, b] = site.pair(|p| Group::web(p).addresses(&addresses));
    a.said("one advert holds 255 IPv4 addresses");
    await_floating(&a.host, 300);
    assert_eq!(b.roles("web"), ["BACKUP"]);
    let group = b.group("web");
    assert_eq!((group.addresses.len(), group.unadvertised), (255, 45));
    let odd = |name: &&String| name.ends_with("_differs");
    assert_eq!(group.paths[0].counters.keys().find(odd), None);
    a.stop();
    b.becomes("MASTER");
    // So many answer by routes at once, and follow when they have left the other host.
    await_floating(&b.host, 300);
}

#[test]
fn a_thousand_addresses_move_and_none_is_on_both_hosts_at_once() {
    let site = Site::new();
    // 10.77.4.0 to 10.77.7.255, less the 24 that make it 1000 with the advertised one.
    let ranges = [
        "10.77.4.0/23",
        "10.77.6.0/24",
        "10.77.7.0/25",
        "10.77.7.128/26",
    ];
    let ranges = [&ranges[..], &["10.77.7.192/27", "10.77.7.224/29"]].concat();
    let lines = format!("unadvertised = {ranges:?}");
    let group = |p| Group::web(p).table("vrrp", &lines);
    let sample = [VIP, "10.77.4.1", "10.77.5.77", "10.77.6.200", "10.77.7.231"];
    site.client
        .sh("ip route add 10.77.4.0/22 dev eth0")
        .unwrap();
    let [a, b] = site.pair(group);
    let count = 1001;
    await_floating(&a.host, count);
    let watch = site.watch_all(&sample, &[&a.host, &b.host]);
    answers(&watch, "lb-a", sample[4], Instant::default());
    let asked = clock::now();
    a.signal(nix::sys::signal::Signal::SIGTERM);
    demand_no_overlap(&b.host, &a.host, count);
    a.demand_good_end();
    b.becomes("MASTER");
    let a = site.start(0, group(150));
    demand_no_overlap(&a.host, &b.host, count);
    a.becomes("MASTER");
    for address in sample {
        answers(&watch, "lb-b", address, asked);
        answers(&watch, "lb-a", address, asked);
    }
    let seen = watch.stop();
    for address in sample {
        assert_eq!(
            seen.overlap(address.parse().unwrap()),
            Duration::ZERO,
            "{address}"
        );
    }
}

/// Looks at both hosts again and again while addresses move from one to the other.
///
/// The new host is read first: what it had then and the old one still has later was on both.
fn demand_no_overlap(new: &Host, old: &Host, count: usize) {
    let mut looks = 0;
    let came = clock::wait_until(SOON, || {
        let there = floating(new);
        let left = floating(old);
        let both: Vec<&IpAddr> = there.intersection(&left).collect();
        assert!(both.is_empty(), "on both hosts: {both:?}");
        looks += 1;
        there.len() == count
    });
    assert!(
        came,
        "after {looks} looks {} are on {new:?}",
        floating(new).len()
    );
}

#[test]
fn a_deleted_address_is_put_back_without_a_change_of_role() {
    let site = Site::new();
    let watch = site.watch(&[VIP]);
    let [a, b] = site.pair(Group::web);
    let (mark_a, mark_b) = (a.mark(), b.mark());
    answers(&watch, "lb-a", VIP, Instant::default());
    let deleted = clock::now();
    a.host.sh("ip addr del 10.77.0.100/32 dev eth0").unwrap();
    a.said_after(
        deleted,
        "an address was removed by someone else and is put back (1)",
    );
    await_address(&a.host, VIP, true);
    a.group_until("web", "counted", |group| group.restored == 1);
    announces(&watch, "lb-a", VIP, deleted);
    let back = answers(&watch, "lb-a", VIP, clock::now());
    adverts(&watch, "lb-a", 5);
    a.demand_no_change_since(mark_a);
    b.demand_no_change_since(mark_b);
    let seen = watch.stop();
    // The promise is 50 ms, which the benchmark measures.
    let gap = seen.longest_silence(VIP.parse().unwrap(), deleted, back);
    assert!(gap < SILENCE, "{gap:?}");
}

#[test]
fn one_flush_of_a_thousand_addresses_is_one_loss_and_no_fight() {
    let site = Site::new();
    let ranges = ["10.77.4.0/23", "10.77.6.0/24", "10.77.7.0/25"];
    let more = ["10.77.7.128/26", "10.77.7.192/27", "10.77.7.224/29"];
    let lines = format!("unadvertised = {:?}", [ranges, more].concat());
    let [a, b] = site.pair(|p| Group::web(p).table("vrrp", &lines));
    await_floating(&a.host, 1001);
    let (mark_a, mark_b) = (a.mark(), b.mark());
    let flush = "ip addr flush dev eth0 to 10.77.4.0/22 || true";
    a.host.sh(flush).unwrap();
    await_floating(&a.host, 1001);
    let watch = site.listen();
    adverts(&watch, "lb-a", 5);
    let restored = a.group("web").restored;
    assert!((1..=2).contains(&restored), "{restored}: {}", a.log());
    assert_eq!(floating(&a.host).len(), 1001);
    a.demand_no_change_since(mark_a);
    b.demand_no_change_since(mark_b);
}

#[test]
fn a_flush_of_many_addresses_is_mended_without_a_change_of_role() {
    let site = Site::new();
    let group = |p| Group::web(p).table("vrrp", "unadvertised = [\"10.77.1.0/25\"]");
    let [a, b] = site.pair(group);
    let (mark_a, mark_b) = (a.mark(), b.mark());
    // It looks again until nothing is left, ten times at most, and we put back meanwhile.
    let flush = "ip addr flush dev eth0 to 10.77.1.0/25 || true";
    let flushed = clock::now();
    a.host.sh(flush).unwrap();
    a.said_after(flushed, "an address was removed by someone else");
    await_floating(&a.host, 129);
    a.group_until("web", "counted", |group| group.restored >= 1);
    let watch = site.listen();
    adverts(&watch, "lb-a", 5);
    assert_eq!(floating(&a.host).len(), 129);
    a.demand_no_change_since(mark_a);
    b.demand_no_change_since(mark_b);
}

#[test]
fn who_loses_a_fight_over_an_address_yields_and_says_why() {
    let site = Site::new();
    let watch = site.watch(&[VIP]);
    let [a, b] = site.pair(Group::web);
    answers(&watch, "lb-a", VIP, Instant::default());
    let began = clock::now();
    let mut enemy = Command::new("sh");
    enemy.args([
        "-c",
        "while :; do ip addr del 10.77.0.100/32 dev eth0 2>/dev/null; done",
    ]);
    let enemy = a.host.spawn(enemy).unwrap();
    let fault = a.becomes("FAULT");
    assert!(
        fault
            .cause
            .contains("somebody keeps removing the addresses"),
        "{fault:?}"
    );
    b.becomes("MASTER");
    answers(&watch, "lb-b", VIP, began);
    let group = a.group_until("web", "FAULT", |group| group.role == "FAULT");
    assert!(group.blocked.unwrap().contains("somebody keeps removing"));
    assert!(
        group.restored >= 10,
        "it did not give up at once: {}",
        group.restored
    );
    enemy.kill();
}

#[test]
fn a_node_on_which_an_address_cannot_go_on_is_never_master_and_the_peer_serves() {
    let site = Site::new();
    let watch = site.watch(&[VIP, "fd77::100"]);
    let both = |p| Group::web(p).addresses(&["10.77.0.100/24", "fd77::100/64"]);
    let b = site.start(1, both(100));
    b.becomes("MASTER");
    site.hosts[0]
        .sh("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1")
        .unwrap();
    let a = site.start(0, both(150));
    let fault = a.becomes("FAULT");
    assert!(
        fault
            .cause
            .contains("the addresses will not go on: fd77::100"),
        "{fault:?}"
    );
    assert!(floating(&a.host).is_empty(), "{:?}", floating(&a.host));
    let roles = a.roles("web");
    assert!(!roles.contains(&"MASTER".to_owned()), "{}", a.log());
    let mark = b.mark();
    for address in [VIP, "fd77::100"] {
        answers(&watch, "lb-b", address, fault.at);
    }
    adverts(&watch, "lb-b", 10);
    assert!(b.mark() <= mark + 2, "{}", b.log());
    assert_eq!(b.roles("web").last().unwrap(), "MASTER", "{}", b.log());
    let named = |blocked: &String| blocked.contains("fd77::100");
    a.group_until("web", "the address is named", |group| {
        group.blocked.as_ref().is_some_and(named)
    });
    assert!(has(&b.host, VIP) && has(&b.host, "fd77::100"));
}

#[test]
fn a_lone_node_on_which_an_address_cannot_go_on_never_says_master() {
    let site = Site::new();
    site.hosts[0]
        .sh("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1")
        .unwrap();
    let group = Group::web(150).addresses(&["10.77.0.100/24", "fd77::100/64"]);
    let a = site.start(0, group);
    a.becomes("FAULT");
    assert_eq!(
        a.roles("web"),
        ["BACKUP", "CANDIDATE", "RELEASING", "FAULT"],
        "{}",
        a.log()
    );
    assert!(!has(&a.host, VIP));
    assert_eq!(a.group("web").promotions, 0);
    a.stop();
}

#[test]
fn a_node_that_cannot_clear_the_table_says_in_its_status_why_it_waits() {
    let site = Site::new();
    pin(&site.hosts[0], "10.79.0.100");
    let a = site.start(0, Group::web(150).addresses(&["10.79.0.100/24"]));
    let waits = a.group_until("web", "blocked", |group| group.blocked.is_some());
    assert_eq!(waits.role, "INIT");
    let why = waits.blocked.unwrap();
    assert!(
        why.contains("will not come off: 10.79.0.100: the kernel refused"),
        "{why}"
    );
    let ran = floatlock(&a.host, &["status", "--runtime-dir", "/run/floatlock"]);
    assert!(ran.output.contains(&why), "{ran:?}");
    unpin(&a.host);
    a.becomes("MASTER");
    a.group_until("web", "not blocked", |group| group.blocked.is_none());
}
