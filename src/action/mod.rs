//! How does a script of the operator run? Checked before, without anything of the agent's, and ended in time.
//!
//! ```text
//!  path::check -> floatlock launch-script -> the script
//!  who can         into its cgroup; scheduler, limits, user   output, line by line ---> say
//!  change it?      and capabilities as of any process         exit, deadline or stop -> Ended
//! ```

pub mod cgroup;
pub mod launch;
mod output;
pub mod path;
mod pipes;
mod process;
pub mod queue;
pub mod run;

pub use output::Line;
