//! Is in a map what should be? All of it in two numbers, whatever the order and however much.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::find;
use super::message::{
    DATA_VALUE, DATA_VERDICT, ELEMENT_DATA, ELEMENT_KEY, LIST_ITEM, VERDICT_CHAIN, VERDICT_CODE,
};
use crate::net::rtnl::message::{next_attribute, text};

/// linux/netfilter/nf_tables.h: NFT_JUMP.
const JUMP: i32 = -3;

/// The elements of a map to verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    elements: usize,
    sum: u64,
}

impl Contents {
    /// An element that leads from this key to a chain.
    pub fn add_jump(&mut self, key: &[u8], chain: &str) {
        self.add(key, &JUMP.to_be_bytes(), chain);
    }

    fn add(&mut self, key: &[u8], code: &[u8], chain: &str) {
        let mut hasher = DefaultHasher::new();
        (key, code, chain).hash(&mut hasher);
        self.elements += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }

    /// A list of elements, as the kernel writes it.
    pub(super) fn read(&mut self, mut list: &[u8]) {
        while let Some((kind, element)) = next_attribute(&mut list) {
            if kind != LIST_ITEM {
                continue;
            }
            let inside = |outer, inner| find(find(element, outer)?, inner);
            let key = inside(ELEMENT_KEY, DATA_VALUE).unwrap_or_default();
            let verdict = inside(ELEMENT_DATA, DATA_VERDICT).unwrap_or_default();
            let code = find(verdict, VERDICT_CODE).unwrap_or_default();
            let chain = find(verdict, VERDICT_CHAIN).map(text).unwrap_or_default();
            self.add(key, code, &chain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_differ_by_each_key_and_chain_and_not_by_the_order() {
        let of = |elements: &[(&[u8], &str)]| {
            let mut contents = Contents::default();
            let add = |(key, chain): &(&[u8], &str)| contents.add_jump(key, chain);
            elements.iter().for_each(add);
            contents
        };
        let (one, other): ((&[u8], _), (&[u8], _)) = ((&[1, 2], "a"), (&[1, 3], "b"));
        assert_eq!(of(&[one, other]), of(&[other, one]));
        assert_ne!(of(&[one, other]), of(&[one, one]));
        assert_ne!(of(&[(&[1, 2], "b")]), of(&[one]));
        assert_ne!(of(&[]), of(&[one]));
    }
}
