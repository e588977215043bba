//! What must be true of a node after every step, whatever the weather?

use std::time::Duration;

use floatlock::core::election::{RESIGN, Version, master_down};
use floatlock::core::{
    AddressFault, AddressFaultKind, Alarm, Blocked, Cause, Effect, Event, Group, Instant, Report,
    RoleName, Settings, Term,
};

use super::host::{ALL, Change, Kernel, Packet};

/// One step says no more than this.
const EFFECTS_MAX: usize = 12;
/// An address that somebody tore off is back, or given up, within three late attempts; work that
/// goes on is not late.
const MENDED_WITHIN: Duration = Duration::from_secs(45);
/// A change of addresses may take so long without a sign of work.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A stop ends within two releases that get stuck, on which nobody works.
const STOPPED_WITHIN: Duration = Duration::from_secs(31);

/// For an answer to the question who answers, a BACKUP waits so long.
const LOOK_WITHIN: Duration = Duration::from_millis(35);
/// However short the interval is, it asks so seldom.
const LOOKS_APART: Duration = Duration::from_millis(100);

pub(crate) type Verdict = Result<(), String>;

/// The last advert that a node has heard of another one.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    at: Instant,
    interval: Duration,
    /// Whether it may have had addresses on, and has not resigned since.
    holds: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    Never,
    Asks(u64),
    Answered,
}

/// What an observer of one agent remembers.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The agent's clock.
    now: Instant,
    born: Instant,
    heard: Vec<Last>,
    asked: Option<(Change, Term)>,
    /// From the first `Acquire` of a claim to the verified release.
    pub(crate) claims: bool,
    /// Whether it asked a living MASTER to go, which may have died in the same interval.
    pub(crate) asked_to_go: bool,
    disputed_until: Instant,
    /// When something last made the wait of a BACKUP begin again.
    stirred_at: Instant,
    longest_interval: Duration,
    /// After the last step it waited for the reference.
    was_cut_off: bool,
    spoke_at: Option<Instant>,
    /// Since it spoke.
    frozen: Duration,
    thawed_at: Instant,
    announces: bool,
    /// Whether it asked who answers since it last heard an advert, and what came of it.
    looks: Looks,
    /// Whether the last look that ended was answered, and no advert was heard since.
    answered: bool,
    stop_at: Option<Instant>,
    /// When it last learnt that somebody works on what it asked for.
    worked_at: Instant,
    /// The same, of what it asked for last.
    works_at: Instant,
    /// How often in a row the addresses would not go on.
    pub(crate) failures: u32,
    /// How long it will stay away from the addresses.
    pub(crate) hold_until: Instant,
}

/// A step, from the outside.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) event: Event,
    pub(crate) role: RoleName,
    pub(crate) settings: Settings,
    pub(crate) kernel: Kernel,
    pub(crate) gate_is_shut: bool,
    /// The agent's clock now; what it is told may have happened before, while it was frozen.
    pub(crate) clock: Instant,
}

fn demand(holds: bool, law: &str) -> Verdict {
    if holds { Ok(()) } else { Err(law.to_owned()) }
}

impl Ledger {
    pub(crate) fn new(nodes: usize, settings: &Settings, now: Instant) -> Self {
        Self {
            now,
            born: now,
            heard: vec![Last::default(); nodes],
            asked: None,
            claims: false,
            asked_to_go: false,
            disputed_until: Instant::default(),
            stirred_at: now,
            longest_interval: settings.interval,
            was_cut_off: false,
            spoke_at: None,
            frozen: Duration::ZERO,
            thawed_at: now,
            announces: false,
            looks: Looks::Never,
            answered: false,
            stop_at: None,
            worked_at: Instant::default(),
            works_at: Instant::default(),
            failures: 0,
            hold_until: Instant::default(),
        }
    }

    /// Time has passed: before the event of the same instant is taken.
    pub(crate) fn pass(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    pub(crate) fn thawed(&mut self, frozen: Duration, now: Instant) {
        self.frozen += frozen;
        self.thawed_at = now;
    }

    /// What is about to be told.
    pub(crate) fn note(&mut self, packet: &Packet, settings: &Settings) {
        let down = self.master_down(settings);
        match packet.event {
            Event::Advert(heard) => {
                // What is heard may leave a wait as it is, also one for the next look.
                self.stirred_at = self.stirred_at.max(self.now);
                self.looks = Looks::Never;
                self.answered = false;
                self.longest_interval = self.longest_interval.max(heard.interval);
                count(&mut self.heard, self.now, packet);
            }
            Event::Conflict { interval, .. } => {
                self.stirred_at = self.stirred_at.max(self.now);
                self.longest_interval = self.longest_interval.max(interval);
                let Settings {
                    version,
                    priority,
                    misses,
                    ..
                } = *settings;
                let wait = master_down(version, priority, interval.max(settings.interval), misses);
                self.disputed_until = self.disputed_until.max(self.now + wait);
            }
            Event::Settings(new) => {
                self.stirred_at = self.stirred_at.max(self.now);
                self.longest_interval = self.longest_interval.max(new.interval).max(down / 100);
            }
            Event::Looked(ticket, answered) if self.looks == Looks::Asks(ticket) => {
                self.answered = answered;
                if !answered {
                    return;
                }
                self.looks = Looks::Answered;
                self.stirred_at = self.now + LOOKS_APART;
            }
            Event::Working(term) => {
                self.worked_at = self.now;
                if self.asked.is_some_and(|asked| asked.1 == term) {
                    self.works_at = self.now;
                }
            }
            Event::Vote(_) => self.stirred_at = self.stirred_at.max(self.now),
            // Who waits for the arbiter has waited already, and does so once more.
            Event::Unauthentic { .. } if settings.arbiter => {
                self.stirred_at = self.stirred_at.max(self.now);
            }
            Event::Stop => {
                self.stop_at.get_or_insert(self.now);
            }
            _ => {}
        }
    }

    /// Whether it has heard another node.
    pub(crate) fn has_met(&self) -> bool {
        self.heard.iter().any(|last| last.at != Instant::default())
    }

    pub(crate) fn age(&self) -> Duration {
        self.now.since(self.born)
    }

    /// Whether it was answered when it last asked who answers, or asks again after that.
    pub(crate) fn was_answered(&self) -> bool {
        self.answered
    }

    /// The longest wait that settings and adverts of so far explain.
    fn master_down(&self, settings: &Settings) -> Duration {
        let Settings {
            version,
            priority,
            misses,
            ..
        } = *settings;
        master_down(version, priority, self.longest_interval, misses)
    }

    /// What a step says, one after the other.
    /// Of the frames that the agent has not read yet, those that had come by then count as heard.
    pub(crate) fn said<'a>(
        &mut self,
        step: &Step,
        effect: &Effect,
        unread: impl Iterator<Item = (Instant, &'a Packet)>,
    ) -> Verdict {
        match *effect {
            Effect::Advertise { priority: RESIGN } => self.resigned(step),
            Effect::Advertise { .. } => self.spoke(step),
            Effect::Renew(until) => Self::renews(step, until),
            Effect::Warrant(_) => demand(
                step.settings.arbiter || step.settings.reference.is_some(),
                "nothing speaks for it that is not there",
            ),
            Effect::Open => self.opens(step),
            Effect::Disarm => demand(
                step.kernel.on == 0 || is_owner(&step.settings),
                "law 6: the gate is disarmed only after the addresses are verified off",
            ),
            Effect::Acquire(term) => self.acquires(step, term, unread),
            Effect::Release(term) => self.releases(step, term),
            Effect::Look(ticket) => {
                self.looks = Looks::Asks(ticket);
                demand(step.role == RoleName::Backup, "only a BACKUP asks")
            }
            Effect::Announce(_) => {
                self.announces = true;
                Ok(())
            }
            Effect::Hush => {
                self.announces = false;
                Ok(())
            }
            Effect::Report(Report::Role { from, to, cause }) => self.turned(step, from, to, cause),
            Effect::Report(Report::Alarm(Alarm::Retry(fault))) => self.gave_up(fault),
            Effect::Report(Report::Alarm(_)) => Ok(()),
            Effect::Act(..) => demand(false, "nobody runs scripts that are not there"),
            Effect::Contend(..) | Effect::Withdraw(_) => demand(
                step.settings.arbiter,
                "nobody asks an arbiter that is not there",
            ),
            Effect::Say(_) | Effect::Extend(_) | Effect::Persist(_) => {
                demand(false, "under VRRP nobody votes")
            }
        }
    }

    fn gave_up(&self, fault: AddressFault) -> Verdict {
        let is_late = fault.kind == AddressFaultKind::Late;
        demand(
            !is_late || self.now.since(self.works_at) >= ANSWER_WITHIN,
            "an answer is late only when nobody works on it",
        )
    }

    fn renews(step: &Step, until: Instant) -> Verdict {
        // What a reload says of it counts from the advert that tells of it.
        let settings = match step.event {
            Event::Settings(new) => new,
            _ => step.settings,
        };
        let Some(lease) = settings.lease else {
            return demand(false, "without a gate nothing is renewed");
        };
        demand(
            until <= step.clock + lease,
            "law 2: a lease counts from before the advert is sent",
        )
    }

    fn opens(&self, step: &Step) -> Verdict {
        let asked = |term| self.asked == Some((Change::Acquire, term));
        let read_back = match step.event {
            Event::Acquired(term, Ok(())) | Event::Answering(term) => asked(term),
            _ => false,
        };
        demand(
            read_back,
            "law 6: the gate opens after the addresses were read back",
        )
    }

    fn resigned(&mut self, step: &Step) -> Verdict {
        self.spoke_at = None;
        demand(
            step.kernel.on == 0 || step.gate_is_shut || is_owner(&step.settings),
            "law 6: a resignation is sent only after the gate is shut or the addresses are off",
        )
    }

    fn spoke(&mut self, step: &Step) -> Verdict {
        let frozen = std::mem::take(&mut self.frozen);
        let Some(last) = self.spoke_at.replace(step.clock) else {
            return Ok(());
        };
        if step.role != RoleName::Master {
            return Ok(());
        }
        let silent = step.clock.since(last);
        let others_wait = step.settings.interval * step.settings.misses.max(2);
        let others_wait = step.settings.lease.unwrap_or(others_wait).min(others_wait);
        demand(
            silent < others_wait || is_owner(&step.settings),
            "a MASTER that was silent for as long as the others wait does not speak again",
        )?;
        demand(
            silent <= step.settings.interval + frozen,
            "adverts of a MASTER are at most an interval apart, and the time it was frozen",
        )
    }

    fn acquires<'a>(
        &mut self,
        step: &Step,
        term: Term,
        unread: impl Iterator<Item = (Instant, &'a Packet)>,
    ) -> Verdict {
        self.asked = Some((Change::Acquire, term));
        if self.claims {
            return Ok(());
        }
        self.claims = true;
        let mut heard = self.heard.clone();
        for (at, packet) in unread.filter(|(at, _)| *at <= self.now) {
            count(&mut heard, at, packet);
        }
        let living = |last: &&Last| {
            let interval = match step.settings.version {
                Version::V2 => step.settings.interval,
                Version::V3 => last.interval,
            };
            last.holds && self.now.since(last.at) < interval
        };
        demand(
            heard.iter().find(living).is_none(),
            "law 6: nobody acquires before a living MASTER has resigned or was silent for an \
             interval",
        )
    }

    fn releases(&mut self, step: &Step, term: Term) -> Verdict {
        self.asked = Some((Change::Release, term));
        demand(
            !self.announces,
            "law 6: announcements are cancelled before the addresses go off",
        )?;
        demand(
            !matches!(step.role, RoleName::Backup | RoleName::Stopped),
            "who listens or has ended has nothing to release",
        )
    }

    fn turned(&mut self, step: &Step, from: RoleName, to: RoleName, cause: Cause) -> Verdict {
        self.stirred_at = self.now;
        if !matches!(to, RoleName::Master | RoleName::Candidate) {
            self.spoke_at = None;
        }
        if matches!(to, RoleName::Backup | RoleName::Fault | RoleName::Stopped) && !is_stuck(cause)
        {
            self.claims = false;
        }
        self.count_failures(to, cause);
        if to == RoleName::Candidate {
            self.asked_to_go = matches!(cause, Cause::Preempting { .. });
        }
        demand(
            !matches!(
                step.event,
                Event::Unauthentic { .. } | Event::OwnAdvert { .. }
            ),
            "law 10: a frame that fails authentication changes no role",
        )?;
        demand(
            cause != Cause::Blocked(Blocked::Arbiter) || step.settings.arbiter,
            "nobody waits for an arbiter that is not there",
        )?;
        demand(
            to != RoleName::Candidate
                || self.now >= self.disputed_until
                || is_owner(&step.settings),
            "law 10: nobody stands within the master-down time after a frame that disagrees",
        )?;
        let after_silence = to == RoleName::Candidate && matches!(cause, Cause::Silence { .. });
        demand(
            !after_silence || matches!(self.looks, Looks::Asks(_)),
            "acd: nobody stands after silence who has not asked, or who was answered",
        )?;
        match to {
            RoleName::Master => self.became_master(step, from),
            _ => Ok(()),
        }
    }

    fn became_master(&mut self, step: &Step, from: RoleName) -> Verdict {
        let answered = match step.event {
            Event::Acquired(term, Ok(())) | Event::Answering(term) => {
                self.asked == Some((Change::Acquire, term))
            }
            _ => false,
        };
        demand(
            answered && from == RoleName::Candidate,
            "law 6: MASTER is said only when this term's addresses were read back",
        )?;
        demand(self.announces, "who becomes MASTER announces it")
    }

    fn count_failures(&mut self, to: RoleName, cause: Cause) {
        match (to, cause) {
            (RoleName::Master, _) => self.failures = 0,
            (RoleName::Releasing, Cause::Blocked(Blocked::Addresses(_))) => {
                let pause = Duration::from_secs(10) * 2u32.pow(self.failures.min(5));
                self.failures += 1;
                self.hold_until = self.now + pause.min(Duration::from_secs(300));
            }
            (RoleName::Releasing, Cause::Blocked(Blocked::Fight)) => {
                self.hold_until = self.now + Duration::from_secs(60);
            }
            _ => {}
        }
    }

    /// After a step.
    pub(crate) fn stands(&mut self, group: &Group, event: Event, said: usize) -> Verdict {
        let (role, deadline) = (group.view().role, group.deadline());
        // Without the reference nobody stands, and whoever reaches it again waits from then on.
        let is_cut_off = group.view().blocked == Some(Blocked::Reference);
        if std::mem::replace(&mut self.was_cut_off, is_cut_off) {
            self.stirred_at = self.stirred_at.max(self.now);
        }
        // Who listens waits for a tick, in its own time.
        demand(
            deadline > self.now || (group.listens() && event != Event::Tick),
            "no deadline lies in the past: no busy loop",
        )?;
        demand(
            said <= EFFECTS_MAX,
            "a step says a bounded number of things",
        )?;
        demand(
            deadline < Instant::NEVER
                || is_cut_off
                || matches!(role, RoleName::Fault | RoleName::Stopped),
            "law 7: every role has a deadline",
        )?;
        self.stands_in_time(group, role)?;
        self.stops_in_time(role)
    }

    fn stands_in_time(&self, group: &Group, role: RoleName) -> Verdict {
        let settings = group.settings();
        // Who gave way to a better node leaves it the time to get the arbiter's vote.
        let yields = match settings.arbiter {
            true => Duration::from_secs(1),
            false => Duration::ZERO,
        };
        let wait = self.master_down(settings) * 2 + LOOK_WITHIN + yields;
        let stirred_at = self.stirred_at.max(self.thawed_at);
        let latest = stirred_at.max(self.born + settings.start_delay) + wait;
        // Who waits for the arbiter looks again as often, and who waits for the reference looks when that answers.
        let asks = matches!(
            group.view().blocked,
            Some(Blocked::Arbiter | Blocked::Reference)
        );
        demand(
            role != RoleName::Backup || asks || group.deadline() <= latest,
            "law 7: a BACKUP that hears nothing stands within twice the master-down time",
        )
    }

    fn stops_in_time(&self, role: RoleName) -> Verdict {
        let late = self
            .stop_at
            .map(|at| at.max(self.thawed_at).max(self.worked_at))
            .is_some_and(|at| self.now.since(at) > STOPPED_WITHIN);
        demand(
            !late || role == RoleName::Stopped,
            "law 7: a stop ends within twice the time of a release",
        )
    }

    /// After a step, and after everything that the kernel does.
    pub(crate) fn addresses(&self, group: &Group, kernel: &Kernel, world: Instant) -> Verdict {
        if is_owner(group.settings()) {
            return Ok(());
        }
        let view = group.view();
        match view.role {
            RoleName::Backup | RoleName::Stopped | RoleName::Fault if !is_stuck(view.cause) => {
                demand(
                    kernel.on == 0,
                    "law 6: BACKUP, FAULT and STOPPED have no address on",
                )
            }
            RoleName::Master => {
                let torn = kernel.torn_at;
                demand(
                    kernel.on == ALL || torn.is_some(),
                    "law 6: a MASTER has its addresses on",
                )?;
                let mended = torn.is_none_or(|at| world.since(at) < MENDED_WITHIN);
                let excused_at = self.thawed_at.max(self.worked_at);
                let excused = self.now.since(excused_at) < MENDED_WITHIN;
                demand(
                    mended || excused,
                    "a MASTER whose addresses somebody took off mends it or gives way",
                )
            }
            _ => Ok(()),
        }
    }
}

fn count(heard: &mut [Last], at: Instant, packet: &Packet) {
    if let (Event::Advert(advert), Some(sender)) = (packet.event, packet.sender)
        && at >= heard[sender].at
    {
        heard[sender] = Last {
            at,
            interval: advert.interval,
            holds: packet.holds && advert.priority != RESIGN,
        };
    }
}

fn is_owner(settings: &Settings) -> bool {
    settings.priority == floatlock::core::election::OWNER
}

fn is_stuck(cause: Cause) -> bool {
    matches!(cause, Cause::Blocked(Blocked::Stuck(_)))
}
