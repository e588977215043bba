//! How is a netlink socket opened and read?

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netlink_packet_core::NetlinkBuffer;
use netlink_sys::SocketAddr;
pub(in crate::net) use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

/// The kernel fills a dump in pieces of at most 32 KiB, and the larger the buffer that it has seen,
/// the larger the pieces. No event is longer than this either.
const INBOX: usize = 64 << 10;

/// A netlink socket with its receive buffer; what does not come from the kernel is dropped.
#[derive(Debug)]
pub(in crate::net) struct Socket {
    inner: netlink_sys::Socket,
    inbox: Box<[u8]>,
}

impl Socket {
    /// A NETLINK_ROUTE socket for requests. A reply that does not come within `timeout` is an error.
    pub(in crate::net) fn requests(timeout: Duration) -> io::Result<Self> {
        Self::requests_of(NETLINK_ROUTE, timeout)
    }

    /// The same of another protocol.
    pub(in crate::net) fn requests_of(protocol: isize, timeout: Duration) -> io::Result<Self> {
        let socket = Self::open(protocol, 1 << 20)?;
        let millis = i64::try_from(timeout.as_millis())
            .unwrap_or(i64::MAX)
            .max(1);
        let timeout = TimeVal::new(millis / 1000, millis % 1000 * 1000);
        setsockopt(&socket.inner, sockopt::ReceiveTimeout, &timeout)?;
        // A batch must fit even where the administrator chose small default buffers.
        let _ = setsockopt(&socket.inner, sockopt::SndBufForce, &(256 << 10));
        // Niceties of Linux 4.2, 4.12 and 4.20: shorter errors, errors with a text, filtered dumps.
        // Everything here works without them.
        let _ = socket.inner.set_cap_ack(true);
        let _ = socket.inner.set_ext_ack(true);
        let _ = socket.inner.set_netlink_get_strict_chk(true);
        Ok(socket)
    }

    /// A NETLINK_ROUTE socket that hears the events of these multicast groups.
    pub(in crate::net) fn events(groups: &[u32], receive_buffer: usize) -> io::Result<Self> {
        Self::events_of(NETLINK_ROUTE, groups, receive_buffer)
    }

    /// The same of another protocol.
    pub(in crate::net) fn events_of(
        protocol: isize,
        groups: &[u32],
        receive_buffer: usize,
    ) -> io::Result<Self> {
        let socket = Self::open(protocol, receive_buffer)?;
        for &group in groups {
            socket.inner.add_membership(group)?;
        }
        Ok(socket)
    }

    fn open(protocol: isize, receive_buffer: usize) -> io::Result<Self> {
        let mut inner = netlink_sys::Socket::new(protocol)?;
        if setsockopt(&inner, sockopt::RcvBufForce, &receive_buffer).is_err() {
            setsockopt(&inner, sockopt::RcvBuf, &receive_buffer)?;
        }
        inner.bind(&SocketAddr::new(0, 0))?;
        let inbox = vec![0; INBOX].into_boxed_slice();
        Ok(Self { inner, inbox })
    }

    /// The number by which the kernel knows this socket, and which events name that it caused.
    pub(in crate::net) fn port(&self) -> io::Result<u32> {
        let mut own = SocketAddr::new(0, 0);
        self.inner.get_address(&mut own)?;
        Ok(own.port_number())
    }

    /// Hands `bytes` to the kernel, which carries out every request in them before this returns.
    pub(in crate::net) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.inner.send_to(bytes, &SocketAddr::new(0, 0), 0) {
                Ok(sent) if sent == bytes.len() => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next datagram from the kernel; `TimedOut` when none comes in time.
    pub(in crate::net) fn receive(&mut self) -> io::Result<Messages<'_>> {
        match self.datagram(0) {
            Ok(length) => Ok(Messages(&self.inbox[..length])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::ErrorKind::TimedOut.into())
            }
            Err(error) => Err(error),
        }
    }

    /// The next datagram from the kernel, if one is there.
    pub(in crate::net) fn receive_now(&mut self) -> io::Result<Option<Messages<'_>>> {
        match self.datagram(libc::MSG_DONTWAIT) {
            Ok(length) => Ok(Some(Messages(&self.inbox[..length]))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn datagram(&mut self, flags: libc::c_int) -> io::Result<usize> {
        loop {
            let mut room = &mut self.inbox[..];
            match self.inner.recv_from(&mut room, flags | libc::MSG_TRUNC) {
                Ok((_, from)) if from.port_number() != 0 => {}
                // Cut off is as bad as lost, and lost is ENOBUFS.
                Ok((length, _)) if length > INBOX => {
                    return Err(io::Error::from_raw_os_error(libc::ENOBUFS));
                }
                Ok((length, _)) => return Ok(length),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// One netlink message, still in its bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) struct Message<'a> {
    /// `RTM_...` or `NLMSG_...`.
    pub(in crate::net) kind: u16,
    /// `NLM_F_...`.
    pub(in crate::net) flags: u16,
    /// That of the request which it answers.
    pub(in crate::net) sequence: u32,
    /// What follows the header.
    pub(in crate::net) payload: &'a [u8],
}

/// The messages of one datagram. What does not parse ends it.
#[derive(Debug)]
pub(in crate::net) struct Messages<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let head = NetlinkBuffer::new_checked(self.0).ok()?;
        let length = head.length() as usize;
        let message = Message {
            kind: head.message_type(),
            flags: head.flags(),
            sequence: head.sequence_number(),
            payload: self.0.get(16..length)?,
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: [u8; 36] = [
        18, 0, 0, 0, /* kind */ 20, 0, /* flags */ 2, 0, /* seq */ 7, 0, 0, 0, 0, 0,
        0, 0, /* payload and padding */ 1, 2, 0, 0, //
        16, 0, 0, 0, /* kind */ 3, 0, /* flags */ 2, 0, /* seq */ 8, 0, 0, 0, 0, 0,
        0, 0,
    ];

    #[test]
    #[cfg(target_endian = "little")]
    fn a_datagram_falls_into_its_messages() {
        let seen: Vec<_> = Messages(&TWO)
            .map(|m| (m.kind, m.sequence, m.payload.to_vec()))
            .collect();
        assert_eq!(seen, [(20, 7, vec![1, 2]), (3, 8, vec![])]);
    }

    #[test]
    fn only_the_kernel_is_heard() {
        let mut socket = Socket::events(&[], 1 << 16).unwrap();
        let mut own = SocketAddr::new(0, 0);
        socket.inner.get_address(&mut own).unwrap();
        let stranger = netlink_sys::Socket::new(NETLINK_ROUTE).unwrap();
        let sent = stranger.send_to(&TWO, &own, 0);
        assert_eq!(sent.expect("root may send to it"), TWO.len());
        assert!(socket.receive_now().unwrap().is_none());
    }

    #[test]
    fn an_answer_that_does_not_come_is_an_error_in_time() {
        let mut socket = Socket::requests(Duration::from_millis(20)).unwrap();
        let error = socket.receive().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_cut_datagram_ends_early_and_never_panics() {
        for end in 0..TWO.len() {
            assert!(Messages(&TWO[..end]).count() <= 1);
        }
        for length in 0..=255 {
            let mut bytes = TWO;
            bytes[0] = length;
            assert!(Messages(&bytes).count() <= 2);
        }
    }
}
