//! May this file be used as a key? It is read only if nobody else can have read or written it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::wire::native::{BadKey, KEY_TEXT_LEN_MAX, Key};

/// What others may do with a key: nothing.
const OTHERS: u32 = 0o077;

/// A file that is not used as a key.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the key {}: {why}: {}", .path.display(), .why.advice(.path))]
pub struct UnusableKey {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub why: KeyProblem,
}

/// What is wrong with the file of a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyProblem {
    /// It cannot be opened or read.
    #[error("{0}")]
    Unreadable(io::Error),
    /// A directory, a pipe, a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// It belongs to neither root nor the user that reads it, who is not root.
    #[error("it belongs to user {0}, who is neither root nor the agent's own")]
    Owner(u32),
    /// Its group or everybody may do something with it.
    #[error("its mode is {0:04o}, so that others may read or write it")]
    Mode(u32),
    /// It holds no key.
    #[error("it holds {0}")]
    Bad(BadKey),
}

impl KeyProblem {
    /// What to do next.
    pub(super) fn advice(&self, path: &Path) -> String {
        let path = path.display();
        let make = format!("`(umask 077; head -c 32 /dev/urandom | base64 >{path})`");
        match self {
            KeyProblem::Unreadable(error) => match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("make it on one node with {make}, and copy it to the others")
                }
                io::ErrorKind::PermissionDenied => {
                    "run the agent as root, or as the owner of the file".to_owned()
                }
                _ => "name another file".to_owned(),
            },
            KeyProblem::NotAFile => "name the file that the key is in".to_owned(),
            KeyProblem::Owner(_) => format!("`chown root {path}`, if you trust what is in it"),
            KeyProblem::Mode(_) => {
                format!("`chmod 600 {path}`; if others may have read it, change the key")
            }
            KeyProblem::Bad(_) => {
                format!("make a new one with {make}, and copy it to the other nodes")
            }
        }
    }
}

/// Reads the key in a file: 32 bytes or more, or base64 of them.
///
/// # Errors
/// The file is no key, or others than its owner may read or write it.
pub fn load_key(path: &Path) -> Result<Key, UnusableKey> {
    read(path).map_err(|why| UnusableKey {
        path: path.to_owned(),
        why,
    })
}

fn read(path: &Path) -> Result<Key, KeyProblem> {
    let file = open(path).map_err(KeyProblem::Unreadable)?;
    // Asked of what was opened: nobody can put another file in its place in between.
    let facts = file.metadata().map_err(KeyProblem::Unreadable)?;
    check(&Facts::of(&facts), Uid::effective().as_raw())?;
    let mut content = Vec::new();
    // One byte more than there may be tells that there are too many.
    file.take(KEY_TEXT_LEN_MAX as u64 + 1)
        .read_to_end(&mut content)
        .map_err(KeyProblem::Unreadable)?;
    Key::read(&content).map_err(KeyProblem::Bad)
}

/// Without waiting for the other end of a pipe, and without making a terminal ours.
fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

#[derive(Clone, Copy)]
struct Facts {
    is_file: bool,
    owner: u32,
    mode: u32,
}

impl Facts {
    fn of(metadata: &Metadata) -> Self {
        Self {
            is_file: metadata.is_file(),
            owner: metadata.uid(),
            mode: metadata.mode() & 0o7777,
        }
    }
}

fn check(facts: &Facts, ours: u32) -> Result<(), KeyProblem> {
    if !facts.is_file {
        return Err(KeyProblem::NotAFile);
    }
    // Root reads for whomever the agent runs as: it accepts what any owner keeps to itself.
    if ours != 0 && ![0, ours].contains(&facts.owner) {
        return Err(KeyProblem::Owner(facts.owner));
    }
    if facts.mode & OTHERS != 0 {
        return Err(KeyProblem::Mode(facts.mode));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: u32 = 1000;

    fn judged_by(ours: u32, owner: u32, mode: u32) -> String {
        let is_file = true;
        let facts = Facts {
            is_file,
            owner,
            mode,
        };
        match check(&facts, ours) {
            Ok(()) => "fine".to_owned(),
            Err(problem) => problem.to_string(),
        }
    }

    fn judged(owner: u32, mode: u32) -> String {
        judged_by(OURS, owner, mode)
    }

    #[test]
    fn a_key_belongs_to_root_or_to_the_agent() {
        for owner in [0, OURS] {
            assert_eq!(judged(owner, 0o600), "fine");
        }
        assert!(judged(1001, 0o600).starts_with("it belongs to user 1001,"));
    }

    #[test]
    fn root_accepts_the_key_of_any_user_that_nobody_else_may_read() {
        assert_eq!(judged_by(0, 1001, 0o600), "fine");
        for mode in [0o640, 0o660, 0o604] {
            assert!(
                judged_by(0, 1001, mode).starts_with("its mode is "),
                "{mode:o}"
            );
        }
    }

    #[test]
    fn nobody_but_the_owner_may_do_anything_with_a_key() {
        for mode in [0o600, 0o400, 0o700, 0o200] {
            assert_eq!(judged(0, mode), "fine");
        }
        for bit in [0o040, 0o020, 0o010, 0o004, 0o002, 0o001] {
            let mode = 0o600 | bit;
            assert!(judged(0, mode).starts_with(&format!("its mode is 0{mode:o},")));
        }
    }
}
