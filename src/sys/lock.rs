//! Is another agent at work in this network namespace? One name there that only one can hold.
//!
//! An abstract Unix socket belongs to the network namespace, as the addresses do, and vanishes
//! with the process, however that ends. Abstract names have no owner: another user may take it
//! first, and then the agent refuses to start and says who that is.

use std::io;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, UnixCredentials, connect, getsockopt, socket,
};

const NAME: &[u8] = b"floatlock/agent";

/// The name, held until this is dropped.
#[derive(Debug)]
pub struct Held {
    _listener: UnixListener,
}

/// Why the name could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody holds it.
    #[error("another agent runs in this network namespace{}", holder(*.pid, *.uid))]
    Busy {
        /// Their process id, where it is visible from here.
        pid: Option<i32>,
        /// Their user: if not root and not ours, somebody squats on the name.
        uid: Option<u32>,
    },
    /// The system refused for another reason.
    #[error("cannot look for another agent in this network namespace: {0}")]
    System(#[from] io::Error),
}

/// Takes the name for this process.
///
/// # Errors
/// [`LockError::Busy`] where somebody has it.
pub fn acquire() -> Result<Held, LockError> {
    let name = SocketAddr::from_abstract_name(NAME)?;
    match UnixListener::bind_addr(&name) {
        Ok(listener) => Ok(Held {
            _listener: listener,
        }),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(busy()),
        Err(error) => Err(error.into()),
    }
}

fn busy() -> LockError {
    // Not told: the holder ended meanwhile, or its queue is full. Busy it was in any case.
    let peer = peer().ok();
    LockError::Busy {
        pid: peer.map(|p| p.pid()).filter(|pid| *pid != 0),
        uid: peer.map(|p| p.uid()),
    }
}

/// Who holds the name. Does not block, since nobody accepts.
fn peer() -> nix::Result<UnixCredentials> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let stream = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(stream.as_raw_fd(), &UnixAddr::new_abstract(NAME)?)?;
    getsockopt(&stream, PeerCredentials)
}

fn holder(pid: Option<i32>, uid: Option<u32>) -> String {
    match (pid, uid) {
        (Some(pid), Some(uid)) => format!(": process {pid} of user {uid} holds @floatlock/agent"),
        (None, Some(uid)) => format!(
            ": a process of user {uid} that is not visible from here holds @floatlock/agent"
        ),
        _ => ": somebody holds @floatlock/agent".to_owned(),
    }
}
