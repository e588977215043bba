//! What does systemd hear from us? Nothing at all where we do not run under it.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;

/// The agent is up (or a reload is over), and this is what `systemctl status` shows.
///
/// # Errors
/// There is a notification socket, but it cannot be written.
pub fn ready(status: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&one_line(status))])
}

/// The line that `systemctl status` shows.
///
/// # Errors
/// As [`ready`].
pub fn status(status: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Status(&one_line(status))])
}

/// A reload has begun; [`ready`] ends it.
///
/// # Errors
/// As [`ready`].
pub fn reloading() -> io::Result<()> {
    // `Type=notify-reload` compares the time with that of its request.
    let since = NotifyState::monotonic_usec_now()?;
    sd_notify::notify(&[NotifyState::Reloading, since])
}

/// The agent hands over and ends.
///
/// # Errors
/// As [`ready`].
pub fn stopping() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Stopping])
}

/// The agent is alive and on time.
///
/// # Errors
/// As [`ready`].
pub fn watchdog() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Watchdog])
}

/// Within which time systemd wants the next [`watchdog`]; `None`: it does not watch us. Call at
/// half of it.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}

/// A line break would start another assignment of the protocol.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_cannot_smuggle_in_another_message() {
        assert_eq!(one_line("2 MASTER\nSTOPPING=1"), "2 MASTER STOPPING=1");
    }

    #[test]
    fn outside_systemd_nothing_is_said_and_nothing_fails() {
        assert!(
            std::env::var_os("NOTIFY_SOCKET").is_none(),
            "run outside a unit"
        );
        ready("x").unwrap();
        reloading().unwrap();
        stopping().unwrap();
        watchdog().unwrap();
        assert_eq!(watchdog_interval(), None);
    }
}
