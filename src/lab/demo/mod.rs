//! What does `floatlock demo` do? It plays a scenario in the laboratory and says what it measures.

mod interrupt;
mod narrate;
mod play;
mod scenario;
mod stage;

use std::io::{self, Write};
use std::path::PathBuf;

pub use scenario::Scenario;

use super::LabError;
use super::agent::AgentKind;
use super::service::Service;
use interrupt::Interrupt;
use narrate::Narrator;
use play::Play;

/// How to run the demo.
#[derive(Clone, Debug)]
pub struct Options {
    /// What happens.
    pub scenario: Scenario,
    /// Who keeps the address.
    pub agent: AgentKind,
    /// What the hosts serve.
    pub service: Service,
    /// Whether the output is a terminal that shows colours.
    pub colour: bool,
}

impl Options {
    /// The default scenario with the agent in this file, and HAProxy where it is installed.
    #[must_use]
    pub fn new(floatlock: PathBuf) -> Self {
        Self {
            scenario: Scenario::Failover,
            service: Service::choose(&floatlock),
            agent: AgentKind::Floatlock(floatlock),
            colour: false,
        }
    }
}

/// How the demo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything happened as expected.
    AsExpected,
    /// Something did not.
    Unexpected,
    /// Namespaces may not be created.
    NeedsRoot,
    /// A signal ended it.
    Interrupted,
}

impl Ended {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Ended::AsExpected => 0,
            Ended::Unexpected => 1,
            Ended::NeedsRoot => 4,
            // 128 + SIGINT, as a shell says it.
            Ended::Interrupted => 130,
        }
    }
}

/// Why a scenario did not come to its end.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// Something did not happen, or happened though it must not.
    #[error("{0}")]
    Unexpected(String),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error("interrupted")]
    Interrupted,
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// Plays the scenario: the story to `out`, what went wrong to `err`. When it returns, everything
/// is removed.
pub fn run(options: &Options, out: &mut dyn Write, err: &mut dyn Write) -> Ended {
    let interrupt = match Interrupt::new() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(err, &Trouble::Output(error)),
    };
    let mut narrator = Narrator::new(out, options.colour);
    match play(options, &interrupt, &mut narrator, err) {
        Ok(()) => Ended::AsExpected,
        Err(trouble) => fail(err, &trouble),
    }
}

fn play(
    options: &Options,
    interrupt: &Interrupt,
    narrator: &mut Narrator<'_>,
    err: &mut dyn Write,
) -> Result<(), Trouble> {
    let mut play = Play::new(options, interrupt, narrator)?;
    let played = options.scenario.run(&mut play);
    if let Err(Trouble::Unexpected(_)) = played {
        // Before the hosts go, and their logs with them.
        let _ = err.write_all(play.last_words().as_bytes());
    }
    let summary = play.end();
    // Removed, whatever happened; said only where the story came so far.
    played?;
    narrator.table(&summary)?;
    narrator.line("Everything is removed.")?;
    Ok(())
}

fn fail(err: &mut dyn Write, trouble: &Trouble) -> Ended {
    let ended = match trouble {
        Trouble::Interrupted => Ended::Interrupted,
        Trouble::Lab(LabError::NeedsRoot { .. }) => Ended::NeedsRoot,
        _ => Ended::Unexpected,
    };
    let text = match ended {
        Ended::Interrupted => "interrupted; everything is removed".to_owned(),
        _ => format!("floatlock demo: {trouble}"),
    };
    // There is nobody left to tell when this fails too.
    let _ = writeln!(err, "{text}");
    ended
}
