//! The scripts of an operator, at each step of a change of role.

use super::*;

const PROMOTE: Duration = Duration::from_secs(10);
const DEMOTE: Duration = Duration::from_secs(4);
const OTHERS: Duration = Duration::from_secs(2);

fn with_scripts() -> Settings {
    Settings {
        actions: Actions {
            promote: PROMOTE,
            demote: DEMOTE,
            others: OTHERS,
        },
        ..settings(100)
    }
}

impl Bench {
    /// A group whose turn it is, and whose scripts run.
    fn promoting(settings: Settings) -> (Self, u64) {
        let mut bench = Self::backup(settings);
        bench.wait(SECOND * 4);
        assert_eq!(bench.role(), RoleName::Candidate);
        let id = bench.asked_for(Act::Promote).expect("scripts first");
        assert_eq!(bench.acquires(), 0, "nothing goes on before");
        (bench, id)
    }

    fn prepared_master(settings: Settings) -> Self {
        let (mut bench, id) = Self::promoting(settings);
        bench.hear(Event::Acted(id, true));
        bench.acquired(Ok(()));
        assert_eq!(bench.role(), RoleName::Master);
        bench.said.clear();
        bench
    }

    fn asked_for(&self, what: Act) -> Option<u64> {
        self.said.iter().find_map(|effect| match effect {
            Effect::Act(id, act) if *act == what => Some(*id),
            _ => None,
        })
    }

    fn silenced(&self) -> Vec<bool> {
        let lost = |effect: &Effect| match effect {
            Effect::Act(_, Act::Silenced { lost }) => Some(*lost),
            _ => None,
        };
        self.said.iter().filter_map(lost).collect()
    }
}

#[test]
fn the_addresses_go_on_when_the_scripts_have_said_yes_and_the_others_are_held_back_meanwhile() {
    let (mut bench, id) = Bench::promoting(with_scripts());
    bench.wait(SECOND * 5);
    assert_eq!(bench.role(), RoleName::Candidate);
    assert!(bench.adverts().len() >= 5, "{:?}", bench.adverts());
    assert_eq!(bench.group.view().acting, Some(Act::Promote));
    bench.hear(Event::Acted(id, true));
    assert_eq!(bench.acquires(), 1);
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Master);
    assert_eq!(bench.group.view().acting, None);
}

#[test]
fn scripts_that_say_no_give_way_to_another_node_for_a_time_that_doubles() {
    let mut bench = Bench::backup(with_scripts());
    for expected in [HOLD_OFF, HOLD_OFF * 2, HOLD_OFF * 4] {
        bench.said.clear();
        bench.wait(SECOND * 4);
        let id = bench.asked_for(Act::Promote).unwrap();
        bench.hear(Event::Acted(id, false));
        assert_eq!(bench.silenced(), [false], "what was begun is undone");
        bench.released(Ok(()));
        let why = Blocked::Promote { late: false };
        assert_eq!(bench.group.view().blocked, Some(why));
        assert!(bench.says(Effect::Advertise { priority: RESIGN }));
        assert_eq!(bench.until_change(), expected);
        assert_eq!(bench.role(), RoleName::Backup);
    }
    assert_eq!(bench.acquires(), 0);
}

#[test]
fn scripts_that_say_nothing_are_waited_for_as_long_as_they_may_take_and_what_runs_before_them() {
    let (mut bench, id) = Bench::promoting(with_scripts());
    // The candidate began up to a second ago.
    let waited = bench.until_change();
    let most = PROMOTE + DEMOTE + OTHERS;
    assert!(waited <= most && waited > most - SECOND * 2, "{waited:?}");
    bench.hear(Event::Acted(id, true));
    assert_eq!(bench.acquires(), 0, "too late");
    bench.released(Ok(()));
    let why = Blocked::Promote { late: true };
    assert_eq!(bench.group.view().blocked, Some(why));
}

#[test]
fn a_better_router_ends_a_promotion_and_an_answer_to_an_older_question_is_none() {
    let (mut bench, id) = Bench::promoting(with_scripts());
    bench.hear(advert(200));
    assert_eq!(bench.role(), RoleName::Releasing);
    assert_eq!(bench.silenced(), [false]);
    bench.hear(Event::Acted(id, true));
    assert_eq!(
        (bench.role(), bench.acquires()),
        (RoleName::Releasing, 0),
        "law 5"
    );
    bench.released(Ok(()));
    bench.said.clear();
    bench.wait(SECOND * 4);
    let again = bench.asked_for(Act::Promote).unwrap();
    assert_ne!(again, id);
    bench.hear(Event::Acted(id, true));
    assert_eq!(bench.acquires(), 0, "an old number");
}

#[test]
fn a_planned_end_waits_for_its_scripts_while_the_addresses_answer() {
    let mut bench = Bench::prepared_master(with_scripts());
    bench.hear(Event::Stop);
    let id = bench.asked_for(Act::Demote).unwrap();
    assert_eq!(bench.role(), RoleName::Master);
    assert_eq!(bench.group.view().leaving, Some(Cause::Stop));
    bench.wait(SECOND * 2);
    assert_eq!(bench.role(), RoleName::Master);
    assert!(bench.adverts().iter().all(|priority| *priority == 100));
    bench.hear(Event::Acted(id, false));
    assert_eq!(bench.role(), RoleName::Releasing, "whatever they say");
    assert!(bench.silenced().is_empty(), "they have prepared it");
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Stopped);
}

#[test]
fn a_planned_end_waits_no_longer_than_its_scripts_may_take() {
    let mut bench = Bench::prepared_master(with_scripts());
    bench.hear(Event::Maintenance(true));
    assert_eq!(bench.until_change(), DEMOTE + OTHERS);
    assert_eq!(bench.group.view().cause, Cause::Maintenance);
}

#[test]
fn who_is_asked_twice_to_go_goes_once_and_for_the_newer_reason() {
    let mut bench = Bench::prepared_master(with_scripts());
    bench.hear(Event::HandOver(None));
    let id = bench.asked_for(Act::Demote).unwrap();
    bench.hear(Event::Stop);
    let asked = |effect: &&Effect| matches!(effect, Effect::Act(..));
    assert_eq!(bench.said.iter().filter(asked).count(), 1);
    bench.hear(Event::Acted(id, true));
    assert_eq!(bench.group.view().cause, Cause::Stop);
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Stopped);
}

#[test]
fn who_loses_the_right_to_answer_waits_for_nothing_and_what_acts_for_it_ends() {
    let gated = Settings {
        lease: Some(SECOND * 2),
        ..with_scripts()
    };
    let mut bench = Bench::prepared_master(gated);
    bench.hear(Event::Lapsed);
    assert_eq!(bench.role(), RoleName::Releasing);
    assert_eq!(bench.silenced(), [true]);

    let mut bench = Bench::prepared_master(gated);
    bench.hear(Event::HandOver(None));
    let id = bench.asked_for(Act::Demote).unwrap();
    bench.hear(Event::GateLost);
    assert_eq!(
        bench.role(),
        RoleName::Releasing,
        "before its scripts are done"
    );
    assert_eq!(bench.silenced(), [true]);
    assert_eq!(bench.group.view().leaving, None);
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
    bench.hear(Event::Acted(id, true));
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn under_vrrp_another_host_that_answers_when_the_scripts_are_done_is_left_alone() {
    let (mut bench, id) = Bench::promoting(with_scripts());
    bench.wait(SECOND * 8);
    // The adverts of neither came through to the other one.
    bench.answered = Some(true);
    bench.hear(Event::Acted(id, true));
    assert_eq!((bench.role(), bench.acquires()), (RoleName::Releasing, 0));
    assert_eq!(bench.silenced(), [false]);

    let (mut bench, id) = Bench::promoting(with_scripts());
    bench.answered = None;
    bench.hear(Event::Acted(id, true));
    assert_eq!(bench.acquires(), 0, "nobody knows yet");
    bench.hear(Event::Acted(id, false));
    bench.wait(LOOK_WITHIN);
    assert_eq!(bench.acquires(), 1, "without an answer nobody answers");
}

#[test]
fn the_addresses_of_their_owner_wait_for_no_scripts() {
    let owner = Settings {
        priority: OWNER,
        ..with_scripts()
    };
    let mut bench = Bench::new(owner);
    bench.released(Ok(()));
    assert_eq!(bench.asked_for(Act::Promote), None);
    assert_eq!(bench.acquires(), 1);
}

#[test]
fn a_gate_that_is_taken_away_ends_a_promotion_before_the_addresses_are_on() {
    let (mut bench, id) = Bench::promoting(Settings {
        lease: Some(SECOND * 2),
        ..with_scripts()
    });
    bench.hear(Event::GateLost);
    assert_eq!(bench.role(), RoleName::Releasing);
    assert_eq!(bench.silenced(), [true]);
    bench.hear(Event::Acted(id, true));
    assert_eq!(bench.acquires(), 0);
}

#[test]
fn a_host_whose_link_is_gone_is_put_in_order_without_being_waited_for() {
    let mut bench = Bench::prepared_master(with_scripts());
    bench.hear(Event::Facts(Facts { link: false, ..UP }));
    assert_eq!(bench.role(), RoleName::Releasing);
    assert_eq!(bench.silenced(), [false]);
}

#[test]
fn a_step_without_scripts_of_its_own_waits_for_nobody() {
    let only_promote = Settings {
        actions: Actions {
            demote: Duration::ZERO,
            ..with_scripts().actions
        },
        ..settings(100)
    };
    let mut bench = Bench::prepared_master(only_promote);
    bench.hear(Event::Stop);
    assert_eq!(bench.role(), RoleName::Releasing);
    assert_eq!(bench.silenced(), [false], "a script may still run");

    let mut bench = Bench::master(Settings {
        actions: Actions {
            others: OTHERS,
            ..Actions::default()
        },
        ..settings(100)
    });
    bench.hear(advert(200));
    assert_eq!(bench.silenced(), [false]);
}
