//! What do the hosts serve? HTTP that answers with the host's name: HAProxy, or the responder.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Host, LabError, Process, tool};

/// The port of the service, on every address of the host, also of those yet to come.
pub const PORT: u16 = 80;

/// Which program serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// HAProxy at this path.
    HaProxy(PathBuf),
    /// The built-in responder of the `floatlock` at this path.
    Responder(PathBuf),
}

impl Service {
    /// HAProxy where it is installed, else the responder of `floatlock`.
    #[must_use]
    pub fn choose(floatlock: &Path) -> Self {
        match tool::find("haproxy") {
            Some(haproxy) => Service::HaProxy(haproxy),
            None => Service::Responder(floatlock.to_owned()),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Service::HaProxy(_) => "HAProxy",
            Service::Responder(_) => "the built-in responder",
        }
    }

    /// Starts it on the host.
    ///
    /// # Errors
    /// [`LabError::Off`], or why it did not start.
    pub fn start(&self, host: &Host) -> Result<Process, LabError> {
        match self {
            Service::HaProxy(program) => {
                let file = host.write("haproxy.cfg", &haproxy_config(host.name()))?;
                let mut command = Command::new(program);
                command.arg("-db").arg("-f").arg(file);
                host.spawn(command)
            }
            Service::Responder(program) => {
                let mut command = Command::new(program);
                command.args(["lab-responder", "--name", host.name()]);
                command.args(["--listen", &format!("0.0.0.0:{PORT}")]);
                host.spawn(command)
            }
        }
    }
}

fn haproxy_config(name: &str) -> String {
    format!(
        "\
global
    maxconn 200
    nbthread 1

defaults
    mode http
    timeout client 5s
    timeout connect 1s
    timeout server 5s

frontend web
    bind 0.0.0.0:{PORT}
    http-request return status 200 content-type text/plain string {name}
"
    )
}
