//! Who may stand before the desk? A group that asks waits until nothing is left here of an earlier vote, or of an
//! earlier agent: others wait for the slot to say so.

use std::collections::{BTreeMap, BTreeSet};

use super::{Blocked, Desk, DeskEffect, GroupKey, Op, Settings, Sight, Tenancy};
#[cfg(doc)]
use crate::core::lease;
use crate::core::lease::{BootId, Epoch, Nonce};
use crate::core::time::Instant;

/// What a group says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plea {
    /// It wants the vote, see [`lease::Effect::Contend`].
    Contend(GroupKey, Nonce, Epoch),
    /// It gives its ticket back, see [`lease::Effect::Withdraw`].
    Withdraw(GroupKey, Nonce),
    /// Its addresses may be on, or its gate open, by an earlier vote or an earlier agent: nobody here asks
    /// for the vote before [`Plea::Clean`]. Who gives a ticket back owes as well.
    Owes(GroupKey),
    /// Nothing of that is left: its gate is shut and its addresses are off, or the peers' votes allow them. Every
    /// epoch that it has served with here, under whatever agent, is at most this one.
    Clean(GroupKey, Epoch),
    /// No other node is heard, or one is again.
    Silence(bool),
}

/// The groups of a node, and the desk once its area is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counter {
    desk: Option<Desk>,
    /// What groups have asked for and not given back.
    tickets: BTreeMap<GroupKey, (Nonce, Epoch)>,
    /// Those that are not clean: meanwhile tickets wait here, unless this node has the vote.
    debtors: BTreeSet<GroupKey>,
    /// Every epoch that was served with here is at most this one.
    served: Epoch,
    silence: bool,
}

impl Counter {
    /// The area is known: what was asked for meanwhile is asked for now. Nothing happens if it was before.
    pub fn open(
        &mut self,
        settings: Settings,
        boot: BootId,
        now: Instant,
        out: &mut Vec<DeskEffect>,
    ) {
        if self.desk.is_some() {
            return;
        }
        let desk = self.desk.insert(Desk::new(settings, boot, now));
        desk.watch(now, self.silence, out);
        if self.debtors.is_empty() {
            self.settle(now, out);
        }
    }

    /// A group says something.
    pub fn hear(&mut self, now: Instant, plea: Plea, out: &mut Vec<DeskEffect>) {
        match plea {
            Plea::Contend(group, nonce, epoch) => {
                self.tickets.insert(group, (nonce, epoch));
                if self.debtors.is_empty() || self.vote().is_some() {
                    self.contend(now, group, out);
                }
            }
            Plea::Withdraw(group, nonce) => {
                self.debtors.insert(group);
                if self.tickets.get(&group).is_some_and(|own| own.0 == nonce) {
                    self.tickets.remove(&group);
                }
                self.at_desk(out, |desk, said| desk.withdraw(now, group, nonce, said));
            }
            Plea::Owes(group) => drop(self.debtors.insert(group)),
            Plea::Clean(group, epoch) => {
                self.served = self.served.max(epoch);
                if self.debtors.remove(&group) && self.debtors.is_empty() {
                    self.settle(now, out);
                }
            }
            Plea::Silence(on) => {
                self.silence = on;
                self.at_desk(out, |desk, said| desk.watch(now, on, said));
            }
        }
    }

    /// See [`Desk::read`].
    pub fn read(&mut self, now: Instant, op: Op, slots: Vec<Sight>, out: &mut Vec<DeskEffect>) {
        self.at_desk(out, |desk, said| desk.read(now, op, slots, said));
    }

    /// See [`Desk::written`].
    pub fn written(&mut self, now: Instant, op: Op, out: &mut Vec<DeskEffect>) {
        self.at_desk(out, |desk, said| desk.written(now, op, said));
    }

    /// See [`Desk::failed`].
    pub fn failed(&mut self, now: Instant, op: Op, out: &mut Vec<DeskEffect>) {
        self.at_desk(out, |desk, said| desk.failed(now, op, said));
    }

    /// Nothing but time.
    pub fn pass(&mut self, now: Instant, out: &mut Vec<DeskEffect>) {
        self.at_desk(out, |desk, said| desk.pass(now, said));
    }

    /// When to call [`Counter::pass`], if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.desk.as_ref().map_or(Instant::NEVER, Desk::deadline)
    }

    /// Until when the node has the vote.
    #[must_use]
    pub fn vote(&self) -> Option<Instant> {
        self.desk.as_ref()?.vote()
    }

    /// Why it has not, or is about to lose it.
    #[must_use]
    pub fn blocked(&self) -> Option<Blocked> {
        self.desk.as_ref()?.blocked()
    }

    /// Whether nothing has to be written any more that others wait for.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let is_clean = self.tickets.is_empty() && self.debtors.is_empty();
        is_clean && self.desk.as_ref().is_none_or(Desk::is_at_rest)
    }

    /// Whose the own slot is.
    #[must_use]
    pub fn tenancy(&self) -> Tenancy {
        self.desk.as_ref().map_or(Tenancy::Settled, Desk::tenancy)
    }

    /// The own slot, as it was last read or written.
    #[cfg(test)]
    fn own_record(&self) -> Option<super::Record> {
        self.desk.as_ref()?.own()
    }

    fn contend(&mut self, now: Instant, group: GroupKey, out: &mut Vec<DeskEffect>) {
        if let Some((nonce, epoch)) = self.tickets.get(&group).copied() {
            self.at_desk(out, |desk, said| {
                desk.contend(now, (group, nonce, epoch), said);
            });
        }
    }

    /// Nothing of earlier votes is left: the slot may say so, or those who wait here may ask.
    fn settle(&mut self, now: Instant, out: &mut Vec<DeskEffect>) {
        let served = self.served;
        self.at_desk(out, |desk, said| desk.clean(now, served, said));
        let waiting: Vec<GroupKey> = self.tickets.keys().copied().collect();
        for group in waiting {
            self.contend(now, group, out);
        }
    }

    fn at_desk(
        &mut self,
        out: &mut Vec<DeskEffect>,
        say: impl FnOnce(&mut Desk, &mut Vec<DeskEffect>),
    ) {
        let Some(desk) = &mut self.desk else {
            return;
        };
        let before = out.len();
        say(desk, out);
        for effect in &out[before..] {
            if let DeskEffect::Floor(group, ..) = effect {
                // The ticket is worth nothing any more.
                self.tickets.remove(group);
                self.debtors.insert(*group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Record;
    use super::*;

    const WEB: GroupKey = 1;
    const DB: GroupKey = 2;
    const NOW: Instant = Instant::from_nanos(1_000_000_000);

    /// A counter whose area is known, and what it has said.
    struct Bench {
        counter: Counter,
        said: Vec<DeskEffect>,
    }

    impl Bench {
        fn new(pleas: &[Plea]) -> Self {
            let (counter, said) = (Counter::default(), Vec::new());
            let mut bench = Self { counter, said };
            pleas.iter().for_each(|plea| bench.hear(*plea));
            bench
        }

        fn open(&mut self) {
            let second = Duration::from_secs(1);
            let settings = Settings {
                me: 0,
                lease: second * 5,
                wait: second * 6,
                poll: second,
                hurry: second,
                guard: None,
            };
            let Self { counter, said } = self;
            counter.open(settings, BootId(7), NOW, said);
        }

        fn hear(&mut self, plea: Plea) {
            self.counter.hear(NOW, plea, &mut self.said);
        }

        /// The disk does what it was asked for, until nothing is left.
        fn serve(&mut self) {
            while !self.said.is_empty() {
                for effect in std::mem::take(&mut self.said) {
                    let Self { counter, said } = self;
                    match effect {
                        DeskEffect::Read(op) => {
                            let free = [Sight::Slot(Record::default()); 2];
                            let own = counter.own_record().map_or(free[0], Sight::Slot);
                            counter.read(NOW, op, vec![own, free[1]], said);
                        }
                        DeskEffect::Write(op, _) => counter.written(NOW, op, said),
                        _ => {}
                    }
                }
            }
        }
    }

    fn contend(group: GroupKey) -> Plea {
        Plea::Contend(group, 11, Epoch::from_number(64))
    }

    fn clean(group: GroupKey) -> Plea {
        Plea::Clean(group, Epoch::default())
    }

    #[test]
    fn a_group_waits_until_nothing_is_left_of_what_another_one_held() {
        let mut bench = Bench::new(&[Plea::Owes(WEB), Plea::Owes(DB), clean(WEB)]);
        bench.open();
        bench.hear(contend(WEB));
        assert_eq!(bench.said, [], "the addresses of the other one may be on");
        bench.hear(clean(DB));
        bench.serve();
        assert!(bench.counter.vote().is_some());
    }

    #[test]
    fn who_waits_at_the_counter_asks_when_the_last_group_is_clean() {
        let mut bench = Bench::new(&[Plea::Owes(WEB), Plea::Owes(DB)]);
        bench.open();
        bench.hear(contend(WEB));
        bench.hear(clean(WEB));
        assert_eq!(bench.said, [], "the addresses of the other one may be on");
        bench.hear(clean(DB));
        assert!(!bench.said.is_empty());
    }

    #[test]
    fn a_ticket_of_before_that_comes_back_takes_no_other_one_along() {
        let mut bench = Bench::new(&[Plea::Owes(DB)]);
        bench.open();
        bench.hear(contend(WEB));
        bench.hear(Plea::Contend(WEB, 12, Epoch::from_number(128)));
        bench.hear(Plea::Withdraw(WEB, 11));
        bench.hear(clean(WEB));
        bench.hear(clean(DB));
        assert!(!bench.said.is_empty());
    }

    #[test]
    fn a_group_whose_node_has_the_vote_gets_it_though_another_one_owes() {
        let mut bench = Bench::new(&[contend(WEB)]);
        bench.open();
        bench.serve();
        bench.hear(Plea::Owes(DB));
        bench.hear(contend(DB));
        let told = |said: &DeskEffect| matches!(said, DeskEffect::Vote(DB, ..));
        assert!(bench.said.iter().any(told), "{:?}", bench.said);
    }

    #[test]
    fn who_gave_a_ticket_back_asks_again_when_it_is_clean() {
        let mut bench = Bench::new(&[contend(WEB)]);
        bench.open();
        bench.serve();
        bench.hear(Plea::Withdraw(WEB, 11));
        bench.said.clear();
        bench.hear(Plea::Contend(WEB, 12, Epoch::from_number(128)));
        assert_eq!(bench.said, [], "its addresses may be on");
        bench.hear(clean(WEB));
        assert!(!bench.said.is_empty());
    }

    #[test]
    fn what_was_asked_for_before_the_area_was_known_is_asked_for_then() {
        let mut bench = Bench::new(&[contend(WEB)]);
        assert_eq!(bench.said, []);
        bench.open();
        bench.serve();
        assert!(bench.counter.vote().is_some());
    }

    #[test]
    fn a_group_whose_ticket_is_worth_nothing_owes_until_it_is_clean() {
        let mut bench = Bench::new(&[contend(WEB)]);
        bench.open();
        let Some(DeskEffect::Read(op)) = bench.said.pop() else {
            panic!("{:?}", bench.said);
        };
        let served = Record {
            floor: Epoch::from_number(640),
            ..Record::default()
        };
        let sights = vec![Sight::Slot(Record::default()), Sight::Slot(served)];
        let Bench { counter, said } = &mut bench;
        counter.read(NOW, op, sights.clone(), said);
        // Intent, look, claim, look.
        for _ in 0..4 {
            match said.pop() {
                Some(DeskEffect::Write(op, _)) => counter.written(NOW, op, said),
                Some(DeskEffect::Read(op)) => {
                    let own = counter.own_record().map_or(sights[0], Sight::Slot);
                    counter.read(NOW, op, vec![own, sights[1]], said);
                }
                other => panic!("{other:?}"),
            }
        }
        let floor = DeskEffect::Floor(WEB, 11, Epoch::from_number(640));
        assert!(said.contains(&floor), "{said:?}");
        said.clear();
        bench.hear(Plea::Contend(WEB, 12, Epoch::from_number(704)));
        assert_eq!(bench.said, [], "the slot still says that it is held");
        bench.hear(clean(WEB));
        assert!(!bench.said.is_empty());
    }

    #[test]
    fn a_slot_that_is_mended_says_the_epochs_that_were_served_with() {
        let served = Epoch::from_number(640);
        let pleas = [
            Plea::Owes(WEB),
            Plea::Silence(true),
            Plea::Clean(WEB, served),
        ];
        let mut bench = Bench::new(&pleas);
        bench.open();
        let Some(DeskEffect::Read(op)) = bench.said.pop() else {
            panic!("{:?}", bench.said);
        };
        let sights = vec![Sight::Torn, Sight::Slot(Record::default())];
        let Bench { counter, said } = &mut bench;
        counter.read(NOW, op, sights, said);
        let mends = |effect: &DeskEffect| matches!(effect, DeskEffect::Write(_, own) if own.floor == served);
        assert!(said.iter().any(mends), "{said:?}");
    }
}
