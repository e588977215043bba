//! Who gets our vote? The side that promises.

use std::time::Duration;

use super::epoch::{Epoch, NodeId};
use super::words::{BootId, Effect, Effects, Loss, Nonce, Rank, Refusal, Request, Resign};
use super::{HURRIES, Lease};
use crate::core::time::Instant;

/// The vote, and whose it is until when. Kept when it has ended, for its nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Promise {
    pub(super) boot: BootId,
    /// The highest that was granted: a RESIGN must cover it to end the promise.
    nonce: Nonce,
    pub(super) until: Instant,
}

/// The last RESIGN of a node: what that boot asked up to this nonce is never granted any more, so
/// that a late request cannot bring back the promise against the successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Resigned {
    node: NodeId,
    boot: BootId,
    nonce_last: Nonce,
}

impl Lease {
    pub(super) fn asked(&mut self, from: NodeId, request: Request, out: &mut Effects) {
        if !self.is_peer_node(from) || request.group != self.settings.group {
            return;
        }
        self.hear();
        self.epochs.see(request.epoch);
        let rank = Rank {
            priority: request.priority,
            node: from,
        };
        if request.holding {
            self.meet(rank, &request, out);
        }
        match self.judge(from, rank, &request, out) {
            Ok(()) => self.grant(from, &request, out),
            Err(why) => {
                let floor = self.floor_for(why, &request);
                out.push(Effect::Refuse(from, why, floor));
            }
        }
    }

    /// A question that may be of a while ago is no question, but who asked it lives, and whoever of a pair
    /// holds by an older epoch was passed over: the other one was cut off, and does not hear it.
    pub(super) fn overhear(&mut self, from: NodeId, request: Request, out: &mut Effects) {
        let is_ours = self.is_peer_node(from) && request.group == self.settings.group;
        if !is_ours || !self.settings.voters.pair() {
            return;
        }
        self.hear();
        if request.holding {
            let rank = Rank {
                priority: request.priority,
                node: from,
            };
            self.meet(rank, &request, out);
        }
    }

    /// What the asker should rise above. A voter in quarantine grants nothing in any case, and after a
    /// restart its floor is far above all epochs that were used: an asker that rose above it would make
    /// worthless what the others have granted.
    fn floor_for(&self, why: Refusal, request: &Request) -> Epoch {
        match why {
            Refusal::Quarantine => self.epochs.floor.min(request.epoch),
            _ => self.epochs.floor,
        }
    }

    pub(super) fn is_peer_node(&self, node: NodeId) -> bool {
        node != self.settings.me && self.settings.voters.is_node(node)
    }

    /// Two that hold at once: not exclusive, or a clock stood still. The lesser closes at once.
    fn meet(&mut self, rank: Rank, request: &Request, out: &mut Effects) {
        let Some(own) = self.authority() else {
            return;
        };
        if (request.epoch, rank) > (own.epoch, self.settings.rank()) {
            self.lose(Loss::Outranked, out);
        } else if self.settings.voters.pair() {
            out.push(Effect::Announce);
        }
    }

    fn judge(
        &mut self,
        from: NodeId,
        rank: Rank,
        request: &Request,
        out: &mut Effects,
    ) -> Result<(), Refusal> {
        if request.voters != self.settings.voters.hash {
            return Err(Refusal::Voters);
        }
        if request.lease > self.settings.lease {
            return Err(Refusal::Lease);
        }
        if self.now < self.held_until && !request.holding {
            return Err(Refusal::Conflict);
        }
        // Law 8. One of two has nobody else to promise to, and does not stand itself.
        if self.now < self.quarantine_until && self.settings.voters.promising() > 2 {
            return Err(Refusal::Quarantine);
        }
        if self.holds_any() {
            return Err(Refusal::Holding);
        }
        if self
            .promised()
            .is_some_and(|(boot, _)| boot != request.boot)
        {
            return Err(Refusal::Promised);
        }
        if self.has_resigned(from, request) {
            return Err(Refusal::Resigned);
        }
        if request.epoch < self.epochs.floor {
            return Err(Refusal::Epoch);
        }
        if self.campaign.is_some() && rank < self.settings.rank() {
            self.defy();
            return Err(Refusal::Outranked);
        }
        self.store_ahead(request.epoch, out);
        if !self.epochs.stored(request.epoch) {
            return Err(Refusal::Storing);
        }
        Ok(())
    }

    fn has_resigned(&self, from: NodeId, request: &Request) -> bool {
        self.resigned.iter().any(|resigned| {
            resigned.node == from
                && resigned.boot == request.boot
                && request.nonce <= resigned.nonce_last
        })
    }

    fn grant(&mut self, from: NodeId, request: &Request, out: &mut Effects) {
        // What we asked for ourselves is worthless from here on, though answers may be on the way.
        self.give_up(Some(from), out);
        self.epochs.floor = self.epochs.floor.max(request.epoch);
        let same = self.promise.filter(|old| old.boot == request.boot);
        let (nonce, until) = same.map_or((0, Instant::default()), |old| (old.nonce, old.until));
        self.promise = Some(Promise {
            boot: request.boot,
            nonce: nonce.max(request.nonce),
            until: until.max(self.now + self.promise(request.lease)),
        });
        out.push(Effect::Grant(from, request.boot, request.nonce));
    }

    fn promise(&self, lease: Duration) -> Duration {
        match lease == self.settings.lease {
            true => self.patience,
            false => self.settings.promise(lease),
        }
    }

    pub(super) fn peer_resigned(&mut self, from: NodeId, resign: Resign) {
        if !self.is_peer_node(from) || resign.group != self.settings.group {
            return;
        }
        self.hear();
        self.epochs.see(resign.epoch);
        if let Some(promise) = &mut self.promise
            && promise.boot == resign.boot
            && promise.nonce <= resign.nonce_last
        {
            promise.until = Instant::default();
        }
        if self.note(from, &resign) {
            self.give_precedence(resign.to);
        }
    }

    /// Keeps a RESIGN; whether it is new.
    fn note(&mut self, node: NodeId, resign: &Resign) -> bool {
        let new = Resigned {
            node,
            boot: resign.boot,
            nonce_last: resign.nonce_last,
        };
        let Some(old) = self.resigned.iter_mut().find(|old| old.node == node) else {
            self.resigned.push(new);
            self.resigned.sort_by_key(|resigned| resigned.node);
            return true;
        };
        if old.boot == new.boot && old.nonce_last >= new.nonce_last {
            return false;
        }
        *old = new;
        true
    }

    /// Leaves the named successor the time to collect the votes; it has waited long enough itself.
    fn give_precedence(&mut self, to: Option<NodeId>) {
        match to {
            Some(to) if to == self.settings.me => {
                self.stand_at = self.now;
                self.hurry = HURRIES;
                if let Some(campaign) = &mut self.campaign {
                    // It was refused a moment ago, and would be granted now.
                    campaign.ask_at = self.now;
                    // In whose way it was until now is of no account: it stands anew.
                    campaign.rest_at = Instant::NEVER;
                }
            }
            Some(_) => self.pause(self.patience),
            None => {}
        }
    }

    /// A sign of life from a peer.
    pub(super) fn hear(&mut self) {
        self.proof.meet();
        self.wait_anew();
    }

    pub(super) fn wait_anew(&mut self) {
        self.silent_at = self.now + self.patience;
    }

    pub(super) fn is_peer(&self, node: NodeId) -> bool {
        node != self.settings.me && self.settings.voters.votes(node)
    }
}
