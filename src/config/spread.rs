//! Which ranges of addresses meet? Sorted once, and never looked at address by address.

use std::net::IpAddr;

use super::address::Entry;

/// A range of addresses in a scope: ranges of two scopes never meet.
pub(super) struct Piece<K> {
    scope: K,
    first: u128,
    last: u128,
    entry: usize,
}

impl<K> Piece<K> {
    /// What an entry stands for; `number` is how the caller knows the entry again.
    pub(super) fn of(scope: K, entry: &Entry, number: usize) -> Self {
        Piece {
            scope,
            first: position(entry.first()),
            last: position(entry.last()),
            entry: number,
        }
    }
}

/// Both families in one line: an entry is never an IPv4-mapped IPv6 address.
fn position(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Pieces in order.
pub(super) struct Spread<K> {
    pieces: Vec<Piece<K>>,
    /// For each piece, which one up to it reaches furthest in its scope.
    reach: Vec<usize>,
}

impl<K: Ord> Spread<K> {
    pub(super) fn of(mut pieces: Vec<Piece<K>>) -> Self {
        let order = |a: &Piece<K>, b: &Piece<K>| {
            let scope = a.scope.cmp(&b.scope);
            scope.then_with(|| (a.first, a.entry).cmp(&(b.first, b.entry)))
        };
        pieces.sort_unstable_by(order);
        let mut reach: Vec<usize> = Vec::with_capacity(pieces.len());
        for (at, piece) in pieces.iter().enumerate() {
            let furthest = reach.last().copied().filter(|best| {
                pieces[*best].scope == piece.scope && pieces[*best].last >= piece.last
            });
            reach.push(furthest.unwrap_or(at));
        }
        Self { pieces, reach }
    }

    /// Every entry that meets one before it in this order, as (the lower number, the higher one).
    pub(super) fn clashes(&self) -> Vec<(usize, usize)> {
        let mut clashes = Vec::new();
        for (at, piece) in self.pieces.iter().enumerate().skip(1) {
            let before = &self.pieces[self.reach[at - 1]];
            if before.scope == piece.scope && before.last >= piece.first {
                let (a, b) = (before.entry, piece.entry);
                clashes.push((a.min(b), a.max(b)));
            }
        }
        clashes
    }

    /// The entry that an address is in.
    pub(super) fn find(&self, scope: &K, address: IpAddr) -> Option<usize> {
        let wanted = position(address);
        let upto = |p: &Piece<K>| p.scope.cmp(scope).then(p.first.cmp(&wanted)).is_le();
        let after = self.pieces.partition_point(upto);
        let piece = &self.pieces[self.reach[after.checked_sub(1)?]];
        (piece.scope == *scope && piece.last >= wanted).then_some(piece.entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(scope: u8, first: u128, last: u128, entry: usize) -> Piece<u8> {
        Piece {
            scope,
            first,
            last,
            entry,
        }
    }

    #[test]
    fn a_long_range_meets_every_later_one_inside_it() {
        let pieces = vec![
            piece(1, 0, 100, 2),
            piece(1, 10, 10, 0),
            piece(1, 20, 30, 1),
            piece(1, 101, 101, 3),
            piece(2, 10, 10, 4),
        ];
        assert_eq!(Spread::of(pieces).clashes(), [(0, 2), (1, 2)]);
    }

    #[test]
    fn an_address_is_found_in_its_scope_only() {
        let low = position(IpAddr::from([192, 0, 2, 0]));
        let pieces = vec![piece(1, low, low + 63, 0), piece(1, low + 1, low + 1, 1)];
        let spread = Spread::of(pieces);
        assert_eq!(spread.find(&1, IpAddr::from([192, 0, 2, 63])), Some(0));
        assert_eq!(spread.find(&1, IpAddr::from([192, 0, 2, 64])), None);
        assert_eq!(spread.find(&2, IpAddr::from([192, 0, 2, 1])), None);
        assert_eq!(spread.find(&1, IpAddr::from([192, 0, 1, 1])), None);
    }
}
