//! How does a run end, what dies with it, and what does not?

use std::fs;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::Duration;

use floatlock::action::run::{Ended, Stop};
use floatlock::lab::clock;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::stage::{
    Heard, LONG, SHORT, Site, block_on, cgroup, exists, hear, lives, run, run_until_ready, run_with,
};

/// A script that hears no SIGTERM. The shell does not end itself between two of its children.
const DEAF: &str = "trap '' TERM; echo $$; echo ready; while :; do sleep 1000; done";
/// What a script of the operator may add to its deadline, and what a busy machine adds to that.
const AFTER: Duration = Duration::from_millis(1200 + 800);

/// In a moment: a dying process leaves its control group, with nothing left of it, shortly before it is called dead.
#[track_caller]
fn all_dead(heard: &Heard) {
    let pids = heard.pids();
    assert!(!pids.is_empty(), "{heard:#?}");
    let are_dead = || !pids.iter().any(|pid| lives(*pid));
    assert!(clock::wait_until(AFTER, are_dead), "{heard:#?}");
}

#[track_caller]
fn late_and_dead(heard: &Heard) {
    assert!(
        matches!(heard.ended, Ended::Late { is_dead: true }),
        "{heard:#?}"
    );
    assert!(heard.took < SHORT + AFTER, "{heard:#?}");
    all_dead(heard);
}

#[track_caller]
fn killed_and_dead(heard: &Heard) {
    assert!(
        matches!(heard.ended, Ended::Killed { is_dead: true }),
        "{heard:#?}"
    );
    all_dead(heard);
}

#[test]
fn the_exit_code_is_the_scripts() {
    let site = Site::new();
    assert!(run(&site.shell("exit 0")).ended.is_good());
    let heard = run(&site.shell("echo a; echo b >&2; exit 3"));
    assert!(matches!(heard.ended, Ended::Exit(3)), "{heard:?}");
    assert_eq!((heard.out, heard.err), (vec!["a".into()], vec!["b".into()]));
    assert_eq!(heard.ended.to_string(), "failed with exit code 3");
}

#[test]
fn the_signal_is_the_one_that_killed_it() {
    let heard = run(&Site::new().shell("kill -USR1 $$"));
    assert!(matches!(heard.ended, Ended::Signal(10)), "{heard:?}");
    assert_eq!(heard.ended.to_string(), "died of SIGUSR1");
}

#[test]
fn a_late_script_may_put_its_things_away() {
    let site = Site::new();
    let mut script = site.shell("trap 'echo tidied >&2; exit 0' TERM; echo $$; sleep 1000 & wait");
    script.timeout = SHORT;
    let heard = run(&script);
    late_and_dead(&heard);
    assert_eq!(heard.err, ["tidied"]);
}

#[test]
fn a_late_script_that_hears_no_term_is_killed() {
    let site = Site::new();
    let mut script = site.shell(DEAF);
    script.timeout = SHORT;
    let heard = run(&script);
    late_and_dead(&heard);
    assert!(heard.took >= SHORT + Duration::from_secs(1), "{heard:?}");
}

#[test]
fn a_late_script_that_is_stopped_is_killed() {
    let site = Site::new();
    let mut script = site.shell("echo $$; kill -STOP $$");
    script.timeout = SHORT;
    late_and_dead(&run(&script));
}

#[test]
fn a_late_flood_is_ended_in_time() {
    let site = Site::new();
    let mut script = site.shell("exec yes");
    script.timeout = SHORT;
    let heard = run(&script);
    assert!(
        matches!(heard.ended, Ended::Late { is_dead: true }),
        "{:?}",
        heard.ended
    );
    assert!(heard.took < SHORT + AFTER, "{:?}", heard.took);
}

#[test]
fn children_that_hear_no_term_die_with_a_late_script() {
    let site = Site::new();
    let mut script =
        site.shell("sh -c \"trap '' TERM; echo \\$\\$; sleep 1000; :\" & echo $!; sleep 1000");
    script.timeout = SHORT;
    late_and_dead(&run(&script));
}

#[test]
fn with_a_control_group_those_die_too_that_have_left_the_process_group() {
    let Some(cgroup) = cgroup() else { return };
    let site = Site::new();
    let deaf = "setsid sh -c \"trap '' TERM; echo \\$\\$; echo ready; sleep 1000; :\"";
    let script = site.shell(&format!("{deaf} & wait"));
    let heard = run_until_ready(&script, Some(&cgroup), Stop::Gently);
    killed_and_dead(&heard);
    assert!(heard.took >= Duration::from_secs(1), "{heard:?}");
    killed_and_dead(&run_until_ready(&script, Some(&cgroup), Stop::AtOnce));
    assert!(cgroup.is_empty().unwrap());
    cgroup.remove().unwrap();
}

#[test]
fn a_script_is_in_its_control_group() {
    let Some(cgroup) = cgroup() else { return };
    let site = Site::new();
    let heard = run_with(&site.shell("cat /proc/self/cgroup"), Some(&cgroup), |_| {
        pending()
    });
    let name = cgroup.path().file_name().unwrap().to_str().unwrap();
    let of_v2: Vec<_> = heard
        .out
        .iter()
        .filter(|line| line.starts_with("0::"))
        .collect();
    assert!(
        matches!(of_v2[..], [line] if line.ends_with(name)),
        "{heard:?}"
    );
}

#[test]
fn who_wants_it_stopped_gently_waits_a_second_at_most() {
    let site = Site::new();
    let script = site.shell("echo $$; echo ready; sleep 1000");
    killed_and_dead(&run_until_ready(&script, None, Stop::Gently));
    let heard = run_until_ready(&site.shell(DEAF), None, Stop::Gently);
    killed_and_dead(&heard);
    assert!(heard.took >= Duration::from_secs(1), "{heard:?}");
}

#[test]
fn who_wants_it_stopped_at_once_does_not_ask() {
    let site = Site::new();
    let script =
        site.shell("trap 'echo asked >&2' TERM; echo $$; echo ready; sleep 1000; sleep 1000");
    let heard = run_until_ready(&script, None, Stop::AtOnce);
    killed_and_dead(&heard);
    assert!(heard.err.is_empty(), "{heard:?}");
}

#[test]
fn a_late_script_can_be_wanted_dead_at_once() {
    let site = Site::new();
    let mut script = site.shell("trap 'echo ready' TERM; echo $$; while :; do sleep 1000; done");
    script.timeout = SHORT;
    // It says so only when it was asked to end.
    late_and_dead(&run_until_ready(&script, None, Stop::AtOnce));
}

#[test]
fn what_a_script_leaves_behind_neither_delays_nor_dies() {
    let site = Site::new();
    // With both pipes open, and in the process group.
    let heard = run(&site.shell("sleep 1000 & echo $!")).good();
    let [pid] = heard.pids()[..] else {
        panic!("{heard:?}")
    };
    let is_alive = lives(pid);
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
    assert!(is_alive);
    assert!(heard.took < LONG / 2, "{heard:?}");
}

#[test]
fn a_run_that_nobody_waits_for_is_killed_and_reaped() {
    let site = Site::new();
    let script = site.shell("echo $$ > $0.pid; echo ready; exec sleep 1000");
    block_on(async {
        let ready = Notify::new();
        tokio::select! {
            heard = hear(&script, None, pending(), &ready) => panic!("{heard:?}"),
            () = ready.notified() => {}
        }
        gone(pid_of(&script.program)).await;
    });
}

/// There is no other way to make one that SIGKILL does not end, as one that hangs in the kernel.
#[test]
fn a_script_that_cannot_be_killed_is_given_up_and_reaped_when_it_dies() {
    let Some(freezer) = Freezer::new() else {
        return;
    };
    let site = Site::new();
    let text = format!(
        "echo $$ > $0.pid; echo $$ > {}; echo ready; sleep 1000",
        freezer.procs()
    );
    let mut script = site.shell(&text);
    script.timeout = SHORT;
    block_on(async {
        let ready = Notify::new();
        let freeze = async {
            ready.notified().await;
            freezer.freeze();
            pending().await
        };
        let heard = hear(&script, None, freeze, &ready).await;
        assert!(
            matches!(heard.ended, Ended::Late { is_dead: false }),
            "{heard:#?}"
        );
        assert!(heard.took < SHORT + AFTER, "{heard:?}");
        let says = "took too long and was killed, but it is not dead yet";
        assert_eq!(heard.ended.to_string(), says);
        let pid = pid_of(&script.program);
        assert!(lives(pid));
        freezer.thaw();
        gone(pid).await;
    });
}

fn pid_of(script: &Path) -> u32 {
    let mut file = script.as_os_str().to_owned();
    file.push(".pid");
    fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

/// Reaped: another task of the runtime does it.
async fn gone(pid: u32) {
    let gone = async {
        while exists(pid) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, gone).await.expect("it is not reaped");
}

/// A control group of version 1, in which what is frozen does not die.
struct Freezer(PathBuf);

impl Freezer {
    fn new() -> Option<Self> {
        let path = format!(
            "/sys/fs/cgroup/freezer/floatlock-test-{}",
            std::process::id()
        );
        let made = fs::create_dir(&path);
        made.inspect_err(|why| println!("SKIPPED: no freezer of version 1: {why}"))
            .ok()?;
        Some(Self(path.into()))
    }

    fn procs(&self) -> String {
        self.0.join("cgroup.procs").to_str().unwrap().to_owned()
    }

    fn freeze(&self) {
        fs::write(self.0.join("freezer.state"), "FROZEN").unwrap();
    }

    fn thaw(&self) {
        fs::write(self.0.join("freezer.state"), "THAWED").unwrap();
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.thaw();
        // Who was in there and was killed needs a moment to die.
        clock::wait_until(AFTER, || fs::remove_dir(&self.0).is_ok());
    }
}
