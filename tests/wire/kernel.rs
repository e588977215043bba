//! Does the kernel pass and drop what our socket filter says? Needs root: raw sockets in a network
//! namespace of their own, which ends with the thread.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use floatlock::config::Family;
use floatlock::wire::filter::{self, Instruction, VridSet};
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

/// A VRID that is in every set here and ends a batch.
const LAST: u8 = 250;

/// Runs `test` in a network namespace that has nothing but a loopback interface.
fn in_own_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET)
            .expect("cannot make a network namespace: this test needs root");
        let up = Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status();
        assert!(up.expect("install the package `iproute2`").success());
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn loopback(family: Family) -> SocketAddr {
    let address: IpAddr = match family {
        Family::V4 => Ipv4Addr::LOCALHOST.into(),
        Family::V6 => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(address, 0)
}

fn raw_socket(family: Family, program: &[Instruction]) -> Socket {
    let domain = match family {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(112)))
        .expect("cannot open a raw socket: this test needs root");
    let program: Vec<_> = program.iter().copied().map(SockFilter::from).collect();
    if !program.is_empty() {
        socket
            .attach_filter(&program)
            .expect("the kernel takes the filter");
    }
    // Nothing here waits so long unless it failed.
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    socket
}

/// The VRRP messages that came, until one of `LAST`.
fn batch(receiver: &mut Socket, family: Family) -> Vec<[u8; 2]> {
    let mut came = Vec::new();
    loop {
        let mut buffer = [0; 128];
        let len = receiver.read(&mut buffer).expect("the last message passes");
        let at = match family {
            Family::V4 => usize::from(buffer[0] & 15) * 4,
            Family::V6 => 0,
        };
        assert!(len >= at + 2);
        came.push([buffer[at], buffer[at + 1]]);
        if buffer[at + 1] == LAST {
            return came;
        }
    }
}

fn passes_what_it_should(family: Family, vrids: &[u8]) {
    let set: VridSet = vrids.iter().copied().collect();
    let mut receiver = raw_socket(family, &filter::vrrp(family, &set));
    let sender = raw_socket(family, &filter::drop_everything());
    let to = loopback(family).into();
    // In batches, since a socket's queue is short.
    for first in [0x01, 0x11, 0x21, 0x2f, 0x31, 0x41, 0xa1, 0xf1] {
        for start in (0..LAST).step_by(50) {
            let batch_vrids = start..start + 50;
            for vrid in batch_vrids.clone() {
                sender
                    .send_to(&[first, vrid, 0, 0, 0, 0, 0, 0], &to)
                    .unwrap();
            }
            sender.send_to(&[0x31], &to).unwrap();
            sender.send_to(&[0x31, LAST, 0, 0], &to).unwrap();
            let right = matches!(first >> 4, 2 | 3);
            let due = batch_vrids.filter(|vrid| right && set.contains(*vrid));
            let mut due: Vec<_> = due.map(|vrid| [first, vrid]).collect();
            due.push([0x31, LAST]);
            assert_eq!(batch(&mut receiver, family), due, "{family:?} {first:#x}");
        }
    }
}

#[test]
fn the_kernel_passes_our_virtual_routers_and_nothing_else() {
    in_own_namespace(|| {
        let every_third: Vec<_> = (1..=LAST).step_by(3).collect();
        assert!(every_third.contains(&LAST));
        for family in [Family::V4, Family::V6] {
            passes_what_it_should(family, &[LAST]);
            passes_what_it_should(family, &every_third);
            passes_what_it_should(family, &(1..=LAST).collect::<Vec<_>>());
        }
    });
}

#[test]
fn the_kernel_finds_the_vrid_behind_ip_options() {
    in_own_namespace(|| {
        let program = filter::vrrp(Family::V4, &VridSet::from_iter([7, LAST]));
        let mut receiver = raw_socket(Family::V4, &program);
        let sender = raw_socket(Family::V4, &filter::drop_everything());
        sender.set_header_included_v4(true).unwrap();
        for (option_words, vrid) in [(0, 7), (1, 7), (1, 8), (10, 7), (10, 8), (10, LAST)] {
            let datagram = with_options(option_words, vrid);
            sender
                .send_to(&datagram, &loopback(Family::V4).into())
                .unwrap();
        }
        let came = batch(&mut receiver, Family::V4);
        assert_eq!(came, [[0x21, 7], [0x21, 7], [0x21, 7], [0x21, LAST]]);
    });
}

/// A datagram to ourselves with so many words of no-operation options.
fn with_options(option_words: u8, vrid: u8) -> Vec<u8> {
    let words = 5 + option_words;
    let mut datagram = vec![
        0x40 | words,
        0xc0,
        0,
        words * 4 + 8,
        0,
        1,
        0,
        0,
        255,
        112,
        0,
        0,
    ];
    datagram.extend([127, 0, 0, 1, 127, 0, 0, 1]);
    datagram.extend(vec![1; usize::from(option_words) * 4]);
    datagram.extend([0x21, vrid, 0, 0, 0, 0, 0, 0]);
    datagram
}

#[test]
fn a_sending_socket_is_woken_by_nothing() {
    in_own_namespace(|| {
        for family in [Family::V4, Family::V6] {
            let mut deaf = raw_socket(family, &filter::drop_everything());
            let mut witness = raw_socket(family, &[]);
            let to = loopback(family).into();
            for vrid in [1, 2, LAST] {
                witness.send_to(&[0x31, vrid], &to).unwrap();
            }
            // When the witness has the last one, the kernel is through with those before it.
            assert_eq!(batch(&mut witness, family).len(), 3);
            deaf.set_nonblocking(true).unwrap();
            let nothing = deaf.read(&mut [0; 128]).map_err(|error| error.kind());
            assert_eq!(nothing, Err(ErrorKind::WouldBlock));
        }
    });
}
