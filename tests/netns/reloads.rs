//! What does a reload change, and what does it leave alone?

use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Watch, clock};
use nix::sys::signal::Signal;

use crate::agent::{Agent, floatlock};
use crate::config::{Config, Group, SILENCE};
use crate::lease::Lease;
use crate::site::{SOON, Site, adverts, answers, await_address, has, pin, unpin};

const VIP: &str = "10.77.0.100";
const RELOAD: [&str; 3] = ["reload", "--runtime-dir", "/run/floatlock"];

fn mail(priority: u8) -> Group {
    Group::web(priority)
        .named("mail", 52)
        .addresses(&["10.77.0.110/24", "10.77.0.111/24"])
}

/// The longest time between two adverts of one id by the host since then.
fn longest_pause(watch: &Watch, host: &str, id: u8, after: Instant) -> Duration {
    watch.look(|seen| {
        let of_id = seen
            .adverts_from(host, after)
            .filter(|advert| advert.id == id);
        let at: Vec<Instant> = of_id.map(|advert| advert.at).collect();
        let pauses = at.windows(2).map(|pair| pair[1].since(pair[0]));
        pauses.max().expect("adverts")
    })
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let site = Site::new();
    let [a, b] = site.pair(Group::web);
    let watch = site.watch(&[VIP]);
    let (mark_a, mark_b, began) = (a.mark(), b.mark(), clock::now());
    let bad = Config::new("lb-a", &[Group::web(150).key("priorty", "90")]);
    crate::agent::write(&a.host, &bad);
    a.signal(Signal::SIGHUP);
    a.said("the reload changed nothing, the old file goes on");
    a.said("did you mean `priority`?");
    let ran = floatlock(&a.host, &RELOAD);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.output.contains("`priorty` is not a key of [[group]]"),
        "{ran:?}"
    );
    a.host.sh("rm /run/lab/floatlock.toml").unwrap();
    let ran = floatlock(&a.host, &RELOAD);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.output.contains("/run/lab/floatlock.toml"), "{ran:?}");
    adverts(&watch, "lb-a", 5);
    a.demand_no_change_since(mark_a);
    b.demand_no_change_since(mark_b);
    assert!(longest_pause(&watch, "lb-a", 51, began) < SILENCE);
    assert_eq!(a.group("web").priority, 150);
}

#[test]
fn a_missing_interface_or_another_node_name_changes_nothing() {
    let site = Site::new();
    let a = site.start(0, Group::web(150));
    a.becomes("MASTER");
    let mark = a.mark();
    let elsewhere = mail(150).key("interface", "\"eth7\"");
    let cases = [
        (
            Config::new("lb-a", &[Group::web(150), elsewhere]),
            "there is no interface eth7 on this host; there are: eth0, lo",
        ),
        (
            Config::new("lb-b", &[Group::web(150)]),
            "node.name has changed: that needs a restart",
        ),
    ];
    for (config, reason) in cases {
        crate::agent::write(&a.host, &config);
        let ran = floatlock(&a.host, &RELOAD);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.output.contains(reason), "{ran:?}");
    }
    a.demand_no_change_since(mark);
    assert_eq!(a.status().groups.len(), 1);
}

#[test]
fn groups_come_and_go_and_the_others_are_not_disturbed() {
    let site = Site::new();
    let [a, b] = site.pair(Group::web);
    let watch = site.watch_all(&[VIP], &[&a.host, &b.host]);
    answers(&watch, "lb-a", VIP, clock::now());
    let began = clock::now();
    let (mark_a, mark_b) = (a.mark(), b.mark());
    let two = |node, priority| Config::new(node, &[Group::web(priority), mail(priority)]);
    a.reload(&two("lb-a", 150));
    a.said("reloaded: added [mail], removed [], changed [], 1 unchanged");
    a.becomes_after(mark_a, "mail", "MASTER");
    crate::agent::write(&b.host, &two("lb-b", 100));
    let ran = floatlock(&b.host, &["reload", "-c", "/run/lab/floatlock.toml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.output.contains("mail"), "{ran:?}");
    b.hears_a_master_of("mail");
    assert!(has(&a.host, "10.77.0.110") && has(&a.host, "10.77.0.111"));
    // Gone from lb-a: lb-b takes it.
    a.reload(&Config::new("lb-a", &[Group::web(150)]));
    let resigned = b.becomes_after(mark_b, "mail", "CANDIDATE");
    assert!(
        resigned.cause.contains("10.77.0.1 resigned"),
        "{resigned:?}"
    );
    b.becomes_after(mark_b, "mail", "MASTER");
    await_address(&a.host, "10.77.0.110", false);
    await_address(&a.host, "10.77.0.111", false);
    adverts(&watch, "lb-a", 5);
    let of_web = |agent: &Agent, mark: usize| {
        let changes = agent.changes().into_iter().skip(mark);
        changes.filter(|change| change.group == "web").count()
    };
    assert_eq!((of_web(&a, mark_a), of_web(&b, mark_b)), (0, 0));
    assert!(longest_pause(&watch, "lb-a", 51, began) < SILENCE);
    let seen = watch.stop();
    let gap = seen
        .longest_gap(VIP.parse().unwrap(), began, clock::now())
        .unwrap();
    assert!(gap.length() < SILENCE, "{gap:?}");
}

#[test]
fn a_changed_priority_counts_at_once_and_both_ways() {
    let site = Site::new();
    let [a, b] = site.pair(Group::web);
    let (mark_a, mark_b) = (a.mark(), b.mark());
    a.reload(&Config::new("lb-a", &[Group::web(50)]));
    a.said("reloaded: added [], removed [], changed [web], 0 unchanged");
    b.becomes_after(mark_b, "web", "MASTER");
    a.becomes_after(mark_a, "web", "BACKUP");
    await_address(&a.host, VIP, false);
    let mark_a = a.mark();
    a.reload(&Config::new("lb-a", &[Group::web(150)]));
    a.becomes_after(mark_a, "web", "MASTER");
    await_address(&b.host, VIP, false);
    assert!(has(&a.host, VIP));
}

#[test]
fn addresses_change_without_a_change_of_role() {
    let site = Site::new();
    let [a, b] = site.pair(|p| Group::web(p).addresses(&["10.77.0.100/24", "10.77.0.101/24"]));
    let watch = site.watch_all(&["10.77.0.101"], &[&a.host, &b.host]);
    answers(&watch, "lb-a", "10.77.0.101", clock::now());
    let (mark_a, mark_b, began) = (a.mark(), b.mark(), clock::now());
    let other = |p| Group::web(p).addresses(&["10.77.0.101/24", "10.77.0.102/24"]);
    a.reload(&Config::new("lb-a", &[other(150)]));
    b.reload(&Config::new("lb-b", &[other(100)]));
    await_address(&a.host, "10.77.0.102", true);
    await_address(&a.host, VIP, false);
    adverts(&watch, "lb-a", 5);
    a.demand_no_change_since(mark_a);
    b.demand_no_change_since(mark_b);
    assert_eq!(a.group("web").restored, 0, "{}", a.log());
    let until = clock::now();
    let seen = watch.stop();
    let gap = seen
        .longest_gap("10.77.0.101".parse().unwrap(), began, until)
        .unwrap();
    assert!(
        gap.length() < SILENCE,
        "the one that stays is not touched: {gap:?}"
    );
    // The new ones are what a stop takes off.
    a.stop();
    assert!(!has(&a.host, "10.77.0.101") && !has(&a.host, "10.77.0.102"));
    b.becomes("MASTER");
    assert!(has(&b.host, "10.77.0.102") && !has(&b.host, VIP));
}

#[test]
fn an_address_moves_from_one_group_to_another() {
    let site = Site::new();
    let config = |node: &str, priority, of_web: &[&str], of_mail: &[&str]| {
        let mail = mail(priority).addresses(of_mail);
        Config::new(node, &[Group::web(priority).addresses(of_web), mail])
    };
    let (kept, moved, other) = ("10.77.0.100/24", "10.77.0.101/24", "10.77.0.110/24");
    let [a, b] = site.pair_of(|node, p| config(node, p, &[kept, moved], &[other]));
    a.becomes_after(0, "mail", "MASTER");
    b.hears_a_master_of("mail");
    let (mark_a, mark_b) = (a.mark(), b.mark());
    let watch = site.listen();
    a.reload(&config("lb-a", 150, &[kept], &[other, moved]));
    b.reload(&config("lb-b", 100, &[kept], &[other, moved]));
    adverts(&watch, "lb-a", 6);
    for address in ["10.77.0.100", "10.77.0.101", "10.77.0.110"] {
        await_address(&a.host, address, true);
        assert!(!has(&b.host, address), "{address}");
    }
    a.demand_no_change_since(mark_a);
    b.demand_no_change_since(mark_b);
    // It belongs to the other group now: that one takes it along.
    a.reload(&Config::new("lb-a", &[Group::web(150)]));
    b.becomes_after(mark_b, "mail", "MASTER");
    await_address(&a.host, "10.77.0.101", false);
    assert!(has(&b.host, "10.77.0.101") && has(&a.host, VIP));
}

#[test]
fn a_group_with_another_id_is_another_group() {
    let site = Site::new();
    let a = site.start(0, Group::web(150));
    a.becomes("MASTER");
    let mark = a.mark();
    a.reload(&Config::new("lb-a", &[Group::web(150).key("id", "77")]));
    a.becomes_after(mark, "web", "STOPPED");
    a.becomes_after(mark, "web", "MASTER");
    await_address(&a.host, VIP, true);
    assert_eq!(a.group("web").id, 77);
    let watch = site.watch(&[VIP]);
    answers(&watch, "lb-a", VIP, clock::now());
    adverts(&watch, "lb-a", 3);
    assert!(watch.look(|seen| seen.adverts.iter().all(|advert| advert.id == 77)));
}

#[test]
fn an_address_that_left_the_configuration_is_taken_off_as_soon_as_it_lets_itself() {
    let site = Site::new();
    let (stays, goes) = ("10.77.0.100/24", "10.79.0.100/24");
    let a = site.start(0, Group::web(150).addresses(&[stays, goes]));
    a.becomes("MASTER");
    let mark = a.mark();
    pin(&a.host, "10.79.0.100");
    a.reload(&Config::new("lb-a", &[Group::web(150).addresses(&[stays])]));
    a.said("addresses that left the configuration will not come off, trying again: 10.79.0.100");
    // Others are served meanwhile.
    let more = [stays, "10.77.0.101/24"];
    a.reload(&Config::new("lb-a", &[Group::web(150).addresses(&more)]));
    await_address(&a.host, "10.77.0.101", true);
    assert!(has(&a.host, "10.79.0.100"));
    unpin(&a.host);
    await_address(&a.host, "10.79.0.100", false);
    a.said("the addresses that left the configuration are off now");
    assert!(has(&a.host, "10.79.0.1"));
    assert_eq!(a.count("will not come off"), 1, "{}", a.log());
    a.demand_no_change_since(mark);
}

#[test]
fn an_address_that_would_not_come_off_and_is_configured_again_stays() {
    let site = Site::new();
    let (stays, goes) = ("10.77.0.100/24", "10.79.0.100/24");
    let both = Config::new("lb-a", &[Group::web(150).addresses(&[stays, goes])]);
    let a = site.start_with(0, &both);
    a.becomes("MASTER");
    pin(&a.host, "10.79.0.100");
    a.reload(&Config::new("lb-a", &[Group::web(150).addresses(&[stays])]));
    a.said("addresses that left the configuration will not come off");
    a.reload(&both);
    unpin(&a.host);
    let watch = site.listen();
    // For longer than the pause between two attempts was.
    adverts(&watch, "lb-a", 20);
    assert!(has(&a.host, "10.79.0.100"));
    assert_eq!(a.group("web").restored, 0, "{}", a.log());
    assert_eq!(a.count("are off now"), 0, "{}", a.log());
}

/// Has a reload hang in opening the file, until the lease is dropped.
fn hanging_reload(agent: &Agent) -> Lease {
    let file = crate::agent::write(&agent.host, &Config::new("lb-a", &[Group::web(150)]));
    let lease = Lease::on(&agent.host, file);
    agent.signal(Signal::SIGHUP);
    lease.await_opener();
    lease
}

#[test]
fn a_stop_during_a_reload_that_hangs_hands_over() {
    let site = Site::new();
    let [a, b] = site.pair(Group::web);
    let _lease = hanging_reload(&a);
    // Links are followed and questions answered meanwhile.
    assert_eq!(a.group("web").role, "MASTER");
    a.signal(Signal::SIGUSR1);
    a.said("web  MASTER");
    let mark = a.mark();
    site.lan.cut(&a.host).unwrap();
    a.becomes_after(mark, "web", "FAULT");
    site.lan.heal(&a.host).unwrap();
    a.becomes_after(mark, "web", "MASTER");
    let mark = b.mark();
    a.stop();
    let heard = b.becomes_after(mark, "web", "CANDIDATE");
    assert!(heard.cause.contains("resigned"), "{heard:?}");
}

#[test]
fn signals_during_a_reload_that_hangs_are_one_more_reload() {
    let site = Site::new();
    let a = site.start(0, Group::web(150));
    a.becomes("MASTER");
    let lease = hanging_reload(&a);
    for _ in 0..4 {
        let before = clock::now();
        a.signal(Signal::SIGHUP);
        // Signals are taken one after the other: it has been taken when this one was.
        a.signal(Signal::SIGUSR1);
        a.process
            .wait_for_line_after(before, "node lb-a", SOON)
            .unwrap();
    }
    drop(lease);
    let reloads = || a.count("reloaded: ");
    assert!(clock::wait_until(SOON, || reloads() == 2), "{}", a.log());
    let ran = floatlock(&a.host, &RELOAD);
    assert_eq!(ran.code, 0, "{ran:?}");
    a.stop();
    assert_eq!(reloads(), 3, "{}", a.log());
}
