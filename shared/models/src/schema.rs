//! The tables of the domain.

use database::{Migration, PostgresSql, SchemaRange};

/// The migrations of this crate's tables.
///
/// Times are microseconds since 1970 UTC, months are `Month::index`, ids the 16 bytes of their
/// UUID. Tables are strict, so that a sum beyond 64 bits is refused instead of becoming a
/// fraction. Small rows that are found by their key live in that key's index (WITHOUT ROWID).
pub const SCHEMA: SchemaRange = SchemaRange {
    component: "models",
    migrations: &[
        FIRST,
        Migration {
            version: 2,
            name: "the company's month",
            works_from: 1,
            postgres: PostgresSql::Translated,
            sqlite: SECOND,
        },
        Migration {
            version: 3,
            name: "money",
            works_from: 1,
            postgres: PostgresSql::Translated,
            sqlite: crate::billing::TABLES,
        },
        Migration {
            version: 4,
            name: "since when no mail was accepted",
            works_from: 3,
            postgres: PostgresSql::Translated,
            sqlite: &[
                "CREATE INDEX outgoing_email_sent ON outgoing_email (ended_at) WHERE state = 'sent'",
            ],
        },
        Migration {
            version: 5,
            name: "mails that came back",
            works_from: 3,
            postgres: PostgresSql::Translated,
            sqlite: &[
                crate::outbox::MAIL_BOUNCE,
                "CREATE INDEX mail_bounce_by_time ON mail_bounce (created_at)",
            ],
        },
    ],
    oldest: 5,
};

const FIRST: Migration = Migration {
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
};

/// What the company's month needs beyond usage: one block per area.
const SECOND: &[&str] = &[
    // Recordings.
    RECORDING,
    "CREATE INDEX recording_of_project ON recording (project_id, object_key)",
    "CREATE UNIQUE INDEX recording_of_file ON recording (stream_id, source_sha256)
       WHERE source_sha256 IS NOT NULL",
    ARCHIVE,
    RECORDING_WEBHOOK,
    // Mail.
    OUTGOING_EMAIL,
    "CREATE INDEX outgoing_email_open ON outgoing_email (due_at) WHERE ended_at IS NULL",
    "CREATE INDEX outgoing_email_of_account ON outgoing_email (account_id, created_at)",
    EMAIL_ATTACHMENT,
    SUPPRESSED_ADDRESS,
    ADMIN_EVENT,
    "CREATE INDEX admin_event_open ON admin_event (at) WHERE told_at IS NULL",
    "CREATE INDEX account_by_making ON account (created_at)",
    PASSWORD_RESET,
    MARKETPLACE_ACCOUNT,
    // Limits.
    "ALTER TABLE usage_account_month ADD COLUMN storage_bytes INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE usage_account_month ADD COLUMN peer_milliseconds INTEGER NOT NULL DEFAULT 0",
    crate::usage::USAGE_SEEDED,
    crate::peer_time::PEER_EVENT,
    crate::peer_time::USAGE_PEER_MONTH,
    crate::throttles::THROTTLE,
    crate::throttles::LIMIT_WARNING,
    "CREATE INDEX account_throttled ON account (throttled_at) WHERE throttled_at IS NOT NULL",
    crate::publishing::STREAM_KEY,
    crate::incidents::QUEUE_INCIDENT,
];

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

/// Streams and months whose account has to be summed again; an account's id stands for itself.
const USAGE_DIRTY: &str = "CREATE TABLE usage_dirty (
  month INTEGER NOT NULL, stream_id BLOB NOT NULL, PRIMARY KEY (month, stream_id))
  STRICT, WITHOUT ROWID";

const USAGE_ACCOUNT_MONTH: &str = "CREATE TABLE usage_account_month (
  account_id BLOB NOT NULL, month INTEGER NOT NULL, bandwidth_bytes INTEGER NOT NULL,
  fms_bytes INTEGER NOT NULL, hls_bytes INTEGER NOT NULL, vod_bytes INTEGER NOT NULL,
  lines INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (account_id, month))
  STRICT, WITHOUT ROWID";

/// The object's key is unique for ever, also after its deletion.
const RECORDING: &str = "CREATE TABLE recording (
  id BLOB NOT NULL PRIMARY KEY, stream_id BLOB NOT NULL REFERENCES stream (id),
  project_id BLOB NOT NULL REFERENCES project (id), name TEXT NOT NULL,
  object_key TEXT NOT NULL UNIQUE, poster_key TEXT, source_sha256 BLOB,
  size_bytes INTEGER CHECK (size_bytes >= 0), duration_ms INTEGER, recorded_at INTEGER,
  reserved_at INTEGER NOT NULL, catalogued_at INTEGER, deleted_at INTEGER) STRICT, WITHOUT ROWID";

/// How far the archival of a file has come, by the task that does it.
const ARCHIVE: &str = "CREATE TABLE archive (
  source TEXT NOT NULL, task_id BLOB NOT NULL, state TEXT NOT NULL, stream_id BLOB, keep INTEGER,
  duration_ms INTEGER, mp4_bytes INTEGER, source_sha256 BLOB, recording_id BLOB, reason TEXT,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (source, task_id))
  STRICT, WITHOUT ROWID";

const RECORDING_WEBHOOK: &str = "CREATE TABLE recording_webhook (
  project_id BLOB NOT NULL PRIMARY KEY REFERENCES project (id), url TEXT NOT NULL,
  secret TEXT NOT NULL, updated_at INTEGER NOT NULL) STRICT, WITHOUT ROWID";

/// What can grow large comes last. The answers of servers may name their recipient.
const OUTGOING_EMAIL: &str = "CREATE TABLE outgoing_email (
  id BLOB NOT NULL PRIMARY KEY, unique_key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
  account_id BLOB, recipient TEXT NOT NULL, recipient_name TEXT, state TEXT NOT NULL,
  attempts INTEGER NOT NULL, unknown_ends INTEGER NOT NULL, code INTEGER,
  created_at INTEGER NOT NULL, due_at INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER,
  message TEXT, data TEXT NOT NULL) STRICT";

const EMAIL_ATTACHMENT: &str = "CREATE TABLE email_attachment (
  email_id BLOB NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, media_type TEXT NOT NULL,
  content BLOB NOT NULL, PRIMARY KEY (email_id, number)) STRICT";

/// Addresses are in lower case.
const SUPPRESSED_ADDRESS: &str = "CREATE TABLE suppressed_address (
  address TEXT NOT NULL PRIMARY KEY, reason TEXT NOT NULL, event TEXT,
  created_at INTEGER NOT NULL) STRICT, WITHOUT ROWID";

const ADMIN_EVENT: &str = "CREATE TABLE admin_event (
  unique_key TEXT NOT NULL PRIMARY KEY, is_alert INTEGER NOT NULL, at INTEGER NOT NULL,
  told_at INTEGER, data TEXT NOT NULL) STRICT, WITHOUT ROWID";

const PASSWORD_RESET: &str = "CREATE TABLE password_reset (
  id BLOB NOT NULL PRIMARY KEY, address TEXT NOT NULL, name TEXT, token TEXT NOT NULL,
  valid_until INTEGER NOT NULL, created_at INTEGER NOT NULL) STRICT, WITHOUT ROWID";

const MARKETPLACE_ACCOUNT: &str = "CREATE TABLE marketplace_account (
  account_id BLOB NOT NULL PRIMARY KEY, vendor_id TEXT NOT NULL, name TEXT, email TEXT,
  synced_at INTEGER) STRICT, WITHOUT ROWID";
