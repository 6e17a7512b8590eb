//! What the helpers say when a test is right to fail.

use database::EngineKind;
use scheduling::TaskOptions;
use testkit::{Asking, Cut, Workbench};

use crate::count_viewers::bench;
use crate::job_under_test::{AnnounceCrowd, CountViewers, contract, register, stream};

#[test]
fn the_documented_examples_are_these() {
    const TEST: &str = include_str!("count_viewers.rs");
    const DOC: &str = include_str!("../../../../docs/adding_a_job.md");
    let (_, section) = DOC.split_once("## Testing a job\n").expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or(section);
    let blocks: Vec<&str> = section.split("```rust,ignore\n").skip(1).collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        let (code, _) = block.split_once("```").expect("the block ends");
        assert!(TEST.contains(code), "not in count_viewers.rs:\n{code}");
    }
}

async fn what_is_asked_for_in_a_transaction_of_either_engine_is_seen(engine: EngineKind) {
    let allowed = "[sources.api]\njobs = [\"*\"]";
    let asking = Asking::on(engine, &contract(), "api", allowed).await;
    let payload = CountViewers { stream_id: stream() };
    for expected in [0, 1] {
        let mut work = asking.db.begin().await.unwrap();
        let options = TaskOptions::default();
        let stored = asking.producer.enqueue_in(&mut work.tx(), &payload, options).await.unwrap();
        if expected == 1 {
            work.commit().await.unwrap();
            stored.wake();
        } else {
            work.rollback().await.unwrap();
        }
        assert_eq!(asking.inbox.enqueued::<CountViewers>().await.len(), expected);
    }
}

testkit::on_each_engine!(what_is_asked_for_in_a_transaction_of_either_engine_is_seen);

async fn asked() -> Asking {
    let asking = Asking::new(&contract(), "api", "[sources.api]\njobs = [\"*\"]").await;
    let payload = CountViewers { stream_id: stream() };
    asking.producer.enqueue(&payload, TaskOptions::default()).await.unwrap();
    asking
}

#[tokio::test]
#[should_panic(expected = "expected no task, found [\"streams/count_viewers {")]
async fn a_task_that_should_not_be_there_is_shown() {
    asked().await.inbox.assert_nothing_enqueued().await;
}

#[tokio::test]
#[should_panic(expected = "expected a task of streams/announce_crowd with AnnounceCrowd {")]
async fn a_task_that_should_be_there_is_missed() {
    let expected = AnnounceCrowd { stream_id: stream(), viewers: 3 };
    asked().await.inbox.assert_enqueued(&expected).await;
}

#[tokio::test]
#[should_panic(expected = "unknown field `viewers`, expected `crowd`")]
async fn a_misspelt_setting_is_shown() {
    let settings = "[jobs.\"streams/count_viewers\"]\nsettings = { viewers = 3 }";
    Workbench::new(&contract(), register, settings).await;
}

#[tokio::test]
async fn what_follows_is_worked_off() {
    let counts = bench(3).await.run_all(&CountViewers { stream_id: stream() }).await.unwrap();
    let expected = [("streams/announce_crowd", 1), ("streams/count_viewers", 1)];
    assert_eq!(counts, expected.map(|(job, count)| (job.to_owned(), count)).into());
}

#[tokio::test]
async fn a_final_write_that_fails_stores_nothing() {
    let bench = bench(2).await;
    let payload = CountViewers { stream_id: stream() };
    let outcome = bench.attempt(&payload, Cut::Never).await.unwrap().unwrap();
    bench.db.execute(database::Query::new("DROP TABLE viewer_count")).await.unwrap();
    bench.settle(outcome).await.unwrap_err();
}
