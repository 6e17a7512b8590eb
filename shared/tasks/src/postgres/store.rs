//! The trait, each call to whom it belongs.

use database::{DbError, Durability, Query, Tx};
use values::{Span, TaskId, Timestamp};

use super::enqueue::is_guarded;
use super::group::Call;
use super::settle::is_slow;
use super::wake::News;
use super::{PostgresStore, leaser, operate, quota, record, search, tally, workers};
use crate::store::StoreFuture;
use crate::{
    Beat, Conservation, Enqueued, HeldTask, LeaseRequest, LeasedTask, NewTask, Progress,
    PruneLimits, QueueDepth, Reconciled, RejectionRow, RejectionSeen, Rescued, Settled, Settlement,
    TaskDetail, TaskFilter, TaskState, TaskStore, TaskSummary, WaitingTask, WorkerRecord,
};

impl TaskStore for PostgresStore {
    fn enqueue(&self, batch: Vec<NewTask>) -> StoreFuture<'_, Vec<Enqueued>> {
        Box::pin(async move {
            if batch.is_empty() {
                return Ok(Vec::new());
            }
            let slow = batch.iter().any(|task| is_guarded(task) || task.max_waiting.is_some());
            let writer = if slow { &self.slow } else { &self.quick };
            self.call(writer, |reply| Call::Enqueue(batch, reply)).await
        })
    }

    fn enqueue_in<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        batch: Vec<NewTask>,
    ) -> StoreFuture<'a, Vec<Enqueued>> {
        Box::pin(async move {
            let lanes = self.shared.lanes.numbers(&batch).await?;
            let (now, sizes) = (self.shared.clock.now(), [batch.len()]);
            let answers = quota::enqueue_calls(tx, now, (&batch, &lanes), &sizes, None).await?;
            answers.into_iter().next().unwrap_or(Ok(Vec::new()))
        })
    }

    fn wake(&self) {
        self.shared.bell.ring(&News { tasks: true, back: true, room: false });
        self.shared.bell.tell();
    }

    fn flush(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.shared.bell.all_told().await;
            Ok(())
        })
    }

    fn lease(&self, request: LeaseRequest) -> StoreFuture<'_, Vec<LeasedTask>> {
        Box::pin(async move {
            self.wire.listen();
            let leased = self.call(&self.leases, |reply| leaser::Call::Lease(request, reply));
            Ok(leased.await?.open())
        })
    }

    fn start(&self, worker: i64, leases: Vec<(i64, i64)>) -> StoreFuture<'_, Vec<i64>> {
        Box::pin(self.call(&self.quick, move |reply| Call::Start(worker, leases, reply)))
    }

    fn settle(&self, batch: Vec<Settlement>) -> StoreFuture<'_, Vec<Settled>> {
        Box::pin(async move {
            if batch.is_empty() {
                return Ok(Vec::new());
            }
            let writer = if batch.iter().any(is_slow) { &self.slow } else { &self.quick };
            self.call(writer, |reply| Call::Settle(batch, reply)).await
        })
    }

    fn progress(&self, batch: Vec<(i64, i64, Progress)>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.write(Durability::Relaxed, |tx, _| {
                let batch = batch.clone();
                Box::pin(async move { record::progress(tx, &batch).await })
            })
            .await
        })
    }

    fn register(&self, worker: WorkerRecord) -> StoreFuture<'_, i64> {
        Box::pin(async move {
            self.write(Durability::Full, |tx, now| {
                let worker = worker.clone();
                Box::pin(async move { workers::register(tx, now, &worker).await })
            })
            .await
        })
    }

    fn heartbeat(&self, worker: i64) -> StoreFuture<'_, Beat> {
        Box::pin(self.write(Durability::Relaxed, move |tx, now| {
            Box::pin(workers::heartbeat(tx, now, worker))
        }))
    }

    fn sign_off(&self, worker: i64) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            // What cannot be undone goes back all the same, counted as begun.
            self.call(&self.leases, leaser::Call::Undo).await.ok();
            self.write(Durability::Full, move |tx, now| {
                Box::pin(workers::sign_off(tx, now, worker))
            })
            .await?;
            self.came_back();
            Ok(())
        })
    }

    fn leases(&self, worker: i64) -> StoreFuture<'_, Vec<(i64, i64)>> {
        Box::pin(async move {
            let query =
                Query::new("SELECT seq, token FROM mw_task WHERE worker = $1 AND state = 2");
            let rows = self.shared.db.all(query.bind(worker)).await?;
            let leases: Result<_, DbError> =
                rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect();
            Ok(leases?)
        })
    }

    fn beats(&self) -> StoreFuture<'_, Vec<(i64, i64)>> {
        Box::pin(async move {
            let query = Query::new("SELECT id, beat FROM mw_worker WHERE dead = 0 ORDER BY id");
            let rows = self.shared.db.all(query).await?;
            let beats: Result<_, DbError> =
                rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect();
            Ok(beats?)
        })
    }

    fn rescue(&self, silent: Vec<(i64, i64)>) -> StoreFuture<'_, Rescued> {
        Box::pin(async move {
            let write = self.write(Durability::Full, |tx, now| {
                let silent = silent.clone();
                Box::pin(async move { workers::rescue(tx, now, &silent).await })
            });
            let rescued = write.await?;
            if rescued.workers > 0 {
                self.came_back();
            }
            Ok(rescued)
        })
    }

    fn review_held(
        &self,
        release: String,
        limit_since: Timestamp,
    ) -> StoreFuture<'_, Vec<HeldTask>> {
        Box::pin(async move {
            let held = (release.clone(), limit_since);
            let offered = self.call(&self.leases, |reply| leaser::Call::Offer(held, reply)).await?;
            let write = self.write(Durability::Relaxed, |tx, _| {
                let release = release.clone();
                Box::pin(async move { operate::review_held(tx, &release, limit_since).await })
            });
            let (over, returned) = write.await?;
            if offered || returned {
                self.came_back();
            }
            Ok(over)
        })
    }

    fn discard_held(&self, tasks: Vec<HeldTask>) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            self.write(Durability::Full, |tx, now| {
                let tasks = tasks.clone();
                Box::pin(async move { operate::discard_held(tx, now, &tasks).await })
            })
            .await
        })
    }

    fn last_tick(&self, schedule: String, now: Timestamp) -> StoreFuture<'_, Timestamp> {
        Box::pin(async move {
            self.write(Durability::Full, |tx, _| {
                let schedule = schedule.clone();
                Box::pin(async move { record::last_tick(tx, now, &schedule).await })
            })
            .await
        })
    }

    fn pause(&self, job: Option<String>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.write(Durability::Full, |tx, now| {
                let job = job.clone().unwrap_or_else(|| "*".to_owned());
                Box::pin(async move { operate::pause(tx, now, &job).await })
            })
            .await
        })
    }

    fn resume(&self, job: Option<String>) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let write = self.write(Durability::Full, |tx, _| {
                let job = job.clone().unwrap_or_else(|| "*".to_owned());
                Box::pin(async move { operate::resume(tx, &job).await })
            });
            let was_paused = write.await?;
            self.came_back();
            Ok(was_paused)
        })
    }

    fn paused(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async move {
            let query = Query::new("SELECT job FROM mw_pause ORDER BY job COLLATE \"C\"");
            let rows = self.shared.db.all(query).await?;
            let jobs: Result<_, DbError> = rows.iter().map(|row| row.get(0)).collect();
            Ok(jobs?)
        })
    }

    fn cancel(&self, task: TaskId) -> StoreFuture<'_, TaskState> {
        Box::pin(async move {
            self.write(Durability::Full, move |tx, now| Box::pin(operate::cancel(tx, now, task)))
                .await?
        })
    }

    fn retry(&self, task: TaskId) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.write(Durability::Full, move |tx, now| Box::pin(operate::retry(tx, now, task)))
                .await??;
            self.came_back();
            Ok(())
        })
    }

    fn discard(&self, task: TaskId, reason: String) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.write(Durability::Full, |tx, now| {
                let reason = reason.clone();
                Box::pin(async move { operate::discard(tx, now, task, &reason).await })
            })
            .await?
        })
    }

    fn search(&self, filter: TaskFilter) -> StoreFuture<'_, Vec<TaskSummary>> {
        Box::pin(async move { Ok(search::search(&self.shared.db, self.now(), &filter).await?) })
    }

    fn get(&self, task: TaskId) -> StoreFuture<'_, TaskDetail> {
        Box::pin(search::get(&self.shared.db, self.now(), task))
    }

    fn waiting(&self, after_row: i64, limit: u32) -> StoreFuture<'_, Vec<WaitingTask>> {
        Box::pin(
            async move { Ok(crate::sqlite::waiting(&self.shared.db, after_row, limit).await?) },
        )
    }

    fn depths(&self) -> StoreFuture<'_, Vec<QueueDepth>> {
        Box::pin(async move { Ok(search::depths(&self.shared.db, self.now()).await?) })
    }

    fn record_rejection(&self, seen: RejectionSeen) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            self.write(Durability::Relaxed, |tx, now| {
                let seen = seen.clone();
                Box::pin(async move { record::record_rejection(tx, now, &seen).await })
            })
            .await
        })
    }

    fn rejections(&self, limit: u32) -> StoreFuture<'_, Vec<RejectionRow>> {
        Box::pin(async move { Ok(crate::sqlite::rejections(&self.shared.db, "id", limit).await?) })
    }

    fn prune(&self, limits: PruneLimits) -> StoreFuture<'_, u64> {
        Box::pin(
            self.write(Durability::Full, move |tx, now| Box::pin(record::prune(tx, now, limits))),
        )
    }

    fn conservation(&self) -> StoreFuture<'_, Conservation> {
        Box::pin(async move { Ok(tally::conservation(&self.shared.db).await?) })
    }

    fn reconcile(&self) -> StoreFuture<'_, Reconciled> {
        Box::pin(self.write(Durability::Full, |tx, now| Box::pin(tally::reconcile(tx, now))))
    }

    fn fold_tally(&self) -> StoreFuture<'_, u64> {
        Box::pin(self.write(Durability::Relaxed, |tx, _| Box::pin(tally::fold(tx))))
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move { Ok(self.shared.db.check().await?) })
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn poll_interval(&self) -> Span {
        Span::from_std(leaser::POLL)
    }
}
