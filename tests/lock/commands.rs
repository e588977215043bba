//! Do the commands do what they say? On files and on loop devices.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use floatlock::core::lease::Epoch;
use floatlock::disk::{Access, Area, Blocks, Device};
use floatlock::lab::clock;
use floatlock::wire::disk::{BLOCK_LEN, Block, Slot, State, slot_at, trial_at};
use serde_json::Value;

use crate::stage::{
    Holder, Loop, MIB, PROGRAM, TempFile, area, held, init, init_all, lock, slot, write_slot,
};

fn json(arguments: &[&str]) -> Value {
    let ran = lock(&[arguments, &["--json"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn a_loop_device_is_made_shown_tried_and_cleared() {
    for options in [&[][..], &["--sector-size", "4096"]] {
        let disk = Loop::new(4 * MIB, options);
        let made = init(&disk.name, &["--lease", "200ms"]);
        made.said(
            0,
            &["for cluster shop-front", "slot 0   lb-a", "slot 1   lb-b"],
        );
        assert_eq!(made.err, "");
        let shown = lock(&["show", &disk.name]);
        shown.said(
            0,
            &[
                "cluster shop-front",
                "lease 200 ms, wait 304 ms",
                "slot 1   lb-b  free",
            ],
        );
        let tried = [
            "test",
            &disk.name,
            "--node",
            "lb-a",
            "--count",
            "5",
            "--watch-for",
            "0s",
        ];
        lock(&tried).said(
            0,
            &[
                "5 writes: min",
                "5 reads: min",
                "lb-b: not seen: nobody has tested",
            ],
        );
        write_slot(Path::new(&disk.name), &held(1, 4));
        lock(&["show", &disk.name]).said(
            0,
            &["lb-b  held: unchanged for", "dead or frozen", "host-a"],
        );
        let cleared = lock(&["clear", &disk.name, "lb-b", "--force"]);
        cleared.said(0, &["the slot of lb-b was cleared"]);
        lock(&["show", &disk.name]).said(0, &["slot 1   lb-b  free\n"]);
    }
}

#[test]
fn init_takes_names_and_numbers_from_the_configuration() {
    let config = TempFile::with(
        r#"
        [cluster]
        name = "shop-front"
        nodes = ["lb-c", "lb-a"]
        witnesses = ["lb-b"]
        [node]
        name = "lb-c"
        [[group]]
        name = "web"
        id = 51
        interface = "eth0"
        addresses = ["192.0.2.10/24"]
        "#,
    );
    let file = TempFile::new(MIB);
    let made = json(&["init", file.name(), "-c", config.name()]);
    assert_eq!(made["cluster"], "shop-front");
    assert_eq!(made["lease_ms"], 5000);
    assert_eq!(made["wait_ms"], 5200);
    // The witness has number 1, and no slot.
    let slots = serde_json::json!([
        { "node": "lb-a", "number": 0 },
        { "node": "lb-c", "number": 2 },
    ]);
    assert_eq!(made["slots"], slots);
    let tried = [
        "test",
        file.name(),
        "-c",
        config.name(),
        "--count",
        "2",
        "--watch-for",
        "0s",
    ];
    assert_eq!(json(&tried)["node"], "lb-c");
}

#[test]
fn the_order_of_names_decides_nothing_and_everything_else_is_wiped() {
    let file = TempFile::new(MIB + 100_000);
    file.write(5 * BLOCK_LEN as u64, b"something that is no signature");
    file.write(MIB, b"not ours");
    init(file.name(), &[]).said(0, &["is a regular file: good for trials on one host"]);
    let device = Device::open(&file.0, Access::Read).unwrap();
    let area = Area::read(&device).unwrap();
    let names: Vec<_> = area
        .header
        .members
        .iter()
        .map(|m| (m.number, &*m.name))
        .collect();
    assert_eq!(names, [(0, "lb-a"), (1, "lb-b")]);
    assert_eq!(area.torn, None);
    for number in [0, 1] {
        let block = device.read(slot_at(number)).unwrap();
        let clean = Slot::decode(&block, area.header.area, number);
        assert_eq!(clean, Ok(Slot::clean(number)));
    }
    for at in [2, 5, 7, 9, 11, 12, 255] {
        assert_eq!(device.read(at).unwrap(), Block::ZERO, "block {at}");
    }
    assert!(file.bytes()[MIB as usize..].starts_with(b"not ours"));
}

#[test]
fn show_says_who_lives_and_writes_nothing() {
    let file = area("10s");
    let before = file.bytes();
    lock(&["show", file.name(), "--watch-for", "0s"]).said(0, &["lb-a  free"]);
    assert!(before == file.bytes(), "show has written");
    write_slot(&file.0, &held(1, 4));
    let _agent = Holder::start(&file.0, 0);
    let shown = json(&["show", file.name(), "--watch-for", "3s"]);
    let [a, b] = [&shown["slots"][0], &shown["slots"][1]];
    assert_eq!((&a["state"], &b["state"]), (&"held".into(), &"held".into()));
    assert!(a["changes"].as_u64().unwrap() > 0, "{shown}");
    assert_eq!(b["changes"], 0);
    assert!(b["unchanged_ms"].as_u64().unwrap() >= 2900, "{shown}");
    assert_eq!(b["owned"], 5 * 64 + 1);
    assert_eq!(b["boot_id"], "07".repeat(16));
    let shown = lock(&["show", file.name(), "--watch-for", "3s"]);
    shown.said(0, &["so its agent lives", "so its agent is dead or frozen"]);
}

#[test]
fn a_contender_is_not_free_for_certain() {
    let file = area("5s");
    let contends = Slot {
        state: State::Free,
        ..held(0, 1)
    };
    write_slot(&file.0, &contends);
    let shown = lock(&["show", file.name(), "--watch-for", "0s"]);
    shown.said(0, &["lb-a  free, not cleanly given up", "looked at once"]);
}

#[test]
fn one_torn_header_is_a_warning_and_two_are_an_error() {
    let file = area("100ms");
    file.write_block(0, &[0xff; 512]);
    let torn = lock(&["show", file.name()]);
    torn.said(
        0,
        &[
            "warning: block 0",
            "--force` writes both anew",
            "lb-a  free",
        ],
    );
    let shown = json(&["show", file.name()]);
    assert_eq!(shown["bad_header"], 0);
    file.write_block(1, b"garbage");
    lock(&["show", file.name()]).said(1, &["there is none: block 0:", "floatlock lock init"]);
    lock(&["clear", file.name(), "--all", "--force"]).said(1, &["there is none"]);
}

#[test]
fn headers_of_two_areas_are_none() {
    let (file, other) = (area("100ms"), area("100ms"));
    file.write_block(1, &other.bytes()[BLOCK_LEN..2 * BLOCK_LEN]);
    lock(&["show", file.name()]).said(1, &["differ, and nobody knows which is true"]);
    let refused = lock(&[&["init", file.name()], &crate::stage::SHOP[..]].concat());
    refused.said(1, &["--force"]);
    init(file.name(), &["--force"]);
}

#[test]
fn a_slot_that_cannot_be_read_counts_as_held_until_it_is_cleared() {
    let file = area("100ms");
    file.write_block(slot_at(1), &[0; BLOCK_LEN]);
    let words = [
        "lb-b  cannot be read, so it counts as held: it is all zeroes",
        "lb-a  free",
    ];
    lock(&["show", file.name()]).said(1, &words);
    lock(&["clear", file.name(), "lb-b", "--force"]).said(0, &["lb-b was cleared"]);
    let now = slot(&file.0, "lb-b").unwrap();
    assert_eq!((now.state, now.owned), (State::Clean, Epoch::default()));
    lock(&["show", file.name()]).said(0, &["lb-b  free"]);
}

#[test]
fn clear_keeps_the_ballots_and_the_boot() {
    let file = area("100ms");
    write_slot(&file.0, &held(0, 4));
    let cleared = json(&["clear", file.name(), "--all", "--force"]);
    assert_eq!(cleared["cleared"], serde_json::json!(["lb-a"]));
    assert_eq!(cleared["were_free"], serde_json::json!(["lb-b"]));
    let now = slot(&file.0, "lb-a").unwrap();
    let before = held(0, 4);
    assert_eq!((now.state, now.seq), (State::Clean, 5));
    assert_eq!(
        (now.intent, now.owned, now.boot_id),
        (before.intent, before.owned, before.boot_id)
    );
}

#[test]
fn clear_of_a_free_slot_needs_no_force_and_writes_nothing() {
    let file = area("5s");
    let before = file.bytes();
    lock(&["clear", file.name(), "lb-a"]).said(0, &["the slot of lb-a is free already"]);
    assert!(before == file.bytes());
}

#[test]
fn a_test_touches_nothing_but_its_own_test_block() {
    let file = area("5s");
    let before = file.bytes();
    let tried = [
        "test",
        file.name(),
        "--node",
        "lb-b",
        "--count",
        "3",
        "--watch-for",
        "0s",
    ];
    let answer = json(&tried);
    assert_eq!(answer["writes"]["count"], 3);
    let after = file.bytes();
    let own = trial_at(1) as usize;
    let blocks = before.chunks(BLOCK_LEN).zip(after.chunks(BLOCK_LEN));
    let changed: Vec<usize> = (0..)
        .zip(blocks)
        .filter(|(_, (a, b))| a != b)
        .map(|(at, _)| at)
        .collect();
    assert_eq!(changed, [own]);
    let other = [
        "test",
        file.name(),
        "--node",
        "lb-a",
        "--count",
        "1",
        "--watch-for",
        "0s",
    ];
    lock(&other).said(0, &["lb-b: not seen: its test block does not change"]);
}

/// Goes with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn two_that_test_at_once_see_each_other() {
    let disk = Loop::new(MIB, &[]);
    init(&disk.name, &[]);
    let mut other = Command::new(PROGRAM);
    other.args([
        "lock",
        "test",
        &disk.name,
        "--node",
        "lb-a",
        "--watch-for",
        "10min",
    ]);
    let other = Running(other.stdout(Stdio::null()).spawn().unwrap());
    let device = Device::open(Path::new(&disk.name), Access::Read).unwrap();
    let tests = || device.read(trial_at(0)).unwrap() != Block::ZERO;
    assert!(clock::wait_until(Duration::from_secs(20), tests));
    let tried = [
        "test",
        &disk.name,
        "--node",
        "lb-b",
        "--count",
        "3",
        "--watch-for",
        "3s",
    ];
    let answer = json(&tried);
    assert_eq!(answer["others"][0]["seen"], true, "{answer}");
    drop(other);
    lock(&tried).said(0, &["lb-a: not seen: its test block does not change"]);
}

#[test]
fn there_are_man_pages_of_all_four() {
    for name in ["init", "show", "test", "clear"] {
        let output = Command::new(PROGRAM)
            .args(["man", "lock", name])
            .output()
            .unwrap();
        let page = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && page.contains(".SH SYNOPSIS"),
            "{name}: {page}"
        );
    }
}

#[test]
fn three_disks_are_made_together_and_each_says_which_it_is() {
    let files: Vec<TempFile> = (0..3).map(|_| TempFile::new(MIB)).collect();
    let names: Vec<&str> = files.iter().map(TempFile::name).collect();
    let made = init_all(&files, &["--lease", "200ms", "--json"]);
    let made: Value = serde_json::from_str(&made.out).unwrap();
    assert_eq!(made["devices"], serde_json::json!(names));
    for (at, name) in (1..).zip(&names) {
        let shown = json(&["show", name]);
        assert_eq!(shown["area"], made["area"]);
        assert_eq!((&shown["disk"], &shown["disks"]), (&at.into(), &3.into()));
        let told = lock(&["show", name, "--watch-for", "0s"]);
        told.said(0, &[&format!("on {name}, disk {at} of 3: cluster")]);
    }
}

/// What `floatlock check` says of the disks, in order, and how it ends.
fn checked(disks: &[&str], more: &str) -> (i32, Vec<Option<String>>) {
    let key = TempFile::with(&"7".repeat(64));
    fs::set_permissions(&key.0, fs::Permissions::from_mode(0o600)).unwrap();
    let key = key.name();
    let config = TempFile::with(&format!(
        "[cluster]\nname = \"shop-front\"\nnodes = [\"lb-a\", \"lb-b\"]\nkey-file = {key:?}\n\
         [node]\nname = \"lb-a\"\n[fencing]\ndisk-lock = {disks:?}\n{more}\
         [[group]]\nname = \"db\"\nid = 51\npriority = 150\ninterface = \"lo\"\n\
         addresses = [\"192.0.2.10/32\"]\n"
    ));
    let mut check = Command::new(PROGRAM);
    let ran = check.args(["check", "--json", "-c", config.name()]);
    let ran = ran.output().unwrap();
    let json: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let looked = json["disks"]
        .as_array()
        .unwrap_or_else(|| panic!("{json:#}"));
    let told = looked.iter().zip(disks).map(|(one, device)| {
        assert_eq!(one["device"], *device);
        one["trouble"].as_str().map(str::to_owned)
    });
    (ran.status.code().unwrap(), told.collect())
}

#[test]
fn check_says_which_disk_is_not_what_the_configuration_takes_it_for() {
    let demand = |disks: &[&str], more: &str, troubles: &[&str]| {
        let (code, told) = checked(disks, more);
        let shown = format!("{disks:?} {more}: {told:#?}");
        for (told, trouble) in told.iter().zip(troubles) {
            match told {
                None => assert_eq!(*trouble, "", "{shown}"),
                Some(told) => assert!(!trouble.is_empty() && told.contains(trouble), "{shown}"),
            }
        }
        let is_good = troubles.iter().all(|trouble| trouble.is_empty());
        assert_eq!(
            (code, told.len()),
            (i32::from(!is_good), troubles.len()),
            "{shown}"
        );
    };
    let always = "disk-lock-mode = \"always\"\ndisk-lease = \"2s\"\n";
    let one = area("2s");
    demand(&[one.name()], "", &[""]);
    demand(&[one.name()], always, &[""]);
    let other = "disk-lease = \"3s\"\n";
    demand(
        &[one.name()],
        other,
        &["grants for 2s, and the configuration reckons with 3s"],
    );
    demand(&["/no/such/disk"], "", &["no such device"]);
    let empty = TempFile::new(MIB);
    demand(&[empty.name()], "", &["`floatlock lock init` makes one"]);
    let files: Vec<TempFile> = (0..3).map(|_| TempFile::new(MIB)).collect();
    init_all(&files, &["--lease", "2s"]);
    let [a, b, c] = [0, 1, 2].map(|at| files[at].name());
    demand(&[a, b, c], "", &["", "", ""]);
    demand(&[c, a, b], always, &["", "", ""]);
    demand(&[a, b, one.name()], "", &["", "", "lock area of its own"]);
    demand(&[a], "", &["one of the 3 disks"]);
    let copy = TempFile::new(MIB);
    fs::copy(&files[0].0, &copy.0).unwrap();
    demand(&[a, b, copy.name()], "", &["", "", "or a copy of it"]);
    let others: Vec<TempFile> = (0..3).map(|_| TempFile::new(MIB)).collect();
    init_all(&others, &["--lease", "2s"]);
    demand(
        &[a, b, others[2].name()],
        "",
        &["", "", "not that of the other disks"],
    );
    let foreign = TempFile::new(MIB);
    let names = [
        "--cluster",
        "mail",
        "--node",
        "lb-a",
        "--node",
        "lb-b",
        "--lease",
        "2s",
    ];
    lock(&[&["init", foreign.name()][..], &names].concat()).said(0, &[]);
    demand(&[foreign.name()], "", &["belongs to cluster mail"]);
    let names = [
        "--cluster",
        "shop-front",
        "--node",
        "lb-x",
        "--node",
        "lb-b",
        "--lease",
        "2s",
    ];
    let strangers = TempFile::new(MIB);
    lock(&[&["init", strangers.name()][..], &names].concat()).said(0, &[]);
    demand(&[strangers.name()], "", &["no slot for lb-a"]);
    one.write_block(1, &[0; BLOCK_LEN]);
    demand(
        &[one.name()],
        "",
        &["one of the two headers, cannot be read"],
    );
}
