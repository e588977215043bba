//! How are BPF instructions written without a compiler? (Linux: Documentation/bpf/standardization.)

use std::collections::HashMap;

/// A register: r0 takes results, r1 to r5 arguments (a call destroys them), r6 to r9 last, r10 is
/// the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reg(pub(super) u8);

pub(super) const R0: Reg = Reg(0);
pub(super) const R1: Reg = Reg(1);
pub(super) const R2: Reg = Reg(2);
pub(super) const R3: Reg = Reg(3);
pub(super) const R4: Reg = Reg(4);
pub(super) const R5: Reg = Reg(5);
pub(super) const R6: Reg = Reg(6);
pub(super) const R7: Reg = Reg(7);
pub(super) const R8: Reg = Reg(8);
pub(super) const FRAME: Reg = Reg(10);

/// How much a load or store moves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Width {
    Byte,
    Half,
    Word,
    Double,
}

/// A place to jump to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Label(u32);

/// The helpers of the kernel that the gate calls (linux/bpf.h, `BPF_FUNC_...`).
#[derive(Clone, Copy, Debug)]
pub(super) enum Helper {
    MapLookup = 1,
    LoadBytesRelative = 68,
    BootNanos = 125,
}

/// A program on its way.
#[derive(Debug, Default)]
pub(super) struct Program {
    code: Vec<u64>,
    jumps: Vec<(usize, Label)>,
    places: HashMap<Label, usize>,
    labels: u32,
}

impl Program {
    pub(super) fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels)
    }

    /// The label is here.
    pub(super) fn place(&mut self, label: Label) {
        self.places.insert(label, self.code.len());
    }

    pub(super) fn set(&mut self, to: Reg, value: i32) {
        self.emit(0xb7, to, Reg(0), 0, value);
    }

    pub(super) fn copy(&mut self, to: Reg, from: Reg) {
        self.emit(0xbf, to, from, 0, 0);
    }

    pub(super) fn add(&mut self, to: Reg, value: i32) {
        self.emit(0x07, to, Reg(0), 0, value);
    }

    pub(super) fn and(&mut self, to: Reg, value: i32) {
        self.emit(0x57, to, Reg(0), 0, value);
    }

    /// to = *(from + offset)
    pub(super) fn load(&mut self, width: Width, to: Reg, from: Reg, offset: i16) {
        self.emit(0x61 | width.bits(), to, from, offset, 0);
    }

    /// *(to + offset) = from
    pub(super) fn store(&mut self, width: Width, to: Reg, offset: i16, from: Reg) {
        self.emit(0x63 | width.bits(), to, from, offset, 0);
    }

    /// *(to + offset) = value
    pub(super) fn store_value(&mut self, width: Width, to: Reg, offset: i16, value: i32) {
        self.emit(0x62 | width.bits(), to, Reg(0), offset, value);
    }

    /// *(to + offset) += from, atomically, eight bytes.
    pub(super) fn add_shared(&mut self, to: Reg, offset: i16, from: Reg) {
        self.emit(0xdb, to, from, offset, 0);
    }

    /// to = the map behind this descriptor
    pub(super) fn map(&mut self, to: Reg, fd: i32) {
        const PSEUDO_MAP_FD: Reg = Reg(1);
        self.emit(0x18, to, PSEUDO_MAP_FD, 0, fd);
        self.code.push(0);
    }

    pub(super) fn call(&mut self, helper: Helper) {
        self.emit(0x85, Reg(0), Reg(0), 0, helper as i32);
    }

    pub(super) fn jump(&mut self, to: Label) {
        self.jump_to(0x05, Reg(0), Reg(0), 0, to);
    }

    pub(super) fn if_equal(&mut self, left: Reg, right: i32, to: Label) {
        self.jump_to(0x15, left, Reg(0), right, to);
    }

    pub(super) fn unless_equal(&mut self, left: Reg, right: i32, to: Label) {
        self.jump_to(0x55, left, Reg(0), right, to);
    }

    /// Unsigned.
    pub(super) fn if_less(&mut self, left: Reg, right: Reg, to: Label) {
        self.jump_to(0xad, left, right, 0, to);
    }

    pub(super) fn exit(&mut self, result: i32) {
        self.set(R0, result);
        self.emit(0x95, Reg(0), Reg(0), 0, 0);
    }

    /// The instructions. A label that was placed nowhere, or too far away, jumps to itself: the
    /// verifier refuses that.
    pub(super) fn finish(mut self) -> Vec<u64> {
        for (at, label) in self.jumps {
            let place = self.places.get(&label).copied();
            let distance = place.and_then(|place| i16::try_from(place.checked_sub(at + 1)?).ok());
            let mut bytes = self.code[at].to_ne_bytes();
            bytes[2..4].copy_from_slice(&distance.unwrap_or(-1).to_ne_bytes());
            self.code[at] = u64::from_ne_bytes(bytes);
        }
        self.code
    }

    fn jump_to(&mut self, code: u8, left: Reg, right: Reg, value: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.emit(code, left, right, 0, value);
    }

    fn emit(&mut self, code: u8, to: Reg, from: Reg, offset: i16, value: i32) {
        let registers = if cfg!(target_endian = "little") {
            from.0 << 4 | to.0
        } else {
            to.0 << 4 | from.0
        };
        let mut bytes = [code, registers, 0, 0, 0, 0, 0, 0];
        bytes[2..4].copy_from_slice(&offset.to_ne_bytes());
        bytes[4..8].copy_from_slice(&value.to_ne_bytes());
        self.code.push(u64::from_ne_bytes(bytes));
    }
}

impl Width {
    const fn bits(self) -> u8 {
        match self {
            Width::Word => 0x00,
            Width::Half => 0x08,
            Width::Byte => 0x10,
            Width::Double => 0x18,
        }
    }
}
