//! Does the watchdog run exactly while it must? A file stands in for the device, and a program for what the
//! device would do: it says when it would have reset the host.

use std::process::Command;
use std::time::Duration;

use floatlock::lab::{Host, Process, clock};
use nix::sys::signal::Signal;

use crate::agent::{Agent, floatlock};
use crate::config::{Config, Group};
use crate::site::{SOON, Site, answers};

const VIP: &str = "10.77.0.100";
/// Leases of 2 s, for which a device of 1 s is a fence.
const LONG: &str = "interval = \"200ms\"\nmisses = 10\n";
/// Where it is on a host.
const STAND_IN: &str = "/run/lab/watchdog";

/// Says `runs` and `stopped` when that changes, and `RESET` when a device of 1 s, fast by 1 %, would have fired.
const DEVICE: &str = "
import os, time
runs = False
while True:
    with open('/run/lab/watchdog', 'rb') as file:
        text, petted = file.read(), os.fstat(file.fileno()).st_mtime_ns
    now = text not in (b'', b'V')
    if now != runs:
        runs = now
        print('runs' if runs else 'stopped', flush=True)
    if runs and time.time_ns() - petted > 990_000_000:
        print('RESET', flush=True)
        break
    time.sleep(0.005)
";

fn device(host: &Host) -> Process {
    host.write("watchdog", "").unwrap();
    let mut program = Command::new("python3");
    program.args(["-c", DEVICE]);
    host.spawn(program).unwrap()
}

fn watched(node: &str, priority: u8) -> Config {
    watched_and("", node, priority)
}

/// With other lines under `[fencing]`.
fn watched_and(lines: &str, node: &str, priority: u8) -> Config {
    let group = Group::web(priority);
    let fencing = format!("watchdog = \"{STAND_IN}\"\n{lines}");
    let config = Config::native(node, &[group]).heartbeat(LONG);
    config.fencing(&fencing)
}

fn says(device: &Process, what: &str) {
    device.wait_for_line(what, SOON).unwrap();
}

fn demand_no_reset(device: &Process, agent: &Agent) {
    let said = device.last_lines(10);
    assert!(!said.contains("RESET"), "{said}\n{}", agent.log());
}

#[test]
fn it_runs_while_addresses_are_held_and_is_stopped_with_them() {
    let site = Site::keyed();
    let devices = [0, 1].map(|number| device(&site.hosts[number]));
    let [a, b] = site.native_pair_of(watched);
    a.said("watchdog /run/lab/watchdog: armed");
    says(&devices[0], "runs");
    let status = a.status().watchdog.expect("configured");
    assert!(status.armed && status.fences == Some(true), "{status:?}");
    assert_eq!(status.timeout_ms, Some(1000));
    let idle = b.status().watchdog.expect("configured");
    assert!(!idle.armed && idle.trouble.is_none(), "{idle:?}");
    // For longer than the device waits.
    clock::pause(Duration::from_millis(1500));
    demand_no_reset(&devices[0], &a);
    assert_eq!(devices[1].last_lines(10), "", "the standby needs none");
    a.stop();
    a.demand_good_end();
    says(&devices[0], "stopped");
    says(&devices[1], "runs");
}

#[test]
fn an_agent_that_is_killed_leaves_it_running_and_the_next_one_stops_it() {
    let site = Site::keyed();
    let device = device(&site.hosts[0]);
    let a = site.start_with(0, &watched("lb-a", 150));
    a.becomes("MASTER");
    says(&device, "runs");
    a.signal(Signal::SIGKILL);
    says(&device, "RESET");
    let again = site.start_with(0, &watched("lb-a", 150));
    again.said("an earlier agent left it running");
    again.said("watchdog /run/lab/watchdog: stopped");
    again.becomes("MASTER");
    again.said("watchdog /run/lab/watchdog: armed");
}

/// As the unit does after a crash.
#[test]
fn release_stops_what_a_dead_agent_left_running() {
    let site = Site::keyed();
    let device = device(&site.hosts[0]);
    let a = site.start_with(0, &watched("lb-a", 150));
    a.becomes("MASTER");
    says(&device, "runs");
    a.signal(Signal::SIGKILL);
    assert!(clock::wait_until(SOON, || !a.is_running()));
    let ran = floatlock(&a.host, &["release", "-c", "/run/lab/floatlock.toml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.output.contains("stopped /run/lab/watchdog"), "{ran:?}");
    says(&device, "stopped");
    demand_no_reset(&device, &a);
}

#[test]
fn an_agent_that_stands_still_is_reset_before_another_one_answers() {
    let site = Site::keyed();
    let device = device(&site.hosts[0]);
    let [a, b] = site.native_pair_of(watched);
    let watch = site.watch_all(&[VIP], &[&a.host, &b.host]);
    answers(&watch, "lb-a", VIP, clock::now());
    says(&device, "runs");
    let at = clock::now();
    a.signal(Signal::SIGSTOP);
    says(&device, "RESET");
    let reset = clock::now();
    a.host.power_off().unwrap();
    let answered = answers(&watch, "lb-b", VIP, at);
    assert!(reset < answered, "{reset:?} {answered:?}\n{}", b.log());
}

/// A lease that ends is no reason for a reset: the holder gives up while the device still waits.
#[test]
fn a_holder_that_is_cut_off_falls_silent_and_is_not_reset() {
    let site = Site::keyed();
    let device = device(&site.hosts[0]);
    let gateway = site.lab.host("gateway").unwrap();
    site.lan
        .attach(&gateway, "eth0", &["10.77.0.254/24"])
        .unwrap();
    let reference = "reference = [\"10.77.0.254\"]\n";
    let [a, b] = site.native_pair_of(|node, priority| watched_and(reference, node, priority));
    says(&device, "runs");
    site.lan.cut_silently(&a.host).unwrap();
    let said = a.said("the lease was lost: the gate shut at once");
    assert!(said.contains("were off, verified, after"), "{said}");
    says(&device, "stopped");
    demand_no_reset(&device, &a);
    assert!(a.is_running());
    b.becomes("MASTER");
}

/// In a process namespace of its own, reboot(2) ends every process of it.
#[test]
fn a_lost_lease_reboots_the_host_where_that_is_demanded() {
    let site = Site::keyed();
    let device = device(&site.hosts[0]);
    let reboot = "on-lease-lost = \"reboot\"\n";
    let [a, b] = site.native_pair_of(|node, priority| watched_and(reboot, node, priority));
    says(&device, "runs");
    let script = "tc filter del dev eth0 ingress; tc filter del dev eth0 egress";
    a.host.sh(script).unwrap();
    a.said("on-lease-lost: rebooting this host");
    assert!(clock::wait_until(SOON, || !a.is_running()), "{}", a.log());
    a.host.power_off().unwrap();
    let after = b.becomes("MASTER");
    assert_eq!(b.count("rebooting"), 0, "{after:?}");
}

#[test]
fn a_device_that_is_none_is_said_and_keeps_nobody_from_serving() {
    let site = Site::keyed();
    let none = Config::native("lb-a", &[Group::web(150)]).fencing("watchdog = \"/dev/null\"\n");
    let a = site.start_with(0, &none);
    a.becomes("MASTER");
    a.said("watchdog /dev/null: opening it: it is no watchdog; nothing resets this host");
    let status = a.status();
    let text = status.text();
    assert!(
        text.contains("watchdog /dev/null: NOT USED: opening it: it is no watchdog"),
        "{text}"
    );
}
