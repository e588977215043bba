//! What goes in and what comes out: the events and effects of a vote.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::time::Duration;

use super::epoch::{Epoch, NodeId};
use crate::core::time::Instant;

/// 128 random bits that are new with every start of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct BootId(pub u128);

/// As 32 hexadecimal digits: no number of JSON is as long.
impl From<BootId> for String {
    fn from(id: BootId) -> Self {
        format!("{:032x}", id.0)
    }
}

impl TryFrom<String> for BootId {
    type Error = std::num::ParseIntError;

    fn try_from(digits: String) -> Result<Self, Self::Error> {
        u128::from_str_radix(&digits, 16).map(Self)
    }
}

/// Counts the questions of one boot, upwards.
pub type Nonce = u64;

/// The order of two nodes that both want to hold: the priority, then the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// The higher, the rather.
    pub priority: u8,
    /// Decides between equals.
    pub node: NodeId,
}

/// Asks a voter for its vote; every heartbeat of a holder or candidate is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Request {
    /// Which group of addresses.
    pub group: u64,
    /// Of the candidacy.
    pub epoch: Epoch,
    /// Who asks: the start of the agent, not only the node.
    pub boot: BootId,
    /// Which question of that boot.
    pub nonce: Nonce,
    /// L: for so long after it asked, the asker will use the vote.
    pub lease: Duration,
    /// A hash of the voters as the asker knows them.
    pub voters: u64,
    /// The priority of the asker.
    pub priority: u8,
    /// The asker holds already.
    pub holding: bool,
}

/// The end of a tenure: the votes are given back, and nothing asked up to here counts any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Resign {
    /// Which group of addresses.
    pub group: u64,
    /// Of the tenure that ends.
    pub epoch: Epoch,
    /// Who is to hold next; nobody in particular.
    pub to: Option<NodeId>,
    /// Who resigns.
    pub boot: BootId,
    /// The highest nonce that this boot ever sent.
    pub nonce_last: Nonce,
}

/// Why a vote is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Refusal {
    /// The voter restarted less than one promise ago.
    Quarantine,
    /// The voter holds itself.
    Holding,
    /// It is promised to another, or to another boot.
    Promised,
    /// The epoch is below one that was granted; see [`Effect::Refuse`].
    Epoch,
    /// The epoch is not stored yet: ask again.
    Storing,
    /// The asker has resigned since it asked.
    Resigned,
    /// The voter is a candidate of better rank.
    Outranked,
    /// The list of voters is another.
    Voters,
    /// The lease is longer than the voter's own: its quarantine would be too short for it.
    Lease,
    /// The nodes were told different things; who holds already is still granted.
    Conflict,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Nothing but time.
    Time,
    /// The node wants to hold from now on, whenever nobody else does.
    Stand,
    /// It does not want to any more; a holder resigns.
    Rest,
    /// The demote actions are done: hand over to this node.
    HandOver(NodeId),
    /// A peer asks for our vote.
    Request(NodeId, Request),
    /// A voter grants what this boot asked with this nonce.
    Granted(NodeId, BootId, Nonce),
    /// A voter refuses; it grants nothing below this epoch.
    Refused(NodeId, Epoch),
    /// The same of one that is storing the epoch, and then would grant: [`Refusal::Storing`].
    Storing(NodeId, Epoch),
    /// A holder resigned.
    Resign(NodeId, Resign),
    /// All epochs up to this one are stored.
    Persisted(Epoch),
    /// A frame of now came from a peer, whatever it says.
    Heard,
    /// A peer asked for our vote, perhaps a while ago; see [`crate::core::mesh::Verdict::Late`].
    Late(NodeId, Request),
    /// An epoch was seen elsewhere, as on the disk.
    Seen(Epoch),
    /// The arbiter votes for the contest of this ticket, until then, counted from before it was
    /// asked.
    Arbiter(Nonce, Instant),
    /// The arbiter's vote in the contest of this ticket is lost.
    ArbiterLost(Nonce),
    /// Another has held with this epoch under the arbiter: it votes for higher ones only, and the
    /// ticket is worth nothing any more.
    ArbiterFloor(Nonce, Epoch),
    /// The look of this ticket was answered for one of the addresses, or not.
    Looked(Nonce, bool),
    /// During the look of this ticket nobody answered, but the other one of the pair looked as well.
    Probed(Nonce),
    /// The addresses are on and the gate is to open, see [`crate::core::lease::Lease::must_confirm`].
    Confirm,
    /// Somebody disagrees on what safety rests on: nobody is promoted until then.
    Hold(Instant),
    /// This host may have stood still without its clock knowing: what it holds is worth nothing
    /// until it is granted afresh.
    Doubt,
    /// The priority is now another one.
    Priority(u8),
    /// The reference has answered what it was asked at that time, see [`super::Settings::reference`].
    Proven(Instant),
    /// Since it began, this node has heard neither the reference nor the other node for as long as an
    /// operator wanted it to wait.
    Solo,
}

/// Why the authority ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It was not renewed in time; the gate is shut already.
    Lapsed,
    /// Handed over or laid down.
    Resigned,
    /// Another holds with a greater epoch.
    Outranked,
    /// Before the gate opened, another host answered for the addresses, or was about to.
    Answered,
    /// Nobody acknowledges, and the reference does not answer: this node is cut off.
    Unproven,
    /// The arbiter has not voted in time, and nobody replaces it; see [`super::Settings::always`].
    Unarbitrated,
}

impl Event {
    /// What the one who asked makes of a refusal.
    #[must_use]
    pub const fn refused(by: NodeId, why: Refusal, floor: Epoch) -> Self {
        match why {
            Refusal::Storing => Event::Storing(by, floor),
            _ => Event::Refused(by, floor),
        }
    }
}

/// What one step says: so few that nothing is fetched from elsewhere for it.
pub type Effects = SmallVec<[Effect; 4]>;

/// What to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this to every voter.
    Request(Request),
    /// Tell the node that what its boot asked with this nonce is granted.
    Grant(NodeId, BootId, Nonce),
    /// Tell the node that it is refused, and that nothing below this epoch is granted.
    Refuse(NodeId, Refusal, Epoch),
    /// Open the gate until then, or move its end, also to an earlier one.
    Authority(Authority),
    /// Shut the gate.
    Lost(Loss),
    /// Store durably that all epochs up to this one may have been used, then say
    /// [`Event::Persisted`].
    Persist(Epoch),
    /// Send this to every voter.
    Resign(Resign),
    /// Ask the arbiter for its vote, and keep it renewed, with this epoch as the ballot.
    Contend(Nonce, Epoch),
    /// Stop that, and give its vote back.
    Withdraw(Nonce),
    /// Ask the network whether somebody answers for the addresses.
    Look(Nonce),
    /// Still nobody does, or the other one has granted what was asked: the gate may open.
    Confirmed,
    /// Another held at the same time and closes: tell the network again where the addresses are.
    Announce,
}

/// The right to answer for the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Authority {
    /// It ends by itself then.
    pub until: Instant,
    /// The fencing token.
    pub epoch: Epoch,
    /// It rests on the own vote alone: nobody acknowledges any more.
    pub alone: bool,
}
