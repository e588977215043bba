//! Writes down what the groups are told and what they say, for a replay; see `core::record`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::message::{Entry, Key, Level, Outbox};
use crate::core::record::{Line, What};
use crate::core::{Effect, Instant};

/// What the heartbeat thread may be ahead of the disk.
pub(crate) const BOUND: usize = 16_384;
/// A recording grows to this.
const MOST: u64 = 64 << 20;
/// What was said is in the file so much later at most.
const FLUSH_EVERY: Duration = Duration::from_millis(200);

/// From the heartbeat thread: nothing that needs memory of its own.
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be memory of its own"
)]
#[derive(Clone, Copy)]
pub(crate) enum Item {
    /// This happened to a group.
    What(Key, Instant, What),
    /// And this is what it said, one after the other.
    Effect(Effect),
}

pub(crate) struct Recorder {
    path: PathBuf,
    file: BufWriter<File>,
    written: u64,
    lost: u64,
    line: Option<Line<Effect>>,
}

impl Recorder {
    /// Begins a recording; an older one is kept beside it, as `FILE.old`: it may show why this agent had to be
    /// started.
    ///
    /// # Errors
    /// The file cannot be made, or the older one not be moved.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut old = path.as_os_str().to_owned();
        old.push(".old");
        match fs::rename(path, old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(File::create(path)?),
            written: 0,
            lost: 0,
            line: None,
        })
    }

    /// Writes until nobody says anything any more, or the file is full.
    pub(crate) fn run(
        mut self,
        inbox: &Receiver<Item>,
        losses: &AtomicU64,
        journal: &Outbox<Entry>,
    ) {
        if let Err(error) = self.write_all(inbox, losses) {
            let text = format!("the recording {} ends here: {error}", self.path.display());
            journal.offer(Entry::Note(Level::Warning, text));
        }
    }

    fn write_all(&mut self, inbox: &Receiver<Item>, losses: &AtomicU64) -> io::Result<()> {
        loop {
            match inbox.recv_timeout(FLUSH_EVERY) {
                Ok(Item::What(group, at, what)) => {
                    self.end_line()?;
                    self.note_losses(group, at, losses.load(Ordering::Relaxed))?;
                    let effects = Vec::new();
                    self.line = Some(Line {
                        group,
                        at,
                        what,
                        effects,
                    });
                }
                Ok(Item::Effect(effect)) => {
                    let effects = self.line.as_mut().map(|line| &mut line.effects);
                    effects.into_iter().for_each(|all| all.push(effect));
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.end_line()?;
                    self.file.flush()?;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.end_line()?;
                    return self.file.flush();
                }
            }
        }
    }

    fn note_losses(&mut self, group: Key, at: Instant, lost: u64) -> io::Result<()> {
        let missing = lost - std::mem::replace(&mut self.lost, lost);
        if missing > 0 {
            self.write(&Line {
                group,
                at,
                what: What::Lost(missing),
                effects: Vec::new(),
            })?;
        }
        Ok(())
    }

    fn end_line(&mut self) -> io::Result<()> {
        match self.line.take() {
            Some(line) => self.write(&line),
            None => Ok(()),
        }
    }

    fn write(&mut self, line: &Line<Effect>) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.written += text.len() as u64;
        if self.written > MOST {
            self.file.flush()?;
            return Err(io::Error::other("it is full (64 MiB)"));
        }
        self.file.write_all(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recording_before_is_kept() {
        let folder = std::env::temp_dir().join(format!("floatlock-rec-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("rec.jsonl");
        for text in ["first", "second", "third"] {
            let mut recorder = Recorder::create(&path).unwrap();
            recorder.file.write_all(text.as_bytes()).unwrap();
        }
        let texts =
            ["rec.jsonl.old", "rec.jsonl"].map(|name| fs::read_to_string(folder.join(name)));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(texts.map(Result::unwrap), ["second", "third"]);
    }
}
