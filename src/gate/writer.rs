//! Who tells nftables until when a slot is open? A thread of its own, since a transaction may take
//! long: whoever else changes a ruleset on this host keeps everybody waiting.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::NAME;
use super::text::open_set;
use super::wishes::{Wish, Wishes};
use crate::core::Instant;
use crate::net::nft::{Act, Edit, Nft};
use crate::sys::clock;
use crate::sys::wake::Wake;

/// What is asked of all frames: each is of one of these protocols (ETH_P_IP, ETH_P_ARP, ETH_P_IPV6),
/// so that a set that has them all lets everything pass.
const PROTOCOLS: [&[u8]; 3] = [&[0x08, 0x00], &[0x08, 0x06], &[0x86, 0xdd]];
/// The longest tick of a kernel. Time is rounded down to whole ticks, but never to none: an element
/// with less than this before it would stay for too long.
const TICK: Duration = Duration::from_millis(10);
/// A transaction that took longer has made the time in it too long by that: it is written again, as
/// far ahead of time as it came late.
const LATE: Duration = Duration::from_millis(2);
/// Slots in one transaction.
const AT_ONCE: usize = 128;
/// An element whose time was over between two requests of a transaction spoils it.
const TRIES: u32 = 3;
/// Between two attempts while the kernel refuses.
const PAUSE_MS: u16 = 20;

/// Writes what is asked of the shutters, until [`super::Gate::end`].
#[derive(Debug)]
pub struct Writer {
    nft: Nft,
    wake: Wake,
    wishes: Arc<Wishes>,
    /// By slot: how much of what was asked is in the kernel.
    written: Vec<u64>,
    due: Vec<Due>,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    slot: usize,
    asked: u64,
    wish: Wish,
}

impl Writer {
    pub(super) fn new(nft: Nft, wake: Wake, wishes: Arc<Wishes>) -> Self {
        Self {
            nft,
            wake,
            written: vec![0; wishes.len()],
            wishes,
            due: Vec::new(),
        }
    }

    /// Writes. `alarm` is called when the kernel begins to refuse: the table may be gone.
    pub fn run(mut self, alarm: &dyn Fn()) {
        let mut fails = false;
        while !self.wishes.has_ended() {
            self.wake.clear();
            let refused = self.write();
            if let Err(error) = refused {
                self.wishes.has_failed(error, clock::now());
                if !std::mem::replace(&mut fails, true) {
                    alarm();
                }
            } else {
                fails = false;
            }
            self.wait(fails);
        }
    }

    /// All that is asked, the latest of it.
    fn write(&mut self) -> io::Result<()> {
        let (mut ahead, mut tries) = (Duration::ZERO, TRIES);
        loop {
            self.collect();
            if self.due.is_empty() {
                return Ok(());
            }
            self.wishes.is_writing(clock::now());
            let took = self.transact(ahead)?;
            let done = self.due.iter().map(|due| (due.slot, due.asked, due.wish));
            self.wishes.has_written(done.clone());
            tries -= 1;
            if took > ahead + LATE && tries > 0 {
                ahead = took;
                continue;
            }
            done.for_each(|(slot, asked, _)| self.written[slot] = asked);
            tries = TRIES;
        }
    }

    fn collect(&mut self) {
        let Self {
            wishes,
            written,
            due,
            ..
        } = self;
        due.clear();
        let all = written.iter().enumerate().filter_map(|(slot, written)| {
            let (asked, wish) = wishes.due(slot, *written)?;
            Some(Due { slot, asked, wish })
        });
        due.extend(all.take(AT_ONCE));
    }

    /// Returns how long it took from when the times in it were worked out.
    fn transact(&mut self, ahead: Duration) -> io::Result<Duration> {
        let sets: Vec<String> = self.due.iter().map(|due| open_set(due.slot)).collect();
        let mut tries = TRIES;
        loop {
            let now = clock::now();
            let due = self.due.iter().zip(&sets);
            let edits: Vec<Edit<'_>> = due
                .flat_map(|(due, set)| edits(set, due.wish, now + ahead))
                .collect();
            tries -= 1;
            match self.nft.change(NAME, &edits) {
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) && tries > 0 => {}
                done => return done.map(|()| clock::now().since(now)),
            }
        }
    }

    fn wait(&self, fails: bool) {
        let timeout = match fails {
            true => PollTimeout::from(PAUSE_MS),
            false => PollTimeout::NONE,
        };
        let mut fds = [PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        // EINTR: one turn more.
        let _ = poll(&mut fds, timeout);
    }
}

/// Adding what is there does not change its time, and deleting what is not there fails: add, delete,
/// and add what is to be there then.
fn edits(set: &str, wish: Wish, now: Instant) -> impl Iterator<Item = Edit<'_>> {
    let edit = move |act| Edit {
        set,
        keys: &PROTOCOLS,
        act,
    };
    let any = Act::Add {
        ends_in: Some(TICK),
    };
    let then = match wish {
        Wish::Disarmed => Some(None),
        Wish::Until(until) => Some(until.since(now))
            .filter(|left| *left >= TICK)
            .map(Some),
    };
    let then = then.map(|ends_in| Act::Add { ends_in });
    [Some(any), Some(Act::Delete), then]
        .into_iter()
        .flatten()
        .map(edit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(wish: Wish) -> Act {
        let now = Instant::from_nanos(1_000_000_000);
        edits("open_1", wish, now).last().unwrap().act
    }

    fn until(millis: u64) -> Wish {
        Wish::Until(Instant::from_nanos(1_000_000_000) + Duration::from_millis(millis))
    }

    #[test]
    fn an_open_slot_ends_by_itself_and_a_disarmed_one_never() {
        let ends_in = Some(Duration::from_millis(273));
        assert_eq!(last(until(273)), Act::Add { ends_in });
        assert_eq!(last(Wish::Disarmed), Act::Add { ends_in: None });
    }

    #[test]
    fn what_is_over_or_about_to_be_is_shut() {
        for wish in [until(0), until(9), Wish::Until(Instant::default())] {
            assert_eq!(last(wish), Act::Delete);
        }
    }
}
