//! The example of docs/adding_a_job.md, "Testing a job".

use scheduling::{EnqueueError, TaskOptions};
use testkit::{Asking, Cut, Workbench};

use crate::job_under_test::{
    AnnounceCrowd, CountViewers, VIEWER, contract, counts, register, stream,
};

pub(crate) async fn bench(viewers: usize) -> Workbench {
    let settings = "[jobs.\"streams/count_viewers\"]\nsettings = { crowd = 3 }";
    let bench = Workbench::new(&contract(), register, settings).await;
    VIEWER.migrate(&bench.db, "2026-11-01T00:00:00Z".parse().unwrap()).await.unwrap();
    for _ in 0..viewers {
        let query = database::Query::new("INSERT INTO viewer (stream_id) VALUES ($1)");
        bench.db.execute(query.bind(stream())).await.unwrap();
    }
    bench
}

#[tokio::test]
async fn counts_viewers_and_announces_a_crowd() {
    let bench = bench(3).await;
    let done = bench.run(&CountViewers { stream_id: stream() }).await.unwrap();
    assert_eq!(done.result, 3);
    let announced = AnnounceCrowd { stream_id: stream(), viewers: 3 };
    assert_eq!(done.follow_ups_of::<AnnounceCrowd>(), [announced]);
}

#[tokio::test]
async fn an_attempt_cut_off_and_repeated_leaves_what_an_undisturbed_one_leaves() {
    let bench = bench(2).await;
    let payload = CountViewers { stream_id: stream() };
    assert!(bench.attempt(&payload, Cut::DiesAt(1)).await.is_none());
    let cancelled = bench.attempt(&payload, Cut::CancelledAt(1)).await.unwrap();
    assert_eq!(cancelled.unwrap_err().to_string(), "cancelled");
    // This one comes to its end and dies before it settles.
    drop(bench.attempt(&payload, Cut::Never).await.unwrap().unwrap());
    assert!(counts(&bench).await.is_empty());
    for _ in 0..2 {
        bench.run(&payload).await.unwrap();
        assert_eq!(counts(&bench).await, [2]);
    }
}

#[tokio::test]
async fn a_task_is_there_if_and_only_if_the_transaction_commits() {
    let allowed = "[sources.api]\njobs = [\"streams/count_viewers\"]";
    let asking = Asking::new(&contract(), "api", allowed).await;
    let payload = CountViewers { stream_id: stream() };
    for commits in [false, true] {
        let mut work = asking.db.begin().await.unwrap();
        let options = TaskOptions::default();
        let stored = asking.producer.enqueue_in(&mut work.tx(), &payload, options).await;
        asking.inbox.assert_nothing_enqueued().await;
        if commits {
            work.commit().await.unwrap();
            stored.unwrap().wake();
        } else {
            work.rollback().await.unwrap();
        }
    }
    asking.inbox.assert_enqueued(&payload).await;
    assert_eq!(asking.inbox.enqueued::<CountViewers>().await.len(), 1);
}

#[tokio::test]
async fn what_is_not_on_the_allow_list_is_refused() {
    let asking = Asking::new(&contract(), "api", "").await;
    let payload = CountViewers { stream_id: stream() };
    let refused = asking.producer.enqueue(&payload, TaskOptions::default()).await;
    let Err(EnqueueError::Rejected(rejection)) = refused else { panic!("{refused:?}") };
    assert_eq!(rejection.code.as_str(), "source_not_allowed");
    asking.inbox.assert_nothing_enqueued().await;
}
