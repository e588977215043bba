//! What does a seed stand for? The voters with their settings and clocks, the paths between them,
//! and the faults that may happen.

use std::path::Path;
use std::time::Duration;

use floatlock::config::{self, Derived, Paint};
use floatlock::core::election::Version;
use floatlock::core::lease::{self, GRANULARITY, NodeId, Voters};
use floatlock::core::{Instant, Settings, Voting};
use floatlock::wire::native::Key;

use super::disk;
use super::reference;
use super::scripts;
use super::wire::Line;
use crate::dice::Dice;

pub(crate) const MICRO: Duration = Duration::from_micros(1);
pub(crate) const MILLI: Duration = Duration::from_millis(1);

const NAMES: [&str; 7] = ["n0", "n1", "n2", "n3", "n4", "n5", "n6"];
/// What all voters were told of the list of voters, and of the addresses.
pub(crate) const VOTERS: u64 = 1;
pub(crate) const ADDRESSES: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mood {
    /// Only what operators do, one thing after the other, on a network that works; and a death now
    /// and then. Every takeover is measured.
    Calm,
    /// Agents and hosts that die, freeze and pause, on a network that works.
    Frost,
    /// Everything but an attacker.
    Weather,
    /// Everything, and somebody who has recorded every frame.
    Attack,
    /// Hosts whose clocks stand still while they are paused: safety has a residue.
    Standstill,
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
    Pause,
    Standstill,
    Crash,
    PowerLoss,
    Stop,
    HandOver,
    Maintenance,
    Priority,
    Sluggish,
    Failing,
    Hung,
    SlowDisk,
    LinkDown,
    Addresses,
    Voters,
    Unauthentic,
    Replay,
    Reference,
    Disk,
}

const CALM: [Fault; 7] = [
    Fault::Stop,
    Fault::HandOver,
    Fault::Maintenance,
    Fault::Priority,
    Fault::Crash,
    Fault::PowerLoss,
    Fault::Freeze,
];
const FROST: [Fault; 9] = [
    Fault::Freeze,
    Fault::Pause,
    Fault::Crash,
    Fault::PowerLoss,
    Fault::Stop,
    Fault::HandOver,
    Fault::Maintenance,
    Fault::SlowDisk,
    Fault::LinkDown,
];
const WEATHER: [Fault; 21] = [
    Fault::Loss,
    Fault::Cut,
    Fault::Partition,
    Fault::Slow,
    Fault::Echo,
    Fault::Freeze,
    Fault::Pause,
    Fault::Crash,
    Fault::PowerLoss,
    Fault::Stop,
    Fault::HandOver,
    Fault::Maintenance,
    Fault::Priority,
    Fault::Sluggish,
    Fault::Failing,
    Fault::Hung,
    Fault::SlowDisk,
    Fault::LinkDown,
    Fault::Addresses,
    Fault::Voters,
    Fault::Unauthentic,
];

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) mood: Mood,
    /// Nodes first, then witnesses.
    pub(crate) nodes: usize,
    pub(crate) voters: usize,
    pub(crate) groups: usize,
    pub(crate) interval: Duration,
    /// L and P.
    pub(crate) lease: Duration,
    pub(crate) promise: Duration,
    /// By host, then by group.
    pub(crate) settings: Vec<Vec<Settings>>,
    /// By host: what its clock shows first, how much too fast it is (millionths), by how much its
    /// gate shuts late, and when its agent starts.
    pub(crate) hosts: Vec<HostPlan>,
    pub(crate) lines: Vec<Line>,
    /// The longest that the thread which changes addresses takes when nothing is wrong.
    pub(crate) work: Duration,
    pub(crate) faults: Vec<Fault>,
    /// Between two faults, on average.
    pub(crate) gap: Duration,
    /// When the weather ends.
    pub(crate) length: Duration,
    /// Something in the network must answer; ...
    pub(crate) reference: bool,
    /// ... or who has never heard anybody stands without.
    pub(crate) solo: bool,
    /// A disk has a vote, which lasts so long; ...
    pub(crate) disk: Option<Duration>,
    /// One, or three of which two are enough; ...
    pub(crate) disks: usize,
    /// ... and nobody holds without it.
    pub(crate) always: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct HostPlan {
    pub(crate) shows: Instant,
    pub(crate) drift: i64,
    pub(crate) late: Duration,
    pub(crate) starts: Duration,
}

impl Scenario {
    pub(crate) fn draw(seed: u64) -> (Self, Dice) {
        let mut dice = Dice::new(seed ^ 0x6e61_7469_7665);
        let mood = draw_mood(&mut dice);
        let (nodes, witnesses) = dice.pick(&[
            (2, 0),
            (2, 0),
            (2, 0),
            (2, 1),
            (2, 1),
            (3, 0),
            (3, 0),
            (2, 2),
            (3, 1),
            (4, 0),
            (3, 2),
            (5, 0),
        ]);
        let voters = nodes + witnesses;
        let groups = 1 + usize::from(dice.chance(20));
        let interval = MILLI * dice.pick(&[1, 2, 5, 10, 20, 50, 100, 200, 200, 200, 500, 1000]);
        let lease = interval * (4 + dice.below(5) as u32);
        let promise = lease::promise(lease, GRANULARITY);
        let lines = lines(mood, interval, &mut dice);
        let settings = settings(
            mood,
            (nodes, witnesses, groups),
            (interval, lease),
            &mut dice,
        );
        let hosts = (0..voters)
            .map(|_| host(mood, promise, &mut dice))
            .collect();
        let faults = faults(mood, &mut dice);
        let gap = match mood {
            Mood::Calm => promise * 6,
            _ => dice.spread(promise / 4, promise * 2),
        };
        let length = match mood {
            Mood::Calm => gap * (2 + dice.below(3) as u32),
            _ => promise * (4 + dice.below(10) as u32),
        };
        let work = (interval / 20).min(MILLI * 5).max(MICRO * 50);
        let mut scenario = Self {
            seed,
            mood,
            nodes,
            voters,
            groups,
            interval,
            lease,
            promise,
            settings,
            hosts,
            lines,
            work,
            faults,
            gap,
            length,
            reference: false,
            solo: false,
            disk: None,
            disks: 1,
            always: false,
        };
        scripts::add(&mut scenario);
        (scenario, dice)
    }

    /// The same with a reference, which comes and goes: a calm cluster is none of these, nor one that is so
    /// quick that the wait after a loss would be a thousand leases.
    pub(crate) fn draw_with_reference(seed: u64) -> (Self, Dice) {
        let seeds = (0..).map(|nth| seed ^ nth << 40);
        let mut all = seeds.map(Self::draw);
        let is_fit =
            |story: &(Self, Dice)| story.0.mood != Mood::Calm && story.0.interval >= MILLI * 50;
        let (mut scenario, mut dice) = all.find(is_fit).expect("most are");
        scenario.seed = seed;
        reference::add(&mut scenario, &mut dice);
        scenario.faults.extend([Fault::Reference; 3]);
        (scenario, dice)
    }

    /// A pair with a disk, which hangs, fails and tears.
    pub(crate) fn draw_with_disk(seed: u64) -> (Self, Dice) {
        let seeds = (0..).map(|nth| seed ^ nth << 40);
        let mut all = seeds.map(Self::draw);
        let is_fit = |story: &(Self, Dice)| disk::is_fit(&story.0);
        let (mut scenario, mut dice) = all.find(is_fit).expect("one of six is");
        scenario.seed = seed;
        disk::add(&mut scenario, &mut dice);
        (scenario, dice)
    }

    /// The times that `floatlock check` prints for such a cluster.
    pub(crate) fn derived(&self) -> Derived {
        let (nodes, witnesses) = NAMES[..self.voters].split_at(self.nodes);
        let misses = self.lease.as_nanos() / self.interval.as_nanos();
        let text = format!(
            "[cluster]\nname = 'sim'\nkey-file = '/key'\nnodes = {nodes:?}\nwitnesses = {witnesses:?}\n\
             [heartbeat]\ninterval = '{:?}'\nmisses = {misses}\n\
             [[group]]\nname = 'g'\nid = 1\ninterface = 'eth0'\naddresses = ['192.0.2.10/24']\n",
            self.interval
        );
        let key = |_: &Path| Ok(Key::new(&[1; 32]).expect("long enough"));
        let loaded = config::parse_with("sim", &text, nodes[0], &key);
        let config = loaded.unwrap_or_else(|why| panic!("{}", why.render(Paint::Plain)));
        config::derived(&config.config, &config.config.groups[0])
    }

    /// Two nodes alone.
    pub(crate) fn is_pair(&self) -> bool {
        self.voters == 2 && self.disk.is_none()
    }

    pub(crate) fn draw_priority(dice: &mut Dice) -> u8 {
        dice.pick(&[1, 50, 100, 100, 150, 200, 254])
    }
}

fn draw_mood(dice: &mut Dice) -> Mood {
    dice.pick(&[
        Mood::Calm,
        Mood::Frost,
        Mood::Weather,
        Mood::Weather,
        Mood::Weather,
        Mood::Attack,
        Mood::Attack,
        Mood::Standstill,
    ])
}

fn lines(mood: Mood, interval: Duration, dice: &mut Dice) -> Vec<Line> {
    let paths = 1 + usize::from(dice.chance(40));
    let one = |nth: usize| {
        let most = match mood {
            Mood::Calm => (interval / 10).min(MILLI),
            _ => (interval / 4).min(MILLI * dice.pick(&[1, 1, 10])),
        };
        Line {
            delay: (MICRO * 20, most.max(MICRO * 40)),
            keeps_order: dice.coin(),
            on_lan: nth == 0,
        }
    };
    (0..paths).map(one).collect()
}

fn host(mood: Mood, promise: Duration, dice: &mut Dice) -> HostPlan {
    let starts = match mood {
        Mood::Calm => dice.between(MICRO, promise),
        _ if dice.chance(30) => MICRO,
        _ => dice.between(MICRO, promise * 2),
    };
    let shows = dice.spread(Duration::from_secs(1), Duration::from_secs(1_000_000));
    HostPlan {
        shows: Instant::default() + shows,
        drift: dice.pick(&[-5000, -5000, 5000, 5000, 0, 17, -1300]),
        late: dice.pick(&[Duration::ZERO, GRANULARITY, GRANULARITY + MILLI * 20]),
        starts,
    }
}

/// A swarm: of all that may happen, about half does in one world.
fn faults(mood: Mood, dice: &mut Dice) -> Vec<Fault> {
    let mut all = match mood {
        Mood::Calm => return CALM.to_vec(),
        Mood::Frost => FROST.to_vec(),
        _ => WEATHER.to_vec(),
    };
    let percent = dice.pick(&[15, 40, 70]);
    all.retain(|_| dice.chance(percent));
    match mood {
        Mood::Attack => all.extend([Fault::Replay; 3]),
        Mood::Standstill => all.extend([Fault::Standstill; 2]),
        _ if all.is_empty() => all.push(Fault::Crash),
        _ => {}
    }
    all
}

fn settings(
    mood: Mood,
    (nodes, witnesses, groups): (usize, usize, usize),
    (interval, lease): (Duration, Duration),
    dice: &mut Dice,
) -> Vec<Vec<Settings>> {
    let bits = |count: usize| (1u64 << count) - 1;
    let voters = Voters {
        nodes: bits(nodes),
        witnesses: bits(witnesses) << nodes,
        arbiter: false,
        hash: VOTERS,
    };
    let promise = lease::promise(lease, GRANULARITY);
    let equal = dice.chance(20);
    let preempt = dice.coin();
    let mut one = |me: usize, group: usize| {
        let priority = match equal {
            true => 100,
            false => Scenario::draw_priority(dice),
        };
        let voting = lease::Settings {
            group: group as u64,
            me: me as NodeId,
            priority,
            voters,
            lease,
            interval,
            granularity: GRANULARITY,
            reference: false,
            always: false,
        };
        let delay = |dice: &mut Dice| match dice.chance(80) {
            true => Duration::ZERO,
            false if mood == Mood::Calm => dice.spread(promise / 4, promise),
            false => dice.spread(promise / 4, promise * 2),
        };
        Settings {
            version: Version::V3,
            priority,
            interval,
            misses: 3,
            preempt: preempt ^ dice.chance(10),
            preempt_delay: delay(dice),
            start_delay: delay(dice),
            phase: Duration::ZERO,
            pair: false,
            lease: Some(lease),
            shuts_at_once: true,
            reference: None,
            arbiter: false,
            actions: floatlock::core::Actions::default(),
            native: Some(Voting {
                lease: voting,
                names: &NAMES[..nodes + witnesses],
            }),
        }
    };
    let hosts = 0..nodes + witnesses;
    hosts
        .map(|me| (0..groups).map(|group| one(me, group)).collect())
        .collect()
}
