//! The task store on SQLite: one writer that groups commits, readers beside it.

mod actor;
mod changes;
mod enqueue;
mod group;
mod lanes;
mod lease;
mod limits;
mod lists;
mod operate;
mod quota;
mod record;
mod schema;
mod search;
mod settle;
mod tally;
mod waiting;
mod workers;

use std::fmt;
use std::sync::{Arc, Mutex};

use actor::{Actor, QUEUE};
use database::{Db, DbError, Durability, Query, Tx};
use futures_util::future::BoxFuture;
use group::{Call, Work};
pub(crate) use lease::{STORED, STORED_COLUMNS, stored_task};
pub use schema::SCHEMA;
pub(crate) use schema::state;
pub(crate) use search::{attempts, rejections};
use tokio::sync::{mpsc, oneshot};
use values::{Clock, Span, TaskId, Timestamp};
pub(crate) use waiting::waiting;

use crate::handover::Orphans;
use crate::store::StoreFuture;
use crate::{
    Beat, Conservation, Enqueued, HeldTask, LeaseRequest, LeasedTask, NewTask, Progress,
    PruneLimits, QueueDepth, Reconciled, RejectionRow, RejectionSeen, Rescued, Settled, Settlement,
    StoreError, TaskDetail, TaskFilter, TaskState, TaskStore, TaskSummary, WaitingTask,
    WorkerRecord,
};

/// The task store in the domain database's SQLite file.
pub struct SqliteStore {
    db: Db,
    clock: Arc<dyn Clock>,
    calls: mpsc::Sender<Call>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

/// Gives a closure the shape of a [`Work`] and keeps what it returns.
fn work<T, F>(slot: &Arc<Mutex<Option<T>>>, write: F) -> Work
where
    T: Send + 'static,
    F: for<'t, 'c> FnOnce(&'t mut Tx<'c>, Timestamp) -> BoxFuture<'t, Result<T, DbError>>
        + Send
        + 'static,
{
    let slot = Arc::clone(slot);
    Box::new(move |tx, now| {
        let written = write(tx, now);
        Box::pin(async move {
            let value = written.await?;
            *slot.lock().expect("no one panics while holding it") = Some(value);
            Ok(())
        })
    })
}

impl SqliteStore {
    /// Opens the store in a database, migrating it first, and starts its writer.
    ///
    /// # Errors
    /// Those of the migration. Must be called inside a tokio runtime.
    pub async fn open(db: Db, clock: Arc<dyn Clock>) -> Result<Self, DbError> {
        schema::SCHEMA.migrate(&db, clock.now()).await?;
        Ok(Self::over(db, clock))
    }

    /// Opens the store in a database that was brought up to date before, and starts its writer.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn over(db: Db, clock: Arc<dyn Clock>) -> Self {
        let (calls, receiver) = mpsc::channel(QUEUE);
        let woken = calls.downgrade();
        let orphans = Orphans::new(move || {
            // With a full queue the writer is awake and looks by itself.
            if let Some(calls) = woken.upgrade() {
                calls.try_send(Call::Wake).ok();
            }
        });
        tokio::spawn(Actor::new(db.clone(), Arc::clone(&clock), receiver, orphans).run());
        Self { db, clock, calls }
    }

    async fn call<T>(
        &self,
        call: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Call,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.calls.send(call(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    fn write<T, F>(&self, durability: Durability, write: F) -> StoreFuture<'_, T>
    where
        T: Send + 'static,
        F: for<'t, 'c> FnOnce(&'t mut Tx<'c>, Timestamp) -> BoxFuture<'t, Result<T, DbError>>
            + Send
            + 'static,
    {
        let slot = Arc::new(Mutex::new(None));
        let work = work(&slot, write);
        Box::pin(async move {
            self.call(|reply| Call::Write(durability, work, reply)).await?;
            let value = slot.lock().expect("no one panics while holding it").take();
            value.ok_or(StoreError::Closed)
        })
    }
}

impl TaskStore for SqliteStore {
    fn enqueue(&self, batch: Vec<NewTask>) -> StoreFuture<'_, Vec<Enqueued>> {
        Box::pin(self.call(|reply| Call::Enqueue(batch, reply)))
    }

    fn enqueue_in<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        batch: Vec<NewTask>,
    ) -> StoreFuture<'a, Vec<Enqueued>> {
        Box::pin(async move {
            // The caller may still roll back, so nothing learnt here is kept.
            let mut lanes = lanes::Lanes::default();
            let (now, sizes) = (self.clock.now(), [batch.len()]);
            let answers = quota::enqueue_calls(tx, &mut lanes, now, &batch, &sizes, None).await?;
            answers.into_iter().next().unwrap_or(Ok(Vec::new()))
        })
    }

    fn wake(&self) {
        // With a full queue the writer is awake.
        self.calls.try_send(Call::Wake).ok();
    }

    fn flush(&self) -> StoreFuture<'_, ()> {
        // Other processes see that the file has changed.
        Box::pin(async { Ok(()) })
    }

    fn lease(&self, request: LeaseRequest) -> StoreFuture<'_, Vec<LeasedTask>> {
        Box::pin(async move { Ok(self.call(|reply| Call::Lease(request, reply)).await?.open()) })
    }

    fn start(&self, worker: i64, leases: Vec<(i64, i64)>) -> StoreFuture<'_, Vec<i64>> {
        Box::pin(self.call(move |reply| Call::Start(worker, leases, reply)))
    }

    fn settle(&self, batch: Vec<Settlement>) -> StoreFuture<'_, Vec<Settled>> {
        Box::pin(self.call(|reply| Call::Settle(batch, reply)))
    }

    fn progress(&self, batch: Vec<(i64, i64, Progress)>) -> StoreFuture<'_, ()> {
        self.write(Durability::Relaxed, |tx, _| {
            Box::pin(async move { record::progress(tx, &batch).await })
        })
    }

    fn register(&self, worker: WorkerRecord) -> StoreFuture<'_, i64> {
        self.write(Durability::Relaxed, |tx, now| {
            Box::pin(async move { workers::register(tx, now, &worker).await })
        })
    }

    fn heartbeat(&self, worker: i64) -> StoreFuture<'_, Beat> {
        self.write(Durability::Relaxed, move |tx, now| {
            Box::pin(workers::heartbeat(tx, now, worker))
        })
    }

    fn sign_off(&self, worker: i64) -> StoreFuture<'_, ()> {
        self.write(Durability::Full, move |tx, now| Box::pin(workers::sign_off(tx, now, worker)))
    }

    fn leases(&self, worker: i64) -> StoreFuture<'_, Vec<(i64, i64)>> {
        Box::pin(async move {
            let query =
                Query::new("SELECT seq, token FROM mw_task WHERE worker = $1 AND state = 2");
            let rows = self.db.all(query.bind(worker)).await?;
            let leases: Result<_, DbError> =
                rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect();
            Ok(leases?)
        })
    }

    fn beats(&self) -> StoreFuture<'_, Vec<(i64, i64)>> {
        Box::pin(async move {
            let query = Query::new("SELECT id, beat FROM mw_worker WHERE dead = 0 ORDER BY id");
            let rows = self.db.all(query).await?;
            let beats: Result<_, DbError> =
                rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect();
            Ok(beats?)
        })
    }

    fn rescue(&self, silent: Vec<(i64, i64)>) -> StoreFuture<'_, Rescued> {
        self.write(Durability::Full, |tx, now| {
            Box::pin(async move { workers::rescue(tx, now, &silent).await })
        })
    }

    fn review_held(
        &self,
        release: String,
        limit_since: Timestamp,
    ) -> StoreFuture<'_, Vec<HeldTask>> {
        self.write(Durability::Relaxed, move |tx, _| {
            Box::pin(async move { operate::review_held(tx, &release, limit_since).await })
        })
    }

    fn discard_held(&self, tasks: Vec<HeldTask>) -> StoreFuture<'_, u64> {
        self.write(Durability::Full, |tx, now| {
            Box::pin(async move { operate::discard_held(tx, now, &tasks).await })
        })
    }

    fn last_tick(&self, schedule: String, now: Timestamp) -> StoreFuture<'_, Timestamp> {
        self.write(Durability::Full, move |tx, _| {
            Box::pin(async move { record::last_tick(tx, now, &schedule).await })
        })
    }

    fn pause(&self, job: Option<String>) -> StoreFuture<'_, ()> {
        self.write(Durability::Full, |tx, now| {
            let job = job.unwrap_or_else(|| "*".to_owned());
            Box::pin(async move { operate::pause(tx, now, &job).await })
        })
    }

    fn resume(&self, job: Option<String>) -> StoreFuture<'_, bool> {
        self.write(Durability::Full, |tx, _| {
            let job = job.unwrap_or_else(|| "*".to_owned());
            Box::pin(async move { operate::resume(tx, &job).await })
        })
    }

    fn paused(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async move {
            let rows = self.db.all(Query::new("SELECT job FROM mw_pause ORDER BY job")).await?;
            let jobs: Result<_, DbError> = rows.iter().map(|row| row.get(0)).collect();
            Ok(jobs?)
        })
    }

    fn cancel(&self, task: TaskId) -> StoreFuture<'_, TaskState> {
        let done =
            self.write(Durability::Full, move |tx, now| Box::pin(operate::cancel(tx, now, task)));
        Box::pin(async move { done.await? })
    }

    fn retry(&self, task: TaskId) -> StoreFuture<'_, ()> {
        let done =
            self.write(Durability::Full, move |tx, now| Box::pin(operate::retry(tx, now, task)));
        Box::pin(async move { done.await? })
    }

    fn discard(&self, task: TaskId, reason: String) -> StoreFuture<'_, ()> {
        let done = self.write(Durability::Full, move |tx, now| {
            Box::pin(async move { operate::discard(tx, now, task, &reason).await })
        });
        Box::pin(async move { done.await? })
    }

    fn search(&self, filter: TaskFilter) -> StoreFuture<'_, Vec<TaskSummary>> {
        Box::pin(async move { Ok(search::search(&self.db, &filter).await?) })
    }

    fn get(&self, task: TaskId) -> StoreFuture<'_, TaskDetail> {
        Box::pin(search::get(&self.db, task))
    }

    fn waiting(&self, after_row: i64, limit: u32) -> StoreFuture<'_, Vec<WaitingTask>> {
        Box::pin(async move { Ok(waiting::waiting(&self.db, after_row, limit).await?) })
    }

    fn depths(&self) -> StoreFuture<'_, Vec<QueueDepth>> {
        Box::pin(async move { Ok(search::depths(&self.db).await?) })
    }

    fn record_rejection(&self, seen: RejectionSeen) -> StoreFuture<'_, bool> {
        self.write(Durability::Relaxed, |tx, now| {
            Box::pin(async move { record::record_rejection(tx, now, &seen).await })
        })
    }

    fn rejections(&self, limit: u32) -> StoreFuture<'_, Vec<RejectionRow>> {
        Box::pin(async move { Ok(search::rejections(&self.db, "rowid", limit).await?) })
    }

    fn prune(&self, limits: PruneLimits) -> StoreFuture<'_, u64> {
        self.write(Durability::Full, move |tx, now| Box::pin(record::prune(tx, now, limits)))
    }

    fn conservation(&self) -> StoreFuture<'_, Conservation> {
        Box::pin(async move { Ok(tally::conservation(&self.db).await?) })
    }

    fn reconcile(&self) -> StoreFuture<'_, Reconciled> {
        self.write(Durability::Full, |tx, now| Box::pin(tally::reconcile(tx, now)))
    }

    fn fold_tally(&self) -> StoreFuture<'_, u64> {
        // One writer, so there is one row per lane and nothing to add up.
        Box::pin(async { Ok(0) })
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move { Ok(self.db.check().await?) })
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn poll_interval(&self) -> Span {
        Span::from_std(actor::POLL)
    }
}
