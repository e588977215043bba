//! The device that resets a host that hangs (Linux, Documentation/watchdog/watchdog-api.rst).
//!
//! Opening it starts it; a write pets it; a `V` before it is closed stops it, and closing it without one does
//! not. Its time is in whole seconds.

#![allow(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PET: &[u8] = b"\0";
/// The magic character.
const DISARM: &[u8] = b"V";
/// `WDIOF_CARDRESET`: the device has reset this host the last time.
const CARD_RESET: u32 = 0x20;

mod ioctl {
    nix::ioctl_readwrite!(set_timeout, b'W', 6, libc::c_int);
    nix::ioctl_read!(get_timeout, b'W', 7, libc::c_int);
}

/// One that is open: the host is reset unless it is petted in time.
#[derive(Debug)]
pub struct Device {
    file: File,
    /// A file for trials: it says what a device would be told, and resets nothing.
    is_stand_in: bool,
}

impl Device {
    /// Opens it, which starts it.
    ///
    /// # Errors
    /// It is not there, is no such device, is in use by another program, or access is denied.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Looked at first: what is opened runs.
        let kind = fs::metadata(path)?.file_type();
        if !kind.is_char_device() && !kind.is_file() {
            return Err(io::Error::other("it is no character device"));
        }
        let device = Self {
            file: OpenOptions::new().write(true).open(path)?,
            is_stand_in: kind.is_file(),
        };
        match device.timeout().and_then(|_| device.pet()) {
            Ok(()) => Ok(device),
            // Anything else that can be written to.
            Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => {
                Err(io::Error::other("it is no watchdog"))
            }
            Err(error) => {
                // It runs by now, and nobody will pet it.
                let _ = device.disarm();
                Err(error)
            }
        }
    }

    /// Asks for this time, in seconds, rounded up; returns what the device has taken instead, if it has.
    ///
    /// # Errors
    /// It takes no such time.
    pub fn set_timeout(&self, wanted: Duration) -> io::Result<Duration> {
        if self.is_stand_in {
            return Ok(wanted);
        }
        let seconds = wanted.as_nanos().div_ceil(1_000_000_000);
        let mut seconds = libc::c_int::try_from(seconds).unwrap_or(libc::c_int::MAX);
        // SAFETY: the descriptor is open, and the kernel reads and writes one integer that lives here.
        unsafe { ioctl::set_timeout(self.file.as_raw_fd(), &raw mut seconds) }?;
        self.timeout()
    }

    /// What it runs with.
    ///
    /// # Errors
    /// The driver does not say.
    pub fn timeout(&self) -> io::Result<Duration> {
        if self.is_stand_in {
            return Ok(Duration::ZERO);
        }
        let mut seconds: libc::c_int = 0;
        // SAFETY: the descriptor is open, and the kernel writes one integer that lives here.
        unsafe { ioctl::get_timeout(self.file.as_raw_fd(), &raw mut seconds) }?;
        Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    /// Starts its time anew.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn pet(&self) -> io::Result<()> {
        self.write(PET)
    }

    /// Stops it, unless its driver has `nowayout`.
    ///
    /// # Errors
    /// The driver refuses: it goes on.
    pub fn disarm(self) -> io::Result<()> {
        self.write(DISARM)
    }

    /// Whether nothing would be reset.
    #[must_use]
    pub const fn is_stand_in(&self) -> bool {
        self.is_stand_in
    }

    fn write(&self, what: &[u8]) -> io::Result<()> {
        match self.is_stand_in {
            true => self
                .file
                .set_len(0)
                .and_then(|()| self.file.write_all_at(what, 0)),
            false => (&self.file).write_all(what),
        }
    }
}

/// What can be known of a device without opening it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its name by its driver.
    pub identity: Option<String>,
    /// Once open it cannot be stopped any more.
    pub nowayout: bool,
    /// It has reset this host the last time.
    pub has_reset: bool,
    /// It runs, by whomever it was opened.
    pub runs: bool,
}

/// What sysfs tells of it, and where that is silent nothing; a file for trials tells whether it runs.
#[must_use]
pub fn facts(path: &Path) -> Facts {
    let Ok(found) = fs::metadata(path) else {
        return Facts::default();
    };
    if found.file_type().is_file() {
        let text = fs::read(path).unwrap_or_default();
        return Facts {
            runs: !text.is_empty() && text != DISARM,
            ..Facts::default()
        };
    }
    let (major, minor) = (libc::major(found.rdev()), libc::minor(found.rdev()));
    let by_number = PathBuf::from(format!("/sys/dev/char/{major}:{minor}"));
    // `/dev/watchdog`, 10:130, is the first one by another number.
    let first = PathBuf::from("/sys/class/watchdog/watchdog0");
    let first = Some(first).filter(|_| (major, minor) == (10, 130));
    let mut places = [Some(by_number), first].into_iter().flatten();
    let place = places.find(|place| place.join("nowayout").exists());
    let read = |name: &str| {
        let text = fs::read_to_string(place.as_ref()?.join(name)).ok()?;
        Some(text.trim().to_owned())
    };
    let status = read("bootstatus").and_then(|text| text.parse::<u32>().ok());
    Facts {
        identity: read("identity"),
        nowayout: read("nowayout").as_deref() == Some("1"),
        has_reset: status.is_some_and(|status| status & CARD_RESET != 0),
        runs: read("state").as_deref() == Some("active"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::write(&path, "").unwrap();
        path
    }

    #[test]
    fn a_file_says_what_a_device_would_be_told() {
        let path = file("watchdog-says");
        assert!(!facts(&path).runs, "nobody has opened it");
        let device = Device::open(&path).unwrap();
        assert!(device.is_stand_in() && facts(&path).runs);
        let asked = Duration::from_secs(3);
        assert_eq!(device.set_timeout(asked).unwrap(), asked);
        device.pet().unwrap();
        assert_eq!(fs::read(&path).unwrap(), PET);
        device.disarm().unwrap();
        assert!(!facts(&path).runs);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn one_that_is_closed_without_a_word_runs_on() {
        let path = file("watchdog-closed");
        drop(Device::open(&path).unwrap());
        assert!(facts(&path).runs);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_no_watchdog_is_not_used_as_one() {
        let error = |path: &str| Device::open(Path::new(path)).unwrap_err();
        assert_eq!(error("/nonexistent").kind(), io::ErrorKind::NotFound);
        assert_eq!(error("/").to_string(), "it is no character device");
        assert_eq!(error("/dev/null").to_string(), "it is no watchdog");
        assert_eq!(facts(Path::new("/nonexistent")), Facts::default());
    }
}
