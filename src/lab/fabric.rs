//! What connects the hosts, and how does it fail? Bridges in a namespace of their own.
//!
//! Faults are made here, never on a host, where a filter would miss some sockets and turn others'
//! sends into errors.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::machine::mount_new;
use super::worker::Worker;
use super::{Host, LabError, Mac, clock, tool};

/// How long a link may take to have its carrier.
const CARRIER_WITHIN: Duration = Duration::from_secs(5);

/// The namespace of the bridges.
#[derive(Debug)]
pub(super) struct Fabric {
    worker: Worker,
    ports: AtomicU32,
    owners: Mutex<HashMap<Mac, Arc<str>>>,
}

impl Fabric {
    pub(super) fn new() -> Result<Self, LabError> {
        Ok(Self {
            worker: Worker::start("fabric", enter)?,
            ports: AtomicU32::new(1),
            owners: Mutex::default(),
        })
    }

    /// A worker that starts from the fabric's namespaces, not from the machine's.
    pub(super) fn worker_inside(
        &self,
        name: &str,
        enter: impl FnOnce() -> Result<(), LabError> + Send + 'static,
    ) -> Result<Worker, LabError> {
        let name = name.to_owned();
        self.worker.run(move || Worker::start(&name, enter))?
    }

    /// Gives these lines to `ip`, `bridge` or `nft` in the fabric.
    pub(super) fn tool(&self, tool: Tool, lines: Vec<String>) -> Result<(), LabError> {
        self.worker.run(move || tool(&lines))?
    }

    pub(super) fn next_port(&self) -> String {
        format!("p{}", self.ports.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn own(&self, mac: Mac, host: &str) {
        self.owners().insert(mac, Arc::from(host));
    }

    /// Every interface of the laboratory, with the host that it belongs to.
    pub(super) fn owners(&self) -> std::sync::MutexGuard<'_, HashMap<Mac, Arc<str>>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Tool = fn(&[String]) -> Result<(), LabError>;

fn enter() -> Result<(), LabError> {
    let own = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    unshare(own).map_err(LabError::privileged("making a network namespace"))?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    let none = None::<&str>;
    mount(none, "/", none, private, none).map_err(LabError::io("making the mounts private"))?;
    // What the hosts write lives in memory that goes with this process.
    mount_new("tmpfs", "/run").map_err(LabError::io("mounting /run"))?;
    // The bridges do not speak themselves. A machine without IPv6 needs no telling.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    Ok(())
}

/// What a one-way fault concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Everything.
    All,
    /// IP protocol 112, of both families.
    Vrrp,
}

impl Traffic {
    /// As `nft` says it.
    fn kinds(self) -> &'static [&'static str] {
        match self {
            Traffic::All => &[""],
            Traffic::Vrrp => &[
                "ether type ip ip protocol 112",
                "ether type ip6 ip6 nexthdr 112",
            ],
        }
    }
}

/// A network: hosts attach to it, and its faults are made through it.
#[derive(Clone)]
pub struct Lan {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    number: u8,
    fabric: Arc<Fabric>,
}

impl fmt::Debug for Lan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lan({})", self.inner.name)
    }
}

impl Lan {
    pub(super) fn new(name: &str, number: u8, fabric: Arc<Fabric>) -> Result<Self, LabError> {
        let bridge = bridge_name(number);
        // Without snooping every multicast frame reaches every host, as on most networks.
        fabric.tool(
            tool::ip,
            vec![
                format!("link add {bridge} type bridge stp_state 0 mcast_snooping 0"),
                format!("link set {bridge} up"),
            ],
        )?;
        let name = name.to_owned();
        let inner = Inner {
            name,
            number,
            fabric,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    pub(super) fn number(&self) -> u8 {
        self.inner.number
    }

    /// Gives the host an interface in this network, with these addresses.
    ///
    /// # Errors
    /// [`LabError::Attached`], [`LabError::Address`], or what `ip` refused.
    pub fn attach(&self, host: &Host, interface: &str, addresses: &[&str]) -> Result<(), LabError> {
        host.plug_in(self, interface, addresses)
    }

    /// Makes the port of a new interface of the host.
    pub(super) fn add_port(
        &self,
        net_namespace: &str,
        interface: &str,
        mac: Mac,
    ) -> Result<String, LabError> {
        let port = self.inner.fabric.next_port();
        let bridge = bridge_name(self.inner.number);
        self.inner.fabric.tool(
            tool::ip,
            vec![
                format!(
                    "link add {port} type veth \
                     peer name {interface} address {mac} netns {net_namespace}"
                ),
                format!("link set {port} master {bridge}"),
                format!("link set {port} up"),
            ],
        )?;
        Ok(port)
    }

    /// The bridge does not learn from what this host sends that is not its own: frames for others go where they are.
    ///
    /// # Errors
    /// [`LabError::NotAttached`], or what `bridge` refused.
    pub fn does_not_learn_from(&self, host: &Host) -> Result<(), LabError> {
        let port = host.port_on(self)?;
        let line = format!("link set dev {port} learning off");
        self.inner.fabric.tool(tool::bridge, vec![line])
    }

    /// Pulls the host's cable: both ends lose their carrier.
    ///
    /// # Errors
    /// [`LabError::NotAttached`], or what `ip` refused.
    pub fn cut(&self, host: &Host) -> Result<(), LabError> {
        let port = host.port_on(self)?;
        let down = format!("link set {port} down");
        self.inner.fabric.tool(tool::ip, vec![down])
    }

    /// Cuts the host off without a sign: its link stays up, nothing goes through.
    ///
    /// # Errors
    /// [`LabError::NotAttached`], or what `bridge` refused.
    pub fn cut_silently(&self, host: &Host) -> Result<(), LabError> {
        let port = host.port_on(self)?;
        let disabled = format!("link set dev {port} state 0");
        self.inner.fabric.tool(tool::bridge, vec![disabled])
    }

    /// Undoes [`Lan::cut`] and [`Lan::cut_silently`]; when it returns, frames go through again.
    ///
    /// # Errors
    /// [`LabError::NotAttached`], or what `ip` or `bridge` refused.
    pub fn heal(&self, host: &Host) -> Result<(), LabError> {
        let port = host.port_on(self)?;
        let up = format!("link set {port} up");
        self.inner.fabric.tool(tool::ip, vec![up])?;
        self.forward(&port)
    }

    /// Waits until the port has its carrier, which the kernel notices on its own time, and lets
    /// it forward.
    pub(super) fn forward(&self, port: &str) -> Result<(), LabError> {
        let forwarding = vec![format!("link set dev {port} state 3")];
        let mut result = Ok(());
        // Refused with ENETDOWN as long as there is no carrier.
        clock::wait_until(CARRIER_WITHIN, || {
            result = self.inner.fabric.tool(tool::bridge, forwarding.clone());
            !matches!(result, Err(LabError::Command { .. }))
        });
        result
    }

    /// Drops what goes from one host to another, one way; needs `nft`.
    ///
    /// # Errors
    /// [`LabError::NotAttached`], or what `nft` refused.
    pub fn drop_one_way(&self, from: &Host, to: &Host, what: Traffic) -> Result<(), LabError> {
        let (from, to) = (from.port_on(self)?, to.port_on(self)?);
        let way = format!("iifname \"{from}\" oifname \"{to}\"");
        let table = self.table();
        let hook = "{ type filter hook forward priority 0; }";
        let mut lines = vec![
            format!("add table bridge {table}"),
            format!("add chain bridge {table} drops {hook}"),
        ];
        let rule = |kind: &&str| format!("add rule bridge {table} drops {way} {kind} drop");
        lines.extend(what.kinds().iter().map(rule));
        self.inner.fabric.tool(tool::nft, lines)
    }

    /// Undoes every [`Lan::drop_one_way`] of this network.
    ///
    /// # Errors
    /// What `nft` refused.
    pub fn drop_nothing(&self) -> Result<(), LabError> {
        let table = self.table();
        // Added first, since only what is there can be deleted.
        let lines = vec![
            format!("add table bridge {table}"),
            format!("delete table bridge {table}"),
        ];
        self.inner.fabric.tool(tool::nft, lines)
    }

    /// Makes one network of two, as between two racks; needs `nft` for its faults.
    ///
    /// # Errors
    /// What `ip` refused.
    pub fn join(&self, other: &Lan) -> Result<Trunk, LabError> {
        let fabric = &self.inner.fabric;
        let ends = [fabric.next_port(), fabric.next_port()];
        let [one, two] = &ends;
        let mut lines = vec![format!("link add {one} type veth peer name {two}")];
        for (end, lan) in ends.iter().zip([self, other]) {
            let bridge = bridge_name(lan.inner.number);
            lines.push(format!("link set {end} master {bridge}"));
            lines.push(format!("link set {end} up"));
        }
        fabric.tool(tool::ip, lines)?;
        for (end, lan) in ends.iter().zip([self, other]) {
            lan.forward(end)?;
        }
        Ok(Trunk {
            ends,
            fabric: Arc::clone(fabric),
        })
    }

    fn table(&self) -> String {
        bridge_name(self.inner.number)
    }
}

/// The line between two networks.
#[derive(Debug)]
pub struct Trunk {
    ends: [String; 2],
    fabric: Arc<Fabric>,
}

/// Which way along a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the network that was joined to the other one.
    There,
    /// To it.
    Back,
}

impl Trunk {
    /// Nothing goes through any more; the hosts see no sign of it.
    ///
    /// # Errors
    /// What `nft` refused.
    pub fn cut(&self) -> Result<(), LabError> {
        self.lose(Way::There, Traffic::All, 100)?;
        self.lose(Way::Back, Traffic::All, 100)
    }

    /// So many of a hundred frames are lost one way, at random.
    ///
    /// # Errors
    /// What `nft` refused.
    pub fn lose(&self, way: Way, what: Traffic, percent: u8) -> Result<(), LabError> {
        // Where they come out.
        let end = match way {
            Way::There => &self.ends[1],
            Way::Back => &self.ends[0],
        };
        let table = self.table();
        let hook = "{ type filter hook forward priority 0; }";
        let mut lines = vec![
            format!("add table bridge {table}"),
            format!("add chain bridge {table} drops {hook}"),
        ];
        let chance = match percent {
            100.. => String::new(),
            _ => format!("numgen random mod 100 < {percent}"),
        };
        let rule = |kind: &&str| {
            format!("add rule bridge {table} drops iifname \"{end}\" {kind} {chance} drop")
        };
        lines.extend(what.kinds().iter().map(rule));
        self.fabric.tool(tool::nft, lines)
    }

    /// The bridges do not learn from what comes through it: where there is another way for some frames, their sender is
    /// not behind this one.
    ///
    /// # Errors
    /// What `bridge` refused.
    pub fn is_not_learnt_from(&self) -> Result<(), LabError> {
        let line = |end: &String| format!("link set dev {end} learning off");
        let lines = self.ends.iter().map(line).collect();
        self.fabric.tool(tool::bridge, lines)
    }

    /// Undoes all of it.
    ///
    /// # Errors
    /// What `nft` refused.
    pub fn heal(&self) -> Result<(), LabError> {
        let table = self.table();
        // Added first, since only what is there can be deleted.
        let lines = vec![
            format!("add table bridge {table}"),
            format!("delete table bridge {table}"),
        ];
        self.fabric.tool(tool::nft, lines)
    }

    fn table(&self) -> String {
        format!("trunk_{}", self.ends[0])
    }
}

fn bridge_name(number: u8) -> String {
    format!("lan{number}")
}
