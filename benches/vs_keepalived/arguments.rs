//! What is to be measured, and how often?

use std::path::PathBuf;

use crate::case::{CASES, Case};

/// The command line.
pub(crate) struct Arguments {
    pub(crate) cases: Vec<&'static Case>,
    pub(crate) runs: Option<usize>,
    pub(crate) json: bool,
    pub(crate) floatlock: PathBuf,
}

impl Arguments {
    /// What to do, or what to print instead.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            cases: Vec::new(),
            runs: None,
            json: false,
            floatlock: PathBuf::from(env!("CARGO_BIN_EXE_floatlock")),
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                // `cargo bench` says so to every benchmark.
                "--bench" => {}
                "--json" => arguments.json = true,
                "--runs" => arguments.runs = Some(runs(words.next())?),
                "--floatlock" => arguments.floatlock = words.next().ok_or_else(usage)?.into(),
                name => arguments.cases.extend(cases(name)?),
            }
        }
        if arguments.cases.is_empty() {
            arguments.cases = CASES.iter().collect();
        }
        Ok(arguments)
    }
}

fn runs(word: Option<String>) -> Result<usize, String> {
    let number = word.and_then(|word| word.parse().ok());
    number.filter(|&runs| runs > 0).ok_or_else(usage)
}

/// A name stands for every case that begins with it.
fn cases(name: &str) -> Result<Vec<&'static Case>, String> {
    let named = CASES.iter().filter(|case| case.name.starts_with(name));
    let found: Vec<&Case> = named.collect();
    if found.is_empty() {
        return Err(usage());
    }
    Ok(found)
}

fn usage() -> String {
    let mut text = String::from(
        "cargo bench --bench vs_keepalived [-- [CASE...] [--runs N] [--json] [--floatlock FILE]]\n\n\
         Measures keepalived and floatlock in turn on the same namespaces. Needs root.\n\
         --runs N          pairs of runs of each case\n\
         --json            the figures of every run, as one JSON object\n\
         --floatlock FILE  this program instead of the one that cargo has just built\n\n\
         Cases (the begin of a name stands for all that begin so):\n",
    );
    for case in &CASES {
        text += &format!("  {:<18} {}\n", case.name, case.about);
    }
    text
}
