//! What does a reload change where nobody holds without the disk's vote?

use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Watch, clock};

use crate::agent::{Agent, floatlock, write};
use crate::config::{Config, Group};
use crate::disk::Disk;
use crate::site::{NODES, SOON, Site, answers, await_address, has};

const KEPT: &str = "10.77.0.100";
const OLD: &str = "10.77.0.101";
const NEW: &str = "10.77.0.102";
const INTERVAL: Duration = Duration::from_millis(100);
const DISK_LEASE: &str = "1s";
/// Without a vote that goes on, whoever has one gives up within this.
const LONGER_THAN_THE_LEASE: Duration = Duration::from_millis(1100);

type Protocol = fn(&str, &[Group]) -> Config;
type Configs<'a> = &'a dyn Fn(&str, u8) -> Config;
/// Starts the two, and waits until they are what they are to be.
type Settle = fn(&Site, Configs<'_>) -> [Agent; 2];

/// A pair that shares a disk, `lb-a` MASTER by its vote and `lb-b` BACKUP.
struct Pair {
    protocol: Protocol,
    agents: [Agent; 2],
    disk: Disk,
    watch: Watch,
    began: Instant,
    marks: [usize; 2],
    _site: Site,
}

impl Pair {
    fn start(protocol: Protocol, settle: Settle) -> Self {
        let (site, disk) = (Site::keyed(), Disk::new(DISK_LEASE));
        let group = |priority| group(priority, OLD);
        let agents = settle(&site, &|node, priority| {
            config(protocol, node, group(priority), &disk, DISK_LEASE)
        });
        has_vote(&agents[0]);
        let watch = site.watch_all(&[KEPT], &[&agents[0].host, &agents[1].host]);
        answers(&watch, "lb-a", KEPT, clock::now());
        let marks = agents.each_ref().map(Agent::mark);
        Self {
            protocol,
            agents,
            disk,
            watch,
            began: clock::now(),
            marks,
            _site: site,
        }
    }

    fn config(&self, number: usize, group: Group, lease: &str) -> Config {
        config(self.protocol, NODES[number], group, &self.disk, lease)
    }

    fn reload(&self, number: usize, group: Group) {
        self.agents[number].reload(&self.config(number, group, DISK_LEASE));
    }

    fn refuses(&self, config: &Config, reason: &str) {
        let a = &self.agents[0];
        write(&a.host, config);
        let ran = floatlock(&a.host, &["reload", "--runtime-dir", "/run/floatlock"]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.output.contains(reason), "{ran:?}");
    }

    /// Nobody has changed its role, `lb-a` has answered all the time, and for longer than any vote of before lasts.
    fn has_gone_on(self) {
        clock::pause(LONGER_THAN_THE_LEASE);
        has_vote(&self.agents[0]);
        for (agent, mark) in self.agents.iter().zip(self.marks) {
            agent.demand_no_change_since(mark);
        }
        let (ip, ended) = (KEPT.parse().unwrap(), clock::now());
        let seen = self.watch.stop();
        assert!(
            seen.replies_for(ip, self.began)
                .all(|reply| &*reply.from == "lb-a")
        );
        let silent = seen.longest_silence(ip, self.began, ended);
        let most = INTERVAL + seen.asked_late(self.began, ended);
        assert!(silent <= most, "{silent:?}, {most:?}");
    }
}

fn group(priority: u8, second: &str) -> Group {
    let addresses = [KEPT, second].map(|address| format!("{address}/24"));
    Group::web(priority)
        .key("preempt", "false")
        .addresses(&addresses)
}

fn config(protocol: Protocol, node: &str, group: Group, disk: &Disk, lease: &str) -> Config {
    let device = &disk.device;
    let lines =
        format!("disk-lock = [{device:?}]\ndisk-lock-mode = \"always\"\ndisk-lease = {lease:?}\n");
    protocol(node, &[group]).fencing(&lines)
}

fn vote(agent: &Agent) -> Option<u64> {
    agent.status().cluster?.disk_lock?.vote_ms
}

fn has_vote(agent: &Agent) {
    let has = clock::wait_until(SOON, || vote(agent).is_some());
    assert!(has, "{}", agent.log());
}

fn a_reload_changes_what_it_may_and_keeps_the_vote(pair: Pair) {
    let [a, b] = &pair.agents;
    pair.reload(0, group(50, OLD));
    assert_eq!(a.group("web").priority, 50);
    assert!(vote(a).is_some(), "{}", a.log());
    pair.reload(0, group(50, NEW));
    pair.reload(1, group(100, NEW));
    await_address(&a.host, NEW, true);
    await_address(&a.host, OLD, false);
    assert!(!has(&b.host, NEW) && vote(b).is_none(), "{}", b.log());
    // What needs a restart, with something that does not.
    pair.refuses(
        &pair.config(0, group(60, OLD), "2s"),
        "fencing.disk-lease has changed: that needs a restart",
    );
    let without = (pair.protocol)("lb-a", &[group(60, OLD)]);
    pair.refuses(
        &without,
        "fencing.disk-lock has changed: that needs a restart",
    );
    assert_eq!(a.group("web").priority, 50);
    assert!(has(&a.host, NEW) && !has(&a.host, OLD));
    pair.has_gone_on();
}

#[test]
fn under_vrrp_a_master_reloads_and_keeps_the_disks_vote() {
    let settle = |site: &Site, config: Configs<'_>| site.pair_of(config);
    a_reload_changes_what_it_may_and_keeps_the_vote(Pair::start(Config::new, settle));
}

#[test]
fn a_native_master_reloads_and_keeps_the_disks_vote() {
    let settle = |site: &Site, config: Configs<'_>| site.native_pair_of(config);
    a_reload_changes_what_it_may_and_keeps_the_vote(Pair::start(Config::native, settle));
}
