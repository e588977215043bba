//! When does the poll wake by itself? A timer on the boot clock, set to an absolute instant.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::core::Instant;

/// A descriptor that is readable from its deadline on.
#[derive(Debug)]
pub struct Timer {
    fd: TimerFd,
    set_to: Option<Instant>,
}

impl Timer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let fd = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?;
        Ok(Self { fd, set_to: None })
    }

    /// Sets the timer to `at`; one in the past fires at once, [`Instant::NEVER`] does not fire.
    /// Costs a system call only where the deadline is not the one that is already set.
    ///
    /// # Errors
    /// None is known on a working kernel.
    pub fn set(&mut self, at: Instant) -> io::Result<()> {
        if self.set_to == Some(at) {
            return Ok(());
        }
        // Setting also makes a fired timer unreadable, so nobody has to read it; one that is set to
        // the same deadline again stays readable, as it should.
        if at == Instant::NEVER {
            self.fd.unset()?;
        } else {
            let at = Expiration::OneShot(time_spec(at));
            self.fd.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        }
        self.set_to = Some(at);
        Ok(())
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Zero would mean "not set", so the first instant is the first nanosecond.
fn time_spec(at: Instant) -> TimeSpec {
    let nanos = at.as_nanos().max(1);
    let part = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    TimeSpec::new(part(nanos / 1_000_000_000), part(nanos % 1_000_000_000))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;
    use crate::sys::clock;

    fn readable(timer: &Timer, within: u16) -> bool {
        let mut fds = [PollFd::new(timer.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(within)).unwrap() == 1
    }

    #[test]
    fn it_fires_at_its_deadline_and_not_before() {
        let mut timer = Timer::new().unwrap();
        let deadline = clock::now() + Duration::from_millis(20);
        timer.set(deadline).unwrap();
        assert!(readable(&timer, 10_000));
        assert!(clock::now() >= deadline);
    }

    #[test]
    fn a_past_deadline_fires_at_once_and_the_first_instant_too() {
        let mut timer = Timer::new().unwrap();
        for at in [Instant::from_nanos(0), Instant::from_nanos(5)] {
            timer.set(at).unwrap();
            assert!(readable(&timer, 10_000), "{at:?}");
        }
    }

    #[test]
    fn a_new_deadline_takes_back_the_old_one() {
        let mut timer = Timer::new().unwrap();
        for at in [Instant::NEVER, clock::now() + Duration::from_secs(3600)] {
            timer.set(Instant::from_nanos(1)).unwrap();
            timer.set(at).unwrap();
            assert!(!readable(&timer, 0), "{at:?}");
        }
    }

    #[test]
    fn the_same_deadline_can_be_set_again_after_it_fired() {
        let mut timer = Timer::new().unwrap();
        let past = Instant::from_nanos(1);
        timer.set(past).unwrap();
        assert!(readable(&timer, 10_000));
        timer.set(past).unwrap();
        assert!(readable(&timer, 10_000));
    }
}
