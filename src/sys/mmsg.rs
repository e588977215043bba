//! How do many frames cross into the kernel and back in one system call? sendmmsg and recvmmsg.
//!
//! nix has both, but its `MultiHeaders` cannot move to another thread, keeps the shortened
//! control length of the last call (so that later control messages may be cut off), and reads
//! addresses that sendmmsg never wrote. Neither function here allocates.

#![allow(unsafe_code)]

use std::fmt;
use std::mem;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use libc::{c_int, iovec, mmsghdr, sockaddr_in6};
use nix::errno::Errno;
use socket2::SockAddr;

/// The most frames that one system call takes.
pub const BATCH: usize = 64;

/// Sends the first [`BATCH`] of `frames` without blocking, and returns how many the kernel took.
/// `None` goes where the socket is bound or connected to.
///
/// # Errors
/// What the kernel said about the *first* frame. An error of a later one ends the call early and
/// is told when that frame comes first.
pub fn send<'a>(
    fd: BorrowedFd<'_>,
    frames: impl Iterator<Item = (&'a [u8], Option<&'a SockAddr>)>,
) -> Result<usize, Errno> {
    let mut pieces = [EMPTY_PIECE; BATCH];
    let mut headers = [empty_header(); BATCH];
    let mut count = 0;
    for ((frame, to), (piece, header)) in frames.zip(pieces.iter_mut().zip(&mut headers)) {
        *piece = iovec {
            iov_base: frame.as_ptr().cast_mut().cast(),
            iov_len: frame.len(),
        };
        header.msg_hdr.msg_iov = piece;
        header.msg_hdr.msg_iovlen = 1;
        if let Some(to) = to {
            header.msg_hdr.msg_name = to.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = to.len();
        }
        count += 1;
    }
    // SAFETY: the first `count` headers point to `pieces` and, through them, to frames and
    // addresses that live for 'a, which outlasts this call; the kernel only reads them.
    let sent = unsafe {
        libc::sendmmsg(
            fd.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    match Errno::result(sent)? {
        // Not seen, and a caller that goes on until all are sent must not spin on it.
        0 if count > 0 => Err(Errno::EAGAIN),
        sent => Ok(usize::try_from(sent).unwrap_or(0)),
    }
}

/// Room for [`SLOTS`] received datagrams of up to [`SLOT_LEN`] bytes.
pub struct Inbox {
    bytes: Box<[u8]>,
    control: Box<[Control; SLOTS]>,
    names: [sockaddr_in6; SLOTS],
    arrived: [Arrived; SLOTS],
}

/// Datagrams that one system call returns.
pub const SLOTS: usize = 32;
/// The longest datagram that is kept whole.
pub const SLOT_LEN: usize = 2048;
const CONTROL_LEN: usize = 128;

/// Aligned as the kernel's own structures.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Control([u8; CONTROL_LEN]);

#[derive(Clone, Copy, Default)]
struct Arrived {
    len: usize,
    control_len: usize,
    flags: c_int,
}

/// One received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// What the socket delivers: raw IPv4 with the IP header, raw IPv6 without.
    pub bytes: &'a [u8],
    /// IPv6 only: where it came from.
    pub source: Option<IpAddr>,
    /// IPv6 only, with `IPV6_RECVPKTINFO`: where it was sent to.
    pub destination: Option<IpAddr>,
    /// IPv6 only, with `IPV6_RECVHOPLIMIT`.
    pub hop_limit: Option<u8>,
    /// It was longer than [`SLOT_LEN`]; the rest is lost.
    pub truncated: bool,
    /// With `SO_TIMESTAMPNS`: when the kernel got it, on the wall clock, since 1970.
    pub received_at: Option<Duration>,
}

impl Inbox {
    /// An empty one; all memory that it ever takes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![0; SLOTS * SLOT_LEN].into_boxed_slice(),
            control: Box::new([Control([0; CONTROL_LEN]); SLOTS]),
            // SAFETY: a sockaddr_in6 is made of integers, for which all-zero is a value.
            names: [unsafe { mem::zeroed() }; SLOTS],
            arrived: [Arrived::default(); SLOTS],
        }
    }

    /// Takes up to `most` (at most [`SLOTS`]) waiting datagrams without blocking, and returns how
    /// many: [`Inbox::datagram`] shows them until the next call.
    ///
    /// # Errors
    /// `EAGAIN` where none waits, or what the kernel says about the socket.
    pub fn receive(&mut self, fd: BorrowedFd<'_>, most: usize) -> Result<usize, Errno> {
        let mut pieces = [EMPTY_PIECE; SLOTS];
        let mut headers = [empty_header(); SLOTS];
        self.point(&mut pieces, &mut headers);
        let most = u32::try_from(most.min(SLOTS)).unwrap_or(0);
        // SAFETY: every header points to its own piece, name and control buffer with their true
        // lengths, and the piece to its own slot of `bytes`; all are borrowed for this call.
        let count = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                headers.as_mut_ptr(),
                most,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(Errno::result(count)?).unwrap_or(0);
        for (arrived, header) in self.arrived.iter_mut().zip(&headers).take(count) {
            *arrived = Arrived {
                len: usize::try_from(header.msg_len).unwrap_or(0).min(SLOT_LEN),
                control_len: control_len(header).min(CONTROL_LEN),
                flags: header.msg_hdr.msg_flags,
            };
        }
        Ok(count)
    }

    /// The datagram in a slot that the last [`Inbox::receive`] filled.
    #[must_use]
    pub fn datagram(&self, slot: usize) -> Received<'_> {
        let arrived = self.arrived[slot];
        let start = slot * SLOT_LEN;
        let mut received = Received {
            bytes: &self.bytes[start..start + arrived.len],
            source: source(&self.names[slot]),
            destination: None,
            hop_limit: None,
            truncated: arrived.flags & libc::MSG_TRUNC != 0,
            received_at: None,
        };
        for note in notes(&self.control[slot].0[..arrived.control_len]) {
            received.take(note);
        }
        received
    }

    fn point(&mut self, pieces: &mut [iovec; SLOTS], headers: &mut [mmsghdr; SLOTS]) {
        let slots = self.bytes.chunks_exact_mut(SLOT_LEN);
        let notes = self.names.iter_mut().zip(self.control.iter_mut());
        let heads = pieces.iter_mut().zip(headers);
        for ((slot, (name, control)), (piece, header)) in slots.zip(notes).zip(heads) {
            *piece = iovec {
                iov_base: slot.as_mut_ptr().cast(),
                iov_len: slot.len(),
            };
            header.msg_hdr.msg_iov = piece;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = NAME_LEN;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL_LEN as _;
        }
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

const NAME_LEN: libc::socklen_t = size_of::<sockaddr_in6>() as libc::socklen_t;

const EMPTY_PIECE: iovec = iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};

fn empty_header() -> mmsghdr {
    // SAFETY: an mmsghdr is made of integers and pointers, for which all-zero is a value. It has
    // private padding in some C libraries, so it cannot be written as a literal.
    unsafe { mem::zeroed() }
}

/// The field is a `socklen_t` in some C libraries and a `size_t` in others.
#[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
fn control_len(header: &mmsghdr) -> usize {
    header.msg_hdr.msg_controllen as usize
}

fn source(name: &sockaddr_in6) -> Option<IpAddr> {
    let v6 = c_int::from(name.sin6_family) == libc::AF_INET6;
    v6.then(|| IpAddr::V6(Ipv6Addr::from(name.sin6_addr.s6_addr)))
}

/// A control message: what the kernel notes about a datagram.
struct Note<'a> {
    level: c_int,
    kind: c_int,
    data: &'a [u8],
}

impl Received<'_> {
    fn take(&mut self, note: Note<'_>) {
        match (note.level, note.kind) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => self.received_at = stamp(note.data),
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                let limit = note.data.first_chunk().map(|b| c_int::from_ne_bytes(*b));
                self.hop_limit = limit.and_then(|limit| u8::try_from(limit).ok());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let address = note.data.first_chunk::<16>();
                self.destination = address.map(|a| IpAddr::V6(Ipv6Addr::from(*a)));
            }
            _ => {}
        }
    }
}

/// A `struct timespec`: two longs.
fn stamp(data: &[u8]) -> Option<Duration> {
    let (seconds, nanos) = data.split_first_chunk()?;
    let seconds = libc::c_long::from_ne_bytes(*seconds);
    let nanos = libc::c_long::from_ne_bytes(*nanos.first_chunk()?);
    Some(Duration::new(
        u64::try_from(seconds).ok()?,
        u32::try_from(nanos).ok()?,
    ))
}

/// The control messages in what the kernel wrote: each a `cmsghdr` (length with header, level,
/// kind) and its data, padded to the size of a long.
fn notes(mut control: &[u8]) -> impl Iterator<Item = Note<'_>> {
    std::iter::from_fn(move || {
        let (len, rest) = control.split_first_chunk()?;
        let (level, rest) = rest.split_first_chunk()?;
        let (kind, _) = rest.split_first_chunk()?;
        let len = usize::from_ne_bytes(*len);
        let data = control.get(NOTE_HEADER..len)?;
        let next = len.next_multiple_of(size_of::<usize>());
        control = control.get(next..).unwrap_or_default();
        Some(Note {
            level: c_int::from_ne_bytes(*level),
            kind: c_int::from_ne_bytes(*kind),
            data,
        })
    })
}

const NOTE_HEADER: usize = size_of::<usize>() + 2 * size_of::<c_int>();

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use proptest::prelude::*;

    use super::*;

    fn pair() -> (UdpSocket, UdpSocket) {
        let receiver = UdpSocket::bind("[::1]:0").unwrap();
        let sender = UdpSocket::bind("[::1]:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        (sender, receiver)
    }

    #[test]
    fn a_batch_arrives_in_order_each_in_its_slot() {
        let (sender, receiver) = pair();
        let frames: Vec<Vec<u8>> = (0..40).map(|n| vec![n; usize::from(n) + 1]).collect();
        let sent = send(sender.as_fd(), frames.iter().map(|f| (&f[..], None))).unwrap();
        assert_eq!(sent, 40);
        let mut inbox = Inbox::new();
        let mut seen = Vec::new();
        while let Ok(count) = inbox.receive(receiver.as_fd(), SLOTS) {
            seen.extend((0..count).map(|slot| inbox.datagram(slot).bytes.to_vec()));
        }
        assert_eq!(seen, frames);
        assert_eq!(inbox.receive(receiver.as_fd(), 1), Err(Errno::EAGAIN));
    }

    #[test]
    fn more_than_a_batch_is_taken_in_part() {
        let (sender, _receiver) = pair();
        let frames = vec![b"x".to_vec(); BATCH + 5];
        let sent = send(sender.as_fd(), frames.iter().map(|f| (&f[..], None)));
        assert_eq!(sent, Ok(BATCH));
    }

    #[test]
    fn an_error_is_told_when_its_frame_comes_first() {
        let (sender, _receiver) = pair();
        let (good, too_long) = (vec![0; 10], vec![0; 70_000]);
        let frames = [&good[..], &too_long[..], &good[..]];
        let from = |n: usize| frames[n..].iter().map(|f| (*f, None));
        assert_eq!(send(sender.as_fd(), from(0)), Ok(1));
        assert_eq!(send(sender.as_fd(), from(1)), Err(Errno::EMSGSIZE));
        assert_eq!(send(sender.as_fd(), from(2)), Ok(1));
    }

    #[test]
    fn what_does_not_fit_its_slot_is_marked() {
        let (sender, receiver) = pair();
        for len in [SLOT_LEN, SLOT_LEN + 1] {
            sender.send(&vec![7; len]).unwrap();
        }
        let mut inbox = Inbox::new();
        assert_eq!(inbox.receive(receiver.as_fd(), SLOTS), Ok(2));
        let marks = [0, 1].map(|s| (inbox.datagram(s).bytes.len(), inbox.datagram(s).truncated));
        assert_eq!(marks, [(SLOT_LEN, false), (SLOT_LEN, true)]);
    }

    #[test]
    fn a_call_with_few_notes_does_not_shorten_those_of_the_next() {
        use nix::sys::socket::{setsockopt, sockopt};
        let (sender, receiver) = pair();
        let mut inbox = Inbox::new();
        sender.send(b"bare").unwrap();
        assert_eq!(inbox.receive(receiver.as_fd(), SLOTS), Ok(1));
        assert_eq!(inbox.datagram(0).hop_limit, None);
        setsockopt(&receiver, sockopt::Ipv6RecvHopLimit, &true).unwrap();
        setsockopt(&receiver, sockopt::Ipv6RecvPacketInfo, &true).unwrap();
        setsockopt(&receiver, sockopt::ReceiveTimestampns, &true).unwrap();
        sender.send(b"noted").unwrap();
        assert_eq!(inbox.receive(receiver.as_fd(), SLOTS), Ok(1));
        let got = inbox.datagram(0);
        assert_eq!(got.source, Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(got.destination, Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(got.hop_limit, Some(64));
        assert!(got.received_at.is_some());
    }

    proptest! {
        #[test]
        fn broken_notes_end_the_list_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..128),
            len in 0_usize..200,
        ) {
            let mut bytes = bytes;
            if let Some(head) = bytes.first_chunk_mut() {
                *head = len.to_ne_bytes();
            }
            prop_assert!(notes(&bytes).count() <= bytes.len() / NOTE_HEADER);
        }
    }
}
