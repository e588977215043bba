//! What if the two are not told the same? Passwords and intervals that differ.

use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::agent::{AgentKind, GroupSetup};
use floatlock::lab::{Observation, clock};

use crate::line::{V2, V4};
use crate::slots::Case;
use crate::stage::{SOON, STAMPS, Stage, floatlock};
use crate::words::Lasting::{Backup, Master};

pub(crate) const CASES: [Case; 5] = [
    Case {
        name: "a BACKUP with another password raises the alarm and leaves a MASTER alone that answers",
        line: V2,
        play: backup_with_another_password,
    },
    Case {
        name: "a MASTER stays, whatever a better router with another password says",
        line: V2,
        play: master_with_another_password,
    },
    Case {
        name: "a v2 BACKUP with another interval is not promoted while the MASTER is heard",
        line: V2,
        play: v2_backup_with_another_interval,
    },
    Case {
        name: "a v3 floatlock takes the interval of a keepalived that is MASTER",
        line: V4,
        play: || v3_backup_of_a_slow_master([AgentKind::Keepalived, floatlock()]),
    },
    Case {
        name: "a v3 keepalived takes the interval of a floatlock that is MASTER",
        line: V4,
        play: || v3_backup_of_a_slow_master([floatlock(), AgentKind::Keepalived]),
    },
];

/// A BACKUP asks who answers so long before its wait is over.
const LOOK: Duration = Duration::from_millis(15);
const BETTER: u8 = 150;
const WORSE: u8 = 100;

fn with_password(group: GroupSetup, password: &str) -> GroupSetup {
    GroupSetup {
        auth_pass: Some(password.to_owned()),
        ..group
    }
}

fn every(group: GroupSetup, interval: Duration) -> GroupSetup {
    GroupSetup { interval, ..group }
}

/// The advert of that host with this number, of those from `after` on.
fn advert(stage: &Stage, name: &str, number: usize, after: Instant) -> Instant {
    let at = |seen: &Observation| seen.adverts_from(name, after).nth(number).map(|a| a.at);
    stage.seen.wait_for(SOON, at).expect("an advert")
}

/// `h1`: a keepalived that is MASTER; `h2`: a floatlock that has another password.
fn backup_with_another_password() {
    let mut stage = Stage::new(
        V2,
        &[
            (
                AgentKind::Keepalived,
                with_password(V2.group(BETTER, 1, 2), "1111"),
            ),
            (floatlock(), with_password(V2.group(WORSE, 2, 2), "2222")),
        ],
    );
    stage.node("h1").start();
    // Right after an advert, so that the next one comes when most of the wait is still to come.
    advert(&stage, "h1", 0, clock::now());
    stage.node("h2").start();
    let alarm = "frames of 10.77.0.1 fail authentication";
    let alarm = stage.nodes[1]
        .agent()
        .wait_for_line(alarm, SOON)
        .unwrap()
        .at;
    let answered = "no MASTER is heard, but another host answers for an address";
    let answered = stage.nodes[1].agent().wait_for_line(answered, SOON);
    let asked = answered.unwrap().at;
    let heard = stage.seen.look(|seen| {
        let before = seen
            .adverts_from("h1", Instant::default())
            .take_while(|a| a.at <= alarm);
        before.last().expect("an advert of before the alarm").at
    });
    let down = V2.master_down(WORSE);
    assert!(asked + STAMPS + LOOK >= heard + down, "{asked:?} {heard:?}");
    // A second delay would begin with the second advert, one interval later.
    let waited = asked.since(heard);
    assert!(waited < down + V2.interval * 9 / 10, "{waited:?}");
    println!(
        "another password: asked {waited:?} after the first such advert, {down:?} is the wait"
    );
    stage.holds_alone("h1");
    assert_eq!(stage.nodes[1].roles(), [[Backup]]);
    stage.node("h1").power_off();
    stage.holds_alone("h2");
}

/// `h1`: a floatlock that is MASTER; `h2`: a better keepalived that has another password.
fn master_with_another_password() {
    let mut stage = Stage::new(
        V2,
        &[
            (floatlock(), with_password(V2.group(WORSE, 1, 2), "2222")),
            (
                AgentKind::Keepalived,
                with_password(V2.group(BETTER, 2, 2), "1111"),
            ),
        ],
    );
    stage.node("h1").start();
    stage.holds_alone("h1");
    stage.node("h2").start();
    let alarm = "frames of 10.77.0.2 fail authentication";
    stage.nodes[0].agent().wait_for_line(alarm, SOON).unwrap();
    both_stay_masters(&stage, "h1");
    assert_eq!(stage.nodes[0].roles(), [[Backup, Master]]);
    assert!(stage.nodes[0].counters()["auth_mismatch"] > 0);
}

/// Nobody can help two MASTERs that do not believe each other; at least neither gives up the
/// addresses because of the other. That keepalived complains shows that its log is read.
///
/// Only floatlock's adverts are counted: keepalived 2.2.7 starts its wait for the next advert
/// anew with every frame that it drops, and is silent for as long as they come.
fn both_stay_masters(stage: &Stage, floatlock: &str) {
    let third = advert(stage, floatlock, 2, clock::now());
    for node in &stage.nodes {
        stage.answers_all(node.name(), third);
    }
    for node in &stage.nodes {
        assert_eq!(node.role(), Some(Master), "{}", node.name());
        let complains = node.lines_with("received an invalid passwd!") > 0;
        assert_eq!(complains, node.kind == AgentKind::Keepalived);
        assert_eq!(complains, !node.complaints().is_empty());
    }
}

/// RFC 3768, section 7.1: VRRPv2 routers drop each other's adverts then; keepalived becomes MASTER.
fn v2_backup_with_another_interval() {
    let slow = V2.interval * 2;
    let mut stage = Stage::new(
        V2,
        &[
            (AgentKind::Keepalived, every(V2.group(BETTER, 1, 2), slow)),
            (floatlock(), V2.group(WORSE, 2, 2)),
        ],
    );
    stage.node("h1").start();
    stage.answers("h1", Instant::default());
    stage.node("h2").start();
    let alarm = "10.77.0.1 speaks for this id with another advert interval";
    let alarm = stage.nodes[1].agent().wait_for_line(alarm, SOON).unwrap();
    // Six seconds: more than the 3.6 s of a BACKUP that hears nothing.
    advert(&stage, "h1", 2, alarm.at);
    let mut adverts = stage.seen.observation().adverts.into_iter();
    assert_eq!(adverts.find(|advert| &*advert.from == "h2"), None);
    stage.holds_alone("h1");
    assert!(stage.nodes[1].counters()["interval_conflict"] > 0);
    stage.node("h1").power_off();
    stage.holds_alone("h2");
}

/// RFC 9568, section 6.4.2: a VRRPv3 BACKUP waits by the MASTER's interval.
fn v3_backup_of_a_slow_master(kinds: [AgentKind; 2]) {
    // Slow, but heard before a BACKUP stands that has just started and goes by its own interval.
    let slow = V4.every(V4.interval * 3);
    let [master, backup] = kinds;
    let agents = [
        (master, slow.group(BETTER, 1, 2)),
        (backup, V4.group(WORSE, 2, 2)),
    ];
    let mut stage = Stage::new(slow, &agents);
    stage.node("h1").start();
    stage.answers("h1", Instant::default());
    stage.node("h2").start();
    stage.holds_alone("h1");
    stage.node("h1").power_off();
    stage.holds_alone("h2");
    let seen = stage.seen.observation();
    let first = |name| seen.adverts_from(name, Instant::default()).next();
    let stood = first("h2").expect("adverts of the BACKUP").at;
    let before = seen.adverts.iter().rev().find(|advert| advert.at < stood);
    let waited = stood.since(before.expect("adverts of the MASTER").at);
    println!(
        "MASTER every {:?}: its BACKUP stood after {waited:?}",
        slow.interval
    );
    assert!(waited + STAMPS >= slow.master_down(WORSE), "{waited:?}");
    assert_eq!(stage.nodes[1].roles(), [[Backup, Master]]);
}
