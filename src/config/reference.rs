//! What in the network must answer? `reference`, `reference-need` and `solo-after` of `[fencing]`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::fencing::Voting;
use super::problem::{Checked, Problem, Problems, Span};
use super::reader::{At, Section};
use super::types::{GroupConfig, Reference};
use super::values;

/// The most targets: each is asked in every interval.
const MOST: usize = 16;

/// Less is no wait: the other node may be starting as well.
const SOLO_AFTER_LEAST: Duration = Duration::from_secs(1);

/// `voting`: none without a `[cluster]`.
pub(super) fn read(
    section: &Section<'_>,
    voting: Option<&Voting>,
    out: &mut Problems,
) -> Checked<Option<Reference>> {
    let targets = targets(section, out);
    let need = section.integer("reference-need", out);
    let solo_after = section.duration("solo-after", out);
    let (targets, need, solo_after) = (targets?, need?, solo_after?);
    if let Some(after) = solo_after
        .as_ref()
        .filter(|after| after.value < SOLO_AFTER_LEAST)
    {
        let message = "so soon the other node cannot have been heard: at least 1s";
        return Err(out.error(after.span.clone(), message.to_owned()));
    }
    let Some(targets) = targets else {
        let need = need.map(|need| ("reference-need", need.span));
        let alone = need.or(solo_after.map(|after| ("solo-after", after.span)));
        return match alone {
            None => Ok(None),
            Some((key, span)) => {
                Err(out.error(span, format!("`{key}` means nothing without `reference`")))
            }
        };
    };
    check_voting(&targets.span, voting, out)?;
    let count = targets.value.len();
    let asked = need.map_or(1, |need| need.value as usize);
    if let Some(need) = section
        .integer("reference-need", out)?
        .filter(|_| asked > count)
    {
        let message = format!("{asked} of {count} cannot answer");
        return Err(out.error(need.span, message));
    }
    Ok(Some(Reference {
        targets: targets.value,
        need: asked,
        solo_after: solo_after.map(|after| after.value),
    }))
}

fn targets(section: &Section<'_>, out: &mut Problems) -> Checked<Option<At<Vec<IpAddr>>>> {
    let texts = section.texts("reference", out);
    let Some(hosts) = values::hosts(texts, out)? else {
        return Ok(None);
    };
    let At { value, span } = hosts;
    let hosts: Vec<At<IpAddr>> = value.into_iter().collect::<Checked<_>>()?;
    if !(1..=MOST).contains(&hosts.len()) {
        return Err(out.error(span, format!("a reference is 1 to {MOST} addresses")));
    }
    let mut first: HashMap<IpAddr, Span> = HashMap::new();
    for host in &hosts {
        if let Some(before) = first.insert(host.value, host.span.clone()) {
            let message = format!(
                "`{}` is listed twice, and would be counted twice",
                host.value
            );
            let problem = Problem::error(host.span.clone(), message);
            return Err(out.push(problem.relate(before, "first here")));
        }
    }
    let value = hosts.into_iter().map(|host| host.value).collect();
    Ok(Some(At { value, span }))
}

fn check_voting(span: &Span, voting: Option<&Voting>, out: &mut Problems) -> Checked<()> {
    let message = match voting {
        None => "a reference decides between the nodes of a [cluster]",
        Some(voting) if voting.nodes < 2 => {
            "a reference decides between nodes, and there is one: it would only fall silent"
        }
        Some(_) => return Ok(()),
    };
    Err(out.error(span.clone(), message.to_owned()))
}

/// What only the groups tell.
pub(super) fn check_groups(
    reference: &Reference,
    groups: &[Arc<GroupConfig>],
    at: &Span,
    out: &mut Problems,
) -> Checked<()> {
    for group in groups {
        let paths = group.paths.iter();
        let mut nodes = paths.flat_map(|path| path.peers.iter().chain(&path.source));
        if let Some(address) = nodes.find(|address| reference.targets.contains(address)) {
            let message = format!(
                "the reference {address} is an address of a node: with that node dead, the other one would \
                 fall silent"
            );
            return Err(out.error(at.clone(), message));
        }
        let mut moving = group.all_addresses().map(|address| address.net.addr());
        if let Some(address) = moving.find(|address| reference.targets.contains(address)) {
            let message = format!(
                "the reference {address} is an address of group `{}`: whoever holds it would answer \
                 itself",
                group.name
            );
            return Err(out.error(at.clone(), message));
        }
    }
    Ok(())
}
