//! What does a program inherit that it must not? Signals that are ignored, and open descriptors.

#![allow(unsafe_code)]

use std::{io, ptr};

use nix::errno::Errno;
use nix::sys::signal::SigSet;

/// No signal is ignored, handled or blocked from here on, neither here nor in a program that replaces this one.
///
/// For a process of one thread that is about to be replaced: the C library's own signals are among them.
pub fn reset_signals() {
    // As the kernel has it: the default action, no flags, nothing blocked. Longer than it is anywhere.
    let default = [0_u64; 4];
    for signal in 1..=SIGNALS {
        // By the system call: the C library lets nobody touch its own, which may be inherited all the same.
        // SAFETY: the kernel reads `default`, which lives during the call, and writes nothing. The default is
        // no function, so that nothing is called that must not be. Two signals are refused, and are as they were.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null::<u64>(),
                SIGNALS / 8,
            )
        };
    }
    // It fails for a wrong argument only.
    let _ = SigSet::empty().thread_set_mask();
}

/// As many as the kernel has.
const SIGNALS: usize = 64;

/// Every open descriptor from this number on is closed when another program replaces this one, not before.
///
/// # Errors
/// Linux before 5.11 does not know how.
pub fn close_at_exec(first: u32) -> io::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: no memory is passed, and nothing is closed that somebody here still uses.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    Errno::result(done)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::*;

    #[test]
    fn an_open_descriptor_stays_open_and_is_not_inherited() {
        let file = File::open("/dev/null").unwrap();
        fcntl(file.as_fd(), FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        close_at_exec(3).unwrap();
        let flags = fcntl(file.as_fd(), FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags, FdFlag::FD_CLOEXEC.bits());
    }
}
