//! What do the figures say? Pairs of runs become medians, ratios and verdicts.

use std::time::Duration;

use serde_json::{Value, json};

/// What floatlock must reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The median ratio floatlock / keepalived is at most this.
    Ratio(f64),
    /// Floatlock's worst is at most this.
    Worst(f64),
    /// The median of floatlock is at most the first, its worst at most the second.
    Within(f64, f64),
    /// For information.
    Nothing,
}

/// One figure of both programs, over all runs.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) target: Target,
    /// Of each pair of runs: keepalived's and floatlock's.
    pub(crate) pairs: Vec<(f64, f64)>,
    /// Whose, and what, while a processor stood still for so long: left out of the pairs.
    pub(crate) disturbed: Vec<(&'static str, f64, Duration)>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, target: Target) -> Self {
        let (name, pairs) = (name.into(), Vec::new());
        Self {
            name,
            unit,
            target,
            pairs,
            disturbed: Vec::new(),
        }
    }

    fn keepalived(&self) -> Spread {
        Spread::of(self.pairs.iter().map(|pair| pair.0))
    }

    fn floatlock(&self) -> Spread {
        Spread::of(self.pairs.iter().map(|pair| pair.1))
    }

    /// None where keepalived's figures are zero.
    fn ratio(&self) -> Option<Spread> {
        let all_positive = self.pairs.iter().all(|pair| pair.0 > 0.0);
        all_positive.then(|| Spread::of(self.pairs.iter().map(|pair| pair.1 / pair.0)))
    }

    fn verdict(&self) -> &'static str {
        let floatlock = self.floatlock();
        let reached = match self.target {
            Target::Nothing => return "",
            // Nothing against nothing is equal.
            Target::Ratio(most) => self.ratio().map_or(floatlock.max, |ratio| ratio.median) <= most,
            Target::Worst(most) => floatlock.max <= most,
            Target::Within(median, most) => floatlock.median <= median && floatlock.max <= most,
        };
        if reached { "ok" } else { "MISSED" }
    }

    fn target(&self) -> String {
        match self.target {
            Target::Ratio(most) => format!("ratio <= {most}"),
            Target::Worst(most) => format!("<= {most} {}", self.unit),
            Target::Within(median, most) => format!("<= {median}, max {most}"),
            Target::Nothing => String::new(),
        }
    }

    fn line(&self) -> String {
        let digits = if self.keepalived().max.max(self.floatlock().max) < 100.0 {
            2
        } else {
            0
        };
        let ratio = self.ratio().map_or("-".to_owned(), |ratio| ratio.text(3));
        format!(
            "{:<58} {:<5} {:<22} {:<22} {:<22} {:<15} {}",
            self.name,
            self.unit,
            self.keepalived().text(digits),
            self.floatlock().text(digits),
            ratio,
            self.target(),
            self.verdict()
        )
    }

    /// Everybody may judge what else they would have said.
    fn tell_left_out(&self) {
        let longest = self.disturbed.iter().map(|(.., stop)| *stop).max();
        let Some(longest) = longest else {
            return;
        };
        let figures = self.disturbed.iter();
        let figures = figures.map(|(program, figure, _)| format!("{program} {figure:.1}"));
        let figures: Vec<String> = figures.collect();
        println!(
            "  left out, since a processor stood still for up to {:.0} ms: {}",
            millis(longest),
            figures.join(", ")
        );
    }

    fn json(&self) -> Value {
        json!({
            "case": self.name,
            "unit": self.unit,
            "keepalived": self.pairs.iter().map(|pair| pair.0).collect::<Vec<_>>(),
            "floatlock": self.pairs.iter().map(|pair| pair.1).collect::<Vec<_>>(),
            "left_out": self.disturbed.iter().map(|(program, figure, stop)| {
                json!({ "program": program, "figure": figure, "stood_still_ms": millis(*stop) })
            }).collect::<Vec<_>>(),
            "target": self.target(),
            "verdict": self.verdict(),
        })
    }
}

/// Median and ends of some figures.
#[derive(Clone, Copy, Debug)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
        let last = sorted.len().saturating_sub(1);
        Self {
            median: f64::midpoint(at(last / 2), at(last.div_ceil(2))),
            min: at(0),
            max: at(last),
        }
    }

    fn text(self, digits: usize) -> String {
        let Self { median, min, max } = self;
        if min >= max {
            return format!("{median:.digits$}");
        }
        format!("{median:.digits$} [{min:.digits$} {max:.digits$}]")
    }
}

/// The table, printed as it grows.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        let rows = Vec::new();
        Self { json, rows }
    }

    /// Takes the figures of one case.
    pub(crate) fn take(&mut self, rows: Vec<Row>) {
        if !self.json {
            if self.rows.is_empty() {
                println!("{}", heading());
            }
            for row in &rows {
                println!("{}", row.line());
                row.tell_left_out();
            }
        }
        self.rows.extend(rows);
    }

    /// Says how it went on the whole.
    pub(crate) fn end(&self) {
        if self.json {
            let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
            println!("{}", json!({ "rows": rows }));
            return;
        }
        let count = |verdict| {
            let rows = self.rows.iter().filter(|row| row.verdict() == verdict);
            rows.count()
        };
        println!(
            "\n{} targets reached, {} missed",
            count("ok"),
            count("MISSED")
        );
    }
}

fn heading() -> String {
    format!(
        "{:<58} {:<5} {:<22} {:<22} {:<22} target\n{:<58} {:<5} {:<22} {:<22} {:<22}",
        "",
        "",
        "keepalived",
        "floatlock",
        "floatlock/keepalived",
        "",
        "",
        "median [min max]",
        "median [min max]",
        "median [min max]"
    )
}

/// As the tables show times.
pub(crate) fn millis(length: Duration) -> f64 {
    length.as_secs_f64() * 1000.0
}
