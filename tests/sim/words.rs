//! By which word is a cause counted?

use floatlock::core::{Blocked, Cause};

pub(crate) fn of(cause: Cause) -> &'static str {
    match cause {
        Cause::Started => "cause: started",
        Cause::Owner => "cause: owner",
        Cause::Silence { .. } => "cause: silence",
        Cause::Resigned { .. } => "cause: resigned",
        Cause::Preempting { .. } => "cause: preempting",
        Cause::Lapsed => "cause: lapsed",
        Cause::GateLost => "cause: gate lost",
        Cause::Answering => "cause: answering",
        Cause::AddressesOn => "cause: addresses on",
        Cause::AddressesOff => "cause: addresses off",
        Cause::Outranked { .. } => "cause: outranked",
        Cause::NotHeard { .. } => "cause: not heard",
        Cause::Blocked(Blocked::Link) => "cause: link",
        Cause::Blocked(Blocked::Source) => "cause: source",
        Cause::Blocked(Blocked::Addresses(_)) => "cause: addresses",
        Cause::Blocked(Blocked::Stuck(_)) => "cause: stuck",
        Cause::Blocked(Blocked::Fight) => "cause: fight",
        Cause::Blocked(Blocked::Answered) => "cause: answered",
        Cause::Recovered => "cause: recovered",
        Cause::Away(_) => "cause: away",
        Cause::Disagreement => "cause: disagreement",
        Cause::Stop => "cause: stop",
    }
}

/// Everything that enough seeds must have seen: a simulator that never gets there checks nothing.
pub(crate) const ALL: [&str; 30] = [
    "start",
    "work that takes long",
    "answered",
    "BACKUP",
    "CANDIDATE",
    "MASTER",
    "RELEASING",
    "FAULT",
    "STOPPED",
    "cause: started",
    "cause: owner",
    "cause: silence",
    "cause: resigned",
    "cause: preempting",
    "cause: addresses on",
    "cause: addresses off",
    "cause: outranked",
    "cause: not heard",
    "cause: link",
    "cause: source",
    "cause: addresses",
    "cause: stuck",
    "cause: fight",
    "cause: recovered",
    "cause: away",
    "cause: disagreement",
    "cause: stop",
    "served by the best",
    "served in calm",
    "served after deaths",
];
