//! What does a group of addresses do next? The state machine.
use super::Instant;
/// Settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {}
/// Group.
#[derive(Debug)]
pub struct Group {
    _p: Instant,
}
