//! The world of one seed: time, what is to happen next, and everyone in it.

use std::collections::{BTreeMap, BTreeSet};

use values::{Span, Timestamp};
use work_loop::{Event as LoopEvent, Lease, Moment};

use crate::check::Checks;
use crate::history::{History, Mark};
use crate::network::Call;
use crate::plan::Plan;
use crate::process::{Process, Who};
use crate::random::Random;
use crate::store::{New, Store};

/// Something that is going to happen.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A call reaches the store.
    Arrive(u64),
    /// A call that waited for a store that stood still goes on a little later.
    Late(u64, Span),
    Answer(u64),
    Timeout(u64),
    /// A waiting lease request looks again.
    Poll(u64),
    /// Waiting lease requests are told that there may be something.
    Wake,
    Beat(Who, u32),
    Turn(Who),
    Register(Who),
    /// A handler goes on, if it is still in this phase.
    Handler(Who, Lease, u32),
    /// A handler that was told to stop is dropped.
    Grace(Who, Lease),
    /// The loop hears that an attempt has ended.
    Ended(Who, Lease),
    /// The time limit of an attempt.
    Limit(Who, Lease),
    Boot(usize),
    Resend(Vec<New>),
    Produce,
    Operator,
    Fault,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    pub(crate) now: Moment,
    queue: BTreeMap<(Moment, u64), Event>,
    sequence: u64,
    pub(crate) store: Store,
    /// The wall clock at the beginning, in microseconds.
    pub(crate) base: i64,
    /// How far the store's clock is off, in microseconds.
    pub(crate) off: i64,
    pub(crate) hangs_until: Moment,
    pub(crate) processes: Vec<Process>,
    pub(crate) calls: BTreeMap<u64, Call>,
    pub(crate) next_call: u64,
    pub(crate) clients: BTreeSet<u64>,
    pub(crate) parked: Vec<u64>,
    /// How often the outside world did what a key stands for.
    pub(crate) outside: BTreeMap<u64, u32>,
    /// How often each task's handler ran.
    pub(crate) runs: BTreeMap<u64, u32>,
    pub(crate) next_id: u64,
    /// Of 1,000 calls, how many go wrong.
    pub(crate) trouble: usize,
    /// Of 1,000 commands, before how many the process is killed.
    pub(crate) deadly: usize,
    /// The kinds of faults that occur, as bits.
    pub(crate) faults: usize,
    pub(crate) quiet: bool,
    pub(crate) steps: u64,
    pub(crate) checks: Checks,
    pub(crate) history: History,
}

impl World {
    /// Sets up the world of a seed.
    pub(crate) fn new(seed: u64, plan: Plan, kept: usize) -> Self {
        let mut random = Random::new(seed);
        let base = 1_790_000_000_000_000 + random.millis(0, 600_000).as_micros();
        let processes = (0..2 + random.below(3)).map(|_| Process::down()).collect();
        let mut world = Self {
            seed,
            plan,
            now: Moment::default(),
            queue: BTreeMap::new(),
            sequence: 0,
            store: Store::new(plan),
            base,
            off: 0,
            hangs_until: Moment::default(),
            processes,
            calls: BTreeMap::new(),
            next_call: 0,
            clients: BTreeSet::new(),
            parked: Vec::new(),
            outside: BTreeMap::new(),
            runs: BTreeMap::new(),
            next_id: 1,
            trouble: [0, 10, 40, 120][random.below(4)],
            deadly: [0, 1, 4][random.below(3)],
            faults: random.below(1 << 10),
            quiet: false,
            steps: 0,
            checks: Checks::default(),
            history: History::new(kept),
            random,
        };
        for process in 0..world.processes.len() {
            let after = world.random.millis(0, 2_000);
            world.at(after, Event::Boot(process));
        }
        for event in [Event::Produce, Event::Operator, Event::Fault] {
            world.at(Span::from_millis(500), event);
        }
        world
    }

    /// Plans something.
    pub(crate) fn at(&mut self, after: Span, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now.after(after), self.sequence), event);
    }

    /// Remembers that something happened.
    pub(crate) fn tell(&mut self, mark: Mark, about: [i64; 2], text: impl FnOnce() -> String) {
        self.history.tell(self.now, mark, about, text);
    }

    /// The store's clock.
    pub(crate) fn wall(&self) -> Timestamp {
        let elapsed = self.now.since(Moment::default()).as_micros();
        Timestamp::from_micros(self.base + elapsed + self.off)
    }

    /// Whether the process of a message is stopped; the message waits for it then.
    pub(crate) fn sleeps(&mut self, who: Who, event: Event) -> bool {
        let Some(process) = self.processes.get(who.process) else { return false };
        let sleeps = process.life == who.life && process.paused_until > self.now;
        if sleeps {
            let left = process.paused_until.since(self.now);
            self.at(left, event);
        }
        sleeps
    }

    /// Whether a life is still lived, and not asleep; an event for a sleeper waits.
    pub(crate) fn lives(&mut self, who: Who, event: Event) -> bool {
        self.processes.get(who.process).is_some_and(|process| process.life == who.life)
            && !self.sleeps(who, event)
    }

    /// Lets the next thing happen; `false` if nothing is going to happen any more.
    pub(crate) fn step(&mut self) -> bool {
        let Some(((now, _), event)) = self.queue.pop_first() else { return false };
        self.now = now;
        self.steps += u64::from(self.happen(&event));
        if std::mem::take(&mut self.store.woken) && !self.parked.is_empty() {
            self.spread_word();
        }
        self.check_tally();
        true
    }

    fn happen(&mut self, event: &Event) -> bool {
        let counts = match event {
            Event::Arrive(id) | Event::Answer(id) | Event::Timeout(id) => {
                self.calls.get(id).is_some_and(|call| !call.request.is_routine())
            }
            Event::Poll(_) | Event::Beat(..) | Event::Turn(_) | Event::Late(..) => false,
            _ => true,
        };
        match event.clone() {
            Event::Arrive(id) => self.arrive(id),
            Event::Late(id, more) => self.at(more, Event::Arrive(id)),
            Event::Answer(id) => self.answered(id),
            Event::Timeout(id) => self.timed_out(id),
            Event::Poll(id) => self.poll(id),
            Event::Wake => self.wake(),
            Event::Boot(process) => self.boot(process),
            Event::Resend(batch) => self.ask_for(batch),
            Event::Produce => self.produce(),
            Event::Operator => self.operate(),
            Event::Fault => self.fault(),
            Event::Beat(who, _)
            | Event::Turn(who)
            | Event::Register(who)
            | Event::Handler(who, _, _)
            | Event::Grace(who, _)
            | Event::Ended(who, _)
            | Event::Limit(who, _) => {
                if !self.lives(who, event.clone()) {
                    return false;
                }
                self.happen_to(who, event);
            }
        }
        counts
    }

    fn happen_to(&mut self, who: Who, event: &Event) {
        match *event {
            Event::Beat(_, timer) => self.beat(who, timer),
            Event::Turn(_) => self.turn(who),
            Event::Register(_) => self.register(who),
            Event::Handler(_, lease, phase) => self.go_on(who, lease, phase),
            Event::Grace(_, lease) => self.drop_handler(who, lease),
            Event::Ended(_, lease) => self.drive(who, vec![LoopEvent::Ended(lease)]),
            Event::Limit(_, lease) => self.limit_attempt(who, lease),
            _ => {}
        }
    }

    /// Tells waiting lease requests; the word may be lost, or come twice.
    fn spread_word(&mut self) {
        let (late, roll) = (self.random.millis(0, 4), self.random.below(10));
        if !self.quiet && roll == 0 {
            self.tell(Mark::WakeLost, [0, 0], || "nobody is told".to_owned());
            return;
        }
        if !self.quiet && roll == 1 {
            self.tell(Mark::WakeTwice, [0, 0], || "everybody is told twice".to_owned());
            self.at(late, Event::Wake);
        }
        self.at(late, Event::Wake);
    }
}
