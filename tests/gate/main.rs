//! Does the kernel end the right to answer by itself? The gate in namespaces, asked from outside.
//! Needs root.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::gate::{self, Gate, Shutter};
use floatlock::lab::{Ask, Host, Lab, Lan, Watch, WatchOptions, clock};
use floatlock::net::rtnl::Rtnl;

const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 77, 0, 100));
const OWN: [&str; 2] = ["10.77.0.1", "fd77::1"];
/// Asks by hand.
const ASK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gate/ask.py");
const MS: Duration = Duration::from_millis(1);
const SOON: Duration = Duration::from_secs(10);
/// Nothing here takes so long to answer.
const SILENCE: Duration = Duration::from_millis(300);

fn v6() -> IpAddr {
    "fd77::100".parse().unwrap()
}

fn link_local() -> IpAddr {
    "fe80::100".parse().unwrap()
}

/// A host with floating addresses behind a gate, and a client that asks.
struct Bench {
    host: Host,
    client: Host,
    shutter: Shutter,
    gate: Option<Gate>,
    lan: Lan,
    _lab: Lab,
}

impl Bench {
    /// The addresses are on, the gate is in place and not armed.
    fn new() -> Self {
        let lab = Lab::new().expect("a laboratory: needs root");
        let lan = lab.lan("lan0").unwrap();
        let host = lab.host("lb-a").unwrap();
        lan.attach(&host, "eth0", &["10.77.0.1/24", "fd77::1/64"])
            .unwrap();
        let client = lab.host("client").unwrap();
        lan.attach(&client, "eth0", &["10.77.0.9/24", "fd77::9/64"])
            .unwrap();
        for address in ["10.77.0.100/32", "fd77::100/128", "fe80::100/128"] {
            let add = format!(
                "ip addr add {address} dev eth0 $(echo {address} | grep -q : && echo nodad)"
            );
            host.sh(&add).unwrap();
        }
        let gate = host.run(|| load(7)).unwrap();
        let shutter = gate.shutter(0).unwrap();
        Self {
            host,
            client,
            shutter,
            gate: Some(gate),
            lan,
            _lab: lab,
        }
    }

    fn ask(&self, address: IpAddr) -> Watch {
        let options = WatchOptions {
            every: Duration::from_millis(1),
            ask: Ask::Hosts(vec![self.host.mac_on(&self.lan).unwrap()]),
            ..WatchOptions::new(&[address])
        };
        Watch::start(&self.client, options).unwrap()
    }

    fn answers(&self, address: IpAddr) -> bool {
        answers(&self.ask(address), address, Instant::default())
    }

    /// Whether the host answers an ARP request or a neighbour solicitation of the client.
    fn resolves(&self, address: IpAddr) -> bool {
        let kind = if address.is_ipv4() { "arp" } else { "ns" };
        ask(&self.client, &format!("{kind} {address}")) == "answered"
    }

    fn close(&self) {
        self.shutter.arm();
        self.shutter.close();
    }
}

fn ask(host: &Host, what: &str) -> String {
    host.sh(&format!("python3 {ASK} {what}")).unwrap()
}

fn answers(watch: &Watch, address: IpAddr, after: Instant) -> bool {
    let first =
        |seen: &floatlock::lab::Observation| seen.replies_for(address, after).next().map(drop);
    watch.wait_for(SILENCE, first).is_some()
}

/// In the namespace of this thread, on all interfaces, for the addresses of the bench.
fn load(handle: u32) -> Gate {
    let gate = Gate::load(4, 16, handle).unwrap();
    let mut rtnl = Rtnl::open().unwrap();
    let eth0 = rtnl.link("eth0").unwrap().unwrap().index;
    for address in [V4, v6(), link_local()] {
        gate.cover(address, eth0, 0).unwrap();
    }
    for link in rtnl.links().unwrap() {
        gate.attach(&mut rtnl, link.index).unwrap();
        gate.attach(&mut rtnl, link.index).unwrap();
        assert!(gate.is_attached(&mut rtnl, link.index).unwrap());
    }
    gate
}

#[test]
fn a_gate_that_is_not_armed_or_open_lets_everything_pass() {
    let bench = Bench::new();
    for address in [V4, v6()] {
        assert!(bench.answers(address), "{address} not armed");
    }
    bench.shutter.arm();
    bench.shutter.open_until(clock::now() + SOON);
    for address in [V4, v6()] {
        assert!(bench.answers(address), "{address} open");
    }
    for address in [V4, v6(), link_local()] {
        assert!(bench.resolves(address), "{address} open");
    }
    assert_eq!(bench.shutter.dropped(), 0);
}

#[test]
fn a_closed_gate_answers_for_none_of_its_addresses_and_for_all_others() {
    let bench = Bench::new();
    bench.close();
    for address in [V4, v6()] {
        assert!(!bench.answers(address), "{address} answers");
    }
    let before = bench.shutter.dropped();
    assert!(before > 100, "only {before} frames dropped");
    for address in [V4, v6(), link_local()] {
        assert!(!bench.resolves(address), "{address} resolves");
    }
    for own in OWN.map(|own| own.parse().unwrap()) {
        assert!(bench.answers(own) && bench.resolves(own), "{own}");
    }
    bench.shutter.disarm();
    assert!(bench.answers(V4), "disarmed");
    assert!(bench.resolves(link_local()), "disarmed");
}

#[test]
fn a_closed_gate_lets_nothing_of_its_addresses_out() {
    let bench = Bench::new();
    let mut hear = Command::new("python3");
    hear.args([ASK, "hear", "10.77.0.100", "10.77.0.1"]);
    let hear = bench.client.spawn(hear).unwrap();
    hear.wait_for_line("listening", SOON).unwrap();
    // To a neighbour that is known, and to one that is not, for whom ARP would have to ask.
    let say = |address| ask(&bench.host, &format!("say {address} 10.77.0.9,10.77.0.8"));
    bench.close();
    say("10.77.0.100");
    say("10.77.0.1");
    hear.wait_for_line("fence", SOON).unwrap();
    assert!(!hear.last_lines(1000).contains("frame"));
    bench.shutter.disarm();
    say("10.77.0.100");
    hear.wait_for_line("frame", SOON).unwrap();
}

#[test]
fn a_probe_comes_in_and_its_answer_does_not_go_out() {
    let bench = Bench::new();
    let probe = |host: &Host| ask(host, "arp 10.77.0.100 0.0.0.0");
    assert_eq!(probe(&bench.client), "answered");
    bench.close();
    let before = bench.shutter.dropped();
    assert_eq!(probe(&bench.client), "silent");
    assert!(bench.shutter.dropped() > before);
    // The other way: this host asks whether somebody has the address, and hears the answer.
    let sh = |host: &Host, script: &str| drop(host.sh(script).unwrap());
    sh(&bench.host, "ip addr del 10.77.0.100/32 dev eth0");
    sh(&bench.client, "ip addr add 10.77.0.100/32 dev eth0");
    assert_eq!(probe(&bench.host), "answered");
}

#[test]
fn the_last_answer_comes_before_the_deadline() {
    let bench = Bench::new();
    let watch = bench.ask(V4);
    assert!(answers(&watch, V4, Instant::default()));
    bench.shutter.open_until(clock::now() + SOON);
    bench.shutter.arm();
    for _ in 0..10 {
        let until = clock::now() + Duration::from_millis(60);
        bench.shutter.open_until(until);
        let heard = watch.wait_for(SOON, |seen| {
            seen.replies_for(V4, until - MS * 20).next().map(drop)
        });
        assert!(heard.is_some(), "silent before its time");
        while clock::now() < until + MS * 20 {
            clock::pause(MS);
        }
        let last = watch.look(|seen| seen.last_reply(V4).unwrap().at);
        // Stamped by the client's kernel: the way there counts too.
        assert!(last <= until + MS, "{:?} late", last.since(until));
    }
}

#[test]
fn the_address_is_closed_to_this_host_too() {
    let bench = Bench::new();
    let local = |address| ask(&bench.host, &format!("icmp {address}"));
    assert_eq!(local("10.77.0.100"), "answered");
    bench.close();
    assert_eq!(local("10.77.0.100"), "silent");
    assert_eq!(local("10.77.0.1"), "answered");
}

#[test]
fn it_stays_shut_when_its_owner_has_gone_until_somebody_detaches_it() {
    let mut bench = Bench::new();
    bench.close();
    bench.gate = None;
    assert!(
        !bench.answers(V4),
        "the programs have gone with their owner"
    );
    let had = bench
        .host
        .run(|| gate::detach(&mut Rtnl::open().unwrap(), None).unwrap());
    assert_eq!(had.unwrap().len(), 2, "lo and eth0");
    assert!(bench.answers(V4));
    let left = bench
        .host
        .sh("tc qdisc show | grep -c clsact || true")
        .unwrap();
    assert_eq!(left, "0");
}

#[test]
fn the_gate_of_a_new_agent_is_shut_before_the_old_one_goes() {
    let bench = Bench::new();
    bench.shutter.arm();
    bench.shutter.open_until(clock::now() + SOON * 10);
    assert!(bench.answers(V4), "the old one is open");
    let next = bench.host.run(|| {
        let next = load(8);
        next.shutter(0).unwrap().arm();
        next
    });
    let next = next.unwrap();
    assert!(!bench.answers(V4), "both must agree");
    let next = bench.host.run(move || {
        next.supersede(&mut Rtnl::open().unwrap()).unwrap();
        next
    });
    let next = next.unwrap();
    assert!(!bench.answers(V4), "the new one is shut");
    bench.shutter.disarm();
    next.shutter(0).unwrap().open_until(clock::now() + SOON);
    assert!(bench.answers(V4), "the new one is open, the old one gone");
}

#[test]
fn the_filters_of_others_stay() {
    let bench = Bench::new();
    let script = "tc filter add dev eth0 ingress protocol ip prio 7 u32 match u32 0 0 flowid 1:1; \
                  tc filter show dev eth0 ingress | grep -c u32";
    let before = bench.host.sh(script).unwrap();
    bench
        .host
        .run(|| {
            gate::detach(&mut Rtnl::open().unwrap(), None)
                .map(drop)
                .unwrap()
        })
        .unwrap();
    let after = bench
        .host
        .sh("tc filter show dev eth0 ingress | grep -c u32")
        .unwrap();
    assert_eq!(before, after);
}

#[test]
fn a_missing_filter_is_noticed() {
    let bench = Bench::new();
    bench.host.sh("tc filter del dev eth0 egress").unwrap();
    let gate = bench.gate.unwrap();
    let gate = bench.host.run(move || {
        let mut rtnl = Rtnl::open().unwrap();
        let index = |rtnl: &mut Rtnl, name| rtnl.link(name).unwrap().unwrap().index;
        let (eth0, lo) = (index(&mut rtnl, "eth0"), index(&mut rtnl, "lo"));
        assert!(!gate.is_attached(&mut rtnl, eth0).unwrap());
        assert!(gate.is_attached(&mut rtnl, lo).unwrap());
        gate.attach(&mut rtnl, eth0).unwrap();
        assert!(gate.is_attached(&mut rtnl, eth0).unwrap());
        assert!(!gate.is_attached(&mut rtnl, 4711).unwrap());
        gate
    });
    drop(gate.unwrap());
}
