//! What stands between the groups and a shared disk? A desk at which they ask for its vote, and for each copy of
//! the area a clerk that reads and writes.
//!
//! Nothing here waits: what a clerk does not answer for an hour is reported after a moment, and nobody
//! else notices. Whoever calls says what time it is, and looks at [`Steward::descriptors`] in its poll.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::clerk::Ask;
use super::drive::{Drive, Heard, Open, Said};
use super::refused::Why;
use crate::core::Instant;
pub use crate::core::disk::Plea;
use crate::core::disk::mirror::{Answer, CopyId, Effect, Mirror, What};
use crate::core::disk::{
    Blocked, Counter, DeskEffect, Event, GroupKey, Guard, Hold, Record, Settings, SlotId, Tenancy,
};
use crate::core::lease::{self, BootId};
use crate::sys::clock;
use crate::wire::disk::{Block, Header, Host, Slot, State};
use crate::wire::native;

/// A disk that does not answer for so long is reported.
pub(super) const LATE: Duration = Duration::from_millis(1500);
/// Who begins to want the vote looks again so soon.
const HURRY: Duration = Duration::from_millis(5);

/// Which disk, and for whom.
#[derive(Clone, Debug)]
pub struct Place {
    /// This program, which is started as the clerk.
    pub program: PathBuf,
    /// The shared devices.
    pub devices: Vec<PathBuf>,
    /// The cluster whose area it should hold.
    pub cluster: String,
    /// This node.
    pub node: String,
    /// This start of the agent.
    pub boot: BootId,
    /// What the configuration takes for its lease, if it matters.
    pub lease: Option<Duration>,
    /// This host's name, for people.
    pub host: String,
}

/// What the steward says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// To a group.
    Vote(GroupKey, lease::Event),
    /// To the operator, about one of the disks, in the order of [`Place::devices`].
    Note(usize, Note),
}

/// What an operator should know of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// It is there, and this is its area.
    Ready,
    /// Its lease is this one, and the configuration reckons with that one.
    OtherLease(Duration, Duration),
    /// It does not answer.
    Late,
    /// It answers again, after so long.
    Answers(Duration),
    /// A read or a write failed.
    Failed(String),
    /// The device is of no use.
    Refused(String),
    /// The clerk is gone.
    Gone(String),
    /// A process of an earlier agent hangs in the disk and has the slot.
    Waits,
    /// What was written to it does not stand there.
    Lies,
}

impl Note {
    /// Whether it is good news.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Ready | Self::Answers(_))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("its lock area can be read"),
            Self::OtherLease(lease, reckoned) => Why::OtherLease {
                lease: *lease,
                reckoned: *reckoned,
            }
            .fmt(f),
            Self::Late => write!(
                f,
                "it has not answered for {LATE:?}: without the disk's vote, this node holds nothing once no other \
                 node is heard"
            ),
            Self::Answers(after) => write!(f, "it answers again, after {after:.1?}"),
            Self::Failed(why) => write!(f, "reading or writing failed: {why}"),
            Self::Refused(why) => write!(f, "it cannot be used: {why}"),
            Self::Gone(why) => write!(f, "the process that reads and writes it is gone: {why}"),
            Self::Waits => f.write_str(
                "a process of an earlier agent is still in a read or write of it, or it is named twice: \
                 nothing is written before that one is gone",
            ),
            Self::Lies => f.write_str(
                "it does not show what was written to it: it does not count until it does",
            ),
        }
    }
}

/// The area that most of the disks have.
struct Known {
    header: Header,
    me: SlotId,
    mirror: Mirror,
}

/// The disks: one, or three, of which two are enough.
pub struct Steward {
    place: Place,
    drives: Vec<Drive>,
    /// Whether it was said of the disk that it lies.
    lies: Vec<bool>,
    known: Option<Known>,
    counter: Counter,
    /// Those for whom it asks do nothing: the vote goes on to its end.
    rests: bool,
}

impl Steward {
    /// For disks that were not looked at yet.
    #[must_use]
    pub fn new(place: Place, now: Instant) -> Self {
        let drive = |device: &PathBuf| Drive::new(device.clone(), now);
        let drives: Vec<Drive> = place.devices.iter().map(drive).collect();
        Self {
            lies: vec![false; drives.len()],
            drives,
            place,
            known: None,
            counter: Counter::default(),
            rests: false,
        }
    }

    /// While those for whom it asks do nothing, nothing is begun: the vote is not renewed, and what is asked already
    /// is answered. As if this thread stood still.
    pub const fn rest(&mut self, rests: bool) {
        self.rests = rests;
    }

    /// What tells that a clerk has said something.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.drives.iter().filter_map(Drive::descriptor)
    }

    /// When to call [`Steward::turn`] next, if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let known = self.known.as_ref();
        let settles = known.map_or(Instant::NEVER, |known| known.mirror.deadline());
        let drives = self.drives.iter().map(Drive::deadline);
        drives.fold(self.counter_deadline().min(settles), Instant::min)
    }

    fn counter_deadline(&self) -> Instant {
        match self.rests {
            true => Instant::NEVER,
            false => self.counter.deadline(),
        }
    }

    /// The process that reads and writes this one of the disks.
    #[must_use]
    pub fn clerk_id(&self, disk: usize) -> Option<u32> {
        self.drives.get(disk).and_then(Drive::clerk_id)
    }

    /// Until when this node has the disk's vote.
    #[must_use]
    pub fn vote(&self) -> Option<Instant> {
        self.counter.vote()
    }

    /// Whether enough disks are there, their area is known, and nothing is wrong with them.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let sound = self.drives.iter().zip(&self.lies);
        let sound = sound.filter(|(drive, lies)| drive.is_sound() && !**lies);
        let is_enough = sound.count() >= self.need();
        is_enough && self.known.is_some() && self.counter.blocked() != Some(Blocked::Lying)
    }

    /// Whose the own slot is.
    #[must_use]
    pub fn tenancy(&self) -> Tenancy {
        self.counter.tenancy()
    }

    /// Why it has not, though it is wanted.
    #[must_use]
    pub fn blocked(&self) -> Option<Blocked> {
        self.counter.blocked()
    }

    /// Whether nothing has to be written any more that others wait for.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let known = self.known.as_ref();
        let writes = known.is_some_and(|known| known.mirror.writes());
        !writes && !self.drives.iter().any(Drive::is_busy) && self.counter.is_at_rest()
    }

    /// The name of the node whose slot it is.
    #[must_use]
    pub fn member(&self, slot: SlotId) -> Option<&str> {
        let members = &self.known.as_ref()?.header.members;
        let found = members.iter().find(|member| member.number == slot);
        found.map(|member| member.name.as_str())
    }

    /// A group says something.
    pub fn hear(&mut self, now: Instant, plea: Plea, out: &mut Vec<Word>) {
        self.at_counter(now, out, |counter, said| counter.hear(now, plea, said));
    }

    /// Hears the clerks, and lets time pass.
    pub fn turn(&mut self, out: &mut Vec<Word>) {
        for disk in 0..self.drives.len() {
            let mut heard = Vec::new();
            self.drives[disk].turn(&self.place, &mut heard);
            self.digest(disk, heard, out);
        }
        let now = clock::now();
        if self.counter_deadline() <= now {
            self.at_counter(now, out, |counter, said| counter.pass(now, said));
        }
        self.at_mirror(now, out, |mirror, effects| {
            if mirror.deadline() <= now {
                mirror.pass(now, effects);
            }
        });
    }

    fn digest(&mut self, disk: usize, heard: Heard, out: &mut Vec<Word>) {
        let copy = CopyId::try_from(disk).unwrap_or(CopyId::MAX);
        for (now, said) in heard {
            match said {
                Said::Opened(header, me) => {
                    self.opened(
                        now,
                        disk,
                        Open {
                            header: *header,
                            me,
                        },
                        out,
                    );
                }
                Said::Answer(order, answer) => self.at_mirror(now, out, |mirror, effects| {
                    mirror.answer(now, copy, order, answer, effects);
                }),
                Said::Look(sights) => self.at_mirror(now, out, |mirror, effects| {
                    mirror.saw(copy, &sights, effects);
                }),
                Said::Note(note) => {
                    let is_good = note.is_good();
                    out.push(Word::Note(disk, note));
                    if is_good && self.lies[disk] {
                        out.push(Word::Note(disk, Note::Lies));
                    }
                }
            }
        }
        self.tell_of_lies(disk, copy, out);
    }

    fn tell_of_lies(&mut self, disk: usize, copy: CopyId, out: &mut Vec<Word>) {
        let known = self.known.as_ref();
        let lies = known.is_some_and(|known| known.mirror.lies(copy));
        if std::mem::replace(&mut self.lies[disk], lies) != lies {
            let note = if lies { Note::Lies } else { Note::Ready };
            out.push(Word::Note(disk, note));
        }
    }

    const fn need(&self) -> usize {
        self.drives.len() / 2 + 1
    }

    fn opened(&mut self, now: Instant, disk: usize, open: Open, out: &mut Vec<Word>) {
        let mut heard = Vec::new();
        match self.objection(disk, &open) {
            Some(why) => self.drives[disk].refuse(now, why, &mut heard),
            None => self.drives[disk].accept(now, open.clone(), &mut heard),
        }
        self.digest(disk, heard, out);
        if self.known.is_none() && self.drives[disk].open().is_some() {
            self.settle(now, disk, &open, out);
        }
    }

    /// Why this area must not be used.
    fn objection(&self, disk: usize, open: &Open) -> Option<String> {
        let header = &open.header;
        if header.cluster != self.place.cluster {
            return Some(format!(
                "its lock area is of the cluster {:?}",
                header.cluster
            ));
        }
        let disks = self.drives.len();
        let of = usize::from(header.copy.disks);
        if of != disks {
            return Some(match disks {
                1 => Why::OneOf { of }.to_string(),
                _ => Why::Alone.to_string(),
            });
        }
        let others = || {
            self.drives
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != disk)
        };
        let is_twin =
            |other: &Open| (other.header.area, other.header.copy) == (header.area, header.copy);
        let twin = others().find(|(_, drive)| drive.open().is_some_and(is_twin));
        if let Some((_, twin)) = twin {
            return Some(Why::Copied(twin.device.clone()).to_string());
        }
        let known = self.known.as_ref()?;
        let is_it = |open: &Open| known.header.is_copy_of(&open.header) && known.me == open.me;
        if is_it(open) {
            return None;
        }
        let before = self.drives[disk].last_open();
        Some(match before.is_some_and(is_it) {
            true => "its lock area is another one than before: restart the agent".to_owned(),
            false => Why::OtherArea.to_string(),
        })
    }

    /// The area is that which most of the disks have.
    fn settle(&mut self, now: Instant, disk: usize, open: &Open, out: &mut Vec<Word>) {
        let is_it = |other: &Open| open.header.is_copy_of(&other.header) && open.me == other.me;
        let same = |drive: &&Drive| drive.open().is_some_and(is_it);
        let mut heard = Vec::new();
        if self.drives.iter().filter(same).count() < self.need() {
            let is_other = |drive: &Drive| drive.open().is_some_and(|open| !is_it(open));
            if let Some(other) = self.drives.iter().position(is_other) {
                for (disk, other) in [(disk, other), (other, disk)] {
                    let other = self.drives[other].device.display();
                    let why =
                        format!("its lock area is not that of {other}: prepare the disks together");
                    self.drives[disk].is_at_odds(now, why, &mut heard);
                    out.extend(notes(disk, &mut heard));
                }
            }
            return;
        }
        for (disk, drive) in self.drives.iter_mut().enumerate() {
            match drive.open().map(is_it) {
                Some(true) => drive.is_right(now, &mut heard),
                Some(false) => {
                    let why = "its lock area is not that of the other disks: prepare them together";
                    drive.refuse(now, why.to_owned(), &mut heard);
                }
                None => {}
            }
            out.extend(notes(disk, &mut heard));
        }
        let Open { header, me } = open.clone();
        let lease = header.times.lease();
        if let Some(reckoned) = self.place.lease.filter(|reckoned| *reckoned != lease) {
            out.push(Word::Note(disk, Note::OtherLease(lease, reckoned)));
        }
        let poll = header.times.renew();
        let settings = Settings {
            me,
            lease,
            wait: header.times.wait(),
            poll,
            hurry: HURRY.min(poll),
            // With it a MASTER whose pair is cut got the vote later than it should, once in twenty too late.
            guard: None::<Guard>,
        };
        let mirror = Mirror::new(self.drives.len(), me, poll / 4);
        self.known = Some(Known { header, me, mirror });
        let boot = self.place.boot;
        self.at_counter(now, out, |counter, said| {
            counter.open(settings, boot, now, said)
        });
    }

    /// Says something at the counter, and does what follows from it.
    fn at_counter(
        &mut self,
        now: Instant,
        out: &mut Vec<Word>,
        say: impl FnOnce(&mut Counter, &mut Vec<DeskEffect>),
    ) {
        let mut said = Vec::new();
        say(&mut self.counter, &mut said);
        self.act(now, said, Vec::new(), out);
    }

    /// Says something to the copies, and does what follows from it.
    fn at_mirror(
        &mut self,
        now: Instant,
        out: &mut Vec<Word>,
        say: impl FnOnce(&mut Mirror, &mut Vec<Effect>),
    ) {
        let mut effects = Vec::new();
        if let Some(known) = &mut self.known {
            say(&mut known.mirror, &mut effects);
        }
        self.act(now, Vec::new(), effects, out);
    }

    /// What the desk wants goes to the copies, and what comes of it to the desk, until nothing is left to do.
    fn act(
        &mut self,
        now: Instant,
        said: Vec<DeskEffect>,
        effects: Vec<Effect>,
        out: &mut Vec<Word>,
    ) {
        let (mut said, mut effects) = (VecDeque::from(said), VecDeque::from(effects));
        loop {
            let (mut more_said, mut more_effects) = (Vec::new(), Vec::new());
            if let Some(effect) = effects.pop_front() {
                self.order(now, effect, &mut more_said, &mut more_effects);
            } else if let Some(effect) = said.pop_front() {
                self.ask(now, effect, &mut more_said, &mut more_effects);
                out.extend(effect.word().map(|(group, word)| Word::Vote(group, word)));
            } else {
                return;
            }
            said.extend(more_said);
            effects.extend(more_effects);
        }
    }

    /// The desk wants something of the copies.
    fn ask(
        &mut self,
        now: Instant,
        effect: DeskEffect,
        said: &mut Vec<DeskEffect>,
        effects: &mut Vec<Effect>,
    ) {
        let (op, what) = match effect {
            DeskEffect::Read(op) => (op, What::Read),
            DeskEffect::Write(op, record) => (op, What::Write(record)),
            DeskEffect::Vote(..) | DeskEffect::Lost(..) | DeskEffect::Floor(..) => return,
        };
        match &mut self.known {
            Some(known) => known.mirror.ask(now, op, what, effects),
            None => self.counter.failed(now, op, said),
        }
    }

    /// A copy is asked, or the desk is told.
    fn order(
        &mut self,
        now: Instant,
        effect: Effect,
        said: &mut Vec<DeskEffect>,
        effects: &mut Vec<Effect>,
    ) {
        let (copy, order, ask) = match effect {
            Effect::Read(copy, order) => (copy, order, Some(Ask::Read(order))),
            Effect::Write(copy, order, record) => {
                let block = self.block(now, &record);
                (
                    copy,
                    order,
                    block.map(|block| Ask::Write(order, Box::new(block))),
                )
            }
            Effect::Done(Event::Read(op, sights)) => {
                return self.counter.read(now, op, sights, said);
            }
            Effect::Done(Event::Written(op)) => return self.counter.written(now, op, said),
            Effect::Done(Event::Failed(op)) => return self.counter.failed(now, op, said),
            // Nothing else becomes of a read or write.
            Effect::Done(_) => return,
        };
        let drive = self.drives.get_mut(usize::from(copy));
        let is_asked = drive
            .zip(ask)
            .is_some_and(|(drive, ask)| drive.ask(now, order, &ask));
        if let Some(known) = self.known.as_mut().filter(|_| !is_asked) {
            known
                .mirror
                .answer(now, copy, order, Answer::Failed, effects);
        }
    }

    /// The own slot, as it is to stand on every disk.
    fn block(&self, now: Instant, record: &Record) -> Option<Block> {
        let Known { header, me, .. } = self.known.as_ref()?;
        let slot = Slot {
            node: *me,
            boot_id: native::BootId(record.boot.0.to_be_bytes()),
            intent: record.intent,
            owned: record.owned,
            seq: record.seq,
            floor: record.floor,
            state: State::from(record.hold),
            boottime_ms: now.as_nanos() / 1_000_000,
            wall_ms: super::init::wall_ms(),
            host: Host::new(&self.place.host),
            groups: 0,
        };
        // A ballot of another node is no ballot of ours: the desk never asks for one.
        slot.emit(header.area).ok()
    }
}

/// What is said of a disk that no order was given to yet.
fn notes(disk: usize, heard: &mut Heard) -> impl Iterator<Item = Word> {
    heard.drain(..).filter_map(move |(_, said)| match said {
        Said::Note(note) => Some(Word::Note(disk, note)),
        Said::Opened(..) | Said::Answer(..) | Said::Look(_) => None,
    })
}

impl From<&Slot> for Record {
    fn from(slot: &Slot) -> Self {
        Self {
            boot: BootId(u128::from_be_bytes(slot.boot_id.0)),
            intent: slot.intent,
            owned: slot.owned,
            seq: slot.seq,
            hold: match slot.state {
                State::Held => Hold::Held,
                State::Claimed => Hold::Claimed,
                State::Free => Hold::Free,
                State::Clean => Hold::Clean,
            },
            floor: slot.floor,
        }
    }
}

impl From<Hold> for State {
    fn from(hold: Hold) -> Self {
        match hold {
            Hold::Held => Self::Held,
            Hold::Claimed => Self::Claimed,
            Hold::Free => Self::Free,
            Hold::Clean => Self::Clean,
        }
    }
}

/// Without a disk.
impl fmt::Debug for Steward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steward")
            .field("place", &self.place)
            .field("vote", &self.vote())
            .finish_non_exhaustive()
    }
}
