//! How does a command reach the agent? One line there, one line back, within a bound.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Request, Response, SOCKET};

/// A reload of ten thousand addresses is far below this.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// A move waits for another node, which the agent does for five minutes at most.
const MOVED_WITHIN: Duration = Duration::from_secs(360);
/// The largest answer that is read.
const ANSWER_MAX: u64 = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "the agent does not run here: connecting to {path} failed: {source}\n\
         start it (systemctl start floatlock), or name its configuration with -c"
    )]
    NoAgent {
        /// The socket.
        path: String,
        /// What happened.
        source: io::Error,
    },
    /// Somebody listens, but not to us.
    #[error(
        "the agent refuses this user: connecting to {path} failed: {source}\nrun this as root, or as a member of the group floatlock"
    )]
    Refused {
        /// The socket.
        path: String,
        /// What happened.
        source: io::Error,
    },
    /// The connection broke, or nothing came in time.
    #[error("the agent did not answer: {0}")]
    Silent(#[from] io::Error),
    /// What came is not an answer.
    #[error("the agent answered something that this version does not understand: {0}")]
    Garbled(#[from] serde_json::Error),
}

impl ClientError {
    /// The exit code of the contract: 3 where no agent runs.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            ClientError::NoAgent { .. } => 3,
            ClientError::Refused { .. } => 4,
            ClientError::Silent(_) | ClientError::Garbled(_) => 1,
        }
    }
}

/// Asks the agent whose runtime directory this is.
///
/// # Errors
/// [`ClientError`].
pub fn ask(runtime_dir: &Path, request: &Request) -> Result<Response, ClientError> {
    let path = runtime_dir.join(SOCKET);
    let mut stream = UnixStream::connect(&path).map_err(|source| {
        let path = path.display().to_string();
        match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::Refused { path, source },
            _ => ClientError::NoAgent { path, source },
        }
    })?;
    let within = match request {
        Request::Status {} | Request::Reload {} => ANSWER_WITHIN,
        Request::Switchover { .. } | Request::Maintenance { .. } => MOVED_WITHIN,
    };
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_MAX)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}
