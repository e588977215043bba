//! How much goes into one frame, and what if there is more?

use std::num::NonZeroUsize;
use std::time::Duration;

use floatlock::config::Family;
use floatlock::wire::native::{
    FRAME_LEN_MAX, FRAME_LEN_MIN, Group, GroupId, Heard, Heartbeat, Statement, Unsendable, frames,
    max_groups, split,
};

use crate::scene::{CLUSTER, current_key, frame, group, header, hear, heard, request};

const V4: Family = Family::V4;
const V6: Family = Family::V6;

fn groups(count: usize) -> Vec<Group> {
    let ids = 1..=count as u64;
    ids.map(|id| group(id, request())).collect()
}

fn most(family: Family, mtu: usize, heard: usize) -> Option<usize> {
    max_groups(family, mtu, heard).map(NonZeroUsize::get)
}

#[test]
fn so_many_groups_fit_the_usual_mtus() {
    // (1500 - 20 - 138 - 2 * 50) / 62 = 20.03
    assert_eq!(most(V4, 1500, 2), Some(20));
    assert_eq!(most(V6, 1500, 2), Some(19));
    assert_eq!(most(V6, 1280, 1), Some(16));
    assert_eq!(most(V4, 9000, 2), Some(141));
    assert_eq!(most(V4, 576, 1), Some(5));
    // The byte where one more fits.
    let one = 20 + FRAME_LEN_MIN + 62;
    assert_eq!(most(V4, one - 1, 0), None);
    assert_eq!(most(V4, one, 0), Some(1));
    assert_eq!(most(V4, one + 61, 0), Some(1));
    assert_eq!(most(V4, one + 62, 0), Some(2));
}

#[test]
fn an_mtu_that_holds_nothing_is_told() {
    for (mtu, heard) in [(0, 0), (68, 0), (1500, 40), (1500, usize::MAX)] {
        assert_eq!(most(V4, mtu, heard), None);
    }
    assert_eq!(most(V4, usize::MAX, 0), Some((FRAME_LEN_MAX - 138) / 62));
}

#[test]
fn however_many_are_heard_every_frame_fits_and_says_all_groups_to_each() {
    for (family, ip_header_len) in [(V4, 20), (V6, 40)] {
        for mtu in [576, 1280, 1500] {
            for (heard_count, group_count) in [(0, 0), (0, 50), (2, 50), (63, 0), (252, 50)] {
                let (heard, groups) = (vec![heard(); heard_count], groups(group_count));
                let mut said = 0;
                let all = groups.clone();
                for (heard, groups, first) in frames(&heard, &groups, family, mtu) {
                    let bytes = frame(&current_key(), header(), heard, groups);
                    assert!(bytes.len() + ip_header_len <= mtu, "{heard_count} {mtu}");
                    assert_eq!(groups, &all[first..first + groups.len()]);
                    said += heard.len().max(1) * groups.len().max(1);
                }
                assert_eq!(said, heard_count.max(1) * group_count.max(1));
            }
        }
    }
    // What fits one frame is one.
    assert_eq!(frames(&vec![heard(); 20], &groups(3), V4, 1500).count(), 1);
}

#[test]
fn a_full_frame_fits_its_mtu_and_is_heard() {
    for (family, ip_header_len) in [(V4, 20), (V6, 40)] {
        for mtu in (250..2000).step_by(11).chain([9000, 65_535, 100_000]) {
            for heard_count in [0, 1, 5] {
                let Some(most) = most(family, mtu, heard_count) else {
                    continue;
                };
                let heard = vec![heard(); heard_count];
                let bytes = frame(&current_key(), header(), &heard, &groups(most));
                assert!(bytes.len() + ip_header_len <= mtu);
                let one_more = bytes.len() + ip_header_len + 62;
                assert!(one_more > mtu || one_more > 65_535);
                assert_eq!(hear(&bytes).unwrap().group_count(), most);
            }
        }
    }
}

#[test]
fn splitting_says_every_group_once_and_in_order() {
    for count in 1..100 {
        let groups = groups(count);
        for most in 1..=30 {
            let parts: Vec<_> = split(&groups, NonZeroUsize::new(most).unwrap()).collect();
            assert_eq!(parts.concat(), groups);
            assert_eq!(parts.len(), count.div_ceil(most));
            assert!(parts.iter().all(|part| part.len() <= most));
        }
    }
}

#[test]
fn who_has_no_group_still_says_that_it_lives() {
    let parts: Vec<_> = split(&[], NonZeroUsize::MIN).collect();
    assert_eq!(parts, [&[]]);
    let bytes = frame(&current_key(), header(), &[heard()], parts[0]);
    assert!(hear(&bytes).unwrap().heard().eq([heard()]));
}

fn emit(heard: &[Heard], groups: &[Group], room: usize) -> Result<usize, Unsendable> {
    let heartbeat = Heartbeat {
        cluster: CLUSTER,
        header: header(),
        heard,
        groups,
        template: None,
    };
    let mut buffer = vec![0xee; room];
    let written = heartbeat.emit(&current_key(), &mut buffer).map(<[u8]>::len);
    let untouched = written.unwrap_or(0);
    assert!(buffer[untouched..].iter().all(|byte| *byte == 0xee));
    written
}

#[test]
fn a_buffer_too_short_is_told_and_left_alone() {
    let need = FRAME_LEN_MIN + 50 + 2 * 62;
    for room in [0, 1, need - 1] {
        let short = Err(Unsendable::Room { need, room });
        assert_eq!(emit(&[heard()], &groups(2), room), short);
    }
    assert_eq!(emit(&[heard()], &groups(2), need), Ok(need));
    assert_eq!(emit(&[heard()], &groups(2), need + 100), Ok(need));
}

#[test]
fn a_frame_longer_than_a_datagram_is_not_written() {
    let most = (FRAME_LEN_MAX - FRAME_LEN_MIN) / 62;
    assert!(emit(&[], &groups(most), 100_000).is_ok());
    let need = FRAME_LEN_MIN + (most + 1) * 62;
    let room = FRAME_LEN_MAX;
    let long = Err(Unsendable::Room { need, room });
    assert_eq!(emit(&[], &groups(most + 1), 100_000), long);
}

#[test]
fn what_would_not_be_heard_is_not_sent() {
    let try_to = |groups: &[Group]| emit(&[], groups, 1000);
    let [one, two] = [1, 2].map(|id| group(id, Statement::Nothing));
    assert_eq!(try_to(&[two, one]), Err(Unsendable::GroupOrder));
    assert_eq!(try_to(&[one, one]), Err(Unsendable::GroupOrder));
    for priority in [0, 255] {
        let odd = Group { priority, ..one };
        assert_eq!(try_to(&[odd]), Err(Unsendable::Priority(priority)));
    }
    let (shortest, longest) = (Duration::from_nanos(1), Duration::from_secs(25_500));
    for lease in [Duration::ZERO, longest + shortest, Duration::MAX] {
        let statement = Statement::Request {
            nonce: std::num::NonZeroU64::MIN,
            lease,
            holding: true,
        };
        let odd = Group { statement, ..two };
        assert_eq!(try_to(&[one, odd]), Err(Unsendable::Lease(lease)));
    }
    let last = GroupId(u64::MAX);
    assert!(try_to(&[one, Group { id: last, ..two }]).is_ok());
}
