//! What happens when somebody else deletes the address on the MASTER?

use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Process, clock};

use crate::figures::{Row, Target, millis};
use crate::stage::{Failure, PATIENCE, Program, Stage, VIP, group};
use crate::takeover::wait_for_middle;
use crate::timeline::Timeline;

/// Both programs are done with it long before.
const AFTERWARDS: Duration = Duration::from_secs(3);

pub(crate) fn rows(interval: Duration) -> Vec<Row> {
    let row = |what, unit, most| {
        let name = format!("address deleted at {interval:?}: {what}");
        Row::new(name, unit, Target::Worst(most))
    };
    vec![
        row("until lb-a has it again", "ms", 50.0),
        row("nobody answers", "ms", 50.0),
        row("changes of role", "", 0.0),
    ]
}

/// In the order of the rows.
pub(crate) fn play(
    stage: &Stage,
    program: Program,
    interval: Duration,
) -> Result<Vec<f64>, Failure> {
    let watch = stage.ask()?;
    let on_a = Timeline::start(&stage.a)?;
    let pair = stage.start_pair(program, &[group(interval)])?;
    wait_for_middle(&watch, interval)?;
    let began = clock::now();
    stage.a.sh(&format!("ip addr del {VIP}/32 dev eth0"))?;
    let back = on_a.wait(true, 1, began, PATIENCE);
    clock::pause(AFTERWARDS);
    let seen = watch.stop();
    let changes = role_changes(&pair.a, program, began) + role_changes(&pair.b, program, began);
    pair.stop()?;
    let changed = on_a.changes();
    let gone = changed
        .iter()
        .find(|change| !change.on && change.at >= began);
    let gone = gone.ok_or("the address was not deleted")?.at;
    let back = back.ok_or("lb-a has not got the address back")?;
    let silence = seen.longest_silence(VIP, gone, back.max(gone) + AFTERWARDS / 2);
    Ok(vec![
        millis(back.since(gone)),
        millis(silence),
        changes as f64,
    ])
}

/// Both programs log one line for each.
fn role_changes(agent: &Process, program: Program, since: Instant) -> usize {
    let says_so = match program {
        Program::Keepalived => "Entering ",
        Program::Floatlock => " -> ",
    };
    let lines = agent.lines();
    let later = lines.iter().filter(|line| line.at >= since);
    later.filter(|line| line.text.contains(says_so)).count()
}
