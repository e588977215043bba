//! How long does nobody answer after the MASTER has lost its power?

use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Observation, Watch, clock};

use crate::figures::{Row, Target, millis};
use crate::stage::{Failure, PATIENCE, Part, Program, Stage, VIP};

/// Adverts of the MASTER before anything is done to it: the BACKUP has heard some of them.
const ADVERTS: usize = 5;

pub(crate) fn rows(interval: Duration) -> Vec<Row> {
    let name = |what| format!("power loss at {interval:?}: {what}");
    vec![
        Row::new(name("nobody answers"), "ms", Target::Ratio(1.05)),
        Row::new(
            name("from the last advert to the first answer"),
            "ms",
            Target::Ratio(1.05),
        ),
    ]
}

/// The standby of the native protocol answers within `most` milliseconds.
pub(crate) fn rows_native(what: &str, most: f64) -> Vec<Row> {
    let name = |figure| format!("power loss, {what}: {figure}");
    vec![
        Row::new(name("nobody answers"), "ms", Target::Worst(most)),
        Row::new(
            name("from the last advert to the first answer"),
            "ms",
            Target::Nothing,
        ),
    ]
}

/// In the order of the rows.
pub(crate) fn play(stage: &Stage, program: Program, part: &Part) -> Result<Vec<f64>, Failure> {
    let watch = stage.ask()?;
    let pair = stage.start_pair_of(program, part)?;
    wait_for_middle(&watch, part.interval())?;
    let cut = clock::now();
    stage.a.power_off()?;
    wait_for_answer(&watch, "lb-b", cut)?;
    pair.stop()?;
    let seen = watch.stop();
    let gap = seen.takeover("lb-b", VIP, cut);
    let gap = gap.ok_or("nobody answered before lb-b did")?;
    let last = last_advert(&seen, gap.until).ok_or("lb-a has sent no advert")?;
    Ok(vec![millis(gap.length()), millis(gap.until.since(last))])
}

/// Waits until `lb-a` has been MASTER for a while and its last advert is half an interval old:
/// what happens at the same place between two adverts can be compared.
pub(crate) fn wait_for_middle(watch: &Watch, interval: Duration) -> Result<(), Failure> {
    wait_for_answer(watch, "lb-a", Instant::default())?;
    let answered = clock::now();
    let nth = watch.wait_for(PATIENCE, |seen| {
        let mut adverts = seen.adverts_from("lb-a", answered);
        adverts.nth(ADVERTS).map(|advert| advert.at)
    });
    let middle = nth.ok_or("lb-a does not advertise")? + interval / 2;
    clock::pause(middle.since(clock::now()));
    Ok(())
}

pub(crate) fn wait_for_answer(
    watch: &Watch,
    host: &str,
    after: Instant,
) -> Result<Instant, Failure> {
    let first = watch.wait_for(PATIENCE, |seen| {
        let reply = seen.first_reply_from(host, VIP, after);
        reply.map(|reply| reply.at)
    });
    first.ok_or_else(|| format!("{host} does not answer for {VIP}").into())
}

fn last_advert(seen: &Observation, before: Instant) -> Option<Instant> {
    let adverts = seen.adverts_from("lb-a", Instant::default());
    adverts.map(|a| a.at).take_while(|at| *at <= before).last()
}
