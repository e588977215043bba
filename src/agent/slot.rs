//! One group in the heartbeat thread: what goes in becomes a step of the core, what comes out is
//! sent, asked for or said.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::config::ActionEvent;
use crate::core::election::{OWNER, RESIGN};
use crate::core::lease::{self, Epoch};
use crate::core::record::What;
use crate::core::{Act, Actions, Effect, Event, Group, Instant, Report, RoleName, Say, Settings};
use crate::disk::steward::Plea;
use crate::net::heartbeat::Sender;
use crate::wire::native::GroupId;
use crate::wire::vrrp::Received;

use crate::core::watchdog;
use crate::sys::clock;

use super::arbiter::ToDisk;
use super::board::{Holding, LeaseRow};
use super::due::{Due, Dues};
use super::ladder::{Fall, Rebooter};
use super::lease::Lease;
use super::line::Line;
use super::message::{Addresses, Ask, Before, Entry, Job, Key, Level, Outbox, Question};
use super::plan::{Planned, Spoken};
use super::recorder::Item;
use super::scripts::{Moment, Scripts, Step};
use super::store::Task;

/// Where a group's effects go.
pub(crate) struct Out {
    pub(crate) senders: Vec<Sender>,
    pub(crate) jobs: Outbox<Job>,
    pub(crate) looks: Outbox<Ask>,
    pub(crate) journal: Outbox<Entry>,
    /// Where epochs are stored.
    pub(crate) store: Outbox<Task>,
    /// What native groups have said in this turn.
    pub(crate) says: Vec<(GroupId, Say)>,
    /// The peers should know at once what has become of a native group.
    pub(crate) has_news: bool,
    /// What is said to the arbiter, if there is one, ...
    pub(crate) pleas: Option<Outbox<ToDisk>>,
    /// ... and has found its queue full.
    pub(crate) unheard: Vec<Plea>,
    /// Where everything is written down, if somebody wants it.
    pub(crate) record: Option<Outbox<Item>>,
    /// Something may have changed that a watchdog has to do with.
    pub(crate) has_stakes: bool,
    /// Who reboots the host, where a lost lease demands it.
    pub(crate) rebooter: Option<Rebooter>,
    /// Who runs scripts, if there are any.
    pub(crate) steps: Option<Outbox<Step>>,
    /// What has found their queue full.
    pub(crate) unsaid: VecDeque<Step>,
    /// When the slots are due.
    pub(crate) dues: Dues,
    /// Reused, so that a step allocates nothing.
    pub(crate) effects: Vec<Effect>,
}

impl Out {
    /// In the order in which it was said, or not at all.
    pub(crate) fn plead(&mut self, plea: Plea) {
        self.unheard.push(plea);
        self.plead_again();
    }

    /// What found the queue full.
    pub(crate) fn plead_again(&mut self) {
        let Some(pleas) = &self.pleas else {
            return self.unheard.clear();
        };
        let taken = self.unheard.iter();
        let taken = taken.take_while(|plea| pleas.takes(ToDisk::Plea(**plea)));
        let taken = taken.count();
        self.unheard.drain(..taken);
    }

    /// To who runs scripts, in the order in which it happened.
    pub(crate) fn act_again(&mut self) {
        let Some(steps) = &self.steps else {
            return self.unsaid.clear();
        };
        while let Some(step) = self.unsaid.front() {
            if !steps.takes(step.clone()) {
                return;
            }
            self.unsaid.pop_front();
        }
    }

    fn record(&self, key: Key, at: Instant, what: What) {
        if let Some(record) = &self.record {
            record.offer(Item::What(key, at, what));
        }
    }
}

pub(crate) struct Slot {
    pub(crate) key: Key,
    /// Among the slots.
    place: usize,
    name: Arc<str>,
    pub(crate) group: Group,
    pub(crate) lines: Vec<Line>,
    addresses: Arc<Addresses>,
    holding: Holding,
    lease: Option<Lease>,
    /// How a native group is spoken of.
    spoken: Option<Spoken>,
    /// The greatest epoch that another node has spoken of.
    seen: Epoch,
    /// What found the store's queue full; who asks for a greater one needs no smaller one.
    unstored: Option<Epoch>,
    /// The look thread was told to guard the addresses.
    guards: bool,
    stake: Stake,
    /// So much before its right ends it gives it up.
    early: Duration,
    /// It has lost its lease, and the addresses may still be on.
    fall: Option<Fall>,
    course: Course,
}

/// What an operator's scripts are told of.
#[derive(Debug)]
struct Course {
    scripts: Option<Arc<Scripts>>,
    /// Numbers the changes: what was prepared for one belongs to it.
    transition: u64,
    last: Option<ActionEvent>,
}

/// What a group has to do with the arbiter's vote.
#[derive(Debug)]
struct Stake {
    /// Its ticket.
    asks: Option<lease::Nonce>,
    /// It had one before, or there was another agent, and the arbiter does not know yet that nothing of that
    /// is left.
    owes: bool,
    /// The addresses may be on this host.
    may_be_on: bool,
    /// This agent has put them on.
    acquired: bool,
    /// They are coming off since then.
    released_at: Option<Instant>,
}

impl Slot {
    /// A group that is new: it starts now; `times` are when the agent did, and now.
    pub(crate) fn start(planned: Planned, times: (Instant, Instant), out: &mut Out) -> Self {
        let lease = planned.shutter.map(Lease::new);
        let (settings, facts) = (planned.settings, planned.facts);
        let what = What::Begin {
            settings,
            boot: planned.boot,
            facts,
            born: times.0,
        };
        out.record(planned.key, times.1, what);
        let group = match planned.boot {
            Some(boot) => Group::native(settings, boot, facts, times, &mut out.effects),
            None => Group::new(settings, facts, times, &mut out.effects),
        };
        let mut slot = Self {
            key: planned.key,
            // None yet.
            place: usize::MAX,
            name: planned.name,
            group,
            lines: planned.lines,
            addresses: planned.addresses,
            holding: planned.holding,
            lease,
            spoken: planned.spoken,
            seen: Epoch::default(),
            unstored: None,
            guards: false,
            // Left by an agent that died.
            stake: Stake {
                asks: None,
                owes: true,
                may_be_on: true,
                acquired: false,
                released_at: None,
            },
            early: planned.early,
            fall: None,
            course: Course {
                scripts: planned.scripts,
                transition: 0,
                last: None,
            },
        };
        out.plead(Plea::Owes(slot.key.into()));
        slot.carry_out(out);
        slot.look(Question::Ready, out);
        slot
    }

    /// A group that goes on, with what the plan has changed about it.
    pub(crate) fn go_on(&mut self, planned: Planned, now: Instant, out: &mut Out) {
        // An unchanged list is the same object: ten thousand addresses are not compared here.
        let changed = !Arc::ptr_eq(&self.addresses.managed, &planned.addresses.managed);
        let old = std::mem::replace(&mut self.lines, planned.lines);
        for before in old {
            // The same line counts on, wherever it stands now.
            let same = self
                .lines
                .iter_mut()
                .find(|line| line.facts() == before.facts());
            if let Some(line) = same {
                line.traffic = before.traffic;
            }
        }
        self.addresses = planned.addresses;
        self.holding = planned.holding;
        self.spoken = planned.spoken;
        self.early = planned.early;
        self.course.scripts = planned.scripts;
        if *self.group.settings() != planned.settings {
            self.step(now, Event::Settings(planned.settings), out);
        }
        self.step(now, Event::Facts(planned.facts), out);
        if changed {
            self.look(Question::Ready, out);
            self.step(now, Event::AddressesChanged, out);
        }
    }

    /// What time it is for this group when everything was heard until then: a frame counts for a
    /// listener from when it came, and for a speaker from now.
    pub(crate) fn time(&self, now: Instant, heard_until: Instant) -> Instant {
        if self.group.listens() {
            now.min(heard_until)
        } else {
            now
        }
    }

    /// Another node speaks of an epoch; most of the time, of the one that everybody knows.
    pub(crate) fn see(&mut self, now: Instant, epoch: Epoch, out: &mut Out) {
        if epoch > self.seen {
            self.seen = epoch;
            self.step(now, Event::Vote(lease::Event::Seen(epoch)), out);
        }
    }

    pub(crate) fn step(&mut self, now: Instant, event: Event, out: &mut Out) {
        out.record(self.key, now, What::Event(event));
        self.group.step(now, event, &mut out.effects);
        self.carry_out(out);
    }

    /// A reload has taken the group away. Nobody hears for it any more, and another one may have its addresses: it
    /// goes at once, without waiting for scripts.
    pub(crate) fn end(&mut self, now: Instant, out: &mut Out) {
        let settings = *self.group.settings();
        let actions = Actions {
            demote: Duration::ZERO,
            ..settings.actions
        };
        let at_once = Settings {
            actions,
            ..settings
        };
        if at_once != settings {
            self.step(now, Event::Settings(at_once), out);
        }
        self.step(now, Event::Stop, out);
    }

    pub(crate) fn hear(
        &mut self,
        line: usize,
        received: &Received<'_>,
        at: Instant,
        out: &mut Out,
    ) {
        let Some(line) = self.lines.get_mut(line) else {
            return;
        };
        if let Some(event) = line.judge(received, at) {
            self.step(at, event, out);
        }
    }

    /// When the group wants to be called next, or its right to answer ends.
    pub(crate) fn due(&self) -> Due {
        let ends = self.lease.as_ref().map_or(Instant::NEVER, Lease::ends);
        let wait = self.group.deadline();
        let falls = self.fall.as_ref().map_or(Instant::NEVER, Fall::deadline);
        Due {
            at: wait.min(ends).min(falls),
            silence_ends: match self.group.listens() {
                true => wait,
                false => Instant::NEVER,
            },
        }
    }

    /// Where it stands from now on.
    pub(crate) fn settle_at(&mut self, place: usize, dues: &mut Dues) {
        self.place = place;
        dues.set(place, self.due());
    }

    /// Time passes, to `now`, or for a listener only so far as everything was heard.
    pub(crate) fn pass(&mut self, now: Instant, heard_until: Instant, out: &mut Out) {
        let steps = self.group.deadline() <= self.time(now, heard_until);
        if steps {
            self.step(now, Event::Tick, out);
        }
        if let Some(fall) = self.fall.as_mut().filter(|fall| fall.deadline() <= now) {
            out.journal.offer(fall.late(&self.name));
            if let Some(rebooter) = &out.rebooter {
                rebooter.ask();
            }
        }
        if !self.lapse(now, out) && !steps {
            out.dues.set(self.place, self.due());
        }
    }

    /// After time has passed: a lease that has ended all the same was not renewed by any advert, or
    /// the gate was not told in time. Whether that was so.
    fn lapse(&mut self, now: Instant, out: &mut Out) -> bool {
        let Some(lease) = self.lease.as_ref().filter(|lease| lease.has_ended(now)) else {
            return false;
        };
        if lease.is_stuck(now) {
            let text = format!(
                "{}: the gate could not be renewed by its deadline: nftables takes no change (does \
                 another program load a long ruleset?); nothing answers here, so that the addresses \
                 are given up",
                self.name
            );
            out.journal.offer(Entry::Note(Level::Error, text));
        }
        self.step(now, Event::Lapsed, out);
        true
    }

    /// The adverts of this turn have been sent: what they renew holds if one of them has left.
    /// `native` says it of the heartbeat of all native groups.
    pub(crate) fn renew(&mut self, has_sent: &[bool], native: bool, now: Instant, dues: &mut Dues) {
        if let Some(lease) = self.lease.as_mut().filter(|lease| lease.asked.is_some()) {
            let sent = |line: &Line| has_sent.get(line.sender) == Some(&true);
            let sent = match self.spoken {
                Some(_) => native,
                None => self.lines.iter().any(sent),
            };
            lease.settle(sent, now);
            dues.set(self.place, self.due());
        }
    }

    /// An epoch that found the queue full is offered again: the core asks once, and waits for it.
    pub(crate) fn store(&mut self, out: &mut Out) {
        let task = |epoch| Task::Epoch(self.key, Arc::clone(&self.name), epoch);
        self.unstored = self.unstored.filter(|epoch| !out.store.takes(task(*epoch)));
        out.dues.unstored |= self.unstored.is_some();
    }

    /// How a native group is spoken of.
    pub(crate) const fn spoken(&self) -> Option<&Spoken> {
        self.spoken.as_ref()
    }

    /// Until when the group may answer, if a gate ends that, and how many frames it has dropped.
    pub(crate) fn lease(&self) -> Option<LeaseRow> {
        self.lease.as_ref().map(Lease::row)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.group.view().role == RoleName::Stopped
    }

    /// And nothing is left of it: addresses that will not come off are still this agent's.
    pub(crate) fn is_done(&self) -> bool {
        self.has_ended() && !self.stake.acquired
    }

    fn look(&self, what: Question, out: &Out) {
        out.looks.offer(Ask {
            key: self.key,
            name: Arc::clone(&self.name),
            what,
            addresses: Arc::clone(&self.addresses),
        });
    }

    /// Only while it holds by its own vote alone: nobody else could be told otherwise.
    fn guard(&mut self, on: bool, out: &Out) {
        let own = self.group.view().authority;
        let on = on && own.is_some_and(|own| own.alone);
        if std::mem::replace(&mut self.guards, on) != on {
            self.look(if on { Question::Guard } else { Question::Rest }, out);
        }
    }

    /// The addresses are off after the lease was lost.
    fn land(&mut self, out: &Out) {
        let Some(fall) = self.fall.take() else {
            return;
        };
        out.journal.offer(fall.done(&self.name, clock::now()));
        if let Some(rebooter) = &out.rebooter {
            rebooter.ask();
        }
    }

    /// What freezing this host now would do, as far as this group goes.
    pub(crate) fn at_stake(&self) -> watchdog::Stake {
        let role = self.group.role();
        if self.group.settings().priority == OWNER || !self.stake.acquired {
            // The host's own, or nothing of this agent's.
            return watchdog::Stake::Nothing;
        }
        match (role, &self.lease) {
            (RoleName::Master, Some(lease)) => {
                let ends = lease.until().unwrap_or_default();
                watchdog::Stake::Answers(ends + self.early)
            }
            (RoleName::Master, None) => watchdog::Stake::Endless,
            (RoleName::Candidate, _) => watchdog::Stake::Contends,
            _ => watchdog::Stake::Lingers(self.stake.released_at.unwrap_or_default()),
        }
    }

    /// What the arbiter says to a ticket.
    pub(crate) fn hear_arbiter(&mut self, now: Instant, event: lease::Event, out: &mut Out) {
        if let lease::Event::ArbiterFloor(ticket, _) = event
            && self.stake.asks == Some(ticket)
        {
            // It is gone; the group asks with another one, or not at all.
            (self.stake.asks, self.stake.owes) = (None, true);
        }
        self.step(now, Event::Vote(event), out);
        self.settle_with_arbiter(out);
    }

    fn give_back(&mut self, ticket: lease::Nonce, out: &mut Out) {
        (self.stake.asks, self.stake.owes) = (None, true);
        out.plead(Plea::Withdraw(self.key.into(), ticket));
    }

    /// Others need not wait for what the arbiter's vote allowed here: it is off, or the peers allow it.
    fn settle_with_arbiter(&mut self, out: &mut Out) {
        let Stake {
            owes, may_be_on, ..
        } = self.stake;
        // What it asked for meanwhile waits until then.
        if owes && (!may_be_on || self.group.view().authority.is_some()) {
            self.stake.owes = false;
            let served = self.group.view().epoch.unwrap_or_default();
            out.plead(Plea::Clean(self.key.into(), served));
        }
    }

    /// A step of the way up or down.
    fn act(&mut self, id: u64, act: Act, out: &mut Out) {
        let (event, answer) = match act {
            Act::Promote => (ActionEvent::Promote, Some(id)),
            Act::Demote => (ActionEvent::Demote, Some(id)),
            Act::Silenced { .. } => (ActionEvent::Demote, None),
        };
        let lost = act == Act::Silenced { lost: true };
        let (from, to) = match act {
            Act::Promote => (RoleName::Backup, RoleName::Master),
            Act::Demote | Act::Silenced { .. } => (RoleName::Master, RoleName::Backup),
        };
        self.happens(event, (from, to), (answer, lost), out);
    }

    /// It is what it is now.
    fn notice(&mut self, report: &Report, out: &mut Out) {
        let Report::Role { from, to, .. } = *report else {
            return;
        };
        let event = match (from, to) {
            (_, RoleName::Master) => ActionEvent::Promoted,
            (RoleName::Init | RoleName::Releasing | RoleName::Fault, RoleName::Backup) => {
                ActionEvent::Demoted
            }
            (_, RoleName::Fault) if from != to => ActionEvent::Fault,
            (_, RoleName::Stopped) => ActionEvent::Stop,
            _ => return,
        };
        self.happens(event, (from, to), (None, false), out);
    }

    fn happens(
        &mut self,
        event: ActionEvent,
        (from, to): (RoleName, RoleName),
        (answer, lost): (Option<u64>, bool),
        out: &mut Out,
    ) {
        let Some(scripts) = &self.course.scripts else {
            return;
        };
        let last = self.course.last.replace(event);
        let is_one_change = matches!(
            (last, event),
            (Some(ActionEvent::Promote), ActionEvent::Promoted)
                | (
                    Some(ActionEvent::Demote),
                    ActionEvent::Demoted | ActionEvent::Fault | ActionEvent::Stop
                )
        );
        if !is_one_change {
            self.course.transition += 1;
        }
        let view = self.group.view();
        let held = view.authority.map(|own| own.epoch);
        let moment = Moment {
            event,
            from,
            to,
            cause: view.leaving.unwrap_or(view.cause),
            epoch: held.or(view.epoch),
            transition: self.course.transition,
        };
        let step = Step::Happens {
            key: self.key,
            scripts: Arc::clone(scripts),
            moment,
            answer,
            lost,
        };
        out.unsaid.push_back(step);
        out.act_again();
    }

    fn carry_out(&mut self, out: &mut Out) {
        let mut effects = std::mem::take(&mut out.effects);
        if let Some(record) = &out.record {
            effects
                .iter()
                .for_each(|said| record.offer(Item::Effect(*said)));
        }
        for effect in effects.drain(..) {
            self.effect(effect, out);
        }
        out.effects = effects;
        out.dues.set(self.place, self.due());
    }

    fn effect(&mut self, effect: Effect, out: &mut Out) {
        match effect {
            // Nobody acknowledges, from the beginning or since: the other one may look for the addresses.
            Effect::Acquire(_) => self.guard(true, out),
            Effect::Renew(_) if self.group.is_claiming() => self.guard(true, out),
            Effect::Open | Effect::Release(_) => self.guard(false, out),
            _ => {}
        }
        if let Some(lease) = &mut self.lease {
            lease.carry_out(effect, self.early, clock::now);
        }
        let addresses = || Arc::clone(&self.addresses);
        match effect {
            Effect::Advertise { priority } => {
                let lease = self.lease.as_ref().filter(|_| priority != RESIGN);
                let until = lease.map_or(Instant::NEVER, Lease::claims_until);
                for line in &mut self.lines {
                    if let Some(sender) = out.senders.get_mut(line.sender) {
                        line.advertise(priority, until, sender);
                    }
                }
            }
            Effect::Say(say) => {
                if let Some(spoken) = &self.spoken {
                    out.says.push((spoken.id, say));
                }
            }
            Effect::Extend(_) | Effect::Warrant(_) => out.has_stakes |= self.lease.is_some(),
            Effect::Persist(epoch) => {
                self.unstored = Some(epoch);
                self.store(out);
            }
            Effect::Renew(_) => {
                out.dues.renewal |= self.lease.is_some();
                // It counts only with a heartbeat, which need not be due in this turn.
                out.has_news |= self.spoken.is_some();
            }
            Effect::Open => {
                out.has_stakes = true;
                out.has_news |= self.spoken.is_some();
            }
            Effect::Contend(ticket, epoch) => {
                self.stake.asks = Some(ticket);
                out.plead(Plea::Contend(self.key.into(), ticket, epoch));
            }
            Effect::Withdraw(ticket) => {
                self.give_back(ticket, out);
                self.settle_with_arbiter(out);
            }
            Effect::Disarm => {
                (self.stake.may_be_on, self.stake.acquired) = (false, false);
                self.stake.released_at = None;
                out.has_stakes = true;
                self.land(out);
                self.settle_with_arbiter(out);
            }
            Effect::Acquire(term) => {
                (self.stake.may_be_on, self.stake.acquired) = (true, true);
                self.stake.released_at = None;
                out.has_stakes = true;
                self.holding.store(true, Ordering::Release);
                let before = Before::from(self.group.view().cause);
                out.jobs
                    .offer(Job::Acquire(self.key, term, addresses(), before));
            }
            Effect::Release(term) => {
                self.holding.store(false, Ordering::Release);
                self.stake.released_at.get_or_insert_with(clock::now);
                out.has_stakes = true;
                out.jobs.offer(Job::Release(self.key, term, addresses()));
            }
            Effect::Announce(term) => out.jobs.offer(Job::Announce(self.key, term, addresses())),
            Effect::Hush => out.jobs.offer(Job::Hush(self.key)),
            Effect::Look(ticket) => self.look(Question::Look(ticket), out),
            Effect::Act(id, act) => self.act(id, act, out),
            Effect::Report(report) => {
                if let Some(fall) = Fall::of(&report, clock::now()) {
                    self.fall = Some(fall);
                }
                out.has_stakes = true;
                // The last word: nobody should take it for ready until it is silent long enough.
                let ends = matches!(report, Report::Role { to, .. } if to == RoleName::Stopped);
                out.has_news |= ends && self.spoken.is_some();
                // With addresses that will not come off: nobody renews a vote for them any more.
                if let Some(ticket) = self.stake.asks.filter(|_| ends) {
                    self.give_back(ticket, out);
                }
                out.journal
                    .offer(Entry::Group(Arc::clone(&self.name), report));
                self.notice(&report, out);
            }
        }
    }
}
