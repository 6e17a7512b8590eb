//! Several workers change the same sums at the same time.

use std::time::Duration;

use database::{EngineKind, Query, Tx};
use models::roll_up::roll_up;
use models::transfer::{ImportOptions, Importer, TransferError};
use models::usage::account_month;
use models::{FileOutcome, UsageRow, ledger, streams};
use values::UsageKind;

use crate::support::{
    Store, account_id, file_id, month, now, project_id, stream, stream_id, totals, usage,
};

const ROUNDS: u64 = 10;
const AT: &str = "2026-10-05T10:00:00Z";
/// Long enough for whoever need not wait, on a machine with other work.
const A_MOMENT: Duration = Duration::from_millis(300);

async fn complete(tx: &mut Tx<'_>, key: &str, rows: &[UsageRow]) {
    let outcome = FileOutcome::new(totals(1, 1, 1), &(), &[(); 0]);
    let file = ledger::begin_file(&mut *tx, "cdn", key, file_id(key), now()).await.unwrap();
    ledger::complete_file(tx, file.id, &outcome, rows, now()).await.unwrap();
}

fn rows(streams: std::ops::Range<u128>, bytes: u64) -> Vec<UsageRow> {
    streams.map(|number| usage(number, AT, UsageKind::Hls, bytes)).collect()
}

/// Completes two files of overlapping streams per transaction, as the settlement of a group does;
/// which comes first differs from writer to writer. Some are completed anew with less.
async fn write(store: &Store, writer: u64) -> u64 {
    let mut bytes = 0;
    for round in 0..ROUNDS {
        let mut work = store.begin().await;
        let mut tx = work.tx();
        for part in [writer, 1 - writer] {
            let (streams, count) = if part == 0 { (1..5, 4) } else { (3..8, 5) };
            let key = format!("{writer}-{part}-{round}");
            complete(&mut tx, &key, &rows(streams.clone(), 1_000)).await;
            if round % 3 == 0 {
                complete(&mut tx, &key, &rows(streams.clone(), 1 + round)).await;
            }
            let each = if round % 3 == 0 { 1 + round } else { 1_000 };
            bytes += each * count;
        }
        work.commit().await.unwrap();
    }
    bytes
}

async fn roll(store: &Store, limit: u32) {
    for _ in 0..2 * ROUNDS {
        let mut work = store.begin().await;
        roll_up(&mut work.tx(), None, None, limit, now()).await.unwrap();
        work.commit().await.unwrap();
    }
}

async fn billed(store: &Store) -> u64 {
    let sum = account_month(&store.db, account_id(1), month("2026-10")).await.unwrap();
    sum.map_or(0, |sum| sum.bandwidth.total_bytes)
}

/// Fault 13: what is written at the same time is neither lost nor counted twice.
async fn files_and_roll_ups_at_once_lose_and_double_nothing(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..7).await;
    let mut work = store.begin().await;
    streams::upsert_many(&mut work.tx(), &[stream(7, None)]).await.unwrap();
    work.commit().await.unwrap();
    let assign = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let mut work = store.begin().await;
        let mut tx = work.tx();
        assert!(streams::assign(&mut tx, stream_id(7), project_id(1), now()).await.unwrap());
        work.commit().await.unwrap();
    };
    let (one, two, (), (), ()) = tokio::join!(
        write(&store, 0),
        write(&store, 1),
        roll(&store, 2),
        roll(&store, 1_000),
        assign
    );
    store.roll_up(None, 1_000).await;
    assert_eq!(billed(&store).await, one + two);
    let left = Query::new("SELECT 1 FROM usage_dirty");
    assert!(store.db.first(left).await.unwrap().is_none());
}

async fn a_second_file_of_a_stream_waits_for_the_first_to_be_committed(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..2).await;
    let mut first = store.begin().await;
    complete(&mut first.tx(), "a", &rows(1..2, 5)).await;
    let second_rows = rows(1..2, 7);
    let mut second = Box::pin(store.complete("b", &second_rows));
    assert!(tokio::time::timeout(A_MOMENT, &mut second).await.is_err());
    first.commit().await.unwrap();
    second.await.unwrap();
    store.roll_up(None, 10).await;
    assert_eq!(billed(&store).await, 12);
}

async fn usage_that_comes_while_its_stream_leaves_the_pool_is_billed(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..2).await;
    let mut work = store.begin().await;
    streams::upsert_many(&mut work.tx(), &[stream(7, None)]).await.unwrap();
    work.commit().await.unwrap();

    let mut assigning = store.begin().await;
    let mut tx = assigning.tx();
    assert!(streams::assign(&mut tx, stream_id(7), project_id(1), now()).await.unwrap());
    let file_rows = rows(7..8, 5);
    // A roll-up that still saw the stream in the pool would drop the mark of this file.
    let mut file_and_roll_up = Box::pin(async {
        store.complete("a", &file_rows).await.unwrap();
        store.roll_up(None, 10).await;
    });
    assert!(tokio::time::timeout(A_MOMENT, &mut file_and_roll_up).await.is_err());
    assigning.commit().await.unwrap();
    file_and_roll_up.await;
    assert_eq!(billed(&store).await, 5);
}

async fn of_two_imports_at_once_the_second_is_told_what_the_first_took(engine: EngineKind) {
    let store = Store::new(engine).await;
    store.customer(1, 1..2).await;
    let line = |number: u128| {
        let (project, account) = (project_id(number), account_id(1));
        format!(
            r#"{{"kind":"project","id":"{project}","accountId":"{account}","name":"Web","publicKey":"k"}}"#
        )
    };
    let options = ImportOptions { keep_going: false, batch: 1 };
    let mut first = Importer::new(store.db.clone(), options, now());
    first.push_line(1, line(8).as_bytes()).await.unwrap();
    let mut second = Importer::new(store.db.clone(), options, now());
    let taken = line(9);
    let mut pushed = Box::pin(second.push_line(1, taken.as_bytes()));
    assert!(tokio::time::timeout(A_MOMENT, &mut pushed).await.is_err());
    first.finish().await.unwrap();
    let Err(TransferError::Refused(problem)) = pushed.await else { panic!("the key is taken") };
    assert_eq!(problem.message, format!("`k` is the key of {}", project_id(8)));
}

testkit::on_each_engine!(
    of_two_imports_at_once_the_second_is_told_what_the_first_took,
    files_and_roll_ups_at_once_lose_and_double_nothing,
    a_second_file_of_a_stream_waits_for_the_first_to_be_committed,
    usage_that_comes_while_its_stream_leaves_the_pool_is_billed,
);
