//! Is the running agent asked and answered well, and can a client do it harm?

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use floatlock::control::status::Status;
use floatlock::lab::Host;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::agent::{Agent, PROGRAM, Ran, floatlock, run};
use crate::config::{Config, Group, SILENCE};
use crate::site::{SOON, Site, adverts};

const DIR: [&str; 2] = ["--runtime-dir", "/run/floatlock"];
const SOCKET: &str = "/run/floatlock/control.sock";

fn ask(agent: &Agent, arguments: &[&str]) -> Ran {
    floatlock(&agent.host, &[arguments, &DIR].concat())
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.output).unwrap_or_else(|error| panic!("{error}: {}", ran.output))
}

fn connect(host: &Host) -> UnixStream {
    let stream = host.run(|| UnixStream::connect(SOCKET)).unwrap().unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

fn master(site: &Site) -> Agent {
    let a = site.start(0, Group::web(150));
    a.shows("MASTER");
    a
}

#[test]
fn is_master_answers_scripts() {
    let site = Site::new();
    let [a, b] = site.pair(Group::web);
    a.shows("MASTER");
    let ran = ask(&a, &["is-master", "web"]);
    assert_eq!((ran.code, ran.output.as_str()), (0, ""));
    let ran = ask(&b, &["is-master", "web"]);
    assert_eq!((ran.code, ran.output.as_str()), (1, ""));
    let ran = ask(&b, &["is-master", "web", "--json"]);
    assert_eq!((ran.code, &json(&ran)["role"]), (1, &Value::from("BACKUP")));
    let ran = ask(&a, &["is-master", "mail"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.output.contains("the agent runs no group mail"),
        "{ran:?}"
    );
}

#[test]
fn status_is_for_people_and_for_programs() {
    let site = Site::new();
    let [a, b] = site.pair(Group::web);
    a.shows("MASTER");
    let ran = ask(&a, &["status"]);
    assert_eq!(ran.code, 0);
    let words = [
        "node lb-a",
        "web  MASTER",
        "the addresses are on and were read back",
        "10.77.0.100/24",
        "path eth0 ipv4 from 10.77.0.1 to multicast",
    ];
    for word in words {
        assert!(ran.output.contains(word), "{word}:\n{}", ran.output);
    }
    let ran = ask(&b, &["status", "web", "--json"]);
    assert_eq!(ran.code, 0);
    let status: Status = serde_json::from_str(&ran.output).unwrap();
    let group = &status.groups[0];
    assert_eq!(
        (status.node.as_str(), group.role.as_str()),
        ("lb-b", "BACKUP")
    );
    assert_eq!(
        group.rival.as_ref().unwrap().address.to_string(),
        "10.77.0.1"
    );
    let ran = ask(&a, &["status", "mail"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.output.contains("the agent runs no group mail"),
        "{ran:?}"
    );
    // Through the file instead of the directory.
    let ran = floatlock(
        &a.host,
        &["status", "-c", "/run/lab/floatlock.toml", "--json"],
    );
    assert_eq!(json(&ran)["groups"][0]["role"], "MASTER");
}

#[test]
fn status_watch_goes_on_until_it_is_interrupted() {
    let site = Site::new();
    let a = master(&site);
    let mut command = Command::new(PROGRAM);
    command.args(["status", "--watch"]).args(DIR);
    let watching = a.host.spawn(command).unwrap();
    let first = watching.wait_for_line("web  MASTER", SOON).unwrap();
    let later = first.at + Duration::from_nanos(1);
    watching
        .wait_for_line_after(later, "web  MASTER", SOON)
        .unwrap();
    watching.signal(Signal::SIGTERM).unwrap();
    watching.wait(SOON).unwrap();
    a.stop();
}

#[test]
fn reload_reports_as_json() {
    let site = Site::new();
    let a = master(&site);
    let ran = ask(&a, &["reload", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let reload = json(&ran);
    assert_eq!(
        (&reload["unchanged"], &reload["added"]),
        (&Value::from(1), &Value::Array(vec![]))
    );
}

#[test]
fn sigusr1_writes_the_state_to_the_log() {
    let site = Site::new();
    let a = master(&site);
    a.signal(Signal::SIGUSR1);
    a.said("node lb-a");
    a.said("web  MASTER");
}

#[test]
fn the_socket_lets_in_its_group_and_nobody_else() {
    let site = Site::new();
    let a = master(&site);
    let mode = a.host.sh(&format!("stat -c %a {SOCKET}")).unwrap();
    assert_eq!(mode, "660");
    let mut command = Command::new("setpriv");
    let nobody = [
        "--reuid=nobody",
        "--regid=nogroup",
        "--clear-groups",
        "--inh-caps=-all",
    ];
    command.args(nobody).args([PROGRAM, "status"]).args(DIR);
    let ran = run(&a.host, command);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(
        ran.output.contains("the agent refuses this user"),
        "{ran:?}"
    );
}

#[test]
fn garbage_on_the_socket_is_answered_by_an_error_and_disturbs_nobody() {
    let site = Site::new();
    let a = master(&site);
    let (mark, watch) = (a.mark(), site.listen());
    let garbage: [&[u8]; 7] = [
        b"\n",
        b"{\"command\":\"status\",\"a\":1}\n",
        b"{\"command\":\"reload\",\"group\":\"web\"}\n",
        b"{\"command\":\"explode\"}\n",
        b"GET / HTTP/1.1\r\n",
        b"\xff\xfe\x00\n",
        b"[[[[[[[[[[[[[[[[\n",
    ];
    let mut stream = connect(&a.host);
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    for line in garbage {
        stream.write_all(line).unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(
            answer["error"].as_str().unwrap().contains("not a request"),
            "{answer}"
        );
    }
    // The same connection is still good for a question.
    stream.write_all(b"{\"command\":\"status\"}\n").unwrap();
    let mut answer = String::new();
    answers.read_line(&mut answer).unwrap();
    assert!(answer.contains("\"MASTER\""), "{answer}");
    adverts(&watch, "lb-a", 3);
    a.demand_no_change_since(mark);
}

#[test]
fn a_request_without_end_is_cut_off() {
    let site = Site::new();
    let a = master(&site);
    let mark = a.mark();
    let mut stream = connect(&a.host);
    let endless = vec![b'x'; 1 << 20];
    // The agent stops reading: this fails, or is left in the pipe.
    let _ = stream.set_write_timeout(Some(Duration::from_secs(2)));
    let _ = stream.write_all(&endless);
    let mut answer = Vec::new();
    let _ = stream.take(4096).read_to_end(&mut answer);
    assert_eq!(ask(&a, &["is-master", "web"]).code, 0);
    a.demand_no_change_since(mark);
}

#[test]
fn two_hundred_connections_at_once_disturb_nobody() {
    let site = Site::new();
    let a = master(&site);
    let (mark, watch) = (a.mark(), site.listen());
    let mut streams: Vec<UnixStream> = Vec::new();
    for _ in 0..200 {
        streams.push(connect(&a.host));
    }
    for stream in &mut streams {
        stream.write_all(b"{\"command\":\"status\"}\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    for stream in streams {
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        assert!(answer.contains("\"MASTER\""), "{answer}");
    }
    adverts(&watch, "lb-a", 5);
    a.demand_no_change_since(mark);
    let seen = watch.stop();
    let at: Vec<_> = seen
        .adverts_from("lb-a", Default::default())
        .map(|advert| advert.at)
        .collect();
    let longest = at
        .windows(2)
        .map(|pair| pair[1].since(pair[0]))
        .max()
        .unwrap();
    assert!(longest < SILENCE, "{longest:?}");
}

#[test]
fn silent_connections_do_not_keep_others_out_for_long() {
    let site = Site::new();
    let a = master(&site);
    // More than the agent serves at a time, and none of them says anything.
    let silent: Vec<UnixStream> = (0..40).map(|_| connect(&a.host)).collect();
    let ran = ask(&a, &["status"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    // Served one idle time after the other, these would outlast the patience of a client.
    let more: Vec<UnixStream> = (0..160).map(|_| connect(&a.host)).collect();
    let ran = ask(&a, &["is-master", "web"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    drop((silent, more));
    a.stop();
}

#[test]
fn a_socket_that_cannot_be_given_to_its_group_is_its_owners_and_a_warning() {
    let site = Site::new();
    let host = &site.hosts[0];
    let script = "cp /etc/group /run/lab/group && echo 'floatlock:x:4242:' >> /run/lab/group && \
                  mount --bind /run/lab/group /etc/group";
    host.sh(script).unwrap();
    let config = Config::new("lb-a", &[Group::web(150)]);
    let a = Agent::start_as(host, &config, |command| {
        let mut without = Command::new("setpriv");
        without.args(["--bounding-set=-chown", PROGRAM]);
        without.args(command.get_args());
        *command = without;
    });
    let warning = a.said("cannot be given to the group floatlock");
    assert!(warning.contains("Give the agent CAP_CHOWN"), "{warning}");
    a.shows("MASTER");
    let mode = host.sh(&format!("stat -c %a {SOCKET}")).unwrap();
    assert_eq!(mode, "600");
    a.stop();
}

#[test]
fn moves_and_maintenance_without_an_agent_are_3_and_wrong_arguments_2() {
    let site = Site::new();
    let host = &site.hosts[0];
    let cases: [(&[&str], i32, &str); 6] = [
        (&["switchover", "web"], 3, "the agent does not run here"),
        (&["maintenance", "on"], 3, "the agent does not run here"),
        (&["maintenance"], 3, "the agent does not run here"),
        (&["switchover"], 2, "<GROUP>"),
        (&["maintenance", "perhaps"], 2, "possible values: on, off"),
        (&["maintenance", "--for", "1h"], 2, "<SWITCH>"),
    ];
    for (arguments, code, words) in cases {
        let ran = floatlock(host, &[arguments, &DIR].concat());
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(ran.output.contains(words), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn maintenance_is_said_for_programs_too() {
    let site = Site::new();
    let a = master(&site);
    let ran = ask(&a, &["maintenance", "--json"]);
    assert_eq!((ran.code, &json(&ran)["on"]), (0, &Value::from(false)));
    // Nobody is there to take over.
    let ran = ask(
        &a,
        &["maintenance", "on", "--force", "--for", "1h", "--json"],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let done = json(&ran);
    assert_eq!(done["untaken"][0], "web", "{done}");
    let ran = ask(&a, &["maintenance", "--json"]);
    assert!(
        json(&ran)["left_ms"].as_u64().unwrap() > 3_000_000,
        "{ran:?}"
    );
    let status: Status = serde_json::from_str(&ask(&a, &["status", "--json"]).output).unwrap();
    assert!(status.maintenance.is_some() && status.groups[0].maintenance);
    assert_eq!(ask(&a, &["maintenance", "off"]).code, 0);
    a.becomes_after(3, "web", "MASTER");
}
