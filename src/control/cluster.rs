//! Who else is there, and which ways lead to them? The part of the status that native groups share.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::words::Length;

/// The cluster, as this node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// `cluster.name`.
    pub name: String,
    /// Whether at most one node holds in any partition.
    pub exclusive: bool,
    /// What leaves two MASTERs, or none, in one sentence.
    pub not_survived: String,
    /// The other nodes and witnesses.
    pub peers: Vec<PeerStatus>,
    /// The lines of the heartbeat.
    pub paths: Vec<WireStatus>,
    /// The shared disk that has a vote, if there is one.
    #[serde(default)]
    pub disk_lock: Option<DiskLockStatus>,
    /// What in the network must answer this node, on each service interface.
    #[serde(default)]
    pub reference: Vec<TargetStatus>,
}

/// One target of the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// Who is asked.
    pub target: IpAddr,
    /// By which service interface.
    pub interface: String,
    /// How long ago the last question was sent that it has answered, in milliseconds.
    pub answered_ms: Option<u64>,
    /// What it answered: `echo`, or `neighbour` (ARP, neighbour discovery).
    pub by: Option<String>,
    /// Whether that counts.
    pub answers: bool,
    /// Why it cannot be asked.
    pub trouble: Option<String>,
}

/// The shared disk, or three that have one area together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiskLockStatus {
    /// Its path, or all of them.
    pub device: String,
    /// Each.
    #[serde(default)]
    pub disks: Vec<DiskStatus>,
    /// For how long this node has its vote still, in milliseconds; null: it has not, and needs none while
    /// the other node is heard.
    pub vote_ms: Option<u64>,
    /// Why it has no vote that it wants.
    pub blocked: Option<String>,
    /// What is wrong with it, or with some of them.
    pub trouble: Option<String>,
}

/// One shared disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiskStatus {
    /// Its path.
    pub device: String,
    /// What is wrong with it.
    pub trouble: Option<String>,
}

impl DiskLockStatus {
    /// Of several disks each is named.
    pub(crate) fn trouble_of(disks: &[DiskStatus]) -> Option<String> {
        let is_alone = disks.len() == 1;
        let say = |disk: &DiskStatus| {
            let trouble = disk.trouble.as_ref()?;
            Some(match is_alone {
                true => trouble.clone(),
                false => format!("{}: {trouble}", disk.device),
            })
        };
        let troubles: Vec<String> = disks.iter().filter_map(say).collect();
        (!troubles.is_empty()).then(|| troubles.join("; "))
    }
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its name.
    pub node: String,
    /// Whether it hears us and we hear it, within the length of a lease, by whatever paths.
    pub heard: bool,
    /// Each line to it.
    pub paths: Vec<WayStatus>,
}

/// One line to one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WayStatus {
    /// Our interface.
    pub interface: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// How long ago a frame of it came in here, in milliseconds.
    pub heard_ms: Option<u64>,
    /// How long ago it said that it hears us by this line, in milliseconds.
    pub echoed_ms: Option<u64>,
    /// Both together.
    pub state: WayState,
}

/// Who hears whom on a line, lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WayState {
    /// We hear it, and it hears us.
    #[serde(rename = "both ways")]
    Both,
    /// Ours do not arrive.
    #[serde(rename = "one way: we hear it, it does not hear us")]
    OnlyIn,
    /// Its do not arrive.
    #[serde(rename = "one way: it hears us, we do not hear it")]
    OnlyOut,
    /// Neither.
    #[serde(rename = "silent")]
    Silent,
}

impl WayState {
    /// What is heard here, and what is echoed from there.
    #[must_use]
    pub const fn of(heard: bool, echoed: bool) -> Self {
        match (heard, echoed) {
            (true, true) => WayState::Both,
            (true, false) => WayState::OnlyIn,
            (false, true) => WayState::OnlyOut,
            (false, false) => WayState::Silent,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            WayState::Both => "both ways",
            WayState::OnlyIn => "ONE WAY: we hear it, it does not hear us",
            WayState::OnlyOut => "ONE WAY: it hears us, we do not hear it",
            WayState::Silent => "SILENT",
        }
    }
}

/// A line of the heartbeat, to all nodes together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WireStatus {
    /// Where it goes out.
    pub interface: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// The address that it sends from; unspecified while the interface has none.
    pub source: IpAddr,
    /// The unicast peers; empty: multicast.
    pub peers: Vec<IpAddr>,
    /// Frames sent.
    pub sent: u64,
    /// Frames that count.
    pub received: u64,
    /// Authentic frames that did not prove that they were of now.
    pub unproved: u64,
    /// Authentic frames that were heard before.
    pub replayed: u64,
    /// Every counter that is not zero.
    pub counters: BTreeMap<String, u64>,
}

impl ClusterStatus {
    pub(super) fn write(&self, text: &mut String) {
        let mode = match self.exclusive {
            true => "at most one MASTER",
            false => "NOT exclusive",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "cluster {}: {mode}; {}", self.name, self.not_survived);
        for peer in &self.peers {
            peer.write(text);
        }
        for path in &self.paths {
            path.write(text);
        }
        if let Some(disk) = &self.disk_lock {
            disk.write(text);
        }
        for target in &self.reference {
            target.write(text);
        }
    }
}

impl DiskLockStatus {
    fn write(&self, text: &mut String) {
        let _ = write!(text, "  disk lock {}: ", self.device);
        let _ = match (self.vote_ms, &self.blocked) {
            (Some(left), _) => {
                let left = Length(Duration::from_millis(left));
                write!(text, "this node has its vote for {left}")
            }
            (None, Some(why)) => write!(text, "no vote for this node: {why}"),
            (None, None) => write!(text, "not needed"),
        };
        if let Some(trouble) = &self.trouble {
            let _ = write!(text, "; {trouble}");
        }
        text.push('\n');
    }
}

impl TargetStatus {
    fn write(&self, text: &mut String) {
        let _ = write!(text, "  reference {} by {}: ", self.target, self.interface);
        let by = match self.by.as_deref() {
            Some("neighbour") => " (as a neighbour; no echo)",
            _ => "",
        };
        let _ = match (self.answers, self.answered_ms) {
            (true, _) => write!(text, "answers{by}"),
            (false, None) => write!(text, "NEVER answered"),
            (false, Some(ago)) => {
                let ago = Length(Duration::from_millis(ago));
                write!(text, "DOES NOT answer, for {ago}")
            }
        };
        if let Some(trouble) = &self.trouble {
            let _ = write!(text, "; {trouble}");
        }
        text.push('\n');
    }
}

impl PeerStatus {
    fn write(&self, text: &mut String) {
        let heard = match self.heard {
            true => "heard",
            false => "NOT heard",
        };
        let _ = write!(text, "  peer {}: {heard}", self.node);
        for way in &self.paths {
            let state = way.state.words();
            let _ = write!(text, "; {} {} {state}", way.interface, way.family);
            if let Some(heard) = way.heard_ms {
                let _ = write!(text, ", {} ago", Length(Duration::from_millis(heard)));
            }
        }
        text.push('\n');
    }
}

impl WireStatus {
    fn write(&self, text: &mut String) {
        let peers: Vec<String> = self.peers.iter().map(ToString::to_string).collect();
        let to = match peers.is_empty() {
            true => "multicast".to_owned(),
            false => peers.join(" "),
        };
        let _ = writeln!(
            text,
            "  path {} {} from {} to {to}: {} sent, {} heard",
            self.interface, self.family, self.source, self.sent, self.received
        );
        let counters = self
            .counters
            .iter()
            .map(|(name, count)| (name.as_str(), *count));
        let odd = counters.filter(|(name, _)| *name != "accepted");
        let also = [("unproved", self.unproved), ("replayed", self.replayed)];
        let also = also.into_iter().filter(|(_, count)| *count > 0);
        let odd: Vec<String> = odd
            .chain(also)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        if !odd.is_empty() {
            let _ = writeln!(text, "    {}", odd.join(", "));
        }
    }
}
