//! What stands on the wire? Hosts with an agent each, and a client that sees who answers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::slice;
use std::thread;
use std::time::Duration;

use floatlock::control::status::Status;
use floatlock::core::Instant;
use floatlock::lab::agent::{AgentKind, GroupSetup, Setup};
use floatlock::lab::{
    Advert, Ask, Host, Lab, LabError, Lan, Observation, Process, Watch, WatchOptions, clock,
};
use nix::sys::signal::Signal;

use crate::line::Line;
use crate::pulse;
use crate::report::{HELD_UP, Report};
use crate::words::{Lasting, complaints, role, told};

/// Nothing here takes so long, even on a machine that does other things too.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// So close are the times at which a frame reaches two hosts.
pub(crate) const STAMPS: Duration = Duration::from_millis(10);
/// The client's number.
const CLIENT: usize = 9;
/// Between two questions to every host.
const ASK_EVERY: Duration = Duration::from_millis(4);

/// Ours.
pub(crate) fn floatlock() -> AgentKind {
    AgentKind::Floatlock(env!("CARGO_BIN_EXE_floatlock").into())
}

/// The other program.
pub(crate) fn other(kind: &AgentKind) -> AgentKind {
    match kind {
        AgentKind::Keepalived => floatlock(),
        AgentKind::Floatlock(_) => AgentKind::Keepalived,
    }
}

/// Hosts `h1`, `h2`, ... with an agent each.
pub(crate) struct Stage {
    /// What a client of the first floating address sees.
    pub(crate) seen: Watch,
    /// What everybody who is asked for it answers.
    pub(crate) all: Watch,
    pub(crate) nodes: Vec<Node>,
    pub(crate) lan: Lan,
    line: Line,
    floating: Vec<IpAddr>,
    began: Instant,
    _client: Host,
    _lab: Lab,
}

pub(crate) struct Node {
    agent: Option<Process>,
    ended: Vec<Process>,
    /// What came in at it, one for each start, where the client does not see the adverts.
    ears: Vec<Watch>,
    unicast: bool,
    pub(crate) host: Host,
    pub(crate) kind: AgentKind,
    pub(crate) config: String,
}

impl Stage {
    /// One host for each agent; nothing runs yet.
    pub(crate) fn new(line: Line, agents: &[(AgentKind, GroupSetup)]) -> Self {
        let lab = Lab::new().expect("a laboratory");
        let lan = lab.lan("lan").unwrap();
        let names: Vec<String> = (1..=agents.len()).map(|n| format!("h{n}")).collect();
        let node = |(place, (kind, group)): (usize, &(AgentKind, GroupSetup))| {
            let setup = Setup {
                node: names[place].clone(),
                nodes: names.clone(),
                groups: vec![group.clone()],
            };
            Node {
                agent: None,
                ended: Vec::new(),
                ears: Vec::new(),
                unicast: line.unicast,
                host: attached(&lab, &lan, &names[place], place + 1),
                kind: kind.clone(),
                config: kind.config(&setup),
            }
        };
        let nodes: Vec<Node> = agents.iter().enumerate().map(node).collect();
        let client = attached(&lab, &lan, "client", CLIENT);
        let floating: Vec<IpAddr> = line
            .floating(agents[0].1.addresses.len())
            .iter()
            .map(|net| net.addr())
            .collect();
        let ask = |ask| {
            let options = WatchOptions {
                every: ASK_EVERY,
                ask,
                ..WatchOptions::new(&floating[..1])
            };
            Watch::start(&client, options).unwrap()
        };
        let macs = nodes.iter().map(|node| node.host.mac_on(&lan).unwrap());
        Self {
            seen: ask(Ask::Address),
            all: ask(Ask::Hosts(macs.collect())),
            nodes,
            lan,
            line,
            floating,
            began: clock::now(),
            _client: client,
            _lab: lab,
        }
    }

    /// Two agents that are told the same, but for the priority.
    pub(crate) fn of_two(line: Line, kinds: [AgentKind; 2], priorities: [u8; 2]) -> Self {
        let group = |place: usize| line.group(priorities[place], place + 1, 2);
        let [one, two] = kinds;
        Self::new(line, &[(one, group(0)), (two, group(1))])
    }

    /// The adverts of `from` as they came in at `at`, or at the client where nothing listens there.
    pub(crate) fn heard_at(&self, at: &Node, from: &Node) -> Vec<Advert> {
        let watches = match at.ears.is_empty() {
            true => slice::from_ref(&self.seen),
            false => &at.ears[..],
        };
        let adverts = watches.iter().flat_map(|watch| watch.observation().adverts);
        adverts
            .filter(|advert| &*advert.from == from.name())
            .collect()
    }

    /// Whether every agent liked every frame of the others.
    pub(crate) fn nothing_odd(&self) {
        for node in &self.nodes {
            match node.kind {
                AgentKind::Keepalived => assert_eq!(node.complaints(), [""; 0]),
                AgentKind::Floatlock(_) => assert_eq!(node.oddities(), []),
            }
        }
    }

    pub(crate) fn vip(&self) -> IpAddr {
        self.floating[0]
    }

    pub(crate) fn node(&mut self, name: &str) -> &mut Node {
        self.nodes
            .iter_mut()
            .find(|node| node.name() == name)
            .unwrap()
    }

    /// Waits until the client gets answers from that host.
    pub(crate) fn answers(&self, name: &str, after: Instant) -> Instant {
        self.first_reply(&self.seen, name, after)
    }

    /// Waits until that host answers one who asks everybody.
    pub(crate) fn answers_all(&self, name: &str, after: Instant) -> Instant {
        self.first_reply(&self.all, name, after)
    }

    fn first_reply(&self, watch: &Watch, name: &str, after: Instant) -> Instant {
        let vip = self.vip();
        let first = |seen: &Observation| seen.first_reply_from(name, vip, after).map(|r| r.at);
        let reply = watch.wait_for(SOON, first);
        reply.unwrap_or_else(|| panic!("{name} does not answer for {vip}"))
    }

    /// Waits until that host, and no other, has every address and says MASTER; for two
    /// of its adverts from then on nobody else may answer or advertise.
    pub(crate) fn holds_alone(&self, name: &str) {
        let alone = || self.nodes.iter().all(|node| node.is(name, &self.floating));
        assert!(
            clock::wait_until(SOON, alone),
            "{name} does not hold the addresses alone"
        );
        let from = clock::now();
        let until = self.answers_all(name, self.two_adverts(name, from));
        let strangers = |seen: &Observation| self.strangers(seen, name, from, until);
        assert_eq!(self.all.look(strangers), [""; 0]);
        assert!(alone(), "{name} does not hold the addresses alone any more");
    }

    /// When a host that is MASTER has sent two adverts, as far as the client can tell.
    fn two_adverts(&self, name: &str, from: Instant) -> Instant {
        if self.line.unicast {
            return from + self.line.interval * 2;
        }
        let second = |seen: &Observation| seen.adverts_from(name, from).nth(1).map(|a| a.at);
        let second = self.seen.wait_for(SOON, second);
        second.unwrap_or_else(|| panic!("{name} does not advertise"))
    }

    /// The first of what anybody but the host that holds did between two instants.
    fn strangers(
        &self,
        seen: &Observation,
        holder: &str,
        from: Instant,
        until: Instant,
    ) -> Vec<String> {
        let replies = seen
            .replies_for(self.vip(), from)
            .take_while(|reply| reply.at <= until);
        let replies = replies
            .filter(|reply| &*reply.from != holder)
            .map(|reply| format!("{reply:?}"));
        let adverts = seen
            .adverts
            .iter()
            .filter(|advert| from <= advert.at && advert.at <= until);
        let adverts = adverts
            .filter(|advert| &*advert.from != holder)
            .map(|advert| format!("{advert:?}"));
        replies.chain(adverts).take(5).collect()
    }
}

fn attached(lab: &Lab, lan: &Lan, name: &str, number: usize) -> Host {
    let host = lab.host(name).unwrap();
    let addresses = [format!("10.77.0.{number}/24"), format!("fd77::{number}/64")];
    lan.attach(&host, "eth0", &addresses.each_ref().map(String::as_str))
        .unwrap();
    host
}

impl Node {
    pub(crate) fn name(&self) -> &str {
        self.host.name()
    }

    /// Starts its agent, the host too if it has no power, and waits for its first role.
    pub(crate) fn start(&mut self) {
        self.host.power_on().unwrap();
        // The kernel makes it when the link is up; an agent of before says FAULT until then.
        let ready = clock::wait_until(SOON, || self.has_link_local());
        assert!(ready, "{} has no link-local address", self.name());
        if self.unicast {
            let ear = Watch::start(&self.host, WatchOptions::new(&[]));
            self.ears.push(ear.unwrap());
        }
        let started = self.kind.start_with(&self.host, &self.config);
        let package = "keepalived is missing: install the package keepalived";
        assert!(!matches!(started, Err(LabError::Tool { .. })), "{package}");
        self.agent = Some(started.unwrap());
        let started = clock::wait_until(SOON, || self.role().is_some());
        assert!(started, "{} does not start", self.name());
    }

    fn has_link_local(&self) -> bool {
        let addresses = self.host.addresses().unwrap();
        let is_one = |ip| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        addresses.iter().any(|(_, net)| is_one(net.addr()))
    }

    pub(crate) fn power_off(&mut self) {
        self.host.power_off().unwrap();
        self.ended.extend(self.agent.take());
    }

    /// Asks its agent to end and waits for it; no address may be left.
    pub(crate) fn stop(&mut self, floating: IpAddr) {
        let agent = self.agent.take().unwrap();
        agent.signal(Signal::SIGTERM).unwrap();
        let status = agent.wait(SOON).unwrap();
        self.ended.push(agent);
        assert!(status.success(), "{} ended with {status}", self.name());
        assert!(
            !self.host.has_address(floating).unwrap(),
            "{} left its address",
            self.name()
        );
    }

    pub(crate) fn agent(&self) -> &Process {
        self.agent.as_ref().expect("an agent that runs")
    }

    /// The lasting roles of its agents, one list for each start.
    pub(crate) fn roles(&self) -> Vec<Vec<Lasting>> {
        let roles = |process| told(process).into_iter().map(|(_, role)| role).collect();
        self.ended.iter().chain(&self.agent).map(roles).collect()
    }

    /// When its agents took each lasting role, and in which words.
    pub(crate) fn changes(&self) -> Vec<String> {
        let agents = self.ended.iter().chain(&self.agent);
        let lines = agents.flat_map(Process::lines);
        let changes = lines.filter(|line| role(&line.text).is_some());
        changes.map(|line| line.text).collect()
    }

    pub(crate) fn role(&self) -> Option<Lasting> {
        self.agent
            .as_ref()
            .and_then(|agent| told(agent).last().map(|told| told.1))
    }

    /// How many lines of its agents contain that text.
    pub(crate) fn lines_with(&self, text: &str) -> usize {
        let lines = self
            .ended
            .iter()
            .chain(&self.agent)
            .flat_map(Process::lines);
        lines.filter(|line| line.text.contains(text)).count()
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        self.ended
            .iter()
            .chain(&self.agent)
            .flat_map(complaints)
            .collect()
    }

    /// How often a frame came in that was refused or strange, by the name of the counter; only
    /// while the agent runs.
    pub(crate) fn oddities(&self) -> Vec<(String, u64)> {
        let good = ["accepted", "checksum_pseudo_header"];
        let counters = self.agent.iter().flat_map(|_| self.counters());
        counters
            .filter(|(name, _)| !good.contains(&name.as_str()))
            .collect()
    }

    /// What became of the frames that came in, as `floatlock status` counts them.
    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        let groups = self.status().groups.into_iter();
        let paths = groups.flat_map(|group| group.paths);
        paths.flat_map(|path| path.counters).collect()
    }

    /// What `floatlock status` says of it.
    fn status(&self) -> Status {
        let AgentKind::Floatlock(program) = &self.kind else {
            panic!("{} runs keepalived", self.name());
        };
        let command = format!(
            "{} status --json -c /run/lab/floatlock.toml",
            program.display()
        );
        serde_json::from_str(&self.host.sh(&command).unwrap()).unwrap()
    }

    /// What may explain that its agent was late, for a report; a floatlock says more of itself.
    fn print_state(&self) {
        if self.agent.is_none() {
            return;
        }
        let print = |command: &str| match self.host.sh(command) {
            Ok(said) => println!("{}:\n{said}", self.name()),
            Err(error) => println!("{}: {error}", self.name()),
        };
        print(HELD_UP);
        if let AgentKind::Floatlock(program) = &self.kind {
            print(&format!(
                "{} status -c /run/lab/floatlock.toml",
                program.display()
            ));
        }
    }

    /// Whether it is what it must be when `holder` holds the addresses.
    fn is(&self, holder: &str, floating: &[IpAddr]) -> bool {
        if self.agent.is_none() {
            return self.name() != holder;
        }
        let addresses = self.host.addresses().unwrap();
        let has = |ip: &&IpAddr| addresses.iter().any(|(_, net)| net.addr() == **ip);
        let count = floating.iter().filter(has).count();
        match self.name() == holder {
            true => count == floating.len() && self.role() == Some(Lasting::Master),
            false => count == 0 && self.role() == Some(Lasting::Backup),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        println!("--- {} since {:?}", self.line, self.began);
        let mut report = Report::default();
        for node in &self.nodes {
            node.ended
                .iter()
                .chain(&node.agent)
                .for_each(|process| report.lines(process));
            for ear in &node.ears {
                let heard = ear.observation().adverts;
                report.adverts(node.name(), &heard, self.line.interval);
            }
        }
        let seen = self.seen.observation().adverts;
        report.adverts("the client", &seen, self.line.interval);
        report.stops(&pulse::stops_since(self.began));
        report.print(self.began);
        for node in &self.nodes {
            node.print_state();
        }
    }
}
