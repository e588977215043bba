//! Does one pair fail over as it should? Loss of power, return and planned stop, measured.

use std::fmt;
use std::panic::panic_any;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::agent::{AgentKind, GroupSetup};
use floatlock::lab::{Advert, clock};

use crate::line::Line;
use crate::slots::{Playable, Strayed};
use crate::stage::{Node, STAMPS, Stage, other};
use crate::words::Lasting::{Backup, Master};

/// What a busy machine may add to any time.
const SLACK: Duration = Duration::from_secs(2);
/// Two hosts that answer at once for longer, and for longer than an interval, are two MASTERs.
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

impl Playable for Row {
    fn interval(&self) -> Duration {
        self.line.interval
    }
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

/// The address went from one host to another.
#[derive(Clone, Copy, Debug)]
struct Move {
    /// How long nobody answered the client.
    gap: Duration,
    /// For how long both answered one who asks both.
    both: Duration,
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [gap, both] = [self.gap, self.both].map(|length| length.as_millis());
        write!(f, "{gap} ms without an answer, {both} ms with two")
    }
}

/// Plays one row: `h1` has the higher priority.
pub(crate) fn play(row: &Row) {
    let mut stage = row.stage();
    start(&mut stage);
    let lost = clock::now();
    let loss = moves(&mut stage, "h2", |stage| stage.node("h1").power_off());
    stands_late_enough(&stage, row, loss);
    let back = moves(&mut stage, "h1", |stage| stage.node("h1").start());
    claims_late_enough(&stage, row);
    let vip = stage.vip();
    let stop = moves(&mut stage, "h2", |stage| stage.node("h1").stop(vip));
    println!("{row}:\n  power loss {loss}\n  return {back}\n  planned stop {stop}");
    assert!(loss.gap < row.line.master_down(WORSE) + SLACK);
    assert!(back.gap < row.line.interval * 5 / 4 + SLACK);
    assert!(stop.gap < SLACK);
    let both_max = OVERLAP_MAX.max(row.line.interval);
    assert!([loss, back, stop].iter().all(|m| m.both < both_max));
    nothing_odd(&stage, row, lost);
}

fn start(stage: &mut Stage) {
    stage.node("h1").start();
    stage.answers("h1", Instant::default());
    stage.node("h2").start();
    stage.holds_alone("h1");
}

/// Waits until `event` has moved the addresses to that host.
fn moves(stage: &mut Stage, to: &str, event: impl FnOnce(&mut Stage)) -> Move {
    let vip = stage.vip();
    let overlap = |stage: &Stage| stage.all.look(|seen| seen.overlap(vip));
    let (from, before) = (clock::now(), overlap(stage));
    event(stage);
    stage.answers(to, from);
    stage.holds_alone(to);
    let gap = stage.seen.look(|seen| seen.takeover(to, vip, from));
    Move {
        gap: gap.expect("both have answered").length(),
        both: overlap(stage) - before,
    }
}

/// `h1` has just lost power: `h2` waits for three intervals and its skew time.
fn stands_late_enough(stage: &Stage, row: &Row, loss: Move) {
    let down = row.line.master_down(WORSE);
    if row.line.unicast {
        // The client does not see the adverts, the last of which may be an interval old.
        assert!(loss.gap + row.line.interval * 2 >= down, "{loss}");
        return;
    }
    let seen = stage.seen.observation();
    let last = seen.adverts_from("h1", Instant::default()).last();
    let last = last.expect("adverts of the old MASTER").at;
    let first = seen.adverts_from("h2", last).next();
    let waited = first.expect("adverts of the new MASTER").at.since(last);
    assert!(waited + STAMPS >= down, "{waited:?}");
}

/// A floatlock that claims from a living MASTER first waits until that one has been silent for an
/// interval and a quarter: keepalived gives way without a word. `h2` has just lost to `h1`.
fn claims_late_enough(stage: &Stage, row: &Row) {
    if row.line.unicast || row.better == AgentKind::Keepalived {
        // The client does not see the adverts, or the other program claims.
        return;
    }
    let seen = stage.seen.observation();
    let last = seen.adverts_from("h2", Instant::default()).last();
    let last = last.expect("adverts of the old MASTER").at;
    let first = seen.first_reply_from("h1", stage.vip(), last);
    let waited = first.expect("replies of the new MASTER").at.since(last);
    assert!(waited + STAMPS >= row.line.interval * 5 / 4, "{waited:?}");
}

fn nothing_odd(stage: &Stage, row: &Row, lost: Instant) {
    let [better, worse] = &stage.nodes[..] else {
        panic!("two nodes");
    };
    assert_eq!(better.roles(), [[Backup, Master]; 2]);
    if worse.roles() != [[Backup, Master, Backup, Master]] {
        let heard = stage.heard_at(worse, better);
        if let (AgentKind::Keepalived, Some(what)) = (&better.kind, strayed(&heard, row, lost)) {
            panic_any(Strayed(what));
        }
        panic!("roles of {}: {:#?}", worse.name(), worse.changes());
    }
    resigned_as_planned(worse, better);
    stage.nothing_odd();
}

/// What keepalived did on the wire, as it came in at a floatlock, that makes a BACKUP rightly claim, or
/// a MASTER give way, once more than the row tells. It lost its power once, at `lost`.
fn strayed(heard: &[Advert], row: &Row, lost: Instant) -> Option<String> {
    let down = row.line.master_down(WORSE);
    heard.windows(2).find_map(|pair| {
        let [before, after] = pair else { return None };
        let gap = after.at.since(before.at);
        let died = (before.at..after.at).contains(&lost);
        if !died && before.priority != 0 && gap >= down {
            return Some(format!("silent for {gap:?} while it was MASTER"));
        }
        let resigned = before.priority == 0 && after.priority != 0 && gap < down;
        resigned.then(|| format!("an advert came {gap:?} after its resignation"))
    })
}

/// What each made of the priority 0 of the other.
fn resigned_as_planned(worse: &Node, better: &Node) {
    let (keepalived, words) = match worse.kind {
        AgentKind::Keepalived => (worse, "Backup received priority 0 advertisement"),
        // A floatlock that gives way says so when its addresses are off.
        AgentKind::Floatlock(_) => (better, "Master received priority 0 message"),
    };
    assert_eq!(keepalived.lines_with(words), 1, "{words}");
    if worse.kind != AgentKind::Keepalived {
        assert_eq!(worse.lines_with("BACKUP -> CANDIDATE: the MASTER"), 2);
        assert_eq!(worse.lines_with(" resigned"), 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::V6;

    const LOST: u64 = 1_000;

    /// Adverts at these milliseconds, with these priorities.
    fn heard(adverts: &[(u64, u8)]) -> Vec<Advert> {
        let advert = |&(ms, priority): &(u64, u8)| Advert {
            at: Instant::default() + Duration::from_millis(ms),
            from: "h1".into(),
            source: V6.host(1),
            version: 3,
            id: 1,
            priority,
        };
        adverts.iter().map(advert).collect()
    }

    #[test]
    fn keepalived_is_blamed_for_what_it_did_and_for_nothing_else() {
        let row = Row::new(V6, AgentKind::Keepalived);
        let lost = Instant::default() + Duration::from_millis(LOST);
        let cases: [(&[(u64, u8)], bool); 5] = [
            (&[(900, 150), (1_000, 150), (3_000, 150), (3_100, 0)], false),
            (&[(1_500, 150), (1_600, 150), (1_950, 150)], false),
            (&[(1_500, 150), (1_600, 150), (1_980, 150)], true),
            (&[(1_500, 150), (1_600, 0), (1_601, 150)], true),
            (&[(1_500, 150), (1_600, 0), (2_600, 150)], false),
        ];
        for (adverts, blamed) in cases {
            let strayed = strayed(&heard(adverts), &row, lost);
            assert_eq!(strayed.is_some(), blamed, "{adverts:?}: {strayed:?}");
        }
    }
}
