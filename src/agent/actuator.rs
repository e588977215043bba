//! The thread that changes addresses and announces them: one change after the other, in the order
//! in which they were asked for (law 5), announcements in between.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver as Inbox;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::core::{Outcome, Term};
use crate::net::addresses::{Change, Progress, Stats};
use crate::net::announce::Announcer;
use crate::net::rtnl::Rtnl;
use crate::sys::clock;
use crate::sys::wake::Wake;

use super::board::Board;
use super::message::{Command, Entry, Heart, Job, Key, Level, Outbox};

/// The state of the actuator thread.
pub(crate) struct Actuator {
    inbox: Inbox<Job>,
    wake: Wake,
    rtnl: Rtnl,
    announcer: Announcer,
    /// The change that is going on.
    current: Option<Task>,
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
}

#[derive(Clone, Copy)]
enum Purpose {
    Acquire(Term),
    Release(Term),
    Withdraw,
}

impl Actuator {
    pub(crate) fn new(
        (inbox, wake): (Inbox<Job>, Wake),
        rtnl: Rtnl,
        announcer: Announcer,
        heart: Heart,
        journal: Outbox<Entry>,
        board: Arc<Board>,
    ) -> Self {
        let (current, stopping) = (None, false);
        Self {
            inbox,
            wake,
            rtnl,
            announcer,
            current,
            heart,
            journal,
            board,
            stopping,
        }
    }

    /// Works until [`Job::Stop`], and what was asked for before it is done.
    pub(crate) fn run(mut self) {
        loop {
            self.take_next();
            // Only an empty queue is waited for: a bell that rang for two jobs rings once.
            match (&self.current, self.stopping) {
                (Some(_), _) => self.work(),
                (None, true) => return,
                (None, false) => self.wait_or_abort(),
            }
            self.announce();
        }
    }

    /// Takes jobs until one of them changes addresses.
    fn take_next(&mut self) {
        self.wake.clear();
        while self.current.is_none() {
            let Ok(job) = self.inbox.try_recv() else {
                return;
            };
            self.take(job);
        }
    }

    fn take(&mut self, job: Job) {
        let now = clock::now();
        match job {
            Job::Acquire(key, term, addresses) => {
                let change = Change::acquire(Arc::clone(&addresses.managed));
                self.current = Some(Task {
                    change,
                    key,
                    purpose: Purpose::Acquire(term),
                });
            }
            Job::Release(key, term, addresses) => {
                // Law 6: nothing is announced any more once addresses go off.
                self.announcer.cancel(key);
                let change = Change::release(Arc::clone(&addresses.managed));
                self.current = Some(Task {
                    change,
                    key,
                    purpose: Purpose::Release(term),
                });
            }
            Job::Withdraw(key, placed) => {
                let change = Change::release(placed);
                self.current = Some(Task {
                    change,
                    key,
                    purpose: Purpose::Withdraw,
                });
            }
            Job::Announce(key, term, addresses) => {
                let announced = Arc::clone(&addresses.announced);
                self.announcer
                    .start(key, term, announced, addresses.announce, now);
            }
            Job::Hush(key) => self.announcer.cancel(key),
            Job::Close(ears) => drop(ears),
            Job::Stop => self.stopping = true,
        }
    }

    /// One slice of the change that is going on.
    fn work(&mut self) {
        let Some(mut task) = self.current.take() else {
            return;
        };
        match task.change.step(&mut self.rtnl) {
            Progress::More => self.current = Some(task),
            Progress::Done(outcome, stats) => self.done(&task, outcome, &stats),
        }
    }

    fn done(&mut self, task: &Task, outcome: Outcome, stats: &Stats) {
        if stats.untagged > 0 {
            let text = format!(
                "removed {} address(es) of a group that something else had put on this host",
                stats.untagged
            );
            self.note(Level::Warning, text);
        }
        match task.purpose {
            Purpose::Acquire(term) => self.heart.send(Command::Acquired(task.key, term, outcome)),
            Purpose::Release(term) => self.heart.send(Command::Released(task.key, term, outcome)),
            Purpose::Withdraw => self.withdrawn(outcome),
        }
    }

    fn withdrawn(&mut self, outcome: Outcome) {
        if let Err(fault) = outcome {
            let text = format!("addresses that left the configuration will not come off: {fault}");
            self.note(Level::Error, text);
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

    /// Waits for a job or for the next announcement.
    fn wait(&mut self) -> io::Result<()> {
        let timeout = self
            .announcer
            .deadline()
            .map(|at| TimeSpec::from(at.since(clock::now())));
        let mut fds = [PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Without its wait the thread would spin or stand still: end the agent, whose successor
    /// begins by clearing what is left.
    fn wait_or_abort(&mut self) {
        if let Err(error) = self.wait() {
            eprintln!("floatlock: the actuator cannot wait: {error}");
            std::process::abort();
        }
    }

    fn note(&self, level: Level, text: String) {
        self.journal.offer(Entry::Note(level, text));
    }
}
