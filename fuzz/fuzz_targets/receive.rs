//! Can a frame make the receive checks panic, or break their laws?
//!
//! `cargo +nightly fuzz run receive`

#![no_main]

use std::net::IpAddr;
use std::time::Duration;

use floatlock::config::{Checksum, Version};
use floatlock::wire::vrrp::{Advert, Expect, Received, Rejected, receive};
use libfuzzer_sys::fuzz_target;

const PASSWORD: [u8; 8] = *b"1111\0\0\0\0";

fuzz_target!(|data: &[u8]| {
    let Some((control, payload)) = data.split_first_chunk::<8>() else {
        return;
    };
    let scene = Scene::new(*control);
    let mut payload = payload.to_vec();
    if scene.signs {
        sign(&mut payload);
    }
    let received = scene.received(&payload);
    judge(&received, &scene.expect());
});

fn judge(received: &Received<'_>, expect: &Expect<'_>) {
    match receive(received, expect) {
        Ok(accepted) => {
            let addresses: Vec<IpAddr> = accepted.addresses.iter().collect();
            let advert = Advert {
                version: expect.version,
                vrid: expect.vrid,
                priority: accepted.priority,
                interval: accepted.interval,
                addresses: &addresses,
                auth: expect.auth,
                source: received.source,
                destination: received.destination,
                checksum: Checksum::Plain,
            };
            said_again_it_is_heard_again(&advert, received, expect);
        }
        // Who raises a conflict is heard by one who speaks as he does.
        Err(Rejected::Version { theirs, .. }) => {
            let theirs = speaking(theirs, received.payload, expect);
            assert!(receive(received, &theirs).is_ok());
        }
        Err(Rejected::Interval { theirs }) => {
            let interval = theirs;
            let theirs = Expect {
                interval,
                ..*expect
            };
            assert!(receive(received, &theirs).is_ok());
        }
        Err(_) => {}
    }
}

fn said_again_it_is_heard_again(advert: &Advert<'_>, received: &Received<'_>, expect: &Expect<'_>) {
    let mut message = Vec::new();
    // An empty VRRPv2 advert and VRRPv2 over IPv6 are heard, but never said.
    if advert.emit(&mut message).is_err() {
        return;
    }
    let received = Received {
        payload: &message,
        ip_payload_len: Some(message.len()),
        ..*received
    };
    let again = receive(&received, expect).expect("our own words");
    assert_eq!(again.priority, advert.priority);
    assert_eq!(again.interval, advert.interval);
    assert!(again.addresses.iter().eq(advert.addresses.iter().copied()));
}

/// One who speaks as the sender of this well-formed frame does.
fn speaking<'a>(version: Version, payload: &[u8], expect: &Expect<'a>) -> Expect<'a> {
    let mut theirs = Expect { version, ..*expect };
    if version == Version::V2 {
        theirs.interval = Duration::from_secs(payload[5].into());
        let end = 8 + usize::from(payload[3]) * 4;
        let trailer = payload.get(end..).and_then(|rest| rest.first_chunk());
        theirs.auth = trailer.copied().filter(|_| payload[4] == 1);
    }
    theirs
}

struct Scene {
    version: Version,
    vrid: u8,
    interval: Duration,
    auth: Option<[u8; 8]>,
    source: IpAddr,
    destination: IpAddr,
    local: IpAddr,
    ttl: u8,
    ip_len: Option<u8>,
    authentication_header: bool,
    owner: bool,
    signs: bool,
}

impl Scene {
    fn new([flags, more, vrid, interval, from, to, ttl, ip_len]: [u8; 8]) -> Self {
        let bit = |n: u8| flags >> n & 1 == 1;
        let address = |last: u8| match bit(0) {
            true => IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, last.into()]),
            false => IpAddr::from([192, 0, 2, last]),
        };
        let group = match bit(0) {
            true => IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x12]),
            false => IpAddr::from([224, 0, 0, 18]),
        };
        let version = if bit(1) { Version::V2 } else { Version::V3 };
        Self {
            version,
            vrid,
            interval: Duration::from_secs(interval.into()),
            auth: (bit(1) && bit(2)).then_some(PASSWORD),
            source: address(from),
            destination: if bit(3) { group } else { address(to) },
            local: address(to),
            ttl: if bit(4) { 255 } else { ttl },
            ip_len: bit(5).then_some(ip_len),
            authentication_header: more & 1 == 1,
            owner: more & 2 == 2,
            signs: !bit(6),
        }
    }

    fn received<'a>(&self, payload: &'a [u8]) -> Received<'a> {
        Received {
            source: self.source,
            destination: self.destination,
            ttl: self.ttl,
            payload,
            ip_payload_len: self.ip_len.map(usize::from),
            authentication_header: self.authentication_header,
        }
    }

    fn expect(&self) -> Expect<'_> {
        Expect {
            version: self.version,
            vrid: self.vrid,
            interval: self.interval,
            auth: self.auth,
            multicast: self.destination.is_multicast(),
            peers: &[],
            local: self.local,
            addresses: &[],
            owner: self.owner,
        }
    }
}

/// Makes the plain checksum right, which a fuzzer would take long to find.
fn sign(message: &mut [u8]) {
    if message.len() < 8 {
        return;
    }
    message[6..8].fill(0);
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = message.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    message[6..8].copy_from_slice(&(!sum as u16).to_be_bytes());
}
