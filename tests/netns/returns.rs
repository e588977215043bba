//! What happens when the better node comes back? Preemption, delays, and no two holders at once.

use std::net::IpAddr;
use std::time::Duration;

use floatlock::lab::clock;

use crate::agent::Agent;
use crate::config::{Group, SILENCE};
use crate::site::{Site, adverts, answers, await_address, has};

const VIP: &str = "10.77.0.100";

/// `lb-b` is MASTER, and `lb-a` is started as the better node.
fn returning(site: &Site, group: impl Fn(u8) -> Group) -> [Agent; 2] {
    let b = site.start(1, group(100));
    b.becomes("MASTER");
    let a = site.start(0, group(150));
    a.hears_a_master();
    [a, b]
}

#[test]
fn the_better_node_takes_over_without_two_holders_at_any_moment() {
    let site = Site::new();
    let b = site.start(1, Group::web(100));
    b.becomes("MASTER");
    let watch = site.watch_all(&[VIP], &[&site.hosts[0], &b.host]);
    answers(&watch, "lb-b", VIP, clock::now());
    let a = site.start(0, Group::web(150));
    let master = a.becomes("MASTER");
    answers(&watch, "lb-a", VIP, master.at);
    await_address(&b.host, VIP, false);
    let asked = a.becomes("CANDIDATE");
    assert!(
        asked.cause.contains("preempting the MASTER 10.77.0.2"),
        "{asked:?}"
    );
    let seen = watch.stop();
    assert_eq!(seen.overlap(VIP.parse::<IpAddr>().unwrap()), Duration::ZERO);
    let resigned = seen
        .adverts
        .iter()
        .find(|ad| &*ad.from == "lb-b" && ad.priority == 0);
    let first = seen.first_reply_from("lb-a", VIP.parse().unwrap(), asked.at);
    assert!(resigned.unwrap().at <= first.unwrap().at);
}

#[test]
fn without_preemption_the_addresses_stay_where_they_are() {
    let site = Site::new();
    let [a, b] = returning(&site, |p| Group::web(p).key("preempt", "false"));
    let watch = site.watch(&[VIP]);
    adverts(&watch, "lb-b", 10);
    assert_eq!(a.roles("web"), ["BACKUP"], "{}", a.log());
    assert!(has(&b.host, VIP) && !has(&a.host, VIP));
    b.stop();
    a.becomes("MASTER");
}

#[test]
fn a_preempt_delay_is_waited_for() {
    let site = Site::new();
    let delay = Duration::from_millis(1500);
    let [a, b] = returning(&site, |p| Group::web(p).key("preempt-delay", "\"1500ms\""));
    let asked = a.becomes("CANDIDATE");
    let waited = asked.at.since(a.becomes("BACKUP").at);
    assert!(waited >= delay, "{waited:?}: {}", a.log());
    a.becomes("MASTER");
    b.becomes("RELEASING");
}

#[test]
fn a_preempt_delay_does_not_delay_the_loss_of_the_master() {
    let site = Site::new();
    let [a, b] = returning(&site, |p| Group::web(p).key("preempt-delay", "\"1h\""));
    b.host.power_off().unwrap();
    let master = a.becomes("CANDIDATE");
    assert!(master.cause.contains("silent"), "{master:?}");
    a.becomes("MASTER");
}

#[test]
fn nobody_stands_before_the_start_delay_is_over() {
    let site = Site::new();
    let delay = Duration::from_secs(2);
    let a = site.start(0, Group::web(150).key("start-delay", "\"2s\""));
    let waited = a.becomes("CANDIDATE").at.since(a.becomes("BACKUP").at);
    // The delay counts from the start of the group, which its first line in the log follows.
    assert!(waited > delay - SILENCE, "{waited:?}: {}", a.log());
    assert!(waited > 2 * SILENCE, "longer than for silence alone");
}
