//! Does the disk do what a lock needs? Writes to this node's test block, and looks at those of the
//! others.

use std::path::Path;
use std::time::Duration;

use super::area::Area;
use super::device::{Access, Blocks, Device};
use super::init::{random, wall_ms};
use super::latency::Latency;
use super::refused::{Doing, Refused, Why};
use crate::core::Instant;
use crate::sys::clock;
use crate::wire::disk::{Block, Host, Malformed, Member, Trial, trial_at};

/// How often a test writes while it only waits for the others.
const BEAT: Duration = Duration::from_millis(200);

/// What is to be tried.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'w> {
    /// As which node: this one.
    pub node: &'w str,
    /// This host, for people.
    pub host: &'w str,
    /// In which cluster, if that is known.
    pub cluster: Option<&'w str>,
    /// So many writes, each read back.
    pub count: u64,
    /// And then to look for the others for so long.
    pub watch_for: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Tried {
    /// Of the area.
    pub area: Area,
    /// Of writes.
    pub writes: Latency,
    /// Of reads of what was written.
    pub reads: Latency,
    /// What was seen of every other node.
    pub others: Vec<Other>,
}

/// What was seen of the test block of another node.
#[derive(Debug)]
pub struct Other {
    /// Whose it is.
    pub member: Member,
    /// How often it was different from the look before.
    pub changes: u64,
    /// The first change, counted from the start of the test.
    pub first_after: Option<Duration>,
    /// As it was last read.
    pub last: Result<Trial, Unseen>,
    bytes: Option<Block>,
}

/// Why there is no test block to see.
#[derive(Debug, thiserror::Error)]
pub enum Unseen {
    /// There is none that can be read.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// Reading failed.
    #[error("reading it failed: {0}")]
    Failed(#[from] std::io::Error),
}

/// Tries the disk.
///
/// # Errors
/// There is no area, no such node, or the first write or read that failed.
pub fn test(path: &Path, wish: &Wish<'_>) -> Result<Tried, Refused> {
    let device = Device::open(path, Access::Write)?;
    test_on(&device, wish).map_err(|why| Refused::new(path, why))
}

fn test_on(device: &Device, wish: &Wish<'_>) -> Result<Tried, Why> {
    let area = Area::read(device)?;
    let header = &area.header;
    if let Some(ours) = wish.cluster.filter(|ours| *ours != header.cluster) {
        return Err(Why::OtherCluster {
            theirs: header.cluster.clone(),
            ours: ours.to_owned(),
        });
    }
    let own = area.member(wish.node)?;
    let others = header.members.iter().filter(|member| *member != own);
    let mut run = Run {
        device,
        area: &area,
        started: clock::now(),
        said: Trial {
            node: own.number,
            run: random()?,
            counter: 0,
            wall_ms: 0,
            host: Host::new(wish.host),
        },
        writes: Latency::default(),
        reads: Latency::default(),
        others: others.map(Other::new).collect(),
    };
    run.go(wish)?;
    let Run {
        writes,
        reads,
        others,
        ..
    } = run;
    Ok(Tried {
        area,
        writes,
        reads,
        others,
    })
}

struct Run<'r> {
    device: &'r Device,
    area: &'r Area,
    started: Instant,
    said: Trial,
    writes: Latency,
    reads: Latency,
    others: Vec<Other>,
}

impl Run<'_> {
    fn go(&mut self, wish: &Wish<'_>) -> Result<(), Why> {
        self.look();
        for _ in 0..wish.count {
            self.beat()?;
        }
        self.look();
        let end = clock::now() + wish.watch_for;
        loop {
            let left = end.since(clock::now());
            if left.is_zero() {
                return Ok(());
            }
            clock::sleep(left.min(BEAT));
            // Seen by those who look for us; not counted, since nothing presses.
            self.write()?;
            self.look();
        }
    }

    /// A write and a read of it, both measured.
    fn beat(&mut self) -> Result<(), Why> {
        let submitted = clock::now();
        let block = self.write()?;
        let written = clock::now();
        let at = trial_at(self.said.node);
        let read = self.device.read(at);
        let read = read.map_err(|error| Doing::Reading(at).failed(error))?;
        self.writes.add(written.since(submitted));
        self.reads.add(clock::now().since(written));
        match read == block {
            true => Ok(()),
            false => Err(Why::NotThere { at }),
        }
    }

    fn write(&mut self) -> Result<Block, Why> {
        self.said.counter += 1;
        self.said.wall_ms = wall_ms();
        let block = self.said.emit(self.area.header.area)?;
        let at = trial_at(self.said.node);
        let written = self.device.write(at, &block);
        written.map_err(|error| Doing::Writing(at).failed(error))?;
        Ok(block)
    }

    fn look(&mut self) {
        for other in &mut self.others {
            other.look(self.device, self.area, self.started);
        }
    }
}

impl Other {
    fn new(member: &Member) -> Self {
        Self {
            member: member.clone(),
            changes: 0,
            first_after: None,
            last: Err(Malformed::Blank.into()),
            bytes: None,
        }
    }

    fn look(&mut self, device: &Device, area: &Area, started: Instant) {
        let read = device.read(trial_at(self.member.number));
        let block = match read {
            Ok(block) => block,
            Err(error) => {
                self.last = Err(error.into());
                return;
            }
        };
        if self.bytes.as_ref().is_some_and(|before| *before != block) {
            self.changes += 1;
            self.first_after.get_or_insert(clock::now().since(started));
        }
        self.last =
            Trial::decode(&block, area.header.area, self.member.number).map_err(Unseen::from);
        self.bytes = Some(block);
    }
}
