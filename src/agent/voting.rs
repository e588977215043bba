//! What does a configuration say about the votes of the native protocol?

use std::io;
use std::time::Duration;

use crate::config::{Config, GroupConfig, Native, VoterKind, digest};
use crate::core::Voting;
use crate::core::lease::{self, Boot, BootId, Epoch, NodeId, Voters};
use crate::sys::clock;
use crate::wire::native::{self, ClusterId, GroupId, Keyring};

use super::herald::Identity;
use super::store::State;

/// What does not change about this node's votes while the agent runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elector {
    boot: BootId,
    me: NodeId,
    voters: Voters,
    /// They live as long as the agent: it has one list, and a change of it needs a restart.
    names: &'static [&'static str],
    /// The longest lease that the start before may have granted.
    longest: Duration,
    reference: bool,
    /// Nobody holds without the arbiter.
    always: bool,
}

impl Elector {
    /// This start of the agent; none where no group is native, nor is there a disk to ask.
    ///
    /// # Errors
    /// The kernel has no random numbers.
    pub(crate) fn new(config: &Config, state: &State) -> io::Result<Option<Self>> {
        if config.native.is_none() && !config.fencing.has_disk() {
            return Ok(None);
        }
        let voters = config.voters();
        let names: Vec<&'static str> = voters
            .iter()
            .map(|voter| &*Box::leak(voter.name.to_owned().into_boxed_str()))
            .collect();
        let bits = |kind| {
            let all = voters.iter().enumerate();
            all.filter(|(_, voter)| voter.kind == kind)
                .fold(0, |bits, (at, _)| bits | 1 << at)
        };
        let me = voters
            .iter()
            .position(|voter| voter.name == config.node.name);
        let me = me.and_then(|me| NodeId::try_from(me).ok()).unwrap_or(0);
        let mut random = [0; 16];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        Ok(Some(Self {
            boot: BootId(u128::from_ne_bytes(random)),
            me,
            voters: Voters {
                nodes: bits(VoterKind::Node),
                witnesses: bits(VoterKind::Witness),
                arbiter: config.fencing.has_disk(),
                hash: digest::voters(config).0,
            },
            names: Vec::leak(names),
            longest: Duration::from_nanos(state.lease_ns),
            reference: config.fencing.reference.is_some(),
            always: config.fencing.needs_disk(),
        }))
    }

    /// This start of the agent.
    pub(crate) const fn boot_id(&self) -> BootId {
        self.boot
    }

    pub(crate) fn number(&self, name: &str) -> Option<NodeId> {
        let place = self.names.iter().position(|known| *known == name)?;
        NodeId::try_from(place).ok()
    }

    pub(crate) fn voting(&self, native: &Native, group: &GroupConfig) -> Voting {
        Voting {
            lease: lease::Settings {
                group: GroupId::of(&group.name).0,
                me: self.me,
                priority: group.priority,
                voters: self.voters,
                lease: native.interval.saturating_mul(native.misses),
                interval: native.interval,
                granularity: lease::GRANULARITY,
                reference: self.reference,
                always: self.always,
            },
            names: self.names,
        }
    }

    pub(crate) fn boot(&self, state: &State, group: &str) -> Boot {
        let stored = state.epochs.get(group).copied().unwrap_or_default();
        Boot {
            id: self.boot,
            stored: Epoch::from_number(stored),
            longest: self.longest,
            // No group asks once in a nanosecond.
            nonce: clock::now().as_nanos(),
        }
    }

    pub(crate) fn identity(&self, config: &Config, native: &Native) -> Identity {
        let cluster = config.cluster.as_ref().map_or("", |cluster| &cluster.name);
        let keys = native.keys.clone();
        Identity {
            cluster: ClusterId::of(cluster),
            me: self.me,
            boot: self.boot,
            nodes: self
                .names
                .iter()
                .map(|name| native::NodeId::of(name))
                .collect(),
            names: self.names,
            configuration: digest::configuration(config, native),
            keys: Keyring::new(keys.current, keys.old),
            interval: native.interval,
            lease: native.interval.saturating_mul(native.misses),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_begins_anew_goes_on_with_the_nonces_of_this_start() {
        let elector = Elector {
            boot: BootId(1),
            me: 0,
            voters: Voters {
                nodes: 0b11,
                witnesses: 0,
                arbiter: false,
                hash: 0,
            },
            names: &["lb-a", "lb-b"],
            longest: Duration::ZERO,
            reference: false,
            always: false,
        };
        let first = elector.boot(&State::default(), "web");
        let again = elector.boot(&State::default(), "web");
        assert_eq!(first.id, again.id);
        assert!(first.nonce > 0 && again.nonce >= first.nonce);
    }
}
