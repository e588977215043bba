//! What does the core hear, and what does it say? Events in, effects out.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

use super::disk::Tenancy;
use super::lease;
use super::time::Instant;

/// Numbers one claim on the addresses: a result that names an older term changes nothing.
pub type Term = u64;

/// What a group is told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A well-formed, authentic advert of this virtual router.
    Advert(Heard),
    /// A well-formed frame of this virtual router that disagrees on what the election rests on
    /// (version, interval): nobody is promoted while such frames arrive.
    Conflict {
        /// Who sent it.
        from: IpAddr,
        /// What it disagrees on.
        field: ConflictField,
        /// The interval at which it says so.
        interval: Duration,
    },
    /// A frame from a possible peer that failed authentication: it delays a promotion once.
    Unauthentic {
        /// Who sent it.
        from: IpAddr,
    },
    /// An advert with our own source address.
    OwnAdvert {
        /// The address.
        from: IpAddr,
    },
    /// What is true of this host now, whenever it changes.
    Facts(Facts),
    /// The answer to [`Effect::Acquire`].
    Acquired(Term, Outcome),
    /// The answer to [`Effect::Release`].
    Released(Term, Outcome),
    /// Of [`Effect::Acquire`]: the host answers for all of the addresses, as read back, though not
    /// all are on yet. The answer proper follows.
    Answering(Term),
    /// What was asked for under this term is being worked on, or waits for what is.
    Working(Term),
    /// The answer to [`Effect::Act`]: the operator's scripts have ended, and whether the step may be taken.
    Acted(u64, bool),
    /// The answer to [`Effect::Look`]: whether another host answers for one of the addresses.
    Looked(u64, bool),
    /// The answer to [`Effect::Look`]: nobody answers, but another host asked for one of the addresses
    /// meanwhile, as one does that is about to take it.
    Probed(u64),
    /// Somebody else took at least one of our addresses off while we hold them.
    AddressLost,
    /// The lease has ended: no advert has left this host for as long as it lasts, or its gate was not
    /// renewed.
    Lapsed,
    /// Somebody else took the gate away, so that nothing would end the right to answer.
    GateLost,
    /// The addresses that the group is about have changed (reload).
    AddressesChanged,
    /// New settings (reload).
    Settings(super::Settings),
    /// Native: a word about votes, from a peer or from the disk.
    Vote(lease::Event),
    /// Native: what a peer is, as it just said.
    Peer(PeerState),
    /// The same, with its word about the votes.
    Said(PeerState, lease::Event),
    /// Native: a better peer is ready and asks for the addresses.
    Ask(lease::NodeId),
    /// Native: the reference has answered what it was asked at that time: as many of the targets as are
    /// needed, each at that time or later.
    Proven(Instant),
    /// The arbiter, without which nobody holds here, can be read and written from here; or not any more.
    ArbiterSound(bool),
    /// Native: whose this node's slot of the disk is.
    Slot(Tenancy),
    /// Native: this host may have stood still for so long without its clock knowing.
    Doubt(Duration),
    /// Give the addresses to this node, or to whoever takes them; see [`super::Group::successor`].
    HandOver(Option<lease::NodeId>),
    /// Hand over and hold nothing until it is off again.
    Maintenance(bool),
    /// Hand over and end.
    Stop,
    /// Nothing but the time: call at [`super::Group::deadline`].
    Tick,
}

impl Event {
    /// What a peer says that may be of a while ago. Who said that it holds may do so for as long as after
    /// any other sign of life, and is not silent; and of two that hold, the later one goes on.
    #[must_use]
    pub const fn late(role: RoleName, word: Option<lease::Event>) -> Option<Self> {
        let word = match (role, word) {
            (
                RoleName::Master | RoleName::Candidate,
                Some(lease::Event::Request(from, request)),
            ) => lease::Event::Late(from, request),
            (RoleName::Master | RoleName::Candidate, _) => lease::Event::Heard,
            _ => return None,
        };
        Some(Self::Vote(word))
    }
}

/// An advert as the election sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The address that it came from.
    pub from: IpAddr,
    /// 0 resigns, 1 to 254, 255 owns the addresses.
    pub priority: u8,
    /// The interval that the sender advertises.
    pub interval: Duration,
    /// Whether it came on the line that decides between equal priorities: the group's own
    /// interface and its leading family. A group with two families or several paths has several
    /// source addresses, and their orders may contradict each other; one line must decide.
    pub lead: bool,
}

/// What a peer says of itself in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerState {
    /// Who.
    pub node: lease::NodeId,
    /// What it is.
    pub role: RoleName,
    /// 1 to 254.
    pub priority: u8,
    /// How well it could hold the addresses now.
    pub fitness: Fitness,
}

/// How well a node could hold the addresses now; more is fitter.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Fitness {
    /// Not at all.
    #[default]
    Unfit,
    /// It lacks something that all others lack as well.
    Level,
    /// At once; or it does.
    Fit,
}

/// A node by its name, which lives as long as the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct NodeName(pub &'static str);

/// What two well-formed routers disagree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConflictField {
    /// One speaks VRRPv2, the other VRRPv3.
    Version,
    /// VRRPv2 routers must be configured with the same interval (RFC 3768, section 7.1).
    Interval,
    /// Native: the name of the cluster, with the same key and the same addresses.
    Cluster,
    /// Native: who has the name of this node.
    Node,
    /// Native: the nodes and witnesses.
    Voters,
    /// Native: the groups, or their ids.
    Groups,
    /// Native: the addresses of the group.
    Addresses,
    /// Native: interval or misses.
    Timing,
}

/// What must be true of this host before it may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// The group's interface exists, is up and has its carrier.
    pub link: bool,
    /// The address that the leading line sends from; none while the interface has none.
    pub source: Option<IpAddr>,
}

/// Whether the addresses are (all on | all off), as read back from the kernel.
pub type Outcome = Result<(), AddressFault>;

/// Why an address could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFault {
    /// The first address that failed.
    pub address: Option<IpAddr>,
    /// In what way.
    pub kind: AddressFaultKind,
}

/// The ways in which an address change fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddressFaultKind {
    /// The kernel said no: the errno.
    Refused(i32),
    /// The kernel said yes, but the address was not there (or still there) when read back.
    NotSeen,
    /// The interface does not exist.
    NoInterface,
    /// No answer in time.
    Late,
    /// The gate is not in place, so that nothing would end the right to answer.
    NoGate,
}

/// What a group wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Effect {
    /// Send one advert of this priority on every line.
    Advertise {
        /// 0 resigns.
        priority: u8,
    },
    /// Together with an advert: if it leaves this host, the right to answer lasts until then.
    Renew(Instant),
    /// Under VRRP: an arbiter or a reference speaks for this node until then, later or earlier than before; the right
    /// to answer ends with that, too.
    Warrant(Instant),
    /// Native: tell the peers.
    Say(Say),
    /// Native: the votes let this node answer until then, later or earlier than before.
    Extend(Instant),
    /// Native: store the epoch durably, then say [`lease::Event::Persisted`].
    Persist(lease::Epoch),
    /// Ask the arbiter for its vote, see [`lease::Effect::Contend`]; under VRRP without an epoch.
    Contend(lease::Nonce, lease::Epoch),
    /// Give the ticket back, see [`lease::Effect::Withdraw`].
    Withdraw(lease::Nonce),
    /// Arm the gate, put the addresses on and read them back; answer with [`Event::Acquired`].
    Acquire(Term),
    /// Let the gate pass frames for the addresses, for as long as what was renewed lasts.
    Open,
    /// Shut the gate at once, then take the addresses off and verify it; answer with
    /// [`Event::Released`].
    Release(Term),
    /// The addresses are verified off: the gate is in nobody's way any more.
    Disarm,
    /// Tell the neighbours (gratuitous ARP, unsolicited NA): at once, again later, and as often
    /// as configured until [`Effect::Hush`].
    Announce(Term),
    /// Cancel what is still to be announced.
    Hush,
    /// Ask the network, in the manner of address conflict detection (RFC 5227), whether another
    /// host answers for one of the addresses; answer with [`Event::Looked`] or [`Event::Probed`] of the
    /// same number.
    Look(u64),
    /// Run the operator's scripts for this step, numbered; answer with [`Event::Acted`] where the step says so.
    Act(u64, super::Act),
    /// Tell the operator.
    Report(Report),
}

/// What a group of the native protocol tells its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Say {
    /// To all voters.
    Request(lease::Request),
    /// To the node whose boot asked with this nonce.
    Grant(lease::NodeId, lease::BootId, lease::Nonce),
    /// To the node whose boot asked with this nonce: nothing below the epoch is granted.
    Refuse(
        lease::NodeId,
        lease::BootId,
        lease::Nonce,
        lease::Refusal,
        lease::Epoch,
    ),
    /// To all voters.
    Resign(lease::Resign),
    /// To this node: hand over.
    Ask(lease::NodeId),
}

/// One line for the log and the event journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Report {
    /// The role changed.
    Role {
        /// From this one.
        from: RoleName,
        /// To this one.
        to: RoleName,
        /// For this reason.
        cause: Cause,
    },
    /// Something an operator should look at, without a change of role.
    Alarm(Alarm),
}

/// The roles by the names that operators use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RoleName {
    /// Clearing what a dead agent may have left.
    Init,
    /// Listening.
    Backup,
    /// Claiming: adverts go out, the addresses are not all on yet.
    Candidate,
    /// Holding the addresses.
    Master,
    /// Taking the addresses off.
    Releasing,
    /// Not able to hold the addresses.
    Fault,
    /// Ended.
    Stopped,
    /// Votes, and never holds.
    Witness,
}

impl RoleName {
    /// The name as shown: `MASTER`, `BACKUP`, ...
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RoleName::Init => "INIT",
            RoleName::Backup => "BACKUP",
            RoleName::Candidate => "CANDIDATE",
            RoleName::Master => "MASTER",
            RoleName::Releasing => "RELEASING",
            RoleName::Fault => "FAULT",
            RoleName::Stopped => "STOPPED",
            RoleName::Witness => "WITNESS",
        }
    }
}

/// Why a role changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Cause {
    /// The agent has just started.
    Started,
    /// The addresses are this host's own (priority 255).
    Owner,
    /// No MASTER was heard for so long; `from` is the last one heard, if any.
    Silence {
        /// The last MASTER heard.
        from: Option<IpAddr>,
        /// For how long nothing came.
        lasting: Duration,
    },
    /// The MASTER resigned (priority 0).
    Resigned {
        /// Who did.
        from: IpAddr,
    },
    /// A living MASTER is worse than this node, and `preempt` says to take over.
    Preempting {
        /// The living MASTER.
        from: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// The addresses are on and were read back.
    AddressesOn,
    /// The host answers for all addresses, as read back; the last of them are still going on.
    Answering,
    /// No advert left this host for as long as the lease lasts, or its gate was not renewed.
    Lapsed,
    /// The gate was taken away by somebody else.
    GateLost,
    /// The addresses are off and verified off.
    AddressesOff,
    /// A better router advertises.
    Outranked {
        /// Who.
        from: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// Native: a majority of the voters agrees.
    Elected {
        /// The epoch of the promotion.
        epoch: lease::Epoch,
    },
    /// Native: the other node of a pair is silent, and nobody answers for the addresses.
    Alone {
        /// The epoch of the promotion.
        epoch: lease::Epoch,
    },
    /// Native: the votes have run out.
    Unvoted,
    /// Native: no other node acknowledges, and the reference does not answer.
    Unproven,
    /// The arbiter, without which nobody holds here, has not voted in time.
    Unarbitrated,
    /// Native: the reference does not answer here, and does there.
    Unreached {
        /// Who reaches it.
        by: NodeName,
    },
    /// Native: another agent of this node's name writes this node's slot of the disk.
    Namesake,
    /// Native: another holder has the greater epoch.
    Outvoted,
    /// Native: of two that hear nobody, another one answers for the addresses, or is about to.
    Answered,
    /// Native: a better node is ready and asked for the addresses.
    Preempted {
        /// Who.
        by: NodeName,
    },
    /// An operator moved the addresses to another node.
    Moved {
        /// To whom, if anybody in particular.
        to: Option<NodeName>,
    },
    /// An operator took this node out of service.
    Maintenance,
    /// A living MASTER goes on although this node is better: it does not hear us.
    NotHeard {
        /// Who.
        from: IpAddr,
    },
    /// This host lacks something.
    Blocked(Blocked),
    /// What was lacking is there again.
    Recovered,
    /// The agent ran too late for so long that others may have taken over.
    Away(Duration),
    /// Somebody disagrees on what the election rests on.
    Disagreement,
    /// A stop was asked for.
    Stop,
}

/// What keeps a node from holding the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Blocked {
    /// The interface is down, without carrier, or gone.
    Link,
    /// The interface has no address to send from.
    Source,
    /// The addresses will not go on.
    Addresses(AddressFault),
    /// The addresses will not come off.
    Stuck(AddressFault),
    /// Somebody else keeps taking the addresses off.
    Fight,
    /// Another host answers for an address, though no MASTER is heard.
    Answered,
    /// The reference does not answer, or has not for long enough.
    Reference,
    /// The arbiter, without which nobody holds here, has not voted for this node.
    Arbiter,
    /// Another agent of this node's name writes this node's slot of the disk, or it is not known yet that none does.
    Namesake,
    /// The operator's scripts for a promotion have failed.
    Promote {
        /// They have not ended in time.
        late: bool,
    },
}

impl Cause {
    /// Whether the right to answer has ended without anybody's will.
    #[must_use]
    pub const fn is_loss(&self) -> bool {
        matches!(
            self,
            Cause::Lapsed
                | Cause::GateLost
                | Cause::Unvoted
                | Cause::Unproven
                | Cause::Unarbitrated
                | Cause::Namesake
                | Cause::Away(_)
        )
    }
}

impl Alarm {
    /// How many kinds there are.
    pub const KINDS: usize = 12;

    /// Which kind this is.
    #[must_use]
    pub const fn kind(&self) -> usize {
        match self {
            Alarm::Conflict { .. } => 0,
            Alarm::Unauthentic { .. } => 1,
            Alarm::AddressRestored { .. } => 2,
            Alarm::Retry(_) => 3,
            Alarm::OwnAdvert { .. } => 4,
            Alarm::SecondMaster { .. } => 5,
            Alarm::Unheard => 6,
            Alarm::Heard => 7,
            Alarm::Answered => 8,
            Alarm::Unreached => 9,
            Alarm::Reached => 10,
            Alarm::Solo => 11,
        }
    }
}

/// What an operator should look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Alarm {
    /// Someone disagrees on what the election rests on.
    Conflict {
        /// Who.
        from: IpAddr,
        /// On what.
        field: ConflictField,
    },
    /// Someone who may be a peer fails authentication.
    Unauthentic {
        /// Who.
        from: IpAddr,
    },
    /// An address was taken off by someone else and is being put back: the how-manieth time.
    AddressRestored {
        /// Since the agent started.
        times: u64,
    },
    /// An attempt to change addresses failed and is repeated.
    Retry(AddressFault),
    /// An advert with our own source address: a loop, or a duplicate of this host.
    OwnAdvert {
        /// The address.
        from: IpAddr,
    },
    /// Native: no voter acknowledges any more, and this node goes on alone.
    Unheard,
    /// Native: the other node acknowledges again.
    Heard,
    /// Another MASTER was seen while this node is MASTER, and it is worse.
    SecondMaster {
        /// Who.
        from: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// Another host answers for an address, though no MASTER is heard: this one does not stand.
    Answered,
    /// Native: the reference does not answer, and this node goes on, since no other one that reaches it
    /// would take over.
    Unreached,
    /// Native: the reference answers again.
    Reached,
    /// Native: neither the reference nor another node was ever heard, and this node stands all the same.
    Solo,
}
