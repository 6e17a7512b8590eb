//! Databases of earlier releases on the embedded engine.

use std::sync::Arc;

use database::{Db, Query, SchemaRange};
use tasks::{Counts, SCHEMA, SqliteStore, TaskStore};

use crate::world::TestClock;

/// Two waiting tasks, three that ended, and what is left of a pruned one.
const ROWS: [&str; 4] = [
    "INSERT INTO mw_lane (id, job, source) VALUES (1, 'test/one', 'api'), (2, 'test/two', 'api')",
    "INSERT INTO mw_envelope (seq, id, lane, enqueued_at, not_after, stamp, configuration, payload)
     SELECT value, randomblob(16), 1 + (value = 5), 0, 0, CASE value WHEN 6 THEN '' ELSE '{}' END,
       x'', x'' FROM json_each('[1, 2, 3, 4, 5, 6]')",
    "INSERT INTO mw_task (seq, lane, state, priority, run_at, attempt, max_attempts, is_unique)
     SELECT value, 1, 1, 0, 0, 0, 1, 0 FROM json_each('[1, 2]')",
    "INSERT INTO mw_finished (seq, lane, state, priority, run_at, attempt, max_attempts, finished_at)
     SELECT value, 1 + (value = 5), 3, 0, 0, 1, 1, 0 FROM json_each('[3, 4, 5]')",
];

#[tokio::test]
async fn a_database_of_version_one_gets_its_counts_from_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open_sqlite(&folder.path().join("main.db")).await.unwrap();
    let clock = Arc::new(TestClock::new());
    let first = SchemaRange { migrations: &SCHEMA.migrations[..1], ..SCHEMA };
    first.migrate(&db, values::Timestamp::EPOCH).await.unwrap();
    for sql in ROWS {
        db.execute(Query::new(sql)).await.unwrap();
    }
    let store = SqliteStore::open(db.clone(), clock).await.unwrap();
    let found = store.conservation().await.unwrap();
    assert!(found.holds(), "{found:#?}");
    let counts: Vec<Counts> = found.lanes.iter().map(|lane| lane.counts).collect();
    let one = Counts { entered: 4, ended: 2, revived: 0, pruned: 0 };
    assert_eq!(counts, [one, Counts { entered: 1, ended: 1, ..Counts::default() }]);
}
