//! What can somebody do to the gate `bpf` that takes away nothing?

use std::fmt;
use std::os::fd::AsFd;

use floatlock::core::Instant;
use floatlock::gate::NAME;
use floatlock::lab::{Host, clock};
use floatlock::net::rtnl::{Direction, Rtnl};
use floatlock::sys::bpf;

/// r0 = TC_ACT_UNSPEC; exit
const PASS_ALL: [u64; 2] = [0xffff_ffff_0000_00b7, 0x95];
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gate/tamper.py");

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tamper {
    /// Other programs under the same name and number.
    Swap,
    /// No address is known any more.
    Empty,
    /// The addresses belong to a slot that is not armed.
    Move,
    /// No slot is armed.
    Disarm,
}

impl Tamper {
    pub(crate) const ALL: [Self; 4] = [Self::Swap, Self::Empty, Self::Move, Self::Disarm];

    /// Does it on eth0, and returns when that began.
    pub(crate) fn with(self, host: &Host) -> Instant {
        if self == Self::Swap {
            return host.run(swap).unwrap();
        }
        let way = self.to_string().to_lowercase();
        let began = host.sh(&format!("python3 {SCRIPT} {way}")).unwrap();
        Instant::from_nanos(began.parse().unwrap())
    }
}

impl fmt::Display for Tamper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

fn swap() -> Instant {
    let program = bpf::load_classifier(NAME, &PASS_ALL).unwrap();
    let mut rtnl = Rtnl::open().unwrap();
    let eth0 = rtnl.link("eth0").unwrap().unwrap().index;
    let began = clock::now();
    for direction in Direction::ALL {
        let filters = rtnl.filters(eth0, direction).unwrap();
        let mut filters = filters.iter();
        let gate = filters.find(|filter| filter.name.as_deref() == Some(NAME));
        let handle = gate.unwrap().handle;
        let put = rtnl.put_filter(eth0, direction, handle, program.as_fd(), NAME);
        put.unwrap();
    }
    began
}
