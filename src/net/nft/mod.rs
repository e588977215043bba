//! How are sets of nftables changed, and what is in a table? By netlink, without the `nft` program:
//! for what happens often. Everything is about tables of the family netdev.

mod contents;
mod events;
mod message;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::time::Duration;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR};

use super::rtnl::message::{errno, next_attribute, text};
use super::rtnl::socket::{Message, NETLINK_NETFILTER, Socket};
use message::{
    ELEMENTS, GET_CHAIN, GET_ELEMENTS, GET_RULE, GET_TABLE, NEW_CHAIN, NEW_GENERATION, NEW_RULE,
    NEW_SET_ELEMENTS, NEW_TABLE, Request, TABLE,
};

pub use contents::Contents;
pub use events::Events;

/// The longest wait for an answer: another program that loads a long ruleset keeps everybody out.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Transactions of others while a dump is being read spoil it; it is repeated this often at most.
const DUMP_TRIES: u32 = 20;

// linux/netfilter/nf_tables.h
const NFTA_GEN_ID: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
const NFTA_TABLE_HANDLE: u16 = 4;
const NFTA_CHAIN_HANDLE: u16 = 2;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_HOOK_DEV: u16 = 3;
const NFTA_HOOK_DEVS: u16 = 4;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_HANDLE: u16 = 3;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_COUNTER_PACKETS: u16 = 2;
/// The expression that counts.
const COUNTER: &str = "counter";

/// One change of one set.
#[derive(Clone, Copy, Debug)]
pub struct Edit<'a> {
    /// The set's name.
    pub set: &'a str,
    /// The elements that it is about.
    pub keys: &'a [&'a [u8]],
    /// What becomes of them.
    pub act: Act,
}

/// What becomes of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// They are there from now on. Those that were stay as they are: their time is not changed.
    Add {
        /// When they go by themselves, if they do. The kernel counts in ticks of 1 to 10 ms, and
        /// not while the host sleeps.
        ends_in: Option<Duration>,
    },
    /// They are gone; that they were not there is an error.
    Delete,
}

/// How a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableState {
    /// Its number: one that is made anew gets a new one.
    pub handle: u64,
    /// Whether the frames do not see it (`flags dormant`).
    pub is_dormant: bool,
}

/// How a chain is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainState {
    /// Its number: one that is made anew gets a new one.
    pub handle: u64,
    /// The interfaces whose frames come by.
    pub devices: Vec<String>,
    /// What becomes of a frame that nothing has been said about (linux/netfilter.h, NF_...).
    pub policy: Option<u64>,
    /// Its rules, in their order.
    pub rules: Vec<RuleState>,
    /// What the counters in its rules have seen.
    pub packets: u64,
}

/// What tells a rule from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleState {
    /// Its number: one that replaces it may get the same.
    pub handle: u64,
    /// What it does, in a number; what its counter has seen is no part of that.
    pub sum: u64,
}

/// A socket for requests.
#[derive(Debug)]
pub struct Nft {
    socket: Socket,
    sequence: u32,
    out: Vec<u8>,
    /// The last dump had other transactions in between.
    spoilt: bool,
}

impl Nft {
    /// Opens a socket in the network namespace of this thread.
    ///
    /// # Errors
    /// `EPROTONOSUPPORT` where the kernel has no netfilter.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Socket::requests_of(NETLINK_NETFILTER, TIMEOUT)?,
            sequence: 0,
            out: Vec::new(),
            spoilt: false,
        })
    }

    /// The number that events name as where they come from.
    ///
    /// # Errors
    /// What getsockname(2) says.
    pub fn port(&self) -> io::Result<u32> {
        self.socket.port()
    }

    /// Makes these changes in one transaction, or none of them.
    ///
    /// # Errors
    /// What the kernel says of the first that it refuses: `ENOENT` where there is no such table,
    /// set or element. `TimedOut`: nothing is known.
    pub fn change(&mut self, table: &str, edits: &[Edit<'_>]) -> io::Result<()> {
        self.transact(|mut request| request.batch(table, edits))
    }

    /// Takes a table away, with all that is in it; one that is not there is fine.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn delete_table(&mut self, table: &str) -> io::Result<()> {
        if self.table(table)?.is_none() {
            return Ok(());
        }
        match self.transact(|mut request| request.delete_table(table)) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => other,
        }
    }

    /// A number that every transaction on this host moves on by one, whoever makes it, whatever table it
    /// is about; it may pass over zero.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn generation(&mut self) -> io::Result<u32> {
        let mut found = None;
        self.write(|mut request| request.ask_generation());
        self.socket.send(&self.out)?;
        self.answer(self.sequence, &mut |kind, attributes| {
            if kind == NEW_GENERATION {
                found = find(attributes, NFTA_GEN_ID).and_then(|id| id.try_into().ok());
            }
        })?;
        let generation = found.map(u32::from_be_bytes);
        generation.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// How the table is, if there is one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn table(&mut self, table: &str) -> io::Result<Option<TableState>> {
        let mut found = None;
        let asked = self.ask(GET_TABLE, 0, table, None, &mut |kind, attributes| {
            if kind == NEW_TABLE {
                found = Some(table_state(attributes));
            }
        });
        match asked {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            other => other.map(|()| found),
        }
    }

    /// The chains of a table.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn chains(&mut self, table: &str) -> io::Result<BTreeMap<String, ChainState>> {
        self.consistent(|nft| nft.dump_chains(table))
    }

    fn dump_chains(&mut self, table: &str) -> io::Result<BTreeMap<String, ChainState>> {
        let mut chains: BTreeMap<String, ChainState> = BTreeMap::new();
        self.ask(
            GET_CHAIN,
            NLM_F_DUMP,
            table,
            None,
            &mut |kind, attributes| {
                if kind == NEW_CHAIN && is_of(table, attributes) {
                    let name =
                        find(attributes, NFTA_CHAIN_NAME).map(|name| text(name).into_owned());
                    let hook = find(attributes, NFTA_CHAIN_HOOK);
                    let chain = chains.entry(name.unwrap_or_default()).or_default();
                    chain.handle = find(attributes, NFTA_CHAIN_HANDLE).map_or(0, big);
                    chain.devices = hook.map(devices).unwrap_or_default();
                    chain.policy = find(attributes, NFTA_CHAIN_POLICY).map(big);
                }
            },
        )?;
        self.ask(
            GET_RULE,
            NLM_F_DUMP,
            table,
            None,
            &mut |kind, attributes| {
                if kind == NEW_RULE && is_of(table, attributes) {
                    let name =
                        find(attributes, NFTA_RULE_CHAIN).map(|name| text(name).into_owned());
                    let chain = chains.entry(name.unwrap_or_default()).or_default();
                    let expressions = find(attributes, NFTA_RULE_EXPRESSIONS).unwrap_or_default();
                    chain.rules.push(RuleState {
                        handle: find(attributes, NFTA_RULE_HANDLE).map_or(0, big),
                        sum: sum(expressions),
                    });
                    chain.packets += packets(expressions);
                }
            },
        )?;
        Ok(chains)
    }

    /// What is in a map to verdicts; nothing where there is no such map.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn contents(&mut self, table: &str, map: &str) -> io::Result<Contents> {
        self.consistent(|nft| nft.dump_contents(table, map))
    }

    fn dump_contents(&mut self, table: &str, map: &str) -> io::Result<Contents> {
        let mut contents = Contents::default();
        let flags = NLM_F_DUMP;
        let asked = self.ask(
            GET_ELEMENTS,
            flags,
            table,
            Some(map),
            &mut |kind, attributes| {
                if kind == NEW_SET_ELEMENTS {
                    contents.read(find(attributes, ELEMENTS).unwrap_or_default());
                }
            },
        );
        match asked {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Contents::default()),
            other => other.map(|()| contents),
        }
    }

    /// Repeats a dump that was spoilt by a transaction in between, of whomever.
    fn consistent<T>(&mut self, dump: impl Fn(&mut Self) -> io::Result<T>) -> io::Result<T> {
        let mut tries = DUMP_TRIES;
        loop {
            self.spoilt = false;
            let found = dump(self)?;
            tries -= 1;
            if !self.spoilt || tries == 0 {
                return Ok(found);
            }
        }
    }

    fn transact(&mut self, write: impl FnOnce(Request<'_>)) -> io::Result<()> {
        self.write(write);
        // The last message is the end of the batch, which not every kernel acknowledges.
        let last = self.sequence.wrapping_sub(1);
        self.socket.send(&self.out)?;
        self.answer(last, &mut |_, _| {})
    }

    fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        table: &str,
        set: Option<&str>,
        each: &mut impl FnMut(u16, &[u8]),
    ) -> io::Result<()> {
        // One object is one answer; that it is acknowledged too tells where the answer ends.
        let flags = match flags {
            0 => netlink_packet_core::NLM_F_ACK,
            dump => dump,
        };
        self.write(|mut request| request.ask(kind, flags, table, set));
        self.socket.send(&self.out)?;
        self.answer(self.sequence, each)
    }

    fn write(&mut self, write: impl FnOnce(Request<'_>)) {
        self.out.clear();
        write(Request {
            out: &mut self.out,
            sequence: &mut self.sequence,
        });
    }

    /// Reads on to the end of the answer to `last`, or to the first error. What belongs to earlier
    /// requests is passed over.
    fn answer(&mut self, last: u32, each: &mut impl FnMut(u16, &[u8])) -> io::Result<()> {
        /// How many requests there may be in a transaction.
        const REQUESTS: u32 = 1 << 16;
        loop {
            let mut end = None;
            let before = |message: &Message<'_>| last.wrapping_sub(message.sequence) < REQUESTS;
            for message in self.socket.receive()?.filter(before) {
                self.spoilt |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_ERROR | NLMSG_DONE => match errno(message.payload) {
                        0 if message.sequence != last => {}
                        0 => end = end.or(Some(0)),
                        errno => end = Some(errno),
                    },
                    kind if message.sequence == last => {
                        each(kind, message.payload.get(4..).unwrap_or_default());
                    }
                    _ => {}
                }
            }
            match end {
                None => {}
                Some(0) => return Ok(()),
                Some(errno) => return Err(io::Error::from_raw_os_error(errno)),
            }
        }
    }
}

fn table_state(attributes: &[u8]) -> TableState {
    const DORMANT: u64 = 1;
    let flags = find(attributes, NFTA_TABLE_FLAGS).map_or(0, big);
    TableState {
        handle: find(attributes, NFTA_TABLE_HANDLE).map_or(0, big),
        is_dormant: flags & DORMANT != 0,
    }
}

fn is_of(table: &str, attributes: &[u8]) -> bool {
    find(attributes, TABLE).is_some_and(|name| text(name) == table)
}

/// The names of a hook's interfaces: of the only one, or of a list.
fn devices(hook: &[u8]) -> Vec<String> {
    let mut list = find(hook, NFTA_HOOK_DEVS).unwrap_or_default();
    let listed = std::iter::from_fn(|| next_attribute(&mut list)).map(|(_, name)| name);
    let mut all: Vec<String> = listed.map(|name| text(name).into_owned()).collect();
    let only = find(hook, NFTA_HOOK_DEV).map(|name| text(name).into_owned());
    all.extend(only.filter(|only| !all.contains(only)));
    all
}

/// What the counters among the expressions of a rule say.
fn packets(list: &[u8]) -> u64 {
    let counters = expressions(list).filter(|(name, _)| name == COUNTER);
    let packets = counters.filter_map(|(_, data)| find(data, NFTA_COUNTER_PACKETS));
    packets.map(big).sum()
}

/// A number for all expressions of a rule, without what changes by itself.
fn sum(list: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, data) in expressions(list) {
        let is_counter = name == COUNTER;
        (name, (!is_counter).then_some(data)).hash(&mut hasher);
    }
    hasher.finish()
}

/// By name, each with its data.
fn expressions(mut list: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, &[u8])> {
    let expressions = std::iter::from_fn(move || next_attribute(&mut list));
    expressions.map(|(_, expression)| {
        let name = find(expression, NFTA_EXPR_NAME).map(text);
        let data = find(expression, NFTA_EXPR_DATA).unwrap_or_default();
        (name.unwrap_or_default(), data)
    })
}

fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    while let Some((kind, value)) = next_attribute(&mut attributes) {
        if kind == wanted {
            return Some(value);
        }
    }
    None
}

/// nftables has its numbers in network order, of four bytes or eight.
fn big(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
