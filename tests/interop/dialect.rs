//! Which checksums of VRRPv3 over IPv4 are understood? keepalived's, its older one, and the RFC's.
//!
//! `v3_checksum_as_v2` (the RFC's form sent by keepalived) came after 2.2.7, so that Debian's
//! keepalived can neither send nor accept it: that form is tried between two floatlocks, and
//! keepalived's complaint about it shows that its log would tell of a wrong checksum.

use floatlock::core::Instant;
use floatlock::lab::agent::AgentKind;
use floatlock::lab::clock;

use crate::line::{V4, V4_UNICAST};
use crate::slots::Case;
use crate::stage::{SOON, Stage, floatlock};
use crate::words::Lasting::{Backup, Master};

pub(crate) const CASES: [Case; 2] = [
    Case {
        name: "the checksum of the RFC is sent, understood and counted",
        line: V4,
        play: rfc_form,
    },
    Case {
        name: "the old unicast checksum of keepalived is understood and counted",
        line: V4_UNICAST,
        play: old_unicast_form,
    },
];

/// `h1`, `h2`: floatlock; `h3`: keepalived, which does not hear `h1`.
fn rfc_form() {
    let agents = [
        (floatlock(), V4.group(150, 1, 3)),
        (floatlock(), V4.group(120, 2, 3)),
        (AgentKind::Keepalived, V4.group(100, 3, 3)),
    ];
    let mut stage = Stage::new(V4, &agents);
    stage.node("h1").config += "\n[group.vrrp]\nchecksum = \"plain\"\n";
    stage.node("h1").start();
    stage.answers("h1", Instant::default());
    stage.node("h2").start();
    let counted = || stage.nodes[1].counters().get("checksum_plain") > Some(&9);
    assert!(clock::wait_until(SOON, counted));
    stage.holds_alone("h1");
    assert_eq!(stage.nodes[1].roles(), [[Backup]]);
    stage.node("h3").start();
    let words = "Invalid VRRPv3 checksum";
    stage.nodes[2].agent().wait_for_line(words, SOON).unwrap();
    assert!(!stage.nodes[2].complaints().is_empty());
    assert_eq!(stage.nodes[0].role(), Some(Master));
}

/// keepalived until 1.3.6 summed unicast adverts as if they were multicast; later ones can be
/// told to.
fn old_unicast_form() {
    let mut stage = Stage::of_two(V4_UNICAST, [AgentKind::Keepalived, floatlock()], [150, 100]);
    let h1 = stage.node("h1");
    h1.config = h1
        .config
        .replace("version 3", "version 3\n    old_unicast_checksum");
    h1.start();
    stage.answers("h1", Instant::default());
    stage.node("h2").start();
    let counted = || stage.nodes[1].counters().get("checksum_old_unicast") > Some(&9);
    assert!(clock::wait_until(SOON, counted));
    stage.holds_alone("h1");
    assert_eq!(stage.nodes[1].roles(), [[Backup]]);
    stage.node("h1").power_off();
    stage.holds_alone("h2");
}
