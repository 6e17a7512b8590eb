//! What happened: hashed always, counted by kind, kept as text only when someone will read it.

use std::collections::VecDeque;

use work_loop::Moment;

use crate::random::mix;

macro_rules! marks {
    ($($name:ident),* $(,)?) => {
        /// Kinds of things that happen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mark { $(#[doc = concat!("`", stringify!($name), "` happened.")] $name),* }

        impl Mark {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

marks! {
    // What the work loop commands.
    Lease, LeaseAbove, Start, Run, Settle, GiveBack, StopCancelled, StopDraining, StopLost, Forget,
    Register, Exit,
    // What a worker does beside.
    WorkerLost, Silent, Ticked, SignedOff,
    // What the store did.
    Accepted, AcceptedAlready, KeyTaken, Leased, Held, Undone, Completed, Retried, Snoozed,
    Discarded, Rejected, Cancelled, PutOnHold, GivenBack, LeaseGone, WriteRefused, Rescued,
    RescuedLast, HeldTooLong, TickKnown,
    // What handlers do.
    EffectNew, EffectAsked, EffectAgain, EffectKnown, Panicked, TimedOut, FollowUp,
    // Faults.
    ErrorBefore, ErrorAfter, Delay, AnswerLost, RequestLost, WakeLost, WakeTwice, Kill,
    KillBetween, Pause, StoreHangs, StoreRestarts, CutOff, StoreClockAhead, StoreClockBack,
    WorkerClock, Deploy, Abort,
    // Operators.
    OperatorCancel, OperatorRetry, OperatorDiscard, JobPaused, JobResumed,
}

/// Everything that is remembered of one seed.
#[derive(Debug, Clone)]
pub struct History {
    hash: u64,
    counts: [u64; Mark::ALL.len()],
    /// The latest lines, at most so many.
    lines: VecDeque<String>,
    kept: usize,
}

impl History {
    /// Begins; the latest `kept` lines are kept as text.
    pub(crate) fn new(kept: usize) -> Self {
        Self { hash: 0, counts: [0; Mark::ALL.len()], lines: VecDeque::new(), kept }
    }

    /// Remembers that something happened.
    pub(crate) fn tell(
        &mut self,
        now: Moment,
        mark: Mark,
        about: [i64; 2],
        text: impl FnOnce() -> String,
    ) {
        self.counts[mark as usize] += 1;
        let micros = now.since(Moment::default()).as_micros();
        for number in [micros, mark as i64, about[0], about[1]] {
            self.hash = mix(self.hash.rotate_left(5) ^ number.cast_unsigned());
        }
        if self.kept > 0 {
            if self.lines.len() == self.kept {
                self.lines.pop_front();
            }
            let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000 / 1_000);
            self.lines.push_back(format!(
                "{seconds:>5}.{rest:03} s  {:<16} {}",
                format!("{mark:?}"),
                text()
            ));
        }
    }

    /// A number that two histories share only if the same things happened at the same times.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How often something happened.
    pub fn count(&self, mark: Mark) -> u64 {
        self.counts[mark as usize]
    }

    /// The latest lines, if they were kept.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}
