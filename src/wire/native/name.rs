//! How is a name of the file said in eight bytes? Ids of clusters, nodes and groups, and digests.

use std::fmt;

use sha2::{Digest as _, Sha256};

macro_rules! ids {
    ($($(#[doc = $doc:literal])+ $id:ident($label:literal),)+) => {$(
        $(#[doc = $doc])+
        ///
        /// The first eight bytes of a SHA-256 sum. That two of 65 000 names share an id happens
        /// less than once in a thousand million times.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $id(pub u64);

        impl $id {
            /// That of this name.
            #[must_use]
            pub fn of(name: &str) -> Self {
                Self(Digest::of($label, [name]).0)
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }
    )+};
}

ids! {
    /// A cluster, by its name.
    ClusterId("cluster"),
    /// A node, by its name.
    NodeId("node"),
    /// A group, by its name.
    GroupId("group"),
}

/// What two nodes compare to see whether they were told the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub u64);

impl Digest {
    /// Of a list, in its order: what is a set must be sorted first. `label` says what the list is
    /// about, so that two lists about different things never agree.
    ///
    /// The first eight bytes of SHA-256 over the label and each part, each with its length (four
    /// bytes) before it.
    #[must_use]
    pub fn of<'a>(label: &'a str, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut sum = Sha256::new();
        for part in std::iter::once(label).chain(parts) {
            // No name, address or list of a file of at most 4 MiB is longer than this can say.
            let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
            sum.update(len.to_be_bytes());
            sum.update(part.as_bytes());
        }
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = sum.finalize().into();
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '\0\0\0\4node\0\0\0\4lb-a' | sha256sum`
    #[test]
    fn an_id_is_the_same_on_every_host() {
        assert_eq!(NodeId::of("lb-a").to_string(), "1531c23ab8dd8d69");
    }

    #[test]
    fn names_of_different_things_have_different_ids() {
        assert_ne!(NodeId::of("web").0, GroupId::of("web").0);
        assert_ne!(ClusterId::of("web").0, GroupId::of("web").0);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let of = |parts: &[&str]| Digest::of("voters", parts.iter().copied());
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
        assert_ne!(of(&[]), Digest::of("groups", []));
    }
}
