//! What stands between the groups and a shared disk? A desk at which they ask for its vote, and a clerk
//! that reads and writes.
//!
//! Nothing here waits: what a clerk does not answer for an hour is reported after a moment, and nobody
//! else notices. Whoever calls says what time it is, and looks at [`Steward::descriptor`] in its poll.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use super::clerk::{Answer, Ask, Clerk};
use crate::core::Instant;
pub use crate::core::disk::Plea;
use crate::core::disk::{
    Blocked, Counter, DeskEffect, GroupKey, Hold, Op, Record, Settings, Sight, SlotId,
};
use crate::core::lease::{self, BootId};
use crate::sys::clock;
use crate::wire::disk::{Block, Header, Host, Slot, State, View};
use crate::wire::native;

/// A disk that does not answer for so long is reported.
const LATE: Duration = Duration::from_millis(1500);
/// How often a disk that nobody needs is looked at, so that its loss is known before it is needed.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// After a clerk that is gone the next one is started ...
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// ... and after one that found the device to be of no use.
const REFUSED_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Who begins to want the vote looks again so soon.
const HURRY: Duration = Duration::from_millis(5);
/// Looks have numbers of their own, which no desk ever reaches.
const LOOKS: Op = 1 << 63;

/// Which disk, and for whom.
#[derive(Clone, Debug)]
pub struct Place {
    /// This program, which is started as the clerk.
    pub program: PathBuf,
    /// The shared device.
    pub device: PathBuf,
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
    /// To the operator.
    Note(Note),
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
            Self::OtherLease(lease, reckoned) => write!(
                f,
                "it grants for {lease:?}, and the configuration reckons with {reckoned:?}: correct \
                 `disk-lease`, or prepare it anew with `floatlock lock init --lease`"
            ),
            Self::Late => write!(
                f,
                "it has not answered for {LATE:?}: without it, this node holds nothing once no other \
                 node is heard"
            ),
            Self::Answers(after) => write!(f, "it answers again, after {after:.1?}"),
            Self::Failed(why) => write!(f, "reading or writing failed: {why}"),
            Self::Refused(why) => write!(f, "it cannot be used: {why}"),
            Self::Gone(why) => write!(f, "the process that reads and writes it is gone: {why}"),
            Self::Waits => f.write_str(
                "a process of an earlier agent is still in a read or write of it: nothing is written \
                 before that one is gone",
            ),
        }
    }
}

/// The area as it was found.
struct Open {
    header: Header,
    me: SlotId,
}

/// One disk.
pub struct Steward {
    place: Place,
    clerk: Option<Clerk>,
    /// When there is none, the next one is started then.
    start_at: Instant,
    /// The clerk has the device open.
    is_ready: bool,
    open: Option<Open>,
    counter: Counter,
    /// Of the read that is coming in.
    sights: Vec<Sight>,
    /// What the clerk was asked and has not answered, since when, and whether to write.
    asked: Vec<(Op, Instant, bool)>,
    look_at: Instant,
    looks: Op,
    /// It was said that the disk does not answer, since then.
    late_since: Option<Instant>,
    /// The last trouble, which is said once, ...
    trouble: Option<Note>,
    /// ... and whether it is one of writing, which no read ends.
    is_of_writes: bool,
}

impl Steward {
    /// For a disk that was not looked at yet.
    #[must_use]
    pub fn new(place: Place, now: Instant) -> Self {
        Self {
            place,
            clerk: None,
            start_at: now,
            is_ready: false,
            open: None,
            counter: Counter::default(),
            sights: Vec::new(),
            asked: Vec::new(),
            look_at: now,
            looks: LOOKS,
            late_since: None,
            trouble: None,
            is_of_writes: false,
        }
    }

    /// What tells that the clerk has said something.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.clerk.as_ref().map(AsFd::as_fd)
    }

    /// When to call [`Steward::turn`] next, if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let starts = match self.clerk {
            Some(_) => Instant::NEVER,
            None => self.start_at,
        };
        let late = self.asked.first().map(|(_, since, _)| *since + LATE);
        let late = late.filter(|_| self.late_since.is_none());
        let look = match self.is_ready && self.asked.is_empty() {
            true => self.look_at,
            false => Instant::NEVER,
        };
        let never = Instant::NEVER;
        starts
            .min(self.counter.deadline())
            .min(late.unwrap_or(never))
            .min(look)
    }

    /// The process that reads and writes.
    #[must_use]
    pub fn clerk_id(&self) -> Option<u32> {
        self.clerk.as_ref().and_then(Clerk::id)
    }

    /// Until when this node has the disk's vote.
    #[must_use]
    pub fn vote(&self) -> Option<Instant> {
        self.counter.vote()
    }

    /// Whether the disk is there, its area is known, and nothing is wrong with it.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_there = self.is_ready && self.open.is_some();
        let is_well = self.trouble.is_none() && self.late_since.is_none();
        is_there && is_well && self.counter.blocked() != Some(Blocked::Lying)
    }

    /// Why it has not, though it is wanted.
    #[must_use]
    pub fn blocked(&self) -> Option<Blocked> {
        self.counter.blocked()
    }

    /// Whether nothing has to be written any more that others wait for.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let asks = self.asked.iter().any(|(op, ..)| *op < LOOKS);
        !asks && self.counter.is_at_rest()
    }

    /// The name of the node whose slot it is.
    #[must_use]
    pub fn member(&self, slot: SlotId) -> Option<&str> {
        let members = &self.open.as_ref()?.header.members;
        let found = members.iter().find(|member| member.number == slot);
        found.map(|member| member.name.as_str())
    }

    /// A group says something.
    pub fn hear(&mut self, now: Instant, plea: Plea, out: &mut Vec<Word>) {
        self.at_counter(now, out, |counter, said| counter.hear(now, plea, said));
    }

    /// Hears the clerk, and lets time pass.
    pub fn turn(&mut self, out: &mut Vec<Word>) {
        let now = clock::now();
        if self.clerk.is_none() && self.start_at <= now {
            self.start(now, out);
        }
        while let Some(clerk) = &self.clerk {
            match clerk.answer() {
                // W counts from when the answer has come, however long this host stood still before.
                Ok(Some(answer)) => self.answered(clock::now(), answer, out),
                Ok(None) => break,
                Err(error) => self.lose(now, AGAIN_AFTER, Note::Gone(error.to_string()), out),
            }
        }
        let now = clock::now();
        if self.counter.deadline() <= now {
            self.at_counter(now, out, |counter, said| counter.pass(now, said));
        }
        if self.is_ready && self.asked.is_empty() && self.look_at <= now {
            self.looks += 1;
            self.ask(now, self.looks, &Ask::Read(self.looks));
        }
        let oldest = self.asked.first().map(|(_, since, _)| *since);
        if let Some(since) = oldest.filter(|since| now.since(*since) >= LATE)
            && self.late_since.is_none()
        {
            self.late_since = Some(since);
            out.push(Word::Note(Note::Late));
        }
    }

    fn start(&mut self, now: Instant, out: &mut Vec<Word>) {
        let Place {
            program,
            device,
            node,
            ..
        } = &self.place;
        match Clerk::start(program, device, node) {
            Ok(clerk) => {
                self.clerk = Some(clerk);
                // Opening the device may hang as well.
                self.asked.push((LOOKS, now, false));
            }
            Err(error) => self.lose(now, AGAIN_AFTER, Note::Gone(error.to_string()), out),
        }
    }

    /// Without its clerk whatever was asked has failed; what was to be written may land all the same.
    fn lose(&mut self, now: Instant, again_after: Duration, why: Note, out: &mut Vec<Word>) {
        self.clerk = None;
        (self.is_ready, self.is_of_writes) = (false, false);
        self.start_at = now + again_after;
        self.sights.clear();
        let asked = std::mem::take(&mut self.asked);
        self.late_since = None;
        self.complain(why, out);
        for (op, ..) in asked.into_iter().filter(|(op, ..)| *op < LOOKS) {
            self.at_counter(now, out, |counter, said| counter.failed(now, op, said));
        }
    }

    /// The same trouble is said once, until there is none.
    fn complain(&mut self, why: Note, out: &mut Vec<Word>) {
        if self.trouble.as_ref() != Some(&why) {
            self.trouble = Some(why.clone());
            out.push(Word::Note(why));
        }
    }

    fn answered(&mut self, now: Instant, answer: Answer, out: &mut Vec<Word>) {
        match answer {
            Answer::Ready(me, header) => self.opened(now, me, &header, out),
            Answer::Waits => self.complain(Note::Waits, out),
            Answer::Slot(_, number, block) => self.saw(number, &block),
            Answer::Read(op) => {
                self.is_answered(now, op, true, out);
                let sights = self.blank();
                let sights = std::mem::replace(&mut self.sights, sights);
                if op < LOOKS {
                    self.at_counter(now, out, |counter, said| {
                        counter.read(now, op, sights, said)
                    });
                }
            }
            Answer::Written(op) => {
                self.is_answered(now, op, true, out);
                self.at_counter(now, out, |counter, said| counter.written(now, op, said));
            }
            Answer::Failed(op, why) => {
                self.is_answered(now, op, false, out);
                self.sights = self.blank();
                self.complain(Note::Failed(why), out);
                if op < LOOKS {
                    self.at_counter(now, out, |counter, said| counter.failed(now, op, said));
                }
            }
            Answer::Refused(why) => {
                self.lose(now, REFUSED_AGAIN_AFTER, Note::Refused(why), out);
            }
        }
    }

    fn is_answered(&mut self, now: Instant, op: Op, well: bool, out: &mut Vec<Word>) {
        let place = self.asked.iter().position(|(asked, ..)| *asked == op);
        let is_write = place.is_some_and(|at| self.asked.remove(at).2);
        self.look_at = now + LOOK_EVERY;
        if let Some(since) = self.late_since.take() {
            out.push(Word::Note(Note::Answers(now.since(since))));
        }
        if !well {
            self.is_of_writes = is_write;
        } else if (is_write || !self.is_of_writes) && self.trouble.take().is_some() {
            self.is_of_writes = false;
            out.push(Word::Note(Note::Ready));
        }
    }

    fn opened(&mut self, now: Instant, me: SlotId, header: &Block, out: &mut Vec<Word>) {
        let header = match Header::decode(header) {
            Ok(header) => header,
            Err(why) => return self.refuse(now, why.to_string(), out),
        };
        if header.cluster != self.place.cluster {
            let why = format!("its lock area is of the cluster {:?}", header.cluster);
            return self.refuse(now, why, out);
        }
        if let Some(open) = &self.open
            && (&open.header, open.me) != (&header, me)
        {
            let why = "its lock area is another one than before: restart the agent";
            return self.refuse(now, why.to_owned(), out);
        }
        self.is_ready = true;
        let is_news = self.open.is_none() && self.trouble.is_none();
        self.is_answered(now, LOOKS, true, out);
        self.look_at = now;
        if is_news {
            out.push(Word::Note(Note::Ready));
        }
        if self.open.is_some() {
            self.sights = self.blank();
            return;
        }
        let lease = header.times.lease();
        if let Some(reckoned) = self.place.lease.filter(|reckoned| *reckoned != lease) {
            out.push(Word::Note(Note::OtherLease(lease, reckoned)));
        }
        let settings = Settings {
            me,
            lease,
            wait: header.times.wait(),
            poll: header.times.renew(),
            hurry: HURRY.min(header.times.renew()),
        };
        self.open = Some(Open { header, me });
        self.sights = self.blank();
        let boot = self.place.boot;
        self.at_counter(now, out, |counter, said| {
            counter.open(settings, boot, now, said)
        });
    }

    fn refuse(&mut self, now: Instant, why: String, out: &mut Vec<Word>) {
        self.lose(now, REFUSED_AGAIN_AFTER, Note::Refused(why), out);
    }

    /// Every slot that did not come is torn; a number that no node has is nobody's.
    fn blank(&self) -> Vec<Sight> {
        let members = self.open.iter().flat_map(|open| &open.header.members);
        let mut blank = Vec::new();
        for member in members {
            let at = usize::from(member.number);
            if blank.len() <= at {
                blank.resize(at + 1, Sight::Slot(Record::default()));
            }
            blank[at] = Sight::Torn;
        }
        blank
    }

    fn saw(&mut self, number: SlotId, block: &Block) {
        let Some(open) = &self.open else {
            return;
        };
        if let Some(place) = self.sights.get_mut(usize::from(number)) {
            *place = match View::of(block, open.header.area, number) {
                View::Known(slot) => Sight::Slot(Record::from(&slot)),
                View::Unknown(_) => Sight::Torn,
            };
        }
    }

    /// Asks the clerk; `false` if there is none that could be asked.
    fn ask(&mut self, now: Instant, op: Op, ask: &Ask) -> bool {
        let clerk = self.clerk.as_ref().filter(|_| self.is_ready);
        let is_asked = clerk.is_some_and(|clerk| clerk.ask(ask).is_ok());
        if is_asked {
            self.asked.push((op, now, matches!(ask, Ask::Write(..))));
        }
        is_asked
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
        let mut next = 0;
        while let Some(effect) = said.get(next).copied() {
            next += 1;
            let failed = match effect {
                DeskEffect::Read(op) => (!self.ask(now, op, &Ask::Read(op))).then_some(op),
                DeskEffect::Write(op, record) => (!self.write(now, op, &record)).then_some(op),
                DeskEffect::Vote(..) | DeskEffect::Lost(..) | DeskEffect::Floor(..) => None,
            };
            out.extend(effect.word().map(|(group, word)| Word::Vote(group, word)));
            if let Some(op) = failed {
                self.counter.failed(now, op, &mut said);
            }
        }
    }

    fn write(&mut self, now: Instant, op: Op, record: &Record) -> bool {
        let Some(open) = &self.open else {
            return false;
        };
        let slot = Slot {
            node: open.me,
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
        let Ok(block) = slot.emit(open.header.area) else {
            return false;
        };
        self.ask(now, op, &Ask::Write(op, Box::new(block)))
    }
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
