//! Does the heartbeat thread keep what others must not lose?

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;

use super::super::message::{Addresses, Heart};
use super::*;
use crate::config::Announce;
use crate::core::election::Version;
use crate::core::lease::Epoch;
use crate::core::{Facts, Settings, Voting};
use crate::sys::wake;

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
        spoken: None,
        boot: None,
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
