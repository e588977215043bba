//! Does a target in the network answer this host? Echo requests out, and where the target is on the link and
//! answers none, ARP or neighbour solicitations too.
//!
//! [`Sight`] is one target as seen by one interface, driven by its owner: [`Sight::ask`] once in an
//! interval, [`Sight::hear`] whenever a descriptor is readable. What it proves is the time *before* the
//! answered question was sent (law 2), however late the answer is read.

mod line;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::core::Instant;
use crate::sys::mmsg::Inbox;
use crate::wire::echo::Echo;

use line::Line;

/// An address of this host on the interface, to ask from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The address.
    pub address: IpAddr,
    /// The target is in its network, so that it has no router between.
    pub on_link: bool,
}

/// What is to be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aim {
    /// Questions leave by it, and answers come in by it.
    pub interface: Arc<str>,
    /// Its index.
    pub index: u32,
    /// Who is asked.
    pub target: IpAddr,
    /// It is this host itself: its answer would show nothing.
    pub is_own: bool,
    /// Where from, the likeliest first.
    pub sources: Vec<Source>,
}

/// How long an answer may take, and how often is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two questions.
    pub interval: Duration,
    /// L: an answer to an older question is worth nothing.
    pub lease: Duration,
}

/// By which of the two a target answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// ICMP or ICMPv6.
    Echo,
    /// ARP or neighbour discovery.
    Neighbour,
}

/// So many questions may be unanswered; what is older is worth nothing by then, or nearly.
const MOST_ASKED: usize = 64;

/// One target as seen by one interface.
#[derive(Debug)]
pub struct Sight {
    aim: Aim,
    pace: Pace,
    run: u64,
    count: u64,
    line: Option<Line>,
    /// Among the sources.
    chosen: usize,
    opened_at: Instant,
    /// The echo requests that may still be answered, by their numbers.
    asked: VecDeque<(u64, Instant)>,
    /// Questions to the neighbour that may still be answered. An answer does not say which it is for: it
    /// counts for the oldest.
    neighbour_asked: VecDeque<Instant>,
    /// One was left out, so that what is answered late does not count for a later one.
    has_rested: bool,
    echoed: Option<Instant>,
    proven: Option<(Instant, By)>,
    trouble: Option<String>,
}

impl Sight {
    /// Nothing is asked yet. `run` is random: nobody else can know what is in its questions.
    #[must_use]
    pub fn new(aim: Aim, pace: Pace, run: u64) -> Self {
        Self {
            aim,
            pace,
            run,
            count: 0,
            line: None,
            chosen: 0,
            opened_at: Instant::default(),
            asked: VecDeque::new(),
            neighbour_asked: VecDeque::new(),
            has_rested: false,
            echoed: None,
            proven: None,
            trouble: None,
        }
    }

    /// What is seen.
    #[must_use]
    pub fn aim(&self) -> &Aim {
        &self.aim
    }

    /// The last question that was answered: when it was sent, and what it was.
    #[must_use]
    pub const fn proven(&self) -> Option<(Instant, By)> {
        self.proven
    }

    /// Why nothing can be asked, while that is so.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// What becomes readable when something comes in.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.line.iter().flat_map(Line::descriptors)
    }

    /// Asks; `now` is read by the caller, before.
    pub fn ask(&mut self, now: Instant, inbox: &mut Inbox) {
        // What waits is an answer to what was asked before.
        self.hear(inbox);
        self.trouble = self.try_to_ask(now).err();
    }

    fn try_to_ask(&mut self, now: Instant) -> Result<(), String> {
        let lease = self.pace.lease;
        let lately = |at: Instant| now.since(at) < lease;
        let answers = self.proven.is_some_and(|(at, _)| lately(at));
        let may_yet = self.line.is_some() && lately(self.opened_at);
        if !answers && !may_yet {
            self.open(now)?;
        }
        let Some(line) = &self.line else {
            return Ok(());
        };
        while self.asked.front().is_some_and(|(_, at)| !lately(*at))
            || self.asked.len() > MOST_ASKED
        {
            self.asked.pop_front();
        }
        self.count += 1;
        self.asked.push_back((self.count, now));
        let sent = line.ask(&self.aim, self.echo());
        let is_echoed = self
            .echoed
            .is_some_and(|at| now.since(at) < self.pace.interval * 3 / 2);
        if is_echoed || !line.has_neighbours() {
            return sent.map_err(|e| self.cannot(&e));
        }
        if self.leaves_one_out() {
            return Ok(());
        }
        // Before it leaves.
        self.neighbour_asked.push_back(now);
        let asked = match &mut self.line {
            Some(line) => line.ask_neighbour(&self.aim),
            None => Ok(()),
        };
        asked.map_err(|e| self.cannot(&e))
    }

    /// Two that are not answered may both come late, or one of them was lost: then every later answer
    /// would count for the one before. What has not come after another interval does not come.
    fn leaves_one_out(&mut self) -> bool {
        if std::mem::take(&mut self.has_rested) {
            self.neighbour_asked.clear();
        }
        self.has_rested = self.neighbour_asked.len() >= 2;
        self.has_rested
    }

    fn cannot(&self, error: &io::Error) -> String {
        let Aim {
            target, interface, ..
        } = &self.aim;
        format!("{target} cannot be asked on {interface}: {error}")
    }

    /// Sockets from the next one of the addresses: the one before was not answered for a whole lease, or
    /// the host has got others since.
    fn open(&mut self, now: Instant) -> Result<(), String> {
        self.opened_at = now;
        self.line = None;
        if self.aim.is_own {
            return Err(format!(
                "{} is an address of this host itself",
                self.aim.target
            ));
        }
        let Some(source) = self
            .aim
            .sources
            .get(self.chosen)
            .or(self.aim.sources.first())
        else {
            let Aim {
                target, interface, ..
            } = &self.aim;
            return Err(format!("{interface} has no address to ask {target} from"));
        };
        self.chosen = (self.chosen + 1) % self.aim.sources.len();
        let line = Line::open(&self.aim, *source, self.id());
        self.line = Some(line.map_err(|e| self.cannot(&e))?);
        self.neighbour_asked.clear();
        (self.has_rested, self.echoed) = (false, None);
        Ok(())
    }

    fn id(&self) -> u16 {
        // Its lowest bits.
        self.run as u16
    }

    fn echo(&self) -> Echo {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.run.to_be_bytes());
        nonce[8..].copy_from_slice(&self.count.to_be_bytes());
        Echo {
            id: self.id(),
            sequence: self.count as u16,
            nonce,
        }
    }

    /// Takes what has come in; whether anything new is proven.
    pub fn hear(&mut self, inbox: &mut Inbox) -> bool {
        let before = self.proven.map(|(at, _)| at);
        let Some(line) = &self.line else {
            return false;
        };
        let (mut echoes, mut neighbours) = (Vec::new(), 0);
        line.hear(&self.aim, |echo| echoes.push(echo));
        line.hear_neighbour(&self.aim, inbox, || neighbours += 1);
        for echo in echoes {
            self.take(echo);
        }
        for _ in 0..neighbours {
            if let Some(at) = self.neighbour_asked.pop_front() {
                self.prove(at, By::Neighbour);
            }
        }
        self.proven.map(|(at, _)| at) > before
    }

    fn take(&mut self, echo: Echo) {
        let (run, count) = echo.nonce.split_at(8);
        let [run, count] = [run, count].map(|half| half.try_into().map(u64::from_be_bytes));
        let (Ok(run), Ok(count)) = (run, count) else {
            return;
        };
        let asked = self.asked.iter().find(|asked| asked.0 == count);
        if let Some(&(_, at)) = asked.filter(|_| run == self.run && echo.id == self.id()) {
            self.echoed = self.echoed.max(Some(at));
            self.prove(at, By::Echo);
        }
    }

    fn prove(&mut self, at: Instant, by: By) {
        if self.proven.is_none_or(|(before, _)| at > before) {
            self.proven = Some((at, by));
        }
    }
}

/// When the last questions were sent that so many of the targets have answered, each that one or a later
/// one.
#[must_use]
pub fn proven(answered: impl Iterator<Item = Option<Instant>>, need: usize) -> Option<Instant> {
    let mut all: Vec<Instant> = answered.flatten().collect();
    all.sort_unstable();
    let place = all.len().checked_sub(need.max(1))?;
    all.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn of_several_targets_the_slowest_of_the_needed_ones_counts() {
        let answered = [Some(at(30)), None, Some(at(10)), Some(at(20))];
        let of = |need| proven(answered.into_iter(), need);
        assert_eq!(of(1), Some(at(30)));
        assert_eq!(of(2), Some(at(20)));
        assert_eq!(of(3), Some(at(10)));
        assert_eq!(of(4), None);
    }
}
