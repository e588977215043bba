//! What does the kernel ask of every frame? Whether it is for or from a closed address.

use std::os::fd::{AsFd, AsRawFd};

use super::assemble::{FRAME, Helper, Label, Program, R0, R1, R2, R3, R4, R5, R6, R7, R8, Width};
use super::slots::{ARMED, DEADLINE, DROPPED};
use crate::net::rtnl::Direction;
use crate::sys::bpf::Map;

/// The next filter decides (TC_ACT_UNSPEC): ours has no objection.
const PASS: i32 = -1;
/// TC_ACT_SHOT
const DROP: i32 = 2;

// struct __sk_buff
const PROTOCOL: i16 = 16;
const IFINDEX: i16 = 40;

/// BPF_HDR_START_NET: offsets count from the network header, so that devices without Ethernet work
/// too.
const FROM_NETWORK_HEADER: i32 = 1;

/// The IP protocol (RFC 9568, section 5.1.1.4), and where an advert has its priority and the first of its
/// addresses (section 5.2, and RFC 3768, section 5.1).
const VRRP: u8 = 112;
const PRIORITY: i32 = 2;
const FIRST_ADDRESS: i32 = 8;

// On the frame: the key of an address, the number of its slot, and a few bytes of the packet.
const KEY: i16 = -24;
const KEY_MAPPED: i16 = KEY + 10;
const KEY_V4: i16 = KEY + 12;
const KEY_INTERFACE: i16 = KEY + 16;
const SLOT: i16 = -32;
const BYTES: i16 = -40;

/// The length of a key: an address (IPv4 as ::ffff:0:0/96), and the interface of a link-local one.
pub(super) const KEY_LEN: usize = 20;

/// The instructions for one direction. Closed means: out goes no IP packet from the address, no ARP
/// with it as sender, no neighbour advertisement for it; in comes no IP packet to it, and no ARP
/// request or neighbour solicitation for it. Probes (RFC 5227; RFC 4862, section 5.4: from nobody)
/// come in, since only an answer to them would be wrong, and that does not go out.
///
/// Once the time of an address is over, out goes no VRRP advert that claims it either: the agent stood
/// still, and somebody else may hold it by now. One that resigns (priority 0) does, and so do those of a
/// group whose time has not begun, which the agent has closed itself.
pub(super) fn program(direction: Direction, addresses: &Map, slots: &Map) -> Vec<u64> {
    let mut gate = Gate::new(addresses, slots);
    gate.start();
    match direction {
        Direction::Ingress => gate.ingress(),
        Direction::Egress => gate.egress(),
    }
    gate.end()
}

struct Gate {
    code: Program,
    addresses: i32,
    slots: i32,
    pass: Label,
    drop: Label,
    v4: Label,
    arp: Label,
    v6: Label,
}

/// When is an address shut?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shut {
    /// Whenever its time has not come, or is over.
    Closed,
    /// Only when its time is over.
    Over,
}

impl Gate {
    fn new(addresses: &Map, slots: &Map) -> Self {
        let mut code = Program::default();
        let (pass, drop) = (code.label(), code.label());
        let (v4, arp, v6) = (code.label(), code.label(), code.label());
        Self {
            code,
            addresses: addresses.as_fd().as_raw_fd(),
            slots: slots.as_fd().as_raw_fd(),
            pass,
            drop,
            v4,
            arp,
            v6,
        }
    }

    /// By the protocol; r6 keeps the packet.
    fn start(&mut self) {
        let code = &mut self.code;
        code.copy(R6, R1);
        code.load(Width::Word, R7, R6, PROTOCOL);
        code.store_value(Width::Double, FRAME, KEY, 0);
        code.store_value(Width::Double, FRAME, KEY + 8, 0);
        code.store_value(Width::Word, FRAME, KEY_INTERFACE, 0);
        let protocols = [
            (libc::ETH_P_IP, self.v4),
            (libc::ETH_P_ARP, self.arp),
            (libc::ETH_P_IPV6, self.v6),
        ];
        for (protocol, label) in protocols {
            // As it is in the frame: ETH_P_... fit 16 bits.
            let protocol = (protocol as u16).to_be();
            code.if_equal(R7, i32::from(protocol), label);
        }
        code.jump(self.pass);
    }

    fn ingress(&mut self) {
        self.code.place(self.v4);
        self.key_v4(16); // destination
        self.check(Shut::Closed);
        self.code.jump(self.pass);

        self.code.place(self.arp);
        self.demand_ethernet_arp();
        self.load(6, 2, BYTES); // operation
        self.pass_unless_half(BYTES, 1); // request
        self.load(14, 4, BYTES); // sender
        self.pass_if_zero(BYTES, 1);
        self.key_v4(24); // target
        self.check(Shut::Closed);
        self.code.jump(self.pass);

        self.code.place(self.v6);
        self.key_v6(24); // destination
        self.check(Shut::Closed);
        self.load(6, 1, BYTES); // next header
        self.pass_unless_byte(BYTES, 58); // ICMPv6
        self.load(40, 1, BYTES); // type
        self.pass_unless_byte(BYTES, 135); // neighbour solicitation
        self.load(8, 16, KEY); // source
        self.pass_if_zero(KEY, 4);
        self.key_v6(48); // target
        self.check(Shut::Closed);
        self.code.jump(self.pass);
    }

    fn egress(&mut self) {
        self.code.place(self.v4);
        self.key_v4(12); // source
        self.check(Shut::Closed);
        self.load(9, 1, BYTES); // protocol
        self.pass_unless_byte(BYTES, VRRP);
        self.load(0, 1, BYTES); // version, header length
        self.pass_unless_byte(BYTES, 0x45); // no options, as our own
        self.pass_if_resigning(20);
        self.key_v4(20 + FIRST_ADDRESS);
        self.check(Shut::Over);
        self.code.jump(self.pass);

        self.code.place(self.arp);
        self.demand_ethernet_arp();
        self.key_v4(14); // sender
        self.check(Shut::Closed);
        self.code.jump(self.pass);

        self.code.place(self.v6);
        self.key_v6(8); // source
        self.check(Shut::Closed);
        self.load(6, 1, BYTES); // next header
        let other = self.code.label();
        self.code.load(Width::Byte, R1, FRAME, BYTES);
        self.code.unless_equal(R1, i32::from(VRRP), other);
        self.pass_if_resigning(40);
        self.key_v6(40 + FIRST_ADDRESS);
        self.check(Shut::Over);
        self.code.jump(self.pass);
        self.code.place(other);
        self.pass_unless_byte(BYTES, 58); // ICMPv6
        self.load(40, 1, BYTES); // type
        self.pass_unless_byte(BYTES, 136); // neighbour advertisement
        self.key_v6(48); // target
        self.check(Shut::Closed);
        self.code.jump(self.pass);
    }

    fn end(mut self) -> Vec<u64> {
        self.code.place(self.pass);
        self.code.exit(PASS);
        self.code.place(self.drop);
        self.code.exit(DROP);
        self.code.finish()
    }

    /// ARP for IPv4 over six-byte addresses (RFC 826); what else there is names no address of ours.
    fn demand_ethernet_arp(&mut self) {
        self.load(4, 2, BYTES);
        self.pass_unless_half(BYTES, 0x0604);
    }

    /// Copies `length` bytes of the packet to the frame; a packet that is too short passes, since
    /// nobody can read an address in it.
    fn load(&mut self, from: i32, length: i32, to: i16) {
        let code = &mut self.code;
        code.copy(R1, R6);
        code.set(R2, from);
        code.copy(R3, FRAME);
        code.add(R3, i32::from(to));
        code.set(R4, length);
        code.set(R5, FROM_NETWORK_HEADER);
        code.call(Helper::LoadBytesRelative);
        code.unless_equal(R0, 0, self.pass);
    }

    fn pass_unless_half(&mut self, at: i16, value: u16) {
        self.code.load(Width::Half, R1, FRAME, at);
        let value = i32::from(value.to_be());
        self.code.unless_equal(R1, value, self.pass);
    }

    fn pass_unless_byte(&mut self, at: i16, value: u8) {
        self.code.load(Width::Byte, R1, FRAME, at);
        self.code.unless_equal(R1, i32::from(value), self.pass);
    }

    /// Passes an advert, which begins there, that gives its addresses up.
    fn pass_if_resigning(&mut self, advert: i32) {
        self.load(advert + PRIORITY, 1, BYTES);
        self.code.load(Width::Byte, R1, FRAME, BYTES);
        self.code.if_equal(R1, 0, self.pass);
    }

    /// Passes where so many words are zero.
    fn pass_if_zero(&mut self, at: i16, words: i16) {
        let other = self.code.label();
        for word in 0..words {
            self.code.load(Width::Word, R1, FRAME, at + 4 * word);
            self.code.unless_equal(R1, 0, other);
        }
        self.code.jump(self.pass);
        self.code.place(other);
    }

    fn key_v4(&mut self, from: i32) {
        self.load(from, 4, KEY_V4);
        self.code.store_value(Width::Half, FRAME, KEY_MAPPED, -1);
    }

    /// A link-local address (fe80::/10) is another one on every interface.
    fn key_v6(&mut self, from: i32) {
        self.load(from, 16, KEY);
        let global = self.code.label();
        let code = &mut self.code;
        code.store_value(Width::Word, FRAME, KEY_INTERFACE, 0);
        code.load(Width::Byte, R1, FRAME, KEY);
        code.unless_equal(R1, 0xfe, global);
        code.load(Width::Byte, R1, FRAME, KEY + 1);
        code.and(R1, 0xc0);
        code.unless_equal(R1, 0x80, global);
        code.load(Width::Word, R1, R6, IFINDEX);
        code.store(Width::Word, FRAME, KEY_INTERFACE, R1);
        code.place(global);
    }

    /// Drops if the address in the key is armed and shut.
    fn check(&mut self, shut: Shut) {
        let open = self.code.label();
        let code = &mut self.code;
        code.map(R1, self.addresses);
        code.copy(R2, FRAME);
        code.add(R2, i32::from(KEY));
        code.call(Helper::MapLookup);
        code.if_equal(R0, 0, open);
        code.load(Width::Word, R1, R0, 0);
        code.store(Width::Word, FRAME, SLOT, R1);
        code.map(R1, self.slots);
        code.copy(R2, FRAME);
        code.add(R2, i32::from(SLOT));
        code.call(Helper::MapLookup);
        code.if_equal(R0, 0, open);
        code.copy(R8, R0);
        code.load(Width::Double, R1, R8, word(ARMED));
        code.if_equal(R1, 0, open);
        code.call(Helper::BootNanos);
        code.load(Width::Double, R1, R8, word(DEADLINE));
        code.if_less(R0, R1, open);
        if shut == Shut::Over {
            code.if_equal(R1, 0, open);
        }
        code.set(R1, 1);
        code.add_shared(R8, word(DROPPED), R1);
        code.jump(self.drop);
        code.place(open);
    }
}

/// The offset of a word in a slot.
const fn word(place: usize) -> i16 {
    // There are four.
    (place * 8) as i16
}
