//! One disk, or three? What is asked of the disk is asked of every copy of the area, and counts when more than half of
//! them have answered.
//!
//! A slot has one writer, which numbers what it writes: of two answers the later one is the slot, so that whoever
//! reads sees every write that was over before it asked, and perhaps one that was not. That is all that
//! [`super::DiskLock`] asks of a disk (a regular register; Lamport, "On Interprocess Communication", 1986; by
//! majorities: Attiya, Bar-Noy and Dolev, "Sharing Memory Robustly in Message-Passing Systems", 1995).
//!
//! ```text
//!   of one start     the highest number of the copies that answered is the slot
//!   of two starts    the numbers say nothing: more than half must be of one of them, or nobody knows
//!   unreadable       is no answer about that slot
//! ```
//! A copy has one read or write under way at a time. One that hangs is left behind; when it comes back, it gets what
//! it has missed: the last record, not those before.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{Event, Op, Record, Sight, SlotId};
use crate::core::time::Instant;

/// Which copy, in the order of the configuration.
pub type CopyId = u8;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Read all slots of this copy, and say [`Mirror::answer`].
    Read(CopyId, Op),
    /// Write the own slot of this copy, and say [`Mirror::answer`].
    Write(CopyId, Op, Record),
    /// Tell the desk: this has become of what it asked for.
    Done(Event),
}

/// A read, or a write of the own slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// All slots.
    Read,
    /// This.
    Write(Record),
}

/// What a copy says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Its slots, the own one too.
    Slots(Vec<Sight>),
    /// The write has landed.
    Landed,
    /// The read or write has failed; a write may have landed all the same, or land later.
    Failed,
}

/// The copies of one area.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mirror {
    me: SlotId,
    /// For a copy that might settle what the others leave open.
    patience: Duration,
    copies: Vec<Copy>,
    asked: Option<Asked>,
    /// Numbers what copies are asked for.
    orders: Op,
    /// The own slot: as it was last to be written, or was found.
    own: Option<Record>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Copy {
    busy: Option<Busy>,
    /// The own slot, as it stands there if nothing is wrong with it; unknown after a write that failed.
    own: Option<Sight>,
    /// It did not show what it had taken.
    lies: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Busy {
    order: Op,
    what: What,
    /// For this question of the desk; otherwise the copy is given what it has missed.
    op: Option<Op>,
}

/// What the desk waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    op: Op,
    what: What,
    since: Instant,
    answers: Vec<Option<Answer>>,
}

impl Mirror {
    /// Of so many copies; nothing is under way.
    #[must_use]
    pub fn new(copies: usize, me: SlotId, patience: Duration) -> Self {
        Self {
            me,
            patience,
            copies: vec![Copy::default(); copies],
            asked: None,
            orders: 0,
            own: None,
        }
    }

    /// The desk asks; it has got what it asked for before.
    pub fn ask(&mut self, now: Instant, op: Op, what: What, out: &mut Vec<Effect>) {
        if let What::Write(record) = what {
            self.own = Some(record);
        }
        let answers = vec![None; self.copies.len()];
        self.asked = Some(Asked {
            op,
            what,
            since: now,
            answers,
        });
        for copy in 0..self.copies.len() {
            self.go_on(copy, out);
        }
    }

    /// A copy answers what it was asked for; anything else is of no interest any more.
    pub fn answer(
        &mut self,
        now: Instant,
        copy: CopyId,
        order: Op,
        answer: Answer,
        out: &mut Vec<Effect>,
    ) {
        let place = usize::from(copy);
        let (me, is_alone) = (usize::from(self.me), self.copies.len() == 1);
        let Some(copy) = self.copies.get_mut(place) else {
            return;
        };
        let is_it = |busy: &mut Busy| busy.order == order;
        let Some(Busy { what, op, .. }) = copy.busy.take_if(is_it) else {
            return;
        };
        copy.note(what, &answer, me, self.own);
        let failed = copy.lies && !is_alone;
        let answer = if failed { Answer::Failed } else { answer };
        let asked = self.asked.as_mut().filter(|asked| Some(asked.op) == op);
        if let Some(asked) = asked {
            asked.answers[place] = Some(answer);
        }
        self.go_on(place, out);
        self.settle(now, out);
    }

    /// A copy was looked at, though nobody asked.
    pub fn saw(&mut self, copy: CopyId, slots: &[Sight], out: &mut Vec<Effect>) {
        let (place, me) = (usize::from(copy), usize::from(self.me));
        if let Some(copy) = self.copies.get_mut(place)
            && copy.busy.is_none()
        {
            copy.show(slots.get(me), self.own);
            self.go_on(place, out);
        }
    }

    /// Nothing but time.
    pub fn pass(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.settle(now, out);
    }

    /// When to call [`Mirror::pass`], if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        match &self.asked {
            Some(asked) if self.is_open(asked) => asked.since + self.patience,
            _ => Instant::NEVER,
        }
    }

    /// Whether the copy does not show what was written to it.
    #[must_use]
    pub fn lies(&self, copy: CopyId) -> bool {
        let copy = self.copies.get(usize::from(copy));
        self.copies.len() > 1 && copy.is_some_and(|copy| copy.lies)
    }

    const fn need(&self) -> usize {
        self.copies.len() / 2 + 1
    }

    /// What the copy does next, if nothing is under way there.
    fn go_on(&mut self, place: usize, out: &mut Vec<Effect>) {
        let is_alone = self.copies.len() == 1;
        let copy = &mut self.copies[place];
        if copy.busy.is_some() {
            return;
        }
        let asked = self.asked.as_ref();
        let asked = asked.filter(|asked| asked.answers[place].is_none());
        let missed = self.own.filter(|own| {
            let stands = copy.own;
            let is_other = |stands| stands != Sight::Slot(*own) && !is_of_another(&stands, own);
            !is_alone && stands.is_some_and(is_other)
        });
        let (what, op) = match (asked, missed) {
            (Some(asked), _) => (asked.what, Some(asked.op)),
            (None, Some(own)) => (What::Write(own), None),
            (None, None) => return,
        };
        self.orders += 1;
        let order = self.orders;
        copy.busy = Some(Busy { order, what, op });
        let copy = CopyId::try_from(place).unwrap_or(CopyId::MAX);
        out.push(match what {
            What::Read => Effect::Read(copy, order),
            What::Write(record) => Effect::Write(copy, order, record),
        });
    }

    /// How many have answered, and how many have failed.
    fn count(asked: &Asked) -> (usize, usize) {
        let answers = || asked.answers.iter().flatten();
        let failed = answers().filter(|answer| **answer == Answer::Failed);
        let failed = failed.count();
        (answers().count() - failed, failed)
    }

    /// Whether somebody is waited for who need not come: enough have answered, but not about every slot; or one has
    /// failed, and may be asked again.
    fn is_open(&self, asked: &Asked) -> bool {
        let (good, failed) = Self::count(asked);
        let waits = good + failed < self.copies.len();
        waits && (good >= self.need() || failed > 0)
    }

    fn settle(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let Some(asked) = &self.asked else {
            return;
        };
        let (good, failed) = Self::count(asked);
        let all = good + failed == self.copies.len();
        let is_late = self.is_open(asked) && asked.since + self.patience <= now;
        let is_over = all || is_late;
        let op = asked.op;
        let is_lost = self.copies.len() - failed < self.need();
        let done = match asked.what {
            _ if is_lost => Some(Event::Failed(op)),
            // The others may hang for ever, and this one may be well again.
            _ if good < self.need() && is_late => return self.ask_again(now, out),
            _ if good < self.need() => None,
            What::Write(_) => Some(Event::Written(op)),
            What::Read => {
                let slots = self.merge(asked);
                let known = slots.iter().all(|sight| sight.record().is_some());
                (known || is_over).then_some(Event::Read(op, slots))
            }
        };
        let Some(done) = done else {
            return;
        };
        self.asked = None;
        if let (Event::Read(_, slots), None) = (&done, self.own) {
            let own = slots.get(usize::from(self.me));
            self.own = own.and_then(Sight::record).copied();
        }
        out.push(Effect::Done(done));
        for copy in 0..self.copies.len() {
            self.go_on(copy, out);
        }
    }

    /// Those that have failed, for the same question.
    fn ask_again(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if let Some(asked) = &mut self.asked {
            asked.since = now;
            let failed = |answer: &&mut Option<Answer>| **answer == Some(Answer::Failed);
            asked
                .answers
                .iter_mut()
                .filter(failed)
                .for_each(|answer| *answer = None);
        }
        for copy in 0..self.copies.len() {
            self.go_on(copy, out);
        }
    }

    /// Whether the desk waits for a write.
    #[must_use]
    pub fn writes(&self) -> bool {
        let asked = self.asked.as_ref();
        asked.is_some_and(|asked| matches!(asked.what, What::Write(_)))
    }

    /// What the copies that have answered say of every slot.
    fn merge(&self, asked: &Asked) -> Vec<Sight> {
        let all = asked.answers.iter().flatten();
        let all: Vec<&Vec<Sight>> = all
            .filter_map(|answer| match answer {
                Answer::Slots(slots) => Some(slots),
                Answer::Landed | Answer::Failed => None,
            })
            .collect();
        let slots = all.iter().map(|slots| slots.len()).max().unwrap_or(0);
        (0..slots).map(|slot| self.agreed(&all, slot)).collect()
    }

    fn agreed(&self, all: &[&Vec<Sight>], slot: usize) -> Sight {
        let records = || all.iter().filter_map(|slots| slots.get(slot)?.record());
        let of = |start| records().filter(|record| record.boot == start).count();
        let starts = records().filter(|record| of(record.boot) >= self.need());
        let Some(latest) = starts.max_by_key(|record| record.seq) else {
            return Sight::Torn;
        };
        // Somebody else has written there.
        let is_twin = |record: &&Record| (record.boot, record.seq) == (latest.boot, latest.seq);
        match records().filter(is_twin).all(|twin| twin == latest) {
            true => Sight::Slot(*latest),
            false => Sight::Torn,
        }
    }
}

/// Whether this was written by another start than that which wrote the own slot last, and not before it.
fn is_of_another(stands: &Sight, own: &Record) -> bool {
    let stands = stands.record();
    stands.is_some_and(|stands| stands.boot != own.boot && stands.seq >= own.seq)
}

impl Copy {
    fn note(&mut self, what: What, answer: &Answer, me: usize, latest: Option<Record>) {
        match (what, answer) {
            (What::Read, Answer::Slots(slots)) => self.show(slots.get(me), latest),
            (What::Write(record), Answer::Landed) => self.own = Some(Sight::Slot(record)),
            (What::Write(_), Answer::Failed) => self.own = None,
            _ => {}
        }
    }

    /// The own slot stands there so. What a copy has dropped once it may drop again, until it shows the last record.
    fn show(&mut self, own: Option<&Sight>, latest: Option<Record>) {
        let is_other = self.own.is_some() && self.own.as_ref() != own;
        let is_latest = own.and_then(Sight::record) == latest.as_ref();
        let is_foreign = own
            .zip(latest.as_ref())
            .is_some_and(|(own, latest)| is_of_another(own, latest));
        self.lies = (self.lies || is_other) && !is_latest && !is_foreign;
        self.own = own.copied();
    }
}
