//! Does the kernel let a group's frames pass? It does as it was told last, whether an agent runs or not.

use std::cell::Cell;
use std::rc::Rc;

use floatlock::core::{Instant, right};

/// A host keeps one, and its agent tells it what it allows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Rc<State>);

#[derive(Debug, Default)]
struct State {
    armed: Cell<bool>,
    /// Of the host's clock: from then on nothing passes.
    deadline: Cell<Instant>,
}

impl Gate {
    pub(crate) fn is_shut(&self, clock: Instant) -> bool {
        self.0.armed.get() && self.0.deadline.get() <= clock
    }
}

impl right::Gate for Gate {
    fn arm(&self) {
        self.0.armed.set(true);
    }

    fn disarm(&self) {
        self.0.armed.set(false);
    }

    fn open_until(&self, until: Instant) {
        self.0.deadline.set(until);
    }

    fn close(&self) {
        self.0.deadline.set(Instant::default());
    }
}
