//! What must survive a restart: the highest epochs, and that this node is out of service.
//!
//! One small file, replaced as a whole, by a thread of its own: a disk that hangs keeps nobody from
//! anything but promotions beyond what is stored already.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::message::{Command, Entry, Heart, Key, Level, Outbox};
use crate::core::lease::Epoch;
use crate::sys::clock;

/// The name of the file in the state directory.
const FILE: &str = "state.json";
/// What can wait to be stored.
pub(crate) const BOUND: usize = 1024;
/// Between two attempts to write.
const AGAIN: Duration = Duration::from_secs(1);

/// What is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct State {
    /// By group: all epochs up to this one may have been used.
    pub(crate) epochs: BTreeMap<String, u64>,
    /// The longest lease that may still be promised to somebody, in nanoseconds.
    pub(crate) lease_ns: u64,
    /// This node is out of service.
    pub(crate) maintenance: Option<Maintenance>,
}

impl State {
    /// From now on leases are this long. Returns how long the leases were that the start before may
    /// have promised, if they were longer: those are remembered until they have ended, since this
    /// start may be a short one.
    pub(crate) fn remember_lease(&mut self, nanos: u64) -> Option<Duration> {
        let before = self.lease_ns;
        self.lease_ns = before.max(nanos);
        (before > nanos).then(|| Duration::from_nanos(before))
    }
}

/// Out of service; times are in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Maintenance {
    /// It began then.
    #[serde(default)]
    pub(crate) since: u64,
    /// It ends by itself then.
    pub(crate) until: Option<u64>,
}

impl Maintenance {
    /// Whether it has not ended by itself.
    pub(crate) fn holds_at(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// To the thread.
pub(crate) enum Task {
    /// Store the epoch, then tell the group.
    Epoch(Key, Arc<str>, Epoch),
    Stop,
}

/// The file, and what is in it.
#[derive(Clone)]
pub(crate) struct Store {
    path: PathBuf,
    /// What the file is to hold: who changes it holds the lock until the file has it.
    wanted: Arc<Mutex<State>>,
    /// What the file holds: read by those who must not wait for a disk.
    stored: Arc<Mutex<State>>,
}

impl Store {
    /// Reads what is there; a directory that is missing is made.
    ///
    /// # Errors
    /// It cannot be read, or is damaged: whoever lost the epochs must not promote with small ones.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let path = directory.join(FILE);
        let state = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| damaged(&path, &error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error),
        };
        Ok(Self::of(path, state))
    }

    /// Nothing is known; what changes may be stored later.
    pub(crate) fn empty(directory: &Path) -> Self {
        Self::of(directory.join(FILE), State::default())
    }

    fn of(path: PathBuf, state: State) -> Self {
        Self {
            path,
            wanted: Arc::new(Mutex::new(state.clone())),
            stored: Arc::new(Mutex::new(state)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is stored by now; waits for no disk.
    pub(crate) fn read(&self) -> State {
        lock(&self.stored).clone()
    }

    /// Changes what is stored.
    ///
    /// # Errors
    /// The file could not be written; the change goes out with the next one.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut wanted = lock(&self.wanted);
        change(&mut wanted);
        self.write(&wanted)
    }

    /// The same, all or nothing.
    ///
    /// # Errors
    /// The file could not be written, and nothing has changed.
    pub(crate) fn change_now(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut wanted = lock(&self.wanted);
        let before = wanted.clone();
        change(&mut wanted);
        self.write(&wanted).inspect_err(|_| *wanted = before)
    }

    fn write(&self, wanted: &State) -> io::Result<()> {
        if *wanted != self.read() || !self.path.exists() {
            write(&self.path, wanted)?;
            lock(&self.stored).clone_from(wanted);
        }
        Ok(())
    }

    /// Stores what comes, many at a time, until told to stop.
    pub(crate) fn run(&self, inbox: &Receiver<Task>, heart: &Heart, journal: &Outbox<Entry>) {
        let mut failed = None;
        while let Ok(first) = inbox.recv() {
            let mut stored = Vec::new();
            let mut stop = false;
            for task in std::iter::once(first).chain(inbox.try_iter()) {
                match task {
                    Task::Epoch(key, name, epoch) => stored.push((key, name, epoch)),
                    Task::Stop => stop = true,
                }
            }
            while let Err(error) = self.change(|state| note(state, &stored)) {
                let text = format!(
                    "{}: {error}: nobody is promoted with an epoch that is not stored",
                    self.path.display()
                );
                if failed.as_ref() != Some(&text) {
                    journal.offer(Entry::Note(Level::Error, text.clone()));
                    failed = Some(text);
                }
                if stop {
                    return;
                }
                clock::sleep(AGAIN);
            }
            failed = None;
            for (key, _, epoch) in stored {
                heart.send(Command::Persisted(key, epoch));
            }
            if stop {
                return;
            }
        }
    }
}

/// A panic aborts the agent, so that the lock cannot be poisoned.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(state: &mut State, stored: &[(Key, Arc<str>, Epoch)]) {
    for (_, name, epoch) in stored {
        let mark = state.epochs.entry(name.as_ref().to_owned()).or_default();
        *mark = epoch.number().max(*mark);
    }
}

/// The old file is there until the new one is whole.
fn write(path: &Path, state: &State) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn damaged(path: &Path, error: &serde_json::Error) -> io::Error {
    let text = format!(
        "{} is damaged ({error}): it holds the epochs that must never be used again. If no other \
         node has served these groups since, remove it",
        path.display()
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("floatlock-store-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn what_is_stored_is_there_after_a_restart_and_only_rises() {
        let directory = directory("rises");
        let store = Store::open(&directory).unwrap();
        assert_eq!(store.read(), State::default());
        let epoch = |number| (1, Arc::from("web"), Epoch::from_number(number));
        store
            .change(|state| note(state, &[epoch(128), epoch(64)]))
            .unwrap();
        let again = Store::open(&directory).unwrap().read();
        assert_eq!(again.epochs.get("web"), Some(&128));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_could_not_be_stored_is_not_read_and_is_stored_later_unless_it_was_all_or_nothing() {
        let directory = directory("later");
        let store = Store::open(&directory).unwrap();
        fs::remove_dir(&directory).unwrap();
        let maintenance = Some(Maintenance {
            since: 1,
            until: None,
        });
        store
            .change_now(|state| state.maintenance = maintenance)
            .unwrap_err();
        store.change(|state| state.lease_ns = 7).unwrap_err();
        assert_eq!(store.read(), State::default());
        fs::create_dir(&directory).unwrap();
        store.change(|_| {}).unwrap();
        let stored = State {
            lease_ns: 7,
            ..State::default()
        };
        assert_eq!(store.read(), stored);
        assert_eq!(Store::open(&directory).unwrap().read(), stored);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn law_8_a_longer_lease_of_before_is_remembered_until_it_has_ended() {
        let mut state = State::default();
        assert_eq!(state.remember_lease(5), None);
        assert_eq!(state.remember_lease(1), Some(Duration::from_nanos(5)));
        // Killed at once, and started again.
        assert_eq!(state.remember_lease(1), Some(Duration::from_nanos(5)));
        assert_eq!(state.lease_ns, 5);
        assert_eq!(state.remember_lease(6), None);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_says_what_to_do() {
        let directory = directory("damaged");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(FILE), b"{\"epochs\":{\"web\":").unwrap();
        let error = Store::open(&directory).map(|_| ()).unwrap_err().to_string();
        assert!(
            error.contains("damaged") && error.contains("remove it"),
            "{error}"
        );
        fs::remove_dir_all(directory).unwrap();
    }
}
