//! How is a table read? Typed access that reports what it cannot read, and goes on.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::duration;
use super::keys::{self, Absent, Kind};
use super::problem::{Checked, Problem, Problems, Reported, Span};
use super::wording;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

impl<T> At<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At {
            value: change(self.value),
            span: self.span,
        }
    }
}

/// What a key holds: nothing, a value, or something that was reported.
pub(super) type Read<T> = Checked<Option<At<T>>>;

/// What an array holds: each entry a value, or something that was reported.
pub(super) type ReadList<T> = Checked<Option<At<Vec<Checked<At<T>>>>>>;

/// One table of the file, its keys already checked.
#[derive(Clone)]
pub(super) struct Section<'t> {
    body: Body<'t>,
    name: &'static str,
    /// The header, or the braces of an inline table.
    pub(super) at: Span,
}

#[derive(Clone, Copy)]
enum Body<'t> {
    Table(&'t DeTable<'t>),
    Absent,
    /// Something else stands there, which was reported.
    Broken,
}

impl<'t> Section<'t> {
    /// The table of that name in [`keys::KEYS`]; every key that it should not have is reported.
    pub(super) fn open(
        table: &'t DeTable<'t>,
        name: &'static str,
        at: Span,
        out: &mut Problems,
    ) -> Self {
        for (key, value) in table {
            check_key(name, key, value.get_ref(), out);
        }
        let body = Body::Table(table);
        Section { body, name, at }
    }

    /// Whether the file has this table.
    pub(super) fn exists(&self) -> bool {
        !matches!(self.body, Body::Absent)
    }

    /// Every key that stands in this table and may, with its own place.
    pub(super) fn given(&self) -> Vec<(&'static str, Span)> {
        let Body::Table(table) = self.body else {
            return Vec::new();
        };
        let known = |key: &Spanned<DeString<'_>>| {
            let known = keys::find(self.name, key.get_ref())?;
            Some((known.name, key.span()))
        };
        table.iter().filter_map(|(key, _)| known(key)).collect()
    }

    fn get(&self, key: &str) -> Checked<Option<(&'t DeValue<'t>, Span)>> {
        let value = match self.body {
            Body::Table(table) => table.get(key),
            Body::Absent => None,
            Body::Broken => return Err(Reported),
        };
        Ok(value.map(|value| (value.get_ref(), value.span())))
    }

    fn read<T>(
        &self,
        name: &str,
        out: &mut Problems,
        take: impl FnOnce(&'t DeValue<'t>) -> Option<T>,
    ) -> Read<T> {
        let Some((value, span)) = self.get(name)? else {
            return Ok(None);
        };
        match take(value) {
            Some(value) => Ok(Some(At { value, span })),
            None => Err(self.wrong_kind(name, value, span, out)),
        }
    }

    fn wrong_kind(
        &self,
        name: &str,
        value: &DeValue<'_>,
        span: Span,
        out: &mut Problems,
    ) -> Reported {
        let Some(key) = keys::find(self.name, name) else {
            return out.error(span, format!("`{name}` is not a key that can be read here"));
        };
        out.push(wording::wrong_kind(key, value, span))
    }

    pub(super) fn text(&self, name: &str, out: &mut Problems) -> Read<&'t str> {
        self.read(name, out, DeValue::as_str)
    }

    pub(super) fn boolean(&self, name: &str, out: &mut Problems) -> Read<bool> {
        self.read(name, out, DeValue::as_bool)
    }

    /// A whole number in the key's range.
    pub(super) fn integer(&self, name: &str, out: &mut Problems) -> Read<u32> {
        let Some(read) = self.read(name, out, DeValue::as_integer)? else {
            return Ok(None);
        };
        let number = i64::from_str_radix(read.value.as_str(), read.value.radix()).ok();
        let (min, max) = match keys::find(self.name, name).map(|key| key.kind) {
            Some(Kind::Integer { min, max }) => (min, max),
            _ => (0, u32::MAX),
        };
        match number.and_then(|n| u32::try_from(n).ok()) {
            Some(value) if (min..=max).contains(&value) => Ok(Some(read.map(|_| value))),
            _ => {
                let message = format!("`{name}` is a number from {min} to {max}");
                Err(out.error(read.span, message))
            }
        }
    }

    /// A duration in the key's range.
    pub(super) fn duration(&self, name: &str, out: &mut Problems) -> Read<Duration> {
        let Some(text) = self.text(name, out)? else {
            return Ok(None);
        };
        let key = keys::find(self.name, name);
        match duration::parse(text.value, key) {
            Ok(value) => Ok(Some(text.map(|_| value))),
            Err(wrong) => {
                let message = format!("`{name}`: {}", wrong.message);
                Err(out.push(Problem::error(text.span, message).advise(wrong.advice)))
            }
        }
    }

    /// The entries of an array, whatever they are.
    pub(super) fn entries(&self, name: &str, out: &mut Problems) -> Read<Vec<At<&'t DeValue<'t>>>> {
        let read = self.read(name, out, DeValue::as_array)?;
        let entries = |array: &'t toml::de::DeArray<'t>| {
            let entry = array.iter().map(|value| At {
                value: value.get_ref(),
                span: value.span(),
            });
            entry.collect()
        };
        Ok(read.map(|array| array.map(entries)))
    }

    /// An array of text.
    pub(super) fn texts(&self, name: &str, out: &mut Problems) -> ReadList<&'t str> {
        let Some(entries) = self.entries(name, out)? else {
            return Ok(None);
        };
        let text = |entry: At<&'t DeValue<'t>>| match entry.value.as_str() {
            Some(text) => Ok(entry.map(|_| text)),
            None => {
                let kind = wording::kind(entry.value);
                let message = format!("an entry of `{name}` is text, not {kind}");
                Err(out.error(entry.span, message))
            }
        };
        let span = entries.span;
        let value = entries.value.into_iter().map(text).collect();
        Ok(Some(At { value, span }))
    }

    /// Text, or an array of it.
    pub(super) fn text_or_texts(&self, name: &str, out: &mut Problems) -> ReadList<&'t str> {
        if let Ok(Some((DeValue::Array(_), _))) = self.get(name) {
            return self.texts(name, out);
        }
        let read = self.text(name, out)?;
        Ok(read.map(|text| At {
            span: text.span.clone(),
            value: vec![Ok(text)],
        }))
    }

    /// `[name]` inside this table.
    pub(super) fn section(&self, name: &str, out: &mut Problems) -> Section<'t> {
        let table = path_of(self.name, name);
        let body = match self.read(name, out, DeValue::as_table) {
            Ok(Some(read)) => return Section::open(read.value, table, read.span, out),
            Ok(None) => Body::Absent,
            Err(Reported) => Body::Broken,
        };
        let (name, at) = (table, 0..0);
        Section { body, name, at }
    }

    /// Every `[[name]]` inside this table.
    pub(super) fn sections(&self, name: &str, out: &mut Problems) -> Checked<Vec<Section<'t>>> {
        let table = path_of(self.name, name);
        let Some(entries) = self.entries(name, out)? else {
            return Ok(Vec::new());
        };
        let mut sections = Vec::new();
        for entry in entries.value {
            match entry.value.as_table() {
                Some(inner) => sections.push(Section::open(inner, table, entry.span, out)),
                None => return Err(self.wrong_kind(name, entry.value, entry.span, out)),
            }
        }
        Ok(sections)
    }

    /// What must be there.
    pub(super) fn need<T>(&self, name: &str, read: Read<T>, out: &mut Problems) -> Checked<At<T>> {
        match read? {
            Some(value) => Ok(value),
            None => {
                let message = format!("`{name}` is missing in {}", keys::header(self.name));
                Err(out.push(Problem::absent(self.at.clone(), message)))
            }
        }
    }

    /// What has a default, which stands where the table's header does.
    pub(super) fn or<T>(&self, read: Read<T>, default: T) -> Checked<At<T>> {
        let standing = At {
            value: default,
            span: self.at.clone(),
        };
        read.map(|read| read.unwrap_or(standing))
    }
}

/// Whether a table may have this key.
fn check_key(table: &str, key: &Spanned<DeString<'_>>, value: &DeValue<'_>, out: &mut Problems) {
    let name = key.get_ref();
    match keys::find(table, name) {
        Some(known) if known.absent == Absent::NotYet => {
            if !wording::asks_for_nothing(value) {
                out.push(wording::not_yet(known, key.span()));
            }
        }
        Some(_) => {}
        None => {
            out.push(wording::unknown_key(table, name, key.span()));
        }
    }
}

/// The name in [`keys::KEYS`] of a table inside a table.
fn path_of(table: &str, name: &str) -> &'static str {
    let inside = keys::join(table, name);
    let mut tables = keys::KEYS.iter().map(|key| key.table);
    tables.find(|table| *table == inside).unwrap_or("")
}
