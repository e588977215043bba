//! Where do the tests of the gate play? A host with floating addresses, and a client that asks.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::gate::{Gate, Level, Look, Shutter, Want};
use floatlock::lab::{Ask, Host, Lab, Lan, Watch, WatchOptions, clock};
use floatlock::net::rtnl::Rtnl;

pub(crate) const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 77, 0, 100));
/// Asks by hand.
pub(crate) const ASK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gate/ask.py");
/// The slot of the bench's addresses.
pub(crate) const SLOT: usize = 1;
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// Nothing here takes so long to answer.
const SILENCE: Duration = Duration::from_millis(300);

pub(crate) fn v6() -> IpAddr {
    "fd77::100".parse().unwrap()
}

pub(crate) fn link_local() -> IpAddr {
    "fe80::100".parse().unwrap()
}

/// A host with floating addresses behind a gate, and a client that asks.
pub(crate) struct Bench {
    pub(crate) host: Host,
    pub(crate) client: Host,
    pub(crate) shutter: Shutter,
    pub(crate) gate: Arc<Gate>,
    /// Where the gate needs one.
    pub(crate) writer: Option<JoinHandle<()>>,
    pub(crate) lan: Lan,
    pub(crate) lab: Lab,
}

impl Bench {
    /// The addresses are on, the gate is in place and not armed.
    pub(crate) fn new(level: Level) -> Self {
        let lab = Lab::new().expect("a laboratory: needs root");
        let lan = lab.lan("lan0").unwrap();
        let host = lab.host("lb-a").unwrap();
        lan.attach(&host, "eth0", &["10.77.0.1/24", "fd77::1/64"])
            .unwrap();
        let client = lab.host("client").unwrap();
        lan.attach(&client, "eth0", &["10.77.0.9/24", "fd77::9/64"])
            .unwrap();
        for address in ["10.77.0.100/32", "fd77::100/128", "fe80::100/128"] {
            let add = format!(
                "ip addr add {address} dev eth0 $(echo {address} | grep -q : && echo nodad)"
            );
            host.sh(&add).unwrap();
        }
        let (gate, writer) = host.run(move || install(level, 7)).unwrap();
        Self {
            host,
            client,
            shutter: gate.shutter(SLOT).unwrap(),
            gate,
            writer,
            lan,
            lab,
        }
    }

    /// What was asked of the shutter holds.
    pub(crate) fn settle(&self) {
        self.gate.settle(SLOT, SOON).unwrap();
    }

    pub(crate) fn arm(&self) {
        self.shutter.arm();
        self.settle();
    }

    pub(crate) fn disarm(&self) {
        self.shutter.disarm();
        self.settle();
    }

    pub(crate) fn open(&self) {
        self.shutter.open_until(clock::now() + SOON);
        self.settle();
    }

    /// On which interfaces the gate is whole, by name.
    pub(crate) fn whole(&self) -> Vec<String> {
        let gate = Arc::clone(&self.gate);
        let look = move || {
            let mut rtnl = Rtnl::open().unwrap();
            let links = rtnl.links().unwrap();
            let whole = gate.whole(&mut rtnl, &links, Look::Full).unwrap();
            let links = links.into_iter().filter(|link| whole.contains(&link.index));
            links.map(|link| link.name).collect()
        };
        self.host.run(look).unwrap()
    }

    /// Puts back what is missing.
    pub(crate) fn put_back(&self) {
        let gate = Arc::clone(&self.gate);
        let attach = move || {
            let mut rtnl = Rtnl::open().unwrap();
            let links = rtnl.links().unwrap();
            let whole = gate.whole(&mut rtnl, &links, Look::Full).unwrap();
            let missing = links.iter().filter(|link| !whole.contains(&link.index));
            let missing: Vec<_> = missing.collect();
            gate.attach(&mut rtnl, &missing).unwrap();
        };
        self.host.run(attach).unwrap();
        self.settle();
    }

    /// Frames that were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        // A look counts.
        self.whole();
        self.shutter.dropped()
    }

    pub(crate) fn ask(&self, address: IpAddr) -> Watch {
        let options = WatchOptions {
            every: Duration::from_millis(1),
            ask: Ask::Hosts(vec![self.host.mac_on(&self.lan).unwrap()]),
            ..WatchOptions::new(&[address])
        };
        Watch::start(&self.client, options).unwrap()
    }

    pub(crate) fn answers(&self, address: IpAddr) -> bool {
        answers(&self.ask(address), address, Instant::default())
    }

    /// Whether the host answers an ARP request or a neighbour solicitation of the client.
    pub(crate) fn resolves(&self, address: IpAddr) -> bool {
        let kind = if address.is_ipv4() { "arp" } else { "ns" };
        ask(&self.client, &format!("{kind} {address}")) == "answered"
    }

    pub(crate) fn close(&self) {
        self.shutter.arm();
        self.shutter.close();
        self.settle();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.gate.end();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

pub(crate) fn ask(host: &Host, what: &str) -> String {
    host.sh(&format!("python3 {ASK} {what}")).unwrap()
}

pub(crate) fn answers(watch: &Watch, address: IpAddr, after: Instant) -> bool {
    let first =
        |seen: &floatlock::lab::Observation| seen.replies_for(address, after).next().map(drop);
    watch.wait_for(SILENCE, first).is_some()
}

/// In the namespace of this thread, on all interfaces, for the addresses of the bench.
pub(crate) fn install(level: Level, handle: u32) -> (Arc<Gate>, Option<JoinHandle<()>>) {
    let want = Want {
        groups: 4,
        room: 16,
        addresses: &[],
        handle,
    };
    let mut rtnl = Rtnl::open().unwrap();
    let (gate, writer) = Gate::install(level, &want, &mut rtnl).unwrap();
    let writer = writer.map(|writer| std::thread::spawn(move || writer.run(&|| {})));
    let eth0 = rtnl.link("eth0").unwrap().unwrap().index;
    let addresses = [V4, v6(), link_local()].map(|address| (address, eth0));
    gate.cover(&addresses, SLOT).unwrap();
    gate.cover(&addresses, SLOT).unwrap();
    gate.settle(SLOT, SOON).unwrap();
    let links = rtnl.links().unwrap();
    let whole = gate.whole(&mut rtnl, &links, Look::Full).unwrap();
    assert_eq!(whole.len(), links.len());
    (Arc::new(gate), writer)
}
