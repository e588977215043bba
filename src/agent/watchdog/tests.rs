use std::sync::mpsc::Receiver;

use super::*;
use crate::core::watchdog::Times;

const NOW: Instant = Instant::from_nanos(100_000_000_000);

/// What the device was told, and what it says.
#[derive(Clone, Default)]
struct Fake {
    told: Arc<Mutex<Vec<String>>>,
    /// It takes this instead of what it is asked for.
    takes: Option<Duration>,
    broken: Arc<AtomicBool>,
}

impl Fake {
    fn tell(&self, what: impl Into<String>) -> io::Result<()> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(io::Error::other("broken"));
        }
        self.told.lock().unwrap().push(what.into());
        Ok(())
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

impl Kennel for Fake {
    type Dog = Self;

    fn open(&self) -> io::Result<Self> {
        self.tell("open").map(|()| self.clone())
    }

    fn path(&self) -> &Path {
        Path::new("/dev/fake")
    }
}

impl Leashed for Fake {
    fn set_timeout(&self, wanted: Duration) -> io::Result<Duration> {
        let taken = self.takes.unwrap_or(wanted);
        self.tell(format!("{wanted:?}")).map(|()| taken)
    }

    fn pet(&self) -> io::Result<()> {
        self.tell("pet")
    }

    fn disarm(self) -> io::Result<()> {
        self.tell("disarm")
    }

    fn is_stand_in(&self) -> bool {
        false
    }
}

struct Scene {
    keeper: Keeper<Fake>,
    handler: Handler,
    device: Fake,
    said: Receiver<Entry>,
}

/// Leases of 5 s, renewed every second: T is 3 s, and a device that hangs is a fence.
fn scene(device: Fake, facts: Facts) -> Scene {
    let times = Times {
        lease: Duration::from_secs(5),
        interval: Duration::from_secs(1),
    };
    let plan = Plan::of(&[times], true);
    let (waker, _) = wake::pair().unwrap();
    let leash = Arc::new(Leash {
        armed: AtomicBool::new(false),
        harmless_until: AtomicU64::new(0),
        timeout: AtomicU64::new(0),
        forsaken: AtomicBool::new(false),
        ending: AtomicBool::new(false),
        waker,
    });
    let (journal, said) = Outbox::new(64, None);
    let row = DogRow {
        path: "/dev/fake".into(),
        facts,
        armed: None,
        trouble: None,
    };
    let handler = Handler {
        leash: Arc::clone(&leash),
        plan,
        read_at: Instant::default(),
        gate_lost: false,
    };
    let keeper = Keeper {
        leash,
        plan,
        kennel: device.clone(),
        journal,
        board: Arc::new(Mutex::new(row)),
        state: State::Closed,
        retry_at: Instant::default(),
    };
    Scene {
        keeper,
        handler,
        device,
        said,
    }
}

impl Scene {
    /// The heartbeat turns at that time, and then the keeper.
    fn turn(&mut self, at: Duration, stake: Stake) -> Vec<String> {
        let now = NOW + at;
        self.handler.read(now, true, [stake].into_iter());
        self.keeper.turn(now);
        self.device.told()
    }

    fn said(&self) -> Vec<String> {
        let text = |entry| match entry {
            Entry::Note(_, text) => Some(text),
            _ => None,
        };
        self.said.try_iter().filter_map(text).collect()
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn it_runs_from_the_candidacy_to_the_verified_release() {
    let mut scene = scene(Fake::default(), Facts::default());
    assert!(scene.turn(millis(0), Stake::Nothing).is_empty());
    assert_eq!(scene.turn(millis(1), Stake::Contends), ["open", "3s"]);
    let answers = Stake::Answers(NOW + millis(5000));
    assert!(scene.turn(millis(300), answers).is_empty(), "too soon");
    assert_eq!(scene.turn(millis(400), answers), ["pet"]);
    let lingers = Stake::Lingers(NOW + millis(800));
    assert_eq!(scene.turn(millis(800), lingers), ["pet"]);
    assert_eq!(scene.turn(millis(810), Stake::Nothing), ["disarm"]);
    assert!(scene.turn(millis(820), Stake::Nothing).is_empty());
}

/// Law 11. A thread that pets whenever it runs would be a mutant that survives a frozen heartbeat.
#[test]
fn a_heartbeat_that_hangs_is_not_petted_for_longer_than_half_of_the_time() {
    let mut scene = scene(Fake::default(), Facts::default());
    let answers = Stake::Answers(NOW + Duration::from_secs(3600));
    scene.turn(millis(0), answers);
    let mut last = millis(0);
    for at in (0..10_000).step_by(25).map(millis) {
        scene.keeper.turn(NOW + at);
        if scene.device.told().contains(&"pet".to_owned()) {
            last = at;
        }
    }
    assert!(last < millis(1500) && last >= millis(1100), "{last:?}");
    let said = scene.said().join("\n");
    assert_eq!(said.matches("is not petted").count(), 1, "{said}");
}

#[test]
fn a_lease_that_is_not_renewed_ends_the_petting_before_its_end() {
    let mut scene = scene(Fake::default(), Facts::default());
    let answers = Stake::Answers(NOW + millis(5000));
    let mut last = millis(0);
    for at in (0..5000).step_by(25).map(millis) {
        if scene.turn(at, answers).contains(&"pet".to_owned()) {
            last = at;
        }
    }
    // 5 s without 3.03 s and 0.1 s.
    assert!(last < millis(1870) && last >= millis(1450), "{last:?}");
    let renewed = Stake::Answers(NOW + millis(9000));
    assert_eq!(scene.turn(millis(5000), renewed), ["pet"]);
    let said = scene.said().join("\n");
    assert!(said.contains("petted again"), "{said}");
}

#[test]
fn without_its_gate_a_fenced_holder_is_petted_and_its_leftovers_are_not() {
    let mut scene = scene(Fake::default(), Facts::default());
    let answers = Stake::Answers(NOW + millis(5000));
    scene.turn(millis(0), answers);
    scene.handler.lose_gate();
    assert_eq!(
        scene.turn(millis(400), answers),
        ["pet"],
        "the time is the fence"
    );
    let lingers = Stake::Lingers(NOW + millis(500));
    assert!(scene.turn(millis(900), lingers).is_empty());
    // What comes next begins with the gate that was put back.
    assert_eq!(scene.turn(millis(1000), Stake::Nothing), ["disarm"]);
    scene.turn(millis(1100), answers);
    assert_eq!(scene.turn(millis(1600), lingers), ["pet"]);
}

#[test]
fn a_device_that_takes_a_longer_time_backs_up_the_gate_only() {
    let device = Fake {
        takes: Some(Duration::from_secs(16)),
        ..Fake::default()
    };
    let mut scene = scene(device, Facts::default());
    let answers = Stake::Answers(NOW + millis(5000));
    scene.turn(millis(0), answers);
    let said = scene.said().join("\n");
    assert!(
        said.contains("set to 16.0 s instead of 3.0 s: it backs up"),
        "{said}"
    );
    // Petted where 5 s without 16 s would be long over, and as long as the gate is whole.
    assert_eq!(scene.turn(millis(2500), answers), ["pet"]);
    scene.handler.lose_gate();
    assert!(scene.turn(millis(5000), answers).is_empty());
    let status = Watched(Arc::clone(&scene.keeper.board)).status();
    assert_eq!(
        (status.timeout_ms, status.fences),
        (Some(16_000), Some(false))
    );
}

#[test]
fn one_that_cannot_be_opened_is_an_error_that_is_said_once_and_tried_again() {
    let mut scene = scene(Fake::default(), Facts::default());
    scene.device.broken.store(true, Ordering::Relaxed);
    for at in (0..6000).step_by(1000) {
        scene.turn(millis(at), Stake::Contends);
    }
    let said = scene.said();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("opening it: broken; nothing resets"),
        "{said:?}"
    );
    let status = Watched(Arc::clone(&scene.keeper.board)).status();
    assert_eq!(status.trouble.as_deref(), Some("opening it: broken"));
    scene.device.broken.store(false, Ordering::Relaxed);
    assert_eq!(scene.turn(millis(10_000), Stake::Contends), ["open", "3s"]);
}

#[test]
fn one_that_cannot_be_stopped_is_petted_on_and_waits_for_a_restart() {
    let facts = Facts {
        nowayout: true,
        ..Facts::default()
    };
    let mut scene = scene(Fake::default(), facts);
    scene.turn(millis(0), Stake::Contends);
    assert_eq!(scene.turn(millis(400), Stake::Nothing), ["pet"]);
    scene.keeper.farewell();
    assert_eq!(scene.device.told(), ["60s", "pet"]);
}

#[test]
fn what_an_earlier_agent_left_running_is_stopped() {
    let facts = Facts {
        runs: true,
        has_reset: true,
        ..Facts::default()
    };
    let scene = scene(Fake::default(), facts);
    scene.keeper.begin();
    assert_eq!(scene.device.told(), ["open", "disarm"]);
    let said = scene.said().join("\n");
    assert!(
        said.contains("it has reset this host the last time"),
        "{said}"
    );
    assert!(
        said.contains("an earlier agent left it running: stopped"),
        "{said}"
    );
}

#[test]
fn a_host_that_is_to_be_reset_is_not_petted_again() {
    let mut scene = scene(Fake::default(), Facts::default());
    let answers = Stake::Answers(NOW + Duration::from_secs(3600));
    scene.turn(millis(0), answers);
    scene.handler.leash.forsake();
    assert_eq!(scene.turn(millis(400), answers), ["1s"]);
    for at in (800..5000).step_by(400) {
        assert!(scene.turn(millis(at), Stake::Nothing).is_empty());
    }
}
