//! The trait that every engine implements.

use std::fmt;

use database::Tx;
use futures_util::future::BoxFuture;
use values::{Span, TaskId, Timestamp};

use crate::{
    Conservation, Enqueued, HeldTask, LeaseRequest, LeasedTask, NewTask, Progress, QueueDepth,
    Reconciled, RejectionRow, RejectionSeen, Settled, Settlement, StoreError, TaskDetail,
    TaskFilter, TaskSummary, WaitingTask, WorkerRecord,
};

/// A future of the store.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The worker was declared dead; everything it holds belongs to others now.
    pub dead: bool,
    /// Rows of this worker that are to be cancelled.
    pub cancel: Vec<i64>,
}

/// What a rescue did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rescued {
    /// Workers declared dead.
    pub workers: u64,
    /// Tasks that run again.
    pub returned: u64,
    /// Tasks out of attempts, now dead letters.
    pub discarded: Vec<(TaskId, String)>,
}

/// How long finished tasks are kept.
#[derive(Debug, Clone, Copy)]
pub struct PruneLimits {
    /// Completed and cancelled ones that ended before this go.
    pub completed_before: Timestamp,
    /// Discarded ones that ended before this go.
    pub discarded_before: Timestamp,
    /// At most so many per call.
    pub limit: u32,
}

impl PruneLimits {
    /// How long a tick is kept after its time, however short the retention: no worker sleeps that
    /// long and then asks for it again.
    const TICKS: Span = Span::from_days(90);

    /// Ticks from before this are not needed, but for the latest of each schedule.
    pub(crate) fn ticks_before(&self, now: Timestamp) -> Timestamp {
        now.before(Self::TICKS).min(self.completed_before).min(self.discarded_before)
    }
}

/// Holds tasks from enqueueing to beyond their end. Batches in, batches out.
///
/// Every call may be repeated after an error without harm: enqueueing is idempotent by task id and
/// settling is fenced by the lease's token.
pub trait TaskStore: fmt::Debug + Send + Sync {
    /// Stores tasks; one answer per task, in order.
    ///
    /// With more new tasks than [`NewTask::max_waiting`] leaves room for, nothing of the call is
    /// stored and [`StoreError::QuotaExceeded`] is returned; other calls are not touched by it. What
    /// is enqueued at the same moment may exceed the limit on an engine with several writers.
    fn enqueue(&self, batch: Vec<NewTask>) -> StoreFuture<'_, Vec<Enqueued>>;

    /// Stores tasks inside the caller's transaction; call [`TaskStore::wake`] after its commit.
    ///
    /// What is refused leaves the transaction as it was, so that the caller may go on with it.
    fn enqueue_in<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        batch: Vec<NewTask>,
    ) -> StoreFuture<'a, Vec<Enqueued>>;

    /// Tells workers of this process that there may be work.
    fn wake(&self);

    /// Waits until other processes were told of what this one has stored, for about a second at
    /// most; whoever ends without it leaves that to their polling.
    fn flush(&self) -> StoreFuture<'_, ()>;

    /// Leases tasks, highest priority first, oldest first within; waits for the first as asked.
    ///
    /// Dropping the future loses nothing: what was leased for it goes back uncounted.
    fn lease(&self, request: LeaseRequest) -> StoreFuture<'_, Vec<LeasedTask>>;

    /// Counts an attempt for each held task (row and token); returns the rows that are still ours.
    fn start(&self, worker: i64, leases: Vec<(i64, i64)>) -> StoreFuture<'_, Vec<i64>>;

    /// Ends leases; one answer per settlement, in order.
    ///
    /// A final write step that fails, panics or takes longer than 10 s is undone with its
    /// follow-ups, and its lease goes on; the rest of the batch is stored. Follow-ups beyond
    /// [`NewTask::max_waiting`] fail it as transient; the task that ends makes room for one.
    fn settle(&self, batch: Vec<Settlement>) -> StoreFuture<'_, Vec<Settled>>;

    /// Stores how far running tasks have come.
    fn progress(&self, batch: Vec<(i64, i64, Progress)>) -> StoreFuture<'_, ()>;

    /// Registers a worker and returns its number.
    fn register(&self, worker: WorkerRecord) -> StoreFuture<'_, i64>;

    /// Says that the worker lives.
    fn heartbeat(&self, worker: i64) -> StoreFuture<'_, Beat>;

    /// What a worker has leased, by row and token.
    fn leases(&self, worker: i64) -> StoreFuture<'_, Vec<(i64, i64)>>;

    /// Signs a worker off; what it still holds goes back.
    fn sign_off(&self, worker: i64) -> StoreFuture<'_, ()>;

    /// The heartbeat counters of all workers that are not dead, by number.
    fn beats(&self) -> StoreFuture<'_, Vec<(i64, i64)>>;

    /// Declares workers dead if their counter is still the one given; returns their tasks.
    fn rescue(&self, silent: Vec<(i64, i64)>) -> StoreFuture<'_, Rescued>;

    /// Held tasks: those held by another release than `release` become available again; those held
    /// since before `limit_since` are returned to be discarded.
    fn review_held(
        &self,
        release: String,
        limit_since: Timestamp,
    ) -> StoreFuture<'_, Vec<HeldTask>>;

    /// Discards held tasks whose limit has passed, each with its code.
    fn discard_held(&self, tasks: Vec<HeldTask>) -> StoreFuture<'_, u64>;

    /// The latest instant a schedule was ticked for; the first call stores `now` as the beginning.
    fn last_tick(&self, schedule: String, now: Timestamp) -> StoreFuture<'_, Timestamp>;

    /// Stops a job from being leased; all jobs for `None`.
    fn pause(&self, job: Option<String>) -> StoreFuture<'_, ()>;

    /// Ends a pause; returns whether there was one.
    fn resume(&self, job: Option<String>) -> StoreFuture<'_, bool>;

    /// The paused jobs; `*` stands for all.
    fn paused(&self) -> StoreFuture<'_, Vec<String>>;

    /// Cancels a waiting task at once, asks a running one to stop; says which it was.
    fn cancel(&self, task: TaskId) -> StoreFuture<'_, crate::TaskState>;

    /// Makes a scheduled or ended task available now, with at least one more attempt.
    ///
    /// Refused while another task that waits or runs has its unique key.
    fn retry(&self, task: TaskId) -> StoreFuture<'_, ()>;

    /// Moves a waiting task to the dead letters.
    fn discard(&self, task: TaskId, reason: String) -> StoreFuture<'_, ()>;

    /// Lists tasks, newest first.
    fn search(&self, filter: TaskFilter) -> StoreFuture<'_, Vec<TaskSummary>>;

    /// Everything about one task.
    fn get(&self, task: TaskId) -> StoreFuture<'_, TaskDetail>;

    /// Reads tasks that wait, held ones included, by row from after `after_row`; at most `limit`.
    fn waiting(&self, after_row: i64, limit: u32) -> StoreFuture<'_, Vec<WaitingTask>>;

    /// Counts waiting and running tasks per job, source and state.
    fn depths(&self) -> StoreFuture<'_, Vec<QueueDepth>>;

    /// Keeps a rejection; `true` if it is the first of its code, source and job.
    fn record_rejection(&self, seen: RejectionSeen) -> StoreFuture<'_, bool>;

    /// The kept rejections, latest first.
    fn rejections(&self, limit: u32) -> StoreFuture<'_, Vec<RejectionRow>>;

    /// Deletes finished tasks beyond retention; returns how many.
    fn prune(&self, limits: PruneLimits) -> StoreFuture<'_, u64>;

    /// Compares the rows with what was counted when tasks came and went, all at one moment.
    ///
    /// It reads beside the writers and takes time in proportion to the number of tasks.
    fn conservation(&self) -> StoreFuture<'_, Conservation>;

    /// Makes the books right again after an operator has looked at what vanished: tasks without a
    /// row, or in no known state, become dead letters, tasks go back to their lane, rows that are too
    /// many go, and counts become what rows say.
    ///
    /// A bounded number of tasks per call; call it until nothing changes.
    fn reconcile(&self) -> StoreFuture<'_, Reconciled>;

    /// Adds up counts where the engine keeps them in pieces; returns how many pieces it took.
    ///
    /// A bounded number per call, harmless to repeat and beside other workers' calls.
    fn fold_tally(&self) -> StoreFuture<'_, u64>;

    /// Tells whether the store answers.
    fn check(&self) -> StoreFuture<'_, ()>;

    /// The store's clock.
    fn now(&self) -> Timestamp;

    /// The longest time until a task enqueued by another process is noticed.
    fn poll_interval(&self) -> Span;
}

/// Random bytes of the operating system.
///
/// # Panics
/// If the operating system has none, which ends every cryptographic program.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system supplies random bytes");
    bytes
}
