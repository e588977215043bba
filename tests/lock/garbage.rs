//! Can a damaged area make anything panic, or a held slot look free? Ten thousand damaged ones.

use std::io;
use std::time::Duration;

use floatlock::disk::{Area, Blocks, Why, watch};
use floatlock::wire::disk::{BLOCK_LEN, Block, COPY_AT, HEADER_AT, State, slot_at};

use crate::dice::Dice;
use crate::scene::{AREA, header};
use crate::stage::{TempFile, area, held, lock};

/// What a disk holds; a block that is missing cannot be read.
#[derive(Clone)]
struct Memory(Vec<Option<Block>>);

impl Blocks for Memory {
    fn read(&self, at: u64) -> io::Result<Block> {
        let block = self.0.get(at as usize).cloned().flatten();
        block.ok_or_else(|| io::Error::other("a bad block"))
    }
}

impl Memory {
    /// `lb-a` holds, `lb-b` does not.
    fn good() -> Self {
        let mut memory = Memory(vec![Some(Block::ZERO); 16]);
        let header = header().emit().unwrap();
        memory.put(HEADER_AT, header.clone());
        memory.put(COPY_AT, header);
        memory.put(slot_at(0), held(0, 9).emit(AREA).unwrap());
        memory.put(
            slot_at(1),
            floatlock::wire::disk::Slot::clean(1).emit(AREA).unwrap(),
        );
        memory
    }

    fn put(&mut self, at: u64, block: Block) {
        self.0[at as usize] = Some(block);
    }

    /// Damages up to three blocks, some beyond reading; now and then with a good checksum.
    fn damage(&mut self, dice: &mut Dice, sealed: bool) {
        for _ in 0..1 + dice.below(3) {
            let at = dice.pick(&[HEADER_AT, COPY_AT, slot_at(0), slot_at(1)]);
            let Some(block) = &mut self.0[at as usize] else {
                continue;
            };
            if dice.below(20) == 0 {
                self.0[at as usize] = None;
                continue;
            }
            for _ in 0..1 + dice.below(8) {
                // Most of a block means nothing.
                let end = dice.pick(&[160, BLOCK_LEN]);
                let place = &mut block.bytes_mut()[dice.below(end)];
                *place = dice.other_than(*place);
            }
            if sealed {
                block.seal();
            }
        }
    }
}

#[test]
fn a_damaged_slot_is_never_free_and_a_damaged_header_never_counts() {
    let good = Memory::good();
    for seed in 0..10_000 {
        let mut damaged = good.clone();
        damaged.damage(&mut Dice::new(seed), false);
        let area = match Area::read(&damaged) {
            Ok(area) => area,
            Err(Why::NoHeader { .. } | Why::Io { .. }) => continue,
            Err(why) => panic!("seed {seed}: {why}"),
        };
        assert_eq!(area.header, header(), "seed {seed}");
        for seen in watch(&damaged, &area, &area.header.members, Duration::ZERO) {
            let at = slot_at(seen.member.number) as usize;
            let is_good = damaged.0[at] == good.0[at];
            let may_be_free = is_good && seen.member.number == 1;
            assert_eq!(seen.last.is_held(), !may_be_free, "seed {seed}");
            assert_eq!(seen.last.slot().is_some(), is_good, "seed {seed}");
        }
    }
}

#[test]
fn what_is_wrong_and_has_a_good_checksum_is_believed_or_refused_but_never_panics() {
    let (mut areas, mut free) = (0, 0);
    for seed in 0..10_000 {
        let mut damaged = Memory::good();
        damaged.damage(&mut Dice::new(seed), true);
        let Ok(area) = Area::read(&damaged) else {
            continue;
        };
        areas += 1;
        for seen in watch(&damaged, &area, &area.header.members, Duration::ZERO) {
            if !seen.last.is_held() {
                let state = seen.last.slot().map(|slot| slot.state);
                assert!(matches!(state, Some(State::Free | State::Clean)), "{seed}");
                free += 1;
            }
        }
    }
    assert!(areas > 1000 && free > 1000, "{areas} areas, {free} free");
}

/// The same through the program, with the bytes of a real area.
#[test]
fn show_survives_damaged_areas() {
    let good = area("5s").bytes();
    for seed in 0..30 {
        let mut dice = Dice::new(seed);
        let mut bytes = good.clone();
        for _ in 0..1 + dice.below(4) {
            let from = dice.below(12) * BLOCK_LEN;
            let at = from + dice.below(160);
            bytes[at] = dice.other_than(bytes[at]);
        }
        let file = TempFile::new(0);
        file.write(0, &bytes);
        for more in [&[][..], &["--json"]] {
            let ran = lock(&[&["show", file.name(), "--watch-for", "0s"], more].concat());
            assert!(matches!(ran.code, Some(0 | 1)), "seed {seed}: {ran:?}");
            assert!(!ran.err.contains("panicked"), "seed {seed}: {ran:?}");
        }
    }
}
