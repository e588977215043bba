//! What stands between the steward and one disk? A clerk that may hang or die, and what is to be said of that.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use super::clerk::{Answer as Told, Ask, Clerk};
use super::steward::{LATE, Note, Place};
use crate::core::Instant;
use crate::core::disk::mirror::Answer;
use crate::core::disk::{Op, Record, Sight, SlotId};
use crate::sys::clock;
use crate::wire::disk::{Block, Header, Malformed, View};

/// How often a disk that nobody needs is looked at, so that its loss is known before it is needed.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// After a clerk that is gone the next one is started ...
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// ... and after one that found the device to be of no use.
const REFUSED_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Looks have numbers of their own, which no order ever reaches.
const LOOKS: Op = 1 << 63;

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The clerk has the area open: call [`Drive::accept`], or [`Drive::refuse`].
    Opened(Box<Header>, SlotId),
    /// An order was carried out, or was not.
    Answer(Op, Answer),
    /// The slots, though nobody asked.
    Look(Vec<Sight>),
    /// For the operator.
    Note(Note),
}

/// What came, and when.
pub(super) type Heard = Vec<(Instant, Said)>;

/// The area as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) header: Header,
    pub(super) me: SlotId,
}

/// One disk.
pub(super) struct Drive {
    pub(super) device: PathBuf,
    clerk: Option<Clerk>,
    /// When there is none, the next one is started then.
    start_at: Instant,
    /// The clerk has the device open, and nothing is against that.
    is_ready: bool,
    open: Option<Open>,
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
    /// ... whether it is one of writing, which no read ends, ...
    is_of_writes: bool,
    /// ... and whether its area is not that of the others, which ends when the others are known.
    is_of_area: bool,
    /// The own slot is of another area than the header was: the header is read again, once.
    is_foreign: bool,
    was_foreign: bool,
}

impl Drive {
    /// Nobody has looked at it yet.
    pub(super) fn new(device: PathBuf, now: Instant) -> Self {
        Self {
            device,
            clerk: None,
            start_at: now,
            is_ready: false,
            open: None,
            sights: Vec::new(),
            asked: Vec::new(),
            look_at: now,
            looks: LOOKS,
            late_since: None,
            trouble: None,
            is_of_writes: false,
            is_of_area: false,
            is_foreign: false,
            was_foreign: false,
        }
    }

    /// What tells that the clerk has said something.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.clerk.as_ref().map(AsFd::as_fd)
    }

    /// The process that reads and writes.
    pub(super) fn clerk_id(&self) -> Option<u32> {
        self.clerk.as_ref().and_then(Clerk::id)
    }

    /// When to call [`Drive::turn`] next, if nothing happens before.
    pub(super) fn deadline(&self) -> Instant {
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
        starts.min(late.unwrap_or(Instant::NEVER)).min(look)
    }

    /// The area, while it is of use.
    pub(super) fn open(&self) -> Option<&Open> {
        self.open.as_ref().filter(|_| self.is_ready)
    }

    /// The area as it was last found to be good.
    pub(super) const fn last_open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// Whether it is there, its area is known, and nothing is wrong with it.
    pub(super) fn is_sound(&self) -> bool {
        self.open().is_some() && self.trouble.is_none() && self.late_since.is_none()
    }

    /// Whether a write is under way that may still land soon.
    pub(super) fn is_busy(&self) -> bool {
        self.late_since.is_none() && self.asked.iter().any(|(.., is_write)| *is_write)
    }

    /// Hears the clerk, and lets time pass.
    pub(super) fn turn(&mut self, place: &Place, out: &mut Heard) {
        let now = clock::now();
        if self.clerk.is_none() && self.start_at <= now {
            self.start(place, now, out);
        }
        while let Some(clerk) = &self.clerk {
            match clerk.answer() {
                // W counts from when the answer has come, however long this host stood still before.
                Ok(Some(told)) => self.told(clock::now(), told, out),
                Ok(None) => break,
                Err(error) => self.lose(now, AGAIN_AFTER, Note::Gone(error.to_string()), out),
            }
        }
        let now = clock::now();
        if self.is_ready && self.asked.is_empty() && self.look_at <= now {
            self.looks += 1;
            self.ask(now, self.looks, &Ask::Read(self.looks));
        }
        let oldest = self.asked.first().map(|(_, since, _)| *since);
        if let Some(since) = oldest.filter(|since| now.since(*since) >= LATE)
            && self.late_since.is_none()
        {
            self.late_since = Some(since);
            out.push((now, Said::Note(Note::Late)));
        }
    }

    fn start(&mut self, place: &Place, now: Instant, out: &mut Heard) {
        match Clerk::start(&place.program, &self.device, &place.node) {
            Ok(clerk) => {
                self.clerk = Some(clerk);
                // Opening the device may hang as well.
                self.asked.push((LOOKS, now, false));
            }
            Err(error) => self.lose(now, AGAIN_AFTER, Note::Gone(error.to_string()), out),
        }
    }

    /// Without its clerk whatever was asked has failed; what was to be written may land all the same.
    fn lose(&mut self, now: Instant, again_after: Duration, why: Note, out: &mut Heard) {
        self.clerk = None;
        (self.is_ready, self.is_of_writes) = (false, false);
        (self.is_of_area, self.is_foreign) = (false, false);
        self.start_at = now + again_after;
        self.sights.clear();
        self.late_since = None;
        // It was open, and is not any more.
        out.retain(|(_, said)| !matches!(said, Said::Opened(..)));
        self.complain(now, why, out);
        let asked = std::mem::take(&mut self.asked);
        let orders = asked.into_iter().map(|(op, ..)| op);
        let failed = |op| (now, Said::Answer(op, Answer::Failed));
        out.extend(orders.filter(|op| *op < LOOKS).map(failed));
    }

    /// The same trouble is said once, until there is none.
    fn complain(&mut self, now: Instant, why: Note, out: &mut Heard) {
        if self.trouble.as_ref() != Some(&why) {
            self.trouble = Some(why.clone());
            out.push((now, Said::Note(why)));
        }
    }

    fn told(&mut self, now: Instant, told: Told, out: &mut Heard) {
        match told {
            Told::Ready(me, header) => match Header::decode(&header) {
                Ok(header) => out.push((now, Said::Opened(Box::new(header), me))),
                Err(why) => self.refuse(now, why.to_string(), out),
            },
            Told::Waits => self.complain(now, Note::Waits, out),
            Told::Slot(_, number, block) => self.saw(number, &block),
            Told::Read(_) if self.is_foreign && !self.was_foreign => {
                // Somebody may have made the area anew: its slots are none of ours then.
                self.was_foreign = true;
                let why = "the own slot is of another lock area than before";
                self.lose(now, Duration::ZERO, Note::Gone(why.to_owned()), out);
            }
            Told::Read(op) => {
                self.was_foreign &= self.is_foreign;
                self.is_answered(now, op, true, out);
                let sights = self.blank();
                let sights = std::mem::replace(&mut self.sights, sights);
                out.push((
                    now,
                    match op < LOOKS {
                        true => Said::Answer(op, Answer::Slots(sights)),
                        false => Said::Look(sights),
                    },
                ));
            }
            Told::Written(op) => {
                self.is_answered(now, op, true, out);
                out.push((now, Said::Answer(op, Answer::Landed)));
            }
            Told::Failed(op, why) => {
                self.is_answered(now, op, false, out);
                self.sights = self.blank();
                self.complain(now, Note::Failed(why), out);
                if op < LOOKS {
                    out.push((now, Said::Answer(op, Answer::Failed)));
                }
            }
            Told::Refused(why) => self.refuse(now, why, out),
        }
    }

    fn is_answered(&mut self, now: Instant, op: Op, well: bool, out: &mut Heard) {
        let place = self.asked.iter().position(|(asked, ..)| *asked == op);
        let is_write = place.is_some_and(|at| self.asked.remove(at).2);
        self.look_at = now + LOOK_EVERY;
        if let Some(since) = self.late_since.take() {
            out.push((now, Said::Note(Note::Answers(now.since(since)))));
        }
        if !well {
            self.is_of_writes = is_write;
        } else if (is_write || !self.is_of_writes) && !self.is_of_area {
            self.is_well(now, out);
        }
    }

    /// Its area is not that of another disk, and nobody knows yet which is the right one.
    pub(super) fn is_at_odds(&mut self, now: Instant, why: String, out: &mut Heard) {
        self.is_of_area = true;
        self.complain(now, Note::Refused(why), out);
    }

    /// Its area is the right one.
    pub(super) fn is_right(&mut self, now: Instant, out: &mut Heard) {
        if std::mem::take(&mut self.is_of_area) {
            self.is_well(now, out);
        }
    }

    /// Whatever was wrong is over.
    fn is_well(&mut self, now: Instant, out: &mut Heard) {
        self.is_of_writes = false;
        if self.trouble.take().is_some() {
            out.push((now, Said::Note(Note::Ready)));
        }
    }

    /// The area that the clerk has open may be used.
    pub(super) fn accept(&mut self, now: Instant, open: Open, out: &mut Heard) {
        self.is_ready = self.clerk.is_some();
        let is_news = self.open.is_none() && self.trouble.is_none();
        self.is_answered(now, LOOKS, true, out);
        self.look_at = now;
        if is_news {
            out.push((now, Said::Note(Note::Ready)));
        }
        self.open = Some(open);
        self.sights = self.blank();
    }

    /// The area that the clerk has open must not be used; it is looked at again later.
    pub(super) fn refuse(&mut self, now: Instant, why: String, out: &mut Heard) {
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
        let view = View::of(block, open.header.area, number);
        if number == open.me {
            self.is_foreign = matches!(view, View::Unknown(Malformed::Area { .. }));
        }
        if let Some(place) = self.sights.get_mut(usize::from(number)) {
            *place = match view {
                View::Known(slot) => Sight::Slot(Record::from(&slot)),
                View::Unknown(_) => Sight::Torn,
            };
        }
    }

    /// Asks the clerk; `false` if there is none that could be asked.
    pub(super) fn ask(&mut self, now: Instant, op: Op, ask: &Ask) -> bool {
        let clerk = self.clerk.as_ref().filter(|_| self.is_ready);
        let is_asked = clerk.is_some_and(|clerk| clerk.ask(ask).is_ok());
        if is_asked {
            self.asked.push((op, now, matches!(ask, Ask::Write(..))));
        }
        is_asked
    }
}
