//! `floatlock lock`: a disk lock prepared, inspected, tried, cleared.

mod clear;
mod init;
mod show;
mod test;

use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use crate::config::{self, Config};
use crate::disk::{Medium, Refused};

use super::args::{DiskClerkArgs, LockArgs, LockCommand};
use super::fail;
use super::run::{hostname, refuse};

pub(crate) fn lock(args: &LockArgs) -> ExitCode {
    match &args.command {
        LockCommand::Init(args) => init::init(args),
        LockCommand::Show(args) => show::show(args),
        LockCommand::Test(args) => test::test(args),
        LockCommand::Clear(args) => clear::clear(args),
    }
}

/// The process that reads and writes for an agent, which is at the other end of standard input.
pub(crate) fn clerk(args: &DiskClerkArgs) -> ExitCode {
    match crate::disk::clerk::serve(std::io::stdin().as_fd(), &args.device, &args.node) {
        Ok(()) => ExitCode::SUCCESS,
        // What it is, the agent was told.
        Err(_) => ExitCode::FAILURE,
    }
}

fn refused(refused: &Refused) -> ExitCode {
    fail(refused.exit_code(), refused)
}

/// The configuration, which must name a cluster; `instead` are the arguments that do without it.
fn cluster(file: &Path, instead: &str) -> Result<Config, ExitCode> {
    let loaded = config::load_keyless(file, &hostname()).map_err(|failure| {
        let code = refuse(&failure);
        eprintln!("floatlock: name the cluster with {instead} instead");
        code
    })?;
    match loaded.config.cluster {
        Some(_) => Ok(loaded.config),
        None => Err(fail(
            2,
            format!(
                "{} has no [cluster], which would say who has a slot: add it, or name the cluster \
                 with {instead}",
                file.display()
            ),
        )),
    }
}

fn warn_of_a_file(device: &Path, medium: Medium) {
    if medium == Medium::File {
        eprintln!(
            "floatlock: warning: {} is a regular file: good for trials on one host. On a shared \
             file system the lock is as good as its server, and no better",
            device.display()
        );
    }
}

/// Milliseconds since 1970, as people read them; they may come from a damaged clock.
fn date(millis: u64) -> String {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    match at.filter(|_| millis < YEAR_10_000) {
        Some(at) => humantime::format_rfc3339_seconds(at).to_string(),
        None => format!("{millis} ms after 1970"),
    }
}

/// There is no way to write the years after it.
const YEAR_10_000: u64 = 253_402_300_800_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clock_can_be_printed() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(YEAR_10_000 - 1), "9999-12-31T23:59:59Z");
        assert_eq!(date(YEAR_10_000), "253402300800000 ms after 1970");
        assert!(date(u64::MAX).ends_with(" ms after 1970"));
    }
}
