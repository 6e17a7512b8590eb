//! Usage per account.

use std::collections::BTreeSet;

use database::EngineKind;
use models::roll_up::{RolledUp, roll_up};
use models::usage::{account_month, accounts_of_month, month_total, project_month, stream_month};
use models::{accounts, projects, streams};
use values::UsageKind;

use crate::support::{
    Store, account, account_id, month, now, project, project_id, stream, stream_id, usage,
};

const HLS: UsageKind = UsageKind::Hls;
const THIS: &str = "2026-10";
const LAST: &str = "2026-09";

async fn of_account(store: &Store, number: u128, of: &str) -> Option<u64> {
    let found = account_month(&store.db, account_id(number), month(of)).await.unwrap();
    found.map(|sum| sum.bandwidth.total_bytes)
}

/// A roll-up that refused nothing.
fn rolled_up(account_months: usize, unassigned: usize, more: bool) -> RolledUp {
    RolledUp { account_months, unassigned, refused: BTreeSet::new(), after: None, more }
}

/// Each stream: 169034 + 7675007 bytes this month, 3043079 last month.
async fn fill(store: &Store, streams: std::ops::Range<u128>) {
    for number in streams {
        let rows = [
            usage(number, "2026-10-01T00:00:00Z", UsageKind::Fms, 169_034),
            usage(number, "2026-10-31T23:59:59Z", HLS, 7_675_007),
            usage(number, "2026-09-30T23:59:59Z", UsageKind::Vod, 3_043_079),
        ];
        store.complete(&format!("file-{number}"), &rows).await.unwrap();
    }
}

async fn adds_up_streams_projects_and_accounts(engine: EngineKind) {
    let store = Store::new(engine).await;
    let mut work = store.begin().await;
    let mut tx = work.tx();
    accounts::upsert_many(&mut tx, &[account(1), account(2)]).await.unwrap();
    let rows = [project(1, 1), project(2, 1), project(3, 2)];
    projects::upsert_many(&mut tx, &rows).await.unwrap();
    let rows: Vec<_> = [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)]
        .map(|(number, owner)| stream(number, Some(owner)))
        .into();
    streams::upsert_many(&mut tx, &rows).await.unwrap();
    work.commit().await.unwrap();
    fill(&store, 1..6).await;
    assert_eq!(store.roll_up(None, 1_000).await, 4);

    let (this, last) = (month(THIS), month(LAST));
    let sum = stream_month(&store.db, stream_id(1), this).await.unwrap();
    assert_eq!((sum.total_bytes, sum.fms_bytes, sum.hls_bytes), (7_844_041, 169_034, 7_675_007));
    let sum = stream_month(&store.db, stream_id(1), last).await.unwrap();
    assert_eq!((sum.total_bytes, sum.vod_bytes), (3_043_079, 3_043_079));
    let sum = project_month(&store.db, project_id(1), this).await.unwrap();
    assert_eq!(sum.total_bytes, 15_688_082);
    let sum = project_month(&store.db, project_id(1), last).await.unwrap();
    assert_eq!(sum.total_bytes, 6_086_158);
    let of_both = [of_account(&store, 1, THIS).await, of_account(&store, 1, LAST).await];
    assert_eq!(of_both, [Some(31_376_164), Some(12_172_316)]);
    assert_eq!(of_both.iter().flatten().sum::<u64>(), 43_548_480);
    assert_eq!(of_account(&store, 2, THIS).await, Some(7_844_041), "a foreign project");

    let total = month_total(&store.db, this).await.unwrap();
    assert_eq!((total.total_bytes, total.lines), (31_376_164 + 7_844_041, 10));
    let most = accounts_of_month(&store.db, this, 1).await.unwrap();
    assert_eq!((most.len(), most[0].name.as_str()), (1, "Account 1"));
    assert_eq!(most[0].usage.bandwidth.vod_bytes, 0);
    assert_eq!(most[0].usage.updated_at, now());
}

/// Fault 18: what a deleted project used is still used.
async fn what_is_deleted_still_counts(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..3).await;
    let mut work = store.begin().await;
    let mut gone = (project(1, 1), stream(1, Some(1)));
    gone.0.deleted_at = Some(now());
    gone.1.deleted_at = Some(now());
    projects::upsert_many(&mut work.tx(), &[gone.0]).await.unwrap();
    streams::upsert_many(&mut work.tx(), &[gone.1]).await.unwrap();
    work.commit().await.unwrap();
    fill(&store, 1..3).await;
    store.roll_up(None, 1_000).await;
    assert_eq!(of_account(&store, 1, THIS).await, Some(15_688_082));
}

async fn a_stream_brings_its_usage_when_it_leaves_the_pool(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..2).await;
    let mut work = store.begin().await;
    let pooled = [stream(7, None), stream(8, None)];
    streams::upsert_many(&mut work.tx(), &pooled).await.unwrap();
    work.commit().await.unwrap();
    fill(&store, 7..10).await; // the last is a stream nobody knows
    let mut work = store.begin().await;
    let done = roll_up(&mut work.tx(), None, None, 100, now()).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(done, rolled_up(0, 6, false));
    assert_eq!(of_account(&store, 1, THIS).await, None);

    let mut work = store.begin().await;
    let mut tx = work.tx();
    assert!(streams::assign(&mut tx, stream_id(7), project_id(1), now()).await.unwrap());
    work.commit().await.unwrap();
    assert_eq!(store.roll_up(None, 100).await, 2);
    assert_eq!(of_account(&store, 1, THIS).await, Some(7_844_041));

    let mut work = store.begin().await;
    streams::upsert_many(&mut work.tx(), &[stream(8, Some(1))]).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(store.roll_up(None, 100).await, 2);
    assert_eq!(of_account(&store, 1, THIS).await, Some(15_688_082));
    assert_eq!(of_account(&store, 1, LAST).await, Some(6_086_158));
}

async fn looks_at_one_month_and_at_so_many_changes_as_it_is_told(engine: EngineKind) {
    let store = Store::new(engine).await;
    for number in 1..=5 {
        store.customer(number, number * 10..number * 10 + 3).await;
        fill(&store, number * 10..number * 10 + 3).await;
    }
    let mut work = store.begin().await;
    let part = roll_up(&mut work.tx(), Some(month(LAST)), None, 4, now()).await.unwrap();
    work.commit().await.unwrap();
    // Four changes of two accounts; the other changes of the two are done with them.
    assert_eq!(part, rolled_up(2, 0, true));
    assert_eq!(store.roll_up(Some(month(LAST)), 4).await, 3);
    assert_eq!(of_account(&store, 5, LAST).await, Some(3 * 3_043_079));
    assert_eq!(of_account(&store, 5, THIS).await, None);
    assert_eq!(store.roll_up(None, 1).await, 5);
    assert_eq!(of_account(&store, 5, THIS).await, Some(3 * 7_844_041));
    assert_eq!(store.roll_up(None, 1).await, 0, "nothing has changed since");
}

async fn usage_taken_back_lowers_the_account(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..2).await;
    fill(&store, 1..2).await;
    store.roll_up(None, 10).await;
    store.complete("file-1", &[]).await.unwrap();
    assert_eq!(store.roll_up(None, 10).await, 2);
    assert_eq!(of_account(&store, 1, THIS).await, Some(0));
}

async fn an_account_beyond_what_a_table_keeps_holds_up_no_other(engine: EngineKind) {
    const MOST: u64 = i64::MAX.cast_unsigned();
    const AT: &str = "2026-10-05T10:00:00Z";
    let store = Store::new(engine).await;
    store.customer(1, 10..14).await;
    store.customer(2, 20..22).await;
    for stream in [10, 11, 20, 21] {
        store.complete(&format!("small-{stream}"), &[usage(stream, AT, HLS, 5)]).await.unwrap();
    }
    assert_eq!(store.roll_up(None, 100).await, 2);
    // Each stream's own sum is kept; those of the account have no room together.
    for stream in 10..14 {
        let rows = [usage(stream, AT, HLS, MOST - 5)];
        store.complete(&format!("huge-{stream}"), &rows).await.unwrap();
    }
    store.complete("late", &[usage(21, AT, HLS, 7)]).await.unwrap();

    for limit in [1, 3, 100] {
        let (mut refused, mut after, mut batches, mut summed) = (BTreeSet::new(), None, 0, 0);
        loop {
            let mut work = store.begin().await;
            let part = roll_up(&mut work.tx(), None, after, limit, now()).await.unwrap();
            work.commit().await.unwrap();
            (after, batches, summed) = (part.after, batches + 1, summed + part.account_months);
            refused.extend(part.refused);
            if !part.more {
                break;
            }
            assert!(batches < 10, "a refused account is not looked at for ever");
        }
        assert_eq!(refused, BTreeSet::from([(month(THIS), account_id(1))]));
        assert_eq!(summed, usize::from(limit == 1), "the other is summed, and once");
        assert_eq!(of_account(&store, 2, THIS).await, Some(17));
        assert_eq!(of_account(&store, 1, THIS).await, Some(10), "as it was");
    }
    // Reports show the most there can be.
    let sum = project_month(&store.db, project_id(1), month(THIS)).await.unwrap();
    assert_eq!((sum.total_bytes, sum.vod_bytes, sum.lines), (MOST, 0, 6));
    assert_eq!(month_total(&store.db, month(THIS)).await.unwrap().total_bytes, 27);

    for stream in 10..14 {
        store.complete(&format!("huge-{stream}"), &[]).await.unwrap();
    }
    assert_eq!(store.roll_up(None, 2).await, 1, "nothing of the account was forgotten");
    assert_eq!(of_account(&store, 1, THIS).await, Some(10));
}

async fn reports_of_more_than_a_table_keeps_show_the_most_there_can_be(engine: EngineKind) {
    const MOST: u64 = i64::MAX.cast_unsigned();
    let store = Store::new(engine).await;
    store.customer(1, 1..2).await;
    store.customer(2, 2..3).await;
    for stream in [1, 2] {
        let rows = [usage(stream, "2026-10-05T10:00:00Z", HLS, MOST)];
        store.complete(&format!("hls-{stream}"), &rows).await.unwrap();
    }
    assert_eq!(store.roll_up(None, 10).await, 2);
    let total = month_total(&store.db, month(THIS)).await.unwrap();
    assert_eq!((total.total_bytes, total.hls_bytes, total.lines), (MOST, MOST, 2));
    let vod = [usage(1, "2026-10-06T10:00:00Z", UsageKind::Vod, MOST)];
    store.complete("vod", &vod).await.unwrap();
    let sum = stream_month(&store.db, stream_id(1), month(THIS)).await.unwrap();
    assert_eq!((sum.total_bytes, sum.hls_bytes, sum.vod_bytes), (MOST, MOST, MOST));
}

testkit::on_each_engine!(
    adds_up_streams_projects_and_accounts,
    what_is_deleted_still_counts,
    a_stream_brings_its_usage_when_it_leaves_the_pool,
    looks_at_one_month_and_at_so_many_changes_as_it_is_told,
    usage_taken_back_lowers_the_account,
    an_account_beyond_what_a_table_keeps_holds_up_no_other,
    reports_of_more_than_a_table_keeps_show_the_most_there_can_be,
);
