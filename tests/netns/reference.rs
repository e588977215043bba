//! What does an agent find out about the targets of its reference?

use std::time::Duration;

use floatlock::control::cluster::TargetStatus;
use floatlock::lab::{Host, Traffic, clock};

use nix::sys::signal::Signal;

use crate::agent::{Agent, floatlock, write};
use crate::config::{Config, Group};
use crate::site::{SOON, Site, await_address, has};

const VIP: &str = "10.77.0.100";

/// With addresses of both families, and one that means something on this link only.
fn gateway(site: &Site) -> Host {
    let host = site.lab.host("gateway").unwrap();
    let addresses = ["10.77.0.254/24", "fd77::fe/64", "fe80::fe/64"];
    site.lan.attach(&host, "eth0", &addresses).unwrap();
    host
}

fn told(targets: &[&str]) -> Config {
    let list = format!("reference = {targets:?}\n");
    Config::native("lb-a", &[Group::web(150)]).fencing(&list)
}

fn targets(agent: &Agent) -> Vec<TargetStatus> {
    agent.status().cluster.expect("it votes").reference
}

fn wait_for(agent: &Agent, what: impl Fn(&[TargetStatus]) -> bool) {
    let is_so = || what(&targets(agent));
    let log = || format!("{:#?}\n{}", targets(agent), agent.log());
    assert!(clock::wait_until(SOON, is_so), "{}", log());
}

#[test]
fn targets_of_both_families_answer_and_one_of_this_link_only() {
    let site = Site::keyed();
    let gateway = gateway(&site);
    let all = ["10.77.0.254", "fd77::fe", "fe80::fe"];
    let a = site.start_with(0, &told(&all));
    a.becomes("MASTER");
    wait_for(&a, |targets| {
        targets.len() == 3 && targets.iter().all(|one| one.answers)
    });
    let by = |word: &str| {
        targets(&a)
            .iter()
            .all(|one| one.by.as_deref() == Some(word))
    };
    assert!(by("echo"), "{:#?}", targets(&a));
    // It answers no echo any more, and still its neighbours.
    let deaf = "for f in ipv4/icmp_echo_ignore_all ipv6/icmp/echo_ignore_all; do \
                echo 1 >/proc/sys/net/$f; done";
    gateway.sh(deaf).unwrap();
    assert!(clock::wait_until(SOON, || by("neighbour")), "{}", a.log());
    // For longer than a lease.
    clock::pause(Duration::from_secs(2));
    assert!(targets(&a).iter().all(|one| one.answers), "{}", a.log());
    assert_eq!(a.roles("web").last().map(String::as_str), Some("MASTER"));
}

#[test]
fn what_cannot_be_asked_says_why_and_a_reload_mends_it() {
    let site = Site::keyed();
    let _gateway = gateway(&site);
    let a = site.start_with(0, &told(&["10.77.0.1", "10.77.0.77"]));
    wait_for(&a, |targets| {
        let own = targets.iter().find_map(|one| one.trouble.as_deref());
        own.is_some_and(|why| why.contains("is an address of this host itself"))
    });
    a.said("10.77.0.77 does not answer on eth0");
    assert!(targets(&a).iter().all(|one| !one.answers));
    let why = a.group("web").blocked.expect("unfit");
    assert!(why.contains("the reference does not answer"), "{why}");
    a.reload(&told(&["10.77.0.254"]));
    a.becomes("MASTER");
    let file = Config::native("lb-a", &[Group::web(150)]);
    write(&a.host, &file);
    a.signal(Signal::SIGHUP);
    a.said("fencing.reference (whether there is one) has changed: that needs a restart");
    assert!(targets(&a).iter().all(|one| one.answers));
    let shown = floatlock(&a.host, &["status", "--runtime-dir", "/run/floatlock"]).output;
    assert!(
        shown.contains("reference 10.77.0.254 by eth0: answers"),
        "{shown}"
    );
}

/// A peer of VRRP says nothing as BACKUP: who reaches nothing goes, and who does takes over.
#[test]
fn under_vrrp_a_master_that_does_not_reach_it_goes_and_one_that_does_takes_over() {
    let site = Site::new();
    let gateway = gateway(&site);
    let [a, b] = site.pair_of(|node, priority| {
        let group = Group::web(priority).key("preempt", "false");
        Config::new(node, &[group]).fencing("reference = [\"10.77.0.254\"]\n")
    });
    let (of_a, of_b) = (a.mark(), b.mark());
    let lan = &site.lan;
    lan.drop_one_way(&gateway, &a.host, Traffic::All).unwrap();
    a.becomes_after(of_a, "web", "BACKUP");
    assert!(!has(&a.host, VIP));
    b.becomes_after(of_b, "web", "MASTER");
    a.said("MASTER -> RELEASING: the reference does not answer");
    let why = a.group("web").blocked.expect("unfit");
    assert!(why.contains("the reference does not answer"), "{why}");
    // Nobody reaches it: nobody holds, as with a script of keepalived that asks the gateway.
    let of_b = b.mark();
    gateway.power_off().unwrap();
    b.becomes_after(of_b, "web", "BACKUP");
    await_address(&b.host, VIP, false);
    gateway.power_on().unwrap();
    let one_holds = || has(&a.host, VIP) != has(&b.host, VIP);
    assert!(clock::wait_until(SOON, one_holds), "{}{}", a.log(), b.log());
}
