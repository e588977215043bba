//! How soon does an agent miss a gate that somebody has taken away, or changed?

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Host, clock};

use crate::agent::Agent;
use crate::config::Config;
use crate::gate::{fenced, places, staying};
use crate::pulse;
use crate::site::{SOON, Site};
use crate::tamper::Tamper;

/// The interval, or 100 ms where that is longer; here both are.
const BOUND: Duration = Duration::from_millis(100);
/// For the program that does it, the look and the log of the role, on a host that does not stand still.
const ALLOWANCE: Duration = Duration::from_millis(50);
/// A machine that stood still for so long, or gave programs like these no processor, says nothing.
const STILL: Duration = Duration::from_millis(20);
/// Between two looks at that.
const EVERY: Duration = Duration::from_millis(2);
const ATTEMPTS: usize = 10;

/// What somebody does on eth0.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Run(&'static str),
    Tamper(Tamper),
}

impl Deed {
    /// Returns when it began.
    fn with(self, host: &Host) -> Instant {
        match self {
            Deed::Run(script) => {
                let began = clock::now();
                host.sh(script).unwrap();
                began
            }
            Deed::Tamper(tamper) => tamper.with(host),
        }
    }
}

const ON_BPF: [Deed; 3] = [
    Deed::Run("tc filter del dev eth0 ingress"),
    Deed::Tamper(Tamper::Swap),
    // The kernel tells nobody.
    Deed::Tamper(Tamper::Empty),
];
const ON_NFTABLES: [Deed; 2] = [
    Deed::Run("nft flush ruleset"),
    Deed::Run("nft delete table netdev floatlock"),
];

/// One at a time: they are about time.
static FLOOR: Mutex<()> = Mutex::new(());

#[test]
fn a_filter_is_missed_in_time_under_vrrp() {
    let site = Site::new();
    let config = fenced("lb-a", staying(150), "bpf");
    demand_missed_in_time(&site, &config, &ON_BPF);
}

#[test]
fn a_filter_is_missed_in_time_under_the_native_protocol() {
    demand_missed_in_time(&Site::keyed(), &native("bpf"), &ON_BPF);
}

#[test]
fn a_table_is_missed_in_time_under_vrrp() {
    let site = Site::new();
    let config = fenced("lb-a", staying(150), "nftables");
    demand_missed_in_time(&site, &config, &ON_NFTABLES);
}

#[test]
fn a_table_is_missed_in_time_under_the_native_protocol() {
    demand_missed_in_time(&Site::keyed(), &native("nftables"), &ON_NFTABLES);
}

fn native(gate: &str) -> Config {
    Config::native("lb-a", &[staying(150)]).heartbeat(&format!(
        "interval = \"100ms\"\nmisses = 5\n\n[fencing]\ngate = \"{gate}\"\n"
    ))
}

fn demand_missed_in_time(site: &Site, config: &Config, deeds: &[Deed]) {
    let _alone = FLOOR.lock().unwrap_or_else(PoisonError::into_inner);
    pulse::start();
    let a = site.start_with(0, config);
    a.becomes("MASTER");
    for deed in deeds {
        let missed = (0..ATTEMPTS).any(|_| is_missed_in_time(&a, *deed));
        assert!(
            missed,
            "{deed:?}: no attempt was in time, and the machine stood still in each"
        );
    }
}

/// It gives way, says so, puts it back, and is MASTER again. False if the machine stood still.
fn is_missed_in_time(a: &Agent, deed: Deed) -> bool {
    let (mark, gauge) = (a.mark(), Gauge::start());
    let began = deed.with(&a.host);
    let done = clock::now();
    let lost = a.becomes_after(mark, "web", "RELEASING");
    let pattern = "somebody else took the gate off ";
    let told = a.process.wait_for_line_after(began, pattern, SOON);
    let stood_still = gauge.stop().max(stop_between(began, lost.at));
    let (given_way, told) = (lost.at.since(began), told.unwrap().at.since(began));
    assert!(lost.cause.contains("took the gate away"), "{lost:?}");
    a.becomes_after(mark + 1, "web", "MASTER");
    assert_eq!(places(&a.host), "4", "{deed:?}: put back");
    let took = done.since(began);
    let all = format!(
        "{deed:?}, which took {took:?}: gave way after {given_way:?}, whole after {told:?}, stood still for {stood_still:?}"
    );
    println!("{all}");
    let is_in_time = given_way <= BOUND + ALLOWANCE;
    let says_nothing = stood_still >= STILL || took > ALLOWANCE;
    assert!(is_in_time || says_nothing, "{all}{}", a.log());
    is_in_time
}

/// The longest that the machine stood still.
fn stop_between(from: Instant, until: Instant) -> Duration {
    let stops = pulse::stops_since(from).into_iter();
    let stops = stops.filter(|(at, length)| *at - *length < until);
    stops.map(|(_, length)| length).max().unwrap_or_default()
}

/// How late a program without priority is, such as the one that does it and the one that reads the log.
struct Gauge {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Gauge {
    fn start() -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !ended.load(Ordering::Acquire) {
                let due = clock::now() + EVERY;
                clock::pause(EVERY);
                longest = longest.max(clock::now().since(due));
            }
            longest
        });
        Self { ends, thread }
    }

    fn stop(self) -> Duration {
        self.ends.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}
