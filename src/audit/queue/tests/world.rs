//! A host, several instances of the filter and a collector. Things may happen between any two calls
//! of the host that an instance makes.

mod host;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::audit::queue::*;
use crate::base::capabilities::Shared;
use crate::base::time::UnixSeconds;

/// What happens.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// An instance stores a line of about this length.
    Push(usize, usize),
    Tick(usize),
    /// The oldest call of an instance ends.
    Answer(usize, Answer),
    /// An instance vanishes without a word.
    Die(usize),
    /// An instance ends in order.
    End(usize),
    /// Time goes by, in milliseconds.
    Wait(u64),
    /// The clock is set, by seconds.
    Jump(i64),
    /// So many calls of the host fail; with `true` only after they had their effect.
    Fail(usize, bool),
    /// So many comparing writes lose.
    Race(usize),
    /// One after the other.
    All(Vec<Op>),
}

/// How a call ends. Its lines arrive, or do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Sent,
    Failed {
        arrived: bool,
    },
    Rejected,
    /// The host never says.
    Never {
        arrived: bool,
    },
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) instance: InstanceId,
    pub(super) queue: Queue,
    calls: VecDeque<Batch>,
    name: usize,
    count: usize,
}

pub(super) struct World {
    now: Cell<Instant>,
    drawn: Cell<u64>,
    shared: RefCell<HashMap<String, Shared>>,
    stamps: Cell<u32>,
    failing: Cell<(usize, bool)>,
    racing: Cell<usize>,
    pub(super) writes: Cell<usize>,
    pub(super) reads: Cell<usize>,
    /// What happens in the middle of something, after so many calls of the host.
    pub(super) between: RefCell<VecDeque<(usize, Op)>>,
    pub(super) members: Vec<RefCell<Option<Member>>>,
    born: Cell<usize>,
    settings: QueueSettings,
    /// Lines that were handed to `push`, and those of them that it stored.
    pub(super) pushed: RefCell<BTreeSet<String>>,
    pub(super) stored: RefCell<BTreeSet<String>>,
    /// How often each line arrived, and which came back.
    pub(super) arrived: RefCell<BTreeMap<String, usize>>,
    pub(super) returned: RefCell<BTreeSet<String>>,
}

pub(super) const SLOTS: usize = 8;

pub(super) fn settings() -> QueueSettings {
    QueueSettings {
        digest_of: "collector".to_owned(),
        bytes: SLOTS * SLOT_BYTES,
        every: Duration::from_secs(1),
        batch_bytes: 2 * SLOT_BYTES,
        in_flight: 2,
        call_timeout: Duration::from_secs(5),
    }
}

impl World {
    pub(super) fn of(members: usize) -> World {
        World::with(members, settings())
    }

    pub(super) fn with(members: usize, settings: QueueSettings) -> World {
        World {
            now: Cell::new(Instant::from_seconds(UnixSeconds(1_000_000))),
            drawn: Cell::new(0),
            shared: RefCell::default(),
            stamps: Cell::new(1),
            failing: Cell::new((0, false)),
            racing: Cell::new(0),
            writes: Cell::new(0),
            reads: Cell::new(0),
            between: RefCell::default(),
            members: (0..members).map(|_| RefCell::new(None)).collect(),
            born: Cell::new(0),
            settings,
            pushed: RefCell::default(),
            stored: RefCell::default(),
            arrived: RefCell::default(),
            returned: RefCell::default(),
        }
    }

    /// Does something; what needs an instance that is in the middle of something is left out.
    pub(super) fn run(&self, op: &Op) {
        match *op {
            Op::Push(who, length) => {
                let _ = self.push(who, length);
            }
            Op::Tick(who) => {
                self.tick(who);
            }
            Op::Answer(who, answer) => self.answer(who, answer),
            Op::Die(who) => {
                drop(self.with_member(who, |_| ()).and_then(|()| self.members[who].take()))
            }
            Op::End(who) => self.end(who),
            Op::Wait(millis) => self.now.set(self.now.get().plus(Duration::from_millis(millis))),
            Op::Jump(seconds) => {
                let now = self.now.get().seconds().0.saturating_add_signed(seconds);
                self.now.set(Instant::from_seconds(UnixSeconds(now)));
            }
            Op::Fail(calls, after) => self.failing.set((calls, after)),
            Op::Race(writes) => self.racing.set(writes),
            Op::All(ref all) => all.iter().for_each(|op| self.run(op)),
        }
    }

    pub(super) fn push(&self, who: usize, length: usize) -> Option<Stored> {
        self.with_member(who, |member| {
            member.count += 1;
            let line = format!("{}-{}-{}", member.name, member.count, "x".repeat(length));
            self.pushed.borrow_mut().insert(line.clone());
            let stored = member.queue.push(&line, &member.instance, self);
            if stored == Stored::Done {
                self.stored.borrow_mut().insert(line);
            }
            stored
        })
    }

    /// Ticks: how many calls that made.
    pub(super) fn tick(&self, who: usize) -> usize {
        let ticked = self.with_member(who, |member| {
            let batches = member.queue.due(&member.instance, self);
            for batch in &batches {
                check_order(batch);
            }
            let count = batches.len();
            member.calls.extend(batches);
            count
        });
        ticked.unwrap_or_default()
    }

    pub(super) fn answer(&self, who: usize, answer: Answer) {
        self.with_member(who, |member| {
            let Some(batch) = member.calls.pop_front() else { return };
            let (id, caps) = (batch.id(), self);
            match answer {
                Answer::Sent => {
                    self.arrive(&batch);
                    member.queue.sent(id, caps);
                }
                Answer::Failed { arrived } => {
                    if arrived {
                        self.arrive(&batch);
                    }
                    member.queue.failed(id, caps);
                }
                Answer::Never { arrived } => {
                    if arrived {
                        self.arrive(&batch);
                    }
                }
                Answer::Rejected => self.take_back(member.queue.rejected(id, caps)),
            }
        });
    }

    pub(super) fn end(&self, who: usize) {
        self.with_member(who, |member| {
            let lines = member.queue.end(&member.instance, self);
            self.take_back(lines);
        });
        if let Ok(mut member) = self.members[who].try_borrow_mut() {
            *member = None;
        }
    }

    /// Ticks everybody every 500 ms and lets all calls succeed, for so many rounds at most: whether the
    /// ring is empty then.
    pub(super) fn settle(&self, rounds: usize) -> bool {
        self.between.borrow_mut().clear();
        self.failing.set((0, false));
        self.racing.set(0);
        (0..rounds).any(|_| {
            self.run(&Op::Wait(500));
            for who in 0..self.members.len() {
                self.tick(who);
                while self.calls(who) > 0 {
                    self.answer(who, Answer::Sent);
                }
            }
            self.in_use() == 0
        })
    }

    /// Panics unless every line that was stored arrived or came back, and nothing else did.
    pub(super) fn check_ledger(&self) {
        let (arrived, returned) = (self.arrived.borrow(), self.returned.borrow());
        for line in self.stored.borrow().iter() {
            assert!(
                arrived.contains_key(line) || returned.contains(line),
                "{} is lost",
                short(line)
            );
        }
        let pushed = self.pushed.borrow();
        for line in arrived.keys().chain(returned.iter()) {
            assert!(pushed.contains(line), "{} is invented", short(line));
        }
    }

    /// Lets everything be sent within so many rounds, then as [`World::check_ledger`].
    pub(super) fn check_ledger_after(&self, rounds: usize) {
        assert!(self.settle(rounds), "{} slots are left", self.in_use());
        self.check_ledger();
    }

    /// Panics unless shared data is as small as promised.
    pub(super) fn check_memory(&self) {
        let shared = self.shared.borrow();
        assert!(shared.len() <= SLOTS + 3, "{} keys", shared.len());
        for (key, shared) in shared.iter() {
            let lines = shared.value.get(slot::LABEL..).unwrap_or_default();
            let long = lines.iter().filter(|byte| **byte == b'\n').count() == 1;
            assert!(long || shared.value.len() <= SLOT_BYTES, "{key}: {}", shared.value.len());
        }
    }

    pub(super) fn calls(&self, who: usize) -> usize {
        self.members[who].borrow().as_ref().map_or(0, |member| member.calls.len())
    }

    /// Slots in use, as the header says.
    pub(super) fn in_use(&self) -> u64 {
        let shared = self.shared.borrow();
        let header = shared.iter().find(|(key, _)| key.ends_with("/ring"));
        header.map_or(0, |(_, shared)| {
            let number =
                |at: usize| u64::from_be_bytes(shared.value[at..at + 8].try_into().unwrap());
            number(10) - number(2)
        })
    }

    /// Overwrites what is under a key that ends so; whether there is one.
    pub(super) fn overwrite(&self, end: &str, value: &[u8]) -> bool {
        let mut shared = self.shared.borrow_mut();
        let found = shared.iter_mut().find(|(key, _)| key.ends_with(end));
        let stamp = self.stamps.get();
        self.stamps.set(stamp + 1);
        found.map(|(_, shared)| *shared = Shared { value: value.to_vec(), stamp }).is_some()
    }

    /// What is under a key that ends so.
    pub(super) fn value(&self, end: &str) -> Vec<u8> {
        let shared = self.shared.borrow();
        shared.iter().find(|(key, _)| key.ends_with(end)).unwrap().1.value.clone()
    }

    /// Asks an instance, which is made when there is none; `None` when it is in the middle of something.
    pub(super) fn with_member<R>(
        &self,
        who: usize,
        what: impl FnOnce(&mut Member) -> R,
    ) -> Option<R> {
        let mut member = self.members[who].try_borrow_mut().ok()?;
        Some(what(member.get_or_insert_with(|| self.born())))
    }

    fn born(&self) -> Member {
        let name = self.born.get();
        self.born.set(name + 1);
        let instance = InstanceId::draw(self);
        let queue = Queue::new(self.settings.clone());
        Member { instance, queue, calls: VecDeque::new(), name, count: 0 }
    }

    fn arrive(&self, batch: &Batch) {
        for line in batch.lines() {
            *self.arrived.borrow_mut().entry(line.to_owned()).or_default() += 1;
        }
    }

    fn take_back(&self, lines: Vec<String>) {
        self.returned.borrow_mut().extend(lines);
    }
}

/// Panics unless the lines of each instance are in order.
fn check_order(batch: &Batch) {
    let mut last: HashMap<&str, usize> = HashMap::new();
    for line in batch.lines() {
        let mut parts = line.split('-');
        let (name, count) = (parts.next().unwrap(), parts.next().unwrap().parse().unwrap());
        if let Some(before) = last.insert(name, count) {
            assert!(before < count, "{} after {name}-{before}", short(line));
        }
    }
}

fn short(line: &str) -> &str {
    line.split("-x").next().unwrap_or_default()
}
