//! Is every difference between two nodes' files said, and nothing that may differ?

use floatlock::config::{self, Loaded, Paint, Severity};

use super::{differs, key, root};

const OURS: &str = r#"
[cluster]
name = "shop-front"
nodes = ["lb-a", "lb-b"]
witnesses = ["lb-w"]

[node]
name = "lb-a"

[heartbeat]
interval = "200ms"
misses = 5

[[heartbeat.path]]
interface = "eth0"

[[group]]
name = "web"
id = 51
priority = 150
interface = "eth0"
addresses = ["192.0.2.10/24", "192.0.2.11/24"]

[[group]]
name = "old"
id = 52
interface = "eth0"
addresses = ["192.0.2.20/24"]
[group.heartbeat]
protocol = "vrrp2"
interval = "1s"
misses = 4
[group.vrrp]
auth-pass = "1111"
"#;

fn read(name: &str, text: &str) -> Loaded {
    match config::parse_with(name, text, "lb-a", &key) {
        Ok(loaded) => loaded,
        Err(problems) => panic!("{}", problems.render(Paint::Plain)),
    }
}

fn theirs() -> String {
    OURS.replacen("name = \"lb-a\"", "name = \"lb-b\"", 1)
}

const PAIR: &str = r#"
[cluster]
name = "shop-front"
nodes = ["lb-a", "lb-b"]

[node]
name = "lb-a"

[fencing]
#reference = ["192.0.2.1"]
#disk-lock = ["/dev/sdb"]

[[group]]
name = "web"
id = 51
interface = "eth0"
addresses = ["192.0.2.10/24"]
"#;

/// What the one says that has the arbiter, and the one that has not.
fn of_one_side(line: &str) -> [Vec<String>; 2] {
    let file = |node: &str, has: bool| {
        let text = PAIR.replacen("name = \"lb-a\"", &format!("name = \"{node}\""), 1);
        let commented = format!("#{line}");
        assert!(text.contains(&commented), "{line}");
        match has {
            true => text.replacen(&commented, line, 1),
            false => text,
        }
    };
    [true, false].map(|has| {
        let ours = read("lb-a.toml", &file("lb-a", !has));
        let problems = config::compare(&ours, &read("lb-b.toml", &file("lb-b", has)));
        problems.iter().map(|p| p.message.clone()).collect()
    })
}

#[test]
fn an_arbiter_on_one_side_only_is_said() {
    assert_eq!(
        of_one_side("reference = [\"192.0.2.1\"]"),
        [
            ["a reference here, and none in lb-a.toml"],
            ["no `reference` here, and a reference in lb-a.toml"]
        ]
    );
    assert_eq!(
        of_one_side("disk-lock = [\"/dev/sdb\"]"),
        [
            ["a disk lock here, and none in lb-a.toml"],
            ["no `disk-lock` here, and a disk lock in lb-a.toml"]
        ]
    );
}

/// What `lb-b` says after a change, but for the warning of each file.
fn found(from: &str, to: &str) -> Vec<(Severity, String)> {
    let text = theirs();
    assert!(text.contains(from), "{from}");
    let theirs = read("lb-b.toml", &text.replacen(from, to, 1));
    let problems = config::compare(&read("lb-a.toml", OURS), &theirs);
    let said = problems.iter().map(|p| (p.severity, p.message.clone()));
    said.filter(|(_, message)| !message.contains("plain text"))
        .collect()
}

#[test]
fn files_that_agree_have_nothing_to_say() {
    for (from, to) in [
        ("priority = 150", "priority = 100"),
        ("interface = \"eth0\"", "interface = \"bond0\""),
        ("[\"lb-a\", \"lb-b\"]", "[\"lb-b\", \"lb-a\"]"),
        (
            "[\"192.0.2.10/24\", \"192.0.2.11/24\"]",
            "[\"192.0.2.11/32\", \"192.0.2.10/24\"]",
        ),
        (
            "misses = 4\n",
            "misses = 4\n[[group.action]]\non = \"any\"\nrun = [\"/bin/true\"]\n",
        ),
        // During a change of keys: each accepts what the other signs with.
        ("nodes", "old-key-file = \"/other.key\"\nnodes"),
    ] {
        assert_eq!(found(from, to), [], "{from} -> {to}");
    }
    // A witness has no group of vrrp.
    let (text, _) = OURS.split_once("[[group]]\nname = \"old\"").unwrap();
    let witness = read(
        "w.toml",
        &text.replacen("name = \"lb-a\"", "name = \"lb-w\"", 1),
    );
    assert!(config::compare(&read("lb-a.toml", OURS), &witness).is_empty());
    let other_way = config::compare(&witness, &read("lb-a.toml", OURS));
    assert_eq!(other_way.len(), 1, "the plain text");
}

#[test]
fn each_difference_is_said_with_both_sides() {
    for (from, to, expected) in [
        (
            "name = \"lb-b\"",
            "name = \"lb-a\"",
            "this is node `lb-a`, as is lb-a.toml",
        ),
        (
            "shop-front",
            "shop",
            "the cluster's name is shop here, and shop-front in lb-a.toml",
        ),
        (
            "\"lb-b\"]",
            "\"lb-b\", \"lb-c\"]",
            "other nodes or witnesses than in lb-a.toml: only here: node `lb-c`",
        ),
        (
            "\"lb-b\"]\nwitnesses = [\"lb-w\"]",
            "\"lb-b\", \"lb-w\"]",
            "other nodes or witnesses than in lb-a.toml: only here: node `lb-w`; only there: \
             witness `lb-w`",
        ),
        (
            "200ms",
            "100ms",
            "`interval` is 100ms here, and 200ms in lb-a.toml",
        ),
        (
            "misses = 5",
            "misses = 6",
            "`misses` is 6 here, and 5 in lb-a.toml",
        ),
        (
            "id = 51",
            "id = 53",
            "`id` of `web` is 53 here, and 51 in lb-a.toml",
        ),
        (
            "192.0.2.11",
            "192.0.2.12",
            "`web` has other addresses: only here: 192.0.2.12; only there: 192.0.2.11",
        ),
        (
            "protocol = \"vrrp2\"\ninterval = \"1s\"\nmisses = 4\n[group.vrrp]\nauth-pass = \"1111\"",
            "protocol = \"vrrp3\"\ninterval = \"1s\"",
            "`protocol` of `old` is vrrp3 here, and vrrp2 in lb-a.toml",
        ),
        (
            "interval = \"1s\"",
            "interval = \"2s\"",
            "`interval` of `old` is 2s here, and 1s in lb-a.toml",
        ),
        (
            "\"1111\"",
            "\"2222\"",
            "`auth-pass` of `old` is not that of lb-a.toml",
        ),
        (
            "[group.vrrp]",
            "[group.vrrp]\npeer-misses = 5",
            "`old`: in lb-a.toml a MASTER is given up after 4 silent intervals, and the other node \
             relies on 5",
        ),
    ] {
        let expected = (Severity::Error, expected.to_owned());
        assert_eq!(found(from, to), [expected], "{from} -> {to}");
    }
    let warned = found("id = 51", "id = 51\npreempt = false");
    let expected = "`preempt` of `web` is false here, and true in lb-a.toml";
    assert_eq!(warned, [(Severity::Warning, expected.to_owned())]);
}

#[test]
fn keys_that_the_other_node_would_not_accept_are_an_error() {
    let found = found("nodes", "key-file = \"/other.key\"\nnodes");
    let [(Severity::Error, message)] = &found[..] else {
        panic!("{found:?}")
    };
    assert!(message.starts_with("signs with key "), "{message}");
}

/// Round 2 of a change: some sign with the new key, some still with the old one.
#[test]
fn two_nodes_in_the_midst_of_a_change_of_keys_agree() {
    let (old, new) = ("/etc/floatlock/cluster.key", "/new.key");
    let with = |text: &str, key: &str, other: &str| {
        let keys = format!("key-file = \"{key}\"\nold-key-file = \"{other}\"\nnodes");
        read("f", &text.replacen("nodes", &keys, 1))
    };
    let (first, second) = (with(OURS, old, new), with(&theirs(), new, old));
    assert_eq!(config::compare(&first, &second).count(Severity::Error), 0);
    // Round 3 before round 2 is finished: the last one still signs with the old key.
    let hasty = read(
        "f",
        &theirs().replacen("nodes", "key-file = \"/new.key\"\nnodes", 1),
    );
    assert_eq!(config::compare(&first, &hasty).count(Severity::Error), 1);
    assert_eq!(config::compare(&hasty, &first).count(Severity::Error), 1);
}

#[test]
fn a_difference_is_shown_at_its_place() {
    let text = theirs()
        .replace("id = 51", "id = 53")
        .replace("misses = 5", "misses = 6")
        .replace("name = \"web\"", "name = \"www\"")
        .replace("192.0.2.20", "192.0.2.21");
    let problems = config::compare(&read("lb-a.toml", OURS), &read("lb-b.toml", &text));
    let said = format!(
        "{}\n{}\n",
        problems.render(Paint::Plain),
        problems.summary()
    );
    let difference = differs(&root().join("tests/config/compare.txt"), &said);
    assert_eq!(difference, None, "refresh with FLOATLOCK_BLESS=1");
}

#[test]
fn the_haproxy_pair_agrees_with_itself() {
    let read = |file: &str, host: &str| {
        config::parse_with(file, &super::text_of(file), host, &key).unwrap()
    };
    let a = read("conf/haproxy-lb-a.toml", "lb-a");
    let b = read("conf/haproxy-lb-b.toml", "lb-b");
    assert!(config::compare(&a, &b).is_empty());
    assert!(config::compare(&b, &a).is_empty());
}
