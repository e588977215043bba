//! What can happen to a cluster? Its nodes, each with its clock and its gate, and all that was sent.
//!
//! A message stays in flight for ever: it can arrive never, late, twice and in any order. A node
//! that is not woken is frozen; its gate goes by its clock alone. The clock of node 0 is behind by
//! up to one tick, now and then, or with [`Bounds::skewed`] any clock behind any. All times are kept
//! relative to the slowest clock, so that time is not bounded; what is bounded are the requests a node
//! sends, the crashes and the handovers.

use std::time::Duration;

use crate::search::World;
use floatlock::core::Instant;
use floatlock::core::lease::{
    Boot, BootId, Effect, Effects, Epoch, Event, Lease, NodeId, Nonce, Refusal, Request, Resign,
    Settings, Voters,
};

pub(crate) const TICK: u64 = 100_000_000;
/// Later than the end of everything that has ended.
const BASE: u64 = 1_000_000;
/// The lease, in ticks.
pub(crate) const L: u64 = 2;

/// What is explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    /// Nodes that may hold.
    pub(crate) nodes: u8,
    /// Those that only vote, after them.
    pub(crate) witnesses: u8,
    /// How many requests each node sends in one boot.
    pub(crate) requests: [usize; 3],
    /// How often each node crashes.
    pub(crate) crashes: [u8; 3],
    /// How often a holder hands over, all together.
    pub(crate) handovers: u8,
    /// Storing an epoch takes time, and may be cut off by a crash.
    pub(crate) slow_disk: bool,
    /// All clocks go on their own, at most one tick apart; else those of all but node 0 together.
    pub(crate) skewed: bool,
    /// Wrong on purpose.
    pub(crate) flaw: Option<Flaw>,
}

impl Bounds {
    /// The promise: L, and what two clocks may differ by over it, which is two where each may be
    /// ahead once and behind once. One less and two nodes hold at once.
    pub(crate) const fn promise(&self) -> u64 {
        L + 1 + self.skewed as u64 - matches!(self.flaw, Some(Flaw::Promise)) as u64
    }

    const fn boot_id(&self, id: NodeId, boots: u8) -> BootId {
        let boots = match self.flaw {
            Some(Flaw::Nonces) => 1,
            _ => boots,
        };
        BootId((id as u128) * 256 + boots as u128)
    }
}

/// What the core is told wrongly. It is judged by S1 alone then: all else follows from what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flaw {
    /// P is a tick short. Only where clocks are skewed: the core cannot be told a P that is no longer than L.
    Promise,
    /// So is the quarantine: whoever starts has run for a tick, it is told.
    Quarantine,
    /// Every start of a node is the same one, so that nonces begin anew.
    Nonces,
}

/// In flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Message {
    Request(NodeId, Request),
    Granted(NodeId, NodeId, BootId, Nonce),
    Refused(NodeId, NodeId, Refusal, Epoch),
    Resign(NodeId, Resign),
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick(NodeId),
    Wake(NodeId),
    Stand(NodeId),
    Arrive(Message, NodeId),
    Stored(NodeId),
    HandOver(NodeId, NodeId),
    Crash(NodeId),
    Restart(NodeId),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Node {
    /// None: crashed.
    lease: Option<Lease>,
    boots: u8,
    told: bool,
    stored: Epoch,
    storing: Option<Epoch>,
    clock: u64,
    /// Open while the clock is below.
    gate: u64,
    /// L after the last request was stamped: the gate is never open for longer.
    bound: u64,
    serving: bool,
    /// What was promised to whom, noted by the model itself.
    promise: Option<(BootId, Nonce, u64)>,
}

/// The whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    bounds: Bounds,
    nodes: Vec<Node>,
    sent: Vec<Message>,
    /// The last three that were promoted, the latest first, with the boot.
    pub(crate) holders: [Option<(NodeId, u8)>; 3],
    /// The highest epoch of any authority.
    pub(crate) epoch: Epoch,
    crashes: [u8; 3],
    handovers: u8,
}

pub(crate) const fn at(ticks: u64) -> Instant {
    Instant::from_nanos((BASE + ticks) * TICK)
}

pub(crate) const fn ticks(at: Instant) -> u64 {
    (at.as_nanos() / TICK).saturating_sub(BASE)
}

fn settings(bounds: Bounds, me: NodeId) -> Settings {
    let bits = |count: u8| (1 << count) - 1;
    Settings {
        group: 1,
        me,
        priority: 100 - me,
        voters: Voters {
            nodes: bits(bounds.nodes),
            witnesses: bits(bounds.witnesses) << bounds.nodes,
            arbiter: false,
            hash: 7,
        },
        lease: Duration::from_nanos(L * TICK),
        interval: Duration::from_nanos(TICK),
        // 2 ticks of 100 ms, 2 %, this and 20 ms are the promise.
        granularity: Duration::from_millis(bounds.promise() * 100 - 224),
        reference: false,
        always: false,
    }
}

impl World for State {
    type Action = Action;

    /// What can happen next.
    fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (id, node) in (0u8..).zip(&self.nodes) {
            self.actions_of(id, node, &mut actions);
        }
        for message in &self.sent {
            for to in 0..self.nodes.len() as u8 {
                if self.nodes[usize::from(to)].lease.is_some() && concerns(message, to) {
                    actions.push(Action::Arrive(*message, to));
                }
            }
        }
        actions
    }

    /// Lets it happen; the name of the invariant that it violates.
    fn apply(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Tick(id) => {
                let together = if id == 0 || self.bounds.skewed {
                    1
                } else {
                    self.nodes.len()
                };
                let nodes = self.nodes.iter_mut().skip(usize::from(id)).take(together);
                nodes.for_each(|node| node.clock += 1);
            }
            Action::Wake(id) => self.step(id, Event::Time)?,
            Action::Stand(id) => {
                self.nodes[usize::from(id)].told = true;
                self.step(id, Event::Stand)?;
            }
            Action::Arrive(message, to) => self.arrive(message, to)?,
            Action::Stored(id) => self.store(id),
            Action::HandOver(id, to) => {
                self.handovers -= 1;
                self.step(id, Event::HandOver(to))?;
            }
            Action::Crash(id) => {
                self.crashes[usize::from(id)] -= 1;
                let node = &mut self.nodes[usize::from(id)];
                node.lease = None;
                node.storing = None;
                node.serving = false;
            }
            Action::Restart(id) => {
                self.boot(id);
                self.nodes[usize::from(id)].told = true;
                if id < self.bounds.nodes {
                    self.step(id, Event::Stand)?;
                }
            }
        }
        self.normalise();
        self.check()
    }

    fn within_bounds(&self) -> bool {
        (0u8..).zip(&self.nodes).all(|(id, node)| {
            let boot = self.bounds.boot_id(id, node.boots);
            let of_boot = |message: &&Message| {
                matches!(message, Message::Request(_, request) if request.boot == boot)
            };
            self.sent.iter().filter(of_boot).count() <= self.bounds.requests[usize::from(id)]
        })
    }

    fn sort(action: Action) -> u64 {
        let (kind, id) = match action {
            Action::Tick(id) => (0, id),
            Action::Wake(id) => (1, id),
            Action::Stand(id) => (2, id),
            Action::Arrive(Message::Request(..), to) => (3, to),
            Action::Arrive(Message::Granted(..), to) => (4, to),
            Action::Arrive(Message::Refused(..), to) => (5, to),
            Action::Arrive(Message::Resign(..), to) => (6, to),
            Action::Stored(id) => (7, id),
            Action::HandOver(id, _) => (8, id),
            Action::Crash(id) => (9, id),
            Action::Restart(id) => (10, id),
        };
        kind * 8 + u64::from(id)
    }
}

impl State {
    /// All are up, their quarantine is over, nobody stands.
    pub(crate) fn new(bounds: Bounds) -> Self {
        let node = || Node {
            lease: None,
            boots: 0,
            told: false,
            stored: Epoch::default(),
            storing: None,
            clock: 0,
            gate: 0,
            bound: 0,
            serving: false,
            promise: None,
        };
        let count = bounds.nodes + bounds.witnesses;
        let mut state = Self {
            bounds,
            nodes: (0..count).map(|_| node()).collect(),
            sent: Vec::new(),
            holders: [None; 3],
            epoch: Epoch::default(),
            crashes: bounds.crashes,
            handovers: bounds.handovers,
        };
        for id in 0..count {
            state.boot(id);
            state.store(id);
            let node = &mut state.nodes[usize::from(id)];
            node.lease = node
                .lease
                .take()
                .map(|lease| lease.moved(at(bounds.promise()), at(0)));
        }
        state
    }

    /// Who holds in the sense of its clock and gate.
    pub(crate) fn serving(&self) -> impl Iterator<Item = NodeId> + '_ {
        let open = |node: &Node| node.clock < node.gate;
        (0u8..)
            .zip(&self.nodes)
            .filter(move |(_, node)| open(node))
            .map(|(id, _)| id)
    }

    /// Every RESIGN that was sent.
    pub(crate) fn resigned(&self) -> impl Iterator<Item = &Resign> {
        self.sent.iter().filter_map(|message| match message {
            Message::Resign(_, resign) => Some(resign),
            _ => None,
        })
    }

    /// Whether this boot of the node still runs.
    pub(crate) fn runs(&self, (id, boot): (NodeId, u8)) -> bool {
        let node = &self.nodes[usize::from(id)];
        node.lease.is_some() && node.boots == boot
    }

    fn may_tick(&self, id: NodeId) -> bool {
        let clocks = || self.nodes.iter().map(|node| node.clock);
        match id {
            _ if self.bounds.skewed => clocks().min() == clocks().nth(usize::from(id)),
            0 => self.nodes[0].clock < self.nodes[1].clock,
            // This stands for all but node 0.
            1 => self.nodes[0].clock == self.nodes[1].clock,
            _ => false,
        }
    }

    fn actions_of(&self, id: NodeId, node: &Node, actions: &mut Vec<Action>) {
        if self.may_tick(id) {
            actions.push(Action::Tick(id));
        }
        let Some(lease) = &node.lease else {
            actions.push(Action::Restart(id));
            return;
        };
        if lease.deadline() <= at(node.clock) {
            actions.push(Action::Wake(id));
        }
        if !node.told && id < self.bounds.nodes {
            actions.push(Action::Stand(id));
        }
        if node.storing.is_some() {
            actions.push(Action::Stored(id));
        }
        if self.crashes[usize::from(id)] > 0 {
            actions.push(Action::Crash(id));
        }
        if self.handovers > 0 && node.clock < node.gate {
            let others = (0..self.bounds.nodes).filter(|to| *to != id);
            actions.extend(others.map(|to| Action::HandOver(id, to)));
        }
    }

    /// Law 8: the old gate is closed first.
    fn boot(&mut self, id: NodeId) {
        let mut out = Effects::new();
        let settings = settings(self.bounds, id);
        let node = &mut self.nodes[usize::from(id)];
        node.gate = 0;
        node.boots += 1;
        let is_early = self.bounds.flaw == Some(Flaw::Quarantine);
        let since = at(node.clock) - Duration::from_nanos(TICK * u64::from(is_early));
        let boot = Boot {
            id: self.bounds.boot_id(id, node.boots),
            stored: node.stored,
            longest: Duration::ZERO,
            nonce: 0,
        };
        node.lease = Some(Lease::new(settings, boot, since, &mut out));
        for effect in out {
            if let Effect::Persist(mark) = effect {
                node.storing = Some(mark);
            }
        }
        if !self.bounds.slow_disk {
            self.store(id);
        }
    }

    fn store(&mut self, id: NodeId) {
        let node = &mut self.nodes[usize::from(id)];
        let Some(mark) = node.storing.take() else {
            return;
        };
        node.stored = node.stored.max(mark);
        let now = at(node.clock);
        let mut out = Effects::new();
        if let Some(lease) = &mut node.lease {
            lease.step(now, Event::Persisted(mark), &mut out);
        }
        // What comes of it would come of the next wake-up as well, so that an error is not lost.
        let _ = out
            .into_iter()
            .try_for_each(|effect| self.carry_out(id, effect));
    }

    fn arrive(&mut self, message: Message, to: NodeId) -> Result<(), String> {
        let event = match message {
            Message::Request(from, request) => Event::Request(from, request),
            Message::Granted(from, _, boot, nonce) => Event::Granted(from, boot, nonce),
            Message::Refused(from, _, why, floor) => Event::refused(from, why, floor),
            Message::Resign(from, resign) => {
                let promise = &mut self.nodes[usize::from(to)].promise;
                let freed = |(boot, nonce, _): &(BootId, Nonce, u64)| {
                    *boot == resign.boot && *nonce <= resign.nonce_last
                };
                *promise = promise.filter(|promise| !freed(promise));
                Event::Resign(from, resign)
            }
        };
        self.step(to, event)
    }

    fn step(&mut self, id: NodeId, event: Event) -> Result<(), String> {
        let node = &mut self.nodes[usize::from(id)];
        let now = at(node.clock);
        let mut out = Effects::new();
        if let Some(lease) = &mut node.lease {
            lease.step(now, event, &mut out);
        }
        let refused = match event {
            Event::Request(_, request) => Some(request.epoch),
            _ => None,
        };
        for effect in out {
            // A refusal that teaches nothing is not sent.
            let dull = |floor| refused.is_some_and(|epoch| floor <= epoch);
            if !matches!(effect, Effect::Refuse(_, _, floor) if dull(floor)) {
                self.carry_out(id, effect)?;
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, id: NodeId, effect: Effect) -> Result<(), String> {
        let node = &mut self.nodes[usize::from(id)];
        match effect {
            Effect::Request(request) => {
                node.bound = node.clock + L;
                self.send(Message::Request(id, request));
            }
            Effect::Grant(to, boot, nonce) => {
                self.note_grant(id, boot, nonce)?;
                self.send(Message::Granted(id, to, boot, nonce));
            }
            Effect::Refuse(to, why, floor) => self.send(Message::Refused(id, to, why, floor)),
            Effect::Resign(resign) => self.send(Message::Resign(id, resign)),
            Effect::Persist(mark) => {
                node.storing = node.storing.max(Some(mark));
                if !self.bounds.slow_disk {
                    self.store(id);
                }
            }
            Effect::Lost(_) => {
                node.gate = 0;
                node.serving = false;
            }
            Effect::Authority(own) => {
                node.gate = ticks(own.until);
                if !node.serving {
                    node.serving = true;
                    let holder = Some((id, node.boots));
                    if own.epoch <= self.epoch && self.bounds.flaw.is_none() {
                        return Err(format!("S2: {id} begins with {:?}", own.epoch));
                    }
                    self.holders = [holder, self.holders[0], self.holders[1]];
                }
                self.epoch = self.epoch.max(own.epoch);
            }
            Effect::Contend(..)
            | Effect::Withdraw(_)
            | Effect::Look(_)
            | Effect::Confirmed
            | Effect::Announce => {
                return Err(format!(
                    "{effect:?} without an arbiter, or between more than two"
                ));
            }
        }
        Ok(())
    }

    fn note_grant(&mut self, id: NodeId, boot: BootId, nonce: Nonce) -> Result<(), String> {
        let judges = self.bounds.flaw.is_none();
        let node = &mut self.nodes[usize::from(id)];
        if node.clock < node.gate && judges {
            return Err(format!("{id} grants while its gate is open"));
        }
        let running = node.promise.filter(|(_, _, until)| node.clock < *until);
        let old = match running {
            Some((old, ..)) if old != boot && judges => {
                return Err(format!("{id} grants {boot:?}, but is promised to {old:?}"));
            }
            Some((_, nonce, _)) => nonce,
            None => 0,
        };
        node.promise = Some((boot, nonce.max(old), node.clock + self.bounds.promise()));
        Ok(())
    }

    fn send(&mut self, message: Message) {
        if let Err(place) = self.sent.binary_search(&message) {
            self.sent.insert(place, message);
        }
    }

    /// All times relative to the slowest clock; what is over is over.
    fn normalise(&mut self) {
        let slowest = self.nodes.iter().map(|node| node.clock).min().unwrap_or(0);
        for node in &mut self.nodes {
            let now = at(node.clock);
            let end = |end: u64| if end <= node.clock { 0 } else { end - slowest };
            node.gate = end(node.gate);
            node.bound = end(node.bound);
            node.promise = node.promise.filter(|promise| promise.2 > node.clock);
            node.promise = node
                .promise
                .map(|(boot, nonce, until)| (boot, nonce, end(until)));
            node.clock -= slowest;
            let moved = |lease: Lease| lease.moved(now, at(node.clock));
            node.lease = node.lease.take().map(moved);
        }
    }

    fn check(&self) -> Result<(), String> {
        let serving: Vec<_> = self.serving().collect();
        if serving.len() > 1 {
            return Err(format!("S1: {serving:?} serve at the same time"));
        }
        if self.bounds.flaw.is_some() {
            return Ok(());
        }
        for (id, node) in (0u8..).zip(&self.nodes) {
            if node.gate > node.bound {
                return Err(format!("{id} serves beyond its own deadline"));
            }
            let Some(lease) = &node.lease else { continue };
            if node.promise.is_some() && (lease.stands() || node.gate > 0) {
                return Err(format!("{id} stands though it is promised"));
            }
            let own = lease.authority().map_or(0, |own| ticks(own.until));
            if own != node.gate {
                return Err(format!("{id} believes {own}, its gate says {}", node.gate));
            }
        }
        Ok(())
    }
}

pub(crate) fn concerns(message: &Message, node: NodeId) -> bool {
    match message {
        Message::Request(from, _) | Message::Resign(from, _) => *from != node,
        Message::Granted(_, to, ..) | Message::Refused(_, to, ..) => *to == node,
    }
}
