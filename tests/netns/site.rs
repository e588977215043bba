//! Where do the tests play? Hosts and a client on one network, and what the client sees.

use std::net::IpAddr;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Ask, Host, Lab, Lan, Observation, Watch, WatchOptions, clock};

use crate::agent::Agent;
use crate::config::{Config, Group};

/// Longer than anything takes here, also on a machine with other work.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Above the agents, and above what starves them.
const ASKER: u8 = 70;
/// Questions that come later than this say nothing about the answers.
const LATE: Duration = Duration::from_millis(10);

/// Names of the nodes, the better one first.
pub(crate) const NODES: [&str; 3] = ["lb-a", "lb-b", "lb-c"];

/// A network with hosts and a client on it; nothing runs yet.
pub(crate) struct Site {
    pub(crate) hosts: Vec<Host>,
    pub(crate) client: Host,
    pub(crate) lan: Lan,
    // Last: hosts go before what connects them.
    pub(crate) lab: Lab,
}

impl Site {
    /// For a pair.
    pub(crate) fn new() -> Self {
        Self::of(2)
    }

    /// Host `lb-a` has 10.77.0.1 and fd77::1, and so on.
    pub(crate) fn of(count: usize) -> Self {
        let lab = Lab::new().expect("a laboratory");
        let lan = lab.lan("service").unwrap();
        let host = |name: &str, last: usize| {
            let host = lab.host(name).unwrap();
            let addresses = [format!("10.77.0.{last}/24"), format!("fd77::{last}/64")];
            let [v4, v6] = &addresses;
            lan.attach(&host, "eth0", &[v4, v6]).unwrap();
            host
        };
        let hosts = (0..count).map(|n| host(NODES[n], n + 1)).collect();
        let client = host("client", 9);
        Self {
            hosts,
            client,
            lan,
            lab,
        }
    }

    /// For a pair whose hosts have the same key, as [`Config::native`] wants it.
    pub(crate) fn keyed() -> Self {
        let site = Self::new();
        for host in &site.hosts {
            write_key(host, "cluster", 7);
        }
        site
    }

    /// A native pair: `lb-a` MASTER, `lb-b` BACKUP and ready to take over, each acknowledged.
    pub(crate) fn native_pair(&self) -> [Agent; 2] {
        self.native_pair_of(|node, priority| Config::native(node, &[Group::web(priority)]))
    }

    /// The same with any configuration; group `web` tells when all is settled.
    pub(crate) fn native_pair_of(&self, config: impl Fn(&str, u8) -> Config) -> [Agent; 2] {
        let a = self.start_with(0, &config(NODES[0], 150));
        a.becomes("MASTER");
        let b = self.start_with(1, &config(NODES[1], 100));
        b.group_until("web", "ready", |web| {
            web.ready && web.holder.as_deref() == Some("lb-a")
        });
        a.group_until("web", "acknowledged", |web| {
            !web.alone && web.successor.as_deref() == Some("lb-b")
        });
        [a, b]
    }

    /// Starts an agent on the host of that number, with one group.
    pub(crate) fn start(&self, number: usize, group: Group) -> Agent {
        self.start_with(number, &Config::new(NODES[number], &[group]))
    }

    pub(crate) fn start_with(&self, number: usize, config: &Config) -> Agent {
        Agent::start(&self.hosts[number], config)
    }

    /// An agent on each of two hosts, `lb-a` MASTER and `lb-b` BACKUP.
    pub(crate) fn pair(&self, group: impl Fn(u8) -> Group) -> [Agent; 2] {
        self.pair_of(|node, priority| Config::new(node, &[group(priority)]))
    }

    /// The same with any configuration; group `web` tells when all is settled.
    pub(crate) fn pair_of(&self, config: impl Fn(&str, u8) -> Config) -> [Agent; 2] {
        let a = self.start_with(0, &config(NODES[0], 150));
        a.becomes("MASTER");
        let b = self.start_with(1, &config(NODES[1], 100));
        b.hears_a_master();
        [a, b]
    }

    /// A second network between the hosts, on eth1: 10.78.0.1 and so on.
    pub(crate) fn second_lan(&self) -> Lan {
        let lan = self.lab.lan("inside").unwrap();
        for (number, host) in self.hosts.iter().enumerate() {
            let address = format!("10.78.0.{}/24", number + 1);
            lan.attach(host, "eth1", &[&address]).unwrap();
        }
        lan
    }

    /// Asks as a client does, whoever is said to have the addresses.
    pub(crate) fn watch(&self, addresses: &[&str]) -> Watch {
        Watch::start(&self.client, WatchOptions::new(&parsed(addresses))).unwrap()
    }

    /// Asks every one of these hosts, whoever is said to have the addresses.
    pub(crate) fn watch_all(&self, addresses: &[&str], hosts: &[&Host]) -> Watch {
        let macs = hosts.iter().map(|host| host.mac_on(&self.lan).unwrap());
        let options = WatchOptions {
            ask: Ask::Hosts(macs.collect()),
            ..WatchOptions::new(&parsed(addresses))
        };
        Watch::start(&self.client, options).unwrap()
    }

    /// Asks every one of these hosts by echo, ARP and neighbour discovery, before anything else runs.
    pub(crate) fn watch_closely(&self, addresses: &[&str], hosts: &[&Host]) -> Watch {
        let macs = hosts.iter().map(|host| host.mac_on(&self.lan).unwrap());
        let options = WatchOptions {
            ask: Ask::Hosts(macs.collect()),
            neighbours: true,
            priority: ASKER,
            ..WatchOptions::new(&parsed(addresses))
        };
        Watch::start(&self.client, options).unwrap()
    }

    /// Listens only.
    pub(crate) fn listen(&self) -> Watch {
        self.watch(&[])
    }
}

/// How late the client asked between two instants, if that spoils what it has seen.
pub(crate) fn lateness(seen: &Observation, from: Instant, until: Instant) -> Option<Duration> {
    let late = seen.asked_late(from, until);
    (late > LATE || seen.missed > 0).then_some(late)
}

/// Gives the host a key in /run/lab that is made of this byte.
pub(crate) fn write_key(host: &Host, name: &str, byte: u8) {
    let bytes = format!("{byte:02x}").repeat(32);
    let script = format!("umask 077; printf {bytes} >/run/lab/{name}.key");
    host.sh(&script).unwrap();
}

/// Waits until this host answers for the address, and returns when it did.
pub(crate) fn answers(watch: &Watch, host: &str, address: &str, after: Instant) -> Instant {
    let ip: IpAddr = address.parse().unwrap();
    let first = |seen: &Observation| seen.first_reply_from(host, ip, after).map(|r| r.at);
    let at = watch.wait_for(SOON, first);
    at.unwrap_or_else(|| panic!("{host} never answered for {address}"))
}

/// Waits until nobody has answered for the address for so long, from `after` on; returns when that
/// began.
pub(crate) fn falls_silent(
    watch: &Watch,
    address: &str,
    after: Instant,
    length: Duration,
) -> Instant {
    let ip: IpAddr = address.parse().unwrap();
    let last = || watch.look(|seen| seen.last_reply(ip).map_or(after, |r| r.at.max(after)));
    let silent = clock::wait_until(SOON, || clock::now().since(last()) >= length);
    assert!(silent, "somebody goes on answering for {address}");
    last()
}

/// Waits until this host announces the address to its neighbours.
pub(crate) fn announces(watch: &Watch, host: &str, address: &str, after: Instant) {
    let ip: IpAddr = address.parse().unwrap();
    let announced = |seen: &Observation| {
        let mut all = seen.announcements.iter();
        all.find(|a| &*a.from == host && a.address == ip && a.at >= after)
            .map(drop)
    };
    let came = watch.wait_for(SOON, announced);
    assert!(came.is_some(), "{host} never announced {address}");
}

/// Waits until this host has sent so many adverts from now on: so long nothing else happened.
pub(crate) fn adverts(watch: &Watch, host: &str, count: usize) {
    let after = clock::now();
    let enough = |seen: &Observation| {
        let adverts = seen.adverts_from(host, after).take(count).count();
        (adverts == count).then_some(())
    };
    let came = watch.wait_for(SOON, enough);
    assert!(came.is_some(), "{host} does not send {count} adverts");
}

/// Whether the host has the address.
pub(crate) fn has(host: &Host, address: &str) -> bool {
    host.has_address(address.parse().unwrap()).unwrap()
}

/// Waits until the host has the address, or has it no longer.
pub(crate) fn await_address(host: &Host, address: &str, there: bool) {
    let came = clock::wait_until(SOON, || has(host, address) == there);
    assert!(came, "{address} on {host:?}: wanted {there}");
}

fn parsed(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|a| a.parse().unwrap()).collect()
}

/// Makes the address one that must stay: as the primary of its network it would take another one
/// along, `.1`, that is not Floatlock's.
pub(crate) fn pin(host: &Host, address: &str) {
    let (network, _) = address.rsplit_once('.').unwrap();
    let script = format!(
        "sysctl -qw net.ipv4.conf.all.promote_secondaries=0 \
         net.ipv4.conf.eth0.promote_secondaries=0 && \
         ip addr add {address}/24 dev eth0 && ip addr add {network}.1/24 dev eth0"
    );
    host.sh(&script).unwrap();
}

/// Lets it go.
pub(crate) fn unpin(host: &Host) {
    let script = "sysctl -qw net.ipv4.conf.eth0.promote_secondaries=1";
    host.sh(script).unwrap();
}
