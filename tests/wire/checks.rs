//! Which check speaks when several could? The order, the values told, and the words.

use std::net::IpAddr;
use std::time::Duration;

use floatlock::config::{Family, Version};
use floatlock::wire::vrrp::{ChecksumForm, Counters, Rejected, Unsendable, Warning, max_addresses};

use crate::dice::Dice;
use crate::scene::{Kind, Scene};

const PASSWORD: [u8; 8] = *b"1111\0\0\0\0";

fn v2(multicast: bool) -> Scene {
    let kind = Kind {
        version: Version::V2,
        family: Family::V4,
        multicast,
        auth: Some(PASSWORD),
        form: ChecksumForm::Only,
    };
    let mut scene = Scene::of(kind, &mut Dice::new(2));
    scene.interval = Duration::from_secs(3);
    scene.ip_len_off = Some(0);
    scene.write(100);
    scene
}

fn v3() -> Scene {
    let kind = Kind {
        version: Version::V3,
        family: Family::V4,
        multicast: true,
        auth: None,
        form: ChecksumForm::PseudoHeader,
    };
    Scene::of(kind, &mut Dice::new(3))
}

type Fault = (&'static str, fn(&mut Scene));

const WRONG_CHECKSUM: Fault = ("checksum", |scene| scene.form = ChecksumForm::PseudoHeader);

/// In the order of the checks. All can be wrong with one v2 frame at once, but for those that only
/// multicast or only unicast knows.
fn faults(multicast: bool) -> Vec<Fault> {
    let mut faults: Vec<Fault> = vec![
        ("vrid_other", |scene| scene.message[1] = 0),
        ("overlong", |scene| scene.padding = vec![0; 50]),
        ("ttl", |scene| scene.ttl = 254),
        ("unknown_type", |scene| scene.message[0] = 0x22),
        ("zero_interval", |scene| scene.message[5] = 0),
        ("total_length", |scene| scene.ip_len_off = Some(-1)),
        WRONG_CHECKSUM,
        ("mode", |scene| {
            scene.multicast = !scene.destination.is_multicast()
        }),
        ("own_advert", |scene| scene.local = scene.source),
        ("unlisted_source", |scene| {
            scene.peers = vec![IpAddr::from([1, 2, 3, 4])]
        }),
        ("local_owner", |scene| scene.owner = true),
        ("version_conflict", |scene| scene.version = Version::V3),
        ("auth_type", |scene| scene.auth = None),
        ("interval_conflict", |scene| {
            scene.interval = Duration::from_secs(9)
        }),
    ];
    let other_mode = if multicast { "unlisted_source" } else { "ttl" };
    faults.retain(|(name, _)| *name != other_mode);
    faults
}

fn with(multicast: bool, faults: &[Fault]) -> Scene {
    let mut scene = v2(multicast);
    for (_, break_it) in faults {
        break_it(&mut scene);
    }
    scene.sign();
    scene
}

#[test]
fn of_two_faults_the_one_that_is_checked_first_is_told() {
    for multicast in [false, true] {
        let faults = faults(multicast);
        for (at, first) in faults.iter().enumerate() {
            for second in &faults[at..] {
                let scene = with(multicast, &[*first, *second]);
                let (told, _) = scene.verdict();
                assert_eq!(told, first.0, "with {}, multicast {multicast}", second.0);
            }
        }
    }
}

#[test]
fn the_faults_can_be_told_apart_from_no_fault() {
    for multicast in [false, true] {
        assert_eq!(with(multicast, &[]).verdict(), ("accepted", None));
    }
}

#[test]
fn the_moments_when_a_verdict_turns() {
    let verdict = |change: fn(&mut Scene)| {
        let mut scene = v2(true);
        change(&mut scene);
        scene.verdict().1
    };
    assert_eq!(verdict(|scene| scene.ttl = 255), None);
    let theirs = 254;
    assert_eq!(
        verdict(|scene| scene.ttl = 254),
        Some(Rejected::Ttl { theirs })
    );
    let theirs = Duration::from_secs(3);
    let longer = verdict(|scene| scene.interval = Duration::from_secs(4));
    assert_eq!(longer, Some(Rejected::Interval { theirs }));
    let almost = verdict(|scene| scene.interval -= Duration::from_nanos(1));
    assert_eq!(almost, Some(Rejected::Interval { theirs }));
    let other_password = verdict(|scene| scene.auth = Some(*b"1111\0\0\0\x01"));
    assert_eq!(other_password, Some(Rejected::AuthMismatch));
    let none_expected = verdict(|scene| scene.auth = None);
    assert_eq!(none_expected, Some(Rejected::AuthType { theirs: 1 }));
}

#[test]
fn padding_ends_where_the_smallest_ethernet_frame_ends() {
    let mut scene = v3();
    scene.addresses.truncate(1);
    scene.write(100);
    assert_eq!(scene.message.len(), 12);
    for (padding, counts) in [(0, true), (1, true), (14, true), (15, false)] {
        scene.padding = vec![0xaa; padding];
        assert_eq!(scene.verdict().1.is_none(), counts, "{padding} bytes");
    }
}

#[test]
fn a_version_nibble_that_is_off_is_no_conflict() {
    let mut scene = v3();
    scene.message[0] = 0x21;
    assert!(matches!(
        scene.verdict().1,
        Some(Rejected::Truncated { .. })
    ));
    scene.message.extend([0; 8]);
    scene.ip_len_off = Some(0);
    assert_eq!(scene.verdict().1, Some(Rejected::Checksum));
    scene.form = ChecksumForm::Plain;
    scene.sign();
    let theirs = Version::V2;
    let seconds = scene.message[5];
    assert_ne!(seconds, 0);
    let interval = Duration::from_secs(seconds.into());
    let rejected = Rejected::Version { theirs, interval };
    assert_eq!(scene.verdict().1, Some(rejected));
    assert_eq!(rejected.interval(), Some(interval));
}

#[test]
fn an_empty_list_of_peers_lets_anybody_speak() {
    let mut scene = v2(false);
    scene.peers.clear();
    assert_eq!(scene.verdict().1, None);
    scene.peers = vec![IpAddr::from([1, 2, 3, 4])];
    assert_eq!(scene.verdict().1, Some(Rejected::UnlistedSource));
    scene.peers.push(scene.source);
    assert_eq!(scene.verdict().1, None);
}

#[test]
fn multicast_does_not_ask_for_the_list_of_peers() {
    let mut scene = v2(true);
    scene.peers = vec![IpAddr::from([1, 2, 3, 4])];
    assert_eq!(scene.verdict().1, None);
}

#[test]
fn several_oddities_are_told_at_once() {
    let mut scene = v3();
    scene.interval += Duration::from_millis(10);
    scene.addresses.clear();
    let warnings: Vec<_> = scene.judge(|verdict| verdict.unwrap().warnings.iter().collect());
    assert_eq!(warnings, [Warning::Interval, Warning::AddressCount]);
}

#[test]
fn a_list_that_names_an_address_twice_is_another_list() {
    let mut scene = v3();
    scene.addresses.truncate(2);
    scene.write(100);
    assert_eq!(scene.verdict(), ("accepted", None));
    scene.message.copy_within(8..12, 12);
    scene.sign();
    assert_eq!(scene.verdict(), ("address_list_differs", None));
}

#[test]
fn words_say_what_is_wrong() {
    let told = [
        Rejected::Truncated { len: 7, need: 8 }.to_string(),
        Rejected::Version {
            theirs: Version::V2,
            interval: Duration::from_secs(1),
        }
        .to_string(),
        Rejected::Interval {
            theirs: Duration::from_secs(2),
        }
        .to_string(),
        Rejected::Mode { multicast: true }.to_string(),
        Unsendable::AddressCount(256).to_string(),
    ];
    let words = [
        "7 bytes long, but its fields ask for 8",
        "speaks VRRPv2",
        "has an interval of 2s",
        "came by multicast",
        "an advert carries 1 to 255 addresses, not 256",
    ];
    assert_eq!(told, words);
}

/// Dashboards and alerts use these names: add, never rename.
#[test]
fn the_names_of_the_counters_stay() {
    let names: Vec<_> = Counters::default().iter().map(|(name, _)| name).collect();
    let stable = "accepted checksum_pseudo_header checksum_plain checksum_old_unicast \
        interval_differs address_count_differs address_list_differs truncated overlong \
        unknown_version auth_header ttl unknown_type zero_interval no_addresses total_length \
        checksum version_conflict interval_conflict auth_type auth_mismatch vrid_other mode \
        unlisted_source local_owner second_owner own_advert";
    assert_eq!(names, stable.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn as_many_addresses_fit_as_keepalived_counts() {
    let fit = |version, family| [1500, 576, 68, 0].map(|mtu| max_addresses(version, family, mtu));
    assert_eq!(fit(Version::V2, Family::V4), [255, 131, 4, 0]);
    assert_eq!(fit(Version::V3, Family::V4), [255, 133, 6, 0]);
    assert_eq!(fit(Version::V3, Family::V6), [89, 32, 0, 0]);
}
