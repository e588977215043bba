//! What do the threads run, with which priority, and how are they waited for?

use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::AgentError;
use super::actuator::Actuator;
use super::arbiter::Arbiter;
use super::board::Board;
use super::heartbeat::Heartbeat;
use super::look::Looker;
use super::message::{Entry, Job, Level, Outbox};
use super::recorder::{self, Item, Recorder};
use super::reference::Prober;
use super::watchdog::{Keeper, Kennel};
use crate::gate::Writer;
use crate::sys::wake::Wake;
use crate::sys::{clock, realtime};

/// Above everything that does not say why it must come first; below the kernel's own threads.
const PRIORITY: u8 = 50;
/// How long the log may take for the last lines ...
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(2);
/// ... and how often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The nice value of the actuator thread.
const ACTUATOR_NICE: i32 = -19;

pub(super) fn act(actuator: Actuator, realtime: bool, journal: &Outbox<Entry>) {
    // Not real-time, since thousands of addresses keep it busy for seconds; but before everything
    // else, since a release that is late is what makes two holders.
    if realtime && let Err(error) = rustix::process::setpriority_process(None, ACTUATOR_NICE) {
        let text = format!(
            "addresses are moved without priority over other programs: {error}. It needs \
             CAP_SYS_NICE or RLIMIT_NICE (LimitNICE=) of {ACTUATOR_NICE}"
        );
        journal.offer(Entry::Note(Level::Warning, text));
    }
    actuator.run();
}

pub(super) fn look(looker: Looker, realtime: bool) {
    if realtime {
        // Not permitted: the heartbeat says so.
        let _ = realtime::schedule_fifo(PRIORITY - 1);
    }
    looker.run();
}

/// The vote is renewed in time, whatever else runs here.
pub(super) fn ask(arbiter: Arbiter, realtime: bool) {
    if realtime {
        // Not permitted: the heartbeat says so.
        let _ = realtime::schedule_fifo(PRIORITY - 1);
    }
    arbiter.run();
}

/// Late questions are no harm, and late answers are worth less.
pub(super) fn ask_reference(prober: Prober, realtime: bool) {
    if realtime {
        // Not permitted: the heartbeat says so.
        let _ = realtime::schedule_fifo(PRIORITY - 1);
    }
    prober.run();
}

/// A pet that is late resets the host.
pub(super) fn pet<K: Kennel>(keeper: Keeper<K>, wake: Wake, realtime: bool) {
    if realtime {
        // Not permitted: the heartbeat says so.
        let _ = realtime::schedule_fifo(PRIORITY - 1);
    }
    keeper.run(&wake);
}

pub(super) fn beat(heartbeat: Heartbeat, realtime: bool, board: &Board, journal: &Outbox<Entry>) {
    if realtime {
        match realtime::schedule_fifo(PRIORITY) {
            Ok(()) => board.realtime.store(true, Ordering::Relaxed),
            Err(error) => {
                let text = format!("the heartbeat runs without real-time priority: {error}");
                journal.offer(Entry::Note(Level::Warning, text));
            }
        }
    }
    if let Err(error) = heartbeat.run() {
        eprintln!("floatlock: the heartbeat cannot go on: {error}");
        std::process::abort();
    }
}

pub(super) fn record(
    path: &Path,
    journal: &Outbox<Entry>,
) -> Result<(Outbox<Item>, JoinHandle<()>), AgentError> {
    let doing = format!("beginning the recording {}", path.display());
    let recorder = Recorder::create(path).map_err(AgentError::system(doing))?;
    let (record, inbox) = Outbox::new(recorder::BOUND, None);
    let (losses, journal) = (record.losses(), journal.clone());
    let thread = spawn("record", move || recorder.run(&inbox, &losses, &journal))?;
    Ok((record, thread))
}

pub(super) fn write_gate(
    writer: Writer,
    realtime: bool,
    jobs: &Outbox<Job>,
    journal: &Outbox<Entry>,
) {
    if realtime && let Err(error) = realtime::schedule_fifo(PRIORITY) {
        let text = format!("the gate is written without real-time priority: {error}");
        journal.offer(Entry::Note(Level::Warning, text));
    }
    writer.run(&|| jobs.offer(Job::Guard));
}

pub(super) fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, AgentError> {
    let doing = format!("starting the {name} thread");
    // Locked memory counts whole stacks, and none of these needs much.
    let builder = thread::Builder::new()
        .name(name.to_owned())
        .stack_size(512 << 10);
    builder.spawn(body).map_err(AgentError::system(doing))
}

/// A log that nobody reads does not keep the agent from ending.
pub(super) fn end_journal(journal: &Outbox<Entry>, thread: &JoinHandle<()>) {
    let began = clock::now();
    while !thread.is_finished() && clock::now().since(began) < LAST_WORDS_WITHIN {
        // Again and again: there may be no room yet.
        journal.offer(Entry::End);
        clock::sleep(LOOK_EVERY);
    }
}

/// Not for ever: what it writes may go to a disk that hangs.
pub(super) fn wait_for(thread: &JoinHandle<()>) {
    let began = clock::now();
    while !thread.is_finished() && clock::now().since(began) < LAST_WORDS_WITHIN {
        clock::sleep(LOOK_EVERY);
    }
}

pub(super) fn join(thread: JoinHandle<()>) {
    // A thread that panicked has taken the process with it: see `run`.
    let _ = thread.join();
}
