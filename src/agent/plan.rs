//! What does a configuration mean on this host? Groups with their lines, sockets and facts.
//!
//! A plan is made away from the heartbeat thread, which only puts it in place: opening sockets and
//! reading netlink dumps takes time that a heartbeat does not have.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, Config, Family, GroupConfig, PathConfig, digest};
use crate::core::election::OWNER;
use crate::core::lease::Boot;
use crate::core::{Actions, Facts, Instant, Reference, Settings, Voting};
use crate::gate::Shutter;
use crate::net::addresses::Placed;
use crate::net::heartbeat::{OpenError, Receiver, Sender, Step};
use crate::wire::filter;
use crate::wire::filter::VridSet;
use crate::wire::native::{Digest, GroupId};
use crate::wire::vrrp::{GROUP_V4, GROUP_V6};

use super::board::{Holding, LineFacts};
use super::herald::{Identity, PlannedHerald, Wire};
use super::line::{Line, LineConfig};
use super::links::Links;
use super::message::{Addresses, Key};
use super::scripts::Scripts;

/// Groups of one interval speak in so many bursts, spread over the interval: few wake-ups, and
/// no burst that overflows a receiver's buffer.
const BEATS: u32 = 8;

/// All that the heartbeat thread needs.
pub(crate) struct Plan {
    pub(crate) groups: Vec<Planned>,
    pub(crate) receivers: Vec<Ear>,
    pub(crate) senders: Vec<Sender>,
    /// The heartbeat of the native groups, if there are any.
    pub(crate) herald: Option<PlannedHerald>,
    /// What an operator should know about the plan.
    pub(crate) notes: Vec<String>,
}

/// One group of a plan.
pub(crate) struct Planned {
    pub(crate) key: Key,
    pub(crate) name: Arc<str>,
    pub(crate) settings: Settings,
    pub(crate) facts: Facts,
    pub(crate) lines: Vec<Line>,
    pub(crate) addresses: Arc<Addresses>,
    /// What the group had and has no longer.
    pub(crate) withdrawn: Arc<[Placed]>,
    pub(crate) holding: Holding,
    /// What ends the group's right to answer; none where nothing does.
    pub(crate) shutter: Option<Shutter>,
    /// So much before its right ends it gives it up.
    pub(crate) early: Duration,
    /// Of a native group: how it is spoken of, and what a new one starts with.
    pub(crate) spoken: Option<Spoken>,
    pub(crate) boot: Option<Boot>,
    /// What an operator wants run.
    pub(crate) scripts: Option<Arc<Scripts>>,
}

/// How the native heartbeat names a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spoken {
    pub(crate) id: GroupId,
    pub(crate) number: NonZeroU8,
    pub(crate) addresses: Digest,
}

/// A receive socket, and whom its frames are for.
pub(crate) struct Ear {
    pub(crate) receiver: Receiver,
    pub(crate) family: Family,
    /// When its queue was last seen empty: what comes out of it now came in later.
    pub(crate) empty_at: Instant,
    /// By id: the place of the group in the plan, and of the line in the group.
    pub(crate) lines: Box<[Option<(u16, u8)>; 256]>,
    /// The number of the native heartbeat's wire that comes in here.
    pub(crate) wire: Option<u8>,
}

/// A group that the plan is to contain, with what the agent knows about it already.
pub(crate) struct Wanted {
    pub(crate) key: Key,
    pub(crate) config: Arc<GroupConfig>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) withdrawn: Arc<[Placed]>,
    pub(crate) holding: Holding,
    pub(crate) shutter: Option<Shutter>,
    /// Of a native group: its votes, and what a new one starts with.
    pub(crate) native: Option<(Voting, Boot)>,
    pub(crate) scripts: Option<Arc<Scripts>>,
}

/// What a socket that cannot be opened means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// No plan, unless waiting may mend it: at the start, and for a new configuration.
    Every,
    /// A line less: what the agent runs goes on, and what has changed about its links counts.
    Possible,
}

/// Makes a plan.
///
/// # Errors
/// A socket could not be opened for a reason that waiting does not mend, and was demanded.
pub(crate) fn plan(
    config: &Config,
    mut wanted: Vec<Wanted>,
    identity: Option<Identity>,
    links: &Links,
    demand: Demand,
) -> Result<Plan, OpenError> {
    let mut planner = Planner {
        demand,
        links,
        floating: floating(config),
        pair: config
            .cluster
            .as_ref()
            .is_some_and(|cluster| cluster.nodes.len() == 2),
        reference: config.fencing.reference.as_ref().map(|it| Reference {
            solo_after: it.solo_after,
        }),
        needs_arbiter: config.fencing.needs_disk(),
        early: config::watchdog(config).map_or(Duration::ZERO, |plan| plan.early),
        senders: Vec::new(),
        sender_of: HashMap::new(),
        ears: BTreeMap::new(),
        notes: Vec::new(),
    };
    // In the order in which heartbeats speak of them: what is read in the order in which it lies is
    // fetched ahead.
    wanted.sort_by_cached_key(|wanted| {
        let config = &wanted.config;
        config.is_native().then(|| GroupId::of(&config.name))
    });
    let mut groups = Vec::with_capacity(wanted.len());
    for (place, wanted) in wanted.into_iter().enumerate() {
        groups.push(planner.group(place, wanted)?);
    }
    let wires = config.native.iter().flat_map(|native| &native.paths);
    let wires = planner.wires(wires)?;
    let herald = identity.map(|identity| PlannedHerald { identity, wires });
    planner.finish(groups, herald)
}

impl Demand {
    fn forgives(self, error: &OpenError) -> bool {
        self == Demand::Possible || error.is_passing()
    }
}

/// Every address of every group: none of them is a source.
fn floating(config: &Config) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = config
        .groups
        .iter()
        .filter(|group| group.priority != OWNER)
        .flat_map(|group| group.all_addresses().map(|address| address.net.addr()))
        .collect();
    all.sort_unstable();
    all
}

struct Planner<'a> {
    demand: Demand,
    links: &'a Links,
    /// Sorted.
    floating: Vec<IpAddr>,
    pair: bool,
    reference: Option<Reference>,
    /// Nobody holds without its vote.
    needs_arbiter: bool,
    early: Duration,
    senders: Vec<Sender>,
    sender_of: HashMap<(u32, IpAddr, bool), usize>,
    ears: BTreeMap<(u32, Family), WantedEar>,
    notes: Vec<String>,
}

struct WantedEar {
    interface: String,
    multicast: bool,
    lines: Box<[Option<(u16, u8)>; 256]>,
    wire: Option<u8>,
}

impl Planner<'_> {
    fn group(&mut self, place: usize, wanted: Wanted) -> Result<Planned, OpenError> {
        let config = &wanted.config;
        let families = config.families();
        let mut lines = Vec::new();
        let mut facts = Facts {
            link: self.links.is_up(&config.interface),
            source: None,
        };
        let paths = config.paths.iter().filter(|_| !config.is_native());
        for (at, path) in paths.enumerate() {
            for (nth, &family) in families.iter().enumerate() {
                let lead = at == 0 && nth == 0;
                let Some(line) = self.line(config, path, family, lead)? else {
                    continue;
                };
                if lead {
                    facts.source = Some(line.source());
                }
                self.listen(place, lines.len(), config.id, path, &line);
                lines.push(line);
            }
        }
        Ok(Planned {
            key: wanted.key,
            name: config.name.as_str().into(),
            settings: Settings {
                lease: config.lease().filter(|_| wanted.shutter.is_some()),
                native: wanted.native.map(|(voting, _)| voting),
                reference: self.reference,
                arbiter: self.needs_arbiter && !config.is_native(),
                actions: match &wanted.scripts {
                    Some(_) => config.action_limits(),
                    None => Actions::default(),
                },
                shuts_at_once: wanted.shutter.as_ref().is_some_and(Shutter::shuts_at_once),
                ..settings(config, self.pair)
            },
            facts,
            lines,
            addresses: wanted.addresses,
            withdrawn: wanted.withdrawn,
            holding: wanted.holding,
            early: match wanted.shutter {
                Some(_) => self.early,
                None => Duration::ZERO,
            },
            shutter: wanted.shutter,
            spoken: spoken(config),
            boot: wanted.native.map(|(_, boot)| boot),
            scripts: wanted.scripts,
        })
    }

    /// The wires of the native heartbeat. Each speaks one family and is heard in both: the other
    /// node may have chosen otherwise.
    fn wires<'c>(
        &mut self,
        paths: impl Iterator<Item = &'c PathConfig>,
    ) -> Result<Vec<Wire>, OpenError> {
        let mut wires = Vec::new();
        for (number, path) in paths.enumerate() {
            wires.push(self.wire(number as u8, path)?);
        }
        Ok(wires)
    }

    fn wire(&mut self, number: u8, path: &PathConfig) -> Result<Wire, OpenError> {
        let explicit = path.peers.first().or(path.source.first());
        let families = match explicit {
            Some(address) => vec![Family::of(*address)],
            None => vec![Family::V4, Family::V6],
        };
        let multicast = path.peers.is_empty();
        let found = families.iter().find_map(|family| {
            let peers = of_family(&path.peers, *family);
            Some((*family, self.source(path, *family, &peers)?))
        });
        let (family, source) = found.unwrap_or_else(|| {
            let family = families[0];
            let unspecified: IpAddr = match family {
                Family::V4 => std::net::Ipv4Addr::UNSPECIFIED.into(),
                Family::V6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
            };
            (family, unspecified)
        });
        let mut sender = None;
        if found.is_some() {
            sender = self.sender(path, source, multicast)?;
        } else {
            self.notes.push(format!(
                "heartbeat: {} has no address of this host's own to send from (yet): this path \
                 stays silent until there is one",
                path.interface
            ));
        }
        if let Some(index) = self.links.index(&path.interface) {
            for family in families {
                let ear = self.ears.entry((index, family));
                let ear = ear.or_insert_with(|| WantedEar::new(&path.interface));
                ear.multicast |= multicast;
                ear.wire.get_or_insert(number);
            }
        }
        let peers = of_family(&path.peers, family);
        let group = match family {
            Family::V4 => GROUP_V4.into(),
            Family::V6 => GROUP_V6.into(),
        };
        Ok(Wire {
            sender,
            destinations: if multicast {
                vec![group]
            } else {
                peers.clone()
            },
            mtu: self.links.mtu(&path.interface),
            facts: Arc::new(LineFacts {
                interface: path.interface.clone(),
                family,
                source,
                peers,
            }),
        })
    }

    /// The line of a path in one family, where there is one and it can be opened.
    fn line(
        &mut self,
        group: &GroupConfig,
        path: &PathConfig,
        family: Family,
        lead: bool,
    ) -> Result<Option<Line>, OpenError> {
        let peers: Vec<IpAddr> = of_family(&path.peers, family);
        if peers.is_empty() && !path.peers.is_empty() {
            return Ok(None);
        }
        let multicast = peers.is_empty();
        let Some(source) = self.source(path, family, &peers) else {
            self.note_missing_source(group, path, family);
            return Ok(None);
        };
        let Some(sender) = self.sender(path, source, multicast)? else {
            return Ok(None);
        };
        let config = LineConfig {
            version: group.version(),
            vrid: group.id,
            interval: group.interval,
            checksum: group.checksum,
            auth: group.auth_pass,
            owner: group.priority == OWNER,
            addresses: advertised(group, family),
            facts: Arc::new(LineFacts {
                interface: path.interface.clone(),
                family,
                source,
                peers,
            }),
            lead,
        };
        Ok(Some(Line::new(config, sender)))
    }

    fn source(&self, path: &PathConfig, family: Family, peers: &[IpAddr]) -> Option<IpAddr> {
        let explicit = path
            .source
            .iter()
            .copied()
            .find(|s| Family::of(*s) == family);
        let is_floating = |address: IpAddr| self.floating.binary_search(&address).is_ok();
        self.links
            .source(&path.interface, family, explicit, peers, &is_floating)
    }

    fn note_missing_source(&mut self, group: &GroupConfig, path: &PathConfig, family: Family) {
        let (name, interface) = (&group.name, &path.interface);
        let kind = match family {
            Family::V4 => "IPv4 address",
            Family::V6 if path.peers.is_empty() => "IPv6 link-local address",
            Family::V6 => "IPv6 address",
        };
        self.notes.push(format!(
            "{name}: {interface} has no {kind} of this host's own to send from (yet): this line \
             stays silent until there is one"
        ));
    }

    fn sender(
        &mut self,
        path: &PathConfig,
        source: IpAddr,
        multicast: bool,
    ) -> Result<Option<usize>, OpenError> {
        let Some(index) = self.links.index(&path.interface) else {
            return Ok(None);
        };
        if let Some(&place) = self.sender_of.get(&(index, source, multicast)) {
            return Ok(Some(place));
        }
        match Sender::open(&path.interface, index, source, multicast) {
            Ok(sender) => {
                self.senders.push(sender);
                self.sender_of
                    .insert((index, source, multicast), self.senders.len() - 1);
                Ok(Some(self.senders.len() - 1))
            }
            // The interface or the address went away between the dump and now: the monitor will
            // say so, and a new plan will be made.
            Err(error) if self.demand.forgives(&error) => {
                self.notes.push(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn listen(&mut self, group: usize, line: usize, id: u8, path: &PathConfig, of: &Line) {
        let Some(index) = self.links.index(&path.interface) else {
            return;
        };
        let ear = self
            .ears
            .entry((index, of.family()))
            .or_insert_with(|| WantedEar::new(&path.interface));
        ear.multicast |= of.is_multicast();
        // A configuration has at most 65535 groups, each with a handful of lines.
        let place = u16::try_from(group).ok().zip(u8::try_from(line).ok());
        ear.lines[usize::from(id)] = place;
    }

    fn finish(
        self,
        groups: Vec<Planned>,
        herald: Option<PlannedHerald>,
    ) -> Result<Plan, OpenError> {
        let mut receivers = Vec::with_capacity(self.ears.len());
        let mut notes = self.notes;
        for ((index, family), ear) in self.ears {
            match open_ear(index, family, ear) {
                Ok(ear) => receivers.push(ear),
                Err(error) if self.demand.forgives(&error) => notes.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(Plan {
            groups,
            receivers,
            senders: self.senders,
            herald,
            notes,
        })
    }
}

impl WantedEar {
    fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            multicast: false,
            lines: Box::new([None; 256]),
            wire: None,
        }
    }
}

fn open_ear(index: u32, family: Family, wanted: WantedEar) -> Result<Ear, OpenError> {
    let receiver = Receiver::open(&wanted.interface, index, family, wanted.multicast)?;
    let ids: VridSet = (0..=255u8)
        .filter(|&id| wanted.lines[usize::from(id)].is_some())
        .collect();
    let program: Vec<_> = filter::heartbeats(family, &ids, wanted.wire.is_some())
        .into_iter()
        .map(Into::into)
        .collect();
    receiver.set_filter(&program).map_err(|source| OpenError {
        step: Step::Filter,
        interface: wanted.interface,
        source,
    })?;
    Ok(Ear {
        receiver,
        family,
        empty_at: Instant::from_nanos(0),
        lines: wanted.lines,
        wire: wanted.wire,
    })
}

fn spoken(config: &GroupConfig) -> Option<Spoken> {
    Some(Spoken {
        id: GroupId::of(&config.name),
        number: NonZeroU8::new(config.id).filter(|_| config.is_native())?,
        addresses: digest::addresses(config),
    })
}

fn settings(config: &GroupConfig, pair: bool) -> Settings {
    Settings {
        version: config.version(),
        priority: config.priority,
        interval: config.interval,
        misses: config.misses,
        preempt: config.preempt,
        preempt_delay: config.preempt_delay,
        start_delay: config.start_delay,
        phase: phase(config.id, config.interval),
        pair,
        lease: None,
        native: None,
        shuts_at_once: false,
        reference: None,
        arbiter: false,
        actions: Actions::default(),
    }
}

fn phase(id: u8, interval: Duration) -> Duration {
    interval * (u32::from(id) % BEATS) / BEATS
}

fn of_family(addresses: &[IpAddr], family: Family) -> Vec<IpAddr> {
    addresses
        .iter()
        .copied()
        .filter(|address| Family::of(*address) == family)
        .collect()
}

fn advertised(group: &GroupConfig, family: Family) -> Vec<IpAddr> {
    let all = group.addresses.iter().map(|address| address.net.addr());
    all.filter(|address| Family::of(*address) == family)
        .collect()
}
