//! Who changes its slot? A living holder does, every renewal; a dead or frozen one does not.

use std::time::Duration;

use super::area::{Area, Look};
use super::device::Blocks;
use crate::core::Instant;
use crate::sys::clock;
use crate::wire::disk::Member;

/// What was seen of a slot.
#[derive(Debug)]
pub struct Watched {
    /// Whose it is.
    pub member: Member,
    /// As it was last read.
    pub last: Look,
    /// How often it was different from the look before.
    pub changes: u64,
    /// How long it has been as it is now, of the time that it was watched.
    pub unchanged: Duration,
    since: Instant,
}

impl Watched {
    fn new(member: &Member, look: Look, now: Instant) -> Self {
        Self {
            member: member.clone(),
            last: look,
            changes: 0,
            unchanged: Duration::ZERO,
            since: now,
        }
    }

    fn see(&mut self, look: Look, now: Instant) {
        if self.last.differs(&look) {
            self.changes += 1;
            self.since = now;
        }
        self.unchanged = now.since(self.since);
        self.last = look;
    }
}

/// Looks at the slots of these nodes again and again for `length`, twice in each renewal, so that
/// two writes of a holder are not taken for one; at least once, and the last time at the end.
#[must_use]
pub fn watch(
    blocks: &impl Blocks,
    area: &Area,
    members: &[Member],
    length: Duration,
) -> Vec<Watched> {
    watch_until(blocks, area, members, length, |_| false)
}

/// The same, but for no longer than until something was seen.
pub(super) fn watch_until(
    blocks: &impl Blocks,
    area: &Area,
    members: &[Member],
    length: Duration,
    enough: impl Fn(&[Watched]) -> bool,
) -> Vec<Watched> {
    let look = |member: &Member| area.look(blocks, member);
    let first = |member| Watched::new(member, look(member), clock::now());
    let mut seen: Vec<Watched> = members.iter().map(first).collect();
    // The clock of the wait starts when the first reads are done.
    let end = clock::now() + length;
    loop {
        let left = end.since(clock::now());
        if left.is_zero() || enough(&seen) {
            return seen;
        }
        clock::sleep(left.min(area.header.times.renew() / 2));
        for watched in &mut seen {
            let look = look(&watched.member);
            watched.see(look, clock::now());
        }
    }
}
