//! What happens in each scenario?

use std::str::FromStr;
use std::time::Duration;

use super::Trouble;
use super::play::Play;
use super::stage::NODES;

/// How long a host that must stay out is watched.
const LONG_ENOUGH: Duration = Duration::from_secs(3);

/// A story that the demo can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scenario {
    /// Power loss, return, planned stop.
    #[default]
    Failover,
    /// The same with `preempt = false`.
    PreemptOff,
    /// A pulled cable, and a cut that nobody sees.
    LinkDown,
}

impl Scenario {
    /// Every scenario, the default first.
    pub const ALL: [Scenario; 3] = [Scenario::Failover, Scenario::PreemptOff, Scenario::LinkDown];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Scenario::Failover => "failover",
            Scenario::PreemptOff => "preempt-off",
            Scenario::LinkDown => "link-down",
        }
    }

    /// What happens in it.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Scenario::Failover => {
                "the MASTER loses power, comes back and takes over again, then is stopped as planned"
            }
            Scenario::PreemptOff => {
                "with preempt = false, the address stays where it is when the better host returns"
            }
            Scenario::LinkDown => {
                "the MASTER's cable is pulled, then its switch port goes dead with the link up"
            }
        }
    }

    pub(super) const fn preempts(self) -> bool {
        !matches!(self, Scenario::PreemptOff)
    }

    pub(super) fn run(self, play: &mut Play<'_, '_>) -> Result<(), Trouble> {
        match self {
            Scenario::Failover => failover(play),
            Scenario::PreemptOff => preempt_off(play),
            Scenario::LinkDown => link_down(play),
        }
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Scenario::ALL.into_iter().find(|s| s.name() == text);
        found.ok_or_else(|| {
            let names = Scenario::ALL.map(Scenario::name).join(", ");
            format!("there is no scenario {text:?}; there are {names}")
        })
    }
}

const A: &str = NODES[0];
const B: &str = NODES[1];

fn failover(play: &mut Play<'_, '_>) -> Result<(), Trouble> {
    play.start_together()?;
    play.moves("lb-a loses power", B, |stage| stage.power_off(A))?;
    play.moves_as_planned("lb-a returns", A, |stage| stage.power_on(A))?;
    play.moves_as_planned("lb-a is stopped as planned", B, |stage| {
        stage.ask_to_stop(A)
    })?;
    play.has_stopped(A)
}

fn preempt_off(play: &mut Play<'_, '_>) -> Result<(), Trouble> {
    play.start_in_turn()?;
    play.moves("lb-a loses power", B, |stage| stage.power_off(A))?;
    play.stays("lb-a returns", B, LONG_ENOUGH, |stage| stage.power_on(A))?;
    play.moves_as_planned("lb-b is stopped as planned", A, |stage| {
        stage.ask_to_stop(B)
    })?;
    play.has_stopped(B)
}

fn link_down(play: &mut Play<'_, '_>) -> Result<(), Trouble> {
    play.start_together()?;
    play.moves("lb-a's cable is pulled", B, |stage| stage.pull_cable(A))?;
    play.moves("lb-a's cable is back", A, |stage| stage.heal(A))?;
    play.moves(
        "lb-a's switch port goes dead, its link stays up",
        B,
        |stage| stage.cut_silently(A),
    )?;
    play.moves("lb-a's switch port works again", A, |stage| stage.heal(A))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_found_by_its_name() {
        for scenario in Scenario::ALL {
            assert_eq!(scenario.name().parse(), Ok(scenario));
        }
        let error = Scenario::from_str("meteor").unwrap_err();
        assert!(
            error.ends_with("there are failover, preempt-off, link-down"),
            "{error}"
        );
    }
}
