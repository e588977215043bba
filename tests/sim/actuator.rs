//! When are addresses on or off? The thread that changes them, one change at a time, and what it
//! tells those who wait.

use std::time::Duration;

use floatlock::core::{AddressFault, AddressFaultKind, Event};

use super::host::{ALL, Change, Job, KEPT};
use super::world::{MICRO, What, World};

/// How often the actuator tells those who wait that it works.
const WORKING_EVERY: Duration = Duration::from_secs(1);
/// Longer than anybody waits for an answer, or for the end of a release, without a sign of work.
pub(crate) const LONG_WORK: Duration = Duration::from_secs(20);

impl World {
    pub(crate) fn ask(&mut self, node: usize, change: Change, term: u64) {
        let Some(agent) = &mut self.hosts[node].agent else {
            return;
        };
        agent.holding = change == Change::Acquire;
        let list = agent.list;
        let interrupted = agent.take(Job { change, term, list });
        if interrupted {
            let done = self.dice.pick(&[0, KEPT, ALL]);
            self.hosts[node].leave_off(done);
        }
        let agent = self.hosts[node].agent.as_ref();
        if agent.is_some_and(|agent| agent.jobs.len() == 1) {
            self.begin_job(node);
        }
    }

    fn begin_job(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        let Some(agent) = &mut host.agent else {
            return;
        };
        agent.work += 1;
        let (boot, work) = (host.boot, agent.work);
        let interval = host.settings.interval;
        let most = match self.now < host.sluggish_until {
            false => (interval / 20).min(MICRO * 5000),
            true => self
                .dice
                .pick(&[interval, interval * 3, LONG_WORK / 2, LONG_WORK]),
        };
        let wait = self.dice.between(MICRO * 30, most);
        self.after(wait, What::JobDone { node, boot, work });
        if wait > WORKING_EVERY {
            self.after(WORKING_EVERY, What::Working { node, boot, work });
        }
    }

    /// The job that is being worked on, if it still is this one.
    fn is_at_work(&self, node: usize, boot: u32, work: u32) -> bool {
        let host = &self.hosts[node];
        let agent = host.agent.as_ref().filter(|_| host.boot == boot);
        agent.is_some_and(|agent| agent.work == work)
    }

    pub(crate) fn working(&mut self, node: usize, boot: u32, work: u32) {
        if !self.is_at_work(node, boot, work) {
            return;
        }
        self.after(WORKING_EVERY, What::Working { node, boot, work });
        let host = &self.hosts[node];
        if host.frozen.is_some_and(|freeze| freeze.whole) || self.now < host.hung_until {
            return;
        }
        let jobs = host.agent.as_ref().map(|agent| &agent.jobs);
        let terms: Vec<_> = jobs.into_iter().flatten().map(|job| job.term).collect();
        self.saw("work that takes long");
        for term in terms {
            self.send_command(node, Event::Working(term));
        }
    }

    pub(crate) fn job_done(&mut self, node: usize, boot: u32, work: u32) {
        if !self.is_at_work(node, boot, work) {
            return;
        }
        let again = What::JobDone { node, boot, work };
        let host = &self.hosts[node];
        if host.frozen.is_some_and(|freeze| freeze.whole) {
            // Goes on a little after the thaw.
            return self.after(host.settings.interval / 10, again);
        }
        if self.now < host.hung_until {
            return self.at(host.hung_until, again);
        }
        let works = self.now >= host.failing_until || self.dice.chance(40);
        let is_mute = self.now < host.mute_until && self.dice.coin();
        let Some(agent) = &mut self.hosts[node].agent else {
            return;
        };
        let (list, job) = (agent.list, agent.jobs.pop_front());
        let Some(job) = job else {
            return;
        };
        let goes_on = !agent.jobs.is_empty();
        agent.work += 1;
        self.hosts[node].execute(job, list, works);
        self.note(Some(node), || kernel_text(job, works, is_mute));
        self.look(node);
        if !is_mute {
            self.answer(node, job, works);
        }
        if goes_on {
            self.begin_job(node);
        }
    }

    fn answer(&mut self, node: usize, job: Job, works: bool) {
        let outcome = works.then_some(()).ok_or(AddressFault {
            address: None,
            kind: AddressFaultKind::Refused(13 /* EACCES */),
        });
        self.send_command(
            node,
            match job.change {
                Change::Acquire => Event::Acquired(job.term, outcome),
                Change::Release => Event::Released(job.term, outcome),
            },
        );
    }
}

fn kernel_text(job: Job, works: bool, is_mute: bool) -> String {
    let on = match job.change {
        Change::Acquire => "on",
        Change::Release => "off",
    };
    let how = if works { "are" } else { "will not all go" };
    let mute = if is_mute { "; the answer is lost" } else { "" };
    format!("the addresses {how} {on} (term {}){mute}", job.term)
}
