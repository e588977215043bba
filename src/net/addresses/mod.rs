//! How do addresses go on and off, and how is it known that they did?
//!
//! A [`Change`] works in steps, so that whoever drives it can do something else in between:
//! look what is there, change what differs, look again, until nothing differs.
//!
//! The kernel walks lists for each address that goes on: ten thousand take it two seconds. Where
//! many IPv4 addresses are missing, local routes of ours lead: they take a tenth of that, and with
//! them the host answers like with the addresses, which follow. While the leads stand in, the
//! kernel's own routes are kept off one of those lists. The leads go when the addresses are on.

mod lead;
mod plan;
mod sweep;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use super::rtnl::{Act, AddressState, Edit, Refusal, Rtnl, promotes_secondaries};
use crate::config::Family;
use crate::core::{AddressFault, AddressFaultKind, Outcome};
use lead::Lead;
use plan::{Removal, Targets, is_ours};

pub use sweep::sweep;

/// IFA_PROTO of every address that Floatlock puts on.
pub const OURS: u8 = 112;

/// Up to this many addresses go on without a look at what is there first.
const FEW: usize = 64;
/// Looks at what is there, until what still differs counts as a fault. Two are needed; more only
/// when somebody else changes the same addresses at the same time.
const LOOKS: u32 = 4;

/// An address and its place. It goes on as /32 or /128.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Placed {
    /// The name of the interface.
    pub interface: Arc<str>,
    /// The address.
    pub address: IpAddr,
}

/// How far a change is.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Call again.
    More,
    /// The host answers for all of them, as read back, but not all are on yet: call again.
    Answering,
    /// It is over: all on (all off), as read back, or why not.
    Done(Outcome, Stats),
}

/// What a change did, for the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Addresses that the kernel changed.
    pub changed: usize,
    /// Addresses of the group that somebody else had put on.
    pub untagged: usize,
    /// The first of them.
    pub first_untagged: Option<AddressState>,
    /// An address that must come off but stays, since the kernel would take the host's own
    /// addresses of the same network along (`net.ipv4.conf.*.promote_secondaries` is 0). The
    /// outcome is then `Refused(EBUSY)`.
    pub held_back: Option<AddressState>,
    /// What the kernel said of the first change that it refused.
    pub said: Option<String>,
}

/// All of a group's addresses, on their way on or off.
#[derive(Debug)]
pub struct Change {
    goal: Goal,
    placed: Arc<[Placed]>,
    stage: Stage,
    lead: Lead,
    targets: Targets,
    edits: Vec<Edit>,
    looks: u32,
    /// Untagged addresses were adopted. Not every kernel that keeps tags lets them be changed:
    /// once is enough.
    adopted: bool,
    refused: Option<AddressFault>,
    stats: Stats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    On,
    Off,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Start,
    Look,
    Edit {
        next: usize,
    },
    /// Whether the host answers for all that were led.
    SeeLead,
    /// All are on: what led them goes.
    EndLead,
}

impl Change {
    /// Puts all of them on; those that are on stay untouched.
    #[must_use]
    pub fn acquire(addresses: Arc<[Placed]>) -> Self {
        Self::new(Goal::On, addresses)
    }

    /// Takes all of them off, with every prefix length and whoever put them on: while one of them
    /// is there, the host answers. Those that are off are fine.
    #[must_use]
    pub fn release(addresses: Arc<[Placed]>) -> Self {
        Self::new(Goal::Off, addresses)
    }

    fn new(goal: Goal, placed: Arc<[Placed]>) -> Self {
        Self {
            goal,
            placed,
            stage: Stage::Start,
            lead: Lead::default(),
            targets: Targets::default(),
            edits: Vec::new(),
            looks: 0,
            adopted: false,
            refused: None,
            stats: Stats::default(),
        }
    }

    /// Does one slice of work: at most [`Rtnl::BATCH`] changes, or one look.
    pub fn step(&mut self, rtnl: &mut Rtnl) -> Progress {
        let result = match self.stage {
            Stage::Start => self.start(rtnl),
            Stage::Look => self.look(rtnl),
            Stage::Edit { next } => self.edit(rtnl, next),
            Stage::SeeLead => self.see_lead(rtnl),
            Stage::EndLead => self.end_lead(rtnl),
        };
        result.unwrap_or_else(|error| {
            self.stats.said.get_or_insert_with(|| error.to_string());
            self.end(Err(self.failure(&error)))
        })
    }

    fn end(&mut self, outcome: Outcome) -> Progress {
        Progress::Done(outcome, std::mem::take(&mut self.stats))
    }

    fn start(&mut self, rtnl: &mut Rtnl) -> io::Result<Progress> {
        let mut indices: HashMap<Arc<str>, Option<u32>> = HashMap::new();
        for placed in &*self.placed.clone() {
            let index = match indices.get(&placed.interface) {
                Some(index) => *index,
                None => {
                    let index = rtnl.link(&placed.interface)?.map(|link| link.index);
                    indices.insert(placed.interface.clone(), index);
                    index
                }
            };
            match (index, self.goal) {
                (Some(index), _) => self.targets.add(index, placed.address),
                (None, Goal::Off) => self.targets.add_stray(placed.address),
                (None, Goal::On) => {
                    let kind = AddressFaultKind::NoInterface;
                    return Ok(self.end(Err(fault(placed.address, kind))));
                }
            }
        }
        self.stage = Stage::Look;
        if self.goal == Goal::On && self.are_few() {
            self.edits = self.targets.additions();
            self.stage = Stage::Edit { next: 0 };
        }
        Ok(Progress::More)
    }

    fn are_few(&self) -> bool {
        self.targets.iter().count() <= FEW
    }

    fn look(&mut self, rtnl: &mut Rtnl) -> io::Result<Progress> {
        self.looks += 1;
        let seen = self.seen(rtnl)?;
        if rtnl.tags() {
            self.count_untagged(&seen);
        }
        match self.goal {
            Goal::On => {
                let adopt = rtnl.tags() && !self.adopted;
                self.edits = self.targets.missing(&seen, adopt);
                self.adopted = true;
                if self.lead == Lead::NotYet && lead::pays(&self.edits) {
                    return Ok(self.begin_lead());
                }
            }
            Goal::Off => {
                let removal = self.removal(rtnl, &seen);
                self.edits = self.what_leads(rtnl)?;
                self.edits.extend(removal.edits);
                self.stats.held_back = removal.held_back.first().copied();
            }
        }
        self.stage = Stage::Edit { next: 0 };
        match self.verdict() {
            Some(Ok(())) if self.goal == Goal::On && !self.are_few() => {
                self.stage = Stage::EndLead;
                Ok(Progress::More)
            }
            Some(outcome) => Ok(self.end(outcome)),
            None => Ok(Progress::More),
        }
    }

    /// What a look shows: over, or (none) something is left to do.
    fn verdict(&self) -> Option<Outcome> {
        match (self.edits.first(), self.stats.held_back) {
            (None, None) => Some(Ok(())),
            (None, Some(state)) => {
                let kind = AddressFaultKind::Refused(libc::EBUSY);
                Some(Err(fault(state.address, kind)))
            }
            (Some(_), _) if self.refused.is_some() => self.refused.map(Err),
            (Some(left), _) if self.looks == LOOKS => {
                Some(Err(fault(left.address, AddressFaultKind::NotSeen)))
            }
            (Some(_), _) => None,
        }
    }

    fn edit(&mut self, rtnl: &mut Rtnl, next: usize) -> io::Result<Progress> {
        let end = self.edits.len().min(next + Rtnl::BATCH);
        let slice = &self.edits[next..end];
        let mut refusals = Vec::new();
        rtnl.apply(slice, &mut |refusal| refusals.push(refusal))?;
        if !self.lead.is_under_way() {
            self.stats.changed += slice.len() - refusals.len();
        }
        if self.lead == (Lead::Followed { alone: true }) {
            lead::keep_routes_few(rtnl, slice, &refusals)?;
        }
        for refusal in refusals {
            let edit = self.edits[next + refusal.position];
            self.note(edit, refusal);
        }
        if let (Goal::On, Some(refused)) = (self.goal, self.refused) {
            return Ok(self.end(Err(refused)));
        }
        if end < self.edits.len() {
            self.stage = Stage::Edit { next: end };
            return Ok(Progress::More);
        }
        self.stage = match self.lead {
            Lead::Going => Stage::SeeLead,
            Lead::Restoring => Stage::EndLead,
            Lead::Ending => return Ok(self.end(Ok(()))),
            _ => Stage::Look,
        };
        Ok(Progress::More)
    }

    /// A refusal that only says "it is so already" is none. Of the others the first counts; a
    /// release goes on after it.
    fn note(&mut self, edit: Edit, refusal: Refusal) {
        let kind = match (edit.act, refusal.errno, self.goal) {
            (Act::Add { .. }, libc::EEXIST, _) | (Act::Delete { .. }, libc::EADDRNOTAVAIL, _) => {
                return;
            }
            // What leads only spares time: without it the addresses go on all the same, and a
            // look shows what still answers when they should be off.
            (Act::Lead { .. } | Act::Unlead { .. } | Act::Route | Act::Unroute, _, _) => return,
            (_, libc::ENODEV, Goal::Off) => return,
            (_, libc::ENODEV, Goal::On) => AddressFaultKind::NoInterface,
            (_, errno, _) => AddressFaultKind::Refused(errno),
        };
        if self.refused.is_none() {
            self.refused = Some(fault(edit.address, kind));
            self.stats.said = refusal.said;
        }
    }

    /// All addresses of the interfaces and families that the change is about.
    fn seen(&self, rtnl: &mut Rtnl) -> io::Result<Vec<AddressState>> {
        if self.targets.has_strays() {
            return rtnl.addresses();
        }
        let mut places: BTreeMap<(u32, Family), usize> = BTreeMap::new();
        for (index, address) in self.targets.iter() {
            *places.entry((index, Family::of(address))).or_default() += 1;
        }
        let mut seen = Vec::new();
        for ((index, family), count) in places {
            rtnl.expect(index, family, count);
            seen.append(&mut rtnl.addresses_on(index, family)?);
        }
        Ok(seen)
    }

    fn removal(&self, rtnl: &mut Rtnl, seen: &[AddressState]) -> Removal {
        let covers = |state: &AddressState| self.targets.covers(state);
        let mut removal = plan::removal(seen, covers, |index| promotes(rtnl, index));
        self.targets.sort(&mut removal.edits);
        removal
    }

    fn count_untagged(&mut self, seen: &[AddressState]) {
        let covered = |state: &&AddressState| !is_ours(state) && self.targets.covers(state);
        let mut untagged = seen.iter().filter(covered).copied().peekable();
        let first = untagged.peek().copied();
        self.stats.untagged = self.stats.untagged.max(untagged.count());
        self.stats.first_untagged = self.stats.first_untagged.or(first);
    }

    fn failure(&self, error: &io::Error) -> AddressFault {
        let kind = match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::TimedOut | io::ErrorKind::Interrupted, _) | (_, None) => {
                AddressFaultKind::Late
            }
            (_, Some(errno)) => AddressFaultKind::Refused(errno),
        };
        let address = None;
        AddressFault { address, kind }
    }
}

fn fault(address: IpAddr, kind: AddressFaultKind) -> AddressFault {
    let address = Some(address);
    AddressFault { address, kind }
}

/// Whether the interface of this index promotes secondary addresses. Not knowing is a no.
fn promotes(rtnl: &mut Rtnl, index: u32) -> bool {
    let link = rtnl.link_at(index).ok().flatten();
    link.is_some_and(|link| promotes_secondaries(&link.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_over(looks: u32, refused: Option<AddressFault>) -> Option<Outcome> {
        let address = IpAddr::from([192, 0, 2, 10]);
        let act = Act::Add { protocol: OURS };
        let mut change = Change::acquire([].into());
        change.edits = vec![Edit {
            index: 3,
            address,
            act,
        }];
        change.looks = looks;
        change.refused = refused;
        change.verdict()
    }

    #[test]
    fn what_still_differs_after_the_last_look_was_not_seen() {
        assert_eq!(left_over(LOOKS - 1, None), None);
        let not_seen = fault([192, 0, 2, 10].into(), AddressFaultKind::NotSeen);
        assert_eq!(left_over(LOOKS, None), Some(Err(not_seen)));
    }

    #[test]
    fn what_was_refused_and_still_differs_is_not_tried_again() {
        let refused = fault(
            [192, 0, 2, 11].into(),
            AddressFaultKind::Refused(libc::EPERM),
        );
        assert_eq!(left_over(1, Some(refused)), Some(Err(refused)));
    }

    #[test]
    fn a_change_that_was_made_by_somebody_else_is_no_refusal() {
        let address = IpAddr::from([192, 0, 2, 10]);
        let gone = Act::Delete {
            prefix_len: 32,
            peer: None,
        };
        let cases = [
            (Change::release([].into()), gone, libc::EADDRNOTAVAIL, None),
            (Change::release([].into()), gone, libc::ENODEV, None),
            (
                Change::acquire([].into()),
                Act::Add { protocol: OURS },
                libc::EEXIST,
                None,
            ),
            (
                Change::acquire([].into()),
                Act::Add { protocol: OURS },
                libc::ENODEV,
                Some(AddressFaultKind::NoInterface),
            ),
            (
                Change::release([].into()),
                gone,
                libc::EPERM,
                Some(AddressFaultKind::Refused(libc::EPERM)),
            ),
        ];
        for (mut change, act, errno, kind) in cases {
            let refusal = Refusal {
                position: 0,
                errno,
                said: None,
            };
            let index = 3;
            change.note(
                Edit {
                    index,
                    address,
                    act,
                },
                refusal,
            );
            assert_eq!(change.refused.map(|fault| fault.kind), kind, "{errno}");
        }
    }
}
