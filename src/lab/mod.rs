//! The laboratory: hosts, networks and faults on this machine, gone when this process is gone.
//!
//! ```text
//!   Lab ---- Fabric: a network namespace with one bridge for each Lan; faults are made here
//!    |          |p1            |p2            |p3
//!    |        eth0           eth0           eth0
//!    +---- Host "lb-a"    Host "lb-b"    Host "client"     each a thread in its own namespaces:
//!                                                          network, mounts, host name, processes
//! ```
//!
//! Nothing has a name outside this process: no `ip netns`, no interface, file, mount or process
//! in the machine's own namespaces. Every host's processes hang on an init that dies when the
//! last end of a pipe does, and the kernel then kills the rest, so that `kill -9` of this process
//! is as clean an end as any other.
//!
//! Where does X go? A host: [`Host`]. A network or a fault: [`Lan`]. A program on a host:
//! [`Process`]. What the wire showed: [`Watch`] and [`Observation`]. What a user saw:
//! [`Fetcher`]. An agent, ours or keepalived: [`agent`]. What `floatlock demo` plays: [`demo`].

pub mod agent;
mod capture;
pub mod clock;
pub mod demo;
mod error;
mod fabric;
mod fetcher;
mod frame;
mod host;
mod keepalived;
mod machine;
mod observation;
mod ping;
mod process;
mod relay;
pub mod responder;
pub mod service;
mod tool;
mod watch;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

pub use error::LabError;
pub use fabric::{Lan, Traffic, Trunk, Way};
pub use fetcher::{Fetch, FetchOptions, Fetcher};
pub use frame::{Advert, Announcement, Mac};
pub use host::Host;
pub use observation::{Gap, Observation, Question, Reply};
pub use process::{Line, Process};
pub use relay::{Relay, Weather};
pub use watch::{Ask, Watch, WatchOptions};

use fabric::Fabric;

/// A laboratory: make hosts and networks in it, then drop everything.
#[derive(Debug)]
pub struct Lab {
    fabric: Arc<Fabric>,
    hosts: AtomicU8,
    lans: AtomicU8,
}

impl Lab {
    /// A laboratory without hosts.
    ///
    /// # Errors
    /// [`LabError::NeedsRoot`] where namespaces may not be created.
    pub fn new() -> Result<Self, LabError> {
        Ok(Self {
            fabric: Arc::new(Fabric::new()?),
            hosts: AtomicU8::new(0),
            lans: AtomicU8::new(0),
        })
    }

    /// A host that is switched on and not yet attached to any network.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn host(&self, name: &str) -> Result<Host, LabError> {
        let number = next(&self.hosts, "hosts")?;
        Host::new(name, number, Arc::clone(&self.fabric))
    }

    /// A network: a bridge in the fabric.
    ///
    /// # Errors
    /// What `ip` refused.
    pub fn lan(&self, name: &str) -> Result<Lan, LabError> {
        let number = next(&self.lans, "networks")?;
        Lan::new(name, number, Arc::clone(&self.fabric))
    }
}

/// Numbers go into MAC addresses, one byte each.
fn next(counter: &AtomicU8, of: &'static str) -> Result<u8, LabError> {
    counter
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1))
        .map(|n| n + 1)
        .map_err(|_| LabError::Full { of })
}
