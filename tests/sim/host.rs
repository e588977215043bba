//! What is a node made of? An agent with its queues, the thread that changes addresses, and the
//! kernel, which has addresses whether an agent runs or not.

use std::collections::VecDeque;
use std::time::Duration;

use floatlock::core::right::Right;
use floatlock::core::{Effect, Event, Facts, Group, Instant, Settings, Term};

use super::gate::Gate;
use super::laws::Ledger;
use super::reference::Sight;

/// What a node hears on a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    /// The node that sent it; `None` for strangers.
    pub(crate) sender: Option<usize>,
    /// Whether the sender may have had addresses on when it sent it.
    pub(crate) holds: bool,
    pub(crate) event: Event,
}

/// The addresses of the group on a node: the first bit is one that every configuration has, the
/// second one that a reload may replace.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kernel {
    pub(crate) on: u8,
    /// Since when some are missing that nobody of ours took off.
    pub(crate) torn_at: Option<Instant>,
}

pub(crate) const ALL: u8 = 0b11;
pub(crate) const KEPT: u8 = 0b01;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Acquire,
    Release,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) change: Change,
    pub(crate) term: Term,
    /// Which list of addresses it is about.
    pub(crate) list: u32,
}

/// A running agent.
pub(crate) struct Agent {
    pub(crate) group: Group,
    /// Where a gate ends it.
    pub(crate) right: Option<Right<Gate>>,
    /// Whether an advert has left the host in this turn.
    pub(crate) has_sent: bool,
    /// Frames that were not read yet, by line, each with its time of arrival.
    pub(crate) ears: Vec<VecDeque<(Instant, Packet)>>,
    /// Commands of the other threads.
    pub(crate) inbox: VecDeque<Event>,
    /// One after the other; the first one is being worked on.
    pub(crate) jobs: VecDeque<Job>,
    /// Counts the works that were begun: what belongs to an older one is void.
    pub(crate) work: u32,
    pub(crate) list: u32,
    /// Whether the monitor is to report addresses that vanish.
    pub(crate) holding: bool,
    pub(crate) stopping: bool,
    pub(crate) timer_at: Instant,
    /// The last one, while it goes on.
    pub(crate) look: Option<Look>,
    pub(crate) ledger: Ledger,
}

/// Asking the network who answers for the addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) ticket: u64,
    pub(crate) answered: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Freeze {
    pub(crate) since: Instant,
    /// Not only the heartbeat thread.
    pub(crate) whole: bool,
    /// The heartbeat thread was stopped after it had listened, and did not come to the rest.
    pub(crate) mid_turn: bool,
}

pub(crate) struct Host {
    pub(crate) settings: Settings,
    pub(crate) offset: Duration,
    pub(crate) source: std::net::IpAddr,
    pub(crate) agent: Option<Agent>,
    /// Counts the agents that ran here: what belongs to an older one is void.
    pub(crate) boot: u32,
    /// An agent that ends is followed by another one after so long.
    pub(crate) returns_after: Option<Duration>,
    pub(crate) kernel: Kernel,
    pub(crate) gate: Gate,
    pub(crate) sight: Sight,
    /// When the last advert left the host that was no resignation.
    pub(crate) sent_at: Instant,
    pub(crate) frozen: Option<Freeze>,
    pub(crate) has_link: bool,
    pub(crate) has_source: bool,
    pub(crate) sluggish_until: Instant,
    pub(crate) failing_until: Instant,
    pub(crate) hung_until: Instant,
    pub(crate) mute_until: Instant,
    pub(crate) fight_until: Instant,
}

impl Host {
    pub(crate) fn new(settings: Settings, offset: Duration, source: std::net::IpAddr) -> Self {
        let never = Instant::default();
        let mut kernel = Kernel::default();
        if settings.priority == floatlock::core::election::OWNER {
            kernel.on = ALL;
        }
        Self {
            settings,
            offset,
            source,
            agent: None,
            boot: 0,
            returns_after: None,
            kernel,
            gate: Gate::default(),
            sight: Sight::default(),
            sent_at: never,
            frozen: None,
            has_link: true,
            has_source: true,
            sluggish_until: never,
            failing_until: never,
            hung_until: never,
            mute_until: never,
            fight_until: never,
        }
    }

    pub(crate) fn is_owner(&self) -> bool {
        self.settings.priority == floatlock::core::election::OWNER
    }

    pub(crate) fn facts(&self) -> Facts {
        Facts {
            link: self.has_link,
            source: self.has_source.then_some(self.source),
        }
    }

    /// Whether somebody who asks this host for the addresses gets an answer.
    pub(crate) fn answers(&self, world: Instant) -> bool {
        self.kernel.on != 0 && !self.gate.is_shut(self.clock(world))
    }

    /// The node's own clock.
    pub(crate) fn clock(&self, world: Instant) -> Instant {
        world + self.offset
    }

    pub(crate) fn start(&mut self, lines: usize, nodes: usize, now: Instant) -> Vec<Effect> {
        let (clock, mut said) = (self.clock(now), Vec::new());
        let group = Group::new(self.settings, self.facts(), (clock, clock), &mut said);
        self.boot += 1;
        if self.is_owner() {
            self.kernel.on = ALL;
        }
        (self.gate, self.sent_at) = (Gate::default(), Instant::default());
        let gated = self.settings.lease;
        self.agent = Some(Agent {
            group,
            right: gated.map(|_| Right::new(self.gate.clone())),
            has_sent: false,
            ears: vec![VecDeque::new(); lines],
            inbox: VecDeque::new(),
            jobs: VecDeque::new(),
            work: 0,
            list: 0,
            holding: false,
            stopping: false,
            timer_at: Instant::NEVER,
            look: None,
            ledger: Ledger::new(nodes, &self.settings, clock),
        });
        said
    }

    /// Ends the agent; the addresses stay as they are.
    pub(crate) fn end(&mut self) {
        self.agent = None;
        self.frozen = None;
        self.boot += 1;
    }

    /// What the kernel does with a job; whether all of it worked.
    pub(crate) fn execute(&mut self, job: Job, list: u32, works: bool) {
        if self.is_owner() {
            return;
        }
        let before = self.kernel.on;
        let known = if job.list == list { ALL } else { KEPT };
        self.kernel.on = match (job.change, works) {
            (Change::Acquire, true) => before | known,
            (Change::Acquire, false) => before | KEPT,
            (Change::Release, true) => 0,
            (Change::Release, false) => before & KEPT,
        };
        if self.kernel.on == ALL || job.change == Change::Release {
            self.kernel.torn_at = None;
        }
    }

    /// A claim is given up when only `done` of its addresses are on.
    pub(crate) fn leave_off(&mut self, done: u8) {
        if !self.is_owner() {
            self.kernel.on |= done;
        }
    }

    /// Somebody takes addresses off.
    pub(crate) fn tear(&mut self, gone: u8, now: Instant) -> bool {
        let before = self.kernel.on;
        if self.is_owner() || before & gone == 0 {
            return false;
        }
        self.kernel.on &= !gone;
        self.kernel.torn_at.get_or_insert(now);
        true
    }
}

impl Agent {
    /// As the actuator takes it: a claim that has ended, or is made anew, is forgotten, so that
    /// what takes addresses off goes first. Whether a claim that was worked on is one of these.
    pub(crate) fn take(&mut self, job: Job) -> bool {
        let ends = |job: &Job| job.change == Change::Acquire;
        let interrupted = self.jobs.front().is_some_and(ends);
        self.jobs.retain(|job| !ends(job));
        self.jobs.push_back(job);
        interrupted
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.inbox.is_empty() && self.ears.iter().all(VecDeque::is_empty)
    }
}
