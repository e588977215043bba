//! What belongs to a script, also what has left its process group? All that is in its control group.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::{mem, str};

use nix::fcntl::{Flock, FlockArg};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A control group of version 2 for one run of a script, below the agent's own.
///
/// What a script leaves behind stays in it; so it must not be used for a second run, whose end could end that too.
/// When this is dropped the directory goes, if nothing is left in there.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    /// Says to other agents that it is in use; the kernel takes it back if this one dies.
    _lock: Flock<File>,
}

/// Why there is no control group; scripts run without, as a process group.
#[derive(Debug, thiserror::Error)]
pub enum NoCgroup {
    /// None that this process could use.
    #[error("no cgroup2 is mounted that has this process in it")]
    NotMounted,
    /// Refused, often since it is mounted read-only.
    #[error("cannot make the cgroup {}: {source}", .path.display())]
    NotMade {
        /// Its directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// What earlier scripts of this name left behind is in all that there may be.
    #[error("the cgroup {} is in use, and so are {MOST} of this name", .path.display())]
    InUse {
        /// The first one.
        path: PathBuf,
    },
}

/// The beginning of the name where what is in it acts for a MASTER.
pub const UP: &str = "up";

/// How many of one name there may be, each with something in it that an earlier script has left behind.
const MOST: u32 = 100;
/// How often what is in there is killed one by one, since each time there may be children of theirs.
const ROUNDS: u32 = 10;

impl Cgroup {
    /// Makes one, `floatlock-script-NAME`; with a number behind it while another one of that name is in use.
    ///
    /// # Errors
    /// There is no cgroup2, or it cannot be written to.
    pub fn create(name: &str) -> Result<Self, NoCgroup> {
        let own = own().ok_or(NoCgroup::NotMounted)?;
        let first = own.join(format!("floatlock-script-{}", plain(name)));
        for number in 1..=MOST {
            let path = numbered(&first, number);
            match Self::take(&path) {
                Ok(Some(cgroup)) => return Ok(cgroup),
                Ok(None) => {}
                Err(source) => return Err(NoCgroup::NotMade { path, source }),
            }
        }
        Err(NoCgroup::InUse { path: first })
    }

    /// Kills what scripts of dead agents have left behind that acts for a MASTER: nobody holds for them any more.
    /// Returns how many processes that were.
    ///
    /// # Errors
    /// The directory of the agent's own cgroup cannot be read.
    pub fn sweep() -> io::Result<usize> {
        let Some(own) = own() else {
            return Ok(0);
        };
        let first = format!("floatlock-script-{UP}-");
        let mut count = 0;
        for entry in fs::read_dir(own)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with(&first) {
                continue;
            }
            let Ok(file) = File::open(entry.path()) else {
                // Gone already.
                continue;
            };
            // Locked: of an agent that lives.
            if let Ok(_lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                let path = entry.path();
                count += Self { path, _lock }.kill_all().unwrap_or_default();
            }
        }
        Ok(count)
    }

    fn kill_all(&self) -> io::Result<usize> {
        let count = self.pids()?.len();
        self.kill()?;
        Ok(count)
    }

    /// None if it is in use. An empty one that a dead agent has left behind is as good as a new one.
    fn take(path: &Path) -> io::Result<Option<Self>> {
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let lock = Flock::lock(File::open(path)?, FlockArg::LockExclusiveNonblock);
        let Ok(_lock) = lock else {
            return Ok(None);
        };
        let path = path.to_owned();
        let cgroup = Self { path, _lock };
        Ok(cgroup.is_empty()?.then_some(cgroup))
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Kills all that is in it, at once and without a gap for those that fork.
    ///
    /// # Errors
    /// Not permitted; or on an old kernel, some of it lives on.
    pub fn kill(&self) -> io::Result<()> {
        match fs::write(self.path.join("cgroup.kill"), "1") {
            // Linux before 5.14.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.kill_one_by_one(),
            done => done,
        }
    }

    fn kill_one_by_one(&self) -> io::Result<()> {
        for _ in 0..ROUNDS {
            let pids = self.pids()?;
            if pids.is_empty() {
                return Ok(());
            }
            let held: Vec<_> = pids.into_iter().filter_map(hold).collect();
            // Who is listed still is who was listed before, since its number is held; who is not may be anybody.
            let pids = self.pids()?;
            for (_, process) in held.iter().filter(|(pid, _)| pids.contains(pid)) {
                // Gone already.
                let _ = pidfd_send_signal(process, Signal::KILL);
            }
        }
        Err(io::Error::other("some of it lives on"))
    }

    /// The processes in it, and in what a script may have made below it, without those that are dead and not reaped
    /// yet.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn pids(&self) -> io::Result<Vec<i32>> {
        let mut all = Vec::new();
        collect(&self.path, &mut all)?;
        Ok(all)
    }

    /// Whether nothing lives in it, nor in what a script may have made below it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_empty(&self) -> io::Result<bool> {
        let text = fs::read_to_string(self.path.join("cgroup.events"))?;
        Ok(text.lines().any(|line| line == "populated 0"))
    }

    /// Removes it.
    ///
    /// # Errors
    /// Something is left in it.
    pub fn remove(mut self) -> io::Result<()> {
        remove_all(&mem::take(&mut self.path))
    }
}

fn collect(path: &Path, all: &mut Vec<i32>) -> io::Result<()> {
    let text = fs::read_to_string(path.join("cgroup.procs"))?;
    // Those that this process cannot see are all called 0.
    let pids = text.lines().filter_map(|line| line.parse::<i32>().ok());
    all.extend(pids.filter(|pid| *pid != 0));
    for below in below_of(path) {
        // It may just have gone.
        let _ = collect(&below, all);
    }
    Ok(())
}

fn below_of(path: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    entries.map(|entry| entry.path())
}

/// With all that is below it, as far as nothing lives in there.
fn remove_all(path: &Path) -> io::Result<()> {
    below_of(path).for_each(|below| drop(remove_all(&below)));
    fs::remove_dir(path)
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // What is left in there needs it still, and the next one of this name gets a number.
        let _ = remove_all(&self.path);
    }
}

fn hold(pid: i32) -> Option<(i32, std::os::fd::OwnedFd)> {
    let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    Some((pid, process))
}

fn numbered(first: &Path, number: u32) -> PathBuf {
    let mut path = first.as_os_str().to_owned();
    if number > 1 {
        path.push(format!("-{number}"));
    }
    path.into()
}

/// A name as a part of a file name.
fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let chars = name.chars().take(64);
    chars.map(|c| if is_plain(c) { c } else { '_' }).collect()
}

/// The directory of the control group that this process is in.
fn own() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    let mut mounts = mounts.split(|byte| *byte == b'\n');
    mounts.find_map(|line| {
        let own = below(str::from_utf8(line).ok()?, group)?;
        // Only version 2 has it, and another file system may hide it.
        own.join("cgroup.controllers").exists().then_some(own)
    })
}

/// Where a control group is, if this line of mountinfo is of a cgroup2 with it in there.
fn below(line: &str, group: &str) -> Option<PathBuf> {
    let (mount, kind) = line.split_once(" - ")?;
    if kind.split(' ').next()? != "cgroup2" {
        return None;
    }
    let mut words = mount.split(' ').skip(3);
    let (root, at) = (unescape(words.next()?), unescape(words.next()?));
    let inside = Path::new(group).strip_prefix(root).ok()?;
    Some(Path::new(&at).join(inside))
}

/// The kernel writes blanks and backslashes as `\040` and `\134`.
fn unescape(word: &str) -> String {
    let mut parts = word.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                text.push(char::from(code));
                text.push_str(&part[3..]);
            }
            None => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// None, and said so, where this machine lets nobody make one.
    fn cgroup(name: &str) -> Option<Cgroup> {
        let made = Cgroup::create(&format!("test-{}-{name}", std::process::id()));
        made.inspect_err(|why| println!("SKIPPED: {why}")).ok()
    }

    /// A shell in the control group that has made itself a session and a child; both wait for ever.
    fn family(cgroup: &Cgroup) -> Child {
        let procs = cgroup.path().join("cgroup.procs");
        let script = format!("echo 0 > {}; sleep 1000 & echo; wait", procs.display());
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", &script]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        child
    }

    fn ends(cgroup: &Cgroup, mut child: Child) {
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        while !cgroup.is_empty().unwrap() {
            crate::sys::clock::sleep(std::time::Duration::from_millis(5));
        }
        assert!(cgroup.pids().unwrap().is_empty());
    }

    #[test]
    fn all_that_is_in_it_is_killed_at_once() {
        let Some(cgroup) = cgroup("once") else { return };
        let child = family(&cgroup);
        assert!(cgroup.pids().unwrap().len() >= 2);
        assert!(!cgroup.is_empty().unwrap());
        cgroup.kill().unwrap();
        ends(&cgroup, child);
        cgroup.remove().unwrap();
    }

    #[test]
    fn an_old_kernel_kills_one_by_one() {
        let Some(cgroup) = cgroup("old") else { return };
        let child = family(&cgroup);
        // Killed is not dead yet, so that the rounds may be over before.
        let _ = cgroup.kill_one_by_one();
        ends(&cgroup, child);
        cgroup.kill_one_by_one().unwrap();
    }

    #[test]
    fn one_in_use_is_not_used_twice_and_an_empty_one_that_was_left_is_used_again() {
        let Some(first) = cgroup("twice") else { return };
        let second = cgroup("twice").unwrap();
        assert_ne!(first.path(), second.path());
        let (path, second_path) = (first.path().to_owned(), second.path().to_owned());
        drop((first, second));
        assert!(!path.exists() && !second_path.exists());
        fs::create_dir(&path).unwrap();
        let again = cgroup("twice").unwrap();
        assert_eq!(again.path(), path);
        again.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_lives_in_it_keeps_it() {
        let Some(cgroup) = cgroup("kept") else { return };
        let (path, child) = (cgroup.path().to_owned(), family(&cgroup));
        drop(cgroup);
        assert!(path.exists());
        let other = self::cgroup("kept").unwrap();
        assert_ne!(other.path(), path);
        fs::write(path.join("cgroup.kill"), "1").unwrap();
        drop(child.wait_with_output());
        while fs::remove_dir(&path).is_err() {
            crate::sys::clock::sleep(std::time::Duration::from_millis(5));
        }
    }

    #[test]
    fn what_a_dead_agent_s_master_has_left_is_swept_away_and_nothing_of_a_living_one() {
        let name = |end: &str| format!("{UP}-test-{}-{end}", std::process::id());
        let Ok(living) = Cgroup::create(&name("living")) else {
            return println!("SKIPPED");
        };
        let dead = Cgroup::create(&name("dead")).unwrap();
        let path = dead.path().to_owned();
        let (mut stays, goes) = (family(&living), family(&dead));
        drop(dead);
        assert!(Cgroup::sweep().unwrap() >= 2);
        assert_eq!(goes.wait_with_output().unwrap().status.signal(), Some(9));
        assert_eq!(stays.try_wait().unwrap(), None);
        living.kill().unwrap();
        ends(&living, stays);
        while path.exists() {
            let _ = fs::remove_dir(&path);
            crate::sys::clock::sleep(std::time::Duration::from_millis(5));
        }
    }

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        assert_eq!(plain("../we b/é"), ".._we_b__");
        assert_eq!(plain(&"x".repeat(1000)).len(), 64);
    }

    #[test]
    fn the_control_group_is_found_in_the_line_of_its_mount() {
        let line = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        let at = |path: &str| Some(PathBuf::from(path));
        assert_eq!(below(line, "/"), at("/sys/fs/cgroup/unified/"));
        assert_eq!(below(line, "/a/b"), at("/sys/fs/cgroup/unified/a/b"));
        let part = "41 31 0:38 /a /my\\040own rw shared:7 - cgroup2 none rw";
        assert_eq!(below(part, "/a/b"), at("/my own/b"));
        assert_eq!(below(part, "/c"), None);
        assert_eq!(
            below("41 31 0:38 / /x rw - cgroup cgroup rw,cpu", "/"),
            None
        );
        assert_eq!(below("", "/"), None);
    }

    #[test]
    fn only_what_the_kernel_escapes_is_unescaped() {
        assert_eq!(unescape("a\\040b\\134c\\"), "a b\\c\\");
        assert_eq!(unescape("\\é40"), "\\é40");
    }
}
