//! A pair whose network has a reference: own votes, looks at the network and proofs, on the real core.
//!
//! A message arrives never, late, twice and in any order, until the next of its kind takes its place. The
//! reference is asked in each tick; where it is reached, the answer comes at any time, or never. A look takes
//! less than a tick: it is over, late or never, and sees who answers and who looks in the tick in which it is
//! asked, unless the network is parted. Whoever does not stand still does in each tick what is to be done. Both
//! clocks go together, or with [`Bounds::skewed`] either is behind by a tick.
//!
//! What stands still is an agent, between two turns or within one, or a whole host. Its clock goes on, and so does its
//! gate; the reference is not asked. An agent that goes on within a turn takes what had come by the time that it had
//! read before, and then carries out what follows; otherwise the core is told the time of now, and sees how long it was
//! away. A host that stands still answers nobody, a look neither.

use std::time::Duration;

use floatlock::core::Instant;
use floatlock::core::lease::{
    Authority, Boot, BootId, Effect, Effects, Epoch, Event, Lease, NodeId, Nonce, Settings, Voters,
};

use crate::search::World;
use crate::world::{L, Message, TICK, at, concerns, ticks};

/// How much may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    /// Who reaches the reference at first.
    pub(crate) reach: [bool; 2],
    /// How often that changes, of each node.
    pub(crate) flips: [u8; 2],
    /// How often the network is parted or heals.
    pub(crate) cuts: u8,
    /// Ticks of each clock.
    pub(crate) horizon: u64,
    /// What each node asks the other one and the network in one boot.
    pub(crate) questions: [Nonce; 2],
    /// How often either agent stands still between two turns ...
    pub(crate) freezes: [u8; 2],
    /// ... and how often after it has read the clock, and before anything follows from what it takes then.
    pub(crate) hangs: [u8; 2],
    /// How often either host stands still as a whole.
    pub(crate) pauses: [u8; 2],
    pub(crate) crashes: [u8; 2],
    /// How often a holder hands over or stops, all together.
    pub(crate) handovers: u8,
    /// How often the addresses go on slowly.
    pub(crate) slow: u8,
    /// `solo-after` ends: a node that has heard neither the other one nor the reference goes on all the same.
    pub(crate) solo: bool,
    /// Either clock may be behind.
    pub(crate) skewed: bool,
    /// Also what comes after both were proven while the network was parted, which is the gap.
    pub(crate) gap: bool,
}

impl Bounds {
    /// As in `world.rs`.
    const fn promise(&self) -> u64 {
        L + 1 + self.skewed as u64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Look {
    ticket: Nonce,
    asked_at: u64,
    /// The other one answered.
    answered: bool,
    /// The other one looked as well.
    met: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Node {
    /// None: crashed.
    lease: Option<Lease>,
    boots: u8,
    told: bool,
    frozen: bool,
    /// The host stands still, and with it the agent.
    paused: bool,
    /// The next turn is the one in which the agent stands still.
    hangs: bool,
    /// It does, and goes on with this.
    turn: Option<Action>,
    /// It has gone on, by the time that it had read.
    late: bool,
    stored: Epoch,
    clock: u64,
    /// So many ticks ago the core was told the time.
    lag: u64,
    /// The addresses are on, and the gate is open while the clock is below.
    gate: u64,
    /// The agent has opened it, and not shut it since.
    opened: bool,
    /// The next addresses go on slowly.
    slow: bool,
    look: Option<Look>,
    reach: bool,
    /// One bit for each of the last ticks in which the reference was reached, the latest lowest.
    answers: u64,
    record: Record,
}

/// What the model itself notes of a boot. Law 2: all of it counts from the question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Record {
    /// The questions of this candidacy, and L after each.
    asked: Vec<(Nonce, u64)>,
    last: Nonce,
    /// Until when the other one has granted.
    granted: u64,
    /// Until when the reference has spoken for the node.
    proven: u64,
    was_proven: bool,
    solo: bool,
    has_company: bool,
    /// The last authority rested on the own vote.
    alone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Tick(NodeId),
    Wake(NodeId),
    Stand(NodeId),
    Arrive(Message, NodeId),
    /// What was asked so many ticks ago.
    Answer(NodeId, u64),
    Flip(NodeId),
    Cut,
    LookEnds(NodeId),
    /// The addresses of the next promotion will go on slowly ...
    Slow(NodeId),
    /// ... and are on now.
    On(NodeId),
    HandOver(NodeId),
    Stop(NodeId),
    Solo(NodeId),
    /// Its agent stands still, or goes on.
    Freeze(NodeId),
    /// Its agent stands still within its next turn.
    Hang(NodeId),
    /// The host stands still, or goes on.
    Pause(NodeId),
    Crash(NodeId),
    Restart(NodeId),
}

/// Both nodes, and what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    bounds: Bounds,
    nodes: [Node; 2],
    sent: Vec<Message>,
    pub(crate) parted: bool,
    /// Both were proven while it was.
    pub(crate) gap: bool,
    /// Both were proven while one looked for the other, whose gate was open and whose host stood still.
    pub(crate) unseen: bool,
    /// The last three that began to answer, the latest first.
    pub(crate) holders: [Option<NodeId>; 3],
    flips: [u8; 2],
    cuts: u8,
    crashes: [u8; 2],
    pub(crate) handovers: u8,
    slow: u8,
    freezes: [u8; 2],
    hangs: [u8; 2],
    pauses: [u8; 2],
    ticks_left: u64,
    /// Node 0 stays dead.
    widowed: bool,
}

impl Action {
    /// Whose turn it is, where an agent does it.
    const fn turn_of(self) -> Option<NodeId> {
        match self {
            Self::Wake(id)
            | Self::Stand(id)
            | Self::Arrive(_, id)
            | Self::Answer(id, _)
            | Self::LookEnds(id)
            | Self::On(id)
            | Self::HandOver(id)
            | Self::Stop(id) => Some(id),
            _ => None,
        }
    }
}

impl Node {
    fn answers(&self) -> bool {
        self.is_open() && !self.paused
    }

    fn is_open(&self) -> bool {
        self.clock < self.gate
    }

    fn stands_still(&self) -> bool {
        self.frozen || self.paused
    }

    /// The time as the agent has read it, so many ticks before now.
    fn read_ago(&self) -> u64 {
        match self.late {
            true => self.lag,
            false => 0,
        }
    }

    fn now(&self) -> Instant {
        self.ago(self.read_ago())
    }

    fn ago(&self, ticks: u64) -> Instant {
        at(self.clock) - Duration::from_nanos(ticks * TICK)
    }

    /// It may go on by its own vote.
    fn is_proven(&self) -> bool {
        self.record.solo || self.clock < self.record.proven
    }

    /// Whoever does not stand still does what is to be done before its clock goes on.
    fn is_due(&self) -> bool {
        let lease = self.lease.as_ref().filter(|_| !self.stands_still());
        lease.is_some_and(|lease| lease.deadline() <= at(self.clock))
    }

    /// What a look sees is what there is in the tick in which it is asked.
    fn looks(&self) -> bool {
        self.look.is_some_and(|look| look.asked_at == self.clock) && !self.paused
    }

    fn authority(&self) -> Option<Authority> {
        self.lease.as_ref()?.authority()
    }
}

impl State {
    /// Both are up, their quarantine is over, nobody stands.
    pub(crate) fn new(bounds: Bounds) -> Self {
        let node = |reach| Node {
            lease: None,
            boots: 0,
            told: false,
            frozen: false,
            paused: false,
            hangs: false,
            turn: None,
            late: false,
            stored: Epoch::default(),
            clock: 0,
            lag: 0,
            gate: 0,
            opened: false,
            slow: false,
            look: None,
            reach,
            answers: 0,
            record: Record::default(),
        };
        let mut state = Self {
            bounds,
            nodes: bounds.reach.map(node),
            sent: Vec::new(),
            parted: false,
            gap: false,
            unseen: false,
            holders: [None; 3],
            flips: bounds.flips,
            cuts: bounds.cuts,
            crashes: bounds.crashes,
            handovers: bounds.handovers,
            slow: bounds.slow,
            freezes: bounds.freezes,
            hangs: bounds.hangs,
            pauses: bounds.pauses,
            ticks_left: bounds.horizon * (1 + u64::from(bounds.skewed)),
            widowed: false,
        };
        for id in 0..2 {
            // Nothing is sent before anybody stands.
            assert_eq!(state.boot(id), Ok(()));
            let node = &mut state.nodes[usize::from(id)];
            let moved = |lease: Lease| lease.moved(at(bounds.promise()), at(0));
            node.lease = node.lease.take().map(moved);
        }
        state
    }

    /// Node 0 holds by the vote of the other one.
    pub(crate) fn held(bounds: Bounds) -> Self {
        let mut state = Self::new(bounds);
        assert_eq!(state.apply(Action::Stand(0)), Ok(()));
        for to in [1, 0] {
            let of = |message: &&Message| match message {
                Message::Request(from, _) | Message::Granted(from, ..) => *from != to,
                _ => false,
            };
            let message = state.sent.iter().rfind(of).copied();
            let taken = message.map(|message| state.apply(Action::Arrive(message, to)));
            assert_eq!(taken, Some(Ok(())));
        }
        assert_eq!(state.apply(Action::Stand(1)), Ok(()));
        assert!(state.answering().eq([0]));
        state.sent.clear();
        state
    }

    /// Node 0 has died, and stays dead.
    pub(crate) fn widowed(bounds: Bounds) -> Self {
        let mut state = Self::new(bounds);
        state.nodes[0].lease = None;
        state.widowed = true;
        state
    }

    /// Who answers by its clock and gate.
    pub(crate) fn answering(&self) -> impl Iterator<Item = NodeId> + '_ {
        let nodes = (0..).zip(&self.nodes);
        nodes.filter(|(_, node)| node.answers()).map(|(id, _)| id)
    }

    pub(crate) fn runs(&self, id: NodeId) -> bool {
        self.nodes[usize::from(id)].lease.is_some()
    }

    pub(crate) fn reaches(&self, id: NodeId) -> bool {
        self.nodes[usize::from(id)].reach
    }

    /// It answers, and by its own vote alone.
    pub(crate) fn is_alone(&self, id: NodeId) -> bool {
        let node = &self.nodes[usize::from(id)];
        node.answers() && node.record.alone
    }

    /// Law 8: the old gate is closed first.
    fn boot(&mut self, id: NodeId) -> Result<(), String> {
        let settings = settings(self.bounds, id);
        let node = &mut self.nodes[usize::from(id)];
        node.boots += 1;
        (node.lag, node.opened) = (0, false);
        (node.gate, node.slow, node.look) = (0, false, None);
        node.record = Record::default();
        // Nobody else knows what the boot before asked.
        node.answers = u64::from(node.reach);
        let boot = Boot {
            id: boot_id(id, node.boots),
            stored: node.stored,
            longest: Duration::ZERO,
            nonce: 0,
        };
        let mut said = Effects::new();
        node.lease = Some(Lease::new(settings, boot, at(node.clock), &mut said));
        self.carry_out_all(id, said)
    }

    fn step(&mut self, id: NodeId, event: Event) -> Result<(), String> {
        let node = &mut self.nodes[usize::from(id)];
        let mut said = Effects::new();
        let now = node.now();
        if let Some(lease) = &mut node.lease {
            lease.step(now, event, &mut said);
        }
        node.lag = node.read_ago();
        // A refusal that teaches nothing is not sent.
        let dull = |effect: &Effect| match (effect, event) {
            (Effect::Refuse(_, _, floor), Event::Request(_, request)) => *floor <= request.epoch,
            _ => false,
        };
        said.retain(|effect| !dull(effect));
        self.carry_out_all(id, said)?;
        // What else it does in this turn, it does by the time of now.
        self.nodes[usize::from(id)].late = false;
        let record = &mut self.nodes[usize::from(id)].record;
        // Whoever has company counts on that, unless it serves alone.
        record.solo &= !record.has_company || record.alone;
        let node = &self.nodes[usize::from(id)];
        match event {
            // Still to be answered.
            Event::Confirm => Ok(()),
            _ if node.slow || node.gate > 0 || node.look.is_some() => Ok(()),
            _ => self.on(id),
        }
    }

    fn carry_out_all(&mut self, id: NodeId, said: Effects) -> Result<(), String> {
        said.into_iter()
            .try_for_each(|effect| self.carry_out(id, effect))
    }

    fn carry_out(&mut self, id: NodeId, effect: Effect) -> Result<(), String> {
        let node = &mut self.nodes[usize::from(id)];
        match effect {
            Effect::Request(request) => {
                let until = (node.clock + L).saturating_sub(node.read_ago());
                node.record.asked.push((request.nonce, until));
                node.record.last = request.nonce;
                self.send(Message::Request(id, request));
            }
            Effect::Grant(to, boot, nonce) => {
                if node.answers() {
                    return Err(format!("{id} grants while its gate is open"));
                }
                node.record.asked.clear();
                self.send(Message::Granted(id, to, boot, nonce));
            }
            Effect::Refuse(to, why, floor) => self.send(Message::Refused(id, to, why, floor)),
            Effect::Resign(resign) => self.send(Message::Resign(id, resign)),
            Effect::Persist(mark) => {
                node.stored = node.stored.max(mark);
                return self.step(id, Event::Persisted(mark));
            }
            Effect::Lost(_) => {
                (node.gate, node.opened, node.look) = (0, false, None);
                let record = &mut node.record;
                (record.granted, record.alone) = (0, false);
                record.asked.clear();
            }
            Effect::Authority(own) => {
                node.record.alone = own.alone;
                // What has ended is not begun anew: the agent gives up.
                if node.opened && node.is_open() {
                    node.gate = ticks(own.until);
                }
            }
            Effect::Look(ticket) => {
                node.record.last = ticket;
                node.look = Some(Look {
                    ticket,
                    asked_at: node.clock,
                    answered: false,
                    met: false,
                });
            }
            Effect::Confirmed => {
                if let Some(own) = node.authority() {
                    self.open(id, own);
                }
            }
            Effect::Announce => {}
            Effect::Contend(..) | Effect::Withdraw(_) => {
                return Err(format!("{effect:?} without an arbiter"));
            }
        }
        Ok(())
    }

    fn open(&mut self, id: NodeId, own: Authority) {
        let node = &mut self.nodes[usize::from(id)];
        (node.gate, node.opened, node.slow) = (ticks(own.until), true, false);
        if node.is_open() && self.holders[0] != Some(id) {
            self.holders = [Some(id), self.holders[0], self.holders[1]];
        }
    }

    fn arrive(&mut self, message: Message, to: NodeId) -> Result<(), String> {
        let node = &mut self.nodes[usize::from(to)];
        let own = boot_id(to, node.boots);
        // An answer to an earlier boot is no word for this one.
        node.record.has_company |= match message {
            Message::Granted(_, _, boot, _) => boot == own,
            _ => true,
        };
        let event = match message {
            Message::Request(from, request) => Event::Request(from, request),
            Message::Granted(from, _, boot, nonce) => {
                let mut asked = node.record.asked.iter();
                let until = asked.find(|asked| asked.0 == nonce && boot == own);
                let until = until.map_or(0, |asked| asked.1);
                node.record.granted = node.record.granted.max(until);
                Event::Granted(from, boot, nonce)
            }
            Message::Refused(from, _, why, floor) => Event::refused(from, why, floor),
            Message::Resign(from, resign) => Event::Resign(from, resign),
        };
        self.step(to, event)
    }

    /// The one before of its kind is lost for good.
    fn send(&mut self, message: Message) {
        self.sent.retain(|old| kind(old) != kind(&message));
        self.sent.push(message);
        self.sent.sort_unstable();
    }

    fn look_ends(&mut self, id: NodeId) -> Result<(), String> {
        let event = match self.nodes[usize::from(id)].look.take() {
            None => return Ok(()),
            Some(Look {
                ticket,
                answered,
                met,
                ..
            }) => match met && !answered {
                true => Event::Probed(ticket),
                false => Event::Looked(ticket, answered),
            },
        };
        self.step(id, event)
    }

    /// Who took long looks once more, where the core wants it; who did not is open already.
    fn on(&mut self, id: NodeId) -> Result<(), String> {
        let node = &mut self.nodes[usize::from(id)];
        let must = |lease: &Lease| lease.must_confirm(node.now());
        match (node.lease.as_ref().is_some_and(must), node.authority()) {
            (true, _) => self.step(id, Event::Confirm),
            (false, Some(own)) => {
                self.open(id, own);
                Ok(())
            }
            (false, None) => Ok(()),
        }
    }

    /// A promotion whose addresses are not on yet. On the own vote less than a tick is none: a look of the
    /// other one takes longer.
    fn may_go_on(&self, node: &Node) -> bool {
        let Some(lease) = &node.lease else {
            return false;
        };
        let waits = node.gate == 0 && node.look.is_none();
        let takes_long = |own: Authority| !own.alone || lease.must_confirm(at(node.clock));
        waits && node.authority().is_some_and(takes_long)
    }

    fn watch(&mut self) {
        if self.parted {
            return;
        }
        let is_missed = |me: usize, peer: usize| {
            let (me, peer) = (&self.nodes[me], &self.nodes[peer]);
            me.looks() && peer.is_open() && peer.paused
        };
        let are_proven = self.nodes.iter().all(Node::is_proven);
        self.unseen |= are_proven && (is_missed(0, 1) || is_missed(1, 0));
        let met = self.nodes.iter().all(Node::looks);
        let answer = [1, 0].map(|peer: usize| self.nodes[peer].answers());
        for (me, answer) in self.nodes.iter_mut().zip(answer) {
            let looks = me.looks();
            if let Some(look) = me.look.as_mut().filter(|_| looks) {
                look.answered |= answer;
                look.met |= met;
            }
        }
    }

    fn tick(&mut self, id: NodeId) {
        let node = &mut self.nodes[usize::from(id)];
        node.clock += 1;
        let stands_still = node.stands_still();
        node.lag += u64::from(stands_still);
        let asks = node.reach && !stands_still;
        node.answers = (node.answers << 1 | u64::from(asks)) & ((1 << L) - 1);
    }

    fn may_tick(&self, id: NodeId) -> bool {
        let slowest = self.nodes.iter().map(|node| node.clock).min();
        let node = &self.nodes[usize::from(id)];
        match self.bounds.skewed {
            _ if self.ticks_left == 0 => false,
            true => slowest == Some(node.clock) && !node.is_due(),
            false => id == 0 && !self.nodes.iter().any(Node::is_due),
        }
    }

    fn crash(&mut self, id: NodeId) {
        self.crashes[usize::from(id)] -= 1;
        let node = &mut self.nodes[usize::from(id)];
        (node.lease, node.look) = (None, None);
        (node.slow, node.frozen, node.turn) = (false, false, None);
    }

    fn flip(&mut self, id: NodeId) {
        self.flips[usize::from(id)] -= 1;
        let node = &mut self.nodes[usize::from(id)];
        node.reach = !node.reach;
        node.answers |= u64::from(node.reach && !node.stands_still());
    }

    fn prove(&mut self, id: NodeId, ago: u64) -> Result<(), String> {
        let node = &mut self.nodes[usize::from(id)];
        let ago = ago + node.read_ago();
        let until = (node.clock + L).saturating_sub(ago);
        node.record.proven = node.record.proven.max(until);
        (node.record.solo, node.record.was_proven) = (false, true);
        let asked_at = node.ago(ago);
        self.step(id, Event::Proven(asked_at))
    }

    fn actions_of(&self, id: NodeId, node: &Node, actions: &mut Vec<Action>) {
        if self.may_tick(id) {
            actions.push(Action::Tick(id));
        }
        if self.flips[usize::from(id)] > 0 {
            actions.push(Action::Flip(id));
        }
        if node.lease.is_none() {
            if !self.widowed {
                actions.push(Action::Restart(id));
            }
            return;
        }
        if node.paused || self.pauses[usize::from(id)] > 0 {
            actions.push(Action::Pause(id));
        }
        if node.paused {
            return;
        }
        if node.frozen || self.freezes[usize::from(id)] > 0 {
            actions.push(Action::Freeze(id));
        }
        if node.frozen {
            return;
        }
        if node.is_due() {
            actions.push(Action::Wake(id));
        }
        if !node.told {
            actions.push(Action::Stand(id));
        }
        let asked = (0..L).filter(|ago| node.answers >> ago & 1 == 1);
        let tells = asked.filter(|ago| node.clock + L > node.record.proven + ago);
        actions.extend(tells.map(|ago| Action::Answer(id, ago)));
        if node.look.is_some() {
            actions.push(Action::LookEnds(id));
        }
        if self.slow > 0 && !node.slow && node.authority().is_none() {
            actions.push(Action::Slow(id));
        }
        if node.slow && self.may_go_on(node) {
            actions.push(Action::On(id));
        }
        if self.handovers > 0 && node.answers() {
            actions.extend([Action::HandOver(id), Action::Stop(id)]);
        }
        if self.bounds.solo && !node.record.solo && !node.record.was_proven {
            actions.push(Action::Solo(id));
        }
        if self.crashes[usize::from(id)] > 0 {
            actions.push(Action::Crash(id));
        }
    }

    fn happens(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Tick(id) => {
                self.ticks_left -= 1;
                match self.bounds.skewed {
                    true => self.tick(id),
                    false => [0, 1].into_iter().for_each(|id| self.tick(id)),
                }
            }
            Action::Wake(id) => self.step(id, Event::Time)?,
            Action::Stand(id) => {
                self.nodes[usize::from(id)].told = true;
                self.step(id, Event::Stand)?;
            }
            Action::Arrive(message, to) => self.arrive(message, to)?,
            Action::Answer(id, ago) => self.prove(id, ago)?,
            Action::Flip(id) => self.flip(id),
            Action::Cut => {
                self.cuts -= 1;
                self.parted = !self.parted;
            }
            Action::LookEnds(id) => self.look_ends(id)?,
            Action::Slow(id) => {
                self.slow -= 1;
                self.nodes[usize::from(id)].slow = true;
            }
            Action::On(id) => self.on(id)?,
            Action::HandOver(id) => {
                self.handovers -= 1;
                self.step(id, Event::HandOver(1 - id))?;
            }
            Action::Stop(id) => {
                self.handovers -= 1;
                self.nodes[usize::from(id)].told = false;
                self.step(id, Event::Rest)?;
            }
            Action::Solo(id) => {
                let record = &mut self.nodes[usize::from(id)].record;
                record.solo = !record.has_company;
                self.step(id, Event::Solo)?;
            }
            Action::Freeze(id) => self.freeze(id)?,
            Action::Hang(id) => {
                self.hangs[usize::from(id)] -= 1;
                self.nodes[usize::from(id)].hangs = true;
            }
            Action::Pause(id) => self.pause(id),
            Action::Crash(id) => self.crash(id),
            Action::Restart(id) => {
                self.boot(id)?;
                self.nodes[usize::from(id)].told = true;
                self.step(id, Event::Stand)?;
            }
        }
        Ok(())
    }

    /// It stands still between two turns, or goes on: with the turn, if it is in one.
    fn freeze(&mut self, id: NodeId) -> Result<(), String> {
        let node = &mut self.nodes[usize::from(id)];
        node.frozen = !node.frozen;
        if node.frozen {
            self.freezes[usize::from(id)] -= 1;
            return Ok(());
        }
        node.answers |= u64::from(node.reach);
        let Some(turn) = node.turn.take() else {
            return Ok(());
        };
        node.late = true;
        self.happens(turn)?;
        self.nodes[usize::from(id)].late = false;
        Ok(())
    }

    fn pause(&mut self, id: NodeId) {
        let node = &mut self.nodes[usize::from(id)];
        node.paused = !node.paused;
        node.answers |= u64::from(node.reach && !node.stands_still());
        self.pauses[usize::from(id)] -= u8::from(node.paused);
    }

    /// Whoever has a turn may stand still within it; that is then what happens next.
    fn hang_in(&self, actions: &mut Vec<Action>) {
        for (id, node) in (0..).zip(&self.nodes) {
            let is_turn = |action: &Action| action.turn_of() == Some(id);
            if node.hangs {
                actions.retain(is_turn);
                return;
            }
            let may = self.hangs[usize::from(id)] > 0 && node.lag == 0;
            if may && actions.iter().any(is_turn) {
                actions.push(Action::Hang(id));
            }
        }
    }

    /// Whoever is to stand still within this turn, does.
    fn hangs_in(&mut self, action: Action) -> bool {
        let Some(node) = self.nodes.iter_mut().find(|node| node.hangs) else {
            return false;
        };
        (node.hangs, node.frozen, node.turn) = (false, true, Some(action));
        true
    }

    /// All times relative to the slower clock; what is over is over.
    fn normalise(&mut self) {
        let slowest = self.nodes.iter().map(|node| node.clock).min().unwrap_or(0);
        for node in &mut self.nodes {
            let now = node.clock;
            let end = |end: u64| if end <= now { 0 } else { end - slowest };
            node.gate = end(node.gate);
            node.record.granted = end(node.record.granted);
            node.record.asked.retain(|asked| asked.1 > now);
            let asked = node.record.asked.iter_mut();
            asked.for_each(|asked| asked.1 = end(asked.1));
            node.clock -= slowest;
            let clock = node.clock;
            node.record.proven = end(node.record.proven);
            let lag = Duration::from_nanos(node.lag * TICK);
            let moved = |lease: Lease| lease.moved(at(now) - lag, at(clock) - lag);
            node.lease = node.lease.take().map(moved);
            if let Some(look) = &mut node.look {
                look.asked_at = match look.asked_at == now {
                    true => clock,
                    false => u64::MAX,
                };
            }
        }
    }

    fn check(&mut self) -> Result<(), String> {
        self.gap |= self.parted && self.nodes.iter().all(Node::is_proven);
        for (id, node) in self.nodes.iter().enumerate() {
            let own = node.record.asked.last().map_or(0, |asked| asked.1);
            let own = match node.record.solo {
                true => own,
                false => own.min(node.record.proven),
            };
            if node.is_open() && node.gate > node.record.granted.max(own) {
                return Err(format!("{id} answers beyond its proof"));
            }
            let until = node.authority().map_or(0, |own| ticks(own.until));
            if node.gate > 0 && node.lease.is_some() && node.gate != until {
                return Err(format!(
                    "{id} believes {until}, its gate says {}",
                    node.gate
                ));
            }
        }
        match self.answering().count() {
            2 if !self.gap && !self.unseen => Err("S1: two answer".into()),
            _ => Ok(()),
        }
    }
}

fn boot_id(id: NodeId, boots: u8) -> BootId {
    BootId(u128::from(id) << 8 | u128::from(boots))
}

fn kind(message: &Message) -> (u8, NodeId) {
    match message {
        Message::Request(from, _) => (0, *from),
        Message::Granted(from, ..) => (1, *from),
        Message::Refused(from, ..) => (2, *from),
        Message::Resign(from, _) => (3, *from),
    }
}

fn settings(bounds: Bounds, me: NodeId) -> Settings {
    Settings {
        group: 1,
        me,
        priority: 100 - me,
        voters: Voters {
            nodes: 0b11,
            witnesses: 0,
            arbiter: false,
            hash: 7,
        },
        lease: Duration::from_nanos(L * TICK),
        // As few misses as the file may say: four.
        interval: Duration::from_nanos(TICK / 2),
        // 2 ticks of 100 ms, 2 %, this and 20 ms are the promise.
        granularity: Duration::from_millis(bounds.promise() * 100 - 224),
        reference: true,
        always: false,
    }
}

impl World for State {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (id, node) in (0..).zip(&self.nodes) {
            self.actions_of(id, node, &mut actions);
        }
        if self.cuts > 0 {
            actions.push(Action::Cut);
        }
        for message in &self.sent {
            for to in 0..2 {
                let node = &self.nodes[usize::from(to)];
                if node.lease.is_some() && !node.stands_still() && concerns(message, to) {
                    actions.push(Action::Arrive(*message, to));
                }
            }
        }
        self.hang_in(&mut actions);
        actions
    }

    fn apply(&mut self, action: Action) -> Result<(), String> {
        if !self.hangs_in(action) {
            self.happens(action)?;
        }
        self.watch();
        let checked = self.check();
        self.normalise();
        checked
    }

    fn within_bounds(&self) -> bool {
        let asks = self.nodes.iter().zip(self.bounds.questions);
        let few = |(node, most): (&Node, Nonce)| node.record.last <= most;
        asks.into_iter().all(few) && (self.bounds.gap || !self.gap && !self.unseen)
    }

    fn sort(action: Action) -> u64 {
        let (sort, id) = match action {
            Action::Tick(id) => (0, id),
            Action::Wake(id) => (1, id),
            Action::Stand(id) => (2, id),
            Action::Arrive(Message::Request(..), id) => (3, id),
            Action::Arrive(Message::Granted(..), id) => (4, id),
            Action::Arrive(_, id) => (5, id),
            Action::Answer(id, _) => (6, id),
            Action::Flip(id) => (7, id),
            Action::Cut => (8, 0),
            Action::LookEnds(id) => (9, id),
            Action::Slow(id) | Action::On(id) => (10, id),
            Action::HandOver(id) | Action::Stop(id) => (11, id),
            Action::Solo(id) => (12, id),
            Action::Freeze(id) | Action::Hang(id) => (14, id),
            Action::Pause(id) => (15, id),
            Action::Crash(id) | Action::Restart(id) => (13, id),
        };
        8 * sort + u64::from(id)
    }
}
