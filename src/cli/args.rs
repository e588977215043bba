//! What can be typed? One table, from which help, man pages and completions are made.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Parser, Subcommand};

/// Where the configuration is, unless `-c` says otherwise.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/floatlock/floatlock.toml";

/// High-availability agent for virtual IP addresses
///
/// Hosts elect a MASTER by VRRP; the MASTER holds the floating addresses.
#[derive(Debug, Parser)]
#[command(name = "floatlock", version, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the agent in the foreground
    ///
    /// SIGTERM and SIGINT hand over and stop, SIGHUP reloads, SIGUSR1 writes the state to the log.
    /// Exits 0 after a stop, 1 on a fatal error, 2 on a bad configuration, 4 without permission.
    Run(RunArgs),
    /// Validate a configuration and print the times that follow from it
    ///
    /// Prints every problem in one pass, each with its place and advice. With --peer, also what the
    /// files of other nodes say differently. Exits 0 when good, 1 with warnings, 2 with errors.
    Check(CheckArgs),
    /// Show who is MASTER, since when and why; addresses, paths and counters
    ///
    /// Exits 3 when no agent runs, 1 when there is no such group.
    Status(StatusArgs),
    /// Ask whether this node is MASTER of a group, for scripts
    ///
    /// Exits 0 if it is, 1 if not, 3 when no agent runs.
    IsMaster(IsMasterArgs),
    /// Make the running agent read its configuration again
    ///
    /// A bad file changes nothing. Exits 0 when done, 2 when the file is bad, 3 when no agent runs.
    Reload(TalkArgs),
    /// Move a group to another node
    ///
    /// Returns when that node holds the addresses, or says why not. To be run on the MASTER. Exits 0
    /// when moved, 1 when refused or nobody took over, 3 when no agent runs.
    Switchover(SwitchoverArgs),
    /// Take this node out of service, or back; without `on` or `off`, say which it is
    ///
    /// Hands over everything and takes nothing until it is off, also after a restart. Still votes.
    /// Exits 0 when done, 1 when refused, 3 when no agent runs.
    Maintenance(MaintenanceArgs),
    /// Remove every address that Floatlock put up on this host, without an agent
    ///
    /// Idempotent; refuses while an agent runs. Exits 0 when nothing is left, 1 otherwise.
    Release(ReleaseArgs),
    /// Prepare, inspect, try or clear a disk lock
    ///
    /// The disk that has the third vote of two nodes, `fencing.disk-lock`: prepared and tried. Each command exits 0 when
    /// done, 1 when refused or failed, 2 on a bad configuration, 4 without permission.
    Lock(LockArgs),
    /// Play a failover between two hosts in network namespaces on this machine
    ///
    /// Needs root. Everything is removed at the end, also after Ctrl-C. Exits 0 when all went as
    /// it should, 4 without root.
    Demo(DemoArgs),
    /// Print shell completions
    Completions(CompletionsArgs),
    /// Print a man page
    Man(ManArgs),
    /// Answer HTTP requests with a name (used by the demo)
    #[command(hide = true)]
    LabResponder(ResponderArgs),
    /// Read and write a lock area for the agent on standard input (used by the agent)
    #[command(hide = true)]
    DiskClerk(DiskClerkArgs),
    /// Become a script, as an ordinary process (used by the agent)
    ///
    /// Exits as the script does; 125 when it was not started, 126 when it cannot be run, 127 when
    /// there is none.
    #[command(hide = true)]
    LaunchScript(LaunchScriptArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct LaunchScriptArgs {
    /// The control group to join
    #[arg(long, value_name = "DIR")]
    pub(crate) cgroup: Option<PathBuf>,
    /// The user to become
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// The script
    pub(crate) program: PathBuf,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DiskClerkArgs {
    /// The device
    pub(crate) device: PathBuf,
    /// The name of this node
    pub(crate) node: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
    /// Write down everything that the groups are told and say, at most 64 MiB, for a replay
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
    /// The file of another node, to be held against this one; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) peer: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// How to find the running agent.
#[derive(Debug, clap::Args)]
pub(crate) struct TalkArgs {
    /// The configuration, which names the runtime directory
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
    /// The runtime directory, without a look at the configuration
    #[arg(long, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Only this group
    pub(crate) group: Option<String>,
    /// Again every second, until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct IsMasterArgs {
    /// The group
    pub(crate) group: String,
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SwitchoverArgs {
    /// The group
    pub(crate) group: String,
    /// To this node; without it, to the best that is ready
    #[arg(long, value_name = "NODE")]
    pub(crate) to: Option<String>,
    /// Give the addresses up even if no other node could take over at once
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MaintenanceArgs {
    /// Out of service, or back
    #[arg(value_enum)]
    pub(crate) switch: Option<Switch>,
    /// It ends by itself after this time, such as 30min
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration, requires = "switch")]
    pub(crate) length: Option<Duration>,
    /// Even if no other node could take over at once
    #[arg(long, requires = "switch")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

/// Of maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Switch {
    /// This node hands over everything and takes nothing
    On,
    /// It takes part again
    Off,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReleaseArgs {
    /// The configuration: addresses of its groups go too, if something else put them up
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LockArgs {
    #[command(subcommand)]
    pub(crate) command: LockCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    /// Make a lock area on a device, with a slot for each node of the cluster
    ///
    /// Refuses a device that is in use, or that holds something else. What was in an area is lost.
    Init(LockInitArgs),
    /// Show whose area it is, and who holds, contends or is dead
    ///
    /// Only reads. Exits 0; 1 when there is no area, or a slot of it cannot be read.
    Show(LockShowArgs),
    /// Try the disk: how fast it is, and whether the nodes see each other's writes
    ///
    /// Writes to this node's test block alone, which no lease depends on. Run it on all nodes at once.
    Test(LockTestArgs),
    /// Free the slot of a node that is dead for certain
    ///
    /// Refuses while the slot changes, since then its agent lives.
    Clear(LockClearArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct LockInitArgs {
    /// The disk, the same for all nodes, best by its name in /dev/disk/by-id; or three that have the area together
    #[arg(required = true, num_args = 1..=3, value_name = "DEVICE")]
    pub(crate) devices: Vec<PathBuf>,
    /// The configuration, which names the cluster and its nodes
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
    /// The cluster, without a look at the configuration
    #[arg(
        long,
        value_name = "NAME",
        requires = "node",
        conflicts_with = "config"
    )]
    pub(crate) cluster: Option<String>,
    /// A node of it; for each of them
    #[arg(long, value_name = "NAME", requires = "cluster")]
    pub(crate) node: Vec<String>,
    /// How long a write grants; how long the others wait follows from it
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "5s")]
    pub(crate) lease: Duration,
    /// Make the area anew where there is one, of another cluster too
    #[arg(long)]
    pub(crate) force: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LockShowArgs {
    /// The disk
    pub(crate) device: PathBuf,
    /// Watch so long who changes its slot [default: three renewals]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) watch_for: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LockTestArgs {
    /// The disk
    pub(crate) device: PathBuf,
    /// The configuration, which names this node and its cluster
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
    /// This node, without a look at the configuration
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    pub(crate) node: Option<String>,
    /// How many writes to measure
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) count: u64,
    /// How long to look for the other nodes after that
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "5s")]
    pub(crate) watch_for: Duration,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("whose").required(true).args(["node", "all"]))]
pub(crate) struct LockClearArgs {
    /// The disk
    pub(crate) device: PathBuf,
    /// Whose slot
    pub(crate) node: Option<String>,
    /// Those of all nodes
    #[arg(long)]
    pub(crate) all: bool,
    /// Do it; without this, say what would be done
    #[arg(long)]
    pub(crate) force: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// What to play; see --list
    #[arg(default_value = "failover")]
    pub(crate) scenario: String,
    /// List the scenarios
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The page of this command instead of the overview, such as `lock init`
    pub(crate) command: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ResponderArgs {
    #[arg(long)]
    pub(crate) name: String,
    #[arg(long)]
    pub(crate) listen: SocketAddr,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_table_of_arguments_is_consistent() {
        super::Args::command().debug_assert();
    }
}
