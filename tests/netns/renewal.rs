//! What if an agent is stopped exactly between its heartbeat and the renewal of its gate?

use std::process::Command;
use std::time::Duration;

use floatlock::lab::clock;
use nix::sys::signal::Signal;

use crate::agent::Agent;
use crate::config::{Config, Group};
use crate::gate::{VIP, pair, staying};
use crate::site::{Site, answers, await_address, lateness};

const VIPS: [&str; 2] = [VIP, "fd77::100"];
/// Longer than any of the leases here.
const LONG: Duration = Duration::from_millis(1500);
/// A run in which the client was late is played again, so often at most.
const REPEATS: usize = 10;

/// Lets the heartbeat thread run until it is about to send, with the lease checked and nothing renewed;
/// sends SIGSTOP to the whole agent, and lets go. So the frames leave, and the next instruction, before the
/// gate is renewed, is the one at which it goes on.
const STOP: &str = "
import ctypes, os, signal, struct, sys
pid = int(sys.argv[1])
tasks = f'/proc/{pid}/task'
tid = next(int(t) for t in os.listdir(tasks) if open(f'{tasks}/{t}/comm').read().strip() == 'heartbeat')
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
        if info.raw[0] == ENTRY and struct.unpack_from('Q', info.raw, 24)[0] == SENDMMSG:
            break
    ptrace(SYSCALL)
os.kill(pid, signal.SIGSTOP)
ptrace(DETACH)
print('stopped')
";

fn stop_before_its_renewal(agent: &Agent) {
    let mut python = Command::new("python3");
    let ran = python
        .args(["-c", STOP, &agent.process.pid().to_string()])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "stopped\n", "{ran:?}");
}

/// Its last heartbeat has left, and counts for the others; its gate ends by what was renewed before it.
fn demand_silence(pair: impl Fn(&Site) -> [Agent; 2]) {
    let is_good = |_: &usize| {
        let site = Site::keyed();
        was_silent(&site, pair(&site))
    };
    let good = (0..REPEATS).find(is_good);
    assert!(good.is_some(), "the client was late in every run");
}

/// False where the client was late: what it has seen then says nothing.
fn was_silent(site: &Site, [a, b]: [Agent; 2]) -> bool {
    let watch = site.watch_closely(&VIPS, &[&a.host, &b.host]);
    answers(&watch, "lb-a", VIP, clock::now());
    let mark = a.mark();
    stop_before_its_renewal(&a);
    let stopped = clock::now();
    answers(&watch, "lb-b", VIP, stopped);
    answers(&watch, "lb-b", VIP, stopped + LONG);
    let continued = clock::now();
    a.signal(Signal::SIGCONT);
    a.becomes_after(mark, "web", "RELEASING");
    await_address(&a.host, VIP, false);
    answers(&watch, "lb-b", VIP, clock::now() + LONG / 4);
    let ended = clock::now();
    let seen = watch.stop();
    let is_good = lateness(&seen, stopped, ended).is_none();
    for vip in VIPS.map(|vip| vip.parse().unwrap()) {
        let after = seen.replies_for(vip, continued);
        assert_eq!(after.filter(|reply| &*reply.from == "lb-a").count(), 0);
        let two = seen.rounds_of_two(vip);
        assert!(!is_good || two == 0, "{two} rounds of two for {vip}");
    }
    is_good
}

/// One advert each: of several, those after the first leave when the agent goes on. Nothing in them says that
/// they are old, and the new MASTER gives way to a better priority.
fn one_family(priority: u8) -> Group {
    Group::web(priority).key("preempt", "false")
}

fn under_vrrp(gate: &str) {
    demand_silence(|site| pair(site, one_family, gate));
}

fn of_a_cluster(gate: &str) {
    demand_silence(|site| {
        site.native_pair_of(|node, priority| {
            Config::native(node, &[staying(priority)]).fencing(&format!("gate = \"{gate}\"\n"))
        })
    });
}

#[test]
fn under_vrrp_a_bpf_gate_is_not_renewed_by_what_comes_too_late() {
    under_vrrp("bpf");
}

#[test]
fn under_vrrp_an_nftables_gate_is_not_renewed_by_what_comes_too_late() {
    under_vrrp("nftables");
}

#[test]
fn of_a_cluster_a_bpf_gate_is_not_renewed_by_what_comes_too_late() {
    of_a_cluster("bpf");
}

#[test]
fn of_a_cluster_an_nftables_gate_is_not_renewed_by_what_comes_too_late() {
    of_a_cluster("nftables");
}
