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
    /// It takes no shorter time.
    least: Duration,
    /// It says that it runs though it was stopped.
    runs_on: bool,
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

    fn facts(&self) -> Facts {
        Facts {
            runs: self.runs_on,
            ..Facts::default()
        }
    }

    fn path(&self) -> &Path {
        Path::new("/dev/fake")
    }
}

impl Leashed for Fake {
    fn set_timeout(&self, wanted: Duration) -> io::Result<Duration> {
        if wanted < self.least {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let taken = self.takes.unwrap_or(wanted);
        self.tell(format!("{wanted:?}")).map(|()| taken)
    }

    fn timeout(&self) -> io::Result<Duration> {
        Ok(Duration::from_secs(30))
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
        runs: AtomicBool::new(false),
        harmless_until: AtomicU64::new(0),
        timeout: AtomicU64::new(0),
        forsaken: AtomicBool::new(false),
        ending: AtomicBool::new(false),
        waker,
    });
    let (journal, said) = Outbox::new(64, None);
    let row = DogRow {
        path: "/dev/fake".into(),
        facts: facts.clone(),
        stand_in: false,
        armed: None,
        trouble: None,
    };
    let handler = Handler {
        leash: Arc::clone(&leash),
        plan,
        read_at: Instant::default(),
        gate_is_whole: true,
    };
    let keeper = Keeper {
        leash,
        plan,
        kennel: device.clone(),
        journal,
        board: Arc::new(Mutex::new(row)),
        state: State::Closed,
        nowayout: facts.nowayout,
        runs_on: false,
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
    scene.handler.gate_is_whole(false);
    assert_eq!(
        scene.turn(millis(400), answers),
        ["pet"],
        "the time is the fence"
    );
    let lingers = Stake::Lingers(NOW + millis(500));
    assert!(scene.turn(millis(900), lingers).is_empty());
    scene.handler.gate_is_whole(true);
    assert_eq!(scene.turn(millis(1000), lingers), ["pet"]);
    // What never had a gate misses none.
    scene.handler.gate_is_whole(false);
    assert_eq!(scene.turn(millis(1400), Stake::Endless), ["pet"]);
}

/// A loss that is noticed and mended while nothing is held is nobody's concern later.
#[test]
fn a_gate_that_was_lost_on_a_standby_does_not_matter_when_it_takes_over() {
    let mut scene = scene(Fake::default(), Facts::default());
    scene.turn(millis(0), Stake::Nothing);
    scene.handler.gate_is_whole(false);
    scene.handler.gate_is_whole(true);
    let answers = Stake::Answers(NOW + Duration::from_secs(3600));
    scene.turn(millis(100), answers);
    assert_eq!(scene.turn(millis(600), answers), ["pet"]);
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
    scene.handler.gate_is_whole(false);
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

/// Also while nothing is held, and nobody but the time makes the heartbeat look.
#[test]
fn one_that_cannot_be_stopped_is_petted_on_and_waits_for_a_restart() {
    let facts = Facts {
        nowayout: true,
        ..Facts::default()
    };
    let mut scene = scene(Fake::default(), facts);
    scene.turn(millis(0), Stake::Contends);
    assert_eq!(scene.turn(millis(400), Stake::Nothing), ["60s", "pet"]);
    let mut pets = 0;
    for at in (500..60_000).step_by(25).map(millis) {
        let now = NOW + at;
        scene.handler.read(now, false, [Stake::Nothing].into_iter());
        scene.keeper.turn(now);
        pets += scene.device.told().len();
    }
    assert!((140..170).contains(&pets), "{pets}");
    let contends = scene.turn(millis(61_000), Stake::Contends);
    assert_eq!(contends[0], "3s", "its time again: {contends:?}");
    scene.keeper.farewell();
    assert_eq!(scene.device.told(), ["60s", "pet"]);
}

#[test]
fn one_that_runs_on_though_it_was_stopped_is_petted_on() {
    let device = Fake {
        runs_on: true,
        ..Fake::default()
    };
    let mut scene = scene(device, Facts::default());
    scene.turn(millis(0), Stake::Contends);
    assert_eq!(
        scene.turn(millis(10), Stake::Nothing),
        ["disarm", "open", "3s"]
    );
    assert_eq!(scene.turn(millis(500), Stake::Nothing), ["60s", "pet"]);
    let said = scene.said().join("\n");
    assert!(
        said.contains("cannot be stopped, and is petted on"),
        "{said}"
    );
}

/// As iTCO_wdt does with less than 3 s.
#[test]
fn a_device_that_refuses_a_short_time_gets_the_next_longer_one() {
    let device = Fake {
        least: Duration::from_secs(5),
        ..Fake::default()
    };
    let mut scene = scene(device, Facts::default());
    assert_eq!(scene.turn(millis(0), Stake::Contends), ["open", "5s"]);
    let stubborn = Fake {
        least: Duration::from_secs(3600),
        ..Fake::default()
    };
    let mut scene = self::scene(stubborn, Facts::default());
    assert_eq!(scene.turn(millis(0), Stake::Contends), ["open"]);
    let status = Watched(Arc::clone(&scene.keeper.board)).status();
    assert_eq!(
        (status.timeout_ms, status.fences),
        (Some(30_000), Some(false))
    );
}

/// Closing it would not stop it.
#[test]
fn one_that_cannot_be_petted_is_kept_and_tried_again() {
    let mut scene = scene(Fake::default(), Facts::default());
    let answers = Stake::Answers(NOW + Duration::from_secs(3600));
    scene.turn(millis(0), answers);
    scene.device.broken.store(true, Ordering::Relaxed);
    scene.turn(millis(400), answers);
    scene.turn(millis(800), answers);
    scene.device.broken.store(false, Ordering::Relaxed);
    assert_eq!(scene.turn(millis(1200), answers), ["pet"]);
    let said = scene.said();
    let troubles = said
        .iter()
        .filter(|text| text.contains("petting it: broken"));
    assert_eq!(troubles.count(), 1, "{said:?}");
}

/// Its next look may be too late otherwise.
#[test]
fn who_pets_is_woken_when_it_may_again() {
    let mut scene = scene(Fake::default(), Facts::default());
    let (waker, wake) = wake::pair().unwrap();
    let leash = Arc::get_mut(&mut scene.keeper.leash);
    assert!(leash.is_none(), "shared");
    let handler = &mut scene.handler;
    handler.leash = Arc::new(Leash {
        armed: AtomicBool::new(true),
        runs: AtomicBool::new(true),
        harmless_until: AtomicU64::new(0),
        timeout: AtomicU64::new(0),
        forsaken: AtomicBool::new(false),
        ending: AtomicBool::new(false),
        waker,
    });
    let ended = [Stake::Answers(NOW)];
    handler.read(NOW, true, ended.into_iter());
    assert!(!is_awake(&wake));
    handler.read(NOW, true, [Stake::Lingers(NOW)].into_iter());
    assert!(is_awake(&wake));
}

fn is_awake(wake: &Wake) -> bool {
    let mut fds = [PollFd::new(wake.as_fd(), PollFlags::POLLIN)];
    ppoll(&mut fds, Some(TimeSpec::from(Duration::ZERO)), None).unwrap() == 1
}

/// Another program has it for a moment, as a clerk of `wdctl`.
#[test]
fn one_that_runs_and_cannot_be_opened_is_tried_again_though_nothing_is_held() {
    let facts = Facts {
        runs: true,
        nowayout: true,
        ..Facts::default()
    };
    let mut scene = scene(Fake::default(), facts.clone());
    scene.device.broken.store(true, Ordering::Relaxed);
    scene.keeper.begin(&facts, NOW);
    scene.device.broken.store(false, Ordering::Relaxed);
    assert_eq!(scene.turn(millis(250), Stake::Nothing), ["open", "3s"]);
    assert_eq!(scene.turn(millis(700), Stake::Nothing), ["60s", "pet"]);
    let status = Watched(Arc::clone(&scene.keeper.board)).status();
    assert_eq!(status.trouble, None);
}

#[test]
fn what_an_earlier_agent_left_running_is_stopped() {
    let facts = Facts {
        runs: true,
        has_reset: true,
        ..Facts::default()
    };
    let mut scene = scene(Fake::default(), facts.clone());
    scene.keeper.begin(&facts, NOW);
    assert_eq!(scene.device.told(), ["open", "3s", "disarm"]);
    let said = scene.said().join("\n");
    assert!(
        said.contains("it has reset this host the last time"),
        "{said}"
    );
    assert!(said.contains("an earlier agent left it running"), "{said}");
    assert!(said.contains("/dev/fake: stopped"), "{said}");
}

/// The kernel takes the word, and the device runs on.
#[test]
fn what_an_earlier_agent_left_running_and_cannot_be_stopped_is_petted() {
    let facts = Facts {
        runs: true,
        nowayout: true,
        ..Facts::default()
    };
    let mut scene = scene(Fake::default(), facts.clone());
    scene.keeper.begin(&facts, NOW);
    assert_eq!(scene.device.told(), ["open", "3s"]);
    assert_eq!(scene.turn(millis(400), Stake::Nothing), ["60s", "pet"]);
}

#[test]
fn a_host_that_is_to_be_reset_is_not_petted_until_the_reboot_has_failed() {
    let mut scene = scene(Fake::default(), Facts::default());
    let answers = Stake::Answers(NOW + Duration::from_secs(3600));
    scene.turn(millis(0), answers);
    scene.handler.leash.forsake();
    assert_eq!(scene.turn(millis(400), Stake::Nothing), ["10s"]);
    for at in (800..5000).step_by(400) {
        assert!(scene.turn(millis(at), Stake::Nothing).is_empty());
    }
    scene.handler.leash.recall();
    assert_eq!(scene.turn(millis(5000), answers), ["3s"]);
    assert_eq!(scene.turn(millis(5001), answers), ["pet"]);
}
