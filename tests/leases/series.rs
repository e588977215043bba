//! How often is a row played, and what do all its runs say? Lines of one table.

use std::env;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use crate::outcome::{Deed, Outcome};
use crate::stage::{Beat, Cast, Stage};

/// A run in which the asker was late, or a processor stood still, is played again, so often at most, or as
/// often as runs are wanted.
const REPEATS: usize = 10;
/// After so many of these, with nothing beside it.
const BESIDE: usize = 3;

/// Rows play beside each other, unless one of them takes a processor, or figures are wanted.
static FLOOR: RwLock<()> = RwLock::new(());
/// Tests of `rows` and `gateway`.
const ROWS: usize = 32;
static TABLE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// One row of the table, for each way of speaking.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) cast: Cast,
    pub(crate) beats: &'static [Beat],
    /// Nothing else may play meanwhile.
    pub(crate) alone: bool,
    pub(crate) play: fn(&Stage) -> Deed,
}

/// All runs of one row in one way of speaking.
#[derive(Default)]
struct Runs {
    outcomes: Vec<Outcome>,
    /// A processor stood still: they count for who answered, not for how long it took.
    stopped: Vec<Outcome>,
    /// How late the asker was: they count for nothing.
    late: Vec<Duration>,
    /// Of all of these that must change no role, who has.
    changed: Vec<bool>,
    /// What the first bad run left behind.
    bad: Option<String>,
}

/// Whether the figures are wanted, and of how many runs.
pub(crate) fn wanted() -> Option<usize> {
    env::var("FLOATLOCK_RUNS").ok()?.parse().ok()
}

/// The runs in which nobody answered for longer than so many ms are told in full.
fn told_above() -> Option<f64> {
    env::var("FLOATLOCK_TELL").ok()?.parse().ok()
}

/// Whether this way of speaking is asked for: each, unless `FLOATLOCK_WAY` names one.
fn is_chosen(beat: Beat) -> bool {
    env::var("FLOATLOCK_WAY")
        .ok()
        .is_none_or(|way| way == beat.name())
}

impl Row {
    /// Plays it; fails where two hosts answered, or one after its end.
    pub(crate) fn demand(&self) {
        let (mut bad, mut lines) = (Vec::new(), Vec::new());
        for &beat in self.beats.iter().filter(|beat| is_chosen(**beat)) {
            let runs = self.runs(beat);
            let line = self.line(beat, &runs);
            // Now: a series takes an hour, and what comes next may fail.
            println!("{line}{}", runs.bad.as_deref().unwrap_or_default());
            lines.push(line);
            // The other program is there to compare.
            let judged = !matches!(beat, Beat::Keepalived(_));
            bad.extend(runs.bad.filter(|_| judged));
        }
        tell(&lines);
        assert!(!lines.is_empty(), "{}: no such way of speaking", self.name);
        assert!(bad.is_empty(), "{}", bad.concat());
    }

    fn runs(&self, beat: Beat) -> Runs {
        let mut runs = Runs::default();
        // Each row in each way of speaking, and the quick ones, where time is short, twice.
        let quick = beat.every() < Duration::from_millis(100);
        let count = wanted().unwrap_or(if quick { 2 } else { 1 });
        while runs.outcomes.len() < count {
            let spoilt = runs.late.len() + runs.stopped.len();
            if spoilt > REPEATS.max(count) {
                break;
            }
            let (outcome, told) = self.run(beat, spoilt >= BESIDE);
            runs.changed.extend(outcome.changed);
            if let Some(late) = outcome.late {
                runs.late.push(late);
                continue;
            }
            let (row, how) = (self.name, beat.name());
            if told_above().is_some_and(|most| outcome.gap > most) {
                let still = outcome.still;
                println!(
                    "{row}, {how}, a processor stood still for {still:?}: {outcome:#?}\n{told}"
                );
            }
            if !outcome.is_good() && runs.bad.is_none() {
                let late = &outcome.late_answers;
                runs.bad = Some(format!(
                    "{row}, {how}: answers after the end: {late:?}; {outcome:#?}\n{told}"
                ));
            }
            match outcome.stopped {
                None if outcome.shown => runs.outcomes.push(outcome),
                _ => runs.stopped.push(outcome),
            }
        }
        if !runs
            .outcomes
            .iter()
            .chain(&runs.stopped)
            .any(|one| one.shown)
            && runs.bad.is_none()
        {
            let (row, how, late) = (self.name, beat.name(), &runs.late);
            let still: Vec<_> = runs.stopped.iter().map(|one| one.still).collect();
            runs.bad = Some(format!(
                "{row}, {how}: no run shows anything: the asker was late by {late:?}, processors stood still for {still:?}"
            ));
        }
        runs
    }

    fn run(&self, beat: Beat, alone: bool) -> (Outcome, String) {
        // A row that failed beside this one has said so.
        let (_shared, _alone);
        match self.alone || alone || wanted().is_some() {
            true => _alone = FLOOR.write().unwrap_or_else(PoisonError::into_inner),
            false => _shared = FLOOR.read().unwrap_or_else(PoisonError::into_inner),
        }
        let stage = Stage::new(beat, self.cast);
        let deed = (self.play)(&stage);
        (Outcome::of(&stage, &deed), stage.logs())
    }

    fn line(&self, beat: Beat, runs: &Runs) -> String {
        let figures = |figure: fn(&Outcome) -> Option<f64>| {
            let mut all: Vec<f64> = runs.outcomes.iter().filter_map(figure).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let changed = match runs.changed.len() {
            0 => "-".to_owned(),
            all => format!(
                "{} of {all}",
                runs.changed.iter().filter(|one| **one).count()
            ),
        };
        let all = || runs.outcomes.iter().chain(&runs.stopped);
        let sum = |figure: fn(&Outcome) -> usize| all().map(figure).sum::<usize>();
        let stopped = runs.stopped.iter().map(|one| one.gap);
        let stopped = match stopped.max_by(f64::total_cmp) {
            None => "0".to_owned(),
            Some(most) => format!("{} ({most:.1})", runs.stopped.len()),
        };
        format!(
            "| {} | {} | {} | {} | {stopped} | {changed} | {} | {} | {} | {} | {} | {} |",
            self.name,
            beat.name(),
            runs.outcomes.len(),
            runs.late.len(),
            sum(|one| one.two),
            sum(|one| one.zombies),
            spread(&figures(|one| one.last)),
            spread(&figures(|one| one.after_end)),
            spread(&figures(|one| one.first)),
            spread(&figures(|one| Some(one.gap))),
        )
    }
}

fn spread(sorted: &[f64]) -> String {
    match sorted {
        [] => "-".to_owned(),
        [min, .., max] => format!("{min:.1} / {:.1} / {max:.1}", sorted[sorted.len() / 2]),
        [one] => format!("{one:.1}"),
    }
}

const HEADING: &str = "\
| what | how | runs | asker late | stood still (nobody, ms) | role changed | two answering | answers after the end | \
last of the old, ms | after its end, ms | first of the new, ms | nobody, ms |
|---|---|---|---|---|---|---|---|---|---|---|---|";

/// The whole table, when the last row has been played.
fn tell(lines: &[String]) {
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    table.push(lines.join("\n"));
    if table.len() == ROWS {
        println!("\n{HEADING}\n{}\n", table.join("\n"));
    }
}
