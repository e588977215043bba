//! How is it said? Sentences about keys and values that are not what they should be.

use toml::de::DeValue;

use super::keys::{self, Key, Kind};
use super::problem::{Problem, Span};
use super::suggest;

/// The text, quoted as in a message: short, on one line, without control characters.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let shown: String = text.chars().take(LONGEST).collect();
    let rest = if shown.len() < text.len() { "..." } else { "" };
    format!("`{}{rest}`", shown.escape_debug())
}

/// A key that its table does not have.
pub(super) fn unknown_key(table: &str, name: &str, span: Span) -> Problem {
    let place = keys::header(table);
    let message = format!("{} is not a key of {place}", quoted(name));
    Problem::error(span, message).advise(suggest::for_unknown_key(table, name))
}

/// A key of a later version.
pub(super) fn not_yet(key: &Key, span: Span) -> Problem {
    let what = match key.kind {
        Kind::Table | Kind::Tables => keys::header(&key.path()),
        _ => key.path(),
    };
    let message = format!("`{what}` is not supported by this version yet");
    Problem::error(span, message).advise("leave it out: this version would not act on it")
}

/// An empty list of what is not supported yet asks for nothing.
pub(super) fn asks_for_nothing(value: &DeValue<'_>) -> bool {
    value.as_array().is_some_and(|array| array.is_empty())
}

/// A value of another kind than its key's.
pub(super) fn wrong_kind(key: &Key, value: &DeValue<'_>, span: Span) -> Problem {
    let wanted = match key.kind {
        Kind::Table => format!("a table, written {}", keys::header(&key.path())),
        Kind::Tables => format!("a list of tables, written {}", keys::header(&key.path())),
        Kind::Integer { .. } => "a whole number".to_owned(),
        Kind::Duration { .. } => "a duration: text with a unit".to_owned(),
        Kind::Texts => "an array of text".to_owned(),
        Kind::Addresses => "an array of addresses".to_owned(),
        other => other.to_string(),
    };
    let message = format!("`{}` is {wanted}, not {}", key.name, kind(value));
    let problem = Problem::error(span, message);
    match advice(key, value) {
        Some(advice) => problem.advise(advice),
        None => problem,
    }
}

/// How to write what was probably meant.
fn advice(key: &Key, value: &DeValue<'_>) -> Option<String> {
    let name = key.name;
    let text = value.as_str();
    match (key.kind, value) {
        (Kind::Duration { .. }, DeValue::Integer(number)) => {
            Some(format!("write `{name} = \"{number}s\"`"))
        }
        (Kind::Duration { .. }, DeValue::Float(number)) => {
            Some(format!("write `{name} = \"{}s\"`", number.as_str()))
        }
        (Kind::Texts | Kind::Addresses, DeValue::String(text)) => {
            Some(format!("write `{name} = [\"{}\"]`", text.escape_debug()))
        }
        (Kind::Integer { .. }, _) if text.is_some_and(|t| t.parse::<u32>().is_ok()) => {
            text.map(|number| format!("write `{name} = {number}`, without quotes"))
        }
        (Kind::Boolean, DeValue::String(_)) => {
            Some("write true or false, without quotes".to_owned())
        }
        (Kind::Text, DeValue::Integer(number)) => Some(format!("write `{name} = \"{number}\"`")),
        (Kind::Tables, DeValue::Table(_)) => Some(format!(
            "write the header with two brackets: {}",
            keys::header(&key.path())
        )),
        _ => None,
    }
}

/// The kind of a value, with its article.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
