//! What does an agent do that did not run for a while?

use floatlock::lab::{Lan, clock};
use nix::sys::signal::Signal;

use crate::config::{Config, Group, SILENCE};
use crate::site::{Site, adverts, answers, await_address, falls_silent, has};

const VIP: &str = "10.77.0.100";

fn staying(priority: u8) -> Group {
    Group::web(priority).key("preempt", "false")
}

#[test]
fn a_master_that_was_frozen_steps_down_by_itself_and_stays_backup() {
    let site = Site::new();
    let [a, b] = site.pair(staying);
    let watch = site.watch(&[VIP]);
    a.host.freeze().unwrap();
    let frozen = clock::now();
    b.becomes("MASTER");
    answers(&watch, "lb-b", VIP, frozen);
    let (mark_a, mark_b) = (a.mark(), b.mark());
    let thawed = clock::now();
    a.host.thaw().unwrap();
    let away = a.becomes_after(mark_a, "web", "RELEASING");
    assert!(
        away.cause.contains("this agent did not run for"),
        "{away:?}"
    );
    a.becomes_after(mark_a, "web", "BACKUP");
    await_address(&a.host, VIP, false);
    a.hears_a_master();
    adverts(&watch, "lb-b", 10);
    assert_eq!(a.roles("web").last().unwrap(), "BACKUP", "{}", a.log());
    b.demand_no_change_since(mark_b);
    assert!(has(&b.host, VIP));
    let seen = watch.stop();
    // It was better, and with one advert would have pushed the new MASTER aside.
    let spoke = seen
        .adverts_from("lb-a", thawed)
        .find(|advert| advert.priority > 0);
    assert_eq!(spoke, None);
}

#[test]
fn a_backup_that_was_frozen_first_hears_what_came_meanwhile() {
    let site = Site::new();
    let [a, b] = site.pair(staying);
    let watch = site.listen();
    let (mark_a, mark_b) = (a.mark(), b.mark());
    b.signal(Signal::SIGSTOP);
    // More than twice the silence after which it would stand.
    adverts(&watch, "lb-a", 12);
    b.signal(Signal::SIGCONT);
    adverts(&watch, "lb-a", 8);
    a.demand_no_change_since(mark_a);
    b.demand_no_change_since(mark_b);
}

#[test]
fn a_backup_of_many_groups_hears_all_that_came_before_it_stands() {
    let site = Site::new();
    let groups = |priority| -> Vec<Group> {
        let other = |n: u8| {
            let address = format!("10.77.1.{n}/16");
            staying(priority)
                .named(&format!("g{n}"), n)
                .addresses(&[address])
        };
        (52..202).map(other).chain([staying(priority)]).collect()
    };
    let [a, b] = site.pair_of(|node, priority| Config::new(node, &groups(priority)));
    let (mark_a, mark_b) = (a.mark(), b.mark());
    let watch = site.listen();
    b.signal(Signal::SIGSTOP);
    // Nine of each of 151 groups are more than one look into the queue takes.
    adverts(&watch, "lb-a", 9 * 151);
    b.signal(Signal::SIGCONT);
    adverts(&watch, "lb-a", 3 * 151);
    a.demand_no_change_since(mark_a);
    b.demand_no_change_since(mark_b);
}

#[test]
fn a_backup_on_many_networks_hears_all_of_them_before_it_stands() {
    let site = Site::new();
    // More than one wait tells of.
    let lans: Vec<Lan> = (1..=40_u8)
        .map(|n| {
            let lan = site.lab.lan(&format!("lan{n}")).unwrap();
            for (number, host) in site.hosts.iter().enumerate() {
                let address = format!("10.80.{n}.{}/24", number + 1);
                lan.attach(host, &format!("lan{n}"), &[&address]).unwrap();
            }
            lan
        })
        .collect();
    let groups = |priority| -> Vec<Group> {
        let other = |n: usize| {
            staying(priority)
                .named(&format!("g{n}"), 1)
                .key("interface", &format!("\"lan{n}\""))
                .addresses(&[format!("10.80.{n}.100/24")])
        };
        (1..=lans.len())
            .map(other)
            .chain([staying(priority)])
            .collect()
    };
    let [a, b] = site.pair_of(|node, priority| Config::new(node, &groups(priority)));
    let (mark_a, mark_b) = (a.mark(), b.mark());
    let watch = site.listen();
    b.signal(Signal::SIGSTOP);
    // Longer than the silence, and not an interval longer, after which it would only listen again.
    adverts(&watch, "lb-a", 6);
    b.signal(Signal::SIGCONT);
    adverts(&watch, "lb-a", 8);
    a.demand_no_change_since(mark_a);
    b.demand_no_change_since(mark_b);
}

#[test]
fn a_lone_master_that_was_frozen_serves_again() {
    let site = Site::new();
    let watch = site.watch(&[VIP]);
    let a = site.start(0, staying(150));
    a.becomes("MASTER");
    answers(&watch, "lb-a", VIP, clock::now());
    let mark = a.mark();
    a.signal(Signal::SIGSTOP);
    let stopped = clock::now();
    // Its gate is shut before anybody could have taken over.
    let last = falls_silent(&watch, VIP, stopped, SILENCE);
    assert!(last.since(stopped) < SILENCE, "{:?}", last.since(stopped));
    a.signal(Signal::SIGCONT);
    let away = a.becomes_after(mark, "web", "RELEASING");
    assert!(away.cause.contains("did not run for"), "{away:?}");
    let again = a.becomes_after(mark, "web", "MASTER");
    answers(&watch, "lb-a", VIP, again.at);
}
