//! How does a script of the operator run? Checked before, without anything of the agent's, and ended in time.
