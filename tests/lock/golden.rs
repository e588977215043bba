//! Are these the bytes? Blocks field by field, worked out by hand from the layout; the checksums are
//! those of another implementation.

use floatlock::core::lease::Epoch;
use floatlock::wire::disk::{
    BLOCK_LEN, Block, CopyOf, Header, Host, Malformed, Member, Slot, State, Times, Trial, slot_at,
    trial_at,
};
use floatlock::wire::native::BootId;

use crate::scene::{AREA, header};

const MADE: u64 = 0x019c_1c78_a400;

/// Hex digits with a comment after each `#`, zeroes up to the checksum, and that.
fn block(text: &str, sum: &str) -> Block {
    let mut block = Block::ZERO;
    for (place, byte) in block.bytes_mut().iter_mut().zip(bytes(text)) {
        *place = byte;
    }
    block.bytes_mut()[BLOCK_LEN - 4..].copy_from_slice(&bytes(sum));
    block
}

fn bytes(text: &str) -> Vec<u8> {
    let code = text.lines().filter_map(|line| line.split('#').next());
    let digits: String = code.flat_map(str::split_whitespace).collect();
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect(text);
    (0..digits.len()).step_by(2).map(pair).collect()
}

fn hex(block: &Block) -> String {
    let bytes = block.bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_header_of_two_nodes() {
    let member = |number, name: &str| Member {
        number,
        name: name.to_owned(),
    };
    let header = Header {
        area: AREA,
        created_ms: MADE,
        times: Times {
            lease_ms: 5000,
            wait_ms: 5200,
            renew_ms: 1000,
        },
        cluster: "shop-front".to_owned(),
        members: vec![member(0, "lb-a"), member(2, "lb-b")],
        copy: CopyOf::ALONE,
    };
    let golden = block(
        r#"464c4f41544c4f434b20484541444552 # "FLOATLOCK HEADER"
        0100 # major version
        0000 # minor version
        00100000 # block length: 4096
        a0a1a2a3a4a5a6a7a8a9aaabacadaeaf # area
        00a4781c9c010000 # made at
        88130000 # lease: 5000 ms
        50140000 # wait: 5200 ms
        e8030000 # renewal: 1000 ms
        02 # two nodes
        0a 73686f702d66726f6e74 # "shop-front"
        00 04 6c622d61 # number 0: "lb-a"
        02 04 6c622d62 # number 2: "lb-b""#,
        "cbb00eb1",
    );
    assert_eq!(hex(&header.emit().unwrap()), hex(&golden));
    assert_eq!(Header::decode(&golden), Ok(header.clone()));
    // The last two of three disks differ in their numbers.
    let third = |number| Header {
        copy: CopyOf { disks: 3, number },
        ..header.clone()
    };
    let [second, last] = [1, 2].map(third);
    let bytes = last.emit().unwrap();
    let text = hex(&bytes);
    assert!(text.starts_with(
        "464c4f41544c4f434b20484541444552" /* "FLOATLOCK HEADER" */
    ));
    assert_eq!(&text[32..40], "01000100", "version 1.1");
    assert!(
        text.contains("02046c622d620302000000"),
        "three disks, number 2: {text}"
    );
    assert_eq!(Header::decode(&bytes), Ok(last.clone()));
    assert!(last.is_copy_of(&second) && !last.is_copy_of(&header));
}

#[test]
fn a_header_that_is_no_copy_of_an_odd_number_of_disks() {
    for (disks, number) in [(3, 3), (2, 0), (0, 1), (4, 1)] {
        let header = Header {
            copy: CopyOf { disks, number },
            ..header()
        };
        assert_eq!(header.emit().unwrap_err(), Malformed::Copy);
    }
}

#[test]
fn a_slot_of_a_node_that_holds() {
    let slot = Slot {
        node: 2,
        boot_id: BootId(std::array::from_fn(|at| 0xb0 + at as u8)),
        intent: Epoch::from_number(7 * 64 + 2),
        owned: Epoch::from_number(6 * 64 + 2),
        seq: 0x0102_0304_0506_0708,
        floor: Epoch::from_number(9 * 64 + 1),
        state: State::Held,
        boottime_ms: 1000,
        wall_ms: MADE,
        host: Host::new("lb-b"),
        groups: 0x1122_3344,
    };
    let golden = block(
        r#"464c4f41544c4f434b20534c4f540000 # "FLOATLOCK SLOT"
        a0a1a2a3a4a5a6a7a8a9aaabacadaeaf # area
        02 # node
        01 # HELD
        0000
        44332211 # groups
        b0b1b2b3b4b5b6b7b8b9babbbcbdbebf # boot_id
        c201000000000000 # intent: round 7 of node 2
        8201000000000000 # owned: round 6 of node 2
        0807060504030201 # seq
        4102000000000000 # floor
        e803000000000000 # boot clock
        00a4781c9c010000 # wall clock
        6c622d62"#,
        "8ffe2090",
    );
    assert_eq!(hex(&slot.emit(AREA).unwrap()), hex(&golden));
    assert_eq!(Slot::decode(&golden, AREA, 2), Ok(slot));
}

#[test]
fn a_test_block() {
    let trial = Trial {
        node: 2,
        run: std::array::from_fn(|at| 0xc0 + at as u8),
        counter: 0x0102_0304_0506_0708,
        wall_ms: MADE,
        host: Host::new("lb-b"),
    };
    let golden = block(
        r#"464c4f41544c4f434b20544553540000 # "FLOATLOCK TEST"
        a0a1a2a3a4a5a6a7a8a9aaabacadaeaf # area
        02 # node
        000000
        c0c1c2c3c4c5c6c7c8c9cacbcccdcecf # run
        0807060504030201 # counter
        00a4781c9c010000 # wall clock
        6c622d62"#,
        "2f05e5ed",
    );
    assert_eq!(hex(&trial.emit(AREA).unwrap()), hex(&golden));
    assert_eq!(Trial::decode(&golden, AREA, 2), Ok(trial));
}

#[test]
fn every_node_has_two_blocks_of_its_own() {
    assert_eq!((slot_at(0), trial_at(0)), (8, 9));
    assert_eq!((slot_at(1), trial_at(1)), (10, 11));
    assert_eq!((slot_at(63), trial_at(63)), (134, 135));
}
