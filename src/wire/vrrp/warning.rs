//! What is odd about an advert that counts all the same?

use std::fmt;

/// One oddity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Warning {
    /// VRRPv3: another interval than ours; backups adopt the MASTER's (RFC 9568, section 6.4.2).
    Interval,
    /// Another number of addresses than ours.
    AddressCount,
    /// As many addresses as ours, but others.
    AddressList,
}

impl Warning {
    const ALL: [Warning; 3] = [
        Warning::Interval,
        Warning::AddressCount,
        Warning::AddressList,
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Warning::Interval => "advertises another interval",
            Warning::AddressCount => "advertises another number of addresses",
            Warning::AddressList => "advertises other addresses",
        })
    }
}

/// A set of oddities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Warnings(u8);

impl Warnings {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `warning` is among them.
    #[must_use]
    pub const fn contains(self, warning: Warning) -> bool {
        self.0 & warning.bit() != 0
    }

    /// Those that are there.
    pub fn iter(self) -> impl Iterator<Item = Warning> {
        Warning::ALL.into_iter().filter(move |w| self.contains(*w))
    }
}

impl FromIterator<Warning> for Warnings {
    fn from_iter<I: IntoIterator<Item = Warning>>(warnings: I) -> Self {
        Self(warnings.into_iter().fold(0, |set, w| set | w.bit()))
    }
}
