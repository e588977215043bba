//! How long does nobody answer when the MASTER is stopped, and when the better node comes back?

use std::time::Duration;

use floatlock::lab::clock;
use nix::sys::signal::Signal;

use crate::figures::{Row, Target, millis};
use crate::stage::{Failure, PATIENCE, Pair, Part, Program, Stage, VIP, group};
use crate::takeover::{wait_for_answer, wait_for_middle};

/// After the better node answers: a worse one that still holds the address would show.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// Between two questions to each of the hosts.
const ASK_BOTH_EVERY: Duration = Duration::from_millis(1);

/// What floatlock's file says of the nodes; keepalived has no word for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cluster {
    /// `[cluster]` with two nodes, as in every file that floatlock comes with.
    Pair,
    /// No `[cluster]`: there may be any number of others.
    Unknown,
}

impl Cluster {
    pub(crate) fn part(self, interval: Duration) -> Part {
        let mut part = Part::of_pair(&[group(interval)]);
        if self == Cluster::Unknown {
            part.nodes.clear();
        }
        part
    }
}

pub(crate) fn rows_of_stop(interval: Duration, cluster: Cluster) -> Vec<Row> {
    let file = match cluster {
        Cluster::Pair => "",
        Cluster::Unknown => ", no [cluster]",
    };
    let name = |what| format!("planned stop at {interval:?}{file}: {what}");
    vec![
        // Both wait the same skew time where nobody knows that there are two nodes.
        Row::new(name("nobody answers"), "ms", Target::Ratio(1.05)),
        Row::new(name("both answer"), "ms", Target::Worst(0.0)),
    ]
}

/// A handover by the native protocol, whatever the interval is.
pub(crate) fn rows_native(what: &str, interval: Duration) -> Vec<Row> {
    let name = |figure| format!("{what}, native at {interval:?}: {figure}");
    vec![
        Row::new(name("nobody answers"), "ms", Target::Within(5.0, 20.0)),
        Row::new(name("both answer"), "ms", Target::Worst(0.0)),
    ]
}

/// In the order of the rows.
pub(crate) fn stop(stage: &Stage, program: Program, part: &Part) -> Result<Vec<f64>, Failure> {
    let watch = stage.ask()?;
    let both = stage.ask_both(&[VIP], ASK_BOTH_EVERY)?;
    let pair = stage.start_pair_of(program, part)?;
    wait_for_middle(&watch, part.interval())?;
    let told = clock::now();
    pair.a.signal(Signal::SIGTERM)?;
    wait_for_answer(&watch, "lb-b", told)?;
    pair.a.wait(PATIENCE)?;
    let gap = watch.stop().takeover("lb-b", VIP, told);
    let both = both.stop().overlap(VIP);
    pair.stop()?;
    let gap = gap.ok_or("nobody answered before lb-b did")?;
    Ok(vec![millis(gap.length()), millis(both)])
}

pub(crate) fn rows_of_return(interval: Duration) -> Vec<Row> {
    let name = |what| format!("preempting return at {interval:?}: {what}");
    vec![
        Row::new(name("nobody answers"), "ms", Target::Worst(30.0)),
        Row::new(name("both answer"), "ms", Target::Worst(0.0)),
    ]
}

/// In the order of the rows.
pub(crate) fn comeback(stage: &Stage, program: Program, part: &Part) -> Result<Vec<f64>, Failure> {
    let watch = stage.ask()?;
    let b = stage.start(program, &stage.b, &part.with_priority(100))?;
    wait_for_answer(&watch, "lb-b", clock::now())?;
    // So that what follows a promotion is over.
    clock::pause(AFTERWARDS);
    let both = stage.ask_both(&[VIP], ASK_BOTH_EVERY)?;
    let back = clock::now();
    let a = stage.start(program, &stage.a, &part.with_priority(150))?;
    let answered = wait_for_answer(&watch, "lb-a", back)?;
    clock::pause(AFTERWARDS);
    let gap = watch.stop().longest_gap(VIP, back, answered + AFTERWARDS);
    let both = both.stop().overlap(VIP);
    Pair { a, b }.stop()?;
    let gap = gap.ok_or("nobody answered at all")?;
    Ok(vec![millis(gap.length()), millis(both)])
}
