//! What do the tests of the commands play on? Files, loop devices, and agents that only write.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use floatlock::core::lease::Epoch;
use floatlock::disk::{Access, Area, Device};
use floatlock::wire::disk::{BLOCK_LEN, Host, Slot, State, slot_at};
use floatlock::wire::native::BootId;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_floatlock");
pub(crate) const MIB: u64 = 1 << 20;

/// What a command ended with.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// It ended with this code and said all of this.
    #[track_caller]
    pub(crate) fn said(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        let all = format!("{}{}", self.out, self.err);
        for words in words {
            assert!(all.contains(words), "{words:?} is not in {self:#?}");
        }
    }
}

/// `floatlock lock ...`
pub(crate) fn lock(arguments: &[&str]) -> Ran {
    let mut command = Command::new(PROGRAM);
    command.arg("lock").args(arguments).output().unwrap().into()
}

/// A file that goes with this.
pub(crate) struct TempFile(pub(crate) PathBuf);

impl TempFile {
    /// Of so many zeroes.
    pub(crate) fn new(len: u64) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lock-{}-{number}", std::process::id());
        let file = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        File::create(&file.0).unwrap().set_len(len).unwrap();
        file
    }

    pub(crate) fn with(text: &str) -> Self {
        let file = Self::new(0);
        fs::write(&file.0, text).unwrap();
        file
    }

    pub(crate) fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs::read(&self.0).unwrap()
    }

    /// Writes there, whatever it breaks.
    pub(crate) fn write(&self, at: u64, bytes: &[u8]) {
        let file = OpenOptions::new().write(true).open(&self.0).unwrap();
        file.write_all_at(bytes, at).unwrap();
        file.sync_all().unwrap();
    }

    pub(crate) fn write_block(&self, at: u64, bytes: &[u8]) {
        self.write(at * BLOCK_LEN as u64, bytes);
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // Gone already: as it should be.
        let _ = fs::remove_file(&self.0);
    }
}

/// A loop device that goes with this.
pub(crate) struct Loop {
    pub(crate) name: String,
    _file: TempFile,
}

impl Loop {
    pub(crate) fn new(len: u64, options: &[&str]) -> Self {
        Self::of(TempFile::new(len), options)
    }

    /// On this file.
    pub(crate) fn of(file: TempFile, options: &[&str]) -> Self {
        let mut losetup = Command::new("losetup");
        losetup.args(["--find", "--show"]).args(options);
        let output = losetup.arg(&file.0).output().expect("losetup");
        let ran = Ran::from(output);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let name = ran.out.trim().to_owned();
        Loop { name, _file: file }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // If it fails, `losetup` shows what is left.
        let _ = Command::new("losetup").args(["-d", &self.name]).status();
    }
}

/// `--cluster shop-front --node lb-a --node lb-b`
pub(crate) const SHOP: [&str; 6] = [
    "--cluster",
    "shop-front",
    "--node",
    "lb-b",
    "--node",
    "lb-a",
];

/// Makes an area of two nodes.
#[track_caller]
pub(crate) fn init(device: &str, more: &[&str]) -> Ran {
    let ran = lock(&[&["init", device], &SHOP[..], more].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// Makes an area of two nodes on all of these.
pub(crate) fn init_all(files: &[TempFile], more: &[&str]) -> Ran {
    let names: Vec<&str> = files.iter().map(TempFile::name).collect();
    lock(&[&["init"], &names[..], &SHOP, more].concat())
}

/// A file with an area of two nodes.
pub(crate) fn area(lease: &str) -> TempFile {
    let file = TempFile::new(MIB);
    init(file.name(), &["--lease", lease]);
    file
}

/// What a holder of that number writes.
pub(crate) fn held(node: u8, seq: u64) -> Slot {
    Slot {
        boot_id: BootId([7; 16]),
        intent: Epoch::from_number(5 * 64 + u64::from(node)),
        owned: Epoch::from_number(5 * 64 + u64::from(node)),
        seq,
        state: State::Held,
        host: Host::new("host-a"),
        ..Slot::clean(node)
    }
}

/// Writes what a node would write, once.
pub(crate) fn write_slot(device: &Path, slot: &Slot) {
    let device = Device::open(device, Access::Write).unwrap();
    let area = Area::read(&device).unwrap().header.area;
    let block = slot.emit(area).unwrap();
    device.write(slot_at(slot.node), &block).unwrap();
}

/// A slot as it is now.
pub(crate) fn slot(device: &Path, name: &str) -> Option<Slot> {
    let device = Device::open(device, Access::Read).unwrap();
    let area = Area::read(&device).unwrap();
    let member = area.member(name).unwrap();
    area.look(&device, member).slot().copied()
}

/// Renews the slot of a node, as fast as it can, until this is dropped.
pub(crate) struct Holder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Holder {
    pub(crate) fn start(device: &Path, node: u8) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, device) = (Arc::clone(&stop), device.to_owned());
        let (began, begun) = std::sync::mpsc::sync_channel(1);
        let renew = move || {
            let device = Device::open(&device, Access::Write).unwrap();
            let area = Area::read(&device).unwrap().header.area;
            for seq in 1.. {
                if told.load(Ordering::Relaxed) {
                    return;
                }
                let block = held(node, seq).emit(area).unwrap();
                device.write(slot_at(node), &block).unwrap();
                // Only the first time does somebody wait for it.
                let _ = began.try_send(());
            }
        };
        let thread = Some(std::thread::spawn(renew));
        // What it holds is held when the test goes on.
        begun.recv().unwrap();
        Self { stop, thread }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A panic in it would have failed the test otherwise too.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
