//! How does a script of the operator run? Checked before, without anything of the agent's, and ended in time.
//!
//! ```text
//!  path::check -> floatlock launch-script -> the script
//!  change it?      and capabilities as of any process         exit, deadline or stop -> Ended
//! ```

pub mod path;

