//! Which socket options do neither socket2 nor nix offer? The count of what a full queue lost.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::socklen_t;
use nix::errno::Errno;

/// How many datagrams this socket has lost since it was opened, because nobody read them in time
/// (`SO_MEMINFO`).
///
/// # Errors
/// The kernel is older than 4.12.
pub fn lost(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut counters = [0_u32; COUNTERS];
    let mut len = size_of_val(&counters) as socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `counters`, and any bytes make integers.
    let done = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_MEMINFO,
            counters.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    Errno::result(done)?;
    Ok(counters[DROPS])
}

/// `SO_MEMINFO` of asm-generic/socket.h.
const SO_MEMINFO: libc::c_int = 55;
/// `SK_MEMINFO_VARS` and `SK_MEMINFO_DROPS` of linux/sock_diag.h.
const COUNTERS: usize = 9;
const DROPS: usize = 8;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_a_full_queue_loses_is_counted() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&receiver)
            .set_recv_buffer_size(1)
            .unwrap();
        assert_eq!(lost(receiver.as_fd()).unwrap(), 0);
        for _ in 0..100 {
            sender
                .send_to(&[0; 500], receiver.local_addr().unwrap())
                .unwrap();
        }
        receiver.set_nonblocking(true).unwrap();
        let kept = (0..)
            .take_while(|_| receiver.recv(&mut [0; 500]).is_ok())
            .count();
        assert_eq!(
            lost(receiver.as_fd()).unwrap(),
            100 - u32::try_from(kept).unwrap()
        );
    }
}
