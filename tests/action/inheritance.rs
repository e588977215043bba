//! What does a script have of the agent's? Nothing but what it was given.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Output};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::stage::{Heard, PROGRAM, Site, run};

/// The lines of a program's output.
fn lines(output: &Output) -> Vec<&str> {
    assert!(output.status.success(), "{output:?}");
    std::str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .collect()
}

/// What the launcher makes of a script when it is started by this command line.
fn launched_by(command: &str, script: &[&str]) -> Output {
    let mut words = command.split(' ');
    let mut command = Command::new(words.next().unwrap());
    let command = command.args(words).args([PROGRAM, "launch-script", "--"]);
    command.args(script).output().unwrap()
}

#[track_caller]
fn value<'a>(lines: &[&'a str], name: &str) -> &'a str {
    let mut lines = lines.iter();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.expect(name).trim()
}

fn status(site: &Site, user: Option<&str>) -> Heard {
    let mut script = site.shell("cat /proc/self/status");
    script.user = user.map(Into::into);
    run(&script).good()
}

#[test]
fn the_environment_is_what_is_documented() {
    let site = Site::new();
    let mut script = site.script("#!/bin/cat /proc/self/environ\n");
    let env = [("FLOATLOCK_EVENT", "promote"), ("FLOATLOCK_FROM", "")];
    script.env = env.map(|(name, value)| (name, value.to_owned())).into();
    let heard = run(&script).good();
    let mut variables: Vec<_> = heard.out[0].split("\\u{0}").collect();
    variables.sort_unstable();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    // Behind the environment comes the script itself.
    let itself = "#!/bin/cat /proc/self/environ";
    assert_eq!(
        variables,
        [itself, "FLOATLOCK_EVENT=promote", "FLOATLOCK_FROM=", path]
    );
}

#[test]
fn the_arguments_are_as_they_were_given() {
    let site = Site::new();
    let mut script = site.shell("for word; do echo \"<$word>\"; done");
    script.args = ["--help", "", "a b", "--", "--user=nobody"]
        .map(String::from)
        .into();
    let heard = run(&script).good();
    assert_eq!(
        heard.out,
        ["<--help>", "<>", "<a b>", "<-->", "<--user=nobody>"]
    );
}

#[test]
fn the_name_of_a_link_is_the_scripts_name() {
    let site = Site::new();
    let mut script = site.shell("echo ${0##*/}");
    std::os::unix::fs::symlink(&script.program, site.at("link")).unwrap();
    script.program = site.at("link");
    assert_eq!(run(&script).good().out, ["link"]);
}

#[test]
fn no_descriptor_is_inherited_but_the_three() {
    let site = Site::new();
    let file = File::open("/dev/null").unwrap();
    fcntl(file.as_fd(), FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    // The fourth is the directory itself. The script's own name is listed too.
    let heard = run(&site.script("#!/bin/ls /proc/self/fd\n")).good();
    let is_number = |line: &&String| line.parse::<u32>().is_ok();
    let listed: Vec<_> = heard.out.iter().filter(is_number).collect();
    assert_eq!(listed, ["0", "1", "2", "3"], "{heard:?}");
}

#[test]
fn a_script_is_alone_in_its_process_group_in_the_root_directory_with_the_usual_umask() {
    let site = Site::new();
    let heard = run(&site.shell("pwd; umask; cut -d' ' -f5 /proc/$$/stat; echo $$")).good();
    let [directory, umask, group, pid] = &heard.out[..] else {
        panic!("{heard:?}")
    };
    assert_eq!((directory.as_str(), umask.as_str()), ("/", "0022"));
    assert_eq!(group, pid);
}

#[test]
fn another_user_has_no_groups_and_no_capabilities() {
    let heard = status(&Site::new(), Some("nobody"));
    for ids in ["Uid", "Gid"] {
        assert_eq!(heard.of(ids), ["65534"; 4].join("\\t"));
    }
    assert_eq!(heard.of("Groups"), "65534");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(heard.of(set), "0000000000000000", "{set}");
    }
}

#[test]
fn root_stays_root_and_passes_no_capability_on() {
    let heard = status(&Site::new(), None);
    assert_eq!(heard.of("Uid"), ["0"; 4].join("\\t"));
    assert_ne!(heard.of("CapEff"), "0000000000000000");
    let by = "setpriv --inh-caps=+net_admin --ambient-caps=+net_admin";
    let output = launched_by(by, &["/bin/cat", "/proc/self/status"]);
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(value(&lines(&output), set), "0000000000000000", "{set}");
    }
}

#[test]
fn the_capabilities_of_an_agent_that_is_not_root_are_not_the_scripts() {
    let site = Site::new();
    // Where everybody can run it.
    let program = site.at("floatlock");
    let copied = Command::new("cp")
        .arg(PROGRAM)
        .arg(&program)
        .status()
        .unwrap();
    assert!(copied.success());
    let agent = |command: &[&str]| {
        let mut agent = Command::new("setpriv");
        agent.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        agent
            .args(["--inh-caps=+net_admin", "--ambient-caps=+net_admin"])
            .args(command);
        agent.output().unwrap()
    };
    let cat = ["/bin/cat", "/proc/self/status"];
    let own = agent(&cat);
    assert_ne!(value(&lines(&own), "CapEff"), "0000000000000000");
    let program = program.to_str().unwrap();
    // Also as the user that it is.
    for words in [
        &[program, "launch-script", "--"][..],
        &[program, "launch-script", "--user=nobody", "--"],
    ] {
        let scripts = agent(&[words, &cat].concat());
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(value(&lines(&scripts), set), "0000000000000000", "{set}");
        }
    }
    let refused = agent(&[program, "launch-script", "--user=daemon", "--", "/bin/true"]);
    assert_eq!(refused.status.code(), Some(125), "{refused:?}");
    let says = "floatlock: the script was not started: cannot become daemon: ";
    assert!(
        String::from_utf8_lossy(&refused.stderr).starts_with(says),
        "{refused:?}"
    );
}

#[test]
fn no_signal_is_ignored_or_blocked() {
    let heard = status(&Site::new(), None);
    let by = "env --ignore-signal=INT,HUP,PIPE,USR1,RTMIN,RTMAX,FPE --block-signal=TERM,USR2";
    let output = launched_by(by, &["/bin/cat", "/proc/self/status"]);
    for set in ["SigIgn", "SigBlk", "SigCgt"] {
        assert_eq!(heard.of(set), "0000000000000000", "{set}");
        assert_eq!(value(&lines(&output), set), "0000000000000000", "{set}");
    }
}

#[test]
fn the_scheduler_and_the_chance_to_be_killed_are_those_of_any_process() {
    let show = "chrt -p $$; nice; cat /proc/self/oom_score_adj";
    let output = launched_by("chrt -f 10 choom -n 500 --", &["/bin/sh", "-c", show]);
    let shown = lines(&output);
    assert!(shown[0].ends_with("SCHED_OTHER"), "{shown:?}");
    assert_eq!(shown[2..], ["0", "0"], "{shown:?}");
    let output = launched_by("nice -n -5", &["/usr/bin/nice"]);
    assert_eq!(lines(&output), ["0"]);
}

#[test]
fn the_limits_are_those_of_any_process() {
    let by = "prlimit --rtprio=50 --nice=39 --memlock=unlimited";
    let may = Command::new("sh")
        .args(["-c", &format!("{by} true")])
        .output()
        .unwrap();
    if !may.status.success() {
        println!("SKIPPED: no limit can be raised here: {may:?}");
        return;
    }
    let show = "ulimit -r; ulimit -H -r; ulimit -H -e; ulimit -l; ulimit -H -l";
    let output = launched_by(by, &["/bin/bash", "-c", show]);
    assert_eq!(lines(&output), ["0", "0", "0", "8192", "8192"]);
}

#[test]
fn descriptors_of_whoever_starts_it_end_with_the_launcher() {
    let launch = format!("exec 7</dev/null; exec {PROGRAM} launch-script -- /bin/ls /proc/self/fd");
    let output = Command::new("sh").args(["-c", &launch]).output().unwrap();
    assert_eq!(lines(&output), ["0", "1", "2", "3"]);
}

#[test]
fn a_control_group_that_cannot_be_joined_is_said() {
    let arguments = ["launch-script", "--cgroup=/nowhere", "--", "/bin/true"];
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let says = "floatlock: the script was not started: cannot join the cgroup /nowhere: No such file or directory (os error 2)\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), says);
}
