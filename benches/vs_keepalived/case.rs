//! Which questions are put to both programs?

use std::io::IsTerminal;
use std::time::Duration;

use floatlock::lab::clock;

use crate::figures::Row;
use crate::heal;
use crate::load;
use crate::many::{self, End};
use crate::planned::{self, Cluster};
use crate::pulse;
use crate::stage::{Failure, Part, Program, Stage, group};
use crate::takeover;

/// keepalived's default.
const SLOW: Duration = Duration::from_secs(1);
const FAST: Duration = Duration::from_millis(100);
/// Twice the longest that a planned move may take.
const STILL: Duration = Duration::from_millis(40);
/// Floatlock's default.
const DEFAULT: Duration = Duration::from_millis(200);

/// Runs of one program, until no processor stands still.
const ATTEMPTS: usize = 10;

/// One group of a pair.
fn one(interval: Duration) -> Part {
    Part::of_pair(&[group(interval)])
}

/// The same, where floatlock speaks natively.
fn native(interval: Duration) -> Part {
    Part::native(&[group(interval)])
}

/// One question, and how its figures come about.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Pairs of runs, unless the command line says otherwise.
    pub(crate) runs: usize,
    /// A run in which a processor stood still for so long is played again: the figure would be its own.
    steady: Duration,
    /// What is measured, still without figures.
    rows: fn() -> Vec<Row>,
    /// One run: a figure for each row.
    play: fn(&Stage, Program) -> Result<Vec<f64>, Failure>,
}

impl Case {
    /// Runs both programs in turn.
    pub(crate) fn pairs(&self, stage: &Stage, runs: usize) -> Result<Vec<Row>, Failure> {
        let mut rows = (self.rows)();
        for run in 0..runs {
            let mut figures = [Vec::new(), Vec::new()];
            for program in Program::in_turn(run) {
                tell(&format!(
                    "{}: pair {} of {runs}, {}",
                    self.name,
                    run + 1,
                    program.name()
                ));
                figures[program as usize] = self.steadily(stage, program, &mut rows)?;
            }
            let [keepalived, floatlock] = &figures;
            let pairs = keepalived.iter().copied().zip(floatlock.iter().copied());
            for (row, pair) in rows.iter_mut().zip(pairs) {
                row.pairs.push(pair);
            }
        }
        tell("");
        Ok(rows)
    }

    /// The figures of a run in which no processor stood still; those of the others go to the rows.
    fn steadily(
        &self,
        stage: &Stage,
        program: Program,
        rows: &mut [Row],
    ) -> Result<Vec<f64>, Failure> {
        for _ in 0..ATTEMPTS {
            stage.clear()?;
            let began = clock::now();
            let figures = (self.play)(stage, program)?;
            let stop = pulse::longest_stop_since(began);
            if stop < self.steady {
                return Ok(figures);
            }
            for (row, figure) in rows.iter_mut().zip(figures) {
                row.disturbed.push((program.name(), figure, stop));
            }
        }
        Err(format!("{}: a processor stands still in every run", self.name).into())
    }
}

/// What goes on, for those who watch.
fn tell(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{text:<60}\r");
    }
}

/// All of them, in the order of the table.
pub(crate) const CASES: [Case; 22] = [
    Case {
        name: "takeover-1s",
        about: "power loss of the MASTER, adverts every second",
        runs: 3,
        steady: Duration::MAX,
        rows: || takeover::rows(SLOW),
        play: |stage, program| takeover::play(stage, program, &one(SLOW)),
    },
    Case {
        name: "takeover-100ms",
        about: "power loss of the MASTER, adverts every 100 ms",
        runs: 5,
        steady: Duration::MAX,
        rows: || takeover::rows(FAST),
        play: |stage, program| takeover::play(stage, program, &one(FAST)),
    },
    Case {
        name: "stop-1s",
        about: "SIGTERM to the MASTER of a [cluster] of two, adverts every second",
        runs: 3,
        steady: Duration::MAX,
        rows: || planned::rows_of_stop(SLOW, Cluster::Pair),
        play: |stage, program| planned::stop(stage, program, &Cluster::Pair.part(SLOW)),
    },
    Case {
        name: "stop-100ms",
        about: "SIGTERM to the MASTER of a [cluster] of two, adverts every 100 ms",
        runs: 3,
        steady: Duration::MAX,
        rows: || planned::rows_of_stop(FAST, Cluster::Pair),
        play: |stage, program| planned::stop(stage, program, &Cluster::Pair.part(FAST)),
    },
    Case {
        name: "stop-bare-1s",
        about: "SIGTERM to the MASTER, no [cluster] in the file, adverts every second",
        runs: 3,
        steady: Duration::MAX,
        rows: || planned::rows_of_stop(SLOW, Cluster::Unknown),
        play: |stage, program| planned::stop(stage, program, &Cluster::Unknown.part(SLOW)),
    },
    Case {
        name: "stop-bare-100ms",
        about: "SIGTERM to the MASTER, no [cluster] in the file, adverts every 100 ms",
        runs: 5,
        steady: Duration::MAX,
        rows: || planned::rows_of_stop(FAST, Cluster::Unknown),
        play: |stage, program| planned::stop(stage, program, &Cluster::Unknown.part(FAST)),
    },
    Case {
        name: "return",
        about: "the better node comes back and preempts, adverts every 100 ms",
        runs: 5,
        steady: Duration::MAX,
        rows: || planned::rows_of_return(FAST),
        play: |stage, program| planned::comeback(stage, program, &one(FAST)),
    },
    Case {
        name: "heal",
        about: "somebody deletes the address on the MASTER, adverts every 100 ms",
        runs: 5,
        steady: Duration::MAX,
        rows: || heal::rows(FAST),
        play: |stage, program| heal::play(stage, program, FAST),
    },
    Case {
        name: "load-1",
        about: "CPU and memory with one group at 100 ms",
        runs: 1,
        steady: Duration::MAX,
        rows: || load::rows(1, false),
        play: |stage, program| load::play(stage, program, &Part::of_pair(&load::setup(1))),
    },
    Case {
        name: "load-250",
        about: "CPU and memory with 250 groups at 100 ms",
        runs: 1,
        steady: Duration::MAX,
        rows: || load::rows(250, false),
        play: |stage, program| load::play(stage, program, &Part::of_pair(&load::setup(250))),
    },
    Case {
        name: "many-1000-stop",
        about: "1 000 addresses move by a planned stop",
        runs: 1,
        steady: Duration::MAX,
        rows: || many::rows(1_000, End::Stop),
        play: |stage, program| many::play(stage, program, 1_000, End::Stop),
    },
    Case {
        name: "many-1000-loss",
        about: "1 000 addresses move after a power loss",
        runs: 1,
        steady: Duration::MAX,
        rows: || many::rows(1_000, End::PowerLoss),
        play: |stage, program| many::play(stage, program, 1_000, End::PowerLoss),
    },
    Case {
        name: "many-10000-stop",
        about: "10 000 addresses move by a planned stop",
        runs: 1,
        steady: Duration::MAX,
        rows: || many::rows(10_000, End::Stop),
        play: |stage, program| many::play(stage, program, 10_000, End::Stop),
    },
    Case {
        name: "many-10000-loss",
        about: "10 000 addresses move after a power loss",
        runs: 1,
        steady: Duration::MAX,
        rows: || many::rows(10_000, End::PowerLoss),
        play: |stage, program| many::play(stage, program, 10_000, End::PowerLoss),
    },
    Case {
        name: "native-stop-1s",
        about: "SIGTERM to the MASTER, native heartbeats every second",
        runs: 3,
        steady: STILL,
        rows: || planned::rows_native("planned stop", SLOW),
        play: |stage, program| planned::stop(stage, program, &native(SLOW)),
    },
    Case {
        name: "native-stop-100ms",
        about: "SIGTERM to the MASTER, native heartbeats every 100 ms",
        runs: 5,
        steady: STILL,
        rows: || planned::rows_native("planned stop", FAST),
        play: |stage, program| planned::stop(stage, program, &native(FAST)),
    },
    Case {
        name: "native-return-1s",
        about: "the better node comes back and preempts, native heartbeats every second",
        runs: 3,
        steady: STILL,
        rows: || planned::rows_native("preempting return", SLOW),
        play: |stage, program| planned::comeback(stage, program, &native(SLOW)),
    },
    Case {
        name: "native-return-100ms",
        about: "the better node comes back and preempts, native heartbeats every 100 ms",
        runs: 5,
        steady: STILL,
        rows: || planned::rows_native("preempting return", FAST),
        play: |stage, program| planned::comeback(stage, program, &native(FAST)),
    },
    Case {
        name: "native-takeover",
        about: "power loss of the MASTER, both programs with their defaults (1 s; native 200 ms)",
        runs: 3,
        steady: STILL,
        rows: || takeover::rows_native("defaults", 1400.0),
        play: |stage, program| match program {
            Program::Keepalived => takeover::play(stage, program, &one(SLOW)),
            Program::Floatlock => takeover::play(stage, program, &native(DEFAULT)),
        },
    },
    Case {
        name: "native-takeover-20ms",
        about: "power loss of the MASTER, both programs every 20 ms",
        runs: 5,
        steady: Duration::from_millis(40),
        rows: || takeover::rows_native("20 ms", 150.0),
        play: |stage, program| takeover::play(stage, program, &native(Duration::from_millis(20))),
    },
    Case {
        name: "native-load-1",
        about: "CPU and memory with one native group at 100 ms",
        runs: 1,
        steady: Duration::MAX,
        rows: || load::rows(1, true),
        play: |stage, program| load::play(stage, program, &Part::native(&load::setup(1))),
    },
    Case {
        name: "native-load-250",
        about: "CPU and memory with 250 native groups at 100 ms",
        runs: 1,
        steady: Duration::MAX,
        rows: || load::rows(250, true),
        play: |stage, program| load::play(stage, program, &Part::native(&load::setup(250))),
    },
];
