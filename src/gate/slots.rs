//! Until when is a group's part of the gate open? What the heartbeat thread says, in stores only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    Kernel(Arc<Plain>),
    /// Where a thread reads them and tells the kernel.
    Writer(Arc<Wishes>),
}

/// Slots in memory that the kernel shares, with this agent and with whoever else opens the map.
#[derive(Debug)]
pub(super) struct Plain {
    shared: Shared,
    /// By slot: what we have armed. It is armed in the kernel before it is here, and disarmed there
    /// after it is here.
    armed: Box<[AtomicBool]>,
}

impl Plain {
    pub(super) fn new(shared: Shared, slots: usize) -> Self {
        Self {
            shared,
            armed: (0..slots).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.armed.len()
    }

    /// Whether all that we have armed is. A deadline that somebody else moves is of no interest: each
    /// renewal writes it anew.
    pub(super) fn is_armed_as_told(&self) -> bool {
        // We may have disarmed it just now, and armed it again: not twice.
        !(0..self.len()).any(|slot| self.lacks(slot) && self.lacks(slot))
    }

    fn lacks(&self, slot: usize) -> bool {
        self.is_armed(slot) && self.get(slot, ARMED) == 0 && self.is_armed(slot)
    }

    /// What we have armed is armed in the kernel again.
    pub(super) fn arm_as_told(&self) {
        for slot in (0..self.len()).filter(|slot| self.is_armed(*slot)) {
            self.set(slot, ARMED, 1);
            if !self.is_armed(slot) {
                self.set(slot, ARMED, 0);
            }
        }
    }

    fn arm(&self, slot: usize) {
        self.set(slot, ARMED, 1);
        self.note_armed(slot, true);
    }

    fn disarm(&self, slot: usize) {
        self.note_armed(slot, false);
        self.set(slot, ARMED, 0);
    }

    fn is_armed(&self, slot: usize) -> bool {
        let armed = self.armed.get(slot);
        armed.is_some_and(|armed| armed.load(Ordering::SeqCst))
    }

    fn note_armed(&self, slot: usize, is_armed: bool) {
        if let Some(armed) = self.armed.get(slot) {
            armed.store(is_armed, Ordering::SeqCst);
        }
    }

    fn set(&self, slot: usize, word: usize, value: u64) {
        if let Some(place) = self.shared.word(slot * WORDS + word) {
            place.store(value, Ordering::SeqCst);
        }
    }

    fn get(&self, slot: usize, word: usize) -> u64 {
        let place = self.shared.word(slot * WORDS + word);
        place.map_or(0, |place| place.load(Ordering::SeqCst))
    }
}

impl Shutter {
    /// From now on frames for and from the group's addresses pass only while it is open.
    pub fn arm(&self) {
        match &self.words {
            Words::Kernel(plain) => plain.arm(self.slot),
            Words::Writer(_) => self.set(ARMED, 1),
        }
    }

    /// Everything passes again: none of the addresses is on this host.
    pub fn disarm(&self) {
        match &self.words {
            Words::Kernel(plain) => plain.disarm(self.slot),
            Words::Writer(_) => self.set(ARMED, 0),
        }
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

    /// Whether it was armed, and not disarmed since.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        match &self.words {
            Words::Kernel(plain) => plain.is_armed(self.slot),
            Words::Writer(_) => self.get(ARMED) != 0,
        }
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
        match &self.words {
            Words::Kernel(plain) => plain.set(self.slot, word, value),
            Words::Writer(wishes) => {
                let place = wishes.word(self.slot * WORDS + word);
                if place.is_some_and(|place| place.swap(value, Ordering::AcqRel) != value) {
                    wishes.note(self.slot);
                }
            }
        }
    }

    fn get(&self, word: usize) -> u64 {
        match &self.words {
            Words::Kernel(plain) => plain.get(self.slot, word),
            Words::Writer(wishes) => {
                let place = wishes.word(self.slot * WORDS + word);
                place.map_or(0, |place| place.load(Ordering::Acquire))
            }
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
