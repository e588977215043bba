//! How does a classifier get onto an interface? The clsact queue discipline and BPF filters on it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NlasIterator,
};
use netlink_packet_route::tc::{TcHandle, TcHeader};

use super::message::{next_attribute, number, text};
use super::socket::{Message, Socket};
use super::{Rtnl, edit};

// linux/pkt_sched.h, linux/pkt_cls.h, linux/rtnetlink.h
const TC_H_CLSACT: u16 = 0xffff;
const AT_CLSACT: u16 = 0xfff1;
const AT_INGRESS: u16 = 0xfff2;
const AT_EGRESS: u16 = 0xfff3;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_ID: u16 = 11;
const NLA_F_NESTED: u16 = 1 << 15;
const RTM_DELCHAIN: u16 = 101;
/// The verdict is what the program returns.
const ACT_DIRECT: u32 = 1;
/// The first to be asked.
const PRIORITY: u32 = 1;

/// Room for events that nobody has read yet. More are lost, which is told.
const RECEIVE_BUFFER: usize = 256 << 10;
/// Read before the caller has its turn.
const AT_ONCE: usize = 256;

/// Which way the frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Into the host.
    Ingress,
    /// Out of it.
    Egress,
}

impl Direction {
    /// Both.
    pub const ALL: [Direction; 2] = [Direction::Ingress, Direction::Egress];

    const fn parent(self) -> TcHandle {
        TcHandle {
            major: TC_H_CLSACT,
            minor: match self {
                Direction::Ingress => AT_INGRESS,
                Direction::Egress => AT_EGRESS,
            },
        }
    }
}

/// A filter on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Its number.
    pub handle: u32,
    /// The name that it was given, for BPF filters.
    pub name: Option<String>,
    /// The number of the BPF program whose verdict it carries out.
    pub program: Option<u32>,
    info: u32,
}

impl Filter {
    /// Whether it is asked first, for every frame, as [`Rtnl::put_filter`] has it.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.info == info()
    }
}

/// Hears of filters that go, on any interface of this host.
#[derive(Debug)]
pub struct FilterEvents(Socket);

impl FilterEvents {
    /// Listens in the network namespace of this thread.
    ///
    /// # Errors
    /// What socket(2) and bind(2) say.
    pub fn open() -> io::Result<Self> {
        Socket::events(&[libc::RTNLGRP_TC], RECEIVE_BUFFER).map(Self)
    }

    /// Whether filters may have gone since the last call, or were replaced. Loss counts; a filter
    /// that comes does not.
    pub fn heard(&mut self) -> bool {
        let mut heard = false;
        for _ in 0..AT_ONCE {
            match self.0.receive_now() {
                Ok(Some(mut messages)) => heard |= messages.any(|message| takes_away(&message)),
                Ok(None) => break,
                Err(_) => heard = true,
            }
        }
        heard
    }
}

impl AsFd for FilterEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn takes_away(message: &Message<'_>) -> bool {
    match message.kind {
        libc::RTM_DELQDISC | libc::RTM_DELTFILTER | RTM_DELCHAIN => true,
        // Ours come with NLM_F_EXCL.
        libc::RTM_NEWTFILTER => message.flags & NLM_F_EXCL == 0,
        _ => false,
    }
}

impl Rtnl {
    /// Puts a loaded program onto an interface, in the place of the one with this handle, if there is
    /// one. The interface keeps the program when this process ends.
    ///
    /// # Errors
    /// `ENODEV`; `ENOENT` or `EOPNOTSUPP` where the kernel has no clsact or no BPF filters.
    pub fn put_filter(
        &mut self,
        index: u32,
        direction: Direction,
        handle: u32,
        program: BorrowedFd<'_>,
        name: &str,
    ) -> io::Result<()> {
        let fd = program.as_raw_fd().unsigned_abs().to_ne_bytes();
        let options = nested(&[
            DefaultNla::new(TCA_BPF_FD, fd.to_vec()),
            DefaultNla::new(TCA_BPF_NAME, [name.as_bytes(), b"\0"].concat()),
            DefaultNla::new(TCA_BPF_FLAGS, ACT_DIRECT.to_ne_bytes().to_vec()),
        ]);
        let attributes = [
            DefaultNla::new(TCA_KIND, b"bpf\0".to_vec()),
            DefaultNla::new(TCA_OPTIONS | NLA_F_NESTED, options),
        ];
        let body = TcHeader {
            index: index.cast_signed(),
            handle: handle.into(),
            parent: direction.parent(),
            info: info(),
            ..TcHeader::default()
        };
        let put = |rtnl: &mut Self, how| {
            let flags = NLM_F_CREATE | how;
            rtnl.traffic(libc::RTM_NEWTFILTER, flags, &body, &attributes)
        };
        let error = match put(self, NLM_F_EXCL) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match error.raw_os_error() {
            // There is no clsact on this interface yet.
            Some(libc::EINVAL | libc::ENOENT) => {
                self.add_clsact(index)?;
                put(self, NLM_F_EXCL)
            }
            Some(libc::EEXIST) => put(self, NLM_F_REPLACE),
            _ => Err(error),
        }
    }

    /// Takes a filter away; one that is not there is fine.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn delete_filter(
        &mut self,
        index: u32,
        direction: Direction,
        filter: &Filter,
    ) -> io::Result<()> {
        let body = TcHeader {
            index: index.cast_signed(),
            handle: filter.handle.into(),
            parent: direction.parent(),
            info: filter.info,
            ..TcHeader::default()
        };
        let kind = [DefaultNla::new(TCA_KIND, b"bpf\0".to_vec())];
        forgive(self.traffic(libc::RTM_DELTFILTER, 0, &body, &kind))
    }

    /// The filters in one direction of an interface; none where there is no clsact.
    ///
    /// # Errors
    /// `TimedOut`, or what the kernel says.
    pub fn filters(&mut self, index: u32, direction: Direction) -> io::Result<Vec<Filter>> {
        let body = TcHeader {
            index: index.cast_signed(),
            parent: direction.parent(),
            ..TcHeader::default()
        };
        let sequence = self.next_sequence();
        let (flags, none) = (NLM_F_REQUEST | NLM_F_DUMP, [].as_slice() as &[DefaultNla]);
        self.out.clear();
        let out = &mut self.out;
        edit::request(libc::RTM_GETTFILTER, flags, sequence, &body, &none, out);
        let mut found = Vec::new();
        let dumped = self.dump(sequence, &mut |kind, payload| {
            if kind == libc::RTM_NEWTFILTER {
                found.extend(parse(payload));
            }
        });
        match dumped {
            Ok(_) => Ok(found),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINVAL | libc::ENODEV | libc::ENOENT) => Ok(Vec::new()),
                _ => Err(error),
            },
        }
    }

    /// Takes clsact off an interface where nothing hangs on it any more.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn delete_bare_clsact(&mut self, index: u32) -> io::Result<()> {
        for direction in Direction::ALL {
            if !self.filters(index, direction)?.is_empty() {
                return Ok(());
            }
        }
        forgive(self.traffic(libc::RTM_DELQDISC, 0, &clsact(index), &[]))
    }

    fn add_clsact(&mut self, index: u32) -> io::Result<()> {
        let kind = [DefaultNla::new(TCA_KIND, b"clsact\0".to_vec())];
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        match self.traffic(libc::RTM_NEWQDISC, flags, &clsact(index), &kind) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            other => other,
        }
    }

    /// One request, and its answer.
    fn traffic(
        &mut self,
        kind: u16,
        flags: u16,
        body: &TcHeader,
        attributes: &[DefaultNla],
    ) -> io::Result<()> {
        let sequence = self.next_sequence();
        let flags = flags | NLM_F_REQUEST | NLM_F_ACK;
        self.out.clear();
        edit::request(kind, flags, sequence, body, &attributes, &mut self.out);
        self.send()?;
        let mut refused = None;
        self.answers(sequence, sequence, &mut |refusal| refused = Some(refusal))?;
        match refused {
            None => Ok(()),
            Some(refusal) => Err(io::Error::from_raw_os_error(refusal.errno)),
        }
    }
}

fn clsact(index: u32) -> TcHeader {
    let handle = |minor| TcHandle {
        major: TC_H_CLSACT,
        minor,
    };
    TcHeader {
        index: index.cast_signed(),
        handle: handle(0),
        parent: handle(AT_CLSACT),
        ..TcHeader::default()
    }
}

/// The priority, and the protocol: any.
fn info() -> u32 {
    let all = (libc::ETH_P_ALL as u16).to_be();
    PRIORITY << 16 | u32::from(all)
}

/// What should not be there any more is not there, or its interface is not.
fn forgive(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::ENODEV | libc::EINVAL)
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

fn nested(attributes: &[DefaultNla]) -> Vec<u8> {
    use netlink_packet_core::Emitable;
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    bytes
}

/// `None` for the chain itself, which is listed before its filters.
fn parse(payload: &[u8]) -> Option<Filter> {
    let header = TcHeader::parse(payload).ok()?;
    let (mut name, mut program, mut flags) = (None, None, 0);
    for attribute in NlasIterator::new(payload.get(20..)?) {
        let attribute = attribute.ok()?;
        if attribute.kind() & !NLA_F_NESTED == TCA_OPTIONS {
            let mut rest = attribute.value();
            while let Some((kind, value)) = next_attribute(&mut rest) {
                match kind {
                    TCA_BPF_NAME => name = Some(text(value).into_owned()),
                    TCA_BPF_FLAGS => flags = number(value).unwrap_or_default(),
                    TCA_BPF_ID => program = number(value),
                    _ => {}
                }
            }
        }
    }
    let handle = number(payload.get(8..12)?)?;
    (handle != 0).then_some(Filter {
        handle,
        name,
        program: program.filter(|_| flags & ACT_DIRECT != 0),
        info: header.info,
    })
}
