//! The state machine by the clauses of the RFC and the laws of the design.

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
}

impl Bench {
    fn new(settings: Settings) -> Self {
        let now = Instant::from_nanos(1_000_000_000_000);
        let mut said = Vec::new();
        let group = Group::new(settings, UP, (now, now), &mut said);
        Self { group, now, said }
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
        self.group.step(self.now, event, &mut self.said);
        if self.group.deadline() <= self.now {
            self.group.step(self.now, Event::Tick, &mut self.said);
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

// --- start -------------------------------------------------------------------------------------

#[test]
fn a_group_clears_the_table_before_it_listens() {
    let mut bench = Bench::new(settings(100));
    assert_eq!(bench.role(), RoleName::Init);
    assert!(bench.says(Effect::Release(1)));
    bench.hear(Event::Released(7, Ok(())));
    assert_eq!(
        bench.role(),
        RoleName::Init,
        "a result of another term changes nothing"
    );
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn clearing_the_table_is_repeated_until_it_succeeds() {
    let mut bench = Bench::new(settings(100));
    for _ in 0..5 {
        bench.released(Err(FAULT));
        assert_eq!(bench.role(), RoleName::Init);
        assert_eq!(bench.group.view().blocked, Some(Blocked::Stuck(FAULT)));
        bench.wait(SECOND);
        assert_eq!(bench.group.view().blocked, Some(Blocked::Stuck(FAULT)));
    }
    bench.wait(ANSWER_WITHIN + SECOND);
    assert_eq!(bench.group.view().blocked, Some(Blocked::Stuck(LATE)));
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.group.view().blocked, None);
}

#[test]
fn rfc9568_6_4_1_the_owner_stands_at_once() {
    let bench = Bench::backup(settings(OWNER));
    assert_eq!(bench.role(), RoleName::Candidate);
    assert_eq!(bench.adverts(), [OWNER]);
}

#[test]
fn rfc9568_6_4_1_everyone_else_waits_the_master_down_time() {
    let mut bench = Bench::backup(settings(100));
    assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
    assert_eq!(bench.role(), RoleName::Candidate);
}

#[test]
fn start_delay_holds_whatever_is_heard() {
    let delayed = Settings {
        start_delay: SECOND * 20,
        pair: true,
        ..settings(100)
    };
    let mut bench = Bench::backup(delayed);
    bench.wait(SECOND * 10);
    bench.hear(advert(RESIGN));
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.until_change(), SECOND * 10);
}

#[test]
fn start_delay_counts_from_the_start_of_the_agent() {
    let delayed = Settings {
        start_delay: SECOND * 20,
        ..settings(100)
    };
    for (up_for, wait) in [
        (SECOND * 10, SECOND * 10),
        (SECOND * 60, Duration::from_nanos(3_609_375_000)),
    ] {
        let mut bench = Bench::new(delayed);
        bench.said.clear();
        let times = (bench.now - up_for, bench.now);
        bench.group = Group::new(delayed, UP, times, &mut bench.said);
        bench.released(Ok(()));
        assert_eq!(bench.until_change(), wait, "up for {up_for:?}");
    }
}

// --- BACKUP ------------------------------------------------------------------------------------

#[test]
fn rfc9568_6_4_2_an_advert_of_a_better_or_equal_master_restarts_the_wait() {
    for priority in [100, 101, 255] {
        let mut bench = Bench::backup(settings(100));
        bench.wait(SECOND * 3);
        bench.hear(advert(priority));
        assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
    }
}

#[test]
fn rfc9568_6_4_2_a_v3_backup_adopts_the_interval_of_the_master() {
    let mut bench = Bench::backup(settings(100));
    let interval = SECOND / 10;
    bench.hear(Event::Advert(Heard {
        from: peer(9),
        priority: 200,
        interval,
        lead: true,
    }));
    assert_eq!(bench.until_change(), Duration::from_nanos(360_937_500));
}

#[test]
fn rfc3768_a_v2_backup_keeps_its_own_interval() {
    let mut bench = Bench::backup(Settings {
        version: Version::V2,
        ..settings(100)
    });
    bench.hear(advert(200));
    assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
}

#[test]
fn rfc9568_6_4_2_a_resignation_leaves_the_skew_time() {
    let mut bench = Bench::backup(settings(100));
    bench.hear(advert(200));
    bench.hear(advert(RESIGN));
    bench.hear(advert(RESIGN));
    assert_eq!(bench.until_change(), Duration::from_nanos(609_375_000));
    assert_eq!(bench.group.view().cause, Cause::Resigned { from: peer(9) });
}

#[test]
fn of_two_nodes_the_other_stands_at_once_when_one_resigns() {
    let mut bench = Bench::backup(Settings {
        pair: true,
        ..settings(100)
    });
    bench.hear(advert(200));
    bench.hear(advert(RESIGN));
    assert_eq!(bench.role(), RoleName::Candidate);
    assert_eq!(bench.acquires(), 1);
}

#[test]
fn without_preempt_a_worse_master_is_followed() {
    let mut bench = Bench::backup(Settings {
        preempt: false,
        ..settings(100)
    });
    for _ in 0..10 {
        bench.hear(advert(50));
        bench.wait(SECOND);
    }
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.until_change(), Duration::from_nanos(2_609_375_000));
}

#[test]
fn with_preempt_a_worse_master_does_not_restart_the_wait() {
    let mut bench = Bench::backup(settings(100));
    for _ in 0..3 {
        bench.wait(SECOND);
        bench.hear(advert(50));
    }
    assert_eq!(bench.until_change(), Duration::from_nanos(609_375_000));
    let cause = Cause::Preempting {
        from: peer(9),
        priority: 50,
    };
    assert_eq!(bench.group.view().cause, cause);
}

#[test]
fn preempt_delay_starts_with_the_first_worse_advert() {
    let delayed = Settings {
        preempt_delay: SECOND * 10,
        ..settings(100)
    };
    let mut bench = Bench::backup(delayed);
    for _ in 0..10 {
        bench.hear(advert(50));
        assert_eq!(bench.role(), RoleName::Backup);
        bench.wait(SECOND - Duration::from_millis(1));
    }
    assert!(bench.until_change() <= Duration::from_millis(10));
}

#[test]
fn preempt_delay_does_not_delay_the_answer_to_silence() {
    let delayed = Settings {
        preempt_delay: SECOND * 60,
        ..settings(100)
    };
    let mut bench = Bench::backup(delayed);
    bench.hear(advert(50));
    assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
}

#[test]
fn law_1_a_master_whose_advert_is_due_says_it_before_it_hears() {
    let mut bench = Bench::master(settings(100));
    bench.now = bench.group.deadline();
    bench.hear(advert(200));
    assert_eq!(bench.adverts(), [100], "it spoke first, then heard");
    assert_eq!(bench.role(), RoleName::Releasing);
}

#[test]
fn what_came_before_a_backup_stands_counts_though_the_wait_was_over() {
    let mut bench = Bench::backup(settings(100));
    bench.now = bench.now + SECOND * 4;
    bench.hear(advert(200));
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
}

#[test]
fn only_the_time_makes_a_backup_stand() {
    let mut bench = Bench::backup(settings(100));
    let later = bench.group.deadline();
    let hear = |bench: &mut Bench, event| bench.group.step(later, event, &mut bench.said);
    hear(&mut bench, advert(50));
    hear(&mut bench, Event::AddressLost);
    assert_eq!(bench.role(), RoleName::Backup, "more may wait to be heard");
    hear(&mut bench, Event::Tick);
    assert_eq!(bench.role(), RoleName::Candidate);
}

#[test]
fn a_backup_that_is_an_interval_late_listens_again() {
    let (wait, bit) = (
        Duration::from_nanos(3_609_375_000),
        Duration::from_millis(1),
    );
    for (late, stands) in [(SECOND, true), (SECOND + bit, false)] {
        let mut bench = Bench::backup(settings(100));
        bench.now = bench.now + wait + late;
        bench.hear(Event::Tick);
        assert_eq!(bench.role() == RoleName::Candidate, stands, "{late:?} late");
        assert_eq!(bench.until_change() == wait, !stands, "{late:?} late");
    }
}

#[test]
fn a_candidate_that_hears_of_a_resignation_late_was_away() {
    let mut bench = Bench::backup(settings(200));
    for _ in 0..4 {
        bench.hear(advert(100));
        bench.wait(SECOND);
    }
    assert_eq!(bench.role(), RoleName::Candidate);
    bench.said.clear();
    let came = bench.now + SECOND / 10;
    let resignation = advert(RESIGN);
    bench.group.step(came, resignation, &mut bench.said);
    bench.now = bench.now + SECOND * 10;
    bench.hear(Event::Tick);
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!((bench.acquires(), bench.adverts()), (0, vec![]));
}

// --- what is not silence ------------------------------------------------------------------------

#[test]
fn law_10_nobody_is_promoted_while_frames_that_disagree_arrive() {
    let mut bench = Bench::backup(settings(100));
    let conflict = Event::Conflict {
        from: peer(9),
        field: ConflictField::Interval,
        interval: SECOND,
    };
    for _ in 0..20 {
        bench.hear(conflict);
        bench.wait(SECOND * 2);
    }
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(
        bench.alarms().len(),
        4,
        "said now and then, not with every frame"
    );
    assert_eq!(bench.until_change(), Duration::from_nanos(1_609_375_000));
}

#[test]
fn law_10_who_disagrees_is_waited_for_by_the_longer_interval() {
    for (version, theirs, wait) in [
        (Version::V3, SECOND * 5, 18_046_875_000),
        (Version::V2, SECOND * 5, 15_609_375_000),
        (Version::V3, SECOND / 10, 3_609_375_000),
    ] {
        let mut bench = Bench::backup(Settings {
            version,
            ..settings(100)
        });
        let conflict = |interval| Event::Conflict {
            from: peer(9),
            field: ConflictField::Version,
            interval,
        };
        bench.hear(conflict(theirs));
        // Somebody else's shorter one does not shorten it, and a resignation does not either.
        bench.hear(conflict(SECOND));
        bench.hear(advert(RESIGN));
        assert_eq!(bench.until_change(), Duration::from_nanos(wait));
    }
}

#[test]
fn law_10_who_serves_goes_on_serving_in_conflict() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::Conflict {
        from: peer(9),
        field: ConflictField::Version,
        interval: SECOND,
    });
    bench.hear(Event::Unauthentic { from: peer(9) });
    assert_eq!(bench.role(), RoleName::Master);
}

#[test]
fn law_10_a_frame_that_fails_authentication_delays_once() {
    let mut bench = Bench::backup(settings(100));
    let mut waited = Duration::ZERO;
    while bench.role() == RoleName::Backup {
        bench.hear(Event::Unauthentic { from: peer(9) });
        bench.wait(SECOND / 10);
        waited += SECOND / 10;
    }
    assert!(waited < SECOND * 8, "{waited:?}");
    assert_eq!(bench.role(), RoleName::Candidate);
}

// --- CANDIDATE ---------------------------------------------------------------------------------

#[test]
fn law_6_adverts_go_out_from_the_claim_on_and_master_is_said_after_the_read_back() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    bench.wait(SECOND * 2);
    assert_eq!(bench.adverts(), [100; 3]);
    assert_eq!(bench.role(), RoleName::Candidate);
    assert_eq!(bench.announces(), 0);
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Master);
    assert_eq!(bench.announces(), 1);
}

#[test]
fn law_6_a_claim_on_a_living_master_waits_for_its_resignation() {
    let mut bench = Bench::backup(settings(100));
    bench.wait(SECOND * 3);
    bench.hear(advert(50));
    bench.until_change();
    assert_eq!((bench.role(), bench.acquires()), (RoleName::Candidate, 0));
    assert_eq!(bench.adverts(), [100]);
    bench.hear(advert(RESIGN));
    assert_eq!(bench.acquires(), 1);
    assert_eq!(
        bench.adverts(),
        [100, 100],
        "a third router must not take the resignation as ours"
    );
}

#[test]
fn law_6_a_claim_on_a_living_master_goes_on_after_an_interval_without_its_adverts() {
    let mut bench = Bench::backup(settings(100));
    bench.wait(SECOND * 3);
    bench.hear(advert(50));
    bench.until_change();
    let began = bench.now;
    while bench.acquires() == 0 {
        bench.now = bench.group.deadline();
        bench.hear(Event::Tick);
    }
    assert_eq!(bench.now.since(began), Duration::from_nanos(640_625_000));
}

#[test]
fn a_living_master_that_does_not_hear_us_is_not_joined_but_reported() {
    let mut bench = Bench::backup(settings(100));
    for _ in 0..60 {
        bench.hear(advert(50));
        bench.wait(SECOND);
    }
    assert_eq!(bench.acquires(), 0);
    let gave_up = bench.said.iter().any(|effect| {
        matches!(
            effect,
            Effect::Report(Report::Role {
                cause: Cause::NotHeard { .. },
                ..
            })
        )
    });
    assert!(gave_up);
}

#[test]
fn a_candidate_gives_way_to_a_better_one() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    bench.hear(advert(101));
    assert_eq!(bench.role(), RoleName::Releasing);
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn never_master_without_its_addresses() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    for _ in 0..ATTEMPTS {
        assert_eq!(bench.role(), RoleName::Candidate);
        bench.acquired(Err(FAULT));
        bench.wait(ATTEMPT_PAUSE);
    }
    assert_eq!(bench.role(), RoleName::Releasing);
    bench.said.clear();
    bench.released(Ok(()));
    assert_eq!(bench.adverts(), [RESIGN]);
    assert_eq!(bench.role(), RoleName::Fault);
    assert_eq!(bench.group.view().blocked, Some(Blocked::Addresses(FAULT)));
    assert_eq!(bench.until_change() + ATTEMPT_PAUSE, HOLD_OFF);
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn who_could_not_hold_the_addresses_does_not_push_a_living_master_aside() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    for _ in 0..ATTEMPTS {
        bench.acquired(Err(FAULT));
        bench.wait(ATTEMPT_PAUSE);
    }
    bench.released(Ok(()));
    for _ in 0..30 {
        bench.hear(advert(50));
        bench.wait(SECOND);
    }
    assert_eq!(bench.role(), RoleName::Backup);
    bench.until_change();
    bench.acquired(Ok(()));
    assert_eq!(
        bench.role(),
        RoleName::Master,
        "but it serves when nobody else does"
    );
}

#[test]
fn a_change_of_addresses_without_an_answer_counts_as_failed() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    bench.wait((ANSWER_WITHIN + ATTEMPT_PAUSE) * ATTEMPTS);
    assert_eq!(bench.role(), RoleName::Releasing);
}

// --- MASTER ------------------------------------------------------------------------------------

#[test]
fn rfc9568_6_4_3_a_master_advertises_every_interval() {
    let mut bench = Bench::master(settings(100));
    bench.wait(SECOND * 10);
    assert_eq!(bench.adverts(), [100; 10]);
}

#[test]
fn groups_of_one_interval_share_the_beats_of_their_phase() {
    let phase = Duration::from_millis(250);
    let mut bench = Bench::backup(Settings {
        phase,
        ..settings(100)
    });
    bench.until_change();
    let claimed = bench.now.as_nanos();
    let beats: Vec<u64> = std::iter::repeat_with(|| {
        bench.now = bench.group.deadline();
        bench.hear(Event::Tick);
        bench.now.as_nanos()
    })
    .take(3)
    .collect();
    assert!(
        beats[0] - claimed <= 1_000_000_000,
        "never more than an interval without an advert"
    );
    assert!(
        beats.iter().all(|beat| beat % 1_000_000_000 == 250_000_000),
        "{beats:?}"
    );
}

#[test]
fn an_address_lost_right_after_the_read_back_is_put_back() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    bench.hear(Event::AddressLost);
    bench.acquired(Ok(()));
    assert_eq!((bench.role(), bench.acquires()), (RoleName::Master, 2));
}

#[test]
fn of_two_nodes_a_stranger_does_not_make_the_other_stand_at_once() {
    let mut bench = Bench::backup(Settings {
        pair: true,
        ..settings(100)
    });
    bench.hear(advert_from(9, 200));
    bench.wait(SECOND * 2);
    bench.hear(advert_from(8, RESIGN));
    assert_eq!(bench.until_change(), Duration::from_nanos(609_375_000));
}

#[test]
fn a_living_master_with_a_longer_interval_is_given_the_time_to_go() {
    let slow = |priority| {
        Event::Advert(Heard {
            from: peer(9),
            priority,
            interval: SECOND,
            lead: true,
        })
    };
    let mut bench = Bench::backup(Settings {
        interval: SECOND / 10,
        ..settings(150)
    });
    bench.wait(SECOND / 4);
    bench.hear(slow(100));
    bench.until_change();
    bench.wait(SECOND * 5 / 4);
    assert_eq!((bench.role(), bench.acquires()), (RoleName::Candidate, 1));
}

#[test]
fn law_5_a_result_of_an_old_term_changes_nothing() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    let old = bench.group.term;
    bench.hear(Event::AddressesChanged);
    bench.hear(Event::Acquired(old, Ok(())));
    assert_eq!(bench.role(), RoleName::Candidate, "of other addresses");
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Master);

    bench.hear(Event::AddressLost);
    let old = bench.group.term;
    bench.hear(Event::AddressesChanged);
    bench.hear(Event::Acquired(old, Ok(())));
    assert_eq!(bench.announces(), 1, "they are not all back");

    bench.hear(Event::Stop);
    let old = bench.group.term;
    bench.wait(ANSWER_WITHIN + SECOND);
    assert!(bench.group.term > old, "it was asked for again");
    bench.hear(Event::Released(old, Ok(())));
    assert_eq!(bench.role(), RoleName::Releasing);
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Stopped);
}

#[test]
fn law_5_a_result_counts_once() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    for _ in 0..ATTEMPTS {
        bench.acquired(Err(FAULT));
    }
    assert_eq!(bench.role(), RoleName::Candidate);
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Candidate, "it had failed");
}

#[test]
fn work_that_takes_long_is_not_late() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    for _ in 0..60 {
        bench.hear(Event::Working(bench.group.term));
        bench.wait(SECOND);
    }
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Master);
    bench.hear(Event::Stop);
    for _ in 0..60 {
        bench.hear(Event::Working(bench.group.term));
        bench.wait(SECOND);
    }
    assert_eq!(bench.role(), RoleName::Releasing);
}

#[test]
fn law_5_work_on_an_old_term_does_not_count() {
    let mut bench = Bench::new(settings(100));
    let old = bench.group.term;
    bench.wait(ANSWER_WITHIN + SCRUB_PAUSE);
    assert_eq!(bench.group.term, old + 1, "it was asked for again");
    for _ in 0..=ANSWER_WITHIN.as_secs() {
        bench.hear(Event::Working(old));
        bench.wait(SECOND);
    }
    assert_eq!(bench.group.term, old + 2, "nobody works on the second");
}

#[test]
fn what_a_stranger_causes_does_not_fill_the_log() {
    let mut bench = Bench::master(settings(100));
    for last in 0..=255 {
        bench.hear(Event::OwnAdvert { from: peer(last) });
        bench.hear(advert_from(last, 1 + last / 4));
    }
    assert_eq!(bench.alarms().len(), 2);
}

#[test]
fn a_resignation_of_somebody_else_is_not_the_silence_of_the_master() {
    let mut bench = Bench::backup(settings(100));
    bench.hear(advert_from(9, 200));
    bench.hear(advert_from(8, 150));
    bench.hear(advert_from(8, RESIGN));
    assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
}

#[test]
fn a_router_with_two_lines_has_resigned_when_both_say_so() {
    let mut bench = Bench::backup(settings(100));
    bench.hear(advert_from(9, 200));
    bench.hear(advert_from(8, 200));
    bench.hear(advert_from(9, RESIGN));
    bench.hear(advert_from(8, RESIGN));
    assert_eq!(bench.until_change(), Duration::from_nanos(609_375_000));
}

#[test]
fn law_10_a_resignation_does_not_shorten_the_wait_after_a_conflict() {
    let mut bench = Bench::backup(Settings {
        pair: true,
        ..settings(100)
    });
    bench.hear(advert(200));
    bench.hear(Event::Conflict {
        from: peer(8),
        field: ConflictField::Version,
        interval: SECOND,
    });
    bench.hear(advert(RESIGN));
    assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
}

#[test]
fn law_10_a_conflict_counts_whatever_the_role_was_when_it_came() {
    let mut bench = Bench::new(settings(OWNER));
    bench.hear(Event::Conflict {
        from: peer(8),
        field: ConflictField::Version,
        interval: SECOND,
    });
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
    assert!(bench.until_change() > SECOND * 3);
}

#[test]
fn a_candidate_that_was_away_does_not_speak_as_if_it_were_not() {
    let mut bench = Bench::backup(settings(200));
    bench.until_change();
    bench.said.clear();
    bench.now = bench.now + SECOND * 8;
    bench.hear(Event::Tick);
    assert_eq!(
        (bench.role(), bench.adverts()),
        (RoleName::Releasing, vec![])
    );
}

#[test]
fn who_was_away_while_releasing_does_not_hold_the_others_back() {
    let mut bench = Bench::master(settings(200));
    bench.hear(Event::Stop);
    bench.now = bench.now + SECOND * 8;
    bench.hear(Event::Tick);
    bench.wait(SECOND * 3);
    assert!(bench.adverts().is_empty());
}

#[test]
fn a_stop_ends_even_when_the_table_cannot_be_cleared() {
    let mut bench = Bench::new(settings(100));
    bench.hear(Event::Stop);
    bench.released(Err(FAULT));
    bench.wait(RELEASE_WITHIN + SECOND);
    assert_eq!(bench.role(), RoleName::Stopped);
    assert!(
        bench.adverts().is_empty(),
        "who never claimed anything has nothing to resign"
    );
}

#[test]
fn rfc9568_6_4_3_a_master_answers_a_resignation_with_an_advert() {
    let mut bench = Bench::master(settings(100));
    bench.hear(advert(RESIGN));
    assert_eq!(bench.adverts(), [100]);
    assert_eq!(bench.role(), RoleName::Master);
}

#[test]
fn rfc9568_6_4_3_the_better_of_two_masters_stays_and_announces_again() {
    let mut bench = Bench::master(settings(100));
    bench.wait(SECOND * 2);
    bench.said.clear();
    bench.hear(advert(99));
    assert_eq!((bench.adverts(), bench.announces()), (vec![100], 1));
    bench.hear(advert(RESIGN));
    bench.said.clear();
    bench.wait(ANNOUNCE_PAUSE);
    assert_eq!(
        bench.announces(),
        1,
        "the loser is off now; who asked before may have it wrong"
    );
    assert_eq!(bench.role(), RoleName::Master);
}

#[test]
fn a_flood_of_worse_adverts_is_not_answered_by_a_flood() {
    let mut bench = Bench::master(settings(100));
    bench.wait(SECOND * 2);
    bench.said.clear();
    for _ in 0..1000 {
        bench.hear(advert(99));
    }
    assert_eq!((bench.adverts().len(), bench.announces()), (1, 1));
}

#[test]
fn rfc9568_6_4_3_equal_priorities_are_decided_by_the_address() {
    let mut bench = Bench::master(settings(100));
    bench.hear(advert_from(4, 100));
    assert_eq!(bench.role(), RoleName::Master);
    bench.hear(advert_from(6, 100));
    assert_eq!(bench.role(), RoleName::Releasing);
}

#[test]
fn only_the_leading_line_decides_between_equal_priorities() {
    let mut bench = Bench::master(settings(100));
    let from: IpAddr = "fe80::9".parse().unwrap();
    bench.hear(Event::Advert(Heard {
        from,
        priority: 100,
        interval: SECOND,
        lead: false,
    }));
    assert_eq!(bench.role(), RoleName::Master);
    bench.hear(Event::Advert(Heard {
        from,
        priority: 101,
        interval: SECOND,
        lead: false,
    }));
    assert_eq!(bench.role(), RoleName::Releasing);
}

#[test]
fn an_advert_with_our_own_address_is_an_alarm_and_nothing_else() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::OwnAdvert { from: OURS });
    assert_eq!(bench.role(), RoleName::Master);
    assert_eq!(bench.alarms(), [Alarm::OwnAdvert { from: OURS }]);
}

#[test]
fn law_6_who_is_outranked_is_silent_until_the_addresses_are_off_and_then_resigns() {
    let mut bench = Bench::master(settings(100));
    bench.hear(advert(200));
    bench.wait(SECOND * 3);
    assert!(bench.adverts().is_empty());
    bench.released(Ok(()));
    assert_eq!(bench.adverts(), [RESIGN]);
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn law_6_who_stops_advertises_until_the_addresses_are_off_and_then_resigns() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::Stop);
    assert!(bench.says(Effect::Hush));
    bench.wait(SECOND * 3);
    assert_eq!(bench.adverts(), [100; 3]);
    bench.released(Ok(()));
    assert_eq!(bench.adverts(), [100, 100, 100, RESIGN]);
    assert_eq!(bench.role(), RoleName::Stopped);
    assert_eq!(bench.group.deadline(), Instant::NEVER);
}

#[test]
fn addresses_that_will_not_come_off_are_tried_again_and_never_resigned() {
    let mut bench = Bench::master(settings(100));
    bench.hear(advert(200));
    for _ in 0..200 {
        bench.released(Err(FAULT));
        bench.wait(ATTEMPT_PAUSE);
    }
    assert!(bench.adverts().is_empty());
    assert_eq!(bench.role(), RoleName::Releasing);
    assert_eq!(
        bench.group.view().cause,
        Cause::Blocked(Blocked::Stuck(LATE))
    );
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn a_stop_ends_even_when_the_addresses_will_not_come_off() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::Stop);
    bench.wait(RELEASE_WITHIN + SECOND);
    assert_eq!(bench.role(), RoleName::Stopped);
    assert!(!bench.adverts().contains(&RESIGN));
}

#[test]
fn a_deleted_address_is_put_back_without_a_change_of_role() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::AddressLost);
    bench.hear(Event::AddressLost);
    assert_eq!((bench.role(), bench.acquires()), (RoleName::Master, 1));
    bench.acquired(Ok(()));
    assert_eq!(bench.acquires(), 2, "another was lost meanwhile");
    bench.acquired(Ok(()));
    assert_eq!(
        (bench.role(), bench.group.view().restored),
        (RoleName::Master, 1)
    );
    assert_eq!(bench.announces(), 2);
}

#[test]
fn one_flush_is_one_loss_however_often_it_looks() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::AddressLost);
    for _ in 0..3 * FIGHT_BUDGET {
        bench.hear(Event::AddressLost);
        bench.wait(ONE_LOSS / (4 * FIGHT_BUDGET));
        bench.acquired(Ok(()));
    }
    bench.acquired(Ok(()));
    assert_eq!(bench.group.view().restored, 1);
    assert_eq!(bench.acquires(), 1 + 3 * FIGHT_BUDGET as usize);
    bench.wait(ONE_LOSS);
    bench.hear(Event::AddressLost);
    assert_eq!(bench.group.view().restored, 2);
}

#[test]
fn a_persistent_fight_over_the_addresses_ends_in_a_yield() {
    let mut bench = Bench::master(settings(100));
    let mut rounds = 0;
    while bench.role() == RoleName::Master && rounds <= 2 * FIGHT_BUDGET {
        bench.hear(Event::AddressLost);
        bench.acquired(Ok(()));
        bench.wait(SECOND / 10);
        rounds += 1;
    }
    assert_eq!(rounds, FIGHT_BUDGET + 1);
    bench.said.clear();
    bench.released(Ok(()));
    assert_eq!(bench.adverts(), [RESIGN]);
    assert_eq!(bench.group.view().blocked, Some(Blocked::Fight));
    bench.until_change();
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn a_fight_in_which_no_restore_is_in_time_ends_too() {
    let mut bench = Bench::master(settings(100));
    let began = bench.now;
    bench.hear(Event::AddressLost);
    while bench.role() == RoleName::Master {
        bench.hear(Event::AddressLost);
        bench.wait(SECOND / 100);
        bench.acquired(Ok(()));
    }
    assert!(bench.now.since(began) < FIGHT_WINDOW);
}

#[test]
fn now_and_then_a_deletion_is_not_a_fight() {
    let mut bench = Bench::master(settings(100));
    for _ in 0..100 {
        bench.hear(Event::AddressLost);
        bench.acquired(Ok(()));
        bench.wait(SECOND * 2);
    }
    assert_eq!(bench.role(), RoleName::Master);
}

#[test]
fn a_master_that_was_away_for_as_long_as_the_others_wait_gives_way_and_listens() {
    let mut bench = Bench::master(Settings {
        preempt: false,
        ..settings(200)
    });
    bench.now = bench.now + SECOND * 8;
    bench.hear(Event::Tick);
    assert_eq!(bench.role(), RoleName::Releasing);
    assert!(
        !bench.adverts().contains(&200),
        "others may be MASTER by now"
    );
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
    bench.hear(advert(100));
    bench.wait(SECOND);
    bench.hear(advert(100));
    bench.wait(SECOND);
    assert_eq!(
        bench.role(),
        RoleName::Backup,
        "without preempt the new MASTER stays"
    );
}

#[test]
fn a_master_that_was_away_alone_is_back_after_little_more_than_an_interval() {
    let mut bench = Bench::master(settings(200));
    bench.now = bench.now + SECOND * 8;
    bench.hear(Event::Tick);
    bench.released(Ok(()));
    assert!(bench.until_change() < SECOND * 2);
}

#[test]
fn a_short_delay_is_not_an_absence() {
    let mut bench = Bench::master(Settings {
        misses: 1,
        ..settings(200)
    });
    for _ in 0..10 {
        bench.now = bench.group.deadline() + SECOND / 2;
        bench.hear(Event::Tick);
    }
    assert_eq!(bench.role(), RoleName::Master);
}

// --- links, settings, stop ----------------------------------------------------------------------

#[test]
fn a_master_without_link_takes_its_addresses_off_and_is_back_after_the_wait() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::Facts(Facts { link: false, ..UP }));
    assert_eq!(bench.role(), RoleName::Releasing);
    bench.released(Ok(()));
    assert_eq!(bench.group.view().blocked, Some(Blocked::Link));
    bench.hear(Event::Facts(UP));
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.until_change(), Duration::from_nanos(3_609_375_000));
}

#[test]
fn a_link_that_comes_back_while_the_addresses_go_off_is_no_fault() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::Facts(Facts { link: false, ..UP }));
    bench.hear(Event::Facts(UP));
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn a_backup_without_an_address_to_send_from_waits_for_one_visibly() {
    let mut bench = Bench::backup(settings(100));
    bench.hear(Event::Facts(Facts {
        link: true,
        source: None,
    }));
    assert_eq!(bench.group.view().blocked, Some(Blocked::Source));
    bench.wait(SECOND * 100);
    assert_eq!(bench.role(), RoleName::Fault);
    bench.hear(Event::Facts(UP));
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn new_settings_do_not_move_the_addresses() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::Settings(settings(90)));
    assert_eq!(bench.role(), RoleName::Master);
    assert_eq!(bench.adverts(), [90], "the others learn it at once");
    bench.hear(Event::AddressesChanged);
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Master);
    assert_eq!(bench.group.view().restored, 0);
}

#[test]
fn a_claim_that_is_stopped_before_it_holds_anything_resigns() {
    let mut bench = Bench::backup(settings(100));
    bench.wait(SECOND * 3);
    bench.hear(advert(50));
    bench.until_change();
    bench.hear(Event::Stop);
    assert_eq!(bench.adverts(), [100, RESIGN]);
    assert_eq!(bench.role(), RoleName::Stopped);
}

#[test]
fn a_stop_ends_every_role() {
    for link in [true, false] {
        let mut bench = Bench::backup(settings(100));
        bench.hear(Event::Facts(Facts { link, ..UP }));
        bench.hear(Event::Stop);
        assert_eq!(bench.role(), RoleName::Stopped);
    }
    let mut bench = Bench::new(settings(100));
    bench.hear(Event::Stop);
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Stopped);
}

#[test]
fn a_host_that_answers_for_thousands_of_addresses_is_master_before_the_last_is_on() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    let term = bench.group.term;
    bench.hear(Event::Answering(term));
    assert_eq!(bench.role(), RoleName::Master);
    assert_eq!(bench.group.view().cause, Cause::Answering);
    let announced = |bench: &Bench| bench.said.contains(&Effect::Announce(term));
    assert!(announced(&bench));

    bench.said.clear();
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Master);
    assert!(!announced(&bench), "the neighbours know already");
    let view = bench.group.view();
    assert_eq!((view.promotions, view.restored), (1, 0));
}

#[test]
fn a_master_whose_last_addresses_do_not_go_on_gives_way() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    bench.hear(Event::Answering(bench.group.term));
    for _ in 0..10 {
        bench.acquired(Err(FAULT));
        bench.wait(SECOND);
    }
    let cause = bench.group.view().cause;
    assert_eq!(cause, Cause::Blocked(Blocked::Addresses(FAULT)));
    assert_eq!(bench.role(), RoleName::Releasing);
}

#[test]
fn answering_under_an_old_term_changes_nothing() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    let old = bench.group.term;
    bench.hear(Event::AddressesChanged);
    assert_ne!(bench.group.term, old);
    bench.hear(Event::Answering(old));
    assert_eq!(bench.role(), RoleName::Candidate);
}

#[test]
fn an_address_that_is_lost_while_the_last_go_on_is_put_back_after_them() {
    let mut bench = Bench::backup(settings(100));
    bench.until_change();
    bench.hear(Event::Answering(bench.group.term));
    bench.said.clear();
    bench.hear(Event::AddressLost);
    assert_eq!(bench.said, [], "one change at a time");
    bench.acquired(Ok(()));
    assert!(bench.said.contains(&Effect::Acquire(bench.group.term)));
    assert_eq!(bench.role(), RoleName::Master);
}

#[test]
fn a_worse_master_that_falls_silent_is_waited_for_like_any_other() {
    // A better node comes up beside a MASTER that dies shortly before it would ask.
    let mut bench = Bench::backup(settings(150));
    bench.wait(Duration::from_millis(1900));
    bench.hear(advert(100));
    let down = election::master_down(Version::V3, 150, SECOND, 3);
    assert_eq!(bench.until_change(), down);
    assert_eq!(bench.role(), RoleName::Candidate);
    assert!(matches!(bench.group.view().cause, Cause::Silence { .. }));
    assert!(bench.said.contains(&Effect::Acquire(bench.group.term)));
}

const LEASE: Duration = Duration::from_millis(2919);

fn leased(priority: u8) -> Settings {
    Settings {
        lease: Some(LEASE),
        ..settings(priority)
    }
}

fn place(said: &[Effect], what: impl Fn(&Effect) -> bool) -> usize {
    let found = said.iter().position(what);
    found.unwrap_or_else(|| panic!("not among {said:?}"))
}

#[test]
fn law_2_every_advert_renews_the_lease_from_before_it_is_sent() {
    let mut bench = Bench::master(leased(100));
    for _ in 0..3 {
        bench.said.clear();
        bench.now = bench.group.deadline();
        bench.hear(Event::Tick);
        let advert = place(&bench.said, |e| matches!(e, Effect::Advertise { .. }));
        assert_eq!(bench.said[advert + 1], Effect::Renew(bench.now + LEASE));
    }
}

#[test]
fn law_6_the_gate_opens_after_the_read_back_and_before_the_announcement() {
    let mut bench = Bench::backup(leased(100));
    bench.until_change();
    assert!(!bench.said.contains(&Effect::Open));
    bench.said.clear();
    bench.acquired(Ok(()));
    let open = place(&bench.said, |e| *e == Effect::Open);
    let announce = place(&bench.said, |e| matches!(e, Effect::Announce(_)));
    let report = place(&bench.said, |e| matches!(e, Effect::Report(_)));
    assert!(open < announce && announce < report, "{:?}", bench.said);
}

#[test]
fn law_6_closed_counts_as_off_and_the_gate_is_disarmed_after_the_read_back() {
    for cause in [Event::Stop, advert(200)] {
        let mut bench = Bench::master(leased(100));
        bench.hear(cause);
        let release = place(&bench.said, |e| matches!(e, Effect::Release(_)));
        let resign = place(&bench.said, |e| *e == Effect::Advertise { priority: 0 });
        assert!(release < resign, "shut first: {:?}", bench.said);
        assert!(!bench.said.contains(&Effect::Disarm));
        bench.said.clear();
        bench.wait(SECOND * 2);
        assert_eq!(bench.said, [], "it is silent until the addresses are off");
        bench.released(Ok(()));
        assert!(bench.said.contains(&Effect::Disarm));
        assert_eq!(bench.adverts(), [0_u8; 0], "the others know");
    }
}

#[test]
fn without_its_gate_closed_does_not_count_as_off() {
    let mut bench = Bench::master(leased(100));
    bench.hear(Event::GateLost);
    assert_eq!(bench.role(), RoleName::Releasing);
    assert_eq!(bench.group.view().cause, Cause::GateLost);
    bench.wait(SECOND * 2);
    assert_eq!(bench.adverts(), [100, 100], "nobody takes over yet");
    bench.released(Ok(()));
    assert_eq!(bench.adverts(), [100, 100, 0]);
}

#[test]
fn a_gate_that_nobody_asked_for_cannot_be_lost() {
    let mut bench = Bench::master(settings(100));
    bench.hear(Event::GateLost);
    assert_eq!(bench.role(), RoleName::Master);
    let mut bench = Bench::backup(leased(100));
    bench.hear(Event::GateLost);
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn a_lease_that_has_ended_ends_the_role() {
    let mut bench = Bench::master(leased(100));
    bench.hear(Event::Lapsed);
    assert_eq!(bench.role(), RoleName::Releasing);
    assert_eq!(bench.group.view().cause, Cause::Lapsed);
    let mut bench = Bench::backup(leased(100));
    bench.hear(Event::Lapsed);
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn a_master_whose_lease_ended_in_a_pause_does_not_renew_it() {
    let advert_at = |bench: &Bench| bench.group.deadline() - SECOND;
    let mut bench = Bench::master(leased(100));
    bench.now = advert_at(&bench) + LEASE;
    bench.said.clear();
    bench.hear(Event::Tick);
    assert_eq!(bench.role(), RoleName::Releasing);
    assert!(!bench.said.iter().any(|e| matches!(e, Effect::Renew(_))));

    let mut bench = Bench::master(leased(100));
    bench.now = advert_at(&bench) + LEASE - Duration::from_millis(1);
    bench.hear(Event::Tick);
    assert_eq!(bench.role(), RoleName::Master);
}

#[test]
fn what_a_dead_agent_left_is_disarmed_when_it_is_off() {
    let mut bench = Bench::new(leased(100));
    assert!(!bench.said.contains(&Effect::Disarm));
    bench.released(Ok(()));
    assert!(bench.said.contains(&Effect::Disarm));
}
