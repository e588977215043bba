//! How is a program on a host followed? Its lines as they come, its end, and signals to it.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2};
use rustix::process::{PidfdFlags, pidfd_open};

use super::{LabError, clock};
use crate::core::Instant;

/// Lines that are kept of one program; the oldest go first.
const LINES_MAX: usize = 20_000;
/// Bytes that are kept of one line.
const LINE_BYTES_MAX: u64 = 4096;
/// Lines that an error shows.
const LINES_SHOWN: usize = 10;
/// How long after its end a program's last lines may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One line of a program's output, standard output and standard error alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was read.
    pub at: Instant,
    /// Without its end.
    pub text: String,
}

/// A program that was just started and is not followed yet.
#[derive(Debug)]
pub(super) struct Started {
    child: Child,
    end: OwnedFd,
    pipe: OwnedFd,
}

/// Starts `command` in the namespaces of the calling thread.
pub(super) fn start(mut command: Command) -> io::Result<Started> {
    use std::os::unix::process::CommandExt;
    let (pipe, output) = pipe2(OFlag::O_CLOEXEC)?;
    let errors = output.try_clone()?;
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    // Its own group: Ctrl-C in the terminal is for the laboratory, which ends its programs itself.
    let child = command.process_group(0).spawn()?;
    let end = pidfd_open(
        rustix::process::Pid::from_child(&child),
        PidfdFlags::empty(),
    )?;
    // The command goes here, and with it the last copies of the writing end on this side.
    Ok(Started { child, end, pipe })
}

impl Started {
    /// As this process sees it.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// A program that runs on a host. Dropping it kills it.
#[derive(Debug)]
#[must_use = "a program ends when its handle is dropped"]
pub struct Process {
    name: String,
    child: Arc<Mutex<Child>>,
    end: OwnedFd,
    output: Arc<Output>,
}

impl Process {
    /// Follows a program that was started.
    pub(super) fn follow(name: &str, started: Started) -> Result<Self, LabError> {
        let process = Self {
            name: name.to_owned(),
            child: Arc::new(Mutex::new(started.child)),
            end: started.end,
            output: Arc::default(),
        };
        let output = Arc::clone(&process.output);
        thread::Builder::new()
            .name(format!("{name} lines"))
            .spawn(move || output.read(started.pipe))
            .map_err(LabError::io(format!("reading from {name}")))?;
        Ok(process)
    }

    /// The child, for the host that must reap it when it loses power.
    pub(super) fn child(&self) -> Arc<Mutex<Child>> {
        Arc::clone(&self.child)
    }

    /// The program and its host: `haproxy on lb-a`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number in the process namespace of the laboratory.
    #[must_use]
    pub fn pid(&self) -> u32 {
        lock(&self.child).id()
    }

    /// Everything that it printed so far (at most the last 20 000 lines).
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        lock(&self.output.state).lines.iter().cloned().collect()
    }

    /// Its last lines as one text, for a report.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> String {
        self.output.last(count)
    }

    /// Waits until it has printed a line that contains `pattern`; lines of before count as well.
    ///
    /// # Errors
    /// [`LabError::NoLine`] after `within`, or as soon as the program has ended without it.
    pub fn wait_for_line(&self, pattern: &str, within: Duration) -> Result<Line, LabError> {
        self.wait_for_line_after(Instant::default(), pattern, within)
    }

    /// Like [`Process::wait_for_line`], without the lines that were read before `after`.
    ///
    /// # Errors
    /// [`LabError::NoLine`] after `within`, or as soon as the program has ended without it.
    pub fn wait_for_line_after(
        &self,
        after: Instant,
        pattern: &str,
        within: Duration,
    ) -> Result<Line, LabError> {
        let found = self.output.wait(within, |state| {
            let first = state.lines.partition_point(|line| line.at < after);
            let mut lines = state.lines.range(first..);
            lines.find(|line| line.text.contains(pattern)).cloned()
        });
        found.ok_or_else(|| LabError::NoLine {
            program: self.name.clone(),
            pattern: pattern.to_owned(),
            within,
            last: self.last_lines(LINES_SHOWN),
        })
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// [`LabError::Io`] when it has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), LabError> {
        let mut child = lock(&self.child);
        // Not reaped, and nobody else reaps it while we hold the lock: the number is still its own.
        let sent = match child.try_wait() {
            Ok(None) => kill(pid_of(&child), signal).map_err(io::Error::from),
            Ok(Some(_)) => Err(Errno::ESRCH.into()),
            Err(error) => Err(error),
        };
        sent.map_err(LabError::io(format!("sending {signal} to {}", self.name)))
    }

    /// Kills it and waits for its end; programs that it has started are not touched.
    pub fn kill(&self) {
        let mut child = lock(&self.child);
        // It may have ended already; then there is nothing to kill.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`LabError::NoEnd`] after `within`.
    pub fn wait(&self, within: Duration) -> Result<ExitStatus, LabError> {
        if !self.has_ended(within)? {
            return Err(LabError::NoEnd {
                program: self.name.clone(),
                within,
                last: self.last_lines(LINES_SHOWN),
            });
        }
        let status = lock(&self.child).wait();
        // A grandchild may keep the pipe open for ever: its lines are not waited for.
        self.output.wait_for_end(LAST_WORDS);
        status.map_err(LabError::io(format!("waiting for {}", self.name)))
    }

    /// Whether it ends within that time.
    ///
    /// # Errors
    /// [`LabError::Io`] when the kernel cannot say.
    pub fn has_ended(&self, within: Duration) -> Result<bool, LabError> {
        let until = clock::now() + within;
        loop {
            let left = until.since(clock::now()).as_millis();
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut ends = [PollFd::new(self.end.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ends, timeout) {
                Ok(0) if left == 0 => return Ok(false),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => {
                    return Err(LabError::io(format!("waiting for {}", self.name))(error));
                }
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn pid_of(child: &Child) -> Pid {
    // Linux numbers processes below 2^22.
    Pid::from_raw(child.id() as i32)
}

/// A panic elsewhere does not make a line or a child less true.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Line>,
    ended: bool,
}

impl Output {
    fn read(&self, pipe: OwnedFd) {
        let mut pipe = BufReader::new(std::fs::File::from(pipe));
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let read = (&mut pipe)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut bytes);
            if !matches!(read, Ok(1..)) {
                break;
            }
            self.push(String::from_utf8_lossy(&bytes).trim_end().to_owned());
        }
        lock(&self.state).ended = true;
        self.changed.notify_all();
    }

    fn push(&self, text: String) {
        let at = clock::now();
        let mut state = lock(&self.state);
        if state.lines.len() == LINES_MAX {
            state.lines.pop_front();
        }
        state.lines.push_back(Line { at, text });
        self.changed.notify_all();
    }

    fn last(&self, count: usize) -> String {
        let state = lock(&self.state);
        let from = state.lines.len().saturating_sub(count);
        let lines: Vec<&str> = state.lines.range(from..).map(|l| l.text.as_str()).collect();
        lines.join("\n")
    }

    /// Waits until `question` has an answer or no more lines can come.
    fn wait<T>(&self, within: Duration, question: impl Fn(&State) -> Option<T>) -> Option<T> {
        let state = lock(&self.state);
        let wait = self.changed.wait_timeout_while(state, within, |state| {
            !state.ended && question(state).is_none()
        });
        let (state, _) = wait.unwrap_or_else(PoisonError::into_inner);
        question(&state)
    }

    fn wait_for_end(&self, within: Duration) {
        // Nothing asks, so only the end answers.
        let _: Option<()> = self.wait(within, |_| None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::follow("sh", start(command).unwrap()).unwrap()
    }

    #[test]
    fn lines_of_both_outputs_are_read_in_order() {
        let process = shell("echo one; echo two >&2; printf three");
        assert!(process.wait(SOON).unwrap().success());
        let texts: Vec<String> = process.lines().into_iter().map(|l| l.text).collect();
        assert_eq!(texts, ["one", "two", "three"]);
        assert_eq!(process.last_lines(2), "two\nthree");
    }

    #[test]
    fn a_line_is_awaited_and_its_absence_is_an_error_with_the_last_lines() {
        let process = shell("echo ready; exec cat /dev/zero");
        assert_eq!(process.wait_for_line("ready", SOON).unwrap().text, "ready");
        let process = shell("echo something else");
        let error = process.wait_for_line("ready", SOON).unwrap_err();
        assert!(error.to_string().ends_with("something else"), "{error}");
    }

    #[test]
    fn a_line_of_before_does_not_count_after() {
        let process = shell("echo go; read line < /dev/null; kill -STOP $$; echo go");
        let first = process.wait_for_line("go", SOON).unwrap();
        let after = first.at + Duration::from_nanos(1);
        assert!(
            process
                .wait_for_line_after(after, "go", Duration::ZERO)
                .is_err()
        );
        process.wait_until_stopped();
        process.signal(Signal::SIGCONT).unwrap();
        assert!(process.wait_for_line_after(after, "go", SOON).is_ok());
    }

    #[test]
    fn a_signal_ends_it_and_a_second_one_has_no_receiver() {
        let process = shell("exec sleep 1000");
        assert!(!process.has_ended(Duration::ZERO).unwrap());
        process.signal(Signal::SIGTERM).unwrap();
        assert!(!process.wait(SOON).unwrap().success());
        assert!(process.signal(Signal::SIGTERM).is_err());
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let process = shell("head -c 10000 /dev/zero | tr '\\0' x");
        process.wait(SOON).unwrap();
        let lengths: Vec<usize> = process.lines().iter().map(|l| l.text.len()).collect();
        assert_eq!(lengths, [4096, 4096, 1808]);
    }

    impl Process {
        fn wait_until_stopped(&self) {
            let status = format!("/proc/{}/stat", self.pid());
            let stopped = || std::fs::read_to_string(&status).unwrap().contains(") T ");
            assert!(clock::wait_until(SOON, stopped));
        }
    }
}
