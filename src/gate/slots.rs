//! Until when is a group's part of the gate open? What the heartbeat thread says, in stores only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::wishes::Wishes;
use crate::core::Instant;
use crate::sys::bpf::Shared;

// The words of a slot.
pub(super) const ARMED: usize = 0;
pub(super) const DEADLINE: usize = 1;
pub(super) const EPOCH: usize = 2;
pub(super) const DROPPED: usize = 3;
pub(super) const WORDS: usize = 4;

/// The shutter of one group: open until an instant of the boot clock, whatever happens to the
/// agent. Nothing here waits for anything; when it holds: [`super::Gate::settle`].
#[derive(Clone, Debug)]
pub struct Shutter {
    pub(super) words: Words,
    pub(super) slot: usize,
}

/// Where the words of the slots are.
#[derive(Clone, Debug)]
pub(super) enum Words {
    /// Before the eyes of the kernel, for each frame.
    Kernel(Arc<Shared>),
    /// Where a thread reads them and tells the kernel.
    Writer(Arc<Wishes>),
}

impl Shutter {
    /// From now on frames for and from the group's addresses pass only while it is open.
    pub fn arm(&self) {
        self.set(ARMED, 1);
    }

    /// Everything passes again: none of the addresses is on this host.
    pub fn disarm(&self) {
        self.set(ARMED, 0);
    }

    /// Open until then. A store that comes late, after a pause, opens nothing: the instant is
    /// absolute (law 3).
    pub fn open_until(&self, until: Instant) {
        self.set(DEADLINE, until.as_nanos());
    }

    /// Closed with the next packet.
    pub fn close(&self) {
        self.set(DEADLINE, 0);
    }

    /// The epoch under which the addresses are held, for whoever looks at the map.
    pub fn note_epoch(&self, epoch: u64) {
        self.set(EPOCH, epoch);
    }

    /// Whether what is asked of it holds with the next packet.
    #[must_use]
    pub fn shuts_at_once(&self) -> bool {
        matches!(self.words, Words::Kernel(_))
    }

    /// Whether it is armed.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.get(ARMED) != 0
    }

    /// Until when it is open; in the past: it is closed.
    #[must_use]
    pub fn until(&self) -> Instant {
        Instant::from_nanos(self.get(DEADLINE))
    }

    /// Until when the kernel lets frames pass, if it is told nothing more: for a kernel that has to be
    /// told ([`super::Writer`]), which may come too late. Where it looks by itself, that is no limit.
    #[must_use]
    pub fn stands_until(&self) -> Instant {
        match &self.words {
            Words::Kernel(_) => Instant::NEVER,
            Words::Writer(wishes) => wishes.stands_until(self.slot),
        }
    }

    /// Frames that were dropped since the start of the agent.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.get(DROPPED)
    }

    fn set(&self, word: usize, value: u64) {
        let Some(place) = self.word(word) else {
            return;
        };
        match &self.words {
            Words::Kernel(_) => place.store(value, Ordering::Release),
            Words::Writer(wishes) => {
                if place.swap(value, Ordering::AcqRel) != value {
                    wishes.note(self.slot);
                }
            }
        }
    }

    fn get(&self, word: usize) -> u64 {
        self.word(word)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn word(&self, word: usize) -> Option<&AtomicU64> {
        let place = self.slot * WORDS + word;
        match &self.words {
            Words::Kernel(shared) => shared.word(place),
            Words::Writer(wishes) => wishes.word(place),
        }
    }
}

#[cfg(test)]
impl Shutter {
    /// One that no kernel is told about but by what is returned with it, which tells it everything.
    pub(crate) fn untold() -> (Self, impl Fn()) {
        let (waker, _) = crate::sys::wake::pair().unwrap();
        let wishes = Arc::new(Wishes::new(1, waker));
        wishes.exists(0);
        let words = Words::Writer(Arc::clone(&wishes));
        let tell = move || {
            let due = wishes.due(0, 0);
            wishes.has_written(due.map(|(asked, wish)| (0, asked, wish)).into_iter());
        };
        (Shutter { words, slot: 0 }, tell)
    }
}
