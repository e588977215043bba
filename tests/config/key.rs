//! Which files are keys, and what is said of the others? Each error names the file and the fix.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use floatlock::config::{KeyProblem, UnusableKey, load_key};
use floatlock::wire::native::{BadKey, Key};
use nix::sys::stat::Mode;
use nix::unistd::{Uid, chown, mkfifo};

const RAW: [u8; 32] = [0xe7; 32];
/// `RAW` as `base64` prints it.
const BASE64: &str = "5+fn5+fn5+fn5+fn5+fn5+fn5+fn5+fn5+fn5+fn5+c=\n";

/// A directory of its own, gone at the end.
struct Scene(PathBuf);

impl Scene {
    fn new(name: &str) -> Self {
        let dir = format!("key-{name}-{}", std::process::id());
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(dir);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn path(&self) -> PathBuf {
        self.0.join("cluster.key")
    }

    fn write(&self, content: &[u8], mode: u32) -> PathBuf {
        let path = self.path();
        File::create(&path).unwrap().write_all(content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    /// Everything that a message must say besides the path.
    fn refused(&self, words: &[&str]) -> UnusableKey {
        let error = load_key(&self.path()).unwrap_err();
        let message = error.to_string();
        let path = self.path();
        for word in words.iter().chain([&path.to_str().unwrap()]) {
            assert!(message.contains(word), "no `{word}` in: {message}");
        }
        error
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_key_is_bytes_or_base64_of_them() {
    let scene = Scene::new("good");
    let id = Key::new(&RAW).unwrap().id();
    for content in [&RAW[..], BASE64.as_bytes()] {
        for mode in [0o600, 0o400] {
            let path = scene.write(content, mode);
            assert_eq!(load_key(&path).unwrap().id(), id);
            fs::remove_file(path).unwrap();
        }
    }
    let aside = scene.0.join("aside");
    fs::rename(scene.write(&RAW, 0o600), &aside).unwrap();
    symlink(&aside, scene.path()).unwrap();
    assert_eq!(load_key(&scene.path()).unwrap().id(), id, "through a link");
}

#[test]
fn a_key_that_others_can_read_is_refused_with_its_mode_and_the_fix() {
    let scene = Scene::new("mode");
    for (mode, shown) in [(0o644, "0644"), (0o640, "0640"), (0o602, "0602")] {
        scene.write(&RAW, mode);
        let error = scene.refused(&["cannot use the key", shown, "`chmod 600 "]);
        assert!(matches!(error.why, KeyProblem::Mode(theirs) if theirs == mode));
    }
    // A link to it hides nothing.
    let aside = scene.0.join("aside");
    fs::rename(scene.path(), &aside).unwrap();
    symlink(&aside, scene.path()).unwrap();
    scene.refused(&["0602"]);
}

/// Whoever is not root and reads it all the same is refused: `tests/cli`.
#[test]
fn root_reads_the_key_of_somebody_else_for_whom_the_agent_may_run() {
    if !Uid::effective().is_root() {
        eprintln!("left out: only root can give a file away");
        return;
    }
    let scene = Scene::new("owner");
    let path = scene.write(&RAW, 0o600);
    chown(&path, Some(Uid::from_raw(65_534)), None).unwrap();
    assert_eq!(load_key(&path).unwrap().id(), Key::new(&RAW).unwrap().id());
    scene.write(&RAW, 0o640);
    let error = scene.refused(&["0640"]);
    assert!(matches!(error.why, KeyProblem::Mode(0o640)));
}

#[test]
fn what_is_too_short_too_long_or_a_passphrase_is_no_key() {
    let scene = Scene::new("content");
    let bad = |content: &[u8], words: &[&str]| {
        scene.write(content, 0o600);
        match scene.refused(words).why {
            KeyProblem::Bad(bad) => bad,
            other => panic!("{other:?}"),
        }
    };
    let make = "head -c 32 /dev/urandom | base64";
    assert_eq!(
        bad(&[], &["of 0 bytes", "32 or more", make]),
        BadKey::Short(0)
    );
    assert_eq!(bad(&RAW[1..], &["of 31 bytes", make]), BadKey::Short(31));
    assert_eq!(bad(&[0; 1025], &["more than 1024", make]), BadKey::Long);
    let passphrase = b"this is long enough, but it is not random\n";
    assert_eq!(bad(passphrase, &["not base64", make]), BadKey::NotBase64);
}

#[test]
fn a_key_that_is_not_there_is_to_be_made() {
    let scene = Scene::new("none");
    let words = ["No such file", "head -c 32 /dev/urandom | base64 >", "copy"];
    let error = scene.refused(&words);
    assert!(matches!(error.why, KeyProblem::Unreadable(_)));
}

#[test]
fn what_is_not_a_file_is_refused_at_once() {
    let scene = Scene::new("pipe");
    mkfifo(&scene.path(), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    scene.refused(&["not a regular file"]);
    fs::remove_file(scene.path()).unwrap();
    fs::create_dir(scene.path()).unwrap();
    scene.refused(&["not a regular file"]);
    let null = load_key("/dev/null".as_ref()).unwrap_err().to_string();
    assert!(null.contains("/dev/null") && null.contains("not a regular file"));
}
