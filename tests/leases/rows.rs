//! What happens to the hosts?

use std::time::Duration;

use floatlock::lab::{Traffic, clock};
use nix::sys::signal::{Signal, kill};

use crate::hog;
use crate::outcome::Deed;
use crate::series::{self, Row};
use crate::stage::{Beat, Cast, DISK_LEASE, Stage};

pub(crate) const NATIVE: &[Beat] = &[Beat::Native(200), Beat::Native(20)];
const ALL: &[Beat] = &[
    Beat::Native(200),
    Beat::Native(20),
    Beat::Vrrp3(100),
    Beat::Vrrp3(30),
];
const ALL_BESIDE_KEEPALIVED: &[Beat] = &[
    Beat::Native(200),
    Beat::Native(20),
    Beat::Vrrp3(100),
    Beat::Vrrp3(30),
    Beat::Keepalived(100),
];

pub(crate) fn pair(name: &'static str, beats: &'static [Beat], play: fn(&Stage) -> Deed) -> Row {
    Row {
        name,
        cast: Cast::Pair,
        beats,
        alone: false,
        play,
    }
}

#[test]
fn an_agent_that_is_killed() {
    pair("kill -9", ALL_BESIDE_KEEPALIVED, |stage| {
        stage.settle();
        let at = clock::now();
        stage.a().sh("kill -KILL -1").unwrap();
        stage.answers("lb-b", at);
        stage.wait();
        Deed::takeover(at)
    })
    .demand();
}

#[test]
fn an_agent_that_is_stopped_for_long_and_goes_on() {
    pair(
        "SIGSTOP, 10 s (CI: 2 s), SIGCONT",
        ALL_BESIDE_KEEPALIVED,
        |stage| {
            stage.settle();
            let long = if series::wanted().is_some() { 10 } else { 2 };
            let at = clock::now();
            stage.a().freeze().unwrap();
            stage.answers("lb-b", at);
            clock::pause((at + Duration::from_secs(long)).since(clock::now()));
            stage.a().thaw().unwrap();
            stage.wait();
            Deed::takeover(at)
        },
    )
    .demand();
}

/// Also between a look at the clock and what follows from it.
#[test]
fn an_agent_that_is_stopped_and_goes_on_about_when_its_lease_ends() {
    pair(
        "SIGSTOP, SIGCONT about the end of the lease",
        ALL,
        |stage| {
            stage.settle();
            let at = clock::now();
            let nanos = u32::try_from(at.as_nanos() % 1_000).unwrap();
            stage.a().freeze().unwrap();
            let lease = stage.beat.lease().unwrap();
            // From 3/4 to 5/4 of it.
            clock::pause(lease * 3 / 4 + lease / 2 * nanos / 1_000);
            stage.a().thaw().unwrap();
            stage.wait();
            Deed::nothing(at)
        },
    )
    .demand();
}

#[test]
fn an_agent_that_gets_no_processor() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return eprintln!("skipped: needs two processors");
    }
    Row {
        alone: true,
        ..pair("real-time hog on its processor", ALL, |stage| {
            stage.settle();
            hog::pin(&stage.programs.borrow()[0]);
            let at = clock::now();
            let hog = hog::start(&stage.site.client);
            stage.answers("lb-b", at);
            stage.wait();
            drop(hog);
            stage.wait();
            Deed::takeover(at)
        })
    }
    .demand();
}

/// With normal priority: what a busy machine does to everybody.
#[test]
fn two_hosts_on_a_busy_machine() {
    const BUSY: &[Beat] = &[Beat::Native(20)];
    Row {
        alone: true,
        ..pair("two CPU hogs and a disk hog", BUSY, |stage| {
            stage.settle();
            let at = clock::now();
            let hogs = hog::crowd(&stage.site.client);
            // Ten runs of a series are ten minutes.
            let long = if series::wanted().is_some() { 60 } else { 5 };
            clock::pause(Duration::from_secs(long));
            drop(hogs);
            stage.nothing_changed(at)
        })
    }
    .demand();
}

/// A planned move: how long nobody answers.
#[test]
fn a_holder_that_is_stopped() {
    pair("SIGTERM", ALL, |stage| {
        stage.settle();
        if stage.beat.is_native() {
            stage.is_ready(1);
        }
        let at = clock::now();
        stage.stop(0);
        stage.answers("lb-b", at);
        stage.wait();
        Deed::takeover(at)
    })
    .demand();
}

#[test]
fn a_host_that_loses_its_power() {
    pair("power loss", ALL, |stage| {
        stage.settle();
        let at = clock::now();
        stage.a().power_off().unwrap();
        stage.answers("lb-b", at);
        Deed::takeover(at)
    })
    .demand();
}

#[test]
fn one_path_of_two_that_is_cut() {
    Row {
        cast: Cast::TwoPaths,
        ..pair("one path of two is cut", NATIVE, |stage| {
            let inside = stage.settle_on_two();
            let at = clock::now();
            if let Some(spoilt) = stage.spoilt(at) {
                return spoilt;
            }
            inside.cut_silently(stage.a()).unwrap();
            stage.shows_second_path(["silent", "silent"]);
            stage.wait();
            stage.nothing_changed(at)
        })
    }
    .demand();
}

#[test]
fn one_path_of_two_that_carries_one_way() {
    Row {
        cast: Cast::TwoPaths,
        ..pair("one path of two carries one way", NATIVE, |stage| {
            let inside = stage.settle_on_two();
            let at = clock::now();
            if let Some(spoilt) = stage.spoilt(at) {
                return spoilt;
            }
            let [a, b] = [0, 1].map(|number| &stage.site.hosts[number]);
            inside.drop_one_way(a, b, Traffic::Vrrp).unwrap();
            stage.shows_second_path([
                "one way: we hear it, it does not hear us",
                "one way: it hears us, we do not hear it",
            ]);
            stage.wait();
            stage.nothing_changed(at)
        })
    }
    .demand();
}

/// The standby asks who answers for the addresses, and the MASTER does.
#[test]
fn all_paths_that_are_cut_while_the_hosts_are_reached() {
    pair(
        "no heartbeat arrives, the hosts are reached",
        ALL,
        |stage| {
            stage.settle();
            let at = clock::now();
            mute(stage, 0, 1);
            mute(stage, 1, 0);
            stage.wait();
            stage.nothing_changed(at)
        },
    )
    .demand();
}

#[test]
fn a_holder_that_is_not_heard() {
    pair("the MASTER is not heard, and hears", ALL, |stage| {
        stage.settle();
        let at = clock::now();
        mute(stage, 0, 1);
        stage.wait();
        stage.nothing_changed(at)
    })
    .demand();
}

#[test]
fn a_standby_that_is_not_heard() {
    pair("the MASTER is heard, and hears nobody", NATIVE, |stage| {
        stage.settle();
        let at = clock::now();
        mute(stage, 1, 0);
        stage.wait();
        stage.nothing_changed(at)
    })
    .demand();
}

/// No heartbeat of one host reaches the other any more; the client still reaches both.
pub(crate) fn mute(stage: &Stage, from: usize, to: usize) {
    let hosts = &stage.site.hosts;
    let (from, to) = (&hosts[from], &hosts[to]);
    stage
        .site
        .lan
        .drop_one_way(from, to, Traffic::Vrrp)
        .unwrap();
}

#[test]
fn a_gate_that_somebody_takes_away() {
    pair("the gate is taken away", ALL, |stage| {
        stage.settle();
        let at = clock::now();
        let script = "tc filter del dev eth0 ingress; tc filter del dev eth0 egress";
        stage.a().sh(script).unwrap();
        stage.said(0, "took the gate");
        stage.wait();
        Deed::nothing(at)
    })
    .demand();
}

#[test]
fn a_table_that_somebody_flushes() {
    const WAYS: &[Beat] = &[Beat::Native(200), Beat::Native(20), Beat::Vrrp3(100)];
    Row {
        cast: Cast::Nftables,
        ..pair("nft flush ruleset", WAYS, |stage| {
            stage.settle();
            let at = clock::now();
            stage.a().sh("nft flush ruleset").unwrap();
            stage.said(0, "took the gate");
            stage.wait();
            Deed::nothing(at)
        })
    }
    .demand();
}

#[test]
fn two_nodes_that_boot_together() {
    pair("both boot together", ALL, |stage| {
        let at = clock::now();
        stage.start(0);
        stage.start(1);
        stage.somebody_answers(at);
        stage.wait();
        Deed::nothing(at)
    })
    .demand();
}

/// Neither of them holds, and neither hears the other: both look at the same time.
#[test]
fn two_nodes_that_boot_together_and_hear_nothing() {
    pair(
        "both boot together, no heartbeat arrives",
        NATIVE,
        |stage| {
            mute(stage, 0, 1);
            mute(stage, 1, 0);
            let at = clock::now();
            stage.start(0);
            stage.start(1);
            stage.somebody_answers(at);
            stage.wait();
            Deed::nothing(at)
        },
    )
    .demand();
}

#[test]
fn a_holder_that_is_cut_off_from_two_others() {
    Row {
        cast: Cast::Three,
        ..pair("the MASTER of three is cut off", NATIVE, cut_off)
    }
    .demand();
}

#[test]
fn a_holder_that_is_cut_off_from_a_standby_and_a_witness() {
    Row {
        cast: Cast::Witness,
        ..pair(
            "the MASTER is cut off from the other and a witness",
            NATIVE,
            cut_off,
        )
    }
    .demand();
}

fn cut_off(stage: &Stage) -> Deed {
    stage.settle();
    cut_both(stage)
}

/// The client still asks it.
pub(crate) fn cut_both(stage: &Stage) -> Deed {
    let at = clock::now();
    for other in 1..stage.site.hosts.len() {
        mute(stage, 0, other);
        mute(stage, other, 0);
    }
    let cut = clock::now();
    stage.answers("lb-b", at);
    stage.wait();
    let lease = stage.beat.lease().unwrap();
    Deed::takeover(at).silent_from(cut + lease)
}

#[test]
fn two_nodes_that_hear_a_witness_but_not_each_other() {
    Row {
        cast: Cast::Witness,
        ..pair(
            "cut between two nodes that hear a witness",
            NATIVE,
            |stage| {
                stage.settle();
                let at = clock::now();
                mute(stage, 0, 1);
                mute(stage, 1, 0);
                stage.wait();
                stage.nothing_changed(at)
            },
        )
    }
    .demand();
}

#[test]
fn a_witness_that_loses_its_power() {
    Row {
        cast: Cast::Witness,
        ..pair("the witness loses its power", NATIVE, |stage| {
            stage.settle();
            let at = clock::now();
            stage.site.hosts[2].power_off().unwrap();
            stage.wait();
            stage.nothing_changed(at)
        })
    }
    .demand();
}

fn with_disk(name: &'static str, play: fn(&Stage) -> Deed) -> Row {
    Row {
        cast: Cast::Disk,
        ..pair(name, NATIVE, play)
    }
}

/// The MASTER has half a lease for two writes and three reads: how long they take is the disk's, and in
/// 50 ms not every disk of a busy machine is done.
fn with_patient_disk(name: &'static str, play: fn(&Stage) -> Deed) -> Row {
    Row {
        beats: &[Beat::Native(200)],
        ..with_disk(name, play)
    }
}

#[test]
fn an_agent_that_is_killed_beside_a_disk() {
    with_disk("kill -9, with a disk", |stage| {
        stage.settle();
        stage.disk_is_free();
        let at = clock::now();
        stage.a().sh("kill -KILL -1").unwrap();
        stage.answers("lb-b", at);
        stage.wait();
        Deed::takeover(at)
    })
    .demand();
}

#[test]
fn two_nodes_that_reach_a_disk_but_do_not_hear_each_other() {
    with_patient_disk("cut between two nodes that reach a disk", |stage| {
        stage.settle();
        let at = clock::now();
        mute(stage, 0, 1);
        mute(stage, 1, 0);
        stage.has_disk(0);
        clock::pause(DISK_LEASE * 2);
        stage.nothing_changed(at)
    })
    .demand();
}

/// And each of them reaches another two of three.
#[test]
fn two_nodes_that_reach_two_of_three_disks_but_do_not_hear_each_other() {
    let row = with_patient_disk(
        "cut, then SIGTERM of the MASTER by two of three disks",
        |stage| {
            stage.settle();
            let hangs = stage.clerk(0);
            kill(hangs, Signal::SIGSTOP).unwrap();
            mute(stage, 0, 1);
            mute(stage, 1, 0);
            stage.has_disk(0);
            clock::pause(DISK_LEASE * 2);
            let at = clock::now();
            stage.stop_clean(0);
            // Its last word stands on two disks.
            stage.answers("lb-b", at);
            stage.wait();
            Deed::nothing(at)
        },
    );
    Row {
        cast: Cast::Disks,
        ..row
    }
    .demand();
}

#[test]
fn a_holder_that_is_cut_off_from_a_standby_and_a_disk() {
    with_disk("the MASTER is cut off from the other and a disk", |stage| {
        stage.settle();
        kill(stage.clerk(0), Signal::SIGSTOP).unwrap();
        cut_both(stage)
    })
    .demand();
}

#[test]
fn a_holder_by_the_disk_that_is_killed() {
    with_patient_disk("cut, then kill -9 of the MASTER by the disk", |stage| {
        stage.settle();
        mute(stage, 0, 1);
        mute(stage, 1, 0);
        stage.has_disk(0);
        let at = clock::now();
        stage.a().sh("kill -KILL -1").unwrap();
        stage.answers("lb-b", at);
        stage.wait();
        Deed::takeover(at)
    })
    .demand();
}

#[test]
fn a_holder_by_the_disk_that_is_stopped() {
    with_patient_disk("cut, then SIGTERM of the MASTER by the disk", |stage| {
        stage.settle();
        mute(stage, 0, 1);
        mute(stage, 1, 0);
        stage.has_disk(0);
        let at = clock::now();
        stage.stop_clean(0);
        stage.answers("lb-b", at);
        stage.wait();
        Deed::nothing(at)
    })
    .demand();
}

#[test]
fn two_nodes_that_boot_together_and_hear_only_a_disk() {
    with_disk(
        "both boot together, no heartbeat arrives, with a disk",
        |stage| {
            mute(stage, 0, 1);
            mute(stage, 1, 0);
            let at = clock::now();
            stage.start(0);
            stage.start(1);
            stage.somebody_answers(at);
            clock::pause(DISK_LEASE * 2);
            Deed::nothing(at)
        },
    )
    .demand();
}
