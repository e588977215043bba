//! Is somebody found who answers for an address, and nobody where there is none? On hosts of the
//! laboratory, as root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use floatlock::config::Family;
use floatlock::lab::{Host, Lab, Lan, clock};
use floatlock::net::addresses::Placed;
use floatlock::net::look::{Claim, Lookout, Sign};
use floatlock::sys::packet::PacketSocket;
use floatlock::wire::arp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const VIP: &str = "10.77.0.100";
const VIP6: &str = "fd77::100";
const SOON: Duration = Duration::from_secs(10);
/// So long nobody answers who is not there; who is, takes microseconds.
const PATIENCE: Duration = Duration::from_millis(200);

/// Two hosts on one network; the first one has no address in that of the second one.
struct Site {
    a: Host,
    b: Host,
    lan: Lan,
    // Last: hosts go before what connects them.
    _lab: Lab,
}

impl Site {
    fn new() -> Self {
        let lab = Lab::new().expect("a laboratory");
        let lan = lab.lan("service").unwrap();
        let (a, b) = (lab.host("a").unwrap(), lab.host("b").unwrap());
        lan.attach(&a, "eth0", &["192.0.2.1/24"]).unwrap();
        let (v4, v6) = (format!("{VIP}/24"), format!("{VIP6}/64"));
        lan.attach(&b, "eth0", &[&v4, &v6]).unwrap();
        Self {
            a,
            b,
            lan,
            _lab: lab,
        }
    }

    fn mac_of_b(&self) -> [u8; 6] {
        let text = self.b.mac_on(&self.lan).unwrap().to_string();
        let octets = text.split(':').map(|octet| u8::from_str_radix(octet, 16));
        let octets: Vec<u8> = octets.map(Result::unwrap).collect();
        octets.try_into().unwrap()
    }
}

fn on(interface: &str, address: &str) -> Placed {
    Placed {
        interface: interface.into(),
        address: address.parse().unwrap(),
    }
}

/// Asks once, and listens until somebody claims the address.
fn ask(lookout: &mut Lookout, placed: &Placed) -> Option<Claim> {
    let family = Family::of(placed.address);
    assert!(
        lookout
            .open(&placed.interface, family, clock::now())
            .unwrap()
    );
    lookout.ask(placed).unwrap();
    let found = listen(lookout, placed.address, PATIENCE);
    lookout.rest();
    found
}

fn listen(lookout: &mut Lookout, address: IpAddr, length: Duration) -> Option<Claim> {
    let end = clock::now() + length;
    loop {
        let mut found = None;
        lookout.hear(|claim| {
            if claim.address == address {
                found = Some(claim);
            }
        });
        let left = end.since(clock::now());
        if found.is_some() || left.is_zero() {
            return found;
        }
        let mut fds: Vec<PollFd<'_>> = Vec::new();
        fds.extend(
            lookout
                .descriptors()
                .map(|fd| PollFd::new(fd, PollFlags::POLLIN)),
        );
        let millis = u16::try_from(left.as_millis() + 1).unwrap();
        poll(&mut fds, PollTimeout::from(millis)).unwrap();
    }
}

#[test]
fn a_neighbour_that_has_the_address_is_found_without_an_address_of_our_own() {
    let site = Site::new();
    let mac = site.mac_of_b();
    let found = site.a.run(|| {
        let mut lookout = Lookout::default();
        [VIP, VIP6].map(|vip| ask(&mut lookout, &on("eth0", vip)))
    });
    for (claim, vip) in found.unwrap().into_iter().zip([VIP, VIP6]) {
        let claim = claim.unwrap_or_else(|| panic!("nobody answers for {vip}"));
        assert_eq!((claim.mac, claim.address), (mac, vip.parse().unwrap()));
        assert_eq!(claim.sign, Sign::Has);
        assert_eq!(&*claim.interface, "eth0");
    }
}

#[test]
fn an_address_that_nobody_has_is_answered_for_by_nobody() {
    let site = Site::new();
    let found = site.a.run(|| {
        let mut lookout = Lookout::default();
        ["10.77.0.101", "fd77::101"].map(|vip| ask(&mut lookout, &on("eth0", vip)))
    });
    assert_eq!(found.unwrap(), [None, None]);
}

#[test]
fn rfc5227_2_1_1_a_neighbour_that_probes_as_well_is_heard() {
    let site = Site::new();
    let (mac, b) = (site.mac_of_b(), site.b.clone());
    let found = site.a.run(move || {
        let mut lookout = Lookout::default();
        ["10.77.0.101", "fd77::101"].map(|vip| {
            let placed = on("eth0", vip);
            let family = Family::of(placed.address);
            assert!(
                lookout
                    .open(&placed.interface, family, clock::now())
                    .unwrap()
            );
            lookout.expect(&placed).unwrap();
            let neighbour = placed.clone();
            let nobody = b
                .run(move || ask(&mut Lookout::default(), &neighbour))
                .unwrap();
            (nobody, listen(&mut lookout, placed.address, SOON))
        })
    });
    for (nobody, claim) in found.unwrap() {
        assert_eq!(nobody, None, "who only listens is no answer");
        let claim = claim.expect("a probe");
        assert_eq!((claim.mac, claim.sign), (mac, Sign::Probes));
    }
}

#[test]
fn an_own_address_and_own_probes_are_no_answer() {
    let site = Site::new();
    site.a
        .sh(&format!(
            "ip addr add {VIP}/32 dev eth0 && ip addr add {VIP6}/128 dev eth0 nodad"
        ))
        .unwrap();
    site.b
        .sh(&format!(
            "ip addr del {VIP}/24 dev eth0 && ip addr del {VIP6}/64 dev eth0"
        ))
        .unwrap();
    let found = site.a.run(|| {
        let mut lookout = Lookout::default();
        [VIP, VIP6].map(|vip| ask(&mut lookout, &on("eth0", vip)))
    });
    assert_eq!(found.unwrap(), [None, None]);
}

#[test]
fn the_hardware_addresses_of_all_interfaces_are_known_as_own() {
    let site = Site::new();
    let theirs = site.mac_of_b();
    site.a
        .sh("ip link add other0 address 02:00:00:00:99:01 type veth peer name other1")
        .unwrap();
    let known = site.a.run(move || {
        let mut lookout = Lookout::default();
        assert!(
            lookout
                .open(&"eth0".into(), Family::V4, clock::now())
                .unwrap()
        );
        [[2, 0, 0, 0, 0x99, 1], theirs].map(|mac| lookout.is_own(mac))
    });
    assert_eq!(known.unwrap(), [true, false]);
}

#[test]
fn what_was_claimed_before_somebody_looks_does_not_count() {
    let site = Site::new();
    let (b, address) = (site.b.clone(), VIP.parse().unwrap());
    let found = site.a.run(move || {
        let (mut lookout, mut witness) = (Lookout::default(), Lookout::default());
        // Once heard by nobody, once left unread.
        [false, true].map(|was_open| {
            assert!(
                witness
                    .open(&"eth0".into(), Family::V4, clock::now())
                    .unwrap()
            );
            if was_open {
                assert!(
                    lookout
                        .open(&"eth0".into(), Family::V4, clock::now())
                        .unwrap()
                );
            }
            announce(&b);
            assert!(listen(&mut witness, address, SOON).is_some());
            lookout.rest();
            assert!(
                lookout
                    .open(&"eth0".into(), Family::V4, clock::now())
                    .unwrap()
            );
            let before = listen(&mut lookout, address, PATIENCE);
            let asked = ask(&mut lookout, &on("eth0", VIP)).is_some();
            lookout.rest();
            (before, asked)
        })
    });
    assert_eq!(found.unwrap(), [(None, true), (None, true)]);
}

fn announce(host: &Host) {
    let send = || {
        let index = nix::net::if_::if_nametoindex("eth0").unwrap();
        let socket = PacketSocket::open(index).unwrap();
        let mac = socket.mac().unwrap().unwrap();
        let frame = arp::gratuitous(mac, VIP.parse().unwrap());
        assert_eq!(socket.send_batch([&frame[..]]).unwrap(), 1);
    };
    host.run(send).unwrap();
}

#[test]
fn another_interface_of_the_name_is_followed_and_one_that_is_gone_is_an_error() {
    let site = Site::new();
    let a = site.a.clone();
    let found = site.a.run(move || {
        let mut lookout = Lookout::default();
        let vip = on("eth0", VIP);
        let first = ask(&mut lookout, &vip).is_some();
        a.sh("ip link set eth0 down && ip link set eth0 name away0")
            .unwrap();
        let gone = lookout
            .open(&"eth0".into(), Family::V4, clock::now())
            .is_err();
        a.sh(
            "ip link add eth0 type veth peer name end0 && ip link set eth0 up && \
             ip link set end0 up",
        )
        .unwrap();
        let elsewhere = ask(&mut lookout, &vip).is_some();
        a.sh("ip link del eth0 && ip link set away0 name eth0 && ip link set eth0 up")
            .unwrap();
        let back = clock::wait_until(SOON, || ask(&mut lookout, &vip).is_some());
        (first, gone, elsewhere, back)
    });
    assert_eq!(found.unwrap(), (true, true, false, true));
}

#[test]
fn an_interface_that_is_down_is_an_error_and_one_without_neighbours_is_none() {
    let site = Site::new();
    let found = site.a.run({
        let a = site.a.clone();
        move || {
            let mut lookout = Lookout::default();
            let sees = lookout
                .open(&"lo".into(), Family::V4, clock::now())
                .unwrap();
            assert!(
                lookout
                    .open(&"eth0".into(), Family::V4, clock::now())
                    .unwrap()
            );
            a.sh("ip link set eth0 down").unwrap();
            let error = lookout.ask(&on("eth0", VIP)).unwrap_err();
            // The error that the socket has to tell is told once, and is not one for ever.
            assert_eq!(listen(&mut lookout, VIP.parse().unwrap(), PATIENCE), None);
            let readable = lookout.descriptors().any(|fd| {
                let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
                poll(&mut fds, PollTimeout::ZERO).unwrap() > 0
            });
            (sees, error.raw_os_error(), readable)
        }
    });
    assert_eq!(found.unwrap(), (false, Some(libc::ENETDOWN), false));
}

/// Interfaces that another program takes down at once: the kernel keeps everybody from the list of
/// interfaces meanwhile.
const MANY: usize = 300;
const ROUNDS: usize = 20;

#[test]
fn whose_an_answer_is_is_known_while_another_program_changes_many_interfaces() {
    let site = Site::new();
    let theirs = site.mac_of_b();
    site.b
        .sh(&format!(
            "for n in $(seq {MANY}); do echo link add many$n group 5 type ifb; done | ip -batch -"
        ))
        .unwrap();
    let known = (0..ROUNDS).any(|_| {
        site.b.sh("ip link set group 5 up").unwrap();
        assert!(clock::wait_until(SOON, || up_on(&site.b) == MANY));
        let mut down = Command::new("ip");
        down.args("link set group 5 down".split(' '));
        let down = site.b.spawn(down).unwrap();
        assert!(clock::wait_until(SOON, || up_on(&site.b) < MANY));
        let own = site.a.run(move || Lookout::default().is_own(theirs));
        assert!(!own.unwrap());
        // It has not let go yet.
        let in_time = up_on(&site.b) > 0;
        assert!(down.wait(SOON).unwrap().success());
        in_time
    });
    assert!(known, "it waits for the other program");
}

/// How many of them are up; this waits for nobody.
fn up_on(host: &Host) -> usize {
    let read = || std::fs::read_to_string("/proc/thread-self/net/if_inet6");
    let text = host.run(read).unwrap().unwrap();
    text.lines().filter(|line| line.contains(" many")).count()
}
