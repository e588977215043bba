//! Are these the bytes? Frames field by field: what Debian's keepalived 2.2.7 sent on a wire, and
//! for the forms that it cannot send, worked out by hand from the RFC.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::time::Duration;

use floatlock::config::{Checksum, Family, Version};
use floatlock::wire::vrrp::{
    Advert, ChecksumForm, Class, Expect, GROUP_V4, GROUP_V6, Received, Rejected, Unsendable,
    message_len, receive,
};
use floatlock::wire::{arp, ipv4, ndp};

/// Hex digits, with a comment after each `#`.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let code = text.lines().filter_map(|line| line.split('#').next());
    let digits: String = code.flat_map(str::split_whitespace).collect();
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect(text);
    (0..digits.len()).step_by(2).map(pair).collect()
}

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const SOURCE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
const ELSE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9));
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

const fn vip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

/// An advert, the bytes that say it, and how its checksum is known.
pub(crate) struct Golden {
    pub(crate) name: &'static str,
    pub(crate) advert: Advert<'static>,
    pub(crate) form: ChecksumForm,
    pub(crate) text: &'static str,
}

const V2: Advert<'static> = Advert {
    version: Version::V2,
    vrid: 51,
    priority: 100,
    interval: Duration::from_secs(1),
    addresses: &[vip(10)],
    auth: None,
    source: SOURCE,
    destination: IpAddr::V4(GROUP_V4),
    checksum: Checksum::PseudoHeader,
};

const V3: Advert<'static> = Advert {
    version: Version::V3,
    vrid: 53,
    priority: 150,
    interval: Duration::from_millis(250),
    addresses: &[vip(13), vip(14)],
    ..V2
};

const UNICAST: Advert<'static> = Advert {
    vrid: 57,
    interval: Duration::from_secs(1),
    addresses: &[vip(17)],
    destination: PEER,
    ..V3
};

pub(crate) const ALL: &[Golden] = &[
    Golden {
        name: "v2 without authentication (keepalived)",
        advert: V2,
        form: ChecksumForm::Only,
        text: "21 # version 2, type 1
            33 # VRID 51
            64 # priority 100
            01 # one address
            00 # no authentication
            01 # every second
            b8bf # checksum
            c000020a # 192.0.2.10
            0000000000000000 # authentication data, there all the same",
    },
    Golden {
        name: "v2 with a password (keepalived)",
        advert: Advert {
            vrid: 52,
            priority: 150,
            addresses: &[vip(11), vip(12)],
            auth: Some(*b"1111\0\0\0\0"),
            ..V2
        },
        form: ChecksumForm::Only,
        text: "21 # version 2, type 1
            34 # VRID 52
            96 # priority 150
            02 # two addresses
            01 # plain-text password
            01 # every second
            614d # checksum, over the password too
            c000020b # 192.0.2.11
            c000020c # 192.0.2.12
            3131313100000000 # 1111, zero-padded",
    },
    Golden {
        name: "v2 resigning (keepalived)",
        advert: Advert { priority: 0, ..V2 },
        form: ChecksumForm::Only,
        text: "21 33
            00 # priority 0
            01 00 01
            1cc0 # checksum
            c000020a 0000000000000000",
    },
    Golden {
        name: "v3 IPv4, pseudo-header (keepalived)",
        advert: V3,
        form: ChecksumForm::PseudoHeader,
        text: "31 # version 3, type 1
            35 # VRID 53
            96 # priority 150
            02 # two addresses
            0019 # 25 centiseconds
            11fe # checksum, with the pseudo-header c0000201 e0000012 00 70 0010
            c000020d # 192.0.2.13
            c000020e # 192.0.2.14",
    },
    Golden {
        name: "v3 IPv4, plain (by hand)",
        advert: Advert {
            checksum: Checksum::Plain,
            ..V3
        },
        form: ChecksumForm::Plain,
        text: "31 35 96 02 0019
            b492 # checksum, over the message only
            c000020d c000020e",
    },
    Golden {
        name: "v3 IPv4, an interval of more than 8 bits (keepalived)",
        advert: Advert {
            vrid: 54,
            priority: 254,
            interval: Duration::from_millis(10_240),
            addresses: &[vip(15)],
            ..V3
        },
        form: ChecksumForm::PseudoHeader,
        text: "31 36 fe 01
            0400 # four reserved bits, 1024 centiseconds
            6827 # checksum
            c000020f",
    },
    Golden {
        name: "v3 IPv4 unicast, pseudo-header (keepalived)",
        advert: UNICAST,
        form: ChecksumForm::PseudoHeader,
        text: "31 39 96 01 0064
            f1ce # checksum, with the pseudo-header c0000201 c0000202 00 70 000c
            c0000211",
    },
    Golden {
        name: "v3 IPv6 (keepalived, its kernel's checksum)",
        advert: Advert {
            vrid: 55,
            interval: Duration::from_secs(1),
            addresses: &[
                IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x55)),
                IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x55)),
            ],
            source: SOURCE_V6,
            destination: IpAddr::V6(GROUP_V6),
            ..V3
        },
        form: ChecksumForm::Only,
        text: "31 # version 3, type 1
            37 # VRID 55
            96 # priority 150
            02 # two addresses
            0064 # 100 centiseconds
            0d4f # checksum, with the pseudo-header fe80::1 ff02::12 00000028 000000 70
            fe800000000000000000000000000055
            20010db8000000000000000000000055",
    },
];

#[test]
fn an_advert_becomes_these_bytes() {
    let mut message = Vec::new();
    for golden in ALL {
        golden.advert.emit(&mut message).unwrap();
        assert_eq!(message, bytes(golden.text), "{}", golden.name);
    }
}

#[test]
fn these_bytes_are_heard_as_what_they_say() {
    for golden in ALL {
        let payload = bytes(golden.text);
        let heard = receive(&received(&golden.advert, &payload), &expect(&golden.advert)).unwrap();
        assert_eq!(heard.priority, golden.advert.priority, "{}", golden.name);
        assert_eq!(heard.interval, golden.advert.interval, "{}", golden.name);
        assert!(
            heard
                .addresses
                .iter()
                .eq(golden.advert.addresses.iter().copied())
        );
        assert_eq!(heard.checksum, golden.form, "{}", golden.name);
        assert!(heard.warnings.is_empty(), "{}", golden.name);
    }
}

fn received<'a>(advert: &Advert<'_>, payload: &'a [u8]) -> Received<'a> {
    Received {
        source: advert.source,
        destination: advert.destination,
        ttl: 255,
        payload,
        ip_payload_len: Some(payload.len()),
        authentication_header: false,
    }
}

/// What the advert's receiver expects.
fn expect<'a>(advert: &Advert<'a>) -> Expect<'a> {
    Expect {
        version: advert.version,
        vrid: advert.vrid,
        interval: advert.interval,
        auth: advert.auth,
        multicast: advert.destination.is_multicast(),
        peers: &[],
        local: if advert.source.is_ipv4() {
            PEER
        } else {
            ELSE_V6
        },
        addresses: advert.addresses,
        owner: false,
    }
}

/// keepalived 2.2.7 with `old_unicast_checksum`: we hear it, but never send it.
#[test]
fn the_old_unicast_checksum_is_heard_and_told() {
    let payload = bytes(
        "31 38 96 01 0064
        d3c0 # checksum, with the pseudo-header c0000201 e0000012 00 70 000c
        c0000210",
    );
    let advert = Advert {
        vrid: 56,
        addresses: &[vip(16)],
        ..UNICAST
    };
    let heard = receive(&received(&advert, &payload), &expect(&advert)).unwrap();
    assert_eq!(heard.checksum, ChecksumForm::OldUnicast);
}

/// keepalived 2.2.7 with `auth_type AH`: no longer part of VRRPv2.
#[test]
fn an_authentication_header_is_told_as_such() {
    let datagram = bytes(
        "45 c0 0040 0001 0000 ff
        33 # protocol 51
        18b6 c0000201 e0000012
        70 # next header 112
        04 # (4 + 2) * 4 bytes
        0000 # reserved
        c0000201 00000001 # SPI, sequence
        d495f5c7ee63dd3dc4427dbf # HMAC-MD5-96
        21 3a 96 01
        02 # authentication type 2
        01 84b0 c0000212 0000000000000000",
    );
    let advert = Advert {
        vrid: 58,
        addresses: &[vip(18)],
        ..V2
    };
    let received = Received::from_ipv4(&datagram).unwrap();
    let rejected = receive(&received, &expect(&advert)).unwrap_err();
    assert_eq!(rejected, Rejected::AuthType { theirs: 2 });
    assert_eq!(rejected.class(), Class::Unauthentic);
}

#[test]
fn the_header_around_an_advert_becomes_these_bytes() {
    let header = bytes(
        "45 # version 4, 5 words
        c0 # internetwork control
        0024 # 36 bytes in all
        0001 # id
        0000 # may be fragmented, is not
        ff # TTL 255
        70 # protocol 112
        1895 # checksum
        c0000201 # from 192.0.2.1
        e0000012 # to 224.0.0.18",
    );
    let source = Ipv4Addr::new(192, 0, 2, 1);
    let built = ipv4::advert_header(source, GROUP_V4, NonZeroU16::MIN, 16);
    assert_eq!(built[..], header);
}

#[test]
fn a_datagram_is_read_through_its_header() {
    let datagram = bytes(
        "45 c0 0024 0001 0000 ff 70 1895 c0000201 e0000012
        31 35 96 02 0019 11fe c000020d c000020e",
    );
    let received = Received::from_ipv4(&datagram).unwrap();
    assert_eq!(
        (received.source, received.destination),
        (SOURCE, GROUP_V4.into())
    );
    assert_eq!((received.ttl, received.ip_payload_len), (255, Some(16)));
    assert!(!received.authentication_header);
    assert!(receive(&received, &expect(&V3)).is_ok());
}

#[test]
fn options_of_a_header_are_skipped() {
    let datagram = bytes(
        "46 # 6 words
        c0 0028 0001 0000 ff 70 0000 c0000201 e0000012
        94040000 # router alert
        31 35 96 02 0019 11fe c000020d c000020e",
    );
    let (header, payload) = ipv4::parse(&datagram).unwrap();
    assert_eq!(
        (header.header_len, header.total_len, header.payload_len()),
        (24, 40, 16)
    );
    assert_eq!(payload, &datagram[24..]);
}

#[test]
fn a_header_that_lies_about_lengths_is_refused() {
    let whole = bytes("45 c0 0018 0001 0000 ff 70 0000 c0000201 e0000012 31350000");
    let parse = |at: usize, byte: u8| {
        let mut datagram = whole.clone();
        datagram[at] = byte;
        ipv4::parse(&datagram).map(|(header, _)| header.total_len)
    };
    assert_eq!(parse(3, 24), Ok(24));
    assert_eq!(parse(3, 25), Err(ipv4::Malformed::TotalLength(25)));
    assert_eq!(parse(3, 19), Err(ipv4::Malformed::TotalLength(19)));
    assert_eq!(parse(0, 0x44), Err(ipv4::Malformed::HeaderLength(16)));
    assert_eq!(parse(0, 0x47), Err(ipv4::Malformed::HeaderLength(28)));
    assert_eq!(parse(0, 0x65), Err(ipv4::Malformed::Version(6)));
    let short = ipv4::parse(&whole[..19]);
    assert_eq!(short, Err(ipv4::Malformed::Truncated(19)));
}

#[test]
fn a_gratuitous_arp_becomes_these_bytes() {
    let frame = bytes(
        "ffffffffffff # to all
        020000000001 # from our card
        0806 # ARP
        0001 0800 # Ethernet, IPv4
        06 04 # address lengths
        0001 # request
        020000000001 c000020a # sender: our card has 192.0.2.10
        ffffffffffff c000020a # target: 192.0.2.10",
    );
    assert_eq!(
        arp::gratuitous(MAC, Ipv4Addr::new(192, 0, 2, 10))[..],
        frame
    );
}

#[test]
fn an_unsolicited_advertisement_becomes_these_bytes() {
    let frame = bytes(
        "333300000001 # to all nodes
        020000000001 # from our card
        86dd # IPv6
        60000000 # version 6
        0020 # 32 bytes
        3a # ICMPv6
        ff # hop limit 255
        20010db8000000000000000000000055 # from the address itself
        ff020000000000000000000000000001 # to all nodes
        88 00 # neighbour advertisement
        f882 # checksum
        20000000 # override
        20010db8000000000000000000000055 # the address
        02 01 020000000001 # target link-layer address, 8 bytes: our card",
    );
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x55);
    assert_eq!(ndp::unsolicited(MAC, address, false)[..], frame);
    let of_router = ndp::unsolicited(MAC, address, true);
    assert_eq!(
        of_router[56..62],
        bytes("7882 # checksum \n a0000000 # router, override")
    );
}

#[test]
fn an_advert_that_cannot_be_said_is_refused_and_leaves_nothing_to_send() {
    const TOO_MANY: &[IpAddr] = &[vip(1); 256];
    let refused = |advert: Advert<'_>| {
        let mut message = vec![1, 2, 3];
        let error = advert.emit(&mut message).unwrap_err();
        assert!(message.is_empty());
        error
    };
    let interval = |advert: Advert<'static>, interval| Advert { interval, ..advert };
    for bad in [0, 999, 1_001, 256_000].map(Duration::from_millis) {
        assert_eq!(refused(interval(V2, bad)), Unsendable::Interval(bad));
    }
    for bad in [0, 5, 11, 40_960].map(Duration::from_millis) {
        assert_eq!(refused(interval(V3, bad)), Unsendable::Interval(bad));
    }
    let addresses = |addresses| Advert { addresses, ..V3 };
    assert_eq!(refused(addresses(&[])), Unsendable::AddressCount(0));
    assert_eq!(refused(addresses(TOO_MANY)), Unsendable::AddressCount(256));
    assert_eq!(
        refused(addresses(&[SOURCE, SOURCE_V6])),
        Unsendable::MixedFamilies
    );
    let destination = GROUP_V6.into();
    let mixed = Advert { destination, ..V3 };
    assert_eq!(refused(mixed), Unsendable::MixedFamilies);
    let v2_over_ipv6 = Advert {
        source: SOURCE_V6,
        destination,
        addresses: &[SOURCE_V6],
        ..V2
    };
    assert_eq!(refused(v2_over_ipv6), Unsendable::V2OverIpv6);
}

#[test]
fn the_longest_intervals_are_sayable() {
    let mut message = Vec::new();
    let interval = Duration::from_secs(255);
    Advert { interval, ..V2 }.emit(&mut message).unwrap();
    assert_eq!(message[5], 255);
    let interval = Duration::from_millis(40_950);
    Advert { interval, ..V3 }.emit(&mut message).unwrap();
    assert_eq!(message[4..6], [0x0f, 0xff]);
}

#[test]
fn an_advert_fits_exactly_the_buffer_that_was_set_aside() {
    const MANY_V4: &[IpAddr] = &[SOURCE; 255];
    const MANY_V6: &[IpAddr] = &[SOURCE_V6; 255];
    let over_v6 = Advert {
        source: SOURCE_V6,
        destination: GROUP_V6.into(),
        addresses: MANY_V6,
        ..V3
    };
    let of_each = [V2, V3].map(|advert| Advert {
        addresses: MANY_V4,
        ..advert
    });
    for advert in of_each.into_iter().chain([over_v6]) {
        for count in [1, 2, 20, 255] {
            let addresses = &advert.addresses[..count];
            let len = message_len(advert.version, Family::of(advert.source), count);
            let mut message = Vec::with_capacity(len);
            let place = (message.as_ptr(), message.capacity());
            for _ in 0..3 {
                let advert = Advert {
                    addresses,
                    ..advert
                };
                advert.emit(&mut message).unwrap();
                assert_eq!(message.len(), len);
                assert_eq!((message.as_ptr(), message.capacity()), place);
            }
        }
    }
}
