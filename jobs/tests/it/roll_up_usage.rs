//! `usage/roll_up_usage`: sums follow what changed, whatever was cut.

use database::{EngineKind, Query};
use edge_logs::sample::FileKind;
use serde_json::json;
use testkit::Cut;

use crate::harness::{Harness, now};
use crate::heard::Heard;
use crate::logs::{NAMES, gzip, sample};

const JOB: &str = "usage/roll_up_usage";

async fn harness_with_usage(engine: EngineKind) -> (Harness, i64) {
    let harness = Harness::new(engine).await;
    harness.customer(1, &NAMES).await;
    let log = sample(FileKind::CloudFrontHls, 1, 400);
    harness.put("cdn", "a.gz", &gzip(&log.text));
    let file = json!({ "logSource": "cdn", "key": "a.gz" });
    harness.run_json("logs/process_log", &file).await.unwrap();
    (harness, log.bytes)
}

async fn sums_each_month_and_only_the_month_asked_for(engine: EngineKind) {
    let (harness, bytes) = harness_with_usage(engine).await;
    let done = harness.run_json(JOB, &json!({ "month": "2026-10" })).await.unwrap();
    assert_eq!(
        done.result,
        json!({ "accountMonths": 1, "unassigned": 0, "refused": 0, "batches": 1, "more": false })
    );
    let october = harness.billed_bytes().await;
    assert!(october > 0 && october < bytes, "the sample reaches into November");
    let done = harness.run_json(JOB, &json!({})).await.unwrap();
    assert_eq!(done.result["accountMonths"], 1);
    assert_eq!(harness.billed_bytes().await, bytes);
    assert_eq!(harness.number("SELECT count(*) FROM usage_dirty").await, 0);
}

async fn an_attempt_repeated_after_any_cut_leaves_what_an_undisturbed_one_leaves(
    engine: EngineKind,
) {
    let (harness, _) = harness_with_usage(engine).await;
    harness.run_json(JOB, &json!({})).await.unwrap();
    let undisturbed = harness.state().await;

    let (harness, _) = harness_with_usage(engine).await;
    // An attempt died after its first transaction, the next one before it settled.
    let mut first = harness.db.begin().await.unwrap();
    let done = models::roll_up::roll_up(&mut first.tx(), None, None, 1, now()).await.unwrap();
    first.commit().await.unwrap();
    assert!(done.more);
    drop(harness.attempt_json(JOB, &json!({}), Cut::Never).await.unwrap().unwrap());
    for _ in 0..2 {
        harness.run_json(JOB, &json!({})).await.unwrap();
        assert_eq!(harness.state().await, undisturbed);
    }
}

async fn what_changes_before_it_settles_is_summed_as_it_settles(engine: EngineKind) {
    let (harness, bytes) = harness_with_usage(engine).await;
    let outcome = harness.attempt_json(JOB, &json!({}), Cut::Never).await.unwrap().unwrap();
    // A file completes now; its follow-up would find this roll-up still running.
    let log = sample(FileKind::CloudFrontHls, 2, 100);
    harness.put("cdn", "b.gz", &gzip(&log.text));
    let file = json!({ "logSource": "cdn", "key": "b.gz" });
    harness.run_json("logs/process_log", &file).await.unwrap();
    let done = harness.settle(outcome).await.unwrap();
    assert!(done.follow_ups.is_empty());
    assert_eq!(harness.billed_bytes().await, bytes + log.bytes);
    assert_eq!(harness.number("SELECT count(*) FROM usage_dirty").await, 0);
}

/// Fault 20: an account that cannot be summed stops no other.
async fn an_account_that_no_table_can_hold_is_told_of_and_holds_up_no_other(engine: EngineKind) {
    let harness = Harness::new(engine).await;
    harness.customer(1, &NAMES[..2]).await;
    harness.customer(2, &NAMES[2..]).await;
    let log = sample(FileKind::CloudFrontHls, 1, 400);
    harness.put("cdn", "a.gz", &gzip(&log.text));
    let file = json!({ "logSource": "cdn", "key": "a.gz" });
    harness.run_json("logs/process_log", &file).await.unwrap();
    // Both streams of the first account used all that a table holds, in both months.
    let mut work = harness.db.begin().await.unwrap();
    let sql = "UPDATE usage_stream_month SET bytes = 9223372036854775807 WHERE stream_id IN (
      SELECT id FROM stream WHERE name IN ('alpha', 'beta_2026'))";
    assert_eq!(work.tx().execute(Query::new(sql)).await.unwrap(), 4);
    work.commit().await.unwrap();

    let heard = Heard::from_now();
    for summed in [2, 0] {
        let done = harness.run_json(JOB, &json!({})).await.unwrap();
        let expected = json!({
            "accountMonths": summed, "unassigned": 0, "refused": 2, "batches": 1, "more": false
        });
        assert_eq!(done.result, expected);
        assert!(done.follow_ups.is_empty());
        let [line] = heard.take().try_into().unwrap();
        assert!(line.contains("count=2 accounts=acct_"), "{line}");
        assert!(line.contains(" in 2026-10, acct_") && line.contains("correct it"), "{line}");
    }
    let of_others = "SELECT CAST(sum(bytes) AS BIGINT) FROM usage_stream_month WHERE bytes < 9223372036854775807";
    assert_eq!(harness.billed_bytes().await, harness.number(of_others).await);
    assert_eq!(harness.number("SELECT count(*) FROM usage_dirty").await, 4);
}

testkit::on_each_engine!(
    sums_each_month_and_only_the_month_asked_for,
    an_attempt_repeated_after_any_cut_leaves_what_an_undisturbed_one_leaves,
    what_changes_before_it_settles_is_summed_as_it_settles,
    an_account_that_no_table_can_hold_is_told_of_and_holds_up_no_other,
);
