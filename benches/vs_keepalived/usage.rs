//! What does an agent cost? CPU time and memory of every process of a host.

use std::fs;
use std::time::Duration;

use floatlock::lab::Host;

use crate::stage::Failure;

/// CPU time of all threads of all processes of the host so far, user and system.
///
/// `/proc/PID/task/TID/schedstat` counts nanoseconds on a CPU, where `stat` has ticks of 10 ms.
pub(crate) fn cpu(host: &Host) -> Result<Duration, Failure> {
    let mut nanos = 0;
    for pid in host.processes()? {
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for task in tasks.filter_map(Result::ok) {
            // One that ended meanwhile was short.
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let first = text.split_whitespace().next().map(str::parse);
            nanos += first.and_then(Result::ok).unwrap_or(0_u64);
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// Memory of the host's processes, shared pages divided by those that share them, in MiB.
pub(crate) fn pss(host: &Host) -> Result<f64, Failure> {
    let mut kib = 0;
    for pid in host.processes()? {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        kib += number.and_then(|n| n.parse().ok()).unwrap_or(0_u32);
    }
    Ok(f64::from(kib) / 1024.0)
}
