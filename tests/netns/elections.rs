//! Who becomes MASTER? Priorities, addresses, owners.

use floatlock::lab::clock;

use crate::config::{Config, Group, SILENCE};
use crate::site::{NODES, Site, adverts, answers, await_address, has};

const VIP: &str = "10.77.0.100";

#[test]
fn the_better_of_a_pair_is_master_and_the_other_stays_backup() {
    let site = Site::new();
    let watch = site.watch(&[VIP]);
    let [a, b] = site.pair(Group::web);
    answers(&watch, "lb-a", VIP, a.becomes("MASTER").at);
    adverts(&watch, "lb-a", 10);
    assert_eq!(
        a.roles("web"),
        ["BACKUP", "CANDIDATE", "MASTER"],
        "{}",
        a.log()
    );
    assert_eq!(b.roles("web"), ["BACKUP"], "{}", b.log());
    assert!(has(&a.host, VIP) && !has(&b.host, VIP));
    let seen = watch.stop();
    let advert = seen.adverts.last().unwrap();
    assert_eq!((advert.version, advert.id, advert.priority), (3, 51, 150));
    assert!(seen.adverts.iter().all(|advert| &*advert.from == "lb-a"));
}

#[test]
fn a_pair_speaks_version_2_with_a_password() {
    let site = Site::new();
    let watch = site.watch(&[VIP]);
    let [a, b] = site.pair_of(|node, priority| {
        let group = Group::web(priority).table("vrrp", "auth-pass = \"1111\"");
        Config::new(node, &[group]).heartbeat("protocol = \"vrrp2\"\ninterval = \"1s\"\n")
    });
    answers(&watch, "lb-a", VIP, a.becomes("MASTER").at);
    let stopped = clock::now();
    a.stop();
    assert!(b.becomes("MASTER").at > stopped);
    answers(&watch, "lb-b", VIP, stopped);
    let seen = watch.stop();
    assert!(seen.adverts.iter().all(|advert| advert.version == 2));
    let last = seen.adverts_from("lb-a", stopped).last().unwrap();
    assert_eq!(last.priority, 0, "lb-a resigns last");
}

#[test]
fn equal_priorities_are_decided_by_the_address() {
    let site = Site::new();
    let a = site.start(0, Group::web(100));
    a.becomes("MASTER");
    let b = site.start(1, Group::web(100));
    b.hears_a_master();
    // A living MASTER of the same priority is not pushed aside.
    let watch = site.watch(&[VIP]);
    adverts(&watch, "lb-a", 10);
    assert_eq!(b.roles("web"), ["BACKUP"], "{}", b.log());
    // Two that meet: the higher address stays.
    site.lan.cut_silently(&b.host).unwrap();
    b.becomes("MASTER");
    let (mark, healed) = (a.mark(), clock::now());
    site.lan.heal(&b.host).unwrap();
    let stepped = a.becomes_after(mark, "web", "RELEASING");
    assert!(
        stepped
            .cause
            .contains("10.77.0.2 advertises with priority 100"),
        "{stepped:?}"
    );
    a.becomes_after(mark, "web", "BACKUP");
    answers(&watch, "lb-b", VIP, healed);
    await_address(&a.host, VIP, false);
    assert!(has(&b.host, VIP));
}

#[test]
fn of_three_nodes_the_next_best_follows_each_time() {
    let site = Site::of(3);
    let start = |number: usize, priority| {
        let config = Config::new(NODES[number], &[Group::web(priority)]);
        site.start_with(number, &config.nodes(&NODES))
    };
    let a = start(0, 150);
    a.becomes("MASTER");
    let [b, c] = [start(1, 120), start(2, 90)];
    b.hears_a_master();
    c.hears_a_master();
    let watch = site.watch(&[VIP]);
    answers(&watch, "lb-a", VIP, clock::now());
    a.host.power_off().unwrap();
    let lost = clock::now();
    b.becomes("MASTER");
    answers(&watch, "lb-b", VIP, lost);
    adverts(&watch, "lb-b", 5);
    assert_eq!(c.roles("web"), ["BACKUP"], "{}", c.log());
    let stopped = clock::now();
    b.stop();
    c.becomes("MASTER");
    answers(&watch, "lb-c", VIP, stopped);
}

#[test]
fn the_owner_of_an_address_is_master_at_once_and_never_touches_it() {
    let site = Site::new();
    let [host, other] = &site.hosts[..] else {
        unreachable!()
    };
    let watch = site.watch(&[VIP]);
    let b = site.start(1, Group::web(100));
    b.becomes("MASTER");
    // Not before: while its host answers for it, nobody else takes it.
    host.sh("ip addr add 10.77.0.100/24 dev eth0").unwrap();
    let before = host.sh("ip -o addr show dev eth0").unwrap();
    let started = clock::now();
    let a = site.start(0, Group::web(255));
    let master = a.becomes("MASTER");
    let (backup, candidate) = (a.becomes("BACKUP"), a.becomes("CANDIDATE"));
    assert!(
        candidate.cause.contains("owns the addresses"),
        "{candidate:?}"
    );
    assert_eq!(a.roles("web").len(), 3);
    assert!(candidate.at.since(backup.at) < SILENCE, "{}", a.log());
    assert!(master.at > started);
    b.becomes("RELEASING");
    await_address(other, VIP, false);
    answers(&watch, "lb-a", VIP, master.at);
    assert_eq!(host.sh("ip -o addr show dev eth0").unwrap(), before);
    a.stop();
    assert_eq!(host.sh("ip -o addr show dev eth0").unwrap(), before);
}
