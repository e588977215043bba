//! What happens to two hosts that ask a gateway whether they are cut off?

use floatlock::lab::{Traffic, clock};

use crate::outcome::Deed;
use crate::rows::{NATIVE, cut_both, mute, pair};
use crate::series::Row;
use crate::stage::{Cast, GATEWAY, Stage};

fn with_gateway(name: &'static str, play: fn(&Stage) -> Deed) -> Row {
    Row {
        cast: Cast::Reference,
        ..pair(name, NATIVE, play)
    }
}

/// Nothing of the gateway comes in at that host any more.
fn hide_gateway(stage: &Stage, number: usize) {
    let to = &stage.site.hosts[number];
    let lan = &stage.site.lan;
    lan.drop_one_way(stage.gateway(), to, Traffic::All).unwrap();
}

/// The client still asks it: what it answers then is its own doing.
#[test]
fn a_holder_that_is_cut_off_from_the_standby_and_the_gateway() {
    with_gateway(
        "the MASTER is cut off from the other and the gateway",
        |stage| {
            stage.settle();
            hide_gateway(stage, 0);
            cut_both(stage)
        },
    )
    .demand();
}

#[test]
fn two_nodes_that_reach_a_gateway_but_do_not_hear_each_other() {
    with_gateway("no heartbeat arrives, both reach the gateway", |stage| {
        stage.settle();
        let at = clock::now();
        mute(stage, 0, 1);
        mute(stage, 1, 0);
        stage.wait();
        stage.nothing_changed(at)
    })
    .demand();
}

#[test]
fn a_holder_that_loses_the_gateway_alone() {
    with_gateway(
        "the MASTER loses the gateway, the other does not",
        |stage| {
            stage.settle();
            let at = clock::now();
            hide_gateway(stage, 0);
            stage.said(0, "and lb-b reaches it");
            stage.answers("lb-b", at);
            stage.wait();
            Deed::takeover(at)
        },
    )
    .demand();
}

#[test]
fn a_standby_that_is_cut_off_from_everybody() {
    with_gateway("the standby is cut off from all", |stage| {
        stage.settle();
        let at = clock::now();
        stage.site.lan.cut_silently(&stage.site.hosts[1]).unwrap();
        stage.wait();
        stage.nothing_changed(at)
    })
    .demand();
}

#[test]
fn a_gateway_that_loses_its_power() {
    with_gateway("the gateway loses its power", |stage| {
        stage.settle();
        let at = clock::now();
        stage.gateway().power_off().unwrap();
        stage.said(0, "this node goes on");
        stage.wait();
        stage.nothing_changed(at)
    })
    .demand();
}

/// By ARP and neighbour discovery they know that it is there.
#[test]
fn a_gateway_that_answers_no_echo_request() {
    with_gateway("kill -9, the gateway answers no echo", |stage| {
        let deaf = "echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all";
        stage.gateway().sh(deaf).unwrap();
        stage.settle();
        let shown = stage.status(0);
        let targets = shown["cluster"]["reference"].as_array().unwrap();
        let of_gateway = |by: &str| {
            let mut all = targets.iter();
            all.any(|one| one["target"] == GATEWAY[0] && one["by"] == by && one["answers"] == true)
        };
        assert!(of_gateway("neighbour"), "{shown:#}");
        let at = clock::now();
        stage.a().sh("kill -KILL -1").unwrap();
        stage.answers("lb-b", at);
        stage.wait();
        Deed::takeover(at)
    })
    .demand();
}

#[test]
fn two_nodes_that_boot_without_a_gateway() {
    with_gateway("both boot together, there is no gateway", |stage| {
        stage.gateway().power_off().unwrap();
        let at = clock::now();
        stage.start(0);
        stage.start(1);
        stage.somebody_answers(at);
        stage.wait();
        Deed::nothing(at)
    })
    .demand();
}
