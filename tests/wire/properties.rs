//! What holds for all frames? Reading never panics, and what was written is what is read.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::time::Duration;

use floatlock::config::{Checksum, Family, Version};
use floatlock::wire::ipv4;
use floatlock::wire::vrrp::{Advert, ChecksumForm, Expect, PROTOCOL, Received, TTL, receive, vrid};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::dice::Dice;
use crate::mutation::ALL;
use crate::scene::{Kind, Scene};

fn an_address(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::V4 => any::<[u8; 4]>().prop_map(IpAddr::from).boxed(),
        Family::V6 => any::<[u8; 16]>().prop_map(IpAddr::from).boxed(),
    }
}

fn a_dialect() -> impl Strategy<Value = (Version, Family, Checksum)> {
    select(vec![
        (Version::V2, Family::V4, Checksum::PseudoHeader),
        (Version::V3, Family::V4, Checksum::PseudoHeader),
        (Version::V3, Family::V4, Checksum::Plain),
        (Version::V3, Family::V6, Checksum::PseudoHeader),
    ])
}

fn an_interval(version: Version) -> BoxedStrategy<Duration> {
    match version {
        Version::V2 => (1..=255u64).prop_map(Duration::from_secs).boxed(),
        Version::V3 => (1..=4095u64)
            .prop_map(|hundredths| Duration::from_millis(10 * hundredths))
            .boxed(),
    }
}

#[derive(Clone, Debug)]
struct Said {
    version: Version,
    checksum: Checksum,
    vrid: u8,
    priority: u8,
    interval: Duration,
    auth: Option<[u8; 8]>,
    source: IpAddr,
    destination: IpAddr,
    local: IpAddr,
    addresses: Vec<IpAddr>,
}

fn anything_sayable() -> impl Strategy<Value = Said> {
    a_dialect().prop_flat_map(|(version, family, checksum)| {
        let address = || an_address(family);
        let ends = (address(), address(), address());
        let numbers = (
            any::<(u8, u8)>(),
            an_interval(version),
            any::<Option<[u8; 8]>>(),
        );
        (ends, numbers, vec(address(), 1..=255)).prop_map(
            move |((source, destination, local), numbers, addresses)| {
                let ((vrid, priority), interval, auth) = numbers;
                Said {
                    version,
                    checksum,
                    vrid,
                    priority,
                    interval,
                    auth: auth.filter(|_| version == Version::V2),
                    source,
                    destination,
                    local,
                    addresses,
                }
            },
        )
    })
}

impl Said {
    fn advert(&self) -> Advert<'_> {
        Advert {
            version: self.version,
            vrid: self.vrid,
            priority: self.priority,
            interval: self.interval,
            addresses: &self.addresses,
            auth: self.auth,
            source: self.source,
            destination: self.destination,
            checksum: self.checksum,
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
            addresses: &self.addresses,
            owner: false,
        }
    }

    fn received<'a>(&self, payload: &'a [u8]) -> Received<'a> {
        Received {
            source: self.source,
            destination: self.destination,
            ttl: TTL,
            payload,
            ip_payload_len: Some(payload.len()),
            authentication_header: false,
        }
    }
}

fn any_kind() -> impl Strategy<Value = Kind> {
    any::<u64>().prop_map(|seed| Kind::random(&mut Dice::new(seed)))
}

proptest! {
    #[test]
    fn what_is_said_is_heard(said in anything_sayable()) {
        prop_assume!(said.local != said.source);
        let mut message = Vec::new();
        said.advert().emit(&mut message).unwrap();
        prop_assert_eq!(vrid(&message), Some(said.vrid));
        let heard = receive(&said.received(&message), &said.expect()).unwrap();
        prop_assert_eq!(heard.priority, said.priority);
        prop_assert_eq!(heard.interval, said.interval);
        prop_assert_eq!(heard.addresses.len(), said.addresses.len());
        prop_assert!(heard.addresses.iter().eq(said.addresses.iter().copied()));
        prop_assert!(heard.warnings.is_empty());
    }

    #[test]
    fn both_writers_write_the_same(kind in any_kind(), seed: u64) {
        prop_assume!(kind.form != ChecksumForm::OldUnicast);
        let scene = Scene::of(kind, &mut Dice::new(seed));
        let said = Said {
            version: scene.version,
            checksum: match kind.form {
                ChecksumForm::Plain => Checksum::Plain,
                _ => Checksum::PseudoHeader,
            },
            vrid: scene.vrid,
            priority: scene.message[2],
            interval: scene.interval,
            auth: scene.auth,
            source: scene.source,
            destination: scene.destination,
            local: scene.local,
            addresses: scene.addresses.clone(),
        };
        let mut message = Vec::new();
        said.advert().emit(&mut message).unwrap();
        prop_assert_eq!(message, scene.message);
    }

    #[test]
    fn no_bytes_make_reading_panic(
        said in anything_sayable(),
        payload in vec(any::<u8>(), 0..1200),
        ttl: u8,
        ip_payload_len: Option<usize>,
        authentication_header: bool,
        vrid_right: bool,
    ) {
        let mut payload = payload;
        if let (true, Some(at)) = (vrid_right, payload.get_mut(1)) {
            *at = said.vrid;
        }
        let received = Received {
            ttl,
            ip_payload_len,
            authentication_header,
            ..said.received(&payload)
        };
        let _ = receive(&received, &said.expect());
    }

    #[test]
    fn no_change_of_a_right_frame_makes_reading_panic(
        seed: u64,
        nth in 0..ALL.len(),
        cuts in vec((any::<usize>(), any::<u8>()), 0..8),
    ) {
        let mut dice = Dice::new(seed);
        let mut scene = Scene::random(&mut dice);
        ALL[nth].1(&mut scene, &mut dice);
        for (at, byte) in cuts {
            let len = scene.message.len().max(1);
            match scene.message.get_mut(at % len) {
                Some(place) if byte < 250 => *place = byte,
                _ => scene.message.truncate(at % len),
            }
        }
        let _ = scene.verdict();
    }

    #[test]
    fn no_datagram_makes_reading_panic(datagram in vec(any::<u8>(), 0..200), version_right: bool) {
        let mut datagram = datagram;
        if let (true, Some(first)) = (version_right, datagram.first_mut()) {
            *first = 0x40 | *first & 0x0f;
        }
        if let Ok((header, payload)) = ipv4::parse(&datagram) {
            prop_assert!(header.payload_len() <= payload.len());
            prop_assert_eq!(header.header_len + payload.len(), datagram.len());
        }
    }

    #[test]
    fn a_header_that_is_written_is_read(
        source: [u8; 4],
        destination: [u8; 4],
        id: NonZeroU16,
        payload_len in 0usize..=4088,
    ) {
        let [source, destination] = [source, destination].map(Ipv4Addr::from);
        let mut datagram = ipv4::advert_header(source, destination, id, payload_len).to_vec();
        prop_assert_eq!(pnet_packet::util::checksum(&datagram, usize::MAX), 0);
        datagram.resize(20 + payload_len, 0);
        let (header, payload) = ipv4::parse(&datagram).unwrap();
        prop_assert_eq!((header.source, header.destination), (source, destination));
        prop_assert_eq!((header.ttl, header.protocol), (TTL, PROTOCOL));
        prop_assert_eq!((header.payload_len(), payload.len()), (payload_len, payload_len));
    }
}
