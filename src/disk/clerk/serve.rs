//! The clerk itself: reads and writes when it is told to, and may hang in either for ever.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::socket::{MsgFlags, recv, send};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::message::{Answer, Ask, LEN};
use crate::core::disk::Op;
use crate::disk::{Access, Area, Blocks, Device, Refused, Why};
use crate::wire::disk::{BLOCK_LEN, Block, slot_at};

/// Serves the node `me` on a device, until the agent at the other end of the socket is gone.
///
/// # Errors
/// The device cannot be used, which the agent was told too; or the socket fails.
pub fn serve(socket: BorrowedFd<'_>, device: &Path, me: &str) -> io::Result<()> {
    // Who stops the agent by a signal to all of its processes wants the last write as well: it ends with the
    // agent.
    let ignored = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ignored))?;
    }
    let mut clerk = match open(device, me) {
        Ok((device, area, number)) => Clerk {
            socket,
            device,
            area,
            number,
        },
        Err(refused) => {
            let text = refused.to_string();
            say(socket, &Answer::Refused(text.clone()))?;
            return Err(io::Error::other(text));
        }
    };
    clerk.take_slot()?;
    // The good one of the two that stand there.
    let header = clerk.area.header.emit().map_err(io::Error::other)?;
    say(socket, &Answer::Ready(clerk.number, Box::new(header)))?;
    while let Some(ask) = hear(socket)? {
        clerk.act(ask)?;
    }
    Ok(())
}

fn open(path: &Path, me: &str) -> Result<(Device, Area, u8), Refused> {
    let device = Device::open(path, Access::Write)?;
    let of_device = |why: Why| Refused::new(path, why);
    let area = Area::read(&device).map_err(of_device)?;
    let number = area.member(me).map_err(of_device)?.number;
    Ok((device, area, number))
}

struct Clerk<'a> {
    socket: BorrowedFd<'a>,
    device: Device,
    area: Area,
    number: u8,
}

impl Clerk<'_> {
    /// One process of a host writes a slot: an older one may hang in a write that lands an hour
    /// later, and what it writes must not land on what we have written. The lock is of the open
    /// file, so that a process that hangs keeps it and one that is gone does not.
    fn take_slot(&self) -> io::Result<()> {
        let lock = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: (slot_at(self.number) * BLOCK_LEN as u64) as libc::off_t,
            l_len: BLOCK_LEN as libc::off_t,
            l_pid: 0,
        };
        let file: &File = self.device.file();
        match fcntl(file, FcntlArg::F_OFD_SETLK(&lock)) {
            Ok(_) => return Ok(()),
            Err(Errno::EAGAIN | Errno::EACCES) => say(self.socket, &Answer::Waits)?,
            Err(errno) => return Err(errno.into()),
        }
        loop {
            match fcntl(file, FcntlArg::F_OFD_SETLKW(&lock)) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn act(&mut self, ask: Ask) -> io::Result<()> {
        let (op, done) = match ask {
            Ask::Read(op) => (op, self.read(op)),
            Ask::Write(op, block) => (op, self.write(op, &block)),
        };
        match done {
            Ok(()) => Ok(()),
            Err(Fault::Medium(error)) => say(self.socket, &Answer::Failed(op, error.to_string())),
            Err(Fault::Socket(error)) => Err(error),
        }
    }

    fn read(&self, op: Op) -> Result<(), Fault> {
        for member in &self.area.header.members {
            let block = self.device.read(slot_at(member.number));
            let block = Box::new(block.map_err(Fault::Medium)?);
            self.tell(&Answer::Slot(op, member.number, block))?;
        }
        self.tell(&Answer::Read(op))
    }

    fn write(&self, op: Op, block: &Block) -> Result<(), Fault> {
        let written = self.device.write(slot_at(self.number), block);
        written.map_err(Fault::Medium)?;
        self.tell(&Answer::Written(op))
    }

    fn tell(&self, answer: &Answer) -> Result<(), Fault> {
        say(self.socket, answer).map_err(Fault::Socket)
    }
}

enum Fault {
    Medium(io::Error),
    Socket(io::Error),
}

/// The next thing to do; none when the agent is gone.
fn hear(socket: BorrowedFd<'_>) -> io::Result<Option<Ask>> {
    let mut bytes = [0; LEN];
    loop {
        match recv(socket.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
            Ok(0) | Err(Errno::ECONNRESET) => return Ok(None),
            Ok(len) => {
                let ask = Ask::decode(&bytes[..len]);
                let nonsense = || io::Error::other("the agent said what nobody understands");
                return ask.map(Some).ok_or_else(nonsense);
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// An agent that is gone hears nothing, which the next question shows.
fn say(socket: BorrowedFd<'_>, answer: &Answer) -> io::Result<()> {
    let bytes = answer.encode();
    loop {
        match send(socket.as_fd().as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL) {
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
