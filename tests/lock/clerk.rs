//! Does a clerk read and write for the agent, alone on its slot, and can it hang or die without anybody
//! waiting for it?

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use floatlock::disk::clerk::{Answer, Ask, Clerk};
use floatlock::lab::clock;
use floatlock::wire::disk::{AreaId, Block, Header, Slot, View};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{Loop, MIB, PROGRAM, TempFile, area, held, init};

/// Longer than anything here takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

fn start(device: &Path, node: &str) -> Clerk {
    Clerk::start(Path::new(PROGRAM), device, node).unwrap()
}

/// The next thing that it says, or that it is gone.
fn next(clerk: &Clerk) -> Result<Answer, std::io::ErrorKind> {
    let end = clock::now() + PATIENCE;
    while clock::now() < end {
        let mut fds = [PollFd::new(clerk.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(100u8)).unwrap();
        match clerk.answer() {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            Err(error) => return Err(error.kind()),
        }
    }
    panic!("it says nothing");
}

fn ready(clerk: &Clerk) -> (u8, Header) {
    match next(clerk) {
        Ok(Answer::Ready(number, header)) => (number, Header::decode(&header).unwrap()),
        other => panic!("{other:?}"),
    }
}

/// What all slots say.
fn read(clerk: &Clerk, op: u64, area: AreaId) -> Vec<(u8, View)> {
    clerk.ask(&Ask::Read(op)).unwrap();
    let mut slots = Vec::new();
    loop {
        match next(clerk) {
            Ok(Answer::Slot(of, number, block)) if of == op => {
                slots.push((number, View::of(&block, area, number)));
            }
            Ok(Answer::Read(of)) if of == op => return slots,
            other => panic!("{other:?}"),
        }
    }
}

fn encoded(slot: &Slot, area: AreaId) -> Box<Block> {
    Box::new(slot.emit(area).unwrap())
}

#[test]
fn what_one_clerk_writes_the_other_ones_read() {
    let file = area("2s");
    let path = Path::new(file.name());
    let (one, two) = (start(path, "lb-a"), start(path, "lb-b"));
    let ((me, header), (other, same)) = (ready(&one), ready(&two));
    assert_eq!((me == other, header == same), (false, true));
    let nodes: Vec<u8> = header.members.iter().map(|member| member.number).collect();
    let clean = |number: u8| (number, View::Known(Slot::clean(number)));
    let all: Vec<_> = nodes.iter().copied().map(clean).collect();
    assert_eq!(read(&two, 1, header.area), all);

    let slot = held(me, 5);
    one.ask(&Ask::Write(9, encoded(&slot, header.area)))
        .unwrap();
    assert_eq!(next(&one), Ok(Answer::Written(9)));
    let seen = read(&two, 2, header.area);
    assert!(seen.contains(&(me, View::Known(slot))), "{seen:?}");
    assert!(
        seen.contains(&clean(other)),
        "its own is as it was: {seen:?}"
    );
}

#[test]
fn a_clerk_does_not_touch_a_slot_before_the_one_before_it_is_gone() {
    let file = area("2s");
    let path = Path::new(file.name());
    let first = start(path, "lb-a");
    ready(&first);
    // It hangs, as in a write that does not come back.
    let process = Pid::from_raw(first.id().unwrap() as i32);
    kill(process, Signal::SIGSTOP).unwrap();
    let second = start(path, "lb-a");
    assert_eq!(next(&second), Ok(Answer::Waits));
    let other = start(path, "lb-b");
    ready(&other);
    first.ask(&Ask::Read(1)).unwrap();
    assert_eq!(second.answer().unwrap(), None, "the first one is there");
    drop(first);
    ready(&second);
}

#[test]
fn nobody_waits_for_a_clerk_that_hangs() {
    let file = area("2s");
    let clerk = start(Path::new(file.name()), "lb-a");
    let (me, header) = ready(&clerk);
    let process = Pid::from_raw(clerk.id().unwrap() as i32);
    kill(process, Signal::SIGSTOP).unwrap();
    let write = Ask::Write(1, encoded(&held(me, 1), header.area));
    let full = std::iter::repeat_with(|| clerk.ask(&write)).find_map(Result::err);
    assert_eq!(full.unwrap().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(clerk.answer().unwrap(), None);
    drop(clerk);
    let gone = || kill(process, None).is_err();
    let end = clock::now() + PATIENCE;
    while !gone() && clock::now() < end {
        clock::pause(Duration::from_millis(5));
    }
    assert!(gone(), "killed and reaped");
}

#[test]
fn a_clerk_that_is_killed_is_noticed() {
    let file = area("2s");
    let clerk = start(Path::new(file.name()), "lb-a");
    ready(&clerk);
    kill(Pid::from_raw(clerk.id().unwrap() as i32), Signal::SIGKILL).unwrap();
    assert_eq!(next(&clerk), Err(std::io::ErrorKind::UnexpectedEof));
    let refused = clerk.ask(&Ask::Read(1)).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn a_device_that_cannot_be_used_is_refused_with_the_reason() {
    let blank = TempFile::new(MIB);
    let good = area("2s");
    for (device, node, words) in [
        ("/nowhere", "lb-a", "no such device"),
        (blank.name(), "lb-a", "lock area"),
        (good.name(), "stranger", "stranger"),
    ] {
        let clerk = start(Path::new(device), node);
        match next(&clerk) {
            Ok(Answer::Refused(why)) => assert!(why.contains(words), "{why}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(next(&clerk), Err(std::io::ErrorKind::UnexpectedEof));
    }
}

#[test]
fn a_medium_that_says_no_is_an_answer_and_the_clerk_goes_on() {
    let file = area("2s");
    let path = Path::new(file.name());
    let clerk = start(path, "lb-a");
    let (me, header) = ready(&clerk);
    let open = || OpenOptions::new().write(true).open(path).unwrap();
    let whole = std::fs::read(path).unwrap();
    open().set_len(4096).unwrap();
    clerk.ask(&Ask::Read(1)).unwrap();
    assert!(matches!(next(&clerk), Ok(Answer::Failed(1, _))));
    std::fs::write(path, whole).unwrap();
    File::open(path).unwrap().sync_all().unwrap();
    let slots = read(&clerk, 2, header.area);
    assert!(slots.contains(&(me, View::Known(Slot::clean(me)))));
}

/// fsfreeze: the write hangs in the kernel, where SIGKILL does not end it.
#[test]
fn a_write_that_hangs_in_the_kernel_keeps_its_slot_until_it_has_landed() {
    let disk = Loop::new(64 * MIB, &[]);
    let mount = Mount::new(&disk.name);
    let inner = mount.path.join("area");
    File::create(&inner).unwrap().set_len(MIB).unwrap();
    init(inner.to_str().unwrap(), &[]);

    let first = start(&inner, "lb-a");
    let (me, header) = ready(&first);
    // Blocks that were never written: for these the frozen file system is asked.
    mount.freeze(true);
    first
        .ask(&Ask::Write(1, encoded(&held(me, 7), header.area)))
        .unwrap();
    let process = first.id().unwrap();
    mount.until_hangs(process);
    drop(first);
    let second = start(&inner, "lb-a");
    assert_eq!(next(&second), Ok(Answer::Waits), "it is killed, and there");
    mount.freeze(false);
    ready(&second);
    let slots = read(&second, 1, header.area);
    let landed = (me, View::Known(held(me, 7)));
    assert!(
        slots.contains(&landed),
        "what was written late is seen: {slots:?}"
    );
}

/// A file system of the test's own.
struct Mount {
    path: std::path::PathBuf,
}

impl Mount {
    fn new(device: &str) -> Self {
        let path = std::env::temp_dir().join(format!("floatlock-clerk-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        run("mkfs.ext4", &["-q", "-F", device]);
        run("mount", &[device, path.to_str().unwrap()]);
        Self { path }
    }

    fn freeze(&self, on: bool) {
        let option = if on { "--freeze" } else { "--unfreeze" };
        run("fsfreeze", &[option, self.path.to_str().unwrap()]);
    }

    /// Until the process waits in the kernel where nothing wakes it.
    fn until_hangs(&self, process: u32) {
        let end = clock::now() + PATIENCE;
        while clock::now() < end {
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
            if stat
                .rsplit(") ")
                .next()
                .is_some_and(|rest| rest.starts_with('D'))
            {
                return;
            }
            clock::pause(Duration::from_millis(5));
        }
        panic!("it does not hang");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let path = self.path.to_str().unwrap();
        // Frozen only if the test failed.
        let _ = Command::new("fsfreeze").args(["--unfreeze", path]).output();
        let _ = Command::new("umount").args(["--lazy", path]).status();
        let _ = std::fs::remove_dir(path);
    }
}

fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).status().unwrap();
    assert!(done.success(), "{program} {arguments:?}");
}
