//! Has a process ended? Told without reaping it, so that its number is not given to another one meanwhile.

#![allow(unsafe_code)]

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A process that is watched by a runtime of tokio.
#[derive(Debug)]
pub struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    /// A child that is not reaped yet.
    ///
    /// # Errors
    /// Linux before 5.3; or there are too many open files.
    pub fn of(child: &Child) -> io::Result<Self> {
        let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
        // SAFETY: an owned descriptor stays open, and the same, as long as it is owned.
        let watch = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
        Ok(Self(watch?))
    }

    /// Returns when it has ended, also when that was long ago.
    pub async fn ended(&self) {
        // An error says that the runtime ends.
        if self.0.readable().await.is_err() {
            pending::<()>().await;
        }
    }
}
