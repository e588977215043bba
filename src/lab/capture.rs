//! What arrives at an interface, and when? Frames with the kernel's receive stamps.

use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    ControlMessageOwned, LinkAddr, MsgFlags, bind, recvmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::clock;
use crate::core::Instant;

/// Every protocol, in network byte order as `packet(7)` wants it.
const ETH_P_ALL: i32 = (libc::ETH_P_ALL as u16).to_be() as i32;
/// Room for what comes while the reading thread does not run.
const QUEUE_BYTES: usize = 16 << 20;
/// How long the reader waits before it looks whether it should stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Longer frames than any that matter here.
const FRAME_MAX: usize = 2048;

/// An open capture on one interface of the calling thread's network namespace.
#[derive(Debug)]
pub(super) struct Capture {
    socket: Socket,
    frame: Box<[u8; FRAME_MAX]>,
    control: Vec<u8>,
    missed: u32,
}

impl Capture {
    /// Starts to capture what arrives at `interface`.
    pub(super) fn open(interface: &str) -> io::Result<Self> {
        let socket = packet_socket(interface)?;
        socket.attach_filter(&incoming_only())?;
        setsockopt(&socket, sockopt::RcvBufForce, &QUEUE_BYTES)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        Ok(Self {
            socket,
            frame: Box::new([0; FRAME_MAX]),
            control: cmsg_space!(TimeSpec, u32),
            missed: 0,
        })
    }

    /// The next frame and when the kernel received it; nothing when none came for a moment.
    pub(super) fn next(&mut self) -> io::Result<Option<(Instant, &[u8])>> {
        let mut parts = [IoSliceMut::new(&mut self.frame[..])];
        let control = Some(self.control.as_mut_slice());
        let none = MsgFlags::empty();
        let received = match recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, control, none) {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut at = None;
        for message in received.cmsgs()? {
            match message {
                ControlMessageOwned::ScmTimestampns(stamp) => at = Some(clock::from_wall(stamp)),
                ControlMessageOwned::RxqOvfl(missed) => self.missed = missed,
                _ => {}
            }
        }
        let length = received.bytes;
        let at = at.unwrap_or_else(clock::now);
        Ok(Some((at, &self.frame[..length])))
    }

    /// Frames that came too fast to be read.
    pub(super) fn missed(&self) -> u32 {
        self.missed
    }
}

/// A socket for whole Ethernet frames on one interface.
pub(super) fn packet_socket(interface: &str) -> io::Result<Socket> {
    let protocol = Some(Protocol::from(ETH_P_ALL));
    let socket = Socket::new(Domain::PACKET, Type::RAW, protocol)?;
    let link = link_address(interface)?;
    bind(socket.as_raw_fd(), &link)?;
    Ok(socket)
}

/// The link-layer address of an interface, as the kernel tells it.
pub(super) fn link_address(interface: &str) -> io::Result<LinkAddr> {
    let mut all = getifaddrs()?.filter(|found| found.interface_name == interface);
    let link = all.find_map(|found| found.address?.as_link_addr().copied());
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no interface {interface}"));
    link.ok_or_else(missing)
}

/// Keeps nothing: for sockets that only send.
pub(super) fn nothing() -> [SockFilter; 1] {
    [SockFilter::new(RETURN, 0, 0, 0)]
}

const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Our own questions pass the same tap; only what others sent is of interest.
pub(super) fn incoming_only() -> [SockFilter; 4] {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    // Ancillary data stand at negative offsets.
    let kind = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
    [
        SockFilter::new(LOAD, 0, 0, kind),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(libc::PACKET_OUTGOING)),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
}
