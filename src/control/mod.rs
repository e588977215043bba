//! What operators ask for, and what they get: the socket, the status, the words.

pub mod client;
pub(crate) mod server;
pub mod status;

/// The name of the socket in the runtime directory.
pub const SOCKET: &str = "control.sock";

use serde::{Deserialize, Serialize};

/// One request: one JSON object on a line. Each variant has braces, without which fields that it
/// does not know would be let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Everything that an observer may know.
    Status {},
    /// Read the file again.
    Reload {},
}

/// The answer: one JSON object on a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Response {
    /// To [`Request::Status`].
    Status {
        /// The status.
        status: Box<status::Status>,
    },
    /// To [`Request::Reload`].
    Reload {
        /// What it did.
        reload: Reloaded,
    },
    /// What was asked for was not done.
    Error {
        /// Why, in a sentence.
        error: String,
        /// The exit code that the command line should have.
        code: u8,
    },
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Groups that are new.
    pub added: Vec<String>,
    /// Groups that hand over and end.
    pub removed: Vec<String>,
    /// Groups that go on with other settings.
    pub changed: Vec<String>,
    /// How many groups go on undisturbed.
    pub unchanged: usize,
    /// What `floatlock check` would warn of; empty where there is nothing.
    pub warnings: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Request, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_says_nothing_that_nobody_would_heed() {
        assert_eq!(read(r#"{"command":"status"}"#), Ok(Request::Status {}));
        for command in ["status", "reload"] {
            let error = read(&format!(r#"{{"command":"{command}","a":1}}"#)).unwrap_err();
            assert!(error.contains("unknown field `a`"), "{error}");
        }
    }

    #[test]
    fn a_request_is_written_as_it_is_documented() {
        let text = serde_json::to_string(&Request::Reload {}).unwrap();
        assert_eq!(text, r#"{"command":"reload"}"#);
    }
}
