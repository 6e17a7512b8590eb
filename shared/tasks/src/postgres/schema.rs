//! Tables of the task store on PostgreSQL.
//!
//! The same tables as on SQLite, laid out for several writers: no foreign keys, few indexes, and
//! counts in pieces that nobody has to wait for. A task that waits for its time is in the same
//! state as one that waits for a worker, and its `run_at` tells them apart; so time alone makes it
//! available and nothing has to be written.

/// The first version.
pub(crate) const FIRST: &[&str] = &[
    // A lane's number follows from its names, so that it is the same after a failover that lost it.
    "CREATE TABLE mw_lane (
       id BIGINT PRIMARY KEY, job TEXT NOT NULL, source TEXT NOT NULL,
       host TEXT NOT NULL DEFAULT '', UNIQUE (job, source, host))",
    "CREATE SEQUENCE mw_seq",
    "CREATE TABLE mw_envelope (
       seq BIGINT PRIMARY KEY, id BYTEA NOT NULL UNIQUE CHECK (octet_length(id) = 16),
       lane BIGINT NOT NULL, enqueued_at BIGINT NOT NULL, not_after BIGINT NOT NULL,
       timeout BIGINT, stamp TEXT NOT NULL, proof TEXT, configuration BYTEA NOT NULL,
       payload BYTEA NOT NULL, labels TEXT, parent BYTEA CHECK (octet_length(parent) = 16))
       WITH (autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.1)",
    "CREATE INDEX mw_envelope_pruned ON mw_envelope (not_after) WHERE stamp = ''",
    "CREATE INDEX mw_envelope_parent ON mw_envelope (parent) WHERE parent IS NOT NULL",
    "CREATE TABLE mw_task (
       seq BIGINT PRIMARY KEY, lane BIGINT NOT NULL, run_at BIGINT NOT NULL,
       state INTEGER NOT NULL, priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 2),
       attempt BIGINT NOT NULL CHECK (attempt BETWEEN 0 AND 4294967295),
       max_attempts BIGINT NOT NULL CHECK (max_attempts BETWEEN 1 AND 4294967295),
       is_unique INTEGER NOT NULL, cancel INTEGER NOT NULL DEFAULT 0,
       is_revived INTEGER NOT NULL DEFAULT 0,
       worker BIGINT, token BIGINT, started_at BIGINT,
       held_code TEXT, held_release TEXT, held_since BIGINT)
       WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01,
             autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
             autovacuum_analyze_scale_factor = 0.1)",
    "CREATE INDEX mw_task_ready ON mw_task (lane, priority, run_at, seq) WHERE state = 1",
    "CREATE INDEX mw_task_running ON mw_task (lane, worker) WHERE state = 2",
    "CREATE INDEX mw_task_held ON mw_task (held_since) WHERE state = 6",
    "CREATE INDEX mw_task_cancel ON mw_task (worker) WHERE cancel = 1",
    "CREATE TABLE mw_finished (
       seq BIGINT PRIMARY KEY, lane BIGINT NOT NULL, state INTEGER NOT NULL,
       priority INTEGER NOT NULL, run_at BIGINT NOT NULL, attempt BIGINT NOT NULL,
       max_attempts BIGINT NOT NULL, finished_at BIGINT NOT NULL, worker BIGINT,
       started_at BIGINT, result TEXT, error TEXT)
       WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)",
    "CREATE INDEX mw_finished_by_lane ON mw_finished (lane, finished_at)",
    "CREATE TABLE mw_attempt (
       id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, seq BIGINT NOT NULL,
       attempt BIGINT NOT NULL, worker BIGINT, started_at BIGINT, finished_at BIGINT NOT NULL,
       outcome TEXT NOT NULL, code TEXT, error TEXT, log TEXT)",
    "CREATE INDEX mw_attempt_by_task ON mw_attempt (seq)",
    "CREATE TABLE mw_label (label TEXT NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (label, seq))",
    "CREATE INDEX mw_label_by_task ON mw_label (seq)",
    "CREATE TABLE mw_unique (
       key TEXT NOT NULL PRIMARY KEY, seq BIGINT NOT NULL, until BIGINT NOT NULL)
       WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0)",
    "CREATE INDEX mw_unique_by_task ON mw_unique (seq)",
    "CREATE TABLE mw_progress (
       seq BIGINT PRIMARY KEY, fraction DOUBLE PRECISION NOT NULL, text TEXT NOT NULL)
       WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01)",
    "CREATE TABLE mw_pause (job TEXT NOT NULL PRIMARY KEY, since BIGINT NOT NULL)",
    "CREATE SEQUENCE mw_worker_seq",
    "CREATE TABLE mw_worker (
       id BIGINT PRIMARY KEY, name TEXT NOT NULL, host TEXT NOT NULL,
       pid BIGINT NOT NULL, version TEXT NOT NULL, release TEXT NOT NULL,
       started_at BIGINT NOT NULL, seen_at BIGINT NOT NULL, beat BIGINT NOT NULL,
       dead INTEGER NOT NULL DEFAULT 0)
       WITH (fillfactor = 20, autovacuum_vacuum_threshold = 100,
             autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0)",
    "CREATE INDEX mw_worker_alive ON mw_worker (id) WHERE dead = 0",
    "CREATE TABLE mw_tick (
       schedule TEXT NOT NULL, nominal_at BIGINT NOT NULL, task BYTEA,
       PRIMARY KEY (schedule, nominal_at))",
    "CREATE TABLE mw_rejection (
       code TEXT NOT NULL, source TEXT NOT NULL, job TEXT NOT NULL, message TEXT NOT NULL,
       door TEXT NOT NULL, task BYTEA, count BIGINT NOT NULL, first_at BIGINT NOT NULL,
       last_at BIGINT NOT NULL, id BIGINT GENERATED ALWAYS AS IDENTITY,
       PRIMARY KEY (code, source, job)) WITH (fillfactor = 50)",
    "CREATE INDEX mw_rejection_latest ON mw_rejection (last_at)",
    // What each rate has counted lately: key is "job:domain/name" or "source:name".
    "CREATE TABLE mw_rate (key TEXT NOT NULL PRIMARY KEY, starts TEXT NOT NULL)
       WITH (fillfactor = 20, autovacuum_vacuum_threshold = 100,
             autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0)",
];

/// Counts beside the rows: triggers count what arrives, once per statement, and never what leaves.
/// A piece is a row of its own, so that no two writers wait for each other; pieces are added up
/// now and then.
pub(crate) const SECOND: &[&str] = &[
    "CREATE TABLE mw_tally (
       lane BIGINT PRIMARY KEY, entered BIGINT NOT NULL DEFAULT 0, ended BIGINT NOT NULL DEFAULT 0,
       revived BIGINT NOT NULL DEFAULT 0, pruned BIGINT NOT NULL DEFAULT 0)
       WITH (fillfactor = 50, autovacuum_vacuum_cost_delay = 0)",
    "CREATE TABLE mw_tally_piece (
       lane BIGINT NOT NULL, entered BIGINT NOT NULL DEFAULT 0, ended BIGINT NOT NULL DEFAULT 0,
       revived BIGINT NOT NULL DEFAULT 0, pruned BIGINT NOT NULL DEFAULT 0)
       WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0,
             autovacuum_vacuum_cost_delay = 0)",
    "CREATE FUNCTION mw_count_entered() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO mw_tally_piece (lane, entered) SELECT lane, count(*) FROM fresh GROUP BY lane;
       RETURN NULL; END $$",
    "CREATE TRIGGER mw_tally_entered AFTER INSERT ON mw_envelope REFERENCING NEW TABLE AS fresh
       FOR EACH STATEMENT EXECUTE FUNCTION mw_count_entered()",
    "CREATE FUNCTION mw_count_ended() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO mw_tally_piece (lane, ended) SELECT lane, count(*) FROM fresh GROUP BY lane;
       RETURN NULL; END $$",
    "CREATE TRIGGER mw_tally_ended AFTER INSERT ON mw_finished REFERENCING NEW TABLE AS fresh
       FOR EACH STATEMENT EXECUTE FUNCTION mw_count_ended()",
    "CREATE FUNCTION mw_count_revived() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO mw_tally_piece (lane, revived) VALUES (NEW.lane, 1);
       RETURN NULL; END $$",
    "CREATE TRIGGER mw_tally_revived AFTER INSERT ON mw_task FOR EACH ROW
       WHEN (NEW.is_revived = 1) EXECUTE FUNCTION mw_count_revived()",
    "CREATE FUNCTION mw_count_pruned() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO mw_tally_piece (lane, pruned) SELECT lane, sum(one) FROM (
         SELECT lane, 1 AS one FROM fresh WHERE stamp = ''
         UNION ALL SELECT lane, -1 FROM stale WHERE stamp = '') rows
         GROUP BY lane HAVING sum(one) <> 0;
       RETURN NULL; END $$",
    "CREATE TRIGGER mw_tally_pruned AFTER UPDATE ON mw_envelope
       REFERENCING NEW TABLE AS fresh OLD TABLE AS stale
       FOR EACH STATEMENT EXECUTE FUNCTION mw_count_pruned()",
];
