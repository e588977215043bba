//! What happened, for a person who reads it? A line for each change, a column for each host. Lines
//! are written only when a seed is replayed.

use std::fmt::Write as _;

use floatlock::core::Instant;

/// The last lines before the violation are enough.
const SHOWN: usize = 150;

/// How much is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Detail {
    #[default]
    Nothing,
    /// Changes of roles, faults, and who begins to answer.
    Changes,
    /// Every frame, event and effect as well.
    Everything,
}

#[derive(Default)]
pub(crate) struct Score {
    detail: Detail,
    lines: Vec<String>,
}

impl Score {
    pub(crate) fn new(detail: Detail) -> Self {
        Self {
            detail,
            lines: Vec::new(),
        }
    }

    pub(crate) fn takes(&self, detail: Detail) -> bool {
        self.detail >= detail
    }

    /// A change, with what all hosts are after it.
    pub(crate) fn change(&mut self, now: Instant, columns: &[String], what: &str) {
        let mut line = stamp(now);
        for column in columns {
            let _ = write!(line, " {column:<12}");
        }
        let _ = write!(line, " {what}");
        self.lines.push(line);
    }

    pub(crate) fn note(&mut self, now: Instant, host: usize, what: &str) {
        self.lines.push(format!("{} . n{host} {what}", stamp(now)));
    }

    pub(crate) fn text(&self) -> String {
        let skipped = self
            .lines
            .len()
            .saturating_sub(SHOWN * self.detail as usize);
        let mut text = String::new();
        if skipped > 0 {
            let _ = writeln!(text, "  ... {skipped} lines");
        }
        for line in &self.lines[skipped..] {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

fn stamp(now: Instant) -> String {
    let nanos = now.as_nanos();
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000 / 1000);
    format!("{seconds:>4}.{rest:06}")
}
