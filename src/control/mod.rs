//! What operators ask for, and what they get: the socket, the status, the words.

pub mod client;
pub mod cluster;
pub(crate) mod server;
pub mod status;

/// The name of the socket in the runtime directory.
pub const SOCKET: &str = "control.sock";

use serde::{Deserialize, Serialize};

/// One request: one JSON object on a line. Each variant has braces, without which fields that it
/// does not know would be let through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Everything that an observer may know.
    Status {},
    /// Read the file again.
    Reload {},
    /// Hand a group over to another node.
    Switchover {
        /// Which.
        group: String,
        /// To this one; to the best that is ready.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// Whether or not anybody is ready.
        #[serde(default, skip_serializing_if = "is_false")]
        force: bool,
    },
    /// Take this node out of service, or back.
    Maintenance {
        /// Out of service.
        on: bool,
        /// For so long, in milliseconds; until further notice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_ms: Option<u64>,
        /// Whether or not others are ready.
        #[serde(default, skip_serializing_if = "is_false")]
        force: bool,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_false(force: &bool) -> bool {
    !*force
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
    /// To [`Request::Switchover`].
    Switchover {
        /// What it did.
        switchover: SwitchedOver,
    },
    /// To [`Request::Maintenance`].
    Maintenance {
        /// What it did.
        maintenance: Maintained,
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

/// A group that another node holds now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchedOver {
    /// Its name.
    pub group: String,
    /// The node that says MASTER; under VRRP, its address.
    pub to: String,
    /// From the question until that was heard, in milliseconds.
    pub took_ms: u64,
}

/// Whether this node is in service now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintained {
    /// Out of service.
    pub on: bool,
    /// For how long, in milliseconds, if that has an end.
    pub left_ms: Option<u64>,
    /// Groups that other nodes hold now.
    pub handed_over: Vec<String>,
    /// Groups that this node has given up, and nobody has taken yet.
    pub untaken: Vec<String>,
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
        for command in ["status", "reload", "switchover", "maintenance"] {
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
