//! Who runs the operator's scripts? A thread, once there is one to run, which waits for all of them at once; nobody
//! waits for it.
//!
//! One script of a group at a time, in the order of what happens. What acts for a holder that is none any more is
//! ended; at once, with all that it has started, where the right to answer was lost.

mod words;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};

use crate::action::Line;
use crate::action::cgroup::{self, Cgroup};
use crate::action::launch::default_user;
use crate::action::queue::{Kind, Queue, Target};
use crate::action::run::{Ended, Runner, Script, Stop};
use crate::config::{ActionConfig, ActionEvent};
use crate::core::Instant;
use crate::core::words::Length;
use crate::sys::clock;

use super::AgentError;
use super::message::{Command, Entry, Heart, Key, Level, Outbox};
use super::threads::spawn;
pub(crate) use words::{Moment, Scripts};

/// Steps that may wait here; who finds no room offers again.
const BOUND: usize = 1024;
/// A stop leaves the scripts so long; less than systemd leaves the agent.
const END_WITHIN: Duration = Duration::from_secs(20);
/// And what is killed then this.
const END_GRACE: Duration = Duration::from_secs(2);
/// What was killed should be gone by then.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// To the thread that runs scripts.
#[derive(Clone)]
pub(crate) enum Step {
    /// Something happens to a group.
    Happens {
        key: Key,
        scripts: Arc<Scripts>,
        moment: Moment,
        /// Who waits for its end.
        answer: Option<u64>,
        /// The right to answer was lost.
        lost: bool,
    },
    /// End what can be ended in so long, and say when that is done.
    End(Duration, SyncSender<()>),
}

/// The thread, and the way to it.
pub(crate) struct Thread {
    pub(crate) steps: Outbox<Step>,
}

impl Thread {
    /// Lets what runs come to its end, if that does not take too long.
    pub(crate) fn end(&self) {
        let (said, done) = sync_channel(1);
        self.steps.send(Step::End(END_WITHIN, said));
        // Late: whatever hangs there is killed, or ends with the process.
        let _ = done.recv_timeout(END_WITHIN + END_GRACE);
    }
}

/// Steps of all groups, from the heartbeat thread to the scripts.
pub(crate) fn start(heart: &Heart, journal: &Outbox<Entry>) -> Result<Thread, AgentError> {
    let (steps, inbox) = Outbox::new(BOUND, None);
    // Before anything runs: a dead agent may have left what still acts for a MASTER.
    if let Ok(count @ 1..) = Cgroup::sweep() {
        let text = format!("{count} process(es) of the actions of an agent that died were killed");
        journal.offer(Entry::Note(Level::Warning, text));
    }
    let mut door = Door {
        heart: heart.clone(),
        journal: journal.clone(),
        desk: None,
    };
    // Not joined: it says when it is done, and what hangs there ends with the process.
    spawn("actions", move || {
        for step in &inbox {
            door.pass(step);
        }
    })?;
    Ok(Thread { steps })
}

/// Where steps come in. The heartbeat thread only offers them; this thread may wait, and begins the other one with
/// the first step: an agent without actions has no need of it.
struct Door {
    heart: Heart,
    journal: Outbox<Entry>,
    desk: Option<mpsc::UnboundedSender<Step>>,
}

impl Door {
    fn pass(&mut self, step: Step) {
        if let (None, Step::End(_, said)) = (&self.desk, &step) {
            // Nothing ever ran. Whoever asked may have stopped waiting.
            let _ = said.try_send(());
            return;
        }
        match self.open() {
            // It goes on for as long as this does.
            Ok(desk) => drop(desk.send(step)),
            Err(error) => self.refuse(&step, &error),
        }
    }

    fn open(&mut self) -> Result<&mpsc::UnboundedSender<Step>, AgentError> {
        let desk = match self.desk.take() {
            Some(desk) => desk,
            None => self.begin()?,
        };
        Ok(self.desk.insert(desk))
    }

    fn begin(&self) -> Result<mpsc::UnboundedSender<Step>, AgentError> {
        let doing = AgentError::system("starting the runner of actions");
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(doing)?;
        let (into, from) = mpsc::unbounded_channel();
        let (heart, journal) = (self.heart.clone(), self.journal.clone());
        spawn("scripts", move || {
            let desk = Desk::new(heart, journal);
            LocalSet::new().block_on(&runtime, desk.run(from));
        })?;
        Ok(into)
    }

    /// Nobody waits in vain.
    fn refuse(&self, step: &Step, error: &AgentError) {
        self.journal
            .offer(Entry::Note(Level::Error, error.to_string()));
        if let Step::Happens {
            key,
            answer: Some(id),
            ..
        } = step
        {
            self.heart.send(Command::Acted(*key, *id, false));
        }
    }
}

/// What is to run for one event of one group.
struct Work {
    key: Key,
    scripts: Arc<Scripts>,
    moment: Moment,
    answer: Option<u64>,
}

/// One group's scripts.
struct Lane {
    queue: Queue<Work>,
    kept: Rc<RefCell<Kept>>,
    /// Ends what runs.
    stop: Option<oneshot::Sender<Stop>>,
    /// The group has stopped: nothing comes after that.
    ends: bool,
}

/// The cgroups of a group's scripts.
#[derive(Default)]
struct Kept {
    /// Of what acts for a MASTER: those that run, and those that have left something behind.
    up: Vec<Rc<Cgroup>>,
    /// Nobody has to know twice that there can be none.
    has_told: bool,
}

impl Kept {
    /// One of its own for every run: the end of a script is not that of what an earlier one has left behind.
    fn open(
        &mut self,
        group: &str,
        event: ActionEvent,
        journal: &Outbox<Entry>,
    ) -> Option<Rc<Cgroup>> {
        self.up
            .retain(|cgroup| !matches!(cgroup.is_empty(), Ok(true)));
        let target = course(event).0;
        match Cgroup::create(&format!("{}-{group}", word(target))) {
            Ok(cgroup) => {
                let cgroup = Rc::new(cgroup);
                if target == Target::Up {
                    self.up.push(Rc::clone(&cgroup));
                }
                Some(cgroup)
            }
            Err(why) => {
                if !std::mem::replace(&mut self.has_told, true) {
                    let text = format!(
                        "{group}: what an action leaves behind is not ended with it: {why}"
                    );
                    journal.offer(Entry::Note(Level::Info, text));
                }
                None
            }
        }
    }
}

/// All groups that have scripts.
struct Desk {
    /// By group: a reload may make another router of one, whose scripts come after those of the old one.
    lanes: HashMap<Arc<str>, Lane>,
    heart: Heart,
    journal: Outbox<Entry>,
    runner: Runner,
    /// What makes a transition's number one of its own.
    tag: String,
}

impl Desk {
    fn new(heart: Heart, journal: Outbox<Entry>) -> Self {
        Self {
            lanes: HashMap::new(),
            heart,
            journal,
            runner: Runner::default(),
            tag: format!("{:x}", clock::now().as_nanos()),
        }
    }

    async fn run(mut self, mut steps: mpsc::UnboundedReceiver<Step>) {
        let (done, mut ended) = mpsc::unbounded_channel();
        loop {
            tokio::select! {
                step = steps.recv() => match step {
                    Some(Step::Happens { key, scripts, moment, answer, lost }) => {
                        let group = Arc::clone(&scripts.group);
                        self.take(&group, Work { key, scripts, moment, answer }, lost);
                        self.go_on(&group, &done);
                    }
                    Some(Step::End(within, said)) => {
                        self.end(within, &done, &mut ended).await;
                        // Whoever asked may have stopped waiting.
                        let _ = said.try_send(());
                        return;
                    }
                    None => return,
                },
                Some(group) = ended.recv() => self.go_on_after(&group, &done),
            }
        }
    }

    fn take(&mut self, group: &Arc<str>, work: Work, lost: bool) {
        let lane = self.lanes.entry(Arc::clone(group));
        let lane = lane.or_insert_with(Lane::new);
        let (target, kind) = course(work.moment.event);
        let is_demotion = (target, kind) == (Target::Down, Kind::Deed);
        // What puts this host in order runs already: it is neither ended nor done twice.
        if is_demotion && work.answer.is_none() && lane.queue.prepares(Target::Down) {
            lane.queue.turn_to(Target::Down);
            if lost {
                lane.fall(group, &self.journal);
            }
            return;
        }
        lane.ends = work.moment.event == ActionEvent::Stop;
        let acts_for_the_other = lane.queue.push(target, kind, work);
        if lost {
            lane.fall(group, &self.journal);
        } else if acts_for_the_other {
            lane.stop(Stop::Gently);
        }
    }

    fn go_on_after(&mut self, group: &Arc<str>, done: &mpsc::UnboundedSender<Arc<str>>) {
        if let Some(lane) = self.lanes.get_mut(group) {
            lane.queue.done();
            lane.stop = None;
        }
        self.go_on(group, done);
        self.lanes
            .retain(|_, lane| !(lane.ends && lane.queue.is_idle()));
    }

    fn go_on(&mut self, group: &Arc<str>, done: &mpsc::UnboundedSender<Arc<str>>) {
        let Some((lane, work)) = self.lanes.get_mut(group).and_then(|lane| {
            let work = lane.queue.begin()?;
            Some((lane, work))
        }) else {
            return;
        };
        let (stop, stopped) = oneshot::channel();
        lane.stop = Some(stop);
        let performance = Performance {
            runner: self.runner.clone(),
            lane: Rc::clone(&lane.kept),
            journal: self.journal.clone(),
            transition: work
                .scripts
                .transition(&self.tag, work.key, work.moment.transition),
        };
        let (heart, done, group) = (self.heart.clone(), done.clone(), Arc::clone(group));
        spawn_local(async move {
            let is_good = performance.of(&work, stopped).await;
            if let Some(id) = work.answer {
                heart.send(Command::Acted(work.key, id, is_good));
            }
            // The desk is there for as long as this runs.
            let _ = done.send(group);
        });
    }

    /// Nothing comes any more: what is there runs to its end, or is ended.
    async fn end(
        &mut self,
        within: Duration,
        done: &mpsc::UnboundedSender<Arc<str>>,
        ended: &mut mpsc::UnboundedReceiver<Arc<str>>,
    ) {
        let too_long = tokio::time::sleep(within);
        tokio::pin!(too_long);
        while !self.lanes.values().all(|lane| lane.queue.is_idle()) {
            tokio::select! {
                Some(group) = ended.recv() => self.go_on_after(&group, done),
                () = &mut too_long => break,
            }
        }
        for lane in self.lanes.values_mut() {
            lane.stop(Stop::AtOnce);
        }
    }
}

/// In the name of a cgroup: what acts for a MASTER is killed where it is none.
const fn word(target: Target) -> &'static str {
    match target {
        Target::Up => cgroup::UP,
        Target::Down => "down",
    }
}

/// Where an event leads, and whether something is done or told.
fn course(event: ActionEvent) -> (Target, Kind) {
    match event {
        ActionEvent::Promote => (Target::Up, Kind::Deed),
        ActionEvent::Promoted => (Target::Up, Kind::Notice),
        ActionEvent::Demote => (Target::Down, Kind::Deed),
        _ => (Target::Down, Kind::Notice),
    }
}

impl Lane {
    fn new() -> Self {
        Self {
            queue: Queue::default(),
            kept: Rc::default(),
            stop: None,
            ends: false,
        }
    }

    fn stop(&mut self, how: Stop) {
        if let Some(stop) = self.stop.take() {
            // It may just have ended.
            let _ = stop.send(how);
        }
    }

    /// The right to answer was lost: nothing here goes on acting for a MASTER.
    fn fall(&mut self, group: &Arc<str>, journal: &Outbox<Entry>) {
        if self.queue.runs(Target::Up) {
            self.stop(Stop::AtOnce);
        }
        let began = clock::now();
        let fallen = self.kept.borrow().up.clone();
        let is_empty = |cgroup: &Rc<Cgroup>| matches!(cgroup.is_empty(), Ok(true));
        if fallen.iter().all(is_empty) {
            return;
        }
        let count: usize = fallen.iter().map(|cgroup| count(cgroup)).sum();
        let killed: io::Result<()> = fallen.iter().try_for_each(|cgroup| cgroup.kill());
        let (group, journal) = (Arc::clone(group), journal.clone());
        spawn_local(async move {
            let (level, fate) = match killed {
                Err(error) => (Level::Error, format!("could not be killed: {error}")),
                Ok(()) => match gone(&fallen, began).await {
                    Some(after) => (
                        Level::Warning,
                        format!("were killed, and gone after {after}"),
                    ),
                    None => (
                        Level::Error,
                        format!(
                            "were killed, and are still there after {}",
                            Length(GONE_WITHIN)
                        ),
                    ),
                },
            };
            let text =
                format!("{group}: the lease was lost: {count} process(es) of its actions {fate}");
            journal.offer(Entry::Note(level, text));
        });
    }
}

fn count(cgroup: &Cgroup) -> usize {
    cgroup.pids().map_or(0, |pids| pids.len())
}

/// How long it took until nobody was left.
async fn gone(cgroups: &[Rc<Cgroup>], began: Instant) -> Option<Length> {
    loop {
        let took = clock::now().since(began);
        let is_empty = |cgroup: &Rc<Cgroup>| matches!(cgroup.is_empty(), Ok(true));
        if cgroups.iter().all(is_empty) {
            return Some(Length(took));
        }
        if took >= GONE_WITHIN {
            return None;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What is needed to run the scripts for one event.
struct Performance {
    runner: Runner,
    lane: Rc<RefCell<Kept>>,
    journal: Outbox<Entry>,
    transition: String,
}

impl Performance {
    /// In the order of the file; whether the step may be taken.
    async fn of(&self, work: &Work, mut stopped: oneshot::Receiver<Stop>) -> bool {
        let event = work.moment.event;
        for action in work.scripts.at(event) {
            let ended = self.run(work, action, &mut stopped).await;
            // Also where it was late, and had ended before it heard of that.
            if matches!(ended, Ended::Killed { .. })
                || stopped.try_recv() != Err(TryRecvError::Empty)
            {
                return false;
            }
            if event == ActionEvent::Promote && action.required && !ended.is_good() {
                return false;
            }
        }
        true
    }

    async fn run(
        &self,
        work: &Work,
        action: &ActionConfig,
        stopped: &mut oneshot::Receiver<Stop>,
    ) -> Ended {
        let Work {
            scripts, moment, ..
        } = work;
        let mut words = scripts.command(action, moment.event);
        let program = PathBuf::from(words.remove(0));
        let name = format!(
            "{}: {} {}",
            scripts.group,
            moment.event.word(),
            short(&program)
        );
        let script = Script {
            program,
            args: words,
            user: action.user.clone().or_else(default_user),
            env: scripts.environment(moment, &self.transition),
            input: scripts.input(moment, &self.transition),
            timeout: action.timeout,
        };
        let stop = async {
            match stopped.await {
                Ok(how) => how,
                Err(_) => std::future::pending().await,
            }
        };
        let mut say = |line: Line<'_>| {
            self.journal
                .offer(Entry::Note(Level::Info, format!("{name}: {line}")));
        };
        let began = clock::now();
        let cgroup = self
            .lane
            .borrow_mut()
            .open(&scripts.group, moment.event, &self.journal);
        let ended = self
            .runner
            .run(&script, cgroup.as_deref(), stop, &mut say)
            .await;
        let level = match ended.is_good() {
            true => Level::Info,
            false => Level::Warning,
        };
        let text = format!(
            "{name}: {ended}, after {}",
            Length(clock::now().since(began))
        );
        self.journal.offer(Entry::Note(level, text));
        ended
    }
}

/// A script by the last part of its path.
fn short(program: &Path) -> String {
    let name = program.file_name().unwrap_or(program.as_os_str());
    name.to_string_lossy().into_owned()
}
