//! Which addresses move? The entries of `addresses` and `unadvertised`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use toml::de::DeValue;

use super::keys::ADDRESS;
use super::problem::{Checked, Problem, Problems, Span};
use super::reader::{At, Section};
use super::types::{Family, VirtualAddress};
use super::values;
use super::wording::{self, quoted};

/// The most addresses that one group, and one range, may have.
pub(super) const MOST_IN_GROUP: u64 = 65_536;

/// The most IPv4 addresses in one advert: the count is one byte (RFC 9568, section 5.2.5).
const MOST_ADVERTISED_V4: usize = 255;

/// The most IPv6 addresses in one advert that fits an MTU of 1500 bytes, as keepalived counts.
const MOST_ADVERTISED_V6: usize = 89;

/// What a key that lists addresses holds.
pub(super) type EntryList = Checked<Option<At<Vec<Checked<Entry>>>>>;

/// One entry: an address, or a range of them, that moves with the group.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) net: IpNet,
    /// Where it goes on, if the entry says so.
    pub(super) interface: Option<String>,
    pub(super) span: Span,
    pub(super) advertised: bool,
}

impl Entry {
    /// In `unadvertised` an entry without host bits means every address of that prefix.
    fn is_range(&self) -> bool {
        !self.advertised && self.net.prefix_len() < self.net.max_prefix_len() && no_host_bits(self)
    }

    pub(super) fn family(&self) -> Family {
        Family::of(self.net.addr())
    }

    pub(super) fn first(&self) -> IpAddr {
        self.net.addr()
    }

    pub(super) fn last(&self) -> IpAddr {
        match (self.is_range(), self.net) {
            (false, net) => net.addr(),
            (true, IpNet::V4(net)) => net.broadcast().into(),
            (true, IpNet::V6(net)) => net.broadcast().into(),
        }
    }

    /// How many addresses it stands for.
    pub(super) fn count(&self) -> u64 {
        let host_bits = self.net.max_prefix_len() - self.net.prefix_len();
        match self.is_range() {
            false => 1,
            true => 1_u64.checked_shl(host_bits.into()).unwrap_or(u64::MAX),
        }
    }

    /// Every address that it stands for, on its interface or the group's.
    pub(super) fn expand<'e>(
        &'e self,
        of_group: &'e str,
    ) -> impl Iterator<Item = VirtualAddress> + 'e {
        let interface = self.interface.as_deref().unwrap_or(of_group);
        (0..self.count()).filter_map(move |offset| {
            let address = nth(self.net.addr(), offset);
            let net = IpNet::new(address, self.net.prefix_len()).ok()?;
            let interface = interface.to_owned();
            Some(VirtualAddress { net, interface })
        })
    }
}

fn no_host_bits(entry: &Entry) -> bool {
    entry.net.addr() == entry.net.network()
}

fn nth(first: IpAddr, offset: u64) -> IpAddr {
    match first {
        IpAddr::V4(v4) => {
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            Ipv4Addr::from_bits(v4.to_bits().saturating_add(offset)).into()
        }
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().saturating_add(offset.into())).into(),
    }
}

/// The entries under a key.
pub(super) fn read(section: &Section<'_>, name: &str, out: &mut Problems) -> EntryList {
    let advertised = name == "addresses";
    let Some(list) = section.entries(name, out)? else {
        return Ok(None);
    };
    let span = list.span;
    if advertised && list.value.is_empty() {
        return Err(out.error(span, "a group has at least one address in `addresses`"));
    }
    let entries = list.value.into_iter();
    let value = entries
        .map(|written| entry(written, advertised, out))
        .collect();
    Ok(Some(At { value, span }))
}

fn entry(written: At<&DeValue<'_>>, advertised: bool, out: &mut Problems) -> Checked<Entry> {
    let span = written.span.clone();
    let (address, interface) = match written.value {
        DeValue::String(text) => (Ok(written.map(|_| text.as_ref())), Ok(None)),
        DeValue::Table(table) => table_entry(&Section::open(table, ADDRESS, span, out), out),
        _ => {
            let kind = wording::kind(written.value);
            let message = format!("an address is text or `{{ address, interface }}`, not {kind}");
            return Err(out.error(span, message));
        }
    };
    let address = address?;
    let net = network(&address).map_err(|problem| out.push(problem))?;
    let entry = Entry {
        net,
        interface: interface?,
        span: address.span,
        advertised,
    };
    match fault(&entry, address.value) {
        Some(problem) => Err(out.push(problem)),
        None => Ok(entry),
    }
}

fn table_entry<'t>(
    section: &Section<'t>,
    out: &mut Problems,
) -> (Checked<At<&'t str>>, Checked<Option<String>>) {
    let address = section.text("address", out);
    let address = section.need("address", address, out);
    let interface = match section.text("interface", out) {
        Ok(Some(text)) => values::interface(text, out).map(|name| Some(name.value)),
        Ok(None) => Ok(None),
        Err(reported) => Err(reported),
    };
    (address, interface)
}

/// The address with its prefix length.
fn network(text: &At<&str>) -> Result<IpNet, Problem> {
    let Some((address, length)) = text.value.split_once('/') else {
        return Err(match text.value.parse::<IpAddr>() {
            Ok(address) => without_prefix(address, text.span.clone()),
            Err(_) => values::not_an_address(text.clone()),
        });
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return Err(values::not_an_address(text.clone()));
    };
    let most: u8 = if address.is_ipv4() { 32 } else { 128 };
    let length = length.parse::<u8>().ok();
    match length.filter(|length| (1..=most).contains(length)) {
        Some(length) => Ok(IpNet::new_assert(address, length)),
        None => {
            let message = format!(
                "{} has no prefix length from 1 to {most}",
                quoted(text.value)
            );
            let advice = format!("write \"{address}/{most}\", or the length of its network");
            Err(Problem::error(text.span.clone(), message).advise(advice))
        }
    }
}

fn without_prefix(address: IpAddr, span: Span) -> Problem {
    let (most, network) = if address.is_ipv4() {
        (32, 24)
    } else {
        (128, 64)
    };
    let advice = format!(
        "write \"{address}/{most}\", or the prefix length of its network, like \"{address}/{network}\""
    );
    Problem::error(span, format!("`{address}` has no prefix length")).advise(advice)
}

/// Why these addresses cannot float.
fn fault(entry: &Entry, text: &str) -> Option<Problem> {
    let error = |message| Problem::error(entry.span.clone(), message);
    let ends = [entry.first(), entry.last()];
    if let Some(kind) = ends.into_iter().find_map(values::special) {
        let holds = if entry.is_range() { "contains" } else { "is" };
        return Some(
            error(format!("{} {holds} {kind}", quoted(text)))
                .advise("write an address that one host can have"),
        );
    }
    if entry.count() > MOST_IN_GROUP {
        let message = format!(
            "{} is a range of more than {MOST_IN_GROUP} addresses",
            quoted(text)
        );
        let longest = entry.net.max_prefix_len() - 16;
        return Some(error(message).advise(format!(
            "write a prefix of /{longest} or longer; one address ends in /{}",
            entry.net.max_prefix_len()
        )));
    }
    let kind = network_kind(entry)?;
    let message = format!("{} is {kind}, not a host's", quoted(text));
    let advice = format!(
        "write the host's address; if this is meant, write \"{}/{}\"",
        entry.net.addr(),
        entry.net.max_prefix_len()
    );
    Some(error(message).advise(advice))
}

/// An address that its own prefix gives another meaning.
fn network_kind(entry: &Entry) -> Option<&'static str> {
    let has_hosts = entry.net.prefix_len() + 1 < entry.net.max_prefix_len();
    let is_v4 = entry.net.addr().is_ipv4();
    if !has_hosts || entry.is_range() {
        None
    } else if no_host_bits(entry) {
        Some("the address of a network")
    } else if is_v4 && entry.net.addr() == entry.net.broadcast() {
        Some("the broadcast address of a network")
    } else {
        None
    }
}

/// All that are not in `unadvertised`.
pub(super) fn listed(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| entry.advertised)
}

/// The entries that go into adverts, and those that do not fit.
pub(super) fn fit(entries: &[Entry]) -> (Vec<&Entry>, Vec<&Entry>) {
    let mut room = [MOST_ADVERTISED_V4, MOST_ADVERTISED_V6];
    listed(entries).partition(|entry| {
        let left = &mut room[usize::from(entry.family() == Family::V6)];
        let fits = *left > 0;
        *left = left.saturating_sub(1);
        fits
    })
}

/// Warns of each family that has more addresses than one advert holds.
pub(super) fn warn_of_excess(entries: &[Entry], out: &mut Problems) {
    let (_, excess) = fit(entries);
    for (family, name, most) in [
        (Family::V4, "IPv4", MOST_ADVERTISED_V4),
        (Family::V6, "IPv6", MOST_ADVERTISED_V6),
    ] {
        let of_family: Vec<_> = excess.iter().filter(|e| e.family() == family).collect();
        let Some(first) = of_family.first() else {
            continue;
        };
        let message = format!(
            "one advert holds {most} {name} addresses: from here on, {} move along unadvertised",
            of_family.len()
        );
        let advice = "list them in `unadvertised` of [group.vrrp], or make another group of them";
        out.push(Problem::warning(first.span.clone(), message).advise(advice));
    }
}
