//! What keeps an agent from running? A program above it on the one processor that it may use.

use std::process::Command;

use floatlock::lab::{Host, Process};

/// Above the agents, which run at 50.
const PRIORITY: u8 = 60;

/// Keeps this program's threads on processor 0.
pub(crate) fn pin(program: &Process) {
    let mut taskset = Command::new("taskset");
    taskset.args(["-a", "-p", "-c", "0", &program.pid().to_string()]);
    let output = taskset.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Takes processor 0 for itself until it is dropped, or for 5 s: the kernel's own work waits too.
pub(crate) fn start(host: &Host) -> Process {
    // One program becomes the next, so that the one that is killed is the one that runs.
    let mut hog = Command::new("taskset");
    hog.args(["-c", "0", "chrt", "-f", &PRIORITY.to_string()]);
    hog.args(["sh", "-c", "ulimit -t 5; while :; do :; done"]);
    host.spawn(hog).unwrap()
}
