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

use crate::stage::{MIB, PROGRAM, TempFile, area, init, init_all, slot};

/// Longer than anything here takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
const GROUP: u64 = 7;
const A: usize = 0;
const B: usize = 1;

struct Node {
    steward: Steward,
    votes: Vec<Event>,
    notes: Vec<Note>,
    of_disks: Vec<(usize, Note)>,
}

/// Two agents, without groups and heartbeats.
struct Pair {
    files: Vec<TempFile>,
    /// None: dead.
    nodes: [Option<Node>; 2],
    tickets: Nonce,
}

impl Pair {
    fn new(file: TempFile) -> Self {
        Self::on(vec![file])
    }

    fn on(files: Vec<TempFile>) -> Self {
        let mut pair = Self {
            files,
            nodes: [None, None],
            tickets: 0,
        };
        pair.start(A, 1);
        pair.start(B, 2);
        pair
    }

    fn start(&mut self, at: usize, boot: u128) {
        let devices = self.files.iter().map(|file| file.name().into());
        let devices = devices.collect();
        let node = ["lb-a", "lb-b"][at];
        let place = Place {
            program: PROGRAM.into(),
            devices,
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
            of_disks: Vec::new(),
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
                .flat_map(|node| node.steward.descriptors())
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
        self.state_on(0, at)
    }

    fn state_on(&self, disk: usize, at: usize) -> State {
        let name = ["lb-a", "lb-b"][at];
        slot(self.files[disk].0.as_path(), name).unwrap().state
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
                Word::Note(disk, note) => {
                    self.of_disks.push((disk, note.clone()));
                    self.notes.push(note);
                }
            }
        }
    }

    fn holds(&self) -> bool {
        self.steward
            .vote()
            .is_some_and(|until| until > clock::now())
    }

    fn clerk(&self) -> Pid {
        self.clerk_of(0)
    }

    fn clerk_of(&self, disk: usize) -> Pid {
        Pid::from_raw(self.steward.clerk_id(disk).unwrap() as i32)
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

/// Its heartbeat hangs: nobody could take over as long as its slot goes on.
#[test]
fn who_rests_renews_nothing_and_another_one_gets_the_vote() {
    let mut pair = Pair::new(area("200ms"));
    let ticket = pair.contend(A, 1);
    pair.wins(A, ticket);
    pair.node(A).steward.rest(true);
    let ticket = pair.contend(B, 1);
    pair.wins(B, ticket);
    // It goes on, and knows that it has lost it.
    pair.node(A).steward.rest(false);
    pair.until(|pair| (!pair.node(A).holds()).then_some(()));
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
        let gone = pair.until(|pair| pair.node(B).steward.clerk_id(0));
        kill(Pid::from_raw(gone as i32), Signal::SIGKILL).unwrap();
        pair.until(|pair| {
            assert!(pair.node(A).holds() && !pair.node(B).holds());
            let now = pair.node(B).steward.clerk_id(0);
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
    init(pair.files[0].name(), &["--lease", "2s"]);
    pair.wins(A, ticket);
    let notes = &pair.node(A).notes;
    let [Note::Refused(_), Note::Ready] = &notes[..] else {
        panic!("{notes:?}");
    };
    // Somebody makes it anew under us.
    pair.files[0].write(0, &vec![0; MIB as usize]);
    init(pair.files[0].name(), &["--lease", "3s"]);
    kill(pair.node(A).clerk(), Signal::SIGKILL).unwrap();
    pair.until(|pair| {
        let last = pair.node(A).notes.last().cloned();
        let is_it = |text: &String| text.contains("restart the agent");
        matches!(&last, Some(Note::Refused(text)) if is_it(text)).then_some(())
    });
}

/// Three disks of one area.
fn three(lease: &str) -> Vec<TempFile> {
    let files: Vec<TempFile> = (0..3).map(|_| TempFile::new(MIB)).collect();
    init_all(&files, &["--lease", lease]).said(0, &["made area"]);
    files
}

impl Pair {
    /// So long, in which nothing that `stays` says ends.
    #[track_caller]
    fn for_a_while(&mut self, length: Duration, mut stays: impl FnMut(&mut Self) -> bool) {
        let begin = clock::now();
        self.until(|pair| {
            assert!(stays(pair));
            (clock::now().since(begin) > length).then_some(())
        });
    }

    #[track_caller]
    fn is_told(&mut self, at: usize, disk: usize, is_it: impl Fn(&Note) -> bool) {
        self.until(|pair| {
            let of_disks = &pair.node(at).of_disks;
            let told = of_disks.iter().any(|(of, note)| *of == disk && is_it(note));
            told.then_some(())
        });
    }
}

#[test]
fn of_three_disks_two_are_enough_and_the_third_gets_what_it_has_missed() {
    let mut pair = Pair::on(three("3s"));
    let first = pair.contend(A, 1);
    pair.wins(A, first);
    let hangs = pair.node(A).clerk_of(2);
    kill(hangs, Signal::SIGSTOP).unwrap();
    pair.is_told(A, 2, |note| *note == Note::Late);
    pair.for_a_while(Duration::from_secs(2), |pair| pair.node(A).holds());
    assert!(pair.node(A).steward.is_sound());
    // Two are gone: what rests on them ends with its lease.
    let second = pair.node(A).clerk_of(1);
    kill(second, Signal::SIGSTOP).unwrap();
    pair.until(|pair| (!pair.node(A).holds()).then_some(()));
    pair.is_told(A, 1, |note| *note == Note::Late);
    assert!(!pair.node(A).steward.is_sound());
    kill(second, Signal::SIGCONT).unwrap();
    pair.wins(A, first);
    pair.hear(A, Plea::Withdraw(GROUP, first));
    pair.hear(A, Plea::Clean(GROUP, Epoch::default()));
    pair.until(|pair| {
        (pair.state_on(0, A) == State::Clean && pair.state_on(1, A) == State::Clean).then_some(())
    });
    kill(hangs, Signal::SIGCONT).unwrap();
    pair.until(|pair| (pair.state_on(2, A) == State::Clean).then_some(()));
    let all: Vec<u64> = (0..3)
        .map(|disk| slot(&pair.files[disk].0, "lb-a").unwrap().seq)
        .collect();
    assert_eq!(all, [all[0]; 3]);
}

#[test]
fn whoever_sees_another_two_of_three_disks_sees_the_holder() {
    let mut pair = Pair::on(three("3s"));
    // A has the first two, B the last two.
    pair.until(|pair| {
        let all = |node: &Node| (0..3).all(|disk| node.steward.clerk_id(disk).is_some());
        let ready = |pair: &mut Pair, at| pair.node(at).notes.len() == 3 && all(pair.node(at));
        (ready(pair, A) && ready(pair, B)).then_some(())
    });
    let lost = [pair.node(A).clerk_of(2), pair.node(B).clerk_of(0)];
    for clerk in lost {
        kill(clerk, Signal::SIGSTOP).unwrap();
    }
    let first = pair.contend(A, 1);
    pair.wins(A, first);
    let second = pair.contend(B, 2);
    pair.for_a_while(Duration::from_secs(3), |pair| {
        pair.node(A).holds() && !pair.node(B).holds()
    });
    let until = pair.node(A).steward.vote().unwrap();
    pair.nodes[A] = None;
    // On the disk that A did not reach there is what stood there before: of two that differ, neither is believed.
    pair.for_a_while(Duration::from_secs(5), |pair| !pair.node(B).holds());
    kill(lost[1], Signal::SIGCONT).unwrap();
    assert!(pair.wins(B, second) >= until);
}

#[test]
fn one_of_three_disks_that_is_of_no_use_is_named_and_the_others_do() {
    let mut files = three("1s");
    files[1].write(0, &vec![0; MIB as usize]);
    init(files[1].name(), &["--lease", "1s"]);
    let mut pair = Pair::on(files);
    let ticket = pair.contend(A, 1);
    pair.wins(A, ticket);
    pair.is_told(
        A,
        1,
        |note| matches!(note, Note::Refused(why) if why.contains("of its own")),
    );
    files = std::mem::take(&mut pair.files);
    drop(pair);
    // As one disk under two names.
    files[1].write(0, &files[0].bytes());
    let mut pair = Pair::on(files);
    let ticket = pair.contend(A, 1);
    pair.wins(A, ticket);
    pair.until(|pair| {
        let is_twin = |note: &Note| matches!(note, Note::Refused(why) if why.contains("same disk"));
        pair.node(A).notes.iter().any(is_twin).then_some(())
    });
}

#[test]
fn disks_that_were_not_prepared_together_are_no_lock() {
    let [one, two, three] = [three("1s"), three("1s"), three("1s")];
    let mixed = [one, two, three].into_iter().enumerate();
    let files = mixed.map(|(at, mut files)| files.swap_remove(at)).collect();
    let mut pair = Pair::on(files);
    pair.contend(A, 1);
    let is_it = |note: &Note| matches!(note, Note::Refused(why) if why.contains("prepare the disks together"));
    for disk in 0..3 {
        pair.is_told(A, disk, is_it);
    }
    pair.for_a_while(Duration::from_secs(2), |pair| !pair.node(A).holds());
    assert!(!pair.node(A).steward.is_sound());
    // Until somebody does that, whatever else they say.
    for disk in 0..3 {
        let mut notes = pair.node(A).of_disks.iter().rev();
        let (_, last) = notes.find(|(of, _)| *of == disk).unwrap();
        assert!(is_it(last), "{last:?}");
    }
}

#[test]
fn one_disk_of_three_alone_is_no_lock() {
    let mut files = three("1s");
    files.truncate(1);
    let mut pair = Pair::on(files);
    pair.contend(A, 1);
    pair.is_told(
        A,
        0,
        |note| matches!(note, Note::Refused(why) if why.contains("name all of them")),
    );
}

/// By agents that have held and hold no more: nothing is written to what is not theirs.
#[test]
fn disks_that_are_made_anew_under_agents_are_refused() {
    for disks in [1, 3] {
        let files: Vec<TempFile> = (0..disks).map(|_| TempFile::new(MIB)).collect();
        init_all(&files, &["--lease", "1s"]).said(0, &["made area"]);
        let mut pair = Pair::on(files);
        let first = pair.contend(A, 1);
        pair.wins(A, first);
        pair.hear(A, Plea::Withdraw(GROUP, first));
        pair.hear(A, Plea::Clean(GROUP, Epoch::default()));
        let laid_down = |pair: &Pair| (0..disks).all(|disk| pair.state_on(disk, A) == State::Clean);
        pair.until(|pair| (laid_down(pair) && pair.node(A).steward.is_at_rest()).then_some(()));
        init_all(&pair.files, &["--lease", "1s", "--force"]).said(0, &["made area"]);
        let made: Vec<Vec<u8>> = pair.files.iter().map(TempFile::bytes).collect();
        for disk in 0..disks {
            pair.is_told(
                A,
                disk,
                |note| matches!(note, Note::Refused(why) if why.contains("restart the agent")),
            );
        }
        pair.contend(A, 1);
        pair.for_a_while(Duration::from_secs(1), |pair| !pair.node(A).holds());
        let now: Vec<Vec<u8>> = pair.files.iter().map(TempFile::bytes).collect();
        assert!(now == made);
    }
}

/// All at once, for an agent that stood still meanwhile.
#[test]
fn a_clerk_that_is_ready_and_gone_is_gone() {
    let mut pair = Pair::new(area("1s"));
    pair.nodes[B] = None;
    pair.node(A).turn();
    let said = |pair: &mut Pair| {
        let node = pair.node(A);
        let mut fds: Vec<PollFd<'_>> = node
            .steward
            .descriptors()
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        poll(&mut fds, PollTimeout::from(60_000u16)).unwrap();
        fds[0].revents().unwrap()
    };
    assert!(said(&mut pair).contains(PollFlags::POLLIN));
    kill(pair.node(A).clerk(), Signal::SIGKILL).unwrap();
    while !said(&mut pair).contains(PollFlags::POLLHUP) {}
    pair.node(A).turn();
    let steward = &pair.node(A).steward;
    assert!(steward.deadline() > clock::now(), "it would turn for ever");
    assert!(!steward.is_sound());
    let ticket = pair.contend(A, 1);
    pair.wins(A, ticket);
}

#[test]
fn who_has_not_written_its_last_word_is_not_at_rest_though_the_disk_is_late() {
    let mut pair = Pair::new(area("10s"));
    let ticket = pair.contend(A, 1);
    pair.wins(A, ticket);
    let hangs = pair.node(A).clerk();
    kill(hangs, Signal::SIGSTOP).unwrap();
    pair.hear(A, Plea::Withdraw(GROUP, ticket));
    pair.hear(A, Plea::Clean(GROUP, Epoch::default()));
    pair.is_told(A, 0, |note| *note == Note::Late);
    assert!(!pair.node(A).steward.is_at_rest());
    kill(hangs, Signal::SIGCONT).unwrap();
    pair.until(|pair| pair.node(A).steward.is_at_rest().then_some(()));
    assert_eq!(pair.state(A), State::Clean);
}

/// Somebody restores an old image of a disk under us, and the header is torn on another.
#[test]
fn a_disk_that_went_back_in_time_does_not_count_until_it_is_mended() {
    let mut pair = Pair::on(three("3s"));
    let old = pair.files[1].bytes();
    pair.files[2].write_block(0, &[0; 4096]);
    let first = pair.contend(A, 1);
    pair.wins(A, first);
    pair.until(|pair| {
        pair.files[1].write(0, &old);
        pair.node(A)
            .of_disks
            .contains(&(1, Note::Lies))
            .then_some(())
    });
    let lied = |pair: &mut Pair| {
        pair.node(A)
            .of_disks
            .iter()
            .rposition(|of| *of == (1, Note::Lies))
    };
    pair.until(|pair| {
        assert!(pair.node(A).holds());
        let lied = lied(pair).unwrap();
        pair.node(A).of_disks[lied..]
            .contains(&(1, Note::Ready))
            .then_some(())
    });
}

/// The other one counts.
#[test]
fn an_area_of_which_one_header_is_torn_is_used() {
    let file = area("1s");
    file.write_block(0, &[0; 4096]);
    let mut pair = Pair::new(file);
    let ticket = pair.contend(A, 1);
    pair.wins(A, ticket);
}
