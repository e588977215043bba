//! Can a datagram make reading its header panic, or point beyond its end?
//!
//! `cargo +nightly fuzz run ipv4`

#![no_main]

use floatlock::wire::ipv4;
use floatlock::wire::vrrp::Received;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    if let Ok((header, payload)) = ipv4::parse(datagram) {
        assert!(header.header_len >= ipv4::HEADER_LEN);
        assert!(header.payload_len() <= payload.len());
        assert_eq!(header.header_len + payload.len(), datagram.len());
    }
    let received = Received::from_ipv4(datagram);
    assert_eq!(received.is_ok(), ipv4::parse(datagram).is_ok());
});
