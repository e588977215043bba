//! What may operators have done here? The addresses moved, and this node taken out of service.
//!
//! The heartbeat thread decides, at once; whoever asked then waits, on a thread that may, until
//! another node says that it holds the addresses.

use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use crate::config::{Config, GroupConfig, derived};
use crate::control::{Maintained, SwitchedOver};
use crate::core::lease::NodeId;
use crate::core::{Immovable, Instant, RoleName};
use crate::sys::clock;

use super::board::Rows;
use super::message::{Command, Entry, Key, Level};
use super::observe::{Observer, millis};
use super::store::Maintenance;

/// The heartbeat thread answers within a turn; one that is frozen does not.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Longer than twice a promise, which is how long a move may take: the rest is for the addresses.
const GRACE: Duration = Duration::from_secs(1);
/// Nobody waits longer for another node, however slow its heartbeat is.
pub(crate) const TAKEN_WITHIN_MAX: Duration = Duration::from_secs(300);

/// What became of addresses that were given away.
#[derive(Clone, Debug, PartialEq)]
enum Fate {
    /// This node or router holds them.
    Taken(String),
    /// Nobody took them, and this node has them again.
    Back,
    /// Nobody is known to have taken them.
    Open,
}

impl Observer {
    /// Moves a group to another node, and waits until that one holds it.
    ///
    /// # Errors
    /// Why not; then nothing has changed, or the sentence says what has.
    pub(crate) fn switch_over(
        &self,
        name: &str,
        to: Option<&str>,
        force: bool,
    ) -> Result<SwitchedOver, String> {
        let groups = self.rig.groups();
        let found = groups.iter().find(|(_, group)| group.name == name);
        let Some((key, group)) = found else {
            let names: Vec<&str> = groups.iter().map(|(_, g)| g.name.as_str()).collect();
            let there = names.join(", ");
            return Err(format!("the agent runs no group {name}; it runs: {there}"));
        };
        let config = self.rig.config();
        let node = to.map(|to| self.target(&config, group, to)).transpose()?;
        let asked = clock::now();
        let command = |answer| Command::HandOver(*key, node.flatten(), force, answer);
        let verdict = self.order(command, || format!("the group {name} has just ended"))?;
        verdict.map_err(|why| self.refusal(*key, name, why))?;
        let until = asked + taken_within(&config, group);
        match self.fate(*key, &config.node.name, asked, until) {
            Fate::Taken(taker) if group.is_native() && to.is_some_and(|to| to != taker) => Err(
                format!("{name} was handed over, but {taker} has taken the addresses"),
            ),
            Fate::Taken(to) => Ok(SwitchedOver {
                group: name.to_owned(),
                to,
                took_ms: millis(clock::now().since(asked)),
            }),
            Fate::Back => Err(format!(
                "{name} was handed over, but nobody has taken the addresses, and this node holds \
                 them again"
            )),
            Fate::Open => Err(format!(
                "{name} was handed over, but nobody has taken the addresses yet; look at `floatlock \
                 status` on the other nodes"
            )),
        }
    }

    /// The number of the node that an operator named.
    fn target(
        &self,
        config: &Config,
        group: &GroupConfig,
        to: &str,
    ) -> Result<Option<NodeId>, String> {
        let me = config.node.name.as_str();
        let nodes = config.cluster.iter().flat_map(|cluster| &cluster.nodes);
        let others: Vec<&str> = nodes
            .map(String::as_str)
            .filter(|name| *name != me)
            .collect();
        let list = match others.is_empty() {
            true => "there is no other node".to_owned(),
            false => format!("the other nodes are: {}", others.join(", ")),
        };
        if to == me {
            return Err(format!("{to} is this node; {list}"));
        }
        if !others.contains(&to) {
            return Err(format!("{to} is no node that may hold; {list}"));
        }
        if !group.is_native() && others.len() > 1 {
            return Err(format!(
                "under VRRP nobody chooses which of {} takes over: leave --to out",
                others.join(", ")
            ));
        }
        Ok(self.elector.and_then(|elector| elector.number(to)))
    }

    fn refusal(&self, key: Key, name: &str, why: Immovable) -> String {
        let advice = match why {
            Immovable::NotMaster(_) => match self.holder(key) {
                Some(holder) => format!("; {holder} holds {name}: do it there"),
                None => String::new(),
            },
            Immovable::NoSuchNode => String::new(),
            Immovable::NotReady(_) | Immovable::NobodyReady | Immovable::Unknown => {
                "; --force gives the addresses up all the same".to_owned()
            }
        };
        format!("{name} stays where it is: {why}{advice}")
    }

    fn holder(&self, key: Key) -> Option<String> {
        let rows = self.board.read(&self.heart.waker());
        let row = rows.groups.iter().find(|row| row.key == key)?;
        let rival = || Some(row.view.rival?.heard.from.to_string());
        row.view.holder.map(|node| node.to_string()).or_else(rival)
    }

    /// Takes this node out of service, or back; waits until others hold what it held.
    ///
    /// # Errors
    /// Why not; then nothing has changed, or the sentence says what has.
    pub(crate) fn maintain(
        &self,
        on: bool,
        length: Option<Duration>,
        force: bool,
    ) -> Result<Maintained, String> {
        if length.is_some_and(|length| length.is_zero() || !on) {
            return Err("only `on` takes a length, and it is longer than nothing".to_owned());
        }
        let config = self.rig.config();
        let asked = clock::now();
        let held = self.held();
        let maintenance = self.change_service(on, length, force)?;
        let mut maintained = Maintained {
            on,
            left_ms: maintenance.and_then(|m| left_ms(&m)),
            handed_over: Vec::new(),
            untaken: Vec::new(),
        };
        for (key, name) in held.into_iter().filter(|_| on) {
            let groups = config.groups.iter().find(|group| group.name == name);
            let within = groups.map_or(GRACE, |group| taken_within(&config, group));
            match self.fate(key, &config.node.name, asked, asked + within) {
                Fate::Taken(_) => maintained.handed_over.push(name),
                Fate::Back | Fate::Open => maintained.untaken.push(name),
            }
        }
        match maintained.untaken.is_empty() || force {
            true => Ok(maintained),
            false => Err(format!(
                "this node is out of service now, but nobody has taken the addresses yet of: {}",
                maintained.untaken.join(", ")
            )),
        }
    }

    /// First the question, then the file, then the deed: what is refused has changed nothing, and
    /// what is done survives a restart.
    fn change_service(
        &self,
        on: bool,
        length: Option<Duration>,
        force: bool,
    ) -> Result<Option<Maintenance>, String> {
        let _alone = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = || "the heartbeat has ended".to_owned();
        if on && !force {
            let verdict = self.order(Command::MayRest, gone)?;
            verdict.map_err(|(key, why)| self.refusal(key, &self.name(key), why))?;
        }
        let before = self.store.read().maintenance;
        let now = unix_now();
        let since = before.filter(|m| m.holds_at(now)).map_or(now, |m| m.since);
        let seconds = |length: Duration| length.as_secs() + u64::from(length.subsec_nanos() > 0);
        let maintenance = on.then(|| Maintenance {
            since,
            until: length.map(|length| now.saturating_add(seconds(length))),
        });
        let store = |maintenance| {
            self.store
                .change_now(|state| state.maintenance = maintenance)
        };
        store(maintenance).map_err(|error| {
            let path = self.store.path().display();
            format!("nothing was changed: writing {path} failed: {error}")
        })?;
        let told = self.order(|answer| Command::Maintenance(on, force, answer), gone)?;
        if let Err((key, why)) = told {
            // Somebody who was ready a moment ago is not any more.
            let restored = store(before).err();
            let also = restored.map(|error| format!(" (and putting the old state back: {error})"));
            let why = self.refusal(key, &self.name(key), why);
            return Err(why + &also.unwrap_or_default());
        }
        self.say_service(maintenance);
        Ok(maintenance)
    }

    fn say_service(&self, maintenance: Option<Maintenance>) {
        let text = match maintenance {
            Some(Maintenance { until: None, .. }) => "out of service until further notice",
            Some(_) => "out of service for a while: it ends by itself",
            None => "in service",
        };
        let text = format!("an operator's word: this node is {text}");
        self.journal.offer(Entry::Note(Level::Info, text));
    }

    /// Ends a maintenance whose time is over. What cannot be stored is over all the same: the file
    /// says until when it was.
    pub(crate) fn end_service_pause(&self) {
        let _alone = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.store.read().maintenance;
        if stored.is_some_and(|stored| stored.holds_at(unix_now())) {
            return;
        }
        if stored.is_some() {
            // Tried again at the next look.
            let _ = self.store.change_now(|state| state.maintenance = None);
        }
        let resting = |rows: &Rows| rows.groups.iter().any(|row| row.view.maintenance);
        if stored.is_some() || self.board.look(resting) {
            // Not answered: tried again at the next look.
            let back = |answer| Command::Maintenance(false, true, answer);
            let _ = self.order(back, String::new);
            let text = "the time of the maintenance is over: this node is in service".to_owned();
            if stored.is_some() {
                self.journal.offer(Entry::Note(Level::Info, text));
            }
        }
    }

    /// The groups that this node holds.
    fn held(&self) -> Vec<(Key, String)> {
        let rows = self.board.read(&self.heart.waker());
        let holds = |key: Key| {
            let mut rows = rows.groups.iter();
            rows.any(|row| row.key == key && row.view.role == RoleName::Master)
        };
        let groups = self.rig.groups().into_iter();
        let held = groups.filter(|(key, _)| holds(*key));
        held.map(|(key, group)| (key, group.name.clone())).collect()
    }

    fn name(&self, key: Key) -> String {
        let groups = self.rig.groups();
        let found = groups.iter().find(|(known, _)| *known == key);
        found.map_or_else(|| "a group".to_owned(), |(_, group)| group.name.clone())
    }

    /// Has the heartbeat thread do something, and waits for its answer; `gone` says why none can
    /// come.
    fn order<T>(
        &self,
        command: impl FnOnce(SyncSender<T>) -> Command,
        gone: impl FnOnce() -> String,
    ) -> Result<T, String> {
        let (answer, inbox): (_, Receiver<T>) = sync_channel(1);
        self.heart.send(command(answer));
        inbox.recv_timeout(ANSWER_WITHIN).map_err(|error| match error {
            RecvTimeoutError::Disconnected => gone(),
            RecvTimeoutError::Timeout => {
                "the heartbeat of this agent does not turn: nobody knows whether this was done; see \
                 `floatlock status`"
                    .to_owned()
            }
        })
    }

    /// Waits until another one is known to hold the group, as long as it takes, but not longer than
    /// `until`.
    fn fate(&self, key: Key, me: &str, asked: Instant, until: Instant) -> Fate {
        let waker = self.heart.waker();
        loop {
            // Paced by the heartbeat thread, which answers observers every few milliseconds.
            let fate = seen_fate(&self.board.read(&waker), key, me, asked);
            if fate != Fate::Open || clock::now() >= until {
                return fate;
            }
        }
    }
}

fn seen_fate(rows: &Rows, key: Key, me: &str, asked: Instant) -> Fate {
    if rows.at < asked {
        // Of before: the heartbeat thread has not answered.
        return Fate::Open;
    }
    let Some(row) = rows.groups.iter().find(|row| row.key == key) else {
        return Fate::Open;
    };
    let view = &row.view;
    if view.role == RoleName::Master {
        return match view.since >= asked {
            true => Fate::Back,
            false => Fate::Open,
        };
    }
    let rival = view.rival.filter(|rival| rival.at >= asked);
    let holder = view.holder.filter(|holder| holder.0 != me);
    let holder = holder.map(|holder| holder.to_string());
    let taker = holder.or_else(|| rival.map(|rival| rival.heard.from.to_string()));
    taker.map_or(Fate::Open, Fate::Taken)
}

fn taken_within(config: &Config, group: &GroupConfig) -> Duration {
    let promise = derived(config, group).detection_max;
    // Here and there: the other node has the same, as far as anybody knows here.
    let actions = group.action_limits();
    let scripts = actions.demotion() + actions.promotion();
    (promise * 2 + scripts + GRACE).min(TAKEN_WITHIN_MAX)
}

/// Seconds since 1970; a clock before that counts as then.
pub(crate) fn unix_now() -> u64 {
    let now = clock::wall().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// How long the maintenance goes on, where it has an end.
pub(crate) fn left_ms(maintenance: &Maintenance) -> Option<u64> {
    let until = maintenance.until?;
    Some(until.saturating_sub(unix_now()).saturating_mul(1000))
}
