//! Does a file of native groups become what it says?

use std::path::{Path, PathBuf};
use std::time::Duration;

use floatlock::config::{self, Native, PathConfig, Protocol, VoterKind};
use floatlock::wire::native::Key;

use super::{good, key};

const PAIR: &str = r#"
[cluster]
name = "shop-front"
nodes = ["lb-b", "lb-a"]

[[group]]
name = "web"
id = 51
interface = "eth0"
addresses = ["192.0.2.10/24"]
"#;

fn native(text: &str) -> Native {
    good(text).config.native.unwrap()
}

fn key_at(path: &str) -> Key {
    key(path.as_ref()).unwrap()
}

fn multicast(interface: &str) -> PathConfig {
    PathConfig {
        interface: interface.to_owned(),
        peers: vec![],
        source: vec![],
    }
}

#[test]
fn a_pair_without_a_heartbeat_is_native_with_every_default() {
    let loaded = good(PAIR);
    assert!(loaded.warnings.is_empty());
    let config = loaded.config;
    let cluster = config.cluster.as_ref().unwrap();
    assert!(cluster.witnesses.is_empty());
    assert_eq!(
        cluster.key_file,
        PathBuf::from("/etc/floatlock/cluster.key")
    );
    assert_eq!(cluster.old_key_file, None);
    let native = config.native.as_ref().unwrap();
    assert_eq!(
        (native.interval, native.misses),
        (Duration::from_millis(200), 5)
    );
    assert_eq!(native.paths, [multicast("eth0")]);
    assert_eq!(
        native.keys.current.id(),
        key_at("/etc/floatlock/cluster.key").id()
    );
    assert!(native.keys.old.is_none());
    let group = &config.groups[0];
    assert_eq!(
        (group.protocol, group.is_native()),
        (Protocol::Native, true)
    );
    assert_eq!(
        (group.interval, group.misses),
        (native.interval, native.misses)
    );
    assert_eq!(group.lease(), Some(Duration::from_secs(1)));
    assert_eq!(group.paths, native.paths);
}

#[test]
fn the_heartbeat_of_all_groups_arrives_where_it_belongs() {
    let heartbeat = r#"
        [heartbeat]
        protocol = "native"
        interval = "1500us"
        misses = 4
        [[heartbeat.path]]
        interface = "eth1"
        peers = ["10.78.0.2"]
        source = "10.78.0.1"
        [[heartbeat.path]]
        interface = "eth0"
    "#;
    let native = native(&format!("{PAIR}{heartbeat}"));
    assert_eq!(
        (native.interval, native.misses),
        (Duration::from_micros(1500), 4)
    );
    let eth1 = PathConfig {
        interface: "eth1".to_owned(),
        peers: vec!["10.78.0.2".parse().unwrap()],
        source: vec!["10.78.0.1".parse().unwrap()],
    };
    assert_eq!(native.paths, [eth1, multicast("eth0")]);
}

#[test]
fn without_a_path_the_heartbeat_goes_once_over_each_interface_of_a_native_group() {
    let group = |name: &str, id: u8, interface: &str| {
        format!(
            "[[group]]\nname = \"{name}\"\nid = {id}\ninterface = \"{interface}\"\n\
             addresses = [\"192.0.2.{id}/24\"]\n"
        )
    };
    let vrrp = "[group.heartbeat]\nprotocol = \"vrrp2\"\ninterval = \"1s\"\n";
    let groups = [
        group("db", 52, "eth2"),
        group("mq", 53, "eth0"),
        group("old", 54, "eth3"),
    ];
    let config = good(&format!("{PAIR}{}{vrrp}", groups.concat())).config;
    let native = config.native.as_ref().unwrap();
    assert_eq!(native.paths, [multicast("eth0"), multicast("eth2")]);
    let [.., old] = &config.groups[..] else {
        panic!()
    };
    assert_eq!((old.protocol, old.misses), (Protocol::Vrrp2, 3));
    assert_eq!(old.interval, Duration::from_secs(1));
    assert_eq!(old.paths, [multicast("eth3")]);
}

#[test]
fn two_keys_are_read_and_compared_by_their_ids() {
    let text = PAIR.replace("nodes", "key-file = \"/a\"\nold-key-file = \"/b\"\nnodes");
    let two = native(&text);
    assert_eq!(two.keys.current.id(), key_at("/a").id());
    assert_eq!(two.keys.old.as_ref().map(Key::id), Some(key_at("/b").id()));
    assert_eq!(two, native(&text));
    assert_ne!(two, native(&text.replace("/b", "/c")));
    assert_ne!(two, native(&text.replace("/a", "/c")));
    let shown = format!("{two:?}");
    assert!(
        shown.contains(&format!("Key({})", key_at("/a").id())),
        "{shown}"
    );
}

#[test]
fn voters_are_sorted_by_name_whatever_their_order_in_the_file() {
    let text = PAIR.replace("[\"lb-b\"", "[\"lb-b\", \"Z\"");
    let text = text.replace("nodes", "witnesses = [\"lb-aa\", \"0\"]\nnodes");
    let config = good(&text).config;
    let voters: Vec<_> = config.voters().iter().map(|v| (v.name, v.kind)).collect();
    let expected = [
        ("0", VoterKind::Witness),
        ("Z", VoterKind::Node),
        ("lb-a", VoterKind::Node),
        ("lb-aa", VoterKind::Witness),
        ("lb-b", VoterKind::Node),
    ];
    assert_eq!(voters, expected);
    assert!(!config.is_witness());
}

#[test]
fn this_node_may_be_a_witness() {
    let text = PAIR.replace("\"lb-a\"]", "\"lb-c\"]\nwitnesses = [\"lb-a\"]");
    let loaded = good(&text);
    assert!(loaded.warnings.is_empty());
    assert!(loaded.config.is_witness());
}

#[test]
fn a_native_group_has_no_adverts_that_its_addresses_must_fit() {
    let all = (0..300).map(|i| format!("\"10.0.{}.{}/16\"", i / 250, i % 250 + 1));
    let all = all.collect::<Vec<_>>().join(", ");
    let loaded = good(&PAIR.replace("\"192.0.2.10/24\"", &all));
    assert!(loaded.warnings.is_empty());
    let group = &loaded.config.groups[0];
    assert_eq!((group.addresses.len(), group.unadvertised.len()), (300, 0));
}

#[test]
fn who_only_looks_for_the_agent_needs_no_key() {
    let text = PAIR.replace("nodes", "key-file = \"/nowhere/missing.key\"\nnodes");
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = file.join(format!("keyless-{}.toml", std::process::id()));
    std::fs::write(&file, text).unwrap();
    let refused = config::load(&file, "lb-a");
    let found = config::load_keyless(&file, "lb-a");
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(refused, Err(config::Failure::Invalid(p)) if p.len() == 1));
    assert_eq!(found.unwrap().config.native, None);
}

fn lines(text: &str) -> Vec<String> {
    config::summary(&good(text).config).lines()
}

/// L = 5 * 200 ms, P = L * 1.02 + 1 ms + 20 ms.
#[test]
fn derived_times_of_a_pair_follow_from_the_promise() {
    let config = good(PAIR).config;
    let derived = config::derived(&config, &config.groups[0]);
    let millis = Duration::from_millis;
    assert_eq!(derived.lease, Some(millis(1000)));
    assert_eq!(derived.promise, Some(millis(1041)));
    assert_eq!(derived.skew, Duration::ZERO);
    assert_eq!(derived.detection_min, millis(841));
    assert_eq!(derived.detection_max, millis(1041));
    assert_eq!(derived.takeover_max, millis(1061));
    assert_eq!(derived.planned_max, millis(5));

    let open = good(&format!("{PAIR}[fencing]\ngate = \"off\"\n")).config;
    let derived = config::derived(&open, &open.groups[0]);
    assert_eq!((derived.lease, derived.promise), (None, Some(millis(1041))));
}

#[test]
fn a_third_voter_may_refuse_once_more() {
    let config = good(&PAIR.replace("nodes", "witnesses = [\"w\"]\nnodes")).config;
    let derived = config::derived(&config, &config.groups[0]);
    assert_eq!(derived.takeover_max, Duration::from_millis(1261));
}

const ALWAYS: &str =
    "[fencing]\ndisk-lock = [\"/dev/sdb\"]\ndisk-lock-mode = \"always\"\ndisk-lease = \"2s\"\n";

/// A renewal (400 ms), W (2.14 s), the disk's vote (300 ms) and a look.
#[test]
fn where_nobody_holds_without_the_disk_a_takeover_waits_for_it() {
    let millis = Duration::from_millis;
    let native = good(&PAIR.replace("[[group]]", &format!("{ALWAYS}[[group]]"))).config;
    let derived = config::derived(&native, &native.groups[0]);
    assert_eq!(derived.takeover_max, millis(2860));
    assert_eq!(derived.planned_max, millis(305));

    let beat = "[heartbeat]\nprotocol = \"vrrp3\"\ninterval = \"100ms\"\n";
    let vrrp = good(&PAIR.replace("[[group]]", &format!("{beat}{ALWAYS}[[group]]"))).config;
    let derived = config::derived(&vrrp, &vrrp.groups[0]);
    assert_eq!(derived.takeover_max, millis(2890));
    assert_eq!(derived.planned_max, millis(300));
    let said = config::summary(&vrrp).not_survived;
    assert!(
        said.contains("the loss of the disk leaves no MASTER"),
        "{said}"
    );
    assert!(
        said.contains("does not ask the disk is not held back by it"),
        "{said}"
    );
}

#[test]
fn a_disk_lock_is_one_disk_or_three() {
    let of = |list: &str| {
        PAIR.replace(
            "[[group]]",
            &format!("[fencing]\ndisk-lock = [{list}]\n[[group]]"),
        )
    };
    let three = good(&of("\"/dev/sdb\", \"/dev/sdc\", \"/dev/sdd\"")).config;
    assert_eq!(three.fencing.disk_lock.len(), 3);
    let one = good(&of("\"/dev/sdb\"")).config;
    assert_ne!(
        config::digest::voters(&one),
        config::digest::voters(&three),
        "a CONFLICT"
    );
    let said = config::summary(&three).not_survived;
    assert!(said.contains("two of the three disks"), "{said}");
    for (list, words) in [
        (
            "\"/dev/sdb\", \"/dev/sdc\"",
            "2 devices: a disk lock is one, or three",
        ),
        ("", "0 devices"),
        ("\"/dev/sdb\", \"/dev/sdc\", \"/dev/sdb\"", "named twice"),
        (
            "\"/dev/sdb\", \"sdc\", \"/dev/sdd\"",
            "not an absolute path",
        ),
    ] {
        let problems = super::parse(&of(list)).unwrap_err();
        let is_it = |problem: &config::Problem| problem.message.contains(words);
        assert!(problems.iter().any(is_it), "{problems:?}");
    }
}

/// Its right ends with the disk's vote, however long leases are.
#[test]
fn a_watchdog_reckons_with_the_disk_where_nobody_holds_without_it() {
    let beat = "[heartbeat]\ninterval = \"1s\"\nmisses = 6\n";
    let watched = format!("{beat}{ALWAYS}watchdog = \"/dev/watchdog\"\n[[group]]");
    let watchdog = config::summary(&good(&PAIR.replace("[[group]]", &watched)).config).watchdog;
    let text = watchdog.expect("there is one").text;
    assert!(text.contains("they last 2.000 s"), "{text}");
}

/// P is 41 ms longer than L at 1 s.
#[test]
fn the_files_of_a_cluster_have_times_together() {
    let ours = good(PAIR).config;
    let theirs = good(&PAIR.replace("[[group]]", "[heartbeat]\nmisses = 6\n[[group]]")).config;
    let lines = |files: &[&config::Config]| -> Vec<String> {
        config::together(files)
            .iter()
            .map(config::Together::line)
            .collect()
    };
    assert_eq!(
        lines(&[&ours, &ours]),
        [
            "together, group `web` on 2 nodes: a dead MASTER is noticed within 1.041 s; without a holder for at \
          most 1.061 s after power loss, 5 ms after a planned stop; a MASTER whose agent dies or freezes is silent \
          41 ms before another one takes over"
        ]
    );
    // L = 1.2 s beside P = 1.041 s.
    let [told] = &lines(&[&ours, &theirs])[..] else {
        panic!("one group");
    };
    assert!(told.contains("noticed within 1.245 s"), "{told}");
    assert!(
        told.ends_with("may answer for 159 ms beside the next one"),
        "{told}"
    );
    assert!(lines(&[&ours]).is_empty());
}

/// One of three routers gives up after three adverts, and the others rely on six.
#[test]
fn the_quickest_router_decides_whether_a_frozen_one_is_silent_in_time() {
    let file = |misses: u32, gate: &str| {
        let text = format!(
            "[heartbeat]\nprotocol = \"vrrp3\"\ninterval = \"100ms\"\nmisses = {misses}\n[fencing]\n\
             gate = \"{gate}\"\n[[group]]\nname = \"web\"\nid = 51\ninterface = \"eth0\"\n\
             addresses = [\"192.0.2.10/24\"]\n[group.vrrp]\npeer-misses = {misses}\n"
        );
        good(&text).config
    };
    let silence = |files: &[&config::Config]| config::together(files)[0].silence;
    let [six, three, off] = [file(6, "auto"), file(3, "auto"), file(6, "off")];
    let times = |config: &config::Config| {
        let of = config::derived(config, &config.groups[0]);
        (of.lease.unwrap(), of.detection_max)
    };
    let ((lease, slow), (_, quick)) = (times(&six), times(&three));
    assert_eq!(
        silence(&[&six, &six]),
        config::Silence::Before(slow - lease)
    );
    let expected = config::Silence::After(lease - quick);
    assert_eq!(silence(&[&six, &three, &six]), expected);
    assert_eq!(silence(&[&six, &off]), config::Silence::Never);
}

const WATCHED: &str = "[fencing]\nwatchdog = \"/dev/watchdog\"\n";

/// 200 ms + 1.01 s + 100 ms + 125 ms + 100 ms.
#[test]
fn a_watchdog_is_a_fence_for_leases_that_are_long_enough() {
    let text = |misses: u32| {
        let beat = format!("[heartbeat]\ninterval = \"200ms\"\nmisses = {misses}\n{WATCHED}");
        PAIR.replace("[[group]]", &format!("{beat}[[group]]"))
    };
    let summary = |misses| config::summary(&good(&text(misses)).config);
    let fence = summary(8);
    let watchdog = fence.watchdog.clone().unwrap();
    assert!(watchdog.fences, "{watchdog:?}");
    assert_eq!(watchdog.timeout, Duration::from_secs(1));
    assert_eq!(
        lines(&text(8)).last().unwrap(),
        "watchdog, set to 1.000 s: needs leases of 1.535 s at heartbeats of 200 ms, and they last 1.600 s: a \
         host that hangs is reset before another node answers, also without its gate; for that, a MASTER gives \
         up 395 ms before its lease ends"
    );
    assert_eq!(fence.groups[0].lease, Some(Duration::from_millis(1205)));
    assert_eq!(
        lines(&text(5)).last().unwrap(),
        "watchdog, set to 5.000 s: the watchdog backs up the gate only: to reset a host that hangs before \
         another node answers, it needs leases of 1.535 s at heartbeats of 200 ms, and they last 1.000 s; it \
         resets a host whose agent hangs while it holds, or whose gate is lost for good"
    );
    let off = text(8).replace(WATCHED, &format!("{WATCHED}gate = \"off\"\n"));
    let said = lines(&off).pop().unwrap();
    assert!(
        said.contains("without a gate the watchdog fences nothing in time"),
        "{said}"
    );
}

#[test]
fn the_summary_of_a_pair_says_its_times_and_that_it_is_not_exclusive() {
    let expected = [
        "group `web`: a dead MASTER is noticed after 841 ms to 1.041 s; without a holder for at most \
         1.061 s after power loss, 5 ms after a planned stop; a node whose agent dies or freezes is \
         silent 1.000 s after its last heartbeat (L), a vote is promised for 1.041 s (P)",
        "not survived: any partition of the service LAN leaves a MASTER on each side (two nodes \
         without a witness are not exclusive)",
    ];
    assert_eq!(lines(PAIR), expected);
    let row = serde_json::to_value(config::summary(&good(PAIR).config)).unwrap();
    assert_eq!(row["groups"][0]["lease_seconds"], 1.0);
    assert_eq!(row["groups"][0]["promise_seconds"], 1.041);
}

#[test]
fn what_is_not_survived_depends_on_who_votes_and_over_which_lines() {
    let said = |from: &str, to: &str| lines(&PAIR.replacen(from, to, 1)).pop().unwrap();
    let majority = |lost: &str| {
        format!(
            "not survived: the loss of {lost} voters, or a partition that leaves no side a \
             majority, leaves no MASTER (never two: whoever is without a majority falls silent)"
        )
    };
    for (from, to, expected) in [
        ("\"lb-b\", ", "\"lb-b\", \"lb-c\", ", majority("2 of the 3")),
        (
            "\"lb-b\", ",
            "\"b\", \"c\", \"d\", ",
            majority("2 of the 4"),
        ),
        (
            "nodes",
            "witnesses = [\"w\"]\nnodes",
            majority("2 of the 3"),
        ),
        (
            "\"lb-b\", ",
            "",
            "not survived: the loss of the only node leaves no MASTER".to_owned(),
        ),
        (
            "[[group]]",
            "[[heartbeat.path]]\ninterface = \"eth0\"\n[[heartbeat.path]]\ninterface = \"eth1\"\n\
             [[group]]",
            "not survived: a partition that cuts every path at once leaves a MASTER on each side \
             (two nodes without a witness are not exclusive)"
                .to_owned(),
        ),
    ] {
        assert_eq!(said(from, to), expected);
    }
    let vrrp = "[[group]]\nname = \"old\"\nid = 9\ninterface = \"eth0\"\n\
                addresses = [\"192.0.2.9/24\"]\n[group.heartbeat]\nprotocol = \"vrrp3\"\n";
    let text = PAIR.replace("nodes", "witnesses = [\"w\"]\nnodes") + vrrp;
    let expected = majority("2 of the 3")
        + "; any partition of the service LAN leaves a MASTER on each side (vrrp2 and vrrp3 have no \
           arbiter)";
    assert_eq!(lines(&text).pop().unwrap(), expected);
}

/// The addresses that move say nothing about the family of the line.
#[test]
fn a_native_heartbeat_takes_the_family_of_its_source() {
    let path = "[[heartbeat.path]]\ninterface = \"eth1\"\nsource = \"fe80::1\"\n";
    assert!(good(&format!("{PAIR}{path}")).warnings.is_empty());
}

#[test]
fn a_key_that_the_file_does_not_name_is_missed_where_it_could_be_named() {
    let none = |path: &Path| key(&path.with_file_name("missing.key"));
    let problems = |text: &str| config::parse_with("f", text, "lb-a", &none).unwrap_err();
    let found = problems(PAIR);
    let [problem] = found.iter().collect::<Vec<_>>()[..] else {
        panic!()
    };
    assert!(
        problem.message.starts_with("cannot use the key /"),
        "{problem:?}"
    );
    assert_eq!(&PAIR[problem.span.clone()], "[cluster]");
    // What was not understood may have named one.
    let broken = PAIR.replace("nodes", "key-file = /etc/a.key\nnodes");
    let broken = format!("{broken}[heartbeat]\nprotocol = \"native\"\n");
    let found = problems(&broken);
    let about_keys = found.iter().filter(|p| p.message.contains("cannot use"));
    assert_eq!(about_keys.count(), 0);
}
