//! What left the configuration and is not off this host yet? Nobody else remembers it, so it is
//! tried until it is off, or until somebody is to have it on again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::core::{AddressFault, Instant, Outcome};
use crate::net::addresses::Placed;

use super::message::Key;

/// The pause after the first failure; it doubles with every further one ...
const PAUSE: Duration = Duration::from_millis(200);
/// ... up to this.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Complaints are this far apart, however many withdrawals fail.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// Names one withdrawal.
pub(crate) type Id = u64;

/// All withdrawals that are not over.
#[derive(Default)]
pub(crate) struct Withdrawals {
    open: Vec<Withdrawal>,
    last_id: Id,
    complained_at: Option<Instant>,
}

struct Withdrawal {
    id: Id,
    key: Key,
    placed: Arc<[Placed]>,
    failed: u32,
    /// None while it is being worked on.
    again_at: Option<Instant>,
}

/// One attempt that is due.
pub(crate) struct Due {
    pub(crate) id: Id,
    pub(crate) key: Key,
    pub(crate) placed: Arc<[Placed]>,
}

/// What an operator should hear of an attempt.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    WillNot(AddressFault),
    OffAtLast,
}

impl Withdrawals {
    pub(crate) fn add(&mut self, key: Key, placed: Arc<[Placed]>, now: Instant) {
        self.last_id += 1;
        self.open.push(Withdrawal {
            id: self.last_id,
            key,
            placed,
            failed: 0,
            again_at: Some(now),
        });
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.open.iter().filter_map(|one| one.again_at).min()
    }

    /// An attempt to begin now; its end is [`Withdrawals::done`].
    pub(crate) fn due(&mut self, now: Instant) -> Option<Due> {
        let is_due = |one: &&mut Withdrawal| one.again_at.is_some_and(|at| at <= now);
        let one = self.open.iter_mut().find(is_due)?;
        one.again_at = None;
        let (id, key, placed) = (one.id, one.key, Arc::clone(&one.placed));
        Some(Due { id, key, placed })
    }

    /// The group and the addresses of a withdrawal.
    pub(crate) fn placed(&self, id: Id) -> Option<(Key, Arc<[Placed]>)> {
        let one = self.open.iter().find(|one| one.id == id)?;
        Some((one.key, Arc::clone(&one.placed)))
    }

    pub(crate) fn done(&mut self, id: Id, outcome: Outcome, now: Instant) -> Option<Said> {
        let place = self.open.iter().position(|one| one.id == id)?;
        let Err(fault) = outcome else {
            let one = self.open.swap_remove(place);
            return (one.failed > 0).then_some(Said::OffAtLast);
        };
        let one = &mut self.open[place];
        let pause = PAUSE.saturating_mul(1 << one.failed.min(16)).min(PAUSE_MAX);
        one.failed = one.failed.saturating_add(1);
        one.again_at = Some(now + pause);
        let lately = |at: Instant| now.since(at) < COMPLAIN_EVERY;
        if self.complained_at.is_some_and(lately) {
            return None;
        }
        self.complained_at = Some(now);
        Some(Said::WillNot(fault))
    }

    /// These are to be on again, and nobody takes them off any more: returns the attempts that
    /// are void. What is left of them is due anew.
    pub(crate) fn forget(&mut self, wanted: &[Placed], now: Instant) -> Vec<Id> {
        if self.open.is_empty() {
            return Vec::new();
        }
        let wanted: HashSet<&Placed> = wanted.iter().collect();
        let mut void = Vec::new();
        for one in &mut self.open {
            let left = one.placed.iter().filter(|placed| !wanted.contains(placed));
            let left: Arc<[Placed]> = left.cloned().collect();
            if left.len() < one.placed.len() {
                one.placed = left;
                one.again_at = Some(now);
                void.push(one.id);
            }
        }
        self.open.retain(|one| !one.placed.is_empty());
        void
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::AddressFaultKind;

    const FAULT: AddressFault = AddressFault {
        address: None,
        kind: AddressFaultKind::Late,
    };

    fn placed(last: &[u8]) -> Arc<[Placed]> {
        let interface: Arc<str> = "eth0".into();
        let place = |&last| Placed {
            interface: Arc::clone(&interface),
            address: [192, 0, 2, last].into(),
        };
        last.iter().map(place).collect()
    }

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn what_fails_is_repeated_after_pauses_that_grow_up_to_a_bound() {
        let mut all = Withdrawals::default();
        all.add(1, placed(&[1]), at(0));
        let (mut now, mut pauses) = (at(0), Vec::new());
        for _ in 0..40 {
            let due = all.due(now).unwrap();
            assert!(all.due(now).is_none() && all.deadline().is_none());
            all.done(due.id, Err(FAULT), now);
            let next = all.deadline().unwrap();
            assert!(all.due(now).is_none());
            pauses.push(next.since(now));
            now = next;
        }
        assert_eq!(pauses[..3], [PAUSE, PAUSE * 2, PAUSE * 4]);
        assert!(pauses.is_sorted());
        assert_eq!(*pauses.last().unwrap(), PAUSE_MAX);
        let due = all.due(now).unwrap();
        assert_eq!(all.done(due.id, Ok(()), now), Some(Said::OffAtLast));
        assert_eq!(all.deadline(), None);
    }

    #[test]
    fn what_comes_off_at_once_is_nothing_to_talk_about() {
        let mut all = Withdrawals::default();
        all.add(1, placed(&[1]), at(0));
        let due = all.due(at(0)).unwrap();
        assert_eq!(all.done(due.id, Ok(()), at(0)), None);
        assert!(all.open.is_empty());
    }

    #[test]
    fn many_failures_are_one_complaint_in_ten_seconds() {
        let mut all = Withdrawals::default();
        for last in 0..20 {
            all.add(1, placed(&[last]), at(0));
        }
        let mut complaints = Vec::new();
        for step in 0..25_000 {
            let now = at(step);
            while let Some(due) = all.due(now) {
                if all.done(due.id, Err(FAULT), now).is_some() {
                    complaints.push(now);
                }
            }
        }
        assert!((2..=3).contains(&complaints.len()), "{complaints:?}");
        let apart = |pair: &[Instant]| pair[1].since(pair[0]) >= COMPLAIN_EVERY;
        assert!(complaints.windows(2).all(apart), "{complaints:?}");
    }

    #[test]
    fn what_is_wanted_again_is_not_taken_off_and_the_rest_is() {
        let mut all = Withdrawals::default();
        all.add(1, placed(&[1, 2]), at(0));
        let begun = all.due(at(0)).unwrap();
        assert!(all.forget(&placed(&[3]), at(0)).is_empty());
        assert_eq!(all.forget(&placed(&[2, 3]), at(0)), [begun.id]);
        let again = all.due(at(0)).unwrap();
        assert_eq!(again.placed, placed(&[1]));
        assert_eq!(all.forget(&placed(&[1]), at(0)), [again.id]);
        assert!(all.due(at(100_000)).is_none() && all.deadline().is_none());
        assert_eq!(all.done(again.id, Err(FAULT), at(0)), None);
    }
}
