//! Who can change what a script does? Nobody but root and the agent's own user, or it is not run.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// Why a script is not run. Each names the part of the path, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Unsafe {
    /// There is no such file.
    #[error("{} does not exist", .path.display())]
    Missing {
        /// The first part of the path that is missing.
        path: PathBuf,
    },
    /// The system does not show it.
    #[error("cannot look at {}: {source}", .path.display())]
    Unreadable {
        /// The part of the path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The links go in a circle.
    #[error("{} leads through more than {MOST_LINKS} symbolic links", .path.display())]
    Circle {
        /// The path as it was given.
        path: PathBuf,
    },
    /// A directory, a device, a socket.
    #[error("{} is not a regular file", .path.display())]
    NotAFile {
        /// What it leads to.
        path: PathBuf,
    },
    /// Nobody may execute it.
    #[error(
        "{} is not executable, its mode is {mode:04o}: chmod +x {0}", .path.display()
    )]
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Group or others may write to it.
    #[error(
        "others can write to {}, its mode is {mode:04o}: chmod go-w {0}", .path.display()
    )]
    Writable {
        /// The file, or a directory on the way to it.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is below a directory for everybody, as /tmp is.
    #[error(
        "everybody can write to {}, its mode is {mode:04o}: move the script to a directory of \
         root's, such as /etc/floatlock",
        .path.display()
    )]
    Shared {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to a user who is neither root nor the agent's.
    #[error("{} belongs to the user {uid}, who can change it: chown root {0}", .path.display())]
    Foreign {
        /// The file, a directory on the way to it, or a symbolic link.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
}

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

/// Follows the path to a script as the kernel would, and looks at every file, directory and link on the way;
/// returns where it ends, without links.
///
/// Where a link stands counts as well as where it leads to: who can replace either decides what runs.
///
/// # Errors
/// It is no executable file, or somebody else can change it.
pub fn check(path: &Path) -> Result<PathBuf, Unsafe> {
    let absolute = std::path::absolute(path).map_err(|error| refused(path, error))?;
    let mut ahead = steps(&absolute);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(step) = ahead.pop() {
        if step == ".." {
            at.pop();
            continue;
        }
        let next = at.join(step);
        let found = look(&next)?;
        check_owner(&next, &found)?;
        if !found.is_symlink() {
            check_mode(&next, &found)?;
            at = next;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Unsafe::Circle { path: absolute });
        }
        ahead.extend(steps(
            &fs::read_link(&next).map_err(|error| refused(&next, error))?,
        ));
    }
    check_file(&at)?;
    Ok(at)
}

/// The components of a path, the first one last. The root is one of them, and joined to whatever it leads there.
fn steps(path: &Path) -> Vec<OsString> {
    let steps = path.components().rev();
    steps.map(|step| step.as_os_str().to_owned()).collect()
}

fn look(path: &Path) -> Result<Metadata, Unsafe> {
    fs::symlink_metadata(path).map_err(|error| refused(path, error))
}

fn refused(path: &Path, source: io::Error) -> Unsafe {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => Unsafe::Missing { path },
        _ => Unsafe::Unreadable { path, source },
    }
}

fn check_owner(path: &Path, found: &Metadata) -> Result<(), Unsafe> {
    let uid = found.uid();
    if uid == 0 || uid == geteuid().as_raw() {
        return Ok(());
    }
    let path = path.to_owned();
    Err(Unsafe::Foreign { path, uid })
}

/// An access list shows in the mode too: what it grants to anybody else stands at the group's place.
fn check_mode(path: &Path, found: &Metadata) -> Result<(), Unsafe> {
    let mode = found.mode() & 0o7777;
    let by_others = mode & 0o002 != 0;
    // Of the group root, too: an access list that grants somebody else the same shows no other mode.
    let by_group = mode & 0o020 != 0;
    let path = || path.to_owned();
    match () {
        () if by_others && mode & 0o1000 != 0 => Err(Unsafe::Shared { path: path(), mode }),
        () if by_others || by_group => Err(Unsafe::Writable { path: path(), mode }),
        () => Ok(()),
    }
}

fn check_file(path: &Path) -> Result<(), Unsafe> {
    let found = look(path)?;
    let mode = found.mode() & 0o7777;
    let path = || path.to_owned();
    match () {
        () if !found.is_file() => Err(Unsafe::NotAFile { path: path() }),
        () if mode & 0o111 == 0 => Err(Unsafe::NotExecutable { path: path(), mode }),
        () => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A directory of root's that goes with this, with a good script in it. The tests need root.
    struct Site(PathBuf);

    impl Site {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("floatlock-path-{}-{number}", std::process::id());
            let site = Self(Path::new("/run").join(name));
            fs::create_dir(&site.0).unwrap();
            site.file("good", 0o755);
            site
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn file(&self, name: &str, mode: u32) -> PathBuf {
            fs::write(self.at(name), "#!/bin/sh\n").unwrap();
            self.mode(name, mode)
        }

        fn directory(&self, name: &str, mode: u32) -> PathBuf {
            fs::create_dir(self.at(name)).unwrap();
            self.mode(name, mode)
        }

        fn mode(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.at(name);
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            path
        }

        fn says(&self, name: &str) -> String {
            let says = check(&self.at(name)).unwrap_err().to_string();
            says.replace(self.0.to_str().unwrap(), "")
        }
    }

    impl Drop for Site {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_script_of_roots_is_fine_and_found_without_links() {
        let site = Site::new();
        let good = site.at("good");
        assert_eq!(check(&good).unwrap(), good);
        let inner = site.directory("inner", 0o755);
        symlink("../good", inner.join("link")).unwrap();
        symlink(&inner, site.at("way")).unwrap();
        assert_eq!(check(&site.at("way/link")).unwrap(), good);
        assert_eq!(check(&site.at("way/./../good")).unwrap(), good);
    }

    #[test]
    fn no_group_may_write_not_even_that_of_root() {
        let site = Site::new();
        let file = site.file("file", 0o775);
        let says = "others can write to /file, its mode is 0775: chmod go-w /file";
        assert_eq!(site.says("file"), says);
        chown(&file, Some(0), Some(12)).unwrap();
        assert_eq!(site.says("file"), says);
    }

    #[test]
    fn a_file_that_everybody_can_write_to_is_refused() {
        let site = Site::new();
        site.file("file", 0o777);
        let says = "others can write to /file, its mode is 0777: chmod go-w /file";
        assert_eq!(site.says("file"), says);
    }

    #[test]
    fn a_directory_on_the_way_that_everybody_can_write_to_is_refused() {
        let site = Site::new();
        site.directory("open", 0o777);
        site.directory("open/inner", 0o755);
        site.file("open/inner/file", 0o755);
        let says = "others can write to /open, its mode is 0777: chmod go-w /open";
        assert_eq!(site.says("open/inner/file"), says);
    }

    #[test]
    fn a_sticky_directory_is_refused_and_nobody_is_told_to_close_it() {
        let site = Site::new();
        site.directory("tmp", 0o1777);
        site.file("tmp/file", 0o755);
        let says = site.says("tmp/file");
        assert!(says.starts_with("everybody can write to /tmp, its mode is 1777: move"));
    }

    #[test]
    fn a_link_in_an_open_directory_is_refused_although_it_leads_to_a_good_file() {
        let site = Site::new();
        site.directory("open", 0o777);
        symlink(site.at("good"), site.at("open/link")).unwrap();
        // At the start of the way and in the middle of it.
        symlink(site.at("open/link"), site.at("first")).unwrap();
        for name in ["open/link", "first"] {
            let says = site.says(name);
            assert!(says.starts_with("others can write to /open, "), "{says}");
        }
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused_also_a_link() {
        let site = Site::new();
        let file = site.file("file", 0o755);
        chown(&file, Some(1234), None).unwrap();
        let says = "/file belongs to the user 1234, who can change it: chown root /file";
        assert_eq!(site.says("file"), says);
        symlink(site.at("good"), site.at("link")).unwrap();
        std::os::unix::fs::lchown(site.at("link"), Some(1234), None).unwrap();
        assert!(
            site.says("link")
                .starts_with("/link belongs to the user 1234")
        );
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        let site = Site::new();
        site.file("plain", 0o644);
        site.directory("directory", 0o755);
        symlink("circle", site.at("circle")).unwrap();
        let plain = "/plain is not executable, its mode is 0644: chmod +x /plain";
        assert_eq!(site.says("plain"), plain);
        assert_eq!(site.says("directory"), "/directory is not a regular file");
        assert_eq!(site.says("nothing/there"), "/nothing does not exist");
        let circle = "/circle leads through more than 40 symbolic links";
        assert_eq!(site.says("circle"), circle);
        assert!(
            site.says("good/file")
                .starts_with("cannot look at /good/file: ")
        );
    }
}
