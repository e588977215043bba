//! Does a host whose agent is dead, frozen or mute fall silent before another one answers?

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use floatlock::lab::{Host, Observation, Watch, clock};
use nix::sys::signal::Signal;

use crate::agent::{Agent, floatlock};
use crate::config::{Config, Group};
use crate::site::{SOON, Site, answers, await_address, falls_silent, has};

pub(crate) const VIP: &str = "10.77.0.100";
const VIP6: &str = "fd77::100";
/// Three intervals of 100 ms less what `check` says.
const LEASE: Duration = Duration::from_millis(273);
const INTERVAL: Duration = Duration::from_millis(100);
/// The way of an answer to the client.
const WAY: Duration = Duration::from_millis(20);

fn both(priority: u8) -> Group {
    Group::web(priority).addresses(&["10.77.0.100/24", "fd77::100/64"])
}

pub(crate) fn staying(priority: u8) -> Group {
    both(priority).key("preempt", "false")
}

/// The configuration of a node with this gate.
pub(crate) fn fenced(node: &str, group: Group, gate: &str) -> Config {
    Config::new(node, &[group]).heartbeat(&format!(
        "protocol = \"vrrp3\"\ninterval = \"100ms\"\nmisses = 5\n\n[fencing]\ngate = \"{gate}\"\n"
    ))
}

pub(crate) fn pair(site: &Site, group: impl Fn(u8) -> Group, gate: &str) -> [Agent; 2] {
    site.pair_of(|node, priority| fenced(node, group(priority), gate))
}

/// Each of these is a test of every level.
macro_rules! of_every_level {
    ($($name:ident,)*) => {
        mod bpf {
            $(#[test] fn $name() { super::$name("bpf"); })*
        }
        mod nftables {
            $(#[test] fn $name() { super::$name("nftables"); })*
        }
    };
}

of_every_level! {
    a_killed_agent_s_addresses_are_silent_before_another_host_answers,
    an_agent_that_is_stopped_and_continued_answers_for_nothing_in_between_nor_after,
    a_master_whose_adverts_do_not_leave_falls_silent_and_gives_way,
    a_gate_that_somebody_takes_away_is_missed_at_once_and_put_back,
    a_link_that_appears_gets_the_gate_too,
    the_status_shows_the_gate_and_a_stop_leaves_nothing_of_it,
    an_agent_that_is_started_again_finds_an_open_gate_and_shuts_it,
    a_planned_stop_hands_over_without_two_answers,
}

/// Asks each host by its MAC, whoever is said to have the address.
pub(crate) fn ask_everybody(site: &Site, hosts: [&Host; 2]) -> Watch {
    site.watch_all(&[VIP, VIP6], &hosts)
}

pub(crate) fn demand_no_two_answers(seen: &Observation) {
    for address in [VIP, VIP6] {
        let both = seen.overlap(address.parse().unwrap());
        assert_eq!(both, Duration::ZERO, "two hosts answered for {address}");
    }
}

/// The places where the gate is: two on every interface.
pub(crate) fn places(host: &Host) -> String {
    let script = "{ for way in ingress egress; do for dev in lo eth0; do \
                  tc filter show dev $dev $way | grep floatlock; done; done; \
                  nft list table netdev floatlock 2>/dev/null | grep 'type filter hook'; } | wc -l";
    host.sh(script).unwrap()
}

fn a_killed_agent_s_addresses_are_silent_before_another_host_answers(gate: &str) {
    let site = Site::new();
    let [a, b] = pair(&site, both, gate);
    let watch = ask_everybody(&site, [&a.host, &b.host]);
    answers(&watch, "lb-a", VIP, clock::now());
    let killed = clock::now();
    a.signal(Signal::SIGKILL);
    let began = answers(&watch, "lb-b", VIP, killed);
    answers(&watch, "lb-b", VIP6, killed);
    assert!(has(&a.host, VIP), "nobody has taken it off");
    answers(&watch, "lb-b", VIP, clock::now() + 3 * LEASE);
    let seen = watch.stop();
    demand_no_two_answers(&seen);
    let by_a = |reply: &&floatlock::lab::Reply| &*reply.from == "lb-a";
    let last = seen
        .replies_for(VIP.parse().unwrap(), killed)
        .filter(by_a)
        .last();
    let lasted = last.map_or(Duration::ZERO, |reply| reply.at.since(killed));
    assert!(lasted <= LEASE + WAY, "it answered for {lasted:?}");
    assert!(began.since(killed) > lasted);

    // What systemd runs then.
    let release = floatlock(&a.host, &["release"]);
    assert_eq!(release.code, 0, "{release:?}");
    assert!(!has(&a.host, VIP) && !has(&a.host, VIP6));
    assert_eq!(places(&a.host), "0");
}

fn an_agent_that_is_stopped_and_continued_answers_for_nothing_in_between_nor_after(gate: &str) {
    let site = Site::new();
    let [a, b] = pair(&site, staying, gate);
    let watch = ask_everybody(&site, [&a.host, &b.host]);
    answers(&watch, "lb-a", VIP, clock::now());
    let mark = a.mark();
    let stopped = clock::now();
    a.signal(Signal::SIGSTOP);
    answers(&watch, "lb-b", VIP, stopped);
    answers(&watch, "lb-b", VIP, stopped + 10 * LEASE);
    let continued = clock::now();
    a.signal(Signal::SIGCONT);
    let away = a.becomes_after(mark, "web", "RELEASING");
    assert!(away.cause.contains("did not run for"), "{away:?}");
    await_address(&a.host, VIP, false);
    answers(&watch, "lb-b", VIP, clock::now() + LEASE);
    let seen = watch.stop();
    demand_no_two_answers(&seen);
    let after = seen.replies_for(VIP.parse().unwrap(), continued);
    assert_eq!(after.filter(|reply| &*reply.from == "lb-a").count(), 0);
}

fn a_master_whose_adverts_do_not_leave_falls_silent_and_gives_way(gate: &str) {
    let site = Site::new();
    let [a, b] = pair(&site, staying, gate);
    let watch = ask_everybody(&site, [&a.host, &b.host]);
    answers(&watch, "lb-a", VIP, clock::now());
    let mark = a.mark();
    let muted = clock::now();
    let rules = "table ip mute {\nchain out {\ntype filter hook output priority 0;\n\
                 ip protocol 112 drop\n}\n}\ntable ip6 mute {\nchain out {\n\
                 type filter hook output priority 0;\nmeta l4proto 112 drop\n}\n}\n";
    a.host.sh(&format!("printf '{rules}' | nft -f -")).unwrap();
    let lapsed = a.becomes_after(mark, "web", "RELEASING");
    assert!(lapsed.cause.contains("lease has ended"), "{lapsed:?}");
    answers(&watch, "lb-b", VIP, muted);
    demand_no_two_answers(&watch.stop());
}

fn a_gate_that_somebody_takes_away_is_missed_at_once_and_put_back(gate: &str) {
    let site = Site::new();
    let [a, b] = pair(&site, staying, gate);
    let watch = ask_everybody(&site, [&a.host, &b.host]);
    answers(&watch, "lb-a", VIP, clock::now());
    assert_eq!(places(&a.host), "4");
    let mark = a.mark();
    let began = clock::now();
    let way = match gate {
        "bpf" => "tc qdisc del dev eth0 clsact",
        _ => "nft flush ruleset",
    };
    a.host.sh(way).unwrap();
    let lost = a.becomes_after(mark, "web", "RELEASING");
    assert!(lost.cause.contains("took the gate away"), "{lost:?}");
    let all = match gate {
        "bpf" => "somebody else took the gate off eth0",
        _ => "somebody else took the gate off lo, eth0",
    };
    a.said(all);
    answers(&watch, "lb-b", VIP, began);
    assert!(clock::wait_until(Duration::from_secs(5), || places(
        &a.host
    ) == "4"));
    demand_no_two_answers(&watch.stop());
}

/// Stops one thread of a program and lets the others run, until it is killed.
const STALL: &str = "
import ctypes, os, sys
pid = int(sys.argv[1])
tasks = f'/proc/{pid}/task'
tid = next(int(t) for t in os.listdir(tasks) if open(f'{tasks}/{t}/comm').read().strip() == sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
SEIZE, INTERRUPT = 0x4206, 0x4207
for request in (SEIZE, INTERRUPT):
    if libc.ptrace(request, tid, None, None):
        sys.exit(os.strerror(ctypes.get_errno()))
os.waitpid(tid, 0x40000000)
print('stalled', flush=True)
sys.stdin.read()
";

/// As when another program keeps everybody from changing rulesets.
struct Stall(std::process::Child);

impl Stall {
    fn of(agent: &Agent, thread: &str) -> Self {
        let mut python = Command::new("python3");
        python.args(["-c", STALL, &agent.process.pid().to_string(), thread]);
        python.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        let mut line = String::new();
        let said = BufReader::new(child.stdout.take().unwrap()).read_line(&mut line);
        let stall = Self(child);
        assert_eq!((said.unwrap(), line.as_str()), (8, "stalled\n"));
        stall
    }
}

impl Drop for Stall {
    /// The kernel lets go of what it held.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_gate_that_cannot_be_renewed_in_time_is_an_alarm_and_makes_the_master_give_way() {
    let site = Site::new();
    let pair = pair(&site, staying, "nftables");
    demand_way_of_a_stalled_gate(&site, pair);
}

#[test]
fn a_gate_that_cannot_be_renewed_in_time_makes_the_master_of_a_cluster_give_way() {
    let site = Site::keyed();
    let pair = site.native_pair_of(|node, priority| {
        Config::native(node, &[staying(priority)])
            .heartbeat("interval = \"100ms\"\nmisses = 5\n\n[fencing]\ngate = \"nftables\"\n")
    });
    demand_way_of_a_stalled_gate(&site, pair);
}

fn demand_way_of_a_stalled_gate(site: &Site, [a, b]: [Agent; 2]) {
    let watch = ask_everybody(site, [&a.host, &b.host]);
    answers(&watch, "lb-a", VIP, clock::now());
    let mark = a.mark();
    let stalled = clock::now();
    let stall = Stall::of(&a, "gate");
    let lapsed = a.becomes_after(mark, "web", "RELEASING");
    assert!(lapsed.cause.contains("its lease has ended"), "{lapsed:?}");
    a.said("web: the gate could not be renewed by its deadline");
    answers(&watch, "lb-b", VIP, stalled);
    await_address(&a.host, VIP, false);
    drop(stall);
    a.becomes_after(mark, "web", "BACKUP");
    answers(&watch, "lb-b", VIP, clock::now() + LEASE);
    demand_no_two_answers(&watch.stop());
    // As good as ever.
    b.stop();
    let watch = ask_everybody(site, [&a.host, &b.host]);
    answers(&watch, "lb-a", VIP, clock::now());
}

/// As many rules as before, but another: everything passes.
#[test]
fn a_rule_of_the_gate_that_somebody_swaps_is_missed_at_once_and_put_back() {
    let site = Site::new();
    let [a, b] = pair(&site, staying, "nftables");
    let watch = ask_everybody(&site, [&a.host, &b.host]);
    answers(&watch, "lb-a", VIP, clock::now());
    let mark = a.mark();
    let began = clock::now();
    let swap = "nft replace rule netdev floatlock slot_2 handle $(nft -a list chain netdev floatlock \
                slot_2 | sed -n 's/.*drop # handle //p') counter accept";
    a.host.sh(swap).unwrap();
    let lost = a.becomes_after(mark, "web", "RELEASING");
    assert!(lost.cause.contains("took the gate away"), "{lost:?}");
    a.said("somebody else took the gate off lo, eth0: it was put back");
    answers(&watch, "lb-b", VIP, began);
    let drops = "nft list chain netdev floatlock slot_2 | grep -c drop || true";
    assert_eq!(a.host.sh(drops).unwrap(), "1");
    demand_no_two_answers(&watch.stop());
}

fn a_link_that_appears_gets_the_gate_too(gate: &str) {
    let site = Site::new();
    let a = site.start_with(0, &fenced("lb-a", both(150), gate));
    a.becomes("MASTER");
    a.host
        .sh("ip link add late0 type veth peer name late1")
        .unwrap();
    let guarded = |name: &str| {
        let script = format!(
            "tc filter show dev {name} egress; \
             nft list table netdev floatlock 2>/dev/null | grep {name} | grep egress; true"
        );
        let shown = a.host.sh(&script).unwrap();
        shown.contains("floatlock") || shown.contains("hook egress")
    };
    let soon = Duration::from_secs(5);
    let appears = clock::wait_until(soon, || guarded("late0"));
    assert!(appears, "{}", a.log());
    a.host.sh("ip link set late0 name later").unwrap();
    let follows = clock::wait_until(soon, || guarded("later"));
    assert!(follows, "{}", a.log());
    assert_eq!(a.group("web").role, "MASTER", "{}", a.log());
}

fn the_status_shows_the_gate_and_a_stop_leaves_nothing_of_it(gate: &str) {
    let site = Site::new();
    let [a, b] = pair(&site, both, gate);
    let (of_a, of_b) = (a.status(), b.status());
    assert_eq!((of_a.gate.as_str(), of_b.gate.as_str()), (gate, gate));
    let left = of_a.groups[0].lease_ms.unwrap();
    assert!(left > 0 && Duration::from_millis(left) <= LEASE, "{left}");
    assert_eq!(of_b.groups[0].lease_ms, Some(0));
    a.signal(Signal::SIGTERM);
    a.demand_good_end();
    assert_eq!(places(&a.host), "0");
    assert_eq!(
        a.host.sh("tc qdisc show | grep -c clsact || true").unwrap(),
        "0"
    );
    assert_eq!(a.host.sh("nft list tables").unwrap(), "");
}

/// The gate of one level takes a moment to shut: what is still open then is not resigned yet.
fn a_planned_stop_hands_over_without_two_answers(gate: &str) {
    let site = Site::new();
    let [a, b] = pair(&site, both, gate);
    let watch = ask_everybody(&site, [&a.host, &b.host]);
    answers(&watch, "lb-a", VIP, clock::now());
    let stopped = clock::now();
    a.stop();
    answers(&watch, "lb-b", VIP, stopped);
    answers(&watch, "lb-b", VIP6, stopped);
    demand_no_two_answers(&watch.stop());
}

/// Runs the agent without the right to load BPF programs.
fn start_without_bpf(host: &Host, gate: &str) -> Agent {
    Agent::start_as(host, &fenced("lb-a", both(150), gate), |command| {
        let mut without = Command::new("setpriv");
        without.args(["--bounding-set", "-bpf,-sys_admin"]);
        without.arg(command.get_program()).args(command.get_args());
        *command = without;
    })
}

#[test]
fn where_bpf_is_refused_nftables_is_the_best_there_is() {
    let site = Site::new();
    let a = start_without_bpf(&site.hosts[0], "auto");
    a.becomes("MASTER");
    a.said("gate: nftables, since bpf is refused: ");
    assert!(
        a.status()
            .gate
            .starts_with("nftables, since bpf is refused")
    );
    assert!(!a.status().text().contains("UNSAFE"));
    assert_eq!(places(&a.host), "4");
}

#[test]
fn where_both_are_refused_there_is_no_gate_and_both_reasons() {
    let site = Site::new();
    let host = &site.hosts[0];
    host.sh("mount --bind /dev/null $(command -v nft)").unwrap();
    let a = start_without_bpf(host, "auto");
    a.becomes("MASTER");
    let said = a.said("gate: off, since bpf is refused: ");
    assert!(said.contains("and nftables is refused: "), "{said}");
    assert!(a.status().text().contains("UNSAFE"));
}

#[test]
fn without_the_gate_that_is_demanded_no_agent_starts() {
    for gate in ["bpf", "nftables"] {
        let site = Site::new();
        let host = &site.hosts[0];
        host.sh("mount --bind /dev/null $(command -v nft)").unwrap();
        let a = start_without_bpf(host, gate);
        a.said(&format!("installing the gate {gate} (needs Linux 5."));
        assert!(!a.process.wait(SOON).unwrap().success());
    }
}

/// Whatever the level of the agent before was, nothing of it stays.
#[test]
fn an_agent_with_another_gate_takes_the_old_one_away() {
    for [before, after] in [["bpf", "nftables"], ["nftables", "bpf"]] {
        let site = Site::new();
        let a = site.start_with(0, &fenced("lb-a", both(150), before));
        a.becomes("MASTER");
        a.signal(Signal::SIGKILL);
        let _ = a.process.wait(SOON);
        let again = site.start_with(0, &fenced("lb-a", both(150), after));
        again.becomes("MASTER");
        assert_eq!(again.status().gate, after);
        assert_eq!(places(&again.host), "4", "{before} is still there");
        let watch = ask_everybody(&site, [&again.host, &again.host]);
        answers(&watch, "lb-a", VIP, clock::now());
    }
}

#[test]
fn without_a_gate_the_agent_says_that_it_is_unsafe() {
    let site = Site::new();
    let config = Config::new("lb-a", &[both(150)]);
    let a = site.start_with(
        0,
        &config.heartbeat(
            "protocol = \"vrrp3\"\ninterval = \"100ms\"\nmisses = 5\n\n[fencing]\ngate = \"off\"\n",
        ),
    );
    a.becomes("MASTER");
    a.said("gate: off, as configured; the addresses of a dead or frozen agent go on answering");
    assert_eq!(places(&a.host), "0");
    assert_eq!(a.group("web").lease_ms, None);
    let text = a.status().text();
    assert!(text.contains("UNSAFE"), "{text}");
}

#[test]
fn adverts_too_fast_for_a_lease_run_without_one() {
    let site = Site::new();
    let config = Config::new("lb-a", &[both(150)]);
    let fast = config.heartbeat("protocol = \"vrrp3\"\ninterval = \"20ms\"\n");
    let a = site.start_with(0, &fast);
    a.becomes("MASTER");
    assert_eq!(a.group("web").lease_ms, None);
    let watch = ask_everybody(&site, [&a.host, &a.host]);
    answers(&watch, "lb-a", VIP, clock::now());
}

/// A restarted agent shuts what the one before left open, before it takes it off.
fn an_agent_that_is_started_again_finds_an_open_gate_and_shuts_it(gate: &str) {
    let site = Site::new();
    let slow = || {
        Config::new("lb-a", &[both(150)]).heartbeat(&format!(
            "protocol = \"vrrp3\"\ninterval = \"5s\"\n\n[fencing]\ngate = \"{gate}\"\n"
        ))
    };
    let a = site.start_with(0, &slow());
    a.becomes("MASTER");
    let host = a.host.clone();
    // And waits for its end: closing packet sockets takes a dying process milliseconds.
    a.process.kill();
    let watch = ask_everybody(&site, [&host, &host]);
    answers(&watch, "lb-a", VIP, clock::now());
    let again = site.start_with(0, &slow());
    await_address(&host, VIP, false);
    falls_silent(&watch, VIP, clock::now(), 2 * INTERVAL);
    assert_eq!(places(&host), "4");
    assert!(again.is_running());
}
