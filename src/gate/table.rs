//! Level 2: a table of nftables, whose elements let frames pass until their time is over.
//!
//! Addresses lead to the chain of their slot, and there a set decides: while it has its elements, the
//! frame goes on. Renewing is one small change of one set, whatever the number of addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::slots::{Shutter, Words};
use super::text::{self, Guarded, LINK_RULES, MAPS, SHARED, SLOT_RULES, Text};
use super::wishes::Wishes;
use super::{LEFTOVERS, NAME, Want, Writer, scope};
use crate::net::nft::{ChainState, Contents, Events, Nft, RuleState, TableState};
use crate::net::rtnl::{LinkState, Rtnl};
use crate::sys::{clock, wake};

/// Where administrators' programs are, which not every PATH says.
const PROGRAMS: [&str; 3] = ["nft", "/usr/sbin/nft", "/sbin/nft"];

/// The policy of the chains on interfaces (linux/netfilter.h: NF_ACCEPT).
const ACCEPT: u64 = 1;

/// The table of this agent.
#[derive(Debug)]
pub struct Table {
    wishes: Arc<Wishes>,
    model: Mutex<Model>,
    /// Of the socket that the writer writes to.
    writer_port: u32,
}

/// What is in the kernel, unless somebody else has changed it.
#[derive(Debug)]
struct Model {
    nft: Nft,
    handle: u64,
    guarded: BTreeMap<Guarded, usize>,
    slots: BTreeSet<usize>,
    links: BTreeMap<u32, String>,
    /// The chains as they were when they had been written.
    chains: BTreeMap<String, Numbers>,
    /// What the counters of tables that are gone had seen, by slot.
    dropped: BTreeMap<usize, u64>,
    /// The last look found something that is not a matter of single interfaces.
    is_broken: bool,
    /// None where the last look found anything missing.
    seen: Option<Seen>,
}

/// When a look has found everything in place.
#[derive(Debug)]
struct Seen {
    /// The number of the last transaction on this host before that look.
    generation: u32,
    /// How many of those were the writer's.
    transactions: u32,
    links: BTreeMap<u32, String>,
}

/// What tells a chain from one that somebody else has put in its place, or changed.
#[derive(Debug, PartialEq)]
struct Numbers {
    handle: u64,
    rules: Vec<RuleState>,
}

impl Table {
    pub(super) fn install(want: &Want<'_>, links: &[LinkState]) -> io::Result<(Self, Writer)> {
        let (waker, wake) = wake::pair()?;
        let wishes = Arc::new(Wishes::new(want.groups.max(1), waker));
        let shutter = Shutter {
            words: Words::Writer(Arc::clone(&wishes)),
            slot: LEFTOVERS,
        };
        shutter.arm();
        let guarded = want.addresses.iter();
        let mut model = Model {
            nft: Nft::open()?,
            handle: 0,
            guarded: guarded
                .filter_map(guard)
                .map(|one| (one, LEFTOVERS))
                .collect(),
            slots: BTreeSet::from([LEFTOVERS]),
            links: links.iter().map(numbered).collect(),
            chains: BTreeMap::new(),
            dropped: BTreeMap::new(),
            is_broken: false,
            seen: None,
        };
        let writer = Nft::open()?;
        let writer_port = writer.port()?;
        model.install(&wishes)?;
        let table = Self {
            wishes: Arc::clone(&wishes),
            model: Mutex::new(model),
            writer_port,
        };
        Ok((table, Writer::new(writer, wake, wishes)))
    }

    pub(super) fn shutter(&self, slot: usize) -> Option<Shutter> {
        let words = Words::Writer(Arc::clone(&self.wishes));
        (slot < self.wishes.len()).then_some(Shutter { words, slot })
    }

    pub(super) fn cover(&self, addresses: &[(IpAddr, u32)], slot: usize) -> io::Result<()> {
        // A group that has no shutter has no lease either.
        if slot >= self.wishes.len() {
            return Ok(());
        }
        self.model().cover(addresses, slot, &self.wishes)
    }

    pub(super) fn uncover(&self, address: IpAddr, index: u32) -> io::Result<()> {
        let mut model = self.model();
        let Some(one) = guard(&(address, index)) else {
            return Ok(());
        };
        let Some(&slot) = model.guarded.get(&one) else {
            return Ok(());
        };
        let mut text = Text::default();
        text.elements("delete", [(&one, slot)].into_iter());
        run(&text)?;
        model.guarded.remove(&one);
        Ok(())
    }

    pub(super) fn settle(&self, slot: usize, within: Duration) -> io::Result<()> {
        self.wishes.settle(slot, within)
    }

    pub(super) fn whole(&self, links: &[LinkState]) -> io::Result<BTreeSet<u32>> {
        let mut model = self.model();
        model.follow(links);
        let seen = model.begin_look(links, &self.wishes)?;
        let whole = model.whole(&self.wishes)?;
        model.seen = seen.filter(|_| whole.len() == links.len());
        // A table that is in place, and cannot be written to, opens for nobody.
        match self.wishes.trouble(clock::now()) {
            Some(error) if !model.is_broken => Err(error),
            _ => Ok(whole),
        }
    }

    /// Whether nobody but the writer has changed any ruleset since a look found everything in place on
    /// these interfaces. A look that reads all chains takes a hundred times as long.
    pub(super) fn is_untouched(&self, links: &[LinkState]) -> io::Result<bool> {
        let mut model = self.model();
        if self.wishes.trouble(clock::now()).is_some() {
            return Ok(false);
        }
        // Before the number: one that goes through in between is no reason to think that none of
        // somebody else's did.
        let transactions = self.wishes.transactions();
        let generation = model.nft.generation()?;
        Ok(model.seen.as_ref().is_some_and(|seen| {
            let ours = transactions.wrapping_sub(seen.transactions);
            generation.wrapping_sub(seen.generation) == ours
                && seen.links.iter().eq(all(links).iter())
        }))
    }

    pub(super) fn attach(
        &self,
        rtnl: &mut Rtnl,
        links: &[&LinkState],
    ) -> io::Result<BTreeSet<u32>> {
        let mut model = self.model();
        if model.is_broken {
            model.links = links.iter().map(|link| numbered(link)).collect();
            model.install(&self.wishes)?;
            return Ok(model.links.keys().copied().collect());
        }
        model.attach(rtnl, links)
    }

    pub(super) fn events(&self) -> io::Result<Events> {
        Events::open(NAME, self.writer_port)
    }

    pub(super) fn end(&self) {
        self.wishes.end();
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Model {
    /// Everything in one transaction, shut, in the place of whatever was there.
    fn install(&mut self, wishes: &Wishes) -> io::Result<()> {
        let mut text = Text::anew();
        self.slots.iter().for_each(|slot| text.slot(*slot));
        text.elements("add", self.guarded.iter().map(|(one, slot)| (one, *slot)));
        for (index, name) in &self.links {
            text.link(*index, name)?;
        }
        run(&text)?;
        let table = self.nft.table(NAME)?.ok_or(io::ErrorKind::NotFound)?;
        self.handle = table.handle;
        self.chains.clear();
        let links = self
            .links
            .keys()
            .flat_map(|index| text::link_chains(*index));
        let slots = self.slots.iter().map(|slot| text::slot_chain(*slot));
        let shared = SHARED.iter().map(|(name, _)| (*name).to_owned());
        self.note(&links.chain(slots).chain(shared).collect())?;
        self.is_broken = false;
        for &slot in &self.slots {
            let seen = wishes.dropped(slot);
            self.dropped.insert(slot, seen);
            wishes.exists(slot);
        }
        Ok(())
    }

    fn cover(
        &mut self,
        addresses: &[(IpAddr, u32)],
        slot: usize,
        wishes: &Wishes,
    ) -> io::Result<()> {
        let mut text = Text::default();
        let is_new = !self.slots.contains(&slot);
        if is_new {
            text.slot(slot);
        }
        let wanted: BTreeSet<Guarded> = addresses.iter().filter_map(guard).collect();
        let missing = || {
            let is_there = |one: &&Guarded| self.guarded.get(one) == Some(&slot);
            wanted.iter().filter(move |one| !is_there(one))
        };
        let before = |one| Some((one, *self.guarded.get(one)?));
        text.elements("delete", missing().filter_map(before));
        text.elements("add", missing().map(|one| (one, slot)));
        if text.is_empty() {
            return Ok(());
        }
        run(&text)?;
        self.guarded
            .extend(wanted.into_iter().map(|one| (one, slot)));
        self.slots.insert(slot);
        if is_new {
            self.note(&BTreeSet::from([text::slot_chain(slot)]))?;
            wishes.exists(slot);
        }
        Ok(())
    }

    /// From now on these chains are as they are.
    fn note(&mut self, names: &BTreeSet<String>) -> io::Result<()> {
        let chains = self.nft.chains(NAME)?.into_iter();
        let noted = chains.filter(|(name, _)| names.contains(name));
        self.chains
            .extend(noted.map(|(name, chain)| (name, Numbers::of(&chain))));
        Ok(())
    }

    fn attach(&mut self, rtnl: &mut Rtnl, links: &[&LinkState]) -> io::Result<BTreeSet<u32>> {
        match self.hook(links) {
            Ok(()) => return Ok(links.iter().map(|link| link.index).collect()),
            Err(error) if links.is_empty() => return Err(error),
            Err(_) => {}
        }
        // One that has gone meanwhile spoils it for all.
        let mut attached = BTreeSet::new();
        for link in links {
            match self.hook(&[link]) {
                Ok(()) => drop(attached.insert(link.index)),
                Err(_) if rtnl.link_at(link.index)?.is_none() => {}
                Err(error) => {
                    let text = format!("{}: {error}", link.name);
                    return Err(io::Error::new(error.kind(), text));
                }
            }
        }
        Ok(attached)
    }

    fn hook(&mut self, links: &[&LinkState]) -> io::Result<()> {
        let mut text = Text::default();
        for link in links {
            text.link(link.index, &link.name)?;
        }
        run(&text)?;
        let chains = links.iter().flat_map(|link| text::link_chains(link.index));
        self.note(&chains.collect())?;
        self.links.extend(links.iter().map(|link| numbered(link)));
        Ok(())
    }

    /// Chains whose interface has gone see no frames; one that stays is in nobody's way. An interface
    /// that was renamed is looked for under its new name.
    fn follow(&mut self, links: &[LinkState]) {
        let mut text = Text::default();
        let mut kept = BTreeMap::new();
        for index in std::mem::take(&mut self.links).into_keys() {
            match links.iter().find(|link| link.index == index) {
                Some(link) => drop(kept.insert(index, link.name.clone())),
                None => text.no_link(index),
            }
        }
        self.links = kept;
        if !text.is_empty() {
            let _ = run(&text);
        }
    }

    /// What a look that begins now may say afterwards, if it finds everything; nothing while the writer
    /// writes.
    fn begin_look(&mut self, links: &[LinkState], wishes: &Wishes) -> io::Result<Option<Seen>> {
        let before = wishes.transactions_at_rest();
        let generation = self.nft.generation()?;
        let transactions = before.filter(|_| wishes.transactions_at_rest() == before);
        Ok(transactions.map(|transactions| Seen {
            generation,
            transactions,
            links: all(links),
        }))
    }

    /// The interfaces that have the gate: none where a part is missing that all need.
    fn whole(&mut self, wishes: &Wishes) -> io::Result<BTreeSet<u32>> {
        let table = self.nft.table(NAME)?;
        let is_ours = |table: TableState| table.handle == self.handle && !table.is_dormant;
        self.is_broken = true;
        if !table.is_some_and(is_ours) {
            return Ok(BTreeSet::new());
        }
        let chains = self.nft.chains(NAME)?;
        self.count(&chains, wishes);
        if !self.has_shared(&chains) || !self.has_elements()? {
            return Ok(BTreeSet::new());
        }
        self.is_broken = false;
        let has_both = |index: &u32, name: &String| {
            let is_whole = |chain: &String| {
                let is_hooked = |chain: &ChainState| {
                    chain.devices.contains(name) && chain.policy == Some(ACCEPT)
                };
                self.is_ours(&chains, chain, LINK_RULES) && chains.get(chain).is_some_and(is_hooked)
            };
            text::link_chains(*index).iter().all(is_whole)
        };
        let links = self.links.iter();
        let whole = links.filter(|(index, name)| has_both(index, name));
        Ok(whole.map(|(index, _)| *index).collect())
    }

    fn has_shared(&self, chains: &BTreeMap<String, ChainState>) -> bool {
        let has_slot = |slot: &usize| self.is_ours(chains, &text::slot_chain(*slot), SLOT_RULES);
        let mut shared = SHARED.iter();
        shared.all(|(name, wanted)| self.is_ours(chains, name, wanted.len()))
            && self.slots.iter().all(has_slot)
    }

    /// Whether a chain is the one that was made, with the rules that were, and no others.
    fn is_ours(&self, chains: &BTreeMap<String, ChainState>, name: &str, rules: usize) -> bool {
        let found = chains.get(name).filter(|chain| chain.rules.len() == rules);
        found.map(Numbers::of).as_ref() == self.chains.get(name) && found.is_some()
    }

    fn has_elements(&mut self) -> io::Result<bool> {
        let mut wanted: BTreeMap<&str, Contents> = BTreeMap::new();
        for (one, slot) in &self.guarded {
            let chain = text::slot_chain(*slot);
            for (map, key) in text::raw_keys(*one).into_iter().flatten() {
                wanted.entry(map).or_default().add_jump(&key, &chain);
            }
        }
        for (map, _) in MAPS {
            let wanted = wanted.get(map).copied().unwrap_or_default();
            if self.nft.contents(NAME, map)? != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn count(&self, chains: &BTreeMap<String, ChainState>, wishes: &Wishes) {
        for &slot in &self.slots {
            let seen = chains.get(&text::slot_chain(slot));
            let before = self.dropped.get(&slot).copied().unwrap_or_default();
            wishes.has_dropped(slot, before + seen.map_or(0, |chain| chain.packets));
        }
    }
}

impl Numbers {
    fn of(chain: &ChainState) -> Self {
        Self {
            handle: chain.handle,
            rules: chain.rules.clone(),
        }
    }
}

/// Takes the table away, if there is one, whoever made it.
///
/// # Errors
/// What the kernel says.
pub(super) fn remove() -> io::Result<()> {
    let absent = |error: &io::Error| {
        let absent = [
            libc::EPROTONOSUPPORT,
            libc::EAFNOSUPPORT,
            libc::EOPNOTSUPP,
            libc::EINVAL,
        ];
        error
            .raw_os_error()
            .is_some_and(|errno| absent.contains(&errno))
    };
    match Nft::open().and_then(|mut nft| nft.delete_table(NAME)) {
        // A kernel without nftables.
        Err(error) if absent(&error) => Ok(()),
        other => other,
    }
}

/// Where the address counts; `None` for a link-local one whose interface there is not.
fn guard((address, index): &(IpAddr, u32)) -> Option<Guarded> {
    let scope = scope(*address, *index);
    let is_nowhere = scope == 0 && super::is_link_local(*address);
    (!is_nowhere).then_some((*address, scope))
}

fn all(links: &[LinkState]) -> BTreeMap<u32, String> {
    links.iter().map(numbered).collect()
}

fn numbered(link: &LinkState) -> (u32, String) {
    (link.index, link.name.clone())
}

/// Has the `nft` program carry out one transaction.
fn run(text: &Text) -> io::Result<()> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for program in PROGRAMS {
        match run_as(program, text) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => last = error,
            done => return done,
        }
    }
    let text = format!("there is no program `nft` (package nftables): {last}");
    Err(io::Error::new(last.kind(), text))
}

fn run_as(program: &str, text: &Text) -> io::Result<()> {
    let mut nft = Command::new(program)
        .args(["-f", "-"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    // It reads everything before it says anything; if it ends early, its words say why.
    let told = nft
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(text.as_str().as_bytes()));
    let output = nft.wait_with_output()?;
    if output.status.success() {
        return told.unwrap_or(Ok(()));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().find(|line| !line.trim().is_empty());
    let text = format!(
        "nft: {}",
        first.unwrap_or("it failed without a word").trim()
    );
    // `NotFound` is for the program.
    Err(io::Error::other(text))
}
