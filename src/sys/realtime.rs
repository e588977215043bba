//! How does a thread get the processor and its memory at once? SCHED_FIFO, and locked pages.

#![allow(unsafe_code)]

use std::io;

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use rustix::mm::{MlockAllFlags, mlockall};

/// Why a thread does not run in real time; the agent goes on without.
#[derive(Debug, thiserror::Error)]
pub enum RealtimeError {
    /// Not permitted.
    #[error(
        "cannot run the heartbeat under SCHED_FIFO at priority {priority}: not permitted. It \
         needs CAP_SYS_NICE or RLIMIT_RTPRIO (LimitRTPRIO=) of {priority} or more, and a cpu \
         cgroup with real-time budget"
    )]
    NotPermitted {
        /// The priority that was asked for.
        priority: u8,
    },
    /// Refused for another reason.
    #[error("cannot run the heartbeat under SCHED_FIFO at priority {priority}: {source}")]
    Refused {
        /// The priority that was asked for.
        priority: u8,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Why memory is not locked; the agent goes on without.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// Not permitted, or only up to a limit at which later allocations would fail.
    #[error(
        "cannot lock the agent's memory: not permitted. It needs CAP_IPC_LOCK or an unlimited \
         RLIMIT_MEMLOCK (LimitMEMLOCK=infinity)"
    )]
    NotPermitted,
    /// Refused for another reason.
    #[error("cannot lock the agent's memory: {0}")]
    Refused(#[from] io::Error),
}

/// Puts the calling thread under SCHED_FIFO. Its children (scripts) start under the normal
/// scheduler.
///
/// # Errors
/// Says what is missing.
pub fn schedule_fifo(priority: u8) -> Result<(), RealtimeError> {
    let mut param = param();
    param.sched_priority = i32::from(priority);
    // By the system call: some C libraries refuse to do this for a single thread.
    // SAFETY: thread 0 is the calling one, and `param` lives during the call, which reads it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK,
            &raw const param,
        )
    };
    match Errno::result(done) {
        Ok(_) => Ok(()),
        Err(Errno::EPERM) => Err(RealtimeError::NotPermitted { priority }),
        Err(other) => Err(RealtimeError::Refused {
            priority,
            source: other.into(),
        }),
    }
}

/// Puts the calling thread under the normal scheduler, and so what it starts.
///
/// # Errors
/// What the kernel said; leaving SCHED_FIFO needs no permission.
pub fn schedule_other() -> io::Result<()> {
    let param = param();
    // SAFETY: thread 0 is the calling one, and `param` lives during the call, which reads it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            libc::SCHED_OTHER,
            &raw const param,
        )
    };
    Errno::result(done)?;
    Ok(())
}

/// Locks the process's memory, present and future, each page when it is first touched.
///
/// # Errors
/// Says what is missing.
pub fn lock_memory() -> Result<(), MemoryError> {
    let (limit, _) = getrlimit(Resource::RLIMIT_MEMLOCK).map_err(io::Error::from)?;
    if limit == RLIM_INFINITY {
        return lock_all();
    }
    // Without the capability, locking future memory under a limit succeeds now and lets an
    // allocation fail later. Under a limit of zero it succeeds with the capability only.
    under_limit_zero(lock_all)?
}

fn under_limit_zero<T>(act: impl FnOnce() -> T) -> io::Result<T> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
    setrlimit(Resource::RLIMIT_MEMLOCK, 0, hard)?;
    let done = act();
    setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard)?;
    Ok(done)
}

fn lock_all() -> Result<(), MemoryError> {
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    match mlockall(all) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::PERM | rustix::io::Errno::NOMEM) => Err(MemoryError::NotPermitted),
        Err(other) => Err(MemoryError::Refused(other.into())),
    }
}

fn param() -> libc::sched_param {
    // SAFETY: a sched_param is made of integers, for which all-zero is a value. Some C libraries
    // have more fields than the priority, so it is not written as a literal.
    unsafe { std::mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

    use super::*;

    /// Runs on a thread of its own, since it changes the thread.
    fn on_a_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(f).join().unwrap()
    }

    fn without(capability: CapabilitySet) {
        let mut sets = capabilities(None).unwrap();
        assert!(sets.effective.contains(capability), "this test needs root");
        sets.effective.remove(capability);
        set_capabilities(None, sets).unwrap();
    }

    fn policy() -> i32 {
        // SAFETY: no memory is passed.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn a_thread_runs_under_fifo_and_its_children_do_not() {
        on_a_thread(|| {
            schedule_fifo(1).unwrap();
            assert_eq!(policy(), libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK);
            assert_eq!(on_a_thread(policy), libc::SCHED_OTHER);
            schedule_other().unwrap();
            assert_eq!(policy(), libc::SCHED_OTHER);
        });
    }

    #[test]
    fn an_impossible_priority_is_refused_with_the_kernels_word() {
        let refused = on_a_thread(|| schedule_fifo(200)).unwrap_err();
        assert!(
            matches!(refused, RealtimeError::Refused { priority: 200, .. }),
            "{refused}"
        );
    }

    #[test]
    fn without_the_capability_the_error_names_it() {
        let error = on_a_thread(|| {
            without(CapabilitySet::SYS_NICE);
            schedule_fifo(1).unwrap_err()
        });
        assert!(error.to_string().contains("CAP_SYS_NICE"), "{error}");
    }

    fn locked_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|l| l.starts_with("VmLck:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// One test, because limits and locks belong to the process.
    #[test]
    fn memory_is_locked_with_the_capability_and_never_up_to_a_limit_without() {
        let limit = || getrlimit(Resource::RLIMIT_MEMLOCK).unwrap();
        let before = limit();
        assert_eq!(under_limit_zero(limit).unwrap(), (0, before.1));
        assert_eq!(limit(), before);

        let error = on_a_thread(|| {
            without(CapabilitySet::IPC_LOCK);
            lock_memory().unwrap_err()
        });
        assert!(error.to_string().contains("CAP_IPC_LOCK"), "{error}");
        assert_eq!((locked_kib(), limit()), (0, before));

        lock_memory().unwrap();
        assert!(locked_kib() > 0);
        rustix::mm::munlockall().unwrap();
    }
}
