//! What did the client see in one run?

use std::net::IpAddr;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Observation, Question};

use crate::pulse;
use crate::site::lateness;
use crate::stage::{Stage, vips};

/// What is queued below a gate when it shuts still goes out.
const QUEUED: Duration = Duration::from_millis(20);

/// What a row has done to the hosts.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    /// When it began.
    pub(crate) at: Instant,
    /// From when on the old holder must be silent, unless its last heartbeat says it.
    pub(crate) silent_from: Option<Instant>,
    /// Who takes over, if anybody must.
    pub(crate) to: Option<&'static str>,
    /// Where no role may change: whether one has, since a processor stood still.
    pub(crate) changed: Option<bool>,
    /// What the row is about could be seen.
    pub(crate) shown: bool,
}

impl Deed {
    /// `lb-b` takes over when the lease after the last heartbeat of `lb-a` has ended.
    pub(crate) fn takeover(at: Instant) -> Self {
        Self {
            at,
            silent_from: None,
            to: Some("lb-b"),
            changed: None,
            shown: true,
        }
    }

    pub(crate) fn silent_from(self, at: Instant) -> Self {
        Self {
            silent_from: Some(at),
            ..self
        }
    }

    /// Nor could it have.
    pub(crate) fn shows_nothing(self) -> Self {
        Self {
            shown: false,
            ..self
        }
    }

    /// Nobody need take over.
    pub(crate) fn nothing(at: Instant) -> Self {
        Self {
            to: None,
            ..Self::takeover(at)
        }
    }
}

/// One run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Rounds of questions in which two hosts answered.
    pub(crate) two: usize,
    /// Answers and announcements of the old holder that came after its end.
    pub(crate) zombies: usize,
    /// What the answers among them were, and how many ms after its end.
    pub(crate) late_answers: Vec<(f64, IpAddr, Question)>,
    /// The last answer of the old holder after the deed, in ms.
    pub(crate) last: Option<f64>,
    /// The same after its end; negative: before.
    pub(crate) after_end: Option<f64>,
    /// The first answer of the new one after the deed, in ms.
    pub(crate) first: Option<f64>,
    /// The longest that nobody answered for an address, in ms.
    pub(crate) gap: f64,
    /// How late the asker was, if that spoils the run.
    pub(crate) late: Option<Duration>,
    /// A processor stood still for so long that an agent there waits anew: two hosts must not answer then
    /// either, but how long it took says nothing of them.
    pub(crate) stopped: Option<Duration>,
    /// The longest that one stood still since the deed, however short: for whoever reads why a run took long.
    pub(crate) still: Duration,
    /// See [`Deed::changed`]; also where the asker was late.
    pub(crate) changed: Option<bool>,
    /// See [`Deed::shown`].
    pub(crate) shown: bool,
}

impl Outcome {
    pub(crate) fn of(stage: &Stage, deed: &Deed) -> Self {
        let seen = stage.seen();
        let end = seen.rounds.last().copied().unwrap_or(deed.at);
        let old = |after| of_host(&seen, "lb-a", after);
        let last = deed.to.and_then(|_| old(deed.at).last());
        let silent_from = silent_from(stage, deed, &seen);
        let late_answers = silent_from.map_or_else(Vec::new, |end| {
            let replies = seen.replies.iter();
            let replies = replies.filter(|r| &*r.from == "lb-a" && r.at >= end + QUEUED);
            let told = replies.map(|reply| (millis(end, reply.at), reply.address, reply.question));
            told.collect()
        });
        let announced = silent_from.map_or(0, |end| {
            let announced = seen.announcements.iter();
            let announced = announced.filter(|a| &*a.from == "lb-a" && a.at > end + QUEUED);
            announced.count()
        });
        let vips = vips();
        let gaps = vips.iter().filter_map(|vip| match deed.to {
            Some(to) => seen.takeover(to, *vip, deed.at),
            None => seen.longest_gap(*vip, deed.at, end),
        });
        let first = deed.to.and_then(|to| of_host(&seen, to, deed.at).next());
        Self {
            two: vips.iter().map(|vip| seen.rounds_of_two(*vip)).sum(),
            zombies: late_answers.len() + announced,
            late_answers,
            last: last.map(|at| millis(deed.at, at)),
            after_end: last.zip(silent_from).map(|(at, end)| millis(end, at)),
            first: first.map(|at| millis(deed.at, at)),
            gap: gaps
                .map(|gap| millis(gap.from, gap.until))
                .fold(0.0, f64::max),
            late: lateness(&seen, deed.at, end),
            stopped: stage.stood_still(),
            still: pulse::longest_stop_since(deed.at),
            changed: deed.changed,
            shown: deed.shown,
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.two == 0 && self.zombies == 0
    }
}

/// Where nobody says otherwise, a holder ends with the lease of what it said last before another one
/// answered.
fn silent_from(stage: &Stage, deed: &Deed, seen: &Observation) -> Option<Instant> {
    let lease = stage.beat.lease()?;
    let by_heartbeat = || {
        let first = of_host(seen, deed.to?, deed.at).next()?;
        let said = seen.adverts_from("lb-a", Instant::default());
        let last = said.map(|said| said.at).take_while(|at| *at < first).last();
        Some(last? + lease)
    };
    deed.silent_from.or_else(by_heartbeat)
}

/// When this host answered, for any address.
fn of_host<'a>(
    seen: &'a Observation,
    host: &'a str,
    after: Instant,
) -> impl Iterator<Item = Instant> + 'a {
    let replies = seen.replies.iter().filter(move |reply| reply.at >= after);
    let of_host = replies.filter(move |reply| &*reply.from == host);
    of_host.map(|reply| reply.at)
}

fn millis(from: Instant, until: Instant) -> f64 {
    (until.as_nanos() as f64 - from.as_nanos() as f64) / 1e6
}
