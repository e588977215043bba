//! How is floatlock told to speak natively, where keepalived speaks VRRPv3?

use std::fmt::Write as _;

use floatlock::lab::{Host, clock};

use crate::stage::{Failure, PATIENCE, Part};

/// 32 bytes.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const KEY_FILE: &str = "/run/lab/cluster.key";

/// Writes the key, and returns the text of the configuration file.
pub(crate) fn prepare(host: &Host, part: &Part) -> Result<String, Failure> {
    host.sh(&format!("umask 077; echo {KEY} >{KEY_FILE}"))?;
    let interval = part.interval().as_millis();
    let mut text = format!(
        "[cluster]\nname = \"lab\"\nnodes = {:?}\nkey-file = \"{KEY_FILE}\"\n\
         [node]\nname = {:?}\nruntime-dir = \"/run/floatlock\"\nstate-dir = \"/run/lab/state\"\n\
         [heartbeat]\ninterval = \"{interval}ms\"\n",
        part.nodes,
        host.name(),
    );
    for group in &part.groups {
        let addresses: Vec<String> = group.addresses.iter().map(ToString::to_string).collect();
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "[[group]]\nname = {:?}\nid = {}\npriority = {}\ninterface = {:?}\naddresses = {addresses:?}\n",
            group.name, group.id, group.priority, group.interface
        );
    }
    Ok(text)
}

/// Waits until the host holds every group: the first of a pair serves before the other one starts.
pub(crate) fn wait_for_master(host: &Host, part: &Part) -> Result<(), Failure> {
    let holds = clock::wait_until(PATIENCE, || {
        let all = host.addresses().unwrap_or_default();
        let wanted = part.groups.iter().flat_map(|group| &group.addresses);
        let mut wanted = wanted.map(|net| net.addr());
        wanted.all(|wanted| all.iter().any(|(_, net)| net.addr() == wanted))
    });
    holds
        .then_some(())
        .ok_or_else(|| format!("{} does not become MASTER", host.name()).into())
}

/// Waits until a standby that has just started may take over at once.
pub(crate) fn wait_for_standby(part: &Part) {
    clock::pause(part.interval() * 8);
}
