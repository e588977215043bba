//! What if more than two share the wire? Two floatlocks and a keepalived, in every order.

use std::fmt;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::agent::AgentKind;

use crate::line::Line;
use crate::slots::Playable;
use crate::stage::Stage;

/// So far apart that their skew times are, too.
const PRIORITIES: [u8; 3] = [200, 120, 40];

/// A line and who has which priority, the best first.
pub(crate) struct Row {
    pub(crate) line: Line,
    pub(crate) agents: [AgentKind; 3],
}

impl Playable for Row {
    fn interval(&self) -> Duration {
        self.line.interval
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.agents.each_ref().map(AgentKind::name).join(" > ");
        write!(f, "{}, {names}", self.line)
    }
}

/// `h1` is the best, `h3` the worst.
pub(crate) fn play(row: &Row) {
    let group = |place: usize| row.line.group(PRIORITIES[place], place + 1, 3);
    let agents = [0, 1, 2].map(|place| (row.agents[place].clone(), group(place)));
    let mut stage = Stage::new(row.line, &agents);
    stage.node("h1").start();
    stage.answers("h1", Instant::default());
    stage.node("h2").start();
    stage.node("h3").start();
    stage.holds_alone("h1");
    stage.node("h1").power_off();
    stage.holds_alone("h2");
    stage.node("h2").power_off();
    stage.holds_alone("h3");
    stage.node("h1").start();
    stage.holds_alone("h1");
    stage.node("h2").start();
    stage.holds_alone("h1");
    let vip = stage.vip();
    stage.node("h1").stop(vip);
    stage.holds_alone("h2");
    stage.node("h3").stop(vip);
    stage.holds_alone("h2");
    stage.nothing_odd();
}
