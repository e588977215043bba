//! Did the machine keep the rhythm? What it does otherwise can stop every agent at once: other
//! work on its cores, and network namespaces that others make and remove, since the kernel
//! changes addresses of all of them under one lock.

use std::fs;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Host, Lab, clock};

const EVERY: Duration = Duration::from_millis(20);
/// Less is not worth remembering.
const WORTH: Duration = Duration::from_millis(50);
const CALM: Duration = Duration::from_secs(2);
const CALM_WITHIN: Duration = Duration::from_secs(60);
/// Takes that lock when its value changes, and changes nothing else on a host that has no routes.
const SWITCH: &str = "/proc/sys/net/ipv4/conf/lo/forwarding";

static BEATS: Mutex<Beats> = Mutex::new(Beats {
    last: None,
    stops: Vec::new(),
});

struct Beats {
    last: Option<Instant>,
    /// When each ended, and how long it was.
    stops: Vec<(Instant, Duration)>,
}

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
    let beats = beats();
    let since = beats.stops.iter().filter(|(at, _)| *at >= from);
    let under_way = beats.last.map(|last| clock::now().since(last));
    let all = since.map(|(_, length)| *length).chain(under_way);
    all.max().unwrap_or_default()
}

/// When each stop since then ended, and how long it was.
pub(crate) fn stops_since(from: Instant) -> Vec<(Instant, Duration)> {
    let beats = beats();
    let since = beats.stops.iter().filter(|(at, _)| *at >= from);
    since.copied().collect()
}

/// Waits until the machine has kept the rhythm for a while, unless it never does.
pub(crate) fn wait_for_calm(stop_max: Duration) {
    let calm = || longest_stop_since(clock::now() - CALM) < stop_max;
    // Where it is never calm, the next attempt fails, and says why.
    let _ = clock::wait_until(CALM_WITHIN, calm);
}

fn beats() -> MutexGuard<'static, Beats> {
    BEATS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn beat() {
    for value in ["1", "0"].iter().cycle() {
        let due = clock::now() + EVERY;
        clock::pause(EVERY);
        fs::write(SWITCH, value).expect("a switch in the host's own network");
        let (now, mut beats) = (clock::now(), beats());
        beats.last = Some(now);
        if now.since(due) >= WORTH {
            beats.stops.push((now, now.since(due)));
        }
    }
}
