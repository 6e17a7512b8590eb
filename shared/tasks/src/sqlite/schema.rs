//! Tables of the task store on SQLite.
//!
//! `mw_task` is hot and narrow: one row per task that has not ended. `mw_envelope` is written once.
//! `mw_finished` is history. Small tables beside them hold what few tasks have.

use database::{Migration, PostgresSql, SchemaRange};

/// States as stored in `mw_task` and `mw_finished`.
pub(crate) mod state {
    pub(crate) const SCHEDULED: i64 = 0;
    pub(crate) const AVAILABLE: i64 = 1;
    pub(crate) const RUNNING: i64 = 2;
    pub(crate) const COMPLETED: i64 = 3;
    pub(crate) const DISCARDED: i64 = 4;
    pub(crate) const CANCELLED: i64 = 5;
    /// Available, but not to the release that holds it.
    pub(crate) const HELD: i64 = 6;
}

/// The migrations of this crate's tables.
pub const SCHEMA: SchemaRange = SchemaRange {
    component: "tasks",
    oldest: 2,
    migrations: &[
        Migration {
            version: 1,
            name: "tasks",
            works_from: 1,
            sqlite: FIRST,
            postgres: PostgresSql::Own(crate::postgres::schema::FIRST),
        },
        Migration {
            version: 2,
            name: "counts and rates",
            works_from: 1,
            sqlite: SECOND,
            postgres: PostgresSql::Own(crate::postgres::schema::SECOND),
        },
    ],
};

const FIRST: &[&str] = &[
    "CREATE TABLE mw_lane (
       id INTEGER PRIMARY KEY, job TEXT NOT NULL, source TEXT NOT NULL,
       host TEXT NOT NULL DEFAULT '', UNIQUE (job, source, host)) STRICT",
    "CREATE TABLE mw_envelope (
       seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
       lane INTEGER NOT NULL,
       enqueued_at INTEGER NOT NULL, not_after INTEGER NOT NULL, stamp TEXT NOT NULL, proof TEXT,
       configuration BLOB NOT NULL, payload BLOB NOT NULL, labels TEXT, timeout INTEGER,
       parent BLOB CHECK (length(parent) = 16)) STRICT",
    "CREATE INDEX mw_envelope_pruned ON mw_envelope (not_after) WHERE stamp = ''",
    "CREATE INDEX mw_envelope_parent ON mw_envelope (parent) WHERE parent IS NOT NULL",
    "CREATE TABLE mw_task (
       seq INTEGER PRIMARY KEY, lane INTEGER NOT NULL, state INTEGER NOT NULL,
       priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 2), run_at INTEGER NOT NULL,
       attempt INTEGER NOT NULL CHECK (attempt BETWEEN 0 AND 4294967295),
       max_attempts INTEGER NOT NULL CHECK (max_attempts BETWEEN 1 AND 4294967295),
       is_unique INTEGER NOT NULL, worker INTEGER, token INTEGER,
       started_at INTEGER, cancel INTEGER NOT NULL DEFAULT 0,
       held_code TEXT, held_release TEXT, held_since INTEGER) STRICT",
    "CREATE INDEX mw_task_ready ON mw_task (lane, priority DESC, run_at, seq) WHERE state = 1",
    "CREATE INDEX mw_task_scheduled ON mw_task (run_at) WHERE state = 0",
    "CREATE INDEX mw_task_running ON mw_task (lane, worker) WHERE state = 2",
    "CREATE INDEX mw_task_held ON mw_task (held_since) WHERE state = 6",
    "CREATE INDEX mw_task_cancel ON mw_task (worker) WHERE cancel = 1",
    "CREATE TABLE mw_finished (
       seq INTEGER PRIMARY KEY, lane INTEGER NOT NULL, state INTEGER NOT NULL,
       priority INTEGER NOT NULL, run_at INTEGER NOT NULL, attempt INTEGER NOT NULL,
       max_attempts INTEGER NOT NULL, worker INTEGER, started_at INTEGER,
       finished_at INTEGER NOT NULL, result TEXT, error TEXT) STRICT",
    "CREATE INDEX mw_finished_by_lane ON mw_finished (lane, finished_at)",
    "CREATE TABLE mw_attempt (
       id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, attempt INTEGER NOT NULL, worker INTEGER,
       started_at INTEGER, finished_at INTEGER NOT NULL, outcome TEXT NOT NULL, code TEXT,
       error TEXT, log TEXT) STRICT",
    "CREATE INDEX mw_attempt_by_task ON mw_attempt (seq)",
    "CREATE TABLE mw_label (
       label TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (label, seq)) WITHOUT ROWID, STRICT",
    "CREATE INDEX mw_label_by_task ON mw_label (seq)",
    "CREATE TABLE mw_unique (
       key TEXT NOT NULL PRIMARY KEY, seq INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID, STRICT",
    "CREATE INDEX mw_unique_by_task ON mw_unique (seq)",
    "CREATE TABLE mw_progress (
       seq INTEGER PRIMARY KEY, fraction REAL NOT NULL, text TEXT NOT NULL) STRICT",
    "CREATE TABLE mw_pause (job TEXT NOT NULL PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID, STRICT",
    "CREATE TABLE mw_worker (
       id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, host TEXT NOT NULL,
       pid INTEGER NOT NULL, version TEXT NOT NULL, release TEXT NOT NULL,
       started_at INTEGER NOT NULL, seen_at INTEGER NOT NULL, beat INTEGER NOT NULL,
       dead INTEGER NOT NULL DEFAULT 0) STRICT",
    "CREATE INDEX mw_worker_alive ON mw_worker (id) WHERE dead = 0",
    "CREATE TABLE mw_tick (
       schedule TEXT NOT NULL, nominal_at INTEGER NOT NULL, task BLOB,
       PRIMARY KEY (schedule, nominal_at)) WITHOUT ROWID, STRICT",
    "CREATE TABLE mw_rejection (
       code TEXT NOT NULL, source TEXT NOT NULL, job TEXT NOT NULL, message TEXT NOT NULL,
       door TEXT NOT NULL, task BLOB, count INTEGER NOT NULL, first_at INTEGER NOT NULL,
       last_at INTEGER NOT NULL, PRIMARY KEY (code, source, job)) STRICT",
    "CREATE INDEX mw_rejection_latest ON mw_rejection (last_at)",
];

/// Counts beside the rows: triggers count what arrives, and never what leaves. So no statement can
/// forget to count, a worker of an older release counts too, and a row that is deleted without
/// arriving elsewhere is missed. The first counts are what the rows of version 1 say.
const SECOND: &[&str] = &[
    "CREATE TABLE mw_tally (
       lane INTEGER PRIMARY KEY, entered INTEGER NOT NULL DEFAULT 0,
       ended INTEGER NOT NULL DEFAULT 0, revived INTEGER NOT NULL DEFAULT 0,
       pruned INTEGER NOT NULL DEFAULT 0) STRICT",
    "INSERT INTO mw_tally (lane, entered, ended)
     SELECT l.id, coalesce(t.n, 0) + coalesce(f.n, 0), coalesce(f.n, 0) FROM mw_lane l
       LEFT JOIN (SELECT lane, count(*) AS n FROM mw_task GROUP BY lane) t ON t.lane = l.id
       LEFT JOIN (SELECT lane, count(*) AS n FROM mw_finished GROUP BY lane) f ON f.lane = l.id",
    "CREATE TRIGGER mw_tally_lane AFTER INSERT ON mw_lane BEGIN
       INSERT INTO mw_tally (lane) VALUES (new.id); END",
    "CREATE TRIGGER mw_tally_entered AFTER INSERT ON mw_envelope BEGIN
       UPDATE mw_tally SET entered = entered + 1 WHERE lane = new.lane; END",
    "CREATE TRIGGER mw_tally_ended AFTER INSERT ON mw_finished BEGIN
       UPDATE mw_tally SET ended = ended + 1 WHERE lane = new.lane; END",
    // What comes back from history is in the queue already when it leaves history.
    "CREATE TRIGGER mw_tally_revived AFTER DELETE ON mw_finished
       WHEN EXISTS (SELECT 1 FROM mw_task t WHERE t.seq = old.seq) BEGIN
       UPDATE mw_tally SET revived = revived + 1 WHERE lane = old.lane; END",
    "CREATE TRIGGER mw_tally_pruned AFTER UPDATE OF stamp ON mw_envelope
       WHEN new.stamp = '' AND old.stamp <> '' BEGIN
       UPDATE mw_tally SET pruned = pruned + 1 WHERE lane = new.lane; END",
    // What each rate has counted lately: key is "job:domain/name" or "source:name".
    "CREATE TABLE mw_rate (key TEXT NOT NULL PRIMARY KEY, starts TEXT NOT NULL) WITHOUT ROWID, STRICT",
];
