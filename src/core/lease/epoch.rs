//! Which promotion is newer? Epochs, and the mark that keeps them across restarts.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Which node or witness of the cluster, 0 to 63: its place in the list of voters.
pub type NodeId = u8;

/// There are no more nodes and witnesses than this.
pub const NODES: u64 = 64;
/// So many rounds are stored ahead, so that normal requests wait for no disk.
const AHEAD: u64 = 64;

/// The number of a promotion, `round * 64 + node`: unique, and in one order for all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch of this number, as it is stored and sent.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The first epoch of `node` above this one; none at the end of all numbers.
    #[must_use]
    pub fn next(self, node: NodeId) -> Option<Epoch> {
        let own = |round: u64| round.checked_mul(NODES)?.checked_add(u64::from(node));
        let round = self.0 / NODES;
        let here = own(round).filter(|&number| number > self.0);
        here.or_else(|| own(round + 1)).map(Epoch)
    }

    const fn ahead(self, rounds: u64) -> Epoch {
        Epoch(self.0.saturating_add(rounds * NODES))
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0 / NODES, self.0 % NODES)
    }
}

/// The number, as scripts get it.
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a node knows of epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Epochs {
    /// Nothing below is granted or served: the highest that was granted, and at start the mark.
    pub(super) floor: Epoch,
    /// The highest that anybody spoke of.
    pub(super) seen: Epoch,
    /// All up to here is stored: a restart begins with this as its floor.
    mark: Epoch,
    /// Where the mark is moving.
    marking: Epoch,
}

impl Epochs {
    pub(super) const fn new(stored: Epoch) -> Self {
        Self {
            floor: stored,
            seen: stored,
            mark: stored,
            marking: stored,
        }
    }

    pub(super) fn see(&mut self, epoch: Epoch) {
        self.seen = self.seen.max(epoch);
    }

    /// The epoch of the next candidacy of `node`: above everything stored or seen.
    pub(super) fn next(&self, node: NodeId) -> Option<Epoch> {
        self.seen.max(self.floor).next(node)
    }

    pub(super) fn stored(&self, epoch: Epoch) -> bool {
        epoch <= self.mark
    }

    /// The mark to store for this epoch, if the half of what is stored ahead is used up and no
    /// such work is under way.
    pub(super) fn reserve(&mut self, epoch: Epoch) -> Option<Epoch> {
        if epoch.ahead(AHEAD / 2) <= self.marking {
            return None;
        }
        self.marking = epoch.ahead(AHEAD);
        Some(self.marking)
    }

    pub(super) fn persisted(&mut self, mark: Epoch) {
        self.mark = self.mark.max(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_epoch_is_the_nodes_own_and_greater() {
        let epoch = Epoch::from_number(5 * 64 + 3);
        assert_eq!(epoch.next(4), Some(Epoch::from_number(5 * 64 + 4)));
        assert_eq!(epoch.next(3), Some(Epoch::from_number(6 * 64 + 3)));
        assert_eq!(Epoch::from_number(u64::MAX).next(3), None);
    }

    #[test]
    fn the_mark_moves_when_half_of_it_is_used_up() {
        let mut epochs = Epochs::new(Epoch::default());
        let round = |round: u64| Epoch::from_number(round * 64);
        assert_eq!(epochs.reserve(round(0)), Some(round(64)));
        assert!(!epochs.stored(round(1)), "asked for, not yet done");
        epochs.persisted(round(64));
        assert!(epochs.stored(round(64)));
        assert_eq!(epochs.reserve(round(32)), None);
        assert_eq!(epochs.reserve(round(33)), Some(round(97)));
        assert_eq!(epochs.reserve(round(33)), None, "it is under way");
        assert!(!epochs.stored(round(65)));
    }
}
