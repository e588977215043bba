//! Which packets does the kernel wake us for? Socket filters in classic BPF, as data.

use socket2::SockFilter;

use crate::config::Family;

/// One instruction of a classic BPF program; becomes a [`SockFilter`] with `into()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it does: the `BPF_` constants of `linux/filter.h`, added up.
    pub code: u16,
    /// A jump skips so many instructions if its condition is true,
    pub jump_true: u8,
    /// and so many if it is not.
    pub jump_false: u8,
    /// The operand.
    pub operand: u32,
}

impl From<Instruction> for SockFilter {
    fn from(i: Instruction) -> Self {
        SockFilter::new(i.code, i.jump_true, i.jump_false, i.operand)
    }
}

/// A set of virtual router ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct VridSet([u32; 8]);

impl VridSet {
    /// Whether `vrid` is in it.
    #[must_use]
    pub const fn contains(&self, vrid: u8) -> bool {
        self.0[vrid as usize / 32] >> (vrid % 32) & 1 == 1
    }
}

impl FromIterator<u8> for VridSet {
    fn from_iter<I: IntoIterator<Item = u8>>(vrids: I) -> Self {
        let mut words = [0; 8];
        for vrid in vrids {
            words[usize::from(vrid / 32)] |= 1 << (vrid % 32);
        }
        Self(words)
    }
}

/// The filter of a raw protocol-112 socket: VRRPv2 and VRRPv3 messages of `vrids`, nothing else.
///
/// It is as long for 250 ids as for one: 256 bits in eight words, of which one is picked by
/// comparing and shifted by the rest. A packet that ends before the VRID is dropped, since a load
/// beyond the end ends a filter with 0.
#[must_use]
pub fn vrrp(family: Family, vrids: &VridSet) -> Vec<Instruction> {
    heartbeats(family, vrids, false)
}

/// As [`vrrp`], and with `native` the frames of the native heartbeat too, which begin with `F1 00`.
#[must_use]
pub fn heartbeats(family: Family, vrids: &VridSet, native: bool) -> Vec<Instruction> {
    let mut program = match family {
        // An IPv4 raw socket sees the packet from the IP header on, whose length varies.
        Family::V4 => vec![op(LDX_HEADER_LEN, 0)],
        // An IPv6 raw socket sees it from the VRRP message on.
        Family::V6 => vec![op(LDX_IMM, 0)],
    };
    if native {
        program.extend([
            op(LD_BYTE_AT_X, VERSION_AT),
            jump(JEQ, 0xf1, 0, 3),
            op(LD_BYTE_AT_X, VRID_AT),
            // Another type or id is of an unknown version of VRRP, which falls below.
            jump(JEQ, 0, 0, 1),
            op(RETURN, PASS),
        ]);
    }
    program.extend([
        op(LD_BYTE_AT_X, VERSION_AT),
        op(AND, 0xe0),
        jump(JEQ, 0x20, 0, DROP_FROM_VERSION), // 0010 and 0011: versions 2 and 3
        op(LD_BYTE_AT_X, VRID_AT),
    ]);
    program.extend(pick_word(&vrids.0));
    program.extend([
        op(STX, WORD),
        op(AND, 31),
        op(TAX, 0),
        op(LD_MEM, WORD),
        op(RSH_X, 0),
        jump(JSET, 1, 0, 1),
        op(RETURN, PASS),
        op(RETURN, DROP),
    ]);
    program
}

/// The filter of a socket that only sends: without it, every packet of its protocol would be queued
/// on it, too, and never read.
#[must_use]
pub fn drop_everything() -> Vec<Instruction> {
    vec![op(RETURN, DROP)]
}

/// The filter of a packet socket of [`Family`]'s neighbour protocol, which sees frames from the
/// Ethernet header on: those in which somebody says that an address is his, or is about to be.
#[must_use]
pub fn claims(family: Family) -> Vec<Instruction> {
    match family {
        // ARP: every sender has an address, or is about to have one.
        Family::V4 => vec![op(RETURN, PASS)],
        // ICMPv6: neighbour advertisements, and solicitations from nobody's address.
        Family::V6 => vec![
            op(LD_BYTE, NEXT_HEADER_AT),
            jump(JEQ, 58, 0, 8),
            op(LD_BYTE, ICMPV6_TYPE_AT),
            jump(JEQ, 136, 5, 0),
            jump(JEQ, 135, 0, 5),
            op(LD_WORD, IPV6_SOURCE_AT),
            jump(JEQ, 0, 0, 3),
            op(LD_WORD, IPV6_SOURCE_AT + 12),
            jump(JEQ, 0, 0, 1),
            op(RETURN, PASS),
            op(RETURN, DROP),
        ],
    }
}

/// The filter of a raw ICMP or ICMPv6 socket: replies to echo requests with this identifier.
#[must_use]
pub fn echo_replies(family: Family, id: u16) -> Vec<Instruction> {
    let (header, kind) = match family {
        // An IPv4 raw socket sees the packet from the IP header on.
        Family::V4 => (op(LDX_HEADER_LEN, 0), 0),
        Family::V6 => (op(LDX_IMM, 0), 129),
    };
    vec![
        header,
        op(LD_BYTE_AT_X, 0),
        jump(JEQ, kind, 0, 3),
        op(LD_HALF_AT_X, 4),
        jump(JEQ, id as u32, 0, 1),
        op(RETURN, PASS),
        op(RETURN, DROP),
    ]
}

/// X = the word that bit A is in; A stays. Each load overwrites the one before it until A is below
/// the next word's first bit.
fn pick_word(words: &[u32; 8]) -> [Instruction; PICK_LEN] {
    std::array::from_fn(|at| {
        let word = at / 2;
        let left = PICK_LEN - 1 - at;
        match at % 2 {
            0 => op(LDX_IMM, words[word]),
            _ => jump(JGE, 32 * (word as u32 + 1), 0, left as u8),
        }
    })
}

const PICK_LEN: usize = 15;
/// Over the load of the VRID, the picking, and all but the last of the tail.
const DROP_FROM_VERSION: u8 = 1 + PICK_LEN as u8 + 7;

const IPV6_SOURCE_AT: u32 = 14 + 8;
const NEXT_HEADER_AT: u32 = 14 + 6;
const ICMPV6_TYPE_AT: u32 = 14 + 40;
const VERSION_AT: u32 = 0;
const VRID_AT: u32 = 1;
/// The scratch cell that a word goes through, from X to A.
const WORD: u32 = 0;
const PASS: u32 = u32::MAX;
const DROP: u32 = 0;

// linux/bpf_common.h and linux/filter.h: class, then mode or operation, then size or source.
const LD_WORD: u16 = 0x20; // BPF_LD (0) | BPF_ABS | BPF_W
const LD_BYTE: u16 = 0x20 | 0x10; // BPF_LD (0) | BPF_ABS | BPF_B
const LD_BYTE_AT_X: u16 = 0x40 | 0x10; // BPF_LD (0) | BPF_IND | BPF_B
const LD_HALF_AT_X: u16 = 0x40 | 0x08; // BPF_LD (0) | BPF_IND | BPF_H
const LD_MEM: u16 = 0x60; // BPF_LD (0) | BPF_MEM
const LDX_IMM: u16 = 0x01; // BPF_LDX | BPF_IMM
const LDX_HEADER_LEN: u16 = 0x01 | 0xa0 | 0x10; // BPF_LDX | BPF_MSH | BPF_B: X = 4 * ([k] & 15)
const STX: u16 = 0x03; // BPF_STX
const AND: u16 = 0x04 | 0x50; // BPF_ALU | BPF_AND | BPF_K
const RSH_X: u16 = 0x04 | 0x70 | 0x08; // BPF_ALU | BPF_RSH | BPF_X
const JEQ: u16 = 0x05 | 0x10; // BPF_JMP | BPF_JEQ | BPF_K
const JGE: u16 = 0x05 | 0x30; // BPF_JMP | BPF_JGE | BPF_K
const JSET: u16 = 0x05 | 0x40; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
const TAX: u16 = 0x07; // BPF_MISC | BPF_TAX

const fn op(code: u16, operand: u32) -> Instruction {
    jump(code, operand, 0, 0)
}

const fn jump(code: u16, operand: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction {
        code,
        jump_true,
        jump_false,
        operand,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{arp, ndp};

    /// Runs a program as the kernel does, for the instructions that are used here; whether it
    /// passes the packet.
    fn passes(program: &[Instruction], packet: &[u8]) -> bool {
        let (mut a, mut x, mut memory) = (0u32, 0u32, [0u32; 16]);
        let mut at = 0;
        loop {
            let i = program[at];
            at += 1;
            let byte = |offset: u32| packet.get(offset as usize).copied().map(u32::from);
            let mut branch = |taken: bool| {
                at += usize::from(if taken { i.jump_true } else { i.jump_false });
            };
            match i.code {
                LD_BYTE => match byte(i.operand) {
                    Some(byte) => a = byte,
                    None => return false,
                },
                LD_WORD => match (0..4)
                    .map(|n| byte(i.operand + n))
                    .collect::<Option<Vec<_>>>()
                {
                    Some(bytes) => a = bytes.iter().fold(0, |word, byte| word << 8 | byte),
                    None => return false,
                },
                LD_BYTE_AT_X => match byte(x + i.operand) {
                    Some(byte) => a = byte,
                    None => return false,
                },
                LDX_HEADER_LEN => match byte(i.operand) {
                    Some(byte) => x = 4 * (byte & 15),
                    None => return false,
                },
                LD_MEM => a = memory[i.operand as usize],
                LDX_IMM => x = i.operand,
                STX => memory[i.operand as usize] = x,
                TAX => x = a,
                AND => a &= i.operand,
                RSH_X => a >>= x,
                JEQ => branch(a == i.operand),
                JGE => branch(a >= i.operand),
                JSET => branch(a & i.operand != 0),
                RETURN => return i.operand != 0,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    fn packet(ip_header_len: usize, first: u8, vrid: u8) -> Vec<u8> {
        let mut packet = vec![0; ip_header_len];
        if let Some(byte) = packet.first_mut() {
            *byte = 0x40 | (ip_header_len / 4) as u8;
        }
        packet.extend([first, vrid]);
        packet
    }

    fn sets() -> Vec<VridSet> {
        let single = (0..=255).map(|id| VridSet::from_iter([id]));
        let some = [vec![], (1..=250).collect(), (0..=255).step_by(3).collect()];
        single.chain(some.map(VridSet::from_iter)).collect()
    }

    #[test]
    fn native_frames_pass_only_where_they_are_wanted() {
        let none = VridSet::default();
        let with = heartbeats(Family::V6, &none, true);
        assert!(passes(&with, &[0xf1, 0, 1]));
        assert!(!passes(&with, &[0xf1, 1, 1]));
        assert!(!passes(&with, &[0xf1]));
        assert!(!passes(&with, &[0x31, 7, 100]));
        let seven = VridSet::from_iter([7]);
        assert!(passes(
            &heartbeats(Family::V6, &seven, true),
            &[0x31, 7, 100]
        ));
        assert!(!passes(&vrrp(Family::V6, &seven), &[0xf1, 0, 1]));
    }

    #[test]
    fn exactly_the_ids_of_the_set_pass() {
        for set in sets() {
            let program = vrrp(Family::V6, &set);
            for vrid in 0..=255 {
                let passed = passes(&program, &packet(0, 0x31, vrid));
                assert_eq!(passed, set.contains(vrid), "{vrid} of {set:?}");
            }
        }
    }

    #[test]
    fn exactly_versions_2_and_3_pass() {
        let program = vrrp(Family::V6, &VridSet::from_iter([7]));
        for first in 0..=255 {
            let passed = passes(&program, &packet(0, first, 7));
            assert_eq!(passed, matches!(first >> 4, 2 | 3), "{first:#x}");
        }
    }

    #[test]
    fn an_ipv4_header_of_any_length_is_skipped() {
        let program = vrrp(Family::V4, &VridSet::from_iter([7]));
        for ip_header_len in (20..=60).step_by(4) {
            assert!(passes(&program, &packet(ip_header_len, 0x21, 7)));
            assert!(!passes(&program, &packet(ip_header_len, 0x21, 8)));
            assert!(!passes(&program, &packet(ip_header_len, 0x45, 7)));
        }
    }

    #[test]
    fn a_packet_that_ends_before_its_vrid_is_dropped() {
        let all = VridSet::from_iter(0..=255);
        for family in [Family::V4, Family::V6] {
            let whole = match family {
                Family::V4 => packet(20, 0x31, 0),
                Family::V6 => packet(0, 0x31, 0),
            };
            assert!(passes(&vrrp(family, &all), &whole));
            for len in 0..whole.len() {
                assert!(!passes(&vrrp(family, &all), &whole[..len]), "{len}");
            }
        }
    }

    #[test]
    fn the_filter_is_short_and_as_long_for_250_ids_as_for_one() {
        for family in [Family::V4, Family::V6] {
            for set in sets() {
                assert_eq!(vrrp(family, &set).len(), 28);
            }
        }
    }

    #[test]
    fn a_sending_socket_hears_nothing() {
        assert!(!passes(&drop_everything(), &packet(20, 0x31, 7)));
        assert!(!passes(&drop_everything(), &[]));
    }

    #[test]
    fn only_who_has_an_address_or_is_about_to_wakes_who_looks() {
        let (mac, v4, v6) = ([2; 6], [192, 0, 2, 1].into(), [0xfd; 16].into());
        let arp = claims(Family::V4);
        assert!(passes(&arp, &arp::gratuitous(mac, v4)));
        assert!(passes(&arp, &arp::probe(mac, v4)));
        let ndp = claims(Family::V6);
        assert!(passes(&ndp, &ndp::unsolicited(mac, v6, false)));
        assert!(passes(&ndp, &ndp::probe(mac, v6)));
        for byte in [22, 37] {
            let mut resolves = ndp::probe(mac, v6);
            resolves[byte] = 0xfe;
            assert!(!passes(&ndp, &resolves));
        }
        assert!(!passes(&ndp, &ndp::unsolicited(mac, v6, false)[..50]));
        let mut tcp = ndp::unsolicited(mac, v6, false);
        tcp[20] = 6;
        assert!(!passes(&ndp, &tcp));
    }
}
