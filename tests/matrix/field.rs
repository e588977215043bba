//! On what is a fault played? Two racks, a host and a client in each, and whatever decides between the hosts.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::agent::{AgentKind, GroupSetup, Setup};
use floatlock::lab::{
    Ask, Host, Lab, Lan, Observation, Process, Relay, Traffic, Trunk, Watch, WatchOptions, Way,
    Weather, clock,
};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::agent::{PROGRAM, floatlock};
use crate::config::{Config, Group};
use crate::disk::Disk;
use crate::held::Held;
use crate::pulse;
use crate::site::{NODES, SOON, write_key};

/// What an operator could have written: it leaves something behind, never comes to an end, and is not to be asked to.
const LINGER: &str = "#!/bin/sh
trap '' TERM
setsid sleep 47111 &
echo $! >>/run/lab/lingers
echo $$ >>/run/lab/lingers
while :; do sleep 47112; done
";
const LINGER_PATH: &str = "/run/lab/linger";
const RELAYS: [&str; 2] = ["eth0", "eth1"];
const VIP: &str = "10.77.0.100";
const GATEWAY: &str = "10.77.0.254";
/// Between two heartbeats or adverts; a lease is five of them.
pub(crate) const BEAT: Duration = Duration::from_millis(100);
pub(crate) const LEASE: Duration = Duration::from_millis(500);
/// How long the disk's vote counts.
pub(crate) const DISK_LEASE: Duration = Duration::from_secs(2);
/// Above the agents.
const ASKER: u8 = 70;
const EVERY: Duration = Duration::from_millis(5);
/// Whoever has answered within this is a holder.
const LATELY: Duration = Duration::from_millis(200);

/// What decides between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Keepalived,
    None,
    Reference,
    Disk,
    Witness,
    /// Nobody holds without the disk.
    Always,
    /// The same, of two that speak VRRP.
    Vrrp,
}

impl Mode {
    pub(crate) const ALL: [Self; 7] = [
        Mode::Keepalived,
        Mode::None,
        Mode::Reference,
        Mode::Disk,
        Mode::Witness,
        Mode::Always,
        Mode::Vrrp,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Mode::Keepalived => "keepalived",
            Mode::None => "no fencing",
            Mode::Reference => "reference",
            Mode::Disk => "disk lock",
            Mode::Witness => "witness",
            Mode::Always => "disk always",
            Mode::Vrrp => "vrrp3, disk",
        }
    }

    /// How long its disk's vote counts, if there is a disk.
    const fn disk_lease(self) -> Option<&'static str> {
        match self {
            Mode::Disk => Some("2s"),
            Mode::Always | Mode::Vrrp => Some("1s"),
            _ => None,
        }
    }
}

/// What one fault needs, and the others have not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Besides {
    Nothing,
    /// The hosts hear each other by a second network, too.
    SecondLine,
    /// There is another way for heartbeats, which is a bad one.
    Relay,
    /// Scripts at MASTER, and before it is left, which never end.
    LingeringScripts,
    /// A host in the second rack, on which nothing runs yet.
    Spare,
}

pub(crate) struct Field {
    pub(crate) mode: Mode,
    besides: Besides,
    pub(crate) lan: Lan,
    pub(crate) trunk: Trunk,
    /// `lb-a` in the first rack, `lb-b` in the second one, with the witness if there is one.
    pub(crate) hosts: Vec<Host>,
    /// One in each rack; the second one has no power until it is needed.
    pub(crate) gateways: [Host; 2],
    pub(crate) disk: Option<Disk>,
    /// In the second rack.
    spare: Option<Host>,
    /// Between the hosts alone.
    pub(crate) inside: Option<Lan>,
    /// In both racks, to carry heartbeats badly.
    relay_host: Option<Host>,
    relay: RefCell<Option<Relay>>,
    programs: RefCell<Vec<Process>>,
    watches: [Watch; 2],
    _clients: [Host; 2],
    began: Instant,
    // Last: hosts go before what connects them.
    _lab: Lab,
}

impl Field {
    /// Nothing runs yet.
    pub(crate) fn new(mode: Mode, besides: Besides) -> Self {
        pulse::start_processors();
        let lab = Lab::new().expect("a laboratory");
        let racks = ["rack-a", "rack-b"].map(|name| lab.lan(name).unwrap());
        let trunk = racks[0].join(&racks[1]).unwrap();
        let host = |name: &str, rack: usize, last: u8| {
            let host = lab.host(name).unwrap();
            let address = format!("10.77.0.{last}/24");
            racks[rack].attach(&host, "eth0", &[&address]).unwrap();
            host
        };
        let mut hosts = vec![host("lb-a", 0, 1), host("lb-b", 1, 2)];
        if mode == Mode::Witness {
            hosts.push(host("lb-c", 1, 3));
        }
        let gateways = [host("gateway", 0, 254), host("gateway-b", 1, 254)];
        gateways[1].power_off().unwrap();
        let spare = (besides == Besides::Spare).then(|| host("spare", 1, 4));
        let inside = (besides == Besides::SecondLine).then(|| {
            let lan = lab.lan("inside").unwrap();
            for (number, host) in hosts.iter().enumerate() {
                let address = format!("10.78.0.{}/24", number + 1);
                lan.attach(host, "eth1", &[&address]).unwrap();
            }
            lan
        });
        let relay_host = (besides == Besides::Relay).then(|| {
            let host = lab.host("relay").unwrap();
            trunk.is_not_learnt_from().unwrap();
            for (rack, interface) in racks.iter().zip(RELAYS) {
                rack.attach(&host, interface, &[]).unwrap();
                rack.does_not_learn_from(&host).unwrap();
            }
            host
        });
        let clients = [host("client-a", 0, 8), host("client-b", 1, 9)];
        let agents = [(&hosts[0], &racks[0]), (&hosts[1], &racks[1])];
        let agents = agents
            .into_iter()
            .chain(spare.iter().map(|host| (host, &racks[1])));
        let macs: Vec<_> = agents
            .map(|(host, rack)| host.mac_on(rack).unwrap())
            .collect();
        let watches = clients.each_ref().map(|client| {
            let options = WatchOptions {
                ask: Ask::Hosts(macs.clone()),
                neighbours: true,
                priority: ASKER,
                every: EVERY,
                ..WatchOptions::new(&[vip()])
            };
            Watch::start(client, options).unwrap()
        });
        let [lan, _] = racks;
        Self {
            mode,
            besides,
            lan,
            trunk,
            hosts,
            gateways,
            disk: mode.disk_lease().map(Disk::new),
            spare,
            inside,
            relay_host,
            relay: RefCell::default(),
            programs: RefCell::default(),
            watches,
            _clients: clients,
            began: clock::now(),
            _lab: lab,
        }
    }

    /// All agents run, `lb-a` is MASTER, and `lb-b` could take over at once. False where a processor stood still
    /// meanwhile, by which `lb-a` may have lost its role already.
    pub(crate) fn settle(&self) -> bool {
        let settled = self.settles();
        let stood_still = self.stood_still().is_some();
        match settled {
            Err(why) if !stood_still => panic!("not {why}: {}", self.logs()),
            settled => settled.is_ok(),
        }
    }

    fn settles(&self) -> Result<(), &'static str> {
        self.start(0);
        if self.mode == Mode::Witness {
            self.start(2);
        }
        let first = |seen: &Observation| seen.first_reply_from("lb-a", vip(), self.began).map(drop);
        let answers = self.watches[0].wait_for(SOON, first);
        answers.ok_or("lb-a answers")?;
        self.start(1);
        match self.mode {
            Mode::Keepalived => clock::pause(BEAT * 8),
            Mode::Vrrp => self.wait("lb-b hears lb-a", || {
                let group = &self.status(1)["groups"][0];
                group["role"] == "BACKUP" && group["rival"].is_object()
            })?,
            _ => self.wait("lb-b is ready", || {
                let [a, b] = [0, 1].map(|number| self.status(number));
                let (a, b) = (&a["groups"][0], &b["groups"][0]);
                b["ready"] == true && b["holder"] == "lb-a" && a["successor"] == "lb-b"
            })?,
        }
        if self.mode == Mode::Disk {
            // An agent that starts lays down what an earlier one may have held.
            self.wait("nobody asks the disk", || {
                (0..2)
                    .all(|number| self.status(number)["cluster"]["disk_lock"]["vote_ms"].is_null())
            })?;
        }
        // Not always at the same place between two heartbeats.
        let nanos = clock::now().as_nanos() % 1_000;
        clock::pause(BEAT * u32::try_from(nanos).unwrap() / 1_000);
        Ok(())
    }

    fn wait(&self, what: &'static str, is_so: impl FnMut() -> bool) -> Result<(), &'static str> {
        clock::wait_until(SOON, is_so).then_some(()).ok_or(what)
    }

    pub(crate) fn until(&self, what: &'static str, is_so: impl FnMut() -> bool) {
        if let Err(what) = self.wait(what, is_so) {
            panic!("not {what}: {}", self.logs());
        }
    }

    /// For how long a processor has stood still since there is this field, if that may have cost a lease.
    fn stood_still(&self) -> Option<Duration> {
        let stop = pulse::longest_stop_since(self.began);
        (stop >= BEAT).then_some(stop)
    }

    /// Waits until this node has the disk's vote, where there is a disk.
    pub(crate) fn has_disk(&self, number: usize) {
        if self.disk.is_some() {
            self.until("the disk's vote is taken", || {
                self.status(number)["cluster"]["disk_lock"]["vote_ms"].is_u64()
            });
        }
    }

    pub(crate) fn status(&self, number: usize) -> Value {
        let words = ["status", "--json", "--runtime-dir", "/run/floatlock"];
        let ran = floatlock(&self.hosts[number], &words);
        serde_json::from_str(&ran.output).unwrap_or(Value::Null)
    }

    pub(crate) fn start(&self, number: usize) {
        let host = &self.hosts[number];
        if self.mode != Mode::Keepalived {
            write_key(host, "cluster", 7);
        }
        if self.besides == Besides::LingeringScripts {
            host.write("linger", LINGER).unwrap();
            host.sh(&format!("chmod 755 {LINGER_PATH}")).unwrap();
        }
        self.start_on(host, number);
    }

    /// The agent of that number.
    fn start_on(&self, host: &Host, number: usize) {
        let (program, text) = match self.mode {
            Mode::Keepalived => (AgentKind::Keepalived, self.keepalived(number)),
            _ => {
                let program = AgentKind::Floatlock(PathBuf::from(PROGRAM));
                (program, self.config(number).text())
            }
        };
        let started = program.start_with(host, &text).unwrap();
        self.programs.borrow_mut().push(started);
    }

    /// From now on the agent of `lb-a` runs on the spare host as well, by a copy of all that it has on its disk.
    pub(crate) fn clone_a(&self) -> &Host {
        let clone = self.spare.as_ref().expect("a row with one");
        let disk = self.a().sh("tar -C /run/lab -c . | base64").unwrap();
        clone.write("copy", &disk).unwrap();
        clone
            .sh("base64 -d /run/lab/copy | tar -C /run/lab -x")
            .unwrap();
        if let Some(disk) = &self.disk {
            disk.attach_to(clone);
        }
        self.start_on(clone, 0);
        if self.disk.is_some() {
            self.said_by(clone, "its lock area can be read");
        }
        clone
    }

    fn config(&self, number: usize) -> Config {
        let group = Group::web(if number == 0 { 150 } else { 100 })
            .key("preempt", "false")
            .addresses(&["10.77.0.100/24"]);
        let group = match self.besides {
            Besides::LingeringScripts => group
                .action("promoted", LINGER_PATH, "timeout = \"10m\"")
                .action("demote", LINGER_PATH, "timeout = \"300ms\""),
            _ => group,
        };
        let config = match self.mode {
            Mode::Vrrp => Config::new(NODES[number], &[group]),
            _ => Config::native(NODES[number], &[group]),
        };
        let config = match (&self.inside, self.mode) {
            (Some(_), _) => config
                .path("interface = \"eth0\"")
                .path("interface = \"eth1\""),
            (None, _) => config,
        };
        match self.mode {
            Mode::Keepalived | Mode::None => config,
            Mode::Reference => config.fencing(&format!("reference = [\"{GATEWAY}\"]\n")),
            Mode::Disk | Mode::Always | Mode::Vrrp => {
                let device = &self.disk.as_ref().expect("of this mode").device;
                let mode = match self.mode {
                    Mode::Disk => "",
                    _ => "disk-lock-mode = \"always\"\ndisk-lease = \"1s\"\n",
                };
                config.fencing(&format!("disk-lock = [\"{device}\"]\n{mode}"))
            }
            Mode::Witness => config.cluster("witnesses = [\"lb-c\"]"),
        }
    }

    fn keepalived(&self, number: usize) -> String {
        let text = AgentKind::Keepalived.config(&self.setup(number));
        match self.besides {
            Besides::LingeringScripts => {
                let notify = format!("nopreempt\n    notify_master {LINGER_PATH}");
                text.replace("nopreempt", &notify)
            }
            _ => text,
        }
    }

    fn setup(&self, number: usize) -> Setup {
        let group = GroupSetup {
            preempt: false,
            interval: BEAT,
            ..GroupSetup::new(
                if number == 0 { 150 } else { 100 },
                &["10.77.0.100/24".parse().unwrap()],
            )
        };
        Setup {
            node: NODES[number].to_owned(),
            nodes: Vec::new(),
            groups: vec![group],
        }
    }

    pub(crate) fn a(&self) -> &Host {
        &self.hosts[0]
    }

    /// To the agent of that host alone, or to keepalived and its child.
    pub(crate) fn signal(&self, number: usize, signal: Signal) {
        let host = &self.hosts[number];
        // In a process namespace of its own -1 is everybody but its init.
        host.sh(&format!(
            "kill -{} -1",
            signal.as_str().trim_start_matches("SIG")
        ))
        .unwrap();
    }

    /// To the agent of `lb-a` and to nothing that it has started; to keepalived with its scripts, since it is two
    /// processes itself.
    pub(crate) fn signal_agent_a(&self, signal: Signal) {
        match self.mode {
            Mode::Keepalived => self.signal(0, signal),
            _ => self.programs.borrow()[0].signal(signal).unwrap(),
        }
    }

    /// The heartbeat thread of that agent hangs until this is dropped.
    pub(crate) fn hang(&self, number: usize) -> Held {
        Held::hanging(&self.programs.borrow()[number])
    }

    /// The one thread of the agent of `lb-a` that changes addresses hangs until this is dropped.
    pub(crate) fn hang_netlink_a(&self) -> Held {
        Held::hanging_at("actuator", &self.programs.borrow()[0])
    }

    /// Whether `lb-a` has the address, whoever answers for it.
    pub(crate) fn is_on_a(&self) -> bool {
        self.a().has_address(vip()).unwrap()
    }

    /// Waits until the agent of that host says this.
    pub(crate) fn said_by(&self, host: &Host, pattern: &str) {
        let name = format!(" on {}", host.name());
        self.until("it is logged", || {
            let programs = self.programs.borrow();
            let mut of_host = programs.iter().filter(|one| one.name().ends_with(&name));
            of_host.any(|one| one.lines().iter().any(|line| line.text.contains(pattern)))
        });
    }

    /// Of the processes that scripts of `lb-a` ever were, how many are there; none where no script was begun.
    pub(crate) fn lingering_on_a(&self) -> Option<usize> {
        let script = "test -s /run/lab/lingers || exit 0
            for pid in $(cat /run/lab/lingers); do kill -0 $pid 2>/dev/null && echo $pid; done; echo end";
        let lines = self.a().sh(script).unwrap();
        lines.lines().count().checked_sub(1)
    }

    /// From now on heartbeats go another way between the racks as well, which is a bad one.
    pub(crate) fn relay_heartbeats(&self, weather: Weather) {
        let host = self.relay_host.as_ref().expect("a row that is relayed");
        let relay = Relay::start(host, RELAYS, weather).unwrap();
        *self.relay.borrow_mut() = Some(relay);
    }

    pub(crate) fn lose_heartbeats(&self, way: Way, percent: u8) {
        self.trunk.lose(way, Traffic::Vrrp, percent).unwrap();
    }

    pub(crate) fn logs(&self) -> String {
        let programs = self.programs.borrow();
        let logs = programs.iter().map(|program| {
            let lines = program.last_lines(30);
            format!("--- {}\n{lines}\n", program.name())
        });
        logs.collect()
    }

    /// What both clients have seen, as if they were one.
    fn seen(&self) -> Observation {
        let mut all = Observation {
            every: EVERY,
            ..Observation::default()
        };
        for watch in &self.watches {
            let seen = watch.observation();
            all.replies.extend(seen.replies);
        }
        all.replies.sort_by_key(|reply| reply.at);
        all
    }

    /// What has come of a fault that began at `at`.
    pub(crate) fn outcome(&self, at: Instant) -> Outcome {
        let (seen, end) = (self.seen(), clock::now());
        let holders = seen.holders(vip(), end - LATELY);
        Outcome {
            two: seen.overlap(vip()),
            silence: seen.longest_silence(vip(), at, end),
            holders: holders.into_iter().map(str::to_owned).collect(),
            stood_still: self.stood_still(),
        }
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        // A disk that hangs would keep its readers.
        if let Some(disk) = &self.disk {
            disk.hang(false);
        }
        for program in self.programs.borrow().iter() {
            program.kill();
        }
    }
}

/// One cell of the table, once.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// How long two hosts answered, each to whichever client.
    pub(crate) two: Duration,
    /// The longest that no client was answered by anybody.
    pub(crate) silence: Duration,
    /// Who answers at the end.
    pub(crate) holders: Vec<String>,
    /// A processor stood still for so long that an agent there may have lost its lease by that: whoever was to
    /// wake then has not run for a beat more.
    pub(crate) stood_still: Option<Duration>,
}

fn vip() -> IpAddr {
    VIP.parse().expect("an address")
}
