//! Is a template what would have been written out? Never anything else, whatever was lost.

use std::num::NonZeroU32;
use std::time::Duration;

use floatlock::wire::native::{
    Group, GroupId, Learned, Reference, Role, Statement, TEMPLATE_GROUPS_MAX, Templates, Why,
    remembers,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::scene::{OUR_BOOT, group, nonce, request};

fn asking(id: u64, at: u64) -> Group {
    let statement = Statement::Request {
        nonce: nonce(at),
        lease: Duration::from_secs(1),
        holding: true,
    };
    group(id, statement)
}

/// As many as are worth a template, the nonces of which lie apart.
fn some(at: u64) -> Vec<Group> {
    let granting = Statement::Ack {
        boot_id: OUR_BOOT,
        nonce: nonce(7000 + at),
    };
    let silent = group(90, Statement::Nothing);
    let asking = (1..=5).map(|id| asking(id, 100 * id + at));
    asking.chain([group(80, granting), silent]).collect()
}

fn recalled(learned: &Learned, reference: Reference) -> Option<Vec<Group>> {
    learned.recall(reference).map(Iterator::collect)
}

#[test]
fn the_same_with_later_nonces_is_the_same_template() {
    let (mut templates, mut learned) = (Templates::default(), Learned::default());
    let first = templates.refer(&some(1)).unwrap();
    assert_eq!((first.advance, first.first, first.total), (0, 0, 7));
    learned.learn(first, some(1).into_iter());
    for at in [2, 3, 40, 1] {
        let again = templates.refer(&some(at)).unwrap();
        assert_eq!(again.number, first.number);
        assert_eq!(u64::from(again.advance), at - 1);
        assert_eq!(recalled(&learned, again), Some(some(at)));
    }
}

#[test]
fn whatever_else_changes_is_another_one() {
    let changes: [fn(&mut Vec<Group>); 11] = [
        |groups| groups[2].role = Role::Releasing,
        |groups| groups[2].priority += 1,
        |groups| groups[2].fitness = 0,
        |groups| groups[2].epoch += 1,
        |groups| groups[2].addresses.0 += 1,
        |groups| groups[2].id = GroupId(30),
        |groups| groups[2] = asking(3, 9999),
        |groups| groups[2].statement = Statement::Ask,
        |groups| groups[6].statement = request(),
        |groups| _ = groups.remove(2),
        |groups| groups.push(asking(95, 1)),
    ];
    for change in changes {
        let mut templates = Templates::default();
        let first = templates.refer(&some(1)).unwrap();
        let mut changed = some(2);
        change(&mut changed);
        let other = templates.refer(&changed).unwrap();
        assert_ne!(other.number, first.number);
        assert_eq!(other.advance, 0);
        // Both are known, and nonces that go back are another one too.
        assert_eq!(templates.refer(&some(2)).map(|r| r.advance), Some(1));
        assert_eq!(templates.refer(&changed).unwrap(), other);
    }
    let mut templates = Templates::default();
    let later = templates.refer(&some(2)).unwrap();
    assert_ne!(templates.refer(&some(1)).unwrap().number, later.number);
}

#[test]
fn a_few_groups_and_very_many_are_written_out() {
    let mut templates = Templates::default();
    assert_eq!(templates.refer(&some(1)[..3]), None);
    assert!(templates.refer(&some(1)[..4]).is_some());
    let many = |count: u64| (1..=count).map(|id| asking(id, 1)).collect::<Vec<_>>();
    let most = u64::from(TEMPLATE_GROUPS_MAX);
    assert!(templates.refer(&many(most)).is_some());
    assert_eq!(templates.refer(&many(most + 1)), None);
    assert_eq!(templates.refer(&many(70_000)), None);
}

#[test]
fn nothing_is_recalled_before_all_of_it_was_heard() {
    let (mut templates, mut learned) = (Templates::default(), Learned::default());
    let reference = templates.refer(&some(5)).unwrap();
    let parts: Vec<_> = some(5).chunks(3).map(<[Group]>::to_vec).collect();
    // Out of order, one of them twice, and the last one only with the next heartbeat.
    for at in [1, 0, 0] {
        learned.learn(reference.from(3 * at), parts[at].iter().copied());
        assert_eq!(recalled(&learned, reference), None);
        assert!(!remembers(&learned.remembered(), reference.number));
    }
    let next = templates.refer(&some(6)).unwrap();
    learned.learn(next.from(6), some(6)[6..].iter().copied());
    assert!(remembers(&learned.remembered(), reference.number));
    assert_eq!(recalled(&learned, next), Some(some(6)));
    let other_size = Reference { total: 8, ..next };
    assert_eq!(recalled(&learned, other_size), None);
    let number = NonZeroU32::new(next.number.get() + 4).unwrap();
    assert_eq!(recalled(&learned, Reference { number, ..next }), None);
}

#[test]
fn what_was_overtaken_takes_no_place_from_what_came_later() {
    let (mut templates, mut learned) = (Templates::default(), Learned::default());
    let all: Vec<_> = (0..5).map(|at| vary(some(1), at)).collect();
    let first_four = all[..4].iter().map(|one| templates.refer(one).unwrap());
    let mut references: Vec<_> = first_four.collect();
    // The fifth has the place of the first, once that was not used for a while.
    while references.len() < 5 {
        for one in &all[1..4] {
            templates.refer(one).unwrap();
        }
        references.extend(templates.refer(&all[4]));
    }
    let place = |at: usize| references[at].number.get() % 4;
    assert_eq!(place(4), place(0));
    learned.learn(references[4], all[4].iter().copied());
    learned.learn(references[0], all[0].iter().copied());
    assert_eq!(recalled(&learned, references[0]), None);
    assert_eq!(recalled(&learned, references[4]).as_ref(), Some(&all[4]));
}

fn vary(mut groups: Vec<Group>, at: u64) -> Vec<Group> {
    groups[0].epoch = at;
    groups
}

#[test]
fn nonsense_from_somebody_with_the_key_is_remembered_by_nobody() {
    let mut learned = Learned::default();
    let reference = |advance| Reference {
        number: NonZeroU32::MIN,
        advance,
        first: 0,
        total: 7,
    };
    // A nonce that would have been zero.
    learned.learn(reference(101), some(1).into_iter());
    assert_eq!(learned.remembered(), [0; 4]);
    // Ids that do not rise from frame to frame.
    let mut learned = Learned::default();
    learned.learn(reference(0).from(3), some(1)[..4].iter().copied());
    learned.learn(reference(0), some(1)[4..].iter().copied());
    assert_eq!(learned.remembered(), [0; 4]);
    learned.learn(reference(0), some(1).into_iter());
    assert_eq!(learned.remembered(), [0, 1, 0, 0]);
    // A nonce that no longer fits: that group is not heard.
    let mut last = some(1);
    last[0] = asking(1, u64::MAX);
    let reference = Reference {
        number: NonZeroU32::new(5).unwrap(),
        ..reference(0)
    };
    learned.learn(reference, last.into_iter());
    let advanced = Reference {
        advance: 1,
        ..reference
    };
    assert_eq!(recalled(&learned, advanced), Some(some(2)[1..].to_vec()));
}

/// Five things in turn, and four places: four of them stay.
#[test]
fn who_says_more_in_turn_than_is_remembered_writes_one_of_them_out() {
    let mut templates = Templates::default();
    let all: Vec<_> = (0..5).map(|at| vary(some(1), at)).collect();
    let mut written_out = 0;
    for round in 0..100 {
        for one in &all {
            let reference = templates.refer(one);
            written_out += usize::from(reference.is_none());
            let number = reference.map_or(0, |reference| reference.number.get());
            assert!(number < 8, "round {round}: another one");
        }
    }
    assert_eq!(written_out, 100);
}

#[test]
fn a_template_that_changes_is_forgotten() {
    let (mut templates, mut learned) = (Templates::default(), Learned::default());
    let reference = templates.refer(&some(1)).unwrap();
    learned.learn(reference, some(1).into_iter());
    learned.learn(reference, some(1).into_iter());
    assert_eq!(recalled(&learned, reference), Some(some(1)));
    learned.learn(reference, vary(some(1), 7)[..1].iter().copied());
    assert_eq!(recalled(&learned, reference), None);
    assert_eq!(learned.remembered(), [0; 4]);
}

#[test]
fn refusals_that_go_on_are_one_template() {
    let refusing = |at: u64| {
        let refuse = |id| Statement::Refusal {
            boot_id: OUR_BOOT,
            nonce: nonce(10 * id + at),
            why: Why::Quarantine,
        };
        (1..=5).map(|id| group(id, refuse(id))).collect::<Vec<_>>()
    };
    let mut templates = Templates::default();
    let first = templates.refer(&refusing(1)).unwrap();
    let again = templates.refer(&refusing(3)).unwrap();
    assert_eq!((again.number, again.advance), (first.number, 2));
}

#[derive(Clone, Copy, Debug)]
enum Happens {
    /// The next heartbeat; is it heard?
    Beat { heard: bool },
    /// A group changes.
    Change { at: usize, epoch: u64 },
    /// One nonce goes on alone.
    Skip { at: usize },
    /// The hearer says what it remembers; does that arrive?
    Answer { arrives: bool },
    /// The hearer begins anew.
    Restart,
}

fn an_event() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => any::<bool>().prop_map(|heard| Happens::Beat { heard }),
        1 => (0..12usize, 0..4u64).prop_map(|(at, epoch)| Happens::Change { at, epoch }),
        1 => (0..12usize).prop_map(|at| Happens::Skip { at }),
        4 => any::<bool>().prop_map(|arrives| Happens::Answer { arrives }),
        1 => Just(Happens::Restart),
    ]
}

proptest! {
    /// Two nodes, a line that loses, parts of three: what is understood is always what was meant, and a
    /// node that has said what it remembers understands.
    #[test]
    fn what_is_recalled_is_what_was_meant(events in vec(an_event(), 1..200)) {
        let (mut templates, mut learned) = (Templates::default(), Learned::default());
        let mut groups: Vec<Group> = (1..=12).map(|id| asking(id, 1000 * id)).collect();
        let mut known = learned.remembered();
        let mut is_known_now = false;
        for event in events {
            match event {
                Happens::Change { at, epoch } => groups[at].epoch = epoch,
                Happens::Skip { at } => step(&mut groups[at]),
                Happens::Restart => {
                    learned = Learned::default();
                    is_known_now = false;
                }
                Happens::Answer { arrives } if arrives => {
                    known = learned.remembered();
                    is_known_now = true;
                }
                Happens::Answer { .. } => {}
                Happens::Beat { heard } => {
                    groups.iter_mut().for_each(step);
                    let Some(reference) = templates.refer(&groups) else { continue; };
                    if remembers(&known, reference.number) {
                        let understood = recalled(&learned, reference);
                        prop_assert!(understood.is_some() || !is_known_now);
                        prop_assert!(understood.is_none_or(|said| said == groups));
                    } else if heard {
                        for (at, part) in groups.chunks(3).enumerate() {
                            learned.learn(reference.from(3 * at), part.iter().copied());
                        }
                        prop_assert_eq!(recalled(&learned, reference), Some(groups.clone()));
                    } else {
                        let part = groups[3..6].iter().copied();
                        learned.learn(reference.from(3), part);
                    }
                }
            }
        }
    }
}

fn step(group: &mut Group) {
    if let Statement::Request { nonce: old, .. } = &mut group.statement {
        *old = nonce(old.get() + 1);
    }
}
