//! How is the same said of many groups again, without saying it of each?
//!
//! While nothing happens, a heartbeat says of every group what the one before it said, with the next
//! nonce. So a node numbers what it says of many groups, as a *template*, and whoever has heard all of
//! it says so. From then on the number stands for it, and how far the nonces have gone on since, as with
//! the contexts of header compression (RFC 5795, section 3). What is referred to means exactly what would
//! be written out, or nothing at all.

use std::num::NonZeroU32;

use super::bytes::{Fields, Room};
use super::{Group, Nonce, Rejected, Statement};

/// Templates of one run of a node that are remembered at a time: a new one takes the place of the one
/// whose number has the same remainder.
pub const TEMPLATES: usize = 4;
/// What was used within so many uses of any keeps its place: who says more things in turn than there are
/// places writes one of them out each time, and not all.
const KEPT_FOR: u32 = 2 * TEMPLATES as u32;
/// Fewer are as quickly written out ...
const GROUPS_MIN: usize = 4;
/// ... and nobody has to remember more.
pub const TEMPLATE_GROUPS_MAX: u16 = 4096;

/// The numbers of the templates that a node remembers of another; 0 is none.
pub type Remembered = [u32; TEMPLATES];

/// What a frame has to do with a template: it writes a part of it out, or stands for all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Which; of one run of the sender.
    pub number: NonZeroU32,
    /// By how much the nonces are greater than those of the template.
    pub advance: u32,
    /// The place of the frame's first group in the template.
    pub first: u16,
    /// How many groups the template has.
    pub total: u16,
}

impl Reference {
    /// None where all is zero.
    pub(super) fn take(fields: &mut Fields<'_>, groups: usize) -> Result<Option<Self>, Rejected> {
        let (number, advance) = (fields.word(), fields.word());
        let (first, total) = (fields.short(), fields.short());
        let Some(number) = NonZeroU32::new(number) else {
            return match (advance, first, total) {
                (0, 0, 0) => Ok(None),
                _ => Err(Rejected::Reference),
            };
        };
        let reference = Self {
            number,
            advance,
            first,
            total,
        };
        match reference.suits(groups) {
            true => Ok(Some(reference)),
            false => Err(Rejected::Reference),
        }
    }

    /// Whether a frame of so many groups may have it.
    pub(super) fn suits(self, groups: usize) -> bool {
        let end = usize::from(self.first) + groups;
        let stands_for_all = groups == 0 && self.first == 0;
        let is_part = groups > 0 && end <= usize::from(self.total);
        let has_size = (1..=TEMPLATE_GROUPS_MAX).contains(&self.total);
        has_size && (stands_for_all || is_part)
    }

    pub(super) fn put(of: Option<Self>, room: &mut Room<'_>) {
        room.word(of.map_or(0, |of| of.number.get()));
        room.word(of.map_or(0, |of| of.advance));
        room.short(of.map_or(0, |of| of.first));
        room.short(of.map_or(0, |of| of.total));
    }

    /// The same for a frame that begins with a later group.
    #[must_use]
    pub fn from(self, first: usize) -> Self {
        let first = u16::try_from(first).unwrap_or(u16::MAX);
        Self { first, ..self }
    }

    fn slot(self) -> usize {
        slot(self.number)
    }
}

const fn slot(number: NonZeroU32) -> usize {
    number.get() as usize % TEMPLATES
}

/// Whether a node that remembers these could look this one up.
#[must_use]
pub fn remembers(remembered: &Remembered, number: NonZeroU32) -> bool {
    remembered[slot(number)] == number.get()
}

impl Statement {
    /// The nonce that goes on while everything else stays.
    fn nonce_mut(&mut self) -> Option<&mut Nonce> {
        match self {
            Statement::Request { nonce, .. }
            | Statement::Ack { nonce, .. }
            | Statement::Refusal { nonce, .. } => Some(nonce),
            Statement::Nothing | Statement::Resign { .. } | Statement::Ask => None,
        }
    }
}

/// The templates that this node has given out.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    kept: [Option<Kept>; TEMPLATES],
    turn: u32,
}

#[derive(Clone, Debug)]
struct Kept {
    number: NonZeroU32,
    /// Which of the calls was the last to use it.
    used: u32,
    groups: Vec<Group>,
}

impl Templates {
    /// The template that says this of these groups, made if there is room for it; none for a few groups,
    /// or for very many. The reference is to all of it.
    pub fn refer(&mut self, groups: &[Group]) -> Option<Reference> {
        let total = u16::try_from(groups.len()).ok()?;
        if groups.len() < GROUPS_MIN || total > TEMPLATE_GROUPS_MAX {
            return None;
        }
        self.turn = self.turn.wrapping_add(1);
        let turn = self.turn;
        let known = self.kept.iter_mut().flatten();
        let mut known = known.filter_map(|kept| Some((advance(&kept.groups, groups)?, kept)));
        if let Some((advance, kept)) = known.next() {
            kept.used = turn;
            let number = kept.number;
            return Some(Reference {
                number,
                advance,
                first: 0,
                total,
            });
        }
        drop(known);
        let number = self.keep(groups)?;
        Some(Reference {
            number,
            advance: 0,
            first: 0,
            total,
        })
    }

    /// In the place of the one that was not used for longest; under a number that was never given out.
    fn keep(&mut self, groups: &[Group]) -> Option<NonZeroU32> {
        let turn = self.turn;
        let age = |at: &usize| {
            let kept = self.kept[*at].as_ref();
            kept.map_or(u32::MAX, |kept| turn.wrapping_sub(kept.used))
        };
        let place = (0..TEMPLATES).rev().max_by_key(age)?;
        if age(&place) < KEPT_FOR {
            return None;
        }
        let last = self.kept.iter().flatten().map(|kept| kept.number.get());
        let above = last.max().unwrap_or(0).checked_add(1)?;
        let ahead = (TEMPLATES + place - above as usize % TEMPLATES) % TEMPLATES;
        let number = NonZeroU32::new(above.checked_add(ahead as u32)?)?;
        let mut room = self.kept[place].take().map(|kept| kept.groups);
        let mut copy = room.take().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(groups);
        self.kept[place] = Some(Kept {
            number,
            used: turn,
            groups: copy,
        });
        Some(number)
    }
}

/// By how much the nonces went on, where nothing else has changed.
fn advance(before: &[Group], now: &[Group]) -> Option<u32> {
    if before.len() != now.len() {
        return None;
    }
    let mut by = None;
    for (before, now) in before.iter().zip(now) {
        let (mut same, mut statement) = (*before, now.statement);
        if let (Some(old), Some(new)) = (same.statement.nonce_mut(), statement.nonce_mut()) {
            let step = new.get().checked_sub(old.get())?;
            let step = u32::try_from(step).ok()?;
            if *by.get_or_insert(step) != step {
                return None;
            }
            *old = *new;
        }
        if same != *now {
            return None;
        }
    }
    Some(by.unwrap_or(0))
}

/// What is remembered of one run of another node.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    parts: [Option<Part>; TEMPLATES],
}

/// A template, as far as it was heard.
#[derive(Clone, Debug)]
struct Part {
    number: NonZeroU32,
    missing: usize,
    groups: Vec<Option<Group>>,
}

impl Learned {
    /// Notes what a frame writes out of a template. It is remembered once all of it was heard, in
    /// whatever order.
    pub fn learn(&mut self, reference: Reference, groups: impl Iterator<Item = Group>) {
        let total = usize::from(reference.total);
        let place = &mut self.parts[reference.slot()];
        let is_newer = |part: &Part| part.number > reference.number;
        if place.as_ref().is_some_and(is_newer) {
            // Overtaken on its way.
            return;
        }
        let part = place.take();
        let part =
            part.filter(|part| (part.number, part.groups.len()) == (reference.number, total));
        let mut changed = false;
        let part = place.insert(part.unwrap_or_else(|| Part {
            number: reference.number,
            missing: total,
            groups: vec![None; total],
        }));
        for (place, group) in part
            .groups
            .iter_mut()
            .skip(reference.first.into())
            .zip(groups)
        {
            let Some(base) = moved(group, |nonce| nonce.checked_sub(reference.advance.into()))
            else {
                continue;
            };
            part.missing -= usize::from(place.is_none());
            // A template never changes. One that does is of a sender that was set back, or of two that
            // have the key: what stood for it is forgotten.
            changed |= place.replace(base).is_some_and(|known| known != base);
        }
        let in_order = || {
            let ids = part.groups.iter().flatten().map(|group| group.id);
            ids.is_sorted_by(|a, b| a < b)
        };
        if changed || part.missing == 0 && !in_order() {
            *place = None;
        }
    }

    /// What a frame stands for, by rising ids: every group of it or, if not all of it is known, none.
    pub fn recall(&self, reference: Reference) -> Option<impl Iterator<Item = Group> + '_> {
        let part = self.parts[reference.slot()].as_ref()?;
        let is_it = part.number == reference.number && part.missing == 0;
        if !is_it || part.groups.len() != usize::from(reference.total) {
            return None;
        }
        let by = u64::from(reference.advance);
        let groups = part.groups.iter().flatten();
        Some(groups.filter_map(move |group| moved(*group, |nonce| nonce.checked_add(by))))
    }

    /// What to tell the sender.
    #[must_use]
    pub fn remembered(&self) -> Remembered {
        let whole = |part: &Option<Part>| {
            let part = part.as_ref().filter(|part| part.missing == 0);
            part.map_or(0, |part| part.number.get())
        };
        std::array::from_fn(|at| whole(&self.parts[at]))
    }
}

/// The same with another nonce; none if there is no such nonce.
fn moved(mut group: Group, to: impl Fn(u64) -> Option<u64>) -> Option<Group> {
    if let Some(nonce) = group.statement.nonce_mut() {
        *nonce = Nonce::new(to(nonce.get())?)?;
    }
    Some(group)
}
