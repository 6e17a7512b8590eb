//! The tables of the domain.

use database::{Migration, PostgresSql, SchemaRange};

/// The migrations of this crate's tables.
///
/// Times are microseconds since 1970 UTC, months are `Month::index`, ids the 16 bytes of their
/// UUID. Tables are strict, so that a sum beyond 64 bits is refused instead of becoming a
/// fraction. Small rows that are found by their key live in that key's index (WITHOUT ROWID).
pub const SCHEMA: SchemaRange = SchemaRange {
    component: "models",
    migrations: &[Migration {
        version: 1,
        name: "accounts, projects, streams, log ledger, usage",
        works_from: 1,
        postgres: PostgresSql::Translated,
        sqlite: &[
            ACCOUNT,
            PROJECT,
            "CREATE INDEX project_of_account ON project (account_id)",
            STREAM,
            "CREATE INDEX stream_of_project ON stream (project_id) WHERE project_id IS NOT NULL",
            LOG_FILE,
            "CREATE INDEX log_file_by_state ON log_file (state)",
            LOG_MARKER,
            USAGE_HOUR,
            USAGE_STREAM_MONTH,
            USAGE_DIRTY,
            USAGE_ACCOUNT_MONTH,
            "CREATE INDEX usage_of_month ON usage_account_month (month, bandwidth_bytes)",
        ],
    }],
    oldest: 1,
};

const ACCOUNT: &str = "CREATE TABLE account (
  id BLOB NOT NULL PRIMARY KEY, name TEXT NOT NULL, billing_email TEXT,
  billing_provider TEXT NOT NULL, unthrottleable INTEGER NOT NULL, throttled_at INTEGER,
  throttled_reason TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  deleted_at INTEGER) STRICT, WITHOUT ROWID";

const PROJECT: &str = "CREATE TABLE project (
  id BLOB NOT NULL PRIMARY KEY, account_id BLOB NOT NULL REFERENCES account (id),
  name TEXT NOT NULL, public_key TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL, deleted_at INTEGER) STRICT, WITHOUT ROWID";

/// Without a project a stream waits in the pool. The name stays taken when a stream is deleted.
const STREAM: &str = "CREATE TABLE stream (
  id BLOB NOT NULL PRIMARY KEY, project_id BLOB REFERENCES project (id),
  name TEXT NOT NULL UNIQUE, instance_name TEXT NOT NULL, record INTEGER NOT NULL,
  assigned_at INTEGER, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  deleted_at INTEGER) STRICT, WITHOUT ROWID";

/// What can grow large comes last, where the reader of a state does not pass it.
const LOG_FILE: &str = "CREATE TABLE log_file (
  id BLOB NOT NULL PRIMARY KEY, log_source TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL,
  size_bytes INTEGER, lines INTEGER, bytes INTEGER, attempts INTEGER NOT NULL,
  discovered_at INTEGER NOT NULL, started_at INTEGER, completed_at INTEGER,
  error TEXT, line_counts TEXT, problems TEXT, UNIQUE (log_source, key)) STRICT";

const LOG_MARKER: &str = "CREATE TABLE log_marker (
  log_source TEXT NOT NULL PRIMARY KEY, listed_until_key TEXT, listed_until INTEGER NOT NULL,
  updated_at INTEGER NOT NULL) STRICT, WITHOUT ROWID";

/// No foreign keys on usage: its writer has just looked both up, and these are the hot tables.
const USAGE_HOUR: &str = "CREATE TABLE usage_hour (
  log_file_id BLOB NOT NULL, stream_id BLOB NOT NULL, hour INTEGER NOT NULL,
  kind INTEGER NOT NULL, bytes INTEGER NOT NULL, lines INTEGER NOT NULL,
  seconds INTEGER NOT NULL, PRIMARY KEY (log_file_id, stream_id, hour, kind))
  STRICT, WITHOUT ROWID";

const USAGE_STREAM_MONTH: &str = "CREATE TABLE usage_stream_month (
  stream_id BLOB NOT NULL, month INTEGER NOT NULL, kind INTEGER NOT NULL,
  bytes INTEGER NOT NULL CHECK (bytes >= 0), lines INTEGER NOT NULL CHECK (lines >= 0),
  seconds INTEGER NOT NULL CHECK (seconds >= 0), PRIMARY KEY (stream_id, month, kind))
  STRICT, WITHOUT ROWID";

/// Streams and months whose account has to be summed again.
const USAGE_DIRTY: &str = "CREATE TABLE usage_dirty (
  month INTEGER NOT NULL, stream_id BLOB NOT NULL, PRIMARY KEY (month, stream_id))
  STRICT, WITHOUT ROWID";

const USAGE_ACCOUNT_MONTH: &str = "CREATE TABLE usage_account_month (
  account_id BLOB NOT NULL, month INTEGER NOT NULL, bandwidth_bytes INTEGER NOT NULL,
  fms_bytes INTEGER NOT NULL, hls_bytes INTEGER NOT NULL, vod_bytes INTEGER NOT NULL,
  lines INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (account_id, month))
  STRICT, WITHOUT ROWID";
