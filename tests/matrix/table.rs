//! How often is a fault played in each mode, what is demanded, and how is it told?

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use floatlock::core::Instant;

use crate::field::{Besides, Field, Mode, Outcome};

/// Runs in which a processor stood still may be so many more.
const REPEATS: usize = 20;
/// Tests of `rows`.
const ROWS: usize = 30;
static TABLE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Who answers in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    A,
    B,
    One,
    /// Split brain, which the documentation names.
    Both,
    /// The same, until the cut heals.
    OneAfterBoth,
    Nobody,
}

impl Holds {
    fn is(self, holders: &[String]) -> bool {
        match self {
            Holds::A => holders == ["lb-a"],
            Holds::B => holders == ["lb-b"],
            Holds::One | Holds::OneAfterBoth => holders.len() == 1,
            Holds::Both => holders.len() == 2,
            Holds::Nobody => holders.is_empty(),
        }
    }
}

/// One fault.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// By mode; none where it means nothing.
    pub(crate) holds: [Option<Holds>; 7],
    /// It begins with `lb-a` as MASTER.
    pub(crate) settled: bool,
    /// It takes a minute: it is played so often at most.
    pub(crate) most: usize,
    /// What it needs that the others do not.
    pub(crate) besides: Besides,
    /// Returns when the fault was.
    pub(crate) play: fn(&Field) -> Instant,
}

/// All runs of a cell.
#[derive(Default)]
struct Cell {
    runs: Vec<Outcome>,
    stood_still: usize,
    bad: Option<String>,
}

/// Whether the figures are wanted, and of how many runs.
pub(crate) fn wanted() -> Option<usize> {
    env::var("FLOATLOCK_RUNS").ok()?.parse().ok()
}

/// Whether this mode is to be played: all are, but where some are named.
fn is_wanted(mode: Mode) -> bool {
    match env::var("FLOATLOCK_MODES") {
        Ok(modes) => modes.split(';').any(|name| name.trim() == mode.name()),
        Err(_) => true,
    }
}

impl Row {
    /// Plays it in every mode at once, but for a series keepalived's after the others: processors stand still
    /// beside two keepalived that both are MASTER. Fails where two hosts answered that must not, or another one
    /// holds than should.
    pub(crate) fn demand(&self) {
        let is_series = wanted().is_some();
        let (alone, together): (Vec<_>, Vec<_>) = Mode::ALL
            .into_iter()
            .zip(self.holds)
            .map(|(mode, holds)| (mode, holds.filter(|_| is_wanted(mode))))
            .partition(|(mode, _)| is_series && *mode == Mode::Keepalived);
        let together = self.cells(&together);
        // It comes first in the table.
        let cells: Vec<Option<Cell>> = self.cells(&alone).into_iter().chain(together).collect();
        let mut line = format!("| {} |", self.name);
        for cell in &cells {
            let text = cell.as_ref().map_or("".to_owned(), Cell::text);
            // Writing to a String cannot fail.
            let _ = write!(line, " {text} |");
        }
        println!("{line}");
        tell(line);
        let bad: String = cells
            .into_iter()
            .flatten()
            .filter_map(|cell| cell.bad)
            .collect();
        assert!(bad.is_empty(), "{bad}");
    }

    /// At the same time.
    fn cells(&self, modes: &[(Mode, Option<Holds>)]) -> Vec<Option<Cell>> {
        thread::scope(|scope| {
            let start = |&(mode, holds): &(Mode, Option<Holds>)| {
                holds.map(|holds| scope.spawn(move || self.cell(mode, holds)))
            };
            let running: Vec<_> = modes.iter().map(start).collect();
            let cell = |thread: thread::ScopedJoinHandle<'_, Cell>| match thread.join() {
                Ok(cell) => cell,
                Err(cause) => std::panic::resume_unwind(cause),
            };
            running.into_iter().map(|one| one.map(cell)).collect()
        })
    }

    fn cell(&self, mode: Mode, holds: Holds) -> Cell {
        let mut cell = Cell::default();
        let count = wanted().unwrap_or(1).min(self.most);
        while cell.runs.len() < count && cell.stood_still <= REPEATS.max(count) {
            let field = Field::new(mode, self.besides);
            if self.settled && !field.settle() {
                cell.stood_still += 1;
                continue;
            }
            let at = (self.play)(&field);
            let outcome = field.outcome(at);
            if mode != Mode::Keepalived && !is_good(holds, &outcome) && cell.bad.is_none() {
                let (row, mode) = (self.name, mode.name());
                // What two hosts did is judged in any case; what a processor that stood still did to one, is not.
                if outcome.stood_still.is_none() || answers_twice(holds, &outcome) {
                    let logs = field.logs();
                    cell.bad = Some(format!("{row}, {mode}: not {holds:?}: {outcome:?}\n{logs}"));
                }
            }
            match outcome.stood_still {
                Some(_) => cell.stood_still += 1,
                None => cell.runs.push(outcome),
            }
        }
        if cell.runs.is_empty() && cell.bad.is_none() {
            let (row, mode) = (self.name, mode.name());
            cell.bad = Some(format!(
                "{row}, {mode}: a processor stood still in every run\n"
            ));
        }
        cell
    }
}

fn answers_twice(holds: Holds, outcome: &Outcome) -> bool {
    let may = matches!(holds, Holds::Both | Holds::OneAfterBoth);
    !may && outcome.two > Duration::ZERO
}

fn is_good(holds: Holds, outcome: &Outcome) -> bool {
    holds.is(&outcome.holders) && !answers_twice(holds, outcome)
}

impl Cell {
    /// How long two answered, how long nobody did, who does in the end.
    fn text(&self) -> String {
        let longest = |figure: fn(&Outcome) -> Duration| self.runs.iter().map(figure).max();
        let (Some(two), Some(silence)) = (longest(|one| one.two), longest(|one| one.silence))
        else {
            return format!("a processor stood still in {} runs", self.stood_still);
        };
        let holders: BTreeSet<String> = self.runs.iter().map(holders).collect();
        let holders: Vec<String> = holders.into_iter().collect();
        let two = match two {
            Duration::ZERO => "0".to_owned(),
            two => format!("**{:.1} s**", two.as_secs_f64()),
        };
        format!(
            "{two}; {:.2} s; {}",
            silence.as_secs_f64(),
            holders.join(" or ")
        )
    }
}

fn holders(outcome: &Outcome) -> String {
    match &outcome.holders[..] {
        [] => "nobody".to_owned(),
        [one] => one.trim_start_matches("lb-").to_uppercase(),
        _ => "both".to_owned(),
    }
}

/// The whole table, when the last row has been played.
fn tell(line: String) {
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    table.push(line);
    if table.len() < ROWS {
        return;
    }
    let mut text = "| fault |".to_owned();
    for mode in Mode::ALL {
        let _ = write!(text, " {} |", mode.name());
    }
    println!(
        "\n{text}\n|---{}|\n{}\n",
        "|---".repeat(7),
        table.join("\n")
    );
}
