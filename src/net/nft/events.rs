//! Has somebody changed a table? What the kernel tells of every transaction on this host.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{SockFilter, SockRef};

use super::is_of;
use crate::net::rtnl::socket::{NETLINK_NETFILTER, Socket};

/// Room for the events of a long ruleset. More are lost, which is told.
const RECEIVE_BUFFER: usize = 256 << 10;
/// linux/netfilter/nfnetlink.h
const NFNLGRP_NFTABLES: u32 = 7;
/// Read before the caller has its turn.
const AT_ONCE: usize = 256;

/// Hears of changes to one table.
#[derive(Debug)]
pub struct Events {
    socket: Socket,
    table: &'static str,
}

impl Events {
    /// Listens for what is done to this table, but not for what the socket with the number `except`
    /// does: the kernel itself drops that, so that it wakes nobody.
    ///
    /// # Errors
    /// What socket(2), bind(2) and setsockopt(2) say.
    pub fn open(table: &'static str, except: u32) -> io::Result<Self> {
        let socket = Socket::events_of(NETLINK_NETFILTER, &[NFNLGRP_NFTABLES], RECEIVE_BUFFER)?;
        SockRef::from(&socket).attach_filter(&all_but(except))?;
        Ok(Self { socket, table })
    }

    /// Whether there was anything about the table since the last call. Loss counts.
    pub fn heard(&mut self) -> bool {
        let mut heard = false;
        for _ in 0..AT_ONCE {
            match self.socket.receive_now() {
                Ok(Some(messages)) => {
                    for message in messages {
                        let attributes = message.payload.get(4..).unwrap_or_default();
                        heard |= is_of(self.table, attributes);
                    }
                }
                Ok(None) => break,
                Err(_) => heard = true,
            }
        }
        heard
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Classic BPF: drops messages whose header names this port.
fn all_but(port: u32) -> [SockFilter; 4] {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const NLMSG_PID: u32 = 12;
    // A filter loads in network order what the header has in the host's.
    let port = u32::from_be_bytes(port.to_ne_bytes());
    [
        SockFilter::new(LOAD_WORD, 0, 0, NLMSG_PID),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, port),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
}
