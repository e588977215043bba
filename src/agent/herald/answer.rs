//! When is somebody told that we hear it, who does not know that yet?

use std::time::Duration;

/// What is owed to one whose frame proved nothing: it has just begun, perhaps, and remembers nothing of
/// what was said before. So it is told of every group, and in full.
#[derive(Debug, Default)]
pub(super) struct Answer {
    owed: bool,
}

impl Answer {
    /// A frame that proves nothing came in.
    pub(super) const fn owe(&mut self) {
        self.owed = true;
    }

    /// Whether it is given at once: not more often than four times in an interval, whoever asks.
    pub(super) fn is_due(&self, silent_for: Duration, interval: Duration) -> bool {
        self.owed && silent_for >= interval / 4
    }

    /// Whether what is said now is to be written out.
    pub(super) const fn is_owed(&self) -> bool {
        self.owed
    }

    /// Every group was spoken of. Until then it stays owed: the next heartbeat gives it.
    pub(super) const fn is_given(&mut self) {
        self.owed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(200);

    #[test]
    fn what_could_not_be_answered_at_once_is_answered_by_the_next_heartbeat() {
        let mut answer = Answer::default();
        answer.owe();
        assert!(!answer.is_due(Duration::from_millis(49), INTERVAL));
        assert!(answer.is_owed(), "the next beat writes everything out");
        answer.is_given();
        assert!(!answer.is_owed());
        assert!(!answer.is_due(INTERVAL, INTERVAL));
    }

    #[test]
    fn an_answer_goes_at_once_where_nothing_was_said_lately() {
        let mut answer = Answer::default();
        assert!(!answer.is_due(INTERVAL, INTERVAL));
        answer.owe();
        assert!(answer.is_due(Duration::from_millis(50), INTERVAL));
    }
}
