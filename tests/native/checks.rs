//! Is each check made, under its own name, and in its place?

use std::time::Duration;

use floatlock::wire::native::{
    BootId, Class, ClusterId, Counters, Expect, FRAME_LEN_MIN, GROUP_LEN, Group, HEADER_LEN,
    HEARD_LEN, Header, Key, KeyAge, Keyring, NodeId, Received, Rejected, Statement, decode,
    decode_of,
};

use crate::scene::{
    CLUSTER, OUR_BOOT, PEER, PEER_BOOT, THIRD, US, counter, current_key, frame, group, header,
    hear, heard, nonce, old_key, other_key, request, seal, usual,
};

/// Where the two groups of [`usual`] begin.
const FIRST: usize = HEADER_LEN + HEARD_LEN;
const SECOND: usize = FIRST + GROUP_LEN;

/// Breaks a frame; whoever does it has the key, and seals it again.
fn changed(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = usual();
    change(&mut frame);
    seal(&mut frame, &current_key());
    frame
}

#[track_caller]
fn falls(frame: &[u8], name: &str, class: Class) {
    let rejected = hear(frame).unwrap_err();
    assert_eq!(counter(&rejected), name, "{rejected}");
    assert_eq!(rejected.class(), class, "{rejected}");
}

#[test]
fn a_frame_cut_short_anywhere_is_truncated() {
    let frame = usual();
    for len in 0..frame.len() {
        falls(&frame[..len], "truncated", Class::Malformed);
    }
    assert!(hear(&frame).is_ok());
}

#[test]
fn a_frame_with_something_behind_it_is_overlong() {
    for more in [1, 2, 100, 60_000] {
        let mut frame = usual();
        frame.resize(frame.len() + more, 0);
        falls(&frame, "overlong", Class::Malformed);
    }
}

#[test]
fn a_length_that_no_frame_can_have_is_not_believed() {
    for said in [0, 5, FRAME_LEN_MIN as u16 - 1] {
        let mut frame = usual();
        frame[4..6].copy_from_slice(&said.to_be_bytes());
        falls(&frame, "overlong", Class::Malformed);
        frame.truncate(FRAME_LEN_MIN);
        falls(&frame, "overlong", Class::Malformed);
        frame.truncate(FRAME_LEN_MIN - 1);
        falls(&frame, "truncated", Class::Malformed);
    }
}

#[test]
fn adverts_of_vrrp_are_none_of_ours() {
    for (first, second) in [(0x31, 51), (0x21, 0), (0xf1, 51), (0xf2, 0)] {
        let frame = changed(|f| f[..2].copy_from_slice(&[first, second]));
        falls(&frame, "magic", Class::Malformed);
        assert_eq!(hear(&frame), Err(Rejected::Magic { first, second }));
    }
}

#[test]
fn another_format_is_not_read_whatever_its_length_says() {
    for theirs in [0, 2, 255] {
        let frame = changed(|f| f[2] = theirs);
        falls(&frame, "unknown_version", Class::Unauthentic);
        assert_eq!(hear(&frame[..6]), Err(Rejected::UnknownVersion { theirs }));
    }
}

#[test]
fn another_cluster_with_the_same_key_is_not_heard() {
    let frame = changed(|f| f[10] ^= 1);
    falls(&frame, "cluster_other", Class::Foreign);
    let theirs = ClusterId(CLUSTER.0 ^ 1 << 56);
    assert_eq!(hear(&frame), Err(Rejected::Cluster { theirs }));
}

#[test]
fn what_another_cluster_says_is_read_only_if_it_has_our_key() {
    let keys = Keyring::new(current_key(), None);
    let expect = Expect {
        cluster: CLUSTER,
        keys: &keys,
        node: US,
        boot_id: OUR_BOOT,
        peers: &[],
    };
    let theirs = ClusterId(9);
    let read = |key: &Key, named: ClusterId, ttl| {
        let mut payload = usual();
        payload[10..18].copy_from_slice(&theirs.0.to_be_bytes());
        seal(&mut payload, key);
        let payload = payload.as_slice();
        let received = Received {
            payload,
            ttl,
            on_link: true,
        };
        let frame = decode_of(named, &received, &expect);
        frame.map(|frame| frame.groups().count())
    };
    assert_eq!(read(&current_key(), theirs, 255), Ok(2), "whoever sends it");
    assert_eq!(read(&other_key(), theirs, 255), Err(Rejected::Mac));
    assert_eq!(
        read(&current_key(), CLUSTER, 255),
        Err(Rejected::Cluster { theirs })
    );
    assert_eq!(
        read(&current_key(), theirs, 64),
        Err(Rejected::Ttl { theirs: 64 })
    );
}

#[test]
fn an_unknown_key_is_named() {
    let key = other_key();
    let frame = frame(&key, header(), &[], &[]);
    falls(&frame, "key_id", Class::Unauthentic);
    let theirs = key.id();
    assert_eq!(hear(&frame), Err(Rejected::KeyId { theirs }));
}

#[test]
fn a_known_key_id_is_no_proof() {
    for id in [current_key().id(), old_key().id()] {
        let mut frame = frame(&other_key(), header(), &[], &[]);
        frame[6..10].copy_from_slice(&id.0);
        seal(&mut frame, &other_key());
        falls(&frame, "mac", Class::Unauthentic);
    }
    // Nor is the other key of the two.
    let mut frame = frame(&old_key(), header(), &[], &[]);
    frame[6..10].copy_from_slice(&current_key().id().0);
    seal(&mut frame, &old_key());
    falls(&frame, "mac", Class::Unauthentic);
}

#[test]
fn during_a_change_both_keys_are_accepted_and_before_it_one() {
    let frame = frame(&old_key(), header(), &[], &[]);
    assert_eq!(hear(&frame).unwrap().key, KeyAge::Old);
    let keys = Keyring::new(current_key(), None);
    let theirs = old_key().id();
    assert_eq!(hear_with(&frame, &keys), Err(Rejected::KeyId { theirs }));
}

fn hear_with(payload: &[u8], keys: &Keyring) -> Result<(), Rejected> {
    let received = Received {
        payload,
        ttl: 255,
        on_link: true,
    };
    let expect = Expect {
        cluster: CLUSTER,
        keys,
        node: US,
        boot_id: OUR_BOOT,
        peers: &[PEER],
    };
    decode(&received, &expect).map(|_| ())
}

#[test]
fn a_frame_through_a_router_counts_only_where_the_sender_may_be_behind_one() {
    let (frame, keys) = (usual(), Keyring::new(current_key(), None));
    let hear = |ttl, on_link| {
        let received = Received {
            payload: &frame,
            ttl,
            on_link,
        };
        let expect = Expect {
            cluster: CLUSTER,
            keys: &keys,
            node: US,
            boot_id: OUR_BOOT,
            peers: &[PEER],
        };
        decode(&received, &expect).map(|_| ())
    };
    assert_eq!(hear(255, true), Ok(()));
    assert_eq!(hear(254, true), Err(Rejected::Ttl { theirs: 254 }));
    assert_eq!(hear(254, false), Ok(()));
    assert_eq!(counter(&Rejected::Ttl { theirs: 254 }), "ttl");
}

#[test]
fn our_own_frame_and_another_agent_under_our_name_are_told_apart() {
    let from = |node, boot_id| {
        let header = Header {
            node,
            boot_id,
            ..header()
        };
        frame(&current_key(), header, &[], &[])
    };
    falls(&from(US, OUR_BOOT), "own_frame", Class::Own);
    falls(&from(US, PEER_BOOT), "second_self", Class::Stranger);
    falls(&from(NodeId(7), PEER_BOOT), "unknown_node", Class::Stranger);
    for node in [PEER, THIRD] {
        assert!(hear(&from(node, BootId([9; 16]))).is_ok());
    }
}

#[test]
fn counts_that_ask_for_other_bytes_than_there_are() {
    for (heard, groups) in [(0, 2), (2, 2), (1, 1), (1, 3), (u16::MAX, u16::MAX), (0, 0)] {
        let frame = changed(|f| {
            f[90..92].copy_from_slice(&u16::to_be_bytes(heard));
            f[92..94].copy_from_slice(&u16::to_be_bytes(groups));
        });
        falls(&frame, "counts", Class::Malformed);
    }
    let need = FRAME_LEN_MIN + 65_535 * (HEARD_LEN + GROUP_LEN);
    let oversized = changed(|f| f[90..94].fill(0xff));
    let len = oversized.len();
    assert_eq!(hear(&oversized), Err(Rejected::Counts { len, need }));
}

#[test]
fn a_template_that_cannot_be() {
    // Number, advance, first, total: of a frame of two groups.
    let cases: [[u8; 12]; 6] = [
        [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
        [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0, 9],
        [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x10, 1],
    ];
    for case in cases {
        let frame = changed(|f| f[94..106].copy_from_slice(&case));
        falls(&frame, "reference", Class::Malformed);
    }
    let right = changed(|f| f[94..106].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 7, 0, 9]));
    assert!(hear(&right).is_ok());
    // Without groups it stands for all, and not for all from the third on.
    let alone = |first| {
        let mut frame = frame(&current_key(), header(), &[], &[]);
        frame[94..106].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, first, 0, 9]);
        seal(&mut frame, &current_key());
        hear(&frame).map(|_| ())
    };
    assert_eq!(alone(0), Ok(()));
    assert_eq!(alone(2), Err(Rejected::Reference));
}

#[test]
fn what_no_group_can_say() {
    let cases: [(usize, &[u8], &str); 13] = [
        (FIRST + 8, &[0], "group_number"),
        (FIRST + 9, &[0], "role"),
        (SECOND + 9, &[9], "role"),
        (FIRST + 10, &[0], "priority"),
        (SECOND + 10, &[255], "priority"),
        (FIRST + 11, &[6], "statement"),
        (FIRST + 30, &[0; 8], "zero_nonce"),
        (SECOND + 46, &[0; 8], "zero_nonce"),
        (FIRST + 38, &[0; 8], "lease"),
        (FIRST + 38, &[0xff; 8], "lease"),
        (FIRST + 46, &[2], "flag"),
        (FIRST + 61, &[1], "unused_bytes"),
        (SECOND + 54, &[1], "unused_bytes"),
    ];
    for (at, bytes, name) in cases {
        let frame = changed(|f| f[at..at + bytes.len()].copy_from_slice(bytes));
        falls(&frame, name, Class::Malformed);
    }
    // An ack that says to be a refusal has no reason.
    let frame = changed(|f| f[SECOND + 11] = 5);
    falls(&frame, "refusal", Class::Malformed);
    // Without a statement, its room is empty.
    let frame = changed(|f| f[FIRST + 11] = 0);
    falls(&frame, "unused_bytes", Class::Malformed);
}

#[test]
fn a_lease_beyond_the_longest_is_refused() {
    let longest = 25_500_000_000_000_u64;
    let with =
        |nanos: u64| changed(|f| f[FIRST + 38..FIRST + 46].copy_from_slice(&nanos.to_be_bytes()));
    assert!(hear(&with(longest)).is_ok());
    let theirs = Duration::from_nanos(longest + 1);
    assert_eq!(hear(&with(longest + 1)), Err(Rejected::Lease { theirs }));
}

#[test]
fn a_group_is_there_once_and_in_its_place() {
    for id in [0_u64, 1] {
        let frame = changed(|f| f[SECOND..SECOND + 8].copy_from_slice(&id.to_be_bytes()));
        falls(&frame, "group_order", Class::Malformed);
    }
}

/// One wrong thing after the other is put right, and each time the next one is said.
#[test]
fn the_first_failure_is_said() {
    let right = [
        group(1, request()),
        Group {
            epoch: 1,
            ..group(2, Statement::Nothing)
        },
    ];
    let right = frame(&current_key(), header(), &[heard()], &right);
    let mut wrong = right.clone();
    wrong.push(0);
    for at in [
        0,
        2,
        10,
        6,
        18,
        92,
        104,
        FIRST + 8,
        FIRST + 9,
        FIRST + 10,
        FIRST + 11,
    ] {
        wrong[at] = 0xee;
    }
    wrong[FIRST + 8] = 0;
    wrong[FIRST + 10] = 255;
    wrong[FIRST + 30..FIRST + 62].fill(0);
    wrong[FIRST + 46] = 2;
    wrong[FIRST + 61] = 1;
    wrong[SECOND..SECOND + 8].fill(0);

    let mut said = vec![hear(&wrong[..5]).map(|_| ())];
    let mut fix = |wrong: &mut Vec<u8>, range: std::ops::Range<usize>| {
        said.push(hear(wrong).map(|_| ()));
        wrong[range.clone()].copy_from_slice(&right[range]);
    };
    fix(&mut wrong, 0..1);
    fix(&mut wrong, 2..3);
    fix(&mut wrong, 0..0);
    wrong.pop();
    fix(&mut wrong, 10..11);
    fix(&mut wrong, 6..7);
    fix(&mut wrong, 0..0);
    let mut fix = |wrong: &mut Vec<u8>, range: std::ops::Range<usize>| {
        seal(wrong, &current_key());
        fix(wrong, range);
    };
    fix(&mut wrong, 18..19);
    fix(&mut wrong, 92..93);
    fix(&mut wrong, 104..105);
    fix(&mut wrong, FIRST + 8..FIRST + 9);
    fix(&mut wrong, FIRST + 9..FIRST + 10);
    fix(&mut wrong, FIRST + 10..FIRST + 11);
    fix(&mut wrong, FIRST + 11..FIRST + 12);
    fix(&mut wrong, FIRST + 30..FIRST + 38);
    fix(&mut wrong, FIRST + 38..FIRST + 46);
    fix(&mut wrong, FIRST + 46..FIRST + 47);
    fix(&mut wrong, FIRST + 61..FIRST + 62);
    fix(&mut wrong, SECOND..SECOND + 8);
    let names: Vec<_> = said.iter().map(|r| counter(&r.unwrap_err())).collect();
    let order = [
        "truncated",
        "magic",
        "unknown_version",
        "overlong",
        "cluster_other",
        "key_id",
        "mac",
        "unknown_node",
        "counts",
        "reference",
        "group_number",
        "role",
        "priority",
        "statement",
        "zero_nonce",
        "lease",
        "flag",
        "unused_bytes",
        "group_order",
    ];
    assert_eq!(names, order);
    seal(&mut wrong, &current_key());
    assert_eq!(wrong, right);
    // The counters stand in the same order, and there are no others.
    let all: Vec<_> = Counters::default().iter().map(|(name, _)| name).collect();
    let others = [
        "accepted",
        "old_key",
        "ttl",
        "own_frame",
        "second_self",
        "refusal",
        "unknown_template",
    ];
    let rest = all.into_iter().filter(|name| !others.contains(name));
    assert!(rest.eq(order));
}

#[test]
fn accepted_frames_are_counted_by_their_key() {
    let mut counters = Counters::default();
    counters.count_accepted(KeyAge::Current);
    counters.count_accepted(KeyAge::Old);
    assert_eq!((counters.accepted, counters.old_key), (2, 1));
    assert_eq!(counters.iter().map(|(_, count)| count).sum::<u64>(), 3);
}

#[test]
fn what_was_granted_is_what_was_asked() {
    let frame = usual();
    let frame = hear(&frame).unwrap();
    let said: Vec<_> = frame.groups().map(|group| group.statement).collect();
    let ack = Statement::Ack {
        boot_id: OUR_BOOT,
        nonce: nonce(5),
    };
    assert_eq!(said, [request(), ack]);
    assert!(frame.heard().eq([heard()]), "the echo");
}
