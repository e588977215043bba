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

/// Two programs that compute, and one that writes to the disk, until they are dropped.
pub(crate) fn crowd(host: &Host) -> Vec<Process> {
    let compute = "while :; do :; done";
    // In one program, which takes its file along; `/var/tmp` is on a disk, where `/tmp` may not be.
    let write = "import os, tempfile
with tempfile.TemporaryFile(dir='/var/tmp') as file:
    block = bytes(1 << 20)
    while True:
        file.seek(0)
        for _ in range(64):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())";
    let start = |program: &str, text: &str| {
        let mut command = Command::new(program);
        command.args(["-c", text]);
        host.spawn(command).unwrap()
    };
    vec![
        start("sh", compute),
        start("sh", compute),
        start("python3", write),
    ]
}
