//! What holds for all blocks? What was written is what is read, and what was not is refused with the
//! reason.

use std::time::Duration;

use floatlock::core::lease::Epoch;
use floatlock::wire::disk::{
    AreaId, BLOCK_LEN, Block, CopyOf, Header, Headers, Host, LEASE_MAX, Malformed, Member, Slot,
    State, Times, Trial, View,
};
use floatlock::wire::native::{BootId, ClusterId};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use crate::scene::{AREA, header, member};

fn a_times() -> impl Strategy<Value = Times> {
    (100_u64..=3_600_000).prop_map(|lease| Times::of(Duration::from_millis(lease)).unwrap())
}

fn a_header() -> impl Strategy<Value = Header> {
    let members = btree_map(0_u8..64, "[a-z]{1,57}", 1..=64);
    (
        any::<[u8; 16]>(),
        any::<u64>(),
        a_times(),
        "[A-Za-z0-9._-]{1,64}",
        members,
        select(vec![(1, 0), (3, 0), (3, 1), (3, 2)]),
    )
        .prop_map(
            |(area, created_ms, times, cluster, members, (disks, number))| {
                // Unique, whatever was drawn.
                let member =
                    |(number, name): (u8, String)| member(number, &format!("{name}{number}"));
                Header {
                    area: AreaId(area),
                    created_ms,
                    times,
                    cluster,
                    members: members.into_iter().map(member).collect(),
                    copy: CopyOf { disks, number },
                }
            },
        )
}

fn a_slot() -> impl Strategy<Value = Slot> {
    let state = select(vec![State::Held, State::Claimed, State::Free, State::Clean]);
    let numbers = any::<(u64, u64, u64, u64, u32)>();
    let text = (any::<[u8; 16]>(), vec(any::<u8>(), 64));
    (0_u8..64, any::<[u32; 2]>(), state, numbers, text).prop_map(
        |(node, rounds, state, (seq, floor, boottime_ms, wall_ms, groups), (boot_id, host))| {
            let own = |round: u32| Epoch::from_number(u64::from(round) * 64 + u64::from(node));
            let [intent, owned] = rounds.map(own);
            Slot {
                node,
                boot_id: BootId(boot_id),
                intent,
                owned,
                seq,
                floor: Epoch::from_number(floor),
                state,
                boottime_ms,
                wall_ms,
                host: Host(host.try_into().unwrap()),
                groups,
            }
        },
    )
}

proptest! {
    #[test]
    fn the_header_that_was_written_is_read(header in a_header()) {
        let block = header.emit().unwrap();
        prop_assert_eq!(Header::decode(&block), Ok(header));
    }

    #[test]
    fn the_slot_that_was_written_is_read(slot in a_slot()) {
        let block = slot.emit(AREA).unwrap();
        prop_assert_eq!(Slot::decode(&block, AREA, slot.node), Ok(slot));
        prop_assert_eq!(View::of(&block, AREA, slot.node).is_held(), slot.state == State::Held);
    }

    #[test]
    fn a_slot_counts_in_its_own_area_and_place_only(slot in a_slot(), other in 0_u8..64) {
        let block = slot.emit(AREA).unwrap();
        let theirs = AREA;
        prop_assert_eq!(
            Slot::decode(&block, AreaId([1; 16]), slot.node),
            Err(Malformed::Area { theirs })
        );
        if other != slot.node {
            let wrong = Malformed::Node { theirs: slot.node };
            prop_assert_eq!(Slot::decode(&block, AREA, other), Err(wrong));
            prop_assert!(View::of(&block, AREA, other).is_held());
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(body in vec(any::<u8>(), 0..300), kind in 0_usize..4) {
        let magics = [floatlock::wire::disk::MAGIC, floatlock::wire::disk::SLOT_MAGIC,
            floatlock::wire::disk::TRIAL_MAGIC, [7; 16]];
        let mut block = Block::ZERO;
        block.bytes_mut()[..16].copy_from_slice(&magics[kind]);
        block.bytes_mut()[16..][..body.len()].copy_from_slice(&body);
        for _ in 0..2 {
            let _ = Header::decode(&block);
            let _ = Slot::decode(&block, AREA, 0);
            let _ = Trial::decode(&block, AREA, 0);
            // The second time with a good checksum.
            block.seal();
        }
    }
}

/// Every bit of the blocks that mean something.
#[test]
fn every_flipped_bit_is_found() {
    let header = header().emit().unwrap();
    let slot = Slot::clean(1).emit(AREA).unwrap();
    let trial = trial().emit(AREA).unwrap();
    for bit in 0..BLOCK_LEN * 8 {
        let flipped = |block: &Block| {
            let mut block = block.clone();
            block.bytes_mut()[bit / 8] ^= 1 << (bit % 8);
            block
        };
        assert!(Header::decode(&flipped(&header)).is_err(), "bit {bit}");
        assert!(View::of(&flipped(&slot), AREA, 1).is_held(), "bit {bit}");
        assert!(Slot::decode(&flipped(&slot), AREA, 1).is_err(), "bit {bit}");
        assert!(
            Trial::decode(&flipped(&trial), AREA, 1).is_err(),
            "bit {bit}"
        );
    }
}

fn trial() -> Trial {
    Trial {
        node: 1,
        run: [5; 16],
        counter: 7,
        wall_ms: 8,
        host: Host::new("lb-b"),
    }
}

/// The slot with this byte instead, and a good checksum.
fn with(byte: u8, at: usize) -> Result<Slot, Malformed> {
    let mut block = Slot::clean(1).emit(AREA).unwrap();
    block.bytes_mut()[at] = byte;
    block.seal();
    Slot::decode(&block, AREA, 1)
}

#[test]
fn only_four_values_of_the_flags_mean_anything() {
    for flags in 0..=u8::MAX {
        let expected = match flags {
            1 => Ok(State::Held),
            2 => Ok(State::Free),
            3 => Ok(State::Claimed),
            6 => Ok(State::Clean),
            _ => Err(Malformed::Flags { flags }),
        };
        assert_eq!(with(flags, 33).map(|slot| slot.state), expected);
    }
}

#[test]
fn a_ballot_of_another_node_is_refused() {
    assert!(with(64 + 1, 56).is_ok(), "its own");
    assert_eq!(with(64, 56), Err(Malformed::Ballot { ballot: 64 }));
    assert_eq!(with(2, 64), Err(Malformed::Ballot { ballot: 2 }));
    let slot = Slot {
        intent: Epoch::from_number(66),
        ..Slot::clean(1)
    };
    assert_eq!(slot.emit(AREA), Err(Malformed::Ballot { ballot: 66 }));
}

#[test]
fn zeroes_are_not_a_free_slot() {
    assert_eq!(
        View::of(&Block::ZERO, AREA, 0),
        View::Unknown(Malformed::Blank)
    );
    assert!(View::of(&Block::ZERO, AREA, 0).is_held());
}

#[test]
fn a_later_major_version_is_refused_and_a_minor_one_is_not() {
    let mut block = header().emit().unwrap();
    block.bytes_mut()[18] = 9;
    block.seal();
    assert_eq!(Header::decode(&block), Ok(header()));
    block.bytes_mut()[16] = 2;
    let version = Malformed::Version { major: 2, minor: 9 };
    assert_eq!(Header::decode(&block), Err(version));
}

#[test]
fn a_header_that_nobody_could_use_is_neither_written_nor_read() {
    let names = |names: &[(u8, &str)]| Header {
        members: names.iter().map(|(n, name)| member(*n, name)).collect(),
        ..header()
    };
    let times = |lease_ms, wait_ms, renew_ms| Header {
        times: Times {
            lease_ms,
            wait_ms,
            renew_ms,
        },
        ..header()
    };
    let long = "x".repeat(65);
    let many: Vec<Member> = (0..64)
        .map(|n| member(n, &format!("{n:02}{}", "x".repeat(62))))
        .collect();
    let cases = [
        (names(&[]), Malformed::NodeCount { count: 0 }),
        (names(&[(0, "a b")]), Malformed::Name),
        (names(&[(0, "")]), Malformed::Name),
        (names(&[(0, &long)]), Malformed::Name),
        (names(&[(1, "a"), (0, "b")]), Malformed::Numbers),
        (names(&[(0, "a"), (0, "b")]), Malformed::Numbers),
        (names(&[(64, "a")]), Malformed::Numbers),
        (names(&[(0, "a"), (1, "a")]), Malformed::NameTwice),
        (
            Header {
                members: many,
                ..header()
            },
            Malformed::NoRoom,
        ),
    ];
    for (header, why) in cases {
        assert_eq!(header.emit().unwrap_err(), why);
    }
    for [lease, wait, renew] in [
        [0, 0, 0],
        [99, 200, 10],
        [5000, 5099, 1000],
        [5000, 5200, 0],
        [5000, 5200, 1667],
        [3_600_001, 4_000_000, 1000],
        [5000, u32::MAX, 1000],
    ] {
        let refused = times(lease, wait, renew).emit();
        assert!(matches!(refused, Err(Malformed::Times { .. })), "{lease}");
    }
    assert!(times(5000, 5100, 1666).emit().is_ok());
    assert_eq!(Times::of(LEASE_MAX + Duration::from_millis(1)), None);
}

#[test]
fn the_usual_times_leave_room_for_the_error_of_the_clocks() {
    let times = Times::of(Duration::from_secs(5)).unwrap();
    assert_eq!(
        (times.lease_ms, times.wait_ms, times.renew_ms),
        (5000, 5200, 1000)
    );
    assert_eq!(header().cluster_id(), ClusterId::of("shop-front"));
}

#[test]
fn one_good_header_is_enough_and_two_that_differ_are_none() {
    let good = header().emit().unwrap();
    let bad = Block::ZERO;
    let why = Malformed::Blank;
    let one = |bad| Headers::One {
        header: header(),
        bad,
        why,
    };
    assert_eq!(Headers::read(&good, &good), Headers::Good(header()));
    assert_eq!(Headers::read(&bad, &good), one(0));
    assert_eq!(Headers::read(&good, &bad), one(1));
    let none = Headers::None {
        first: why,
        copy: why,
    };
    assert_eq!(Headers::read(&bad, &bad), none);
    let other = Header {
        area: AreaId([1; 16]),
        ..header()
    };
    let other = other.emit().unwrap();
    assert_eq!(Headers::read(&good, &other), Headers::Differ);
}

#[test]
fn a_host_name_is_cut_and_cannot_steer_a_terminal() {
    assert_eq!(Host::new(&"x".repeat(100)).to_string(), "x".repeat(64));
    assert_eq!(Host::new("a\x1b[2J").to_string(), "a\\x1b[2J");
}
