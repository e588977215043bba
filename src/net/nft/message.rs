//! How is a request to nftables written? (linux/netfilter/nfnetlink.h and nf_tables.h)

use std::time::Duration;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST};

use super::{Act, Edit};

const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
const SUBSYSTEM: u16 = 10;
const NFPROTO_NETDEV: u8 = 5;

// NFT_MSG_..., as they stand in the header.
pub(super) const NEW_TABLE: u16 = SUBSYSTEM << 8;
pub(super) const GET_TABLE: u16 = SUBSYSTEM << 8 | 1;
pub(super) const DEL_TABLE: u16 = SUBSYSTEM << 8 | 2;
pub(super) const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
pub(super) const GET_CHAIN: u16 = SUBSYSTEM << 8 | 4;
pub(super) const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
pub(super) const GET_RULE: u16 = SUBSYSTEM << 8 | 7;
const NEW_ELEMENTS: u16 = SUBSYSTEM << 8 | 12;
pub(super) const NEW_SET_ELEMENTS: u16 = NEW_ELEMENTS;
pub(super) const GET_ELEMENTS: u16 = SUBSYSTEM << 8 | 13;
const DEL_ELEMENTS: u16 = SUBSYSTEM << 8 | 14;
pub(super) const NEW_GENERATION: u16 = SUBSYSTEM << 8 | 15;
const GET_GENERATION: u16 = SUBSYSTEM << 8 | 16;

/// Every kind of object names its table in its first attribute, and a set's elements their set in
/// the second.
pub(super) const TABLE: u16 = 1;
pub(super) const SET: u16 = 2;
pub(super) const ELEMENTS: u16 = 3;
pub(super) const LIST_ITEM: u16 = 1;
pub(super) const ELEMENT_KEY: u16 = 1;
pub(super) const ELEMENT_DATA: u16 = 2;
const ELEMENT_TIMEOUT: u16 = 4;
pub(super) const DATA_VALUE: u16 = 1;
pub(super) const DATA_VERDICT: u16 = 2;
pub(super) const VERDICT_CODE: u16 = 1;
pub(super) const VERDICT_CHAIN: u16 = 2;
const NLA_F_NESTED: u16 = 1 << 15;

/// Requests, one after the other.
pub(super) struct Request<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) sequence: &'a mut u32,
}

impl Request<'_> {
    /// One transaction: these changes, or none of them. The last is acknowledged.
    pub(super) fn batch(&mut self, table: &str, edits: &[Edit<'_>]) {
        self.edge(NFNL_MSG_BATCH_BEGIN);
        for (place, edit) in edits.iter().enumerate() {
            let ack = match place + 1 == edits.len() {
                true => NLM_F_ACK,
                false => 0,
            };
            let (kind, flags) = match edit.act {
                Act::Add { .. } => (NEW_ELEMENTS, NLM_F_CREATE),
                Act::Delete => (DEL_ELEMENTS, 0),
            };
            self.message(kind, flags | ack, |out| elements(table, edit, out));
        }
        self.edge(NFNL_MSG_BATCH_END);
    }

    /// One transaction: the table is gone, with all that is in it.
    pub(super) fn delete_table(&mut self, table: &str) {
        self.edge(NFNL_MSG_BATCH_BEGIN);
        self.message(DEL_TABLE, NLM_F_ACK, |out| named(TABLE, table, out));
        self.edge(NFNL_MSG_BATCH_END);
    }

    /// A question about the table, and about one of its sets.
    pub(super) fn ask(&mut self, kind: u16, flags: u16, table: &str, set: Option<&str>) {
        self.message(kind, flags, |out| {
            named(TABLE, table, out);
            if let Some(set) = set {
                named(SET, set, out);
            }
        });
    }

    /// A question about all rulesets of this host.
    pub(super) fn ask_generation(&mut self) {
        self.message(GET_GENERATION, NLM_F_ACK, |_| {});
    }

    fn edge(&mut self, kind: u16) {
        self.whole(kind, 0, [0, 0], SUBSYSTEM, |_| {});
    }

    fn message(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Vec<u8>)) {
        self.whole(kind, flags, [NFPROTO_NETDEV, 0], 0, body);
    }

    fn whole(
        &mut self,
        kind: u16,
        flags: u16,
        family: [u8; 2],
        resource: u16,
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        *self.sequence = self.sequence.wrapping_add(1);
        let start = self.out.len();
        let out = &mut *self.out;
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&kind.to_ne_bytes());
        out.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        out.extend_from_slice(&self.sequence.to_ne_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&family);
        out.extend_from_slice(&resource.to_be_bytes());
        body(out);
        let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

fn elements(table: &str, edit: &Edit<'_>, out: &mut Vec<u8>) {
    named(TABLE, table, out);
    named(SET, edit.set, out);
    nested(ELEMENTS, out, |out| {
        for key in edit.keys {
            nested(LIST_ITEM, out, |out| {
                nested(ELEMENT_KEY, out, |out| attribute(DATA_VALUE, key, out));
                if let Act::Add {
                    ends_in: Some(time),
                } = edit.act
                {
                    attribute(ELEMENT_TIMEOUT, &millis(time).to_be_bytes(), out);
                }
            });
        }
    });
}

/// Rounded down: never longer than asked for. None at all would mean: for ever.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn named(kind: u16, name: &str, out: &mut Vec<u8>) {
    attribute(kind, &[name.as_bytes(), b"\0"].concat(), out);
}

fn attribute(kind: u16, value: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(value);
    end(kind, start, out);
}

fn nested(kind: u16, out: &mut Vec<u8>, inside: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    inside(out);
    end(kind | NLA_F_NESTED, start, out);
}

fn end(kind: u16, start: usize, out: &mut Vec<u8>) {
    // The longest has three keys: it fits.
    let length = (out.len() - start) as u16;
    out[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    out[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_adds_an_element_that_ends() {
        let edit = Edit {
            set: "open_3",
            keys: &[&[8, 6]],
            act: Act::Add {
                ends_in: Some(Duration::from_micros(258_900)),
            },
        };
        let (mut out, mut sequence) = (Vec::new(), 7);
        let mut request = Request {
            out: &mut out,
            sequence: &mut sequence,
        };
        request.batch("fl", &[edit]);
        let expected = [
            20, 0, 0, 0, 16, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, // begin: nftables
            72, 0, 0, 0, 12, 10, /* request ack create */ 5, 4, 9, 0, 0, 0, 0, 0, 0,
            0, //
            /* netdev */ 5, 0, 0, 0, //
            7, 0, 1, 0, b'f', b'l', 0, 0, //
            11, 0, 2, 0, b'o', b'p', b'e', b'n', b'_', b'3', 0, 0, //
            32, 0, 3, 128, 28, 0, 1, 128, // the elements, and the first
            12, 0, 1, 128, 6, 0, 1, 0, 8, 6, 0, 0, // its key
            12, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 2, // 258 ms
            20, 0, 0, 0, 17, 0, 1, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10,
        ];
        assert_eq!(out, expected);
    }

    #[test]
    fn no_time_left_is_not_no_end() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
