//! How often, and in which protocol? `[heartbeat]`, and what a group says differently.

use std::time::Duration;

use super::duration::shown;
use super::problem::{Checked, Problem, Problems, Reported, Span};
use super::reader::{At, Read, Section};
use super::suggest;
use super::types::Protocol;
use super::wording::quoted;

/// What holds if no table says it.
struct Defaults {
    interval: Duration,
    misses: u32,
}

const NATIVE: Defaults = Defaults {
    interval: Duration::from_millis(200),
    misses: 5,
};

const VRRP: Defaults = Defaults {
    interval: Duration::from_secs(1),
    misses: 3,
};

/// The native heartbeat is as quick as the network, and as slow as a person still waits for.
const NATIVE_STEP: Duration = Duration::from_micros(1);
const NATIVE_SHORTEST: Duration = Duration::from_millis(1);
const NATIVE_LONGEST: Duration = Duration::from_secs(60);

/// A holder asks again every interval, for votes that end after `misses` intervals from the asking:
/// fewer leave no room for a lost request, an answer that is late, and the asking itself.
const NATIVE_FEWEST: u32 = 4;

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
    pub(super) protocol: Read<Protocol>,
    interval: Read<Duration>,
    misses: Read<u32>,
}

impl Given {
    /// Of `[heartbeat]` or `[group.heartbeat]`.
    pub(super) fn read(section: &Section<'_>, out: &mut Problems) -> Self {
        let protocol = match section.text("protocol", out) {
            Ok(Some(text)) => protocol(text, out).map(Some),
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

fn protocol(text: At<&str>, out: &mut Problems) -> Checked<At<Protocol>> {
    let mut all = Protocol::ALL.into_iter();
    if let Some(protocol) = all.find(|protocol| protocol.word() == text.value) {
        return Ok(text.map(|_| protocol));
    }
    let words = Protocol::ALL.into_iter().map(Protocol::word);
    let advice = match suggest::closest(text.value, words) {
        Some(meant) => format!("write `protocol = \"{meant}\"`"),
        None => "write \"native\", \"vrrp3\" or \"vrrp2\"".to_owned(),
    };
    let message = format!("{} is not a protocol", quoted(text.value));
    Err(out.push(Problem::error(text.span, message).advise(advice)))
}

/// Where a group stands.
pub(super) struct Around<'f> {
    /// Where to point for what no table says.
    pub(super) at: &'f Span,
    pub(super) realtime: bool,
    /// Some of the text was not understood: what it does not say may stand there.
    pub(super) gaps: bool,
}

/// What holds for one group.
pub(super) struct Timing {
    pub(super) protocol: Checked<At<Protocol>>,
    pub(super) interval: Checked<At<Duration>>,
    pub(super) misses: Checked<At<u32>>,
}

impl Timing {
    /// What the group says itself, then what it inherits, then the defaults of its protocol.
    pub(super) fn of(own: Given, all: &Given, around: &Around<'_>, out: &mut Problems) -> Self {
        let at = around.at;
        let protocol = pick(own.protocol, &all.protocol);
        let protocol = match protocol {
            Ok(None) if around.gaps => Err(Reported),
            read => read.map(|read| or(read, Protocol::default(), at)),
        };
        let is_native = protocol.as_ref().is_ok_and(|p| p.value == Protocol::Native);
        let defaults = if is_native { NATIVE } else { VRRP };
        // A native group has no others: what stands there is refused.
        let (own_interval, own_misses) = match is_native {
            true => (Ok(None), Ok(None)),
            false => (own.interval, own.misses),
        };
        let timing = Timing {
            protocol,
            interval: pick(own_interval, &all.interval).map(|r| or(r, defaults.interval, at)),
            misses: pick(own_misses, &all.misses).map(|read| or(read, defaults.misses, at)),
        };
        timing.check(around.realtime, out);
        timing
    }

    /// The protocol, if it is known to be the native one.
    pub(super) fn native(&self) -> Option<&At<Protocol>> {
        let protocol = self.protocol.as_ref().ok();
        protocol.filter(|protocol| protocol.value == Protocol::Native)
    }

    fn check(&self, realtime: bool, out: &mut Problems) {
        let Ok(protocol) = &self.protocol else { return };
        if let Ok(interval) = &self.interval {
            check_interval(protocol, interval, realtime, out);
        }
        match (&self.misses, protocol.value) {
            (Ok(misses), Protocol::Native) => check_native_misses(misses, out),
            (Ok(misses), _) => check_misses(misses, out),
            (Err(_), _) => {}
        }
    }
}

fn check_misses(misses: &At<u32>, out: &mut Problems) {
    if misses.value >= FEW_MISSES {
        return;
    }
    let lost = if misses.value == 1 {
        "one lost advert is"
    } else {
        "two lost adverts are"
    };
    let message = format!("{lost} enough to elect a second MASTER");
    let problem = Problem::warning(misses.span.clone(), message);
    out.push(problem.advise("set `misses` to 3 or more: a shorter `interval` detects as fast"));
}

fn check_native_misses(misses: &At<u32>, out: &mut Problems) {
    if misses.value >= NATIVE_FEWEST {
        return;
    }
    let message = format!("a native lease of {} intervals is too short", misses.value);
    let advice = format!(
        "set `misses` to {NATIVE_FEWEST} or more: a holder must renew several times within \
         `misses` intervals, or one lost frame ends its lease; a shorter `interval` detects as fast"
    );
    out.push(Problem::error(misses.span.clone(), message).advise(advice));
}

/// What `[group.heartbeat]` of a native group should not say.
pub(super) fn refuse_own(
    section: &Section<'_>,
    native: &At<Protocol>,
    all: &Given,
    out: &mut Problems,
) {
    for (key, span) in section
        .given()
        .into_iter()
        .filter(|(key, _)| *key != "protocol")
    {
        let place = match key {
            "peers" | "source" => "[[heartbeat.path]]",
            _ => "[heartbeat]",
        };
        let message = format!("`{key}` of one group is for vrrp2 and vrrp3 only");
        let problem = Problem::error(span, message)
            .relate(native.span.clone(), "this group is native")
            .advise(format!(
                "write it in {place}: one heartbeat speaks for all native groups"
            ));
        out.push(problem);
    }
    if let Ok(Some(other)) = &all.protocol
        && other.value != Protocol::Native
    {
        let message = "one group alone cannot be native";
        let problem = Problem::error(native.span.clone(), message)
            .relate(other.span.clone(), "what holds for all groups")
            .advise(
                "write `protocol = \"native\"` in [heartbeat], and the other groups' protocol in \
                 their [group.heartbeat]",
            );
        out.push(problem);
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

fn check_interval(
    protocol: &At<Protocol>,
    interval: &At<Duration>,
    realtime: bool,
    out: &mut Problems,
) {
    let (step, shortest, longest) = match protocol.value {
        Protocol::Native => (NATIVE_STEP, NATIVE_SHORTEST, NATIVE_LONGEST),
        Protocol::Vrrp2 => (V2_STEP, V2_STEP, V2_LONGEST),
        Protocol::Vrrp3 => (V3_STEP, V3_STEP, V3_LONGEST),
    };
    let length = interval.value;
    let whole = length.as_nanos().is_multiple_of(step.as_nanos());
    if !whole || length < shortest || length > longest {
        let message = match protocol.value {
            Protocol::Native => format!("native has no `interval` of {}", shown(length)),
            vrrp => {
                let name = vrrp.word();
                format!("{name} cannot advertise an `interval` of {}", shown(length))
            }
        };
        let advice = format!(
            "write whole steps of {}, from {} to {}",
            shown(step),
            shown(shortest),
            shown(longest)
        );
        let problem = Problem::error(interval.span.clone(), message).advise(advice);
        out.push(problem.relate(protocol.span.clone(), "this protocol"));
    } else if protocol.value == Protocol::Vrrp3 && length > SLOW {
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
