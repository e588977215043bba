//! Who reaches whom? The paths of the heartbeats, the LAN that the clients are on, and somebody who
//! records every frame.

use std::rc::Rc;
use std::time::Duration;

use floatlock::core::lease::{BootId, Epoch, NodeId};
use floatlock::core::mesh::{Heard, Path};
use floatlock::core::{Fitness, Instant, RoleName, Say};

use crate::dice::Dice;

/// One frame, as it is signed: what the real one says, without its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) node: NodeId,
    pub(crate) boot: BootId,
    pub(crate) sequence: u64,
    pub(crate) boot_time: Instant,
    pub(crate) path: Path,
    /// A sum of the voters as the sender was told.
    pub(crate) voters: u64,
    pub(crate) heard: Rc<Vec<Heard>>,
    pub(crate) entries: Rc<Vec<Spoken>>,
    /// When in the world, for the judge.
    pub(crate) sent: Instant,
}

/// What a frame says of one group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spoken {
    pub(crate) group: usize,
    pub(crate) role: RoleName,
    pub(crate) priority: u8,
    pub(crate) fitness: Fitness,
    /// A sum of its addresses.
    pub(crate) addresses: u32,
    pub(crate) epoch: Epoch,
    pub(crate) say: Option<Say>,
}

/// One direction of one path between two hosts.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    loss: (u64, Instant),
    cut_until: Instant,
    slow: (Duration, Instant),
    echo: (u64, Duration, Instant),
    last_arrival: Instant,
}

/// How a path is when nothing is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) delay: (Duration, Duration),
    pub(crate) keeps_order: bool,
    /// It goes over the LAN, and is parted with it.
    pub(crate) on_lan: bool,
}

pub(crate) struct Wire {
    hosts: usize,
    lines: Vec<Line>,
    ways: Vec<Way>,
    /// By host: on which side of the LAN it is, until then.
    sides: u64,
    parted_until: Instant,
    /// Frames that an attacker has recorded: the earliest and some of the later ones.
    tape: Vec<Rc<Frame>>,
    /// The last frame under way arrives then.
    pub(crate) last_arrival: Instant,
}

/// What the attacker can keep.
const TAPE: usize = 256;

impl Wire {
    pub(crate) fn new(hosts: usize, lines: Vec<Line>) -> Self {
        Self {
            hosts,
            ways: vec![Way::default(); hosts * hosts * lines.len()],
            lines,
            sides: 0,
            parted_until: Instant::default(),
            tape: Vec::new(),
            last_arrival: Instant::default(),
        }
    }

    pub(crate) fn paths(&self) -> usize {
        self.lines.len()
    }

    fn place(&self, line: usize, from: usize, to: usize) -> usize {
        (line * self.hosts + from) * self.hosts + to
    }

    /// Whether two hosts are on one side of the LAN.
    pub(crate) fn are_neighbours(&self, a: usize, b: usize, now: Instant) -> bool {
        now >= self.parted_until || (self.sides >> a ^ self.sides >> b) & 1 == 0
    }

    /// When the copies of a frame that is sent now arrive.
    pub(crate) fn arrivals(
        &mut self,
        now: Instant,
        (line, from, to): (usize, usize, usize),
        dice: &mut Dice,
    ) -> [Option<Instant>; 2] {
        let place = self.place(line, from, to);
        let parted = self.lines[line].on_lan && !self.are_neighbours(from, to, now);
        let (plan, way) = (&self.lines[line], &mut self.ways[place]);
        let lost = now < way.loss.1 && dice.chance(way.loss.0);
        if parted || now < way.cut_until || lost {
            return [None; 2];
        }
        let mut at = now + dice.between(plan.delay.0, plan.delay.1);
        if now < way.slow.1 {
            at = at + dice.between(Duration::ZERO, way.slow.0);
        }
        if plan.keeps_order {
            at = at.max(way.last_arrival);
            way.last_arrival = at;
        }
        let (percent, later, until) = way.echo;
        let again =
            (now < until && dice.chance(percent)).then(|| at + dice.between(Duration::ZERO, later));
        self.last_arrival = self.last_arrival.max(again.unwrap_or(at)).max(at);
        [Some(at), again]
    }

    /// The attacker listens.
    pub(crate) fn record(&mut self, frame: &Rc<Frame>, dice: &mut Dice) {
        if self.tape.len() < TAPE {
            self.tape.push(Rc::clone(frame));
        } else {
            let place = dice.below(TAPE);
            self.tape[place] = Rc::clone(frame);
        }
    }

    /// One of the recorded frames, rather a late one.
    pub(crate) fn recorded(&self, dice: &mut Dice) -> Option<Rc<Frame>> {
        let count = self.tape.len();
        (count > 0).then(|| Rc::clone(&self.tape[dice.below(count)]))
    }

    fn each(&mut self, chosen: impl Fn(usize, usize, usize) -> bool, change: impl Fn(&mut Way)) {
        for line in 0..self.lines.len() {
            for from in 0..self.hosts {
                for to in 0..self.hosts {
                    let place = self.place(line, from, to);
                    if chosen(line, from, to) {
                        change(&mut self.ways[place]);
                    }
                }
            }
        }
    }

    /// Some of all ways: one direction, one host's, or everything; of one path, or of all.
    fn some(&self, dice: &mut Dice) -> impl Fn(usize, usize, usize) -> bool + use<> {
        let (line, a) = (dice.below(self.lines.len()), dice.below(self.hosts));
        let (kind, all_lines) = (dice.below(5), dice.chance(60));
        let b = (a + 1 + dice.below(self.hosts - 1)) % self.hosts;
        move |l, from, to| {
            let way = match kind {
                0 => (from, to) == (a, b),
                1 => from == a,
                2 => to == a,
                3 => from == a || to == a,
                _ => true,
            };
            way && (all_lines || l == line)
        }
    }

    pub(crate) fn lose(&mut self, until: Instant, dice: &mut Dice) {
        let (chosen, percent) = (self.some(dice), dice.pick(&[5, 20, 50, 90]));
        self.each(chosen, |way| way.loss = (percent, until));
    }

    pub(crate) fn cut(&mut self, until: Instant, dice: &mut Dice) {
        let chosen = self.some(dice);
        self.each(chosen, |way| way.cut_until = until);
    }

    /// Heartbeats only, LAN only (and the path on it), or both.
    pub(crate) fn part(&mut self, until: Instant, dice: &mut Dice) {
        let side = 1 + dice.below((1 << self.hosts) - 2);
        let (beats, lan) = dice.pick(&[(true, true), (true, false), (false, true)]);
        if lan {
            (self.sides, self.parted_until) = (side as u64, until);
        }
        if beats {
            let chosen = |_, from: usize, to: usize| (side >> from ^ side >> to) & 1 == 1;
            self.each(chosen, |way| way.cut_until = until);
        }
    }

    pub(crate) fn slow(&mut self, most: Duration, until: Instant, dice: &mut Dice) {
        let chosen = self.some(dice);
        self.each(chosen, |way| way.slow = (most, until));
    }

    pub(crate) fn echo(&mut self, later: Duration, until: Instant, dice: &mut Dice) {
        let (chosen, percent) = (self.some(dice), dice.pick(&[10, 50]));
        self.each(chosen, |way| way.echo = (percent, later, until));
    }

    pub(crate) fn heal(&mut self) {
        self.parted_until = Instant::default();
        for way in &mut self.ways {
            let last_arrival = way.last_arrival;
            *way = Way {
                last_arrival,
                ..Way::default()
            };
        }
    }
}
