//! Does this frame count? The receive checks, in an order of which nothing is left to chance.

use super::bytes::Fields;
use super::{
    BootId, ClusterId, FRAME_LEN_MIN, GROUP_LEN, Group, HEADER_LEN, HEARD_LEN, Header, Heard,
    KeyAge, KeyId, Keyring, MAC_LEN, MAGIC, NodeId, Reference, Rejected, VERSION,
};
use crate::wire::vrrp::TTL;

/// A frame as a raw socket hands it over.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// What follows the IP header.
    pub payload: &'a [u8],
    /// The TTL, or the hop limit.
    pub ttl: u8,
    /// Whether the sender must be on the link that it came by, which is so for all multicast.
    pub on_link: bool,
}

/// What a node expects of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// Its cluster.
    pub cluster: ClusterId,
    /// The keys that it accepts.
    pub keys: &'a Keyring,
    /// Itself.
    pub node: NodeId,
    /// Its own run.
    pub boot_id: BootId,
    /// The other nodes of the cluster, witnesses too.
    pub peers: &'a [NodeId],
}

/// An authentic frame, every field of which was checked, viewed where it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Who speaks, and when.
    pub header: Header,
    /// The key that it came with.
    pub key: KeyAge,
    /// What its groups have to do with a template. A frame that has one and no group stands for
    /// all of it.
    pub template: Option<Reference>,
    heard: &'a [[u8; HEARD_LEN]],
    groups: &'a [[u8; GROUP_LEN]],
}

impl<'a> Frame<'a> {
    /// Whom the sender hears.
    pub fn heard(&self) -> impl ExactSizeIterator<Item = Heard> + Clone + use<'a> {
        self.heard
            .iter()
            .map(|entry| Heard::take(&mut Fields(entry)))
    }

    /// What it says about its groups, by rising ids.
    pub fn groups(&self) -> impl Iterator<Item = Group> + use<'a> {
        // Those that cannot be read were refused with their frame.
        self.groups
            .iter()
            .filter_map(|entry| Group::read(entry).ok())
    }

    /// How many groups it speaks of.
    #[must_use]
    pub const fn group_count(&self) -> usize {
        self.groups.len()
    }
}

/// Judges a frame.
///
/// The law: nothing but lengths, magic, version, cluster and key id is read before the MAC is known
/// to be right. Nothing is allocated, and nothing is copied but the header.
///
/// # Errors
/// The first check that failed, in the order of [`Rejected`].
pub fn decode<'a>(received: &Received<'a>, expect: &Expect<'_>) -> Result<Frame<'a>, Rejected> {
    let (sealed, key) = unseal(received, expect)?;
    let frame = sealed.frame(key, |header| check_sender(header, expect))?;
    check_groups(frame.groups)?;
    Ok(frame)
}

/// Judges a frame of another cluster, whose sender has our key all the same. Any node may be its sender: the
/// names of another cluster are its own.
///
/// # Errors
/// As [`decode`].
pub fn decode_of<'a>(
    cluster: ClusterId,
    received: &Received<'a>,
    expect: &Expect<'_>,
) -> Result<Frame<'a>, Rejected> {
    let (sealed, key) = unseal(received, &Expect { cluster, ..*expect })?;
    let frame = sealed.frame(key, |_| Ok(()))?;
    check_groups(frame.groups)?;
    Ok(frame)
}

fn unseal<'a>(
    received: &Received<'a>,
    expect: &Expect<'_>,
) -> Result<(Sealed<'a>, KeyAge), Rejected> {
    let sealed = Sealed::view(received.payload)?;
    let key = sealed.unseal(expect)?;
    if received.on_link && received.ttl != TTL {
        let theirs = received.ttl;
        return Err(Rejected::Ttl { theirs });
    }
    Ok((sealed, key))
}

/// A frame of the right length and format of which nothing is known yet.
struct Sealed<'a> {
    payload: &'a [u8],
    signed: &'a [u8],
    header: &'a [u8; HEADER_LEN],
    entries: &'a [u8],
    mac: &'a [u8; MAC_LEN],
}

/// What every format begins with: magic, version, path and length.
const PREFIX_LEN: usize = 6;
const PATH: usize = 3;

impl<'a> Sealed<'a> {
    fn view(payload: &'a [u8]) -> Result<Self, Rejected> {
        let len = payload.len();
        let truncated = |need| Rejected::Truncated { len, need };
        let prefix: &[u8; PREFIX_LEN] = payload.first_chunk().ok_or(truncated(PREFIX_LEN))?;
        let [first, second, version, _, high, low] = *prefix;
        if [first, second] != MAGIC {
            return Err(Rejected::Magic { first, second });
        }
        if version != VERSION {
            return Err(Rejected::UnknownVersion { theirs: version });
        }
        let said = usize::from(u16::from_be_bytes([high, low]));
        let need = said.max(FRAME_LEN_MIN);
        if len < need {
            return Err(truncated(need));
        }
        if len > said {
            return Err(Rejected::Overlong { len, need: said });
        }
        let (signed, mac) = payload.split_last_chunk().ok_or(truncated(need))?;
        let (header, entries) = signed.split_first_chunk().ok_or(truncated(need))?;
        Ok(Self {
            payload,
            signed,
            header,
            entries,
            mac,
        })
    }

    /// The header behind the prefix.
    fn fields(&self) -> Fields<'a> {
        Fields(self.header.get(PREFIX_LEN..).unwrap_or_default())
    }

    fn unseal(&self, expect: &Expect<'_>) -> Result<KeyAge, Rejected> {
        let mut fields = self.fields();
        let key = KeyId(fields.array());
        let cluster = ClusterId(fields.long());
        if cluster != expect.cluster {
            return Err(Rejected::Cluster { theirs: cluster });
        }
        if !expect.keys.knows(key) {
            return Err(Rejected::KeyId { theirs: key });
        }
        let verified = expect.keys.verify(key, self.signed, self.mac);
        verified.ok_or(Rejected::Mac)
    }

    /// The frame, its sender and its counts checked; of an authentic one only.
    fn frame(
        &self,
        key: KeyAge,
        check_sender: impl FnOnce(&Header) -> Result<(), Rejected>,
    ) -> Result<Frame<'a>, Rejected> {
        let mut fields = self.fields();
        // Key id and cluster, which it was unsealed by.
        let _: ([u8; 4], u64) = (fields.array(), fields.long());
        let header = Header::take(self.header[PATH], &mut fields);
        check_sender(&header)?;
        let (heard, groups) = (usize::from(fields.short()), usize::from(fields.short()));
        let entries_len = heard * HEARD_LEN + groups * GROUP_LEN;
        if entries_len != self.entries.len() {
            let need = FRAME_LEN_MIN + entries_len;
            let len = self.payload.len();
            return Err(Rejected::Counts { len, need });
        }
        let template = Reference::take(&mut fields, groups)?;
        let (heard, groups) = self.entries.split_at(heard * HEARD_LEN);
        Ok(Frame {
            header,
            key,
            template,
            heard: heard.as_chunks().0,
            groups: groups.as_chunks().0,
        })
    }
}

fn check_sender(header: &Header, expect: &Expect<'_>) -> Result<(), Rejected> {
    match (header.node, header.boot_id) {
        (node, boot_id) if node == expect.node && boot_id == expect.boot_id => {
            Err(Rejected::OwnFrame)
        }
        (node, theirs) if node == expect.node => {
            let sequence = header.sequence;
            Err(Rejected::SecondSelf { theirs, sequence })
        }
        (theirs, boot_id) if !expect.peers.contains(&theirs) => {
            let sequence = header.sequence;
            Err(Rejected::UnknownNode {
                theirs,
                boot_id,
                sequence,
            })
        }
        _ => Ok(()),
    }
}

/// Every group can be read, and no group is there twice.
fn check_groups(entries: &[[u8; GROUP_LEN]]) -> Result<(), Rejected> {
    let mut before = None;
    for entry in entries {
        let group = Group::read(entry)?;
        if before >= Some(group.id) {
            return Err(Rejected::GroupOrder);
        }
        before = Some(group.id);
    }
    Ok(())
}
