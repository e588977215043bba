//! How is it said? The sentences of the log and of `floatlock status` for causes and alarms.

use std::fmt;
use std::time::Duration;

use super::Immovable;
use super::event::{
    AddressFault, AddressFaultKind, Alarm, Blocked, Cause, ConflictField, NodeName, RoleName,
};

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Cause::Started => f.write_str("the agent started"),
            Cause::Owner => f.write_str("this host owns the addresses (priority 255)"),
            Cause::Silence {
                from: Some(from),
                lasting,
            } => {
                write!(
                    f,
                    "the MASTER {from} has been silent for {}",
                    Length(lasting)
                )
            }
            Cause::Silence {
                from: None,
                lasting,
            } => {
                write!(f, "no MASTER was heard for {}", Length(lasting))
            }
            Cause::Resigned { from } => write!(f, "the MASTER {from} resigned"),
            Cause::Preempting { from, priority } => {
                write!(
                    f,
                    "preempting the MASTER {from}, whose priority is {priority}"
                )
            }
            Cause::Lapsed => f.write_str(
                "its lease has ended: no advert has left this host, or its gate was not renewed",
            ),
            Cause::GateLost => f.write_str("somebody else took the gate away"),
            Cause::Answering => f.write_str("the host answers for its addresses"),
            Cause::AddressesOn => f.write_str("the addresses are on and were read back"),
            Cause::AddressesOff => f.write_str("the addresses are off, verified"),
            Cause::Outranked { from, priority } => {
                write!(
                    f,
                    "{from} advertises with priority {priority} and ranks higher"
                )
            }
            Cause::NotHeard { from } => write!(
                f,
                "the MASTER {from} goes on although this node ranks higher: it does not hear this \
                 node; check the path from here to there"
            ),
            Cause::Blocked(blocked) => blocked.fmt(f),
            Cause::Recovered => f.write_str("what was lacking is there again"),
            Cause::Away(length) => write!(
                f,
                "this agent did not run for {}, so that another node may be MASTER by now",
                Length(length)
            ),
            Cause::Disagreement => {
                f.write_str("a router with the same id disagrees about the protocol")
            }
            Cause::Stop => f.write_str("a stop was asked for"),
            Cause::Elected { epoch } => {
                write!(f, "a majority of the voters agrees (epoch {epoch})")
            }
            Cause::Alone { epoch } => write!(
                f,
                "the other node is silent and nobody answers for the addresses (epoch {epoch})"
            ),
            Cause::Unvoted => f.write_str("the voters have not renewed its lease in time"),
            Cause::Answered => {
                f.write_str("another host answers for the addresses, or is about to")
            }
            Cause::Unproven => f.write_str(
                "no other node acknowledges, and the reference does not answer: cut off",
            ),
            Cause::Unarbitrated => {
                f.write_str("the disk lock's vote, without which nobody holds, has ended")
            }
            Cause::Unreached { by } => {
                write!(f, "the reference does not answer here, and {by} reaches it")
            }
            Cause::Namesake => {
                f.write_str("another agent of this node's name writes this node's slot of the disk")
            }
            Cause::Outvoted => f.write_str("another node holds with a greater epoch"),
            Cause::Preempted { by } => write!(f, "{by} ranks higher, is ready and asked for it"),
            Cause::Moved { to: Some(to) } => write!(f, "an operator moved the addresses to {to}"),
            Cause::Moved { to: None } => f.write_str("an operator moved the addresses away"),
            Cause::Maintenance => f.write_str("an operator took this node out of service"),
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blocked::Link => f.write_str("the interface is down, without carrier, or missing"),
            Blocked::Source => f.write_str("the interface has no address to send adverts from yet"),
            Blocked::Addresses(fault) => write!(f, "the addresses will not go on: {fault}"),
            Blocked::Stuck(fault) => write!(f, "the addresses will not come off: {fault}"),
            Blocked::Fight => f.write_str(
                "somebody keeps removing the addresses on this host; find out who (ip monitor \
                 address), then wait or reload",
            ),
            Blocked::Reference => {
                f.write_str("the reference does not answer, or not for long enough")
            }
            Blocked::Arbiter => f.write_str(
                "the disk lock has not voted for this node, and without that nobody holds",
            ),
            Blocked::Namesake => f.write_str(
                "this node's slot of the disk is not known to be this agent's: another one of this name may run",
            ),
            Blocked::Promote { late: true } => {
                f.write_str("the actions for a promotion have not ended in time")
            }
            Blocked::Promote { late: false } => f.write_str(
                "an action for a promotion failed; the log says which one, and what it said",
            ),
            Blocked::Answered => f.write_str(
                "another host answers for an address, but no MASTER is heard; the log names it: \
                 mend the way of the adverts, or take the address off there",
            ),
        }
    }
}

impl fmt::Display for AddressFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = self.address {
            write!(f, "{address}: ")?;
        }
        match self.kind {
            AddressFaultKind::Refused(errno) => {
                write!(
                    f,
                    "the kernel refused: {}",
                    std::io::Error::from_raw_os_error(errno)
                )
            }
            AddressFaultKind::NotSeen => f.write_str("not as wanted when read back"),
            AddressFaultKind::NoInterface => f.write_str("its interface does not exist"),
            AddressFaultKind::NoGate => f.write_str("the gate is not in place"),
            AddressFaultKind::Late => f.write_str("no answer in time"),
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Alarm::Conflict { from, field } => write!(
                f,
                "{from} speaks for this id with another {field}: nobody is promoted here until \
                 the configurations agree"
            ),
            Alarm::Unauthentic { from } => write!(
                f,
                "frames of {from} fail authentication: compare auth-pass or key-file on both sides"
            ),
            Alarm::AddressRestored { times } => {
                write!(
                    f,
                    "an address was removed by someone else and is put back ({times})"
                )
            }
            Alarm::Retry(fault) => write!(f, "changing the addresses failed, again soon: {fault}"),
            Alarm::OwnAdvert { from } => write!(
                f,
                "an advert with this node's own address {from} came in: a loop in the network, or \
                 another host with that address"
            ),
            Alarm::Unheard => f.write_str(
                "no other node acknowledges any more: this node goes on alone, and would not know \
                 of a second MASTER on the other side of a cut",
            ),
            Alarm::Heard => f.write_str("another node acknowledges again"),
            Alarm::SecondMaster { from, priority } => {
                write!(
                    f,
                    "{from} is MASTER too, with priority {priority}, and should give way"
                )
            }
            Alarm::Unreached => f.write_str(
                "the reference does not answer here, and no other node that reaches it is ready: this node \
                 goes on; without the other node it would fall silent",
            ),
            Alarm::Reached => f.write_str("the reference answers again"),
            Alarm::Solo => f.write_str(
                "since it began, this node has heard neither the reference nor another node: it stands \
                 after `solo-after`, though it may be the one that is cut off",
            ),
            Alarm::Answered => f.write_str(
                "no MASTER is heard, but another host answers for an address: this node does not \
                 take them, and asks again",
            ),
        }
    }
}

impl fmt::Display for ConflictField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConflictField::Version => "VRRP version",
            ConflictField::Interval => "advert interval",
            ConflictField::Cluster => "name of the cluster",
            ConflictField::Node => "host under this node's name",
            ConflictField::Voters => "list of nodes and witnesses, disk or reference",
            ConflictField::Groups => "list of groups and ids",
            ConflictField::Addresses => "list of addresses",
            ConflictField::Timing => "interval or number of misses",
        })
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl fmt::Display for Immovable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Immovable::NotMaster(role) => {
                write!(
                    f,
                    "this node is {role}, not MASTER: only the MASTER hands over"
                )
            }
            Immovable::NoSuchNode => f.write_str("that is no other node that may hold"),
            Immovable::NotReady(node) => write!(f, "{node} could not take over at once"),
            Immovable::NobodyReady => f.write_str("no other node could take over at once"),
            Immovable::Unknown => f.write_str(
                "under VRRP a BACKUP says nothing, so that nobody knows whether one is there",
            ),
        }
    }
}

/// A length of time as read aloud: `412 ms`, `3.6 s`.
pub struct Length(pub Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_secs(1) {
            write!(f, "{} ms", self.0.as_millis())
        } else {
            write!(f, "{:.1} s", self.0.as_secs_f64())
        }
    }
}
