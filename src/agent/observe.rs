//! What does an observer see? The published rows, joined with the configuration.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::{ActionEvent, Family, GroupConfig};
use crate::control::server::Answer;
use crate::control::status::{
    GroupStatus, HeartbeatStatus, MaintenanceStatus, PathStatus, Rival, Status,
};
use crate::control::{Request, Response};
use crate::core::lease::Epoch;
use crate::core::{Act, Instant};
use crate::sys::wake::Waker;
use crate::sys::{clock, notify};

use super::arbiter::Watched;
use super::board::{Board, GroupRow, LastHeard, LineRow, Rows};
use super::message::{Entry, Heart, Job, Key, Level, Outbox};
use super::operator::{left_ms, unix_now};
use super::peers::{OneWay, cluster_status};
use super::reference;
use super::rig::Rig;
use super::store::Store;
use super::voting::Elector;
use super::watchdog;

/// Answers what can be asked of a running agent.
pub(crate) struct Observer {
    pub(crate) rig: Arc<Rig>,
    pub(crate) board: Arc<Board>,
    /// Rung when somebody wants to see, and told what is to be done.
    pub(crate) heart: Heart,
    /// This node's votes, where a group is native.
    pub(crate) elector: Option<Elector>,
    pub(crate) store: Store,
    /// Held while this node is being taken out of service or back.
    pub(crate) service: Mutex<()>,
    /// Which lines carry in one direction only.
    pub(crate) one_way: Mutex<OneWay>,
    /// The disk lock, where there is one.
    pub(crate) disk: Option<Watched>,
    pub(crate) watchdog: Option<watchdog::Watched>,
    pub(crate) reference: Option<reference::Watched>,
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
            Request::Switchover { group, to, force } => {
                let switchover = self.switch_over(&group, to.as_deref(), force);
                refused_or(switchover, |switchover| Response::Switchover { switchover })
            }
            Request::Maintenance { on, for_ms, force } => {
                let maintenance = self.maintain(on, for_ms.map(Duration::from_millis), force);
                refused_or(maintenance, |maintenance| Response::Maintenance {
                    maintenance,
                })
            }
        }
    }
}

fn refused_or<T>(done: Result<T, String>, response: impl FnOnce(T) -> Response) -> Response {
    done.map_or_else(|error| Response::Error { error, code: 1 }, response)
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

    /// Looks, once in a while, for what nobody is told of.
    pub(crate) fn look_around(&self) {
        let (peers, at) = self.board.look(|rows| (rows.peers.clone(), rows.peers_at));
        let one_way = self.one_way.lock();
        let mut one_way = one_way.unwrap_or_else(PoisonError::into_inner);
        one_way.look(&peers, at, &self.journal);
        drop(one_way);
        self.end_service_pause();
    }

    /// Writes the status into the log.
    pub(crate) fn dump(&self) {
        let text = self.status().text();
        self.journal.offer(Entry::Note(Level::Info, text));
    }

    pub(crate) fn status(&self) -> Status {
        let (rows, now) = (self.board.read(&self.heart.waker()), clock::now());
        let config = self.rig.config();
        let groups = self.rig.groups();
        let arbiters = (self.disk.as_ref(), self.reference.as_ref());
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
            watchdog: self.watchdog.as_ref().map(|watched| watched.status()),
            heartbeat: self.heartbeat(),
            maintenance: self.maintenance(),
            cluster: cluster_status(&self.rig.config(), &rows, arbiters, now),
            groups: known.collect(),
        }
    }

    fn maintenance(&self) -> Option<MaintenanceStatus> {
        let now = unix_now();
        let maintenance = self.store.read().maintenance?;
        maintenance.holds_at(now).then(|| MaintenanceStatus {
            since_ms: now.saturating_sub(maintenance.since).saturating_mul(1000),
            left_ms: left_ms(&maintenance),
        })
    }

    fn heartbeat(&self) -> HeartbeatStatus {
        let board = &self.board;
        HeartbeatStatus {
            realtime: board.realtime.load(Ordering::Relaxed),
            late_max_us: board.late_max.load(Ordering::Relaxed) / 1000,
            send_failed: board.send_failed.load(Ordering::Relaxed),
            send_late: board.send_late.load(Ordering::Relaxed),
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
        holder: view.holder.map(|holder| holder.to_string()),
        successor: view.successor.map(|next| next.to_string()),
        epoch: view.epoch.map(Epoch::number),
        alone: view.authority.is_some_and(|authority| authority.alone),
        ready: view.ready,
        promised_ms: view
            .promised
            .filter(|until| *until > now)
            .map(|until| millis(until.since(now))),
        maintenance: view.maintenance,
        acting: view.acting.map(|act| acting(act).to_owned()),
        leaving: view.leaving.map(|cause| cause.to_string()),
        rival,
        promotions: view.promotions,
        restored: view.restored,
        paths: lines.map(|line| path_status(line, now)).collect(),
    }
}

/// By the event under which the actions are configured.
const fn acting(act: Act) -> &'static str {
    match act {
        Act::Promote => ActionEvent::Promote.word(),
        Act::Demote | Act::Silenced { .. } => ActionEvent::Demote.word(),
    }
}

fn path_status(row: &LineRow, now: Instant) -> PathStatus {
    let counters = row.traffic.counters.iter().filter(|(_, count)| *count > 0);
    PathStatus {
        interface: row.facts.interface.to_string(),
        family: family_word(row.facts.family).to_owned(),
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

pub(super) const fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

pub(super) fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}
