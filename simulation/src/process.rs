//! A worker process: the step functions of the real one, and what its shell keeps beside them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use values::{Span, Timestamp};
use work_loop::{Core, Lease, Moment, Pulse, Settings, Stop, Ticked, Watch};

use crate::releases::Release;
use crate::script::Script;
use crate::store::{Granted, Settle};

/// One life of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) process: usize,
    pub(crate) life: u32,
}

impl Who {
    /// Whoever asks for work from outside; never dies.
    pub(crate) const CLIENT: Self = Self { process: usize::MAX, life: 0 };
}

/// A lease the shell knows of.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) granted: Granted,
    pub(crate) script: Script,
    /// The next action of the script.
    pub(crate) at: usize,
    /// Raised with each step of the handler, so that late answers are known as such.
    pub(crate) phase: u32,
    /// Its attempt has begun, is about to, or was refused.
    pub(crate) begun: bool,
    pub(crate) running: bool,
    /// Given back although its handler may still run.
    pub(crate) abandoned: bool,
    pub(crate) stopped: Option<Stop>,
    pub(crate) ended: Option<Settle>,
}

impl Known {
    pub(crate) fn new(granted: Granted) -> Self {
        Self {
            granted,
            script: Script::default(),
            at: 0,
            phase: 0,
            begun: false,
            running: false,
            abandoned: false,
            stopped: None,
            ended: None,
        }
    }
}

/// A place for a worker process, and the life it has now.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says that something is under way")]
pub(crate) struct Process {
    pub(crate) life: u32,
    pub(crate) up: bool,
    pub(crate) release: usize,
    pub(crate) paused_until: Moment,
    /// Its calls go nowhere until then.
    pub(crate) cut_until: Moment,
    /// How far its wall clock is off, in microseconds.
    pub(crate) wall: i64,
    pub(crate) core: Core,
    pub(crate) pulse: Pulse,
    pub(crate) told_lost: bool,
    pub(crate) beat_call: Option<u64>,
    pub(crate) beat_timer: u32,
    pub(crate) watch: Watch,
    pub(crate) ticked: Ticked,
    /// Its number in the store; 0 until it is registered.
    pub(crate) number: i64,
    pub(crate) known: BTreeMap<Lease, Known>,
    /// Calls whose answer it waits for.
    pub(crate) waiting: BTreeSet<u64>,
    pub(crate) requests: u64,
    pub(crate) unanswered: Vec<u64>,
    pub(crate) lease_call: Option<u64>,
    pub(crate) looking: bool,
    pub(crate) reviewing: bool,
    pub(crate) review_at: Moment,
    pub(crate) ticking: bool,
    pub(crate) due: VecDeque<(usize, Timestamp)>,
    pub(crate) schedules_at: Moment,
    pub(crate) next_tick: Option<Timestamp>,
    /// When the store last took a heartbeat of it.
    pub(crate) reached: Moment,
}

impl Process {
    /// A process that is down.
    pub(crate) fn down() -> Self {
        let settings =
            Settings { concurrency: 1, prefetch: 0, drain_timeout: Span::ZERO, until_empty: false };
        Self {
            life: 0,
            up: false,
            release: 0,
            paused_until: Moment::default(),
            cut_until: Moment::default(),
            wall: 0,
            core: Core::new(settings),
            pulse: Pulse::new(Moment::default()),
            told_lost: false,
            beat_call: None,
            beat_timer: 0,
            watch: Watch::default(),
            ticked: Ticked::default(),
            number: 0,
            known: BTreeMap::new(),
            waiting: BTreeSet::new(),
            requests: 0,
            unanswered: Vec::new(),
            lease_call: None,
            looking: false,
            reviewing: false,
            review_at: Moment::default(),
            ticking: false,
            due: VecDeque::new(),
            schedules_at: Moment::default(),
            next_tick: None,
            reached: Moment::default(),
        }
    }

    /// Begins another life; clock and network stay as they are.
    pub(crate) fn start(&mut self, release: usize, rules: &Release) {
        let worker = &rules.manifest.worker;
        let settings = Settings {
            concurrency: usize::try_from(worker.concurrency).unwrap_or(1),
            prefetch: usize::try_from(worker.prefetch).unwrap_or(0),
            drain_timeout: worker.drain_timeout,
            until_empty: false,
        };
        *self = Self {
            life: self.life + 1,
            up: true,
            release,
            cut_until: self.cut_until,
            wall: self.wall,
            core: Core::new(settings),
            ..Self::down()
        };
    }

    /// Ends this life at once.
    pub(crate) fn kill(&mut self) {
        self.up = false;
        self.life += 1;
        self.known.clear();
        self.waiting.clear();
    }
}
