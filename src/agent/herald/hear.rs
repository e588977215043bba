//! What does a frame mean for the groups?

use std::net::IpAddr;
use std::time::Duration;

use super::Herald;
use super::write::FIT;
use crate::agent::board::LastHeard;
use crate::agent::message::{Entry, Level};
use crate::agent::slot::{Out, Slot};
use crate::core::lease::{self, BootId, Epoch, NodeId, Request, Resign};
use crate::core::mesh::{Echo, Head, Verdict};
use crate::core::{ConflictField, Event, Fitness, Instant, PeerState, RoleName};
use crate::wire::native::{
    self, Class, ClusterId, Configuration, Expect, Frame, Group, Header, Learned, Received,
    Rejected, Role, Statement, Why, decode, decode_of,
};
use crate::wire::vrrp;

/// What a stranger can have us say is said this often at most.
const DOUBT_EVERY: Duration = Duration::from_secs(60);

/// How a frame begins that is for here.
pub(crate) const MAGIC: u8 = native::MAGIC[0];

/// Whose frame it is.
#[derive(Clone, Copy)]
struct Speaker {
    node: NodeId,
    from: IpAddr,
    /// The frame may be of a while ago.
    is_late: bool,
}

impl Herald {
    /// Hears a frame that came by the wire `by` at `at`.
    pub(crate) fn hear(
        &mut self,
        by: u8,
        received: &vrrp::Received<'_>,
        (at, now): (Instant, Instant),
        slots: &mut [Slot],
        out: &mut Out,
    ) {
        let place = usize::from(by);
        let Some(on_link) = self.wires.get(place).map(super::Wire::is_multicast) else {
            return;
        };
        let from = received.source;
        let native = Received {
            payload: received.payload,
            ttl: received.ttl,
            on_link,
        };
        let frame = match decode(&native, &self.expect()) {
            Ok(frame) => frame,
            Err(rejected) => {
                if let Rejected::Cluster { theirs } = rejected {
                    self.hear_others(theirs, &native, from, (at, now), slots, out);
                }
                return self.reject(place, rejected, from, (at, now), slots, out);
            }
        };
        let Some(node) = self.number(frame.header.node) else {
            return;
        };
        let header = frame.header;
        let head = head(&header, node, by);
        let us = self.identity.nodes[usize::from(self.identity.me)];
        let about_us = frame.heard().filter(move |heard| heard.node == us);
        let verdict = self.mesh.hear(
            at,
            head,
            about_us.clone().map(|heard| Echo {
                boot: boot(heard.boot_id),
                sequence: heard.sequence,
                path: heard.path,
            }),
        );
        let passed = &mut self.passed[place];
        let is_late = verdict == Verdict::Late;
        let speaker = Speaker {
            node,
            from,
            is_late,
        };
        let jump = match verdict {
            Verdict::Replayed => return passed.replayed += 1,
            Verdict::Late | Verdict::Unproved => {
                passed.unproved += 1;
                // It does not know yet that we hear it.
                self.answer.owe();
                self.suspect(&header, from, (at, now), slots, out);
                if is_late {
                    self.take(place, speaker, &frame, (at, now), slots, out);
                }
                return;
            }
            Verdict::Fresh(jump) => jump,
        };
        passed.counters.count_accepted(frame.key);
        passed.traffic.received += 1;
        let priority = 0;
        passed.traffic.last = Some(LastHeard { from, priority, at });
        self.known.note(node, from);
        let our_boot = self.identity.boot;
        let mut of_our_boot = about_us.filter(|heard| boot(heard.boot_id) == our_boot);
        let remembered = of_our_boot.next().map(|heard| heard.remembered);
        self.remembered[usize::from(node)] = remembered.unwrap_or_default();
        if let Some(jump) = jump {
            self.tell_all(Event::Doubt(jump), (at, now), slots, out);
        }
        self.compare(node, &header.configuration, from, (at, now), slots, out);
        self.take(place, speaker, &frame, (at, now), slots, out);
    }

    fn expect(&self) -> Expect<'_> {
        Expect {
            cluster: self.identity.cluster,
            keys: &self.identity.keys,
            node: self.identity.nodes[usize::from(self.identity.me)],
            boot_id: native::BootId(self.identity.boot.0.to_be_bytes()),
            peers: &self.peers,
        }
    }

    /// Two clusters may share a network, and even a key, but no address: then one of them has the wrong name.
    /// A group that is not written out says nothing of its addresses; who hears nobody writes them all.
    fn hear_others(
        &mut self,
        cluster: ClusterId,
        received: &Received<'_>,
        from: IpAddr,
        (at, now): (Instant, Instant),
        slots: &mut [Slot],
        out: &mut Out,
    ) {
        let Ok(frame) = decode_of(cluster, received, &self.expect()) else {
            return;
        };
        let Header {
            boot_id, sequence, ..
        } = frame.header;
        let conflict = Event::Conflict {
            from,
            field: ConflictField::Cluster,
            interval: self.identity.interval,
        };
        // Asked once for a frame, and only about those who want what is here.
        let mut is_living = None;
        for group in frame.groups() {
            let found = self.find(group.id, 0);
            let Some(slot) = found.and_then(|(_, place)| slots.get_mut(place)) else {
                continue;
            };
            let spoken = slot.spoken();
            if spoken.is_none_or(|spoken| spoken.addresses != group.addresses) {
                continue;
            }
            let mesh = &mut self.mesh;
            let ask = || mesh.is_living_stranger(boot(boot_id), sequence);
            if *is_living.get_or_insert_with(ask) {
                slot.step(slot.time(now, at), conflict, out);
            }
        }
    }

    /// A node that does not know this one never proves that it is of now; that it was told of other nodes is to
    /// be known here too.
    fn suspect(
        &mut self,
        header: &Header,
        from: IpAddr,
        times: (Instant, Instant),
        slots: &mut [Slot],
        out: &mut Out,
    ) {
        let is_other = header.configuration.voters != self.identity.configuration.voters;
        let Header {
            boot_id, sequence, ..
        } = *header;
        if is_other && self.mesh.is_living_stranger(boot(boot_id), sequence) {
            let interval = self.identity.interval;
            let conflict = Event::Conflict {
                from,
                field: ConflictField::Voters,
                interval,
            };
            self.tell_all(conflict, times, slots, out);
        }
    }

    /// What a frame says about the groups: what it writes out, or what its template stands for.
    fn take(
        &mut self,
        place: usize,
        speaker: Speaker,
        frame: &Frame<'_>,
        times: (Instant, Instant),
        slots: &mut [Slot],
        out: &mut Out,
    ) {
        let header = &frame.header;
        let Some(template) = frame.template else {
            return self.pass_on(speaker, header, frame.groups(), times, slots, out);
        };
        let run = boot(header.boot_id);
        let peer = usize::from(speaker.node);
        let known = self.learned[peer].take().filter(|(of, _)| *of == run);
        let mut learned = known.map_or_else(Learned::default, |(_, learned)| learned);
        if frame.group_count() > 0 {
            learned.learn(template, frame.groups());
            self.pass_on(speaker, header, frame.groups(), times, slots, out);
        } else if let Some(groups) = learned.recall(template) {
            self.pass_on(speaker, header, groups, times, slots, out);
        } else {
            self.passed[place].counters.unknown_template += 1;
        }
        self.learned[peer] = Some((run, learned));
    }

    fn number(&self, node: native::NodeId) -> Option<NodeId> {
        let place = self
            .identity
            .nodes
            .iter()
            .position(|known| *known == node)?;
        NodeId::try_from(place).ok()
    }

    fn tell_all(
        &self,
        event: Event,
        (at, now): (Instant, Instant),
        slots: &mut [Slot],
        out: &mut Out,
    ) {
        for (_, place) in &self.order {
            if let Some(slot) = slots.get_mut(*place) {
                slot.step(slot.time(now, at), event, out);
            }
        }
    }

    fn reject(
        &mut self,
        place: usize,
        rejected: Rejected,
        from: IpAddr,
        times: (Instant, Instant),
        slots: &mut [Slot],
        out: &mut Out,
    ) {
        self.passed[place].counters.count_rejected(&rejected);
        let of_peer = self.known.contains(from) || self.wires[place].facts.peers.contains(&from);
        let interval = self.identity.interval;
        let event = match rejected.class() {
            Class::Unauthentic if of_peer => Event::Unauthentic { from },
            Class::Unauthentic => return self.doubt(place, &rejected, from, times.1, out),
            Class::Stranger if self.is_living(&rejected) => Event::Conflict {
                from,
                field: match rejected {
                    Rejected::SecondSelf { .. } => ConflictField::Node,
                    _ => ConflictField::Voters,
                },
                interval,
            },
            _ => return,
        };
        self.tell_all(event, times, slots, out);
    }

    /// A node that never had our key, or anybody else on this network: an operator should know, and
    /// nothing follows from it.
    fn doubt(
        &mut self,
        place: usize,
        rejected: &Rejected,
        from: IpAddr,
        now: Instant,
        out: &mut Out,
    ) {
        let is_of_us = matches!(rejected, Rejected::KeyId { .. } | Rejected::Mac);
        let said_at = self.doubted_at.filter(|at| now.since(*at) < DOUBT_EVERY);
        if !is_of_us || said_at.is_some() {
            return;
        }
        self.doubted_at = Some(now);
        let interface = &self.wires[place].facts.interface;
        let text = format!(
            "{from} on {interface} says that it is of this cluster and does not prove it (a heartbeat: \
             {rejected}): if it is a node, its key-file is another one; it counts for nothing"
        );
        out.journal.offer(Entry::Note(Level::Warning, text));
    }

    /// Whether a stranger's frame is no recording, which would hold every promotion for ever.
    fn is_living(&mut self, rejected: &Rejected) -> bool {
        let (id, sequence) = match *rejected {
            Rejected::SecondSelf { theirs, sequence } => (theirs, sequence),
            Rejected::UnknownNode {
                boot_id, sequence, ..
            } => (boot_id, sequence),
            _ => return false,
        };
        self.mesh.is_living_stranger(boot(id), sequence)
    }

    /// Law 10: what safety rests on is the same on both sides, or nobody is promoted.
    fn compare(
        &mut self,
        node: NodeId,
        theirs: &Configuration,
        from: IpAddr,
        times: (Instant, Instant),
        slots: &mut [Slot],
        out: &mut Out,
    ) {
        let ours = self.identity.configuration;
        let field = if theirs.voters != ours.voters {
            Some(ConflictField::Voters)
        } else if theirs.timing != ours.timing {
            Some(ConflictField::Timing)
        } else if theirs.groups != ours.groups {
            Some(ConflictField::Groups)
        } else {
            None
        };
        if let Some(field) = field {
            let interval = self.identity.interval;
            let conflict = Event::Conflict {
                from,
                field,
                interval,
            };
            self.tell_all(conflict, times, slots, out);
        }
        let odd = &mut self.odd[usize::from(node)];
        if theirs.rest != ours.rest && *odd != theirs.rest.0 {
            *odd = theirs.rest.0;
            let name = self.identity.names[usize::from(node)];
            let text = format!(
                "{name} was told something else about preempt or preempt-delay: compare the files"
            );
            out.journal.offer(Entry::Note(Level::Warning, text));
        }
    }

    fn pass_on(
        &mut self,
        speaker: Speaker,
        header: &Header,
        groups: impl Iterator<Item = Group>,
        (at, now): (Instant, Instant),
        slots: &mut [Slot],
        out: &mut Out,
    ) {
        let Speaker { node, from, .. } = speaker;
        let voters = header.configuration.voters.0;
        let sender = boot(header.boot_id);
        // They come in the order of their ids, and most of the time all of them.
        let mut next = 0;
        for group in groups {
            let Some((found, place)) = self.find(group.id, next) else {
                continue;
            };
            next = found + 1;
            let Some(slot) = slots.get_mut(place) else {
                continue;
            };
            let peer = PeerState {
                node,
                role: role(group.role),
                priority: group.priority,
                fitness: match group.fitness {
                    0 => Fitness::Unfit,
                    FIT.. => Fitness::Fit,
                    _ => Fitness::Level,
                },
            };
            let time = slot.time(now, at);
            let word = self.word(node, sender, voters, &group);
            if speaker.is_late {
                let late = Event::late(peer.role, word);
                late.into_iter().for_each(|late| slot.step(time, late, out));
                continue;
            }
            slot.see(time, Epoch::from_number(group.epoch), out);
            let event = match word {
                Some(word) => Event::Said(peer, word),
                None => Event::Peer(peer),
            };
            slot.step(time, event, out);
            if group.statement == Statement::Ask {
                slot.step(slot.time(now, at), Event::Ask(node), out);
            }
            let spoken = slot.spoken();
            if spoken.is_some_and(|spoken| spoken.addresses != group.addresses) {
                let conflict = Event::Conflict {
                    from,
                    field: ConflictField::Addresses,
                    interval: self.identity.interval,
                };
                slot.step(slot.time(now, at), conflict, out);
            }
        }
    }

    /// Where a group stands in the order, perhaps here, and its slot.
    fn find(&self, id: native::GroupId, perhaps: usize) -> Option<(usize, usize)> {
        let here = self.order.get(perhaps).filter(|(there, _)| *there == id);
        if let Some((_, place)) = here {
            return Some((perhaps, *place));
        }
        let found = self.order.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some((found, self.order[found].1))
    }

    /// What it says about the votes, if that is for this node.
    fn word(
        &self,
        node: NodeId,
        sender: BootId,
        voters: u64,
        group: &Group,
    ) -> Option<lease::Event> {
        let ours = |id: native::BootId| boot(id) == self.identity.boot;
        Some(match group.statement {
            Statement::Nothing | Statement::Ask => return None,
            Statement::Request {
                nonce,
                lease,
                holding,
            } => lease::Event::Request(
                node,
                Request {
                    group: group.id.0,
                    epoch: Epoch::from_number(group.epoch),
                    boot: sender,
                    nonce: nonce.get(),
                    lease,
                    voters,
                    priority: group.priority,
                    holding,
                },
            ),
            Statement::Ack { boot_id, nonce } => {
                let granted = lease::Event::Granted(node, boot(boot_id), nonce.get());
                return ours(boot_id).then_some(granted);
            }
            Statement::Resign {
                to,
                boot_id,
                nonce_last,
            } => lease::Event::Resign(
                node,
                Resign {
                    group: group.id.0,
                    epoch: Epoch::from_number(group.epoch),
                    to: self.number(to),
                    boot: boot(boot_id),
                    nonce_last: nonce_last.get(),
                },
            ),
            Statement::Refusal { boot_id, why, .. } => {
                let floor = Epoch::from_number(group.epoch);
                let refused = match why {
                    Why::Storing => lease::Event::Storing(node, floor),
                    _ => lease::Event::Refused(node, floor),
                };
                return ours(boot_id).then_some(refused);
            }
        })
    }
}

const fn head(header: &Header, node: NodeId, by: u8) -> Head {
    Head {
        node,
        boot: boot(header.boot_id),
        sequence: header.sequence,
        boot_time: header.boot_time,
        path: header.path,
        by,
    }
}

const fn boot(id: native::BootId) -> BootId {
    BootId(u128::from_be_bytes(id.0))
}

fn role(role: Role) -> RoleName {
    match role {
        Role::Init => RoleName::Init,
        Role::Backup => RoleName::Backup,
        Role::Candidate => RoleName::Candidate,
        Role::Master => RoleName::Master,
        Role::Releasing => RoleName::Releasing,
        Role::Fault => RoleName::Fault,
        Role::Stopped => RoleName::Stopped,
        Role::Witness => RoleName::Witness,
    }
}
