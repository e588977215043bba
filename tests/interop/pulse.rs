//! Did the machine keep the rhythm? What it does otherwise can stop every agent at once: other
//! work on its cores, and network namespaces that others make and remove, since the kernel
//! changes addresses of all of them under one lock. And the host of a virtual machine may stop one of its
//! processors, with the agent that runs there, while the others go on.

use std::fs;
use std::sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Host, Lab, clock};
use floatlock::sys::realtime;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Between two looks at each processor.
const EVERY: Duration = Duration::from_millis(5);
/// Between two changes of an address.
const SWITCH_EVERY: Duration = Duration::from_millis(20);
/// Less is not worth remembering.
const WORTH: Duration = Duration::from_millis(10);
const CALM: Duration = Duration::from_secs(2);
const CALM_WITHIN: Duration = Duration::from_secs(60);
/// Takes that lock when its value changes, and changes nothing else on a host that has no routes.
const SWITCH: &str = "/proc/sys/net/ipv4/conf/lo/forwarding";

static BEATS: Mutex<Beats> = Mutex::new(Beats {
    last: Vec::new(),
    stops: Vec::new(),
});

struct Beats {
    /// The last one of each heart.
    last: Vec<Instant>,
    /// When each ended, and how long it was.
    stops: Vec<(Instant, Duration)>,
}

impl Beats {
    /// A heart that begins to beat now.
    fn one_more(&mut self) -> usize {
        self.last.push(clock::now());
        self.last.len() - 1
    }
}

/// Above all agents: what keeps one of these from its processor keeps everybody from it.
const PRIORITY: u8 = 70;

/// It beats until the process ends.
static SWITCHES: LazyLock<(Host, Lab)> = LazyLock::new(|| {
    let lab = Lab::new().expect("a laboratory");
    let host = lab.host("pulse").unwrap();
    let switches = || {
        let heart = beats().one_more();
        for value in ["1", "0"].iter().cycle() {
            let switch = || fs::write(SWITCH, value).expect("a switch in the host's own network");
            beat(heart, SWITCH_EVERY, switch);
        }
    };
    host.run(move || begin(switches)).unwrap();
    (host, lab)
});

/// Starts to look; what was before is not known.
pub(crate) fn start() {
    start_processors();
    LazyLock::force(&SWITCHES);
}

/// The same, at the processors alone.
pub(crate) fn start_processors() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let may = sched_getaffinity(Pid::from_raw(0)).expect("its processors");
        let processors = (0..CpuSet::count()).filter(|at| may.is_set(*at) == Ok(true));
        for processor in processors {
            begin(move || {
                stay_on(processor);
                let heart = beats().one_more();
                loop {
                    beat(heart, EVERY, || ());
                }
            });
        }
    });
}

fn begin(heart: impl FnOnce() + Send + 'static) {
    let named = thread::Builder::new().name("pulse".to_owned());
    named.spawn(heart).unwrap();
}

/// The longest that the machine stood still since then.
pub(crate) fn longest_stop_since(from: Instant) -> Duration {
    let beats = beats();
    let since = beats.stops.iter().filter(|(at, _)| *at >= from);
    let under_way = beats.last.iter().map(|last| clock::now().since(*last));
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

fn stay_on(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor).expect("one of the processors");
    sched_setaffinity(Pid::from_raw(0), &set).expect("it may choose its processor");
    realtime::schedule_fifo(PRIORITY).expect("real-time priority, as root");
}

/// One beat of a heart, in which it does something.
fn beat(heart: usize, every: Duration, act: impl FnOnce()) {
    let due = clock::now() + every;
    clock::pause(every);
    act();
    let (now, mut beats) = (clock::now(), beats());
    beats.last[heart] = now;
    if now.since(due) >= WORTH {
        beats.stops.push((now, now.since(due)));
    }
}
