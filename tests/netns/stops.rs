//! How does a planned stop go? Handed over, nothing left, prompt.

use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::clock;
use nix::sys::signal::Signal;

use crate::config::{Config, Group};
use crate::site::{Site, answers, has};

const VIP: &str = "10.77.0.100";

fn stopped_by(signal: Signal) {
    let site = Site::new();
    let watch = site.watch(&[VIP]);
    let [a, b] = site.pair(|p| Group::web(p).addresses(&["10.77.0.100/24", "fd77::100/64"]));
    answers(&watch, "lb-a", VIP, clock::now());
    let asked = clock::now();
    a.signal(signal);
    a.demand_good_end();
    assert!(!has(&a.host, VIP) && !has(&a.host, "fd77::100"));
    let heard = b.becomes("CANDIDATE");
    assert!(heard.cause.contains("resigned"), "{heard:?}");
    b.becomes("MASTER");
    answers(&watch, "lb-b", VIP, asked);
    let roles = a.roles("web");
    assert_eq!(
        roles[roles.len() - 2..],
        ["RELEASING", "STOPPED"],
        "{}",
        a.log()
    );
    assert!(
        !a.host
            .sh("ls /run/floatlock")
            .unwrap()
            .contains("control.sock")
    );
    let seen = watch.stop();
    let resigned = seen
        .adverts_from("lb-a", asked)
        .find(|advert| advert.priority == 0);
    let last = seen
        .replies
        .iter()
        .rev()
        .find(|reply| &*reply.from == "lb-a");
    // Law 6: off, verified, and only then are the peers told.
    assert!(last.unwrap().at <= resigned.unwrap().at);
}

#[test]
fn sigterm_hands_over_and_leaves_nothing() {
    stopped_by(Signal::SIGTERM);
}

#[test]
fn sigint_hands_over_and_leaves_nothing() {
    stopped_by(Signal::SIGINT);
}

#[test]
fn the_stop_of_a_backup_disturbs_nobody() {
    let site = Site::new();
    let [a, b] = site.pair(Group::web);
    let mark = a.mark();
    let asked = clock::now();
    b.stop();
    assert_eq!(b.roles("web"), ["BACKUP", "STOPPED"]);
    let watch = site.listen();
    crate::site::adverts(&watch, "lb-a", 6);
    a.demand_no_change_since(mark);
    assert!(
        clock::now() > asked
            && watch.look(|seen| seen.adverts_from("lb-b", Instant::default()).count()) == 0
    );
}

#[test]
fn a_stop_right_after_a_reload_that_changed_addresses_is_prompt() {
    let site = Site::new();
    let [a, _b] = site.pair(Group::web);
    let changed = Group::web(150).addresses(&["10.77.0.101/24", "10.77.0.102/24"]);
    crate::agent::write(&a.host, &Config::new("lb-a", &[changed]));
    a.signal(Signal::SIGHUP);
    a.said("reloaded: ");
    let asked = clock::now();
    a.stop();
    let took = clock::now().since(asked);
    assert!(took < Duration::from_secs(2), "{took:?}: {}", a.log());
    assert!(
        ["10.77.0.100", "10.77.0.101", "10.77.0.102"]
            .iter()
            .all(|vip| !has(&a.host, vip))
    );
}
