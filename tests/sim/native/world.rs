//! What happens next? The time of the world, from one happening to the next one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;
use std::time::Duration;

use floatlock::core::lease::Epoch;
use floatlock::core::{Effect, Event, Instant};

use super::clock::Clock;
use super::disk::{At, Disk};
use super::host::Host;
use super::laws::Court;
use super::scenario::{MICRO, Mood, Scenario};
use super::score::{Detail, Score};
use super::wire::{Frame, Wire};
use crate::dice::Dice;

/// Something that will happen.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Start(usize),
    Frame {
        to: usize,
        path: usize,
        frame: Rc<Frame>,
    },
    Command {
        node: usize,
        boots: u32,
        group: Option<usize>,
        event: Box<Event>,
    },
    Timer {
        node: usize,
        boots: u32,
    },
    JobDone {
        node: usize,
        boots: u32,
        group: usize,
        work: u32,
    },
    Stored {
        node: usize,
        boots: u32,
        group: usize,
        epoch: Epoch,
    },
    Probe(Probe),
    /// The reference is asked.
    Ask {
        node: usize,
        boots: u32,
    },
    Disk {
        node: usize,
        boots: u32,
        at: At,
    },
    Thaw {
        node: usize,
        boots: u32,
    },
    Resume(usize),
    PowerOn(usize),
    Fault,
    /// A fault that has an end of its own is over.
    Over(usize, Passing),
    /// A takeover was to be done by now.
    Due,
}

/// One of three questions whether anybody answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) node: usize,
    pub(crate) boots: u32,
    pub(crate) group: usize,
    pub(crate) ticket: u64,
    pub(crate) nth: u32,
}

/// What passes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    Maintenance,
    Link,
    Addresses,
    Voters,
}

struct Entry {
    at: Instant,
    seq: u64,
    what: What,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.seq == other.seq
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// How far the story is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Weather,
    /// No more faults.
    Healed,
    /// Nobody changes its role any more.
    Still,
}

pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) now: Instant,
    pub(crate) act: Act,
    pub(crate) hosts: Vec<Host>,
    pub(crate) wire: Wire,
    pub(crate) dice: Dice,
    /// What scripts do.
    pub(crate) scripts: Dice,
    pub(crate) score: Score,
    /// By group.
    pub(crate) court: Vec<Court>,
    /// The first broken law.
    pub(crate) broken: Option<String>,
    /// Only laws that begin like this are judged.
    pub(crate) law: String,
    /// What was seen, and how often.
    pub(crate) seen: BTreeMap<&'static str, u64>,
    /// The longest that it took from the healing until somebody served, in thousandths of P.
    pub(crate) served_after: u64,
    pub(crate) steps: u64,
    /// Counts the starts of all agents.
    pub(crate) boots: u64,
    pub(crate) said: Vec<Effect>,
    pub(crate) disk: Option<Disk>,
    queue: BinaryHeap<Reverse<Entry>>,
    seq: u64,
}

impl World {
    pub(crate) fn of(seed: u64, detail: Detail) -> Self {
        Self::with(Scenario::draw(seed), detail)
    }

    pub(crate) fn with((scenario, dice): (Scenario, Dice), detail: Detail) -> Self {
        let hosts = scenario.hosts.iter().zip(&scenario.settings);
        let hosts = hosts.map(|(plan, settings)| {
            let clock = Clock::new(Instant::default(), plan.shows, plan.drift);
            Host::new(clock, plan.late, settings.clone())
        });
        let court = || Court::new(scenario.voters);
        let mut world = Self {
            hosts: hosts.collect(),
            wire: Wire::new(scenario.voters, scenario.lines.clone()),
            court: (0..scenario.groups).map(|_| court()).collect(),
            now: Instant::default(),
            act: Act::Weather,
            dice,
            scripts: super::scripts::dice(scenario.seed),
            score: Score::new(detail),
            broken: None,
            law: std::env::var("FLOATLOCK_LAW").unwrap_or_default(),
            seen: BTreeMap::new(),
            served_after: 0,
            steps: 0,
            boots: 0,
            said: Vec::new(),
            disk: scenario
                .disk
                .map(|lease| Disk::new(scenario.nodes, scenario.disks, lease)),
            queue: BinaryHeap::new(),
            seq: 0,
            scenario,
        };
        world.connect_disk();
        for node in 0..world.scenario.voters {
            world.after(world.scenario.hosts[node].starts, What::Start(node));
        }
        let first = match world.scenario.mood {
            Mood::Calm => world.scenario.gap,
            _ => world.scenario.promise,
        };
        world.after(first, What::Fault);
        world
    }

    pub(crate) fn after(&mut self, wait: Duration, what: What) {
        self.at(self.now + wait, what);
    }

    pub(crate) fn at(&mut self, at: Instant, what: What) {
        self.seq += 1;
        let seq = self.seq;
        self.queue.push(Reverse(Entry { at, seq, what }));
    }

    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_insert(0) += 1;
    }

    pub(crate) fn uphold(&mut self, holds: bool, law: &str) {
        if !holds && law.starts_with(&self.law) {
            self.change(|| format!("BREAKS: {law}"));
            self.broken.get_or_insert_with(|| law.to_owned());
        }
    }

    /// A line of the score.
    pub(crate) fn change(&mut self, what: impl FnOnce() -> String) {
        if self.score.takes(Detail::Changes) {
            let columns: Vec<_> = self.hosts.iter().map(|host| self.column(host)).collect();
            self.score.change(self.now, &columns, &what());
        }
    }

    /// What a host is in each group; a star for answering.
    fn column(&self, host: &Host) -> String {
        let one = |group: usize| {
            let slot = host.agent.as_ref().and_then(|agent| agent.slots.get(group));
            let role = slot.map_or("-", |slot| slot.group.view().role.as_str());
            let role = match role {
                role if host.frozen || host.paused => role.to_lowercase(),
                role => role.to_owned(),
            };
            let star = if host.answers(group, self.now) {
                "*"
            } else {
                ""
            };
            format!("{role}{star}")
        };
        let groups: Vec<_> = (0..self.scenario.groups).map(one).collect();
        groups.join("/")
    }

    /// Lets everything happen that happens until `end`, unless a law is broken.
    pub(crate) fn run_until(&mut self, end: Instant) {
        while self.broken.is_none() {
            match self.queue.peek() {
                Some(Reverse(entry)) if entry.at <= end => {}
                _ => break,
            }
            if let Some(Reverse(entry)) = self.queue.pop() {
                self.now = self.now.max(entry.at);
                self.happen(entry.what);
            }
        }
        self.now = end.max(self.now);
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Start(node) => self.start(node),
            What::Frame { to, path, frame } => self.arrive(to, path, frame),
            What::Command {
                node,
                boots,
                group,
                event,
            } => self.command(node, boots, group, *event),
            What::Timer { node, boots } => self.timer(node, boots),
            What::JobDone {
                node,
                boots,
                group,
                work,
            } => self.job_done(node, boots, group, work),
            What::Stored {
                node,
                boots,
                group,
                epoch,
            } => self.stored(node, boots, group, epoch),
            What::Probe(probe) => self.probe(probe),
            What::Ask { node, boots } => self.ask_reference(node, boots),
            What::Disk { node, boots, at } => self.at_disk(node, boots, at),
            What::Thaw { node, boots } => self.thaw(node, boots),
            What::Resume(node) => self.resume(node),
            What::PowerOn(node) => self.power_on(node),
            What::Fault => self.fault(),
            What::Over(node, what) => self.is_over(node, what),
            What::Due => self.is_due(),
        }
        self.who_answers();
        self.who_opens();
    }

    fn timer(&mut self, node: usize, boots: u32) {
        let host = &mut self.hosts[node];
        if let Some(agent) = host.agent.as_mut().filter(|_| host.boots == boots) {
            agent.timer_at = Instant::NEVER;
            self.turn(node);
        }
    }

    pub(crate) fn send_command(&mut self, node: usize, group: Option<usize>, event: Event) {
        let wait = self.dice.between(MICRO * 5, MICRO * 100);
        let boots = self.hosts[node].boots;
        let what = What::Command {
            node,
            boots,
            group,
            event: Box::new(event),
        };
        self.after(wait, what);
    }

    /// Whether frames go out and come in there.
    pub(crate) fn is_usable(&self, node: usize, path: usize) -> bool {
        let host = &self.hosts[node];
        host.is_up && (host.has_link || !self.scenario.lines[path].on_lan)
    }
}
