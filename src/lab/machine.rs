//! What is a running host? A thread in its own namespaces, and an init that its programs hang on.
//!
//! ```text
//!   thread "lb-a"            network, mounts (/run, /run/lab, /sys), host name, cgroup; runs closures
//!     +- thread "lb-a run"   makes processes in a process namespace of their own
//!          +- init           `cat` on a pipe from here: ends when this process ends, in any way
//!          +- programs       the kernel kills them when init ends
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::sethostname;

use super::fabric::Fabric;
use super::process::{self, Process};
use super::worker::Worker;
use super::{LabError, tool};

/// What outlives a loss of power on a host, as its programs see it.
pub(super) const DISK: &str = "/run/lab";

/// A host that is switched on.
#[derive(Debug)]
pub(super) struct Machine {
    init: Mutex<Child>,
    programs: Mutex<Vec<Arc<Mutex<Child>>>>,
    // After `init`, so that a thread's end never waits for a program.
    run: Worker,
    home: Worker,
    /// Of its programs, where there are such things.
    cgroup: Option<PathBuf>,
}

impl Machine {
    /// Switches on: fresh namespaces, the same disk.
    pub(super) fn boot(name: &str, fabric: &Fabric) -> Result<Self, LabError> {
        let host = name.to_owned();
        let home = fabric.worker_inside(name, move || enter(&host))?;
        let title = format!("{name} run");
        let run = home.run(move || Worker::start(&title, enter_processes))??;
        let init = run.run(start_init)??;
        let host = name.to_owned();
        let cgroup = home.run(move || own_cgroup(&host).ok())?;
        Ok(Self {
            init: Mutex::new(init),
            programs: Mutex::default(),
            run,
            home,
            cgroup,
        })
    }

    /// Runs code on the host.
    pub(super) fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, LabError> {
        self.home.run(job)
    }

    /// Starts a program on the host.
    pub(super) fn start(&self, name: String, command: Command) -> Result<Process, LabError> {
        let cgroup = self.cgroup.clone();
        let start = move || {
            let started = process::start(command)?;
            if let Some(cgroup) = cgroup {
                // It may have ended already.
                let _ = fs::write(cgroup.join("cgroup.procs"), started.pid().to_string());
            }
            Ok(started)
        };
        let started = self.run.run(start)?;
        let started = started.map_err(|source| LabError::Start {
            program: name.clone(),
            source,
        })?;
        let process = Process::follow(&name, started)?;
        let mut programs = lock(&self.programs);
        programs.retain(|child| !matches!(lock(child).try_wait(), Ok(Some(_))));
        programs.push(process.child());
        Ok(process)
    }

    /// Kills every process of the host at once and waits until all are gone.
    pub(super) fn halt(&self) {
        let mut init = lock(&self.init);
        // It may be dead already; what counts is that it is dead afterwards.
        let _ = init.kill();
        // Init's end waits for the others, and those are ours to reap.
        for child in lock(&self.programs).drain(..) {
            let _ = lock(&child).wait();
        }
        let _ = init.wait();
        drop(init);
        if let Some(cgroup) = self.cgroup.clone() {
            // The laboratory may be going.
            let _ = self.home.run(move || remove(&cgroup));
        }
    }

    /// The processes of the host, its init excepted, by their numbers in the laboratory.
    pub(super) fn processes(&self) -> io::Result<Vec<u32>> {
        let init = lock(&self.init).id();
        let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid"));
        let own = namespace(init)?;
        let names =
            fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let pids = names.filter_map(|name| name.parse().ok());
        // One that ends meanwhile has no namespace any more, and is none of the host's.
        Ok(pids
            .filter(|&pid| pid != init && namespace(pid).is_ok_and(|n| n == own))
            .collect())
    }

    /// The network namespace, as `ip link set netns` takes it.
    pub(super) fn net_namespace(&self) -> String {
        self.home.net_namespace()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.halt();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn enter(name: &str) -> Result<(), LabError> {
    let own = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS;
    unshare(own).map_err(LabError::privileged("making namespaces for a host"))?;
    sethostname(name).map_err(LabError::io(format!("naming the host {name}")))?;
    mount_own_directories(name).map_err(LabError::io(format!("mounting for {name}")))?;
    set_up_network().map_err(LabError::io(format!("the network settings of {name}")))?;
    tool::ip(&["link set lo up".to_owned()])
}

fn enter_processes() -> Result<(), LabError> {
    // For children only: a thread with this behind it cannot start threads any more, hence the
    // two threads of a host.
    unshare(CloneFlags::CLONE_NEWPID).map_err(LabError::privileged("making a process namespace"))
}

/// A fresh `/run` with the host's disk in it, and a `/sys` that shows the host's interfaces.
fn mount_own_directories(name: &str) -> io::Result<()> {
    let (disk, run) = (format!("/run/lab/{name}"), format!("/run/boot/{name}"));
    fs::create_dir_all(&disk)?;
    fs::create_dir_all(&run)?;
    mount_new("tmpfs", &run)?;
    // As everywhere: nobody else puts programs there.
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755))?;
    let inside = format!("{run}/lab");
    fs::create_dir(&inside)?;
    bind(&disk, &inside)?;
    bind(&run, "/run")?;
    mount_new("sysfs", "/sys")?;
    // Not every kernel has it; then nothing can be pinned on the host.
    let _ = mount_new("bpf", "/sys/fs/bpf");
    Ok(())
}

/// A control group of version 2 for the programs of a host, with the mount to see it. Not every kernel has it.
fn own_cgroup(name: &str) -> io::Result<PathBuf> {
    const MOUNT: &str = "/sys/fs/cgroup";
    static COUNT: AtomicU64 = AtomicU64::new(0);
    mount_new("cgroup2", MOUNT)?;
    sweep(Path::new(MOUNT));
    let (process, number) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = Path::new(MOUNT).join(format!("floatlock-lab-{process}-{number}-{name}"));
    fs::create_dir(&path)?;
    Ok(path)
}

/// What laboratories have left behind that were killed.
fn sweep(mount: &Path) {
    for entry in fs::read_dir(mount).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let rest = name.strip_prefix("floatlock-lab-");
        let process = rest.and_then(|rest| rest.split('-').next());
        let is_dead = |process: &str| !Path::new("/proc").join(process).exists();
        if process.is_some_and(is_dead) {
            remove(&entry.path());
        }
    }
}

/// With what the programs have made in there; all of them are dead.
fn remove(cgroup: &Path) {
    let inside = fs::read_dir(cgroup).into_iter().flatten().flatten();
    for entry in inside.filter(|entry| entry.path().is_dir()) {
        let _ = fs::remove_dir(entry.path());
    }
    let _ = fs::remove_dir(cgroup);
}

/// Mounts a new file system of that type.
pub(super) fn mount_new(kind: &str, on: &str) -> io::Result<()> {
    mount(Some(kind), on, Some(kind), MsFlags::empty(), None::<&str>).map_err(io::Error::from)
}

fn bind(from: &str, to: &str) -> io::Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(from), to, None::<&str>, flags, None::<&str>).map_err(io::Error::from)
}

/// Addresses are usable at once, and nothing else on the wire configures the host.
fn set_up_network() -> io::Result<()> {
    if !Path::new("/proc/sys/net/ipv6").exists() {
        return Ok(());
    }
    for place in ["all", "default"] {
        for setting in ["accept_dad", "accept_ra", "router_solicitations"] {
            fs::write(format!("/proc/sys/net/ipv6/conf/{place}/{setting}"), "0")?;
        }
    }
    Ok(())
}

fn start_init() -> Result<Child, LabError> {
    use std::os::unix::process::CommandExt;
    // With SIGCHLD ignored the kernel reaps what is orphaned on the host. (A shell's `trap` does not ignore it.)
    Command::new("env")
        .args(["--ignore-signal=CHLD", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(LabError::io("starting the init of a host"))
}
