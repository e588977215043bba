//! What resets a host that hangs? `watchdog` and `on-lease-lost` of `[fencing]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::derived::{rounded_up, seconds};
use super::problem::{Checked, Problem, Problems};
use super::reader::Section;
use super::types::{Config, GateChoice, GroupConfig, OnLeaseLost};
use super::wording::quoted;
use crate::core::election::OWNER;
use crate::core::watchdog::{Plan, Reach, Times, needs};
use crate::wire::disk;

pub(super) fn device(section: &Section<'_>, out: &mut Problems) -> Checked<Option<PathBuf>> {
    let Some(text) = section.text("watchdog", out)? else {
        return Ok(None);
    };
    let path = Path::new(text.value);
    if path.is_absolute() && !text.value.contains(char::is_control) {
        return Ok(Some(path.to_owned()));
    }
    let message = format!("{} is not an absolute path", quoted(text.value));
    let advice = "name the device: \"/dev/watchdog\"";
    Err(out.push(Problem::error(text.span, message).advise(advice)))
}

pub(super) fn on_lease_lost(section: &Section<'_>, out: &mut Problems) -> Checked<OnLeaseLost> {
    let Some(text) = section.text("on-lease-lost", out)? else {
        return Ok(OnLeaseLost::Silence);
    };
    match text.value {
        "silence" => Ok(OnLeaseLost::Silence),
        "reboot" => Ok(OnLeaseLost::Reboot),
        other => {
            let message = format!("{} is nothing that a lost lease does", quoted(other));
            let advice = "write \"silence\" or \"reboot\"";
            Err(out.push(Problem::error(text.span, message).advise(advice)))
        }
    }
}

/// How the watchdog of this configuration is used, if it has one: by the groups whose right ends.
#[must_use]
pub fn watchdog(config: &Config) -> Option<Plan> {
    config.fencing.watchdog.as_ref()?;
    let gated = config.fencing.gate != GateChoice::Off && endless(config).is_none();
    Some(Plan::of(&times(config), gated))
}

/// A group whose adverts are too fast for a gate has no end.
fn endless(config: &Config) -> Option<&GroupConfig> {
    let is_endless = |group: &&GroupConfig| group.lease().is_none() && group.priority != OWNER;
    config.groups.iter().map(AsRef::as_ref).find(is_endless)
}

fn times(config: &Config) -> Vec<Times> {
    let of = |group: &GroupConfig| {
        Some(Times {
            lease: group.lease()?,
            interval: group.interval,
        })
    };
    let groups = config.groups.iter().filter_map(|group| of(group));
    // Where nobody holds without the disk, the right ends with its vote.
    let disk = disk::Times::of(config.fencing.disk_lease());
    let disk = disk
        .filter(|_| config.fencing.needs_disk())
        .map(|times| Times {
            lease: times.lease(),
            interval: times.renew(),
        });
    groups.chain(disk).collect()
}

/// What is said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Watchdog {
    /// T.
    #[serde(rename = "timeout_seconds", serialize_with = "seconds")]
    pub timeout: Duration,
    /// A host that hangs is reset before another node answers, also without its gate.
    pub fences: bool,
    /// So much earlier a MASTER gives up.
    #[serde(rename = "early_seconds", serialize_with = "seconds")]
    pub early: Duration,
    /// In one line, with the inequality.
    #[serde(skip)]
    pub text: String,
}

pub(super) fn described(config: &Config) -> Option<Watchdog> {
    let plan = watchdog(config)?;
    let times = times(config);
    let second = Duration::from_secs(1);
    let shortest = times.iter().min_by_key(|of| {
        // Whose lease has the least to spare.
        of.lease
            .as_nanos()
            .saturating_sub(needs(of.interval, second).as_nanos())
    });
    let set = format!("watchdog, set to {}: ", rounded_up(plan.timeout));
    const HANGS: &str = "it resets a host whose agent hangs while it holds";
    let gated = config.fencing.gate != GateChoice::Off;
    let text = match (plan.reach, shortest, endless(config)) {
        (Reach::Fences, Some(of), _) => format!(
            "{set}needs leases of {} at heartbeats of {}, and they last {}: a host that hangs is reset before \
             another node answers, also without its gate; for that, a MASTER gives up {} before its lease ends",
            rounded_up(needs(of.interval, plan.timeout)),
            rounded_up(of.interval),
            rounded_up(of.lease),
            rounded_up(plan.early),
        ),
        (_, _, Some(group)) if gated => format!(
            "{set}the watchdog backs up the gate only, since nothing ends the right of group `{}` to answer; \
             {HANGS}, or whose gate is lost for good",
            group.name
        ),
        (_, Some(of), _) if gated => format!(
            "{set}the watchdog backs up the gate only: to reset a host that hangs before another node answers, \
             it needs leases of {} at heartbeats of {}, and they last {}; {HANGS}, or whose gate is lost for good",
            rounded_up(needs(of.interval, second)),
            rounded_up(of.interval),
            rounded_up(of.lease),
        ),
        (_, None, _) if gated => {
            format!("{set}never needed: the addresses of every group are this host's own")
        }
        _ => format!("{set}without a gate the watchdog fences nothing in time; {HANGS}"),
    };
    Some(Watchdog {
        timeout: plan.timeout,
        fences: plan.reach == Reach::Fences,
        early: plan.early,
        text,
    })
}
