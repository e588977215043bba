//! What do the other threads of an agent do? One puts addresses on and off, one after the other;
//! one asks the LAN whether somebody answers.

use std::time::Duration;

use floatlock::core::{AddressFault, AddressFaultKind, Event};

use super::host::{Change, Job, Look};
use super::scenario::{MICRO, MILLI};
use super::world::{Probe, What, World};

/// Three questions so far apart, and the wait for the last answer.
const PROBE_EVERY: Duration = Duration::from_millis(4);
const LAST_WAIT: Duration = Duration::from_millis(5);
/// Longer than anybody waits for an answer.
pub(crate) const LONG_WORK: Duration = Duration::from_secs(12);

impl World {
    /// A claim that has ended, or is made anew, is forgotten, so that what takes addresses off goes
    /// first.
    pub(crate) fn ask(&mut self, node: usize, group: usize, change: Change, term: u64) {
        let Some(agent) = &mut self.hosts[node].agent else {
            return;
        };
        let slot = &mut agent.slots[group];
        slot.jobs.retain(|job| job.change != Change::Acquire);
        slot.jobs.push_back(Job { change, term });
        if slot.jobs.len() == 1 {
            self.begin_job(node, group);
        }
    }

    fn begin_job(&mut self, node: usize, group: usize) {
        let (boots, is_sluggish) = {
            let host = &self.hosts[node];
            (host.boots, self.now < host.sluggish_until)
        };
        let most = match is_sluggish {
            false => self.scenario.work,
            true => {
                let interval = self.scenario.interval;
                self.dice
                    .pick(&[interval, interval * 4, self.scenario.promise, LONG_WORK])
            }
        };
        let wait = self.dice.between(MICRO * 30, most);
        let Some(agent) = &mut self.hosts[node].agent else {
            return;
        };
        let slot = &mut agent.slots[group];
        slot.work += 1;
        let work = slot.work;
        let what = What::JobDone {
            node,
            boots,
            group,
            work,
        };
        self.after(wait, what);
    }

    pub(crate) fn job_done(&mut self, node: usize, boots: u32, group: usize, work: u32) {
        let again = What::JobDone {
            node,
            boots,
            group,
            work,
        };
        let host = &mut self.hosts[node];
        if host.boots != boots || host.agent.is_none() {
            return;
        }
        if host.frozen || host.paused {
            return self.after(self.scenario.interval / 4, again);
        }
        if self.now < host.hung_until {
            let at = host.hung_until;
            return self.at(at, again);
        }
        let works = self.now >= host.failing_until || self.dice.chance(40);
        let Some(agent) = &mut host.agent else {
            return;
        };
        let slot = &mut agent.slots[group];
        if slot.work != work {
            return;
        }
        let Some(job) = slot.jobs.pop_front() else {
            return;
        };
        slot.work += 1;
        let goes_on = !slot.jobs.is_empty();
        if works {
            host.kernel[group].on = job.change == Change::Acquire;
        }
        let outcome = works.then_some(()).ok_or(AddressFault {
            address: None,
            kind: AddressFaultKind::Refused(13 /* EACCES */),
        });
        let event = match job.change {
            Change::Acquire => Event::Acquired(job.term, outcome),
            Change::Release => Event::Released(job.term, outcome),
        };
        self.send_command(node, Some(group), event);
        if goes_on {
            self.begin_job(node, group);
        }
    }

    pub(crate) fn begin_look(&mut self, node: usize, boots: u32, group: usize, ticket: u64) {
        self.saw("look");
        let probe = Probe {
            node,
            boots,
            group,
            ticket,
            nth: 0,
        };
        let Some(agent) = &mut self.hosts[node].agent else {
            return;
        };
        agent.slots[group].look = Some(Look {
            ticket,
            answered: false,
            probed: false,
        });
        let wait = self.dice.between(MICRO * 10, MICRO * 100);
        self.after(wait, What::Probe(probe));
    }

    pub(crate) fn probe(&mut self, mut probe: Probe) {
        let Probe { node, .. } = probe;
        let host = &self.hosts[node];
        if host.boots != probe.boots || host.agent.is_none() {
            return;
        }
        if host.frozen || host.paused {
            return self.after(MILLI, What::Probe(probe));
        }
        if probe.nth == 3 {
            return self.look_is_over(probe);
        }
        for other in (0..self.hosts.len()).filter(|other| *other != node) {
            if self.are_neighbours(node, other) {
                self.is_probed(other, probe);
            }
        }
        probe.nth += 1;
        let wait = if probe.nth == 3 {
            LAST_WAIT
        } else {
            PROBE_EVERY
        };
        self.after(wait, What::Probe(probe));
    }

    /// What a host makes of a probe: its kernel answers; one that looks as well hears it; one whose
    /// addresses are going on probes, too.
    fn is_probed(&mut self, other: usize, probe: Probe) {
        let answers = self.hosts[other].answers(probe.group, self.now);
        let host = &mut self.hosts[other];
        let (runs, wakes) = (!host.paused, !host.frozen && !host.paused);
        let slot = host
            .agent
            .as_mut()
            .map(|agent| &mut agent.slots[probe.group]);
        if let Some(look) = slot.and_then(|slot| slot.look.as_mut()).filter(|_| runs) {
            look.probed = true;
        }
        let slot = host.agent.as_ref().map(|agent| &agent.slots[probe.group]);
        let guards = wakes && slot.is_some_and(|slot| slot.guards);
        if let Some(look) = self.look_of(probe) {
            look.answered |= answers;
            look.probed |= guards;
        }
    }

    fn look_of(&mut self, probe: Probe) -> Option<&mut Look> {
        let agent = self.hosts[probe.node].agent.as_mut()?;
        let look = agent.slots[probe.group].look.as_mut();
        look.filter(|look| look.ticket == probe.ticket)
    }

    fn look_is_over(&mut self, probe: Probe) {
        let Some(look) = self.look_of(probe).copied() else {
            return;
        };
        let (what, event) = match (look.answered, look.probed) {
            (true, _) => ("look: answered", Event::Looked(look.ticket, true)),
            (false, true) => ("look: another looks", Event::Probed(look.ticket)),
            (false, false) => ("look: nobody", Event::Looked(look.ticket, false)),
        };
        self.saw(what);
        let agent = self.hosts[probe.node].agent.as_mut();
        if let Some(agent) = agent {
            agent.slots[probe.group].look = None;
        }
        self.send_command(probe.node, Some(probe.group), event);
    }

    /// Whether one host on the LAN reaches another.
    pub(crate) fn are_neighbours(&self, a: usize, b: usize) -> bool {
        let is_on = |node: usize| self.hosts[node].has_link && self.hosts[node].is_up;
        is_on(a) && is_on(b) && self.wire.are_neighbours(a, b, self.now)
    }
}
