//! How is the story told? One calm line at a time, and a table at the end.

use std::io::{self, Write};
use std::time::Duration;

use crate::core::Instant;
use crate::lab::clock;

/// Tells the story as it happens.
pub(super) struct Narrator<'a> {
    out: &'a mut dyn Write,
    start: Instant,
    colour: bool,
}

/// What one event cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) answers: String,
    pub(super) silence: String,
    pub(super) lost: String,
}

impl<'a> Narrator<'a> {
    pub(super) fn new(out: &'a mut dyn Write, colour: bool) -> Self {
        Self {
            out,
            start: clock::now(),
            colour,
        }
    }

    /// From now on, times count from here.
    pub(super) fn begin(&mut self) {
        self.start = clock::now();
    }

    /// A line without a time.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// What happened at that time.
    pub(super) fn say(&mut self, at: Instant, text: &str) -> io::Result<()> {
        let time = format!("{:>7.3} s", at.since(self.start).as_secs_f64());
        let (dim, plain) = if self.colour {
            ("\x1b[2m", "\x1b[0m")
        } else {
            ("", "")
        };
        writeln!(self.out, "{dim}{time}{plain}  {text}")?;
        self.out.flush()
    }

    /// What all events cost.
    pub(super) fn table(&mut self, rows: &[Row]) -> io::Result<()> {
        let heads = [
            "event",
            "answers then",
            "without an answer",
            "requests lost",
        ];
        let cells =
            |row: &Row| [&row.what, &row.answers, &row.silence, &row.lost].map(Clone::clone);
        let mut lines = vec![heads.map(str::to_owned)];
        lines.extend(rows.iter().map(cells));
        let width = |column: usize| lines.iter().map(|l| l[column].chars().count()).max();
        let widths: Vec<usize> = (0..heads.len()).filter_map(width).collect();
        writeln!(self.out)?;
        for line in &lines {
            let padded: Vec<String> = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            writeln!(self.out, "  {}", padded.join("   ").trim_end())?;
        }
        writeln!(self.out)
    }
}

/// A length as it is read aloud: `0.4 ms`, `610 ms`, `3.61 s`.
pub(super) fn length(length: Duration) -> String {
    let millis = length.as_secs_f64() * 1000.0;
    match millis {
        0.0 => "0 ms".to_owned(),
        ..10.0 => format!("{millis:.1} ms"),
        10.0..1000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.2} s", millis / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_time_and_a_table_its_columns() {
        let mut out = Vec::new();
        let mut narrator = Narrator::new(&mut out, false);
        let at = narrator.start + Duration::from_millis(2104);
        narrator.say(at, "lb-a loses power").unwrap();
        let row = Row {
            what: "power loss of lb-a".into(),
            answers: "lb-b".into(),
            silence: "610 ms".into(),
            lost: "12 of 90".into(),
        };
        narrator.table(&[row]).unwrap();
        let expected = "  2.104 s  lb-a loses power

  event                answers then   without an answer   requests lost
  power loss of lb-a   lb-b           610 ms              12 of 90

";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn lengths_are_rounded_to_what_matters() {
        let texts = [0, 400, 610_400, 3_609_000].map(|us| length(Duration::from_micros(us)));
        assert_eq!(texts, ["0 ms", "0.4 ms", "610 ms", "3.61 s"]);
    }
}
