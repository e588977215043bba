//! What stands on the stage? Two hosts and a gateway on one network, a client behind the gateway.
//!
//! ```text
//!   lb-a 10.77.0.1 ---+
//!                     +--- 10.77.0.254 gateway 10.78.0.254 --- 10.78.0.1 client
//!   lb-b 10.77.0.2 ---+
//!        10.77.0.100, wherever it is
//! ```

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use nix::sys::signal::Signal;

use super::Options;
use crate::lab::agent::{AgentKind, GroupSetup, Setup};
use crate::lab::service::{PORT, Service};
use crate::lab::{
    Ask, FetchOptions, Fetcher, Host, Lab, LabError, Lan, Process, Watch, WatchOptions,
};

/// The address that moves.
pub(super) const FLOATING: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// The prefix length of its network.
const PREFIX: u8 = 24;
/// Between two requests of the client.
const FETCH_EVERY: Duration = Duration::from_millis(25);
/// When the client gives a request up.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_millis(300);
/// How long an agent may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Lines of each agent's log that a failure shows.
const LAST_LINES: usize = 15;

/// The names of the nodes, the better one first.
pub(super) const NODES: [&str; 2] = ["lb-a", "lb-b"];
const PRIORITIES: [u8; 2] = [150, 100];

/// Everything that plays.
#[derive(Debug)]
pub(super) struct Stage {
    nodes: [Node; 2],
    lan: Lan,
    gateway: Host,
    client: Host,
    // Last: hosts go before what connects them.
    _lab: Lab,
}

#[derive(Debug)]
struct Node {
    agent: Option<Process>,
    stopping: Option<Process>,
    service: Option<Process>,
    host: Host,
    setup: Setup,
    plan: (AgentKind, Service),
}

impl Stage {
    /// Hosts and networks; nothing runs yet.
    pub(super) fn new(options: &Options, preempt: bool) -> Result<Self, LabError> {
        let lab = Lab::new()?;
        let (lan, outside) = (lab.lan("service network")?, lab.lan("outside")?);
        let node = |number: usize| -> Result<Node, LabError> {
            let host = lab.host(NODES[number])?;
            lan.attach(&host, "eth0", &[&format!("10.77.0.{}/24", number + 1)])?;
            Ok(Node {
                agent: None,
                stopping: None,
                service: None,
                host,
                setup: setup(number, preempt),
                plan: (options.agent.clone(), options.service.clone()),
            })
        };
        let nodes = [node(0)?, node(1)?];
        let gateway = lab.host("gateway")?;
        lan.attach(&gateway, "eth0", &["10.77.0.254/24"])?;
        outside.attach(&gateway, "eth1", &["10.78.0.254/24"])?;
        let client = lab.host("client")?;
        outside.attach(&client, "eth0", &["10.78.0.1/24"])?;
        forward(&gateway)?;
        client.sh("ip route add default via 10.78.0.254")?;
        Ok(Self {
            nodes,
            lan,
            gateway,
            client,
            _lab: lab,
        })
    }

    /// Starts the service and the agent of a node.
    pub(super) fn start(&mut self, name: &str) -> Result<(), LabError> {
        self.node_mut(name)?.start()
    }

    pub(super) fn power_off(&mut self, name: &str) -> Result<(), LabError> {
        let node = self.node_mut(name)?;
        node.host.power_off()?;
        (node.agent, node.service) = (None, None);
        Ok(())
    }

    /// Power, service and agent.
    pub(super) fn power_on(&mut self, name: &str) -> Result<(), LabError> {
        let node = self.node_mut(name)?;
        node.host.power_on()?;
        node.start()
    }

    /// Asks the agent of a node to end.
    pub(super) fn ask_to_stop(&mut self, name: &str) -> Result<(), LabError> {
        let node = self.node_mut(name)?;
        let agent = node.agent.take().ok_or_else(|| not_on(name))?;
        agent.signal(Signal::SIGTERM)?;
        node.stopping = Some(agent);
        Ok(())
    }

    /// Waits until it has ended.
    pub(super) fn stopped(&mut self, name: &str) -> Result<(), LabError> {
        let agent = self.node_mut(name)?.stopping.take();
        agent
            .ok_or_else(|| not_on(name))?
            .wait(STOP_WITHIN)
            .map(drop)
    }

    pub(super) fn has_floating(&self, name: &str) -> Result<bool, LabError> {
        self.node(name)?.host.has_address(FLOATING.into())
    }

    pub(super) fn pull_cable(&self, name: &str) -> Result<(), LabError> {
        self.lan.cut(&self.node(name)?.host)
    }

    pub(super) fn cut_silently(&self, name: &str) -> Result<(), LabError> {
        self.lan.cut_silently(&self.node(name)?.host)
    }

    pub(super) fn heal(&self, name: &str) -> Result<(), LabError> {
        self.lan.heal(&self.node(name)?.host)
    }

    /// Asks from the gateway, as it reaches the address.
    pub(super) fn watch(&self) -> Result<Watch, LabError> {
        Watch::start(&self.gateway, WatchOptions::new(&[FLOATING.into()]))
    }

    /// Asks each host from the gateway, whoever is said to have the address.
    pub(super) fn watch_both(&self) -> Result<Watch, LabError> {
        let macs = [&self.nodes[0], &self.nodes[1]].map(|node| node.host.mac_on(&self.lan));
        let macs = macs.into_iter().collect::<Result<_, _>>()?;
        let options = WatchOptions {
            ask: Ask::Hosts(macs),
            ..WatchOptions::new(&[FLOATING.into()])
        };
        Watch::start(&self.gateway, options)
    }

    /// Fetches from the client.
    pub(super) fn fetch(&self) -> Result<Fetcher, LabError> {
        let options = FetchOptions {
            server: SocketAddr::new(FLOATING.into(), PORT),
            every: FETCH_EVERY,
            timeout: FETCH_TIMEOUT,
        };
        Fetcher::start(&self.client, options)
    }

    /// A program that has ended though it should run, with its last lines.
    pub(super) fn ended_early(&self) -> Option<String> {
        let running = self
            .nodes
            .iter()
            .flat_map(|n| n.agent.iter().chain(&n.service));
        let mut ended = running.filter(|p| p.has_ended(Duration::ZERO).unwrap_or(true));
        ended
            .next()
            .map(|p| format!("{} has ended:\n{}", p.name(), p.last_lines(LAST_LINES)))
    }

    /// What the agents said last.
    pub(super) fn last_words(&self) -> String {
        let agents = self
            .nodes
            .iter()
            .flat_map(|n| n.agent.iter().chain(&n.stopping));
        let texts = agents.map(|p| {
            let lines = p.last_lines(LAST_LINES).replace('\n', "\n  ");
            format!("The last lines of {}:\n  {lines}\n", p.name())
        });
        texts.collect()
    }

    fn node(&self, name: &str) -> Result<&Node, LabError> {
        let node = self.nodes.iter().find(|node| node.host.name() == name);
        node.ok_or_else(|| not_on(name))
    }

    fn node_mut(&mut self, name: &str) -> Result<&mut Node, LabError> {
        let node = self.nodes.iter_mut().find(|node| node.host.name() == name);
        node.ok_or_else(|| not_on(name))
    }
}

impl Node {
    fn start(&mut self) -> Result<(), LabError> {
        // Answers go back through the gateway.
        self.host.sh("ip route add default via 10.77.0.254")?;
        let (agent, service) = &self.plan;
        self.service = Some(service.start(&self.host)?);
        self.agent = Some(agent.start(&self.host, &self.setup)?);
        Ok(())
    }
}

fn setup(number: usize, preempt: bool) -> Setup {
    let net = Ipv4Net::new(FLOATING, PREFIX).map(IpNet::from).into_iter();
    let group = GroupSetup {
        preempt,
        ..GroupSetup::new(PRIORITIES[number], &net.collect::<Vec<_>>())
    };
    Setup {
        node: NODES[number].to_owned(),
        nodes: NODES.map(str::to_owned).to_vec(),
        groups: vec![group],
    }
}

fn forward(gateway: &Host) -> Result<(), LabError> {
    let on = || fs::write("/proc/sys/net/ipv4/ip_forward", "1");
    gateway
        .run(on)?
        .map_err(LabError::io("letting the gateway forward"))
}

fn not_on(name: &str) -> LabError {
    LabError::Off {
        host: name.to_owned(),
    }
}

/// The floating address, as the watches name it.
pub(super) fn floating() -> IpAddr {
    FLOATING.into()
}
