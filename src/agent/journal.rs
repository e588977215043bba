//! Who writes the log? One thread, so that a slow disk or journald delays nobody else.

use std::sync::mpsc::Receiver;

use tracing::{error, info, warn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::core::{Alarm, Blocked, Cause, Report, RoleName};

use super::message::{Entry, Level, Outbox};

/// How many lines may wait for a slow log before some are counted instead of written.
pub(crate) const BOUND: usize = 4096;

/// Sends the log to journald when systemd connected us to it, else to standard error.
pub(crate) fn open() {
    // journald sets this to the device and inode of the stream that it reads (systemd.exec(5)).
    let journald = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    let stderr = journald.is_none().then(|| {
        tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_ansi(false)
    });
    // A second agent in one process (tests) keeps the first one's log.
    let _ = tracing_subscriber::registry()
        .with(journald)
        .with(stderr)
        .try_init();
}

/// The body of the journal thread: writes until [`Entry::End`].
pub(crate) fn run(inbox: &Receiver<Entry>, outbox: &Outbox<Entry>) {
    let mut told = 0;
    while let Ok(entry) = inbox.recv() {
        match entry {
            Entry::Group(group, report) => write_report(&group, report),
            Entry::Note(level, text) => write_note(level, &text),
            Entry::Close(ears) => drop(ears),
            Entry::End => return,
        }
        let lost = outbox.lost();
        if lost > told {
            warn!(
                lost,
                "the log was too slow: {} lines are missing",
                lost - told
            );
            told = lost;
        }
    }
}

fn write_report(group: &str, report: Report) {
    match report {
        Report::Role { from, to, cause } => write_role(group, from, to, cause),
        Report::Alarm(alarm @ Alarm::Retry(_)) => error!(group, "{group}: {alarm}"),
        Report::Alarm(alarm @ (Alarm::Heard | Alarm::Reached)) => info!(group, "{group}: {alarm}"),
        Report::Alarm(alarm) => warn!(group, "{group}: {alarm}"),
    }
}

fn write_role(group: &str, from: RoleName, to: RoleName, cause: Cause) {
    let (was, is) = (from.as_str(), to.as_str());
    let bad = matches!(
        cause,
        Cause::Blocked(_)
            | Cause::NotHeard { .. }
            | Cause::Away(_)
            | Cause::Unvoted
            | Cause::Unproven
            | Cause::Unarbitrated
            | Cause::Namesake
            | Cause::Unreached { .. }
            | Cause::Outvoted
            | Cause::Answered
            | Cause::Lapsed
            | Cause::GateLost
    );
    let worst = matches!(cause, Cause::Blocked(Blocked::Fight | Blocked::Stuck(_)));
    match (worst, bad) {
        (true, _) => error!(
            group,
            from = was,
            to = is,
            "{group}: {was} -> {is}: {cause}"
        ),
        (false, true) => warn!(
            group,
            from = was,
            to = is,
            "{group}: {was} -> {is}: {cause}"
        ),
        (false, false) => info!(
            group,
            from = was,
            to = is,
            "{group}: {was} -> {is}: {cause}"
        ),
    }
}

fn write_note(level: Level, text: &str) {
    match level {
        Level::Info => info!("{text}"),
        Level::Warning => warn!("{text}"),
        Level::Error => error!("{text}"),
    }
}
