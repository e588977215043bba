//! Do the nodes agree on who has the disk's vote, through real clerks on a real file, whatever becomes
//! of clerks and agents?

use std::time::Duration;

use floatlock::core::Instant;
use floatlock::core::lease::{BootId, Epoch, Event, Nonce};
use floatlock::disk::steward::{Note, Place, Plea, Steward, Word};
use floatlock::lab::clock;
use floatlock::wire::disk::State;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{MIB, PROGRAM, TempFile, area, init, slot};

/// Longer than anything here takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
const GROUP: u64 = 7;
const A: usize = 0;
const B: usize = 1;

struct Node {
    steward: Steward,
    votes: Vec<Event>,
    notes: Vec<Note>,
}

/// Two agents, without groups and heartbeats.
struct Pair {
    file: TempFile,
    /// None: dead.
    nodes: [Option<Node>; 2],
    tickets: Nonce,
}

impl Pair {
    fn new(file: TempFile) -> Self {
        let mut pair = Self {
            file,
            nodes: [None, None],
            tickets: 0,
        };
        pair.start(A, 1);
        pair.start(B, 2);
        pair
    }

    fn start(&mut self, at: usize, boot: u128) {
        let node = ["lb-a", "lb-b"][at];
        let place = Place {
            program: PROGRAM.into(),
            device: self.file.name().into(),
            cluster: "shop-front".into(),
            node: node.into(),
            boot: BootId(boot),
            lease: None,
            host: node.into(),
        };
        self.nodes[at] = Some(Node {
            steward: Steward::new(place, clock::now()),
            votes: Vec::new(),
            notes: Vec::new(),
        });
    }

    /// Time passes, until that is so.
    #[track_caller]
    fn until<T>(&mut self, mut is_so: impl FnMut(&mut Self) -> Option<T>) -> T {
        let end = clock::now() + PATIENCE;
        while clock::now() < end {
            for node in self.nodes.iter_mut().flatten() {
                node.turn();
            }
            if let Some(answer) = is_so(self) {
                return answer;
            }
            let awake = self.nodes.iter().flatten();
            let mut fds: Vec<PollFd<'_>> = awake
                .filter_map(|node| node.steward.descriptor())
                .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
                .collect();
            poll(&mut fds, PollTimeout::from(5u8)).unwrap();
        }
        let notes: Vec<_> = self
            .nodes
            .iter()
            .flatten()
            .map(|node| &node.notes)
            .collect();
        panic!("{notes:?}");
    }

    fn node(&mut self, at: usize) -> &mut Node {
        self.nodes[at].as_mut().unwrap()
    }

    fn hear(&mut self, at: usize, plea: Plea) {
        let node = self.node(at);
        let mut words = Vec::new();
        node.steward.hear(clock::now(), plea, &mut words);
        node.keep(words);
    }

    fn contend(&mut self, at: usize, round: u64) -> Nonce {
        self.tickets += 1;
        let epoch = Epoch::from_number(round * 64 + at as u64);
        self.hear(at, Plea::Contend(GROUP, self.tickets, epoch));
        self.tickets
    }

    /// When its vote began to count.
    #[track_caller]
    fn wins(&mut self, at: usize, ticket: Nonce) -> Instant {
        self.until(|pair| {
            let held = pair.nodes.iter().flatten().filter(|node| node.holds());
            assert!(held.count() <= 1, "two have the vote");
            let votes = &mut pair.node(at).votes;
            let won = |vote: &Event| matches!(vote, Event::Arbiter(of, _) if *of == ticket);
            votes.drain(..).any(|vote| won(&vote)).then(clock::now)
        })
    }

    fn state(&self, at: usize) -> State {
        let name = ["lb-a", "lb-b"][at];
        slot(self.file.0.as_path(), name).unwrap().state
    }
}

impl Node {
    fn turn(&mut self) {
        let mut words = Vec::new();
        self.steward.turn(&mut words);
        self.keep(words);
    }

    fn keep(&mut self, words: Vec<Word>) {
        for word in words {
            match word {
                Word::Vote(GROUP, vote) => self.votes.push(vote),
                Word::Vote(other, _) => panic!("no group {other}"),
                Word::Note(note) => self.notes.push(note),
            }
        }
    }

    fn holds(&self) -> bool {
        self.steward
            .vote()
            .is_some_and(|until| until > clock::now())
    }

    fn clerk(&self) -> Pid {
        Pid::from_raw(self.steward.clerk_id().unwrap() as i32)
    }
}

#[test]
fn the_vote_moves_when_what_it_allowed_is_gone() {
    let mut pair = Pair::new(area("2s"));
    let first = pair.contend(A, 1);
    pair.wins(A, first);
    assert_eq!(pair.state(A), State::Held);
    let second = pair.contend(B, 2);
    let begin = clock::now();
    // It is renewed: the other one waits for longer than any lease.
    pair.until(|pair| {
        assert!(pair.node(A).holds() && !pair.node(B).holds());
        (clock::now().since(begin) > Duration::from_secs(3)).then_some(())
    });
    pair.hear(A, Plea::Withdraw(GROUP, first));
    assert!(!pair.node(A).holds(), "at once");
    assert!(
        !pair.node(A).steward.is_at_rest(),
        "the slot says that it is held"
    );
    assert_eq!(pair.state(A), State::Held, "its addresses may be on");
    pair.hear(A, Plea::Clean(GROUP, Epoch::default()));
    pair.wins(B, second);
    assert_eq!(pair.state(A), State::Clean);
    assert!(pair.node(A).steward.is_at_rest());
}

#[test]
fn a_holder_that_is_dead_is_waited_for_as_long_as_its_vote_may_count() {
    let mut pair = Pair::new(area("1s"));
    let first = pair.contend(A, 1);
    pair.wins(A, first);
    let second = pair.contend(B, 2);
    let until = pair.node(A).steward.vote().unwrap();
    pair.nodes[A] = None;
    assert!(pair.wins(B, second) >= until);
    // It comes back, and finds its own slot as it left it.
    pair.start(A, 3);
    let third = pair.contend(A, 1);
    pair.hear(B, Plea::Withdraw(GROUP, second));
    pair.hear(B, Plea::Clean(GROUP, Epoch::default()));
    let floor = pair.until(|pair| {
        pair.node(A).votes.drain(..).find_map(|vote| match vote {
            Event::ArbiterFloor(of, floor) if of == third => Some(floor),
            Event::Arbiter(..) => panic!("the other one has served with a later epoch"),
            _ => None,
        })
    });
    assert_eq!(floor, Epoch::from_number(2 * 64 + 1), "S2");
    let fourth = pair.contend(A, 3);
    pair.hear(A, Plea::Clean(GROUP, Epoch::default()));
    pair.wins(A, fourth);
}

#[test]
fn a_clerk_that_dies_costs_no_vote_and_one_that_hangs_is_reported_and_ends_it() {
    let mut pair = Pair::new(area("10s"));
    let first = pair.contend(A, 1);
    pair.wins(A, first);
    let gone = pair.node(A).clerk();
    kill(gone, Signal::SIGKILL).unwrap();
    pair.until(|pair| {
        let node = pair.node(A);
        assert!(node.holds());
        (node.notes.last() == Some(&Note::Ready) && node.clerk() != gone).then_some(())
    });
    let hangs = pair.node(A).clerk();
    kill(hangs, Signal::SIGSTOP).unwrap();
    let since = clock::now();
    pair.until(|pair| (pair.node(A).notes.last() == Some(&Note::Late)).then_some(()));
    let said = clock::now().since(since);
    assert!(said > Duration::from_secs(1), "{said:?}");
    pair.node(A).votes.clear();
    pair.until(|pair| {
        let node = pair.node(A);
        let lost = node.votes.contains(&Event::ArbiterLost(first));
        assert_eq!(lost, !node.holds());
        lost.then_some(())
    });
    kill(hangs, Signal::SIGCONT).unwrap();
    pair.wins(A, first);
    let answers = |note: &Note| matches!(note, Note::Answers(_));
    assert!(pair.node(A).notes.iter().any(answers));
}

/// The clerk of the one who waits, at every time: it never sees less than there is.
#[test]
fn a_clerk_of_who_waits_that_dies_hides_no_holder() {
    let mut pair = Pair::new(area("2s"));
    let first = pair.contend(A, 1);
    pair.wins(A, first);
    pair.contend(B, 2);
    for _ in 0..3 {
        let gone = pair.until(|pair| pair.node(B).steward.clerk_id());
        kill(Pid::from_raw(gone as i32), Signal::SIGKILL).unwrap();
        pair.until(|pair| {
            assert!(pair.node(A).holds() && !pair.node(B).holds());
            let now = pair.node(B).steward.clerk_id();
            (now.is_some() && now != Some(gone)).then_some(())
        });
        // It stands still while the next one opens the disk, so that all comes at once.
        let asleep = pair.nodes[B].take();
        let begin = clock::now();
        pair.until(|_| (clock::now().since(begin) > Duration::from_millis(500)).then_some(()));
        pair.nodes[B] = asleep;
        let begin = clock::now();
        pair.until(|pair| {
            assert!(pair.node(A).holds() && !pair.node(B).holds());
            (clock::now().since(begin) > Duration::from_secs(1)).then_some(())
        });
    }
}

#[test]
fn nobody_asks_before_what_rested_on_an_earlier_vote_is_gone() {
    let mut pair = Pair::new(area("1s"));
    pair.hear(A, Plea::Owes(8));
    let first = pair.contend(A, 1);
    let second = pair.contend(B, 2);
    pair.wins(B, second);
    pair.hear(B, Plea::Withdraw(GROUP, second));
    pair.hear(B, Plea::Clean(GROUP, Epoch::default()));
    pair.until(|pair| (pair.state(B) == State::Clean).then_some(()));
    assert_eq!(pair.state(A), State::Clean, "it has written nothing");
    assert!(pair.node(A).votes.is_empty());
    pair.hear(A, Plea::Clean(8, Epoch::default()));
    pair.until(|pair| {
        let votes = &pair.node(A).votes;
        votes
            .iter()
            .any(|vote| matches!(vote, Event::ArbiterFloor(of, _) if *of == first))
            .then_some(())
    });
}

#[test]
fn what_is_no_area_or_another_one_is_said_once_and_looked_at_again() {
    let mut pair = Pair::new(TempFile::new(MIB));
    pair.nodes[B] = None;
    let ticket = pair.contend(A, 1);
    pair.until(|pair| {
        let notes = &pair.node(A).notes;
        notes
            .iter()
            .any(|note| matches!(note, Note::Refused(_)))
            .then_some(())
    });
    init(pair.file.name(), &["--lease", "2s"]);
    pair.wins(A, ticket);
    let notes = &pair.node(A).notes;
    let [Note::Refused(_), Note::Ready] = &notes[..] else {
        panic!("{notes:?}");
    };
    // Somebody makes it anew under us.
    pair.file.write(0, &vec![0; MIB as usize]);
    init(pair.file.name(), &["--lease", "3s"]);
    kill(pair.node(A).clerk(), Signal::SIGKILL).unwrap();
    pair.until(|pair| {
        let last = pair.node(A).notes.last().cloned();
        let is_it = |text: &String| text.contains("restart the agent");
        matches!(&last, Some(Note::Refused(text)) if is_it(text)).then_some(())
    });
}
