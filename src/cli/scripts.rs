//! Can the actions run on this host? `floatlock check` looks at each program, and whom it runs as.

use std::path::Path;

use nix::unistd::User;
use serde::Serialize;

use crate::action::path;
use crate::config::{ActionConfig, Config};

/// What is wrong with an action on this host.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    group: String,
    on: &'static str,
    path: String,
    problem: String,
}

impl Finding {
    /// In one line.
    pub(super) fn line(&self) -> String {
        let Self {
            group, on, problem, ..
        } = self;
        format!("action `{on}` of group `{group}`: {problem}")
    }
}

/// Of every action in the configuration. None on a witness, where no action runs.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    if config.is_witness() {
        return Vec::new();
    }
    let groups = config.groups.iter();
    let actions = groups.flat_map(|group| group.actions.iter().map(move |a| (group, a)));
    let findings = actions.flat_map(|(group, action)| {
        let path = action.run.first().map_or("", String::as_str);
        let program = path::check(Path::new(path)).err();
        let program = program.map(|found| found.to_string());
        let problems = [program, user(action)];
        problems.into_iter().flatten().map(|problem| Finding {
            group: group.name.clone(),
            on: action.on.word(),
            path: path.to_owned(),
            problem,
        })
    });
    findings.collect()
}

fn user(action: &ActionConfig) -> Option<String> {
    let name = action.user.as_ref()?;
    match User::from_name(name) {
        Ok(Some(_)) => None,
        Ok(None) => Some(format!("there is no user `{name}` on this host")),
        Err(error) => Some(format!("cannot look up the user `{name}`: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_with;
    use crate::wire::native::Key;

    const FILE: &str = "[cluster]\nname = \"c\"\nnodes = [\"a\", \"b\"]\nwitnesses = [\"w\"]\n\
                        [[group]]\nname = \"web\"\nid = 51\ninterface = \"eth0\"\n\
                        addresses = [\"192.0.2.10/24\"]\n\
                        [[group.action]]\non = \"stop\"\nrun = [\"/no/such/program\"]\n";

    #[test]
    fn what_is_missing_is_missed_on_a_node_and_not_on_a_witness() {
        let key = |_: &Path| Ok(Key::new(&[7; 32]).unwrap());
        let findings = |host: &str| look(&parse_with("f", FILE, host, &key).unwrap().config).len();
        assert_eq!(["a", "b", "w"].map(findings), [1, 1, 0]);
    }
}
