//! Which bytes say what this node has to say? Writing a frame, and how much goes into one.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::bytes::Room;
use super::group::{Statement, is_priority, lease_nanos};
use super::{
    ClusterId, FRAME_LEN_MAX, FRAME_LEN_MIN, GROUP_LEN, Group, HEARD_LEN, Header, Heard, Key,
    MAC_LEN, MAGIC, Reference, VERSION,
};
use crate::config::Family;

/// A frame to send.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat<'a> {
    /// To which cluster.
    pub cluster: ClusterId,
    /// Who speaks, and when.
    pub header: Header,
    /// Whom it hears.
    pub heard: &'a [Heard],
    /// What it says about the groups, by rising ids.
    pub groups: &'a [Group],
    /// What these have to do with a template.
    pub template: Option<Reference>,
}

/// Why a frame cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The buffer is too short, or the frame longer than [`FRAME_LEN_MAX`].
    #[error("a frame of {need} bytes, and room for {room}")]
    Room {
        /// The frame's length.
        need: usize,
        /// What there is.
        room: usize,
    },
    /// The ids of the groups do not rise.
    #[error("the groups of a frame are not in the order of their ids")]
    GroupOrder,
    /// The groups are no part of the template that they are said to be of.
    #[error("{groups} groups are not of the template that they are said to be of")]
    Reference {
        /// How many there are.
        groups: usize,
    },
    /// Not 1 to 254.
    #[error("the protocol has no priority {0}")]
    Priority(u8),
    /// Zero, or longer than [`LEASE_MAX`](super::LEASE_MAX).
    #[error("the protocol cannot express a lease of {0:?}")]
    Lease(Duration),
}

impl Heartbeat<'_> {
    /// Writes and signs the frame (what follows the IP header) into the start of `buffer`. Nothing
    /// is allocated.
    ///
    /// # Errors
    /// [`Unsendable`]; `buffer` is then as it was.
    pub fn emit<'b>(&self, key: &Key, buffer: &'b mut [u8]) -> Result<&'b [u8], Unsendable> {
        self.check_groups()?;
        let need = FRAME_LEN_MIN + self.heard.len() * HEARD_LEN + self.groups.len() * GROUP_LEN;
        let room = buffer.len().min(FRAME_LEN_MAX);
        // The frame fits FRAME_LEN_MAX, so its length and the counts fit their fields.
        let Some(frame) = buffer.get_mut(..need).filter(|_| need <= room) else {
            return Err(Unsendable::Room { need, room });
        };
        let (signed, mac) = frame.split_at_mut(need - MAC_LEN);
        self.put(need, key, &mut Room(signed));
        mac.copy_from_slice(&key.sign(signed));
        Ok(frame)
    }

    fn check_groups(&self) -> Result<(), Unsendable> {
        if !self.groups.is_sorted_by(|a, b| a.id < b.id) {
            return Err(Unsendable::GroupOrder);
        }
        let groups = self.groups.len();
        if self.template.is_some_and(|of| !of.suits(groups)) {
            return Err(Unsendable::Reference { groups });
        }
        for group in self.groups {
            if !is_priority(group.priority) {
                return Err(Unsendable::Priority(group.priority));
            }
            if let Statement::Request { lease, .. } = group.statement {
                lease_nanos(lease).ok_or(Unsendable::Lease(lease))?;
            }
        }
        Ok(())
    }

    fn put(&self, len: usize, key: &Key, room: &mut Room<'_>) {
        room.put(MAGIC);
        room.byte(VERSION);
        room.byte(self.header.path);
        room.short(len as u16);
        room.put(key.id().0);
        room.long(self.cluster.0);
        self.header.put(room);
        room.short(self.heard.len() as u16);
        room.short(self.groups.len() as u16);
        Reference::put(self.template, room);
        for heard in self.heard {
            heard.put(room);
        }
        for group in self.groups {
            group.put(room);
        }
    }
}

/// How many groups fit one frame on a link with this MTU beside `heard` entries of what is heard;
/// `None` if not even one does.
#[must_use]
pub fn max_groups(family: Family, mtu: usize, heard: usize) -> Option<NonZeroUsize> {
    let ip_header_len = match family {
        Family::V4 => 20,
        Family::V6 => 40,
    };
    let room = mtu.saturating_sub(ip_header_len).min(FRAME_LEN_MAX);
    let used = heard
        .saturating_mul(HEARD_LEN)
        .saturating_add(FRAME_LEN_MIN);
    NonZeroUsize::new(room.saturating_sub(used) / GROUP_LEN)
}

/// What each frame says: whom the sender hears, groups, and the place of the first of them. A peer counts only a frame that names it
/// as heard, so that where not all of them fit beside the groups, all groups are said to each part of
/// them.
pub fn frames<'a>(
    heard: &'a [Heard],
    groups: &'a [Group],
    family: Family,
    mtu: usize,
) -> impl Iterator<Item = (&'a [Heard], &'a [Group], usize)> {
    let fit = move |heard: &[Heard]| max_groups(family, mtu, heard.len());
    let all_fit = fit(heard).is_some_and(|most| most.get() >= groups.len());
    let half = max_groups(family, mtu, 0).map_or(1, |most| most.get() * GROUP_LEN / 2 / HEARD_LEN);
    let part = if all_fit { heard.len() } else { half };
    let nobody = heard.is_empty().then_some(heard);
    let parts = nobody.into_iter().chain(heard.chunks(part.max(1)));
    parts.flat_map(move |heard| {
        let most = fit(heard).unwrap_or(NonZeroUsize::MIN);
        let parts = split(groups, most).enumerate();
        parts.map(move |(at, groups)| (heard, groups, at * most.get()))
    })
}

/// The groups of each frame, `most` in one. Without groups there is still one frame: that this node
/// lives, and whom it hears, is worth saying.
pub fn split(groups: &[Group], most: NonZeroUsize) -> impl Iterator<Item = &[Group]> {
    let alone = groups.is_empty().then_some(groups);
    alone.into_iter().chain(groups.chunks(most.get()))
}
