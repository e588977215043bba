//! Are the disks what the configuration takes them for? `floatlock check` looks at them, each by a process of its own,
//! since a disk may hang for ever.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::core::Instant;
use crate::disk::{Refused, Why};
use crate::sys::clock;

/// The agent reports a disk that does not answer for so long, too.
const PATIENCE: Duration = Duration::from_millis(1500);

/// One of the disks in the configuration.
#[derive(Debug, Serialize)]
pub(super) struct Looked {
    pub(super) device: String,
    /// Why the agent would not use it, or not as the configuration reckons.
    pub(super) trouble: Option<String>,
}

/// What `floatlock lock show --json` says of a lock area.
#[derive(Clone, Debug, Deserialize)]
struct Seen {
    area: String,
    cluster: String,
    lease_ms: u64,
    disks: usize,
    disk: usize,
    slots: Vec<Slot>,
}

#[derive(Clone, Debug, Deserialize)]
struct Slot {
    node: String,
}

/// All that the configuration names; waits for [`PATIENCE`] at most.
pub(super) fn look(config: &Config) -> Vec<Looked> {
    let until = clock::now() + PATIENCE;
    let asked: Vec<_> = config.fencing.disk_lock.iter().map(|d| ask(d)).collect();
    let mut known: Vec<(PathBuf, Seen)> = Vec::new();
    let devices = config.fencing.disk_lock.iter().zip(asked);
    let looked = devices.map(|(device, asked)| {
        let trouble = match asked.and_then(|asked| asked.answer(until)) {
            Err(trouble) => Some(trouble),
            Ok((seen, warning)) => {
                let why = objection(config, &seen, &known);
                known.push((device.clone(), seen));
                let why = why.map(|why| Refused::new(device, why).to_string());
                why.or(warning)
            }
        };
        Looked {
            device: device.display().to_string(),
            trouble,
        }
    });
    looked.collect()
}

/// A look under way.
struct Asked {
    device: PathBuf,
    child: Child,
    /// What it has printed, and its errors, once it has closed both.
    printed: Receiver<io::Result<[String; 2]>>,
}

fn ask(device: &Path) -> Result<Asked, String> {
    let mut show = Command::new("/proc/self/exe");
    show.args(["lock", "show", "--json", "--watch-for", "0s", "--"]);
    Asked::start(device, show.arg(device))
}

impl Asked {
    fn start(device: &Path, show: &mut Command) -> Result<Self, String> {
        show.stdin(Stdio::null());
        show.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = show
            .spawn()
            .map_err(|error| format!("cannot look at {}: {error}", device.display()))?;
        let pipes = (child.stdout.take(), child.stderr.take());
        let (tell, printed) = mpsc::channel();
        // Whoever asked may have gone on. Neither is ever more than a pipe holds.
        thread::spawn(move || drop(tell.send(read(pipes))));
        Ok(Self {
            device: device.to_owned(),
            child,
            printed,
        })
    }

    /// What it says, and what it warns of; or why it says nothing.
    fn answer(mut self, until: Instant) -> Result<(Seen, Option<String>), String> {
        let device = self.device.display();
        let left = until.since(clock::now());
        let Ok(printed) = self.printed.recv_timeout(left) else {
            let late = format!("the lock area on {device}: it has not answered for {PATIENCE:?}");
            // Not waited for: it may hang in the kernel.
            return Err(match self.child.kill() {
                Ok(()) => late,
                Err(error) => format!("{late}, and who looks at it cannot be ended: {error}"),
            });
        };
        let ended = printed.and_then(|printed| Ok((printed, self.child.wait()?)));
        let ([shown, said], status) =
            ended.map_err(|error| format!("cannot look at {device}: {error}"))?;
        let said = said.trim_end();
        let said = said.strip_prefix("floatlock: ").unwrap_or(said);
        let said = said.strip_prefix("warning: ").unwrap_or(said);
        match serde_json::from_str(&shown) {
            Ok(seen) => Ok((seen, (!said.is_empty()).then(|| said.to_owned()))),
            Err(_) if said.is_empty() => Err(format!(
                "the lock area on {device}: whoever looked at it said nothing ({status})"
            )),
            Err(_) => Err(said.to_owned()),
        }
    }
}

fn read((stdout, stderr): (Option<ChildStdout>, Option<ChildStderr>)) -> io::Result<[String; 2]> {
    let (mut shown, mut said) = (String::new(), String::new());
    if let Some(mut stdout) = stdout {
        stdout.read_to_string(&mut shown)?;
    }
    if let Some(mut stderr) = stderr {
        stderr.read_to_string(&mut said)?;
    }
    Ok([shown, said])
}

fn objection(config: &Config, seen: &Seen, known: &[(PathBuf, Seen)]) -> Option<Why> {
    let fencing = &config.fencing;
    let ours = config.cluster.as_ref().map_or("", |cluster| &cluster.name);
    if seen.cluster != ours {
        return Some(Why::OtherCluster {
            theirs: seen.cluster.clone(),
            ours: ours.to_owned(),
        });
    }
    let names: Vec<&str> = seen.slots.iter().map(|slot| slot.node.as_str()).collect();
    if !names.contains(&config.node.name.as_str()) {
        return Some(Why::UnknownNode {
            node: config.node.name.clone(),
            known: names.join(" "),
        });
    }
    let disks = fencing.disk_lock.len();
    if seen.disks != disks {
        return Some(match disks {
            1 => Why::OneOf { of: seen.disks },
            _ => Why::Alone,
        });
    }
    let is_twin = |other: &Seen| (&other.area, other.disk) == (&seen.area, seen.disk);
    if let Some((twin, _)) = known.iter().find(|(_, other)| is_twin(other)) {
        return Some(Why::Copied(twin.clone()));
    }
    if known.iter().any(|(_, other)| other.area != seen.area) {
        return Some(Why::OtherArea);
    }
    let lease = Duration::from_millis(seen.lease_ms);
    let reckoned = fencing.reckoned_disk_lease()?;
    (lease != reckoned).then_some(Why::OtherLease { lease, reckoned })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_hangs_is_said_to_and_nobody_waits_for_it() {
        let device = Path::new("/dev/sdz");
        let asked = Asked::start(device, Command::new("sleep").arg("600")).unwrap();
        let process = asked.child.id();
        let said = asked.answer(clock::now()).unwrap_err();
        assert!(said.contains("/dev/sdz: it has not answered"), "{said}");
        // Killed, and left for whoever ends this program.
        let stat = || std::fs::read_to_string(format!("/proc/{process}/stat"));
        let is_dead = || stat().is_ok_and(|stat| stat.contains(") Z "));
        assert!(crate::lab::clock::wait_until(PATIENCE * 10, is_dead));
    }

    #[test]
    fn whoever_says_nothing_is_told_of_as_well() {
        let asked = Asked::start(Path::new("/dev/sdz"), &mut Command::new("true")).unwrap();
        let said = asked.answer(clock::now() + PATIENCE * 10).unwrap_err();
        assert!(said.contains("said nothing (exit status: 0)"), "{said}");
    }
}
