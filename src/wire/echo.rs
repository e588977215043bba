//! How is a host asked whether it is there, and what does it answer? Echo messages of ICMP (RFC 792) and
//! ICMPv6 (RFC 4443, section 4).

use std::net::Ipv4Addr;

use pnet_packet::icmp::echo_request::MutableEchoRequestPacket;
use pnet_packet::icmp::{IcmpPacket, IcmpTypes, checksum};
use pnet_packet::icmpv6::Icmpv6Types;

use super::ipv4;
use crate::config::Family;

/// The length of a message: header 8, payload 16.
pub const LEN: usize = 24;
const PAYLOAD_AT: usize = 8;

/// What stands in an echo message, and comes back unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Who asks.
    pub id: u16,
    /// Which question.
    pub sequence: u16,
    /// Known to nobody who did not get the question.
    pub nonce: [u8; 16],
}

/// An echo request. The kernel fills in the checksum of ICMPv6, which covers addresses that it chooses
/// (RFC 3542, section 3.1).
#[must_use]
#[expect(clippy::expect_used, reason = "the array is as long as the message")]
pub fn request(family: Family, echo: Echo) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let mut message = MutableEchoRequestPacket::new(&mut bytes).expect("24 bytes");
    message.set_icmp_type(match family {
        Family::V4 => IcmpTypes::EchoRequest,
        Family::V6 => pnet_packet::icmp::IcmpType(Icmpv6Types::EchoRequest.0),
    });
    message.set_identifier(echo.id);
    message.set_sequence_number(echo.sequence);
    message.set_payload(&echo.nonce);
    if family == Family::V4 {
        let sum = checksum(&IcmpPacket::new(&bytes).expect("24 bytes"));
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// What an echo reply says: `None` for any other message, and for one that was cut off.
///
/// What is behind the sixteen bytes is not looked at: whoever answers may have padded them.
#[must_use]
pub fn reply(family: Family, message: &[u8]) -> Option<Echo> {
    let message = message.first_chunk::<LEN>()?;
    let kind = match family {
        Family::V4 => IcmpTypes::EchoReply.0,
        Family::V6 => Icmpv6Types::EchoReply.0,
    };
    let nonce = *message[PAYLOAD_AT..].first_chunk()?;
    (message[..2] == [kind, 0]).then_some(Echo {
        id: u16::from_be_bytes([message[4], message[5]]),
        sequence: u16::from_be_bytes([message[6], message[7]]),
        nonce,
    })
}

/// The same in an IPv4 datagram, as a raw socket delivers it, and whose it is.
#[must_use]
pub fn reply_in(datagram: &[u8]) -> Option<(Ipv4Addr, Echo)> {
    let (header, message) = ipv4::parse(datagram).ok()?;
    let message = message.get(..header.payload_len())?;
    Some((header.source, reply(Family::V4, message)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ECHO: Echo = Echo {
        id: 0x1234,
        sequence: 7,
        nonce: [9; 16],
    };

    #[test]
    fn rfc792_a_request_and_its_checksum() {
        let bytes = request(Family::V4, ECHO);
        assert_eq!(bytes[..2], [8, 0]);
        assert_eq!(bytes[4..8], [0x12, 0x34, 0, 7]);
        assert_eq!(bytes[8..], [9; 16]);
        let sum: u32 = bytes
            .chunks(2)
            .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]))
            .sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }

    #[test]
    fn rfc4443_4_1_a_request_of_the_other_family() {
        let bytes = request(Family::V6, ECHO);
        assert_eq!(bytes[..8], [128, 0, 0, 0, 0x12, 0x34, 0, 7]);
    }

    #[test]
    fn a_reply_says_what_the_request_said_and_a_request_is_none() {
        for (family, kind) in [(Family::V4, 0), (Family::V6, 129)] {
            let mut bytes = request(family, ECHO).to_vec();
            assert_eq!(reply(family, &bytes), None);
            bytes[0] = kind;
            assert_eq!(reply(family, &bytes), Some(ECHO));
            assert_eq!(reply(family, &bytes[..LEN - 1]), None);
            bytes.extend([0; 4]);
            assert_eq!(reply(family, &bytes), Some(ECHO));
            bytes[1] = 1;
            assert_eq!(reply(family, &bytes), None, "another code");
        }
    }

    #[test]
    fn a_datagram_says_who_answered() {
        let mut message = request(Family::V4, ECHO);
        message[0] = 0;
        #[rustfmt::skip]
        let header = [
            0x45, 0, 0, 44, 0, 0, 0, 0, 64, 1, 0, 0,
            192, 0, 2, 1, 192, 0, 2, 2,
        ];
        let datagram = [&header[..], &message].concat();
        let from = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(reply_in(&datagram), Some((from, ECHO)));
        let mut short = datagram;
        short[3] = 43;
        assert_eq!(reply_in(&short), None, "the last byte is padding");
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = reply(Family::V4, &bytes);
            let _ = reply(Family::V6, &bytes);
            let _ = reply_in(&bytes);
        }
    }
}
