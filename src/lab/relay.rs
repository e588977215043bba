//! A line that loses, doubles, delays and reorders heartbeats: what `netem` would do, where the kernel has none.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::Socket;

use super::capture::{incoming_only, nothing, packet_socket};
use super::{Host, LabError, clock};
use crate::core::Instant;

/// How late a frame may be that is due, and how long the end is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Longer frames than any heartbeat.
const FRAME_MAX: usize = 2048;
/// VRRP's, and the native heartbeat's (RFC 9568, section 5.1.1.4).
const PROTOCOL: u8 = 112;

/// What happens to the heartbeats between two interfaces.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// So many of a hundred are lost.
    pub lost: u8,
    /// So many of a hundred come twice.
    pub doubled: u8,
    /// Each comes so late at most, and so not in its order.
    pub late: Duration,
}

/// Carries heartbeats, and nothing else, between two interfaces of a host until it is dropped.
#[derive(Debug)]
pub struct Relay {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Carries from now on, both ways.
    ///
    /// # Errors
    /// The host has no such interface, or what opening its sockets brought.
    pub fn start(host: &Host, interfaces: [&str; 2], weather: Weather) -> Result<Self, LabError> {
        let ends = Arc::new(AtomicBool::new(false));
        let mut relay = Self {
            ends: Arc::clone(&ends),
            threads: Vec::new(),
        };
        let [one, two] = interfaces.map(str::to_owned);
        for (from, to) in [(one.clone(), two.clone()), (two, one)] {
            let doing = format!("relaying from {from} to {to}");
            let carrier = host.run(move || Carrier::open(&from, &to, weather))?;
            let mut carrier = carrier.map_err(LabError::io(doing.clone()))?;
            let ends = Arc::clone(&ends);
            let thread = thread::Builder::new()
                .name("relay".to_owned())
                .spawn(move || carrier.run(&ends))
                .map_err(LabError::io(doing))?;
            relay.threads.push(thread);
        }
        Ok(relay)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has carried nothing, which the test sees.
            let _ = thread.join();
        }
    }
}

/// One way.
struct Carrier {
    from: Socket,
    to: Socket,
    weather: Weather,
    under_way: BinaryHeap<Reverse<(Instant, Vec<u8>)>>,
}

impl Carrier {
    fn open(from: &str, to: &str, weather: Weather) -> io::Result<Self> {
        let (from, to) = (packet_socket(from)?, packet_socket(to)?);
        from.attach_filter(&incoming_only())?;
        from.set_read_timeout(Some(LOOK_EVERY))?;
        to.attach_filter(&nothing())?;
        Ok(Self {
            from,
            to,
            weather,
            under_way: BinaryHeap::new(),
        })
    }

    fn run(&mut self, ends: &AtomicBool) {
        let mut frame = [0; FRAME_MAX];
        while !ends.load(Ordering::Relaxed) {
            // Nothing came for a moment, or the host has lost its power.
            if let Ok(length) = self.from.read(&mut frame) {
                self.take(&frame[..length]);
            }
            let now = clock::now();
            while self
                .under_way
                .peek()
                .is_some_and(|Reverse((at, _))| *at <= now)
            {
                if let Some(Reverse((_, frame))) = self.under_way.pop() {
                    // A frame that cannot be sent is lost, as frames are.
                    let _ = self.to.send(&frame);
                }
            }
        }
    }

    fn take(&mut self, frame: &[u8]) {
        if !is_heartbeat(frame) || chance(self.weather.lost) {
            return;
        }
        let copies = 1 + usize::from(chance(self.weather.doubled));
        for _ in 0..copies {
            let late = self.weather.late * u32::from(random()) / u32::from(u16::MAX);
            self.under_way
                .push(Reverse((clock::now() + late, frame.to_vec())));
        }
    }
}

fn chance(percent: u8) -> bool {
    u32::from(random()) * 100 < u32::from(percent) * (u32::from(u16::MAX) + 1)
}

fn random() -> u16 {
    let mut bytes = [0; 2];
    // It fails only on a kernel that has not gathered enough yet, long before there are tests.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u16::from_ne_bytes(bytes)
}

/// Whether an Ethernet frame carries one, over IPv4 or IPv6 without extension headers.
fn is_heartbeat(frame: &[u8]) -> bool {
    let protocol = match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(23),
        Some([0x86, 0xdd]) => frame.get(20),
        _ => None,
    };
    protocol == Some(&PROTOCOL)
}
