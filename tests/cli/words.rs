//! Do the commands that need no agent say the right things?

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::agent::{PROGRAM, floatlock};
use crate::config::{Config, Group};
use crate::site::Site;

const COMMANDS: [&str; 10] = [
    "run",
    "check",
    "status",
    "is-master",
    "reload",
    "release",
    "lock",
    "demo",
    "completions",
    "man",
];

fn program(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn good(arguments: &[&str]) -> String {
    let output = program(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = good(&["completions", shell]);
        assert!(
            COMMANDS.iter().all(|command| script.contains(command)),
            "{shell}"
        );
    }
    assert_eq!(program(&["completions", "tcsh"]).status.code(), Some(2));
}

#[test]
fn bash_accepts_its_completions() {
    let script = good(&["completions", "bash"]);
    let output = Command::new("bash")
        .args(["-n", "-c", &script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn there_is_a_man_page_of_the_program_and_of_each_command() {
    let page = good(&["man"]);
    assert!(page.contains(".TH floatlock 1"), "{page}");
    assert!(
        COMMANDS
            .iter()
            .all(|command| page.contains(&command.replace('-', "\\-"))),
        "{page}"
    );
    for command in COMMANDS {
        let page = good(&["man", command]);
        assert!(
            page.starts_with(".ie") && page.contains(".SH SYNOPSIS"),
            "{command}: {page}"
        );
    }
    let output = program(&["man", "explode"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("there is no such command"));
}

#[test]
fn help_names_every_command_and_hides_what_only_the_demo_uses() {
    let help = good(&["help"]);
    assert!(
        COMMANDS.iter().all(|command| help.contains(command)),
        "{help}"
    );
    assert!(!help.contains("lab-responder"), "{help}");
    assert_eq!(program(&["explode"]).status.code(), Some(2));
    assert_eq!(program(&[]).status.code(), Some(2));
}

#[test]
fn the_demo_lists_its_scenarios_and_refuses_others() {
    let list = good(&["demo", "--list"]);
    assert!(
        list.lines().any(|line| line.starts_with("failover ")),
        "{list}"
    );
    let output = program(&["demo", "explode"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("explode"));
}

/// `floatlock check` on a host with `eth0`.
fn check(config: &Config, arguments: &[&str]) -> (i32, String) {
    let site = Site::new();
    let file = crate::agent::write(&site.hosts[0], config);
    let all = [&["check", "-c", file.to_str().unwrap()], arguments].concat();
    let ran = floatlock(&site.hosts[0], &all);
    (ran.code, ran.output)
}

#[test]
fn check_is_0_for_a_good_file_and_prints_what_follows_from_it() {
    let config = Config::new("lb-a", &[Group::web(150)]);
    let (code, output) = check(&config, &[]);
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("web"), "{output}");
    let (code, output) = check(&config, &["--json"]);
    assert_eq!(code, 0, "{output}");
    let json: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(json["problems"], Value::Array(vec![]));
    assert!(json["derived"].is_object(), "{output}");
}

#[test]
fn check_is_1_for_warnings() {
    let unused = Config::new("lb-a", &[Group::web(150).key("interface", "\"eth7\"")]);
    let (code, output) = check(&unused, &[]);
    assert_eq!(code, 1, "{output}");
    assert!(
        output.contains("there is no interface eth7 on this host"),
        "{output}"
    );
    let (code, output) = check(&unused, &["--json"]);
    let json: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        (code, &json["missing_interfaces"][0]),
        (1, &Value::from("eth7"))
    );
    let few = "protocol = \"vrrp3\"\ninterval = \"100ms\"\nmisses = 2\n";
    let (code, output) = check(&Config::new("lb-a", &[Group::web(150)]).heartbeat(few), &[]);
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("two lost adverts are enough"), "{output}");
}

/// On a host where only root can write to these; `open` and `dir` are those that others can.
const SCRIPTS: &str = "chmod 755 /run && cd /run/lab && mkdir scripts dir && \
    for file in scripts/good scripts/open scripts/plain dir/good; do \
        printf '#!/bin/sh\\n' >$file; chmod 755 $file; \
    done && chmod 757 scripts/open && chmod 644 scripts/plain && chmod 777 dir && \
    ln -s ../dir/good scripts/link";

/// What `floatlock check` says of actions, each of them a step, a program and other lines.
fn check_scripts(actions: &[(&str, &str, &str)], arguments: &[&str]) -> (i32, String) {
    let site = Site::new();
    let host = &site.hosts[0];
    host.sh(SCRIPTS).unwrap();
    let action = |(on, program, rest): &(&str, &str, &str)| {
        let run = format!("run = [\"/run/lab/{program}\"]");
        format!("\n[[group.action]]\non = \"{on}\"\n{run}\n{rest}\n")
    };
    let actions: String = actions.iter().map(action).collect();
    let config = Config::new("lb-a", &[Group::web(150)]).text() + &actions;
    host.write(FILE, &config).unwrap();
    let ran = floatlock(host, &[&["check", "-c", FILE], arguments].concat());
    (ran.code, ran.output)
}

#[test]
fn check_has_nothing_to_say_of_scripts_that_can_run() {
    let good = [
        ("promote", "scripts/good", "user = \"root\""),
        ("any", "scripts/good", ""),
    ];
    let (code, output) = check_scripts(&good, &[]);
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("scripts add at most 23.000 s"), "{output}");
    let (code, output) = check_scripts(&good, &["--json"]);
    let json: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((code, &json["scripts"]), (0, &serde_json::json!([])));
}

#[test]
fn check_warns_of_every_script_that_cannot_run_here() {
    let bad = [
        ("promote", "scripts/missing", "user = \"nobody-at-all\""),
        ("promoted", "scripts/open", ""),
        ("demote", "scripts/plain", ""),
        ("demoted", "scripts", ""),
        ("fault", "scripts/link", ""),
        ("stop", "scripts/good", ""),
    ];
    let said = [
        ("promote", "/run/lab/scripts/missing", "does not exist"),
        (
            "promote",
            "/run/lab/scripts/missing",
            "no user `nobody-at-all`",
        ),
        (
            "promoted",
            "/run/lab/scripts/open",
            "others can write to /run/lab/scripts/open",
        ),
        ("demote", "/run/lab/scripts/plain", "its mode is 0644"),
        ("demoted", "/run/lab/scripts", "not a regular file"),
        (
            "fault",
            "/run/lab/scripts/link",
            "others can write to /run/lab/dir",
        ),
    ];
    let (code, output) = check_scripts(&bad, &[]);
    assert_eq!(code, 1, "{output}");
    let warnings = output.lines().filter(|line| line.starts_with("warning: "));
    let warnings: Vec<&str> = warnings.collect();
    assert_eq!(warnings.len(), said.len(), "{output}");
    for (warning, (on, _, words)) in warnings.iter().zip(said) {
        let start = format!("warning: action `{on}` of group `web`: ");
        assert!(
            warning.starts_with(&start) && warning.contains(words),
            "{warning}"
        );
    }
    let (code, output) = check_scripts(&bad, &["--json"]);
    assert_eq!(code, 1, "{output}");
    let json: Value = serde_json::from_str(&output).unwrap();
    let rows = json["scripts"].as_array().unwrap();
    assert_eq!(rows.len(), said.len(), "{output}");
    for (row, (on, path, words)) in rows.iter().zip(said) {
        assert_eq!((&row["group"], &row["on"]), (&"web".into(), &on.into()));
        assert_eq!(row["path"], path);
        assert!(row["problem"].as_str().unwrap().contains(words), "{row}");
    }
}

/// `floatlock check` of a file with `[fencing]`, started by these words.
fn check_fenced(gate: &str, by: &[&str], arguments: &[&str]) -> (i32, String) {
    let site = Site::new();
    let host = &site.hosts[0];
    let fast = Group::web(150).named("fast", 52);
    let fast = fast.addresses(&["10.77.0.101/24"]);
    let own = "\n[group.heartbeat]\ninterval = \"10ms\"\n";
    let fencing = format!(
        "protocol = \"vrrp3\"\ninterval = \"100ms\"\nmisses = 5\n\n[fencing]\ngate = \"{gate}\"\n"
    );
    let config = Config::new("lb-a", &[Group::web(150), fast]).heartbeat(&fencing);
    host.write(FILE, &(config.text() + own)).unwrap();
    host.sh("chmod 644 /run/lab/floatlock.toml").unwrap();
    let words = [by, &[PROGRAM, "check", "-c", FILE], arguments].concat();
    let script = format!("{} 2>&1; echo \"exit $?\"", words.join(" "));
    let output = host.sh(&script).unwrap();
    let (output, code) = output.rsplit_once("exit ").unwrap();
    (code.trim().parse().unwrap(), output.to_owned())
}

const WITHOUT_BPF: [&str; 3] = ["setpriv", "--bounding-set", "-bpf,-sys_admin"];

#[test]
fn check_says_which_gate_each_group_gets_here() {
    let (code, output) = check_fenced("auto", &[], &[]);
    assert_eq!(code, 0, "{output}");
    let none = "gate: none for `fast`: its adverts come too often for a lease";
    for words in ["gate: bpf for `web` (tried on this host)", none] {
        assert!(output.contains(words), "{words}: {output}");
    }
    let (_, output) = check_fenced("nftables", &[], &["--json"]);
    let json: Value = serde_json::from_str(&output).unwrap();
    let gate = serde_json::json!({
        "configured": "nftables",
        "tried": true,
        "level": "nftables",
        "report": "nftables",
        "groups": [
            { "group": "web", "gate": "nftables" },
            { "group": "fast", "gate": "none" },
        ],
    });
    assert_eq!(json["gate"], gate, "{output}");
}

#[test]
fn check_says_that_no_gate_is_unsafe() {
    let (code, output) = check_fenced("off", &[], &[]);
    assert_eq!(code, 1, "{output}");
    let unsafe_here = "gate: off for `web`, which is unsafe: \
                       the addresses of a dead or frozen agent go on answering";
    assert!(output.contains(unsafe_here), "{output}");
    let (_, output) = check_fenced("off", &[], &["--json"]);
    let json: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(json["gate"]["level"], "off", "{output}");
}

#[test]
fn check_warns_of_a_demanded_gate_that_this_host_refuses() {
    let no_nft = "mount --bind /dev/null $(command -v nft);";
    let (code, output) = check_fenced("nftables", &[no_nft], &[]);
    assert_eq!(code, 1, "{output}");
    let refused = "warning: the gate nftables is refused: ";
    let refusal = "`floatlock run` refuses to start without it";
    let none = "gate: none for `web` (tried on this host): nftables is refused: ";
    for words in [refused, refusal, none, "goes on answering"] {
        assert!(output.contains(words), "{words}: {output}");
    }
}

#[test]
fn check_tries_no_gate_without_the_right_to() {
    let unprivileged = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let (code, output) = check_fenced("auto", &unprivileged, &[]);
    assert_eq!(code, 0, "{output}");
    let untried = "gate: auto for `web`: bpf where this host has it, else nftables, else none \
                   (not tried: that needs root)";
    assert!(output.contains(untried), "{output}");
    let (code, output) = check_fenced("nftables", &unprivileged, &["--json"]);
    assert_eq!(code, 0, "{output}");
    let json: Value = serde_json::from_str(&output).unwrap();
    let gate = &json["gate"];
    assert_eq!(
        (&gate["tried"], &gate["level"], &gate["groups"][0]["gate"]),
        (&Value::from(false), &Value::Null, &Value::from("nftables")),
        "{output}"
    );
    let (_, output) = check_fenced("bpf", &WITHOUT_BPF, &[]);
    assert!(
        output.contains("gate: bpf for `web` (not tried: "),
        "{output}"
    );
}

#[test]
fn check_is_2_for_errors_all_in_one_pass() {
    let bad = Group::web(150).key("priorty", "1").key("id", "300");
    let config = Config::new("lb-a", &[bad]);
    let (code, output) = check(&config, &[]);
    assert_eq!(code, 2, "{output}");
    assert!(
        output.contains("`priorty` is not a key") && output.contains("300"),
        "{output}"
    );
    assert!(output.contains("2 errors"), "{output}");
    let (code, output) = check(&config, &["--json"]);
    let json: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        (code, json["problems"].as_array().unwrap().len()),
        (2, 2),
        "{output}"
    );
}

#[test]
fn check_of_a_file_that_cannot_be_read_is_2() {
    let output = program(&["check", "-c", "/no/such/file"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/no/such/file"));
    let output = program(&["check", "-c", "/no/such/file", "--json"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_files_in_conf_have_no_errors() {
    let site = Site::new();
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let files = fs::read_dir(conf)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|e| e == "toml")) {
        // On a host named lb-a, which need not have all their interfaces, with keys of its own.
        let text = fs::read_to_string(&file).unwrap();
        let text = text.replace("/etc/floatlock/", "/run/lab/");
        let host = &site.hosts[0];
        host.sh(KEYS).unwrap();
        let copy = host.write(FILE, &with_key_file(&text)).unwrap();
        let ran = floatlock(host, &["check", "-c", copy.to_str().unwrap()]);
        assert_ne!(ran.code, 2, "{file:?}: {}", ran.output);
    }
}

const FILE: &str = "/run/lab/floatlock.toml";

const KEYS: &str = "umask 077; for key in cluster old; do \
                    head -c 32 /dev/urandom | base64 >/run/lab/$key.key; done";

/// The default of `key-file` is that of the machine that runs the test.
fn with_key_file(text: &str) -> String {
    match text.lines().any(|line| line.starts_with("key-file")) {
        true => text.to_owned(),
        false => text.replace(
            "nodes = [",
            "key-file = \"/run/lab/cluster.key\"\nnodes = [",
        ),
    }
}

/// A pair whose heartbeat is native, with its key in `/run/lab`.
fn native() -> String {
    let config = Config::new("lb-a", &[Group::web(150)]).heartbeat("");
    with_key_file(&config.text())
}

#[test]
fn check_of_a_native_pair_says_the_times_and_that_it_is_not_exclusive() {
    let site = Site::new();
    let host = &site.hosts[0];
    host.sh(KEYS).unwrap();
    host.write(FILE, &native()).unwrap();
    let ran = floatlock(host, &["check", "-c", FILE]);
    assert_eq!(ran.code, 0, "{}", ran.output);
    for words in [
        "1.061 s after power loss",
        "1.041 s (P)",
        "are not exclusive",
    ] {
        assert!(ran.output.contains(words), "{words}: {}", ran.output);
    }
    let ran = floatlock(host, &["check", "-c", FILE, "--json"]);
    let json: Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!(json["derived"]["groups"][0]["promise_seconds"], 1.041);
}

#[test]
fn a_key_that_cannot_be_used_is_2_and_said_with_everything_else() {
    let site = Site::new();
    let host = &site.hosts[0];
    let text = native().replace("id = 51", "id = 300");
    host.write(FILE, &text).unwrap();
    let refused = |command: &str, words: &str| {
        let ran = floatlock(host, &[command, "-c", FILE]);
        assert_eq!(ran.code, 2, "{}", ran.output);
        for words in [words, "from 1 to 255", "2 errors", "key-file = "] {
            assert!(ran.output.contains(words), "{words}: {}", ran.output);
        }
    };
    refused("check", "No such file");
    refused(
        "run",
        "head -c 32 /dev/urandom | base64 >/run/lab/cluster.key",
    );
    host.sh(KEYS).unwrap();
    host.sh("chmod 644 /run/lab/cluster.key").unwrap();
    refused("check", "its mode is 0644");
    host.sh("echo secret >/run/lab/cluster.key; chmod 600 /run/lab/cluster.key")
        .unwrap();
    refused("check", "not base64");
}

/// The agent may run as somebody else, whose key it is.
#[test]
fn root_checks_the_key_of_another_user_as_strictly() {
    let site = Site::new();
    let host = &site.hosts[0];
    host.write(FILE, &native()).unwrap();
    host.sh(KEYS).unwrap();
    host.sh("chown 65534:65534 /run/lab/cluster.key").unwrap();
    let ran = floatlock(host, &["check", "-c", FILE]);
    assert_eq!(ran.code, 0, "{}", ran.output);
    host.sh("chmod 640 /run/lab/cluster.key").unwrap();
    let ran = floatlock(host, &["check", "-c", FILE]);
    assert_eq!(ran.code, 2, "{}", ran.output);
    assert!(ran.output.contains("its mode is 0640"), "{}", ran.output);
}

/// Others take only root's and their own, even if they may read it.
#[test]
fn a_key_of_somebody_else_is_refused_with_its_owner() {
    let site = Site::new();
    let host = &site.hosts[0];
    host.write(FILE, &native()).unwrap();
    host.sh(KEYS).unwrap();
    let check = || {
        let reads_all = "--inh-caps=+dac_override --ambient-caps=+dac_override";
        let script = format!(
            "setpriv --reuid=65533 --regid=65533 --clear-groups {reads_all} \
             {PROGRAM} check -c {FILE} 2>&1; echo \"exit $?\""
        );
        host.sh(&script).unwrap()
    };
    assert!(check().ends_with("exit 0"), "{}", check());
    host.sh("chown 65533 /run/lab/cluster.key").unwrap();
    assert!(check().ends_with("exit 0"), "{}", check());
    host.sh("chown 65534 /run/lab/cluster.key").unwrap();
    let output = check();
    for words in ["user 65534", "`chown root ", "exit 2"] {
        assert!(output.contains(words), "{words}: {output}");
    }
}

#[test]
fn check_holds_the_files_of_other_nodes_against_each_other() {
    let site = Site::new();
    let host = &site.hosts[0];
    let config = |node: &str, id: &str| Config::new(node, &[Group::web(150).key("id", id)]);
    host.write(FILE, &config("lb-a", "51").text()).unwrap();
    host.write("/run/lab/good.toml", &config("lb-b", "51").text())
        .unwrap();
    host.write("/run/lab/bad.toml", &config("lb-b", "52").text())
        .unwrap();
    let check = |rest: &[&str]| {
        let ran = floatlock(host, &[&["check", "-c", FILE][..], rest].concat());
        (ran.code, ran.output)
    };
    let (code, output) = check(&["--peer", "/run/lab/good.toml"]);
    assert_eq!(code, 0, "{output}");
    let words = "together, group `web` on 2 nodes: a dead MASTER is noticed within";
    assert!(output.contains(words), "{output}");
    let both = [
        "--peer",
        "/run/lab/good.toml",
        "--peer",
        "/run/lab/bad.toml",
    ];
    let (code, output) = check(&both);
    assert_eq!(code, 2, "{output}");
    let words = "`id` of `web` is 52 here, and 51 in /run/lab/floatlock.toml";
    assert!(output.contains(words), "{output}");
    let (code, output) = check(&[&both[..], &["--json"]].concat());
    let json: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(code, 2, "{output}");
    assert_eq!(json["peers"][0]["problems"], Value::Array(vec![]));
    assert_eq!(json["together"][0]["nodes"], 3, "{json:#}");
    assert!(json["together"][0]["silent_before_seconds"].as_f64() > Some(0.0));
    assert_eq!(json["peers"][1]["problems"][0]["message"], words);
    let (code, output) = check(&["--peer", "/no/such/file"]);
    assert_eq!(code, 2, "{output}");
    assert!(output.contains("/no/such/file"), "{output}");
}
