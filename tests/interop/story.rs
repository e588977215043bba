//! Does one pair fail over as it should? Loss of power, return, planned stop, return, measured.

use std::fmt;
use std::time::Duration;

use floatlock::lab::agent::{AgentKind, GroupSetup};
use floatlock::lab::clock;

use crate::line::Line;
use crate::stage::{Stage, other};
use crate::words::Lasting::{Backup, Master};

/// What a busy machine may add to any time.
const SLACK: Duration = Duration::from_secs(2);
/// Two hosts that answer at once for longer are two MASTERs.
const OVERLAP_MAX: Duration = Duration::from_millis(250);
const BETTER: u8 = 150;
const WORSE: u8 = 100;

/// A line and who has the higher priority on it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) line: Line,
    pub(crate) better: AgentKind,
    pub(crate) addresses: usize,
    pub(crate) password: Option<&'static str>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} has the higher priority",
            self.line,
            self.better.name()
        )?;
        if self.addresses > 1 {
            write!(f, ", {} addresses", self.addresses)?;
        }
        if self.password.is_some() {
            write!(f, ", password")?;
        }
        Ok(())
    }
}

impl Row {
    pub(crate) fn new(line: Line, better: AgentKind) -> Self {
        Self {
            line,
            better,
            addresses: 1,
            password: None,
        }
    }

    fn group(&self, priority: u8, number: usize) -> GroupSetup {
        GroupSetup {
            addresses: self.line.floating(self.addresses),
            auth_pass: self.password.map(str::to_owned),
            ..self.line.group(priority, number, 2)
        }
    }

    fn stage(&self) -> Stage {
        let agents = [
            (self.better.clone(), self.group(BETTER, 1)),
            (other(&self.better), self.group(WORSE, 2)),
        ];
        Stage::new(self.line, &agents)
    }
}

/// Plays one row: `h1` has the higher priority.
pub(crate) fn play(row: &Row) {
    let mut stage = row.stage();
    start(&mut stage);
    let loss = moves(&mut stage, "h2", |stage| stage.node("h1").power_off());
    let back = moves(&mut stage, "h1", |stage| stage.node("h1").start());
    let vip = stage.vip();
    let stop = moves(&mut stage, "h2", |stage| stage.node("h1").stop(vip));
    let again = moves(&mut stage, "h1", |stage| stage.node("h1").start());
    let overlap = stage.all.look(|seen| seen.overlap(vip));
    println!(
        "{row}: power loss {loss:?}, return {back:?}, planned stop {stop:?}, return {again:?}; \
         two answered for {overlap:?}"
    );
    let down = row.line.master_down(WORSE);
    assert!(
        loss >= down - row.line.interval() * 2 && loss < down + SLACK,
        "{loss:?}"
    );
    let claim = row.line.interval() * 5 / 4;
    assert!(back.max(again) < claim + SLACK, "{back:?} {again:?}");
    assert!(stop < SLACK, "{stop:?}");
    assert!(overlap < OVERLAP_MAX, "{overlap:?}");
    nothing_odd(&stage);
}

fn start(stage: &mut Stage) {
    let from = clock::now();
    stage.node("h1").start();
    stage.answers("h1", from);
    stage.node("h2").start();
    stage.holds_alone("h1");
}

/// How long nobody answered the client when `event` moves the addresses to that host.
fn moves(stage: &mut Stage, to: &str, event: impl FnOnce(&mut Stage)) -> Duration {
    let from = clock::now();
    event(stage);
    stage.answers(to, from);
    stage.holds_alone(to);
    let vip = stage.vip();
    let gap = stage.seen.look(|seen| seen.takeover(to, vip, from));
    gap.expect("both have answered").length()
}

fn nothing_odd(stage: &Stage) {
    let turns = vec![Backup, Master, Backup, Master, Backup];
    let [better, worse] = &stage.nodes[..] else {
        panic!("two nodes");
    };
    assert_eq!(better.roles(), vec![vec![Backup, Master]; 3]);
    assert_eq!(worse.roles(), [turns]);
    stage.nothing_odd();
}
