//! How many laboratories run at once? So many that two cores keep the rhythm of all of them.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use floatlock::lab::clock;

use crate::line::Line;
use crate::pulse;

const SLOTS: usize = 4;
/// A machine that never keeps the rhythm is no place for these tests.
const ATTEMPTS: usize = 3;

static FREE: Mutex<usize> = Mutex::new(SLOTS);
static FREED: Condvar = Condvar::new();

/// The right to run a laboratory, until it is dropped.
#[derive(Debug)]
struct Slot(());

impl Slot {
    fn wait() -> Self {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = FREED.wait_while(free, |free| *free == 0);
        *wait.unwrap_or_else(PoisonError::into_inner) -= 1;
        Self(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *FREE.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        FREED.notify_one();
    }
}

/// What can be played: a sentence, and how fast its routers speak.
pub(crate) trait Playable: fmt::Display + Sync {
    fn interval(&self) -> Duration;
}

/// A row that is not like the others.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) line: Line,
    pub(crate) play: fn(),
}

impl Playable for Case {
    fn interval(&self) -> Duration {
        self.line.interval
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Plays every row of a table at once, as far as there are slots; fails with the names of those
/// that failed, after all have ended.
pub(crate) fn play_all<'a, T: Playable>(rows: &'a [T], play: impl Fn(&T) + Sync) {
    pulse::start();
    let play = &play;
    let failed: Vec<String> = thread::scope(|scope| {
        let start = |row: &'a T| {
            let named = thread::Builder::new().name(row.to_string());
            let thread = named.spawn_scoped(scope, move || goes_well(row, play));
            (row, thread.unwrap())
        };
        let running: Vec<_> = rows.iter().map(start).collect();
        let failed = running.into_iter().filter_map(|(row, thread)| {
            let well = thread.join().unwrap_or(false);
            (!well).then(|| row.to_string())
        });
        failed.collect()
    });
    assert!(failed.is_empty(), "failed: {failed:#?}");
}

/// A row panics with it: the other program did on the wire what no row allows for, and the right
/// answer to that is not what the row tells.
pub(crate) struct Strayed(pub(crate) String);

/// Plays a row; again if the machine stood still for so long that adverts were missed, so that
/// not necessarily an agent was to blame, and again if the other program strayed.
fn goes_well<T: Playable>(row: &T, play: impl Fn(&T)) -> bool {
    let _slot = Slot::wait();
    for _ in 0..ATTEMPTS {
        let from = clock::now();
        let Err(cause) = catch_unwind(AssertUnwindSafe(|| play(row))) else {
            return true;
        };
        if let Some(Strayed(what)) = cause.downcast_ref() {
            println!("{row}: keepalived strayed: {what}");
            continue;
        }
        let stopped = pulse::longest_stop_since(from);
        if stopped < row.interval() {
            return false;
        }
        println!("{row}: failed while the machine stood still for {stopped:?}");
        pulse::wait_for_calm(row.interval());
    }
    false
}
