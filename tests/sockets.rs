//! Sockets between two hosts (network namespaces joined by a veth pair), as root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use floatlock::config::{Announce, Family};
use floatlock::core::Instant;
use floatlock::net::addresses::Placed;
use floatlock::net::announce::{Announcer, Frames, Sent};
use floatlock::net::heartbeat::{GROUP_V4, GROUP_V6, Receiver, Sender, Step};
use floatlock::sys::lock::{self, LockError};
use floatlock::sys::packet::PacketSocket;
use floatlock::sys::{clock, notify};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket,
};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

const A4: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const B4: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const A6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1);
const B6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 2);

/// A network namespace that the test thread enters at will.
struct Host(File);

impl Host {
    fn new() -> Self {
        unshare(CloneFlags::CLONE_NEWNET).expect("network namespaces need root");
        let host = Host(File::open("/proc/thread-self/ns/net").unwrap());
        fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap();
        ip("link set lo up");
        host
    }

    fn enter(&self) {
        setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
    }
}

fn ip(arguments: &str) {
    let mut command = Command::new("ip");
    command.args(arguments.split_whitespace());
    assert!(command.status().unwrap().success(), "ip {arguments}");
}

/// Two hosts, each with one end of a cable called `eth0`.
struct Pair {
    a: Host,
    b: Host,
}

impl Pair {
    /// The thread is in host A afterwards.
    fn new() -> Self {
        let b = Host::new();
        let a = Host::new();
        let there = format!("/proc/{}/fd/{}", std::process::id(), b.0.as_raw_fd());
        ip(&format!(
            "link add eth0 type veth peer name eth0 netns {there}"
        ));
        for (host, v4, v6) in [(&b, B4, B6), (&a, A4, A6)] {
            host.enter();
            ip(&format!("addr add {v4}/24 dev eth0"));
            ip(&format!("addr add {v6}/64 dev eth0 nodad"));
            ip("link set eth0 up");
        }
        for host in [&b, &a] {
            host.enter();
            await_cable();
        }
        Pair { a, b }
    }
}

/// Waits until the kernel has noticed that both ends are up: it sends nothing before.
fn await_cable() {
    let flags = SockFlag::SOCK_CLOEXEC;
    let events = SockProtocol::NetlinkRoute;
    let events = socket(AddressFamily::Netlink, SockType::Raw, flags, events).unwrap();
    bind(events.as_raw_fd(), &NetlinkAddr::new(0, IPV6_ROUTES)).unwrap();
    let ready = |line: &str| line.starts_with("ff00") && line.ends_with("eth0");
    while !fs::read_to_string("/proc/thread-self/net/ipv6_route")
        .unwrap()
        .lines()
        .any(ready)
    {
        assert!(awaits(&events), "the cable has no carrier");
        nix::unistd::read(&events, &mut [0; 4_096]).unwrap();
    }
}

/// `RTMGRP_IPV6_ROUTE`.
const IPV6_ROUTES: u32 = 0x400;

/// Each test changes the namespace of its thread: it gets one that nobody uses afterwards.
fn on_a_thread(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(test).join().unwrap());
}

fn with_pair(test: impl FnOnce(&Pair) + Send) {
    on_a_thread(|| test(&Pair::new()));
}

fn index(interface: &str) -> u32 {
    nix::net::if_::if_nametoindex(interface).unwrap()
}

/// Whether it becomes readable within ten seconds.
fn awaits(fd: impl AsFd) -> bool {
    readable(fd, PollTimeout::from(10_000_u16))
}

fn readable(fd: impl AsFd, timeout: PollTimeout) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, timeout).unwrap() == 1
}

const RETURN: u16 = 0x06;
const LOAD_BYTE: u16 = 0x30;
const LOAD_BYTE_AFTER_X: u16 = 0x50;
const X_IP_HEADER_LEN: u16 = 0xb1;
const JUMP_EQUAL: u16 = 0x15;

fn all() -> [SockFilter; 1] {
    [SockFilter::new(RETURN, 0, 0, u32::MAX)]
}

/// Accepts one VRID: byte 1 of the VRRP message.
fn only(family: Family, vrid: u32) -> Vec<SockFilter> {
    let load = match family {
        Family::V4 => vec![
            SockFilter::new(X_IP_HEADER_LEN, 0, 0, 0),
            SockFilter::new(LOAD_BYTE_AFTER_X, 0, 0, 1),
        ],
        Family::V6 => vec![SockFilter::new(LOAD_BYTE, 0, 0, 1)],
    };
    let decide = [
        SockFilter::new(JUMP_EQUAL, 0, 1, vrid),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ];
    load.into_iter().chain(decide).collect()
}

const BOTH: [Family; 2] = [Family::V4, Family::V6];

fn group(family: Family) -> IpAddr {
    match family {
        Family::V4 => GROUP_V4.into(),
        Family::V6 => GROUP_V6.into(),
    }
}

fn a(family: Family) -> IpAddr {
    match family {
        Family::V4 => A4.into(),
        Family::V6 => A6.into(),
    }
}

fn b(family: Family) -> IpAddr {
    match family {
        Family::V4 => B4.into(),
        Family::V6 => B6.into(),
    }
}

/// A VRRP message of this VRID, with the IP header where the sender brings it.
fn advert(from: IpAddr, to: IpAddr, vrid: u8) -> Vec<u8> {
    let message = [0x31, vrid, 100, 1, 0, 100, 0, 0, 192, 0, 2, 10];
    let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) else {
        return message.to_vec();
    };
    // The kernel fills in the length and the checksum.
    let head = [0x45, 0xc0, 0, 0, 0, 1, 0, 0, 255, 112, 0, 0];
    [&head[..], &from.octets(), &to.octets(), &message].concat()
}

fn vrid(bytes: &[u8], family: Family) -> u8 {
    match family {
        Family::V4 => bytes[21],
        Family::V6 => bytes[1],
    }
}

fn receiver(family: Family, multicast: bool) -> Receiver {
    Receiver::open("eth0", index("eth0"), family, multicast).unwrap()
}

fn sender(source: IpAddr, multicast: bool) -> Sender {
    Sender::open("eth0", index("eth0"), source, multicast).unwrap()
}

/// Sends one advert of each VRID; all must leave.
fn send(sender: &mut Sender, from: IpAddr, to: IpAddr, vrids: &[u8]) {
    for vrid in vrids {
        sender.queue(&advert(from, to, *vrid), to, Instant::NEVER);
    }
    let flushed = sender.flush();
    assert_eq!(
        (flushed.sent as usize, flushed.failed, flushed.error),
        (vrids.len(), 0, None)
    );
}

/// The VRIDs of what arrives, up to and with `last`.
fn vrids_until(receiver: &mut Receiver, family: Family, last: u8) -> Vec<u8> {
    let mut vrids = Vec::new();
    while vrids.last() != Some(&last) {
        assert!(awaits(&*receiver), "only {vrids:?} arrived");
        receiver.drain(1, |datagram| vrids.push(vrid(datagram.bytes, family)));
    }
    vrids
}

#[test]
fn an_advert_arrives_by_multicast_and_by_unicast_in_both_families() {
    with_pair(|pair| {
        for (family, multicast) in BOTH.into_iter().flat_map(|f| [(f, true), (f, false)]) {
            let to = if multicast { group(family) } else { b(family) };
            pair.b.enter();
            let mut receiver = receiver(family, multicast);
            receiver.set_filter(&all()).unwrap();
            pair.a.enter();
            let before = wall();
            send(&mut sender(a(family), multicast), a(family), to, &[51]);
            assert!(awaits(&receiver), "{family:?} to {to}");
            let mut count = 0;
            let drained = receiver.drain(10, |datagram| {
                count += 1;
                assert_eq!(vrid(datagram.bytes, family), 51);
                assert!(!datagram.truncated);
                let stamp = datagram.received_at.unwrap();
                assert!(before <= stamp && stamp <= wall(), "{before:?} {stamp:?}");
                match family {
                    Family::V4 => {
                        assert_eq!(datagram.bytes.len(), 32);
                        assert_eq!(datagram.bytes[8], 255, "TTL");
                        assert_eq!(datagram.bytes[12..16], A4.octets());
                    }
                    Family::V6 => {
                        assert_eq!(datagram.bytes.len(), 12);
                        assert_eq!(datagram.hop_limit, Some(255));
                        assert_eq!(datagram.source, Some(a(family)));
                        assert_eq!(datagram.destination, Some(to));
                    }
                }
            });
            assert_eq!((drained.datagrams, drained.error, count), (1, None, 1));
            assert_eq!(receiver.drain(10, |_| {}).datagrams, 0);
        }
    });
}

fn wall() -> Duration {
    clock::wall()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
}

#[test]
fn adverts_from_a_link_local_source_arrive() {
    with_pair(|pair| {
        pair.b.enter();
        let mut receiver = receiver(Family::V6, true);
        receiver.set_filter(&all()).unwrap();
        pair.a.enter();
        ip("addr add fe80::9/64 dev eth0 nodad");
        let from = "fe80::9".parse().unwrap();
        send(&mut sender(from, true), from, GROUP_V6.into(), &[7]);
        assert!(awaits(&receiver));
        receiver.drain(1, |datagram| assert_eq!(datagram.source, Some(from)));
    });
}

#[test]
fn a_foreign_vrid_does_not_even_wake_us() {
    with_pair(|pair| {
        for family in BOTH {
            pair.b.enter();
            let mut ours = receiver(family, true);
            ours.set_filter(&only(family, 51)).unwrap();
            let mut witness = receiver(family, true);
            witness.set_filter(&all()).unwrap();
            pair.a.enter();
            let mut sender = sender(a(family), true);
            send(&mut sender, a(family), group(family), &[1, 2, 50, 52, 255]);
            assert_eq!(vrids_until(&mut witness, family, 255), [1, 2, 50, 52, 255]);
            assert!(!readable(&ours, PollTimeout::ZERO), "{family:?}");
            send(&mut sender, a(family), group(family), &[9, 51, 9, 51]);
            assert_eq!(vrids_until(&mut witness, family, 51), [9, 51]);
            assert_eq!(vrids_until(&mut ours, family, 51), [51]);
        }
    });
}

#[test]
fn before_its_first_filter_a_receiver_is_deaf() {
    with_pair(|pair| {
        for family in BOTH {
            pair.b.enter();
            let mut deaf = receiver(family, true);
            let mut witness = receiver(family, true);
            witness.set_filter(&all()).unwrap();
            pair.a.enter();
            let mut sender = sender(a(family), true);
            send(&mut sender, a(family), group(family), &[51, 52]);
            vrids_until(&mut witness, family, 52);
            deaf.set_filter(&all()).unwrap();
            send(&mut sender, a(family), group(family), &[53]);
            assert_eq!(vrids_until(&mut deaf, family, 53), [53], "{family:?}");
        }
    });
}

#[test]
fn a_new_filter_keeps_what_is_queued() {
    with_pair(|pair| {
        pair.b.enter();
        let mut receiver = receiver(Family::V4, true);
        receiver.set_filter(&all()).unwrap();
        pair.a.enter();
        send(
            &mut sender(A4.into(), true),
            A4.into(),
            GROUP_V4.into(),
            &[51],
        );
        assert!(awaits(&receiver));
        receiver.set_filter(&only(Family::V4, 52)).unwrap();
        assert_eq!(vrids_until(&mut receiver, Family::V4, 51), [51]);
    });
}

#[test]
fn our_own_multicast_is_not_looped_back() {
    with_pair(|pair| {
        for family in BOTH {
            pair.b.enter();
            let mut theirs = sender(b(family), true);
            pair.a.enter();
            let mut own = receiver(family, true);
            own.set_filter(&all()).unwrap();
            send(
                &mut sender(a(family), true),
                a(family),
                group(family),
                &[51],
            );
            send(&mut theirs, b(family), group(family), &[52]);
            assert_eq!(vrids_until(&mut own, family, 52), [52], "{family:?}");
        }
    });
}

#[test]
fn a_receiver_without_multicast_hears_unicast_only() {
    with_pair(|pair| {
        for family in BOTH {
            pair.b.enter();
            // Joins the group on the same interface, as another program might.
            let _other = receiver(family, true);
            let mut unicast = receiver(family, false);
            unicast.set_filter(&all()).unwrap();
            pair.a.enter();
            send(&mut sender(a(family), true), a(family), group(family), &[1]);
            send(&mut sender(a(family), false), a(family), b(family), &[2]);
            assert_eq!(vrids_until(&mut unicast, family, 2), [2], "{family:?}");
        }
    });
}

#[test]
fn what_comes_in_by_another_interface_is_not_heard() {
    with_pair(|pair| {
        pair.b.enter();
        let elsewhere = Receiver::open("lo", index("lo"), Family::V4, true).unwrap();
        elsewhere.set_filter(&all()).unwrap();
        let mut here = receiver(Family::V4, true);
        here.set_filter(&all()).unwrap();
        pair.a.enter();
        let mut sender = sender(A4.into(), true);
        send(&mut sender, A4.into(), B4.into(), &[1]);
        send(&mut sender, A4.into(), GROUP_V4.into(), &[2, 3]);
        vrids_until(&mut here, Family::V4, 3);
        assert!(!readable(&elsewhere, PollTimeout::ZERO));
    });
}

#[test]
fn a_drain_keeps_to_its_budget() {
    with_pair(|pair| {
        pair.b.enter();
        let mut receiver = receiver(Family::V4, true);
        receiver.set_filter(&all()).unwrap();
        pair.a.enter();
        let vrids: Vec<u8> = (1..=100).collect();
        send(
            &mut sender(A4.into(), true),
            A4.into(),
            GROUP_V4.into(),
            &vrids,
        );
        let mut witness = Vec::new();
        let mut take = |receiver: &mut Receiver, budget| {
            let keep = |datagram: floatlock::net::heartbeat::Datagram<'_>| {
                witness.push(vrid(datagram.bytes, Family::V4));
            };
            receiver.drain(budget, keep).datagrams
        };
        assert!(awaits(&receiver));
        let mut left = 100;
        while left > 0 {
            assert!(awaits(&receiver));
            let taken = take(&mut receiver, 40.min(left));
            assert!(taken <= 40);
            left -= taken;
        }
        assert_eq!(witness, vrids, "in order");
        assert_eq!(receiver.lost().unwrap(), 0);
    });
}

#[test]
fn more_adverts_than_the_queue_holds_all_leave() {
    with_pair(|pair| {
        pair.b.enter();
        let mut receiver = receiver(Family::V4, true);
        receiver.set_filter(&only(Family::V4, 255)).unwrap();
        pair.a.enter();
        let mut sender = sender(A4.into(), true);
        let to = GROUP_V4.into();
        for _ in 0..999 {
            sender.queue(&advert(A4.into(), to, 1), to, Instant::NEVER);
        }
        sender.queue(&advert(A4.into(), to, 255), to, Instant::NEVER);
        let flushed = sender.flush();
        assert_eq!((flushed.sent, flushed.failed), (1_000, 0));
        assert_eq!(vrids_until(&mut receiver, Family::V4, 255), [255]);
        let nothing = sender.flush();
        assert_eq!((nothing.sent, nothing.failed, nothing.error), (0, 0, None));
    });
}

#[test]
fn a_frame_that_no_datagram_holds_is_counted() {
    with_pair(|pair| {
        pair.a.enter();
        for (size, error) in [(2_000, Errno::EMSGSIZE), (70_000, Errno::EMSGSIZE)] {
            let mut sender = sender(A4.into(), true);
            let mut frame = advert(A4.into(), GROUP_V4.into(), 1);
            frame.resize(size, 0);
            sender.queue(&frame, GROUP_V4.into(), Instant::NEVER);
            let flushed = sender.flush();
            assert_eq!(
                (flushed.sent, flushed.failed, flushed.error),
                (0, 1, Some(error))
            );
        }
    });
}

#[test]
fn a_destination_that_fails_does_not_hold_back_the_others() {
    with_pair(|pair| {
        for family in BOTH {
            pair.b.enter();
            let mut receiver = receiver(family, false);
            receiver.set_filter(&all()).unwrap();
            pair.a.enter();
            let (nowhere, rule) = match family {
                Family::V4 => (IpAddr::from([10, 9, 0, 9]), "ip daddr 10.9.0.9 drop"),
                Family::V6 => ("fd09::9".parse().unwrap(), "ip6 daddr fd09::9 drop"),
            };
            refuse_to_send(rule);
            let mut sender = sender(a(family), false);
            for (to, vrid) in [
                (nowhere, 1),
                (b(family), 2),
                (nowhere, 3),
                (nowhere, 4),
                (b(family), 5),
            ] {
                sender.queue(&advert(a(family), to, vrid), to, Instant::NEVER);
            }
            let flushed = sender.flush();
            assert_eq!((flushed.sent, flushed.failed), (2, 3), "{flushed:?}");
            assert_eq!(flushed.error, Some(Errno::EPERM));
            assert_eq!(vrids_until(&mut receiver, family, 5), [2, 5]);
        }
    });
}

/// The host's own firewall, which raw sockets must obey.
fn refuse_to_send(rule: &str) {
    let hook = "type filter hook output priority 0;";
    let rules = format!("table inet t {{\n chain o {{\n {hook}\n {rule}\n }}\n }}\n");
    let done = Command::new("nft")
        .arg(rules)
        .status()
        .expect("this test needs nft");
    assert!(done.success());
}

#[test]
fn adverts_leave_with_priority_and_ipv6_ones_with_the_class_of_vrrp() {
    with_pair(|_| {
        refuse_to_send("meta l4proto 112 meta priority != 0:6 drop");
        for (family, multicast) in BOTH.into_iter().flat_map(|f| [(f, true), (f, false)]) {
            let to = if multicast { group(family) } else { b(family) };
            send(&mut sender(a(family), multicast), a(family), to, &[51]);
        }
        let done = Command::new("nft").arg("flush ruleset").status().unwrap();
        assert!(done.success());
        refuse_to_send("meta l4proto 112 ip6 dscp != cs6 drop");
        for (to, multicast) in [(group(Family::V6), true), (b(Family::V6), false)] {
            send(&mut sender(A6.into(), multicast), A6.into(), to, &[51]);
        }
    });
}

#[test]
fn with_the_link_down_a_flush_fails_at_once_and_works_again_after() {
    with_pair(|pair| {
        pair.b.enter();
        let mut receiver = receiver(Family::V4, true);
        receiver.set_filter(&all()).unwrap();
        pair.a.enter();
        let mut sender = sender(A4.into(), true);
        ip("link set eth0 down");
        let before = clock::now();
        for _ in 0..250 {
            sender.queue(
                &advert(A4.into(), GROUP_V4.into(), 1),
                GROUP_V4.into(),
                Instant::NEVER,
            );
        }
        let flushed = sender.flush();
        assert_eq!((flushed.sent, flushed.failed), (0, 250));
        assert!(flushed.error.is_some());
        let took = clock::now().since(before);
        assert!(took < Duration::from_millis(500), "{took:?}");
        ip("link set eth0 up");
        send(&mut sender, A4.into(), GROUP_V4.into(), &[2]);
        assert_eq!(vrids_until(&mut receiver, Family::V4, 2), [2]);
    });
}

#[test]
fn without_its_interface_a_sender_fails_and_a_receiver_does_not_spin() {
    with_pair(|pair| {
        pair.a.enter();
        let mut sender = sender(A4.into(), true);
        let mut receiver = receiver(Family::V4, true);
        receiver.set_filter(&all()).unwrap();
        ip("link del eth0");
        sender.queue(
            &advert(A4.into(), GROUP_V4.into(), 1),
            GROUP_V4.into(),
            Instant::NEVER,
        );
        let flushed = sender.flush();
        assert_eq!((flushed.sent, flushed.failed), (0, 1), "{flushed:?}");
        receiver.drain(10, |_| {});
        assert!(!readable(&receiver, PollTimeout::ZERO));
    });
}

#[test]
fn a_sender_queues_nothing_of_what_it_hears() {
    with_pair(|pair| {
        for family in BOTH {
            pair.b.enter();
            let deaf = sender(b(family), true);
            let mut witness = receiver(family, true);
            witness.set_filter(&all()).unwrap();
            pair.a.enter();
            let mut sender = sender(a(family), true);
            send(&mut sender, a(family), b(family), &[1]);
            send(&mut sender, a(family), group(family), &[2, 3]);
            vrids_until(&mut witness, family, 3);
            assert!(!readable(&deaf, PollTimeout::ZERO), "{family:?}");
        }
    });
}

#[test]
fn errors_of_opening_say_what_to_do() {
    with_pair(|_| {
        let gone = Receiver::open("eth9", 9, Family::V4, true).unwrap_err();
        assert_eq!(gone.errno(), Some(Errno::ENODEV));
        assert!(gone.to_string().contains("on eth9"), "{gone}");
        let replaced = Receiver::open("eth0", 4_711, Family::V4, true).unwrap_err();
        assert_eq!(
            (replaced.step, replaced.errno()),
            (Step::Device, Some(Errno::ENODEV))
        );
        for source in [IpAddr::from([192, 0, 2, 1]), "2001:db8::1".parse().unwrap()] {
            let early = Sender::open("eth0", index("eth0"), source, true).unwrap_err();
            assert_eq!(
                (early.step, early.errno()),
                (Step::Source(source), Some(Errno::EADDRNOTAVAIL))
            );
            assert!(early.to_string().contains(&source.to_string()), "{early}");
        }
        use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_RAW);
        set_capabilities(None, sets).unwrap();
        let refused = Receiver::open("eth0", index("eth0"), Family::V4, true).unwrap_err();
        assert_eq!(refused.errno(), Some(Errno::EPERM));
        assert!(refused.to_string().contains("CAP_NET_RAW"), "{refused}");
    });
}

const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];

/// Frames that a test recognizes; what real ones look like is tested where they are built.
const FRAMES: Frames = Frames {
    gratuitous: |mac, address| {
        let mut frame = [0; 42];
        frame[..6].fill(0xff);
        frame[6..12].copy_from_slice(&mac);
        frame[12..14].copy_from_slice(&ETHERTYPE_ARP);
        frame[14..18].copy_from_slice(&address.octets());
        frame
    },
    unsolicited: |mac, address, router| {
        let mut frame = [0; 86];
        frame[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
        frame[6..12].copy_from_slice(&mac);
        frame[12..14].copy_from_slice(&ETHERTYPE_IPV6);
        frame[14..30].copy_from_slice(&address.octets());
        frame[30] = u8::from(router);
        frame[31] = MARK;
        frame
    },
};
const MARK: u8 = 0xa7;

/// Sees every frame that comes in by `eth0`.
struct Tap(Socket);

/// An announcement as seen by a neighbour.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    mac: [u8; 6],
    address: IpAddr,
    router: bool,
}

impl Tap {
    fn new() -> Self {
        // ETH_P_ALL, in network byte order, as the kernel wants it.
        let everything = Protocol::from(i32::from(3_u16.to_be()));
        let tap = Socket::new(Domain::PACKET, Type::RAW, Some(everything)).unwrap();
        tap.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Tap(tap)
    }

    /// The next announcement; other frames (router solicitations, MLD) are skipped.
    fn next(&self) -> Seen {
        use std::io::Read;
        loop {
            let mut frame = [0; 2_048];
            let len = (&self.0).read(&mut frame).expect("an announcement");
            if let Some(seen) = seen(&frame[..len]) {
                return seen;
            }
        }
    }
}

fn seen(frame: &[u8]) -> Option<Seen> {
    let mac = frame[6..12].try_into().unwrap();
    let kind: [u8; 2] = frame[12..14].try_into().unwrap();
    if kind == ETHERTYPE_ARP {
        let address: [u8; 4] = frame[14..18].try_into().unwrap();
        return Some(Seen {
            mac,
            address: address.into(),
            router: false,
        });
    }
    if kind != ETHERTYPE_IPV6 || frame.len() != 86 || frame[31] != MARK {
        return None;
    }
    let address: [u8; 16] = frame[14..30].try_into().unwrap();
    Some(Seen {
        mac,
        address: address.into(),
        router: frame[30] == 1,
    })
}

const HOW: Announce = Announce {
    count: 2,
    repeat_after: Duration::ZERO,
    refresh: Duration::ZERO,
    rate: 100_000,
};

fn on(interface: &str, addresses: &[&str]) -> Arc<[Placed]> {
    let interface: Arc<str> = Arc::from(interface);
    let placed = |address: &&str| Placed {
        interface: Arc::clone(&interface),
        address: address.parse().unwrap(),
    };
    addresses.iter().map(placed).collect()
}

/// Drives it until it has nothing more to do, on a clock that jumps from deadline to deadline.
fn run_out(announcer: &mut Announcer, from: Instant) -> Sent {
    let (mut now, mut total) = (from, Sent::default());
    while let Some(deadline) = announcer.deadline() {
        now = now.max(deadline);
        let sent = announcer.run(now);
        total.frames += sent.frames;
        total.failed += sent.failed;
    }
    total
}

fn mac_of(interface: &str) -> [u8; 6] {
    PacketSocket::open(index(interface))
        .unwrap()
        .mac()
        .unwrap()
        .unwrap()
}

#[test]
fn neighbours_hear_every_address_once_and_then_again() {
    with_pair(|pair| {
        pair.b.enter();
        let tap = Tap::new();
        pair.a.enter();
        ip("link set eth0 address 02:00:00:00:00:aa");
        let mac = [2, 0, 0, 0, 0, 0xaa];
        let addresses = on("eth0", &["192.0.2.1", "2001:db8::1", "192.0.2.2"]);
        for router in [false, true] {
            let setting = "/proc/sys/net/ipv6/conf/eth0/forwarding";
            fs::write(setting, if router { "1" } else { "0" }).unwrap();
            let mut announcer = Announcer::new(FRAMES);
            announcer.start(1, 1, Arc::clone(&addresses), HOW, clock::now());
            let sent = run_out(&mut announcer, clock::now());
            assert_eq!((sent.frames, sent.failed), (6, 0));
            for placed in addresses.iter().chain(addresses.iter()) {
                let expected = Seen {
                    mac,
                    address: placed.address,
                    router: router && placed.address.is_ipv6(),
                };
                assert_eq!(tap.next(), expected);
            }
        }
    });
}

#[test]
fn one_run_is_a_slice_and_many_are_all() {
    with_pair(|pair| {
        pair.b.enter();
        let tap = Tap::new();
        pair.a.enter();
        let texts: Vec<String> = (0..200).map(|n| format!("192.0.2.{n}")).collect();
        let addresses = on(
            "eth0",
            &texts.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        let mut announcer = Announcer::new(FRAMES);
        let how = Announce {
            count: 1,
            rate: u32::MAX,
            ..HOW
        };
        let now = clock::now();
        announcer.start(1, 1, Arc::clone(&addresses), how, now);
        // Another ten frames that the pace alone would let through now.
        let (how, few) = (Announce { rate: 1_000, ..HOW }, ["198.51.100.1"; 5]);
        announcer.start(2, 1, on("eth0", &few), how, now);
        let first = announcer.run(now);
        assert_eq!((first.frames, first.failed), (64, 0));
        assert_eq!(run_out(&mut announcer, now).frames, 146);
        let heard: Vec<IpAddr> = (0..210).map(|_| tap.next().address).collect();
        let ours = heard
            .iter()
            .filter(|a| a.to_string().starts_with("192.0.2."));
        assert!(
            ours.eq(addresses.iter().map(|placed| &placed.address)),
            "{heard:?}"
        );
    });
}

#[test]
fn a_cancelled_group_sends_nothing_more() {
    with_pair(|pair| {
        pair.b.enter();
        let tap = Tap::new();
        pair.a.enter();
        let mut announcer = Announcer::new(FRAMES);
        let now = clock::now();
        let slow = Announce { rate: 1, ..HOW };
        announcer.start(1, 1, on("eth0", &["192.0.2.1", "192.0.2.2"]), slow, now);
        assert_eq!(announcer.run(now).frames, 1);
        announcer.cancel(1);
        assert_eq!(announcer.deadline(), None);
        assert_eq!(announcer.run(now + Duration::from_secs(9)), Sent::default());
        announcer.start(
            2,
            1,
            on("eth0", &["192.0.2.9"]),
            HOW,
            now + Duration::from_secs(10),
        );
        assert_eq!(run_out(&mut announcer, now).frames, 2);
        let heard = [(); 3].map(|()| tap.next().address.to_string());
        assert_eq!(heard, ["192.0.2.1", "192.0.2.9", "192.0.2.9"]);
    });
}

#[test]
fn an_interface_without_neighbours_is_skipped_and_a_missing_one_is_counted() {
    with_pair(|_| {
        let mut announcer = Announcer::new(FRAMES);
        announcer.start(1, 1, on("lo", &["192.0.2.1"]), HOW, clock::now());
        assert_eq!(run_out(&mut announcer, clock::now()), Sent::default());
        announcer.start(1, 2, on("eth9", &["192.0.2.1"]), HOW, clock::now());
        assert_eq!(
            run_out(&mut announcer, clock::now()),
            Sent {
                frames: 0,
                failed: 2
            }
        );
        ip("link set eth0 down");
        announcer.start(1, 3, on("eth0", &["192.0.2.1"]), HOW, clock::now());
        assert_eq!(
            run_out(&mut announcer, clock::now()),
            Sent {
                frames: 0,
                failed: 2
            }
        );
    });
}

#[test]
fn announcements_follow_an_interface_that_was_replaced() {
    with_pair(|_| {
        let how = Announce {
            count: 1,
            repeat_after: Duration::from_secs(1),
            ..HOW
        };
        let mut announcer = Announcer::new(FRAMES);
        let now = clock::now();
        announcer.start(1, 1, on("eth0", &["192.0.2.1"]), how, now);
        assert_eq!(announcer.run(now).frames, 1);
        let old = (index("eth0"), mac_of("eth0"));
        ip("link del eth0");
        ip("link add eth0 type veth peer name other");
        ip("link set other up");
        ip("link set eth0 up");
        assert_ne!(old, (index("eth0"), mac_of("eth0")));
        let tap = Tap::new();
        assert_eq!(run_out(&mut announcer, now).frames, 1);
        assert_eq!(tap.next().mac, mac_of("eth0"));
    });
}

/// Of what is sent by `eth0`, next to nothing leaves.
fn stall_eth0() {
    let stall = "qdisc add dev eth0 root tbf rate 8bit burst 100 limit 100".split(' ');
    let done = Command::new("tc").args(stall).status();
    assert!(
        done.expect("this test needs tc").success(),
        "this test needs the tbf queue"
    );
}

#[test]
fn a_full_queue_is_tried_again_and_given_up_in_the_end() {
    with_pair(|_| {
        stall_eth0();
        let mut announcer = Announcer::new(FRAMES);
        let now = clock::now();
        let how = Announce { count: 9, ..HOW };
        announcer.start(1, 1, on("eth0", &["192.0.2.1"]), how, now);
        let first = announcer.run(now);
        assert!(first.frames < 9 && first.failed == 0, "{first:?}");
        assert_eq!(announcer.deadline(), Some(now + Duration::from_millis(1)));
        let rest = run_out(&mut announcer, now);
        assert_eq!(first.frames + rest.frames + rest.failed, 9, "{rest:?}");
        assert!(rest.failed > 0, "{first:?} {rest:?}");
    });
}

#[test]
fn only_so_many_frames_wait_for_a_full_queue() {
    with_pair(|_| {
        stall_eth0();
        let mut announcer = Announcer::new(FRAMES);
        let now = clock::now();
        let how = Announce {
            count: 1,
            rate: u32::MAX,
            ..HOW
        };
        announcer.start(1, 1, on("eth0", &["192.0.2.1"; 300]), how, now);
        let mut total = Sent::default();
        for millis in 0..10 {
            let sent = announcer.run(now + Duration::from_millis(millis));
            total.frames += sent.frames;
            total.failed += sent.failed;
        }
        assert_eq!(total.frames + total.failed, 300 - 128, "{total:?}");
    });
}

#[test]
fn what_waits_for_a_full_queue_is_cancelled_with_its_group() {
    with_pair(|pair| {
        stall_eth0();
        let mut announcer = Announcer::new(FRAMES);
        let now = clock::now();
        let how = Announce { count: 9, ..HOW };
        announcer.start(1, 1, on("eth0", &["192.0.2.1"]), how, now);
        assert!(announcer.run(now).frames < 9);
        announcer.cancel(1);
        assert_eq!(announcer.deadline(), None);
        pair.b.enter();
        let tap = Tap::new();
        pair.a.enter();
        // Throws away what is in it.
        let heal = Command::new("tc")
            .args("qdisc del dev eth0 root".split(' '))
            .status();
        assert!(heal.unwrap().success());
        assert_eq!(announcer.run(now + Duration::from_secs(1)), Sent::default());
        announcer.start(2, 1, on("eth0", &["192.0.2.2"]), HOW, now);
        assert_eq!(run_out(&mut announcer, now).frames, 2);
        assert_eq!(tap.next().address, IpAddr::from([192, 0, 2, 2]));
    });
}

#[test]
fn a_packet_socket_knows_when_its_interface_is_gone() {
    with_pair(|_| {
        let socket = PacketSocket::open(index("eth0")).unwrap();
        assert!(socket.mac().unwrap().is_some());
        ip("link del eth0");
        assert_eq!(
            socket.mac().unwrap_err().raw_os_error(),
            Some(Errno::ENODEV as i32)
        );
        let frame = [0_u8; 60];
        assert!(socket.send_batch([&frame[..]]).is_err());
        let none = PacketSocket::open(4_711).unwrap_err();
        assert_eq!(none.raw_os_error(), Some(Errno::ENODEV as i32));
    });
}

#[test]
fn a_network_namespace_has_one_agent() {
    if !in_own_process("a_network_namespace_has_one_agent", &[]) {
        return;
    }
    on_a_thread(|| {
        let here = Host::new();
        let held = lock::acquire().unwrap();
        let Err(LockError::Busy { pid, uid }) = lock::acquire() else {
            panic!("two agents");
        };
        assert_eq!(pid, Some(i32::try_from(std::process::id()).unwrap()));
        assert_eq!(uid, Some(0));
        let _there = Host::new();
        let _elsewhere = lock::acquire().expect("another namespace is another matter");
        here.enter();
        assert!(lock::acquire().is_err());
        drop(held);
        lock::acquire().expect("free again");
    });
}

#[test]
fn a_crowd_at_the_lock_does_not_block_it() {
    on_a_thread(|| {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixListener};
        let _host = Host::new();
        let name = SocketAddr::from_abstract_name(b"floatlock/agent").unwrap();
        let listener = UnixListener::bind_addr(&name).unwrap();
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
        let refusals: Vec<LockError> = (0..8).map(|_| lock::acquire().unwrap_err()).collect();
        assert!(
            refusals.iter().all(|e| matches!(e, LockError::Busy { .. })),
            "{refusals:?}"
        );
    });
}

/// Runs this test again in a process of its own, and there, and only there, says `true`. For
/// what belongs to a process: its environment, or a descriptor of which children of other tests
/// hold copies until they have become another program.
fn in_own_process(test: &str, environment: &[(&str, &str)]) -> bool {
    if std::env::var_os(OWN_PROCESS).is_some() {
        return true;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", test, "--nocapture"])
        .env(OWN_PROCESS, "1");
    let output = child.envs(environment.iter().copied()).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

const OWN_PROCESS: &str = "FLOATLOCK_TEST_IN_OWN_PROCESS";

/// The messages as a stand-in for systemd hears them.
#[test]
fn systemd_hears_each_message_in_its_form() {
    let directory = std::env::temp_dir().join(format!("floatlock-notify-{}", std::process::id()));
    let path = directory.join("notify");
    let environment = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "30000000"),
    ];
    let systemd = std::env::var_os(OWN_PROCESS).is_none().then(|| {
        fs::create_dir(&directory).unwrap();
        UnixDatagram::bind(&path).unwrap()
    });
    if in_own_process("systemd_hears_each_message_in_its_form", &environment) {
        notify::reloading().unwrap();
        notify::ready("1 group,\n1 MASTER").unwrap();
        notify::watchdog().unwrap();
        notify::stopping().unwrap();
        assert_eq!(notify::watchdog_interval(), Some(Duration::from_secs(30)));
        return;
    }
    let systemd = systemd.unwrap();
    systemd.set_nonblocking(true).unwrap();
    let next = || {
        let mut message = [0; 500];
        let len = systemd.recv(&mut message).unwrap();
        String::from_utf8(message[..len].to_vec()).unwrap()
    };
    let reloading = next();
    let since = reloading
        .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
        .unwrap();
    assert!(since.trim_end().parse::<u64>().unwrap() > 0);
    assert_eq!(next(), "READY=1\nSTATUS=1 group, 1 MASTER\n");
    assert_eq!(next(), "WATCHDOG=1\n");
    assert_eq!(next(), "STOPPING=1\n");
    fs::remove_dir_all(&directory).unwrap();
}
