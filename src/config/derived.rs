//! How long does a takeover take? The times that follow from a configuration, and what it does not
//! survive.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::survival;
use super::types::{Config, GateChoice, GroupConfig};
use super::watchdog::{self, Watchdog};
use crate::core::election::{master_down, skew};
use crate::core::lease::{self, GRANULARITY};
use crate::wire::disk::Times;

/// On one network, with room to spare: a question and its answer, or three probes that ask whether
/// anybody still answers for the addresses.
const ASKING: Duration = Duration::from_millis(20);

/// On one network: the word that the holder goes, the successor's question, and the answer.
const HANDOVER: Duration = Duration::from_millis(5);

/// The times of one group, as this node would keep them if the others say the same.
///
/// They end when this node claims the addresses; putting them on comes after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Derived {
    /// The group's name.
    pub group: String,
    /// How much longer than the misses this node waits, so that a better one goes first.
    #[serde(rename = "skew_seconds", serialize_with = "seconds")]
    pub skew: Duration,
    /// From the death of the MASTER until this node knows: it died right before its next advert.
    #[serde(rename = "detection_min_seconds", serialize_with = "seconds")]
    pub detection_min: Duration,
    /// From the death of the MASTER until this node knows: it died right after an advert.
    #[serde(rename = "detection_max_seconds", serialize_with = "seconds")]
    pub detection_max: Duration,
    /// The longest time without a holder after the MASTER lost its power.
    #[serde(rename = "takeover_max_seconds", serialize_with = "seconds")]
    pub takeover_max: Duration,
    /// The longest time without a holder after the MASTER resigned.
    #[serde(rename = "planned_max_seconds", serialize_with = "seconds")]
    pub planned_max: Duration,
    /// How long after its last advert or heartbeat a MASTER still answers whose agent is dead or
    /// frozen; none where nothing ends it.
    #[serde(rename = "lease_seconds", serialize_with = "maybe_seconds")]
    pub lease: Option<Duration>,
    /// How long a voter promises its vote for each request that it grants (P); native only.
    #[serde(rename = "promise_seconds", serialize_with = "maybe_seconds")]
    pub promise: Option<Duration>,
    /// How much longer a takeover takes at most, before the addresses go on: all `promote` actions, and what may
    /// still run when they are to begin.
    #[serde(rename = "promote_max_seconds", serialize_with = "seconds")]
    pub promote_max: Duration,
    /// How much longer a planned move takes at most, before the addresses come off: all `demote`
    /// actions.
    #[serde(rename = "demote_max_seconds", serialize_with = "seconds")]
    pub demote_max: Duration,
}

fn maybe_seconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration.map(|d| d.as_secs_f64()).serialize(serializer)
}

pub(super) fn seconds<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// What a disk that nobody holds takes to give its vote: the head start of a holder, two writes and
/// the reads after them.
const AT_DISK: Duration = Duration::from_millis(300);

/// Under VRRP whoever has waited for the disk looks once more who answers for the addresses.
const LOOK: Duration = Duration::from_millis(50);

/// The times of one group of this configuration.
#[must_use]
pub fn derived(config: &Config, group: &GroupConfig) -> Derived {
    match group.is_native() {
        true => native(config, group),
        false => vrrp(config, group),
    }
}

/// A standby stands when its promise to the MASTER has ended. A voter that heard the MASTER once
/// more still refuses it then, and grants when it asks again, an interval later; one of two nodes
/// alone looks for a living MASTER instead.
fn native(config: &Config, group: &GroupConfig) -> Derived {
    let length = group.interval.saturating_mul(group.misses);
    let promise = lease::promise(length, GRANULARITY);
    let asks_again = match survival::is_exclusive(config) {
        _ if config.fencing.has_disk() => AT_DISK,
        true => group.interval,
        false => Duration::ZERO,
    };
    let disk = abandoned(config);
    Derived {
        group: group.name.clone(),
        skew: Duration::ZERO,
        detection_min: promise.saturating_sub(group.interval),
        detection_max: promise,
        takeover_max: disk.map_or(promise, |disk| disk.max(promise)) + asks_again + ASKING,
        planned_max: disk.map_or(HANDOVER, |_| HANDOVER + AT_DISK),
        lease: gated(config, Some(length)).map(|lease| lease.saturating_sub(early(config))),
        promise: Some(promise),
        promote_max: group.action_limits().promotion(),
        demote_max: group.action_limits().demotion(),
    }
}

fn vrrp(config: &Config, group: &GroupConfig) -> Derived {
    let skew = skew(group.version(), group.priority, group.interval);
    let down = master_down(
        group.version(),
        group.priority,
        group.interval,
        group.misses,
    );
    let planned = match is_pair(config) {
        true => Duration::ZERO,
        false => skew,
    };
    let (takeover, planned) = match abandoned(config) {
        Some(disk) => (disk.max(down) + AT_DISK + LOOK, planned + AT_DISK),
        None => (down, planned),
    };
    Derived {
        group: group.name.clone(),
        skew,
        detection_min: down.saturating_sub(group.interval),
        detection_max: down,
        takeover_max: takeover,
        planned_max: planned,
        lease: gated(config, group.lease()).map(|lease| lease.saturating_sub(early(config))),
        promise: None,
        promote_max: group.action_limits().promotion(),
        demote_max: group.action_limits().demotion(),
    }
}

/// How long after the last write of a dead holder the other node knows that it is dead, where nobody holds without
/// the disk: it looks all the time.
fn abandoned(config: &Config) -> Option<Duration> {
    let fencing = &config.fencing;
    let times = Times::of(fencing.disk_lease()).filter(|_| fencing.needs_disk())?;
    Some(times.renew() + times.wait())
}

/// Whoever is fenced by a watchdog gives up sooner.
fn early(config: &Config) -> Duration {
    watchdog::watchdog(config).map_or(Duration::ZERO, |plan| plan.early)
}

/// What ends, where something ends it.
fn gated(config: &Config, lease: Option<Duration>) -> Option<Duration> {
    lease.filter(|_| config.fencing.gate != GateChoice::Off)
}

/// With two nodes, nobody else can be waiting for a resignation: it is answered at once.
fn is_pair(config: &Config) -> bool {
    config.cluster.as_ref().is_some_and(|c| c.nodes.len() == 2)
}

/// What follows from a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// In the order of the file.
    pub groups: Vec<Derived>,
    /// Whether native groups have at most one MASTER in any partition; VRRP never has.
    #[serde(skip)]
    pub exclusive: bool,
    /// What leaves two MASTERs, or none, in one sentence.
    pub not_survived: String,
    /// What the watchdog is good for, if there is one.
    pub watchdog: Option<Watchdog>,
}

/// The times of every group, and what the configuration does not survive.
#[must_use]
pub fn summary(config: &Config) -> Summary {
    let groups = config.groups.iter().map(|group| derived(config, group));
    Summary {
        groups: groups.collect(),
        exclusive: survival::is_exclusive(config),
        not_survived: survival::not_survived(config),
        watchdog: watchdog::described(config),
    }
}

impl Summary {
    /// The same as text: one line a group, and one for what is not survived.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let groups = self.groups.iter().map(Derived::line);
        let watchdog = self.watchdog.iter().map(|watchdog| watchdog.text.clone());
        groups
            .chain([self.not_survived.clone()])
            .chain(watchdog)
            .collect()
    }
}

impl Derived {
    fn line(&self) -> String {
        let beat = match self.promise {
            Some(_) => "heartbeat (L)",
            None => "advert",
        };
        let ends = match self.lease {
            Some(lease) => format!("is silent {} after its last {beat}", rounded_up(lease)),
            None => "goes on answering".to_owned(),
        };
        let promise = match self.promise {
            Some(promise) => format!(", a vote is promised for {} (P)", rounded_up(promise)),
            None => String::new(),
        };
        format!(
            "group `{}`: a dead MASTER is noticed after {} to {}; without a holder for at most {} \
             after power loss, {} after a planned stop; a node whose agent dies or freezes {ends}{promise}{}",
            self.group,
            rounded_up(self.detection_min),
            rounded_up(self.detection_max),
            rounded_up(self.takeover_max),
            rounded_up(self.planned_max),
            scripts(self.promote_max, self.demote_max),
        )
    }
}

/// What actions add to the times, where there are any: the end of a line.
pub(super) fn scripts(promote: Duration, demote: Duration) -> String {
    let added = [
        (promote, "to every takeover (promote)"),
        (demote, "to a planned takeover (demote)"),
    ];
    let added = added.into_iter().filter(|(most, _)| !most.is_zero());
    let added = added.map(|(most, to)| format!("{} {to}", rounded_up(most)));
    match &added.collect::<Vec<_>>()[..] {
        [] => String::new(),
        added => format!("; scripts add at most {}", added.join(", ")),
    }
}

/// In milliseconds, never less than it is: a bound.
pub(super) fn rounded_up(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    match millis {
        0..1000 => format!("{millis} ms"),
        _ => format!("{}.{:03} s", millis / 1000, millis % 1000),
    }
}
