//! What does a group of addresses do next? The state machine, told what happens and when.
//!
//! ```text
//!            scrubbed          silence, or a worse MASTER           addresses on
//!   INIT ---------------> BACKUP -----------------------> CANDIDATE -------------> MASTER
//!                          ^  ^          outranked            |                       |
//!                          |  |                               | will not go on,       | outranked,
//!            recovered     |  +------- addresses off -----+   | outranked             | link down, stop
//!   FAULT -----------------+                              |   v                       |
//!     ^                                                   RELEASING <-----------------+
//!     +--------------- link down, no address -----------------+----> STOPPED
//! ```
//!
//! Laws kept here, each where it is named: time passes before an event is taken, and who listens
//! acts only when all that came is heard ([`Group::step`]); a result of an old term changes nothing; MASTER is said only after the
//! addresses were read back; BACKUP is said only after they were verified off, and only then are
//! the peers told; every role has a deadline and a way out.

mod act;
mod claim;
mod hold;
mod leave;
mod listen;
mod native;
mod reference;
mod rivals;
mod role;
#[cfg(test)]
mod tests;
mod warrant;

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::disk::Tenancy;
use super::election::{self, OWNER, RESIGN, Version};
use super::event::{
    AddressFault, AddressFaultKind, Alarm, Blocked, Cause, Effect, Event, Facts, Heard, NodeName,
    Report, RoleName, Term,
};
use super::lease;
use super::time::Instant;
use act::Demotion;
pub use act::{Act, Actions};
use native::Native;
pub use native::{Immovable, Voting};
use reference::Reach;
pub use reference::Reference;
pub use rivals::Rival;
use rivals::Rivals;
use role::{Attempt, Role, Verdict, Vigil, Wait};
use warrant::Warrant;

/// A change of addresses that has no answer by then counts as failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between two attempts to change addresses.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(200);
/// No deadline comes so often at one time, ...
const FIRES: u32 = 1000;
/// ... and after one that does, the next look is so much later.
const FAULT_PAUSE: Duration = Duration::from_millis(1);
/// After so many failed attempts the group gives way.
const ATTEMPTS: u32 = 3;
/// Between two attempts to clear what is in the way of everything else.
const SCRUB_PAUSE: Duration = Duration::from_secs(1);
/// A release that is not done by then is reported as stuck.
const RELEASE_WITHIN: Duration = Duration::from_secs(15);
/// The first pause after the addresses would not go on; it doubles with every failure ...
const HOLD_OFF: Duration = Duration::from_secs(10);
/// ... up to this.
const HOLD_OFF_MAX: Duration = Duration::from_secs(300);
/// The pause after a fight over the addresses.
const FIGHT_HOLD_OFF: Duration = Duration::from_secs(60);
/// Deletions that come while one is being mended are one with it for so long: a flush of many
/// addresses goes on while we put back. Less than the share of one in [`FIGHT_WINDOW`], so that
/// endless deletions are still a fight.
const ONE_LOSS: Duration = Duration::from_millis(500);
/// More restored deletions than this within [`FIGHT_WINDOW`] are a fight.
const FIGHT_BUDGET: u32 = 10;
/// See [`FIGHT_BUDGET`].
const FIGHT_WINDOW: Duration = Duration::from_secs(10);
/// Alarms of one kind are this far apart: what a stranger can cause does not fill the log.
const ALARM_EVERY: Duration = Duration::from_secs(10);
/// A look takes 13 ms; without an answer so long after the question, nobody answers.
const LOOK_WITHIN: Duration = Duration::from_millis(35);
/// While somebody answers, looks are at least so far apart, however short the interval is.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Announcements because of another MASTER are this far apart.
const ANNOUNCE_PAUSE: Duration = Duration::from_secs(1);

/// What an operator chose for a group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// VRRPv2 or VRRPv3: they differ in the skew, and in who sets the interval.
    pub version: Version,
    /// 1 to 254; 255: the addresses are the host's own.
    pub priority: u8,
    /// Between two adverts.
    pub interval: Duration,
    /// Silent intervals until the MASTER counts as lost.
    pub misses: u32,
    /// Whether to take over from a living, worse MASTER.
    pub preempt: bool,
    /// How long to wait before doing so.
    pub preempt_delay: Duration,
    /// How long after the agent's start not to stand.
    pub start_delay: Duration,
    /// Where in the interval the adverts go out, so that not all groups speak in one burst.
    pub phase: Duration,
    /// The cluster has exactly two nodes: when the other resigns, nobody else can be standing,
    /// so that the skew time, which sorts out several, is not waited for.
    pub pair: bool,
    /// How long an advert lets this node answer, where a gate ends it; none: nothing does.
    pub lease: Option<Duration>,
    /// The native protocol: who holds is voted on, and what is said of versions, misses, phase and
    /// pair above does not count.
    pub native: Option<Voting>,
    /// That gate shuts with the next packet; others take a moment, which nobody may count on.
    pub shuts_at_once: bool,
    /// Something in the network must answer this node.
    #[serde(default)]
    pub reference: Option<Reference>,
    /// Under VRRP: nobody holds without the vote of an arbiter, since the peers grant nothing.
    #[serde(default)]
    pub arbiter: bool,
    /// An operator's scripts.
    #[serde(default)]
    pub actions: Actions,
}

/// A group as an observer sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// The role by its name.
    pub role: RoleName,
    /// When it began.
    pub since: Instant,
    /// Why.
    pub cause: Cause,
    /// What keeps the node from holding the addresses, if anything.
    pub blocked: Option<Blocked>,
    /// The MASTER that was heard last, unless it resigned since.
    pub rival: Option<Rival>,
    /// How often the role became MASTER.
    pub promotions: u64,
    /// How often addresses had to be put back; what is lost at about the same time counts once.
    pub restored: u64,
    /// Native: the right to answer, while there is one.
    pub authority: Option<lease::Authority>,
    /// Native: the highest epoch that is known here.
    pub epoch: Option<lease::Epoch>,
    /// Native: until when this node has promised its vote to another.
    pub promised: Option<Instant>,
    /// Native: whether this node could hold the addresses at once.
    pub ready: bool,
    /// Native: the node that says it is MASTER, as last heard, or this one.
    pub holder: Option<NodeName>,
    /// Native: while this node holds, the one that would take over if it went now.
    pub successor: Option<NodeName>,
    /// An operator took this node out of service.
    pub maintenance: bool,
    /// An operator's scripts are waited for.
    pub acting: Option<Act>,
    /// MASTER, and about to give the addresses up for this reason.
    pub leaving: Option<Cause>,
}

/// The state of one group.
#[derive(Clone, Debug)]
pub struct Group {
    settings: Settings,
    facts: Facts,
    role: Role,
    now: Instant,
    born: Instant,
    since: Instant,
    cause: Cause,
    term: Term,
    /// Numbers the looks: an answer to an older one is none.
    ticket: u64,
    stopping: bool,
    rivals: Rivals,
    resigned: Option<std::net::IpAddr>,
    preempt_at: Option<Instant>,
    /// Nobody stands before, since somebody disagreed.
    held_until: Instant,
    /// A frame that failed authentication has delayed the promotion already.
    delayed: bool,
    /// What time must mend before the group stands again.
    hold: Option<(Blocked, Instant)>,
    /// Failures to put the addresses on, in a row; while there are any, no preemption.
    failures: u32,
    fight: Fight,
    /// An address was lost while the addresses were going on.
    lost: bool,
    answered_at: Option<Instant>,
    announced_at: Instant,
    announce_at: Instant,
    /// When each kind of alarm was said last.
    alarms: [Option<Instant>; Alarm::KINDS],
    promotions: u64,
    restored: u64,
    /// An operator moved the addresses away: they are not asked back.
    ceded: bool,
    maintenance: bool,
    native: Option<Box<Native>>,
    reach: Option<Box<Reach>>,
    warrant: Option<Warrant>,
    /// Until when something speaks for this node, as it was told last.
    warranted: Instant,
    /// Until when the last advert let this node answer, if it left.
    renewed: Instant,
    /// The arbiter can be read and written from here.
    arbiter_sound: bool,
    /// Whose this node's slot of the disk is.
    tenancy: Tenancy,
    /// Numbers what scripts are asked for.
    acts: u64,
    demotion: Option<Demotion>,
    /// When to be called next: it is asked for far more often than it changes.
    next: Instant,
}

/// How many deletions were mended in the current window.
#[derive(Clone, Copy, Debug, Default)]
struct Fight {
    began: Instant,
    rounds: u32,
    /// When the first address of the latest loss went.
    lost_at: Instant,
}

impl Group {
    /// A group that starts now: it first clears what a dead agent may have left of it. `born` is
    /// when the agent started, from which [`Settings::start_delay`] counts.
    #[must_use]
    pub fn new(
        settings: Settings,
        facts: Facts,
        times: (Instant, Instant),
        out: &mut Vec<Effect>,
    ) -> Self {
        let mut group = Self::build(settings, facts, times);
        group.reach = settings.reference.map(|_| Box::new(Reach::new(times.1)));
        group.warrant = settings.arbiter.then(Warrant::default);
        group.pass(true, out);
        group.settle_warrant(out);
        group
    }

    fn build(settings: Settings, facts: Facts, (born, now): (Instant, Instant)) -> Self {
        let scrub = Attempt {
            term: 0,
            failed: 0,
            wait: Wait::Pause { again_at: now },
        };
        Self {
            settings,
            facts,
            role: Role::Init {
                scrub,
                failed: None,
            },
            now,
            born,
            since: now,
            cause: Cause::Started,
            term: 0,
            ticket: 0,
            stopping: false,
            rivals: Rivals::default(),
            resigned: None,
            preempt_at: None,
            held_until: now,
            delayed: false,
            hold: None,
            failures: 0,
            fight: Fight::default(),
            lost: false,
            answered_at: None,
            announced_at: now,
            announce_at: Instant::NEVER,
            alarms: [None; Alarm::KINDS],
            promotions: 0,
            restored: 0,
            ceded: false,
            maintenance: false,
            native: None,
            reach: None,
            warrant: None,
            warranted: Instant::NEVER,
            renewed: Instant::default(),
            arbiter_sound: false,
            tenancy: Tenancy::default(),
            acts: 0,
            demotion: None,
            next: now,
        }
    }

    /// The only way to change a group: `event` happens at `now`; what follows is added to `out`.
    ///
    /// Law 1: time passes first, then the event is taken: a MASTER whose advert is due says it
    /// before it hears. For a group that [listens](Group::listens) only [`Event::Tick`] lets time
    /// pass, and it says that whatever came until the deadline was heard: in a host that was
    /// stopped, frames wait in many queues, and one of them may have ended the silence.
    pub fn step(&mut self, now: Instant, event: Event, out: &mut Vec<Effect>) {
        self.note_pause(now.since(self.now));
        self.now = self.now.max(now);
        let is_tick = event == Event::Tick;
        self.pass(is_tick, out);
        if !is_tick {
            self.take(event, out);
            self.next = self.soonest();
            self.pass(is_tick, out);
        }
        self.settle_warrant(out);
    }

    fn take(&mut self, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Advert(heard) => self.on_advert(heard, out),
            Event::Conflict {
                from,
                field,
                interval,
            } => self.on_conflict(Alarm::Conflict { from, field }, interval, out),
            Event::Unauthentic { from } => self.on_unauthentic(from, out),
            Event::OwnAdvert { from } => self.raise(Alarm::OwnAdvert { from }, out),
            Event::Facts(facts) => self.on_facts(facts, out),
            Event::Acquired(term, outcome) => self.on_acquired(term, outcome, out),
            Event::Released(term, outcome) => self.on_released(term, outcome, out),
            Event::Answering(term) => self.on_answering(term, out),
            Event::Working(term) => self.on_working(term),
            Event::AddressLost => self.on_address_lost(out),
            Event::Lapsed => self.on_lapsed(out),
            Event::GateLost => self.on_gate_lost(out),
            Event::AddressesChanged => self.on_addresses_changed(out),
            Event::Settings(settings) => self.on_settings(settings, out),
            Event::Vote(word) if self.is_native() => self.vote(word, out),
            Event::Vote(word) => self.on_warrant(word),
            Event::Peer(peer) => self.on_peer(peer, lease::Event::Heard, out),
            Event::Said(peer, word) => self.on_peer(peer, word, out),
            Event::Ask(from) => self.on_ask(from, out),
            Event::Proven(asked_at) => self.on_proven(asked_at, out),
            Event::ArbiterSound(is_sound) => self.arbiter_sound = is_sound,
            Event::Slot(tenancy) => self.on_tenancy(tenancy, out),
            Event::Doubt(pause) => self.on_doubt(pause, out),
            Event::Acted(id, is_good) => self.on_acted(id, is_good, out),
            Event::Looked(ticket, answered) => self.on_looked(ticket, answered, out),
            Event::Probed(ticket) => self.on_probed(ticket, out),
            Event::HandOver(to) => self.on_hand_over(to, out),
            Event::Maintenance(on) => self.on_maintenance(on, out),
            Event::Stop => self.on_stop(out),
            Event::Tick => {}
        }
    }

    /// When to call [`Group::step`] next, if nothing happens before.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.next
    }

    fn soonest(&self) -> Instant {
        let native = self.native.as_ref();
        let native = native.filter(|_| !matches!(self.role, Role::Stopped));
        let votes = native.map_or(Instant::NEVER, |native| native.deadline());
        let reach = self.reach_deadline();
        let demoted = self.demotion.map_or(Instant::NEVER, |going| going.until);
        let others = self.announce_at.min(votes).min(reach).min(demoted);
        self.role.deadline().min(others).min(self.warrant_ends())
    }

    /// What an observer may know.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            role: self.role.name(),
            since: self.since,
            cause: self.cause,
            blocked: match self.role {
                Role::Fault { why, .. } => Some(why),
                Role::Init { failed, .. } => failed.map(Blocked::Stuck),
                Role::Backup(vigil) if vigil.answered => Some(Blocked::Answered),
                Role::Backup(_) if !self.is_tenant() => Some(Blocked::Namesake),
                Role::Backup(_) if !self.is_fit() => Some(Blocked::Reference),
                Role::Backup(_) if self.seeks() => Some(Blocked::Arbiter),
                _ => None,
            },
            rival: self.rivals.last(),
            promotions: self.promotions,
            restored: self.restored,
            authority: self.native.as_ref().and_then(|n| n.authority()),
            epoch: self.native.as_ref().map(|n| n.known()),
            promised: self.native.as_ref().and_then(|n| n.promised()),
            ready: self.is_ready(),
            holder: self.holder(),
            successor: self.next_holder(),
            maintenance: self.maintenance,
            acting: self.acting(),
            leaving: self.leaving(),
        }
    }

    /// What it is; a part of [`Group::view`].
    #[must_use]
    pub const fn role(&self) -> RoleName {
        self.role.name()
    }

    /// The settings in force.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the addresses may be on this host because of this group.
    #[must_use]
    pub const fn may_hold(&self) -> bool {
        !matches!(
            self.role,
            Role::Backup(_) | Role::Staying { .. } | Role::Witness | Role::Stopped
        )
    }

    /// Whether the addresses are going on, and nobody answers for them here yet.
    #[must_use]
    pub const fn is_claiming(&self) -> bool {
        matches!(self.role, Role::Candidate { .. })
    }

    /// Whether the group waits for others to be silent. Then a frame counts from when it came, and
    /// [`Event::Tick`] is told only when everything was heard that came until the deadline. A group
    /// that speaks acts at the time that it is, whatever it hears late.
    #[must_use]
    pub fn listens(&self) -> bool {
        let stands = self.native.as_ref().is_some_and(|native| native.stands());
        !stands
            && !matches!(
                self.role,
                Role::Master { .. }
                    | Role::Releasing(_)
                    | Role::Candidate {
                        claim: role::Claim::Promoting { .. } | role::Claim::Acquiring(_),
                        ..
                    }
            )
    }

    fn pass(&mut self, is_tick: bool, out: &mut Vec<Effect>) {
        for _ in 0..FIRES {
            if self.next > self.now || !is_tick && self.listens() {
                return;
            }
            self.fire(out);
            self.next = self.soonest();
        }
        // A fault of ours, with which the heartbeats of all groups must not stand still.
        debug_assert!(self.next > self.now, "a deadline does not move");
        self.next = self.next.max(self.now + FAULT_PAUSE);
    }

    /// The deadline of the role has come; every arm moves it on.
    fn fire(&mut self, out: &mut Vec<Effect>) {
        if self.announce_at <= self.now {
            return self.announce(out);
        }
        let is_due = |native: &Native| native.deadline() <= self.now;
        if self.native.as_deref().is_some_and(is_due) {
            self.vote(lease::Event::Time, out);
            // Who lives is a question of time, too.
            return self.weigh(out);
        }
        if self.reach_deadline() <= self.now {
            return self.weigh(out);
        }
        if self.warrant_ends() <= self.now {
            return self.forfeit_warrant(out);
        }
        if self.demotion.is_some_and(|going| going.until <= self.now) {
            return self.demoted(out);
        }
        match self.role {
            Role::Init { scrub, failed } => self.scrub(scrub, failed, out),
            Role::Backup(_) if self.is_native() => {
                self.role = Role::Backup(Vigil::without_look(Instant::NEVER));
                self.aspire(out);
            }
            Role::Backup(vigil) => self.fire_backup(vigil, out),
            Role::Staying { .. } => self.become_role(Role::Stopped, Cause::Stop, out),
            Role::Candidate { advert_at, claim } => self.fire_candidate(advert_at, claim, out),
            Role::Master { advert_at, restore } => self.fire_master(advert_at, restore, out),
            Role::Releasing(leave) => self.fire_releasing(leave, out),
            Role::Fault {
                why: Blocked::Stuck(_),
                ..
            } => self.release_again(out),
            Role::Fault { .. } => self.settle(Cause::Recovered, out),
            Role::Stopped | Role::Witness => {}
        }
    }

    // --- what several roles share -------------------------------------------------------------

    fn on_advert(&mut self, heard: Heard, out: &mut Vec<Effect>) {
        self.delayed = false;
        if let Some(reach) = &mut self.reach {
            reach.meet();
        }
        match self.role {
            Role::Backup(_) if self.seeks() && heard.priority == RESIGN => {
                self.remember(heard);
                self.hurry();
            }
            Role::Backup(vigil) => {
                // Whoever asks the arbiter has waited to the end.
                let stand_at = if self.stop_seeking() {
                    self.now
                } else {
                    vigil.stand_at
                };
                self.listen(stand_at, heard);
            }
            Role::Candidate { advert_at, claim } => {
                self.hear_as_candidate(advert_at, claim, heard, out);
            }
            Role::Master { .. } => self.hear_as_master(heard, out),
            Role::Releasing(leave) => self.hear_while_releasing(leave, heard),
            // Whoever is MASTER meanwhile is not taken by surprise later.
            Role::Init { .. } | Role::Fault { .. } => self.remember(heard),
            Role::Staying { .. } | Role::Witness | Role::Stopped => {}
        }
    }

    fn on_facts(&mut self, facts: Facts, out: &mut Vec<Effect>) {
        if facts.link && !self.facts.link {
            self.connect();
        }
        self.facts = facts;
        match (self.role, self.blocked()) {
            (Role::Backup(_), Some(why)) => self.fault(why, Instant::NEVER, out),
            (Role::Candidate { .. } | Role::Master { .. }, Some(why)) => {
                self.release(Cause::Blocked(why), out);
            }
            (
                Role::Fault {
                    why: Blocked::Link | Blocked::Source,
                    ..
                },
                None,
            ) => {
                self.settle(Cause::Recovered, out);
            }
            (
                Role::Fault {
                    why: Blocked::Link | Blocked::Source,
                    ..
                },
                Some(why),
            ) => {
                self.fault(why, Instant::NEVER, out);
            }
            _ => {}
        }
    }

    fn on_stop(&mut self, out: &mut Vec<Effect>) {
        self.stopping = true;
        match self.role {
            Role::Candidate { .. } | Role::Master { .. } => {
                self.choose_successor();
                self.leave(Cause::Stop, out);
            }
            Role::Backup(_) | Role::Witness => {
                self.vote(lease::Event::Rest, out);
                self.become_role(Role::Stopped, Cause::Stop, out);
            }
            Role::Init { scrub, .. } => self.stop_scrubbing(scrub, out),
            Role::Fault { why, .. } if !matches!(why, Blocked::Stuck(_)) => {
                self.become_role(Role::Stopped, Cause::Stop, out);
            }
            _ => {}
        }
    }

    fn on_settings(&mut self, settings: Settings, out: &mut Vec<Effect>) {
        self.settings = settings;
        if self.is_native() {
            return self.revote(out);
        }
        match &mut self.role {
            Role::Backup(_) => self.role = Role::Backup(Vigil::until(self.stand_at())),
            Role::Candidate { advert_at, .. } | Role::Master { advert_at, .. } => {
                *advert_at = self.now + settings.interval;
                self.advertise(out);
            }
            _ => {}
        }
    }

    fn on_acquired(
        &mut self,
        term: Term,
        outcome: Result<(), AddressFault>,
        out: &mut Vec<Effect>,
    ) {
        match self.role {
            Role::Candidate {
                advert_at,
                claim: role::Claim::Acquiring(attempt),
            } if attempt.awaits(term) => {
                self.acquired_as_candidate(advert_at, attempt, outcome, out);
            }
            Role::Master {
                advert_at,
                restore: Some(restore),
            } if restore.attempt.awaits(term) => {
                self.restored_as_master(advert_at, restore, outcome, out);
            }
            // Law 5: a result of an old term changes nothing.
            _ => {}
        }
    }

    /// What takes long is not late as long as somebody works on it.
    fn on_working(&mut self, term: Term) {
        let later = self.now;
        if let Some(attempt) = self
            .role
            .attempt_mut()
            .filter(|attempt| attempt.awaits(term))
        {
            let late_at = later + ANSWER_WITHIN;
            attempt.wait = match attempt.wait {
                Wait::Look { is_partial, .. } => Wait::Look {
                    late_at,
                    is_partial,
                },
                _ => Wait::Answer { late_at },
            };
            if let Role::Releasing(leave) = &mut self.role {
                leave.until = later + RELEASE_WITHIN;
            }
        }
    }

    fn on_released(
        &mut self,
        term: Term,
        outcome: Result<(), AddressFault>,
        out: &mut Vec<Effect>,
    ) {
        match self.role {
            Role::Init { scrub, .. } if scrub.awaits(term) => match outcome {
                Ok(()) => {
                    out.push(Effect::Disarm);
                    self.settle(Cause::Started, out);
                }
                Err(fault) => self.scrub_failed(scrub, fault, out),
            },
            Role::Releasing(leave) if leave.attempt.awaits(term) => {
                self.release_answered(leave, outcome, out);
            }
            _ => {}
        }
    }

    /// Whatever was going on has ended, and no address is on: where to?
    fn settle(&mut self, cause: Cause, out: &mut Vec<Effect>) {
        if self.stopping {
            let role = match self.stays_to_grant() {
                Some(until) => Role::Staying { until },
                None => Role::Stopped,
            };
            return self.become_role(role, Cause::Stop, out);
        }
        if self.is_witness() {
            return self.become_role(Role::Witness, cause, out);
        }
        if let Some(why) = self.blocked() {
            return self.fault(why, Instant::NEVER, out);
        }
        if let Some((why, retry_at)) = self.hold.take().filter(|hold| hold.1 > self.now) {
            return self.fault(why, retry_at, out);
        }
        self.delayed = false;
        self.resigned = None;
        self.preempt_at = None;
        let vigil = self.vigil();
        self.become_role(Role::Backup(vigil), cause, out);
        self.aspire(out);
    }

    fn fault(&mut self, why: Blocked, retry_at: Instant, out: &mut Vec<Effect>) {
        // Addresses that will not come off may still answer: the votes for that are kept.
        if !matches!(why, Blocked::Stuck(_)) {
            self.vote(lease::Event::Rest, out);
        }
        self.become_role(Role::Fault { why, retry_at }, Cause::Blocked(why), out);
    }

    /// Level-triggered: what is true now, not what has happened.
    fn blocked(&self) -> Option<Blocked> {
        if !self.facts.link {
            Some(Blocked::Link)
        } else if self.facts.source.is_none() && !self.is_native() {
            Some(Blocked::Source)
        } else {
            None
        }
    }

    fn become_role(&mut self, role: Role, cause: Cause, out: &mut Vec<Effect>) {
        let (from, to) = (self.role.name(), role.name());
        let news = from != to || cause != self.cause;
        self.role = role;
        if !news {
            return;
        }
        self.since = self.now;
        self.cause = cause;
        out.push(Effect::Report(Report::Role { from, to, cause }));
    }

    fn scrub(&mut self, scrub: Attempt, failed: Option<AddressFault>, out: &mut Vec<Effect>) {
        match scrub.wait {
            Wait::Pause { .. } => {
                let scrub = self.ask(scrub.failed);
                out.push(Effect::Release(scrub.term));
                self.role = Role::Init { scrub, failed };
            }
            Wait::Answer { .. } | Wait::Look { .. } => self.scrub_failed(scrub, LATE, out),
        }
    }

    fn scrub_failed(&mut self, scrub: Attempt, fault: AddressFault, out: &mut Vec<Effect>) {
        let scrub = self.failed(scrub, SCRUB_PAUSE, fault, out);
        let failed = Some(fault);
        self.role = Role::Init { scrub, failed };
    }

    /// A new request with a term of its own.
    fn ask(&mut self, failed: u32) -> Attempt {
        self.term += 1;
        let wait = Wait::Answer {
            late_at: self.now + ANSWER_WITHIN,
        };
        Attempt {
            term: self.term,
            failed,
            wait,
        }
    }

    fn failed(
        &mut self,
        attempt: Attempt,
        pause: Duration,
        fault: AddressFault,
        out: &mut Vec<Effect>,
    ) -> Attempt {
        self.raise(Alarm::Retry(fault), out);
        let wait = Wait::Pause {
            again_at: self.now + pause,
        };
        Attempt {
            term: attempt.term,
            failed: attempt.failed + 1,
            wait,
        }
    }

    fn judge(&mut self, attempt: Attempt, fault: AddressFault, out: &mut Vec<Effect>) -> Verdict {
        if attempt.failed + 1 >= ATTEMPTS {
            return Verdict::Enough(fault);
        }
        Verdict::Again(self.failed(attempt, ATTEMPT_PAUSE, fault, out))
    }

    fn master_down(&self, interval: Duration) -> Duration {
        let Settings {
            version,
            priority,
            misses,
            ..
        } = self.settings;
        election::master_down(version, priority, interval, misses)
    }

    /// RFC 9568, section 6.4.2: VRRPv3 backups adopt the MASTER's interval; VRRPv2 has one for all.
    fn interval_of(&self, heard: Heard) -> Duration {
        match self.settings.version {
            Version::V2 => self.settings.interval,
            Version::V3 => heard.interval,
        }
    }

    fn is_owner(&self) -> bool {
        self.settings.priority == OWNER
    }

    fn advertise(&mut self, out: &mut Vec<Effect>) {
        out.push(Effect::Advertise {
            priority: self.settings.priority,
        });
        // Law 2: from before the advert leaves, since those who hear it wait from when it comes.
        if let Some(lease) = self.settings.lease {
            self.renewed = self.now + lease;
            out.push(Effect::Renew(self.renewed));
        }
    }

    fn resign(&mut self, out: &mut Vec<Effect>) {
        match self.is_native() {
            true => self.lay_down(out),
            false => out.push(Effect::Advertise { priority: RESIGN }),
        }
    }

    /// Reports an alarm, unless one of its kind was said lately.
    fn raise(&mut self, alarm: Alarm, out: &mut Vec<Effect>) {
        let said = &mut self.alarms[alarm.kind()];
        if said.is_some_and(|at| self.now.since(at) < ALARM_EVERY) {
            return;
        }
        *said = Some(self.now);
        out.push(Effect::Report(Report::Alarm(alarm)));
    }
}

const LATE: AddressFault = AddressFault {
    address: None,
    kind: AddressFaultKind::Late,
};
