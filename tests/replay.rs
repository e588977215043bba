//! Does the core of today decide as it did when these recordings were made?
//!
//! `tests/replay/*.jsonl` are kept; `cargo test --test netns recordings` records a pair of agents anew
//! and replays it. Where a decision changes on purpose, record again: `floatlock run --record FILE`.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

use std::fs;
use std::path::{Path, PathBuf};

use floatlock::core::record::{Line, Replay, What};
use serde_json::Value;

fn kept() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay");
    let entries = fs::read_dir(folder).unwrap();
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn read(path: &Path) -> Vec<Line<Value>> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().enumerate();
    lines
        .map(|(at, line)| {
            serde_json::from_str(line)
                .unwrap_or_else(|e| panic!("{}:{}: {e}", path.display(), at + 1))
        })
        .collect()
}

/// How many lines were compared; the first difference, if there is one.
fn play(lines: &[Line<Value>]) -> Result<usize, String> {
    let (mut replay, mut compared) = (Replay::default(), 0);
    for (at, line) in lines.iter().enumerate() {
        let Some(said) = replay.play(line.group, line.at, line.what) else {
            continue;
        };
        let said: Vec<Value> = said
            .iter()
            .map(|e| serde_json::to_value(e).unwrap())
            .collect();
        if said != line.effects {
            return Err(format!(
                "line {}: {:?}\nthen: {:?}\nnow:  {said:?}",
                at + 1,
                line.what,
                line.effects
            ));
        }
        compared += 1;
    }
    Ok(compared)
}

#[test]
fn every_recording_is_decided_as_it_was() {
    let all = kept();
    assert!(all.len() >= 4, "{all:?}");
    for path in all {
        let lines = read(&path);
        match play(&lines) {
            Ok(compared) => assert_eq!(compared, lines.len(), "{}", path.display()),
            Err(difference) => panic!("{}: {difference}", path.display()),
        }
    }
}

/// Of a test that cannot fail nothing would be learnt.
#[test]
fn whatever_is_changed_in_a_recording_is_found() {
    for path in kept() {
        let lines = read(&path);
        let told = |line: &&(usize, &Line<Value>)| !line.1.effects.is_empty();
        let all: Vec<_> = lines.iter().enumerate().collect();
        let (at, _) = *all.iter().rev().find(told).unwrap();
        let mut fewer = lines.clone();
        fewer[at].effects.pop();
        assert!(play(&fewer).is_err(), "an effect less");
        let begun = |line: &Line<Value>| matches!(line.what, What::Begin { .. });
        let mut other = lines.clone();
        for line in &mut other {
            if let What::Begin { settings, .. } = &mut line.what {
                settings.interval *= 3;
                if let Some(voting) = &mut settings.native {
                    voting.lease.interval *= 3;
                    voting.lease.lease *= 3;
                }
            }
        }
        assert!(lines.iter().any(begun));
        assert!(play(&other).is_err(), "{}: other settings", path.display());
    }
}

#[test]
fn behind_a_gap_nothing_is_known_until_a_group_begins_anew() {
    let mut lines = read(&kept()[0]);
    let whole = play(&lines).unwrap();
    let half = lines.len() / 2;
    lines[half].what = What::Lost(1);
    assert_eq!(play(&lines).unwrap(), half, "of {whole}");
}
