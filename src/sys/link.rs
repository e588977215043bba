//! Which hardware addresses has this host? Asked of each interface by its name.
//!
//! The list that netlink gives waits for whoever changes an interface anywhere on the machine, in
//! any network namespace, and for all that wait before it: too long for one who has milliseconds.

#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use nix::errno::Errno;

/// One line for each interface of the network namespace of the calling thread, below a heading.
const INTERFACES: &str = "/proc/thread-self/net/dev";

/// The Ethernet addresses of all interfaces, in the network namespace of the calling thread.
///
/// # Errors
/// The list of their names cannot be read.
pub fn macs() -> io::Result<Vec<[u8; 6]>> {
    let list = fs::read_to_string(INTERFACES)?;
    let names = list.lines().filter_map(|line| line.split_once(':'));
    // Any socket does.
    let socket = UnixDatagram::unbound()?;
    // One that has gone since has none.
    let macs = names.filter_map(|(name, _)| mac(&socket, name.trim()).ok()?);
    Ok(macs.collect())
}

fn mac(socket: &UnixDatagram, name: &str) -> io::Result<Option<[u8; 6]>> {
    // SAFETY: an ifreq is made of integers and a pointer, for which all-zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(Errno::ENODEV.into());
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    // SAFETY: the kernel reads and writes `request`, a whole ifreq with a name that ends in 0.
    let done = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCGIFHWADDR as _,
            &raw mut request,
        )
    };
    Errno::result(done)?;
    // SAFETY: it has written a sockaddr, and any bytes make one.
    let address = unsafe { request.ifr_ifru.ifru_hwaddr };
    if address.sa_family != libc::ARPHRD_ETHER {
        return Ok(None);
    }
    let octets = address.sa_data.map(|byte| byte as u8);
    Ok(octets.first_chunk().copied())
}
