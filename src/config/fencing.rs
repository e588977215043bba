//! What ends the right to answer? `[fencing]`.

use std::path::{Path, PathBuf};

use super::problem::{Checked, Problem, Problems, Span};
use super::reader::{At, Section};
use super::reference;
use super::suggest;
use super::types::{Fencing, GateChoice};
use super::watchdog;
use super::wording::quoted;

/// How many vote: nodes and witnesses.
pub(super) struct Voting {
    pub(super) nodes: usize,
    pub(super) witnesses: usize,
}

/// `[fencing]`, or what its absence means. `voting`: none without a `[cluster]`.
pub(super) fn read(
    section: &Section<'_>,
    voting: Option<&Voting>,
    out: &mut Problems,
) -> Checked<Fencing> {
    let gate = gate(section, out);
    let mode = mode(section, out);
    let disk_lock = disk_lock(section, voting, out);
    let reference = reference::read(section, voting, out);
    let watchdog = watchdog::device(section, out);
    let on_lease_lost = watchdog::on_lease_lost(section, out);
    let (gate, disk_lock, reference) = (gate?, disk_lock?, reference?);
    if let (Some(span), None) = (mode?, &disk_lock) {
        let message = "`disk-lock-mode` means nothing without `disk-lock`";
        return Err(out.error(span, message.to_owned()));
    }
    if gate == GateChoice::Off && disk_lock.is_some() {
        let message = "a disk lock without a gate: the vote would end, and the addresses answer on";
        return Err(out.error(section.at.clone(), message.to_owned()));
    }
    if gate == GateChoice::Off && reference.is_some() {
        let message =
            "a reference without a gate: a node that is cut off and frozen would answer on";
        return Err(out.error(section.at.clone(), message.to_owned()));
    }
    Ok(Fencing {
        gate,
        disk_lock,
        reference,
        watchdog: watchdog?,
        on_lease_lost: on_lease_lost?,
    })
}

/// Where it is said.
fn mode(section: &Section<'_>, out: &mut Problems) -> Checked<Option<Span>> {
    let Some(text) = section.text("disk-lock-mode", out)? else {
        return Ok(None);
    };
    match text.value {
        "smart" => Ok(Some(text.span)),
        "always" => {
            let problem = Problem::error(text.span, "\"always\" is not supported yet");
            Err(out.push(problem.advise("write \"smart\", or leave it out")))
        }
        other => {
            let message = format!("{} is not a mode of the disk lock", quoted(other));
            Err(out.push(Problem::error(text.span, message).advise("write \"smart\"")))
        }
    }
}

fn disk_lock(
    section: &Section<'_>,
    voting: Option<&Voting>,
    out: &mut Problems,
) -> Checked<Option<PathBuf>> {
    let Some(list) = section.texts("disk-lock", out)? else {
        return Ok(None);
    };
    let span = list.span;
    let devices: Vec<At<&str>> = list.value.into_iter().collect::<Checked<_>>()?;
    let [device] = &devices[..] else {
        let message = format!("{} devices: one is supported so far", devices.len());
        return Err(out.error(span, message));
    };
    let path = Path::new(device.value);
    if !path.is_absolute() {
        let message = format!("{} is not an absolute path", quoted(device.value));
        let advice = "name it by what does not change: /dev/disk/by-id/...";
        return Err(out.push(Problem::error(device.span.clone(), message).advise(advice)));
    }
    let problem = match voting {
        None => "the disk lock is a vote in a [cluster]",
        Some(voting) if voting.witnesses > 0 => {
            "a witness and a disk lock: there is one arbiter at most"
        }
        Some(voting) if voting.nodes != 2 => "a disk lock is the third vote of two nodes",
        Some(_) => return Ok(Some(path.to_owned())),
    };
    Err(out.error(span, problem.to_owned()))
}

fn gate(section: &Section<'_>, out: &mut Problems) -> Checked<GateChoice> {
    let Some(text) = section.text("gate", out)? else {
        return Ok(GateChoice::Auto);
    };
    match text.value {
        "auto" => Ok(GateChoice::Auto),
        "bpf" => Ok(GateChoice::Bpf),
        "off" => {
            let message = "without a gate, a dead or frozen agent's addresses go on answering";
            out.push(
                Problem::warning(text.span, message).advise("leave it out, or write \"auto\""),
            );
            Ok(GateChoice::Off)
        }
        "nftables" => Ok(GateChoice::Nftables),
        other => {
            let gates = ["auto", "bpf", "nftables", "off"];
            let advice = match suggest::closest(other, gates.into_iter()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "write \"auto\", \"bpf\", \"nftables\" or \"off\"".to_owned(),
            };
            let message = format!("{} is not a gate", quoted(other));
            Err(out.push(Problem::error(text.span, message).advise(advice)))
        }
    }
}
