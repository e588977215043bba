//! Who holds under VRRP, where a disk must vote for it or a reference must answer?

use super::*;
use crate::core::lease;

const LONG: Duration = Duration::from_secs(3600);

fn with_disk(priority: u8) -> Settings {
    Settings {
        lease: Some(SECOND * 2),
        arbiter: true,
        ..settings(priority)
    }
}

fn with_reference(priority: u8) -> Settings {
    Settings {
        lease: Some(SECOND * 2),
        reference: Some(Reference { solo_after: None }),
        ..settings(priority)
    }
}

impl Bench {
    /// A BACKUP whose disk can be read and written.
    fn sound(settings: Settings) -> Self {
        let mut bench = Self::backup(settings);
        bench.hear(Event::ArbiterSound(true));
        bench
    }

    /// The ticket that the disk has, if it has one.
    fn ticket(&self) -> Option<u64> {
        self.said.iter().fold(None, |ticket, effect| match effect {
            Effect::Contend(ticket, _) => Some(*ticket),
            Effect::Withdraw(_) => None,
            _ => ticket,
        })
    }

    fn vote(&mut self, length: Duration) {
        let ticket = self.ticket().expect("it has asked");
        let until = self.now + length;
        self.hear(Event::Vote(lease::Event::Arbiter(ticket, until)));
    }

    fn proven(&mut self) {
        self.hear(Event::Proven(self.now));
    }

    /// The reference answers all the time.
    fn wait_proven(&mut self, length: Duration) {
        let end = self.now + length;
        while self.now < end {
            self.proven();
            self.wait(SECOND / 4);
        }
    }

    /// As the gate was told last.
    fn warranted_until(&self) -> Instant {
        let until = |effect: &Effect| match effect {
            Effect::Warrant(until) => Some(*until),
            _ => None,
        };
        let told = self.said.iter().rev().find_map(until);
        told.expect("it is told at the start")
    }

    /// A MASTER by the disk's vote, which lasts for so long.
    fn voted(settings: Settings, length: Duration) -> Self {
        let mut bench = Self::backup(settings);
        bench.wait(SECOND * 4);
        bench.vote(length);
        bench.wait(SECOND / 10);
        bench.acquired(Ok(()));
        assert_eq!(bench.role(), RoleName::Master);
        bench
    }
}

#[test]
fn silence_is_not_enough_without_the_disks_vote_and_nothing_is_said_meanwhile() {
    let mut bench = Bench::backup(with_disk(100));
    assert_eq!(
        bench.ticket(),
        None,
        "nobody is asked before it is its turn"
    );
    bench.wait(SECOND * 60);
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.group.view().blocked, Some(Blocked::Arbiter));
    assert!(bench.ticket().is_some() && bench.adverts().is_empty());
    assert_eq!(bench.acquires(), 0);
}

#[test]
fn with_the_vote_it_looks_once_more_and_claims() {
    let mut bench = Bench::backup(with_disk(100));
    bench.wait(SECOND * 60);
    let looks = bench.looks().len();
    bench.vote(LONG);
    bench.wait(SECOND / 10);
    assert_eq!((bench.looks().len(), bench.acquires()), (looks + 1, 1));
    bench.acquired(Ok(()));
    assert_eq!(bench.role(), RoleName::Master);
}

#[test]
fn who_answers_when_the_vote_has_come_keeps_it_from_claiming_and_the_ticket_goes_back() {
    let mut bench = Bench::backup(with_disk(100));
    bench.wait(SECOND * 4);
    bench.answered = Some(true);
    bench.vote(LONG);
    bench.wait(SECOND / 10);
    assert_eq!((bench.acquires(), bench.ticket()), (0, None));
    assert_eq!(bench.group.view().blocked, Some(Blocked::Answered));
}

#[test]
fn the_right_lasts_no_longer_than_the_vote_whatever_is_advertised() {
    let mut bench = Bench::voted(with_disk(100), SECOND * 5);
    let ends = bench.now - SECOND / 10 + SECOND * 5;
    bench.wait(SECOND * 9 / 2);
    assert_eq!(
        (bench.role(), bench.warranted_until()),
        (RoleName::Master, ends)
    );
    bench.until_change();
    assert_eq!((bench.now, bench.role()), (ends, RoleName::Releasing));
}

#[test]
fn a_vote_that_is_renewed_is_an_end_that_moves() {
    let mut bench = Bench::voted(with_disk(100), SECOND * 5);
    for _ in 0..10 {
        bench.wait(SECOND * 2);
        bench.vote(SECOND * 5);
    }
    assert_eq!(bench.role(), RoleName::Master);
    assert_eq!(bench.warranted_until(), bench.now + SECOND * 5);
}

#[test]
fn a_vote_that_ends_takes_the_addresses_off_and_gives_the_ticket_back() {
    let mut bench = Bench::voted(with_disk(100), SECOND * 5);
    bench.until_change();
    assert_eq!(bench.role(), RoleName::Releasing);
    assert_eq!(bench.group.view().cause, Cause::Unarbitrated);
    assert_eq!(bench.ticket(), None);
    assert_eq!(bench.adverts().last(), Some(&RESIGN));
    bench.released(Ok(()));
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn a_vote_that_is_lost_ends_at_once() {
    let mut bench = Bench::voted(with_disk(100), LONG);
    let ticket = bench.ticket().expect("it holds by it");
    bench.hear(Event::Vote(lease::Event::ArbiterLost(ticket + 1)));
    assert_eq!(bench.role(), RoleName::Master, "of another ticket");
    bench.hear(Event::Vote(lease::Event::ArbiterLost(ticket)));
    assert_eq!(bench.role(), RoleName::Releasing);
}

#[test]
fn a_master_that_is_heard_while_the_disk_is_asked_is_followed() {
    let mut bench = Bench::backup(with_disk(100));
    bench.wait(SECOND * 5);
    bench.hear(advert(200));
    assert_eq!(bench.ticket(), None);
    for _ in 0..10 {
        bench.wait(SECOND);
        bench.hear(advert(200));
    }
    assert_eq!(bench.looks().len(), 1, "before the first question only");
    bench.wait(SECOND * 4);
    assert!(bench.ticket().is_some(), "that one has gone, too");
}

#[test]
fn a_better_node_asks_the_master_to_go_and_waits_for_its_slot_without_a_word() {
    let mut bench = Bench::sound(with_disk(200));
    while bench.role() == RoleName::Backup {
        bench.hear(advert(100));
        bench.wait(SECOND);
    }
    assert!(
        bench.ticket().is_some(),
        "the disk is asked at the same time"
    );
    bench.hear(advert(RESIGN));
    assert_eq!(bench.role(), RoleName::Backup);
    assert_eq!(bench.acquires(), 0);
    let said = bench.adverts().len();
    bench.wait(SECOND * 2);
    assert_eq!(bench.adverts().len(), said);
    bench.vote(LONG);
    bench.wait(SECOND / 10);
    assert_eq!(bench.acquires(), 1);
}

#[test]
fn who_was_let_in_and_got_no_vote_leaves_the_next_master_alone_for_a_while() {
    let mut bench = Bench::sound(with_disk(200));
    let preempts_after = |bench: &mut Bench| {
        let began = bench.now;
        while bench.adverts().is_empty() {
            assert!(bench.now < began + SECOND * 4000);
            bench.hear(advert(100));
            bench.wait(SECOND / 2);
        }
        bench.hear(advert(RESIGN));
        bench
            .said
            .retain(|said| !matches!(said, Effect::Advertise { .. }));
        bench.wait(SECOND * 2);
        bench.now.since(began)
    };
    assert!(preempts_after(&mut bench) < SECOND * 10);
    let second = preempts_after(&mut bench);
    assert!(SECOND * 55 < second && second < SECOND * 75, "{second:?}");
    assert!(preempts_after(&mut bench) > SECOND * 115);
    bench.vote(LONG);
    bench.wait(SECOND / 10);
    bench.acquired(Ok(()));
    bench.hear(Event::Maintenance(true));
    bench.released(Ok(()));
    bench.hear(Event::Maintenance(false));
    assert!(
        preempts_after(&mut bench) < SECOND * 10,
        "it held meanwhile"
    );
}

#[test]
fn a_ticket_is_not_kept_by_who_may_not_stand() {
    let mut bench = Bench::backup(with_disk(100));
    bench.wait(SECOND * 5);
    bench.hear(Event::Facts(Facts::default()));
    assert_eq!((bench.role(), bench.ticket()), (RoleName::Fault, None));
    bench.hear(Event::Facts(UP));
    bench.wait(SECOND * 5);
    assert!(bench.ticket().is_some());
    bench.hear(Event::Stop);
    assert_eq!((bench.role(), bench.ticket()), (RoleName::Stopped, None));
}

#[test]
fn a_vote_that_comes_during_a_disagreement_waits_for_its_end() {
    let mut bench = Bench::backup(with_disk(100));
    bench.wait(SECOND * 5);
    let conflict = Event::Conflict {
        from: peer(9),
        field: ConflictField::Interval,
        interval: SECOND,
    };
    bench.hear(conflict);
    if bench.ticket().is_some() {
        bench.vote(LONG);
    }
    bench.wait(SECOND);
    assert_eq!(bench.acquires(), 0);
    bench.wait(SECOND * 10);
    bench.vote(LONG);
    bench.wait(SECOND / 10);
    assert_eq!(bench.acquires(), 1);
}

#[test]
fn a_reference_that_does_not_answer_keeps_a_node_from_standing() {
    let mut bench = Bench::backup(with_reference(100));
    bench.wait(SECOND * 60);
    assert_eq!((bench.role(), bench.acquires()), (RoleName::Backup, 0));
    assert_eq!(bench.group.view().blocked, Some(Blocked::Reference));
    bench.wait_proven(SECOND * 6);
    assert_eq!(bench.acquires(), 1);
}

#[test]
fn a_master_that_reaches_nothing_any_more_falls_silent_by_the_end_of_its_lease_and_resigns() {
    let mut bench = Bench::backup(with_reference(100));
    bench.wait_proven(SECOND * 6);
    bench.acquired(Ok(()));
    bench.wait_proven(SECOND * 30);
    assert_eq!(bench.role(), RoleName::Master);
    bench.proven();
    let ends = bench.now + SECOND * 2;
    bench.until_change();
    assert_eq!((bench.now, bench.role()), (ends, RoleName::Releasing));
    assert_eq!(bench.group.view().cause, Cause::Blocked(Blocked::Reference));
    assert!(bench.warranted_until() <= ends);
    assert_eq!(bench.adverts().last(), Some(&RESIGN));
    bench.released(Ok(()));
    bench.wait(SECOND * 60);
    assert_eq!(bench.role(), RoleName::Backup);
}

#[test]
fn a_node_that_has_heard_nobody_goes_solo_and_goes_on() {
    let reference = Some(Reference {
        solo_after: Some(SECOND * 20),
    });
    let mut bench = Bench::backup(Settings {
        reference,
        ..with_reference(100)
    });
    bench.wait(SECOND * 19);
    assert_eq!(bench.acquires(), 0);
    bench.wait(SECOND * 6);
    assert_eq!(bench.acquires(), 1);
    bench.acquired(Ok(()));
    bench.wait(SECOND * 60);
    bench.hear(advert(50));
    bench.wait(SECOND);
    assert_eq!(bench.role(), RoleName::Master, "the other one gives way");
    assert!(bench.alarms().contains(&Alarm::Solo));
}

#[test]
fn who_cannot_write_the_disk_asks_nobody_to_go() {
    let mut bench = Bench::backup(with_disk(200));
    for _ in 0..20 {
        bench.hear(advert(100));
        bench.wait(SECOND);
    }
    assert_eq!((bench.role(), bench.adverts()), (RoleName::Backup, vec![]));
    bench.hear(Event::ArbiterSound(true));
    while bench.role() == RoleName::Backup {
        bench.hear(advert(100));
        bench.wait(SECOND);
    }
    assert_eq!(bench.role(), RoleName::Candidate);
}

#[test]
fn who_was_let_in_asks_the_disk_to_look_at_once() {
    let mut bench = Bench::sound(with_disk(200));
    while bench.role() == RoleName::Backup {
        bench.hear(advert(100));
        bench.wait(SECOND);
    }
    let ticket = bench.ticket().expect("it is asked at the same time");
    bench.said.clear();
    bench.hear(advert(RESIGN));
    assert!(bench.says(Effect::Contend(ticket, lease::Epoch::default())));
}

#[test]
fn an_operators_delay_is_kept_by_who_was_let_in_for_nothing() {
    let mut bench = Bench::sound(Settings {
        preempt_delay: SECOND * 600,
        ..with_disk(200)
    });
    bench.wait(SECOND * 5);
    assert!(bench.ticket().is_some(), "it is its turn");
    for _ in 0..500 {
        bench.hear(advert(100));
        bench.wait(SECOND);
    }
    assert!(bench.adverts().is_empty());
}

#[test]
fn a_reload_of_a_master_renews_its_right() {
    let mut bench = Bench::voted(with_disk(100), LONG);
    bench.said.clear();
    bench.hear(Event::Settings(with_disk(101)));
    assert!(bench.says(Effect::Renew(bench.now + SECOND * 2)));
}

#[test]
fn who_has_heard_a_master_once_is_not_solo_when_that_one_resigns() {
    let mut bench = Bench::backup(Settings {
        reference: Some(Reference {
            solo_after: Some(SECOND * 20),
        }),
        ..with_reference(100)
    });
    for _ in 0..30 {
        bench.hear(advert(200));
        bench.wait(SECOND);
    }
    bench.hear(advert(RESIGN));
    bench.wait(SECOND * 60);
    assert_eq!((bench.role(), bench.acquires()), (RoleName::Backup, 0));
}

#[test]
fn who_has_heard_nothing_but_a_resignation_is_not_solo() {
    let mut bench = Bench::backup(Settings {
        reference: Some(Reference {
            solo_after: Some(SECOND * 20),
        }),
        ..with_reference(100)
    });
    bench.hear(advert(RESIGN));
    bench.wait(SECOND * 60);
    assert_eq!((bench.role(), bench.acquires()), (RoleName::Backup, 0));
}

#[test]
fn the_first_answer_comes_before_the_end_of_the_wait_that_it_was_late_for() {
    let mut bench = Bench::backup(Settings {
        reference: Some(Reference {
            solo_after: Some(SECOND * 20),
        }),
        ..with_reference(100)
    });
    bench.now = bench.now + SECOND * 21;
    bench.proven();
    assert!(!bench.alarms().contains(&Alarm::Solo));
    bench.wait(SECOND / 2);
    assert_eq!(bench.group.view().blocked, Some(Blocked::Reference));
}

/// Its last answer of before and the first one of after are heard at once.
#[test]
fn a_reference_that_was_gone_while_the_host_stood_still_is_waited_for_all_the_same() {
    let mut bench = Bench::backup(with_reference(100));
    for _ in 0..20 {
        bench.hear(advert(200));
        bench.proven();
        bench.wait(SECOND / 2);
    }
    bench.now = bench.now + SECOND * 2;
    bench.step(advert(RESIGN));
    bench.step(Event::Proven(bench.now));
    bench.wait(SECOND * 9 / 10);
    assert_eq!(bench.acquires(), 0);
    assert_eq!(bench.group.view().blocked, Some(Blocked::Reference));
}

#[test]
fn who_made_a_master_go_and_lost_the_reference_blames_that_and_not_the_disk() {
    let mut bench = Bench::backup(with_reference(200));
    while bench.role() == RoleName::Backup {
        bench.hear(advert(100));
        // Answers that take long.
        bench.hear(Event::Proven(bench.now - SECOND * 3 / 2));
        bench.wait(SECOND / 4);
    }
    bench.wait(SECOND / 2);
    bench.hear(advert(RESIGN));
    assert_eq!((bench.role(), bench.acquires()), (RoleName::Backup, 0));
    assert_eq!(bench.group.view().cause, Cause::Blocked(Blocked::Reference));
}

#[test]
fn a_resignation_while_the_disk_is_asked_keeps_the_ticket_and_has_it_looked_at_at_once() {
    let mut bench = Bench::sound(with_disk(100));
    bench.wait(SECOND * 5);
    let ticket = bench.ticket().expect("it is its turn");
    bench.said.clear();
    bench.hear(advert(RESIGN));
    let again = Effect::Contend(ticket, lease::Epoch::default());
    assert!(bench.says(again) && !bench.says(Effect::Withdraw(ticket)));
}

#[test]
fn a_disk_that_comes_and_goes_does_not_shorten_the_time_that_the_next_master_is_left_alone() {
    let mut bench = Bench::sound(with_disk(200));
    bench.wait(SECOND * 5);
    bench.hear(Event::ArbiterSound(false));
    bench.hear(advert(100));
    bench.hear(Event::ArbiterSound(true));
    bench.said.clear();
    for _ in 0..50 {
        bench.hear(advert(100));
        bench.wait(SECOND);
    }
    assert!(bench.adverts().is_empty());
}

#[test]
fn who_gave_way_to_a_better_node_leaves_it_a_moment_to_get_the_vote() {
    let mut bench = Bench::voted(
        Settings {
            interval: SECOND / 10,
            lease: Some(SECOND / 5),
            ..with_disk(100)
        },
        LONG,
    );
    let better = Event::Advert(Heard {
        from: peer(9),
        priority: 200,
        interval: SECOND / 10,
        lead: true,
    });
    bench.hear(better);
    bench.released(Ok(()));
    bench.said.clear();
    bench.wait(SECOND * 9 / 10);
    assert_eq!(bench.ticket(), None);
    bench.wait(SECOND);
    assert!(bench.ticket().is_some(), "it did not get it");
}

/// A gate that gives up a little earlier ends the right first, and it is not the adverts that were missing.
#[test]
fn a_right_that_ends_with_the_vote_is_not_taken_for_one_that_was_not_advertised() {
    let mut bench = Bench::voted(with_disk(100), SECOND * 5);
    bench.wait(SECOND * 19 / 4);
    bench.hear(Event::Lapsed);
    assert_eq!(bench.group.view().cause, Cause::Unarbitrated);
    let mut bench = Bench::voted(with_disk(100), LONG);
    bench.hear(Event::Lapsed);
    assert_eq!(bench.group.view().cause, Cause::Lapsed);
}
