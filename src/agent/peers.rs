//! What does an observer see of the other nodes? The rows of the native heartbeat, in the words of
//! the status.

use std::collections::HashMap;
use std::time::Duration;

use crate::config::{Config, Family, summary};
use crate::control::cluster::{
    ClusterStatus, DiskLockStatus, DiskStatus, PeerStatus, TargetStatus, WayState, WayStatus,
    WireStatus,
};
use crate::core::Instant;
use crate::net::reference::By;

use super::arbiter::Watched;
use super::board::{PeerRow, Rows, WireRow};
use super::message::{Entry, Level, Outbox};
use super::observe::{family_word, millis};
use super::reference::{self, TargetRow};

pub(super) fn cluster_status(
    config: &Config,
    rows: &Rows,
    (disk, reference): (Option<&Watched>, Option<&reference::Watched>),
    now: Instant,
) -> Option<ClusterStatus> {
    // Under VRRP alone there is nothing to say of it, unless something else has a voice.
    let decides = config.native.is_some() || disk.is_some() || reference.is_some();
    let cluster = config.cluster.as_ref().filter(|_| decides)?;
    let summary = summary(config);
    Some(ClusterStatus {
        name: cluster.name.clone(),
        exclusive: summary.exclusive,
        not_survived: summary.not_survived,
        peers: peers(&rows.peers, now),
        paths: rows.wires.iter().map(wire_status).collect(),
        disk_lock: disk.map(|disk| disk_status(disk, now)),
        reference: reference
            .iter()
            .flat_map(|reference| {
                reference
                    .board
                    .rows()
                    .into_iter()
                    .map(|row| (row, reference.lease))
            })
            .map(|(row, lease)| target_status(row, lease, now))
            .collect(),
    })
}

fn target_status(row: TargetRow, lease: Duration, now: Instant) -> TargetStatus {
    TargetStatus {
        target: row.target,
        interface: row.interface.to_string(),
        answered_ms: row.proven.map(|(at, _)| millis(now.since(at))),
        by: row.proven.map(|(_, by)| match by {
            By::Echo => "echo".to_owned(),
            By::Neighbour => "neighbour".to_owned(),
        }),
        answers: row.proven.is_some_and(|(at, _)| now.since(at) < lease),
        trouble: row.trouble,
    }
}

fn disk_status(disk: &Watched, now: Instant) -> DiskLockStatus {
    let row = disk.row();
    let devices: Vec<String> = disk
        .devices
        .iter()
        .map(|device| device.display().to_string())
        .collect();
    let disks: Vec<DiskStatus> = devices
        .iter()
        .zip(row.troubles)
        .map(|(device, trouble)| DiskStatus {
            device: device.clone(),
            trouble,
        })
        .collect();
    DiskLockStatus {
        device: devices.join(", "),
        trouble: DiskLockStatus::trouble_of(&disks),
        disks,
        vote_ms: row.vote.map(|until| millis(until.since(now))),
        blocked: row.blocked,
    }
}

/// The rows of one node stand together.
fn peers(rows: &[PeerRow], now: Instant) -> Vec<PeerStatus> {
    let nodes = rows.chunk_by(|one, next| one.node == next.node);
    let status = |rows: &[PeerRow]| {
        let first = rows.first()?;
        Some(PeerStatus {
            node: first.node.to_owned(),
            heard: first.heard_lately,
            paths: rows.iter().map(|row| way_status(row, now)).collect(),
        })
    };
    nodes.filter_map(status).collect()
}

fn way_status(row: &PeerRow, now: Instant) -> WayStatus {
    let ago = |at: Instant| millis(now.since(at));
    WayStatus {
        interface: row.facts.interface.clone(),
        family: family_word(row.facts.family).to_owned(),
        heard_ms: row.heard.map(ago),
        echoed_ms: row.echoed.map(ago),
        state: way_state(row, now),
    }
}

fn way_state(row: &PeerRow, now: Instant) -> WayState {
    let lately = |at: Option<Instant>| at.is_some_and(|at| now.since(at) <= row.lease);
    WayState::of(lately(row.heard), lately(row.echoed))
}

fn wire_status(row: &WireRow) -> WireStatus {
    let (facts, passed) = (&row.facts, &row.passed);
    let counters = passed.counters.iter().filter(|(_, count)| *count > 0);
    WireStatus {
        interface: facts.interface.clone(),
        family: family_word(facts.family).to_owned(),
        source: facts.source,
        peers: facts.peers.clone(),
        sent: passed.traffic.sent,
        received: passed.traffic.received,
        unproved: passed.unproved,
        replayed: passed.replayed,
        counters: counters
            .map(|(name, count)| (name.to_owned(), count))
            .collect(),
    }
}

/// Says once when a line becomes one that carries in one direction only, and once when that ends.
#[derive(Default)]
pub(crate) struct OneWay {
    /// Since when, and whether it was said.
    ways: HashMap<(&'static str, String, Family), (WayState, Instant, bool)>,
}

impl OneWay {
    /// Looks at the rows of this moment. A node that dies is heard or echoed last, and has not gone one way
    /// for that: only what lasts for another lease is said.
    pub(crate) fn look(&mut self, rows: &[PeerRow], now: Instant, journal: &Outbox<Entry>) {
        for row in rows {
            let state = way_state(row, now);
            let key = (row.node, row.facts.interface.clone(), row.facts.family);
            let way = self.ways.entry(key).or_insert((state, now, false));
            let line = format!("{} {}", row.facts.interface, family_word(row.facts.family));
            if way.0 != state {
                if way.2 {
                    let text = ended(row.node, &line, state);
                    journal.offer(Entry::Note(Level::Info, text));
                }
                *way = (state, now, false);
            }
            let lasts = !way.2 && now.since(way.1) >= row.lease;
            if let Some(text) = began(row.node, &line, state).filter(|_| lasts) {
                way.2 = true;
                journal.offer(Entry::Note(Level::Warning, text));
            }
        }
    }
}

fn began(node: &str, line: &str, state: WayState) -> Option<String> {
    let (what, way) = match state {
        WayState::OnlyIn => ("does not hear this node", "from here to there"),
        WayState::OnlyOut => ("is not heard by this node", "from there to here"),
        WayState::Both | WayState::Silent => return None,
    };
    Some(format!(
        "{line}: one way: {node} {what}, though the other direction works: look at what is {way} \
         (firewall, switch, address)"
    ))
}

fn ended(node: &str, line: &str, state: WayState) -> String {
    let now = match state {
        WayState::Both => "carries both ways again",
        WayState::Silent => "is silent now",
        WayState::OnlyIn | WayState::OnlyOut => "carries the other way only now",
    };
    format!("{line}: the line to {node} {now}")
}
