//! What can be done on a host? Run code and programs, read addresses, switch it off and on.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};

use super::fabric::Fabric;
use super::machine::{DISK, Machine};
use super::{LabError, Lan, Mac, Process, tool};

/// How long a command given to [`Host::sh`] may take.
const COMMAND_WITHIN: Duration = Duration::from_secs(20);

/// A host in the laboratory. It goes when the last copy of this handle does.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    number: u8,
    fabric: Arc<Fabric>,
    machine: Mutex<Option<Arc<Machine>>>,
    cards: Mutex<Vec<Card>>,
}

/// An interface of the host, as it comes back with the power.
#[derive(Clone, Debug)]
struct Card {
    lan: Lan,
    interface: String,
    mac: Mac,
    addresses: Vec<IpNet>,
    port: String,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({})", self.inner.name)
    }
}

impl Host {
    pub(super) fn new(name: &str, number: u8, fabric: Arc<Fabric>) -> Result<Self, LabError> {
        let machine = Machine::boot(name, &fabric)?;
        let inner = Inner {
            name: name.to_owned(),
            number,
            fabric,
            machine: Mutex::new(Some(Arc::new(machine))),
            cards: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Its name, and its host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Runs code in the host's namespaces and returns its result; threads that it starts stay
    /// there. One at a time.
    ///
    /// # Errors
    /// [`LabError::Off`].
    pub fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, LabError> {
        self.machine()?.run(job)
    }

    /// Starts a program on the host. `/run` is the host's own and empty after every boot.
    ///
    /// # Errors
    /// [`LabError::Off`], or why it did not start.
    pub fn spawn(&self, command: Command) -> Result<Process, LabError> {
        let program = Path::new(command.get_program());
        let program = program.file_name().unwrap_or(program.as_os_str());
        let name = format!("{} on {}", program.to_string_lossy(), self.name());
        self.machine()?.start(name, command)
    }

    /// Runs a shell command on the host and returns what it printed.
    ///
    /// # Errors
    /// [`LabError::Command`] unless it exits 0, [`LabError::NoEnd`] after 20 s.
    pub fn sh(&self, script: &str) -> Result<String, LabError> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let process = self.spawn(command)?;
        let status = process.wait(COMMAND_WITHIN)?;
        let output = process.last_lines(usize::MAX);
        if status.success() {
            return Ok(output);
        }
        Err(LabError::Command {
            command: format!("{script} (on {})", self.name()),
            status: status.to_string(),
            output,
        })
    }

    /// The directory of the host that outlives a loss of power, as the host's programs see it.
    #[must_use]
    pub fn disk(&self) -> &'static Path {
        Path::new(DISK)
    }

    /// Writes a file on the host's disk and returns its path there.
    ///
    /// # Errors
    /// [`LabError::Off`], or why it could not be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, LabError> {
        let path = self.disk().join(name);
        let (file, text) = (path.clone(), text.to_owned());
        self.run(move || fs::write(file, text))?
            .map_err(LabError::io(format!("writing {name} on {}", self.name())))?;
        Ok(path)
    }

    /// Every address of the host with its interface, loopback excepted.
    ///
    /// # Errors
    /// [`LabError::Off`], or what the kernel refused.
    pub fn addresses(&self) -> Result<Vec<(String, IpNet)>, LabError> {
        self.run(|| getifaddrs().map(|all| all.filter_map(address).collect()))?
            .map_err(LabError::io(format!("the addresses of {}", self.name())))
    }

    /// Whether the host has this address on any interface.
    ///
    /// # Errors
    /// As [`Host::addresses`].
    pub fn has_address(&self, address: IpAddr) -> Result<bool, LabError> {
        let all = self.addresses()?;
        Ok(all.iter().any(|(_, net)| net.addr() == address))
    }

    /// Its processes, daemons and children of children too, by their numbers in the laboratory's
    /// `/proc`.
    ///
    /// # Errors
    /// [`LabError::Off`], or what the kernel refused.
    pub fn processes(&self) -> Result<Vec<u32>, LabError> {
        let processes = self.machine()?.processes();
        processes.map_err(LabError::io(format!("the processes of {}", self.name())))
    }

    /// The hardware address of its interface in that network.
    ///
    /// # Errors
    /// [`LabError::NotAttached`].
    pub fn mac_on(&self, lan: &Lan) -> Result<Mac, LabError> {
        self.card_on(lan).map(|card| card.mac)
    }

    /// Stops every process of the host, as a debugger or a hypervisor would; its kernel goes on
    /// and still answers.
    ///
    /// # Errors
    /// [`LabError::Off`].
    pub fn freeze(&self) -> Result<(), LabError> {
        // Inside a process namespace -1 is everybody but its init and the caller.
        self.sh("kill -STOP -1").map(drop)
    }

    /// Undoes [`Host::freeze`].
    ///
    /// # Errors
    /// [`LabError::Off`].
    pub fn thaw(&self) -> Result<(), LabError> {
        self.sh("kill -CONT -1").map(drop)
    }

    /// Takes the power away: from one moment to the next nothing of it answers, then all its
    /// processes are killed and its kernel's state is forgotten. Its disk remains.
    ///
    /// # Errors
    /// What `bridge` or `ip` refused.
    pub fn power_off(&self) -> Result<(), LabError> {
        let ports: Vec<String> = self.cards().iter().map(|c| c.port.clone()).collect();
        let fabric = &self.inner.fabric;
        let silence = ports.iter().map(|p| format!("link set dev {p} state 0"));
        fabric.tool(tool::bridge, silence.collect())?;
        let machine = self.slot().take();
        if let Some(machine) = &machine {
            machine.halt();
        }
        let delete = ports.iter().map(|p| format!("link del {p}"));
        fabric.tool(tool::ip, delete.collect())
    }

    /// Gives the power back: the host boots with the interfaces and addresses it was given, and
    /// nothing runs.
    ///
    /// # Errors
    /// What the kernel or `ip` refused.
    pub fn power_on(&self) -> Result<(), LabError> {
        let mut slot = self.slot();
        if slot.is_some() {
            return Ok(());
        }
        let machine = Machine::boot(self.name(), &self.inner.fabric)?;
        for card in self.cards().iter_mut() {
            card.port = connect(&machine, card)?;
        }
        *slot = Some(Arc::new(machine));
        Ok(())
    }

    /// Whether it has power.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.slot().is_some()
    }

    pub(super) fn plug_in(
        &self,
        lan: &Lan,
        interface: &str,
        addresses: &[&str],
    ) -> Result<(), LabError> {
        if self.card_on(lan).is_ok() {
            return Err(LabError::Attached {
                host: self.name().to_owned(),
                lan: lan.name().to_owned(),
            });
        }
        let addresses = addresses
            .iter()
            .map(|text| net(text))
            .collect::<Result<_, _>>()?;
        let mut card = Card {
            lan: lan.clone(),
            interface: interface.to_owned(),
            mac: Mac([0x02, 0xf1, 0, lan.number(), 0, self.inner.number]),
            addresses,
            port: String::new(),
        };
        card.port = connect(&*self.machine()?, &card)?;
        self.inner.fabric.own(card.mac, self.name());
        self.cards().push(card);
        Ok(())
    }

    pub(super) fn port_on(&self, lan: &Lan) -> Result<String, LabError> {
        self.machine()?;
        self.card_on(lan).map(|card| card.port)
    }

    pub(super) fn fabric(&self) -> &Fabric {
        &self.inner.fabric
    }

    fn card_on(&self, lan: &Lan) -> Result<Card, LabError> {
        let cards = self.cards();
        let card = cards.iter().find(|card| card.lan.number() == lan.number());
        card.cloned().ok_or_else(|| LabError::NotAttached {
            host: self.name().to_owned(),
            lan: lan.name().to_owned(),
        })
    }

    fn machine(&self) -> Result<Arc<Machine>, LabError> {
        self.slot().clone().ok_or_else(|| LabError::Off {
            host: self.name().to_owned(),
        })
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Machine>>> {
        self.inner
            .machine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn cards(&self) -> MutexGuard<'_, Vec<Card>> {
        self.inner
            .cards
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A thread that still runs on the host (a watch) would keep its interfaces otherwise.
        let ports = self.cards.get_mut().unwrap_or_else(PoisonError::into_inner);
        let delete = ports.iter().map(|card| format!("link del {}", card.port));
        // Switched off: they are gone already.
        let _ = self.fabric.tool(tool::ip, delete.collect());
    }
}

/// Makes the card's interface and brings it up with its addresses; returns the port.
fn connect(machine: &Machine, card: &Card) -> Result<String, LabError> {
    let interface = &card.interface;
    let port = card
        .lan
        .add_port(&machine.net_namespace(), interface, card.mac)?;
    let mut lines: Vec<String> = card
        .addresses
        .iter()
        .map(|net| added(net, interface))
        .collect();
    lines.push(format!("link set {interface} up"));
    machine.run(move || tool::ip(&lines))??;
    card.lan.forward(&port)?;
    Ok(port)
}

fn added(net: &IpNet, interface: &str) -> String {
    let nodad = if net.addr().is_ipv6() { " nodad" } else { "" };
    format!("addr add {net} dev {interface}{nodad}")
}

fn net(text: &str) -> Result<IpNet, LabError> {
    text.parse().map_err(|_| LabError::Address {
        text: text.to_owned(),
    })
}

fn address(found: InterfaceAddress) -> Option<(String, IpNet)> {
    let (address, mask) = (ip(found.address?)?, ip(found.netmask?)?);
    let net = IpNet::with_netmask(address, mask).ok()?;
    (found.interface_name != "lo").then_some((found.interface_name, net))
}

pub(super) fn ip(storage: nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|a| IpAddr::from(a.ip())))
}
