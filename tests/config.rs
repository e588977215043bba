//! Is the text of the file understood, and is every problem in it said in one pass?
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at what is wrong"
)]

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use floatlock::config::{self, KeyProblem, Loaded, Paint, Problems, Severity, UnusableKey};
use floatlock::wire::native::Key;

#[path = "config/compare.rs"]
mod compare;
#[path = "config/conf.rs"]
mod conf;
#[path = "config/key.rs"]
mod key;
#[path = "config/mutants.rs"]
mod mutants;
#[path = "config/native.rs"]
mod native;
#[path = "config/positive.rs"]
mod positive;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn parse(text: &str) -> Result<Loaded, Problems> {
    config::parse_with("floatlock.toml", text, "lb-a", &key)
}

/// Keys without files: what is missing is called so, and every other path is a key of its own.
fn key(path: &Path) -> Result<Key, UnusableKey> {
    if path.ends_with("missing.key") {
        return Err(UnusableKey {
            path: path.to_owned(),
            why: KeyProblem::Unreadable(io::Error::from_raw_os_error(libc::ENOENT)),
        });
    }
    Ok(Key::new(path.display().to_string().repeat(32).as_bytes()).unwrap())
}

/// The configuration, of a text that has no error.
fn good(text: &str) -> Loaded {
    match parse(text) {
        Ok(loaded) => loaded,
        Err(problems) => panic!("{}", problems.render(Paint::Plain)),
    }
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("tests/config")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = paths
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect();
    cases.sort();
    cases
}

fn problems_of(case: &Path) -> Problems {
    let name = case.file_name().unwrap().to_string_lossy();
    let text = fs::read_to_string(case).unwrap();
    match config::parse_with(&name, &text, "lb-a", &key) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems,
    }
}

/// Compares with the record, or writes it when `FLOATLOCK_BLESS` is set.
fn differs(record: &Path, said: &str) -> Option<String> {
    if std::env::var_os("FLOATLOCK_BLESS").is_some() {
        fs::write(record, said).unwrap();
    }
    let expected = fs::read_to_string(record).unwrap_or_default();
    (expected != said).then(|| format!("{} is\n{expected}\nbut now\n{said}\n", record.display()))
}

#[test]
fn every_problem_is_rendered_as_recorded() {
    let mut wrong = String::new();
    for case in cases() {
        let problems = problems_of(&case);
        let said = format!(
            "{}\n{}\n",
            problems.render(Paint::Plain),
            problems.summary()
        );
        let difference = differs(&case.with_extension("txt"), &said);
        wrong.write_str(&difference.unwrap_or_default()).unwrap();
    }
    assert!(wrong.is_empty(), "{wrong}refresh with FLOATLOCK_BLESS=1");
}

#[test]
fn problems_are_rows_for_machines() {
    let case = root().join("tests/config/duplicate-addresses.toml");
    let rows = serde_json::to_string_pretty(&problems_of(&case)).unwrap();
    let difference = differs(&case.with_extension("json"), &(rows + "\n"));
    assert_eq!(difference, None, "refresh with FLOATLOCK_BLESS=1");
}

#[test]
fn colours_come_only_when_asked_for() {
    let problems = problems_of(&root().join("tests/config/names.toml"));
    assert!(!problems.render(Paint::Plain).contains('\x1b'));
    assert!(problems.render(Paint::Coloured).contains('\x1b'));
}

#[test]
fn a_file_with_warnings_alone_can_be_used() {
    let loaded = good(&text_of("tests/config/warnings.toml"));
    let severities: Vec<_> = loaded.warnings.iter().map(|p| p.severity).collect();
    assert_eq!(severities, vec![Severity::Warning; severities.len()]);
}

#[test]
fn the_host_name_names_this_node_or_says_why_not() {
    let minimal = text_of("conf/minimal-vrrp3.toml");
    let clustered = "[cluster]\nname = \"c\"\nnodes = [\"lb-a\", \"lb-b\"]\n".to_owned() + &minimal;
    let advice = |text: &str, hostname: &str| {
        let problems = config::parse("f", text, hostname).unwrap_err();
        let problem = problems.iter().next().unwrap().clone();
        format!(
            "{}: {}",
            problem.message,
            problem.advice.unwrap_or_default()
        )
    };
    assert_eq!(
        advice(&minimal, "not a name"),
        "the host name `not a name` cannot be this node's name: set `name` in [node]"
    );
    assert_eq!(
        advice(&clustered, "lb-a.example.com"),
        "this node, `lb-a.example.com` by its host name, is not in `cluster.nodes`: \
         write `name = \"lb-a\"` in [node]"
    );
    assert_eq!(
        config::parse("f", &clustered, "lb-b")
            .unwrap()
            .config
            .node
            .name,
        "lb-b"
    );
}

#[test]
fn an_unreadable_file_says_what_why_and_what_next() {
    let folder = root().join("tests/config");
    let failure = |path: &Path| config::load(path, "lb-a").unwrap_err().to_string();

    let missing = failure(&folder.join("missing.conf"));
    assert!(
        missing.starts_with("cannot read the configuration /"),
        "{missing}"
    );
    assert!(missing.contains("missing.conf: No such file"), "{missing}");
    assert!(missing.contains("or name one with -c"), "{missing}");

    let directory = failure(&folder);
    assert!(
        directory.contains("it is not a regular file"),
        "{directory}"
    );

    let latin1 = std::env::temp_dir().join(format!("floatlock-latin1-{}.toml", std::process::id()));
    fs::write(&latin1, b"# caf\xe9\n").unwrap();
    let not_text = failure(&latin1);
    fs::remove_file(&latin1).unwrap();
    assert!(
        not_text.contains("line 1 is not UTF-8 text: save it as UTF-8"),
        "{not_text}"
    );
}

#[test]
fn an_endless_file_is_not_read_to_its_end() {
    let big = std::env::temp_dir().join(format!("floatlock-big-{}.toml", std::process::id()));
    fs::File::create(&big).unwrap().set_len(1 << 40).unwrap(); // sparse
    let failure = config::load(&big, "lb-a").unwrap_err().to_string();
    fs::remove_file(&big).unwrap();
    assert!(failure.contains("it is larger than 4 MiB"), "{failure}");
}
