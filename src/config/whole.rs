//! What follows from the files of all nodes together? The longest of their times, whichever node takes over.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::derived::{Derived, derived, rounded_up, scripts, seconds};
use super::types::{Config, GroupConfig};

/// The times of one group in the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Together {
    /// The group's name.
    pub group: String,
    /// How many of the files have it.
    pub nodes: usize,
    /// Until the slowest of them knows that the MASTER is dead.
    #[serde(rename = "detection_max_seconds", serialize_with = "seconds")]
    pub detection_max: Duration,
    /// The longest time without a holder after the MASTER lost its power.
    #[serde(rename = "takeover_max_seconds", serialize_with = "seconds")]
    pub takeover_max: Duration,
    /// The longest time without a holder after the MASTER resigned.
    #[serde(rename = "planned_max_seconds", serialize_with = "seconds")]
    pub planned_max: Duration,
    /// How much longer a takeover takes at most: all `promote` actions of one node.
    #[serde(rename = "promote_max_seconds", serialize_with = "seconds")]
    pub promote_max: Duration,
    /// How much longer a planned move takes at most: all `demote` actions of one node.
    #[serde(rename = "demote_max_seconds", serialize_with = "seconds")]
    pub demote_max: Duration,
    /// Whether a MASTER whose agent is dead or frozen is silent before the quickest other node takes over: by how
    /// many seconds, negative where it is not; null where nothing ends its right.
    #[serde(rename = "silent_before_seconds")]
    pub silence: Silence,
}

/// When the host of a dead or frozen agent is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// So long before another node takes over.
    Before(Duration),
    /// Perhaps so long after another node has taken over.
    After(Duration),
    /// Nothing ends its right to answer.
    Never,
}

impl Serialize for Silence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let margin = match self {
            Silence::Before(margin) => Some(margin.as_secs_f64()),
            Silence::After(excess) => Some(-excess.as_secs_f64()),
            Silence::Never => None,
        };
        margin.serialize(serializer)
    }
}

/// Of every group that at least two of the files have, in the order of the first one.
#[must_use]
pub fn together(files: &[&Config]) -> Vec<Together> {
    let Some(first) = files.first() else {
        return Vec::new();
    };
    let groups = first.groups.iter();
    groups
        .filter_map(|group| of_group(&group.name, files))
        .collect()
}

fn of_group(name: &str, files: &[&Config]) -> Option<Together> {
    let holders = files.iter().filter(|config| !config.is_witness());
    let all: Vec<Derived> = holders
        .filter_map(|config| {
            let mut groups = config.groups.iter();
            let group: &GroupConfig = groups.find(|group| group.name == name)?;
            Some(derived(config, group))
        })
        .collect();
    if all.len() < 2 {
        return None;
    }
    let longest = |time: fn(&Derived) -> Duration| all.iter().map(time).max().unwrap_or_default();
    Some(Together {
        group: name.to_owned(),
        nodes: all.len(),
        detection_max: longest(|of| of.detection_max),
        takeover_max: longest(|of| of.takeover_max),
        planned_max: longest(|of| of.planned_max),
        promote_max: longest(|of| of.promote_max),
        demote_max: longest(|of| of.demote_max),
        silence: silence(&all),
    })
}

/// Both are counted from the last advert or heartbeat.
fn silence(all: &[Derived]) -> Silence {
    let mut least = Silence::Before(Duration::MAX);
    for (at, holder) in all.iter().enumerate() {
        let Some(ends) = holder.lease else {
            return Silence::Never;
        };
        let others = all.iter().enumerate().filter(|(other, _)| *other != at);
        for (_, other) in others {
            let takes = other.detection_max;
            least = match (least, takes.checked_sub(ends)) {
                (Silence::Before(before), Some(margin)) => Silence::Before(before.min(margin)),
                (Silence::After(after), None) => Silence::After(after.max(ends - takes)),
                (Silence::Before(_), None) => Silence::After(ends - takes),
                (after, _) => after,
            };
        }
    }
    least
}

impl Together {
    /// In one line.
    #[must_use]
    pub fn line(&self) -> String {
        let silence = match self.silence {
            Silence::Before(margin) => format!(
                "a MASTER whose agent dies or freezes is silent {} before another one takes over",
                rounded_down(margin)
            ),
            Silence::After(excess) => format!(
                "a MASTER whose agent dies or freezes may answer for {} beside the next one",
                rounded_up(excess)
            ),
            Silence::Never => {
                "a MASTER whose agent dies or freezes answers on beside the next one".to_owned()
            }
        };
        format!(
            "together, group `{}` on {} nodes: a dead MASTER is noticed within {}; without a holder for at most \
             {} after power loss, {} after a planned stop; {silence}{}",
            self.group,
            self.nodes,
            rounded_up(self.detection_max),
            rounded_up(self.takeover_max),
            rounded_up(self.planned_max),
            scripts(self.promote_max, self.demote_max),
        )
    }
}

fn rounded_down(duration: Duration) -> String {
    rounded_up(Duration::from_millis(
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
    ))
}
