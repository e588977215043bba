//! Is any text either a configuration or a list of problems?

use floatlock::config::{Paint, Problems};

use super::{cases, parse, text_of};

/// Numbers that look random and are the same in every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// Texts that mean something to some part of the parser.
const TOKENS: &[&str] = &[
    "\"",
    "'",
    "\"\"\"",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "#",
    "\\u0000",
    "\u{e9}",
    "\u{1F512}",
    "\t",
    "\r",
    "0",
    "-1",
    "255",
    "1e400",
    "inf",
    "0x7f",
    "true",
    "1979-05-27",
    "/0",
    "/33",
    "/129",
    "/15",
    "::/1",
    "0.0.0.0",
    "255.255.255.255/32",
    "ff02::1",
    "fe80::1%eth0",
    "::ffff:1.2.3.4",
    "18446744073709551615s 1000ms",
    "\"0s\"",
    "\"40.95s\"",
    "vrrp2",
    "native",
    "witnesses = [\"lb-a\"]\n",
    "/missing.key",
    "[fencing]",
    "[[group.probe]]",
    "[group]",
    "[[group]]",
    "[heartbeat.path]",
    "a.b.c = 1",
];

/// With its defaults in force and without its comments: a mutated comment is a wasted round.
fn conf_file(name: &str) -> String {
    let text = super::conf::with_defaults(&text_of(&format!("conf/{name}.toml")));
    let code = |line: &&str| !line.is_empty() && !line.starts_with('#');
    text.lines()
        .filter(code)
        .map(|line| line.to_owned() + "\n")
        .collect()
}

fn mutate(text: &str, dice: &mut Dice) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=dice.below(3) {
        match dice.below(6) {
            0 => flip(&mut bytes, dice),
            1 => insert_token(&mut bytes, dice),
            2 => cut(&mut bytes, dice),
            _ => bytes = change_lines(&bytes, dice),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn flip(bytes: &mut [u8], dice: &mut Dice) {
    let at = dice.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << dice.below(8);
    }
}

fn insert_token(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    bytes.splice(at..at, dice.of(TOKENS).bytes());
}

fn cut(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let start = dice.below(bytes.len());
    let end = (start + dice.below(20)).min(bytes.len());
    bytes.drain(start..end);
}

/// Deletes, repeats or swaps lines, or swaps the values of two of them.
fn change_lines(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (one, two) = (dice.below(lines.len()), dice.below(lines.len()));
    if lines.is_empty() {
        return Vec::new();
    }
    match dice.below(4) {
        0 => drop(lines.remove(one)),
        1 => lines.insert(two, lines[one].clone()),
        2 => lines.swap(one, two),
        _ => swap_values(&mut lines, one, two),
    }
    lines.join("\n").into_bytes()
}

fn swap_values(lines: &mut [String], one: usize, two: usize) {
    let split = |line: &String| {
        let (key, value) = line.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    };
    if let (Some((key, value)), Some((other_key, other))) = (split(&lines[one]), split(&lines[two]))
    {
        lines[one] = format!("{key}={other}");
        lines[two] = format!("{other_key}={value}");
    }
}

fn check_places(problems: &Problems) {
    let text = problems.text();
    for problem in problems {
        let related = problem.related.iter().map(|related| &related.span);
        for span in related.chain([&problem.span]) {
            assert!(
                text.get(span.clone()).is_some(),
                "{span:?} of {problem:?} in {text:?}"
            );
        }
    }
    let rendered = problems.render(Paint::Plain);
    for (problem, row) in problems.iter().zip(problems.rows()) {
        assert!(row.line >= 1 && row.column >= 1);
        let first_line = problem.message.lines().next().unwrap_or_default();
        assert!(
            rendered.contains(first_line),
            "{problem:?} is not in {rendered}"
        );
    }
}

#[test]
fn ten_thousand_mutants_are_each_loaded_or_refused_with_reasons() {
    let conf = [
        "minimal",
        "minimal-vrrp3",
        "floatlock",
        "haproxy-lb-a",
        "haproxy-lb-b",
    ];
    let mut seeds: Vec<String> = conf.iter().map(|name| conf_file(name)).collect();
    let small = cases()
        .into_iter()
        .map(|case| std::fs::read_to_string(case).unwrap());
    seeds.extend(small.filter(|text| text.len() < 1200));
    let mut dice = Dice(20_260_101);
    let (mut loaded, mut refused) = (0, 0);
    for round in 0..10_000 {
        // Half of them from the files that people start with.
        let seed = if round % 2 == 0 {
            &seeds[round / 2 % conf.len()]
        } else {
            dice.of(&seeds)
        };
        let mutant = mutate(seed, &mut dice);
        match parse(&mutant) {
            Ok(good) => {
                loaded += 1;
                check_places(&good.warnings);
            }
            Err(problems) => {
                refused += 1;
                assert!(
                    problems
                        .iter()
                        .any(|p| p.severity == floatlock::config::Severity::Error)
                );
                check_places(&problems);
            }
        }
    }
    println!("{loaded} loaded, {refused} refused");
    assert!(
        loaded > 500 && refused > 500,
        "{loaded} loaded, {refused} refused"
    );
}
