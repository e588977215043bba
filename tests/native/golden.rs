//! Are these the bytes? Frames field by field, worked out by hand from the layout; their MACs are
//! those that Python's `hmac` makes of the rest.

use std::time::Duration;

use floatlock::core::Instant;
use floatlock::wire::native::{Group, Header, Heard, Key, KeyAge, LEASE_MAX, Role, Statement};

use crate::scene::{
    OUR_BOOT, PEER_BOOT, THIRD, US, current_key, frame, group, header, hear, heard, nonce, old_key,
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
    text: &'static str,
}

impl Golden {
    fn check(&self) {
        let bytes = bytes(self.text);
        let (key, age) = &self.key;
        let written = frame(key, self.header, &self.heard, &self.groups);
        assert_eq!(hex(&written), hex(&bytes));
        let frame = hear(&bytes).unwrap();
        assert_eq!(frame.key, *age);
        assert_eq!(frame.header, self.header);
        assert!(frame.heard().eq(self.heard.iter().copied()));
        assert!(frame.groups().eq(self.groups.iter().copied()));
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
        text: "f1 00 # magic
            01 # format version
            00 # path
            007e # 126 bytes
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
            3822ad80628f7996441a295383042635eb15634e900ddc9c093d2c62bcf1ab51 # MAC",
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
        text: "f1 00 # magic
            01 # format version
            01 # path
            00de # 222 bytes
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
            aaaaaaaaaaaaaaaa # heard: the node
            a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0 # its boot_id
            0000000000000077 # its sequence
            02 # its path
            03 # came in by
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
            117307514312ac7cfc0601faa7c718ea865130bda30d5d34872ec240bbb4826d # MAC",
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
        text: "f1 00 # magic
            01 # format version
            01 # path
            00fa # 250 bytes
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
            3924a733b5b086f666483f2de993952333d70533edbffb07fd6cf56a6eb79adf # MAC",
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
        ..heard()
    };
    Golden {
        key: current(),
        header: header(),
        heard: vec![heard(), third],
        groups: vec![resigning],
        text: "f1 00 # magic
            01 # format version
            01 # path
            0100 # 256 bytes
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
            aaaaaaaaaaaaaaaa # heard: the node
            a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0 # its boot_id
            0000000000000077 # its sequence
            02 # its path
            03 # came in by
            cccccccccccccccc # heard: the node
            a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0 # its boot_id
            0000000000000077 # its sequence
            00 # its path
            00 # came in by
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
            d49f1ab27480080e9529ddabbee5b12444c9aefddf54ee36a670e358bdbc32f0 # MAC",
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
