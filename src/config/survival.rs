//! What does a configuration not survive? One sentence, said wherever somebody could rely on it.

use super::types::{Cluster, Config, GroupConfig};

/// Whether native groups have at most one MASTER in any partition: two nodes alone do not outvote
/// each other, everybody else does, and a disk that both reach does.
pub(super) fn is_exclusive(config: &Config) -> bool {
    if config.fencing.has_disk() {
        return true;
    }
    let alone = |cluster: &Cluster| cluster.witnesses.is_empty() && cluster.nodes.len() <= 2;
    config.cluster.as_ref().is_some_and(|c| !alone(c))
}

/// What leaves two MASTERs, or none.
pub(super) fn not_survived(config: &Config) -> String {
    let (native, vrrp): (Vec<_>, Vec<_>) = config
        .groups
        .iter()
        .map(AsRef::as_ref)
        .partition(|group: &&GroupConfig| group.is_native());
    let lines = |groups: &[&GroupConfig]| groups.iter().map(|g| g.paths.len()).min();
    let vrrp = lines(&vrrp).map(|lines| of_vrrp(config, lines));
    let native = lines(&native).map(|lines| {
        let shared = config.native.as_ref().map(|native| native.paths.len());
        of_native(config, shared.unwrap_or(lines))
    });
    match (native, vrrp) {
        (Some(native), Some(vrrp)) => format!("not survived: {native}; {vrrp}"),
        (one, other) => format!("not survived: {}", one.or(other).unwrap_or_default()),
    }
}

fn of_vrrp(config: &Config, lines: usize) -> String {
    let what = partition(lines);
    let fencing = &config.fencing;
    let reference = match fencing.reference {
        Some(_) => "; nor does a node hold that does not reach the reference",
        None => "",
    };
    if fencing.needs_disk() {
        return format!(
            "{}, but a router of vrrp2 or vrrp3 that does not ask the disk is not held back by \
             it{reference}",
            without_disk(config)
        );
    }
    match fencing.reference {
        Some(_) => "a cut between the nodes while both still reach the reference leaves a MASTER on each side; \
                    the loss of the reference leaves none (whoever does not reach it falls silent)"
            .to_owned(),
        None => format!("{what} leaves a MASTER on each side (vrrp2 and vrrp3 have no arbiter)"),
    }
}

/// Where nobody holds without the disk.
fn without_disk(config: &Config) -> String {
    let disk = disk(config);
    format!(
        "the loss of {disk} leaves no MASTER, nor does a node hold that is cut off from it (never two: whoever has \
         not its vote falls silent)"
    )
}

/// What the vote is lost with.
const fn disk(config: &Config) -> &'static str {
    match config.fencing.disk_lock.len() {
        0 | 1 => "the disk",
        _ => "two of the three disks",
    }
}

fn of_native(config: &Config, lines: usize) -> String {
    let nodes = config.cluster.as_ref().map_or(1, |c| c.nodes.len());
    let voters = config.voters().len();
    if nodes == 1 {
        return "the loss of the only node leaves no MASTER".to_owned();
    }
    if !is_exclusive(config) && config.fencing.reference.is_some() {
        return "a cut between the two nodes while both still reach the reference leaves a MASTER on each \
                side; the loss of one node and of the reference leaves none (whoever is cut off from both \
                falls silent)"
            .to_owned();
    }
    if !is_exclusive(config) {
        let what = partition(lines);
        return format!(
            "{what} leaves a MASTER on each side (two nodes without a witness are not exclusive)"
        );
    }
    // Who takes over must reach it, too.
    let reference = match config.fencing.reference {
        Some(_) => {
            "; nor does a node take over that does not reach the reference, while no other one lives"
        }
        None => "",
    };
    if config.fencing.needs_disk() {
        return without_disk(config) + reference;
    }
    if config.fencing.has_disk() {
        let disk = disk(config);
        return format!(
            "the loss of two of three (the nodes and {disk}), or a node that is cut off from the other one and \
             from {disk}, leaves no MASTER there (never two: whoever has neither falls silent){reference}"
        );
    }
    // What is left is less than a majority.
    let lost = voters - voters / 2;
    format!(
        "the loss of {lost} of the {voters} voters, or a partition that leaves no side a majority, \
         leaves no MASTER (never two: whoever is without a majority falls silent){reference}"
    )
}

/// Which partition separates the nodes.
fn partition(lines: usize) -> &'static str {
    match lines {
        0 | 1 => "any partition of the service LAN",
        _ => "a partition that cuts every path at once",
    }
}
