//! Tables of the task store on SQLite.
//!
//! `mw_task` is hot and narrow: one row per task that has not ended. `mw_envelope` is written once.
//! `mw_finished` is history. Small tables beside them hold what few tasks have.

use database::{Migration, SchemaRange};

/// States as stored in `mw_task` and `mw_finished`.
pub(super) mod state {
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
    oldest: 1,
    migrations: &[Migration { version: 1, name: "tasks", sqlite: FIRST }],
};

const FIRST: &[&str] = &[
    "CREATE TABLE mw_lane (
       id INTEGER PRIMARY KEY, job TEXT NOT NULL, source TEXT NOT NULL,
       host TEXT NOT NULL DEFAULT '', UNIQUE (job, source, host))",
    "CREATE TABLE mw_envelope (
       seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, lane BIGINT NOT NULL,
       enqueued_at BIGINT NOT NULL, not_after BIGINT NOT NULL, stamp TEXT NOT NULL, proof TEXT,
       configuration BLOB NOT NULL, payload BLOB NOT NULL, labels TEXT, timeout BIGINT, parent BLOB)",
    "CREATE INDEX mw_envelope_pruned ON mw_envelope (not_after) WHERE stamp = ''",
    "CREATE INDEX mw_envelope_parent ON mw_envelope (parent) WHERE parent IS NOT NULL",
    "CREATE TABLE mw_task (
       seq INTEGER PRIMARY KEY, lane BIGINT NOT NULL, state BIGINT NOT NULL,
       priority BIGINT NOT NULL, run_at BIGINT NOT NULL, attempt BIGINT NOT NULL,
       max_attempts BIGINT NOT NULL, is_unique BIGINT NOT NULL, worker BIGINT, token BIGINT,
       started_at BIGINT, cancel BIGINT NOT NULL DEFAULT 0,
       held_code TEXT, held_release TEXT, held_since BIGINT)",
    "CREATE INDEX mw_task_ready ON mw_task (lane, priority DESC, run_at, seq) WHERE state = 1",
    "CREATE INDEX mw_task_scheduled ON mw_task (run_at) WHERE state = 0",
    "CREATE INDEX mw_task_running ON mw_task (lane, worker) WHERE state = 2",
    "CREATE INDEX mw_task_held ON mw_task (held_since) WHERE state = 6",
    "CREATE INDEX mw_task_cancel ON mw_task (worker) WHERE cancel = 1",
    "CREATE TABLE mw_finished (
       seq INTEGER PRIMARY KEY, lane BIGINT NOT NULL, state BIGINT NOT NULL,
       priority BIGINT NOT NULL, run_at BIGINT NOT NULL, attempt BIGINT NOT NULL,
       max_attempts BIGINT NOT NULL, worker BIGINT, started_at BIGINT,
       finished_at BIGINT NOT NULL, result TEXT, error TEXT)",
    "CREATE INDEX mw_finished_by_lane ON mw_finished (lane, finished_at)",
    "CREATE TABLE mw_attempt (
       id INTEGER PRIMARY KEY, seq BIGINT NOT NULL, attempt BIGINT NOT NULL, worker BIGINT,
       started_at BIGINT, finished_at BIGINT NOT NULL, outcome TEXT NOT NULL, code TEXT,
       error TEXT, log TEXT)",
    "CREATE INDEX mw_attempt_by_task ON mw_attempt (seq)",
    "CREATE TABLE mw_label (
       label TEXT NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (label, seq)) WITHOUT ROWID",
    "CREATE INDEX mw_label_by_task ON mw_label (seq)",
    "CREATE TABLE mw_unique (
       key TEXT NOT NULL PRIMARY KEY, seq BIGINT NOT NULL, until BIGINT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX mw_unique_by_task ON mw_unique (seq)",
    "CREATE TABLE mw_progress (
       seq INTEGER PRIMARY KEY, fraction DOUBLE PRECISION NOT NULL, text TEXT NOT NULL)",
    "CREATE TABLE mw_pause (job TEXT NOT NULL PRIMARY KEY, since BIGINT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE mw_worker (
       id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, host TEXT NOT NULL,
       pid BIGINT NOT NULL, version TEXT NOT NULL, release TEXT NOT NULL,
       started_at BIGINT NOT NULL, seen_at BIGINT NOT NULL, beat BIGINT NOT NULL,
       dead BIGINT NOT NULL DEFAULT 0)",
    "CREATE INDEX mw_worker_alive ON mw_worker (id) WHERE dead = 0",
    "CREATE TABLE mw_tick (
       schedule TEXT NOT NULL, nominal_at BIGINT NOT NULL, task BLOB,
       PRIMARY KEY (schedule, nominal_at)) WITHOUT ROWID",
    "CREATE TABLE mw_rejection (
       code TEXT NOT NULL, source TEXT NOT NULL, job TEXT NOT NULL, message TEXT NOT NULL,
       door TEXT NOT NULL, task BLOB, count BIGINT NOT NULL, first_at BIGINT NOT NULL,
       last_at BIGINT NOT NULL, PRIMARY KEY (code, source, job))",
    "CREATE INDEX mw_rejection_latest ON mw_rejection (last_at)",
];
