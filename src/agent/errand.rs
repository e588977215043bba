//! How is something done that may take for ever? By a thread of its own, for which nobody waits.

use std::sync::mpsc::{SyncSender, sync_channel};

use super::{AgentError, spawn};

/// Work that can be asked for again and again. What hangs in it ends with the process.
pub(crate) struct Errand(SyncSender<()>);

impl Errand {
    pub(crate) fn new(name: &str, work: impl Fn() + Send + 'static) -> Result<Self, AgentError> {
        let (queue, inbox) = sync_channel(1);
        spawn(name, move || {
            while inbox.recv().is_ok() {
                work();
            }
        })?;
        Ok(Self(queue))
    }

    /// Has it done from now on: what was asked for and has not begun yet counts for this too.
    pub(crate) fn ask(&self) {
        // Full: it has not begun. The thread lives as long as this.
        let _ = self.0.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn what_is_asked_for_during_the_work_is_done_once_more() {
        let (began, beginnings) = channel();
        let (go, gate) = channel();
        let errand = Errand::new("test", move || {
            began.send(()).unwrap();
            gate.recv().unwrap();
        });
        let errand = errand.unwrap();
        errand.ask();
        beginnings.recv().unwrap();
        for _ in 0..5 {
            errand.ask();
        }
        go.send(()).unwrap();
        beginnings.recv().unwrap();
        go.send(()).unwrap();
        drop(errand);
        assert!(beginnings.recv().is_err(), "once");
    }
}
