//! A cluster of native nodes and witnesses, simulated: the real groups, leases and meshes of the
//! core, in agents that take their turns as the real ones do, on hosts with clocks of their own.
//!
//! Nothing in here is a test: a [`world::World`] plays its story, and says which law it broke.

mod agent;
mod clock;
mod disk;
mod end;
mod host;
mod laws;
mod others;
mod reference;
pub(crate) mod scenario;
pub(crate) mod score;
mod scripts;
mod voice;
mod weather;
mod wire;
pub(crate) mod world;

/// Everything that enough seeds must have seen: a simulator that never gets there checks nothing.
pub(crate) const WITH_REFERENCE: [&str; 8] = [
    "MASTER",
    "alone",
    "elected",
    "two answer, as they may",
    "reference lost",
    "reference hidden",
    "yielded to who reaches it",
    "cut off",
];

/// The same of a pair with a disk.
pub(crate) const WITH_DISK: [&str; 13] = [
    "MASTER",
    "elected",
    "disk asked",
    "disk votes",
    "disk hangs",
    "path to the disk hangs",
    "disk fails",
    "slot torn",
    "stray write",
    "clerk gone",
    "one of three disks is harmed",
    "one of three disks is lost for good",
    "served in the end",
];

/// The same without a reference.
pub(crate) const ALL: [&str; 40] = [
    "start",
    "BACKUP",
    "CANDIDATE",
    "MASTER",
    "RELEASING",
    "FAULT",
    "STOPPED",
    "WITNESS",
    "alone",
    "elected",
    "crash",
    "power loss",
    "freeze",
    "pause",
    "standstill",
    "doubt",
    "stop",
    "handover",
    "maintenance",
    "replay",
    "frame replayed",
    "frame unproved",
    "frame late",
    "statements dropped",
    "look: answered",
    "look: nobody",
    "look: another looks",
    "two answer, as they may",
    "planned: handover",
    "planned: stop",
    "planned: maintenance",
    "planned: priority",
    "promote",
    "demote",
    "silenced",
    "lost, and silenced",
    "cause: promote",
    "death of the holder",
    "death of another",
    "served in the end",
];
