//! Does the laboratory do what it says, and is nothing left of it? Needs root.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use floatlock::lab::{Ask, Host, Lab, LabError, Lan, Traffic, Watch, WatchOptions, clock};
use nix::sys::signal::Signal;

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
    for (address, held) in [(VIP, "10.77.0.100/32"), (VIP6.parse().unwrap(), "fd77::100/128")] {
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
    for (address, held) in [(VIP, "10.77.0.100/32"), (VIP6.parse().unwrap(), "fd77::100/128")] {
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
fn a_host_without_power_runs_nothing_and_comes_back_with_its_disk_alone() {
    let bench = bench();
    let a = &bench.a;
    let sleeper = a.spawn(sleep()).unwrap();
    // A daemon: not our child, in a session of its own.
    a.sh("setsid sleep 1000 </dev/null >/dev/null 2>&1 &").unwrap();
    a.write("kept", "kept\n").unwrap();
    a.sh("echo lost > /run/lost").unwrap();
    hold(a, "10.77.0.100/24");
    assert!(answers(&bench.client, "10.77.0.100"));
    a.power_off().unwrap();
    assert!(sleeper.has_ended(Duration::ZERO).unwrap());
    assert!(matches!(a.sh("true"), Err(LabError::Off { .. })));
    assert!(!answers(&bench.client, "10.77.0.1"));
    a.power_on().unwrap();
    assert_eq!(a.sh("cat /run/lab/kept; ls /run").unwrap(), "kept\nlab");
    assert!(!a.has_address(VIP).unwrap());
    assert!(a.has_address("10.77.0.1".parse().unwrap()).unwrap());
    assert!(answers(&bench.client, "10.77.0.1"));
}

#[test]
fn a_frozen_host_still_answers_and_its_programs_stand_still() {
    let bench = bench();
    let a = &bench.a;
    let mut count = Command::new("sh");
    count.args(["-c", "trap 'echo heard' USR1; while :; do read x < /run/none; done 2>/dev/null"]);
    let program = a.spawn(count).unwrap();
    a.freeze().unwrap();
    let state = || fs::read_to_string(format!("/proc/{}/stat", program.pid())).unwrap();
    assert!(clock::wait_until(SOON, || state().contains(") T ")), "{}", state());
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
    let wrong = bench.lan.attach(&lonely, "eth0", &["10.77.0.300/24"]).unwrap_err();
    assert!(text(wrong).starts_with("\"10.77.0.300/24\" is not an address"));
    let failed = text(bench.a.sh("echo why; exit 3").unwrap_err());
    assert!(failed.contains("exit status: 3") && failed.ends_with("why"), "{failed}");
    let missing = text(bench.a.spawn(Command::new("/no/such")).unwrap_err());
    assert!(missing.starts_with("cannot start such on lb-a"), "{missing}");
}

#[test]
fn a_laboratory_that_is_dropped_leaves_nothing() {
    let before = interfaces();
    let bench = bench();
    let marker = marker();
    let _daemon = start_marked(&bench.a, &marker);
    assert_eq!(marked(&marker).len(), 1);
    assert_eq!(interfaces(), before, "all is in namespaces");
    drop(bench);
    assert_eq!(marked(&marker), BTreeSet::new());
}

#[test]
fn a_laboratory_that_is_killed_leaves_nothing() {
    let before = interfaces();
    let marker = marker();
    let mut helper = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_is_killed", "--ignored", "--nocapture"])
        .env("FLOATLOCK_LAB_MARKER", &marker)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(helper.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("the lab is up")));
    let namespaces: BTreeSet<String> = marked(&marker).iter().map(|p| net_of(p)).collect();
    assert_eq!(namespaces.len(), 2, "one program of each host");
    helper.kill().unwrap();
    helper.wait().unwrap();
    assert!(
        clock::wait_until(SOON, || marked(&marker).is_empty()),
        "{:?}",
        marked(&marker)
    );
    let held = || all_processes().iter().any(|p| namespaces.contains(&net_of(p)));
    assert!(clock::wait_until(SOON, || !held()), "a namespace is still in use");
    assert_eq!(interfaces(), before);
    assert!(!fs::exists("/run/lab").unwrap());
}

/// Not a test of its own: [`a_laboratory_that_is_killed_leaves_nothing`] starts and kills it.
#[test]
#[ignore = "started by another test"]
fn helper_that_is_killed() {
    let marker = std::env::var("FLOATLOCK_LAB_MARKER").expect("started by another test");
    let bench = bench();
    let _programs = [&bench.a, &bench.b].map(|host| start_marked(host, &marker));
    println!("the lab is up");
    clock::pause(Duration::from_secs(60));
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

fn start_marked(host: &Host, marker: &str) -> floatlock::lab::Process {
    let mut command = sleep();
    command.env("FLOATLOCK_LAB_MARK", marker);
    host.spawn(command).unwrap()
}

fn marked(marker: &str) -> BTreeSet<String> {
    let wanted = format!("FLOATLOCK_LAB_MARK={marker}");
    let is_marked = |pid: &String| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|b| *b == 0).any(|entry| entry == wanted.as_bytes())
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
