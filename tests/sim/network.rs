//! When, if at all, does a frame arrive? Loss, cuts, delays, copies, on each line in each
//! direction.

use std::time::Duration;

use floatlock::core::Instant;

use super::dice::Dice;
use super::scenario::Line;

/// One direction of one line between two nodes.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// Percent, until then.
    loss: (u64, Instant),
    cut_until: Instant,
    /// Up to so much longer, until then.
    slow: (Duration, Instant),
    /// Percent of frames that come again up to so much later, until then.
    echo: (u64, Duration, Instant),
    last_arrival: Instant,
}

pub(crate) struct Network {
    nodes: usize,
    lines: Vec<Line>,
    ways: Vec<Way>,
    /// Whether what is cut and lost are the adverts alone: a firewall, not the network.
    only_adverts: bool,
    /// The last frame under way arrives then.
    pub(crate) last_arrival: Instant,
}

impl Network {
    pub(crate) fn new(nodes: usize, lines: Vec<Line>) -> Self {
        let ways = vec![Way::default(); nodes * nodes * lines.len()];
        Self {
            nodes,
            lines,
            ways,
            only_adverts: false,
            last_arrival: Instant::default(),
        }
    }

    fn place(&self, line: usize, from: usize, to: usize) -> usize {
        (line * self.nodes + from) * self.nodes + to
    }

    /// When the copies of a frame that is sent now arrive.
    pub(crate) fn arrivals(
        &mut self,
        now: Instant,
        (line, from, to): (usize, usize, usize),
        dice: &mut Dice,
    ) -> [Option<Instant>; 2] {
        let place = self.place(line, from, to);
        let (plan, way) = (&self.lines[line], &mut self.ways[place]);
        let lost = now < way.loss.1 && dice.chance(way.loss.0);
        if now < way.cut_until || lost {
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

    /// When a probe that is sent now over the service interface, or its answer, arrives.
    pub(crate) fn probe(
        &self,
        now: Instant,
        (from, to): (usize, usize),
        dice: &mut Dice,
    ) -> Option<Instant> {
        let (plan, way) = (&self.lines[0], &self.ways[self.place(0, from, to)]);
        let lost = now < way.cut_until || (now < way.loss.1 && dice.chance(way.loss.0));
        if lost && !self.only_adverts {
            return None;
        }
        let slow = match now < way.slow.1 {
            true => dice.between(Duration::ZERO, way.slow.0),
            false => Duration::ZERO,
        };
        Some(now + dice.between(plan.delay.0, plan.delay.1) + slow)
    }

    /// From now on no advert arrives, and everything else does.
    pub(crate) fn cut_adverts(&mut self) {
        self.only_adverts = true;
        self.each(|_, _, _| true, |way| way.cut_until = Instant::NEVER);
    }

    fn each(&mut self, chosen: impl Fn(usize, usize, usize) -> bool, change: impl Fn(&mut Way)) {
        for line in 0..self.lines.len() {
            for from in 0..self.nodes {
                for to in 0..self.nodes {
                    let place = self.place(line, from, to);
                    if chosen(line, from, to) {
                        change(&mut self.ways[place]);
                    }
                }
            }
        }
    }

    /// Some of all ways: one direction, one node's, one line, or everything.
    fn some(&self, dice: &mut Dice) -> impl Fn(usize, usize, usize) -> bool + use<> {
        let (line, a) = (dice.below(self.lines.len()), dice.below(self.nodes));
        let (kind, all_lines) = (dice.below(5), dice.coin());
        let b = (a + 1 + dice.below(self.nodes - 1)) % self.nodes;
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

    pub(crate) fn part(&mut self, until: Instant, dice: &mut Dice) {
        let side = 1 + dice.below((1 << self.nodes) - 2);
        let chosen = |_, from: usize, to: usize| (side >> from ^ side >> to) & 1 == 1;
        self.each(chosen, |way| way.cut_until = until);
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
        self.only_adverts = false;
        for way in &mut self.ways {
            let last_arrival = way.last_arrival;
            *way = Way {
                last_arrival,
                ..Way::default()
            };
        }
    }
}
