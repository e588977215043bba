//! How is an agent followed? By the roles in its log, and by its own status.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use floatlock::control::status::{GroupStatus, Status};
use floatlock::control::{Request, Response, client};
use floatlock::core::Instant;
use floatlock::lab::{Host, Process, clock};
use nix::sys::signal::Signal;

use crate::config::Config;
use crate::site::SOON;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_floatlock");
pub(crate) const FILE: &str = "floatlock.toml";
const RUNTIME_DIR: &str = "/run/floatlock";

/// A running agent.
pub(crate) struct Agent {
    pub(crate) host: Host,
    pub(crate) process: Process,
}

/// A change of role, as the log tells it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) at: Instant,
    pub(crate) group: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) cause: String,
}

/// What a command of `floatlock` did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) output: String,
}

/// Runs `floatlock` with these arguments on the host, to its end.
pub(crate) fn floatlock(host: &Host, arguments: &[&str]) -> Ran {
    let mut command = Command::new(PROGRAM);
    command.args(arguments);
    run(host, command)
}

/// Runs a program on the host, to its end.
pub(crate) fn run(host: &Host, command: Command) -> Ran {
    let process = host.spawn(command).unwrap();
    let status = process.wait(SOON).unwrap();
    Ran {
        code: status.code().expect("not killed by a signal"),
        output: process.last_lines(usize::MAX),
    }
}

impl Agent {
    /// Starts it with this configuration; does not wait for anything.
    pub(crate) fn start(host: &Host, config: &Config) -> Self {
        Self::start_as(host, config, |_| {})
    }

    /// The same, with something done to the command before it runs.
    pub(crate) fn start_as(
        host: &Host,
        config: &Config,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let file = write(host, config);
        let mut command = Command::new(PROGRAM);
        command.args(["run", "-c"]).arg(file);
        change(&mut command);
        Self {
            host: host.clone(),
            process: host.spawn(command).unwrap(),
        }
    }

    /// Writes another configuration and has it reloaded; returns once the log says so.
    pub(crate) fn reload(&self, config: &Config) {
        write(&self.host, config);
        let before = clock::now();
        self.signal(Signal::SIGHUP);
        self.said_after(before, "reloaded: ");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal).unwrap();
    }

    /// Stops it as systemd does, and demands that all went well.
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGTERM);
        self.demand_good_end();
    }

    pub(crate) fn demand_good_end(&self) {
        let status = self.process.wait(SOON).unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        let lines = self.process.last_lines(60);
        format!("\n--- {}\n{lines}\n---", self.process.name())
    }

    /// How often the log contains this.
    pub(crate) fn count(&self, pattern: &str) -> usize {
        let lines = self.process.lines();
        lines.iter().filter(|l| l.text.contains(pattern)).count()
    }

    /// Waits until the log says this.
    pub(crate) fn said(&self, pattern: &str) -> String {
        self.said_after(Instant::default(), pattern)
    }

    pub(crate) fn said_after(&self, after: Instant, pattern: &str) -> String {
        let line = self.process.wait_for_line_after(after, pattern, SOON);
        line.unwrap_or_else(|error| panic!("{error}")).text
    }

    /// Every change of role so far.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let lines = self.process.lines();
        lines.iter().filter_map(|l| change(l.at, &l.text)).collect()
    }

    /// How many changes of role there were so far.
    pub(crate) fn mark(&self) -> usize {
        self.changes().len()
    }

    /// The names of the roles that the group has had, the first one first.
    pub(crate) fn roles(&self, group: &str) -> Vec<String> {
        let changes = self.changes();
        let of_group = changes.into_iter().filter(|c| c.group == group);
        of_group.map(|c| c.to).collect()
    }

    /// Waits until `web` becomes this at any time, and returns the first change to it.
    pub(crate) fn becomes(&self, role: &str) -> Change {
        self.becomes_after(0, "web", role)
    }

    /// Waits until the group becomes this after so many changes of role ([`Agent::mark`]).
    pub(crate) fn becomes_after(&self, mark: usize, group: &str, role: &str) -> Change {
        let mut found = None;
        let wanted = |c: &Change| c.group == group && c.to == role;
        clock::wait_until(SOON, || {
            found = self.changes().into_iter().skip(mark).find(wanted);
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("{group} never became {role}: {}", self.log()))
    }

    /// What the agent says of itself, once it does.
    pub(crate) fn status(&self) -> Status {
        let mut status = None;
        clock::wait_until(SOON, || {
            status = self.status_now();
            status.is_some()
        });
        status.unwrap_or_else(|| panic!("no status: {}", self.log()))
    }

    fn status_now(&self) -> Option<Status> {
        let ask = || client::ask(Path::new(RUNTIME_DIR), &Request::Status {});
        match self.host.run(ask).unwrap() {
            Ok(Response::Status { status }) => Some(*status),
            _ => None,
        }
    }

    /// The status of a group that the agent runs.
    pub(crate) fn group(&self, name: &str) -> GroupStatus {
        self.group_until(name, "the group is there", |_| true)
    }

    /// Waits until the status of the group is as wanted.
    pub(crate) fn group_until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&GroupStatus) -> bool,
    ) -> GroupStatus {
        let mut last = None;
        let came = clock::wait_until(SOON, || {
            let groups = self.status_now().map(|status| status.groups);
            let mut groups = groups.into_iter().flatten();
            last = groups.find(|group| group.name == name);
            last.as_ref().is_some_and(&holds)
        });
        assert!(came, "never: {what}; {last:#?}{}", self.log());
        last.expect("it holds")
    }

    /// Waits until `web` is in this role by the log; by the status it is then too.
    pub(crate) fn shows(&self, role: &str) {
        self.becomes(role);
        assert_eq!(self.group("web").role, role, "{}", self.log());
    }

    /// Waits until `web` is BACKUP and hears a MASTER.
    pub(crate) fn hears_a_master(&self) {
        self.hears_a_master_of("web");
    }

    /// The same of another group.
    pub(crate) fn hears_a_master_of(&self, group: &str) {
        self.becomes_after(0, group, "BACKUP");
        self.group_until(group, "a MASTER is heard", |group| group.rival.is_some());
    }

    /// Demands that no role has changed since the mark.
    pub(crate) fn demand_no_change_since(&self, mark: usize) {
        let changes = self.changes();
        assert_eq!(changes.len(), mark, "{}", self.log());
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.process.has_ended(Duration::ZERO).unwrap()
    }
}

/// Where the configuration is on the host.
pub(crate) fn write(host: &Host, config: &Config) -> PathBuf {
    host.write(FILE, &config.text()).unwrap()
}

/// `... web: BACKUP -> CANDIDATE: no MASTER was heard for 341 ms group="web" ...`
fn change(at: Instant, line: &str) -> Option<Change> {
    let (before, after) = line.split_once(" -> ")?;
    let (before, from) = before.rsplit_once(": ")?;
    let group = before.rsplit(' ').next()?;
    let (to, cause) = after.split_once(": ")?;
    let is_role = |word: &str| word.bytes().all(|b| b.is_ascii_uppercase());
    (is_role(from) && is_role(to)).then(|| Change {
        at,
        group: group.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
        cause: cause.split(" group=").next().unwrap_or(cause).to_owned(),
    })
}
