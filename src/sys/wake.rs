//! How does another thread end a poll? By a descriptor that it makes readable.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// The waking end: cheap to clone, to be kept beside the queue that it announces.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Bell>);

/// The end that is polled.
#[derive(Debug)]
pub struct Wake(Arc<Bell>);

#[derive(Debug)]
struct Bell {
    fd: EventFd,
    rung: AtomicBool,
}

/// Both ends of a new one.
///
/// # Errors
/// The process has no descriptors left.
pub fn pair() -> io::Result<(Waker, Wake)> {
    let fd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
    let bell = Arc::new(Bell {
        fd,
        rung: AtomicBool::new(false),
    });
    Ok((Waker(Arc::clone(&bell)), Wake(bell)))
}

impl Waker {
    /// Ends the poll of the other end, now or as soon as it polls. To be called after the queue
    /// was filled. Of many calls before the other end looks, one costs a system call.
    pub fn wake(&self) {
        if self.0.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        // Fails only when the counter is full, and then the descriptor is readable anyway.
        let _ = self.0.fd.write(1);
    }
}

impl Wake {
    /// To be called when readable and *before* the queue is emptied: what is queued after the
    /// queue was found empty rings again.
    pub fn clear(&self) {
        // EAGAIN: nobody rang.
        let _ = self.0.fd.read();
        self.0.rung.swap(false, Ordering::AcqRel);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn readable(wake: &Wake, timeout: PollTimeout) -> bool {
        let mut fds = [PollFd::new(wake.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout).unwrap() == 1
    }

    #[test]
    fn many_rings_are_one_and_are_gone_once_cleared() {
        let (waker, wake) = pair().unwrap();
        assert!(!readable(&wake, PollTimeout::ZERO));
        for _ in 0..3 {
            waker.wake();
        }
        assert!(readable(&wake, PollTimeout::ZERO));
        wake.clear();
        assert!(!readable(&wake, PollTimeout::ZERO));
        waker.wake();
        assert!(readable(&wake, PollTimeout::ZERO));
    }

    #[test]
    fn nothing_that_is_queued_is_slept_through() {
        const ITEMS: u32 = 20_000;
        let (waker, wake) = pair().unwrap();
        let (queue, items) = mpsc::channel();
        let sender = std::thread::spawn(move || {
            for item in 0..ITEMS {
                queue.send(item).unwrap();
                waker.wake();
            }
        });
        let mut seen = 0;
        while seen < ITEMS {
            assert!(
                readable(&wake, PollTimeout::from(10_000_u16)),
                "slept through at {seen}"
            );
            wake.clear();
            seen += u32::try_from(items.try_iter().count()).unwrap();
        }
        sender.join().unwrap();
    }
}
