//! The thread that asks a shared disk for its vote, and says what it answers.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver as Inbox;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::config::Config;
use crate::core::Instant;
use crate::core::disk::{Blocked, Tenancy};
use crate::disk::steward::{Place, Plea, Steward, Word};
use crate::sys::clock;
use crate::sys::wake::{self, Wake};

use super::AgentError;
use super::board::Board;
use super::message::{Command, Entry, Heart, Key, Level, Outbox};
use super::threads::{ask, spawn};
use super::voting::Elector;

/// What the heartbeat thread may say at a time; it says the rest later.
pub(crate) const BOUND: usize = 8192;
/// How long an agent that ends may take to write that it holds nothing.
const LAST_WRITE_WITHIN: Duration = Duration::from_millis(1500);

/// A heartbeat thread that has not run for so long hangs: it runs every 500 ms whatever happens.
const HUNG: Duration = Duration::from_millis(750);
/// Then it is looked at so often.
const HUNG_LOOK: Duration = Duration::from_millis(50);

/// A thread that was started.
pub(super) struct Disk {
    pub(super) pleas: Outbox<ToDisk>,
    pub(super) watched: Watched,
    pub(super) thread: JoinHandle<()>,
}

/// Starts the thread, where there is a disk to ask.
pub(super) fn start(
    config: &Config,
    host: &str,
    elector: Option<Elector>,
    (heart, journal, beat): (&Heart, &Outbox<Entry>, &Arc<Board>),
) -> Result<Option<Disk>, AgentError> {
    let cluster = config.cluster.as_ref().zip(elector);
    let Some((cluster, elector)) = cluster.filter(|_| config.fencing.has_disk()) else {
        return Ok(None);
    };
    let devices = config.fencing.disk_lock.clone();
    let place = Place {
        // This very program, though another one may stand at its path by now.
        program: PathBuf::from("/proc/self/exe"),
        devices: devices.clone(),
        cluster: cluster.name.clone(),
        node: config.node.name.clone(),
        boot: elector.boot_id(),
        lease: config.fencing.reckoned_disk_lease(),
        host: host.to_owned(),
    };
    let (waker, wake) = wake::pair().map_err(AgentError::system("opening an eventfd"))?;
    let (pleas, inbox) = Outbox::new(BOUND, Some(waker));
    let board = DiskBoard::default();
    lock(&board).troubles = vec![None; devices.len()];
    let arbiter = Arbiter {
        steward: Steward::new(place, clock::now()),
        devices: devices.clone(),
        inbox,
        wake,
        heart: heart.clone(),
        journal: journal.clone(),
        board: Arc::clone(&board),
        beat: Arc::clone(beat),
        is_hung: false,
        always: config.fencing.needs_disk(),
        is_sound: false,
        tenancy: Tenancy::default(),
        ends_at: None,
    };
    let realtime = config.node.realtime;
    let thread = spawn("disk", move || ask(arbiter, realtime))?;
    Ok(Some(Disk {
        pleas,
        watched: Watched { devices, board },
        thread,
    }))
}

/// To this thread.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ToDisk {
    /// From a group, or about the peers.
    Plea(Plea),
    /// Nothing is held here any more: write that, and end.
    Stop,
}

/// What an observer may know of the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DiskRow {
    /// Until when this node has its vote.
    pub(crate) vote: Option<Instant>,
    /// Of each disk the last trouble, while it lasts.
    pub(crate) troubles: Vec<Option<String>>,
    /// Why it has no vote that it wants.
    pub(crate) blocked: Option<String>,
}

/// Where it is said.
type DiskBoard = Arc<Mutex<DiskRow>>;

/// Where observers look.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) devices: Vec<PathBuf>,
    board: DiskBoard,
}

impl Watched {
    pub(crate) fn row(&self) -> DiskRow {
        lock(&self.board).clone()
    }
}

fn lock(board: &Mutex<DiskRow>) -> MutexGuard<'_, DiskRow> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Arbiter {
    steward: Steward,
    devices: Vec<PathBuf>,
    inbox: Inbox<ToDisk>,
    wake: Wake,
    heart: Heart,
    journal: Outbox<Entry>,
    board: DiskBoard,
    /// Whether the heartbeat thread, for which all of this is, still turns.
    beat: Arc<Board>,
    is_hung: bool,
    /// Who holds is looked at all the time, so that whoever takes over has waited already.
    always: bool,
    /// As the groups were told.
    is_sound: bool,
    tenancy: Tenancy,
    ends_at: Option<Instant>,
}

impl Arbiter {
    /// Until [`ToDisk::Stop`], and what is still to be written then.
    pub(super) fn run(mut self) {
        let mut words = Vec::new();
        if self.always {
            self.steward
                .hear(clock::now(), Plea::Silence(true), &mut words);
        }
        loop {
            self.wake.clear();
            self.look_at_heartbeat();
            self.steward.turn(&mut words);
            while let Ok(message) = self.inbox.try_recv() {
                match message {
                    ToDisk::Plea(Plea::Silence(_)) if self.always => {}
                    ToDisk::Plea(plea) => self.steward.hear(clock::now(), plea, &mut words),
                    ToDisk::Stop => {
                        let now = clock::now();
                        self.ends_at = Some(now + LAST_WRITE_WITHIN);
                        // Nobody here is about to ask.
                        self.steward.hear(now, Plea::Silence(false), &mut words);
                    }
                }
            }
            for word in words.drain(..) {
                self.pass_on(word);
            }
            self.show();
            self.tell_of_soundness();
            self.tell_of_tenancy();
            let is_over = |at: Instant| self.steward.is_at_rest() || at <= clock::now();
            if self.ends_at.is_some_and(is_over) {
                return;
            }
            self.wait();
        }
    }

    /// Nobody could take over from a node whose heartbeat hangs as long as its slot is renewed.
    fn look_at_heartbeat(&mut self) {
        let turned_at = self.beat.turned_at();
        // Before its first turn nobody has asked for anything.
        let has_begun = turned_at > Instant::default();
        let is_late = clock::now().since(turned_at) > HUNG;
        let is_hung = has_begun && is_late && self.ends_at.is_none();
        self.steward.rest(is_hung);
        if !std::mem::replace(&mut self.is_hung, is_hung) && is_hung {
            let text = format!(
                "the heartbeat thread has not run for {HUNG:?}: the disk's vote is not renewed until it does"
            );
            self.journal.offer(Entry::Note(Level::Warning, text));
        }
    }

    fn pass_on(&self, word: Word) {
        match word {
            Word::Vote(group, event) => {
                // It was a key when it was asked.
                let key = Key::try_from(group).unwrap_or(Key::MAX);
                self.heart.send(Command::Arbiter(key, event));
            }
            Word::Note(disk, note) => {
                let level = match note.is_good() {
                    true => Level::Info,
                    false => Level::Warning,
                };
                let trouble = (!note.is_good()).then(|| note.to_string());
                if let Some(place) = self.board().troubles.get_mut(disk) {
                    *place = trouble;
                }
                let device = self
                    .devices
                    .get(disk)
                    .map_or(Path::new("?"), PathBuf::as_path);
                let text = format!("disk lock {}: {note}", device.display());
                self.journal.offer(Entry::Note(level, text));
            }
        }
    }

    /// Who cannot be voted for should not be let in.
    fn tell_of_soundness(&mut self) {
        let is_sound = self.steward.is_sound();
        if std::mem::replace(&mut self.is_sound, is_sound) != is_sound {
            self.heart.send(Command::ArbiterSound(is_sound));
        }
    }

    fn tell_of_tenancy(&mut self) {
        let tenancy = self.steward.tenancy();
        if std::mem::replace(&mut self.tenancy, tenancy) == tenancy {
            return;
        }
        self.heart.send(Command::Slot(tenancy));
        let text = match tenancy {
            Tenancy::Contested => {
                "disk lock: another agent writes this node's slot: a host was started under this node's name; this \
                 one holds nothing and promises nothing before the other one has ended"
            }
            Tenancy::Claiming => return,
            Tenancy::Settled => "disk lock: this node's slot is this agent's",
        };
        let level = match tenancy {
            Tenancy::Contested => Level::Error,
            _ => Level::Info,
        };
        self.journal.offer(Entry::Note(level, text.to_owned()));
    }

    fn board(&self) -> MutexGuard<'_, DiskRow> {
        lock(&self.board)
    }

    fn show(&self) {
        let blocked = self.steward.blocked().map(|why| self.why(why));
        let vote = self.steward.vote();
        let mut board = self.board();
        (board.vote, board.blocked) = (vote, blocked);
    }

    fn why(&self, blocked: Blocked) -> String {
        let member = |slot| self.steward.member(slot).unwrap_or("?").to_owned();
        match blocked {
            Blocked::Held(slot) => format!("{} holds it", member(slot)),
            Blocked::Torn(slot) => format!(
                "the slot of {} cannot be read, so that it may hold it",
                member(slot)
            ),
            Blocked::Outbid(slot) => format!("{} was quicker", member(slot)),
            Blocked::Stuck(_) => "a read or write of it has not come back".to_owned(),
            Blocked::Failed => "the last read or write of it failed".to_owned(),
            Blocked::Namesake => "another agent writes this node's slot".to_owned(),
            Blocked::Lying => "it does not show what was written to it".to_owned(),
        }
    }

    /// For a plea, an answer of the clerk, or the next thing to do.
    fn wait(&self) {
        let next = self.steward.deadline();
        let next = self.ends_at.map_or(next, |end| next.min(end));
        let most = if self.is_hung {
            HUNG_LOOK
        } else {
            Duration::from_secs(3600)
        };
        let wait = next.since(clock::now()).min(most);
        let clerks = self.steward.descriptors();
        let fds = std::iter::once(self.wake.as_fd()).chain(clerks);
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match ppoll(&mut fds, Some(TimeSpec::from(wait)), None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => {
                eprintln!("floatlock: the disk thread cannot wait: {error}");
                std::process::abort();
            }
        }
    }
}
