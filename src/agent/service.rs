//! What runs beside the heartbeat: the control socket, systemd's watchdog and status line.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::control::server::{CONNECTIONS, Server};
use crate::sys::notify;

use super::board::Board;
use super::observe::Observer;

/// How often somebody looks at what nobody is told of.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the status line of systemd is looked at.
const STATUS_EVERY: Duration = Duration::from_secs(1);

pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        // Reloads that hang keep nobody from a status, nor what is done here once a second.
        .max_blocking_threads(CONNECTIONS + 2)
        .build()
}

/// Never ends.
pub(crate) fn run(runtime: &Runtime, server: Server, observer: Arc<Observer>, board: &Board) {
    runtime.block_on(async {
        tokio::join!(
            server.serve(Arc::clone(&observer) as _),
            pet_watchdog(board),
            keep_status_line(Arc::clone(&observer)),
            look_around(Arc::clone(&observer)),
        );
    });
}

/// systemd hears of us only while the heartbeat loop turns: it turns twice a second at least.
async fn pet_watchdog(board: &Board) {
    let Some(timeout) = notify::watchdog_interval() else {
        return;
    };
    let mut ticks = interval(timeout / 4);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = None;
    loop {
        ticks.tick().await;
        let turned_at = Some(board.turned_at());
        if turned_at != seen {
            // What cannot be told is missed by systemd, which then acts.
            let _ = notify::watchdog();
        }
        seen = turned_at;
    }
}

async fn keep_status_line(observer: Arc<Observer>) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let mut ticks = interval(STATUS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = String::new();
    loop {
        ticks.tick().await;
        // Elsewhere: it may wait for a reload, and the watchdog may not.
        let observer = Arc::clone(&observer);
        let work = spawn_blocking(move || observer.status().line());
        let Ok(line) = work.await else { continue };
        if line != told {
            let _ = notify::status(&line);
            told = line;
        }
    }
}

/// What is found by looking, not by being told: a time that is over, a line that is cut one way.
async fn look_around(observer: Arc<Observer>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let observer = Arc::clone(&observer);
        // Elsewhere: the disk may hang. Whatever comes of it is tried again.
        let _ = spawn_blocking(move || observer.look_around()).await;
    }
}
