//! Does the kernel end the right to answer by itself? The gate in namespaces, asked from outside.
//! Needs root.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bench;
mod looks;
mod tamper;

use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use floatlock::config::Family;
use floatlock::core::Instant;
use floatlock::gate::{self, Level};
use floatlock::lab::{Ask, Host, Watch, WatchOptions, clock};
use floatlock::net::addresses::Placed;
use floatlock::net::look::{Lookout, Sign};
use floatlock::net::rtnl::Rtnl;

use tamper::Tamper;

use bench::{ASK, Bench, SLOT, SOON, V4, answers, ask, install, link_local, v6};

const OWN: [&str; 2] = ["10.77.0.1", "fd77::1"];
const MS: Duration = Duration::from_millis(1);

/// Each of these is a test of every level.
macro_rules! of_every_level {
    ($($name:ident,)*) => {
        mod bpf {
            $(#[test] fn $name() { super::$name(floatlock::gate::Level::Bpf); })*
        }
        mod nftables {
            $(#[test] fn $name() { super::$name(floatlock::gate::Level::Nftables); })*
        }
    };
}

of_every_level! {
    a_gate_that_is_not_armed_or_open_lets_everything_pass,
    a_closed_gate_answers_for_none_of_its_addresses_and_for_all_others,
    a_closed_gate_lets_nothing_of_its_addresses_out,
    a_closed_gate_advertises_none_of_its_addresses,
    a_probe_comes_in_and_its_answer_does_not_go_out,
    who_else_has_the_address_is_heard_behind_a_closed_gate,
    the_last_answer_comes_before_the_deadline,
    a_renewal_is_nothing_that_a_frame_notices,
    a_renewal_that_comes_late_opens_nothing,
    the_address_is_closed_to_this_host_too,
    what_is_bridged_to_another_host_passes_until_it_is_armed,
    it_stays_shut_when_its_owner_has_gone_until_somebody_removes_it,
    the_gate_of_a_new_agent_is_shut_before_the_old_one_goes,
    what_is_taken_away_is_told_found_and_put_back,
    an_interface_comes_and_goes,
    an_interface_that_is_renamed_keeps_the_gate_or_gets_it_back,
}

fn a_gate_that_is_not_armed_or_open_lets_everything_pass(level: Level) {
    let bench = Bench::new(level);
    for address in [V4, v6()] {
        assert!(bench.answers(address), "{address} not armed");
    }
    bench.arm();
    bench.open();
    for address in [V4, v6()] {
        assert!(bench.answers(address), "{address} open");
    }
    for address in [V4, v6(), link_local()] {
        assert!(bench.resolves(address), "{address} open");
    }
    assert_eq!(bench.dropped(), 0);
}

fn a_closed_gate_answers_for_none_of_its_addresses_and_for_all_others(level: Level) {
    let bench = Bench::new(level);
    bench.close();
    for address in [V4, v6()] {
        assert!(!bench.answers(address), "{address} answers");
    }
    let before = bench.dropped();
    assert!(before > 100, "only {before} frames dropped");
    for address in [V4, v6(), link_local()] {
        assert!(!bench.resolves(address), "{address} resolves");
    }
    for own in OWN.map(|own| own.parse().unwrap()) {
        assert!(bench.answers(own) && bench.resolves(own), "{own}");
    }
    bench.disarm();
    assert!(bench.answers(V4), "disarmed");
    assert!(bench.resolves(link_local()), "disarmed");
}

fn a_closed_gate_lets_nothing_of_its_addresses_out(level: Level) {
    let bench = Bench::new(level);
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
    bench.disarm();
    say("10.77.0.100");
    hear.wait_for_line("frame", SOON).unwrap();
}

fn a_closed_gate_advertises_none_of_its_addresses(level: Level) {
    let bench = Bench::new(level);
    for (address, fence) in [("fd77::100", "fd77::1"), ("fe80::100", "fe80::1")] {
        let mut hear = Command::new("python3");
        hear.args([ASK, "hear", address, fence]);
        let hear = bench.client.spawn(hear).unwrap();
        hear.wait_for_line("listening", SOON).unwrap();
        let advertise = |address| ask(&bench.host, &format!("na {address} fe80::7"));
        bench.close();
        advertise(address);
        advertise(fence);
        hear.wait_for_line("fence", SOON).unwrap();
        assert!(!hear.last_lines(1000).contains("frame"), "{address}");
        bench.disarm();
        advertise(address);
        hear.wait_for_line("frame", SOON).unwrap();
    }
}

fn a_probe_comes_in_and_its_answer_does_not_go_out(level: Level) {
    let bench = Bench::new(level);
    let probe = |host: &Host| ask(host, "arp 10.77.0.100 0.0.0.0");
    assert_eq!(probe(&bench.client), "answered");
    bench.close();
    let before = bench.dropped();
    assert_eq!(probe(&bench.client), "silent");
    assert!(bench.dropped() > before);
    // The other way: this host asks whether somebody has the address, and hears the answer.
    let sh = |host: &Host, script: &str| drop(host.sh(script).unwrap());
    sh(&bench.host, "ip addr del 10.77.0.100/32 dev eth0");
    sh(&bench.client, "ip addr add 10.77.0.100/32 dev eth0");
    assert_eq!(probe(&bench.host), "answered");
}

/// What a node asks right before it opens: its own addresses are on, and so are those of the other one.
fn who_else_has_the_address_is_heard_behind_a_closed_gate(level: Level) {
    let bench = Bench::new(level);
    bench.close();
    let asks = |address: IpAddr| {
        let asks = move || {
            let placed = Placed {
                interface: "eth0".into(),
                address,
            };
            let mut lookout = Lookout::default();
            let family = Family::of(address);
            assert!(
                lookout
                    .open(&placed.interface, family, clock::now())
                    .unwrap()
            );
            lookout.ask(&placed).unwrap();
            let mut found = None;
            let heard = || {
                lookout.hear(|claim| {
                    found.get_or_insert(claim.sign);
                });
                found.is_some()
            };
            clock::wait_until(MS * 200, heard);
            found
        };
        bench.host.run(asks).unwrap()
    };
    for address in [V4, v6()] {
        assert_eq!(asks(address), None, "its own {address} is nobody else's");
        let add =
            format!("ip addr add {address} dev eth0 $(echo {address} | grep -q : && echo nodad)");
        bench.client.sh(&add).unwrap();
        assert_eq!(asks(address), Some(Sign::Has), "{address}");
    }
}

fn the_last_answer_comes_before_the_deadline(level: Level) {
    let bench = Bench::new(level);
    let watch = bench.ask(V4);
    assert!(answers(&watch, V4, Instant::default()));
    bench.open();
    bench.arm();
    let (mut played, began) = (0, clock::now());
    while played < 10 {
        assert!(clock::now() < began + SOON, "only {played} are in time");
        let until = clock::now() + Duration::from_millis(60);
        bench.shutter.open_until(until);
        bench.settle();
        // One that took nearly as long as it lasts need not be seen.
        if clock::now() < until - MS * 40 {
            let heard = watch.wait_for(SOON, |seen| {
                seen.replies_for(V4, until - MS * 20).next().map(drop)
            });
            assert!(heard.is_some(), "silent before its time");
            played += 1;
        }
        while clock::now() < until + MS * 20 {
            clock::pause(MS);
        }
        let last = watch.look(|seen| seen.last_reply(V4).unwrap().at);
        // Stamped by the client's kernel: the way there counts too.
        let late = match level {
            Level::Bpf => MS,
            // A tick of the kernel.
            Level::Nftables => MS * 5,
        };
        assert!(last <= until + late, "{:?} late", last.since(until));
    }
}

fn a_renewal_is_nothing_that_a_frame_notices(level: Level) {
    let bench = Bench::new(level);
    bench.open();
    bench.arm();
    let watch = bench.ask(V4);
    for _ in 0..200 {
        bench.open();
        clock::pause(MS);
    }
    assert!(answers(&watch, V4, clock::now()));
    assert_eq!(bench.dropped(), 0);
}

fn a_renewal_that_comes_late_opens_nothing(level: Level) {
    let bench = Bench::new(level);
    bench.close();
    bench.shutter.open_until(clock::now() - MS);
    bench.settle();
    assert!(!bench.answers(V4));
    // What follows a renewal of the past is as good as ever.
    bench.open();
    assert!(bench.answers(V4));
}

fn the_address_is_closed_to_this_host_too(level: Level) {
    let bench = Bench::new(level);
    let local = |address| ask(&bench.host, &format!("icmp {address}"));
    assert_eq!(local("10.77.0.100"), "answered");
    bench.close();
    assert_eq!(local("10.77.0.100"), "silent");
    assert_eq!(local("10.77.0.1"), "answered");
}

fn what_is_bridged_to_another_host_passes_until_it_is_armed(level: Level) {
    let bench = Bench::new(level);
    let inner = bench.lab.lan("lan1").unwrap();
    let other = bench.lab.host("lb-b").unwrap();
    inner.attach(&bench.host, "eth1", &[]).unwrap();
    inner
        .attach(&other, "eth0", &["10.77.0.2/24", "fd77::2/64"])
        .unwrap();
    let script = "ip addr flush dev eth0 && ip link add br0 type bridge && \
                  ip link set eth0 master br0 && ip link set eth1 master br0 && ip link set br0 up";
    bench.host.sh(script).unwrap();
    let script = "ip addr add 10.77.0.100/32 dev eth0 && ip addr add fd77::100/128 dev eth0 nodad";
    other.sh(script).unwrap();
    bench.disarm();
    bench.put_back();
    let options = WatchOptions {
        ask: Ask::Hosts(vec![other.mac_on(&inner).unwrap()]),
        ..WatchOptions::new(&[V4, v6()])
    };
    let watch = Watch::start(&bench.client, options).unwrap();
    for address in [V4, v6()] {
        assert!(soon(&watch, address), "{address} is bridged");
    }
    bench.close();
    for address in [V4, v6()] {
        assert!(!answers(&watch, address, clock::now()), "{address} armed");
    }
}

fn it_stays_shut_when_its_owner_has_gone_until_somebody_removes_it(level: Level) {
    let mut bench = Bench::new(level);
    bench.close();
    // One that nobody arms takes its place in the bench, and the gate is dropped.
    bench.gate.end();
    bench.writer.take().map(JoinHandle::join);
    let (gate, _) = bench.host.run(|| install(Level::Bpf, 9)).unwrap();
    bench.shutter = gate.shutter(SLOT).unwrap();
    bench.gate = gate;
    assert!(!bench.answers(V4), "it has gone with its owner");
    bench
        .host
        .run(|| gate::remove(&mut Rtnl::open().unwrap()).unwrap())
        .unwrap();
    assert!(bench.answers(V4));
    demand_nothing_left(&bench.host);
}

fn demand_nothing_left(host: &Host) {
    let script = "tc qdisc show | grep -c clsact; nft list ruleset | grep -c floatlock; true";
    assert_eq!(host.sh(script).unwrap(), "0\n0");
}

fn the_gate_of_a_new_agent_is_shut_before_the_old_one_goes(level: Level) {
    let mut bench = Bench::new(level);
    bench.arm();
    bench.shutter.open_until(clock::now() + SOON * 10);
    bench.settle();
    assert!(bench.answers(V4), "the old one is open");
    let (next, writer) = bench.host.run(move || install(level, 8)).unwrap();
    let shutter = next.shutter(SLOT).unwrap();
    shutter.arm();
    next.settle(SLOT, SOON).unwrap();
    assert!(!bench.answers(V4), "both must agree");
    // A gate that is written ends with the agent that writes it.
    bench.gate.end();
    bench.writer.take().map(JoinHandle::join);
    let gate = Arc::clone(&next);
    bench
        .host
        .run(move || gate.supersede(&mut Rtnl::open().unwrap()).unwrap())
        .unwrap();
    assert!(!bench.answers(V4), "the new one is shut");
    (bench.gate, bench.shutter, bench.writer) = (next, shutter, writer);
    bench.open();
    assert!(bench.answers(V4), "the new one is open, the old one gone");
}

/// What takes the gate off eth0, or altogether.
fn ways_to_lose_it(level: Level) -> &'static [&'static str] {
    match level {
        Level::Bpf => &[
            "tc filter del dev eth0 egress",
            "tc qdisc del dev eth0 clsact",
        ],
        Level::Nftables => &[
            "nft flush ruleset",
            "nft delete table netdev floatlock",
            "nft flush table netdev floatlock",
            "nft flush chain netdev floatlock slot_1",
            "nft flush chain netdev floatlock egress",
            "nft flush map netdev floatlock v4",
            "nft delete chain netdev floatlock in_$(cat /sys/class/net/eth0/ifindex)",
            "nft add table netdev floatlock '{ flags dormant; }'",
            "nft delete table netdev floatlock; nft add table netdev floatlock",
            // As many as before, but others.
            "nft replace rule netdev floatlock slot_1 handle $(nft -a list chain netdev floatlock \
             slot_1 | sed -n 's/.*drop # handle //p') counter accept",
            "nft flush chain netdev floatlock egress; for n in 1 2 3 4 5 6; do \
             nft add rule netdev floatlock egress accept; done",
            "nft delete element netdev floatlock v4 { 10.77.0.100 }; \
             nft add element netdev floatlock v4 { 10.77.0.101 : jump slot_1 }",
            "nft delete element netdev floatlock v4 { 10.77.0.100 }; \
             nft add element netdev floatlock v4 { 10.77.0.100 : jump slot_0 }",
            "index=$(cat /sys/class/net/eth0/ifindex); nft delete chain netdev floatlock out_$index; \
             nft add chain netdev floatlock out_$index \
             '{ type filter hook egress device lo priority 1000; }'; \
             nft add rule netdev floatlock out_$index jump egress",
            "index=$(cat /sys/class/net/eth0/ifindex); nft delete chain netdev floatlock in_$index; \
             nft add chain netdev floatlock in_$index \
             '{ type filter hook ingress device eth0 priority 1000; }'; \
             nft add rule netdev floatlock in_$index jump ingress",
        ],
    }
}

fn what_is_taken_away_is_told_found_and_put_back(level: Level) {
    let bench = Bench::new(level);
    let gate = Arc::clone(&bench.gate);
    let mut events = bench.host.run(move || gate.events().unwrap()).unwrap();
    bench.arm();
    for way in ways_to_lose_it(level) {
        bench.put_back();
        bench.close();
        bench.open();
        events.heard();
        bench.shutter.open_until(clock::now() + SOON * 2);
        bench.settle();
        assert!(!events.heard(), "a renewal is nothing that is heard of");
        bench.host.sh(way).unwrap();
        assert!(events.heard(), "{way}: not heard of");
        let whole = bench.whole();
        assert!(!whole.contains(&"eth0".to_owned()), "{way}: not found");
        bench.put_back();
        assert_eq!(bench.whole(), ["lo", "eth0"], "{way}: not put back");
        bench.close();
        assert!(!bench.answers(V4), "{way}: not shut");
    }
}

/// The kernel tells of the first of these only.
#[test]
fn a_program_or_a_map_that_somebody_changes_is_found_and_put_back() {
    let bench = Bench::new(Level::Bpf);
    bench.close();
    for way in Tamper::ALL {
        way.with(&bench.host);
        assert!(bench.answers(V4), "{way}: shut all the same");
        assert!(
            !bench.whole().contains(&"eth0".to_owned()),
            "{way}: not found"
        );
        bench.put_back();
        assert_eq!(bench.whole(), ["lo", "eth0"], "{way}: not put back");
        assert!(!bench.answers(V4), "{way}: not shut");
    }
}

/// Only then may a look be spared.
#[test]
fn a_table_is_untouched_until_anybody_changes_any_ruleset() {
    let bench = Bench::new(Level::Nftables);
    let is_untouched = || {
        let gate = Arc::clone(&bench.gate);
        let look = move || {
            let links = Rtnl::open().unwrap().links().unwrap();
            gate.is_untouched(&links).unwrap()
        };
        bench.host.run(look).unwrap()
    };
    // Not while the writer writes.
    let comes_to_be_known = || {
        clock::wait_until(SOON, || {
            assert_eq!(bench.whole(), ["lo", "eth0"]);
            is_untouched()
        })
    };
    bench.arm();
    assert!(comes_to_be_known());
    for millis in 1..=20 {
        bench.shutter.open_until(clock::now() + SOON + MS * millis);
        bench.settle();
        let stays = clock::wait_until(SOON, is_untouched);
        assert!(stays, "after {millis} renewals");
    }
    bench.host.sh("nft add table ip other").unwrap();
    assert!(!is_untouched(), "a ruleset has changed");
    for way in ways_to_lose_it(Level::Nftables) {
        bench.put_back();
        assert!(comes_to_be_known(), "{way}: not yet");
        bench.host.sh(way).unwrap();
        bench.shutter.open_until(clock::now() + SOON);
        assert!(!is_untouched(), "{way}");
    }
    bench.put_back();
    assert!(comes_to_be_known());
    bench.host.sh("ip link set eth0 name wan0").unwrap();
    assert!(!is_untouched(), "another name");
}

fn an_interface_comes_and_goes(level: Level) {
    let bench = Bench::new(level);
    let sh = |script: &str| drop(bench.host.sh(script).unwrap());
    sh("ip link add late0 type veth peer name late1");
    assert_eq!(bench.whole(), ["lo", "eth0"]);
    bench.put_back();
    assert_eq!(bench.whole().len(), 4);
    sh("ip link del late0");
    assert_eq!(bench.whole(), ["lo", "eth0"]);
    sh("ip link add late0 type veth peer name late1");
    bench.put_back();
    assert_eq!(bench.whole().len(), 4);
}

fn an_interface_that_is_renamed_keeps_the_gate_or_gets_it_back(level: Level) {
    let bench = Bench::new(level);
    bench.close();
    bench.host.sh("ip link set eth0 name wan0").unwrap();
    bench.put_back();
    assert_eq!(bench.whole(), ["lo", "wan0"]);
    assert!(!bench.answers(V4));
    bench.open();
    assert!(bench.answers(V4));
}

/// Whether somebody answers at all, however busy the machine is.
fn soon(watch: &Watch, address: IpAddr) -> bool {
    let first = |seen: &floatlock::lab::Observation| {
        seen.replies_for(address, Instant::default())
            .next()
            .map(drop)
    };
    watch.wait_for(SOON, first).is_some()
}

/// Whether an advert of this priority that claims the address comes out of the host.
fn claims(bench: &Bench, (address, fence): (&str, &str), priority: u8) -> bool {
    let mut hear = Command::new("python3");
    hear.args([ASK, "hear", address, fence]);
    let hear = bench.client.spawn(hear).unwrap();
    hear.wait_for_line("listening", SOON).unwrap();
    ask(&bench.host, &format!("advert {address} {priority}"));
    ask(&bench.host, &format!("advert {fence} {priority}"));
    hear.wait_for_line("fence", SOON).unwrap();
    hear.last_lines(1000).contains("frame")
}

/// RFC 9568, section 6.4.3: a new MASTER gives way to an advert of a better priority, whenever that was written.
#[test]
fn from_its_deadline_on_no_advert_claims_the_address_and_one_may_resign() {
    for of in [
        ("10.77.0.100", "10.77.0.1"),
        ("fd77::100", "fd77::1"),
        ("fe80::100", "fe80::1"),
    ] {
        let bench = Bench::new(Level::Bpf);
        assert!(claims(&bench, of, 100), "not armed: {of:?}");
        bench.arm();
        assert!(claims(&bench, of, 100), "not begun: {of:?}");
        bench.open();
        assert!(claims(&bench, of, 100), "open: {of:?}");
        bench.shutter.open_until(clock::now());
        assert!(!claims(&bench, of, 100), "over: {of:?}");
        assert!(claims(&bench, of, 0), "over, and resigns: {of:?}");
        bench.shutter.close();
        assert!(claims(&bench, of, 100), "closed by the agent: {of:?}");
        bench.shutter.open_until(clock::now());
        bench.disarm();
        assert!(claims(&bench, of, 100), "not on this host: {of:?}");
    }
}

#[test]
fn the_filters_of_others_stay() {
    let bench = Bench::new(Level::Bpf);
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
fn the_maps_can_be_looked_at_where_a_bpf_file_system_is() {
    let bench = Bench::new(Level::Bpf);
    let pins = || {
        let listed = bench
            .host
            .sh("ls -m /sys/fs/bpf/floatlock 2>/dev/null; true");
        listed.unwrap()
    };
    let supersede = || {
        let gate = Arc::clone(&bench.gate);
        let job = move || gate.supersede(&mut Rtnl::open().unwrap()).unwrap();
        bench.host.run(job).unwrap();
    };
    let mounted = "grep -c ' /sys/fs/bpf bpf ' /proc/mounts || true";
    if bench.host.sh(mounted).unwrap() == "1" {
        for _ in 0..2 {
            supersede();
            assert_eq!(pins(), "addresses, egress, ingress, slots");
        }
        let remove = || gate::remove(&mut Rtnl::open().unwrap()).unwrap();
        bench.host.run(remove).unwrap();
        assert_eq!(pins(), "");
        bench.host.sh("umount /sys/fs/bpf").unwrap();
    }
    supersede();
    assert_eq!(pins(), "");
}
