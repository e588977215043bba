//! What does a frame say about a group? Its state, and one thing that it said.

use std::num::NonZeroU64;

use super::Herald;
use crate::agent::slot::Slot;
use crate::core::lease::{NodeId, Refusal};
use crate::core::{Fitness, RoleName, Say};
use crate::wire::native::{self, BootId, Group, GroupId, Role, Statement, Why};

impl Herald {
    /// The entries of the next frame: of `all` groups, or of those that have said something. What is
    /// said a second time waits for the frame after it.
    pub(super) fn collect(&mut self, slots: &[Slot], says: &mut Vec<(GroupId, Say)>, all: bool) {
        self.entries.clear();
        let mut later = Vec::new();
        let mut next = 0;
        for (id, place) in &self.order {
            // Those of a group that is no more are dropped.
            while says.get(next).is_some_and(|(of, _)| of < id) {
                next += 1;
            }
            let first = next;
            while says.get(next).is_some_and(|(of, _)| of == id) {
                next += 1;
            }
            let say = says[first..next].first().map(|(_, say)| say);
            later.extend(says[first..next].iter().skip(1));
            let Some(slot) = slots.get(*place).filter(|_| all || say.is_some()) else {
                continue;
            };
            self.entries.extend(entry(slot, say, &self.identity.nodes));
        }
        says.clear();
        says.append(&mut later);
    }
}

fn entry(slot: &Slot, say: Option<&Say>, nodes: &[native::NodeId]) -> Option<Group> {
    let spoken = slot.spoken()?;
    let (in_role, known, fitness) = slot.group.standing();
    let (epoch, statement) = match say {
        None => (known, Statement::Nothing),
        Some(Say::Request(request)) => (
            request.epoch,
            Statement::Request {
                nonce: NonZeroU64::new(request.nonce)?,
                lease: request.lease,
                holding: request.holding,
            },
        ),
        Some(Say::Grant(_, boot, nonce)) => (
            known,
            Statement::Ack {
                boot_id: BootId(boot.0.to_be_bytes()),
                nonce: NonZeroU64::new(*nonce)?,
            },
        ),
        Some(Say::Refuse(_, boot, nonce, why, floor)) => (
            *floor,
            Statement::Refusal {
                boot_id: BootId(boot.0.to_be_bytes()),
                nonce: NonZeroU64::new(*nonce)?,
                why: reason(*why),
            },
        ),
        Some(Say::Resign(resign)) => (
            resign.epoch,
            Statement::Resign {
                to: named(resign.to, nodes),
                boot_id: BootId(resign.boot.0.to_be_bytes()),
                nonce_last: NonZeroU64::new(resign.nonce_last)?,
            },
        ),
        Some(Say::Ask(_)) => (known, Statement::Ask),
    };
    Some(Group {
        id: spoken.id,
        number: spoken.number,
        role: role(in_role),
        priority: slot.group.settings().priority,
        fitness: match fitness {
            Fitness::Unfit => 0,
            Fitness::Level => LEVEL,
            Fitness::Fit => FIT,
        },
        addresses: spoken.addresses,
        epoch: epoch.number(),
        statement,
    })
}

/// See [`Fitness`]; there is room for what probes say.
pub(super) const FIT: u16 = 100;
const LEVEL: u16 = 50;

/// Nobody in particular is node 0, which is no node's sum.
fn named(to: Option<NodeId>, nodes: &[native::NodeId]) -> native::NodeId {
    let node = to.and_then(|to| nodes.get(usize::from(to)));
    node.copied().unwrap_or(native::NodeId(0))
}

fn role(role: RoleName) -> Role {
    match role {
        RoleName::Init => Role::Init,
        RoleName::Backup => Role::Backup,
        RoleName::Candidate => Role::Candidate,
        RoleName::Master => Role::Master,
        RoleName::Releasing => Role::Releasing,
        RoleName::Fault => Role::Fault,
        RoleName::Stopped => Role::Stopped,
        RoleName::Witness => Role::Witness,
    }
}

fn reason(why: Refusal) -> Why {
    match why {
        Refusal::Quarantine => Why::Quarantine,
        Refusal::Holding => Why::Holding,
        Refusal::Promised => Why::Promised,
        Refusal::Epoch => Why::Epoch,
        Refusal::Storing => Why::Storing,
        Refusal::Resigned => Why::Resigned,
        Refusal::Outranked => Why::Outranked,
        Refusal::Voters => Why::Voters,
        Refusal::Lease => Why::Lease,
        Refusal::Conflict => Why::Conflict,
    }
}
