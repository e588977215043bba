//! What ends the right to answer? `[fencing]`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::problem::{Checked, Problem, Problems, Span};
use super::reader::{At, Section};
use super::reference;
use super::suggest;
use super::types::{DiskLockMode, Fencing, GateChoice, GroupConfig};
use super::watchdog;
use super::wording::quoted;
use crate::core::election::OWNER;
use crate::wire::disk::Times;

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
    let lease = section.duration("disk-lease", out);
    let (mode, lease) = (mode?, lease?);
    if let Some((key, span)) = alone(&mode, &lease).filter(|_| disk_lock.is_empty()) {
        let message = format!("`{key}` means nothing without `disk-lock`");
        return Err(out.error(span, message));
    }
    if let Some(lease) = lease
        .as_ref()
        .filter(|lease| Times::of(lease.value).is_none())
    {
        let message = "no lock area has such a lease: it is 100ms to an hour";
        return Err(out.error(lease.span.clone(), message.to_owned()));
    }
    if gate == GateChoice::Off && !disk_lock.is_empty() {
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
        disk_lock_mode: mode.map(|mode| mode.value).unwrap_or_default(),
        disk_lease: lease.map(|lease| lease.value),
        reference,
        watchdog: watchdog?,
        on_lease_lost: on_lease_lost?,
    })
}

/// What needs a disk, and where it is said.
fn alone(
    mode: &Option<At<DiskLockMode>>,
    lease: &Option<At<Duration>>,
) -> Option<(&'static str, Span)> {
    let mode = mode.as_ref().map(|at| ("disk-lock-mode", at.span.clone()));
    mode.or(lease.as_ref().map(|at| ("disk-lease", at.span.clone())))
}

fn mode(section: &Section<'_>, out: &mut Problems) -> Checked<Option<At<DiskLockMode>>> {
    let Some(text) = section.text("disk-lock-mode", out)? else {
        return Ok(None);
    };
    let value = match text.value {
        "smart" => DiskLockMode::Smart,
        "always" => DiskLockMode::Always,
        other => {
            let message = format!("{} is not a mode of the disk lock", quoted(other));
            let advice = "write \"smart\" or \"always\"";
            return Err(out.push(Problem::error(text.span, message).advise(advice)));
        }
    };
    let span = text.span;
    Ok(Some(At { value, span }))
}

/// What only the groups tell: those of vrrp2 and vrrp3 hold by the disk, or not at all.
pub(super) fn check_groups(
    fencing: &Fencing,
    groups: &[Arc<GroupConfig>],
    at: &Span,
    out: &mut Problems,
) -> Checked<()> {
    if !fencing.has_disk() && fencing.reference.is_none() {
        return Ok(());
    }
    let what = match fencing.has_disk() {
        true => "a disk lock",
        false => "a reference",
    };
    if fencing.needs_disk() && groups.len() > 1 {
        let message = format!(
            "{} groups and disk-lock-mode = \"always\": the disk's vote is a node's, so that no two nodes could \
             hold at the same time",
            groups.len()
        );
        let advice = "put the addresses into one group, or write \"smart\"";
        return Err(out.push(Problem::error(at.clone(), message).advise(advice)));
    }
    for group in groups.iter().filter(|group| !group.is_native()) {
        let (name, protocol) = (&group.name, group.protocol.word());
        if fencing.has_disk() && !fencing.needs_disk() {
            let message = format!("the peers of group `{name}` grant nothing ({protocol})");
            let advice = "write disk-lock-mode = \"always\": without the disk nobody holds then";
            return Err(out.push(Problem::error(at.clone(), message).advise(advice)));
        }
        if group.priority == OWNER {
            let message = format!(
                "group `{name}` owns its addresses (priority 255), which {what} cannot take away"
            );
            return Err(out.push(Problem::error(at.clone(), message).advise("write 254")));
        }
        if group.lease().is_none() {
            let message = format!(
                "adverts of group `{name}` are too close together for a gate, so that nothing would end its \
                 right when {what} does"
            );
            return Err(out.push(Problem::error(at.clone(), message).advise("write 30ms or more")));
        }
    }
    Ok(())
}

fn disk_lock(
    section: &Section<'_>,
    voting: Option<&Voting>,
    out: &mut Problems,
) -> Checked<Vec<PathBuf>> {
    let Some(list) = section.texts("disk-lock", out)? else {
        return Ok(Vec::new());
    };
    let span = list.span;
    let devices: Vec<At<&str>> = list.value.into_iter().collect::<Checked<_>>()?;
    if !matches!(devices.len(), 1 | 3) {
        let message = format!(
            "{} devices: a disk lock is one, or three of which two are enough",
            devices.len()
        );
        return Err(out.error(span, message));
    }
    let mut paths: Vec<PathBuf> = Vec::new();
    for device in &devices {
        let path = Path::new(device.value);
        if !path.is_absolute() {
            let message = format!("{} is not an absolute path", quoted(device.value));
            let advice = "name it by what does not change: /dev/disk/by-id/...";
            return Err(out.push(Problem::error(device.span.clone(), message).advise(advice)));
        }
        if paths.iter().any(|other| other == path) {
            let message = format!("{} is named twice", quoted(device.value));
            return Err(out.error(device.span.clone(), message));
        }
        paths.push(path.to_owned());
    }
    let problem = match voting {
        None => "the disk lock is a vote in a [cluster]",
        Some(voting) if voting.witnesses > 0 => {
            "a witness and a disk lock: there is one arbiter at most"
        }
        Some(voting) if voting.nodes != 2 => "a disk lock is the third vote of two nodes",
        Some(_) => return Ok(paths),
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
