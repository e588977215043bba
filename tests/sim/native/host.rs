//! What is a host made of? A clock, a kernel that has addresses and gates whether an agent runs or
//! not, a disk, and an agent with its queues.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use floatlock::core::lease::{BootId, Epoch};
use floatlock::core::mesh::Mesh;
use floatlock::core::right::Right;
use floatlock::core::{Event, Group, Instant, Say, Settings, Term};

use super::clock::Clock;
use super::disk::{Clerk, Stake};
use super::laws::Ledger;
use super::reference::View;
use super::scenario::{ADDRESSES, VOTERS};
use super::wire::Frame;
use crate::gate::Gate;

/// What the kernel knows of one group.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    /// The addresses are on.
    pub(crate) on: bool,
    pub(crate) gate: Gate,
}

/// One group in an agent.
pub(crate) struct Slot {
    pub(crate) group: Group,
    pub(crate) right: Right<Gate>,
    pub(crate) jobs: VecDeque<Job>,
    /// Numbers what the actuator works on.
    pub(crate) work: u32,
    pub(crate) ledger: Ledger,
    /// The look that goes on.
    pub(crate) look: Option<Look>,
    /// It holds by its own vote alone, and its addresses are going on: whoever looks now is told so.
    pub(crate) guards: bool,
    pub(crate) stake: Stake,
    /// Scripts for a promotion run under this number; they have said yes.
    pub(crate) promoting: Option<u64>,
    pub(crate) prepared: bool,
}

/// A question whether anybody answers, and what is known so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) ticket: u64,
    pub(crate) answered: bool,
    /// Somebody else looks, or is about to hold.
    pub(crate) probed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Acquire,
    Release,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) change: Change,
    pub(crate) term: Term,
}

/// Where in a turn of the heartbeat thread the agent stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Listen,
    Obey,
    Pass,
    Speak,
    Settle,
}

/// The running agent.
pub(crate) struct Agent {
    pub(crate) boot: BootId,
    pub(crate) slots: Vec<Slot>,
    pub(crate) mesh: Mesh,
    pub(crate) beat_at: Instant,
    pub(crate) told_all_at: Instant,
    pub(crate) spoke_at: Instant,
    pub(crate) answer: bool,
    pub(crate) has_news: bool,
    pub(crate) has_sent: bool,
    pub(crate) says: Vec<(usize, Say)>,
    pub(crate) looks: Vec<(usize, u64)>,
    pub(crate) inbox: VecDeque<(Option<usize>, Event)>,
    /// By path: what the sockets hold, with the time at which it came.
    pub(crate) ears: Vec<VecDeque<(Instant, Rc<Frame>)>>,
    /// A freeze that will hit at that stage of the next turn, the time read before it or after.
    pub(crate) trap: Option<(Stage, bool, Duration)>,
    /// Where a turn goes on that was cut off, and the time that it had read.
    pub(crate) cut_off: Option<(Stage, Option<Instant>)>,
    /// Everything that came until then was heard in this turn.
    pub(crate) heard_until: Instant,
    /// When in the world the timer goes off.
    pub(crate) timer_at: Instant,
    pub(crate) stopping: bool,
    pub(crate) voters: u64,
}

pub(crate) struct Host {
    pub(crate) clock: Clock,
    pub(crate) kernel: Vec<Kernel>,
    /// By how much the gates shut late.
    pub(crate) late: Duration,
    /// By group: what is stored durably.
    pub(crate) stored: Vec<Epoch>,
    pub(crate) settings: Vec<Settings>,
    pub(crate) agent: Option<Agent>,
    /// Counts the starts of the agent.
    pub(crate) boots: u32,
    /// Nothing of the agent runs.
    pub(crate) frozen: bool,
    /// Nothing of the host runs, its kernel included.
    pub(crate) paused: bool,
    /// When it was last.
    pub(crate) paused_at: Option<Instant>,
    /// For which groups it might answer then, one bit each.
    pub(crate) held_then: u64,
    pub(crate) is_up: bool,
    pub(crate) has_link: bool,
    /// Out of service, as it is stored.
    pub(crate) maintenance: bool,
    /// What it was told, which may differ from the others for a while.
    pub(crate) addresses: u32,
    pub(crate) voters: u64,
    pub(crate) sluggish_until: Instant,
    pub(crate) failing_until: Instant,
    pub(crate) hung_until: Instant,
    pub(crate) slow_disk_until: Instant,
    /// Started again so long after it has ended.
    pub(crate) returns_after: Option<Duration>,
    /// What came in while the host was paused.
    pub(crate) held: Vec<(usize, Rc<Frame>)>,
    /// Its clock stood still; until then it may answer by what it held before.
    pub(crate) residue_until: Instant,
    pub(crate) reference: View,
    pub(crate) clerk: Clerk,
}

impl Host {
    pub(crate) fn new(clock: Clock, late: Duration, settings: Vec<Settings>) -> Self {
        Self {
            clock,
            kernel: settings.iter().map(|_| Kernel::default()).collect(),
            late,
            stored: vec![Epoch::default(); settings.len()],
            settings,
            agent: None,
            boots: 0,
            frozen: false,
            paused: false,
            paused_at: None,
            held_then: 0,
            is_up: true,
            has_link: true,
            maintenance: false,
            addresses: ADDRESSES,
            voters: VOTERS,
            sluggish_until: Instant::default(),
            failing_until: Instant::default(),
            hung_until: Instant::default(),
            slow_disk_until: Instant::default(),
            returns_after: None,
            held: Vec::new(),
            residue_until: Instant::default(),
            reference: View::default(),
            clerk: Clerk::default(),
        }
    }

    /// Whether somebody who asks for the addresses of a group gets an answer from here.
    pub(crate) fn answers(&self, group: usize, now: Instant) -> bool {
        let kernel = &self.kernel[group];
        let runs = self.is_up && !self.paused && self.has_link;
        runs && kernel.on && !kernel.gate.is_shut(self.clock.local(now) - self.late)
    }

    /// Whether an agent that runs has opened the gate, and has not shut it since.
    pub(crate) fn opens(&self, group: usize) -> bool {
        let runs = self.is_up && !self.paused && !self.frozen && self.has_link;
        let agent = self.agent.as_ref().filter(|_| runs);
        let slot = agent.and_then(|agent| agent.slots.get(group));
        self.kernel[group].on && slot.is_some_and(|slot| slot.right.until().is_some())
    }

    /// The same by the letter of its deadline.
    pub(crate) fn may_answer(&self, group: usize, now: Instant) -> bool {
        let kernel = &self.kernel[group];
        kernel.on && !kernel.gate.is_shut(self.clock.local(now))
    }
}

impl Agent {
    pub(crate) fn is_idle(&self) -> bool {
        self.inbox.is_empty() && self.ears.iter().all(VecDeque::is_empty)
    }

    /// What time it is for a group when everything was heard until `at`.
    pub(crate) fn time(&self, group: usize, now: Instant, at: Instant) -> Instant {
        match self.slots[group].group.listens() {
            true => now.min(at),
            false => now,
        }
    }

    pub(crate) fn is_a_wait_over(&self, now: Instant) -> bool {
        let groups = self.slots.iter().map(|slot| &slot.group);
        groups
            .filter(|group| group.listens())
            .any(|group| group.deadline() <= now)
    }

    pub(crate) fn deadline(&self) -> Instant {
        let of = |slot: &Slot| slot.group.deadline().min(slot.right.ends());
        let groups = self.slots.iter().map(of).min();
        groups.unwrap_or(Instant::NEVER).min(self.beat_at)
    }
}
