//! What did an agent say? The roles it took, and complaints about the other's frames.

use floatlock::core::Instant;
use floatlock::lab::Process;

/// What keepalived 2.2.7 says of a frame that it does not like, in small letters.
const COMPLAINTS: [&str; 15] = [
    "bogus",
    "checksum",
    "invalid",
    "mismatch",
    "vrrp packet too",
    "wrong version",
    "unexpected",
    "expected",
    "not present in master advert",
    "not a unicast peer",
    "not in range",
    "unknown vrid",
    "ah header",
    "equal priority advert",
    "send advert",
];

/// A role that lasts: what lies between two of them is not told by keepalived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    Backup,
    Master,
    Fault,
}

/// The lasting roles that an agent, ours or keepalived, has told so far, with their times.
pub(crate) fn told(process: &Process) -> Vec<(Instant, Lasting)> {
    let lines = process.lines();
    let told = lines
        .iter()
        .filter_map(|line| Some((line.at, role(&line.text)?)));
    told.collect()
}

/// The lasting role that a line tells.
pub(crate) fn role(line: &str) -> Option<Lasting> {
    let words = [
        (Lasting::Backup, ["-> BACKUP:", "Entering BACKUP STATE"]),
        (Lasting::Master, ["-> MASTER:", "Entering MASTER STATE"]),
        (Lasting::Fault, ["-> FAULT:", "Entering FAULT STATE"]),
    ];
    let mut found = words
        .into_iter()
        .filter(|(_, texts)| texts.iter().any(|text| line.contains(text)));
    found.next().map(|(role, _)| role)
}

/// What keepalived did not like.
pub(crate) fn complaints(process: &Process) -> Vec<String> {
    let is_one = |line: &str| {
        let line = line.to_lowercase();
        COMPLAINTS.iter().any(|complaint| line.contains(complaint))
    };
    let lines = process.lines().into_iter().map(|line| line.text);
    lines.filter(|line| is_one(line)).collect()
}
