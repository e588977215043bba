//! A disk that both nodes of a pair reach, which hangs, fails, tears what is written and comes late. The real
//! counter, desk and lock of the core stand before it, in a thread of each agent.

use std::time::Duration;

use floatlock::core::disk::{self, Counter, DeskEffect, Op, Plea, Record, Sight};
use floatlock::core::lease::{self, GRANULARITY, Nonce};
use floatlock::core::{Event, Instant};

use super::scenario::{Fault, MICRO, MILLI, Mood, Scenario};
use super::world::{What, World};
use crate::dice::Dice;

/// L of the disk, and so many renewals in it.
const RENEWALS: u32 = 8;

/// What is on it, and what is wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// By node.
    slots: Vec<Sight>,
    pub(crate) lease: Duration,
    hangs_until: Instant,
    /// One read or write of twenty takes very long.
    is_slow: bool,
}

/// What a host has to do with it. Instants are of its own clock, but for those that say otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clerk {
    counter: Counter,
    /// What it asks for hangs until then, of the world's clock.
    hangs_until: Instant,
    /// What it reads is of now; it fails until then, of the world's clock.
    fails_until: Instant,
    /// A write of an earlier agent may still land until then, of the world's clock: nobody else writes before.
    strays_until: Instant,
    /// When the last write was asked for that says HELD.
    held_at: Instant,
    /// The last time at which the thread wants to be called, of the world's clock.
    timer_at: Instant,
    /// As the groups were told.
    is_sound: bool,
    /// It was told that no other node is heard.
    silence: bool,
    /// What came while the host stood still is looked at then, of the world's clock.
    behind_until: Instant,
    /// When the last plea arrives, of the world's clock: they come in the order in which they were said.
    pleaded_at: Instant,
}

/// What one group has to do with it, as `agent::slot` keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stake {
    asks: Option<Nonce>,
    owes: bool,
    may_be_on: bool,
    /// Something may be on that the disk's vote allowed, or an earlier agent left: the slot does not say CLEAN.
    allowed: bool,
}

impl Stake {
    /// Left by an agent that died.
    pub(crate) const fn new() -> Self {
        Self {
            asks: None,
            owes: true,
            may_be_on: true,
            allowed: true,
        }
    }
}

/// What happens at the disk, for the thread of one start of an agent.
#[derive(Clone, Debug)]
pub(crate) enum At {
    /// The area is known.
    Open,
    Hears(Plea),
    Timer,
    /// The slot of that node is read, and then the others.
    Reads(Op, usize, Vec<Sight>),
    /// It lands, whole or torn, whoever still waits for it.
    Lands(Op, Record, bool),
    Read(Op, Vec<Sight>),
    Written(Op),
    Failed(Op),
}

/// The same pair, with a disk.
pub(crate) fn add(scenario: &mut Scenario, dice: &mut Dice) {
    // The vote is the node's: two groups could not be held by two nodes.
    scenario.always = scenario.groups == 1 && dice.chance(40);
    for settings in scenario.settings.iter_mut().flatten() {
        if let Some(voting) = &mut settings.native {
            voting.lease.voters.arbiter = true;
            voting.lease.always = scenario.always;
        }
    }
    scenario.faults.extend([Fault::Disk; 4]);
    scenario.faults.extend([Fault::Partition; 2]);
    let times = dice.pick(&[1, 2, 4]);
    scenario.disk = Some((scenario.lease * times).max(MILLI * 400));
}

impl Disk {
    pub(crate) fn new(nodes: usize, lease: Duration) -> Self {
        Self {
            slots: vec![Sight::Slot(Record::default()); nodes],
            lease,
            hangs_until: Instant::default(),
            is_slow: true,
        }
    }

    /// W.
    pub(crate) fn wait(&self) -> Duration {
        lease::promise(self.lease, GRANULARITY)
    }
}

impl World {
    // --- what goes wrong with it ------------------------------------------------------------

    pub(crate) fn harm_disk(&mut self, node: usize, until: Instant) {
        let what = self.dice.below(5);
        let Some(disk) = &mut self.disk else {
            return;
        };
        match what {
            0 => {
                disk.hangs_until = disk.hangs_until.max(until);
                self.saw("disk hangs");
            }
            4 => {
                let clerk = &mut self.hosts[node].clerk;
                clerk.hangs_until = clerk.hangs_until.max(until);
                self.saw("path to the disk hangs");
            }
            1 => {
                disk.slots[node] = Sight::Torn;
                self.saw("slot torn");
            }
            _ => {
                let all = what == 2;
                for (at, host) in self.hosts.iter_mut().enumerate() {
                    if all || at == node {
                        host.clerk.fails_until = host.clerk.fails_until.max(until);
                    }
                }
                self.saw("disk fails");
            }
        }
    }

    pub(crate) fn heal_disk(&mut self) {
        let now = self.now;
        if let Some(disk) = &mut self.disk {
            (disk.hangs_until, disk.is_slow) = (now, false);
        }
        for host in &mut self.hosts {
            host.clerk.fails_until = now;
            host.clerk.hangs_until = now;
        }
    }

    // --- an agent's thread ------------------------------------------------------------------

    /// A new agent knows nothing of what the one before has asked for.
    pub(crate) fn start_clerk(&mut self, node: usize) {
        if self.disk.is_none() {
            return;
        }
        let (now, host) = (self.now, &mut self.hosts[node]);
        let clerk = &mut host.clerk;
        clerk.counter = Counter::default();
        (clerk.silence, clerk.is_sound) = (false, false);
        clerk.timer_at = Instant::NEVER;
        let opens_at = now.max(clerk.strays_until);
        let wait = opens_at.since(now) + self.dice.between(MICRO * 100, MILLI * 5);
        self.disk_after(node, wait, At::Open);
        if self.scenario.always {
            self.plead(node, Plea::Silence(true));
        }
    }

    fn disk_after(&mut self, node: usize, wait: Duration, at: At) {
        let boots = self.hosts[node].boots;
        self.after(wait, What::Disk { node, boots, at });
    }

    pub(crate) fn plead(&mut self, node: usize, plea: Plea) {
        if self.disk.is_some() {
            let at = self.now + self.dice.between(MICRO * 5, MICRO * 100);
            let clerk = &mut self.hosts[node].clerk;
            clerk.pleaded_at = clerk.pleaded_at.max(at);
            let wait = clerk.pleaded_at.since(self.now);
            self.disk_after(node, wait, At::Hears(plea));
        }
    }

    /// The heartbeat thread says whether it hears anybody, when that changes.
    pub(crate) fn note_silence(&mut self, node: usize) {
        let now = self.local(node);
        if self.disk.is_none() || self.scenario.always {
            return;
        }
        let others = (0..self.scenario.voters).filter(|other| *other != node);
        let Some(agent) = self.running(node) else {
            return;
        };
        let mut others = others.filter_map(|other| lease::NodeId::try_from(other).ok());
        let silence = !others.any(|other| agent.mesh.hears(other, now));
        if std::mem::replace(&mut self.hosts[node].clerk.silence, silence) != silence {
            self.plead(node, Plea::Silence(silence));
        }
    }

    pub(crate) fn at_disk(&mut self, node: usize, boots: u32, at: At) {
        if let At::Lands(op, record, whole) = at {
            return self.lands(node, boots, op, record, whole);
        }
        let host = &self.hosts[node];
        if host.boots != boots || host.agent.is_none() {
            return;
        }
        if host.paused || host.frozen {
            // All look again at the next whole millisecond, in the order in which they came.
            let again = Instant::from_nanos((self.now.as_nanos() / 1_000_000 + 1) * 1_000_000);
            self.hosts[node].clerk.behind_until = again;
            return self.at(again, What::Disk { node, boots, at });
        }
        if self.now < host.clerk.behind_until {
            // Nothing overtakes what has waited.
            let again = host.clerk.behind_until;
            return self.at(again, What::Disk { node, boots, at });
        }
        let now = self.local(node);
        let mut said = Vec::new();
        let (boot, settings) = (
            host.agent.as_ref().map(|agent| agent.boot),
            self.settings(node),
        );
        let counter = &mut self.hosts[node].clerk.counter;
        match at {
            At::Open => {
                if let Some((boot, settings)) = boot.zip(settings) {
                    counter.open(settings, boot, now, &mut said);
                }
            }
            At::Hears(plea) => counter.hear(now, plea, &mut said),
            At::Timer => {
                self.hosts[node].clerk.timer_at = Instant::NEVER;
                let counter = &mut self.hosts[node].clerk.counter;
                if counter.deadline() <= now {
                    counter.pass(now, &mut said);
                }
            }
            At::Reads(op, from, sights) => return self.reads(node, op, from, sights),
            At::Read(op, sights) => {
                counter.read(now, op, sights, &mut said);
                self.is_sound(node, true);
            }
            At::Written(op) => counter.written(now, op, &mut said),
            At::Failed(op) => {
                counter.failed(now, op, &mut said);
                self.is_sound(node, false);
            }
            At::Lands(..) => {}
        }
        for effect in said {
            self.desk_says(node, now, effect);
        }
        self.rearm_clerk(node);
    }

    fn is_sound(&mut self, node: usize, is_sound: bool) {
        if std::mem::replace(&mut self.hosts[node].clerk.is_sound, is_sound) != is_sound {
            self.send_command(node, None, Event::ArbiterSound(is_sound));
        }
    }

    fn settings(&self, node: usize) -> Option<disk::Settings> {
        let disk = self.disk.as_ref()?;
        Some(disk::Settings {
            me: disk::SlotId::try_from(node).ok()?,
            lease: disk.lease,
            wait: disk.wait(),
            poll: disk.lease / RENEWALS,
            hurry: (MILLI * 5).min(disk.lease / RENEWALS),
        })
    }

    fn rearm_clerk(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        let deadline = host.clerk.counter.deadline();
        let at = host.clock.world(deadline);
        if deadline == Instant::NEVER || at >= host.clerk.timer_at {
            return;
        }
        host.clerk.timer_at = at;
        let boots = host.boots;
        let at = at.max(self.now);
        self.at(
            at,
            What::Disk {
                node,
                boots,
                at: At::Timer,
            },
        );
    }

    fn desk_says(&mut self, node: usize, now: Instant, effect: DeskEffect) {
        if let Some((group, word)) = effect.word() {
            if let lease::Event::Arbiter(_, until) = word {
                self.saw("disk votes");
                let clerk = &self.hosts[node].clerk;
                let most = clerk.held_at + self.disk.as_ref().map_or(Duration::ZERO, |d| d.lease);
                self.uphold(
                    until <= most,
                    "law 2: the disk's vote counts from before its write",
                );
            }
            let group = usize::try_from(group).unwrap_or(usize::MAX);
            return self.send_command(node, Some(group), Event::Vote(word));
        }
        match effect {
            DeskEffect::Read(op) => {
                let wait = self.disk_takes(node);
                self.disk_after(node, wait, At::Reads(op, 0, Vec::new()));
            }
            DeskEffect::Write(op, record) => self.write(node, now, op, record),
            _ => {}
        }
    }

    /// How long the medium takes, which may be for as long as it hangs.
    fn disk_takes(&mut self, node: usize) -> Duration {
        let hangs = self
            .disk
            .as_ref()
            .map_or(Duration::ZERO, |disk| disk.hangs_until.since(self.now));
        let hangs = hangs.max(self.hosts[node].clerk.hangs_until.since(self.now));
        let is_slow = self.disk.as_ref().is_some_and(|disk| disk.is_slow);
        let most = match self.dice.chance(5) && is_slow {
            true => self.scenario.promise,
            false => MILLI * 3,
        };
        hangs + self.dice.spread(MICRO * 50, most)
    }

    fn is_failing(&self, node: usize) -> bool {
        self.hosts[node].clerk.fails_until > self.now
    }

    fn write(&mut self, node: usize, now: Instant, op: Op, record: Record) {
        match record.hold {
            disk::Hold::Held => self.hosts[node].clerk.held_at = now,
            disk::Hold::Clean => self.is_clean(node),
            disk::Hold::Free => {}
        }
        let wait = self.disk_takes(node);
        let lands_at = self.now + wait;
        let clerk = &mut self.hosts[node].clerk;
        clerk.strays_until = clerk.strays_until.max(lands_at + MICRO);
        let fails = self.is_failing(node);
        // What fails may have landed, or a half of it.
        let (lands, whole) = match fails {
            true => (self.dice.coin(), self.dice.coin()),
            false => (true, true),
        };
        if lands {
            let boots = self.hosts[node].boots;
            let at = At::Lands(op, record, whole);
            self.at(lands_at, What::Disk { node, boots, at });
        }
        if fails {
            let later = self.dice.between(MICRO * 10, MILLI);
            self.disk_after(node, wait + later, At::Failed(op));
        }
    }

    fn is_clean(&mut self, node: usize) {
        let agent = self.hosts[node].agent.as_ref();
        let slots = agent.map_or(&[][..], |agent| &agent.slots);
        let is_clean = !slots.iter().any(|slot| slot.stake.allowed);
        self.uphold(
            is_clean,
            "law 6: a slot is laid down when what it allowed is off",
        );
    }

    /// Whether or not its agent still lives; a host without power may leave half of it.
    fn lands(&mut self, node: usize, boots: u32, op: Op, record: Record, whole: bool) {
        let host = &self.hosts[node];
        let (is_up, lives) = (host.is_up, host.boots == boots && host.agent.is_some());
        let whole = whole && (is_up || self.dice.coin());
        if !is_up && self.dice.coin() {
            return;
        }
        if !lives {
            self.saw("stray write");
        }
        let Some(disk) = &mut self.disk else {
            return;
        };
        disk.slots[node] = match whole {
            true => Sight::Slot(record),
            false => Sight::Torn,
        };
        if lives && !self.is_failing(node) {
            let wait = self.disk_takes(node);
            self.disk_after(node, wait, At::Written(op));
        } else if lives {
            self.disk_after(node, MICRO * 50, At::Failed(op));
        }
    }

    /// One slot after the other, each as it is at its time.
    fn reads(&mut self, node: usize, op: Op, from: usize, mut sights: Vec<Sight>) {
        let Some(disk) = &self.disk else {
            return;
        };
        sights.push(disk.slots[from]);
        let is_last = sights.len() == disk.slots.len();
        let wait = self.disk_takes(node);
        let next = match (is_last, self.is_failing(node)) {
            (_, true) => At::Failed(op),
            (true, false) => At::Read(op, sights),
            (false, false) => At::Reads(op, from + 1, sights),
        };
        self.disk_after(node, wait, next);
    }

    // --- one group of the heartbeat thread, as `agent::slot` does it ------------------------

    pub(crate) fn contend(
        &mut self,
        node: usize,
        group: usize,
        ticket: Nonce,
        epoch: lease::Epoch,
    ) {
        self.saw("disk asked");
        self.stake(node, group, |stake| stake.asks = Some(ticket));
        self.plead(node, Plea::Contend(group as u64, ticket, epoch));
    }

    pub(crate) fn give_back(&mut self, node: usize, group: usize, ticket: Nonce) {
        self.stake(node, group, |stake| (stake.asks, stake.owes) = (None, true));
        self.plead(node, Plea::Withdraw(group as u64, ticket));
        self.settle_with_arbiter(node, group);
    }

    /// A group that has ended gives back what it asked for.
    pub(crate) fn leave_disk(&mut self, node: usize, group: usize) {
        let agent = self.hosts[node].agent.as_ref();
        let asks = agent.and_then(|agent| agent.slots.get(group)?.stake.asks);
        if let Some(ticket) = asks {
            self.give_back(node, group, ticket);
        }
    }

    pub(crate) fn is_on(&mut self, node: usize, group: usize, on: bool) {
        self.stake(node, group, |stake| stake.may_be_on = on);
        if !on {
            self.settle_with_arbiter(node, group);
        }
    }

    /// What the arbiter says to a ticket.
    pub(crate) fn hear_arbiter(&mut self, node: usize, group: usize, event: lease::Event) {
        if let lease::Event::ArbiterFloor(ticket, _) = event {
            self.stake(node, group, |stake| {
                if stake.asks == Some(ticket) {
                    (stake.asks, stake.owes) = (None, true);
                }
            });
        }
        if let lease::Event::Arbiter(ticket, _) = event {
            self.stake(node, group, |stake| {
                stake.allowed |= stake.asks == Some(ticket);
            });
        }
        let now = self.local(node);
        self.step(node, group, now, Event::Vote(event));
        self.settle_with_arbiter(node, group);
    }

    fn settle_with_arbiter(&mut self, node: usize, group: usize) {
        let agent = self.hosts[node].agent.as_mut();
        let Some(slot) = agent.and_then(|agent| agent.slots.get_mut(group)) else {
            return;
        };
        let holds = slot.group.view().authority.is_some();
        if slot.stake.owes && (!slot.stake.may_be_on || holds) {
            (slot.stake.owes, slot.stake.allowed) = (false, false);
            let served = slot.group.view().epoch.unwrap_or_default();
            self.plead(node, Plea::Clean(group as u64, served));
        }
    }

    fn stake(&mut self, node: usize, group: usize, change: impl FnOnce(&mut Stake)) {
        let agent = self.hosts[node].agent.as_mut();
        if let Some(slot) = agent.and_then(|agent| agent.slots.get_mut(group)) {
            change(&mut slot.stake);
        }
    }
}

/// Not the calm ones, whose takeovers are measured without a disk, and no cluster so quick that a lease of the disk
/// would be a hundred of its own.
pub(crate) fn is_fit(scenario: &Scenario) -> bool {
    scenario.voters == 2 && scenario.mood != Mood::Calm && scenario.interval >= MILLI * 20
}
