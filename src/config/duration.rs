//! How long is that? Durations as text with a unit.

use std::time::Duration;

use super::keys::{Absent, Key, Kind};
use super::wording::quoted;

/// Why a text is no duration for its key.
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) advice: String,
}

/// More digits than any sensible duration has. It also keeps `humantime` from adding up to the
/// last second of a `u64`, where it panics.
const MOST_DIGITS: usize = 15;

/// The duration, in the range of its key.
pub(super) fn parse(text: &str, key: Option<&Key>) -> Result<Duration, Wrong> {
    let duration = understand(text)?;
    let Some(Kind::Duration { min, max }) = key.map(|key| key.kind) else {
        return Ok(duration);
    };
    let off = key.is_some_and(|key| key.absent == Absent::Default("\"0s\""));
    if (off && duration.is_zero()) || (min..=max).contains(&duration) {
        return Ok(duration);
    }
    let message = format!("{} is out of range", quoted(text));
    let range = format!("from {} to {}", shown(min), shown(max));
    let advice = match off && !min.is_zero() {
        true => format!("write \"0s\" (off), or a duration {range}"),
        false => format!("write a duration {range}"),
    };
    Err(Wrong { message, advice })
}

fn understand(text: &str) -> Result<Duration, Wrong> {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    if !text.is_empty() && digits == text.len() {
        let message = format!("{} has no unit", quoted(text));
        let advice = format!("write \"{text}s\" or \"{text}ms\"");
        return Err(Wrong { message, advice });
    }
    let parsed = (digits <= MOST_DIGITS).then(|| humantime::parse_duration(text).ok());
    parsed.flatten().ok_or_else(|| Wrong {
        message: format!("{} is not a duration", quoted(text)),
        advice: "write a number with a unit, like \"1s\", \"200ms\" or \"1m 30s\"".to_owned(),
    })
}

/// The duration as it would stand in the file: `1s`, `1.5s`, `20ms`, `1us`, `24h`.
pub(super) fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if duration.subsec_nanos() == 0
        && duration.as_secs().is_multiple_of(3600)
        && !duration.is_zero()
    {
        format!("{}h", duration.as_secs() / 3600)
    } else if duration < Duration::from_millis(1) && !duration.is_zero() {
        format!("{}us", duration.as_micros())
    } else if duration < Duration::from_secs(1) && !duration.is_zero() {
        format!("{}ms", seconds * 1000.0)
    } else {
        format!("{seconds}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(text: &str) -> String {
        understand(text).map_or_else(|wrong| wrong.advice, |d| format!("{d:?}"))
    }

    #[test]
    fn a_duration_needs_a_unit() {
        assert_eq!(advice("1"), "write \"1s\" or \"1ms\"");
        assert_eq!(advice("0"), "write \"0s\" or \"0ms\"");
        assert_eq!(advice("1m 30s"), "90s");
        assert_eq!(advice("1.5s"), "1.5s");
    }

    #[test]
    fn durations_are_shown_as_an_operator_writes_them() {
        let show = |millis| shown(Duration::from_millis(millis));
        let texts = [0, 20, 1000, 1500, 40_950, 255_000, 86_400_000].map(show);
        assert_eq!(texts, ["0s", "20ms", "1s", "1.5s", "40.95s", "255s", "24h"]);
        assert_eq!(shown(Duration::from_micros(1)), "1us");
        assert_eq!(shown(Duration::from_micros(1500)), "1.5ms");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", " ", "s", "1 fortnight", "-1s", "1s;", "\u{661}s"] {
            assert!(understand(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_last_second_of_a_u64_is_refused_without_a_panic() {
        for text in [
            "18446744073709551615s 1000ms",
            "584542046090y 19759215s 1000ms",
        ] {
            assert!(understand(text).is_err(), "{text:?}");
        }
    }
}
