//! The thread that changes addresses and announces them: one change at a time (law 5), those that
//! take addresses off first, else in the order in which they were asked for; announcements in
//! between.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver as Inbox;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::core::{AddressFault, AddressFaultKind, Instant, Outcome, Term};
use crate::net::addresses::{Change, Placed, Progress, Stats};
use crate::net::announce::Announcer;
use crate::net::rtnl::Rtnl;
use crate::sys::clock;
use crate::sys::wake::Wake;

use super::board::Board;
use super::message::{Before, Command, Entry, Heart, Job, Key, Level, Outbox};
use super::warden::Warden;
use super::withdraw::{self, Said, Withdrawals};

/// How often those who wait are told that somebody works.
const WORKING_EVERY: Duration = Duration::from_secs(1);

/// Complaints about the gate are this far apart.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);
const NO_GATE: AddressFault = AddressFault {
    address: None,
    kind: AddressFaultKind::NoGate,
};

/// Work waits for so long at most that addresses which answer already are announced.
const NEWS_WITHIN: Duration = Duration::from_millis(2);

/// The state of the actuator thread.
pub(crate) struct Actuator {
    inbox: Inbox<Job>,
    wake: Wake,
    rtnl: Rtnl,
    announcer: Announcer,
    /// In the order in which they were asked for.
    tasks: VecDeque<Task>,
    withdrawals: Withdrawals,
    /// None where there is no gate.
    warden: Option<Warden>,
    told_at: Instant,
    complained_at: Option<Instant>,
    /// It could not be put back.
    gate_is_broken: bool,
    heart: Heart,
    journal: Outbox<Entry>,
    board: Arc<Board>,
    stopping: bool,
}

/// A change, and what to say when it is done.
struct Task {
    change: Change,
    key: Key,
    purpose: Purpose,
    /// It rests until then, once its addresses answer.
    not_before: Instant,
}

#[derive(Clone, Copy, PartialEq)]
enum Purpose {
    Acquire(Term, Before),
    Release(Term),
    Withdraw(withdraw::Id),
}

impl Purpose {
    fn takes_off(self) -> bool {
        !matches!(self, Purpose::Acquire(..))
    }
}

impl Actuator {
    pub(crate) fn new(
        (inbox, wake): (Inbox<Job>, Wake),
        (rtnl, announcer): (Rtnl, Announcer),
        warden: Option<Warden>,
        heart: Heart,
        journal: Outbox<Entry>,
        board: Arc<Board>,
    ) -> Self {
        Self {
            inbox,
            wake,
            rtnl,
            announcer,
            tasks: VecDeque::new(),
            withdrawals: Withdrawals::default(),
            warden,
            told_at: clock::now(),
            complained_at: None,
            gate_is_broken: false,
            heart,
            journal,
            board,
            stopping: false,
        }
    }

    /// Works until [`Job::Stop`], and what was asked for before it is done.
    pub(crate) fn run(mut self) {
        loop {
            self.take_all();
            self.begin_withdrawals();
            self.check_gate_if_due();
            // Only an empty queue is waited for: a bell that rang for two jobs rings once.
            match (self.tasks.is_empty(), self.stopping) {
                (false, _) if self.has_news() => self.wait_or_abort(None),
                (false, _) => match self.rests_until() {
                    None => self.work(),
                    until => self.wait_or_abort(until),
                },
                (true, true) => return,
                (true, false) => self.wait_or_abort(None),
            }
            self.announce();
        }
    }

    /// Whether announcing comes first: thousands of addresses answer before they are on, and putting
    /// them on would keep the news back. What is to come off never waits.
    fn has_news(&self) -> bool {
        let soon = clock::now() + NEWS_WITHIN;
        self.announcer.has_news()
            && self.announcer.deadline().is_some_and(|at| at <= soon)
            && !self.tasks.iter().any(|task| task.purpose.takes_off())
    }

    /// Until when no change goes on; none if one does.
    fn rests_until(&self) -> Option<Instant> {
        let next = self.tasks.iter().map(|task| task.not_before).min();
        next.filter(|at| *at > clock::now())
    }

    fn take_all(&mut self) {
        self.wake.clear();
        while let Ok(job) = self.inbox.try_recv() {
            self.take(job);
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Acquire(key, term, addresses, before) => {
                self.forget_acquire(key);
                self.forget_withdrawals(&addresses.announced);
                match self.guard(key, &addresses.managed) {
                    Ok(()) => {
                        let change = Change::acquire(Arc::clone(&addresses.managed));
                        self.begin(change, key, Purpose::Acquire(term, before));
                    }
                    Err(error) => {
                        self.complain(&format!("the gate cannot be put in place: {error}"));
                        self.heart.send(Command::Acquired(key, term, Err(NO_GATE)));
                    }
                }
            }
            Job::Release(key, term, addresses) => {
                // Law 6: nothing is announced any more once addresses go off, and none goes on.
                self.announcer.cancel(key);
                self.forget_acquire(key);
                if let Err(error) = self.guard(key, &addresses.managed) {
                    self.complain(&format!("addresses come off without a gate: {error}"));
                }
                let change = Change::release(Arc::clone(&addresses.managed));
                self.begin(change, key, Purpose::Release(term));
            }
            Job::Withdraw(key, placed) => self.withdrawals.add(key, placed, clock::now()),
            Job::Announce(key, term, addresses) => {
                // Behind a gate that has not opened yet nobody would hear it.
                self.settle(key);
                let (announced, how) = (Arc::clone(&addresses.announced), addresses.announce);
                self.announcer
                    .start(key, term, announced, how, clock::now());
            }
            Job::Hush(key) => self.announcer.cancel(key),
            Job::Guard => self.check_gate(),
            Job::Stop => self.stopping = true,
        }
    }

    /// The gate is around these addresses and on every interface, before one of them goes on or off.
    fn guard(&mut self, key: Key, placed: &[Placed]) -> io::Result<()> {
        let Some(warden) = &mut self.warden else {
            return Ok(());
        };
        warden.cover(key, placed)?;
        warden.settle(key)?;
        let now = clock::now();
        if warden.has_just_checked(now) {
            return Ok(());
        }
        let alarm = || self.heart.send(Command::GateLost);
        let found = warden.check(&mut self.rtnl, now, alarm)?;
        self.tell_loss(&found.lost);
        Ok(())
    }

    fn settle(&mut self, key: Key) {
        let settled = self.warden.as_ref().map(|warden| warden.settle(key));
        if let Some(Err(error)) = settled {
            self.complain(&format!("the gate does not follow: {error}"));
        }
    }

    fn check_gate_if_due(&mut self) {
        if let Some(warden) = &mut self.warden {
            warden.hear();
        }
        let due = self.warden.as_ref().map(Warden::deadline);
        if due.is_some_and(|at| at <= clock::now()) {
            self.check_gate();
        }
    }

    fn check_gate(&mut self) {
        let Some(warden) = &mut self.warden else {
            return;
        };
        // Nothing ended the right to answer for a while: all groups give way before they go on.
        let alarm = || self.heart.send(Command::GateLost);
        match warden.check(&mut self.rtnl, clock::now(), alarm) {
            Ok(found) => {
                self.tell_loss(&found.lost);
                if std::mem::take(&mut self.gate_is_broken) {
                    self.heart.send(Command::GateWhole(true));
                }
            }
            Err(error) => {
                self.complain(&format!("the gate cannot be put back: {error}"));
                self.heart.send(Command::GateLost);
                if !std::mem::replace(&mut self.gate_is_broken, true) {
                    self.heart.send(Command::GateWhole(false));
                }
            }
        }
    }

    fn tell_loss(&self, lost: &[String]) {
        if !lost.is_empty() {
            let names = lost.join(", ");
            let text = format!("somebody else took the gate off {names}: it was put back");
            self.note(Level::Error, text);
        }
    }

    /// An error that may come again and again.
    fn complain(&mut self, text: &str) {
        let now = clock::now();
        if self
            .complained_at
            .is_none_or(|at| now.since(at) >= COMPLAIN_EVERY)
        {
            self.complained_at = Some(now);
            self.note(Level::Error, text.to_owned());
        }
    }

    fn begin(&mut self, change: Change, key: Key, purpose: Purpose) {
        self.tasks.push_back(Task {
            change,
            key,
            purpose,
            not_before: Instant::default(),
        });
    }

    /// A claim that has ended, or is made anew: nobody waits for its answer any more.
    fn forget_acquire(&mut self, key: Key) {
        self.tasks
            .retain(|task| task.key != key || task.purpose.takes_off());
    }

    /// An address that is to go on, perhaps for another group, no longer has to come off.
    fn forget_withdrawals(&mut self, wanted: &[Placed]) {
        for id in self.withdrawals.forget(wanted, clock::now()) {
            let void = Purpose::Withdraw(id);
            self.tasks.retain(|task| task.purpose != void);
        }
    }

    fn begin_withdrawals(&mut self) {
        while let Some(due) = self.withdrawals.due(clock::now()) {
            let change = Change::release(due.placed);
            self.begin(change, due.key, Purpose::Withdraw(due.id));
        }
    }

    /// One slice of one change. What takes addresses off goes first: others wait to put theirs on,
    /// here and on other nodes.
    fn work(&mut self) {
        let off = self.tasks.iter().position(|task| task.purpose.takes_off());
        let now = clock::now();
        let next = || self.tasks.iter().position(|task| task.not_before <= now);
        let Some(place) = off.or_else(next) else {
            return;
        };
        let task = &mut self.tasks[place];
        match task.change.step(&mut self.rtnl) {
            Progress::More => {}
            Progress::Answering => {
                if let Purpose::Acquire(term, before) = task.purpose {
                    if before == Before::Leaving {
                        task.not_before = clock::now() + task.change.head_start();
                    }
                    self.heart.send(Command::Answering(task.key, term));
                }
            }
            Progress::Done(outcome, stats) => {
                if let Some(task) = self.tasks.remove(place) {
                    self.done(&task, outcome, &stats);
                }
            }
        }
        self.tell_those_who_wait();
    }

    fn tell_those_who_wait(&mut self) {
        if clock::now().since(self.told_at) < WORKING_EVERY {
            return;
        }
        self.told_at = clock::now();
        for task in &self.tasks {
            if let Purpose::Acquire(term, _) | Purpose::Release(term) = task.purpose {
                self.heart.send(Command::Working(task.key, term));
            }
        }
    }

    fn done(&mut self, task: &Task, outcome: Outcome, stats: &Stats) {
        if outcome.is_ok() && stats.untagged > 0 && task.purpose.takes_off() {
            let text = format!(
                "removed {} address(es) of a group that something else had put on this host",
                stats.untagged
            );
            self.note(Level::Warning, text);
        }
        match task.purpose {
            Purpose::Acquire(term, _) => {
                self.heart.send(Command::Acquired(task.key, term, outcome))
            }
            Purpose::Release(term) => self.heart.send(Command::Released(task.key, term, outcome)),
            Purpose::Withdraw(id) => self.withdrawn(id, outcome),
        }
    }

    fn withdrawn(&mut self, id: withdraw::Id, outcome: Outcome) {
        if let (Ok(()), Some(warden)) = (outcome, &mut self.warden)
            && let Some((key, placed)) = self.withdrawals.placed(id)
        {
            warden.uncover(key, &placed);
        }
        match self.withdrawals.done(id, outcome, clock::now()) {
            Some(Said::WillNot(fault)) => self.note(
                Level::Error,
                format!(
                    "addresses that left the configuration will not come off, trying again: {fault}"
                ),
            ),
            Some(Said::OffAtLast) => {
                let text = "the addresses that left the configuration are off now";
                self.note(Level::Info, text.to_owned());
            }
            None => {}
        }
    }

    fn announce(&mut self) {
        let now = clock::now();
        if self.announcer.deadline().is_some_and(|at| at <= now) {
            let sent = self.announcer.run(now);
            self.board
                .announced
                .fetch_add(sent.frames.into(), Ordering::Relaxed);
            self.board
                .announce_failed
                .fetch_add(sent.failed.into(), Ordering::Relaxed);
        }
    }

    /// Waits for a job, for the next announcement, for what the kernel tells of the gate, to try a
    /// withdrawal again, or `until` then.
    fn wait(&mut self, until: Option<Instant>) -> io::Result<()> {
        let gate = self.warden.as_ref().map(Warden::deadline);
        let deadlines = [
            self.announcer.deadline(),
            self.withdrawals.deadline(),
            gate,
            until,
        ];
        let next = deadlines.into_iter().flatten().min();
        let timeout = next.map(|at| TimeSpec::from(at.since(clock::now())));
        let events = self.warden.as_ref().and_then(Warden::events);
        let fds = [Some(self.wake.as_fd()), events].into_iter().flatten();
        let mut fds: Vec<_> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Without its wait the thread would spin or stand still: end the agent, whose successor
    /// begins by clearing what is left.
    fn wait_or_abort(&mut self, until: Option<Instant>) {
        if let Err(error) = self.wait(until) {
            eprintln!("floatlock: the actuator cannot wait: {error}");
            std::process::abort();
        }
    }

    fn note(&self, level: Level, text: String) {
        self.journal.offer(Entry::Note(level, text));
    }
}
