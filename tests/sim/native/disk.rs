//! A disk that both nodes of a pair reach, which hangs, fails, tears what is written and comes late; or three of them.
//! The real counter, desk, lock and mirror of the core stand before it, in a thread of each agent, and for each disk a
//! clerk that may die.

use std::collections::VecDeque;
use std::time::Duration;

use floatlock::core::disk::mirror::{self, Answer, CopyId, Effect, Mirror};
use floatlock::core::disk::{self, Counter, DeskEffect, Op, Plea, Record, Sight, Tenancy};
use floatlock::core::lease::{self, BootId, GRANULARITY, Nonce};
use floatlock::core::{Event, Instant};

use super::scenario::{Fault, MICRO, MILLI, Mood, Scenario};
use super::world::{What, World};
use crate::dice::Dice;

/// L of the disk, and so many renewals in it.
const RENEWALS: u32 = 8;
/// How often a copy that nobody asks is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// What is on it, and what is wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// One, or three of which two are enough.
    copies: Vec<Medium>,
    pub(crate) lease: Duration,
    /// One read or write of twenty takes very long.
    is_slow: bool,
}

/// One copy of the area.
#[derive(Clone, Debug)]
struct Medium {
    /// By node.
    slots: Vec<Sight>,
    hangs_until: Instant,
}

/// What a host has to do with it. Instants are of its own clock, but for those that say otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clerk {
    counter: Counter,
    /// Between the counter and the copies, once most of them are open.
    mirror: Option<Mirror>,
    /// By copy.
    drives: Vec<Drive>,
    /// When the last write was asked for that says HELD.
    held_at: Instant,
    /// The last time at which the thread wants to be called, of the world's clock.
    timer_at: Instant,
    /// As the groups were told.
    is_sound: bool,
    tenancy: Tenancy,
    /// The start of the agent, and the one before it since the host was booted.
    pub(crate) starts: (Option<BootId>, Option<BootId>),
    /// It was told that no other node is heard.
    silence: bool,
    /// What came while the host stood still is looked at then, of the world's clock.
    behind_until: Instant,
    /// When the last plea arrives, of the world's clock: they come in the order in which they were said.
    pleaded_at: Instant,
}

/// The way of a host to one copy. Instants are of the world's clock.
#[derive(Clone, Debug, Default)]
struct Drive {
    /// What it asks for hangs until then.
    hangs_until: Instant,
    /// What it reads is of now; it fails until then.
    fails_until: Instant,
    /// A write of an earlier clerk may still land until then: nobody else writes before.
    strays_until: Instant,
    /// The clerks so far: nobody hears one that is gone.
    clerks: u32,
    is_open: bool,
    /// The last read went well.
    is_fine: bool,
    busy: Option<Op>,
    /// It is being looked at, though nobody asked; what is asked meanwhile waits until that is done.
    looks: bool,
    waits: Option<(Op, mirror::What)>,
}

/// What a clerk was asked for: without a number, to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    copy: usize,
    clerk: u32,
    op: Option<Op>,
}

/// What one group has to do with it, as `agent::slot` keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stake {
    asks: Option<Nonce>,
    owes: bool,
    may_be_on: bool,
    /// Something may be on that the disk's vote allowed, or an earlier agent left: the slot does not say CLEAN.
    allowed: bool,
}

impl Stake {
    /// Left by an agent that died.
    pub(crate) const fn new() -> Self {
        Self {
            asks: None,
            owes: true,
            may_be_on: true,
            allowed: true,
        }
    }
}

/// What happens at the disk, for the thread of one start of an agent.
#[derive(Clone, Debug)]
pub(crate) enum At {
    /// The area of a copy is known.
    Open(usize),
    Hears(Plea),
    Timer,
    /// A copy that nobody asks is looked at.
    Looks(usize),
    /// The slot of that node is read, and then the others.
    Reads(Order, usize, Vec<Sight>),
    /// It lands, whole or torn, whoever still waits for it.
    Lands(Order, Record, bool),
    Answers(Order, Answer),
    /// The clerk of a copy is gone.
    Gone(usize, u32),
}

/// The same pair, with a disk.
pub(crate) fn add(scenario: &mut Scenario, dice: &mut Dice) {
    // The vote is the node's: two groups could not be held by two nodes.
    scenario.always = scenario.groups == 1 && dice.chance(40);
    for settings in scenario.settings.iter_mut().flatten() {
        if let Some(voting) = &mut settings.native {
            voting.lease.voters.arbiter = true;
            voting.lease.always = scenario.always;
        }
    }
    scenario.faults.extend([Fault::Disk; 4]);
    scenario.faults.extend([Fault::Partition; 2]);
    let times = dice.pick(&[1, 2, 4]);
    scenario.disk = Some((scenario.lease * times).max(MILLI * 400));
    // Not by a throw, after which every story would be another one.
    let has_three = scenario.seed.is_multiple_of(3);
    scenario.disks = if has_three { 3 } else { 1 };
}

impl Disk {
    pub(crate) fn new(nodes: usize, copies: usize, lease: Duration) -> Self {
        let medium = Medium {
            slots: vec![Sight::Slot(Record::default()); nodes],
            hangs_until: Instant::default(),
        };
        Self {
            copies: vec![medium; copies],
            lease,
            is_slow: true,
        }
    }

    /// W.
    pub(crate) fn wait(&self) -> Duration {
        lease::promise(self.lease, GRANULARITY)
    }

    fn poll(&self) -> Duration {
        self.lease / RENEWALS
    }

    const fn need(&self) -> usize {
        self.copies.len() / 2 + 1
    }
}

impl World {
    /// Every host has a way to every copy.
    pub(crate) fn connect_disk(&mut self) {
        let copies = self.disk.as_ref().map_or(0, |disk| disk.copies.len());
        for host in &mut self.hosts {
            host.clerk.drives = vec![Drive::default(); copies];
        }
    }

    // --- what goes wrong with it ------------------------------------------------------------

    pub(crate) fn harm_disk(&mut self, node: usize, until: Instant) {
        let Some(copies) = self.disk.as_ref().map(|disk| disk.copies.len()) else {
            return;
        };
        let is_one = copies == 1;
        let what = self.dice.below(if is_one { 5 } else { 7 });
        // All at once, now and then: that two of three go on is no law of nature.
        let all = is_one || self.dice.chance(20);
        let chosen = if is_one { 0 } else { self.dice.below(copies) };
        let which = |copy: &usize| all || *copy == chosen;
        for copy in (0..copies).filter(which) {
            self.harm_copy(what, node, copy, until);
        }
        if !all {
            self.saw("one of three disks is harmed");
        }
    }

    fn harm_copy(&mut self, what: usize, node: usize, copy: usize, until: Instant) {
        let Some(medium) = self
            .disk
            .as_mut()
            .and_then(|disk| disk.copies.get_mut(copy))
        else {
            return;
        };
        match what {
            0 => {
                medium.hangs_until = medium.hangs_until.max(until);
                self.saw("disk hangs");
            }
            4 => {
                let drive = &mut self.hosts[node].clerk.drives[copy];
                drive.hangs_until = drive.hangs_until.max(until);
                self.saw("path to the disk hangs");
            }
            1 => {
                medium.slots[node] = Sight::Torn;
                self.saw("slot torn");
            }
            5 | 6 => {
                let clerk = self.hosts[node].clerk.drives[copy].clerks;
                self.disk_after(node, MICRO, At::Gone(copy, clerk));
                self.saw("clerk gone");
            }
            _ => {
                let all = what == 2;
                for (at, host) in self.hosts.iter_mut().enumerate() {
                    let drive = host.clerk.drives.get_mut(copy);
                    if let Some(drive) = drive.filter(|_| all || at == node) {
                        drive.fails_until = drive.fails_until.max(until);
                    }
                }
                self.saw("disk fails");
            }
        }
    }

    pub(crate) fn heal_disk(&mut self) {
        let now = self.now;
        if let Some(disk) = &mut self.disk {
            disk.is_slow = false;
            for medium in &mut disk.copies {
                medium.hangs_until = now;
            }
        }
        for drive in self
            .hosts
            .iter_mut()
            .flat_map(|host| &mut host.clerk.drives)
        {
            (drive.fails_until, drive.hangs_until) = (now, now);
        }
        self.lose_one_for_good();
    }

    /// Two of three are enough, for ever.
    fn lose_one_for_good(&mut self) {
        let disk = self.disk.as_mut().filter(|disk| disk.copies.len() > 1);
        let Some(disk) = disk.filter(|_| self.dice.coin()) else {
            return;
        };
        let lost = self.dice.below(disk.copies.len());
        disk.copies[lost].hangs_until = Instant::from_nanos(u64::MAX / 4);
        self.saw("one of three disks is lost for good");
    }

    // --- an agent's thread ------------------------------------------------------------------

    /// A new agent knows nothing of what the one before has asked for.
    pub(crate) fn start_clerk(&mut self, node: usize) {
        let Some(copies) = self.disk.as_ref().map(|disk| disk.copies.len()) else {
            return;
        };
        let boot = self.hosts[node].agent.as_ref().map(|agent| agent.boot);
        let clerk = &mut self.hosts[node].clerk;
        (clerk.counter, clerk.mirror) = (Counter::default(), None);
        (clerk.silence, clerk.is_sound) = (false, false);
        clerk.tenancy = Tenancy::default();
        clerk.starts = (boot, clerk.starts.0);
        clerk.timer_at = Instant::NEVER;
        for copy in 0..copies {
            self.start_drive(node, copy, Duration::ZERO);
        }
        if self.scenario.always {
            self.plead(node, Plea::Silence(true));
        }
    }

    /// With a new clerk, after so long, or when nothing of the ones before is under way any more.
    fn start_drive(&mut self, node: usize, copy: usize, wait: Duration) {
        let now = self.now;
        let drive = &mut self.hosts[node].clerk.drives[copy];
        drive.clerks += 1;
        (drive.is_open, drive.is_fine, drive.looks) = (false, false, false);
        (drive.busy, drive.waits) = (None, None);
        let opens_at = (now + wait).max(drive.strays_until);
        let wait = opens_at.since(now) + self.dice.between(MICRO * 100, MILLI * 5);
        self.disk_after(node, wait, At::Open(copy));
    }

    fn disk_after(&mut self, node: usize, wait: Duration, at: At) {
        let boots = self.hosts[node].boots;
        self.after(wait, What::Disk { node, boots, at });
    }

    pub(crate) fn plead(&mut self, node: usize, plea: Plea) {
        if self.disk.is_some() {
            let at = self.now + self.dice.between(MICRO * 5, MICRO * 100);
            let clerk = &mut self.hosts[node].clerk;
            clerk.pleaded_at = clerk.pleaded_at.max(at);
            let wait = clerk.pleaded_at.since(self.now);
            self.disk_after(node, wait, At::Hears(plea));
        }
    }

    /// The heartbeat thread says whether it hears anybody, when that changes.
    pub(crate) fn note_silence(&mut self, node: usize) {
        let now = self.local(node);
        if self.disk.is_none() || self.scenario.always {
            return;
        }
        let others = (0..self.scenario.voters).filter(|other| *other != node);
        let Some(agent) = self.running(node) else {
            return;
        };
        let mut others = others.filter_map(|other| lease::NodeId::try_from(other).ok());
        let silence = !others.any(|other| agent.mesh.hears(other, now));
        if std::mem::replace(&mut self.hosts[node].clerk.silence, silence) != silence {
            self.plead(node, Plea::Silence(silence));
        }
    }

    pub(crate) fn at_disk(&mut self, node: usize, boots: u32, at: At) {
        if let At::Lands(order, record, whole) = at {
            return self.lands(node, boots, order, record, whole);
        }
        let host = &self.hosts[node];
        if host.boots != boots || host.agent.is_none() {
            return;
        }
        // Another process reads, which need not freeze with the agent.
        let is_clerk = matches!(at, At::Reads(..));
        if host.paused || (host.frozen && !is_clerk) {
            // All look again at the next whole millisecond, in the order in which they came.
            let again = Instant::from_nanos((self.now.as_nanos() / 1_000_000 + 1) * 1_000_000);
            self.hosts[node].clerk.behind_until = again;
            return self.at(again, What::Disk { node, boots, at });
        }
        if let At::Reads(order, from, sights) = at {
            return self.reads(node, order, from, sights);
        }
        if self.now < host.clerk.behind_until {
            // Nothing overtakes what has waited.
            let again = host.clerk.behind_until;
            return self.at(again, What::Disk { node, boots, at });
        }
        let (mut said, mut effects) = (Vec::new(), Vec::new());
        self.thread_hears(node, at, &mut said, &mut effects);
        self.act(node, said, effects);
        self.note_sound(node);
        self.note_tenancy(node);
        self.rearm_clerk(node);
    }

    /// As `disk::steward` does.
    fn thread_hears(
        &mut self,
        node: usize,
        at: At,
        said: &mut Vec<DeskEffect>,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.local(node);
        let clerk = &mut self.hosts[node].clerk;
        match at {
            At::Open(copy) => self.opened(node, copy, now, said),
            At::Hears(plea) => clerk.counter.hear(now, plea, said),
            At::Timer => {
                clerk.timer_at = Instant::NEVER;
                if clerk.counter.deadline() <= now {
                    clerk.counter.pass(now, said);
                }
                let mirror = clerk.mirror.as_mut();
                if let Some(mirror) = mirror.filter(|mirror| mirror.deadline() <= now) {
                    mirror.pass(now, effects);
                }
            }
            At::Looks(copy) => self.look_at_copy(node, copy),
            At::Answers(order, answer) => self.answered(node, now, order, answer, effects),
            At::Gone(copy, number) => self.gone(node, now, (copy, number), effects),
            At::Reads(..) | At::Lands(..) => {}
        }
    }

    /// What the desk wants goes to the copies, and what comes of it to the desk, until nothing is left to do.
    fn act(&mut self, node: usize, said: Vec<DeskEffect>, effects: Vec<Effect>) {
        let now = self.local(node);
        let (mut said, mut effects) = (VecDeque::from(said), VecDeque::from(effects));
        loop {
            let (mut more_said, mut more_effects) = (Vec::new(), Vec::new());
            if let Some(effect) = effects.pop_front() {
                self.mirror_says(node, now, effect, &mut more_said, &mut more_effects);
            } else if let Some(effect) = said.pop_front() {
                self.desk_says(node, now, effect, &mut more_effects);
            } else {
                return;
            }
            said.extend(more_said);
            effects.extend(more_effects);
        }
    }

    fn opened(&mut self, node: usize, copy: usize, now: Instant, said: &mut Vec<DeskEffect>) {
        let boot = self.hosts[node].agent.as_ref().map(|agent| agent.boot);
        let (Some(settings), Some(boot)) = (self.settings(node), boot) else {
            return;
        };
        let (copies, need) = match &self.disk {
            Some(disk) => (disk.copies.len(), disk.need()),
            None => return,
        };
        let clerk = &mut self.hosts[node].clerk;
        clerk.drives[copy].is_open = true;
        let open = clerk.drives.iter().filter(|drive| drive.is_open).count();
        if clerk.mirror.is_none() && open >= need {
            clerk.mirror = Some(Mirror::new(copies, settings.me, settings.poll / 4));
            clerk.counter.open(settings, boot, now, said);
        }
        if copies > 1 {
            // What a copy has missed is known when somebody looks.
            self.disk_after(node, MICRO, At::Looks(copy));
        }
    }

    fn look_at_copy(&mut self, node: usize, copy: usize) {
        let every = self.disk.as_ref().map_or(MILLI, Disk::poll).min(LOOK_EVERY);
        let drive = &mut self.hosts[node].clerk.drives[copy];
        if !drive.is_open {
            // Looked at again when it is.
            return;
        }
        if drive.busy.is_none() && !drive.looks {
            drive.looks = true;
            let order = Order {
                copy,
                clerk: drive.clerks,
                op: None,
            };
            let wait = self.disk_takes(node, copy);
            self.disk_after(node, wait, At::Reads(order, 0, Vec::new()));
        }
        self.disk_after(node, every, At::Looks(copy));
    }

    /// A copy is asked, or it cannot be.
    fn ask_copy(&mut self, node: usize, copy: CopyId, op: Op, what: mirror::What) -> bool {
        let copy = usize::from(copy);
        let drive = &mut self.hosts[node].clerk.drives[copy];
        if !drive.is_open {
            return false;
        }
        drive.busy = Some(op);
        if drive.looks {
            drive.waits = Some((op, what));
            return true;
        }
        self.begin(node, copy, op, what);
        true
    }

    fn begin(&mut self, node: usize, copy: usize, op: Op, what: mirror::What) {
        let clerk = self.hosts[node].clerk.drives[copy].clerks;
        let order = Order {
            copy,
            clerk,
            op: Some(op),
        };
        match what {
            mirror::What::Read => {
                let wait = self.disk_takes(node, copy);
                self.disk_after(node, wait, At::Reads(order, 0, Vec::new()));
            }
            mirror::What::Write(record) => self.write(node, order, record),
        }
    }

    fn answered(
        &mut self,
        node: usize,
        now: Instant,
        order: Order,
        answer: Answer,
        effects: &mut Vec<Effect>,
    ) {
        let clerk = &mut self.hosts[node].clerk;
        let Some(drive) = clerk.drives.get_mut(order.copy) else {
            return;
        };
        if drive.clerks != order.clerk {
            return;
        }
        match &answer {
            Answer::Slots(_) => drive.is_fine = true,
            Answer::Failed => drive.is_fine = false,
            Answer::Landed => {}
        }
        let copy = CopyId::try_from(order.copy).unwrap_or(CopyId::MAX);
        match (order.op, answer) {
            (Some(op), answer) => {
                drive.busy = None;
                if let Some(mirror) = &mut clerk.mirror {
                    mirror.answer(now, copy, op, answer, effects);
                }
            }
            (None, answer) => {
                drive.looks = false;
                let waits = drive.waits.take();
                if let (Some(mirror), Answer::Slots(slots)) = (&mut clerk.mirror, answer) {
                    mirror.saw(copy, &slots, effects);
                }
                if let Some((op, what)) = waits {
                    self.begin(node, order.copy, op, what);
                }
            }
        }
    }

    /// Without its clerk whatever was asked has failed; what was to be written may land all the same.
    fn gone(
        &mut self,
        node: usize,
        now: Instant,
        (copy, number): (usize, u32),
        effects: &mut Vec<Effect>,
    ) {
        let drive = &mut self.hosts[node].clerk.drives[copy];
        if drive.clerks != number || !drive.is_open {
            return;
        }
        let busy = drive.busy;
        let after = self.disk.as_ref().map_or(MILLI, Disk::poll);
        self.start_drive(node, copy, after);
        let id = CopyId::try_from(copy).unwrap_or(CopyId::MAX);
        let mirror = self.hosts[node].clerk.mirror.as_mut();
        if let Some((mirror, op)) = mirror.zip(busy) {
            mirror.answer(now, id, op, Answer::Failed, effects);
        }
    }

    /// The groups are told when that changes.
    fn note_sound(&mut self, node: usize) {
        let Some(need) = self.disk.as_ref().map(Disk::need) else {
            return;
        };
        let clerk = &mut self.hosts[node].clerk;
        let Some(mirror) = &clerk.mirror else {
            return;
        };
        let sound = clerk.drives.iter().zip(0..).filter(|(drive, copy)| {
            let is_good = drive.is_open && drive.is_fine;
            is_good && !mirror.lies(*copy)
        });
        let is_sound = sound.count() >= need;
        if std::mem::replace(&mut clerk.is_sound, is_sound) != is_sound {
            self.send_command(node, None, Event::ArbiterSound(is_sound));
        }
    }

    fn note_tenancy(&mut self, node: usize) {
        let clerk = &mut self.hosts[node].clerk;
        let tenancy = clerk.counter.tenancy();
        if std::mem::replace(&mut clerk.tenancy, tenancy) != tenancy {
            self.send_command(node, None, Event::Slot(tenancy));
        }
    }

    fn settings(&self, node: usize) -> Option<disk::Settings> {
        let disk = self.disk.as_ref()?;
        Some(disk::Settings {
            me: disk::SlotId::try_from(node).ok()?,
            lease: disk.lease,
            wait: disk.wait(),
            poll: disk.poll(),
            hurry: (MILLI * 5).min(disk.poll()),
            guard: Some(disk::Guard {
                look: LOOK_EVERY,
                before: self.hosts[node].clerk.starts.1,
            }),
        })
    }

    fn rearm_clerk(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        let settles = host.clerk.mirror.as_ref();
        let settles = settles.map_or(Instant::NEVER, Mirror::deadline);
        let deadline = host.clerk.counter.deadline().min(settles);
        let at = host.clock.world(deadline);
        if deadline == Instant::NEVER || at >= host.clerk.timer_at {
            return;
        }
        host.clerk.timer_at = at;
        let boots = host.boots;
        let at = at.max(self.now);
        self.at(
            at,
            What::Disk {
                node,
                boots,
                at: At::Timer,
            },
        );
    }

    fn desk_says(
        &mut self,
        node: usize,
        now: Instant,
        effect: DeskEffect,
        effects: &mut Vec<Effect>,
    ) {
        if let Some((group, word)) = effect.word() {
            if let lease::Event::Arbiter(_, until) = word {
                self.saw("disk votes");
                let clerk = &self.hosts[node].clerk;
                let most = clerk.held_at + self.disk.as_ref().map_or(Duration::ZERO, |d| d.lease);
                self.uphold(
                    until <= most,
                    "law 2: the disk's vote counts from before its write",
                );
            }
            let group = usize::try_from(group).unwrap_or(usize::MAX);
            return self.send_command(node, Some(group), Event::Vote(word));
        }
        let (op, what) = match effect {
            DeskEffect::Read(op) => (op, mirror::What::Read),
            DeskEffect::Write(op, record) => {
                match record.hold {
                    disk::Hold::Held => self.hosts[node].clerk.held_at = now,
                    disk::Hold::Clean => self.is_clean(node),
                    disk::Hold::Free | disk::Hold::Claimed => {}
                }
                (op, mirror::What::Write(record))
            }
            _ => return,
        };
        if let Some(mirror) = &mut self.hosts[node].clerk.mirror {
            mirror.ask(now, op, what, effects);
        }
    }

    /// A copy is asked, or the desk is told.
    fn mirror_says(
        &mut self,
        node: usize,
        now: Instant,
        effect: Effect,
        said: &mut Vec<DeskEffect>,
        effects: &mut Vec<Effect>,
    ) {
        let (copy, order, what) = match effect {
            Effect::Read(copy, order) => (copy, order, mirror::What::Read),
            Effect::Write(copy, order, record) => (copy, order, mirror::What::Write(record)),
            Effect::Done(event) => {
                let counter = &mut self.hosts[node].clerk.counter;
                match event {
                    disk::Event::Read(op, sights) => counter.read(now, op, sights, said),
                    disk::Event::Written(op) => counter.written(now, op, said),
                    disk::Event::Failed(op) => counter.failed(now, op, said),
                    // Nothing else becomes of a read or write.
                    _ => {}
                }
                return;
            }
        };
        let is_asked = self.ask_copy(node, copy, order, what);
        let mirror = self.hosts[node].clerk.mirror.as_mut();
        if let Some(mirror) = mirror.filter(|_| !is_asked) {
            mirror.answer(now, copy, order, Answer::Failed, effects);
        }
    }

    /// How long the medium takes, which may be for as long as it hangs.
    fn disk_takes(&mut self, node: usize, copy: usize) -> Duration {
        let Some(disk) = &self.disk else {
            return MILLI;
        };
        let medium = disk.copies[copy].hangs_until.since(self.now);
        let hangs = medium.max(
            self.hosts[node].clerk.drives[copy]
                .hangs_until
                .since(self.now),
        );
        let is_slow = disk.is_slow;
        let most = match self.dice.chance(5) && is_slow {
            true => self.scenario.promise,
            false => MILLI * 3,
        };
        hangs + self.dice.spread(MICRO * 50, most)
    }

    fn is_failing(&self, node: usize, copy: usize) -> bool {
        self.hosts[node].clerk.drives[copy].fails_until > self.now
    }

    fn write(&mut self, node: usize, order: Order, record: Record) {
        let wait = self.disk_takes(node, order.copy);
        let lands_at = self.now + wait;
        let drive = &mut self.hosts[node].clerk.drives[order.copy];
        drive.strays_until = drive.strays_until.max(lands_at + MICRO);
        let fails = self.is_failing(node, order.copy);
        // What fails may have landed, or a half of it.
        let (lands, whole) = match fails {
            true => (self.dice.coin(), self.dice.coin()),
            false => (true, true),
        };
        if lands {
            let boots = self.hosts[node].boots;
            let at = At::Lands(order, record, whole);
            self.at(lands_at, What::Disk { node, boots, at });
        }
        if fails {
            let later = self.dice.between(MICRO * 10, MILLI);
            self.disk_after(node, wait + later, At::Answers(order, Answer::Failed));
        }
    }

    fn is_clean(&mut self, node: usize) {
        let agent = self.hosts[node].agent.as_ref();
        let slots = agent.map_or(&[][..], |agent| &agent.slots);
        let is_clean = !slots.iter().any(|slot| slot.stake.allowed);
        self.uphold(
            is_clean,
            "law 6: a slot is laid down when what it allowed is off",
        );
    }

    /// Whether or not its agent still lives; a host without power may leave half of it.
    fn lands(&mut self, node: usize, boots: u32, order: Order, record: Record, whole: bool) {
        let host = &self.hosts[node];
        let is_same = host.clerk.drives[order.copy].clerks == order.clerk;
        let (is_up, lives) = (
            host.is_up,
            host.boots == boots && host.agent.is_some() && is_same,
        );
        let whole = whole && (is_up || self.dice.coin());
        if !is_up && self.dice.coin() {
            return;
        }
        if !lives {
            self.saw("stray write");
        }
        let Some(disk) = &mut self.disk else {
            return;
        };
        disk.copies[order.copy].slots[node] = match whole {
            true => Sight::Slot(record),
            false => Sight::Torn,
        };
        if lives && !self.is_failing(node, order.copy) {
            let wait = self.disk_takes(node, order.copy);
            self.disk_after(node, wait, At::Answers(order, Answer::Landed));
        } else if lives {
            self.disk_after(node, MICRO * 50, At::Answers(order, Answer::Failed));
        }
    }

    /// One slot after the other, each as it is at its time.
    fn reads(&mut self, node: usize, order: Order, from: usize, mut sights: Vec<Sight>) {
        let Some(disk) = &self.disk else {
            return;
        };
        let slots = &disk.copies[order.copy].slots;
        sights.push(slots[from]);
        let is_last = sights.len() == slots.len();
        let wait = self.disk_takes(node, order.copy);
        let next = match (is_last, self.is_failing(node, order.copy)) {
            (_, true) => At::Answers(order, Answer::Failed),
            (true, false) => At::Answers(order, Answer::Slots(sights)),
            (false, false) => At::Reads(order, from + 1, sights),
        };
        self.disk_after(node, wait, next);
    }

    // --- one group of the heartbeat thread, as `agent::slot` does it ------------------------

    pub(crate) fn contend(
        &mut self,
        node: usize,
        group: usize,
        ticket: Nonce,
        epoch: lease::Epoch,
    ) {
        self.saw("disk asked");
        self.stake(node, group, |stake| stake.asks = Some(ticket));
        self.plead(node, Plea::Contend(group as u64, ticket, epoch));
    }

    pub(crate) fn give_back(&mut self, node: usize, group: usize, ticket: Nonce) {
        self.stake(node, group, |stake| (stake.asks, stake.owes) = (None, true));
        self.plead(node, Plea::Withdraw(group as u64, ticket));
        self.settle_with_arbiter(node, group);
    }

    /// A group that has ended gives back what it asked for.
    pub(crate) fn leave_disk(&mut self, node: usize, group: usize) {
        let agent = self.hosts[node].agent.as_ref();
        let asks = agent.and_then(|agent| agent.slots.get(group)?.stake.asks);
        if let Some(ticket) = asks {
            self.give_back(node, group, ticket);
        }
    }

    pub(crate) fn is_on(&mut self, node: usize, group: usize, on: bool) {
        self.stake(node, group, |stake| stake.may_be_on = on);
        if !on {
            self.settle_with_arbiter(node, group);
        }
    }

    /// What the arbiter says to a ticket.
    pub(crate) fn hear_arbiter(&mut self, node: usize, group: usize, event: lease::Event) {
        if let lease::Event::ArbiterFloor(ticket, _) = event {
            self.stake(node, group, |stake| {
                if stake.asks == Some(ticket) {
                    (stake.asks, stake.owes) = (None, true);
                }
            });
        }
        if let lease::Event::Arbiter(ticket, _) = event {
            self.stake(node, group, |stake| {
                stake.allowed |= stake.asks == Some(ticket);
            });
        }
        let now = self.local(node);
        self.step(node, group, now, Event::Vote(event));
        self.settle_with_arbiter(node, group);
    }

    fn settle_with_arbiter(&mut self, node: usize, group: usize) {
        let agent = self.hosts[node].agent.as_mut();
        let Some(slot) = agent.and_then(|agent| agent.slots.get_mut(group)) else {
            return;
        };
        let holds = slot.group.view().authority.is_some();
        if slot.stake.owes && (!slot.stake.may_be_on || holds) {
            (slot.stake.owes, slot.stake.allowed) = (false, false);
            let served = slot.group.view().epoch.unwrap_or_default();
            self.plead(node, Plea::Clean(group as u64, served));
        }
    }

    fn stake(&mut self, node: usize, group: usize, change: impl FnOnce(&mut Stake)) {
        let agent = self.hosts[node].agent.as_mut();
        if let Some(slot) = agent.and_then(|agent| agent.slots.get_mut(group)) {
            change(&mut slot.stake);
        }
    }
}

/// Not the calm ones, whose takeovers are measured without a disk, and no cluster so quick that a lease of the disk
/// would be a hundred of its own.
pub(crate) fn is_fit(scenario: &Scenario) -> bool {
    scenario.voters == 2 && scenario.mood != Mood::Calm && scenario.interval >= MILLI * 20
}
