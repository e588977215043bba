//! Can two nodes hold at once, whatever is lost, late, repeated, frozen or restarted?
//!
//! A breadth-first search drives the real `core::lease` through everything that can happen to a
//! small cluster; `model/world.rs` says what can, and its `State::check` what must not.
//!
//! The usual run looks at the first states of each cluster, which is a matter of seconds, and at all of
//! them where nothing fails. `FLOATLOCK_MODEL_STATES=2000000 cargo test --test model -- --nocapture
//! --test-threads=1 --skip disk` looks at so many of each; a million takes about half a minute and
//! half a gigabyte. What it found is in `docs/leases.md`.

#[path = "model/disk.rs"]
mod disk;
#[path = "model/fenced.rs"]
mod fenced;
#[path = "model/mirrored.rs"]
mod mirrored;
#[path = "model/proven.rs"]
mod proven;
#[path = "model/search.rs"]
mod search;
#[path = "model/world.rs"]
mod world;

use floatlock::core::lease::Resign;
use search::{Found, World, search, wander};
use world::{Bounds, Flaw, L, State};

/// Nothing else goes wrong than messages, sleep and clocks.
const WITNESS: Bounds = Bounds {
    nodes: 2,
    witnesses: 1,
    requests: [1, 1, 0],
    crashes: [0, 0, 0],
    handovers: 0,
    slow_disk: false,
    skewed: false,
    flaw: None,
};
const THREE: Bounds = Bounds {
    nodes: 3,
    witnesses: 0,
    ..WITNESS
};
/// Of each cluster, where nobody says otherwise.
const STATES: usize = 50_000;

fn states(usual: usize) -> usize {
    let told = std::env::var("FLOATLOCK_MODEL_STATES").ok();
    told.and_then(|told| told.parse().ok()).unwrap_or(usual)
}

fn is_safe(name: &str, bounds: Bounds) {
    is_safe_in(STATES, name, bounds);
}

fn is_safe_in(usual: usize, name: &str, bounds: Bounds) {
    let found = search(State::new(bounds), states(usual), |_| None);
    holds(name, found);
}

/// There are fewer states than this, and all of them are looked at.
fn is_safe_in_all(most: usize, name: &str, bounds: Bounds) {
    let found = search(State::new(bounds), most, |_| None);
    assert!(found.complete || found.way.is_some(), "{name}: {found:?}");
    holds(name, found);
}

/// On ways that are longer than what a search gets to.
fn is_safe_far_away(name: &str, bounds: Bounds) {
    let walks = states(STATES) as u64 / 10;
    holds(name, wander(&State::new(bounds), (1, walks, 100), |_| None));
}

fn holds(name: &str, found: Found<world::Action>) {
    let (count, depth) = (found.states, found.depth);
    println!(
        "{name}: {count} states, depth {depth}, all: {}",
        found.complete
    );
    if let Some((invariant, way)) = found.way {
        panic!("{name}: {invariant}, after {way:#?}");
    }
}

#[test]
fn no_delay_loss_or_repetition_makes_two_hold() {
    is_safe_in_all(70_000, "witness", WITNESS);
    is_safe_in_all(130_000, "three", THREE);
    let requests = [1, 1, 1];
    is_safe("three candidates", Bounds { requests, ..THREE });
}

#[test]
fn no_skew_of_any_clock_makes_two_hold() {
    let skewed = true;
    is_safe("witness, skewed", Bounds { skewed, ..WITNESS });
    is_safe("three, skewed", Bounds { skewed, ..THREE });
}

#[test]
fn no_renewal_makes_two_hold() {
    let requests = [2, 1, 0];
    is_safe(
        "witness, renewed",
        Bounds {
            requests,
            ..WITNESS
        },
    );
    is_safe("three, renewed", Bounds { requests, ..THREE });
}

#[test]
fn no_crash_makes_two_hold() {
    for crashes in [[0, 0, 1], [1, 0, 0]] {
        is_safe("witness, crash", Bounds { crashes, ..WITNESS });
        is_safe("three, crash", Bounds { crashes, ..THREE });
    }
}

/// Without its quarantine the witness promises twice after 147 000 states.
#[test]
fn no_restart_of_a_voter_makes_two_hold() {
    let bounds = Bounds {
        requests: [1, 2, 0],
        crashes: [0, 0, 1],
        ..WITNESS
    };
    is_safe_in(160_000, "witness, restarted", bounds);
}

#[test]
fn no_crash_while_an_epoch_is_stored_makes_two_hold_or_epochs_fall() {
    let bounds = Bounds {
        crashes: [1, 1, 0],
        slow_disk: true,
        ..WITNESS
    };
    is_safe("witness, slow disk", bounds);
}

#[test]
fn no_handover_makes_two_hold() {
    let handovers = 1;
    is_safe(
        "witness, handover",
        Bounds {
            handovers,
            ..WITNESS
        },
    );
    is_safe("three, handover", Bounds { handovers, ..THREE });
    let requests = [2, 1, 0];
    is_safe(
        "witness, renewed, handover",
        Bounds {
            handovers,
            requests,
            ..WITNESS
        },
    );
}

#[test]
fn all_of_it_together_does_not_make_two_hold() {
    let all = Bounds {
        requests: [2, 2, 0],
        crashes: [1, 1, 1],
        handovers: 1,
        slow_disk: true,
        skewed: true,
        ..WITNESS
    };
    is_safe("witness, all", all);
    let three = Bounds {
        nodes: 3,
        witnesses: 0,
        requests: [2, 2, 1],
        ..all
    };
    is_safe("three, all", three);
    is_safe_far_away("witness, all, far away", all);
    is_safe_far_away("three, all, far away", three);
}

/// The search is worth something only if it sees what the lengths are for. They are tight: one tick less
/// and two hold. Beside a witness, whoever asks a voter that restarts too early still rises to its epoch
/// first, by when the tick has passed.
#[test]
fn a_promise_or_a_quarantine_that_is_a_tick_too_short_is_found() {
    let skewed = true;
    for bounds in [WITNESS, THREE] {
        let flaw = Some(Flaw::Promise);
        let short = State::new(Bounds {
            skewed,
            flaw,
            ..bounds
        });
        makes_two_hold("P too short", search(short, 400_000, |_| None));
    }
    let flaw = Some(Flaw::Quarantine);
    let short = State::new(Bounds {
        crashes: [0, 0, 1],
        flaw,
        ..THREE
    });
    makes_two_hold(
        "quarantine too short",
        wander(&short, (1, 100_000, 60), |_| None),
    );
}

#[test]
fn nonces_that_begin_anew_at_a_restart_are_found() {
    for bounds in [WITNESS, THREE] {
        let again = State::new(Bounds {
            crashes: [1, 0, 0],
            flaw: Some(Flaw::Nonces),
            ..bounds
        });
        let found = wander(&again, (1, 100_000, 60), |_| None);
        makes_two_hold("nonces begin anew", found);
    }
}

fn makes_two_hold(name: &str, found: Found<world::Action>) {
    println!("{name}: after {} states", found.states);
    let what = found.way.as_ref().map(|(what, _)| what.as_str());
    let is_seen = what.is_some_and(|what| what.starts_with("S1: "));
    assert!(is_seen, "{name}: {found:#?}");
}

fn is_reached(name: &str, bounds: Bounds, goal: fn(&State) -> bool) {
    let goal = |state: &State| goal(state).then(|| "reached".to_owned());
    let found = search(State::new(bounds), states(400_000), goal);
    gets_there(name, found);
}

/// Too far for a search.
fn is_reached_somehow(name: &str, bounds: Bounds, goal: fn(&State) -> bool) {
    let goal = |state: &State| goal(state).then(|| "reached".to_owned());
    gets_there(name, wander(&State::new(bounds), (1, 100_000, 60), goal));
}

fn gets_there(name: &str, found: Found<world::Action>) {
    let (count, depth) = (found.states, found.depth);
    println!("{name}: after {count} states, depth {depth}");
    let Some((what, way)) = found.way else {
        panic!("{name}: never reached");
    };
    assert_eq!(what, "reached", "{name}: after {way:#?}");
}

fn is_taken_over(state: &State) -> bool {
    match state.holders {
        [Some(new), Some(old), _] => new.0 != old.0 && !state.runs(old),
        _ => false,
    }
}

fn is_handed_over(state: &State) -> bool {
    let [Some((new, _)), Some((old, _)), None] = state.holders else {
        return false;
    };
    let named = |resign: &Resign| resign.to == Some(new);
    new != old && state.resigned().any(named)
}

fn is_handed_back(state: &State) -> bool {
    let holders = state.holders.map(|holder| holder.map(|(node, _)| node));
    holders == [Some(0), Some(1), Some(0)] && state.resigned().count() == 2
}

#[test]
fn another_node_takes_over_after_a_crash() {
    let crashes = [1, 0, 0];
    let bounds = Bounds { crashes, ..WITNESS };
    is_reached("witness, taken over", bounds, is_taken_over);
    let bounds = Bounds { crashes, ..THREE };
    is_reached("three, taken over", bounds, is_taken_over);
}

#[test]
fn a_resign_hands_over_and_another_hands_back() {
    for (name, cluster) in [("witness", WITNESS), ("three", THREE)] {
        let bounds = Bounds {
            handovers: 2,
            ..cluster
        };
        is_reached(&format!("{name}, handed over"), bounds, is_handed_over);
        let name = format!("{name}, handed back");
        is_reached_somehow(&name, bounds, is_handed_back);
    }
}

#[test]
fn without_a_resign_the_next_waits_for_the_promise_and_then_holds() {
    for (name, bounds) in [("witness", WITNESS), ("three", THREE)] {
        is_reached(name, bounds, |state| {
            state.holders[1].is_some() && state.resigned().count() == 0
        });
    }
}

/// Two nodes at a disk on which everything goes well.
const DISK: disk::Bounds = disk::Bounds {
    nodes: 2,
    horizon: 6,
    skew: 0,
    lease: disk::L,
    wait: disk::L,
    crashes: 0,
    failures: 0,
    tears: 0,
    rests: 0,
    eager: false,
};

fn disk_is_safe(name: &str, bounds: disk::Bounds) {
    let usual = if bounds.eager { 6 * STATES } else { STATES };
    let found = search(disk::State::new(bounds), states(usual), |_| None);
    let (count, depth) = (found.states, found.depth);
    println!(
        "disk, {name}: {count} states, depth {depth}, all: {}",
        found.complete
    );
    if let Some((invariant, way)) = found.way {
        panic!("disk, {name}: {invariant}, after {way:#?}");
    }
}

/// Clocks that differ by a tick.
const SKEWED: disk::Bounds = disk::Bounds {
    skew: 1,
    wait: disk::L + 2,
    ..DISK
};

#[test]
fn no_delay_of_a_disk_makes_two_hold() {
    disk_is_safe("two", DISK);
    disk_is_safe("two, skewed", SKEWED);
    disk_is_safe("three", disk::Bounds { nodes: 3, ..DISK });
    let eager = true;
    disk_is_safe("two, quick", disk::Bounds { eager, ..DISK });
    disk_is_safe("two, quick and skewed", disk::Bounds { eager, ..SKEWED });
}

#[test]
fn no_crash_at_a_disk_makes_two_hold() {
    let crashes = 1;
    disk_is_safe("crashes", disk::Bounds { crashes, ..DISK });
    let torn = disk::Bounds {
        crashes,
        tears: 1,
        ..DISK
    };
    disk_is_safe("torn", torn);
    disk_is_safe("crashes, skewed", disk::Bounds { crashes, ..SKEWED });
    let eager = true;
    disk_is_safe("torn, quick", disk::Bounds { eager, ..torn });
}

#[test]
fn no_failure_of_a_disk_makes_two_hold() {
    let failures = 2;
    disk_is_safe("failures", disk::Bounds { failures, ..DISK });
    let rests = 1;
    disk_is_safe("given back", disk::Bounds { rests, ..DISK });
    let eager = true;
    disk_is_safe(
        "given back, quick",
        disk::Bounds {
            rests,
            eager,
            ..DISK
        },
    );
}

/// Far beyond what is searched: each way is one that may happen.
const DISK_FAR: disk::Bounds = disk::Bounds {
    horizon: 60,
    crashes: 3,
    failures: 6,
    tears: 2,
    rests: 3,
    ..SKEWED
};

#[test]
fn no_way_at_a_disk_makes_two_hold() {
    let moves = std::cell::Cell::new(0);
    let lease = 2 * disk::L;
    for (seed, bounds) in (1..).zip([
        DISK_FAR,
        disk::Bounds {
            skew: 0,
            lease,
            wait: lease,
            ..DISK_FAR
        },
        disk::Bounds {
            nodes: 3,
            ..DISK_FAR
        },
    ]) {
        let ways = states(3_000) as u64;
        let found = wander(&disk::State::new(bounds), (seed, ways, 600), |state| {
            moves.set(moves.get().max(state.moves));
            None
        });
        println!("disk, {ways} ways: {} states", found.states);
        if let Some((invariant, way)) = found.way {
            panic!("disk, far away: {invariant}, after {way:#?}");
        }
    }
    assert!(moves.get() > 2, "nobody took over");
}

/// One tick less would be too little: the search sees it.
#[test]
fn a_wait_that_is_a_tick_too_short_is_found() {
    for bounds in [DISK, SKEWED] {
        let wait = bounds.wait - 1;
        let eager = true;
        let short = disk::Bounds {
            wait,
            eager,
            ..bounds
        };
        let found = search(disk::State::new(short), 2_000_000, |_| None);
        let what = found.way.as_ref().map(|(what, _)| what.as_str());
        assert_eq!(what, Some("S1: two serve"), "{found:#?}");
    }
}

/// The search is worth something only if it gets this far.
#[test]
fn the_disks_vote_moves_from_one_to_another() {
    let most = 2_000_000;
    let eager = disk::Bounds {
        eager: true,
        ..DISK
    };
    let start = |rests| disk::State::new(disk::Bounds { rests, ..eager });
    let reaches = |name: &str, found: Found<disk::Action>| {
        println!("disk, {name}: after {} states", found.states);
        let what = found.way.as_ref().map(|(what, _)| what.as_str());
        assert_eq!(what, Some(name), "{found:#?}");
    };
    let taken = |state: &disk::State| (state.moves > 0).then(|| "taken".to_owned());
    reaches("taken", search(start(0), most, taken));
    let handed = |state: &disk::State| state.handed.then(|| "handed".to_owned());
    reaches("handed", search(start(1), most, handed));
}

/// A pair with a disk on which everything goes well.
const FENCED: fenced::Bounds = fenced::Bounds {
    nodes: 2,
    horizon: 24,
    skew: 0,
    promise: L + 1,
    wait: fenced::L_DISK,
    requests: 2,
    crashes: 0,
    handovers: 0,
    failures: 0,
    tears: 0,
    always: false,
};
const FENCED_SKEWED: fenced::Bounds = fenced::Bounds {
    skew: 1,
    promise: L + 2,
    wait: fenced::L_DISK + 2,
    ..FENCED
};
/// Ways of a hundred actions and more.
const WALKS: usize = 5_000;

fn fenced_is_safe(name: &str, bounds: fenced::Bounds) {
    let start = fenced::State::new(bounds);
    let told = |how: &str, found: Found<fenced::Action>| {
        println!(
            "fenced, {name}, {how}: {} states, depth {}",
            found.states, found.depth
        );
        if let Some((invariant, way)) = found.way {
            panic!("fenced, {name}: {invariant}, after {way:#?}");
        }
    };
    told("all ways", search(start.clone(), states(STATES), |_| None));
    let walks = states(WALKS) as u64;
    told("some ways", wander(&start, (1, walks, 160), |_| None));
}

#[test]
fn no_delay_makes_two_hold_that_have_a_disk() {
    fenced_is_safe("pair", FENCED);
    fenced_is_safe("pair, skewed", FENCED_SKEWED);
}

#[test]
fn no_crash_makes_two_hold_that_have_a_disk() {
    let crashes = 2;
    fenced_is_safe("crashes", fenced::Bounds { crashes, ..FENCED });
    fenced_is_safe(
        "crashes, skewed",
        fenced::Bounds {
            crashes,
            ..FENCED_SKEWED
        },
    );
}

#[test]
fn no_handover_makes_two_hold_that_have_a_disk() {
    let handovers = 2;
    fenced_is_safe(
        "handovers",
        fenced::Bounds {
            handovers,
            ..FENCED
        },
    );
    let crashes = 1;
    let both = fenced::Bounds {
        handovers,
        crashes,
        ..FENCED_SKEWED
    };
    fenced_is_safe("handovers and crashes, skewed", both);
}

#[test]
fn no_failure_of_the_disk_makes_two_hold_that_grant_each_other_votes() {
    let bad = fenced::Bounds {
        failures: 3,
        tears: 2,
        crashes: 2,
        ..FENCED_SKEWED
    };
    fenced_is_safe("failures, tears and crashes, skewed", bad);
    let always = true;
    fenced_is_safe(
        "always, failures, tears and crashes, skewed",
        fenced::Bounds { always, ..bad },
    );
}

#[test]
fn nothing_makes_two_of_three_hold_that_have_a_disk() {
    let three = fenced::Bounds {
        nodes: 3,
        handovers: 1,
        crashes: 2,
        failures: 1,
        tears: 1,
        ..FENCED_SKEWED
    };
    fenced_is_safe("three, skewed", three);
    let always = true;
    fenced_is_safe("three, always, skewed", fenced::Bounds { always, ..three });
    let found = wander(&fenced::State::new(three), (7, 200_000, 160), |state| {
        (state.taken_by_disk && state.moves > 0).then(|| "taken by the disk's vote".to_owned())
    });
    println!(
        "fenced, three, taken by the disk's vote: after {} states",
        found.states
    );
    assert!(found.way.is_some());
}

#[test]
fn nothing_makes_two_hold_where_nobody_holds_without_the_disk() {
    let always = true;
    fenced_is_safe("always", fenced::Bounds { always, ..FENCED });
    let all = fenced::Bounds {
        always,
        handovers: 1,
        crashes: 1,
        ..FENCED_SKEWED
    };
    fenced_is_safe("always, handovers and crashes, skewed", all);
    let start = fenced::State::new(fenced::Bounds {
        always,
        handovers: 1,
        ..FENCED
    });
    let handed = |state: &fenced::State| state.handed_over.then(|| "handed over".to_owned());
    let found = wander(&start, (7, 200_000, 160), handed);
    println!("fenced, always, handed over: after {} states", found.states);
    assert!(found.way.is_some());
}

#[test]
fn a_pair_with_a_disk_gets_everywhere() {
    let start = fenced::State::new(fenced::Bounds {
        handovers: 1,
        crashes: 1,
        ..FENCED
    });
    let reaches = |name: &str, goal: fn(&fenced::State) -> bool| {
        let found = wander(&start, (7, 200_000, 160), |state| {
            goal(state).then(|| name.to_owned())
        });
        println!("fenced, {name}: after {} states", found.states);
        let what = found.way.as_ref().map(|(what, _)| what.as_str());
        assert_eq!(what, Some(name), "{found:#?}");
    };
    reaches("held by the disk's vote", |state| state.by_disk);
    reaches("taken over by the disk's vote", |state| state.taken_by_disk);
    reaches("handed over", |state| state.handed_over);
    reaches("moved twice", |state| state.moves > 1);
}

/// One tick less would be too little, though peers grant votes: some way shows it.
#[test]
fn a_wait_that_is_a_tick_too_short_is_found_with_the_peers_grants_too() {
    let wait = FENCED.wait - 1;
    let start = fenced::State::new(fenced::Bounds { wait, ..FENCED });
    let found = wander(&start, (5, 400_000, 160), |_| None);
    println!("fenced, wait too short: after {} states", found.states);
    let what = found.way.as_ref().map(|(what, _)| what.as_str());
    assert_eq!(what, Some("S1: two serve"));
}

/// A pair with a reference that both reach; the network between them is parted once.
const PROVEN: proven::Bounds = proven::Bounds {
    reach: [true, true],
    flips: [0, 0],
    cuts: 1,
    horizon: 6,
    questions: [4, 3],
    freezes: [0, 0],
    hangs: [0, 0],
    pauses: [0, 0],
    crashes: [0, 0],
    handovers: 0,
    slow: 0,
    solo: false,
    skewed: false,
    gap: false,
};
/// By one, by the other, by none and by both.
const REACHES: [[bool; 2]; 4] = [[true, false], [false, true], [false, false], [true, true]];

fn proven_is_safe_in(most: usize, name: &str, start: proven::State) -> bool {
    let found = search(start, most, |_| None);
    println!(
        "proven, {name}: {} states, depth {}, all: {}",
        found.states, found.depth, found.complete
    );
    if let Some((invariant, way)) = found.way {
        panic!("proven, {name}: {invariant}, after {way:#?}");
    }
    found.complete
}

/// Of each of those who reach the reference, as far as it goes.
fn proven_is_safe(name: &str, bounds: proven::Bounds) {
    for reach in REACHES {
        let start = proven::State::held(proven::Bounds { reach, ..bounds });
        let name = format!("{name}, {reach:?}");
        proven_is_safe_in(states(STATES / 2), &name, start);
    }
}

#[test]
fn nobody_answers_beyond_its_proof_and_no_two_but_in_the_gap() {
    for reach in REACHES {
        let start = proven::State::held(proven::Bounds { reach, ..PROVEN });
        assert!(proven_is_safe_in(500_000, &format!("{reach:?}"), start));
    }
}

#[test]
fn nobody_answers_beyond_its_proof_in_the_gap() {
    let gap = true;
    let start = proven::State::held(proven::Bounds { gap, ..PROVEN });
    proven_is_safe_in(states(4 * STATES), "gap", start);
}

#[test]
fn nothing_that_happens_besides_makes_two_hold_but_in_the_gap() {
    let bounds = proven::Bounds {
        flips: [1, 1],
        ..PROVEN
    };
    proven_is_safe("lost and found", bounds);
    let freezes = [1, 1];
    proven_is_safe("frozen", proven::Bounds { freezes, ..PROVEN });
    let pauses = [1, 1];
    proven_is_safe("paused", proven::Bounds { pauses, ..PROVEN });
    let crashes = [1, 1];
    proven_is_safe("crashed", proven::Bounds { crashes, ..PROVEN });
    let handovers = 1;
    proven_is_safe(
        "handed over",
        proven::Bounds {
            handovers,
            ..PROVEN
        },
    );
    let skewed = true;
    proven_is_safe("skewed", proven::Bounds { skewed, ..PROVEN });
    let slow = 1;
    proven_is_safe("slow", proven::Bounds { slow, ..PROVEN });
    for solo in [false, true] {
        let start = proven::State::new(proven::Bounds { solo, ..PROVEN });
        let name = format!("from the start, solo: {solo}");
        proven_is_safe_in(states(STATES), &name, start);
    }
}

#[test]
fn all_of_it_together_makes_no_two_of_a_pair_hold_but_in_the_gap() {
    for (solo, gap) in [(false, false), (true, false), (false, true)] {
        let all = proven::Bounds {
            flips: [2, 2],
            cuts: 2,
            horizon: 20,
            questions: [60, 60],
            freezes: [2, 2],
            pauses: [2, 2],
            crashes: [1, 1],
            handovers: 2,
            slow: 2,
            solo,
            skewed: true,
            gap,
            ..PROVEN
        };
        for start in [proven::State::new(all), proven::State::held(all)] {
            let walks = states(STATES) as u64 / 5;
            let found = wander(&start, (3, walks, 100), |_| None);
            println!("proven, far away: {} states", found.states);
            if let Some((invariant, way)) = found.way {
                panic!("proven, far away: {invariant}, after {way:#?}");
            }
        }
    }
}

fn proven_gets(name: &str, start: proven::State, goal: fn(&proven::State) -> bool) {
    let found = search(start, states(400_000), |state| {
        goal(state).then(|| "reached".to_owned())
    });
    println!("proven, {name}: after {} states", found.states);
    let what = found.way.as_ref().map(|(what, _)| what.as_str());
    assert_eq!(what, Some("reached"), "proven, {name}: {found:#?}");
}

fn proven_never_gets(name: &str, start: proven::State, goal: fn(&proven::State) -> bool) {
    let found = search(start, 400_000, |state| {
        goal(state).then(|| "reached".to_owned())
    });
    println!("proven, {name}: never in {} states", found.states);
    assert!(found.complete, "proven, {name}: {found:#?}");
}

/// `docs/reference.md` says so: two that reach the reference and are cut off from each other.
#[test]
fn two_that_are_proven_and_parted_do_both_answer() {
    let gap = true;
    let start = proven::State::held(proven::Bounds { gap, ..PROVEN });
    proven_gets("two answer in the gap", start, |state| {
        state.gap && state.parted && state.answering().count() == 2
    });
}

/// Nothing is parted; either of them stands still, whenever it likes.
const STILL: proven::Bounds = proven::Bounds {
    cuts: 0,
    horizon: 7,
    questions: [20, 20],
    ..PROVEN
};

/// Far beyond what is searched.
fn proven_is_safe_far_away(name: &str, bounds: proven::Bounds) {
    let (start, walks) = (proven::State::held(bounds), states(STATES) as u64 / 10);
    let found = wander(&start, (11, walks, 80), |_| None);
    println!("proven, {name}, far away: {} states", found.states);
    if let Some((invariant, way)) = found.way {
        panic!("proven, {name}, far away: {invariant}, after {way:#?}");
    }
}

/// Whoever goes on answers by then for no longer than its gate was told before, and was seen in a look.
#[test]
fn no_host_that_stands_still_makes_two_answer_unless_it_is_looked_for_just_then() {
    for reach in REACHES {
        let (freezes, pauses) = ([1, 1], [2, 2]);
        let bounds = proven::Bounds {
            reach,
            freezes,
            pauses,
            slow: 1,
            ..STILL
        };
        proven_is_safe_far_away(&format!("paused, {reach:?}"), bounds);
    }
}

/// Nothing of the other one comes for a promise, and its host stands still just when it is looked for:
/// `docs/leases.md` says so.
#[test]
fn a_host_that_stands_still_when_it_is_looked_for_answers_beside_the_other_one() {
    let bounds = proven::Bounds {
        pauses: [1, 1],
        gap: true,
        ..STILL
    };
    proven_gets_somehow("unseen", bounds, |state| {
        state.unseen && !state.gap && state.answering().count() == 2
    });
}

/// An agent that stands still after it has read the clock, and then does what that time allowed, does no harm
/// where one of them alone reaches the reference ...
#[test]
fn no_agent_that_stands_still_within_a_turn_makes_two_answer_where_one_is_proven() {
    for reach in &REACHES[..3] {
        let (reach, hangs) = (*reach, [1, 1]);
        let bounds = |bounds| proven::Bounds {
            reach,
            hangs,
            ..bounds
        };
        let name = format!("frozen within a turn, {reach:?}");
        let start = proven::State::held(bounds(PROVEN));
        proven_is_safe_in(states(STATES / 2), &name, start);
        proven_is_safe_far_away(&name, bounds(STILL));
    }
}

/// ... but where both do and neither hears the other one: nobody answered its look, it stands still right before it
/// opens its gate, and the other one looks as well meanwhile.
#[test]
fn an_agent_that_stands_still_before_it_opens_its_gate_answers_beside_the_other_one() {
    let (hangs, horizon) = ([0, 1], 5);
    let bounds = proven::Bounds {
        hangs,
        horizon,
        ..STILL
    };
    let start = proven::State::held(bounds);
    let found = wander(&start, (5, 200_000, 60), |_| None);
    println!("proven, opens late: after {} states", found.states);
    let what = found.way.as_ref().map(|(what, _)| what.as_str());
    assert_eq!(what, Some("S1: two answer"));
}

/// One that stands still right before it moves the end of its open gate, which shuts meanwhile, does not open it again:
/// it did, as this search found.
#[test]
fn an_agent_that_stands_still_before_it_renews_its_gate_leaves_it_shut() {
    use proven::Action::{Answer, Freeze, Hang, LookEnds, Tick};
    let hangs = [1, 0];
    let mut state = proven::State::held(proven::Bounds { hangs, ..STILL });
    let way = [
        Tick(0),
        // By its own vote, since nothing comes back.
        Answer(0, 0),
        Answer(1, 0),
        Tick(0),
        Hang(0),
        Answer(0, 0),
        Tick(0),
        // The other one has heard nothing for a promise, and looks: the gate has just shut.
        Answer(1, 0),
        LookEnds(1),
    ];
    for action in way {
        assert!(state.actions().contains(&action), "{action:?}");
        assert_eq!(state.apply(action), Ok(()), "{action:?}");
    }
    assert!(state.answering().eq([1]));
    assert_eq!(state.apply(Freeze(0)), Ok(()));
    assert!(state.answering().eq([1]));
    assert!(!state.parted && !state.gap && !state.unseen);
}

/// Too far for a search.
fn proven_gets_somehow(name: &str, bounds: proven::Bounds, goal: fn(&proven::State) -> bool) {
    let start = proven::State::held(bounds);
    let found = wander(&start, (5, 200_000, 60), |state| {
        goal(state).then(|| "reached".to_owned())
    });
    println!("proven, {name}: after {} states", found.states);
    let what = found.way.as_ref().map(|(what, _)| what.as_str());
    assert_eq!(what, Some("reached"), "proven, {name}: {found:#?}");
}

/// Both lost the reference, or one of them: the rows of the table in `docs/reference.md`.
#[test]
fn whoever_reaches_the_reference_takes_over_from_one_that_is_cut_off() {
    let is_taken = |state: &proven::State| {
        let from_living = state.holders == [Some(1), Some(0), None] && state.runs(0);
        from_living && state.parted && state.is_alone(1) && !state.reaches(0)
    };
    let bounds = |reach, flips| {
        proven::State::held(proven::Bounds {
            reach,
            flips,
            ..PROVEN
        })
    };
    proven_gets("taken over", bounds([false, true], [0, 0]), is_taken);
    proven_gets("lost, taken over", bounds([true, true], [1, 0]), is_taken);
    proven_never_gets(
        "taken over without it",
        bounds([true, false], [0, 0]),
        |state| state.is_alone(1),
    );
}

#[test]
fn one_of_a_pair_takes_over_from_a_dead_one_only_with_the_reference() {
    let start = |reach| {
        proven::State::held(proven::Bounds {
            reach,
            cuts: 0,
            crashes: [1, 0],
            ..PROVEN
        })
    };
    let is_taken = |state: &proven::State| !state.runs(0) && state.is_alone(1);
    proven_gets("taken over from a dead one", start([false, true]), is_taken);
    let is_alone = |state: &proven::State| state.is_alone(0) || state.is_alone(1);
    proven_never_gets("alone without it", start([false, false]), is_alone);
}

#[test]
fn one_that_starts_without_the_other_needs_the_reference_or_leave() {
    let start = |reach, solo| {
        proven::State::widowed(proven::Bounds {
            reach: [false, reach],
            solo,
            ..PROVEN
        })
    };
    let serves = |state: &proven::State| state.answering().count() > 0;
    proven_never_gets("started alone", start(false, false), serves);
    proven_gets("started alone, proven", start(true, false), serves);
    proven_gets("started alone, solo", start(false, true), serves);
}

#[test]
fn a_pair_that_lost_the_reference_hands_over_and_back_all_the_same() {
    let start = |handovers| {
        proven::State::held(proven::Bounds {
            reach: [false, false],
            cuts: 0,
            horizon: 8,
            questions: [6, 6],
            handovers,
            ..PROVEN
        })
    };
    proven_gets("handed over", start(1), |state| {
        state.handovers == 0 && state.holders == [Some(1), Some(0), None]
    });
    proven_gets("handed back", start(2), |state| {
        state.holders == [Some(0), Some(1), Some(0)]
    });
}
