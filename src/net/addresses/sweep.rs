//! How is everything taken off that an earlier Floatlock may have left on?

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use netlink_packet_route::address::AddressFlags;

use super::lead::unlead;
use super::{is_ours, plan, promotes};
use crate::net::addresses::OURS;
use crate::net::rtnl::{AddressState, LocalRoute, Rtnl, host_prefix};

/// Looks at what is there, until what still is counts as a failure.
const LOOKS: u32 = 4;

/// Removes every address of this host that carries our tag, on any interface, and every local route
/// that leads one, except those that `keep` holds back; returns the removed ones once a look has shown that they are off.
///
/// # Errors
/// When the addresses cannot be read, or one does not come off: the message names it. All others
/// are off then.
pub fn sweep(
    rtnl: &mut Rtnl,
    keep: impl Fn(&AddressState) -> bool,
) -> io::Result<Vec<AddressState>> {
    let condemned = |state: &AddressState| is_ours(state) && !keep(state);
    let mut removed = BTreeMap::new();
    let mut refused = None;
    for _ in 0..LOOKS {
        let leading = leading(rtnl, &keep)?;
        let ends: Vec<_> = leading.iter().map(unlead).collect();
        rtnl.apply(&ends, &mut |refusal| refused = Some(refusal.errno))?;
        removed.extend(leading.iter().map(led).map(named));
        let seen = rtnl.addresses()?;
        let Some(first) = seen.iter().find(|state| condemned(state)) else {
            match leading.is_empty() {
                true => return Ok(removed.into_values().collect()),
                false => continue,
            }
        };
        let removal = plan::removal(&seen, condemned, |index| promotes(rtnl, index));
        if removal.edits.is_empty() {
            let why = io::Error::other("addresses that are not ours depend on it");
            return Err(stuck(first, &why));
        }
        rtnl.apply(&removal.edits, &mut |refusal| refused = Some(refusal.errno))?;
        let gone = seen.iter().filter(|state| condemned(state));
        removed.extend(gone.copied().map(named));
    }
    let left_leading = leading(rtnl, &keep)?.first().map(led);
    let left = rtnl.addresses()?.into_iter().find(condemned);
    let Some(left) = left.or(left_leading) else {
        return Ok(removed.into_values().collect());
    };
    let why = io::Error::from_raw_os_error(refused.unwrap_or(libc::EEXIST));
    Err(stuck(&left, &why))
}

fn leading(rtnl: &mut Rtnl, keep: impl Fn(&AddressState) -> bool) -> io::Result<Vec<LocalRoute>> {
    let routes = rtnl.local_routes(Some(OURS))?.into_iter();
    Ok(routes.filter(|route| !keep(&led(route))).collect())
}

/// The address that a route leads, as if it were on.
fn led(route: &LocalRoute) -> AddressState {
    AddressState {
        index: route.index,
        address: route.address,
        prefix_len: host_prefix(route.address),
        peer: None,
        protocol: Some(OURS),
        flags: AddressFlags::Permanent,
        link_local: false,
    }
}

fn named(state: AddressState) -> ((u32, IpAddr, u8), AddressState) {
    ((state.index, state.address, state.prefix_len), state)
}

/// Names the address, and stays of the kind that it was.
fn stuck(state: &AddressState, why: &io::Error) -> io::Error {
    let (address, prefix_len, index) = (state.address, state.prefix_len, state.index);
    let text = format!("removing {address}/{prefix_len} from interface {index}: {why}");
    io::Error::new(why.kind(), text)
}
