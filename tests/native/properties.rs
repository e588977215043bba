//! What holds for all frames? What was written is what is read, and what is read is what would be
//! written.

use std::num::{NonZeroU8, NonZeroU32, NonZeroU64};
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::wire::native::{
    BootId, Configuration, Digest, Frame, Group, GroupId, Header, Heard, NodeId, Reference, Role,
    Statement, Why,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::scene::{PEER, THIRD, current_key, frame_of, hear, seal, usual};

fn a_boot() -> impl Strategy<Value = BootId> {
    any::<[u8; 16]>().prop_map(BootId)
}

fn a_header() -> impl Strategy<Value = Header> {
    let node = select(vec![PEER, THIRD]);
    let numbers = any::<(u8, u64, u64)>();
    (node, a_boot(), numbers, any::<[u64; 4]>()).prop_map(
        |(node, boot_id, (path, sequence, nanos), digests)| {
            let [voters, groups, timing, rest] = digests.map(Digest);
            Header {
                path,
                node,
                boot_id,
                sequence,
                boot_time: Instant::from_nanos(nanos),
                configuration: Configuration {
                    voters,
                    groups,
                    timing,
                    rest,
                },
            }
        },
    )
}

fn a_heard() -> impl Strategy<Value = Heard> {
    let numbers = any::<((u64, u64, u8, u8), [u32; 4])>();
    (numbers, a_boot()).prop_map(
        |(((node, sequence, path, by), remembered), boot_id)| Heard {
            node: NodeId(node),
            boot_id,
            sequence,
            path,
            by,
            remembered,
        },
    )
}

const WHY: [Why; 10] = [
    Why::Quarantine,
    Why::Holding,
    Why::Promised,
    Why::Epoch,
    Why::Storing,
    Why::Resigned,
    Why::Outranked,
    Why::Voters,
    Why::Lease,
    Why::Conflict,
];

fn a_statement() -> impl Strategy<Value = Statement> {
    let nonce = || any::<NonZeroU64>();
    let lease = (1..=25_500_000_000_000_u64).prop_map(Duration::from_nanos);
    prop_oneof![
        Just(Statement::Nothing),
        Just(Statement::Ask),
        (nonce(), lease, any::<bool>()).prop_map(|(nonce, lease, holding)| Statement::Request {
            nonce,
            lease,
            holding
        }),
        (a_boot(), nonce(), select(WHY.to_vec())).prop_map(|(boot_id, nonce, why)| {
            Statement::Refusal {
                boot_id,
                nonce,
                why,
            }
        }),
        (a_boot(), nonce()).prop_map(|(boot_id, nonce)| Statement::Ack { boot_id, nonce }),
        (any::<u64>(), a_boot(), nonce()).prop_map(|(to, boot_id, nonce_last)| {
            Statement::Resign {
                to: NodeId(to),
                boot_id,
                nonce_last,
            }
        }),
    ]
}

fn a_group() -> impl Strategy<Value = Group> {
    let role = select(vec![
        Role::Init,
        Role::Backup,
        Role::Candidate,
        Role::Master,
        Role::Releasing,
        Role::Fault,
        Role::Stopped,
        Role::Witness,
    ]);
    let numbers = any::<(u64, NonZeroU8, u16, u64, u64)>();
    (numbers, role, 1..=254u8, a_statement()).prop_map(
        |((id, number, fitness, addresses, epoch), role, priority, statement)| Group {
            id: GroupId(id),
            number,
            role,
            priority,
            fitness,
            addresses: Digest(addresses),
            epoch,
            statement,
        },
    )
}

fn some_groups() -> impl Strategy<Value = Vec<Group>> {
    vec(a_group(), 0..12).prop_map(|mut groups| {
        groups.sort_by_key(|group| group.id);
        groups.dedup_by_key(|group| group.id);
        groups
    })
}

fn some_groups_of_a_template() -> impl Strategy<Value = (Vec<Group>, Option<Reference>)> {
    let numbers = any::<(NonZeroU32, u32)>();
    let room = (0..2000_u16, 1..2000_u16);
    let of = prop_oneof![Just(None), (numbers, room).prop_map(Some)];
    (some_groups(), of).prop_map(|(groups, of)| {
        let count = groups.len() as u16;
        let template = of.map(|((number, advance), (first, more))| Reference {
            number,
            advance,
            first: if count > 0 { first } else { 0 },
            total: first + count + more,
        });
        (groups, template)
    })
}

/// The frame that says the same.
fn said_again(frame_heard: &Frame<'_>) -> Vec<u8> {
    let heard: Vec<_> = frame_heard.heard().collect();
    let groups: Vec<_> = frame_heard.groups().collect();
    let said = (&heard[..], &groups[..], frame_heard.template);
    frame_of(&current_key(), frame_heard.header, said)
}

proptest! {
    #[test]
    fn what_is_said_is_what_is_heard(
        header in a_header(),
        heard in vec(a_heard(), 0..8),
        (groups, template) in some_groups_of_a_template(),
    ) {
        let bytes = frame_of(&current_key(), header, (&heard, &groups, template));
        let frame = hear(&bytes).unwrap();
        prop_assert_eq!(frame.template, template);
        prop_assert_eq!(frame.header, header);
        prop_assert!(frame.heard().eq(heard));
        prop_assert!(frame.groups().eq(groups));
        prop_assert_eq!(said_again(&frame), bytes);
    }

    /// Somebody with the key may say anything; what counts has one spelling only.
    #[test]
    fn what_counts_is_written_in_one_way(
        changes in vec((6..280usize, any::<u8>()), 1..6),
    ) {
        let mut bytes = usual();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes[6..18].copy_from_slice(&usual()[6..18]);
        seal(&mut bytes, &current_key());
        if let Ok(frame) = hear(&bytes) {
            prop_assert_eq!(said_again(&frame), bytes);
        }
    }

    #[test]
    fn garbage_never_counts(bytes in vec(any::<u8>(), 0..600)) {
        prop_assert!(hear(&bytes).is_err());
    }

    /// With the start and the length of a frame, and sealed by somebody who has the key.
    #[test]
    fn sealed_garbage_is_judged_without_panic(body in vec(any::<u8>(), 120..600)) {
        let mut bytes = usual()[..18].to_vec();
        bytes.extend(body);
        bytes[18..26].copy_from_slice(&PEER.0.to_be_bytes());
        seal(&mut bytes, &current_key());
        if let Ok(frame) = hear(&bytes) {
            prop_assert_eq!(said_again(&frame), bytes);
        }
    }
}
