//! Where can an operator look at the maps of the gate? Under `/sys/fs/bpf/floatlock`, where there is a
//! BPF file system that the agent may write to. Nothing depends on it: the filters keep their programs,
//! and those their maps. Agents of two network namespaces that share the file system see the pins of
//! the one that began last.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::sys::bpf;

const DIRECTORY: &str = "/sys/fs/bpf/floatlock";
/// The objects' names.
pub(super) const NAMES: [&str; 4] = ["addresses", "slots", "ingress", "egress"];

/// Pins the objects, in the order of their names, in the place of those of an earlier agent.
pub(super) fn pin(objects: [BorrowedFd<'_>; 4]) {
    unpin();
    // All, or none: half of them would tell half the truth.
    if try_pin(objects).is_err() {
        unpin();
    }
}

fn try_pin(objects: [BorrowedFd<'_>; 4]) -> io::Result<()> {
    // Whoever can write to the maps opens the gate.
    fs::DirBuilder::new().mode(0o700).create(DIRECTORY)?;
    for (name, object) in NAMES.into_iter().zip(objects) {
        bpf::pin(object, &path(name))?;
    }
    Ok(())
}

/// Takes the pins away, whoever made them.
pub(super) fn unpin() {
    for name in NAMES {
        // There are none, most often.
        let _ = fs::remove_file(path(name));
    }
    // What somebody else has put there stays.
    let _ = fs::remove_dir(DIRECTORY);
}

fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}
