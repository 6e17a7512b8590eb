//! What the work loop is told and what it commands.

use values::{Span, Timestamp};

/// One lease: the row and its fencing token.
pub type Lease = (i64, i64);

/// What holds for the whole run.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Attempts at once.
    pub concurrency: usize,
    /// Tasks held ready beyond those that run.
    pub prefetch: usize,
    /// How long running attempts may take to end after a drain began.
    pub drain_timeout: Span,
    /// End when nothing is left that could run now.
    pub until_empty: bool,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The store answered a lease request.
    Leased(Vec<Taken>),
    /// The store did not answer a lease request.
    LeaseFailed,
    /// The store counted attempts for some of the held tasks it was asked for; the others are no
    /// longer ours.
    Started {
        /// Those of the command.
        asked: Vec<Lease>,
        /// Those that were counted.
        counted: Vec<Lease>,
    },
    /// The store did not answer a start; the leases still hold.
    StartFailed(Vec<Lease>),
    /// An attempt ended.
    Ended(Lease),
    /// The store took these settlements, or refused them because the lease was lost.
    Settled(Vec<Lease>),
    /// The store did not answer; the settlements are to be tried again.
    SettleFailed(Vec<Lease>),
    /// An operator asked to cancel these rows.
    CancelAsked(Vec<i64>),
    /// The worker was declared dead, or could not reach the store for too long.
    LeasesLost,
    /// The worker is registered again.
    Registered,
    /// Whether anything is left that could run now.
    Emptiness(bool),
    /// Stop taking tasks, end what runs.
    Drain,
    /// Stop at once, give everything back.
    Abort,
}

/// A leased task, as far as decisions need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Its lease.
    pub lease: Lease,
    /// Whether its attempt is counted already.
    pub started: bool,
    /// Its priority.
    pub priority: u8,
    /// Since when it could have run.
    pub run_at: Timestamp,
}

/// Why a running attempt is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// An operator cancelled the task.
    Cancelled,
    /// The worker ends; the task goes back.
    Draining,
    /// The lease belongs to others; nothing may be settled.
    LeaseLost,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ask the store for tasks; exactly one such request is under way at a time.
    Lease {
        /// Tasks to start at once.
        start: usize,
        /// Tasks to hold.
        hold: usize,
        /// Only above this priority.
        above: Option<u8>,
        /// How long to wait for a first one.
        wait: Span,
    },
    /// Count an attempt for held tasks.
    Start(Vec<Lease>),
    /// Run an attempt.
    Run(Lease),
    /// Settle an ended attempt.
    Settle(Vec<Lease>),
    /// Give held tasks back uncounted.
    GiveBack(Vec<Lease>),
    /// Stop a running attempt.
    Stop(Lease, Stop),
    /// Forget a lease without telling the store.
    Forget(Lease),
    /// Register as a new worker.
    Register,
    /// Find out whether anything is left that could run now.
    CheckEmpty,
    /// Everything is settled or given back; end.
    Exit,
}
