//! The thread that asks the reference, and tells the groups when it answers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::mpsc::Receiver as Inbox;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::config::{Config, Family};
use crate::core::Instant;
use crate::core::lease::next_beat;
use crate::net::reference::{Aim, By, Pace, Sight, proven};
use crate::sys::clock;
use crate::sys::mmsg;
use crate::sys::wake::{self, Wake};

use super::AgentError;
use super::links::Links;
use super::message::{Command, Entry, Heart, Key, Level, Outbox};
use super::threads::{ask_reference, spawn};

/// Plans that may wait: the last one counts.
const PLANS: usize = 64;
/// One line a target within this time.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What to ask: of each service interface its groups, and the targets as seen from there.
#[derive(Debug, Default)]
pub(crate) struct Aims {
    pub(crate) views: Vec<View>,
    pub(crate) need: usize,
}

/// The targets as seen by one service interface.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) keys: Arc<[Key]>,
    pub(crate) aims: Vec<Aim>,
}

/// What follows from a configuration on this host. `keys`: of each group.
pub(crate) fn aims(config: &Config, links: &Links, keys: impl Fn(&str) -> Option<Key>) -> Aims {
    let Some(reference) = &config.fencing.reference else {
        return Aims::default();
    };
    if config.is_witness() {
        return Aims::default();
    }
    let floating: Vec<IpAddr> = config
        .groups
        .iter()
        .flat_map(|group| group.all_addresses().map(|address| address.net.addr()))
        .collect();
    let is_floating = |address: IpAddr| floating.contains(&address);
    let mut of_interface: HashMap<&str, Vec<Key>> = HashMap::new();
    for group in &config.groups {
        let known = of_interface.entry(&group.interface).or_default();
        known.extend(keys(&group.name));
    }
    let views = of_interface.into_iter().map(|(interface, keys)| {
        let name: Arc<str> = interface.into();
        let aim = |target: &IpAddr| Aim {
            interface: Arc::clone(&name),
            index: links.index(interface).unwrap_or_default(),
            target: *target,
            is_own: links.has(*target),
            sources: links.sources(interface, *target, &is_floating),
        };
        View {
            keys: keys.into(),
            aims: reference.targets.iter().map(aim).collect(),
        }
    });
    Aims {
        views: views.collect(),
        need: reference.need,
    }
}

/// What an observer may know of one target on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetRow {
    pub(crate) interface: Arc<str>,
    pub(crate) target: IpAddr,
    /// When the last question was sent that it has answered, and what that was.
    pub(crate) proven: Option<(Instant, By)>,
    pub(crate) trouble: Option<String>,
}

/// Where observers look.
#[derive(Clone, Default)]
pub(crate) struct ReferenceBoard(Arc<Mutex<Vec<TargetRow>>>);

impl ReferenceBoard {
    pub(crate) fn rows(&self) -> Vec<TargetRow> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<TargetRow>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that was started.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) aims: Outbox<Aims>,
    pub(crate) board: ReferenceBoard,
    pub(crate) lease: Duration,
}

/// Starts the thread, where there is a reference to ask. It ends with the process.
pub(super) fn start(
    config: &Config,
    (heart, journal): (&Heart, &Outbox<Entry>),
) -> Result<Option<Watched>, AgentError> {
    let Some(pace) = pace(config).filter(|_| config.fencing.reference.is_some()) else {
        return Ok(None);
    };
    let (waker, wake) = wake::pair().map_err(AgentError::system("opening an eventfd"))?;
    let (aims, inbox) = Outbox::new(PLANS, Some(waker));
    let board = ReferenceBoard::default();
    let mut random = [0; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| AgentError::system("reading random numbers")(errno.into()))?;
    let lease = pace.lease;
    let prober = Prober {
        inbox,
        wake,
        heart: heart.clone(),
        journal: journal.clone(),
        board: board.clone(),
        pace,
        run: u64::from_ne_bytes(random),
        faces: Vec::new(),
        need: 1,
        datagrams: mmsg::Inbox::new(),
        ask_at: Instant::default(),
    };
    let realtime = config.node.realtime;
    spawn("reference", move || ask_reference(prober, realtime))?;
    Ok(Some(Watched { aims, board, lease }))
}

/// As often, and for as long, as the quickest of the groups needs it.
pub(super) fn pace(config: &Config) -> Option<Pace> {
    let interval = config.groups.iter().map(|group| group.interval).min()?;
    let lease = config
        .groups
        .iter()
        .filter_map(|group| group.lease())
        .min()?;
    Some(Pace { interval, lease })
}

/// One service interface.
struct Face {
    keys: Arc<[Key]>,
    sights: Vec<Eye>,
    /// What the groups were told last.
    told: Option<Instant>,
}

/// One target, and what was said of it.
struct Eye {
    sight: Sight,
    answers: bool,
    trouble: Option<String>,
    said_at: Option<Instant>,
    began: Instant,
}

pub(super) struct Prober {
    inbox: Inbox<Aims>,
    wake: Wake,
    heart: Heart,
    journal: Outbox<Entry>,
    board: ReferenceBoard,
    pace: Pace,
    run: u64,
    faces: Vec<Face>,
    need: usize,
    datagrams: mmsg::Inbox,
    ask_at: Instant,
}

impl Prober {
    pub(super) fn run(mut self) {
        loop {
            self.wake.clear();
            if let Some(aims) = self.inbox.try_iter().last() {
                self.adopt(aims);
            }
            self.hear();
            if self.ask_at <= clock::now() {
                self.ask();
                self.show();
            }
            if let Err(error) = self.wait() {
                eprintln!("floatlock: the reference thread cannot wait: {error}");
                std::process::abort();
            }
        }
    }

    /// What is asked as before goes on.
    fn adopt(&mut self, aims: Aims) {
        let mut old: Vec<Eye> = self.faces.drain(..).flat_map(|face| face.sights).collect();
        self.need = aims.need;
        for View { keys, aims } in aims.views {
            let mut sights = Vec::with_capacity(aims.len());
            for aim in aims {
                let before = old.iter().position(|eye| *eye.sight.aim() == aim);
                sights.push(match before {
                    Some(place) => old.swap_remove(place),
                    None => self.look_at(aim),
                });
            }
            self.faces.push(Face {
                keys,
                sights,
                told: None,
            });
        }
        self.ask_at = Instant::default();
    }

    fn look_at(&mut self, aim: Aim) -> Eye {
        // Each has its own identifier.
        self.run = self.run.wrapping_add(1);
        Eye {
            sight: Sight::new(aim, self.pace, self.run),
            // Silence is news only where there was an answer, or after a while.
            answers: true,
            trouble: None,
            said_at: None,
            began: clock::now(),
        }
    }

    fn ask(&mut self) {
        for eye in self.faces.iter_mut().flat_map(|face| &mut face.sights) {
            eye.sight.ask(clock::now(), &mut self.datagrams);
            eye.report(self.pace.lease, &self.journal);
        }
        self.ask_at = next_beat(clock::now(), self.pace.interval);
    }

    fn hear(&mut self) {
        let mut has_news = false;
        for face in &mut self.faces {
            for eye in &mut face.sights {
                has_news |= eye.sight.hear(&mut self.datagrams);
            }
            let answered = face.sights.iter().map(|eye| Some(eye.sight.proven()?.0));
            let proven = proven(answered, self.need);
            if proven > face.told {
                face.told = proven;
                let told = proven.unwrap_or_default();
                self.heart
                    .send(Command::Proven(Arc::clone(&face.keys), told));
            }
        }
        if has_news {
            self.show();
        }
    }

    fn show(&self) {
        let eyes = self.faces.iter().flat_map(|face| &face.sights);
        let rows = eyes.map(|eye| TargetRow {
            interface: Arc::clone(&eye.sight.aim().interface),
            target: eye.sight.aim().target,
            proven: eye.sight.proven(),
            trouble: eye.sight.trouble().map(str::to_owned),
        });
        *self.board.lock() = rows.collect();
    }

    fn wait(&self) -> nix::Result<()> {
        let timeout = match self.faces.is_empty() {
            true => None,
            false => Some(TimeSpec::from(self.ask_at.since(clock::now()))),
        };
        let eyes = self.faces.iter().flat_map(|face| &face.sights);
        let eyes = eyes.flat_map(|eye| eye.sight.descriptors());
        let fds = std::iter::once(self.wake.as_fd()).chain(eyes);
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

impl Eye {
    /// A line where something has changed, and not too many of them.
    fn report(&mut self, lease: Duration, journal: &Outbox<Entry>) {
        let now = clock::now();
        let last = self.sight.proven().map_or(self.began, |(at, _)| at);
        let answers = now.since(last) < lease;
        let trouble = self.sight.trouble().map(str::to_owned);
        if answers == self.answers && trouble == self.trouble {
            return;
        }
        if self.said_at.is_some_and(|at| now.since(at) < SAY_EVERY) {
            return;
        }
        (self.said_at, self.answers) = (Some(now), answers);
        self.trouble.clone_from(&trouble);
        let Aim {
            target, interface, ..
        } = self.sight.aim();
        let (level, text) = match (answers, trouble) {
            (_, Some(trouble)) => (Level::Warning, format!("reference: {trouble}")),
            (true, None) => {
                let text = format!("reference: {target} answers again on {interface}");
                (Level::Info, text)
            }
            (false, None) => {
                let family = Family::of(*target);
                let neighbour = match family {
                    Family::V4 => "ARP",
                    Family::V6 => "neighbour discovery",
                };
                let text = format!(
                    "reference: {target} does not answer on {interface}, neither echo requests nor (on the \
                     link) {neighbour}"
                );
                (Level::Warning, text)
            }
        };
        journal.offer(Entry::Note(level, text));
    }
}
