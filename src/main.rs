//! The `floatlock` binary.

fn main() {}
