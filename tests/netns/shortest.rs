//! What does a pair do at the shortest interval there is? It serves, and fails over, however often it changes its mind on
//! a machine that stands still for longer than a lease.

use std::sync::Arc;
use std::time::Duration;

use floatlock::lab::{Observation, clock};
use nix::sys::signal::Signal;

use crate::agent::Agent;
use crate::config::{Config, Group};
use crate::site::{NODES, SOON, Site, answers, lateness};

const VIPS: [&str; 2] = ["10.77.0.100", "fd77::100"];
/// Leases of 5 ms.
const SHORTEST: &str = "interval = \"1ms\"\nmisses = 5\n";
/// So long both run.
const LONG: Duration = Duration::from_millis(500);
/// A run in which the client was late is played again, so often at most.
const REPEATS: usize = 10;

fn start(site: &Site, number: usize) -> Agent {
    let priority = [150, 100][number];
    let group = Group::web(priority)
        .key("preempt", "false")
        .addresses(&["10.77.0.100/24", "fd77::100/64"]);
    site.start_with(
        number,
        &Config::native(NODES[number], &[group]).heartbeat(SHORTEST),
    )
}

/// Who answered last.
fn holder(seen: &Observation) -> Option<Arc<str>> {
    seen.last_reply(VIPS[0].parse().unwrap())
        .map(|reply| Arc::clone(&reply.from))
}

/// False where the client was late: what it has seen then says nothing.
fn never_two_answered() -> bool {
    let site = Site::keyed();
    let watch = site.watch_closely(&VIPS, &[&site.hosts[0], &site.hosts[1]]);
    let began = clock::now();
    let agents = [0, 1].map(|number| start(&site, number));
    for agent in &agents {
        agent.becomes("BACKUP");
    }
    let somebody = |after| {
        for vip in VIPS.map(|vip| vip.parse().unwrap()) {
            let first = |seen: &Observation| seen.replies_for(vip, after).next().map(drop);
            watch.wait_for(SOON, first).expect("an answer");
        }
    };
    somebody(began);
    somebody(clock::now() + LONG);
    let holder = watch.look(holder).unwrap();
    let number = NODES.iter().position(|name| **name == *holder).unwrap();
    let killed = clock::now();
    agents[number].signal(Signal::SIGKILL);
    let other = &agents[1 - number];
    for vip in VIPS {
        answers(&watch, NODES[1 - number], vip, killed);
    }
    other.group_until("web", "MASTER", |web| web.role == "MASTER");
    let ended = clock::now();
    let seen = watch.stop();
    let is_good = lateness(&seen, began, ended).is_none();
    for vip in VIPS {
        let two = seen.rounds_of_two(vip.parse().unwrap());
        assert!(!is_good || two == 0, "{two} rounds of two for {vip}");
    }
    is_good
}

#[test]
fn of_a_pair_at_one_millisecond_never_two_answer_and_a_kill_leaves_a_master() {
    let good = (0..REPEATS).find(|_| never_two_answered());
    assert!(good.is_some(), "the client was late in every run");
}
