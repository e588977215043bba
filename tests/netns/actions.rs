//! Do an operator's scripts run at each step, in order, with a say where they have one, and never in the way?

use floatlock::lab::{Host, clock};
use nix::sys::signal::Signal;

use crate::agent::{Agent, floatlock};
use crate::config::{Config, Group};
use crate::site::{NODES, SOON, Site, answers, has, write_key};

const VIP: &str = "10.77.0.100";

/// Writes down what it is told, and whether the address is on.
const TELL: &str = r#"#!/bin/sh
on=$(ip -o address show to 10.77.0.100 | wc -l)
echo "$FLOATLOCK_EVENT $FLOATLOCK_FROM $FLOATLOCK_TO on=$on $*" >>/run/lab/told
"#;

/// Says why, and fails.
const REFUSE: &str = r#"#!/bin/sh
echo "the replica has 4711 s to catch up with" >&2
exit 3
"#;

/// Leaves something behind, and never comes to an end.
const LINGER: &str = r#"#!/bin/sh
trap '' TERM
setsid sleep 47111 &
echo $! >>/run/lab/lingers
echo $$ >>/run/lab/lingers
while :; do sleep 47112; done
"#;

/// The hosts with their scripts; nothing runs yet.
fn site() -> Site {
    let site = Site::keyed();
    for host in &site.hosts {
        for (name, text) in [("tell", TELL), ("refuse", REFUSE), ("linger", LINGER)] {
            host.write(name, text).unwrap();
            host.sh(&format!("chmod 755 /run/lab/{name}")).unwrap();
        }
    }
    site
}

fn path(name: &str) -> String {
    format!("/run/lab/{name}")
}

/// One that tells of every step.
fn telling(priority: u8) -> Group {
    let events = ["promote", "promoted", "demote", "demoted", "fault", "stop"];
    let group = Group::web(priority);
    events
        .into_iter()
        .fold(group, |group, on| group.action(on, &path("tell"), ""))
}

fn native(node: &str, group: Group) -> Config {
    Config::native(node, &[group])
}

fn told(host: &Host) -> Vec<String> {
    let text = host.sh("cat /run/lab/told 2>/dev/null || true").unwrap();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// Waits until the last that it was told is this.
fn told_last(host: &Host, last: &[&str]) {
    let is_there = || told(host).ends_with(&last.iter().map(|&l| l.to_owned()).collect::<Vec<_>>());
    let came = clock::wait_until(SOON, is_there);
    assert!(came, "wanted last: {last:?}; told: {:#?}", told(host));
}

/// Waits until none of these processes of the host is there any more.
fn are_gone(host: &Host, file: &str) -> bool {
    clock::wait_until(SOON, || !is_one_there(host, file))
}

fn is_one_there(host: &Host, file: &str) -> bool {
    let script =
        format!("for pid in $(cat {file}); do kill -0 $pid 2>/dev/null && exit; done; exit 1");
    host.sh(&script).is_ok()
}

#[test]
fn every_step_has_its_scripts_and_a_planned_move_waits_for_them() {
    let site = site();
    let [a, b] = site.native_pair_of(|node, priority| native(node, telling(priority)));
    told_last(
        &a.host,
        &[
            "promote BACKUP MASTER on=0",
            "promoted CANDIDATE MASTER on=1",
        ],
    );
    told_last(&b.host, &["demoted INIT BACKUP on=0"]);
    let moved = floatlock(
        &a.host,
        &["switchover", "web", "--runtime-dir", "/run/floatlock"],
    );
    assert!(moved.code == 0, "{moved:?}{}", a.log());
    told_last(
        &a.host,
        &["demote MASTER BACKUP on=1", "demoted RELEASING BACKUP on=0"],
    );
    told_last(
        &b.host,
        &[
            "demoted INIT BACKUP on=0",
            "promote BACKUP MASTER on=0",
            "promoted CANDIDATE MASTER on=1",
        ],
    );
    b.stop();
    told_last(
        &b.host,
        &["demote MASTER BACKUP on=1", "stop RELEASING STOPPED on=0"],
    );
    a.group_until("web", "back", |web| web.role == "MASTER");
}

#[test]
fn a_promotion_that_is_refused_leaves_the_addresses_off_and_says_why() {
    let site = site();
    let refusing = |node: &str, priority| {
        let group = Group::web(priority);
        let group = match node {
            "lb-b" => group.action("promote", &path("refuse"), ""),
            _ => group,
        };
        native(node, group)
    };
    let [a, b] = site.native_pair_of(refusing);
    a.host.power_off().unwrap();
    let fault = b.becomes("FAULT");
    assert!(
        fault.cause.contains("an action for a promotion failed"),
        "{fault:?}"
    );
    b.said("web: promote refuse: the replica has 4711 s to catch up with");
    b.said("web: promote refuse: failed with exit code 3");
    assert!(!b.roles("web").contains(&"MASTER".to_owned()));
    assert!(!has(&b.host, VIP));
}

#[test]
fn what_is_not_required_has_no_say() {
    let site = site();
    let group = Group::web(150).action("promote", &path("refuse"), "required = false");
    let a = site.start_with(0, &native(NODES[0], group));
    a.becomes("MASTER");
    a.said("web: promote refuse: failed with exit code 3");
}

#[test]
fn a_script_that_others_can_write_is_refused_and_that_is_a_refusal() {
    let site = site();
    site.hosts[0].sh("chmod 777 /run/lab/tell").unwrap();
    let a = site.start_with(0, &native(NODES[0], telling(150)));
    a.becomes("FAULT");
    a.said("chmod go-w /run/lab/tell");
    assert_eq!(told(&a.host), [""; 0]);
}

#[test]
fn who_loses_its_lease_ends_all_that_acts_for_it_and_then_demotes() {
    let site = site();
    let group =
        |priority| telling(priority).action("promoted", &path("linger"), "timeout = \"10m\"");
    let [a, b] = site.native_pair_of(|node, priority| native(node, group(priority)));
    let lingers = || {
        a.host
            .sh("wc -l </run/lab/lingers")
            .is_ok_and(|n| n.trim() == "2")
    };
    assert!(clock::wait_until(SOON, lingers), "{}", a.log());
    // For longer than a lease: the other one takes over.
    a.signal(Signal::SIGSTOP);
    b.becomes("MASTER");
    assert!(
        is_one_there(&a.host, "/run/lab/lingers"),
        "nobody could end it"
    );
    a.signal(Signal::SIGCONT);
    a.said("of its actions were killed, and gone after");
    assert!(are_gone(&a.host, "/run/lab/lingers"), "{}", a.log());
    told_last(
        &a.host,
        &["demote MASTER BACKUP on=0", "demoted RELEASING BACKUP on=0"],
    );
    assert_eq!(
        a.count("web: promoted linger: was stopped"),
        1,
        "{}",
        a.log()
    );
}

#[test]
fn a_script_that_hangs_delays_a_planned_move_by_its_timeout_and_nothing_else() {
    let site = site();
    let group =
        |priority| telling(priority).action("demote", &path("linger"), "timeout = \"300ms\"");
    let [a, b] = site.native_pair_of(|node, priority| native(node, group(priority)));
    let watch = site.watch(&[VIP]);
    answers(&watch, "lb-a", VIP, clock::now());
    let words = ["switchover", "web", "--runtime-dir", "/run/floatlock"];
    let moved = floatlock(&a.host, &words);
    assert!(moved.code == 0, "{moved:?}{}", a.log());
    a.said("web: demote linger: took too long and was killed");
    assert!(are_gone(&a.host, "/run/lab/lingers"), "{}", a.log());
    assert_eq!(b.group("web").role, "MASTER");
    // It kept its lease for as long as it waited.
    assert_eq!(a.count("the lease was lost"), 0, "{}", a.log());
}

/// It has been told to end already when the addresses are to be given up.
#[test]
fn what_comes_after_a_script_that_is_late_does_not_begin_for_a_master_that_goes() {
    let site = site();
    let late =
        "#!/bin/sh\ntrap 'echo told to end >>/run/lab/told' TERM\nwhile :; do sleep 0.05; done\n";
    let host = &site.hosts[0];
    host.write("late", late).unwrap();
    host.sh("chmod 755 /run/lab/late").unwrap();
    let group = Group::web(150)
        .action("promoted", &path("late"), "timeout = \"200ms\"")
        .action("promoted", &path("linger"), "timeout = \"10m\"")
        .action("demote", &path("tell"), "");
    let a = site.start_with(0, &native(NODES[0], group));
    told_last(host, &["told to end"]);
    a.stop();
    told_last(host, &["told to end", "demote MASTER BACKUP on=1"]);
    assert!(host.sh("test -e /run/lab/lingers").is_err(), "{}", a.log());
}

#[test]
fn a_lease_that_is_lost_in_a_planned_move_ends_what_was_left_behind_too() {
    let site = site();
    let leave = "#!/bin/sh\nsetsid sleep 47113 >/dev/null 2>&1 &\necho $! >/run/lab/lingers\n";
    let slow = "#!/bin/sh\necho begins >>/run/lab/told\nsleep 3\necho ends >>/run/lab/told\n";
    for host in &site.hosts {
        host.write("leave", leave).unwrap();
        host.write("slow", slow).unwrap();
        host.sh("chmod 755 /run/lab/leave /run/lab/slow").unwrap();
    }
    let group = |priority| {
        Group::web(priority)
            .action("promoted", &path("leave"), "")
            .action("demote", &path("slow"), "")
    };
    let [a, b] = site.native_pair_of(|node, priority| native(node, group(priority)));
    let left = || a.host.sh("test -s /run/lab/lingers").is_ok();
    assert!(clock::wait_until(SOON, left), "{}", a.log());
    a.signal(Signal::SIGTERM);
    told_last(&a.host, &["begins"]);
    a.signal(Signal::SIGSTOP);
    b.becomes("MASTER");
    a.signal(Signal::SIGCONT);
    a.said("of its actions were killed, and gone after");
    assert!(are_gone(&a.host, "/run/lab/lingers"), "{}", a.log());
    a.demand_good_end();
    assert_eq!(told(&a.host), ["begins", "ends"], "once, and to its end");
}

/// The old group and the new one have the same addresses, and the same scripts.
#[test]
fn a_reload_that_makes_another_router_of_a_group_waits_for_no_scripts_and_their_order_stays() {
    let site = site();
    let host = &site.hosts[0];
    let slow = "#!/bin/sh\necho begins >>/run/lab/told\nsleep 2\necho ends >>/run/lab/told\n";
    host.write("slow", slow).unwrap();
    host.sh("chmod 755 /run/lab/slow").unwrap();
    let group = || {
        Group::web(150)
            .action("promote", &path("tell"), "")
            .action("demote", &path("slow"), "")
    };
    let a = site.start_with(0, &native(NODES[0], group()));
    a.becomes("MASTER");
    let mark = a.mark();
    let other = group().addresses(&["10.77.0.100/24", "fd77::100/64"]);
    a.reload(&native(NODES[0], other));
    a.becomes_after(mark, "web", "MASTER");
    let promote = "promote BACKUP MASTER on=0";
    assert_eq!(told(host), [promote, "begins", "ends", promote]);
    assert_eq!(a.count("the lease was lost"), 0, "{}", a.log());
    assert_eq!(a.count("is put back"), 0, "{}", a.log());
}

#[test]
fn keepalived_s_scripts_drop_in() {
    let site = Site::new();
    let host = &site.hosts[0];
    host.write("tell", TELL).unwrap();
    host.sh("chmod 755 /run/lab/tell").unwrap();
    let notify = Group::web(150).action("any", &path("tell"), "keepalived-args = true");
    let a: Agent = site.start(0, notify);
    a.becomes("MASTER");
    told_last(
        host,
        &[
            "demoted INIT BACKUP on=0 INSTANCE web BACKUP 150",
            "promoted CANDIDATE MASTER on=1 INSTANCE web MASTER 150",
        ],
    );
    a.stop();
    told_last(host, &["stop RELEASING STOPPED on=0 INSTANCE web STOP 150"]);
}

#[test]
fn a_reload_changes_what_runs() {
    let site = site();
    let a = site.start_with(0, &native(NODES[0], Group::web(150)));
    write_key(&site.hosts[0], "cluster", 7);
    a.becomes("MASTER");
    a.reload(&native(NODES[0], telling(150)));
    a.stop();
    told_last(
        &a.host,
        &["demote MASTER BACKUP on=1", "stop RELEASING STOPPED on=0"],
    );
}
