//! Does a BACKUP that hears no MASTER leave one alone that is alive, and take over from a dead one
//! no later than before?

use std::time::Duration;

use floatlock::lab::{Observation, Traffic, clock};
use nix::sys::signal::Signal;

use crate::agent::Agent;
use crate::config::{Config, Group};
use crate::site::{Site, adverts, answers, has};

const VIP: &str = "10.77.0.100";
const VIP6: &str = "fd77::100";
/// Five intervals of 100 ms, and the skew of priority 100.
const WAIT: Duration = Duration::from_millis(561);
/// Every peer gives up after five intervals.
const LEASE: Duration = Duration::from_millis(469);
const INTERVAL: Duration = Duration::from_millis(100);
/// A machine with other work.
const LATE: Duration = Duration::from_secs(2);

fn v4(priority: u8) -> Group {
    Group::web(priority).table("vrrp", "peer-misses = 5")
}

fn v6(priority: u8) -> Group {
    v4(priority).addresses(&["fd77::100/64"])
}

/// Keeps the adverts of each from the other, and nothing else.
fn lose_adverts(site: &Site) {
    let [a, b] = [&site.hosts[0], &site.hosts[1]];
    for (from, to) in [(a, b), (b, a)] {
        site.lan.drop_one_way(from, to, Traffic::Vrrp).unwrap();
    }
}

fn stays_backup(b: &Agent) {
    b.said("no MASTER is heard, but another host answers for an address");
    let shown = b.group_until("web", "who answers is in the way", |g| g.blocked.is_some());
    assert_eq!(shown.role, "BACKUP");
    let why = shown.blocked.unwrap();
    assert!(why.contains("another host answers for an address"), "{why}");
    assert_eq!(b.roles("web"), ["BACKUP"], "{}", b.log());
}

fn demand_no_two_answers(seen: &Observation, address: &str) {
    let both = seen.overlap(address.parse().unwrap());
    assert_eq!(both, Duration::ZERO, "two hosts answered for {address}");
}

/// Its adverts are lost while it lives; then it dies.
fn a_master_that_cannot_be_heard(group: fn(u8) -> Group, vip: &str) {
    let site = Site::new();
    let [a, b] = site.pair(group);
    let watch = site.watch_all(&[vip], &[&a.host, &b.host]);
    answers(&watch, "lb-a", vip, clock::now());
    let mark = a.mark();
    lose_adverts(&site);
    stays_backup(&b);
    let mac = a.host.mac_on(&site.lan).unwrap();
    b.said(&format!("web: {mac} on eth0 answers for {vip}"));
    // For as long as that lasts.
    adverts(&watch, "lb-a", 20);
    assert_eq!(b.roles("web"), ["BACKUP"], "{}", b.log());
    a.demand_no_change_since(mark);
    answers(&watch, "lb-a", vip, clock::now());

    let killed = clock::now();
    a.signal(Signal::SIGKILL);
    let began = answers(&watch, "lb-b", vip, killed);
    let most = LEASE + 2 * INTERVAL + LATE;
    assert!(began.since(killed) < most, "{:?}", began.since(killed));
    assert!(has(&a.host, vip), "nobody has taken it off");
    b.group_until("web", "nobody is in the way", |g| g.blocked.is_none());
    demand_no_two_answers(&watch.stop(), vip);
}

#[test]
fn a_master_of_ipv4_whose_adverts_are_lost_is_left_alone_until_it_dies() {
    a_master_that_cannot_be_heard(v4, VIP);
}

#[test]
fn a_master_of_ipv6_whose_adverts_are_lost_is_left_alone_until_it_dies() {
    a_master_that_cannot_be_heard(v6, VIP6);
}

#[test]
fn a_backup_whose_master_is_heard_again_says_no_more_of_it() {
    let site = Site::new();
    let [a, b] = site.pair(v4);
    lose_adverts(&site);
    stays_backup(&b);
    site.lan.drop_nothing().unwrap();
    b.group_until("web", "nobody is in the way", |g| g.blocked.is_none());
    assert_eq!(b.roles("web"), ["BACKUP"], "{}", b.log());
    a.shows("MASTER");
}

#[test]
fn a_host_without_power_is_taken_over_from_at_the_normal_time() {
    let site = Site::new();
    let [a, b] = site.pair(v4);
    let watch = site.watch(&[VIP]);
    answers(&watch, "lb-a", VIP, clock::now());
    let lost = clock::now();
    a.host.power_off().unwrap();
    let began = answers(&watch, "lb-b", VIP, lost);
    assert!(began.since(lost) < WAIT + LATE, "{:?}", began.since(lost));
    assert_eq!(b.count("answers for"), 0, "{}", b.log());
}

#[test]
fn an_address_on_another_interface_is_asked_for_there() {
    let site = Site::new();
    let inside = site.second_lan();
    // Nobody has an address of that network but the one who answers.
    let both = "[\"10.77.0.100/24\", { address = \"10.99.0.100/24\", interface = \"eth1\" }]";
    let stranger = site.lab.host("stranger").unwrap();
    inside
        .attach(&stranger, "eth1", &["10.99.0.100/24"])
        .unwrap();
    let b = site.start(1, v4(100).key("addresses", both));
    stays_backup(&b);
    b.said("on eth1 answers for 10.99.0.100");
    stranger.power_off().unwrap();
    b.becomes("MASTER");
}

#[test]
fn an_interface_that_is_down_hides_nobody_for_ever() {
    let site = Site::new();
    site.second_lan();
    let both = "[\"10.77.0.100/24\", { address = \"10.99.0.100/24\", interface = \"eth1\" }]";
    site.hosts[0].sh("ip link set eth1 down").unwrap();
    let config = Config::new("lb-a", &[v4(150).key("addresses", both)]);
    let a = site.start_with(0, &config);
    a.said("nobody can be asked on eth1 whether he answers for the addresses");
    a.becomes("MASTER");
}
