//! The thread that is never late: adverts out, adverts in, and the core in between.
//!
//! It waits in one place ([`Heartbeat::turn`]) and for nobody: queues to others are offered to,
//! never waited for, and what others must do (netlink, logs) is theirs.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver as Inbox, SyncSender};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::config::Family;
use crate::core::disk::Tenancy;
use crate::core::{Event, Immovable, Instant, lease};
use crate::disk::steward::Plea;
use crate::net::addresses::Placed;
use crate::net::heartbeat::Datagram;
use crate::sys::clock::{self, WallOffset};
use crate::sys::timer::Timer;
use crate::sys::wake::{Wake, Waker};
use crate::wire::vrrp::{self, Received};

use super::arbiter::ToDisk;
use super::board::{Board, GroupRow, LineRow, Rows};
use super::due::Dues;
use super::herald::{self, Herald, PlannedHerald};
use super::ladder::Rebooter;
use super::line::Line;
use super::message::{Ask, Command, Entry, Job, Key, Level, Outbox};
use super::plan::{Ear, Plan, Planned};
use super::recorder::Item;
use super::scripts::Step;
use super::slot::{Out, Slot};
use super::store::Task;
use super::watchdog::Handler;

/// Datagrams that are taken from one socket before the timers are looked at again.
const BUDGET: usize = 128;
/// Datagrams that are taken from all sockets before a listener acts: more than full queues hold,
/// unless a flood goes on.
const BUDGET_OF_ALL: usize = 4096;
/// Commands that are taken before the timers are looked at again.
const COMMANDS: usize = 256;
/// Observers who ask are answered at once, but not more often than this ...
const ANSWER_EVERY: Duration = Duration::from_millis(20);
/// ... and whether the loop turns can be seen this often.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);
/// What nobody asks for is at most so old, should this thread ever stand still.
const PUBLISH_GROUPS_EVERY: Duration = Duration::from_secs(10);
/// Descriptors that one wait reports.
const EVENTS: usize = 32;

const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// The state of the heartbeat thread.
pub(crate) struct Heartbeat {
    slots: Vec<Slot>,
    ears: Vec<Ear>,
    /// Speaks for all native groups.
    herald: Option<Herald>,
    out: Out,
    /// By sender: whether something has left by it in this turn. Reused.
    has_sent: Vec<bool>,
    /// Addresses that left the configuration while the actuator's queue was full.
    unsaid: Vec<(Key, Arc<[Placed]>)>,
    /// This node is out of service: groups that begin hold nothing either.
    maintenance: bool,
    /// The arbiter can be read and written.
    arbiter_sound: bool,
    tenancy: Tenancy,
    /// The arbiter was told that no other node is heard.
    silence: bool,
    /// The way to the watchdog, if there is one.
    handler: Option<Handler>,
    inbox: Inbox<Command>,
    wake: Wake,
    waker: Waker,
    timer: Timer,
    epoll: Epoll,
    board: Arc<Board>,
    started: Instant,
    published_at: Instant,
    stopping: bool,
}

impl Heartbeat {
    pub(crate) fn new(
        inbox: Inbox<Command>,
        (waker, wake): (Waker, Wake),
        (jobs, looks): (Outbox<Job>, Outbox<Ask>),
        (journal, store): (Outbox<Entry>, Outbox<Task>),
        board: Arc<Board>,
        maintenance: bool,
    ) -> io::Result<Self> {
        let out = Out {
            senders: Vec::new(),
            jobs,
            looks,
            journal,
            store,
            says: Vec::with_capacity(64),
            has_news: false,
            pleas: None,
            unheard: Vec::new(),
            record: None,
            has_stakes: true,
            rebooter: None,
            steps: None,
            unsaid: VecDeque::new(),
            dues: Dues::default(),
            effects: Vec::with_capacity(64),
        };
        let timer = Timer::new()?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        Ok(Self {
            slots: Vec::new(),
            ears: Vec::new(),
            herald: None,
            out,
            has_sent: Vec::with_capacity(64),
            unsaid: Vec::new(),
            maintenance,
            arbiter_sound: false,
            tenancy: Tenancy::default(),
            silence: false,
            handler: None,
            inbox,
            wake,
            waker,
            timer,
            epoll,
            board,
            started: clock::now(),
            published_at: clock::now(),
            stopping: false,
        })
    }

    /// Writes down everything from now on.
    pub(crate) fn record(&mut self, record: Outbox<Item>) {
        self.out.record = Some(record);
    }

    /// Has an arbiter to ask.
    pub(crate) fn plead_to(&mut self, pleas: Outbox<ToDisk>) {
        self.out.pleas = Some(pleas);
    }

    /// Has somebody who runs scripts.
    pub(crate) fn act_through(&mut self, steps: Outbox<Step>) {
        self.out.steps = Some(steps);
    }

    /// Has a watchdog that is petted while it turns, and somebody who reboots the host where a lost lease
    /// demands it.
    pub(crate) fn be_watched(&mut self, handler: Option<Handler>, rebooter: Option<Rebooter>) {
        (self.handler, self.out.rebooter) = (handler, rebooter);
    }

    /// Turns until every group has ended after [`Command::Stop`].
    ///
    /// # Errors
    /// The wait itself fails, which no kernel does without a fault of ours.
    pub(crate) fn run(mut self) -> io::Result<()> {
        while !(self.stopping && self.slots.iter().all(Slot::has_ended)) {
            self.turn()?;
        }
        self.watch_over();
        self.publish();
        Ok(())
    }

    /// 1. Wait for a frame, a command or a deadline. 2. Hear the frames, each at the time at which
    ///    the kernel received it. 3. Before a command or the end of a listener's wait, hear
    ///    whatever else has come. 4. Take what others ask for. 5. Let time pass: to now, or
    ///    for listeners only so far as everything was heard. 6. Send everything that came of it
    ///    in one go. 7. Let observers see.
    fn turn(&mut self) -> io::Result<()> {
        let deadline = self.deadline();
        self.timer.set(deadline)?;
        let mut events = [EpollEvent::empty(); EVENTS];
        let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
            // Stopped and continued, perhaps: frames may wait that this wait did not tell of.
            Err(nix::errno::Errno::EINTR) => 0,
            other => other?,
        };
        self.note_lateness(deadline);
        let mut asked = false;
        for event in &events[..count] {
            match event.data() {
                WAKE => asked = true,
                TIMER => {}
                place => {
                    let place = usize::try_from(place).unwrap_or(usize::MAX);
                    self.listen(place, BUDGET);
                }
            }
        }
        // One wait tells of some ears only, and a host may stand still after any line here.
        let heard_until = if asked || self.out.dues.is_a_silence_over(clock::now()) {
            self.listen_to_all()
        } else {
            Instant::default()
        };
        // Not before the frames: a command comes now, and they came before.
        let rewired = asked && self.obey();
        // New ears were not listened at yet: no time passes before they are.
        if !rewired {
            self.pass(heard_until);
        }
        self.flush();
        self.watch_over();
        self.note_silence();
        self.offer_again();
        self.show();
        self.board.turned(clock::now());
        Ok(())
    }

    fn deadline(&self) -> Instant {
        let groups = self.out.dues.first();
        let beat = self
            .herald
            .as_ref()
            .map_or(Instant::NEVER, Herald::deadline);
        let handler = self.handler.as_ref();
        let read = handler.map_or(Instant::NEVER, Handler::deadline);
        groups.min(beat).min(self.publish_at()).min(read)
    }

    fn note_lateness(&self, deadline: Instant) {
        let late = clock::now().since(deadline);
        self.board
            .late(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Does what the other threads ask for; whether a plan was put in place, after which nothing
    /// more is done in this turn.
    fn obey(&mut self) -> bool {
        self.wake.clear();
        for _ in 0..COMMANDS {
            match self.inbox.try_recv() {
                Ok(Command::Rewire(plan)) => {
                    self.rewire(*plan, clock::now());
                    self.waker.wake();
                    return true;
                }
                Ok(command) => self.command(command),
                Err(_) => return false,
            }
        }
        // More may wait: look again after the timers.
        self.waker.wake();
        false
    }

    fn command(&mut self, command: Command) {
        let (key, event) = match command {
            Command::Acquired(key, term, outcome) => (key, Event::Acquired(term, outcome)),
            Command::Released(key, term, outcome) => (key, Event::Released(term, outcome)),
            Command::Answering(key, term) => (key, Event::Answering(term)),
            Command::Working(key, term) => (key, Event::Working(term)),
            Command::AddressLost(key) => (key, Event::AddressLost),
            Command::Acted(key, id, is_good) => (key, Event::Acted(id, is_good)),
            Command::Arbiter(key, event) => {
                let slot = self.slots.iter_mut().find(|slot| slot.key == key);
                return slot.map_or((), |slot| {
                    slot.hear_arbiter(clock::now(), event, &mut self.out);
                });
            }
            Command::Persisted(key, epoch) => (key, Event::Vote(lease::Event::Persisted(epoch))),
            Command::Looked(key, ticket, answered) => (key, Event::Looked(ticket, answered)),
            Command::Probed(key, ticket) => (key, Event::Probed(ticket)),
            Command::Proven(keys, asked_at) => return self.prove(&keys, asked_at),
            Command::ArbiterSound(is_sound) => {
                self.arbiter_sound = is_sound;
                return self.tell_all(Event::ArbiterSound(is_sound));
            }
            Command::Slot(tenancy) => {
                self.tenancy = tenancy;
                return self.tell_all(Event::Slot(tenancy));
            }
            Command::HandOver(key, to, force, answer) => {
                return self.hand_over(key, to, force, &answer);
            }
            Command::MayRest(answer) => {
                // Whoever asked may have stopped waiting.
                let _ = answer.try_send(self.may_rest());
                return;
            }
            Command::Maintenance(on, force, answer) => {
                return self.maintain(on, force, &answer);
            }
            Command::GateLost => return self.tell_all(Event::GateLost),
            Command::GateWhole(whole) => {
                self.out.has_stakes = true;
                let handler = self.handler.iter_mut();
                return handler.for_each(|handler| handler.gate_is_whole(whole));
            }
            Command::Stop => return self.stop(clock::now()),
            Command::Rewire(plan) => return self.rewire(*plan, clock::now()),
        };
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.key == key) {
            slot.step(clock::now(), event, &mut self.out);
        }
    }

    fn prove(&mut self, keys: &[Key], asked_at: Instant) {
        let now = clock::now();
        for slot in self
            .slots
            .iter_mut()
            .filter(|slot| keys.contains(&slot.key))
        {
            slot.step(now, Event::Proven(asked_at), &mut self.out);
        }
    }

    /// Refused, it changes nothing.
    fn hand_over(
        &mut self,
        key: Key,
        to: Option<lease::NodeId>,
        force: bool,
        answer: &SyncSender<Result<(), Immovable>>,
    ) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.key == key) else {
            return;
        };
        let successor = slot.group.successor(to);
        let is_forced = |why: &Immovable| force && why.yields_to_force();
        let verdict = match successor {
            Err(why) if !is_forced(&why) => Err(why),
            other => {
                let to = other.ok().flatten().or(to);
                slot.step(clock::now(), Event::HandOver(to), &mut self.out);
                Ok(())
            }
        };
        // Whoever asked may have stopped waiting.
        let _ = answer.try_send(verdict);
    }

    /// Refused where a group of this node has nowhere to go, and then it changes nothing.
    fn maintain(
        &mut self,
        on: bool,
        force: bool,
        answer: &SyncSender<Result<(), (Key, Immovable)>>,
    ) {
        let verdict = match on && !force {
            true => self.may_rest(),
            false => Ok(()),
        };
        if verdict.is_ok() {
            self.maintenance = on;
            self.tell_all(Event::Maintenance(on));
        }
        let _ = answer.try_send(verdict);
    }

    /// Whether every group that is held here has somewhere to go.
    fn may_rest(&self) -> Result<(), (Key, Immovable)> {
        let stuck = self.slots.iter().find_map(|slot| {
            let why = slot.group.successor(None).err()?;
            let holds = !matches!(why, Immovable::NotMaster(_));
            holds.then_some((slot.key, why))
        });
        stuck.map_or(Ok(()), Err)
    }

    fn tell_all(&mut self, event: Event) {
        let now = clock::now();
        for slot in &mut self.slots {
            slot.step(now, event, &mut self.out);
        }
    }

    fn stop(&mut self, now: Instant) {
        self.stopping = true;
        for slot in &mut self.slots {
            slot.step(now, Event::Stop, &mut self.out);
        }
    }

    /// Hears what has come in at every ear; returns until when all of it was heard.
    fn listen_to_all(&mut self) -> Instant {
        let (mut heard_until, mut left) = (clock::now(), BUDGET_OF_ALL);
        for place in 0..self.ears.len() {
            let (count, until) = self.listen(place, left);
            heard_until = heard_until.min(until);
            left -= count;
        }
        heard_until
    }

    /// Hears what has come in at one ear, `budget` datagrams at most; returns how many there were,
    /// and until when all of it was heard.
    fn listen(&mut self, place: usize, budget: usize) -> (usize, Instant) {
        let Some(ear) = self.ears.get_mut(place) else {
            return (0, Instant::NEVER);
        };
        let (slots, out, board) = (&mut self.slots, &mut self.out, &self.board);
        let (herald, wire) = (&mut self.herald, ear.wire);
        let (offset, now) = (WallOffset::read(), clock::now());
        let (family, lines, empty_at) = (ear.family, &ear.lines, ear.empty_at);
        let mut last = empty_at;
        let drained = ear.receiver.drain(budget, |datagram| {
            let stamp = datagram.received_at;
            let at = stamp.map_or(now, |stamp| offset.instant(stamp, empty_at, now));
            last = at;
            let native = herald.as_mut().zip(wire);
            hear(
                &datagram,
                (family, lines, native),
                slots,
                (at, now),
                out,
                board,
            );
        });
        // Told once and then gone; what it means for the link, netlink says.
        let failed = u64::from(drained.error.is_some());
        board.receive_failed.fetch_add(failed, Ordering::Relaxed);
        if drained.cut_short {
            return (budget, last);
        }
        ear.empty_at = now;
        (drained.datagrams, Instant::NEVER)
    }

    /// Who speaks is on time; who listens does not take for silence what still waits to be heard.
    fn pass(&mut self, heard_until: Instant) {
        let (now, mut from) = (clock::now(), 0);
        while let Some(place) = self.out.dues.next(from, now) {
            if let Some(slot) = self.slots.get_mut(place) {
                slot.pass(now, heard_until, &mut self.out);
            }
            from = place + 1;
        }
    }

    fn flush(&mut self) {
        if let Some(herald) = &mut self.herald {
            let news = std::mem::take(&mut self.out.has_news);
            let Out { says, senders, .. } = &mut self.out;
            herald.speak(clock::now(), &self.slots, (says, news), senders);
        }
        self.has_sent.clear();
        for sender in &mut self.out.senders {
            let flushed = sender.flush();
            self.has_sent.push(flushed.sent > 0);
            let (failed, late) = (u64::from(flushed.failed), u64::from(flushed.late));
            self.board.send_failed.fetch_add(failed, Ordering::Relaxed);
            self.board.send_late.fetch_add(late, Ordering::Relaxed);
        }
        if !std::mem::take(&mut self.out.dues.renewal) {
            return;
        }
        let herald = self.herald.as_ref();
        let native = herald.is_some_and(|herald| herald.has_sent(&self.has_sent));
        let sent_at = clock::now();
        for slot in &mut self.slots {
            slot.renew(&self.has_sent, native, sent_at, &mut self.out.dues);
        }
    }

    /// Puts a plan in place: groups that it has go on, others hand over and end.
    fn rewire(&mut self, plan: Plan, now: Instant) {
        if self.stopping {
            // Nothing begins any more.
            return self.out.journal.offer(Entry::Close(plan.receivers));
        }
        for ear in &self.ears {
            // A descriptor that is closed leaves by itself.
            let _ = self.epoll.delete(&ear.receiver);
        }
        let deaf = std::mem::replace(&mut self.ears, plan.receivers);
        self.out.journal.offer(Entry::Close(deaf));
        let mut old = std::mem::take(&mut self.slots);
        let kept = self.out.senders.len();
        self.out.senders.extend(plan.senders);
        self.rewire_herald(plan.herald, kept, now);
        self.collect_withdrawn(&plan.groups);
        self.withdraw();
        let is_gone = |slot: &Slot| plan.groups.iter().all(|planned| planned.key != slot.key);
        for slot in old.iter_mut().filter(|slot| is_gone(slot)) {
            slot.end(now, &mut self.out);
        }
        for mut planned in plan.groups {
            for line in &mut planned.lines {
                line.sender += kept;
            }
            let slot = match old.iter().position(|slot| slot.key == planned.key) {
                Some(place) => {
                    let mut slot = old.swap_remove(place);
                    slot.go_on(planned, now, &mut self.out);
                    slot
                }
                None => self.start(planned, now),
            };
            self.slots.push(slot);
        }
        self.find_groups();
        self.flush();
        // Those that are ending come last, since the ears know the others by their places.
        self.slots
            .extend(old.into_iter().filter(|slot| !slot.is_done()));
        self.find_groups();
        self.drop_unused_senders();
        self.watch_ears();
    }

    /// A new group; before it may stand it knows whether this node is in service.
    fn start(&mut self, planned: Planned, now: Instant) -> Slot {
        let mut slot = Slot::start(planned, (self.started, now), &mut self.out);
        if self.maintenance {
            slot.step(now, Event::Maintenance(true), &mut self.out);
        }
        if self.arbiter_sound {
            slot.step(now, Event::ArbiterSound(true), &mut self.out);
        }
        slot.step(now, Event::Slot(self.tenancy), &mut self.out);
        slot
    }

    fn rewire_herald(&mut self, planned: Option<PlannedHerald>, kept: usize, now: Instant) {
        let Some(mut planned) = planned else {
            // Groups that are ending may still have something to say: it stays until they have.
            return;
        };
        for wire in &mut planned.wires {
            wire.sender = wire.sender.map(|place| place + kept);
        }
        match &mut self.herald {
            Some(herald) => herald.rewire(planned),
            None => self.herald = Some(Herald::new(planned, now)),
        }
    }

    fn find_groups(&mut self) {
        self.out.dues.resize(self.slots.len());
        for (place, slot) in self.slots.iter_mut().enumerate() {
            slot.settle_at(place, &mut self.out.dues);
        }
        if let Some(herald) = &mut self.herald {
            herald.find_groups(&self.slots);
        }
    }

    fn collect_withdrawn(&mut self, groups: &[Planned]) {
        for (_, unsaid) in &mut self.unsaid {
            let is_back = |placed: &Placed| {
                let mut lists = groups.iter().map(|group| &group.addresses.announced);
                lists.any(|announced| announced.contains(placed))
            };
            *unsaid = unsaid.iter().filter(|one| !is_back(one)).cloned().collect();
        }
        let of_group = |group: &Planned| (group.key, Arc::clone(&group.withdrawn));
        self.unsaid.extend(groups.iter().map(of_group));
        self.unsaid.retain(|(_, placed)| !placed.is_empty());
    }

    /// Whether the watchdog may be petted follows from what is at stake now.
    fn watch_over(&mut self) {
        let has_news = std::mem::take(&mut self.out.has_stakes);
        if let Some(handler) = &mut self.handler {
            let stakes = self.slots.iter().map(Slot::at_stake);
            handler.read(clock::now(), has_news, stakes);
        }
    }

    /// The arbiter looks who holds from when no other node is heard, so as to know it when it is asked.
    fn note_silence(&mut self) {
        let Some(herald) = self.herald.as_ref().filter(|_| self.out.pleas.is_some()) else {
            return;
        };
        let silence = !herald.hears_anybody(clock::now());
        if std::mem::replace(&mut self.silence, silence) != silence {
            self.out.plead(Plea::Silence(silence));
        }
    }

    /// What has found a queue full.
    fn offer_again(&mut self) {
        self.withdraw();
        if !self.out.unheard.is_empty() {
            self.out.plead_again();
        }
        if !self.out.unsaid.is_empty() {
            self.out.act_again();
        }
        if std::mem::take(&mut self.out.dues.unstored) {
            for slot in &mut self.slots {
                slot.store(&mut self.out);
            }
        }
    }

    /// A withdrawal that finds the queue full is offered again: the core does not know of it.
    fn withdraw(&mut self) {
        let jobs = &self.out.jobs;
        self.unsaid
            .retain(|(key, placed)| !jobs.takes(Job::Withdraw(*key, Arc::clone(placed))));
    }

    /// Sockets of earlier plans stay as long as a group that is ending needs them.
    fn drop_unused_senders(&mut self) {
        let old = std::mem::take(&mut self.out.senders);
        for (place, sender) in old.into_iter().enumerate() {
            let new_place = self.out.senders.len();
            let mut used = false;
            let lines = self.slots.iter_mut().flat_map(|slot| &mut slot.lines);
            let lines = lines.map(|line| &mut line.sender);
            let wires = self.herald.iter_mut().flat_map(Herald::senders_mut);
            for user in lines.chain(wires).filter(|user| **user == place) {
                *user = new_place;
                used = true;
            }
            if used {
                self.out.senders.push(sender);
            }
        }
    }

    fn watch_ears(&mut self) {
        for (place, ear) in self.ears.iter().enumerate() {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, place as u64);
            if let Err(error) = self.epoll.add(&ear.receiver, event) {
                let text = format!("cannot listen for adverts: {error}");
                self.out.journal.offer(Entry::Note(Level::Error, text));
            }
        }
    }

    fn show(&mut self) {
        if self.publish_at() <= clock::now() {
            self.publish();
        }
    }

    fn publish_at(&self) -> Instant {
        let every = match self.board.is_asked() {
            true => ANSWER_EVERY,
            false => PUBLISH_EVERY,
        };
        self.published_at + every
    }

    fn publish(&mut self) {
        let (slots, herald) = (&self.slots, self.herald.as_ref());
        let (now, ends) = (clock::now(), self.stopping);
        self.board.publish(|rows, is_asked| {
            // Two hundred and fifty groups that nobody asks for are not worth a look at each, every time.
            if is_asked || ends || now.since(rows.at) >= PUBLISH_GROUPS_EVERY {
                rows.at = now;
                write_groups(slots, rows);
            }
            if let Some(herald) = herald {
                herald.rows(rows, now);
            }
        });
        // Even if an observer was reading: it is tried again when the next one may be answered.
        self.published_at = clock::now();
    }
}

fn write_groups(slots: &[Slot], rows: &mut Rows) {
    rows.groups.clear();
    rows.lines.clear();
    for slot in slots {
        rows.groups.push(GroupRow {
            key: slot.key,
            view: slot.group.view(),
            lease: slot.lease(),
        });
        let row = |line: &Line| LineRow {
            key: slot.key,
            facts: Arc::clone(line.facts()),
            traffic: line.traffic.clone(),
        };
        rows.lines.extend(slot.lines.iter().map(row));
    }
}

/// Whom the frames of an ear are for: the groups by their ids, and the native heartbeat's wire.
type Ways<'a> = (
    Family,
    &'a [Option<(u16, u8)>; 256],
    Option<(&'a mut Herald, u8)>,
);

fn hear(
    datagram: &Datagram<'_>,
    (family, lines, native): Ways<'_>,
    slots: &mut [Slot],
    (at, now): (Instant, Instant),
    out: &mut Out,
    board: &Board,
) {
    let received = match family {
        Family::V4 => Received::from_ipv4(datagram.bytes).ok(),
        Family::V6 => received_ipv6(datagram),
    };
    if let Some((herald, wire)) = native
        && let Some(received) = &received
        && received.payload.first() == Some(&herald::MAGIC)
    {
        return herald.hear(wire, received, (at, now), slots, out);
    }
    let found = received.and_then(|received| {
        let id = vrrp::vrid(received.payload)?;
        Some((received, lines[usize::from(id)]?))
    });
    let Some((received, (group, line))) = found else {
        board.foreign.fetch_add(1, Ordering::Relaxed);
        return;
    };
    if let Some(slot) = slots.get_mut(usize::from(group)) {
        slot.hear(usize::from(line), &received, slot.time(now, at), out);
    }
}

fn received_ipv6<'a>(datagram: &Datagram<'a>) -> Option<Received<'a>> {
    Some(Received {
        source: datagram.source?,
        destination: datagram.destination?,
        ttl: datagram.hop_limit?,
        payload: datagram.bytes,
        ip_payload_len: None,
        authentication_header: false,
    })
}

#[cfg(test)]
mod tests;
