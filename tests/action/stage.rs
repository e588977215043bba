//! What do the tests of scripts play on? A directory of root's, real scripts, and what was heard of them.

use std::fs;
use std::future::{Future, pending};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use floatlock::action::Line;
use floatlock::action::cgroup::Cgroup;
use floatlock::action::run::{Ended, Runner, Script, Stop};
use floatlock::sys::clock;
use tokio::sync::Notify;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_floatlock");
/// For what should not take any time at all, on a machine with much else to do.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// Of a script that is to be late.
pub(crate) const SHORT: Duration = Duration::from_secs(2);

/// A directory that nobody else can write to, gone with this.
pub(crate) struct Site(pub(crate) PathBuf);

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self(Path::new("/run").join(unique()));
        fs::create_dir(&site.0).unwrap();
        site.mode("", 0o755);
        site
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.at(name), PermissionsExt::from_mode(mode)).unwrap();
    }

    /// A script of this text, first line included. Written by another process: a file that is open for writing
    /// here could be for a moment in the child of another test, and could not be run.
    pub(crate) fn script(&self, text: &str) -> Script {
        let program = self.at(&format!("script-{}", unique()));
        let mut writer = Command::new("sh");
        writer
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(&program);
        let mut writer = writer.stdin(Stdio::piped()).spawn().unwrap();
        writer
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        assert!(writer.wait().unwrap().success());
        Script {
            program,
            args: Vec::new(),
            user: None,
            env: Vec::new(),
            input: Vec::new(),
            timeout: LONG,
        }
    }

    pub(crate) fn shell(&self, text: &str) -> Script {
        self.script(&format!("#!/bin/sh\n{text}\n"))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("floatlock-test-{}-{number}", std::process::id())
}

/// None, and said so, where this machine lets nobody make control groups.
pub(crate) fn cgroup() -> Option<Cgroup> {
    let cgroup = Cgroup::create(&unique());
    cgroup.inspect_err(|why| println!("SKIPPED: {why}")).ok()
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) ended: Ended,
    pub(crate) out: Vec<String>,
    pub(crate) err: Vec<String>,
    pub(crate) dropped: u64,
    pub(crate) took: Duration,
}

impl Heard {
    /// It ended well.
    #[track_caller]
    pub(crate) fn good(self) -> Self {
        assert!(self.ended.is_good(), "{self:#?}");
        self
    }

    /// The rest of the line that begins with this, as of /proc/self/status.
    #[track_caller]
    pub(crate) fn of(&self, name: &str) -> &str {
        let mut lines = self.out.iter();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(":\\t"));
        value
            .unwrap_or_else(|| panic!("no {name} in {self:#?}"))
            .trim()
    }

    /// The numbers that were said, one a line.
    #[track_caller]
    pub(crate) fn pids(&self) -> Vec<u32> {
        let pids: Option<_> = self.out.iter().map(|line| line.parse().ok()).collect();
        pids.unwrap_or_else(|| panic!("no pids in {self:#?}"))
    }
}

pub(crate) fn run(script: &Script) -> Heard {
    run_with(script, None, |_| pending())
}

/// Stopped when it has said `ready`.
pub(crate) fn run_until_ready(script: &Script, cgroup: Option<&Cgroup>, how: Stop) -> Heard {
    run_with(script, cgroup, async move |ready: &Notify| {
        ready.notified().await;
        how
    })
}

pub(crate) fn run_with<'a, S: Future<Output = Stop> + 'a>(
    script: &Script,
    cgroup: Option<&Cgroup>,
    stop: impl FnOnce(&'a Notify) -> S,
) -> Heard {
    let ready: &'a Notify = Box::leak(Box::default());
    block_on(hear(script, cgroup, stop(ready), ready))
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(future)
}

/// Runs a script, and tells when it has said `ready`.
pub(crate) async fn hear(
    script: &Script,
    cgroup: Option<&Cgroup>,
    stop: impl Future<Output = Stop>,
    ready: &Notify,
) -> Heard {
    let (mut out, mut err, mut dropped) = (Vec::new(), Vec::new(), 0);
    let mut say = |line: Line<'_>| match line {
        Line::Out("ready") => ready.notify_one(),
        Line::Out(text) => out.push(text.to_owned()),
        Line::Err(text) => err.push(text.to_owned()),
        Line::Dropped(bytes) => dropped += bytes,
    };
    let since = clock::now();
    let runner = Runner::with(PROGRAM);
    let ended = runner.run(script, cgroup, stop, &mut say).await;
    let took = clock::now().since(since);
    Heard {
        ended,
        out,
        err,
        dropped,
        took,
    }
}

/// Whether a process lives; not so one that is dead and not reaped.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Whether it is there at all, dead or not.
pub(crate) fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}
