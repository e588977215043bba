//! How do IPv4 neighbours learn who answers now, and how does one learn it from them? The ARP
//! frames.

use std::net::Ipv4Addr;

use pnet_base::MacAddr;
use pnet_packet::arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket};
use pnet_packet::ethernet::{EtherTypes, MutableEthernetPacket};

/// The length of the frame: Ethernet 14, ARP 28. The card pads it.
pub const FRAME_LEN: usize = 42;

/// A broadcast ARP *request* with sender = target = `address`, as keepalived sends it.
///
/// RFC 5227, section 3, explains why not a reply: more hosts update their cache on a request.
#[must_use]
pub fn gratuitous(mac: [u8; 6], address: Ipv4Addr) -> [u8; FRAME_LEN] {
    request(mac, address, MacAddr::broadcast(), address)
}

/// A broadcast ARP request from nobody for `address`: whoever has it answers, and nobody's cache
/// changes.
///
/// RFC 5227, section 2.1.1: "The 'sender IP address' field MUST be set to all zeroes; this is to
/// avoid polluting ARP caches [...]. The 'target hardware address' field is ignored and SHOULD be
/// set to all zeroes."
#[must_use]
pub fn probe(mac: [u8; 6], address: Ipv4Addr) -> [u8; FRAME_LEN] {
    request(mac, Ipv4Addr::UNSPECIFIED, MacAddr::zero(), address)
}

/// A broadcast ARP request for `target` from the address `own`, as any host asks that is about to send to it
/// (RFC 826). The one that has it answers to this host alone.
#[must_use]
pub fn question(mac: [u8; 6], own: Ipv4Addr, target: Ipv4Addr) -> [u8; FRAME_LEN] {
    request(mac, own, MacAddr::zero(), target)
}

/// Whether a frame is the answer of `target` to a [`question`] of this host, and to nobody else's.
#[must_use]
pub fn is_answer(frame: &[u8], mac: [u8; 6], own: Ipv4Addr, target: Ipv4Addr) -> bool {
    let Some(frame) = frame.first_chunk::<FRAME_LEN>() else {
        return false;
    };
    let is_reply = frame[20..22] == [0, 2];
    let to_us = frame[..6] == mac && frame[32..38] == mac && frame[38..] == own.octets();
    let from = sender(frame).filter(|(theirs, _)| *theirs != mac);
    is_reply && to_us && from.is_some_and(|(_, address)| address == target)
}

/// An address that somebody says is his, and by which hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The sender's hardware address.
    pub mac: [u8; 6],
    /// The sender's address.
    pub address: Ipv4Addr,
}

impl Claim {
    /// What a frame from the Ethernet header on claims: `None` where it is no ARP packet, or where
    /// its sender claims nothing, as one that probes.
    ///
    /// RFC 5227, section 2.1.1: "any ARP packet (Request *or* Reply) [...] where the packet's
    /// 'sender IP address' is the address being probed for" tells that it is in use.
    #[must_use]
    pub fn read(frame: &[u8]) -> Option<Self> {
        let (mac, address) = sender(frame.first_chunk()?)?;
        (!address.is_unspecified()).then_some(Self { mac, address })
    }

    /// The address that somebody probes for, who is about to claim it.
    ///
    /// RFC 5227, section 2.1.1: an "ARP Probe where the packet's 'target IP address' is the address
    /// being probed for, and the packet's 'sender hardware address' is not the hardware address of any
    /// of the host's interfaces" is a conflict, too.
    #[must_use]
    pub fn ahead(frame: &[u8]) -> Option<Self> {
        let frame = frame.first_chunk::<FRAME_LEN>()?;
        let (mac, nobody) = sender(frame)?;
        let address = Ipv4Addr::from(*frame[38..].first_chunk::<4>()?);
        let probes = frame[20..22] == [0, 1] && nobody.is_unspecified();
        probes.then_some(Self { mac, address })
    }
}

/// Who sent an ARP packet for IPv4 over Ethernet, and from which address.
fn sender(frame: &[u8; FRAME_LEN]) -> Option<([u8; 6], Ipv4Addr)> {
    let is_arp = frame[12..14] == [0x08, 0x06];
    // Ethernet, IPv4, and the lengths of their addresses (RFC 826).
    let is_known = frame[14..20] == [0, 1, 0x08, 0, 6, 4];
    let is_either = matches!(frame[20..22], [0, 1 | 2]);
    let mac = *frame[22..].first_chunk()?;
    let address = Ipv4Addr::from(*frame[28..].first_chunk::<4>()?);
    (is_arp && is_known && is_either).then_some((mac, address))
}

#[expect(clippy::expect_used, reason = "the array is as long as both headers")]
fn request(
    mac: [u8; 6],
    sender: Ipv4Addr,
    target_mac: MacAddr,
    target: Ipv4Addr,
) -> [u8; FRAME_LEN] {
    let mut frame = [0; FRAME_LEN];
    let mut ethernet = MutableEthernetPacket::new(&mut frame[..14]).expect("14 bytes");
    ethernet.set_destination(MacAddr::broadcast());
    ethernet.set_source(mac.into());
    ethernet.set_ethertype(EtherTypes::Arp);

    let mut arp = MutableArpPacket::new(&mut frame[14..]).expect("28 bytes");
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    arp.set_operation(ArpOperations::Request);
    arp.set_sender_hw_addr(mac.into());
    arp.set_sender_proto_addr(sender);
    arp.set_target_hw_addr(target_mac);
    arp.set_target_proto_addr(target);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];
    const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

    #[test]
    fn rfc5227_2_1_1_a_probe_comes_from_nobody() {
        #[rustfmt::skip]
        let expected = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // to all
            2, 0, 0, 0, 0, 7,
            0x08, 0x06,
            0, 1, 0x08, 0x00, 6, 4, // Ethernet, IPv4
            0, 1, // request
            2, 0, 0, 0, 0, 7, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 192, 0, 2, 10,
        ];
        assert_eq!(probe(MAC, VIP), expected);
    }

    #[test]
    fn an_answer_and_an_announcement_claim_their_sender_s_address() {
        let announced = gratuitous(MAC, VIP);
        let mut answer = announced;
        answer[21] = 2;
        let claim = Claim {
            mac: MAC,
            address: VIP,
        };
        for frame in [announced, answer] {
            assert_eq!(Claim::read(&frame), Some(claim));
            let padded = [&frame[..], &[0; 18]].concat();
            assert_eq!(Claim::read(&padded), Some(claim));
        }
    }

    #[test]
    fn only_a_reply_of_the_target_to_this_host_is_an_answer() {
        const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
        const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 9];
        let mut asked = question(MAC, VIP, GATEWAY);
        assert_eq!(asked[28..32], VIP.octets(), "from an address of its own");
        assert_eq!(asked[38..], GATEWAY.octets());
        assert!(!is_answer(&asked, MAC, VIP, GATEWAY), "the question itself");
        // What the gateway asks or announces is no answer, though it comes from there.
        let announced = gratuitous(THEIRS, GATEWAY);
        assert!(!is_answer(&announced, MAC, VIP, GATEWAY));
        asked[..6].copy_from_slice(&MAC);
        asked[21] = 2;
        asked[22..28].copy_from_slice(&THEIRS);
        asked[28..32].copy_from_slice(&GATEWAY.octets());
        asked[32..38].copy_from_slice(&MAC);
        asked[38..].copy_from_slice(&VIP.octets());
        assert!(is_answer(&asked, MAC, VIP, GATEWAY));
        assert!(!is_answer(&asked, MAC, GATEWAY, GATEWAY), "to another one");
        assert!(!is_answer(&asked, MAC, VIP, VIP), "of another one");
        assert!(!is_answer(&asked[..FRAME_LEN - 1], MAC, VIP, GATEWAY));
        asked[32] ^= 1;
        assert!(!is_answer(&asked, MAC, VIP, GATEWAY), "to another card");
    }

    #[test]
    fn somebody_else_s_probe_claims_nothing() {
        assert_eq!(Claim::read(&probe(MAC, VIP)), None);
    }

    #[test]
    fn rfc5227_2_1_1_a_probe_tells_of_the_address_that_somebody_is_about_to_claim() {
        let claim = Claim {
            mac: MAC,
            address: VIP,
        };
        let mut asked = probe(MAC, VIP);
        assert_eq!(Claim::ahead(&asked), Some(claim));
        assert_eq!(Claim::ahead(&gratuitous(MAC, VIP)), None);
        asked[21] = 2;
        assert_eq!(Claim::ahead(&asked), None, "a reply");
    }

    #[test]
    fn what_is_no_arp_for_ipv4_over_ethernet_claims_nothing() {
        for (at, value) in [
            (12, 0x86),
            (13, 0),
            (15, 6),
            (16, 0),
            (18, 8),
            (19, 16),
            (21, 3),
        ] {
            let mut frame = gratuitous(MAC, VIP);
            frame[at] = value;
            assert_eq!(Claim::read(&frame), None, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (Claim::read(&bytes), Claim::ahead(&bytes));
        }

        #[test]
        fn what_is_cut_short_claims_nothing(length in 0..FRAME_LEN) {
            prop_assert_eq!(Claim::read(&gratuitous(MAC, VIP)[..length]), None);
        }
    }
}
