//! How often did what come in? Numbers with names that dashboards can rely on.

use super::{KeyAge, Rejected};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What became of received frames; the names are those of the status output.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// Every counter by its name, always in the same order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Frames that count.
    accepted,
    /// Those of them that came with the old key: when this stands still, the key can go.
    old_key,
    /// [`Rejected::Truncated`].
    truncated,
    /// [`Rejected::Magic`].
    magic,
    /// [`Rejected::UnknownVersion`].
    unknown_version,
    /// [`Rejected::Overlong`].
    overlong,
    /// [`Rejected::Cluster`].
    cluster_other,
    /// [`Rejected::KeyId`].
    key_id,
    /// [`Rejected::Mac`].
    mac,
    /// [`Rejected::Ttl`].
    ttl,
    /// [`Rejected::OwnFrame`].
    own_frame,
    /// [`Rejected::SecondSelf`].
    second_self,
    /// [`Rejected::UnknownNode`].
    unknown_node,
    /// [`Rejected::Counts`].
    counts,
    /// [`Rejected::Reference`].
    reference,
    /// [`Rejected::GroupNumber`].
    group_number,
    /// [`Rejected::Role`].
    role,
    /// [`Rejected::Priority`].
    priority,
    /// [`Rejected::Statement`].
    statement,
    /// [`Rejected::ZeroNonce`].
    zero_nonce,
    /// [`Rejected::Lease`].
    lease,
    /// [`Rejected::Flag`].
    flag,
    /// [`Rejected::Refusal`].
    refusal,
    /// [`Rejected::UnusedBytes`].
    unused_bytes,
    /// [`Rejected::GroupOrder`].
    group_order,
    /// Frames that count, about groups that they do not write out and that are not remembered here:
    /// nothing is heard of these.
    unknown_template,
}

impl Counters {
    /// Counts a frame that counts.
    pub fn count_accepted(&mut self, key: KeyAge) {
        self.accepted += 1;
        self.old_key += u64::from(key == KeyAge::Old);
    }

    /// Counts a frame that does not count.
    pub fn count_rejected(&mut self, rejected: &Rejected) {
        *self.of(rejected) += 1;
    }

    fn of(&mut self, rejected: &Rejected) -> &mut u64 {
        match rejected {
            Rejected::Truncated { .. } => &mut self.truncated,
            Rejected::Magic { .. } => &mut self.magic,
            Rejected::UnknownVersion { .. } => &mut self.unknown_version,
            Rejected::Overlong { .. } => &mut self.overlong,
            Rejected::Cluster { .. } => &mut self.cluster_other,
            Rejected::KeyId { .. } => &mut self.key_id,
            Rejected::Mac => &mut self.mac,
            Rejected::Ttl { .. } => &mut self.ttl,
            Rejected::OwnFrame => &mut self.own_frame,
            Rejected::SecondSelf { .. } => &mut self.second_self,
            Rejected::UnknownNode { .. } => &mut self.unknown_node,
            Rejected::Counts { .. } => &mut self.counts,
            Rejected::Reference => &mut self.reference,
            Rejected::GroupNumber => &mut self.group_number,
            Rejected::Role { .. } => &mut self.role,
            Rejected::Priority { .. } => &mut self.priority,
            Rejected::Statement { .. } => &mut self.statement,
            Rejected::ZeroNonce => &mut self.zero_nonce,
            Rejected::Lease { .. } => &mut self.lease,
            Rejected::Flag { .. } => &mut self.flag,
            Rejected::Refusal { .. } => &mut self.refusal,
            Rejected::UnusedBytes => &mut self.unused_bytes,
            Rejected::GroupOrder => &mut self.group_order,
        }
    }
}
