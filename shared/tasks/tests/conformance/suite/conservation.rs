//! Counts kept apart from the rows prove that nothing has vanished.

use database::Query;
use tasks::{Conservation, Counts, PruneLimits, Reconciled, Settle, TaskState};
use values::{Span, TaskId};

use crate::world::{JOBS, World, completed};

async fn conservation(world: &World) -> Conservation {
    world.store.conservation().await.unwrap()
}

/// Adds up the counts of all lanes.
async fn counts(world: &World) -> Counts {
    let found = conservation(world).await;
    assert!(found.holds(), "{found:#?}");
    found.lanes.iter().fold(Counts::default(), |sum, lane| Counts {
        entered: sum.entered + lane.counts.entered,
        ended: sum.ended + lane.counts.ended,
        revived: sum.revived + lane.counts.revived,
        pruned: sum.pruned + lane.counts.pruned,
    })
}

/// Deletes behind the store's back.
async fn delete(world: &World, table: &str, task: TaskId) {
    let row = world.summary(task).await.row;
    let query = Query::built(format!("DELETE FROM {table} WHERE seq = {row}"));
    assert_eq!(world.db.execute(query).await.unwrap(), 1);
}

async fn ended(world: &World, settle: Settle) -> TaskId {
    let worker = world.worker().await;
    let id = world.add(JOBS[0]).await;
    let lease = world.lease_one(worker).await;
    assert_eq!(lease.task.task_id, id);
    world.end(&lease, settle).await;
    id
}

pub(crate) async fn counts_each_way_a_task_goes(world: &World) {
    assert_eq!(counts(world).await, Counts::default());
    let first = ended(world, completed()).await;
    let discarded = ended(world, Settle::Discard).await;
    ended(world, Settle::Cancel).await;
    let again = world.task(JOBS[1]);
    world.put(again.clone()).await;
    assert!(world.put(again.clone()).await.existing);
    let expected = Counts { entered: 4, ended: 3, revived: 0, pruned: 0 };
    assert_eq!(counts(world).await, expected, "a repeat is not counted");
    world.store.retry(discarded).await.unwrap();
    world.store.cancel(again.stamp.task_id).await.unwrap();
    let expected = Counts { entered: 4, ended: 4, revived: 1, pruned: 0 };
    assert_eq!(counts(world).await, expected);
    world.store.discard(discarded, "by hand".to_owned()).await.unwrap();
    world.clock.advance(Span::from_days(1));
    let now = world.now();
    let limits = PruneLimits { completed_before: now, discarded_before: now, limit: 100 };
    assert_eq!(world.store.prune(limits).await.unwrap(), 4);
    let expected = Counts { entered: 4, ended: 5, revived: 1, pruned: 4 };
    assert_eq!(counts(world).await, expected);
    assert!(world.store.get(first).await.is_err());
    // The ids of pruned tasks are forgotten when their proofs have run out.
    world.clock.advance(Span::from_days(60));
    world.store.prune(limits).await.unwrap();
    assert_eq!(counts(world).await, expected);
}

pub(crate) async fn counts_what_dead_workers_leave(world: &World) {
    let worker = world.worker().await;
    let mut task = world.task(JOBS[0]);
    task.stamp.max_attempts = 1;
    world.put(task).await;
    world.add(JOBS[0]).await;
    assert_eq!(world.lease(worker).await.len(), 2);
    let rescued = world.store.rescue(vec![(worker, 0)]).await.unwrap();
    assert_eq!((rescued.discarded.len(), rescued.returned), (1, 1));
    let expected = Counts { entered: 2, ended: 1, revived: 0, pruned: 0 };
    assert_eq!(counts(world).await, expected);
}

pub(crate) async fn is_the_same_in_pieces_and_added_up(world: &World) {
    for _ in 0..3 {
        ended(world, completed()).await;
    }
    let before = counts(world).await;
    world.store.fold_tally().await.unwrap();
    assert_eq!(counts(world).await, before);
    world.store.fold_tally().await.unwrap();
    assert_eq!(counts(world).await, before);
    ended(world, completed()).await;
    assert_eq!(counts(world).await.entered, before.entered + 1);
}

pub(crate) async fn names_a_waiting_task_whose_row_was_deleted(world: &World) {
    world.add(JOBS[0]).await;
    let lost = world.add(JOBS[1]).await;
    delete(world, "mw_task", lost).await;
    let found = conservation(world).await;
    assert!(!found.holds());
    let broken: Vec<_> = found.broken().collect();
    assert_eq!((broken.len(), broken[0].job_name.as_str()), (1, JOBS[1]));
    assert_eq!((broken[0].missing_live(), broken[0].missing_finished()), (1, 0));
    assert_eq!((found.without_row, found.without_envelope), (1, 0));
    let named = &found.lost[0];
    assert_eq!((named.task_id, named.job_name.as_str()), (lost, JOBS[1]));
    assert_eq!(named.source, "api");

    let reconciled = world.store.reconcile().await.unwrap();
    assert_eq!((reconciled.discarded, reconciled.removed), (1, 0));
    let summary = world.summary(lost).await;
    assert_eq!(summary.state, TaskState::Discarded);
    assert!(summary.error.unwrap().contains("vanished"));
    counts(world).await;
    assert_eq!(world.store.reconcile().await.unwrap(), Reconciled::default());
    world.store.retry(lost).await.unwrap();
    let worker = world.worker().await;
    assert_eq!(world.lease(worker).await.len(), 2);
    counts(world).await;
}

pub(crate) async fn names_an_ended_task_whose_row_was_deleted(world: &World) {
    let lost = ended(world, completed()).await;
    delete(world, "mw_finished", lost).await;
    let found = conservation(world).await;
    let broken: Vec<_> = found.broken().collect();
    assert_eq!((broken[0].missing_live(), broken[0].missing_finished()), (0, 1));
    assert_eq!(found.lost[0].task_id, lost);
    assert_eq!(world.store.reconcile().await.unwrap().discarded, 1);
    counts(world).await;
}

pub(crate) async fn misses_a_task_that_vanished_with_its_envelope(world: &World) {
    let lost = world.add(JOBS[0]).await;
    let row = world.summary(lost).await.row;
    for table in ["mw_task", "mw_envelope"] {
        let query = Query::built(format!("DELETE FROM {table} WHERE seq = {row}"));
        assert_eq!(world.db.execute(query).await.unwrap(), 1);
    }
    let found = conservation(world).await;
    assert_eq!(found.broken().map(tasks::LaneCount::missing_live).collect::<Vec<_>>(), [1]);
    assert_eq!((found.without_row, found.without_envelope), (0, 0));
    let reconciled = world.store.reconcile().await.unwrap();
    assert_eq!(reconciled, Reconciled { lanes: 1, ..Reconciled::default() });
    counts(world).await;
}

pub(crate) async fn finds_rows_that_are_there_twice_or_where_nobody_looks(world: &World) {
    let rows = async |set: &str, task: TaskId| {
        let row = world.summary(task).await.row;
        let query = Query::built(format!("UPDATE mw_task SET {set} WHERE seq = {row}"));
        assert_eq!(world.db.execute(query).await.unwrap(), 1);
    };
    let (twin, strayed, damaged) =
        (world.add(JOBS[0]).await, world.add(JOBS[0]).await, world.add(JOBS[1]).await);
    rows("lane = lane + 1", strayed).await;
    rows("state = 77", damaged).await;
    let query = Query::built(format!(
        "INSERT INTO mw_finished (seq, lane, state, priority, run_at, attempt, max_attempts,
           finished_at) SELECT seq, lane, 3, priority, run_at, 1, 1, run_at FROM mw_task
          WHERE seq = {}",
        world.summary(twin).await.row
    ));
    assert_eq!(world.db.execute(query).await.unwrap(), 1);
    let found = conservation(world).await;
    assert_eq!((found.twice, found.misplaced, found.without_envelope), (1, 2, 0), "{found:#?}");
    assert!(!found.holds());

    let done = world.store.reconcile().await.unwrap();
    assert_eq!((done.removed, done.moved, done.discarded), (1, 1, 1));
    counts(world).await;
    assert_eq!(world.store.reconcile().await.unwrap(), Reconciled::default());
    assert_eq!(world.summary(twin).await.state, TaskState::Completed);
    assert_eq!(world.summary(damaged).await.state, TaskState::Discarded);
    let worker = world.worker().await;
    assert_eq!(world.lease_one(worker).await.task.task_id, strayed);
}

pub(crate) async fn finds_rows_without_an_envelope(world: &World) {
    let (live, finished) = (world.in_future(Span::from_days(1)), ended(world, completed()).await);
    let live = world.put(live).await.task_id;
    for task in [live, finished] {
        delete(world, "mw_envelope", task).await;
    }
    let found = conservation(world).await;
    assert_eq!((found.without_row, found.without_envelope), (0, 2));
    assert!(!found.holds());
    assert_eq!(found.broken().count(), 0, "the rows themselves are all there");
    assert_eq!(world.store.reconcile().await.unwrap().removed, 2);
    counts(world).await;
}
