//! Which gate does `floatlock check` show for each group?

use serde_json::{Value, json};

use crate::agent::{Trial, try_gate};
use crate::config::{Config, GateChoice, GroupConfig};
use crate::core::election::OWNER;

const UNSAFE: &str = "which is unsafe: the addresses of a dead or frozen agent go on answering";

/// The gate that is asked for, and what this host gives.
pub(super) struct Gate<'c> {
    config: &'c Config,
    choice: GateChoice,
    /// None: there was nothing to try, or not the right to.
    trial: Option<Trial>,
}

impl<'c> Gate<'c> {
    /// Tries it, where this program may.
    pub(super) fn of(config: &'c Config) -> Self {
        let choice = config.fencing.gate;
        Self {
            config,
            choice,
            trial: try_gate(choice),
        }
    }

    /// What becomes of the groups' leases: with the gate that is there, as far as this is known.
    pub(super) fn as_it_is(&self) -> Config {
        let mut config = self.config.clone();
        if self.is_off() {
            config.fencing.gate = GateChoice::Off;
        }
        config
    }

    /// What an operator must hear about: that the agent does not start here, or is not safe.
    pub(super) fn warning(&self) -> Option<String> {
        let trial = self.trial.as_ref().filter(|trial| trial.level.is_none())?;
        let report = &trial.report;
        Some(match self.choice {
            GateChoice::Auto => format!("the gate is {report}, {UNSAFE}"),
            _ => format!("the gate {report}; `floatlock run` refuses to start without it"),
        })
    }

    /// One line for the groups with a gate, and one for each reason to have none.
    pub(super) fn lines(&self) -> Vec<String> {
        let (gated, ungated): (Vec<_>, Vec<_>) =
            self.groups().partition(|group| group.lease().is_some());
        let (owners, fast): (Vec<_>, Vec<_>) = ungated
            .into_iter()
            .partition(|group| group.priority == OWNER);
        let none = |groups: &[&GroupConfig], why: &str| {
            let names = names(groups)?;
            Some(format!("gate: none for {names}: {why}"))
        };
        let gated = names(&gated).map(|names| self.line(&names));
        let fast = none(&fast, "its adverts come too often for a lease");
        let owners = none(&owners, "its addresses are the host's own");
        [gated, fast, owners].into_iter().flatten().collect()
    }

    fn line(&self, names: &str) -> String {
        let word = self.choice.word();
        match (&self.trial, self.choice) {
            (Some(trial), _) => {
                let level = trial
                    .level
                    .map_or("off".to_owned(), |level| level.to_string());
                match trial.report.strip_prefix(&level) {
                    Some(why) => format!("gate: {level} for {names} (tried on this host){why}"),
                    None => format!(
                        "gate: none for {names} (tried on this host): {}",
                        trial.report
                    ),
                }
            }
            (None, GateChoice::Off) => format!("gate: off for {names}, {UNSAFE}"),
            (None, GateChoice::Auto) => format!(
                "gate: auto for {names}: bpf where this host has it, else nftables, else none \
                 (not tried: that needs root)"
            ),
            (None, _) => format!("gate: {word} for {names} (not tried: that needs root)"),
        }
    }

    pub(super) fn json(&self) -> Value {
        let (word, trial) = (self.choice.word(), self.trial.as_ref());
        let level = match (trial, self.choice) {
            (Some(trial), _) => Some(trial.level.map_or("off".to_owned(), |l| l.to_string())),
            (None, GateChoice::Off) => Some(word.to_owned()),
            (None, _) => None,
        };
        let of_group = |group: &GroupConfig| {
            let gate = match group.lease() {
                Some(_) => level.as_deref().unwrap_or(word),
                None => "none",
            };
            json!({ "group": group.name, "gate": gate })
        };
        let groups: Vec<_> = self.groups().map(of_group).collect();
        json!({
            "configured": word,
            "tried": trial.is_some(),
            "level": level,
            "report": trial.map(|trial| &trial.report),
            "groups": groups,
        })
    }

    fn groups(&self) -> impl Iterator<Item = &'c GroupConfig> {
        self.config.groups.iter().map(AsRef::as_ref)
    }

    /// Every gate that may be was refused.
    fn is_off(&self) -> bool {
        self.trial
            .as_ref()
            .is_some_and(|trial| trial.level.is_none())
    }
}

fn names(groups: &[&GroupConfig]) -> Option<String> {
    let names: Vec<_> = groups.iter().map(|g| format!("`{}`", g.name)).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Level;

    fn line(choice: GateChoice, level: Option<Level>, report: &str) -> String {
        let text = "[cluster]\nname = \"c\"\nnodes = [\"a\", \"b\"]\n[node]\nname = \"a\"\n\
                    [heartbeat]\nprotocol = \"vrrp3\"\n[[group]]\nname = \"web\"\nid = 51\n\
                    interface = \"eth0\"\naddresses = [\"192.0.2.10/24\"]\n";
        let loaded = crate::config::parse("f", text, "a").unwrap();
        let report = report.to_owned();
        let gate = Gate {
            config: &loaded.config,
            choice,
            trial: Some(Trial { level, report }),
        };
        gate.lines().concat()
    }

    #[test]
    fn a_gate_that_is_not_the_best_has_its_reason() {
        let second = line(
            GateChoice::Auto,
            Some(Level::Nftables),
            "nftables, since bpf is refused: no",
        );
        let said = "gate: nftables for `web` (tried on this host), since bpf is refused: no";
        assert_eq!(second, said);
        let none = line(GateChoice::Auto, None, "off, since both are refused");
        let said = "gate: off for `web` (tried on this host), since both are refused";
        assert_eq!(none, said);
        let none = line(GateChoice::Bpf, None, "bpf is refused: no");
        assert_eq!(
            none,
            "gate: none for `web` (tried on this host): bpf is refused: no"
        );
    }
}
