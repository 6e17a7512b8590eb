//! Properties that hold whatever comes in, in whatever order.

use std::collections::BTreeMap;

use database::EngineKind;
use models::transfer::{ImportOptions, Importer, LineReader};
use models::{UsageRow, accounts, usage as sums};
use proptest::prelude::*;
use values::{Month, Timestamp, UsageKind};

use crate::support::{Store, account_id, month, now, stream_id};

const FIRST_HOUR: &str = "2026-09-29T00:00:00Z";

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work)
}

fn row() -> impl Strategy<Value = UsageRow> {
    let kinds = prop::sample::select(vec![UsageKind::Fms, UsageKind::Hls, UsageKind::Vod]);
    (1..5_u128, 0..96_i64, kinds, 0..1_000_u64, 1..9_u64).prop_map(
        |(stream, hour, kind, bytes, lines)| {
            let first: Timestamp = FIRST_HOUR.parse().unwrap();
            UsageRow {
                stream_id: stream_id(stream),
                hour: Timestamp::from_seconds(first.as_seconds() + hour * 3_600),
                kind,
                bytes,
                lines,
                seconds: bytes / 7,
            }
        },
    )
}

/// What files hold, in the order in which they are completed; a file may come again and again.
fn attempts() -> impl Strategy<Value = Vec<(u8, Vec<UsageRow>)>> {
    proptest::collection::vec((0..4_u8, proptest::collection::vec(row(), 0..40)), 1..10)
}

/// Bytes per stream and month if each file counts as its last attempt says.
fn expected(attempts: &[(u8, Vec<UsageRow>)]) -> BTreeMap<(u128, Month), u64> {
    let last: BTreeMap<u8, &Vec<UsageRow>> =
        attempts.iter().map(|(file, rows)| (*file, rows)).collect();
    let mut sums = BTreeMap::new();
    for row in last.values().copied().flatten() {
        let stream = u128::from_be_bytes(*row.stream_id.as_bytes());
        *sums.entry((stream, row.hour.month())).or_insert(0) += row.bytes;
    }
    sums
}

async fn check_sums(engine: EngineKind, attempts: Vec<(u8, Vec<UsageRow>)>) {
    let store = Store::new(engine).await;
    store.customer(1, 1..5).await;
    for (number, (file, rows)) in attempts.iter().enumerate() {
        store.complete(&format!("file-{file}"), rows).await.unwrap();
        if number % 3 == 0 {
            store.roll_up(None, 2).await;
        }
    }
    store.roll_up(None, 2).await;
    let expected = expected(&attempts);
    for of in [month("2026-09"), month("2026-10")] {
        let mut total = 0;
        for stream in 1..5 {
            let found = sums::stream_month(&store.db, stream_id(stream), of).await.unwrap();
            let right = expected.get(&(stream, of)).copied().unwrap_or(0);
            assert_eq!(found.total_bytes, right, "stream {stream} in {of}");
            assert_eq!(found.fms_bytes + found.hls_bytes + found.vod_bytes, right);
            total += right;
        }
        let found = sums::account_month(&store.db, account_id(1), of).await.unwrap();
        assert_eq!(found.map_or(0, |sum| sum.bandwidth.total_bytes), total, "account in {of}");
    }
}

async fn check_import(engine: EngineKind, text: &[u8], keep_going: bool) {
    let store = Store::new(engine).await;
    let options = ImportOptions { keep_going, batch: 2 };
    let mut importer = Importer::new(store.db.clone(), options, now());
    let (mut reader, mut line) = (LineReader::new(text), Vec::new());
    let mut ended = false;
    while let Some(read) = reader.next_line(&mut line).unwrap() {
        ended |= importer.push_line(read.number, &line).await.is_err();
    }
    let outcome = importer.finish().await;
    assert!(!(keep_going && outcome.is_err()), "bad lines end no import that goes on");
    assert!(!ended || outcome.is_err(), "an import that has ended stores nothing");
    let stored = accounts::page(&store.db, None, 10).await.unwrap().len() as u64;
    match outcome {
        Ok(report) => {
            let known = report.accepted.total() + report.unchanged.total() + report.rejected_count;
            assert!(known <= report.lines);
            assert!(
                stored <= report.accepted.accounts && (keep_going || report.rejected_count == 0)
            );
        }
        Err(_) => assert_eq!(stored, 0),
    }
}

const GOOD: &str = concat!(
    r#"{"kind":"account","id":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"Otter","billingProvider":"cine.io"}"#,
    "\n",
    r#"{"kind":"project","id":"proj_01jd0c4x5ve4zrh1k5yq4q8g7m","accountId":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"Web","publicKey":"k1"}"#,
    "\n",
    r#"{"kind":"stream","id":"strm_01jd0c4x5ve4zrh1k5yq4q8g7m","projectId":"proj_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"one"}"#,
    "\n",
);

/// The laws on one engine.
macro_rules! laws {
    ($name:ident, $engine:expr, $cases:literal) => {
        mod $name {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig { cases: $cases, ..ProptestConfig::default() })]

                #[test]
                fn the_last_attempt_at_each_file_counts_once(attempts in attempts()) {
                    block_on(check_sums($engine, attempts));
                }

                #[test]
                fn files_in_any_order_and_again_give_one_sum(
                    files in proptest::collection::vec(proptest::collection::vec(row(), 0..40), 1..5),
                    order in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
                ) {
                    let mut attempts: Vec<(u8, Vec<UsageRow>)> = (0..).zip(files.clone()).collect();
                    for index in order {
                        let again = index.index(files.len());
                        attempts.push((u8::try_from(again).unwrap(), files[again].clone()));
                        attempts.rotate_left(again);
                    }
                    block_on(check_sums($engine, attempts));
                }

                #[test]
                fn any_bytes_are_imported_or_refused(
                    noise in proptest::collection::vec(any::<u8>(), 0..300),
                    flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
                    keep_going: bool,
                ) {
                    block_on(check_import($engine, &noise, keep_going));
                    let mut damaged = GOOD.repeat(2).into_bytes();
                    for (place, byte) in flips {
                        let place = place.index(damaged.len());
                        damaged[place] = byte;
                    }
                    block_on(check_import($engine, &damaged, keep_going));
                }
            }
        }
    };
}

// Each case has a database of its own, so there are not too many.
laws!(on_sqlite, EngineKind::Sqlite, 24);
laws!(on_postgres, EngineKind::Postgres, 6);
