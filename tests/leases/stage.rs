//! On what does a row play? Hosts that speak in one way, and a client that asks all of them.

use std::cell::RefCell;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::disk::{Access, Area as LockArea, Device};
use floatlock::lab::agent::{AgentKind, GroupSetup, Setup};
use floatlock::lab::{Host, Lan, Observation, Process, Watch, clock};
use floatlock::wire::disk::State;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use crate::agent::{FILE, PROGRAM, floatlock};
use crate::config::{Config, Group};
use crate::outcome::Deed;
use crate::pulse;
use crate::report::{HELD_UP, Report};
use crate::site::{NODES, SOON, Site, adverts, answers};

pub(crate) const VIPS: [&str; 2] = ["10.77.0.100", "fd77::100"];
/// `start-delay` of who may stand at once, and of who may not.
const NOW: &str = "\"0s\"";
const AFTER_THE_ROW: &str = "\"1h\"";
/// 32 bytes.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// How long the disk's vote counts.
pub(crate) const DISK_LEASE: Duration = Duration::from_secs(2);

/// How the agents speak, every so many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    Native(u64),
    Vrrp3(u64),
    /// VRRPv3 too, by the program that everybody has.
    Keepalived(u64),
}

impl Beat {
    pub(crate) fn name(self) -> String {
        match self {
            Beat::Native(every) => format!("native {every} ms"),
            Beat::Vrrp3(every) => format!("vrrp3 {every} ms"),
            Beat::Keepalived(every) => format!("keepalived {every} ms"),
        }
    }

    pub(crate) fn every(self) -> Duration {
        let (Beat::Native(every) | Beat::Vrrp3(every) | Beat::Keepalived(every)) = self;
        Duration::from_millis(every)
    }

    /// How long after its last heartbeat a holder may answer; none where nothing ends it.
    pub(crate) fn lease(self) -> Option<Duration> {
        match self {
            Beat::Native(_) => Some(self.every() * 5),
            Beat::Vrrp3(_) => Some(self.every() * 3 * 98 / 100 - Duration::from_millis(21)),
            Beat::Keepalived(_) => None,
        }
    }

    /// Whoever stands still for so long waits anew, or has come too close to the end of its lease.
    pub(crate) fn steady(self) -> Duration {
        let lease = self.lease().unwrap_or(self.every() * 3);
        (self.every() * 2).min(lease / 2)
    }

    /// Longer than a standby waits before it stands.
    pub(crate) fn patience(self) -> Duration {
        self.every() * 6 + Duration::from_millis(30)
    }

    pub(crate) fn is_native(self) -> bool {
        matches!(self, Beat::Native(_))
    }
}

/// Who takes part besides `lb-a` and `lb-b`, and how they hear each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    Pair,
    /// The same behind a gate of nftables.
    Nftables,
    /// With a second path, on a network of its own.
    TwoPaths,
    /// Three nodes.
    Three,
    /// `lb-c` only votes.
    Witness,
    /// A disk that both reach has a vote.
    Disk,
    /// Three disks have it together.
    Disks,
    /// Both ask a gateway, which has two addresses.
    Reference,
}

pub(crate) const GATEWAY: [&str; 2] = ["10.77.0.254", "fd77::fe"];

pub(crate) struct Stage {
    pub(crate) beat: Beat,
    pub(crate) cast: Cast,
    pub(crate) programs: RefCell<Vec<Process>>,
    pub(crate) watch: Watch,
    pub(crate) site: Site,
    began: Instant,
    /// The shared disk.
    area: Area,
    gateway: Option<Host>,
}

/// Files with a lock area, which go with this.
struct Area(Vec<PathBuf>);

impl Area {
    fn new(disks: usize) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let file = |_| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("leases-{}-{number}", std::process::id());
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
        };
        Self((0..disks).map(file).collect())
    }

    /// What votes there may last for so long.
    fn make(&self, lease: Duration) {
        // No file with holes: each first write would wait for the file system.
        for file in &self.0 {
            fs::write(file, vec![0; 1 << 20]).unwrap();
        }
        let lease = format!("{}ms", lease.as_millis());
        let mut init = Command::new(PROGRAM);
        init.args(["lock", "init"]).args(&self.0);
        init.args(["--cluster", "lab", "--node", "lb-a", "--node", "lb-b"]);
        let ran = init.args(["--lease", &lease]).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        for file in &self.0 {
            // Never made: as it should be.
            let _ = fs::remove_file(file);
        }
    }
}

impl Stage {
    /// Nothing runs yet.
    pub(crate) fn new(beat: Beat, cast: Cast) -> Self {
        pulse::start();
        let third = matches!(cast, Cast::Three | Cast::Witness);
        let site = Site::of(if third { 3 } else { 2 });
        let area = Area::new(match cast {
            Cast::Disk => 1,
            Cast::Disks => 3,
            _ => 0,
        });
        if !area.0.is_empty() {
            area.make(DISK_LEASE);
        }
        let gateway = (cast == Cast::Reference).then(|| {
            let host = site.lab.host("gateway").unwrap();
            let [v4, v6] = [format!("{}/24", GATEWAY[0]), format!("{}/64", GATEWAY[1])];
            site.lan.attach(&host, "eth0", &[&v4, &v6]).unwrap();
            host
        });
        Self {
            area,
            gateway,
            beat,
            cast,
            programs: RefCell::default(),
            watch: site.watch_closely(&VIPS, &site.hosts.iter().collect::<Vec<_>>()),
            site,
            began: clock::now(),
        }
    }

    /// All agents, `lb-a` MASTER.
    pub(crate) fn settle(&self) {
        let began = clock::now();
        self.start(0);
        let others = || 1..self.site.hosts.len();
        if self.needs_votes() {
            // They elect it, and do not stand themselves, however long it takes to start.
            others().for_each(|number| self.start_as(number, AFTER_THE_ROW));
        }
        self.answers("lb-a", began);
        for number in others() {
            match self.needs_votes() {
                true => self.may_stand(number),
                false => self.start(number),
            }
        }
        // So long a BACKUP has heard that one, and a voter has been awake.
        let said_by = if self.beat.is_native() {
            "lb-b"
        } else {
            "lb-a"
        };
        adverts(&self.watch, said_by, 7);
        if self.cast == Cast::Reference {
            // It has answered for long enough.
            self.is_ready(1);
        }
        // Not always at the same place between two heartbeats.
        let nanos = clock::now().as_nanos() % 1_000;
        clock::pause(self.beat.every() * u32::try_from(nanos).unwrap() / 1_000);
    }

    /// The same with a second path, which is returned.
    pub(crate) fn settle_on_two(&self) -> Lan {
        let inside = self.site.second_lan();
        self.settle();
        inside
    }

    /// Waits until any host answers for every address.
    pub(crate) fn somebody_answers(&self, after: Instant) {
        for vip in vips() {
            let first = |seen: &Observation| seen.replies_for(vip, after).next().map(drop);
            self.watch.wait_for(SOON, first).expect("an answer");
        }
    }

    /// How long a processor has stood still since the hosts are there, and whatever ran on it, if that is
    /// too long.
    pub(crate) fn stood_still(&self) -> Option<Duration> {
        let stop = pulse::longest_stop_since(self.began);
        (stop >= self.beat.steady()).then_some(stop)
    }

    /// What a row has done that changes nothing: `lb-a` became MASTER once, and nobody else did. Unless a
    /// processor stood still.
    pub(crate) fn nothing_changed(&self, at: Instant) -> Deed {
        let masters = |program: &Process| {
            let lines = program.lines();
            lines
                .iter()
                .filter(|l| l.text.contains(" -> MASTER: "))
                .count()
        };
        let promoted: Vec<usize> = self.programs.borrow().iter().map(masters).collect();
        let total: usize = promoted.iter().sum();
        let is_as_before = (promoted[0], total) == (1, 1);
        assert!(
            is_as_before || self.stood_still().is_some(),
            "promoted {promoted:?}, and no processor stood still: {}",
            self.logs()
        );
        if !is_as_before {
            let stop = self.stood_still();
            println!(
                "a role changed while a processor stood still for {stop:?}, promoted {promoted:?}"
            );
        }
        Deed {
            changed: Some(!is_as_before),
            ..Deed::nothing(at)
        }
    }

    /// What a run is that was spoilt before its fault: a role has changed, since a processor stood still. It is played
    /// again.
    pub(crate) fn spoilt(&self, at: Instant) -> Option<Deed> {
        let deed = self.nothing_changed(at);
        (deed.changed == Some(true)).then(|| deed.shows_nothing())
    }

    /// Waits until `floatlock status --json` of both nodes says this of the second path to the other
    /// one, and then demands that the first goes on, and who serves.
    pub(crate) fn shows_second_path(&self, states: [&str; 2]) {
        for (number, (state, role)) in states.into_iter().zip(["MASTER", "BACKUP"]).enumerate() {
            let mut shown = Value::Null;
            let is_shown = clock::wait_until(SOON, || {
                shown = self.status(number);
                path(&shown, "eth1") == state
            });
            assert!(is_shown, "{number}: not {state:?}: {shown:#}");
            assert_eq!(path(&shown, "eth0"), "both ways", "{number}: {shown:#}");
            let peer = &shown["cluster"]["peers"][0];
            assert_eq!(peer["heard"], true, "{number}: {shown:#}");
            assert_eq!(shown["groups"][0]["role"], role, "{number}: {shown:#}");
        }
    }

    /// Stops the agent of that node, which leaves its slot of the disk as one that holds nothing.
    pub(crate) fn stop_clean(&self, number: usize) {
        self.stop(number);
        assert!(self.is_clean(number), "{}", self.logs());
    }

    /// As systemd does, and waits until it has ended.
    pub(crate) fn stop(&self, number: usize) {
        let programs = self.programs.borrow();
        programs[number].signal(Signal::SIGTERM).unwrap();
        programs[number].wait(SOON).unwrap();
    }

    /// Whether the slot of that node says that it holds nothing.
    fn is_clean(&self, number: usize) -> bool {
        let device = Device::open(&self.area.0[0], Access::Read).unwrap();
        let area = LockArea::read(&device).unwrap();
        let look = area.look(&device, area.member(NODES[number]).unwrap());
        look.slot().is_some_and(|slot| slot.state == State::Clean)
    }

    /// Waits until nobody needs the disk.
    pub(crate) fn disk_is_free(&self) {
        let is_free = || (0..2).all(|number| self.is_clean(number));
        assert!(clock::wait_until(SOON, is_free), "{}", self.logs());
    }

    /// Waits until that node has the disk's vote.
    pub(crate) fn has_disk(&self, number: usize) {
        let vote = || self.status(number)["cluster"]["disk_lock"]["vote_ms"].is_u64();
        assert!(clock::wait_until(SOON, vote), "{}", self.logs());
    }

    /// Waits until that node could hold at once.
    pub(crate) fn is_ready(&self, number: usize) {
        let is_ready = || self.status(number)["groups"][0]["ready"] == true;
        assert!(clock::wait_until(SOON, is_ready), "{}", self.logs());
    }

    pub(crate) fn status(&self, number: usize) -> Value {
        let words = ["status", "--json", "--runtime-dir", "/run/floatlock"];
        let ran = floatlock(&self.site.hosts[number], &words);
        serde_json::from_str(&ran.output).unwrap_or_else(|_| panic!("{ran:?}"))
    }

    /// Nobody becomes MASTER alone.
    fn needs_votes(&self) -> bool {
        matches!(self.cast, Cast::Three | Cast::Witness)
    }

    /// The process of that node which reads and writes the disk, or the last of the disks.
    pub(crate) fn clerk(&self, number: usize) -> Pid {
        let last = self.area.0.last().unwrap().display().to_string();
        let programs = self.programs.borrow();
        let agent = programs[number].pid();
        let threads = fs::read_dir(format!("/proc/{agent}/task")).unwrap();
        let children = threads.flat_map(|thread| {
            let path = thread.unwrap().path().join("children");
            let text = fs::read_to_string(path).unwrap_or_default();
            let pids = text.split_whitespace().map(|pid| pid.parse().unwrap());
            pids.collect::<Vec<i32>>()
        });
        let is_clerk = |pid: &i32| {
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.contains("disk-clerk") && words.contains(&last)
        };
        Pid::from_raw(children.filter(is_clerk).last().expect("a clerk"))
    }

    /// Ends the `start-delay` of one that only voted so far, and waits until it is ready.
    fn may_stand(&self, number: usize) {
        let text = self.config(number, NOW).text();
        self.site.hosts[number].write(FILE, &text).unwrap();
        let programs = self.programs.borrow();
        let program = &programs[number];
        // Before, a signal would end it.
        program.wait_for_line("web: INIT -> ", SOON).unwrap();
        program.signal(Signal::SIGHUP).unwrap();
        program.wait_for_line("reloaded: ", SOON).unwrap();
        let is_witness = self.cast == Cast::Witness && number == 2;
        let is_ready = || self.status(number)["groups"][0]["ready"] == true;
        let came = is_witness || clock::wait_until(SOON, is_ready);
        assert!(came, "{} is never ready", NODES[number]);
    }

    /// Starts the agent of that number.
    pub(crate) fn start(&self, number: usize) {
        self.start_as(number, NOW);
    }

    fn start_as(&self, number: usize, start_delay: &str) {
        let host = &self.site.hosts[number];
        let started = match self.beat {
            Beat::Keepalived(_) => AgentKind::Keepalived.start(host, &self.setup(number)),
            _ => {
                let key = format!("umask 077; echo {KEY} >/run/lab/cluster.key");
                host.sh(&key).unwrap();
                let program = AgentKind::Floatlock(PathBuf::from(PROGRAM));
                program.start_with(host, &self.config(number, start_delay).text())
            }
        };
        self.programs.borrow_mut().push(started.unwrap());
    }

    pub(crate) fn gateway(&self) -> &Host {
        self.gateway.as_ref().expect("cast")
    }

    pub(crate) fn a(&self) -> &Host {
        &self.site.hosts[0]
    }

    /// Waits until that host answers for every address, and goes on for a while.
    pub(crate) fn answers(&self, host: &str, after: Instant) {
        for vip in VIPS {
            answers(&self.watch, host, vip, after);
        }
    }

    /// Waits for longer than it takes a standby to stand.
    pub(crate) fn wait(&self) {
        clock::pause(self.beat.patience() * 5 / 4);
    }

    /// Waits until a program's log says this.
    pub(crate) fn said(&self, number: usize, pattern: &str) {
        let programs = self.programs.borrow();
        programs[number].wait_for_line(pattern, SOON).unwrap();
    }

    /// What everybody said.
    pub(crate) fn logs(&self) -> String {
        let programs = self.programs.borrow();
        let logs = programs.iter().map(|program| {
            let lines = program.last_lines(40);
            format!("--- {}\n{lines}\n", program.name())
        });
        logs.collect()
    }

    pub(crate) fn seen(&self) -> Observation {
        self.watch.observation()
    }

    fn config(&self, number: usize, start_delay: &str) -> Config {
        let every = self.beat.every().as_millis();
        let priority = 150 - 25 * u8::try_from(number).unwrap();
        let group = Group::web(priority)
            .key("preempt", "false")
            .key("start-delay", start_delay)
            .addresses(&["10.77.0.100/24", "fd77::100/64"]);
        let protocol = if self.beat.is_native() {
            "native"
        } else {
            "vrrp3"
        };
        let config = Config::new(NODES[number], &[group]).heartbeat(&format!(
            "protocol = \"{protocol}\"\ninterval = \"{every}ms\"\n"
        ));
        let config = match self.cast {
            Cast::Nftables => config.fencing("gate = \"nftables\"\n"),
            _ => config,
        };
        let key = "key-file = \"/run/lab/cluster.key\"\n";
        match self.cast {
            _ if !self.beat.is_native() => config,
            Cast::Pair | Cast::Nftables => config.cluster(key),
            Cast::TwoPaths => config
                .cluster(key)
                .path("interface = \"eth0\"")
                .path("interface = \"eth1\""),
            Cast::Three => config.nodes(&NODES).cluster(key),
            Cast::Witness => config.cluster(&format!("{key}witnesses = [\"lb-c\"]\n")),
            Cast::Disk | Cast::Disks => {
                // Paths as TOML writes text.
                config
                    .cluster(key)
                    .fencing(&format!("disk-lock = {:?}\n", self.area.0))
            }
            Cast::Reference => {
                let [v4, v6] = GATEWAY;
                let both = format!("reference = [\"{v4}\", \"{v6}\"]\nreference-need = 2\n");
                config.cluster(key).fencing(&both)
            }
        }
    }

    fn setup(&self, number: usize) -> Setup {
        let addresses = ["10.77.0.100/24", "fd77::100/64"].map(|net| net.parse().unwrap());
        let group = GroupSetup {
            preempt: false,
            interval: self.beat.every(),
            ..GroupSetup::new(if number == 0 { 150 } else { 100 }, &addresses)
        };
        Setup {
            node: NODES[number].to_owned(),
            nodes: Vec::new(),
            groups: vec![group],
        }
    }
}

impl Drop for Stage {
    /// A row that fails tells what every agent and the client have seen, and what the agents are.
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        println!(
            "--- {}, {:?} since {:?}",
            self.beat.name(),
            self.cast,
            self.began
        );
        let mut report = Report::default();
        for program in self.programs.borrow().iter() {
            report.lines(program);
        }
        let seen = self.seen();
        report.adverts("the client", &seen.adverts, self.beat.every());
        report.print(self.began);
        for (host, name) in self.site.hosts.iter().zip(NODES) {
            let status = format!("{PROGRAM} status --json -c /run/lab/{FILE} 2>&1; true");
            for script in [HELD_UP, &status] {
                match host.sh(script) {
                    Ok(said) => println!("{name}:\n{said}"),
                    Err(error) => println!("{name}: {error}"),
                }
            }
        }
    }
}

pub(crate) fn vips() -> Vec<IpAddr> {
    VIPS.iter().map(|vip| vip.parse().unwrap()).collect()
}

/// The state of the line by this interface to the first of the other nodes.
fn path<'s>(status: &'s Value, interface: &str) -> &'s str {
    let paths = status["cluster"]["peers"][0]["paths"].as_array();
    let mut paths = paths.into_iter().flatten();
    let path = paths.find(|path| path["interface"] == interface);
    path.and_then(|path| path["state"].as_str())
        .unwrap_or_default()
}
