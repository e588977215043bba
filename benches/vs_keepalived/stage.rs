//! On what do both programs play? Two hosts and a client on one network, and a pair of agents.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use floatlock::lab::agent::{AgentKind, GroupSetup, Setup};
use floatlock::lab::{Ask, Host, Lab, LabError, Lan, Process, Watch, WatchOptions};
use ipnet::{IpNet, Ipv4Net};
use nix::sys::signal::Signal;

use crate::native;

/// The address that moves, or the first of them.
pub(crate) const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 100));
/// Where thousands of addresses come from.
pub(crate) const MANY: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 90, 0, 0), 16);
/// Longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Why a benchmark has no figures.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// Which program plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Keepalived,
    Floatlock,
}

impl Program {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Program::Keepalived => "keepalived",
            Program::Floatlock => "floatlock",
        }
    }

    /// Both, the first one in turn.
    pub(crate) fn in_turn(run: usize) -> [Program; 2] {
        match run % 2 {
            0 => [Program::Keepalived, Program::Floatlock],
            _ => [Program::Floatlock, Program::Keepalived],
        }
    }
}

/// The hosts.
pub(crate) struct Stage {
    pub(crate) a: Host,
    pub(crate) b: Host,
    pub(crate) client: Host,
    lan: Lan,
    _lab: Lab,
}

impl Stage {
    pub(crate) fn new(floatlock: &Path) -> Result<Self, Failure> {
        let lab = Lab::new()?;
        let lan = lab.lan("lan0")?;
        let host = |name, last: u8| -> Result<Host, LabError> {
            let host = lab.host(name)?;
            lan.attach(&host, "eth0", &[&format!("10.77.0.{last}/24")])?;
            Ok(host)
        };
        let (a, b, client) = (host("lb-a", 1)?, host("lb-b", 2)?, host("client", 9)?);
        for host in [&a, &b] {
            install(floatlock, host)?;
        }
        client.sh(&format!("ip route add {MANY} dev eth0"))?;
        Ok(Self {
            a,
            b,
            client,
            lan,
            _lab: lab,
        })
    }

    /// Hosts without a past: fresh namespaces, empty neighbour tables, nothing running.
    pub(crate) fn clear(&self) -> Result<(), Failure> {
        for host in [&self.a, &self.b] {
            if host.is_on() {
                host.power_off()?;
            }
            host.power_on()?;
        }
        self.client.sh("ip neigh flush all")?;
        Ok(())
    }

    /// Starts the program on one host.
    pub(crate) fn start(
        &self,
        program: Program,
        host: &Host,
        part: &Part,
    ) -> Result<Process, Failure> {
        let setup = Setup {
            node: host.name().to_owned(),
            nodes: part.nodes.clone(),
            groups: part.groups.clone(),
        };
        Ok(match program {
            Program::Floatlock if part.native => {
                let text = native::prepare(host, part)?;
                AgentKind::Floatlock(installed(host)).start_with(host, &text)?
            }
            Program::Floatlock => AgentKind::Floatlock(installed(host)).start(host, &setup)?,
            Program::Keepalived => start_keepalived(host, &setup)?,
        })
    }

    /// Starts the program on both hosts; `lb-a` has the better priority.
    pub(crate) fn start_pair(
        &self,
        program: Program,
        groups: &[GroupSetup],
    ) -> Result<Pair, Failure> {
        self.start_pair_of(program, &Part::of_pair(groups))
    }

    pub(crate) fn start_pair_of(&self, program: Program, part: &Part) -> Result<Pair, Failure> {
        let a = self.start(program, &self.a, &part.with_priority(150))?;
        let waits = part.native && program == Program::Floatlock;
        if waits {
            native::wait_for_master(&self.a, part)?;
        }
        let b = self.start(program, &self.b, &part.with_priority(100))?;
        if waits {
            native::wait_for_standby(part);
        }
        Ok(Pair { a, b })
    }

    /// A client that asks for the address every millisecond, and hears adverts and announcements.
    pub(crate) fn ask(&self) -> Result<Watch, Failure> {
        self.ask_for(&[VIP], Duration::from_millis(1))
    }

    /// A client that asks each of the two hosts for each of these addresses, whoever is said to have
    /// it: sees when both answer.
    pub(crate) fn ask_both(&self, addresses: &[IpAddr], every: Duration) -> Result<Watch, Failure> {
        let macs = [self.a.mac_on(&self.lan)?, self.b.mac_on(&self.lan)?];
        let options = WatchOptions {
            every,
            ask: Ask::Hosts(macs.to_vec()),
            ..WatchOptions::new(addresses)
        };
        Ok(Watch::start(&self.client, options)?)
    }

    /// A client that asks for each of these addresses.
    pub(crate) fn ask_for(&self, addresses: &[IpAddr], every: Duration) -> Result<Watch, Failure> {
        let options = WatchOptions {
            every,
            ..WatchOptions::new(addresses)
        };
        Ok(Watch::start(&self.client, options)?)
    }
}

/// What a program is told on one host.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) nodes: Vec<String>,
    pub(crate) groups: Vec<GroupSetup>,
    /// Floatlock speaks its own protocol.
    pub(crate) native: bool,
}

impl Part {
    /// As floatlock's default file: a cluster of two.
    pub(crate) fn of_pair(groups: &[GroupSetup]) -> Self {
        Self {
            nodes: vec!["lb-a".to_owned(), "lb-b".to_owned()],
            groups: groups.to_vec(),
            native: false,
        }
    }

    /// The same in floatlock's own protocol; keepalived has but one.
    pub(crate) fn native(groups: &[GroupSetup]) -> Self {
        Self {
            native: true,
            ..Self::of_pair(groups)
        }
    }

    /// Between two adverts, or heartbeats.
    pub(crate) fn interval(&self) -> Duration {
        self.groups
            .first()
            .map_or(Duration::ZERO, |group| group.interval)
    }

    pub(crate) fn with_priority(&self, priority: u8) -> Self {
        let mut part = self.clone();
        for group in &mut part.groups {
            group.priority = priority;
        }
        part
    }
}

/// Both agents.
pub(crate) struct Pair {
    pub(crate) a: Process,
    pub(crate) b: Process,
}

impl Pair {
    /// A clean end of what still runs.
    pub(crate) fn stop(self) -> Result<(), Failure> {
        for process in [&self.a, &self.b] {
            // It may have ended before: then there is nobody to tell.
            let _ = process.signal(Signal::SIGTERM);
        }
        for process in [&self.a, &self.b] {
            process.wait(PATIENCE)?;
        }
        Ok(())
    }
}

/// One group with one address.
pub(crate) fn group(interval: Duration) -> GroupSetup {
    GroupSetup {
        interval,
        ..GroupSetup::new(100, &[alone(VIP)])
    }
}

/// The address without a network, as both programs then put it on.
pub(crate) fn alone(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// Each host has its own copy of the program, since two hosts do not share memory.
fn install(floatlock: &Path, host: &Host) -> Result<(), Failure> {
    let (from, to) = (floatlock.to_owned(), installed(host));
    let copied = host.run(move || std::fs::copy(from, to))?;
    copied.map_err(|error| format!("copying {}: {error}", floatlock.display()))?;
    Ok(())
}

fn installed(host: &Host) -> PathBuf {
    host.disk().join("floatlock-bench")
}

/// As Debian's unit does, with the log on its output. Without `--log-detail`, which writes a line
/// for each announcement and would count against it.
fn start_keepalived(host: &Host, setup: &Setup) -> Result<Process, Failure> {
    let text = AgentKind::Keepalived.config(setup);
    let file = host.write("keepalived.conf", &text)?;
    let mut command = Command::new(keepalived());
    command.args(["--dont-fork", "--log-console", "--vrrp"]);
    command.args(["--pid", "/run/keepalived.pid"]);
    command.args(["--vrrp_pid", "/run/keepalived_vrrp.pid"]);
    command.arg("--use-file").arg(file);
    Ok(host.spawn(command)?)
}

fn keepalived() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let mut files = places.map(|place| place.join("keepalived"));
    files
        .find(|file| file.is_file())
        .unwrap_or("keepalived".into())
}
