//! Does something in the network answer this node? A health of its own, which every node has or lacks.
//!
//! ```text
//!   answers here | answers there | this MASTER
//!   yes          | whatever      | goes on
//!   no           | yes           | hands over
//!   no           | no            | goes on: the reference is at fault
//!   no           | nobody heard  | falls silent by the end of a lease, see [`crate::core::lease`]
//! ```
//!
//! A BACKUP that does not reach it does not stand; nor does one that has lost it lately, for a time that
//! doubles with every loss, while another node is fit. Neither delays the end of an authority.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::role::Role;
use super::{Group, Settings};
use crate::core::event::{Alarm, Cause, Effect};
use crate::core::lease;
use crate::core::time::Instant;

/// A node that has begun, or was cut off once, is fit when the reference has answered for so long.
const STEADY: Duration = Duration::from_secs(1);
/// The same after a second loss within [`FORGIVEN`]; doubled with each one ...
const PENALTY: Duration = Duration::from_secs(5);
/// ... up to this.
const PENALTY_MAX: Duration = Duration::from_secs(60);
/// A loss so long after the one before is the first one.
const FORGIVEN: Duration = Duration::from_secs(120);

/// What an operator chose.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// How long after it began or was connected a node that has heard neither the reference nor another
    /// node stands all the same; none: never.
    pub solo_after: Option<Duration>,
}

/// What is known of it.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    /// Until then the last answer counts.
    until: Instant,
    is_reached: bool,
    /// It was, once.
    was_reached: bool,
    /// While it is reached: when that counts, ...
    fit_at: Instant,
    /// ... and when it does where nobody else is fit: damping saves moves, and there is nowhere to move to.
    steady_at: Instant,
    /// The last loss, and the wait after it.
    lost_at: Option<Instant>,
    penalty: Duration,
    /// This group began then, or its link came up.
    connected_at: Instant,
    solo: bool,
    /// Under VRRP: a MASTER was heard, or that it resigns.
    was_met: bool,
    /// Since when the others that live are as unfit as this one.
    levels_at: Option<Instant>,
    /// A loss has had its effect ...
    is_noted: bool,
    /// ... or none but an alarm.
    is_told: bool,
    /// What follows from all that.
    is_fit: bool,
}

impl Reach {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            until: Instant::from_nanos(0),
            is_reached: false,
            was_reached: false,
            fit_at: Instant::NEVER,
            steady_at: Instant::NEVER,
            lost_at: None,
            penalty: STEADY,
            connected_at: now,
            solo: false,
            was_met: false,
            levels_at: None,
            is_noted: true,
            is_told: false,
            is_fit: false,
        }
    }

    /// Under VRRP: how long whoever holds may go on.
    pub(super) fn counts_until(&self) -> Instant {
        match self.solo {
            true => Instant::NEVER,
            false => self.until,
        }
    }

    pub(super) const fn meet(&mut self) {
        self.was_met = true;
    }

    /// By the answers that have come until now.
    fn judge(&mut self, now: Instant) {
        match (self.is_reached, self.until > now) {
            (false, true) => {
                (self.is_reached, self.was_reached) = (true, true);
                self.is_noted = true;
                self.fit_at = now + self.penalty;
                self.steady_at = now + STEADY;
            }
            (true, false) => {
                let is_first = self.lost_at.is_none_or(|at| now.since(at) > FORGIVEN);
                self.penalty = match is_first {
                    true => STEADY,
                    false => (self.penalty * 2).clamp(PENALTY, PENALTY_MAX),
                };
                (self.is_reached, self.lost_at) = (false, Some(now));
                self.is_noted = false;
                (self.fit_at, self.steady_at) = (Instant::NEVER, Instant::NEVER);
            }
            _ => {}
        }
    }
}

impl Group {
    /// Whether the reference speaks for this node, or is none to ask.
    pub(super) fn is_fit(&self) -> bool {
        self.reach.as_ref().is_none_or(|reach| reach.is_fit)
    }

    pub(super) fn on_proven(&mut self, asked_at: Instant, out: &mut Vec<Effect>) {
        if self.is_native() {
            self.vote(lease::Event::Proven(asked_at), out);
        }
        let until = asked_at.min(self.now) + self.proof_length();
        if let Some(reach) = &mut self.reach {
            // A gap that passed while this node stood still, and that it hears of only now.
            if reach.is_reached && reach.until <= asked_at {
                reach.judge(self.now);
            }
            reach.until = reach.until.max(until);
            self.weigh(out);
        }
    }

    /// L, with which the right to hold is to end: counted from the question.
    fn proof_length(&self) -> Duration {
        let Settings {
            interval,
            misses,
            lease,
            ..
        } = self.settings;
        let native = self.native.as_ref().map(|native| native.lease_length());
        native.or(lease).unwrap_or(interval.saturating_mul(misses))
    }

    /// So long after its last word a node counts as gone.
    fn company_lasts(&self) -> Duration {
        match &self.native {
            Some(native) => native.patience(),
            None => self.master_down(self.settings.interval),
        }
    }

    /// Another node says so; under VRRP, by its adverts as MASTER.
    fn is_another_fit(&self) -> bool {
        match &self.native {
            Some(native) => native.is_another_fit(self.now),
            None => self.living_rival().is_some(),
        }
    }

    fn has_company(&self) -> bool {
        match &self.native {
            Some(native) => native.has_company(),
            None => self.reach.as_ref().is_some_and(|reach| reach.was_met),
        }
    }

    /// The link is there: those who can be heard are heard from now on.
    pub(super) fn connect(&mut self) {
        if let Some(reach) = &mut self.reach {
            reach.connected_at = self.now;
        }
    }

    pub(super) fn reach_deadline(&self) -> Instant {
        let Some(reach) = &self.reach else {
            return Instant::NEVER;
        };
        let or_never = |waits: bool, at: Instant| if waits { at } else { Instant::NEVER };
        let ends_at = or_never(reach.is_reached, reach.until);
        let fit_at = or_never(!reach.is_fit, reach.fit_at);
        let steady_at = or_never(!reach.is_fit && !self.is_another_fit(), reach.steady_at);
        let solo_at = or_never(!reach.solo, self.solo_at());
        let level_at = reach.levels_at.map(|at| at + self.company_lasts() + STEADY);
        let level_at = level_at.filter(|_| !reach.is_fit);
        let level_at = level_at.unwrap_or(Instant::NEVER);
        let noted_at = reach.lost_at.map(|at| at + self.hesitation());
        let noted_at = noted_at.filter(|_| !reach.is_noted);
        let noted_at = noted_at.unwrap_or(Instant::NEVER);
        let own = ends_at.min(fit_at).min(steady_at).min(solo_at);
        own.min(level_at).min(noted_at)
    }

    /// Whoever has lost the reference together with this one says so with its next heartbeat but one.
    fn hesitation(&self) -> Duration {
        self.settings.interval * 2
    }

    /// Nothing is better about this node than about the others.
    pub(super) fn is_level(&self) -> bool {
        self.reach.as_ref().is_some_and(|reach| !reach.is_reached)
    }

    /// A node that has never heard anybody.
    fn solo_at(&self) -> Instant {
        let after = self.settings.reference.and_then(|chosen| chosen.solo_after);
        let has_company = self.has_company();
        match (&self.reach, after) {
            (Some(reach), Some(after)) if !reach.was_reached && !has_company && self.facts.link => {
                reach.connected_at + after
            }
            _ => Instant::NEVER,
        }
    }

    /// Counts what is known of the reference, and does what follows.
    pub(super) fn weigh(&mut self, out: &mut Vec<Effect>) {
        if self.reach.is_none() {
            return;
        }
        let (now, solo_at) = (self.now, self.solo_at());
        let (is_another_fit, has_company) = (self.is_another_fit(), self.has_company());
        let all_are_unfit =
            |group: &Self| group.native.as_ref().is_some_and(|n| n.all_are_unfit(now));
        let (all_are_unfit, is_native) = (all_are_unfit(self), self.is_native());
        let wait = self.company_lasts() + STEADY;
        let Some(reach) = &mut self.reach else {
            return;
        };
        reach.judge(now);
        if reach.steady_at <= now && !is_another_fit {
            // Until the next loss, whoever is fit by then.
            reach.fit_at = reach.fit_at.min(now);
        }
        let is_level = !reach.is_reached && all_are_unfit;
        reach.levels_at = is_level.then(|| reach.levels_at.unwrap_or(now));
        let is_level = reach.levels_at.is_some_and(|at| at + wait <= now);
        let goes_solo = !reach.solo && !reach.was_reached && solo_at <= now;
        // Under VRRP the lesser of two that meet gives way, and neither falls silent for the other's sake.
        let is_met = is_native && has_company;
        reach.solo = (reach.solo || goes_solo) && !reach.was_reached && !is_met;
        let is_fit = reach.fit_at <= now || is_level || reach.solo;
        let has_changed = std::mem::replace(&mut reach.is_fit, is_fit) != is_fit;
        if goes_solo {
            self.raise(Alarm::Solo, out);
            self.vote(lease::Event::Solo, out);
        }
        if has_changed && is_native {
            self.reconsider(out);
        } else if has_changed && matches!(self.role, Role::Backup(_)) {
            self.role = Role::Backup(self.vigil());
        }
        self.yield_to_who_reaches(out);
    }

    /// Law 12: never to nobody. A word of before the loss, or of right after it, says nothing.
    fn yield_to_who_reaches(&mut self, out: &mut Vec<Effect>) {
        let (now, hesitation) = (self.now, self.hesitation());
        let serves = matches!(self.role, Role::Master { .. });
        let Some(reach) = &mut self.reach else {
            return;
        };
        let Some(native) = &self.native else {
            // Nobody knows who reaches it: whoever does not, gives up by the end of its lease.
            reach.is_noted = true;
            return;
        };
        if reach.is_reached {
            if std::mem::replace(&mut reach.is_told, false) && serves {
                self.raise(Alarm::Reached, out);
            }
            return;
        }
        let since = reach
            .lost_at
            .map_or(now - native.patience(), |at| at + hesitation);
        if now < since {
            return;
        }
        reach.is_noted = true;
        if !serves {
            return;
        }
        match native.best_fit(since.max(now - native.patience())) {
            Some(to) => {
                let by = native.voting.name(to);
                self.give_to(Some(to), Cause::Unreached { by }, out);
            }
            None if !std::mem::replace(&mut reach.is_told, true) => {
                self.raise(Alarm::Unreached, out);
            }
            None => {}
        }
    }
}
