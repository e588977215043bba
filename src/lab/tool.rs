//! Where are the programs that the laboratory calls, and what did they say?

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::LabError;

/// Where administrators' programs are when `PATH` does not say so.
const SBIN: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The full path of a program, if it is installed.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SBIN.iter().map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Gives `ip` these lines, in the namespace of the calling thread.
pub(super) fn ip(lines: &[String]) -> Result<(), LabError> {
    batch("ip", &["-batch", "-"], lines)
}

/// Gives `bridge` these lines, in the namespace of the calling thread.
pub(super) fn bridge(lines: &[String]) -> Result<(), LabError> {
    batch("bridge", &["-batch", "-"], lines)
}

/// Gives `nft` these lines, in the namespace of the calling thread.
pub(super) fn nft(lines: &[String]) -> Result<(), LabError> {
    batch("nft", &["-f", "-"], lines)
}

fn batch(program: &str, args: &[&str], lines: &[String]) -> Result<(), LabError> {
    let input = lines.join("\n") + "\n";
    let output = feed(program, args, &input).map_err(|source| LabError::Tool {
        program: program.to_owned(),
        package: if program == "nft" {
            "nftables"
        } else {
            "iproute2"
        },
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(LabError::Command {
        command: format!("{program}: {}", lines.join("; ")),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

fn feed(program: &str, args: &[&str], input: &str) -> io::Result<Output> {
    let file = find(program).ok_or(io::ErrorKind::NotFound)?;
    let mut child = Command::new(file)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let fed = child
        .stdin
        .take()
        .map(|mut pipe| pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    match fed {
        // It stopped reading because it failed: its own words say more.
        Some(Err(error)) if output.status.success() => Err(error),
        _ => Ok(output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_name_and_a_missing_one_is_not() {
        assert!(find("sh").is_some_and(|file| file.is_absolute()));
        assert_eq!(find("no-such-program-anywhere"), None);
    }
}
