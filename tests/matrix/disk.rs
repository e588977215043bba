//! A shared disk that can hang, as a loop device.

use std::cell::RefCell;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use floatlock::disk::{Access, Area, Device};
use floatlock::lab::Host;
use floatlock::wire::disk::{BLOCK_LEN, slot_at};

use crate::agent::PROGRAM;

/// With a lock area of `lb-a` and `lb-b`; goes with this.
pub(crate) struct Disk {
    pub(crate) device: String,
    /// Other devices of the same file.
    others: RefCell<Vec<String>>,
    file: PathBuf,
}

impl Disk {
    pub(crate) fn new(lease: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("matrix-{}-{number}", std::process::id());
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // No file with holes: each first write would wait for the file system.
        fs::write(&file, vec![0; 1 << 20]).unwrap();
        let disk = Self {
            device: device_of(&file),
            others: RefCell::default(),
            file,
        };
        // A test that was killed may have left it to the next one.
        disk.hang(false);
        let area = ["lock", "init", &disk.device, "--cluster", "lab", "--lease"];
        let nodes = [lease, "--node", "lb-a", "--node", "lb-b"];
        run(PROGRAM, &[&area[..], &nodes[..]].concat());
        disk
    }

    /// Under the same path that host has it through a device of its own, as another machine has: one device
    /// serves but one agent of a node.
    pub(crate) fn attach_to(&self, host: &Host) {
        let device = device_of(&self.file);
        let mount = format!("mount --bind {device} {}", self.device);
        self.others.borrow_mut().push(device);
        host.sh(&mount).unwrap();
    }

    /// Every read and write of it hangs in the kernel, or none any more.
    pub(crate) fn hang(&self, on: bool) {
        if !can_hang() {
            assert!(!on, "needs blkio, control groups of version 1");
            return;
        }
        let device = fs::metadata(&self.device).unwrap().rdev();
        let rate = u32::from(on);
        let limit = format!("{}:{} {rate}", libc::major(device), libc::minor(device));
        for file in ["read_bps_device", "write_bps_device"] {
            let path = throttle().join(format!("blkio.throttle.{file}"));
            fs::write(&path, &limit).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        }
    }

    /// Half of the slot of that node is something else.
    pub(crate) fn tear(&self, node: &str) {
        let device = Device::open(Path::new(&self.device), Access::Read).unwrap();
        let area = Area::read(&device).unwrap();
        let member = area.member(node).unwrap();
        let at = slot_at(member.number) * BLOCK_LEN as u64;
        let file = OpenOptions::new().write(true).open(&self.device).unwrap();
        file.write_all_at(&[0x5A; BLOCK_LEN / 2], at).unwrap();
        file.sync_all().unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.hang(false);
        // If it fails, `losetup` shows what is left.
        for device in self.others.get_mut().iter().chain([&self.device]) {
            let _ = Command::new("losetup").args(["-d", device]).status();
        }
        let _ = fs::remove_file(&self.file);
    }
}

/// Of the control group (version 1) that the agents are in.
fn throttle() -> PathBuf {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
    let of_disks = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let is_it = controllers.split(',').any(|one| one == "blkio");
        is_it.then(|| path.trim_start_matches('/').to_owned())
    };
    let path = groups.lines().find_map(of_disks).unwrap_or_default();
    Path::new("/sys/fs/cgroup/blkio").join(path)
}

/// Whether a disk can be made to hang here.
pub(crate) fn can_hang() -> bool {
    throttle().join("blkio.throttle.write_bps_device").exists()
}

fn device_of(file: &Path) -> String {
    run("losetup", &["--find", "--show", file.to_str().unwrap()])
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
