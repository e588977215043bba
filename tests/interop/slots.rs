//! How many laboratories run at once? So many that two cores keep the rhythm of all of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

const SLOTS: usize = 4;

static FREE: Mutex<usize> = Mutex::new(SLOTS);
static FREED: Condvar = Condvar::new();

/// The right to run a laboratory, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(());

impl Slot {
    pub(crate) fn wait() -> Self {
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

/// Plays every row of a table at once, as far as there are slots; fails with the names of those
/// that failed, after all have ended.
pub(crate) fn play_all<T: Sync + std::fmt::Display>(rows: &[T], play: impl Fn(&T) + Sync) {
    let play = &play;
    let failed: Vec<String> = thread::scope(|scope| {
        let start = |row| {
            let slot_then_play = move || {
                let _slot = Slot::wait();
                catch_unwind(AssertUnwindSafe(|| play(row))).is_err()
            };
            let named = thread::Builder::new().name(row.to_string());
            (row, named.spawn_scoped(scope, slot_then_play).unwrap())
        };
        let running: Vec<_> = rows.iter().map(start).collect();
        let failed = running.into_iter().filter_map(|(row, thread)| {
            let failed = thread.join().unwrap_or(true);
            failed.then(|| row.to_string())
        });
        failed.collect()
    });
    assert!(failed.is_empty(), "failed: {failed:#?}");
}
