//! What was decided, and on what? Recordings of groups, and their replay.
//!
//! A recording has one line for each step of each group: the event with its time, and the effects.
//! The same core that is told the same things says the same things, whatever host it ran on: what a
//! replay says differently is a change of behaviour, or something that the core took from elsewhere.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::event::{Effect, Event, Facts};
use super::group::{Group, Settings};
use super::lease::Boot;
use super::time::Instant;

/// One line: what happened to a group, and what it made of it. `E` is [`Effect`] where it is
/// written, and whatever effects are compared as where it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line<E> {
    /// Which group; a number is used once.
    pub group: u32,
    /// When.
    pub at: Instant,
    /// What happened.
    pub what: What,
    /// In their order.
    pub effects: Vec<E>,
}

/// What happened to a group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It began.
    Begin {
        /// As configured.
        settings: Settings,
        /// Of a native group.
        boot: Option<Boot>,
        /// Of the host.
        facts: Facts,
        /// When the agent started.
        born: Instant,
    },
    /// It was told this.
    Event(Event),
    /// Here so many things are missing: nothing is known of any group from here on, until it begins
    /// anew.
    Lost(u64),
}

/// Plays recordings.
#[derive(Debug, Default)]
pub struct Replay {
    groups: HashMap<u32, Group>,
}

impl Replay {
    /// What the core of today makes of a line; none where it cannot be known, since something before
    /// it is missing.
    pub fn play(&mut self, group: u32, at: Instant, what: What) -> Option<Vec<Effect>> {
        let mut out = Vec::new();
        match what {
            What::Begin {
                settings,
                boot,
                facts,
                born,
            } => {
                let begun = match boot {
                    Some(boot) => Group::native(settings, boot, facts, (born, at), &mut out),
                    None => Group::new(settings, facts, (born, at), &mut out),
                };
                self.groups.insert(group, begun);
            }
            What::Event(event) => self.groups.get_mut(&group)?.step(at, event, &mut out),
            What::Lost(_) => {
                self.groups.clear();
                return None;
            }
        }
        Some(out)
    }
}
