//! One way between this group and its peers: frames ready to send, and the judge of what comes.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Checksum, Family, Version};
use crate::core::{Event, Heard, Instant};
use crate::net::heartbeat::Sender;
use crate::wire::ipv4;
use crate::wire::vrrp::{
    self, Advert, Class, Expect, GROUP_V4, GROUP_V6, Received, Rejected, receive,
};

use super::board::{LastHeard, LineFacts, Traffic};

/// What a line is made from.
pub(crate) struct LineConfig {
    pub(crate) version: Version,
    pub(crate) vrid: u8,
    pub(crate) interval: Duration,
    pub(crate) checksum: Checksum,
    pub(crate) auth: Option<[u8; 8]>,
    pub(crate) owner: bool,
    /// Advertised, of this line's family.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) facts: Arc<LineFacts>,
    /// Whether this line decides between equal priorities.
    pub(crate) lead: bool,
}

/// A line of a group, owned by the heartbeat thread.
pub(crate) struct Line {
    config: LineConfig,
    /// The place of its send socket.
    pub(crate) sender: usize,
    frames: Vec<Frame>,
    /// The priority that the frames say.
    encoded: Option<u8>,
    message: Vec<u8>,
    /// The IPv4 identification of the last frame.
    id: u16,
    pub(crate) traffic: Traffic,
}

/// A frame that is ready to go.
struct Frame {
    destination: IpAddr,
    bytes: Vec<u8>,
}

impl Line {
    pub(crate) fn new(config: LineConfig, sender: usize) -> Self {
        let multicast: IpAddr = match config.facts.family {
            Family::V4 => GROUP_V4.into(),
            Family::V6 => GROUP_V6.into(),
        };
        let destinations = if config.facts.peers.is_empty() {
            vec![multicast]
        } else {
            config.facts.peers.clone()
        };
        // All that an advert of this line ever needs: hundreds of lines are kept in locked memory.
        let (version, family) = (config.version, config.facts.family);
        let message = vrrp::message_len(version, family, config.addresses.len());
        let room = ipv4::HEADER_LEN + message;
        let frame = |destination| Frame {
            destination,
            bytes: Vec::with_capacity(room),
        };
        Self {
            sender,
            frames: destinations.into_iter().map(frame).collect(),
            encoded: None,
            message: Vec::with_capacity(message),
            id: 0,
            traffic: Traffic::default(),
            config,
        }
    }

    pub(crate) const fn facts(&self) -> &Arc<LineFacts> {
        &self.config.facts
    }

    pub(crate) fn source(&self) -> IpAddr {
        self.config.facts.source
    }

    pub(crate) fn family(&self) -> Family {
        self.config.facts.family
    }

    pub(crate) fn is_multicast(&self) -> bool {
        self.config.facts.peers.is_empty()
    }

    /// Queues one advert to each destination, which is wrong from `until` on.
    pub(crate) fn advertise(&mut self, priority: u8, until: Instant, sender: &mut Sender) {
        if self.encoded != Some(priority) {
            self.encode(priority);
        }
        for frame in self
            .frames
            .iter_mut()
            .filter(|frame| !frame.bytes.is_empty())
        {
            if self.config.facts.family == Family::V4 {
                self.id = self.id.checked_add(1).unwrap_or(1);
                // The kernel fills in the header's checksum.
                frame.bytes[4..6].copy_from_slice(&self.id.to_be_bytes());
            }
            sender.queue(&frame.bytes, frame.destination, until);
            self.traffic.sent += 1;
        }
    }

    /// The frames change only with the priority: they are written once and sent many times.
    fn encode(&mut self, priority: u8) {
        for frame in &mut self.frames {
            frame.bytes.clear();
            let advert = Advert {
                version: self.config.version,
                vrid: self.config.vrid,
                priority,
                interval: self.config.interval,
                addresses: &self.config.addresses,
                auth: self.config.auth,
                source: self.config.facts.source,
                destination: frame.destination,
                checksum: self.config.checksum,
            };
            let emitted = advert.emit(&mut self.message);
            debug_assert!(
                emitted.is_ok(),
                "a checked configuration can be sent: {emitted:?}"
            );
            if emitted.is_err() {
                continue;
            }
            if let (IpAddr::V4(source), IpAddr::V4(to)) =
                (self.config.facts.source, frame.destination)
            {
                let header = ipv4::advert_header(source, to, NonZeroU16::MIN, self.message.len());
                frame.bytes.extend_from_slice(&header);
            }
            frame.bytes.extend_from_slice(&self.message);
        }
        self.encoded = Some(priority);
    }

    /// What the election should know of a frame, if anything.
    pub(crate) fn judge(&mut self, received: &Received<'_>, at: Instant) -> Option<Event> {
        let from = received.source;
        match receive(received, &self.expect()) {
            Ok(accepted) => {
                self.traffic.received += 1;
                self.traffic.counters.count_accepted(&accepted);
                let (priority, interval) = (accepted.priority, accepted.interval);
                self.traffic.last = Some(LastHeard { from, priority, at });
                let lead = self.config.lead;
                Some(Event::Advert(Heard {
                    from,
                    priority,
                    interval,
                    lead,
                }))
            }
            Err(rejected) => self.reject(rejected, from),
        }
    }

    fn reject(&mut self, rejected: Rejected, from: IpAddr) -> Option<Event> {
        self.traffic.counters.count_rejected(&rejected);
        match rejected.class() {
            Class::Conflict(field) => {
                let interval = rejected.interval().unwrap_or(self.config.interval);
                Some(Event::Conflict {
                    from,
                    field,
                    interval,
                })
            }
            Class::Unauthentic => Some(Event::Unauthentic { from }),
            Class::Own => Some(Event::OwnAdvert { from }),
            Class::Malformed | Class::Foreign => None,
        }
    }

    fn expect(&self) -> Expect<'_> {
        Expect {
            version: self.config.version,
            vrid: self.config.vrid,
            interval: self.config.interval,
            auth: self.config.auth,
            multicast: self.is_multicast(),
            peers: &self.config.facts.peers,
            local: self.config.facts.source,
            addresses: &self.config.addresses,
            owner: self.config.owner,
        }
    }
}
