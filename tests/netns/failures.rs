//! What happens when a host, an agent or a link fails?

use floatlock::lab::clock;
use nix::sys::signal::Signal;

use crate::agent::floatlock;
use crate::config::Group;
use crate::site::{SOON, Site, adverts, announces, answers, await_address, has};

const VIP: &str = "10.77.0.100";

#[test]
fn after_a_loss_of_power_the_other_host_answers() {
    let site = Site::new();
    let watch = site.watch(&[VIP]);
    let [a, b] = site.pair(Group::web);
    answers(&watch, "lb-a", VIP, clock::now());
    a.host.power_off().unwrap();
    let lost = clock::now();
    let master = b.becomes("CANDIDATE");
    assert!(
        master.cause.contains("10.77.0.1 has been silent for"),
        "{master:?}"
    );
    answers(&watch, "lb-b", VIP, lost);
    announces(&watch, "lb-b", VIP, lost);
}

#[test]
fn a_killed_agent_leaves_its_address_until_release_takes_it_off() {
    let site = Site::new();
    let [a, b] = site.pair(|p| Group::web(p).addresses(&["10.77.0.100/24", "fd77::100/64"]));
    a.signal(Signal::SIGKILL);
    b.becomes("MASTER");
    assert!(has(&a.host, VIP) && has(&a.host, "fd77::100"));
    let ran = floatlock(&a.host, &["release", "-c", "/run/lab/floatlock.toml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.output.contains("removed 10.77.0.100/32"), "{ran:?}");
    assert!(ran.output.contains("removed fd77::100/128"), "{ran:?}");
    assert_eq!(own_addresses(&a.host), ["10.77.0.1/24", "fd77::1/64"]);
    let again = floatlock(&a.host, &["release", "-c", "/run/lab/floatlock.toml"]);
    assert_eq!((again.code, again.output.as_str()), (0, ""), "idempotent");
    assert!(has(&b.host, VIP));
}

#[test]
fn release_needs_no_configuration_for_what_carries_our_tag() {
    let site = Site::new();
    let [a, _b] = site.pair(Group::web);
    a.process.kill();
    let ran = floatlock(&a.host, &["release", "-c", "/no/such/file"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.output.contains("/no/such/file cannot be used"),
        "{ran:?}"
    );
    assert!(!has(&a.host, VIP));
}

#[test]
fn a_restarted_agent_takes_off_what_the_dead_one_left_whatever_its_file_says_now() {
    let site = Site::new();
    let [a, b] = site.pair(Group::web);
    a.process.kill();
    b.becomes("MASTER");
    assert!(has(&a.host, VIP));
    let other = Group::web(150)
        .named("mail", 52)
        .addresses(&["10.77.0.101/24"]);
    let again = site.start(0, other);
    again.said("removed 10.77.0.100, which an earlier agent left");
    again.becomes_after(0, "mail", "MASTER");
    assert!(!has(&a.host, VIP) && has(&a.host, "10.77.0.101"));
    assert!(has(&b.host, VIP));
}

#[test]
fn a_restarted_agent_becomes_backup_without_its_leftovers() {
    let site = Site::new();
    let no_preempt = |p| Group::web(p).key("preempt", "false");
    let [a, b] = site.pair(no_preempt);
    a.process.kill();
    b.becomes("MASTER");
    let watch = site.watch_all(&[VIP], &[&a.host, &b.host]);
    let again = site.start(0, no_preempt(150));
    let backup = again.becomes("BACKUP");
    await_address(&a.host, VIP, false);
    again.hears_a_master();
    adverts(&watch, "lb-b", 8);
    assert_eq!(again.roles("web"), ["BACKUP"], "{}", again.log());
    let seen = watch.stop();
    let late = seen.first_reply_from("lb-a", VIP.parse().unwrap(), backup.at);
    assert_eq!(late, None);
}

#[test]
fn a_host_without_carrier_gives_way_and_comes_back() {
    let site = Site::new();
    let watch = site.watch(&[VIP]);
    let [a, b] = site.pair(Group::web);
    let mark = a.mark();
    site.lan.cut(&a.host).unwrap();
    let cut = clock::now();
    let fault = a.becomes_after(mark, "web", "FAULT");
    assert!(fault.cause.contains("without carrier"), "{fault:?}");
    assert!(!has(&a.host, VIP), "FAULT is said when the address is off");
    a.group_until("web", "blocked", |group| group.blocked.is_some());
    b.becomes("MASTER");
    answers(&watch, "lb-b", VIP, cut);
    let mark = a.mark();
    site.lan.heal(&a.host).unwrap();
    let healed = clock::now();
    a.becomes_after(mark, "web", "BACKUP");
    a.becomes_after(mark, "web", "MASTER");
    answers(&watch, "lb-a", VIP, healed);
    await_address(&b.host, VIP, false);
}

#[test]
fn two_masters_that_meet_after_a_silent_cut_leave_the_better_one() {
    let site = Site::new();
    let watch = site.watch(&[VIP]);
    // Without the second burst, what is announced after the cut is because of it.
    let once = |p| Group::web(p).table("announce", "repeat-after = \"0s\"");
    let [a, b] = site.pair(once);
    let (mark_a, mark_b) = (a.mark(), b.mark());
    site.lan.cut_silently(&a.host).unwrap();
    let cut = clock::now();
    b.becomes_after(mark_b, "web", "MASTER");
    // The client's neighbour entry now points to lb-b.
    answers(&watch, "lb-b", VIP, cut);
    assert!(has(&a.host, VIP) && has(&b.host, VIP), "each is alone");
    let mark_b = b.mark();
    site.lan.heal(&a.host).unwrap();
    let healed = clock::now();
    let gave_way = b.becomes_after(mark_b, "web", "RELEASING");
    assert!(
        gave_way
            .cause
            .contains("10.77.0.1 advertises with priority 150"),
        "{gave_way:?}"
    );
    b.becomes_after(mark_b, "web", "BACKUP");
    await_address(&b.host, VIP, false);
    answers(&watch, "lb-a", VIP, healed);
    let mac = a.host.mac_on(&site.lan).unwrap().to_string();
    let entry = || site.client.sh(&format!("ip neigh show {VIP}")).unwrap();
    assert!(
        clock::wait_until(SOON, || entry().contains(&mac)),
        "{}",
        entry()
    );
    a.demand_no_change_since(mark_a);
    // Others than this client may have learnt the wrong one, and ask nobody.
    announces(&watch, "lb-a", VIP, healed);
    let seen = watch.stop();
    let last = seen.last_reply(VIP.parse().unwrap()).unwrap();
    assert_eq!(&*last.from, "lb-a");
}

/// The addresses of eth0 that anybody configured, link-local ones left out.
fn own_addresses(host: &floatlock::lab::Host) -> Vec<String> {
    let all = host.addresses().unwrap().into_iter();
    let texts = all.map(|(_, net)| net.to_string());
    let mut texts: Vec<String> = texts.filter(|text| !text.starts_with("fe80:")).collect();
    texts.sort();
    texts
}
