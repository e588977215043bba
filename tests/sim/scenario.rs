//! What does a seed stand for? The nodes with their settings, the lines between them, and the
//! faults that may happen.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use floatlock::core::Settings;
use floatlock::core::election::{OWNER, Version, lease, skew};

use super::dice::Dice;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Only what operators do, one thing after the other, on a network that works.
    Calm,
    /// Agents that die and freeze, on a network that works, each host behind a gate.
    Frost,
    /// Everything.
    Weather,
}

/// What may happen to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Loss,
    Cut,
    Partition,
    Slow,
    Echo,
    Freeze,
    Crash,
    PowerLoss,
    Stop,
    Sluggish,
    Failing,
    Hung,
    Mute,
    Deletion,
    Fight,
    LinkDown,
    SourceLost,
    Conflict,
    Unauthentic,
    OwnAdvert,
    Settings,
    Addresses,
    /// Only where there is an arbiter.
    Arbiter,
    /// Only where there is a reference.
    Reference,
}

const FAULTS: [Fault; 22] = [
    Fault::Loss,
    Fault::Cut,
    Fault::Partition,
    Fault::Slow,
    Fault::Echo,
    Fault::Freeze,
    Fault::Crash,
    Fault::PowerLoss,
    Fault::Stop,
    Fault::Sluggish,
    Fault::Failing,
    Fault::Hung,
    Fault::Mute,
    Fault::Deletion,
    Fault::Fight,
    Fault::LinkDown,
    Fault::SourceLost,
    Fault::Conflict,
    Fault::Unauthentic,
    Fault::OwnAdvert,
    Fault::Settings,
    Fault::Addresses,
];

impl Fault {
    /// Faults of the thread that changes addresses, whose pauses are seconds, not intervals.
    pub(crate) fn is_of_actuator(self) -> bool {
        matches!(
            self,
            Fault::Sluggish | Fault::Failing | Fault::Hung | Fault::Mute
        )
    }
}

/// One way between the nodes.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// By node: the address that its adverts come from on this line.
    pub(crate) sources: Vec<IpAddr>,
    /// The shortest and the longest way of a frame.
    pub(crate) delay: (Duration, Duration),
    /// Whether frames of one sender come in the order in which they were sent.
    pub(crate) keeps_order: bool,
    /// Whether it goes over the service interface, and ends with its link.
    pub(crate) on_service_link: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) mood: Mood,
    /// By node.
    pub(crate) settings: Vec<Settings>,
    /// By node: its boot clock when the world begins.
    pub(crate) offsets: Vec<Duration>,
    /// By node: when its agent starts first.
    pub(crate) starts: Vec<Duration>,
    /// The first one decides between equal priorities.
    pub(crate) lines: Vec<Line>,
    pub(crate) faults: Vec<Fault>,
    /// Between two faults, on average.
    pub(crate) gap: Duration,
    /// When the weather ends.
    pub(crate) length: Duration,
    /// So many frames a node reads from a line before it looks at the time again.
    pub(crate) budget: usize,
    /// There is an arbiter, whose vote lasts so long.
    pub(crate) arbiter: Option<Duration>,
    /// Something in the network must answer.
    pub(crate) reference: bool,
}

impl Scenario {
    pub(crate) fn draw(seed: u64) -> (Self, Dice) {
        let mut dice = Dice::new(seed);
        let mood = match dice.below(100) {
            0..25 => Mood::Calm,
            25..40 => Mood::Frost,
            _ => Mood::Weather,
        };
        let scenario = Self::of(seed, mood, &mut dice);
        (scenario, dice)
    }

    fn of(seed: u64, mood: Mood, dice: &mut Dice) -> Self {
        let nodes = dice.pick(&[2, 2, 2, 3, 3, 4]);
        let settings = all_settings(mood, nodes, dice);
        let beat = longest_interval(&settings);
        let settle = settings.iter().map(settles_within).max().unwrap_or(beat);
        let faults = faults(mood, beat, dice);
        let (gap, length) = match mood {
            Mood::Calm => (settle, settle * 8),
            Mood::Frost | Mood::Weather => {
                (beat * dice.pick(&[1, 3, 8]), beat * dice.pick(&[30, 60]))
            }
        };
        Self {
            seed,
            mood,
            offsets: (0..nodes).map(|_| clock_offset(dice)).collect(),
            starts: starts(mood, nodes, settle, dice),
            lines: lines(mood, nodes, beat, dice),
            settings,
            faults,
            gap,
            length,
            budget: dice.pick(&[128, 128, 4]),
            arbiter: None,
            reference: false,
        }
    }

    /// Two nodes behind gates, the first one better, on a network on which nothing happens.
    pub(crate) fn quiet_pair(seed: u64, dice: &mut Dice) -> Self {
        let interval = MILLI * dice.pick(&[30, 100, 100, 1000]);
        let one = |priority| Settings {
            version: Version::V3,
            priority,
            interval,
            misses: 3,
            preempt: true,
            preempt_delay: Duration::ZERO,
            start_delay: Duration::ZERO,
            phase: Duration::ZERO,
            pair: true,
            lease: lease(interval, 3),
            shuts_at_once: true,
            reference: None,
            arbiter: false,
            actions: floatlock::core::Actions::default(),
            native: None,
        };
        let settings = vec![one(200), one(dice.pick(&[1, 100, 199]))];
        Self {
            seed,
            mood: Mood::Calm,
            offsets: (0..2).map(|_| clock_offset(dice)).collect(),
            starts: vec![Duration::ZERO, MILLI],
            lines: lines(Mood::Calm, 2, interval, dice),
            settings,
            faults: Vec::new(),
            // Never.
            gap: SECOND * 1_000_000,
            length: SECOND,
            budget: 128,
            arbiter: None,
            reference: false,
        }
    }

    pub(crate) fn nodes(&self) -> usize {
        self.settings.len()
    }

    /// New settings for a node that may take them while it runs.
    pub(crate) fn redraw(&self, node: usize, settings: &Settings, dice: &mut Dice) -> Settings {
        let mut new = *settings;
        match dice.below(6) {
            0 | 1 if new.priority != OWNER => new.priority = self.other_priority(node, dice),
            2 if self.mood == Mood::Weather && new.version == Version::V3 => {
                new.interval = dice.pick(&[new.interval / 2, new.interval * 2]);
                new.interval = new.interval.clamp(MILLI * 10, SECOND * 4);
            }
            3 if self.mood == Mood::Weather => new.misses = dice.pick(&[2, 3, 4]),
            4 => new.preempt = !new.preempt,
            _ => new.preempt_delay = preempt_delay(new.interval, dice),
        }
        let lease = lease(new.interval, new.misses.min(3));
        match (new.lease, lease) {
            (None, _) => new,
            (Some(_), Some(_)) => Settings { lease, ..new },
            // With a gate it is another router, which begins anew.
            (Some(_), None) => *settings,
        }
    }

    fn other_priority(&self, node: usize, dice: &mut Dice) -> u8 {
        match self.mood {
            Mood::Frost => calm_priority(node, dice),
            Mood::Calm if self.nodes() > 2 => calm_priority(node, dice),
            _ => dice.pick(&[1, 50, 99, 100, 100, 101, 200, 254]),
        }
    }
}

/// In calm, no two of three nodes have skew times that the way of a frame could blur.
fn calm_priority(node: usize, dice: &mut Dice) -> u8 {
    (1 + dice.below(12) * 20 + node * 5) as u8
}

pub(crate) fn longest_interval(settings: &[Settings]) -> Duration {
    let intervals = settings.iter().map(|one| one.interval);
    intervals.max().unwrap_or(SECOND)
}

/// Within this time after an act of the operator, a cluster is at rest again.
fn settles_within(settings: &Settings) -> Duration {
    let skew = skew(settings.version, settings.priority, settings.interval);
    settings.preempt_delay
        + settings.start_delay
        + (settings.interval * settings.misses + skew) * 4
        + MILLI * 100
}

fn all_settings(mood: Mood, nodes: usize, dice: &mut Dice) -> Vec<Settings> {
    let version = dice.pick(&[Version::V3, Version::V3, Version::V2]);
    let interval = match version {
        Version::V2 => SECOND * dice.pick(&[1, 1, 2]),
        Version::V3 => dice.pick(&[MILLI * 10, MILLI * 100, MILLI * 100, MILLI * 300, SECOND]),
    };
    let mixed = mood == Mood::Weather && version == Version::V3 && dice.chance(15);
    let (interval, misses) = match mood {
        Mood::Frost => (interval.max(MILLI * 100), 3),
        _ => (interval, dice.pick(&[2, 3, 3, 3, 4])),
    };
    let is_gated = mood == Mood::Frost || dice.coin();
    let preempt = dice.chance(70);
    let own_mind = dice.chance(20);
    let priorities = priorities(mood, nodes, dice);
    let one = |(node, priority): (usize, u8)| {
        let interval = if mixed && node > 0 {
            interval * dice.pick(&[1, 2, 5])
        } else {
            interval
        };
        let start_delay = if dice.chance(20) {
            interval * dice.pick(&[1, 5, 10])
        } else {
            Duration::ZERO
        };
        Settings {
            version,
            priority,
            interval,
            misses,
            preempt: preempt ^ (own_mind && dice.coin()),
            preempt_delay: preempt_delay(interval, dice),
            start_delay,
            phase: interval / 256 * dice.below(256) as u32,
            pair: nodes == 2,
            lease: lease(interval, misses.min(3)).filter(|_| is_gated && priority != OWNER),
            native: None,
            shuts_at_once: true,
            reference: None,
            arbiter: false,
            actions: floatlock::core::Actions::default(),
        }
    };
    priorities.into_iter().enumerate().map(one).collect()
}

fn preempt_delay(interval: Duration, dice: &mut Dice) -> Duration {
    if dice.chance(75) {
        return Duration::ZERO;
    }
    dice.spread(interval / 4, interval * 12)
}

fn priorities(mood: Mood, nodes: usize, dice: &mut Dice) -> Vec<u8> {
    // Two that stand within the way of a frame are told apart by nothing.
    if mood == Mood::Frost || mood == Mood::Calm && nodes > 2 {
        return (0..nodes).map(|node| calm_priority(node, dice)).collect();
    }
    let all_equal = dice.chance(30);
    let one = dice.pick(&[1, 100, 150, 254]);
    let draw = |_| {
        if all_equal {
            one
        } else {
            dice.pick(&[1, 50, 99, 100, 101, 150, 200, 253, 254])
        }
    };
    let mut all: Vec<u8> = (0..nodes).map(draw).collect();
    if mood == Mood::Weather && dice.chance(8) {
        all[0] = OWNER;
    }
    all
}

/// A swarm: every seed lets only some kinds of faults happen, so that they are met alone as well
/// as together.
fn faults(mood: Mood, beat: Duration, dice: &mut Dice) -> Vec<Fault> {
    if mood == Mood::Calm {
        return vec![Fault::Stop, Fault::Stop, Fault::Settings];
    }
    if mood == Mood::Frost {
        let deaths = [Fault::Freeze, Fault::Crash, Fault::PowerLoss, Fault::Stop];
        let count = 1 + dice.below(4);
        return (0..count).map(|_| dice.pick(&deaths)).collect();
    }
    let share = dice.pick(&[10, 25, 50]);
    // The pauses after failures are seconds: thousands of the shortest intervals.
    let quick = beat < MILLI * 100;
    let mut faults: Vec<Fault> = FAULTS
        .into_iter()
        .filter(|fault| {
            let slow = quick && fault.is_of_actuator();
            dice.chance(if slow { share / 10 } else { share })
        })
        .collect();
    if faults.is_empty() {
        faults.push(dice.pick(&FAULTS[..9]));
    }
    faults
}

fn clock_offset(dice: &mut Dice) -> Duration {
    dice.between(SECOND, SECOND * 1_000_000)
}

/// In calm one node is MASTER before the next one starts.
fn starts(mood: Mood, nodes: usize, settle: Duration, dice: &mut Dice) -> Vec<Duration> {
    let mut starts: Vec<Duration> = match mood {
        Mood::Calm => (0..nodes as u32).map(|n| settle * n / 2).collect(),
        Mood::Frost | Mood::Weather => (0..nodes)
            .map(|_| dice.between(Duration::ZERO, settle))
            .collect(),
    };
    dice.shuffle(&mut starts);
    starts
}

fn lines(mood: Mood, nodes: usize, beat: Duration, dice: &mut Dice) -> Vec<Line> {
    let count = dice.pick(&[1, 1, 2, 2, 3]);
    let slow = mood == Mood::Weather && dice.chance(20);
    let longest = if slow { beat / 4 } else { beat / 500 };
    let keeps_order = mood != Mood::Weather || dice.chance(70);
    (0..count)
        .map(|line| Line {
            sources: sources(line, nodes, dice),
            delay: (longest / 4, longest),
            keeps_order,
            on_service_link: line == 0 || dice.coin(),
        })
        .collect()
}

/// The order of the nodes by their addresses is another one on every line.
fn sources(line: usize, nodes: usize, dice: &mut Dice) -> Vec<IpAddr> {
    let mut last: Vec<u8> = (1..=nodes as u8).collect();
    dice.shuffle(&mut last);
    let address = |last: u8| match line {
        1 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last.into()).into(),
        _ => Ipv4Addr::new(192, 0, 2 + line as u8, last).into(),
    };
    last.into_iter().map(address).collect()
}
