//! Does `systemd/floatlock.service` fit the program? Its commands, its privileges, its notification.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Group, Pid};

const FLOATLOCK: &str = env!("CARGO_BIN_EXE_floatlock");
const UNIT: &str = include_str!("../systemd/floatlock.service");
const PATIENCE: Duration = Duration::from_secs(30);

/// The values of a key, one for each of its lines.
fn values(key: &str) -> Vec<&'static str> {
    let value = |line: &'static str| line.strip_prefix(key)?.strip_prefix('=');
    UNIT.lines().filter_map(value).collect()
}

fn value(key: &str) -> &'static str {
    let values = values(key);
    assert_eq!(values.len(), 1, "{key} stands {} times", values.len());
    values[0]
}

fn words(key: &str) -> BTreeSet<&'static str> {
    value(key).split_whitespace().collect()
}

#[test]
fn every_command_of_the_unit_is_one_of_the_program() {
    for (key, command) in [
        ("ExecStart", "run"),
        ("ExecReload", "reload"),
        ("ExecStopPost", "release"),
    ] {
        let line = value(key);
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("floatlock"), "{line}");
        let args: Vec<&str> = words.collect();
        assert_eq!(args.first(), Some(&command), "{line}");
        // An argument that the program does not know is an error before the help is shown.
        let output = Command::new(FLOATLOCK)
            .args(&args)
            .arg("--help")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
    }
}

#[test]
fn the_directories_are_those_of_the_configuration() {
    assert_eq!(value("RuntimeDirectory"), "floatlock");
    assert_eq!(value("StateDirectory"), "floatlock");
    assert!(value("ExecReload").ends_with(" --runtime-dir %t/floatlock"));
    let conf = include_str!("../conf/floatlock.toml");
    assert!(conf.contains("runtime-dir = \"/run/floatlock\""));
    assert!(conf.contains("state-dir = \"/var/lib/floatlock\""));
}

#[test]
fn nothing_takes_away_what_the_heartbeat_needs() {
    let harmful = [
        "RestrictRealtime",
        "PrivateNetwork",
        "PrivateUsers",
        "ProcSubset",
    ];
    for key in harmful {
        assert_eq!(values(key), [""; 0], "{key} in the unit");
    }
}

#[test]
fn with_the_privileges_of_the_unit_an_agent_does_all_its_work() {
    let scene = Scene::new("works");
    let mut agent = scene.start(&words("AmbientCapabilities"));

    scene.expect("READY=1", &mut agent);
    scene.expect("STATUS=web MASTER", &mut agent);
    scene.expect("WATCHDOG=1", &mut agent);
    let status = scene.status();
    assert_eq!(status["heartbeat"]["realtime"], true, "{status}");
    assert_eq!(status["heartbeat"]["send_failed"], 0, "{status}");
    assert_eq!(status["gate"], "bpf", "{status}");
    assert_eq!(status["heartbeat"]["announce_failed"], 0, "{status}");
    assert_eq!(
        open_families(agent.child.id()),
        words("RestrictAddressFamilies"),
        "what the agent has open, and what the unit allows"
    );

    agent.stop();
    let (code, log) = agent.outcome();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped"), "{log}");
    // The lines that say what is not permitted.
    for lacking in ["paged out", "without priority"] {
        assert!(!log.contains(lacking), "{log}");
    }
}

#[test]
fn what_the_agent_gets_is_all_that_it_may_get() {
    assert_eq!(words("AmbientCapabilities"), words("CapabilityBoundingSet"));
}

#[test]
fn without_one_of_the_capabilities_an_agent_ends_and_names_it() {
    let mut needed_to_run = words("AmbientCapabilities");
    assert!(needed_to_run.remove("CAP_BPF"));
    for needed in needed_to_run {
        let scene = Scene::new(needed);
        let mut rest = words("AmbientCapabilities");
        rest.remove(needed);
        let (code, log) = scene.start(&rest).outcome();
        assert_eq!(code, Some(4), "{log}");
        assert!(log.contains(needed), "{log}");
    }
}

#[test]
fn without_the_capability_of_the_best_gate_an_agent_has_the_other_and_says_why() {
    let scene = Scene::new("no-bpf");
    let mut rest = words("AmbientCapabilities");
    rest.remove("CAP_BPF");
    let mut agent = scene.start(&rest);
    scene.expect("STATUS=web MASTER", &mut agent);
    let gate = scene.status()["gate"].to_string();
    assert!(
        gate.starts_with("\"nftables, since bpf is refused"),
        "{gate}"
    );
    agent.stop();
    let (code, log) = agent.outcome();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("CAP_BPF"), "{log}");
    for lacking in ["paged out", "without priority", "without real-time"] {
        assert!(!log.contains(lacking), "{log}");
    }
}

/// A directory with a configuration, and the socket that stands for systemd.
struct Scene {
    directory: PathBuf,
    notify: UnixDatagram,
}

impl Scene {
    fn new(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("unit-{name}"));
        // Left by a run that failed.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        // Where others may write, the agent does not put its socket.
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        let config = format!(
            r#"
            [node]
            name = "lb-a"
            runtime-dir = "{}"
            [heartbeat]
            protocol = "vrrp3"
            interval = "100ms"
            [[group]]
            name = "web"
            id = 51
            interface = "eth0"
            addresses = ["192.0.2.10/24", "2001:db8::10/64"]
            "#,
            directory.display()
        );
        fs::write(directory.join("floatlock.toml"), config).unwrap();
        let notify = UnixDatagram::bind(directory.join("notify")).unwrap();
        notify.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { directory, notify }
    }

    /// An agent in a network namespace of its own, with the limits of the unit and with these
    /// capabilities. It stays root by name: what root may do without capabilities is little.
    fn start(&self, capabilities: &BTreeSet<&str>) -> Agent {
        let (prlimit, instead) = limits();
        // The socket is given to this group, where there is one: as the unit says, it is our own.
        let group = match Group::from_name(value("Group")).unwrap() {
            Some(group) => format!("--regid {} --clear-groups", group.gid),
            None => String::new(),
        };
        let lower = |name: &&str| format!("+{}", name.trim_start_matches("CAP_").to_lowercase());
        let list: Vec<String> = capabilities.iter().chain(instead).map(lower).collect();
        let list = list.join(",");
        let script = format!(
            "ip link add eth0 type veth peer name eth1 &&
            ip link set eth0 addrgenmode none && ip link set eth0 up && ip link set eth1 up &&
            ip address add 192.0.2.2/24 dev eth0 && ip address add fe80::2/64 dev eth0 nodad &&
            exec {prlimit} setpriv {group} --pdeathsig KILL --securebits +noroot --no-new-privs \
            --inh-caps=-all,{list} --ambient-caps=-all,{list} --bounding-set=-all,{list} \
            '{FLOATLOCK}' run --config '{}/floatlock.toml'",
            self.directory.display()
        );
        let watchdog = seconds(value("WatchdogSec")) * 1_000_000;
        let mut command = Command::new("unshare");
        command
            .args(["--net", "--", "sh", "-c", &script])
            .env("NOTIFY_SOCKET", self.directory.join("notify"))
            .env("WATCHDOG_USEC", watchdog.to_string());
        Agent::start(command)
    }

    /// Waits for a notification that has this line.
    fn expect(&self, line: &str, agent: &mut Agent) {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        while !heard
            .iter()
            .any(|text: &String| text.lines().any(|l| l == line))
        {
            match self.notify.recv(&mut buffer) {
                Ok(length) => heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned()),
                Err(error) => panic!("no {line}: {error}; heard {heard:?}; {}", agent.killed()),
            }
        }
    }

    fn status(&self) -> serde_json::Value {
        let output = Command::new(FLOATLOCK)
            .args(["status", "--json", "--runtime-dir"])
            .arg(&self.directory)
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// A running agent: `unshare` and what follows become it, one after the other.
struct Agent {
    child: Child,
    /// What it wrote, once it has ended.
    log: Receiver<String>,
}

impl Agent {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("this test needs unshare, setpriv and prlimit (util-linux)");
        let mut stderr = child.stderr.take().expect("piped");
        let (sender, log) = channel();
        thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).expect("the log is text");
            // The test may have ended.
            let _ = sender.send(log);
        });
        Self { child, log }
    }

    fn stop(&self) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id"));
        kill(pid, Signal::SIGTERM).expect("it runs");
    }

    /// What it had written by now, for a test that fails.
    fn killed(&mut self) -> String {
        // It may have ended already.
        let _ = self.child.kill();
        let (code, log) = self.outcome();
        format!("the agent (ended with {code:?}) wrote:\n{log}")
    }

    /// Its exit code and its log, once it has ended.
    fn outcome(&mut self) -> (Option<i32>, String) {
        let log = self.log.recv_timeout(PATIENCE).expect("the agent goes on");
        (self.child.wait().expect("it is ours").code(), log)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that sets the limits of the unit. Where this root may not raise them (a container),
/// the capabilities that do the same.
fn limits() -> (String, &'static [&'static str]) {
    assert_eq!(value("LimitMEMLOCK"), "infinity");
    // A nice level has a sign there; the kernel counts from 20 downwards.
    let nice: i32 = value("LimitNICE").parse().unwrap();
    let (nice, rtprio) = (20 - nice, value("LimitRTPRIO"));
    let prlimit = format!("prlimit --rtprio={rtprio} --nice={nice} --memlock=unlimited");
    let mut trial = Command::new("sh");
    trial.args(["-c", &format!("exec {prlimit} true")]);
    match trial.stderr(Stdio::null()).status().unwrap().success() {
        true => (prlimit, &[]),
        false => (String::new(), &["CAP_SYS_NICE", "CAP_IPC_LOCK"]),
    }
}

fn seconds(text: &str) -> u64 {
    text.strip_suffix('s').unwrap().parse().unwrap()
}

/// The families of the sockets that a process has open.
fn open_families(pid: u32) -> BTreeSet<&'static str> {
    let inode = |entry: fs::DirEntry| {
        let target = fs::read_link(entry.path()).ok()?;
        let inode = target.to_str()?.strip_prefix("socket:[")?;
        Some(inode.trim_end_matches(']').to_owned())
    };
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let inodes: BTreeSet<String> = entries.flatten().filter_map(inode).collect();
    // The table of each family, and the column of the inode in it.
    let tables = [
        ("unix", 6, "AF_UNIX"),
        ("raw", 9, "AF_INET"),
        ("raw6", 9, "AF_INET6"),
        ("netlink", 9, "AF_NETLINK"),
        ("packet", 8, "AF_PACKET"),
    ];
    let is_open = |(table, column, _): &(&str, usize, &str)| {
        let rows = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap();
        rows.lines()
            .filter_map(|row| row.split_whitespace().nth(*column))
            .any(|inode| inodes.contains(inode))
    };
    let open = tables.into_iter().filter(is_open);
    open.map(|(_, _, family)| family).collect()
}
