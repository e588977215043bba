//! Whom do we hear, who hears us, and is what they say of now? What the frames of all groups share.
//!
//! No clocks are compared. A frame is fresh if it names, as heard, a frame that we sent a moment ago:
//! a recorded one cannot. It counts once: numbers that were seen before, or are far behind, are not
//! heard again.

use std::time::Duration;

use super::lease::{BootId, NodeId};
use super::time::Instant;

/// A number of a line between the nodes, as its node counts them.
pub type Path = u8;

/// What the head of an authentic frame says, and where it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Who speaks.
    pub node: NodeId,
    /// Its run.
    pub boot: BootId,
    /// The number of the frame in that run.
    pub sequence: u64,
    /// The sender's boot clock.
    pub boot_time: Instant,
    /// The path that the sender wrote into it.
    pub path: Path,
    /// Our path by which it came.
    pub by: Path,
}

/// An entry of a frame about us: the sender heard this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The run of ours.
    pub boot: BootId,
    /// The number of our frame.
    pub sequence: u64,
    /// Our path, as we wrote it into that frame.
    pub path: Path,
}

/// What we say we heard: the latest frame of a run by one of its paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whose.
    pub node: NodeId,
    /// Of which run.
    pub boot: BootId,
    /// The latest.
    pub sequence: u64,
    /// The path that it names.
    pub path: Path,
    /// Our path by which it came.
    pub by: Path,
    /// When.
    pub at: Instant,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts. If it says that this host stood still for so long without knowing, that comes
    /// first.
    Fresh(Option<Duration>),
    /// It does not prove that it is of now, though its run did so before: late, or its node does not
    /// hear us. Nothing that it says counts, but that who says so lived a while ago.
    Late,
    /// Its run never proved that it is of now: it counts for nothing but that it is echoed.
    Unproved,
    /// It was heard before, or comes long after those that were sent later.
    Replayed,
}

/// What is known of one line to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineView {
    /// The node.
    pub node: NodeId,
    /// Our path.
    pub path: Path,
    /// When a frame came in by it, proved or not: who does not hear us cannot prove anything.
    pub came_at: Option<Instant>,
    /// When a proved frame came in by it.
    pub heard_at: Option<Instant>,
    /// When the node last said that it heard us by it.
    pub echoed_at: Option<Instant>,
}

/// A rise of a peer's boot clock against ours by more than this means that ours stood still.
const JUMP: Duration = Duration::from_millis(100);
/// For so long, twice over, the greatest difference of the clocks is remembered.
const OFFSET_WINDOW: Duration = Duration::from_secs(5);
/// Of so many frames behind the latest it is known whether they were heard.
const WINDOW: u64 = 64;
/// Runs of one node that are echoed: the proved one and one that may become it.
const RUNS: usize = 2;
/// Runs of strangers that are told from recordings; further ones are taken for such.
const STRANGERS: usize = 32;

/// All peers, and what we sent.
#[derive(Clone, Debug)]
pub struct Mesh {
    boot: BootId,
    /// What was sent longer ago proves nothing.
    horizon: Duration,
    /// By id.
    peers: Vec<Peer>,
    sequence: u64,
    /// When which number was the next one: one for a beat, the oldest first.
    sent: std::collections::VecDeque<(Instant, u64)>,
    /// The runs of those who are no peers, and the highest number of each.
    strangers: Vec<(BootId, u64)>,
}

#[derive(Clone, Debug, Default)]
struct Peer {
    runs: [Option<Run>; RUNS],
    /// By our path.
    lines: Vec<(Option<Instant>, Option<Instant>)>,
    proved_at: Option<Instant>,
    offset: Offset,
}

/// One run of a peer.
#[derive(Clone, Debug)]
struct Run {
    boot: BootId,
    /// By the path that its node names: one may be a burst of frames behind another.
    windows: Vec<(Path, Window)>,
    heard: Vec<Heard>,
}

/// The highest number, and one bit for each of those behind it.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    latest: u64,
    seen: u64,
}

/// How far a peer's boot clock is before ours: the greatest difference lately. Delay only lowers it.
#[derive(Clone, Copy, Debug, Default)]
struct Offset {
    began: Instant,
    now: Option<i128>,
    before: Option<i128>,
}

impl Mesh {
    /// Nobody is known yet. `horizon`: a frame of ours that was sent longer ago proves nothing.
    #[must_use]
    pub fn new(boot: BootId, voters: usize, paths: usize, horizon: Duration) -> Self {
        let peer = Peer {
            lines: vec![(None, None); paths],
            ..Peer::default()
        };
        Self {
            boot,
            horizon,
            peers: vec![peer; voters],
            sequence: 0,
            sent: std::collections::VecDeque::with_capacity(64),
            strangers: Vec::new(),
        }
    }

    /// The number of the next frame, which leaves now.
    pub fn next_sequence(&mut self, now: Instant) -> u64 {
        self.sequence += 1;
        let marked = self.sent.back().is_some_and(|(at, _)| {
            // A mark for each sixteenth of the horizon is fine enough.
            now.since(*at) < self.horizon / 16
        });
        if !marked {
            self.sent.push_back((now, self.sequence));
            while self.sent.len() > 1 && self.sent.get(1).is_some_and(|m| self.is_old(m.0, now)) {
                self.sent.pop_front();
            }
        }
        self.sequence
    }

    fn is_old(&self, at: Instant, now: Instant) -> bool {
        now.since(at) > self.horizon
    }

    /// Whether we sent the frame of this number a moment ago.
    fn is_recent(&self, sequence: u64, now: Instant) -> bool {
        let first = self.sent.iter().find(|(at, _)| !self.is_old(*at, now));
        sequence <= self.sequence && first.is_some_and(|(_, first)| sequence >= *first)
    }

    /// Hears a frame at `at`; `echoes` are its entries about this node.
    pub fn hear(&mut self, at: Instant, head: Head, echoes: impl Iterator<Item = Echo>) -> Verdict {
        let (mut proves, mut fresh_paths) = (false, 0u64);
        for echo in echoes {
            if echo.boot == self.boot && self.is_recent(echo.sequence, at) {
                proves = true;
                fresh_paths |= 1u64.checked_shl(echo.path.into()).unwrap_or(0);
            }
        }
        let Some(peer) = self.peers.get_mut(usize::from(head.node)) else {
            return Verdict::Unproved;
        };
        if !peer.note(at, &head, proves) {
            return Verdict::Replayed;
        }
        if !proves {
            return match peer.has_proved(head.boot) {
                true => Verdict::Late,
                false => Verdict::Unproved,
            };
        }
        peer.proved_at = Some(at);
        for (path, line) in peer.lines.iter_mut().enumerate() {
            if path == usize::from(head.by) {
                line.0 = Some(at);
            }
            if path < 64 && fresh_paths >> path & 1 == 1 {
                line.1 = Some(at);
            }
        }
        let jump = peer.offset.rise(at, head.boot_time);
        Verdict::Fresh(jump.filter(|rise| *rise > JUMP))
    }

    /// Whether an authentic frame of a run that is no peer's may be of now. Nobody asks a stranger to
    /// prove it, but a recording says nothing new for ever.
    pub fn is_living_stranger(&mut self, boot: BootId, sequence: u64) -> bool {
        let has_room = self.strangers.len() < STRANGERS;
        match self.strangers.iter_mut().find(|known| known.0 == boot) {
            Some((_, latest)) => sequence > std::mem::replace(latest, sequence.max(*latest)),
            None if has_room => {
                self.strangers.push((boot, sequence));
                true
            }
            None => false,
        }
    }

    /// What to say that we hear: nothing that is older than the horizon.
    pub fn heard(&self, now: Instant) -> impl Iterator<Item = Heard> + '_ {
        let runs = self
            .peers
            .iter()
            .flat_map(|peer| peer.runs.iter().flatten());
        let all = runs.flat_map(|run| run.heard.iter().copied());
        all.filter(move |heard| !self.is_old(heard.at, now))
    }

    /// Whether the node was heard, with proof, within the horizon.
    #[must_use]
    pub fn hears(&self, node: NodeId, now: Instant) -> bool {
        let peer = self.peers.get(usize::from(node));
        let at = peer.and_then(|peer| peer.proved_at);
        at.is_some_and(|at| !self.is_old(at, now))
    }

    /// Every line to every node that was ever heard.
    pub fn lines(&self) -> impl Iterator<Item = LineView> + '_ {
        self.peers.iter().enumerate().flat_map(|(node, peer)| {
            let lines = peer.lines.iter().enumerate();
            lines.map(move |(path, (heard_at, echoed_at))| LineView {
                node: node as NodeId,
                path: path as Path,
                came_at: peer.came_at(path as Path),
                heard_at: *heard_at,
                echoed_at: *echoed_at,
            })
        })
    }

    /// Counts on after a change of the paths, which are known by other numbers now.
    pub fn rewire(&mut self, paths: usize) {
        for peer in &mut self.peers {
            peer.lines = vec![(None, None); paths];
            for run in peer.runs.iter_mut().flatten() {
                run.heard.clear();
            }
        }
    }
}

impl Peer {
    /// When a frame came in by this path of ours, of whatever run.
    fn came_at(&self, by: Path) -> Option<Instant> {
        let runs = self.runs.iter().flatten();
        let heard = runs.flat_map(|run| &run.heard);
        heard.filter(|heard| heard.by == by).map(|h| h.at).max()
    }

    /// Whether a frame of that run was fresh, and of none that began after it.
    fn has_proved(&self, boot: BootId) -> bool {
        self.runs[0].as_ref().is_some_and(|run| run.boot == boot)
    }

    /// Notes a frame for the echo; `false` if it was heard before.
    fn note(&mut self, at: Instant, head: &Head, proves: bool) -> bool {
        let known = self.runs.iter_mut().flatten();
        let known = known.into_iter().find(|run| run.boot == head.boot);
        let fresh = match known {
            Some(run) => run.note(at, head),
            None => {
                // The proved run keeps its place until another one proves itself.
                let mut run = Run::new(head.boot);
                run.note(at, head);
                self.runs[1] = Some(run);
                true
            }
        };
        let first = self.runs[0].as_ref().map(|run| run.boot);
        if fresh && proves && first != Some(head.boot) {
            self.runs.swap(0, 1);
            self.offset = Offset::default();
        }
        fresh
    }
}

impl Run {
    fn new(boot: BootId) -> Self {
        Self {
            boot,
            windows: Vec::with_capacity(4),
            heard: Vec::with_capacity(4),
        }
    }

    fn note(&mut self, at: Instant, head: &Head) -> bool {
        if !self.window(head.path).is_new(head.sequence) {
            return false;
        }
        let same = |heard: &&mut Heard| heard.path == head.path && heard.by == head.by;
        let heard = Heard {
            node: head.node,
            boot: head.boot,
            sequence: head.sequence,
            path: head.path,
            by: head.by,
            at,
        };
        let has_room = self.heard.len() < 64;
        match self.heard.iter_mut().find(same) {
            Some(old) if old.sequence < head.sequence => *old = heard,
            Some(_) => {}
            None if has_room => self.heard.push(heard),
            None => {}
        }
        true
    }

    fn window(&mut self, path: Path) -> &mut Window {
        let known = self.windows.iter().position(|known| known.0 == path);
        let place = known.unwrap_or(self.windows.len());
        if known.is_none() {
            self.windows.push((path, Window::default()));
        }
        &mut self.windows[place].1
    }
}

impl Window {
    fn is_new(&mut self, sequence: u64) -> bool {
        if sequence > self.latest {
            let by = sequence - self.latest;
            self.seen = self.seen.checked_shl(by as u32).unwrap_or(0);
            if by >= WINDOW {
                self.seen = 0;
            }
            self.seen |= 1;
            self.latest = sequence;
            return true;
        }
        let behind = self.latest - sequence;
        let is_new = behind < WINDOW && self.seen >> behind & 1 == 0;
        if is_new {
            self.seen |= 1 << behind;
        }
        is_new
    }
}

impl Offset {
    /// By how much the difference rises above the greatest one lately.
    fn rise(&mut self, at: Instant, theirs: Instant) -> Option<Duration> {
        let offset = i128::from(theirs.as_nanos()) - i128::from(at.as_nanos());
        if at.since(self.began) >= OFFSET_WINDOW {
            let stale = at.since(self.began) >= OFFSET_WINDOW * 2;
            self.before = self.now.take().filter(|_| !stale);
            self.began = at;
        }
        let greatest = self.now.max(self.before);
        self.now = self.now.max(Some(offset));
        let rise = u64::try_from(offset - greatest?).ok()?;
        Some(Duration::from_nanos(rise))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: BootId = BootId(1);
    const THEM: BootId = BootId(2);
    const HORIZON: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn mesh() -> Mesh {
        Mesh::new(US, 2, 2, HORIZON)
    }

    fn head(sequence: u64, ms: u64) -> Head {
        Head {
            node: 1,
            boot: THEM,
            sequence,
            boot_time: at(ms + 5_000),
            path: 0,
            by: 0,
        }
    }

    fn echo(sequence: u64) -> std::iter::Once<Echo> {
        std::iter::once(Echo {
            boot: US,
            sequence,
            path: 0,
        })
    }

    #[test]
    fn a_frame_is_fresh_if_it_names_what_we_sent_a_moment_ago() {
        let mut mesh = mesh();
        let sent = mesh.next_sequence(at(100));
        assert_eq!(
            mesh.hear(at(101), head(1, 101), std::iter::empty()),
            Verdict::Unproved
        );
        assert_eq!(
            mesh.hear(at(102), head(2, 102), echo(sent)),
            Verdict::Fresh(None)
        );
        assert_eq!(
            mesh.hear(at(103), head(3, 103), echo(sent + 1)),
            Verdict::Late,
            "its run has proved itself"
        );
        assert_eq!(
            mesh.hear(at(1_102), head(4, 1_102), echo(sent)),
            Verdict::Late
        );
    }

    #[test]
    fn a_recording_is_late_no_more_than_once_and_of_the_living_run() {
        let mut mesh = mesh();
        let sent = mesh.next_sequence(at(100));
        mesh.hear(at(101), head(5, 101), echo(sent));
        let mut late = |head| mesh.hear(at(2_000), head, std::iter::empty());
        assert_eq!(late(head(5, 101)), Verdict::Replayed);
        assert_eq!(late(head(6, 102)), Verdict::Late);
        assert_eq!(late(head(6, 102)), Verdict::Replayed);
        let boot = BootId(9);
        let before = Head {
            boot,
            ..head(7, 90)
        };
        assert_eq!(late(before), Verdict::Unproved, "of a run before this one");
    }

    #[test]
    fn an_echo_of_another_run_of_ours_proves_nothing() {
        let mut mesh = mesh();
        let sequence = mesh.next_sequence(at(100));
        let old = Echo {
            boot: BootId(9),
            sequence,
            path: 0,
        };
        let verdict = mesh.hear(at(101), head(1, 101), std::iter::once(old));
        assert_eq!(verdict, Verdict::Unproved);
    }

    #[test]
    fn a_frame_counts_once_and_not_long_after_later_ones() {
        let mut mesh = mesh();
        let sent = mesh.next_sequence(at(100));
        let mut hear = |sequence| mesh.hear(at(101), head(sequence, 101), echo(sent));
        assert_eq!(hear(10), Verdict::Fresh(None));
        assert_eq!(hear(10), Verdict::Replayed);
        assert_eq!(hear(8), Verdict::Fresh(None), "reordered");
        assert_eq!(hear(8), Verdict::Replayed);
        assert_eq!(hear(100), Verdict::Fresh(None));
        assert_eq!(hear(36), Verdict::Replayed, "64 behind");
        assert_eq!(hear(37), Verdict::Fresh(None));
        assert_eq!(hear(9), Verdict::Replayed, "too far behind to know");
    }

    #[test]
    fn a_path_that_is_behind_another_one_is_heard_all_the_same() {
        let mut mesh = mesh();
        let sent = mesh.next_sequence(at(100));
        // A hundred frames by each of two paths, and the second queue is read first.
        for sequence in (101..=200).chain(1..=100) {
            let path = u8::from(sequence > 100);
            let head = Head {
                path,
                by: path,
                ..head(sequence, 101)
            };
            let mut hear = || mesh.hear(at(101), head, echo(sent));
            assert_eq!(hear(), Verdict::Fresh(None), "{sequence}");
            assert_eq!(hear(), Verdict::Replayed, "{sequence}");
        }
    }

    #[test]
    fn a_stranger_that_says_nothing_new_is_a_recording() {
        let mut mesh = mesh();
        assert!(mesh.is_living_stranger(BootId(7), 5));
        assert!(mesh.is_living_stranger(BootId(7), 6));
        assert!(!mesh.is_living_stranger(BootId(7), 6));
        assert!(!mesh.is_living_stranger(BootId(7), 5));
        let met = (100..1_000).filter(|boot| mesh.is_living_stranger(BootId(*boot), 1));
        assert!(met.count() < 64, "what a stranger can fill has an end");
    }

    #[test]
    fn a_replayed_run_does_not_displace_the_living_one_from_the_echo() {
        let mut mesh = mesh();
        let sent = mesh.next_sequence(at(100));
        mesh.hear(at(101), head(5, 101), echo(sent));
        for dead in 10..20 {
            let boot = BootId(dead);
            let old = Head {
                boot,
                ..head(7, 102)
            };
            assert_eq!(
                mesh.hear(at(102), old, std::iter::empty()),
                Verdict::Unproved
            );
        }
        assert!(mesh.heard(at(103)).any(|heard| heard.boot == THEM));
        assert!(mesh.heard(at(103)).count() <= 2);
    }

    #[test]
    fn what_was_heard_long_ago_is_not_echoed() {
        let mut mesh = mesh();
        mesh.hear(at(100), head(1, 100), std::iter::empty());
        assert_eq!(mesh.heard(at(1_100)).count(), 1);
        assert_eq!(mesh.heard(at(1_101)).count(), 0);
    }

    #[test]
    fn a_peers_clock_that_leaps_ahead_says_that_ours_stood_still() {
        let mut mesh = mesh();
        let mut sequence = 0;
        let mut hear = |mesh: &mut Mesh, ms: u64, ahead: u64| {
            sequence += 1;
            let sent = mesh.next_sequence(at(ms));
            let head = Head {
                boot_time: at(ms + ahead),
                ..head(sequence, ms)
            };
            mesh.hear(at(ms), head, echo(sent))
        };
        assert_eq!(hear(&mut mesh, 100, 5_000), Verdict::Fresh(None));
        assert_eq!(hear(&mut mesh, 200, 4_700), Verdict::Fresh(None), "delay");
        assert_eq!(
            hear(&mut mesh, 300, 5_100),
            Verdict::Fresh(None),
            "no more than that"
        );
        let jump = Duration::from_millis(101);
        assert_eq!(hear(&mut mesh, 400, 5_201), Verdict::Fresh(Some(jump)));
        assert_eq!(
            hear(&mut mesh, 500, 5_201),
            Verdict::Fresh(None),
            "it is known"
        );
    }

    #[test]
    fn a_rise_is_measured_against_the_last_ten_seconds_only() {
        let mut offset = Offset::default();
        assert_eq!(offset.rise(at(0), at(5_000)), None);
        assert_eq!(offset.rise(at(20_000), at(26_000)), None, "long silent");
        assert_eq!(
            offset.rise(at(20_100), at(26_200)),
            Some(Duration::from_millis(100))
        );
    }

    #[test]
    fn a_line_is_known_by_both_its_directions() {
        let mut mesh = mesh();
        let sent = mesh.next_sequence(at(100));
        mesh.hear(
            at(101),
            Head {
                by: 1,
                ..head(1, 101)
            },
            echo(sent),
        );
        let lines: Vec<_> = mesh.lines().filter(|line| line.node == 1).collect();
        assert_eq!((lines[0].came_at, lines[1].came_at), (None, Some(at(101))));
        assert_eq!(lines[0].heard_at, None, "nothing came in by our path 0 ...");
        assert_eq!(
            lines[0].echoed_at,
            Some(at(101)),
            "... but what went out by it arrived"
        );
        assert_eq!(lines[1].heard_at, Some(at(101)));
        assert_eq!(lines[1].echoed_at, None);
    }
}
