//! Can a frame be changed on its way? No byte of it.

use floatlock::wire::native::{Class, MAC_LEN};

use crate::dice::Dice;
use crate::scene::{counter, current_key, hear, other_key, seal, usual};

/// What must be said of a change, which nobody with the key made, at this place.
fn verdict(at: usize) -> &'static [&'static str] {
    match at {
        0 | 1 => &["magic"],
        2 => &["unknown_version"],
        4 | 5 => &["truncated", "overlong"],
        6..10 => &["key_id"],
        10..18 => &["cluster_other"],
        _ => &["mac"],
    }
}

#[test]
fn every_byte_is_protected() {
    let right = usual();
    let mut dice = Dice::new(1);
    for at in 0..right.len() {
        let bits = (0..8).map(|bit| right[at] ^ 1 << bit);
        let bytes = [0, 0xff, dice.other_than(right[at])];
        for byte in bits.chain(bytes).filter(|byte| *byte != right[at]) {
            let mut frame = right.clone();
            frame[at] = byte;
            let name = counter(&hear(&frame).unwrap_err());
            assert!(verdict(at).contains(&name), "byte {at}: {name}");
        }
    }
}

#[test]
fn a_hundred_thousand_mutants_never_count() {
    let right = usual();
    let mut dice = Dice::new(0x666c_6f61_746c_6f63);
    for round in 0..100_000 {
        let mut frame = right.clone();
        for _ in 0..1 + dice.below(8) {
            mutate(&mut frame, &mut dice);
        }
        if frame != right {
            assert!(hear(&frame).is_err(), "round {round}: {frame:02x?}");
        }
    }
}

fn mutate(frame: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(frame.len().max(1));
    match dice.below(6) {
        0 => frame.truncate(at),
        1 => {
            let more = dice.below(100);
            frame.extend(dice.bytes(more));
        }
        2 => frame.insert(at, dice.byte()),
        3 if !frame.is_empty() => drop(frame.remove(at)),
        4 if frame.len() > MAC_LEN + 6 => seal(frame, &other_key()),
        _ => {
            if let Some(byte) = frame.get_mut(at) {
                *byte = dice.byte();
            }
        }
    }
}

/// Whoever has the key may send nonsense; it must not hurt.
#[test]
fn a_hundred_thousand_sealed_mutants_are_judged() {
    let right = usual();
    let mut dice = Dice::new(7);
    let mut accepted = 0;
    for _ in 0..100_000 {
        let mut frame = right.clone();
        for _ in 0..1 + dice.below(4) {
            let at = 18 + dice.below(frame.len() - 18);
            frame[at] = dice.byte();
        }
        if dice.below(10) == 0 {
            frame.truncate(frame.len() - 1 - dice.below(100));
        }
        seal(&mut frame, &current_key());
        match hear(&frame) {
            Ok(frame) => {
                accepted += 1;
                assert_eq!(frame.groups().count(), frame.group_count());
            }
            Err(rejected) => assert_ne!(rejected.class(), Class::Unauthentic),
        }
    }
    assert!(accepted > 10_000, "most fields take any value: {accepted}");
}
