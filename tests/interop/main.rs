//! Do floatlock and Debian's keepalived share a wire? Elections, failures and returns. Needs root
//! and the package keepalived.

// Helpers of tests are tests too, which the lints do not know.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod dialect;
mod line;
mod meeting;
mod pulse;
mod quarrel;
mod report;
mod slots;
mod stage;
mod story;
mod three;
mod words;

use std::time::Duration;

use floatlock::lab::agent::AgentKind;

use line::{LINES, V2, V4, V6};
use slots::play_all;
use stage::floatlock;
use story::Row;

/// More than the 20 that keepalived once took in an advert.
const MANY: usize = 40;
/// keepalived needs longer than three short intervals to put so many on and to announce them.
const EVERY_WITH_MANY: Duration = Duration::from_millis(500);

#[test]
fn addresses_move_between_floatlock_and_keepalived_on_every_line() {
    let one = |line| [floatlock(), AgentKind::Keepalived].map(|better| Row::new(line, better));
    let with_password = |row| Row {
        password: Some("s3cret"),
        ..row
    };
    let many = |row| Row {
        addresses: MANY,
        ..row
    };
    let mut rows: Vec<Row> = one(V2).map(with_password).to_vec();
    rows.extend(LINES.into_iter().flat_map(one));
    let slow = [V4, V6].map(|line| line.every(EVERY_WITH_MANY));
    rows.extend(slow.into_iter().flat_map(one).map(many));
    play_all(&rows, story::play);
}

#[test]
fn of_two_equal_masters_the_higher_address_stays() {
    let both = |line| {
        let row = move |higher| meeting::Row { line, higher };
        [floatlock(), AgentKind::Keepalived].map(row)
    };
    let rows: Vec<meeting::Row> = [V2, V4, V6].into_iter().flat_map(both).collect();
    play_all(&rows, meeting::play);
}

#[test]
fn what_they_are_not_told_alike_harms_as_little_as_it_can() {
    play_all(&quarrel::CASES, |case| (case.play)());
}

#[test]
fn every_form_of_the_checksum_is_understood() {
    play_all(&dialect::CASES, |case| (case.play)());
}

#[test]
fn among_two_floatlocks_and_a_keepalived_the_best_that_lives_holds() {
    let with_keepalived_at = |place: usize| {
        let mut agents = [floatlock(), floatlock(), floatlock()];
        agents[place] = AgentKind::Keepalived;
        agents
    };
    let row = |line| {
        move |place| three::Row {
            line,
            agents: with_keepalived_at(place),
        }
    };
    let v4 = [0, 1, 2].map(row(V4));
    let v6 = [0, 1, 2].map(row(V6));
    play_all(&v4.into_iter().chain(v6).collect::<Vec<_>>(), three::play);
}
