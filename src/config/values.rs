//! What may a name, an interface or a host's address be?

use std::net::IpAddr;

use ipnet::IpNet;

use super::problem::{Checked, Problem, Problems};
use super::reader::{At, ReadList};
use super::wording::quoted;

/// The longest name of a cluster, a node or a group.
const NAME_LONGEST: usize = 64;

/// The longest name of an interface: `IFNAMSIZ` without its zero byte.
const INTERFACE_LONGEST: usize = 15;

/// Whether it can name a cluster, a node or a group: it will stand in file names and on labels.
pub(super) fn is_name(text: &str) -> bool {
    let fits = (1..=NAME_LONGEST).contains(&text.len());
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    fits && text.chars().all(plain)
}

/// A cluster's, a node's or a group's name.
pub(super) fn name(text: At<&str>, out: &mut Problems) -> Checked<At<String>> {
    if is_name(text.value) {
        return Ok(text.map(str::to_owned));
    }
    let message = format!("{} is not a name", quoted(text.value));
    let advice = "write 1 to 64 letters, digits, `.`, `_` or `-`";
    Err(out.push(Problem::error(text.span, message).advise(advice)))
}

/// An interface's name, as the kernel allows it.
pub(super) fn interface(text: At<&str>, out: &mut Problems) -> Checked<At<String>> {
    let fits = (1..=INTERFACE_LONGEST).contains(&text.value.len());
    let plain = |c: char| !(c.is_whitespace() || c.is_control() || "/:".contains(c));
    let special = [".", ".."].contains(&text.value);
    if fits && !special && text.value.chars().all(plain) {
        return Ok(text.map(str::to_owned));
    }
    let message = format!("{} cannot be the name of an interface", quoted(text.value));
    let advice = match text.value.split_once(':') {
        Some((device, _)) => format!("write the interface without a label: \"{device}\""),
        None => "write 1 to 15 bytes without `/`, `:` and spaces, as `ip link` shows it".to_owned(),
    };
    Err(out.push(Problem::error(text.span, message).advise(advice)))
}

/// The address of a host: one that can send and receive, without a prefix length.
pub(super) fn host(text: At<&str>, out: &mut Problems) -> Checked<At<IpAddr>> {
    let problem = match (text.value.parse::<IpAddr>(), text.value.parse::<IpNet>()) {
        (Ok(address), _) => match special(address) {
            None => return Ok(text.map(|_| address)),
            Some(kind) => Problem::error(text.span, format!("`{address}` is {kind}"))
                .advise("write the address of one host"),
        },
        (_, Ok(net)) => Problem::error(text.span, format!("`{net}` has a prefix length"))
            .advise(format!("write the address alone: \"{}\"", net.addr())),
        _ => not_an_address(text),
    };
    Err(out.push(problem))
}

/// Several hosts' addresses.
pub(super) fn hosts(read: ReadList<&str>, out: &mut Problems) -> ReadList<IpAddr> {
    let checked = |text: Checked<At<&str>>| text.and_then(|text| host(text, out));
    let hosts = |texts: Vec<_>| texts.into_iter().map(checked).collect();
    Ok(read?.map(|texts| texts.map(hosts)))
}

/// The problem of a text that should be an address.
pub(super) fn not_an_address(text: At<&str>) -> Problem {
    let message = format!("{} is not an IP address", quoted(text.value));
    let problem = Problem::error(text.span, message);
    match text.value.contains('%') {
        true => problem.advise("leave out the zone after `%`: `interface` says it"),
        false => problem,
    }
}

/// What kind of address this is, if no single host can have it.
pub(super) fn special(address: IpAddr) -> Option<&'static str> {
    let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    let kinds = [
        (address.is_unspecified(), "the unspecified address"),
        (address.is_multicast(), "a multicast address"),
        (address.is_loopback(), "a loopback address"),
        (broadcast, "the broadcast address"),
        (mapped, "an IPv4-mapped IPv6 address"),
    ];
    kinds.iter().find(|(is, _)| *is).map(|(_, kind)| *kind)
}

/// Whether an IPv6 address means something else on each interface.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
