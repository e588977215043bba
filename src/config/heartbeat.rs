//! How often, and in which protocol? `[heartbeat]`, and what a group says differently.

use std::time::Duration;

use super::duration::shown;
use super::problem::{Checked, Problem, Problems, Span};
use super::reader::{At, Read, Section};
use super::suggest;
use super::types::Version;
use super::wording::quoted;

const INTERVAL: Duration = Duration::from_secs(1);
const MISSES: u32 = 3;

/// VRRPv3 counts centiseconds in 12 bits (RFC 9568, section 5.2.7).
const V3_STEP: Duration = Duration::from_millis(10);
const V3_LONGEST: Duration = Duration::from_millis(40_950);

/// VRRPv2 counts seconds in 8 bits (RFC 3768, section 5.3.7).
const V2_STEP: Duration = Duration::from_secs(1);
const V2_LONGEST: Duration = Duration::from_secs(255);

/// Below it, an agent that is not scheduled in time loses adverts.
const NEEDS_REALTIME: Duration = Duration::from_millis(50);

/// Above it, a takeover takes longer than most clients wait.
const SLOW: Duration = Duration::from_secs(10);

/// Fewer lost adverts than that happen on a healthy network.
const FEW_MISSES: u32 = 3;

/// What one table says; the rest is inherited.
pub(super) struct Given {
    protocol: Read<Version>,
    interval: Read<Duration>,
    misses: Read<u32>,
}

impl Given {
    /// Of `[heartbeat]` or `[group.heartbeat]`.
    pub(super) fn read(section: &Section<'_>, out: &mut Problems) -> Self {
        let protocol = match section.text("protocol", out) {
            Ok(Some(text)) => version(text, out).map(Some),
            Ok(None) => Ok(None),
            Err(reported) => Err(reported),
        };
        Given {
            protocol,
            interval: section.duration("interval", out),
            misses: section.integer("misses", out),
        }
    }
}

fn version(text: At<&str>, out: &mut Problems) -> Checked<At<Version>> {
    let problem = match text.value {
        "vrrp3" => return Ok(text.map(|_| Version::V3)),
        "vrrp2" => return Ok(text.map(|_| Version::V2)),
        "native" => Problem::error(
            text.span,
            "`protocol = \"native\"` is not supported by this version yet",
        )
        .advise("write `protocol = \"vrrp3\"`"),
        other => {
            let meant = suggest::closest(other, ["vrrp3", "vrrp2"].into_iter());
            Problem::error(text.span, format!("{} is not a protocol", quoted(other))).advise(
                format!("write `protocol = \"{}\"`", meant.unwrap_or("vrrp3")),
            )
        }
    };
    Err(out.push(problem))
}

/// What holds for one group.
pub(super) struct Timing {
    pub(super) version: Checked<At<Version>>,
    pub(super) interval: Checked<At<Duration>>,
    pub(super) misses: Checked<At<u32>>,
}

impl Timing {
    /// What the group says itself, then what it inherits, then the defaults.
    pub(super) fn of(
        own: Given,
        all: &Given,
        at: &Span,
        realtime: bool,
        out: &mut Problems,
    ) -> Self {
        let timing = Timing {
            version: match pick(own.protocol, &all.protocol) {
                Ok(Some(version)) => Ok(version),
                Ok(None) => Err(out.push(no_protocol(at.clone()))),
                Err(reported) => Err(reported),
            },
            interval: pick(own.interval, &all.interval).map(|read| or(read, INTERVAL, at)),
            misses: pick(own.misses, &all.misses).map(|read| or(read, MISSES, at)),
        };
        timing.check(realtime, out);
        timing
    }

    fn check(&self, realtime: bool, out: &mut Problems) {
        if let (Ok(version), Ok(interval)) = (&self.version, &self.interval) {
            check_interval(version, interval, realtime, out);
        }
        let few = self.misses.as_ref().ok().filter(|m| m.value < FEW_MISSES);
        if let Some(misses) = few {
            let lost = if misses.value == 1 {
                "one lost advert is"
            } else {
                "two lost adverts are"
            };
            let message = format!("{lost} enough to elect a second MASTER");
            let problem = Problem::warning(misses.span.clone(), message);
            out.push(
                problem.advise("set `misses` to 3 or more: a shorter `interval` detects as fast"),
            );
        }
    }
}

/// The group's own value, or that of `[heartbeat]`.
fn pick<T: Clone>(own: Read<T>, inherited: &Read<T>) -> Read<T> {
    match own {
        Ok(None) => inherited.clone(),
        own => own,
    }
}

fn or<T>(read: Option<At<T>>, default: T, at: &Span) -> At<T> {
    let span = at.clone();
    let value = default;
    read.unwrap_or(At { value, span })
}

fn no_protocol(at: Span) -> Problem {
    let message = "no `protocol` is given, and its default, `native`, is not supported yet";
    Problem::absent(at, message).advise("write `protocol = \"vrrp3\"` in [heartbeat]")
}

fn check_interval(
    version: &At<Version>,
    interval: &At<Duration>,
    realtime: bool,
    out: &mut Problems,
) {
    let (name, step, longest) = match version.value {
        Version::V2 => ("vrrp2", V2_STEP, V2_LONGEST),
        Version::V3 => ("vrrp3", V3_STEP, V3_LONGEST),
    };
    let length = interval.value;
    let whole = length.as_nanos().is_multiple_of(step.as_nanos());
    if !whole || length < step || length > longest {
        let message = format!("{name} cannot advertise an `interval` of {}", shown(length));
        let advice = format!(
            "write whole steps of {}, from {} to {}",
            shown(step),
            shown(step),
            shown(longest)
        );
        let problem = Problem::error(interval.span.clone(), message).advise(advice);
        out.push(problem.relate(version.span.clone(), "this protocol"));
    } else if version.value == Version::V3 && length > SLOW {
        let message = format!(
            "with an `interval` of {}, a takeover takes long",
            shown(length)
        );
        let advice = "vrrp3 was made for short ones: \"1s\" is usual, \"100ms\" is common";
        out.push(Problem::warning(interval.span.clone(), message).advise(advice));
    } else if length < NEEDS_REALTIME && !realtime {
        let message = format!(
            "an `interval` of {} without real-time scheduling",
            shown(length)
        );
        let advice = "set `realtime = true` in [node]: a busy host would seem dead to its peers";
        out.push(Problem::warning(interval.span.clone(), message).advise(advice));
    }
}
