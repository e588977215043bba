//! The native heartbeat: one voice for all groups of this node, and one pair of ears.
//!
//! Groups say things during a turn of the heartbeat thread; at its end all of it leaves in as few
//! frames as possible, the same on every path. What comes in is judged once for all groups: whose it
//! is, whether it is of now, and whether its sender was told the same as this node.

mod answer;
mod hear;
mod senders;
mod write;

pub(crate) use hear::MAGIC;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::core::lease::{BootId, NodeId, next_beat};
use crate::core::mesh::Mesh;
use crate::core::{Instant, Say};
use crate::net::heartbeat::Sender;
use crate::wire::ipv4;
use crate::wire::native::{
    self, ClusterId, Configuration, Counters, FRAME_LEN_MAX, Group, GroupId, Heard, Keyring,
    Learned, Reference, Remembered, Templates,
};

use super::board::{LineFacts, PeerRow, Rows, Traffic, WireRow};
use super::slot::Slot;
use answer::Answer;
use senders::Senders;

/// Who this node is to the others, and what it was told.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) cluster: ClusterId,
    pub(crate) me: NodeId,
    pub(crate) boot: BootId,
    /// By id.
    pub(crate) nodes: Vec<native::NodeId>,
    pub(crate) names: &'static [&'static str],
    pub(crate) configuration: Configuration,
    pub(crate) keys: Keyring,
    pub(crate) interval: Duration,
    /// L: what was sent longer ago proves nothing.
    pub(crate) lease: Duration,
}

/// One line to the other nodes; its place in the list is its number on the wire.
pub(crate) struct Wire {
    pub(crate) facts: Arc<LineFacts>,
    /// The place of its send socket; none while it cannot send.
    pub(crate) sender: Option<usize>,
    pub(crate) destinations: Vec<IpAddr>,
    pub(crate) mtu: usize,
}

/// What a plan says about the native heartbeat.
pub(crate) struct PlannedHerald {
    pub(crate) identity: Identity,
    pub(crate) wires: Vec<Wire>,
}

/// What went through a wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed {
    pub(crate) traffic: Traffic,
    pub(crate) counters: Counters,
    /// Authentic, and counted before or long after later ones.
    pub(crate) replayed: u64,
    /// Authentic, but not known to be of now.
    pub(crate) unproved: u64,
}

pub(crate) struct Herald {
    identity: Identity,
    peers: Vec<native::NodeId>,
    wires: Vec<Wire>,
    passed: Vec<Passed>,
    mesh: Mesh,
    /// The groups by their ids, and where they are among the slots.
    order: Vec<(GroupId, usize)>,
    beat_at: Instant,
    /// When every group was spoken of last ...
    told_all_at: Instant,
    /// ... and when a frame left last.
    spoke_at: Instant,
    /// Somebody does not know yet that we hear it.
    answer: Answer,
    /// What was said of many groups, so that it need not be written out again ...
    templates: Templates,
    /// ... for those who remember it, by node ...
    remembered: Vec<Remembered>,
    /// ... and what each of them wrote out.
    learned: Vec<Option<(BootId, Learned)>>,
    /// Where authentic frames came from.
    known: Senders,
    /// When it was said that somebody else says that it is one of us.
    doubted_at: Option<Instant>,
    /// What differs that may differ: said once for each peer.
    odd: Vec<u64>,
    // Reused, so that a turn allocates nothing.
    entries: Vec<Group>,
    heard: Vec<Heard>,
    frame: Box<[u8; FRAME_LEN_MAX]>,
    packet: Vec<u8>,
    id: u16,
}

impl Herald {
    pub(crate) fn new(planned: PlannedHerald, now: Instant) -> Self {
        let PlannedHerald { identity, wires } = planned;
        let mesh = Mesh::new(
            identity.boot,
            identity.nodes.len(),
            wires.len(),
            identity.lease,
        );
        let known = Senders::new(identity.nodes.len());
        let mut herald = Self {
            peers: peers(&identity),
            passed: vec![Passed::default(); wires.len()],
            identity,
            wires,
            mesh,
            order: Vec::new(),
            beat_at: now,
            told_all_at: Instant::default(),
            spoke_at: Instant::default(),
            answer: Answer::default(),
            templates: Templates::default(),
            remembered: Vec::new(),
            learned: Vec::new(),
            known,
            doubted_at: None,
            odd: Vec::new(),
            entries: Vec::new(),
            heard: Vec::new(),
            frame: Box::new([0; FRAME_LEN_MAX]),
            packet: Vec::with_capacity(FRAME_LEN_MAX),
            id: 0,
        };
        let voters = herald.identity.nodes.len();
        herald.odd.resize(voters, 0);
        herald.remembered.resize(voters, Remembered::default());
        herald.learned.resize_with(voters, || None);
        herald
    }

    /// Goes on with other lines, keys and words; who this node is does not change while it runs.
    pub(crate) fn rewire(&mut self, planned: PlannedHerald) {
        let old = std::mem::replace(&mut self.wires, planned.wires);
        let mut passed = std::mem::take(&mut self.passed);
        let is_same = |wires: &[Wire]| {
            let facts = |wire: &Wire| Arc::clone(&wire.facts);
            old.iter().map(facts).eq(wires.iter().map(facts))
        };
        if !is_same(&self.wires) {
            passed = vec![Passed::default(); self.wires.len()];
            self.mesh.rewire(self.wires.len());
        }
        self.passed = passed;
        let boot = self.identity.boot;
        self.identity = Identity {
            boot,
            ..planned.identity
        };
    }

    /// The slots have changed their places.
    pub(crate) fn find_groups(&mut self, slots: &[Slot]) {
        let ids = slots.iter().enumerate();
        self.order = ids
            .filter_map(|(place, slot)| Some((slot.spoken()?.id, place)))
            .collect();
        self.order.sort_unstable();
        // A group that ends and one that begins under its name: the one that goes on speaks.
        self.order.dedup_by_key(|(id, _)| *id);
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.beat_at
    }

    /// Moves the senders of the wires to their new places.
    pub(crate) fn senders_mut(&mut self) -> impl Iterator<Item = &mut usize> {
        self.wires
            .iter_mut()
            .filter_map(|wire| wire.sender.as_mut())
    }

    /// Whether another node or witness is heard.
    pub(crate) fn hears_anybody(&self, now: Instant) -> bool {
        let voters = 0..self.identity.nodes.len() as NodeId;
        let mut others = voters.filter(|node| *node != self.identity.me);
        others.any(|node| self.mesh.hears(node, now))
    }

    /// Whether one of the wires' senders has sent something.
    pub(crate) fn has_sent(&self, has_sent: &[bool]) -> bool {
        let sent = |place: usize| has_sent.get(place) == Some(&true);
        self.wires.iter().filter_map(|wire| wire.sender).any(sent)
    }

    /// Queues what the groups have said in this turn, and the heartbeat when its time has come.
    pub(crate) fn speak(
        &mut self,
        now: Instant,
        slots: &[Slot],
        (says, news): (&mut Vec<(GroupId, Say)>, bool),
        senders: &mut [Sender],
    ) {
        let interval = self.identity.interval;
        let beats = self.beat_at <= now;
        if beats {
            self.beat_at = next_beat(now, interval);
        }
        let silent = now.since(self.told_all_at) >= interval;
        let asked = self.answer.is_due(now.since(self.spoke_at), interval);
        let mut all =
            (beats && (silent || says.iter().any(|(_, say)| is_request(say)))) || asked || news;
        // A group makes one statement in a frame.
        says.sort_by_key(|(id, _)| *id);
        let mut rounds = 0;
        while all || !says.is_empty() {
            self.collect(slots, says, all);
            self.send(now, self.answer.is_owed(), senders);
            if self.entries.len() == self.order.len() {
                self.told_all_at = now;
                self.answer.is_given();
            }
            self.spoke_at = now;
            all = false;
            rounds += 1;
            if rounds > ROUNDS {
                says.clear();
            }
        }
    }

    /// Sends the entries over every wire: `in_full`, or by the number of their template if everybody who
    /// is heard remembers it.
    fn send(&mut self, now: Instant, in_full: bool, senders: &mut [Sender]) {
        self.heard.clear();
        let nodes = &self.identity.nodes;
        let learned = &self.learned;
        let heard = self.mesh.heard(now).filter_map(|heard| {
            let place = usize::from(heard.node);
            let of_run = learned.get(place)?.as_ref();
            let of_run = of_run.filter(|(boot, _)| *boot == heard.boot);
            Some(Heard {
                node: *nodes.get(place)?,
                boot_id: native::BootId(heard.boot.0.to_be_bytes()),
                sequence: heard.sequence,
                path: heard.path,
                by: heard.by,
                remembered: of_run.map_or(Remembered::default(), |(_, said)| said.remembered()),
            })
        });
        self.heard.extend(heard);
        let template = self.templates.refer(&self.entries);
        let is_known = |template: Reference| {
            let mut all = self.remembered.iter().enumerate();
            all.all(|(node, remembered)| {
                let hears = self.mesh.hears(node as NodeId, now);
                !hears || native::remembers(remembered, template.number)
            })
        };
        let entries = match template.is_some_and(is_known) && !in_full {
            true => &[],
            false => &self.entries[..],
        };
        for at in 0..self.wires.len() {
            let wire = &self.wires[at];
            let family = wire.facts.family;
            let Some(sender) = wire.sender.and_then(|place| senders.get_mut(place)) else {
                continue;
            };
            let frames = native::frames(&self.heard, entries, family, wire.mtu);
            for (heard, groups, first) in frames {
                let header = native::Header {
                    path: at as u8,
                    node: self.identity.nodes[usize::from(self.identity.me)],
                    boot_id: native::BootId(self.identity.boot.0.to_be_bytes()),
                    sequence: self.mesh.next_sequence(now),
                    boot_time: now,
                    configuration: self.identity.configuration,
                };
                let heartbeat = native::Heartbeat {
                    cluster: self.identity.cluster,
                    header,
                    heard,
                    groups,
                    template: template.map(|template| template.from(first)),
                };
                let emitted = heartbeat.emit(self.identity.keys.current(), &mut self.frame[..]);
                debug_assert!(emitted.is_ok(), "{emitted:?}");
                let Ok(bytes) = emitted else { continue };
                for to in &wire.destinations {
                    self.passed[at].traffic.sent += 1;
                    self.packet.clear();
                    if let (IpAddr::V4(source), IpAddr::V4(to)) = (wire.facts.source, *to) {
                        self.id = self.id.checked_add(1).unwrap_or(1);
                        let id = std::num::NonZeroU16::new(self.id);
                        let id = id.unwrap_or(std::num::NonZeroU16::MIN);
                        let header = ipv4::advert_header(source, to, id, bytes.len());
                        self.packet.extend_from_slice(&header);
                    }
                    self.packet.extend_from_slice(bytes);
                    // Its grants are right whenever they come: each answers a request.
                    sender.queue(&self.packet, *to, Instant::NEVER);
                }
            }
        }
    }

    /// What observers may know of the other nodes, and of the lines to them.
    pub(crate) fn rows(&self, rows: &mut Rows, now: Instant) {
        rows.peers_at = now;
        rows.peers.clear();
        for line in self.mesh.lines() {
            let Some(wire) = self.wires.get(usize::from(line.path)) else {
                continue;
            };
            if line.node == self.identity.me {
                continue;
            }
            rows.peers.push(PeerRow {
                node: self.identity.names[usize::from(line.node)],
                facts: Arc::clone(&wire.facts),
                heard: line.came_at,
                echoed: line.echoed_at,
                heard_lately: self.mesh.hears(line.node, now),
                lease: self.identity.lease,
            });
        }
        rows.wires.clear();
        let wires = self.wires.iter().zip(&self.passed);
        rows.wires.extend(wires.map(|(wire, passed)| WireRow {
            facts: Arc::clone(&wire.facts),
            passed: passed.clone(),
        }));
    }
}

/// Statements that one group makes in one turn at most: more would be a mistake of ours.
const ROUNDS: u32 = 16;

fn is_request(say: &Say) -> bool {
    matches!(say, Say::Request(_))
}

fn peers(identity: &Identity) -> Vec<native::NodeId> {
    let all = identity.nodes.iter().enumerate();
    all.filter(|(at, _)| *at != usize::from(identity.me))
        .map(|(_, node)| *node)
        .collect()
}

impl Wire {
    pub(crate) fn is_multicast(&self) -> bool {
        self.facts.peers.is_empty()
    }
}
