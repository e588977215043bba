//! What becomes of a hundred thousand frames, most of them broken?

use std::net::IpAddr;
use std::time::Duration;

use floatlock::config::{Family, Version};
use floatlock::wire::vrrp::{Accepted, ChecksumForm, Class, Counters, Rejected};

use crate::dice::Dice;
use crate::mutation::{ALL, Must};
use crate::scene::{Kind, Scene, counted_as};

const FRAMES: usize = 100_000;
const SEED: u64 = 0x0f10_a710;

#[test]
fn a_hundred_thousand_frames_fare_as_their_maker_says() {
    let mut dice = Dice::new(SEED);
    let mut counters = Counters::default();
    let mut made = 0;
    while made < FRAMES {
        let mut scene = Scene::random(&mut dice);
        let (name, mutate) = dice.pick(ALL);
        let Some(must) = mutate(&mut scene, &mut dice) else {
            continue;
        };
        made += 1;
        scene.judge(|verdict| {
            let told = || format!("frame {made}, {name}: {verdict:?}, not {must:?}: {scene:?}");
            assert!(fares(&verdict, must), "{}", told());
            count(&mut counters, &verdict);
        });
    }
    let never: Vec<_> = counters.iter().filter(|(_, count)| *count == 0).collect();
    assert!(never.is_empty(), "nothing tried these: {never:?}");
}

fn fares(verdict: &Result<Accepted<'_>, Rejected>, must: Must) -> bool {
    match (verdict, must) {
        (Ok(_), Must::Count(name)) => counted_as(verdict) == name,
        (Err(rejected), Must::Fall(name, class)) => {
            counted_as(verdict) == name && rejected.class() == class
        }
        (Err(rejected), Must::Vanish) => {
            matches!(rejected.class(), Class::Malformed | Class::Foreign)
        }
        _ => false,
    }
}

fn count(counters: &mut Counters, verdict: &Result<Accepted<'_>, Rejected>) {
    match verdict {
        Ok(accepted) => counters.count_accepted(accepted),
        Err(rejected) => counters.count_rejected(rejected),
    }
}

#[test]
fn each_mutation_can_happen() {
    for (name, mutate) in ALL {
        let mut dice = Dice::new(SEED);
        let mut tries = (0..1000).map(|_| mutate(&mut Scene::random(&mut dice), &mut dice));
        assert!(tries.any(|must| must.is_some()), "{name}");
    }
}

/// The law of `receive`: who raises a conflict would be heard by one who speaks as he does.
#[test]
fn a_conflict_comes_from_a_frame_that_is_right_by_its_own_rules() {
    let mut dice = Dice::new(SEED);
    let mut conflicts = 0;
    while conflicts < 2_000 {
        let mut scene = Scene::random(&mut dice);
        let (name, mutate) = dice.pick(ALL);
        mutate(&mut scene, &mut dice);
        match scene.verdict().1 {
            Some(Rejected::Version { theirs, .. }) => {
                speak_as(&mut scene, theirs);
            }
            Some(Rejected::Interval { theirs }) => scene.interval = theirs,
            _ => continue,
        }
        conflicts += 1;
        let heard = scene.judge(|verdict| verdict.is_ok());
        assert!(heard, "{name}: {:?} by {scene:?}", scene.verdict());
    }
}

/// Makes the listener one who speaks as the frame does.
fn speak_as(scene: &mut Scene, version: Version) {
    scene.version = version;
    if version == Version::V2 {
        scene.interval = Duration::from_secs(scene.message[5].into());
        let last = scene.message.last_chunk();
        scene.auth = last.copied().filter(|_| scene.message[4] == 1);
    }
}

#[test]
fn the_form_of_a_checksum_is_told() {
    let mut dice = Dice::new(SEED);
    for _ in 0..2_000 {
        let kind = Kind::random(&mut dice);
        let scene = Scene::of(kind, &mut dice);
        let form = scene.judge(|verdict| verdict.map(|accepted| accepted.checksum));
        assert_eq!(form, Ok(kind.form), "{scene:?}");
    }
}

#[test]
fn the_old_unicast_form_is_not_taken_from_multicast_to_another_group() {
    let kind = Kind {
        version: Version::V3,
        family: Family::V4,
        multicast: true,
        auth: None,
        form: ChecksumForm::OldUnicast,
    };
    let mut scene = Scene::of(kind, &mut Dice::new(SEED));
    assert!(
        scene.judge(|verdict| verdict.is_ok()),
        "the form is the same to 224.0.0.18"
    );
    scene.destination = IpAddr::from([224, 0, 0, 5]);
    assert_eq!(scene.verdict().1, Some(Rejected::Checksum));
}
