//! What if an agent is stopped exactly when it sends? Its gate is not renewed by a heartbeat that left before,
//! and what it had still to say when its time was over is never said.

use std::time::Duration;

use floatlock::lab::clock;
use nix::sys::signal::Signal;

use crate::agent::Agent;
use crate::config::{Config, Group};
use crate::gate::{VIP, pair, staying};
use crate::held::{Held, stop_before_its_renewal};
use crate::site::{Site, answers, await_address, lateness};

const VIPS: [&str; 2] = [VIP, "fd77::100"];
/// Longer than any of the leases here.
const LONG: Duration = Duration::from_millis(1500);
/// A run in which the client was late is played again, so often at most.
const REPEATS: usize = 10;

/// Its last heartbeat has left, and counts for the others; its gate ends by what was renewed before it.
fn demand_silence(pair: impl Fn(&Site) -> [Agent; 2]) {
    let is_good = |_: &usize| {
        let site = Site::keyed();
        was_silent(&site, pair(&site))
    };
    let good = (0..REPEATS).find(is_good);
    assert!(good.is_some(), "the client was late in every run");
}

/// False where the client was late: what it has seen then says nothing.
fn was_silent(site: &Site, [a, b]: [Agent; 2]) -> bool {
    let watch = site.watch_closely(&VIPS, &[&a.host, &b.host]);
    answers(&watch, "lb-a", VIP, clock::now());
    let mark = a.mark();
    stop_before_its_renewal(&a.process);
    let stopped = clock::now();
    answers(&watch, "lb-b", VIP, stopped);
    answers(&watch, "lb-b", VIP, stopped + LONG);
    let continued = clock::now();
    a.signal(Signal::SIGCONT);
    a.becomes_after(mark, "web", "RELEASING");
    await_address(&a.host, VIP, false);
    answers(&watch, "lb-b", VIP, clock::now() + LONG / 4);
    let ended = clock::now();
    let seen = watch.stop();
    let is_good = lateness(&seen, stopped, ended).is_none();
    for vip in VIPS.map(|vip| vip.parse().unwrap()) {
        let after = seen.replies_for(vip, continued);
        assert_eq!(after.filter(|reply| &*reply.from == "lb-a").count(), 0);
        let two = seen.rounds_of_two(vip);
        assert!(!is_good || two == 0, "{two} rounds of two for {vip}");
    }
    is_good
}

/// Nothing says of an advert that it is old: the new MASTER would give way to it, since its priority is better.
fn demand_no_claim<Paused>(gate: &str, pause: impl FnOnce(&Agent) -> Paused) {
    let site = Site::keyed();
    let [a, b] = pair(&site, staying, gate);
    let watch = site.watch_closely(&VIPS, &[&a.host, &b.host]);
    for vip in VIPS {
        answers(&watch, "lb-a", vip, clock::now());
    }
    let (mark, mark_b) = (a.mark(), b.mark());
    let paused = pause(&a);
    let stopped = clock::now();
    answers(&watch, "lb-b", VIP, stopped + LONG);
    let continued = clock::now();
    drop(paused);
    a.signal(Signal::SIGCONT);
    a.becomes_after(mark, "web", "BACKUP");
    // Whatever it said before has come by now, and has been acted on.
    for vip in VIPS {
        answers(&watch, "lb-b", vip, clock::now() + LONG / 4);
    }
    let roles = b.roles("web");
    assert_eq!(
        roles.last().map(String::as_str),
        Some("MASTER"),
        "{roles:?}"
    );
    assert_eq!(b.changes()[mark_b..].len(), 2, "{}", b.log());
    let seen = watch.stop();
    let said = seen.adverts_from("lb-a", continued);
    let claims: Vec<_> = said.filter(|advert| advert.priority != 0).collect();
    assert!(claims.is_empty(), "{claims:?}");
}

/// One of two has left, and its second waits until the agent goes on.
fn demand_no_second_claim(gate: &str) {
    demand_no_claim(gate, |agent| stop_before_its_renewal(&agent.process));
}

#[test]
fn behind_a_bpf_gate_no_advert_is_sent_by_a_host_whose_time_is_over() {
    demand_no_second_claim("bpf");
}

#[test]
fn behind_an_nftables_gate_no_advert_is_sent_by_a_host_whose_time_is_over() {
    demand_no_second_claim("nftables");
}

/// The agent has looked at the clock and means to send. The kernel looks once more.
#[test]
fn an_advert_that_the_kernel_gets_when_the_time_is_over_does_not_leave() {
    demand_no_claim("bpf", |agent| Held::stopped(&agent.process));
}

/// One advert each: whether those after the first leave is another question.
fn one_family(priority: u8) -> Group {
    Group::web(priority).key("preempt", "false")
}

fn under_vrrp(gate: &str) {
    demand_silence(|site| pair(site, one_family, gate));
}

fn of_a_cluster(gate: &str) {
    demand_silence(|site| {
        site.native_pair_of(|node, priority| {
            Config::native(node, &[staying(priority)]).fencing(&format!("gate = \"{gate}\"\n"))
        })
    });
}

#[test]
fn under_vrrp_a_bpf_gate_is_not_renewed_by_what_comes_too_late() {
    under_vrrp("bpf");
}

#[test]
fn under_vrrp_an_nftables_gate_is_not_renewed_by_what_comes_too_late() {
    under_vrrp("nftables");
}

#[test]
fn of_a_cluster_a_bpf_gate_is_not_renewed_by_what_comes_too_late() {
    of_a_cluster("bpf");
}

#[test]
fn of_a_cluster_an_nftables_gate_is_not_renewed_by_what_comes_too_late() {
    of_a_cluster("nftables");
}
