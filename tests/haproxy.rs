//! Does a pair of HAProxy hosts keep its clients served? Needs root and the package haproxy.

// Helpers of tests are tests too, which the lints do not know.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::core::election::{Version, master_down};
use floatlock::lab::agent::{AgentKind, GroupSetup, Setup};
use floatlock::lab::service::{PORT, Service};
use floatlock::lab::{Fetch, FetchOptions, Fetcher, Host, Lab, Process, clock};
use nix::sys::signal::Signal;

const FLOATLOCK: &str = env!("CARGO_BIN_EXE_floatlock");
const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 100));
const SERVER: SocketAddr = SocketAddr::new(VIP, PORT);
const NAMES: [&str; 2] = ["lb-a", "lb-b"];
const PRIORITIES: [u8; 2] = [150, 100];
const INTERVAL: Duration = Duration::from_millis(500);
/// Nothing here takes so long.
const SOON: Duration = Duration::from_secs(30);
/// What a busy machine may add to any time.
const SLACK: Duration = Duration::from_secs(2);
const FETCH_EVERY: Duration = Duration::from_millis(20);
const FETCH_TIMEOUT: Duration = Duration::from_millis(300);

/// A pair and a client on one network.
struct Pair {
    nodes: [Node; 2],
    client: Host,
    _lab: Lab,
}

struct Node {
    agent: Option<Process>,
    haproxy: Option<Process>,
    host: Host,
    setup: Setup,
}

impl Pair {
    /// Both run; `lb-a` is MASTER.
    fn start() -> Self {
        let lab = Lab::new().expect("a laboratory");
        let lan = lab.lan("lan").unwrap();
        let host = |name: &str, number: usize| {
            let host = lab.host(name).unwrap();
            lan.attach(&host, "eth0", &[&format!("10.77.0.{number}/24")])
                .unwrap();
            host
        };
        let nodes = [0, 1].map(|place| Node {
            agent: None,
            haproxy: None,
            host: host(NAMES[place], place + 1),
            setup: setup(place),
        });
        let client = host("client", 9);
        let mut pair = Self {
            nodes,
            client,
            _lab: lab,
        };
        pair.nodes.iter_mut().for_each(Node::start);
        pair.nodes[0].says("-> MASTER:");
        pair
    }

    fn fetch(&self) -> Fetcher {
        let options = FetchOptions {
            server: SERVER,
            every: FETCH_EVERY,
            timeout: FETCH_TIMEOUT,
        };
        Fetcher::start(&self.client, options).unwrap()
    }
}

fn setup(place: usize) -> Setup {
    let net = "10.77.0.100/24".parse().unwrap();
    Setup {
        node: NAMES[place].to_owned(),
        nodes: NAMES.map(str::to_owned).to_vec(),
        groups: vec![GroupSetup {
            interval: INTERVAL,
            ..GroupSetup::new(PRIORITIES[place], &[net])
        }],
    }
}

impl Node {
    /// Power, HAProxy and the agent, as far as they are not there.
    fn start(&mut self) {
        self.host.power_on().unwrap();
        if self.haproxy.is_none() {
            let service = Service::choose(Path::new(FLOATLOCK));
            let missing = "haproxy is missing: install the package haproxy";
            assert!(matches!(service, Service::HaProxy(_)), "{missing}");
            self.haproxy = Some(service.start(&self.host).unwrap());
        }
        let agent = AgentKind::Floatlock(FLOATLOCK.into());
        self.agent = Some(agent.start(&self.host, &self.setup).unwrap());
    }

    fn power_off(&mut self) {
        self.host.power_off().unwrap();
        (self.agent, self.haproxy) = (None, None);
    }

    /// Stops the agent as planned; HAProxy goes on.
    fn stop_agent(&mut self) {
        let agent = self.agent.take().unwrap();
        agent.signal(Signal::SIGTERM).unwrap();
        assert!(agent.wait(SOON).unwrap().success());
        let haproxy = self.haproxy.as_ref().unwrap();
        assert!(!haproxy.has_ended(Duration::ZERO).unwrap());
    }

    fn says(&self, words: &str) {
        let agent = self.agent.as_ref().unwrap();
        agent.wait_for_line(words, SOON).unwrap();
    }
}

/// The first answer that names that host, of those to requests that were begun after `after`.
fn served_by(client: &Fetcher, name: &str, after: Instant) -> Fetch {
    let named = |fetches: &[Fetch]| {
        let mut later = fetches.iter().filter(|fetch| fetch.at > after);
        later.find(|f| f.host.as_deref() == Some(name)).cloned()
    };
    let first = client.wait_for(SOON, named);
    first.unwrap_or_else(|| panic!("the client got no page from {name}"))
}

/// What an event costs the client: how many requests are lost until that host serves it, and for
/// as long after as a request may take. From its first page on there is none of another host.
fn lost_until_served_by(client: &Fetcher, name: &str, event: Instant) -> usize {
    let first = served_by(client, name, event);
    let settled = served_by(client, name, first.until + FETCH_TIMEOUT);
    client.look(|fetches| {
        let later = fetches
            .iter()
            .filter(|f| f.at > first.until && f.at <= settled.at);
        let pages = later.filter_map(|fetch| fetch.host.as_deref());
        let wrong: Vec<_> = pages.filter(|host| *host != name).collect();
        assert!(wrong.is_empty(), "{wrong:?} instead of {name}");
        let lost = fetches
            .iter()
            .filter(|f| f.until > event && f.host.is_none());
        lost.count()
    })
}

/// So many requests are begun in that time, and in the time that the last one may take.
fn requests_within(gap: Duration) -> usize {
    let requests = (gap + FETCH_TIMEOUT).as_millis() / FETCH_EVERY.as_millis();
    usize::try_from(requests).unwrap()
}

#[test]
fn a_client_is_served_by_the_right_host_through_power_loss_return_and_planned_stop() {
    let mut pair = Pair::start();
    let client = pair.fetch();
    served_by(&client, "lb-a", clock::now());

    let event = clock::now();
    pair.nodes[0].power_off();
    let off = clock::now();
    let lost = lost_until_served_by(&client, "lb-b", event);
    println!("power loss: {lost} requests lost");
    let down = master_down(Version::V3, PRIORITIES[1], INTERVAL, 3);
    assert!(
        (1..=requests_within(down + SLACK)).contains(&lost),
        "{lost}"
    );
    let ghosts = client.look(|fetches| {
        let after = fetches.iter().filter(|fetch| fetch.at > off);
        after.filter(|f| f.host.as_deref() == Some("lb-a")).count()
    });
    assert_eq!(ghosts, 0, "a host without power answers");

    let event = clock::now();
    pair.nodes[0].start();
    let lost = lost_until_served_by(&client, "lb-a", event);
    println!("return: {lost} requests lost");
    assert!(lost <= requests_within(SLACK), "{lost}");

    let event = clock::now();
    pair.nodes[0].stop_agent();
    let lost = lost_until_served_by(&client, "lb-b", event);
    println!("planned stop: {lost} requests lost");
    assert!(lost <= requests_within(SLACK), "{lost}");
}

/// One TCP connection through the floating address, used again and again.
struct LongConnection {
    /// The name in each answer; the last one may be how the connection ended.
    answers: Receiver<Result<String, ErrorKind>>,
}

impl LongConnection {
    fn open(client: &Host) -> Self {
        let (sender, answers) = channel();
        let ask = move || {
            let ended = ask_for_ever(&sender);
            // Nobody listens any more when the test is over.
            let _ = sender.send(Err(ended.kind()));
        };
        client.run(move || thread::spawn(ask)).unwrap();
        Self { answers }
    }

    fn next(&self) -> Result<String, ErrorKind> {
        self.answers
            .recv_timeout(SOON)
            .expect("an answer, or an end")
    }

    /// Every answer so far names that host, and so do two more: the second one is to a question
    /// that was asked after this call.
    fn lives_with(&self, name: &str) {
        let so_far: Vec<_> = self.answers.try_iter().collect();
        let more = [self.next(), self.next()];
        for answer in so_far.into_iter().chain(more) {
            assert_eq!(answer.as_deref(), Ok(name));
        }
    }

    /// How it ends, after whatever answers are still to come.
    fn end(&self) -> ErrorKind {
        loop {
            if let Err(kind) = self.next() {
                return kind;
            }
        }
    }
}

fn ask_for_ever(answers: &Sender<Result<String, ErrorKind>>) -> io::Error {
    let asked = || -> io::Result<()> {
        let stream = TcpStream::connect_timeout(&SERVER, SOON)?;
        stream.set_read_timeout(Some(SOON))?;
        let mut reader = BufReader::new(stream);
        loop {
            reader
                .get_mut()
                .write_all(b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n")?;
            let answer = read_answer(&mut reader)?;
            answers.send(Ok(answer)).map_err(io::Error::other)?;
            clock::pause(FETCH_EVERY);
        }
    };
    asked().expect_err("it goes on until it fails")
}

fn read_answer(reader: &mut impl BufRead) -> io::Result<String> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body)?;
    Ok(body)
}

#[test]
fn a_long_connection_outlives_the_standby_and_ends_with_a_reset_when_its_host_goes() {
    let mut pair = Pair::start();
    let connection = LongConnection::open(&pair.client);
    connection.lives_with("lb-a");
    pair.nodes[1].power_off();
    connection.lives_with("lb-a");
    pair.nodes[1].start();
    pair.nodes[1].says("-> BACKUP:");
    connection.lives_with("lb-a");

    // The new holder knows nothing of it and says so, which is better than silence.
    let event = clock::now();
    pair.nodes[0].power_off();
    assert_eq!(connection.end(), ErrorKind::ConnectionReset);
    println!("power loss: reset after {:?}", clock::now().since(event));

    let connection = LongConnection::open(&pair.client);
    connection.lives_with("lb-b");
    let event = clock::now();
    pair.nodes[0].start();
    assert_eq!(connection.end(), ErrorKind::ConnectionReset);
    println!("return: reset after {:?}", clock::now().since(event));

    let connection = LongConnection::open(&pair.client);
    connection.lives_with("lb-a");
    let event = clock::now();
    pair.nodes[0].stop_agent();
    assert_eq!(connection.end(), ErrorKind::ConnectionReset);
    println!("planned stop: reset after {:?}", clock::now().since(event));
    let connection = LongConnection::open(&pair.client);
    connection.lives_with("lb-b");
}
