//! What happens, and who should hold in the end?

use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Traffic, Way, Weather, clock};
use nix::sys::signal::Signal;

use crate::disk::can_hang;
use crate::field::{BEAT, Besides, DISK_LEASE, Field, LEASE, Mode};
use crate::table::{Holds, Row, wanted};

use Holds::{A, B, Both, Nobody, One, OneAfterBoth};

/// Longer than whoever takes over without the disk needs.
const WHILE: Duration = Duration::from_millis(2500);
/// Longer than whoever waits for a slot of a dead holder needs.
const AT_DISK: Duration = Duration::from_millis(4500);

/// A main loop that hangs for so long hangs for longer than a takeover by the disk takes.
const HUNG: Duration = Duration::from_secs(5);
/// An agent that is stopped for so long loses its role to whoever does not need the disk's lease of 2 s.
const STOPPED: Duration = Duration::from_secs(2);

fn row(name: &'static str, holds: [Holds; 7], play: fn(&Field) -> Instant) -> Row {
    Row {
        name,
        holds: holds.map(Some),
        settled: true,
        most: usize::MAX,
        besides: Besides::Nothing,
        play,
    }
}

/// With some modes alone.
fn some(name: &'static str, holds: [Option<Holds>; 7], play: fn(&Field) -> Instant) -> Row {
    Row {
        holds,
        ..row(name, [One; 7], play)
    }
}

/// A second of a series is a tenth of one where time is short.
fn long(seconds: u64) -> Duration {
    match wanted() {
        Some(_) => Duration::from_secs(seconds),
        None => Duration::from_millis(seconds * 200),
    }
}

#[test]
fn an_agent_that_is_killed() {
    row(
        "kill -9 of the MASTER's agent",
        [Both, B, B, B, B, B, B],
        |field| {
            let at = clock::now();
            field.signal(0, Signal::SIGKILL);
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

#[test]
fn an_agent_that_is_stopped_and_goes_on() {
    row(
        "SIGSTOP of the MASTER's agent for 10 s, SIGCONT",
        [One, B, B, B, B, B, B],
        |field| {
            let at = clock::now();
            field.a().freeze().unwrap();
            clock::pause(long(10));
            field.a().thaw().unwrap();
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

/// What its scripts have started must not go on for a MASTER that is none any more, and none of it may delay the
/// gate. keepalived ends no script.
#[test]
fn actions_that_hang_fork_and_ignore_term() {
    Row {
        besides: Besides::LingeringScripts,
        ..row(
            "the MASTER's scripts hang, fork and ignore TERM, and its agent is stopped for 2 s",
            [One, B, B, B, B, B, B],
            |field| {
                let lingers = || field.lingering_on_a() >= Some(2);
                field.until("the scripts linger", lingers);
                let at = clock::now();
                field.signal_agent_a(Signal::SIGSTOP);
                clock::pause(STOPPED);
                assert!(lingers(), "who is stopped ends nothing");
                field.signal_agent_a(Signal::SIGCONT);
                if field.mode != Mode::Keepalived {
                    field.said_by(field.a(), "of its actions were killed, and gone after");
                    let is_alone = || field.lingering_on_a() == Some(0);
                    field.until("all that lingered is gone", is_alone);
                }
                clock::pause(WHILE);
                at
            },
        )
    }
    .demand();
}

/// As where another program keeps the kernel's RTNL lock: the gate is shut without it, and the addresses, which are
/// on for all that time, answer no more. keepalived has no thread for that.
#[test]
fn netlink_that_is_stuck_while_the_main_loop_hangs() {
    let b = Some(B);
    some(
        "netlink takes no change for 5 s on the MASTER's host, whose main loop hangs for 2.5 s",
        [None, b, b, b, b, b, b],
        |field| {
            let stuck = field.hang_netlink_a();
            // Unless a processor stood still before.
            let was_on = field.is_on_a();
            let at = clock::now();
            let hung = field.hang(0);
            clock::pause(HUNG / 2);
            drop(hung);
            clock::pause(HUNG / 2);
            assert_eq!(field.is_on_a(), was_on, "nobody could take it off");
            drop(stuck);
            field.until("the address is off", || !field.is_on_a());
            clock::pause(LEASE * 2);
            at
        },
    )
    .demand();
}

/// The same of a main loop that goes on, and gives up itself where the arbiter is with the other side.
#[test]
fn netlink_that_is_stuck_when_the_trunk_is_cut() {
    some(
        "netlink takes no change for 5 s on the MASTER's host, and the trunk is cut, the gateway is in the standby's \
         rack",
        [
            None,
            Some(Both),
            Some(B),
            Some(A),
            Some(B),
            Some(A),
            Some(A),
        ],
        |field| {
            let stuck = field.hang_netlink_a();
            // Unless a processor stood still before.
            let was_on = field.is_on_a();
            let at = clock::now();
            field.gateways[0].power_off().unwrap();
            field.trunk.cut().unwrap();
            field.gateways[1].power_on().unwrap();
            clock::pause(HUNG);
            assert_eq!(field.is_on_a(), was_on, "nobody could take it off");
            drop(stuck);
            if let Mode::Reference | Mode::Witness = field.mode {
                field.until("the address is off", || !field.is_on_a());
            }
            clock::pause(LEASE * 2);
            at
        },
    )
    .demand();
}

/// A copy of a whole machine that somebody starts: with its name, its key, its state and its slot of the disk.
/// VRRP has no names.
#[test]
fn a_clone_of_the_holder_s_host() {
    Row {
        besides: Besides::Spare,
        ..row(
            "a clone of the MASTER's host starts in the standby's rack",
            [A; 7],
            |field| {
                let at = clock::now();
                let clone = field.clone_a();
                if !matches!(field.mode, Mode::Keepalived | Mode::Vrrp) {
                    let conflict = "with another host under this node's name";
                    field.said_by(field.a(), conflict);
                    field.said_by(clone, conflict);
                }
                clock::pause(AT_DISK);
                at
            },
        )
    }
    .demand();
}

/// Whoever holds by the disk alone, too: its slot is nobody's then. keepalived has no such thread.
#[test]
fn a_main_loop_of_who_holds_by_the_disk_that_hangs() {
    let b = Some(B);
    some(
        "the trunk is cut, then the main loop of the MASTER's agent hangs for 5 s",
        [None, None, None, b, b, b, b],
        |field| {
            field.trunk.cut().unwrap();
            field.has_disk(0);
            let at = clock::now();
            let hung = field.hang(0);
            clock::pause(HUNG);
            drop(hung);
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

/// keepalived has no such thread.
#[test]
fn a_main_loop_that_hangs() {
    let b = Some(B);
    some(
        "the main loop of the MASTER's agent hangs for 5 s",
        [None, b, b, b, b, b, b],
        |field| {
            let at = clock::now();
            let hung = field.hang(0);
            clock::pause(HUNG);
            drop(hung);
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

#[test]
fn a_host_that_loses_its_power() {
    row("the MASTER loses its power", [B; 7], |field| {
        let at = clock::now();
        field.a().power_off().unwrap();
        clock::pause(WHILE);
        at
    })
    .demand();
}

#[test]
fn one_line_of_two() {
    Row {
        besides: Besides::SecondLine,
        ..some(
            "one heartbeat line of two is cut",
            [None, Some(A), Some(A), Some(A), Some(A), Some(A), Some(A)],
            |field| {
                let at = clock::now();
                let inside = field.inside.as_ref().expect("two lines");
                inside.cut_silently(field.a()).unwrap();
                clock::pause(WHILE);
                at
            },
        )
    }
    .demand();
}

/// The witness, in the second rack, hears the first one no more either.
#[test]
fn no_heartbeat_while_the_network_is_whole() {
    row(
        "no heartbeat between the racks, the network is whole",
        [Both, A, A, A, B, A, A],
        |field| {
            let at = clock::now();
            field.lose_heartbeats(Way::There, 100);
            field.lose_heartbeats(Way::Back, 100);
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

#[test]
fn heartbeats_one_way() {
    row(
        "no heartbeat from the first rack to the second one",
        [Both, A, A, A, B, A, A],
        |field| {
            let at = clock::now();
            field.lose_heartbeats(Way::There, 100);
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

#[test]
fn heartbeats_the_other_way() {
    row(
        "no heartbeat from the second rack to the first one",
        [A, A, A, A, B, A, A],
        |field| {
            let at = clock::now();
            field.lose_heartbeats(Way::Back, 100);
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

#[test]
fn a_cut_with_the_gateway_on_one_side() {
    row(
        "the trunk is cut, the gateway is in the MASTER's rack",
        [Both, Both, A, A, B, A, A],
        |field| {
            let at = clock::now();
            field.trunk.cut().unwrap();
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

#[test]
fn a_cut_with_the_gateway_on_the_other_side() {
    row(
        "the trunk is cut, the gateway is in the standby's rack",
        [Both, Both, B, A, B, A, A],
        |field| {
            // One gateway, somewhere else than when it began: never do both reach one.
            let at = clock::now();
            field.gateways[0].power_off().unwrap();
            field.trunk.cut().unwrap();
            field.gateways[1].power_on().unwrap();
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

/// The one that the documentation of the reference names.
#[test]
fn a_cut_with_a_gateway_on_both_sides() {
    row(
        "the trunk is cut, both racks reach a gateway",
        [Both, Both, Both, A, B, A, A],
        |field| {
            let at = clock::now();
            field.trunk.cut().unwrap();
            field.gateways[1].power_on().unwrap();
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

#[test]
fn a_cut_that_heals() {
    row(
        "the trunk is cut (gateway in the MASTER's rack) and heals",
        [A, OneAfterBoth, A, A, B, A, A],
        |field| {
            let at = clock::now();
            field.trunk.cut().unwrap();
            clock::pause(WHILE);
            field.trunk.heal().unwrap();
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

#[test]
fn a_holder_that_is_stopped_when_the_trunk_is_cut() {
    row(
        "the trunk is cut, and the MASTER's agent is stopped for 10 s",
        [Both, Both, A, B, B, B, B],
        |field| {
            let at = clock::now();
            field.a().freeze().unwrap();
            field.trunk.cut().unwrap();
            clock::pause(long(10));
            field.a().thaw().unwrap();
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

#[test]
fn a_line_that_loses_every_third_frame() {
    row(
        "30 % of all heartbeats are lost, both ways",
        [One, A, A, One, One, A, A],
        |field| {
            let at = clock::now();
            field.lose_heartbeats(Way::There, 30);
            field.lose_heartbeats(Way::Back, 30);
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

#[test]
fn a_line_that_loses_doubles_delays_and_reorders() {
    Row {
        besides: Besides::Relay,
        ..row(
            "30 % of all heartbeats are lost, 5 % come twice, all up to a heartbeat late and out of order",
            [One, One, One, One, One, A, A],
            |field| {
                field.relay_heartbeats(Weather {
                    lost: 30,
                    doubled: 5,
                    late: BEAT,
                });
                let at = clock::now();
                field.lose_heartbeats(Way::There, 100);
                field.lose_heartbeats(Way::Back, 100);
                clock::pause(WHILE);
                at
            },
        )
    }
    .demand();
}

#[test]
fn a_gateway_that_dies() {
    some(
        "the gateway dies",
        [None, None, Some(A), None, None, None, None],
        |field| {
            let at = clock::now();
            field.gateways[0].power_off().unwrap();
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

#[test]
fn a_holder_that_loses_the_gateway_alone() {
    some(
        "the MASTER alone does not reach the gateway",
        [None, None, Some(B), None, None, None, None],
        |field| {
            let at = clock::now();
            let gateway = &field.gateways[0];
            let lan = &field.lan;
            lan.drop_one_way(gateway, field.a(), Traffic::All).unwrap();
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

fn lose_arbiter(field: &Field) {
    match field.mode {
        Mode::Reference => field.gateways[0].power_off().unwrap(),
        Mode::Disk | Mode::Always | Mode::Vrrp => {
            field.disk.as_ref().expect("of this mode").hang(true);
        }
        Mode::Witness => field.hosts[2].power_off().unwrap(),
        Mode::None | Mode::Keepalived => {}
    }
}

fn has_arbiter() -> [bool; 7] {
    [false, false, true, can_hang(), true, can_hang(), can_hang()]
}

fn with_arbiter(holds: Holds) -> [Option<Holds>; 7] {
    has_arbiter().map(|has| has.then_some(holds))
}

#[test]
fn an_arbiter_that_is_lost_while_the_pair_is_whole() {
    Row {
        most: 3,
        ..some(
            "the arbiter is lost (the disk hangs for 60 s), the pair is whole",
            {
                let [keepalived, none, reference, disk, witness, ..] = with_arbiter(A);
                let [.., always, vrrp] = with_arbiter(Nobody);
                [keepalived, none, reference, disk, witness, always, vrrp]
            },
            |field| {
                let at = clock::now();
                lose_arbiter(field);
                clock::pause(long(60));
                at
            },
        )
    }
    .demand();
}

#[test]
fn an_arbiter_that_is_lost_and_then_the_holder() {
    some(
        "the arbiter is lost, then the MASTER",
        with_arbiter(Nobody),
        |field| {
            lose_arbiter(field);
            clock::pause(LEASE * 2);
            let at = clock::now();
            match field.mode {
                // Its clerk hangs in the disk, and no kill ends that.
                Mode::Disk | Mode::Always | Mode::Vrrp => field.signal(0, Signal::SIGKILL),
                _ => field.a().power_off().unwrap(),
            }
            clock::pause(AT_DISK);
            at
        },
    )
    .demand();
}

#[test]
fn a_disk_that_hangs_while_one_holds_by_it() {
    let [.., disk, _, always, vrrp] = with_arbiter(Nobody);
    some(
        "the trunk is cut, then the disk hangs",
        [None, None, None, disk, None, always, vrrp],
        |field| {
            field.trunk.cut().unwrap();
            field.has_disk(0);
            let at = clock::now();
            lose_arbiter(field);
            clock::pause(AT_DISK);
            at
        },
    )
    .demand();
}

#[test]
fn a_slot_that_is_torn() {
    some(
        "the trunk is cut, the MASTER dies, and its slot is torn",
        [
            None,
            None,
            None,
            Some(Nobody),
            None,
            Some(Nobody),
            Some(Nobody),
        ],
        |field| {
            field.trunk.cut().unwrap();
            field.has_disk(0);
            let at = clock::now();
            field.a().power_off().unwrap();
            field.disk.as_ref().expect("of this mode").tear("lb-a");
            clock::pause(AT_DISK);
            at
        },
    )
    .demand();
}

#[test]
fn a_holder_by_the_disk_that_dies() {
    some(
        "the trunk is cut, then the MASTER dies",
        [
            Some(B),
            Some(OneAfterBoth),
            Some(Nobody),
            Some(B),
            Some(B),
            Some(B),
            Some(B),
        ],
        |field| {
            let at = clock::now();
            field.trunk.cut().unwrap();
            clock::pause(DISK_LEASE / 2);
            field.has_disk(0);
            field.a().power_off().unwrap();
            clock::pause(AT_DISK);
            at
        },
    )
    .demand();
}

#[test]
fn a_gate_that_somebody_takes_away() {
    some(
        "somebody takes the gate away",
        [
            None,
            Some(One),
            Some(One),
            Some(One),
            Some(One),
            Some(One),
            Some(One),
        ],
        |field| {
            let at = clock::now();
            let script = "tc filter del dev eth0 ingress; tc filter del dev eth0 egress";
            field.a().sh(script).unwrap();
            clock::pause(WHILE);
            at
        },
    )
    .demand();
}

#[test]
fn two_that_boot_together() {
    Row {
        settled: false,
        ..row("both boot together", [One; 7], |field| {
            let at = clock::now();
            (0..field.hosts.len()).for_each(|number| field.start(number));
            clock::pause(AT_DISK);
            at
        })
    }
    .demand();
}

#[test]
fn two_that_boot_together_and_hear_nothing() {
    Row {
        settled: false,
        ..row(
            "both boot together, no heartbeat between the racks",
            [Both, One, One, One, B, One, One],
            |field| {
                field.lose_heartbeats(Way::There, 100);
                field.lose_heartbeats(Way::Back, 100);
                let at = clock::now();
                (0..field.hosts.len()).for_each(|number| field.start(number));
                clock::pause(AT_DISK);
                at
            },
        )
    }
    .demand();
}
