//! Are these the bytes? Frames field by field, worked out by hand from the layout; their MACs are
//! those that Python's `hmac` makes of the rest.

use std::num::NonZeroU32;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::wire::native::{
    Group, Header, Heard, Key, KeyAge, LEASE_MAX, Reference, Role, Statement,
};

use crate::scene::{
    OUR_BOOT, PEER_BOOT, THIRD, US, current_key, frame, frame_of, group, header, hear, heard,
    nonce, old_key,
};

/// Hex digits, with a comment after each `#`.
fn bytes(text: &str) -> Vec<u8> {
    let code = text.lines().filter_map(|line| line.split('#').next());
    let digits: String = code.flat_map(str::split_whitespace).collect();
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect(text);
    (0..digits.len()).step_by(2).map(pair).collect()
}

struct Golden {
    key: (Key, KeyAge),
    header: Header,
    heard: Vec<Heard>,
    groups: Vec<Group>,
    template: Option<Reference>,
    text: &'static str,
}

impl Golden {
    fn check(&self) {
        let bytes = bytes(self.text);
        let (key, age) = &self.key;
        let said = (&self.heard[..], &self.groups[..], self.template);
        let written = frame_of(key, self.header, said);
        assert_eq!(hex(&written), hex(&bytes));
        let frame = hear(&bytes).unwrap();
        assert_eq!(frame.key, *age);
        assert_eq!(frame.header, self.header);
        assert!(frame.heard().eq(self.heard.iter().copied()));
        assert!(frame.groups().eq(self.groups.iter().copied()));
        assert_eq!(frame.template, self.template);
        assert_eq!(frame.group_count(), self.groups.len());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn current() -> (Key, KeyAge) {
    (current_key(), KeyAge::Current)
}

#[test]
fn a_heartbeat_of_nobody_about_nothing() {
    Golden {
        key: current(),
        header: Header {
            path: 0,
            sequence: 1,
            boot_time: Instant::from_nanos(1),
            configuration: Default::default(),
            ..header()
        },
        heard: vec![],
        groups: vec![],
        template: None,
        text: "f1 00 # magic
            01 # format version
            00 # path
            008a # 138 bytes
            417c8ec9 # key id
            0102030405060708 # cluster
            bbbbbbbbbbbbbbbb # node
            b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0 # boot_id
            0000000000000001 # sequence
            0000000000000001 # boot time
            0000000000000000 # voters
            0000000000000000 # groups
            0000000000000000 # timing
            0000000000000000 # the rest
            0000 # hears nobody
            0000 # says nothing
            00000000 # no template
            00000000 # nonces as they are
            0000 # no place in it
            0000 # nor a size
            003c5a7860662d4ef820c8933ad6b371e325bfd1c356f86063c5f5a00e9199f9 # MAC",
    }
    .check();
}

#[test]
fn a_holder_that_hears_its_peer_and_asks_it() {
    Golden {
        key: current(),
        header: header(),
        heard: vec![heard()],
        groups: vec![group(
            0x1112_1314_1516_1718,
            Statement::Request {
                nonce: nonce(0x99),
                lease: Duration::from_secs(1),
                holding: false,
            },
        )],
        template: None,
        text: "f1 00 # magic
            01 # format version
            01 # path
            00fa # 250 bytes
            417c8ec9 # key id
            0102030405060708 # cluster
            bbbbbbbbbbbbbbbb # node
            b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0 # boot_id
            0000000100000002 # sequence
            00000346 30b8a000 # boot time: an hour
            0000000000005001 # voters
            0000000000005002 # groups
            0000000000005003 # timing
            0000000000005004 # the rest
            0001 # hears one
            0001 # speaks of one group
            00000000 # no template
            00000000 # nonces as they are
            0000 # no place in it
            0000 # nor a size
            aaaaaaaaaaaaaaaa # heard: the node
            a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0 # its boot_id
            0000000000000077 # its sequence
            02 # its path
            03 # came in by
            00000000000000050000000a00000000 # remembers two templates of it
            1112131415161718 # group
            33 # number 51
            04 # MASTER
            96 # priority 150
            01 # requests
            0203 # fitness
            0000000000006001 # addresses
            00000000000001c1 # epoch
            0000000000000099 # nonce
            000000003b9aca00 # L: a second
            00000000000000000000000000000000 # unused
            98a5c9820c92b8482a630ed84fd995cf0745bcbb97f9f04a5155b6430998a7a4 # MAC",
    }
    .check();
}

#[test]
fn a_backup_that_grants_one_group_and_is_silent_on_another() {
    let ack = Statement::Ack {
        boot_id: OUR_BOOT,
        nonce: nonce(0x99),
    };
    let silent = Group {
        role: Role::Witness,
        number: std::num::NonZeroU8::MAX,
        priority: 1,
        fitness: 0,
        epoch: 0,
        ..group(0x21, Statement::Nothing)
    };
    let granting = Group {
        role: Role::Backup,
        priority: 254,
        fitness: 0xffff,
        epoch: u64::MAX,
        ..group(0x20, ack)
    };
    Golden {
        key: (old_key(), KeyAge::Old),
        header: header(),
        heard: vec![],
        groups: vec![granting, silent],
        template: None,
        text: "f1 00 # magic
            01 # format version
            01 # path
            0106 # 262 bytes
            056eb1f4 # key id
            0102030405060708 # cluster
            bbbbbbbbbbbbbbbb # node
            b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0 # boot_id
            0000000100000002 # sequence
            0000034630b8a000 # boot time: an hour
            0000000000005001 # voters
            0000000000005002 # groups
            0000000000005003 # timing
            0000000000005004 # the rest
            0000 # hears nobody
            0002 # speaks of two groups
            00000000 # no template
            00000000 # nonces as they are
            0000 # no place in it
            0000 # nor a size
            0000000000000020 # group
            33 # number 51
            02 # BACKUP
            fe # priority 254
            02 # grants
            ffff # fitness
            0000000000006001 # addresses
            ffffffffffffffff # epoch
            a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0 # the requester's boot_id
            0000000000000099 # nonce
            0000000000000000 # unused
            0000000000000021 # group
            ff # number 255
            08 # WITNESS
            01 # priority 1
            00 # nothing
            0000 # unfit
            0000000000006001 # addresses
            0000000000000000 # epoch
            0000000000000000000000000000000000000000000000000000000000000000 # unused
            f96098b25c07b6150edfae08a68d8402f50276491427266521056c1b84061346 # MAC",
    }
    .check();
}

#[test]
fn a_holder_that_resigns() {
    let resign = Statement::Resign {
        to: US,
        boot_id: PEER_BOOT,
        nonce_last: nonce(0x0123_4567_89ab_cdef),
    };
    let resigning = Group {
        role: Role::Releasing,
        ..group(0x20, resign)
    };
    let third = Heard {
        node: THIRD,
        by: 0,
        path: 0,
        remembered: [0; 4],
        ..heard()
    };
    Golden {
        key: current(),
        header: header(),
        heard: vec![heard(), third],
        groups: vec![resigning],
        template: None,
        text: "f1 00 # magic
            01 # format version
            01 # path
            012c # 300 bytes
            417c8ec9 # key id
            0102030405060708 # cluster
            bbbbbbbbbbbbbbbb # node
            b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0 # boot_id
            0000000100000002 # sequence
            0000034630b8a000 # boot time: an hour
            0000000000005001 # voters
            0000000000005002 # groups
            0000000000005003 # timing
            0000000000005004 # the rest
            0002 # hears two
            0001 # speaks of one group
            00000000 # no template
            00000000 # nonces as they are
            0000 # no place in it
            0000 # nor a size
            aaaaaaaaaaaaaaaa # heard: the node
            a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0 # its boot_id
            0000000000000077 # its sequence
            02 # its path
            03 # came in by
            00000000000000050000000a00000000 # remembers two templates of it
            cccccccccccccccc # heard: the node
            a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0 # its boot_id
            0000000000000077 # its sequence
            00 # its path
            00 # came in by
            00000000000000000000000000000000 # remembers none
            0000000000000020 # group
            33 # number 51
            05 # RELEASING
            96 # priority 150
            03 # resigns
            0203 # fitness
            0000000000006001 # addresses
            00000000000001c1 # epoch
            aaaaaaaaaaaaaaaa # to
            b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0 # the resigning one's boot_id
            0123456789abcdef # nonce_last
            f299b026ebd5bfb6544de65f4bb1ef2b7e45e0ed27a4aa011fea76966e157a61 # MAC",
    }
    .check();
}

#[test]
fn a_part_of_a_template_written_out() {
    Golden {
        key: current(),
        header: header(),
        heard: vec![],
        groups: vec![group(0x20, Statement::Ask)],
        template: Some(Reference {
            number: NonZeroU32::new(0x0102_0306).unwrap(),
            advance: 0x11,
            first: 8,
            total: 9,
        }),
        text: "f1 00 # magic
            01 # format version
            01 # path
            00c8 # 200 bytes
            417c8ec9 # key id
            0102030405060708 # cluster
            bbbbbbbbbbbbbbbb # node
            b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0 # boot_id
            0000000100000002 # sequence
            0000034630b8a000 # boot time: an hour
            0000000000005001 # voters
            0000000000005002 # groups
            0000000000005003 # timing
            0000000000005004 # the rest
            0000 # hears nobody
            0001 # speaks of one group
            01020306 # template
            00000011 # nonces advanced by 17
            0008 # its last group
            0009 # of nine
            0000000000000020 # group
            33 # number 51
            04 # MASTER
            96 # priority 150
            04 # asks
            0203 # fitness
            0000000000006001 # addresses
            00000000000001c1 # epoch
            0000000000000000000000000000000000000000000000000000000000000000 # unused
            b9d366a1adbba5bc972c915d6afe74a450bd3e2b80162a20c27f95351bb0feaf # MAC",
    }
    .check();
}

#[test]
fn a_template_instead_of_its_groups() {
    Golden {
        key: current(),
        header: header(),
        heard: vec![],
        groups: vec![],
        template: Some(Reference {
            number: NonZeroU32::new(0x0102_0306).unwrap(),
            advance: 0x11,
            first: 0,
            total: 9,
        }),
        text: "f1 00 # magic
            01 # format version
            01 # path
            008a # 138 bytes
            417c8ec9 # key id
            0102030405060708 # cluster
            bbbbbbbbbbbbbbbb # node
            b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0 # boot_id
            0000000100000002 # sequence
            0000034630b8a000 # boot time: an hour
            0000000000005001 # voters
            0000000000005002 # groups
            0000000000005003 # timing
            0000000000005004 # the rest
            0000 # hears nobody
            0000 # writes no group out
            01020306 # template
            00000011 # nonces advanced by 17
            0000 # all of it
            0009 # nine groups
            b1f1b80371cb1820b49ae582d0f229471aeab5e6393635a1d720a66c67d5f47d # MAC",
    }
    .check();
}

#[test]
fn the_longest_and_the_shortest_lease() {
    for lease in [Duration::from_nanos(1), LEASE_MAX] {
        let request = Statement::Request {
            nonce: nonce(u64::MAX),
            lease,
            holding: true,
        };
        let groups = [group(1, request)];
        let bytes = frame(&current_key(), header(), &[], &groups);
        assert!(hear(&bytes).unwrap().groups().eq(groups));
    }
}
