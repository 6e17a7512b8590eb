//! `logs/process_log`: turns one edge-log file into usage rows, exactly once.
//!
//! Nothing of a file is stored before all of it is read. Then one write makes its usage rows what
//! this attempt found, whatever an earlier one left, and the ledger row complete.

mod error;
mod fold;

use std::collections::BTreeSet;

use contract::logs::{LogConfiguration, ProcessLog as Payload};
use contract::usage::RollUpUsage;
use database::{Db, DbError};
use edge_logs::{LineCounts, LogFormat, LogParser, Options, Resolved};
use job::{Context, Job, JobError, Outcome, Services};
use models::ledger::{self, FileOutcome, FileTotals, LogFile, LogState};
use models::{UsageRow, streams, usage};
use objects::{ObjectError, ObjectReader};
use scheduling::{Scope, TaskOptions, Unique};
use serde::{Deserialize, Serialize};
use values::{LogFileId, StreamId};

use super::source::LogSources;
use error::LogError;
use fold::Folded;

/// What the job takes from worker.toml.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    #[serde(default)]
    log_sources: LogSources,
    /// The largest object that is read, as stored.
    #[serde(default = "max_object_bytes")]
    max_object_bytes: u64,
    /// The most bytes that an object may inflate to.
    #[serde(default = "max_inflated_bytes")]
    max_inflated_bytes: u64,
    /// How lines are judged.
    #[serde(default)]
    lines: Options,
}

const fn max_object_bytes() -> u64 {
    1 << 30
}

const fn max_inflated_bytes() -> u64 {
    16 << 30
}

/// Processes one log file.
pub(crate) struct ProcessLog {
    db: Db,
    settings: Settings,
}

/// What became of a file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    lines: u64,
    counted: u64,
    skipped: u64,
    errors: Errors,
    /// Bytes metered.
    bytes: u64,
    streams: usize,
    rows: usize,
    object_bytes: u64,
    inflated_bytes: u64,
}

/// Lines that could not be counted, by reason.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Errors {
    unknown_uri: u64,
    unknown_stream: u64,
    malformed: u64,
}

impl Job for ProcessLog {
    type Payload = Payload;
    type Settings = Settings;

    fn new(services: &Services, settings: Settings) -> Self {
        Self { db: services.db.clone(), settings }
    }

    async fn run(
        &self,
        cx: &Context,
        payload: Payload,
        config: LogConfiguration,
    ) -> Result<Outcome, JobError> {
        if !payload.again && self.is_complete(&payload).await? {
            return Ok(Outcome::completed(serde_json::json!({ "skipped": "already_complete" })));
        }
        match self.process(cx, &payload, &config).await {
            Err(error @ (JobError::Retryable { .. } | JobError::Permanent(_))) => {
                self.note_failure(&payload, &error).await;
                Err(error)
            }
            ended => ended,
        }
    }
}

impl ProcessLog {
    async fn is_complete(&self, payload: &Payload) -> Result<bool, DbError> {
        let file = ledger::get(&self.db, &payload.log_source, &payload.key).await?;
        Ok(file.is_some_and(|file| file.state == LogState::Complete))
    }

    async fn process(
        &self,
        cx: &Context,
        payload: &Payload,
        config: &LogConfiguration,
    ) -> Result<Outcome, JobError> {
        let source = self.settings.log_sources.find(&payload.log_source)?;
        let format = LogFormat::detect(source.format, &payload.key).map_err(LogError::from)?;
        let store = source.open(config).await?;
        let max_object_bytes = self.settings.max_object_bytes;
        let reader = store.read(&payload.key, max_object_bytes).await.map_err(too_large)?;
        let object_bytes = reader.info().size_bytes;
        let file = self.begin(cx, payload).await?;
        let folded = self.fold(cx, reader, format).await?;
        let inflated_bytes = folded.inflated_bytes;
        let resolved = self.resolve(folded).await?;
        let rows = usage_rows(&resolved);
        // The last write would refuse it too, but could leave nothing in the ledger.
        usage::check(&self.db, file.id, &rows).await?;
        let report = Report::new(&resolved, object_bytes, inflated_bytes);
        tracing::info!(
            log_source = payload.log_source,
            key = payload.key,
            lines = report.lines,
            counted = report.counted,
            bytes = report.bytes,
            rows = report.rows,
            "log file processed"
        );
        Ok(outcome(cx, file.id, rows, &resolved, &report))
    }

    /// Notes that an attempt begins, once it is known that there is such a file.
    async fn begin(&self, cx: &Context, payload: &Payload) -> Result<LogFile, DbError> {
        let mut transaction = self.db.begin().await?;
        let new_id = LogFileId::new(cx.now(), tasks::random_bytes());
        let (source, key) = (&payload.log_source, &payload.key);
        let mut tx = transaction.tx();
        let file = ledger::begin_file(&mut tx, source, key, new_id, cx.now()).await?;
        transaction.commit().await?;
        Ok(file)
    }

    async fn fold(
        &self,
        cx: &Context,
        reader: ObjectReader,
        format: LogFormat,
    ) -> Result<Folded, JobError> {
        let parser = LogParser::new(format, self.settings.lines.clone());
        fold::fold(cx, reader, parser, self.settings.max_inflated_bytes).await
    }

    async fn resolve(&self, folded: Folded) -> Result<Resolved<StreamId>, DbError> {
        let names: Vec<String> = folded.parsed.names().into_iter().map(str::to_owned).collect();
        let streams = streams::find_by_names(&self.db, &names).await?;
        Ok(folded.parsed.resolve(|wanted| {
            let stream = streams.get(wanted.name)?;
            let is_there = wanted.instance.is_none_or(|name| name == stream.instance_name);
            is_there.then_some(stream.id)
        }))
    }

    /// Leaves the reason in the ledger, if the file has a row there.
    async fn note_failure(&self, payload: &Payload, error: &JobError) {
        let noted = async {
            let file = ledger::get(&self.db, &payload.log_source, &payload.key).await?;
            let Some(file) = file else { return Ok(()) };
            let mut transaction = self.db.begin().await?;
            ledger::fail_file(&mut transaction.tx(), file.id, &error.chain()).await?;
            transaction.commit().await
        };
        // The attempt fails with its own error; that this one could not be noted changes nothing.
        if let Err(error) = noted.await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(key = payload.key, error, "failure not noted in the log ledger");
        }
    }
}

/// Names the setting that a larger object needs.
fn too_large(error: ObjectError) -> JobError {
    match error {
        ObjectError::TooLarge { place: _, key, max_bytes } => {
            LogError::ObjectTooLarge { key, max_bytes }.into()
        }
        other => other.into(),
    }
}

fn outcome(
    cx: &Context,
    file: LogFileId,
    rows: Vec<UsageRow>,
    resolved: &Resolved<StreamId>,
    report: &Report,
) -> Outcome {
    let totals =
        FileTotals { size_bytes: report.object_bytes, lines: report.lines, bytes: report.bytes };
    let kept = FileOutcome::new(totals, &resolved.counts, &resolved.problems);
    let now = cx.now();
    // However many files are completed meanwhile, one roll-up sums them all.
    let once = TaskOptions {
        unique: Some(Unique { scope: Scope::Job, period: None }),
        ..TaskOptions::default()
    };
    Outcome::completed(report)
        .commit(move |tx| {
            Box::pin(async move {
                ledger::complete_file(tx, file, &kept, &rows, now).await?;
                Ok(())
            })
        })
        .follow_up_with(&RollUpUsage { month: None }, once)
}

fn usage_rows(resolved: &Resolved<StreamId>) -> Vec<UsageRow> {
    let row = |usage: &edge_logs::Usage<StreamId>| UsageRow {
        stream_id: usage.stream,
        hour: usage.hour,
        kind: usage.kind,
        bytes: usage.bytes,
        lines: usage.lines,
        seconds: usage.seconds,
    };
    resolved.usage.iter().map(row).collect()
}

impl Report {
    fn new(resolved: &Resolved<StreamId>, object_bytes: u64, inflated_bytes: u64) -> Self {
        let counts: &LineCounts = &resolved.counts;
        let streams: BTreeSet<StreamId> = resolved.usage.iter().map(|row| row.stream).collect();
        Self {
            lines: counts.total(),
            counted: counts.counted,
            skipped: counts.skipped(),
            errors: Errors {
                unknown_uri: counts.unknown_uri,
                unknown_stream: counts.unknown_stream,
                malformed: counts.malformed,
            },
            bytes: resolved.usage.iter().map(|row| row.bytes).sum(),
            streams: streams.len(),
            rows: resolved.usage.len(),
            object_bytes,
            inflated_bytes,
        }
    }
}
