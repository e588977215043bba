//! How do thousands of addresses answer at once? By local routes that go on before them.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use super::{Change, OURS, Progress, Stage};
use crate::net::rtnl::{Act, Edit, LocalRoute, Refusal, Rtnl};

/// Up to this many addresses are on within a few milliseconds.
const MANY: usize = 256;

/// The kernel's work for one address grows with those that are on, so that the first additions are
/// the quickest and the first removals the slowest: with 10 000, removals that begin at the same time
/// are 0.45 s behind at worst, and more than twice that on a busy host. It grows with the square.
const HEAD_START_EACH: Duration = Duration::from_nanos(10);
/// However few they are: a busy host's thread that takes them off is late by some turns.
const HEAD_START_MIN: Duration = Duration::from_millis(100);
/// That of 20 000: nobody waits for ever for what is only tidier.
const HEAD_START_MAX: Duration = Duration::from_secs(4);

/// How far the routes are that lead the addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lead {
    #[default]
    NotYet,
    Going,
    /// They are on (or were refused), the addresses follow.
    Followed {
        /// Each address has one, so that it can do without the kernel's own for a while.
        alone: bool,
    },
    /// The kernel's own go back.
    Restoring,
    Ending,
}

impl Lead {
    /// Whether the edits at hand are of routes.
    pub(super) fn is_under_way(self) -> bool {
        matches!(self, Lead::Going | Lead::Restoring | Lead::Ending)
    }
}

/// Whether there is enough to put on, and nothing that routes do not lead: IPv6 keeps no lists.
pub(super) fn pays(edits: &[Edit]) -> bool {
    let goes_on = |edit: &Edit| matches!(edit.act, Act::Add { .. }) && edit.address.is_ipv4();
    edits.len() > MANY && edits.iter().all(goes_on)
}

impl Change {
    /// For how long what now answers may wait before the addresses go on, so that none is on here
    /// while a predecessor that takes them off, in the same order, still has it.
    #[must_use]
    pub fn head_start(&self) -> Duration {
        let count = u32::try_from(self.placed.len()).unwrap_or(u32::MAX);
        let start = HEAD_START_EACH.saturating_mul(count.saturating_mul(count));
        start.clamp(HEAD_START_MIN, HEAD_START_MAX)
    }

    /// Turns the additions into what leads them.
    pub(super) fn begin_lead(&mut self) -> Progress {
        for edit in &mut self.edits {
            edit.act = Act::Lead { protocol: OURS };
        }
        // What this look has shown is looked for again.
        self.looks -= 1;
        self.lead = Lead::Going;
        self.stage = Stage::Edit { next: 0 };
        Progress::More
    }

    /// Whether the host answers now for all of them, whatever makes it.
    pub(super) fn see_lead(&mut self, rtnl: &mut Rtnl) -> io::Result<Progress> {
        let routes = rtnl.local_routes(None)?;
        let answered: HashSet<_> = routes.iter().map(place).collect();
        let leading = routes.iter().filter(|route| route.protocol == OURS);
        let led: HashSet<_> = leading.map(place).collect();
        let alone = self.targets.iter().all(|target| led.contains(&target));
        self.lead = Lead::Followed { alone };
        self.stage = Stage::Look;
        match self.targets.iter().all(|target| answered.contains(&target)) {
            true => Ok(Progress::Answering),
            false => Ok(Progress::More),
        }
    }

    /// The addresses are on: the kernel gets its routes back, and what led them goes, so that
    /// nothing answers longer than they are there. A lead that would leave its address without any
    /// route stays, until the address goes.
    pub(super) fn end_lead(&mut self, rtnl: &mut Rtnl) -> io::Result<Progress> {
        let leads = self.what_leads(rtnl)?;
        if leads.is_empty() {
            return Ok(self.end(Ok(())));
        }
        let routes = rtnl.local_routes(None)?;
        let others = routes.iter().filter(|route| route.protocol != OURS);
        let routed: HashSet<_> = others.map(place).collect();
        let has_other = |edit: &Edit| routed.contains(&(edit.index, edit.address));
        let (spare, mut alone): (Vec<_>, Vec<_>) = leads.into_iter().partition(has_other);
        let restored = std::mem::replace(&mut self.lead, Lead::Ending) == Lead::Restoring;
        self.edits = match restored || alone.is_empty() {
            true => spare,
            false => {
                self.lead = Lead::Restoring;
                alone.iter_mut().for_each(|edit| edit.act = Act::Route);
                alone
            }
        };
        if self.edits.is_empty() {
            return Ok(self.end(Ok(())));
        }
        self.stage = Stage::Edit { next: 0 };
        Ok(Progress::More)
    }

    /// What takes away the routes that lead addresses of this change, or did for an earlier one.
    pub(super) fn what_leads(&self, rtnl: &mut Rtnl) -> io::Result<Vec<Edit>> {
        let routes = rtnl.local_routes(Some(OURS))?.into_iter();
        let of_these = routes.filter(|route| self.targets.covers_route(route));
        Ok(of_these.map(|route| unlead(&route)).collect())
    }
}

/// Takes away the routes that the kernel has made for addresses just put on, which their leads stand
/// in for. For each address that goes on the kernel walks all routes of the interface (fib_sync_up):
/// those that lead are one entry to it, its own are as many as the addresses.
pub(super) fn keep_routes_few(
    rtnl: &mut Rtnl,
    edits: &[Edit],
    refusals: &[Refusal],
) -> io::Result<()> {
    let was_added = |(position, edit): &(usize, &Edit)| {
        let refused = refusals.iter().any(|refusal| refusal.position == *position);
        matches!(edit.act, Act::Add { .. }) && !refused
    };
    let away = |(_, edit): (usize, &Edit)| Edit {
        act: Act::Unroute,
        ..*edit
    };
    let away: Vec<Edit> = edits
        .iter()
        .enumerate()
        .filter(was_added)
        .map(away)
        .collect();
    rtnl.apply(&away, &mut |_| {})
}

fn place(route: &LocalRoute) -> (u32, IpAddr) {
    (route.index, route.address)
}

pub(super) fn unlead(route: &LocalRoute) -> Edit {
    Edit {
        index: route.index,
        address: route.address,
        act: Act::Unlead {
            protocol: route.protocol,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::Placed;
    use super::*;

    fn additions(count: usize, last: IpAddr) -> Vec<Edit> {
        let first = IpAddr::from([192, 0, 2, 10]);
        let addresses = std::iter::repeat_n(first, count - 1).chain([last]);
        let add = |address| Edit {
            index: 3,
            address,
            act: Act::Add { protocol: OURS },
        };
        addresses.map(add).collect()
    }

    #[test]
    fn a_head_start_grows_with_the_square_within_bounds() {
        let of = |count: u32| {
            let place = |n: u32| Placed {
                interface: "v0".into(),
                address: IpAddr::from(n.to_be_bytes()),
            };
            Change::acquire((0..count).map(place).collect()).head_start()
        };
        assert_eq!(of(1000), HEAD_START_MIN);
        assert_eq!(of(10_000), Duration::from_secs(1));
        assert_eq!(of(70_000), HEAD_START_MAX);
    }

    #[test]
    fn many_missing_ipv4_addresses_are_led_and_nothing_else() {
        let v4 = IpAddr::from([192, 0, 2, 10]);
        assert!(pays(&additions(MANY + 1, v4)));
        assert!(!pays(&additions(MANY, v4)), "few are on at once");
        let v6: IpAddr = "2001:db8::10".parse().unwrap();
        assert!(!pays(&additions(MANY + 1, v6)), "one is not led");
        let mut edits = additions(MANY + 2, v4);
        edits[3].act = Act::Delete {
            prefix_len: 32,
            peer: None,
        };
        assert!(!pays(&edits), "one is in doubt");
    }
}
