//! The state machine by the clauses of the RFC and the laws of the design.

mod acd;
mod acts;
mod answering;
mod away;
mod backup;
mod candidate;
mod confirm;
mod disagreement;
mod lease;
mod losses;
mod master;
mod native;
mod start;
mod stops;
mod warrant;

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::core::event::ConflictField;

const SECOND: Duration = Duration::from_secs(1);
const OURS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 5));
const UP: Facts = Facts {
    link: true,
    source: Some(OURS),
};
const FAULT: AddressFault = AddressFault {
    address: None,
    kind: AddressFaultKind::Refused(13 /* EACCES */),
};

fn settings(priority: u8) -> Settings {
    Settings {
        version: Version::V3,
        priority,
        interval: SECOND,
        misses: 3,
        preempt: true,
        preempt_delay: Duration::ZERO,
        start_delay: Duration::ZERO,
        phase: Duration::ZERO,
        pair: false,
        lease: None,
        native: None,
        shuts_at_once: true,
        reference: None,
        arbiter: false,
        actions: crate::core::Actions::default(),
    }
}

fn peer(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn advert(priority: u8) -> Event {
    advert_from(9, priority)
}

fn advert_from(last: u8, priority: u8) -> Event {
    Event::Advert(Heard {
        from: peer(last),
        priority,
        interval: SECOND,
        lead: true,
    })
}

/// A group on a bench: time moves when told to, and what it says is collected.
struct Bench {
    group: Group,
    now: Instant,
    said: Vec<Effect>,
    /// What a look finds, at once; `None` where its answer never comes.
    answered: Option<bool>,
    looks: u64,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        let now = Instant::from_nanos(1_000_000_000_000);
        let mut said = Vec::new();
        let group = Group::new(settings, UP, (now, now), &mut said);
        Self {
            group,
            now,
            said,
            answered: Some(false),
            looks: 0,
        }
    }

    /// A group that has cleared the table and listens.
    fn backup(settings: Settings) -> Self {
        let mut bench = Self::new(settings);
        bench.released(Ok(()));
        assert!(settings.priority == OWNER || bench.role() == RoleName::Backup);
        bench
    }

    fn master(settings: Settings) -> Self {
        let mut bench = Self::backup(settings);
        bench.wait(SECOND * 4);
        bench.acquired(Ok(()));
        assert_eq!(bench.role(), RoleName::Master);
        bench.said.clear();
        bench
    }

    fn role(&self) -> RoleName {
        self.group.view().role
    }

    /// Something happens, and then it is the time that it is, as in one turn of the agent.
    fn hear(&mut self, event: Event) {
        self.step(event);
        if self.group.deadline() <= self.now {
            self.step(Event::Tick);
        }
    }

    fn step(&mut self, event: Event) {
        self.group.step(self.now, event, &mut self.said);
        if let (true, Some(answered)) = (self.looks < self.group.ticket, self.answered) {
            self.looks = self.group.ticket;
            self.step(Event::Looked(self.looks, answered));
        }
    }

    fn acquired(&mut self, outcome: Result<(), AddressFault>) {
        let term = self.group.term;
        self.hear(Event::Acquired(term, outcome));
    }

    fn released(&mut self, outcome: Result<(), AddressFault>) {
        let term = self.group.term;
        self.hear(Event::Released(term, outcome));
    }

    /// Lets time pass from deadline to deadline, as the agent does.
    fn wait(&mut self, length: Duration) {
        let end = self.now + length;
        while self.group.deadline() <= end {
            self.now = self.now.max(self.group.deadline());
            self.hear(Event::Tick);
        }
        self.now = end;
    }

    /// Waits until the role changes; how long that took.
    fn until_change(&mut self) -> Duration {
        let (began, role) = (self.now, self.role());
        while self.role() == role {
            assert!(
                self.group.deadline() < began + HOLD_OFF_MAX * 2,
                "{role:?} waits for ever"
            );
            self.now = self.now.max(self.group.deadline());
            self.hear(Event::Tick);
        }
        self.now.since(began)
    }

    fn adverts(&self) -> Vec<u8> {
        let priority = |effect: &Effect| match effect {
            Effect::Advertise { priority } => Some(*priority),
            _ => None,
        };
        self.said.iter().filter_map(priority).collect()
    }

    fn says(&self, effect: Effect) -> bool {
        self.said.contains(&effect)
    }

    fn acquires(&self) -> usize {
        self.said
            .iter()
            .filter(|effect| matches!(effect, Effect::Acquire(_)))
            .count()
    }

    fn looks(&self) -> Vec<u64> {
        let ticket = |effect: &Effect| match effect {
            Effect::Look(ticket) => Some(*ticket),
            _ => None,
        };
        self.said.iter().filter_map(ticket).collect()
    }

    fn announces(&self) -> usize {
        self.said
            .iter()
            .filter(|effect| matches!(effect, Effect::Announce(_)))
            .count()
    }

    fn alarms(&self) -> Vec<Alarm> {
        let alarm = |effect: &Effect| match effect {
            Effect::Report(Report::Alarm(alarm)) => Some(*alarm),
            _ => None,
        };
        self.said.iter().filter_map(alarm).collect()
    }
}
