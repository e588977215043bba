//! Which of two MASTERs with the same priority stays when they meet? The one with the higher
//! address, whichever program it runs.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::agent::AgentKind;
use floatlock::lab::{Observation, Traffic, clock};

use crate::line::Line;
use crate::slots::Playable;
use crate::stage::{SOON, Stage, other};
use crate::words::Lasting::{Backup, Master};

/// A line and who has the higher address on it.
pub(crate) struct Row {
    pub(crate) line: Line,
    pub(crate) higher: AgentKind,
}

impl Playable for Row {
    fn interval(&self) -> Duration {
        self.line.interval
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.higher.name();
        write!(f, "{}, {name} has the higher address", self.line)
    }
}

/// `h2` has the higher address.
pub(crate) fn play(row: &Row) {
    let kinds = [other(&row.higher), row.higher.clone()];
    let mut stage = Stage::of_two(row.line, kinds, [100, 100]);
    stage.node("h1").start();
    stage.answers("h1", Instant::default());
    stage.node("h2").start();
    // RFC 9568, section 6.4.2: a BACKUP does not preempt an equal.
    stage.holds_alone("h1");
    two_masters(&stage);
    stage.lan.drop_nothing().unwrap();
    stage.holds_alone("h2");
    let source = |name| stage.seen.look(|seen| source(seen, name));
    assert!(source("h1") < source("h2"));
    assert_eq!(stage.nodes[0].roles(), [[Backup, Master, Backup]]);
    assert_eq!(stage.nodes[1].roles(), [[Backup, Master]]);
    let why = match row.higher {
        AgentKind::Keepalived => "ranks higher",
        AgentKind::Floatlock(_) => "same priority 100 but higher IP address",
    };
    stage.nodes[0].agent().wait_for_line(why, SOON).unwrap();
    stage.nothing_odd();
}

/// Cuts the network between them until both are MASTER.
fn two_masters(stage: &Stage) {
    let [one, two] = [&stage.nodes[0], &stage.nodes[1]];
    for (from, to) in [(one, two), (two, one)] {
        let cut = stage.lan.drop_one_way(&from.host, &to.host, Traffic::All);
        cut.unwrap();
    }
    let both = || [one, two].iter().all(|node| node.role() == Some(Master));
    assert!(clock::wait_until(SOON, both), "there are not two MASTERs");
}

fn source(seen: &Observation, name: &str) -> IpAddr {
    let first = seen.adverts.iter().find(|advert| &*advert.from == name);
    first.expect("an advert").source
}
