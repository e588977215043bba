//! How does one run of a script go? From the check of its path to the word about how it ended, in time.
//!
//! The word comes at the latest 1.2 s after the deadline, or after somebody wants an end, whatever the
//! script does, and also when the kernel does not let it die.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{fmt, future::pending, io, thread};

use nix::sys::signal::Signal;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep, timeout};

use super::cgroup::Cgroup;
use super::output::{Line, Output};
use super::pipes::Pipes;
use super::process::Process;
use super::{launch, path};

/// How long a script has, after it was asked to end, until it is killed.
const GRACE: Duration = Duration::from_secs(1);
/// How long what was killed may take to be dead. What hangs in the kernel takes longer.
const DEATH_WITHIN: Duration = Duration::from_millis(200);
/// Of every script, whatever the agent's own is.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A script, and what it gets.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its file.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Whom it runs as; otherwise as the agent does, without the agent's capabilities.
    pub user: Option<String>,
    /// Its environment, beside `PATH`: nothing of the agent's is in there.
    pub env: Vec<(&'static str, String)>,
    /// What it can read from standard input.
    pub input: Vec<u8>,
    /// How long it may take.
    pub timeout: Duration,
}

/// How a run has ended.
///
/// Dead is a script when neither its process lives, nor any other of its process group, nor of its control
/// group where it has one. What is not dead has got SIGKILL, and dies when the kernel lets it.
#[derive(Debug)]
pub enum Ended {
    /// By itself, with this code. 125, 126 and 127 may come from the launch, which says why on standard error.
    Exit(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// It was ended at its deadline.
    Late {
        /// Whether it is dead.
        is_dead: bool,
    },
    /// It was ended since somebody wanted that.
    Killed {
        /// Whether it is dead.
        is_dead: bool,
    },
    /// It was not started: others can change it, or it is no program.
    Refused(path::Unsafe),
    /// It was not started: the system refused.
    Failed(io::Error),
}

impl Ended {
    /// Whether the script has done what it should.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Exit(0))
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Failed(io::Error::other("it ended in an unknown way")),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fate = |is_dead: &bool| {
            if *is_dead {
                ""
            } else {
                ", but it is not dead yet"
            }
        };
        match self {
            Self::Exit(0) => f.write_str("done"),
            Self::Exit(code) => write!(f, "failed with exit code {code}"),
            Self::Signal(signal) => match Signal::try_from(*signal) {
                Ok(name) => write!(f, "died of {name}"),
                Err(_) => write!(f, "died of signal {signal}"),
            },
            Self::Late { is_dead } => write!(f, "took too long and was killed{}", fate(is_dead)),
            Self::Killed { is_dead } => write!(f, "was stopped{}", fate(is_dead)),
            Self::Refused(why) => write!(f, "was not started: {why}"),
            Self::Failed(why) => write!(f, "could not be started: {why}"),
        }
    }
}

/// How somebody wants a run to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM, and a second later SIGKILL.
    Gently,
    /// SIGKILL.
    AtOnce,
}

/// Runs scripts.
#[derive(Clone, Debug)]
pub struct Runner {
    /// This program.
    launcher: PathBuf,
}

impl Default for Runner {
    fn default() -> Self {
        // Also when an update has replaced the file: the launcher has to understand what this one says.
        Self::with("/proc/self/exe")
    }
}

impl Runner {
    /// One that starts scripts through another `floatlock`, where this program is none.
    pub fn with(launcher: impl Into<PathBuf>) -> Self {
        let launcher = launcher.into();
        Self { launcher }
    }

    /// Runs a script until it has ended: by itself, at its deadline, or when `stop` says so. What it says is
    /// passed on meanwhile.
    ///
    /// What it has left behind when it ends by itself lives on, in `cgroup` if there is one. If this is dropped
    /// before, all is killed.
    ///
    /// To be called in a runtime of tokio with I/O and time.
    pub async fn run(
        &self,
        script: &Script,
        cgroup: Option<&Cgroup>,
        stop: impl Future<Output = Stop>,
        say: &mut dyn FnMut(Line<'_>),
    ) -> Ended {
        let mut end = End {
            late: pin!(sleep(script.timeout)),
            stop: pin!(stop),
        };
        let checked = tokio::select! {
            biased;
            checked = check(script.program.clone()) => checked,
            why = end.wanted() => return why.ended(false),
        };
        if let Err(ended) = checked {
            return ended;
        }
        let begun = self.spawn(script, cgroup).and_then(|mut child| {
            let pipes = Pipes::of(&mut child, script.input.clone());
            Process::of(child, cgroup).and_then(|process| Ok((process, pipes?)))
        });
        match begun {
            Ok((process, pipes)) => hear(process, pipes, end, say).await,
            Err(error) => Ended::Failed(error),
        }
    }

    fn spawn(&self, script: &Script, cgroup: Option<&Cgroup>) -> io::Result<Child> {
        let program = std::path::absolute(&script.program)?;
        let user = script.user.as_deref();
        Command::new(&self.launcher)
            .args(launch::arguments(cgroup.map(Cgroup::path), user, &program))
            .args(&script.args)
            .env_clear()
            .env("PATH", PATH)
            .envs(script.env.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }
}

/// Whether the script may be run. Looked at from a thread: its file system may hang, for longer than the script has.
async fn check(program: PathBuf) -> Result<(), Ended> {
    let (answer, checked) = oneshot::channel();
    let check = move || {
        // Nobody may want to know any more.
        let _ = answer.send(path::check(Path::new(&program)));
    };
    let thread = thread::Builder::new().stack_size(256 << 10);
    thread.spawn(check).map_err(Ended::Failed)?;
    match checked.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(why)) => Err(Ended::Refused(why)),
        Err(gone) => Err(Ended::Failed(io::Error::other(gone))),
    }
}

/// Its output is heard until it has ended, and not until the pipes are closed: what it has left behind may hold
/// them for ever.
async fn hear(
    mut process: Process<'_>,
    mut pipes: Pipes,
    end: End<'_, impl Future<Output = Stop>>,
    say: &mut dyn FnMut(Line<'_>),
) -> Ended {
    let mut output = Output::new(say);
    let ended = tokio::select! {
        biased;
        ended = oversee(&mut process, end) => ended,
        never = pipes.pump(&mut output) => match never {},
    };
    pipes.drain(&mut output);
    output.finish();
    ended
}

async fn oversee(process: &mut Process<'_>, mut end: End<'_, impl Future<Output = Stop>>) -> Ended {
    let why = tokio::select! {
        biased;
        () = process.ended() => return process.reap().map_or_else(Ended::Failed, Ended::from),
        why = end.wanted() => why,
    };
    if why != Why::Stop(Stop::AtOnce) {
        process.terminate();
        tokio::select! {
            () = process.gone() => {}
            () = sleep(GRACE) => {}
            () = end.wanted_sooner(why) => {}
        }
    }
    process.kill();
    why.ended(timeout(DEATH_WITHIN, process.gone()).await.is_ok())
}

/// What a run does not outlive.
struct End<'a, S> {
    late: Pin<&'a mut Sleep>,
    stop: Pin<&'a mut S>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Late,
    Stop(Stop),
}

impl Why {
    fn ended(self, is_dead: bool) -> Ended {
        match self {
            Self::Late => Ended::Late { is_dead },
            Self::Stop(_) => Ended::Killed { is_dead },
        }
    }
}

impl<S: Future<Output = Stop>> End<'_, S> {
    async fn wanted(&mut self) -> Why {
        tokio::select! {
            biased;
            stop = &mut self.stop => Why::Stop(stop),
            () = &mut self.late => Why::Late,
        }
    }

    /// Somebody may want a late script to be dead at once. Who has said `stop` has no other word.
    async fn wanted_sooner(&mut self, why: Why) {
        if why != Why::Late || self.stop.as_mut().await != Stop::AtOnce {
            pending().await
        }
    }
}
