//! What does the parser not understand? Its errors with advice, and the text without them.

use toml::de::{DeTable, Error};

use super::lines::Lines;
use super::problem::{Problem, Problems, Span};
use super::wording::quoted;

/// How often a text is parsed again, and how many bytes that may be in all.
const MOST_ROUNDS: usize = 100;
const MOST_BYTES: usize = 4 << 20;

/// Reports what the parser does not understand, and gives back the text with spaces in its place;
/// nothing if that would take too long.
///
/// The parser gives up, or stumbles on from error to error, after its first one. So one statement
/// at a time is reported and blanked, and the rest is parsed again.
pub(super) fn blank_errors(text: &str, errors: Vec<Error>, out: &mut Problems) -> Option<String> {
    let lines = Lines::of(text);
    let mut readable = text.to_owned();
    let mut errors = errors;
    for round in 1..=MOST_ROUNDS {
        let Some(culprit) = errors.first().map(|e| Culprit::of(e, &lines, &readable)) else {
            return Some(readable);
        };
        if round * text.len() > MOST_BYTES || culprit.is_blank(&readable) {
            break;
        }
        culprit.report(&errors, text, &lines, out);
        culprit.blank(&mut readable);
        errors = DeTable::parse_recoverable(&readable).1;
    }
    for error in &errors {
        out.push(problem(text, error));
    }
    None
}

/// The lines that are to blame for an error.
struct Culprit {
    /// The line that the error was found on.
    found: usize,
    /// An array that was left open further up is the cause.
    unclosed: bool,
    bytes: Span,
}

impl Culprit {
    fn of(error: &Error, lines: &Lines, text: &str) -> Self {
        let at = error.span().unwrap_or_default().start;
        let found = lines.line(at);
        let line = |number| &text[lines.start(number)..lines.end(number, text)];
        let starts = |number: &usize| starts_statement(line(*number));
        let in_array = error.message().contains("array");
        let unclosed = in_array && (starts(&found) || at >= text.trim_end().len());
        let first = match unclosed {
            true => (1..found).rev().find(starts).unwrap_or(found),
            false => found,
        };
        let past = match line(found).trim_start().starts_with('[') && !in_array {
            true => (found + 1..=lines.count()).find(|n| line(*n).trim_start().starts_with('[')),
            false if unclosed && starts(&found) && first < found => Some(found),
            false => Some(found + 1),
        };
        let end = past.map_or(text.len(), |past| lines.end(past - 1, text));
        Culprit {
            found,
            unclosed: unclosed && first < found,
            bytes: lines.start(first)..end,
        }
    }

    fn is_blank(&self, text: &str) -> bool {
        text[self.bytes.clone()].trim().is_empty()
    }

    /// What it complained about first, everywhere on the line.
    fn report(&self, errors: &[Error], text: &str, lines: &Lines, out: &mut Problems) {
        if self.unclosed {
            let start = self.bytes.start;
            let first_line = text[start..].lines().next().unwrap_or_default();
            let span = start..start + first_line.trim_end().len();
            let problem = Problem::error(span, "an array is opened here and never closed");
            out.push(problem.advise("write `]` where it ends"));
            return;
        }
        let message = errors.first().map(Error::message);
        let on_line = |e: &&Error| lines.line(e.span().unwrap_or_default().start) == self.found;
        let same = errors.iter().filter(|e| Some(e.message()) == message);
        for error in same.filter(on_line) {
            out.push(problem(text, error));
        }
    }

    fn blank(&self, text: &mut String) {
        let blanked: String = text[self.bytes.clone()]
            .split_inclusive('\n')
            .map(|line| {
                let content = line.trim_end_matches('\n');
                " ".repeat(content.len()) + &line[content.len()..]
            })
            .collect();
        text.replace_range(self.bytes.clone(), &blanked);
    }
}

/// Whether a line looks like `key = ...` or `[table]`, and not like the inside of an array.
fn starts_statement(line: &str) -> bool {
    let line = line.trim_start();
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let after_key = line.trim_start_matches(bare);
    let has_key = after_key.len() < line.len() && after_key.trim_start().starts_with('=');
    let is_header = line.starts_with('[') && line[1..].trim_start_matches('[').starts_with(bare);
    has_key || is_header
}

fn problem(text: &str, error: &Error) -> Problem {
    let span = error.span().unwrap_or_default();
    let there = text.get(span.clone()).unwrap_or_default();
    let (what, expected) = match error.message().split_once(", expected ") {
        Some((what, expected)) => (what, Some(expected)),
        None => (error.message(), None),
    };
    match (what, expected) {
        ("string values must be quoted", _) if there.is_empty() => {
            Problem::error(span, "there is no value")
        }
        ("string values must be quoted", _) => Problem::error(span, "text stands in quotes")
            .advise(format!("write `{}`", as_value(there))),
        ("duplicate key", _) => Problem::error(span, format!("{} stands twice", quoted(there)))
            .advise("a key, and a [table], stands once; only a [[table]] may be repeated"),
        ("invalid basic string" | "invalid literal string", Some(quote)) => {
            Problem::error(span, format!("the closing {quote} is missing"))
        }
        (what, None | Some("nothing")) => Problem::error(span, what),
        (what, Some(expected)) => {
            Problem::error(span, what).advise(format!("expected: {expected}"))
        }
    }
}

/// The value that a bare word was meant to be.
fn as_value(word: &str) -> String {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => "true".to_owned(),
        "no" | "off" | "false" => "false".to_owned(),
        _ => format!("\"{}\"", word.escape_debug()),
    }
}
