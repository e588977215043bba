//! Groups that vote: several of them, told what the others say a millisecond later.

mod reference;

use std::collections::BTreeMap;

use super::*;
use crate::core::disk::Tenancy;
use crate::core::event::{Fitness, PeerState, Say};
use crate::core::group::{Immovable, Voting};
use crate::core::lease::{self, Boot, BootId, Epoch, NodeId, Voters};

const INTERVAL: Duration = Duration::from_millis(200);
const L: Duration = Duration::from_secs(1);
const P: Duration = Duration::from_millis(1041);
const TICK: Duration = Duration::from_millis(1);
const NAMES: [&str; 3] = ["lb-a", "lb-b", "lb-c"];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

struct Node {
    group: Group,
    /// The gate.
    open: bool,
    until: Instant,
    /// Cut off from everybody.
    cut: bool,
    dead: bool,
    /// The reference answers it.
    reaches: bool,
    /// How long its addresses take to come off.
    release_takes: Duration,
    /// How often it has asked for votes.
    asked: u64,
    reports: Vec<Report>,
}

/// A cluster, and what is on its way in it.
struct World {
    now: Instant,
    nodes: Vec<Node>,
    queue: BTreeMap<(Instant, u64), (usize, Event)>,
    count: u64,
    beat_at: Instant,
    boots: u128,
}

impl World {
    fn new(priorities: &[u8], nodes: u64, witnesses: u64) -> Self {
        let of = |(me, priority): (usize, &u8)| settings(me as NodeId, *priority, nodes, witnesses);
        Self::of(priorities.iter().enumerate().map(of))
    }

    fn of(settings: impl Iterator<Item = Settings>) -> Self {
        let mut world = World {
            now: Instant::from_nanos(5_000_000_000),
            nodes: Vec::new(),
            queue: BTreeMap::new(),
            count: 0,
            beat_at: Instant::from_nanos(5_200_000_000),
            boots: 0,
        };
        for (me, settings) in settings.enumerate() {
            let (group, out) = world.boot(settings);
            world.nodes.push(Node {
                group,
                open: false,
                until: Instant::default(),
                cut: false,
                dead: false,
                reaches: true,
                release_takes: TICK,
                asked: 0,
                reports: Vec::new(),
            });
            world.carry_out(me, out);
        }
        world
    }

    fn pair() -> Self {
        Self::new(&[150, 100], 0b11, 0)
    }

    fn boot(&mut self, settings: Settings) -> (Group, Vec<Effect>) {
        self.boots += 1;
        let boot = Boot {
            id: BootId(self.boots),
            stored: Epoch::default(),
            longest: L,
            nonce: 0,
        };
        let mut out = Vec::new();
        let times = (self.now, self.now);
        (Group::native(settings, boot, UP, times, &mut out), out)
    }

    fn restart(&mut self, at: usize) {
        let settings = *self.nodes[at].group.settings();
        let (group, out) = self.boot(settings);
        let node = &mut self.nodes[at];
        (node.group, node.dead, node.open) = (group, false, false);
        self.carry_out(at, out);
    }

    fn send(&mut self, delay: Duration, to: usize, event: Event) {
        self.count += 1;
        self.queue
            .insert((self.now + delay, self.count), (to, event));
    }

    fn tell(&mut self, from: usize, to: usize, event: Option<Event>) {
        if self.nodes[from].cut || self.nodes[to].cut || from == to {
            return;
        }
        let group = &self.nodes[from].group;
        let state = PeerState {
            node: from as NodeId,
            role: group.view().role,
            priority: group.settings().priority,
            fitness: group.standing().2,
        };
        self.send(TICK, to, Event::Peer(state));
        if let Some(event) = event {
            self.send(TICK, to, event);
        }
    }

    fn tell_all(&mut self, from: usize, event: Option<Event>) {
        for to in 0..self.nodes.len() {
            self.tell(from, to, event);
        }
    }

    fn carry_out(&mut self, at: usize, out: Vec<Effect>) {
        let me = at as NodeId;
        for effect in out {
            match effect {
                Effect::Say(Say::Request(request)) => {
                    self.nodes[at].asked += 1;
                    self.tell_all(at, Some(Event::Vote(lease::Event::Request(me, request))));
                }
                Effect::Say(Say::Grant(to, boot, nonce)) => {
                    let granted = lease::Event::Granted(me, boot, nonce);
                    self.tell(at, to.into(), Some(Event::Vote(granted)));
                }
                Effect::Say(Say::Refuse(to, _, _, why, floor)) => {
                    let refused = lease::Event::refused(me, why, floor);
                    self.tell(at, to.into(), Some(Event::Vote(refused)));
                }
                Effect::Say(Say::Resign(resign)) => {
                    self.tell_all(at, Some(Event::Vote(lease::Event::Resign(me, resign))));
                }
                Effect::Say(Say::Ask(to)) => self.tell(at, to.into(), Some(Event::Ask(me))),
                Effect::Persist(epoch) => {
                    let stored = Event::Vote(lease::Event::Persisted(epoch));
                    self.send(ms(3), at, stored);
                }
                Effect::Act(id, Act::Promote) => self.send(TICK, at, Event::Acted(id, true)),
                Effect::Act(id, Act::Demote) => {
                    self.send(Duration::from_secs(3), at, Event::Acted(id, true));
                }
                Effect::Act(_, Act::Silenced { .. }) => {}
                Effect::Look(ticket) => {
                    let answered = self.answering().any(|other| other != at);
                    self.send(ms(13), at, Event::Looked(ticket, answered));
                }
                Effect::Acquire(term) => self.send(TICK, at, Event::Acquired(term, Ok(()))),
                Effect::Release(term) => {
                    self.nodes[at].open = false;
                    self.nodes[at].until = Instant::default();
                    let takes = self.nodes[at].release_takes;
                    self.send(takes, at, Event::Released(term, Ok(())));
                }
                Effect::Extend(until) | Effect::Renew(until) => self.nodes[at].until = until,
                Effect::Open => self.nodes[at].open = true,
                Effect::Report(report) => self.nodes[at].reports.push(report),
                Effect::Advertise { .. } => panic!("a native group sends no adverts"),
                Effect::Contend(..) | Effect::Withdraw(_) | Effect::Warrant(_) => {
                    panic!("no arbiter is configured")
                }
                Effect::Announce(_) | Effect::Hush | Effect::Disarm => {}
            }
        }
    }

    /// Who answers for the addresses, whether its agent runs or not.
    fn answering(&self) -> impl Iterator<Item = usize> + '_ {
        let answers = |node: &Node| node.open && node.until > self.now;
        let all = self.nodes.iter().enumerate();
        all.filter(move |(_, node)| answers(node)).map(|(at, _)| at)
    }

    fn step(&mut self, at: usize, event: Event) {
        if self.nodes[at].dead {
            return;
        }
        let mut out = Vec::new();
        self.nodes[at].group.step(self.now, event, &mut out);
        self.carry_out(at, out);
        let answering: Vec<usize> = self.answering().collect();
        assert!(
            answering.len() <= 1,
            "{answering:?} answer at {:?}",
            self.now
        );
    }

    /// Time passes, event by event.
    fn run(&mut self, length: Duration) {
        let end = self.now + length;
        loop {
            let alive = self.nodes.iter().filter(|node| !node.dead);
            let deadline = alive.map(|node| node.group.deadline()).min();
            let next = self.queue.keys().next().map(|key| key.0);
            let deadline = deadline.unwrap_or(Instant::NEVER);
            let then = deadline
                .min(next.unwrap_or(Instant::NEVER))
                .min(self.beat_at);
            if then > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(then);
            if let Some(entry) = self.queue.first_entry()
                && entry.key().0 <= self.now
            {
                let (to, event) = entry.remove();
                self.step(to, event);
                continue;
            }
            for at in 0..self.nodes.len() {
                if self.nodes[at].group.deadline() <= self.now {
                    self.step(at, Event::Tick);
                }
            }
            if self.beat_at <= self.now {
                self.beat_at = self.beat_at + INTERVAL;
                for at in 0..self.nodes.len() {
                    if !self.nodes[at].dead {
                        self.tell_all(at, None);
                    }
                    if self.nodes[at].reaches {
                        self.send(TICK, at, Event::Proven(self.now));
                    }
                }
            }
        }
    }

    fn role(&self, at: usize) -> RoleName {
        self.nodes[at].group.view().role
    }

    fn is_master(&self, at: usize) -> bool {
        self.role(at) == RoleName::Master && self.answering().eq([at])
    }

    fn master(&self) -> usize {
        let masters: Vec<usize> = (0..self.nodes.len())
            .filter(|at| self.is_master(*at))
            .collect();
        assert_eq!(masters.len(), 1, "{masters:?}");
        masters[0]
    }

    /// How long until this node is MASTER and answers; it must come true within `most`.
    fn until_master(&mut self, at: usize, most: Duration) -> Duration {
        let began = self.now;
        while !self.is_master(at) {
            assert!(
                self.now.since(began) <= most,
                "{} is {}",
                NAMES[at],
                self.role(at)
            );
            self.run(TICK);
        }
        self.now.since(began)
    }

    fn epoch(&self, at: usize) -> Epoch {
        self.nodes[at].group.view().authority.unwrap().epoch
    }
}

pub(super) fn settings(me: NodeId, priority: u8, nodes: u64, witnesses: u64) -> Settings {
    let lease = lease::Settings {
        group: 7,
        me,
        priority,
        voters: Voters {
            nodes,
            witnesses,
            arbiter: false,
            hash: 1,
        },
        lease: L,
        interval: INTERVAL,
        granularity: TICK,
        reference: false,
        always: false,
    };
    Settings {
        priority,
        interval: INTERVAL,
        lease: Some(L),
        native: Some(Voting {
            lease,
            names: &NAMES,
        }),
        ..super::settings(priority)
    }
}

#[test]
fn of_a_pair_the_better_one_becomes_master() {
    let mut world = World::pair();
    world.run(Duration::from_secs(4));
    assert_eq!(world.master(), 0);
    assert_eq!(world.role(1), RoleName::Backup);
}

#[test]
fn law_8_nobody_stands_for_one_promise_after_a_start() {
    let mut world = World::pair();
    world.run(P - TICK);
    assert_eq!(
        (world.role(0), world.role(1)),
        (RoleName::Backup, RoleName::Backup)
    );
}

#[test]
fn a_node_without_its_peer_becomes_master_alone_and_says_so() {
    let mut world = World::pair();
    world.nodes[1].dead = true;
    world.nodes[1].cut = true;
    world.until_master(0, P * 2);
    let cause = world.nodes[0]
        .reports
        .iter()
        .find_map(|report| match report {
            Report::Role {
                cause,
                to: RoleName::Candidate,
                ..
            } => Some(*cause),
            _ => None,
        });
    assert!(matches!(cause, Some(Cause::Alone { .. })), "{cause:?}");
}

#[test]
fn after_a_power_loss_the_other_takes_over_within_the_bound() {
    let mut world = World::pair();
    world.run(Duration::from_secs(4));
    let epoch = world.epoch(0);
    let node = &mut world.nodes[0];
    (node.dead, node.cut, node.open) = (true, true, false);
    let took = world.until_master(1, ms(1_400));
    assert!(took > ms(800), "{took:?}");
    assert!(world.epoch(1) > epoch, "S2");
}

/// It would hold anew without a look at who holds by then, while what it held is still on. Behind a gate that
/// takes a moment to shut it resigns only when the addresses are off.
#[test]
fn whoever_takes_its_addresses_off_asks_for_no_votes_meanwhile() {
    let slow = |me| Settings {
        shuts_at_once: false,
        ..settings(me, 100, 0b11, 0)
    };
    let mut world = World::of([0, 1].into_iter().map(slow));
    world.nodes[1].dead = true;
    world.until_master(0, P * 2);
    world.nodes[0].release_takes = Duration::from_secs(5);
    world.step(0, Event::Doubt(Duration::from_secs(1)));
    assert_eq!(world.role(0), RoleName::Releasing);
    let asked = world.nodes[0].asked;
    world.run(Duration::from_secs(4));
    assert_eq!(world.role(0), RoleName::Releasing);
    assert_eq!(world.nodes[0].asked, asked);
    world.until_master(0, P + Duration::from_secs(2));
}

#[test]
fn s1_a_dead_agent_stops_answering_before_the_other_starts() {
    let mut world = World::pair();
    world.run(Duration::from_secs(4));
    // Its gate stays open until its lease ends.
    world.nodes[0].dead = true;
    world.nodes[0].cut = true;
    world.until_master(1, ms(1_400));
}

#[test]
fn acd_a_living_holder_that_answers_is_not_taken_over() {
    let mut world = World::pair();
    world.run(Duration::from_secs(4));
    // The heartbeats are cut, the network is not: the holder goes on alone and answers.
    world.nodes[0].cut = true;
    world.run(Duration::from_secs(20));
    assert_eq!(world.master(), 0);
    assert_eq!(world.role(1), RoleName::Backup);
    let alarms = &world.nodes[0].reports;
    assert!(alarms.contains(&Report::Alarm(Alarm::Unheard)));
}

#[test]
fn a_holder_whose_heartbeats_come_late_is_not_silent() {
    let mut world = World::pair();
    world.run(Duration::from_secs(4));
    // Its host stands still, so that nobody answers; what it sent before is still on the way.
    let node = &mut world.nodes[0];
    (node.dead, node.cut, node.open) = (true, true, false);
    for _ in 0..30 {
        world.run(ms(100));
        world.step(
            1,
            Event::late(RoleName::Master, None).expect("it may answer"),
        );
        assert_eq!(world.role(1), RoleName::Backup);
    }
    let took = world.until_master(1, ms(1_400));
    assert!(took > ms(800), "after the last of them: {took:?}");
    assert_eq!(
        Event::late(RoleName::Backup, None),
        None,
        "or nobody ever stood"
    );
}

#[test]
fn a_better_node_that_returns_asks_and_is_given_the_addresses_at_once() {
    let mut world = World::pair();
    world.nodes[0].dead = true;
    world.nodes[0].cut = true;
    world.until_master(1, P * 2);
    world.nodes[0].cut = false;
    world.restart(0);
    world.run(P / 2);
    assert_eq!(world.master(), 1, "not before its quarantine is over");
    let began = world.now;
    while world.is_master(1) {
        world.run(TICK);
        assert!(world.now.since(began) < P * 2, "nobody asked");
    }
    let gap = world.until_master(0, ms(20));
    assert!(gap <= ms(8), "{gap:?}");
    let named = |report: &Report| matches!(report, Report::Role { cause: Cause::Preempted { by }, .. } if by.0 == "lb-a");
    assert!(world.nodes[1].reports.iter().any(named));
}

#[test]
fn without_preempt_the_addresses_stay_where_they_are() {
    let mut world = World::pair();
    world.nodes[0].dead = true;
    world.nodes[0].cut = true;
    world.until_master(1, P * 2);
    world.nodes[0].cut = false;
    world.restart(0);
    let settings = Settings {
        preempt: false,
        ..*world.nodes[0].group.settings()
    };
    world.step(0, Event::Settings(settings));
    world.run(Duration::from_secs(20));
    assert_eq!(world.master(), 1);
}

#[test]
fn a_stop_hands_over_within_milliseconds_and_stays_to_grant() {
    let mut world = World::pair();
    world.run(Duration::from_secs(4));
    world.step(0, Event::Stop);
    let gap = world.until_master(1, ms(20));
    assert!(gap <= ms(8), "{gap:?}");
    world.run(INTERVAL);
    assert_eq!(world.role(0), RoleName::Stopped);
}

#[test]
fn a_stop_without_anybody_to_take_over_ends_at_once() {
    let mut world = World::pair();
    world.nodes[1].dead = true;
    world.nodes[1].cut = true;
    world.until_master(0, P * 2);
    world.run(P * 2);
    world.step(0, Event::Stop);
    world.run(ms(2));
    assert_eq!(world.role(0), RoleName::Stopped);
}

#[test]
fn an_operator_moves_the_addresses_and_they_stay_there() {
    let mut world = World::pair();
    world.run(Duration::from_secs(4));
    assert_eq!(
        world.nodes[1].group.successor(None),
        Err(Immovable::NotMaster(RoleName::Backup))
    );
    assert_eq!(
        world.nodes[0].group.successor(Some(0)),
        Err(Immovable::NoSuchNode)
    );
    assert!(!Immovable::NoSuchNode.yields_to_force());
    assert!(Immovable::NobodyReady.yields_to_force());
    assert_eq!(world.nodes[0].group.successor(None), Ok(Some(1)));
    world.step(0, Event::HandOver(Some(1)));
    world.until_master(1, ms(8));
    world.run(Duration::from_secs(20));
    assert_eq!(
        world.master(),
        1,
        "the better node does not take back what was moved"
    );
    world.step(1, Event::HandOver(Some(0)));
    world.until_master(0, ms(8));
}

#[test]
fn nothing_is_moved_to_a_node_that_is_not_ready() {
    let mut world = World::pair();
    world.run(Duration::from_secs(4));
    world.step(1, Event::Maintenance(true));
    world.run(INTERVAL * 2);
    assert_eq!(
        world.nodes[0].group.successor(None),
        Err(Immovable::NobodyReady)
    );
    let named = world.nodes[0].group.successor(Some(1));
    assert!(matches!(named, Err(Immovable::NotReady(_))), "{named:?}");
}

#[test]
fn every_node_knows_who_holds_as_long_as_it_hears_it() {
    let mut world = World::pair();
    world.run(Duration::from_secs(4));
    let holder = |world: &World, node: usize| world.nodes[node].group.view().holder.map(|h| h.0);
    assert_eq!(holder(&world, 0), Some("lb-a"));
    assert_eq!(holder(&world, 1), Some("lb-a"));
    world.nodes[0].dead = true;
    world.nodes[0].cut = true;
    world.until_master(1, ms(2_500));
    assert_eq!(holder(&world, 1), Some("lb-b"));
}

#[test]
fn maintenance_hands_over_takes_nothing_and_still_votes() {
    let mut world = World::new(&[150, 100, 50], 0b111, 0);
    world.run(Duration::from_secs(4));
    world.step(0, Event::Maintenance(true));
    world.until_master(1, ms(8));
    // With one of three dead, the vote of the node in maintenance is needed.
    world.nodes[2].dead = true;
    world.nodes[2].cut = true;
    world.run(Duration::from_secs(5));
    assert_eq!(world.master(), 1);
    world.step(0, Event::Maintenance(false));
    world.until_master(0, ms(500));
}

#[test]
fn of_three_the_majority_serves_and_the_one_that_is_cut_off_falls_silent() {
    let mut world = World::new(&[150, 100, 50], 0b111, 0);
    world.run(Duration::from_secs(4));
    assert_eq!(world.master(), 0);
    world.nodes[0].cut = true;
    world.until_master(1, ms(2_500));
    assert_eq!(world.role(0), RoleName::Backup);
    world.nodes[0].cut = false;
    world.until_master(0, Duration::from_secs(4));
}

#[test]
fn a_witness_votes_and_never_holds() {
    let mut world = World::new(&[150, 100, 100], 0b011, 0b100);
    world.run(Duration::from_secs(4));
    assert_eq!((world.master(), world.role(2)), (0, RoleName::Witness));
    world.nodes[0].cut = true;
    world.until_master(1, ms(2_500));
    world.nodes[1].cut = true;
    world.run(Duration::from_secs(4));
    assert_eq!(world.answering().count(), 0, "no majority");
    assert_eq!(world.role(2), RoleName::Witness);
}

#[test]
fn resumption_after_a_pause_nothing_is_held_and_the_reason_says_how_long() {
    let mut world = World::pair();
    world.run(Duration::from_secs(4));
    world.nodes[0].dead = true;
    world.run(Duration::from_secs(3));
    assert_eq!(world.master(), 1);
    world.nodes[0].dead = false;
    world.step(0, Event::Tick);
    let away = |report: &Report| matches!(report, Report::Role { cause: Cause::Away(length), .. } if *length > ms(2_500));
    assert!(
        world.nodes[0].reports.iter().any(away),
        "{:?}",
        world.nodes[0].reports
    );
    world.run(P * 4);
    assert_eq!(world.master(), 0, "it is the better one, and has asked");
}

#[test]
fn law_10_in_a_conflict_a_holder_goes_on_and_nobody_is_promoted() {
    let mut world = World::pair();
    let conflict = Event::Conflict {
        from: std::net::IpAddr::from([192, 0, 2, 2]),
        field: ConflictField::Addresses,
        interval: INTERVAL,
    };
    for _ in 0..40 {
        world.run(INTERVAL);
        world.step(0, conflict);
        world.step(1, conflict);
    }
    assert_eq!(world.answering().count(), 0);
    world.until_master(0, P * 3);
    for _ in 0..20 {
        world.run(INTERVAL);
        world.step(0, conflict);
        world.step(1, conflict);
    }
    assert_eq!(world.master(), 0);
}

#[test]
fn law_10_a_voter_that_is_heard_does_not_make_it_delay_again() {
    let mut world = World::new(&[150, 100, 1], 0b011, 0b100);
    world.run(Duration::from_secs(4));
    assert_eq!(world.master(), 0);
    let node = &mut world.nodes[0];
    (node.dead, node.cut, node.open) = (true, true, false);
    let from = std::net::IpAddr::from([192, 0, 2, 1]);
    let began = world.now;
    while !world.is_master(1) {
        world.run(ms(50));
        world.step(1, Event::Unauthentic { from });
        world.step(2, Event::Unauthentic { from });
        let waited = world.now.since(began);
        assert!(waited < P * 4, "a stranger holds the promotion up for ever");
    }
}

#[test]
fn law_10_a_frame_that_fails_authentication_delays_once() {
    let mut world = World::pair();
    world.nodes[1].dead = true;
    world.nodes[1].cut = true;
    let from = std::net::IpAddr::from([192, 0, 2, 2]);
    let mut waited = Duration::ZERO;
    while !world.is_master(0) {
        world.run(ms(50));
        waited += ms(50);
        world.step(0, Event::Unauthentic { from });
        assert!(
            waited < P * 4,
            "an attacker holds the promotion up for ever"
        );
    }
}

#[test]
fn a_clock_that_stood_still_ends_the_authority_until_a_fresh_grant() {
    let mut world = World::pair();
    world.run(Duration::from_secs(4));
    world.step(0, Event::Doubt(ms(700)));
    assert_eq!(world.answering().count(), 0);
    assert_eq!(world.role(0), RoleName::Releasing);
    world.run(P * 4);
    world.master();
}

#[test]
fn a_link_that_goes_down_hands_over_at_once() {
    let mut world = World::pair();
    world.run(Duration::from_secs(4));
    world.step(0, Event::Facts(Facts { link: false, ..UP }));
    world.until_master(1, ms(8));
    assert_eq!(world.role(0), RoleName::Fault);
    world.step(0, Event::Facts(UP));
    world.until_master(0, P * 2);
}

#[test]
fn the_gate_that_is_lost_ends_the_tenure() {
    let mut world = World::pair();
    world.run(Duration::from_secs(4));
    world.step(0, Event::GateLost);
    world.run(ms(10));
    world.until_master(1, P * 2);
}

/// Somebody else may write what this node's slot of the disk says.
#[test]
fn who_has_not_its_slot_of_the_disk_stands_for_nothing_and_promises_nothing() {
    for tenancy in [Tenancy::Claiming, Tenancy::Contested] {
        let mut world = World::pair();
        world.step(0, Event::Slot(tenancy));
        world.step(1, Event::Maintenance(true));
        world.run(Duration::from_secs(5));
        assert_eq!(
            world.role(0),
            RoleName::Backup,
            "the other one would vote for it"
        );
        world.step(1, Event::Maintenance(false));
        world.run(Duration::from_secs(5));
        let roles = (world.role(0), world.role(1));
        assert_eq!(
            roles,
            (RoleName::Backup, RoleName::Backup),
            "nor does it vote"
        );
        let (view, standing) = (world.nodes[0].group.view(), world.nodes[0].group.standing());
        assert_eq!(view.blocked, Some(Blocked::Namesake));
        assert_eq!((view.role, standing.2), (RoleName::Backup, Fitness::Unfit));
        world.step(0, Event::Slot(Tenancy::Settled));
        world.until_master(0, Duration::from_secs(3));
    }
}

#[test]
fn a_master_whose_slot_somebody_else_has_gives_up_at_once_and_one_that_claims_it_goes_on() {
    let mut world = World::pair();
    world.until_master(0, Duration::from_secs(4));
    world.step(0, Event::Slot(Tenancy::Claiming));
    world.run(Duration::from_secs(1));
    assert!(world.is_master(0));
    world.step(0, Event::Slot(Tenancy::Contested));
    assert!(!world.nodes[0].open);
    assert_eq!(world.nodes[0].group.view().cause, Cause::Namesake);
    world.run(Duration::from_secs(5));
    assert_eq!(world.role(0), RoleName::Backup);
    world.step(0, Event::Slot(Tenancy::Settled));
    world.until_master(0, Duration::from_secs(3));
}

#[test]
fn a_start_delay_is_kept() {
    let mut world = delayed();
    world.run(Duration::from_millis(9_900));
    assert_eq!(world.role(0), RoleName::Backup);
    world.until_master(0, P);
}

/// One node whose `start-delay` is 10 s, alone.
fn delayed() -> World {
    let mut world = World::pair();
    world.nodes[1].dead = true;
    world.nodes[1].cut = true;
    let settings = Settings {
        start_delay: Duration::from_secs(10),
        ..*world.nodes[0].group.settings()
    };
    let (group, out) = world.boot(settings);
    world.nodes[0].group = group;
    world.carry_out(0, out);
    world
}

fn reload_start_delay(world: &mut World, start_delay: Duration) {
    let settings = Settings {
        start_delay,
        ..*world.nodes[0].group.settings()
    };
    world.step(0, Event::Settings(settings));
}

#[test]
fn a_start_delay_that_a_reload_shortens_ends_sooner() {
    let mut world = delayed();
    world.run(Duration::from_secs(2));
    reload_start_delay(&mut world, Duration::from_secs(3));
    world.run(ms(900));
    assert_eq!(world.role(0), RoleName::Backup);
    world.until_master(0, P);
    let mut world = delayed();
    world.run(Duration::from_secs(2));
    reload_start_delay(&mut world, Duration::ZERO);
    world.until_master(0, P);
}

#[test]
fn a_start_delay_that_a_reload_lengthens_ends_later() {
    let mut world = delayed();
    world.run(Duration::from_secs(2));
    reload_start_delay(&mut world, Duration::from_secs(20));
    world.run(Duration::from_millis(17_900));
    assert_eq!(world.role(0), RoleName::Backup);
    world.until_master(0, P);
}

#[test]
fn who_stands_rests_when_a_reload_gives_it_a_start_delay() {
    let mut world = World::pair();
    world.nodes[1].dead = true;
    world.nodes[1].cut = true;
    world.run(ms(50));
    assert_eq!(world.role(0), RoleName::Backup);
    reload_start_delay(&mut world, Duration::from_secs(10));
    world.run(Duration::from_secs(9));
    assert_eq!(world.role(0), RoleName::Backup);
    world.until_master(0, Duration::from_secs(2));
}

/// Three nodes, the first one MASTER, whose scripts take 3 s when it is to go.
fn with_scripts(priorities: [u8; 3]) -> World {
    let with_demote = |me: usize| Settings {
        actions: Actions {
            demote: Duration::from_secs(10),
            ..Actions::default()
        },
        ..settings(me as NodeId, priorities[me], 0b111, 0)
    };
    let mut world = World::of((0..3).map(with_demote));
    world.run(Duration::from_secs(4));
    assert_eq!(world.master(), 0);
    world
}

/// Who answers next, and how long nobody did before.
fn who_is_next(world: &mut World) -> (usize, Duration) {
    while world.answering().eq([0]) {
        world.run(TICK);
    }
    let began = world.now;
    while world.answering().next().is_none() {
        world.run(TICK);
    }
    (world.master(), world.now.since(began))
}

/// Law 12.
#[test]
fn a_successor_that_dies_while_the_scripts_run_is_none() {
    let mut world = with_scripts([150, 100, 90]);
    world.step(0, Event::HandOver(Some(1)));
    world.run(ms(500));
    (world.nodes[1].dead, world.nodes[1].cut) = (true, true);
    let (next, silence) = who_is_next(&mut world);
    assert_eq!(next, 2);
    assert!(silence < ms(20), "{silence:?}");
}

#[test]
fn who_asks_for_the_addresses_while_they_are_on_their_way_does_not_get_them() {
    let mut world = with_scripts([100, 90, 80]);
    world.step(0, Event::HandOver(Some(1)));
    world.run(ms(300));
    let better = Settings {
        priority: 200,
        ..*world.nodes[2].group.settings()
    };
    world.step(2, Event::Settings(better));
    assert_eq!(who_is_next(&mut world).0, 1);
}
