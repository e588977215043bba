//! What can be wrong with a frame, and what must then become of it? The generator's list: each
//! entry breaks (or merely bends) a right frame, and knows the verdict.

use std::time::Duration;

use floatlock::config::{Family, Version};
use floatlock::core::event::ConflictField;
use floatlock::wire::vrrp::{ChecksumForm, Class};

use crate::dice::Dice;
use crate::scene::{Scene, virtual_address};

/// What must become of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Must {
    /// It counts, and moves this counter.
    Count(&'static str),
    /// It does not count, moves this counter, and means this.
    Fall(&'static str, Class),
    /// It does not count; which check says so is chance, but nothing follows from it.
    Vanish,
}

/// Breaks or bends a scene; `None` if that cannot be done to this one.
type Mutation = fn(&mut Scene, &mut Dice) -> Option<Must>;

const ACCEPTED: Must = Must::Count("accepted");
const MALFORMED: Class = Class::Malformed;
const FOREIGN: Class = Class::Foreign;
const VERSION: Class = Class::Conflict(ConflictField::Version);
const INTERVAL: Class = Class::Conflict(ConflictField::Interval);

/// All of them, by name.
pub(crate) const ALL: &[(&str, Mutation)] = &[
    // Bent: these count.
    ("untouched", |_, _| Some(ACCEPTED)),
    ("padded by the card", |scene, dice| {
        let room = scene.padded_len().checked_sub(scene.message.len())?;
        scene.padding = dice.bytes(room);
        Some(ACCEPTED)
    }),
    ("padded by the sender", |scene, dice| {
        let room = scene.padded_len().checked_sub(scene.message.len())?;
        scene.padding = dice.bytes(room);
        scene.ip_len_off = Some(room as isize);
        Some(ACCEPTED)
    }),
    ("unicast through a router", |scene, dice| {
        scene.ttl = dice.byte();
        (!scene.multicast).then_some(ACCEPTED)
    }),
    ("reserved bits set", |scene, dice| {
        only(scene, Version::V3)?;
        scene.message[4] |= dice.byte() & 0xf0;
        scene.sign();
        Some(ACCEPTED)
    }),
    (
        "authentication data without authentication",
        |scene, dice| {
            only(scene, Version::V2)?;
            let last = scene.message.len() - 1;
            scene.message[last] = dice.byte();
            scene.sign();
            scene.auth.is_none().then_some(ACCEPTED)
        },
    ),
    ("resigning", |scene, _| {
        scene.write(0);
        Some(ACCEPTED)
    }),
    ("addresses in another order", |scene, dice| {
        let listed = scene.addresses.len();
        scene.addresses.rotate_left(dice.below(listed));
        Some(ACCEPTED)
    }),
    ("another address", |scene, dice| {
        let nth = dice.below(scene.addresses.len());
        scene.addresses[nth] = virtual_address(scene.family(), 100);
        Some(Must::Count("address_list_differs"))
    }),
    ("an address too few", |scene, _| {
        let more = virtual_address(scene.family(), 100);
        scene.addresses.push(more);
        Some(Must::Count("address_count_differs"))
    }),
    ("v2 without addresses", |scene, _| {
        only(scene, Version::V2)?;
        let listed = std::mem::take(&mut scene.addresses);
        scene.write(100);
        scene.addresses = listed;
        Some(Must::Count("address_count_differs"))
    }),
    ("another v3 interval", |scene, dice| {
        only(scene, Version::V3)?;
        let [high, low] = (1 + dice.below(4095) as u16).to_be_bytes();
        let differs = scene.message[4..6] != [high, low];
        scene.message[4..6].copy_from_slice(&[high, low]);
        scene.sign();
        differs.then_some(Must::Count("interval_differs"))
    }),
    // Malformed, with the checksum made right again where it is not the point.
    ("an unknown version", |scene, dice| {
        let nibble = dice.pick(&[0, 1, 4, 5, 6, 9, 15]);
        scene.message[0] = nibble << 4 | 1;
        scene.sign();
        Some(Must::Fall("unknown_version", MALFORMED))
    }),
    ("the version nibble off", |scene, _| {
        scene.message[0] ^= 0x10;
        Some(Must::Vanish)
    }),
    ("cut short", |scene, dice| {
        let len = dice.below(scene.message.len());
        scene.message.truncate(len);
        Some(Must::Fall("truncated", MALFORMED))
    }),
    ("more addresses announced than there are", |scene, dice| {
        let room = 255 - scene.message[3];
        scene.message[3] += 1 + dice.byte() % room;
        scene.sign();
        Some(Must::Fall("truncated", MALFORMED))
    }),
    ("fewer addresses announced than there are", |scene, dice| {
        let fewer = 1 + dice.below(scene.addresses.len()) as u8;
        scene.message[3] -= fewer;
        Some(Must::Vanish)
    }),
    ("something behind it", |scene, dice| {
        let least = 1 + scene.padded_len().saturating_sub(scene.message.len());
        let more = least + dice.below(40);
        scene.padding = dice.bytes(more);
        Some(Must::Fall("overlong", MALFORMED))
    }),
    ("through a router", |scene, dice| {
        scene.ttl = dice.other_than(255);
        scene.multicast.then_some(Must::Fall("ttl", MALFORMED))
    }),
    ("an unknown type", |scene, dice| {
        scene.message[0] = scene.message[0] & 0xf0 | dice.pick(&[0, 2, 3, 9, 15]);
        scene.sign();
        Some(Must::Fall("unknown_type", MALFORMED))
    }),
    ("an interval of zero", |scene, _| {
        match scene.version {
            Version::V2 => scene.message[5] = 0,
            Version::V3 => scene.message[4..6].fill(0),
        }
        scene.sign();
        Some(Must::Fall("zero_interval", MALFORMED))
    }),
    ("v3 without addresses", |scene, _| {
        only(scene, Version::V3)?;
        scene.addresses.clear();
        scene.write(100);
        Some(Must::Fall("no_addresses", MALFORMED))
    }),
    ("the IP header says less", |scene, dice| {
        let less = 1 + dice.below(scene.message.len()) as isize;
        scene.ip_len_off = Some(-less);
        Some(Must::Fall("total_length", MALFORMED))
    }),
    ("the IP header says more", |scene, dice| {
        let least = 1 + scene.padded_len().saturating_sub(scene.message.len());
        scene.ip_len_off = Some((least + dice.below(1000)) as isize);
        Some(Must::Fall("total_length", MALFORMED))
    }),
    ("a wrong checksum", |scene, dice| {
        scene.message[6 + dice.below(2)] ^= 1 << dice.below(8);
        Some(Must::Fall("checksum", MALFORMED))
    }),
    ("one bit flipped", |scene, dice| {
        let at = dice.below(scene.message.len());
        scene.message[at] ^= 1 << dice.below(8);
        Some(Must::Vanish)
    }),
    ("some bytes replaced", |scene, dice| {
        for _ in 0..1 + dice.below(8) {
            let at = dice.below(scene.message.len());
            scene.message[at] = dice.byte();
        }
        (!scene.is_signed()).then_some(Must::Vanish)
    }),
    ("garbage for our virtual router", |scene, dice| {
        let len = 2 + dice.below(100);
        scene.message = dice.bytes(len);
        scene.message[0] = dice.pick(&[0x21, 0x31, 0x11, 0x41, 0xf1, 0x2f]);
        scene.message[1] = scene.vrid;
        (!scene.is_signed()).then_some(Must::Vanish)
    }),
    ("nothing but an authentication header", |scene, dice| {
        let len = dice.below(40);
        scene.message.clear();
        scene.authentication_header = Some(dice.bytes(len));
        if let Some(next) = scene.authentication_header.as_mut()?.first_mut() {
            *next = dice.other_than(112);
        }
        Some(Must::Fall("auth_header", MALFORMED))
    }),
    // Right in themselves, but not in agreement.
    ("the other version", |scene, _| {
        speak_other_version(scene);
        Some(Must::Fall("version_conflict", VERSION))
    }),
    ("another v2 interval", |scene, dice| {
        only(scene, Version::V2)?;
        let seconds = dice.other_than(scene.message[5]);
        scene.message[5] = seconds;
        scene.sign();
        (seconds != 0).then_some(Must::Fall("interval_conflict", INTERVAL))
    }),
    ("another authentication type", |scene, dice| {
        only(scene, Version::V2)?;
        scene.message[4] = dice.other_than(scene.message[4]);
        scene.sign();
        Some(Must::Fall("auth_type", Class::Unauthentic))
    }),
    ("another password", |scene, dice| {
        scene.auth?;
        let at = scene.message.len() - 1 - dice.below(8);
        scene.message[at] = dice.other_than(scene.message[at]);
        scene.sign();
        Some(Must::Fall("auth_mismatch", Class::Unauthentic))
    }),
    ("with an authentication header", |scene, dice| {
        let mut header = vec![112, 4, 0, 0];
        header.extend(dice.bytes(20));
        scene.authentication_header = Some(header);
        Some(Must::Fall("auth_type", Class::Unauthentic))
    }),
    ("with an authentication header, padded", |scene, dice| {
        let mut header = vec![112, 4, 0, 0];
        header.extend(dice.bytes(20));
        scene.authentication_header = Some(header);
        // With that header no frame is so small that Ethernet would pad it.
        scene.padding = vec![0];
        Some(Must::Fall("overlong", MALFORMED))
    }),
    // Not for us to hear.
    ("another virtual router", |scene, dice| {
        scene.message[1] = dice.other_than(scene.message[1]);
        scene.sign();
        Some(Must::Fall("vrid_other", FOREIGN))
    }),
    ("by the other mode", |scene, _| {
        scene.multicast = !scene.multicast;
        Some(Must::Fall("mode", FOREIGN))
    }),
    ("from none of our peers", |scene, _| {
        scene.peers = vec![scene.destination, virtual_address(scene.family(), 0)];
        let must = Must::Fall("unlisted_source", FOREIGN);
        (!scene.multicast).then_some(must)
    }),
    ("to an owner", |scene, _| {
        scene.owner = true;
        Some(Must::Fall("local_owner", FOREIGN))
    }),
    ("from another owner", |scene, _| {
        scene.owner = true;
        scene.write(255);
        Some(Must::Fall("second_owner", FOREIGN))
    }),
    ("from ourselves", |scene, _| {
        scene.local = scene.source;
        Some(Must::Fall("own_advert", Class::Own))
    }),
    // Twice wrong: a disagreement is heard only from a frame that is right in everything else.
    ("the other version, wrong checksum", |scene, dice| {
        speak_other_version(scene);
        scene.message[6 + dice.below(2)] ^= 1 << dice.below(8);
        Some(Must::Fall("checksum", MALFORMED))
    }),
    ("the other version, cut short", |scene, dice| {
        speak_other_version(scene);
        let len = dice.below(scene.message.len());
        scene.message.truncate(len);
        Some(Must::Fall("truncated", MALFORMED))
    }),
    ("the other version, an unknown type", |scene, _| {
        speak_other_version(scene);
        scene.message[0] ^= 0x02;
        scene.sign();
        Some(Must::Fall("unknown_type", MALFORMED))
    }),
    ("the other version, through a router", |scene, dice| {
        speak_other_version(scene);
        scene.ttl = dice.other_than(255);
        scene.multicast.then_some(Must::Fall("ttl", MALFORMED))
    }),
    (
        "the other version, another virtual router",
        |scene, dice| {
            speak_other_version(scene);
            scene.message[1] = dice.other_than(scene.message[1]);
            scene.sign();
            Some(Must::Fall("vrid_other", FOREIGN))
        },
    ),
    ("the other version, from none of our peers", |scene, _| {
        speak_other_version(scene);
        scene.peers = vec![scene.destination];
        let must = Must::Fall("unlisted_source", FOREIGN);
        (!scene.multicast).then_some(must)
    }),
    ("another v2 interval, wrong checksum", |scene, dice| {
        only(scene, Version::V2)?;
        scene.message[5] = dice.other_than(scene.message[5]);
        (scene.message[5] != 0).then_some(Must::Fall("checksum", MALFORMED))
    }),
    ("another v2 interval, from none of our peers", |scene, _| {
        only(scene, Version::V2)?;
        scene.interval += Duration::from_secs(1);
        scene.peers = vec![scene.destination];
        let must = Must::Fall("unlisted_source", FOREIGN);
        (!scene.multicast).then_some(must)
    }),
    ("another password, wrong checksum", |scene, dice| {
        scene.auth?;
        let at = scene.message.len() - 1 - dice.below(8);
        scene.message[at] ^= 1 << dice.below(8);
        Some(Must::Fall("checksum", MALFORMED))
    }),
    ("another password, from none of our peers", |scene, _| {
        scene.auth?;
        scene.auth = scene.auth.map(|auth| auth.map(|byte| !byte));
        scene.peers = vec![scene.destination];
        let must = Must::Fall("unlisted_source", FOREIGN);
        (!scene.multicast).then_some(must)
    }),
];

fn only(scene: &Scene, version: Version) -> Option<()> {
    (scene.version == version).then_some(())
}

/// The same advert as somebody with the same addresses but the other version would send it.
fn speak_other_version(scene: &mut Scene) {
    let (version, interval, auth) = (scene.version, scene.interval, scene.auth);
    scene.form = match (version, scene.family()) {
        (Version::V2, Family::V4) => ChecksumForm::PseudoHeader,
        _ => ChecksumForm::Only,
    };
    scene.version = match version {
        Version::V2 => Version::V3,
        Version::V3 => Version::V2,
    };
    scene.interval = Duration::from_secs(1);
    scene.auth = None;
    scene.write(100);
    (scene.version, scene.interval, scene.auth) = (version, interval, auth);
}

#[test]
fn every_mutation_has_a_name_of_its_own() {
    let mut names: Vec<_> = ALL.iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}
