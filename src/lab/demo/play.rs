//! How does one event of the demo go? It is made, waited for, measured and told.

use std::time::Duration;

use super::interrupt::Interrupt;
use super::narrate::{Narrator, Row, length};
use super::stage::{FETCH_TIMEOUT, FLOATING, NODES, Stage, floating};
use super::{Options, Trouble};
use crate::core::Instant;
use crate::lab::{Fetcher, Gap, LabError, Observation, Watch, clock};

/// The longest that anything here takes.
const AT_MOST: Duration = Duration::from_secs(15);
/// How often a wait looks whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Until every request has ended that was under way.
const SETTLE: Duration = FETCH_TIMEOUT.saturating_add(Duration::from_millis(100));
/// A holder that is silent for longer has not gone on answering.
const UNBROKEN: Duration = Duration::from_millis(300);
/// A planned move that takes longer has gone wrong, and the agents' last words say where.
const PLANNED: Duration = Duration::from_secs(1);
/// Between two events, so that a reader keeps up.
const BREATH: Duration = Duration::from_millis(700);

/// A scenario that is being played.
pub(super) struct Play<'a, 'out> {
    gateway: Watch,
    both: Watch,
    client: Fetcher,
    stage: Stage,
    interrupt: &'a Interrupt,
    narrator: &'a mut Narrator<'out>,
    rows: Vec<Row>,
}

impl<'a, 'out> Play<'a, 'out> {
    /// Sets the stage; nothing runs yet.
    pub(super) fn new(
        options: &Options,
        interrupt: &'a Interrupt,
        narrator: &'a mut Narrator<'out>,
    ) -> Result<Self, Trouble> {
        let stage = Stage::new(options, options.scenario.preempts())?;
        let scenario = options.scenario;
        narrator.line(&format!(
            "Scenario {}: {}.",
            scenario.name(),
            scenario.about()
        ))?;
        narrator.line(&format!(
            "Two hosts, a gateway and a client in network namespaces of this machine; {} keeps \
             {FLOATING}, {} answers there.\n",
            options.agent.name(),
            options.service.name(),
        ))?;
        Ok(Self {
            gateway: stage.watch()?,
            both: stage.watch_both()?,
            client: stage.fetch()?,
            stage,
            interrupt,
            narrator,
            rows: Vec::new(),
        })
    }

    /// Starts both nodes at once; the better one becomes MASTER.
    pub(super) fn start_together(&mut self) -> Result<(), Trouble> {
        let [best, other] = NODES;
        self.narrator.begin();
        let from = self.now_say(&format!("the agents start on {best} and {other}"))?;
        self.stage.start(best)?;
        self.stage.start(other)?;
        self.becomes_master(best, from)?;
        self.breathe()
    }

    /// Starts the better node first, since nothing would move the address to it later.
    pub(super) fn start_in_turn(&mut self) -> Result<(), Trouble> {
        let [best, other] = NODES;
        self.narrator.begin();
        let from = self.now_say(&format!("the agent starts on {best}"))?;
        self.stage.start(best)?;
        self.becomes_master(best, from)?;
        self.now_say(&format!("the agent starts on {other}"))?;
        self.stage.start(other)?;
        self.breathe()
    }

    fn becomes_master(&mut self, name: &str, from: Instant) -> Result<(), Trouble> {
        let what = format!("{name} did not answer for {FLOATING}");
        let at = self.wait(&what, |seen| {
            let first = seen.first_reply_from(name, floating(), from);
            first.map(|reply| reply.at)
        })?;
        let took = length(at.since(from));
        self.narrator
            .say(at, &format!("{name} is MASTER, {took} after the start"))?;
        let served = self.wait_for_page(name)?;
        self.narrator
            .say(served, &format!("the client gets its page from {name}"))?;
        self.row("start", name, took, "");
        Ok(())
    }

    /// An event that nobody planned, after which `to` must answer.
    pub(super) fn moves(
        &mut self,
        event: &str,
        to: &str,
        make: impl FnOnce(&mut Stage) -> Result<(), LabError>,
    ) -> Result<(), Trouble> {
        self.moves_within(AT_MOST, event, to, make)
    }

    /// A move that both agents take part in, so that hardly anybody notices it.
    pub(super) fn moves_as_planned(
        &mut self,
        event: &str,
        to: &str,
        make: impl FnOnce(&mut Stage) -> Result<(), LabError>,
    ) -> Result<(), Trouble> {
        self.moves_within(PLANNED, event, to, make)
    }

    /// Does it, waits until `to` answers, measures and tells.
    fn moves_within(
        &mut self,
        limit: Duration,
        event: &str,
        to: &str,
        make: impl FnOnce(&mut Stage) -> Result<(), LabError>,
    ) -> Result<(), Trouble> {
        let from = self.now_say(event)?;
        make(&mut self.stage)?;
        let what = format!("{to} did not take {FLOATING} over");
        let gap = self.wait(&what, |seen| seen.takeover(to, floating(), from))?;
        if gap.length() > limit {
            let (was, limit) = (length(gap.length()), length(limit));
            return unexpected(format!(
                "nobody answered for {was} when {event}: at most {limit} were expected"
            ));
        }
        let (lost, told) = self.lost_requests(from)?;
        let silence = self.silence(&gap);
        let text = format!("{to} answers: {silence} without an answer, {told}");
        self.narrator.say(gap.until, &text)?;
        self.row(event, to, silence, &lost);
        self.breathe()
    }

    /// An event after which `holder` must go on answering, for that long.
    pub(super) fn stays(
        &mut self,
        event: &str,
        holder: &str,
        lasting: Duration,
        make: impl FnOnce(&mut Stage) -> Result<(), LabError>,
    ) -> Result<(), Trouble> {
        let from = self.now_say(event)?;
        make(&mut self.stage)?;
        self.pause(lasting)?;
        let stranger = self.gateway.look(|seen| {
            let mut others = seen
                .replies_for(floating(), from)
                .filter(|r| &*r.from != holder);
            others.next().map(|reply| reply.from.to_string())
        });
        if let Some(stranger) = stranger {
            return unexpected(format!(
                "{stranger} answered, though {holder} should have gone on"
            ));
        }
        let longest = self
            .gateway
            .look(|seen| seen.longest_silence(floating(), from, clock::now()));
        if longest > UNBROKEN {
            return unexpected(format!("{holder} did not answer for {}", length(longest)));
        }
        let (lost, told) = self.lost_requests(from)?;
        let silence = format!("at most {}", length(longest));
        let text = format!("{holder} still answers: {silence} without an answer, {told}");
        self.narrator.say(clock::now(), &text)?;
        self.row(event, holder, silence, &lost);
        self.breathe()
    }

    /// The agent of a node was asked to stop: it must end and leave no address.
    pub(super) fn has_stopped(&mut self, name: &str) -> Result<(), Trouble> {
        self.stage.stopped(name)?;
        if self.stage.has_floating(name)? {
            return unexpected(format!(
                "{name} still has {FLOATING} after its agent has ended"
            ));
        }
        self.now_say(&format!(
            "the agent of {name} has ended, its address is off"
        ))?;
        Ok(())
    }

    /// What the agents said last.
    pub(super) fn last_words(&self) -> String {
        self.stage.last_words()
    }

    /// Removes everything and returns what it all cost.
    pub(super) fn end(mut self) -> Vec<Row> {
        let both = self.both.look(|seen| seen.overlap(floating()));
        self.row("both hosts answering at once", "", length(both), "");
        self.rows
    }

    /// Waits for what the gateway sees, or says that it did not happen.
    fn wait<T>(
        &self,
        what: &str,
        question: impl Fn(&Observation) -> Option<T>,
    ) -> Result<T, Trouble> {
        let until = clock::now() + AT_MOST;
        while clock::now() < until {
            if let Some(answer) = self.gateway.wait_for(LOOK_EVERY, &question) {
                return Ok(answer);
            }
            self.check()?;
        }
        unexpected(format!("{what} within {}", length(AT_MOST)))
    }

    /// Waits until the client got its page from that host.
    fn wait_for_page(&self, host: &str) -> Result<Instant, Trouble> {
        let until = clock::now() + AT_MOST;
        while clock::now() < until {
            let page = self.client.wait_for(LOOK_EVERY, |fetches| {
                let mut pages = fetches.iter().filter(|f| f.host.as_deref() == Some(host));
                pages.next().map(|f| f.until)
            });
            if let Some(at) = page {
                return Ok(at);
            }
            self.check()?;
        }
        unexpected(format!(
            "the client got no page from {host} within {}",
            length(AT_MOST)
        ))
    }

    /// How many requests were lost since `from`: for the table, and for the story.
    fn lost_requests(&self, from: Instant) -> Result<(String, String), Trouble> {
        self.pause(SETTLE)?;
        let (all, lost) = self.client.count(from, clock::now());
        let told = match lost {
            0 => "no request lost".to_owned(),
            1 => "1 request lost".to_owned(),
            _ => format!("{lost} requests lost"),
        };
        Ok((format!("{lost} of {all}"), told))
    }

    /// A gap as it is told: one that the questions are too far apart to see is none.
    fn silence(&self, gap: &Gap) -> String {
        let every = self.gateway.look(|seen| seen.every);
        if gap.length() <= every * 2 {
            return format!("at most {}", length(every * 2));
        }
        length(gap.length())
    }

    fn breathe(&self) -> Result<(), Trouble> {
        self.pause(BREATH)
    }

    fn pause(&self, length: Duration) -> Result<(), Trouble> {
        let until = clock::now() + length;
        while clock::now() < until {
            self.check()?;
            clock::pause(until.since(clock::now()).min(LOOK_EVERY));
        }
        Ok(())
    }

    /// An error when the demo should end, or cannot go on.
    fn check(&self) -> Result<(), Trouble> {
        self.interrupt.check()?;
        match self.stage.ended_early() {
            Some(text) => unexpected(text),
            None => Ok(()),
        }
    }

    fn now_say(&mut self, text: &str) -> Result<Instant, Trouble> {
        let now = clock::now();
        self.narrator.say(now, text)?;
        Ok(now)
    }

    fn row(&mut self, what: &str, answers: &str, silence: String, lost: &str) {
        self.rows.push(Row {
            what: what.to_owned(),
            answers: answers.to_owned(),
            silence,
            lost: lost.to_owned(),
        });
    }
}

fn unexpected<T>(text: String) -> Result<T, Trouble> {
    Err(Trouble::Unexpected(text))
}
