//! Can a frame of the native protocol make reading it panic, or be understood in two ways?
//!
//! `cargo +nightly fuzz run native`

#![no_main]

use floatlock::wire::native::{
    BootId, ClusterId, Expect, FRAME_LEN_MAX, Frame, HEADER_LEN, Heartbeat, Key, Keyring, MAC_LEN,
    MAGIC, NodeId, Received, VERSION, decode,
};
use libfuzzer_sys::fuzz_target;

const CLUSTER: ClusterId = ClusterId(1);
const US: NodeId = NodeId(2);
const PEER: NodeId = NodeId(3);

fuzz_target!(|data: &[u8]| {
    let Some((control, payload)) = data.split_first() else {
        return;
    };
    let Ok(key) = Key::new(&[7; 32]) else {
        return;
    };
    let mut payload = payload.to_vec();
    let sealed = control & 1 == 1 && seal(&mut payload, &key);
    let keys = Keyring::new(key, None);
    let received = Received {
        payload: &payload,
        ttl: 255,
        on_link: true,
    };
    let expect = Expect {
        cluster: CLUSTER,
        keys: &keys,
        node: US,
        boot_id: BootId([4; 16]),
        peers: &[PEER],
    };
    if let Ok(frame) = decode(&received, &expect) {
        assert!(sealed, "nobody guesses a MAC");
        assert_eq!(said_again(&frame, keys.current()), payload);
    }
});

/// The frame that says the same: there is no other.
fn said_again(frame: &Frame<'_>, key: &Key) -> Vec<u8> {
    let heard: Vec<_> = frame.heard().collect();
    let groups: Vec<_> = frame.groups().collect();
    assert_eq!(groups.len(), frame.group_count());
    let heartbeat = Heartbeat {
        cluster: CLUSTER,
        header: frame.header,
        heard: &heard,
        groups: &groups,
        template: frame.template,
    };
    let mut buffer = vec![0; FRAME_LEN_MAX];
    let written = heartbeat.emit(key, &mut buffer);
    written.map(<[u8]>::to_vec).unwrap_or_default()
}

/// Makes right what a fuzzer would never find: the start, the sender and the MAC.
fn seal(payload: &mut [u8], key: &Key) -> bool {
    let len = payload.len();
    if !(HEADER_LEN + MAC_LEN..=FRAME_LEN_MAX).contains(&len) {
        return false;
    }
    let (signed, mac) = payload.split_at_mut(len - MAC_LEN);
    signed[..2].copy_from_slice(&MAGIC);
    signed[2] = VERSION;
    signed[4..6].copy_from_slice(&(len as u16).to_be_bytes());
    signed[6..10].copy_from_slice(&key.id().0);
    signed[10..18].copy_from_slice(&CLUSTER.0.to_be_bytes());
    signed[18..26].copy_from_slice(&PEER.0.to_be_bytes());
    mac.copy_from_slice(&key.sign(signed));
    true
}
