//! Is there a way to a bad state? Breadth first, so that the way shown is a shortest one.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// What is searched.
pub(crate) trait World: Clone + Hash {
    /// What can happen in it.
    type Action: Copy;

    /// What can happen next.
    fn actions(&self) -> Vec<Self::Action>;
    /// Lets it happen; the name of the invariant that it violates.
    fn apply(&mut self, action: Self::Action) -> Result<(), String>;
    /// Whether it is looked at any further.
    fn within_bounds(&self) -> bool;
    /// What sort of action it is, and whose: a random way likes some sorts better than others.
    fn sort(action: Self::Action) -> u64 {
        let _ = action;
        0
    }
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Found<A> {
    /// Different states.
    pub(crate) states: usize,
    /// Actions to the farthest of them.
    pub(crate) depth: usize,
    /// There were no more.
    pub(crate) complete: bool,
    /// The way to the goal, or to the violated invariant, with its name.
    pub(crate) way: Option<(String, Vec<A>)>,
}

/// Explores at most `most` states, until an invariant is violated or `goal` names what it saw.
pub(crate) fn search<W: World>(
    start: W,
    most: usize,
    goal: impl Fn(&W) -> Option<String>,
) -> Found<W::Action> {
    let mut seen: HashSet<u64, BuildHasherDefault<Pass>> = HashSet::default();
    let mut parents: Vec<(usize, Option<W::Action>)> = vec![(0, None)];
    let mut queue = VecDeque::from([(0, 0, start)]);
    let mut depth = 0;
    let found = |states, depth, complete, way| Found {
        states,
        depth,
        complete,
        way,
    };
    while let Some((place, steps, state)) = queue.pop_front() {
        depth = steps;
        for action in state.actions() {
            let mut next = state.clone();
            let result = next.apply(action);
            if !next.within_bounds() || !seen.insert(print(&next)) {
                continue;
            }
            parents.push((place, Some(action)));
            let told = result.err().or_else(|| goal(&next));
            if let Some(name) = told {
                let way = way(&parents, parents.len() - 1);
                return found(seen.len(), depth + 1, false, Some((name, way)));
            }
            if seen.len() >= most {
                return found(seen.len(), depth, false, None);
            }
            queue.push_back((parents.len() - 1, steps + 1, next));
        }
    }
    found(seen.len(), depth, true, None)
}

/// Goes `count` ways of `steps` actions each, taken at random, since what takes long to happen is beyond
/// every search; stops at an invariant that is violated, or at what `goal` names.
pub(crate) fn wander<W: World>(
    start: &W,
    (seed, count, steps): (u64, u64, usize),
    goal: impl Fn(&W) -> Option<String>,
) -> Found<W::Action> {
    let mut states = 0;
    for walk in 0..count {
        let swarm = seed ^ walk.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut dice = Fold(swarm);
        let (mut state, mut way) = (start.clone(), Vec::new());
        for step in 0..steps {
            let actions = state.actions();
            dice.add(step as u64);
            let weighed = actions.iter().map(|action| weight(swarm, W::sort(*action)));
            let mut left = (dice.0 >> 17) % weighed.clone().sum::<u64>().max(1);
            let chosen = weighed.zip(&actions).find(|(weight, _)| {
                let here = left < *weight;
                left = left.saturating_sub(*weight);
                here
            });
            let Some((_, &action)) = chosen else {
                break;
            };
            way.push(action);
            states += 1;
            let result = state.apply(action);
            if let Some(name) = result.err().or_else(|| goal(&state)) {
                return Found {
                    states,
                    depth: way.len(),
                    complete: false,
                    way: Some((name, way)),
                };
            }
        }
    }
    Found {
        states,
        depth: steps,
        complete: false,
        way: None,
    }
}

/// How much a way likes a sort of action: some it never takes (swarm testing, Groce et al., ISSTA 2012).
fn weight(swarm: u64, sort: u64) -> u64 {
    let mut dice = Fold(swarm);
    dice.add(sort);
    dice.add(sort);
    [0, 1, 1, 4, 4, 16, 16, 64][(dice.0 >> 23) as usize % 8]
}

fn way<A: Copy>(parents: &[(usize, Option<A>)], mut place: usize) -> Vec<A> {
    let mut actions = Vec::new();
    while let (parent, Some(action)) = parents[place] {
        actions.push(action);
        place = parent;
    }
    actions.reverse();
    actions
}

/// 64 bits stand for a state. Two of 30 million states share them with a probability of 1 in
/// 40 000, and then one state too few is looked at.
fn print(state: &impl Hash) -> u64 {
    let mut hasher = Fold(0);
    state.hash(&mut hasher);
    hasher.finish()
}

/// A folded multiplication for each word.
struct Fold(u64);

impl Fold {
    fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15)
            * u128::from(0xd6e8_feb8_6659_fd93_u64 ^ self.0.rotate_left(29));
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        let mut last = Fold(self.0);
        last.add(0x2545_f491_4f6c_dd1d);
        last.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.add(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.add(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.add(word as u64);
    }
}

/// The print is a hash already.
#[derive(Default)]
struct Pass(u64);

impl Hasher for Pass {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only prints are looked up");
    }

    fn write_u64(&mut self, print: u64) {
        self.0 = print;
    }
}
