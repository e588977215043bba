//! An agent of which a thread stands still, the one of heartbeats exactly when it sends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use floatlock::lab::Process;

/// Lets the heartbeat thread run until it is about to send, with the lease checked and nothing renewed.
/// `pass`: sends SIGSTOP to the whole agent, and lets go, so that the frames leave, and the next instruction, before
/// the gate is renewed, is the one at which it goes on. `hold`: the same, but it stays in that system call, before
/// its frames leave, until this program may read a line. `hang`: only this thread does. With the name of another
/// thread, that one is held at whatever it asks of the kernel next.
const STOP: &str = "
import ctypes, os, signal, struct, sys
pid, name = int(sys.argv[1]), (sys.argv[3:] or ['heartbeat'])[0]
tasks = f'/proc/{pid}/task'
tid = next(int(t) for t in os.listdir(tasks) if open(f'{tasks}/{t}/comm').read().strip() == name)
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_void_p]
SEIZE, INTERRUPT, SYSCALL, DETACH, INFO = 0x4206, 0x4207, 24, 17, 0x420e
TRACESYSGOOD, WALL, ENTRY = 1, 0x40000000, 1
SENDMMSG = {'x86_64': 307, 'aarch64': 269}[os.uname().machine]
def ptrace(request, address=None, data=None):
    if libc.ptrace(request, tid, address, data) < 0:
        sys.exit(f'ptrace {request:#x}: {os.strerror(ctypes.get_errno())}')
ptrace(SEIZE, None, TRACESYSGOOD)
ptrace(INTERRUPT)
info = ctypes.create_string_buffer(88)
while True:
    _, status = os.waitpid(tid, WALL)
    if os.WIFSTOPPED(status) and os.WSTOPSIG(status) == signal.SIGTRAP | 0x80:
        ptrace(INFO, 88, ctypes.addressof(info))
        call = struct.unpack_from('Q', info.raw, 24)[0]
        if info.raw[0] == ENTRY and (name != 'heartbeat' or call == SENDMMSG):
            break
    ptrace(SYSCALL)
if sys.argv[2] != 'hang':
    os.kill(pid, signal.SIGSTOP)
if sys.argv[2] != 'pass':
    print('stopped', flush=True)
    sys.stdin.readline()
    ptrace(DETACH)
else:
    ptrace(DETACH)
    print('stopped')
";

/// Its frames have left, and nothing of the agent runs until SIGCONT.
pub(crate) fn stop_before_its_renewal(agent: &Process) {
    let mut python = Command::new("python3");
    let ran = python
        .args(["-c", STOP, &agent.pid().to_string(), "pass"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "stopped\n", "{ran:?}");
}

/// An agent of which a thread is about to ask something of the kernel, the one of heartbeats to send, and does so when
/// this is dropped: not before.
pub(crate) struct Held(Child);

impl Held {
    /// All of it is stopped, until SIGCONT.
    pub(crate) fn stopped(agent: &Process) -> Self {
        Self::by(&["hold"], agent)
    }

    /// Its other threads go on.
    pub(crate) fn hanging(agent: &Process) -> Self {
        Self::by(&["hang"], agent)
    }

    /// The thread of this name is held, wherever it is; all others go on.
    pub(crate) fn hanging_at(thread: &str, agent: &Process) -> Self {
        Self::by(&["hang", thread], agent)
    }

    fn by(how: &[&str], agent: &Process) -> Self {
        let mut python = Command::new("python3");
        python.args(["-c", STOP, &agent.pid().to_string()]);
        python.args(how);
        python.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut held = Self(python.spawn().unwrap());
        let mut said = String::new();
        let stdout = held.0.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut said).unwrap();
        assert_eq!(said, "stopped\n");
        held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It ends by itself, now.
        let _ = self.0.wait();
    }
}
