//! What is the state of this node? The shape of `floatlock status --json`, and its words.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cluster::ClusterStatus;
use crate::core::words::Length;

/// The whole node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// `node.name`.
    pub node: String,
    /// Of the running agent.
    pub version: String,
    /// Of the running agent.
    pub pid: u32,
    /// The file that it runs on.
    pub config: String,
    /// How long it has run, in milliseconds.
    pub uptime_ms: u64,
    /// What ends the right to answer of a dead or frozen agent: `bpf`; `nftables`, and why not
    /// `bpf`; or `off` and why.
    pub gate: String,
    /// The device that resets this host if it hangs, if there is one.
    #[serde(default)]
    pub watchdog: Option<WatchdogStatus>,
    /// How the heartbeat thread does.
    pub heartbeat: HeartbeatStatus,
    /// An operator took this node out of service.
    pub maintenance: Option<MaintenanceStatus>,
    /// The other nodes and the ways to them; none where no group is native.
    pub cluster: Option<ClusterStatus>,
    /// The groups in the order of the file.
    pub groups: Vec<GroupStatus>,
}

/// The device that resets a host that hangs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatchdogStatus {
    /// Its path.
    pub device: String,
    /// As its driver calls it.
    pub identity: Option<String>,
    /// It runs, since this node holds addresses or is about to.
    pub armed: bool,
    /// T, in milliseconds, while it runs.
    pub timeout_ms: Option<u64>,
    /// While it runs: a host that hangs is reset before another node answers, also without its gate.
    pub fences: Option<bool>,
    /// Once open it cannot be stopped any more.
    pub nowayout: bool,
    /// It has reset this host the last time.
    pub has_reset: bool,
    /// It is a file for trials, and resets nothing.
    pub stand_in: bool,
    /// What is wrong with it.
    pub trouble: Option<String>,
}

impl WatchdogStatus {
    fn text(&self) -> String {
        let Self { device, .. } = self;
        let state = match (&self.trouble, self.timeout_ms) {
            (Some(trouble), _) => format!("NOT USED: {trouble}"),
            (None, None) => "idle, since nothing is held here".to_owned(),
            (None, Some(timeout)) => {
                let timeout = Length(Duration::from_millis(timeout));
                let reach = match self.fences {
                    _ if self.stand_in => "a file for trials, RESETS NOTHING",
                    Some(true) => "resets this host before another node answers",
                    _ => "backs up the gate only",
                };
                format!("armed, {timeout}; {reach}")
            }
        };
        let nowayout = if self.nowayout { ", nowayout" } else { "" };
        let reset = match self.has_reset {
            true => "; it has reset this host the last time",
            false => "",
        };
        format!("watchdog {device}: {state}{nowayout}{reset}\n")
    }
}

/// Out of service.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaintenanceStatus {
    /// For how long by now, in milliseconds, by the clock of the day.
    pub since_ms: u64,
    /// For how long still, in milliseconds, if that has an end.
    pub left_ms: Option<u64>,
}

/// How the heartbeat thread does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeartbeatStatus {
    /// Whether it has real-time priority and locked memory.
    pub realtime: bool,
    /// The longest that it came after a deadline, in microseconds.
    pub late_max_us: u64,
    /// Frames that could not be sent.
    pub send_failed: u64,
    /// Adverts that were not sent, since the right that they spoke of had ended meanwhile.
    #[serde(default)]
    pub send_late: u64,
    /// Times that the kernel had an error instead of a frame.
    pub receive_failed: u64,
    /// Gratuitous ARP and unsolicited NA sent.
    pub announced: u64,
    /// Announcements given up: the interface was down, or its queue stayed full.
    pub announce_failed: u64,
    /// Frames for ids that no group here has.
    pub foreign: u64,
    /// Jobs for the actuator that found its queue full; the core asks again.
    pub jobs_lost: u64,
    /// Lines that a slow log has lost.
    pub log_lost: u64,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// Its VRID.
    pub id: u8,
    /// MASTER, BACKUP, FAULT, INIT, CANDIDATE, RELEASING or STOPPED.
    pub role: String,
    /// For how long, in milliseconds.
    pub since_ms: u64,
    /// Why, in a sentence.
    pub cause: String,
    /// What keeps this node from holding the addresses, if anything.
    pub blocked: Option<String>,
    /// `native`, `vrrp2` or `vrrp3`.
    pub protocol: String,
    /// As configured.
    pub priority: u8,
    /// As configured, in milliseconds.
    pub interval_ms: u64,
    /// The service interface.
    pub interface: String,
    /// The advertised addresses.
    pub addresses: Vec<String>,
    /// How many move along unadvertised.
    pub unadvertised: usize,
    /// How long this node may still answer if its lease is not renewed, by votes or, under VRRP, by
    /// an advert that leaves, in milliseconds: 0 while it may not, none where nothing ends it.
    pub lease_ms: Option<u64>,
    /// Frames for or from the addresses that the gate has dropped; none without a gate.
    pub gate_dropped: Option<u64>,
    /// Native: the node that says it is MASTER, as last heard, or this one.
    pub holder: Option<String>,
    /// Native: on the MASTER, the node that would take over if it went now.
    pub successor: Option<String>,
    /// Native: the highest epoch that is known here.
    pub epoch: Option<u64>,
    /// Native: this node holds the addresses, and no other one acknowledges it.
    pub alone: bool,
    /// Native: whether this node could hold the addresses at once, were it asked to.
    pub ready: bool,
    /// Native: for how long the vote of this node is promised to another one, in milliseconds.
    pub promised_ms: Option<u64>,
    /// An operator took this node out of service.
    pub maintenance: bool,
    /// Which actions are waited for, `promote` or `demote`; none while none are.
    pub acting: Option<String>,
    /// On a MASTER that is about to give the addresses up: why.
    pub leaving: Option<String>,
    /// The other MASTER that was heard last under VRRP, unless it resigned since.
    pub rival: Option<Rival>,
    /// How often this node became MASTER.
    pub promotions: u64,
    /// How often an address had to be put back.
    pub restored: u64,
    /// The lines to the peers.
    pub paths: Vec<PathStatus>,
}

/// A MASTER that was heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rival {
    /// Its address.
    pub address: IpAddr,
    /// Its priority.
    pub priority: u8,
    /// How long ago, in milliseconds.
    pub ago_ms: u64,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathStatus {
    /// Where it goes out.
    pub interface: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// The address that it sends from.
    pub source: IpAddr,
    /// The unicast peers; empty: multicast.
    pub peers: Vec<IpAddr>,
    /// Adverts sent.
    pub sent: u64,
    /// Adverts accepted.
    pub received: u64,
    /// The last one.
    pub last: Option<Rival>,
    /// Every counter that is not zero.
    pub counters: std::collections::BTreeMap<String, u64>,
}

impl Status {
    /// The groups that `name` selects: that one, or all.
    #[must_use]
    pub fn only(mut self, name: Option<&str>) -> Self {
        if let Some(name) = name {
            self.groups.retain(|group| group.name == name);
        }
        self
    }

    /// The status as people read it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let uptime = Length(Duration::from_millis(self.uptime_ms));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "node {}  (floatlock {}, pid {}, up {uptime}, {})",
            self.node, self.version, self.pid, self.config
        );
        self.heartbeat.write(&mut text);
        let _ = match self.gate.as_str() {
            off if off.starts_with("off") => writeln!(
                text,
                "gate: {off}  UNSAFE: a dead agent's addresses answer on"
            ),
            level => writeln!(text, "gate: {level}"),
        };
        if let Some(watchdog) = &self.watchdog {
            text.push_str(&watchdog.text());
        }
        if let Some(maintenance) = self.maintenance {
            maintenance.write(&mut text);
        }
        if let Some(cluster) = &self.cluster {
            cluster.write(&mut text);
        }
        for group in &self.groups {
            group.write(&mut text);
        }
        text
    }

    /// One line for systemd's status.
    #[must_use]
    pub fn line(&self) -> String {
        let count = |role: &str| {
            self.groups
                .iter()
                .filter(|group| group.role == role)
                .count()
        };
        match &self.groups[..] {
            groups if groups.len() <= 4 => {
                let each = groups
                    .iter()
                    .map(|group| format!("{} {}", group.name, group.role));
                each.collect::<Vec<_>>().join(", ")
            }
            groups => format!(
                "{} groups: {} MASTER, {} BACKUP, {} FAULT",
                groups.len(),
                count("MASTER"),
                count("BACKUP"),
                count("FAULT")
            ),
        }
    }
}

impl MaintenanceStatus {
    fn write(self, text: &mut String) {
        let length = |millis| Length(Duration::from_millis(millis));
        let _ = write!(
            text,
            "OUT OF SERVICE for {}: takes no addresses",
            length(self.since_ms)
        );
        let _ = match self.left_ms {
            Some(left) => writeln!(text, " for {} more", length(left)),
            None => writeln!(text, " until `floatlock maintenance off`"),
        };
    }
}

impl HeartbeatStatus {
    fn write(&self, text: &mut String) {
        let late = Duration::from_micros(self.late_max_us);
        let _ = write!(text, "heartbeat: ");
        let _ = match self.realtime {
            true => write!(text, "real-time"),
            false => write!(text, "NOT real-time (see the log)"),
        };
        let _ = write!(text, ", at most {:.1} ms late", late.as_secs_f64() * 1e3);
        let counts = [
            ("frames not sent", self.send_failed),
            ("adverts too late to send", self.send_late),
            ("receive errors", self.receive_failed),
            ("announcements not sent", self.announce_failed),
            ("foreign frames", self.foreign),
            ("jobs repeated", self.jobs_lost),
            ("log lines lost", self.log_lost),
        ];
        for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            let _ = write!(text, ", {count} {name}");
        }
        text.push('\n');
    }
}

impl GroupStatus {
    fn write(&self, text: &mut String) {
        let since = Length(Duration::from_millis(self.since_ms));
        let _ = writeln!(
            text,
            "\n{}  {}  for {since}\n  why: {}",
            self.name, self.role, self.cause,
        );
        // FAULT has it as its cause.
        if let Some(blocked) = self.blocked.as_ref().filter(|why| **why != self.cause) {
            let _ = writeln!(text, "  blocked: {blocked}");
        }
        let _ = writeln!(
            text,
            "  {} id {}, priority {}, every {} on {}",
            self.protocol,
            self.id,
            self.priority,
            Length(Duration::from_millis(self.interval_ms)),
            self.interface,
        );
        self.write_addresses(text);
        self.write_lease(text);
        self.write_votes(text);
        if let Some(rival) = &self.rival {
            let _ = writeln!(text, "  MASTER heard: {}", rival.text());
        }
        let _ = writeln!(
            text,
            "  became MASTER {} times, put addresses back {} times",
            self.promotions, self.restored
        );
        for path in &self.paths {
            path.write(text);
        }
    }

    fn write_lease(&self, text: &mut String) {
        let Some(left) = self.lease_ms else {
            text.push_str("  no gate: nothing ends this node's right to answer\n");
            return;
        };
        let dropped = self.gate_dropped.unwrap_or_default();
        let _ = match left {
            0 => write!(text, "  gate shut"),
            _ => {
                let left = Length(Duration::from_millis(left));
                let renewed = match self.is_native() {
                    true => "unless the votes renew it",
                    false => "if no further advert leaves",
                };
                write!(text, "  gate open for {left} {renewed}")
            }
        };
        let _ = writeln!(text, ", {dropped} frames dropped");
    }

    fn is_native(&self) -> bool {
        self.protocol == "native"
    }

    fn write_votes(&self, text: &mut String) {
        if self.is_native() {
            let holder = match &self.holder {
                Some(holder) => format!("{holder} holds"),
                None => "nobody is known to hold".to_owned(),
            };
            let epoch = self.epoch.unwrap_or_default();
            let _ = write!(text, "  {holder}, epoch {epoch}");
            if let Some(promised) = self.promised_ms {
                let promised = Length(Duration::from_millis(promised));
                let _ = write!(text, ", vote promised for {promised}");
            }
            let _ = match (self.role.as_str(), self.ready, &self.successor) {
                ("MASTER", _, Some(next)) => writeln!(text, ", {next} is ready to take over"),
                ("MASTER", _, None) => writeln!(text, ", NOBODY is ready to take over"),
                ("CANDIDATE" | "WITNESS", ..) => writeln!(text),
                (_, true, _) => writeln!(text, ", ready to take over"),
                (_, false, _) => writeln!(text, ", NOT ready to take over"),
            };
        }
        if self.alone {
            text.push_str(
                "  ALONE: no other node acknowledges; a second MASTER beyond a cut would not be seen\n",
            );
        }
        if self.maintenance {
            text.push_str("  out of service: takes nothing\n");
        }
        if let Some(acting) = &self.acting {
            let _ = write!(text, "  {acting}: waits for the actions");
            let _ = match &self.leaving {
                Some(why) => writeln!(text, " ({why})"),
                None => writeln!(text),
            };
        }
    }

    fn write_addresses(&self, text: &mut String) {
        const SHOWN: usize = 8;
        let shown: Vec<&str> = self
            .addresses
            .iter()
            .take(SHOWN)
            .map(String::as_str)
            .collect();
        let hidden = self.addresses.len() - shown.len();
        let _ = write!(text, "  addresses: {}", shown.join(" "));
        if hidden > 0 {
            let _ = write!(text, " and {hidden} more");
        }
        if self.unadvertised > 0 {
            let _ = write!(text, ", {} unadvertised", self.unadvertised);
        }
        text.push('\n');
    }
}

impl Rival {
    fn text(&self) -> String {
        let ago = Length(Duration::from_millis(self.ago_ms));
        format!("{}, priority {}, {ago} ago", self.address, self.priority)
    }
}

impl PathStatus {
    fn write(&self, text: &mut String) {
        let peers: Vec<String> = self.peers.iter().map(ToString::to_string).collect();
        let to = if peers.is_empty() {
            "multicast".to_owned()
        } else {
            peers.join(" ")
        };
        let _ = write!(
            text,
            "  path {} {} from {} to {to}: {} sent, {} heard",
            self.interface, self.family, self.source, self.sent, self.received
        );
        if let Some(last) = &self.last {
            let _ = write!(text, ", last {}", last.text());
        }
        text.push('\n');
        let odd = self
            .counters
            .iter()
            .filter(|(name, _)| name.as_str() != "accepted");
        let odd: Vec<String> = odd.map(|(name, count)| format!("{name} {count}")).collect();
        if !odd.is_empty() {
            let _ = writeln!(text, "    {}", odd.join(", "));
        }
    }
}
