//! Why does the agent not start? Files, interfaces, capabilities: each with its code and advice.

use std::process::Command;

use floatlock::lab::Host;

use crate::agent::{PROGRAM, Ran, floatlock, run, write};
use crate::config::{Config, Group};
use crate::site::Site;

const FILE: &str = "/run/lab/floatlock.toml";

/// `floatlock run` with that group, through another program that takes rights away.
fn run_through(host: &Host, through: &[&str]) -> Ran {
    write(host, &Config::new("lb-a", &[Group::web(150)]));
    let mut command = Command::new(through[0]);
    command
        .args(&through[1..])
        .args([PROGRAM, "run", "-c", FILE]);
    run(host, command)
}

fn demand(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{}", ran.output);
    for word in words {
        assert!(ran.output.contains(word), "{word:?}:\n{}", ran.output);
    }
}

#[test]
fn a_missing_file_is_2_and_named() {
    let site = Site::new();
    let ran = floatlock(&site.hosts[0], &["run", "-c", "/no/such/file.toml"]);
    demand(
        &ran,
        2,
        &["/no/such/file.toml", "No such file or directory"],
    );
}

#[test]
fn a_file_that_is_a_directory_is_2() {
    let site = Site::new();
    let ran = floatlock(&site.hosts[0], &["run", "-c", "/run/lab"]);
    demand(&ran, 2, &["/run/lab", "not a regular file"]);
}

#[test]
fn a_bad_file_is_2_with_every_problem_at_its_place() {
    let site = Site::new();
    let group = Group::web(150)
        .key("priorty", "90")
        .key("interval", "\"1 fortnight\"");
    let file = write(&site.hosts[0], &Config::new("lb-a", &[group]));
    let ran = floatlock(&site.hosts[0], &["run", "-c", file.to_str().unwrap()]);
    demand(
        &ran,
        2,
        &[
            "`priorty` is not a key of [[group]]",
            "did you mean `priority`?",
            "/floatlock.toml:",
        ],
    );
    assert!(
        ran.output.contains("`interval` is not a key of [[group]]"),
        "{}",
        ran.output
    );
}

#[test]
fn a_missing_interface_is_2_and_those_that_are_there_are_named() {
    let site = Site::new();
    let group = Group::web(150).key("interface", "\"eth7\"");
    write(&site.hosts[0], &Config::new("lb-a", &[group]));
    let ran = floatlock(&site.hosts[0], &["run", "-c", FILE]);
    demand(
        &ran,
        2,
        &["there is no interface eth7 on this host; there are: eth0, lo"],
    );
}

#[test]
fn without_cap_net_raw_it_is_4_and_the_capability_is_named() {
    let site = Site::new();
    let ran = run_through(
        &site.hosts[0],
        &["setpriv", "--bounding-set=-net_raw", "--inh-caps=-all"],
    );
    demand(&ran, 4, &["CAP_NET_RAW"]);
}

#[test]
fn without_cap_net_admin_it_is_4_and_the_capability_is_named() {
    let site = Site::new();
    let ran = run_through(
        &site.hosts[0],
        &["setpriv", "--bounding-set=-net_admin", "--inh-caps=-all"],
    );
    demand(&ran, 4, &["CAP_NET_ADMIN"]);
}

#[test]
fn as_an_ordinary_user_it_is_4() {
    let site = Site::new();
    site.hosts[0]
        .sh("mkdir /run/floatlock && chown nobody /run/floatlock")
        .unwrap();
    let nobody = [
        "setpriv",
        "--reuid=nobody",
        "--clear-groups",
        "--inh-caps=-all",
    ];
    let ran = run_through(&site.hosts[0], &nobody);
    demand(&ran, 4, &["CAP_NET_"]);
}

#[test]
fn a_runtime_directory_that_cannot_be_made_is_named() {
    let site = Site::new();
    let host = &site.hosts[0];
    write(host, &Config::new("lb-a", &[Group::web(150)]));
    host.sh("echo > /run/floatlock").unwrap();
    let ran = floatlock(host, &["run", "-c", FILE]);
    demand(&ran, 1, &["preparing /run/floatlock"]);
}

#[test]
fn commands_without_an_agent_are_3() {
    let site = Site::new();
    let host = &site.hosts[0];
    write(host, &Config::new("lb-a", &[Group::web(150)]));
    let commands: [&[&str]; 4] = [
        &["status"],
        &["status", "web"],
        &["is-master", "web"],
        &["reload"],
    ];
    for command in commands {
        for place in [["-c", FILE], ["--runtime-dir", "/run/floatlock"]] {
            let ran = floatlock(host, &[command, &place].concat());
            demand(
                &ran,
                3,
                &["the agent does not run here", "/run/floatlock/control.sock"],
            );
        }
    }
}

#[test]
fn a_socket_that_a_dead_agent_left_is_no_agent() {
    let site = Site::new();
    let a = site.start(0, Group::web(150));
    a.becomes("MASTER");
    a.process.kill();
    let ran = floatlock(
        &a.host,
        &["is-master", "web", "--runtime-dir", "/run/floatlock"],
    );
    demand(&ran, 3, &[]);
    // And it is in nobody's way.
    let again = site.start(0, Group::web(150));
    again.shows("MASTER");
    let ran = floatlock(
        &a.host,
        &["is-master", "web", "--runtime-dir", "/run/floatlock"],
    );
    demand(&ran, 0, &[]);
}

#[test]
fn release_without_rights_is_4() {
    let site = Site::new();
    let a = site.start(0, Group::web(150));
    a.becomes("MASTER");
    a.process.kill();
    let mut command = Command::new("setpriv");
    command.args([
        "--bounding-set=-net_admin",
        "--inh-caps=-all",
        PROGRAM,
        "release",
        "-c",
        FILE,
    ]);
    let ran = run(&a.host, command);
    demand(&ran, 4, &["CAP_NET_ADMIN"]);
}

#[test]
fn the_demo_without_rights_is_4() {
    let site = Site::new();
    let mut command = Command::new("setpriv");
    command.args([
        "--bounding-set=-sys_admin",
        "--inh-caps=-all",
        PROGRAM,
        "demo",
    ]);
    demand(&run(&site.hosts[0], command), 4, &["needs root"]);
}
