//! How often did what come in? Numbers with names that dashboards can rely on.

use super::{Accepted, ChecksumForm, Rejected, Warning};

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
    /// Adverts that count.
    accepted,
    /// VRRPv3 over IPv4 whose checksum had a pseudo-header.
    checksum_pseudo_header,
    /// VRRPv3 over IPv4 whose checksum had no pseudo-header.
    checksum_plain,
    /// VRRPv3 over unicast IPv4 whose checksum had a multicast pseudo-header.
    checksum_old_unicast,
    /// Accepted with another interval.
    interval_differs,
    /// Accepted with another number of addresses.
    address_count_differs,
    /// Accepted with other addresses.
    address_list_differs,
    /// [`Rejected::Truncated`].
    truncated,
    /// [`Rejected::Overlong`].
    overlong,
    /// [`Rejected::UnknownVersion`].
    unknown_version,
    /// [`Rejected::AuthHeader`].
    auth_header,
    /// [`Rejected::Ttl`].
    ttl,
    /// [`Rejected::Type`].
    unknown_type,
    /// [`Rejected::ZeroInterval`].
    zero_interval,
    /// [`Rejected::NoAddresses`].
    no_addresses,
    /// [`Rejected::TotalLength`].
    total_length,
    /// [`Rejected::Checksum`].
    checksum,
    /// [`Rejected::Version`].
    version_conflict,
    /// [`Rejected::Interval`].
    interval_conflict,
    /// [`Rejected::AuthType`].
    auth_type,
    /// [`Rejected::AuthMismatch`].
    auth_mismatch,
    /// [`Rejected::VridOther`].
    vrid_other,
    /// [`Rejected::Mode`].
    mode,
    /// [`Rejected::UnlistedSource`].
    unlisted_source,
    /// [`Rejected::LocalOwner`].
    local_owner,
    /// [`Rejected::SecondOwner`].
    second_owner,
    /// [`Rejected::OwnAdvert`].
    own_advert,
}

impl Counters {
    /// Counts an advert that counts, its checksum's form and its oddities.
    pub fn count_accepted(&mut self, accepted: &Accepted<'_>) {
        self.accepted += 1;
        match accepted.checksum {
            ChecksumForm::Only => {}
            ChecksumForm::PseudoHeader => self.checksum_pseudo_header += 1,
            ChecksumForm::Plain => self.checksum_plain += 1,
            ChecksumForm::OldUnicast => self.checksum_old_unicast += 1,
        }
        for warning in accepted.warnings.iter() {
            match warning {
                Warning::Interval => self.interval_differs += 1,
                Warning::AddressCount => self.address_count_differs += 1,
                Warning::AddressList => self.address_list_differs += 1,
            }
        }
    }

    /// Counts a frame that does not count.
    pub fn count_rejected(&mut self, rejected: &Rejected) {
        *self.of(rejected) += 1;
    }

    fn of(&mut self, rejected: &Rejected) -> &mut u64 {
        match rejected {
            Rejected::Truncated { .. } => &mut self.truncated,
            Rejected::Overlong { .. } => &mut self.overlong,
            Rejected::UnknownVersion { .. } => &mut self.unknown_version,
            Rejected::AuthHeader => &mut self.auth_header,
            Rejected::Ttl { .. } => &mut self.ttl,
            Rejected::Type { .. } => &mut self.unknown_type,
            Rejected::ZeroInterval => &mut self.zero_interval,
            Rejected::NoAddresses => &mut self.no_addresses,
            Rejected::TotalLength { .. } => &mut self.total_length,
            Rejected::Checksum => &mut self.checksum,
            Rejected::Version { .. } => &mut self.version_conflict,
            Rejected::Interval { .. } => &mut self.interval_conflict,
            Rejected::AuthType { .. } => &mut self.auth_type,
            Rejected::AuthMismatch => &mut self.auth_mismatch,
            Rejected::VridOther { .. } => &mut self.vrid_other,
            Rejected::Mode { .. } => &mut self.mode,
            Rejected::UnlistedSource => &mut self.unlisted_source,
            Rejected::LocalOwner => &mut self.local_owner,
            Rejected::SecondOwner => &mut self.second_owner,
            Rejected::OwnAdvert => &mut self.own_advert,
        }
    }
}
