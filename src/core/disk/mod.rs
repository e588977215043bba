//! Who has the disk's vote? Intent-commit on slots that are written by one node each.
//!
//! ```text
//!   watch    read the others until none holds, or none has changed for W
//!   declare  write { intent: e }, read again: nothing above e, and nobody has begun to hold meanwhile
//!   commit   write { owned: e, HELD }, read again: nothing above e. The vote is ours until when the
//!   renew    write { seq + 1 },        read again    write was asked for, and L
//! ```
//!
//! Nothing rests on how long a read or a write takes: one that is stuck for an hour harms nobody. Whoever
//! extends its vote has first written and then looked; whoever declares has first written and then
//! looked too: one of them sees the other (Dekker). A node that looks sees what was written before, and
//! nothing else is asked of the disk.
//!
//! Design, section 6 (the disk lock): a sector that all write would be clobbered by a late write, and an
//! I/O time bound would make everybody wait for it.

mod counter;
mod desk;
pub mod mirror;
mod record;
mod tenure;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::lease::{BootId, Epoch};
use super::time::Instant;
pub use counter::{Counter, Plea};
pub use desk::{Desk, Effect as DeskEffect, GroupKey};
pub use record::{Hold, Record, Sight};
use tenure::Tenure;
pub use tenure::{Guard, SETTLE, Tenancy};

/// Numbers the reads and writes of one boot.
pub type Op = u64;

/// Which slot of the area.
pub type SlotId = u8;

/// What is written in the area's header, and who this node is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// The own slot: nobody else writes it, and this node writes no other.
    pub me: SlotId,
    /// L: how long the vote counts after its write was asked for.
    pub lease: Duration,
    /// W: how long a slot that is held must stay unchanged before it counts as abandoned; see
    /// [`super::lease::promise`].
    pub wait: Duration,
    /// Between two looks of who waits, and between two renewals of who holds.
    pub poll: Duration,
    /// Who begins to want the vote looks again so soon, and then after twice as long, up to that: a holder that
    /// hands over is about to lay its slot down.
    pub hurry: Duration,
    /// Where another host may be started under this node's name: how the slot is kept.
    pub guard: Option<Guard>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Nothing but time.
    Time,
    /// The peers are silent: look who holds, so that the wait has begun when this node may contend.
    Watch(bool),
    /// The vote is wanted. No promise and no quarantine binds this node, and an old gate is shut.
    Want,
    /// It is not wanted any more; what it allowed has ended, or rests on the peers' votes again.
    Rest,
    /// After [`Event::Rest`], and at the start, after [`Event::Floor`]: what was held is off this node, or allowed by
    /// the peers. Others need not wait.
    Clean,
    /// Every epoch that this node serves under the vote is at most this one.
    Floor(Epoch),
    /// The read has come back: the slots of all nodes, by their numbers, the own one too.
    Read(Op, Vec<Sight>),
    /// The write has landed.
    Written(Op),
    /// The read or write has failed; a write may have landed all the same.
    Failed(Op),
}

/// What to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Read all slots, and say [`Event::Read`]. One read or write is under way at a time.
    Read(Op),
    /// Write the own slot, and say [`Event::Written`].
    Write(Op, Record),
    /// The vote counts.
    Vote(Vote),
    /// It counts no more.
    Lost,
}

/// The disk's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vote {
    /// Until then.
    pub until: Instant,
    /// Others have served epochs up to this one: it counts for higher ones only,
    pub above: Epoch,
    /// up to this one, which the slot says.
    pub floor: Epoch,
}

/// What this node is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    /// These are the others as they were, unchanged since then, and until when the last read was asked for.
    Watching {
        others: Vec<Sight>,
        since: Instant,
        seen_at: Instant,
        read_at: Instant,
    },
    /// The intent is written, and then looked at.
    Declaring {
        ballot: Epoch,
        others: Vec<Sight>,
        step: Step,
    },
    /// The vote is claimed from then on, if nobody objects.
    Committing {
        ballot: Epoch,
        asked: Instant,
        step: Step,
    },
    Holding {
        ballot: Epoch,
        until: Instant,
        /// When the renewal under way was asked for.
        asked: Option<(Instant, Step)>,
        renew_at: Instant,
    },
    /// The slot is being claimed, ...
    Claiming,
    /// ... or laid down.
    Clearing,
}

/// First write, then look. Who renews where the slot may be somebody else's looks before that as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Check,
    Write,
    Look,
}

/// Why the vote is not ours, for those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blocked {
    /// This slot is held, and may be alive.
    Held(SlotId),
    /// This slot cannot be read; it counts as held until its node writes it, or an operator.
    Torn(SlotId),
    /// Somebody else was quicker.
    Outbid(SlotId),
    /// A read or a write has not come back since then.
    Stuck(Instant),
    /// The last read or write failed.
    Failed,
    /// What was written is not what can be read.
    Lying,
    /// Another start of this node's agent has written into the own slot, and may be alive.
    Namesake,
}

/// One node's side of the disk lock.
///
/// Every instant in here is the end of something, or where something began that is measured from
/// then on this node's clock alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DiskLock {
    settings: Settings,
    boot: BootId,
    now: Instant,
    wants: bool,
    watches: bool,
    /// What was held may be given to others.
    clean: bool,
    /// The own slot, as it was last read or written.
    own: Option<Record>,
    /// Nobody can read it, or a write has failed and may have landed in part: others may take it for held.
    own_torn: bool,
    own_unsure: bool,
    /// A write may have landed of which nothing is known: the slot may be held by this boot.
    may_hold: bool,
    /// Whose the own slot is.
    tenure: Option<Tenure>,
    seq: u64,
    floor: Epoch,
    /// The highest ballot and the highest epoch that others have written.
    highest: Epoch,
    used: Epoch,
    phase: Phase,
    op: Op,
    pending: Option<Op>,
    /// Whether it is a write.
    writes: bool,
    pending_since: Instant,
    /// No read or write before.
    next_at: Instant,
    /// The wait before the next look.
    pace: Duration,
    /// How often somebody else was quicker, since the last vote.
    outbid: u32,
    blocked: Option<Blocked>,
}

impl DiskLock {
    /// A node that starts now. It does nothing before it is asked to.
    #[must_use]
    pub fn new(settings: Settings, boot: BootId, now: Instant) -> Self {
        Self {
            settings,
            boot,
            now,
            wants: false,
            watches: false,
            clean: false,
            own: None,
            own_torn: false,
            own_unsure: false,
            may_hold: false,
            tenure: settings.guard.map(|guard| Tenure::new(guard, boot, now)),
            seq: 0,
            floor: Epoch::default(),
            highest: Epoch::default(),
            used: Epoch::default(),
            phase: Phase::Idle,
            op: 0,
            pending: None,
            writes: false,
            pending_since: now,
            next_at: now,
            pace: settings.poll,
            outbid: 0,
            blocked: None,
        }
    }

    /// The only way to change: time passes first (law 1), then the event is taken.
    pub fn step(&mut self, now: Instant, event: Event, out: &mut Vec<Effect>) {
        self.now = self.now.max(now);
        self.lapse(out);
        self.take(event, out);
        self.proceed(out);
    }

    /// Until when the vote counts.
    #[must_use]
    pub fn vote(&self) -> Option<Instant> {
        match self.phase {
            Phase::Holding { until, .. } if until > self.now => Some(until),
            _ => None,
        }
    }

    /// Whose the own slot is.
    #[must_use]
    pub fn tenancy(&self) -> Tenancy {
        self.tenure
            .as_ref()
            .map_or(Tenancy::Settled, Tenure::tenancy)
    }

    /// Whether nothing is being written, nor has to be.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let writes = self.pending.is_some() && self.writes;
        let is_idle = matches!(self.phase, Phase::Idle | Phase::Watching { .. });
        let is_foreign = self.tenure.as_ref().is_some_and(Tenure::is_foreign);
        is_idle && !writes && (is_foreign || !self.has_to_clear())
    }

    /// Why the vote is not ours though it is wanted, or why it is not renewed.
    #[must_use]
    pub fn blocked(&self) -> Option<Blocked> {
        let late = self.pending_since + self.settings.poll * 4;
        match self.pending {
            Some(_) if late <= self.now => Some(Blocked::Stuck(self.pending_since)),
            _ if self.tenancy() == Tenancy::Contested => Some(Blocked::Namesake),
            _ => self.blocked,
        }
    }

    /// When to call [`DiskLock::step`] next, if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let end = match self.phase {
            Phase::Holding { until, .. } => until,
            _ => Instant::NEVER,
        };
        end.min(self.next())
    }

    /// When there is something to read or write.
    fn next(&self) -> Instant {
        if self.pending.is_some() {
            return Instant::NEVER;
        }
        let at = match &self.phase {
            Phase::Idle if self.is_to_clear() || self.wants || self.watches => self.now,
            Phase::Idle => self.guard_at(),
            Phase::Holding { renew_at, .. } => *renew_at,
            Phase::Watching { .. } if self.is_to_clear() => self.now,
            Phase::Watching {
                others,
                since,
                read_at,
                ..
            } => {
                let free_at = self.free_at(others, *since);
                free_at.min(*read_at).min(self.guard_at())
            }
            _ => self.now,
        };
        at.max(self.next_at)
    }

    /// Whether nobody else writes the own slot, as far as that can be known.
    fn is_tenant(&self) -> bool {
        self.tenure.as_ref().is_none_or(Tenure::is_ours)
    }

    /// Whether it was looked at so lately that nobody else has got it since.
    fn is_fresh(&self) -> bool {
        let tenure = self.tenure.as_ref();
        tenure.is_none_or(|tenure| tenure.is_fresh(self.now))
    }

    /// When the own slot is to be looked at, or claimed.
    fn guard_at(&self) -> Instant {
        let Some(tenure) = &self.tenure else {
            return Instant::NEVER;
        };
        tenure.look_at().min(tenure.claim_at())
    }

    /// When this node may declare, as far as the others are concerned.
    fn free_at(&self, others: &[Sight], since: Instant) -> Instant {
        match Self::holder(others) {
            _ if !self.wants => Instant::NEVER,
            _ if !self.is_tenant() => Instant::NEVER,
            None => Instant::default(),
            Some(Blocked::Held(_)) => since + self.settings.wait,
            Some(_) => Instant::NEVER,
        }
    }

    /// Ends what has ended by now.
    fn lapse(&mut self, out: &mut Vec<Effect>) {
        if let Phase::Holding { until, .. } = self.phase
            && until <= self.now
        {
            self.lose(out);
        }
    }

    fn take(&mut self, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Time => {}
            Event::Watch(on) => self.watches = on,
            Event::Want => self.want(),
            Event::Rest => self.rest(out),
            Event::Clean => self.clean = !self.wants,
            Event::Floor(epoch) => self.floor = self.floor.max(epoch),
            Event::Read(op, slots) => {
                if !self.writes && self.is_answered(op) {
                    self.looked(slots, out);
                }
            }
            Event::Written(op) => {
                if self.writes && self.is_answered(op) {
                    self.wrote();
                }
            }
            Event::Failed(op) => {
                if self.is_answered(op) {
                    self.failed();
                }
            }
        }
    }

    /// Whether this is what was asked. What was given up meanwhile needs no mark: nothing new is begun
    /// before its answer, and then there is nothing that it could go on with.
    fn is_answered(&mut self, op: Op) -> bool {
        let is_it = self.pending == Some(op);
        if is_it {
            self.pending = None;
        }
        is_it
    }

    fn lose(&mut self, out: &mut Vec<Effect>) {
        out.push(Effect::Lost);
        self.phase = Phase::Idle;
    }

    fn want(&mut self) {
        self.wants = true;
        self.pace = self.settings.hurry;
        if let Phase::Watching { read_at, .. } = &mut self.phase {
            *read_at = (*read_at).min(self.now + self.pace);
        }
    }

    fn rest(&mut self, out: &mut Vec<Effect>) {
        self.wants = false;
        self.pace = self.settings.poll;
        match self.phase {
            Phase::Holding { .. } => {
                self.clean = false;
                self.lose(out);
            }
            Phase::Declaring { .. } | Phase::Committing { .. } => self.phase = Phase::Idle,
            Phase::Idle | Phase::Watching { .. } | Phase::Claiming | Phase::Clearing => {}
        }
    }

    /// The slot says that this boot holds, or may say so, and that is over; or it says nothing, and nothing is
    /// left here of what it may have said.
    fn is_to_clear(&self) -> bool {
        self.is_tenant() && self.has_to_clear()
    }

    fn has_to_clear(&self) -> bool {
        let is_doubtful = self.own_torn || self.own_unsure;
        self.may_hold && self.clean && !self.wants || is_doubtful && self.is_clean()
    }

    /// Nothing is left here of what the slot may have said. Whoever wants the vote was clean when it began to.
    const fn is_clean(&self) -> bool {
        self.clean || self.wants && !self.may_hold
    }

    fn looked(&mut self, slots: Vec<Sight>, out: &mut Vec<Effect>) {
        let me = usize::from(self.settings.me);
        let is_let_go = self.look_at_own(slots.get(me));
        let ours = slots.get(me).and_then(Sight::record);
        let landed = self.own.is_none() || ours == self.own.as_ref();
        if let Some(record) = ours {
            self.seq = self.seq.max(record.seq);
            self.highest = self.highest.max(record.ballot());
            self.floor = self.floor.max(record.floor);
            self.own = Some(*record);
        }
        self.own_torn = slots.get(me) == Some(&Sight::Torn);
        let mut others = slots;
        if let Some(own) = others.get_mut(me) {
            // Never compared, never waited for.
            *own = Sight::Slot(Record::default());
        }
        for record in others.iter().filter_map(Sight::record) {
            self.highest = self.highest.max(record.ballot());
            self.used = self.used.max(record.floor);
        }
        self.blocked = None;
        let has_written = matches!(
            self.phase,
            Phase::Declaring { .. } | Phase::Committing { .. } | Phase::Holding { .. }
        );
        if is_let_go {
            return self.give_way(others, out);
        }
        if has_written && !landed {
            // A disk that does not show what it has taken is of no use, nor one that another run of
            // this node still writes to.
            self.failed();
            self.blocked = Some(Blocked::Lying);
            return;
        }
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Declaring {
                ballot,
                others: before,
                ..
            } => self.declared(ballot, &before, others),
            Phase::Committing { ballot, asked, .. } => self.committed(ballot, asked, &others, out),
            Phase::Holding {
                ballot,
                until,
                asked,
                renew_at,
            } => self.renewed((ballot, until, asked, renew_at), &others, out),
            Phase::Watching {
                others: before,
                since,
                ..
            } => self.watched(since, &before, others),
            Phase::Idle | Phase::Claiming | Phase::Clearing => self.watched(self.now, &[], others),
        }
    }

    /// Whether the own slot was this agent's, and is somebody else's now.
    fn look_at_own(&mut self, own: Option<&Sight>) -> bool {
        let (Some(tenure), Some(own)) = (&mut self.tenure, own) else {
            return false;
        };
        let was_foreign = tenure.is_foreign();
        tenure.look(own, (self.pending_since, self.now), self.settings.wait);
        tenure.is_foreign() && !was_foreign
    }

    /// Somebody else writes the own slot: nobody else can see what this agent holds.
    fn give_way(&mut self, others: Vec<Sight>, out: &mut Vec<Effect>) {
        let until = self.vote();
        if matches!(self.phase, Phase::Holding { .. }) {
            self.lose(out);
        }
        self.phase = Phase::Idle;
        self.watched(self.now, &[], others);
        // Whoever was told of the vote may go on until then.
        self.next_at = self.next_at.max(until.unwrap_or_default());
    }

    /// The wait goes on while nobody changes; it is counted from when a read came back to when a later one
    /// was asked for: what that one saw may be as old.
    fn watched(&mut self, since: Instant, before: &[Sight], others: Vec<Sight>) {
        let since = match before == others {
            true => since,
            false => self.now,
        };
        self.blocked = Self::holder(&others);
        let read_at = self.now + self.pace;
        self.pace = (self.pace * 2).min(self.settings.poll);
        self.phase = Phase::Watching {
            others,
            since,
            seen_at: self.pending_since,
            read_at,
        };
    }

    /// Who may still hold, if anybody.
    fn holder(others: &[Sight]) -> Option<Blocked> {
        let place = |at: usize| SlotId::try_from(at).unwrap_or(SlotId::MAX);
        let torn = others.iter().position(|sight| sight.record().is_none());
        let held = others.iter().position(Sight::may_be_held);
        torn.map(|at| Blocked::Torn(place(at)))
            .or_else(|| held.map(|at| Blocked::Held(place(at))))
    }

    /// Who has written a ballot above this one, or something that cannot be read.
    fn above(others: &[Sight], ballot: Epoch) -> Option<Blocked> {
        let place = |at: usize| SlotId::try_from(at).unwrap_or(SlotId::MAX);
        others
            .iter()
            .enumerate()
            .find_map(|(at, sight)| match sight {
                Sight::Torn => Some(Blocked::Torn(place(at))),
                Sight::Slot(record) if record.ballot() > ballot => Some(Blocked::Outbid(place(at))),
                Sight::Slot(_) => None,
            })
    }

    fn declared(&mut self, ballot: Epoch, before: &[Sight], others: Vec<Sight>) {
        // Who was not looked at before has changed.
        let before = before.iter().map(Some).chain(std::iter::repeat(None));
        let begun =
            |(before, now): (Option<&Sight>, &Sight)| before != Some(now) && now.may_be_held();
        let begun = before.zip(&others).position(begun);
        let begun = begun.map(|at| Blocked::Held(SlotId::try_from(at).unwrap_or(SlotId::MAX)));
        self.blocked = Self::above(&others, ballot).or(begun);
        if self.blocked.is_some() {
            return self.back_off(others);
        }
        self.phase = Phase::Committing {
            ballot,
            asked: self.now,
            step: Step::Write,
        };
    }

    fn committed(
        &mut self,
        ballot: Epoch,
        asked: Instant,
        others: &[Sight],
        out: &mut Vec<Effect>,
    ) {
        self.blocked = Self::above(others, ballot);
        if self.blocked.is_some() {
            return self.back_off(others.to_vec());
        }
        self.outbid = 0;
        self.hold(ballot, asked, out);
    }

    fn renewed(
        &mut self,
        (ballot, until, asked, renew_at): (Epoch, Instant, Option<(Instant, Step)>, Instant),
        others: &[Sight],
        out: &mut Vec<Effect>,
    ) {
        match (Self::above(others, ballot), asked) {
            (None, Some((_, Step::Check))) => {
                self.phase = Phase::Holding {
                    ballot,
                    until,
                    asked: Some((self.now, Step::Write)),
                    renew_at,
                };
            }
            (None, Some((asked, _))) => self.hold(ballot, asked, out),
            // It may hide somebody who is above: nothing is extended, and nothing ends before its time.
            (Some(Blocked::Torn(at)), _) => {
                self.blocked = Some(Blocked::Torn(at));
                let renew_at = renew_at.max(self.now + self.settings.poll);
                self.phase = Phase::Holding {
                    ballot,
                    until,
                    asked: None,
                    renew_at,
                };
            }
            (why, _) => {
                self.blocked = why;
                out.push(Effect::Lost);
                self.back_off(others.to_vec());
                // Whoever was told of the vote may go on until then: the slot says HELD for as long.
                self.next_at = self.next_at.max(until);
            }
        }
    }

    /// Law 2: the vote counts from before its write was asked for.
    fn hold(&mut self, ballot: Epoch, asked: Instant, out: &mut Vec<Effect>) {
        let until = asked + self.settings.lease;
        // However it is lost: what it allows from now on has to go before the slot says so.
        self.clean = false;
        if until <= self.now {
            // It came too late to be of use, as would the next one perhaps: begin anew.
            self.phase = Phase::Idle;
            out.push(Effect::Lost);
            return;
        }
        self.phase = Phase::Holding {
            ballot,
            until,
            asked: None,
            renew_at: asked + self.settings.poll,
        };
        let floor = self.own.map_or(Epoch::default(), |own| own.floor);
        out.push(Effect::Vote(Vote {
            until,
            above: self.used,
            floor,
        }));
    }

    /// Whoever was slower leaves the field to the other for a while, each for another one.
    fn back_off(&mut self, others: Vec<Sight>) {
        self.outbid = self.outbid.saturating_add(1);
        let turns = u32::from(self.settings.me) + 1 + self.outbid.min(8);
        self.next_at = self.now + self.settings.poll / 4 * turns;
        self.phase = Phase::Watching {
            others,
            since: self.now,
            seen_at: self.now,
            read_at: self.next_at,
        };
    }

    fn wrote(&mut self) {
        self.own_unsure = false;
        if let Some(tenure) = &mut self.tenure
            && self.phase == Phase::Claiming
        {
            tenure.claimed(self.now);
        }
        match &mut self.phase {
            Phase::Declaring { step, .. } | Phase::Committing { step, .. } => *step = Step::Look,
            Phase::Holding {
                asked: Some((_, step)),
                ..
            } => *step = Step::Look,
            Phase::Clearing => {
                if self.own_torn {
                    // A medium that drops what is written would be written without end.
                    self.next_at = self.now + self.settings.poll;
                }
                self.may_hold = false;
                self.own_torn = false;
                self.phase = Phase::Idle;
            }
            Phase::Claiming => self.phase = Phase::Idle,
            Phase::Holding { .. } | Phase::Idle | Phase::Watching { .. } => {}
        }
    }

    /// What has failed is begun anew; who holds tries until the vote ends.
    fn failed(&mut self) {
        self.blocked = Some(Blocked::Failed);
        self.next_at = self.now + self.settings.poll;
        self.own_unsure |= self.writes;
        match &mut self.phase {
            Phase::Holding {
                asked, renew_at, ..
            } => {
                *asked = None;
                *renew_at = self.next_at;
            }
            // Nobody was seen to change, since nobody was seen.
            Phase::Watching { .. } => {}
            phase => *phase = Phase::Idle,
        }
    }

    /// Reads or writes what comes next, if nothing is under way.
    fn proceed(&mut self, out: &mut Vec<Effect>) {
        if self.next() > self.now {
            return;
        }
        match &self.phase {
            Phase::Idle | Phase::Watching { .. } if self.is_to_clear() => {
                self.phase = Phase::Clearing;
                self.write(Hold::Clean, self.intent(), self.owned(), out);
            }
            Phase::Idle | Phase::Watching { .. } if self.is_to_claim() => {
                self.phase = Phase::Claiming;
                self.may_hold = true;
                self.write(Hold::Claimed, self.intent(), self.owned(), out);
            }
            Phase::Idle => self.read(out),
            Phase::Watching {
                others,
                since,
                seen_at,
                read_at,
            } => {
                // Who did not look for a while does not know: a needless intent would end a living holder.
                let is_free = self.free_at(others, *since) <= *seen_at && self.now <= *read_at;
                if !self.wants && !self.watches && self.guard_at() > self.now {
                    self.phase = Phase::Idle;
                    return self.proceed(out);
                }
                match is_free && self.is_fresh() {
                    true => self.declare(out),
                    false => self.read(out),
                }
            }
            Phase::Declaring { step, .. } if *step == Step::Look => self.read(out),
            Phase::Committing {
                step: Step::Look, ..
            } => self.read(out),
            Phase::Committing { .. } if !self.is_fresh() => {
                self.phase = Phase::Idle;
                self.read(out);
            }
            Phase::Committing { ballot, .. } => {
                let ballot = *ballot;
                let asked = self.now;
                self.phase = Phase::Committing {
                    ballot,
                    asked,
                    step: Step::Write,
                };
                self.may_hold = true;
                self.write(Hold::Held, ballot, ballot, out);
            }
            Phase::Holding {
                asked: Some((_, Step::Look)),
                ..
            } => self.read(out),
            Phase::Holding {
                ballot,
                until,
                renew_at,
                ..
            } => {
                let (ballot, until, renew_at) = (*ballot, *until, *renew_at);
                let checks = !self.is_fresh_from(renew_at);
                let step = if checks { Step::Check } else { Step::Write };
                self.phase = Phase::Holding {
                    ballot,
                    until,
                    asked: Some((self.now, step)),
                    renew_at,
                };
                if checks {
                    return self.read(out);
                }
                self.write(Hold::Held, ballot, ballot, out);
            }
            Phase::Declaring { .. } | Phase::Claiming | Phase::Clearing => {}
        }
    }

    /// Whether the own slot was looked at for the renewal that was due then.
    fn is_fresh_from(&self, renew_at: Instant) -> bool {
        let tenure = self.tenure.as_ref();
        tenure.is_none_or(|tenure| tenure.looked_at() >= renew_at && self.is_fresh())
    }

    fn is_to_claim(&self) -> bool {
        let claim_at = self.tenure.as_ref().map(Tenure::claim_at);
        claim_at.is_some_and(|at| at <= self.now)
    }

    fn declare(&mut self, out: &mut Vec<Effect>) {
        let Phase::Watching { others, .. } = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return;
        };
        let Some(ballot) = self.highest.next(self.settings.me) else {
            // No ballot is left: somebody has written the last number there is.
            self.next_at = Instant::NEVER;
            return;
        };
        self.highest = ballot;
        self.phase = Phase::Declaring {
            ballot,
            others,
            step: Step::Write,
        };
        self.write(Hold::Free, ballot, self.owned(), out);
    }

    fn intent(&self) -> Epoch {
        self.own.map_or(Epoch::default(), |own| own.intent)
    }

    fn owned(&self) -> Epoch {
        self.own.map_or(Epoch::default(), |own| own.owned)
    }

    fn read(&mut self, out: &mut Vec<Effect>) {
        let op = self.begin(false);
        out.push(Effect::Read(op));
    }

    fn write(&mut self, hold: Hold, intent: Epoch, owned: Epoch, out: &mut Vec<Effect>) {
        self.seq += 1;
        let record = Record {
            boot: self.boot,
            intent,
            owned,
            seq: self.seq,
            hold,
            floor: self.floor,
        };
        self.own = Some(record);
        let op = self.begin(true);
        out.push(Effect::Write(op, record));
    }

    fn begin(&mut self, writes: bool) -> Op {
        self.op += 1;
        self.writes = writes;
        self.pending = Some(self.op);
        self.pending_since = self.now;
        self.op
    }
}
