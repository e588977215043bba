//! An arbiter that votes for one node at a time, for as long as its lease: what stands for the disk lock where groups
//! speak VRRP. (The lock itself is simulated with the native pair.)

use std::time::Duration;

use floatlock::core::lease::{self, Nonce};
use floatlock::core::{Effect, Event, Instant};

use super::dice::Dice;
use super::scenario::{Fault, Mood, Scenario};
use super::world::{MICRO, What, World};

/// Renewals in a lease.
const RENEWALS: u32 = 8;
/// Clocks of nodes agree on rates here; between two of its beats nothing is decided.
const MARGIN: Duration = Duration::from_millis(1);

pub(crate) struct Arbiter {
    lease: Duration,
    /// Who has the vote, or had it and may not have laid it down.
    holder: Option<usize>,
    /// Until when that one may act on it, of the world's clock.
    ends: Instant,
    /// By node.
    desks: Vec<Desk>,
}

#[derive(Clone, Debug, Default)]
struct Desk {
    ticket: Option<Nonce>,
    /// Its addresses may be on by a vote of before.
    owes: bool,
    /// It does not reach the arbiter until then.
    fails_until: Instant,
    /// It was told that the vote is lost.
    is_lost: bool,
    /// It was told that it reaches the arbiter.
    is_sound: bool,
}

/// What happens at the arbiter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    /// It looks who has been silent for too long, and who asks.
    Beat,
    Contend(Nonce),
    Withdraw(Nonce),
    /// The addresses are verified off.
    Off,
}

/// The same cluster with an arbiter: behind gates, without an owner, and not in calm.
pub(crate) fn draw(seed: u64) -> (Scenario, Dice) {
    let seeds = (0..).map(|nth| seed ^ nth << 40);
    let mut all = seeds.map(Scenario::draw);
    let is_fit = |(scenario, _): &(Scenario, Dice)| {
        let is_gated = scenario.settings.iter().all(|one| one.lease.is_some());
        is_gated && scenario.mood != Mood::Calm
    };
    let (mut scenario, mut dice) = all.find(is_fit).expect("one of three is");
    scenario.seed = seed;
    add(&mut scenario, &mut dice);
    (scenario, dice)
}

pub(crate) fn add(scenario: &mut Scenario, dice: &mut Dice) {
    for settings in &mut scenario.settings {
        settings.arbiter = true;
    }
    scenario.faults.extend([Fault::Arbiter; 3]);
    let beat = super::scenario::longest_interval(&scenario.settings);
    scenario.arbiter = Some(dice.spread(beat * 3, beat * 20));
}

impl Arbiter {
    pub(crate) fn new(nodes: usize, lease: Duration) -> Self {
        Self {
            lease,
            holder: None,
            ends: Instant::default(),
            desks: vec![Desk::default(); nodes],
        }
    }

    /// Within so long after all is healed somebody has the vote who asks for it.
    pub(crate) fn settles_within(&self) -> Duration {
        self.lease * 3
    }

    fn may_hold(&self, node: usize, now: Instant) -> bool {
        self.holder == Some(node) && now < self.ends
    }
}

impl World {
    pub(crate) fn start_arbiter(&mut self) {
        if let Some(lease) = self.scenario.arbiter {
            self.arbiter = Some(Arbiter::new(self.hosts.len(), lease));
            self.after(lease / RENEWALS, What::Arbiter(0, 0, At::Beat));
        }
    }

    /// Nobody reaches it, or one node does not.
    pub(crate) fn cut_arbiter(&mut self, node: usize, until: Instant) {
        let all = self.dice.coin();
        if let Some(arbiter) = &mut self.arbiter {
            for (at, desk) in arbiter.desks.iter_mut().enumerate() {
                if all || at == node {
                    desk.fails_until = desk.fails_until.max(until);
                }
            }
            self.saw("arbiter lost");
        }
    }

    pub(crate) fn heal_arbiter(&mut self) {
        let now = self.now;
        for desk in self.arbiter.iter_mut().flat_map(|one| &mut one.desks) {
            desk.fails_until = now;
        }
    }

    /// A new agent has asked for nothing, and what the one before held is off when it says so.
    pub(crate) fn begin_at_arbiter(&mut self, node: usize) {
        if let Some(arbiter) = &mut self.arbiter {
            let desk = &mut arbiter.desks[node];
            (desk.ticket, desk.owes, desk.is_sound) = (None, true, false);
        }
    }

    /// What a group says to it, on its way; and what it must not do without its vote.
    pub(crate) fn plead(&mut self, node: usize, effect: Effect) {
        let Some(arbiter) = &self.arbiter else {
            return;
        };
        let may_hold = arbiter.may_hold(node, self.now);
        let ends = self.hosts[node].clock(arbiter.ends);
        let at = match effect {
            Effect::Contend(ticket, _) => At::Contend(ticket),
            Effect::Withdraw(ticket) => At::Withdraw(ticket),
            Effect::Disarm => At::Off,
            Effect::Warrant(until) => {
                let law =
                    "nobody says that the arbiter speaks for it for longer than its vote lasts";
                let is_over = until <= self.hosts[node].clock(self.now);
                let is_kept = is_over || may_hold && until <= ends;
                return self.uphold(node, is_kept.then_some(()).ok_or(law.to_owned()));
            }
            Effect::Acquire(_) => {
                let law = "nobody claims without the arbiter's vote";
                return self.uphold(node, may_hold.then_some(()).ok_or(law.to_owned()));
            }
            _ => return,
        };
        let boot = self.boot(node);
        // In the order in which they were said.
        self.after(MICRO * 50, What::Arbiter(node, boot, at));
    }

    pub(crate) fn at_arbiter(&mut self, node: usize, boot: u32, at: At) {
        if matches!(at, At::Beat) {
            return self.arbiter_beats();
        }
        let is_there = self.boot(node) == boot;
        let Some(arbiter) = self.arbiter.as_mut().filter(|_| is_there) else {
            return;
        };
        let desk = &mut arbiter.desks[node];
        let mut broken = None;
        match at {
            At::Contend(ticket) => {
                if desk.ticket.is_some_and(|old| old != ticket) {
                    broken = Some("a group has one ticket at a time");
                }
                (desk.ticket, desk.is_lost) = (Some(ticket), false);
            }
            At::Withdraw(ticket) => {
                if desk.ticket != Some(ticket) {
                    broken = Some("what is given back was asked for");
                }
                desk.ticket = None;
                desk.owes |= self.hosts[node].kernel.on != 0;
            }
            At::Off => desk.owes = false,
            At::Beat => {}
        }
        if let Some(law) = broken {
            self.uphold(node, Err(law.to_owned()));
        }
        self.saw("arbiter asked");
        self.free_arbiter();
    }

    /// Who has laid everything down needs not be waited for.
    fn free_arbiter(&mut self) {
        if let Some(arbiter) = &mut self.arbiter
            && let Some(holder) = arbiter.holder
        {
            let desk = &arbiter.desks[holder];
            if desk.ticket.is_none() && !desk.owes {
                arbiter.holder = None;
            }
        }
    }

    fn arbiter_beats(&mut self) {
        let Some(arbiter) = &self.arbiter else {
            return;
        };
        let (lease, holder, ends) = (arbiter.lease, arbiter.holder, arbiter.ends);
        self.after(lease / RENEWALS, What::Arbiter(0, 0, At::Beat));
        (0..self.hosts.len()).for_each(|node| self.tell_of_soundness(node));
        match holder {
            Some(node) if self.reaches_arbiter(node) && self.now < ends => self.vote_for(node),
            Some(node) if self.now >= ends => {
                self.tell_loss(node);
                if self.now >= ends + MARGIN {
                    self.elect();
                }
            }
            Some(_) => {}
            None => self.elect(),
        }
    }

    /// It asks, its agent runs, and nothing is between them.
    fn reaches_arbiter(&self, node: usize) -> bool {
        let (host, arbiter) = (&self.hosts[node], self.arbiter.as_ref());
        let desk = arbiter.map(|arbiter| &arbiter.desks[node]);
        let reaches =
            desk.is_some_and(|desk| desk.ticket.is_some() && desk.fails_until <= self.now);
        reaches && host.agent.is_some() && host.frozen.is_none_or(|freeze| !freeze.whole)
    }

    fn elect(&mut self) {
        let nodes: Vec<usize> = (0..self.hosts.len())
            .filter(|node| self.reaches_arbiter(*node))
            .collect();
        if !nodes.is_empty() {
            let node = self.dice.pick(&nodes);
            self.vote_for(node);
        }
    }

    fn vote_for(&mut self, node: usize) {
        let now = self.now;
        let Some(arbiter) = &mut self.arbiter else {
            return;
        };
        let until = now + arbiter.lease;
        (arbiter.holder, arbiter.ends) = (Some(node), until);
        let desk = &mut arbiter.desks[node];
        desk.is_lost = false;
        let Some(ticket) = desk.ticket else {
            return;
        };
        let until = self.hosts[node].clock(until);
        self.saw("arbiter votes");
        self.send_command(node, Event::Vote(lease::Event::Arbiter(ticket, until)));
    }

    fn tell_of_soundness(&mut self, node: usize) {
        let (now, runs) = (self.now, self.hosts[node].agent.is_some());
        let Some(arbiter) = self.arbiter.as_mut().filter(|_| runs) else {
            return;
        };
        let desk = &mut arbiter.desks[node];
        let is_sound = desk.fails_until <= now;
        if std::mem::replace(&mut desk.is_sound, is_sound) != is_sound {
            self.send_command(node, Event::ArbiterSound(is_sound));
        }
    }

    fn tell_loss(&mut self, node: usize) {
        let Some(arbiter) = &mut self.arbiter else {
            return;
        };
        let desk = &mut arbiter.desks[node];
        if let Some(ticket) = desk.ticket.filter(|_| !desk.is_lost) {
            desk.is_lost = true;
            self.send_command(node, Event::Vote(lease::Event::ArbiterLost(ticket)));
        }
    }
}
