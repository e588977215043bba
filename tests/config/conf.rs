//! Do the files in `conf/` and the reference say what the parser does?

use floatlock::config::keys::{self, Absent, KEYS, Key, Kind};
use floatlock::config::{self, Config, Loaded, Paint, Protocol};

use super::{good, text_of};

fn load(file: &str, hostname: &str) -> Loaded {
    match config::parse_with(file, &text_of(file), hostname, &super::key) {
        Ok(loaded) => loaded,
        Err(problems) => panic!("{}", problems.render(Paint::Plain)),
    }
}

#[test]
fn the_smallest_files_work_and_fit_on_one_screen() {
    for (file, hosts, protocol) in [
        ("conf/minimal.toml", ["lb-a", "lb-b"], Protocol::Native),
        ("conf/minimal-vrrp3.toml", ["any", "thing"], Protocol::Vrrp3),
    ] {
        for host in hosts {
            let loaded = load(file, host);
            let warnings = loaded.warnings.render(Paint::Plain);
            assert!(loaded.warnings.is_empty(), "{warnings}");
            assert_eq!(loaded.config.groups[0].protocol, protocol);
        }
        assert!(text_of(file).lines().count() <= 16);
    }
}

#[test]
fn the_haproxy_pair_agrees() {
    let load = |file, host| {
        let loaded = load(file, host);
        assert!(
            loaded.warnings.is_empty(),
            "{}",
            loaded.warnings.render(Paint::Plain)
        );
        loaded.config
    };
    let a = load("conf/haproxy-lb-a.toml", "lb-a");
    let b = load("conf/haproxy-lb-b.toml", "lb-b");
    let shared = |config: &Config| {
        let group = |group: &std::sync::Arc<config::GroupConfig>| {
            let addresses: Vec<_> = group.all_addresses().cloned().collect();
            (
                group.name.clone(),
                group.id,
                group.protocol,
                group.interval,
                addresses,
            )
        };
        let groups: Vec<_> = config.groups.iter().map(group).collect();
        (config.cluster.clone(), groups)
    };
    assert_eq!(shared(&a), shared(&b));
    assert_eq!(
        (a.node.name.as_str(), b.node.name.as_str()),
        ("lb-a", "lb-b")
    );
    for (ours, theirs) in a.groups.iter().zip(&b.groups) {
        assert_ne!(ours.priority, theirs.priority, "{}", ours.name);
        assert_eq!(ours.paths[1].peers, theirs.paths[1].source);
        assert_eq!(theirs.paths[1].peers, ours.paths[1].source);
    }
}

/// The commented file with its commented-out defaults in force. Disk lock, reference and watchdog have none: they are
/// examples, and the file has a witness and a group that speaks VRRP.
pub(super) fn with_defaults(text: &str) -> String {
    let examples = ["disk-l", "reference", "solo-after", "watchdog"];
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if examples.iter().any(|key| rest.starts_with(key)) => line.to_owned(),
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_commented_out_defaults_are_the_defaults() {
    let text = text_of("conf/floatlock.toml");
    let as_it_stands = good(&text);
    assert_eq!(good(&with_defaults(&text)).config, as_it_stands.config);
    let warnings = as_it_stands.warnings.iter().map(|p| &p.message);
    assert_eq!(
        warnings.collect::<Vec<_>>(),
        ["`auth-pass` is sent as plain text: it keeps mistakes out, not attackers"]
    );
}

/// The lines under each header of the table, comments with a default included.
fn lines_of<'t>(text: &'t str, table: &str) -> Vec<&'t str> {
    let header = keys::header(table);
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.split('#').next().unwrap_or_default().trim() == header;
        } else if inside {
            lines.push(line);
        }
    }
    lines
}

fn stands_in(text: &str, key: &Key) -> bool {
    if matches!(key.kind, Kind::Table | Kind::Tables) {
        return text
            .lines()
            .any(|line| line.starts_with(&keys::header(&key.path())));
    }
    if key.table == "group.addresses" {
        return text.contains(&format!(" {} = ", key.name));
    }
    let lines = lines_of(text, key.table);
    let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
    match key.absent {
        Absent::Default(value) => lines.contains(&format!("#{} = {value}", key.name).as_str()),
        _ => has(&format!("{} = ", key.name)) || has(&format!("#{} = ", key.name)),
    }
}

#[test]
fn the_commented_file_has_every_key_with_its_default() {
    let text = text_of("conf/floatlock.toml");
    let (text, not_yet) = text
        .split_once("# Not yet")
        .expect("the keys of later versions");
    for key in KEYS {
        match key.absent {
            Absent::NotYet => {
                assert!(
                    not_yet.contains(&key.path()),
                    "{} is not under Not yet",
                    key.path()
                );
                assert!(!stands_in(text, key), "{} is not supported", key.path());
            }
            _ => assert!(
                stands_in(text, key),
                "{} is not in conf/floatlock.toml",
                key.path()
            ),
        }
    }
}

#[test]
fn the_reference_has_every_key_with_its_kind_and_default() {
    let text = text_of("docs/configuration.md");
    let (text, not_yet) = text
        .split_once("## Not yet")
        .expect("the keys of later versions");
    let mut missing = Vec::new();
    for key in KEYS {
        if key.absent == Absent::NotYet {
            let name = format!("`{}`", key.path());
            assert!(not_yet.contains(&name), "{name} is not under Not yet");
        } else if !matches!(key.kind, Kind::Table | Kind::Tables) {
            let section = section(text, key.table);
            let row = format!("| `{}` | {} | {} |", key.name, key.kind, key.absent);
            if !section.lines().any(|line| line.starts_with(&row)) {
                missing.push(format!("{}: {row} {} |", key.table, key.doc));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "not in docs/configuration.md:\n{}",
        missing.join("\n")
    );
}

/// The part of the reference about a table.
fn section<'t>(text: &'t str, table: &str) -> &'t str {
    let header = match table {
        "group.addresses" => "### Addresses".to_owned(),
        _ => format!("## `{}`", keys::header(table)),
    };
    let start = text
        .find(&header)
        .unwrap_or_else(|| panic!("no section {header}"));
    let rest = &text[start + header.len()..];
    rest.find("\n## ").map_or(rest, |end| &rest[..end])
}
