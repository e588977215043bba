//! Is a standby in the way of what passes through its host, be it a bridge or a router?

use std::net::IpAddr;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Ask, Host, Lab, Observation, Question, Watch, WatchOptions, clock};

use crate::agent::{Agent, floatlock};
use crate::config::{Config, Group};
use crate::site::{SOON, Site, await_address, write_key};

const VIPS: [&str; 2] = ["10.77.0.100", "fd77::100"];
/// So many answers are those of a quarter of a second, or more, ...
const ENOUGH: usize = 250;
/// ... between which there is no longer pause than this, unless the client did not ask. A busy machine passes frames on
/// late, too.
const PAUSE: Duration = Duration::from_millis(300);

/// `lb-a` and a client, and between them the host of `lb-b`.
struct Way {
    site: Site,
    /// The interface on which `lb-b` has the addresses.
    interface: &'static str,
    watch: Watch,
    /// What the client asks.
    questions: &'static [Question],
    /// Whose interface the answers of `lb-a` and of `lb-b` come from.
    from: [&'static str; 2],
}

fn hosts(lab: &Lab) -> [Host; 3] {
    let hosts = ["lb-a", "lb-b", "client"].map(|name| lab.host(name).unwrap());
    for host in &hosts[..2] {
        write_key(host, "cluster", 7);
    }
    hosts
}

fn vips() -> [IpAddr; 2] {
    VIPS.map(|vip| vip.parse().unwrap())
}

/// The client asks both hosts in every way.
fn bridged() -> Way {
    let lab = Lab::new().unwrap();
    let (outside, inside) = (lab.lan("outside").unwrap(), lab.lan("inside").unwrap());
    let [a, b, client] = hosts(&lab);
    inside
        .attach(&a, "eth0", &["10.77.0.1/24", "fd77::1/64"])
        .unwrap();
    outside.attach(&b, "eth0", &[]).unwrap();
    inside.attach(&b, "eth1", &[]).unwrap();
    outside
        .attach(&client, "eth0", &["10.77.0.9/24", "fd77::9/64"])
        .unwrap();
    // With the hardware address of eth0, at which the client asks it.
    let script = "ip link add br0 address $(cat /sys/class/net/eth0/address) type bridge && \
                  ip link set eth0 master br0 && ip link set eth1 master br0 && \
                  ip link set br0 up && ip addr add 10.77.0.2/24 dev br0 && \
                  ip addr add fd77::2/64 dev br0 nodad";
    b.sh(script).unwrap();
    let both = [a.mac_on(&inside).unwrap(), b.mac_on(&outside).unwrap()];
    let options = WatchOptions {
        ask: Ask::Hosts(both.to_vec()),
        neighbours: true,
        ..WatchOptions::new(&vips())
    };
    Way {
        watch: Watch::start(&client, options).unwrap(),
        site: Site {
            hosts: vec![a, b],
            client,
            lan: outside,
            lab,
        },
        interface: "br0",
        questions: &[Question::Echo, Question::Neighbour],
        from: ["lb-a", "lb-b"],
    }
}

/// The client is on another network: what it hears comes from its router.
fn routed() -> Way {
    let lab = Lab::new().unwrap();
    let (outside, inside) = (lab.lan("outside").unwrap(), lab.lan("inside").unwrap());
    let [a, b, client] = hosts(&lab);
    inside
        .attach(&a, "eth0", &["10.77.0.1/24", "fd77::1/64"])
        .unwrap();
    inside
        .attach(&b, "eth0", &["10.77.0.2/24", "fd77::2/64"])
        .unwrap();
    outside
        .attach(&b, "eth1", &["10.79.0.2/24", "fd79::2/64"])
        .unwrap();
    outside
        .attach(&client, "eth0", &["10.79.0.9/24", "fd79::9/64"])
        .unwrap();
    let forward = "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1";
    b.sh(forward).unwrap();
    for (host, [v4, v6]) in [
        (&a, ["10.77.0.2", "fd77::2"]),
        (&client, ["10.79.0.2", "fd79::2"]),
    ] {
        let script = format!("ip route add default via {v4} && ip route add default via {v6}");
        host.sh(&script).unwrap();
    }
    Way {
        watch: Watch::start(&client, WatchOptions::new(&vips())).unwrap(),
        site: Site {
            hosts: vec![a, b],
            client,
            lan: inside,
            lab,
        },
        interface: "eth0",
        questions: &[Question::Echo],
        from: ["lb-b", "lb-b"],
    }
}

impl Way {
    fn pair(&self, gate: &str) -> [Agent; 2] {
        self.site.native_pair_of(|node, priority| {
            let interface = if node == "lb-b" {
                self.interface
            } else {
                "eth0"
            };
            let group = Group::web(priority)
                .key("preempt", "false")
                .key("interface", &format!("{interface:?}"))
                .addresses(&["10.77.0.100/24", "fd77::100/64"]);
            Config::native(node, &[group]).fencing(&format!("gate = \"{gate}\"\n"))
        })
    }

    /// Waits for so many answers of one host to each question of the client, from `after` on.
    fn answers(&self, number: usize, after: Instant, count: usize) {
        for vip in vips() {
            let enough = |seen: &Observation| {
                let replies = seen.replies_for(vip, after);
                let of_host = replies.filter(|reply| &*reply.from == self.from[number]);
                of_host.take(count).nth(count - 1).map(drop)
            };
            let came = self.watch.wait_for(SOON, enough);
            assert!(came.is_some(), "{number} does not answer for {vip}");
        }
    }

    /// `lb-a` is MASTER: nothing for or from it is missing, and the gate of `lb-b` has dropped nothing.
    fn demand_passage(&self, b: &Agent) {
        for vip in VIPS {
            await_address(&b.host, vip, false);
        }
        let dropped = || b.group("web").gate_dropped.expect("a gate");
        let (began, before) = (clock::now(), dropped());
        self.answers(0, began, ENOUGH);
        let ended = clock::now();
        assert_eq!(dropped(), before, "{}", b.log());
        let seen = self.watch.observation();
        let most = PAUSE + seen.asked_late(began, ended);
        for question in self.questions {
            let mut seen = seen.clone();
            seen.replies.retain(|reply| reply.question == *question);
            for vip in vips() {
                let silent = seen.longest_silence(vip, began, ended);
                assert!(silent <= most, "{vip}, {question:?}: {silent:?}");
            }
        }
    }

    /// Until the agent of `lb-b` knows that none of the addresses is on its host, its gate is shut.
    fn demand_short_start(&self) {
        let seen = self.watch.observation();
        let (began, ended) = (seen.rounds[0], clock::now());
        let most = PAUSE + seen.asked_late(began, ended);
        for vip in vips() {
            let gap = seen.longest_gap(vip, began, ended);
            let is_short = gap.as_ref().is_none_or(|gap| gap.length() <= most);
            assert!(is_short, "{gap:?}");
        }
    }

    fn demand(&self, gate: &str) {
        let [a, b] = self.pair(gate);
        assert_eq!(b.status().gate, gate);
        self.demand_short_start();
        self.demand_passage(&b);
        let mark = b.mark();
        move_to(&a, "lb-b");
        b.becomes_after(mark, "web", "MASTER");
        await_address(&a.host, VIPS[0], false);
        self.answers(1, clock::now(), 10);
        // Its gate was armed, and is not any more.
        let mark = a.mark();
        move_to(&b, "lb-a");
        a.becomes_after(mark, "web", "MASTER");
        self.demand_passage(&b);
        let mark = b.mark();
        a.host.power_off().unwrap();
        let off = clock::now();
        b.becomes_after(mark, "web", "MASTER");
        self.answers(1, off, 10);
    }
}

/// Waits until the other node could hold, and moves the addresses there.
fn move_to(agent: &Agent, to: &str) {
    agent.group_until("web", "a successor", |web| {
        web.successor.as_deref() == Some(to)
    });
    let words = ["switchover", "web", "--runtime-dir", "/run/floatlock"];
    let ran = floatlock(&agent.host, &words);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn what_a_standby_bridges_to_the_master_passes_its_bpf_gate() {
    bridged().demand("bpf");
}

#[test]
fn what_a_standby_bridges_to_the_master_passes_its_nftables_gate() {
    bridged().demand("nftables");
}

#[test]
fn what_a_standby_routes_to_the_master_passes_its_bpf_gate() {
    routed().demand("bpf");
}

#[test]
fn what_a_standby_routes_to_the_master_passes_its_nftables_gate() {
    routed().demand("nftables");
}
