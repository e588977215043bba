//! What happens next? Virtual time, from one happening to the next one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use floatlock::core::right::Right;
use floatlock::core::{Alarm, Effect, Event, Heard, Instant, Report, RoleName};

use super::arbiter::{self, Arbiter};
use super::dice::Dice;
use super::host::{ALL, Agent, Change, Freeze, Host, KEPT, Packet};
use super::laws::Step;
use super::network::Network;
use super::scenario::{Mood, Scenario};
use super::timeline::{Timeline, effect_text, event_text};

pub(crate) const MICRO: Duration = Duration::from_micros(1);

/// Something that will happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Start(usize),
    Frame {
        to: usize,
        line: usize,
        packet: Packet,
    },
    Command {
        to: usize,
        boot: u32,
        event: Event,
    },
    Timer {
        node: usize,
        boot: u32,
    },
    JobDone {
        node: usize,
        boot: u32,
        work: u32,
    },
    /// The actuator tells those who wait that it works.
    Working {
        node: usize,
        boot: u32,
        work: u32,
    },
    Thaw {
        node: usize,
        boot: u32,
    },
    Fault,
    /// Somebody takes addresses off again and again.
    Tear {
        node: usize,
    },
    /// A stranger's frames, until then.
    Noise {
        to: usize,
        event: Event,
        until: Instant,
    },
    Link {
        node: usize,
        is_up: bool,
    },
    /// A probe for the addresses of `asker` arrives, or its answer.
    Probe {
        asker: Asker,
        at: usize,
    },
    Answer(Asker),
    LookOver(Asker),
    /// Of this node and agent, at the arbiter.
    Arbiter(usize, u32, arbiter::At),
    /// The agent on this node asks the reference.
    AskReference {
        node: usize,
        boot: u32,
    },
    Source {
        node: usize,
        is_there: bool,
    },
}

/// Whose look it is, by the number of the agent and of the look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    pub(crate) node: usize,
    pub(crate) boot: u32,
    pub(crate) ticket: u64,
}

struct Entry {
    at: Instant,
    seq: u64,
    what: What,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.seq == other.seq
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// How far the story is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Weather,
    /// No more faults.
    Healed,
    /// Nobody changes its role any more.
    Still,
}

pub(crate) struct World {
    /// Until when the lease may run of a MASTER that died while it was asked to go.
    excused_until: Instant,
    pub(crate) scenario: Scenario,
    pub(crate) now: Instant,
    pub(crate) act: Act,
    pub(crate) hosts: Vec<Host>,
    pub(crate) network: Network,
    pub(crate) arbiter: Option<Arbiter>,
    pub(crate) dice: Dice,
    /// For looks alone, so that they change no story in which nobody answers.
    pub(crate) look_dice: Dice,
    pub(crate) timeline: Timeline,
    /// The first broken law.
    pub(crate) broken: Option<String>,
    /// What was seen, and how often.
    pub(crate) seen: BTreeMap<&'static str, u64>,
    pub(crate) steps: u64,
    queue: BinaryHeap<Reverse<Entry>>,
    seq: u64,
    said: Vec<Effect>,
}

impl World {
    pub(crate) fn new(scenario: Scenario, dice: Dice, timeline: Timeline) -> Self {
        let lead = &scenario.lines[0].sources;
        let nodes = scenario.settings.iter().zip(&scenario.offsets).zip(lead);
        let hosts = nodes.map(|((settings, offset), lead)| Host::new(*settings, *offset, *lead));
        let mut world = Self {
            excused_until: Instant::default(),
            hosts: hosts.collect(),
            network: Network::new(scenario.nodes(), scenario.lines.clone()),
            arbiter: None,
            now: Instant::default(),
            act: Act::Weather,
            dice,
            look_dice: Dice::new(!scenario.seed),
            timeline,
            broken: None,
            seen: BTreeMap::new(),
            steps: 0,
            queue: BinaryHeap::new(),
            seq: 0,
            said: Vec::new(),
            scenario,
        };
        for (node, start) in world.scenario.starts.clone().into_iter().enumerate() {
            world.after(start, What::Start(node));
        }
        let first = match world.scenario.mood {
            Mood::Calm => world.scenario.gap * 2,
            Mood::Frost | Mood::Weather => world.scenario.gap,
        };
        world.after(first, What::Fault);
        world.start_arbiter();
        world
    }

    pub(crate) fn after(&mut self, wait: Duration, what: What) {
        self.at(self.now + wait, what);
    }

    pub(crate) fn at(&mut self, at: Instant, what: What) {
        self.seq += 1;
        let seq = self.seq;
        self.queue.push(Reverse(Entry { at, seq, what }));
    }

    pub(crate) fn note(&mut self, node: Option<usize>, what: impl FnOnce() -> String) {
        self.timeline.note(self.now, node, what);
    }

    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_insert(0) += 1;
    }

    pub(crate) fn uphold(&mut self, node: usize, verdict: Result<(), String>) {
        if let Err(law) = verdict {
            self.note(Some(node), || format!("BREAKS: {law}"));
            self.broken.get_or_insert(law);
        }
    }

    /// Lets everything happen that happens until `end`, unless a law is broken.
    pub(crate) fn run_until(&mut self, end: Instant) {
        while self.broken.is_none() {
            match self.queue.peek() {
                Some(Reverse(entry)) if entry.at <= end => {}
                _ => break,
            }
            if let Some(Reverse(entry)) = self.queue.pop() {
                self.now = entry.at;
                self.happen(entry.what);
            }
        }
        self.now = end;
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Start(node) => self.start(node),
            What::Frame { to, line, packet } => self.arrive(to, line, packet),
            What::Command { to, boot, event } => self.command(to, boot, event),
            What::Timer { node, boot } => self.timer(node, boot),
            What::JobDone { node, boot, work } => self.job_done(node, boot, work),
            What::Working { node, boot, work } => self.working(node, boot, work),
            What::Thaw { node, boot } => self.thaw(node, boot),
            What::Fault => self.fault(),
            What::Tear { node } => self.tear_again(node),
            What::Noise { to, event, until } => self.noise(to, event, until),
            What::Probe { asker, at } => self.probe(asker, at),
            What::Answer(asker) => self.answered(asker),
            What::LookOver(asker) => self.look_over(asker),
            What::Arbiter(node, boot, at) => self.at_arbiter(node, boot, at),
            What::AskReference { node, boot } => self.ask_reference(node, boot),
            What::Link { node, is_up } => {
                self.hosts[node].has_link = is_up;
                self.tell_facts(node);
            }
            What::Source { node, is_there } => {
                self.hosts[node].has_source = is_there;
                self.tell_facts(node);
            }
        }
    }

    // --- agents -------------------------------------------------------------------------------

    fn start(&mut self, node: usize) {
        if self.hosts[node].agent.is_some() {
            return;
        }
        self.note(Some(node), || "the agent starts".to_owned());
        self.saw("start");
        let (lines, nodes) = (self.scenario.lines.len(), self.hosts.len());
        let said = self.hosts[node].start(lines, nodes, self.now);
        self.begin_at_arbiter(node);
        self.begin_at_reference(node);
        let step = self.step_of(node, Event::Tick);
        for effect in &said {
            self.carry_out(node, step.as_ref(), effect);
        }
        self.turn(node);
    }

    pub(crate) fn end(&mut self, node: usize) {
        self.hosts[node].end();
        if let Some(wait) = self.hosts[node].returns_after.take() {
            self.after(wait, What::Start(node));
        }
    }

    pub(crate) fn boot(&self, node: usize) -> u32 {
        self.hosts[node].boot
    }

    /// Another thread of the agent on `node` tells its heartbeat thread something.
    pub(crate) fn send_command(&mut self, node: usize, event: Event) {
        let wait = self.dice.between(MICRO * 5, MICRO * 200);
        let boot = self.boot(node);
        let to = node;
        self.after(wait, What::Command { to, boot, event });
    }

    pub(crate) fn tell_facts(&mut self, node: usize) {
        let facts = self.hosts[node].facts();
        self.note(Some(node), || format!("{facts:?}"));
        self.send_command(node, Event::Facts(facts));
    }

    fn command(&mut self, node: usize, boot: u32, event: Event) {
        let host = &mut self.hosts[node];
        let Some(agent) = host.agent.as_mut().filter(|_| host.boot == boot) else {
            return;
        };
        if event == Event::AddressLost && !agent.holding {
            return;
        }
        agent.inbox.push_back(event);
        self.turn(node);
    }

    fn arrive(&mut self, node: usize, line: usize, packet: Packet) {
        let is_advert = matches!(packet.event, Event::Advert(_));
        if !self.is_usable(line, node) || (is_advert && self.hosts[node].is_owner()) {
            return;
        }
        let now = self.now;
        if let Some(agent) = &mut self.hosts[node].agent {
            agent.ears[line].push_back((now, packet));
            self.turn(node);
        }
    }

    fn timer(&mut self, node: usize, boot: u32) {
        let host = &mut self.hosts[node];
        if let Some(agent) = host.agent.as_mut().filter(|_| host.boot == boot) {
            agent.timer_at = Instant::NEVER;
            self.turn(node);
        }
    }

    /// One turn of the heartbeat thread, and the next ones while something waits: frames, then
    /// commands, then the time. Who speaks is on time; for who listens a frame counts from when it
    /// came, and time passes only when everything was heard.
    pub(crate) fn turn(&mut self, node: usize) {
        if self.hosts[node].frozen.is_some() {
            return;
        }
        self.listen(node, self.scenario.budget);
        self.act(node);
    }

    /// The rest of a turn, after it has listened at the ears that it was told of.
    fn act(&mut self, node: usize) {
        while self.broken.is_none() {
            let is_due = self.is_a_wait_over(node);
            if is_due || self.is_asked(node) {
                self.listen(node, usize::MAX);
            }
            self.obey(node);
            self.pass(node, is_due);
            self.settle(node);
            let agent = self.hosts[node].agent.as_ref();
            if agent.is_none_or(Agent::is_idle) && !self.is_a_wait_over(node) {
                break;
            }
            self.listen(node, self.scenario.budget);
        }
        self.rearm(node);
    }

    /// What the adverts of this turn renew holds if one of them has left.
    fn settle(&mut self, node: usize) {
        let clock = self.hosts[node].clock(self.now);
        if let Some(agent) = &mut self.hosts[node].agent {
            let sent = std::mem::take(&mut agent.has_sent);
            if let Some(right) = &mut agent.right {
                right.settle(sent, clock);
            }
        }
    }

    fn is_asked(&self, node: usize) -> bool {
        let agent = self.hosts[node].agent.as_ref();
        agent.is_some_and(|agent| !agent.inbox.is_empty())
    }

    /// Whether it listens, and is about to act on what it did not hear.
    fn is_a_wait_over(&self, node: usize) -> bool {
        let (host, clock) = (&self.hosts[node], self.hosts[node].clock(self.now));
        let agent = host.agent.as_ref();
        agent.is_some_and(|agent| agent.group.listens() && agent.group.deadline() <= clock)
    }

    /// Hears so many frames of each ear, one ear after the other.
    fn listen(&mut self, node: usize, budget: usize) {
        for line in 0..self.scenario.lines.len() {
            for _ in 0..budget {
                let host = &mut self.hosts[node];
                let (offset, now) = (host.offset, host.clock(self.now));
                let Some(agent) = &mut host.agent else {
                    return;
                };
                let Some((came, packet)) = agent.ears[line].pop_front() else {
                    break;
                };
                let at = if agent.group.listens() {
                    came + offset
                } else {
                    now
                };
                self.tell(node, at, packet);
            }
        }
    }

    fn obey(&mut self, node: usize) {
        let next = |world: &mut Self| world.hosts[node].agent.as_mut()?.inbox.pop_front();
        while let Some(event) = next(self) {
            let packet = Packet {
                sender: None,
                holds: false,
                event,
            };
            self.tell(node, self.hosts[node].clock(self.now), packet);
        }
    }

    /// Time passes first, then the event is taken: in two steps, so that each is seen alone.
    fn tell(&mut self, node: usize, at: Instant, packet: Packet) {
        self.pass_to(node, at, false);
        let Some(agent) = &mut self.hosts[node].agent else {
            return;
        };
        let settings = *agent.group.settings();
        agent.ledger.pass(at);
        agent.ledger.note(&packet, &settings);
        match packet.event {
            Event::AddressesChanged => self.change_list(node),
            Event::Settings(settings) => self.hosts[node].settings = settings,
            Event::Stop => agent.stopping = true,
            Event::Proven(asked_at) => self.hosts[node].count_answer(asked_at, at),
            _ => {}
        }
        self.step(node, at, packet.event);
    }

    fn pass(&mut self, node: usize, all_is_heard: bool) {
        self.pass_to(node, self.hosts[node].clock(self.now), all_is_heard);
    }

    fn pass_to(&mut self, node: usize, at: Instant, all_is_heard: bool) {
        let Some(agent) = &mut self.hosts[node].agent else {
            return;
        };
        let may_act = all_is_heard || !agent.group.listens();
        if may_act && agent.group.deadline() <= at {
            agent.ledger.pass(at);
            self.step(node, at, Event::Tick);
        }
        let clock = self.hosts[node].clock(self.now);
        let agent = self.hosts[node].agent.as_ref();
        let right = agent.and_then(|agent| agent.right.as_ref());
        if right.is_some_and(|right| right.has_ended(clock)) {
            self.step(node, clock, Event::Lapsed);
        }
    }

    fn step_of(&self, node: usize, event: Event) -> Option<Step> {
        let host = &self.hosts[node];
        let group = &host.agent.as_ref()?.group;
        Some(Step {
            event,
            role: group.view().role,
            settings: *group.settings(),
            kernel: host.kernel,
            gate_is_shut: host.gate.is_shut(host.clock(self.now)),
            clock: host.clock(self.now),
        })
    }

    fn step(&mut self, node: usize, at: Instant, event: Event) {
        let step = self.step_of(node, event);
        let mut said = std::mem::take(&mut self.said);
        if let Some(agent) = &mut self.hosts[node].agent {
            agent.group.step(at, event, &mut said);
        }
        self.steps += 1;
        if self.timeline.is_recording() && is_worth_a_line(&event, &said) {
            let late = self.hosts[node].clock(self.now).since(at);
            let late = match late {
                Duration::ZERO => String::new(),
                late => format!(" ({late:?} ago)"),
            };
            self.note(Some(node), || event_text(&event) + &late);
        }
        for effect in &said {
            self.carry_out(node, step.as_ref(), effect);
        }
        if let Some(agent) = &mut self.hosts[node].agent {
            let verdict = agent.ledger.stands(&agent.group, event, said.len());
            self.uphold(node, verdict);
        }
        said.clear();
        self.said = said;
        self.look(node);
        self.let_it_end(node);
    }

    fn let_it_end(&mut self, node: usize) {
        let Some(agent) = &self.hosts[node].agent else {
            return;
        };
        if agent.group.view().role == RoleName::Stopped {
            self.note(Some(node), || "the agent ends".to_owned());
            self.end(node);
            self.clear_up_after(node);
        }
    }

    fn rearm(&mut self, node: usize) {
        let (boot, host) = (self.boot(node), &mut self.hosts[node]);
        let Some(agent) = &mut host.agent else {
            return;
        };
        let ends = agent.right.as_ref().map_or(Instant::NEVER, Right::ends);
        let deadline = agent.group.deadline().min(ends);
        if deadline == Instant::NEVER {
            return;
        }
        let at = deadline - host.offset;
        if at < agent.timer_at {
            agent.timer_at = at;
            self.at(at.max(self.now), What::Timer { node, boot });
        }
    }

    // --- effects ------------------------------------------------------------------------------

    fn carry_out(&mut self, node: usize, step: Option<&Step>, effect: &Effect) {
        if let Some(step) = step {
            let is_beat = matches!(effect, Effect::Advertise { .. })
                && (step.role, step.event) == (RoleName::Master, Event::Tick);
            let is_answer = matches!((step.event, effect), (Event::Proven(_), Effect::Warrant(_)));
            if !is_beat && !is_answer {
                self.note(Some(node), || effect_text(effect));
            }
            let host = &mut self.hosts[node];
            let offset = host.offset;
            if let Some(agent) = &mut host.agent {
                let frames = agent.ears.iter().flatten();
                let unread = frames.map(|(at, packet)| (*at + offset, packet));
                // The gate as it is after what was said before.
                let gate_is_shut = host.gate.is_shut(step.clock);
                let step = Step {
                    gate_is_shut,
                    ..*step
                };
                let verdict = agent.ledger.said(&step, effect, unread);
                self.uphold(node, verdict);
            }
        }
        self.plead(node, *effect);
        self.answer_to_reference(node, *effect);
        let clock = self.hosts[node].clock(self.now);
        let agent = self.hosts[node].agent.as_mut();
        if let Some(right) = agent.and_then(|agent| agent.right.as_mut()) {
            right.carry_out(*effect, Duration::ZERO, || clock);
        }
        match *effect {
            Effect::Advertise { priority } => self.advertise(node, priority),
            Effect::Acquire(term) => self.ask(node, Change::Acquire, term),
            Effect::Release(term) => self.ask(node, Change::Release, term),
            Effect::Report(Report::Role { to, cause, .. }) => self.turned(node, to, cause),
            Effect::Look(ticket) => self.look_around(node, ticket),
            Effect::Report(Report::Alarm(Alarm::Answered)) => self.saw("answered"),
            Effect::Renew(_) | Effect::Warrant(_) | Effect::Open | Effect::Disarm => {}
            Effect::Report(Report::Alarm(_)) | Effect::Announce(_) | Effect::Hush => {}
            // A law says that there are none, but for the arbiter.
            Effect::Say(_)
            | Effect::Extend(_)
            | Effect::Persist(_)
            | Effect::Act(..)
            | Effect::Contend(..)
            | Effect::Withdraw(_) => {}
        }
    }

    fn turned(&mut self, node: usize, to: RoleName, cause: floatlock::core::Cause) {
        self.saw(to.as_str());
        self.saw(super::words::of(cause));
        // Whoever was let in, and got no vote, asks again after a minute or more.
        let asks_again =
            self.arbiter.is_some() && self.hosts.iter().any(|host| host.settings.preempt);
        if self.act == Act::Still && !asks_again {
            let law = "liveness: nobody changes its role any more once all is healed".to_owned();
            self.uphold(node, Err(law));
        }
    }

    fn is_usable(&self, line: usize, node: usize) -> bool {
        let (host, plan) = (&self.hosts[node], &self.scenario.lines[line]);
        (host.has_link || !plan.on_service_link) && (host.has_source || line > 0)
    }

    fn advertise(&mut self, node: usize, priority: u8) {
        let Some(agent) = &self.hosts[node].agent else {
            return;
        };
        let holds = agent.ledger.claims || self.hosts[node].kernel.on != 0;
        let interval = agent.group.settings().interval;
        let usable = (0..self.scenario.lines.len()).any(|line| self.is_usable(line, node));
        let clock = self.hosts[node].clock(self.now);
        let host = &mut self.hosts[node];
        if let Some(agent) = &mut host.agent {
            agent.has_sent |= usable;
        }
        if usable && priority != floatlock::core::election::RESIGN {
            host.sent_at = clock;
        }
        for line in 0..self.scenario.lines.len() {
            if !self.is_usable(line, node) {
                continue;
            }
            let heard = Heard {
                from: self.scenario.lines[line].sources[node],
                priority,
                interval,
                lead: line == 0,
            };
            let packet = Packet {
                sender: Some(node),
                holds,
                event: Event::Advert(heard),
            };
            self.send(node, line, packet);
        }
    }

    fn send(&mut self, node: usize, line: usize, packet: Packet) {
        for to in (0..self.hosts.len()).filter(|&to| to != node) {
            let way = (line, node, to);
            let arrivals = self.network.arrivals(self.now, way, &mut self.dice);
            for at in arrivals.into_iter().flatten() {
                self.at(at, What::Frame { to, line, packet });
            }
        }
    }

    // --- addresses ----------------------------------------------------------------------------

    /// A reload has replaced one address by another one, which is not on yet; the work begins anew.
    fn change_list(&mut self, node: usize) {
        let now = self.now;
        let host = &mut self.hosts[node];
        if let Some(agent) = &mut host.agent {
            agent.list += 1;
        }
        host.tear(ALL & !KEPT, now);
        host.kernel.torn_at = host.kernel.torn_at.map(|_| now);
    }

    /// The laws about addresses.
    pub(crate) fn look(&mut self, node: usize) {
        let host = &self.hosts[node];
        if let Some(agent) = &host.agent {
            let verdict = agent.ledger.addresses(&agent.group, &host.kernel, self.now);
            self.uphold(node, verdict);
        }
        let host = &self.hosts[node];
        if let Some(lease) = host.settings.lease.filter(|_| host.answers(self.now)) {
            let law = "a node answers no longer than its lease after the last advert that left it";
            let lasts = host.clock(self.now) < host.sent_at + lease;
            self.uphold(node, lasts.then_some(()).ok_or(law.to_owned()));
        }
        self.look_for_reference(node);
        if self.arbiter.is_some() {
            let answering = self.hosts.iter().filter(|host| host.answers(self.now));
            let law = "with an arbiter no two nodes answer at once".to_owned();
            let verdict = (answering.count() <= 1).then_some(()).ok_or(law);
            self.uphold(node, verdict);
        }
        if self.scenario.mood != Mood::Weather {
            // A MASTER that dies in the very interval in which a better node asks it to go is taken for
            // one that went in silence, as keepalived's do: VRRP cannot tell the two apart.
            let has_asked = |host: &Host| host.agent.as_ref().is_some_and(|a| a.ledger.asked_to_go);
            if self.scenario.mood == Mood::Frost && self.hosts.iter().any(has_asked) {
                self.excused_until = self.now + self.beat() * 3;
            }
            let excused = self.now < self.excused_until;
            let answering = self.hosts.iter().filter(|host| host.answers(self.now));
            let holders = if excused { 0 } else { answering.count() };
            let law = "on a network that works, no two nodes answer at once";
            let verdict = (holders <= 1).then_some(()).ok_or(law.to_owned());
            self.uphold(node, verdict);
        }
    }

    // --- freezes ------------------------------------------------------------------------------

    pub(crate) fn freeze(&mut self, node: usize, whole: bool, length: Duration) {
        let (since, host) = (self.now, &mut self.hosts[node]);
        if host.agent.is_none() || host.frozen.is_some() {
            return;
        }
        let (boot, mid_turn) = (host.boot, self.dice.coin());
        host.frozen = Some(Freeze {
            since,
            whole,
            mid_turn,
        });
        self.note(Some(node), || format!("is frozen for {length:?}"));
        self.after(length, What::Thaw { node, boot });
    }

    pub(crate) fn thaw(&mut self, node: usize, boot: u32) {
        let clock = self.hosts[node].clock(self.now);
        let (now, host) = (self.now, &mut self.hosts[node]);
        let Some(agent) = host.agent.as_mut().filter(|_| host.boot == boot) else {
            return;
        };
        let Some(freeze) = host.frozen.take() else {
            return;
        };
        agent.ledger.thawed(now.since(freeze.since), clock);
        self.note(Some(node), || "thaws".to_owned());
        match freeze.mid_turn {
            true => self.act(node),
            false => self.turn(node),
        }
    }
}

fn is_worth_a_line(event: &Event, said: &[Effect]) -> bool {
    match event {
        Event::Tick => false,
        Event::Proven(_) => !matches!(said, [] | [Effect::Warrant(_)]),
        Event::Advert(heard) => heard.priority == 0 || !said.is_empty(),
        _ => true,
    }
}
