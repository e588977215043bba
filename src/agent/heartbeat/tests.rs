//! Does the heartbeat thread keep what others must not lose?

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::sync::atomic::AtomicBool;

use super::super::message::{Addresses, Heart, Question};
use super::super::plan::Spoken;
use super::*;
use crate::config::Announce;
use crate::core::election::Version;
use crate::core::lease::Epoch;
use crate::core::{Facts, Fitness, PeerState, RoleName, Say, Settings, Voting};
use crate::sys::wake;
use crate::wire::native::{Digest, GroupId};

const SETTINGS: Settings = Settings {
    version: Version::V3,
    priority: 100,
    interval: Duration::from_secs(1),
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
    actions: crate::core::Actions {
        promote: Duration::ZERO,
        demote: Duration::ZERO,
        others: Duration::ZERO,
    },
};

fn looks() -> Outbox<Ask> {
    Outbox::new(1, None).0
}

fn placed(addresses: &[IpAddr]) -> Arc<[Placed]> {
    let place = |&address| Placed {
        interface: "eth0".into(),
        address,
    };
    addresses.iter().map(place).collect()
}

fn plan(key: Key, has: &[IpAddr], lost: &[IpAddr]) -> Plan {
    let group = Planned {
        key,
        name: "web".into(),
        settings: SETTINGS,
        facts: Facts::default(),
        lines: Vec::new(),
        addresses: Arc::new(Addresses {
            managed: placed(has),
            announced: placed(has),
            announce: Announce {
                count: 0,
                repeat_after: Duration::ZERO,
                refresh: Duration::ZERO,
                rate: 1,
            },
        }),
        withdrawn: placed(lost),
        holding: Arc::new(AtomicBool::new(false)),
        shutter: None,
        early: Duration::ZERO,
        spoken: None,
        boot: None,
        scripts: None,
    };
    Plan {
        groups: vec![group],
        receivers: Vec::new(),
        senders: Vec::new(),
        herald: None,
        notes: Vec::new(),
    }
}

#[test]
fn a_withdrawal_that_found_the_queue_full_is_offered_until_it_is_taken_or_void() {
    let [kept, lost, back] = [1, 2, 3].map(|n| IpAddr::from([192, 0, 2, n]));
    let (waker, wake) = wake::pair().unwrap();
    let (_heart, inbox) = Heart::new(waker.clone());
    let (jobs, job_inbox) = Outbox::new(1, None);
    let (journal, _entries) = Outbox::new(64, None);
    let (store, _tasks) = Outbox::new(64, None);
    jobs.offer(Job::Hush(99));
    let board = Arc::default();
    let mut heartbeat = Heartbeat::new(
        inbox,
        (waker, wake),
        (jobs, looks()),
        (journal, store),
        board,
        false,
    )
    .unwrap();
    heartbeat.rewire(plan(1, &[kept], &[lost, back]), clock::now());
    heartbeat.rewire(plan(1, &[kept, back], &[]), clock::now());
    heartbeat.turn().unwrap();
    assert!(matches!(job_inbox.try_recv(), Ok(Job::Hush(99))));
    assert!(job_inbox.try_recv().is_err(), "one has room");
    heartbeat.turn().unwrap();
    let Ok(Job::Withdraw(1, withdrawn)) = job_inbox.try_recv() else {
        panic!("not offered again");
    };
    assert_eq!(withdrawn, placed(&[lost]));
    heartbeat.turn().unwrap();
    assert!(job_inbox.try_recv().is_err(), "taken once");
}

/// Without its epoch a group of a cluster waits for ever.
#[test]
fn an_epoch_that_found_the_queue_full_is_offered_until_it_is_taken() {
    let (waker, wake) = wake::pair().unwrap();
    let (_heart, inbox) = Heart::new(waker.clone());
    let (jobs, _jobs) = Outbox::new(64, None);
    let (journal, _entries) = Outbox::new(64, None);
    let (store, tasks) = Outbox::new(1, None);
    store.offer(Task::Stop);
    let board = Arc::default();
    let own = (waker, wake);
    let to = (journal, store);
    let mut heartbeat = Heartbeat::new(inbox, own, (jobs, looks()), to, board, false).unwrap();
    heartbeat.rewire(voting(plan(1, &[], &[])), clock::now());
    heartbeat.turn().unwrap();
    assert!(matches!(tasks.try_recv(), Ok(Task::Stop)));
    assert!(tasks.try_recv().is_err(), "one has room");
    heartbeat.turn().unwrap();
    let Ok(Task::Epoch(1, name, epoch)) = tasks.try_recv() else {
        panic!("not offered again");
    };
    assert_eq!(&*name, "web");
    assert!(epoch > Epoch::default());
    heartbeat.turn().unwrap();
    assert!(tasks.try_recv().is_err(), "taken once");
}

/// The same plan with a group that votes.
fn voting(mut plan: Plan) -> Plan {
    for group in &mut plan.groups {
        let lease = lease::Settings {
            group: 7,
            me: 0,
            priority: 100,
            voters: lease::Voters {
                nodes: 0b11,
                witnesses: 0,
                arbiter: false,
                hash: 1,
            },
            lease: Duration::from_secs(5),
            interval: Duration::from_secs(1),
            granularity: lease::GRANULARITY,
            reference: false,
            always: false,
        };
        group.settings.native = Some(Voting {
            lease,
            names: &["lb-a", "lb-b"],
        });
        group.boot = Some(lease::Boot {
            id: lease::BootId(1),
            stored: Epoch::default(),
            longest: Duration::ZERO,
            nonce: 0,
        });
    }
    plan
}

fn out(looks: Outbox<Ask>) -> Out {
    Out {
        senders: Vec::new(),
        jobs: Outbox::new(64, None).0,
        looks,
        journal: Outbox::new(64, None).0,
        store: Outbox::new(64, None).0,
        says: Vec::new(),
        has_news: false,
        pleas: None,
        unheard: Vec::new(),
        record: None,
        has_stakes: false,
        rebooter: None,
        steps: None,
        unsaid: Default::default(),
        dues: Dues::default(),
        effects: Vec::new(),
    }
}

/// Elected, and cut off while its addresses take long to go on: the other one may look for them.
#[test]
fn a_candidate_that_is_not_heard_any_more_guards_the_addresses() {
    let (looks, asks) = Outbox::new(64, None);
    let mut out = out(looks);
    let mut planned = voting(plan(1, &[], &[])).groups.remove(0);
    planned.facts.link = true;
    planned.spoken = Some(Spoken {
        id: GroupId(7),
        number: NonZeroU8::MIN,
        addresses: Digest(0),
    });
    let begin = Instant::from_nanos(1_000_000_000);
    let mut slot = Slot::start(planned, (begin, begin), &mut out);
    let stored = lease::Event::Persisted(Epoch::from_number(1 << 20));
    slot.step(begin, Event::Vote(stored), &mut out);
    slot.step(begin, Event::Released(1, Ok(())), &mut out);
    let tick = |slot: &mut Slot, out: &mut Out| {
        let now = slot.group.deadline();
        slot.pass(now, now, out);
        now
    };
    let mut now = begin;
    while out.says.is_empty() {
        now = tick(&mut slot, &mut out);
    }
    let [(_, Say::Request(request))] = out.says[..] else {
        panic!("{:?}", out.says);
    };
    let peer = PeerState {
        node: 1,
        role: RoleName::Backup,
        priority: 50,
        fitness: Fitness::Unfit,
    };
    let granted = lease::Event::Granted(1, request.boot, request.nonce);
    slot.step(now, Event::Said(peer, granted), &mut out);
    assert!(slot.group.is_claiming());
    let guards = || asks.try_iter().any(|ask| ask.what == Question::Guard);
    assert!(!guards(), "the other one knows, and does not look");
    while now < begin + Duration::from_secs(12) && !guards() {
        now = tick(&mut slot, &mut out);
    }
    assert!(slot.group.is_claiming(), "{}", slot.group.view().role);
    let heard_for = now.since(begin + Duration::from_secs(5));
    assert!(
        heard_for < Duration::from_secs(5),
        "before the other one looks: {heard_for:?}"
    );
    slot.step(now, Event::Acquired(2, Ok(())), &mut out);
    assert!(
        slot.group.is_claiming(),
        "that took long: another may answer"
    );
    let Some(Question::Look(ticket)) = asks.try_iter().last().map(|ask| ask.what) else {
        panic!("nobody looks");
    };
    slot.step(now, Event::Looked(ticket, false), &mut out);
    assert_eq!(slot.group.view().role, RoleName::Master);
    let last = asks.try_iter().last().map(|ask| ask.what);
    assert_eq!(last, Some(Question::Rest), "they answer by themselves");
}

/// Others wait for a slot that says HELD: it says otherwise when nothing is left, and no sooner.
#[test]
fn the_arbiter_is_told_of_a_group_that_is_clean_when_its_addresses_are_off() {
    let mut out = out(looks());
    let (pleas, inbox) = Outbox::new(64, None);
    out.pleas = Some(pleas);
    let said = || -> Vec<Plea> {
        let plea = |message| match message {
            ToDisk::Plea(plea) => plea,
            ToDisk::Stop => panic!("nobody stops"),
        };
        inbox.try_iter().map(plea).collect()
    };
    let mut planned = voting(plan(1, &[], &[])).groups.remove(0);
    planned.facts.link = true;
    let native = planned.settings.native.as_mut().unwrap();
    native.lease.voters.arbiter = true;
    let begin = Instant::from_nanos(1_000_000_000);
    let mut slot = Slot::start(planned, (begin, begin), &mut out);
    let stored = lease::Event::Persisted(Epoch::from_number(1 << 20));
    slot.step(begin, Event::Vote(stored), &mut out);
    assert_eq!(
        said(),
        [Plea::Owes(1)],
        "an earlier agent may have left them on"
    );
    slot.step(begin, Event::Released(1, Ok(())), &mut out);
    assert_eq!(said(), [Plea::Clean(1, Epoch::default())]);
    let (mut now, mut asked) = (begin, Vec::new());
    while asked.is_empty() && now < begin + Duration::from_secs(20) {
        now = slot.group.deadline();
        slot.pass(now, now, &mut out);
        asked = said();
    }
    let [Plea::Contend(1, ticket, _)] = asked[..] else {
        panic!("{asked:?}");
    };
    let until = now + Duration::from_secs(5);
    slot.hear_arbiter(now, lease::Event::Arbiter(ticket, until), &mut out);
    assert!(slot.group.is_claiming());
    slot.step(now, Event::Acquired(2, Ok(())), &mut out);
    assert_eq!(slot.group.view().role, RoleName::Master);
    assert_eq!(said(), []);
    slot.hear_arbiter(now, lease::Event::ArbiterLost(ticket), &mut out);
    assert_eq!(slot.group.view().role, RoleName::Releasing);
    assert_eq!(said(), [Plea::Withdraw(1, ticket)]);
    slot.step(now, Event::Released(3, Ok(())), &mut out);
    assert_eq!(said(), [Plea::Clean(1, Epoch::from_number(128))]);
}

#[test]
fn what_finds_the_arbiters_queue_full_is_said_later_in_its_order() {
    let mut out = out(looks());
    let (pleas, inbox) = Outbox::new(1, None);
    out.pleas = Some(pleas);
    let all = [
        Plea::Withdraw(1, 7),
        Plea::Clean(1, Epoch::default()),
        Plea::Silence(true),
    ];
    all.into_iter().for_each(|plea| out.plead(plea));
    for plea in all {
        let Ok(ToDisk::Plea(first)) = inbox.try_recv() else {
            panic!("nothing was said");
        };
        assert_eq!(first, plea);
        out.plead_again();
    }
    assert!(out.unheard.is_empty());
}

#[test]
fn an_observer_sees_what_was_done_before_it_asked() {
    let (waker, wake) = wake::pair().unwrap();
    let (heart, inbox) = Heart::new(waker.clone());
    let (jobs, job_inbox) = Outbox::new(64, None);
    let (journal, _entries) = Outbox::new(64, None);
    let (store, _tasks) = Outbox::new(64, None);
    let board = Arc::new(Board::default());
    let own = Arc::clone(&board);
    let beating = std::thread::spawn(move || {
        let heartbeat = Heartbeat::new(
            inbox,
            (waker, wake),
            (jobs, looks()),
            (journal, store),
            own,
            false,
        );
        heartbeat.unwrap().run().unwrap();
    });
    let addresses = [IpAddr::from([192, 0, 2, 1])];
    for key in 1..=20 {
        let plan = plan(key, &addresses, &[]);
        heart.send(Command::Rewire(Box::new(plan)));
        let rows = board.read(&heart.waker());
        assert!(rows.groups.iter().any(|row| row.key == key), "{key}");
    }
    heart.send(Command::Stop);
    while let Ok(job) = job_inbox.recv() {
        if let Job::Release(key, term, _) = job {
            heart.send(Command::Released(key, term, Ok(())));
        }
    }
    beating.join().unwrap();
}
