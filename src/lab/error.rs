//! What goes wrong in the laboratory?

use std::io;
use std::time::Duration;

/// Why the laboratory could not do something.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Namespaces may not be created.
    #[error(
        "needs root: {doing} was refused ({source}); run it as root, in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN"
    )]
    NeedsRoot {
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program that the laboratory needs is not there.
    #[error("cannot run {program}: {source}; install {package}")]
    Tool {
        /// The program.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
        /// Why it did not start.
        source: io::Error,
    },
    /// A command ran and failed.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// As given.
        command: String,
        /// Exit status or signal.
        status: String,
        /// What it printed.
        output: String,
    },
    /// A program did not start.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program, and where.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program did not print what was waited for.
    #[error("{program} did not print {pattern:?} within {within:?}; its last lines:\n{last}")]
    NoLine {
        /// The program.
        program: String,
        /// What was waited for.
        pattern: String,
        /// For how long.
        within: Duration,
        /// The last lines that it did print.
        last: String,
    },
    /// A program did not end in time.
    #[error("{program} did not end within {within:?}; its last lines:\n{last}")]
    NoEnd {
        /// The program.
        program: String,
        /// How long was waited.
        within: Duration,
        /// The last lines that it printed.
        last: String,
    },
    /// The host is switched off.
    #[error("{host} is switched off")]
    Off {
        /// Which.
        host: String,
    },
    /// The host is not on that network.
    #[error("{host} is not attached to {lan}")]
    NotAttached {
        /// The host.
        host: String,
        /// The network.
        lan: String,
    },
    /// The host is on that network already.
    #[error("{host} is attached to {lan} already")]
    Attached {
        /// The host.
        host: String,
        /// The network.
        lan: String,
    },
    /// Not an address with a prefix length.
    #[error("{text:?} is not an address with a prefix length, such as 10.77.0.1/24")]
    Address {
        /// What was given.
        text: String,
    },
    /// Too many.
    #[error("the laboratory has room for 255 {of}")]
    Full {
        /// Of what.
        of: &'static str,
    },
    /// A system call failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A thread of the laboratory has ended early.
    #[error("the thread of {of} has ended")]
    Ended {
        /// Whose.
        of: String,
    },
}

impl LabError {
    /// For `map_err`: names what was being done.
    pub(super) fn io<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |source| LabError::Io {
            doing: doing.into(),
            source: source.into(),
        }
    }

    /// For `map_err` of a call that only root may make.
    pub(super) fn privileged<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| {
            let source = source.into();
            match source.kind() {
                io::ErrorKind::PermissionDenied => LabError::NeedsRoot { doing, source },
                _ => LabError::Io {
                    doing: doing.to_owned(),
                    source,
                },
            }
        }
    }
}
