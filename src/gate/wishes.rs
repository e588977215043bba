//! What is asked of the shutters that a thread has to tell the kernel about?

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::slots::{ARMED, DEADLINE, DROPPED, WORDS};
use crate::core::Instant;
use crate::sys::clock;
use crate::sys::wake::Waker;

/// A table that was taken away is back sooner.
const TROUBLE: Duration = Duration::from_millis(200);

/// Words that are written by those who own a shutter, and read by the writer: only the latest
/// counts, so that nothing queues up.
#[derive(Debug)]
pub(super) struct Wishes {
    words: Box<[AtomicU64]>,
    slots: Box<[Slot]>,
    waker: Waker,
    has_ended: AtomicBool,
    told: Mutex<Told>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    /// Counts what was asked.
    asked: AtomicU64,
    /// Whether there is anything in the kernel to write to.
    exists: AtomicBool,
    /// Until when the kernel lets frames pass, by what was written last.
    stands: AtomicU64,
}

/// What the writer has done.
#[derive(Debug, Default)]
struct Told {
    /// By slot: how much of what was asked has been written.
    written: Vec<u64>,
    /// Transactions that have gone through.
    transactions: u32,
    /// Since when the kernel has been at it.
    busy_since: Option<Instant>,
    /// Since when nothing more is, and why.
    trouble: Option<(Instant, io::Error)>,
}

/// What a slot is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Everything passes.
    Disarmed,
    /// Frames pass until then.
    Until(Instant),
}

impl Wish {
    fn until(self) -> Instant {
        match self {
            Wish::Disarmed => Instant::NEVER,
            Wish::Until(until) => until,
        }
    }
}

impl Wishes {
    pub(super) fn new(slots: usize, waker: Waker) -> Self {
        Self {
            words: (0..slots * WORDS).map(|_| AtomicU64::new(0)).collect(),
            slots: (0..slots).map(|_| Slot::default()).collect(),
            waker,
            has_ended: AtomicBool::new(false),
            told: Mutex::new(Told {
                written: vec![0; slots],
                transactions: 0,
                busy_since: None,
                trouble: None,
            }),
            changed: Condvar::new(),
        }
    }

    pub(super) fn word(&self, place: usize) -> Option<&AtomicU64> {
        self.words.get(place)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Something else is asked of a slot.
    pub(super) fn note(&self, slot: usize) {
        if let Some(slot) = self.slots.get(slot) {
            slot.asked.fetch_add(1, Ordering::AcqRel);
            self.waker.wake();
        }
    }

    /// From now on the slot is there, shut: what was asked of it before is to be written.
    pub(super) fn exists(&self, slot: usize) {
        if let Some(there) = self.slots.get(slot) {
            there.exists.store(true, Ordering::Release);
            self.note(slot);
        }
    }

    /// What to write for a slot that has more asked of it than `written`, and how much is asked by
    /// that.
    pub(super) fn due(&self, slot: usize, written: u64) -> Option<(u64, Wish)> {
        let there = self.slots.get(slot)?;
        // Before the words: what changes after this is asked anew.
        let asked = there.asked.load(Ordering::Acquire);
        if asked == written || !there.exists.load(Ordering::Acquire) {
            return None;
        }
        Some((asked, self.wish(slot)))
    }

    fn wish(&self, slot: usize) -> Wish {
        let word = |word: usize| self.word(slot * WORDS + word);
        let read = |place: usize| word(place).map_or(0, |word| word.load(Ordering::Acquire));
        match read(ARMED) {
            0 => Wish::Disarmed,
            _ => Wish::Until(Instant::from_nanos(read(DEADLINE))),
        }
    }

    /// For whoever looks at how much was dropped.
    pub(super) fn has_dropped(&self, slot: usize, frames: u64) {
        if let Some(word) = self.word(slot * WORDS + DROPPED) {
            word.store(frames, Ordering::Release);
        }
    }

    pub(super) fn dropped(&self, slot: usize) -> u64 {
        let word = self.word(slot * WORDS + DROPPED);
        word.map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Until when the kernel lets frames of a slot pass, if nothing more is written.
    pub(super) fn stands_until(&self, slot: usize) -> Instant {
        let stands = self.slots.get(slot).map(|slot| &slot.stands);
        let nanos = stands.map_or(0, |stands| stands.load(Ordering::Acquire));
        Instant::from_nanos(nanos)
    }

    /// The kernel is being told, which may take long.
    pub(super) fn is_writing(&self, now: Instant) {
        self.told().busy_since = Some(now);
    }

    /// The kernel has it.
    pub(super) fn has_written(&self, done: impl Iterator<Item = (usize, u64, Wish)>) {
        let mut told = self.told();
        for (slot, asked, wish) in done {
            if let Some(written) = told.written.get_mut(slot) {
                *written = asked;
            }
            if let Some(there) = self.slots.get(slot) {
                there
                    .stands
                    .store(wish.until().as_nanos(), Ordering::Release);
            }
        }
        told.transactions = told.transactions.wrapping_add(1);
        told.busy_since = None;
        told.trouble = None;
        self.changed.notify_all();
    }

    /// How many transactions have gone through, at least.
    pub(super) fn transactions(&self) -> u32 {
        self.told().transactions
    }

    /// The same where it is exact: none is under way.
    pub(super) fn transactions_at_rest(&self) -> Option<u32> {
        let told = self.told();
        told.busy_since.is_none().then_some(told.transactions)
    }

    /// The kernel does not take it.
    pub(super) fn has_failed(&self, error: io::Error, now: Instant) {
        let mut told = self.told();
        let since = told.trouble.as_ref().map_or(now, |(since, _)| *since);
        told.busy_since = None;
        told.trouble = Some((since, error));
        self.changed.notify_all();
    }

    /// Why the kernel has taken nothing for a while.
    pub(super) fn trouble(&self, now: Instant) -> Option<io::Error> {
        let told = self.told();
        let (since, error) = told.trouble.as_ref()?;
        (now.since(*since) >= TROUBLE).then(|| copy(error))
    }

    /// Waits until what has been asked of a slot is written; the time for which the kernel has been
    /// at one transaction already counts, so that of many who wait only the first one does.
    pub(super) fn settle(&self, slot: usize, within: Duration) -> io::Result<()> {
        let Some(there) = self.slots.get(slot) else {
            return Ok(());
        };
        let asked = there.asked.load(Ordering::Acquire);
        if !there.exists.load(Ordering::Acquire) {
            return Ok(());
        }
        // A kernel that refuses may take it again: a table that was taken away is put back.
        let behind = |told: &mut Told| told.written[slot] < asked;
        let told = self.told();
        let busy = told.busy_since.map(|since| clock::now().since(since));
        let within = within.saturating_sub(busy.unwrap_or_default());
        let waited = self.changed.wait_timeout_while(told, within, behind);
        let (told, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &told.trouble {
            _ if told.written[slot] >= asked => Ok(()),
            Some((_, error)) => Err(copy(error)),
            None => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn copy(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::wake;

    fn wishes() -> Wishes {
        Wishes::new(2, wake::pair().unwrap().0)
    }

    const NOW: Instant = Instant::from_nanos(1_000_000_000);

    #[test]
    fn a_slot_is_due_once_it_is_there_and_until_the_latest_is_written() {
        let wishes = wishes();
        wishes.note(1);
        assert_eq!(wishes.due(1, 0), None);
        wishes.exists(1);
        let (asked, wish) = wishes.due(1, 0).unwrap();
        assert_eq!(wish, Wish::Disarmed);
        wishes.note(1);
        wishes.has_written([(1, asked, wish)].into_iter());
        let waited = wishes.settle(1, Duration::ZERO).unwrap_err();
        assert_eq!(waited.kind(), io::ErrorKind::TimedOut);
        let (asked, wish) = wishes.due(1, asked).unwrap();
        wishes.has_written([(1, asked, wish)].into_iter());
        wishes.settle(1, Duration::ZERO).unwrap();
        assert_eq!(wishes.due(1, asked), None);
    }

    #[test]
    fn a_kernel_that_refuses_is_trouble_after_a_while() {
        let wishes = wishes();
        wishes.exists(0);
        for _ in 0..2 {
            wishes.has_failed(io::ErrorKind::OutOfMemory.into(), NOW);
        }
        let refused = wishes.settle(0, Duration::ZERO).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::OutOfMemory);
        assert!(wishes.trouble(NOW).is_none());
        assert!(wishes.trouble(NOW + TROUBLE).is_some());
        wishes.has_written(std::iter::empty());
        assert!(wishes.trouble(NOW + TROUBLE).is_none());
    }

    #[test]
    fn a_kernel_that_has_been_busy_for_long_keeps_the_next_one_no_longer() {
        let wishes = wishes();
        wishes.exists(0);
        // This machine may have started a minute ago.
        let long = Duration::from_secs(10);
        wishes.is_writing(clock::now() - long);
        let refused = wishes.settle(0, long).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn what_was_written_stands_until_its_time_whatever_is_asked() {
        let wishes = wishes();
        wishes.exists(0);
        wishes.is_writing(NOW);
        wishes.has_written([(0, 1, Wish::Until(NOW))].into_iter());
        wishes.note(0);
        assert_eq!(wishes.stands_until(0), NOW);
        wishes.has_written([(0, 2, Wish::Disarmed)].into_iter());
        assert_eq!(wishes.stands_until(0), Instant::NEVER);
        assert_eq!(wishes.stands_until(7), Instant::default());
    }

    #[test]
    fn a_slot_that_is_not_there_holds_nobody_up() {
        let wishes = wishes();
        wishes.note(0);
        wishes.settle(0, Duration::ZERO).unwrap();
        wishes.settle(7, Duration::ZERO).unwrap();
    }
}
