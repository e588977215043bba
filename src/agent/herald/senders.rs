//! Where did authentic frames come from? Whoever speaks from there and proves nothing is worth an alarm.

use std::net::IpAddr;

use crate::core::lease::NodeId;

/// Addresses of a node that are kept: it has a few, one or two for each wire.
const EACH: usize = 8;

/// The last addresses of each node. What somebody relays, under whatever addresses, takes places of
/// the node that said it and of no other.
#[derive(Debug)]
pub(super) struct Senders(Vec<Vec<IpAddr>>);

impl Senders {
    pub(super) fn new(nodes: usize) -> Self {
        Self((0..nodes).map(|_| Vec::with_capacity(EACH)).collect())
    }

    /// An authentic frame of the node came from there; it is the last to be forgotten.
    pub(super) fn note(&mut self, node: NodeId, from: IpAddr) {
        let Some(known) = self.0.get_mut(usize::from(node)) else {
            return;
        };
        if known.last() == Some(&from) {
            return;
        }
        match known.iter().position(|address| *address == from) {
            Some(place) => known[place..].rotate_left(1),
            None => {
                if known.len() == EACH {
                    known.remove(0);
                }
                known.push(from);
            }
        }
    }

    pub(super) fn contains(&self, from: IpAddr) -> bool {
        self.0.iter().any(|known| known.contains(&from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_node_whose_frames_are_relayed_keeps_its_place_and_takes_none_of_another() {
        let mut senders = Senders::new(3);
        senders.note(1, address(1));
        senders.note(2, address(2));
        for relay in 100..=255 {
            senders.note(2, address(relay));
            senders.note(2, address(2));
        }
        assert!(senders.contains(address(1)) && senders.contains(address(2)));
        assert!(senders.contains(address(255)) && !senders.contains(address(100)));
        assert_eq!(senders.0[2].len(), EACH);
    }

    #[test]
    fn nobody_is_no_node() {
        let mut senders = Senders::new(1);
        senders.note(1, address(1));
        assert!(!senders.contains(address(1)));
    }
}
