//! What does a MASTER do that has lost its lease? It falls silent, step by step, and says how long that took.
//!
//! 1. The gate is shut, at once. 2. The addresses come off, and that is verified. 3. What an operator's actions run
//!    for a MASTER is killed, by [`super::scripts`]. 4. With `on-lease-lost = "reboot"` the host reboots, and the
//!    watchdog resets it should that hang. 5. Addresses that will not come off within [`OFF_WITHIN`]: an alarm, and
//!    the watchdog is not petted any more.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use nix::sys::reboot::{RebootMode, reboot};
use rustix::thread::{CapabilitySet, capabilities};

use crate::core::watchdog::OFF_WITHIN;
use crate::core::words::Length;
use crate::core::{Instant, Report, RoleName};
use crate::sys::clock;

use super::AgentError;
use super::errand::Errand;
use super::message::{Entry, Level, Outbox};
use super::threads::spawn;
use super::watchdog::Leash;

/// What was written before the reboot should be on the disk, if that does not take too long.
const SYNC_WITHIN: Duration = Duration::from_secs(1);
/// The log gets this long.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A fall that is under way.
#[derive(Debug)]
pub(crate) struct Fall {
    began: Instant,
    is_late: bool,
}

impl Fall {
    /// If this is one: a MASTER whose right to answer has ended, unlike one that hands over.
    pub(crate) fn of(report: &Report, now: Instant) -> Option<Self> {
        let Report::Role { from, to, cause } = report else {
            return None;
        };
        let falls = *from == RoleName::Master && *to != RoleName::Master && cause.is_loss();
        falls.then_some(Self {
            began: now,
            is_late: false,
        })
    }

    /// When to say that it takes too long.
    pub(crate) fn deadline(&self) -> Instant {
        match self.is_late {
            true => Instant::NEVER,
            false => self.began + OFF_WITHIN,
        }
    }

    /// It takes too long.
    pub(crate) fn late(&mut self, name: &str) -> Entry {
        self.is_late = true;
        let text = format!(
            "{name}: addresses are still on this host {} after its lease was lost, behind a shut gate; a \
             watchdog is not petted any more",
            Length(OFF_WITHIN)
        );
        Entry::Note(Level::Error, text)
    }

    /// It is over.
    pub(crate) fn done(&self, name: &str, now: Instant) -> Entry {
        let text = format!(
            "{name}: the lease was lost: the gate shut at once, and the addresses were off, verified, after {}",
            Precise(now.since(self.began))
        );
        Entry::Note(Level::Warning, text)
    }
}

/// Milliseconds with one place.
struct Precise(Duration);

impl std::fmt::Display for Precise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ms", self.0.as_secs_f64() * 1000.0)
    }
}

/// What reboots this host when it is asked.
pub(crate) struct Rebooter {
    errand: Errand,
    leash: Option<Arc<Leash>>,
}

impl Rebooter {
    /// Does it by a thread of its own.
    pub(super) fn start(
        leash: Option<Arc<Leash>>,
        journal: &Outbox<Entry>,
    ) -> Result<Self, AgentError> {
        let capabilities = capabilities(None).map(|sets| sets.effective);
        if !capabilities.is_ok_and(|all| all.contains(CapabilitySet::SYS_BOOT)) {
            let text = "on-lease-lost: this agent may not reboot the host: it needs CAP_SYS_BOOT";
            journal.offer(Entry::Note(Level::Error, text.to_owned()));
        }
        let (journal, recalled) = (journal.clone(), leash.clone());
        let errand = Errand::new("reboot", move || {
            let note = |text: &str| {
                let text = format!("on-lease-lost: {text}");
                journal.offer(Entry::Note(Level::Error, text));
            };
            note("rebooting this host");
            sync_disks();
            clock::sleep(LAST_WORDS);
            let Err(error) = reboot(RebootMode::RB_AUTOBOOT);
            note(&format!(
                "this host cannot be rebooted: {error}; it goes on as without a reboot"
            ));
            if let Some(leash) = &recalled {
                leash.recall();
            }
        })?;
        Ok(Self { errand, leash })
    }

    /// From here on this host is reset, whatever hangs: the watchdog is not petted any more.
    pub(crate) fn ask(&self) {
        if let Some(leash) = &self.leash {
            leash.forsake();
        }
        self.errand.ask();
    }
}

/// A disk that hangs keeps nobody from it.
fn sync_disks() {
    let (done, synced) = sync_channel(1);
    let sync = move || {
        nix::unistd::sync();
        // Nobody may wait any more.
        let _ = done.try_send(());
    };
    if spawn("sync", sync).is_ok() {
        // Late or done: it goes on.
        let _ = synced.recv_timeout(SYNC_WITHIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Cause;

    const NOW: Instant = Instant::from_nanos(7_000_000_000);

    fn role(from: RoleName, to: RoleName, cause: Cause) -> Report {
        Report::Role { from, to, cause }
    }

    #[test]
    fn a_master_that_loses_its_lease_falls_and_one_that_hands_over_does_not() {
        let is_fall = |cause| {
            let report = role(RoleName::Master, RoleName::Releasing, cause);
            Fall::of(&report, NOW).is_some()
        };
        for cause in [
            Cause::Lapsed,
            Cause::GateLost,
            Cause::Unvoted,
            Cause::Unproven,
            Cause::Away(Duration::from_secs(3)),
        ] {
            assert!(is_fall(cause), "{cause}");
        }
        for cause in [
            Cause::Stop,
            Cause::Maintenance,
            Cause::Moved { to: None },
            Cause::Outvoted,
            Cause::Answered,
        ] {
            assert!(!is_fall(cause), "{cause}");
        }
        let others = [
            role(RoleName::Candidate, RoleName::Releasing, Cause::Unvoted),
            role(RoleName::Candidate, RoleName::Master, Cause::AddressesOn),
        ];
        assert!(others.iter().all(|report| Fall::of(report, NOW).is_none()));
    }

    #[test]
    fn a_fall_says_how_long_it_took_and_once_that_it_takes_too_long() {
        let report = role(RoleName::Master, RoleName::Releasing, Cause::Unvoted);
        let mut fall = Fall::of(&report, NOW).unwrap();
        let text = |entry| match entry {
            Entry::Note(_, text) => text,
            _ => panic!("a note"),
        };
        let said = text(fall.done("web", NOW + Duration::from_micros(3_250)));
        assert!(said.ends_with("verified, after 3.2 ms"), "{said}");
        assert_eq!(fall.deadline(), NOW + OFF_WITHIN);
        let said = text(fall.late("web"));
        assert!(said.contains("still on this host 30.0 s after"), "{said}");
        assert_eq!(fall.deadline(), Instant::NEVER);
    }
}
