//! Did the machine keep the rhythm? What it does otherwise can stop every agent at once: other
//! work on its cores, and network namespaces that others make and remove, since the kernel
//! changes addresses of all of them under one lock.

use std::fs;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Host, Lab, clock};

const EVERY: Duration = Duration::from_millis(20);
/// Less is not worth remembering.
const WORTH: Duration = Duration::from_millis(50);
/// Takes that lock when its value changes, and changes nothing else on a host that has no routes.
const SWITCH: &str = "/proc/sys/net/ipv4/conf/lo/forwarding";

static LATE: Mutex<Vec<(Instant, Duration)>> = Mutex::new(Vec::new());
/// It beats until the process ends.
static HEART: LazyLock<(Host, Lab)> = LazyLock::new(|| {
    let lab = Lab::new().expect("a laboratory");
    let host = lab.host("pulse").unwrap();
    host.run(|| thread::Builder::new().name("pulse".to_owned()).spawn(beat))
        .unwrap()
        .unwrap();
    (host, lab)
});

/// Starts to look; what was before is not known.
pub(crate) fn start() {
    LazyLock::force(&HEART);
}

/// The longest that the machine stood still since then.
pub(crate) fn longest_stop_since(from: Instant) -> Duration {
    let late = LATE.lock().unwrap_or_else(PoisonError::into_inner);
    let since = late.iter().filter(|(at, _)| *at >= from);
    since.map(|(_, late)| *late).max().unwrap_or_default()
}

fn beat() {
    for value in ["1", "0"].iter().cycle() {
        let due = clock::now() + EVERY;
        clock::pause(EVERY);
        fs::write(SWITCH, value).expect("a switch in the host's own network");
        let now = clock::now();
        if now.since(due) >= WORTH {
            let mut late = LATE.lock().unwrap_or_else(PoisonError::into_inner);
            late.push((now, now.since(due)));
        }
    }
}
