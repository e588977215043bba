//! Can the file be used? From a path or a text to a configuration, or to what is wrong.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::file::{self, Source};
use super::key::{UnusableKey, load_key};
use super::problem::{Problems, Reported};
use super::syntax;
use super::types::Config;
use crate::wire::native::Key;

/// The largest file that is read: 10 000 addresses take a quarter of a megabyte.
const LARGEST: u64 = 4 << 20;

/// What is read where the file names a key.
pub type KeyReader<'r> = dyn Fn(&Path) -> Result<Key, UnusableKey> + 'r;

/// A configuration that can be used, and what its author should look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Checked.
    pub config: Config,
    /// Only warnings.
    pub warnings: Problems,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The file cannot be read at all.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The file was read, and at least one problem is an error.
    #[error("{} in {}", .0.summary(), .0.file())]
    Invalid(Problems),
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the configuration {}: {source}: {}", .path.display(), advice(.source))]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// What happened.
    pub source: io::Error,
}

impl Unreadable {
    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        advice(&self.source)
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "create it (conf/minimal.toml is a start), or name one with -c",
        io::ErrorKind::PermissionDenied => "run as root, or make the file readable",
        io::ErrorKind::InvalidData => "save it as UTF-8",
        io::ErrorKind::FileTooLarge => "list addresses as ranges in `unadvertised`",
        _ => "name a file with -c",
    }
}

/// Reads and checks a file, and the keys that native groups need. `hostname` names this node where
/// the file does not.
///
/// # Errors
/// The file is unreadable, or has at least one error; then every problem of it is there.
pub fn load(path: &Path, hostname: &str) -> Result<Loaded, Failure> {
    load_with(path, hostname, Some(&load_key))
}

/// The same for those who look for a running agent, or for what a dead one left: no key is read, or
/// missed, and [`Config::native`] is `None`.
///
/// # Errors
/// As [`load`], but for what is wrong with keys.
pub fn load_keyless(path: &Path, hostname: &str) -> Result<Loaded, Failure> {
    load_with(path, hostname, None)
}

fn load_with(path: &Path, hostname: &str, keys: Option<&KeyReader<'_>>) -> Result<Loaded, Failure> {
    let text = read(path).map_err(|source| Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let name = path.display().to_string();
    understand(&name, &text, hostname, keys).map_err(Failure::Invalid)
}

fn read(path: &Path) -> io::Result<String> {
    // Asked before opening: a pipe without a writer would never let us go.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        let message = format!("it is larger than {} MiB", LARGEST >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        let message = format!("line {line} is not UTF-8 text");
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

/// Checks a text. `name` is what problems call the file; `hostname` names this node where the text
/// does not.
///
/// # Errors
/// The text has at least one error; then every problem of it is there, warnings too.
pub fn parse(name: &str, text: &str, hostname: &str) -> Result<Loaded, Problems> {
    parse_with(name, text, hostname, &load_key)
}

/// The same with other keys than those that the text names.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(
    name: &str,
    text: &str,
    hostname: &str,
    keys: &KeyReader<'_>,
) -> Result<Loaded, Problems> {
    understand(name, text, hostname, Some(keys))
}

fn understand(
    name: &str,
    text: &str,
    hostname: &str,
    keys: Option<&KeyReader<'_>>,
) -> Result<Loaded, Problems> {
    let (root, syntax_errors) = DeTable::parse_recoverable(text);
    let mut found = Problems::new(name, text);
    let source = Source {
        hostname,
        keys,
        gaps: false,
    };
    if syntax_errors.is_empty() {
        let config = file::read(root.get_ref(), &source, &mut found);
        let problems = found.sorted();
        return match config {
            Ok(config) => Ok(Loaded {
                config,
                warnings: problems,
            }),
            Err(Reported) => Err(problems),
        };
    }
    let mut problems = Problems::new(name, text);
    if let Some(readable) = syntax::blank_errors(text, syntax_errors, &mut problems) {
        let (root, _) = DeTable::parse_recoverable(&readable);
        // Not a configuration even without a further error: something of it is blank.
        let source = Source {
            gaps: true,
            ..source
        };
        let _ = file::read(root.get_ref(), &source, &mut found);
        problems.add_but_absences(found);
    }
    Err(problems.sorted())
}
