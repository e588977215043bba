//! What is not run, and what is said about it?

use std::fs;

use floatlock::action::path::Unsafe;
use floatlock::action::run::Ended;

use crate::stage::{Heard, Site, run};

fn refused(heard: &Heard) -> &Unsafe {
    assert!(heard.out.is_empty() && heard.err.is_empty(), "{heard:?}");
    match &heard.ended {
        Ended::Refused(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_script_that_everybody_can_write_to_is_refused() {
    let site = Site::new();
    let script = site.shell("echo run");
    let name = script.program.to_str().unwrap();
    fs::set_permissions(name, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let heard = run(&script);
    refused(&heard);
    let says = "was not started: others can write to NAME, its mode is 0777: chmod go-w NAME";
    assert_eq!(heard.ended.to_string(), says.replace("NAME", name));
}

#[test]
fn a_directory_that_everybody_can_write_to_is_refused() {
    let site = Site::new();
    let script = site.shell("echo run");
    site.mode("", 0o1777);
    let heard = run(&script);
    assert!(
        matches!(refused(&heard), Unsafe::Shared { path, .. } if *path == site.0),
        "{heard:?}"
    );
    site.mode("", 0o777);
    let heard = run(&script);
    assert!(
        matches!(refused(&heard), Unsafe::Writable { path, .. } if *path == site.0),
        "{heard:?}"
    );
}

#[test]
fn a_script_that_is_not_there_is_refused() {
    let site = Site::new();
    let script = site.shell("echo run");
    fs::remove_file(&script.program).unwrap();
    assert!(matches!(refused(&run(&script)), Unsafe::Missing { .. }));
}

#[test]
fn an_interpreter_that_is_not_there_is_said() {
    let site = Site::new();
    let script = site.script("#!/nowhere/sh\n");
    let heard = run(&script);
    assert!(matches!(heard.ended, Ended::Exit(127)), "{heard:?}");
    let name = script.program.display();
    let says = format!("floatlock: cannot run {name}: No such file or directory (os error 2)");
    assert_eq!(heard.err, [says]);
}

#[test]
fn a_script_that_its_user_may_not_run_is_said() {
    let site = Site::new();
    let mut script = site.shell("echo run");
    fs::set_permissions(
        &script.program,
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    script.user = Some("nobody".into());
    let heard = run(&script);
    assert!(matches!(heard.ended, Ended::Exit(126)), "{heard:?}");
    let name = script.program.display();
    let says = format!("floatlock: cannot run {name}: Permission denied (os error 13)");
    assert_eq!(heard.err, [says]);
}

#[test]
fn a_user_who_does_not_exist_is_said() {
    let site = Site::new();
    let mut script = site.shell("echo run");
    script.user = Some("-no such user".into());
    let heard = run(&script);
    assert!(matches!(heard.ended, Ended::Exit(125)), "{heard:?}");
    let says =
        "floatlock: the script was not started: cannot become -no such user: there is no such user";
    assert_eq!(heard.err, [says]);
}

#[test]
fn what_the_system_cannot_pass_on_is_a_failure() {
    let site = Site::new();
    let mut script = site.shell("echo run");
    script.env = vec![("FLOATLOCK_CAUSE", "a\0b".into())];
    assert!(matches!(run(&script).ended, Ended::Failed(_)));
}
