//! Which script of a group runs next? One at a time, and nothing for a target that is not the newest any more.

use std::collections::VecDeque;

/// Where a group is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// To hold the addresses.
    Up,
    /// Not to.
    Down,
}

/// What kind of step it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Something is prepared.
    Deed,
    /// Somebody is told what is; only the newest is worth telling.
    Notice,
}

#[derive(Clone, Debug)]
struct Item<T> {
    target: Target,
    kind: Kind,
    what: T,
}

/// What one group has to run.
#[derive(Clone, Debug)]
pub struct Queue<T> {
    running: Option<(Target, Kind)>,
    waiting: VecDeque<Item<T>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            running: None,
            waiting: VecDeque::new(),
        }
    }
}

impl<T> Queue<T> {
    /// At the end, in place of everything that has not begun and is worth nothing any more. Returns whether what
    /// runs acts for the other target, and is to be ended: only what acts for a holder that is none any more.
    pub fn push(&mut self, target: Target, kind: Kind, what: T) -> bool {
        self.waiting
            .retain(|item| item.target == target && item.kind != kind);
        self.waiting.push_back(Item { target, kind, what });
        target == Target::Down && self.runs(Target::Up)
    }

    /// What has not begun for another target is worth nothing any more, and there is nothing to do for this one.
    pub fn turn_to(&mut self, target: Target) {
        self.waiting.retain(|item| item.target == target);
    }

    /// What is to begin now; nothing while something runs.
    pub fn begin(&mut self) -> Option<T> {
        if self.running.is_some() {
            return None;
        }
        let item = self.waiting.pop_front()?;
        self.running = Some((item.target, item.kind));
        Some(item.what)
    }

    /// What ran has ended.
    pub fn done(&mut self) {
        self.running = None;
    }

    /// Whether something for this target runs.
    #[must_use]
    pub fn runs(&self, target: Target) -> bool {
        self.running.is_some_and(|(running, _)| running == target)
    }

    /// Whether what prepares for this target runs already.
    #[must_use]
    pub fn prepares(&self, target: Target) -> bool {
        self.running == Some((target, Kind::Deed))
    }

    /// Nothing runs, and nothing waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Kind::{Deed, Notice};
    use super::Target::{Down, Up};
    use super::*;

    #[test]
    fn one_after_the_other_in_the_order_of_what_happened() {
        let mut queue = Queue::default();
        assert!(!queue.push(Up, Deed, "promote"));
        assert_eq!(queue.begin(), Some("promote"));
        assert!(!queue.push(Up, Notice, "promoted"));
        assert_eq!(queue.begin(), None, "one at a time");
        queue.done();
        assert_eq!(queue.begin(), Some("promoted"));
        assert!(!queue.is_idle());
        queue.done();
        assert_eq!(queue.begin(), None);
        assert!(queue.is_idle());
    }

    #[test]
    fn what_has_not_begun_gives_way_to_a_newer_target() {
        let mut queue = Queue::default();
        queue.push(Down, Deed, "demote");
        queue.begin();
        queue.push(Down, Notice, "demoted");
        queue.push(Up, Deed, "promote");
        queue.push(Down, Deed, "demote again");
        queue.push(Down, Notice, "demoted again");
        queue.done();
        assert_eq!(queue.begin(), Some("demote again"));
        queue.done();
        assert_eq!(queue.begin(), Some("demoted again"));
        queue.done();
        assert!(queue.is_idle());
    }

    #[test]
    fn a_target_that_is_worked_for_already_ends_what_waits_for_the_other_one() {
        let mut queue = Queue::default();
        queue.push(Down, Deed, "demote");
        queue.begin();
        queue.push(Up, Deed, "promote");
        queue.turn_to(Down);
        queue.done();
        assert_eq!(queue.begin(), None);
        queue.push(Down, Notice, "demoted");
        queue.turn_to(Down);
        assert_eq!(queue.begin(), Some("demoted"));
    }

    #[test]
    fn of_several_notices_the_newest_is_told() {
        let mut queue = Queue::default();
        queue.push(Down, Deed, "demote");
        for notice in ["fault", "demoted", "fault", "demoted"] {
            queue.push(Down, Notice, notice);
        }
        assert_eq!(queue.begin(), Some("demote"));
        queue.done();
        assert_eq!(queue.begin(), Some("demoted"));
        queue.done();
        assert!(queue.is_idle());
    }

    #[test]
    fn only_what_acts_for_a_holder_is_ended_when_it_is_none_any_more() {
        let mut queue = Queue::default();
        queue.push(Up, Deed, "promote");
        queue.begin();
        assert!(queue.push(Down, Deed, "demote"));
        assert!(queue.push(Down, Notice, "demoted"), "it still runs");
        queue.done();
        assert_eq!(queue.begin(), Some("demote"));
        assert!(queue.prepares(Down));
        assert!(!queue.push(Up, Deed, "promote"), "put in order to the end");
        assert!(!queue.push(Down, Notice, "fault"));
    }
}
