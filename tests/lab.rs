//! Does the laboratory do what it says, and is nothing left of it? Needs root.

// Helpers of tests are tests too, which the lints do not know.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read};
use std::net::IpAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::core::election::Version;
use floatlock::lab::agent::{AgentKind, GroupSetup, Setup};
use floatlock::lab::demo::{self, Ended, Scenario};
use floatlock::lab::{
    Ask, Host, Lab, LabError, Lan, Observation, Process, Question, Reply, Traffic, Watch,
    WatchOptions, clock,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SOON: Duration = Duration::from_secs(10);
/// Nothing in the laboratory takes so long to answer.
const SILENCE: Duration = Duration::from_millis(700);
const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 77, 0, 100));
const VIP6: &str = "fd77::100";

/// Two hosts and a client on one network.
struct Bench {
    lan: Lan,
    a: Host,
    b: Host,
    client: Host,
    lab: Lab,
}

fn bench() -> Bench {
    let lab = Lab::new().expect("a laboratory");
    let lan = lab.lan("lan0").unwrap();
    let host = |name, last: u8| {
        let host = lab.host(name).unwrap();
        let addresses = [format!("10.77.0.{last}/24"), format!("fd77::{last}/64")];
        let [v4, v6] = &addresses;
        lan.attach(&host, "eth0", &[v4, v6]).unwrap();
        host
    };
    let (a, b, client) = (host("lb-a", 1), host("lb-b", 2), host("client", 9));
    Bench {
        lan,
        a,
        b,
        client,
        lab,
    }
}

impl Bench {
    fn watch(&self, address: IpAddr) -> Watch {
        Watch::start(&self.client, WatchOptions::new(&[address])).unwrap()
    }

    /// Whether lb-a gets an answer from that address.
    fn reaches(&self, address: &str) -> bool {
        answers(&self.a, address)
    }
}

/// Whether a host gets an answer from an address, now.
fn answers(from: &Host, address: &str) -> bool {
    let address: IpAddr = address.parse().unwrap();
    let watch = Watch::start(from, WatchOptions::new(&[address])).unwrap();
    let reply = watch.wait_for(SILENCE, |seen| seen.last_reply(address).map(drop));
    reply.is_some()
}

fn hold(host: &Host, address: &str) {
    host.sh(&format!("ip addr add {address} dev eth0")).unwrap();
}

#[test]
fn hosts_on_a_network_reach_each_other_at_once_over_both_families() {
    let bench = bench();
    for other in ["10.77.0.2", "fd77::2"] {
        assert!(bench.reaches(other), "{other}");
    }
    let addresses = bench.b.addresses().unwrap();
    let expected = ("eth0".to_owned(), "10.77.0.2/24".parse().unwrap());
    assert!(addresses.contains(&expected), "{addresses:?}");
}

#[test]
fn a_program_on_a_host_sees_the_hosts_own_name_run_directory_and_interfaces() {
    let bench = bench();
    assert_eq!(bench.a.sh("uname -n").unwrap(), "lb-a");
    assert_eq!(bench.a.sh("ls /run").unwrap(), "lab");
    assert_eq!(bench.a.sh("ls /sys/class/net").unwrap(), "eth0\nlo");
    bench.a.sh("echo a > /run/mine").unwrap();
    assert!(bench.b.sh("cat /run/mine").is_err());
    assert!(!fs::exists("/run/mine").unwrap());
}

#[test]
fn a_cut_with_and_without_carrier_ends_with_the_healing() {
    let bench = bench();
    let carrier = || bench.b.sh("cat /sys/class/net/eth0/carrier").unwrap();
    bench.lan.cut(&bench.b).unwrap();
    assert_eq!(carrier(), "0");
    assert!(!bench.reaches("10.77.0.2"));
    bench.lan.heal(&bench.b).unwrap();
    assert!(bench.reaches("10.77.0.2"));
    bench.lan.cut_silently(&bench.b).unwrap();
    assert_eq!(carrier(), "1");
    assert!(!bench.reaches("10.77.0.2"));
    bench.lan.heal(&bench.b).unwrap();
    assert!(bench.reaches("10.77.0.2"));
}

#[test]
fn a_one_way_drop_drops_one_way_and_only_what_it_says() {
    let bench = bench();
    let (a, b) = (&bench.a, &bench.b);
    assert!(bench.reaches("10.77.0.2"));
    bench.lan.drop_one_way(a, b, Traffic::Vrrp).unwrap();
    assert!(bench.reaches("10.77.0.2"));
    bench.lan.drop_one_way(b, a, Traffic::All).unwrap();
    assert!(!bench.reaches("10.77.0.2"));
    bench.lan.drop_nothing().unwrap();
    assert!(bench.reaches("10.77.0.2"));
}

#[test]
fn each_reply_is_attributed_to_the_host_that_answered() {
    let bench = bench();
    for (address, held) in [
        (VIP, "10.77.0.100/32"),
        (VIP6.parse().unwrap(), "fd77::100/128"),
    ] {
        let watch = bench.watch(address);
        hold(&bench.a, held);
        let from = |host: &'static str| {
            watch.wait_for(SOON, move |seen| {
                let first = seen.first_reply_from(host, address, Default::default());
                first.map(|reply| reply.at)
            })
        };
        assert!(from("lb-a").is_some(), "{address}");
        let moved = clock::now();
        bench.a.sh(&format!("ip addr del {held} dev eth0")).unwrap();
        hold(&bench.b, held);
        bench.client.sh("ip neigh flush dev eth0").unwrap();
        assert!(from("lb-b").is_some_and(|at| at > moved), "{address}");
        let seen = watch.stop();
        assert!(seen.takeover("lb-b", address, moved).is_some());
        assert_eq!((seen.overlap(address), seen.missed), (Duration::ZERO, 0));
    }
}

#[test]
fn two_holders_at_once_are_seen_when_every_host_is_asked() {
    let bench = bench();
    for (address, held) in [
        (VIP, "10.77.0.100/32"),
        (VIP6.parse().unwrap(), "fd77::100/128"),
    ] {
        let macs = [&bench.a, &bench.b].map(|host| host.mac_on(&bench.lan).unwrap());
        let watch = Watch::start(
            &bench.client,
            WatchOptions {
                ask: Ask::Hosts(macs.to_vec()),
                ..WatchOptions::new(&[address])
            },
        )
        .unwrap();
        hold(&bench.a, held);
        hold(&bench.b, held);
        let both = watch.wait_for(SOON, |seen| {
            (seen.overlap(address) > Duration::from_millis(20)).then_some(())
        });
        assert!(both.is_some(), "{address}");
    }
}

#[test]
fn an_answer_for_another_address_is_none() {
    let bench = bench();
    let (own, vip) = ("fd77::1", VIP6.parse().unwrap());
    let watch = Watch::start(
        &bench.client,
        WatchOptions {
            ask: Ask::Hosts(vec![bench.a.mac_on(&bench.lan).unwrap()]),
            neighbours: true,
            ..WatchOptions::new(&[vip])
        },
    )
    .unwrap();
    assert!(answers(&bench.client, own), "its neighbours find it");
    hold(&bench.a, "fd77::100/128");
    let is_neighbour = |reply: &Reply| reply.question == Question::Neighbour;
    let found = |seen: &Observation| seen.replies.iter().any(is_neighbour).then_some(());
    assert!(watch.wait_for(SOON, found).is_some());
    let mut replies = watch.stop().replies.into_iter();
    assert!(replies.all(|reply| reply.address == vip));
}

#[test]
fn a_host_without_power_runs_nothing_and_comes_back_with_its_disk_alone() {
    let bench = bench();
    let a = &bench.a;
    let sleeper = a.spawn(sleep()).unwrap();
    // A daemon: not our child, in a session of its own.
    a.sh("setsid sleep 1000 </dev/null >/dev/null 2>&1 &")
        .unwrap();
    let programs = a.processes().unwrap();
    assert_eq!(programs.len(), 2);
    a.write("kept", "kept\n").unwrap();
    a.sh("echo lost > /run/lost").unwrap();
    hold(a, "10.77.0.100/24");
    assert!(answers(&bench.client, "10.77.0.100"));
    a.power_off().unwrap();
    assert!(sleeper.has_ended(Duration::ZERO).unwrap());
    assert!(
        programs
            .iter()
            .all(|pid| name_of(&pid.to_string()) != "sleep")
    );
    assert!(matches!(a.sh("true"), Err(LabError::Off { .. })));
    assert!(!answers(&bench.client, "10.77.0.1"));
    a.power_on().unwrap();
    assert_eq!(a.sh("cat /run/lab/kept; ls /run").unwrap(), "kept\nlab");
    assert!(!a.has_address(VIP).unwrap());
    assert!(a.has_address("10.77.0.1".parse().unwrap()).unwrap());
    assert!(clock::wait_until(SOON, || answers(
        &bench.client,
        "10.77.0.1"
    )));
}

#[test]
fn a_frozen_host_still_answers_and_its_programs_stand_still() {
    let bench = bench();
    let a = &bench.a;
    let mut count = Command::new("sh");
    let script = "trap 'echo heard' USR1; echo ready; while :; do read x < /run/none; done";
    count.args(["-c", script]);
    let program = a.spawn(count).unwrap();
    program.wait_for_line("ready", SOON).unwrap();
    a.freeze().unwrap();
    let state = || fs::read_to_string(format!("/proc/{}/stat", program.pid())).unwrap();
    assert!(
        clock::wait_until(SOON, || state().contains(") T ")),
        "{}",
        state()
    );
    assert!(answers(&bench.client, "10.77.0.1"));
    program.signal(Signal::SIGUSR1).unwrap();
    a.thaw().unwrap();
    program.wait_for_line("heard", SOON).unwrap();
}

#[test]
fn what_cannot_be_is_refused_with_its_name() {
    let bench = bench();
    let text = |error: LabError| error.to_string();
    let lonely = bench.lab.host("lonely").unwrap();
    let expected = "lonely is not attached to lan0";
    assert_eq!(text(bench.lan.cut(&lonely).unwrap_err()), expected);
    let again = bench.lan.attach(&bench.a, "eth1", &[]).unwrap_err();
    assert_eq!(text(again), "lb-a is attached to lan0 already");
    let wrong = bench
        .lan
        .attach(&lonely, "eth0", &["10.77.0.300/24"])
        .unwrap_err();
    assert!(text(wrong).starts_with("\"10.77.0.300/24\" is not an address"));
    let failed = text(bench.a.sh("echo why; exit 3").unwrap_err());
    assert!(
        failed.contains("exit status: 3") && failed.ends_with("why"),
        "{failed}"
    );
    let missing = text(bench.a.spawn(Command::new("/no/such")).unwrap_err());
    assert!(
        missing.starts_with("cannot start such on lb-a"),
        "{missing}"
    );
}

#[test]
fn a_laboratory_that_is_dropped_leaves_nothing() {
    let before = interfaces();
    let bench = bench();
    let marker = marker();
    let mut command = sleep();
    command.env(MARK, &marker);
    let _daemon = bench.a.spawn(command).unwrap();
    assert!(clock::wait_until(SOON, || marked(&marker).len() == 1));
    assert_eq!(interfaces(), before, "all is in namespaces");
    drop(bench);
    assert_eq!(marked(&marker), BTreeSet::new());
}

#[test]
fn a_laboratory_that_is_killed_leaves_nothing() {
    let mut helper = Helper::start("helper_with_a_lab", &[]);
    helper.wait_for("the lab is up");
    helper.wait_for_count("sleep", 2);
    helper.kill_and_check();
}

#[test]
fn a_demo_that_is_killed_leaves_nothing() {
    let mut helper = Helper::start("helper_with_a_demo", &[]);
    helper.wait_for("is MASTER");
    // Two parents and two children.
    helper.wait_for_count("keepalived", 4);
    helper.wait_for_count("haproxy", 2);
    helper.kill_and_check();
}

#[test]
fn ctrl_c_ends_the_demo_and_removes_everything() {
    let mut helper = Helper::start("helper_with_a_demo", &[]);
    helper.wait_for("is MASTER");
    let pid = Pid::from_raw(helper.child.id() as i32);
    kill(pid, Signal::SIGINT).unwrap();
    assert_eq!(helper.child.wait().unwrap().code(), Some(130));
    assert_eq!(marked(&helper.marker), BTreeSet::new());
}

#[test]
fn without_the_right_to_make_namespaces_the_demo_says_so_and_exits_4() {
    let mut helper = Helper::start(
        "helper_with_a_demo",
        &["setpriv", "--bounding-set=-sys_admin"],
    );
    assert_eq!(helper.child.wait().unwrap().code(), Some(4));
    let mut error = String::new();
    helper
        .child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut error)
        .unwrap();
    assert!(
        error.starts_with("floatlock demo: needs root: making a network namespace"),
        "{error}"
    );
}

/// Not a test of its own: others start it, and kill it.
#[test]
#[ignore = "started by other tests"]
fn helper_with_a_lab() {
    std::env::var(MARK).expect("started by another test");
    let bench = bench();
    let _programs = [&bench.a, &bench.b].map(|host| host.spawn(sleep()).unwrap());
    println!("the lab is up");
    clock::pause(Duration::from_secs(60));
}

/// Not a test of its own: others start it, and kill or interrupt it.
#[test]
#[ignore = "started by other tests"]
fn helper_with_a_demo() {
    std::env::var(MARK).expect("started by another test");
    let options = with_keepalived(Scenario::Failover);
    let ended = demo::run(&options, &mut std::io::stdout(), &mut std::io::stderr());
    std::process::exit(ended.code().into());
}

/// In the environment of a helper and of all that it starts.
const MARK: &str = "FLOATLOCK_LAB_MARK";

/// This test program once more, as something to kill.
struct Helper {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    marker: String,
    interfaces: BTreeSet<String>,
}

impl Helper {
    fn start(test: &str, through: &[&str]) -> Self {
        let (interfaces, marker) = (interfaces(), marker());
        let program = std::env::current_exe().unwrap();
        let words = through
            .iter()
            .map(OsString::from)
            .chain([program.into_os_string()]);
        let words: Vec<OsString> = words.collect();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(MARK, &marker)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            lines,
            marker,
            interfaces,
        }
    }

    fn wait_for(&mut self, pattern: &str) {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        assert!(
            lines.any(|line| line.contains(pattern)),
            "it ended before {pattern:?}"
        );
    }

    /// How many processes of that name belong to it.
    fn count(&self, name: &str) -> usize {
        marked(&self.marker)
            .iter()
            .filter(|pid| name_of(pid) == name)
            .count()
    }

    /// A program that has just been started has its name and its environment a moment after the one who
    /// started it is told: the kernel closes the descriptor that tells before it sets them.
    fn wait_for_count(&self, name: &str, count: usize) {
        let is_so = || self.count(name) == count;
        assert!(
            clock::wait_until(SOON, is_so),
            "{} of {count} {name}",
            self.count(name)
        );
    }

    fn kill_and_check(&mut self) {
        let namespaces: BTreeSet<String> = marked(&self.marker).iter().map(|p| net_of(p)).collect();
        let own = net_of("self");
        assert!(namespaces.len() > 2);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let marked = || marked(&self.marker);
        assert!(
            clock::wait_until(SOON, || marked().is_empty()),
            "{:?}",
            marked()
        );
        let held = |pid: &String| net_of(pid) != own && namespaces.contains(&net_of(pid));
        let free = || !all_processes().iter().any(held);
        assert!(clock::wait_until(SOON, free), "a namespace is still in use");
        assert_eq!(interfaces(), self.interfaces);
        assert!(!fs::exists("/run/lab").unwrap());
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // A failed assertion leaves it running; everything of it goes with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sleep() -> Command {
    let mut command = Command::new("sleep");
    command.arg("1000");
    command
}

/// Something that nothing else has in its environment.
fn marker() -> String {
    format!("{}-{:?}", std::process::id(), std::thread::current().id())
}

fn marked(marker: &str) -> BTreeSet<String> {
    let wanted = format!("{MARK}={marker}");
    let is_marked = |pid: &String| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|b| *b == 0)
            .any(|entry| entry == wanted.as_bytes())
    };
    all_processes().into_iter().filter(is_marked).collect()
}

fn all_processes() -> BTreeSet<String> {
    let names = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        name.bytes().all(|b| b.is_ascii_digit()).then_some(name)
    });
    names.collect()
}

fn name_of(pid: &str) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim().to_owned()
}

fn net_of(pid: &str) -> String {
    let link = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap_or_default();
    link.display().to_string()
}

/// The interfaces of the machine itself.
fn interfaces() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/self/net/dev").unwrap();
    let names = table.lines().filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

fn with_keepalived(scenario: Scenario) -> demo::Options {
    demo::Options {
        scenario,
        agent: AgentKind::Keepalived,
        ..demo::Options::new("/no/such/floatlock".into())
    }
}

/// Plays a scenario with keepalived as the agent and returns the story.
fn story(scenario: Scenario) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ended = demo::run(&with_keepalived(scenario), &mut out, &mut err);
    let [out, err] = [out, err].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(ended, Ended::AsExpected, "{out}{err}");
    assert!(out.ends_with("\nEverything is removed.\n"), "{out}");
    println!("{out}");
    out
}

#[test]
fn the_demo_of_a_failover_tells_what_a_power_loss_costs() {
    let story = story(Scenario::Failover);
    let row = story
        .lines()
        .find(|line| line.starts_with("  lb-a loses power"));
    let cells = row.expect(&story).split("   ").map(str::trim);
    let cells: Vec<&str> = cells.filter(|cell| !cell.is_empty()).collect();
    assert_eq!(cells[..2], ["lb-a loses power", "lb-b"], "{story}");
    let (number, unit) = cells[2].split_once(' ').expect(&story);
    let length: f64 = number.parse().expect(&story);
    let silence = if unit == "s" { length * 1e3 } else { length };
    // Three adverts of 200 ms and the skew of priority 100, less the age of the last advert; a
    // machine with other work may stretch it.
    assert!(silence >= 400.0, "{story}");
    assert!(!cells[3].starts_with("0 of"), "{story}");
}

#[test]
fn the_demo_without_preemption_keeps_the_address_where_it_is() {
    assert!(story(Scenario::PreemptOff).contains("lb-b still answers"));
}

#[test]
fn the_demo_of_a_cut_link_tells_of_two_holders() {
    let story = story(Scenario::LinkDown);
    let row = story
        .lines()
        .find(|line| line.contains("both hosts answering at once"));
    // The silent cut makes two masters that meet when it is healed.
    assert!(!row.expect(&story).ends_with(" 0 ms"), "{story}");
}

/// Starts keepalived on both hosts.
fn keepalived_pair(bench: &Bench, change: impl Fn(&mut GroupSetup, &Host)) -> [Process; 2] {
    let addresses = ["10.77.0.100/24", "fd77::100/64"].map(|net| net.parse().unwrap());
    [(&bench.a, 150), (&bench.b, 100)].map(|(host, priority)| {
        let mut group = GroupSetup::new(priority, &addresses);
        change(&mut group, host);
        let setup = Setup {
            node: host.name().to_owned(),
            nodes: vec!["lb-a".to_owned(), "lb-b".to_owned()],
            groups: vec![group],
        };
        AgentKind::Keepalived.start(host, &setup).unwrap()
    })
}

#[test]
fn a_keepalived_pair_fails_over_in_both_families() {
    let bench = bench();
    let v6: IpAddr = VIP6.parse().unwrap();
    let watch = Watch::start(&bench.client, WatchOptions::new(&[VIP, v6])).unwrap();
    let _pair = keepalived_pair(&bench, |_, _| {});
    let first = |host: &'static str, after| {
        let both = move |seen: &Observation| {
            let first = |address| seen.first_reply_from(host, address, after).map(|r| r.at);
            first(VIP).zip(first(v6))
        };
        watch.wait_for(SOON, both)
    };
    assert!(first("lb-a", Instant::default()).is_some());
    let lost = clock::now();
    bench.a.power_off().unwrap();
    assert!(first("lb-b", lost).is_some());
    // The client may be answered before it is told.
    let told = |seen: &Observation, address| {
        let mut of_b = seen.announcements.iter().filter(|a| &*a.from == "lb-b");
        of_b.any(|a| a.address == address).then_some(())
    };
    let both_told = move |seen: &Observation| told(seen, VIP).and(told(seen, v6));
    assert!(watch.wait_for(SOON, both_told).is_some());
    let seen = watch.stop();
    let advert = seen.adverts_from("lb-b", lost).next().unwrap();
    assert_eq!((advert.version, advert.id, advert.priority), (3, 51, 100));
    for address in [VIP, v6] {
        let gap = seen.takeover("lb-b", address, lost).unwrap();
        assert!(gap.length() > Duration::from_millis(400), "{gap:?}");
        assert!(seen.last_reply(address).is_some_and(|r| &*r.from == "lb-b"));
    }
}

#[test]
fn keepalived_understands_unicast_version_2_and_a_password() {
    let bench = bench();
    let watch = bench.watch(VIP);
    let pair = keepalived_pair(&bench, |group, host| {
        let (own, other) = if host.name() == "lb-a" {
            (1, 2)
        } else {
            (2, 1)
        };
        group.version = Version::V2;
        group.interval = Duration::from_secs(1);
        group.addresses.truncate(1);
        group.source = vec![IpAddr::from([10, 77, 0, own])];
        group.peers = vec![IpAddr::from([10, 77, 0, other])];
        group.auth_pass = Some("1111".to_owned());
    });
    let answer = watch.wait_for(SOON, |seen| seen.last_reply(VIP).cloned());
    assert_eq!(answer.map(|r| r.from.to_string()).as_deref(), Some("lb-a"));
    // Long enough for lb-b to become MASTER too, if it heard nothing.
    clock::pause(Duration::from_secs(4));
    let lines: Vec<String> = pair[1].lines().into_iter().map(|l| l.text).collect();
    assert!(
        !lines.iter().any(|l| l.contains("MASTER STATE")),
        "{lines:#?}"
    );
    assert!(
        watch
            .observation()
            .adverts
            .iter()
            .all(|a| &*a.from != "lb-b")
    );
}
