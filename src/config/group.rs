//! What does one `[[group]]` say? Read with its places, checked by itself, then built.

use std::sync::Arc;
use std::time::Duration;

use super::actions;
use super::address::{self, Entry, MOST_IN_GROUP};
use super::heartbeat::{self, Around, Given, Timing};
use super::paths::{self, Ends, Line};
use super::problem::{Checked, Problem, Problems, Span};
use super::reader::{At, Section};
use super::types::{ActionConfig, Announce, Family, GroupConfig, Protocol};
use super::values;
use super::vrrp::{self, Vrrp};

const PRIORITY: u32 = 100;
const OWNER: u32 = 255;

/// What the whole file says to each of its groups.
pub(super) struct Inherited<'f> {
    pub(super) heartbeat: &'f Given,
    /// Where to point for what no table says; the group's header if there is no `[heartbeat]`.
    pub(super) heartbeat_at: Option<Span>,
    pub(super) lines: &'f [Line],
    pub(super) realtime: bool,
    pub(super) gaps: bool,
}

/// A group with the places of what it says; what is wrong with it is already in the list.
pub(super) struct Draft {
    pub(super) name: Checked<At<String>>,
    pub(super) id: Checked<At<u32>>,
    pub(super) interface: Checked<At<String>>,
    /// `addresses` and `unadvertised`.
    pub(super) entries: Vec<Entry>,
    /// Whether these are all of its entries.
    pub(super) complete: bool,
    /// Where it speaks, if that is known.
    pub(super) lines: Vec<Line>,
    pub(super) timing: Timing,
    priority: Checked<At<u32>>,
    preemption: Checked<Preemption>,
    vrrp: Checked<Vrrp>,
    announce: Checked<Announce>,
    actions: Checked<Vec<ActionConfig>>,
}

struct Preemption {
    preempt: bool,
    preempt_delay: Duration,
    start_delay: Duration,
}

impl Draft {
    pub(super) fn read(
        section: &Section<'_>,
        inherited: &Inherited<'_>,
        out: &mut Problems,
    ) -> Self {
        let heartbeat = section.section("heartbeat", out);
        let vrrp = section.section("vrrp", out);
        let announce = section.section("announce", out);

        let name = required_text(section, "name", out).and_then(|text| values::name(text, out));
        let id = section.integer("id", out);
        let id = section.need("id", id, out);
        let priority = section.integer("priority", out);
        let priority = section.or(priority, PRIORITY);
        let interface = required_text(section, "interface", out);
        let interface = interface.and_then(|text| values::interface(text, out));
        let (entries, complete) = read_entries(section, &vrrp, out);

        let at = inherited.heartbeat_at.as_ref().unwrap_or(&section.at);
        let own = Given::read(&heartbeat, out);
        let around = Around {
            at,
            realtime: inherited.realtime,
            gaps: inherited.gaps,
        };
        let timing = Timing::of(own, inherited.heartbeat, &around, out);
        check_families(&timing.protocol, &entries, out);
        match timing.native() {
            Some(native) => {
                heartbeat::refuse_own(&heartbeat, native, inherited.heartbeat, out);
                refuse_owner(&priority, native, out);
            }
            None => address::warn_of_excess(&entries, out),
        }
        let draft = Draft {
            lines: Vec::new(),
            name,
            id,
            interface,
            entries,
            complete,
            preemption: Preemption::read(section, &priority, out),
            priority,
            vrrp: Vrrp::read(&vrrp, &timing.protocol, out),
            timing,
            announce: vrrp::announce(&announce, out),
            actions: actions::read(section, out),
        };
        if draft.timing.native().is_some() {
            return draft.with_native_lines(inherited.lines);
        }
        let ends = Ends::read(&heartbeat, out);
        draft.with_lines(&ends, inherited.lines, out)
    }

    /// All lines of the node, since one heartbeat speaks for all groups.
    fn with_native_lines(mut self, all: &[Line]) -> Self {
        if let Ok(interface) = &self.interface {
            self.lines = match all.is_empty() {
                true => vec![Line::multicast(interface)],
                false => all.to_vec(),
            };
        }
        self
    }

    fn with_lines(mut self, own: &Ends, all: &[Line], out: &mut Problems) -> Self {
        let Some(interface) = self.interface.as_ref().ok().filter(|_| !own.broken) else {
            return self;
        };
        self.lines = paths::of_group(interface, own, all);
        paths::check_heard(&self.lines[0], &self.families(), &self.label(), out);
        if self.complete {
            paths::check_own_source(own, &self.families(), &self.label(), out);
        }
        self
    }

    /// The name as messages show it.
    pub(super) fn label(&self) -> String {
        match &self.name {
            Ok(name) => format!("`{}`", name.value),
            Err(_) => "a group without a good name".to_owned(),
        }
    }

    /// Each family that it speaks, with the first address of it.
    pub(super) fn families(&self) -> Vec<(Family, Span)> {
        let example = |family| {
            let entry = address::listed(&self.entries).find(|entry| entry.family() == family)?;
            Some((family, entry.span.clone()))
        };
        [Family::V4, Family::V6]
            .into_iter()
            .filter_map(example)
            .collect()
    }

    /// The finished group.
    pub(super) fn build(self) -> Checked<Arc<GroupConfig>> {
        let interface = self.interface?.value;
        let protocol = self.timing.protocol?.value;
        let (advertised, excess) = match protocol {
            Protocol::Native => (address::listed(&self.entries).collect(), Vec::new()),
            Protocol::Vrrp2 | Protocol::Vrrp3 => address::fit(&self.entries),
        };
        let listed = self.entries.iter().filter(|entry| !entry.advertised);
        let expand = |entry: &Entry| entry.expand(&interface).collect::<Vec<_>>();
        let addresses = advertised.into_iter().flat_map(expand).collect();
        let unadvertised = excess.into_iter().chain(listed).flat_map(expand).collect();
        let (vrrp, preemption) = (self.vrrp?, self.preemption?);
        let misses = self.timing.misses?.value;
        Ok(Arc::new(GroupConfig {
            name: self.name?.value,
            id: byte(self.id?),
            priority: byte(self.priority?),
            protocol,
            interval: self.timing.interval?.value,
            misses,
            peer_misses: vrrp.peer_misses.unwrap_or(match protocol {
                Protocol::Native => misses,
                // Routers of the RFC wait for three intervals.
                Protocol::Vrrp2 | Protocol::Vrrp3 => misses.min(3),
            }),
            paths: self.lines.into_iter().map(Line::config).collect(),
            addresses,
            unadvertised,
            preempt: preemption.preempt,
            preempt_delay: preemption.preempt_delay,
            start_delay: preemption.start_delay,
            auth_pass: vrrp.auth_pass,
            checksum: vrrp.checksum,
            announce: self.announce?,
            actions: self.actions?,
            interface,
        }))
    }
}

/// The key's range has already seen to it that the number fits.
fn byte(number: At<u32>) -> u8 {
    u8::try_from(number.value).unwrap_or(u8::MAX)
}

fn required_text<'t>(section: &Section<'t>, key: &str, out: &mut Problems) -> Checked<At<&'t str>> {
    let text = section.text(key, out);
    section.need(key, text, out)
}

/// `addresses` and `unadvertised`, and whether every entry of them is there.
fn read_entries(group: &Section<'_>, vrrp: &Section<'_>, out: &mut Problems) -> (Vec<Entry>, bool) {
    let addresses = address::read(group, "addresses", out);
    let addresses = group.need("addresses", addresses, out);
    let unadvertised = address::read(vrrp, "unadvertised", out);
    let lists = [addresses.map(Some), unadvertised];
    let mut all = Vec::new();
    let mut complete = true;
    for list in lists {
        complete &= list.is_ok();
        let Some(list) = list.ok().flatten() else {
            continue;
        };
        complete &= list.value.iter().all(Result::is_ok);
        all.extend(list.value.into_iter().flatten());
        let count = all.iter().map(Entry::count).fold(0, u64::saturating_add);
        if count > MOST_IN_GROUP {
            let message = format!("a group has at most {MOST_IN_GROUP} addresses, not {count}");
            let problem = Problem::error(list.span, message);
            out.push(problem.advise("spread them over several groups"));
        }
    }
    (all, complete)
}

/// The addresses of an owner are its own, and no lease can end that.
fn refuse_owner(priority: &Checked<At<u32>>, native: &At<Protocol>, out: &mut Problems) {
    if let Some(priority) = priority.as_ref().ok().filter(|p| p.value == OWNER) {
        let message = "priority 255, the owner of the addresses, is for vrrp2 and vrrp3 only";
        let problem = Problem::error(priority.span.clone(), message)
            .relate(native.span.clone(), "this group is native")
            .advise("write a `priority` from 1 to 254");
        out.push(problem);
    }
}

/// VRRPv2 is IPv4 only (RFC 3768, section 1).
fn check_families(protocol: &Checked<At<Protocol>>, entries: &[Entry], out: &mut Problems) {
    let vrrp2 = |protocol: &&At<Protocol>| protocol.value == Protocol::Vrrp2;
    let Some(protocol) = protocol.as_ref().ok().filter(vrrp2) else {
        return;
    };
    let is_v6 = |entry: &&Entry| entry.advertised && entry.family() == Family::V6;
    if let Some(entry) = entries.iter().find(is_v6) {
        let message = format!("vrrp2 cannot advertise `{}`: it is IPv6", entry.net);
        let problem = Problem::error(entry.span.clone(), message)
            .relate(protocol.span.clone(), "this protocol")
            .advise("write `protocol = \"vrrp3\"`, or list it in `unadvertised` of [group.vrrp]");
        out.push(problem);
    }
}

impl Preemption {
    fn read(
        section: &Section<'_>,
        priority: &Checked<At<u32>>,
        out: &mut Problems,
    ) -> Checked<Self> {
        let preempt = section.boolean("preempt", out);
        let preempt_delay = section.duration("preempt-delay", out);
        let start_delay = section.duration("start-delay", out);
        let preempt = section.or(preempt, true);
        if let Some(preempt) = preempt.as_ref().ok().filter(|preempt| !preempt.value) {
            warn_of_no_preempt(&preempt.span, priority, &preempt_delay, out);
        }
        Ok(Preemption {
            preempt: preempt?.value,
            preempt_delay: section.or(preempt_delay, Duration::ZERO)?.value,
            start_delay: section.or(start_delay, Duration::ZERO)?.value,
        })
    }
}

fn warn_of_no_preempt(
    preempt: &Span,
    priority: &Checked<At<u32>>,
    delay: &Checked<Option<At<Duration>>>,
    out: &mut Problems,
) {
    if let Some(priority) = priority.as_ref().ok().filter(|p| p.value == OWNER) {
        let message = "`preempt = false` does nothing at priority 255";
        let problem = Problem::warning(preempt.clone(), message)
            .relate(
                priority.span.clone(),
                "the owner of the addresses is always MASTER",
            )
            .advise("leave it out, or lower the priority");
        out.push(problem);
    }
    if let Some(delay) = delay
        .as_ref()
        .ok()
        .and_then(Option::as_ref)
        .filter(|d| !d.value.is_zero())
    {
        let message = "`preempt-delay` does nothing with `preempt = false`";
        let problem = Problem::warning(delay.span.clone(), message);
        out.push(
            problem
                .relate(preempt.clone(), "it never preempts")
                .advise("leave one of them out"),
        );
    }
}
