//! What do the neighbours hear? Gratuitous ARP and unsolicited NA, as often as configured.

use std::net::IpAddr;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Observation, Watch};

use crate::config::Group;
use crate::site::{SOON, Site, adverts};

const VIP: &str = "10.77.0.100";

fn announced(seen: &Observation, host: &str, address: &str) -> Vec<Instant> {
    let address: IpAddr = address.parse().unwrap();
    let all = seen.announcements.iter();
    let of_host = all.filter(|a| &*a.from == host && a.address == address);
    of_host.map(|a| a.at).collect()
}

/// Waits until the host has announced the address so often.
fn await_announced(watch: &Watch, host: &str, address: &str, count: usize) -> Vec<Instant> {
    let enough = |seen: &Observation| {
        let at = announced(seen, host, address);
        (at.len() >= count).then_some(at)
    };
    let found = watch.wait_for(SOON, enough);
    found.unwrap_or_else(|| panic!("{host} has not announced {address} {count} times"))
}

#[test]
fn a_promotion_is_announced_five_times_at_once_and_again_later() {
    let site = Site::new();
    let watch = site.listen();
    let group = Group::web(150)
        .addresses(&["10.77.0.100/24", "fd77::100/64"])
        .table("announce", "repeat-after = \"600ms\"");
    let a = site.start(0, group);
    a.becomes("MASTER");
    for address in [VIP, "fd77::100"] {
        let at = await_announced(&watch, "lb-a", address, 10);
        // The pause is between the begins of the two bursts.
        assert!(at[5].since(at[0]) >= Duration::from_millis(590), "{at:?}");
    }
    adverts(&watch, "lb-a", 10);
    for address in [VIP, "fd77::100"] {
        assert_eq!(
            watch.look(|seen| announced(seen, "lb-a", address).len()),
            10
        );
    }
    let status = a.status();
    assert_eq!(
        (status.heartbeat.announced, status.heartbeat.announce_failed),
        (20, 0)
    );
}

#[test]
fn as_often_as_configured_and_refreshed() {
    let site = Site::new();
    let watch = site.listen();
    let lines = "count = 2\nrepeat-after = \"0s\"\nrefresh = \"1s\"";
    let a = site.start(0, Group::web(150).table("announce", lines));
    a.becomes("MASTER");
    let at = await_announced(&watch, "lb-a", VIP, 4);
    assert!(at[1].since(at[0]) < Duration::from_millis(900), "{at:?}");
    for pair in at[1..].windows(2) {
        assert!(
            pair[1].since(pair[0]) > Duration::from_millis(500),
            "{at:?}"
        );
    }
}

#[test]
fn what_is_still_to_be_announced_ends_with_the_term() {
    let site = Site::new();
    let watch = site.listen();
    let group = |p| Group::web(p).table("announce", "repeat-after = \"1500ms\"");
    let b = site.start(1, group(100));
    await_announced(&watch, "lb-b", VIP, 5);
    let a = site.start(0, group(150));
    b.becomes("RELEASING");
    // Later than lb-b's second burst would have been.
    await_announced(&watch, "lb-a", VIP, 10);
    adverts(&watch, "lb-a", 3);
    let of_b = watch.look(|seen| announced(seen, "lb-b", VIP).len());
    assert_eq!(of_b, 5, "{}{}", a.log(), b.log());
}
