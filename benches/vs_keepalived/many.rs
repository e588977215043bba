//! What when thousands of addresses move at once? How long it takes, who holds them meanwhile, and
//! whether the adverts go on.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::agent::GroupSetup;
use floatlock::lab::{Advert, Host, Observation, Watch, clock};
use nix::sys::signal::Signal;

use crate::figures::{Row, Target, millis};
use crate::stage::{Failure, MANY, PATIENCE, Pair, Part, Program, Stage, alone, group};
use crate::timeline::{Change, Timeline, overlaps};
use crate::usage;

const INTERVAL: Duration = Duration::from_millis(200);
/// Announcements are over when none came for so long: both programs repeat them after 5 s.
const QUIET: Duration = Duration::from_millis(5500);
/// So that the standby has heard the MASTER, and has done what a start asks for.
const SETTLE: Duration = Duration::from_secs(2);
/// After the last address is on, so that a late advert shows.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// So many of the addresses, equally spread, are asked by the client.
const SAMPLES: usize = 16;
const ASK_EVERY: Duration = Duration::from_millis(10);

/// How the MASTER goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Stop,
    PowerLoss,
}

pub(crate) fn rows(count: usize, end: End) -> Vec<Row> {
    let event = match end {
        End::Stop => "planned stop",
        End::PowerLoss => "power loss",
    };
    let row = |what: &str, unit, target| {
        Row::new(format!("{count} addresses, {event}: {what}"), unit, target)
    };
    // The silence after which a MASTER counts as lost is the same for both, and not work.
    let (in_all, work) = match (count, end) {
        (10_000, End::Stop) => (Target::Ratio(0.25), Target::Nothing),
        (10_000, End::PowerLoss) => (Target::Nothing, Target::Ratio(0.25)),
        _ => (Target::Nothing, Target::Nothing),
    };
    let heartbeat = Target::Worst(2.0 * millis(INTERVAL));
    let mut rows = vec![
        row("until the client reaches all on the standby", "ms", in_all),
        row("reached, from the standby's first act", "ms", work),
        row("until all are on the standby's interface", "ms", in_all),
        row("on, from the standby's first act", "ms", work),
        row("CPU time of the standby", "ms", Target::Nothing),
        row("longest pause between adverts", "ms", heartbeat),
    ];
    if end == End::Stop {
        rows.extend([
            row("until the MASTER has none", "ms", Target::Nothing),
            row("addresses that it leaves behind", "", Target::Worst(0.0)),
            row("both hosts answer for one", "ms", Target::Worst(0.0)),
            row(
                "addresses on the interfaces of both",
                "",
                Target::Worst(0.0),
            ),
            row(
                "the kernel alone puts as many on (ip -batch, system time)",
                "ms",
                Target::Nothing,
            ),
        ]);
    }
    rows
}

/// In the order of the rows.
pub(crate) fn play(
    stage: &Stage,
    program: Program,
    count: usize,
    end: End,
) -> Result<Vec<f64>, Failure> {
    let watch = stage.ask_for(&samples(count), ASK_EVERY)?;
    let of_both = stage.ask_both(&samples(count), ASK_EVERY)?;
    let [on_a, on_b] = [Timeline::start(&stage.a)?, Timeline::start(&stage.b)?];
    let pair = start(stage, program, count, &on_a, &watch)?;

    let before = usage::cpu(&stage.b)?;
    let began = clock::now();
    match end {
        End::Stop => pair.a.signal(Signal::SIGTERM)?,
        End::PowerLoss => stage.a.power_off()?,
    }
    let all_on = on_b.wait(true, count, began, PATIENCE);
    let all_on = all_on.ok_or_else(|| failed(&on_b, &pair, began))?;
    let worked = usage::cpu(&stage.b)?.saturating_sub(before);
    if end == End::Stop {
        pair.a.wait(PATIENCE)?;
    }
    let reached = wait_until_reached(&watch, &samples(count), began)?;
    clock::pause(AFTERWARDS);

    let move_ = Move {
        began,
        all_on,
        reached,
        ended: clock::now(),
        a: on_a.changes(),
        b: on_b.changes(),
    };
    let seen = watch.stop();
    let mut figures = move_.times(&seen);
    figures.push(millis(worked));
    figures.push(millis(longest_pause(&seen, &move_, end)));
    if end == End::Stop {
        figures.extend(move_.release(count, &of_both.stop()));
    }
    pair.stop()?;
    if end == End::Stop {
        figures.push(kernel_alone(&stage.b, count)?);
    }
    Ok(figures)
}

/// What no program can do without: the time in milliseconds that the kernel works on so many additions.
fn kernel_alone(host: &Host, count: usize) -> Result<f64, Failure> {
    let line = |n| format!("addr add {}/32 dev eth0\n", nth(n));
    let additions: String = (1..count).map(line).collect();
    let file = host.write("additions", &additions)?;
    let add = format!("TIMEFORMAT=%S; time ip -batch {}", file.display());
    let said = host.sh(&format!("bash -c '{add}'"))?;
    host.sh(&format!("ip addr flush dev eth0 to {MANY}"))?;
    let seconds: f64 = said.trim().parse()?;
    Ok(seconds * 1000.0)
}

/// One after the other: keepalived's adverts pause while it puts thousands of addresses on, so
/// that a BACKUP that already runs would take over, and so on without end.
fn start(
    stage: &Stage,
    program: Program,
    count: usize,
    on_a: &Timeline,
    watch: &Watch,
) -> Result<Pair, Failure> {
    let part = Part::of_pair(&[setup(count)]);
    let a = stage.start(program, &stage.a, &part.with_priority(150))?;
    wait_for_quiet(on_a, watch, count)?;
    let b = stage.start(program, &stage.b, &part.with_priority(100))?;
    clock::pause(SETTLE);
    Ok(Pair { a, b })
}

fn setup(count: usize) -> GroupSetup {
    GroupSetup {
        unadvertised: (1..count).map(|n| alone(nth(n))).collect(),
        ..group(INTERVAL)
    }
}

fn nth(number: usize) -> IpAddr {
    let first = MANY.network().to_bits();
    let offset = u32::try_from(number).unwrap_or(u32::MAX);
    Ipv4Addr::from_bits(first.saturating_add(offset)).into()
}

fn samples(count: usize) -> Vec<IpAddr> {
    let places = (1..=SAMPLES).map(|n| (count - 1) * n / SAMPLES);
    places.map(nth).collect()
}

/// Waits until the MASTER has all addresses and has announced them as often as it wants.
fn wait_for_quiet(on_a: &Timeline, watch: &Watch, count: usize) -> Result<(), Failure> {
    let all_on = on_a.wait(true, count, Instant::default(), PATIENCE);
    let mut last = all_on.ok_or("lb-a has not become MASTER of all addresses")?;
    while clock::now().since(last) < QUIET {
        clock::pause(QUIET.saturating_sub(clock::now().since(last)));
        let announced = watch.look(|seen| seen.announcements.last().map(|a| a.at));
        last = announced.map_or(last, |at| at.max(last));
    }
    Ok(())
}

/// When the last of them answered from the standby for the first time.
fn wait_until_reached(
    watch: &Watch,
    samples: &[IpAddr],
    began: Instant,
) -> Result<Instant, Failure> {
    let mut last = began;
    for &sample in samples {
        let first = watch.wait_for(PATIENCE, |seen| {
            let reply = seen.first_reply_from("lb-b", sample, began);
            reply.map(|reply| reply.at)
        });
        last = last.max(first.ok_or_else(|| format!("lb-b does not answer for {sample}"))?);
    }
    Ok(last)
}

fn failed(on_b: &Timeline, pair: &Pair, began: Instant) -> String {
    let (count, _) = on_b.count(true, began);
    let last = pair.b.last_lines(10);
    format!("lb-b put on only {count} addresses; its last lines:\n{last}")
}

/// What was seen of one move.
struct Move {
    began: Instant,
    all_on: Instant,
    reached: Instant,
    ended: Instant,
    a: Vec<Change>,
    b: Vec<Change>,
}

impl Move {
    fn times(&self, seen: &Observation) -> Vec<f64> {
        let first = self.first_act(seen);
        vec![
            millis(self.reached.since(self.began)),
            millis(self.reached.since(first)),
            millis(self.all_on.since(self.began)),
            millis(self.all_on.since(first)),
        ]
    }

    /// The standby's first advert or address, whichever comes first.
    fn first_act(&self, seen: &Observation) -> Instant {
        let mut on_b = self.b.iter().filter(|c| c.on && c.at >= self.began);
        let first = on_b.next().map_or(self.all_on, |change| change.at);
        let of_b = |advert: &&Advert| &*advert.from == "lb-b" && advert.at >= self.began;
        let advert = seen.adverts.iter().find(of_b).map(|advert| advert.at);
        advert.map_or(first, |at| at.min(first))
    }

    fn release(&self, count: usize, seen: &Observation) -> Vec<f64> {
        let off = self.a.iter().filter(|c| !c.on && c.at >= self.began);
        let off: Vec<Instant> = off.map(|change| change.at).collect();
        let all_off = off.last().copied().unwrap_or(self.began);
        let both = overlaps(&self.a, &self.b, self.began, self.ended);
        let of_both = samples(count).into_iter();
        let of_both = of_both.map(|sample| seen.overlap(sample)).max();
        vec![
            millis(all_off.since(self.began)),
            count.saturating_sub(off.len()) as f64,
            millis(of_both.unwrap_or_default()),
            both.len() as f64,
        ]
    }
}

/// Between two adverts of anybody, until the end. After a power loss those of the standby alone
/// count: the silence before the first of them is how it knows.
fn longest_pause(seen: &Observation, move_: &Move, end: End) -> Duration {
    let counts = |advert: &&Advert| end == End::Stop || &*advert.from == "lb-b";
    let adverts = seen.adverts.iter().filter(counts);
    let times: Vec<Instant> = adverts.map(|advert| advert.at).collect();
    // With the pause that the move has begun in.
    let first = times
        .partition_point(|at| *at < move_.began)
        .saturating_sub(1);
    let until = times[first..].iter().skip(1).chain([&move_.ended]);
    let pauses = times[first..].iter().zip(until);
    let pauses = pauses.map(|(from, until)| until.since(*from));
    pauses.max().unwrap_or_default()
}
