//! Do floatlock and Debian's keepalived share a wire? Elections, failures and returns. Needs root
//! and the package keepalived.

// Helpers of tests are tests too, which the lints do not know.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod line;
mod meeting;
mod slots;
mod stage;
mod story;
mod words;

use floatlock::lab::agent::AgentKind;

use line::{LINES, V2, V4, V6};
use slots::play_all;
use stage::floatlock;
use story::Row;

#[test]
fn addresses_move_between_floatlock_and_keepalived_on_every_line() {
    let both = |line| [floatlock(), AgentKind::Keepalived].map(|better| Row::new(line, better));
    let rows: Vec<Row> = LINES.into_iter().flat_map(both).collect();
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
