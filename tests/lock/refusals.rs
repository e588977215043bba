//! What do the commands refuse? Each with the reason and the way out, and without a byte written.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::Path;
use std::process::Command;

use floatlock::wire::disk::BLOCK_LEN;
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::stage::{
    Holder, Loop, MIB, PROGRAM, Ran, SHOP, TempFile, area, held, init, lock, slot, write_slot,
};

fn try_init(device: &str, more: &[&str]) -> Ran {
    lock(&[&["init", device], &SHOP[..], more].concat())
}

/// Also with `--force`, which is for areas of our own.
#[track_caller]
fn refused(device: &str, words: &[&str]) {
    for more in [&[][..], &["--force"]] {
        let ran = try_init(device, more);
        ran.said(1, words);
        assert!(
            ran.err.starts_with("floatlock: the lock area on "),
            "{ran:?}"
        );
    }
}

#[test]
fn what_is_no_disk() {
    refused(
        "/no/such/disk",
        &["there is no such device or file", "truncate -s 1M"],
    );
    refused("/tmp", &["neither a block device nor a regular file"]);
    refused("/dev/null", &["neither a block device nor a regular file"]);
    lock(&["show", "/no/such/disk"]).said(1, &["/dev/disk/by-id"]);
}

#[test]
fn what_is_too_small() {
    let file = TempFile::new(MIB - 1);
    refused(
        file.name(),
        &["it has 1048575 bytes, and a lock area takes 1048576"],
    );
    let disk = Loop::new(MIB / 2, &[]);
    refused(&disk.name, &["it has 524288 bytes", "name a larger one"]);
}

/// An anonymous file is one of tmpfs.
#[test]
fn what_is_only_memory() {
    let memory = memfd_create(c"lock", MFdFlags::MFD_CLOEXEC).unwrap();
    let memory = std::fs::File::from(memory);
    memory.set_len(MIB).unwrap();
    let name = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
    refused(&name, &["past the page cache", "tmpfs", "ext4 or XFS"]);
    lock(&["show", &name]).said(1, &["past the page cache"]);
}

#[test]
fn what_is_read_only() {
    let disk = Loop::new(MIB, &["--read-only"]);
    refused(&disk.name, &["it is read-only", "blockdev --getro"]);
    // There is nothing to be seen, but looking is allowed.
    lock(&["show", &disk.name]).said(1, &["block 0: it is all zeroes"]);
}

/// An area on a disk that this node may only read: found by the first write, since the kernel lets
/// it be opened.
#[test]
fn an_area_that_is_read_only() {
    let file = area("100ms");
    write_slot(&file.0, &held(0, 1));
    let disk = Loop::of(file, &["--read-only"]);
    let words = ["it is read-only", "blockdev --getro"];
    lock(&["clear", &disk.name, "lb-a", "--force"]).said(1, &words);
    lock(&["test", &disk.name, "--node", "lb-a"]).said(1, &words);
    lock(&["show", &disk.name]).said(0, &["lb-a  held"]);
}

#[test]
fn what_is_in_use() {
    let disk = Loop::new(MIB, &[]);
    init(&disk.name, &["--lease", "100ms"]);
    let mut claim = OpenOptions::new();
    claim.read(true).custom_flags(libc::O_EXCL);
    let claimed = claim.open(&disk.name).unwrap();
    refused(&disk.name, &["it is in use: mounted, or part of", "lsblk"]);
    lock(&["clear", &disk.name, "--all", "--force"]).said(1, &["it is in use"]);
    lock(&["show", &disk.name]).said(0, &["lb-a  free"]);
    drop(claimed);
    init(&disk.name, &["--force"]);
}

#[test]
fn what_holds_something_else() {
    for (at, mark, name) in [
        (1080, &b"\x53\xef"[..], "an ext2, ext3 or ext4 file system"),
        (510, b"\x55\xaa", "an MBR partition table"),
        (512, b"EFI PART", "a GPT partition table"),
        (
            2 * MIB - 512,
            b"EFI PART",
            "the copy of a GPT partition table",
        ),
        (0, b"XFSB", "an XFS file system"),
        (65_600, b"_BHRfS_M", "a Btrfs file system"),
        (512, b"LABELONE", "an LVM2 physical volume"),
        (4096, b"\xfc\x4e\x2b\xa9", "a RAID member"),
        (0, b"LUKS\xba\xbe", "a LUKS volume"),
        (4086, b"SWAPSPACE2", "swap space"),
        (0, b"SBD_SBD_", "an SBD device of Pacemaker"),
    ] {
        let file = TempFile::new(2 * MIB);
        file.write(at, mark);
        let before = file.bytes();
        refused(file.name(), &[name, "wipefs --all"]);
        assert!(before == file.bytes(), "{name}: it was written to");
    }
}

/// As the tools themselves make them, where they are installed.
#[test]
fn what_other_tools_have_made() {
    for maker in [
        "mkfs.ext4 -q -F",
        "mkfs.xfs -q -f",
        "mkfs.btrfs -q",
        "mkfs.vfat",
        "mkswap",
        "pvcreate -qq -y",
    ] {
        let file = TempFile::new(400 * MIB);
        let mut words = maker.split_whitespace();
        let made = Command::new(words.next().unwrap())
            .args(words)
            .arg(&file.0)
            .output();
        if made.is_ok_and(|made| made.status.success()) {
            refused(file.name(), &[" is on it. If nobody needs that any more"]);
        }
    }
}

#[test]
fn what_is_an_area_already() {
    let file = area("100ms");
    let words = [
        "of cluster shop-front already",
        "floatlock lock show",
        "add --force",
    ];
    try_init(file.name(), &[]).said(1, &words);
    let other = ["--cluster", "other", "--node", "x"];
    let ran = lock(&[&["init", file.name()], &other[..]].concat());
    ran.said(1, &["it belongs to cluster shop-front, and this is other"]);
    // The holder is dead, and whoever says --force knows it.
    write_slot(&file.0, &held(1, 4));
    init(file.name(), &["--force"]);
    assert_eq!(slot(&file.0, "lb-b").unwrap().seq, 0);
    let ran = lock(&[&["init", file.name()], &other[..], &["--force"]].concat());
    ran.said(0, &["for cluster other"]);
}

#[test]
fn what_is_left_of_an_area() {
    let file = area("100ms");
    for block in [0, 1] {
        file.write(block * BLOCK_LEN as u64 + 90, b"damage");
    }
    try_init(file.name(), &[]).said(
        1,
        &["its header is damaged (its checksum is", "add --force"],
    );
    init(file.name(), &["--force"]);
}

#[test]
fn nothing_is_taken_from_an_agent_that_lives() {
    let file = area("10s");
    let _agent = Holder::start(&file.0, 0);
    let alive = [
        "the slot of lb-a changes: its agent lives",
        "systemctl stop floatlock, on host-a",
    ];
    lock(&["clear", file.name(), "lb-a", "--force"]).said(1, &alive);
    lock(&["clear", file.name(), "--all", "--force"]).said(1, &alive);
    try_init(file.name(), &["--force"]).said(1, &alive);
    assert!(slot(&file.0, "lb-a").unwrap().seq > 0);
}

#[test]
fn clear_without_force_says_what_it_would_do() {
    let file = area("100ms");
    write_slot(&file.0, &held(1, 4));
    let before = file.bytes();
    let words = [
        "nothing was written",
        "lb-b would be watched for 202 ms",
        "two nodes answer",
        "--force",
    ];
    lock(&["clear", file.name(), "lb-b"]).said(1, &words);
    lock(&["clear", file.name(), "--all"]).said(1, &words);
    assert!(before == file.bytes());
}

#[test]
fn nodes_and_clusters_that_the_area_does_not_know() {
    let file = area("100ms");
    let known = ["it has no slot for lb-x, only for lb-a lb-b"];
    lock(&["clear", file.name(), "lb-x", "--force"]).said(1, &known);
    lock(&["test", file.name(), "--node", "lb-x"]).said(1, &known);
    let config = config("other", "lb-a");
    let tried = lock(&["test", file.name(), "-c", config.name()]);
    tried.said(1, &["it belongs to cluster shop-front, and this is other"]);
}

fn config(cluster: &str, node: &str) -> TempFile {
    TempFile::with(&format!(
        "[cluster]\nname = {cluster:?}\nnodes = [\"lb-a\", \"lb-b\"]\n[node]\nname = {node:?}\n\
         [[group]]\nname = \"web\"\nid = 51\ninterface = \"eth0\"\naddresses = [\"192.0.2.10/24\"]\n"
    ))
}

#[test]
fn what_was_typed_wrongly_is_2() {
    let file = TempFile::new(MIB);
    let init = |more: &[&str]| lock(&[&["init", file.name()], more].concat());
    let missing = init(&["-c", "/no/such/file"]);
    missing.said(
        2,
        &[
            "cannot read the configuration /no/such/file",
            "--cluster NAME and --node NAME",
        ],
    );
    let lonely = TempFile::with(
        "[heartbeat]\nprotocol = \"vrrp3\"\n[[group]]\nname = \"web\"\nid = 51\ninterface = \"eth0\"\n\
         addresses = [\"192.0.2.10/24\"]\n",
    );
    init(&["-c", lonely.name()]).said(2, &["has no [cluster]", "--cluster NAME"]);
    let bad = config("a b", "lb-a");
    init(&["-c", bad.name()]).said(2, &["is not a name"]);
    init(&["--cluster", "x"]).said(2, &["--node"]);
    init(&["--node", "x"]).said(2, &["--cluster"]);
    init(&["--cluster", "x y", "--node", "a"]).said(2, &["a name in it is not one"]);
    init(&["--cluster", "x", "--node", "a", "--node", "a"]).said(2, &["names a node twice"]);
    let many: Vec<String> = (0..65).map(|n| format!("--node=n{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    init(&[&["--cluster", "x"], &many[..]].concat()).said(2, &["65 nodes; there are 1 to 64"]);
    init(&[&SHOP[..], &["--lease", "1ms"]].concat()).said(2, &["a lease lasts 100ms to 3600s"]);
    lock(&["test", file.name(), "-c", "/no/such/file"]).said(2, &["--node NAME instead"]);
    lock(&["clear", file.name()]).said(2, &["--all"]);
    lock(&["clear", file.name(), "lb-a", "--all"]).said(2, &["cannot be used with"]);
    lock(&[]).said(2, &["Usage"]);
    assert!(file.bytes().iter().all(|byte| *byte == 0));
}

/// Root that may not override what a file's mode says.
#[test]
fn missing_permission_is_4() {
    let file = area("100ms");
    chown(&file.0, Some(65_534), Some(65_534)).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file.0, mode).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.arg("--bounding-set=-dac_override,-dac_read_search");
        let ran = command.args([PROGRAM, "lock"]).args(arguments).output();
        Ran::from(ran.unwrap())
    };
    let name = file.name();
    run(&["show", name]).said(4, &["Permission denied", "run this as root"]);
    run(&["clear", name, "--all", "--force"]).said(4, &["run this as root"]);
    run(&["test", name, "--node", "lb-a"]).said(4, &["run this as root"]);
    let init = [&["init", name], &SHOP[..]].concat();
    run(&init).said(4, &["run this as root"]);
    assert!(Path::new(name).exists());
}

/// Nothing is written to any of them then.
#[test]
fn three_disks_of_which_one_is_of_no_use() {
    let [one, two] = [TempFile::new(MIB), TempFile::new(MIB)];
    let [first, second] = [one.name(), two.name()];
    let small = TempFile::new(MIB - 1);
    let refused = |devices: &[&str], code, words: &[&str]| {
        lock(&[&["init"], devices, &SHOP].concat()).said(code, words);
        for file in [&one, &two] {
            assert!(file.bytes().iter().all(|byte| *byte == 0), "{devices:?}");
        }
    };
    refused(
        &[first, second, small.name()],
        1,
        &["a lock area takes 1048576"],
    );
    refused(
        &[first, second, first],
        1,
        &["it is the same disk as", "do not fail together"],
    );
    refused(&[first, second], 2, &["on one disk or on three"]);
    refused(
        &[first, second, "/no/such/disk"],
        1,
        &["there is no such device"],
    );
    let disk = Loop::new(MIB, &[]);
    refused(
        &[first, &disk.name, &disk.name],
        1,
        &["it is the same disk as"],
    );
    let taken = area("1s");
    refused(&[first, taken.name(), second], 1, &["already"]);
    let four = [first, second, taken.name(), small.name()];
    refused(&four, 2, &["unexpected"]);
}
