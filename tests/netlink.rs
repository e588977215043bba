//! Does the kernel agree? Addresses and the monitor against a real kernel, each test in a network
//! namespace of its own. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use floatlock::config::Family;
use floatlock::core::{AddressFault, AddressFaultKind, Outcome};
use floatlock::net::addresses::{Change, OURS, Placed, Progress, Stats, sweep};
use floatlock::net::monitor::{Change as Told, Monitor, Watch, Woken};
use floatlock::net::rtnl::{Act, AddressState, Edit, Rtnl};
use nix::sched::{CloneFlags, unshare};
use nix::sys::eventfd::EventFd;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Runs `test` on a thread in a new network namespace with a veth pair `v0` (192.0.2.1/24,
/// 2001:db8::1/64) and `v1`, both up. The namespace ends with the thread.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let body = move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace of its own: needs root");
        ip("link set lo up");
        ip("link add v0 type veth peer name v1");
        ip("link set v0 up");
        ip("link set v1 up");
        ip("addr add 192.0.2.1/24 dev v0");
        ip("addr add 2001:db8::1/64 dev v0 nodad");
        test();
    };
    let thread = std::thread::spawn(body);
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip")
        .args(arguments.split(' '))
        .status()
        .unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// What iproute2 sees on an interface: `address/prefix_len` and the flags, such as `deprecated`.
fn ip_addr(interface: &str) -> Vec<(String, BTreeSet<String>)> {
    let output = Command::new("ip")
        .args(["-j", "addr", "show", "dev", interface])
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let entries = json[0]["addr_info"].as_array().unwrap();
    let flags = |entry: &serde_json::Value| {
        let set = entry.as_object().unwrap().iter();
        set.filter(|(_, value)| value.as_bool() == Some(true))
            .map(|(name, _)| name.clone())
            .collect()
    };
    entries
        .iter()
        .map(|entry| {
            let local = entry["local"].as_str().unwrap();
            (format!("{local}/{}", entry["prefixlen"]), flags(entry))
        })
        .collect()
}

/// The addresses on an interface, without the kernel's own link-local ones.
fn on(interface: &str) -> BTreeSet<String> {
    let not_link_local = |name: &String| !name.starts_with("fe80:");
    let names = ip_addr(interface).into_iter().map(|(name, _)| name);
    names.filter(not_link_local).collect()
}

const OWN: [&str; 2] = ["192.0.2.1/24", "2001:db8::1/64"];

fn own_and(others: &[&str]) -> BTreeSet<String> {
    OWN.iter().chain(others).map(|s| (*s).to_owned()).collect()
}

fn placed(interface: &str, addresses: &[&str]) -> Arc<[Placed]> {
    let place = |address: &&str| Placed {
        interface: interface.into(),
        address: address.parse().unwrap(),
    };
    addresses.iter().map(place).collect()
}

/// 10.50.0.1, 10.50.0.2, ... on `v0`.
fn many(count: u32) -> Arc<[Placed]> {
    let place = |n: u32| Placed {
        interface: "v0".into(),
        address: IpAddr::from((0x0a32_0001 + n).to_be_bytes()),
    };
    (0..count).map(place).collect()
}

fn run(mut change: Change, rtnl: &mut Rtnl) -> (Outcome, Stats) {
    loop {
        if let Progress::Done(outcome, stats) = change.step(rtnl) {
            return (outcome, stats);
        }
    }
}

fn acquire(rtnl: &mut Rtnl, addresses: &Arc<[Placed]>) -> (Outcome, Stats) {
    run(Change::acquire(addresses.clone()), rtnl)
}

fn release(rtnl: &mut Rtnl, addresses: &Arc<[Placed]>) -> (Outcome, Stats) {
    run(Change::release(addresses.clone()), rtnl)
}

fn refused(address: &str, errno: i32) -> Outcome {
    Err(AddressFault {
        address: Some(address.parse().unwrap()),
        kind: AddressFaultKind::Refused(errno),
    })
}

fn state_of(rtnl: &mut Rtnl, address: &str) -> AddressState {
    let address: IpAddr = address.parse().unwrap();
    let mut all = rtnl.addresses().unwrap().into_iter();
    all.find(|state| state.address == address).unwrap()
}

#[test]
fn both_families_go_on_tagged_and_come_off_without_a_trace() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let group = placed("v0", &["192.0.2.10", "2001:db8::10"]);

        let (outcome, stats) = acquire(&mut rtnl, &group);
        assert_eq!((outcome, stats.changed, stats.untagged), (Ok(()), 2, 0));
        let seen = ip_addr("v0");
        let flags = |name: &str| &seen.iter().find(|(n, _)| n == name).unwrap().1;
        assert!(flags("192.0.2.10/32").contains("noprefixroute"));
        for flag in ["deprecated", "nodad", "noprefixroute"] {
            assert!(flags("2001:db8::10/128").contains(flag), "{flag}");
        }
        for address in ["192.0.2.10", "2001:db8::10"] {
            assert_eq!(state_of(&mut rtnl, address).protocol, Some(OURS));
        }

        let (outcome, stats) = release(&mut rtnl, &group);
        assert_eq!((outcome, stats.changed), (Ok(()), 2));
        assert_eq!(on("v0"), own_and(&[]));
    });
}

#[test]
fn doing_it_twice_changes_nothing() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let group = placed("v0", &["192.0.2.10", "2001:db8::10"]);
        assert_eq!(acquire(&mut rtnl, &group).0, Ok(()));
        let (outcome, stats) = acquire(&mut rtnl, &group);
        assert_eq!((outcome, stats.changed), (Ok(()), 0));
        assert_eq!(release(&mut rtnl, &group).0, Ok(()));
        let (outcome, stats) = release(&mut rtnl, &group);
        assert_eq!((outcome, stats.changed), (Ok(()), 0));
    });
}

#[test]
fn the_hosts_own_network_outlives_the_group() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let group = placed("v0", &["192.0.2.10"]);
        assert_eq!(acquire(&mut rtnl, &group).0, Ok(()));
        // The own address goes and comes back, so that ours is the first of the interface.
        ip("addr del 192.0.2.1/24 dev v0");
        ip("addr add 192.0.2.1/24 dev v0");
        ip("addr add 192.0.2.2/24 dev v0");
        assert_eq!(release(&mut rtnl, &group).0, Ok(()));
        assert_eq!(on("v0"), own_and(&["192.0.2.2/24"]));
    });
}

#[test]
fn an_ipv4_twin_stays_beside_ours_and_goes_with_the_group() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let group = placed("v0", &["192.0.2.10"]);
        ip("addr add 192.0.2.10/24 dev v0");
        let (outcome, stats) = acquire(&mut rtnl, &group);
        assert_eq!((outcome, stats.changed, stats.untagged), (Ok(()), 1, 1));
        assert_eq!(stats.first_untagged.unwrap().prefix_len, 24);
        assert_eq!(on("v0"), own_and(&["192.0.2.10/24", "192.0.2.10/32"]));
        let (outcome, stats) = release(&mut rtnl, &group);
        assert_eq!((outcome, stats.changed, stats.untagged), (Ok(()), 2, 1));
        assert_eq!(on("v0"), own_and(&[]));
    });
}

#[test]
fn a_host_address_that_somebody_put_on_before_becomes_ours() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let group = placed("v0", &["192.0.2.10"]);
        ip("addr add 192.0.2.10/32 dev v0");
        let (outcome, stats) = acquire(&mut rtnl, &group);
        assert_eq!((outcome, stats.untagged), (Ok(()), 1));
        assert_eq!(state_of(&mut rtnl, "192.0.2.10").protocol, Some(OURS));
        assert_eq!(on("v0"), own_and(&["192.0.2.10/32"]));
    });
}

#[test]
fn an_ipv6_twin_is_adopted_with_its_route_and_goes_with_the_group() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let group = placed("v0", &["2001:db8:1::10"]);
        ip("addr add 2001:db8:1::10/64 dev v0 nodad");
        let (outcome, stats) = acquire(&mut rtnl, &group);
        assert_eq!((outcome, stats.untagged), (Ok(()), 1));
        let state = state_of(&mut rtnl, "2001:db8:1::10");
        assert_eq!((state.prefix_len, state.protocol), (64, Some(OURS)));
        let routes = Command::new("ip")
            .args(["-6", "route", "show", "dev", "v0"])
            .output()
            .unwrap();
        let routes = String::from_utf8(routes.stdout).unwrap();
        assert!(routes.contains("2001:db8:1::/64"), "{routes}");
        assert_eq!(acquire(&mut rtnl, &group).1.changed, 0);
        assert_eq!(release(&mut rtnl, &group).0, Ok(()));
        assert_eq!(on("v0"), own_and(&[]));
    });
}

#[test]
fn an_ipv6_address_that_waits_for_its_duplicate_check_is_put_on_anew() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        // Tentative for as long as the interface has no carrier.
        ip("link set v1 down");
        ip("addr add 2001:db8::10/64 dev v0");
        assert!(state_of(&mut rtnl, "2001:db8::10").in_doubt());
        let group = placed("v0", &["2001:db8::10"]);
        assert_eq!(acquire(&mut rtnl, &group).0, Ok(()));
        let state = state_of(&mut rtnl, "2001:db8::10");
        assert_eq!((state.prefix_len, state.in_doubt()), (128, false));
    });
}

#[test]
fn a_primary_twin_is_reported_rather_than_taking_the_hosts_address_along() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        ip("addr add 198.51.100.7/24 dev v0");
        ip("addr add 198.51.100.1/24 dev v0");
        let group = placed("v0", &["198.51.100.7", "198.51.100.8"]);
        assert_eq!(acquire(&mut rtnl, &group).0, Ok(()));
        std::fs::write("/proc/sys/net/ipv4/conf/all/promote_secondaries", "0").unwrap();
        std::fs::write("/proc/sys/net/ipv4/conf/v0/promote_secondaries", "0").unwrap();
        let (outcome, stats) = release(&mut rtnl, &group);
        assert_eq!(outcome, refused("198.51.100.7", libc::EBUSY));
        assert_eq!(stats.held_back.unwrap().prefix_len, 24);
        let left = own_and(&["198.51.100.7/24", "198.51.100.1/24"]);
        assert_eq!(on("v0"), left);

        std::fs::write("/proc/sys/net/ipv4/conf/v0/promote_secondaries", "1").unwrap();
        assert_eq!(release(&mut rtnl, &group).0, Ok(()));
        assert_eq!(on("v0"), own_and(&["198.51.100.1/24"]));
    });
}

#[test]
fn a_point_to_point_twin_comes_off_too() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        ip("addr add 192.0.2.10 peer 203.0.113.1/32 dev v0");
        ip("addr add 2001:db8::10 peer 2001:db8::99/128 dev v0 nodad");
        let group = placed("v0", &["192.0.2.10", "2001:db8::10"]);
        assert_eq!(acquire(&mut rtnl, &group).0, Ok(()));
        assert_eq!(release(&mut rtnl, &group).0, Ok(()));
        assert_eq!(on("v0"), own_and(&[]));
    });
}

#[test]
fn ipv6_switched_off_is_a_refusal_at_the_first_slice() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        std::fs::write("/proc/sys/net/ipv6/conf/v0/disable_ipv6", "1").unwrap();
        let place = |n| Placed {
            interface: "v0".into(),
            address: IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 1, n]),
        };
        let group: Arc<[Placed]> = (0..1000).map(place).collect();
        let mut change = Change::acquire(group.clone());
        let steps: Vec<Progress> = (0..3).map(|_| change.step(&mut rtnl)).collect();
        let Progress::Done(outcome, stats) = &steps[2] else {
            panic!("it went on after a refusal");
        };
        assert_eq!(*outcome, refused("2001:db8::1:0", libc::EACCES));
        assert_eq!(stats.changed, 0);
        println!("the kernel said: {:?}", stats.said);
        assert_eq!(release(&mut rtnl, &group).0, Ok(()));
    });
}

#[test]
fn a_missing_interface_is_a_fault_to_acquire_on_and_nothing_to_release_from() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let mut group = placed("v0", &["192.0.2.10"]).to_vec();
        group.extend_from_slice(&placed("nosuch", &["192.0.2.11"]));
        let group: Arc<[Placed]> = group.into();
        let fault = AddressFault {
            address: Some("192.0.2.11".parse().unwrap()),
            kind: AddressFaultKind::NoInterface,
        };
        assert_eq!(acquire(&mut rtnl, &group).0, Err(fault));
        assert_eq!(on("v0"), own_and(&[]), "nothing goes on where not all can");
        assert_eq!(release(&mut rtnl, &group).0, Ok(()));
    });
}

#[test]
fn a_renamed_interface_does_not_keep_the_address() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let group = placed("v0", &["192.0.2.10", "2001:db8::10"]);
        ip("link set v0 down");
        assert_eq!(acquire(&mut rtnl, &group).0, Ok(()));
        ip("link set v0 name other");
        assert!(on("other").contains("192.0.2.10/32"));
        assert!(on("other").contains("2001:db8::10/128"));
        assert_eq!(release(&mut rtnl, &group).0, Ok(()));
        assert_eq!(on("other"), ["192.0.2.1/24".to_owned()].into());
    });
}

#[test]
fn a_thousand_addresses_go_on_and_off_in_slices() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let group = many(1000);
        let mut change = Change::acquire(group.clone());
        let mut steps = 1;
        let (outcome, stats) = loop {
            match change.step(&mut rtnl) {
                Progress::More | Progress::Answering => steps += 1,
                Progress::Done(outcome, stats) => break (outcome, stats),
            }
        };
        assert_eq!((outcome, stats.changed), (Ok(()), 1000));
        assert!(steps > 4, "{steps} steps: nothing else had its turn");
        assert_eq!(on("v0").len(), 1000 + OWN.len());
        let (outcome, stats) = release(&mut rtnl, &group);
        assert_eq!((outcome, stats.changed), (Ok(()), 1000));
        assert_eq!(on("v0"), own_and(&[]));
    });
}

#[test]
fn addresses_come_off_in_the_order_in_which_another_host_puts_them_on() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let group = many(200);
        let backwards: Arc<[Placed]> = group.iter().rev().cloned().collect();
        for before in [&group, &backwards] {
            assert_eq!(acquire(&mut rtnl, before).0, Ok(()));
            let mut change = Change::release(group.clone());
            loop {
                let progress = change.step(&mut rtnl);
                let left = on("v0").len() - OWN.len();
                let last = &group[group.len() - left..];
                let texts: Vec<String> = last.iter().map(|p| format!("{}/32", p.address)).collect();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                assert_eq!(on("v0"), own_and(&texts), "only the last ones are left");
                if progress != Progress::More {
                    break;
                }
            }
            assert_eq!(on("v0"), own_and(&[]));
        }
    });
}

/// Steps until the host answers for all addresses before they are on.
fn until_answering(change: &mut Change, rtnl: &mut Rtnl) {
    loop {
        match change.step(rtnl) {
            Progress::More => {}
            Progress::Answering => return,
            Progress::Done(outcome, _) => panic!("{outcome:?} without a lead"),
        }
    }
}

/// The addresses that a route of ours leads, as iproute2 sees them.
fn led() -> usize {
    let output = Command::new("ip")
        .args("route show table local proto 112".split(' '))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().lines().count()
}

/// How many local routes of this host are of the kernel's own making, as it makes them.
fn routed_by_the_kernel() -> usize {
    let output = Command::new("ip")
        .args("route show table local type local proto kernel dev v0".split(' '))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| line.trim_start_matches("local "));
    let of_many = lines.filter(|line| line.starts_with("10.50."));
    let complete = |line: &&str| {
        let address = line.split(' ').next().unwrap_or_default();
        line.trim_end() == format!("{address} scope host src {address}")
    };
    of_many.filter(complete).count()
}

#[test]
fn while_leads_stand_in_the_kernel_keeps_few_routes_and_gets_them_back() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let group = many(1000);
        let mut change = Change::acquire(group.clone());
        until_answering(&mut change, &mut rtnl);
        let mut half_way = 0;
        while on("v0").len() < 500 {
            change.step(&mut rtnl);
            half_way = half_way.max(routed_by_the_kernel());
        }
        assert_eq!((half_way, led()), (0, 1000));
        assert_eq!(run(change, &mut rtnl).0, Ok(()));
        assert_eq!((routed_by_the_kernel(), led()), (1000, 0));

        assert_eq!(release(&mut rtnl, &group).0, Ok(()));
        assert_eq!((routed_by_the_kernel(), led()), (0, 0));
    });
}

#[test]
fn thousands_of_addresses_answer_before_they_are_on() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let group = many(1000);
        let mut change = Change::acquire(group.clone());
        until_answering(&mut change, &mut rtnl);
        assert_eq!((on("v0"), led()), (own_and(&[]), 1000));
        for place in [&group[0], &group[999]] {
            // Only for an address of this host can a socket be bound.
            std::net::UdpSocket::bind((place.address, 0)).unwrap();
        }
        assert_eq!(run(change, &mut rtnl).0, Ok(()));
        assert_eq!((on("v0").len(), led()), (1000 + OWN.len(), 0));
        std::net::UdpSocket::bind((group[999].address, 0)).unwrap();

        assert_eq!(release(&mut rtnl, &group).0, Ok(()));
        assert_eq!((on("v0"), led()), (own_and(&[]), 0));
        std::net::UdpSocket::bind((group[999].address, 0)).unwrap_err();
    });
}

#[test]
fn what_leads_goes_with_a_release_that_comes_before_the_addresses_are_on() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let (group, other) = (many(1000), placed("v0", &["192.0.2.10"]));
        let mut change = Change::acquire(group.clone());
        until_answering(&mut change, &mut rtnl);
        drop(change);
        assert_eq!(release(&mut rtnl, &other).0, Ok(()));
        assert_eq!(led(), 1000, "those of another group stay");
        assert_eq!(release(&mut rtnl, &group).0, Ok(()));
        assert_eq!((on("v0"), led()), (own_and(&[]), 0));
    });
}

#[test]
fn an_acquire_that_was_made_anew_ends_the_lead_of_the_first() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let group = many(1000);
        let mut change = Change::acquire(group.clone());
        until_answering(&mut change, &mut rtnl);
        // Some of the addresses are on, then somebody asks again.
        for _ in 0..30 {
            change.step(&mut rtnl);
        }
        drop(change);
        assert!(on("v0").len() > 500);
        assert_eq!(acquire(&mut rtnl, &group).0, Ok(()));
        assert_eq!((on("v0").len(), led()), (1000 + OWN.len(), 0));
        assert_eq!(routed_by_the_kernel(), 1000);
    });
}

#[test]
fn the_sweep_takes_away_what_leads() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let mut change = Change::acquire(many(300));
        until_answering(&mut change, &mut rtnl);
        for _ in 0..4 {
            change.step(&mut rtnl);
        }
        drop(change);
        assert!(
            on("v0").len() > OWN.len(),
            "some are on, without the kernel's route"
        );
        ip("route add local 203.0.113.5/32 dev v0 table local proto 99");
        let kept = many(1)[0].address;
        let removed = sweep(&mut rtnl, |state| state.address == kept).unwrap();
        assert_eq!((removed.len(), led()), (299, 1));
        assert_eq!(sweep(&mut rtnl, |_| false).unwrap().len(), 1);
        assert_eq!((on("v0"), led()), (own_and(&[]), 0));
        assert_eq!(routed_by_the_kernel(), 0);
        assert_eq!(rtnl.local_routes(Some(99)).unwrap().len(), 1);
    });
}

#[test]
fn a_group_with_both_families_is_not_led() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let mut group = many(300).to_vec();
        group.extend_from_slice(&placed("v0", &["2001:db8::10"]));
        let group: Arc<[Placed]> = group.into();
        let mut change = Change::acquire(group.clone());
        let outcome = loop {
            match change.step(&mut rtnl) {
                Progress::More => assert_eq!(rtnl.local_routes(Some(OURS)).unwrap(), []),
                Progress::Answering => panic!("a route does not answer for IPv6"),
                Progress::Done(outcome, _) => break outcome,
            }
        };
        assert_eq!(outcome, Ok(()));
    });
}

#[test]
fn only_the_missing_ones_are_put_back() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        for group in [many(5), many(500)] {
            assert_eq!(acquire(&mut rtnl, &group).0, Ok(()));
            ip("addr del 10.50.0.3/32 dev v0");
            let (outcome, stats) = acquire(&mut rtnl, &group);
            assert_eq!((outcome, stats.changed), (Ok(()), 1));
        }
    });
}

#[test]
fn the_sweep_takes_off_what_is_ours_and_not_held_back() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        ip("addr add 203.0.113.5/32 dev v1");
        let mut groups = placed("v0", &["192.0.2.10", "2001:db8::10"]).to_vec();
        groups.extend_from_slice(&placed("v1", &["192.0.2.11", "2001:db8::11"]));
        assert_eq!(acquire(&mut rtnl, &groups.into()).0, Ok(()));
        let kept: IpAddr = "192.0.2.10".parse().unwrap();
        let removed = sweep(&mut rtnl, |state| state.address == kept).unwrap();
        assert_eq!(removed.len(), 3);
        assert_eq!(on("v0"), own_and(&["192.0.2.10/32"]));
        assert_eq!(on("v1"), ["203.0.113.5/32".to_owned()].into());
        assert_eq!(sweep(&mut rtnl, |_| false).unwrap().len(), 1);
        assert_eq!(sweep(&mut rtnl, |_| false).unwrap(), []);
        assert_eq!(on("v0"), own_and(&[]));
    });
}

#[test]
fn the_addresses_of_one_interface_are_among_all() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        acquire(&mut rtnl, &many(700)).0.unwrap();
        let all = rtnl.addresses().unwrap();
        let mut each = Vec::new();
        for _ in 0..2 {
            each.clear();
            for family in [Family::V4, Family::V6] {
                for link in rtnl.links().unwrap() {
                    each.append(&mut rtnl.addresses_on(link.index, family).unwrap());
                }
            }
            assert_eq!(each, all);
        }
    });
}

fn watching(names: &[&str]) -> Monitor {
    Monitor::open(Watch::new(names.iter().copied())).unwrap()
}

/// What the monitor tells until `end` is told, that included.
fn told_until(monitor: &mut Monitor, end: impl Fn(&Told) -> bool) -> Vec<Told> {
    let limit = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::empty()).unwrap();
    let after = Expiration::OneShot(Duration::from_secs(20).into());
    limit.set(after, TimerSetTimeFlags::empty()).unwrap();
    let mut told = Vec::new();
    while !told.iter().any(&end) {
        let woken = monitor.wait(limit.as_fd(), &mut |change| told.push(change));
        assert_eq!(woken.unwrap(), Woken::Heard, "not told in time: {told:?}");
    }
    told
}

fn is_link(change: &Told, watched: &str, is_up: Option<bool>) -> bool {
    matches!(change, Told::Link { name, state }
        if **name == *watched && state.as_ref().map(|link| link.up) == is_up)
}

fn is_added(change: &Told, address: &str) -> bool {
    let address: IpAddr = address.parse().unwrap();
    matches!(change, Told::AddressAdded { state, .. } if state.address == address)
}

fn is_removed(change: &Told, address: &str) -> bool {
    let address: IpAddr = address.parse().unwrap();
    matches!(change, Told::AddressRemoved { state, .. } if state.address == address)
}

#[test]
fn the_monitor_knows_how_things_are_and_follows_the_carrier() {
    in_namespace(|| {
        let mut monitor = watching(&["v0", "later"]);
        let link = monitor.snapshot().link("v0").unwrap();
        assert!(link.up && link.mtu == 1500 && link.mac.is_some());
        let first = monitor
            .snapshot()
            .first("v0", |state| state.address.is_ipv4());
        assert_eq!(first.unwrap().address, IpAddr::from([192, 0, 2, 1]));
        assert!(monitor.snapshot().link("v1").is_none(), "not watched");

        ip("link set v1 down");
        told_until(&mut monitor, |change| is_link(change, "v0", Some(false)));
        ip("link set v1 up");
        told_until(&mut monitor, |change| is_link(change, "v0", Some(true)));
        ip("link set v0 down");
        told_until(&mut monitor, |change| is_link(change, "v0", Some(false)));
    });
}

#[test]
fn the_monitor_sees_addresses_come_and_go_with_their_tag() {
    in_namespace(|| {
        let mut monitor = watching(&["v0"]);
        let mut rtnl = Rtnl::open().unwrap();
        let group = placed("v0", &["192.0.2.10", "2001:db8::10"]);
        acquire(&mut rtnl, &group).0.unwrap();
        let told = told_until(&mut monitor, |change| is_added(change, "2001:db8::10"));
        assert!(told.iter().any(|change| is_added(change, "192.0.2.10")));
        let table = monitor.snapshot();
        let ours = |state: &AddressState| state.protocol == Some(OURS);
        assert_eq!(table.addresses("v0").iter().filter(|s| ours(s)).count(), 2);

        ip("addr del 192.0.2.10/32 dev v0");
        let told = told_until(&mut monitor, |change| is_removed(change, "192.0.2.10"));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(!monitor.snapshot().has("v0", group[0].address));
        assert!(monitor.snapshot().has("v0", group[1].address));
    });
}

#[test]
fn the_monitor_sees_an_interface_go_come_and_change_its_name() {
    in_namespace(|| {
        let mut monitor = watching(&["v0", "w0"]);
        ip("link set v0 down");
        ip("link set v0 name other");
        told_until(&mut monitor, |change| is_link(change, "v0", None));
        assert!(monitor.snapshot().link("v0").is_none());

        // Only IPv4 addresses are told again by the kernel when the name changes.
        ip("addr add 2001:db8::20/64 dev other nodad");
        ip("link set other name w0");
        let told = told_until(&mut monitor, |change| is_added(change, "2001:db8::20"));
        assert!(told.iter().any(|change| is_link(change, "w0", Some(false))));
        ip("link set w0 up");
        told_until(&mut monitor, |change| is_link(change, "w0", Some(true)));

        ip("link del w0");
        let told = told_until(&mut monitor, |change| is_link(change, "w0", None));
        assert!(told.iter().any(|change| is_removed(change, "2001:db8::20")));
        ip("link add v0 type veth peer name v1");
        told_until(&mut monitor, |change| is_link(change, "v0", Some(false)));
    });
}

#[test]
fn a_port_that_leaves_its_bridge_is_not_gone() {
    in_namespace(|| {
        ip("link add br0 type bridge");
        ip("link set v0 master br0");
        let mut monitor = watching(&["v0"]);
        ip("link set v0 nomaster");
        ip("link set v1 down");
        let told = told_until(&mut monitor, |change| is_link(change, "v0", Some(false)));
        assert!(
            !told.iter().any(|change| is_link(change, "v0", None)),
            "{told:?}"
        );
    });
}

#[test]
fn an_overrun_loses_no_removal() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let group = many(300);
        acquire(&mut rtnl, &group).0.unwrap();
        let mut monitor = Monitor::open_with(Watch::new(["v0"]), 4096).unwrap();
        assert!(monitor.snapshot().has("v0", group[299].address));

        // Nobody reads meanwhile: a hundred go, and another interface is busy. The event of the
        // first is in the queue, that of its return is not.
        let (back, gone): (Arc<[Placed]>, Arc<[Placed]>) =
            (group[..1].into(), group[1..100].into());
        release(&mut rtnl, &back).0.unwrap();
        release(&mut rtnl, &gone).0.unwrap();
        let noise: Vec<Placed> = (many(300).iter())
            .map(|p| Placed {
                interface: "v1".into(),
                ..p.clone()
            })
            .collect();
        acquire(&mut rtnl, &noise.into()).0.unwrap();
        ip("link set v1 down");
        acquire(&mut rtnl, &back).0.unwrap();

        let mut told = told_until(&mut monitor, |change| *change == Told::Resynced);
        // The new socket hears, and the old queue is forgotten.
        ip("addr del 10.50.0.150/32 dev v0");
        let last = |change: &Told| is_removed(change, "10.50.0.150");
        told.append(&mut told_until(&mut monitor, last));
        told.pop();

        let removed: BTreeSet<IpAddr> = (told.iter())
            .filter_map(|change| match change {
                Told::AddressRemoved { state, .. } => Some(state.address),
                _ => None,
            })
            .collect();
        assert_eq!(removed, gone.iter().map(|p| p.address).collect());
        assert!(told.iter().any(|change| is_link(change, "v0", Some(false))));
        for (n, place) in group.iter().enumerate() {
            let there = n == 0 || n >= 100 && n != 149;
            assert_eq!(monitor.snapshot().has("v0", place.address), there, "{n}");
        }
    });
}

/// Changes that do not end: the first of our addresses on an interface goes and comes back as the
/// last, again and again.
struct Churn {
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Churn {
    fn start(rtnl: &mut Rtnl, index: u32) -> Self {
        let act = Act::Add { protocol: OURS };
        let states = rtnl.addresses_on(index, Family::V4).unwrap();
        let moves: Vec<[Edit; 2]> = (states.iter().filter(|s| s.protocol == Some(OURS)))
            .map(Edit::delete)
            .map(|delete| [delete, Edit { act, ..delete }])
            .collect();
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let thread = std::thread::spawn(move || {
            let mut rtnl = Rtnl::open().unwrap();
            let mut moves = moves.iter().cycle();
            while !stop.load(Ordering::Relaxed) {
                let pair = moves.next().unwrap();
                rtnl.apply(pair, &mut |refusal| panic!("{refusal:?}"))
                    .unwrap();
            }
        });
        Self { over, thread }
    }

    fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

#[test]
fn a_storm_of_changes_delays_the_monitor_but_does_not_end_it() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        acquire(&mut rtnl, &many(1000)).0.unwrap();
        let index = rtnl.link("v0").unwrap().unwrap().index;
        let mut monitor = Monitor::open_with(Watch::new(["v0"]), 4096).unwrap();
        let churn = Churn::start(&mut rtnl, index);
        let never = EventFd::new().unwrap();
        for _ in 0..20 {
            monitor.wait(never.as_fd(), &mut |_| {}).unwrap();
        }
        churn.stop();
        ip("addr add 10.60.0.1/32 dev v0");
        told_until(&mut monitor, |change| is_added(change, "10.60.0.1"));
        let mut table = monitor.snapshot().addresses("v0");
        let mut kernel = rtnl.addresses_on(index, Family::V4).unwrap();
        table.retain(|state| state.address.is_ipv4());
        table.sort_by_key(|state| state.address);
        kernel.sort_by_key(|state| state.address);
        assert_eq!(table, kernel);
    });
}

#[test]
fn what_changes_while_it_is_read_is_never_read_in_part() {
    in_namespace(|| {
        let mut rtnl = Rtnl::open().unwrap();
        let group = many(1000);
        acquire(&mut rtnl, &group).0.unwrap();
        let index = rtnl.link("v0").unwrap().unwrap().index;
        let churn = Churn::start(&mut rtnl, index);
        for _ in 0..20 {
            for read in [
                rtnl.addresses_on(index, Family::V4),
                Rtnl::open().unwrap().addresses_on(index, Family::V4),
                rtnl.addresses().map(|mut all| {
                    all.retain(|state| state.index == index && state.address.is_ipv4());
                    all
                }),
            ] {
                match read {
                    Ok(states) => {
                        let unique: BTreeSet<IpAddr> = states.iter().map(|s| s.address).collect();
                        // The own one, and all but the one that is under way.
                        assert!(unique.len() >= 1000, "{} addresses", unique.len());
                    }
                    Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::Interrupted),
                }
            }
        }
        churn.stop();
        assert_eq!(rtnl.addresses_on(index, Family::V4).unwrap().len(), 1001);
    });
}

#[test]
fn a_reload_watches_the_new_names_and_forgets_the_old() {
    in_namespace(|| {
        ip("addr add 203.0.113.5/32 dev v1");
        let mut monitor = watching(&["v0"]);
        let mut told = Vec::new();
        let watch = Watch::new(["v1"]);
        monitor
            .watch(watch, &mut |change| told.push(change))
            .unwrap();
        assert!(told.iter().any(|change| is_link(change, "v1", Some(true))));
        assert!(told.iter().any(|change| is_added(change, "203.0.113.5")));
        assert!(monitor.snapshot().link("v0").is_none());
        ip("addr del 192.0.2.1/24 dev v0");
        ip("addr del 203.0.113.5/32 dev v1");
        let told = told_until(&mut monitor, |change| is_removed(change, "203.0.113.5"));
        assert_eq!(told.len(), 1, "{told:?}");
    });
}

#[test]
fn the_monitor_can_be_woken() {
    in_namespace(|| {
        let mut monitor = watching(&["v0"]);
        let wake = EventFd::new().unwrap();
        wake.write(1).unwrap();
        let woken = monitor.wait(wake.as_fd(), &mut |_| {}).unwrap();
        assert_eq!(woken, Woken::Asked);
    });
}

/// `cargo test --test netlink -- --ignored --nocapture`: compares with `ip -batch`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods)]
fn measure_thousands_of_addresses() {
    in_namespace(|| {
        let v6 = |n: u16| Placed {
            interface: "v0".into(),
            address: IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 1, n]),
        };
        for group in [many(10_000), (0..1000).map(v6).collect()] {
            for round in 0..3 {
                println!("{}, round {round}", group[0].address);
                measure_against_ip(&group);
            }
        }
        let one = placed("v0", &["192.0.2.10"]);
        let mut rtnl = Rtnl::open().unwrap();
        for _ in 0..5 {
            for change in [Change::acquire(one.clone()), Change::release(one.clone())] {
                measure(&mut rtnl, change);
            }
        }
    });
}

#[allow(clippy::disallowed_methods)]
fn measure_against_ip(group: &Arc<[Placed]>) {
    let path = std::env::temp_dir().join(format!("floatlock-batch-{}", std::process::id()));
    for verb in ["add", "del"] {
        let line = |p: &Placed| match p.address {
            IpAddr::V4(v4) => format!("addr {verb} {v4}/32 dev v0\n"),
            IpAddr::V6(v6) => format!("addr {verb} {v6}/128 dev v0 nodad\n"),
        };
        std::fs::write(&path, group.iter().map(line).collect::<String>()).unwrap();
        let start = Instant::now();
        ip(&format!("-batch {}", path.display()));
        println!("  ip -batch {verb}: {:?}", start.elapsed());
    }
    std::fs::remove_file(path).unwrap();
    let big = 256 << 20;
    let elsewhere = &mut Monitor::open_with(Watch::new(["v1"]), big).unwrap();
    let monitor = &mut Monitor::open_with(Watch::new(["v0"]), big).unwrap();
    let mut rtnl = Rtnl::open().unwrap();
    for change in [
        Change::acquire(group.clone()),
        Change::acquire(group.clone()),
        Change::release(group.clone()),
    ] {
        measure(&mut rtnl, change);
        drain("elsewhere", elsewhere);
        drain("watched", monitor);
    }
}

#[allow(clippy::disallowed_methods)]
fn measure(rtnl: &mut Rtnl, mut change: Change) {
    let start = Instant::now();
    let mut slices = Vec::new();
    loop {
        let slice = Instant::now();
        let progress = change.step(rtnl);
        slices.push(slice.elapsed());
        if let Progress::Done(outcome, stats) = progress {
            assert_eq!(outcome, Ok(()));
            println!(
                "  floatlock: {} changed in {:?}, {} slices, worst {:?}, last look {:?}",
                stats.changed,
                start.elapsed(),
                slices.len(),
                slices.iter().max().unwrap(),
                slices[slices.len() - 1],
            );
            return;
        }
    }
}

/// How long a monitor takes to read what has come.
#[allow(clippy::disallowed_methods)]
fn drain(name: &str, monitor: &mut Monitor) {
    let wake = EventFd::new().unwrap();
    wake.write(1).unwrap();
    let (mut changes, mut resyncs) = (0, 0);
    let start = Instant::now();
    for _ in 0..20 {
        let mut sink = |change| match change {
            Told::Resynced => resyncs += 1,
            _ => changes += 1,
        };
        monitor.wait(wake.as_fd(), &mut sink).unwrap();
    }
    let took = start.elapsed();
    println!("    {name}: {changes} changes, {resyncs} resyncs in {took:?}");
}
