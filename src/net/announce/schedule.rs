//! Which address is announced next, and when? Decided without a socket or a clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Placed;
use super::pace::Pace;
use crate::config::Announce;
use crate::core::{Instant, Term};

/// What every group has still to announce.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    claims: BTreeMap<u32, Claim>,
    /// One for each rate: groups that have the same share it, and a slow one holds up no other.
    paces: BTreeMap<u32, Pace>,
}

/// One frame to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) group: u32,
    pub(super) placed: Placed,
}

impl Schedule {
    /// Begins anew for a group; `false`: what the group has running is of a later term and stays.
    pub(super) fn start(
        &mut self,
        group: u32,
        term: Term,
        addresses: Arc<[Placed]>,
        how: Announce,
        now: Instant,
    ) -> bool {
        if self.claims.get(&group).is_some_and(|c| c.term > term) {
            return false;
        }
        self.claims.remove(&group);
        if let Some(claim) = Claim::new(term, addresses, how, now) {
            let pace = || Pace::new(how.rate);
            self.paces.entry(how.rate).or_insert_with(pace);
            self.claims.insert(group, claim);
        }
        true
    }

    pub(super) fn cancel(&mut self, group: u32) {
        self.claims.remove(&group);
    }

    /// When [`Schedule::next`] has something next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let paced = |claim: &Claim| Some(self.paces.get(&claim.how.rate)?.free_at(claim.due));
        self.claims.values().filter_map(paced).min()
    }

    /// Whether some group has addresses that were not announced even once.
    pub(super) fn has_news(&self) -> bool {
        let news = |claim: &Claim| claim.stage == Stage::First && claim.pass == 0;
        self.claims.values().any(news)
    }

    /// The frame that is to leave now, if one is due and the pace allows it.
    pub(super) fn next(&mut self, now: Instant) -> Option<Due> {
        let paces = &self.paces;
        let allows = |rate: &u32| paces.get(rate).is_some_and(|pace| pace.allows(now));
        let may = |claim: &Claim| claim.due <= now && allows(&claim.how.rate);
        let ready = self.claims.iter_mut().filter(|(_, claim)| may(claim));
        let (&group, claim) = ready.min_by_key(|(_, claim)| claim.turn())?;
        let placed = claim.addresses.get(claim.next)?.clone();
        self.paces.get_mut(&claim.how.rate)?.take(now);
        if !claim.advance(now) {
            self.claims.remove(&group);
        }
        Some(Due { group, placed })
    }
}

/// What one group has still to announce: passes over all its addresses.
#[derive(Debug)]
struct Claim {
    term: Term,
    /// Never empty.
    addresses: Arc<[Placed]>,
    how: Announce,
    started: Instant,
    stage: Stage,
    /// The pass of this stage, and the address that comes next in it.
    pass: u32,
    next: usize,
    /// Nothing leaves before.
    due: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// `count` passes at once.
    First,
    /// `count` passes after `repeat_after`.
    Repeat,
    /// One pass every `refresh`.
    Refresh,
}

impl Claim {
    /// `None` where there is nothing to announce.
    fn new(term: Term, addresses: Arc<[Placed]>, how: Announce, now: Instant) -> Option<Self> {
        if addresses.is_empty() {
            return None;
        }
        let mut claim = Self {
            term,
            addresses,
            how,
            started: now,
            stage: Stage::First,
            pass: 0,
            next: 0,
            due: now,
        };
        // A count of zero leaves the refresh.
        (how.count > 0 || claim.enter_refresh(now)).then_some(claim)
    }

    /// Who goes first: every address of every group once, then every one again, and refreshes
    /// when there is time.
    fn turn(&self) -> (bool, u32, usize, Instant) {
        let refresh = self.stage == Stage::Refresh;
        (refresh, self.pass, self.next, self.due)
    }

    /// Goes on to the next frame; `false`: that was the last one.
    fn advance(&mut self, now: Instant) -> bool {
        self.next += 1;
        if self.next < self.addresses.len() {
            return true;
        }
        self.next = 0;
        self.pass += 1;
        match self.stage {
            Stage::First | Stage::Repeat if self.pass < self.how.count => true,
            Stage::First if !self.how.repeat_after.is_zero() => {
                self.enter(Stage::Repeat, self.started + self.how.repeat_after);
                true
            }
            Stage::First | Stage::Repeat | Stage::Refresh => self.enter_refresh(now),
        }
    }

    fn enter_refresh(&mut self, now: Instant) -> bool {
        self.enter(Stage::Refresh, now + self.how.refresh);
        !self.how.refresh.is_zero()
    }

    fn enter(&mut self, stage: Stage, due: Instant) {
        self.stage = stage;
        self.pass = 0;
        self.due = due;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const START: Instant = Instant::from_nanos(1_000_000_000_000);
    const HOW: Announce = Announce {
        count: 2,
        repeat_after: Duration::from_secs(5),
        refresh: Duration::ZERO,
        rate: 1_000,
    };

    fn at(millis: u64) -> Instant {
        START + Duration::from_millis(millis)
    }

    fn addresses(group: u32, count: u32) -> Arc<[Placed]> {
        let placed = |n: u32| Placed {
            interface: Arc::from("eth0"),
            address: IpAddr::V4(Ipv4Addr::from(group << 16 | n)),
        };
        (0..count).map(placed).collect()
    }

    /// (milliseconds since the start, group, number of the address)
    type Frame = (u128, u32, u32);

    fn frame(now: Instant, due: &Due) -> Frame {
        let IpAddr::V4(address) = due.placed.address else {
            panic!("not a test address: {due:?}");
        };
        (
            now.since(START).as_millis(),
            due.group,
            u32::from(address) & 0xffff,
        )
    }

    /// Plays the schedule as its owner would, until nothing is due before `end`.
    fn play(schedule: &mut Schedule, from: Instant, end: Instant) -> Vec<Frame> {
        let mut now = from;
        let mut frames = Vec::new();
        while let Some(deadline) = schedule.deadline().filter(|d| *d < end) {
            now = now.max(deadline);
            let before = frames.len();
            while let Some(due) = schedule.next(now) {
                frames.push(frame(now, &due));
            }
            assert!(frames.len() > before, "woken for nothing at {now:?}");
        }
        frames
    }

    #[test]
    fn every_address_once_before_any_address_again() {
        let mut schedule = Schedule::default();
        schedule.start(1, 1, addresses(1, 3), HOW, START);
        let frames = play(&mut schedule, START, at(4_999));
        let order: Vec<u32> = frames.iter().map(|f| f.2).collect();
        assert_eq!(order, [0, 1, 2, 0, 1, 2]);
        assert!(
            frames.iter().all(|f| f.0 == 0),
            "a few frames wait for nothing"
        );
    }

    #[test]
    fn an_address_is_news_until_it_was_announced_once() {
        let mut schedule = Schedule::default();
        assert!(!schedule.has_news());
        schedule.start(1, 1, addresses(1, 2), HOW, START);
        assert!(schedule.has_news());
        assert!(schedule.next(START).is_some());
        assert!(schedule.has_news(), "the second address");
        assert!(schedule.next(START).is_some());
        assert!(!schedule.has_news());
        schedule.start(2, 1, addresses(2, 1), HOW, START);
        assert!(schedule.has_news());
        schedule.cancel(2);
        assert!(!schedule.has_news());
    }

    #[test]
    fn the_burst_comes_again_after_a_while_and_then_never() {
        let mut schedule = Schedule::default();
        schedule.start(1, 1, addresses(1, 1), HOW, START);
        let frames = play(&mut schedule, START, Instant::NEVER);
        let times: Vec<u128> = frames.iter().map(|f| f.0).collect();
        assert_eq!(times, [0, 0, 5_000, 5_000]);
        assert_eq!(schedule.deadline(), None);
    }

    #[test]
    fn a_repeat_after_zero_is_no_repeat() {
        let mut schedule = Schedule::default();
        let how = Announce {
            repeat_after: Duration::ZERO,
            ..HOW
        };
        schedule.start(1, 1, addresses(1, 1), how, START);
        assert_eq!(play(&mut schedule, START, Instant::NEVER).len(), 2);
    }

    #[test]
    fn a_refresh_is_one_frame_each_and_goes_on() {
        let mut schedule = Schedule::default();
        let how = Announce {
            refresh: Duration::from_secs(60),
            ..HOW
        };
        schedule.start(1, 1, addresses(1, 2), how, START);
        let frames = play(&mut schedule, START, at(190_000));
        let late: Vec<Frame> = frames.into_iter().filter(|f| f.0 > 5_000).collect();
        let times = [65_000, 125_000, 185_000];
        assert_eq!(late, times.map(|t| [(t, 1, 0), (t, 1, 1)]).concat());
    }

    #[test]
    fn a_count_of_zero_leaves_the_refresh_and_with_none_nothing() {
        let mut schedule = Schedule::default();
        let how = Announce { count: 0, ..HOW };
        schedule.start(1, 1, addresses(1, 1), how, START);
        assert_eq!(schedule.deadline(), None);
        let how = Announce {
            refresh: Duration::from_secs(1),
            ..how
        };
        schedule.start(1, 1, addresses(1, 1), how, START);
        assert_eq!(play(&mut schedule, START, at(1_500)), [(1_000, 1, 0)]);
    }

    #[test]
    fn a_group_without_addresses_is_never_due() {
        let mut schedule = Schedule::default();
        schedule.start(1, 1, addresses(1, 0), HOW, START);
        assert_eq!(schedule.deadline(), None);
        assert_eq!(schedule.next(at(9_999)), None);
    }

    #[test]
    fn a_small_group_does_not_wait_for_a_big_one() {
        let mut schedule = Schedule::default();
        schedule.start(1, 1, addresses(1, 10_000), HOW, START);
        let mut now = START;
        while now < at(500) {
            while schedule.next(now).is_some() {}
            now = schedule.deadline().unwrap();
        }
        schedule.start(2, 1, addresses(2, 1), HOW, now);
        assert_eq!(schedule.next(now).unwrap().group, 2);
    }

    #[test]
    fn groups_share_the_pace_and_all_are_heard_once_before_any_twice() {
        let mut schedule = Schedule::default();
        for group in 0..100 {
            schedule.start(group, 1, addresses(group, 1), HOW, START);
        }
        let frames = play(&mut schedule, START, at(4_000));
        assert_eq!(frames.len(), 200);
        let first: Vec<u32> = frames[..100].iter().map(|f| f.1).collect();
        assert_eq!(first, (0..100).collect::<Vec<_>>());
        assert!(
            frames[199].0 >= 180,
            "200 frames at 1000 a second: {:?}",
            frames[199]
        );
    }

    #[test]
    fn a_group_with_a_low_rate_does_not_hold_up_the_others() {
        let mut schedule = Schedule::default();
        let slow = Announce { rate: 1, ..HOW };
        schedule.start(1, 1, addresses(1, 3), slow, START);
        schedule.start(2, 1, addresses(2, 3), HOW, START);
        let groups: Vec<u32> =
            std::iter::from_fn(|| schedule.next(START).map(|d| d.group)).collect();
        assert_eq!(groups, [1, 2, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn refreshes_give_way_to_new_claims() {
        let mut schedule = Schedule::default();
        let how = Announce {
            count: 0,
            refresh: Duration::from_secs(1),
            ..HOW
        };
        schedule.start(1, 1, addresses(1, 5), how, START);
        schedule.start(2, 1, addresses(2, 1), HOW, at(1_000));
        let groups = std::iter::from_fn(|| schedule.next(at(1_000)).map(|due| due.group));
        assert_eq!(groups.take(4).collect::<Vec<_>>(), [2, 2, 1, 1]);
    }

    #[test]
    fn a_cancelled_group_is_silent_and_the_others_are_not() {
        let mut schedule = Schedule::default();
        schedule.start(1, 1, addresses(1, 3), HOW, START);
        schedule.start(2, 1, addresses(2, 1), HOW, START);
        assert!(schedule.next(START).is_some());
        schedule.cancel(1);
        schedule.cancel(7);
        let frames = play(&mut schedule, START, Instant::NEVER);
        assert!(frames.iter().all(|f| f.1 == 2), "{frames:?}");
        assert!(!frames.is_empty());
    }

    #[test]
    fn a_second_start_begins_anew() {
        let mut schedule = Schedule::default();
        schedule.start(1, 1, addresses(1, 2), HOW, START);
        let first = play(&mut schedule, START, at(3_000));
        assert!(schedule.start(1, 1, addresses(1, 2), HOW, at(3_000)));
        let again = play(&mut schedule, at(3_000), Instant::NEVER);
        let later = |by: u128| move |f: &Frame| (f.0 + by, f.1, f.2);
        let expected: Vec<Frame> = first
            .iter()
            .map(later(3_000))
            .chain(first.iter().map(later(8_000)))
            .collect();
        assert_eq!(again, expected);
    }

    #[test]
    fn a_start_of_an_earlier_term_changes_nothing() {
        let mut schedule = Schedule::default();
        schedule.start(1, 5, addresses(1, 1), HOW, START);
        assert!(!schedule.start(1, 4, addresses(2, 9), HOW, START));
        let frames = play(&mut schedule, START, Instant::NEVER);
        assert_eq!(frames.len(), 4);
    }

    proptest! {
        #[test]
        fn the_total_is_right_and_never_above_the_rate(
            groups in proptest::collection::vec((0_u32..40, 0_u32..4, any::<bool>()), 1..12),
            rate in 1_u32..5_000,
        ) {
            let mut schedule = Schedule::default();
            let mut expected = 0;
            for (group, &(count, passes, repeated)) in (0..).zip(&groups) {
                let repeat_after = Duration::from_millis(if repeated { 50 } else { 0 });
                let how = Announce { count: passes, repeat_after, rate, ..HOW };
                schedule.start(group, 1, addresses(group, count), how, START);
                expected += count * passes * if repeated { 2 } else { 1 };
            }
            let frames = play(&mut schedule, START, Instant::NEVER);
            prop_assert_eq!(frames.len(), expected as usize);
            for (sent, frame) in (1_u128..).zip(&frames) {
                // Ten milliseconds' worth may leave ahead of time; a frame and a millisecond
                // are lost in rounding.
                let most = u128::from(rate) * (frame.0 + 11) / 1_000 + 2;
                prop_assert!(sent <= most, "{sent} at {} ms, {rate} a second", frame.0);
            }
        }

        #[test]
        fn groups_of_different_rates_never_spin(
            rates in proptest::collection::vec(1_u32..200_000, 1..6),
        ) {
            let mut schedule = Schedule::default();
            for (group, rate) in (0..).zip(&rates) {
                let how = Announce { rate: *rate, repeat_after: Duration::ZERO, ..HOW };
                schedule.start(group, 1, addresses(group, 7), how, START);
            }
            let frames = play(&mut schedule, START, Instant::NEVER);
            prop_assert_eq!(frames.len(), rates.len() * 14);
        }
    }
}
