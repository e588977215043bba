//! How does a file system hang? Like a file under a lease (fcntl(2)): whoever opens it waits until
//! the holder gives it back.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use floatlock::lab::{Host, clock};

use crate::site::SOON;

/// Of fcntl(2); libc does not name it.
const F_SETSIG: i32 = 10;

/// A file that cannot be opened while this exists.
pub(crate) struct Lease(File);

impl Lease {
    /// For a file of the host that nobody has open now. The kernel ends it after 45 s.
    pub(crate) fn on(host: &Host, path: PathBuf) -> Self {
        let file = host.run(|| File::options().write(true).open(path));
        let lease = Self(file.unwrap().unwrap());
        // Not SIGIO, which would end the tests.
        lease.fcntl(F_SETSIG, libc::SIGURG);
        lease.fcntl(libc::F_SETLEASE, libc::F_WRLCK);
        lease
    }

    /// Waits until somebody waits in opening the file.
    pub(crate) fn await_opener(&self) {
        let wanted = || self.fcntl(libc::F_GETLEASE, 0) != libc::F_WRLCK;
        assert!(clock::wait_until(SOON, wanted), "nobody opens it");
    }

    fn fcntl(&self, command: i32, argument: i32) -> i32 {
        // SAFETY: these commands take an integer and touch no memory of ours.
        let done = unsafe { libc::fcntl(self.0.as_raw_fd(), command, argument) };
        nix::errno::Errno::result(done).unwrap()
    }
}
