//! Who speaks to whom in these tests? Two nodes, two keys, and frames between them.

use std::num::NonZeroU8;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::wire::native::{
    BootId, ClusterId, Configuration, Counters, Digest, Expect, FRAME_LEN_MAX, Frame, Group,
    GroupId, Header, Heard, Heartbeat, Key, Keyring, MAC_LEN, NodeId, Nonce, Received, Reference,
    Rejected, Role, Statement, decode,
};

pub(crate) const CLUSTER: ClusterId = ClusterId(0x0102_0304_0506_0708);
/// Who hears.
pub(crate) const US: NodeId = NodeId(0xaaaa_aaaa_aaaa_aaaa);
pub(crate) const OUR_BOOT: BootId = BootId([0xa0; 16]);
/// Who speaks.
pub(crate) const PEER: NodeId = NodeId(0xbbbb_bbbb_bbbb_bbbb);
pub(crate) const PEER_BOOT: BootId = BootId([0xb0; 16]);
/// A third one.
pub(crate) const THIRD: NodeId = NodeId(0xcccc_cccc_cccc_cccc);

/// The bytes 0 to 31.
pub(crate) fn current_key() -> Key {
    Key::new(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap()
}

/// The bytes 32 to 71.
pub(crate) fn old_key() -> Key {
    Key::new(&std::array::from_fn::<u8, 40, _>(|at| 32 + at as u8)).unwrap()
}

pub(crate) fn other_key() -> Key {
    Key::new(&[0x55; 32]).unwrap()
}

pub(crate) fn header() -> Header {
    Header {
        path: 1,
        node: PEER,
        boot_id: PEER_BOOT,
        sequence: 0x1_0000_0002,
        boot_time: Instant::from_nanos(3_600_000_000_000),
        configuration: Configuration {
            voters: Digest(0x5001),
            groups: Digest(0x5002),
            timing: Digest(0x5003),
            rest: Digest(0x5004),
        },
    }
}

pub(crate) fn heard() -> Heard {
    Heard {
        node: US,
        boot_id: OUR_BOOT,
        sequence: 0x77,
        path: 2,
        by: 3,
        remembered: [0, 5, 10, 0],
    }
}

pub(crate) fn nonce(number: u64) -> Nonce {
    Nonce::new(number).unwrap()
}

pub(crate) fn request() -> Statement {
    Statement::Request {
        nonce: nonce(0x99),
        lease: Duration::from_secs(1),
        holding: false,
    }
}

pub(crate) fn group(id: u64, statement: Statement) -> Group {
    Group {
        id: GroupId(id),
        number: NonZeroU8::new(51).unwrap(),
        role: Role::Master,
        priority: 150,
        fitness: 0x0203,
        addresses: Digest(0x6001),
        epoch: 64 * 7 + 1,
        statement,
    }
}

/// A frame with this content, signed with this key.
pub(crate) fn frame(key: &Key, header: Header, heard: &[Heard], groups: &[Group]) -> Vec<u8> {
    frame_of(key, header, (heard, groups, None))
}

/// The same, with a template.
pub(crate) fn frame_of(
    key: &Key,
    header: Header,
    (heard, groups, template): (&[Heard], &[Group], Option<Reference>),
) -> Vec<u8> {
    let cluster = CLUSTER;
    let heartbeat = Heartbeat {
        cluster,
        header,
        heard,
        groups,
        template,
    };
    let mut buffer = [0; FRAME_LEN_MAX];
    heartbeat.emit(key, &mut buffer).unwrap().to_vec()
}

/// A frame as a holder sends it: an echo, a request and an ack.
pub(crate) fn usual() -> Vec<u8> {
    let ack = Statement::Ack {
        boot_id: OUR_BOOT,
        nonce: nonce(5),
    };
    let groups = [group(1, request()), group(2, ack)];
    frame(&current_key(), header(), &[heard()], &groups)
}

/// Makes the length and the MAC of a changed frame right.
pub(crate) fn seal(frame: &mut [u8], key: &Key) {
    let len = u16::try_from(frame.len()).unwrap();
    frame[4..6].copy_from_slice(&len.to_be_bytes());
    let (signed, mac) = frame.split_at_mut(len as usize - MAC_LEN);
    mac.copy_from_slice(&key.sign(signed));
}

/// What we make of a frame.
pub(crate) fn hear(payload: &[u8]) -> Result<Frame<'_>, Rejected> {
    let keys = Keyring::new(current_key(), Some(old_key()));
    let expect = Expect {
        cluster: CLUSTER,
        keys: &keys,
        node: US,
        boot_id: OUR_BOOT,
        peers: &[PEER, THIRD],
    };
    let received = Received {
        payload,
        ttl: 255,
        on_link: true,
    };
    decode(&received, &expect)
}

/// The name of the counter that a rejection moves; no other may move.
pub(crate) fn counter(rejected: &Rejected) -> &'static str {
    let mut counters = Counters::default();
    counters.count_rejected(rejected);
    let moved: Vec<_> = counters.iter().filter(|(_, count)| *count > 0).collect();
    let [(name, 1)] = moved[..] else {
        panic!("{rejected:?} moved {moved:?}");
    };
    name
}
