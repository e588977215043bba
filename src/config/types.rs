//! What does a checked configuration say? Types that cannot be wrong.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::core::Actions;
use crate::core::election;
pub use crate::core::election::Version;
use crate::wire::native::Key;

/// A whole file, checked: every group is complete, nothing is left to default later.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[cluster]`, if the file has one.
    pub cluster: Option<Cluster>,
    /// `[node]`.
    pub node: Node,
    /// `[fencing]`.
    pub fencing: Fencing,
    /// What all native groups share: there where at least one group is native, unless the file was
    /// read without its keys.
    pub native: Option<Native>,
    /// The groups in the order of the file; at least one.
    pub groups: Vec<Arc<GroupConfig>>,
}

impl Config {
    /// Everybody in `[cluster]` who votes, sorted by the bytes of the name: a node's place in this
    /// list is its number, so that the order in the file decides nothing.
    #[must_use]
    pub fn voters(&self) -> Vec<Voter<'_>> {
        let cluster = self.cluster.iter();
        let mut voters: Vec<Voter<'_>> = cluster.flat_map(Cluster::voters).collect();
        voters.sort_unstable_by_key(|voter| voter.name);
        voters
    }

    /// Whether this node only votes: no address is ever held here.
    #[must_use]
    pub fn is_witness(&self) -> bool {
        let witnesses = self.cluster.iter().flat_map(|c| &c.witnesses);
        witnesses.into_iter().any(|name| *name == self.node.name)
    }
}

/// One of those who vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voter<'c> {
    /// Unique among them.
    pub name: &'c str,
    /// What it may do besides.
    pub kind: VoterKind,
}

/// What somebody who votes may do besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoterKind {
    /// Hold addresses.
    Node,
    /// Nothing.
    Witness,
}

/// `[cluster]`: the same on every node.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// The cluster's name.
    pub name: String,
    /// The nodes that may hold addresses, in the order of the file.
    pub nodes: Vec<String>,
    /// Those that only vote, in the order of the file; none of them is in `nodes`.
    pub witnesses: Vec<String>,
    /// The key of the native protocol.
    pub key_file: PathBuf,
    /// One that is also accepted, during a change of keys.
    pub old_key_file: Option<PathBuf>,
}

impl Cluster {
    fn voters(&self) -> impl Iterator<Item = Voter<'_>> {
        let nodes = self.nodes.iter().map(|name| Voter {
            name,
            kind: VoterKind::Node,
        });
        let witnesses = self.witnesses.iter().map(|name| Voter {
            name,
            kind: VoterKind::Witness,
        });
        nodes.chain(witnesses)
    }
}

/// What all native groups share: one heartbeat speaks for them.
#[derive(Clone, Debug, PartialEq)]
pub struct Native {
    /// Between two heartbeats: whole microseconds.
    pub interval: Duration,
    /// After so many silent intervals a lease has ended; at least 4.
    pub misses: u32,
    /// Every line between the nodes; at least one. A node numbers its own lines by this order.
    pub paths: Vec<PathConfig>,
    /// What the heartbeats are signed with.
    pub keys: Keys,
}

/// The keys that were in their files when the configuration was read.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Signs, and is accepted.
    pub current: Key,
    /// Is accepted too.
    pub old: Option<Key>,
}

/// Keys of one id are one key.
impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        let ids = |keys: &Self| (keys.current.id(), keys.old.as_ref().map(Key::id));
        ids(self) == ids(other)
    }
}

/// How a group's nodes speak to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// Floatlock's own: leases, and one signed heartbeat for all groups.
    #[default]
    Native,
    /// VRRPv2 (RFC 3768).
    Vrrp2,
    /// VRRPv3 (RFC 9568).
    Vrrp3,
}

impl Protocol {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Native, Self::Vrrp3, Self::Vrrp2];

    /// As it is written in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Protocol::Native => "native",
            Protocol::Vrrp2 => "vrrp2",
            Protocol::Vrrp3 => "vrrp3",
        }
    }
}

/// `[node]`: this host.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Default: the host name.
    pub name: String,
    /// `control.sock` lives here.
    pub runtime_dir: PathBuf,
    /// What survives a restart lives here.
    pub state_dir: PathBuf,
    /// SCHED_FIFO and locked memory for the heartbeat thread.
    pub realtime: bool,
}

/// `[fencing]`: what ends the right to answer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Fencing {
    /// The kernel-enforced end of a lease.
    pub gate: GateChoice,
    /// The shared devices that have the third vote of two nodes together: none, one, or three.
    pub disk_lock: Vec<PathBuf>,
    /// When its vote is asked for.
    pub disk_lock_mode: DiskLockMode,
    /// How long it grants, if the file says so: the device's area does as well.
    pub disk_lease: Option<Duration>,
    /// What in the network must answer this node.
    pub reference: Option<Reference>,
    /// The device that resets a host that hangs.
    pub watchdog: Option<PathBuf>,
    /// What else a MASTER does that loses its lease.
    pub on_lease_lost: OnLeaseLost,
}

/// When a node asks the disk for its vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DiskLockMode {
    /// While the other node is not heard.
    #[default]
    Smart,
    /// Whenever it holds: without the disk nobody does.
    Always,
}

impl DiskLockMode {
    /// As it is written in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            DiskLockMode::Smart => "smart",
            DiskLockMode::Always => "always",
        }
    }
}

impl Fencing {
    /// Whether a shared disk has a vote.
    #[must_use]
    pub const fn has_disk(&self) -> bool {
        !self.disk_lock.is_empty()
    }

    /// Whether nobody holds without the disk.
    #[must_use]
    pub fn needs_disk(&self) -> bool {
        self.has_disk() && self.disk_lock_mode == DiskLockMode::Always
    }

    /// How long the disk grants, as far as the file knows.
    #[must_use]
    pub fn disk_lease(&self) -> Duration {
        self.disk_lease.unwrap_or(DISK_LEASE)
    }

    /// The same, where the file says it or times follow from it.
    #[must_use]
    pub fn reckoned_disk_lease(&self) -> Option<Duration> {
        let lease = self.needs_disk().then(|| self.disk_lease());
        self.disk_lease.or(lease)
    }
}

/// What `floatlock lock init` writes where nothing else is said.
const DISK_LEASE: Duration = Duration::from_secs(5);

/// What a node does that was MASTER and has lost its lease, besides falling silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnLeaseLost {
    /// Nothing.
    #[default]
    Silence,
    /// It reboots.
    Reboot,
}

/// What in the network must answer a node that is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// In the order of the file.
    pub targets: Vec<IpAddr>,
    /// How many of them.
    pub need: usize,
    /// How long a node that has heard nobody waits before it stands all the same; none: for ever.
    pub solo_after: Option<Duration>,
}

/// Which gate is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum GateChoice {
    /// The best that this host has; none is a warning.
    #[default]
    Auto,
    /// The one that compares an absolute deadline; without it the agent does not start.
    Bpf,
    /// The one whose time is relative; without it the agent does not start.
    Nftables,
    /// None: a dead agent's addresses go on answering.
    Off,
}

impl GateChoice {
    /// As the file says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            GateChoice::Auto => "auto",
            GateChoice::Bpf => "bpf",
            GateChoice::Nftables => "nftables",
            GateChoice::Off => "off",
        }
    }
}

/// One `[[group]]`: addresses that move together, with everything it inherits filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupConfig {
    /// Unique in the file.
    pub name: String,
    /// The VRID, 1 to 255.
    pub id: u8,
    /// 1 to 254; 255: the addresses are the host's own.
    pub priority: u8,
    /// The service interface.
    pub interface: String,
    /// How its nodes speak to each other.
    pub protocol: Protocol,
    /// Between two adverts, or native heartbeats.
    pub interval: Duration,
    /// Silent intervals until the MASTER counts as lost.
    pub misses: u32,
    /// The smallest number of silent intervals after which a peer gives up.
    pub peer_misses: u32,
    /// Where adverts go: the first path is on `interface`, further ones are redundant lines. Of a
    /// native group: every `[[heartbeat.path]]`, or its `interface` where the file has none.
    pub paths: Vec<PathConfig>,
    /// Advertised addresses in the order of the file (what fits one advert for each family; of a
    /// native group all).
    pub addresses: Vec<VirtualAddress>,
    /// Addresses that move along without being advertised (`unadvertised`, and what did not fit).
    pub unadvertised: Vec<VirtualAddress>,
    /// Whether a better node takes over from a living MASTER.
    pub preempt: bool,
    /// How long a better node waits before it does.
    pub preempt_delay: Duration,
    /// How long after the start of the agent the node does not stand.
    pub start_delay: Duration,
    /// VRRPv2 plain-text authentication, zero-padded; `None`: type 0.
    pub auth_pass: Option<[u8; 8]>,
    /// The form of the VRRPv3 checksum over IPv4 that is sent.
    pub checksum: Checksum,
    /// Gratuitous ARP and unsolicited NA.
    pub announce: Announce,
    /// Every `[[group.action]]` in the order of the file.
    pub actions: Vec<ActionConfig>,
}

/// One `[[group.action]]`: a script that runs at a change of role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionConfig {
    /// When.
    pub on: ActionEvent,
    /// The program, by its absolute path, and its arguments.
    pub run: Vec<String>,
    /// It is ended when it has not ended by then.
    pub timeout: Duration,
    /// `promote` only: if it fails or is late, there is no promotion.
    pub required: bool,
    /// keepalived's `INSTANCE NAME STATE PRIORITY` are appended to the arguments.
    pub keepalived_args: bool,
    /// Whom it runs as; default: `floatlock-script` where there is such a user, else the agent's.
    pub user: Option<String>,
}

impl ActionConfig {
    /// How long it is waited for: it is told to end, killed, and given up.
    #[must_use]
    pub fn longest(&self) -> Duration {
        const UNTIL_GIVEN_UP: Duration = Duration::from_millis(1500);
        self.timeout + UNTIL_GIVEN_UP
    }
}

/// At which step of a change of role an action runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActionEvent {
    /// Before the addresses go on; it can veto.
    Promote,
    /// MASTER.
    Promoted,
    /// Before the addresses come off in a planned move; in any other one when the gate is shut.
    Demote,
    /// BACKUP.
    Demoted,
    /// FAULT.
    Fault,
    /// The agent ends.
    Stop,
    /// `promoted`, `demoted`, `fault` and `stop`.
    Any,
}

impl ActionEvent {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Promote,
        Self::Promoted,
        Self::Demote,
        Self::Demoted,
        Self::Fault,
        Self::Stop,
        Self::Any,
    ];

    /// As it is written in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            ActionEvent::Promote => "promote",
            ActionEvent::Promoted => "promoted",
            ActionEvent::Demote => "demote",
            ActionEvent::Demoted => "demoted",
            ActionEvent::Fault => "fault",
            ActionEvent::Stop => "stop",
            ActionEvent::Any => "any",
        }
    }

    /// Whether what is configured for this event runs at `event`, which is not [`ActionEvent::Any`].
    #[must_use]
    pub fn is_at(self, event: ActionEvent) -> bool {
        let is_notice = matches!(
            event,
            Self::Promoted | Self::Demoted | Self::Fault | Self::Stop
        );
        self == event || self == Self::Any && is_notice
    }
}

impl GroupConfig {
    /// The version of VRRP; VRRPv3 for a native group, which speaks neither.
    #[must_use]
    pub const fn version(&self) -> Version {
        match self.protocol {
            Protocol::Vrrp2 => Version::V2,
            Protocol::Native | Protocol::Vrrp3 => Version::V3,
        }
    }

    /// Whether the native heartbeat speaks for it.
    #[must_use]
    pub const fn is_native(&self) -> bool {
        matches!(self.protocol, Protocol::Native)
    }

    /// All addresses that move: advertised, then unadvertised.
    pub fn all_addresses(&self) -> impl Iterator<Item = &VirtualAddress> {
        self.addresses.iter().chain(&self.unadvertised)
    }

    /// How long its actions may take, all of one kind together.
    #[must_use]
    pub fn action_limits(&self) -> Actions {
        let all = |event| {
            let at = self.actions.iter().filter(|action| action.on.is_at(event));
            at.map(ActionConfig::longest).sum()
        };
        let notices = [
            ActionEvent::Promoted,
            ActionEvent::Demoted,
            ActionEvent::Fault,
            ActionEvent::Stop,
        ];
        Actions {
            promote: all(ActionEvent::Promote),
            demote: all(ActionEvent::Demote),
            others: notices.into_iter().map(all).max().unwrap_or_default(),
        }
    }

    /// How long an advert lets this node answer, where a gate ends it; for a native group, how long
    /// a vote does (L). The addresses of an owner are its own, and nothing ends that.
    #[must_use]
    pub fn lease(&self) -> Option<Duration> {
        if self.is_native() {
            return Some(self.interval.saturating_mul(self.misses));
        }
        let owner = self.priority == election::OWNER;
        election::lease(self.interval, self.peer_misses).filter(|_| !owner)
    }

    /// The families that the group speaks, the leading one (which decides between equal
    /// priorities) first: IPv4 where it has an advertised IPv4 address, else IPv6.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let has = |v4: bool| self.addresses.iter().any(|a| a.net.addr().is_ipv4() == v4);
        let both = [(Family::V4, has(true)), (Family::V6, has(false))];
        both.into_iter()
            .filter_map(|(family, there)| there.then_some(family))
            .collect()
    }
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

/// One line between the nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct PathConfig {
    /// The interface that it goes out of and comes in by.
    pub interface: String,
    /// Unicast peers of this path; empty: multicast. With peers, a family without any peer is
    /// not spoken on this path.
    pub peers: Vec<IpAddr>,
    /// The explicit source; at most one a family. Default: the interface's first address that
    /// belongs to no group (IPv6: its link-local address).
    pub source: Vec<IpAddr>,
}

/// One floating address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VirtualAddress {
    /// The address with the prefix length of its network, as in the file. It goes on as /32 or
    /// /128, so that it never becomes the primary address of its network.
    pub net: IpNet,
    /// The interface that it goes on.
    pub interface: String,
}

/// Forms of the VRRPv3 checksum over IPv4 that can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// With the pseudo-header: keepalived's default.
    PseudoHeader,
    /// Without: RFC 9568, section 5.2.8.
    Plain,
}

/// `[group.announce]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// Frames for each address, at once and again after `repeat_after`.
    pub count: u32,
    /// When the second burst comes; zero: never.
    pub repeat_after: Duration,
    /// While MASTER, one frame for each address this often; zero: off.
    pub refresh: Duration,
    /// The most frames a second, all groups of this setting together counted one by one.
    pub rate: u32,
}
