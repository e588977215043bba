//! Has somebody asked the demo to end?

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use super::Trouble;

/// Catches the signals that end the demo, as long as it lives.
#[derive(Debug)]
pub(super) struct Interrupt {
    asked: Arc<AtomicBool>,
    hooks: Vec<SigId>,
}

impl Interrupt {
    pub(super) fn new() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let hook = |signal| flag::register(signal, Arc::clone(&asked));
        let hooks = [SIGINT, SIGTERM, SIGHUP]
            .into_iter()
            .map(hook)
            .collect::<Result<_, _>>()?;
        Ok(Self { asked, hooks })
    }

    /// An error once somebody asked.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        match self.asked.load(Ordering::Relaxed) {
            true => Err(Trouble::Interrupted),
            false => Ok(()),
        }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        for hook in self.hooks.drain(..) {
            low_level::unregister(hook);
        }
    }
}
