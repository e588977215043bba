//! What does the MASTER of a cluster do that did not run for a while? It waits until it is elected again, and says how
//! long it was away.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use floatlock::lab::clock;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::agent::Agent;
use crate::config::Config;
use crate::gate::{VIP, demand_no_two_answers, staying};
use crate::site::{SOON, Site, answers, await_address};

/// Five intervals.
const LEASE: Duration = Duration::from_millis(500);
/// Longer than a lease, and than it takes another node to take over.
const LONG: Duration = Duration::from_millis(1500);
/// The way of an answer to the client.
const WAY: Duration = Duration::from_millis(20);
/// An agent runs as often as that, whatever happens; ...
const INTERVAL: Duration = Duration::from_millis(100);
/// ... and what it says of a length is no more exact than that.
const EXACT: Duration = Duration::from_millis(100);

/// An agent that is stopped until this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn of(agent: &Agent) -> Self {
        agent.signal(Signal::SIGSTOP);
        Self(Pid::from_raw(agent.process.pid().cast_signed()))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // Not reaped as long as the agent is there.
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

/// A control group of an agent that does not run until this is dropped, as a container engine makes it.
struct Frozen {
    group: PathBuf,
    switch: Switch,
}

/// What a control group is frozen by, and how its file says that it is.
#[derive(Clone, Copy)]
struct Switch {
    file: &'static str,
    words: [&'static str; 2],
    state: &'static str,
    says: &'static str,
}

const V2: Switch = Switch {
    file: "cgroup.freeze",
    words: ["1", "0"],
    state: "cgroup.events",
    says: "frozen 1",
};
const V1: Switch = Switch {
    file: "freezer.state",
    words: ["FROZEN", "THAWED"],
    state: "freezer.state",
    says: "FROZEN",
};

impl Frozen {
    /// None where this machine lets nobody make control groups.
    fn of(agent: &Agent) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("floatlock-test-{}-{number}", std::process::id());
        let made = hierarchies().into_iter().find_map(|(own, switch)| {
            let group = own.join(&name);
            fs::create_dir(&group).ok()?;
            Some(Self { group, switch })
        })?;
        let pid = agent.process.pid().to_string();
        fs::write(made.group.join("cgroup.procs"), pid).unwrap();
        let Switch { file, words, .. } = made.switch;
        fs::write(made.group.join(file), words[0]).unwrap();
        let state = made.group.join(made.switch.state);
        let says = || fs::read_to_string(&state).unwrap();
        let is_frozen = clock::wait_until(SOON, || says().contains(made.switch.says));
        assert!(is_frozen, "{}", says());
        Some(made)
    }
}

impl Drop for Frozen {
    /// It goes on, and is back among the others.
    fn drop(&mut self) {
        let Switch { file, words, .. } = self.switch;
        let _ = fs::write(self.group.join(file), words[1]);
        let Some(own) = self.group.parent() else {
            return;
        };
        let pids = fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
        for pid in pids.lines() {
            let _ = fs::write(own.join("cgroup.procs"), pid);
        }
        let _ = fs::remove_dir(&self.group);
    }
}

/// This program's own control groups that can be frozen.
fn hierarchies() -> Vec<(PathBuf, Switch)> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mounted = |kind: &str, option: &str| {
        let mut mounts = mounts.lines().map(|line| line.split(' '));
        mounts.find_map(|mut words| {
            let (on, is, with) = (words.nth(1)?, words.next()?, words.next()?);
            let fits = is == kind && (option.is_empty() || with.split(',').any(|o| o == option));
            fits.then(|| PathBuf::from(on))
        })
    };
    let of = |kind: &str, option: &str| {
        let mut lines = own.lines().map(|line| line.splitn(3, ':').skip(1));
        let path =
            lines.find_map(|mut words| (words.next()? == option).then(|| words.next())?)?;
        Some(mounted(kind, option)?.join(path.trim_start_matches('/')))
    };
    let v2 = of("cgroup2", "").map(|own| (own, V2));
    let v1 = of("cgroup", "freezer").map(|own| (own, V1));
    v2.into_iter().chain(v1).collect()
}

/// `1.5 s` or `620 ms` of what the log says.
fn length(cause: &str) -> Duration {
    let (_, after) = cause.split_once("did not run for ").expect("how long");
    let mut words = after.split([' ', ',']);
    let (number, unit) = (words.next().unwrap(), words.next().unwrap());
    let number: f64 = number.parse().unwrap();
    Duration::from_secs_f64(if unit == "ms" { number / 1e3 } else { number })
}

fn demand<Paused>(pause: impl FnOnce(&Agent) -> Option<Paused>) {
    let site = Site::keyed();
    let [a, b] = site.native_pair_of(|node, priority| Config::native(node, &[staying(priority)]));
    let watch = site.watch_closely(&[VIP, "fd77::100"], &[&a.host, &b.host]);
    answers(&watch, "lb-a", VIP, clock::now());
    let mark = a.mark();
    let before = clock::now();
    let Some(paused) = pause(&a) else {
        return eprintln!("skipped: no control group can be made here");
    };
    let stopped = clock::now();
    answers(&watch, "lb-b", VIP, stopped);
    answers(&watch, "lb-b", VIP, stopped + LONG);
    let continued = clock::now();
    drop(paused);
    let away = a.becomes_after(mark, "web", "RELEASING");
    let said = length(&away.cause);
    assert!(said + EXACT >= continued.since(stopped), "{away:?}");
    assert!(said <= away.at.since(before) + INTERVAL + EXACT, "{away:?}");
    await_address(&a.host, VIP, false);
    a.becomes_after(mark, "web", "BACKUP");
    // Longer than a lease: so long it has had time to answer.
    answers(&watch, "lb-b", VIP, clock::now() + LEASE);
    a.group_until("web", "ready", |web| web.ready);
    let given = clock::now();
    b.stop();
    answers(&watch, "lb-a", VIP, given);
    let seen = watch.stop();
    demand_no_two_answers(&seen);
    let by_a = |reply: &&floatlock::lab::Reply| &*reply.from == "lb-a" && reply.at < given;
    let shut = stopped + LEASE + WAY;
    assert_eq!(
        seen.replies_for(VIP.parse().unwrap(), shut).find(by_a),
        None
    );
}

#[test]
fn a_master_that_was_stopped_answers_nothing_until_it_is_elected_again_and_says_how_long() {
    demand(|agent| Some(Stopped::of(agent)));
}

#[test]
fn a_master_that_was_frozen_answers_nothing_until_it_is_elected_again_and_says_how_long() {
    demand(Frozen::of);
}
