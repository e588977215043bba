//! What happens between the agent and a script? A process becomes an ordinary one, then it becomes the script.
//!
//! It is a program of its own, since little may be done in a copy of the agent before it runs another
//! program: there are other threads, whose locks nobody would give back.

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use nix::unistd::{User, geteuid, getresgid, getresuid, initgroups, setresgid, setresuid};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit, umask};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
};

use crate::sys::{inherit, realtime};

/// The command of the process, which nobody types.
pub const COMMAND: &str = "launch-script";

/// Whom scripts run as unless the operator says otherwise.
const USER: &str = "floatlock-script";

/// What the process becomes.
#[derive(Debug)]
pub struct Launch {
    /// The directory of the control group that it joins.
    pub cgroup: Option<PathBuf>,
    /// The user, with the groups of that user; otherwise it stays who it is.
    pub user: Option<String>,
    /// The script.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// Why there is no script.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The process could not be made an ordinary one.
    #[error("the script was not started: {0}")]
    Unprepared(#[from] Unprepared),
    /// It is not there, or the program that its first line names is not.
    #[error("cannot run {}: {source}", .program.display())]
    NotFound {
        /// The script.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It cannot be run.
    #[error("cannot run {}: {source}", .program.display())]
    NotExecutable {
        /// The script.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Failure {
    /// The exit code, as of `env` and `timeout`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unprepared(_) => 125,
            Self::NotExecutable { .. } => 126,
            Self::NotFound { .. } => 127,
        }
    }
}

/// What could not be done, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {source}")]
pub struct Unprepared {
    what: String,
    source: io::Error,
}

/// `floatlock-script`, if there is such a user and this process may become another one.
#[must_use]
pub fn default_user() -> Option<String> {
    // It is this that counts: in a container root may lack it too.
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    let may_change = capabilities(None).is_ok_and(|own| own.effective.contains(needed));
    let exists = || matches!(User::from_name(USER), Ok(Some(_)));
    (may_change && exists()).then(|| USER.to_owned())
}

/// Becomes the script, so that it returns only if that is impossible. For a process of one thread.
#[must_use]
pub fn launch(launch: Launch) -> Failure {
    if let Err(unprepared) = prepare(&launch) {
        return unprepared.into();
    }
    inherit::reset_signals();
    let program = launch.program;
    let source = Command::new(&program).args(launch.args).exec();
    match source.kind() {
        io::ErrorKind::NotFound => Failure::NotFound { program, source },
        _ => Failure::NotExecutable { program, source },
    }
}

/// First what needs permission, then the user, then what is left of permission goes.
fn prepare(launch: &Launch) -> Result<(), Unprepared> {
    // Before the cgroup, which may have no room for a process in real time.
    be_ordinary();
    if let Some(cgroup) = &launch.cgroup {
        fs::write(cgroup.join("cgroup.procs"), "0")
            .map_err(to(format!("join the cgroup {}", cgroup.display())))?;
    }
    env::set_current_dir("/").map_err(to("go to /"))?;
    // On an old kernel: the agent's own descriptors are not inherited anyway.
    let _ = inherit::close_at_exec(3);
    if let Some(name) = &launch.user {
        become_user(name)?;
    }
    drop_capabilities()
}

/// What the agent has for itself. Whatever cannot be given back does no harm.
fn be_ordinary() {
    let _ = fs::write("/proc/self/oom_score_adj", "0");
    let _ = realtime::schedule_other();
    let _ = setpriority_process(None, 0);
    for (resource, plain) in [
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
        (Resource::Memlock, PLAIN_MEMLOCK),
    ] {
        let lower = |limit: Option<u64>| Some(limit.map_or(plain, |limit| limit.min(plain)));
        let Rlimit { current, maximum } = getrlimit(resource);
        let (current, maximum) = (lower(current), lower(maximum));
        let _ = setrlimit(resource, Rlimit { current, maximum });
    }
    umask(Mode::WGRP | Mode::WOTH);
}

/// What the kernel and systemd give to everybody.
const PLAIN_MEMLOCK: u64 = 8 << 20;

/// The groups first, since afterwards that is not permitted.
fn become_user(name: &str) -> Result<(), Unprepared> {
    let found = User::from_name(name).map_err(to(format!("look up the user {name}")))?;
    let missing = || to(format!("become {name}"))(io::Error::other("there is no such user"));
    let user = found.ok_or_else(missing)?;
    if is(&user) && !geteuid().is_root() {
        return Ok(());
    }
    let to = to(format!("become {name}"));
    let change = || {
        let (uid, gid) = (user.uid, user.gid);
        initgroups(&CString::new(user.name.as_str())?, gid)?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
        let failed = || io::Error::other("the kernel has not done it");
        is(&user).then_some(()).ok_or_else(failed)
    };
    change().map_err(to)
}

/// Whether this process is of that user, with no way back.
fn is(user: &User) -> bool {
    let is_uid = getresuid().is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [user.uid; 3]);
    is_uid && getresgid().is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [user.gid; 3])
}

/// Root keeps its own; nobody passes any on.
fn drop_capabilities() -> Result<(), Unprepared> {
    let drop = || {
        // A kernel that does not know them has none.
        let _ = clear_ambient_capability_set();
        let none = CapabilitySet::empty();
        let mut sets = capabilities(None)?;
        sets.inheritable = none;
        if !geteuid().is_root() {
            (sets.permitted, sets.effective) = (none, none);
        }
        set_capabilities(None, sets)?;
        let is: CapabilitySets = capabilities(None)?;
        let failed = || io::Error::other("the kernel has not done it");
        (is == sets).then_some(()).ok_or_else(failed)
    };
    drop().map_err(to("drop the capabilities"))
}

fn to<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Unprepared {
    let what = what.into();
    |error| Unprepared {
        what,
        source: error.into(),
    }
}

/// The arguments of this program by which it does it.
pub(super) fn arguments(
    cgroup: Option<&Path>,
    user: Option<&str>,
    program: &Path,
) -> Vec<OsString> {
    let mut arguments = vec![OsString::from(COMMAND)];
    if let Some(cgroup) = cgroup {
        arguments.extend(["--cgroup".into(), cgroup.into()]);
    }
    if let Some(user) = user {
        // As one word, whatever the name begins with.
        arguments.push(format!("--user={user}").into());
    }
    arguments.extend(["--".into(), program.into()]);
    arguments
}
