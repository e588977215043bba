//! Is a script dead, with all that it started? And how is it made so, without harm to anybody else?
//!
//! A process that has ended and is not reaped keeps its number. So signals go to its group only until it is
//! reaped: later the number may be of a stranger.

use std::process::{Child, ExitStatus};
use std::time::Duration;
use std::{fs, io, thread};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::cgroup::Cgroup;
use crate::sys::pidfd::Watch;

/// How often it is looked whether what it started is gone, once it has ended itself.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A script's process, leader of its own process group. When this is dropped before it has ended, all of it is
/// killed, and reaped whenever it dies.
pub(super) struct Process<'a> {
    /// Until it is reaped.
    child: Option<Unreaped>,
    group: Pid,
    cgroup: Option<&'a Cgroup>,
}

struct Unreaped {
    child: Child,
    watch: Watch,
}

impl<'a> Process<'a> {
    /// # Errors
    /// It cannot be watched, and was killed.
    pub(super) fn of(mut child: Child, cgroup: Option<&'a Cgroup>) -> io::Result<Self> {
        let group = Pid::from_raw(child.id().cast_signed());
        match Watch::of(&child) {
            Ok(watch) => Ok(Self {
                child: Some(Unreaped { child, watch }),
                group,
                cgroup,
            }),
            Err(error) => {
                // It has barely begun, and is not reaped.
                let _ = killpg(group, Signal::SIGKILL);
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Returns when the process itself has ended.
    pub(super) async fn ended(&self) {
        if let Some(child) = &self.child {
            child.watch.ended().await;
        }
    }

    /// What it ended with, once it has.
    ///
    /// # Errors
    /// It has not.
    pub(super) fn reap(&mut self) -> io::Result<ExitStatus> {
        let child = self.child.as_mut();
        let status = child
            .map(|child| child.child.try_wait())
            .transpose()?
            .flatten();
        let status = status.ok_or_else(|| io::Error::other("the process has not ended"))?;
        self.child = None;
        Ok(status)
    }

    /// Returns when it has ended, and nothing that it started lives: in its group, and where there is one, in its
    /// control group.
    pub(super) async fn gone(&self) {
        self.ended().await;
        while self.has_left_any() {
            sleep(LOOK_EVERY).await;
        }
    }

    /// Asks it and its group to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Kills it, its group, and its control group.
    pub(super) fn kill(&self) {
        self.signal(Signal::SIGKILL);
        if let Some(cgroup) = self.cgroup {
            // Whoever asks whether all are dead sees what has come of it.
            let _ = cgroup.kill();
        }
    }

    fn signal(&self, signal: Signal) {
        if self.child.is_some() {
            // Refused only where none of them may be signalled, and those are seen to live on.
            let _ = killpg(self.group, signal);
        }
    }

    fn has_left_any(&self) -> bool {
        let is_empty = |cgroup: &Cgroup| cgroup.is_empty().unwrap_or(true);
        !self.cgroup.is_none_or(is_empty) || lives(self.group)
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        if let Some(child) = self.child.take() {
            child.reap_later();
        }
    }
}

impl Unreaped {
    /// In the background. Until it dies, or the agent does, it needs a number and a little memory.
    fn reap_later(mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            let mut child = self.child;
            let reap = move || drop(child.wait());
            drop(thread::Builder::new().stack_size(64 << 10).spawn(reap));
            return;
        };
        drop(runtime.spawn(async move {
            self.watch.ended().await;
            drop(self.child.try_wait());
        }));
    }
}

/// Whether any process of a group lives.
fn lives(group: Pid) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else {
        return false;
    };
    let mut names = entries.flatten().map(|entry| entry.file_name());
    names.any(|name| {
        let name = name
            .to_str()
            .filter(|name| name.starts_with(|c: char| c.is_ascii_digit()));
        let stat = name.and_then(|pid| fs::read(format!("/proc/{pid}/stat")).ok());
        stat.is_some_and(|stat| is_alive_in(&String::from_utf8_lossy(&stat), group))
    })
}

/// Of `PID (NAME) STATE PARENT GROUP ...`, where the name may be anything.
fn is_alive_in(stat: &str, group: Pid) -> bool {
    let Some((_, rest)) = stat.rsplit_once(") ") else {
        return false;
    };
    let mut words = rest.split(' ');
    let (state, of) = (words.next(), words.nth(1));
    let is_dead = matches!(state, None | Some("Z" | "X"));
    !is_dead && of.and_then(|of| of.parse().ok()) == Some(group.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_pass_for_a_state() {
        let group = Pid::from_raw(7);
        assert!(is_alive_in("9 (sh) S 1 7 7 0 -1", group));
        assert!(is_alive_in("9 (a) Z 1 8 b) T 1 7 7 0 -1", group));
        assert!(!is_alive_in("9 (sh) Z 1 7 7 0 -1", group));
        assert!(!is_alive_in("9 (sh) S 7 1 7 0 -1", group));
        assert!(!is_alive_in("", group));
    }

    #[test]
    fn the_own_group_lives() {
        assert!(lives(nix::unistd::getpgrp()));
    }
}
