//! What can a stranger on the network do? Send frames, and change nothing by it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use floatlock::config::{Family, Version};
use floatlock::lab::clock;
use floatlock::wire::vrrp::{ChecksumForm, Class, GROUP_V4, GROUP_V6};

use crate::agent::Agent;
use crate::config::{Config, Group};
use crate::dice::Dice;
use crate::mutation::{ALL, Must};
use crate::scene::{Kind, Scene};
use crate::site::{Site, answers, has};
use crate::wire::Injector;

const VIP: &str = "10.77.0.100";
const FRAMES: usize = 100_000;
/// Of the groups `web` and `old`.
const IDS: [u8; 2] = [51, 52];
const SECRET: [u8; 8] = *b"1111\0\0\0\0";

/// A right frame to group `web` (v3, both families) or `old` (v2), from a stranger.
fn scene(version: Version, family: Family, dice: &mut Dice) -> Scene {
    let form = match (version, family) {
        (Version::V3, Family::V4) => ChecksumForm::PseudoHeader,
        _ => ChecksumForm::Only,
    };
    let auth = (version == Version::V2).then_some(SECRET);
    let multicast = true;
    let kind = Kind {
        version,
        family,
        multicast,
        auth,
        form,
    };
    let mut scene = Scene::of(kind, dice);
    let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
    let (source, destination, address) = match (family, version) {
        (Family::V6, _) => (ip("fe80::bad"), GROUP_V6.into(), ip("fd77::100")),
        (_, Version::V3) => (ip("10.77.0.7"), GROUP_V4.into(), ip(VIP)),
        (_, Version::V2) => (ip("10.77.0.7"), GROUP_V4.into(), ip("10.77.0.110")),
    };
    (scene.source, scene.destination) = (source, destination);
    scene.addresses = vec![address];
    scene.peers = Vec::new();
    (scene.vrid, scene.interval) = match version {
        Version::V3 => (51, Duration::from_millis(100)),
        Version::V2 => (52, Duration::from_secs(1)),
    };
    // Any of these would end the MASTER's term, if it counted.
    scene.write(200 + dice.below(54) as u8);
    scene
}

fn random_scene(dice: &mut Dice) -> Scene {
    let (version, family) = dice.pick(&[
        (Version::V3, Family::V4),
        (Version::V3, Family::V6),
        (Version::V2, Family::V4),
    ]);
    scene(version, family, dice)
}

/// A frame that the receive checks must reject, and that means nothing to the election.
fn hostile(dice: &mut Dice) -> Option<Scene> {
    let right = random_scene(dice);
    let mut wrong = right.clone();
    let (_, mutation) = ALL[dice.below(ALL.len())];
    let must = mutation(&mut wrong, dice)?;
    let same_listener = (&right.peers, right.local, right.owner, right.multicast)
        == (&wrong.peers, wrong.local, wrong.owner, wrong.multicast);
    let means_nothing = matches!(
        must,
        Must::Vanish | Must::Fall(_, Class::Malformed | Class::Foreign)
    );
    // What is wrong for one of the two groups may be right for the other.
    let id = wrong.message.get(1).copied();
    let for_the_other = id.is_some_and(|id| id != right.vrid && IDS.contains(&id));
    (same_listener && means_nothing && !for_the_other).then_some(wrong)
}

fn config(node: &str, priority: u8) -> Config {
    let both = ["10.77.0.100/24", "fd77::100/64"];
    let old = Group::web(priority)
        .named("old", 52)
        .addresses(&["10.77.0.110/24"])
        .table(
            "heartbeat",
            "protocol = \"vrrp2\"\ninterval = \"1s\"\nmisses = 3",
        )
        .table("vrrp", "auth-pass = \"1111\"");
    Config::new(node, &[Group::web(priority).addresses(&both), old])
}

/// The counters of all lines of the agent.
fn counters(agent: &Agent) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    let groups = agent.status().groups;
    let all = groups
        .iter()
        .flat_map(|group| &group.paths)
        .flat_map(|path| &path.counters);
    for (name, count) in all {
        *sums.entry(name.clone()).or_default() += count;
    }
    sums
}

#[test]
fn a_hundred_thousand_broken_frames_change_no_role_and_are_counted() {
    let site = Site::new();
    let [a, b] = site.pair_of(config);
    a.becomes_after(0, "old", "MASTER");
    b.hears_a_master_of("old");
    let (mark_a, mark_b) = (a.mark(), b.mark());
    let watch = site.watch(&[VIP]);
    let injector = Injector::on(&site.client);
    let mut dice = Dice::new(7);
    let mut sent = 0;
    while sent < FRAMES {
        let Some(frame) = hostile(&mut dice) else {
            continue;
        };
        injector.send(&frame);
        sent += 1;
    }
    answers(&watch, "lb-a", VIP, clock::now());
    for (agent, mark) in [(&a, mark_a), (&b, mark_b)] {
        agent.group_until("web", "all is counted", |_| {
            let counters = counters(agent);
            let names = ["truncated", "overlong", "ttl", "checksum", "unknown_type"];
            let more = ["zero_interval", "no_addresses"];
            names
                .iter()
                .chain(&more)
                .all(|name| counters.get(*name) > Some(&100))
                && counters.values().sum::<u64>() > FRAMES as u64 / 2
        });
        agent.demand_no_change_since(mark);
        assert!(agent.is_running());
    }
    let of_strangers = |name: &str| counters(&a).get(name).copied();
    for name in ["accepted", "version_conflict", "auth_type", "auth_mismatch"] {
        assert_eq!(
            of_strangers(name),
            None,
            "{name}: lb-b is silent, the rest is broken"
        );
    }
    assert!(has(&a.host, VIP) && !has(&b.host, VIP));
    // The same frame unbroken is an advert like any other: the test would have seen it.
    injector.send(&scene(Version::V3, Family::V4, &mut dice));
    let outranked = a.becomes_after(mark_a, "web", "RELEASING");
    assert!(
        outranked.cause.contains("10.77.0.7 advertises"),
        "{outranked:?}"
    );
}

/// While frames come that are right but of another configuration, `lb-b` is not promoted, though
/// its MASTER has gone; and it says so once.
fn held_back_by(
    frame: &Scene,
    group: &str,
    counter: &str,
    alarm: &str,
    (frames, every): (u64, Duration),
) {
    let site = Site::new();
    let [a, b] = site.pair_of(config);
    a.becomes_after(0, group, "MASTER");
    b.hears_a_master_of(group);
    let injector = Injector::on(&site.client);
    let done = AtomicBool::new(false);
    let role = || b.roles(group);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                injector.send(frame);
                clock::pause(every);
            }
        });
        // Told before the power goes, so that the MASTER's silence never stands alone.
        b.said(alarm);
        a.host.power_off().unwrap();
        let before = counters(&b)[counter];
        // Longer than the silence after which it would stand.
        b.group_until(group, "many conflicts", |_| {
            counters(&b)[counter] > before + frames
        });
        let still = role();
        done.store(true, Ordering::Relaxed);
        assert_eq!(still, ["BACKUP"], "{}", b.log());
    });
    assert_eq!(b.count(alarm), 1, "{}", b.log());
    b.becomes_after(0, group, "MASTER");
}

#[test]
fn nobody_is_promoted_while_somebody_speaks_another_version() {
    let mut dice = Dice::new(1);
    let mut frame = scene(Version::V2, Family::V4, &mut dice);
    (frame.vrid, frame.auth) = (51, None);
    frame.write(100);
    let alarm = "10.77.0.7 speaks for this id with another VRRP version";
    // As seldom as it says, which is longer than the silence after which `lb-b` would stand.
    let seldom = (3, frame.interval);
    held_back_by(&frame, "web", "version_conflict", alarm, seldom);
}

#[test]
fn nobody_is_promoted_while_somebody_speaks_with_another_v2_interval() {
    let mut dice = Dice::new(2);
    let mut frame = scene(Version::V2, Family::V4, &mut dice);
    frame.interval = Duration::from_secs(2);
    frame.write(100);
    let alarm = "10.77.0.7 speaks for this id with another advert interval";
    let often = (30, Duration::from_millis(150));
    held_back_by(&frame, "old", "interval_conflict", alarm, often);
}
