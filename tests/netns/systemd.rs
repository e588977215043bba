//! What does systemd hear? The notification protocol of sd_notify(3), through a socket of ours.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use floatlock::lab::{Host, clock};
use nix::sys::signal::Signal;

use crate::agent::Agent;
use crate::config::{Config, Group};
use crate::site::{SOON, Site};

const SOCKET: &str = "/run/lab/notify";

/// The other end of `NOTIFY_SOCKET`.
struct Systemd {
    socket: UnixDatagram,
}

impl Systemd {
    fn on(host: &Host) -> Self {
        let socket = host.run(|| UnixDatagram::bind(SOCKET)).unwrap().unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        Self { socket }
    }

    /// Waits for an assignment, and returns the message that has it.
    fn hears(&self, assignment: &str) -> String {
        self.hears_before(assignment, None)
    }

    /// The same, and none with the other assignment may come before.
    fn hears_before(&self, assignment: &str, never: Option<&str>) -> String {
        let mut all = Vec::new();
        let has = |text: &str, wanted: &str| text.lines().any(|line| line == wanted);
        let came = clock::wait_until(SOON, || {
            let mut bytes = [0; 4096];
            let Ok(len) = self.socket.recv(&mut bytes) else {
                return false;
            };
            all.push(String::from_utf8(bytes[..len].to_vec()).unwrap());
            has(all.last().unwrap(), assignment)
        });
        assert!(came, "{assignment} never came: {all:#?}");
        if let Some(never) = never {
            assert!(
                !all.iter().any(|text| has(text, never)),
                "{never}: {all:#?}"
            );
        }
        all.pop().unwrap()
    }
}

fn start(host: &Host, variables: &[(&str, &str)]) -> Agent {
    let config = Config::new("lb-a", &[Group::web(150)]);
    let variables = [&[("NOTIFY_SOCKET", SOCKET)], variables].concat();
    Agent::start_as(host, &config, |command: &mut Command| {
        command.envs(variables.iter().copied());
    })
}

#[test]
fn ready_status_reload_and_stop_are_told() {
    let site = Site::new();
    let systemd = Systemd::on(&site.hosts[0]);
    let a = start(&site.hosts[0], &[]);
    let ready = systemd.hears("READY=1");
    assert!(ready.contains("\nSTATUS=web "), "{ready}");
    systemd.hears("STATUS=web MASTER");
    a.signal(Signal::SIGHUP);
    let reloading = systemd.hears("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    let ready = systemd.hears("READY=1");
    assert!(ready.contains("STATUS=web MASTER"), "{ready}");
    // A reload that fails is over too.
    a.host
        .sh("echo nonsense > /run/lab/floatlock.toml")
        .unwrap();
    a.signal(Signal::SIGHUP);
    systemd.hears("RELOADING=1");
    systemd.hears("READY=1");
    a.signal(Signal::SIGTERM);
    systemd.hears("STOPPING=1");
    a.demand_good_end();
}

#[test]
fn the_watchdog_is_petted_while_the_agent_runs_and_only_then() {
    let site = Site::new();
    let systemd = Systemd::on(&site.hosts[0]);
    let a = start(&site.hosts[0], &[("WATCHDOG_USEC", "2000000")]);
    systemd.hears("READY=1");
    for _ in 0..2 {
        systemd.hears_before("WATCHDOG=1", Some("STOPPING=1"));
    }
    a.signal(Signal::SIGTERM);
    systemd.hears("STOPPING=1");
    a.demand_good_end();
}

#[test]
fn an_agent_that_cannot_start_is_never_ready() {
    let site = Site::new();
    let systemd = Systemd::on(&site.hosts[0]);
    site.hosts[0].sh("ip link del eth0").unwrap();
    let a = start(&site.hosts[0], &[]);
    assert_eq!(a.process.wait(SOON).unwrap().code(), Some(2), "{}", a.log());
    systemd.socket.set_nonblocking(true).unwrap();
    let mut bytes = [0; 4096];
    while let Ok(len) = systemd.socket.recv(&mut bytes) {
        let text = String::from_utf8_lossy(&bytes[..len]);
        assert!(!text.contains("READY=1"), "{text}");
    }
}

#[test]
fn without_systemd_nothing_is_told_and_a_vanished_socket_disturbs_nothing() {
    let site = Site::new();
    let systemd = Systemd::on(&site.hosts[0]);
    let a = start(&site.hosts[0], &[]);
    systemd.hears("READY=1");
    drop(systemd);
    a.becomes("MASTER");
    a.signal(Signal::SIGHUP);
    a.said("reloaded: ");
    a.stop();
}
