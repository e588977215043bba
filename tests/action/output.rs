//! What is heard of a script, and what is it told?

use std::fs;

use crate::stage::{Site, run};

#[test]
fn a_flood_of_100_mib_is_heard_to_its_end_and_dropped() {
    let site = Site::new();
    let before = peak_kib();
    let heard = run(&site.shell("yes 0123456789abcde | head -c 104857600")).good();
    assert_eq!(heard.out.len(), 4096);
    assert!(heard.out.iter().all(|line| line == "0123456789abcde"));
    assert_eq!(heard.dropped, (100 << 20) - (64 << 10));
    let grown = peak_kib() - before;
    assert!(grown < 16 << 10, "{grown} KiB");
    println!("100 MiB in {:?}, {grown} KiB more", heard.took);
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_line_without_an_end_is_cut() {
    let site = Site::new();
    let heard = run(&site.shell("head -c 1000000 /dev/zero | tr '\\0' x >&2")).good();
    assert_eq!(heard.err, ["x".repeat(1024)]);
    assert_eq!(heard.dropped, 1_000_000 - 1024);
}

#[test]
fn what_would_play_with_a_terminal_is_escaped() {
    let site = Site::new();
    let heard = run(&site.shell("printf '\\033[31mred\\a \\377'")).good();
    assert_eq!(heard.out, ["\\u{1b}[31mred\\u{7} \u{fffd}"]);
}

#[test]
fn a_script_reads_what_it_is_told() {
    let site = Site::new();
    let mut script = site.shell("wc -c");
    script.input = vec![b'x'; 1 << 20];
    assert_eq!(run(&script).good().out, ["1048576"]);
    script.input = Vec::new();
    assert_eq!(run(&script).good().out, ["0"]);
}

#[test]
fn a_script_need_not_read_what_it_is_told() {
    let site = Site::new();
    for text in ["exit 0", "exec <&-; echo", "head -c 1 >&2"] {
        let mut script = site.shell(text);
        script.input = vec![b'x'; 1 << 20];
        run(&script).good();
    }
}

#[test]
fn the_last_words_are_heard() {
    let site = Site::new();
    for _ in 0..20 {
        let heard = run(&site.shell("head -c 4000 /dev/zero; printf last >&2")).good();
        assert_eq!(heard.err, ["last"]);
    }
}
