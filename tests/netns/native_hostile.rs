//! What can a stranger do to a cluster? Record heartbeats, send them again, break and forge them, and change
//! nothing by it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::clock;
use floatlock::wire::native::{HEADER_LEN, Key, MAC_LEN};
use pnet_packet::Packet;
use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{self, Ipv4Flags, Ipv4Packet, MutableIpv4Packet};

use crate::agent::Agent;
use crate::config::{Config, Group};
use crate::dice::Dice;
use crate::site::{SOON, Site, answers, has};
use crate::wire::{Injector, Tap};

const VIP: &str = "10.77.0.100";
const FRAMES: usize = 20_000;
/// Of each node, and more than one says.
const RECORDED: usize = 5;
const ETHERNET_BYTES: usize = 14;
const IPV4_BYTES: usize = 20;
/// The last byte of the source, ...
const SENDER: usize = ETHERNET_BYTES + 15;
/// ... and that of an address which is no node's.
const STRANGER: u8 = 7;
/// What a network carries in one piece.
const MTU: usize = 1500;
/// Whatever comes in, an agent says no more of it.
const LINES: usize = 10;
/// The MASTER does not pause for longer, unless nobody asked. A busy machine passes frames on late, too.
const PAUSE: Duration = Duration::from_millis(300);
/// Where the length and the key's name are in a heartbeat.
const LENGTH: std::ops::Range<usize> = 4..6;
const KEY_ID: std::ops::Range<usize> = 6..10;

/// A heartbeat as it came in.
#[derive(Clone)]
struct Heartbeat {
    /// The headers of Ethernet and IPv4.
    headers: Vec<u8>,
    message: Vec<u8>,
}

impl Heartbeat {
    fn read(frame: &[u8]) -> Option<Self> {
        let packet = Ipv4Packet::new(frame.get(ETHERNET_BYTES..)?)?;
        let is_ours = packet.get_version() == 4
            && packet.get_next_level_protocol() == IpNextHeaderProtocol(112)
            && packet.get_header_length() == 5;
        let mut headers = frame[..ETHERNET_BYTES + IPV4_BYTES].to_vec();
        // With the sender's, the network would look for that one here.
        headers[6..12].copy_from_slice(&[0x02, 0xbd, 0, 0, 0, 7]);
        let message = packet.payload().to_vec();
        is_ours.then_some(Self { headers, message })
    }

    /// The last byte of its source.
    fn sender(&self) -> u8 {
        self.headers[SENDER]
    }

    /// Signs it, as whoever has this key.
    fn seal(&mut self, key: &Key) {
        let len = u16::try_from(self.message.len()).unwrap();
        self.message[LENGTH].copy_from_slice(&len.to_be_bytes());
        let (signed, mac) = self.message.split_at_mut(usize::from(len) - MAC_LEN);
        mac.copy_from_slice(&key.sign(signed));
    }

    /// The frames that carry it: one, or as many as its length needs.
    fn frames(&self, number: u16) -> Vec<Vec<u8>> {
        let room = (MTU - IPV4_BYTES) / 8 * 8;
        let count = self.message.len().div_ceil(room).max(1);
        let piece = |at: usize| {
            let rest = &self.message[at * room..];
            let piece = &rest[..rest.len().min(room)];
            let mut frame = [&self.headers, piece].concat();
            let mut packet = MutableIpv4Packet::new(&mut frame[ETHERNET_BYTES..]).unwrap();
            packet.set_total_length(u16::try_from(IPV4_BYTES + piece.len()).unwrap());
            packet.set_identification(number);
            let is_last = at + 1 == count;
            packet.set_flags(if is_last { 0 } else { Ipv4Flags::MoreFragments });
            packet.set_fragment_offset(u16::try_from(at * room / 8).unwrap());
            packet.set_checksum(0);
            packet.set_checksum(ipv4::checksum(&packet.to_immutable()));
            frame
        };
        (0..count).map(piece).collect()
    }
}

/// What a stranger makes of a recording.
fn hostile(recorded: &[Heartbeat], dice: &mut Dice) -> Heartbeat {
    let mut made = recorded[dice.below(recorded.len())].clone();
    if dice.coin() {
        // Or its own kernel would keep it from the one whose it was.
        made.headers[SENDER] = STRANGER;
    }
    let message = &mut made.message;
    let len = message.len();
    let stranger = Key::new(&[9; 32]).unwrap();
    match dice.below(7) {
        0 => {}
        1 => message.truncate(dice.below(len)),
        2 => message.extend((0..=dice.below(400)).map(|_| dice.byte())),
        // More than a frame of the network holds.
        3 => message.extend((0..2000 + dice.below(4000)).map(|_| dice.byte())),
        4 => made.seal(&stranger),
        5 => {
            message[KEY_ID].copy_from_slice(&dice.byte().to_be_bytes().repeat(4));
            made.seal(&stranger);
        }
        _ => {
            // As often at the front, where each byte means something else, as anywhere.
            let end = if dice.coin() { HEADER_LEN / 4 } else { len };
            let at = dice.below(end);
            message[at] = dice.other_than(message[at]);
        }
    }
    made
}

/// What the heartbeat has counted, all lines together.
fn counters(agent: &Agent) -> BTreeMap<String, u64> {
    let paths = agent.status().cluster.expect("a cluster").paths;
    let mut sums = BTreeMap::new();
    for path in paths {
        let replayed = ("replayed".to_owned(), path.replayed);
        for (name, count) in path.counters.into_iter().chain([replayed]) {
            *sums.entry(name).or_default() += count;
        }
    }
    sums
}

/// Some heartbeats of each of the two.
fn record(site: &Site) -> Vec<Heartbeat> {
    let tap = Tap::on(&site.client);
    let mut recorded: Vec<Heartbeat> = Vec::new();
    let of = |all: &[Heartbeat], sender| all.iter().filter(|one| one.sender() == sender).count();
    while [1, 2]
        .iter()
        .any(|&sender| of(&recorded, sender) < RECORDED)
    {
        recorded.extend(Heartbeat::read(&tap.next()));
    }
    recorded
}

fn demand_counted(agent: &Agent) {
    let mut counted = BTreeMap::new();
    let is_counted = || {
        counted = counters(agent);
        let unread = ["truncated", "overlong", "unknown_version"];
        let unproved = ["cluster_other", "key_id", "mac", "own_frame", "replayed"];
        let is_seen = |name: &&str| counted.get(*name) > Some(&20);
        unread.iter().chain(&unproved).all(is_seen)
            && counted.values().sum::<u64>() > FRAMES as u64 / 2
    };
    let came = clock::wait_until(SOON, is_counted);
    assert!(came, "{counted:?}{}", agent.log());
}

#[test]
fn recorded_broken_and_forged_heartbeats_change_no_role_and_are_counted() {
    let site = Site::keyed();
    let [a, b] = site.native_pair_of(|node, priority| {
        let group = Group::web(priority).key("preempt", "false");
        Config::native(node, &[group])
    });
    let watch = site.watch(&[VIP]);
    answers(&watch, "lb-a", VIP, Instant::default());
    let recorded = record(&site);
    let lines = |agent: &Agent| agent.process.lines().len();
    let before = [&a, &b].map(|agent| (agent.mark(), lines(agent)));
    let injector = Injector::on(&site.client);
    let mut dice = Dice::new(7);
    let began = clock::now();
    for number in 0..FRAMES {
        for frame in hostile(&recorded, &mut dice).frames(number as u16) {
            injector.send_frame(&frame);
        }
    }
    let ended = clock::now();
    answers(&watch, "lb-a", VIP, ended);
    for (agent, (mark, said)) in [&a, &b].into_iter().zip(before) {
        demand_counted(agent);
        agent.demand_no_change_since(mark);
        assert!(lines(agent) <= said + LINES, "{}", agent.log());
    }
    assert!(has(&a.host, VIP) && !has(&b.host, VIP));
    let seen = watch.observation();
    let silent = seen.longest_silence(VIP.parse().unwrap(), began, ended);
    assert!(
        silent <= PAUSE + seen.asked_late(began, ended),
        "{silent:?}"
    );
    // Nor do they stand for a MASTER that is no more.
    let (mark, said) = (b.mark(), lines(&b));
    let (done, until) = (AtomicBool::new(false), clock::now() + 2 * SOON);
    thread::scope(|scope| {
        scope.spawn(|| {
            // A test that has failed must end, too.
            while !done.load(Ordering::Relaxed) && clock::now() < until {
                for frame in hostile(&recorded, &mut dice).frames(0) {
                    injector.send_frame(&frame);
                }
            }
        });
        a.host.power_off().unwrap();
        let off = clock::now();
        b.becomes_after(mark, "web", "MASTER");
        answers(&watch, "lb-b", VIP, off);
        done.store(true, Ordering::Relaxed);
    });
    assert!(lines(&b) <= said + LINES, "{}", b.log());
}
