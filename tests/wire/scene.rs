//! What does a right frame look like, and who listens to it? Built without the code under test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use floatlock::config::{Family, Version};
use floatlock::wire::vrrp::{
    Accepted, ChecksumForm, Counters, Expect, GROUP_V4, GROUP_V6, Received, Rejected, receive,
};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::util::{checksum, ipv4_checksum, ipv6_checksum};

use crate::dice::Dice;

/// A frame and its listener, both to be changed at will.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) ttl: u8,
    /// The VRRP message, its checksum included.
    pub(crate) message: Vec<u8>,
    /// What else the socket delivers behind it.
    pub(crate) padding: Vec<u8>,
    /// How far the IP header's length is off, when it is known.
    pub(crate) ip_len_off: Option<isize>,
    /// What stands before the message when the protocol is 51.
    pub(crate) authentication_header: Option<Vec<u8>>,
    /// The form in which [`Scene::sign`] sums.
    pub(crate) form: ChecksumForm,

    pub(crate) version: Version,
    pub(crate) vrid: u8,
    pub(crate) interval: Duration,
    pub(crate) auth: Option<[u8; 8]>,
    pub(crate) multicast: bool,
    pub(crate) peers: Vec<IpAddr>,
    pub(crate) local: IpAddr,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) owner: bool,
}

/// What is to be known before a frame can be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) version: Version,
    pub(crate) family: Family,
    pub(crate) multicast: bool,
    pub(crate) auth: Option<[u8; 8]>,
    pub(crate) form: ChecksumForm,
}

impl Kind {
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let multicast = dice.coin();
        let (version, family) = dice.pick(&[
            (Version::V2, Family::V4),
            (Version::V3, Family::V4),
            (Version::V3, Family::V6),
        ]);
        let auth = (version == Version::V2 && dice.coin()).then(|| dice.roll().to_be_bytes());
        let form = match (version, family) {
            (Version::V3, Family::V4) if multicast => {
                dice.pick(&[ChecksumForm::PseudoHeader, ChecksumForm::Plain])
            }
            (Version::V3, Family::V4) => dice.pick(&[
                ChecksumForm::PseudoHeader,
                ChecksumForm::Plain,
                ChecksumForm::OldUnicast,
            ]),
            _ => ChecksumForm::Only,
        };
        Self {
            version,
            family,
            multicast,
            auth,
            form,
        }
    }
}

impl Scene {
    /// A right frame of this kind, to a listener who expects just that.
    pub(crate) fn of(kind: Kind, dice: &mut Dice) -> Self {
        let (source, destination, local) = ends(kind, dice);
        let interval = match kind.version {
            Version::V2 => Duration::from_secs(1 + dice.below(255) as u64),
            Version::V3 => Duration::from_millis(10 * (1 + dice.below(4095) as u64)),
        };
        let count = 1 + dice.below(12);
        let mut scene = Self {
            source,
            destination,
            ttl: 255,
            message: Vec::new(),
            padding: Vec::new(),
            ip_len_off: dice.coin().then_some(0),
            authentication_header: None,
            form: kind.form,
            version: kind.version,
            vrid: 1 + dice.below(255) as u8,
            interval,
            auth: kind.auth,
            multicast: kind.multicast,
            peers: if dice.coin() { vec![source] } else { vec![] },
            local,
            addresses: (0..count)
                .map(|n| virtual_address(kind.family, n))
                .collect(),
            owner: false,
        };
        scene.write(1 + dice.below(254) as u8);
        scene
    }

    pub(crate) fn random(dice: &mut Dice) -> Self {
        let kind = Kind::random(dice);
        Self::of(kind, dice)
    }

    pub(crate) fn family(&self) -> Family {
        Family::of(self.source)
    }

    /// The least that the message can grow to unnoticed: Ethernet's smallest payload.
    pub(crate) fn padded_len(&self) -> usize {
        match self.family() {
            Family::V4 => 26,
            Family::V6 => 6,
        }
    }

    /// Writes the message that the listener expects.
    pub(crate) fn write(&mut self, priority: u8) {
        self.message = match self.version {
            Version::V2 => vec![0x21, self.vrid, priority, self.addresses.len() as u8],
            Version::V3 => vec![0x31, self.vrid, priority, self.addresses.len() as u8],
        };
        match self.version {
            Version::V2 => {
                let auth_type = u8::from(self.auth.is_some());
                let seconds = self.interval.as_secs() as u8;
                self.message.extend([auth_type, seconds]);
            }
            Version::V3 => {
                let centiseconds = (self.interval.as_millis() / 10) as u16;
                self.message.extend(centiseconds.to_be_bytes());
            }
        }
        self.message.extend([0, 0]);
        for address in &self.addresses {
            match address {
                IpAddr::V4(address) => self.message.extend(address.octets()),
                IpAddr::V6(address) => self.message.extend(address.octets()),
            }
        }
        if self.version == Version::V2 && self.family() == Family::V4 {
            self.message.extend(self.auth.unwrap_or_default());
        }
        self.sign();
    }

    /// Puts the right checksum in, in the scene's form.
    pub(crate) fn sign(&mut self) {
        let sum = self.right_checksum(self.form);
        self.message[6..8].copy_from_slice(&sum.to_be_bytes());
    }

    fn right_checksum(&self, form: ChecksumForm) -> u16 {
        let vrrp = IpNextHeaderProtocols::Vrrp;
        let v4 = |source: Ipv4Addr, destination: Ipv4Addr| {
            ipv4_checksum(&self.message, 3, &[], &source, &destination, vrrp)
        };
        match (self.source, self.destination, form) {
            (IpAddr::V6(source), IpAddr::V6(destination), _) => {
                ipv6_checksum(&self.message, 3, &[], &source, &destination, vrrp)
            }
            (IpAddr::V4(source), IpAddr::V4(destination), ChecksumForm::PseudoHeader) => {
                v4(source, destination)
            }
            (IpAddr::V4(source), _, ChecksumForm::OldUnicast) => v4(source, GROUP_V4),
            _ => checksum(&self.message, 3),
        }
    }

    /// Whether some form of the checksum is right: only chance can do that to a broken message.
    pub(crate) fn is_signed(&self) -> bool {
        use ChecksumForm as F;
        let Some([.., high, low]) = self.message.first_chunk::<8>() else {
            return false;
        };
        let there = u16::from_be_bytes([*high, *low]);
        // Both 0 and 0xffff say zero in ones' complement.
        [F::Only, F::PseudoHeader, F::Plain, F::OldUnicast]
            .into_iter()
            .any(|form| self.right_checksum(form) % 0xffff == there % 0xffff)
    }

    pub(crate) fn expect(&self) -> Expect<'_> {
        Expect {
            version: self.version,
            vrid: self.vrid,
            interval: self.interval,
            auth: self.auth,
            multicast: self.multicast,
            peers: &self.peers,
            local: self.local,
            addresses: &self.addresses,
            owner: self.owner,
        }
    }

    /// Judges the frame and hands the verdict to `look`, which may borrow from it.
    pub(crate) fn judge<T>(&self, look: impl FnOnce(Result<Accepted<'_>, Rejected>) -> T) -> T {
        let mut payload = self.authentication_header.clone().unwrap_or_default();
        payload.extend(&self.message);
        let ip_payload_len = self
            .ip_len_off
            .map(|off| payload.len().checked_add_signed(off).unwrap_or(0));
        payload.extend(&self.padding);
        let received = Received {
            source: self.source,
            destination: self.destination,
            ttl: self.ttl,
            payload: &payload,
            ip_payload_len,
            authentication_header: self.authentication_header.is_some(),
        };
        look(receive(&received, &self.expect()))
    }

    /// What the verdict is counted as, and why if the frame does not count.
    pub(crate) fn verdict(&self) -> (&'static str, Option<Rejected>) {
        self.judge(|verdict| (counted_as(&verdict), verdict.err()))
    }
}

/// The counter that a verdict moves; of an accepted frame, the one of its first oddity.
pub(crate) fn counted_as(verdict: &Result<Accepted<'_>, Rejected>) -> &'static str {
    let mut counters = Counters::default();
    match verdict {
        Ok(accepted) => counters.count_accepted(accepted),
        Err(rejected) => counters.count_rejected(rejected),
    }
    let moved = || counters.iter().filter(|(_, count)| *count > 0);
    let oddity = moved().find(|(name, _)| name.ends_with("_differs"));
    oddity.or_else(|| moved().next()).expect("something").0
}

/// (source, destination, the listener's own address). The ranges are chosen so that no single
/// flipped bit turns one form of the checksum into another.
fn ends(kind: Kind, dice: &mut Dice) -> (IpAddr, IpAddr, IpAddr) {
    let theirs = 1 + dice.below(120) as u16;
    let ours = theirs + 100;
    let v4 = |last: u16| IpAddr::from([10, 78, 0, last as u8]);
    let v6 = |last: u16| IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, last]);
    match (kind.family, kind.multicast) {
        (Family::V4, true) => (v4(theirs), GROUP_V4.into(), v4(ours)),
        (Family::V4, false) => (v4(theirs), v4(ours), v4(ours)),
        (Family::V6, true) => (v6(theirs), GROUP_V6.into(), v6(ours)),
        (Family::V6, false) => (v6(theirs), v6(ours), v6(ours)),
    }
}

pub(crate) fn virtual_address(family: Family, n: usize) -> IpAddr {
    let last = n as u8 + 10;
    match family {
        Family::V4 => Ipv4Addr::new(192, 0, 2, last).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).into(),
    }
}
