//! What happened, for a person who reads it? Lines are written only when a seed is replayed.

use std::fmt::Write as _;

use floatlock::core::{Effect, Event, Instant, Report};

/// The last lines before the violation are enough.
const SHOWN: usize = 150;

#[derive(Default)]
pub(crate) struct Timeline {
    lines: Option<Vec<String>>,
}

impl Timeline {
    pub(crate) fn recording(is_on: bool) -> Self {
        Self {
            lines: is_on.then(Vec::new),
        }
    }

    pub(crate) fn is_recording(&self) -> bool {
        self.lines.is_some()
    }

    pub(crate) fn note(&mut self, now: Instant, who: Option<usize>, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            let (nanos, who) = (now.as_nanos(), who.map_or("      ".to_owned(), name));
            let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000 / 1000);
            lines.push(format!("{seconds:>5}.{rest:06}  {who}  {}", what()));
        }
    }

    pub(crate) fn text(&self) -> String {
        let lines = self.lines.as_deref().unwrap_or_default();
        let skipped = lines.len().saturating_sub(SHOWN);
        let mut text = String::new();
        if skipped > 0 {
            let _ = writeln!(text, "  ... {skipped} lines");
        }
        for line in &lines[skipped..] {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

pub(crate) fn name(node: usize) -> String {
    format!("node {node}")
}

pub(crate) fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::Report(Report::Role { from, to, cause }) => format!("{from} -> {to}: {cause}"),
        Effect::Report(Report::Alarm(alarm)) => format!("alarm: {alarm}"),
        Effect::Advertise { priority: 0 } => "says: resigns".to_owned(),
        Effect::Advertise { priority } => format!("says: priority {priority}"),
        other => format!("{other:?}"),
    }
}

pub(crate) fn event_text(event: &Event) -> String {
    match event {
        Event::Advert(heard) => {
            let line = if heard.lead {
                ""
            } else {
                ", not the leading line"
            };
            format!(
                "hears {} with priority {}{line}",
                heard.from, heard.priority
            )
        }
        other => format!("{other:?}"),
    }
}
