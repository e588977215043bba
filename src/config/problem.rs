//! What is wrong with the file? A list of problems, each with its place and advice.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::lines::Lines;

/// A range of bytes in the file's text.
pub type Span = Range<usize>;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but may not do what its author expects.
    Warning,
}

/// One thing that is wrong, where it is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether the file can still be used.
    pub severity: Severity,
    /// The offending text: inside the file, on character boundaries.
    pub span: Span,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do next.
    pub advice: Option<String>,
    /// Other places that the problem is about.
    pub related: Vec<Related>,
    /// Something is not there. After a syntax error this may only mean that it was not understood.
    absent: bool,
}

/// Another place that a problem is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// The text: inside the file, on character boundaries.
    pub span: Span,
    /// What it has to do with the problem.
    pub label: String,
}

/// An error was put into the list: whoever sees this need not report it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reported;

/// A value, or the word that its error is in the list.
pub(super) type Checked<T> = Result<T, Reported>;

impl Problem {
    pub(super) fn error(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span,
            message: message.into(),
            advice: None,
            related: Vec::new(),
            absent: false,
        }
    }

    pub(super) fn warning(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(span, message)
        }
    }

    pub(super) fn absent(span: Span, message: impl Into<String>) -> Self {
        Self {
            absent: true,
            ..Self::error(span, message)
        }
    }

    pub(super) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    pub(super) fn relate(mut self, span: Span, label: impl Into<String>) -> Self {
        let label = label.into();
        self.related.push(Related { span, label });
        self
    }
}

/// Every problem of one file, in the order of its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Problems {
    file: String,
    text: Arc<str>,
    list: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            text: text.into(),
            list: Vec::new(),
        }
    }

    /// The file's name, as given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The file's text, which the spans point into.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// How many there are of one severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.iter().filter(|p| p.severity == severity).count()
    }

    /// Each problem, in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    pub(super) fn push(&mut self, mut problem: Problem) -> Reported {
        problem.span = within(&self.text, problem.span);
        for related in &mut problem.related {
            related.span = within(&self.text, related.span.clone());
        }
        self.list.push(problem);
        Reported
    }

    pub(super) fn error(&mut self, span: Span, message: impl Into<String>) -> Reported {
        self.push(Problem::error(span, message))
    }

    pub(super) fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Adds what was found in a text that has gaps: not what is missing from it.
    pub(super) fn add_but_absences(&mut self, found: Problems) {
        self.list
            .extend(found.list.into_iter().filter(|p| !p.absent));
    }

    /// In the order of the text, each once: what two groups inherit is said once.
    pub(super) fn sorted(mut self) -> Self {
        let mut seen = HashSet::new();
        self.list.retain(|p| {
            let what = (p.span.start, p.span.end, p.message.clone());
            seen.insert(what)
        });
        self.list.sort_by_key(|p| (p.span.start, p.severity));
        self
    }

    /// Each problem as a row for machines.
    #[must_use]
    pub fn rows(&self) -> Vec<Row<'_>> {
        let lines = Lines::of(&self.text);
        self.iter()
            .map(|problem| self.row(&lines, problem))
            .collect()
    }

    fn row<'p>(&'p self, lines: &Lines, problem: &'p Problem) -> Row<'p> {
        let also = |related: &Related| Also {
            line: lines.line(related.span.start),
            column: lines.column(&self.text, related.span.start),
            label: related.label.clone(),
        };
        Row {
            file: &self.file,
            line: lines.line(problem.span.start),
            column: lines.column(&self.text, problem.span.start),
            severity: problem.severity,
            message: &problem.message,
            advice: problem.advice.as_deref(),
            related: problem.related.iter().map(also).collect(),
        }
    }
}

impl<'p> IntoIterator for &'p Problems {
    type Item = &'p Problem;
    type IntoIter = std::slice::Iter<'p, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Serialize for Problems {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rows().serialize(serializer)
    }
}

/// One problem as `check --json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row<'p> {
    /// The file's name, as given.
    pub file: &'p str,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// `error` or `warning`.
    pub severity: Severity,
    /// What is wrong.
    pub message: &'p str,
    /// What to do next.
    pub advice: Option<&'p str>,
    /// Other places that the problem is about.
    pub related: Vec<Also>,
}

/// Another place of a [`Row`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Also {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What it has to do with the problem.
    pub label: String,
}

/// The span, cut to the text and widened to character boundaries: the parser's own spans are not
/// promised to keep to either.
fn within(text: &str, span: Span) -> Span {
    let mut start = span.start.min(text.len());
    let mut end = span.end.clamp(start, text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_never_leaves_the_text_or_splits_a_character() {
        assert_eq!(within("aö", 2..9), 1..3);
        assert_eq!(within("aö", 7..9), 3..3);
        assert_eq!(within("aö", 1..2), 1..3);
    }

    #[test]
    fn the_same_problem_is_said_once() {
        let mut problems = Problems::new("f", "abc");
        problems.error(1..2, "no");
        problems.error(0..1, "no");
        problems.error(1..2, "no");
        let spans: Vec<_> = problems.sorted().iter().map(|p| p.span.clone()).collect();
        assert_eq!(spans, [0..1, 1..2]);
    }
}
