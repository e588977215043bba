//! Who reads and writes the disk for the agent? A process of its own for each device.
//!
//! A read or write may hang in the kernel, where no signal ends it and no thread can be taken back.
//! So it is done by a clerk: the agent asks, and hears the answer when there is one; who hangs is killed
//! and replaced. A new clerk does not touch the slot before the old one is gone.

mod message;
mod serve;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};

pub use message::{Answer, Ask};
pub use serve::serve;

use message::LEN;

/// The command of a clerk, which nobody types.
pub const COMMAND: &str = "disk-clerk";

/// A process that reads and writes one lock area for the agent, on behalf of one node.
///
/// Nothing here waits for it.
#[derive(Debug)]
pub struct Clerk {
    /// Until it is reaped.
    child: Option<Child>,
    socket: OwnedFd,
}

impl Clerk {
    /// Starts one: `program` is this program, `me` the node whose slot it writes.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(program: &Path, device: &Path, me: &str) -> io::Result<Self> {
        let (socket, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        let arguments: [&OsStr; 3] = [COMMAND.as_ref(), device.as_ref(), me.as_ref()];
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()?;
        let child = Some(child);
        Ok(Self { child, socket })
    }

    /// Asks; one question is answered after the other.
    ///
    /// # Errors
    /// It is gone, or so many questions wait that there is no room for this one (`WouldBlock`).
    pub fn ask(&self, ask: &Ask) -> io::Result<()> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        send(self.socket.as_raw_fd(), &ask.encode(), flags)?;
        Ok(())
    }

    /// What it has said, if anything; its descriptor tells when.
    ///
    /// # Errors
    /// It is gone (`UnexpectedEof`), or says what nobody understands (`InvalidData`).
    pub fn answer(&self) -> io::Result<Option<Answer>> {
        let mut bytes = [0; LEN];
        let len = match recv(self.socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
            Ok(len) => len,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(Errno::ECONNRESET) => 0,
            Err(errno) => return Err(errno.into()),
        };
        match Answer::decode(&bytes[..len]) {
            _ if len == 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            None => Err(io::ErrorKind::InvalidData.into()),
            answer => Ok(answer),
        }
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

impl AsFd for Clerk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Clerk {
    /// Kills it. Where it hangs in the kernel it dies when that lets it go, and is reaped then.
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // Gone already: so much the better.
        let _ = child.kill();
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        let reap = move || drop(child.wait());
        // Without a thread it is reaped by nobody until the agent ends, which harms nobody.
        drop(thread::Builder::new().stack_size(64 << 10).spawn(reap));
    }
}
