//! How do the hosts talk? As `agent::herald` does: what the groups have said in a turn leaves in as
//! few frames as possible, the same on every path; what comes in is judged once for all groups.

use std::rc::Rc;
use std::time::Duration;

use floatlock::core::lease::{self, BootId, Epoch, NodeId, Request, next_beat};
use floatlock::core::mesh::{Echo, Head, Verdict};
use floatlock::core::{ConflictField, Event, Instant, PeerState, Say};

use super::score::Detail;
use super::wire::{Frame, Spoken};
use super::world::{What, World};

/// Statements that one group makes in one turn at most.
const ROUNDS: u32 = 16;
const STRANGER: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 99));

impl World {
    pub(crate) fn speak(&mut self, node: usize, now: Instant) {
        let interval = self.scenario.interval;
        let Some(agent) = &mut self.hosts[node].agent else {
            return;
        };
        agent.has_sent = false;
        let beats = agent.beat_at <= now;
        if beats {
            agent.beat_at = next_beat(now, interval);
        }
        let silent = now.since(agent.told_all_at) >= interval;
        let asked = std::mem::take(&mut agent.answer) && now.since(agent.spoke_at) >= interval / 4;
        let news = std::mem::take(&mut agent.has_news);
        let is_request = |say: &(usize, Say)| matches!(say.1, Say::Request(_));
        let mut says = std::mem::take(&mut agent.says);
        let mut all = (beats && (silent || says.iter().any(is_request))) || asked || news;
        says.sort_by_key(|(group, _)| *group);
        let mut rounds = 0;
        while all || !says.is_empty() {
            let entries = self.collect(node, &mut says, all);
            self.send(node, now, entries);
            all = false;
            rounds += 1;
            if rounds > ROUNDS {
                says.clear();
                self.saw("statements dropped");
            }
        }
    }

    fn collect(&self, node: usize, says: &mut Vec<(usize, Say)>, all: bool) -> Vec<Spoken> {
        let host = &self.hosts[node];
        let Some(agent) = &host.agent else {
            return Vec::new();
        };
        let (mut entries, mut later) = (Vec::new(), Vec::new());
        let mut said = says.drain(..).peekable();
        for (nth, slot) in agent.slots.iter().enumerate() {
            let say = said.next_if(|(of, _)| *of == nth).map(|(_, say)| say);
            while let Some(more) = said.next_if(|(of, _)| *of == nth) {
                later.push(more);
            }
            if !all && say.is_none() {
                continue;
            }
            let view = slot.group.view();
            let (_, _, fitness) = slot.group.standing();
            let epoch = match say {
                Some(Say::Request(request)) => request.epoch,
                Some(Say::Refuse(.., floor)) => floor,
                Some(Say::Resign(resign)) => resign.epoch,
                _ => view.epoch.unwrap_or_default(),
            };
            entries.push(Spoken {
                group: nth,
                role: view.role,
                priority: slot.group.settings().priority,
                fitness,
                addresses: host.addresses,
                epoch,
                say,
            });
        }
        drop(said);
        *says = later;
        entries
    }

    fn send(&mut self, node: usize, now: Instant, entries: Vec<Spoken>) {
        let paths = self.wire.paths();
        let Some(agent) = &mut self.hosts[node].agent else {
            return;
        };
        if entries.len() == agent.slots.len() {
            agent.told_all_at = now;
        }
        agent.spoke_at = now;
        let heard = Rc::new(agent.mesh.heard(now).collect());
        let entries = Rc::new(entries);
        for path in 0..paths {
            let is_usable = self.is_usable(node, path);
            let Some(agent) = &mut self.hosts[node].agent else {
                return;
            };
            let frame = Rc::new(Frame {
                node: node as NodeId,
                boot: agent.boot,
                sequence: agent.mesh.next_sequence(now),
                boot_time: now,
                path: path as u8,
                voters: agent.voters,
                heard: Rc::clone(&heard),
                entries: Rc::clone(&entries),
                sent: self.now,
            });
            if !is_usable {
                continue;
            }
            agent.has_sent = true;
            if self.score.takes(Detail::Everything) {
                let says: Vec<_> = frame.entries.iter().map(|e| (e.role, e.say)).collect();
                let what = format!("sends {} by {path}: {says:?}", frame.sequence);
                self.score.note(self.now, node, &what);
            }
            self.wire.record(&frame, &mut self.dice);
            for to in (0..self.hosts.len()).filter(|to| *to != node) {
                let arrivals = self
                    .wire
                    .arrivals(self.now, (path, node, to), &mut self.dice);
                for at in arrivals.into_iter().flatten() {
                    let frame = Rc::clone(&frame);
                    self.at(at, What::Frame { to, path, frame });
                }
            }
        }
    }

    /// Hears a frame that came by `by` at `at`.
    pub(crate) fn hear(
        &mut self,
        node: usize,
        by: usize,
        at: Instant,
        now: Instant,
        frame: &Frame,
    ) {
        let Some(agent) = &mut self.hosts[node].agent else {
            return;
        };
        let head = Head {
            node: frame.node,
            boot: frame.boot,
            sequence: frame.sequence,
            boot_time: frame.boot_time,
            path: frame.path,
            by: by as u8,
        };
        let about_us = frame
            .heard
            .iter()
            .filter(|heard| usize::from(heard.node) == node);
        let verdict = agent.mesh.hear(
            at,
            head,
            about_us.map(|heard| Echo {
                boot: heard.boot,
                sequence: heard.sequence,
                path: heard.path,
            }),
        );
        if self.score.takes(Detail::Everything) {
            let says: Vec<_> = frame.entries.iter().map(|e| (e.role, e.say)).collect();
            let what = format!(
                "hears {} of n{}, {verdict:?}: {says:?}",
                frame.sequence, frame.node
            );
            self.score.note(self.now, node, &what);
        }
        let jump = match verdict {
            Verdict::Replayed => return self.saw("frame replayed"),
            Verdict::Late | Verdict::Unproved => {
                agent.answer = true;
                return self.hear_late(node, verdict, frame, (at, now));
            }
            Verdict::Fresh(jump) => jump,
        };
        self.is_told(node, frame);
        self.is_of_now(node, at, frame);
        if let Some(jump) = jump {
            self.saw("doubt");
            self.tell_all(node, Event::Doubt(jump), (at, now));
        }
        if frame.voters
            != self.hosts[node]
                .agent
                .as_ref()
                .map_or(0, |agent| agent.voters)
        {
            self.tell_all(
                node,
                conflict(ConflictField::Voters, self.scenario.interval),
                (at, now),
            );
        }
        for entry in frame.entries.iter() {
            self.pass_on(node, entry, frame, (at, now));
        }
    }

    fn hear_late(
        &mut self,
        node: usize,
        verdict: Verdict,
        frame: &Frame,
        times: (Instant, Instant),
    ) {
        if verdict == Verdict::Unproved {
            return self.saw("frame unproved");
        }
        self.saw("frame late");
        self.is_told(node, frame);
        let us = self.hosts[node].agent.as_ref().map(|agent| agent.boot);
        for entry in frame.entries.iter() {
            let word = us.and_then(|us| word(us, entry, frame));
            if let Some(event) = Event::late(entry.role, word) {
                self.tell(node, entry.group, event, times);
            }
        }
    }

    pub(crate) fn tell_all(&mut self, node: usize, event: Event, (at, now): (Instant, Instant)) {
        for group in 0..self.scenario.groups {
            self.tell(node, group, event, (at, now));
        }
    }

    fn tell(&mut self, node: usize, group: usize, event: Event, (at, now): (Instant, Instant)) {
        let Some(agent) = &self.hosts[node].agent else {
            return;
        };
        let time = agent.time(group, now, at);
        self.step(node, group, time, event);
    }

    fn pass_on(&mut self, node: usize, entry: &Spoken, frame: &Frame, times: (Instant, Instant)) {
        let group = entry.group;
        let peer = PeerState {
            node: frame.node,
            role: entry.role,
            priority: entry.priority,
            fitness: entry.fitness,
        };
        let seen = lease::Event::Seen(entry.epoch);
        self.tell(node, group, Event::Vote(seen), times);
        let us = self.hosts[node].agent.as_ref().map(|agent| agent.boot);
        let event = match us.and_then(|us| word(us, entry, frame)) {
            Some(word) => Event::Said(peer, word),
            None => Event::Peer(peer),
        };
        self.tell(node, group, event, times);
        if let Some(Say::Ask(_)) = entry.say {
            self.tell(node, group, Event::Ask(frame.node), times);
        }
        if entry.addresses != self.hosts[node].addresses {
            let event = conflict(ConflictField::Addresses, self.scenario.interval);
            self.tell(node, group, event, times);
        }
    }
}

pub(crate) fn conflict(field: ConflictField, interval: Duration) -> Event {
    Event::Conflict {
        from: STRANGER,
        field,
        interval,
    }
}

pub(crate) const UNAUTHENTIC: Event = Event::Unauthentic { from: STRANGER };

/// The bytes carry less than [`Say`] does: whom a grant is for is known by its boot id.
fn word(us: BootId, entry: &Spoken, frame: &Frame) -> Option<lease::Event> {
    let from = frame.node;
    Some(match entry.say? {
        Say::Request(request) => lease::Event::Request(
            from,
            Request {
                epoch: entry.epoch,
                boot: frame.boot,
                voters: frame.voters,
                priority: entry.priority,
                ..request
            },
        ),
        Say::Grant(_, boot, nonce) => {
            let granted = lease::Event::Granted(from, boot, nonce);
            return (boot == us).then_some(granted);
        }
        Say::Refuse(_, boot, _, why, floor) => {
            let refused = lease::Event::refused(from, why, floor);
            return (boot == us).then_some(refused);
        }
        Say::Resign(resign) => lease::Event::Resign(from, resign),
        Say::Ask(_) => return None,
    })
}

/// For the reader of a score.
pub(crate) fn epoch_text(epoch: Epoch) -> String {
    format!(
        "{}/{}",
        epoch.number() / lease::NODES,
        epoch.number() % lease::NODES
    )
}
