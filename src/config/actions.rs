//! What runs at a change of role? Every `[[group.action]]`.

use std::time::Duration;

use super::problem::{Checked, Problem, Problems};
use super::reader::{At, Section};
use super::suggest;
use super::types::{ActionConfig, ActionEvent};
use super::wording::quoted;

/// The most actions of one group: they run one at a time.
const MOST: usize = 16;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest name of a user, as `useradd` takes it.
const USER_LONGEST: usize = 32;

/// In the order of the file. Whether programs and users exist is not asked: the text may be meant
/// for another host.
pub(super) fn read(group: &Section<'_>, out: &mut Problems) -> Checked<Vec<ActionConfig>> {
    let sections = group.sections("action", out)?;
    let first = sections.iter().take(MOST);
    let actions: Vec<_> = first.map(|section| action(section, out)).collect();
    if let Some(excess) = sections.get(MOST) {
        let message = format!("a group has at most {MOST} actions");
        let problem = Problem::error(excess.at.clone(), message);
        return Err(out.push(problem.advise("let one script call the others")));
    }
    actions.into_iter().collect()
}

fn action(section: &Section<'_>, out: &mut Problems) -> Checked<ActionConfig> {
    let on = on(section, out);
    let run = run(section, out);
    let timeout = section.duration("timeout", out);
    let required = required(section, &on, out);
    let keepalived_args = keepalived_args(section, &on, out);
    let user = user(section, out);
    Ok(ActionConfig {
        on: on?.value,
        run: run?,
        timeout: section.or(timeout, TIMEOUT)?.value,
        required: required?,
        keepalived_args: keepalived_args?,
        user: user?,
    })
}

fn on(section: &Section<'_>, out: &mut Problems) -> Checked<At<ActionEvent>> {
    let text = section.text("on", out);
    let text = section.need("on", text, out)?;
    let mut events = ActionEvent::ALL.into_iter();
    if let Some(event) = events.find(|event| event.word() == text.value) {
        return Ok(text.map(|_| event));
    }
    let words = ActionEvent::ALL.map(ActionEvent::word);
    let advice = match suggest::closest(&text.value.to_lowercase(), words.into_iter()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => "write \"promote\", \"promoted\", \"demote\", \"demoted\", \"fault\", \"stop\" or \
                 \"any\""
            .to_owned(),
    };
    let message = format!("no action runs at {}", quoted(text.value));
    Err(out.push(Problem::error(text.span, message).advise(advice)))
}

/// The program and its arguments.
fn run(section: &Section<'_>, out: &mut Problems) -> Checked<Vec<String>> {
    let list = section.texts("run", out);
    let list = section.need("run", list, out)?;
    if list.value.is_empty() {
        let problem = Problem::error(list.span, "`run` names no program");
        let advice = "write the program's absolute path, and its arguments after it";
        return Err(out.push(problem.advise(advice)));
    }
    let words = list.value.into_iter().enumerate();
    let words = words.map(|(index, word)| match index {
        0 => program(word?, out),
        _ => argument(word?, out),
    });
    let words: Vec<Checked<String>> = words.collect();
    words.into_iter().collect()
}

fn program(text: At<&str>, out: &mut Problems) -> Checked<String> {
    if text.value.starts_with('/') {
        return argument(text, out);
    }
    let message = format!("{} is not an absolute path", quoted(text.value));
    let advice = "write a path that starts with `/`: programs are not looked for";
    Err(out.push(Problem::error(text.span, message).advise(advice)))
}

fn argument(text: At<&str>, out: &mut Problems) -> Checked<String> {
    match text.value.contains('\0') {
        false => Ok(text.value.to_owned()),
        true => Err(out.error(text.span, "an entry of `run` has a NUL byte in it")),
    }
}

/// Only what runs before the addresses go on can keep them off.
fn required(
    section: &Section<'_>,
    on: &Checked<At<ActionEvent>>,
    out: &mut Problems,
) -> Checked<bool> {
    let required = section.boolean("required", out)?;
    let other = on
        .as_ref()
        .ok()
        .filter(|on| on.value != ActionEvent::Promote);
    match (required, other) {
        (Some(required), Some(on)) => {
            let problem = Problem::error(required.span, "`required` is for \"promote\" only")
                .relate(on.span.clone(), "nothing depends on what runs here")
                .advise("leave it out");
            Err(out.push(problem))
        }
        (Some(required), None) => Ok(required.value),
        (None, other) => Ok(other.is_none()),
    }
}

/// keepalived's states are MASTER, BACKUP, FAULT and STOP: what goes before them is none.
fn keepalived_args(
    section: &Section<'_>,
    on: &Checked<At<ActionEvent>>,
    out: &mut Problems,
) -> Checked<bool> {
    let given = section.boolean("keepalived-args", out);
    let given = section.or(given, false)?;
    let has_state = |on: &ActionEvent| !matches!(on, ActionEvent::Promote | ActionEvent::Demote);
    match on {
        Ok(on) if given.value && !has_state(&on.value) => {
            let message = format!("`keepalived-args` does not go with \"{}\"", on.value.word());
            let problem = Problem::error(given.span, message)
                .relate(on.span.clone(), "keepalived has no state for this")
                .advise("leave it out, or write \"promoted\", \"demoted\" or \"any\"");
            Err(out.push(problem))
        }
        _ => Ok(given.value),
    }
}

fn user(section: &Section<'_>, out: &mut Problems) -> Checked<Option<String>> {
    let Some(text) = section.text("user", out)? else {
        return Ok(None);
    };
    if is_user(text.value) {
        return Ok(Some(text.value.to_owned()));
    }
    let message = format!("{} is not the name of a user", quoted(text.value));
    let advice = "write 1 to 32 letters, digits, `.`, `_` or `-`, not beginning with `-`";
    Err(out.push(Problem::error(text.span, message).advise(advice)))
}

fn is_user(text: &str) -> bool {
    let fits = (1..=USER_LONGEST).contains(&text.len()) && !text.starts_with('-');
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    fits && text.chars().all(plain)
}
