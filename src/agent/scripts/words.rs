//! What is a script told? The contract's environment, and the same as one JSON object.

use std::sync::Arc;

use serde_json::json;

use crate::config::{ActionConfig, ActionEvent, Config, GroupConfig};
use crate::core::lease::Epoch;
use crate::core::{Cause, RoleName};

/// The scripts of a group, and what does not change about what they are told.
#[derive(Debug, PartialEq)]
pub(crate) struct Scripts {
    pub(crate) group: Arc<str>,
    node: String,
    interface: String,
    addresses: Vec<String>,
    peers: Vec<String>,
    priority: u8,
    all: Vec<ActionConfig>,
}

/// What happens to a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    pub(crate) event: ActionEvent,
    pub(crate) from: RoleName,
    pub(crate) to: RoleName,
    pub(crate) cause: Cause,
    /// None under VRRP, which has none.
    pub(crate) epoch: Option<Epoch>,
    /// What belongs to the same change has the same.
    pub(crate) transition: u64,
}

impl Scripts {
    /// None where the group has none, and on a witness, which never holds.
    pub(crate) fn of(config: &Config, group: &GroupConfig) -> Option<Arc<Self>> {
        if group.actions.is_empty() || config.is_witness() {
            return None;
        }
        let node = config.node.name.clone();
        let nodes = config.cluster.iter().flat_map(|cluster| &cluster.nodes);
        Some(Arc::new(Self {
            group: group.name.as_str().into(),
            interface: group.interface.clone(),
            addresses: group.all_addresses().map(|a| a.net.to_string()).collect(),
            peers: nodes.filter(|name| **name != node).cloned().collect(),
            priority: group.priority,
            all: group.actions.clone(),
            node,
        }))
    }

    /// Those for this event, in the order of the file.
    pub(crate) fn at(&self, event: ActionEvent) -> impl Iterator<Item = &ActionConfig> {
        self.all.iter().filter(move |action| action.on.is_at(event))
    }

    /// What a change is called, here and nowhere else: `tag` is this agent's.
    pub(crate) fn transition(&self, tag: &str, key: u32, number: u64) -> String {
        format!("{}-{tag}-{key}-{number}", self.node)
    }

    /// The variables, each by its name.
    pub(crate) fn environment(
        &self,
        moment: &Moment,
        transition: &str,
    ) -> Vec<(&'static str, String)> {
        vec![
            ("FLOATLOCK_GROUP", self.group.to_string()),
            ("FLOATLOCK_NODE", self.node.clone()),
            ("FLOATLOCK_EVENT", moment.event.word().to_owned()),
            ("FLOATLOCK_FROM", moment.from.as_str().to_owned()),
            ("FLOATLOCK_TO", moment.to.as_str().to_owned()),
            ("FLOATLOCK_CAUSE", moment.cause.to_string()),
            (
                "FLOATLOCK_EPOCH",
                moment.epoch.map(|e| e.to_string()).unwrap_or_default(),
            ),
            ("FLOATLOCK_TRANSITION", transition.to_owned()),
            ("FLOATLOCK_ADDRESSES", self.addresses.join(" ")),
            ("FLOATLOCK_INTERFACE", self.interface.clone()),
            ("FLOATLOCK_PEER", self.peers.join(" ")),
        ]
    }

    /// The same for standard input: one object on one line.
    pub(crate) fn input(&self, moment: &Moment, transition: &str) -> Vec<u8> {
        let object = json!({
            "group": &*self.group,
            "node": self.node,
            "event": moment.event.word(),
            "from": moment.from.as_str(),
            "to": moment.to.as_str(),
            "cause": moment.cause.to_string(),
            "epoch": moment.epoch.map(Epoch::number),
            "transition": transition,
            "addresses": self.addresses,
            "interface": self.interface,
            "peer": self.peers,
        });
        format!("{object}\n").into_bytes()
    }

    /// The program and its arguments.
    pub(crate) fn command(&self, action: &ActionConfig, event: ActionEvent) -> Vec<String> {
        let mut words = action.run.clone();
        if action.keepalived_args {
            let state = match event {
                ActionEvent::Promoted => "MASTER",
                ActionEvent::Fault => "FAULT",
                ActionEvent::Stop => "STOP",
                _ => "BACKUP",
            };
            let priority = self.priority.to_string();
            let appended = ["INSTANCE", &*self.group, state, &priority];
            words.extend(appended.map(str::to_owned));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn action(on: ActionEvent, seconds: u64) -> ActionConfig {
        ActionConfig {
            on,
            run: vec!["/bin/notify".to_owned(), "x".to_owned()],
            timeout: Duration::from_secs(seconds),
            required: true,
            keepalived_args: on == ActionEvent::Any,
            user: None,
        }
    }

    fn scripts(all: Vec<ActionConfig>) -> Scripts {
        Scripts {
            group: "web".into(),
            node: "lb-a".to_owned(),
            interface: "eth0".to_owned(),
            addresses: vec!["192.0.2.10/24".to_owned(), "2001:db8::10/64".to_owned()],
            peers: vec!["lb-b".to_owned()],
            priority: 150,
            all,
        }
    }

    const MOMENT: Moment = Moment {
        event: ActionEvent::Promote,
        from: RoleName::Backup,
        to: RoleName::Master,
        cause: Cause::AddressesOn,
        epoch: Some(Epoch::from_number(129)),
        transition: 7,
    };

    #[test]
    fn the_environment_and_the_object_say_the_same() {
        let scripts = scripts(vec![]);
        let object: serde_json::Value =
            serde_json::from_slice(&scripts.input(&MOMENT, "t-7")).unwrap();
        for (name, value) in scripts.environment(&MOMENT, "t-7") {
            let key = name.trim_start_matches("FLOATLOCK_").to_lowercase();
            let said = match &object[&key] {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Array(all) => {
                    let all: Vec<&str> = all.iter().map(|v| v.as_str().unwrap()).collect();
                    all.join(" ")
                }
                other => other.to_string(),
            };
            assert_eq!(said, value, "{name}");
        }
        assert_eq!(object.as_object().unwrap().len(), 11);
    }

    #[test]
    fn without_an_epoch_the_variable_is_empty() {
        let moment = Moment {
            epoch: None,
            ..MOMENT
        };
        let all = scripts(vec![]).environment(&moment, "t");
        assert!(all.contains(&("FLOATLOCK_EPOCH", String::new())));
    }

    #[test]
    fn keepalived_s_arguments_come_last() {
        let any = action(ActionEvent::Any, 1);
        let scripts = scripts(vec![]);
        let states = [
            (ActionEvent::Promoted, "MASTER"),
            (ActionEvent::Demoted, "BACKUP"),
            (ActionEvent::Fault, "FAULT"),
            (ActionEvent::Stop, "STOP"),
        ];
        for (event, state) in states {
            let expected = ["/bin/notify", "x", "INSTANCE", "web", state, "150"];
            assert_eq!(scripts.command(&any, event), expected);
        }
        let plain = action(ActionEvent::Promote, 1);
        assert_eq!(
            scripts.command(&plain, ActionEvent::Promote),
            ["/bin/notify", "x"]
        );
    }
}
