//! Is what the documents say true of the program? Links, commands, files and answers in them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use floatlock::config;
use floatlock::control::status::Status;
use floatlock::control::{Request, Response};
use floatlock::wire::native::Key;

const FLOATLOCK: &str = env!("CARGO_BIN_EXE_floatlock");
/// The heading under which README lists what does not exist.
const NOT_THERE: &str = "## What is not there yet";

#[test]
fn every_relative_link_leads_somewhere() {
    for document in Document::all() {
        for link in document.links() {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => document.path.clone(),
                _ => document.path.with_file_name(file),
            };
            assert!(target.exists(), "{}: {link}", document.name());
            if !anchor.is_empty() {
                let anchors = Document::read(&target).anchors();
                assert!(anchors.contains(anchor), "{}: {link}", document.name());
            }
        }
    }
}

#[test]
fn every_command_in_the_documents_can_be_typed() {
    let missing = not_there();
    for document in Document::all() {
        for command in document.commands() {
            if missing.contains(&command) {
                continue;
            }
            let known = is_known(&command);
            assert!(known.is_ok(), "{}: `{command}`: {known:?}", document.name());
        }
    }
}

#[test]
fn what_is_not_there_yet_is_not_there() {
    let missing = not_there();
    assert!(!missing.is_empty());
    for command in missing {
        assert!(is_known(&command).is_err(), "`{command}` is there");
    }
}

/// Whether the program takes these arguments; what it does not know is an error before the help is
/// shown.
fn is_known(command: &str) -> Result<(), String> {
    let output = Command::new(FLOATLOCK)
        .args(command.split_whitespace().skip(1))
        .arg("--help")
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn every_command_of_the_program_is_in_the_documents() {
    let named: BTreeSet<String> = Document::all()
        .iter()
        .flat_map(Document::commands)
        .filter_map(|command| command.split_whitespace().nth(1).map(str::to_owned))
        .collect();
    let help = Command::new(FLOATLOCK).arg("help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let table = help.split("Commands:\n").nth(1).unwrap();
    let rows = table.lines().take_while(|line| line.starts_with("  "));
    let commands: BTreeSet<&str> = rows
        .filter_map(|row| row.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.contains("run") && commands.contains("status"));
    for name in commands {
        assert!(named.contains(name), "no document names `floatlock {name}`");
    }
}

#[test]
fn every_configuration_in_the_documents_is_accepted() {
    let mut count = 0;
    for document in Document::all() {
        for text in document.blocks("toml") {
            count += 1;
            let name = document.name();
            let key = |_: &Path| Ok(Key::new(&[7; 32]).unwrap());
            if let Err(problems) = config::parse_with(&name, &text, "lb-a", &key) {
                panic!("{}", problems.render(config::Paint::Plain));
            }
        }
    }
    assert!(count >= 2, "only {count} configurations were found");
}

#[test]
fn every_mutant_breaks_something_that_the_code_says() {
    let mut script = Command::new("sh");
    script.arg("tests/mutants.sh").env("FLOATLOCK_DRY", "1");
    let ran = script.output().expect("sh runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
}

#[test]
fn the_quick_start_shows_what_check_prints() {
    let document = Document::read(Path::new("docs/quick-start.md"));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("quick-start.toml");
    // The key that the page has made is somewhere else here.
    let key = file.with_extension("key");
    fs::write(&key, [7; 32]).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let nodes = format!("key-file = {key:?}\nnodes = ");
    let text = document.blocks("toml")[0].replacen("nodes = ", &nodes, 1);
    fs::write(&file, text).unwrap();
    let mut check = Command::new(FLOATLOCK);
    let output = check.args(["check", "-c"]).arg(&file).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    // Which gate a host has is its own affair, and only root can try it.
    let but_gate = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("gate: "));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let shown = document.blocks("text");
    let mut shown = shown
        .iter()
        .filter(|block| block.contains("gate: bpf for `web`"));
    assert!(
        shown.any(|block| but_gate(block) == but_gate(&printed)),
        "{printed}"
    );
}

#[test]
fn the_status_in_the_documents_is_what_an_agent_answers() {
    let blocks = Document::read(Path::new("docs/operations.md")).blocks("json");
    assert_eq!(blocks.len(), 1);
    let shown: serde_json::Value = serde_json::from_str(&blocks[0]).unwrap();
    let status: Status = serde_json::from_value(shown.clone())
        .expect("docs/operations.md shows every field of the status");
    assert_eq!(serde_json::to_value(&status).unwrap(), shown);
    // The text above it is of the same moment.
    let text = status.text();
    let document = fs::read_to_string("docs/operations.md").unwrap();
    assert!(document.contains(&text), "the document should show\n{text}");
}

#[test]
fn the_requests_and_answers_in_the_documents_are_those_of_the_socket() {
    let document = Document::read(Path::new("docs/control-socket.md"));
    let requests = document.spans();
    let requests = requests.iter().filter(|s| s.starts_with("{\"command\""));
    let parsed: Vec<Request> = requests
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let switchover = Request::Switchover {
        group: "web".to_owned(),
        to: None,
        force: false,
    };
    let maintenance = Request::Maintenance {
        on: true,
        for_ms: None,
        force: false,
    };
    let all = [
        Request::Status {},
        Request::Reload {},
        switchover,
        maintenance,
    ];
    assert_eq!(parsed, all);
    for text in document.blocks("text") {
        let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
        let answer: Response = serde_json::from_value(shown.clone()).unwrap();
        assert_eq!(serde_json::to_value(&answer).unwrap(), shown);
    }
}

/// The commands that README says do not exist.
fn not_there() -> BTreeSet<String> {
    let mut readme = Document::read(Path::new("README.md"));
    let section = readme.text.split(NOT_THERE).nth(1).expect(NOT_THERE);
    readme.text = section.split("\n## ").next().unwrap_or(section).to_owned();
    readme.commands().into_iter().collect()
}

/// A Markdown file.
struct Document {
    path: PathBuf,
    text: String,
}

impl Document {
    fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut paths = vec![root.join("README.md"), root.join("CHANGELOG.md")];
        let entries = fs::read_dir(root.join("docs")).unwrap();
        paths.extend(entries.map(|entry| entry.unwrap().path()));
        paths.retain(|path| path.extension().is_some_and(|e| e == "md"));
        paths.sort_unstable();
        assert!(paths.len() > 4, "{paths:?}");
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self { path, text }
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap().to_string_lossy().into()
    }

    /// The targets of `[text](target)` that are in this repository.
    fn links(&self) -> Vec<String> {
        let prose = self.outside_blocks();
        let targets = prose.split("](").skip(1);
        let targets = targets.filter_map(|rest| rest.split(')').next());
        let here = targets.filter(|target| !target.contains("://"));
        here.map(str::to_owned).collect()
    }

    /// What `#...` can lead to, as GitHub makes it of the headings.
    fn anchors(&self) -> BTreeSet<String> {
        let prose = self.outside_blocks();
        let headings = prose.lines().filter_map(|line| {
            let text = line.trim_start_matches('#');
            (text.len() < line.len()).then(|| text.trim().to_lowercase())
        });
        let slug = |heading: String| {
            let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
            let kept: String = heading.chars().filter(kept).collect();
            kept.replace(' ', "-")
        };
        headings.map(slug).collect()
    }

    /// Everything that calls the program: code spans, and lines of blocks.
    fn commands(&self) -> Vec<String> {
        let lines = self.blocks("sh").join("\n");
        let lines = lines.lines().map(str::to_owned);
        let code = self.spans().into_iter().chain(lines);
        code.filter_map(|code| command(&code)).collect()
    }

    /// The text of `code spans`.
    fn spans(&self) -> Vec<String> {
        let prose = self.outside_blocks();
        let paragraphs = prose.split("\n\n");
        let spans = paragraphs.flat_map(|p| p.split('`').skip(1).step_by(2));
        spans.map(|span| span.replace('\n', " ")).collect()
    }

    /// The text of every ```block of this language.
    fn blocks(&self, language: &str) -> Vec<String> {
        let fence = format!("```{language}\n");
        let parts = self.text.split(&fence).skip(1);
        let parts = parts.filter_map(|part| part.split("```").next());
        parts.map(str::to_owned).collect()
    }

    fn outside_blocks(&self) -> String {
        let parts: Vec<&str> = self.text.split("```").collect();
        assert!(parts.len() % 2 == 1, "{}: an open block", self.name());
        parts.into_iter().step_by(2).collect()
    }
}

/// A call of the program, without what a shell makes of the rest of the line.
fn command(code: &str) -> Option<String> {
    let code = code.replace("cargo run -- ", "floatlock ");
    let code = code.strip_prefix("ExecStopPost=").unwrap_or(&code);
    // Elsewhere in the line it is an argument: `systemctl enable floatlock`.
    let arguments = code.strip_prefix("floatlock ")?.split_whitespace();
    let ours = arguments.take_while(|word| !["#", "|", ">", "&&"].contains(word));
    Some(format!("floatlock {}", ours.collect::<Vec<_>>().join(" ")))
}
