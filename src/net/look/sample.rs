//! Which of a group's addresses are asked for? All of a few, some of many.

use crate::config::Family;
use crate::net::addresses::Placed;

/// The addresses of a group move together: whoever answers for one of them is found by a few.
const MOST: usize = 8;

/// Up to eight of the addresses, the first one and others spread over the list; and where those
/// leave an interface or a family of it out, the first one there as well.
#[must_use]
pub fn sample(placed: &[Placed]) -> Vec<Placed> {
    let count = placed.len().min(MOST);
    let spread = (0..count).map(|n| placed[n * placed.len() / count].clone());
    let mut chosen: Vec<Placed> = spread.collect();
    for one in placed {
        let is_asked = |other: &Placed| {
            Family::of(other.address) == Family::of(one.address) && other.interface == one.interface
        };
        if !chosen.iter().any(is_asked) {
            chosen.push(one.clone());
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn on(interface: &str, address: IpAddr) -> Placed {
        Placed {
            interface: interface.into(),
            address,
        }
    }

    fn many(count: u32) -> Vec<Placed> {
        let v4 = |n| on("eth0", Ipv4Addr::from_bits(0x0a00_0000 + n).into());
        (0..count).map(v4).collect()
    }

    #[test]
    fn of_few_addresses_all_are_asked_for() {
        for count in 0..=8 {
            assert_eq!(sample(&many(count)), many(count));
        }
    }

    #[test]
    fn of_many_addresses_eight_are_asked_for_spread_over_the_list() {
        for count in [9, 100, 10_000] {
            let all = many(count);
            let chosen = sample(&all);
            assert_eq!((chosen.len(), &chosen[0]), (8, &all[0]));
            let places = chosen
                .iter()
                .map(|c| all.iter().position(|p| p == c).unwrap());
            let places: Vec<usize> = places.collect();
            let gaps = places.windows(2).map(|two| two[1] - two[0]);
            assert!(gaps.clone().min() >= Some(count as usize / 8), "{places:?}");
            assert!(gaps.max() <= Some(count as usize / 8 + 1), "{places:?}");
        }
    }

    #[test]
    fn every_interface_and_family_is_asked() {
        let mut all = many(1000);
        let others = [
            on("eth0", "fd00::1".parse().unwrap()),
            on("eth1", "fd00::2".parse().unwrap()),
            on("eth1", "10.9.9.9".parse().unwrap()),
        ];
        all.splice(1..1, others.clone());
        let chosen = sample(&all);
        assert_eq!(chosen.len(), 11);
        assert!(others.iter().all(|other| chosen.contains(other)));
    }
}
