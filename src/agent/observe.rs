//! What does an observer see? The published rows, joined with the configuration.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::config::{Family, GroupConfig};
use crate::control::server::Answer;
use crate::control::status::{GroupStatus, HeartbeatStatus, PathStatus, Rival, Status};
use crate::control::{Request, Response};
use crate::core::Instant;
use crate::sys::wake::Waker;
use crate::sys::{clock, notify};

use super::board::{Board, GroupRow, LastHeard, LineRow, Rows};
use super::message::{Entry, Job, Key, Level, Outbox};
use super::rig::Rig;

/// Answers what can be asked of a running agent.
pub(crate) struct Observer {
    pub(crate) rig: Arc<Rig>,
    pub(crate) board: Arc<Board>,
    /// Rung when somebody wants to see.
    pub(crate) heart: Waker,
    pub(crate) jobs: Outbox<Job>,
    pub(crate) journal: Outbox<Entry>,
    /// Rung after a reload, which may name other interfaces to watch.
    pub(crate) watcher: Waker,
    /// What ends the right to answer, in a line.
    pub(crate) gate: String,
    pub(crate) started: Instant,
}

impl Answer for Observer {
    fn answer(&self, request: Request) -> Response {
        match request {
            Request::Status {} => Response::Status {
                status: Box::new(self.status()),
            },
            Request::Reload {} => self.reload(),
        }
    }
}

impl Observer {
    /// Reads the file again, and says in the log what came of it.
    pub(crate) fn reload(&self) -> Response {
        // systemd that does not listen is no reason not to reload.
        let _ = notify::reloading();
        let result = self.rig.reload();
        let _ = notify::ready(&self.status().line());
        self.watcher.wake();
        match result {
            Ok(reload) => {
                let text = format!(
                    "reloaded: added [{}], removed [{}], changed [{}], {} unchanged",
                    reload.added.join(" "),
                    reload.removed.join(" "),
                    reload.changed.join(" "),
                    reload.unchanged
                );
                self.journal.offer(Entry::Note(Level::Info, text));
                Response::Reload { reload }
            }
            Err(error) => {
                let text = format!("the reload changed nothing, the old file goes on: {error}");
                self.journal.offer(Entry::Note(Level::Error, text));
                Response::Error {
                    code: error.exit_code(),
                    error: error.to_string(),
                }
            }
        }
    }

    /// Writes the status into the log.
    pub(crate) fn dump(&self) {
        let text = self.status().text();
        self.journal.offer(Entry::Note(Level::Info, text));
    }

    pub(crate) fn status(&self) -> Status {
        let (rows, now) = (self.board.read(&self.heart), clock::now());
        let config = self.rig.config();
        let groups = self.rig.groups();
        let known = groups.iter().filter_map(|(key, group)| {
            let row = rows.groups.iter().find(|row| row.key == *key)?;
            Some(group_status(*key, group, row, &rows, now))
        });
        Status {
            node: config.node.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            config: path_text(&self.rig.file),
            uptime_ms: millis(now.since(self.started)),
            gate: self.gate.clone(),
            heartbeat: self.heartbeat(),
            groups: known.collect(),
        }
    }

    fn heartbeat(&self) -> HeartbeatStatus {
        let board = &self.board;
        HeartbeatStatus {
            realtime: board.realtime.load(Ordering::Relaxed),
            late_max_us: board.late_max.load(Ordering::Relaxed) / 1000,
            send_failed: board.send_failed.load(Ordering::Relaxed),
            receive_failed: board.receive_failed.load(Ordering::Relaxed),
            announced: board.announced.load(Ordering::Relaxed),
            announce_failed: board.announce_failed.load(Ordering::Relaxed),
            foreign: board.foreign.load(Ordering::Relaxed),
            jobs_lost: self.jobs.lost(),
            log_lost: self.journal.lost(),
        }
    }
}

fn group_status(
    key: Key,
    group: &GroupConfig,
    row: &GroupRow,
    rows: &Rows,
    now: Instant,
) -> GroupStatus {
    let view = &row.view;
    let rival = view.rival.map(|rival| Rival {
        address: rival.heard.from,
        priority: rival.heard.priority,
        ago_ms: millis(now.since(rival.at)),
    });
    let lines = rows.lines.iter().filter(|line| line.key == key);
    GroupStatus {
        name: group.name.clone(),
        id: group.id,
        role: view.role.to_string(),
        since_ms: millis(now.since(view.since)),
        cause: view.cause.to_string(),
        blocked: view.blocked.map(|blocked| blocked.to_string()),
        protocol: group.protocol.word().to_owned(),
        priority: group.priority,
        interval_ms: millis(group.interval),
        interface: group.interface.clone(),
        addresses: group
            .addresses
            .iter()
            .map(|address| address.net.to_string())
            .collect(),
        unadvertised: group.unadvertised.len(),
        lease_ms: row.lease.map(|lease| {
            let until = lease.until.unwrap_or_default();
            millis(until.since(now))
        }),
        gate_dropped: row.lease.map(|lease| lease.dropped),
        rival,
        promotions: view.promotions,
        restored: view.restored,
        paths: lines.map(|line| path_status(line, now)).collect(),
    }
}

fn path_status(row: &LineRow, now: Instant) -> PathStatus {
    let counters = row.traffic.counters.iter().filter(|(_, count)| *count > 0);
    PathStatus {
        interface: row.facts.interface.to_string(),
        family: match row.facts.family {
            Family::V4 => "ipv4".to_owned(),
            Family::V6 => "ipv6".to_owned(),
        },
        source: row.facts.source,
        peers: row.facts.peers.to_vec(),
        sent: row.traffic.sent,
        received: row.traffic.received,
        last: row.traffic.last.map(|last: LastHeard| Rival {
            address: last.from,
            priority: last.priority,
            ago_ms: millis(now.since(last.at)),
        }),
        counters: counters
            .map(|(name, count)| (name.to_owned(), count))
            .collect(),
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}
