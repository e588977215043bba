//! The thread that asks whether another host answers for addresses that a group is about to take.
//!
//! Three probes a few milliseconds apart, for a few addresses of the group, and then the end of the
//! patience: what is not answered by then is told as "nobody". Any number of groups look at a time.

use std::collections::btree_map::{BTreeMap, Entry as Slot};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver as Inbox;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use pnet_base::MacAddr;

use crate::config::Family;
use crate::core::Instant;
use crate::net::addresses::Placed;
use crate::net::look::{Claim, Lookout, Sign, sample};
use crate::sys::clock;
use crate::sys::wake::Wake;

use super::message::{Ask, Command, Entry, Heart, Key, Level, Outbox, Question};

/// When the probes go out, from the first one on.
const PROBES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(4),
    Duration::from_millis(8),
];
/// So long after the last one it is over.
const LAST_WAIT: Duration = Duration::from_millis(5);
/// However many probe, a guard answers no more often.
const GUARD_EVERY: Duration = Duration::from_millis(1);
/// What can come again and again is said this far apart.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// The state of the look thread.
pub(crate) struct Looker {
    inbox: Inbox<Ask>,
    wake: Wake,
    heart: Heart,
    journal: Outbox<Entry>,
    lookout: Lookout,
    looks: Vec<Look>,
    guards: Vec<Guard>,
    /// When it was last said of a group who answers, or why nobody can be asked.
    said: BTreeMap<Key, Instant>,
}

/// One look of one group.
struct Look {
    key: Key,
    name: Arc<str>,
    ticket: u64,
    sample: Vec<Placed>,
    began: Instant,
    probes: usize,
    /// When the last of them left.
    asked: Instant,
    answer: Option<Claim>,
    /// Somebody else looks, or is about to hold.
    probed: bool,
}

/// A group whose addresses are going on, see [`Question::Guard`].
struct Guard {
    key: Key,
    sample: Vec<Placed>,
    next_at: Instant,
}

fn is_of(sample: &[Placed], claim: &Claim) -> bool {
    let asked =
        |placed: &Placed| placed.address == claim.address && placed.interface == claim.interface;
    sample.iter().any(asked)
}

impl Look {
    fn next_at(&self) -> Instant {
        match PROBES.get(self.probes) {
            Some(wait) => self.began + *wait,
            None => self.asked + LAST_WAIT,
        }
    }

    /// However late its probes left, the last one has its time to be answered.
    fn is_over(&self, now: Instant) -> bool {
        let all = self.probes == PROBES.len();
        self.answer.is_some() || (all && now >= self.asked + LAST_WAIT)
    }

    fn asks_for(&self, claim: &Claim) -> bool {
        is_of(&self.sample, claim)
    }
}

impl Looker {
    pub(crate) fn new(
        (inbox, wake): (Inbox<Ask>, Wake),
        heart: Heart,
        journal: Outbox<Entry>,
    ) -> Self {
        Self {
            inbox,
            wake,
            heart,
            journal,
            lookout: Lookout::default(),
            looks: Vec::new(),
            guards: Vec::new(),
            said: BTreeMap::new(),
        }
    }

    /// Looks for as long as the process lives.
    pub(crate) fn run(mut self) {
        loop {
            // What came until then is heard before a look ends, and before another one begins.
            let now = clock::now();
            self.hear();
            self.end_looks(now);
            self.take_all();
            self.probe();
            if self.looks.is_empty() && self.guards.is_empty() {
                self.lookout.rest();
            }
            self.wait_or_abort();
        }
    }

    fn take_all(&mut self) {
        self.wake.clear();
        while let Ok(ask) = self.inbox.try_recv() {
            self.begin(ask);
        }
    }

    fn begin(&mut self, ask: Ask) {
        let mut chosen = sample(&ask.addresses.managed);
        chosen.retain(|placed| self.can_ask(&ask, placed));
        if ask.what == Question::Ready {
            return;
        }
        if ask.what != Question::Guard {
            self.looks.retain(|look| look.key != ask.key);
        }
        // A look that is to open the gate guards as well: the addresses are on.
        if !matches!(ask.what, Question::Look(_)) {
            self.guards.retain(|guard| guard.key != ask.key);
        }
        let ticket = match ask.what {
            Question::Look(ticket) => ticket,
            Question::Guard => return self.guard(ask.key, chosen),
            Question::Ready | Question::Rest => return,
        };
        if chosen.is_empty() {
            return self.heart.send(Command::Looked(ask.key, ticket, false));
        }
        self.looks.push(Look {
            key: ask.key,
            name: ask.name,
            ticket,
            sample: chosen,
            began: clock::now(),
            probes: 0,
            asked: clock::now(),
            answer: None,
            probed: false,
        });
    }

    fn guard(&mut self, key: Key, sample: Vec<Placed>) {
        self.guards.push(Guard {
            key,
            sample,
            next_at: clock::now(),
        });
    }

    fn can_ask(&mut self, ask: &Ask, placed: &Placed) -> bool {
        let family = Family::of(placed.address);
        let opened = self.lookout.open(&placed.interface, family, clock::now());
        if let Err(error) = &opened {
            self.say_blind(ask.key, &ask.name, &placed.interface, error);
        }
        if matches!(opened, Ok(true)) {
            // Without it this host is blind for other lookers only, as a switch may make it anyway.
            let _ = self.lookout.expect(placed);
        }
        opened.unwrap_or(false)
    }

    fn hear(&mut self) {
        let (looks, guards, mut claims) = (&self.looks, &self.guards, Vec::new());
        self.lookout.hear(|claim| {
            let guarded = || guards.iter().any(|guard| is_of(&guard.sample, &claim));
            if looks.iter().any(|look| look.asks_for(&claim)) || guarded() {
                claims.push(claim);
            }
        });
        for claim in claims {
            if self.lookout.is_own(claim.mac) {
                continue;
            }
            for look in self.looks.iter_mut().filter(|look| look.asks_for(&claim)) {
                match claim.sign {
                    Sign::Has => drop(look.answer.get_or_insert_with(|| claim.clone())),
                    Sign::Probes => look.probed = true,
                }
            }
            if claim.sign == Sign::Probes {
                self.defend(&claim);
            }
        }
    }

    /// Whoever probes for what is going on here hears a probe before its look is over.
    fn defend(&mut self, claim: &Claim) {
        let now = clock::now();
        for guard in &mut self.guards {
            if guard.next_at > now || !is_of(&guard.sample, claim) {
                continue;
            }
            guard.next_at = now + GUARD_EVERY;
            // As good as one that was lost: the next probe is answered as well.
            let _ = self.lookout.ask(&Placed {
                address: claim.address,
                interface: Arc::clone(&claim.interface),
            });
        }
    }

    fn end_looks(&mut self, now: Instant) {
        while let Some(place) = self.looks.iter().position(|look| look.is_over(now)) {
            let look = self.looks.swap_remove(place);
            let answered = look.answer.is_some();
            self.heart.send(match look.probed && !answered {
                true => Command::Probed(look.key, look.ticket),
                false => Command::Looked(look.key, look.ticket, answered),
            });
            if let Some(claim) = look.answer {
                self.say_who(look.key, &look.name, &claim);
            }
        }
    }

    /// The probes that are due. One that cannot be sent is as good as one that was lost.
    fn probe(&mut self) {
        let now = clock::now();
        let mut failed = Vec::new();
        for look in &mut self.looks {
            if look.probes == PROBES.len() || look.next_at() > now {
                continue;
            }
            look.probes += 1;
            for placed in &look.sample {
                if let Err(error) = self.lookout.ask(placed) {
                    let (name, interface) = (Arc::clone(&look.name), Arc::clone(&placed.interface));
                    failed.push((look.key, name, interface, error));
                    break;
                }
            }
            look.asked = clock::now();
        }
        for (key, name, interface, error) in failed {
            self.say_blind(key, &name, &interface, &error);
        }
    }

    fn say_who(&mut self, key: Key, name: &str, claim: &Claim) {
        let Claim {
            interface,
            address,
            mac,
            sign: _,
        } = claim;
        let mac = MacAddr::from(*mac);
        let text = format!("{name}: {mac} on {interface} answers for {address}");
        self.say(key, text);
    }

    fn say_blind(&mut self, key: Key, name: &str, interface: &str, error: &io::Error) {
        let text = format!(
            "{name}: nobody can be asked on {interface} whether he answers for the addresses: \
             {error}"
        );
        self.say(key, text);
    }

    /// One line a group within [`SAY_EVERY`].
    fn say(&mut self, key: Key, text: String) {
        let now = clock::now();
        self.said.retain(|_, at| now.since(*at) < SAY_EVERY);
        if let Slot::Vacant(free) = self.said.entry(key) {
            free.insert(now);
            self.journal.offer(Entry::Note(Level::Warning, text));
        }
    }

    /// Waits for a question, an answer, or the next probe.
    fn wait(&self) -> io::Result<()> {
        let next = self.looks.iter().map(Look::next_at).min();
        let timeout = next.map(|at| TimeSpec::from(at.since(clock::now())));
        let eyes = self.lookout.descriptors();
        let fds = std::iter::once(self.wake.as_fd()).chain(eyes);
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Without its wait the thread would spin or stand still: end the agent, as the actuator does.
    fn wait_or_abort(&self) {
        if let Err(error) = self.wait() {
            eprintln!("floatlock: the look thread cannot wait: {error}");
            std::process::abort();
        }
    }
}
